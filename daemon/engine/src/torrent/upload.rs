//! What peers ask of us, and who may.

use super::{MAX_UPLOAD, OUR_REQQ, Torrent, Why, peer::Peer};
use crate::{
    choke::{Round, Verdict},
    out::{Action, Out, PeerKey},
};
use proto::{layout::Block, time::Instant, wire::Message};
use std::time::Duration;

impl Torrent {
    pub(super) fn on_request(&mut self, now: Instant, key: PeerKey, block: Block, out: &mut Out) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if Self::refuse_hidden(now, peer, block, out) {
            return;
        }
        let room = peer.uploads.len() < OUR_REQQ as usize;
        let served = room && block.len <= MAX_UPLOAD && self.have.has(block.piece);
        if !served || !may_have(peer, block) {
            reject(now, peer, block, out);
            return;
        }
        if peer.am_choking {
            peer.fast_credit -= u64::from(block.len);
        }
        peer.uploads.push_back(block);
        if peer.uploads.len() == 1 {
            out.push(Action::Upload { peer: key });
        }
    }

    pub(super) fn on_cancel(&mut self, now: Instant, key: PeerKey, block: Block, out: &mut Out) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if let Some(at) = peer.uploads.iter().position(|queued| *queued == block) {
            peer.uploads.remove(at);
            reject(now, peer, block, out);
        }
    }

    /// Moves up to `max` blocks that `peer` waits for, and may have, into `into`. None come for a peer that is unknown,
    /// choked or has asked for nothing.
    pub fn next_uploads(&mut self, peer: PeerKey, max: usize, into: &mut Vec<Block>) {
        let Some(peer) = self.peers.get_mut(peer) else { return };
        let count = max.min(peer.uploads.len());
        into.extend(peer.uploads.drain(..count));
    }

    pub(super) fn on_sent(&mut self, now: Instant, key: PeerKey, bytes: u32) {
        let bytes = u64::from(bytes);
        self.totals.uploaded += bytes;
        self.up.add(now, bytes);
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.last_sent = now;
        peer.uploaded += bytes;
        peer.sent += bytes;
        peer.tally_up.now += bytes;
        peer.up.add(now, bytes);
    }

    pub(super) fn on_interested(&mut self, key: PeerKey, interested: bool, now: Instant, out: &mut Out) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if std::mem::replace(&mut peer.peer_interested, interested) == interested {
            return;
        }
        if interested {
            peer.waiting_since = if peer.am_choking { now } else { peer.waiting_since };
            self.arm(self.next_rechoke, Why::Rechoke);
        } else if !peer.am_choking {
            let verdict = Verdict { unchoke: false, why: crate::choke::Reason::NotInterested };
            self.apply(now, key, verdict, out);
        }
        self.chores.fill_slots = true;
    }

    /// One round of choking.
    pub(super) fn rechoke(&mut self, now: Instant, out: &mut Out) {
        let interval = Duration::from_secs(u64::from(self.config.strategy.rechoke_interval));
        self.next_rechoke = now + interval;
        self.lay_out(now);
        let mut verdicts = std::mem::take(&mut self.scratch.verdicts);
        let round = round(&self.config, self.picker.missing_pieces() == 0, self.upload_limit, now);
        self.choker.round(&round, &self.scratch.contenders, &mut verdicts);
        for (at, verdict) in verdicts.iter().enumerate() {
            self.apply(now, self.scratch.contenders[at].key, *verdict, out);
        }
        self.scratch.verdicts = verdicts;
        self.rounds = [now, self.rounds[0]];
        self.show_waiting(now, out);
        for peer in self.peers.iter_mut() {
            peer.tally_down.turn();
            peer.tally_up.turn();
        }
        self.arm(self.next_rechoke, Why::Rechoke);
    }

    /// Between rounds: gives free slots to those who wait.
    pub(super) fn fill_slots(&mut self, now: Instant, out: &mut Out) {
        self.lay_out(now);
        let mut verdicts = Vec::new();
        let round = round(&self.config, self.picker.missing_pieces() == 0, self.upload_limit, now);
        self.choker.fill(&round, &self.scratch.contenders, &mut verdicts);
        for (at, verdict) in verdicts.into_iter().enumerate() {
            if let Some(verdict) = verdict {
                self.apply(now, self.scratch.contenders[at].key, verdict, out);
            }
        }
    }

    fn lay_out(&mut self, now: Instant) {
        let micros = u64::try_from(now.since(self.rounds[1]).as_micros()).unwrap_or(u64::MAX);
        let pieces = self.config.layout.pieces();
        self.scratch.contenders.clear();
        self.scratch.contenders.extend(self.peers.iter().map(|peer| peer.contender(micros, pieces)));
    }

    /// Carries out a verdict.
    fn apply(&mut self, now: Instant, key: PeerKey, verdict: Verdict, out: &mut Out) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        // A new rank is no new reason.
        if std::mem::discriminant(&peer.why) != std::mem::discriminant(&verdict.why) {
            peer.why_since = now;
        }
        peer.why = verdict.why;
        if verdict.unchoke != peer.am_choking {
            return;
        }
        peer.am_choking = !verdict.unchoke;
        peer.last_sent = now;
        if verdict.unchoke {
            peer.unchoked_at = now;
            peer.sent = 0;
            out.push(Action::Send { peer: key, message: Message::Unchoke });
            return;
        }
        peer.waiting_since = now;
        self.choker.forget(key);
        out.push(Action::Send { peer: key, message: Message::Choke });
        // What it may have while choked stays; the rest is rejected (BEP 6) or void (BEP 3).
        let queue = std::mem::take(&mut peer.uploads);
        for block in queue {
            if peer.caps.fast && peer.allowed_out.contains(&block.piece) {
                peer.uploads.push_back(block);
            } else {
                reject(now, peer, block, out);
            }
        }
    }
}

fn round(config: &super::TorrentConfig, seeding: bool, upload_limit: Option<u64>, now: Instant) -> Round<'_> {
    Round {
        now,
        strategy: &config.strategy,
        seeding,
        piece_length: config.layout.piece_length(),
        upload_limit,
    }
}

/// Whether a peer may have a block: it is unchoked, or the piece is of its allowed-fast set.
fn may_have(peer: &Peer, block: Block) -> bool {
    !peer.am_choking
        || (peer.caps.fast
            && peer.allowed_out.contains(&block.piece)
            && peer.fast_credit >= u64::from(block.len))
}

/// Says that a request is not answered, to a peer that understands it.
pub(super) fn reject(now: Instant, peer: &mut Peer, block: Block, out: &mut Out) {
    if peer.caps.fast {
        peer.last_sent = now;
        out.push(Action::Send { peer: peer.key, message: Message::Reject(block) });
    }
}
