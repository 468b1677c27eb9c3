//! The control API, method by method: each finds its torrents and passes the work on.

use super::{Session, add::check_labels};
use crate::{
    shard::{live::Live, views::priority_number},
    store::PriorityRun,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use engine::{out::Source, torrent::NORMAL_PRIORITY};
use jsonrpsee::{PendingSubscriptionSink, core::SubscriptionResult};
use proto::layout::BLOCK;
use proto::rpc::{
    Api, ErrorKind, Fields, Ids, Outcome, Row, RpcError, Torrent,
    params::{
        Add, AddPeers, AddTrackers, BanPeer, Create, DhtLookup, Empty, Id, JobId, List, Many, Move, Remove,
        SessionSet, Set, StrategyGet, StrategySet,
    },
    session::{
        DhtLookupResult, DhtStatus, Done, Job, NatStatus, SettingsChanged, SettingsReport, Started, Stats,
        StrategyReport,
    },
    torrent::{Added, Export, File, Magnet, Outcomes, Peer, Pieces, TorrentList, Tracker},
};
use std::{
    path::PathBuf,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
};

impl Api for Session {
    async fn torrent_add(&self, params: Add) -> Result<Added, RpcError> {
        self.add(params).await
    }

    async fn torrent_list(&self, params: List) -> Result<TorrentList, RpcError> {
        self.list(params)
    }

    async fn torrent_get(&self, Id { id }: Id) -> Result<Torrent, RpcError> {
        let torrent = self.shared.registry.get(id).ok_or_else(|| RpcError::no_torrent(id))?;
        Ok(Torrent::clone(&torrent))
    }

    async fn torrent_files(&self, Id { id }: Id) -> Result<Vec<File>, RpcError> {
        self.with(id, |live| live.files()).await
    }

    async fn torrent_peers(&self, Id { id }: Id) -> Result<Vec<Peer>, RpcError> {
        self.with(id, |live| live.peers()).await
    }

    async fn torrent_trackers(&self, Id { id }: Id) -> Result<Vec<Tracker>, RpcError> {
        self.with(id, |live| live.trackers()).await
    }

    async fn torrent_pieces(&self, Id { id }: Id) -> Result<Pieces, RpcError> {
        self.with(id, |live| live.pieces()).await
    }

    async fn torrent_magnet(&self, Id { id }: Id) -> Result<Magnet, RpcError> {
        let magnet = self.with(id, |live| live.magnet()).await?;
        Ok(Magnet { magnet })
    }

    async fn torrent_export(&self, Id { id }: Id) -> Result<Export, RpcError> {
        let torrent = self.torrent_get(Id { id }).await?;
        let bytes = self.shared.store.get_metainfo(id).map_err(disk)?.ok_or_else(|| {
            RpcError::new(ErrorKind::Busy, "the torrent's metadata is not here so far: try again later")
        })?;
        Ok(Export { name: format!("{}.torrent", torrent.name), metainfo: BASE64_STANDARD.encode(bytes) })
    }

    async fn torrent_pause(&self, Many { ids }: Many) -> Result<Outcomes, RpcError> {
        Ok(self.for_each(ids, done(Live::pause)).await)
    }

    async fn torrent_resume(&self, Many { ids }: Many) -> Result<Outcomes, RpcError> {
        let resume = |live: &Rc<Live>| {
            live.resume();
            Ok(())
        };
        let outcomes = self.for_each(ids, resume).await;
        self.requeue().await;
        Ok(outcomes)
    }

    async fn torrent_recheck(&self, Many { ids }: Many) -> Result<Outcomes, RpcError> {
        Ok(self.for_each(ids, Live::recheck_asked).await)
    }

    async fn torrent_announce(&self, Many { ids }: Many) -> Result<Outcomes, RpcError> {
        Ok(self.for_each(ids, Live::announce_asked).await)
    }

    async fn torrent_remove(&self, params: Remove) -> Result<Outcomes, RpcError> {
        let ids = self.resolve(params.ids);
        let mut outcomes = Vec::with_capacity(ids.len());
        for id in ids {
            outcomes.push(Outcome::new(id, self.remove(id, params.delete_data).await));
        }
        self.requeue().await;
        Ok(outcomes)
    }

    async fn torrent_move(&self, params: Move) -> Result<Outcomes, RpcError> {
        let path = PathBuf::from(&params.save_path);
        if !path.is_absolute() {
            let text = format!("save_path must be absolute, not “{}”", params.save_path);
            return Err(RpcError::new(ErrorKind::InvalidParams, text));
        }
        Ok(self.for_each(params.ids, move |live| live.move_to(path.clone())).await)
    }

    async fn torrent_set(&self, params: Set) -> Result<Outcomes, RpcError> {
        check_labels(params.labels.as_deref().unwrap_or_default())?;
        check_ratio(&params)?;
        let ids = self.resolve(params.ids.clone());
        if let Some(position) = params.queue_position {
            self.place_in_queue(&ids, position).await;
        }
        let params = Arc::new(params);
        let outcomes = self.for_each(Ids::These(ids), move |live| set(live, &params)).await;
        self.requeue().await;
        Ok(outcomes)
    }

    async fn torrent_add_peers(&self, params: AddPeers) -> Result<Done, RpcError> {
        self.with(params.id, move |live| live.add_peers(Source::User, params.peers)).await?;
        Ok(Done {})
    }

    async fn torrent_ban_peer(&self, params: BanPeer) -> Result<Done, RpcError> {
        self.shared.ban(params.peer);
        self.with(params.id, move |live| live.ban(params.peer)).await?;
        Ok(Done {})
    }

    async fn torrent_add_trackers(&self, params: AddTrackers) -> Result<Done, RpcError> {
        for url in params.trackers.iter().flatten() {
            check_tracker(url)?;
        }
        self.with(params.id, move |live| live.add_trackers(&params.trackers)).await?;
        Ok(Done {})
    }

    async fn torrent_create(&self, params: Create) -> Result<Started, RpcError> {
        self.create(params).await
    }

    async fn job_get(&self, params: JobId) -> Result<Job, RpcError> {
        self.jobs.get(params.job)
    }

    async fn job_cancel(&self, params: JobId) -> Result<Job, RpcError> {
        self.jobs.cancel(params.job)
    }

    async fn strategy_get(&self, params: StrategyGet) -> Result<StrategyReport, RpcError> {
        self.strategy_report(params.id).await
    }

    async fn strategy_set(&self, params: StrategySet) -> Result<StrategyReport, RpcError> {
        self.change_strategy(params).await
    }

    async fn session_stats(&self, _: Empty) -> Result<Stats, RpcError> {
        Ok(self.stats())
    }

    async fn session_settings(&self, _: Empty) -> Result<SettingsReport, RpcError> {
        Ok(self.settings_report())
    }

    async fn session_set(&self, params: SessionSet) -> Result<SettingsChanged, RpcError> {
        self.change_settings(params).await
    }

    async fn session_shutdown(&self, _: Empty) -> Result<Done, RpcError> {
        self.shutdown.notify_one();
        Ok(Done {})
    }

    async fn dht_status(&self, _: Empty) -> Result<DhtStatus, RpcError> {
        Ok(self.shared.dht().status().await)
    }

    async fn dht_lookup(&self, params: DhtLookup) -> Result<DhtLookupResult, RpcError> {
        self.shared.dht().lookup(params.target).await
    }

    async fn nat_status(&self, _: Empty) -> Result<NatStatus, RpcError> {
        Ok(self.nat())
    }

    async fn events(&self, pending: PendingSubscriptionSink) -> SubscriptionResult {
        self.serve_events(pending).await
    }
}

impl Session {
    /// `torrent.list`, from the registry alone.
    fn list(&self, params: List) -> Result<TorrentList, RpcError> {
        let fields = match &params.fields {
            None => Fields::ALL,
            Some(names) => Fields::named(names).map_err(|name| {
                let known = Torrent::FIELDS.join(", ");
                RpcError::new(ErrorKind::InvalidParams, format!("no field “{name}”; there are id, {known}"))
            })?,
        };
        let changes = self.shared.registry.since(params.since);
        let mut torrents = changes.changed;
        if let Some(filter) = &params.filter {
            torrents.retain(|torrent| self.matches(torrent, filter));
        }
        torrents.sort_unstable_by_key(|torrent| (torrent.added_at, torrent.id));
        let total = torrents.len() as u64;
        let cut = |n: Option<u64>| n.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let rows = torrents
            .into_iter()
            .skip(params.offset.map_or(0, |n| cut(Some(n))))
            .take(cut(params.limit))
            .map(|torrent| Row { torrent: Arc::unwrap_or_clone(torrent), fields });
        Ok(TorrentList {
            revision: changes.revision,
            torrents: rows.collect(),
            removed: changes.removed,
            total,
        })
    }

    fn matches(&self, torrent: &Torrent, filter: &proto::rpc::params::Filter) -> bool {
        let text = |text: &String| {
            let text = text.to_lowercase();
            torrent.name.to_lowercase().contains(&text) || torrent.id.to_string().starts_with(&text)
        };
        filter.state.is_none_or(|state| torrent.state == state)
            && filter.label.as_ref().is_none_or(|label| torrent.labels.contains(label))
            && filter.tracker.as_ref().is_none_or(|host| self.shared.registry.has_tracker(torrent.id, host))
            && filter.text.as_ref().is_none_or(text)
    }

    fn resolve(&self, ids: Ids) -> Vec<proto::id::InfoHash> {
        match ids {
            Ids::All => self.shared.registry.ids(),
            Ids::These(ids) => ids,
        }
    }

    async fn remove(&self, id: proto::id::InfoHash, delete_data: bool) -> Result<(), RpcError> {
        let removed = self.with(id, move |live| live.remove(delete_data)).await?;
        self.shared.registry.remove(id);
        self.shared.store.remove_torrent(id).map_err(disk)?;
        removed
    }

    /// Puts torrents at a place of the queue, in their order, and numbers all anew.
    async fn place_in_queue(&self, ids: &[proto::id::InfoHash], position: u32) {
        let mut all = self.shared.registry.all();
        all.sort_by_key(|torrent| (torrent.queue_position, torrent.added_at, torrent.id));
        let mut order: Vec<_> = all.iter().map(|t| t.id).filter(|id| !ids.contains(id)).collect();
        let at = order.len().min(position as usize);
        let known = ids.iter().copied().filter(|id| self.shared.registry.contains(*id));
        order.splice(at..at, known);
        for (position, id) in (0..).zip(order) {
            if self.shared.registry.get(id).is_some_and(|torrent| torrent.queue_position != position) {
                let _ = self.with(id, move |live| live.change(|r| r.queue_position = position)).await;
            }
        }
    }

    pub(super) fn stats(&self) -> Stats {
        let shared = &self.shared;
        let torrents = shared.registry.all();
        let sum = |field: fn(&Torrent) -> u64| torrents.iter().map(|torrent| field(torrent)).sum::<u64>();
        let (peers, half_open, banned) = shared.connections();
        let past = shared.past();
        let (down_ever, up_ever) = (sum(|t| t.downloaded) + past.0, sum(|t| t.uploaded) + past.1);
        let start = shared.totals_at_start();
        Stats {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime: shared.clock.uptime(),
            download_rate: sum(|t| t.download_rate),
            upload_rate: sum(|t| t.upload_rate),
            downloaded: down_ever.saturating_sub(start.0),
            uploaded: up_ever.saturating_sub(start.1),
            downloaded_ever: down_ever,
            uploaded_ever: up_ever,
            wasted: sum(|t| t.wasted),
            torrents: torrents.len() as u64,
            states: shared.registry.states().into_iter().map(|(s, n)| (s.name().to_owned(), n)).collect(),
            peers: peers as u64,
            half_open: half_open as u64,
            banned: banned as u64,
            free_space: shared.free_space(),
            cache_used: (shared.storage.pool().in_use() as u64) * u64::from(BLOCK),
            disk_read: shared.disk_read.load(Ordering::Relaxed),
            disk_written: shared.disk_written.load(Ordering::Relaxed),
            port: shared.port.get().copied().unwrap_or(0),
        }
    }

    fn nat(&self) -> NatStatus {
        NatStatus {
            listening: self.shared.listening.get().cloned().unwrap_or_default(),
            external: self.shared.external().into_iter().map(|(ip, n)| (ip.to_string(), n)).collect(),
            mappings: Vec::new(),
            reachable: self.shared.was_reached().then_some(true),
        }
    }
}

fn done(act: impl Fn(&Live) + Clone) -> impl Fn(&Rc<Live>) -> Result<(), RpcError> + Clone {
    move |live| {
        act(live);
        Ok(())
    }
}

fn disk(error: crate::store::StoreError) -> RpcError {
    RpcError::new(ErrorKind::Disk, error.to_string())
}

fn check_ratio(params: &Set) -> Result<(), RpcError> {
    let ratio = params.seed_ratio_limit.and_then(|limit| limit.own());
    if ratio.is_some_and(|ratio| !ratio.is_finite() || ratio < 0.0) {
        return Err(RpcError::new(ErrorKind::InvalidParams, "a share ratio is 0 or more"));
    }
    Ok(())
}

/// Whether an announce URL is one that btd can use.
fn check_tracker(url: &str) -> Result<(), RpcError> {
    let parsed = reqwest::Url::parse(url).ok().filter(|url| url.has_host());
    match parsed.as_ref().map(reqwest::Url::scheme) {
        Some("http" | "https" | "udp") => Ok(()),
        _ => {
            let text =
                format!("“{url}” is no tracker: it must begin with http://, https:// or udp:// and a host");
            Err(RpcError::new(ErrorKind::InvalidParams, text))
        }
    }
}

/// `torrent.set` for one torrent. Nothing changes if a file index is wrong.
fn set(live: &Live, params: &Set) -> Result<(), RpcError> {
    let files = live.file_count();
    if let Some(index) = params.priorities.keys().find(|index| **index as usize >= files) {
        let text = format!("there is no file {index}: the torrent has {files}, numbered from 0");
        return Err(RpcError::new(ErrorKind::InvalidParams, text));
    }
    live.change(|record| {
        if !params.priorities.is_empty() {
            let mut priorities = PriorityRun::expand(&record.priorities, files, NORMAL_PRIORITY);
            for (index, priority) in &params.priorities {
                priorities[*index as usize] = priority_number(*priority);
            }
            record.priorities = PriorityRun::compress(&priorities, NORMAL_PRIORITY);
        }
        if let Some(limit) = params.download_limit {
            record.download_limit = Some(limit.0).filter(|limit| *limit > 0);
        }
        if let Some(limit) = params.upload_limit {
            record.upload_limit = Some(limit.0).filter(|limit| *limit > 0);
        }
        if let Some(sequential) = params.sequential {
            record.sequential = sequential;
        }
        if let Some(labels) = &params.labels {
            record.labels.clone_from(labels);
        }
        if let Some(limit) = params.seed_ratio_limit {
            record.ratio_limit = limit.own();
        }
        if let Some(limit) = params.seed_time_limit {
            record.seed_time_limit = limit.own();
        }
    });
    Ok(())
}
