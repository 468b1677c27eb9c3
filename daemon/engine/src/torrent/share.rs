//! What peers share besides pieces: other peers (BEP 11) and the metadata (BEP 9).

use super::{Torrent, Why, peer::Peer};
use crate::{
    out::{Action, Out, PeerKey, Source},
    peers::{
        canonical,
        pex::{INTERVAL, MAX_AT_ONCE, TOLERANCE},
    },
};
use proto::{
    time::Instant,
    wire::{Extension, METADATA_BLOCK, Message, Metadata, Pex, pex_flags},
};
use std::{collections::BTreeMap, net::SocketAddr};

/// How many times over a peer may fetch the metadata from us; it needs it once.
const METADATA_TIMES: u32 = 3;

impl Torrent {
    /// A peer tells of others. They are candidates, no more.
    pub(super) fn on_pex(&mut self, now: Instant, key: PeerKey, pex: &Pex) {
        let Some(peer) = self.peers.get_mut(key).filter(|_| !self.config.private) else { return };
        if peer.pex_heard.is_some_and(|last| now.since(last) + TOLERANCE < INTERVAL) {
            return;
        }
        peer.pex_heard = Some(now);
        let addrs: Vec<SocketAddr> = pex.added.iter().take(MAX_AT_ONCE).map(|peer| peer.addr).collect();
        self.candidates.offer(now, Source::Pex, &addrs);
        for peer in pex.added.iter().take(MAX_AT_ONCE).filter(|peer| peer.flags & pex_flags::SEED != 0) {
            self.candidates.is_seed(peer.addr);
        }
        self.chores.dial = true;
    }

    /// Tells everyone who listens of the others.
    pub(super) fn exchange(&mut self, now: Instant, out: &mut Out) {
        self.next_exchange = now + INTERVAL;
        let connectable: BTreeMap<SocketAddr, u8> =
            self.peers.iter().filter_map(|peer| Some((canonical(peer.listens?), flags(peer)))).collect();
        for peer in self.peers.iter_mut().filter(|peer| peer.ids.ut_pex.is_some()) {
            if let Some(pex) = peer.pex_told.next(peer.listens.map(canonical), &connectable) {
                peer.last_sent = now;
                out.push(Action::Send {
                    peer: peer.key,
                    message: Message::Ext(Box::new(Extension::Pex(pex))),
                });
            }
        }
    }

    /// Whether anyone wants to be told of others.
    pub(super) fn has_exchange(&self) -> bool {
        self.offered_ids().ut_pex.is_some() && self.peers.iter().any(|peer| peer.ids.ut_pex.is_some())
    }

    /// Sets the timer for the next exchange.
    pub(super) fn arm_exchange(&mut self, now: Instant) {
        if self.next_exchange <= now {
            self.next_exchange = now + INTERVAL;
        }
        self.arm(self.next_exchange, Why::Exchange);
    }

    /// A peer asks for a part of the metadata.
    pub(super) fn on_metadata(&mut self, now: Instant, key: PeerKey, message: &Metadata, out: &mut Out) {
        let Metadata::Request { block } = *message else { return };
        let Some(peer) = self.peers.get_mut(key) else { return };
        let info = self.config.metadata.as_ref().filter(|_| !self.config.private);
        let range = info.and_then(|info| {
            let start = (block as usize).checked_mul(METADATA_BLOCK as usize)?;
            let end = start.saturating_add(METADATA_BLOCK as usize).min(info.len());
            let times = u32::try_from(info.len().div_ceil(METADATA_BLOCK as usize)).ok()? * METADATA_TIMES;
            (start < end && peer.metadata_served < times).then(|| (info.slice(start..end), info.len()))
        });
        let answer = match range {
            Some((data, total)) => {
                peer.metadata_served += 1;
                Metadata::Data { block, total: u32::try_from(total).ok(), data }
            }
            None => Metadata::Reject { block },
        };
        peer.last_sent = now;
        out.push(Action::Send { peer: key, message: Message::Ext(Box::new(Extension::Metadata(answer))) });
    }
}

fn flags(peer: &Peer) -> u8 {
    let seed = if peer.holds.is_full() || peer.upload_only { pex_flags::SEED } else { 0 };
    seed | if peer.outgoing { pex_flags::REACHABLE } else { 0 }
}
