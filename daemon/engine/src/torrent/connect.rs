//! Connections: who is let in, who is dialled, how each begins and ends.

use super::{
    OUR_REQQ, Peer, Torrent,
    fast::{ALLOWED_FAST, allowed_fast},
};
use crate::{
    out::{Action, DropReason, Out, PeerKey},
    peers::{MAX_PER_ADDRESS, canonical},
};
use bytes::Bytes;
use proto::{
    time::Instant,
    wire::{ExtHandshake, ExtIds, Extension, LOCAL_IDS, Message},
};
use std::{net::IpAddr, time::Duration};

/// Peers that left and are remembered, to ban them when a piece proves bad.
const MAX_LEFT: usize = 256;

/// Pieces told one by one to a peer that was greeted before we had any; with more, it is better greeted anew.
const MAX_HAVES: u32 = 1_000;

/// A connection younger than this is not closed to make room for another.
const GRACE: Duration = Duration::from_secs(60);

impl Torrent {
    /// The extension ids that we listen to, for the decoder and our handshake.
    pub fn offered_ids(&self) -> ExtIds {
        let public = !self.config.private;
        let only_public = |id: Option<u8>| id.filter(|_| public);
        ExtIds {
            ut_metadata: only_public(LOCAL_IDS.ut_metadata),
            ut_pex: only_public(LOCAL_IDS.ut_pex).filter(|_| self.exchange),
            ut_holepunch: None,
            ..LOCAL_IDS
        }
    }

    /// A connection is there. If it was `greeted` before, when we had nothing, it is told what we have piece by piece.
    pub(super) fn on_connected(&mut self, now: Instant, mut peer: Peer, greeted: bool, out: &mut Out) {
        let admitted = match self.admit(now, &peer, out) {
            Ok(()) if greeted && self.have.count() > MAX_HAVES => Err(DropReason::NoRoom),
            admitted => admitted,
        };
        if let Err(why) = admitted {
            if self.running && peer.outgoing && why != DropReason::Banned {
                self.candidates.closed(now, peer.addr, false, false);
            }
            if why == DropReason::Ourselves && peer.outgoing {
                self.candidates.is_ourselves(peer.addr);
            }
            self.chores.dial = true;
            out.push(Action::Drop { peer: peer.key, why });
            return;
        }
        if peer.outgoing {
            peer.source = self.candidates.connected(peer.addr).unwrap_or(peer.source);
            self.chores.dial = true;
        }
        if !greeted {
            peer.shown = self.shows();
            self.greet(&peer, out);
        } else {
            let haves =
                self.have.iter().map(|piece| Action::Send { peer: peer.key, message: Message::Have(piece) });
            out.extend(haves);
        }
        self.shake_hands(&peer, out);
        // Who knows no BEP 6 and has nothing says nothing: it is shown its first piece at once.
        let silent = (!peer.caps.fast).then_some(peer.key);
        self.peers.insert(peer);
        self.count_crowd();
        if let Some(key) = silent {
            self.show_next(now, key, out);
        }
        self.arm(now + super::KEEP_ALIVE, super::Why::KeepAlive);
    }

    /// Whether a peer may stay; makes room for it if need be.
    fn admit(&mut self, now: Instant, peer: &Peer, out: &mut Out) -> Result<(), DropReason> {
        if !self.running {
            return Err(DropReason::Stopped);
        }
        if peer.id == self.config.our_id {
            return Err(DropReason::Ourselves);
        }
        if self.candidates.is_banned(peer.addr) || self.candidates.is_banned_id(&peer.id) {
            return Err(DropReason::Banned);
        }
        let twin =
            self.peers.iter().find(|other| other.id == peer.id).map(|other| (other.key, other.outgoing));
        if let Some((twin, twin_outgoing)) = twin {
            // Both ends dialled at once: both keep the connection that the end with the greater id made.
            let keep_ours = self.config.our_id > peer.id;
            if twin_outgoing == peer.outgoing || twin_outgoing == keep_ours {
                return Err(DropReason::Duplicate);
            }
            self.drop_peer(now, twin, DropReason::Duplicate, out);
        }
        let ip = peer.addr.ip().to_canonical();
        let same = self.peers.iter().filter(|other| other.addr.ip().to_canonical() == ip).count();
        if same >= MAX_PER_ADDRESS && !ip.is_loopback() {
            return Err(DropReason::NoRoom);
        }
        if self.peers.len() < self.config.max_connections as usize {
            return Ok(());
        }
        let worst = self.worst(now).ok_or(DropReason::NoRoom)?;
        self.drop_peer(now, worst, DropReason::NoRoom, out);
        Ok(())
    }

    /// The connection that is of least use, if one is of none: nothing goes over it and nothing is to.
    fn worst(&self, now: Instant) -> Option<PeerKey> {
        self.peers
            .iter()
            .filter(|peer| now.since(peer.since) > GRACE && !peer.am_interested && !peer.peer_interested)
            .min_by_key(|peer| (self.candidates.priority(peer.addr), peer.last_heard, peer.key))
            .map(|peer| peer.key)
    }

    /// What is said first: our pieces (BEP 3, 6).
    fn greet(&self, peer: &Peer, out: &mut Out) {
        let hides = peer.shown.is_some();
        let ours = if hides {
            peer.caps.fast.then_some(Message::HaveNone)
        } else if peer.caps.fast && self.have.is_full() {
            Some(Message::HaveAll)
        } else if peer.caps.fast && self.have.count() == 0 {
            Some(Message::HaveNone)
        } else if self.have.count() > 0 {
            Some(Message::Bitfield(Bytes::copy_from_slice(self.have.as_bytes())))
        } else {
            None
        };
        out.extend(ours.map(|message| Action::Send { peer: peer.key, message }));
    }

    /// What we can do (BEP 10).
    fn shake_hands(&self, peer: &Peer, out: &mut Out) {
        if !peer.caps.extended {
            return;
        }
        let shake = ExtHandshake {
            ids: self.offered_ids(),
            client: Some(self.config.client.clone()),
            port: self.config.listen_port,
            your_ip: Some(peer.addr.ip().to_canonical()),
            reqq: Some(OUR_REQQ),
            upload_only: self.is_complete() && peer.shown.is_none(),
            metadata_size: self.config.metadata_size.filter(|_| !self.config.private),
            raw_len: 0,
        };
        let message = Message::Ext(Box::new(Extension::Handshake(shake)));
        out.push(Action::Send { peer: peer.key, message });
    }

    /// Lets a peer that has next to nothing have some pieces while choked (BEP 6).
    pub(super) fn allow_fast(&mut self, now: Instant, key: PeerKey, out: &mut Out) {
        let pieces = self.config.layout.pieces();
        let Some(peer) = self.peers.get_mut(key) else { return };
        // What is allowed is shown: a super-seed allows nothing.
        if !peer.caps.fast || peer.shown.is_some() || peer.count(pieces) >= ALLOWED_FAST {
            return;
        }
        let mut set = allowed_fast(peer.addr, &self.config.info_hash, pieces, ALLOWED_FAST);
        set.retain(|piece| self.have.has(*piece) && !peer.holds.has(*piece));
        // Each of them once, and again if it came out bad there.
        peer.fast_credit =
            2 * set.iter().map(|piece| u64::from(self.config.layout.piece_len(*piece))).sum::<u64>();
        for piece in &set {
            peer.last_sent = now;
            out.push(Action::Send { peer: key, message: Message::AllowedFast(*piece) });
        }
        peer.allowed_out = set;
    }

    /// A connection is over: everything that hung on it is undone.
    pub(super) fn forget(&mut self, now: Instant, key: PeerKey) {
        let Some(mut peer) = self.peers.remove(key) else { return };
        self.count_crowd();
        for (piece, index) in peer.pipe.drain() {
            self.picker.give_back(self.config.layout.block(piece, index), key);
        }
        self.picker.release(key);
        self.picker.remove_peer(&peer.holds);
        self.choker.forget(key);
        let addr = peer.listens.unwrap_or(peer.addr);
        self.candidates.closed(now, addr, peer.downloaded + peer.uploaded > 0, peer.holds.is_full());
        if peer.downloaded > 0 {
            if self.left.len() == MAX_LEFT {
                self.left.pop_front();
            }
            self.left.push_back((key, addr, peer.id));
        }
        self.chores.refill = true;
        self.chores.fill_slots |= !peer.am_choking;
        self.chores.dial = true;
    }

    fn count_crowd(&mut self) {
        let peers = self.peers.len();
        self.peers.iter_mut().for_each(|peer| peer.pipe.set_crowd(peers));
    }

    /// Closes a connection.
    pub(super) fn drop_peer(&mut self, now: Instant, key: PeerKey, why: DropReason, out: &mut Out) {
        if self.peers.get(key).is_some() {
            self.forget(now, key);
            out.push(Action::Drop { peer: key, why });
        }
    }

    /// Dials as many as there is room for.
    pub(super) fn dial(&mut self, now: Instant, out: &mut Out) {
        let seeding = self.is_complete();
        while self.may_dial() {
            let Some((addr, _)) = self.candidates.next(now, seeding) else { break };
            let known = |peer: &Peer| canonical(peer.listens.unwrap_or(peer.addr)) == addr;
            if self.peers.iter().any(known) {
                self.candidates.connected(addr);
                continue;
            }
            out.push(Action::Dial { addr });
        }
        if self.may_dial()
            && let Some(due) = self.candidates.next_due(seeding)
        {
            self.arm(due, super::Why::Dial);
        }
    }

    pub(super) fn may_dial(&self) -> bool {
        let dialling = self.candidates.dialling();
        let busy = self.peers.len() + dialling as usize;
        self.running && dialling < self.config.half_open && busy < self.config.max_connections as usize
    }

    pub(super) fn set_limits(&mut self, now: Instant, max: u32, half_open: u32, out: &mut Out) {
        self.config.max_connections = max;
        self.config.half_open = half_open;
        self.chores.dial = true;
        while self.peers.len() > max as usize {
            let useless =
                |peer: &&Peer| (peer.am_interested || peer.peer_interested, peer.downloaded + peer.uploaded);
            let Some(key) = self.peers.iter().min_by_key(useless).map(|peer| peer.key) else { break };
            self.drop_peer(now, key, DropReason::NoRoom, out);
        }
    }

    pub(super) fn run(&mut self, now: Instant, run: bool, out: &mut Out) {
        if run == self.running {
            return;
        }
        self.running = run;
        if run {
            self.next_rechoke = now;
            self.rounds = [now; 2];
            self.chores.dial = true;
            return;
        }
        for key in self.peers.keys() {
            self.drop_peer(now, key, DropReason::Stopped, out);
        }
        self.candidates.stop();
        self.timer = None;
    }

    pub(super) fn ban(&mut self, now: Instant, ip: IpAddr, out: &mut Out) {
        let ip = ip.to_canonical();
        self.candidates.ban(ip);
        let there = |peer: &&Peer| peer.addr.ip().to_canonical() == ip;
        let keys: Vec<PeerKey> = self.peers.iter().filter(there).map(|peer| peer.key).collect();
        for key in keys {
            self.drop_peer(now, key, DropReason::Banned, out);
        }
    }

    /// Neither end can give the other anything any more.
    pub(super) fn drop_if_both_complete(&mut self, now: Instant, key: PeerKey, out: &mut Out) -> bool {
        let idle = |peer: &Peer| peer.holds.is_full() || (peer.upload_only && peer.told);
        let both = self.is_complete() && self.peers.get(key).is_some_and(idle);
        if both {
            self.drop_peer(now, key, DropReason::BothComplete, out);
        }
        both
    }
}
