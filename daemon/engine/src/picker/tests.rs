//! Whatever happens, the picker's counts are those of a recount, and no block is asked of two peers without leave.

use super::{
    Asker, BLOCK, Bitfield, Block, Endgame, Holdings, Info, Layout, PeerKey, Picker, PieceOrder, Received,
    State, started::Partial,
};
use proptest::prelude::{ProptestConfig, Strategy as Generator, any, prop, prop_oneof, proptest};
use proto::strategy::Strategy;
use std::collections::{BTreeMap, BTreeSet};

const PIECES: u32 = 37;

#[derive(Clone, Debug)]
enum Op {
    Join(Vec<bool>, bool),
    Leave(usize),
    Has(usize, u32),
    Pick { peer: usize, want: usize, fast: bool, choked: bool },
    Answer { at: usize, give_back: bool },
    Bad(usize, bool),
    Gone(u32),
    Verify(u32),
    Priorities(Vec<u8>),
}

fn op() -> impl Generator<Value = Op> {
    let piece = 0..PIECES;
    prop_oneof![
        1 => (prop::collection::vec(any::<bool>(), PIECES as usize), prop::bool::weighted(0.2))
            .prop_map(|(has, all)| Op::Join(has, all)),
        1 => any::<usize>().prop_map(Op::Leave),
        4 => (any::<usize>(), piece.clone()).prop_map(|(peer, piece)| Op::Has(peer, piece)),
        8 => (any::<usize>(), 1..12usize, any::<bool>(), prop::bool::weighted(0.1))
            .prop_map(|(peer, want, fast, choked)| Op::Pick { peer, want, fast, choked }),
        16 => (any::<usize>(), prop::bool::weighted(0.2)).prop_map(|(at, give_back)| Op::Answer { at, give_back }),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(at, sole)| Op::Bad(at, sole)),
        1 => piece.clone().prop_map(Op::Gone),
        1 => piece.prop_map(Op::Verify),
        1 => prop::collection::vec(0..9u8, PIECES as usize).prop_map(Op::Priorities),
    ]
}

fn rules() -> impl Generator<Value = Strategy> {
    let orders = [PieceOrder::RarestFirst, PieceOrder::Random, PieceOrder::Sequential];
    let ends = [Endgame::Off, Endgame::AllRequested, Endgame::LessLeftThanInFlight];
    (prop::sample::select(orders.to_vec()), prop::sample::select(ends.to_vec()), any::<bool>(), 1..4u32)
        .prop_map(|(piece_order, endgame, strict_priority, bbs_plus)| Strategy {
            piece_order,
            endgame,
            strict_priority,
            bbs_plus,
            ..Strategy::default()
        })
}

struct Model {
    layout: Layout,
    strategy: Strategy,
    picker: Picker,
    peers: BTreeMap<PeerKey, Holdings>,
    asked: BTreeSet<(PeerKey, Block)>,
    have: BTreeSet<u32>,
    priorities: Vec<u8>,
    next: u32,
}

impl Model {
    fn new(strategy: Strategy) -> Self {
        let layout = Layout::new(BLOCK * 3, u64::from(BLOCK * 3 * PIECES) - 20_000).unwrap();
        let priorities = vec![4; PIECES as usize];
        let picker = Picker::new(layout.clone(), &strategy, &Bitfield::none(PIECES), &priorities, 5);
        let (peers, asked, have) = Default::default();
        Self { layout, strategy, picker, peers, asked, have, priorities, next: 0 }
    }

    fn peer(&self, at: usize) -> Option<PeerKey> {
        self.peers.keys().nth(at % self.peers.len().max(1)).copied()
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Join(has, all) => {
                let mut bits = Bitfield::none(PIECES);
                has.iter().zip(0..).filter(|(has, _)| **has).for_each(|(_, piece)| {
                    bits.set(piece);
                });
                let holds = if all { Holdings::All } else { Holdings::Some(bits) };
                self.picker.add_peer(&holds);
                self.peers.insert(PeerKey(self.next), holds);
                self.next += 1;
            }
            Op::Leave(at) => {
                let Some(key) = self.peer(at) else { return };
                self.asked.retain(|(peer, block)| {
                    if *peer == key {
                        self.picker.give_back(*block, key);
                    }
                    *peer != key
                });
                self.picker.release(key);
                self.picker.remove_peer(&self.peers.remove(&key).unwrap());
            }
            Op::Has(at, piece) => {
                let Some(key) = self.peer(at) else { return };
                if let Some(Holdings::Some(bits)) = self.peers.get_mut(&key)
                    && bits.set(piece)
                {
                    self.picker.add_one(piece);
                }
            }
            Op::Pick { peer, want, fast, choked } => self.pick(peer, want, fast, choked),
            Op::Answer { at, give_back } => self.answer(at, give_back),
            Op::Bad(at, sole) => {
                let begun: Vec<u32> = self.picker.progress().map(|(piece, ..)| piece).collect();
                if !begun.is_empty() {
                    self.picker.lost(begun[at % begun.len()], sole);
                }
            }
            Op::Gone(piece) => {
                self.have.remove(&piece);
                self.picker.gone(piece);
            }
            Op::Verify(piece) => {
                assert_eq!(self.picker.done(piece), self.have.insert(piece));
                self.asked.retain(|(_, block)| block.piece != piece);
            }
            Op::Priorities(priorities) => {
                self.picker.set_priorities(&priorities);
                self.priorities = priorities;
            }
        }
    }

    fn pick(&mut self, at: usize, want: usize, fast: bool, choked: bool) {
        let Some(key) = self.peer(at) else { return };
        let only = choked.then_some(&[1, 5, 9][..]);
        let asker = Asker { key, holds: &self.peers[&key], fast, only };
        let before = self.picker.in_endgame();
        let mut blocks = Vec::new();
        self.picker.pick(&asker, want, want, &mut blocks);
        assert!(blocks.len() <= want);
        let redundant = before || self.picker.in_endgame();
        let duplicates = if redundant { self.strategy.endgame_duplicates } else { 1 };
        for block in blocks {
            assert!(self.layout.is_block(block) && asker.can(block.piece));
            assert!(!self.have.contains(&block.piece) && self.priorities[block.piece as usize] > 0);
            assert!(self.asked.insert((key, block)), "asked twice of one peer");
            let count = self.asked.iter().filter(|(_, asked)| *asked == block).count();
            assert!(count <= duplicates.max(self.strategy.bbs_plus) as usize, "{block:?} asked of {count}");
        }
    }

    fn answer(&mut self, at: usize, give_back: bool) {
        let Some(&(key, block)) = self.asked.iter().nth(at % self.asked.len().max(1)) else { return };
        self.asked.remove(&(key, block));
        if give_back {
            return self.picker.give_back(block, key);
        }
        let mut others = Vec::new();
        let received = self.picker.receive(block, key, &mut others);
        assert!(matches!(received, Received::New { .. }), "the others are cancelled at once");
        for other in others {
            assert!(self.asked.remove(&(other, block)), "{other:?} was not asked for {block:?}");
        }
        assert!(!self.asked.iter().any(|(_, asked)| *asked == block));
        if let Received::New { last: true } = received {
            assert!(self.picker.done(block.piece));
            self.have.insert(block.piece);
        }
    }

    /// Counts everything anew.
    fn recount(&self) {
        let picker = &self.picker;
        let (mut free, mut missing) = (0, (0, 0));
        let parts: BTreeMap<u32, &Partial> =
            picker.started.iter().map(|(_, part)| (part.piece, part)).collect();
        for piece in 0..PIECES {
            let holders = self.peers.values().filter(|holds| holds.has(piece)).count();
            assert_eq!(picker.availability(piece) as usize, holders);
            let wanted = self.priorities[piece as usize] > 0;
            assert_eq!(picker.wants(piece), wanted && !self.have.contains(&piece));
            let blocks = u64::from(self.layout.blocks_in(piece));
            match (wanted && !self.have.contains(&piece), parts.get(&piece)) {
                (true, Some(part)) => free += u64::from(part.free),
                (true, None) => free += blocks,
                (false, _) => {}
            }
            if picker.wants(piece) {
                missing = (missing.0 + 1, missing.1 + u64::from(self.layout.piece_len(piece)));
            }
        }
        assert_eq!((picker.free, picker.missing), (free, missing));
        let distinct: BTreeSet<Block> = self.asked.iter().map(|(_, block)| *block).collect();
        assert_eq!(picker.in_flight, distinct.len() as u64);
        for (slot, part) in picker.started.iter() {
            let open = part.free > 0 && self.priorities[part.piece as usize] > 0;
            assert_eq!(picker.started.open.contains(&slot), open);
        }
        self.check_order();
    }

    /// Every class holds the open pieces of its priority, rarest first.
    fn check_order(&self) {
        for (priority, class) in self.picker.classes.iter().enumerate() {
            let pieces = class.pieces();
            let rarity: Vec<u16> =
                pieces.iter().map(|piece| self.picker.info[*piece as usize].availability).collect();
            assert!(rarity.is_sorted());
            assert_eq!(class.first_held(), rarity.iter().filter(|count| **count == 0).count());
            let open = |info: &&Info| info.state == State::Open && usize::from(info.priority) == priority;
            let count = self.picker.info.iter().filter(open).count();
            assert_eq!(pieces.len(), if priority == 0 { 0 } else { count });
            for (at, piece) in pieces.iter().enumerate() {
                assert_eq!(self.picker.info[*piece as usize].at as usize, at);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn counts_are_those_of_a_recount(strategy in rules(), ops in prop::collection::vec(op(), 1..200)) {
        let mut model = Model::new(strategy);
        for op in ops {
            model.apply(op);
            model.recount();
        }
    }
}

fn picker(order: PieceOrder, priorities: &[u8], pieces: u32) -> Picker {
    let strategy = Strategy { piece_order: order, random_first: 0, ..Strategy::default() };
    let layout = Layout::new(BLOCK * 2, u64::from(BLOCK * 2) * u64::from(pieces)).unwrap();
    Picker::new(layout, &strategy, &Bitfield::none(pieces), priorities, 1)
}

fn asker(key: u32, holds: &Holdings) -> Asker<'_> {
    Asker { key: PeerKey(key), holds, fast: false, only: None }
}

fn order_of(picker: &mut Picker, asker: &Asker<'_>, blocks: usize) -> Vec<u32> {
    let mut into = Vec::new();
    picker.pick(asker, blocks, blocks, &mut into);
    let mut pieces: Vec<u32> = into.iter().map(|block| block.piece).collect();
    pieces.dedup();
    pieces
}

#[test]
fn the_rarest_piece_comes_first_and_priority_before_rarity() {
    let mut picker = picker(PieceOrder::RarestFirst, &[4, 4, 4, 7, 4, 0], 6);
    let all = Holdings::All;
    picker.add_peer(&all);
    for (piece, count) in [(0, 3), (1, 1), (2, 2), (3, 5), (4, 4)] {
        (0..count).for_each(|_| picker.add_one(piece));
    }
    assert_eq!(order_of(&mut picker, &asker(1, &all), 100), [3, 1, 2, 0, 4]);
}

#[test]
fn sequential_goes_by_index_and_comes_back_for_what_was_lost() {
    let mut picker = picker(PieceOrder::Sequential, &[4; 6], 6);
    let all = Holdings::All;
    picker.add_peer(&all);
    assert_eq!(order_of(&mut picker, &asker(1, &all), 6), [0, 1, 2]);
    picker.give_back(Block { piece: 1, begin: 0, len: BLOCK }, PeerKey(1));
    picker.give_back(Block { piece: 1, begin: BLOCK, len: BLOCK }, PeerKey(1));
    assert_eq!(order_of(&mut picker, &asker(1, &all), 4), [1, 3]);
}

#[test]
fn a_fast_peer_leaves_pieces_that_another_fills() {
    let mut picker = picker(PieceOrder::Sequential, &[4; 3], 3);
    let all = Holdings::All;
    picker.add_peer(&all);
    picker.add_peer(&all);
    assert_eq!(order_of(&mut picker, &asker(1, &all), 1), [0]);
    let fast = Asker { fast: true, ..asker(2, &all) };
    assert_eq!(
        order_of(&mut picker, &fast, 5),
        [1, 2, 0],
        "its own first, the other's when nothing else is left"
    );
}

#[test]
fn strict_priority_finishes_what_was_begun() {
    let mut picker = picker(PieceOrder::Sequential, &[4; 3], 3);
    let all = Holdings::All;
    assert_eq!(order_of(&mut picker, &asker(1, &all), 1), [0]);
    assert_eq!(order_of(&mut picker, &asker(2, &all), 2), [0, 1]);
}

#[test]
fn a_piece_that_came_out_bad_is_fetched_from_one_peer() {
    let mut picker = picker(PieceOrder::Sequential, &[4; 2], 2);
    let all = Holdings::All;
    let mut others = Vec::new();
    for (key, index) in [(1, 0), (2, 1)] {
        assert_eq!(order_of(&mut picker, &asker(key, &all), 1), [0]);
        let block = Block { piece: 0, begin: index * BLOCK, len: BLOCK };
        picker.receive(block, PeerKey(key), &mut others);
    }
    assert_eq!(picker.senders(0), [PeerKey(1), PeerKey(2)]);
    picker.lost(0, true);
    assert_eq!(order_of(&mut picker, &asker(3, &all), 1), [0]);
    assert_eq!(order_of(&mut picker, &asker(4, &all), 1), [1], "the rest of piece 0 is for peer 3");
    assert_eq!(order_of(&mut picker, &asker(3, &all), 1), [0]);
}

#[test]
fn picking_among_many_pieces_is_quick() {
    const MANY: u32 = 200_000;
    let mut picker = picker(PieceOrder::RarestFirst, &vec![4; MANY as usize], MANY);
    let mut few = Bitfield::none(MANY);
    (0..MANY).step_by(1_000).for_each(|piece| {
        few.set(piece);
    });
    let few = Holdings::Some(few);
    picker.add_peer(&few);
    assert_eq!(order_of(&mut picker, &asker(1, &few), 400).len(), 200);
    assert!(order_of(&mut picker, &asker(1, &few), 400).is_empty());
}
