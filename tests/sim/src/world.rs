//! The world: peers, connections, and the queue of what happens.

use crate::{
    log::{Log, What},
    measure::Moment,
    node::{End, Kept, Node},
    queue::Queue,
    report::Report,
    scenario::Scenario,
    strategies::Preset,
};
use engine::out::{Event, Out, PeerKey};
use proto::{
    layout::{BLOCK, Block, Layout},
    time::Instant,
    wire::Message,
};
use rand::SeedableRng as _;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::{io::Write, net::SocketAddr};

/// What an oracle found, or who did not finish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("scenario {scenario}, strategy {strategy}, seed {seed}, at {ms} ms: {what}")]
pub struct Failure {
    /// The scenario.
    pub scenario: String,
    /// The strategy.
    pub strategy: String,
    /// The seed that plays it again.
    pub seed: u64,
    /// When, in milliseconds.
    pub ms: u64,
    /// What is wrong.
    pub what: String,
}

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Ev {
    /// A message reaches this end.
    Message(PeerKey, Message),
    /// A block reaches this end.
    Arrive(PeerKey, Block, bool),
    /// The block under way over this end may be out.
    Flow(PeerKey, u32),
    /// The disk has found what this end is to send.
    Start(PeerKey),
    /// This end learns that the other closed.
    Closed(PeerKey),
    /// A machine's deadline.
    Wake(u32),
    /// A dial reaches its goal.
    Dial(u32, u32, SocketAddr),
    /// A piece is hashed and written.
    Piece(u32, u32, u32),
    Join(u32),
    Leave(u32, u32),
    Announce(u32, u32),
    Sample,
    Heal,
}

/// A swarm in virtual time.
#[derive(Debug)]
pub struct World {
    pub(crate) scenario: Scenario,
    pub(crate) preset: Preset,
    pub(crate) seed: u64,
    pub(crate) layout: Layout,
    pub(crate) nodes: Vec<Node>,
    pub(crate) ends: Vec<End>,
    /// Whose address a number stands for, and at which stay.
    pub(crate) stays: Vec<(u32, u32)>,
    pub(crate) queue: Queue<Ev>,
    pub(crate) rng: Xoshiro256PlusPlus,
    /// The time in milliseconds.
    pub(crate) ms: u64,
    pub(crate) log: Log,
    pub(crate) broken: Option<String>,
    pub(crate) healed: bool,
    /// Peers that are still to finish.
    pub(crate) unfinished: u32,
    /// The first block of each piece among all blocks.
    pub(crate) blocks_per_piece: u32,

    /// Payload bytes: sent, arrived, on their way, and sent to connections that had closed.
    pub(crate) sent: u64,
    pub(crate) arrived: u64,
    pub(crate) transit: u64,
    pub(crate) lost: u64,

    /// For each piece, how many hold it that were not sources.
    pub(crate) copies: Vec<u32>,
    /// Pieces of which there is such a copy.
    pub(crate) spread: u32,
    pub(crate) first_copy: Option<(u64, u64)>,
    pub(crate) from_sources: u64,
    pub(crate) moments: Vec<Moment>,

    /// What the block at hand is worth, for the `Keep` that answers it.
    pub(crate) arriving: Kept,
    pub(crate) out: Out,
    pub(crate) blocks: Vec<Block>,
    pub(crate) shares: Vec<(u64, PeerKey)>,
}

impl World {
    /// A world at its beginning. The event log goes to `log`, if anywhere.
    ///
    /// # Errors
    /// If the scenario's sizes are not those of a torrent.
    pub fn new(
        scenario: &Scenario,
        preset: &Preset,
        seed: u64,
        log: Option<Box<dyn Write + Send>>,
    ) -> anyhow::Result<Self> {
        let layout = scenario.layout().ok_or_else(|| anyhow::anyhow!("not a torrent"))?;
        let pieces = layout.pieces();
        let blocks_per_piece = layout.piece_length().div_ceil(BLOCK);
        let mut world = Self {
            scenario: scenario.clone(),
            preset: preset.clone(),
            seed,
            layout,
            nodes: Vec::new(),
            ends: Vec::new(),
            stays: Vec::new(),
            queue: Queue::new(),
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            ms: 0,
            log: Log::new(log),
            broken: None,
            healed: false,
            unfinished: 0,
            blocks_per_piece,
            sent: 0,
            arrived: 0,
            transit: 0,
            lost: 0,
            copies: vec![0; pieces as usize],
            spread: 0,
            first_copy: None,
            from_sources: 0,
            moments: Vec::new(),
            arriving: Kept::Good,
            out: Out::new(),
            blocks: Vec::new(),
            shares: Vec::new(),
        };
        world.populate();
        Ok(world)
    }

    /// Plays until everyone has finished.
    ///
    /// # Errors
    /// What an oracle found, or that the limit came first.
    pub fn run(mut self) -> Result<Report, Failure> {
        let limit = u64::from(self.scenario.limit) * 1_000;
        while let Some((ms, ev)) = self.queue.pop() {
            self.ms = ms;
            if self.unfinished == 0 {
                break;
            }
            if ms > limit {
                let left = self.unfinished;
                self.broken = Some(format!("{left} peers have not finished"));
                break;
            }
            self.step(ev);
            if self.broken.is_some() {
                break;
            }
        }
        if self.broken.is_none() {
            self.check_end();
        }
        match self.broken.take() {
            None => Ok(self.report()),
            Some(what) => Err(Failure {
                scenario: self.scenario.name,
                strategy: self.preset.name,
                seed: self.seed,
                ms: self.ms,
                what,
            }),
        }
    }

    fn step(&mut self, ev: Ev) {
        match ev {
            Ev::Message(key, message) => self.hear(key, message),
            Ev::Arrive(key, block, good) => self.arrive(key, block, good),
            Ev::Flow(key, epoch) => self.flow_ends(key, epoch),
            Ev::Start(key) => self.start(key),
            Ev::Closed(key) => self.closed(key),
            Ev::Wake(at) => self.wake(at),
            Ev::Dial(from, stay, addr) => self.dial(from, stay, addr),
            Ev::Piece(at, stay, piece) => self.piece(at, stay, piece),
            Ev::Join(at) => self.join(at),
            Ev::Leave(at, stay) => self.leave(at, stay),
            Ev::Announce(at, stay) => self.announce(at, stay),
            Ev::Sample => self.sample(),
            Ev::Heal => self.heal(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_millis(self.ms)
    }

    /// An event for a machine, and what it does about it.
    pub(crate) fn feed(&mut self, at: u32, event: Event) {
        let now = self.now();
        let mut out = std::mem::take(&mut self.out);
        if let Some(torrent) = &mut self.nodes[at as usize].torrent {
            torrent.on(now, event, &mut out);
        }
        self.act(at, &mut out);
        self.out = out;
        self.schedule(at);
    }

    fn wake(&mut self, at: u32) {
        let node = &mut self.nodes[at as usize];
        if node.woken != Some(self.ms) {
            return;
        }
        node.woken = None;
        let now = Instant::from_millis(self.ms);
        let mut out = std::mem::take(&mut self.out);
        if let Some(torrent) = &mut node.torrent
            && torrent.deadline().is_some_and(|(when, _)| when <= now)
        {
            self.log.note(self.ms, at, What::Wake, 0, 0);
            torrent.wake(now, &mut out);
        }
        self.act(at, &mut out);
        self.out = out;
        self.schedule(at);
    }

    fn schedule(&mut self, at: u32) {
        let node = &mut self.nodes[at as usize];
        let Some((when, _)) = node.torrent.as_ref().and_then(|torrent| torrent.deadline()) else { return };
        let when = when.as_micros().div_ceil(1_000).max(self.ms);
        if node.woken.is_none_or(|woken| when < woken) {
            node.woken = Some(when);
            self.queue.push(when, Ev::Wake(at));
        }
    }

    /// A message reaches an end.
    fn hear(&mut self, key: PeerKey, message: Message) {
        let end = &self.ends[key.0 as usize];
        if !end.open {
            return;
        }
        let at = end.owner;
        if let Message::Reject(block) = &message {
            self.answered(key, *block);
        }
        self.log.note(self.ms, at, What::Hear, u64::from(key.0), number(&message));
        self.feed(at, Event::Message { peer: key, message });
    }
}

/// A message as a number, for the log.
pub(crate) fn number(message: &Message) -> u64 {
    let with = |kind: u64, value: u32| kind << 32 | u64::from(value);
    match message {
        Message::Choke => with(0, 0),
        Message::Unchoke => with(1, 0),
        Message::Interested => with(2, 0),
        Message::NotInterested => with(3, 0),
        Message::Have(piece) => with(4, *piece),
        Message::Bitfield(bits) => with(5, u32::try_from(bits.len()).unwrap_or(u32::MAX)),
        Message::Request(block) => with(6, block.piece) << 16 | u64::from(block.begin / BLOCK),
        Message::Cancel(block) => with(8, block.piece) << 16 | u64::from(block.begin / BLOCK),
        Message::Reject(block) => with(16, block.piece) << 16 | u64::from(block.begin / BLOCK),
        Message::AllowedFast(piece) => with(17, *piece),
        _ => with(99, 0),
    }
}
