//! The peer wire: handshake, messages, the fast extension and the extension protocol (BEP 3, 6, 10).

mod ext;

pub use ext::{ExtHandshake, ExtIds, Extension, RawExt};

use crate::layout::Block;
use bytes::Bytes;

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
    /// BEP 10: a message of an extension, already told apart.
    Ext(Box<Extension>),
}
