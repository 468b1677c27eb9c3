//! Why a torrent does what it does: the reasons behind choking and picking, and what the strategies cost and brought.

use crate::strategy::PieceOrder;
use serde::{Deserialize, Serialize};
use std::{fmt, net::SocketAddr};

/// Why a peer is choked or unchoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "rpc", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Reason {
    /// Choked: no round has looked at it yet.
    #[default]
    Undecided,
    /// Choked: it wants nothing of ours.
    NotInterested,
    /// Choked: it stopped sending what we asked for.
    Snubbed,
    /// Choked: others rank higher.
    OutRanked {
        /// Its place in the order, from 1.
        rank: u32,
        /// Regular slots.
        slots: u32,
    },
    /// Unchoked: its rank gives it a regular slot.
    Ranked {
        /// Its place in the order, from 1.
        rank: u32,
        /// Regular slots.
        slots: u32,
    },
    /// Unchoked: to find out what it gives in return.
    Optimistic,
    /// Unchoked: a slot was free between rounds.
    FreeSlot,
    /// Unchoked: choking is off.
    Everyone,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undecided => f.write_str("no round has looked at it yet"),
            Self::NotInterested => f.write_str("it wants nothing of ours"),
            Self::Snubbed => f.write_str("it stopped sending what we asked for"),
            Self::OutRanked { rank, slots } => write!(f, "rank {rank}, and there are {slots} slots"),
            Self::Ranked { rank, slots } => write!(f, "rank {rank} of {slots} slots"),
            Self::Optimistic => f.write_str("to find out what it gives in return"),
            Self::FreeSlot => f.write_str("a slot was free between rounds"),
            Self::Everyone => f.write_str("choking is off"),
        }
    }
}

/// Why a piece comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "rpc", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// It was begun, and begun pieces are finished first.
    Begun,
    /// The fewest peers have it.
    Rarest,
    /// It is the next by index.
    Sequential,
    /// Others owe its blocks, and the end is near.
    Endgame,
}

/// A connection and the decision on it. Rates in payload bytes per second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "rpc", derive(schemars::JsonSchema))]
pub struct ExplainedPeer {
    /// The remote endpoint.
    #[cfg_attr(feature = "rpc", schemars(with = "String"))]
    pub address: SocketAddr,
    /// Whether we choke it.
    pub choked: bool,
    /// Why.
    pub why: Reason,
    /// Seconds for which this has been the reason.
    pub since: f64,
    /// What it sends us.
    pub download_rate: u64,
    /// What we send it.
    pub upload_rate: u64,
    /// Whether its slot is an optimistic one.
    pub optimistic: bool,
    /// Whether it stopped sending what we asked for.
    pub snubbed: bool,
    /// Blocks asked of it that have not come.
    pub in_flight: u32,
    /// Blocks that we would keep asked of it.
    pub target: u32,
}

/// A piece that will be requested soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "rpc", derive(schemars::JsonSchema))]
pub struct ExplainedPiece {
    /// The piece.
    pub piece: u32,
    /// Why it comes next.
    pub why: Choice,
    /// Its priority, 1 to 7.
    pub priority: u8,
    /// Connected peers that have it.
    pub availability: u32,
    /// Its blocks that nobody was asked for.
    pub free: u32,
}

/// What the strategies have cost and brought since the torrent was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "rpc", derive(schemars::JsonSchema))]
pub struct StrategyCost {
    /// Payload bytes kept.
    pub downloaded: u64,
    /// Payload bytes that came twice or unasked: the price of endgame and bbs-plus.
    pub duplicate: u64,
    /// Seconds in endgame.
    pub endgame: f64,
    /// Optimistic slots given.
    pub optimistic_given: u64,
    /// Optimistic slots whose holder then earned a regular one.
    pub optimistic_earned: u64,
    /// How often a peer stopped sending and lost its slot and requests.
    pub snubs: u64,
}

/// `torrent.explain`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "rpc", derive(schemars::JsonSchema))]
pub struct Explain {
    /// Whether the rules for seeding decide on slots.
    pub seeding: bool,
    /// Whether blocks may be asked of several peers to finish.
    pub endgame: bool,
    /// In which order pieces are begun now; null if nothing is missing. It is random for the first pieces.
    pub order: Option<PieceOrder>,
    /// The peers, or the one that was asked for.
    pub peers: Vec<ExplainedPeer>,
    /// The pieces that come next, the first first; of the one peer, if one was asked for.
    pub next: Vec<ExplainedPiece>,
    /// What the strategies have cost and brought.
    pub cost: StrategyCost,
}
