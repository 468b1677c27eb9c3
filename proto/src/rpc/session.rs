//! The session: figures, strategies, jobs, events, the network around it.

use super::{Settings, torrent::Torrent};
use crate::{id::InfoHash, strategy::Strategy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr};

/// Figures of the whole session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// The daemon's version.
    pub version: String,
    /// Seconds since it started.
    pub uptime: u64,
    /// Payload bytes per second coming in.
    pub download_rate: u64,
    /// Payload bytes per second going out.
    pub upload_rate: u64,
    /// Payload bytes received since the start.
    pub downloaded: u64,
    /// Payload bytes sent since the start.
    pub uploaded: u64,
    /// Payload bytes received ever, over all runs.
    pub downloaded_ever: u64,
    /// Payload bytes sent ever, over all runs.
    pub uploaded_ever: u64,
    /// Payload bytes received that were of no use, since the start.
    pub wasted: u64,
    /// Number of torrents.
    pub torrents: u64,
    /// Number of torrents in each state; states without any may be absent.
    pub states: BTreeMap<String, u64>,
    /// Peers connected.
    pub peers: u64,
    /// Connections being made.
    pub half_open: u64,
    /// Peers banned.
    pub banned: u64,
    /// Bytes free where new downloads go; null if that cannot be told.
    pub free_space: Option<u64>,
    /// Bytes of block buffers in use.
    pub cache_used: u64,
    /// Payload bytes read from disk since the start.
    pub disk_read: u64,
    /// Payload bytes written to disk since the start.
    pub disk_written: u64,
    /// The address and port where peers reach the listener.
    pub port: u16,
}

/// Where a value in force comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Nobody chose it.
    #[default]
    Default,
    /// The settings file.
    File,
    /// An environment variable.
    Environment,
    /// A flag of the command line.
    Flag,
    /// `session.set` or `strategy.set` of the session.
    Session,
    /// `strategy.set` of the torrent.
    Torrent,
}

/// The settings in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettingsReport {
    /// Every setting by name.
    pub settings: Settings,
    /// Where those come from that are not the default.
    #[serde(default)]
    pub origins: BTreeMap<String, Origin>,
}

/// What `session.set` did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettingsChanged {
    /// The settings that have another value now.
    pub changed: Vec<String>,
    /// Those of them that apply when btd starts again.
    #[serde(default)]
    pub after_restart: Vec<String>,
}

/// The strategies in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StrategyReport {
    /// The torrent; null for the session.
    pub id: Option<InfoHash>,
    /// Every switch and number.
    pub strategy: Strategy,
    /// Where those come from that are not the default.
    #[serde(default)]
    pub origins: BTreeMap<String, Origin>,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// At work.
    #[default]
    Running,
    /// Done; `created` has the result.
    Done,
    /// Failed; `error` has the reason.
    Failed,
    /// Cancelled by `job.cancel`; nothing is left behind.
    Cancelled,
}

/// Long work that a call started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// Its number.
    pub job: u64,
    /// How it stands.
    pub state: JobState,
    /// 0 to 1.
    pub progress: f64,
    /// Bytes worked through.
    pub done: u64,
    /// Bytes in all; 0 until that is known.
    pub total: u64,
    /// Bytes per second at present.
    pub rate: u64,
    /// Why it failed.
    pub error: Option<super::RpcError>,
    /// What `torrent.create` made.
    pub created: Option<Created>,
}

/// A metainfo file that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Created {
    /// Where the .torrent file is, on the daemon's host.
    pub path: String,
    /// Its info-hash.
    pub id: InfoHash,
    /// The version 2 info-hash in hexadecimal, for v2 and hybrid torrents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v2_hash: Option<String>,
    /// Its magnet link.
    pub magnet: String,
}

/// A line of the daemon's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// Unix seconds.
    pub time: u64,
    /// `error`, `warn` or `info`.
    pub level: String,
    /// The torrent it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torrent: Option<InfoHash>,
    /// The text.
    pub message: String,
}

/// What has happened since the last item of the subscription.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Events {
    /// The state of the list after this, as in `torrent.list`.
    pub revision: u64,
    /// Torrents that changed, whole. The first item has all of them.
    pub changed: Vec<Torrent>,
    /// Torrents that are gone.
    pub removed: Vec<InfoHash>,
    /// New lines of the log; a slow reader misses the oldest.
    pub log: Vec<LogLine>,
}

/// A port mapping at the router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mapping {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The method: `pcp`, `nat-pmp` or `upnp`.
    pub method: String,
    /// Our port.
    pub port: u16,
    /// The address outside, if it is mapped.
    #[schemars(with = "Option<String>")]
    pub external: Option<SocketAddr>,
    /// Why it is not.
    pub error: Option<String>,
}

/// How the daemon is reached from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NatStatus {
    /// Addresses it listens on.
    #[schemars(with = "Vec<String>")]
    pub listening: Vec<SocketAddr>,
    /// Our address as others tell it, with how many told it.
    pub external: BTreeMap<String, u32>,
    /// Port mappings.
    pub mappings: Vec<Mapping>,
    /// Whether a peer from outside has connected since the start; null while nobody has tried.
    pub reachable: Option<bool>,
}

/// The DHT node's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DhtStatus {
    /// Whether the node runs.
    pub enabled: bool,
    /// One for IPv4 and one for IPv6, as far as they run.
    pub nodes: Vec<DhtNode>,
}

/// One of our nodes in the DHT.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DhtNode {
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// Its id, in hex.
    pub id: String,
    /// Its address as others see it.
    #[schemars(with = "Option<String>")]
    pub external: Option<SocketAddr>,
    /// Whether it answers nobody, being unreachable (BEP 43).
    pub read_only: bool,
    /// Nodes in the routing table that answered lately.
    pub good: u32,
    /// Nodes in the routing table that may be gone.
    pub questionable: u32,
    /// Nodes waiting to replace one.
    pub replacements: u32,
    /// Lookups under way.
    pub lookups: u32,
    /// Torrents for which we store peers.
    pub stored_torrents: u32,
    /// Peers stored.
    pub stored_peers: u32,
    /// Items stored (BEP 44).
    pub stored_items: u32,
    /// Queries answered since the start.
    pub queries_in: u64,
    /// Queries sent since the start.
    pub queries_out: u64,
    /// Of these, how many had no answer.
    pub timeouts: u64,
}

/// What a lookup found, and its path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DhtLookupResult {
    /// Peers found.
    #[schemars(with = "Vec<String>")]
    pub peers: Vec<SocketAddr>,
    /// Nodes asked, in the order in which they were.
    pub path: Vec<DhtHop>,
    /// Seconds it took.
    pub elapsed: f64,
}

/// A node that a lookup asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DhtHop {
    /// Its id in hex; null if it was not known before it answered, and it did not.
    pub id: Option<String>,
    /// Its address.
    #[schemars(with = "String")]
    pub address: SocketAddr,
    /// Leading bits that its id has in common with the target.
    pub common_bits: u32,
    /// How many nodes led here: 0 for one from the routing table.
    pub depth: u32,
    /// Seconds until it answered; null if it did not.
    pub rtt: Option<f64>,
    /// Peers that it gave.
    pub peers: u32,
}

/// A call that has nothing to tell: `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {}

/// The number of a job that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Started {
    /// Pass it to `job.get` and `job.cancel`.
    pub job: u64,
}
