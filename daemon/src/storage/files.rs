//! The files of one torrent: where each byte lies, and how it is read and written.

use super::{
    error::{DiskError, DiskErrorKind},
    fds::{FdPool, OpenFile},
    paths,
};
use parking_lot::{Mutex, RwLock};
use rustix::{
    fd::OwnedFd,
    fs::{self, Advice, FallocateFlags, FileType, OFlags},
    io::{self, Errno},
};
use std::{
    collections::BTreeMap,
    io::{IoSlice, IoSliceMut},
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// Slices the kernel takes in one vectored call (`IOV_MAX`).
const MAX_SLICES: usize = 1024;
/// From this many changed files on, one `syncfs` is cheaper than an `fdatasync` for each.
const SYNC_ONE_BY_ONE: usize = 32;

/// One file, as the metainfo has it. The files of a torrent lie end to end, in order of `offset`.
#[derive(Clone, Debug)]
pub(crate) struct FileSpec {
    /// Components below the save path. Already checked: none is empty, `.`, `..` or has a separator.
    pub(crate) path: Vec<String>,
    /// In bytes; may be 0.
    pub(crate) length: u64,
    /// Where it starts within the torrent, in bytes.
    pub(crate) offset: u64,
    /// Padding (BEP 47): zeros that exist in the pieces but not on the disk.
    pub(crate) pad: bool,
}

struct File {
    path: Box<Path>,
    offset: u64,
    length: u64,
    pad: bool,
}

/// A part of a range that lies in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The file's index, or `None` for padding.
    pub(super) file: Option<u32>,
    /// Offset within the file.
    pub(super) at: u64,
    /// Bytes.
    pub(super) len: usize,
}

/// Where the files are.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The save path.
    pub(super) root: Arc<Path>,
    /// Never the same for two torrents or two places: names the open files.
    pub(super) id: u64,
}

static NEXT_PLACE: AtomicU64 = AtomicU64::new(0);

impl Place {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root: root.into(), id: NEXT_PLACE.fetch_add(1, Ordering::Relaxed) }
    }
}

/// Whether a read may wait for a disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Yes,
    /// Only from memory; `Ok(false)` where that cannot be.
    No,
}

/// The files of one torrent. Shared by all storage threads; opens files as they are needed, in the bounded set.
pub(crate) struct TorrentFiles {
    fds: Arc<FdPool>,
    files: Box<[File]>,
    places: RwLock<Places>,
    /// The save path was seen: if it is missing now, its disk is gone, and making it anew would hide that.
    root_seen: AtomicBool,
    preallocate: bool,
    /// The files of length zero are there.
    empty_made: AtomicBool,
    /// Written to since the last sync; the value says whether the file was made since then.
    dirty: Mutex<BTreeMap<u32, bool>>,
}

/// Where the files are, and while they are being moved where they are going: then each is at either, and none is written to.
struct Places {
    now: Place,
    target: Option<Place>,
}

impl TorrentFiles {
    /// Opens nothing. `started`: there was data at this place before, so a missing save path is an error, not to be made.
    pub(super) fn new(
        fds: Arc<FdPool>,
        specs: Vec<FileSpec>,
        root: PathBuf,
        started: bool,
        preallocate: bool,
    ) -> Self {
        let files = specs
            .into_iter()
            .map(|spec| File {
                path: spec.path.iter().collect::<PathBuf>().into(),
                offset: spec.offset,
                length: spec.length,
                pad: spec.pad,
            })
            .collect();
        Self {
            fds,
            files,
            places: RwLock::new(Places { now: Place::new(root), target: None }),
            root_seen: AtomicBool::new(started),
            preallocate,
            empty_made: AtomicBool::new(false),
            dirty: Mutex::default(),
        }
    }

    /// Where the files are now.
    pub(super) fn place(&self) -> Place {
        self.places.read().now.clone()
    }

    /// From now on, files are on their way to `target`, and writing fails.
    pub(super) fn start_move(&self, target: Place) {
        self.places.write().target = Some(target);
    }

    /// All files have arrived, or all are back where they were.
    pub(super) fn end_move(&self, arrived: bool) {
        let mut places = self.places.write();
        let Some(target) = places.target.take() else { return };
        let left = if arrived { std::mem::replace(&mut places.now, target) } else { target };
        drop(places);
        self.fds.forget(left.id);
    }

    fn is_moving(&self) -> bool {
        self.places.read().target.is_some()
    }

    /// Closes all files.
    pub(super) fn close(&self) {
        let place = self.place();
        self.fds.forget(place.id);
    }

    /// Paths below the save path of the files that exist on a disk, with their index and length.
    pub(super) fn real_files(&self) -> impl Iterator<Item = (u32, &Path, u64)> {
        (0u32..)
            .zip(self.files.iter())
            .filter(|(_, file)| !file.pad)
            .map(|(at, file)| (at, &*file.path, file.length))
    }

    /// The parts of `len` bytes from `offset`, in order.
    pub(super) fn segments(&self, offset: u64, len: usize) -> impl Iterator<Item = Segment> {
        let mut index = self.files.partition_point(|file| file.offset + file.length <= offset);
        let mut offset = offset;
        let mut left = len;
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            while self.files.get(index).is_some_and(|file| file.offset + file.length <= offset) {
                index += 1;
            }
            let segment = match self.files.get(index) {
                Some(file) => {
                    let at = offset - file.offset;
                    let len = usize::try_from(file.length - at).unwrap_or(usize::MAX).min(left);
                    Segment { file: (!file.pad).then_some(u32::try_from(index).ok()?), at, len }
                }
                // Past the last file: the caller asks for more than there is; zeros, like padding.
                None => Segment { file: None, at: 0, len: left },
            };
            offset += segment.len as u64;
            left -= segment.len;
            Some(segment)
        })
    }

    fn path_in(&self, place: &Place, file: u32) -> PathBuf {
        self.files
            .get(file as usize)
            .map_or_else(|| place.root.to_path_buf(), |file| place.root.join(&file.path))
    }

    /// The whole path of a file, for messages.
    pub(super) fn path(&self, file: u32) -> PathBuf {
        self.path_in(&self.place(), file)
    }

    /// An open file, from the bounded set or opened now. For writing, it and its folders are made.
    pub(super) fn open(&self, file: u32, write: bool) -> Result<Arc<OpenFile>, DiskError> {
        let place = self.place();
        let missing = match self.open_at(&place, file, write) {
            Err(error) if error.kind == DiskErrorKind::Missing && !write => error,
            done => return done,
        };
        // It may have been moved just now, or be at the other end of a move under way.
        let places = self.places.read();
        let other = if places.now.id == place.id { places.target.clone() } else { Some(places.now.clone()) };
        drop(places);
        other.map_or(Err(missing), |place| self.open_at(&place, file, write))
    }

    fn open_at(&self, place: &Place, file: u32, write: bool) -> Result<Arc<OpenFile>, DiskError> {
        if let Some(open) = self.fds.get((place.id, file), write) {
            return Ok(open);
        }
        let open = self.open_new(place, file, write).map_err(|(path, errno)| DiskError::os(&path, errno))?;
        let open = Arc::new(OpenFile::new(open, write));
        self.fds.put((place.id, file), Arc::clone(&open));
        Ok(open)
    }

    /// An open file if it is in the set already; never waits.
    pub(super) fn opened(&self, file: u32) -> Option<Arc<OpenFile>> {
        self.fds.get((self.places.read().now.id, file), false)
    }

    fn open_new(&self, place: &Place, file: u32, write: bool) -> Result<OwnedFd, (PathBuf, Errno)> {
        let spec = self.files.get(file as usize).ok_or_else(|| (place.root.to_path_buf(), Errno::INVAL))?;
        let root = self.open_root(place, write).map_err(|errno| (place.root.to_path_buf(), errno))?;
        let fail = |errno| (place.root.join(&spec.path), errno);
        let fd = if write {
            self.open_to_write(&root, file, spec).map_err(fail)?
        } else {
            paths::open(&root, &spec.path, OFlags::RDONLY).map_err(fail)?
        };
        let stat = fs::fstat(&fd).map_err(fail)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(fail(Errno::NXIO));
        }
        if write {
            self.size(&fd, spec, u64::try_from(stat.st_size).unwrap_or(0)).map_err(fail)?;
        }
        Ok(fd)
    }

    fn open_to_write(&self, root: &OwnedFd, file: u32, spec: &File) -> Result<OwnedFd, Errno> {
        match paths::open(root, &spec.path, OFlags::RDWR) {
            Err(Errno::NOENT) => {}
            done => return done,
        }
        paths::make_parents(root, &spec.path)?;
        let fd = paths::open(root, &spec.path, OFlags::RDWR | OFlags::CREATE)?;
        self.dirty.lock().insert(file, true);
        Ok(fd)
    }

    /// An older, longer file of the same name is cut to its length; preallocation happens here where it is set.
    fn size(&self, fd: &OwnedFd, spec: &File, size: u64) -> Result<(), Errno> {
        if size > spec.length {
            fs::ftruncate(fd, spec.length)?;
        } else if self.preallocate && size < spec.length {
            match fs::fallocate(fd, FallocateFlags::empty(), 0, spec.length) {
                // A file system without it: the file grows as it is written.
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Opens the save path; makes it if it was never there.
    pub(super) fn open_root(&self, place: &Place, make: bool) -> Result<OwnedFd, Errno> {
        let mut root = paths::open_root(&place.root);
        if make && matches!(root, Err(Errno::NOENT)) && !self.root_seen.load(Ordering::Relaxed) {
            std::fs::create_dir_all(&place.root)
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
            root = paths::open_root(&place.root);
        }
        if root.is_ok() {
            self.root_seen.store(true, Ordering::Relaxed);
        }
        root
    }

    /// Writes `slices`, end to end, at `offset` of the torrent. Padding is left out.
    pub(super) fn write(&self, offset: u64, slices: &[&[u8]]) -> Result<(), DiskError> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        let mut cut = Cutter { slices, at: 0 };
        for segment in self.segments(offset, len) {
            let parts = cut.take(segment.len);
            if let Some(file) = segment.file {
                self.write_segment(file, segment.at, parts)?;
            }
        }
        Ok(())
    }

    fn write_segment(&self, file: u32, at: u64, parts: Vec<&[u8]>) -> Result<(), DiskError> {
        if self.is_moving() {
            return Err(DiskError::new(&self.path(file), DiskErrorKind::Moving));
        }
        let open = self.open(file, true)?;
        let mut slices: Vec<IoSlice<'_>> = parts.into_iter().map(IoSlice::new).collect();
        write_all(open.fd(), &mut slices, at).map_err(|errno| DiskError::os(&self.path(file), errno))?;
        self.dirty.lock().entry(file).or_insert(false);
        // A deleted file can still be written to, but nobody will ever read it.
        if fs::fstat(open.fd()).is_ok_and(|stat| stat.st_nlink == 0) {
            self.close();
            return Err(DiskError::new(&self.path(file), DiskErrorKind::Missing));
        }
        Ok(())
    }

    /// Reads from `offset` of the torrent until `bufs`, end to end, are full; padding reads as zeros. `Ok(false)`: not without waiting.
    pub(super) fn read(&self, offset: u64, bufs: &mut [&mut [u8]], wait: Wait) -> Result<bool, DiskError> {
        let len = bufs.iter().map(|buf| buf.len()).sum();
        let mut rest = bufs.iter_mut().map(|buf| &mut **buf).collect::<std::collections::VecDeque<_>>();
        for segment in self.segments(offset, len) {
            let mut parts = take_mut(&mut rest, segment.len);
            let Some(file) = segment.file else {
                parts.iter_mut().for_each(|part| part.fill(0));
                continue;
            };
            if !self.read_segment(file, segment, &mut parts, wait)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn read_segment(
        &self,
        file: u32,
        segment: Segment,
        parts: &mut [&mut [u8]],
        wait: Wait,
    ) -> Result<bool, DiskError> {
        let open = match wait {
            Wait::Yes => self.open(file, false)?,
            Wait::No => match self.opened(file) {
                Some(open) => open,
                None => return Ok(false),
            },
        };
        let fail = |kind: DiskErrorKind| DiskError::new(&self.path(file), kind);
        let mut slices: Vec<IoSliceMut<'_>> = parts.iter_mut().map(|part| IoSliceMut::new(part)).collect();
        if wait == Wait::No {
            return match open.read_now(&mut slices, segment.at) {
                // A short read may be the end of the file or of what is cached: the slow way finds out.
                Ok(got) => Ok(got == segment.len),
                Err(Errno::AGAIN | Errno::INTR) => Ok(false),
                Err(errno) => Err(fail(errno.into())),
            };
        }
        match read_all(open.fd(), &mut slices, segment.at) {
            Ok(got) if got == segment.len => Ok(true),
            Ok(_) => Err(fail(DiskErrorKind::Changed)),
            Err(errno) => Err(fail(errno.into())),
        }
    }

    /// Tells the kernel that a range will be read soon.
    pub(super) fn will_need(&self, offset: u64, len: usize) {
        for segment in self.segments(offset, len) {
            if let Some(open) = segment.file.and_then(|file| self.opened(file)) {
                // Only a hint, and tmpfs has no use for it.
                let _ =
                    fs::fadvise(open.fd(), segment.at, NonZeroU64::new(segment.len as u64), Advice::WillNeed);
            }
        }
    }

    /// Whether the save path was ever there.
    pub(super) fn was_started(&self) -> bool {
        self.root_seen.load(Ordering::Relaxed)
    }

    /// Makes, once, all files of length zero and the folders they need.
    pub(super) fn make_empty_files(&self) -> Result<(), DiskError> {
        if self.empty_made.load(Ordering::Relaxed) {
            return Ok(());
        }
        for (index, _, _) in self.real_files().filter(|(_, _, length)| *length == 0) {
            // What is seeded from a read-only disk needs no making.
            if self.open(index, false).is_err() {
                self.open(index, true)?;
            }
        }
        self.empty_made.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Makes everything written so far survive a power cut.
    pub(super) fn sync(&self) -> Result<(), DiskError> {
        let dirty = std::mem::take(&mut *self.dirty.lock());
        self.sync_files(&dirty).inspect_err(|_| {
            let mut again = self.dirty.lock();
            for (file, made) in dirty {
                *again.entry(file).or_insert(false) |= made;
            }
        })
    }

    fn sync_files(&self, dirty: &BTreeMap<u32, bool>) -> Result<(), DiskError> {
        let place = self.place();
        let fail = |errno| DiskError::os(&place.root, errno);
        if dirty.len() >= SYNC_ONE_BY_ONE {
            let root = self.open_root(&place, false).map_err(fail)?;
            return fs::syncfs(paths::open_to_sync(&root, Path::new("")).map_err(fail)?).map_err(fail);
        }
        for (&file, &made) in dirty {
            let open = self.open(file, false)?;
            fs::fdatasync(open.fd()).map_err(|errno| DiskError::os(&self.path(file), errno))?;
            if made && let Some(spec) = self.files.get(file as usize) {
                let root = self.open_root(&place, false).map_err(fail)?;
                sync_folders(&root, &spec.path).map_err(fail)?;
            }
        }
        Ok(())
    }
}

/// A new file survives a power cut only when its name does: syncs each folder from the file's up to the root.
fn sync_folders(root: &OwnedFd, file: &Path) -> Result<(), Errno> {
    for folder in file.ancestors().skip(1) {
        fs::fsync(paths::open_to_sync(root, folder)?)?;
    }
    Ok(())
}

/// Writes all of `slices` at `at`, in as few calls as the kernel allows.
fn write_all(fd: &OwnedFd, slices: &mut [IoSlice<'_>], mut at: u64) -> Result<(), Errno> {
    let mut rest = slices;
    while !rest.is_empty() {
        let count = rest.len().min(MAX_SLICES);
        match io::pwritev(fd, &rest[..count], at) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(wrote) => {
                at += wrote as u64;
                IoSlice::advance_slices(&mut rest, wrote);
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Reads until `slices` are full or the file ends; answers how much it was.
fn read_all(fd: &OwnedFd, slices: &mut [IoSliceMut<'_>], at: u64) -> Result<usize, Errno> {
    let mut rest = slices;
    let mut total = 0;
    while !rest.is_empty() {
        let count = rest.len().min(MAX_SLICES);
        match io::preadv(fd, &mut rest[..count], at + total as u64) {
            Ok(0) => break,
            Ok(got) => {
                total += got;
                IoSliceMut::advance_slices(&mut rest, got);
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(total)
}

/// Cuts a list of slices, taken as one string of bytes, at given lengths.
struct Cutter<'a, 'b> {
    slices: &'b [&'a [u8]],
    /// Bytes of the first slice that are gone.
    at: usize,
}

impl<'a> Cutter<'a, '_> {
    fn take(&mut self, mut len: usize) -> Vec<&'a [u8]> {
        let mut parts = Vec::new();
        while len > 0
            && let Some((first, others)) = self.slices.split_first()
        {
            let part = &first[self.at..];
            if part.len() > len {
                parts.push(&part[..len]);
                self.at += len;
                break;
            }
            parts.push(part);
            len -= part.len();
            (self.slices, self.at) = (others, 0);
        }
        parts
    }
}

fn take_mut<'a>(rest: &mut std::collections::VecDeque<&'a mut [u8]>, mut len: usize) -> Vec<&'a mut [u8]> {
    let mut parts = Vec::new();
    while len > 0
        && let Some(first) = rest.pop_front()
    {
        let cut = first.len().min(len);
        let (part, left) = first.split_at_mut(cut);
        if !left.is_empty() {
            rest.push_front(left);
        }
        len -= cut;
        parts.push(part);
    }
    parts
}
