//! One search through the DHT: asks ever nearer nodes until the nearest have all answered.
//!
//! Anyone can claim to be near a point. Nodes whose id fits their address (BEP 42) cannot choose where they are, so eight
//! of those must answer before a lookup is done; others are asked too, but do not take their places. What one answer may add
//! is bounded, and so is the number of nodes that are asked.

use super::table::K;
use proto::{
    krpc::{Distance, NodeId, NodeInfo, Token},
    time::Instant,
};
use std::{net::SocketAddr, time::Duration};

/// Queries under way at a time, slow ones not counted (Kademlia's alpha).
const ALPHA: usize = 4;
/// After this time an unanswered query makes room for another. Most answers come within half a second.
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// Most nodes that one lookup asks. Twenty are usual; a hostile swarm of junk costs no more than this.
const MAX_ASKED: usize = 128;
/// Most nodes taken from one answer.
const MAX_FROM_ONE: usize = K;
/// Most candidates that are kept, the nearest.
const MAX_CANDIDATES: usize = 256;

/// A node that a lookup asked, and how that went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Its id; `None` if it was not known before it answered, and it did not.
    pub id: Option<NodeId>,
    /// Its endpoint.
    pub addr: SocketAddr,
    /// Leading bits that its id has in common with the target.
    pub common_bits: usize,
    /// How many nodes led to it: 0 for one that we knew.
    pub depth: u32,
    /// How long its answer took; `None` if there was none.
    pub rtt: Option<Duration>,
    /// Peers that it gave.
    pub peers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Asked { at: Instant, slow: bool },
    Answered,
    Failed,
}

#[derive(Clone, Debug)]
struct Candidate {
    id: Option<NodeId>,
    addr: SocketAddr,
    /// The largest there is while the id is unknown.
    distance: Distance,
    /// Its id is one that its address may have.
    fits: bool,
    state: State,
    depth: u32,
    token: Option<Token>,
    /// Index into the path.
    hop: usize,
}

/// A node that answered, with the token it gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) node: NodeInfo,
    pub(crate) token: Option<Token>,
    pub(crate) depth: u32,
}

/// The search.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) target: NodeId,
    pub(crate) started: Instant,
    /// Nearest first.
    candidates: Vec<Candidate>,
    path: Vec<Hop>,
}

impl Lookup {
    pub(crate) const fn new(now: Instant, target: NodeId) -> Self {
        Self { target, started: now, candidates: Vec::new(), path: Vec::new() }
    }

    /// Adds a node that we know.
    pub(crate) fn seed(&mut self, node: NodeInfo) {
        self.add(Some(node.id), node.addr, 0);
    }

    /// Adds an endpoint whose node's id is not known.
    pub(crate) fn seed_addr(&mut self, addr: SocketAddr) {
        self.add(None, addr, 0);
    }

    pub(crate) fn path(&self) -> &[Hop] {
        &self.path
    }

    /// Notes which queries have become slow.
    pub(crate) fn notice_slow(&mut self, now: Instant) {
        for candidate in &mut self.candidates {
            if let State::Asked { at, slow } = &mut candidate.state {
                *slow |= now >= *at + SLOW_AFTER;
            }
        }
    }

    /// The next node to ask, which counts as asked from now on.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(SocketAddr, Option<NodeId>)> {
        if self.path.len() >= MAX_ASKED || self.in_flight() >= ALPHA {
            return None;
        }
        let at = self.best_new()?;
        let hop = self.path.len();
        let candidate = &mut self.candidates[at];
        candidate.state = State::Asked { at: now, slow: false };
        candidate.hop = hop;
        let (id, addr) = (candidate.id, candidate.addr);
        let common_bits = id.map_or(0, |id| id.common_bits(&self.target));
        self.path.push(Hop { id, addr, common_bits, depth: candidate.depth, rtt: None, peers: 0 });
        Some((addr, id))
    }

    /// A node that was asked has answered.
    pub(crate) fn answered(
        &mut self,
        now: Instant,
        node: NodeInfo,
        token: Option<Token>,
        named: impl Iterator<Item = NodeInfo>,
        peers: usize,
    ) {
        let Some(at) = self.asked(node.addr) else { return };
        let target = self.target;
        let candidate = &mut self.candidates[at];
        let State::Asked { at: asked, .. } = candidate.state else { return };
        candidate.state = State::Answered;
        candidate.token = token;
        let depth = candidate.depth + 1;
        if let Some(hop) = self.path.get_mut(candidate.hop) {
            hop.rtt = Some(now.since(asked));
            hop.peers = peers;
            hop.id = Some(node.id);
            hop.common_bits = node.id.common_bits(&target);
        }
        if candidate.id.is_none() {
            candidate.id = Some(node.id);
            candidate.distance = node.id.distance(&target);
            candidate.fits = node.id.fits_address(node.addr.ip());
            self.candidates.sort_by_key(|candidate| candidate.distance);
        }
        named.take(MAX_FROM_ONE).for_each(|node| self.add(Some(node.id), node.addr, depth));
    }

    /// A node that was asked has not answered, or not as itself.
    pub(crate) fn failed(&mut self, addr: SocketAddr) {
        if let Some(at) = self.asked(addr) {
            self.candidates[at].state = State::Failed;
        }
    }

    /// Whether the nearest nodes have answered, or nobody is left to ask.
    pub(crate) fn is_done(&self) -> bool {
        let waiting = self.candidates.iter().any(|c| matches!(c.state, State::Asked { .. }));
        if self.path.len() >= MAX_ASKED {
            return !waiting;
        }
        self.best_new().is_none()
            && !(waiting && self.window().any(|c| matches!(c.state, State::Asked { .. })))
    }

    /// When a query that is under way becomes slow and another may start.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let asked = self.candidates.iter().filter_map(|candidate| match candidate.state {
            State::Asked { at, slow: false } => Some(at + SLOW_AFTER),
            _ => None,
        });
        asked.min()
    }

    /// The nearest nodes that answered, nearest first: eight with ids that fit their address and, if nearer, some others.
    pub(crate) fn closest(&self) -> Vec<Answered> {
        let answered = |candidate: &Candidate| {
            let node = NodeInfo { id: candidate.id?, addr: candidate.addr };
            let done = candidate.state == State::Answered;
            done.then(|| Answered { node, token: candidate.token.clone(), depth: candidate.depth })
        };
        self.window().filter_map(answered).collect()
    }

    /// The candidates that matter: the nearest that did not fail, up to the eighth whose id fits, and at most eight
    /// whose id does not.
    fn window(&self) -> impl Iterator<Item = &Candidate> {
        let mut fitting = 0;
        let mut others = 0;
        self.candidates.iter().filter(|c| c.state != State::Failed).filter(move |candidate| {
            let count = if candidate.fits { &mut fitting } else { &mut others };
            *count += 1;
            *count <= K && (candidate.fits || fitting < K)
        })
    }

    /// The index of the nearest candidate of the window that was not asked; those with fitting ids first.
    fn best_new(&self) -> Option<usize> {
        let new = || self.window().filter(|candidate| candidate.state == State::New);
        let best = new().find(|candidate| candidate.fits).or_else(|| new().next())?.addr;
        self.candidates.iter().position(|candidate| candidate.addr == best)
    }

    /// Queries under way that are not slow.
    fn in_flight(&self) -> usize {
        self.candidates.iter().filter(|c| matches!(c.state, State::Asked { slow: false, .. })).count()
    }

    fn asked(&self, addr: SocketAddr) -> Option<usize> {
        let asked = |c: &Candidate| c.addr == addr && matches!(c.state, State::Asked { .. });
        self.candidates.iter().position(asked)
    }

    fn add(&mut self, id: Option<NodeId>, addr: SocketAddr, depth: u32) {
        let known = |other: &Candidate| other.addr == addr || (id.is_some() && other.id == id);
        if self.candidates.iter().any(known) {
            return;
        }
        let distance = id.map_or(Distance([0xff; 20]), |id| id.distance(&self.target));
        let fits = id.is_some_and(|id| id.fits_address(addr.ip()));
        let at = self.candidates.partition_point(|other| other.distance <= distance);
        let candidate = Candidate { id, addr, distance, fits, state: State::New, depth, token: None, hop: 0 };
        self.candidates.insert(at, candidate);
        if self.candidates.len() > MAX_CANDIDATES {
            // The farthest that nobody waits for.
            let last = self.candidates.iter().rposition(|c| !matches!(c.state, State::Asked { .. }));
            last.map(|at| self.candidates.remove(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: NodeId = NodeId([0; 20]);
    const NOW: Instant = Instant::START;

    /// In one's own network any id fits.
    fn near(n: u8) -> NodeInfo {
        NodeInfo { id: NodeId([n; 20]), addr: ([10, 0, 0, n], 1).into() }
    }

    /// On the Internet these do not.
    fn misfit(n: u8) -> NodeInfo {
        NodeInfo { id: NodeId([n; 20]), addr: ([60, 0, 0, n], 1).into() }
    }

    fn ask_all(lookup: &mut Lookup, now: Instant) -> Vec<SocketAddr> {
        std::iter::from_fn(|| lookup.next(now)).map(|(addr, _)| addr).collect()
    }

    #[test]
    fn four_are_asked_at_a_time_and_slow_ones_make_room() {
        let mut lookup = Lookup::new(NOW, TARGET);
        (1..=10).rev().for_each(|n| lookup.seed(near(n)));
        assert_eq!(ask_all(&mut lookup, NOW), [1, 2, 3, 4].map(|n| near(n).addr));
        lookup.answered(NOW, near(1), None, std::iter::empty(), 0);
        assert_eq!(ask_all(&mut lookup, NOW), [near(5).addr]);
        assert_eq!(lookup.deadline(), Some(NOW + SLOW_AFTER));
        lookup.notice_slow(NOW + SLOW_AFTER);
        assert_eq!(lookup.deadline(), None);
        assert_eq!(ask_all(&mut lookup, NOW + SLOW_AFTER), [6, 7, 8].map(|n| near(n).addr));
    }

    #[test]
    fn it_ends_when_the_nearest_eight_have_answered() {
        let mut lookup = Lookup::new(NOW, TARGET);
        (1..=20).for_each(|n| lookup.seed(near(n * 10)));
        while !lookup.is_done() {
            for addr in ask_all(&mut lookup, NOW) {
                let std::net::IpAddr::V4(ip) = addr.ip() else { continue };
                let n = ip.octets()[3];
                if n == 20 {
                    lookup.failed(addr);
                } else {
                    // Each names one that is nearer.
                    lookup.answered(NOW, near(n), Some(vec![n]), [near(n.saturating_sub(1))].into_iter(), 0);
                }
            }
        }
        let closest = lookup.closest();
        assert_eq!(closest.len(), K);
        assert!(closest.is_sorted_by_key(|a| a.node.id) && closest[0].node == near(0));
        assert_eq!(closest[0].token.as_deref(), Some(&[0][..]));
        assert!(lookup.path().iter().all(|hop| hop.rtt.is_some() || hop.addr == near(20).addr));
        assert!(closest[0].depth >= 7);
    }

    #[test]
    fn ids_that_do_not_fit_take_nobodys_place() {
        let mut lookup = Lookup::new(NOW, TARGET);
        (1..=100).for_each(|n| lookup.seed(misfit(n)));
        (101..=120).for_each(|n| lookup.seed(near(n)));
        while !lookup.is_done() {
            for addr in ask_all(&mut lookup, NOW) {
                let std::net::IpAddr::V4(ip) = addr.ip() else { continue };
                let [first, .., n] = ip.octets();
                let node = if first == 10 { near(n) } else { misfit(n) };
                lookup.answered(NOW, node, None, std::iter::empty(), 0);
            }
        }
        let closest = lookup.closest();
        assert_eq!(closest.iter().filter(|a| a.node.addr.ip().to_string().starts_with("10.")).count(), K);
        assert!(lookup.path().len() <= 2 * K);
    }

    #[test]
    fn a_flood_of_names_costs_a_bounded_number_of_queries() {
        let mut lookup = Lookup::new(NOW, NodeId([0xff; 20]));
        lookup.seed(near(1));
        let mut made = 0u32;
        let mut steps = 0;
        while !lookup.is_done() {
            steps += 1;
            for addr in ask_all(&mut lookup, NOW) {
                // Ever nearer, never ending.
                let named = (0..100).map(|_| {
                    made += 1;
                    let mut id = [0xff; 20];
                    id[..4].copy_from_slice(&(u32::MAX / 2 + made).to_be_bytes());
                    NodeInfo { id: NodeId(id), addr: ((0x0a00_0000 + made).to_be_bytes(), 2).into() }
                });
                let id = lookup.path().iter().rev().find(|hop| hop.addr == addr).and_then(|hop| hop.id);
                let named: Vec<_> = named.collect();
                lookup.answered(NOW, NodeInfo { id: id.unwrap(), addr }, None, named.into_iter(), 0);
            }
        }
        assert!(steps <= MAX_ASKED && lookup.path().len() <= MAX_ASKED);
        assert!(lookup.candidates.len() <= MAX_CANDIDATES);
    }

    #[test]
    fn an_unknown_id_is_learned() {
        let mut lookup = Lookup::new(NOW, TARGET);
        lookup.seed_addr(near(9).addr);
        assert_eq!(lookup.next(NOW), Some((near(9).addr, None)));
        assert!(!lookup.is_done());
        lookup.answered(NOW, near(9), None, std::iter::empty(), 3);
        assert!(lookup.is_done());
        assert_eq!((lookup.path()[0].id, lookup.path()[0].peers), (Some(near(9).id), 3));
        assert_eq!(lookup.closest()[0].node, near(9));
    }
}
