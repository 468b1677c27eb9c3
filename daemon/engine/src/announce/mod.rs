//! When to announce a torrent, and to which of its trackers (BEP 3, 12, 31).
//!
//! Trackers come in tiers. Of each group of trackers (see [`Spread`]) one is enough: the first in order that may be asked
//! is, a failure makes it wait and the next one's turn, and one that answers moves to the front of its tier. When the answer's
//! interval is over, the search starts at the front again.
//!
//! A tracker never has two announces at once. It is told `started` until it answers, `completed` if the download ends
//! while it knows us, and `stopped` last, if it knows us.

mod list;
mod status;
#[cfg(test)]
mod tests;
mod tracker;

pub use status::{State, Status};
pub use tracker::{Ask, Figures};

use list::List;
use proto::{
    time::Instant,
    tracker::{AnnounceEvent, AnnounceResponse, TrackerError, TrackerUrl},
};
use rand::SeedableRng as _;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tracker::Tracker;

/// How long to wait for the next announce if the tracker does not say.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// The shortest interval that a tracker can make us keep: below that, its answers cost more than they bring.
pub const MIN_INTERVAL: Duration = Duration::from_secs(60);

/// The longest interval that a tracker can make us keep: it would forget us, and we would never notice its return.
pub const MAX_INTERVAL: Duration = Duration::from_secs(6 * 60 * 60);

/// How soon a user may have a tracker asked again that names no shortest interval of its own.
pub const MANUAL_INTERVAL: Duration = Duration::from_secs(15);

/// Up to this part of an interval is added to it at random, so that torrents that started together drift apart.
pub const INTERVAL_JITTER: f64 = 0.05;

/// How long a tracker rests after its first failure. Every further one in a row doubles it.
pub const FIRST_BACKOFF: Duration = Duration::from_secs(30);

/// How long a tracker rests at most after a failure.
pub const MAX_BACKOFF: Duration = Duration::from_secs(60 * 60);

/// Up to this part of a rest is added to it or taken away at random: a tracker that comes back is not to be met by everyone
/// at the same moment.
pub const BACKOFF_JITTER: f64 = 0.25;

/// The longest rest that a tracker can ask for when it refuses (BEP 31), short of "never".
pub const MAX_RETRY_IN: Duration = Duration::from_secs(24 * 60 * 60);

/// How many peers are asked for before the torrent has said how many it needs.
pub const DEFAULT_NUMWANT: u32 = 50;

/// The fewest peers that are asked for if any are needed: some of them will be gone.
pub const MIN_NUMWANT: u32 = 10;

/// The most peers that are asked for at once: more than that no tracker gives.
pub const MAX_NUMWANT: u32 = 200;

/// How many trackers a torrent may have. Lists of public trackers have about a hundred.
pub const MAX_TRACKERS: usize = 200;

/// One of a torrent's trackers, named for the announcer's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackerKey(pub u32);

/// How many trackers are kept informed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// One of all, as BEP 12 has it: a lower tier is asked only while all higher ones fail.
    One,
    /// One of each tier, as most clients do today.
    #[default]
    EachTier,
    /// Every tracker.
    Every,
}

/// What happens to an announcer.
#[derive(Clone, Debug)]
pub enum Event {
    /// The torrent runs, downloading or seeding: announce it.
    Started,
    /// The download became complete, now, by downloading.
    Completed,
    /// The torrent no longer runs: say goodbye. [`Action::Stopped`] follows when that is done.
    Stop,
    /// How many peers more the torrent could use. 0: none, as for a seed, which waits for peers to come.
    NeedPeers(u32),
    /// A user wants an announce now. It comes as soon as the trackers allow it.
    Announce,
    /// A tracker answered what [`Action::Announce`] asked.
    Answered {
        /// Which.
        tracker: TrackerKey,
        /// What it said.
        response: Box<AnnounceResponse>,
    },
    /// What [`Action::Announce`] asked came to nothing.
    Failed {
        /// Which tracker.
        tracker: TrackerKey,
        /// Why.
        error: TrackerError,
    },
    /// More tiers, after those that are there. URLs that are there already are passed over.
    AddTrackers(Vec<Vec<String>>),
    /// Other tiers in place of those that are there. A URL that stays keeps its state; a tracker that goes is told
    /// `stopped`.
    ReplaceTrackers(Vec<Vec<String>>),
    /// How many trackers to keep informed.
    Spread(Spread),
}

/// What the caller is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask a tracker, and answer with exactly one [`Event::Answered`] or [`Event::Failed`], in bounded time.
    Announce {
        /// Which.
        tracker: TrackerKey,
        /// Where.
        url: TrackerUrl,
        /// What is known here of the request.
        ask: Ask,
    },
    /// Endpoints of peers from a tracker.
    Peers(Vec<SocketAddr>),
    /// A tracker told us our address as it sees it (BEP 24).
    SeenAs(IpAddr),
    /// After [`Event::Stop`]: every tracker that knew us was told, and nothing is under way.
    Stopped,
}

/// Why an announcer wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// An interval is over.
    Interval,
    /// A tracker that failed has rested.
    Retry,
}

/// The announces of one torrent.
#[derive(Clone, Debug)]
pub struct Announcer {
    list: List,
    /// Trackers that were taken out of the list and still have to be told, or to answer.
    leaving: Vec<Tracker>,
    spread: Spread,
    running: bool,
    /// [`Action::Stopped`] is owed.
    farewell: bool,
    need: u32,
    /// Sent with every announce, so that trackers know us when our address changes.
    secret: u32,
    rng: Xoshiro256PlusPlus,
    deadline: Option<(Instant, Why)>,
}

impl Announcer {
    /// An announcer at rest. `tiers` are announce URLs as the torrent has them (BEP 12); those that we cannot use are
    /// kept for [`Announcer::status`] only. `seed` shuffles tiers and spreads times.
    pub fn new(tiers: &[Vec<String>], spread: Spread, seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let secret = rand::Rng::random(&mut rng);
        let mut list = List::default();
        list.add(tiers, &mut Vec::new(), &mut rng);
        Self {
            list,
            leaving: Vec::new(),
            spread,
            running: false,
            farewell: false,
            need: DEFAULT_NUMWANT,
            secret,
            rng,
            deadline: None,
        }
    }

    /// Takes an event.
    pub fn on(&mut self, now: Instant, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Started => self.start(now),
            Event::Completed => self.list.trackers.iter_mut().for_each(Tracker::complete),
            Event::Stop => {
                self.farewell |= self.running;
                self.running = false;
            }
            Event::NeedPeers(need) => self.need = need,
            Event::Announce => self.list.trackers.iter_mut().for_each(|tracker| tracker.hurry(now)),
            Event::Answered { tracker, response } => self.answered(now, tracker, *response, out),
            Event::Failed { tracker, error } => self.failed(now, tracker, &error),
            Event::AddTrackers(tiers) => self.list.add(&tiers, &mut self.leaving, &mut self.rng),
            Event::ReplaceTrackers(tiers) => self.replace(&tiers),
            Event::Spread(spread) => self.spread = spread,
        }
        self.wake(now, out);
    }

    /// Sends what is due.
    pub fn wake(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.running {
            self.announce(now, out);
        } else {
            self.say_goodbye(now, out);
        }
        self.dismiss(now, out);
        if self.farewell && self.is_quiet() {
            self.farewell = false;
            out.push(Action::Stopped);
        }
        self.deadline = self.next_deadline(now);
    }

    /// When [`Announcer::wake`] is to be called, and why.
    pub const fn deadline(&self) -> Option<(Instant, Why)> {
        self.deadline
    }

    /// How each tracker stands, in the order in which they are asked.
    pub fn status(&self) -> Vec<Status> {
        self.list.status(self.need)
    }

    /// The tiers as they are now, in order: what is to be remembered over a restart.
    pub fn tiers(&self) -> Vec<Vec<String>> {
        self.list.tiers()
    }

    fn start(&mut self, now: Instant) {
        if !self.running {
            self.running = true;
            self.farewell = false;
            self.list.trackers.iter_mut().for_each(|tracker| tracker.start(now));
        }
    }

    fn answered(&mut self, now: Instant, key: TrackerKey, response: AnnounceResponse, out: &mut Vec<Action>) {
        let Some(tracker) = self.find(key) else { return };
        let Some(event) = tracker.land() else { return };
        if event == Some(AnnounceEvent::Stopped) {
            return;
        }
        let jitter = rand::Rng::random::<f64>(&mut self.rng) * INTERVAL_JITTER;
        let Some(tracker) = self.find(key) else { return };
        let (peers, external_ip) = tracker.answered(now, event, response, jitter);
        self.list.promote(key);
        if self.running {
            out.extend(external_ip.map(Action::SeenAs));
            if !peers.is_empty() {
                out.push(Action::Peers(peers));
            }
        }
    }

    fn failed(&mut self, now: Instant, key: TrackerKey, error: &TrackerError) {
        let Some(tracker) = self.find(key) else { return };
        let Some(event) = tracker.land() else { return };
        if event == Some(AnnounceEvent::Stopped) {
            return;
        }
        let jitter = (rand::Rng::random::<f64>(&mut self.rng) * 2.0 - 1.0) * BACKOFF_JITTER;
        if let Some(tracker) = self.find(key) {
            tracker.failed(now, error, jitter);
        }
    }

    fn find(&mut self, key: TrackerKey) -> Option<&mut Tracker> {
        self.list.trackers.iter_mut().chain(&mut self.leaving).find(|tracker| tracker.key == key)
    }

    fn replace(&mut self, tiers: &[Vec<String>]) {
        self.leaving.append(&mut self.list.clear());
        self.list.add(tiers, &mut self.leaving, &mut self.rng);
    }

    /// Asks whoever is due: trackers that are to hear of the completion, and one of every group whose interval is over.
    fn announce(&mut self, now: Instant, out: &mut Vec<Action>) {
        let (need, secret) = (self.need, self.secret);
        for tracker in self.list.trackers.iter_mut().filter(|tracker| tracker.owes_completed(now)) {
            out.push(tracker.ask(now, Some(AnnounceEvent::Completed), need, secret));
        }
        for group in self.list.groups(self.spread) {
            if group.iter().any(|tracker| tracker.is_asked() || tracker.due(need) > now) {
                continue;
            }
            if let Some(tracker) = group.iter_mut().find(|tracker| tracker.retry_at <= now) {
                let event = (!tracker.knows_us).then_some(AnnounceEvent::Started);
                out.push(tracker.ask(now, event, need, secret));
            }
        }
    }

    fn say_goodbye(&mut self, now: Instant, out: &mut Vec<Action>) {
        for tracker in self.list.trackers.iter_mut().filter(|tracker| tracker.owes_stopped()) {
            out.push(tracker.ask(now, Some(AnnounceEvent::Stopped), 0, self.secret));
        }
    }

    /// Tells trackers that left the list, and forgets them when they have answered.
    fn dismiss(&mut self, now: Instant, out: &mut Vec<Action>) {
        for tracker in self.leaving.iter_mut().filter(|tracker| tracker.owes_stopped()) {
            out.push(tracker.ask(now, Some(AnnounceEvent::Stopped), 0, self.secret));
        }
        self.leaving.retain(Tracker::is_asked);
    }

    fn is_quiet(&self) -> bool {
        self.leaving.is_empty()
            && !self.list.trackers.iter().any(|tracker| tracker.is_asked() || tracker.knows_us)
    }

    fn next_deadline(&mut self, now: Instant) -> Option<(Instant, Why)> {
        if !self.running {
            return None;
        }
        let need = self.need;
        let completed = self.list.trackers.iter().filter_map(|tracker| tracker.completed_retry());
        let completed = completed.min().map(|at| (at, Why::Retry));
        let groups = self.list.groups(self.spread).filter_map(|group| {
            if group.iter().any(Tracker::is_asked) {
                return None;
            }
            let due = group.iter().map(|tracker| tracker.due(need)).max()?;
            if due > now {
                return Some((due, Why::Interval));
            }
            group.iter().map(|tracker| (tracker.retry_at, Why::Retry)).min_by_key(|(at, _)| *at)
        });
        let next = groups.chain(completed).min_by_key(|(at, _)| *at)?;
        (next.0 != Instant::NEVER).then_some(next)
    }
}
