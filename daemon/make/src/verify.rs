//! Checking data against a torrent.

mod expected;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use proto::bencode::{Document, Limits};
use proto::metainfo::{FileEntry, Info, Metainfo, MetainfoError};

use crate::control::Control;
use crate::error::Error;
use crate::pieces::{Fault, Hashes, OnFault, Source, Wanted, hash_pieces};
use crate::space::Space;
use expected::Expected;

/// To find out what a path is meant to be, this many files are looked for.
const FILES_LOOKED_FOR: usize = 64;

/// What was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The folder or file that was checked.
    pub root: PathBuf,
    /// One entry for each file of the torrent, padding excluded, in the torrent's order.
    pub files: Vec<FileReport>,
    /// How many pieces there are.
    pub pieces: usize,
    /// Indices of the pieces that differ or could not be read, ascending.
    pub bad: Vec<usize>,
}

impl Report {
    /// Whether everything is there and right.
    pub fn is_complete(&self) -> bool {
        self.bad.is_empty() && self.files.iter().all(|file| file.state == FileState::Good)
    }
}

/// What was found of one file.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// The path within the torrent, for people.
    pub path: String,
    /// Where it was looked for.
    pub disk: PathBuf,
    /// Bytes, by the torrent.
    pub length: u64,
    /// How it is.
    pub state: FileState,
    /// Pieces with any of the file's bytes that differ or could not be read. A piece may be bad by a neighbour's bytes.
    pub bad_pieces: usize,
}

/// How a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// All its bytes are right.
    Good,
    /// Some of its pieces differ.
    Differs,
    /// It is not there.
    Missing,
    /// It has another length than the torrent says: this one.
    Length(u64),
    /// It cannot be read.
    Unreadable(String),
}

impl FileState {
    /// Whether there is a file, of whatever length.
    fn is_file(&self) -> bool {
        matches!(self, Self::Good | Self::Differs | Self::Length(_))
    }
}

/// Checks the data at `path` against a torrent. `path` is the torrent's file or folder, or the folder that holds it.
///
/// Of a hybrid torrent the version 1 hashes are checked, which cover the same bytes.
pub fn verify(torrent: &Metainfo, path: &Path, control: &Control) -> Result<Report, Error> {
    std::fs::metadata(path).map_err(Error::read(path))?;
    let info = &torrent.info;
    let expected = Expected::of(torrent)?;
    let names = raw_names(info)?;
    let root = find_root(info, &names, path);
    let disk: Vec<PathBuf> =
        info.files.iter().zip(&names).map(|(file, raw)| place(info, &root, file, raw)).collect();
    let states: Vec<FileState> = info.files.iter().zip(&disk).map(|(file, disk)| look(file, disk)).collect();
    let space = space_of(info);
    let sources: Vec<Source<'_>> = disk
        .iter()
        .zip(&states)
        .map(|(path, state)| Source { path, stamp: None, absent: !state.is_file() })
        .collect();
    let states = Mutex::new(states);
    let note = |file: usize, fault: Fault| {
        let mut states = states.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // A missing or short file is known already.
        if let (FileState::Good, Fault::Io(error)) = (&states[file], fault) {
            states[file] = FileState::Unreadable(error.to_string());
        }
    };
    let wanted = Wanted { sha1: !info.is_v2_only(), leaves: info.is_v2_only() };
    let hashes = hash_pieces(&space, &sources, wanted, &OnFault::Note(&note), control)?;
    if control.is_cancelled() {
        return Err(Error::Cancelled);
    }
    let good = |(piece, hashes): (usize, &Option<Hashes>)| {
        hashes.as_ref().is_some_and(|hashes| expected.matches(info, piece, hashes))
    };
    let bad: Vec<usize> =
        hashes.iter().enumerate().filter(|found| !good(*found)).map(|(piece, _)| piece).collect();
    let states = states.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let files = report_files(info, disk, states, &bad);
    Ok(Report { root, files, pieces: space.pieces(), bad })
}

fn space_of(info: &Info) -> Space {
    let mut space =
        Space { stretches: Vec::with_capacity(info.files.len()), piece_length: info.layout.piece_length() };
    for (index, file) in info.files.iter().enumerate() {
        space.push(file.length, (!file.pad).then_some(index));
    }
    space
}

fn report_files(info: &Info, disk: Vec<PathBuf>, states: Vec<FileState>, bad: &[usize]) -> Vec<FileReport> {
    let mut reports = Vec::with_capacity(info.files.len());
    for ((file, disk), state) in info.files.iter().zip(disk).zip(states) {
        if file.pad {
            continue;
        }
        let pieces = info.layout.pieces_of(file.range());
        let from = bad.partition_point(|piece| *piece < pieces.start as usize);
        let to = bad.partition_point(|piece| *piece < pieces.end as usize);
        let bad_pieces = to - from;
        let state = if state == FileState::Good && bad_pieces > 0 { FileState::Differs } else { state };
        reports.push(FileReport { path: file.display_path(), disk, length: file.length, state, bad_pieces });
    }
    reports
}

/// What the file system says about a file, before anything is read.
fn look(file: &FileEntry, disk: &Path) -> FileState {
    if file.pad {
        return FileState::Good;
    }
    match std::fs::metadata(disk) {
        Ok(metadata) if !metadata.is_file() => FileState::Unreadable("it is not a file".to_owned()),
        Ok(metadata) if metadata.len() != file.length => FileState::Length(metadata.len()),
        Ok(_) => FileState::Good,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => FileState::Missing,
        Err(error) => FileState::Unreadable(error.to_string()),
    }
}

/// The torrent's own file or folder: `path`, or what `path` has under the torrent's name, whichever holds more of the files.
fn find_root(info: &Info, names: &[Vec<Vec<u8>>], path: &Path) -> PathBuf {
    let inner = path.join(&info.name);
    if !info.multi_file {
        return if path.is_dir() { inner } else { path.to_owned() };
    }
    let found = |root: &Path| {
        let files = info.files.iter().zip(names).filter(|(file, _)| !file.pad).take(FILES_LOOKED_FOR);
        files.filter(|(file, raw)| place(info, root, file, raw).exists()).count()
    };
    if found(&inner) > found(path) { inner } else { path.to_owned() }
}

/// Where a file of the torrent is below `root`: by its safe names, which is how clients store it, or else by the names as they are in the torrent,
/// which is how its maker has it.
fn place(info: &Info, root: &Path, file: &FileEntry, raw: &[Vec<u8>]) -> PathBuf {
    if !info.multi_file {
        return root.to_owned();
    }
    let safe: PathBuf = file.path.iter().skip(1).fold(root.to_owned(), |path, name| path.join(name));
    let plain = |name: &Vec<u8>| {
        !matches!(name.as_slice(), b"" | b"." | b"..") && !name.contains(&b'/') && !name.contains(&0)
    };
    if raw.is_empty() || !raw.iter().all(plain) || safe.exists() {
        return safe;
    }
    let given = raw.iter().fold(root.to_owned(), |path, name| path.join(OsStr::from_bytes(name)));
    if given.exists() { given } else { safe }
}

/// The paths of a multi-file torrent as they are in it; empty for a file whose names are the safe ones.
fn raw_names(info: &Info) -> Result<Vec<Vec<Vec<u8>>>, Error> {
    let mut names = vec![Vec::new(); info.files.len()];
    let set = |(file, names): (&FileEntry, &mut Vec<Vec<u8>>), given: Vec<Vec<u8>>| {
        let safe = file.path.iter().skip(1).map(String::as_bytes);
        if !given.iter().map(Vec::as_slice).eq(safe) {
            *names = given;
        }
    };
    let slots = info.files.iter().zip(&mut names);
    if info.is_v2_only() {
        let given = info.tree()?.into_iter().flat_map(|tree| tree.files).map(|file| file.given);
        slots.filter(|(file, _)| !file.pad).zip(given).for_each(|(slot, given)| set(slot, given));
    } else {
        let document = Document::decode(info.raw(), Limits::METAINFO).map_err(MetainfoError::from)?;
        let list = document.root().dict_get(b"files").into_iter().flat_map(|files| files.list());
        let given = list.filter_map(|entry| entry.dict_get(b"path"));
        let given = given
            .map(|path| path.list().filter_map(|name| name.as_str_bytes()).map(<[u8]>::to_vec).collect());
        slots.zip(given).for_each(|(slot, given)| set(slot, given));
    }
    Ok(names)
}
