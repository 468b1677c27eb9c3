//! Endpoints that may be dialled: from whom we know them, how often they failed, who is banned.

pub mod pex;
mod priority;
#[cfg(test)]
mod tests;

pub use priority::priority;

use crate::out::Source;
use proto::{id::PeerId, time::Instant};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Endpoints kept at most. A swarm of any size is served by these; the rest comes again with the next announce.
pub const MAX_CANDIDATES: usize = 2_000;

/// Bans kept at most; the oldest address order is not kept, the lowest goes first.
const MAX_BANS: usize = 1_000;

/// Connections of one address at most: an address may be a household, but not a swarm. Loopback is exempt.
pub const MAX_PER_ADDRESS: usize = 8;

/// After a dial failed, or a connection ended: this long before the next, doubled with each failure.
const RETRY: Duration = Duration::from_secs(60);

/// The longest time between dials to one endpoint.
const LONGEST_RETRY: Duration = Duration::from_secs(3_600);

/// After so many failures in a row an endpoint is forgotten, unless a user gave it.
const MAX_FAILURES: u8 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Dialling,
    Connected,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    source: Source,
    state: State,
    failures: u8,
    due: Instant,
    seed: bool,
    /// Payload went over a connection to it.
    proven: bool,
}

/// The endpoints of one torrent.
#[derive(Debug, Default)]
pub struct Candidates {
    known: BTreeMap<SocketAddr, Candidate>,
    banned: BTreeSet<IpAddr>,
    banned_endpoints: BTreeSet<SocketAddr>,
    banned_ids: BTreeSet<PeerId>,
    own: Vec<SocketAddr>,
    dialling: u32,
    idle: u32,
}

impl Candidates {
    /// Endpoints we heard of. New ones are kept as long as there is room; what failed before makes room.
    pub fn offer(&mut self, now: Instant, source: Source, addrs: &[SocketAddr]) {
        for addr in addrs {
            let addr = canonical(*addr);
            if !is_dialable(addr) || self.own.contains(&addr) || self.is_banned(addr) {
                continue;
            }
            if let Some(known) = self.known.get_mut(&addr) {
                if source == Source::User {
                    known.source = source;
                    known.failures = 0;
                    known.due = now;
                }
                continue;
            }
            if self.known.len() >= MAX_CANDIDATES && !self.make_room() {
                continue;
            }
            let fresh =
                Candidate { source, state: State::Idle, failures: 0, due: now, seed: false, proven: false };
            self.known.insert(addr, fresh);
            self.idle += 1;
        }
    }

    /// Forgets the worst endpoint, if it is worse than an unknown one.
    fn make_room(&mut self) -> bool {
        let worst = self
            .known
            .iter()
            .filter(|(_, known)| known.state == State::Idle && known.failures > 0 && !known.proven)
            .max_by_key(|(_, known)| known.failures)
            .map(|(addr, _)| *addr);
        worst.is_some_and(|addr| {
            self.known.remove(&addr);
            self.idle -= 1;
            true
        })
    }

    /// The best endpoint to dial now, marked as being dialled. With `seeding`, endpoints known to have everything are
    /// left out.
    pub fn next(&mut self, now: Instant, seeding: bool) -> Option<(SocketAddr, Source)> {
        let ours = |theirs: &SocketAddr| {
            self.own
                .iter()
                .find(|own| own.is_ipv4() == theirs.is_ipv4())
                .map_or(0, |own| priority(*own, *theirs))
        };
        let addr = self
            .known
            .iter()
            .filter(|(_, known)| known.state == State::Idle && known.due <= now && !(seeding && known.seed))
            .min_by_key(|(addr, known)| {
                (known.source != Source::User, known.failures, Reverse(known.proven), Reverse(ours(addr)))
            })
            .map(|(addr, _)| *addr)?;
        let known = self.known.get_mut(&addr)?;
        known.state = State::Dialling;
        let source = known.source;
        self.dialling += 1;
        self.idle -= 1;
        Some((addr, source))
    }

    /// When the next endpoint may be dialled.
    pub fn next_due(&self, seeding: bool) -> Option<Instant> {
        let idle = |known: &&Candidate| known.state == State::Idle && !(seeding && known.seed);
        self.known.values().filter(idle).map(|known| known.due).min()
    }

    /// Dials under way.
    pub fn dialling(&self) -> u32 {
        self.dialling
    }

    /// Endpoints known and not connected.
    pub fn idle(&self) -> u32 {
        self.idle
    }

    fn enter(&mut self, addr: SocketAddr, state: State) -> Option<&mut Candidate> {
        let known = self.known.get_mut(&addr)?;
        let before = std::mem::replace(&mut known.state, state);
        self.dialling -= u32::from(before == State::Dialling);
        self.idle -= u32::from(before == State::Idle);
        self.dialling += u32::from(state == State::Dialling);
        self.idle += u32::from(state == State::Idle);
        Some(known)
    }

    /// A connection to an endpoint that can be dialled is up. Who told us of it, if we knew it.
    pub fn connected(&mut self, addr: SocketAddr) -> Option<Source> {
        let known = self.enter(canonical(addr), State::Connected)?;
        known.failures = 0;
        Some(known.source)
    }

    /// A peer that connected to us says where it can be dialled.
    pub fn listens(&mut self, now: Instant, addr: SocketAddr) {
        self.offer(now, Source::Incoming, &[addr]);
        self.connected(addr);
    }

    /// A dial came to nothing.
    pub fn failed(&mut self, now: Instant, addr: SocketAddr) {
        let addr = canonical(addr);
        if self.known.get(&addr).is_none_or(|known| known.state != State::Dialling) {
            return;
        }
        let Some(known) = self.enter(addr, State::Idle) else { return };
        known.failures = known.failures.saturating_add(1);
        known.due = now + RETRY.saturating_mul(1 << known.failures.min(6)).min(LONGEST_RETRY);
        let hopeless = known.failures >= MAX_FAILURES && known.source != Source::User;
        if hopeless {
            self.known.remove(&addr);
            self.idle -= 1;
        }
    }

    /// A connection ended. `useful` if payload went over it, `seed` if the peer had everything.
    pub fn closed(&mut self, now: Instant, addr: SocketAddr, useful: bool, seed: bool) {
        let Some(known) = self.enter(canonical(addr), State::Idle) else { return };
        known.due = now + RETRY;
        known.proven |= useful;
        known.seed = seed;
    }

    /// Someone says that a peer has everything.
    pub fn is_seed(&mut self, addr: SocketAddr) {
        if let Some(known) = self.known.get_mut(&canonical(addr)).filter(|known| known.state == State::Idle) {
            known.seed = true;
        }
    }

    /// Our own endpoints: never dialled, and our end of the canonical priority.
    pub fn set_own(&mut self, own: Vec<SocketAddr>) {
        self.own = own.into_iter().map(canonical).collect();
        let own = std::mem::take(&mut self.own);
        own.iter().for_each(|addr| self.forget(*addr));
        self.own = own;
    }

    /// It turned out that an endpoint is our own.
    pub fn is_ourselves(&mut self, addr: SocketAddr) {
        self.forget(canonical(addr));
        if self.own.len() < MAX_PER_ADDRESS {
            self.own.push(canonical(addr));
        }
    }

    fn forget(&mut self, addr: SocketAddr) {
        if self.enter(addr, State::Idle).is_some() {
            self.known.remove(&addr);
            self.idle -= 1;
        }
    }

    /// Everything behind an address is never spoken to again.
    pub fn ban(&mut self, ip: IpAddr) {
        let ip = ip.to_canonical();
        if self.banned.len() >= MAX_BANS {
            self.banned.pop_first();
        }
        self.banned.insert(ip);
        let there: Vec<SocketAddr> = self.known.keys().filter(|addr| addr.ip() == ip).copied().collect();
        there.into_iter().for_each(|addr| self.forget(addr));
    }

    /// A peer that sent bad data. Its address is banned; on loopback, where all peers share one, its endpoint and id are.
    pub fn ban_peer(&mut self, endpoint: SocketAddr, id: PeerId) {
        let endpoint = canonical(endpoint);
        if !endpoint.ip().is_loopback() {
            return self.ban(endpoint.ip());
        }
        if self.banned_ids.len() >= MAX_BANS {
            self.banned_ids.pop_first();
            self.banned_endpoints.pop_first();
        }
        self.forget(endpoint);
        self.banned_endpoints.insert(endpoint);
        self.banned_ids.insert(id);
    }

    /// Whether an endpoint is banned.
    pub fn is_banned(&self, addr: SocketAddr) -> bool {
        self.banned.contains(&addr.ip().to_canonical()) || self.banned_endpoints.contains(&canonical(addr))
    }

    /// Whether a peer was banned by its id.
    pub fn is_banned_id(&self, id: &PeerId) -> bool {
        self.banned_ids.contains(id)
    }

    /// The canonical priority of a connection to `theirs`; 0 as long as we do not know our own address.
    pub fn priority(&self, theirs: SocketAddr) -> u32 {
        let theirs = canonical(theirs);
        self.own.iter().find(|own| own.is_ipv4() == theirs.is_ipv4()).map_or(0, |own| priority(*own, theirs))
    }

    /// Endpoints worth keeping for the next run, the best first.
    pub fn remember(&self, most: usize) -> Vec<SocketAddr> {
        let mut good: Vec<(&SocketAddr, &Candidate)> =
            self.known.iter().filter(|(_, known)| known.failures == 0).collect();
        good.sort_by_key(|(addr, known)| {
            (known.state != State::Connected, !known.proven, known.source, **addr)
        });
        good.into_iter().take(most).map(|(addr, _)| *addr).collect()
    }

    /// Every dial under way is off, and every connection has ended.
    pub fn stop(&mut self) {
        for known in self.known.values_mut() {
            known.state = State::Idle;
        }
        self.dialling = 0;
        self.idle = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
    }
}

/// IPv4 within IPv6 as IPv4, so that one endpoint has one name.
pub fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// Whether a dial could make sense at all.
fn is_dialable(addr: SocketAddr) -> bool {
    let ip = addr.ip();
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    addr.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}
