//! Nodes that mean harm.

use proto::{
    id::InfoHash,
    krpc::{Ask, Body, Message, NodeId, NodeInfo, Query, Response, Tx, Want},
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::net::SocketAddr;

/// Datagrams that a spammer sends to each victim a second.
const SPAM: usize = 10;

/// What a hostile node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trick {
    /// Answers under another id each time, near to what is asked for.
    WrongIds,
    /// Floods with queries, announcements without tokens and garbage, and answers nothing.
    Spam,
    /// Has an id that fits its address, and names nodes that are very near to everything and do not exist, and peers likewise.
    JunkNodes,
}

/// A hostile node.
pub struct Hostile {
    trick: Trick,
    id: NodeId,
    rng: Xoshiro256PlusPlus,
}

type Sent = Vec<(SocketAddr, Vec<u8>)>;

impl Hostile {
    /// A hostile node at an endpoint.
    pub fn new(trick: Trick, addr: SocketAddr, seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self { trick, id: NodeId::for_address(addr.ip(), rng.random()), rng }
    }

    /// Answers a datagram, in its way.
    pub fn on(&mut self, from: SocketAddr, bytes: &[u8]) -> Sent {
        let Ok(Message { tx, body: Body::Query(query), .. }) = Message::decode(bytes) else {
            return Vec::new();
        };
        let target = query.target().unwrap_or(self.id);
        let id = match self.trick {
            Trick::Spam => return Vec::new(),
            Trick::WrongIds => self.near(target),
            Trick::JunkNodes => self.id,
        };
        let mut response = Response::new(id);
        response.nodes4 = Some((0..8).map(|_| self.junk(target)).collect());
        response.token = Some(b"junk".to_vec());
        if let Ask::GetPeers { .. } = query.ask {
            response.peers = (0..20).map(|_| self.junk(target).addr).collect();
        }
        vec![(from, message(tx, Body::Response(Box::new(response))))]
    }

    /// Makes itself known, or worse.
    pub fn bother(&mut self, victims: &[SocketAddr]) -> Sent {
        let count = if self.trick == Trick::Spam { SPAM } else { 1 };
        let all = victims.iter().flat_map(|victim| std::iter::repeat_n(*victim, count));
        all.map(|victim| (victim, self.noise())).collect()
    }

    fn noise(&mut self) -> Vec<u8> {
        let random = NodeId(self.rng.random());
        let target = NodeId(self.rng.random());
        let spam = self.trick == Trick::Spam;
        let (id, ask) = match self.rng.random_range(0..4) {
            0 if spam => return (0..100).map(|_| self.rng.random()).collect(),
            1 if spam => {
                let token = b"guess".to_vec();
                (random, Ask::Announce { info_hash: InfoHash(target.0), port: Some(1), token, seed: false })
            }
            2 if spam => {
                (random, Ask::GetPeers { info_hash: InfoHash(target.0), no_seed: false, scrape: true })
            }
            _ => (if spam { random } else { self.id }, Ask::FindNode { target }),
        };
        let tx = Tx::from_number(self.rng.random());
        message(tx, Body::Query(Query { id, want: Want::default(), ask }))
    }

    /// A point next to another.
    fn near(&mut self, target: NodeId) -> NodeId {
        let mut id = target;
        id.0[18..].copy_from_slice(&self.rng.random::<[u8; 2]>());
        id
    }

    /// A node that does not exist, next to the target.
    fn junk(&mut self, target: NodeId) -> NodeInfo {
        let addr = SocketAddr::from(([80, self.rng.random(), self.rng.random(), self.rng.random()], 6881));
        NodeInfo { id: self.near(target), addr }
    }
}

fn message(tx: Tx, body: Body) -> Vec<u8> {
    Message { tx, version: None, read_only: false, seen_as: None, body }.encode()
}
