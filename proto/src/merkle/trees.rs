//! What a torrent of version 2 promises of its pieces.

use super::{levels, prove};
use crate::{
    layout::BLOCK,
    metainfo::{
        FileEntry, Info, MetainfoError,
        v2::{HASH_LEN, Hash, PieceLayers, Tree},
    },
    wire::{HashRange, MAX_HASHES},
};
use bytes::Bytes;
use std::{collections::HashMap, sync::Arc};

/// The hash tree of one file, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTree {
    /// The root.
    pub root: Hash,
    /// The file's length in bytes; not 0.
    pub length: u64,
    /// The file's first piece.
    pub first: u32,
    /// The roots of its pieces, which lead to the root, and the levels above them. A file of one piece needs none.
    levels: Option<Arc<[Vec<Hash>]>>,
}

/// The hash trees of all files of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashTrees {
    piece_length: u32,
    files: Vec<FileTree>,
    by_root: HashMap<Hash, usize>,
}

/// The part of a file's tree that belongs to a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceRoot {
    /// Its root.
    pub root: Hash,
    /// How many leaves it is wide: a power of two.
    pub width: usize,
}

impl FileTree {
    /// How many pieces the file has; at least one.
    pub fn pieces(&self, piece_length: u32) -> usize {
        usize::try_from(self.length.div_ceil(u64::from(piece_length))).unwrap_or(usize::MAX)
    }

    /// How many blocks the file has; at least one.
    pub fn blocks(&self) -> usize {
        usize::try_from(self.length.div_ceil(u64::from(BLOCK))).unwrap_or(usize::MAX)
    }

    /// The roots of its pieces, if they are known. Empty for a file of one piece.
    pub fn layer(&self) -> Option<&[Hash]> {
        self.levels.as_ref().map(|levels| levels.first().map_or(&[][..], Vec::as_slice))
    }
}

impl HashTrees {
    /// The trees of a torrent; `None` if it has none, or if its two versions do not describe the same bytes: then the first alone is
    /// used. A layer that does not lead to its root is an error; one that is absent can be given later.
    pub fn of(info: &Info, layers: &PieceLayers) -> Result<Option<Self>, MetainfoError> {
        let Some(tree) = info.tree()? else { return Ok(None) };
        if !same_files(&info.files, &tree) || tree.layout.piece_length() != info.layout.piece_length() {
            return Ok(None);
        }
        let piece_length = tree.layout.piece_length();
        let mut trees = Self { piece_length, files: Vec::new(), by_root: HashMap::new() };
        for file in &tree.files {
            let Some(root) = file.root else { continue };
            let first = u32::try_from(file.entry.offset / u64::from(piece_length))
                .map_err(|_| MetainfoError::TotalLength)?;
            let mut file = FileTree { root, length: file.entry.length, first, levels: None };
            if file.pieces(piece_length) == 1 {
                file.levels = Some(Arc::new([]));
            } else if let Some(layer) = layers.get(&root) {
                file.levels =
                    Some(proven(&file, piece_length, layer).ok_or(MetainfoError::Key("piece layers"))?);
            }
            trees.by_root.entry(root).or_insert(trees.files.len());
            trees.files.push(file);
        }
        Ok(Some(trees))
    }

    /// Every piece's length but the last of each file, in bytes: a power of two, at least 16 KiB.
    pub const fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// The level of the roots of pieces in the tree of a file of several.
    pub const fn piece_level(&self) -> u32 {
        (self.piece_length / BLOCK).trailing_zeros()
    }

    /// What a piece must hash to; `None` if there is no such piece or its file's layer is not known.
    pub fn piece(&self, piece: u32) -> Option<PieceRoot> {
        let file = self.file_of(piece)?;
        let at = (piece - file.first) as usize;
        if file.pieces(self.piece_length) == 1 {
            return (at == 0)
                .then(|| PieceRoot { root: file.root, width: file.blocks().next_power_of_two() });
        }
        let root = *file.layer()?.get(at)?;
        Some(PieceRoot { root, width: (self.piece_length / BLOCK) as usize })
    }

    /// The file that a piece belongs to.
    pub fn file_of(&self, piece: u32) -> Option<&FileTree> {
        let after = self.files.partition_point(|file| file.first <= piece);
        self.files.get(after.checked_sub(1)?)
    }

    /// A file by its root. Of several with one content, the first.
    pub fn by_root(&self, root: &Hash) -> Option<&FileTree> {
        self.files.get(*self.by_root.get(root)?)
    }

    /// What a peer asked for, if it is of the pieces' level, which is the lowest that is known without reading data.
    pub fn serve(&self, range: &HashRange) -> Option<Vec<Hash>> {
        let levels = self.by_root(&range.root)?.levels.as_ref()?;
        if range.base != self.piece_level() || range.length > MAX_HASHES {
            return None;
        }
        prove(levels, range.base, range.index as usize, range.length as usize, range.proofs as usize)
    }

    /// The files whose layers are not known.
    pub fn missing(&self) -> impl Iterator<Item = &FileTree> {
        self.files.iter().filter(|file| file.levels.is_none())
    }

    /// Takes the layer of all files with this root, if it is right.
    pub fn add_layer(&mut self, root: &Hash, layer: &Bytes) -> bool {
        let mut taken = false;
        for file in self.files.iter_mut().filter(|file| file.root == *root) {
            if let Some(levels) = proven(file, self.piece_length, layer) {
                file.levels = Some(levels);
                taken = true;
            }
        }
        taken
    }

    /// The layers, as a torrent file keeps them.
    pub fn layers(&self) -> PieceLayers {
        let known = |file: &FileTree| {
            let layer = file.layer().filter(|layer| !layer.is_empty())?;
            Some((file.root, Bytes::copy_from_slice(layer.as_flattened())))
        };
        self.files.iter().filter_map(known).collect()
    }
}

/// The layer and what is above it, if it leads to the file's root.
fn proven(file: &FileTree, piece_length: u32, layer: &Bytes) -> Option<Arc<[Vec<Hash>]>> {
    let (pieces, rest) = layer.as_chunks::<HASH_LEN>();
    if !rest.is_empty() || pieces.len() != file.pieces(piece_length) {
        return None;
    }
    let level = (piece_length / BLOCK).trailing_zeros();
    let levels = levels(pieces, pieces.len().next_power_of_two(), level);
    (levels.last().and_then(|top| top.first()) == Some(&file.root)).then(|| levels.into())
}

/// Whether both versions have the same bytes in the same places. Names may differ: they were made safe each for itself.
fn same_files(files: &[FileEntry], tree: &Tree) -> bool {
    let first = files.iter().filter(|file| !file.pad && file.length > 0).map(FileEntry::range);
    let second = tree.files.iter().filter(|file| file.root.is_some()).map(|file| file.entry.range());
    first.eq(second)
}
