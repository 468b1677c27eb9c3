//! Trackers over HTTP (BEP 3, 7, 23, 24, 31, 48) and UDP (BEP 15, 41): what to send, and what an answer says.
//!
//! Nothing here opens a socket. HTTP is two functions for each kind of request, one that makes the URL and one that
//! reads the body; UDP is [`udp::Exchange`], a machine that says which datagram to send and when to send it again.

pub mod http;
pub mod udp;
mod url;

pub use url::{MAX_URL, Scheme, TrackerUrl, UrlError};

use crate::id::{InfoHash, PeerId};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

/// How many peers of one answer are read: ten times what we ask for. The rest is passed over.
pub const MAX_PEERS: usize = 2_000;

/// How many characters of a tracker's sentence are kept.
const MAX_SENTENCE: usize = 300;

/// The longest `tracker id` that is kept and sent back, in bytes.
const MAX_TRACKER_ID: usize = 256;

/// What an announce reports besides the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnnounceEvent {
    /// The first announce.
    Started,
    /// The download is complete. Not sent by who was complete from the start.
    Completed,
    /// The last announce.
    Stopped,
}

/// What a tracker is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnounceRequest {
    /// Which torrent.
    pub info_hash: InfoHash,
    /// Who asks.
    pub peer_id: PeerId,
    /// The TCP port that we listen on.
    pub port: u16,
    /// Payload bytes sent since `Started`.
    pub uploaded: u64,
    /// Payload bytes received since `Started`.
    pub downloaded: u64,
    /// Bytes missing. While the size is unknown, anything but zero, which would make us a seed.
    pub left: u64,
    /// What happened, if anything.
    pub event: Option<AnnounceEvent>,
    /// How many peers we would like.
    pub numwant: u32,
    /// A number that stays the same while our address may change, so that the tracker knows us again. Secret from peers.
    pub key: u32,
    /// Our IPv4 address, where the tracker cannot see it.
    pub ip: Option<Ipv4Addr>,
    /// Our IPv6 address, where the tracker cannot see it (BEP 7).
    pub ipv6: Option<Ipv6Addr>,
    /// What the tracker called us in an earlier answer (HTTP only).
    pub tracker_id: Option<Vec<u8>>,
}

/// What a tracker answers to an announce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnnounceResponse {
    /// When it would like to hear from us again. As it was sent: the announcer keeps it within bounds.
    pub interval: Option<Duration>,
    /// The shortest time that it allows between two announces.
    pub min_interval: Option<Duration>,
    /// Peers that have everything.
    pub seeders: Option<u32>,
    /// Peers that do not.
    pub leechers: Option<u32>,
    /// How often the torrent was completed.
    pub downloaded: Option<u32>,
    /// Endpoints of peers: IPv4 and then IPv6, at most [`MAX_PEERS`], none with port 0.
    pub peers: Vec<SocketAddr>,
    /// A sentence for the user, safe to show; the announce did succeed.
    pub warning: Option<String>,
    /// What it calls us; to be sent with every later announce.
    pub tracker_id: Option<Vec<u8>>,
    /// Our address as it sees it (BEP 24).
    pub external_ip: Option<IpAddr>,
}

/// What a tracker says of a torrent when scraped (BEP 48).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrape {
    /// Peers that have everything.
    pub seeders: u32,
    /// Peers that do not.
    pub leechers: u32,
    /// How often the torrent was completed.
    pub downloaded: u32,
}

/// When to ask again after a failure (BEP 31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not before this much time has passed.
    In(Duration),
    /// Never.
    Never,
}

/// Why there is no answer. Every one of them is a reason to try later or elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrackerError {
    /// The tracker refused.
    #[error("{reason}")]
    Failure {
        /// Its sentence, safe to show.
        reason: String,
        /// Its advice (BEP 31).
        retry: Option<Retry>,
    },
    /// The answer makes no sense.
    #[error("the tracker's answer is malformed: {0}")]
    Malformed(&'static str),
    /// An HTTP status other than 200, with a body that is no answer.
    #[error("the tracker answered with HTTP status {0}")]
    Status(u16),
    /// No answer.
    #[error("the tracker did not answer in time")]
    Timeout,
    /// The network failed before there could be an answer; the caller's sentence.
    #[error("{0}")]
    Network(String),
}

/// Endpoints from a tracker, as many as are read, without those that cannot be one.
fn usable(peers: impl Iterator<Item = SocketAddr>) -> impl Iterator<Item = SocketAddr> {
    peers.filter(|peer| peer.port() != 0).take(MAX_PEERS)
}
