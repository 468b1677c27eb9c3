//! The API of the stub: enough of each method to see what btctl sends and how it takes the answer.

use super::State;
use jsonrpsee::{PendingSubscriptionSink, core::SubscriptionResult};
use proto::{
    id::InfoHash,
    rpc::{
        Api, ErrorKind, Fields, Ids, Outcome, Row, RpcError, State as TorrentState, Torrent, params::*,
        session::*, torrent::*,
    },
    strategy::Strategy,
};
use serde::Serialize;
use std::sync::Arc;

/// A torrent whose id begins with these digits.
pub fn torrent(id: &str, name: &str, state: TorrentState, progress: f64) -> Torrent {
    let mut torrent = Torrent::new(format!("{id:0<40}").parse().unwrap());
    torrent.name = name.to_owned();
    (torrent.state, torrent.progress) = (state, progress);
    (torrent.size, torrent.wanted, torrent.have) = (1 << 30, 1 << 30, (progress * f64::from(1 << 30)) as u64);
    torrent
}

pub struct Stub(pub Arc<State>);

type Answer<T> = Result<T, RpcError>;

impl Stub {
    fn note(&self, method: &'static str, params: &impl Serialize) {
        self.0.calls.lock().unwrap().push((method, serde_json::to_value(params).unwrap()));
    }

    fn get(&self, id: InfoHash) -> Answer<Torrent> {
        self.0.torrents.lock().unwrap().get(&id).cloned().ok_or_else(|| RpcError::no_torrent(id))
    }

    /// Does `change` to each torrent that is there. One that is named “locked” cannot be changed.
    fn each(&self, ids: Ids, mut change: impl FnMut(InfoHash)) -> Outcomes {
        let all = || self.0.torrents.lock().unwrap().keys().copied().collect();
        let ids = match ids {
            Ids::All => all(),
            Ids::These(ids) => ids,
        };
        ids.into_iter()
            .map(|id| {
                let result = self.get(id).and_then(|torrent| match torrent.name.as_str() {
                    "locked" => Err(RpcError::new(ErrorKind::Disk, "the disk is read-only; remount it")),
                    _ => {
                        change(id);
                        Ok(())
                    }
                });
                Outcome::new(id, result)
            })
            .collect()
    }

    fn set_state(&self, ids: Ids, state: TorrentState) -> Outcomes {
        self.each(ids, |id| self.0.torrents.lock().unwrap().get_mut(&id).unwrap().state = state)
    }
}

fn unused<T>() -> Answer<T> {
    Err(RpcError::new(ErrorKind::Unsupported, "the stub cannot do this"))
}

impl Api for Stub {
    async fn torrent_add(&self, params: Add) -> Answer<Added> {
        self.note("torrent.add", &params);
        if params.metainfo.as_deref() == Some("ZGJhZGU=") {
            return Err(RpcError::new(ErrorKind::InvalidTorrent, "there is no info dictionary"));
        }
        let new = torrent("ad", "added", TorrentState::Downloading, 0.0);
        let (id, name) = (new.id, new.name.clone());
        let added = self.0.torrents.lock().unwrap().insert(id, new).is_none();
        Ok(Added { id, name, added })
    }

    async fn torrent_list(&self, params: List) -> Answer<TorrentList> {
        self.note("torrent.list", &params);
        let fields = match &params.fields {
            None => Fields::ALL,
            Some(names) => {
                Fields::named(names).map_err(|name| RpcError::new(ErrorKind::InvalidParams, name))?
            }
        };
        let filter = params.filter.unwrap_or_default();
        let text = filter.text.unwrap_or_default().to_lowercase();
        let torrents: Vec<Row> = self
            .0
            .torrents
            .lock()
            .unwrap()
            .values()
            .filter(|torrent| filter.state.is_none_or(|state| torrent.state == state))
            .filter(|torrent| torrent.name.contains(&text) || torrent.id.to_string().starts_with(&text))
            .map(|torrent| Row { torrent: torrent.clone(), fields })
            .collect();
        let total = torrents.len() as u64;
        Ok(TorrentList { revision: 7, torrents, removed: vec![], total })
    }

    async fn torrent_get(&self, params: Id) -> Answer<Torrent> {
        self.get(params.id)
    }

    async fn torrent_files(&self, params: Id) -> Answer<Vec<File>> {
        self.get(params.id)?;
        let file = |index, path: &str| File {
            index,
            path: path.into(),
            size: 5 << 20,
            have: 5 << 19,
            priority: Priority::High,
        };
        Ok(vec![file(0, "a/b.txt"), file(1, "evil\u{1b}[2J.txt")])
    }

    async fn torrent_peers(&self, params: Id) -> Answer<Vec<Peer>> {
        self.get(params.id)?;
        Ok(vec![])
    }

    async fn torrent_trackers(&self, params: Id) -> Answer<Vec<Tracker>> {
        self.get(params.id)?;
        Ok(vec![])
    }

    async fn torrent_pieces(&self, _: Id) -> Answer<Pieces> {
        unused()
    }

    async fn torrent_magnet(&self, params: Id) -> Answer<Magnet> {
        let torrent = self.get(params.id)?;
        Ok(Magnet { magnet: format!("magnet:?xt=urn:btih:{}", torrent.id) })
    }

    async fn torrent_export(&self, params: Id) -> Answer<Export> {
        let torrent = self.get(params.id)?;
        Ok(Export { name: format!("{}.torrent", torrent.name), metainfo: "ZDQ6aW5mb2RlZQ==".into() })
    }

    async fn torrent_pause(&self, params: Many) -> Answer<Outcomes> {
        self.note("torrent.pause", &params);
        Ok(self.set_state(params.ids, TorrentState::Paused))
    }

    async fn torrent_resume(&self, params: Many) -> Answer<Outcomes> {
        Ok(self.set_state(params.ids, TorrentState::Downloading))
    }

    async fn torrent_recheck(&self, params: Many) -> Answer<Outcomes> {
        Ok(self.set_state(params.ids, TorrentState::Checking))
    }

    async fn torrent_announce(&self, params: Many) -> Answer<Outcomes> {
        Ok(self.each(params.ids, |_| ()))
    }

    async fn torrent_remove(&self, params: Remove) -> Answer<Outcomes> {
        self.note("torrent.remove", &params);
        Ok(self.each(params.ids, |id| drop(self.0.torrents.lock().unwrap().remove(&id))))
    }

    async fn torrent_move(&self, params: Move) -> Answer<Outcomes> {
        self.note("torrent.move", &params);
        Ok(self.each(params.ids, |_| ()))
    }

    async fn torrent_set(&self, params: Set) -> Answer<Outcomes> {
        self.note("torrent.set", &params);
        Ok(self.each(params.ids, |_| ()))
    }

    async fn torrent_add_peers(&self, _: AddPeers) -> Answer<Done> {
        unused()
    }

    async fn torrent_ban_peer(&self, _: BanPeer) -> Answer<Done> {
        unused()
    }

    async fn torrent_add_trackers(&self, _: AddTrackers) -> Answer<Done> {
        unused()
    }

    async fn torrent_create(&self, params: Create) -> Answer<Started> {
        self.note("torrent.create", &params);
        Ok(Started { job: 7 })
    }

    /// Runs for ever if it is about “endless”, and else is done when it is asked about for the second time.
    async fn job_get(&self, params: JobId) -> Answer<Job> {
        self.note("job.get", &params);
        let cancelled = self.0.count("job.cancel") > 0;
        let endless =
            self.0.last("torrent.create")["path"].as_str().is_some_and(|path| path.ends_with("endless"));
        let created = Created {
            path: "/there/set.torrent".to_owned(),
            id: InfoHash([0xab; 20]),
            v2_hash: None,
            magnet: "magnet:?xt=urn:btih:abababababababababababababababababababab".to_owned(),
        };
        Ok(match (cancelled, endless || self.0.count("job.get") < 2) {
            (true, _) => Job { job: 7, state: JobState::Cancelled, ..Job::default() },
            (_, true) => Job { job: 7, done: 1, total: 2, ..Job::default() },
            _ => Job { job: 7, state: JobState::Done, created: Some(created), ..Job::default() },
        })
    }

    async fn job_cancel(&self, params: JobId) -> Answer<Job> {
        self.note("job.cancel", &params);
        Ok(Job { job: 7, state: JobState::Cancelled, ..Job::default() })
    }

    async fn strategy_get(&self, params: StrategyGet) -> Answer<StrategyReport> {
        Ok(StrategyReport { id: params.id, strategy: Strategy::default(), origins: Default::default() })
    }

    async fn strategy_set(&self, params: StrategySet) -> Answer<StrategyReport> {
        self.note("strategy.set", &params);
        let strategy = params.patch.over(&Strategy::default());
        Ok(StrategyReport { id: params.id, strategy, origins: Default::default() })
    }

    async fn session_stats(&self, _: Empty) -> Answer<Stats> {
        Ok(Stats { version: "0.1.0".into(), uptime: 3_700, ..Stats::default() })
    }

    async fn session_settings(&self, _: Empty) -> Answer<SettingsReport> {
        let origins = [("port".to_owned(), Origin::Flag)].into();
        Ok(SettingsReport { settings: Default::default(), origins })
    }

    async fn session_set(&self, params: SessionSet) -> Answer<SettingsChanged> {
        self.note("session.set", &params);
        Ok(SettingsChanged {
            changed: params.names().into_iter().map(str::to_owned).collect(),
            after_restart: vec![],
        })
    }

    async fn session_shutdown(&self, params: Empty) -> Answer<Done> {
        self.note("session.shutdown", &params);
        Ok(Done {})
    }

    async fn dht_status(&self, _: Empty) -> Answer<DhtStatus> {
        Ok(DhtStatus::default())
    }

    async fn dht_lookup(&self, _: DhtLookup) -> Answer<DhtLookupResult> {
        unused()
    }

    async fn nat_status(&self, _: Empty) -> Answer<NatStatus> {
        Ok(NatStatus::default())
    }

    /// Everything first; then each torrent gets a quarter further with each item, until it seeds.
    async fn events(&self, pending: PendingSubscriptionSink) -> SubscriptionResult {
        let sink = pending.accept().await?;
        for revision in 8.. {
            let changed = {
                let mut torrents = self.0.torrents.lock().unwrap();
                let all = torrents.values().cloned().collect();
                for torrent in
                    torrents.values_mut().filter(|torrent| torrent.state == TorrentState::Downloading)
                {
                    torrent.progress += 0.25;
                    if torrent.progress >= 1.0 {
                        torrent.state = TorrentState::Seeding;
                    }
                }
                all
            };
            let item = Events { revision, changed, removed: vec![], log: vec![] };
            if sink.send(serde_json::value::to_raw_value(&item)?).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}
