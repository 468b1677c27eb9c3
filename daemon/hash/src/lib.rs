//! SHA-1 and SHA-256 of several messages at a time, in SIMD lanes.
//!
//! One stream of SHA-1 cannot use a wide processor: every round waits for the one before. Several messages can, one in each lane of a
//! vector register. [`update_many`] takes any number of messages, each with its own progress and its own slices to add, and keeps
//! the lanes filled; what it leaves in each [`Sha1`] or [`Sha256`] is exactly what [`Message::update`] would have left, so callers may
//! mix the two freely.
//!
//! Feed long pieces in slices of 16 to 64 KiB: sixteen of them then stay within the cache, sixteen whole pieces do not.

mod algorithm;
mod feed;
mod message;

pub use algorithm::{Algorithm, OfSha1, OfSha256};
pub use feed::{Feed, update_many};
pub use message::{Message, Sha1, Sha256, finish_many};

/// SHA-1 of each message.
pub fn sha1_many(messages: &[&[u8]]) -> Vec<[u8; 20]> {
    many::<OfSha1>(messages)
}

/// SHA-256 of each message.
pub fn sha256_many(messages: &[&[u8]]) -> Vec<[u8; 32]> {
    many::<OfSha256>(messages)
}

fn many<A: Algorithm>(messages: &[&[u8]]) -> Vec<A::Digest> {
    let mut states = vec![Message::<A>::new(); messages.len()];
    let mut feeds: Vec<_> = states
        .iter_mut()
        .zip(messages)
        .map(|(state, message)| Feed { state, data: std::slice::from_ref(message) })
        .collect();
    update_many(&mut feeds);
    finish_many(states)
}

/// How many messages the chosen backend hashes at once; feeding at least this many at a time is what pays.
pub fn lanes() -> usize {
    1
}

/// The name of the backend chosen on this machine, for logs and benchmarks.
pub fn backend() -> &'static str {
    "crates"
}

#[cfg(test)]
mod tests;
