//! Why a torrent does what it does.

use super::{Peer, Torrent};
use proto::{
    explain::{Explain, ExplainedPeer, StrategyCost},
    time::Instant,
};
use std::{net::SocketAddr, time::Duration};

/// Pieces that are said to come next: a screenful.
const NEXT: usize = 20;

/// How long blocks were asked of several peers to finish.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EndgameClock {
    since: Option<Instant>,
    before: Duration,
}

impl EndgameClock {
    /// Whether it is endgame now.
    pub(super) fn set(&mut self, now: Instant, endgame: bool) {
        match (self.since, endgame) {
            (None, true) => self.since = Some(now),
            (Some(since), false) => {
                self.before += now.since(since);
                self.since = None;
            }
            _ => {}
        }
    }

    fn total(&self, now: Instant) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| now.since(since))
    }
}

impl Torrent {
    /// Why peers are choked or unchoked, why which pieces come next, and what the strategies have cost and brought. With
    /// `peer`, of that peer only; nobody if it is not connected.
    pub fn explain(&self, now: Instant, peer: Option<SocketAddr>) -> Explain {
        let one = |it: &&Peer| peer.is_none_or(|addr| it.addr == addr);
        let holds = self.peers.iter().find(|it| peer == Some(it.addr)).map(|it| &it.holds);
        let known = peer.is_none() || holds.is_some();
        let optimism = self.choker.optimism();
        Explain {
            seeding: self.is_complete(),
            endgame: self.picker.in_endgame(),
            order: (!self.is_complete()).then(|| self.picker.order()),
            peers: self.peers.iter().filter(one).map(|it| self.explained(now, it)).collect(),
            next: if known { self.picker.preview(holds, NEXT) } else { Vec::new() },
            cost: StrategyCost {
                downloaded: self.totals.downloaded,
                duplicate: self.totals.wasted,
                endgame: self.endgame.total(now).as_secs_f64(),
                optimistic_given: optimism.given,
                optimistic_earned: optimism.earned,
                snubs: self.totals.snubs,
            },
        }
    }

    fn explained(&self, now: Instant, peer: &Peer) -> ExplainedPeer {
        ExplainedPeer {
            address: peer.addr,
            choked: peer.am_choking,
            why: peer.why,
            since: now.since(peer.why_since).as_secs_f64(),
            download_rate: peer.pipe.rate(now),
            upload_rate: peer.up.rate(now),
            optimistic: self.choker.is_optimistic(peer.key),
            snubbed: peer.pipe.is_snubbed(),
            in_flight: peer.pipe.in_flight(),
            target: peer.pipe.target(),
        }
    }
}
