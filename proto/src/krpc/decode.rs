//! From datagrams to messages.

use super::{
    Ask, Body, Item, MAX_DATAGRAM, MAX_ERROR, MAX_NODES, MAX_PEERS, MAX_SAMPLES, MAX_TOKEN, Message, Mutable,
    NodeId, NodeInfo, Put, Query, Refusal, Response, Samples, Token, Tx, Want, code, node_len,
};
use crate::{
    bencode::{Document, Limits, Value},
    compact,
    id::{ID_LEN, InfoHash},
    text::printable,
};
use std::net::{Ipv6Addr, SocketAddr};

/// Why a datagram is not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is not one at all, or an answer that is malformed: not to be answered.
    #[error("{0}")]
    Garbage(&'static str),
    /// It is a query, but one that cannot be understood: its sender is to be told so.
    #[error("{why}")]
    Query {
        /// Which query.
        tx: Tx,
        /// [`code::PROTOCOL`] or [`code::METHOD_UNKNOWN`].
        code: i64,
        /// For people.
        why: &'static str,
    },
}

impl Message {
    /// Reads a datagram.
    pub fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        if datagram.len() > MAX_DATAGRAM {
            return Err(DecodeError::Garbage("datagram too large"));
        }
        let document =
            Document::decode(datagram, Limits::MESSAGE).map_err(|_| DecodeError::Garbage("not bencoded"))?;
        let root = document.root();
        let tx = root.dict_bytes(b"t").and_then(Tx::new).ok_or(DecodeError::Garbage("no transaction id"))?;
        let body = match root.dict_bytes(b"y") {
            Some(b"q") => {
                let query = query(root);
                Body::Query(query.map_err(|(code, why)| DecodeError::Query { tx: tx.clone(), code, why })?)
            }
            Some(b"r") => {
                Body::Response(Box::new(response(root).ok_or(DecodeError::Garbage("malformed answer"))?))
            }
            Some(b"e") => Body::Error(refusal(root).ok_or(DecodeError::Garbage("malformed error"))?),
            _ => return Err(DecodeError::Garbage("neither query, answer nor error")),
        };
        Ok(Self {
            tx,
            version: root.dict_bytes(b"v").and_then(|v| v.first_chunk().copied()),
            read_only: root.dict_int(b"ro") == Some(1),
            seen_as: root.dict_bytes(b"ip").and_then(endpoint),
            body,
        })
    }
}

/// A malformed query: the error's code and text.
type Fault = (i64, &'static str);

const fn fault(why: &'static str) -> Fault {
    (code::PROTOCOL, why)
}

fn query(root: Value<'_>) -> Result<Query, Fault> {
    let method = root.dict_bytes(b"q").ok_or(fault("no method"))?;
    let a = root.dict_get(b"a").filter(Value::is_dict).ok_or(fault("no arguments"))?;
    let id = node_id(a, b"id").ok_or(fault("invalid id"))?;
    let target = || node_id(a, b"target").ok_or(fault("invalid target"));
    let ask = match method {
        b"ping" => Ask::Ping,
        b"find_node" => Ask::FindNode { target: target()? },
        b"get_peers" => Ask::GetPeers {
            info_hash: info_hash(a)?,
            no_seed: flag(a, b"noseed"),
            scrape: flag(a, b"scrape"),
        },
        b"announce_peer" => announce(a)?,
        b"get" => Ask::Get { target: target()?, seq: a.dict_int(b"seq") },
        b"put" => Ask::Put(Box::new(put(a)?)),
        b"sample_infohashes" => Ask::Sample { target: target()? },
        _ => return Err((code::METHOD_UNKNOWN, "method unknown")),
    };
    let wants = |family: &[u8]| {
        a.dict_get(b"want").is_some_and(|want| want.list().any(|v| v.as_str_bytes() == Some(family)))
    };
    Ok(Query { id, want: Want { v4: wants(b"n4"), v6: wants(b"n6") }, ask })
}

fn announce(a: Value<'_>) -> Result<Ask, Fault> {
    let port = if flag(a, b"implied_port") {
        None
    } else {
        let port = a.dict_get(b"port").and_then(|port| port.as_num::<u16>()).filter(|port| *port != 0);
        Some(port.ok_or(fault("invalid port"))?)
    };
    Ok(Ask::Announce {
        info_hash: info_hash(a)?,
        port,
        token: token(a).ok_or(fault("invalid token"))?,
        seed: flag(a, b"seed"),
    })
}

fn put(a: Value<'_>) -> Result<Put, Fault> {
    let token = token(a).ok_or(fault("invalid token"))?;
    let value = a.dict_get(b"v").ok_or(fault("no value"))?.raw().to_vec();
    let item = match a.dict_get(b"k") {
        None => Item::Immutable(value),
        Some(key) => Item::Mutable(Mutable {
            key: *key.as_array().ok_or(fault("invalid key"))?,
            salt: a.dict_bytes(b"salt").unwrap_or_default().to_vec(),
            seq: a.dict_int(b"seq").ok_or(fault("invalid seq"))?,
            signature: *a.dict_get(b"sig").and_then(|sig| sig.as_array()).ok_or(fault("invalid sig"))?,
            value,
        }),
    };
    Ok(Put { token, item, cas: a.dict_int(b"cas") })
}

/// `None` only if the id is missing: parts of an answer that are malformed are left out.
fn response(root: Value<'_>) -> Option<Response> {
    let r = root.dict_get(b"r").filter(Value::is_dict)?;
    let peers = r.dict_get(b"values").into_iter().flat_map(|values| values.list());
    let bloom = |key| r.dict_get(key)?.as_array().map(|bytes| Box::new(super::Bloom(*bytes)));
    Some(Response {
        id: node_id(r, b"id")?,
        nodes4: r.dict_bytes(b"nodes").map(nodes::<{ compact::V4_LEN }>),
        nodes6: r.dict_bytes(b"nodes6").map(nodes::<{ compact::V6_LEN }>),
        token: token(r),
        peers: peers.filter_map(|peer| endpoint(peer.as_str_bytes()?)).take(MAX_PEERS).collect(),
        seeds: bloom(b"BFsd"),
        leeches: bloom(b"BFpe"),
        item: item(r),
        seq: r.dict_int(b"seq"),
        samples: samples(r),
    })
}

fn item(r: Value<'_>) -> Option<Item> {
    let value = r.dict_get(b"v")?.raw().to_vec();
    let Some(key) = r.dict_get(b"k") else { return Some(Item::Immutable(value)) };
    Some(Item::Mutable(Mutable {
        key: *key.as_array()?,
        salt: Vec::new(),
        seq: r.dict_int(b"seq")?,
        signature: *r.dict_get(b"sig")?.as_array()?,
        value,
    }))
}

fn samples(r: Value<'_>) -> Option<Samples> {
    let (hashes, _) = r.dict_bytes(b"samples")?.as_chunks::<ID_LEN>();
    Some(Samples {
        interval: r.dict_get(b"interval").and_then(|v| v.as_num()).unwrap_or(0),
        num: r.dict_get(b"num").and_then(|v| v.as_num()).unwrap_or(0),
        hashes: hashes.iter().take(MAX_SAMPLES).map(|hash| InfoHash(*hash)).collect(),
    })
}

fn refusal(root: Value<'_>) -> Option<Refusal> {
    let mut parts = root.dict_get(b"e")?.list();
    let code = parts.next()?.as_int()?;
    let text = parts.next().and_then(|text| text.as_str_bytes()).unwrap_or_default();
    Some(Refusal { code, text: printable(text, MAX_ERROR) })
}

fn node_id(dict: Value<'_>, key: &[u8]) -> Option<NodeId> {
    dict.dict_get(key)?.as_array().copied().map(NodeId)
}

fn info_hash(a: Value<'_>) -> Result<InfoHash, Fault> {
    a.dict_get(b"info_hash")
        .and_then(|hash| hash.as_array())
        .copied()
        .map(InfoHash)
        .ok_or(fault("invalid info_hash"))
}

fn token(dict: Value<'_>) -> Option<Token> {
    dict.dict_bytes(b"token").filter(|token| token.len() <= MAX_TOKEN).map(<[u8]>::to_vec)
}

fn flag(a: Value<'_>, key: &[u8]) -> bool {
    a.dict_int(key).is_some_and(|value| value != 0)
}

/// An endpoint that something can be sent to.
fn endpoint(bytes: &[u8]) -> Option<SocketAddr> {
    let addr = match bytes.len() {
        compact::V4_LEN => compact::v4(bytes).next(),
        compact::V6_LEN => compact::v6(bytes).next(),
        _ => None,
    };
    addr.filter(is_usable)
}

/// Not a broadcast, multicast or unset address, nor an IPv4 one in the guise of IPv6.
fn is_usable(addr: &SocketAddr) -> bool {
    let ip_ok = match addr {
        SocketAddr::V4(v4) => !v4.ip().is_broadcast() && v4.ip().octets()[0] != 0,
        SocketAddr::V6(v6) => *v6.ip() != Ipv6Addr::UNSPECIFIED && v6.ip().to_ipv4_mapped().is_none(),
    };
    ip_ok && addr.port() != 0 && !addr.ip().is_multicast()
}

/// Nodes in compact form, with endpoints of `N` bytes.
fn nodes<const N: usize>(list: &[u8]) -> Vec<NodeInfo> {
    let read = |node: &[u8]| {
        let (id, addr) = node.split_first_chunk()?;
        Some(NodeInfo { id: NodeId(*id), addr: endpoint(addr)? })
    };
    list.chunks_exact(node_len(N)).take(MAX_NODES).filter_map(read).collect()
}
