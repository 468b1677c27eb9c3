//! Hashes of version 2 between peers (BEP 52): `hash request`, `hashes` and `hash reject`.

use crate::metainfo::v2::{HASH_LEN, Hash};

/// Hashes that are asked for or answered at a time, uncles excluded: 16 KiB of them, as libtorrent asks for.
pub const MAX_HASHES: u32 = 512;

/// Uncles at most: a tree over what 64 bits can count is not higher.
pub(super) const MAX_UNCLES: u32 = 64;

/// Length of a [`HashRange`] on the wire.
pub(super) const RANGE_LEN: usize = HASH_LEN + 4 * 4;

/// Which hashes of a file's tree are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashRange {
    /// The file's root.
    pub root: Hash,
    /// The level of the hashes, counted from the leaves.
    pub base: u32,
    /// The first one's place in its level.
    pub index: u32,
    /// How many.
    pub length: u32,
    /// Up to how many levels above `base` uncles are to be sent, so that the hashes can be verified.
    pub proofs: u32,
}

impl HashRange {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.root);
        for number in [self.base, self.index, self.length, self.proofs] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }

    /// Reads a range from the start of `bytes`; what follows it is handed back.
    pub(super) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (root, bytes) = bytes.split_first_chunk()?;
        let (numbers, rest) = bytes.split_first_chunk::<16>()?;
        let (numbers, _) = numbers.as_chunks::<4>();
        let number = |at: usize| numbers.get(at).map(|bytes| u32::from_be_bytes(*bytes));
        let range =
            Self { root: *root, base: number(0)?, index: number(1)?, length: number(2)?, proofs: number(3)? };
        Some((range, rest))
    }
}
