//! What a torrent promises of its pieces, and how far one is hashed against that.
//!
//! A piece of version 1 is one message of SHA-1; one of version 2 (BEP 52) is a small tree of SHA-256, with each block a message of its own.
//! A hybrid torrent is held to version 1, whose hashes cover the same bytes.

use bytes::Bytes;
use hash::{Feed, Sha1, sha256_many, update_many};
use proto::{
    layout::{BLOCK, Layout},
    merkle::{self, HashTrees},
    metainfo::v2::Hash,
};
use std::sync::Arc;

/// Length of a piece's SHA-1 (BEP 3).
const HASH_LEN: usize = 20;

/// The hashes of a torrent's pieces.
#[derive(Clone, Debug)]
pub(crate) enum Promise {
    /// SHA-1 of each piece, 20 bytes each, in order.
    Pieces(Bytes),
    /// Each file's tree.
    Trees(Arc<HashTrees>),
}

/// How far a piece is hashed, from its start.
#[derive(Clone, Debug)]
pub(super) enum Progress {
    Sha1(Sha1),
    Leaves(Vec<Hash>),
}

/// Bytes to add to a piece: slices of whole blocks, but the piece's last.
pub(super) type Run<'a> = (&'a mut Progress, Vec<&'a [u8]>);

impl Promise {
    /// Nothing of a piece is hashed.
    pub(super) fn begin(&self) -> Progress {
        match self {
            Self::Pieces(_) => Progress::Sha1(Sha1::new()),
            Self::Trees(_) => Progress::Leaves(Vec::new()),
        }
    }

    /// Whether a piece, all of it hashed but padding at its end, is as promised.
    pub(super) fn is_kept(&self, layout: &Layout, piece: u32, progress: &Progress) -> bool {
        match (self, progress) {
            (Self::Pieces(hashes), Progress::Sha1(state)) => {
                let Some(start) = (piece as usize).checked_mul(HASH_LEN) else { return false };
                let mut state = state.clone();
                zeros(layout.piece_span(piece) - layout.piece_len(piece), |run| state.update(run));
                hashes.get(start..start + HASH_LEN).is_some_and(|hash| hash == state.finish())
            }
            (Self::Trees(trees), Progress::Leaves(leaves)) => trees.piece(piece).is_some_and(|promised| {
                leaves.len() <= promised.width && merkle::root(leaves, promised.width, 0) == promised.root
            }),
            _ => false,
        }
    }
}

impl Progress {
    /// Adds bytes to this piece alone.
    pub(super) fn update(&mut self, data: &[u8]) {
        match self {
            Self::Sha1(state) => state.update(data),
            Self::Leaves(leaves) => {
                leaves.extend(sha256_many(&data.chunks(BLOCK as usize).collect::<Vec<_>>()));
            }
        }
    }

    /// Adds zeros.
    pub(super) fn update_zeros(&mut self, len: u32) {
        zeros(len, |run| self.update(run));
    }
}

/// Adds to many pieces at once, in all lanes.
pub(super) fn update_all(runs: &mut [Run<'_>]) {
    let mut feeds = Vec::with_capacity(runs.len());
    let mut trees = Vec::new();
    for (progress, data) in runs {
        match progress {
            Progress::Sha1(state) => feeds.push(Feed { state, data }),
            Progress::Leaves(leaves) => trees.push((leaves, data)),
        }
    }
    update_many(&mut feeds);
    if trees.is_empty() {
        return;
    }
    let chunks = |data: &&[u8]| data.len().div_ceil(BLOCK as usize);
    let blocks: Vec<_> =
        trees.iter().flat_map(|(_, data)| data.iter()).flat_map(|data| data.chunks(BLOCK as usize)).collect();
    let mut hashes = sha256_many(&blocks).into_iter();
    for (leaves, data) in trees {
        let count = data.iter().map(chunks).sum();
        leaves.extend(hashes.by_ref().take(count));
    }
}

/// So many zeros, in runs of whole blocks but the last.
fn zeros(len: u32, mut add: impl FnMut(&[u8])) {
    static ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];
    let mut left = len as usize;
    while left > 0 {
        let run = left.min(ZEROS.len());
        add(&ZEROS[..run]);
        left -= run;
    }
}
