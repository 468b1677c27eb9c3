//! `btctl verify`: checks data against a torrent.

use super::{Result, inspect::read_torrent, work};
use crate::{
    exit::Code,
    render::{Output, Style, clean, format::grouped},
};
use make::{FileReport, FileState, Report};
use proto::size::Size;
use serde::Serialize;
use std::path::PathBuf;

/// `btctl verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// The torrent file.
    #[arg(value_name = "FILE.torrent")]
    torrent: PathBuf,
    /// The torrent's file or folder, or the folder that holds it.
    path: PathBuf,
    /// Tell of the files that are right, too.
    #[arg(long, short = 'v')]
    verbose: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Document {
    complete: bool,
    path: String,
    pieces: usize,
    bad_pieces: Vec<usize>,
    files: Vec<File>,
}

#[derive(Debug, Serialize)]
struct File {
    path: String,
    length: u64,
    /// `good`, `differs`, `missing`, `length` or `unreadable`.
    state: &'static str,
    /// The length found, if it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<u64>,
    bad_pieces: usize,
}

impl Verify {
    /// Checks, and fails unless everything is right.
    pub(crate) fn run(self, out: &Output) -> Result {
        let torrent = read_torrent(&self.torrent)?.1;
        let path = self.path.clone();
        let report = work::local(out, "checking", move |control| make::verify(&torrent, &path, control))?;
        out.result(&document(&report), |_| text(&report, self.verbose, out))?;
        Ok(if report.is_complete() { Code::Ok } else { Code::Failed })
    }
}

fn document(report: &Report) -> Document {
    let file = |file: &FileReport| File {
        path: file.path.clone(),
        length: file.length,
        state: match file.state {
            FileState::Good => "good",
            FileState::Differs => "differs",
            FileState::Missing => "missing",
            FileState::Length(_) => "length",
            FileState::Unreadable(_) => "unreadable",
        },
        found: match file.state {
            FileState::Length(found) => Some(found),
            _ => None,
        },
        bad_pieces: file.bad_pieces,
    };
    Document {
        complete: report.is_complete(),
        path: report.root.display().to_string(),
        pieces: report.pieces,
        bad_pieces: report.bad.clone(),
        files: report.files.iter().map(file).collect(),
    }
}

fn text(report: &Report, verbose: bool, out: &Output) -> String {
    let mut text = String::new();
    for file in &report.files {
        let path = clean(&file.path);
        let (style, word, detail) = match &file.state {
            FileState::Good if !verbose => continue,
            FileState::Good => (Style::Green, "good", String::new()),
            FileState::Differs => (Style::Red, "differs", format!(": {}", pieces(file.bad_pieces))),
            FileState::Missing => (Style::Red, "missing", String::new()),
            FileState::Length(found) => {
                let detail = format!(": {} instead of {} bytes", grouped(*found), grouped(file.length));
                (Style::Red, "length", detail)
            }
            FileState::Unreadable(why) => (Style::Red, "unreadable", format!(": {why}")),
        };
        text.push_str(&format!("{}  {path}{detail}\n", out.paint(style, &format!("{word:10}"))));
    }
    let bytes = Size(report.files.iter().map(|file| file.length).sum());
    if report.is_complete() {
        let all = if report.files.len() == 1 { "the file is" } else { "all files are" };
        let count = grouped(report.pieces as u64);
        text.push_str(&format!(
            "{}: {all} right, {bytes} in {count} pieces\n",
            out.paint(Style::Green, "complete")
        ));
    } else {
        let wrong = report.files.iter().filter(|file| file.state != FileState::Good).count();
        let (all, count) = (report.files.len(), grouped(report.pieces as u64));
        let bad = pieces(report.bad.len());
        text.push_str(&format!("{wrong} of {all} files wrong; {bad} of {count}{}\n", ranges(&report.bad)));
    }
    text
}

fn pieces(count: usize) -> String {
    if count == 1 { "1 piece differs".to_owned() } else { format!("{} pieces differ", grouped(count as u64)) }
}

/// Which pieces, as ranges; the first of many.
fn ranges(bad: &[usize]) -> String {
    const SHOWN: usize = 12;
    let runs: Vec<&[usize]> = bad.chunk_by(|a, b| a + 1 == *b).collect();
    let run = |run: &&[usize]| match run {
        [one] => one.to_string(),
        several => format!("{}-{}", several.first().unwrap_or(&0), several.last().unwrap_or(&0)),
    };
    let mut shown: Vec<String> = runs.iter().take(SHOWN).map(run).collect();
    if runs.len() > SHOWN {
        shown.push("…".to_owned());
    }
    if shown.is_empty() { String::new() } else { format!(": {}", shown.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_named_in_runs() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[3]), ": 3");
        assert_eq!(ranges(&[0, 1, 2, 7, 9, 10]), ": 0-2, 7, 9-10");
        let many: Vec<usize> = (0..100).map(|i| i * 2).collect();
        assert!(ranges(&many).ends_with("20, 22, …"));
    }
}
