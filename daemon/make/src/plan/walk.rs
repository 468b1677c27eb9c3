//! Walking a folder.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, DirEntry, FileType};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use globset::GlobSet;

use super::{Input, Like, PlannedFile, Skipped, Stamp, Why};
use crate::control::Control;
use crate::error::Error;

/// Most files in a torrent: what our own reader takes.
const MAX_FILES: usize = proto::metainfo::MAX_FILES;

/// Deepest folder: a v2 torrent nests a dictionary for each, and our own reader of those goes as deep as this with what is around them.
const MAX_DEPTH: usize = 60;

/// Fewer files than this are not worth another thread.
const PER_THREAD: usize = 500;

/// The owner's bit for execution in a file's mode.
pub(super) const OWNER_EXECUTES: u32 = 0o100;

/// The files below `input.path` in the order in which the file system lists them, folder after folder, and what was left out.
pub(super) fn walk(
    input: &Input,
    exclude: GlobSet,
    control: &Control,
) -> Result<(Vec<PlannedFile>, Vec<Skipped>), Error> {
    let like_mktorrent = input.like == Like::Mktorrent;
    let mut walk = Walk {
        input,
        exclude,
        hidden: (input.include_hidden || like_mktorrent || input.like == Like::Libtorrent)
            && input.like != Like::Transmission,
        follow: input.follow_symlinks || input.like != Like::Ours,
        control,
        open: HashSet::new(),
        files: Vec::new(),
        skipped: Vec::new(),
    };
    walk.folder(&input.path, &mut Vec::new())?;
    let (mut files, mut skipped) = (walk.files, walk.skipped);
    measure(&mut files)?;
    if input.like == Like::Transmission {
        let empty = files.extract_if(.., |file| file.length == 0);
        skipped.extend(empty.map(|file| Skipped { path: file.disk, why: Why::Empty }));
    }
    Ok((files, skipped))
}

/// Asks for length, time and mode of all files, on several threads: with many small files this takes as long as reading them.
fn measure(files: &mut [PlannedFile]) -> Result<(), Error> {
    let threads =
        thread::available_parallelism().map_or(1, usize::from).min(files.len().div_ceil(PER_THREAD));
    let share = files.len().div_ceil(threads.max(1)).max(1);
    thread::scope(|scope| {
        let workers: Vec<_> = files
            .chunks_mut(share)
            .map(|files| scope.spawn(move || files.iter_mut().try_for_each(measure_one)))
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

fn measure_one(file: &mut PlannedFile) -> Result<(), Error> {
    let metadata = fs::metadata(&file.disk).map_err(Error::read(&file.disk))?;
    if !metadata.is_file() {
        return Err(Error::Changed(file.disk.clone()));
    }
    // libtorrent looks at a link's own mode, which always allows everything: such files are marked already.
    file.executable |= metadata.mode() & OWNER_EXECUTES != 0;
    file.length = metadata.len();
    file.stamp = Stamp::of(&metadata);
    Ok(())
}

struct Walk<'a> {
    input: &'a Input,
    exclude: GlobSet,
    hidden: bool,
    follow: bool,
    control: &'a Control,
    /// Device and inode of the folders we are in, to notice a link that leads back.
    open: HashSet<(u64, u64)>,
    files: Vec<PlannedFile>,
    skipped: Vec<Skipped>,
}

impl Walk<'_> {
    fn folder(&mut self, disk: &Path, names: &mut Vec<Vec<u8>>) -> Result<(), Error> {
        if self.control.is_cancelled() {
            return Err(Error::Cancelled);
        }
        // Only a followed link can lead back, and depth is bounded in any case.
        let identity = if self.follow { Some(self.enter(disk)?) } else { None };
        if names.len() > MAX_DEPTH {
            return Err(Error::TooDeep { path: disk.to_owned(), max: MAX_DEPTH });
        }
        for entry in fs::read_dir(disk).map_err(Error::read(disk))? {
            self.entry(&entry.map_err(Error::read(disk))?, names)?;
        }
        if let Some(identity) = identity {
            self.open.remove(&identity);
        }
        Ok(())
    }

    fn enter(&mut self, disk: &Path) -> Result<(u64, u64), Error> {
        let metadata = fs::metadata(disk).map_err(Error::read(disk))?;
        let identity = (metadata.dev(), metadata.ino());
        if self.open.insert(identity) { Ok(identity) } else { Err(Error::Loop(disk.to_owned())) }
    }

    fn entry(&mut self, entry: &DirEntry, names: &mut Vec<Vec<u8>>) -> Result<(), Error> {
        let name = entry.file_name();
        names.push(name.as_bytes().to_vec());
        let result = match self.unwanted(&name, names) {
            Some(why) => {
                self.skipped.push(Skipped { path: entry.path(), why });
                Ok(())
            }
            None => self.take(entry, names),
        };
        names.pop();
        result
    }

    fn unwanted(&self, name: &OsStr, names: &[Vec<u8>]) -> Option<Why> {
        if !self.hidden && name.as_bytes().starts_with(b".") {
            return Some(Why::Hidden);
        }
        if self.exclude.is_empty() {
            return None;
        }
        let path: PathBuf = names.iter().map(|name| OsStr::from_bytes(name)).collect();
        (self.exclude.is_match(name) || self.exclude.is_match(path)).then_some(Why::Excluded)
    }

    fn take(&mut self, entry: &DirEntry, names: &mut Vec<Vec<u8>>) -> Result<(), Error> {
        let disk = entry.path();
        let listed = entry.file_type().map_err(Error::read(&disk))?;
        if listed.is_dir() {
            return self.folder(&disk, names);
        }
        if listed.is_symlink() && !self.follow {
            self.skipped.push(Skipped { path: disk, why: Why::Symlink });
            return Ok(());
        }
        let kind = if listed.is_symlink() {
            fs::metadata(&disk).map_err(Error::read(&disk))?.file_type()
        } else {
            listed
        };
        if kind.is_dir() {
            self.folder(&disk, names)
        } else if kind.is_file() {
            self.file(disk, listed, names)
        } else {
            self.skipped.push(Skipped { path: disk, why: Why::Special });
            Ok(())
        }
    }

    /// Notes a file; it is measured when all are known.
    fn file(&mut self, disk: PathBuf, listed: FileType, names: &[Vec<u8>]) -> Result<(), Error> {
        if self.files.len() == MAX_FILES {
            return Err(Error::TooManyFiles { path: self.input.path.clone(), max: MAX_FILES });
        }
        let executable = listed.is_symlink() && self.input.like == Like::Libtorrent;
        self.files.push(PlannedFile {
            path: names.to_vec(),
            disk,
            length: 0,
            executable,
            stamp: Stamp::default(),
        });
        Ok(())
    }
}
