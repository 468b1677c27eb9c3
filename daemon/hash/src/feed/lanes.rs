//! Keeps the lanes of a vector kernel filled with messages of different lengths and progress.

use super::Feed;
use crate::algorithm::{Algorithm, BLOCK};
use crate::x86::{Columns, Runs};

/// A run of whole blocks of one message, and where its message goes on.
#[derive(Clone, Copy, Debug, Default)]
struct Lane<'a> {
    /// Index of the message among the feeds.
    feed: usize,
    /// Index of the slice to take when `run` is done.
    next_slice: usize,
    /// Whole blocks yet to be compressed; empty when the lane has nothing left to do.
    run: &'a [[u8; BLOCK]],
}

/// Adds to every feed its slices, `L` feeds at a time, by `kernel`, which compresses as many blocks as the shortest run has
/// and says how many that was. Once fewer than `pays` feeds are left they are done one by one.
pub(super) fn update<A: Algorithm, const L: usize>(
    feeds: &mut [Feed<'_, A>],
    pays: usize,
    mut kernel: impl FnMut(&mut Columns<L>, &Runs<'_, L>) -> usize,
) {
    let mut columns = Columns { words: [[0; L]; 8] };
    let mut lanes = [Lane::default(); L];
    let mut next_feed = 0;
    let mut active = 0;
    while active < L && start(feeds, &mut next_feed, &mut lanes[active]) {
        put(feeds, &lanes[active], &mut columns, active);
        active += 1;
    }
    while active >= pays.max(1) {
        // Lanes without work repeat the first one's; their result is never read.
        let runs: Runs<'_, L> = std::array::from_fn(|l| lanes[if l < active { l } else { 0 }].run);
        let done = kernel(&mut columns, &runs);
        let mut l = 0;
        while l < active {
            lanes[l].run = &lanes[l].run[done..];
            if !lanes[l].run.is_empty() {
                l += 1;
                continue;
            }
            take(feeds, &lanes[l], &columns, l);
            if resume(feeds, &mut lanes[l]) || start(feeds, &mut next_feed, &mut lanes[l]) {
                put(feeds, &lanes[l], &mut columns, l);
                l += 1;
            } else {
                // Close the gap with the last lane; it is looked at next if it has not been.
                active -= 1;
                lanes[l] = lanes[active];
                move_column(&mut columns, active, l);
            }
        }
    }
    for (l, lane) in lanes.iter_mut().enumerate().take(active) {
        take(feeds, lane, &columns, l);
        loop {
            A::compress(&mut feeds[lane.feed].state.state, lane.run);
            if !resume(feeds, lane) {
                break;
            }
        }
    }
    // Some are left only if the lanes never pay.
    for feed in &mut feeds[next_feed..] {
        for slice in feed.data {
            feed.state.update(slice);
        }
    }
}

/// Gives a lane the first run of the next feed that has a whole block. Feeds without one are finished on the way.
fn start<'a, A: Algorithm>(feeds: &mut [Feed<'a, A>], next_feed: &mut usize, lane: &mut Lane<'a>) -> bool {
    while *next_feed < feeds.len() {
        *lane = Lane { feed: *next_feed, ..Lane::default() };
        *next_feed += 1;
        if resume(feeds, lane) {
            return true;
        }
    }
    false
}

/// Gives a lane the next run of its own feed, if there is one. The state in the feed must be up to date.
fn resume<'a, A: Algorithm>(feeds: &mut [Feed<'a, A>], lane: &mut Lane<'a>) -> bool {
    let feed = &mut feeds[lane.feed];
    while let Some(slice) = feed.data.get(lane.next_slice) {
        lane.next_slice += 1;
        lane.run = feed.state.accept(slice);
        if !lane.run.is_empty() {
            return true;
        }
    }
    false
}

fn put<A: Algorithm, const L: usize>(
    feeds: &[Feed<'_, A>],
    lane: &Lane<'_>,
    columns: &mut Columns<L>,
    l: usize,
) {
    for (row, word) in columns.words.iter_mut().zip(feeds[lane.feed].state.state.as_ref()) {
        row[l] = *word;
    }
}

fn take<A: Algorithm, const L: usize>(
    feeds: &mut [Feed<'_, A>],
    lane: &Lane<'_>,
    columns: &Columns<L>,
    l: usize,
) {
    for (row, word) in columns.words.iter().zip(feeds[lane.feed].state.state.as_mut()) {
        *word = row[l];
    }
}

fn move_column<const L: usize>(columns: &mut Columns<L>, from: usize, to: usize) {
    for row in &mut columns.words {
        row[to] = row[from];
    }
}
