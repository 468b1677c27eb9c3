//! Sync, move, delete: what takes a while and must come after the writes that were asked for before.

use super::{StorageEvent, absorb, queue::Queue, relocate, torrent::Torrent};
use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering, mpsc::sync_channel},
};

/// What to do.
pub(super) enum Work {
    Sync { ticket: u64 },
    Move { to: PathBuf },
    Delete,
}

/// What to do for which torrent.
pub(super) struct Task {
    pub(super) torrent: Arc<Torrent>,
    pub(super) work: Work,
}

type Absorbers = [Arc<Queue<absorb::Task>>];

/// A job thread's life.
pub(super) fn run(queue: &Queue<Task>, absorbers: &Absorbers) {
    while let Some(Task { torrent, work }) = queue.pop() {
        let event = match work {
            Work::Sync { ticket } => sync(&torrent, absorbers, ticket),
            Work::Move { to } => move_to(&torrent, absorbers, to, queue),
            Work::Delete => delete(&torrent, absorbers),
        };
        torrent.tell(event);
    }
}

fn sync(torrent: &Torrent, absorbers: &Absorbers, ticket: u64) -> StorageEvent {
    for queue in absorbers {
        let (done, wait) = sync_channel(1);
        if queue.push_always(absorb::Task::Flush { done }).is_ok() {
            queue.nudge();
            // An error: the worker has ended, having finished what was complete.
            let _ = wait.recv();
        }
    }
    let result = torrent.files.make_empty_files().and_then(|()| torrent.files.sync());
    StorageEvent::Synced { torrent: torrent.key, ticket, result }
}

/// Has the absorb workers drop the torrent's pieces in progress.
fn quiesce(torrent: &Torrent, absorbers: &Absorbers) {
    for queue in absorbers {
        let (done, wait) = sync_channel(1);
        if queue.push_always(absorb::Task::Forget { torrent: torrent.key, done: Some(done) }).is_ok() {
            queue.nudge();
            let _ = wait.recv();
        }
    }
}

fn move_to(torrent: &Torrent, absorbers: &Absorbers, to: PathBuf, queue: &Queue<Task>) -> StorageEvent {
    torrent.files.moving.store(true, Ordering::Release);
    quiesce(torrent, absorbers);
    let result = relocate::relocate(&torrent.files, &to, &|| queue.is_closed()).map(|()| to);
    torrent.files.moving.store(false, Ordering::Release);
    StorageEvent::Moved { torrent: torrent.key, result }
}

fn delete(torrent: &Torrent, absorbers: &Absorbers) -> StorageEvent {
    quiesce(torrent, absorbers);
    let result = relocate::delete(&torrent.files);
    StorageEvent::Deleted { torrent: torrent.key, result }
}
