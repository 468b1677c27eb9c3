//! What goes into a torrent, and in which order.

mod order;
mod walk;

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use globset::GlobSet;

use crate::control::Control;
use crate::create::Format;
use crate::error::Error;

/// What to look at, and what to leave out.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// A file, or a folder to be walked.
    pub path: PathBuf,
    /// Patterns of files and folders to leave out: matched against the name and against the path within the input, with `*`, `?`, `[…]`, `{…}`
    /// and `**`.
    pub exclude: Vec<String>,
    /// Take names that start with a dot too.
    pub include_hidden: bool,
    /// Take what symbolic links lead to. Otherwise they are left out.
    pub follow_symlinks: bool,
    /// Choose and order files as another program does, so that the info-hash is the same as its.
    pub like: Like,
}

/// Whose habits to follow where programs differ. They agree on the format, but the order of the files is part of the info-hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Like {
    /// For v1 the order of mktorrent, for v2, hybrid and aligned torrents that of libtorrent, which is the one that BEP 52 prescribes. What is
    /// hidden is left out.
    #[default]
    Ours,
    /// By the bytes of the whole path; hidden files and what links lead to are taken.
    Mktorrent,
    /// By letters, small and capital being equal; without hidden and empty files; `private` is written when it is 0 too.
    Transmission,
    /// In the order in which the file system lists them where the format leaves the choice, with the mark for executable files.
    Libtorrent,
}

/// Something in the folder that does not go into the torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Path on this machine.
    pub path: PathBuf,
    /// The reason.
    pub why: Why,
}

/// Why something was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its name starts with a dot.
    Hidden,
    /// It matches a pattern of [`Input::exclude`].
    Excluded,
    /// It is a symbolic link, and links are not followed.
    Symlink,
    /// It is a device, pipe or socket.
    Special,
    /// It is empty, and [`Like::Transmission`] leaves such files out.
    Empty,
}

/// A file that goes into the torrent.
#[derive(Clone, Debug)]
pub struct PlannedFile {
    /// Names relative to the torrent's folder, as the bytes that the file system has. Empty for a single file, whose name is the torrent's.
    pub path: Vec<Vec<u8>>,
    /// Where it is on this machine.
    pub disk: PathBuf,
    /// Length in bytes when the plan was made.
    pub length: u64,
    /// Whether its owner may execute it.
    pub executable: bool,
    pub(crate) stamp: Stamp,
}

/// What tells whether a file is still the one that was planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    pub(crate) length: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// The files of a torrent to be, as they were when looked at.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The input's own name.
    pub name: Vec<u8>,
    /// Whether the input is one file and not a folder.
    pub single: bool,
    /// In the order of v1.
    pub files: Vec<PlannedFile>,
    /// What was left out.
    pub skipped: Vec<Skipped>,
    /// Bytes in all files together.
    pub total: u64,
    pub(crate) like: Like,
}

impl Plan {
    /// Looks at the input. Files are not opened yet.
    pub fn walk(input: &Input, control: &Control) -> Result<Self, Error> {
        let metadata = std::fs::metadata(&input.path).map_err(Error::read(&input.path))?;
        let name = name_of(&input.path)?;
        let single = metadata.is_file();
        let (mut files, skipped) = if single {
            let file = PlannedFile {
                path: Vec::new(),
                disk: input.path.clone(),
                length: metadata.len(),
                executable: metadata.mode() & walk::OWNER_EXECUTES != 0,
                stamp: Stamp::of(&metadata),
            };
            (vec![file], Vec::new())
        } else if metadata.is_dir() {
            walk::walk(input, exclusions(&input.exclude)?, control)?
        } else {
            return Err(Error::Special(input.path.clone()));
        };
        let total = files.iter().map(|file| file.length).sum();
        if files.is_empty() {
            return Err(Error::Empty { path: input.path.clone(), skipped: skipped.len() });
        }
        if total == 0 {
            return Err(Error::NoBytes(input.path.clone()));
        }
        order::sort(&mut files, input.like, false);
        Ok(Self { name, single, files, skipped, total, like: input.like })
    }

    /// Puts the files into the order that a format wants.
    pub(crate) fn order_for(&mut self, format: Format, align: bool) {
        order::sort(&mut self.files, self.like, align || format != Format::V1);
    }
}

/// The last name of a path, also of `.` and `..`.
fn name_of(path: &Path) -> Result<Vec<u8>, Error> {
    if let Some(name) = path.file_name() {
        return Ok(name.as_bytes().to_vec());
    }
    let whole = path.canonicalize().map_err(Error::read(path))?;
    let name = whole.file_name().ok_or_else(|| Error::Name(whole.display().to_string()))?;
    Ok(name.as_bytes().to_vec())
}

fn exclusions(patterns: &[String]) -> Result<GlobSet, Error> {
    let wrong = |error: globset::Error| Error::Pattern {
        pattern: error.glob().unwrap_or_default().to_owned(),
        why: error.kind().to_string(),
    };
    let mut set = GlobSet::builder();
    for pattern in patterns {
        // A pattern for a folder may be written with the slash that a shell appends.
        let pattern = pattern.strip_suffix('/').unwrap_or(pattern);
        set.add(globset::GlobBuilder::new(pattern).literal_separator(true).build().map_err(wrong)?);
    }
    set.build().map_err(wrong)
}
