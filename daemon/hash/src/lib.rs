//! SHA-1 and SHA-256 of several messages at a time, in SIMD lanes.
//!
//! One stream of SHA-1 cannot use a wide processor: every round waits for the one before. Several messages can, one in each lane of a
//! vector register. [`update_many`] takes any number of messages, each with its own progress and its own slices to add, and keeps
//! the lanes filled; what it leaves in each [`Sha1`] or [`Sha256`] is exactly what [`Message::update`] would have left, so callers may
//! mix the two freely.
//!
//! Feed long pieces in slices of 16 to 64 KiB: sixteen of them then stay within the cache, sixteen whole pieces do not.
//!
//! One thread, pieces of 256 KiB in slices of 16 KiB, as ratios (`examples/speed.rs` prints them) to the `sha1` and `sha2` crates with SHA-NI (2.1 GB/s each on the Zen 5 core
//! measured; a core whose SHA-NI is slower gains more):
//!
//! | pieces at once | 1 | 4 | 8 | 16 |
//! |---|---|---|---|---|
//! | SHA-1, AVX-512 | 1.0 | 1.3 | 2.5 | 4.6 |
//! | SHA-1, AVX2 | 1.0 | 1.0 | 1.8 | 1.8 |
//! | SHA-256, AVX-512 | 1.0 | 1.0 | 1.3 | 2.5 |
//! | SHA-256, AVX2 | 1.0 | 1.0 | 1.0 | 1.0 |
//!
//! Other processors use the crates, which know the ARMv8 instructions.

mod algorithm;
mod backend;
mod feed;
mod message;
#[cfg(target_arch = "x86_64")]
mod x86;

use backend::Backend;

pub use algorithm::{Algorithm, OfSha1, OfSha256};
pub use feed::{Feed, update_many};
pub use message::{Message, Sha1, Sha256, finish_many};

/// SHA-1 of each message.
pub fn sha1_many(messages: &[&[u8]]) -> Vec<[u8; 20]> {
    many::<OfSha1>(Backend::best(), messages, None)
}

/// SHA-256 of each message.
pub fn sha256_many(messages: &[&[u8]]) -> Vec<[u8; 32]> {
    many::<OfSha256>(Backend::best(), messages, None)
}

fn many<A: Algorithm>(backend: Backend, messages: &[&[u8]], pays: Option<usize>) -> Vec<A::Digest> {
    let mut states = vec![Message::<A>::new(); messages.len()];
    let mut feeds: Vec<_> = states
        .iter_mut()
        .zip(messages)
        .map(|(state, message)| Feed { state, data: std::slice::from_ref(message) })
        .collect();
    feed::update_with(backend, &mut feeds, pays);
    message::finish_with(backend, states, pays)
}

/// How many messages of SHA-1 are hashed at once on this machine; feeding at least this many at a time is what pays.
pub fn lanes() -> usize {
    Backend::best().lanes()
}

/// The name of the backend chosen on this machine, for logs and benchmarks.
pub fn backend() -> &'static str {
    Backend::best().name()
}

/// For tests and benchmarks: what each backend of this machine makes of the same work.
#[doc(hidden)]
pub mod compare {
    pub use crate::backend::Backend;
    use crate::{Algorithm, Feed};

    /// [`crate::update_many`] by the backend given, in lanes from `pays` messages on.
    pub fn update_with<A: Algorithm>(backend: Backend, feeds: &mut [Feed<'_, A>], pays: usize) {
        crate::feed::update_with(backend, feeds, Some(pays));
    }
}

#[cfg(test)]
mod tests;
