//! What a run has shown.

use crate::{
    measure::{Moment, seconds},
    node::{Node, other},
    world::World,
};
use engine::out::PeerKey;
use std::collections::BTreeMap;

/// Two peers must have been connected for so long to count, in milliseconds (Legout et al. filter by ten seconds).
const LONG_ENOUGH: u64 = 10_000;

/// A leecher must have waited at a seed for so long to count for its fairness, in milliseconds.
const LONG_AT_SEED: u64 = 60_000;

/// Partners that a leecher must have had for its reciprocity to say anything.
const PARTNERS: usize = 5;

/// The share of a leecher's pieces that count as its first, and as its last.
const ENDS: f64 = 0.05;

/// The figures of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The scenario.
    pub scenario: String,
    /// The strategy.
    pub strategy: String,
    /// The seed.
    pub seed: u64,
    /// Seconds from coming to having everything, sorted, of those who behave.
    pub times: Vec<f64>,
    /// The same for each class of peers, with how much of the time that they wanted a seed's pieces it unchoked them.
    pub classes: Vec<(String, Vec<f64>, f64)>,
    /// Payload that arrived over what all uploads could carry, until nine in ten had finished.
    pub utilisation: f64,
    /// Jain's index of the mean download rates of those who behave: 1 is equal.
    pub jain: f64,
    /// Payload that was thrown away, as a share of what arrived.
    pub duplicates: f64,
    /// Payload of pieces that were bad, as a share of what arrived.
    pub corrupt: f64,
    /// For each leecher and each of its leecher peers, the share of their time together in which it was interested (a/b),
    /// sorted.
    pub wants: Vec<f64>,
    /// And in which the peer was interested in it (c/d), sorted.
    pub wanted: Vec<f64>,
    /// When every piece had a copy outside the sources, in seconds, and the copies of the torrent they had sent by then.
    pub first_copy: Option<(f64, f64)>,
    /// The time between pieces at first, as a multiple of the mean; the median of the leechers.
    pub first_pieces: f64,
    /// The same at the end.
    pub last_pieces: f64,
    /// The correlation of what leechers give each partner and get of it; the mean of the leechers.
    pub reciprocity: f64,
    /// Jain's index of the time that seeds gave to those who wanted their pieces.
    pub service: f64,
    /// The swarm over time.
    pub moments: Vec<Moment>,
    /// The digest of the event log.
    pub digest: u64,
    /// Its records.
    pub records: u64,
}

/// The value below which a share of the sorted values lies; not a number if there are none.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let at = (share * last as f64).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

#[expect(clippy::cast_precision_loss, reason = "counts and bytes of a simulated swarm are far below 2^52")]
fn real(number: u64) -> f64 {
    number as f64
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / real(values.len() as u64)
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Jain's fairness index: 1 if all are equal, 1/n if one has everything.
fn jain(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    let squares: f64 = values.iter().map(|value| value * value).sum();
    sum * sum / (real(values.len() as u64) * squares)
}

/// Pearson's correlation; none if either side does not vary.
fn correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    let count = real(pairs.len() as u64);
    let (x, y) = pairs.iter().fold((0.0, 0.0), |(x, y), pair| (x + pair.0 / count, y + pair.1 / count));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for pair in pairs {
        let (dx, dy) = (pair.0 - x, pair.1 - y);
        (xy, xx, yy) = (xy + dx * dy, xx + dx * dx, yy + dy * dy);
    }
    (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
}

impl World {
    pub(crate) fn report(mut self) -> Report {
        for at in 0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX) {
            self.tally(at);
        }
        let honest = |node: &&Node| {
            let class = &self.scenario.peers[node.class];
            !node.source && !class.free_rider && class.corrupt == 0.0 && class.snubs_after.is_none()
        };
        let took = |node: &Node| Some(seconds(node.completed?.saturating_sub(node.joined?)));
        let times = sorted(self.nodes.iter().filter(honest).filter_map(took).collect());
        let length = u64::from(self.layout.piece_length());
        let rate = |node: &Node| Some(real(node.pieces_at.len() as u64 * length) / took(node)?.max(0.001));
        let rates: Vec<f64> = self.nodes.iter().filter(honest).filter_map(rate).collect();
        let total = |of: &dyn Fn(&Node) -> u64| real(self.nodes.iter().map(of).sum());
        let (first_pieces, last_pieces) = self.ends_of_downloads();
        let (wants, wanted) = self.interest();
        let (service, by_class) = self.service();
        let class = |(index, class): (usize, &crate::Class)| {
            let own = self.nodes.iter().filter(|node| node.class == index && !node.source);
            (class.name.clone(), sorted(own.filter_map(took).collect()), by_class[index])
        };
        Report {
            scenario: self.scenario.name.clone(),
            strategy: self.preset.name.clone(),
            seed: self.seed,
            classes: self.scenario.peers.iter().enumerate().map(class).collect(),
            times,
            utilisation: self.utilisation(),
            jain: jain(&rates),
            duplicates: total(&|node| node.totals.wasted) / real(self.arrived).max(1.0),
            corrupt: total(&|node| node.totals.corrupt) / real(self.arrived).max(1.0),
            wants,
            wanted,
            first_copy: self
                .first_copy
                .map(|(at, bytes)| (seconds(at), real(bytes) / real(self.layout.total()))),
            first_pieces,
            last_pieces,
            reciprocity: self.reciprocity(),
            service,
            digest: self.log.digest(),
            records: self.log.records(),
            moments: self.moments,
        }
    }

    fn utilisation(&self) -> f64 {
        let ends = sorted(self.nodes.iter().filter_map(|node| Some(seconds(node.completed?))).collect());
        let end = percentile(&ends, 0.9);
        let moment = self.moments.iter().find(|moment| moment.at >= end).or(self.moments.last());
        moment.map_or(f64::NAN, |moment| real(moment.arrived) / real(moment.capacity).max(1.0))
    }

    /// How slow the first and the last pieces of those came that had none.
    fn ends_of_downloads(&self) -> (f64, f64) {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        let pieces = f64::from(self.layout.pieces());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let few = (pieces * ENDS).ceil() as usize;
        for node in &self.nodes {
            let (Some(joined), Some(_)) = (node.joined, node.completed) else { continue };
            let at = &node.pieces_at;
            if at.len() != self.layout.pieces() as usize || at.len() <= few {
                continue;
            }
            let end = at[at.len() - 1];
            let usual = real(end - joined).max(1.0) / pieces;
            first.push(real(at[few - 1] - joined) / real(few as u64) / usual);
            last.push(real(end - at[at.len() - 1 - few]) / real(few as u64) / usual);
        }
        (percentile(&sorted(first), 0.5), percentile(&sorted(last), 0.5))
    }

    /// a/b and c/d of Legout et al., section III-C.
    fn interest(&self) -> (Vec<f64>, Vec<f64>) {
        let pairs = self.ends.iter().map(|end| end.pair).filter(|pair| pair.together >= LONG_ENOUGH);
        let ratios = |pair: crate::node::Pair| {
            let share = |part: u64| real(part) / real(pair.together);
            (share(pair.interested), share(pair.interesting))
        };
        let (wants, wanted): (Vec<f64>, Vec<f64>) = pairs.map(ratios).unzip();
        (sorted(wants), sorted(wanted))
    }

    fn reciprocity(&self) -> f64 {
        let mut partners: BTreeMap<u32, Vec<(f64, f64)>> = BTreeMap::new();
        for (end, key) in self.ends.iter().zip(0..) {
            let back = self.ends[other(PeerKey(key)).0 as usize].pair.given;
            if end.pair.together >= LONG_ENOUGH {
                partners.entry(end.owner).or_default().push((real(end.pair.given), real(back)));
            }
        }
        let all: Vec<f64> = partners
            .values()
            .filter(|pairs| pairs.len() >= PARTNERS)
            .filter_map(|pairs| correlation(pairs))
            .collect();
        mean(&all)
    }

    /// Jain's index of the sources' service, and for each class the share of the time in which they were served.
    fn service(&self) -> (f64, Vec<f64>) {
        let mut leechers: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        for (end, key) in self.ends.iter().zip(0..) {
            if self.nodes[end.owner as usize].source {
                let whom = self.ends[other(PeerKey(key)).0 as usize].owner;
                let sum = leechers.entry(whom).or_default();
                *sum = (sum.0 + end.pair.served, sum.1 + end.pair.present);
            }
        }
        leechers.retain(|_, (_, present)| *present >= LONG_AT_SEED);
        let share = |(served, present): &(u64, u64)| real(*served) / real(*present);
        let of_class = |class: usize| {
            let own = leechers.iter().filter(|(at, _)| self.nodes[**at as usize].class == class);
            mean(&own.map(|(_, times)| share(times)).collect::<Vec<f64>>())
        };
        let shares: Vec<f64> = leechers.values().map(share).collect();
        (jain(&shares), (0..self.scenario.peers.len()).map(of_class).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_at_their_extremes() {
        assert!((jain(&[3.0; 7]) - 1.0).abs() < 1e-9);
        assert!((jain(&[1.0, 0.0, 0.0, 0.0]) - 0.25).abs() < 1e-9);
        let line: Vec<(f64, f64)> = (0..9).map(|x| (f64::from(x), 5.0 - f64::from(x))).collect();
        assert!((correlation(&line).unwrap() + 1.0).abs() < 1e-9);
        assert_eq!(percentile(&[1.0, 2.0, 9.0], 0.5), 2.0);
    }
}
