//! How many bytes a second, smoothed, without a timer of its own.

use proto::time::Instant;

/// Length of one slot of the window in microseconds.
const SLOT_MICROS: u64 = 500_000;

/// Slots in the window: five seconds are smooth enough to read and short enough to follow.
const SLOTS: usize = 10;

/// A sliding window of byte counts. Adding and reading are constant in time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    slots: [u64; SLOTS],
    /// The number of the newest slot, counted from the start of the run.
    newest: u64,
    /// When the first byte came, so that a young meter does not read too low.
    born: Option<Instant>,
}

impl Meter {
    /// Counts bytes.
    pub(crate) fn add(&mut self, now: Instant, bytes: u64) {
        self.born.get_or_insert(now);
        let slot = now.as_micros() / SLOT_MICROS;
        let passed = slot.saturating_sub(self.newest);
        for step in 1..=passed.min(SLOTS as u64) {
            self.slots[index(self.newest + step)] = 0;
        }
        self.newest = self.newest.max(slot);
        self.slots[index(self.newest)] += bytes;
    }

    /// Bytes per second over the window that ends now.
    pub(crate) fn rate(&self, now: Instant) -> u64 {
        let Some(born) = self.born else { return 0 };
        let slot = now.as_micros() / SLOT_MICROS;
        let gone = slot.saturating_sub(self.newest).min(SLOTS as u64);
        let kept = SLOTS as u64 - gone;
        // Slots from before the start of the run are empty, so the arithmetic may stay above zero.
        let sum: u64 = (0..kept).map(|back| self.slots[index(self.newest + SLOTS as u64 - back)]).sum();
        let window = (SLOTS as u64 - 1) * SLOT_MICROS + now.as_micros() % SLOT_MICROS;
        let age = now.since(born).as_micros();
        let span = window.min(u64::try_from(age).unwrap_or(u64::MAX)).max(SLOT_MICROS);
        sum.saturating_mul(1_000_000) / span
    }
}

fn index(slot: u64) -> usize {
    usize::try_from(slot % SLOTS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_flow_reads_as_what_it_is() {
        let mut meter = Meter::default();
        for ms in (0..20_000).step_by(10) {
            meter.add(Instant::from_millis(ms), 1_000);
        }
        let rate = meter.rate(Instant::from_millis(20_000));
        assert!((95_000..=105_000).contains(&rate), "{rate}");
        assert_eq!(meter.rate(Instant::from_millis(26_000)), 0);
    }

    #[test]
    fn a_young_meter_does_not_divide_by_the_whole_window() {
        let mut meter = Meter::default();
        for ms in 100_000..101_000 {
            meter.add(Instant::from_millis(ms), 1_000);
        }
        let rate = meter.rate(Instant::from_millis(101_000));
        assert!((900_000..=1_100_000).contains(&rate), "{rate}");
    }
}
