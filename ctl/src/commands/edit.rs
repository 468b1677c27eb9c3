//! `btctl edit`: changes a torrent file without touching its info-hash.

use super::{Result, inspect::read_torrent, mktorrent::tiers, work};
use crate::{
    exit::{Code, Failure},
    render::{Output, table::Pairs},
};
use proto::metainfo::Metainfo;
use serde::Serialize;
use std::path::PathBuf;

/// `btctl edit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Edit {
    /// The torrent file.
    file: PathBuf,
    /// Replace all trackers: one tier each time, commas between those of one tier; an empty text removes them.
    #[arg(long, short = 'a', value_name = "URL[,URL]…")]
    announce_urls: Vec<String>,
    /// Add trackers as a further tier.
    #[arg(long, value_name = "URL[,URL]…")]
    add_tracker: Vec<String>,
    /// Take a tracker out.
    #[arg(long, value_name = "URL")]
    remove_tracker: Vec<String>,
    /// Replace the comment; an empty text removes it.
    #[arg(long, short = 'c', value_name = "TEXT")]
    comment: Option<String>,
    /// Replace all web seeds; may be repeated; an empty text removes them.
    #[arg(long = "web-seed", value_name = "URL")]
    web_seeds: Vec<String>,
    /// Replace the name of the program that made it; an empty text removes it.
    #[arg(long, value_name = "TEXT")]
    created_by: Option<String>,
    /// Write to another file instead of over this one.
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the other file if it exists.
    #[arg(long, requires = "output")]
    force: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    path: String,
    id: String,
    trackers: Vec<Vec<String>>,
    web_seeds: Vec<String>,
    comment: Option<String>,
    created_by: Option<String>,
}

impl Edit {
    /// Changes it.
    pub(crate) fn run(self, out: &Output) -> Result {
        let changes = self.changes()?;
        let (bytes, before) = read_torrent(&self.file)?;
        let edited = make::edit(&bytes, &changes).map_err(work::failure)?;
        let after = Metainfo::parse_any(&edited).map_err(|error| Failure::failed(error.to_string()))?;
        if after.info.raw() != before.info.raw() {
            return Err(Failure::failed("the change would have altered the info-hash; nothing was written"));
        }
        let target = self.output.as_ref().unwrap_or(&self.file);
        let force = self.output.is_none() || self.force;
        make::save(target, &edited, force).map_err(work::failure)?;
        let report = Report {
            path: target.display().to_string(),
            id: after.info.info_hash.to_string(),
            trackers: after.trackers.clone(),
            web_seeds: after.web_seeds.clone(),
            comment: after.comment.clone(),
            created_by: after.created_by.clone(),
        };
        out.result(&report, |report| text(report, out))?;
        Ok(Code::Ok)
    }

    fn changes(&self) -> Result<make::Edit> {
        let replaced = |given: &[String]| -> Option<Vec<String>> {
            (!given.is_empty()).then(|| given.iter().filter(|text| !text.is_empty()).cloned().collect())
        };
        let trackers =
            replaced(&self.announce_urls).map(|given| tiers(&given)).transpose().map_err(work::failure)?;
        let changes = make::Edit {
            trackers,
            add_trackers: tiers(&self.add_tracker).map_err(work::failure)?,
            remove_trackers: self.remove_tracker.clone(),
            web_seeds: replaced(&self.web_seeds),
            comment: self.comment.clone(),
            created_by: self.created_by.clone(),
        };
        if changes == make::Edit::default() && self.output.is_none() {
            return Err(Failure::usage("nothing to change is given").advise("see btctl edit --help"));
        }
        Ok(changes)
    }
}

fn text(report: &Report, out: &Output) -> String {
    let mut pairs = Pairs::default();
    pairs.add("Torrent", &report.path);
    pairs.add("Info-hash", format!("{} (unchanged)", report.id));
    for (tier, urls) in report.trackers.iter().enumerate() {
        urls.iter().for_each(|url| pairs.add("Tracker", format!("{url} (tier {})", tier + 1)));
    }
    report.web_seeds.iter().for_each(|url| pairs.add("Web seed", url));
    pairs.maybe("Comment", report.comment.as_deref());
    pairs.maybe("Created by", report.created_by.as_deref());
    pairs.render(out)
}
