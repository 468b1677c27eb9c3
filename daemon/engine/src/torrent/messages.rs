//! What peers say, checked against the torrent.

use super::{Torrent, download::interesting};
use crate::{
    out::{Action, DropReason, Out, PeerKey},
    picker::Holdings,
};
use bytes::Bytes;
use proto::{
    bitfield::Bitfield,
    layout::Block,
    time::Instant,
    wire::{ExtHandshake, Extension, HashRange, Message},
};
use std::net::SocketAddr;

/// What a broken rule is called.
type Violation = &'static str;

impl Torrent {
    pub(super) fn on_message(&mut self, now: Instant, key: PeerKey, message: Message, out: &mut Out) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.last_heard = now;
        if let Err(what) = self.hear(now, key, message, out) {
            self.drop_peer(now, key, DropReason::Violation(what), out);
        }
    }

    fn hear(&mut self, now: Instant, key: PeerKey, message: Message, out: &mut Out) -> Result<(), Violation> {
        match message {
            Message::KeepAlive => {}
            Message::Choke => self.on_choke(key),
            Message::Unchoke => self.on_unchoke(now, key, out),
            Message::Interested => self.on_interested(key, true, now, out),
            Message::NotInterested => self.on_interested(key, false, now, out),
            Message::Have(piece) => self.on_have(now, key, self.index(piece)?, out),
            Message::Bitfield(bits) => self.on_bitfield(now, key, &bits, out)?,
            Message::Request(block) => self.on_request(now, key, self.range(block)?, out),
            Message::Cancel(block) => self.on_cancel(now, key, self.range(block)?, out),
            Message::Port(port) => self.on_port(key, port, out),
            Message::HashRequest(range) => self.on_hash_request(key, range, out),
            // Never asked for.
            Message::Hashes(..) | Message::HashReject(_) => {}
            Message::Ext(extension) => self.on_extension(now, key, *extension, out)?,
            fast => self.on_fast(now, key, fast, out)?,
        }
        Ok(())
    }

    /// BEP 6; only where both ends agreed on it.
    fn on_fast(
        &mut self,
        now: Instant,
        key: PeerKey,
        message: Message,
        out: &mut Out,
    ) -> Result<(), Violation> {
        if !self.peers.get(key).is_some_and(|peer| peer.caps.fast) {
            return Err("fast extension without agreement");
        }
        match message {
            Message::HaveAll => self.on_holdings(now, key, Holdings::All, out)?,
            Message::HaveNone => {
                let none = Bitfield::none(self.config.layout.pieces());
                self.on_holdings(now, key, Holdings::Some(none), out)?;
            }
            Message::Suggest(piece) => {
                self.index(piece)?;
            }
            Message::AllowedFast(piece) => {
                let piece = self.index(piece)?;
                if let Some(peer) = self.peers.get_mut(key) {
                    peer.allow(piece);
                    peer.dry = None;
                }
                self.refill(now, key, out);
            }
            Message::Reject(block) => self.on_reject(now, key, self.range(block)?),
            _ => {}
        }
        Ok(())
    }

    fn index(&self, piece: u32) -> Result<u32, Violation> {
        if piece < self.config.layout.pieces() { Ok(piece) } else { Err("piece index out of range") }
    }

    fn range(&self, block: Block) -> Result<Block, Violation> {
        if block.len > super::MAX_REQUEST {
            return Err("request too long");
        }
        if self.config.layout.contains(block) { Ok(block) } else { Err("block out of range") }
    }

    fn on_bitfield(
        &mut self,
        now: Instant,
        key: PeerKey,
        bits: &Bytes,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let bits =
            Bitfield::from_wire(bits, self.config.layout.pieces()).map_err(|_| "bitfield does not fit")?;
        let holds = if bits.is_full() { Holdings::All } else { Holdings::Some(bits) };
        self.on_holdings(now, key, holds, out)
    }

    fn on_holdings(
        &mut self,
        now: Instant,
        key: PeerKey,
        holds: Holdings,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let Some(peer) = self.peers.get_mut(key) else { return Ok(()) };
        // Said a second time it counts anew: aria2 may send a `have` before its bitfield.
        let first = !std::mem::replace(&mut peer.told, true);
        self.picker.remove_peer(&peer.holds);
        self.picker.add_peer(&holds);
        peer.interesting = interesting(&self.picker, &holds);
        peer.holds = holds;
        peer.dry = None;
        if !self.drop_if_both_complete(now, key, out) {
            self.allow_fast(now, key, out);
            self.update_interest(now, key, out);
            if first {
                self.show_next(now, key, out);
            }
        }
        Ok(())
    }

    fn on_have(&mut self, now: Instant, key: PeerKey, piece: u32, out: &mut Out) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        // A first `have` stands for an empty bitfield.
        let first = !std::mem::replace(&mut peer.told, true);
        let new = match &mut peer.holds {
            Holdings::All => false,
            Holdings::Some(bits) => bits.set(piece),
        };
        if !new {
            return;
        }
        self.picker.add_one(piece);
        if self.picker.wants(piece) {
            peer.interesting += 1;
            peer.dry = None;
            self.update_interest(now, key, out);
            self.refill(now, key, out);
        } else if !self.drop_if_both_complete(now, key, out) {
            self.passed_on(now, key, piece, out);
            if first {
                self.show_next(now, key, out);
            }
        }
    }

    /// BEP 54: a peer no longer has a piece.
    fn on_dont_have(&mut self, now: Instant, key: PeerKey, piece: u32, out: &mut Out) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if !peer.holds.has(piece) {
            return;
        }
        self.picker.remove_peer(&peer.holds);
        let mut bits = match &peer.holds {
            Holdings::All => Bitfield::all(self.config.layout.pieces()),
            Holdings::Some(bits) => bits.clone(),
        };
        bits.clear(piece);
        peer.holds = Holdings::Some(bits);
        self.picker.add_peer(&peer.holds);
        peer.interesting = interesting(&self.picker, &peer.holds);
        peer.allowed_in.retain(|allowed| *allowed != piece);
        let mut back = Vec::new();
        peer.pipe.cancel_where(|asked| asked == piece, &mut back);
        for (piece, index) in back {
            self.picker.give_back(self.config.layout.block(piece, index), key);
            self.chores.refill = true;
        }
        self.update_interest(now, key, out);
    }

    fn on_port(&mut self, key: PeerKey, port: u16, out: &mut Out) {
        let Some(peer) = self.peers.get(key) else { return };
        if port != 0 && !self.config.private {
            out.push(Action::DhtNode { addr: SocketAddr::new(peer.addr.ip().to_canonical(), port) });
        }
    }

    /// BEP 52: what is known of the files' trees goes to whoever asks; its cost is bounded by [`proto::wire::MAX_HASHES`].
    fn on_hash_request(&self, key: PeerKey, range: Box<HashRange>, out: &mut Out) {
        let served = self.trees.as_ref().and_then(|trees| trees.serve(&range));
        let message = match served {
            Some(hashes) => Message::Hashes(range, Bytes::copy_from_slice(hashes.as_flattened())),
            None => Message::HashReject(range),
        };
        out.push(Action::Send { peer: key, message });
    }

    fn on_extension(
        &mut self,
        now: Instant,
        key: PeerKey,
        extension: Extension,
        out: &mut Out,
    ) -> Result<(), Violation> {
        if !self.peers.get(key).is_some_and(|peer| peer.caps.extended) {
            return Err("extension protocol without agreement");
        }
        match extension {
            Extension::Handshake(shake) => self.on_ext_handshake(now, key, shake, out),
            Extension::DontHave(piece) => self.on_dont_have(now, key, self.index(piece)?, out),
            Extension::Pex(pex) => self.on_pex(now, key, &pex),
            Extension::Metadata(message) => self.on_metadata(now, key, &message, out),
            Extension::Holepunch(_) | Extension::Unknown => {}
        }
        Ok(())
    }

    fn on_ext_handshake(&mut self, now: Instant, key: PeerKey, shake: ExtHandshake, out: &mut Out) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.ids = shake.ids;
        peer.upload_only = shake.upload_only;
        if let Some(client) = shake.client {
            peer.client = Some(client);
        }
        if let Some(reqq) = shake.reqq {
            peer.pipe.set_reqq(reqq);
        }
        out.push(Action::ExtIds { peer: key, ids: shake.ids });
        if let Some(ip) = shake.your_ip {
            out.push(Action::SeenAs { ip: ip.to_canonical(), by: peer.addr.ip().to_canonical() });
        }
        if let Some(port) = shake.port.filter(|_| peer.listens.is_none()) {
            let addr = SocketAddr::new(peer.addr.ip().to_canonical(), port);
            peer.listens = Some(addr);
            self.candidates.listens(now, addr);
        }
        if shake.ids.ut_pex.is_some() && self.offered_ids().ut_pex.is_some() {
            self.arm_exchange(now);
        }
        self.drop_if_both_complete(now, key, out);
    }
}
