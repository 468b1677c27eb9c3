//! One message being hashed.

use crate::algorithm::{Algorithm, BLOCK, OfSha1, OfSha256};
use crate::backend::Backend;
use crate::feed::{Feed, update_with};

/// One message being hashed with SHA-1: about 96 bytes, to be kept per piece in progress.
pub type Sha1 = Message<OfSha1>;

/// One message being hashed with SHA-256: about 104 bytes.
pub type Sha256 = Message<OfSha256>;

/// A message of any length, as far as it has come: the chaining value after its whole blocks, and the bytes of the block begun.
#[derive(Clone, Debug)]
pub struct Message<A: Algorithm> {
    pub(crate) state: A::State,
    /// Bytes of the message so far. The last `len % 64` of them are in `pending`, the others in `state`.
    len: u64,
    pending: [u8; BLOCK],
}

impl<A: Algorithm> Default for Message<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Algorithm> Message<A> {
    /// The empty message.
    pub fn new() -> Self {
        Self { state: A::INITIAL, len: 0, pending: [0; BLOCK] }
    }

    /// Bytes hashed so far.
    #[expect(clippy::len_without_is_empty, reason = "a count of bytes fed, not a container")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Adds bytes to this message alone. Several messages are added to faster by [`update_many`](crate::update_many).
    pub fn update(&mut self, data: &[u8]) {
        let run = self.accept(data);
        A::compress(&mut self.state, run);
    }

    /// The hash of all bytes added.
    pub fn finish(mut self) -> A::Digest {
        let (tail, blocks) = self.padding();
        A::compress(&mut self.state, &tail[..blocks]);
        self.digest()
    }

    /// Takes in `data`, except for the whole blocks that it answers: the caller must add those to `state` before anything else
    /// is done with the message.
    pub(crate) fn accept<'a>(&mut self, data: &'a [u8]) -> &'a [[u8; BLOCK]] {
        let begun = self.begun();
        let (head, data) = data.split_at(data.len().min((BLOCK - begun) % BLOCK));
        self.pending[begun..begun + head.len()].copy_from_slice(head);
        if !head.is_empty() && begun + head.len() == BLOCK {
            A::compress(&mut self.state, &[self.pending]);
        }
        let (run, rest) = data.as_chunks::<BLOCK>();
        self.len += (head.len() + run.len() * BLOCK + rest.len()) as u64;
        self.pending[..rest.len()].copy_from_slice(rest);
        run
    }

    /// Bytes in `pending`.
    fn begun(&self) -> usize {
        (self.len % BLOCK as u64) as usize
    }

    /// The last one or two blocks: what is pending, a single one bit, zeros, and the length in bits (FIPS 180-4, section 5.1.1).
    fn padding(&self) -> ([[u8; BLOCK]; 2], usize) {
        let begun = self.begun();
        let mut tail = [[0; BLOCK]; 2];
        tail[0][..begun].copy_from_slice(&self.pending[..begun]);
        tail[0][begun] = 0x80;
        let blocks = if begun < BLOCK - 8 { 1 } else { 2 };
        tail[blocks - 1][BLOCK - 8..].copy_from_slice(&(self.len.wrapping_mul(8)).to_be_bytes());
        (tail, blocks)
    }

    fn digest(&self) -> A::Digest {
        let mut digest = A::Digest::default();
        for (bytes, word) in digest.as_mut().chunks_exact_mut(4).zip(self.state.as_ref()) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }
}

/// The hashes of many messages, in their order; like [`Message::finish`], but the last blocks go through the lanes too, which tells
/// when messages are short (the nodes of a hash tree).
pub fn finish_many<A: Algorithm>(messages: Vec<Message<A>>) -> Vec<A::Digest> {
    finish_with(Backend::best(), messages, None)
}

/// [`finish_many`] by a backend, and in lanes from a number of messages, of the caller's choice.
pub(crate) fn finish_with<A: Algorithm>(
    backend: Backend,
    mut messages: Vec<Message<A>>,
    pays: Option<usize>,
) -> Vec<A::Digest> {
    let tails: Vec<_> = messages.iter().map(Message::padding).collect();
    let data: Vec<[&[u8]; 1]> = tails.iter().map(|(tail, blocks)| [tail[..*blocks].as_flattened()]).collect();
    for message in &mut messages {
        // The padding holds the pending bytes already.
        message.len -= message.begun() as u64;
    }
    let mut feeds: Vec<_> =
        messages.iter_mut().zip(&data).map(|(state, data)| Feed { state, data: &data[..] }).collect();
    update_with(backend, &mut feeds, pays);
    messages.iter().map(Message::digest).collect()
}
