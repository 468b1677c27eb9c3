//! What of the data on disk is good: all check workers on one torrent at a time, each with sixteen pieces in the SIMD lanes.

use super::{
    Busy, DiskError, DiskErrorKind, StorageEvent, contained,
    files::Wait,
    promise::{Progress, update_all},
    torrent::{Torrent, TorrentKey},
};
use parking_lot::{Condvar, Mutex};
use proto::bitfield::Bitfield;
use rustix::{
    fs::{self, SeekFrom},
    io::Errno,
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Pieces hashed together: as many as the widest registers have lanes.
const BATCH: usize = 16;
/// Bytes read from each of them in turn: sixteen of these stay in the second-level cache from the read to the hashing.
const SLICE: usize = 32 * 1024;
/// Bytes of each piece that the kernel is told of before they are read: it cannot guess from sixteen streams in one file, and a turning
/// disk would seek for every slice.
const AHEAD: u32 = 1 << 20;
/// How often progress is mentioned.
const MENTION: Duration = Duration::from_millis(100);

/// All checks, done and to do.
pub(super) struct Checks {
    waiting: Mutex<Waiting>,
    ready: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Arc<Job>>,
    closed: bool,
}

/// One check.
struct Job {
    torrent: Arc<Torrent>,
    only: Option<Bitfield>,
    total: u32,
    cancelled: AtomicBool,
    /// A whole piece of zeros hashed, once a hole was met.
    zeros: OnceLock<Progress>,
    state: Mutex<State>,
}

struct State {
    /// The first piece not given to a worker yet.
    next: u32,
    /// Batches that workers are at.
    under_way: u32,
    /// All batches were handed out.
    over: bool,
    done: u32,
    good: Bitfield,
    error: Option<DiskError>,
    mentioned: Instant,
}

impl Checks {
    pub(super) fn new(capacity: usize) -> Self {
        Self { waiting: Mutex::default(), ready: Condvar::new(), capacity }
    }

    pub(super) fn start(&self, torrent: Arc<Torrent>, only: Option<&Bitfield>) -> Result<(), Busy> {
        let pieces = torrent.layout.pieces();
        let state = State {
            next: 0,
            under_way: 0,
            over: false,
            done: 0,
            good: Bitfield::none(pieces),
            error: None,
            mentioned: Instant::now(),
        };
        let job = Arc::new(Job {
            torrent,
            only: only.cloned(),
            total: only.map_or(pieces, Bitfield::count),
            cancelled: AtomicBool::new(false),
            zeros: OnceLock::new(),
            state: Mutex::new(state),
        });
        let mut waiting = self.waiting.lock();
        if waiting.closed || waiting.jobs.len() >= self.capacity {
            return Err(Busy);
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.ready.notify_all();
        Ok(())
    }

    /// A check worker's life.
    pub(super) fn work(&self) {
        let mut scratch = Vec::new();
        while let Some((job, batch)) = self.next(&mut scratch) {
            job.look_at(&batch, &mut scratch);
        }
    }

    /// The next batch of the first job that has one; `None` when it is all over.
    fn next(&self, scratch: &mut Vec<u8>) -> Option<(Arc<Job>, Vec<u32>)> {
        let mut waiting = self.waiting.lock();
        loop {
            if waiting.closed {
                return None;
            }
            if let Some(job) = waiting.jobs.front() {
                let job = Arc::clone(job);
                let batch = job.next_batch();
                // Only the worker that gets the empty batch, the last one, takes it off the list.
                if batch.is_empty() {
                    waiting.jobs.pop_front();
                }
                return Some((job, batch));
            }
            // Nothing to do for perhaps a long time: give the memory back.
            *scratch = Vec::new();
            self.ready.wait(&mut waiting);
        }
    }

    /// Calls off the checks of a torrent.
    pub(super) fn cancel(&self, torrent: TorrentKey) {
        let waiting = self.waiting.lock();
        let of_it = waiting.jobs.iter().filter(|job| job.torrent.key == torrent);
        of_it.for_each(|job| job.cancelled.store(true, Ordering::Relaxed));
    }

    pub(super) fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        waiting.jobs.iter().for_each(|job| job.cancelled.store(true, Ordering::Relaxed));
        drop(waiting);
        self.ready.notify_all();
    }
}

impl Job {
    fn next_batch(&self) -> Vec<u32> {
        let mut state = self.state.lock();
        state.under_way += 1;
        if state.error.is_some() || self.cancelled.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let wanted = |piece: &u32| self.only.as_ref().is_none_or(|only| only.has(*piece));
        let batch: Vec<_> = (state.next..self.torrent.layout.pieces()).filter(wanted).take(BATCH).collect();
        state.next = batch.last().map_or(self.torrent.layout.pieces(), |last| last + 1);
        batch
    }

    /// Checks a batch and notes what came of it. The last of them tells the shard.
    fn look_at(&self, batch: &[u32], scratch: &mut Vec<u8>) {
        let result = contained(|| self.check(batch, scratch))
            .unwrap_or_else(|bug| Err(DiskError::new(&self.torrent.files.place().root, bug)));
        let mut state = self.state.lock();
        state.under_way -= 1;
        state.done += u32::try_from(batch.len()).unwrap_or(0);
        match result {
            Ok(good) => good.into_iter().for_each(|piece| {
                state.good.set(piece);
            }),
            Err(error) => {
                state.error.get_or_insert(error);
            }
        }
        // The empty batch is handed out once, and last of all; but others may still be at theirs then.
        state.over |= batch.is_empty();
        let torrent = self.torrent.key;
        if state.over && state.under_way == 0 {
            let result = self.conclude(&mut state);
            drop(state);
            self.torrent.tell(StorageEvent::Checked { torrent, result });
        } else if state.mentioned.elapsed() >= MENTION {
            state.mentioned = Instant::now();
            self.torrent.mention(StorageEvent::Checking { torrent, done: state.done, total: self.total });
        }
    }

    fn conclude(&self, state: &mut State) -> Result<Bitfield, DiskError> {
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(DiskError::new(&self.torrent.files.place().root, DiskErrorKind::Cancelled));
        }
        self.torrent.set_checked(self.only.as_ref(), &state.good);
        Ok(state.good.clone())
    }

    /// The good ones of these pieces.
    fn check(&self, batch: &[u32], scratch: &mut Vec<u8>) -> Result<Vec<u32>, DiskError> {
        let mut good = Vec::with_capacity(batch.len());
        let mut to_read = Vec::with_capacity(batch.len());
        for &piece in batch {
            match self.extent(piece)? {
                Extent::Missing => {}
                Extent::Hole if self.zeros_are_good(piece) => good.push(piece),
                Extent::Hole => {}
                Extent::Data => {
                    to_read.push(Reading { piece, at: 0, progress: self.torrent.promise.begin() })
                }
            }
        }
        self.hash(&mut to_read, scratch)?;
        let is_good = |reading: &Reading| {
            reading.at == self.torrent.layout.piece_len(reading.piece)
                && self.torrent.is_good(reading.piece, &reading.progress)
        };
        good.extend(to_read.iter().filter(|reading| is_good(reading)).map(|reading| reading.piece));
        Ok(good)
    }

    /// Reads and hashes, a slice of each piece at a time. A piece that cannot be read whole stays behind.
    fn hash(&self, readings: &mut [Reading], scratch: &mut Vec<u8>) -> Result<(), DiskError> {
        scratch.resize(BATCH * SLICE, 0);
        loop {
            let mut slices = Vec::with_capacity(readings.len());
            for (reading, slice) in readings.iter_mut().zip(scratch.chunks_exact_mut(SLICE)) {
                let left = (self.torrent.layout.piece_len(reading.piece) - reading.at) as usize;
                let slice = &mut slice[..left.min(SLICE)];
                let start = self.torrent.layout.piece_start(reading.piece) + u64::from(reading.at);
                if reading.at.is_multiple_of(AHEAD) {
                    self.torrent.files.will_need(start, left.min(AHEAD as usize));
                }
                if !slice.is_empty() && readable(self.torrent.files.read(start, &mut [slice], Wait::Yes))? {
                    reading.at += u32::try_from(slice.len()).unwrap_or(0);
                    slices.push((&mut reading.progress, vec![&*slice]));
                }
            }
            if slices.is_empty() || self.cancelled.load(Ordering::Relaxed) {
                return Ok(());
            }
            update_all(&mut slices);
        }
    }

    /// What there is of a piece, without reading it.
    fn extent(&self, piece: u32) -> Result<Extent, DiskError> {
        let layout = &self.torrent.layout;
        let mut found = Extent::Hole;
        for segment in
            self.torrent.files.segments(layout.piece_start(piece), layout.piece_len(piece) as usize)
        {
            let Some(file) = segment.file else { continue };
            let open = match self.torrent.files.open(file, false) {
                Err(DiskError { kind: DiskErrorKind::Missing, .. }) => return Ok(Extent::Missing),
                done => done?,
            };
            let end = segment.at + segment.len as u64;
            match fs::seek(open.fd(), SeekFrom::Data(segment.at)) {
                Ok(data) if data >= end => {}
                // No data from here to the end of the file: past its end, or a hole at its end.
                Err(Errno::NXIO)
                    if fs::fstat(open.fd())
                        .is_ok_and(|stat| u64::try_from(stat.st_size).is_ok_and(|size| size >= end)) => {}
                Err(Errno::NXIO) => return Ok(Extent::Missing),
                // A file system that cannot tell has data everywhere.
                Ok(_) | Err(_) => found = Extent::Data,
            }
        }
        Ok(found)
    }

    /// Whether a piece of nothing but zeros is right. Most pieces have one length, so theirs are hashed once.
    fn zeros_are_good(&self, piece: u32) -> bool {
        let len = self.torrent.layout.piece_len(piece);
        let hashed = || {
            let mut progress = self.torrent.promise.begin();
            progress.update_zeros(len);
            progress
        };
        if len == self.torrent.layout.piece_length() {
            self.torrent.is_good(piece, self.zeros.get_or_init(hashed))
        } else {
            self.torrent.is_good(piece, &hashed())
        }
    }
}

/// A piece being read.
struct Reading {
    piece: u32,
    at: u32,
    progress: Progress,
}

/// What there is of a piece.
enum Extent {
    /// Not all of it.
    Missing,
    /// All of it, and all of it zeros that take no space.
    Hole,
    /// Something to be read.
    Data,
}

/// A file that is gone or too short makes a piece bad, not the check.
fn readable(result: Result<bool, DiskError>) -> Result<bool, DiskError> {
    match result {
        Err(DiskError { kind: DiskErrorKind::Missing | DiskErrorKind::Changed, .. }) => Ok(false),
        done => done,
    }
}
