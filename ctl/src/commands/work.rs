//! Long work: how far it is, and stopping it.

use super::Result;
use crate::{
    exit::{Code, Failure},
    render::{
        Output,
        format::{duration, percent},
        live::{Live, bar},
        text::pad,
    },
};
use make::Control;
use proto::size::Size;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often the bar is drawn: often enough to look alive.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// Columns of the bar itself; what is left of the line is for figures.
const BAR: usize = 24;
/// The rate shown is an average over about this long.
const RATE_OVER: f64 = 2.0;

/// Does blocking work on a thread of its own, shows how far it is on a terminal, and cancels it on a signal.
pub(crate) fn local<T: Send + 'static>(
    out: &Output,
    label: &'static str,
    work: impl FnOnce(&Control) -> std::result::Result<T, make::Error> + Send + 'static,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let control = Arc::new(Control::new());
        let mut stop = Stop::new()?;
        let mut bar = Bar::new(out, label)?;
        let shared = Arc::clone(&control);
        let mut work = tokio::task::spawn_blocking(move || work(&shared));
        loop {
            tokio::select! {
                done = &mut work => {
                    drop(bar);
                    let result = done.map_err(|error| Failure::failed(format!("the work broke off: {error}")))?;
                    return result.map_err(failure);
                }
                () = stop.wait() => control.cancel(),
                () = tokio::time::sleep(TICK) => bar.show(control.done(), control.total())?,
            }
        }
    })
}

/// What a failure of the library means for the shell.
pub(crate) fn failure(error: make::Error) -> Failure {
    use make::Error;
    let code = match error {
        Error::Missing(_) => Code::NotFound,
        Error::PieceLengthText(_)
        | Error::PieceLengthPower(_)
        | Error::PieceLengthRange(_)
        | Error::Tracker { .. }
        | Error::WebSeed { .. }
        | Error::Pattern { .. }
        | Error::Name(_) => Code::Usage,
        _ => Code::Failed,
    };
    let mut failure = Failure::new(code, error.to_string());
    match error {
        Error::Torrent(_) => failure.kind = "invalid_torrent",
        Error::Cancelled => failure.kind = "cancelled",
        _ => {}
    }
    failure
}

/// The signals that ask us to stop.
pub(crate) struct Stop([Signal; 3]);

impl Stop {
    /// From now on they no longer end the process.
    pub(crate) fn new() -> Result<Self> {
        let listen = |kind| {
            signal(kind).map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))
        };
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    /// Waits for any of them.
    pub(crate) async fn wait(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// A line with a bar, the rate and the time left; nothing where there is no terminal.
pub(crate) struct Bar<'a> {
    live: Option<Live<'a>>,
    label: &'static str,
    last: Option<(Instant, u64)>,
    rate: f64,
}

impl<'a> Bar<'a> {
    /// An empty one.
    pub(crate) fn new(out: &'a Output, label: &'static str) -> Result<Self> {
        let live = if out.terminal && !out.json { Some(Live::new(out)?) } else { None };
        Ok(Self { live, label, last: None, rate: 0.0 })
    }

    /// Draws it, for so many bytes of so many.
    pub(crate) fn show(&mut self, done: u64, total: u64) -> Result<()> {
        self.measure(done);
        let line = self.line(done, total);
        if let Some(live) = &mut self.live {
            live.draw(&[line])?;
        }
        Ok(())
    }

    fn measure(&mut self, done: u64) {
        let now = Instant::now();
        if let Some((then, before)) = self.last {
            let seconds = now.duration_since(then).as_secs_f64().max(1e-3);
            let rate = done.saturating_sub(before) as f64 / seconds;
            let weight = if self.rate == 0.0 { 1.0 } else { (seconds / RATE_OVER).min(1.0) };
            self.rate += (rate - self.rate) * weight;
        }
        self.last = Some((now, done));
    }

    fn line(&self, done: u64, total: u64) -> String {
        if total == 0 {
            return format!("{}  looking at files", self.label);
        }
        let share = done as f64 / total as f64;
        let left = match self.rate as u64 {
            0 => String::new(),
            rate => format!("  {} left", duration(total.saturating_sub(done).div_ceil(rate))),
        };
        let figures = format!("{} of {}  {}/s", Size(done), Size(total), Size(self.rate as u64));
        format!("{}  {}  {}  {figures}{left}", self.label, bar(share, BAR), pad(&percent(share), 6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_and_how_long() {
        let mut bar = Bar { live: None, label: "making", last: None, rate: 0.0 };
        assert_eq!(bar.line(0, 0), "making  looking at files");
        bar.rate = 1048576.0;
        let line = bar.line(512 << 20, 1 << 30);
        assert!(
            line.contains("50.0%") && line.ends_with("512 MiB of 1.00 GiB  1.00 MiB/s  8m32s left"),
            "{line}"
        );
    }
}
