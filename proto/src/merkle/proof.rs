//! Hashes from the middle of a tree, and the uncles that prove them (BEP 52, "hash request").

use super::{filler, parent};
use crate::metainfo::v2::Hash;

/// Hashes do not lead to the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hashes do not lead to the root of their file")]
pub struct ProofError;

/// `length` nodes from `index` on, of those at the lowest of the levels, which is `level` in the file's tree; then their uncles, from the
/// bottom up: the sibling of the node above those asked for, then of that one's parent and so on, up to `proofs` levels above the lowest, but
/// below the root. `tree` is as [`levels`](super::levels) made it. `None` if that is no aligned part of the level, or fewer than two nodes.
pub fn prove(
    tree: &[Vec<Hash>],
    level: u32,
    index: usize,
    length: usize,
    proofs: usize,
) -> Option<Vec<Hash>> {
    let top = tree.len().checked_sub(1)?;
    let width = 1usize.checked_shl(u32::try_from(top).ok()?)?;
    if length < 2 || !length.is_power_of_two() || !index.is_multiple_of(length) {
        return None;
    }
    if index.checked_add(length)? > width {
        return None;
    }
    let at = |up: usize, index: usize| {
        let known = tree.get(up).and_then(|nodes| nodes.get(index)).copied();
        known.unwrap_or_else(|| filler(level + u32::try_from(up).unwrap_or(0)))
    };
    let mut hashes: Vec<_> = (index..index + length).map(|index| at(0, index)).collect();
    let own = length.trailing_zeros() as usize;
    let end = proofs.saturating_add(1).min(top);
    hashes.extend((own..end).map(|up| at(up, (index >> up) ^ 1)));
    Some(hashes)
}

/// Checks nodes from `index` on against the root of a tree whose level with them is `width` wide. `uncles` are from the bottom up and
/// reach to the root.
pub fn verify(
    root: &Hash,
    nodes: &[Hash],
    uncles: &[Hash],
    width: usize,
    index: usize,
) -> Result<(), ProofError> {
    let length = nodes.len();
    if !length.is_power_of_two() || !index.is_multiple_of(length) || index + length > width {
        return Err(ProofError);
    }
    let own = length.trailing_zeros() as usize;
    if uncles.len() != width.trailing_zeros() as usize - own {
        return Err(ProofError);
    }
    let mut node = super::root(nodes, length, 0);
    for (up, uncle) in (own..).zip(uncles) {
        node = if (index >> up) & 1 == 0 { parent(&node, uncle) } else { parent(uncle, &node) };
    }
    if node == *root { Ok(()) } else { Err(ProofError) }
}
