//! The run's clock: the one place where the core's time is read.

use proto::time::Instant;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Counts from the moment it was made. Copies agree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: std::time::Instant,
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self { start: std::time::Instant::now() }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Instant {
        Instant::START + self.start.elapsed()
    }

    /// The system's name for one of our moments; far away at most.
    pub(crate) fn std(&self, at: Instant) -> std::time::Instant {
        const FAR: Duration = Duration::from_secs(365 * 86_400);
        self.start + at.since(Instant::START).min(FAR)
    }

    /// Seconds since the start.
    pub(crate) fn uptime(&self) -> u64 {
        self.start.elapsed().as_secs()
    }
}

/// Unix time in seconds.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
