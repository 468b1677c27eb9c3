//! The `info` dictionary.

use super::{
    MAX_FILES, MAX_PIECE_LENGTH, MetainfoError, display_text,
    path::{MAX_PATH, Names, Rules, safe_name},
    v2::Tree,
};
use crate::{
    bencode::{Document, Limits, Value},
    id::{ID_LEN, InfoHash},
    layout::Layout,
};
use bytes::Bytes;
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// Longest `source` that is kept, in bytes.
const MAX_SOURCE: usize = 1024;

/// What a torrent consists of: the content of its `info` dictionary, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// What the torrent is called everywhere: SHA-1 of [`Info::raw`].
    pub info_hash: InfoHash,
    /// For a hybrid torrent (BEP 52), its version 2 name: SHA-256 of [`Info::raw`].
    pub v2_hash: Option<[u8; 32]>,
    /// The suggested name, made safe: the file's, or the directory's of a multi-file torrent.
    pub name: String,
    /// Piece length, total length and number of pieces.
    pub layout: Layout,
    /// The files in the order of their bytes, without gaps. A single-file torrent has one.
    pub files: Vec<FileEntry>,
    /// Only its own trackers may be asked for peers (BEP 27).
    pub private: bool,
    /// Whether the files are in a directory called [`Info::name`].
    pub multi_file: bool,
    /// `source`: a mark by which trackers tell their copies apart.
    pub source: Option<String>,
    raw: Bytes,
    hashes: Bytes,
}

/// A file of a torrent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileEntry {
    /// Safe names, relative to the save path: `[torrent's name, directories…, file]` in a multi-file torrent, `[file]`
    /// otherwise. Never empty, unique within the torrent (padding excepted), never also another file's directory.
    pub path: Vec<String>,
    /// Length in bytes; may be 0.
    pub length: u64,
    /// Where its first byte is in the torrent's data.
    pub offset: u64,
    /// BEP 47 `p`: zeros that align the next file to a piece. Not to be stored or shown.
    pub pad: bool,
    /// BEP 47 `x`.
    pub executable: bool,
    /// BEP 47 `h`.
    pub hidden: bool,
    /// BEP 47 `l`: the publisher had a symbolic link here. The link's target is not read: the entry is an ordinary file
    /// of its length, usually empty.
    pub symlink: bool,
}

impl FileEntry {
    /// The path with `/` between the names.
    pub fn display_path(&self) -> String {
        self.path.join("/")
    }

    /// Its bytes within the torrent's data.
    pub const fn range(&self) -> std::ops::Range<u64> {
        self.offset..self.offset + self.length
    }
}

impl Info {
    /// Reads an `info` dictionary by itself, as peers send it for a magnet link. Whether its hash is the wanted one is for
    /// the caller to compare.
    pub fn parse(raw: &[u8]) -> Result<Self, MetainfoError> {
        let document = Document::decode(raw, Limits::METAINFO)?;
        Self::from_value(document.root())
    }

    /// [`Info::parse`], but a torrent of version 2 alone is read too: its files with padding between them, and without piece hashes.
    /// It is for looking at, not for downloading by version 1.
    pub fn parse_any(raw: &[u8]) -> Result<Self, MetainfoError> {
        let document = Document::decode(raw, Limits::METAINFO)?;
        Self::from_any_value(document.root())
    }

    /// Whether the torrent has no version 1 side. [`Info::info_hash`] is then the beginning of its version 2 hash.
    pub fn is_v2_only(&self) -> bool {
        self.v2_hash.is_some_and(|hash| hash[..ID_LEN] == self.info_hash.0)
    }

    /// The version 2 side (BEP 52), if there is one. It is read anew each time: few need it, and a tree of many files is large.
    pub fn tree(&self) -> Result<Option<Tree>, MetainfoError> {
        if self.v2_hash.is_none() {
            return Ok(None);
        }
        let document = Document::decode(&self.raw, Limits::METAINFO)?;
        Tree::from_value(document.root(), &self.name).map(Some)
    }

    /// The dictionary's bytes as they came: what `ut_metadata` serves.
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The SHA-1 of a piece; zeros if there is no such piece, which nothing hashes to.
    pub fn piece_hash(&self, piece: u32) -> &[u8; ID_LEN] {
        const NONE: [u8; ID_LEN] = [0; ID_LEN];
        let (hashes, _) = self.hashes.as_chunks();
        hashes.get(piece as usize).unwrap_or(&NONE)
    }

    /// All piece hashes, 20 bytes each.
    pub const fn piece_hashes(&self) -> &Bytes {
        &self.hashes
    }

    pub(super) fn from_value(info: Value<'_>) -> Result<Self, MetainfoError> {
        if !info.is_dict() {
            return Err(MetainfoError::NoInfo);
        }
        let v2 = info.dict_int(b"meta version") == Some(2);
        let Some(hashes) = info.dict_get(b"pieces") else {
            return Err(if v2 { MetainfoError::V2Only } else { MetainfoError::Key("pieces") });
        };
        let hashes = hashes.as_str_bytes().ok_or(MetainfoError::Key("pieces"))?;
        let raw = Bytes::copy_from_slice(info.raw());
        let info_hash = InfoHash(Sha1::digest(&raw).into());
        let name = read_name(info, info_hash)?;
        let multi_file = info.dict_get(b"files").is_some();
        let files = if multi_file { read_files(info, &name)? } else { read_single(info, &name)? };
        let layout = read_layout(info, &files, hashes)?;
        Ok(Self {
            info_hash,
            v2_hash: v2.then(|| Sha256::digest(&raw).into()),
            name,
            layout,
            files,
            private: is_private(info),
            multi_file,
            source: read_source(info),
            hashes: raw.slice_ref(within(&raw, info, hashes)),
            raw,
        })
    }
}

impl Info {
    pub(super) fn from_any_value(info: Value<'_>) -> Result<Self, MetainfoError> {
        match Self::from_value(info) {
            Err(MetainfoError::V2Only) => Self::from_v2_value(info),
            result => result,
        }
    }

    fn from_v2_value(info: Value<'_>) -> Result<Self, MetainfoError> {
        let raw = Bytes::copy_from_slice(info.raw());
        let v2_hash: [u8; 32] = Sha256::digest(&raw).into();
        let mut short = [0; ID_LEN];
        short.copy_from_slice(&v2_hash[..ID_LEN]);
        let info_hash = InfoHash(short);
        let name = read_name(info, info_hash)?;
        let tree = Tree::from_value(info, &name)?;
        Ok(Self {
            info_hash,
            v2_hash: Some(v2_hash),
            name,
            files: tree.padded(),
            layout: tree.layout,
            private: is_private(info),
            multi_file: tree.multi_file,
            source: read_source(info),
            hashes: Bytes::new(),
            raw,
        })
    }
}

fn is_private(info: Value<'_>) -> bool {
    info.dict_int(b"private").is_some_and(|private| private != 0)
}

fn read_source(info: Value<'_>) -> Option<String> {
    info.dict_bytes(b"source").map(|source| display_text(source, MAX_SOURCE))
}

/// Where `part`, found inside `info`, is in the copy of `info`'s bytes.
fn within<'a>(copy: &'a Bytes, info: Value<'_>, part: &[u8]) -> &'a [u8] {
    let start = part.as_ptr().addr().saturating_sub(info.raw().as_ptr().addr());
    copy.get(start..start + part.len()).unwrap_or_default()
}

/// The torrent's name as one path component. Where nothing of it is usable, the info-hash serves.
fn read_name(info: Value<'_>, info_hash: InfoHash) -> Result<String, MetainfoError> {
    let bytes = match info.dict_str(b"name.utf-8") {
        Some(name) => name.as_bytes(),
        None => info.dict_bytes(b"name").ok_or(MetainfoError::Key("name"))?,
    };
    Ok(safe_name(bytes, Rules::HERE).unwrap_or_else(|| info_hash.to_string()))
}

fn read_single(info: Value<'_>, name: &str) -> Result<Vec<FileEntry>, MetainfoError> {
    let length = info.dict_get(b"length").and_then(|v| v.as_num()).ok_or(MetainfoError::Key("length"))?;
    let file = FileEntry { path: vec![name.to_owned()], length, ..read_attributes(info) };
    Ok(vec![FileEntry { pad: false, ..file }])
}

fn read_files(info: Value<'_>, name: &str) -> Result<Vec<FileEntry>, MetainfoError> {
    let list = info.dict_get(b"files").filter(Value::is_list).ok_or(MetainfoError::Key("files"))?.list();
    let count = list.clone().take(MAX_FILES + 1).count();
    if count == 0 || count > MAX_FILES {
        return Err(MetainfoError::FileCount(list.count()));
    }
    let mut names = Names::default();
    let mut files = Vec::with_capacity(count);
    let mut offset = 0u64;
    for (index, entry) in list.enumerate() {
        let mut file = read_file(entry, name).map_err(|why| MetainfoError::File { index, why })?;
        // Padding is not stored, and publishers give all of it the same names.
        if !file.pad {
            names.claim(&mut file.path);
        }
        if names.directories() > MAX_FILES {
            return Err(MetainfoError::File { index, why: "needs more directories than are possible" });
        }
        if file.path.iter().map(|part| part.len() + 1).sum::<usize>() > MAX_PATH {
            return Err(MetainfoError::File { index, why: "has a path that is too long" });
        }
        file.offset = offset;
        offset = offset.checked_add(file.length).ok_or(MetainfoError::TotalLength)?;
        files.push(file);
    }
    Ok(files)
}

fn read_file(entry: Value<'_>, name: &str) -> Result<FileEntry, &'static str> {
    let length = entry.dict_get(b"length").and_then(|v| v.as_num()).ok_or("has no length")?;
    let utf8 = entry.dict_get(b"path.utf-8").filter(|path| path.list().all(|part| part.as_str().is_some()));
    let given = utf8.or_else(|| entry.dict_get(b"path")).filter(|path| path.list().next().is_some());
    let mut path = vec![name.to_owned()];
    for part in given.ok_or("has no path")?.list() {
        let bytes = part.as_str_bytes().ok_or("has a malformed path")?;
        path.extend(safe_name(bytes, Rules::HERE));
    }
    if path.len() == 1 {
        path.push("_".to_owned());
    }
    path.shrink_to_fit();
    Ok(FileEntry { path, length, ..read_attributes(entry) })
}

/// BEP 47.
pub(super) fn read_attributes(entry: Value<'_>) -> FileEntry {
    let attributes = entry.dict_bytes(b"attr").unwrap_or_default();
    let has = |attribute| attributes.contains(&attribute);
    FileEntry {
        pad: has(b'p'),
        executable: has(b'x'),
        hidden: has(b'h'),
        symlink: has(b'l'),
        ..FileEntry::default()
    }
}

fn read_layout(info: Value<'_>, files: &[FileEntry], hashes: &[u8]) -> Result<Layout, MetainfoError> {
    let given = info.dict_int(b"piece length").ok_or(MetainfoError::Key("piece length"))?;
    let piece_length = u32::try_from(given)
        .ok()
        .filter(|length| (1..=MAX_PIECE_LENGTH).contains(length))
        .ok_or(MetainfoError::PieceLength(given))?;
    let total = files.last().map_or(0, |file| file.offset + file.length);
    let layout = Layout::new(piece_length, total).ok_or(MetainfoError::TotalLength)?;
    if !hashes.len().is_multiple_of(ID_LEN) {
        return Err(MetainfoError::Key("pieces"));
    }
    let (got, want) = ((hashes.len() / ID_LEN) as u64, u64::from(layout.pieces()));
    if got != want {
        return Err(MetainfoError::Pieces { got, want });
    }
    Ok(layout.with_padding(files.iter().filter(|file| file.pad).map(FileEntry::range)))
}
