//! The hash trees of version 2 (BEP 52): SHA-256 over blocks of 16 KiB, then over pairs, up to one root for each file.
//!
//! A tree is as wide as the next power of two; the leaves beyond the file's last block are 32 zero bytes. Levels are counted from the
//! leaves, which are level 0.

mod proof;
mod trees;

pub use proof::{ProofError, prove, verify};
pub use trees::{FileTree, HashTrees, PieceRoot};

use crate::metainfo::v2::Hash;
use sha2::{Digest, Sha256};

/// The node above two nodes.
pub fn parent(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update(left).chain_update(right).finalize().into()
}

/// The node at a level above which there are only leaves beyond the end of the file.
pub fn filler(level: u32) -> Hash {
    (0..level).fold([0; 32], |node, _| parent(&node, &node))
}

/// The node above the nodes of a level, `width` of them, where those that are not given are filling. `width` is a power of two and not less
/// than the number of nodes.
pub fn root(nodes: &[Hash], width: usize, level: u32) -> Hash {
    levels(nodes, width, level)
        .pop()
        .and_then(|top| top.first().copied())
        .unwrap_or_else(|| filler(level + width.trailing_zeros()))
}

/// The levels of a tree from `nodes`, which are at `level` and `width` of them with filling, up to the root. What is filling alone is left
/// out.
pub fn levels(nodes: &[Hash], width: usize, level: u32) -> Vec<Vec<Hash>> {
    let mut filling = filler(level);
    let mut all = vec![nodes.to_vec()];
    for _ in 0..width.trailing_zeros() {
        let below = all.last().map_or(&[][..], Vec::as_slice);
        let above = below.chunks(2).map(|pair| parent(&pair[0], pair.get(1).unwrap_or(&filling))).collect();
        filling = parent(&filling, &filling);
        all.push(above);
    }
    all
}

#[cfg(test)]
mod tests;
