//! The nodes, the network and the clock.

use crate::hostile::{Hostile, Trick};
use engine::dht::{Action, Config, Dht, Event, Family, Out, Report, State};
use proto::{id::InfoHash, krpc::NodeId, time::Instant};
use rand::{Rng, SeedableRng, seq::IteratorRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    hash::{DefaultHasher, Hash, Hasher},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

/// The first node's address; each has one of its own, on the Internet.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([20, 0, 0, 0]);
/// The port of all nodes.
const PORT: u16 = 6881;
/// One datagram in this many is lost.
const LOSS: u32 = 100;
/// Nodes that newcomers get in by.
const BOOTSTRAP: usize = 8;

enum Kind {
    Deliver { from: usize, bytes: Vec<u8> },
    Wake,
}

struct Scheduled {
    at: Instant,
    order: u64,
    to: usize,
    kind: Kind,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

enum Body {
    Honest(Box<Dht>),
    Hostile(Hostile),
    Gone,
}

struct Node {
    body: Body,
    /// When its timer is set to.
    timer: Instant,
}

/// The world.
pub struct World {
    /// The time.
    pub now: Instant,
    /// Everything that is random out here.
    pub rng: Xoshiro256PlusPlus,
    nodes: Vec<Node>,
    queue: BinaryHeap<Reverse<Scheduled>>,
    order: u64,
    jobs: u64,
    looked: BTreeMap<u64, Report>,
    peers: BTreeMap<InfoHash, BTreeSet<SocketAddr>>,
    datagrams: u64,
    bytes: u64,
    hash: DefaultHasher,
}

/// The endpoint of a node.
fn endpoint(node: usize) -> SocketAddr {
    let offset = u32::try_from(node).unwrap_or(u32::MAX);
    SocketAddr::new(Ipv4Addr::from(FIRST_ADDRESS + offset).into(), PORT)
}

/// The node at an endpoint, if it is one of ours.
fn index(addr: SocketAddr) -> Option<usize> {
    match addr.ip() {
        IpAddr::V4(ip) if addr.port() == PORT => {
            ip.to_bits().checked_sub(FIRST_ADDRESS).map(|index| index as usize)
        }
        _ => None,
    }
}

impl World {
    /// A world without nodes.
    pub fn new(seed: u64) -> Self {
        Self {
            now: Instant::from_secs(1),
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            nodes: Vec::new(),
            queue: BinaryHeap::new(),
            order: 0,
            jobs: 0,
            looked: BTreeMap::new(),
            peers: BTreeMap::new(),
            datagrams: 0,
            bytes: 0,
            hash: DefaultHasher::new(),
        }
    }

    /// A world of `count` nodes that came in one after the other and had time to settle.
    pub fn settled(seed: u64, count: usize, hostile: usize) -> Self {
        let mut world = Self::new(seed);
        // An hour for all to come, at any size.
        let pause = Duration::from_secs(1800) / u32::try_from(count).unwrap_or(u32::MAX);
        for n in 0..count {
            if hostile > 0 && n > BOOTSTRAP && n % (count / hostile) == 0 {
                world.join_hostile();
            } else {
                world.join();
            }
            world.run(pause);
        }
        world.run(Duration::from_secs(600));
        world
    }

    /// A node comes in, through one of the first that is still there. Returns its number.
    pub fn join(&mut self) -> usize {
        let index = self.nodes.len();
        let external = vec![endpoint(index).ip()];
        let config = Config { v6: false, seed: self.rng.random(), external, ..Config::default() };
        let dht = Dht::new(self.now, config, &State::default());
        self.nodes.push(Node { body: Body::Honest(Box::new(dht)), timer: Instant::NEVER });
        let contacts: Vec<SocketAddr> =
            (0..index.min(BOOTSTRAP)).choose_multiple(&mut self.rng, 3).into_iter().map(endpoint).collect();
        self.on(index, Event::Contacts(&contacts));
        self.reset_timer(index);
        index
    }

    /// A node that means harm comes in.
    pub fn join_hostile(&mut self) -> usize {
        let index = self.nodes.len();
        let trick = [Trick::WrongIds, Trick::Spam, Trick::JunkNodes][index % 3];
        let hostile = Hostile::new(trick, endpoint(index), self.rng.random());
        self.nodes.push(Node { body: Body::Hostile(hostile), timer: Instant::NEVER });
        self.set_timer(index, self.now);
        index
    }

    /// A node goes, without a word.
    pub fn leave(&mut self, node: usize) {
        self.nodes[node].body = Body::Gone;
    }

    /// The numbers of the honest nodes that are there.
    pub fn honest(&self) -> Vec<usize> {
        let honest = |n: &usize| matches!(self.nodes[*n].body, Body::Honest(_));
        (0..self.nodes.len()).filter(honest).collect()
    }

    /// An honest node at random.
    pub fn anyone(&mut self) -> usize {
        loop {
            let node = self.rng.random_range(0..self.nodes.len());
            if matches!(self.nodes[node].body, Body::Honest(_)) {
                return node;
            }
        }
    }

    /// An honest node's machine.
    pub fn node(&self, node: usize) -> Option<&Dht> {
        match &self.nodes[node].body {
            Body::Honest(dht) => Some(dht),
            _ => None,
        }
    }

    /// The endpoint of a node.
    pub fn addr(&self, node: usize) -> SocketAddr {
        endpoint(node)
    }

    /// Every honest node's id and endpoint.
    pub fn ids(&self) -> Vec<(NodeId, SocketAddr)> {
        let id = |n: usize| self.node(n).and_then(|dht| dht.id(Family::V4));
        self.honest().into_iter().filter_map(|n| Some((id(n)?, endpoint(n)))).collect()
    }

    /// Something happens to a node.
    pub fn on(&mut self, node: usize, event: Event<'_>) {
        let mut out = Out::new();
        if let Body::Honest(dht) = &mut self.nodes[node].body {
            dht.on(self.now, event, &mut out);
        }
        self.take(node, out);
        self.reset_timer(node);
    }

    /// Several nodes look something up at once; returns the reports, in order.
    pub fn look_up(&mut self, wanted: &[(usize, InfoHash)]) -> Vec<Report> {
        let first = self.jobs;
        for (node, info_hash) in wanted {
            let job = self.jobs;
            self.jobs += 1;
            self.on(*node, Event::Lookup { job, info_hash: *info_hash });
        }
        let end = self.now + Duration::from_secs(300);
        while self.now < end && (first..self.jobs).any(|job| !self.looked.contains_key(&job)) {
            self.run(Duration::from_secs(1));
        }
        (first..self.jobs).filter_map(|job| self.looked.remove(&job)).collect()
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.queue.peek().is_some_and(|Reverse(next)| next.at <= end) {
            let Some(Reverse(next)) = self.queue.pop() else { break };
            self.now = next.at;
            match next.kind {
                Kind::Deliver { from, bytes } => self.deliver(next.to, from, &bytes),
                Kind::Wake if self.nodes[next.to].timer == next.at => self.wake(next.to),
                Kind::Wake => {}
            }
        }
        self.now = end;
    }

    /// Datagrams sent so far, and their bytes.
    pub fn traffic(&self) -> (u64, u64) {
        (self.datagrams, self.bytes)
    }

    /// A digest of everything that was sent.
    pub fn trace(&self) -> u64 {
        self.hash.finish()
    }

    fn deliver(&mut self, to: usize, from: usize, bytes: &[u8]) {
        match &mut self.nodes[to].body {
            Body::Honest(_) => self.on(to, Event::Datagram { from: endpoint(from), bytes }),
            Body::Hostile(hostile) => {
                let replies = hostile.on(endpoint(from), bytes);
                replies.into_iter().for_each(|(addr, bytes)| self.send(to, addr, bytes));
            }
            Body::Gone => {}
        }
    }

    fn wake(&mut self, node: usize) {
        self.nodes[node].timer = Instant::NEVER;
        let mut out = Out::new();
        match &mut self.nodes[node].body {
            Body::Honest(dht) => dht.wake(self.now, &mut out),
            Body::Hostile(_) => return self.wake_hostile(node),
            Body::Gone => return,
        }
        self.take(node, out);
        self.reset_timer(node);
    }

    /// Hostile nodes turn to some others every second.
    fn wake_hostile(&mut self, node: usize) {
        let victims: Vec<SocketAddr> =
            (0..self.nodes.len()).choose_multiple(&mut self.rng, 3).into_iter().map(endpoint).collect();
        if let Body::Hostile(hostile) = &mut self.nodes[node].body {
            let sent = hostile.bother(&victims);
            sent.into_iter().for_each(|(addr, bytes)| self.send(node, addr, bytes));
        }
        self.set_timer(node, self.now + Duration::from_secs(1));
    }

    fn take(&mut self, node: usize, out: Out) {
        for action in out {
            match action {
                Action::Send { to, bytes } => self.send(node, to, bytes),
                Action::Looked { job, report } => drop(self.looked.insert(job, report)),
                Action::Peers { info_hash, addrs } => self.peers.entry(info_hash).or_default().extend(addrs),
                Action::NeedContacts => {
                    let contacts: Vec<SocketAddr> = (0..BOOTSTRAP).map(endpoint).collect();
                    self.on(node, Event::Contacts(&contacts));
                }
                Action::External(_) | Action::Got { .. } | Action::Stored { .. } => {}
            }
        }
    }

    fn send(&mut self, from: usize, to: SocketAddr, bytes: Vec<u8>) {
        self.datagrams += 1;
        self.bytes += bytes.len() as u64;
        (self.now, from, to, &bytes).hash(&mut self.hash);
        let Some(to) = index(to).filter(|to| *to < self.nodes.len()) else { return };
        if self.rng.random_range(0..LOSS) == 0 {
            return;
        }
        // Each pair has its distance, and each datagram its luck.
        let distance = (from as u64 ^ to as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 57;
        let delay = Duration::from_millis(10 + distance + self.rng.random_range(0..20));
        self.schedule(self.now + delay, to, Kind::Deliver { from, bytes });
    }

    fn schedule(&mut self, at: Instant, to: usize, kind: Kind) {
        self.order += 1;
        self.queue.push(Reverse(Scheduled { at, order: self.order, to, kind }));
    }

    fn set_timer(&mut self, node: usize, at: Instant) {
        if self.nodes[node].timer != at {
            self.nodes[node].timer = at;
            self.schedule(at, node, Kind::Wake);
        }
    }

    fn reset_timer(&mut self, node: usize) {
        let Some((at, _)) = self.node(node).and_then(Dht::deadline) else { return };
        // A machine that was woken and wants to be woken at once would stand still for ever.
        let at = at.max(self.now + Duration::from_micros(1));
        // A timer that is set to an earlier time is let run: it costs a call, and spares the queue.
        if at < self.nodes[node].timer {
            self.set_timer(node, at);
        }
    }
}
