//! Metadata coming together from blocks of several peers, until it has the right hash.

use crate::out::PeerKey;
use bytes::Bytes;
use proto::{id::InfoHash, time::Instant, wire::METADATA_BLOCK};
use sha1::{Digest as _, Sha1};
use std::time::Duration;

/// A block that did not come in this time is asked of another peer too.
const PATIENCE: Duration = Duration::from_secs(3);

/// Metadata of one size. Nothing is allocated for a block before it is here.
#[derive(Debug)]
pub(super) struct Assembly {
    size: u32,
    blocks: Vec<Slot>,
    /// What several peers sent had the wrong hash: now everything comes from one.
    sole: Option<Sole>,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    asked: Option<(PeerKey, Instant)>,
    here: Option<(PeerKey, Bytes)>,
}

#[derive(Clone, Copy, Debug)]
enum Sole {
    Wanted,
    Peer(PeerKey),
}

/// What came of the last block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// More is to come.
    More,
    /// The hash is right.
    Whole(Bytes),
    /// The hash is wrong, and this peer sent all of it.
    Liar(PeerKey),
    /// The hash is wrong, and several peers sent it: it is fetched anew from one.
    Mixed,
}

impl Assembly {
    pub(super) fn new(size: u32) -> Self {
        let blocks = size.div_ceil(METADATA_BLOCK) as usize;
        Self { size, blocks: vec![Slot::default(); blocks], sole: None }
    }

    /// Blocks that are here, of how many.
    pub(super) fn progress(&self) -> (u32, u32) {
        let here = self.blocks.iter().filter(|slot| slot.here.is_some()).count();
        (u32::try_from(here).unwrap_or(u32::MAX), u32::try_from(self.blocks.len()).unwrap_or(u32::MAX))
    }

    /// The next block to ask of a peer: one that nobody was asked for, else one that is late.
    pub(super) fn next(&mut self, now: Instant, peer: PeerKey) -> Option<u32> {
        match self.sole {
            Some(Sole::Wanted) => self.sole = Some(Sole::Peer(peer)),
            Some(Sole::Peer(only)) if only != peer => return None,
            _ => {}
        }
        let missing = |slot: &Slot| slot.here.is_none();
        let late = |slot: &Slot| slot.asked.is_some_and(|(who, at)| who != peer && now.since(at) >= PATIENCE);
        let free = self.blocks.iter().position(|slot| missing(slot) && slot.asked.is_none());
        let at = free.or_else(|| self.blocks.iter().position(|slot| missing(slot) && late(slot)))?;
        self.blocks[at].asked = Some((peer, now));
        u32::try_from(at).ok()
    }

    /// A peer will not answer.
    pub(super) fn give_up(&mut self, peer: PeerKey) {
        for slot in &mut self.blocks {
            if slot.asked.is_some_and(|(who, _)| who == peer) {
                slot.asked = None;
            }
        }
        if matches!(self.sole, Some(Sole::Peer(only)) if only == peer) {
            self.sole = Some(Sole::Wanted);
        }
    }

    /// When the next block is late.
    pub(super) fn late_at(&self) -> Option<Instant> {
        let late = |slot: &Slot| slot.asked.filter(|_| slot.here.is_none()).map(|(_, at)| at + PATIENCE);
        self.blocks.iter().filter_map(late).min()
    }

    /// A block came. `None` if its index or length is wrong.
    pub(super) fn receive(
        &mut self,
        peer: PeerKey,
        block: u32,
        data: Bytes,
        hash: &InfoHash,
    ) -> Option<Outcome> {
        let start = block.checked_mul(METADATA_BLOCK)?;
        let len = self.size.checked_sub(start)?.min(METADATA_BLOCK);
        let slot = self.blocks.get_mut(block as usize)?;
        if data.len() != len as usize {
            return None;
        }
        if slot.here.is_none() {
            slot.here = Some((peer, data));
        }
        if self.blocks.iter().any(|slot| slot.here.is_none()) {
            return Some(Outcome::More);
        }
        Some(self.judge(hash))
    }

    fn judge(&mut self, hash: &InfoHash) -> Outcome {
        let mut whole = Vec::with_capacity(self.size as usize);
        let mut senders: Vec<PeerKey> = Vec::new();
        for slot in &mut self.blocks {
            slot.asked = None;
            if let Some((peer, data)) = slot.here.take() {
                whole.extend_from_slice(&data);
                senders.push(peer);
            }
        }
        senders.dedup();
        if Sha1::digest(&whole).as_slice() == hash.as_bytes() {
            return Outcome::Whole(whole.into());
        }
        self.sole = Some(Sole::Wanted);
        match senders[..] {
            [liar] => Outcome::Liar(liar),
            _ => Outcome::Mixed,
        }
    }
}
