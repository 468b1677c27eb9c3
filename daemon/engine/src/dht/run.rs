//! Lookups with a purpose: torrents' peers, items, our own surroundings; and what is stored at their end.

use super::{
    Action, Announce, Dht, Family, Hop, Out,
    lookup::{Answered, Lookup},
    queries::{MAX_PENDING, Purpose},
    state::LookupStatus,
    store::is_peer,
};
use proto::{
    id::InfoHash,
    krpc::{Ask, Item, NodeId, NodeInfo, Put, Response, Token, is_local},
    time::Instant,
};
use rand::Rng;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::Duration,
};

/// Most lookups at a time for torrents that are wanted. Each has some four queries under way.
const MAX_RUNS: usize = 32;
/// Most jobs of callers at a time.
const MAX_JOBS: usize = 64;
/// Most peers that one lookup collects for its report.
const MAX_FOUND: usize = 1000;
/// Lookups that are shown after they ended.
const SHOWN: usize = 8;

/// How a lookup went, over both families.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Peers found, each once.
    pub peers: Vec<SocketAddr>,
    /// Nodes asked, in the order in which they were.
    pub path: Vec<Hop>,
    /// The nearest nodes that answered, nearest first.
    pub closest: Vec<NodeInfo>,
    /// How many steps it took to the nearest node: 1 if we knew it.
    pub hops: u32,
    /// How long it took.
    pub elapsed: Duration,
}

/// What a lookup is for.
#[derive(Clone, Debug)]
enum Goal {
    /// To know our surroundings.
    Refresh,
    /// A torrent's peers, and perhaps to be one of them.
    Torrent(InfoHash, Option<Announce>),
    /// An item; the newest so far.
    Get { salt: Vec<u8>, best: Option<Item> },
    /// To store an item.
    Put(Item, Option<i64>),
}

/// The end of a lookup: announcements or items are on their way to the nearest nodes.
#[derive(Clone, Copy, Debug)]
struct Storing {
    left: usize,
    stored: u32,
}

/// A lookup under way.
#[derive(Debug)]
struct Run {
    family: Family,
    lookup: Lookup,
    goal: Goal,
    job: Option<u64>,
    found: BTreeSet<SocketAddr>,
    storing: Option<Storing>,
}

/// A caller's job: a run in each family.
#[derive(Debug)]
struct Job {
    left: usize,
    report: Report,
    item: Option<Item>,
    stored: u32,
}

/// All lookups.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    next: u32,
    runs: BTreeMap<u32, Run>,
    jobs: BTreeMap<u64, Job>,
    shown: VecDeque<LookupStatus>,
}

impl Runs {
    pub(crate) fn has_room(&self) -> bool {
        self.runs.len() < MAX_RUNS
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let searching = self.runs.values().filter(|run| run.storing.is_none());
        searching.filter_map(|run| run.lookup.deadline()).min()
    }

    pub(crate) fn count(&self, family: Family) -> usize {
        self.runs.values().filter(|run| run.family == family).count()
    }

    /// Lookups under way, and some that ended, the latest last.
    pub(crate) fn status(&self, now: Instant) -> Vec<LookupStatus> {
        self.shown.iter().cloned().chain(self.runs.values().map(|run| run.status(now, false))).collect()
    }

    fn is_refreshing(&self, family: Family) -> bool {
        self.runs.values().any(|run| run.family == family && matches!(run.goal, Goal::Refresh))
    }
}

impl Run {
    fn question(&self) -> Ask {
        let target = self.lookup.target;
        match &self.goal {
            Goal::Refresh => Ask::FindNode { target },
            Goal::Torrent(info_hash, announce) => Ask::GetPeers {
                info_hash: *info_hash,
                no_seed: announce.is_some_and(|announce| announce.seed),
                scrape: false,
            },
            Goal::Get { .. } | Goal::Put(..) => Ask::Get { target, seq: None },
        }
    }

    /// What is to be stored at a node at the end.
    fn gift(&self, token: Token) -> Option<Ask> {
        match &self.goal {
            Goal::Torrent(info_hash, Some(announce)) => {
                Some(Ask::Announce { info_hash: *info_hash, port: announce.port, token, seed: announce.seed })
            }
            Goal::Put(item, cas) => Some(Ask::Put(Box::new(Put { token, item: item.clone(), cas: *cas }))),
            _ => None,
        }
    }

    /// Takes an item from an answer, if it is what was asked for and newer than what there is.
    fn take_item(&mut self, item: Option<Item>) {
        let Goal::Get { salt, best } = &mut self.goal else { return };
        let Some(mut item) = item else { return };
        if let Item::Mutable(mutable) = &mut item {
            mutable.salt.clone_from(salt);
        }
        let newer = match (&item, &*best) {
            (Item::Mutable(new), Some(Item::Mutable(old))) => new.seq > old.seq,
            (_, old) => old.is_none(),
        };
        if newer && item.target() == self.lookup.target && item.check().is_ok() {
            *best = Some(item);
        }
    }

    fn is_done(&self) -> bool {
        let found = matches!(&self.goal, Goal::Get { best: Some(Item::Immutable(_)), .. });
        found || self.lookup.is_done()
    }

    fn status(&self, now: Instant, done: bool) -> LookupStatus {
        LookupStatus {
            target: self.lookup.target,
            family: self.family,
            elapsed: now.since(self.lookup.started),
            peers: self.found.len(),
            path: self.lookup.path().to_vec(),
            done,
        }
    }
}

impl Dht {
    pub(super) fn look_up(&mut self, now: Instant, job: u64, info_hash: InfoHash, out: &mut Out) {
        let target = info_hash.into();
        self.start_job(now, job, target, &Goal::Torrent(info_hash, None), out);
        self.close_if_done(job, &Goal::Torrent(info_hash, None), out);
    }

    pub(super) fn get(&mut self, now: Instant, job: u64, target: NodeId, salt: &[u8], out: &mut Out) {
        let goal = Goal::Get { salt: salt.to_vec(), best: None };
        self.start_job(now, job, target, &goal, out);
        self.close_if_done(job, &goal, out);
    }

    pub(super) fn put(&mut self, now: Instant, job: u64, item: Item, cas: Option<i64>, out: &mut Out) {
        let target = item.target();
        let goal = Goal::Put(item, cas);
        self.start_job(now, job, target, &goal, out);
        self.close_if_done(job, &goal, out);
    }

    /// Starts a job in each family. Beyond [`MAX_JOBS`] it ends at once with nothing.
    fn start_job(&mut self, now: Instant, job: u64, target: NodeId, goal: &Goal, out: &mut Out) {
        let families: Vec<Family> = self.overlays().map(|overlay| overlay.family).collect();
        let room = self.runs.jobs.len() < MAX_JOBS && !self.runs.jobs.contains_key(&job);
        let left = if room { families.len() } else { 0 };
        self.runs.jobs.insert(job, Job { left, report: Report::default(), item: None, stored: 0 });
        for family in families.into_iter().take(left) {
            self.start(now, family, target, goal.clone(), Some(job), out);
        }
    }

    fn start(
        &mut self,
        now: Instant,
        family: Family,
        target: NodeId,
        goal: Goal,
        job: Option<u64>,
        out: &mut Out,
    ) {
        let Some(overlay) = self.overlay(family) else { return };
        let mut lookup = Lookup::new(now, target);
        overlay.near(now, &target).into_iter().for_each(|node| lookup.seed(node));
        if overlay.is_lonely() {
            overlay.contacts().for_each(|addr| lookup.seed_addr(addr));
        }
        self.runs.next = self.runs.next.wrapping_add(1);
        let key = self.runs.next;
        let run = Run { family, lookup, goal, job, found: BTreeSet::new(), storing: None };
        self.runs.runs.insert(key, run);
        self.drive(now, key, out);
    }

    /// Looks up our own surroundings when that is due.
    pub(super) fn refresh(&mut self, now: Instant, out: &mut Out) {
        for family in [Family::V4, Family::V6] {
            let refreshing = self.runs.is_refreshing(family);
            let Some(overlay) = self.overlay_mut(family).filter(|overlay| now >= overlay.refresh_at) else {
                continue;
            };
            let own = overlay.id;
            let stranded = overlay.is_stranded();
            overlay.refreshed(now);
            if stranded && !out.contains(&Action::NeedContacts) {
                out.push(Action::NeedContacts);
            }
            if self.overlay(family).is_some_and(|overlay| overlay.has_contacts()) && !refreshing {
                self.start(now, family, own, Goal::Refresh, None, out);
            }
        }
    }

    /// Starts the lookups of torrents that are due.
    pub(super) fn start_wanted(&mut self, now: Instant, out: &mut Out) {
        while self.runs.has_room() && self.is_ready() {
            let Some((info_hash, announce)) = self.wants.next(now, &mut self.rng) else { break };
            for family in [Family::V4, Family::V6] {
                if self.is_ready_in(family) {
                    self.start(now, family, info_hash.into(), Goal::Torrent(info_hash, announce), None, out);
                }
            }
        }
    }

    /// Whether lookups of torrents have a chance: somebody is known, and we are not just getting in.
    pub(super) fn is_ready(&self) -> bool {
        self.is_ready_in(Family::V4) || self.is_ready_in(Family::V6)
    }

    fn is_ready_in(&self, family: Family) -> bool {
        let overlay = self.overlay(family);
        overlay.is_some_and(|o| o.table.len() > 0 && (!o.is_lonely() || !self.runs.is_refreshing(family)))
    }

    pub(super) fn drive_all(&mut self, now: Instant, out: &mut Out) {
        let keys: Vec<u32> = self.runs.runs.keys().copied().collect();
        keys.into_iter().for_each(|key| self.drive(now, key, out));
    }

    /// Asks whom a lookup wants to ask next, and ends it when it is done.
    fn drive(&mut self, now: Instant, key: u32, out: &mut Out) {
        if let Some(run) = self.runs.runs.get_mut(&key) {
            run.lookup.notice_slow(now);
        }
        loop {
            let Some(run) = self.runs.runs.get_mut(&key).filter(|run| run.storing.is_none()) else { return };
            if run.is_done() {
                return self.conclude(now, key, out);
            }
            if self.queries.len() >= MAX_PENDING {
                return;
            }
            let Some((addr, id)) = run.lookup.next(now) else { return };
            let ask = run.question();
            self.ask(now, addr, id, Purpose::Step(key), ask, out);
        }
    }

    /// A node has answered a lookup's question.
    pub(super) fn stepped(
        &mut self,
        now: Instant,
        key: u32,
        node: NodeInfo,
        mut response: Response,
        out: &mut Out,
    ) {
        let Some(run) = self.runs.runs.get_mut(&key) else { return };
        let overlay = match run.family {
            Family::V4 => self.v4.as_mut(),
            Family::V6 => self.v6.as_mut(),
        };
        let Some(overlay) = overlay else { return };
        let outside = !is_local(node.addr.ip());
        let plausible = |addr: SocketAddr| !(outside && is_local(addr.ip()));
        let mut peers = std::mem::take(&mut response.peers);
        peers.retain(|peer| is_peer(peer.ip()) && plausible(*peer));
        if let Goal::Torrent(info_hash, _) = run.goal {
            overlay.meet(now, node);
            let room = MAX_FOUND.saturating_sub(run.found.len());
            run.found.extend(peers.iter().take(room));
            if !peers.is_empty() && run.job.is_none() {
                out.push(Action::Peers { info_hash, addrs: peers.clone() });
            }
        }
        run.take_item(response.item.take());
        let own = overlay.id;
        let nodes = match run.family {
            Family::V4 => response.nodes4.take(),
            Family::V6 => response.nodes6.take(),
        };
        let named = nodes.into_iter().flatten().filter(|named| named.id != own && plausible(named.addr));
        run.lookup.answered(now, node, response.token.take(), named, peers.len());
        self.drive(now, key, out);
    }

    /// A node that a lookup asked did not answer it.
    pub(super) fn step_failed(&mut self, now: Instant, key: u32, addr: SocketAddr, out: &mut Out) {
        if let Some(run) = self.runs.runs.get_mut(&key) {
            run.lookup.failed(addr);
        }
        self.drive(now, key, out);
    }

    /// The search is over: stores what is to be stored.
    fn conclude(&mut self, now: Instant, key: u32, out: &mut Out) {
        let Some(run) = self.runs.runs.get_mut(&key) else { return };
        let gift = |Answered { node, token, .. }: Answered| Some((node, run.gift(token?)?));
        let gifts: Vec<(NodeInfo, Ask)> = run.lookup.closest().into_iter().filter_map(gift).collect();
        run.storing = Some(Storing { left: gifts.len(), stored: 0 });
        if gifts.is_empty() {
            return self.finish(now, key, out);
        }
        for (node, ask) in gifts {
            self.ask(now, node.addr, Some(node.id), Purpose::Store(key), ask, out);
        }
    }

    /// A node has stored what it was to store, or not.
    pub(super) fn stored(&mut self, now: Instant, key: u32, ok: bool, out: &mut Out) {
        let Some(storing) = self.runs.runs.get_mut(&key).and_then(|run| run.storing.as_mut()) else { return };
        storing.left = storing.left.saturating_sub(1);
        storing.stored += u32::from(ok);
        if storing.left == 0 {
            self.finish(now, key, out);
        }
    }

    fn finish(&mut self, now: Instant, key: u32, out: &mut Out) {
        let Some(run) = self.runs.runs.remove(&key) else { return };
        self.runs.shown.push_back(run.status(now, true));
        if self.runs.shown.len() > SHOWN {
            self.runs.shown.pop_front();
        }
        let closest = run.lookup.closest();
        match &run.goal {
            Goal::Refresh => self.fill_thin_spot(now, &run, out),
            Goal::Torrent(info_hash, _) if closest.is_empty() && run.job.is_none() => {
                self.wants.retry(now, *info_hash);
            }
            _ => {}
        }
        let Some(job) = run.job else { return };
        if let Some(entry) = self.runs.jobs.get_mut(&job) {
            entry.left = entry.left.saturating_sub(1);
            entry.add(now, &run, &closest);
        }
        self.close_if_done(job, &run.goal, out);
    }

    /// After a look at our own surroundings: if a bucket farther away has room, a lookup there may fill it.
    fn fill_thin_spot(&mut self, now: Instant, run: &Run, out: &mut Out) {
        let random = self.rng.random();
        let Some(overlay) = self.overlay(run.family).filter(|overlay| run.lookup.target == overlay.id) else {
            return;
        };
        if let Some(spot) = overlay.table.thin_spot(random) {
            self.start(now, run.family, spot, Goal::Refresh, None, out);
        }
    }

    /// Tells the caller that its job is done, when both families are.
    fn close_if_done(&mut self, job: u64, goal: &Goal, out: &mut Out) {
        if self.runs.jobs.get(&job).is_none_or(|entry| entry.left > 0) {
            return;
        }
        let Some(done) = self.runs.jobs.remove(&job) else { return };
        out.push(match goal {
            Goal::Get { .. } => Action::Got { job, item: done.item },
            Goal::Put(..) => Action::Stored { job, nodes: done.stored },
            Goal::Refresh | Goal::Torrent(..) => Action::Looked { job, report: done.report },
        });
    }
}

impl Job {
    fn add(&mut self, now: Instant, run: &Run, closest: &[Answered]) {
        self.stored += run.storing.map_or(0, |storing| storing.stored);
        if let Goal::Get { best: Some(item), .. } = &run.goal {
            let newer = match (item, &self.item) {
                (Item::Mutable(new), Some(Item::Mutable(old))) => new.seq > old.seq,
                (_, old) => old.is_none(),
            };
            if newer {
                self.item = Some(item.clone());
            }
        }
        let report = &mut self.report;
        report.peers.extend(&run.found);
        report.path.extend_from_slice(run.lookup.path());
        report.closest.extend(closest.iter().map(|answered| answered.node));
        report.hops = report.hops.max(closest.first().map_or(0, |nearest| nearest.depth + 1));
        report.elapsed = report.elapsed.max(now.since(run.lookup.started));
    }
}
