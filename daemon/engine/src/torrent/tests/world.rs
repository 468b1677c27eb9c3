//! A small world: nodes with an upload rate each, links with a delay, storage that counts.

use super::super::*;
use crate::out::{BlockDigest, Caps, DropReason, Source};
use proto::{id::InfoHash, layout::Layout, strategy::Strategy, wire::Message};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    time::Duration,
};

/// One way through the network.
const DELAY: Duration = Duration::from_millis(20);

/// From the last block to the verified piece.
const HASH_TIME: Duration = Duration::from_millis(3);

pub(super) struct Spec {
    pub(super) seed: bool,
    /// Upload bytes per second; 0 never sends a block.
    pub(super) rate: u64,
    /// Every block it sends is bad.
    pub(super) corrupt: bool,
    pub(super) strategy: Strategy,
    pub(super) fast: bool,
}

impl Spec {
    pub(super) fn new(seed: bool, rate: u64) -> Self {
        Self { seed, rate, corrupt: false, strategy: Strategy::default(), fast: true }
    }
}

pub(super) struct Node {
    pub(super) torrent: Torrent,
    pub(super) spec: Spec,
    addr: SocketAddr,
    id: PeerId,
    free_at: Instant,
    /// The other end of each connection.
    links: BTreeMap<PeerKey, (usize, PeerKey)>,
    waiting: VecDeque<PeerKey>,
    /// Blocks kept, by piece and index: whether they are good.
    kept: BTreeMap<u32, BTreeMap<u32, bool>>,
    digests: BTreeSet<u32>,
    pub(super) completed_at: Option<Instant>,
    pub(super) drops: Vec<(usize, DropReason)>,
    /// Blocks asked for and not answered, with how many were asked.
    asked: BTreeMap<Block, BTreeSet<PeerKey>>,
    /// Whom it unchokes, and what others may have without.
    unchoked: BTreeSet<PeerKey>,
    allowed: BTreeSet<(PeerKey, u32)>,
    woken: Option<Instant>,
}

#[derive(Debug)]
enum Ev {
    On(usize, Event, bool),
    Pump(usize),
    Wake(usize),
    Dial(usize, SocketAddr),
}

pub(super) struct World {
    pub(super) layout: Layout,
    pub(super) nodes: Vec<Node>,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    events: BTreeMap<u64, Ev>,
    serial: u64,
    next_key: u32,
    pub(super) now: Instant,
}

impl World {
    pub(super) fn new(layout: Layout, specs: Vec<Spec>) -> Self {
        let mut world = Self {
            layout: layout.clone(),
            nodes: Vec::new(),
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            serial: 0,
            next_key: 0,
            now: Instant::from_secs(1),
        };
        for (at, spec) in specs.into_iter().enumerate() {
            world.nodes.push(node(layout.clone(), at, spec));
        }
        for at in 0..world.nodes.len() {
            world.push(world.now, Ev::On(at, Event::Run(true), true));
        }
        world
    }

    /// Everyone learns of everyone with a smaller number.
    pub(super) fn introduce(&mut self) {
        let addrs: Vec<SocketAddr> = self.nodes.iter().map(|node| node.addr).collect();
        for at in 0..self.nodes.len() {
            let event = Event::Candidates { source: Source::Tracker, addrs: addrs[..at].to_vec() };
            self.push(self.now, Ev::On(at, event, true));
        }
    }

    pub(super) fn tell(&mut self, at: usize, event: Event) {
        self.push(self.now, Ev::On(at, event, true));
    }

    fn push(&mut self, at: Instant, ev: Ev) {
        self.serial += 1;
        self.events.insert(self.serial, ev);
        self.queue.push(Reverse((at, self.serial)));
    }

    /// Runs until `done` says so or the time is over; whether it did.
    pub(super) fn run(&mut self, secs: u64, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + Duration::from_secs(secs);
        while let Some(Reverse((at, serial))) = self.queue.pop() {
            assert!(at >= self.now);
            if at > end {
                self.queue.push(Reverse((at, serial)));
                self.now = end;
                return false;
            }
            self.now = at;
            let ev = self.events.remove(&serial).unwrap();
            self.step(ev);
            if done(self) {
                return true;
            }
        }
        false
    }

    pub(super) fn all_seed(&self) -> bool {
        self.nodes.iter().all(|node| node.spec.rate == 0 || node.spec.corrupt || node.torrent.is_seed())
    }

    fn step(&mut self, ev: Ev) {
        match ev {
            Ev::On(at, event, good) => self.on(at, event, good),
            Ev::Wake(at) => {
                self.nodes[at].woken = None;
                if self.nodes[at].torrent.deadline().is_some_and(|(when, _)| when <= self.now) {
                    let mut out = Out::new();
                    self.nodes[at].torrent.wake(self.now, &mut out);
                    self.act(at, out, true, None);
                }
                self.schedule(at);
            }
            Ev::Pump(at) => self.pump(at),
            Ev::Dial(from, addr) => self.connect(from, addr),
        }
    }

    fn on(&mut self, at: usize, event: Event, good: bool) {
        let key = match &event {
            Event::Block { peer, .. } | Event::Message { peer, .. } | Event::Closed { peer } => Some(*peer),
            _ => None,
        };
        if key.is_some_and(|key| !self.nodes[at].links.contains_key(&key)) {
            return;
        }
        if let Event::Closed { peer } = &event {
            self.nodes[at].links.remove(peer);
            self.nodes[at].gone(*peer);
        }
        let answers = matches!(event, Event::Block { .. });
        if let Event::Block { peer, block } = &event
            && let Some(asked) = self.nodes[at].asked.get_mut(block)
        {
            asked.remove(peer);
        }
        if let Event::Message { peer, message: Message::Reject(block) } = &event
            && let Some(asked) = self.nodes[at].asked.get_mut(block)
        {
            asked.remove(peer);
        }
        if let Event::Message { peer, message: Message::Choke } = &event
            && !self.nodes[at].spec.fast
        {
            self.nodes[at].gone_requests(*peer);
        }
        let mut out = Out::new();
        self.nodes[at].torrent.on(self.now, event, &mut out);
        let verdicts = out.iter().filter(|a| matches!(a, Action::Keep { .. } | Action::Discard)).count();
        assert_eq!(verdicts, usize::from(answers), "one answer for each block");
        self.act(at, out, good, key);
        self.schedule(at);
    }

    fn schedule(&mut self, at: usize) {
        let Some((when, _)) = self.nodes[at].torrent.deadline() else { return };
        let when = when.max(self.now);
        if self.nodes[at].woken.is_none_or(|woken| when < woken) {
            self.nodes[at].woken = Some(when);
            self.push(when, Ev::Wake(at));
        }
    }

    fn act(&mut self, at: usize, out: Out, good: bool, from: Option<PeerKey>) {
        for action in out {
            match action {
                Action::Send { peer, message } => self.send(at, peer, message),
                Action::Drop { peer, why } => {
                    let Some((other, key)) = self.nodes[at].links.remove(&peer) else { continue };
                    self.nodes[at].gone(peer);
                    self.nodes[at].drops.push((other, why));
                    self.push(self.now + DELAY, Ev::On(other, Event::Closed { peer: key }, true));
                }
                Action::Dial { addr } => self.push(self.now + DELAY * 2, Ev::Dial(at, addr)),
                Action::Keep { block } => self.keep(at, block, good),
                Action::Upload { peer } => {
                    self.nodes[at].waiting.push_back(peer);
                    self.push(self.now, Ev::Pump(at));
                }
                Action::WantDigests { piece } => {
                    self.nodes[at].digests.insert(piece);
                }
                Action::Completed => self.nodes[at].completed_at = Some(self.now),
                Action::Metadata { .. } => unreachable!("a torrent has its metadata"),
                Action::Discard | Action::SeenAs { .. } | Action::ExtIds { .. } | Action::DhtNode { .. } => {}
            }
        }
        let _ = from;
    }

    fn send(&mut self, at: usize, peer: PeerKey, message: Message) {
        let node = &mut self.nodes[at];
        let Some(&(other, key)) = node.links.get(&peer) else {
            panic!("sends to a connection that is closed: {message:?}")
        };
        match &message {
            Message::Unchoke => {
                node.unchoked.insert(peer);
            }
            Message::Choke => {
                node.unchoked.remove(&peer);
            }
            Message::AllowedFast(piece) => {
                node.allowed.insert((peer, *piece));
            }
            Message::Request(block) => node.ask(peer, *block),
            Message::Cancel(block) => {
                if let Some(asked) = node.asked.get_mut(block) {
                    asked.remove(&peer);
                }
            }
            Message::Have(piece) => assert!(node.torrent.have().has(*piece), "claims what it lacks"),
            _ => {}
        }
        let slots = node.spec.strategy.upload_slots + node.spec.strategy.optimistic_slots;
        assert!(node.unchoked.len() <= slots as usize, "more slots than there are");
        self.push(self.now + DELAY, Ev::On(other, Event::Message { peer: key, message }, true));
    }

    fn keep(&mut self, at: usize, block: Block, good: bool) {
        let blocks = self.layout.blocks_in(block.piece);
        let node = &mut self.nodes[at];
        let index = block.begin / proto::layout::BLOCK;
        let kept = node.kept.entry(block.piece).or_default();
        assert!(kept.insert(index, good).is_none(), "kept twice: {block:?}");
        if kept.len() < blocks as usize {
            return;
        }
        let kept = node.kept.remove(&block.piece).unwrap();
        let digest = |(index, good): (&u32, &bool)| BlockDigest { index: *index, digest: u64::from(*good) };
        let digests: Vec<BlockDigest> = kept.iter().map(digest).collect();
        let piece = block.piece;
        let event = if kept.values().all(|good| *good) {
            let wanted = node.digests.remove(&piece);
            Event::PieceDone { piece, digests: if wanted { digests } else { Vec::new() } }
        } else {
            Event::PieceBad { piece, digests }
        };
        self.push(self.now + HASH_TIME, Ev::On(at, event, true));
    }

    /// Sends one block, if the uplink is free and someone waits.
    fn pump(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.spec.rate == 0 || node.free_at > self.now {
            return;
        }
        let mut blocks = Vec::new();
        while let Some(peer) = node.waiting.pop_front() {
            node.torrent.next_uploads(peer, 1, &mut blocks);
            let Some(&block) = blocks.first() else { continue };
            let Some(&(other, key)) = node.links.get(&peer) else { continue };
            assert!(
                node.unchoked.contains(&peer) || node.allowed.contains(&(peer, block.piece)),
                "a choked peer gets nothing but allowed-fast"
            );
            assert!(node.torrent.have().has(block.piece));
            node.waiting.push_back(peer);
            node.free_at =
                self.now + Duration::from_micros(u64::from(block.len) * 1_000_000 / node.spec.rate);
            let (free_at, good) = (node.free_at, !node.spec.corrupt);
            self.push(free_at, Ev::On(at, Event::Sent { peer, bytes: block.len }, true));
            self.push(free_at, Ev::Pump(at));
            self.push(free_at + DELAY, Ev::On(other, Event::Block { peer: key, block }, good));
            return;
        }
    }

    fn connect(&mut self, from: usize, addr: SocketAddr) {
        let Some(to) = self.nodes.iter().position(|node| node.addr == addr) else {
            return self.push(self.now, Ev::On(from, Event::DialFailed { addr }, true));
        };
        let (ours, theirs) = (PeerKey(self.next_key), PeerKey(self.next_key + 1));
        self.next_key += 2;
        let caps =
            Caps { fast: self.nodes[from].spec.fast && self.nodes[to].spec.fast, extended: true, dht: false };
        self.nodes[from].links.insert(ours, (to, theirs));
        self.nodes[to].links.insert(theirs, (from, ours));
        let id = self.nodes[to].id;
        self.on(from, Event::Connected { peer: ours, addr, outgoing: true, id, caps }, true);
        let (addr, id) = (self.nodes[from].addr, self.nodes[from].id);
        let addr = SocketAddr::new(addr.ip(), 40_000);
        self.on(to, Event::Connected { peer: theirs, addr, outgoing: false, id, caps }, true);
    }
}

impl Node {
    /// Oracle: outside endgame and bbs-plus, no block is asked of two peers at a time.
    fn ask(&mut self, peer: PeerKey, block: Block) {
        let strategy = &self.spec.strategy;
        let asked = self.asked.entry(block).or_default();
        asked.insert(peer);
        let most = strategy.bbs_plus.max(strategy.endgame_duplicates);
        assert!(asked.len() <= most as usize, "{block:?} asked of {asked:?}");
        if asked.len() > 1 && strategy.bbs_plus == 1 {
            assert!(self.torrent.stats(Instant::NEVER).endgame, "{block:?} asked twice outside endgame");
        }
    }

    fn gone(&mut self, peer: PeerKey) {
        self.gone_requests(peer);
        self.unchoked.remove(&peer);
    }

    fn gone_requests(&mut self, peer: PeerKey) {
        self.asked.values_mut().for_each(|asked| {
            asked.remove(&peer);
        });
    }
}

fn node(layout: Layout, at: usize, spec: Spec) -> Node {
    let number = u8::try_from(at + 1).unwrap();
    let id = PeerId([number; 20]);
    let config = TorrentConfig {
        layout: layout.clone(),
        info_hash: InfoHash([9; 20]),
        our_id: id,
        private: false,
        strategy: spec.strategy.clone(),
        seed: u64::from(number),
        client: "world".into(),
        listen_port: Some(6_881),
        metadata_size: None,
        metadata: None,
        max_connections: 50,
        half_open: 10,
    };
    let pieces = layout.pieces();
    let have = if spec.seed { Bitfield::all(pieces) } else { Bitfield::none(pieces) };
    Node {
        torrent: Torrent::new(config, have, Vec::new()),
        spec,
        addr: SocketAddr::from(([10, 0, 0, number], 6_881)),
        id,
        free_at: Instant::START,
        links: BTreeMap::new(),
        waiting: VecDeque::new(),
        kept: BTreeMap::new(),
        digests: BTreeSet::new(),
        completed_at: None,
        drops: Vec::new(),
        asked: BTreeMap::new(),
        unchoked: BTreeSet::new(),
        allowed: BTreeSet::new(),
        woken: None,
    }
}
