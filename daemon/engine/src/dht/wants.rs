//! Which torrents are looked up, and when: every quarter of an hour each, spread over time.

use super::Random;
use proto::{id::InfoHash, time::Instant};
use rand::Rng;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How often a torrent's peers are looked up, and it is announced: peers are kept for half an hour at most places.
const INTERVAL: Duration = Duration::from_secs(15 * 60);
/// The interval is shortened by up to this, at random, so that torrents that were added together drift apart.
const JITTER: Duration = Duration::from_secs(3 * 60);
/// Time between the starts of two lookups. With 10,000 torrents and more the interval grows, and not the load.
const SPACING: Duration = Duration::from_millis(100);
/// A torrent that is wanted again is not looked up sooner than this after the last time.
const AT_ONCE: Duration = Duration::from_secs(60);

/// How a torrent is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The port that peers are to dial; `None` for the one that our datagrams come from.
    pub port: Option<u16>,
    /// Whether we have everything (BEP 33).
    pub seed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Want {
    announce: Option<Announce>,
    due: Instant,
    last: Option<Instant>,
}

/// The torrents that are wanted.
#[derive(Debug, Default)]
pub(crate) struct Wants {
    wants: BTreeMap<InfoHash, Want>,
    queue: BTreeSet<(Instant, InfoHash)>,
    not_before: Instant,
}

impl Wants {
    pub(crate) fn len(&self) -> usize {
        self.wants.len()
    }

    /// Wants a torrent from now on; if it is wanted already, it is due again unless that was just now.
    pub(crate) fn add(&mut self, now: Instant, info_hash: InfoHash, announce: Option<Announce>) {
        let old = self.wants.get(&info_hash).copied();
        let last = old.and_then(|old| old.last);
        let due = last.map_or(now, |last| now.max(last + AT_ONCE));
        let due = old.map_or(due, |old| due.min(old.due));
        if let Some(old) = old {
            self.queue.remove(&(old.due, info_hash));
        }
        self.wants.insert(info_hash, Want { announce, due, last });
        self.queue.insert((due, info_hash));
    }

    pub(crate) fn remove(&mut self, info_hash: InfoHash) {
        if let Some(want) = self.wants.remove(&info_hash) {
            self.queue.remove(&(want.due, info_hash));
        }
    }

    /// A torrent's lookup reached nobody: it is due again soon.
    pub(crate) fn retry(&mut self, now: Instant, info_hash: InfoHash) {
        if let Some(want) = self.wants.get_mut(&info_hash) {
            self.queue.remove(&(want.due, info_hash));
            want.due = want.due.min(now + AT_ONCE);
            self.queue.insert((want.due, info_hash));
        }
    }

    /// When the next one may start.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.queue.first().map(|(due, _)| (*due).max(self.not_before))
    }

    /// The torrent that is due, if one is; its next time is set.
    pub(crate) fn next(&mut self, now: Instant, rng: &mut Random) -> Option<(InfoHash, Option<Announce>)> {
        if self.deadline()? > now {
            return None;
        }
        let (_, info_hash) = self.queue.pop_first()?;
        let want = self.wants.get_mut(&info_hash)?;
        let jitter = rng.random_range(0..JITTER.as_secs());
        want.last = Some(now);
        want.due = now + INTERVAL - Duration::from_secs(jitter);
        self.queue.insert((want.due, info_hash));
        self.not_before = now + SPACING;
        Some((info_hash, want.announce))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn hash(n: u32) -> InfoHash {
        let mut hash = [0; 20];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        InfoHash(hash)
    }

    #[test]
    fn a_thousand_torrents_are_spread_and_come_again() {
        let mut rng = Random::seed_from_u64(1);
        let mut wants = Wants::default();
        (0..1000).for_each(|n| wants.add(Instant::START, hash(n), None));
        let mut times: BTreeMap<InfoHash, Vec<Instant>> = BTreeMap::new();
        while let Some(at) = wants.deadline().filter(|at| *at < Instant::from_secs(3600)) {
            let (hash, _) = wants.next(at, &mut rng).unwrap();
            assert!(wants.next(at, &mut rng).is_none());
            times.entry(hash).or_default().push(at);
        }
        assert_eq!(times.len(), 1000);
        for times in times.values() {
            let gaps: Vec<_> = times.windows(2).map(|pair| pair[1].since(pair[0])).collect();
            assert!(
                gaps.len() >= 3
                    && gaps.iter().all(|gap| *gap > INTERVAL - JITTER && *gap <= INTERVAL + JITTER)
            );
        }
    }

    #[test]
    fn asking_again_does_not_hurry_too_much() {
        let mut rng = Random::seed_from_u64(1);
        let mut wants = Wants::default();
        wants.add(Instant::START, hash(1), None);
        assert!(wants.next(Instant::START, &mut rng).is_some());
        let announce = Some(Announce { port: Some(1), seed: true });
        wants.add(Instant::from_secs(1), hash(1), announce);
        assert_eq!(wants.deadline(), Some(Instant::START + AT_ONCE));
        assert_eq!(wants.next(Instant::START + AT_ONCE, &mut rng), Some((hash(1), announce)));
        wants.remove(hash(1));
        assert_eq!((wants.deadline(), wants.len()), (None, 0));
    }
}
