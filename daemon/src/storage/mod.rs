//! Bytes to and from the disk, off the shards' threads.
//!
//! - [`pool`]: the buffers that received blocks lie in; its budget is what pushes back on the sockets.
//! - [`absorb`]: received blocks, hashed many pieces at a time, verified, then written.
//! - [`fetch`]: blocks for peers, from the page cache at once or from a cold disk by a thread of their own.
//! - [`check`]: what of the data on disk is good.
//! - [`promise`]: what the pieces must hash to, by version 1 or 2.
//! - [`job`]: sync, move and delete.
//! - [`files`], [`fds`], [`paths`]: where each byte lies, and how it is reached without leaving the save path.
//!
//! A shard holds a [`Handle`] for each torrent that is doing something. Nothing it calls waits for a disk; answers come as
//! [`StorageEvent`]s over the channel it gave at [`Storage::open`].

mod absorb;
mod check;
mod digest;
mod error;
mod fds;
mod fetch;
mod files;
mod job;
mod paths;
mod piece;
mod pool;
mod promise;
mod queue;
mod relocate;
mod torrent;

#[cfg(test)]
mod tests;

pub(crate) use error::{DiskError, DiskErrorKind};
pub(crate) use fetch::ReadNow;
pub(crate) use files::FileSpec;
pub(crate) use pool::{Buf, Pool};
pub(crate) use promise::Promise;
pub(crate) use torrent::{TorrentKey, TorrentSpec};

use engine::out::{BlockDigest, PeerKey};
use fds::FdPool;
use parking_lot::Mutex;
use pool::BUF;
use proto::{bitfield::Bitfield, layout::Block};
use queue::Queue;
use std::{
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    sync::Arc,
    thread::JoinHandle,
};
use torrent::Torrent;

/// An absorb worker that lingers is woken early by this many blocks: 2 MiB, enough for all lanes, well below any budget.
const ABSORB_BATCH: usize = 128;
/// Buffers for reads at least: several connections' worth of one large read.
const MIN_READS: usize = 64 * BUF;
/// Syncs, moves, deletions and checks that may wait. A caller with more keeps them itself.
const JOBS: usize = 1024;
/// Threads for sync and such, and for moving and deleting, so that a long move holds up no sync.
const JOB_THREADS: usize = 1;

/// What the settings say about storage.
#[derive(Clone, Debug)]
pub(crate) struct StorageConfig {
    /// Threads that hash and write received blocks. One fills the SIMD lanes best and hashes several GB/s.
    pub(crate) absorb_workers: usize,
    /// Threads that read for peers from a cold disk: as many as the disk should have requests at a time.
    pub(crate) fetch_workers: usize,
    /// Threads that check existing data.
    pub(crate) check_workers: usize,
    /// Budget for received blocks, in bytes.
    pub(crate) cache: usize,
    /// Budget for blocks read for peers, in bytes.
    pub(crate) read_cache: usize,
    /// Files open at a time.
    pub(crate) open_files: usize,
    /// Reserve a file's whole length when it is made, rather than let it grow sparse.
    pub(crate) preallocate: bool,
    /// Sync each piece before it is reported done; otherwise the caller syncs before it records pieces.
    pub(crate) sync_writes: bool,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            absorb_workers: 1,
            fetch_workers: 4,
            check_workers: std::thread::available_parallelism().map_or(1, |count| count.get().min(8)),
            cache: 16 << 20,
            read_cache: 8 << 20,
            open_files: 256,
            preallocate: false,
            sync_writes: false,
        }
    }
}

/// What storage tells the shard that owns the torrent.
#[derive(Debug)]
pub(crate) enum StorageEvent {
    /// A piece is verified and written. Its record may follow once it is synced.
    Done {
        /// Which torrent.
        torrent: TorrentKey,
        /// The piece.
        piece: u32,
        /// Digests of its blocks if they were asked for by [`Handle::want_digests`], else empty.
        digests: Vec<BlockDigest>,
    },
    /// A piece's hash is wrong; all of it is dropped.
    Bad {
        /// Which torrent.
        torrent: TorrentKey,
        /// The piece.
        piece: u32,
        /// Digests of its blocks.
        digests: Vec<BlockDigest>,
    },
    /// A disk fault while writing. The piece, if one is named, is dropped: its blocks must be fetched anew.
    Failed {
        /// Which torrent.
        torrent: TorrentKey,
        /// The piece.
        piece: Option<u32>,
        /// What is wrong.
        error: DiskError,
    },
    /// The answer to [`Handle::fetch`].
    Read {
        /// Which torrent.
        torrent: TorrentKey,
        /// For whom.
        peer: PeerKey,
        /// As given.
        ticket: u64,
        /// Each block with its bytes: the first `len` of the buffer.
        result: Result<Vec<(Block, Buf)>, DiskError>,
    },
    /// A check is under way. Sent now and then, never waited for.
    Checking {
        /// Which torrent.
        torrent: TorrentKey,
        /// Pieces looked at.
        done: u32,
        /// Pieces to look at.
        total: u32,
    },
    /// A check has ended.
    Checked {
        /// Which torrent.
        torrent: TorrentKey,
        /// The good ones among the pieces that were to be checked; [`DiskErrorKind::Cancelled`] if it was called off.
        result: Result<Bitfield, DiskError>,
    },
    /// The answer to [`Handle::sync`]: all pieces reported done before that call are safe.
    Synced {
        /// Which torrent.
        torrent: TorrentKey,
        /// Whether it worked.
        result: Result<(), DiskError>,
    },
    /// The answer to [`Handle::move_to`]: the new save path. On an error everything is where it was.
    Moved {
        /// Which torrent.
        torrent: TorrentKey,
        /// The new save path.
        result: Result<PathBuf, DiskError>,
    },
    /// The answer to [`Handle::delete_data`].
    Deleted {
        /// Which torrent.
        torrent: TorrentKey,
        /// The first thing that could not be deleted.
        result: Result<(), DiskError>,
    },
}

/// Runs `work`; a panic in it, a bug of ours, ends that work and not the thread. What it was at is then not to be relied on.
fn contained<T>(work: impl FnOnce() -> T) -> Result<T, DiskErrorKind> {
    // The message and the place have gone to standard error by the time the panic is caught.
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| DiskErrorKind::Bug)
}

/// A queue is full: keep the request and try again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("storage is busy")]
pub(crate) struct Busy;

/// The storage of the whole daemon. Cheap to clone; its threads end with the last clone and the last [`Handle`].
#[derive(Clone)]
pub(crate) struct Storage {
    inner: Arc<Inner>,
}

struct Inner {
    config: StorageConfig,
    pool: Arc<Pool>,
    reads: Arc<Pool>,
    fds: Arc<FdPool>,
    absorb: Vec<Arc<Queue<absorb::Task>>>,
    fetch: Arc<Queue<fetch::Task>>,
    check: Arc<check::Checks>,
    quick: Arc<Queue<job::Task>>,
    slow: Arc<Queue<job::Task>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Storage {
    /// Starts the threads.
    pub(crate) fn start(config: StorageConfig) -> std::io::Result<Self> {
        let pool = Pool::new(config.cache);
        let absorb: Vec<_> = (0..config.absorb_workers.max(1))
            // Unbounded in itself: each block in it holds a buffer, and those are bounded; commands come one for a piece.
            .map(|_| Arc::new(Queue::new(usize::MAX, ABSORB_BATCH.min(pool.capacity() / 4 + 1))))
            .collect();
        let inner = Inner {
            reads: Pool::new(config.read_cache.max(MIN_READS)),
            fds: FdPool::new(config.open_files),
            // Each read in it holds buffers, which are bounded.
            fetch: Arc::new(Queue::new(usize::MAX, 1)),
            check: Arc::new(check::Checks::new(JOBS)),
            quick: Arc::new(Queue::new(JOBS, 1)),
            slow: Arc::new(Queue::new(JOBS, 1)),
            threads: Mutex::default(),
            absorb,
            pool,
            config,
        };
        inner.spawn()?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The buffers to receive blocks into.
    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.inner.pool
    }

    /// The buffers that blocks for peers are read into: what to wait for when a read is busy.
    pub(crate) fn read_pool(&self) -> &Arc<Pool> {
        &self.inner.reads
    }

    /// A torrent's storage. Opens and makes no file.
    pub(crate) fn open(&self, spec: TorrentSpec) -> Handle {
        let torrent = Torrent::new(spec, Arc::clone(&self.inner.fds), &self.inner.config);
        Handle { inner: Arc::clone(&self.inner), torrent: Arc::new(torrent) }
    }

    /// Ends all threads: complete pieces are written first, a check in progress is called off. Waits for that; no event is lost as
    /// long as the channels are read meanwhile.
    pub(crate) fn stop(&self) {
        self.inner.close();
        for thread in self.inner.threads.lock().drain(..) {
            // A worker that panicked has said so on its own.
            let _ = thread.join();
        }
    }
}

impl Inner {
    fn spawn(&self) -> std::io::Result<()> {
        for queue in &self.absorb {
            let worker = absorb::Worker::new(Arc::clone(queue), Arc::clone(&self.pool));
            self.thread("btd-absorb", move || worker.run())?;
        }
        for _ in 0..self.config.fetch_workers.max(1) {
            let queue = Arc::clone(&self.fetch);
            self.thread("btd-fetch", move || fetch::run(&queue))?;
        }
        for _ in 0..self.config.check_workers.max(1) {
            let checks = Arc::clone(&self.check);
            self.thread("btd-check", move || checks.work())?;
        }
        for queue in [&self.quick, &self.slow] {
            for _ in 0..JOB_THREADS {
                let (queue, absorb) = (Arc::clone(queue), self.absorb.clone());
                self.thread("btd-job", move || job::run(&queue, &absorb))?;
            }
        }
        let absorb = self.absorb.clone();
        self.pool.on_hunger(move || absorb.iter().for_each(|queue| queue.nudge()));
        Ok(())
    }

    fn thread(&self, name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        self.threads.lock().push(thread);
        Ok(())
    }

    fn close(&self) {
        self.absorb.iter().for_each(|queue| queue.close());
        self.fetch.close();
        self.check.close();
        self.quick.close();
        self.slow.close();
    }

    /// The worker that a piece belongs to.
    fn absorb(&self, torrent: &Torrent, piece: u32) -> Option<&Queue<absorb::Task>> {
        // An odd factor spreads both the pieces of one torrent and the first pieces of many.
        let at =
            torrent.key.0.wrapping_mul(0x9e37_79b9).wrapping_add(u64::from(piece)) % self.absorb.len() as u64;
        self.absorb.get(usize::try_from(at).ok()?).map(|queue| &**queue)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// One torrent's storage, as its shard holds it.
#[derive(Clone)]
pub(crate) struct Handle {
    inner: Arc<Inner>,
    torrent: Arc<Torrent>,
}

impl Handle {
    /// Takes a received block: exactly one of the blocks of the torrent's [`Layout`](proto::layout::Layout), its bytes first in `data`.
    /// The last block of a piece is answered by `Done`, `Bad` or `Failed`. Never too much: the pool bounds what can be on its way. The buffer
    /// comes back only if the block is none of the layout or storage has stopped: then let it go.
    pub(crate) fn absorb(&self, block: Block, data: Buf) -> Result<(), Buf> {
        let Some(queue) = self.inner.absorb(&self.torrent, block.piece) else { return Err(data) };
        if !self.torrent.layout.is_block(block) {
            return Err(data);
        }
        let task = absorb::Task::Block(Arc::clone(&self.torrent), block, data);
        match queue.push(task) {
            Err(absorb::Task::Block(_, _, data)) => Err(data),
            _ => Ok(()),
        }
    }

    /// Asks for the digests of a piece's blocks when it is done. Before its last block.
    pub(crate) fn want_digests(&self, piece: u32) {
        if piece < self.torrent.layout.pieces()
            && let Some(queue) = self.inner.absorb(&self.torrent, piece)
        {
            // It fails only when storage has stopped, and then no piece is done any more.
            let _ = queue.push(absorb::Task::WantDigests { torrent: Arc::clone(&self.torrent), piece });
        }
    }

    /// Reads blocks of up to 16 KiB each that are in memory, appending each with its bytes to `out`; all of them or none. Neighbouring
    /// blocks share a system call. The torrent must hold the pieces.
    pub(crate) fn read_now(&self, blocks: &[Block], out: &mut Vec<(Block, Buf)>) -> ReadNow {
        fetch::read_now(&self.torrent, &self.inner.reads, blocks, out)
    }

    /// Has the same read by a fetch worker, however long it takes; answered by [`StorageEvent::Read`]. When busy, wait until
    /// [`Storage::read_pool`] has room for so many blocks.
    pub(crate) fn fetch(&self, peer: PeerKey, ticket: u64, blocks: &[Block]) -> Result<(), Busy> {
        let task = fetch::Task::new(&self.torrent, &self.inner.reads, peer, ticket, blocks).ok_or(Busy)?;
        // It fails only when storage has stopped, and then nobody is served any more.
        let _ = self.inner.fetch.push(task);
        Ok(())
    }

    /// Checks the pieces in `only`, or all, against their hashes; answered by [`StorageEvent::Checking`] and at last
    /// [`StorageEvent::Checked`]. The torrent must not be downloading meanwhile.
    pub(crate) fn check(&self, only: Option<&Bitfield>) -> Result<(), Busy> {
        self.inner.check.start(Arc::clone(&self.torrent), only)
    }

    /// Writes the complete pieces that still wait, makes all that was written survive a power cut, and makes the files of length zero;
    /// answered by [`StorageEvent::Synced`].
    pub(crate) fn sync(&self) -> Result<(), Busy> {
        self.job(&self.inner.quick, job::Work::Sync)
    }

    /// Moves all files to another save path; answered by [`StorageEvent::Moved`]. Reads go on, and pieces in progress are kept; a piece
    /// that is completed before it is done fails, so pause the download first.
    pub(crate) fn move_to(&self, save_path: PathBuf) -> Result<(), Busy> {
        self.job(&self.inner.slow, job::Work::Move { to: save_path })
    }

    /// Deletes the torrent's files and the folders that are empty then, and drops pieces in progress; answered by
    /// [`StorageEvent::Deleted`].
    pub(crate) fn delete_data(&self) -> Result<(), Busy> {
        self.job(&self.inner.slow, job::Work::Delete)
    }

    fn job(&self, queue: &Queue<job::Task>, work: job::Work) -> Result<(), Busy> {
        queue.push(job::Task { torrent: Arc::clone(&self.torrent), work }).map_err(|_| Busy)
    }

    /// Drops pieces in progress, calls off checks and closes the files. Other clones of the handle must not be used for writing any more.
    pub(crate) fn close(self) {
        for queue in &self.inner.absorb {
            // As in `want_digests`.
            let _ = queue.push(absorb::Task::Forget { torrent: self.torrent.key, done: None });
        }
        self.inner.check.cancel(self.torrent.key);
        self.torrent.files.close();
    }
}
