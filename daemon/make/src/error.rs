//! Why a torrent could not be made or data not be checked.

use std::io;
use std::path::{Path, PathBuf};

use proto::metainfo::MetainfoError;

/// Each is one sentence for the person who asked, naming the file that it is about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input path does not exist.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The input is neither a file nor a folder.
    #[error("{} is neither a file nor a folder", .0.display())]
    Special(PathBuf),
    /// Nothing is left to put into a torrent.
    #[error("{} holds no files to share{}", path.display(), hint(*skipped))]
    Empty {
        /// The input.
        path: PathBuf,
        /// How many files and links were left out by choice.
        skipped: usize,
    },
    /// All files are empty.
    #[error("all files in {} are empty, and a torrent needs at least one byte", .0.display())]
    NoBytes(PathBuf),
    /// A folder is its own descendant by a symbolic link.
    #[error("{} leads back to a folder that contains it", .0.display())]
    Loop(PathBuf),
    /// Folders are nested deeper than a torrent may have them.
    #[error("{} is nested deeper than {max} folders, which is more than clients accept", path.display())]
    TooDeep {
        /// The folder.
        path: PathBuf,
        /// The limit.
        max: usize,
    },
    /// There are more files than a torrent may have.
    #[error("{} holds more than {max} files, which is more than clients accept", path.display())]
    TooManyFiles {
        /// The input.
        path: PathBuf,
        /// The limit.
        max: usize,
    },
    /// A file ended before the length it had when looked at first.
    #[error("{} became shorter while it was read; make the torrent when nothing writes to it", .0.display())]
    Shrunk(PathBuf),
    /// A file was written to or replaced while it was read.
    #[error("{} changed while it was read; make the torrent when nothing writes to it", .0.display())]
    Changed(PathBuf),
    /// A piece length that is no number.
    #[error("`{0}` is not a piece length; write bytes (262144), a unit (256KiB) or a power of two (18)")]
    PieceLengthText(String),
    /// A piece length that is no power of two.
    #[error("a piece length of {0} bytes is not a power of two")]
    PieceLengthPower(u64),
    /// A piece length out of range.
    #[error("a piece length of {0} bytes is out of range: 16 KiB to 256 MiB are possible")]
    PieceLengthRange(u64),
    /// The pieces are too many for clients to accept.
    #[error("{pieces} pieces of {piece_length} bytes are more than clients accept; take longer pieces")]
    TooManyPieces {
        /// How many.
        pieces: u64,
        /// How long each.
        piece_length: u32,
    },
    /// A tracker address that is none.
    #[error("`{url}` is not a tracker's address: {why}")]
    Tracker {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A web seed's address that is none.
    #[error("`{url}` is not a web seed's address: {why}")]
    WebSeed {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A pattern for files to leave out that is malformed.
    #[error("`{pattern}` is not a pattern of file names: {why}")]
    Pattern {
        /// As given.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// The torrent's name cannot be used.
    #[error("`{0}` cannot be a torrent's name: it must not be empty, `.` or `..`, nor contain a slash")]
    Name(String),
    /// The target exists already.
    #[error("{} exists already; --force overwrites it", .0.display())]
    Exists(PathBuf),
    /// The torrent cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Where to.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The given torrent cannot be used.
    #[error(transparent)]
    Torrent(#[from] MetainfoError),
    /// A second implementation reads the new torrent differently. This is a defect in this program, caught before harm was done.
    #[error("the torrent did not pass its own cross-check ({0}); nothing was written")]
    CrossCheck(String),
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::NotFound => Self::Missing(path.to_owned()),
            _ => Self::Read { path: path.to_owned(), source },
        }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write { path: path.to_owned(), source }
    }
}

fn hint(skipped: usize) -> &'static str {
    if skipped > 0 { " (hidden files, links or excluded ones were left out)" } else { "" }
}
