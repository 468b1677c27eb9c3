//! A bounded queue into a worker thread that is woken once for many messages, not once for each.

use parking_lot::{Condvar, Mutex};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// A bounded queue with one or more threads at its end.
pub(crate) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    ready: Condvar,
    capacity: usize,
    /// A sleeper that has set itself a time is woken before it only when this many are waiting.
    batch: usize,
}

struct Inner<T> {
    items: VecDeque<T>,
    /// Threads asleep with no time set: the next item wakes one.
    idle: usize,
    /// Threads asleep until a time they have set.
    dozing: usize,
    nudged: bool,
    closed: bool,
}

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// There is work, or the time set has come, or somebody called [`Queue::nudge`].
    Work,
    /// The queue is closed and empty.
    Closed,
}

impl<T> Queue<T> {
    /// A queue for up to `capacity` items whose reader, while it has set itself a time, sleeps until `batch` of them are waiting.
    pub(crate) fn new(capacity: usize, batch: usize) -> Self {
        let inner = Inner { items: VecDeque::new(), idle: 0, dozing: 0, nudged: false, closed: false };
        Self { inner: Mutex::new(inner), ready: Condvar::new(), capacity, batch }
    }

    /// Appends an item, or gives it back when the queue is full or closed.
    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        let mut inner = self.inner.lock();
        if inner.closed || inner.items.len() >= self.capacity {
            return Err(item);
        }
        inner.items.push_back(item);
        let wake = inner.idle > 0 || (inner.dozing > 0 && inner.items.len() == self.batch);
        drop(inner);
        if wake {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Wakes the reader whatever it waits for.
    pub(crate) fn nudge(&self) {
        let mut inner = self.inner.lock();
        inner.nudged = true;
        let asleep = inner.idle + inner.dozing > 0;
        drop(inner);
        if asleep {
            self.ready.notify_one();
        }
    }

    /// Waits for one item. `None` when the queue is closed and empty.
    pub(crate) fn pop(&self) -> Option<T> {
        let mut inner = self.inner.lock();
        loop {
            if let Some(item) = inner.items.pop_front() {
                return Some(item);
            }
            if inner.closed {
                return None;
            }
            inner.idle += 1;
            self.ready.wait(&mut inner);
            inner.idle -= 1;
        }
    }

    /// Moves everything into `into` (empty on entry). With no `doze`, waits for at least one item; with one, waits until a batch is there or
    /// the time is over, and may come back with nothing.
    pub(crate) fn drain(&self, into: &mut VecDeque<T>, doze: Option<Duration>) -> Woken {
        let mut inner = self.inner.lock();
        match doze {
            None => {
                while inner.items.is_empty() && !inner.nudged && !inner.closed {
                    inner.idle += 1;
                    self.ready.wait(&mut inner);
                    inner.idle -= 1;
                }
            }
            Some(doze) => {
                let until = Instant::now() + doze;
                while inner.items.len() < self.batch && !inner.nudged && !inner.closed {
                    inner.dozing += 1;
                    let timed_out = self.ready.wait_until(&mut inner, until).timed_out();
                    inner.dozing -= 1;
                    if timed_out {
                        break;
                    }
                }
            }
        }
        inner.nudged = false;
        std::mem::swap(&mut inner.items, into);
        if inner.closed && into.is_empty() { Woken::Closed } else { Woken::Work }
    }

    /// Whether [`Queue::close`] was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.inner.lock().closed
    }

    /// Refuses further items; readers take what is there and then end.
    pub(crate) fn close(&self) {
        self.inner.lock().closed = true;
        self.ready.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_gives_back_and_closed_ends() {
        let queue = Queue::new(2, 8);
        assert_eq!((queue.push(1), queue.push(2), queue.push(3)), (Ok(()), Ok(()), Err(3)));
        let mut items = VecDeque::new();
        assert_eq!(queue.drain(&mut items, None), Woken::Work);
        assert_eq!(items, [1, 2]);
        queue.push(4).unwrap();
        queue.close();
        assert_eq!(queue.push(5), Err(5));
        assert_eq!((queue.pop(), queue.pop()), (Some(4), None));
    }

    #[test]
    fn a_dozing_reader_is_woken_by_a_batch_or_a_nudge() {
        let queue = Queue::new(16, 2);
        // The hour would fail the test by time if nothing woke the reader.
        let hour = Some(Duration::from_secs(3600));
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut items = VecDeque::new();
                queue.drain(&mut items, hour);
                items.len()
            });
            queue.push(1).unwrap();
            queue.push(2).unwrap();
            assert_eq!(reader.join().unwrap(), 2);
            let reader = scope.spawn(|| queue.drain(&mut VecDeque::new(), hour));
            queue.nudge();
            assert_eq!(reader.join().unwrap(), Woken::Work);
        });
    }
}
