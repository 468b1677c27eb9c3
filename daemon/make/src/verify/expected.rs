//! The hashes that a torrent promises.

use proto::layout::Layout;
use proto::metainfo::v2::{HASH_LEN, Hash, PieceLayers, Tree};
use proto::metainfo::{Info, Metainfo, MetainfoError};

use crate::error::Error;
use crate::merkle::{self, LEAF};
use crate::pieces::Hashes;

/// What each piece has to hash to.
pub(super) enum Expected {
    /// By the info dictionary's own list.
    V1,
    /// For each piece the root of its part of a tree, and how many leaves that part is wide.
    V2(Vec<(Hash, usize)>),
}

impl Expected {
    /// Those of a torrent: version 1 if it has it.
    pub(super) fn of(torrent: &Metainfo) -> Result<Self, Error> {
        match torrent.info.tree()? {
            Some(tree) if torrent.info.is_v2_only() => {
                Ok(Self::V2(pieces_of(&tree, &torrent.piece_layers()?)?))
            }
            _ => Ok(Self::V1),
        }
    }

    pub(super) fn matches(&self, info: &Info, piece: usize, hashes: &Hashes) -> bool {
        match self {
            Self::V1 => u32::try_from(piece).is_ok_and(|piece| *info.piece_hash(piece) == hashes.sha1),
            Self::V2(roots) => roots.get(piece).is_some_and(|(expected, width)| {
                hashes.leaves.len() <= *width && merkle::root(&hashes.leaves, *width) == *expected
            }),
        }
    }
}

/// The roots of all pieces in the order of the layout. The layers are proven by the roots in the info dictionary.
fn pieces_of(tree: &Tree, layers: &PieceLayers) -> Result<Vec<(Hash, usize)>, MetainfoError> {
    const WRONG: MetainfoError = MetainfoError::Key("piece layers");
    let piece_length = Layout::piece_length(&tree.layout);
    let width = piece_length as usize / LEAF;
    let mut pieces = Vec::new();
    for file in &tree.files {
        let Some(root) = file.root else { continue };
        if file.entry.length <= u64::from(piece_length) {
            let leaves = file.entry.length.div_ceil(LEAF as u64) as usize;
            pieces.push((root, leaves.next_power_of_two()));
            continue;
        }
        let layer = layers.get(&root).ok_or(WRONG)?;
        let (layer, _) = layer.as_chunks::<HASH_LEN>();
        if layer.len() as u64 != file.pieces(piece_length) || merkle::root_of_pieces(layer, width) != root {
            return Err(WRONG);
        }
        pieces.extend(layer.iter().map(|hash| (*hash, width)));
    }
    Ok(pieces)
}
