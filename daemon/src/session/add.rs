//! Adding torrents: from a magnet link, a URL, a path or the bytes of a .torrent file.

use super::{Session, gone};
use crate::{
    clock::unix_now,
    shard::{Described, NewTorrent, views::priority_number},
    store::{PriorityRun, TorrentRecord},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use engine::out::Source;
use futures_util::StreamExt;
use proto::{
    bitfield::Bitfield,
    id::InfoHash,
    magnet::{Endpoint, Magnet},
    metainfo::{Info, Outer},
    rpc::{
        ErrorKind, RpcError, Torrent,
        params::Add,
        torrent::{Added, Priority},
    },
};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The largest .torrent file that is taken, as `proto::metainfo` bounds it too.
const MAX_METAINFO: usize = proto::bencode::Limits::METAINFO.bytes;

/// How long fetching a .torrent file from the web may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// DHT nodes of one torrent that are asked: one that answers is enough.
const MAX_NODES: usize = 16;

/// Labels of one torrent, and the length of each: they are shown in lists.
const MAX_LABELS: usize = 50;
const MAX_LABEL: usize = 100;

impl Session {
    /// `torrent.add`.
    pub(super) async fn add(&self, add: Add) -> Result<Added, RpcError> {
        check_labels(&add.labels)?;
        let bytes = match (&add.source, &add.metainfo) {
            (Some(_), Some(_)) | (None, None) => {
                return Err(RpcError::new(
                    ErrorKind::InvalidParams,
                    "give either `source` (a magnet, URL or path) or `metainfo` (base64)",
                ));
            }
            (None, Some(metainfo)) => BASE64_STANDARD.decode(metainfo.trim()).map_err(|error| {
                RpcError::new(ErrorKind::InvalidParams, format!("`metainfo` is not base64: {error}"))
            })?,
            (Some(source), None) if source.starts_with("magnet:") => {
                return self.add_magnet(&source.clone(), add).await;
            }
            (Some(source), None) if source.starts_with("http://") || source.starts_with("https://") => {
                self.fetch(source).await?
            }
            (Some(path), None) => read_torrent(Path::new(path)).await?,
        };
        self.add_metainfo(bytes, add).await
    }

    async fn add_metainfo(&self, bytes: Vec<u8>, add: Add) -> Result<Added, RpcError> {
        let parsed =
            tokio::task::spawn_blocking(move || Described::read(&bytes).map(|read| (read, bytes))).await;
        let ((described, metainfo), bytes) = parsed
            .map_err(|_| RpcError::new(ErrorKind::Internal, "reading the torrent failed"))?
            .map_err(|error| RpcError::new(ErrorKind::InvalidTorrent, error.to_string()))?;
        if described.lacks_layers() {
            let text = "this v2-only torrent has no `piece layers`, so that its data cannot be verified";
            return Err(RpcError::new(ErrorKind::InvalidTorrent, text));
        }
        let id = metainfo.info.info_hash;
        if self.shared.registry.contains(id) {
            return self.merge(id, metainfo.outer.trackers.clone(), add.peers).await;
        }
        let mut record = self.record(id, &add)?;
        record.name.clone_from(&metainfo.info.name);
        record.private = metainfo.info.private;
        record.size = metainfo.info.layout.payload();
        record.pieces = metainfo.info.layout.pieces();
        record.priorities = wanted_files(&metainfo.info, add.files.as_deref())?;
        let save = || {
            self.shared.store.put_metainfo(id, &bytes)?;
            self.shared.store.put_torrent(&record)
        };
        save().map_err(|error| RpcError::new(ErrorKind::Disk, error.to_string()))?;
        let have = add.assume_complete.then(|| Bitfield::all(record.pieces));
        let name = record.name.clone();
        let peers = add.peers.iter().map(|peer| (Source::User, *peer)).collect();
        if !record.private {
            self.meet_nodes(metainfo.outer.nodes.clone());
        }
        self.begin(record, Some(described), metainfo.outer, have, peers).await;
        self.shared.store.flush().await.map_err(|error| RpcError::new(ErrorKind::Disk, error.to_string()))?;
        self.requeue().await;
        tracing::info!(torrent = %id, "added {name}");
        Ok(Added { id, name, added: true })
    }

    async fn add_magnet(&self, link: &str, add: Add) -> Result<Added, RpcError> {
        let invalid = |text: String| RpcError::new(ErrorKind::InvalidTorrent, text);
        let magnet = Magnet::parse(link).map_err(|error| invalid(error.to_string()))?;
        let Some(id) = magnet.info_hash else {
            return Err(RpcError::new(
                ErrorKind::Unsupported,
                "this magnet is for a v2-only torrent (btmh), which btd cannot fetch so far: use its hybrid or v1 link",
            ));
        };
        let mut peers = resolve(&magnet.peers).await;
        peers.extend(add.peers.iter().map(|peer| (Source::User, *peer)));
        let tiers: Vec<_> = magnet.trackers.iter().map(|url| vec![url.clone()]).collect();
        if self.shared.registry.contains(id) {
            return self.merge(id, tiers, peers.into_iter().map(|(_, peer)| peer).collect()).await;
        }
        let mut record = self.record(id, &add)?;
        record.name = magnet.name.clone().unwrap_or_else(|| id.to_string());
        record.trackers.clone_from(&magnet.trackers);
        let only = add.files.iter().flatten().map(|index| (*index, *index));
        record.only_files = magnet.files.iter().map(|run| (*run.start(), *run.end())).chain(only).collect();
        self.shared
            .store
            .put_torrent(&record)
            .map_err(|error| RpcError::new(ErrorKind::Disk, error.to_string()))?;
        let name = record.name.clone();
        let outer = Outer { web_seeds: magnet.web_seeds, ..Outer::default() };
        self.begin(record, None, outer, None, peers).await;
        self.requeue().await;
        self.shared.store.flush().await.map_err(|error| RpcError::new(ErrorKind::Disk, error.to_string()))?;
        tracing::info!(torrent = %id, "added {name} by magnet");
        Ok(Added { id, name, added: true })
    }

    /// A record for a torrent that is being added.
    pub(super) fn record(&self, id: InfoHash, add: &Add) -> Result<TorrentRecord, RpcError> {
        let save_path = match &add.save_path {
            Some(path) if Path::new(path).is_absolute() => PathBuf::from(path),
            Some(path) => {
                return Err(RpcError::new(
                    ErrorKind::InvalidParams,
                    format!("save_path must be absolute, not “{path}”"),
                ));
            }
            None => self.shared.download_dir(),
        };
        let mut record = TorrentRecord::new(id, save_path, unix_now());
        record.paused = add.paused;
        record.sequential = add.sequential;
        record.labels.clone_from(&add.labels);
        record.queue_position = u32::try_from(self.shared.registry.ids().len()).unwrap_or(u32::MAX);
        Ok(record)
    }

    /// Lists a torrent and hands it to its shard.
    pub(super) async fn begin(
        &self,
        record: TorrentRecord,
        described: Option<Described>,
        outer: Outer,
        have: Option<Bitfield>,
        mut peers: Vec<(Source, SocketAddr)>,
    ) {
        let id = record.id;
        let swarm = self.shared.store.get_swarm(id).await;
        peers.extend(swarm.into_iter().map(|peer| (Source::Resume, peer)));
        let mut summary = Torrent::new(id);
        summary.name.clone_from(&record.name);
        summary.added_at = record.added_at;
        self.shared.registry.put(summary, Some(hosts(&outer.trackers, &record.trackers)));
        let new = NewTorrent { record, described, outer: Arc::new(outer), have, peers };
        let Some(shard) = self.shared.home_of(id) else { return };
        if shard.call(id, move |shard, _| shard.add(new)).await.is_err() {
            self.shared.registry.remove(id);
        }
    }

    /// Gives the DHT the nodes that a torrent names (BEP 5), in a task of its own. Those that cannot be resolved are left
    /// out.
    fn meet_nodes(&self, mut nodes: Vec<(String, u16)>) {
        let dht = self.shared.dht();
        if nodes.is_empty() || !dht.runs() {
            return;
        }
        nodes.truncate(MAX_NODES);
        tokio::spawn(async move {
            for (host, port) in nodes {
                let addr =
                    tokio::net::lookup_host((host, port)).await.ok().and_then(|mut addrs| addrs.next());
                addr.into_iter().for_each(|addr| dht.contact(addr));
            }
        });
    }

    /// A torrent that is known already: its trackers and peers are taken, the rest stays.
    pub(super) async fn merge(
        &self,
        id: InfoHash,
        trackers: Vec<Vec<String>>,
        peers: Vec<SocketAddr>,
    ) -> Result<Added, RpcError> {
        let shard = self.shared.shard_of(id).ok_or_else(|| RpcError::no_torrent(id))?;
        let merged = shard.call(id, move |_, live| {
            live.map(|live| {
                live.add_trackers(&trackers);
                live.add_peers(Source::User, peers);
            })
        });
        merged.await.map_err(gone)?;
        let name = self.shared.registry.get(id).map(|torrent| torrent.name.clone()).unwrap_or_default();
        Ok(Added { id, name, added: false })
    }

    /// A .torrent file from the web, bounded in size and time.
    async fn fetch(&self, url: &str) -> Result<Vec<u8>, RpcError> {
        let failed = |error: reqwest::Error| {
            RpcError::new(ErrorKind::Network, format!("cannot fetch {url}: {}", root_cause(&error)))
        };
        let answer = self.web.get(url).timeout(FETCH_TIMEOUT).send().await.map_err(failed)?;
        let answer = answer.error_for_status().map_err(failed)?;
        let mut body = answer.bytes_stream();
        let mut bytes = Vec::new();
        while let Some(part) = body.next().await {
            bytes.extend_from_slice(&part.map_err(failed)?);
            if bytes.len() > MAX_METAINFO {
                let text =
                    format!("{url} is larger than a .torrent file may be ({} MiB)", MAX_METAINFO >> 20);
                return Err(RpcError::new(ErrorKind::InvalidTorrent, text));
            }
        }
        Ok(bytes)
    }
}

/// The innermost reason, which is the one that a person can act on.
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

async fn read_torrent(path: &Path) -> Result<Vec<u8>, RpcError> {
    let shown = path.display();
    if !path.is_absolute() {
        return Err(RpcError::new(
            ErrorKind::InvalidParams,
            format!("“{shown}” is no magnet link, no http(s) URL and no absolute path on the daemon's host"),
        ));
    }
    let failed =
        |error: std::io::Error| RpcError::new(ErrorKind::Disk, format!("cannot read {shown}: {error}"));
    let size = tokio::fs::metadata(path).await.map_err(failed)?.len();
    if size > MAX_METAINFO as u64 {
        let text = format!("{shown} is larger than a .torrent file may be ({} MiB)", MAX_METAINFO >> 20);
        return Err(RpcError::new(ErrorKind::InvalidTorrent, text));
    }
    tokio::fs::read(path).await.map_err(failed)
}

/// The endpoints of a magnet's `x.pe`. A name that cannot be resolved is left out.
async fn resolve(endpoints: &[Endpoint]) -> Vec<(Source, SocketAddr)> {
    let lookups = endpoints.iter().map(|endpoint| async move {
        match endpoint.addr() {
            Some(addr) => vec![addr],
            None => tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port))
                .await
                .map(Iterator::collect)
                .unwrap_or_default(),
        }
    });
    let found = futures_util::future::join_all(lookups).await;
    found.into_iter().flatten().map(|addr| (Source::Magnet, addr)).collect()
}

/// The files that are not wanted, as priorities; an error if an index names no file.
fn wanted_files(info: &Info, files: Option<&[u32]>) -> Result<Vec<PriorityRun>, RpcError> {
    let Some(files) = files else { return Ok(Vec::new()) };
    let mut priorities = vec![priority_number(Priority::Skip); info.files.len()];
    for index in files {
        let slot = priorities.get_mut(*index as usize).ok_or_else(|| {
            let last = info.files.len().saturating_sub(1);
            RpcError::new(ErrorKind::InvalidParams, format!("there is no file {index}: the last is {last}"))
        })?;
        *slot = priority_number(Priority::Normal);
    }
    Ok(PriorityRun::compress(&priorities, priority_number(Priority::Normal)))
}

/// Checks labels before anything is changed.
pub(super) fn check_labels(labels: &[String]) -> Result<(), RpcError> {
    let fits = |label: &String| {
        !label.trim().is_empty() && label.len() <= MAX_LABEL && !label.contains(['\n', '\r'])
    };
    if labels.len() <= MAX_LABELS && labels.iter().all(fits) {
        return Ok(());
    }
    let text = format!("at most {MAX_LABELS} labels, each of 1 to {MAX_LABEL} bytes on one line");
    Err(RpcError::new(ErrorKind::InvalidParams, text))
}

/// The host names of announce URLs, each once.
pub(super) fn hosts(tiers: &[Vec<String>], more: &[String]) -> Vec<String> {
    let urls = tiers.iter().flatten().chain(more);
    let hosts = urls.filter_map(|url| reqwest::Url::parse(url).ok()?.host_str().map(str::to_owned));
    let mut hosts: Vec<_> = hosts.collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}
