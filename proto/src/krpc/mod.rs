//! The DHT's messages (BEP 5), for IPv4 and IPv6 (BEP 32), with scrapes (33), ids by address (42), read-only nodes (43),
//! items (44) and sampling (51).
//!
//! One datagram is one message. [`Message::decode`] answers a malformed query with the error that is due to its sender;
//! everything else that is malformed has no answer.

mod bloom;
mod decode;
mod encode;
mod id;
mod item;
#[cfg(test)]
mod tests;

pub use bloom::{BLOOM_LEN, Bloom};
pub use decode::DecodeError;
pub use id::{Distance, ID_BITS, NodeId, is_local};
pub use item::{Item, ItemError, MAX_SALT, MAX_VALUE, Mutable, target_of};

use crate::id::{ID_LEN, InfoHash};
use std::net::SocketAddr;

/// Largest datagram that is looked at, in bytes. Nodes keep to an Ethernet frame; some answer up to 2 KiB.
pub const MAX_DATAGRAM: usize = 4096;
/// Longest transaction id that is given back. Two to eight bytes are usual.
pub const MAX_TX: usize = 32;
/// Longest token that is kept. Four to twenty bytes are usual.
pub const MAX_TOKEN: usize = 64;
/// Most nodes of one family that are taken from a message. Eight are usual.
pub const MAX_NODES: usize = 32;
/// Most peers that are taken from a message: a full datagram of them.
pub const MAX_PEERS: usize = 200;
/// Most info-hashes that are taken from a sample.
pub const MAX_SAMPLES: usize = 100;
/// Longest error text that is kept, in bytes.
const MAX_ERROR: usize = 200;

/// An opaque byte string of bounded length.
pub type Token = Vec<u8>;

/// A transaction id: chosen by who asks, and given back with the answer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tx(Vec<u8>);

impl Tx {
    /// A transaction id, if it is not empty and at most [`MAX_TX`] long.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (1..=MAX_TX).contains(&bytes.len()).then(|| Self(bytes.to_vec()))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A transaction id of our own kind: four bytes.
    pub fn from_number(number: u32) -> Self {
        Self(number.to_be_bytes().to_vec())
    }

    /// The number, if it is of our own kind.
    pub fn number(&self) -> Option<u32> {
        self.0.as_slice().try_into().ok().map(u32::from_be_bytes)
    }
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// A node and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeInfo {
    /// Its id.
    pub id: NodeId,
    /// Its endpoint.
    pub addr: SocketAddr,
}

/// A datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Which query, or the answer to which.
    pub tx: Tx,
    /// `v`: two letters and a version, by convention.
    pub version: Option<[u8; 4]>,
    /// `ro` (BEP 43): the sender answers no queries, and is not to be kept in a routing table.
    pub read_only: bool,
    /// `ip` (BEP 42): the receiver's endpoint as the sender sees it.
    pub seen_as: Option<SocketAddr>,
    /// What it says.
    pub body: Body,
}

/// The three kinds of message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A question.
    Query(Query),
    /// An answer.
    Response(Box<Response>),
    /// A refusal.
    Error(Refusal),
}

/// An error message: its code and a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// See [`code`].
    pub code: i64,
    /// For people.
    pub text: String,
}

/// Codes of errors.
pub mod code {
    /// BEP 5: an error of no particular kind.
    pub const GENERIC: i64 = 201;
    /// BEP 5: the other end is overloaded or broken.
    pub const SERVER: i64 = 202;
    /// BEP 5: malformed message, invalid arguments or bad token.
    pub const PROTOCOL: i64 = 203;
    /// BEP 5: no such query.
    pub const METHOD_UNKNOWN: i64 = 204;
    /// BEP 44: the value is too big.
    pub const TOO_BIG: i64 = 205;
    /// BEP 44: the signature is wrong.
    pub const SIGNATURE: i64 = 206;
    /// BEP 44: the salt is too big.
    pub const SALT_TOO_BIG: i64 = 207;
    /// BEP 44: compare-and-swap found another number.
    pub const CAS_MISMATCH: i64 = 301;
    /// BEP 44: a newer value is here already.
    pub const SEQ_TOO_LOW: i64 = 302;
}

/// A question, and who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The asking node's id.
    pub id: NodeId,
    /// Which nodes it wants.
    pub want: Want,
    /// The question.
    pub ask: Ask,
}

/// `want` (BEP 32): which families' nodes are asked for. If neither, those of the family that carries the query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// `n4`.
    pub v4: bool,
    /// `n6`.
    pub v6: bool,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `ping`.
    Ping,
    /// `find_node`: the nodes nearest to a point.
    FindNode {
        /// The point.
        target: NodeId,
    },
    /// `get_peers`: a torrent's peers, and the nodes nearest to it.
    GetPeers {
        /// The torrent.
        info_hash: InfoHash,
        /// BEP 33: seeds are not wanted.
        no_seed: bool,
        /// BEP 33: filters are wanted.
        scrape: bool,
    },
    /// `announce_peer`: the sender is a peer of a torrent.
    Announce {
        /// The torrent.
        info_hash: InfoHash,
        /// The port; `None` (`implied_port`) is the one that the query came from.
        port: Option<u16>,
        /// From an earlier answer to `get_peers`.
        token: Token,
        /// BEP 33: it has everything.
        seed: bool,
    },
    /// `get` (BEP 44): an item.
    Get {
        /// Its key.
        target: NodeId,
        /// The number that the sender has: only a newer value is wanted.
        seq: Option<i64>,
    },
    /// `put` (BEP 44): store an item.
    Put(Box<Put>),
    /// `sample_infohashes` (BEP 51).
    Sample {
        /// Nodes near this point are wanted too.
        target: NodeId,
    },
}

/// An item to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// From an earlier answer to `get`.
    pub token: Token,
    /// The item. It is not checked yet: see [`Item::check`].
    pub item: Item,
    /// Store only if the number there is this.
    pub cas: Option<i64>,
}

/// An answer. Which parts are there depends on the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The answering node's id.
    pub id: NodeId,
    /// `nodes`: nodes with IPv4 addresses.
    pub nodes4: Option<Vec<NodeInfo>>,
    /// `nodes6` (BEP 32): nodes with IPv6 addresses.
    pub nodes6: Option<Vec<NodeInfo>>,
    /// For a later `announce_peer` or `put`.
    pub token: Option<Token>,
    /// `values`: peers.
    pub peers: Vec<SocketAddr>,
    /// `BFsd` (BEP 33): the seeds.
    pub seeds: Option<Box<Bloom>>,
    /// `BFpe` (BEP 33): the other peers.
    pub leeches: Option<Box<Bloom>>,
    /// BEP 44: the item. Its salt is not in the message.
    pub item: Option<Item>,
    /// BEP 44: the item's number, where the value was not newer than asked for.
    pub seq: Option<i64>,
    /// BEP 51.
    pub samples: Option<Samples>,
}

/// Some of the torrents that a node knows (BEP 51).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// Seconds after which to ask again.
    pub interval: u32,
    /// How many torrents the node knows.
    pub num: u32,
    /// Some of them.
    pub hashes: Vec<InfoHash>,
}

impl Response {
    /// An answer that says nothing but who answers.
    pub const fn new(id: NodeId) -> Self {
        Self {
            id,
            nodes4: None,
            nodes6: None,
            token: None,
            peers: Vec::new(),
            seeds: None,
            leeches: None,
            item: None,
            seq: None,
            samples: None,
        }
    }

    /// All nodes, of both families.
    pub fn nodes(&self) -> impl Iterator<Item = NodeInfo> + '_ {
        self.nodes4.iter().chain(&self.nodes6).flatten().copied()
    }
}

impl Query {
    /// The point that the question is about.
    pub fn target(&self) -> Option<NodeId> {
        match &self.ask {
            Ask::Ping | Ask::Put(_) => None,
            Ask::FindNode { target } | Ask::Get { target, .. } | Ask::Sample { target } => Some(*target),
            Ask::GetPeers { info_hash, .. } | Ask::Announce { info_hash, .. } => Some((*info_hash).into()),
        }
    }
}

/// The length of a node in compact form: its id and its endpoint.
const fn node_len(endpoint: usize) -> usize {
    ID_LEN + endpoint
}
