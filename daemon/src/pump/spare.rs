//! Block buffers at hand.

use crate::storage::{Buf, Pool};
use std::sync::Arc;

/// Buffers kept at hand between reads: one read's worth, so that the pool is not asked for each.
const KEEP: usize = super::intake::MAX_RUN;

/// A shard's stash of block buffers, refilled from the pool that all shards share.
pub(crate) struct Spare {
    pool: Arc<Pool>,
    stash: Vec<Buf>,
}

impl Spare {
    /// An empty stash over `pool`.
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        Self { pool, stash: Vec::with_capacity(KEEP) }
    }

    /// A buffer, if there is one within the budget.
    pub(crate) fn take(&mut self) -> Option<Buf> {
        self.stash.pop().or_else(|| self.pool.take())
    }

    /// Puts a buffer back.
    pub(crate) fn give(&mut self, buf: Buf) {
        if self.stash.len() < KEEP {
            self.stash.push(buf);
        }
    }

    /// Puts several back.
    pub(crate) fn give_all(&mut self, bufs: impl IntoIterator<Item = Buf>) {
        bufs.into_iter().for_each(|buf| self.give(buf));
    }

    /// Whether a buffer can be had; if not, wait for [`Pool::freed`] before reading on.
    pub(crate) fn ready(&mut self) -> bool {
        if self.stash.is_empty() {
            self.stash.extend(self.pool.take());
        }
        !self.stash.is_empty()
    }
}
