//! How many blocks are asked of one peer at a time, and which ones are under way.
//!
//! The number doubles with every round trip until that brings no more, then follows rate × delay. Requests go out in
//! batches: a message per block would cost a system call per block.

use crate::meter::Meter;
use proto::{
    layout::{BLOCK, Block},
    time::Instant,
};
use std::{collections::VecDeque, time::Duration};

/// Blocks in flight with a peer of which nothing is known yet.
const INITIAL: u32 = 4;

/// Blocks in flight with the slowest peer: one being sent, one waiting.
const FLOOR: u32 = 2;

/// Requests that a peer keeps if it does not say (libtorrent's and mainline's custom).
const USUAL_REQQ: u32 = 250;

/// Blocks in flight at most: 32 MiB, enough for 1 GB/s at a delay of 30 ms.
const CEILING: u32 = 2_000;

/// How long what is in flight should last, above the delay: it covers a peer's cold disk and our batches.
const QUEUE_TIME: Duration = Duration::from_secs(2);

/// But no more blocks than these above rate × delay, divided among all peers: 16 MiB keep a peer on loopback busy at more
/// than 1 GB/s, and what is in flight when a download ends is what endgame has to deal with.
const QUEUE_BLOCKS: u32 = 1_024;

/// And no fewer than these for one peer among many.
const LEAST_QUEUE_BLOCKS: u32 = 64;

/// A round trip that brings less than this more (as a divisor) brought nothing.
const GAIN: u64 = 8;

/// Rounds without gain that end the slow start; one may be chance.
const FLAT_ROUNDS: u32 = 2;

/// Shortest round that says anything about a rate.
const SHORTEST_ROUND: Duration = Duration::from_millis(5);

/// The share of the target (as a divisor) that blocks which others owe may fill.
const REDUNDANT_SHARE: u32 = 16;

/// How long a peer that rejected a request is left alone.
const REST: Duration = Duration::from_secs(3);

/// Requests that we gave up on, kept to know their blocks when they arrive late.
const STRAYS: usize = 256;

/// A peer that could fill a piece in this time is fast enough to fill pieces alone.
const FAST_PIECE: Duration = Duration::from_secs(20);

/// A request under way.
#[derive(Clone, Copy, Debug)]
struct Asked {
    piece: u32,
    index: u32,
    at: Instant,
}

/// The requests under way with one peer.
#[derive(Debug)]
pub struct Pipeline {
    asked: VecDeque<Asked>,
    strays: VecDeque<(u32, u32)>,
    target: u32,
    limit: u32,
    /// Blocks in flight at most above rate × delay.
    queue: u32,
    slow_start: bool,
    round: Round,
    /// The shortest time from request to block.
    delay: Option<Duration>,
    /// When payload last came, or the first request of a burst went out.
    alive: Instant,
    snubbed: bool,
    rest_until: Option<Instant>,
    meter: Meter,
}

/// A round trip of the slow start: it ends with the block that was asked for last when it began.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    began: Option<Instant>,
    left: u32,
    bytes: u64,
    best: u64,
    flat: u32,
}

impl Default for Pipeline {
    fn default() -> Self {
        Self {
            asked: VecDeque::new(),
            strays: VecDeque::new(),
            target: INITIAL,
            limit: USUAL_REQQ,
            queue: QUEUE_BLOCKS,
            slow_start: true,
            round: Round::default(),
            delay: None,
            alive: Instant::START,
            snubbed: false,
            rest_until: None,
            meter: Meter::default(),
        }
    }
}

impl Pipeline {
    /// The peer says how many requests it keeps.
    pub fn set_reqq(&mut self, reqq: u32) {
        self.limit = reqq.clamp(1, CEILING);
    }

    /// With how many peers the torrent is connected.
    pub fn set_crowd(&mut self, peers: usize) {
        let peers = u32::try_from(peers).unwrap_or(u32::MAX).max(1);
        self.queue = (QUEUE_BLOCKS / peers).max(LEAST_QUEUE_BLOCKS);
    }

    /// How many blocks that others owe may be under way with this peer too: enough to keep it busy, since most of them will
    /// arrive twice or be cancelled.
    pub fn redundant_room(&self) -> usize {
        (self.target() / REDUNDANT_SHARE).max(FLOOR).saturating_sub(self.in_flight()) as usize
    }

    /// Requests under way.
    pub fn in_flight(&self) -> u32 {
        u32::try_from(self.asked.len()).unwrap_or(u32::MAX)
    }

    /// How many we would have under way.
    pub fn target(&self) -> u32 {
        if self.snubbed { 1 } else { self.target.min(self.limit) }
    }

    /// Whether the peer stopped sending what it was asked for.
    pub fn is_snubbed(&self) -> bool {
        self.snubbed
    }

    /// Payload bytes per second.
    pub fn rate(&self, now: Instant) -> u64 {
        self.meter.rate(now)
    }

    /// Whether the peer is fast enough to fill pieces of this length alone.
    pub fn is_fast(&self, now: Instant, piece_length: u32) -> bool {
        self.rate(now).saturating_mul(FAST_PIECE.as_secs()) > u64::from(piece_length)
            || self.target() * BLOCK >= piece_length
    }

    /// How many blocks to ask for now: none until a quarter of the target is free, so that requests go out together.
    pub fn room(&self, now: Instant) -> usize {
        let (target, under_way) = (self.target(), self.in_flight());
        if under_way * 4 > target * 3
            || under_way >= target
            || self.rest_until.is_some_and(|until| now < until)
        {
            return 0;
        }
        (target - under_way) as usize
    }

    /// A block was asked for.
    pub fn ask(&mut self, now: Instant, block: Block) {
        if self.asked.is_empty() {
            self.alive = now;
        }
        self.asked.push_back(Asked { piece: block.piece, index: block.begin / BLOCK, at: now });
    }

    /// A block came. Whether we had asked for it.
    pub fn receive(&mut self, now: Instant, block: Block) -> bool {
        let index = block.begin / BLOCK;
        let at = self.asked.iter().position(|asked| (asked.piece, asked.index) == (block.piece, index));
        let Some(asked) = at.and_then(|at| self.asked.remove(at)) else {
            let known = self.forget_stray(block.piece, index);
            if known {
                self.alive = now;
                self.snubbed = false;
            }
            return known;
        };
        self.meter.add(now, u64::from(block.len));
        self.alive = now;
        self.rest_until = None;
        let took = now.since(asked.at);
        self.delay = Some(self.delay.map_or(took, |best| best.min(took)));
        if self.snubbed {
            self.snubbed = false;
            self.target = FLOOR;
        }
        self.grow(now, u64::from(block.len));
        true
    }

    fn forget_stray(&mut self, piece: u32, index: u32) -> bool {
        let at = self.strays.iter().position(|stray| *stray == (piece, index));
        at.and_then(|at| self.strays.remove(at)).is_some()
    }

    /// Part of a block came.
    pub fn heard(&mut self, now: Instant) {
        self.alive = now;
    }

    /// Adjusts the target after a block.
    fn grow(&mut self, now: Instant, bytes: u64) {
        self.round.bytes += bytes;
        if self.slow_start {
            self.target = (self.target + 1).min(CEILING);
        }
        if self.round.left > 0 {
            self.round.left -= 1;
            return;
        }
        let Some(took) = self.round.began.map(|began| now.since(began)) else {
            self.begin_round(now);
            return;
        };
        if took < SHORTEST_ROUND {
            return;
        }
        let rate = self.round.bytes.saturating_mul(1_000_000)
            / u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        if self.slow_start {
            self.judge(rate);
        }
        if !self.slow_start {
            self.follow(self.meter.rate(now));
        }
        self.begin_round(now);
    }

    fn begin_round(&mut self, now: Instant) {
        self.round.began = Some(now);
        self.round.left = self.in_flight();
        self.round.bytes = 0;
    }

    /// Ends the slow start when rounds bring nothing more.
    fn judge(&mut self, rate: u64) {
        if rate > self.round.best + self.round.best / GAIN {
            self.round.flat = 0;
        } else {
            self.round.flat += 1;
            self.slow_start = self.round.flat < FLAT_ROUNDS;
        }
        self.round.best = self.round.best.max(rate);
    }

    /// The target that keeps the peer busy at this rate.
    fn follow(&mut self, rate: u64) {
        let blocks = |span: Duration| {
            let bytes = u128::from(rate) * span.as_micros() / 1_000_000;
            u32::try_from(bytes / u128::from(BLOCK)).unwrap_or(CEILING)
        };
        let delay = blocks(self.delay.unwrap_or_default() * 2);
        self.target = delay.saturating_add(blocks(QUEUE_TIME).min(self.queue)).clamp(FLOOR, CEILING);
    }

    /// A request was rejected. Whether it was under way. With `rest`, the peer is left alone for a while, lest we ask and
    /// it rejects without end.
    pub fn reject(&mut self, now: Instant, block: Block, rest: bool) -> bool {
        let index = block.begin / BLOCK;
        self.forget_stray(block.piece, index);
        let at = self.asked.iter().position(|asked| (asked.piece, asked.index) == (block.piece, index));
        let found = at.and_then(|at| self.asked.remove(at)).is_some();
        if found && rest {
            self.slow_start = false;
            self.target = (self.target / 2).max(FLOOR);
            self.rest_until = Some(now + REST);
        }
        found
    }

    /// A block is not wanted from this peer any more. Whether it was under way.
    pub fn cancel(&mut self, block: Block) -> bool {
        let index = block.begin / BLOCK;
        let at = self.asked.iter().position(|asked| (asked.piece, asked.index) == (block.piece, index));
        let Some(asked) = at.and_then(|at| self.asked.remove(at)) else { return false };
        self.stray(asked);
        true
    }

    fn stray(&mut self, asked: Asked) {
        if self.strays.len() == STRAYS {
            self.strays.pop_front();
        }
        self.strays.push_back((asked.piece, asked.index));
    }

    /// Nothing that was asked for will come (choked without BEP 6, or gone): all of it, to be given back.
    pub fn drain(&mut self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.slow_start = true;
        self.target = INITIAL;
        self.round = Round::default();
        self.asked.drain(..).map(|asked| (asked.piece, asked.index))
    }

    /// The peer stopped sending: it keeps one request, the others are pushed to `back`.
    pub fn snub(&mut self, back: &mut Vec<(u32, u32)>) {
        self.snubbed = true;
        self.slow_start = false;
        while self.asked.len() > 1 {
            let Some(asked) = self.asked.pop_back() else { break };
            self.stray(asked);
            back.push((asked.piece, asked.index));
        }
    }

    /// The peer is given another chance.
    pub fn unsnub(&mut self, now: Instant) {
        if std::mem::take(&mut self.snubbed) {
            self.target = FLOOR;
            self.alive = now;
        }
    }

    /// Takes back the requests for pieces that `which` names, pushed to `back`.
    pub fn cancel_where(&mut self, which: impl Fn(u32) -> bool, back: &mut Vec<(u32, u32)>) {
        for at in (0..self.asked.len()).rev() {
            if which(self.asked[at].piece)
                && let Some(asked) = self.asked.remove(at)
            {
                self.stray(asked);
                back.push((asked.piece, asked.index));
            }
        }
    }

    /// Gives up on requests that are `timeout` old, pushed to `back`.
    pub fn expire(&mut self, now: Instant, timeout: Duration, back: &mut Vec<(u32, u32)>) {
        while self.asked.front().is_some_and(|asked| now.since(asked.at) >= timeout) {
            let Some(asked) = self.asked.pop_front() else { break };
            self.stray(asked);
            back.push((asked.piece, asked.index));
        }
    }

    /// Since when payload is awaited: the last that came, or when the burst of requests began.
    pub fn waiting_since(&self) -> Option<Instant> {
        (!self.asked.is_empty()).then_some(self.alive)
    }

    /// When the oldest request was made.
    pub fn oldest(&self) -> Option<Instant> {
        self.asked.front().map(|asked| asked.at)
    }

    /// Until when the peer is left alone after a reject.
    pub fn resting_until(&self) -> Option<Instant> {
        self.rest_until
    }

    /// The rest is over.
    pub fn rested(&mut self, now: Instant) -> bool {
        let over = self.rest_until.is_some_and(|until| until <= now);
        if over {
            self.rest_until = None;
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(index: u32) -> Block {
        Block { piece: index / 64, begin: index % 64 * BLOCK, len: BLOCK }
    }

    /// A peer behind a link of `rate` bytes a second and `delay`, asked for as the pipeline says; the target at the end.
    fn run(rate: u64, delay: Duration, reqq: u32, secs: u64) -> (u32, u64) {
        let mut pipe = Pipeline::default();
        pipe.set_reqq(reqq);
        let mut now = Instant::START;
        let mut coming: VecDeque<(Instant, Block)> = VecDeque::new();
        let (mut next, mut free_at, mut got) = (0, Instant::START, 0);
        while now < Instant::from_secs(secs) {
            for _ in 0..pipe.room(now) {
                pipe.ask(now, block(next));
                let start = free_at.max(now + delay);
                free_at = start + Duration::from_micros(u64::from(BLOCK) * 1_000_000 / rate);
                coming.push_back((free_at, block(next)));
                next += 1;
            }
            let (at, block) = coming.pop_front().unwrap();
            now = at;
            assert!(pipe.receive(now, block));
            got += u64::from(block.len);
            assert!(pipe.in_flight() <= pipe.target().max(reqq.min(CEILING)));
        }
        (pipe.target(), got / secs)
    }

    #[test]
    fn a_slow_peer_has_few_blocks_in_flight() {
        let (target, _) = run(20_000, Duration::from_millis(80), 250, 120);
        assert!(target <= 4, "{target}");
    }

    #[test]
    fn a_fast_link_is_filled_whatever_its_delay() {
        for (rate, delay) in [(1_000_000_000, 1), (100_000_000, 100), (10_000_000, 300), (2_000_000, 600)] {
            let (target, got) = run(rate, Duration::from_millis(delay), 2_000, 20);
            assert!(got > rate * 7 / 10, "{rate} B/s, {delay} ms: {got} B/s with {target} blocks");
        }
    }

    #[test]
    fn the_peers_own_limit_holds() {
        let (target, _) = run(1_000_000_000, Duration::from_millis(1), 50, 5);
        assert_eq!(target, 50);
    }

    #[test]
    fn a_snubber_keeps_one_request_and_a_late_block_is_known() {
        let mut pipe = Pipeline::default();
        for index in 0..4 {
            pipe.ask(Instant::from_secs(1), block(index));
        }
        let mut back = Vec::new();
        pipe.snub(&mut back);
        assert_eq!((pipe.in_flight(), back.len(), pipe.target()), (1, 3, 1));
        assert!(pipe.receive(Instant::from_secs(90), block(2)), "given up on, but asked for");
        assert!(!pipe.receive(Instant::from_secs(90), block(2)));
        assert!(!pipe.is_snubbed());
        assert!(pipe.receive(Instant::from_secs(90), block(0)));
    }

    #[test]
    fn a_peer_that_rejects_is_left_alone_for_a_while() {
        let mut pipe = Pipeline::default();
        let now = Instant::from_secs(1);
        pipe.ask(now, block(0));
        assert!(pipe.reject(now, block(0), true));
        assert_eq!(pipe.room(now), 0);
        assert!(pipe.room(now + REST) > 0);
    }
}
