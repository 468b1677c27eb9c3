//! What strangers may cost us, and what we may cost others.
//!
//! Anyone can put a victim's address on a query. Until an address has shown that it receives what we send there (by
//! answering a query of ours, or by giving back a token), it gets little more than it sent: see [`Guard::admit`].

use super::Random;
use proto::time::Instant;
use rand::Rng;
use sha1::{Digest, Sha1};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// Queries a second that one address may send us in the long run. A busy client's lookups need one or two.
const QUERIES_PER_SECOND: u64 = 10;
/// Queries that it may send at once.
const QUERY_BURST: u64 = 50;
/// Bytes that an address gets on credit before it has proved itself: one full answer.
const CREDIT: usize = MAX_ANSWER;
/// How many times the bytes of its queries an address gets beyond that, as QUIC allows (RFC 9000, section 8.1).
const FACTOR: usize = 3;
/// Longest answer in bytes: the largest item with its signature, and still a frame with a tunnel's headers.
pub(crate) const MAX_ANSWER: usize = 1300;
/// Addresses that are kept account of. A flood of more resets the accounts, and the total limit holds it.
const MAX_SOURCES: usize = 1024;
/// After this time without a query an address is forgotten: its burst is full again.
const FORGET_AFTER: Duration = Duration::from_secs(30);
/// Bytes a second that all answers may take together.
const BYTES_PER_SECOND: u64 = 256 << 10;
/// Bytes of answers that may go out at once.
const BYTE_BURST: u64 = 512 << 10;
/// How long tokens are given out before the secret changes; they are taken as long again (BEP 5).
const TOKEN_PERIOD: Duration = Duration::from_secs(5 * 60);
/// Length of our tokens in bytes: guessing one takes 2^63 tries.
const TOKEN_LEN: usize = 8;

/// Pings a second to nodes that asked us something and may be worth knowing.
const CURIOSITY_PER_SECOND: u64 = 5;
/// Such pings at once.
const CURIOSITY_BURST: u64 = 20;

/// A token bucket that counts in millionths, so that no time is lost to rounding.
#[derive(Clone, Copy, Debug)]
struct Rate {
    millionths: u64,
    at: Instant,
}

impl Rate {
    const fn full(now: Instant, burst: u64) -> Self {
        Self { millionths: burst * 1_000_000, at: now }
    }

    fn take(&mut self, now: Instant, amount: u64, per_second: u64, burst: u64) -> bool {
        let passed = u64::try_from(now.since(self.at).as_micros()).unwrap_or(u64::MAX);
        let grown = self.millionths.saturating_add(passed.saturating_mul(per_second));
        self.millionths = grown.min(burst * 1_000_000);
        self.at = now;
        let enough = self.millionths >= amount * 1_000_000;
        if enough {
            self.millionths -= amount * 1_000_000;
        }
        enough
    }
}

#[derive(Debug)]
struct Source {
    queries: Rate,
    /// Bytes that it may still get unproved.
    credit: usize,
}

/// Accounts of strangers, and the tokens.
#[derive(Debug)]
pub(crate) struct Guard {
    sources: BTreeMap<IpAddr, Source>,
    total: Rate,
    curiosity: Rate,
    secrets: [[u8; 16]; 2],
    secret_since: Instant,
}

impl Guard {
    pub(crate) fn new(now: Instant, rng: &mut Random) -> Self {
        Self {
            sources: BTreeMap::new(),
            total: Rate::full(now, BYTE_BURST),
            curiosity: Rate::full(now, CURIOSITY_BURST),
            secrets: [rng.random(), rng.random()],
            secret_since: now,
        }
    }

    /// A query of `len` bytes came. Returns how long the answer may be if the address is not proved; `None` if it
    /// asked too much and gets nothing.
    pub(crate) fn admit(&mut self, now: Instant, from: IpAddr, len: usize) -> Option<usize> {
        if self.sources.len() >= MAX_SOURCES && !self.sources.contains_key(&from) {
            self.sweep(now);
            if self.sources.len() >= MAX_SOURCES {
                self.sources.clear();
            }
        }
        let fresh = || Source { queries: Rate::full(now, QUERY_BURST), credit: CREDIT };
        let source = self.sources.entry(from).or_insert_with(fresh);
        if !source.queries.take(now, 1, QUERIES_PER_SECOND, QUERY_BURST) {
            return None;
        }
        source.credit = (source.credit + len * FACTOR).min(MAX_ANSWER);
        Some(source.credit)
    }

    /// An answer is about to go out. Returns whether it may.
    pub(crate) fn spend(&mut self, now: Instant, to: IpAddr, len: usize, proved: bool) -> bool {
        if let Some(source) = self.sources.get_mut(&to)
            && !proved
        {
            source.credit = source.credit.saturating_sub(len);
        }
        self.total.take(now, len as u64, BYTES_PER_SECOND, BYTE_BURST)
    }

    /// Whether a stranger may be pinged to learn whether it is a node.
    pub(crate) fn curious(&mut self, now: Instant) -> bool {
        self.curiosity.take(now, 1, CURIOSITY_PER_SECOND, CURIOSITY_BURST)
    }

    /// Forgets addresses that have been quiet.
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.sources.retain(|_, source| now.since(source.queries.at) < FORGET_AFTER);
    }

    /// The token for an address.
    pub(crate) fn token(&mut self, now: Instant, ip: IpAddr, rng: &mut Random) -> Vec<u8> {
        self.rotate(now, rng);
        token_of(&self.secrets[0], ip)
    }

    /// Whether a token was given to this address five to ten minutes ago at most.
    pub(crate) fn knows_token(&mut self, now: Instant, ip: IpAddr, token: &[u8], rng: &mut Random) -> bool {
        self.rotate(now, rng);
        self.secrets.iter().any(|secret| token_of(secret, ip) == token)
    }

    fn rotate(&mut self, now: Instant, rng: &mut Random) {
        let age = now.since(self.secret_since);
        if age >= TOKEN_PERIOD {
            self.secrets[1] = if age < TOKEN_PERIOD * 2 { self.secrets[0] } else { rng.random() };
            self.secrets[0] = rng.random();
            self.secret_since = now;
        }
    }
}

fn token_of(secret: &[u8; 16], ip: IpAddr) -> Vec<u8> {
    let hash = Sha1::new().chain_update(secret);
    let hash = match ip {
        IpAddr::V4(ip) => hash.chain_update(ip.octets()),
        IpAddr::V6(ip) => hash.chain_update(ip.octets()),
    };
    hash.finalize()[..TOKEN_LEN].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(1, 2, 3, 4));

    fn guard() -> (Guard, Random) {
        let mut rng = Random::seed_from_u64(1);
        (Guard::new(Instant::START, &mut rng), rng)
    }

    #[test]
    fn an_address_gets_a_burst_and_then_its_rate() {
        let (mut guard, _) = guard();
        let mut admitted = |from: u64, to: u64| {
            (from..to).filter(|ms| guard.admit(Instant::from_millis(*ms), IP, 100).is_some()).count() as u64
        };
        assert_eq!(admitted(0, 1000), QUERY_BURST + QUERIES_PER_SECOND - 1);
        assert_eq!(admitted(1000, 11_000), QUERIES_PER_SECOND * 10);
    }

    #[test]
    fn an_unproved_address_gets_three_times_what_it_sent_and_one_answer() {
        let (mut guard, _) = guard();
        let mut sent = 0;
        for second in 0..1000 {
            let now = Instant::from_secs(second);
            let allowed = guard.admit(now, IP, 100).unwrap();
            assert!(guard.spend(now, IP, allowed, false));
            sent += allowed;
        }
        assert_eq!(sent, CREDIT + (1000 - 1) * 100 * FACTOR);
    }

    #[test]
    fn a_flood_from_everywhere_is_bounded_in_memory_and_bytes() {
        let (mut guard, _) = guard();
        let mut bytes = 0u64;
        for n in 0..100_000u32 {
            let now = Instant::from_micros(u64::from(n) * 10);
            if guard.admit(now, IpAddr::V4(n.into()), 100).is_some() && guard.spend(now, IP, 300, false) {
                bytes += 300;
            }
            assert!(guard.sources.len() <= MAX_SOURCES);
        }
        assert!(bytes <= BYTE_BURST + BYTES_PER_SECOND);
    }

    #[test]
    fn tokens_belong_to_an_address_and_age() {
        let (mut guard, mut rng) = guard();
        let token = guard.token(Instant::START, IP, &mut rng);
        let mut known = |seconds, ip| guard.knows_token(Instant::from_secs(seconds), ip, &token, &mut rng);
        assert!(known(0, IP));
        assert!(!known(0, IpAddr::V4(1.into())));
        assert!(known(300, IP));
        assert!(known(599, IP));
        assert!(!known(600, IP));
    }
}
