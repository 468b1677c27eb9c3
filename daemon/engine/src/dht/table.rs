//! The routing table: nodes that answered us, in buckets by how much of our id they share.
//!
//! Only nodes that answered a query of ours get in, so nobody gets in by talking. A full bucket keeps its old nodes, which are the
//! likeliest to stay; newer ones wait in a replacement cache until an old one fails.

use proto::{
    id::ID_LEN,
    krpc::{ID_BITS, NodeId, NodeInfo, is_local},
    time::Instant,
};
use std::{net::IpAddr, time::Duration};

/// Nodes in a bucket (BEP 5), and nodes in an answer.
pub(crate) const K: usize = 8;
/// Nodes waiting to replace one of a bucket's.
const SPARES: usize = 8;
/// A node that was heard from within this time is taken to be there (BEP 5).
pub(crate) const GOOD_FOR: Duration = Duration::from_secs(15 * 60);
/// Unanswered queries in a row after which a node is replaced.
const MAX_FAILS: u8 = 2;

/// A node in the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) node: NodeInfo,
    /// When it last answered, or asked us something.
    heard: Instant,
    /// Queries in a row that it did not answer.
    fails: u8,
    /// A ping is under way to find out whether it is still there.
    probed: bool,
}

impl Entry {
    pub(crate) fn is_good(&self, now: Instant) -> bool {
        self.fails == 0 && now.since(self.heard) < GOOD_FOR
    }
}

#[derive(Clone, Debug, Default)]
struct Bucket {
    live: Vec<Entry>,
    spare: Vec<Entry>,
}

/// How one bucket is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketStatus {
    /// Leading bits that its nodes share with our id.
    pub common_bits: usize,
    /// Nodes.
    pub nodes: usize,
    /// Of these, those that were heard from lately.
    pub good: usize,
    /// Nodes waiting to replace one.
    pub replacements: usize,
}

/// The routing table of one family.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    own: NodeId,
    /// By number of leading bits shared with `own`; as many as are needed, 160 at most.
    buckets: Vec<Bucket>,
}

impl Table {
    pub(crate) const fn new(own: NodeId) -> Self {
        Self { own, buckets: Vec::new() }
    }

    /// The same nodes, seen from another id.
    pub(crate) fn moved_to(&self, own: NodeId) -> Self {
        let mut table = Self::new(own);
        for entry in self.buckets.iter().flat_map(|b| b.live.iter().chain(&b.spare)) {
            table.place(*entry);
        }
        table
    }

    pub(crate) fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.live.len()).sum()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.buckets.iter().flat_map(|bucket| &bucket.live)
    }

    pub(crate) fn status(&self, now: Instant) -> Vec<BucketStatus> {
        let status = |(common_bits, bucket): (usize, &Bucket)| BucketStatus {
            common_bits,
            nodes: bucket.live.len(),
            good: bucket.live.iter().filter(|entry| entry.is_good(now)).count(),
            replacements: bucket.spare.len(),
        };
        self.buckets.iter().enumerate().map(status).filter(|b| b.nodes + b.replacements > 0).collect()
    }

    /// A node answered. Returns a node of its bucket to ping: if that is gone, this one takes its place.
    pub(crate) fn answered(&mut self, now: Instant, node: NodeInfo) -> Option<NodeInfo> {
        if node.id == self.own {
            return None;
        }
        self.forget_other_ids(node);
        let at = self.bucket_of(node.id)?;
        let bucket = &mut self.buckets[at];
        if let Some(entry) = bucket.live.iter_mut().find(|entry| entry.node.id == node.id) {
            // Another endpoint with this id is an impostor as long as the first one answers.
            if entry.node.addr == node.addr || entry.fails > 0 {
                *entry = Entry { node, heard: now, fails: 0, probed: false };
            }
            return None;
        }
        if self.crowded(node) {
            return None;
        }
        self.place(Entry { node, heard: now, fails: 0, probed: false });
        self.probe_oldest(now, at)
    }

    /// A node asked us something. Returns whether it is unknown and there is room for it: then a ping is worth while.
    pub(crate) fn asked_us(&mut self, now: Instant, node: NodeInfo) -> bool {
        let Some(at) = self.bucket_of(node.id) else { return false };
        let bucket = &mut self.buckets[at];
        if let Some(entry) = bucket.live.iter_mut().chain(&mut bucket.spare).find(|e| e.node.id == node.id) {
            if entry.node.addr == node.addr {
                entry.heard = now;
            }
            return false;
        }
        (bucket.live.len() < K || bucket.spare.len() < SPARES / 2) && !self.crowded(node)
    }

    /// A node did not answer, or answered with another id.
    pub(crate) fn failed(&mut self, node: NodeInfo) {
        let Some(at) = self.bucket_of(node.id) else { return };
        let bucket = &mut self.buckets[at];
        bucket.spare.retain(|entry| entry.node != node);
        let Some(place) = bucket.live.iter().position(|entry| entry.node == node) else { return };
        let entry = &mut bucket.live[place];
        entry.fails = entry.fails.saturating_add(1);
        entry.probed = false;
        if entry.fails >= MAX_FAILS || !bucket.spare.is_empty() {
            bucket.live.remove(place);
            // The one that was heard from last.
            bucket.live.extend(bucket.spare.pop());
        }
    }

    /// The nodes nearest to a point, nearest first, without those that are failing.
    pub(crate) fn closest(&self, target: &NodeId, count: usize) -> Vec<NodeInfo> {
        let mut found: Vec<NodeInfo> = Vec::with_capacity(count + K);
        let shared = self.own.common_bits(target).min(ID_BITS - 1);
        // A bucket's nodes share more with the target than any other's if it is the target's own; those of all deeper
        // buckets share as much as we do; those of shallower ones less and less.
        self.collect(shared..shared + 1, target, &mut found);
        if found.len() < count {
            self.collect(shared + 1..ID_BITS, target, &mut found);
        }
        for at in (0..shared).rev() {
            if found.len() >= count {
                break;
            }
            self.collect(at..at + 1, target, &mut found);
        }
        found.truncate(count);
        found
    }

    /// Adds some buckets' nodes, in the order of their distance.
    fn collect(&self, buckets: std::ops::Range<usize>, target: &NodeId, found: &mut Vec<NodeInfo>) {
        let from = found.len();
        let end = buckets.end.min(self.buckets.len());
        let entries =
            self.buckets.get(buckets.start..end).into_iter().flatten().flat_map(|bucket| &bucket.live);
        found.extend(entries.filter(|entry| entry.fails == 0).map(|entry| entry.node));
        found[from..].sort_by_key(|node| node.id.distance(target));
    }

    /// The node that was silent for the longest time, if for too long, to be pinged.
    pub(crate) fn stalest(&mut self, now: Instant) -> Option<NodeInfo> {
        let stale = self.buckets.iter_mut().flat_map(|bucket| &mut bucket.live);
        let stale =
            stale.filter(|entry| !entry.probed && !entry.is_good(now)).min_by_key(|entry| entry.heard)?;
        stale.probed = true;
        Some(stale.node)
    }

    /// Whether a node with this endpoint is here, and has thus proved that it receives what is sent there.
    pub(crate) fn has_endpoint(&self, node: NodeInfo) -> bool {
        let bucket = self.buckets.get(self.own.common_bits(&node.id));
        bucket.is_some_and(|b| b.live.iter().chain(&b.spare).any(|entry| entry.node == node))
    }

    /// A point in the shallowest bucket that has room though deeper ones have nodes: looking it up may fill it.
    pub(crate) fn thin_spot(&self, random: [u8; ID_LEN]) -> Option<NodeId> {
        let deepest = self.buckets.len().checked_sub(1)?;
        let at = self.buckets[..deepest].iter().position(|bucket| bucket.live.len() < K)?;
        let mut id = self.own.0;
        let flip = at / 8;
        let bit = 0x80u8 >> (at % 8);
        id[flip] = (self.own.0[flip] ^ bit) & !(bit - 1) | random[flip] & (bit - 1);
        id[flip + 1..].copy_from_slice(&random[flip + 1..]);
        Some(NodeId(id))
    }

    /// The index of the bucket for an id, which is made if need be. `None` for our own id.
    fn bucket_of(&mut self, id: NodeId) -> Option<usize> {
        let at = self.own.common_bits(&id);
        if at >= ID_BITS {
            return None;
        }
        if at >= self.buckets.len() {
            self.buckets.resize_with(at + 1, Bucket::default);
        }
        Some(at)
    }

    /// An endpoint has one id: entries that give it another are out of date.
    fn forget_other_ids(&mut self, node: NodeInfo) {
        let other = |entry: &Entry| entry.node.addr != node.addr || entry.node.id == node.id;
        for bucket in &mut self.buckets {
            bucket.live.retain(other);
            bucket.spare.retain(other);
        }
    }

    /// Whether another node of the same address (IPv6: the same /64) is here. One attacker with one address gets
    /// one place. Nodes in one's own network are exempt.
    fn crowded(&self, node: NodeInfo) -> bool {
        let near = neighbourhood(node.addr.ip());
        near.is_some() && self.entries().any(|entry| neighbourhood(entry.node.addr.ip()) == near)
    }

    /// Puts a node where there is room for it: the bucket, in place of one whose id does not fit its address, or the
    /// replacement cache.
    fn place(&mut self, entry: Entry) {
        let Some(at) = self.bucket_of(entry.node.id) else { return };
        let fits = |node: &NodeInfo| node.id.fits_address(node.addr.ip());
        let bucket = &mut self.buckets[at];
        if bucket.live.len() < K {
            bucket.live.push(entry);
            return;
        }
        if fits(&entry.node)
            && let Some(misfit) = bucket.live.iter_mut().find(|other| !fits(&other.node))
        {
            *misfit = entry;
            return;
        }
        bucket.spare.retain(|other| other.node.id != entry.node.id);
        if bucket.spare.len() >= SPARES {
            bucket.spare.remove(0);
        }
        bucket.spare.push(entry);
    }

    /// A silent node of a full bucket that has replacements waiting.
    fn probe_oldest(&mut self, now: Instant, at: usize) -> Option<NodeInfo> {
        let bucket = self.buckets.get_mut(at).filter(|bucket| !bucket.spare.is_empty())?;
        let oldest = bucket.live.iter_mut().filter(|entry| !entry.probed && !entry.is_good(now));
        let oldest = oldest.min_by_key(|entry| entry.heard)?;
        oldest.probed = true;
        Some(oldest.node)
    }
}

/// What one party is taken to hold: an address, or a /64 of IPv6. `None` for one's own network.
pub(crate) fn neighbourhood(ip: IpAddr) -> Option<u64> {
    if is_local(ip) {
        return None;
    }
    Some(match ip {
        IpAddr::V4(ip) => u64::from(ip.to_bits()),
        IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: NodeId = NodeId([0; 20]);
    const NOW: Instant = Instant::from_secs(10_000);

    /// A node in bucket `bucket`, the `n`-th one, at an address of its own that its id need not fit.
    fn node(bucket: usize, n: u8) -> NodeInfo {
        let mut id = [0; 20];
        id[bucket / 8] = 0x80 >> (bucket % 8);
        id[19] = n + 1;
        let bucket = u8::try_from(bucket).unwrap();
        NodeInfo { id: NodeId(id), addr: format!("10.{bucket}.{n}.1:6881").parse().unwrap() }
    }

    fn full_bucket() -> Table {
        let mut table = Table::new(OWN);
        for n in 0..8 {
            assert_eq!(table.answered(NOW, node(0, n)), None);
        }
        table
    }

    #[test]
    fn the_nearest_are_found_in_order() {
        let mut table = Table::new(OWN);
        let all: Vec<NodeInfo> = (0..12).flat_map(|bucket| (0..6).map(move |n| node(bucket, n))).collect();
        for node in &all {
            table.answered(NOW, *node);
        }
        for target in [OWN, NodeId([0xff; 20]), NodeId([0x10; 20]), all[40].id] {
            let mut wanted = all.clone();
            wanted.sort_by_key(|node| node.id.distance(&target));
            wanted.truncate(20);
            assert_eq!(table.closest(&target, 20), wanted);
        }
    }

    #[test]
    fn an_old_node_keeps_its_place_until_it_fails() {
        let mut table = full_bucket();
        assert_eq!(table.answered(NOW, node(0, 8)), None);
        assert_eq!(table.len(), 8);
        let later = NOW + GOOD_FOR;
        // A newer node makes us ask the silent one.
        assert_eq!(table.answered(later, node(0, 9)), Some(node(0, 0)));
        table.failed(node(0, 0));
        let ids: Vec<NodeInfo> = table.entries().map(|entry| entry.node).collect();
        assert!(!ids.contains(&node(0, 0)) && ids.contains(&node(0, 9)));
        // Without replacements left it takes two failures.
        table.failed(node(0, 1));
        assert!(table.closest(&OWN, 20).contains(&node(0, 8)));
        table.failed(node(0, 2));
        assert_eq!((table.len(), table.closest(&OWN, 20).len()), (8, 7));
        table.failed(node(0, 2));
        assert_eq!(table.len(), 7);
    }

    #[test]
    fn impostors_and_crowds_stay_out() {
        let mut table = full_bucket();
        let mut impostor = node(0, 3);
        impostor.addr.set_port(1);
        table.answered(NOW, impostor);
        assert!(!table.has_endpoint(impostor) && table.has_endpoint(node(0, 3)));
        let mut table = Table::new(OWN);
        for n in 0..5 {
            let addr = std::net::SocketAddr::from(([1, 2, 3, 4], 1000 + u16::from(n)));
            table.answered(NOW, NodeInfo { addr, ..node(usize::from(n), n) });
        }
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn ids_that_fit_their_address_are_preferred() {
        let ip = |n: u8| IpAddr::from([60, 1, 2, n]);
        let misfits = (0..100u8).map(|n| (NodeId([0x80 | n; 20]), ip(n)));
        let mut table = Table::new(OWN);
        for (id, ip) in misfits.filter(|(id, ip)| !id.fits_address(*ip)).take(8) {
            table.answered(NOW, NodeInfo { id, addr: (ip, 1).into() });
        }
        let fitting = (200..=255u8)
            .map(|n| NodeInfo { id: NodeId::for_address(ip(n), [n; 20]), addr: (ip(n), 1).into() });
        let fitting = fitting.into_iter().find(|node| node.id.common_bits(&OWN) == 0).unwrap();
        assert_eq!(table.len(), 8);
        table.answered(NOW, fitting);
        assert!(table.has_endpoint(fitting) && table.entries().any(|entry| entry.node == fitting));
    }

    #[test]
    fn silent_nodes_are_asked_once() {
        let mut table = full_bucket();
        assert_eq!(table.stalest(NOW), None);
        let later = NOW + GOOD_FOR;
        let asked: Vec<NodeInfo> = std::iter::from_fn(|| table.stalest(later)).collect();
        assert_eq!(asked.len(), 8);
        table.answered(later, node(0, 0));
        assert_eq!(table.stalest(later), None);
    }

    #[test]
    fn thin_buckets_are_named_by_a_point_inside() {
        let mut table = full_bucket();
        assert_eq!(table.thin_spot([0; 20]), None);
        table.answered(NOW, node(5, 0));
        let spot = table.thin_spot([0xff; 20]).unwrap();
        assert_eq!(spot.common_bits(&OWN), 1);
    }
}
