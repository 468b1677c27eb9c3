//! Messages to bytes and back (BEP 3, 5, 6, 10, 52). No state: whoever reads the socket keeps the bytes.
//!
//! A length prefix is believed only after it was held against what its kind of message can be, so a peer cannot make
//! us wait for, or set memory aside for, more than [`Limits`] allows.

use super::{
    ExtIds, Extension, HashRange, MAX_HASHES, Message, WireError,
    hashes::{MAX_UNCLES, RANGE_LEN},
};
use crate::{
    layout::{BLOCK, Block},
    metainfo::v2::HASH_LEN,
};
use bytes::Bytes;

/// What is accepted from one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many pieces the torrent has: the length of a bitfield. 0 while that is unknown (a magnet link).
    pub pieces: u32,
    /// The longest payload of an extension message in bytes.
    pub max_ext: usize,
    /// The longest payload of a `piece` message in bytes, at most [`Limits::MAX_BLOCK`].
    pub max_block: u32,
}

impl Limits {
    /// The longest block that may ever be allowed: what the largest requests in the wild ask for.
    pub const MAX_BLOCK: u32 = 128 * 1024;

    /// The longest payload of an extension message by default: a metadata block of 16 KiB with its dictionary, or
    /// peer exchange from a client that knows no measure.
    pub const MAX_EXT: usize = 32 * 1024;

    /// The longest bitfield in bytes while the number of pieces is unknown: two million pieces.
    pub const MAX_BITFIELD: u32 = 256 * 1024;

    /// The longest message of an unknown kind in bytes.
    pub const MAX_IGNORED: u32 = 32 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self { pieces: 0, max_ext: Self::MAX_EXT, max_block: BLOCK }
    }
}

/// What the received bytes start with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// At least this many bytes, counted from the start of the slice, are needed to go on.
    Need(usize),
    /// A whole message.
    Message {
        /// What it says.
        message: Message,
        /// How many bytes of the slice it took.
        used: usize,
    },
    /// The 13-byte head of a `piece` message: the block's payload follows the used bytes.
    Piece {
        /// Which block; `block.len` is the length of the payload, at least 1.
        block: Block,
        /// How many bytes of the slice the head took.
        used: usize,
    },
    /// A whole message of a kind that we do not know: pass over it.
    Ignored {
        /// How many bytes of the slice it took.
        used: usize,
    },
}

mod id {
    pub(super) const CHOKE: u8 = 0;
    pub(super) const UNCHOKE: u8 = 1;
    pub(super) const INTERESTED: u8 = 2;
    pub(super) const NOT_INTERESTED: u8 = 3;
    pub(super) const HAVE: u8 = 4;
    pub(super) const BITFIELD: u8 = 5;
    pub(super) const REQUEST: u8 = 6;
    pub(super) const PIECE: u8 = 7;
    pub(super) const CANCEL: u8 = 8;
    pub(super) const PORT: u8 = 9;
    pub(super) const SUGGEST: u8 = 13;
    pub(super) const HAVE_ALL: u8 = 14;
    pub(super) const HAVE_NONE: u8 = 15;
    pub(super) const REJECT: u8 = 16;
    pub(super) const ALLOWED_FAST: u8 = 17;
    pub(super) const EXTENDED: u8 = 20;
    pub(super) const HASH_REQUEST: u8 = 21;
    pub(super) const HASHES: u8 = 22;
    pub(super) const HASH_REJECT: u8 = 23;
}

/// Bytes of the length prefix.
const PREFIX: usize = 4;
/// Length prefix, id, piece and offset.
const PIECE_HEAD: usize = 13;

/// Reads the first message of `bytes`. `ids` are the extension ids that we told this peer.
///
/// # Errors
/// A [`WireError`] is the peer's violation; nothing after it can be read.
pub fn next(bytes: &[u8], limits: &Limits, ids: &ExtIds) -> Result<Next, WireError> {
    let Some((prefix, body)) = bytes.split_first_chunk::<PREFIX>() else { return Ok(Next::Need(PREFIX)) };
    let len = u32::from_be_bytes(*prefix);
    if len == 0 {
        return Ok(Next::Message { message: Message::KeepAlive, used: PREFIX });
    }
    let Some(&kind) = body.first() else { return Ok(Next::Need(PREFIX + 1)) };
    let (min, max) = allowed(kind, limits);
    if !(min..=max).contains(&len) {
        return Err(WireError::Length { id: kind, len, min, max });
    }
    if kind == id::PIECE {
        return Ok(match body.get(1..9).and_then(pair) {
            Some((piece, begin)) => {
                Next::Piece { block: Block { piece, begin, len: len - 9 }, used: PIECE_HEAD }
            }
            None => Next::Need(PIECE_HEAD),
        });
    }
    let used = PREFIX + len as usize;
    let Some(payload) = bytes.get(PREFIX + 1..used) else { return Ok(Next::Need(used)) };
    Ok(match decode(kind, payload, ids)? {
        Some(message) => Next::Message { message, used },
        None => Next::Ignored { used },
    })
}

/// The length of a message that names hashes, its id included.
const HASHES_MIN: u32 = 1 + RANGE_LEN as u32;

/// The shortest and the longest length that a message of a kind may announce, its id included.
fn allowed(kind: u8, limits: &Limits) -> (u32, u32) {
    match kind {
        id::CHOKE | id::UNCHOKE | id::INTERESTED | id::NOT_INTERESTED | id::HAVE_ALL | id::HAVE_NONE => {
            (1, 1)
        }
        id::HAVE | id::SUGGEST | id::ALLOWED_FAST => (5, 5),
        id::REQUEST | id::CANCEL | id::REJECT => (13, 13),
        id::PORT => (3, 3),
        id::BITFIELD if limits.pieces == 0 => (1, 1 + Limits::MAX_BITFIELD),
        id::BITFIELD => (1 + limits.pieces.div_ceil(8), 1 + limits.pieces.div_ceil(8)),
        id::PIECE => (10, 9 + limits.max_block.min(Limits::MAX_BLOCK)),
        id::HASH_REQUEST | id::HASH_REJECT => (HASHES_MIN, HASHES_MIN),
        id::HASHES => (HASHES_MIN, HASHES_MIN + (MAX_HASHES + MAX_UNCLES) * HASH_LEN as u32),
        id::EXTENDED => (2, u32::try_from(limits.max_ext).unwrap_or(u32::MAX).saturating_add(2)),
        _ => (1, Limits::MAX_IGNORED),
    }
}

/// The message of a kind, or `None` for a kind that we do not know. The payload's length was checked.
fn decode(kind: u8, payload: &[u8], ids: &ExtIds) -> Result<Option<Message>, WireError> {
    let index = || payload.first_chunk().map(|b| u32::from_be_bytes(*b));
    Ok(match kind {
        id::CHOKE => Some(Message::Choke),
        id::UNCHOKE => Some(Message::Unchoke),
        id::INTERESTED => Some(Message::Interested),
        id::NOT_INTERESTED => Some(Message::NotInterested),
        id::HAVE => index().map(Message::Have),
        id::BITFIELD => Some(Message::Bitfield(Bytes::copy_from_slice(payload))),
        id::REQUEST => block(payload).map(Message::Request),
        id::CANCEL => block(payload).map(Message::Cancel),
        id::PORT => payload.first_chunk().map(|b| Message::Port(u16::from_be_bytes(*b))),
        id::SUGGEST => index().map(Message::Suggest),
        id::HAVE_ALL => Some(Message::HaveAll),
        id::HAVE_NONE => Some(Message::HaveNone),
        id::REJECT => block(payload).map(Message::Reject),
        id::ALLOWED_FAST => index().map(Message::AllowedFast),
        id::HASH_REQUEST => {
            HashRange::decode(payload).map(|(range, _)| Message::HashRequest(Box::new(range)))
        }
        id::HASHES => HashRange::decode(payload)
            .map(|(range, hashes)| Message::Hashes(Box::new(range), Bytes::copy_from_slice(hashes))),
        id::HASH_REJECT => HashRange::decode(payload).map(|(range, _)| Message::HashReject(Box::new(range))),
        id::EXTENDED => match payload.split_first() {
            Some((id, payload)) => Some(Message::Ext(Box::new(Extension::decode(*id, payload, ids)?))),
            None => None,
        },
        _ => None,
    })
}

/// Two numbers from the start of `bytes`.
fn pair(bytes: &[u8]) -> Option<(u32, u32)> {
    let (first, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*first), u32::from_be_bytes(*rest.first_chunk()?)))
}

/// Three numbers from the start of `bytes`, as `request`, `cancel` and `reject` have them.
fn block(bytes: &[u8]) -> Option<Block> {
    let (piece, begin) = pair(bytes)?;
    let len = u32::from_be_bytes(*bytes.get(8..)?.first_chunk()?);
    Some(Block { piece, begin, len })
}

/// Appends a message to `out`. `ids` are the extension ids that the remote end told us; an extension that it did not
/// offer encodes to nothing.
pub fn encode(message: &Message, ids: &ExtIds, out: &mut Vec<u8>) {
    match message {
        Message::KeepAlive => out.extend_from_slice(&[0; PREFIX]),
        Message::Choke => bare(id::CHOKE, out),
        Message::Unchoke => bare(id::UNCHOKE, out),
        Message::Interested => bare(id::INTERESTED, out),
        Message::NotInterested => bare(id::NOT_INTERESTED, out),
        Message::Have(piece) => one(id::HAVE, *piece, out),
        Message::Bitfield(bits) => {
            out.extend_from_slice(&prefix(1 + bits.len()));
            out.push(id::BITFIELD);
            out.extend_from_slice(bits);
        }
        Message::Request(block) => three(id::REQUEST, *block, out),
        Message::Cancel(block) => three(id::CANCEL, *block, out),
        Message::Port(port) => {
            out.extend_from_slice(&prefix(3));
            out.push(id::PORT);
            out.extend_from_slice(&port.to_be_bytes());
        }
        Message::Suggest(piece) => one(id::SUGGEST, *piece, out),
        Message::HaveAll => bare(id::HAVE_ALL, out),
        Message::HaveNone => bare(id::HAVE_NONE, out),
        Message::Reject(block) => three(id::REJECT, *block, out),
        Message::AllowedFast(piece) => one(id::ALLOWED_FAST, *piece, out),
        Message::HashRequest(range) => hashes(id::HASH_REQUEST, range, &[], out),
        Message::Hashes(range, list) => hashes(id::HASHES, range, list, out),
        Message::HashReject(range) => hashes(id::HASH_REJECT, range, &[], out),
        Message::Ext(extension) => extended(extension, ids, out),
    }
}

/// The head of a `piece` message; `block.len` bytes of payload are to follow it.
pub fn piece_head(block: Block) -> [u8; PIECE_HEAD] {
    let mut head = [0; PIECE_HEAD];
    head[..4].copy_from_slice(&block.len.saturating_add(9).to_be_bytes());
    head[4] = id::PIECE;
    head[5..9].copy_from_slice(&block.piece.to_be_bytes());
    head[9..].copy_from_slice(&block.begin.to_be_bytes());
    head
}

/// A length prefix. Nothing that we send comes near the limit of its four bytes.
fn prefix(len: usize) -> [u8; PREFIX] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

fn bare(id: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0, 0, 1, id]);
}

fn one(id: u8, number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0, 0, 5, id]);
    out.extend_from_slice(&number.to_be_bytes());
}

fn three(id: u8, block: Block, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0, 0, 13, id]);
    out.extend_from_slice(&block.piece.to_be_bytes());
    out.extend_from_slice(&block.begin.to_be_bytes());
    out.extend_from_slice(&block.len.to_be_bytes());
}

fn hashes(id: u8, range: &HashRange, list: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&prefix(1 + RANGE_LEN + list.len()));
    out.push(id);
    range.encode(out);
    out.extend_from_slice(list);
}

fn extended(extension: &Extension, ids: &ExtIds, out: &mut Vec<u8>) {
    let Some(id) = extension.id(ids) else { return };
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, id::EXTENDED, id]);
    extension.encode(out);
    let len = out.len() - start - PREFIX;
    out[start..start + PREFIX].copy_from_slice(&prefix(len));
}

#[cfg(test)]
mod tests;
