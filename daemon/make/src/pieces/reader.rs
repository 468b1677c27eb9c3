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
    /// How it must still look when it is closed; `None` if any will do.
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
                    self.read_file(file, within, part)?;
                    let next = within + count as u64;
                    if next == stretch.length {
                        // Only another lane, in another piece of a long file, may want it again.
                        self.close(file)?;
                    } else if next % AHEAD < count as u64 {
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

    fn close(&mut self, file: usize) -> Result<(), (usize, Fault)> {
        match self.open.iter().rposition(|(index, _)| *index == file) {
            Some(at) => {
                let (_, handle) = self.open.remove(at);
                self.check(file, &handle)
            }
            None => Ok(()),
        }
    }

    /// Closes all files and looks at each for the last time.
    pub(super) fn close_all(&mut self) -> Result<(), (usize, Fault)> {
        std::mem::take(&mut self.open).into_iter().try_for_each(|(index, file)| self.check(index, &file))
    }

    fn advise(&mut self, file: usize, from: u64) {
        if let Ok(file) = self.file(file) {
            // Advice may be refused; reading works without.
            let _ = fadvise(file, from, NonZeroU64::new(AHEAD), Advice::WillNeed);
        }
    }

    fn read_file(
        &mut self,
        file: usize,
        mut offset: u64,
        mut buffer: &mut [u8],
    ) -> Result<(), (usize, Fault)> {
        let handle = self.file(file)?;
        while !buffer.is_empty() {
            match handle.read_at(buffer, offset) {
                Ok(0) => return Err((file, Fault::Short)),
                Ok(count) => {
                    offset += count as u64;
                    buffer = &mut buffer[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((file, Fault::Io(error))),
            }
        }
        Ok(())
    }

    /// A file, opened if it is not open. An error may be about the one that makes room for it.
    fn file(&mut self, file: usize) -> Result<&File, (usize, Fault)> {
        match self.open.iter().rposition(|(index, _)| *index == file) {
            // The usual case by far is the last.
            Some(at) if at + 1 == self.open.len() => {}
            Some(at) => self.open[at..].rotate_left(1),
            None => self.open(file)?,
        }
        let gone = || (file, Fault::Io(io::ErrorKind::NotFound.into()));
        self.open.last().map(|(_, file)| file).ok_or_else(gone)
    }

    fn open(&mut self, file: usize) -> Result<(), (usize, Fault)> {
        if self.open.len() == OPEN_FILES {
            let (index, oldest) = self.open.remove(0);
            self.check(index, &oldest)?;
        }
        let source = self.sources[file];
        if source.absent {
            return Err((file, Fault::Io(io::ErrorKind::NotFound.into())));
        }
        let handle = File::open(source.path).map_err(|error| (file, Fault::Io(error)))?;
        // Every file is looked at when it is closed. Before a long one is read, too: to find out at its end would be a waste.
        if source.stamp.is_some_and(|stamp| stamp.length >= AHEAD) {
            self.check(file, &handle)?;
        }
        self.open.push((file, handle));
        Ok(())
    }

    /// Whether an open file looks as it should.
    fn check(&self, file: usize, handle: &File) -> Result<(), (usize, Fault)> {
        let Some(stamp) = self.sources[file].stamp else { return Ok(()) };
        let metadata = handle.metadata().map_err(|error| (file, Fault::Io(error)))?;
        match Stamp::of(&metadata) {
            now if now == stamp => Ok(()),
            now if now.length < stamp.length => Err((file, Fault::Short)),
            _ => Err((file, Fault::Changed)),
        }
    }
}
