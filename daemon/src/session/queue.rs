//! The queue: how many torrents may download and seed at a time, in the order of their positions.

use super::Session;
use proto::{
    id::InfoHash,
    rpc::{State, Torrent},
};
use std::sync::Arc;

impl Session {
    /// Decides anew which torrents may run, and tells those for which the answer changed.
    pub(crate) async fn requeue(&self) {
        let settings = self.shared.settings();
        let verdicts =
            verdicts(&self.shared.registry.all(), settings.active_downloads, settings.active_seeds);
        for (id, queued) in verdicts {
            let _ = self.with(id, move |live| live.set_queued(queued)).await;
        }
    }

    /// Keeps the queue in order for as long as the session lives: whenever a torrent's state changes.
    pub(crate) async fn keep_queue(self) {
        loop {
            self.shared.registry.changed().await;
            // Changes come in bursts, twice a second from each shard.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            self.requeue().await;
        }
    }
}

/// Torrents whose place changes: true is to be held back. A limit of 0 is none.
fn verdicts(torrents: &[Arc<Torrent>], downloads: u32, seeds: u32) -> Vec<(InfoHash, bool)> {
    let mut waiting: Vec<_> = torrents
        .iter()
        .filter(|t| matches!(t.state, State::Downloading | State::Seeding | State::Queued | State::Metadata))
        .collect();
    waiting.sort_by_key(|t| (t.queue_position, t.added_at, t.id));
    let mut places = [limit(downloads), limit(seeds)];
    let mut changed = Vec::new();
    for torrent in waiting {
        let complete = torrent.wanted > 0 && torrent.progress >= 1.0;
        let place = &mut places[usize::from(complete)];
        let queued = *place == 0;
        *place = place.saturating_sub(1);
        if queued != (torrent.state == State::Queued) {
            changed.push((torrent.id, queued));
        }
    }
    changed
}

fn limit(setting: u32) -> u32 {
    if setting == 0 { u32::MAX } else { setting }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn torrent(n: u8, state: State, progress: f64) -> Arc<Torrent> {
        let mut torrent = Torrent::new(InfoHash([n; 20]));
        (torrent.state, torrent.progress, torrent.wanted) = (state, progress, 1);
        torrent.queue_position = u32::from(n);
        Arc::new(torrent)
    }

    #[test]
    fn the_first_in_the_queue_run() {
        let torrents = [
            torrent(3, State::Downloading, 0.5),
            torrent(1, State::Queued, 0.0),
            torrent(2, State::Queued, 0.0),
            torrent(9, State::Queued, 1.0),
        ];
        let id = |n| InfoHash([n; 20]);
        assert_eq!(
            verdicts(&torrents, 2, 0),
            [(id(1), false), (id(2), false), (id(3), true), (id(9), false)]
        );
    }

    #[test]
    fn stopped_torrents_take_no_place() {
        let torrents =
            [torrent(1, State::Paused, 0.0), torrent(2, State::Error, 0.0), torrent(3, State::Queued, 0.0)];
        assert_eq!(verdicts(&torrents, 1, 1), [(InfoHash([3; 20]), false)]);
    }
}
