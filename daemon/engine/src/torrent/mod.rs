//! One torrent: routes what happens to the rooms that decide, and their decisions to the caller.

mod config;
mod view;

pub use config::*;
pub use view::*;

use crate::out::{Event, Out, PeerKey};
use proto::{bitfield::Bitfield, layout::Block, time::Instant};
use std::net::SocketAddr;

/// What a torrent's timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The next round of choking.
    Rechoke,
    /// A peer may have stopped sending.
    Snub,
    /// A connection is quiet and wants a keep-alive.
    KeepAlive,
    /// A connection may be dead.
    Silence,
    /// A candidate may be dialled.
    Dial,
    /// Peers are told of each other.
    Exchange,
}

/// The machine of one torrent.
pub struct Torrent {
    config: TorrentConfig,
    have: Bitfield,
    priorities: Vec<u8>,
}

impl Torrent {
    /// A stopped torrent that holds `have`. `priorities` has one entry per piece (0 skips, [`NORMAL_PRIORITY`] is usual)
    /// or is empty for all normal. It does nothing until [`Event::Run`].
    pub fn new(config: TorrentConfig, have: Bitfield, priorities: Vec<u8>) -> Self {
        Self { config, have, priorities }
    }

    /// Something happened.
    pub fn on(&mut self, _now: Instant, _event: Event, _out: &mut Out) {}

    /// The deadline has come.
    pub fn wake(&mut self, _now: Instant, _out: &mut Out) {}

    /// When to call [`Self::wake`], and why. Changes with every event.
    pub fn deadline(&self) -> Option<(Instant, Why)> {
        None
    }

    /// Moves up to `max` blocks that `peer` waits for, and may have, into `into`. None come for a peer that is unknown,
    /// choked or has asked for nothing.
    pub fn next_uploads(&mut self, _peer: PeerKey, _max: usize, _into: &mut Vec<Block>) {}

    /// The verified pieces.
    pub fn have(&self) -> &Bitfield {
        &self.have
    }

    /// Whether everything wanted is here.
    pub fn is_complete(&self) -> bool {
        self.have.is_full() || self.priorities.iter().zip(0..).all(|(p, i)| *p == 0 || self.have.has(i))
    }

    /// Whether everything is here.
    pub fn is_seed(&self) -> bool {
        self.have.is_full()
    }

    /// Figures.
    pub fn stats(&self, _now: Instant) -> Stats {
        Stats::default()
    }

    /// Every connection as it stands.
    pub fn peers(&self, _now: Instant) -> Vec<PeerView> {
        Vec::new()
    }

    /// For each piece, how many connected peers have it.
    pub fn availability(&self) -> Vec<u32> {
        vec![0; self.config.layout.pieces() as usize]
    }

    /// The pieces that were begun and are not verified.
    pub fn in_progress(&self) -> Vec<PieceProgress> {
        Vec::new()
    }

    /// How many more peers would be of use: what to ask a tracker for.
    pub fn wants_peers(&self) -> u32 {
        self.config.max_connections
    }

    /// Endpoints worth keeping for the next run, the best first.
    pub fn remember(&self) -> Vec<SocketAddr> {
        Vec::new()
    }
}
