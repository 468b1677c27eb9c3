//! A torrent's announcer, with the network behind it.

use super::{
    Shard,
    live::{Live, State},
};
use crate::{clock::unix_now, store::TorrentRecord};
use engine::{
    announce::{
        Action, Announcer, Ask, Event, Figures, Spread, State as TrackerStanding, Status, TrackerKey,
    },
    out::{Event as TorrentEvent, Source},
};
use proto::{
    metainfo::Outer,
    rpc::{
        ErrorKind, RpcError,
        torrent::{Tracker, TrackerState},
    },
    time::Instant,
    tracker::{AnnounceRequest, TrackerUrl},
};
use std::{net::IpAddr, time::Duration};
use tokio::{sync::Notify, task::spawn_local, time::timeout};

/// How long the trackers are given to take our goodbye when btd stops.
const GOODBYE: Duration = Duration::from_secs(2);

/// The announcer and its sink.
pub(super) struct Announcing {
    announcer: Announcer,
    out: Vec<Action>,
    /// The machine's totals when the announcer started: trackers are told what was moved since.
    base: (u64, u64),
    /// Every tracker was told goodbye.
    stopped: std::rc::Rc<Notify>,
    quiet: bool,
}

impl Announcing {
    pub(super) fn new(shard: &Shard, record: &TorrentRecord, outer: &Outer) -> Self {
        let mut tiers = outer.trackers.clone();
        tiers.extend(record.trackers.iter().map(|url| vec![url.clone()]));
        Self {
            announcer: Announcer::new(&tiers, Spread::default(), shard.shared.seed()),
            out: Vec::new(),
            base: (0, 0),
            stopped: std::rc::Rc::default(),
            quiet: true,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.announcer.deadline().map(|(at, _)| at)
    }

    /// Seeds and leechers of the swarm, as the best informed tracker tells.
    pub(super) fn swarm(&self) -> (Option<u32>, Option<u32>) {
        let status = self.announcer.status();
        (status.iter().filter_map(|s| s.seeders).max(), status.iter().filter_map(|s| s.leechers).max())
    }

    /// The tiers as they are now.
    pub(super) fn tiers(&self) -> Vec<Vec<String>> {
        self.announcer.tiers()
    }

    /// Whether there is no tracker.
    pub(super) fn is_empty(&self) -> bool {
        self.announcer.tiers().is_empty()
    }

    /// All announce URLs, in order.
    pub(super) fn urls(&self) -> Vec<String> {
        self.announcer.tiers().into_iter().flatten().collect()
    }
}

impl Live {
    /// Gives the announcer an event and does what it asks for.
    fn announce(&self, state: &mut State, event: Event) {
        let now = self.shard().clock.now();
        let mut out = std::mem::take(&mut state.announcing.out);
        state.announcing.announcer.on(now, event, &mut out);
        self.carry_out_announces(state, out);
    }

    /// The announcer's deadline may have come.
    pub(super) fn announce_due(&self, state: &mut State, now: Instant) {
        if state.announcing.deadline().is_none_or(|at| at > now) {
            return;
        }
        let need = state.machine.wants_peers();
        let mut out = std::mem::take(&mut state.announcing.out);
        state.announcing.announcer.on(now, Event::NeedPeers(need), &mut out);
        state.announcing.announcer.wake(now, &mut out);
        self.carry_out_announces(state, out);
    }

    fn carry_out_announces(&self, state: &mut State, mut out: Vec<Action>) {
        for action in out.drain(..) {
            match action {
                Action::Announce { tracker, url, ask } => {
                    self.ask_tracker(tracker, url, self.request(state, ask));
                }
                Action::Peers(addrs) => self.found_peers(Source::Tracker, addrs),
                Action::SeenAs(ip) => self.shard().shared.seen_as(ip, TRACKERS),
                Action::Stopped => {
                    state.announcing.quiet = true;
                    state.announcing.stopped.notify_waiters();
                }
            }
        }
        state.announcing.out = out;
        state.standing.changed = true;
    }

    /// What a tracker is told of us.
    fn request(&self, state: &State, ask: Ask) -> AnnounceRequest {
        let shared = &self.shard().shared;
        let stats = state.machine.stats(self.shard().clock.now());
        let settings = shared.settings();
        let request = ask.request(&Figures {
            info_hash: self.id(),
            peer_id: shared.peer_id,
            port: shared.announced_port(),
            downloaded: stats.downloaded.saturating_sub(state.announcing.base.0),
            uploaded: stats.uploaded.saturating_sub(state.announcing.base.1),
            left: stats.left,
        });
        match settings.announce_ip {
            Some(IpAddr::V4(ip)) => AnnounceRequest { ip: Some(ip), ..request },
            Some(IpAddr::V6(ip)) => AnnounceRequest { ipv6: Some(ip), ..request },
            None => request,
        }
    }

    /// Asks a tracker in a task of its own and brings the answer back.
    fn ask_tracker(&self, tracker: TrackerKey, url: TrackerUrl, request: AnnounceRequest) {
        let Some(live) = self.shard().live(self.id()) else { return };
        spawn_local(async move {
            let outcome = live.shard().shared.trackers.announce(&url, request).await;
            let event = match outcome {
                Ok(response) => Event::Answered { tracker, response: Box::new(response) },
                Err(error) => {
                    tracing::debug!(torrent = %live.id(), tracker = %url, "announce failed: {error}");
                    Event::Failed { tracker, error }
                }
            };
            let mut state = live.state.borrow_mut();
            live.announce(&mut state, event);
            live.set_timer(&state);
        });
    }

    /// Endpoints for the machine. They come to it in a task of their own, since it may be in the midst of an event.
    fn found_peers(&self, source: Source, addrs: Vec<std::net::SocketAddr>) {
        let Some(live) = self.shard().live(self.id()) else { return };
        spawn_local(async move { live.feed(TorrentEvent::Candidates { source, addrs }) });
    }

    pub(super) fn start_announcing(&self) {
        let mut state = self.state.borrow_mut();
        let stats = state.machine.stats(self.shard().clock.now());
        state.announcing.base = (stats.downloaded, stats.uploaded);
        state.announcing.quiet = false;
        let need = state.machine.wants_peers();
        self.announce(&mut state, Event::NeedPeers(need));
        self.announce(&mut state, Event::Started);
        self.set_timer(&state);
    }

    pub(super) fn stop_announcing(&self) {
        let mut state = self.state.borrow_mut();
        self.announce(&mut state, Event::Stop);
        let now = self.shard().clock.now();
        self.announce_due(&mut state, now);
        self.set_timer(&state);
    }

    pub(super) fn announce_completed(&self, state: &mut State) {
        self.announce(state, Event::Completed);
    }

    /// Waits until the trackers have taken our goodbye, or have had their time.
    pub(super) async fn goodbye(&self) {
        let stopped = std::rc::Rc::clone(&self.state.borrow().announcing.stopped);
        let waiting = stopped.notified();
        if !self.state.borrow().announcing.quiet {
            let _ = timeout(GOODBYE, waiting).await;
        }
    }

    /// `torrent.announce`.
    pub(crate) fn announce_asked(self: &std::rc::Rc<Self>) -> Result<(), RpcError> {
        if !self.takes_peers() {
            return Err(RpcError::new(ErrorKind::Busy, "the torrent is stopped: resume it first"));
        }
        let mut state = self.state.borrow_mut();
        self.announce(&mut state, Event::Announce);
        self.set_timer(&state);
        Ok(())
    }

    /// More trackers, remembered beside those of the metainfo.
    pub(crate) fn add_trackers(&self, tiers: &[Vec<String>]) {
        let known = self.state.borrow().announcing.urls();
        let new: Vec<_> = tiers.iter().flatten().filter(|url| !known.contains(url)).cloned().collect();
        if new.is_empty() {
            return;
        }
        {
            let mut state = self.state.borrow_mut();
            let tiers = new.iter().map(|url| vec![url.clone()]).collect();
            self.announce(&mut state, Event::AddTrackers(tiers));
            state.record.trackers.extend(new);
            state.standing.record_unsaved = true;
            self.set_timer(&state);
        }
        self.shard().shared.registry.set_trackers(self.id(), self.state.borrow().announcing.urls());
    }

    /// Its trackers.
    pub(crate) fn trackers(&self) -> Vec<Tracker> {
        let clock = self.shard().clock;
        let now = clock.now();
        let unix = unix_now();
        let past = |at: Instant| unix.saturating_sub(now.since(at).as_secs());
        let moment = |at: Instant| if at > now { unix + at.since(now).as_secs() } else { past(at) };
        let shown = |status: Status| Tracker {
            url: status.url,
            tier: status.tier,
            state: match status.state {
                TrackerStanding::Idle => TrackerState::Idle,
                TrackerStanding::Announcing => TrackerState::Announcing,
                TrackerStanding::Working => TrackerState::Working,
                TrackerStanding::Failing => TrackerState::Failing,
                TrackerStanding::Unsupported => TrackerState::Unsupported,
            },
            message: status.message,
            peers: status.peers,
            seeds: status.seeders,
            leechers: status.leechers,
            completed: status.downloaded,
            failures: status.failures,
            announced_at: status.answered_at.map(past),
            next_at: status.next_at.map(moment),
        };
        self.state.borrow().announcing.announcer.status().into_iter().map(shown).collect()
    }
}

/// The witness under which all trackers together count once.
const TRACKERS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
