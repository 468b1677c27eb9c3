//! What the service manager is told: ready, stopping, and that every shard still turns.
//!
//! Without systemd (no `NOTIFY_SOCKET`) all of this does nothing.

use sd_notify::NotifyState;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Tells that btd serves. `status` is one line for `systemctl status`.
pub(crate) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells that btd is stopping.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::warn!(%error, "cannot tell the service manager how btd is");
    }
}

/// Tells systemd that btd lives, as long as every shard answers.
///
/// Each shard runs its [`Beat`] as a task. A round asks all of them; only when all have answered by the next one is
/// systemd told. So a shard that hangs, in a loop or in a blocking call, has btd restarted.
#[derive(Debug)]
pub(crate) struct Watchdog {
    asked: watch::Sender<u64>,
    shards: Vec<(String, Arc<AtomicU64>)>,
}

/// A shard's answer to the [`Watchdog`].
#[derive(Debug)]
pub(crate) struct Beat {
    asked: watch::Receiver<u64>,
    answered: Arc<AtomicU64>,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self { asked: watch::Sender::new(0), shards: Vec::new() }
    }
}

impl Watchdog {
    /// The beat of one more shard; it is to be run on that shard's thread.
    pub(crate) fn beat(&mut self, shard: impl Into<String>) -> Beat {
        let answered = Arc::default();
        self.shards.push((shard.into(), Arc::clone(&answered)));
        Beat { asked: self.asked.subscribe(), answered }
    }

    /// Watches for as long as btd runs; returns at once when systemd does not ask for it.
    pub(crate) async fn run(self) {
        let mut limit = 0;
        if sd_notify::watchdog_enabled(false, &mut limit) && limit > 0 {
            // An answer is asked for, and told in the next round: three of these pass within the limit.
            self.rounds(Duration::from_micros(limit) / 3, || tell(&[NotifyState::Watchdog])).await;
        }
    }

    async fn rounds(self, every: Duration, mut alive: impl FnMut()) {
        let mut timer = tokio::time::interval(every);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for round in 1.. {
            timer.tick().await;
            let silent: Vec<&str> = self
                .shards
                .iter()
                .filter(|(_, answered)| answered.load(Ordering::Relaxed) + 1 < round)
                .map(|(name, _)| name.as_str())
                .collect();
            if silent.is_empty() {
                alive();
            } else {
                tracing::error!(?silent, "shards do not answer; the service manager will restart btd");
            }
            self.asked.send_replace(round);
        }
    }
}

impl Beat {
    /// Answers until the watchdog is gone.
    pub(crate) async fn run(mut self) {
        while self.asked.changed().await.is_ok() {
            let round = *self.asked.borrow_and_update();
            self.answered.store(round, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;
    use tokio::task::LocalSet;

    const ROUND: Duration = Duration::from_secs(10);

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn it_is_alive_while_every_shard_answers() {
        let mut watchdog = Watchdog::default();
        let (one, two) = (watchdog.beat("one"), watchdog.beat("two"));
        let told = Rc::new(Cell::new(0));
        let local = LocalSet::new();
        local.spawn_local(one.run());
        let second = local.spawn_local(two.run());
        let count = Rc::clone(&told);
        local.spawn_local(watchdog.rounds(ROUND, move || count.set(count.get() + 1)));
        local.run_until(tokio::time::sleep(ROUND * 5 + ROUND / 2)).await;
        assert_eq!(told.get(), 6);
        second.abort();
        local.run_until(tokio::time::sleep(ROUND * 5)).await;
        assert!(told.get() <= 7, "a shard is silent, and yet it was told {} times", told.get());
    }
}
