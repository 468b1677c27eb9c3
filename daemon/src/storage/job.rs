//! Sync, move, delete: what takes a while and must come after the writes that were asked for before.

use super::{DiskError, StorageEvent, absorb, contained, queue::Queue, relocate, torrent::Torrent};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
};

/// What to do.
pub(super) enum Work {
    Sync,
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
            Work::Sync => sync(&torrent, absorbers),
            Work::Move { to } => move_to(&torrent, absorbers, to, queue),
            Work::Delete => delete(&torrent, absorbers),
        });
        let result = result.unwrap_or_else(|bug| Err(DiskError::new(&torrent.files.place().root, bug)));
        torrent.tell(match work {
            Work::Sync => StorageEvent::Synced { torrent: key, result },
            Work::Move { to } => StorageEvent::Moved { torrent: key, result: result.map(|()| to) },
            Work::Delete => StorageEvent::Deleted { torrent: key, result },
        });
    }
}

/// Has each absorb worker do something, and waits for it.
fn each(absorbers: &Absorbers, task: impl Fn(SyncSender<()>) -> absorb::Task) {
    for queue in absorbers {
        let (done, wait) = sync_channel(1);
        if queue.push(task(done)).is_ok() {
            queue.nudge();
            // An error: the worker has ended, having finished what was complete.
            let _ = wait.recv();
        }
    }
}

fn sync(torrent: &Torrent, absorbers: &Absorbers) -> Result<(), DiskError> {
    each(absorbers, |done| absorb::Task::Flush { done });
    torrent.files.make_empty_files()?;
    torrent.files.sync()
}

fn move_to(
    torrent: &Torrent,
    absorbers: &Absorbers,
    to: &Path,
    queue: &Queue<Task>,
) -> Result<(), DiskError> {
    // Pieces in progress wait on the disk, to be read back when they are whole.
    each(absorbers, |done| absorb::Task::Settle { torrent: torrent.key, done });
    let quiesce = || each(absorbers, |done| absorb::Task::Flush { done });
    relocate::relocate(&torrent.files, to, &quiesce, &|| queue.is_closed())
}

fn delete(torrent: &Torrent, absorbers: &Absorbers) -> Result<(), DiskError> {
    each(absorbers, |done| absorb::Task::Forget { torrent: torrent.key, done: Some(done) });
    relocate::delete(&torrent.files)
}
