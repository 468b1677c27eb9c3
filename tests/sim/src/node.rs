//! What the world keeps of each peer, and of each end of a connection.

use engine::{out::PeerKey, torrent::Torrent};
use proto::{bitfield::Bitfield, id::PeerId, layout::Block, strategy::Strategy};
use std::{collections::BTreeSet, net::SocketAddr};

/// What storage knows of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    No,
    Good,
    Bad,
}

/// How a peer behaves; healing makes it [`Manners::default`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manners {
    pub(crate) free_rider: bool,
    pub(crate) snubs_after: Option<f64>,
    pub(crate) corrupt: f64,
    pub(crate) session: Option<f64>,
}

/// A peer, present or not.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its machine while it is there.
    pub(crate) torrent: Option<Box<Torrent>>,
    pub(crate) class: usize,
    pub(crate) source: bool,
    pub(crate) manners: Manners,
    pub(crate) strategy: Strategy,
    /// Grows with each return, so that what was meant for an earlier stay is known.
    pub(crate) stay: u32,
    pub(crate) addr: SocketAddr,
    pub(crate) id: PeerId,
    /// Bytes per second.
    pub(crate) up: u64,
    pub(crate) down: u64,
    pub(crate) delay: u64,
    pub(crate) disk: u64,

    /// Open ends, in the order of their making.
    pub(crate) open: Vec<PeerKey>,
    pub(crate) unchoked: u32,
    /// Its ends over which it sends, and the others' over which it receives.
    pub(crate) sending: Vec<PeerKey>,
    pub(crate) receiving: Vec<PeerKey>,
    /// Verified pieces: outlives a stay, as a disk does.
    pub(crate) held: Bitfield,
    pub(crate) kept: Vec<Kept>,
    pub(crate) digests: BTreeSet<u32>,
    /// For each block, of how many peers it is asked for now.
    pub(crate) asked: Vec<u8>,
    /// The next wake-up in the queue.
    pub(crate) woken: Option<u64>,

    pub(crate) joined: Option<u64>,
    pub(crate) completed: Option<u64>,
    pub(crate) departed: bool,
    /// When each piece came, in order.
    pub(crate) pieces_at: Vec<u64>,
    /// Payload that came in this stay, and in all.
    pub(crate) arrived: u64,
    pub(crate) totals: Totals,
}

/// Payload bytes of a peer over all of its stays.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) downloaded: u64,
    pub(crate) uploaded: u64,
    pub(crate) wasted: u64,
    pub(crate) corrupt: u64,
}

impl Node {
    pub(crate) fn is_complete(&self) -> bool {
        self.held.is_full()
    }

    /// Present and not complete.
    pub(crate) fn leeches(&self) -> bool {
        self.torrent.is_some() && !self.is_complete()
    }
}

/// Payload on its way from the owner of an end to the other.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) block: Option<Block>,
    pub(crate) good: bool,
    /// What is left of the block, in thousandths of a byte, so that rate × milliseconds is exact.
    pub(crate) left: u64,
    /// Bytes per second.
    pub(crate) rate: u64,
    pub(crate) since: u64,
    /// Tells the valid end of the block from those that were foreseen at other rates.
    pub(crate) epoch: u32,
    /// The disk has been asked.
    pub(crate) reading: bool,
}

/// How long two peers stood how to each other while both lacked something, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pair {
    /// The owner was interested in the other.
    pub(crate) interested: u64,
    /// The other was interested in the owner.
    pub(crate) interesting: u64,
    /// They were connected.
    pub(crate) together: u64,
    /// Bytes from the owner to the other meanwhile.
    pub(crate) given: u64,
    /// As a complete owner: it unchoked the other, and they were connected.
    pub(crate) served: u64,
    pub(crate) present: u64,
}

/// One end of a connection. Its key is its index; the other end's is that with the last bit flipped.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) owner: u32,
    pub(crate) open: bool,
    pub(crate) interested: bool,
    pub(crate) unchoked: bool,
    /// Pieces that the owner lets the other have while choked.
    pub(crate) allowed: Vec<u32>,
    /// Blocks that the owner asked of the other.
    pub(crate) asked: Vec<Block>,
    pub(crate) flow: Flow,
    pub(crate) pair: Pair,
}

impl End {
    pub(crate) fn new(owner: u32) -> Self {
        Self {
            owner,
            open: true,
            interested: false,
            unchoked: false,
            allowed: Vec::new(),
            asked: Vec::new(),
            flow: Flow::default(),
            pair: Pair::default(),
        }
    }
}

/// The key of the other end.
pub(crate) fn other(key: PeerKey) -> PeerKey {
    PeerKey(key.0 ^ 1)
}
