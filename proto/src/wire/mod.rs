//! The peer wire: handshake, messages, the fast extension and the extension protocol (BEP 3, 6, 10), and the hashes of version 2 (BEP 52).

mod client;
mod codec;
mod ext;
mod handshake;
mod hashes;

pub use client::client_name;
pub use codec::{Limits, Next, encode, next, piece_head};
pub use ext::{
    ExtHandshake, ExtIds, Extension, Holepunch, HolepunchError, LOCAL_IDS, MAX_PEX_PEERS, METADATA_BLOCK,
    Metadata, Pex, PexPeer, pex_flags,
};
pub use handshake::{Caps, HANDSHAKE_LEN, Handshake, PROTOCOL};
pub use hashes::{HashRange, MAX_HASHES};

use crate::layout::Block;
use bytes::Bytes;

/// A peer broke the protocol of the wire: the connection is to be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The first bytes are not those of a BitTorrent handshake.
    #[error("not a BitTorrent handshake")]
    Protocol,
    /// A message is longer or shorter than its kind can be.
    #[error("message {id} of {len} bytes, must be {min} to {max}")]
    Length {
        /// The message's id.
        id: u8,
        /// The length that its prefix announced, id included, in bytes.
        len: u32,
        /// The shortest length allowed.
        min: u32,
        /// The longest length allowed.
        max: u32,
    },
    /// The payload of an extension message makes no sense.
    #[error("extension {name}: {what}")]
    Extension {
        /// The extension's name.
        name: &'static str,
        /// What is wrong.
        what: &'static str,
    },
}

/// A message of the peer wire, but `piece`: payload never travels through here (see [`Block`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Four zero bytes.
    KeepAlive,
    /// No more requests are answered.
    Choke,
    /// Requests are answered.
    Unchoke,
    /// The sender wants something of ours.
    Interested,
    /// The sender wants nothing of ours.
    NotInterested,
    /// The sender has a piece.
    Have(u32),
    /// What the sender has, as received; the engine checks it against the torrent.
    Bitfield(Bytes),
    /// The sender asks for a block.
    Request(Block),
    /// The sender no longer wants a block.
    Cancel(Block),
    /// The sender's DHT port (BEP 5).
    Port(u16),
    /// BEP 6: the sender would like us to fetch this piece from it.
    Suggest(u32),
    /// BEP 6: in place of a full bitfield.
    HaveAll,
    /// BEP 6: in place of an empty bitfield.
    HaveNone,
    /// BEP 6: a request will not be answered.
    Reject(Block),
    /// BEP 6: this piece may be requested while choked.
    AllowedFast(u32),
    /// BEP 52: the sender asks for hashes of a file's tree.
    HashRequest(Box<HashRange>),
    /// BEP 52: the hashes asked for, then their uncles, 32 bytes each.
    Hashes(Box<HashRange>, Bytes),
    /// BEP 52: a `hash request` will not be answered.
    HashReject(Box<HashRange>),
    /// BEP 10: a message of an extension, already told apart.
    Ext(Box<Extension>),
}
