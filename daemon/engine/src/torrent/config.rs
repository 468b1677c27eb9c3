//! What a torrent is given at its start, and the bounds that hold for every torrent.

use bytes::Bytes;
use proto::{
    id::{InfoHash, PeerId},
    layout::Layout,
    strategy::Strategy,
};
use std::time::Duration;

/// The priority of a piece nobody said anything about; 0 skips, [`TOP_PRIORITY`] goes first.
pub const NORMAL_PRIORITY: u8 = 4;

pub use crate::picker::TOP_PRIORITY;

/// How many requests of one peer we keep, offered as `reqq` (BEP 10). Enough for 32 MiB under way, which a fast peer
/// needs; what comes beyond is rejected.
pub const OUR_REQQ: u32 = 2_000;

/// The longest request that is answered with data. All clients of today ask for 16 KiB.
pub const MAX_UPLOAD: u32 = proto::layout::BLOCK;

/// A request longer than this is an attack: BEP 3 has clients close the connection beyond 128 KiB.
pub const MAX_REQUEST: u32 = 128 * 1024;

/// After this long without sending anything a keep-alive goes out; peers close at two minutes (BEP 3).
pub const KEEP_ALIVE: Duration = Duration::from_secs(100);

/// A peer that was not heard for this long is gone: its keep-alives come every two minutes, and one may be late.
pub const SILENCE: Duration = Duration::from_secs(170);

/// How long a request may stay unanswered by a peer that otherwise sends, before someone else is asked.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// What a torrent needs to know from the start.
#[derive(Clone, Debug)]
pub struct TorrentConfig {
    /// How the bytes divide.
    pub layout: Layout,
    /// The torrent's name on the wire.
    pub info_hash: InfoHash,
    /// Our own id, to recognise ourselves.
    pub our_id: PeerId,
    /// BEP 27: peers come from its own trackers only, and nothing is told to others.
    pub private: bool,
    /// The strategies in force.
    pub strategy: Strategy,
    /// The seed of every random choice.
    pub seed: u64,
    /// Our name and version for the extension handshake (`v`).
    pub client: String,
    /// The port that we listen on, for the extension handshake (`p`).
    pub listen_port: Option<u16>,
    /// The size of the metadata in bytes, offered as `metadata_size` (BEP 9) unless the torrent is private.
    pub metadata_size: Option<u32>,
    /// The raw bytes of `info`, to serve to others (BEP 9); never served for a private torrent.
    pub metadata: Option<Bytes>,
    /// Connections at most, open and being opened.
    pub max_connections: u32,
    /// Dials at most at a time.
    pub half_open: u32,
}
