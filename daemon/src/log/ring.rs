//! The last lines of the log, in memory.

use parking_lot::Mutex;
use proto::id::InfoHash;
use proto::rpc::session::LogLine;
use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::Context;

/// Lines that are kept: what somebody scrolls back on the page; some 100 KiB.
const MAX_LINES: usize = 500;
/// Bytes of one line: a chain of errors with two paths fits.
const MAX_MESSAGE: usize = 1024;

/// The last [`MAX_LINES`] lines. Each has a number, and a reader remembers up to which number it has read.
#[derive(Debug, Default)]
pub(crate) struct Ring(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<LogLine>,
    /// Lines that were ever pushed.
    pushed: u64,
}

impl Ring {
    /// The lines after the first `read` ones, as far as they are still here, and how many there have been: what to pass
    /// next time.
    pub(crate) fn since(&self, read: u64) -> (u64, Vec<LogLine>) {
        let ring = self.0.lock();
        let new = usize::try_from(ring.pushed.saturating_sub(read)).unwrap_or(usize::MAX);
        let skip = ring.lines.len().saturating_sub(new);
        (ring.pushed, ring.lines.iter().skip(skip).cloned().collect())
    }

    fn push(&self, line: LogLine) {
        let mut ring = self.0.lock();
        if ring.lines.len() >= MAX_LINES {
            ring.lines.pop_front();
        }
        ring.lines.push_back(line);
        ring.pushed += 1;
    }
}

/// Feeds a [`Ring`] from tracing.
#[derive(Debug)]
pub(super) struct Layer(pub(super) Arc<Ring>);

impl<S: Subscriber> tracing_subscriber::Layer<S> for Layer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let mut message = text.message + &text.fields;
        if message.len() > MAX_MESSAGE {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE));
            message.push('…');
        }
        self.0.push(LogLine {
            time: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            level: event.metadata().level().as_str().to_ascii_lowercase(),
            torrent: text.torrent,
            message,
        });
    }
}

/// An event's message with its other fields behind it; the field `torrent` is kept apart.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
    torrent: Option<InfoHash>,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "torrent" => {
                self.torrent = format!("{value:?}").trim_matches('"').parse().ok();
                Ok(())
            }
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn lines_keep_their_torrent_and_a_slow_reader_misses_the_oldest() {
        let ring = Arc::new(Ring::default());
        let subscriber = tracing_subscriber::registry().with(Layer(Arc::clone(&ring)));
        let id = InfoHash([7; 20]);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(torrent = %id, path = "/x", "disk is full");
            let (read, lines) = ring.since(0);
            assert_eq!((read, lines.len()), (1, 1));
            assert_eq!(lines[0].message, "disk is full path=\"/x\"");
            assert_eq!((lines[0].level.as_str(), lines[0].torrent), ("warn", Some(id)));
            for n in 0..MAX_LINES + 10 {
                tracing::info!("line {n}{}", "é".repeat(MAX_MESSAGE));
            }
            let (next, lines) = ring.since(read);
            assert_eq!((next, lines.len()), (MAX_LINES as u64 + 11, MAX_LINES));
            assert!(lines[0].message.starts_with("line 10é") && lines[0].message.len() <= MAX_MESSAGE + 3);
            assert!(ring.since(next).1.is_empty());
        });
    }
}
