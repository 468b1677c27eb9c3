//! Rate limits: how long to wait before the next byte.

use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How far a limited direction may run ahead: long enough not to wake up for every packet.
const BURST: Duration = Duration::from_millis(100);

/// A limit in bytes per second that several connections share.
///
/// It keeps the moment at which all bytes so far would have passed at the limit's rate (a token bucket read backwards).
/// Whoever moved bytes pays for them afterwards and is told how long to pause; since each connection moves one portion at
/// a time and then pauses, the portions go round, and the shares are fair. Cloning shares the limit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Bytes per second; 0 is no limit.
    rate: u64,
    /// When the bytes so far will have passed; `None` before the first.
    passed: Option<Instant>,
}

impl Meter {
    /// A meter with a limit in bytes per second; 0 is no limit.
    pub(crate) fn new(rate: u64) -> Self {
        Self(Arc::new(Mutex::new(State { rate, passed: None })))
    }

    /// Changes the limit. Debts of the old one are forgiven.
    pub(crate) fn set(&self, rate: u64) {
        *self.0.lock() = State { rate, passed: None };
    }

    /// The limit in bytes per second; 0 is none.
    pub(crate) fn rate(&self) -> u64 {
        self.0.lock().rate
    }

    /// Whether there is a limit.
    pub(crate) fn limited(&self) -> bool {
        self.rate() != 0
    }

    /// Pays for `bytes` moved at `now`; returns when the payer may go on, if it has to wait.
    pub(crate) fn pay(&self, now: Instant, bytes: usize) -> Option<Instant> {
        let mut state = self.0.lock();
        if state.rate == 0 {
            return None;
        }
        let cost = Duration::from_secs_f64(bytes as f64 / state.rate as f64);
        let start = state.passed.unwrap_or(now).max(now.checked_sub(BURST).unwrap_or(now));
        let passed = start + cost;
        state.passed = Some(passed);
        (passed > now).then_some(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_bytes_takes_a_second_however_it_is_cut() {
        let meter = Meter::new(100_000);
        let start = Instant::now();
        let mut now = start;
        let mut moved = 0;
        while now < start + Duration::from_secs(10) {
            moved += 7_000;
            if let Some(until) = meter.pay(now, 7_000) {
                now = until;
            }
        }
        assert!((990_000..1_030_000).contains(&moved), "{moved} bytes in ten seconds");
    }

    #[test]
    fn payers_in_turn_get_equal_shares() {
        let meter = Meter::new(1_000_000);
        let start = Instant::now();
        let mut ready = [start; 4];
        let mut moved = [0u32; 4];
        loop {
            let next = (0..4).min_by_key(|i| ready[*i]).unwrap();
            if ready[next] > start + Duration::from_secs(2) {
                break;
            }
            moved[next] += 16_384;
            ready[next] = meter.pay(ready[next], 16_384).unwrap_or(ready[next]);
        }
        let (least, most) = (moved.iter().min().unwrap(), moved.iter().max().unwrap());
        assert!(most - least <= 2 * 16_384, "{moved:?}");
    }

    #[test]
    fn no_limit_never_waits() {
        assert_eq!(Meter::new(0).pay(Instant::now(), usize::MAX), None);
    }
}
