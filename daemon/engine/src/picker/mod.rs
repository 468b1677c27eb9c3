//! Which block is asked of which peer.
//!
//! The picker knows, for each piece, how many peers have it and how far it is, and for each piece that was begun, who
//! was asked for which block. It is told what peers have and what became of requests; it answers with blocks.

mod choose;
mod classes;
mod preview;
mod started;
#[cfg(test)]
mod tests;

use crate::out::PeerKey;
use classes::{Class, Info, State};
use proto::{
    bitfield::Bitfield,
    layout::{BLOCK, Block, Layout},
    strategy::{Endgame, PieceOrder, Strategy},
};
use rand::SeedableRng as _;
use rand_xoshiro::Xoshiro256PlusPlus;
use started::{Before, Sole, Started};

/// Priorities are 0 (skip) to this.
pub const TOP_PRIORITY: u8 = 7;

/// What a peer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holdings {
    /// Everything, said at once.
    All,
    /// These pieces.
    Some(Bitfield),
}

impl Holdings {
    /// Whether a piece is among them.
    pub fn has(&self, piece: u32) -> bool {
        match self {
            Self::All => true,
            Self::Some(bits) => bits.has(piece),
        }
    }

    /// Whether they are everything.
    pub fn is_full(&self) -> bool {
        match self {
            Self::All => true,
            Self::Some(bits) => bits.is_full(),
        }
    }
}

/// Who asks for work.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The connection.
    pub key: PeerKey,
    /// What the peer has.
    pub holds: &'a Holdings,
    /// It is fast enough to fill pieces alone: it leaves pieces that another fills as long as it finds others.
    pub fast: bool,
    /// If it chokes us: the only pieces it will send.
    pub only: Option<&'a [u32]>,
}

impl Asker<'_> {
    fn can(&self, piece: u32) -> bool {
        self.holds.has(piece) && self.only.is_none_or(|only| only.contains(&piece))
    }
}

/// What became of a block that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is new.
    New {
        /// It was the piece's last.
        last: bool,
    },
    /// It is here already, or the piece is not being fetched.
    Useless,
}

/// The rules in force, from the [`Strategy`].
#[derive(Clone, Copy, Debug)]
struct Rules {
    order: PieceOrder,
    random_first: u32,
    strict: bool,
    endgame: Endgame,
    endgame_duplicates: u8,
    bbs_plus: u8,
}

impl From<&Strategy> for Rules {
    fn from(strategy: &Strategy) -> Self {
        // Far below the count of a block's state, which is a byte.
        let few = |number: u32| u8::try_from(number.clamp(1, 100)).unwrap_or(1);
        Self {
            order: strategy.piece_order,
            random_first: strategy.random_first,
            strict: strategy.strict_priority,
            endgame: strategy.endgame,
            endgame_duplicates: few(strategy.endgame_duplicates),
            bbs_plus: few(strategy.bbs_plus),
        }
    }
}

/// Decides which blocks are fetched from whom.
#[derive(Debug)]
pub struct Picker {
    layout: Layout,
    rules: Rules,
    info: Vec<Info>,
    classes: [Class; TOP_PRIORITY as usize + 1],
    started: Started,
    rng: Xoshiro256PlusPlus,
    /// Peers that have everything and said so at once.
    seeds: u32,
    /// Pieces that are here.
    have: u32,
    /// Blocks that are wanted, not here and not asked for.
    free: u64,
    /// Blocks that are asked for and not here.
    in_flight: u64,
    /// Wanted pieces that are not here, and their bytes.
    missing: (u32, u64),
    /// Grows whenever blocks become free that were not.
    generation: u64,
    /// No piece was begun for the last asker because too many stood about: when one is done, there is room again.
    held_back: bool,
}

impl Picker {
    /// A picker for a torrent of which `have` is here. `priorities` has one entry per piece.
    pub fn new(layout: Layout, strategy: &Strategy, have: &Bitfield, priorities: &[u8], seed: u64) -> Self {
        let state = |piece| if have.has(piece) { State::Have } else { State::Open };
        let info = (0..layout.pieces())
            .map(|piece| Info { at: 0, availability: 0, priority: 0, state: state(piece) })
            .collect();
        let mut picker = Self {
            layout,
            rules: Rules::from(strategy),
            info,
            classes: Default::default(),
            started: Started::default(),
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            seeds: 0,
            have: have.count(),
            free: 0,
            in_flight: 0,
            missing: (0, 0),
            generation: 0,
            held_back: false,
        };
        picker.set_priorities(priorities);
        picker
    }

    /// Puts a strategy in force.
    pub fn set_strategy(&mut self, strategy: &Strategy) {
        self.rules = Rules::from(strategy);
        self.generation += 1;
    }

    /// New priorities, one for each piece. What was begun and is not wanted any more stays as it is, and is not asked for.
    pub fn set_priorities(&mut self, priorities: &[u8]) {
        for (info, priority) in self.info.iter_mut().zip(priorities) {
            info.priority = (*priority).min(TOP_PRIORITY);
        }
        self.classes.iter_mut().for_each(Class::clear);
        self.free = 0;
        self.missing = (0, 0);
        self.generation += 1;
        for piece in 0..self.layout.pieces() {
            let Info { at, priority, state, .. } = self.info[piece as usize];
            if state == State::Have || (priority == 0 && state == State::Open) {
                continue;
            }
            if priority > 0 {
                self.missing.0 += 1;
                self.missing.1 += u64::from(self.layout.piece_len(piece));
            }
            if state == State::Open {
                self.free += u64::from(self.layout.blocks_in(piece));
                self.classes[usize::from(priority)].insert(&mut self.info, piece, &mut self.rng);
            } else if priority == 0 || self.started.get(at).free == 0 {
                self.started.close(at);
            } else {
                self.free += u64::from(self.started.get(at).free);
                self.started.open(at);
            }
        }
    }

    /// A peer came, or told for the first time what it has.
    pub fn add_peer(&mut self, holds: &Holdings) {
        match holds {
            Holdings::All => self.seeds += 1,
            Holdings::Some(bits) => bits.iter().for_each(|piece| self.add_one(piece)),
        }
    }

    /// A peer went.
    pub fn remove_peer(&mut self, holds: &Holdings) {
        match holds {
            Holdings::All => self.seeds -= 1,
            Holdings::Some(bits) => bits.iter().for_each(|piece| self.remove_one(piece)),
        }
    }

    /// A peer has one piece more.
    pub fn add_one(&mut self, piece: u32) {
        let info = &mut self.info[piece as usize];
        if info.state == State::Open && info.priority > 0 {
            let class = usize::from(info.priority);
            self.classes[class].raise(&mut self.info, piece, &mut self.rng);
        } else {
            info.availability += 1;
        }
    }

    /// A peer has one piece fewer.
    pub fn remove_one(&mut self, piece: u32) {
        let info = &mut self.info[piece as usize];
        if info.state == State::Open && info.priority > 0 {
            let class = usize::from(info.priority);
            self.classes[class].lower(&mut self.info, piece, &mut self.rng);
        } else {
            info.availability -= 1;
        }
    }

    /// How many peers have a piece.
    pub fn availability(&self, piece: u32) -> u32 {
        self.seeds + self.info.get(piece as usize).map_or(0, |info| u32::from(info.availability))
    }

    /// Whether a piece is wanted and not here.
    pub fn wants(&self, piece: u32) -> bool {
        self.info.get(piece as usize).is_some_and(|info| info.priority > 0 && info.state != State::Have)
    }

    /// Wanted pieces that are not here.
    pub fn missing_pieces(&self) -> u32 {
        self.missing.0
    }

    /// Bytes of wanted pieces that are not here.
    pub fn missing_bytes(&self) -> u64 {
        self.missing.1
    }

    /// Blocks that are asked for and not here.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Changes whenever there may be work for a peer that found none.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether blocks may now be asked of several peers to finish.
    pub fn in_endgame(&self) -> bool {
        match self.rules.endgame {
            Endgame::Off => false,
            Endgame::AllRequested => self.free == 0 && self.in_flight > 0,
            Endgame::LessLeftThanInFlight => self.free < self.in_flight,
        }
    }

    /// The pieces that were begun: piece, blocks, blocks here, blocks asked for.
    pub fn progress(&self) -> impl Iterator<Item = (u32, u32, u32, u32)> + '_ {
        self.started.iter().map(|(_, part)| (part.piece, part.blocks(), part.received, part.asked()))
    }

    fn slot(&self, piece: u32) -> Option<u32> {
        self.info.get(piece as usize).filter(|info| info.state == State::Started).map(|info| info.at)
    }

    /// A peer will not send a block that it was asked for.
    pub fn give_back(&mut self, block: Block, peer: PeerKey) {
        let Some(slot) = self.slot(block.piece) else { return };
        let part = self.started.get_mut(slot);
        if !part.give_back(block.begin / BLOCK, peer) {
            // It may be asked of another now.
            self.generation += 1;
            return;
        }
        part.release(peer);
        let untouched = part.is_untouched() && part.sole == Sole::Any;
        self.in_flight -= 1;
        self.generation += 1;
        let priority = self.info[block.piece as usize].priority;
        if priority > 0 {
            self.free += 1;
            self.started.open(slot);
        }
        if untouched {
            self.reopen(block.piece, slot);
        }
    }

    /// Nothing of a piece is here or asked for: it is as if it never was begun.
    fn reopen(&mut self, piece: u32, slot: u32) {
        self.started.end(slot);
        let info = &mut self.info[piece as usize];
        info.state = State::Open;
        let priority = info.priority;
        if priority > 0 {
            self.classes[usize::from(priority)].insert(&mut self.info, piece, &mut self.rng);
        }
    }

    /// A peer does not fill pieces any more (it chokes us, is slow or gone); others may.
    pub fn release(&mut self, peer: PeerKey) {
        self.started.release(peer);
        self.generation += 1;
    }

    /// A block came. The others that were asked for it are pushed to `others`.
    pub fn receive(&mut self, block: Block, peer: PeerKey, others: &mut Vec<PeerKey>) -> Received {
        let Some(slot) = self.slot(block.piece) else { return Received::Useless };
        let wanted = self.info[block.piece as usize].priority > 0;
        let part = self.started.get_mut(slot);
        match part.receive(block.begin / BLOCK, peer, others) {
            None => return Received::Useless,
            Some(Before::Asked) => self.in_flight -= 1,
            Some(Before::Free) if wanted => self.free -= 1,
            Some(Before::Free) => {}
        }
        let last = part.received == part.blocks();
        if part.free == 0 {
            self.started.close(slot);
        }
        Received::New { last }
    }

    /// Whether a block of a begun piece is not here, so that it is of use even from a peer that was given up on.
    pub fn lacks(&self, block: Block) -> bool {
        self.slot(block.piece).is_some_and(|slot| !self.started.get(slot).is_here(block.begin / BLOCK))
    }

    /// Who sent the blocks of a piece, one entry per block; only sound once all of them are here.
    pub fn senders(&self, piece: u32) -> &[PeerKey] {
        self.slot(piece).map_or(&[], |slot| self.started.get(slot).senders())
    }

    /// A piece is verified. Whether it was not here before.
    pub fn done(&mut self, piece: u32) -> bool {
        let Some(info) = self.info.get(piece as usize).copied() else { return false };
        match info.state {
            State::Have => return false,
            State::Open if info.priority > 0 => {
                self.free -= u64::from(self.layout.blocks_in(piece));
                self.classes[usize::from(info.priority)].remove(&mut self.info, piece);
            }
            State::Open => {}
            State::Started => {
                let (free, asked) = (self.started.get(info.at).free, self.started.get(info.at).asked());
                self.in_flight -= u64::from(asked);
                self.free -= if info.priority > 0 { u64::from(free) } else { 0 };
                self.started.end(info.at);
            }
        }
        self.info[piece as usize].state = State::Have;
        self.have += 1;
        if info.priority > 0 {
            self.missing.0 -= 1;
            self.missing.1 -= u64::from(self.layout.piece_len(piece));
        }
        true
    }

    /// Whether an asker was held back before, and may come again now that a piece is done.
    pub fn lets_on(&mut self) -> bool {
        let held_back = std::mem::take(&mut self.held_back);
        self.generation += u64::from(held_back);
        held_back
    }

    /// The blocks of a begun piece that were here are lost. With `sole`, it is now fetched from one peer where that can
    /// be, so that whoever spoils it again is known.
    pub fn lost(&mut self, piece: u32, sole: bool) {
        let Some(slot) = self.slot(piece) else { return };
        let wanted = self.info[piece as usize].priority > 0;
        let part = self.started.get_mut(slot);
        self.free += if wanted { u64::from(part.received) } else { 0 };
        part.lose();
        part.sole = if sole { Sole::Wanted } else { part.sole };
        self.generation += 1;
        let (free, untouched) = (part.free, part.is_untouched());
        if wanted && free > 0 {
            self.started.open(slot);
        }
        if untouched && !sole {
            self.reopen(piece, slot);
        }
    }

    /// A verified piece is gone from the disk.
    pub fn gone(&mut self, piece: u32) {
        let Some(info) = self.info.get_mut(piece as usize).filter(|info| info.state == State::Have) else {
            return;
        };
        info.state = State::Open;
        let priority = info.priority;
        self.have -= 1;
        self.generation += 1;
        if priority > 0 {
            self.missing.0 += 1;
            self.missing.1 += u64::from(self.layout.piece_len(piece));
            self.free += u64::from(self.layout.blocks_in(piece));
            self.classes[usize::from(priority)].insert(&mut self.info, piece, &mut self.rng);
        }
    }
}
