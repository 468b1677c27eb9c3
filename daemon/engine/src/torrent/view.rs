//! What a torrent shows of itself.

use super::Torrent;
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

/// Peers asked of a tracker at most.
const MOST_WANTED: u32 = 200;

/// Endpoints kept for the next run: enough to find the swarm again without a tracker.
const REMEMBERED: usize = 100;

impl Torrent {
    /// Figures.
    pub fn stats(&self, now: Instant) -> Stats {
        let count = |of: &dyn Fn(&super::Peer) -> bool| {
            u32::try_from(self.peers.iter().filter(|peer| of(peer)).count()).unwrap_or(u32::MAX)
        };
        Stats {
            download_rate: self.down.rate(now),
            upload_rate: self.up.rate(now),
            downloaded: self.totals.downloaded,
            uploaded: self.totals.uploaded,
            wasted: self.totals.wasted,
            corrupt: self.totals.corrupt,
            peers: count(&|_| true),
            seeds: count(&|peer| peer.holds.is_full()),
            connecting: self.candidates.dialling(),
            candidates: self.candidates.idle(),
            unchoked: count(&|peer| !peer.am_choking),
            have: self.have_bytes,
            left: self.picker.missing_bytes(),
            in_flight: u32::try_from(self.picker.in_flight()).unwrap_or(u32::MAX),
            endgame: self.picker.in_endgame(),
        }
    }

    /// Every connection as it stands.
    pub fn peers(&self, now: Instant) -> Vec<PeerView> {
        self.peers.iter().map(|peer| self.view(now, peer)).collect()
    }

    fn view(&self, now: Instant, peer: &super::Peer) -> PeerView {
        let pieces = self.config.layout.pieces();
        PeerView {
            key: peer.key,
            addr: peer.addr,
            id: peer.id,
            client: peer.client.clone(),
            source: peer.source,
            outgoing: peer.outgoing,
            caps: peer.caps,
            since: peer.since,
            download_rate: peer.pipe.rate(now),
            upload_rate: peer.up.rate(now),
            downloaded: peer.downloaded,
            uploaded: peer.uploaded,
            progress: f64::from(peer.count(pieces)) / f64::from(pieces.max(1)),
            seed: peer.holds.is_full(),
            am_choking: peer.am_choking,
            am_interested: peer.am_interested,
            peer_choking: peer.peer_choking,
            peer_interested: peer.peer_interested,
            optimistic: self.choker.is_optimistic(peer.key),
            snubbed: peer.pipe.is_snubbed(),
            why: peer.why,
            in_flight: peer.pipe.in_flight(),
            target: peer.pipe.target(),
            queued: u32::try_from(peer.uploads.len()).unwrap_or(u32::MAX),
        }
    }

    /// For each piece, how many connected peers have it.
    pub fn availability(&self) -> Vec<u32> {
        (0..self.config.layout.pieces()).map(|piece| self.picker.availability(piece)).collect()
    }

    /// The pieces that were begun and are not verified.
    pub fn in_progress(&self) -> Vec<PieceProgress> {
        let progress =
            |(piece, blocks, received, requested)| PieceProgress { piece, blocks, received, requested };
        self.picker.progress().map(progress).collect()
    }

    /// How many more peers would be of use: what to ask a tracker for.
    pub fn wants_peers(&self) -> u32 {
        if !self.running {
            return 0;
        }
        let known =
            u32::try_from(self.peers.len()).unwrap_or(u32::MAX).saturating_add(self.candidates.idle());
        self.config.max_connections.saturating_sub(known).min(MOST_WANTED)
    }

    /// Endpoints worth keeping for the next run, the best first.
    pub fn remember(&self) -> Vec<SocketAddr> {
        self.candidates.remember(REMEMBERED)
    }
}
