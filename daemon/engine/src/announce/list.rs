//! A torrent's trackers in their tiers (BEP 12).

use super::{MAX_TRACKERS, Spread, Status, TrackerKey, tracker::Tracker};
use proto::{
    text::printable,
    tracker::{MAX_URL, TrackerUrl, UrlError},
};
use rand::seq::SliceRandom as _;
use rand_xoshiro::Xoshiro256PlusPlus;

/// An announce URL that we cannot use.
#[derive(Clone, Debug)]
pub(super) struct Unusable {
    pub(super) tier: u32,
    /// Safe to show.
    pub(super) url: Box<str>,
    pub(super) error: UrlError,
}

/// Trackers ordered by tier, and within a tier in the order in which they are asked.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    pub(super) trackers: Vec<Tracker>,
    unusable: Vec<Unusable>,
    next_key: u32,
}

impl List {
    /// Adds tiers after those that are there, each shuffled. URLs that are there already are passed over; one that is
    /// among those `leaving` comes back with its state.
    pub(super) fn add(
        &mut self,
        tiers: &[Vec<String>],
        leaving: &mut Vec<Tracker>,
        rng: &mut Xoshiro256PlusPlus,
    ) {
        let mut tier = self.next_tier();
        for urls in tiers {
            let start = self.trackers.len();
            let before = self.len();
            for url in urls.iter().take(MAX_TRACKERS) {
                self.add_one(tier, url, leaving);
            }
            self.trackers[start..].shuffle(rng);
            tier += u32::from(self.len() > before);
        }
    }

    fn add_one(&mut self, tier: u32, text: &str, leaving: &mut Vec<Tracker>) {
        if self.len() >= MAX_TRACKERS || text.trim().is_empty() {
            return;
        }
        match TrackerUrl::parse(text) {
            Ok(url) if self.trackers.iter().any(|tracker| tracker.url == url) => {}
            Ok(url) => {
                let known = leaving.iter().position(|tracker| tracker.url == url);
                let mut tracker = match known {
                    Some(at) => leaving.swap_remove(at),
                    None => Tracker::new(self.new_key(), tier, url),
                };
                tracker.tier = tier;
                self.trackers.push(tracker);
            }
            Err(error) => {
                let url = printable(text.as_bytes(), MAX_URL).into();
                if !self.unusable.iter().any(|known| known.url == url) {
                    self.unusable.push(Unusable { tier, url, error });
                }
            }
        }
    }

    /// Takes all trackers out.
    pub(super) fn clear(&mut self) -> Vec<Tracker> {
        self.unusable.clear();
        std::mem::take(&mut self.trackers)
    }

    /// The groups of which one tracker each is to be kept informed.
    pub(super) fn groups(&mut self, spread: Spread) -> impl Iterator<Item = &mut [Tracker]> {
        self.trackers.chunk_by_mut(move |a, b| match spread {
            Spread::One => true,
            Spread::EachTier => a.tier == b.tier,
            Spread::Every => false,
        })
    }

    /// Moves a tracker to the front of its tier.
    pub(super) fn promote(&mut self, key: TrackerKey) {
        let Some(at) = self.trackers.iter().position(|tracker| tracker.key == key) else { return };
        let tier = self.trackers[at].tier;
        let front = self.trackers.partition_point(|tracker| tracker.tier < tier);
        if let Some(moved) = self.trackers.get_mut(front..=at) {
            moved.rotate_right(1);
        }
    }

    pub(super) fn status(&self, need: u32) -> Vec<Status> {
        let usable = self.trackers.iter().map(|tracker| Status::of(tracker, need));
        let mut all: Vec<Status> = usable.chain(self.unusable.iter().map(Status::of_unusable)).collect();
        all.sort_by_key(|status| status.tier);
        all
    }

    pub(super) fn tiers(&self) -> Vec<Vec<String>> {
        let mut tiers: Vec<Vec<String>> = Vec::new();
        let mut last = None;
        for Status { tier, url, .. } in self.status(0) {
            match tiers.last_mut() {
                Some(urls) if last == Some(tier) => urls.push(url),
                _ => tiers.push(vec![url]),
            }
            last = Some(tier);
        }
        tiers
    }

    const fn len(&self) -> usize {
        self.trackers.len() + self.unusable.len()
    }

    fn next_tier(&self) -> u32 {
        let tiers = self.trackers.iter().map(|tracker| tracker.tier);
        tiers
            .chain(self.unusable.iter().map(|unusable| unusable.tier))
            .max()
            .map_or(0, |last| last.saturating_add(1))
    }

    const fn new_key(&mut self) -> TrackerKey {
        let key = TrackerKey(self.next_key);
        self.next_key = self.next_key.wrapping_add(1);
        key
    }
}
