//! Received blocks: hashed several pieces at a time, verified, then written with few calls and never read back.
//!
//! SHA-1 is fastest when all SIMD lanes have a piece to work on, so a worker does not hash blocks as they come. It lingers until as many
//! pieces as there are lanes have some blocks ready, or a whole piece has waited long enough, or memory gets short; then it hashes all
//! that is ready in one go. Short of memory, it spills: hashed blocks are written before their piece is whole, and if that is not
//! enough, so are the others. A piece is reported done only when all of it is verified and written.

use super::{
    Buf, DiskError, Pool, StorageEvent,
    piece::Piece,
    queue::{Queue, Woken},
    torrent::{Torrent, TorrentKey},
};
use hash::{Feed, update_many};
use proto::layout::Block;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, mpsc::SyncSender},
    time::{Duration, Instant},
};

/// How long a complete piece may wait for company in the lanes. Small beside any request's round trip over the internet.
const LINGER: Duration = Duration::from_millis(10);
/// A piece counts as ready for the lanes with this many blocks: enough that gathering them is little beside the hashing.
const READY_BLOCKS: usize = 4;

/// What an absorb worker is told.
pub(super) enum Task {
    /// A block arrived.
    Block {
        torrent: Arc<Torrent>,
        block: Block,
        data: Buf,
    },
    WantDigests {
        torrent: Arc<Torrent>,
        piece: u32,
    },
    DropPiece {
        torrent: Arc<Torrent>,
        piece: u32,
    },
    /// Drop all pieces of a torrent, then say so.
    Forget {
        torrent: TorrentKey,
        done: Option<SyncSender<()>>,
    },
    /// Finish all complete pieces, then say so.
    Flush {
        done: SyncSender<()>,
    },
}

/// One absorb worker: the only one that knows the pieces that belong to it.
pub(super) struct Worker {
    queue: Arc<Queue<Task>>,
    pool: Arc<Pool>,
    pieces: HashMap<(TorrentKey, u32), Piece>,
    lanes: usize,
    /// Above this many buffers in use, memory is short.
    high: usize,
    /// Spilling ends below this many.
    low: usize,
}

impl Worker {
    pub(super) fn new(queue: Arc<Queue<Task>>, pool: Arc<Pool>) -> Self {
        let capacity = pool.capacity();
        Self {
            queue,
            pool,
            pieces: HashMap::new(),
            lanes: hash::lanes(),
            high: capacity / 4 * 3,
            low: capacity / 2,
        }
    }

    /// The worker's life.
    pub(super) fn run(mut self) {
        let mut tasks = VecDeque::new();
        let mut doze = None;
        loop {
            let woken = self.queue.drain(&mut tasks, doze);
            if woken == Woken::Closed {
                break;
            }
            let worked = !tasks.is_empty();
            let now = Instant::now();
            tasks.drain(..).for_each(|task| self.take(task, now));
            self.work(Instant::now());
            // Asleep without a time, the next block would wake us at once: do that only when nothing comes.
            doze = (worked || self.pieces.values().any(|piece| piece.complete.is_some())).then_some(LINGER);
            if doze.is_none() && self.pieces.is_empty() {
                self.pool.trim(0);
            }
        }
        self.hash_and_finish();
    }

    fn take(&mut self, task: Task, now: Instant) {
        match task {
            Task::Block { torrent, block, data } => {
                let key = (torrent.key, block.piece);
                if !torrent.is_finished(block.piece) {
                    self.pieces
                        .entry(key)
                        .or_insert_with(|| Piece::new(torrent, block.piece))
                        .add(block, data, now);
                }
            }
            Task::WantDigests { torrent, piece } => {
                let key = (torrent.key, piece);
                self.pieces.entry(key).or_insert_with(|| Piece::new(torrent, piece)).want_digests = true;
            }
            Task::DropPiece { torrent, piece } => {
                torrent.set_finished(piece, false);
                if let Some(piece) = self.pieces.remove(&(torrent.key, piece)) {
                    piece.free(&self.pool);
                }
            }
            Task::Forget { torrent, done } => {
                let gone: Vec<_> = self.pieces.extract_if(|key, _| key.0 == torrent).collect();
                gone.into_iter().for_each(|(_, piece)| piece.free(&self.pool));
                done.map(|done| done.send(()));
            }
            Task::Flush { done } => {
                self.hash_and_finish();
                // Who asked may be gone.
                let _ = done.send(());
            }
        }
    }

    fn work(&mut self, now: Instant) {
        if self.is_due(now) {
            self.hash_and_finish();
        }
        if self.is_short() {
            self.spill();
        }
    }

    /// Memory is short.
    fn is_short(&self) -> bool {
        self.pool.in_use() > self.high || self.pool.is_hungry()
    }

    /// Whether to hash now.
    fn is_due(&self, now: Instant) -> bool {
        let mut ready = 0;
        let mut overdue = false;
        for piece in self.pieces.values() {
            ready += usize::from(piece.run() >= READY_BLOCKS || piece.complete.is_some());
            overdue |= piece.complete.is_some_and(|since| now.duration_since(since) >= LINGER);
        }
        overdue || ready >= self.lanes || self.is_short()
    }

    /// Hashes all that is ready, then verifies, writes and reports the complete pieces.
    fn hash_and_finish(&mut self) {
        let mut ready: Vec<&mut Piece> = self.pieces.values_mut().filter(|piece| piece.run() > 0).collect();
        let mut gathered: Vec<_> = ready.iter_mut().map(|piece| piece.feed()).collect();
        let mut feeds: Vec<_> = gathered.iter_mut().map(|(state, data)| Feed { state, data }).collect();
        update_many(&mut feeds);
        ready.into_iter().for_each(Piece::ran);
        let complete: Vec<_> = self.pieces.extract_if(|_, piece| piece.complete.is_some()).collect();
        complete.into_iter().for_each(|(_, piece)| self.finish(piece));
    }

    fn finish(&self, mut piece: Piece) {
        let event = conclude(&mut piece);
        let torrent = Arc::clone(&piece.torrent);
        // Before the shard hears of it: it may be waiting for buffers.
        piece.free(&self.pool);
        torrent.tell(event);
    }

    /// Writes blocks out before their pieces are whole, until memory is no longer short: first hashed ones, then any; from the piece
    /// that frees most.
    fn spill(&mut self) {
        for all in [false, true] {
            let freed_by = |piece: &Piece| if all { piece.held() } else { piece.hashed_held() };
            let mut order: Vec<_> = self.pieces.iter().map(|(key, piece)| (freed_by(piece), *key)).collect();
            order.retain(|(count, _)| *count > 0);
            order.sort_unstable_by(|a, b| b.cmp(a));
            for (_, key) in order {
                if self.pool.in_use() <= self.low {
                    return;
                }
                let Some(piece) = self.pieces.get_mut(&key) else { continue };
                if let Err(error) = piece.spill(all, &self.pool) {
                    self.lose(key, error);
                }
            }
        }
    }

    fn lose(&mut self, key: (TorrentKey, u32), error: DiskError) {
        if let Some(piece) = self.pieces.remove(&key) {
            let torrent = Arc::clone(&piece.torrent);
            piece.free(&self.pool);
            torrent.tell(StorageEvent::Failed { torrent: key.0, piece: Some(key.1), error });
        }
    }
}

/// Verifies and writes a complete piece.
fn conclude(piece: &mut Piece) -> StorageEvent {
    let (torrent, index) = (piece.torrent.key, piece.index);
    let failed = |error| StorageEvent::Failed { torrent, piece: Some(index), error };
    if let Err(error) = piece.catch_up() {
        return failed(error);
    }
    if !piece.is_good() {
        return StorageEvent::Bad { torrent, piece: index, digests: piece.digests() };
    }
    if let Err(error) = piece.write_out() {
        return failed(error);
    }
    piece.torrent.set_finished(index, true);
    let digests = if piece.want_digests { piece.digests() } else { Vec::new() };
    StorageEvent::Done { torrent, piece: index, digests }
}
