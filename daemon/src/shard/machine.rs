//! The machine of a torrent in either phase: fetching the metadata, or the data.

use engine::{
    metadata::{FetchProgress, MetadataFetch},
    out::{Event, Out, PeerKey},
    torrent::{PeerView, Stats, Torrent},
};
use proto::{layout::Block, time::Instant, wire::ExtIds};
use std::net::SocketAddr;

/// A fetch of metadata becomes a torrent, once. Both speak the same events and actions.
pub(super) enum Machine {
    /// Only the info-hash is known.
    Fetch(Box<MetadataFetch>),
    /// The metainfo is known.
    Torrent(Box<Torrent>),
}

impl Machine {
    pub(super) fn on(&mut self, now: Instant, event: Event, out: &mut Out) {
        match self {
            Self::Fetch(fetch) => fetch.on(now, event, out),
            Self::Torrent(torrent) => torrent.on(now, event, out),
        }
    }

    pub(super) fn wake(&mut self, now: Instant, out: &mut Out) {
        match self {
            Self::Fetch(fetch) => fetch.wake(now, out),
            Self::Torrent(torrent) => torrent.wake(now, out),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let deadline = match self {
            Self::Fetch(fetch) => fetch.deadline(),
            Self::Torrent(torrent) => torrent.deadline(),
        };
        deadline.map(|(at, _)| at)
    }

    /// The extension ids that we listen to.
    pub(super) fn offered_ids(&self) -> ExtIds {
        match self {
            Self::Fetch(fetch) => fetch.offered_ids(),
            Self::Torrent(torrent) => torrent.offered_ids(),
        }
    }

    /// Whether peers are exchanged with peers.
    pub(super) fn set_exchange(&mut self, on: bool) {
        if let Self::Torrent(torrent) = self {
            torrent.set_exchange(on);
        }
    }

    /// The torrent, once the metainfo is known.
    pub(super) fn torrent(&self) -> Option<&Torrent> {
        match self {
            Self::Fetch(_) => None,
            Self::Torrent(torrent) => Some(torrent),
        }
    }

    /// How far the metadata is, until it is here.
    pub(super) fn fetching(&self) -> Option<FetchProgress> {
        match self {
            Self::Fetch(fetch) => Some(fetch.progress()),
            Self::Torrent(_) => None,
        }
    }

    pub(super) fn next_uploads(&mut self, peer: PeerKey, most: usize, into: &mut Vec<Block>) {
        if let Self::Torrent(torrent) = self {
            torrent.next_uploads(peer, most, into);
        }
    }

    /// Everything wanted is here. Not before it is known what there is.
    pub(super) fn is_complete(&self) -> bool {
        self.torrent().is_some_and(Torrent::is_complete)
    }

    /// Everything is here.
    pub(super) fn is_seed(&self) -> bool {
        self.torrent().is_some_and(Torrent::is_seed)
    }

    /// Figures. While the size is unknown one byte is left, so that nobody takes us for a seed.
    pub(super) fn stats(&self, now: Instant) -> Stats {
        match self {
            Self::Torrent(torrent) => torrent.stats(now),
            Self::Fetch(fetch) => {
                let progress = fetch.progress();
                Stats {
                    peers: progress.peers,
                    connecting: progress.connecting,
                    candidates: progress.candidates,
                    left: 1,
                    ..Stats::default()
                }
            }
        }
    }

    pub(super) fn peers(&self, now: Instant) -> Vec<PeerView> {
        self.torrent().map(|torrent| torrent.peers(now)).unwrap_or_default()
    }

    pub(super) fn wants_peers(&self) -> u32 {
        match self {
            Self::Fetch(fetch) => fetch.wants_peers(),
            Self::Torrent(torrent) => torrent.wants_peers(),
        }
    }

    pub(super) fn remember(&self) -> Vec<SocketAddr> {
        match self {
            Self::Fetch(fetch) => fetch.remember(),
            Self::Torrent(torrent) => torrent.remember(),
        }
    }
}
