//! The open files of all torrents: a bounded set, the least recently used closed first.

use parking_lot::Mutex;
use rustix::{
    fd::OwnedFd,
    fs,
    io::{self, Errno, ReadWriteFlags},
};
use std::{
    collections::HashMap,
    io::IoSliceMut,
    mem,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

/// Which file: a number that stands for one torrent at one place (a move gives a new one), and the file's index.
pub(super) type FileKey = (u64, u32);

/// `statfs` magic of tmpfs and ramfs, whose pages are always in memory (statfs(2)).
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;

/// An open file.
#[derive(Debug)]
pub(crate) struct OpenFile {
    fd: OwnedFd,
    writable: bool,
    /// How a read that must not wait for a disk is made; found out by the first one.
    nowait: AtomicU8,
}

const UNKNOWN: u8 = 0;
/// `RWF_NOWAIT` works.
const FLAG: u8 = 1;
/// Any read is from memory.
const MEMORY: u8 = 2;
/// There is no telling: it always waits.
const NEVER: u8 = 3;

impl OpenFile {
    pub(super) fn new(fd: OwnedFd, writable: bool) -> Self {
        Self { fd, writable, nowait: AtomicU8::new(UNKNOWN) }
    }

    /// The descriptor, for reading; for writing only if it was opened so.
    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Reads what is in memory, or answers `Errno::AGAIN`.
    pub(super) fn read_now(&self, bufs: &mut [IoSliceMut<'_>], at: u64) -> Result<usize, Errno> {
        loop {
            match self.nowait.load(Ordering::Relaxed) {
                NEVER => return Err(Errno::AGAIN),
                MEMORY => return io::preadv(&self.fd, bufs, at),
                _ => match io::preadv2(&self.fd, bufs, at, ReadWriteFlags::NOWAIT) {
                    Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                        self.nowait.store(self.without_flag(), Ordering::Relaxed);
                    }
                    done => {
                        self.nowait.store(FLAG, Ordering::Relaxed);
                        return done;
                    }
                },
            }
        }
    }

    fn without_flag(&self) -> u8 {
        let kind = fs::fstatfs(&self.fd).map_or(0, |stat| u64::try_from(stat.f_type).unwrap_or(0));
        if kind == TMPFS || kind == RAMFS { MEMORY } else { NEVER }
    }
}

/// The bounded set. A file in use by a thread at the moment it is pushed out stays open until that thread is done with it, so
/// at most one descriptor for each storage thread comes on top of the bound.
pub(crate) struct FdPool {
    capacity: usize,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    index: HashMap<FileKey, usize>,
    slots: Vec<Slot>,
    /// Where the search for a slot to empty goes on (the clock algorithm: a second chance for files used since the last round).
    hand: usize,
}

struct Slot {
    key: FileKey,
    file: Arc<OpenFile>,
    used: bool,
}

impl FdPool {
    /// At most `capacity` open files (at least one).
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity: capacity.max(1), slots: Mutex::default() })
    }

    /// An open file, if it is here and, where that is asked, writable.
    pub(super) fn get(&self, key: FileKey, writable: bool) -> Option<Arc<OpenFile>> {
        let mut slots = self.slots.lock();
        let at = *slots.index.get(&key)?;
        let slot = slots.slots.get_mut(at)?;
        if writable && !slot.file.writable {
            return None;
        }
        slot.used = true;
        Some(Arc::clone(&slot.file))
    }

    /// Keeps an open file, in place of another if there are too many.
    pub(super) fn put(&self, key: FileKey, file: Arc<OpenFile>) {
        let pushed_out = self.slots.lock().put(key, file, self.capacity);
        // Closing can wait for a disk: not under the lock.
        drop(pushed_out);
    }

    /// Closes all files of one place.
    pub(super) fn forget(&self, place: u64) {
        let mut slots = self.slots.lock();
        let (gone, kept): (Vec<_>, Vec<_>) =
            mem::take(&mut slots.slots).into_iter().partition(|slot| slot.key.0 == place);
        slots.index = kept.iter().enumerate().map(|(at, slot)| (slot.key, at)).collect();
        slots.slots = kept;
        slots.hand = 0;
        drop(slots);
        drop(gone);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.lock().slots.len()
    }
}

impl Slots {
    fn put(&mut self, key: FileKey, file: Arc<OpenFile>, capacity: usize) -> Option<Slot> {
        let slot = Slot { key, file, used: true };
        if let Some(&at) = self.index.get(&key) {
            return Some(mem::replace(&mut self.slots[at], slot));
        }
        if self.slots.len() < capacity {
            self.index.insert(key, self.slots.len());
            self.slots.push(slot);
            return None;
        }
        loop {
            let at = self.hand;
            self.hand = (self.hand + 1) % self.slots.len();
            if !mem::take(&mut self.slots[at].used) {
                self.index.remove(&self.slots[at].key);
                self.index.insert(key, at);
                return Some(mem::replace(&mut self.slots[at], slot));
            }
        }
    }
}
