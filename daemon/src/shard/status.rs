//! Whether a torrent runs, and why not; what is saved of it, and what is shown.

use super::live::{Live, State};
use crate::{clock::unix_now, storage::DiskError};
use engine::out::{DropReason, Event};
use proto::{bitfield::Bitfield, time::Instant};
use std::time::Duration;

/// How often held pieces are recorded while a torrent downloads. A `kill -9` costs at most so much checking again.
const SAVE_HAVE: Duration = Duration::from_secs(1);

/// How often totals are recorded: they are figures, and may be a little behind after a crash.
const SAVE_RECORD: Duration = Duration::from_secs(30);

/// What stands between a torrent and running, besides what its record says.
#[derive(Clone, Default)]
pub(super) struct Standing {
    /// Existing data is being checked; how much of it is done, 0 to 1.
    pub(super) checking: Option<f64>,
    /// The queue holds it back.
    pub(super) queued: bool,
    /// The machine was told to run.
    pub(super) running: bool,
    /// btd is stopping.
    pub(super) stopping: bool,
    /// The store does not know of all verified pieces.
    pub(super) have_unsaved: bool,
    /// The store's record is behind.
    pub(super) record_unsaved: bool,
    /// A summary would show something new.
    pub(super) changed: bool,
    /// The files are being moved.
    pub(super) moving: bool,
    /// When payload last moved, in Unix seconds.
    pub(super) active_at: Option<u64>,
    /// A held piece could not be read: the data is checked when the user resumes the torrent.
    pub(super) suspect: bool,
    /// Syncs under way.
    pub(super) syncing: u32,
    /// What is held and being synced, to be recorded after that.
    pub(super) have_to_save: Option<Bitfield>,
    /// When these were last saved.
    pub(super) have_saved: Instant,
    pub(super) record_saved: Instant,
    /// When seconds of downloading and seeding were last counted.
    pub(super) counted: Instant,
    /// There were peers or rates at the last count.
    pub(super) was_busy: bool,
    /// The machine's totals that are in the record already.
    pub(super) counted_down: u64,
    pub(super) counted_up: u64,
}

impl Live {
    /// Whether peers are welcome.
    pub(super) fn takes_peers(&self) -> bool {
        self.state.borrow().standing.running
    }

    /// Starts or stops the machine and the announcer, if what the record and the standing say has changed.
    pub(super) fn settle(&self) {
        let run = {
            let mut state = self.state.borrow_mut();
            state.standing.changed = true;
            let may = state.may_run();
            if may == state.standing.running {
                return;
            }
            state.standing.running = may;
            may
        };
        if run {
            self.feed(Event::OwnAddrs(self.shard().shared.own_addrs()));
            // The machine first: one that does not run wants no peers, and the first announce would ask for none.
            self.feed(Event::Run(true));
            self.start_announcing();
        } else {
            self.feed(Event::Run(false));
            self.stop_announcing();
        }
    }

    /// Everything wanted has arrived.
    pub(super) fn completed(&self, state: &mut State) {
        if state.record.completed_at.is_none() {
            state.record.completed_at = Some(unix_now());
            tracing::info!(torrent = %self.id(), "{} is complete", state.record.name);
            self.announce_completed(state);
        }
        state.standing.record_unsaved = true;
        state.standing.have_unsaved = true;
        state.standing.changed = true;
        // Makes the files of length zero, which no piece would.
        if self.content().is_some_and(|content| content.storage.sync().is_ok()) {
            state.standing.syncing += 1;
        }
    }

    /// The disk failed under this torrent: it stops with the reason, and only the user starts it again.
    pub(super) fn disk_failed(&self, error: &DiskError) {
        {
            let mut state = self.state.borrow_mut();
            if state.record.error.is_some() {
                return;
            }
            tracing::warn!(torrent = %self.id(), "{} stopped: {error}", state.record.name);
            state.record.error = Some(error.to_string());
            state.standing.record_unsaved = true;
        }
        self.settle();
    }

    /// Twice a second: count, save what is due, show what changed.
    pub(super) fn tick(&self, now: Instant) {
        let over_limit = {
            let mut state = self.state.borrow_mut();
            state.count(now);
            self.save_due(&mut state, now);
            state.standing.running && state.reached_seed_limit(&self.shard().shared.settings())
        };
        if over_limit {
            tracing::info!(torrent = %self.id(), "paused: the share limit is reached");
            self.state.borrow_mut().record.paused = true;
            self.settle();
        }
        self.show(now);
    }

    fn save_due(&self, state: &mut State, now: Instant) {
        let standing = &state.standing;
        if standing.have_unsaved && now.since(standing.have_saved) >= SAVE_HAVE {
            self.save_have(state, now);
        }
        let moved = state.standing.running && now.since(state.standing.record_saved) >= SAVE_RECORD;
        if state.standing.record_unsaved || moved {
            self.save_record(state, now);
        }
    }

    /// Records the held pieces. Where the setting asks for it the data is synced first, and recorded when that is done.
    pub(super) fn save_have(&self, state: &mut State, now: Instant) {
        let (Some(content), Some(torrent)) = (self.content(), state.machine.torrent()) else { return };
        let have = torrent.have().clone();
        state.standing.have_saved = now;
        let shared = &self.shard().shared;
        if shared.settings().sync_writes {
            // While a sync is under way or storage is too busy for one, the pieces stay unsaved, and the next tick asks again.
            if state.standing.syncing == 0 && content.storage.sync().is_ok() {
                state.standing.syncing += 1;
                state.standing.have_unsaved = false;
                state.standing.have_to_save = Some(have);
            }
            return;
        }
        state.standing.have_unsaved = false;
        shared.put_have(self.id(), &have);
        state.record.complete = state.machine.is_seed();
        self.save_record(state, now);
    }

    pub(super) fn save_record(&self, state: &mut State, now: Instant) {
        state.standing.record_unsaved = false;
        state.standing.record_saved = now;
        state.record.complete &= state.machine.is_seed();
        state.record.have = state.machine.stats(now).have;
        self.shard().shared.put_torrent(&state.record);
    }

    /// btd stops: drop peers, tell trackers.
    pub(super) fn stop(&self) {
        self.state.borrow_mut().standing.stopping = true;
        self.settle();
        let conns: Vec<_> = self.state.borrow().conns.values().cloned().collect();
        conns.iter().for_each(|conn| conn.close(DropReason::Stopped));
        let now = self.shard().clock.now();
        let mut state = self.state.borrow_mut();
        state.count(now);
        self.save_have(&mut state, now);
        let peers = state.machine.remember();
        self.shard().shared.put_swarm(self.id(), &peers);
    }
}

impl State {
    /// Whether nothing stands between the torrent and running.
    fn may_run(&self) -> bool {
        let record = &self.record;
        let standing = &self.standing;
        !record.paused
            && record.error.is_none()
            && standing.checking.is_none()
            && !standing.queued
            && !standing.moving
            && !standing.stopping
    }

    /// Adds what the machine moved since the last time to the record.
    pub(super) fn count(&mut self, now: Instant) {
        let stats = self.machine.stats(now);
        let standing = &mut self.standing;
        let record = &mut self.record;
        record.downloaded += stats.downloaded.saturating_sub(standing.counted_down);
        record.uploaded += stats.uploaded.saturating_sub(standing.counted_up);
        if (stats.downloaded, stats.uploaded) != (standing.counted_down, standing.counted_up) {
            standing.active_at = Some(unix_now());
        }
        // Once more after the last peer went and the rates have come to rest.
        let busy = stats.peers + stats.connecting > 0 || stats.download_rate + stats.upload_rate > 0;
        standing.changed |= standing.running && (busy || standing.was_busy);
        standing.was_busy = busy;
        (standing.counted_down, standing.counted_up) = (stats.downloaded, stats.uploaded);
        let seconds = now.since(standing.counted).as_secs();
        if seconds > 0 {
            standing.counted += Duration::from_secs(seconds);
            match (standing.running, self.machine.is_complete()) {
                (true, true) => record.seeding_seconds += seconds,
                (true, false) => record.downloading_seconds += seconds,
                (false, _) => {}
            }
        }
    }

    /// Whether the torrent has been seeded as much as was asked for.
    fn reached_seed_limit(&self, settings: &proto::rpc::Settings) -> bool {
        if !self.machine.is_complete() {
            return false;
        }
        let record = &self.record;
        let ratio =
            Some(record.ratio_limit.unwrap_or(settings.seed_ratio_limit)).filter(|limit| *limit > 0.0);
        let time =
            Some(record.seed_time_limit.unwrap_or(settings.seed_time_limit)).filter(|limit| *limit > 0);
        ratio.is_some_and(|limit| record.uploaded as f64 >= limit * record.size as f64)
            || time.is_some_and(|limit| record.seeding_seconds >= limit)
    }
}
