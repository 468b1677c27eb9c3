//! The torrents' deadlines, earliest first: one timer for all of a shard.

use proto::{id::InfoHash, time::Instant};
use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
};
use tokio::sync::Notify;

/// Deadlines by time. A torrent has at most one.
#[derive(Default)]
pub(crate) struct Timers {
    inner: RefCell<Inner>,
    sooner: Notify,
}

#[derive(Default)]
struct Inner {
    by_time: BTreeSet<(Instant, InfoHash)>,
    by_torrent: HashMap<InfoHash, Instant>,
}

impl Timers {
    /// Sets, moves or removes a torrent's deadline.
    pub(crate) fn set(&self, id: InfoHash, at: Option<Instant>) {
        let mut inner = self.inner.borrow_mut();
        if inner.by_torrent.get(&id).copied() == at {
            return;
        }
        if let Some(old) = inner.by_torrent.remove(&id) {
            inner.by_time.remove(&(old, id));
        }
        if let Some(at) = at {
            inner.by_torrent.insert(id, at);
            inner.by_time.insert((at, id));
            if inner.by_time.first() == Some(&(at, id)) {
                self.sooner.notify_one();
            }
        }
    }

    /// The earliest deadline.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.inner.borrow().by_time.first().map(|(at, _)| *at)
    }

    /// Resolves when [`Timers::first`] has become an earlier one.
    pub(crate) async fn sooner(&self) {
        self.sooner.notified().await;
    }

    /// Takes out every torrent whose deadline is not after `now`.
    pub(crate) fn due(&self, now: Instant) -> Vec<InfoHash> {
        let mut inner = self.inner.borrow_mut();
        let mut due = Vec::new();
        while let Some((at, id)) = inner.by_time.first().copied().filter(|(at, _)| *at <= now) {
            inner.by_time.remove(&(at, id));
            inner.by_torrent.remove(&id);
            due.push(id);
        }
        due
    }
}
