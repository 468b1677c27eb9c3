//! The session: all torrents together. It adds them, lists them, queues them, and passes calls on to their shards.

mod add;
mod api;
mod events;
mod jobs;
mod metrics;
mod options;
mod queue;
mod registry;
mod shared;

pub(crate) use add::root_cause;
pub(crate) use shared::{Parts, Shared};

use crate::{
    settings,
    shard::{Described, Gone, Shard, ShardHandle, live::Live},
    store::{Loaded, TorrentRecord},
};
use parking_lot::Mutex;
use proto::{
    bitfield::Bitfield,
    id::InfoHash,
    metainfo::Outer,
    rpc::{ErrorKind, Ids, Outcome, RpcError},
};
use std::{rc::Rc, sync::Arc};
use tokio::sync::Notify;

/// The control side of the session. Clones share it.
#[derive(Clone)]
pub(crate) struct Session(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    /// The settings with where each comes from.
    options: Mutex<settings::Live>,
    /// Fetches .torrent files from the web.
    web: reqwest::Client,
    /// Long work under way, and what came of it.
    jobs: jobs::Jobs,
    /// `session.shutdown` was called.
    shutdown: Notify,
    log: crate::log::Logs,
}

impl std::ops::Deref for Session {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Session {
    pub(crate) fn new(
        shared: Arc<Shared>,
        options: settings::Live,
        web: reqwest::Client,
        log: crate::log::Logs,
    ) -> Self {
        Self(Arc::new(Inner {
            shared,
            options: Mutex::new(options),
            web,
            jobs: jobs::Jobs::default(),
            shutdown: Notify::new(),
            log,
        }))
    }

    /// Begins every torrent that the store remembers. One whose metainfo cannot be read is left out of the run, with a
    /// warning; its record stays.
    pub(crate) async fn restore(&self, loaded: Loaded) {
        let sum = |field: fn(&TorrentRecord) -> u64| loaded.torrents.iter().map(field).sum();
        self.shared.set_totals_at_start(sum(|record| record.downloaded), sum(|record| record.uploaded));
        for id in loaded.orphans {
            let mut record = TorrentRecord::new(id, self.shared.download_dir(), crate::clock::unix_now());
            record.error = Some(
                "its record was lost with a damaged state: move it to the folder that has its files, then resume it".to_owned(),
            );
            self.restore_one(record).await;
        }
        for record in loaded.torrents {
            self.restore_one(record).await;
        }
        self.requeue().await;
    }

    async fn restore_one(&self, mut record: TorrentRecord) {
        let id = record.id;
        let metainfo = match self.shared.store.get_metainfo(id) {
            Ok(Some(bytes)) => Described::read(&bytes).map_err(|error| error.to_string()),
            // A magnet whose metadata had not arrived.
            Ok(None) if record.pieces == 0 => {
                return self.begin(record, None, Outer::default(), None, Vec::new()).await;
            }
            Ok(None) => Err("its metainfo is missing".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let (described, metainfo) = match metainfo {
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(torrent = %id, "{} is left out: {error}", record.name);
                return;
            }
        };
        let pieces = metainfo.info.layout.pieces();
        // A magnet's record may be older than its metadata, if btd was killed when that had just arrived.
        if record.pieces != pieces {
            record.name.clone_from(&metainfo.info.name);
            record.size = metainfo.info.layout.total();
            record.pieces = pieces;
            record.choose_files(metainfo.info.files.len());
        }
        record.private = metainfo.info.private;
        let have = if record.complete {
            Some(Bitfield::all(pieces))
        } else {
            self.shared.store.get_have(id, pieces).await
        };
        if record.name.is_empty() {
            record.name.clone_from(&metainfo.info.name);
        }
        record.size = metainfo.info.layout.payload();
        self.begin(record, Some(described), metainfo.outer, have, Vec::new()).await;
    }

    /// Runs `call` beside a torrent.
    async fn with<T: Send + 'static>(
        &self,
        id: InfoHash,
        call: impl FnOnce(&Rc<Live>) -> T + Send + 'static,
    ) -> Result<T, RpcError> {
        self.with_shard(id, move |_, live| call(live)).await
    }

    async fn with_shard<T: Send + 'static>(
        &self,
        id: InfoHash,
        call: impl FnOnce(&Rc<Shard>, &Rc<Live>) -> T + Send + 'static,
    ) -> Result<T, RpcError> {
        let shard = self.shared.shard_of(id).ok_or_else(|| RpcError::no_torrent(id))?;
        let answer = shard.call(id, move |shard, live| live.map(|live| call(shard, live))).await;
        answer.map_err(gone)?.ok_or_else(|| RpcError::no_torrent(id))
    }

    /// Runs `call` beside each of the torrents.
    async fn for_each(
        &self,
        ids: Ids,
        call: impl Fn(&Rc<Live>) -> Result<(), RpcError> + Clone + Send + 'static,
    ) -> Vec<Outcome> {
        let ids = match ids {
            Ids::All => self.shared.registry.ids(),
            Ids::These(ids) => ids,
        };
        let mut outcomes = Vec::with_capacity(ids.len());
        for id in ids {
            let call = call.clone();
            let result = self.with(id, move |live| call(live)).await;
            outcomes.push(Outcome::new(id, result.and_then(|done| done)));
        }
        outcomes
    }

    /// Resolves when `session.shutdown` was called.
    pub(crate) async fn shutdown_asked(&self) {
        self.shutdown.notified().await;
    }

    /// Stops every shard: peers are dropped, trackers told, progress saved.
    pub(crate) async fn stop(&self) {
        let stops = self.shared.shards().iter().map(ShardHandle::stop);
        futures_util::future::join_all(stops).await;
        self.shared.dht().stop().await;
        self.shared.store.close().await;
    }
}

fn gone(error: Gone) -> RpcError {
    RpcError::new(ErrorKind::Busy, error.to_string())
}
