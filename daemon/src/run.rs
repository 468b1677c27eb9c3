//! One run of the daemon: everything started in order, and stopped in the other.

use crate::{
    clock::Clock,
    dht::{self, DhtHandle},
    gate, http,
    log::{self, Logs},
    lsd,
    net::Sockets,
    notify::{self, Watchdog},
    random,
    session::{Parts, Session, Shared},
    settings::{self, Gathered},
    shard,
    storage::{Storage, StorageConfig},
    store::{Loaded, Store},
    trackers::{self, Trackers},
};
use anyhow::Context;
use proto::{id::PeerId, rpc::Settings};
use std::{net::SocketAddr, path::Path, process, sync::Arc};
use tokio::{
    net::TcpListener,
    runtime::Builder,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Our part of the peer id (BEP 20, Azureus style): client and version; twelve random characters follow.
const PEER_ID_PREFIX: &[u8; 8] = b"-BD0100-";

/// Shards at most. One carries several GB/s and thousands of connections; more of them than cores only take turns.
const MAX_SHARDS: usize = 8;

/// What the control API is served with.
struct Door {
    token: http::Token,
    hosts: Vec<String>,
    tls: Option<Arc<rustls::ServerConfig>>,
}

/// Runs btd until it is told to stop.
pub(crate) fn run(gathered: Gathered) -> anyhow::Result<()> {
    // Fails only if there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let logs = log::init(&gathered.log_filter(), gathered.start.log_json).map_err(anyhow::Error::msg)?;
    gathered.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let (store, loaded) = Store::open(&gathered.state_dir)?;
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let (cert, key) = (&gathered.start.rpc_cert, &gathered.start.rpc_key);
    let door = Door {
        token: http::Token::settle(&gathered.state_dir, gathered.token.as_deref())?,
        hosts: gathered.start.rpc_host.clone(),
        tls: if cert.is_empty() { None } else { Some(http::load_tls(Path::new(cert), Path::new(key))?) },
    };
    let (options, warnings) = gathered.settle(loaded.settings.as_ref())?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    logs.set_filter(&options.log_filter()).map_err(anyhow::Error::msg)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(options, store, loaded, logs, door))
}

async fn serve(
    options: settings::Live,
    store: Store,
    loaded: Loaded,
    logs: Logs,
    door: Door,
) -> anyhow::Result<()> {
    let settings = options.settings().clone();
    let rpc = bind_rpc(settings.rpc).await?;
    let web = trackers::http_client(settings.bind.first().copied())?;
    let (shared, listeners) = start(&settings, &options, store, web.clone())?;
    let session = Session::new(Arc::clone(&shared), options, web, logs);
    let dht_state = loaded.dht.clone().unwrap_or_default();
    shared.load_filter().await.map_err(anyhow::Error::msg)?;
    session.restore(loaded).await;
    for listener in listeners {
        tokio::spawn(gate::listen(listener, Arc::clone(&shared)));
    }
    start_discovery(&settings, &shared, dht_state)?;
    tokio::spawn(session.clone().keep_queue());

    let (stop_http, http_stopped) = watch::channel(());
    let http = tokio::spawn(serve_http(rpc, &session, door, http_stopped)?);
    notify::ready("serving");
    tokio::select! {
        signal = stop_signal() => tracing::info!("stopping on {}", signal?),
        () = session.shutdown_asked() => tracing::info!("stopping, as asked over the control API"),
    }
    notify::stopping();
    tokio::spawn(force_on_second_signal());
    session.stop().await;
    drop(stop_http);
    http.await??;
    tokio::task::spawn_blocking(move || shared.storage.stop()).await?;
    Ok(())
}

/// The session's common parts, its listeners and its shards.
fn start(
    settings: &Settings,
    options: &settings::Live,
    store: Store,
    web: reqwest::Client,
) -> anyhow::Result<(Arc<Shared>, Vec<TcpListener>)> {
    let clock = Clock::start();
    let sockets = Sockets::new(settings.bind.clone());
    let listeners = if settings.tcp { sockets.listeners(settings.port)? } else { Vec::new() };
    let storage = Storage::start(StorageConfig {
        cache: usize::try_from(settings.cache.0).unwrap_or(usize::MAX),
        open_files: settings.open_files as usize,
        preallocate: settings.preallocate,
        ..StorageConfig::default()
    })
    .context("cannot start a thread")?;
    let shared = Shared::new(Parts {
        clock,
        peer_id: peer_id(),
        trackers: Trackers::new(clock, sockets.clone(), web),
        sockets,
        store,
        storage,
        options,
    });
    let listening: Vec<SocketAddr> = listeners.iter().filter_map(|l| l.local_addr().ok()).collect();
    listening.iter().for_each(|addr| tracing::info!("listening for peers on {addr}"));
    // Set once, here.
    let _ = shared.port.set(listening.first().map_or(settings.port, SocketAddr::port));
    let _ = shared.listening.set(listening);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut watchdog = Watchdog::default();
    let shards = (0..cores.min(MAX_SHARDS)).map(|index| {
        let name = format!("shard-{index}");
        let beat = watchdog.beat(name.clone());
        shard::start(name, Arc::clone(&shared), beat)
    });
    shared.set_shards(shards.collect::<Result<_, _>>().context("cannot start a thread")?);
    tokio::spawn(watchdog.run());
    Ok((shared, listeners))
}

/// The ways to find peers without a tracker: the DHT and local discovery.
fn start_discovery(settings: &Settings, shared: &Arc<Shared>, state: Vec<u8>) -> anyhow::Result<()> {
    tokio::spawn(lsd::run(Arc::clone(shared)));
    if !settings.dht {
        tracing::info!("the DHT is off; start with --dht to find peers without a tracker");
        return Ok(());
    }
    let port = if settings.dht_port == 0 {
        shared.port.get().copied().unwrap_or(settings.port)
    } else {
        settings.dht_port
    };
    let bound = |v4| shared.sockets.udp(v4, port).map(Arc::new);
    let (v4, v6) = (bound(true), bound(false));
    if let (Err(error), Err(_)) = (&v4, &v6) {
        anyhow::bail!("cannot use UDP port {port} for the DHT: {error}. Choose another with --dht-port");
    }
    let (handle, messages) = DhtHandle::new(port);
    shared.set_dht(handle);
    let start = dht::Start { v4: v4.ok(), v6: v6.ok(), state, bootstrap: settings.dht_bootstrap.clone() };
    tokio::spawn(dht::run(start, Arc::clone(shared), messages));
    Ok(())
}

async fn bind_rpc(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.with_context(|| {
        format!("cannot serve the control API on {addr}: choose another address or port with --rpc")
    })
}

/// The control API and the page, as a task. The page's address is printed for a person to open.
fn serve_http(
    listener: TcpListener,
    session: &Session,
    door: Door,
    mut stopped: watch::Receiver<()>,
) -> anyhow::Result<impl Future<Output = std::io::Result<()>> + Send + 'static> {
    let module = proto::rpc::module(session.clone())?;
    let url = http::login_url(listener.local_addr()?, door.tls.is_some(), &door.token);
    eprintln!("btd is ready. Its page: {url}");
    let config = http::Config { token: door.token, hosts: door.hosts, tls: door.tls };
    let metrics = {
        let session = session.clone();
        Arc::new(move || session.metrics())
    };
    Ok(http::serve(listener, module, config, metrics, async move {
        // The sender is dropped when btd stops.
        let _ = stopped.changed().await;
    }))
}

async fn stop_signal() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

/// While btd stops, a second signal ends it at once.
async fn force_on_second_signal() {
    if let Ok(name) = stop_signal().await {
        eprintln!("btd: {name} again: ended at once");
        process::exit(1);
    }
}

fn peer_id() -> PeerId {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut id = [0; proto::id::ID_LEN];
    let (prefix, rest) = id.split_at_mut(PEER_ID_PREFIX.len());
    prefix.copy_from_slice(PEER_ID_PREFIX);
    for (byte, random) in rest.iter_mut().zip(random::bytes::<12>()) {
        *byte = ALPHABET[usize::from(random & 63)];
    }
    PeerId(id)
}
