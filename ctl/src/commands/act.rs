//! Commands that do one thing to some torrents: pause, resume, recheck, announce, move, remove.

use super::{Context, Result};
use crate::{
    exit::{self, Code, Failure},
    ids::Name,
};
use jsonrpsee::core::ClientError;
use proto::rpc::{ApiClient, params, torrent::Outcomes};
use std::path::{Path, PathBuf};

/// Some torrents.
#[derive(Debug, clap::Args)]
pub(crate) struct Torrents {
    /// Which torrents; “all” for every one.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<Name>,
}

impl Torrents {
    /// Calls `act` for them and tells what became of each.
    pub(crate) async fn run(
        self,
        cx: &Context<'_>,
        done: &str,
        act: impl AsyncFnOnce(params::Many) -> std::result::Result<Outcomes, ClientError>,
    ) -> Result {
        let ids = cx.many(&self.ids).await?;
        let outcomes = cx.call(act(params::Many { ids })).await?;
        report(cx, done, &outcomes)
    }
}

/// `btctl move`.
#[derive(Debug, clap::Args)]
pub(crate) struct Move {
    /// Which torrents; “all” for every one.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<Name>,
    /// The folder to move the data to, on the daemon's host.
    #[arg(required = true)]
    folder: PathBuf,
}

impl Move {
    /// Moves them.
    pub(crate) async fn run(self, cx: &Context<'_>) -> Result {
        let save_path = folder(cx, &self.folder)?;
        let ids = cx.many(&self.ids).await?;
        let outcomes = cx.call(cx.client.torrent_move(&params::Move { ids, save_path })).await?;
        report(cx, "moving", &outcomes)
    }
}

/// `btctl remove`.
#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    #[command(flatten)]
    torrents: Torrents,
    /// Delete the downloaded files too.
    #[arg(long)]
    data: bool,
}

impl Remove {
    /// Removes them.
    pub(crate) async fn run(self, cx: &Context<'_>) -> Result {
        let ids = cx.many(&self.torrents.ids).await?;
        let outcomes =
            cx.call(cx.client.torrent_remove(&params::Remove { ids, delete_data: self.data })).await?;
        report(cx, if self.data { "removed with data" } else { "removed" }, &outcomes)
    }
}

/// Tells what became of each torrent: failures one by one on standard error, the rest as a count.
pub(crate) fn report(cx: &Context<'_>, done: &str, outcomes: &Outcomes) -> Result {
    for outcome in outcomes {
        if let Some(error) = outcome.failure() {
            cx.out.warn(&format!("{}: {}", &outcome.id.to_string()[..8], error.message));
        }
    }
    let count = outcomes.iter().filter(|outcome| outcome.ok).count();
    cx.out.result(outcomes, |outcomes| match (outcomes.len(), count) {
        (0, _) => "there are no torrents\n".to_owned(),
        (_, 0) => String::new(),
        (_, 1) => format!("{done}: 1 torrent\n"),
        (_, count) => format!("{done}: {count} torrents\n"),
    })?;
    Ok(exit::of_outcomes(outcomes))
}

/// A folder as the daemon understands it. One that is relative means our own folder, which only a daemon on this
/// machine shares with us.
pub(crate) fn folder(cx: &Context<'_>, path: &Path) -> Result<String> {
    let whole = if path.is_absolute() {
        path.to_owned()
    } else if cx.remote.is_local() {
        std::path::absolute(path)
            .map_err(|error| Failure::failed(format!("cannot tell where {} is: {error}", path.display())))?
    } else {
        return Err(Failure::usage(format!(
            "“{}” is relative, and the daemon is on another machine",
            path.display()
        ))
        .advise("write the whole path on the daemon's host, beginning with /"));
    };
    whole.into_os_string().into_string().map_err(|path| {
        Failure::new(Code::Usage, format!("“{}” is not UTF-8, which the control API needs", path.display()))
    })
}
