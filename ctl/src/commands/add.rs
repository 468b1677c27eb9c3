//! `btctl add`.

use super::{Context, Result, act};
use crate::{
    exit::{Code, Failure},
    render::{Style, clean},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use proto::rpc::{ApiClient, params, torrent::Added};
use std::{
    fs::File,
    io::{self, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The largest .torrent file that is read: one of a million files with long names has about this size.
const MAX_METAINFO: u64 = 64 << 20;

/// `btctl add`.
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    /// A .torrent file, a magnet link, an http(s) URL, an info-hash, or - to read one of these from standard input.
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
    /// The folder for the data, on the daemon's host.
    #[arg(long, short = 'd', value_name = "FOLDER")]
    save_path: Option<PathBuf>,
    /// Add it paused.
    #[arg(long, short = 'p')]
    paused: bool,
    /// Fetch only these files, by their number: 0,2,5-9.
    #[arg(long, value_name = "FILES", value_parser = super::set::parse_indices)]
    files: Option<super::set::Indices>,
    /// Fetch pieces in order.
    #[arg(long)]
    sequential: bool,
    /// Give it a label; may be repeated.
    #[arg(long = "label", short = 'l', value_name = "LABEL")]
    labels: Vec<String>,
    /// Try this peer at once; may be repeated.
    #[arg(long = "peer", value_name = "IP:PORT")]
    peers: Vec<SocketAddr>,
    /// Take the data as complete without checking it.
    #[arg(long)]
    assume_complete: bool,
    /// Watch until it is done.
    #[arg(long, short = 'w', conflicts_with = "paused")]
    watch: bool,
}

/// What a source on the command line is.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// For the daemon to fetch: a magnet link or URL.
    Link(String),
    /// The bytes of a .torrent file.
    Metainfo(Vec<u8>),
}

impl Add {
    /// Adds them all; one that fails does not stop the others.
    pub(crate) async fn run(self, cx: &Context<'_>) -> Result {
        let mut request = self.request(cx)?;
        let mut added = Vec::new();
        let mut failures = Vec::new();
        for name in &self.sources {
            match self.add(cx, &mut request, name).await {
                Ok(one) => added.push(one),
                // Without a daemon, or without its leave, the others would fail as this one did.
                Err(failure) if matches!(failure.code, Code::Unreachable | Code::Denied) => {
                    return Err(failure);
                }
                Err(failure) if self.sources.len() == 1 => return Err(failure),
                Err(failure) => {
                    cx.out.warn(&format!("{name}: {}", failure.message));
                    failures.push(failure.code);
                }
            }
        }
        self.report(cx, &added)?;
        if self.watch && !added.is_empty() {
            let ids = added.iter().map(|added| added.id).collect();
            let watched = super::watch::until_done(cx, ids).await?;
            if watched != Code::Ok {
                return Ok(watched);
            }
        }
        Ok(match failures.first() {
            None => Code::Ok,
            Some(_) if !added.is_empty() => Code::Partly,
            Some(&first) if failures.iter().all(|&code| code == first) => first,
            Some(_) => Code::Failed,
        })
    }

    /// What is the same for all sources.
    fn request(&self, cx: &Context<'_>) -> Result<params::Add> {
        Ok(params::Add {
            source: None,
            metainfo: None,
            save_path: self.save_path.as_deref().map(|path| act::folder(cx, path)).transpose()?,
            paused: self.paused,
            files: self.files.as_ref().map(|files| files.0.clone()),
            sequential: self.sequential,
            labels: self.labels.clone(),
            peers: self.peers.clone(),
            assume_complete: self.assume_complete,
        })
    }

    async fn add(&self, cx: &Context<'_>, request: &mut params::Add, name: &str) -> Result<Added> {
        let source = if name == "-" { from_stdin()? } else { from_argument(name)? };
        (request.source, request.metainfo) = match source {
            Source::Link(link) => (Some(link), None),
            Source::Metainfo(bytes) => (None, Some(STANDARD.encode(bytes))),
        };
        cx.call(cx.client.torrent_add(request)).await
    }

    fn report(&self, cx: &Context<'_>, added: &[Added]) -> Result<()> {
        // With --watch the one JSON document is what has been watched.
        match (cx.out.json, added) {
            (true, _) if self.watch => Ok(()),
            (true, [one]) if self.sources.len() == 1 => cx.out.document(one),
            (true, all) => cx.out.document(&all),
            (false, all) => cx.out.print(&all.iter().map(|one| line(cx, one)).collect::<String>()),
        }
    }
}

/// What was done, in a line that ends with the name.
fn line(cx: &Context<'_>, added: &Added) -> String {
    let (style, done) = match added.added {
        true => (Style::Green, "added"),
        false => (Style::Yellow, "known"),
    };
    format!("{}  {}  {}\n", cx.out.paint(style, done), &added.id.to_string()[..8], clean(&added.name))
}

fn from_argument(name: &str) -> Result<Source> {
    if let Some(link) = link(name) {
        return Ok(Source::Link(link));
    }
    read_file(Path::new(name)).map(Source::Metainfo)
}

/// The bytes of a .torrent file, if they look like one.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    let name = path.display();
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Failure::failed(format!("there is no file {name}"))
            .advise("a source is a .torrent file, a magnet link, an http(s) URL, an info-hash, or -"),
        _ => Failure::failed(format!("cannot read {name}: {error}")),
    };
    let file = File::open(path).map_err(cannot)?;
    if file.metadata().map_err(cannot)?.is_dir() {
        return Err(Failure::failed(format!("{name} is a folder; a .torrent file is wanted")));
    }
    metainfo(read(file).map_err(cannot)?, &name.to_string())
}

fn from_stdin() -> Result<Source> {
    let bytes = read(io::stdin().lock())
        .map_err(|error| Failure::failed(format!("cannot read standard input: {error}")))?;
    match std::str::from_utf8(&bytes).ok().and_then(|text| link(text.trim())) {
        Some(link) => Ok(Source::Link(link)),
        None => metainfo(bytes, "standard input").map(Source::Metainfo),
    }
}

/// One byte past the limit is read, so that a file of just the limit passes.
fn read(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_METAINFO + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Looks at the outermost bytes only; the daemon reads the rest with care.
fn metainfo(bytes: Vec<u8>, name: &str) -> Result<Vec<u8>> {
    let wrong = |why: &str| {
        let mut failure = Failure::failed(format!("{name} is no .torrent file: {why}"));
        failure.kind = "invalid_torrent";
        failure
    };
    if bytes.len() as u64 > MAX_METAINFO {
        return Err(wrong("it is larger than 64 MiB"));
    }
    if bytes.is_empty() {
        return Err(wrong("it is empty"));
    }
    if bytes.starts_with(b"<") {
        return Err(wrong("it looks like a web page; the download may have needed a login"));
    }
    if !bytes.starts_with(b"d") {
        return Err(wrong("it is not bencoded"));
    }
    Ok(bytes)
}

/// What the daemon can fetch by itself; a bare info-hash is as good as a magnet link.
fn link(text: &str) -> Option<String> {
    let scheme =
        |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if scheme("magnet:") || scheme("http://") || scheme("https://") {
        return Some(text.to_owned());
    }
    let hex = text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let base32 =
        text.len() == 32 && text.bytes().all(|b| matches!(b.to_ascii_uppercase(), b'A'..=b'Z' | b'2'..=b'7'));
    (hex || base32).then(|| format!("magnet:?xt=urn:btih:{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart() {
        assert_eq!(link("magnet:?xt=urn:btih:x").as_deref(), Some("magnet:?xt=urn:btih:x"));
        assert_eq!(link("HTTP://host/a.torrent").as_deref(), Some("HTTP://host/a.torrent"));
        assert_eq!(link(&"aB".repeat(20)), Some(format!("magnet:?xt=urn:btih:{}", "aB".repeat(20))));
        assert_eq!(link(&"a7".repeat(16)), Some(format!("magnet:?xt=urn:btih:{}", "a7".repeat(16))));
        for file in ["file.torrent", "http:", "é", "", "ftp://host/x"] {
            assert_eq!(link(file), None, "{file}");
        }
        assert_eq!(metainfo(b"d4:infode".to_vec(), "x").unwrap(), b"d4:infode");
        assert!(metainfo(b"<html>".to_vec(), "x").unwrap_err().message.contains("web page"));
    }
}
