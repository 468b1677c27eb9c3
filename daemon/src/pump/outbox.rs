//! From messages and blocks to the socket.
//!
//! Control messages gather in one buffer; blocks wait in the buffers that storage read them into. One `writev` takes both,
//! so that a wake-up costs one system call however many messages it made.

use crate::storage::Buf;
use proto::{
    layout::Block,
    wire::{ExtIds, Message, encode, piece_head},
};
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
};

/// Control bytes that may wait for a peer that does not read. The largest honest burst is a full window of
/// requests (17 bytes each, some thousands) and a bitfield (a few hundred KiB at most).
pub(crate) const MAX_CONTROL: usize = 2 << 20;

/// Length of a `piece` message before its payload (BEP 3).
const HEAD: usize = 13;

/// Buffers larger than this are given back once they are empty.
const KEEP_CONTROL: usize = 16 << 10;

/// Blocks that one `writev` takes: twice as many slices stay far below the system's limit of 1024.
const MAX_BLOCKS: usize = 64;

/// A `piece` message: its head, and its payload as read from storage.
struct Piece {
    head: [u8; HEAD],
    data: Buf,
    len: usize,
}

/// The sending half of one connection.
#[derive(Default)]
pub(crate) struct Outbox {
    /// Encoded messages not yet begun, and those under way (from `control_sent` on).
    control: Vec<u8>,
    control_sent: usize,
    pieces: VecDeque<Piece>,
    /// Bytes of the first of `pieces`, head and payload, that are sent.
    piece_sent: usize,
    /// Bytes of payload in `pieces` that are not sent yet.
    payload: usize,
    ids: ExtIds,
}

/// What a write moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wrote {
    /// Bytes in all.
    pub(crate) bytes: usize,
    /// Of these, payload.
    pub(crate) payload: usize,
}

impl Outbox {
    /// The peer's extension ids, from its handshake.
    pub(crate) fn set_ids(&mut self, ids: ExtIds) {
        self.ids = ids;
    }

    /// Queues a message. False if the peer has let too much pile up.
    pub(crate) fn message(&mut self, message: &Message) -> bool {
        encode(message, &self.ids, &mut self.control);
        self.control.len() - self.control_sent <= MAX_CONTROL
    }

    /// Queues a block with its bytes, the first `block.len` of `data`.
    pub(crate) fn block(&mut self, block: Block, data: Buf) {
        let len = block.len as usize;
        self.payload += len;
        self.pieces.push_back(Piece { head: piece_head(block), data, len });
    }

    /// Whether there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.pieces.is_empty()
    }

    /// Bytes of payload waiting.
    pub(crate) fn payload(&self) -> usize {
        self.payload
    }

    /// Writes as much as the socket takes. `write` is one `writev`.
    pub(crate) fn write(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<Wrote> {
        // A `piece` message that has begun must end before a control message may follow.
        let begun = self.piece_sent > 0;
        let mut iov = Vec::with_capacity(2 * MAX_BLOCKS + 1);
        let control = &self.control[self.control_sent..];
        let control_len = control.len();
        if !begun && control_len > 0 {
            iov.push(IoSlice::new(control));
        }
        let blocks = if begun && control_len > 0 { 1 } else { MAX_BLOCKS };
        let mut skip = self.piece_sent;
        for piece in self.pieces.iter().take(blocks) {
            for part in [&piece.head[..], &piece.data[..piece.len]] {
                if skip < part.len() {
                    iov.push(IoSlice::new(&part[skip..]));
                }
                skip = skip.saturating_sub(part.len());
            }
        }
        if begun && control_len > 0 {
            iov.push(IoSlice::new(control));
        }
        let bytes = write(&iov)?;
        drop(iov);
        let mut left = bytes;
        if !begun {
            left -= self.control_done(left.min(control_len));
        }
        let payload = self.pieces_done(&mut left, blocks);
        if begun {
            self.control_done(left);
        }
        Ok(Wrote { bytes, payload })
    }

    fn control_done(&mut self, bytes: usize) -> usize {
        self.control_sent += bytes;
        if self.control_sent >= self.control.len() {
            self.control.clear();
            self.control.shrink_to(KEEP_CONTROL);
            self.control_sent = 0;
        }
        bytes
    }

    /// Marks up to `left` bytes of the first `most` pieces as sent and takes them off `left`; returns how many of them were
    /// payload.
    fn pieces_done(&mut self, left: &mut usize, most: usize) -> usize {
        let before = self.payload;
        for _ in 0..most {
            let Some(piece) = self.pieces.front().filter(|_| *left > 0) else { break };
            let total = HEAD + piece.len;
            let part = (*left).min(total - self.piece_sent);
            let payload_sent = |sent: usize| sent.saturating_sub(HEAD);
            self.payload -= payload_sent(self.piece_sent + part) - payload_sent(self.piece_sent);
            self.piece_sent += part;
            *left -= part;
            if self.piece_sent == total {
                self.pieces.pop_front();
                self.piece_sent = 0;
            }
        }
        before - self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proto::layout::BLOCK;

    /// What the wire should carry, whatever the socket takes at a time.
    fn expected(messages: &[Message], blocks: &[Block], data: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        messages.iter().for_each(|m| encode(m, &ExtIds::default(), &mut all));
        let mut at = 0;
        for block in blocks {
            all.extend(piece_head(*block));
            all.extend(&data[at..at + block.len as usize]);
            at += block.len as usize;
        }
        all
    }

    proptest! {
        #[test]
        fn short_writes_lose_and_reorder_nothing(takes in proptest::collection::vec(1usize..9_000, 1..40)) {
            let blocks = vec![Block { piece: 1, begin: 0, len: BLOCK }, Block { piece: 1, begin: BLOCK, len: 100 }];
            let data: Vec<u8> = (0..BLOCK + 100).map(|i| i as u8).collect();
            let messages = [Message::Unchoke, Message::Have(7)];
            let mut outbox = Outbox::default();
            messages.iter().for_each(|m| assert!(outbox.message(m)));
            let pool = crate::storage::Pool::new(2 * BLOCK as usize);
            let mut at = 0;
            for block in &blocks {
                let mut buf = pool.take().unwrap();
                buf[..block.len as usize].copy_from_slice(&data[at..at + block.len as usize]);
                at += block.len as usize;
                outbox.block(*block, buf);
            }
            let mut wire = Vec::<u8>::new();
            let mut payload = 0;
            let mut takes = takes.into_iter().cycle();
            while !outbox.is_empty() {
                let mut room = takes.next().unwrap();
                let wrote = outbox.write(|iov| {
                    let before = wire.len();
                    for part in iov {
                        let take = room.min(part.len());
                        wire.extend(&part[..take]);
                        room -= take;
                    }
                    Ok(wire.len() - before)
                }).unwrap();
                payload += wrote.payload;
            }
            prop_assert_eq!(payload, data.len());
            prop_assert_eq!(wire, expected(&messages, &blocks, &data));
            prop_assert_eq!(outbox.payload(), 0);
        }
    }
}
