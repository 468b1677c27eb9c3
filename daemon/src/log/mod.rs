//! btd's log: to standard error for people or as JSON for machines, and the last lines in memory for `events`.

mod ring;

pub(crate) use ring::Ring;

use std::io::IsTerminal;
use std::sync::Arc;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// Our crates, which a plain level is about. Others speak up when something is wrong.
const OURS: [&str; 5] = ["btd", "engine", "hash", "proto", "storage"];

/// The running log.
#[derive(Clone, Debug)]
pub(crate) struct Logs {
    filter: reload::Handle<EnvFilter, Registry>,
    /// The last lines, of level info and above.
    pub(crate) ring: Arc<Ring>,
}

/// What a setting of the log means: a level for btd itself, or tracing's directives as they are.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, String> {
    let text = text.trim();
    let directives = match text.parse::<LevelFilter>() {
        Ok(level) if !text.is_empty() => {
            let others = level.min(LevelFilter::WARN);
            let ours = OURS.map(|name| format!("{name}={level}"));
            format!("{others},{}", ours.join(","))
        }
        _ => text.to_owned(),
    };
    EnvFilter::builder().parse(&directives).map_err(|error| {
        format!("“{text}” is neither a level (error, warn, info, debug, trace, off) nor a list of directives: {error}")
    })
}

/// Starts the log of this process; once.
pub(crate) fn init(text: &str, json: bool) -> Result<Logs, String> {
    let (filter, handle) = reload::Layer::new(filter(text)?);
    let ring = Arc::new(Ring::default());
    // journald has its own clock and no colours.
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let base =
        fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal() && !journal);
    let output: Box<dyn Layer<Registry> + Send + Sync> = match (json, journal) {
        (true, _) => base.json().flatten_event(true).with_filter(filter).boxed(),
        (false, true) => base.without_time().with_filter(filter).boxed(),
        (false, false) => base.with_filter(filter).boxed(),
    };
    tracing_subscriber::registry()
        .with(output)
        .with(ring::Layer(Arc::clone(&ring)).with_filter(self::filter("info")?))
        .try_init()
        .map_err(|error| error.to_string())?;
    Ok(Logs { filter: handle, ring })
}

impl Logs {
    /// Changes what goes to standard error.
    pub(crate) fn set_filter(&self, text: &str) -> Result<(), String> {
        self.filter.reload(filter(text)?).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_about_btd_and_directives_are_taken_as_they_are() {
        let debug = filter("debug").unwrap().to_string();
        assert!(debug.contains("btd=debug") && debug.split(',').any(|part| part == "warn"), "{debug}");
        let error = filter("ERROR").unwrap().to_string();
        assert!(error.split(',').any(|part| part == "error"), "{error}");
        assert_eq!(filter("btd::shard=trace,warn").unwrap().to_string(), "btd::shard=trace,warn");
        assert!(filter("btd=loud").unwrap_err().contains("btd=loud"));
    }
}
