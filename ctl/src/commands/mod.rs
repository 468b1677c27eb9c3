//! A file for each group of commands. A command turns its arguments into calls and the results into text.

pub(crate) mod act;
pub(crate) mod add;
pub(crate) mod completions;
pub(crate) mod edit;
pub(crate) mod export;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod mktorrent;
pub(crate) mod session;
pub(crate) mod set;
pub(crate) mod settings;
pub(crate) mod show;
pub(crate) mod strategy;
pub(crate) mod verify;
pub(crate) mod watch;
pub(crate) mod work;

use crate::{
    args::{Args, Command},
    client::Remote,
    exit::{Code, Failure},
    ids::{self, Name, Prefix},
    render::Output,
};
use jsonrpsee::{core::ClientError, http_client::HttpClient};
use proto::{
    id::InfoHash,
    rpc::{ApiClient, Ids},
};

/// How a command ends.
pub(crate) type Result<T = Code> = std::result::Result<T, Failure>;

/// What a command needs that talks to the daemon.
pub(crate) struct Context<'a> {
    /// The daemon.
    pub(crate) remote: Remote,
    /// A client of it, for single calls.
    pub(crate) client: HttpClient,
    /// Where results go.
    pub(crate) out: &'a Output,
}

impl Context<'_> {
    /// Waits for a call.
    pub(crate) async fn call<T>(
        &self,
        call: impl Future<Output = std::result::Result<T, ClientError>>,
    ) -> Result<T> {
        self.remote.call(call).await
    }

    /// The torrent that a prefix names.
    pub(crate) async fn one(&self, prefix: &Prefix) -> Result<InfoHash> {
        ids::one(&self.remote, &self.client, prefix).await
    }

    /// The torrents that names stand for.
    pub(crate) async fn many(&self, names: &[Name]) -> Result<Ids> {
        ids::many(&self.remote, &self.client, names).await
    }
}

/// Runs the command. Those that need no daemon come first.
pub(crate) fn run(args: Args, out: &Output) -> Result {
    let command = match args.command {
        Command::Completions(command) => return command.run(out),
        Command::Inspect(command) => return command.run(out),
        Command::Verify(command) => return command.run(out),
        Command::Edit(command) => return command.run(out),
        Command::Mktorrent(command) if command.is_local() => return command.run_local(&args.host, out),
        command => command,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let remote = Remote::new(&args.host)?;
        let client = remote.http()?;
        dispatch(command, &Context { remote, client, out }).await
    })
}

async fn dispatch(command: Command, cx: &Context<'_>) -> Result {
    match command {
        Command::Add(command) => command.run(cx).await,
        Command::List(command) => command.run(cx).await,
        Command::Show(command) => command.run(cx).await,
        Command::Files(command) => command.run(cx).await,
        Command::Peers(command) => command.run(cx).await,
        Command::Trackers(command) => command.run(cx).await,
        Command::Pause(which) => {
            which.run(cx, "paused", async |many| cx.client.torrent_pause(&many).await).await
        }
        Command::Resume(which) => {
            which.run(cx, "resumed", async |many| cx.client.torrent_resume(&many).await).await
        }
        Command::Recheck(which) => {
            which.run(cx, "checking", async |many| cx.client.torrent_recheck(&many).await).await
        }
        Command::Announce(which) => {
            which.run(cx, "announcing", async |many| cx.client.torrent_announce(&many).await).await
        }
        Command::Move(command) => command.run(cx).await,
        Command::Remove(command) => command.run(cx).await,
        Command::Set(command) => command.run(cx).await,
        Command::SetStrategy(command) => command.run(cx).await,
        Command::Strategy(command) => command.run(cx).await,
        Command::Stats => session::stats(cx).await,
        Command::Watch(command) => command.run(cx).await,
        Command::Settings(command) => command.run(cx).await,
        Command::Magnet(command) => command.run(cx).await,
        Command::Export(command) => command.run(cx).await,
        Command::Dht(command) => command.run(cx).await,
        Command::Nat => session::nat(cx).await,
        Command::Shutdown => session::shutdown(cx).await,
        Command::Mktorrent(command) => command.run(cx).await,
        Command::Completions(command) => command.run(cx.out),
        Command::Inspect(command) => command.run(cx.out),
        Command::Verify(command) => command.run(cx.out),
        Command::Edit(command) => command.run(cx.out),
    }
}
