//! What became of whole pieces: good, bad, gone.

use super::{Torrent, suspects::Blame, upload::reject};
use crate::out::{Action, BlockDigest, DropReason, Out, PeerKey};
use proto::{
    time::Instant,
    wire::{Extension, Message},
};

/// Bad pieces that a peer had a part in, after which it is dropped though nothing is proven.
const MAX_BAD_PIECES: u32 = 6;

/// And only if less than so many times their bytes came from it in all.
const GOOD_RATIO: u64 = 8;

impl Torrent {
    pub(super) fn on_piece_done(&mut self, now: Instant, piece: u32, digests: &[BlockDigest], out: &mut Out) {
        for liar in self.suspects.good(piece, digests) {
            self.ban_liar(now, liar, out);
        }
        let wanted = self.picker.wants(piece);
        if !self.picker.done(piece) {
            return;
        }
        self.chores.refill |= self.picker.lets_on();
        self.have.set(piece);
        self.have_bytes += u64::from(self.config.layout.piece_len(piece));
        for peer in self.peers.iter_mut() {
            // Who has everything does not care.
            if !peer.holds.is_full() {
                peer.last_sent = now;
                out.push(Action::Send { peer: peer.key, message: Message::Have(piece) });
            }
            if wanted && peer.holds.has(piece) {
                peer.interesting = peer.interesting.saturating_sub(1);
                if peer.interesting == 0 && peer.am_interested {
                    peer.am_interested = false;
                    peer.last_sent = now;
                    out.push(Action::Send { peer: peer.key, message: Message::NotInterested });
                }
            }
        }
        self.check_completed(now, out);
    }

    /// Says it once when everything wanted is here, and lets go of those who can give nothing and want nothing.
    pub(super) fn check_completed(&mut self, now: Instant, out: &mut Out) {
        if self.picker.missing_pieces() > 0 || self.completed {
            return;
        }
        self.completed = true;
        out.push(Action::Completed);
        for key in self.peers.keys() {
            self.drop_if_both_complete(now, key, out);
        }
    }

    pub(super) fn on_piece_bad(&mut self, now: Instant, piece: u32, digests: &[BlockDigest], out: &mut Out) {
        let bytes = u64::from(self.config.layout.piece_len(piece));
        self.totals.corrupt += bytes;
        let mut senders = self.picker.senders(piece).to_vec();
        let blame = self.suspects.bad(piece, digests, &senders);
        self.picker.lost(piece, true);
        self.chores.refill = true;
        match blame {
            Blame::Proven(liar) => self.ban_liar(now, liar, out),
            Blame::Nobody => {}
            Blame::Open => {
                out.push(Action::WantDigests { piece });
                senders.sort_unstable();
                senders.dedup();
                senders.into_iter().for_each(|key| self.suspect(now, key, bytes, out));
            }
        }
    }

    /// A peer had a part in a bad piece.
    fn suspect(&mut self, now: Instant, key: PeerKey, bytes: u64, out: &mut Out) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.bad_pieces += 1;
        let bad = u64::from(peer.bad_pieces) * bytes;
        if peer.bad_pieces >= MAX_BAD_PIECES && bad * GOOD_RATIO > peer.downloaded {
            self.drop_peer(now, key, DropReason::Corrupt, out);
        }
    }

    /// It is proven that a peer sent bad data, connected still or not.
    fn ban_liar(&mut self, now: Instant, key: PeerKey, out: &mut Out) {
        let connected = self.peers.get(key).map(|peer| (peer.listens.unwrap_or(peer.addr), peer.id));
        let left = || self.left.iter().find(|(left, ..)| *left == key).map(|(_, addr, id)| (*addr, *id));
        let Some((addr, id)) = connected.or_else(left) else { return };
        self.drop_peer(now, key, DropReason::Corrupt, out);
        self.candidates.ban_peer(addr, id);
        if !addr.ip().is_loopback() {
            self.ban(now, addr.ip(), out);
        }
    }

    /// A verified piece cannot be read any more.
    pub(super) fn on_piece_gone(&mut self, now: Instant, piece: u32, out: &mut Out) {
        if !self.have.clear(piece) {
            return;
        }
        self.have_bytes -= u64::from(self.config.layout.piece_len(piece));
        self.show_everything(now, out);
        self.picker.gone(piece);
        let wanted = self.picker.wants(piece);
        self.completed &= !wanted;
        for peer in self.peers.iter_mut() {
            if peer.ids.lt_donthave.is_some() {
                let message = Message::Ext(Box::new(Extension::DontHave(piece)));
                out.push(Action::Send { peer: peer.key, message });
            }
            for block in std::mem::take(&mut peer.uploads) {
                if block.piece == piece {
                    reject(now, peer, block, out);
                } else {
                    peer.uploads.push_back(block);
                }
            }
            peer.interesting += u32::from(wanted && peer.holds.has(piece));
        }
        self.update_all_interest(now, out);
        self.chores.refill = true;
        self.chores.dial = true;
    }
}
