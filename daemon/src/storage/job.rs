//! Sync, move, delete: what takes a while and must come after the writes that were asked for before.

use super::{DiskError, StorageEvent, absorb, contained, queue::Queue, relocate, torrent::Torrent};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc::sync_channel},
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
        let key = torrent.key;
        let result = contained(|| match &work {
            Work::Sync { .. } => sync(&torrent, absorbers),
            Work::Move { to } => move_to(&torrent, absorbers, to, queue),
            Work::Delete => delete(&torrent, absorbers),
        });
        let result = result.unwrap_or_else(|bug| Err(DiskError::new(&torrent.files.place().root, bug)));
        torrent.tell(match work {
            Work::Sync { ticket } => StorageEvent::Synced { torrent: key, ticket, result },
            Work::Move { to } => StorageEvent::Moved { torrent: key, result: result.map(|()| to) },
            Work::Delete => StorageEvent::Deleted { torrent: key, result },
        });
    }
}

fn sync(torrent: &Torrent, absorbers: &Absorbers) -> Result<(), DiskError> {
    for queue in absorbers {
        let (done, wait) = sync_channel(1);
        if queue.push(absorb::Task::Flush { done }).is_ok() {
            queue.nudge();
            // An error: the worker has ended, having finished what was complete.
            let _ = wait.recv();
        }
    }
    torrent.files.make_empty_files()?;
    torrent.files.sync()
}

/// Has the absorb workers drop the torrent's pieces in progress.
fn quiesce(torrent: &Torrent, absorbers: &Absorbers) {
    for queue in absorbers {
        let (done, wait) = sync_channel(1);
        if queue.push(absorb::Task::Forget { torrent: torrent.key, done: Some(done) }).is_ok() {
            queue.nudge();
            let _ = wait.recv();
        }
    }
}

fn move_to(
    torrent: &Torrent,
    absorbers: &Absorbers,
    to: &Path,
    queue: &Queue<Task>,
) -> Result<(), DiskError> {
    relocate::relocate(&torrent.files, to, &|| quiesce(torrent, absorbers), &|| queue.is_closed())
}

fn delete(torrent: &Torrent, absorbers: &Absorbers) -> Result<(), DiskError> {
    quiesce(torrent, absorbers);
    relocate::delete(&torrent.files)
}
