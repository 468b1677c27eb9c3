//! How far long work is, and the wish to stop it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Shared between the threads that work and one that watches. Reading it costs nothing worth mentioning, so a watcher asks as often
/// as it likes to draw.
#[derive(Debug, Default)]
pub struct Control {
    done: AtomicU64,
    total: AtomicU64,
    cancelled: AtomicBool,
}

impl Control {
    /// Nothing done, nothing to do.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes read and hashed so far.
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Bytes to be read and hashed; 0 while that is still being found out.
    pub fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    /// Asks the work to stop soon. It then fails with [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    /// Whether [`Control::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }

    pub(crate) fn begin(&self, total: u64) {
        self.done.store(0, Relaxed);
        self.total.store(total, Relaxed);
    }

    pub(crate) fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Relaxed);
    }
}
