//! From socket to messages and blocks.
//!
//! Payload should be copied once only: by the kernel, into the block buffer that storage will keep. So a read is laid out
//! on the guess that the stream is `piece` messages back to back: 13 bytes of head, 16 KiB of payload, 13 bytes of head,
//! and so on. Where the guess holds, a buffer is handed over as it is; where it does not (a `have` came in between, a
//! last block is short), the bytes are fed through the ordinary parser and copied, and the next read is aligned again.

use super::spare::Spare;
use crate::storage::Buf;
use proto::{
    layout::{BLOCK, Block},
    wire::{ExtIds, Limits, Message, Next, WireError, next},
};
use std::io::{self, IoSliceMut};

/// Length of a `piece` message before its payload (BEP 3).
const HEAD: usize = 13;

/// Blocks that one read may take: 512 KiB, past which a larger read saves no measurable time.
pub(crate) const MAX_RUN: usize = 32;

/// What the intake hands on.
pub(crate) trait Sink {
    /// A message that is no `piece`.
    fn message(&mut self, message: Message);
    /// A whole block.
    fn block(&mut self, block: Block, data: Buf);
    /// A block that had to be thrown away, since no buffer was free for it.
    fn lost(&mut self, block: Block);
    /// Payload bytes that arrived, whole blocks or not.
    fn payload(&mut self, bytes: usize);
}

/// Where the stream stands.
enum State {
    /// At a message's start; `Intake::carry` has its first bytes.
    Control,
    /// Inside a block. Without a buffer until payload comes; `None` past that means the payload is skipped.
    Payload { block: Block, buf: Option<Buf>, filled: usize },
}

/// The receiving half of one connection.
pub(crate) struct Intake {
    state: State,
    carry: Vec<u8>,
    limits: Limits,
    ids: ExtIds,
}

impl Intake {
    /// An intake at the start of the messages, after the handshake. `ids` are the extension ids that we offer.
    pub(crate) fn new(limits: Limits, ids: ExtIds) -> Self {
        Self { state: State::Control, carry: Vec::new(), limits, ids }
    }

    /// Replaces the limits, once a magnet's metadata tells how many pieces there are.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// One read laid out for up to `run` blocks. Returns the bytes read; 0 is the end of the stream.
    pub(crate) fn read_blocks(
        &mut self,
        run: usize,
        spare: &mut Spare,
        sink: &mut impl Sink,
        read: impl FnOnce(&mut [IoSliceMut<'_>]) -> io::Result<usize>,
    ) -> Result<usize, ReadError> {
        let mut heads = [[0; HEAD]; MAX_RUN];
        let first_head = HEAD - self.carry.len().min(HEAD - 1);
        let mut bufs: Vec<Buf> = (0..run.min(MAX_RUN)).map_while(|_| spare.take()).collect();
        let head_len = |at: usize| if at == 0 { first_head } else { HEAD };

        let mut iov = Vec::with_capacity(2 * bufs.len() + 1);
        let mut rest = 0;
        if let State::Payload { block, buf, filled } = &mut self.state {
            if buf.is_none() {
                *buf = bufs.pop();
            }
            if let Some(buf) = buf {
                let slice = &mut buf[*filled..block.len as usize];
                rest = slice.len();
                iov.push(IoSliceMut::new(slice));
            }
        }
        for (at, (head, buf)) in heads.iter_mut().zip(bufs.iter_mut()).enumerate() {
            iov.push(IoSliceMut::new(&mut head[..head_len(at)]));
            iov.push(IoSliceMut::new(&mut buf[..]));
        }
        let outcome = read(&mut iov);
        drop(iov);
        let got = match outcome {
            Ok(got) => got,
            Err(error) => {
                spare.give_all(bufs);
                return Err(error.into());
            }
        };

        let mut left = got;
        let direct = left.min(rest);
        if direct > 0 {
            left -= direct;
            self.arrived_in_place(direct, sink);
        }
        for (at, (head, buf)) in heads.iter().zip(bufs).enumerate() {
            let in_head = left.min(head_len(at));
            left -= in_head;
            self.feed(&head[..in_head], spare, sink)?;
            let in_buf = left.min(BLOCK as usize);
            left -= in_buf;
            if in_buf == 0 {
                spare.give(buf);
            } else {
                self.adopt(buf, in_buf, spare, sink)?;
            }
        }
        Ok(got)
    }

    /// Takes bytes from anywhere, copying payload.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        spare: &mut Spare,
        sink: &mut impl Sink,
    ) -> Result<(), WireError> {
        while !bytes.is_empty() {
            let used = match self.state {
                State::Payload { .. } => self.copy_payload(bytes, spare, sink),
                State::Control if self.carry.is_empty() => self.parse(bytes, sink)?,
                State::Control => self.parse_carry(bytes, sink)?,
            };
            bytes = &bytes[used..];
        }
        Ok(())
    }

    /// A block buffer that the kernel filled with `filled` bytes, on the guess that they are payload.
    fn adopt(
        &mut self,
        data: Buf,
        got: usize,
        spare: &mut Spare,
        sink: &mut impl Sink,
    ) -> Result<(), WireError> {
        match &mut self.state {
            State::Payload { block, buf: slot @ None, filled: filled @ 0 } if got <= block.len as usize => {
                *slot = Some(data);
                *filled = got;
                sink.payload(got);
                self.finish_if_whole(sink);
                Ok(())
            }
            _ => {
                let fed = self.feed(&data[..got], spare, sink);
                spare.give(data);
                fed
            }
        }
    }

    /// `got` bytes were read right into the block under way.
    fn arrived_in_place(&mut self, got: usize, sink: &mut impl Sink) {
        if let State::Payload { filled, .. } = &mut self.state {
            *filled += got;
            sink.payload(got);
        }
        self.finish_if_whole(sink);
    }

    fn copy_payload(&mut self, bytes: &[u8], spare: &mut Spare, sink: &mut impl Sink) -> usize {
        let State::Payload { block, buf, filled } = &mut self.state else { return 0 };
        if *filled == 0 && buf.is_none() {
            *buf = spare.take();
        }
        let part = bytes.len().min(block.len as usize - *filled);
        if let Some(buf) = buf {
            buf[*filled..*filled + part].copy_from_slice(&bytes[..part]);
        }
        *filled += part;
        sink.payload(part);
        self.finish_if_whole(sink);
        part
    }

    fn finish_if_whole(&mut self, sink: &mut impl Sink) {
        let State::Payload { block, filled, .. } = &self.state else { return };
        if *filled < block.len as usize {
            return;
        }
        if let State::Payload { block, buf, .. } = std::mem::replace(&mut self.state, State::Control) {
            match buf {
                Some(data) => sink.block(block, data),
                None => sink.lost(block),
            }
        }
    }

    /// Parses one message from the front of `bytes`; returns how many bytes are done with. What is no whole message goes
    /// into the carry.
    fn parse(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, WireError> {
        match next(bytes, &self.limits, &self.ids)? {
            Next::Need(_) => {
                self.carry.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            Next::Message { message, used } => {
                sink.message(message);
                Ok(used)
            }
            Next::Ignored { used } => Ok(used),
            Next::Piece { block, used } => {
                self.begin(block);
                Ok(used)
            }
        }
    }

    /// Completes the message in the carry with as few of `bytes` as it needs.
    fn parse_carry(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, WireError> {
        let mut used = 0;
        loop {
            match next(&self.carry, &self.limits, &self.ids)? {
                Next::Need(total) => {
                    let part = total.saturating_sub(self.carry.len()).clamp(1, usize::MAX);
                    let part = part.min(bytes.len() - used);
                    if part == 0 {
                        return Ok(used);
                    }
                    self.carry.extend_from_slice(&bytes[used..used + part]);
                    used += part;
                }
                Next::Message { message, .. } => {
                    self.empty_carry();
                    sink.message(message);
                    return Ok(used);
                }
                Next::Ignored { .. } => {
                    self.empty_carry();
                    return Ok(used);
                }
                Next::Piece { block, .. } => {
                    self.empty_carry();
                    self.begin(block);
                    return Ok(used);
                }
            }
        }
    }

    fn begin(&mut self, block: Block) {
        self.state = State::Payload { block, buf: None, filled: 0 };
    }

    /// Frees what a large message took, so that an idle connection holds next to nothing.
    fn empty_carry(&mut self) {
        const KEEP: usize = 512;
        self.carry.clear();
        self.carry.shrink_to(KEEP);
    }
}

/// Why a read came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The socket failed (`WouldBlock` among others).
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer broke the protocol.
    #[error(transparent)]
    Wire(#[from] WireError),
}

#[cfg(test)]
#[path = "intake_tests.rs"]
mod tests;
