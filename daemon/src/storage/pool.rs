//! Buffers for blocks: 16 KiB each, never more than a budget, used again while they are warm.
//!
//! Free buffers are a stack, not a queue: the buffer freed last is the one whose lines are still in the cache, and a stack
//! touches only as much memory as is in use at a time. Its lock is held for a push or a pop of a pointer; buffers come back a
//! piece at a time through [`Pool::give`], so it is taken once for many blocks.

use parking_lot::Mutex;
use proto::layout::BLOCK;
use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tokio::sync::Notify;

/// Bytes in a buffer.
pub(crate) const BUF: usize = BLOCK as usize;

type Memory = Box<[u8; BUF]>;

/// A bounded set of block buffers.
pub(crate) struct Pool {
    free: Mutex<Vec<Memory>>,
    /// Buffers that exist, free or in use.
    made: AtomicUsize,
    /// Buffers in somebody's hands.
    in_use: AtomicUsize,
    capacity: usize,
    /// A `take` came away with nothing since the last `relieved`.
    hungry: AtomicBool,
    freed: Notify,
    /// Who can free buffers by writing their content out.
    on_hunger: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Pool {
    /// A pool that never holds more than `budget` bytes of buffers (at least one). Nothing is allocated yet.
    pub(crate) fn new(budget: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Mutex::new(Vec::new()),
            made: AtomicUsize::new(0),
            in_use: AtomicUsize::new(0),
            capacity: (budget / BUF).max(1),
            hungry: AtomicBool::new(false),
            freed: Notify::new(),
            on_hunger: OnceLock::new(),
        })
    }

    /// A buffer with any content, or `None` while the budget is used up: then stop reading until [`Pool::freed`].
    pub(crate) fn take(self: &Arc<Self>) -> Option<Buf> {
        let warm = self.free.lock().pop();
        let memory = warm.or_else(|| self.make());
        match memory {
            Some(memory) => {
                self.in_use.fetch_add(1, Ordering::Relaxed);
                Some(Buf { memory: Some(memory), pool: Arc::clone(self) })
            }
            None => {
                self.complain();
                None
            }
        }
    }

    /// So many buffers, or none of them: who holds some and waits for more could wait for one who does the same.
    pub(crate) fn take_many(self: &Arc<Self>, count: usize) -> Option<Vec<Buf>> {
        if self.capacity.saturating_sub(self.in_use()) < count {
            self.complain();
            return None;
        }
        (0..count).map(|_| self.take()).collect()
    }

    fn make(&self) -> Option<Memory> {
        self.made
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |made| {
                (made < self.capacity).then_some(made + 1)
            })
            .ok()?;
        vec![0; BUF].into_boxed_slice().try_into().ok()
    }

    fn complain(&self) {
        if !self.hungry.swap(true, Ordering::AcqRel)
            && let Some(on_hunger) = self.on_hunger.get()
        {
            on_hunger();
        }
    }

    /// Takes back many buffers with one lock.
    pub(crate) fn give(&self, bufs: impl IntoIterator<Item = Buf>) {
        let mut free = self.free.lock();
        let before = free.len();
        free.extend(bufs.into_iter().filter_map(|mut buf| buf.memory.take()));
        let given = free.len() - before;
        drop(free);
        self.returned(given);
    }

    fn returned(&self, count: usize) {
        if count > 0 {
            self.in_use.fetch_sub(count, Ordering::Relaxed);
            self.hungry.store(false, Ordering::Release);
            // One waiter for each buffer: to wake all of a hundred starved connections for a few would cost more than the copying.
            (0..count).for_each(|_| self.freed.notify_one());
        }
    }

    /// Buffers in use.
    pub(crate) fn in_use(&self) -> usize {
        self.in_use.load(Ordering::Relaxed)
    }

    /// How many buffers there can be.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether somebody asked in vain since a buffer last came back.
    pub(crate) fn is_hungry(&self) -> bool {
        self.hungry.load(Ordering::Acquire)
    }

    /// Resolves when a buffer may be free again after [`Pool::take`] gave `None`. Others may be quicker: try, and wait again.
    pub(crate) async fn freed(&self) {
        self.room(1).await;
    }

    /// Resolves when so many buffers may be free again after [`Pool::take_many`] gave `None`.
    pub(crate) async fn room(&self, count: usize) {
        loop {
            let notified = self.freed.notified();
            tokio::pin!(notified);
            // From here on no notification is missed; one that came before shows in the count.
            notified.as_mut().enable();
            if self.capacity.saturating_sub(self.in_use()) >= count.min(self.capacity) {
                return;
            }
            notified.await;
        }
    }

    /// Sets, once, what to call when somebody asks in vain. It must not take buffers or block.
    pub(crate) fn on_hunger(&self, call: impl Fn() + Send + Sync + 'static) {
        // A second call would be a mistake of ours; the first stays.
        let _ = self.on_hunger.set(Box::new(call));
    }

    /// Frees the memory of buffers that nobody uses, all but `keep` of them.
    pub(crate) fn trim(&self, keep: usize) {
        let spare = {
            let mut free = self.free.lock();
            let at = keep.min(free.len());
            free.split_off(at)
        };
        self.made.fetch_sub(spare.len(), Ordering::Relaxed);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} of {} in use)", self.in_use(), self.capacity)
    }
}

/// A buffer of exactly [`BUF`] bytes; goes back to its pool when dropped.
pub(crate) struct Buf {
    /// `None` only while it is being dropped.
    memory: Option<Memory>,
    pool: Arc<Pool>,
}

impl Deref for Buf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory.as_ref().map_or(&[], |memory| &memory[..])
    }
}

impl DerefMut for Buf {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.memory.as_mut().map_or(&mut [], |memory| &mut memory[..])
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.pool.free.lock().push(memory);
            self.pool.returned(1);
        }
    }
}

impl fmt::Debug for Buf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Buf")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_the_budget() {
        let pool = Pool::new(3 * BUF + 5);
        let mut held: Vec<_> = (0..3).map(|_| pool.take().unwrap()).collect();
        assert!(pool.take().is_none());
        assert!(pool.is_hungry());
        held.pop();
        assert!(!pool.is_hungry());
        assert_eq!((pool.in_use(), pool.capacity()), (2, 3));
        pool.give(held);
        assert_eq!(pool.in_use(), 0);
        pool.trim(1);
        let again: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(again.len(), 3);
        assert!(again.iter().all(|buf| buf.len() == BUF));
    }

    #[test]
    fn many_are_taken_all_or_none() {
        let pool = Pool::new(4 * BUF);
        let two = pool.take_many(2).unwrap();
        assert!(pool.take_many(3).is_none());
        assert_eq!(pool.in_use(), 2);
        assert!(pool.take_many(2).is_some_and(|bufs| bufs.len() == 2));
        drop(two);
        assert_eq!(pool.in_use(), 0);
    }

    #[tokio::test]
    async fn a_waiter_wakes_when_a_buffer_comes_back() {
        let pool = Pool::new(BUF);
        let held = pool.take().unwrap();
        let waiter = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                while pool.take().is_none() {
                    pool.freed().await;
                }
            }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        drop(held);
        waiter.await.unwrap();
    }
}
