//! Reading from a row of files as if it were one.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Advice, fadvise};

use crate::error::Error;
use crate::plan::Stamp;
use crate::space::Space;

/// Files that one thread holds open: more than the lanes touch at a time, and few enough for any limit on descriptors.
const OPEN_FILES: usize = 32;

/// How far ahead the kernel is asked to read in each piece. Sixteen pieces of two threads: 32 MiB of page cache.
const AHEAD: u64 = 1 << 20;

/// A file to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) path: &'a Path,
    /// How it must look when it is opened and still when it is closed; `None` if any will do.
    pub(crate) stamp: Option<Stamp>,
    /// Not to be opened at all, for it is known not to be a file; opening a pipe would wait for ever.
    pub(crate) absent: bool,
}

/// Why a file could not be read.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It is not, or no longer, as it was planned.
    Changed,
    /// It ends too early.
    Short,
    /// The system says no.
    Io(io::Error),
}

impl Fault {
    pub(crate) fn into_error(self, path: &Path) -> Error {
        match self {
            Self::Changed => Error::Changed(path.to_owned()),
            Self::Short => Error::Shrunk(path.to_owned()),
            Self::Io(error) => Error::read(path)(error),
        }
    }
}

/// One thread's view of the files.
pub(super) struct Reader<'a> {
    space: &'a Space,
    sources: &'a [Source<'a>],
    /// Files by index, the one used last at the end.
    open: Vec<(usize, File)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(space: &'a Space, sources: &'a [Source<'a>]) -> Self {
        Self { space, sources, open: Vec::with_capacity(OPEN_FILES) }
    }

    /// Fills `buffer` with the row's bytes from `offset` on. An error names the file it is about.
    pub(super) fn read(&mut self, mut offset: u64, mut buffer: &mut [u8]) -> Result<(), (usize, Fault)> {
        let space = self.space;
        let mut stretches = space.stretches[space.stretch_at(offset)..].iter();
        while let Some(stretch) = stretches.next().filter(|_| !buffer.is_empty()) {
            let count = (stretch.end() - offset).min(buffer.len() as u64) as usize;
            let (part, rest) = std::mem::take(&mut buffer).split_at_mut(count);
            match stretch.file {
                Some(_) if count == 0 => {}
                Some(file) => {
                    let within = offset - stretch.start;
                    self.read_file(file, within, part).map_err(|fault| (file, fault))?;
                    let next = within + count as u64;
                    if next % AHEAD < count as u64 && next < stretch.length {
                        self.advise(file, next + AHEAD);
                    }
                }
                None => part.fill(0),
            }
            offset += count as u64;
            buffer = rest;
        }
        Ok(())
    }

    /// Tells the kernel that the row from `start` to `end` will be read soon. Only worth a call where a file is open anyway or long: opening small
    /// files early would cost more than it gains.
    pub(super) fn announce(&mut self, start: u64, end: u64) {
        let Some(stretch) = self.space.stretches.get(self.space.stretch_at(start)) else { return };
        if let Some(file) = stretch.file.filter(|_| stretch.length >= AHEAD && end > start) {
            self.advise(file, start - stretch.start);
        }
    }

    /// Closes all files and looks at each for the last time.
    pub(super) fn close_all(&mut self) -> Result<(), (usize, Fault)> {
        std::mem::take(&mut self.open)
            .into_iter()
            .try_for_each(|(index, file)| self.check(index, &file).map_err(|fault| (index, fault)))
    }

    fn advise(&mut self, file: usize, from: u64) {
        if let Ok(file) = self.file(file) {
            // Advice may be refused; reading works without.
            let _ = fadvise(file, from, NonZeroU64::new(AHEAD), Advice::WillNeed);
        }
    }

    fn read_file(&mut self, file: usize, mut offset: u64, mut buffer: &mut [u8]) -> Result<(), Fault> {
        let handle = self.file(file)?;
        while !buffer.is_empty() {
            match handle.read_at(buffer, offset) {
                Ok(0) => return Err(Fault::Short),
                Ok(count) => {
                    offset += count as u64;
                    buffer = &mut buffer[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Io(error)),
            }
        }
        Ok(())
    }

    /// A file, opened if it is not open.
    fn file(&mut self, file: usize) -> Result<&File, Fault> {
        match self.open.iter().position(|(index, _)| *index == file) {
            // The usual case by far is the last.
            Some(at) if at + 1 == self.open.len() => {}
            Some(at) => self.open[at..].rotate_left(1),
            None => self.open(file)?,
        }
        self.open.last().map(|(_, file)| file).ok_or_else(|| Fault::Io(io::ErrorKind::NotFound.into()))
    }

    fn open(&mut self, file: usize) -> Result<(), Fault> {
        if self.open.len() == OPEN_FILES {
            let (index, oldest) = self.open.remove(0);
            self.check(index, &oldest)?;
        }
        if self.sources[file].absent {
            return Err(Fault::Io(io::ErrorKind::NotFound.into()));
        }
        let handle = File::open(self.sources[file].path).map_err(Fault::Io)?;
        self.check(file, &handle)?;
        self.open.push((file, handle));
        Ok(())
    }

    /// Whether an open file looks as it should.
    fn check(&self, file: usize, handle: &File) -> Result<(), Fault> {
        let Some(stamp) = self.sources[file].stamp else { return Ok(()) };
        let metadata = handle.metadata().map_err(Fault::Io)?;
        match Stamp::of(&metadata) {
            now if now == stamp => Ok(()),
            now if now.is_shorter_than(stamp) => Err(Fault::Short),
            _ => Err(Fault::Changed),
        }
    }
}
