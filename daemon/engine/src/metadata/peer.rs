//! A connection made before the torrent is known, and what its peer said meanwhile.

use crate::{
    out::{Caps, Event, PeerKey},
    peers::pex,
};
use bytes::Bytes;
use proto::{
    id::PeerId,
    time::Instant,
    wire::{ExtHandshake, Extension, Message},
};
use std::net::SocketAddr;

/// `have` messages kept per peer; a peer that gets so many pieces meanwhile had better say so in a bitfield.
const MAX_HAVES: usize = 4_096;

/// Allowed-fast messages kept per peer.
const MAX_ALLOWED: usize = 32;

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) addr: SocketAddr,
    pub(super) outgoing: bool,
    pub(super) id: PeerId,
    pub(super) caps: Caps,
    pub(super) shake: Option<ExtHandshake>,
    /// The size of the metadata that it offers.
    pub(super) size: Option<u32>,
    /// Requests under way.
    pub(super) asked: u32,
    /// When an answer last came, or the first request went out.
    pub(super) last_answer: Instant,
    pub(super) rest_until: Instant,
    pub(super) last_heard: Instant,
    pub(super) last_sent: Instant,
    pex_heard: Option<Instant>,
    holds: Option<Holds>,
    haves: Vec<u32>,
    allowed: Vec<u32>,
    unchokes: bool,
    interested: bool,
}

#[derive(Debug)]
enum Holds {
    Bits(Bytes),
    All,
    None,
}

impl Peer {
    pub(super) fn new(now: Instant, addr: SocketAddr, outgoing: bool, id: PeerId, caps: Caps) -> Self {
        Self {
            addr,
            outgoing,
            id,
            caps,
            shake: None,
            size: None,
            asked: 0,
            last_answer: now,
            rest_until: Instant::START,
            last_heard: now,
            last_sent: now,
            pex_heard: None,
            holds: None,
            haves: Vec::new(),
            allowed: Vec::new(),
            unchokes: false,
            interested: false,
        }
    }

    /// Where it can be dialled.
    pub(super) fn listens(&self) -> SocketAddr {
        let port = self.shake.as_ref().and_then(|shake| shake.port).filter(|_| !self.outgoing);
        SocketAddr::new(self.addr.ip().to_canonical(), port.unwrap_or(self.addr.port()))
    }

    /// Keeps what the peer says of its pieces. An error is its violation.
    pub(super) fn note(&mut self, message: Message) -> Result<(), &'static str> {
        let holds = match message {
            Message::Bitfield(bits) => Holds::Bits(bits),
            Message::HaveAll if self.caps.fast => Holds::All,
            Message::HaveNone if self.caps.fast => Holds::None,
            Message::HaveAll | Message::HaveNone => return Err("fast extension without agreement"),
            other => return self.note_later(&other),
        };
        self.holds = Some(holds);
        Ok(())
    }

    fn note_later(&mut self, message: &Message) -> Result<(), &'static str> {
        match *message {
            Message::Have(_) if self.haves.len() == MAX_HAVES => return Err("too many pieces at once"),
            Message::Have(piece) => self.haves.push(piece),
            Message::AllowedFast(piece) if self.allowed.len() < MAX_ALLOWED => self.allowed.push(piece),
            Message::Choke => self.unchokes = false,
            Message::Unchoke => self.unchokes = true,
            Message::Interested => self.interested = true,
            Message::NotInterested => self.interested = false,
            _ => {}
        }
        Ok(())
    }

    /// Whether it may tell of other peers now.
    pub(super) fn hear_pex(&mut self, now: Instant) -> bool {
        let early = self.pex_heard.is_some_and(|last| now.since(last) + pex::TOLERANCE < pex::INTERVAL);
        if !early {
            self.pex_heard = Some(now);
        }
        !early
    }

    /// What the torrent that follows is to be told of this connection.
    pub(super) fn hand_over(self, key: PeerKey, events: &mut Vec<Event>) {
        let Self { addr, outgoing, id, caps, .. } = self;
        events.push(Event::Adopted { peer: key, addr, outgoing, id, caps });
        let holds = self.holds.map(|holds| match holds {
            Holds::Bits(bits) => Message::Bitfield(bits),
            Holds::All => Message::HaveAll,
            Holds::None => Message::HaveNone,
        });
        let shake = self.shake.map(|shake| Message::Ext(Box::new(Extension::Handshake(shake))));
        let messages = holds
            .into_iter()
            .chain(self.haves.into_iter().map(Message::Have))
            .chain(shake)
            .chain(self.allowed.into_iter().map(Message::AllowedFast))
            .chain(self.unchokes.then_some(Message::Unchoke))
            .chain(self.interested.then_some(Message::Interested));
        events.extend(messages.map(|message| Event::Message { peer: key, message }));
    }
}
