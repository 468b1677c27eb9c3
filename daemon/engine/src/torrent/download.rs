//! What we ask of peers, and what comes.

use super::{REQUEST_TIMEOUT, Torrent, Why, peer::Peer};
use crate::{
    out::{Action, DropReason, Out, PeerKey},
    picker::{Holdings, Picker, Received},
};
use proto::{
    layout::{BLOCK, Block},
    time::Instant,
    wire::Message,
};
use std::time::Duration;

/// Blocks nobody asked for, after which their sender is dropped: some may cross our cancels, a stream of them is an attack.
const MAX_UNASKED: u32 = 512;

/// How many pieces of these we want and lack.
pub(super) fn interesting(picker: &Picker, holds: &Holdings) -> u32 {
    match holds {
        Holdings::All => picker.missing_pieces(),
        Holdings::Some(bits) => {
            let count = bits.iter().filter(|piece| picker.wants(*piece)).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        }
    }
}

impl Torrent {
    pub(super) fn snub_timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.config.strategy.snub_timeout))
    }

    pub(super) fn on_choke(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.peer_choking = true;
        peer.dry = None;
        self.picker.release(key);
        // With BEP 6 each request is rejected or answered; without it, all are void.
        if !peer.caps.fast {
            for (piece, index) in peer.pipe.drain() {
                self.picker.give_back(self.config.layout.block(piece, index), key);
            }
            self.chores.refill = true;
        }
    }

    pub(super) fn on_unchoke(&mut self, now: Instant, key: PeerKey, out: &mut Out) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.peer_choking = false;
        peer.dry = None;
        self.refill(now, key, out);
    }

    pub(super) fn on_reject(&mut self, now: Instant, key: PeerKey, block: Block) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if peer.peer_choking {
            peer.allowed_in.retain(|piece| *piece != block.piece);
        }
        if peer.pipe.reject(now, block, !peer.peer_choking) {
            self.picker.give_back(block, key);
            self.chores.refill = true;
            if let Some(until) = peer.pipe.resting_until() {
                self.arm(until, Why::Snub);
            }
        }
    }

    pub(super) fn on_received(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.last_heard = now;
        peer.pipe.heard(now);
    }

    /// A whole block came. Answers with exactly one `Keep` or `Discard`.
    pub(super) fn on_block(&mut self, now: Instant, key: PeerKey, block: Block, out: &mut Out) {
        let bytes = u64::from(block.len);
        let fits = self.config.layout.is_block(block);
        let Some(peer) = self.peers.get_mut(key) else {
            self.totals.wasted += bytes;
            out.push(Action::Discard);
            return;
        };
        peer.last_heard = now;
        if !fits || !peer.pipe.receive(now, block) {
            peer.unasked += 1;
            let too_many = peer.unasked > MAX_UNASKED;
            self.totals.wasted += bytes;
            out.push(Action::Discard);
            if !fits || too_many {
                self.drop_peer(now, key, DropReason::Violation("sends blocks that nobody asked for"), out);
            }
            return;
        }
        let mut others = std::mem::take(&mut self.scratch.others);
        match self.picker.receive(block, key, &mut others) {
            Received::Useless => {
                self.totals.wasted += bytes;
                out.push(Action::Discard);
            }
            Received::New { .. } => {
                peer.downloaded += bytes;
                peer.tally_down.now += bytes;
                self.totals.downloaded += bytes;
                self.down.add(now, bytes);
                out.push(Action::Keep { block });
            }
        }
        self.refill(now, key, out);
        for other in others.drain(..) {
            self.cancel(now, other, block, out);
        }
        self.scratch.others = others;
    }

    /// Another peer was faster.
    fn cancel(&mut self, now: Instant, key: PeerKey, block: Block, out: &mut Out) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if peer.pipe.cancel(block) {
            peer.last_sent = now;
            out.push(Action::Send { peer: key, message: Message::Cancel(block) });
            self.refill(now, key, out);
        }
    }

    /// Asks a peer for as much as its pipeline has room for.
    pub(super) fn refill(&mut self, now: Instant, key: PeerKey, out: &mut Out) {
        if !self.running {
            return;
        }
        let Some(peer) = self.peers.get_mut(key) else { return };
        if !peer.am_interested || (peer.peer_choking && peer.allowed_in.is_empty()) {
            return;
        }
        let room = peer.pipe.room(now);
        let endgame = self.picker.in_endgame();
        let dry = peer.dry == Some((self.picker.generation(), endgame)) && self.config.strategy.bbs_plus == 1;
        if room == 0 || dry {
            return;
        }
        let redundant = peer.pipe.redundant_room();
        let mut blocks = std::mem::take(&mut self.scratch.blocks);
        self.picker.pick(&peer.asker(now, self.config.layout.piece_length()), room, redundant, &mut blocks);
        if blocks.len() < room && (!endgame || blocks.len() < redundant) {
            peer.dry = Some((self.picker.generation(), endgame));
        }
        let asked = !blocks.is_empty();
        for block in blocks.drain(..) {
            peer.pipe.ask(now, block);
            out.push(Action::Send { peer: key, message: Message::Request(block) });
        }
        self.scratch.blocks = blocks;
        if asked {
            peer.last_sent = now;
            self.chores.refill |= !endgame && self.picker.in_endgame();
            let patience =
                if self.config.strategy.anti_snubbing { self.snub_timeout() } else { REQUEST_TIMEOUT };
            self.arm(now + patience.min(REQUEST_TIMEOUT), Why::Snub);
        }
    }

    /// Everyone who has room is asked for more; who snubs us comes last, lest it gets back the very block it sits on.
    pub(super) fn refill_all(&mut self, now: Instant, out: &mut Out) {
        for snubbed in [false, true] {
            let keys: Vec<PeerKey> = self
                .peers
                .iter()
                .filter(|peer| peer.pipe.is_snubbed() == snubbed)
                .map(|peer| peer.key)
                .collect();
            keys.into_iter().for_each(|key| self.refill(now, key, out));
        }
    }

    /// Says whether we want something of a peer, if that changed.
    pub(super) fn update_interest(&mut self, now: Instant, key: PeerKey, out: &mut Out) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let wants = peer.interesting > 0;
        if wants == peer.am_interested {
            return;
        }
        peer.am_interested = wants;
        peer.last_sent = now;
        let message = if wants { Message::Interested } else { Message::NotInterested };
        out.push(Action::Send { peer: key, message });
        self.refill(now, key, out);
    }

    pub(super) fn update_all_interest(&mut self, now: Instant, out: &mut Out) {
        for key in self.peers.keys() {
            self.update_interest(now, key, out);
        }
    }

    /// Snubs, requests that are too old, rests that are over. True if there may be work for others.
    pub(super) fn check_requests(&mut self, now: Instant, key: PeerKey, out: &mut Out) {
        let timeout = self.snub_timeout();
        let anti_snubbing = self.config.strategy.anti_snubbing;
        let Some(peer) = self.peers.get_mut(key) else { return };
        let mut back = std::mem::take(&mut self.scratch.back);
        let silent = peer.pipe.waiting_since().is_some_and(|since| now.since(since) >= timeout);
        if anti_snubbing && silent && !peer.peer_choking && !peer.pipe.is_snubbed() {
            peer.pipe.snub(&mut back);
            self.totals.snubs += 1;
        }
        peer.pipe.expire(now, REQUEST_TIMEOUT, &mut back);
        if !back.is_empty() {
            self.picker.release(key);
            self.chores.refill = true;
        }
        let rested = peer.pipe.rested(now);
        for (piece, index) in back.drain(..) {
            let block = self.config.layout.block(piece, index);
            self.picker.give_back(block, key);
            cancel_late(now, peer, block, out);
        }
        self.scratch.back = back;
        if rested {
            self.refill(now, key, out);
        }
    }
}

/// Tells a peer that a block is not awaited any more.
fn cancel_late(now: Instant, peer: &mut Peer, block: Block, out: &mut Out) {
    debug_assert!(block.len <= BLOCK, "we ask for blocks only");
    peer.last_sent = now;
    out.push(Action::Send { peer: peer.key, message: Message::Cancel(block) });
}
