//! What a torrent shows of itself.

use crate::{
    choke::Reason,
    out::{Caps, PeerKey, Source},
};
use proto::{id::PeerId, time::Instant};
use std::net::SocketAddr;

/// Figures of a torrent. Rates in payload bytes per second, smoothed; totals since the machine was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Payload bytes per second from peers.
    pub download_rate: u64,
    /// Payload bytes per second to peers.
    pub upload_rate: u64,
    /// Payload bytes kept.
    pub downloaded: u64,
    /// Payload bytes given to the kernel.
    pub uploaded: u64,
    /// Payload bytes thrown away: duplicates and blocks nobody asked for.
    pub wasted: u64,
    /// Payload bytes of pieces that failed their hash.
    pub corrupt: u64,
    /// Connections.
    pub peers: u32,
    /// Connections to peers that have everything.
    pub seeds: u32,
    /// Dials under way.
    pub connecting: u32,
    /// Endpoints known but not connected.
    pub candidates: u32,
    /// Peers we unchoke.
    pub unchoked: u32,
    /// Verified bytes.
    pub have: u64,
    /// Bytes of wanted pieces that are not verified yet.
    pub left: u64,
    /// Blocks requested and not yet received, duplicates not counted.
    pub in_flight: u32,
    /// Whether blocks are asked of several peers to finish.
    pub endgame: bool,
}

/// One connection as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerView {
    /// The connection.
    pub key: PeerKey,
    /// The remote endpoint.
    pub addr: SocketAddr,
    /// What the peer calls itself.
    pub id: PeerId,
    /// Its name and version by its own account.
    pub client: Option<String>,
    /// Who told us of it.
    pub source: Source,
    /// Whether we dialled.
    pub outgoing: bool,
    /// What was agreed on.
    pub caps: Caps,
    /// Since when it is connected.
    pub since: Instant,
    /// Payload bytes per second from it.
    pub download_rate: u64,
    /// Payload bytes per second to it.
    pub upload_rate: u64,
    /// Payload bytes from it.
    pub downloaded: u64,
    /// Payload bytes to it.
    pub uploaded: u64,
    /// How much of the torrent it has, 0 to 1.
    pub progress: f64,
    /// Whether it has everything.
    pub seed: bool,
    /// Whether we choke it.
    pub am_choking: bool,
    /// Whether we want something of it.
    pub am_interested: bool,
    /// Whether it chokes us.
    pub peer_choking: bool,
    /// Whether it wants something of ours.
    pub peer_interested: bool,
    /// Whether its slot is an optimistic one.
    pub optimistic: bool,
    /// Whether it has stopped sending what we asked for.
    pub snubbed: bool,
    /// Why it is choked or unchoked.
    pub why: Reason,
    /// Blocks we asked it for and have not got.
    pub in_flight: u32,
    /// How many blocks we would keep in flight with it.
    pub target: u32,
    /// Its requests that wait to be answered.
    pub queued: u32,
}

/// A piece that was begun and is not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceProgress {
    /// The piece.
    pub piece: u32,
    /// Its blocks.
    pub blocks: u32,
    /// Blocks that are here.
    pub received: u32,
    /// Blocks that are asked for.
    pub requested: u32,
}
