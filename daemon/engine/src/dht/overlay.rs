//! Our node among those of one family: its id, its routing table, and how it gets in.

use super::{
    Random,
    table::{K, Table, neighbourhood},
};
use proto::{
    krpc::{NodeId, NodeInfo, is_local},
    time::Instant,
};
use rand::Rng;
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    ops::Bound,
    time::Duration,
};

/// Addresses given to us to get in by that are kept.
const MAX_CONTACTS: usize = 64;
/// Nodes met in lookups that are remembered beyond the routing table, for other torrents' lookups to start from.
const MAX_MET: usize = 512;
/// How long they are remembered.
const MET_FOR: Duration = Duration::from_secs(10 * 60);
/// Opinions on our address that are kept.
const MAX_VOTES: usize = 16;
/// So many must agree before we believe them.
const MIN_VOTES: usize = 4;
/// Our surroundings are looked up this often when all is well.
const REFRESH: Duration = Duration::from_secs(15 * 60);
/// First pause after trying in vain to get in; it doubles up to [`REFRESH`].
const RETRY: Duration = Duration::from_secs(10);

/// IPv4 or IPv6: the two DHTs know nothing of each other (BEP 32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an endpoint.
    pub const fn of(addr: SocketAddr) -> Self {
        if addr.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// One family's half of our node.
#[derive(Debug)]
pub(crate) struct Overlay {
    pub(crate) family: Family,
    pub(crate) id: NodeId,
    pub(crate) table: Table,
    /// Our endpoint as others see it.
    pub(crate) external: Option<SocketAddr>,
    votes: VecDeque<(u64, SocketAddr)>,
    contacts: VecDeque<SocketAddr>,
    met: BTreeMap<NodeId, (SocketAddr, Instant)>,
    met_order: VecDeque<NodeId>,
    /// When anyone last answered.
    pub(crate) last_answer: Option<Instant>,
    /// When to look up our own surroundings next.
    pub(crate) refresh_at: Instant,
    pause: Duration,
}

impl Overlay {
    pub(crate) fn new(now: Instant, family: Family, id: NodeId) -> Self {
        Self {
            family,
            id,
            table: Table::new(id),
            external: None,
            votes: VecDeque::new(),
            contacts: VecDeque::new(),
            met: BTreeMap::new(),
            met_order: VecDeque::new(),
            last_answer: None,
            refresh_at: now,
            pause: RETRY,
        }
    }

    /// Whether there are too few nodes to find anything.
    pub(crate) fn is_lonely(&self) -> bool {
        self.table.len() < K
    }

    /// Whether nobody is known, or nobody of those that were given to us answers.
    pub(crate) fn is_stranded(&self) -> bool {
        self.table.len() == 0 && (self.contacts.is_empty() || self.pause > RETRY)
    }

    /// Remembers an endpoint that may be a node's, to get in by. Returns whether it is of use now.
    pub(crate) fn contact(&mut self, addr: SocketAddr) -> bool {
        if Family::of(addr) != self.family || self.contacts.contains(&addr) {
            return false;
        }
        if self.contacts.len() >= MAX_CONTACTS {
            self.contacts.pop_front();
        }
        self.contacts.push_back(addr);
        self.is_lonely()
    }

    pub(crate) fn contacts(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.contacts.iter().copied()
    }

    pub(crate) fn has_contacts(&self) -> bool {
        !self.contacts.is_empty() || self.table.len() > 0
    }

    /// There is news: the next lookup of our surroundings need not wait.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.refresh_at = self.refresh_at.min(now);
        self.pause = RETRY;
    }

    /// A lookup of our surroundings has started; sets the time of the next one.
    pub(crate) fn refreshed(&mut self, now: Instant) {
        self.pause = if self.is_lonely() { (self.pause * 2).min(REFRESH) } else { REFRESH };
        self.refresh_at = now + self.pause;
    }

    /// Remembers a node that answered in a torrent's lookup.
    pub(crate) fn meet(&mut self, now: Instant, node: NodeInfo) {
        if self.met.insert(node.id, (node.addr, now)).is_none() {
            self.met_order.push_back(node.id);
        }
        while self.met_order.len() > MAX_MET {
            self.met_order.pop_front().and_then(|id| self.met.remove(&id));
        }
    }

    /// Nodes to start a lookup from: the nearest of the routing table, and of those met lately the neighbours in
    /// numeric order, which share the longest prefix.
    pub(crate) fn near(&self, now: Instant, target: &NodeId) -> Vec<NodeInfo> {
        let mut found = self.table.closest(target, K);
        let below = self.met.range(..*target).rev().take(K / 2);
        let above = self.met.range((Bound::Included(*target), Bound::Unbounded)).take(K / 2);
        let lately = below.chain(above).filter(|(_, (_, at))| now.since(*at) < MET_FOR);
        found.extend(lately.map(|(id, (addr, _))| NodeInfo { id: *id, addr: *addr }));
        found
    }

    /// A node that does not answer any more.
    pub(crate) fn lost(&mut self, node: NodeInfo) {
        self.table.failed(node);
        self.met.remove(&node.id);
        self.met_order.retain(|id| *id != node.id);
    }

    /// A node tells us how it sees us. Returns our endpoint if enough agree, and it is a new one.
    pub(crate) fn vote(&mut self, from: SocketAddr, seen_as: SocketAddr) -> Option<SocketAddr> {
        if Family::of(seen_as) != self.family || is_local(seen_as.ip()) {
            return None;
        }
        // Nodes in our own network each have a voice, others one for each neighbourhood.
        let voter = neighbourhood(from.ip()).unwrap_or(u64::from(from.port()) << 48);
        self.votes.retain(|(other, _)| *other != voter);
        self.votes.push_back((voter, seen_as));
        if self.votes.len() > MAX_VOTES {
            self.votes.pop_front();
        }
        let agreeing = self.votes.iter().filter(|(_, vote)| vote.ip() == seen_as.ip()).count();
        let believed = agreeing >= MIN_VOTES && agreeing * 2 > self.votes.len();
        let news = self.external.map(|known| known.ip()) != Some(seen_as.ip());
        if believed {
            self.external = Some(seen_as);
        }
        (believed && news).then_some(seen_as)
    }

    /// Takes an id that fits our address, if ours does not (BEP 42). Returns whether it changed.
    pub(crate) fn settle(&mut self, now: Instant, seen_as: SocketAddr, rng: &mut Random) -> bool {
        self.external = Some(seen_as);
        if self.id.fits_address(seen_as.ip()) {
            return false;
        }
        self.id = NodeId::for_address(seen_as.ip(), rng.random());
        self.table = self.table.moved_to(self.id);
        self.hurry(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn overlay() -> Overlay {
        Overlay::new(Instant::START, Family::V4, NodeId([0xaa; 20]))
    }

    #[test]
    fn a_majority_of_different_voters_is_believed() {
        let mut overlay = overlay();
        let (ours, wrong) = ("60.1.2.3:6881".parse().unwrap(), "60.9.9.9:1".parse().unwrap());
        let voter = |n: u8| SocketAddr::from(([70, 0, 0, n], 1));
        for _ in 0..20 {
            assert_eq!(overlay.vote(voter(0), wrong), None);
        }
        assert_eq!([1, 2, 3].map(|n| overlay.vote(voter(n), ours)), [None; 3]);
        assert_eq!(overlay.vote(voter(4), ours), Some(ours));
        assert_eq!(overlay.vote(voter(5), ours), None);
        assert_eq!(overlay.vote(voter(6), "192.168.0.1:1".parse().unwrap()), None);
        let mut rng = Random::seed_from_u64(1);
        assert!(overlay.settle(Instant::START, ours, &mut rng));
        assert!(overlay.id.fits_address(ours.ip()));
        assert!(!overlay.settle(Instant::START, ours, &mut rng));
    }

    #[test]
    fn nodes_met_lately_are_near_starts() {
        let mut overlay = overlay();
        for n in 0..=255 {
            overlay.meet(Instant::START, NodeInfo { id: NodeId([n; 20]), addr: ([10, 0, 0, n], 1).into() });
        }
        let target = NodeId([0x77; 20]);
        let near = overlay.near(Instant::START, &target);
        assert!(near.iter().any(|node| node.id == target) && near.len() == K);
        overlay.lost(NodeInfo { id: target, addr: ([10, 0, 0, 0x77], 1).into() });
        assert!(overlay.near(Instant::START, &target).iter().all(|node| node.id != target));
        assert!(overlay.near(Instant::START + MET_FOR, &target).is_empty());
    }

    #[test]
    fn trying_in_vain_gets_rarer() {
        let mut overlay = overlay();
        let mut at = Instant::START;
        let pauses: Vec<u64> = (0..9)
            .map(|_| {
                overlay.refreshed(at);
                let pause = overlay.refresh_at.since(at).as_secs();
                at = overlay.refresh_at;
                pause
            })
            .collect();
        assert_eq!(pauses, [20, 40, 80, 160, 320, 640, 900, 900, 900]);
        overlay.hurry(at);
        assert!(overlay.refresh_at <= at);
    }
}
