//! One connection as the torrent keeps it, and the table of them.

use super::reveal::Shown;
use crate::{
    choke::{Contender, Reason},
    meter::Meter,
    out::{Caps, PeerKey, Source},
    peers::pex::Told,
    picker::{Asker, Holdings},
    pipeline::Pipeline,
};
use proto::{
    bitfield::Bitfield,
    id::PeerId,
    layout::Block,
    time::Instant,
    wire::{ExtIds, client_name},
};
use std::{collections::VecDeque, net::SocketAddr};

/// Pieces of which a peer may tell us that we may request them while choked. BEP 6 has ten; more is no use.
const MAX_ALLOWED: usize = 32;

/// Bytes of the current and the last round of choking.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) now: u64,
    pub(super) last: u64,
}

impl Tally {
    pub(super) fn turn(&mut self) {
        self.last = std::mem::take(&mut self.now);
    }

    /// Bytes per second over `micros`, the length of both rounds together.
    pub(super) fn rate(self, micros: u64) -> u64 {
        (self.now + self.last).saturating_mul(1_000_000) / micros.max(1)
    }
}

/// A connection whose handshake is complete.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) key: PeerKey,
    pub(super) addr: SocketAddr,
    /// Where it can be dialled, if known.
    pub(super) listens: Option<SocketAddr>,
    pub(super) id: PeerId,
    pub(super) outgoing: bool,
    pub(super) source: Source,
    pub(super) caps: Caps,
    pub(super) since: Instant,
    pub(super) client: Option<String>,
    /// Its extension ids, once its extension handshake came.
    pub(super) ids: ExtIds,
    pub(super) upload_only: bool,

    pub(super) holds: Holdings,
    /// What we let it know that we have; everything without it.
    pub(super) shown: Option<Shown>,
    /// It has told what it has.
    pub(super) told: bool,
    /// Pieces it has that we want and lack.
    pub(super) interesting: u32,
    /// The picker's generation at which it had nothing for this peer, and whether that was in endgame.
    pub(super) dry: Option<(u64, bool)>,

    pub(super) am_choking: bool,
    pub(super) am_interested: bool,
    pub(super) peer_choking: bool,
    pub(super) peer_interested: bool,
    pub(super) why: Reason,
    /// Since when that has been the reason.
    pub(super) why_since: Instant,
    pub(super) unchoked_at: Instant,
    pub(super) waiting_since: Instant,

    pub(super) pipe: Pipeline,
    /// Pieces that it sends while it chokes us.
    pub(super) allowed_in: Vec<u32>,
    /// Pieces that we send while we choke it, and how many bytes of them are left to it.
    pub(super) allowed_out: Vec<u32>,
    pub(super) fast_credit: u64,
    pub(super) uploads: VecDeque<Block>,

    pub(super) up: Meter,
    pub(super) downloaded: u64,
    pub(super) uploaded: u64,
    /// Bytes sent since it was unchoked.
    pub(super) sent: u64,
    pub(super) tally_down: Tally,
    pub(super) tally_up: Tally,
    pub(super) last_heard: Instant,
    pub(super) last_sent: Instant,
    /// Pieces with a block of it that came out bad.
    pub(super) bad_pieces: u32,
    /// Blocks that we had not asked for.
    pub(super) unasked: u32,
    /// What it was told of others, and when it last told us.
    pub(super) pex_told: Told,
    pub(super) pex_heard: Option<Instant>,
    /// Blocks of metadata it had from us.
    pub(super) metadata_served: u32,
}

impl Peer {
    pub(super) fn new(
        now: Instant,
        key: PeerKey,
        addr: SocketAddr,
        outgoing: bool,
        id: PeerId,
        caps: Caps,
        pieces: u32,
    ) -> Self {
        Self {
            key,
            addr,
            listens: outgoing.then_some(addr),
            id,
            outgoing,
            source: Source::Incoming,
            caps,
            since: now,
            client: client_name(&id),
            ids: ExtIds::default(),
            upload_only: false,
            holds: Holdings::Some(Bitfield::none(pieces)),
            shown: None,
            told: false,
            interesting: 0,
            dry: None,
            am_choking: true,
            am_interested: false,
            peer_choking: true,
            peer_interested: false,
            why: Reason::Undecided,
            why_since: now,
            unchoked_at: Instant::START,
            waiting_since: now,
            pipe: Pipeline::default(),
            allowed_in: Vec::new(),
            allowed_out: Vec::new(),
            fast_credit: 0,
            uploads: VecDeque::new(),
            up: Meter::default(),
            downloaded: 0,
            uploaded: 0,
            sent: 0,
            tally_down: Tally::default(),
            tally_up: Tally::default(),
            last_heard: now,
            last_sent: now,
            bad_pieces: 0,
            unasked: 0,
            pex_told: Told::default(),
            pex_heard: None,
            metadata_served: 0,
        }
    }

    /// It will send this piece while it chokes us.
    pub(super) fn allow(&mut self, piece: u32) {
        if self.allowed_in.len() < MAX_ALLOWED && !self.allowed_in.contains(&piece) {
            self.allowed_in.push(piece);
        }
    }

    /// How many pieces it has, of `pieces`.
    pub(super) fn count(&self, pieces: u32) -> u32 {
        match &self.holds {
            Holdings::All => pieces,
            Holdings::Some(bits) => bits.count(),
        }
    }

    /// How much it has, in thousandths.
    pub(super) fn progress(&self, pieces: u32) -> u32 {
        let share = u64::from(self.count(pieces)) * 1_000 / u64::from(pieces.max(1));
        u32::try_from(share).unwrap_or(1_000)
    }

    /// As the picker sees it.
    pub(super) fn asker(&self, now: Instant, piece_length: u32) -> Asker<'_> {
        Asker {
            key: self.key,
            holds: &self.holds,
            fast: self.pipe.is_fast(now, piece_length),
            only: self.peer_choking.then_some(&self.allowed_in[..]),
        }
    }

    /// As the choker sees it; `micros` is how long the tallies have run.
    pub(super) fn contender(&self, micros: u64, pieces: u32) -> Contender {
        Contender {
            key: self.key,
            interested: self.peer_interested,
            unchoked: !self.am_choking,
            snubbed: self.pipe.is_snubbed(),
            down: self.tally_down.rate(micros),
            up: self.tally_up.rate(micros),
            sent: self.sent,
            progress: self.progress(pieces),
            unchoked_at: self.unchoked_at,
            waiting_since: self.waiting_since,
            since: self.since,
        }
    }
}

/// The connections, in order of their keys. Keys grow, so that a new one goes to the end.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The keys on their own: a search in them stays within a cache line or two, and every message begins with one.
    keys: Vec<PeerKey>,
    peers: Vec<Peer>,
}

impl Table {
    fn find(&self, key: PeerKey) -> Result<usize, usize> {
        self.keys.binary_search(&key)
    }

    /// Adds a connection; one of the same key is replaced.
    pub(super) fn insert(&mut self, peer: Peer) {
        match self.find(peer.key) {
            Ok(at) => self.peers[at] = peer,
            Err(at) => {
                self.keys.insert(at, peer.key);
                self.peers.insert(at, peer);
            }
        }
    }

    pub(super) fn remove(&mut self, key: PeerKey) -> Option<Peer> {
        let at = self.find(key).ok()?;
        self.keys.remove(at);
        Some(self.peers.remove(at))
    }

    pub(super) fn get(&self, key: PeerKey) -> Option<&Peer> {
        self.find(key).ok().map(|at| &self.peers[at])
    }

    pub(super) fn get_mut(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.find(key).ok().map(|at| &mut self.peers[at])
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.peers.iter_mut()
    }

    pub(super) fn keys(&self) -> Vec<PeerKey> {
        self.keys.clone()
    }
}
