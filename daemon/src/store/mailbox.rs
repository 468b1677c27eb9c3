//! The bounded channel to the thread that owns the database: the newest value of each key, and questions.
//!
//! A value that is put again before it was written replaces the older one, so the mailbox never holds more than one
//! value of a key. Past [`MAX_PENDING`] bytes whoever puts has to wait, unless the disk is at fault: then waiting would
//! stop the whole daemon for a hint that it can live without, and the newest values stay here until the disk is back.

use super::StoreError;
use super::envelope::{Chunk, TooLarge, key, seal};
use parking_lot::{Condvar, Mutex, MutexGuard};
use proto::id::InfoHash;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Bytes that may wait: the records of some 20,000 torrents, two or three commits of a slow disk.
const MAX_PENDING: usize = 16 * 1024 * 1024;
/// Questions that may wait; each is answered from the page cache.
const MAX_READS: usize = 1024;
/// How long changes are gathered before they are committed.
const GATHER: Duration = Duration::from_secs(1);

/// A tree of the database. The order is the order in which a commit writes: a torrent's record before its `have`, so
/// that a record which says "complete" never outlives the proof to the contrary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Tree {
    Meta = 0,
    Torrent = 1,
    Have = 2,
    Swarm = 3,
    Settings = 4,
    Dht = 5,
}

impl Tree {
    /// Every tree.
    pub(super) const ALL: [Self; 6] =
        [Self::Meta, Self::Torrent, Self::Have, Self::Swarm, Self::Settings, Self::Dht];
}

/// What the next commit writes: first what is cleared, then what is put.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Bases whose chunks all go. In reverse order of [`Tree`], so `have` goes before its record.
    pub(super) clears: BTreeSet<(std::cmp::Reverse<Tree>, Vec<u8>)>,
    /// Chunks by key.
    pub(super) puts: BTreeMap<(Tree, Vec<u8>), Vec<u8>>,
    /// Removed torrents, whose marks go after the commit.
    pub(super) buried: Vec<InfoHash>,
}

/// Answers a flush: with the reason if it failed.
pub(super) type Flushed = oneshot::Sender<Result<(), String>>;

/// Asks for the value of a key.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) tree: Tree,
    pub(super) base: Vec<u8>,
    pub(super) answer: oneshot::Sender<Option<Vec<u8>>>,
}

/// What woke the owner.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) reads: Vec<Read>,
    /// Set when it is time to commit.
    pub(super) commit: Option<(Changes, Vec<Flushed>)>,
    pub(super) closed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    /// There is something to do.
    work: Condvar,
    /// There is room again.
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    changes: Changes,
    bytes: usize,
    /// When the oldest change came.
    since: Option<Instant>,
    flushes: Vec<Flushed>,
    reads: Vec<Read>,
    failing: bool,
    closed: bool,
}

impl Mailbox {
    /// Leaves a value.
    pub(super) fn put(&self, tree: Tree, base: &[u8], value: &[u8]) -> Result<(), TooLarge> {
        let chunks = seal(tree, base, value)?;
        let mut state = self.room();
        for (key, sealed) in chunks {
            state.bytes += sealed.len();
            if let Some(old) = state.changes.puts.insert((tree, key), sealed) {
                state.bytes -= old.len();
            }
        }
        self.changed(state);
        Ok(())
    }

    /// Drops a value with all its chunks.
    pub(super) fn clear(&self, tree: Tree, base: &[u8]) {
        let mut state = self.room();
        state.bytes -= state.changes.clear(tree, base);
        self.changed(state);
    }

    /// Forgets a torrent, and has the mark of its removal dropped after that is committed.
    pub(super) fn bury(&self, id: InfoHash) {
        let mut state = self.room();
        state.bytes -= state.changes.forget(id);
        state.changes.buried.push(id);
        self.changed(state);
    }

    /// Asks for a commit at once.
    pub(super) fn flush(&self) -> Result<oneshot::Receiver<Result<(), String>>, StoreError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(StoreError::Closed);
        }
        let (answer, wait) = oneshot::channel();
        state.flushes.push(answer);
        self.work.notify_one();
        Ok(wait)
    }

    /// Asks for a value. When the mailbox is closed the answer is dropped.
    pub(super) fn read(&self, tree: Tree, base: &[u8], answer: oneshot::Sender<Option<Vec<u8>>>) {
        let mut state = self.room();
        if !state.closed {
            state.reads.push(Read { tree, base: base.to_vec(), answer });
            self.work.notify_one();
        }
    }

    /// No more will come.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.work.notify_one();
        self.room.notify_all();
    }

    /// Waits for work. `not_before` puts off commits that nobody waits for, while the disk is at fault.
    pub(super) fn take(&self, not_before: Option<Instant>) -> Work {
        let mut state = self.state.lock();
        loop {
            let due = state.since.map(|since| not_before.unwrap_or(since + GATHER));
            let full = state.bytes >= MAX_PENDING && !state.failing;
            let commit = state.closed
                || full
                || !state.flushes.is_empty()
                || due.is_some_and(|due| due <= Instant::now());
            if commit || !state.reads.is_empty() {
                let work = Work {
                    reads: std::mem::take(&mut state.reads),
                    commit: commit.then(|| state.take()),
                    closed: state.closed,
                };
                self.room.notify_all();
                return work;
            }
            match due {
                Some(due) => drop(self.work.wait_until(&mut state, due)),
                None => self.work.wait(&mut state),
            }
        }
    }

    /// What waits for one key: whether it is cleared first, and its chunks.
    pub(super) fn pending(&self, tree: Tree, base: &[u8]) -> (bool, Vec<Chunk>) {
        let state = self.state.lock();
        let cleared = state.changes.clears.contains(&(std::cmp::Reverse(tree), base.to_vec()));
        let chunks = state.changes.puts.range(range(tree, base)).map(|((_, k), v)| (k.clone(), v.clone()));
        (cleared, chunks.collect())
    }

    /// A commit failed: its changes wait again, below what came since.
    pub(super) fn restore(&self, mut older: Changes) {
        let mut state = self.state.lock();
        state.failing = true;
        let newer = std::mem::take(&mut state.changes);
        for (tree, base) in &newer.clears {
            older.clear(tree.0, base);
        }
        older.puts.extend(newer.puts);
        older.buried.extend(newer.buried);
        state.bytes = older.puts.values().map(Vec::len).sum();
        state.changes = older;
        state.since.get_or_insert_with(Instant::now);
        self.room.notify_all();
    }

    /// A commit succeeded.
    pub(super) fn healthy(&self) {
        self.state.lock().failing = false;
    }

    fn room(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        while !state.closed
            && !state.failing
            && (state.bytes >= MAX_PENDING || state.reads.len() >= MAX_READS)
        {
            self.work.notify_one();
            self.room.wait(&mut state);
        }
        state
    }

    /// Wakes the owner when it sleeps without a deadline, or when the mailbox is full.
    fn changed(&self, mut state: MutexGuard<'_, State>) {
        if state.since.is_none() {
            state.since = Some(Instant::now());
            self.work.notify_one();
        } else if state.bytes >= MAX_PENDING {
            self.work.notify_one();
        }
    }
}

impl State {
    fn take(&mut self) -> (Changes, Vec<Flushed>) {
        self.bytes = 0;
        self.since = None;
        (std::mem::take(&mut self.changes), std::mem::take(&mut self.flushes))
    }
}

impl Changes {
    /// Clears a value; returns the bytes that were waiting for it.
    fn clear(&mut self, tree: Tree, base: &[u8]) -> usize {
        let waiting: Vec<_> = self.puts.range(range(tree, base)).map(|(key, _)| key.clone()).collect();
        let bytes = waiting.iter().filter_map(|key| self.puts.remove(key)).map(|value| value.len()).sum();
        self.clears.insert((std::cmp::Reverse(tree), base.to_vec()));
        bytes
    }

    /// Clears everything about a torrent.
    pub(super) fn forget(&mut self, id: InfoHash) -> usize {
        [Tree::Have, Tree::Swarm, Tree::Torrent].map(|tree| self.clear(tree, id.as_bytes())).iter().sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.clears.is_empty() && self.puts.is_empty() && self.buried.is_empty()
    }
}

fn range(tree: Tree, base: &[u8]) -> std::ops::RangeInclusive<(Tree, Vec<u8>)> {
    (tree, key(base, 0))..=(tree, key(base, usize::from(u16::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(mailbox: &Mailbox, base: &[u8]) -> (bool, usize) {
        let (cleared, chunks) = mailbox.pending(Tree::Torrent, base);
        (cleared, chunks.len())
    }

    #[test]
    fn the_newest_value_of_a_key_is_what_waits() {
        let mailbox = Mailbox::default();
        for round in 0..1000u32 {
            mailbox.put(Tree::Torrent, b"a", &round.to_be_bytes()).unwrap();
        }
        assert_eq!(value(&mailbox, b"a"), (false, 1));
        mailbox.clear(Tree::Torrent, b"a");
        assert_eq!(value(&mailbox, b"a"), (true, 0));
        assert_eq!(mailbox.state.lock().bytes, 0);
        mailbox.put(Tree::Torrent, b"a", b"again").unwrap();
        assert_eq!(value(&mailbox, b"a"), (true, 1));
    }

    #[test]
    fn a_failed_commit_waits_below_what_came_since() {
        let mailbox = Mailbox::default();
        for base in [b"a", b"b", b"c"] {
            mailbox.put(Tree::Torrent, base, b"old").unwrap();
        }
        let wait = mailbox.flush().unwrap();
        let (older, _) = mailbox.take(None).commit.unwrap();
        drop(wait);
        mailbox.put(Tree::Torrent, b"a", b"newer").unwrap();
        mailbox.clear(Tree::Torrent, b"b");
        mailbox.restore(older);
        assert!(mailbox.pending(Tree::Torrent, b"a").1[0].1.ends_with(b"newer"));
        assert_eq!(value(&mailbox, b"b"), (true, 0));
        assert!(mailbox.pending(Tree::Torrent, b"c").1[0].1.ends_with(b"old"));
    }

    #[test]
    fn a_full_mailbox_holds_the_sender_until_it_is_emptied() {
        let mailbox = Mailbox::default();
        let part = vec![0; 1024 * 1024];
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                for base in 0..40u8 {
                    mailbox.put(Tree::Have, &[base], &part).unwrap();
                }
                mailbox.close();
            });
            let mut taken = 0;
            loop {
                let work = mailbox.take(None);
                let bytes: usize = work.commit.iter().flat_map(|(c, _)| c.puts.values()).map(Vec::len).sum();
                assert!(bytes <= MAX_PENDING + 2 * part.len());
                taken += bytes;
                if work.closed {
                    break;
                }
            }
            sender.join().unwrap();
            assert!(taken > 40 * part.len());
        });
    }
}
