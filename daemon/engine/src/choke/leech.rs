//! Rules for the slots while we download: who gives to us is given to.

use super::{Contender, Round, Rule};
use std::cmp::Reverse;

/// The fastest uploaders to us, into a fixed number of slots (BEP 3).
pub(super) struct TitForTat;

/// As many slots as our upload fills.
pub(super) struct RateBased;

/// Everyone.
pub(super) struct Everyone;

/// Rate-based slots: the first peer must take this much to be followed by another slot, the second twice this, and so on,
/// in bytes per second. It ends where more slots would only split the same rate.
const STEP: u64 = 1_024;

/// Rate-based slots: no fewer than this, lest one slow peer leave the upload idle.
const FEWEST: usize = 2;

/// Rate-based slots: no more than this; beyond, TCP connections of one link only disturb each other.
const MOST: usize = 200;

/// Under an upload limit, no slot is to get less than this many bytes per second.
const SMALLEST_SHARE: u64 = 4 * 1_024;

/// The fastest to us first; those that have a slot win a tie, lest slots flutter.
fn by_download(table: &[Contender], eligible: &mut [usize]) {
    eligible.sort_by_key(|at| {
        let peer = &table[*at];
        (Reverse(peer.down), Reverse(peer.unchoked), Reverse(peer.up), peer.waiting_since, peer.key)
    });
}

impl Rule for TitForTat {
    fn rank(&mut self, round: &Round<'_>, table: &[Contender], eligible: &mut [usize]) -> usize {
        by_download(table, eligible);
        round.strategy.upload_slots as usize
    }
}

impl Rule for RateBased {
    fn rank(&mut self, round: &Round<'_>, table: &[Contender], eligible: &mut [usize]) -> usize {
        by_download(table, eligible);
        let mut rates: Vec<u64> = table.iter().filter(|peer| peer.unchoked).map(|peer| peer.up).collect();
        rates.sort_unstable_by_key(|rate| Reverse(*rate));
        let steps = (1..).map(|step| step * STEP);
        let filled = rates.iter().zip(steps).take_while(|(rate, least)| **rate >= *least).count();
        let afford = round.upload_limit.map_or(MOST as u64, |limit| limit / SMALLEST_SHARE);
        (filled + 1).clamp(FEWEST, MOST).min(usize::try_from(afford).unwrap_or(MOST).max(FEWEST))
    }
}

impl Rule for Everyone {
    fn rank(&mut self, _: &Round<'_>, table: &[Contender], eligible: &mut [usize]) -> usize {
        by_download(table, eligible);
        eligible.len()
    }
}
