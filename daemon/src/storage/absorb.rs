//! Received blocks: hashed several pieces at a time, verified, then written with few calls and never read back.
//!
//! SHA-1 is fastest when all SIMD lanes have a piece to work on, so a worker does not hash blocks as they come. It lingers until as many
//! pieces as there are lanes have some blocks ready, or a whole piece has waited long enough, or memory gets short; then it hashes all
//! that is ready in one go. Short of memory, it spills: hashed blocks are written before their piece is whole, and if that is not
//! enough, so are the others. A piece is reported done only when all of it is verified and written.

use super::{
    Buf, DiskError, DiskErrorKind, Pool, StorageEvent, contained,
    piece::Piece,
    promise::update_all,
    queue::{Queue, Woken},
    torrent::{Torrent, TorrentKey},
};
use proto::layout::Block;
use std::{
    collections::{HashMap, VecDeque},
    path::Path,
    sync::{Arc, mpsc::SyncSender},
    time::{Duration, Instant},
};

/// How long a complete piece may wait for company in the lanes. Small beside any request's round trip over the internet.
const LINGER: Duration = Duration::from_millis(10);
/// A piece counts as ready for the lanes with this many blocks: enough that gathering them is little beside the hashing.
const READY_BLOCKS: usize = 4;
/// Buffers given back at a time: few locks and wake-ups where pieces are small, and not many buffers held for nothing.
const GIVE_BACK: usize = 16;

/// What an absorb worker is told.
pub(super) enum Task {
    /// A block arrived.
    Block(Arc<Torrent>, Block, Buf),
    WantDigests {
        torrent: Arc<Torrent>,
        piece: u32,
    },
    /// Drop all pieces of a torrent, then say so.
    Forget {
        torrent: TorrentKey,
        done: Option<SyncSender<()>>,
    },
    /// Write all that is held of a torrent's pieces, whole or not, then say so.
    Settle {
        torrent: TorrentKey,
        done: SyncSender<()>,
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
        while self.queue.drain(&mut tasks, doze) == Woken::Work {
            let worked = !tasks.is_empty();
            // Ends: each time round there are fewer tasks, and no piece of the time before.
            while contained(|| self.round(&mut tasks)).is_err() {
                self.lose_all();
            }
            // Asleep without a time, the next block would wake us at once: do that only when nothing comes.
            doze = (worked || self.pieces.values().any(|piece| piece.complete.is_some())).then_some(LINGER);
            if doze.is_none() && self.pieces.is_empty() {
                self.pool.trim(0);
            }
        }
        if contained(|| self.hash_and_finish()).is_err() {
            self.lose_all();
        }
    }

    fn round(&mut self, tasks: &mut VecDeque<Task>) {
        let now = Instant::now();
        while let Some(task) = tasks.pop_front() {
            self.take(task, now);
        }
        if self.is_due(now) {
            self.hash_and_finish();
        }
        if self.is_short() {
            self.spill();
        }
    }

    fn take(&mut self, task: Task, now: Instant) {
        match task {
            Task::Block(torrent, block, data) => {
                let key = (torrent.key, block.piece);
                if !torrent.is_finished(block.piece) {
                    self.pieces
                        .entry(key)
                        .or_insert_with(|| Piece::new(torrent, block.piece))
                        .add(block, data, now);
                }
            }
            Task::WantDigests { torrent, piece } => {
                if !torrent.is_finished(piece) {
                    let key = (torrent.key, piece);
                    self.pieces.entry(key).or_insert_with(|| Piece::new(torrent, piece)).want_digests = true;
                }
            }
            Task::Forget { torrent, done } => {
                let gone: Vec<_> = self.pieces.extract_if(|key, _| key.0 == torrent).collect();
                gone.into_iter().for_each(|(_, piece)| self.pool.give(piece.into_bufs()));
                done.map(|done| done.send(()));
            }
            Task::Settle { torrent, done } => {
                self.hash_and_finish();
                let keys: Vec<_> = self.pieces.keys().filter(|key| key.0 == torrent).copied().collect();
                keys.into_iter().for_each(|key| self.spill_piece(key, true));
                // Who asked may be gone.
                let _ = done.send(());
            }
            Task::Flush { done } => {
                self.hash_and_finish();
                let _ = done.send(());
            }
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
        update_all(&mut gathered);
        ready.into_iter().for_each(Piece::ran);
        let complete: Vec<_> = self.pieces.extract_if(|_, piece| piece.complete.is_some()).collect();
        let mut free = Vec::new();
        for (_, mut piece) in complete {
            let torrent = Arc::clone(&piece.torrent);
            let event = contained(|| conclude(&mut piece)).unwrap_or_else(|bug| StorageEvent::Failed {
                torrent: torrent.key,
                piece: Some(piece.index),
                error: DiskError::new(&torrent.files.place().root, bug),
            });
            free.extend(piece.into_bufs());
            // Before the shard hears of it: it may be behind, and waiting for buffers.
            if free.len() >= GIVE_BACK {
                self.pool.give(free.drain(..));
            }
            torrent.tell(event);
        }
        self.pool.give(free);
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
                self.spill_piece(key, all);
            }
        }
    }

    fn spill_piece(&mut self, key: (TorrentKey, u32), all: bool) {
        let spilled = self.pieces.get_mut(&key).map(|piece| piece.spill(all, &self.pool));
        if let Some(Err(error)) = spilled {
            self.lose(key, error);
        }
    }

    /// After a bug: what is in memory cannot be relied on.
    fn lose_all(&mut self) {
        let keys: Vec<_> = self.pieces.keys().copied().collect();
        for key in keys {
            let root = self.pieces.get(&key).map(|piece| piece.torrent.files.place().root);
            self.lose(key, DiskError::new(&root.unwrap_or_else(|| Path::new("").into()), DiskErrorKind::Bug));
        }
    }

    fn lose(&mut self, key: (TorrentKey, u32), error: DiskError) {
        if let Some(piece) = self.pieces.remove(&key) {
            let torrent = Arc::clone(&piece.torrent);
            self.pool.give(piece.into_bufs());
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
