//! Who may download from us: a pure policy over a plain table.
//!
//! Every round the torrent lays its peers out as [`Contender`]s; the [`Choker`] answers with a [`Verdict`] for each, and
//! the reason. It sees rates, flags and times, and a random source that was seeded once; nothing else.

mod leech;
mod seed;
#[cfg(test)]
mod tests;

use crate::out::PeerKey;
use proto::{
    strategy::{Choking, SeedChoking, Strategy},
    time::Instant,
};
use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::time::Duration;

/// How much likelier a new peer is to get an optimistic slot (BEP 3): it has nothing to offer yet.
const NEW_PEER_WEIGHT: u32 = 3;

/// How many optimistic intervals a peer counts as new.
const NEW_FOR: u32 = 3;

pub use proto::explain::Reason;

/// A peer as the policy sees it. Rates in payload bytes per second since about two rounds ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contender {
    /// The connection.
    pub key: PeerKey,
    /// It wants something of ours.
    pub interested: bool,
    /// It has a slot now.
    pub unchoked: bool,
    /// It stopped sending what we asked for.
    pub snubbed: bool,
    /// What it sends us.
    pub down: u64,
    /// What we send it.
    pub up: u64,
    /// Bytes sent to it since it was unchoked.
    pub sent: u64,
    /// How much of the torrent it has, in thousandths.
    pub progress: u32,
    /// When it was last unchoked; [`Instant::START`] if never.
    pub unchoked_at: Instant,
    /// When its slot last ended, or it connected.
    pub waiting_since: Instant,
    /// When it connected.
    pub since: Instant,
}

/// The decision on one contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it has a slot from now on.
    pub unchoke: bool,
    /// Why.
    pub why: Reason,
}

/// What the round is about, besides the contenders.
#[derive(Clone, Copy, Debug)]
pub struct Round<'a> {
    /// The moment.
    pub now: Instant,
    /// The strategies in force.
    pub strategy: &'a Strategy,
    /// Whether we have all we want.
    pub seeding: bool,
    /// The length of a piece in bytes: shares of seed time are counted in pieces.
    pub piece_length: u32,
    /// Our upload limit in bytes per second, if there is one.
    pub upload_limit: Option<u64>,
}

/// A rule for the regular slots: how many there are, and who comes first.
trait Rule {
    /// Puts the eligible contenders (indices into the table) in order, the best first, and says how many get a slot.
    fn rank(&mut self, round: &Round<'_>, table: &[Contender], eligible: &mut [usize]) -> usize;
}

/// What optimistic unchoking has cost and brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Optimism {
    /// Optimistic slots given.
    pub given: u64,
    /// Optimistic slots whose holder then earned a regular one.
    pub earned: u64,
}

/// Decides who has a slot.
#[derive(Debug)]
pub struct Choker {
    rng: Xoshiro256PlusPlus,
    optimistic: Vec<PeerKey>,
    rotate_at: Instant,
    longest_waiting: seed::LongestWaiting,
    optimism: Optimism,
    /// Scratch: the order of the eligible, kept to save allocations.
    order: Vec<usize>,
}

impl Choker {
    /// A choker that has decided nothing.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            optimistic: Vec::new(),
            rotate_at: Instant::START,
            longest_waiting: seed::LongestWaiting::default(),
            optimism: Optimism::default(),
            order: Vec::new(),
        }
    }

    /// What optimistic unchoking has cost and brought.
    pub fn optimism(&self) -> Optimism {
        self.optimism
    }

    /// One round: a verdict for each contender of the table, in its order.
    pub fn round(&mut self, round: &Round<'_>, table: &[Contender], verdicts: &mut Vec<Verdict>) {
        verdicts.clear();
        verdicts
            .extend(table.iter().map(|peer| Verdict { unchoke: false, why: out_of_question(round, peer) }));
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        order.extend((0..table.len()).filter(|at| verdicts[*at].why == Reason::Undecided));
        let slots = self.rank(round, table, &mut order);
        let off = !round.seeding && round.strategy.choking == Choking::Off;
        let (shown, mut rank) = (u32::try_from(slots).unwrap_or(u32::MAX), 0);
        for (place, at) in order.iter().enumerate() {
            rank += 1;
            verdicts[*at] = if off {
                Verdict { unchoke: true, why: Reason::Everyone }
            } else if place < slots {
                Verdict { unchoke: true, why: Reason::Ranked { rank, slots: shown } }
            } else {
                Verdict { unchoke: false, why: Reason::OutRanked { rank, slots: shown } }
            };
        }
        self.order = order;
        self.give_optimistic(round, table, verdicts);
    }

    /// Between rounds: unchokes those who wait into slots that are free, and chokes nobody. `verdicts` has an entry for
    /// each contender; those that stay as they are have `None`.
    pub fn fill(&mut self, round: &Round<'_>, table: &[Contender], verdicts: &mut Vec<Option<Verdict>>) {
        verdicts.clear();
        verdicts.resize(table.len(), None);
        let off = !round.seeding && round.strategy.choking == Choking::Off;
        let regular = |peer: &&Contender| peer.unchoked && !self.optimistic.contains(&peer.key);
        let used = table.iter().filter(regular).count();
        let slots = if off { usize::MAX } else { round.strategy.upload_slots as usize };
        let mut waiting: Vec<usize> = (0..table.len())
            .filter(|at| !table[*at].unchoked && out_of_question(round, &table[*at]) == Reason::Undecided)
            .collect();
        waiting.sort_by_key(|at| (table[*at].waiting_since, table[*at].key));
        let why = if off { Reason::Everyone } else { Reason::FreeSlot };
        for at in waiting.into_iter().take(slots.saturating_sub(used)) {
            verdicts[at] = Some(Verdict { unchoke: true, why });
        }
    }

    /// A peer is gone, or was choked outside a round.
    pub fn forget(&mut self, peer: PeerKey) {
        self.optimistic.retain(|key| *key != peer);
    }

    /// Whether a peer's slot is an optimistic one.
    pub fn is_optimistic(&self, peer: PeerKey) -> bool {
        self.optimistic.contains(&peer)
    }

    fn rank(&mut self, round: &Round<'_>, table: &[Contender], eligible: &mut [usize]) -> usize {
        let rule: &mut dyn Rule = match (round.seeding, round.strategy.choking, round.strategy.seed_choking) {
            (false, Choking::TitForTat, _) => &mut leech::TitForTat,
            (false, Choking::RateBased, _) => &mut leech::RateBased,
            (false, Choking::Off, _) => &mut leech::Everyone,
            (true, _, SeedChoking::RoundRobin) => &mut seed::RoundRobin,
            (true, _, SeedChoking::FastestUpload) => &mut seed::FastestUpload,
            (true, _, SeedChoking::AntiLeech) => &mut seed::AntiLeech,
            (true, _, SeedChoking::LongestWaiting) => &mut self.longest_waiting,
        };
        rule.rank(round, table, eligible)
    }

    /// Gives the optimistic slots to peers that got no regular one.
    fn give_optimistic(&mut self, round: &Round<'_>, table: &[Contender], verdicts: &mut [Verdict]) {
        let rotates = round.seeding
            && matches!(round.strategy.seed_choking, SeedChoking::RoundRobin | SeedChoking::LongestWaiting);
        if !round.strategy.optimistic_unchoking || rotates {
            self.optimistic.clear();
            return;
        }
        let place = |key: PeerKey| table.iter().position(|peer| peer.key == key);
        let stays = |at: usize| table[at].interested && !verdicts[at].unchoke;
        let earned = self.optimistic.iter().filter_map(|key| place(*key)).filter(|at| verdicts[*at].unchoke);
        self.optimism.earned += earned.count() as u64;
        self.optimistic.retain(|key| place(*key).is_some_and(stays));
        if round.now >= self.rotate_at {
            self.optimistic.clear();
            self.rotate_at = round.now + Duration::from_secs(u64::from(round.strategy.optimistic_interval));
        }
        let mut open: Vec<usize> = (0..table.len())
            .filter(|at| table[*at].interested && !verdicts[*at].unchoke)
            .filter(|at| !self.optimistic.contains(&table[*at].key))
            .collect();
        while self.optimistic.len() < round.strategy.optimistic_slots as usize && !open.is_empty() {
            let at = open.swap_remove(self.draw(round, table, &open));
            self.optimistic.push(table[at].key);
            self.optimism.given += 1;
        }
        for key in &self.optimistic {
            if let Some(at) = place(*key) {
                verdicts[at] = Verdict { unchoke: true, why: Reason::Optimistic };
            }
        }
    }

    /// An index into `open`: at random, new peers likelier; but who has waited far longer than its turn comes first, so
    /// that nobody waits for ever.
    fn draw(&mut self, round: &Round<'_>, table: &[Contender], open: &[usize]) -> usize {
        let interval = Duration::from_secs(u64::from(round.strategy.optimistic_interval));
        let patience = interval * 2 * u32::try_from(open.len()).unwrap_or(u32::MAX);
        // Whoever has a slot now does not wait.
        let waits = |at: usize| if table[at].unchoked { round.now } else { table[at].waiting_since };
        let oldest = (0..open.len()).min_by_key(|at| (waits(open[*at]), table[open[*at]].key));
        if let Some(at) = oldest.filter(|at| round.now.since(waits(open[*at])) > patience) {
            return at;
        }
        let weight = |at: usize| {
            let new = round.now.since(table[at].since) < interval * NEW_FOR;
            if new { NEW_PEER_WEIGHT } else { 1 }
        };
        let mut ticket = self.rng.random_range(0..open.iter().map(|at| weight(*at)).sum());
        for (index, at) in open.iter().enumerate() {
            match u32::checked_sub(ticket, weight(*at)) {
                Some(left) => ticket = left,
                None => return index,
            }
        }
        0
    }
}

/// The reason to choke a peer whatever its rank, or [`Reason::Undecided`].
fn out_of_question(round: &Round<'_>, peer: &Contender) -> Reason {
    if !peer.interested {
        Reason::NotInterested
    } else if peer.snubbed && !round.seeding && round.strategy.anti_snubbing {
        Reason::Snubbed
    } else {
        Reason::Undecided
    }
}
