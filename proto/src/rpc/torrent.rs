//! A torrent and its parts as the API shows them.

use super::ids::Outcome;
use crate::id::InfoHash;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, ser::SerializeMap};
use std::{collections::BTreeMap, net::SocketAddr, ops::Deref};

/// What a torrent is doing.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Existing data is compared with the hashes.
    Checking,
    /// The metadata of a magnet is being fetched.
    Metadata,
    /// Pieces are fetched.
    Downloading,
    /// Everything wanted is here; it is served to others.
    Seeding,
    /// A person stopped it.
    Paused,
    /// It waits for a place among the active torrents.
    #[default]
    Queued,
    /// It stopped for the reason in `error`; `torrent.resume` tries again.
    Error,
}

impl State {
    /// Every state, in the order of a torrent's life.
    pub const ALL: [Self; 7] = [
        Self::Checking,
        Self::Metadata,
        Self::Downloading,
        Self::Seeding,
        Self::Paused,
        Self::Queued,
        Self::Error,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Metadata => "metadata",
            Self::Downloading => "downloading",
            Self::Seeding => "seeding",
            Self::Paused => "paused",
            Self::Queued => "queued",
            Self::Error => "error",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

macro_rules! torrent {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
        /// A torrent as it is now.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        pub struct Torrent {
            /// The info-hash in hex, which names the torrent everywhere.
            pub id: InfoHash,
            $($(#[$doc])* #[serde(default)] pub $field: $type,)*
        }

        impl Torrent {
            /// The names of all fields but `id`, in order.
            pub const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];

            /// A torrent of which nothing but its name is known.
            pub fn new(id: InfoHash) -> Self {
                Self { id, $($field: Default::default(),)* }
            }
        }

        impl Serialize for Row {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("id", &self.torrent.id)?;
                let mut bits = self.fields.0;
                $(
                    if bits & 1 == 1 {
                        map.serialize_entry(stringify!($field), &self.torrent.$field)?;
                    }
                    bits >>= 1;
                )*
                let _ = bits;
                map.end()
            }
        }
    };
}

torrent! {
    /// Its name; the info-hash until the metadata is known.
    name: String,
    /// What it is doing.
    state: State,
    /// The part of the wanted bytes that is here and verified, 0 to 1; in state `checking` the part checked.
    progress: f64,
    /// Bytes of all its files; 0 until the metadata is known.
    size: u64,
    /// Bytes of the files that are wanted.
    wanted: u64,
    /// Verified bytes here.
    have: u64,
    /// Payload bytes per second coming in.
    download_rate: u64,
    /// Payload bytes per second going out.
    upload_rate: u64,
    /// Payload bytes received, ever.
    downloaded: u64,
    /// Payload bytes sent, ever.
    uploaded: u64,
    /// Payload bytes received that were of no use: duplicates and failed pieces.
    wasted: u64,
    /// `uploaded` over `downloaded`, or over `have` if less than that was downloaded.
    ratio: f64,
    /// Peers connected.
    peers: u32,
    /// Of these, how many have everything.
    seeds: u32,
    /// Addresses known that could be tried.
    known_peers: u32,
    /// Seeds in the swarm as the trackers tell; null if none told.
    swarm_seeds: Option<u32>,
    /// Leechers in the swarm as the trackers tell; null if none told.
    swarm_leechers: Option<u32>,
    /// Seconds until everything wanted is here at the present rate; null if there is no telling.
    eta: Option<u64>,
    /// Why it is in state `error`; else null.
    error: Option<String>,
    /// What it is waiting for, or busy with, in a few words; null if that needs no saying.
    message: Option<String>,
    /// The folder that its file or folder is in.
    save_path: String,
    /// Labels given to it.
    labels: Vec<String>,
    /// When it was added, Unix seconds.
    added_at: u64,
    /// When everything wanted was first here, Unix seconds; else null.
    completed_at: Option<u64>,
    /// When a payload byte last came or went, Unix seconds; else null.
    active_at: Option<u64>,
    /// Whether it uses its own trackers only (BEP 27).
    private: bool,
    /// Bytes of a piece; 0 until the metadata is known.
    piece_length: u32,
    /// Number of pieces.
    pieces: u32,
    /// Pieces here and verified.
    pieces_have: u32,
    /// Copies of the rarest piece among us and our peers, with the part of pieces that have more behind the point.
    availability: f64,
    /// Number of files, padding not counted.
    files: u32,
    /// Its place in the queue, 0 first.
    queue_position: u32,
    /// Whether pieces are fetched in order.
    sequential: bool,
    /// Bytes per second it may receive; 0 is no limit of its own.
    download_limit: u64,
    /// Bytes per second it may send; 0 is no limit of its own.
    upload_limit: u64,
    /// Share ratio at which seeding ends, 0 for never; null follows the session.
    seed_ratio_limit: Option<f64>,
    /// Seconds of seeding after which it ends, 0 for never; null follows the session.
    seed_time_limit: Option<u64>,
    /// Seconds spent seeding, ever.
    seed_time: u64,
    /// The metainfo's comment.
    comment: Option<String>,
    /// What made the metainfo.
    created_by: Option<String>,
    /// When the metainfo was made, Unix seconds.
    created_at: Option<u64>,
}

// `Fields` is one word with a bit for each.
const _: () = assert!(Torrent::FIELDS.len() <= 64);

/// A choice of a torrent's fields. `id` always belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields(u64);

impl Fields {
    /// All fields.
    pub const ALL: Self = Self(u64::MAX);

    /// The fields with these names, or the first name that is none.
    pub fn named<T: AsRef<str>>(names: &[T]) -> Result<Self, &str> {
        names.iter().map(AsRef::as_ref).filter(|&name| name != "id").try_fold(Self(0), |fields, name| {
            let at = Torrent::FIELDS.iter().position(|&field| field == name).ok_or(name)?;
            Ok(Self(fields.0 | 1 << at))
        })
    }
}

/// A torrent of which the wire shows the chosen fields only. Read back, the others have their defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The torrent.
    pub torrent: Torrent,
    /// What is shown of it.
    pub fields: Fields,
}

impl Deref for Row {
    type Target = Torrent;

    fn deref(&self) -> &Torrent {
        &self.torrent
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Torrent::deserialize(deserializer).map(|torrent| Self { torrent, fields: Fields::ALL })
    }
}

impl JsonSchema for Row {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Torrent::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        Torrent::schema_id()
    }

    fn json_schema(schemas: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Torrent::json_schema(schemas)
    }
}

/// What `torrent.add` did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Added {
    /// The torrent.
    pub id: InfoHash,
    /// Its name; for a magnet without `dn`, its info-hash.
    pub name: String,
    /// False if it was there already; its trackers were merged then.
    pub added: bool,
}

/// A part of the list of torrents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TorrentList {
    /// The state of the list that this is; pass it as `since` to get only what changed later.
    pub revision: u64,
    /// The torrents asked for, by time of adding.
    pub torrents: Vec<Row>,
    /// With `since`: those that are gone since.
    #[serde(default)]
    pub removed: Vec<InfoHash>,
    /// How many match the filter, whatever `offset` and `limit` left out.
    pub total: u64,
}

/// How much a file is wanted.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Not at all; what is there of it stays.
    Skip,
    /// After the others.
    Low,
    /// As usual.
    #[default]
    Normal,
    /// Before the others.
    High,
}

/// A file of a torrent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct File {
    /// Its number, by which `torrent.set` names it. Padding files have none and are not listed.
    pub index: u32,
    /// Its path below the save path, with `/`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Verified bytes here; of pieces shared with other files only this file's part counts.
    pub have: u64,
    /// How much it is wanted.
    pub priority: Priority,
}

/// How a connection to a peer runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    #[default]
    Tcp,
    /// uTP (BEP 29).
    Utp,
}

/// Where a peer's address came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PeerSource {
    /// It connected to us.
    Incoming,
    /// A tracker.
    Tracker,
    /// The DHT.
    Dht,
    /// Peer exchange.
    Pex,
    /// Local discovery.
    Lsd,
    /// A magnet's `x.pe`.
    Magnet,
    /// A person.
    User,
    /// An earlier run.
    Resume,
}

/// A connected peer of a torrent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Peer {
    /// Its address.
    #[schemars(with = "String")]
    pub address: SocketAddr,
    /// What it calls itself, or what its peer id tells; empty if unknown.
    pub client: String,
    /// Its peer id, in hex.
    pub peer_id: String,
    /// How the connection runs.
    pub transport: Transport,
    /// Whether the connection is encrypted.
    pub encrypted: bool,
    /// Whether it connected to us.
    pub incoming: bool,
    /// Where its address came from first.
    pub source: PeerSource,
    /// The part of the pieces that it has, 0 to 1.
    pub progress: f64,
    /// Payload bytes per second from it.
    pub download_rate: u64,
    /// Payload bytes per second to it.
    pub upload_rate: u64,
    /// Payload bytes from it.
    pub downloaded: u64,
    /// Payload bytes to it.
    pub uploaded: u64,
    /// It chokes us.
    pub choked_us: bool,
    /// We choke it.
    pub choked: bool,
    /// We want something it has.
    pub interesting: bool,
    /// It wants something we have.
    pub interested: bool,
    /// It has an optimistic slot.
    pub optimistic: bool,
    /// It stopped sending with requests outstanding.
    pub snubbed: bool,
    /// Requests of ours that it has not answered.
    pub requests: u32,
    /// Requests of its that we have not answered.
    pub queued: u32,
    /// Seconds since the connection was made.
    pub connected: u64,
}

/// What a tracker is doing for a torrent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrackerState {
    /// Not asked so far.
    #[default]
    Idle,
    /// An announce is under way.
    Announcing,
    /// The last announce worked.
    Working,
    /// The last announce failed.
    Failing,
    /// btd cannot speak to trackers of this kind.
    Unsupported,
}

/// A tracker of a torrent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tracker {
    /// Its announce URL.
    pub url: String,
    /// Its tier, 0 first (BEP 12).
    pub tier: u32,
    /// How it stands.
    pub state: TrackerState,
    /// What it said, or why it failed.
    pub message: Option<String>,
    /// Peers that the last announce brought.
    pub peers: Option<u32>,
    /// Seeds it knows.
    pub seeds: Option<u32>,
    /// Leechers it knows.
    pub leechers: Option<u32>,
    /// Complete downloads it counted.
    pub completed: Option<u32>,
    /// Failures in a row.
    pub failures: u32,
    /// When it last answered, Unix seconds.
    pub announced_at: Option<u64>,
    /// When it will be asked next, Unix seconds.
    pub next_at: Option<u64>,
}

/// A piece that is being fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PartialPiece {
    /// Its index.
    pub index: u32,
    /// Blocks received.
    pub received: u32,
    /// Blocks requested and not received.
    pub requested: u32,
    /// Blocks in it.
    pub blocks: u32,
}

/// The pieces of a torrent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pieces {
    /// How many there are.
    pub count: u32,
    /// Bytes of each but the last.
    pub length: u32,
    /// Which are here: base64 of a bit per piece, the first piece the highest bit of the first byte (as BEP 3's bitfield).
    pub have: String,
    /// Those being fetched.
    pub partial: Vec<PartialPiece>,
    /// How many connected peers have each piece; empty while the torrent is not active.
    pub availability: Vec<u32>,
}

/// A magnet link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Magnet {
    /// The link.
    pub magnet: String,
}

/// A torrent's metainfo file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Export {
    /// A fitting file name, `<name>.torrent`.
    pub name: String,
    /// The file, base64.
    pub metainfo: String,
}

/// What a call did for each torrent, in the order asked.
pub type Outcomes = Vec<Outcome>;

/// Priorities by file index.
pub type Priorities = BTreeMap<u32, Priority>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_the_chosen_fields_and_nothing_else() {
        let mut torrent = Torrent::new(InfoHash([7; 20]));
        torrent.name = "linux.iso".into();
        let fields = Fields::named(&["name", "id", "eta"]).unwrap();
        let json = serde_json::to_value(Row { torrent: torrent.clone(), fields }).unwrap();
        assert_eq!(json, serde_json::json!({ "id": "07".repeat(20), "name": "linux.iso", "eta": null }));
        let back: Row = serde_json::from_value(json).unwrap();
        assert_eq!(back.torrent, torrent);

        let whole = serde_json::to_value(Row { torrent: torrent.clone(), fields: Fields::ALL }).unwrap();
        assert_eq!(whole, serde_json::to_value(&torrent).unwrap());
        assert_eq!(Fields::named(&["name", "colour"]), Err("colour"));
    }
}
