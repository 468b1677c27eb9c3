//! Keyed digests of blocks, for telling whether two copies of a block are the same without keeping either.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::OnceLock,
};

/// The digest of a block's bytes: SipHash with a random key of this run, so that nobody can prepare two blocks with the same one.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    let mut hasher = KEY.get_or_init(RandomState::new).build_hasher();
    hasher.write(bytes);
    hasher.finish()
}
