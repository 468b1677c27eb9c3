//! Local discovery (BEP 14) on the network: says which torrents are here, and hears who else has them.

use crate::{random, session::Shared, shard::ToShard};
use engine::out::Source;
use proto::{
    id::InfoHash,
    lsd::{Announcement, GROUP_V4, GROUP_V6, MAX_MESSAGE, MAX_TORRENTS, PORT},
    rpc::State,
};
use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::net::UdpSocket;

/// How often a torrent is announced (BEP 14: not more than once in five minutes).
const INTERVAL: Duration = Duration::from_secs(5 * 60);

/// How often something new is looked for; also the shortest time between two messages, so that a thousand torrents
/// trickle.
const PACE: Duration = Duration::from_secs(2);

/// Messages of one host that are believed in [`WINDOW`]: 20 messages of 20 torrents each.
const MAX_PER_HOST: u32 = 20;
const WINDOW: Duration = Duration::from_secs(60);

/// Hosts that are counted at a time. A local network has no more.
const MAX_HOSTS: usize = 1_000;

/// Speaks and listens until btd stops. One family may be missing on the machine.
pub(crate) async fn run(shared: Arc<Shared>) {
    let cookie = format!("btd-{:016x}", random::number());
    let v4 = join_v4(&shared).map(Arc::new);
    let v6 = join_v6(&shared).map(Arc::new);
    for (family, socket) in [("IPv4", &v4), ("IPv6", &v6)] {
        if let Err(error) = socket {
            tracing::debug!("no local discovery over {family}: {error}");
        }
    }
    let listeners = [v4.as_ref().ok().cloned(), v6.as_ref().ok().cloned()];
    for socket in listeners.into_iter().flatten() {
        tokio::spawn(listen(socket, Arc::clone(&shared), cookie.clone()));
    }
    let groups = [
        (v4.ok(), SocketAddr::from((GROUP_V4, PORT)), false),
        (v6.ok(), SocketAddr::from((GROUP_V6, PORT)), true),
    ];
    let mut announced: BTreeMap<InfoHash, Instant> = BTreeMap::new();
    loop {
        tokio::time::sleep(PACE).await;
        if !shared.settings().lsd {
            continue;
        }
        let torrents = due(&shared, &mut announced);
        if torrents.is_empty() {
            continue;
        }
        let message = Announcement { port: shared.announced_port(), torrents, cookie: Some(cookie.clone()) };
        for (socket, group, v6) in &groups {
            if let Some(socket) = socket {
                // A network that is down is tried again in five minutes.
                let _ = socket.send_to(message.encode(*v6).as_bytes(), group).await;
            }
        }
    }
}

/// The torrents whose turn it is, as many as one message takes.
fn due(shared: &Shared, announced: &mut BTreeMap<InfoHash, Instant>) -> Vec<InfoHash> {
    let now = Instant::now();
    let active = |state| matches!(state, State::Metadata | State::Downloading | State::Seeding);
    let torrents = shared.registry.all();
    let wanted = torrents.iter().filter(|torrent| active(torrent.state) && !torrent.private).map(|t| t.id);
    let due: Vec<_> = wanted
        .filter(|id| announced.get(id).is_none_or(|at| now - *at >= INTERVAL))
        .take(MAX_TORRENTS)
        .collect();
    announced.retain(|_, at| now - *at < INTERVAL);
    announced.extend(due.iter().map(|id| (*id, now)));
    due
}

async fn listen(socket: Arc<UdpSocket>, shared: Arc<Shared>, cookie: String) {
    let mut heard: HashMap<IpAddr, u32> = HashMap::new();
    let mut window = Instant::now();
    let mut buffer = [0; MAX_MESSAGE];
    loop {
        let Ok((len, from)) = socket.recv_from(&mut buffer).await else {
            tokio::time::sleep(PACE).await;
            continue;
        };
        if window.elapsed() >= WINDOW {
            heard.clear();
            window = Instant::now();
        }
        if heard.len() >= MAX_HOSTS || !shared.settings().lsd {
            continue;
        }
        let messages = heard.entry(from.ip()).or_default();
        *messages += 1;
        if *messages > MAX_PER_HOST {
            continue;
        }
        let Some(message) = Announcement::parse(&buffer[..len]) else { continue };
        if message.cookie.as_ref() == Some(&cookie) {
            continue;
        }
        let peer = SocketAddr::new(from.ip(), message.port);
        message.torrents.into_iter().for_each(|id| tell(&shared, id, peer));
    }
}

/// A neighbour has this torrent. If its shard is busy, the neighbour says so again.
fn tell(shared: &Shared, id: InfoHash, peer: SocketAddr) {
    let Some(shard) = shared.shard_of(id) else { return };
    tracing::debug!(torrent = %id, %peer, "a neighbour has it");
    shard.try_send(ToShard::Call(
        id,
        Box::new(move |_, live| {
            if let Some(live) = live.filter(|live| !live.is_private()) {
                live.add_peers(Source::Lsd, vec![peer]);
            }
        }),
    ));
}

fn socket(domain: socket2::Domain) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
    // Several programs on one machine listen on this port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// With `--bind`, on the network of that address, and from it; else on the one that the system chooses.
fn join_v4(shared: &Shared) -> io::Result<UdpSocket> {
    let ours = match shared.sockets.bound(true)? {
        Some(IpAddr::V4(ip)) => ip,
        _ => Ipv4Addr::UNSPECIFIED,
    };
    let socket = socket(socket2::Domain::IPV4)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
    socket.join_multicast_v4(&GROUP_V4, &ours)?;
    socket.set_multicast_if_v4(&ours)?;
    socket.set_multicast_loop_v4(true)?;
    UdpSocket::from_std(socket.into())
}

fn join_v6(shared: &Shared) -> io::Result<UdpSocket> {
    shared.sockets.bound(false)?;
    let socket = socket(socket2::Domain::IPV6)?;
    socket.set_only_v6(true)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)).into())?;
    socket.join_multicast_v6(&GROUP_V6, 0)?;
    socket.set_multicast_loop_v6(true)?;
    UdpSocket::from_std(socket.into())
}
