//! Choosing blocks: pieces that were begun, then new ones in the order of the strategy, then blocks that others owe.

use super::{Asker, Holdings, Picker, State, TOP_PRIORITY, started::Partial};
use crate::out::PeerKey;
use proto::{layout::Block, strategy::PieceOrder};
use rand::Rng as _;

/// How many begun pieces may stand about with nothing in flight. Each costs five bytes a block here and a buffer or a
/// file range in storage; beyond this, begun pieces are finished before others are begun.
const MAX_IDLE_PARTIALS: u64 = 512;

/// How many pieces are looked at in order of rarity before all that the peer has are gone through.
const SCAN: usize = 256;

/// How many pieces are tried at random before all that the peer has are gone through.
const DRAWS: u32 = 32;

impl Picker {
    /// Up to `want` blocks for a peer, pushed to `into`; they count as asked of it from now on. Where the strategy allows,
    /// up to `redundant` of them are blocks that others owe, if there are not enough others.
    pub fn pick(&mut self, asker: &Asker<'_>, want: usize, redundant: usize, into: &mut Vec<Block>) {
        let goal = into.len() + want;
        if self.free > 0 {
            for priority in (1..=TOP_PRIORITY).rev() {
                self.pick_free(asker, priority, goal, into);
                if into.len() >= goal {
                    return;
                }
            }
        }
        let duplicates = if self.in_endgame() { self.rules.endgame_duplicates } else { 1 };
        let limit = duplicates.max(self.rules.bbs_plus);
        if limit > 1 && redundant > 0 && into.len() < goal {
            self.pick_busy(asker, limit, goal.min(into.len() + redundant), into);
        }
    }

    /// Blocks of one priority that nobody was asked for.
    fn pick_free(&mut self, asker: &Asker<'_>, priority: u8, goal: usize, into: &mut Vec<Block>) {
        let is_mine = |part: &Partial| part.filler == Some(asker.key);
        let is_idle = |part: &Partial| part.filler.is_none_or(|filler| filler == asker.key);
        self.pick_started(asker, priority, goal, into, is_mine);
        if asker.fast {
            if self.rules.strict {
                self.pick_started(asker, priority, goal, into, is_idle);
            }
        } else if self.rules.strict {
            self.pick_started(asker, priority, goal, into, |_| true);
        }
        while into.len() < goal {
            if self.started.len() as u64 >= self.in_flight + MAX_IDLE_PARTIALS {
                self.held_back = true;
                break;
            }
            let Some(piece) = self.choose(asker, priority) else { break };
            let slot = self.begin(piece);
            self.take(slot, asker.key, goal, into);
        }
        self.pick_started(asker, priority, goal, into, |_| true);
    }

    /// Blocks of pieces that were begun and that `which` lets through.
    fn pick_started(
        &mut self,
        asker: &Asker<'_>,
        priority: u8,
        goal: usize,
        into: &mut Vec<Block>,
        which: impl Fn(&Partial) -> bool,
    ) {
        let mut at = 0;
        while into.len() < goal {
            let Some(&slot) = self.started.open.get(at) else { return };
            let part = self.started.get(slot);
            let fits = self.info[part.piece as usize].priority == priority
                && which(part)
                && part.allows(asker.key)
                && asker.can(part.piece);
            if fits {
                self.take(slot, asker.key, goal, into);
            }
            // A piece without free blocks left the list, so that the next one stands in its place.
            if self.started.open.get(at) == Some(&slot) {
                at += 1;
            }
        }
    }

    /// Takes free blocks of one piece for a peer until the goal is reached.
    fn take(&mut self, slot: u32, peer: PeerKey, goal: usize, into: &mut Vec<Block>) {
        let part = self.started.get_mut(slot);
        while into.len() < goal {
            let Some(index) = part.take(peer) else { break };
            into.push(self.layout.block(part.piece, index));
            self.free -= 1;
            self.in_flight += 1;
        }
        if part.free == 0 {
            self.started.close(slot);
        }
    }

    /// Moves an open piece among those that were begun.
    fn begin(&mut self, piece: u32) -> u32 {
        let priority = self.info[piece as usize].priority;
        self.classes[usize::from(priority)].remove(&mut self.info, piece);
        let slot = self.started.begin(piece, self.layout.blocks_in(piece));
        let info = &mut self.info[piece as usize];
        info.state = State::Started;
        info.at = slot;
        slot
    }

    /// An open piece of one priority that the peer has.
    fn choose(&mut self, asker: &Asker<'_>, priority: u8) -> Option<u32> {
        let class = &self.classes[usize::from(priority)];
        if class.pieces().is_empty() {
            return None;
        }
        if let Some(only) = asker.only {
            let open = |piece: &u32| self.is_open(*piece, priority) && asker.holds.has(*piece);
            return only
                .iter()
                .copied()
                .filter(open)
                .min_by_key(|piece| self.info[*piece as usize].availability);
        }
        match self.rules.order {
            PieceOrder::Sequential => self.choose_next(asker, priority),
            PieceOrder::Random => self.choose_any(asker, priority),
            PieceOrder::RarestFirst if self.have < self.rules.random_first => {
                self.choose_any(asker, priority)
            }
            PieceOrder::RarestFirst => self.choose_rarest(asker, priority),
        }
    }

    fn choose_rarest(&self, asker: &Asker<'_>, priority: u8) -> Option<u32> {
        let class = &self.classes[usize::from(priority)];
        let Holdings::Some(bits) = asker.holds else { return class.pieces().first().copied() };
        // Pieces that only those have who have everything are none of this peer's.
        let held = &class.pieces()[class.first_held()..];
        let found = held.iter().take(SCAN).copied().find(|piece| bits.has(*piece));
        if found.is_some() || held.len() <= SCAN {
            return found;
        }
        bits.iter()
            .filter(|piece| self.is_open(*piece, priority))
            .min_by_key(|piece| self.info[*piece as usize].availability)
    }

    fn choose_any(&mut self, asker: &Asker<'_>, priority: u8) -> Option<u32> {
        let pieces = self.classes[usize::from(priority)].pieces();
        for _ in 0..DRAWS {
            let piece = pieces[self.rng.random_range(0..pieces.len())];
            if asker.holds.has(piece) {
                return Some(piece);
            }
        }
        let start = self.rng.random_range(0..pieces.len());
        pieces[start..].iter().chain(&pieces[..start]).copied().find(|piece| asker.holds.has(*piece))
    }

    fn choose_next(&mut self, asker: &Asker<'_>, priority: u8) -> Option<u32> {
        let mut head = self.classes[usize::from(priority)].head;
        while head < self.layout.pieces() && !self.is_open(head, priority) {
            head += 1;
        }
        self.classes[usize::from(priority)].head = head;
        (head..self.layout.pieces()).find(|piece| asker.holds.has(*piece) && self.is_open(*piece, priority))
    }

    fn is_open(&self, piece: u32, priority: u8) -> bool {
        self.info
            .get(piece as usize)
            .is_some_and(|info| info.state == State::Open && info.priority == priority)
    }

    /// Blocks that fewer than `limit` others were asked for, those with the fewest first.
    fn pick_busy(&mut self, asker: &Asker<'_>, limit: u8, goal: usize, into: &mut Vec<Block>) {
        let begun = self.started.len();
        if begun == 0 {
            return;
        }
        // From a random piece on, so that idle peers do not all double the same blocks.
        let start = self.rng.random_range(0..begun);
        for asked in 1..limit {
            for at in (start..begun).chain(0..start) {
                let part = self.started.nth_mut(at);
                let wanted = self.info[part.piece as usize].priority > 0;
                if !wanted || part.asked() == 0 || !part.allows(asker.key) || !asker.can(part.piece) {
                    continue;
                }
                let mut from = 0;
                while let Some(index) = part.busy(from, asked, asker.key) {
                    part.ask_again(index, asker.key);
                    into.push(self.layout.block(part.piece, index));
                    if into.len() >= goal {
                        return;
                    }
                    from = index + 1;
                }
            }
        }
    }
}
