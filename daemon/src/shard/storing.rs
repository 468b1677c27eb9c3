//! What storage answers, passed on to the torrent it is for.

use super::{Shard, live::Live};
use crate::storage::{Buf, DiskError, DiskErrorKind, StorageEvent, TorrentKey};
use engine::out::{Event, PeerKey};
use proto::layout::Block;
use std::sync::atomic::Ordering;

impl Shard {
    /// One event of storage. Events for a torrent that is gone are of no interest.
    pub(super) fn stored(&self, event: StorageEvent) {
        let Some(live) = self.by_key(key_of(&event)) else { return };
        match event {
            StorageEvent::Done { piece, digests, .. } => {
                let bytes = live.content().map_or(0, |content| content.info.layout.piece_len(piece));
                self.shared.disk_written.fetch_add(u64::from(bytes), Ordering::Relaxed);
                live.feed(Event::PieceDone { piece, digests });
                live.state.borrow_mut().standing.have_unsaved = true;
            }
            StorageEvent::Bad { piece, digests, .. } => {
                tracing::debug!(torrent = %live.id(), piece, "a piece failed its hash");
                live.feed(Event::PieceBad { piece, digests });
            }
            StorageEvent::Failed { piece, error, .. } => {
                if let Some(piece) = piece {
                    live.feed(Event::PieceLost { piece });
                }
                live.disk_failed(&error);
            }
            StorageEvent::Read { peer, ticket, result, .. } => live.fetched(peer, ticket, result),
            StorageEvent::Checking { done, total, .. } => live.checking(done, total),
            StorageEvent::Checked { result, .. } => match result {
                Ok(have) => live.checked(have),
                Err(error) => live.check_failed(&error),
            },
            StorageEvent::Synced { result, .. } => live.synced(result),
            StorageEvent::Moved { result, .. } => live.moved(result),
            StorageEvent::Deleted { result, .. } => {
                if let Err(error) = result {
                    tracing::warn!(torrent = %live.id(), "not all files could be deleted: {error}");
                }
            }
        }
    }
}

/// Which torrent an event is about.
fn key_of(event: &StorageEvent) -> TorrentKey {
    match event {
        StorageEvent::Done { torrent, .. }
        | StorageEvent::Bad { torrent, .. }
        | StorageEvent::Failed { torrent, .. }
        | StorageEvent::Read { torrent, .. }
        | StorageEvent::Checking { torrent, .. }
        | StorageEvent::Checked { torrent, .. }
        | StorageEvent::Synced { torrent, .. }
        | StorageEvent::Moved { torrent, .. }
        | StorageEvent::Deleted { torrent, .. } => *torrent,
    }
}

impl Live {
    fn fetched(&self, peer: PeerKey, blocks: u64, result: Result<Vec<(Block, Buf)>, DiskError>) {
        let conn = self.state.borrow().conns.get(&peer).cloned();
        if let Some(conn) = &conn {
            conn.fetch_ended(usize::try_from(blocks).unwrap_or(usize::MAX));
        }
        match (result, conn) {
            (Ok(blocks), Some(conn)) => conn.queue_blocks(blocks),
            (Ok(_), None) => {}
            (Err(error), conn) => {
                // Which block it was is not told: the pieces are found wanting when the torrent is checked on resuming.
                drop(conn);
                self.disk_failed(&error);
                self.state.borrow_mut().standing.suspect = true;
            }
        }
    }

    fn checking(&self, done: u32, total: u32) {
        let mut state = self.state.borrow_mut();
        if let Some(progress) = &mut state.standing.checking {
            *progress = f64::from(done) / f64::from(total.max(1));
            state.standing.changed = true;
        }
    }

    fn check_failed(&self, error: &DiskError) {
        if error.kind == DiskErrorKind::Cancelled {
            return;
        }
        self.state.borrow_mut().standing.checking = None;
        self.disk_failed(error);
    }

    /// The data is on the disk for good: what was held when that was asked for may be recorded.
    fn synced(&self, result: Result<(), DiskError>) {
        let have = {
            let mut state = self.state.borrow_mut();
            state.standing.syncing = state.standing.syncing.saturating_sub(1);
            state.standing.have_to_save.take()
        };
        match (result, have) {
            (Ok(()), Some(have)) => {
                let mut state = self.state.borrow_mut();
                self.shard().shared.put_have(self.id(), &have);
                state.record.complete = have.is_full() && state.machine.is_seed();
                self.save_record(&mut state, self.shard().clock.now());
            }
            (Ok(()), None) => {}
            (Err(error), _) => self.disk_failed(&error),
        }
    }

    fn moved(&self, result: Result<std::path::PathBuf, DiskError>) {
        {
            let mut state = self.state.borrow_mut();
            state.standing.moving = false;
            state.standing.record_unsaved = true;
            match result {
                Ok(path) => state.record.save_path = path,
                Err(error) => {
                    tracing::warn!(torrent = %self.id(), "not moved: {error}");
                    state.record.error = Some(format!("not moved: {error}"));
                }
            }
        }
        self.settle();
    }
}
