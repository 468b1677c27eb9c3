//! Rules for the slots while we seed: nobody gives to us, so other things decide.

use super::{Contender, Round, Rule};
use std::{cmp::Reverse, time::Duration};

/// Each in turn, after it got its share.
pub(super) struct RoundRobin;

/// Those who download fastest from us.
pub(super) struct FastestUpload;

/// Those who have just begun or have nearly finished.
pub(super) struct AntiLeech;

/// Those unchoked most recently keep their slot; in two rounds of three one goes to whoever has waited longest.
#[derive(Debug, Default)]
pub(super) struct LongestWaiting {
    round: u32,
}

/// A share of round-robin, in pieces.
const SHARE_PIECES: u64 = 20;

/// A share lasts at least this long, since a connection needs time to come up to speed.
const SHARE_TIME: Duration = Duration::from_secs(60);

/// A share lasts at most this long, so that a slow peer does not keep a slot for itself.
const LONGEST_SHARE: Duration = Duration::from_secs(300);

impl Rule for RoundRobin {
    fn rank(&mut self, round: &Round<'_>, table: &[Contender], eligible: &mut [usize]) -> usize {
        let share = SHARE_PIECES * u64::from(round.piece_length);
        eligible.sort_by_key(|at| {
            let peer = &table[*at];
            let held = round.now.since(peer.unchoked_at);
            let done = (peer.sent >= share && held >= SHARE_TIME) || held >= LONGEST_SHARE;
            let class = match (peer.unchoked, done) {
                (true, false) => 0,
                (false, _) => 1,
                (true, true) => 2,
            };
            (class, peer.waiting_since, peer.key)
        });
        round.strategy.upload_slots as usize
    }
}

impl Rule for FastestUpload {
    fn rank(&mut self, round: &Round<'_>, table: &[Contender], eligible: &mut [usize]) -> usize {
        eligible.sort_by_key(|at| {
            let peer = &table[*at];
            (Reverse(peer.up), peer.waiting_since, peer.key)
        });
        round.strategy.upload_slots as usize
    }
}

impl Rule for AntiLeech {
    fn rank(&mut self, round: &Round<'_>, table: &[Contender], eligible: &mut [usize]) -> usize {
        eligible.sort_by_key(|at| {
            let peer = &table[*at];
            (Reverse(peer.progress.abs_diff(500)), Reverse(peer.up), peer.waiting_since, peer.key)
        });
        round.strategy.upload_slots as usize
    }
}

impl Rule for LongestWaiting {
    fn rank(&mut self, round: &Round<'_>, table: &[Contender], eligible: &mut [usize]) -> usize {
        let slots = round.strategy.upload_slots as usize;
        eligible.sort_by_key(|at| {
            let peer = &table[*at];
            let recent = if peer.unchoked { peer.unchoked_at } else { round.now };
            (!peer.unchoked, Reverse(recent), peer.waiting_since, peer.key)
        });
        self.round = (self.round + 1) % 3;
        let held = eligible.iter().filter(|at| table[**at].unchoked).count();
        let newcomer = self.round != 0 && held >= slots && held < eligible.len();
        if newcomer {
            // The first of those who wait takes the last slot.
            eligible[slots - 1..=held].rotate_right(1);
        }
        slots
    }
}
