//! The command line.

use crate::{
    client::DEFAULT_HOST,
    commands::{
        act, add, completions, edit, export, inspect, list, mktorrent, session, set, settings, show,
        strategy, verify, watch,
    },
    render::Color,
};
use clap::{Parser, Subcommand};

const AFTER: &str = "\
An ID is an info-hash or any unique beginning of one; where several may be given, “all” means every torrent.

The token is taken from BTCTL_TOKEN, or, for a daemon on this machine, from its state directory.

Exit codes: 0 done, 1 failed, 2 usage, 3 daemon unreachable, 4 denied, 5 not found, 6 partly done.";

/// The remote control of btd, a BitTorrent daemon.
#[derive(Debug, Parser)]
#[command(name = "btctl", version, about, after_help = AFTER, propagate_version = true)]
#[command(disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Args {
    /// The daemon's address.
    #[arg(long, short = 'H', global = true, env = "BTCTL_HOST", value_name = "HOST[:PORT]", default_value = DEFAULT_HOST)]
    pub(crate) host: String,
    /// Print exactly one JSON document, as the API gives it.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colours.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = false)]
    pub(crate) color: Color,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add torrents: files, magnet links, URLs, or - for standard input.
    Add(add::Add),
    /// List torrents.
    #[command(visible_alias = "ls")]
    List(list::List),
    /// Show everything about a torrent.
    Show(show::Show),
    /// List the files of a torrent.
    Files(show::Files),
    /// List the peers of a torrent, add some or ban one.
    Peers(show::Peers),
    /// List the trackers of a torrent, or add some.
    Trackers(show::Trackers),
    /// Stop torrents until they are resumed.
    Pause(act::Torrents),
    /// Let paused torrents go on, and failed ones try again.
    Resume(act::Torrents),
    /// Compare the data on disk with the hashes.
    Recheck(act::Torrents),
    /// Ask the trackers for peers now.
    Announce(act::Torrents),
    /// Move the data of torrents to another folder.
    Move(act::Move),
    /// Forget torrents; the data stays unless --data is given.
    #[command(visible_alias = "rm")]
    Remove(act::Remove),
    /// Change priorities, limits, labels and the place in the queue.
    Set(set::Set),
    /// Change strategies, live, of the session or of a torrent.
    SetStrategy(strategy::SetStrategy),
    /// Show the strategies in force and where each comes from.
    Strategy(strategy::Show),
    /// Show figures of the whole session.
    Stats,
    /// Watch torrents at work.
    Watch(watch::Watch),
    /// Show settings, or change them with NAME=VALUE.
    Settings(settings::Settings),
    /// Print the magnet link of a torrent.
    Magnet(export::Magnet),
    /// Write the .torrent file of a torrent.
    Export(export::Export),
    /// Make a torrent of a file or folder.
    Mktorrent(mktorrent::Mktorrent),
    /// Show everything in a torrent file or magnet link, without a daemon.
    Inspect(inspect::Inspect),
    /// Check data against a torrent file, without a daemon.
    Verify(verify::Verify),
    /// Change trackers, comment and web seeds of a torrent file; its info-hash stays.
    Edit(edit::Edit),
    /// Show the DHT node, or look up the peers of a torrent in the DHT.
    Dht(session::Dht),
    /// Show how the daemon is reached from outside.
    Nat,
    /// Stop the daemon.
    Shutdown,
    /// Print a completion script for a shell.
    Completions(completions::Completions),
}

/// The command line as given. Ends the process with help, the version, or exit code 2.
pub(crate) fn parse() -> Args {
    Args::parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }
}
