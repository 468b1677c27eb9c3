//! Pieces that were begun: who was asked for which block, and who sent it.

use crate::out::PeerKey;

/// A block's state: nobody was asked.
const FREE: u8 = 0;
/// A block's state: it is here. What lies between is the number of peers that were asked.
const HERE: u8 = u8::MAX;

/// Whether a piece may be fetched from several peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sole {
    /// From anyone.
    Any,
    /// It came out bad once: from one peer, whoever takes it first.
    Wanted,
    /// From this peer only.
    Peer(PeerKey),
}

/// A block that changed hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Nobody had been asked for it.
    Free,
    /// Someone had been asked.
    Asked,
}

/// One piece that was begun.
#[derive(Debug)]
pub(super) struct Partial {
    /// Which piece.
    pub(super) piece: u32,
    /// Blocks that nobody was asked for.
    pub(super) free: u32,
    /// Blocks that are here.
    pub(super) received: u32,
    /// Who fills it: other fast peers leave it alone.
    pub(super) filler: Option<PeerKey>,
    /// Whether several peers may be asked.
    pub(super) sole: Sole,
    /// No block with a smaller index is free.
    hint: u32,
    state: Vec<u8>,
    /// For a block that is here, who sent it; for one asked for, the first who was asked.
    who: Vec<PeerKey>,
    /// Further peers that were asked for a block.
    more: Vec<(u32, PeerKey)>,
    /// Its position among the slots in use.
    position: usize,
}

impl Partial {
    pub(super) fn new(piece: u32, blocks: u32) -> Self {
        let mut partial = Self {
            piece,
            free: 0,
            received: 0,
            filler: None,
            sole: Sole::Any,
            hint: 0,
            state: Vec::new(),
            who: Vec::new(),
            more: Vec::new(),
            position: 0,
        };
        partial.reset(piece, blocks);
        partial
    }

    /// Forgets every block that is here. What was asked for stays so.
    pub(super) fn lose(&mut self) {
        for state in &mut self.state {
            if *state == HERE {
                *state = FREE;
            }
        }
        self.free += self.received;
        self.received = 0;
        self.hint = 0;
        self.filler = None;
    }

    /// Makes it as good as new for another piece, keeping its memory.
    pub(super) fn reset(&mut self, piece: u32, blocks: u32) {
        self.piece = piece;
        self.free = blocks;
        self.received = 0;
        self.filler = None;
        self.sole = Sole::Any;
        self.hint = 0;
        self.state.clear();
        self.state.resize(blocks as usize, FREE);
        self.who.clear();
        self.who.resize(blocks as usize, PeerKey(0));
        self.more.clear();
    }

    pub(super) fn blocks(&self) -> u32 {
        u32::try_from(self.state.len()).unwrap_or(u32::MAX)
    }

    /// Blocks that were asked for and are not here.
    pub(super) fn asked(&self) -> u32 {
        self.blocks() - self.free - self.received
    }

    /// Whether nothing was asked for and nothing is here.
    pub(super) fn is_untouched(&self) -> bool {
        self.free == self.blocks()
    }

    pub(super) fn is_here(&self, index: u32) -> bool {
        self.state.get(index as usize) == Some(&HERE)
    }

    /// Whether `peer` may be asked for blocks of this piece at all.
    pub(super) fn allows(&self, peer: PeerKey) -> bool {
        match self.sole {
            Sole::Any | Sole::Wanted => true,
            Sole::Peer(only) => only == peer,
        }
    }

    /// The next free block is now asked of `peer`.
    pub(super) fn take(&mut self, peer: PeerKey) -> Option<u32> {
        if self.free == 0 {
            return None;
        }
        let index = (self.hint..self.blocks()).find(|index| self.state[*index as usize] == FREE)?;
        self.hint = index + 1;
        self.state[index as usize] = 1;
        self.who[index as usize] = peer;
        self.free -= 1;
        self.filler = Some(peer);
        if self.sole == Sole::Wanted {
            self.sole = Sole::Peer(peer);
        }
        Some(index)
    }

    /// The first block from `from` on that was asked of exactly `asked` peers, none of them `peer`.
    pub(super) fn busy(&self, from: u32, asked: u8, peer: PeerKey) -> Option<u32> {
        (from..self.blocks())
            .find(|index| self.state[*index as usize] == asked && !self.is_asked_of(*index, peer))
    }

    fn is_asked_of(&self, index: u32, peer: PeerKey) -> bool {
        self.who[index as usize] == peer || self.more.contains(&(index, peer))
    }

    /// A block that someone was asked for is now asked of `peer` too.
    pub(super) fn ask_again(&mut self, index: u32, peer: PeerKey) {
        self.state[index as usize] += 1;
        self.more.push((index, peer));
    }

    /// `peer` will not send a block. Whether it is free now.
    pub(super) fn give_back(&mut self, index: u32, peer: PeerKey) -> bool {
        let at = index as usize;
        match self.state.get(at) {
            None | Some(&FREE | &HERE) => return false,
            Some(_) if !self.is_asked_of(index, peer) => return false,
            Some(_) => {}
        }
        self.state[at] -= 1;
        if let Some(found) = self.more.iter().position(|entry| *entry == (index, peer)) {
            self.more.swap_remove(found);
        } else if let Some(found) = self.more.iter().position(|entry| entry.0 == index) {
            self.who[at] = self.more.swap_remove(found).1;
        }
        if self.state[at] != FREE {
            return false;
        }
        self.free += 1;
        self.hint = self.hint.min(index);
        true
    }

    /// A block came from `peer`. `None` if it is here already; else what it was, with the other peers that were asked
    /// for it pushed to `others`.
    pub(super) fn receive(&mut self, index: u32, peer: PeerKey, others: &mut Vec<PeerKey>) -> Option<Before> {
        let at = index as usize;
        let before = match *self.state.get(at)? {
            HERE => return None,
            FREE => {
                self.free -= 1;
                Before::Free
            }
            count => {
                if count > 1 || self.who[at] != peer {
                    self.others(index, peer, others);
                }
                Before::Asked
            }
        };
        self.state[at] = HERE;
        self.who[at] = peer;
        self.received += 1;
        Some(before)
    }

    fn others(&mut self, index: u32, peer: PeerKey, others: &mut Vec<PeerKey>) {
        others.extend((self.who[index as usize] != peer).then_some(self.who[index as usize]));
        self.more.retain(|entry| {
            let same = entry.0 == index;
            if same && entry.1 != peer {
                others.push(entry.1);
            }
            !same
        });
    }

    /// Who sent each block, once all are here.
    pub(super) fn senders(&self) -> &[PeerKey] {
        &self.who
    }

    /// Forgets `peer` as the one who fills it, so that others may.
    pub(super) fn release(&mut self, peer: PeerKey) {
        if self.filler == Some(peer) {
            self.filler = None;
        }
        if self.sole == Sole::Peer(peer) {
            self.sole = Sole::Wanted;
        }
    }
}

/// The pieces that were begun, by slot. Slots and their memory are used again.
#[derive(Debug, Default)]
pub(super) struct Started {
    slots: Vec<Partial>,
    /// Slots in use, in no order.
    used: Vec<u32>,
    spare: Vec<u32>,
    /// Slots in use whose piece is wanted and has free blocks, oldest first.
    pub(super) open: Vec<u32>,
}

impl Started {
    /// How many pieces are begun.
    pub(super) fn len(&self) -> usize {
        self.used.len()
    }

    /// Begins a piece; returns its slot. It is in `open`.
    pub(super) fn begin(&mut self, piece: u32, blocks: u32) -> u32 {
        let slot = if let Some(slot) = self.spare.pop() {
            self.slots[slot as usize].reset(piece, blocks);
            slot
        } else {
            self.slots.push(Partial::new(piece, blocks));
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        };
        self.slots[slot as usize].position = self.used.len();
        self.used.push(slot);
        self.open.push(slot);
        slot
    }

    /// Ends a piece: it is verified, or nothing of it is left.
    pub(super) fn end(&mut self, slot: u32) {
        let position = self.slots[slot as usize].position;
        self.used.swap_remove(position);
        if let Some(moved) = self.used.get(position) {
            self.slots[*moved as usize].position = position;
        }
        self.close(slot);
        self.spare.push(slot);
    }

    /// The piece has free blocks that are wanted.
    pub(super) fn open(&mut self, slot: u32) {
        if !self.open.contains(&slot) {
            self.open.push(slot);
        }
    }

    /// The piece has no free blocks, or they are not wanted.
    pub(super) fn close(&mut self, slot: u32) {
        self.open.retain(|open| *open != slot);
    }

    pub(super) fn get(&self, slot: u32) -> &Partial {
        &self.slots[slot as usize]
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Partial {
        &mut self.slots[slot as usize]
    }

    /// The piece that stands at `at` among those begun.
    pub(super) fn nth_mut(&mut self, at: usize) -> &mut Partial {
        &mut self.slots[self.used[at] as usize]
    }

    /// The pieces begun, in an order that follows from what happened.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Partial)> {
        self.used.iter().map(|slot| (*slot, self.get(*slot)))
    }

    /// Forgets a peer as the one who fills any piece.
    pub(super) fn release(&mut self, peer: PeerKey) {
        for slot in &self.used {
            self.slots[*slot as usize].release(peer);
        }
    }
}
