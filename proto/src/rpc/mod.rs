//! The control API: JSON-RPC 2.0 over HTTP POST and WebSocket.
//!
//! Parameters go by name. An info-hash in hex names a torrent. Sizes are bytes, rates bytes per second, times Unix
//! seconds, durations seconds, progress 0 to 1. Errors are [`RpcError`]s: a JSON-RPC code, a stable `data.kind` and a
//! sentence that a person can act on. The table at the end of this file is the whole API; [`openrpc()`] describes it to
//! programs.
//!
//! A server implements [`Api`] and gets its jsonrpsee module from [`module`]; a client has [`ApiClient`] (and, over
//! WebSocket, [`ApiSubscriber`]) on any jsonrpsee client.

#[macro_use]
mod api;
mod error;
mod ids;
mod openrpc;
pub mod params;
pub mod session;
pub mod settings;
pub mod torrent;

pub use error::{ErrorKind, RpcError};
pub use ids::{Ids, Outcome};
pub use openrpc::openrpc;
pub use settings::{Settings, SettingsPatch};
pub use torrent::{Fields, Row, State, Torrent};

use openrpc::Method;
use params::{
    Add, AddPeers, AddTrackers, BanPeer, Create, DhtLookup, Empty, Id, JobId, List, Many, Move, Remove,
    SessionSet, Set, StrategyGet, StrategySet,
};
use session::{
    DhtLookupResult, DhtStatus, Done, Events, Job, NatStatus, SettingsChanged, SettingsReport, Started,
    Stats, StrategyReport,
};
use torrent::{Added, Export, File, Magnet, Outcomes, Peer, Pieces, TorrentList, Tracker};

/// Where the API is served.
pub const PATH: &str = "/rpc";

/// The parameters of a call, which go by name; none at all is as good as `{}`.
#[cfg(feature = "rpc-server")]
fn by_name<T: serde::de::DeserializeOwned>(params: &jsonrpsee::types::Params<'_>) -> Result<T, RpcError> {
    let text = params.as_str().unwrap_or("{}");
    // serde would also fill a struct from an array, by position; a later version with one field more would then
    // misread what scripts send.
    if text.trim_start().starts_with('[') {
        return Err(RpcError::new(
            ErrorKind::InvalidParams,
            "parameters go by name: send an object, not a list",
        ));
    }
    serde_json::from_str(text).map_err(|error| {
        RpcError::new(ErrorKind::InvalidParams, format!("the parameters do not fit: {error}"))
    })
}

/// A struct of parameters as the `params` of a request.
#[cfg(feature = "rpc-client")]
struct Flat<'a, T>(&'a T);

#[cfg(feature = "rpc-client")]
impl<T: serde::Serialize> jsonrpsee::core::traits::ToRpcParams for Flat<'_, T> {
    fn to_rpc_params(self) -> Result<Option<Box<serde_json::value::RawValue>>, serde_json::Error> {
        serde_json::value::to_raw_value(self.0).map(Some)
    }
}

api! {
    methods {
        /// Adds a torrent. One that is known already gets the new trackers, and `added` is false.
        "torrent.add" torrent_add(Add) -> Added;
        /// Lists torrents: all, or those that changed since a revision, or a part.
        "torrent.list" torrent_list(List) -> TorrentList;
        /// One torrent.
        "torrent.get" torrent_get(Id) -> Torrent;
        /// Its files.
        "torrent.files" torrent_files(Id) -> Vec<File>;
        /// Its connected peers.
        "torrent.peers" torrent_peers(Id) -> Vec<Peer>;
        /// Its trackers.
        "torrent.trackers" torrent_trackers(Id) -> Vec<Tracker>;
        /// Its pieces.
        "torrent.pieces" torrent_pieces(Id) -> Pieces;
        /// Its magnet link.
        "torrent.magnet" torrent_magnet(Id) -> Magnet;
        /// Its .torrent file.
        "torrent.export" torrent_export(Id) -> Export;
        /// Stops torrents until `torrent.resume`, also over restarts.
        "torrent.pause" torrent_pause(Many) -> Outcomes;
        /// Lets paused torrents go on, and failed ones try again.
        "torrent.resume" torrent_resume(Many) -> Outcomes;
        /// Compares the data on disk with the hashes.
        "torrent.recheck" torrent_recheck(Many) -> Outcomes;
        /// Asks the trackers now, as far as they allow it.
        "torrent.announce" torrent_announce(Many) -> Outcomes;
        /// Forgets torrents, and with `delete_data` deletes their files.
        "torrent.remove" torrent_remove(Remove) -> Outcomes;
        /// Moves the data to another folder.
        "torrent.move" torrent_move(Move) -> Outcomes;
        /// Changes priorities, limits, labels and the place in the queue.
        "torrent.set" torrent_set(Set) -> Outcomes;
        /// Gives it peers to try.
        "torrent.add_peers" torrent_add_peers(AddPeers) -> Done;
        /// Drops a peer and refuses its address until btd stops.
        "torrent.ban_peer" torrent_ban_peer(BanPeer) -> Done;
        /// Gives it more trackers.
        "torrent.add_trackers" torrent_add_trackers(AddTrackers) -> Done;
        /// Makes a .torrent file of files on the daemon's host. The answer names a job.
        "torrent.create" torrent_create(Create) -> Started;
        /// How a job stands.
        "job.get" job_get(JobId) -> Job;
        /// Cancels a job. One that has ended stays as it is.
        "job.cancel" job_cancel(JobId) -> Job;
        /// The strategies in force for the session or a torrent, and where each comes from.
        "strategy.get" strategy_get(StrategyGet) -> StrategyReport;
        /// Changes strategies of the session or a torrent, live. Nothing changes if any value is wrong.
        "strategy.set" strategy_set(StrategySet) -> StrategyReport;
        /// Figures of the whole session.
        "session.stats" session_stats(Empty) -> Stats;
        /// The settings in force, and where each comes from.
        "session.settings" session_settings(Empty) -> SettingsReport;
        /// Changes settings. Nothing changes if any value is wrong.
        "session.set" session_set(SessionSet) -> SettingsChanged;
        /// Stops btd, cleanly.
        "session.shutdown" session_shutdown(Empty) -> Done;
        /// The DHT node's state.
        "dht.status" dht_status(Empty) -> DhtStatus;
        /// Looks a torrent up in the DHT and tells the path that the lookup took.
        "dht.lookup" dht_lookup(DhtLookup) -> DhtLookupResult;
        /// How btd is reached from outside.
        "nat.status" nat_status(Empty) -> NatStatus;
    }
    subscriptions {
        /// What happens, at most four times a second. The first item has all torrents; a slow reader skips.
        "events" "events.unsubscribe" events -> Events;
    }
}
