//! Carries out what a machine wants.

use crate::{
    log::What,
    node::{End, Kept, other},
    world::{Ev, World, number},
};
use engine::out::{Action, BlockDigest, Event, Out, PeerKey};
use proto::{
    layout::{BLOCK, Block},
    wire::{Caps, Message},
};
use std::net::SocketAddr;

/// What peers of the laboratory agree on: BEP 6, and no extensions, since the tracker does the finding.
const CAPS: Caps = Caps { fast: true, extended: false, dht: false };

impl World {
    pub(crate) fn act(&mut self, at: u32, out: &mut Out) {
        for action in out.drain(..) {
            match action {
                Action::Send { peer, message } => self.send(at, peer, message),
                Action::Drop { peer, .. } => self.hang_up(peer),
                Action::Dial { addr } => {
                    let (stay, delay) = (self.nodes[at as usize].stay, self.nodes[at as usize].delay);
                    // There and back, for the connection, and once more for the handshake.
                    self.queue.push(self.ms + delay * 6, Ev::Dial(at, stay, addr));
                }
                Action::Keep { block } => self.keep(at, block),
                Action::Upload { peer } => self.wants_to_send(peer),
                Action::WantDigests { piece } => {
                    self.nodes[at as usize].digests.insert(piece);
                }
                Action::Completed => self.completed(at),
                Action::Discard
                | Action::Metadata { .. }
                | Action::SeenAs { .. }
                | Action::ExtIds { .. }
                | Action::DhtNode { .. } => {}
            }
        }
        self.check_slots(at);
    }

    fn send(&mut self, at: u32, key: PeerKey, message: Message) {
        if !self.check_open(key) {
            return;
        }
        self.log.note(self.ms, at, What::Say, u64::from(key.0), number(&message));
        let miser = self.nodes[at as usize].manners.free_rider;
        let end = &mut self.ends[key.0 as usize];
        match &message {
            // A free rider's machine is as honest as all; its messages are not.
            Message::Unchoke | Message::AllowedFast(_) if miser => return,
            Message::Unchoke => {
                self.nodes[at as usize].unchoked += u32::from(!end.unchoked);
                end.unchoked = true;
            }
            Message::Choke => {
                self.nodes[at as usize].unchoked -= u32::from(end.unchoked);
                end.unchoked = false;
            }
            Message::Interested => end.interested = true,
            Message::NotInterested => end.interested = false,
            Message::AllowedFast(piece) => end.allowed.push(*piece),
            Message::Request(block) => self.asks(at, key, *block),
            Message::Cancel(block) => self.answered(key, *block),
            Message::Have(piece) => self.check_claim(at, *piece),
            Message::Bitfield(bits) => self.check_claims(at, bits),
            _ => {}
        }
        let delay = self.delay(at, self.ends[other(key).0 as usize].owner);
        self.queue.push(self.ms + delay, Ev::Message(other(key), message));
    }

    /// Storage takes a block; the last of a piece is followed by its verdict.
    fn keep(&mut self, at: u32, block: Block) {
        let first = block.piece * self.blocks_per_piece;
        let blocks = self.layout.blocks_in(block.piece);
        let node = &mut self.nodes[at as usize];
        let kept = &mut node.kept[(first + block.begin / BLOCK) as usize];
        if *kept != Kept::No {
            return self.breaks(format!("peer {at} keeps {block:?} twice"));
        }
        *kept = self.arriving;
        let all = &node.kept[first as usize..(first + blocks) as usize];
        if all.iter().all(|kept| *kept != Kept::No) {
            let (stay, disk) = (node.stay, node.disk);
            self.queue.push(self.ms + disk.max(1), Ev::Piece(at, stay, block.piece));
        }
    }

    /// A piece is hashed and written, or found bad.
    pub(crate) fn piece(&mut self, at: u32, stay: u32, piece: u32) {
        let (first, blocks) = (piece * self.blocks_per_piece, self.layout.blocks_in(piece));
        let node = &mut self.nodes[at as usize];
        if node.stay != stay || node.torrent.is_none() {
            return;
        }
        let kept = &mut node.kept[first as usize..(first + blocks) as usize];
        let good = kept.iter().all(|kept| *kept == Kept::Good);
        // Good data has one digest; what is bad is bad in a way of its own.
        let own = self.ms << 20 | u64::from(piece);
        let digest = |(index, kept): (u32, &Kept)| BlockDigest {
            index,
            digest: if *kept == Kept::Good { 0 } else { own + u64::from(index) + 1 },
        };
        let digests: Vec<BlockDigest> = (0..).zip(&*kept).map(digest).collect();
        if !good {
            kept.fill(Kept::No);
            self.log.note(self.ms, at, What::Bad, u64::from(piece), 0);
            return self.feed(at, Event::PieceBad { piece, digests });
        }
        let wanted = node.digests.remove(&piece);
        node.held.set(piece);
        node.pieces_at.push(self.ms);
        self.copied(piece);
        self.log.note(self.ms, at, What::Piece, u64::from(piece), 0);
        self.feed(at, Event::PieceDone { piece, digests: if wanted { digests } else { Vec::new() } });
    }

    /// A dial reaches its goal, if that is still there.
    pub(crate) fn dial(&mut self, from: u32, stay: u32, addr: SocketAddr) {
        let here = |at: u32, stay: u32| {
            let node = &self.nodes[at as usize];
            node.stay == stay && node.torrent.is_some()
        };
        if !here(from, stay) {
            return;
        }
        let Some(to) = self.at(addr).filter(|(to, stay)| here(*to, *stay)).map(|(to, _)| to) else {
            return self.feed(from, Event::DialFailed { addr });
        };
        let Ok(next) = u32::try_from(self.ends.len()) else { return };
        let (ours, theirs) = (PeerKey(next), PeerKey(next + 1));
        self.ends.push(End::new(from));
        self.ends.push(End::new(to));
        self.nodes[from as usize].open.push(ours);
        self.nodes[to as usize].open.push(theirs);
        self.log.note(self.ms, from, What::Connect, u64::from(to), u64::from(next));
        let connected = |key, node: &crate::node::Node, outgoing| Event::Connected {
            peer: key,
            addr: node.addr,
            outgoing,
            id: node.id,
            caps: CAPS,
        };
        let (out, inward) = (
            connected(ours, &self.nodes[to as usize], true),
            connected(theirs, &self.nodes[from as usize], false),
        );
        self.feed(from, out);
        if self.ends[theirs.0 as usize].open {
            self.feed(to, inward);
        }
    }

    /// One end closes; the other hears of it.
    fn hang_up(&mut self, key: PeerKey) {
        if !self.ends[key.0 as usize].open {
            return;
        }
        self.close(key);
        let delay = self.delay(self.ends[key.0 as usize].owner, self.ends[other(key).0 as usize].owner);
        self.queue.push(self.ms + delay, Ev::Closed(other(key)));
    }

    /// The other end has closed.
    pub(crate) fn closed(&mut self, key: PeerKey) {
        if self.ends[key.0 as usize].open {
            self.close(key);
            self.feed(self.ends[key.0 as usize].owner, Event::Closed { peer: key });
        }
    }

    fn close(&mut self, key: PeerKey) {
        self.stop(key);
        let at = self.ends[key.0 as usize].owner;
        self.log.note(self.ms, at, What::Close, u64::from(key.0), 0);
        for block in std::mem::take(&mut self.ends[key.0 as usize].asked) {
            self.unask(at, block);
        }
        let end = &mut self.ends[key.0 as usize];
        end.open = false;
        end.allowed = Vec::new();
        let node = &mut self.nodes[at as usize];
        node.unchoked -= u32::from(std::mem::take(&mut end.unchoked));
        node.open.retain(|open| *open != key);
    }
}
