//! `btctl set`.

use super::{Context, Result, act};
use crate::{exit::Failure, ids::Name, render::format::parse_duration};
use proto::{
    rpc::{
        ApiClient,
        params::{self, OrSession},
        torrent::{Priorities, Priority},
    },
    size::Size,
};

/// More files than this are not named one by one; it also bounds what a range such as 0-4000000000 makes.
const MAX_INDICES: usize = 1_000_000;

/// Numbers of files: `0,2,5-9`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Indices(pub(crate) Vec<u32>);

/// Reads `0,2,5-9`.
pub(crate) fn parse_indices(text: &str) -> std::result::Result<Indices, String> {
    let wrong = |part: &str| format!("“{part}” is no number of a file and no range such as 5-9");
    let mut indices = Vec::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| wrong(part));
        let (from, to) = (number(from)?, number(to)?);
        if from > to {
            return Err(wrong(part));
        }
        if (to - from) as usize >= MAX_INDICES - indices.len() {
            return Err("these are too many files".to_owned());
        }
        indices.extend(from..=to);
    }
    Ok(Indices(indices))
}

/// `btctl set`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Set {
    /// Which torrents; “all” for every one.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<Name>,
    /// Fetch these files before the others, by their number: 0,2,5-9.
    #[arg(long, value_name = "FILES", value_parser = parse_indices)]
    high: Option<Indices>,
    /// Fetch these files as usual.
    #[arg(long, value_name = "FILES", value_parser = parse_indices)]
    normal: Option<Indices>,
    /// Fetch these files after the others.
    #[arg(long, value_name = "FILES", value_parser = parse_indices)]
    low: Option<Indices>,
    /// Do not fetch these files.
    #[arg(long, value_name = "FILES", value_parser = parse_indices)]
    skip: Option<Indices>,
    /// Bytes per second each may receive, such as 5MiB; 0 is no limit.
    #[arg(long, value_name = "RATE")]
    download_limit: Option<Size>,
    /// Bytes per second each may send; 0 is no limit.
    #[arg(long, value_name = "RATE")]
    upload_limit: Option<Size>,
    /// Fetch pieces in order.
    #[arg(long)]
    sequential: bool,
    /// Fetch pieces in the order of the strategy.
    #[arg(long, conflicts_with = "sequential")]
    no_sequential: bool,
    /// Give it these labels instead of those it has; may be repeated.
    #[arg(long = "label", short = 'l', value_name = "LABEL")]
    labels: Vec<String>,
    /// Take its labels away.
    #[arg(long, conflicts_with = "labels")]
    no_labels: bool,
    /// Its place in the queue, 0 first.
    #[arg(long, value_name = "PLACE")]
    queue_position: Option<u32>,
    /// End seeding at this share ratio; “none”: never; “session”: as the session's setting says.
    #[arg(long, value_name = "RATIO", value_parser = parse_ratio)]
    seed_ratio: Option<OrSession<f64>>,
    /// End seeding after this time, such as 90m, 2h, 3d; “none”: never; “session”: as the session's setting says.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    seed_time: Option<OrSession<u64>>,
}

fn parse_ratio(text: &str) -> std::result::Result<OrSession<f64>, String> {
    let valid = |ratio: &f64| ratio.is_finite() && *ratio >= 0.0;
    limit(text, |text| text.parse().ok().filter(valid).ok_or_else(|| format!("“{text}” is no ratio")))
}

fn parse_time(text: &str) -> std::result::Result<OrSession<u64>, String> {
    limit(text, parse_duration)
}

fn limit<T: Default>(
    text: &str,
    parse: impl FnOnce(&str) -> std::result::Result<T, String>,
) -> std::result::Result<OrSession<T>, String> {
    match text {
        "session" => Ok(OrSession::SESSION),
        "none" => Ok(OrSession::Own(T::default())),
        text => parse(text).map(OrSession::Own),
    }
}

impl Set {
    /// Makes the change.
    pub(crate) async fn run(self, cx: &Context<'_>) -> Result {
        let priorities = self.priorities()?;
        let ids = cx.many(&self.ids).await?;
        let nothing = params::Set::new(ids.clone());
        let change = params::Set {
            ids,
            priorities,
            download_limit: self.download_limit,
            upload_limit: self.upload_limit,
            sequential: match (self.sequential, self.no_sequential) {
                (false, false) => None,
                (on, _) => Some(on),
            },
            labels: (self.no_labels || !self.labels.is_empty()).then_some(self.labels),
            queue_position: self.queue_position,
            seed_ratio_limit: self.seed_ratio,
            seed_time_limit: self.seed_time,
        };
        if change == nothing {
            return Err(
                Failure::usage("there is nothing to set").advise("“btctl set --help” lists what can be set")
            );
        }
        let outcomes = cx.call(cx.client.torrent_set(&change)).await?;
        act::report(cx, "set", &outcomes)
    }

    fn priorities(&self) -> Result<Priorities> {
        let mut priorities = Priorities::new();
        let choices = [
            (&self.high, Priority::High),
            (&self.normal, Priority::Normal),
            (&self.low, Priority::Low),
            (&self.skip, Priority::Skip),
        ];
        for (indices, priority) in choices {
            for &index in indices.iter().flat_map(|indices| &indices.0) {
                if priorities.insert(index, priority).is_some_and(|before| before != priority) {
                    return Err(Failure::usage(format!("file {index} is given two priorities")));
                }
            }
        }
        Ok(priorities)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_numbers_and_ranges() {
        assert_eq!(parse_indices("0,2,5-7"), Ok(Indices(vec![0, 2, 5, 6, 7])));
        assert_eq!(parse_indices("3"), Ok(Indices(vec![3])));
        for wrong in ["", "a", "1,", "5-3", "-1", "1-2-3", "0-4294967295", "0-999998,5,6"] {
            assert!(parse_indices(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn share_limits_have_two_words() {
        assert_eq!(parse_ratio("1.5"), Ok(OrSession::Own(1.5)));
        assert_eq!(parse_ratio("none"), Ok(OrSession::Own(0.0)));
        assert_eq!(parse_time("session"), Ok(OrSession::SESSION));
        assert_eq!(parse_time("2h"), Ok(OrSession::Own(7_200)));
        for wrong in ["-1", "inf", "NaN", "much"] {
            assert!(parse_ratio(wrong).is_err(), "{wrong}");
        }
    }
}
