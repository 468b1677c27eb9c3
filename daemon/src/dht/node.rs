//! The node's task: one loop that gives it datagrams, calls and time.

use super::{ToDht, views};
use crate::{session::Shared, shard::ToShard};
use engine::{
    dht::{Action, Announce, Config, Dht, Event, Family, Out, State},
    out::Source,
};
use proto::{
    id::InfoHash,
    rpc::{State as TorrentState, session::DhtLookupResult},
};
use std::{
    collections::{BTreeMap, HashMap},
    future::pending,
    io,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

/// The longest datagram of the DHT, in bytes; longer ones are cut and then no messages.
const MAX_DATAGRAM: usize = 2048;

/// How often the nodes are saved.
const SAVE: Duration = Duration::from_secs(300);

/// How often it is looked whether others know our address while the DHT does not.
const REVIEW: Duration = Duration::from_secs(60);

/// How often the list of torrents is looked at, at the most.
const PACE: Duration = Duration::from_millis(100);

/// How often the bootstrap hosts are asked for, at the most.
const BOOTSTRAP_PAUSE: Duration = Duration::from_secs(15);

/// Addresses of one bootstrap host that are used.
const MAX_ADDRESSES: usize = 4;

/// What the task begins with.
pub(crate) struct Start {
    pub(crate) v4: Option<Arc<UdpSocket>>,
    pub(crate) v6: Option<Arc<UdpSocket>>,
    /// What an earlier run knew.
    pub(crate) state: Vec<u8>,
    /// Hosts to get in by.
    pub(crate) bootstrap: Vec<String>,
}

/// Runs the node until it is told to stop.
pub(crate) async fn run(start: Start, shared: Arc<Shared>, mut messages: mpsc::Receiver<ToDht>) {
    let config =
        Config { v4: start.v4.is_some(), v6: start.v6.is_some(), seed: shared.seed(), ..Config::default() };
    let state = State::from_bytes(&start.state);
    let (contacts, mut resolved) = mpsc::channel(1);
    let dht = Dht::new(shared.clock.now(), config, &state);
    let mut node = Node {
        dht,
        shared: Arc::clone(&shared),
        v4: start.v4,
        v6: start.v6,
        out: Vec::new(),
        wanted: BTreeMap::new(),
        revision: None,
        lookups: HashMap::new(),
        next_lookup: 0,
        bootstrap: start.bootstrap,
        contacts,
        asked_hosts: None,
    };
    let (v4, v6) = (node.v4.clone(), node.v6.clone());
    let (mut buffer4, mut buffer6) = ([0; MAX_DATAGRAM], [0; MAX_DATAGRAM]);
    let mut saving = tokio::time::interval_at(Instant::now() + SAVE, SAVE);
    let mut reviewing = tokio::time::interval_at(Instant::now() + REVIEW, REVIEW);
    let mut look = Instant::now();
    loop {
        let due = node.dht.deadline().map(|(at, _)| shared.clock.std(at));
        tokio::select! {
            (len, from) = receive(v4.as_deref(), &mut buffer4) => node.datagram(from, &buffer4[..len]),
            (len, from) = receive(v6.as_deref(), &mut buffer6) => node.datagram(from, &buffer6[..len]),
            message = messages.recv() => match message {
                Some(ToDht::Stop(done)) => {
                    node.save();
                    // Whoever asked may have gone.
                    let _ = done.send(());
                    return;
                }
                Some(message) => node.told(message),
                None => break,
            },
            Some(addrs) = resolved.recv() => node.event(Event::Contacts(&addrs)),
            () = at(due) => node.wake(),
            () = changed(&shared, look) => {
                node.look_at_torrents();
                look = Instant::now() + PACE;
            }
            _ = saving.tick() => node.save(),
            _ = reviewing.tick() => node.review(),
        }
    }
    node.save();
}

async fn at(due: Option<std::time::Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => pending().await,
    }
}

/// Resolves when the list of torrents has changed, not before `after`.
async fn changed(shared: &Shared, after: Instant) {
    shared.registry.changed().await;
    sleep_until(after).await;
}

/// One datagram. Errors (an ICMP answer to an earlier one, say) are of no interest.
async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> (usize, SocketAddr) {
    let Some(socket) = socket else { return pending().await };
    loop {
        match socket.recv_from(buffer).await {
            Ok(received) => return received,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => {
                tracing::debug!("receiving a datagram: {error}");
                tokio::time::sleep(PACE).await;
            }
        }
    }
}

struct Node {
    dht: Dht,
    shared: Arc<Shared>,
    v4: Option<Arc<UdpSocket>>,
    v6: Option<Arc<UdpSocket>>,
    out: Out,
    /// The torrents that the node was told of, and whether as a seed.
    wanted: BTreeMap<InfoHash, bool>,
    revision: Option<u64>,
    lookups: HashMap<u64, oneshot::Sender<DhtLookupResult>>,
    next_lookup: u64,
    bootstrap: Vec<String>,
    contacts: mpsc::Sender<Vec<SocketAddr>>,
    asked_hosts: Option<Instant>,
}

impl Node {
    fn event(&mut self, event: Event<'_>) {
        let mut out = std::mem::take(&mut self.out);
        self.dht.on(self.shared.clock.now(), event, &mut out);
        self.carry_out(out);
    }

    fn wake(&mut self) {
        let mut out = std::mem::take(&mut self.out);
        self.dht.wake(self.shared.clock.now(), &mut out);
        self.carry_out(out);
    }

    /// A datagram; what is no bencoded dictionary by its first byte is for somebody else.
    fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) {
        if bytes.first() == Some(&b'd') && self.shared.allows(from.ip()) {
            self.event(Event::Datagram { from, bytes });
        }
    }

    fn carry_out(&mut self, mut out: Out) {
        for action in out.drain(..) {
            match action {
                Action::Send { to, bytes } => self.send(to, &bytes),
                Action::Peers { info_hash, addrs } => self.found(info_hash, addrs),
                Action::NeedContacts => self.ask_hosts(),
                Action::External(addr) => self.shared.seen_as(addr.ip(), DHT),
                Action::Looked { job, report } => {
                    if let Some(answer) = self.lookups.remove(&job) {
                        // Whoever asked may have gone.
                        let _ = answer.send(views::report(report));
                    }
                }
                // Nothing here asks for items so far: they are served to others.
                Action::Got { .. } | Action::Stored { .. } => {}
            }
        }
        self.out = out;
    }

    /// Sends a datagram, or drops it where the network would have: the node asks again.
    fn send(&self, to: SocketAddr, bytes: &[u8]) {
        let socket = if to.is_ipv4() { &self.v4 } else { &self.v6 };
        if let Some(socket) = socket {
            let _ = socket.try_send_to(bytes, to);
        }
    }

    /// Peers for a torrent. When its shard is busy they are left out: they come again.
    fn found(&self, id: InfoHash, addrs: Vec<SocketAddr>) {
        let Some(shard) = self.shared.shard_of(id) else { return };
        shard.try_send(ToShard::Call(
            id,
            Box::new(move |_, live| {
                if let Some(live) = live.filter(|live| !live.is_private()) {
                    live.add_peers(Source::Dht, addrs);
                }
            }),
        ));
    }

    /// Resolves the bootstrap hosts, in a task of its own.
    fn ask_hosts(&mut self) {
        let recently = self.asked_hosts.is_some_and(|at| at.elapsed() < BOOTSTRAP_PAUSE);
        if recently || self.bootstrap.is_empty() {
            return;
        }
        self.asked_hosts = Some(Instant::now());
        let (hosts, contacts) = (self.bootstrap.clone(), self.contacts.clone());
        tokio::spawn(async move {
            let lookups = hosts.iter().map(|host| async move {
                match tokio::net::lookup_host(host).await {
                    Ok(addrs) => addrs.take(MAX_ADDRESSES).collect::<Vec<_>>(),
                    Err(error) => {
                        tracing::debug!("DHT bootstrap host {host}: {error}");
                        Vec::new()
                    }
                }
            });
            let addrs = futures_util::future::join_all(lookups).await.concat();
            // The node may have ended.
            let _ = contacts.send(addrs).await;
        });
    }

    fn told(&mut self, message: ToDht) {
        match message {
            ToDht::Status(answer) => {
                let status = self.dht.status(self.shared.clock.now());
                let _ = answer.send(views::status(&status));
            }
            ToDht::Lookup(target, answer) => {
                let job = self.next_lookup;
                self.next_lookup += 1;
                self.lookups.insert(job, answer);
                self.event(Event::Lookup { job, info_hash: target });
            }
            ToDht::Contact(addr) => self.event(Event::Contacts(&[addr])),
            // The loop ends by it.
            ToDht::Stop(_) => {}
        }
    }

    /// Tells the node of torrents that began, ended or became complete.
    fn look_at_torrents(&mut self) {
        let changes = self.shared.registry.since(self.revision);
        self.revision = Some(changes.revision);
        for torrent in changes.changed {
            let active = matches!(
                torrent.state,
                TorrentState::Metadata | TorrentState::Downloading | TorrentState::Seeding
            );
            let seed = torrent.state == TorrentState::Seeding;
            if !active || torrent.private {
                self.unwant(torrent.id);
            } else if self.wanted.insert(torrent.id, seed) != Some(seed) {
                let announce = Some(Announce { port: Some(self.shared.announced_port()), seed });
                self.event(Event::Want { info_hash: torrent.id, announce });
            }
        }
        changes.removed.into_iter().for_each(|id| self.unwant(id));
        self.wake();
    }

    fn unwant(&mut self, id: InfoHash) {
        if self.wanted.remove(&id).is_some() {
            self.event(Event::Unwant { info_hash: id });
        }
    }

    /// Tells the node our address by what trackers and peers say, as long as other nodes have not told it.
    fn review(&mut self) {
        let port = self.shared.announced_port();
        for node in self.dht.status(self.shared.clock.now()).nodes {
            let told = self.shared.external_of(node.family == Family::V4, &[DHT]);
            if let Some(ip) = told.filter(|_| node.external.is_none()) {
                self.event(Event::External(SocketAddr::new(ip, port)));
            }
        }
    }

    fn save(&self) {
        let state = self.dht.export(self.shared.clock.now()).to_bytes();
        if let Err(error) = self.shared.store.put_dht(&state) {
            tracing::warn!("cannot save the DHT's nodes: {error}");
        }
    }
}

/// The witness under which all DHT nodes together count once.
const DHT: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(255, 255, 255, 254));
