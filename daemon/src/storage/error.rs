//! What can go wrong on a disk, named by what a person can do about it.

use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// A disk fault: the torrent stops with this as its reason, nothing else notices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub(crate) struct DiskError {
    /// The file or folder.
    pub(crate) path: PathBuf,
    /// What happened.
    pub(crate) kind: DiskErrorKind,
}

/// The kinds of disk fault. Each reads as a sentence with advice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DiskErrorKind {
    /// No space, or no quota.
    #[error("the disk is full; free some space, then resume the torrent")]
    Full,
    /// The file system is mounted read-only.
    #[error("the file system is read-only; mount it writable, then resume the torrent")]
    ReadOnly,
    /// The file or a folder above it does not exist.
    #[error(
        "the file or its folder is gone; put it back or mount its disk, then resume the torrent, or re-check it"
    )]
    Missing,
    /// Permission denied.
    #[error("permission denied; let btd's user read and write here, then resume the torrent")]
    Denied,
    /// A symbolic link, or something that is neither file nor folder, where a torrent's file should be.
    #[error(
        "a symbolic link or special file is in the way; btd does not follow it, move it aside, then resume the torrent"
    )]
    NotPlain,
    /// The file is shorter than what was written to it.
    #[error("the file was changed or cut short by another program; re-check the torrent")]
    Changed,
    /// The target of a move is there already.
    #[error("there is a file of this name already; choose another folder or move that file aside")]
    Exists,
    /// Written to while the torrent's data is being moved.
    #[error("the torrent's files are being moved; it can be resumed when that is done")]
    Moving,
    /// The work was called off.
    #[error("stopped before it was done")]
    Cancelled,
    /// A mistake of ours.
    #[error("btd made a mistake here, see its log; re-check the torrent, and please report it")]
    Bug,
    /// Anything else, in the words of the operating system.
    #[error("{0}; check the disk and the system log, then resume the torrent")]
    Io(String),
}

impl DiskError {
    /// A fault of a given kind at `path`.
    pub(crate) fn new(path: &Path, kind: DiskErrorKind) -> Self {
        Self { path: path.to_owned(), kind }
    }

    /// What the operating system said about `path`.
    pub(crate) fn os(path: &Path, errno: Errno) -> Self {
        Self::new(path, errno.into())
    }
}

impl From<Errno> for DiskErrorKind {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOSPC | Errno::DQUOT => Self::Full,
            Errno::ROFS => Self::ReadOnly,
            Errno::NOENT | Errno::NOTDIR | Errno::STALE | Errno::NODEV => Self::Missing,
            Errno::ACCESS | Errno::PERM => Self::Denied,
            // RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS answer with these; a directory or socket in a file's place with the last two.
            Errno::LOOP | Errno::XDEV | Errno::ISDIR | Errno::NXIO => Self::NotPlain,
            Errno::EXIST | Errno::NOTEMPTY => Self::Exists,
            other => Self::Io(std::io::Error::from(other).to_string()),
        }
    }
}
