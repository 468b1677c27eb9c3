//! What differs between SHA-1 and SHA-256: the chaining value, the compression function and the digest.

use std::fmt::Debug;

/// Bytes in one block of either algorithm (FIPS 180-4, section 5.2.1).
pub(crate) const BLOCK: usize = 64;

/// A hash of the SHA family with 64-byte blocks. Implemented here only.
pub trait Algorithm: sealed::Sealed + Copy + Debug + 'static {
    /// The chaining value: 32-bit words.
    type State: Copy + Debug + AsRef<[u32]> + AsMut<[u32]>;
    /// The finished hash.
    type Digest: Copy + Debug + PartialEq + Default + AsRef<[u8]> + AsMut<[u8]>;
    /// The chaining value before the first block (FIPS 180-4, section 5.3).
    const INITIAL: Self::State;

    /// Adds whole blocks of one message, by the fastest instructions for a single stream.
    fn compress(state: &mut Self::State, blocks: &[[u8; BLOCK]]);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::OfSha1 {}
    impl Sealed for super::OfSha256 {}
}

/// Names SHA-1.
#[derive(Clone, Copy, Debug)]
pub struct OfSha1;

/// Names SHA-256.
#[derive(Clone, Copy, Debug)]
pub struct OfSha256;

impl Algorithm for OfSha1 {
    type State = [u32; 5];
    type Digest = [u8; 20];
    const INITIAL: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

    fn compress(state: &mut [u32; 5], blocks: &[[u8; BLOCK]]) {
        sha1::block_api::compress(state, blocks);
    }
}

impl Algorithm for OfSha256 {
    type State = [u32; 8];
    type Digest = [u8; 32];
    const INITIAL: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];

    fn compress(state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
        sha2::block_api::compress256(state, blocks);
    }
}
