//! `btctl inspect`: everything in a torrent file or magnet link.

mod tree;

use super::Result;
use crate::{
    exit::{Code, Failure},
    render::{
        Output,
        format::{long, moment},
        table::Pairs,
    },
};
use proto::{
    id::to_hex,
    magnet::Magnet,
    metainfo::{FileEntry, Metainfo},
    size::Size,
};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// `btctl inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// A torrent file or a magnet link.
    #[arg(value_name = "FILE|MAGNET")]
    source: PathBuf,
}

/// What `--json` prints of a torrent.
#[derive(Debug, Serialize)]
struct Report {
    id: String,
    version: &'static str,
    info_hash: Option<String>,
    info_hash_v2: Option<String>,
    name: String,
    size: u64,
    piece_length: u32,
    pieces: u32,
    private: bool,
    source: Option<String>,
    comment: Option<String>,
    created_by: Option<String>,
    creation_date: Option<i64>,
    trackers: Vec<Vec<String>>,
    web_seeds: Vec<String>,
    nodes: Vec<String>,
    magnet: String,
    files: Vec<File>,
}

#[derive(Debug, Serialize)]
struct File {
    path: String,
    length: u64,
    /// Any of `pad`, `executable`, `hidden`, `symlink`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<&'static str>,
    /// The root of its hash tree (BEP 52).
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
}

/// What `--json` prints of a magnet link.
#[derive(Debug, Serialize)]
struct Link {
    id: String,
    info_hash: Option<String>,
    info_hash_v2: Option<String>,
    name: Option<String>,
    trackers: Vec<String>,
    web_seeds: Vec<String>,
    peers: Vec<String>,
    /// Positions of the files chosen; empty: all.
    files: Vec<u32>,
    magnet: String,
}

impl Inspect {
    /// Shows it.
    pub(crate) fn run(self, out: &Output) -> Result {
        let text = self.source.to_string_lossy();
        if text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("magnet:")) {
            let magnet = Magnet::parse(&text).map_err(|error| Failure::failed(error.to_string()))?;
            out.result(&link(&magnet), |link| render_link(link, out))?;
        } else {
            let torrent = read_torrent(&self.source)?.1;
            let report = report(&torrent)?;
            out.result(&report, |report| render(report, &torrent, out))?;
        }
        Ok(Code::Ok)
    }
}

/// A torrent file, of whatever version: its bytes and what they mean.
pub(crate) fn read_torrent(path: &Path) -> Result<(Vec<u8>, Metainfo)> {
    let bytes = super::add::read_file(path)?;
    let torrent = Metainfo::parse_any(&bytes).map_err(|error| {
        let mut failure = Failure::failed(format!("{}: {error}", path.display()));
        failure.kind = "invalid_torrent";
        failure
    })?;
    Ok((bytes, torrent))
}

fn report(torrent: &Metainfo) -> Result<Report> {
    let info = &torrent.info;
    let tree = info.tree().map_err(|error| Failure::failed(error.to_string()))?;
    let mut roots = tree.into_iter().flat_map(|tree| tree.files).map(|file| file.root);
    let mut file = |entry: &FileEntry| File {
        path: entry.display_path(),
        length: entry.length,
        attributes: attributes(entry),
        // The files of a hybrid are in the order of its tree.
        root: if entry.pad { None } else { roots.next().flatten().map(|root| to_hex(&root)) },
    };
    let v1 = (!info.is_v2_only()).then(|| info.info_hash.to_string());
    let v2 = info.v2_hash.map(|hash| to_hex(&hash));
    Ok(Report {
        id: info.info_hash.to_string(),
        version: match (&v1, &v2) {
            (Some(_), Some(_)) => "hybrid",
            (None, _) => "v2",
            _ => "v1",
        },
        name: info.name.clone(),
        size: info.files.iter().filter(|file| !file.pad).map(|file| file.length).sum(),
        piece_length: info.layout.piece_length(),
        pieces: info.layout.pieces(),
        private: info.private,
        source: info.source.clone(),
        comment: torrent.comment.clone(),
        created_by: torrent.created_by.clone(),
        creation_date: torrent.creation_date,
        trackers: torrent.trackers.clone(),
        web_seeds: torrent.web_seeds.clone(),
        nodes: torrent.nodes.iter().map(|(host, port)| format!("{host}:{port}")).collect(),
        magnet: magnet(torrent).to_string(),
        files: info.files.iter().map(&mut file).collect(),
        info_hash: v1,
        info_hash_v2: v2,
    })
}

fn magnet(torrent: &Metainfo) -> Magnet {
    Magnet {
        info_hash: (!torrent.info.is_v2_only()).then_some(torrent.info.info_hash),
        v2_hash: torrent.info.v2_hash,
        name: Some(torrent.info.name.clone()),
        trackers: torrent.trackers.concat(),
        web_seeds: torrent.web_seeds.clone(),
        ..Magnet::default()
    }
}

fn attributes(entry: &FileEntry) -> Vec<&'static str> {
    let all = [
        (entry.pad, "pad"),
        (entry.executable, "executable"),
        (entry.hidden, "hidden"),
        (entry.symlink, "symlink"),
    ];
    all.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect()
}

fn render(report: &Report, torrent: &Metainfo, out: &Output) -> String {
    let mut pairs = Pairs::default();
    pairs.add("Name", &report.name);
    pairs.add("Version", report.version);
    pairs.maybe("Info-hash", report.info_hash.as_deref());
    pairs.maybe("Info-hash v2", report.info_hash_v2.as_deref());
    pairs.add("Size", long(report.size));
    pairs.add("Pieces", format!("{} of {}", report.pieces, Size(u64::from(report.piece_length))));
    if report.private {
        pairs.add("Private", "yes: peers come from its trackers only");
    }
    pairs.maybe("Source", report.source.as_deref());
    pairs.maybe("Comment", report.comment.as_deref());
    pairs.maybe("Created by", report.created_by.as_deref());
    pairs.maybe("Created", report.creation_date.and_then(|date| u64::try_from(date).ok()).map(moment));
    for (tier, urls) in report.trackers.iter().enumerate() {
        for url in urls {
            pairs.add("Tracker", format!("{url} (tier {})", tier + 1));
        }
    }
    report.web_seeds.iter().for_each(|url| pairs.add("Web seed", url));
    report.nodes.iter().for_each(|node| pairs.add("DHT node", node));
    pairs.add("Magnet", &report.magnet);
    format!("{}\n{}", pairs.render(out), tree::render(&torrent.info.files, out))
}

fn link(magnet: &Magnet) -> Link {
    let v2 = magnet.v2_hash.map(|hash| to_hex(&hash));
    let short = || v2.as_deref().and_then(|hex| hex.get(..40)).unwrap_or_default().to_owned();
    Link {
        id: magnet.info_hash.map_or_else(short, |hash| hash.to_string()),
        info_hash: magnet.info_hash.map(|hash| hash.to_string()),
        name: magnet.name.clone(),
        trackers: magnet.trackers.clone(),
        web_seeds: magnet.web_seeds.clone(),
        peers: magnet.peers.iter().map(|peer| peer.to_string()).collect(),
        files: magnet.files.iter().cloned().flatten().take(MOST_FILES).collect(),
        magnet: magnet.to_string(),
        info_hash_v2: v2,
    }
}

/// A link's ranges may name four thousand million files; no torrent has more than this.
const MOST_FILES: usize = proto::metainfo::MAX_FILES;

fn render_link(link: &Link, out: &Output) -> String {
    let mut pairs = Pairs::default();
    pairs.maybe("Name", link.name.as_deref());
    pairs.maybe("Info-hash", link.info_hash.as_deref());
    pairs.maybe("Info-hash v2", link.info_hash_v2.as_deref());
    link.trackers.iter().for_each(|url| pairs.add("Tracker", url));
    link.web_seeds.iter().for_each(|url| pairs.add("Web seed", url));
    link.peers.iter().for_each(|peer| pairs.add("Peer", peer));
    if !link.files.is_empty() {
        let files: Vec<String> = link.files.iter().take(100).map(u32::to_string).collect();
        let more = if link.files.len() > files.len() { ", …" } else { "" };
        pairs.add("Files", format!("{}{more}", files.join(", ")));
    }
    pairs.render(out)
}
