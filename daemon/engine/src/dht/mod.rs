//! A node of the DHT (BEP 5), in both families (BEP 32), as one state machine.
//!
//! [`Dht`] owns one `Overlay` for each family (id, routing table), the queries under way, the lookups, what is stored for
//! others, and the accounts of strangers. It routes events to them and puts what they want sent into [`Out`]. Time comes
//! in with every call; all randomness comes from the seed it was made with.
//!
//! ```text
//! datagram ─→ answer  ─→ queries ─→ lookup ─→ next queries, Peers, announcements
//!          └→ query   ─→ guard   ─→ serve  ─→ table, stores, answer
//! wake     ─→ timeouts, torrents that are due, pings, refreshes
//! ```

mod guard;
mod lookup;
mod overlay;
mod queries;
mod run;
mod serve;
mod state;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod wants;

pub use lookup::Hop;
pub use overlay::Family;
pub use run::Report;
pub use state::{LookupStatus, NodeStatus, State, Status};
pub use table::BucketStatus;
pub use wants::Announce;

use guard::Guard;
use overlay::Overlay;
use proto::{
    id::InfoHash,
    krpc::{Ask, Body, DecodeError, Item, Message, NodeId, NodeInfo, Query, Refusal, Response, Tx, Want},
    time::Instant,
};
use queries::{MAX_PENDING, Pending, Purpose, Queries};
use rand::{Rng, SeedableRng};
use run::Runs;
use serve::Envelope;
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use store::{Items, Peers};
use wants::Wants;

/// The generator of everything random in here.
type Random = rand_xoshiro::Xoshiro256PlusPlus;

/// How often silent nodes are pinged and old things forgotten.
const TICK: Duration = Duration::from_secs(30);
/// Most silent nodes pinged in a tick, of each family: enough for a full table within a quarter of an hour.
const PINGS_PER_TICK: usize = 4;

/// How a node is to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether to be in the IPv4 DHT.
    pub v4: bool,
    /// Whether to be in the IPv6 DHT.
    pub v6: bool,
    /// Answer nobody and say so (BEP 43): for a node that others cannot reach.
    pub read_only: bool,
    /// `v` in our messages.
    pub version: [u8; 4],
    /// The seed of all randomness.
    pub seed: u64,
    /// Our public addresses, if known: ids are then made to fit them at once (BEP 42).
    pub external: Vec<IpAddr>,
}

impl Default for Config {
    fn default() -> Self {
        Self { v4: true, v6: true, read_only: false, version: *b"BD\0\x01", seed: 0, external: Vec::new() }
    }
}

/// What happens to a node.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A datagram arrived that is a KRPC message, by its looks (it starts with `d`).
    Datagram {
        /// From where. IPv4 addresses are not to be in IPv6 guise.
        from: SocketAddr,
        /// Its content.
        bytes: &'a [u8],
    },
    /// Endpoints to get in by: bootstrap hosts that were resolved, a torrent's `nodes`, a peer's `port` message.
    Contacts(&'a [SocketAddr]),
    /// A torrent's peers are wanted, now and from time to time; and it is to be announced, if so. May be repeated with
    /// another announcement, or to have it looked up soon.
    Want {
        /// The torrent.
        info_hash: InfoHash,
        /// How to announce it.
        announce: Option<Announce>,
    },
    /// A torrent's peers are no longer wanted.
    Unwant {
        /// The torrent.
        info_hash: InfoHash,
    },
    /// Look a torrent up once; [`Action::Looked`] tells how it went.
    Lookup {
        /// The caller's name for the job.
        job: u64,
        /// The torrent.
        info_hash: InfoHash,
    },
    /// Get an item (BEP 44); [`Action::Got`] brings it.
    Get {
        /// The caller's name for the job.
        job: u64,
        /// Its key.
        target: NodeId,
        /// A mutable item's salt; empty otherwise.
        salt: &'a [u8],
    },
    /// Put an item (BEP 44); [`Action::Stored`] tells how many nodes took it.
    Put {
        /// The caller's name for the job.
        job: u64,
        /// The item.
        item: Item,
        /// Store only where the number is this.
        cas: Option<i64>,
    },
    /// Our public endpoint, from another source than the DHT.
    External(SocketAddr),
    /// We were found to be reachable or not (BEP 43).
    ReadOnly(bool),
}

/// What the caller is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a datagram.
    Send {
        /// Where to.
        to: SocketAddr,
        /// Its content.
        bytes: Vec<u8>,
    },
    /// Peers of a torrent that is wanted, or looked up. They are claims of strangers, and the same one may come again.
    Peers {
        /// The torrent.
        info_hash: InfoHash,
        /// Their endpoints.
        addrs: Vec<SocketAddr>,
    },
    /// Nobody is known to get in by: resolve the bootstrap hosts and give their addresses as [`Event::Contacts`].
    NeedContacts,
    /// Our public endpoint, by what several nodes say.
    External(SocketAddr),
    /// [`Event::Lookup`] is done.
    Looked {
        /// The job.
        job: u64,
        /// How it went, over both families.
        report: Report,
    },
    /// [`Event::Get`] is done.
    Got {
        /// The job.
        job: u64,
        /// The item, checked, the newest that was found.
        item: Option<Item>,
    },
    /// [`Event::Put`] is done.
    Stored {
        /// The job.
        job: u64,
        /// How many nodes took it.
        nodes: u32,
    },
}

/// The sink for actions, owned and reused by the caller.
pub type Out = Vec<Action>;

/// What a node's timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A query gets no answer.
    Timeout,
    /// A query is slow, so another may start.
    Slow,
    /// A torrent's lookup is due.
    Torrent,
    /// Upkeep: pings, refreshes, expiry.
    Upkeep,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Queries answered.
    pub queries_in: u64,
    /// Queries not answered because their sender, or all together, asked too much.
    pub refused: u64,
    /// Datagrams that were no messages, or answers to nothing.
    pub garbage: u64,
    /// Queries sent.
    pub queries_out: u64,
    /// Of these, without an answer.
    pub timeouts: u64,
}

/// The node. See the module's documentation.
#[derive(Debug)]
pub struct Dht {
    config: Config,
    rng: Random,
    v4: Option<Overlay>,
    v6: Option<Overlay>,
    queries: Queries,
    runs: Runs,
    wants: Wants,
    guard: Guard,
    peers: Peers,
    items: Items,
    tick_at: Instant,
    counters: Counters,
}

impl Dht {
    /// A node that knows what an earlier run knew. It gets going with the first [`Dht::wake`].
    pub fn new(now: Instant, config: Config, state: &State) -> Self {
        let mut rng = Random::seed_from_u64(config.seed);
        let mut overlay = |family: Family, on: bool, known: Option<NodeId>| {
            let external = config.external.iter().find(|ip| ip.is_ipv4() == (family == Family::V4));
            let fitting = |id: &NodeId| external.is_none_or(|ip| id.fits_address(*ip));
            let random: [u8; 20] = rng.random();
            let fresh = || external.map_or(NodeId(random), |ip| NodeId::for_address(*ip, random));
            on.then(|| Overlay::new(now, family, known.filter(fitting).unwrap_or_else(fresh)))
        };
        let v4 = overlay(Family::V4, config.v4, state.id4);
        let v6 = overlay(Family::V6, config.v6, state.id6);
        let own = v4.as_ref().or(v6.as_ref()).map_or(NodeId([0; 20]), |overlay| overlay.id);
        let mut dht = Self {
            guard: Guard::new(now, &mut rng),
            rng,
            v4,
            v6,
            queries: Queries::default(),
            runs: Runs::default(),
            wants: Wants::default(),
            peers: Peers::new(own),
            items: Items::new(own),
            tick_at: now,
            counters: Counters::default(),
            config,
        };
        for node in &state.nodes {
            if let Some(overlay) = dht.overlay_mut(Family::of(node.addr)) {
                overlay.contact(node.addr);
            }
        }
        dht
    }

    /// An event.
    pub fn on(&mut self, now: Instant, event: Event<'_>, out: &mut Out) {
        match event {
            Event::Datagram { from, bytes } => self.datagram(now, from, bytes, out),
            Event::Contacts(addrs) => self.contacts(now, addrs),
            Event::Want { info_hash, announce } => self.wants.add(now, info_hash, announce),
            Event::Unwant { info_hash } => self.wants.remove(info_hash),
            Event::Lookup { job, info_hash } => self.look_up(now, job, info_hash, out),
            Event::Get { job, target, salt } => self.get(now, job, target, salt, out),
            Event::Put { job, item, cas } => self.put(now, job, item, cas, out),
            Event::External(addr) => self.settle(now, addr),
            Event::ReadOnly(read_only) => self.config.read_only = read_only,
        }
    }

    /// The deadline has come.
    pub fn wake(&mut self, now: Instant, out: &mut Out) {
        while let Some(pending) = self.queries.timed_out(now) {
            self.counters.timeouts += 1;
            self.unanswered(now, pending, out);
        }
        if now >= self.tick_at {
            self.tick_at = now + TICK;
            self.upkeep(now, out);
        }
        self.refresh(now, out);
        self.start_wanted(now, out);
        self.drive_all(now, out);
    }

    /// When [`Dht::wake`] is to be called next, and why.
    pub fn deadline(&self) -> Option<(Instant, Why)> {
        let refresh = self.overlays().map(|overlay| overlay.refresh_at).min();
        let upkeep = refresh.map_or(self.tick_at, |refresh| refresh.min(self.tick_at));
        let torrent = if self.runs.has_room() && self.is_ready() { self.wants.deadline() } else { None };
        [
            self.queries.deadline().map(|at| (at, Why::Timeout)),
            self.runs.deadline().map(|at| (at, Why::Slow)),
            torrent.map(|at| (at, Why::Torrent)),
            Some((upkeep, Why::Upkeep)),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }

    fn overlays(&self) -> impl Iterator<Item = &Overlay> {
        self.v4.iter().chain(&self.v6)
    }

    const fn overlay(&self, family: Family) -> Option<&Overlay> {
        match family {
            Family::V4 => self.v4.as_ref(),
            Family::V6 => self.v6.as_ref(),
        }
    }

    const fn overlay_mut(&mut self, family: Family) -> Option<&mut Overlay> {
        match family {
            Family::V4 => self.v4.as_mut(),
            Family::V6 => self.v6.as_mut(),
        }
    }

    fn datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8], out: &mut Out) {
        let Some(overlay) = self.overlay(Family::of(from)) else { return };
        let own = overlay.id;
        match Message::decode(bytes) {
            Ok(Message { tx, read_only, body: Body::Query(query), .. }) => {
                if query.id != own {
                    self.serve(now, Envelope { from, len: bytes.len(), tx: &tx, read_only }, query, out);
                }
            }
            Ok(Message { tx, seen_as, body: Body::Response(response), .. }) => {
                match self.queries.take(&tx, from) {
                    Some(pending) => self.answer(now, pending, seen_as, *response, out),
                    None => self.counters.garbage += 1,
                }
            }
            Ok(Message { tx, body: Body::Error(_), .. }) => match self.queries.take(&tx, from) {
                Some(pending) => self.refused(now, pending, out),
                None => self.counters.garbage += 1,
            },
            Err(DecodeError::Query { tx, code, why }) => {
                let error = Refusal { code, text: why.to_owned() };
                let envelope = Envelope { from, len: bytes.len(), tx: &tx, read_only: false };
                self.reject(now, envelope, error, out);
            }
            Err(DecodeError::Garbage(_)) => self.counters.garbage += 1,
        }
    }

    /// An answer to a query of ours.
    fn answer(
        &mut self,
        now: Instant,
        pending: Pending,
        seen_as: Option<SocketAddr>,
        response: Response,
        out: &mut Out,
    ) {
        let node = NodeInfo { id: response.id, addr: pending.to };
        if pending.id.is_some_and(|id| id != response.id) {
            return self.unanswered(now, pending, out);
        }
        let family = Family::of(pending.to);
        let Some(overlay) = self.overlay_mut(family) else { return };
        overlay.last_answer = Some(now);
        let probe = overlay.table.answered(now, node);
        let moved = seen_as.and_then(|seen_as| overlay.vote(pending.to, seen_as));
        if let Some(probe) = probe {
            self.ping(now, probe.addr, Some(probe.id), out);
        }
        if let Some(addr) = moved {
            out.push(Action::External(addr));
            self.settle(now, addr);
        }
        self.meet_other_family(now, family, &response);
        match pending.purpose {
            Purpose::Ping => {}
            Purpose::Step(run) => self.stepped(now, run, node, response, out),
            Purpose::Store(run) => self.stored(now, run, true, out),
        }
    }

    /// An error in answer to a query of ours: the node is there, but of no use for this.
    fn refused(&mut self, now: Instant, pending: Pending, out: &mut Out) {
        match pending.purpose {
            Purpose::Ping => {}
            Purpose::Step(run) => self.step_failed(now, run, pending.to, out),
            Purpose::Store(run) => self.stored(now, run, false, out),
        }
    }

    /// A query of ours got no answer, or one by somebody else.
    fn unanswered(&mut self, now: Instant, pending: Pending, out: &mut Out) {
        if let (Some(node), Some(overlay)) = (pending.node(), self.overlay_mut(Family::of(pending.to))) {
            // When nobody answered since, it is rather our own line that is down: then nodes keep their places.
            if overlay.last_answer.is_some_and(|at| at >= pending.sent) {
                overlay.lost(node);
            }
        }
        self.refused(now, pending, out);
    }

    /// Nodes of the other family help its half of our node to get in.
    fn meet_other_family(&mut self, now: Instant, family: Family, response: &Response) {
        let (other, nodes) = match family {
            Family::V4 => (&mut self.v6, &response.nodes6),
            Family::V6 => (&mut self.v4, &response.nodes4),
        };
        if let Some(other) = other.as_mut().filter(|other| other.is_lonely()) {
            let first = !other.has_contacts();
            for node in nodes.iter().flatten() {
                other.contact(node.addr);
            }
            if first && other.has_contacts() {
                other.hurry(now);
            }
        }
    }

    fn contacts(&mut self, now: Instant, addrs: &[SocketAddr]) {
        for addr in addrs {
            if let Some(overlay) = self.overlay_mut(Family::of(*addr))
                && overlay.contact(*addr)
            {
                overlay.hurry(now);
            }
        }
    }

    /// Our public endpoint is known: our id is to fit it.
    fn settle(&mut self, now: Instant, addr: SocketAddr) {
        let overlay = match Family::of(addr) {
            Family::V4 => self.v4.as_mut(),
            Family::V6 => self.v6.as_mut(),
        };
        let moved = overlay.is_some_and(|overlay| overlay.settle(now, addr, &mut self.rng));
        let own = self.overlays().next().map(|overlay| overlay.id);
        if let Some(own) = own.filter(|_| moved) {
            self.peers.move_to(own);
            self.items.move_to(own);
        }
    }

    /// Sends a query.
    fn ask(
        &mut self,
        now: Instant,
        to: SocketAddr,
        id: Option<NodeId>,
        purpose: Purpose,
        ask: Ask,
        out: &mut Out,
    ) {
        let both = self.v4.is_some() && self.v6.is_some();
        let Some(own) = self.overlay(Family::of(to)).map(|overlay| overlay.id) else { return };
        let rng = &mut self.rng;
        let tx = self.queries.add(Pending { sent: now, to, id, purpose }, || rng.random());
        self.counters.queries_out += 1;
        let query = Query { id: own, want: Want { v4: both, v6: both }, ask };
        self.send(to, tx, Body::Query(query), out);
    }

    fn ping(&mut self, now: Instant, to: SocketAddr, id: Option<NodeId>, out: &mut Out) {
        if self.queries.len() < MAX_PENDING {
            self.ask(now, to, id, Purpose::Ping, Ask::Ping, out);
        }
    }

    fn send(&self, to: SocketAddr, tx: Tx, body: Body, out: &mut Out) {
        let answers = !matches!(body, Body::Query(_));
        let message = Message {
            tx,
            version: Some(self.config.version),
            read_only: self.config.read_only && !answers,
            seen_as: answers.then_some(to),
            body,
        };
        out.push(Action::Send { to, bytes: message.encode() });
    }

    /// Pings the silent, forgets the old.
    fn upkeep(&mut self, now: Instant, out: &mut Out) {
        self.guard.sweep(now);
        self.peers.sweep(now);
        self.items.sweep(now);
        for family in [Family::V4, Family::V6] {
            for _ in 0..PINGS_PER_TICK {
                let Some(node) = self.overlay_mut(family).and_then(|overlay| overlay.table.stalest(now))
                else {
                    break;
                };
                self.ping(now, node.addr, Some(node.id), out);
            }
        }
    }
}
