//! The hash trees of BEP 52: SHA-256 over blocks of 16 KiB, then over pairs, up to one root for each file.

use hash::sha256_many;
use proto::layout::BLOCK;

/// A node of a tree.
pub(crate) type Node = [u8; 32];

/// Bytes under a leaf.
pub(crate) const LEAF: usize = BLOCK as usize;

/// The root over `leaves`, filled up with zeros to `width` leaves. `width` is a power of two and not less than the number of leaves.
pub(crate) fn root(leaves: &[Node], width: usize) -> Node {
    root_filled(leaves, width, [0; 32])
}

/// The root of a file longer than a piece, from the roots of its pieces: the row of them is filled up with roots of pieces of zeros.
pub(crate) fn root_of_pieces(pieces: &[Node], leaves_per_piece: usize) -> Node {
    let filler = root(&[], leaves_per_piece);
    root_filled(pieces, pieces.len().next_power_of_two(), filler)
}

/// Goes up level by level; on each, `filler` is the root of a subtree that consists of filling alone, so none of it is stored.
fn root_filled(nodes: &[Node], width: usize, mut filler: Node) -> Node {
    debug_assert!(width.is_power_of_two() && nodes.len() <= width);
    let mut level = nodes.to_vec();
    for _ in 0..width.trailing_zeros() {
        if level.len() % 2 == 1 {
            level.push(filler);
        }
        let pairs: Vec<&[u8]> = level.chunks(2).map(<[Node]>::as_flattened).collect();
        level = sha256_many(&pairs);
        filler = sha256_many(&[[filler, filler].as_flattened()])[0];
    }
    level.first().copied().unwrap_or(filler)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(a: Node, b: Node) -> Node {
        sha256_many(&[[a, b].as_flattened()])[0]
    }

    #[test]
    fn a_lone_leaf_is_the_root() {
        assert_eq!(root(&[[7; 32]], 1), [7; 32]);
    }

    #[test]
    fn missing_leaves_are_zeros() {
        let (a, b, c, zero) = ([1; 32], [2; 32], [3; 32], [0; 32]);
        assert_eq!(root(&[a, b, c], 4), pair(pair(a, b), pair(c, zero)));
        assert_eq!(root(&[a], 4), pair(pair(a, zero), pair(zero, zero)));
        assert_eq!(root(&[], 2), pair(zero, zero));
    }

    #[test]
    fn pieces_and_leaves_lead_to_the_same_root() {
        let leaves: Vec<Node> = (1..=11).map(|i| [i; 32]).collect();
        let pieces: Vec<Node> = leaves.chunks(4).map(|piece| root(piece, 4)).collect();
        assert_eq!(root_of_pieces(&pieces, 4), root(&leaves, 16));
    }
}
