//! What storage knows of one torrent.

use super::{
    StorageConfig, StorageEvent,
    fds::FdPool,
    files::{FileSpec, TorrentFiles},
    promise::{Progress, Promise},
};
use parking_lot::Mutex;
use proto::{bitfield::Bitfield, layout::Layout};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::mpsc;

/// A torrent as its shard names it: never given to another one while the daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TorrentKey(pub(crate) u64);

/// What storage must know to serve a torrent.
#[derive(Clone, Debug)]
pub(crate) struct TorrentSpec {
    /// Its name in events.
    pub(crate) key: TorrentKey,
    /// Its pieces.
    pub(crate) layout: Layout,
    /// What its pieces must hash to.
    pub(crate) promise: Promise,
    /// Its files, end to end.
    pub(crate) files: Vec<FileSpec>,
    /// The folder that they are in.
    pub(crate) save_path: PathBuf,
    /// Some of its data is held already: then a save path that is not there is an error (its disk may be gone) and is not made anew.
    pub(crate) started: bool,
    /// Where its events go.
    pub(crate) events: mpsc::Sender<StorageEvent>,
}

/// A torrent, shared by the handles and all tasks that concern it.
pub(super) struct Torrent {
    pub(super) key: TorrentKey,
    pub(super) layout: Layout,
    pub(super) promise: Promise,
    pub(super) files: TorrentFiles,
    events: mpsc::Sender<StorageEvent>,
    /// Pieces known to be good on the disk: a block of one that comes late (endgame) must not be written over it. Locked for a bit.
    finished: Mutex<Option<Bitfield>>,
    pub(super) sync_writes: bool,
}

impl Torrent {
    pub(super) fn new(spec: TorrentSpec, fds: Arc<FdPool>, config: &StorageConfig) -> Self {
        Self {
            key: spec.key,
            layout: spec.layout,
            promise: spec.promise,
            files: TorrentFiles::new(fds, spec.files, spec.save_path, spec.started, config.preallocate),
            events: spec.events,
            finished: Mutex::default(),
            sync_writes: config.sync_writes,
        }
    }

    /// Whether a piece, all of it hashed but padding at its end, is right.
    pub(super) fn is_good(&self, piece: u32, progress: &Progress) -> bool {
        self.promise.is_kept(&self.layout, piece, progress)
    }

    /// Tells the shard; waits when it is behind. Not for the shard's own thread. A shard that is gone needs no telling.
    pub(super) fn tell(&self, event: StorageEvent) {
        let _ = self.events.blocking_send(event);
    }

    /// Tells the shard unless it is behind.
    pub(super) fn mention(&self, event: StorageEvent) {
        let _ = self.events.try_send(event);
    }

    pub(super) fn is_finished(&self, piece: u32) -> bool {
        self.finished.lock().as_ref().is_some_and(|finished| finished.has(piece))
    }

    /// What a check found of the pieces in `only`, or of all.
    pub(super) fn set_checked(&self, only: Option<&Bitfield>, good: &Bitfield) {
        let mut finished = self.finished.lock();
        match only {
            None => *finished = Some(good.clone()),
            Some(only) => {
                let finished = finished.get_or_insert_with(|| Bitfield::none(self.layout.pieces()));
                for piece in only.iter() {
                    if good.has(piece) {
                        finished.set(piece)
                    } else {
                        finished.clear(piece)
                    };
                }
            }
        }
    }

    pub(super) fn set_finished(&self, piece: u32, is: bool) {
        let mut finished = self.finished.lock();
        if is {
            finished.get_or_insert_with(|| Bitfield::none(self.layout.pieces())).set(piece);
        } else if let Some(finished) = &mut *finished {
            finished.clear(piece);
        }
    }
}
