//! Hashes from the middle of a tree, and the uncles that prove them (BEP 52, "hash request").

use super::{filler, levels, parent};
use crate::metainfo::v2::Hash;

/// Hashes do not lead to the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hashes do not lead to the root of their file")]
pub struct ProofError;

/// `length` nodes from `index` on, of those at `level`, and `proofs` uncles from the bottom up; an uncle is the sibling of the node above
/// the ones asked for, then of that one's parent, and so on. `nodes` are all that the level has before its filling, `width` is how
/// many it has with it; the uncles stop below the root. `None` if that is no aligned part of the level.
pub fn prove(
    nodes: &[Hash],
    level: u32,
    width: usize,
    index: usize,
    length: usize,
    proofs: usize,
) -> Option<Vec<Hash>> {
    if !length.is_power_of_two() || !index.is_multiple_of(length) || index.checked_add(length)? > width {
        return None;
    }
    let tree = levels(nodes, width, level);
    let at = |up: usize, index: usize| {
        let known = tree.get(up).and_then(|nodes| nodes.get(index)).copied();
        known.unwrap_or_else(|| filler(level + u32::try_from(up).unwrap_or(0)))
    };
    let mut hashes: Vec<_> = (index..index + length).map(|index| at(0, index)).collect();
    let own = length.trailing_zeros() as usize;
    let uncles = (width.trailing_zeros() as usize - own).min(proofs);
    hashes.extend((own..own + uncles).map(|up| at(up, (index >> up) ^ 1)));
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
