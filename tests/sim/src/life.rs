//! Peers come, announce themselves, leave, come back, and are healed.

use crate::{
    log::What,
    node::{Kept, Manners, Node, Totals},
    world::{Ev, World},
};
use engine::{
    out::{Event, Source},
    torrent::{Torrent, TorrentConfig},
};
use proto::{
    bitfield::Bitfield,
    id::{InfoHash, PeerId},
};
use rand::Rng as _;
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// The port of everyone.
const PORT: u16 = 6_881;

/// The first address; the number of a stay is added to it.
const FIRST: u32 = 0x0b00_0001;

/// Between two announces of a peer that wants more peers, in milliseconds.
const ANNOUNCE: u64 = 120_000;

/// Dials under way at a time.
const HALF_OPEN: u32 = 8;

impl World {
    /// Everyone, before they come.
    pub(crate) fn populate(&mut self) {
        let pieces = self.layout.pieces();
        let blocks = (pieces * self.blocks_per_piece) as usize;
        for class in 0..self.scenario.peers.len() {
            let spec = self.scenario.peers[class].clone();
            for _ in 0..spec.count {
                let at = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
                let late = if spec.over > 0.0 { self.rng.random_range(0.0..spec.over) } else { 0.0 };
                let share =
                    if spec.have_spread { self.rng.random_range(0.0..1.0) * spec.have } else { spec.have };
                let held = self.some(share);
                self.nodes.push(Node {
                    torrent: None,
                    class,
                    source: spec.is_source(),
                    manners: Manners {
                        free_rider: spec.free_rider,
                        snubs_after: spec.snubs_after,
                        corrupt: spec.corrupt.clamp(0.0, 1.0),
                        session: spec.session,
                    },
                    strategy: self.preset.of(spec.is_source()),
                    stay: 0,
                    addr: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT),
                    id: PeerId([0; 20]),
                    up: u64::from(spec.up) * 1024,
                    down: u64::from(spec.down) * 1024,
                    delay: spec.delay_ms,
                    disk: spec.disk_ms,
                    open: Vec::new(),
                    unchoked: 0,
                    sending: Vec::new(),
                    receiving: Vec::new(),
                    held,
                    kept: vec![Kept::No; blocks],
                    digests: BTreeSet::new(),
                    asked: vec![0; blocks],
                    woken: None,
                    joined: None,
                    completed: None,
                    departed: false,
                    pieces_at: Vec::new(),
                    arrived: 0,
                    totals: Totals::default(),
                });
                self.unfinished += u32::from(!spec.is_source());
                self.queue.push(ms(spec.first + late), Ev::Join(at));
            }
        }
        if let Some(at) = self.scenario.heal_at {
            self.queue.push(u64::from(at) * 1_000, Ev::Heal);
        }
        self.queue.push(0, Ev::Sample);
    }

    /// A share of the pieces, at random.
    fn some(&mut self, share: f64) -> Bitfield {
        let pieces = self.layout.pieces();
        if share >= 1.0 {
            return Bitfield::all(pieces);
        }
        let mut bits = Bitfield::none(pieces);
        for piece in 0..pieces {
            if share > 0.0 && self.rng.random_bool(share) {
                bits.set(piece);
            }
        }
        bits
    }

    /// An exponential time with this mean in seconds, as milliseconds.
    fn soon(&mut self, mean: f64) -> u64 {
        let draw: f64 = self.rng.random_range(f64::EPSILON..1.0);
        ms(-draw.ln() * mean)
    }

    pub(crate) fn join(&mut self, at: u32) {
        let number = u32::try_from(self.stays.len()).unwrap_or(u32::MAX);
        let stay = self.nodes[at as usize].stay + 1;
        self.stays.push((at, stay));
        let node = &mut self.nodes[at as usize];
        if node.torrent.is_some() || node.departed {
            return;
        }
        node.stay = stay;
        node.addr = SocketAddr::new(IpAddr::V4(Ipv4Addr::from(FIRST + number)), PORT);
        let mut id = [0; 20];
        id[..4].copy_from_slice(&number.to_be_bytes());
        id[4..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
        node.id = PeerId(id);
        node.joined.get_or_insert(self.ms);
        node.arrived = 0;
        let config = TorrentConfig {
            layout: self.layout.clone(),
            info_hash: InfoHash([7; 20]),
            our_id: node.id,
            private: true,
            strategy: node.strategy.clone(),
            seed: self.seed ^ u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            client: String::new(),
            listen_port: Some(PORT),
            metadata_size: None,
            metadata: None,
            max_connections: self.scenario.connections,
            half_open: HALF_OPEN,
        };
        node.torrent = Some(Box::new(Torrent::new(config, node.held.clone(), Vec::new())));
        if stay == 1 && !node.source {
            let held: Vec<u32> = node.held.iter().collect();
            held.into_iter().for_each(|piece| self.copied(piece));
        }
        self.log.note(self.ms, at, What::Join, u64::from(stay), 0);
        self.feed(at, Event::Run(true));
        self.announce(at, stay);
        if let Some(mean) = self.nodes[at as usize].manners.session.filter(|_| !self.healed) {
            let stays = self.soon(mean);
            self.queue.push(self.ms + stays, Ev::Leave(at, stay));
        }
    }

    /// A tracker names some who are there.
    pub(crate) fn announce(&mut self, at: u32, stay: u32) {
        let node = &self.nodes[at as usize];
        let Some(torrent) = node.torrent.as_ref().filter(|_| node.stay == stay) else { return };
        self.queue.push(self.ms + ANNOUNCE, Ev::Announce(at, stay));
        if torrent.wants_peers() == 0 {
            return;
        }
        let present: Vec<SocketAddr> = self
            .nodes
            .iter()
            .filter(|other| other.torrent.is_some() && other.addr != node.addr)
            .filter(|other| !(node.is_complete() && other.is_complete()))
            .map(|other| other.addr)
            .collect();
        let mut addrs = Vec::new();
        for _ in 0..self.scenario.tracker.min(u32::try_from(present.len()).unwrap_or(u32::MAX)) {
            let addr = present[self.rng.random_range(0..present.len())];
            if !addrs.contains(&addr) {
                addrs.push(addr);
            }
        }
        self.feed(at, Event::Candidates { source: Source::Tracker, addrs });
    }

    /// A peer goes: at the end of a session, or because it is done.
    pub(crate) fn leave(&mut self, at: u32, stay: u32) {
        let node = &self.nodes[at as usize];
        if node.stay != stay || node.torrent.is_none() || (self.healed && !node.is_complete()) {
            return;
        }
        self.check_bytes(at);
        self.log.note(self.ms, at, What::Leave, u64::from(stay), 0);
        self.feed(at, Event::Run(false));
        self.tally(at);
        let node = &mut self.nodes[at as usize];
        node.torrent = None;
        node.woken = None;
        // What was begun and not verified is lost with the stay.
        for piece in 0..self.layout.pieces() {
            if !node.held.has(piece) {
                let first = (piece * self.blocks_per_piece) as usize;
                node.kept[first..first + self.blocks_per_piece as usize].fill(Kept::No);
            }
        }
        if node.is_complete() {
            node.departed = true;
            let held: Vec<u32> = node.held.iter().collect();
            let own = held.into_iter().filter(|_| !node.source);
            for piece in own {
                self.copies[piece as usize] -= 1;
                self.spread -= u32::from(self.copies[piece as usize] == 0);
            }
        } else {
            let mean = self.scenario.peers[node.class].away;
            let away = self.soon(mean);
            self.queue.push(self.ms + away, Ev::Join(at));
        }
    }

    /// Adds what a machine counted in this stay to the peer's totals.
    pub(crate) fn tally(&mut self, at: u32) {
        let now = self.now();
        let node = &mut self.nodes[at as usize];
        let Some(torrent) = &node.torrent else { return };
        let stats = torrent.stats(now);
        node.totals.downloaded += stats.downloaded;
        node.totals.uploaded += stats.uploaded;
        node.totals.wasted += stats.wasted;
        node.totals.corrupt += stats.corrupt;
    }

    pub(crate) fn completed(&mut self, at: u32) {
        let node = &mut self.nodes[at as usize];
        if node.completed.is_some() || node.source {
            return;
        }
        node.completed = Some(self.ms);
        self.unfinished -= 1;
        self.log.note(self.ms, at, What::Complete, 0, 0);
        let (class, stay) = (node.class, node.stay);
        if let Some(mean) = self.scenario.peers[class].linger {
            let stays = self.soon(mean);
            self.queue.push(self.ms + stays + 1, Ev::Leave(at, stay));
        }
    }

    /// Every fault ends. Who may have been banned for it comes back under a new name.
    pub(crate) fn heal(&mut self) {
        for at in 0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX) {
            let node = &mut self.nodes[at as usize];
            let was = std::mem::take(&mut node.manners);
            let faulty = was.corrupt > 0.0 || was.snubs_after.is_some() || was.free_rider;
            let (stay, complete) = (node.stay, node.is_complete());
            // Requests that a snubber sat on wait there still.
            let stalled = if was.snubs_after.is_some() { node.open.clone() } else { Vec::new() };
            if faulty && !complete && node.torrent.is_some() {
                self.leave(at, stay);
            } else {
                stalled.into_iter().for_each(|key| self.wants_to_send(key));
            }
        }
        self.healed = true;
    }

    /// A piece has one copy more that is not a source's.
    pub(crate) fn copied(&mut self, piece: u32) {
        let copies = &mut self.copies[piece as usize];
        *copies += 1;
        self.spread += u32::from(*copies == 1);
        if self.spread == self.layout.pieces() && self.first_copy.is_none() {
            self.first_copy = Some((self.ms, self.from_sources));
        }
    }

    /// Whose address this is, and at which stay.
    pub(crate) fn at(&self, addr: SocketAddr) -> Option<(u32, u32)> {
        let IpAddr::V4(ip) = addr.ip() else { return None };
        self.stays.get(ip.to_bits().checked_sub(FIRST)? as usize).copied()
    }
}

fn ms(seconds: f64) -> u64 {
    std::time::Duration::from_secs_f64(seconds.max(0.0)).as_millis().try_into().unwrap_or(u64::MAX)
}
