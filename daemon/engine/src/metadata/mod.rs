//! Fetching a torrent's metadata from peers, for a magnet link (BEP 9).
//!
//! [`MetadataFetch`] has the shape of a torrent and speaks the same events and actions, so that one pump drives both. It
//! knows no pieces: what peers say of theirs is kept, and told to the torrent that follows ([`MetadataFetch::hand_over`]),
//! so that the connections live on.

mod assembly;
mod peer;
#[cfg(test)]
mod tests;

use crate::{
    out::{Action, DropReason, Event, Out, PeerKey, Source},
    peers::{Candidates, pex},
    torrent::{KEEP_ALIVE, OUR_REQQ, SILENCE, Why},
};
use assembly::{Assembly, Outcome};
use peer::Peer;
use proto::{
    id::{InfoHash, PeerId},
    time::Instant,
    wire::{ExtHandshake, ExtIds, Extension, LOCAL_IDS, Message, Metadata},
};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// The largest metadata that is fetched. A torrent of 100,000 files in a million pieces needs 28 MB.
pub const MAX_METADATA: u32 = 32 * 1024 * 1024;

/// Different sizes that peers may claim at a time. All but one are lies, and each may cost its size in memory.
const MAX_SIZES: usize = 4;

/// Requests under way with one peer: some clients answer only a few at a time.
const AT_ONCE: u32 = 4;

/// A peer that rejected or did not answer is left alone for this long.
const REST: Duration = Duration::from_secs(30);

/// What a fetch needs to know from the start.
#[derive(Clone, Debug)]
pub struct FetchConfig {
    /// What the metadata's SHA-1 must be.
    pub info_hash: InfoHash,
    /// Our own id.
    pub our_id: PeerId,
    /// Our name and version.
    pub client: String,
    /// The port that we listen on.
    pub listen_port: Option<u16>,
    /// Connections at most.
    pub max_connections: u32,
    /// Dials at most at a time.
    pub half_open: u32,
}

/// How far a fetch is: what the user is told it waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchProgress {
    /// Connections.
    pub peers: u32,
    /// Connections to peers that offer the metadata.
    pub with_metadata: u32,
    /// Dials under way.
    pub connecting: u32,
    /// Endpoints known and not connected.
    pub candidates: u32,
    /// Blocks that are here, and how many there are, of the attempt that is furthest.
    pub blocks: Option<(u32, u32)>,
}

/// The machine that fetches the metadata of one torrent. On success it says [`Action::Metadata`] and is done.
#[derive(Debug)]
pub struct MetadataFetch {
    config: FetchConfig,
    running: bool,
    done: bool,
    peers: BTreeMap<PeerKey, Peer>,
    candidates: Candidates,
    assemblies: BTreeMap<u32, Assembly>,
    timer: Option<(Instant, Why)>,
}

impl MetadataFetch {
    /// A stopped fetch; it begins with [`Event::Run`].
    pub fn new(config: FetchConfig) -> Self {
        Self {
            config,
            running: false,
            done: false,
            peers: BTreeMap::new(),
            candidates: Candidates::default(),
            assemblies: BTreeMap::new(),
            timer: None,
        }
    }

    /// The extension ids that we listen to.
    pub fn offered_ids(&self) -> ExtIds {
        ExtIds { ut_holepunch: None, ..LOCAL_IDS }
    }

    /// Something happened.
    pub fn on(&mut self, now: Instant, event: Event, out: &mut Out) {
        match event {
            Event::Connected { peer, addr, outgoing, id, caps } => {
                self.on_connected(now, peer, Peer::new(now, addr, outgoing, id, caps), out);
            }
            Event::DialFailed { addr } => self.candidates.failed(now, addr),
            Event::Closed { peer } => self.forget(now, peer),
            Event::Message { peer, message } => self.on_message(now, peer, message, out),
            Event::Block { peer, .. } => {
                out.push(Action::Discard);
                self.drop_peer(now, peer, DropReason::Violation("sends blocks that nobody asked for"), out);
            }
            Event::Candidates { source, addrs } => self.candidates.offer(now, source, &addrs),
            Event::ConnectionLimits { max, half_open } => {
                self.config.max_connections = max;
                self.config.half_open = half_open;
            }
            Event::Run(run) => self.run(now, run, out),
            Event::Ban(ip) => {
                self.candidates.ban(ip);
                let there = |peer: &Peer| peer.addr.ip().to_canonical() == ip.to_canonical();
                self.drop_where(now, there, &DropReason::Banned, out);
            }
            Event::OwnAddrs(addrs) => self.candidates.set_own(addrs),
            Event::Lost { .. }
            | Event::Received { .. }
            | Event::Sent { .. }
            | Event::PieceDone { .. }
            | Event::PieceBad { .. }
            | Event::PieceLost { .. }
            | Event::PieceGone { .. }
            | Event::Strategy(_)
            | Event::Priorities(_)
            | Event::UploadLimit(_) => {}
            // A fetch is never adopted from anything.
            Event::Adopted { peer, .. } => out.push(Action::Drop { peer, why: DropReason::Stopped }),
        }
        self.proceed(now, out);
    }

    /// The deadline has come.
    pub fn wake(&mut self, now: Instant, out: &mut Out) {
        self.drop_where(now, |peer| now.since(peer.last_heard) >= SILENCE, &DropReason::Timeout, out);
        for (key, peer) in &mut self.peers {
            if now.since(peer.last_sent) >= KEEP_ALIVE {
                peer.last_sent = now;
                out.push(Action::Send { peer: *key, message: Message::KeepAlive });
            }
            if peer.asked > 0 && now.since(peer.last_answer) >= REST {
                peer.rest_until = now + REST;
                peer.asked = 0;
                self.assemblies.values_mut().for_each(|assembly| assembly.give_up(*key));
            }
        }
        self.proceed(now, out);
    }

    /// When to call [`Self::wake`], and why.
    pub fn deadline(&self) -> Option<(Instant, Why)> {
        self.timer
    }

    /// How far it is.
    pub fn progress(&self) -> FetchProgress {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        FetchProgress {
            peers: count(self.peers.len()),
            with_metadata: count(self.peers.values().filter(|peer| peer.size.is_some()).count()),
            connecting: self.candidates.dialling(),
            candidates: self.candidates.idle(),
            blocks: self.assemblies.values().map(Assembly::progress).max(),
        }
    }

    /// How many more peers would be of use.
    pub fn wants_peers(&self) -> u32 {
        let known =
            u32::try_from(self.peers.len()).unwrap_or(u32::MAX).saturating_add(self.candidates.idle());
        if self.running { self.config.max_connections.saturating_sub(known) } else { 0 }
    }

    /// Endpoints worth keeping for the next run.
    pub fn remember(&self) -> Vec<SocketAddr> {
        self.candidates.remember(100)
    }

    /// Everything that the torrent which follows is to be told before anything else: the candidates, and each connection with
    /// what its peer said. The fetch is empty afterwards.
    pub fn hand_over(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let addrs = self.candidates.remember(crate::peers::MAX_CANDIDATES);
        events.push(Event::Candidates { source: Source::Resume, addrs });
        for (key, peer) in std::mem::take(&mut self.peers) {
            peer.hand_over(key, &mut events);
        }
        self.running = false;
        self.timer = None;
        events
    }

    fn on_connected(&mut self, now: Instant, key: PeerKey, peer: Peer, out: &mut Out) {
        if let Err(why) = self.admit(&peer) {
            if why == DropReason::Ourselves && peer.outgoing {
                self.candidates.is_ourselves(peer.addr);
            } else if self.running && peer.outgoing {
                self.candidates.closed(now, peer.addr, false, false);
            }
            out.push(Action::Drop { peer: key, why });
            return;
        }
        if peer.outgoing {
            self.candidates.connected(peer.addr);
        }
        if peer.caps.fast {
            out.push(Action::Send { peer: key, message: Message::HaveNone });
        }
        let shake = ExtHandshake {
            ids: self.offered_ids(),
            client: Some(self.config.client.clone()),
            port: self.config.listen_port,
            your_ip: Some(peer.addr.ip().to_canonical()),
            reqq: Some(OUR_REQQ),
            ..ExtHandshake::default()
        };
        if peer.caps.extended {
            let message = Message::Ext(Box::new(Extension::Handshake(shake)));
            out.push(Action::Send { peer: key, message });
        }
        self.peers.insert(key, peer);
    }

    fn admit(&self, peer: &Peer) -> Result<(), DropReason> {
        if !self.running || self.done {
            Err(DropReason::Stopped)
        } else if peer.id == self.config.our_id {
            Err(DropReason::Ourselves)
        } else if self.candidates.is_banned(peer.addr) || self.candidates.is_banned_id(&peer.id) {
            Err(DropReason::Banned)
        } else if self.peers.values().any(|other| other.id == peer.id) {
            Err(DropReason::Duplicate)
        } else if self.peers.len() >= self.config.max_connections as usize {
            Err(DropReason::NoRoom)
        } else {
            Ok(())
        }
    }

    fn on_message(&mut self, now: Instant, key: PeerKey, message: Message, out: &mut Out) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.last_heard = now;
        match message {
            Message::Ext(extension) => self.on_extension(now, key, *extension, out),
            Message::Port(port) if port != 0 => {
                let addr = SocketAddr::new(peer.addr.ip().to_canonical(), port);
                out.push(Action::DhtNode { addr });
            }
            // We have nothing to give, and unchoke nobody.
            Message::Request(block) if peer.caps.fast => {
                out.push(Action::Send { peer: key, message: Message::Reject(block) });
            }
            message => {
                if let Err(what) = peer.note(message) {
                    self.drop_peer(now, key, DropReason::Violation(what), out);
                }
            }
        }
    }

    fn on_extension(&mut self, now: Instant, key: PeerKey, extension: Extension, out: &mut Out) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        match extension {
            Extension::Handshake(shake) => {
                out.push(Action::ExtIds { peer: key, ids: shake.ids });
                if let Some(ip) = shake.your_ip {
                    let by = peer.addr.ip().to_canonical();
                    out.push(Action::SeenAs { ip: ip.to_canonical(), by });
                }
                if let Some(port) = shake.port.filter(|_| !peer.outgoing) {
                    let addr = SocketAddr::new(peer.addr.ip().to_canonical(), port);
                    self.candidates.listens(now, addr);
                }
                let offered = shake.metadata_size.filter(|size| *size <= MAX_METADATA);
                peer.size = offered.filter(|_| shake.ids.ut_metadata.is_some());
                peer.shake = Some(shake);
            }
            Extension::Metadata(message) => self.on_metadata(now, key, message, out),
            Extension::Pex(list) => {
                let addrs: Vec<SocketAddr> =
                    list.added.iter().take(pex::MAX_AT_ONCE).map(|peer| peer.addr).collect();
                if peer.hear_pex(now) {
                    self.candidates.offer(now, Source::Pex, &addrs);
                }
            }
            Extension::DontHave(_) | Extension::Holepunch(_) | Extension::Unknown => {}
        }
    }

    fn on_metadata(&mut self, now: Instant, key: PeerKey, message: Metadata, out: &mut Out) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        match message {
            Metadata::Request { block } => {
                let reject = Extension::Metadata(Metadata::Reject { block });
                out.push(Action::Send { peer: key, message: Message::Ext(Box::new(reject)) });
            }
            Metadata::Reject { .. } => {
                peer.asked = 0;
                peer.rest_until = now + REST;
                self.assemblies.values_mut().for_each(|assembly| assembly.give_up(key));
            }
            Metadata::Data { block, data, .. } => {
                let Some(size) = peer.size.filter(|_| peer.asked > 0) else { return };
                peer.asked -= 1;
                peer.last_answer = now;
                let Some(assembly) = self.assemblies.get_mut(&size) else { return };
                match assembly.receive(key, block, data, &self.config.info_hash) {
                    None => self.drop_peer(now, key, DropReason::Violation("metadata of a wrong size"), out),
                    Some(outcome) => self.conclude(now, outcome, out),
                }
            }
        }
    }

    fn conclude(&mut self, now: Instant, outcome: Outcome, out: &mut Out) {
        match outcome {
            Outcome::More | Outcome::Mixed => {}
            Outcome::Whole(info) => {
                self.done = true;
                self.assemblies.clear();
                out.push(Action::Metadata { info });
            }
            Outcome::Liar(liar) => {
                let Some(peer) = self.peers.get(&liar) else { return };
                let (addr, id) = (peer.addr, peer.id);
                self.drop_peer(now, liar, DropReason::Corrupt, out);
                self.candidates.ban_peer(addr, id);
            }
        }
    }

    /// Asks, dials, sets the timer.
    fn proceed(&mut self, now: Instant, out: &mut Out) {
        if self.running && !self.done {
            self.ask(now, out);
            self.dial(now, out);
        }
        self.set_timer(now);
    }

    fn ask(&mut self, now: Instant, out: &mut Out) {
        let peers = &self.peers;
        self.assemblies.retain(|size, _| peers.values().any(|peer| peer.size == Some(*size)));
        for (key, peer) in &mut self.peers {
            let Some(size) = peer.size.filter(|_| now >= peer.rest_until) else { continue };
            if !self.assemblies.contains_key(&size) {
                if self.assemblies.len() == MAX_SIZES {
                    continue;
                }
                self.assemblies.insert(size, Assembly::new(size));
            }
            let Some(assembly) = self.assemblies.get_mut(&size) else { continue };
            while peer.asked < AT_ONCE {
                let Some(block) = assembly.next(now, *key) else { break };
                if peer.asked == 0 {
                    peer.last_answer = now;
                }
                peer.asked += 1;
                peer.last_sent = now;
                let request = Extension::Metadata(Metadata::Request { block });
                out.push(Action::Send { peer: *key, message: Message::Ext(Box::new(request)) });
            }
        }
    }

    fn may_dial(&self) -> bool {
        let dialling = self.candidates.dialling();
        let busy = self.peers.len() + dialling as usize;
        let room = dialling < self.config.half_open && busy < self.config.max_connections as usize;
        self.running && !self.done && room
    }

    fn dial(&mut self, now: Instant, out: &mut Out) {
        while self.may_dial() {
            let Some((addr, _)) = self.candidates.next(now, false) else { break };
            out.push(Action::Dial { addr });
        }
    }

    fn set_timer(&mut self, now: Instant) {
        let mut timer: Option<(Instant, Why)> = None;
        let mut at = |when: Instant, why| {
            if timer.is_none_or(|(set, _)| when < set) {
                timer = Some((when, why));
            }
        };
        for peer in self.peers.values() {
            at(peer.last_sent + KEEP_ALIVE, Why::KeepAlive);
            at(peer.last_heard + SILENCE, Why::Silence);
            if peer.asked > 0 {
                at(peer.last_answer + REST, Why::Snub);
            }
            if peer.size.is_some() && peer.rest_until > now {
                at(peer.rest_until, Why::Snub);
            }
        }
        let late = self.assemblies.values().filter_map(Assembly::late_at).filter(|late| *late > now);
        late.for_each(|late| at(late, Why::Snub));
        if self.may_dial()
            && let Some(due) = self.candidates.next_due(false)
        {
            at(due, Why::Dial);
        }
        self.timer = timer;
    }

    fn run(&mut self, now: Instant, run: bool, out: &mut Out) {
        self.running = run;
        if !run {
            self.drop_where(now, |_| true, &DropReason::Stopped, out);
            self.candidates.stop();
        }
    }

    fn forget(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.remove(&key) else { return };
        self.assemblies.values_mut().for_each(|assembly| assembly.give_up(key));
        self.candidates.closed(now, peer.listens(), false, false);
    }

    fn drop_peer(&mut self, now: Instant, key: PeerKey, why: DropReason, out: &mut Out) {
        if self.peers.contains_key(&key) {
            self.forget(now, key);
            out.push(Action::Drop { peer: key, why });
        }
    }

    fn drop_where(&mut self, now: Instant, which: impl Fn(&Peer) -> bool, why: &DropReason, out: &mut Out) {
        let keys: Vec<PeerKey> =
            self.peers.iter().filter(|(_, peer)| which(peer)).map(|(key, _)| *key).collect();
        for key in keys {
            self.drop_peer(now, key, why.clone(), out);
        }
    }

    /// The metadata that was fetched is of no use (not a torrent we can hold): look no further.
    pub fn stop(&mut self, now: Instant, out: &mut Out) {
        self.run(now, false, out);
        self.set_timer(now);
    }
}
