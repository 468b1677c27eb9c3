//! Super-seeding (BEP 16): a seed that shows each peer one piece at a time, and the next once it has passed that on.
//!
//! To such a peer we seem to hold only what we have shown it. So a first seed sends little more than one copy before the
//! others can go on alone. Peers that were told everything before the switch was turned on stay told.

use super::{Torrent, peer::Peer, upload::reject};
use crate::out::{Action, Out, PeerKey};
use proto::{bitfield::Bitfield, time::Instant, wire::Message};
use std::time::Duration;

/// A peer that has its piece and passes it on to nobody gets another after this long: it may know nobody who lacks it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a peer was shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) pieces: Bitfield,
    /// The piece it is to pass on, and since when it has it.
    current: Option<(u32, Option<Instant>)>,
}

impl Torrent {
    /// Whether peers that come now are shown pieces one at a time.
    pub(super) fn is_super_seed(&self) -> bool {
        self.config.strategy.super_seeding && self.have.is_full()
    }

    /// What a peer that comes now is shown at first: nothing.
    pub(super) fn shows(&self) -> Option<Shown> {
        let pieces = self.config.layout.pieces();
        self.is_super_seed().then(|| Shown { pieces: Bitfield::none(pieces), current: None })
    }

    /// Shows a peer one piece more: one that it lacks, and that the fewest others have or were shown.
    pub(super) fn show_next(&mut self, now: Instant, key: PeerKey, out: &mut Out) {
        let Some(peer) = self.peers.get(key) else { return };
        let Some(shown) = &peer.shown else { return };
        let times = |piece: u32| {
            let open = self.peers.iter().filter(|other| other.key != key);
            open.filter(|other| other.shown.as_ref().is_some_and(|shown| shown.pieces.has(piece))).count()
        };
        let fresh = (0..self.config.layout.pieces())
            .filter(|piece| !peer.holds.has(*piece) && !shown.pieces.has(*piece));
        let rarest = fresh.map(|piece| (self.picker.availability(piece), piece)).collect::<Vec<_>>();
        // Only the rarest are counted out: going through all peers for each piece would be too much.
        let least = rarest.iter().map(|(count, _)| *count).min();
        let next = rarest
            .iter()
            .filter(|(count, _)| Some(*count) == least)
            .min_by_key(|(_, piece)| (times(*piece), piece.wrapping_mul(0x9e37_79b9) ^ key.0))
            .map(|(_, piece)| *piece);
        let (Some(peer), Some(piece)) = (self.peers.get_mut(key), next) else { return };
        if let Some(shown) = &mut peer.shown {
            shown.pieces.set(piece);
            shown.current = Some((piece, None));
            peer.last_sent = now;
            out.push(Action::Send { peer: key, message: Message::Have(piece) });
        }
    }

    /// A peer has a piece now. Whoever was shown it has passed it on, and gets the next; if nobody else lacks it, so does
    /// the peer itself.
    pub(super) fn passed_on(&mut self, now: Instant, by: PeerKey, piece: u32, out: &mut Out) {
        if self.peers.iter().all(|peer| peer.shown.is_none()) {
            return;
        }
        let lacked = self.peers.iter().any(|peer| peer.key != by && !peer.holds.has(piece));
        let mut next = Vec::new();
        for peer in self.peers.iter_mut() {
            let Some((current, since)) = peer.shown.as_mut().and_then(|shown| shown.current.as_mut()) else {
                continue;
            };
            if *current != piece {
                continue;
            }
            if peer.key != by || !lacked {
                next.push(peer.key);
            } else {
                since.get_or_insert(now);
            }
        }
        next.into_iter().for_each(|key| self.show_next(now, key, out));
    }

    /// Peers that have waited long enough get another piece.
    pub(super) fn show_waiting(&mut self, now: Instant, out: &mut Out) {
        let waited = |peer: &&Peer| {
            let current = peer.shown.as_ref().and_then(|shown| shown.current);
            current.is_some_and(|(_, since)| since.is_some_and(|since| now.since(since) >= PATIENCE))
        };
        let keys: Vec<PeerKey> = self.peers.iter().filter(waited).map(|peer| peer.key).collect();
        keys.into_iter().for_each(|key| self.show_next(now, key, out));
    }

    /// We are no super-seed any more: everyone is told the rest.
    pub(super) fn show_everything(&mut self, now: Instant, out: &mut Out) {
        if self.is_super_seed() {
            return;
        }
        for peer in self.peers.iter_mut() {
            let Some(shown) = peer.shown.take() else { continue };
            peer.last_sent = now;
            let rest = self.have.iter().filter(|piece| !shown.pieces.has(*piece) && !peer.holds.has(*piece));
            out.extend(rest.map(|piece| Action::Send { peer: peer.key, message: Message::Have(piece) }));
        }
    }

    /// Whether a peer may know that we have a piece; else its request is refused.
    pub(super) fn is_shown(peer: &Peer, piece: u32) -> bool {
        peer.shown.as_ref().is_none_or(|shown| shown.pieces.has(piece))
    }

    /// Refuses what a peer asks for that it was not shown.
    pub(super) fn refuse_hidden(
        now: Instant,
        peer: &mut Peer,
        block: proto::layout::Block,
        out: &mut Out,
    ) -> bool {
        let hidden = !Self::is_shown(peer, block.piece);
        if hidden {
            reject(now, peer, block, out);
        }
        hidden
    }
}
