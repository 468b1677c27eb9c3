//! Who sent the bad block of a piece: what came is remembered until the piece is fetched again and proves good.

use crate::out::{BlockDigest, PeerKey};
use std::collections::BTreeMap;

/// Bad pieces remembered at most; 1,024 blocks each at worst.
const MAX_PIECES: usize = 64;

/// The blocks of pieces that came out bad.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    pieces: BTreeMap<u32, Vec<Sent>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    index: u32,
    digest: u64,
    by: PeerKey,
}

/// What a bad piece says at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// One peer sent all of it.
    Proven(PeerKey),
    /// One of several; the good piece will tell.
    Open,
    /// Nobody can be named.
    Nobody,
}

impl Suspects {
    /// A piece is bad; `senders` has who sent each block.
    pub(super) fn bad(&mut self, piece: u32, digests: &[BlockDigest], senders: &[PeerKey]) -> Blame {
        match senders {
            [] => return Blame::Nobody,
            [first, rest @ ..] if rest.iter().all(|sender| sender == first) => return Blame::Proven(*first),
            _ => {}
        }
        if self.pieces.len() >= MAX_PIECES && !self.pieces.contains_key(&piece) {
            self.pieces.pop_first();
        }
        let sent = self.pieces.entry(piece).or_default();
        let blocks = senders.len();
        for BlockDigest { index, digest } in digests {
            let Some(by) = senders.get(*index as usize) else { continue };
            let entry = Sent { index: *index, digest: *digest, by: *by };
            // A piece that is bad again and again is bounded by twice its blocks.
            if sent.len() < blocks * 2 && !sent.contains(&entry) {
                sent.push(entry);
            }
        }
        Blame::Open
    }

    /// A piece is good: everyone who had sent something else for it, each once.
    pub(super) fn good(&mut self, piece: u32, digests: &[BlockDigest]) -> Vec<PeerKey> {
        let Some(sent) = self.pieces.remove(&piece) else { return Vec::new() };
        let mut liars: Vec<PeerKey> = sent
            .iter()
            .filter(|sent| digests.iter().any(|good| good.index == sent.index && good.digest != sent.digest))
            .map(|sent| sent.by)
            .collect();
        liars.sort_unstable();
        liars.dedup();
        liars
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(of: [u64; 3]) -> Vec<BlockDigest> {
        (0..).zip(of).map(|(index, digest)| BlockDigest { index, digest }).collect()
    }

    #[test]
    fn the_good_piece_names_the_liar() {
        let mut suspects = Suspects::default();
        let senders = [PeerKey(1), PeerKey(2), PeerKey(1)];
        assert_eq!(suspects.bad(7, &digests([10, 66, 30]), &senders), Blame::Open);
        assert_eq!(suspects.good(7, &digests([10, 20, 30])), [PeerKey(2)]);
        assert!(suspects.good(7, &digests([10, 20, 30])).is_empty(), "told once");
    }

    #[test]
    fn who_sent_it_all_is_named_at_once() {
        let mut suspects = Suspects::default();
        assert_eq!(suspects.bad(7, &digests([1, 2, 3]), &[PeerKey(4); 3]), Blame::Proven(PeerKey(4)));
        assert_eq!(suspects.bad(7, &[], &[]), Blame::Nobody);
    }
}
