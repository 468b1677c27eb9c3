//! From messages to datagrams.

use super::{Ask, Body, Item, Message, NodeInfo, Put, Query, Response, Want};
use crate::{
    bencode::{Dict, Encoder},
    compact,
};
use std::net::SocketAddr;

impl Message {
    /// The datagram.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.dict(|d| {
            match &self.body {
                Body::Query(query) => d.dict(b"a", |a| arguments(a, query)),
                Body::Error(error) => d.list(b"e", |e| {
                    e.int(error.code);
                    e.bytes(error.text.as_bytes());
                }),
                Body::Response(_) => {}
            }
            if let Some(addr) = self.seen_as {
                d.bytes(b"ip", &endpoint(addr));
            }
            let kind = match &self.body {
                Body::Query(query) => {
                    d.bytes(b"q", query.ask.method().as_bytes());
                    b"q"
                }
                Body::Response(response) => {
                    d.dict(b"r", |r| results(r, response));
                    b"r"
                }
                Body::Error(_) => b"e",
            };
            if self.read_only {
                d.int(b"ro", 1);
            }
            d.bytes(b"t", self.tx.as_bytes());
            if let Some(version) = self.version {
                d.bytes(b"v", &version);
            }
            d.bytes(b"y", kind);
        });
        encoder.finish()
    }
}

impl Ask {
    /// The query's name in the message.
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::FindNode { .. } => "find_node",
            Self::GetPeers { .. } => "get_peers",
            Self::Announce { .. } => "announce_peer",
            Self::Get { .. } => "get",
            Self::Put(_) => "put",
            Self::Sample { .. } => "sample_infohashes",
        }
    }
}

fn arguments(a: &mut Dict<'_>, query: &Query) {
    let id = query.id.as_bytes();
    match &query.ask {
        Ask::Ping => a.bytes(b"id", id),
        Ask::FindNode { target } | Ask::Sample { target } => {
            a.bytes(b"id", id);
            a.bytes(b"target", target.as_bytes());
            want(a, query.want);
        }
        Ask::GetPeers { info_hash, no_seed, scrape } => {
            a.bytes(b"id", id);
            a.bytes(b"info_hash", info_hash.as_bytes());
            flag(a, b"noseed", *no_seed);
            flag(a, b"scrape", *scrape);
            want(a, query.want);
        }
        Ask::Announce { info_hash, port, token, seed } => {
            a.bytes(b"id", id);
            flag(a, b"implied_port", port.is_none());
            a.bytes(b"info_hash", info_hash.as_bytes());
            a.int(b"port", i64::from(port.unwrap_or(0)));
            flag(a, b"seed", *seed);
            a.bytes(b"token", token);
        }
        Ask::Get { target, seq } => {
            a.bytes(b"id", id);
            if let Some(seq) = seq {
                a.int(b"seq", *seq);
            }
            a.bytes(b"target", target.as_bytes());
            want(a, query.want);
        }
        Ask::Put(put) => put_arguments(a, query, put),
    }
}

fn put_arguments(a: &mut Dict<'_>, query: &Query, put: &Put) {
    if let Some(cas) = put.cas {
        a.int(b"cas", cas);
    }
    a.bytes(b"id", query.id.as_bytes());
    if let Item::Mutable(item) = &put.item {
        a.bytes(b"k", &item.key);
        if !item.salt.is_empty() {
            a.bytes(b"salt", &item.salt);
        }
        a.int(b"seq", item.seq);
        a.bytes(b"sig", &item.signature);
    }
    a.bytes(b"token", &put.token);
    a.raw(b"v", put.item.value());
}

fn results(r: &mut Dict<'_>, response: &Response) {
    for (key, bloom) in [(b"BFpe", &response.leeches), (b"BFsd", &response.seeds)] {
        if let Some(bloom) = bloom {
            r.bytes(key, &bloom.0);
        }
    }
    r.bytes(b"id", response.id.as_bytes());
    if let Some(samples) = &response.samples {
        r.int(b"interval", i64::from(samples.interval));
    }
    let mutable = match &response.item {
        Some(Item::Mutable(item)) => Some(item),
        _ => None,
    };
    if let Some(item) = mutable {
        r.bytes(b"k", &item.key);
    }
    for (key, nodes) in [(&b"nodes"[..], &response.nodes4), (b"nodes6", &response.nodes6)] {
        if let Some(nodes) = nodes {
            r.bytes(key, &compact_nodes(nodes));
        }
    }
    if let Some(samples) = &response.samples {
        r.int(b"num", i64::from(samples.num));
        let hashes: Vec<u8> = samples.hashes.iter().flat_map(|hash| hash.0).collect();
        r.bytes(b"samples", &hashes);
    }
    if let Some(seq) = mutable.map(|item| item.seq).or(response.seq) {
        r.int(b"seq", seq);
    }
    if let Some(item) = mutable {
        r.bytes(b"sig", &item.signature);
    }
    if let Some(token) = &response.token {
        r.bytes(b"token", token);
    }
    if let Some(item) = &response.item {
        r.raw(b"v", item.value());
    }
    if !response.peers.is_empty() {
        r.list(b"values", |l| response.peers.iter().for_each(|peer| l.bytes(&endpoint(*peer))));
    }
}

fn flag(a: &mut Dict<'_>, key: &[u8], set: bool) {
    if set {
        a.int(key, 1);
    }
}

fn want(a: &mut Dict<'_>, want: Want) {
    if want != Want::default() {
        a.list(b"want", |l| {
            if want.v4 {
                l.bytes(b"n4");
            }
            if want.v6 {
                l.bytes(b"n6");
            }
        });
    }
}

fn endpoint(addr: SocketAddr) -> Vec<u8> {
    let mut out = Vec::with_capacity(compact::V6_LEN);
    compact::push(addr, &mut out);
    out
}

fn compact_nodes(nodes: &[NodeInfo]) -> Vec<u8> {
    let mut out = Vec::new();
    for node in nodes {
        out.extend_from_slice(node.id.as_bytes());
        compact::push(node.addr, &mut out);
    }
    out
}
