//! `btctl mktorrent`.

mod job;

use super::{Context, Result, work};
use crate::{
    client::Remote,
    exit::{Code, Failure},
    render::{Output, clean, table::Pairs},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::ValueEnum;
use make::{Format, Input, Like, Made, Options, Plan, PlannedFile, Skipped, Why};
use proto::{
    id::to_hex,
    rpc::{ApiClient, params},
    size::Size,
};
use serde::Serialize;
use std::path::{Path, PathBuf};

const AFTER: &str = "\
v1 is the default because every client reads it. v2 (BEP 52) detects a bad block at once and gives equal files equal \
names, but many clients and most trackers' sites do not take it; a hybrid is read by all, and costs padding between files \
and twice the hashing.

The daemon makes the torrent as a job, from files on its own host. --local does it in this process without a daemon, as do \
--dry-run and --like.";

/// `btctl mktorrent`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Mktorrent {
    /// The file or folder to make a torrent of.
    #[arg(value_name = "PATH", required_unless_present = "input_file", conflicts_with = "input_file")]
    input: Option<PathBuf>,
    /// The same as an option.
    #[arg(long, short = 'f', value_name = "PATH")]
    input_file: Option<PathBuf>,
    /// A tracker, or several of one tier with commas between them; repeat it for further tiers.
    #[arg(long, short = 'a', value_name = "URL[,URL]…")]
    announce_urls: Vec<String>,
    /// A remark for people.
    #[arg(long, short = 'c', value_name = "TEXT")]
    comment: Option<String>,
    /// Do not write the creation date.
    #[arg(long, short = 'w')]
    not_write: bool,
    /// Bytes of a piece: 262144, 256KiB, or 18 for 2 to the power of 18. By default about a thousand pieces, or two.
    #[arg(long, short = 'l', value_name = "LENGTH", value_parser = make::parse_piece_length)]
    piece_length: Option<u32>,
    /// The torrent's name; by default that of the file or folder.
    #[arg(long, short = 'n', value_name = "NAME")]
    torrent_name: Option<String>,
    /// Where to write the torrent: a file, or a folder. By default NAME.torrent in the current folder.
    #[arg(long, short = 'p', value_name = "PATH")]
    torrent_path: Option<PathBuf>,
    /// Tell of every file.
    #[arg(long, short = 'v')]
    verbose: bool,
    /// Peers are to come from the trackers only.
    #[arg(long)]
    private: bool,
    /// A mark that gives the torrent an info-hash of its own.
    #[arg(long, value_name = "TEXT")]
    source: Option<String>,
    /// A web server that has the same files; may be repeated.
    #[arg(long = "web-seed", value_name = "URL")]
    web_seeds: Vec<String>,
    /// Leave out what matches: *.tmp, cache/**; may be repeated.
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Take files and folders that start with a dot too.
    #[arg(long)]
    include_hidden: bool,
    /// Take what symbolic links lead to; otherwise they are left out.
    #[arg(long)]
    follow_symlinks: bool,
    /// Let every file start at a piece, by padding (BEP 47); v2 and hybrid torrents do so anyway.
    #[arg(long)]
    align: bool,
    /// For every client (the default).
    #[arg(long, group = "format")]
    v1: bool,
    /// For clients with BEP 52 only.
    #[arg(long, group = "format")]
    v2: bool,
    /// For both kinds of clients.
    #[arg(long, group = "format")]
    hybrid: bool,
    /// The program named as the maker; an empty one is not written.
    #[arg(long, value_name = "TEXT")]
    created_by: Option<String>,
    /// Choose and order files as another program, for the same info-hash.
    #[arg(long, value_name = "PROGRAM", conflicts_with = "seed")]
    like: Option<Other>,
    /// Add the torrent to the daemon and seed it.
    #[arg(long, conflicts_with = "dry_run")]
    seed: bool,
    /// Replace the torrent file if it exists.
    #[arg(long)]
    force: bool,
    /// Do everything but write the torrent, and tell of every file.
    #[arg(long)]
    dry_run: bool,
    /// Make it in this process.
    #[arg(long)]
    local: bool,
}

/// A program whose habits can be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Other {
    /// Hidden files and links are taken.
    Mktorrent,
    /// Without hidden and empty files; sorted regardless of case.
    Transmission,
    /// In the order of the file system, unless padded.
    Libtorrent,
}

/// What `--json` prints of a torrent made here.
#[derive(Debug, Serialize)]
struct Report {
    /// The name by which the API knows the torrent.
    id: String,
    info_hash: Option<String>,
    info_hash_v2: Option<String>,
    magnet: String,
    /// Absent for `--dry-run`.
    path: Option<String>,
    name: String,
    piece_length: u32,
    pieces: usize,
    size: u64,
    files: usize,
}

impl Mktorrent {
    /// Whether the work is done here, so that a daemon is not needed to begin.
    pub(crate) fn is_local(&self) -> bool {
        self.local || self.dry_run || self.like.is_some()
    }

    /// Makes the torrent in this process.
    pub(crate) fn run_local(self, host: &str, out: &Output) -> Result {
        let target = self.target()?;
        let (input, options, verbose) = (self.scan(), self.options()?, self.verbose || self.dry_run);
        let (listed, skipped, made) = work::local(out, "making", move |control| {
            let mut plan = Plan::walk(&input, control)?;
            let listed = if verbose { list_files(&plan) } else { String::new() };
            let skipped = std::mem::take(&mut plan.skipped);
            Ok((listed, skipped, make::make(plan, &options, control)?))
        })?;
        if !out.json {
            out.print(&listed)?;
        }
        tell_skipped(&skipped, verbose, out);
        let written = match self.dry_run {
            true => None,
            false => {
                make::save(&target, &made.bytes, self.force).map_err(work::failure)?;
                Some(target)
            }
        };
        out.result(&report(&made, written.as_deref()), |_| text(&made, written.as_deref(), out))?;
        if self.seed { self.seed(&made, host, out) } else { Ok(Code::Ok) }
    }

    /// The path given, one way or the other; clap sees to it that there is exactly one.
    fn path(&self) -> &Path {
        self.input.as_deref().or(self.input_file.as_deref()).unwrap_or(Path::new("."))
    }

    /// Where the torrent goes, which is known before the work starts, and so is whether it may go there.
    fn target(&self) -> Result<PathBuf> {
        let name = || -> Result<String> {
            let given = self.torrent_name.clone();
            let own = || {
                let whole = std::path::absolute(self.path()).ok()?;
                Some(whole.canonicalize().ok().filter(|_| whole.file_name().is_none()).unwrap_or(whole))
            };
            let name = given.or_else(|| Some(own()?.file_name()?.to_string_lossy().into_owned()));
            let name =
                name.ok_or_else(|| Failure::usage("the input has no name; give one with --torrent-name"))?;
            Ok(format!("{name}.torrent"))
        };
        let target = match &self.torrent_path {
            Some(folder) if folder.is_dir() => folder.join(name()?),
            Some(file) => file.clone(),
            None => PathBuf::from(name()?),
        };
        if !self.force && !self.dry_run && target.symlink_metadata().is_ok() {
            return Err(work::failure(make::Error::Exists(target)));
        }
        Ok(target)
    }

    fn scan(&self) -> Input {
        Input {
            path: self.path().to_owned(),
            exclude: self.exclude.clone(),
            include_hidden: self.include_hidden,
            follow_symlinks: self.follow_symlinks,
            like: match self.like {
                None => Like::Ours,
                Some(Other::Mktorrent) => Like::Mktorrent,
                Some(Other::Transmission) => Like::Transmission,
                Some(Other::Libtorrent) => Like::Libtorrent,
            },
        }
    }

    fn options(&self) -> Result<Options> {
        let maker = || format!("btctl/{}", env!("CARGO_PKG_VERSION"));
        Ok(Options {
            format: self.format(),
            piece_length: self.piece_length,
            align: self.align,
            name: self.torrent_name.clone(),
            trackers: tiers(&self.announce_urls).map_err(work::failure)?,
            web_seeds: self.web_seeds.clone(),
            comment: self.comment.clone(),
            created_by: Some(self.created_by.clone().unwrap_or_else(maker)).filter(|maker| !maker.is_empty()),
            creation_date: (!self.not_write).then(|| crate::render::format::now().cast_signed()),
            private: self.private,
            source: self.source.clone(),
        })
    }

    fn format(&self) -> Format {
        match (self.v2, self.hybrid) {
            (true, _) => Format::V2,
            (_, true) => Format::Hybrid,
            _ => Format::V1,
        }
    }

    /// Adds the new torrent to the daemon, which has just been made of data that is there.
    fn seed(&self, made: &Made, host: &str, out: &Output) -> Result {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
        runtime.block_on(async {
            let remote = Remote::new(host)?;
            let cx = Context { client: remote.http()?, remote, out };
            let whole = std::path::absolute(self.path())?;
            let folder = whole.parent().unwrap_or(&whole);
            let request = params::Add {
                metainfo: Some(STANDARD.encode(&made.bytes)),
                save_path: Some(super::act::folder(&cx, folder)?),
                assume_complete: true,
                ..params::Add::default()
            };
            cx.call(cx.client.torrent_add(&request)).await?;
            if !out.json {
                out.print("seeding it\n")?;
            }
            Ok(Code::Ok)
        })
    }
}

/// Tiers of trackers: one for each argument, commas between those of one tier.
pub(crate) fn tiers(arguments: &[String]) -> std::result::Result<Vec<Vec<String>>, make::Error> {
    let tier = |argument: &String| {
        argument
            .split(',')
            .map(|url| make::check_tracker(url.trim()).map(|()| url.trim().to_owned()))
            .collect::<std::result::Result<Vec<_>, _>>()
    };
    arguments.iter().map(tier).collect()
}

fn list_files(plan: &Plan) -> String {
    let line = |file: &PlannedFile| {
        format!("{:>10}  {}\n", Size(file.length).to_string(), clean(&file.disk.to_string_lossy()))
    };
    plan.files.iter().map(line).collect()
}

fn tell_skipped(skipped: &[Skipped], verbose: bool, out: &Output) {
    let reason = |why: Why| match why {
        Why::Hidden => "hidden",
        Why::Excluded => "excluded",
        Why::Symlink => "symbolic link",
        Why::Special => "no regular file",
        Why::Empty => "empty",
    };
    if verbose {
        for skipped in skipped {
            out.note(&format!("left out ({}): {}", reason(skipped.why), skipped.path.display()));
        }
    } else if !skipped.is_empty() {
        let count = skipped.len();
        let noun = if count == 1 { "entry" } else { "entries" };
        out.note(&format!(
            "{count} {noun} left out: hidden, excluded, links or no files; --verbose names them"
        ));
    }
}

fn report(made: &Made, path: Option<&Path>) -> Report {
    let v2 = made.v2_hash.map(|hash| to_hex(&hash));
    let short = || v2.as_deref().and_then(|hex| hex.get(..40)).unwrap_or_default().to_owned();
    Report {
        id: made.info_hash.map_or_else(short, |hash| hash.to_string()),
        info_hash: made.info_hash.map(|hash| hash.to_string()),
        info_hash_v2: v2,
        magnet: made.magnet.to_string(),
        path: path.map(|path| std::path::absolute(path).unwrap_or(path.to_owned()).display().to_string()),
        name: made.name.clone(),
        piece_length: made.piece_length,
        pieces: made.pieces,
        size: made.total,
        files: made.files,
    }
}

fn text(made: &Made, path: Option<&Path>, out: &Output) -> String {
    let mut pairs = Pairs::default();
    match path {
        Some(path) => pairs.add("Torrent", path.display().to_string()),
        None => pairs.add("Torrent", "not written (dry run)"),
    }
    pairs.maybe("Info-hash", made.info_hash.map(|hash| hash.to_string()));
    pairs.maybe("Info-hash v2", made.v2_hash.map(|hash| to_hex(&hash)));
    let files = if made.files == 1 { "1 file".to_owned() } else { format!("{} files", made.files) };
    pairs.add("Content", format!("{files}, {}", crate::render::format::long(made.total)));
    pairs.add("Pieces", format!("{} of {}", made.pieces, Size(u64::from(made.piece_length))));
    pairs.add("Magnet", made.magnet.to_string());
    pairs.render(out)
}
