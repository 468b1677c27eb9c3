//! `btctl magnet` and `btctl export`.

use super::{Context, Result};
use crate::{
    exit::{Code, Failure},
    ids::Prefix,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use proto::rpc::{ApiClient, params::Id};
use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// `btctl magnet`.
#[derive(Debug, clap::Args)]
pub(crate) struct Magnet {
    /// Which torrent.
    id: Prefix,
}

impl Magnet {
    /// Prints the link.
    pub(crate) async fn run(self, cx: &Context<'_>) -> Result {
        let id = cx.one(&self.id).await?;
        let magnet = cx.call(cx.client.torrent_magnet(&Id { id })).await?;
        cx.out.result(&magnet, |magnet| format!("{}\n", magnet.magnet))?;
        Ok(Code::Ok)
    }
}

/// `btctl export`.
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// Which torrent.
    id: Prefix,
    /// The file to write; - is standard output. By default the torrent's name in the current folder.
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it exists.
    #[arg(long, short = 'f')]
    force: bool,
}

impl Export {
    /// Writes the file.
    pub(crate) async fn run(self, cx: &Context<'_>) -> Result {
        let id = cx.one(&self.id).await?;
        let export = cx.call(cx.client.torrent_export(&Id { id })).await?;
        let bytes = STANDARD
            .decode(&export.metainfo)
            .map_err(|error| Failure::failed(format!("btd's answer makes no sense: {error}")))?;
        if self.output.as_deref() == Some(Path::new("-")) {
            if cx.out.json {
                return Err(Failure::usage("--json and the file itself cannot both go to standard output"));
            }
            cx.out.write(&bytes)?;
            return Ok(Code::Ok);
        }
        let path = self.output.clone().unwrap_or_else(|| file_name(&export.name).into());
        self.write(&path, &bytes)?;
        let path = path.display().to_string();
        cx.out.result(&serde_json::json!({ "id": id, "path": path }), |_| format!("{path}\n"))?;
        Ok(Code::Ok)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).truncate(self.force).create(self.force).create_new(!self.force);
        let mut file = options.open(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::failed(format!("{} exists already", path.display()))
                .advise("give another name with --output, or --force to replace it"),
            _ => Failure::failed(format!("cannot write {}: {error}", path.display())),
        })?;
        file.write_all(bytes)
            .map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))
    }
}

/// A file name in the current folder, whatever the torrent calls itself.
fn file_name(name: &str) -> String {
    let safe = |c: char| if c == '/' || c == '\\' || c.is_control() { '_' } else { c };
    let name: String = name.chars().map(safe).collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() || name == "torrent" { "unnamed.torrent".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torrent_cannot_choose_the_folder() {
        for (name, file) in [
            ("debian.iso.torrent", "debian.iso.torrent"),
            ("../../.ssh/x.torrent", "_.._.ssh_x.torrent"),
            ("/etc/passwd", "_etc_passwd"),
            ("..", "unnamed.torrent"),
            (".torrent", "unnamed.torrent"),
            ("", "unnamed.torrent"),
        ] {
            assert_eq!(file_name(name), file);
        }
    }
}
