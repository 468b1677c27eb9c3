//! What btd remembers between runs.
//!
//! One thread owns the sled database ([`writer`]); everybody else holds a [`Store`], whose `put_*` calls only leave the
//! newest value of a key in a bounded [`mailbox`]. Once a second, or on [`Store::flush`], the thread applies what is
//! there, one batch per tree, and makes it durable. Metainfo is kept as files beside the database ([`files`]).
//!
//! The database is a hint, never the truth about payload: every value is versioned and checksummed ([`envelope`]), a
//! damaged database is put aside and rebuilt from the last [`snapshot`] and the metainfo files, and whatever is rebuilt
//! comes back unchecked (no `have`, not `complete`), so that its data is hashed again before a byte is served.
//!
//! Law 6 needs two things of the caller: data is synced before [`Store::put_have`] names it, and [`Store::get_have`]
//! answering `None` means "hash it", not "nothing is there".

mod database;
mod envelope;
mod files;
mod lock;
mod mailbox;
mod migrate;
mod open;
mod record;
mod snapshot;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use record::{PriorityRun, TorrentRecord};

use envelope::TooLarge;
use files::Files;
use mailbox::{Mailbox, Tree};
use parking_lot::Mutex;
use proto::{bitfield::Bitfield, id::InfoHash};
use std::{io, net::SocketAddr, path::Path, path::PathBuf, sync::Arc, thread::JoinHandle};
use tokio::sync::oneshot;

/// Peers remembered of one torrent: enough to fill its connections after a restart, and they fit in one value.
pub(crate) const MAX_SWARM: usize = 400;

/// What can go wrong with the state.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Another process has the state directory.
    #[error(
        "the state directory {dir} is in use by {holder}: stop that one, or choose another with --state-dir"
    )]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// Who has it, as far as is known.
        holder: String,
    },
    /// A newer btd wrote the state.
    #[error(
        "the state in {dir} was written by a newer btd (schema {found}, this one knows {known}): \
         run that version, or choose another directory with --state-dir"
    )]
    Newer {
        /// The directory.
        dir: PathBuf,
        /// The schema found.
        found: u32,
        /// The newest schema that this program knows.
        known: u32,
    },
    /// The file system refused.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The database refused or is damaged.
    #[error("the state database: {0}")]
    Database(String),
    /// A value is larger than the database should hold.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// A value has no JSON form, such as a path that is not UTF-8.
    #[error("cannot be stored: {0}")]
    Encode(#[from] serde_json::Error),
    /// The store is closed.
    #[error("the state database is closed")]
    Closed,
}

impl StoreError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

/// What was remembered, read once at the start.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// Every torrent, in order of its id.
    pub(crate) torrents: Vec<TorrentRecord>,
    /// What [`Store::put_settings`] was given last.
    pub(crate) settings: Option<serde_json::Value>,
    /// What [`Store::put_dht`] was given last.
    pub(crate) dht: Option<Vec<u8>>,
    /// Metainfo files whose record was lost: nothing is known but the torrent itself.
    pub(crate) orphans: Vec<InfoHash>,
    /// What was found damaged and how it was mended, as sentences for the log.
    pub(crate) warnings: Vec<String>,
}

/// A handle on the state; clones share it. Dropping the last one flushes and closes.
#[derive(Clone, Debug)]
pub(crate) struct Store(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    mailbox: Arc<Mailbox>,
    files: Arc<Files>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens or creates the state in `dir`, mends it where needed, and starts the thread that owns it. Blocking.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Loaded), StoreError> {
        let (owner, loaded) = open::open(dir)?;
        let mailbox = Arc::new(Mailbox::default());
        let files = Arc::clone(&owner.files);
        let thread = {
            let mailbox = Arc::clone(&mailbox);
            std::thread::Builder::new()
                .name("store".into())
                .spawn(move || writer::run(owner, &mailbox))
                .map_err(StoreError::io("start a thread for", dir))?
        };
        Ok((Self(Arc::new(Handle { mailbox, files, thread: Mutex::new(Some(thread)) })), loaded))
    }

    /// Remembers a torrent. A `complete` one needs no `have`: what was stored of it is dropped.
    pub(crate) fn put_torrent(&self, record: &TorrentRecord) -> Result<(), StoreError> {
        if record.complete {
            self.0.mailbox.clear(Tree::Have, record.id.as_bytes());
        }
        self.0.mailbox.put(Tree::Torrent, record.id.as_bytes(), &serde_json::to_vec(record)?)?;
        Ok(())
    }

    /// Forgets a torrent with everything about it. From the moment this returns it stays forgotten, crash or not.
    /// Blocking, for one rename.
    pub(crate) fn remove_torrent(&self, id: InfoHash) -> Result<(), StoreError> {
        self.0.files.bury(id)?;
        self.0.mailbox.bury(id);
        Ok(())
    }

    /// Remembers which pieces are held. Their data must have reached the disk before.
    pub(crate) fn put_have(&self, id: InfoHash, have: &Bitfield) -> Result<(), StoreError> {
        Ok(self.0.mailbox.put(Tree::Have, id.as_bytes(), have.as_bytes())?)
    }

    /// Forgets which pieces are held, before a check and whenever files were changed by others.
    pub(crate) fn clear_have(&self, id: InfoHash) {
        self.0.mailbox.clear(Tree::Have, id.as_bytes());
    }

    /// Which of `pieces` pieces are held; `None` is unknown, so that the data must be checked.
    pub(crate) async fn get_have(&self, id: InfoHash, pieces: u32) -> Option<Bitfield> {
        let bytes = self.read(Tree::Have, id).await?;
        Bitfield::from_wire(&bytes, pieces).ok()
    }

    /// Remembers peers of a torrent, the best first; at most [`MAX_SWARM`] of them.
    pub(crate) fn put_swarm(&self, id: InfoHash, peers: &[SocketAddr]) -> Result<(), StoreError> {
        let peers = &peers[..peers.len().min(MAX_SWARM)];
        Ok(self.0.mailbox.put(Tree::Swarm, id.as_bytes(), &record::encode_swarm(peers))?)
    }

    /// The remembered peers of a torrent.
    pub(crate) async fn get_swarm(&self, id: InfoHash) -> Vec<SocketAddr> {
        self.read(Tree::Swarm, id).await.map(|bytes| record::decode_swarm(&bytes)).unwrap_or_default()
    }

    /// Remembers the settings that were changed at run time.
    pub(crate) fn put_settings(&self, settings: &serde_json::Value) -> Result<(), StoreError> {
        Ok(self.0.mailbox.put(Tree::Settings, b"session", &serde_json::to_vec(settings)?)?)
    }

    /// Remembers the DHT node's id and routing table.
    pub(crate) fn put_dht(&self, state: &[u8]) -> Result<(), StoreError> {
        Ok(self.0.mailbox.put(Tree::Dht, b"node", state)?)
    }

    /// Writes a torrent's metainfo file, durably. Blocking.
    pub(crate) fn put_metainfo(&self, id: InfoHash, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.files.put(id, bytes)
    }

    /// Reads a torrent's metainfo file; `None` when there is none. Blocking.
    pub(crate) fn get_metainfo(&self, id: InfoHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.files.get(id)
    }

    /// Resolves when everything put before is durable, or with the reason why it is not. What could not be written
    /// stays in the mailbox and is tried again.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        self.0.mailbox.flush()?.await.map_err(|_| StoreError::Closed)?.map_err(StoreError::Database)
    }

    /// [`Store::flush`] for a thread without a runtime.
    #[cfg(test)]
    pub(crate) fn flush_blocking(&self) -> Result<(), StoreError> {
        self.0.mailbox.flush()?.blocking_recv().map_err(|_| StoreError::Closed)?.map_err(StoreError::Database)
    }

    /// Flushes, writes a last snapshot and closes, however many handles there are; what is put after that is lost.
    pub(crate) async fn close(&self) {
        let handle = Arc::clone(&self.0);
        // It fails only if closing panicked, which has been logged.
        let _ = tokio::task::spawn_blocking(move || handle.close()).await;
    }

    async fn read(&self, tree: Tree, id: InfoHash) -> Option<Vec<u8>> {
        let (answer, wait) = oneshot::channel();
        self.0.mailbox.read(tree, id.as_bytes(), answer);
        wait.await.ok().flatten()
    }
}

impl Handle {
    fn close(&self) {
        self.mailbox.close();
        if let Some(thread) = self.thread.lock().take() {
            // A panic of that thread has been logged there; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}
