//! What every thread of btd may see. Nothing here decides anything about a torrent: its shard does.

use super::registry::Registry;
use crate::{
    clock::Clock,
    dht::DhtHandle,
    filter::Filter,
    net::Sockets,
    pump::meter::Meter,
    settings,
    shard::ShardHandle,
    storage::{Storage, TorrentKey},
    store::{Store, StoreError, TorrentRecord},
    trackers::Trackers,
};
use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use proto::{
    bitfield::Bitfield,
    id::{InfoHash, PeerId},
    rpc::Settings,
    strategy::Strategy,
    wire::Caps,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Witnesses of our external address that are remembered.
const MAX_WITNESSES: usize = 256;

/// So many must agree on our address before it is believed: a single one may lie.
const MIN_WITNESSES: usize = 2;

/// The session, as all its threads see it.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) peer_id: PeerId,
    pub(crate) sockets: Sockets,
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) trackers: Trackers,
    pub(crate) upload: Meter,
    pub(crate) download: Meter,
    /// The port that peers reach, once it is bound.
    pub(crate) port: OnceLock<u16>,
    /// Where bytes go to and come from.
    pub(crate) storage: Storage,
    options: RwLock<Options>,
    next_torrent: AtomicU64,
    /// Payload bytes read for peers and written, since the start.
    pub(crate) disk_read: AtomicU64,
    pub(crate) disk_written: AtomicU64,
    /// What removed torrents had moved, and what all had moved when btd started: down, up.
    past: Mutex<(u64, u64)>,
    start: OnceLock<(u64, u64)>,
    /// The addresses that peers may connect to.
    pub(crate) listening: OnceLock<Vec<SocketAddr>>,
    shards: OnceLock<Vec<ShardHandle>>,
    dht: OnceLock<DhtHandle>,
    places: Places,
    half_open: Places,
    witnesses: Mutex<BTreeMap<IpAddr, IpAddr>>,
    banned: Mutex<BTreeSet<IpAddr>>,
    filter: ArcSwap<Filter>,
    incoming: AtomicBool,
}

/// The settings in force.
#[derive(Clone)]
struct Options {
    settings: Arc<Settings>,
    strategy: Arc<Strategy>,
    download_dir: Arc<Path>,
}

impl Options {
    fn of(options: &settings::Live) -> Self {
        Self {
            settings: Arc::new(options.settings().clone()),
            strategy: Arc::new(options.strategy().clone()),
            download_dir: options.download_dir().into(),
        }
    }
}

/// A number of places that can change while they are taken.
struct Places {
    free: Arc<Semaphore>,
    size: Mutex<usize>,
}

impl Places {
    fn new(size: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(size)), size: Mutex::new(size) }
    }

    /// Changes the number. Fewer places than are taken: those that are given back first are not given out again.
    fn resize(&self, new: usize) {
        let mut size = self.size.lock();
        if new > *size {
            self.free.add_permits(new - *size);
            *size = new;
        } else {
            *size -= self.free.forget_permits(*size - new);
        }
    }

    fn taken(&self) -> usize {
        self.size.lock().saturating_sub(self.free.available_permits())
    }
}

/// What [`Shared`] is made of.
pub(crate) struct Parts<'a> {
    pub(crate) clock: Clock,
    pub(crate) peer_id: PeerId,
    pub(crate) sockets: Sockets,
    pub(crate) store: Store,
    pub(crate) storage: Storage,
    pub(crate) trackers: Trackers,
    pub(crate) options: &'a settings::Live,
}

impl Shared {
    pub(crate) fn new(parts: Parts<'_>) -> Arc<Self> {
        let Parts { clock, peer_id, sockets, store, storage, trackers, options } = parts;
        let settings = options.settings();
        Arc::new(Self {
            clock,
            peer_id,
            sockets,
            store,
            storage,
            trackers,
            registry: Registry::default(),
            upload: Meter::new(settings.upload_limit.0),
            download: Meter::new(settings.download_limit.0),
            port: OnceLock::new(),
            places: Places::new(settings.max_connections as usize),
            half_open: Places::new(settings.half_open as usize),
            options: RwLock::new(Options::of(options)),
            next_torrent: AtomicU64::new(0),
            disk_read: AtomicU64::new(0),
            disk_written: AtomicU64::new(0),
            past: Mutex::default(),
            start: OnceLock::new(),
            listening: OnceLock::new(),
            shards: OnceLock::new(),
            dht: OnceLock::new(),
            witnesses: Mutex::default(),
            banned: Mutex::default(),
            filter: ArcSwap::default(),
            incoming: AtomicBool::new(false),
        })
    }

    /// Names the shards, once they are started.
    pub(crate) fn set_shards(&self, shards: Vec<ShardHandle>) {
        // Called once, by whoever started them.
        let _ = self.shards.set(shards);
    }

    /// All shards.
    pub(crate) fn shards(&self) -> &[ShardHandle] {
        self.shards.get().map_or(&[], Vec::as_slice)
    }

    /// The shard that a torrent belongs to, known or not.
    pub(crate) fn home_of(&self, id: InfoHash) -> Option<&ShardHandle> {
        let shards = self.shards();
        let at = u64::from_le_bytes(std::array::from_fn(|i| id.0[i])) % (shards.len().max(1) as u64);
        shards.get(usize::try_from(at).unwrap_or(0))
    }

    /// The shard of a torrent that is here.
    pub(crate) fn shard_of(&self, id: InfoHash) -> Option<ShardHandle> {
        self.registry.contains(id).then(|| self.home_of(id).cloned())?
    }

    /// The settings in force.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.options.read().settings)
    }

    /// The session's strategy in force.
    pub(crate) fn strategy(&self) -> Arc<Strategy> {
        Arc::clone(&self.options.read().strategy)
    }

    /// Where downloads go that are given no other folder.
    pub(crate) fn download_dir(&self) -> PathBuf {
        self.options.read().download_dir.to_path_buf()
    }

    /// Puts new settings in force, as far as they are this room's business.
    pub(crate) fn set_options(&self, options: &settings::Live) {
        let settings = options.settings();
        self.upload.set(settings.upload_limit.0);
        self.download.set(settings.download_limit.0);
        self.places.resize(settings.max_connections as usize);
        self.half_open.resize(settings.half_open as usize);
        *self.options.write() = Options::of(options);
    }

    /// A name for a torrent towards storage, never given twice.
    pub(crate) fn torrent_key(&self) -> TorrentKey {
        TorrentKey(self.next_torrent.fetch_add(1, Ordering::Relaxed))
    }

    /// Bytes free where new downloads go.
    pub(crate) fn free_space(&self) -> Option<u64> {
        let dir = self.download_dir();
        // The folder itself is made with the first download.
        let there = dir.ancestors().find(|dir| dir.exists())?;
        let fs = rustix::fs::statvfs(there).ok()?;
        Some(fs.f_bavail.saturating_mul(fs.f_frsize))
    }

    /// What we say in a handshake.
    pub(crate) fn caps(&self, private: bool) -> Caps {
        Caps { fast: true, extended: true, dht: self.settings().dht && !private }
    }

    /// A place for an incoming connection, unless they are all taken or the address is banned.
    pub(crate) fn place_for(&self, addr: SocketAddr) -> Option<OwnedSemaphorePermit> {
        self.incoming.store(true, Ordering::Relaxed);
        if !self.allows(addr.ip()) {
            return None;
        }
        Arc::clone(&self.places.free).try_acquire_owned().ok()
    }

    /// A place for a connection that we dial, once fewer than `half_open` are being opened. `None`: all are taken.
    /// The second permit is for the length of the dial.
    pub(crate) async fn place_for_dial(&self) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let dial = Arc::clone(&self.half_open.free).acquire_owned().await.ok()?;
        let place = Arc::clone(&self.places.free).try_acquire_owned().ok()?;
        Some((place, dial))
    }

    /// Whether an address may be connected at all.
    pub(crate) fn allows(&self, ip: IpAddr) -> bool {
        !self.filter.load().blocks(ip) && !self.banned.lock().contains(&ip)
    }

    /// Reads the blocklist that the settings name, if they name one. On an error the old one stays in force.
    pub(crate) async fn load_filter(&self) -> Result<(), String> {
        let path = self.settings().ip_filter.clone();
        if path.is_empty() {
            self.filter.store(Arc::default());
            return Ok(());
        }
        let shown = path.clone();
        let loaded = tokio::task::spawn_blocking(move || Filter::load(Path::new(&path))).await;
        let filter = loaded
            .map_err(|_| "reading the blocklist failed".to_owned())?
            .map_err(|error| format!("cannot read the blocklist {shown}: {error}"))?;
        tracing::info!(
            "{} address ranges of {shown} are blocked; {} lines were no ranges",
            filter.len(),
            filter.skipped
        );
        self.filter.store(Arc::new(filter));
        Ok(())
    }

    /// Refuses an address until btd stops.
    pub(crate) fn ban(&self, ip: IpAddr) {
        self.banned.lock().insert(ip);
    }

    /// How many connections there are, how many are being opened, and how many addresses are banned.
    pub(crate) fn connections(&self) -> (usize, usize, usize) {
        (self.places.taken(), self.half_open.taken(), self.banned.lock().len())
    }

    /// The port that trackers, the DHT and peers are told.
    pub(crate) fn announced_port(&self) -> u16 {
        match (self.settings().announce_port, self.port.get()) {
            (0, Some(port)) => *port,
            (port, _) => port,
        }
    }

    /// A seed for a machine's random choices.
    pub(crate) fn seed(&self) -> u64 {
        crate::random::number()
    }

    /// Whether anyone ever connected to us.
    pub(crate) fn was_reached(&self) -> bool {
        self.incoming.load(Ordering::Relaxed)
    }

    /// Someone told us our address as it sees it.
    pub(crate) fn seen_as(&self, ip: IpAddr, by: IpAddr) {
        let mut witnesses = self.witnesses.lock();
        if witnesses.len() >= MAX_WITNESSES && !witnesses.contains_key(&by) {
            witnesses.pop_first();
        }
        witnesses.insert(by, ip);
    }

    /// Our addresses as others see them, with how many said so.
    pub(crate) fn external(&self) -> BTreeMap<IpAddr, u32> {
        let mut votes = BTreeMap::new();
        self.witnesses.lock().values().for_each(|ip| *votes.entry(*ip).or_insert(0) += 1);
        votes
    }

    /// Where others may tell us to find ourselves: the addresses we listen on, and our outer ones with our port. The outer
    /// ones come first, since they decide about the canonical priority of peers (BEP 40).
    pub(crate) fn own_addrs(&self) -> Vec<SocketAddr> {
        let port = self.announced_port();
        let believed = |v4| self.external_of(v4, &[]).map(|ip| SocketAddr::new(ip, port));
        let listening = self.listening.get().into_iter().flatten().filter(|addr| !addr.ip().is_unspecified());
        [true, false].into_iter().filter_map(believed).chain(listening.copied()).collect()
    }

    /// Our outer address of one family, if several witnesses agree and no other address has as many. The witnesses in
    /// `but` do not count.
    pub(crate) fn external_of(&self, v4: bool, but: &[IpAddr]) -> Option<IpAddr> {
        let mut votes: BTreeMap<IpAddr, usize> = BTreeMap::new();
        let witnesses = self.witnesses.lock();
        let heard = witnesses.iter().filter(|(by, ip)| !but.contains(by) && ip.is_ipv4() == v4);
        heard.for_each(|(_, ip)| *votes.entry(*ip).or_default() += 1);
        let best = votes.iter().max_by_key(|(_, count)| **count).map(|(ip, count)| (*ip, *count))?;
        let rival = votes.iter().any(|(ip, count)| *ip != best.0 && *count == best.1);
        (best.1 >= MIN_WITNESSES && !rival && !proto::krpc::is_local(best.0)).then_some(best.0)
    }

    /// The way to the DHT node; one that leads nowhere while there is none.
    pub(crate) fn dht(&self) -> DhtHandle {
        self.dht.get().cloned().unwrap_or_default()
    }

    /// Names the DHT node, once it runs.
    pub(crate) fn set_dht(&self, dht: DhtHandle) {
        // Called once, by whoever started it.
        let _ = self.dht.set(dht);
    }

    /// A torrent is removed: what it moved stays counted.
    pub(crate) fn add_past(&self, record: &TorrentRecord) {
        let mut past = self.past.lock();
        past.0 += record.downloaded;
        past.1 += record.uploaded;
    }

    /// What removed torrents had moved in this run and before: down, up.
    pub(crate) fn past(&self) -> (u64, u64) {
        *self.past.lock()
    }

    /// What all torrents had moved before this run: down, up.
    pub(crate) fn totals_at_start(&self) -> (u64, u64) {
        self.start.get().copied().unwrap_or_default()
    }

    /// Notes what all torrents had moved before this run.
    pub(crate) fn set_totals_at_start(&self, down: u64, up: u64) {
        // Called once, when the records are read.
        let _ = self.start.set((down, up));
    }

    /// Records a torrent; a failure is logged, since the next save tries again.
    pub(crate) fn put_torrent(&self, record: &TorrentRecord) {
        log_failure("a torrent's record", self.store.put_torrent(record));
    }

    /// Records the held pieces.
    pub(crate) fn put_have(&self, id: InfoHash, have: &Bitfield) {
        log_failure("a torrent's pieces", self.store.put_have(id, have));
    }

    /// Records peers for the next run.
    pub(crate) fn put_swarm(&self, id: InfoHash, peers: &[SocketAddr]) {
        log_failure("a torrent's peers", self.store.put_swarm(id, peers));
    }
}

fn log_failure(what: &str, result: Result<(), StoreError>) {
    if let Err(error) = result {
        tracing::error!("cannot save {what}: {error}");
    }
}
