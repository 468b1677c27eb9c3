//! The list of torrents as it is shown: summaries that the shards renew twice a second, with revisions.

use parking_lot::Mutex;
use proto::{
    id::InfoHash,
    rpc::{State, Torrent},
};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};
use tokio::sync::Notify;

/// Removed torrents that are remembered, so that a client that asks `since` an older revision hears of them. A client
/// further behind gets the whole list.
const MAX_REMOVED: usize = 10_000;

/// Every torrent's summary. The lock is held for as long as it takes to copy summaries out or one in.
#[derive(Default)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    revision: u64,
    torrents: HashMap<InfoHash, Entry>,
    /// Which torrent had which revision last: for walking what changed since one.
    by_revision: BTreeMap<u64, InfoHash>,
    removed: VecDeque<(u64, InfoHash)>,
    /// Revisions up to this one have removals that are forgotten.
    forgotten: u64,
}

struct Entry {
    revision: u64,
    trackers: Vec<String>,
    torrent: Arc<Torrent>,
}

/// What changed since a revision.
pub(crate) struct Changes {
    pub(crate) revision: u64,
    pub(crate) changed: Vec<Arc<Torrent>>,
    pub(crate) removed: Vec<InfoHash>,
}

impl Registry {
    /// Puts in a torrent's newest summary. `trackers` are the host names of its trackers, if they changed.
    pub(crate) fn put(&self, torrent: Torrent, trackers: Option<Vec<String>>) {
        let mut inner = self.inner.lock();
        let id = torrent.id;
        let old = inner.torrents.get(&id).map(|entry| entry.revision);
        inner.revision += 1;
        let revision = inner.revision;
        if let Some(old) = old {
            inner.by_revision.remove(&old);
        }
        inner.by_revision.insert(revision, id);
        let torrent = Arc::new(torrent);
        match inner.torrents.get_mut(&id) {
            Some(entry) => {
                entry.revision = revision;
                entry.torrent = torrent;
                if let Some(trackers) = trackers {
                    entry.trackers = trackers;
                }
            }
            None => {
                let trackers = trackers.unwrap_or_default();
                inner.torrents.insert(id, Entry { revision, trackers, torrent });
            }
        }
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Renews a summary, unless the torrent was removed meanwhile.
    pub(crate) fn renew(&self, torrent: Torrent) {
        if self.contains(torrent.id) {
            self.put(torrent, None);
        }
    }

    /// A torrent's announce URLs have changed.
    pub(crate) fn set_trackers(&self, id: InfoHash, hosts: Vec<String>) {
        if let Some(entry) = self.inner.lock().torrents.get_mut(&id) {
            entry.trackers = hosts;
        }
    }

    /// Takes a torrent out. False if it was not there.
    pub(crate) fn remove(&self, id: InfoHash) -> bool {
        let mut inner = self.inner.lock();
        let Some(entry) = inner.torrents.remove(&id) else { return false };
        inner.by_revision.remove(&entry.revision);
        inner.revision += 1;
        let revision = inner.revision;
        inner.removed.push_back((revision, id));
        if inner.removed.len() > MAX_REMOVED
            && let Some((oldest, _)) = inner.removed.pop_front()
        {
            inner.forgotten = oldest;
        }
        drop(inner);
        self.changed.notify_waiters();
        true
    }

    /// Whether a torrent is here.
    pub(crate) fn contains(&self, id: InfoHash) -> bool {
        self.inner.lock().torrents.contains_key(&id)
    }

    /// One torrent's summary.
    pub(crate) fn get(&self, id: InfoHash) -> Option<Arc<Torrent>> {
        self.inner.lock().torrents.get(&id).map(|entry| Arc::clone(&entry.torrent))
    }

    /// All ids, in no order.
    pub(crate) fn ids(&self) -> Vec<InfoHash> {
        self.inner.lock().torrents.keys().copied().collect()
    }

    /// All summaries, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Torrent>> {
        self.inner.lock().torrents.values().map(|entry| Arc::clone(&entry.torrent)).collect()
    }

    /// What changed after `since`; `None` or a revision of long ago: everything.
    pub(crate) fn since(&self, since: Option<u64>) -> Changes {
        let inner = self.inner.lock();
        let since = since.filter(|since| *since >= inner.forgotten && *since <= inner.revision).unwrap_or(0);
        let after = inner.by_revision.range(since + 1..);
        let changed =
            after.filter_map(|(_, id)| inner.torrents.get(id)).map(|e| Arc::clone(&e.torrent)).collect();
        let removed = if since == 0 {
            Vec::new()
        } else {
            inner.removed.iter().filter(|(at, _)| *at > since).map(|(_, id)| *id).collect()
        };
        Changes { revision: inner.revision, changed, removed }
    }

    /// Whether a torrent has a tracker on this host.
    pub(crate) fn has_tracker(&self, id: InfoHash, host: &str) -> bool {
        let inner = self.inner.lock();
        inner.torrents.get(&id).is_some_and(|entry| entry.trackers.iter().any(|name| name == host))
    }

    /// How many torrents are in each state.
    pub(crate) fn states(&self) -> BTreeMap<State, u64> {
        let mut states = BTreeMap::new();
        let inner = self.inner.lock();
        inner.torrents.values().for_each(|entry| *states.entry(entry.torrent.state).or_insert(0) += 1);
        states
    }

    /// Resolves when something has changed after this was called.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn torrent(n: u8) -> Torrent {
        Torrent::new(InfoHash([n; 20]))
    }

    #[test]
    fn since_a_revision_only_what_changed_later_is_told() {
        let registry = Registry::default();
        registry.put(torrent(1), None);
        registry.put(torrent(2), None);
        let first = registry.since(None);
        assert_eq!(first.changed.len(), 2);
        registry.put(torrent(1), None);
        assert!(registry.remove(InfoHash([2; 20])));
        let next = registry.since(Some(first.revision));
        assert_eq!(next.changed.iter().map(|t| t.id).collect::<Vec<_>>(), [InfoHash([1; 20])]);
        assert_eq!(next.removed, [InfoHash([2; 20])]);
        assert!(registry.since(Some(next.revision)).changed.is_empty());
    }

    #[test]
    fn an_unknown_revision_gets_everything() {
        let registry = Registry::default();
        registry.put(torrent(1), None);
        assert_eq!(registry.since(Some(99)).changed.len(), 1);
    }
}
