//! How a tracker stands, for the user.

use super::{TrackerKey, list::Unusable, tracker::Tracker};
use proto::time::Instant;

/// How a tracker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not asked so far.
    Idle,
    /// An announce is under way.
    Announcing,
    /// The last announce worked.
    Working,
    /// The last announce failed.
    Failing,
    /// Its URL is none that we can use.
    Unsupported,
}

/// A tracker, as a user wants to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Which; `None` if we cannot use it.
    pub key: Option<TrackerKey>,
    /// Its announce URL, safe to show.
    pub url: String,
    /// Its tier, 0 first.
    pub tier: u32,
    /// How it stands.
    pub state: State,
    /// Its warning, or why it failed; safe to show.
    pub message: Option<String>,
    /// Peers that the last answer brought.
    pub peers: Option<u32>,
    /// Seeds that it knows.
    pub seeders: Option<u32>,
    /// Leechers that it knows.
    pub leechers: Option<u32>,
    /// Complete downloads that it counted.
    pub downloaded: Option<u32>,
    /// Failures in a row.
    pub failures: u32,
    /// When it last answered.
    pub answered_at: Option<Instant>,
    /// When it may be asked next. It is only if its turn comes.
    pub next_at: Option<Instant>,
}

impl Status {
    pub(super) fn of(tracker: &Tracker, need: u32) -> Self {
        let state = match tracker {
            _ if tracker.is_asked() => State::Announcing,
            Tracker { failures: 1.., .. } => State::Failing,
            Tracker { answered_at: Some(_), .. } => State::Working,
            _ => State::Idle,
        };
        let next_at = match state {
            State::Working => Some(tracker.due(need)),
            State::Failing => Some(tracker.retry_at),
            State::Idle | State::Announcing | State::Unsupported => None,
        };
        Self {
            key: Some(tracker.key),
            url: tracker.url.to_string(),
            tier: tracker.tier,
            state,
            message: tracker.message.as_deref().map(str::to_owned),
            peers: tracker.peers,
            seeders: tracker.seeders,
            leechers: tracker.leechers,
            downloaded: tracker.downloaded,
            failures: tracker.failures,
            answered_at: tracker.answered_at,
            next_at: next_at.filter(|at| !matches!(*at, Instant::START | Instant::NEVER)),
        }
    }

    pub(super) fn of_unusable(unusable: &Unusable) -> Self {
        Self {
            key: None,
            url: unusable.url.to_string(),
            tier: unusable.tier,
            state: State::Unsupported,
            message: Some(unusable.error.to_string()),
            peers: None,
            seeders: None,
            leechers: None,
            downloaded: None,
            failures: 0,
            answered_at: None,
            next_at: None,
        }
    }
}
