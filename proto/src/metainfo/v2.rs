//! The version 2 side of a torrent (BEP 52): a tree of files, each with the root of a hash tree of its own.

use super::{
    MAX_FILES, MAX_PIECE_LENGTH, MetainfoError,
    info::{FileEntry, read_attributes},
    path::{MAX_PATH, Names, Rules, safe_name},
};
use crate::{
    bencode::{DictIter, Document, Limits, Value},
    layout::{BLOCK, Layout},
};
use bytes::Bytes;
use std::collections::BTreeMap;

/// A hash of version 2: SHA-256.
pub type Hash = [u8; 32];

/// Length of a hash of version 2 in bytes.
pub const HASH_LEN: usize = 32;

/// The hashes of each file's pieces, by the file's root; see [`Metainfo::piece_layers`](super::Metainfo::piece_layers).
pub type PieceLayers = BTreeMap<Hash, Bytes>;

/// The `file tree` of an info dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Piece length and number of pieces, where every file starts at a piece. The total includes the gaps between.
    pub layout: Layout,
    /// The files in the order of the tree. Offsets are those of the layout; there is no padding.
    pub files: Vec<TreeFile>,
    /// Whether the files are in a directory.
    pub multi_file: bool,
}

/// A file of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFile {
    /// As in a version 1 torrent.
    pub entry: FileEntry,
    /// The names as they are in the tree, without the torrent's.
    pub given: Vec<Vec<u8>>,
    /// The root of the file's hash tree: over blocks of 16 KiB, zeros beyond the end up to a power of two. Absent if the file is empty.
    pub root: Option<Hash>,
}

impl TreeFile {
    /// How many pieces the file has.
    pub fn pieces(&self, piece_length: u32) -> u64 {
        self.entry.length.div_ceil(u64::from(piece_length))
    }
}

impl Tree {
    /// Reads the tree of an info dictionary; `name` is the torrent's safe name.
    pub(super) fn from_value(info: Value<'_>, name: &str) -> Result<Self, MetainfoError> {
        let tree =
            info.dict_get(b"file tree").filter(Value::is_dict).ok_or(MetainfoError::Key("file tree"))?;
        let piece_length = read_piece_length(info)?;
        let mut files = walk(tree)?;
        let single = matches!(files.as_slice(), [file] if file.given.len() == 1 && info.dict_bytes(b"name") == Some(&file.given[0]));
        let mut total = 0;
        let mut names = Names::default();
        for (index, file) in files.iter_mut().enumerate() {
            file.entry.path = safe_path(name, &file.given, single);
            names.claim(&mut file.entry.path);
            if names.directories() > MAX_FILES {
                return Err(MetainfoError::File { index, why: "needs more directories than are possible" });
            }
            if file.entry.path.iter().map(|part| part.len() + 1).sum::<usize>() > MAX_PATH {
                return Err(MetainfoError::File { index, why: "has a path that is too long" });
            }
            total = place(file, total, piece_length).ok_or(MetainfoError::TotalLength)?;
        }
        // Now no end is near what a number can hold.
        let layout = Layout::new(piece_length, total).ok_or(MetainfoError::TotalLength)?;
        let ends = files.iter().filter(|file| file.root.is_some()).map(|file| file.entry.range().end);
        let layout = layout.with_padding(ends.map(|end| end..end.next_multiple_of(u64::from(piece_length))));
        Ok(Self { layout, files, multi_file: !single })
    }

    /// The files with padding between them, which is how version 1 would write the same row of bytes.
    pub fn padded(&self) -> Vec<FileEntry> {
        let mut files: Vec<FileEntry> = Vec::with_capacity(self.files.len());
        for file in &self.files {
            let end = files.last().map_or(0, |last| last.offset + last.length);
            if end < file.entry.offset {
                let length = file.entry.offset - end;
                let path = vec![".pad".to_owned(), length.to_string()];
                files.push(FileEntry { path, length, offset: end, pad: true, ..FileEntry::default() });
            }
            files.push(file.entry.clone());
        }
        files
    }
}

/// Puts a file at the next piece at or after `end`, and answers where it ends.
fn place(file: &mut TreeFile, end: u64, piece_length: u32) -> Option<u64> {
    if file.entry.length > 0 {
        file.entry.offset = end.checked_next_multiple_of(u64::from(piece_length))?;
        file.entry.offset.checked_add(file.entry.length)
    } else {
        file.entry.offset = end;
        Some(end)
    }
}

fn safe_path(name: &str, given: &[Vec<u8>], single: bool) -> Vec<String> {
    let mut path = vec![name.to_owned()];
    if !single {
        path.extend(given.iter().filter_map(|part| safe_name(part, Rules::HERE)));
        if path.len() == 1 {
            path.push("_".to_owned());
        }
    }
    path
}

fn read_piece_length(info: Value<'_>) -> Result<u32, MetainfoError> {
    let given = info.dict_int(b"piece length").ok_or(MetainfoError::Key("piece length"))?;
    u32::try_from(given)
        .ok()
        .filter(|length| length.is_power_of_two() && (BLOCK..=MAX_PIECE_LENGTH).contains(length))
        .ok_or(MetainfoError::PieceLength(given))
}

/// The files below a dictionary, in its order. Without recursion; the decoder bounds the depth besides.
fn walk(tree: Value<'_>) -> Result<Vec<TreeFile>, MetainfoError> {
    let mut files: Vec<TreeFile> = Vec::new();
    let mut path: Vec<Vec<u8>> = Vec::new();
    let mut open: Vec<DictIter<'_>> = vec![tree.dict()];
    while let Some(folder) = open.last_mut() {
        let Some((name, node)) = folder.next() else {
            open.pop();
            path.pop();
            continue;
        };
        let index = files.len();
        let wrong = |why| MetainfoError::File { index, why };
        if name.is_empty() || !node.is_dict() {
            return Err(wrong("is malformed in the file tree"));
        }
        match node.dict_get(b"") {
            Some(_) if node.dict().count() != 1 => return Err(wrong("is both a file and a directory")),
            Some(leaf) => {
                let given = path.iter().cloned().chain([name.to_vec()]).collect();
                files.push(read_leaf(leaf, given).map_err(wrong)?);
            }
            None => {
                path.push(name.to_vec());
                open.push(node.dict());
            }
        }
        if files.len() > MAX_FILES {
            return Err(MetainfoError::FileCount(files.len()));
        }
    }
    if files.is_empty() { Err(MetainfoError::FileCount(0)) } else { Ok(files) }
}

fn read_leaf(leaf: Value<'_>, given: Vec<Vec<u8>>) -> Result<TreeFile, &'static str> {
    let length: u64 = leaf.dict_get(b"length").and_then(|v| v.as_num()).ok_or("has no length")?;
    let root = leaf.dict_get(b"pieces root").and_then(|v| v.as_array().copied());
    if length > 0 && root.is_none() {
        return Err("has no `pieces root`");
    }
    let entry = FileEntry { length, pad: false, ..read_attributes(leaf) };
    Ok(TreeFile { entry, given, root: root.filter(|_| length > 0) })
}

/// The content of `piece layers`. Whether the hashes lead to the roots is for whoever uses them to check.
pub(super) fn read_layers(layers: &[u8]) -> Result<PieceLayers, MetainfoError> {
    const WRONG: MetainfoError = MetainfoError::Key("piece layers");
    let document = Document::decode(layers, Limits::METAINFO)?;
    if !document.root().is_dict() {
        return Err(WRONG);
    }
    let read = |(root, hashes): (&[u8], Value<'_>)| {
        let root = Hash::try_from(root).map_err(|_| WRONG)?;
        let hashes =
            hashes.as_str_bytes().filter(|hashes| hashes.len().is_multiple_of(HASH_LEN)).ok_or(WRONG)?;
        Ok((root, Bytes::copy_from_slice(hashes)))
    };
    document.root().dict().map(read).collect()
}

#[cfg(test)]
mod tests;
