//! One tracker: what it knows of us, and when it may be asked.

use super::{
    Action, DEFAULT_INTERVAL, FIRST_BACKOFF, MANUAL_INTERVAL, MAX_BACKOFF, MAX_INTERVAL, MAX_NUMWANT,
    MAX_RETRY_IN, MIN_INTERVAL, MIN_NUMWANT, TrackerKey,
};
use proto::{
    id::{InfoHash, PeerId},
    text::printable,
    time::Instant,
    tracker::{AnnounceEvent, AnnounceRequest, AnnounceResponse, Retry, TrackerError, TrackerUrl},
};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// How many characters of an error or a warning are kept.
const MAX_MESSAGE: usize = 300;

/// An answer with at most this many peers says "nobody": trackers list ourselves too.
const NOBODY: usize = 1;

/// What the announcer knows of a request; [`Ask::request`] makes it whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What happened, if anything.
    pub event: Option<AnnounceEvent>,
    /// How many peers we would like.
    pub numwant: u32,
    /// The same for all of a torrent's trackers and for its life.
    pub key: u32,
    /// What this tracker called us.
    pub tracker_id: Option<Vec<u8>>,
}

/// What the caller knows of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Which torrent.
    pub info_hash: InfoHash,
    /// Who we are.
    pub peer_id: PeerId,
    /// The TCP port that we listen on.
    pub port: u16,
    /// Payload bytes sent since `Started`.
    pub uploaded: u64,
    /// Payload bytes received since `Started`.
    pub downloaded: u64,
    /// Bytes missing; not 0 while the size is unknown.
    pub left: u64,
}

impl Ask {
    /// The whole request.
    pub fn request(self, figures: &Figures) -> AnnounceRequest {
        AnnounceRequest {
            info_hash: figures.info_hash,
            peer_id: figures.peer_id,
            port: figures.port,
            uploaded: figures.uploaded,
            downloaded: figures.downloaded,
            left: figures.left,
            event: self.event,
            numwant: self.numwant,
            key: self.key,
            ip: None,
            ipv6: None,
            tracker_id: self.tracker_id,
        }
    }
}

/// A tracker and its history.
#[derive(Clone, Debug)]
pub(super) struct Tracker {
    pub(super) key: TrackerKey,
    pub(super) tier: u32,
    pub(super) url: TrackerUrl,
    /// It answered since `Started`, so it has us in its list.
    pub(super) knows_us: bool,
    /// The announce under way: its event. `None`: there is none.
    asked: Option<Option<AnnounceEvent>>,
    completed_due: bool,
    asked_at: Option<Instant>,
    pub(super) answered_at: Option<Instant>,
    /// The end of the interval of its last answer; the start of time if there is none, or it failed since.
    interval_end: Instant,
    min_interval: Option<Duration>,
    /// Not to be asked before, because it failed.
    pub(super) retry_at: Instant,
    pub(super) failures: u32,
    tracker_id: Option<Vec<u8>>,
    /// The last error or warning, safe to show.
    pub(super) message: Option<Box<str>>,
    /// Peers of the last answer.
    pub(super) peers: Option<u32>,
    pub(super) seeders: Option<u32>,
    pub(super) leechers: Option<u32>,
    pub(super) downloaded: Option<u32>,
}

impl Tracker {
    pub(super) const fn new(key: TrackerKey, tier: u32, url: TrackerUrl) -> Self {
        Self {
            key,
            tier,
            url,
            knows_us: false,
            asked: None,
            completed_due: false,
            asked_at: None,
            answered_at: None,
            interval_end: Instant::START,
            min_interval: None,
            retry_at: Instant::START,
            failures: 0,
            tracker_id: None,
            message: None,
            peers: None,
            seeders: None,
            leechers: None,
            downloaded: None,
        }
    }

    /// Whether an announce is under way.
    pub(super) const fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether it is to be told `stopped` now.
    pub(super) const fn owes_stopped(&self) -> bool {
        self.knows_us && self.asked.is_none()
    }

    /// Whether it is to be told `completed` now.
    pub(super) fn owes_completed(&self, now: Instant) -> bool {
        self.completed_retry().is_some_and(|at| at <= now)
    }

    /// When it is to be told `completed`, if it is.
    pub(super) fn completed_retry(&self) -> Option<Instant> {
        (self.completed_due && self.knows_us && self.asked.is_none()).then_some(self.retry_at)
    }

    /// When its last answer has had its time. If that had nobody and we need peers, the shortest interval is enough, where the
    /// tracker names one.
    pub(super) fn due(&self, need: u32) -> Instant {
        let nobody = self.peers.is_some_and(|peers| peers as usize <= NOBODY);
        match (self.answered_at, self.min_interval) {
            (Some(at), Some(min)) if need > 0 && nobody => self.interval_end.min(at + min),
            _ => self.interval_end,
        }
    }

    /// The torrent runs again. A tracker that failed long ago gets a new chance, one that was just asked does not.
    pub(super) fn start(&mut self, now: Instant) {
        self.interval_end = Instant::START;
        self.completed_due = false;
        self.failures = 0;
        self.hurry(now);
    }

    /// The download became complete: of interest only to who knows us, or is just being told of us.
    pub(super) fn complete(&mut self) {
        self.completed_due =
            self.knows_us || matches!(self.asked, Some(event) if event != Some(AnnounceEvent::Stopped));
    }

    /// Waits no longer than it must.
    pub(super) fn hurry(&mut self, now: Instant) {
        let allowed = |wait| self.asked_at.map_or(now, |at| now.max(at + wait));
        self.retry_at = self.retry_at.min(allowed(MANUAL_INTERVAL));
        self.interval_end = self.interval_end.min(allowed(self.min_interval.unwrap_or(MANUAL_INTERVAL)));
    }

    /// Begins an announce.
    pub(super) fn ask(&mut self, now: Instant, event: Option<AnnounceEvent>, need: u32, key: u32) -> Action {
        self.asked = Some(event);
        self.asked_at = Some(now);
        if event == Some(AnnounceEvent::Stopped) {
            // Told once: who is gone does not come back to repeat it.
            self.knows_us = false;
        }
        let numwant = if need == 0 { 0 } else { need.clamp(MIN_NUMWANT, MAX_NUMWANT) };
        let ask = Ask { event, numwant, key, tracker_id: self.tracker_id.clone() };
        Action::Announce { tracker: self.key, url: self.url.clone(), ask }
    }

    /// Ends the announce under way and returns its event; `None` if there was none.
    pub(super) const fn land(&mut self) -> Option<Option<AnnounceEvent>> {
        self.asked.take()
    }

    /// Takes an answer; returns the peers and our address. `jitter` is a part of the interval.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        event: Option<AnnounceEvent>,
        response: AnnounceResponse,
        jitter: f64,
    ) -> (Vec<SocketAddr>, Option<IpAddr>) {
        self.knows_us = true;
        self.completed_due &= event != Some(AnnounceEvent::Completed);
        self.answered_at = Some(now);
        self.failures = 0;
        self.retry_at = Instant::START;
        self.min_interval = response.min_interval.map(|min| min.clamp(MIN_INTERVAL, MAX_INTERVAL));
        let interval = response.interval.unwrap_or(DEFAULT_INTERVAL).clamp(MIN_INTERVAL, MAX_INTERVAL);
        let interval = interval.max(self.min_interval.unwrap_or_default());
        self.interval_end = now + interval.mul_f64(1.0 + jitter);
        self.tracker_id = response.tracker_id.or(self.tracker_id.take());
        self.message = response.warning.map(Into::into);
        self.peers = u32::try_from(response.peers.len()).ok();
        self.seeders = response.seeders;
        self.leechers = response.leechers;
        self.downloaded = response.downloaded;
        (response.peers, response.external_ip)
    }

    /// Takes a failure. `jitter` is a part of the rest that follows it.
    pub(super) fn failed(&mut self, now: Instant, error: &TrackerError, jitter: f64) {
        self.failures = self.failures.saturating_add(1);
        self.interval_end = Instant::START;
        self.message = Some(printable(error.to_string().as_bytes(), MAX_MESSAGE).into());
        let doubled = FIRST_BACKOFF.saturating_mul(2u32.saturating_pow(self.failures - 1));
        let rest = doubled.min(MAX_BACKOFF).mul_f64(1.0 + jitter);
        self.retry_at = match error {
            TrackerError::Failure { retry: Some(Retry::Never), .. } => Instant::NEVER,
            TrackerError::Failure { retry: Some(Retry::In(wait)), .. } => {
                now + rest.max((*wait).min(MAX_RETRY_IN))
            }
            _ => now + rest,
        };
    }
}
