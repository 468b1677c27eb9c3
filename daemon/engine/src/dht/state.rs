//! What is shown of a node, and what is kept of it between runs.

use super::{BucketStatus, Counters, Dht, Family, Hop, overlay::Overlay};
use proto::{
    bencode::{Document, Encoder, Limits, Value},
    compact,
    id::ID_LEN,
    krpc::{NodeId, NodeInfo},
    time::Instant,
};
use std::{net::SocketAddr, time::Duration};

/// Most nodes that are kept of each family: a full routing table.
const MAX_KEPT: usize = 200;

/// What a node remembers between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Our id among IPv4 nodes.
    pub id4: Option<NodeId>,
    /// Our id among IPv6 nodes.
    pub id6: Option<NodeId>,
    /// Nodes that were there.
    pub nodes: Vec<NodeInfo>,
}

/// A node, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// One for each family that is on.
    pub nodes: Vec<NodeStatus>,
    /// Lookups: some that ended, then those under way.
    pub lookups: Vec<LookupStatus>,
    /// Torrents that are looked up from time to time.
    pub wanted: usize,
    /// Torrents whose peers are stored here.
    pub stored_torrents: usize,
    /// Peers stored.
    pub stored_peers: usize,
    /// Items stored (BEP 44).
    pub stored_items: usize,
    /// Whether we answer nobody (BEP 43).
    pub read_only: bool,
    /// Counts since the start.
    pub counters: Counters,
}

/// One family's half of a node, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// The family.
    pub family: Family,
    /// Our id.
    pub id: NodeId,
    /// Our endpoint as others see it.
    pub external: Option<SocketAddr>,
    /// The routing table's buckets that are not empty.
    pub buckets: Vec<BucketStatus>,
    /// Nodes that were heard from lately.
    pub good: usize,
    /// Nodes that may be gone.
    pub questionable: usize,
    /// Nodes waiting to replace one.
    pub replacements: usize,
    /// Lookups under way.
    pub lookups: usize,
}

/// A lookup, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupStatus {
    /// What is looked up: an info-hash, an item's key or a point near us.
    pub target: NodeId,
    /// Among which nodes.
    pub family: Family,
    /// Since when, or how long it took.
    pub elapsed: Duration,
    /// Peers found.
    pub peers: usize,
    /// Nodes asked, in the order in which they were.
    pub path: Vec<Hop>,
    /// Whether it has ended.
    pub done: bool,
}

impl Dht {
    /// What is to be shown.
    pub fn status(&self, now: Instant) -> Status {
        Status {
            nodes: self.overlays().map(|overlay| self.node_status(now, overlay)).collect(),
            lookups: self.runs.status(now),
            wanted: self.wants.len(),
            stored_torrents: self.peers.torrents(),
            stored_peers: self.peers.count(),
            stored_items: self.items.len(),
            read_only: self.config.read_only,
            counters: self.counters,
        }
    }

    fn node_status(&self, now: Instant, overlay: &Overlay) -> NodeStatus {
        let buckets = overlay.table.status(now);
        let good = buckets.iter().map(|bucket| bucket.good).sum();
        NodeStatus {
            family: overlay.family,
            id: overlay.id,
            external: overlay.external,
            good,
            questionable: overlay.table.len() - good,
            replacements: buckets.iter().map(|bucket| bucket.replacements).sum(),
            lookups: self.runs.count(overlay.family),
            buckets,
        }
    }

    /// Our id in a family, if that is on.
    pub fn id(&self, family: Family) -> Option<NodeId> {
        self.overlay(family).map(|overlay| overlay.id)
    }

    /// What is to be remembered: to be saved from time to time and at the end.
    pub fn export(&self, now: Instant) -> State {
        let nodes = |overlay: &Overlay| {
            let mut entries: Vec<_> = overlay.table.entries().collect();
            entries.sort_by_key(|entry| !entry.is_good(now));
            entries.into_iter().map(|entry| entry.node).take(MAX_KEPT).collect::<Vec<_>>()
        };
        State {
            id4: self.id(Family::V4),
            id6: self.id(Family::V6),
            nodes: self.overlays().flat_map(nodes).collect(),
        }
    }
}

impl State {
    /// As bytes: a bencoded dictionary, the nodes as in a message.
    pub fn to_bytes(&self) -> Vec<u8> {
        let list = |ipv6: bool| {
            let mut bytes = Vec::new();
            for node in self.nodes.iter().filter(|node| node.addr.is_ipv6() == ipv6) {
                bytes.extend_from_slice(node.id.as_bytes());
                compact::push(node.addr, &mut bytes);
            }
            bytes
        };
        let mut encoder = Encoder::new();
        encoder.dict(|d| {
            for (key, id) in [(&b"id4"[..], self.id4), (b"id6", self.id6)] {
                if let Some(id) = id {
                    d.bytes(key, id.as_bytes());
                }
            }
            d.bytes(b"nodes", &list(false));
            d.bytes(b"nodes6", &list(true));
        });
        encoder.finish()
    }

    /// From bytes; what is malformed is left out.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let Ok(document) = Document::decode(bytes, Limits::MESSAGE) else { return Self::default() };
        let root = document.root();
        let id = |key| root.dict_get(key).and_then(|id| id.as_array()).copied().map(NodeId);
        let mut nodes = read_nodes::<{ compact::V4_LEN }>(root, b"nodes");
        nodes.extend(read_nodes::<{ compact::V6_LEN }>(root, b"nodes6"));
        Self { id4: id(b"id4"), id6: id(b"id6"), nodes }
    }
}

fn read_nodes<const N: usize>(root: Value<'_>, key: &[u8]) -> Vec<NodeInfo> {
    let list = root.dict_bytes(key).unwrap_or_default();
    let read = |node: &[u8]| {
        let (id, addr) = node.split_first_chunk()?;
        let addr = if N == compact::V4_LEN { compact::v4(addr).next() } else { compact::v6(addr).next() }?;
        Some(NodeInfo { id: NodeId(*id), addr })
    };
    list.chunks_exact(ID_LEN + N).take(MAX_KEPT).filter_map(read).collect()
}
