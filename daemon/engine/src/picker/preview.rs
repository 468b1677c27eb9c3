//! What would be picked next, and why; nothing changes.

use super::{Holdings, Picker, TOP_PRIORITY};
use proto::{
    explain::{Choice, ExplainedPiece},
    strategy::PieceOrder,
};

impl Picker {
    /// The order in which pieces are begun now: the first few are random whatever the strategy.
    pub fn order(&self) -> PieceOrder {
        let random = self.rules.order == PieceOrder::RarestFirst && self.have < self.rules.random_first;
        if random { PieceOrder::Random } else { self.rules.order }
    }

    /// Up to `count` pieces that come next, of those that `holds` has if it is given. Where the order is random, no more
    /// can be said than which pieces are begun.
    pub fn preview(&self, holds: Option<&Holdings>, count: usize) -> Vec<ExplainedPiece> {
        let mut next = Vec::new();
        for priority in (1..=TOP_PRIORITY).rev() {
            self.preview_begun(priority, holds, count, &mut next);
            self.preview_open(priority, holds, count, &mut next);
        }
        if next.is_empty() && self.in_endgame() {
            let owed = self.started.iter().map(|(_, part)| part.piece).filter(|piece| self.wants(*piece));
            let owed = owed.filter(|piece| self.can_come(*piece, holds));
            next.extend(owed.take(count).map(|piece| self.explained(piece, Choice::Endgame, 0)));
        }
        next
    }

    fn preview_begun(
        &self,
        priority: u8,
        holds: Option<&Holdings>,
        count: usize,
        next: &mut Vec<ExplainedPiece>,
    ) {
        for slot in &self.started.open {
            let part = self.started.get(*slot);
            let fits = self.info[part.piece as usize].priority == priority;
            if next.len() < count && fits && self.can_come(part.piece, holds) {
                next.push(self.explained(part.piece, Choice::Begun, part.free));
            }
        }
    }

    fn preview_open(
        &self,
        priority: u8,
        holds: Option<&Holdings>,
        count: usize,
        next: &mut Vec<ExplainedPiece>,
    ) {
        let pieces = self.classes[usize::from(priority)].pieces();
        let open = |piece: &u32| self.can_come(*piece, holds);
        let room = count.saturating_sub(next.len());
        let push = |piece: u32, why| self.explained(piece, why, self.layout.blocks_in(piece));
        match self.order() {
            PieceOrder::Random => {}
            PieceOrder::RarestFirst => {
                let rarest = pieces.iter().copied().filter(open).take(room);
                next.extend(rarest.map(|piece| push(piece, Choice::Rarest)));
            }
            PieceOrder::Sequential => {
                let mut pieces: Vec<u32> = pieces.iter().copied().filter(open).collect();
                pieces.sort_unstable();
                next.extend(pieces.into_iter().take(room).map(|piece| push(piece, Choice::Sequential)));
            }
        }
    }

    fn can_come(&self, piece: u32, holds: Option<&Holdings>) -> bool {
        self.availability(piece) > 0 && holds.is_none_or(|holds| holds.has(piece))
    }

    fn explained(&self, piece: u32, why: Choice, free: u32) -> ExplainedPiece {
        let priority = self.info[piece as usize].priority;
        ExplainedPiece { piece, why, priority, availability: self.availability(piece), free }
    }
}
