//! Moving a torrent's files to another folder, and deleting them.

use super::{
    DiskError, DiskErrorKind,
    files::{Place, TorrentFiles},
    paths,
};
use rustix::{
    fd::OwnedFd,
    fs::{self, AtFlags, FileType, OFlags, RenameFlags, SeekFrom},
    io::{self, Errno},
};
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// Bytes copied at a time: between two of them it can be called off.
const COPY: usize = 1 << 20;

/// Moves all files below `to`: by rename, or by copying where `to` is on another file system. On an error all is as it was. `quiesce` is
/// called when no writing can begin any more, and returns when none is under way.
pub(super) fn relocate(
    files: &TorrentFiles,
    to: &Path,
    quiesce: &dyn Fn(),
    stop: &dyn Fn() -> bool,
) -> Result<(), DiskError> {
    files.start_move(Place::new(to.to_owned()));
    quiesce();
    let moved = move_files(files, to, stop);
    files.end_move(moved.is_ok());
    // The originals of copies go only when nobody looks for them any more.
    if let Some(moved) = moved? {
        moved.clean_up(files);
    }
    Ok(())
}

/// What was moved, if there was anything to move.
fn move_files(files: &TorrentFiles, to: &Path, stop: &dyn Fn() -> bool) -> Result<Option<Move>, DiskError> {
    let from = files.place().root;
    std::fs::create_dir_all(to)
        .map_err(|error| DiskError::os(to, Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    let target_root = paths::open_root(to).map_err(|errno| DiskError::os(to, errno))?;
    let root = match paths::open_root(&from) {
        // Nothing was written yet.
        Err(Errno::NOENT) if !files.was_started() => return Ok(None),
        done => done.map_err(|errno| DiskError::os(&from, errno))?,
    };
    if same(&root, &target_root) {
        return Ok(None);
    }
    let mut moving =
        Move { root, target_root, from: from.to_path_buf(), to: to.to_owned(), done: Vec::new() };
    match moving.all(files, stop) {
        Ok(()) => Ok(Some(moving)),
        Err(error) => {
            moving.undo();
            Err(error)
        }
    }
}

fn same(one: &OwnedFd, other: &OwnedFd) -> bool {
    let id = |fd| fs::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino)).ok();
    id(one).is_some_and(|one| id(other) == Some(one))
}

/// How a file was moved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Renamed,
    Copied,
}

struct Move {
    root: OwnedFd,
    target_root: OwnedFd,
    from: PathBuf,
    to: PathBuf,
    done: Vec<(PathBuf, How)>,
}

impl Move {
    fn all(&mut self, files: &TorrentFiles, stop: &dyn Fn() -> bool) -> Result<(), DiskError> {
        let mut present = Vec::new();
        for (_, path, _) in files.real_files() {
            if exists(&self.root, path).map_err(|errno| DiskError::os(&self.from.join(path), errno))? {
                present.push(path);
            }
        }
        for path in &present {
            match exists(&self.target_root, path) {
                Ok(false) => {}
                Ok(true) => return Err(DiskError::new(&self.to.join(path), DiskErrorKind::Exists)),
                Err(errno) => return Err(DiskError::os(&self.to.join(path), errno)),
            }
        }
        for path in present {
            if stop() {
                return Err(DiskError::new(&self.to.join(path), DiskErrorKind::Cancelled));
            }
            let how = self.one(path, stop).map_err(|errno| match errno {
                Errno::CANCELED => DiskError::new(&self.to.join(path), DiskErrorKind::Cancelled),
                errno => DiskError::os(&self.to.join(path), errno),
            })?;
            self.done.push((path.to_owned(), how));
        }
        Ok(())
    }

    fn one(&self, path: &Path, stop: &dyn Fn() -> bool) -> Result<How, Errno> {
        paths::make_parents(&self.target_root, path)?;
        match rename(&self.root, &self.target_root, path) {
            Err(Errno::XDEV) => {}
            done => return done.map(|()| How::Renamed),
        }
        let copied = copy(&self.root, &self.target_root, path, stop);
        if copied.is_err() {
            // What went wrong first is what counts.
            let _ = unlink(&self.target_root, path);
        }
        copied.map(|()| How::Copied)
    }

    /// Puts everything back. What cannot be put back stays where it is; nothing is lost.
    fn undo(&self) {
        for (path, how) in &self.done {
            let _ = match how {
                How::Renamed => rename(&self.target_root, &self.root, path),
                How::Copied => unlink(&self.target_root, path),
            };
        }
        remove_folders(&self.target_root, self.done.iter().map(|(path, _)| &**path));
    }

    /// Deletes the originals of copies, and folders that are empty now.
    fn clean_up(&self, files: &TorrentFiles) {
        for (path, _) in self.done.iter().filter(|(_, how)| *how == How::Copied) {
            // A file that stays behind does no harm.
            let _ = unlink(&self.root, path);
        }
        remove_folders(&self.root, files.real_files().map(|(_, path, _)| path));
    }
}

/// Deletes the files and then the folders that are empty; the first error, after all of them were tried.
pub(super) fn delete(files: &TorrentFiles) -> Result<(), DiskError> {
    let place = files.place();
    files.close();
    let root = match paths::open_root(&place.root) {
        Err(Errno::NOENT) => return Ok(()),
        done => done.map_err(|errno| DiskError::os(&place.root, errno))?,
    };
    let mut first = Ok(());
    for (_, path, _) in files.real_files() {
        let deleted = match exists(&root, path) {
            Ok(true) => unlink(&root, path),
            Ok(false) => Ok(()),
            Err(errno) => Err(errno),
        };
        if let Err(errno) = deleted {
            first = first.and(Err(DiskError::os(&place.root.join(path), errno)));
        }
    }
    remove_folders(&root, files.real_files().map(|(_, path, _)| path));
    first
}

/// Whether there is a plain file of this name; anything else of this name is an error.
fn exists(root: &OwnedFd, path: &Path) -> Result<bool, Errno> {
    let parent = match paths::open_parent(root, path) {
        Err(Errno::NOENT) => return Ok(false),
        done => done?,
    };
    match fs::statat(&parent, name(path)?, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(false),
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Ok(true),
        Ok(_) => Err(Errno::LOOP),
        Err(errno) => Err(errno),
    }
}

fn name(path: &Path) -> Result<&OsStr, Errno> {
    path.file_name().ok_or(Errno::INVAL)
}

fn unlink(root: &OwnedFd, path: &Path) -> Result<(), Errno> {
    fs::unlinkat(paths::open_parent(root, path)?, name(path)?, AtFlags::empty())
}

fn rename(from: &OwnedFd, to: &OwnedFd, path: &Path) -> Result<(), Errno> {
    let (old, new, name) = (paths::open_parent(from, path)?, paths::open_parent(to, path)?, name(path)?);
    match fs::renameat_with(&old, name, &new, name, RenameFlags::NOREPLACE) {
        // A file system that does not know the flag; that nothing is there was looked at before.
        Err(Errno::INVAL | Errno::NOSYS) => fs::renameat(&old, name, &new, name),
        done => done,
    }
}

/// Copies a file, its holes as holes, and syncs it.
fn copy(from: &OwnedFd, to: &OwnedFd, path: &Path, stop: &dyn Fn() -> bool) -> Result<(), Errno> {
    let source = paths::open(from, path, OFlags::RDONLY)?;
    let target = paths::open(to, path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?;
    let size = u64::try_from(fs::fstat(&source)?.st_size).unwrap_or(0);
    let mut buffer = vec![0; COPY];
    let mut at = 0;
    while at < size {
        let (start, end) = match fs::seek(&source, SeekFrom::Data(at)) {
            Ok(start) => (start, fs::seek(&source, SeekFrom::Hole(start))?),
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL) => (at, size),
            Err(errno) => return Err(errno),
        };
        at = start;
        while at < end {
            if stop() {
                return Err(Errno::CANCELED);
            }
            let len = usize::try_from(end - at).unwrap_or(COPY).min(COPY);
            let got = io::pread(&source, &mut buffer[..len], at)?;
            if got == 0 {
                return Err(Errno::IO);
            }
            at += write_at(&target, &buffer[..got], at)? as u64;
        }
    }
    fs::ftruncate(&target, size)?;
    fs::fsync(&target)
}

fn write_at(target: &OwnedFd, bytes: &[u8], at: u64) -> Result<usize, Errno> {
    match io::pwrite(target, bytes, at) {
        Ok(0) => Err(Errno::NOSPC),
        Err(Errno::INTR) => Ok(0),
        done => done,
    }
}

/// Removes the folders above these files that are empty, the deepest first, never the root.
fn remove_folders<'a>(root: &OwnedFd, files: impl Iterator<Item = &'a Path>) {
    let folders: BTreeSet<&Path> = files
        .flat_map(|path| path.ancestors().skip(1))
        .filter(|folder| !folder.as_os_str().is_empty())
        .collect();
    // A folder sorts before what is in it.
    for folder in folders.into_iter().rev() {
        if let (Ok(parent), Ok(name)) = (paths::open_parent(root, folder), name(folder)) {
            // Not empty: something there is not ours, and stays.
            let _ = fs::unlinkat(parent, name, AtFlags::REMOVEDIR);
        }
    }
}
