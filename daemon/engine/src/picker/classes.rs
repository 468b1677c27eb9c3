//! Pieces that nobody was asked for yet, in order of rarity, with every operation constant in the number of pieces.
//!
//! All pieces of one priority stand in one array, in buckets of equal availability. A piece whose availability changes
//! by one moves over one bucket's edge: one swap.

use rand::Rng as _;
use rand_xoshiro::Xoshiro256PlusPlus;

/// What is known of one piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Info {
    /// Open and wanted: the position in its class. Started: the slot of its blocks.
    pub(super) at: u32,
    /// How many peers have it, those that have everything not counted.
    pub(super) availability: u16,
    /// 0 is not wanted.
    pub(super) priority: u8,
    /// How far it is.
    pub(super) state: State,
}

/// How far a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No block was asked for.
    Open,
    /// Some block was asked for or is here.
    Started,
    /// It is here and verified.
    Have,
}

/// The open pieces of one priority.
#[derive(Debug, Default)]
pub(super) struct Class {
    /// The pieces, bucket after bucket, rarest first, at random within a bucket.
    order: Vec<u32>,
    /// Where the bucket of each availability ends.
    ends: Vec<u32>,
    /// No open piece of this class has a smaller index.
    pub(super) head: u32,
}

fn place(order: &mut [u32], info: &mut [Info], at: u32, piece: u32) {
    order[at as usize] = piece;
    info[piece as usize].at = at;
}

impl Class {
    /// Forgets every piece.
    pub(super) fn clear(&mut self) {
        self.order.clear();
        self.ends.clear();
        self.head = 0;
    }

    /// All pieces, rarest first.
    pub(super) fn pieces(&self) -> &[u32] {
        &self.order
    }

    /// Where the pieces begin that at least one peer without everything has.
    pub(super) fn first_held(&self) -> usize {
        self.ends.first().map_or(0, |end| *end as usize)
    }

    /// Adds a piece with the availability that `info` has for it.
    pub(super) fn insert(&mut self, info: &mut [Info], piece: u32, rng: &mut Xoshiro256PlusPlus) {
        let bucket = usize::from(info[piece as usize].availability);
        let len = self.len();
        if self.ends.len() <= bucket {
            self.ends.resize(bucket + 1, len);
        }
        self.order.push(piece);
        let mut hole = len;
        for above in (bucket + 1..self.ends.len()).rev() {
            let start = self.ends[above - 1];
            // An empty bucket has nothing to move: the hole is its place already.
            if start != hole {
                let moved = self.order[start as usize];
                place(&mut self.order, info, hole, moved);
            }
            self.ends[above] += 1;
            hole = start;
        }
        place(&mut self.order, info, hole, piece);
        self.ends[bucket] += 1;
        self.head = self.head.min(piece);
        self.shuffle_one(info, piece, rng);
    }

    /// Takes a piece out.
    pub(super) fn remove(&mut self, info: &mut [Info], piece: u32) {
        let mut hole = info[piece as usize].at;
        for bucket in usize::from(info[piece as usize].availability)..self.ends.len() {
            let last = self.ends[bucket] - 1;
            if last != hole {
                let moved = self.order[last as usize];
                place(&mut self.order, info, hole, moved);
            }
            self.ends[bucket] = last;
            hole = last;
        }
        self.order.pop();
    }

    /// One more peer has the piece.
    pub(super) fn raise(&mut self, info: &mut [Info], piece: u32, rng: &mut Xoshiro256PlusPlus) {
        let Info { at, availability, .. } = info[piece as usize];
        let bucket = usize::from(availability);
        if self.ends.len() == bucket + 1 {
            self.ends.push(self.len());
        }
        let last = self.ends[bucket] - 1;
        let other = self.order[last as usize];
        place(&mut self.order, info, at, other);
        place(&mut self.order, info, last, piece);
        self.ends[bucket] = last;
        info[piece as usize].availability += 1;
        self.shuffle_one(info, piece, rng);
    }

    /// One peer fewer has the piece.
    pub(super) fn lower(&mut self, info: &mut [Info], piece: u32, rng: &mut Xoshiro256PlusPlus) {
        let Info { at, availability, .. } = info[piece as usize];
        let below = usize::from(availability) - 1;
        let first = self.ends[below];
        let other = self.order[first as usize];
        place(&mut self.order, info, at, other);
        place(&mut self.order, info, first, piece);
        self.ends[below] += 1;
        info[piece as usize].availability -= 1;
        self.shuffle_one(info, piece, rng);
    }

    /// Swaps a piece with a random one of its bucket: peers must not all choose the same of equally rare pieces.
    fn shuffle_one(&mut self, info: &mut [Info], piece: u32, rng: &mut Xoshiro256PlusPlus) {
        let Info { at, availability, .. } = info[piece as usize];
        let bucket = usize::from(availability);
        let start = if bucket == 0 { 0 } else { self.ends[bucket - 1] };
        let with = rng.random_range(start..self.ends[bucket]);
        let other = self.order[with as usize];
        place(&mut self.order, info, at, other);
        place(&mut self.order, info, with, piece);
    }

    fn len(&self) -> u32 {
        u32::try_from(self.order.len()).unwrap_or(u32::MAX)
    }
}
