//! What differs between SHA-1 and SHA-256: the chaining value, the compression function and the digest.

use std::fmt::Debug;

#[cfg(target_arch = "x86_64")]
use crate::x86::{Avx2, Avx512, Columns, Runs};

/// Bytes in one block of either algorithm (FIPS 180-4, section 5.2.1).
pub(crate) const BLOCK: usize = 64;

/// A hash of the SHA family with 64-byte blocks. Implemented here only.
pub trait Algorithm: Compression + Copy + Debug + 'static {
    /// The finished hash.
    type Digest: Copy + Debug + PartialEq + Default + AsRef<[u8]> + AsMut<[u8]>;
}

/// The inner side of an [`Algorithm`], which callers need not know.
pub trait Compression {
    /// The chaining value: 32-bit words.
    type State: Copy + Debug + AsRef<[u32]> + AsMut<[u32]>;
    /// The chaining value before the first block (FIPS 180-4, section 5.3).
    const INITIAL: Self::State;

    /// Adds whole blocks of one message, by the fastest instructions for a single stream.
    fn compress(state: &mut Self::State, blocks: &[[u8; BLOCK]]);

    /// From how many messages on each kernel beats the processor's own instructions, which take one message after the other.
    #[cfg(target_arch = "x86_64")]
    const PAYS: Pays;

    /// Adds blocks to 16 messages; see [`Avx512::sha1`].
    #[cfg(target_arch = "x86_64")]
    fn avx512(proof: Avx512, columns: &mut Columns<16>, runs: &Runs<'_, 16>) -> usize;

    /// Adds blocks to 8 messages; see [`Avx2::sha1`].
    #[cfg(target_arch = "x86_64")]
    fn avx2(proof: Avx2, columns: &mut Columns<8>, runs: &Runs<'_, 8>) -> usize;
}

/// From how many messages on a kernel is worth its while: it takes as long for one lane as for all. Measured beside SHA-NI by
/// `examples/speed.rs`; where processors differ, the higher of the figures.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub struct Pays {
    /// Of 16 lanes.
    pub avx512: usize,
    /// Of 8 lanes; [`usize::MAX`] is never.
    pub avx2: usize,
}

/// Names SHA-1.
#[derive(Clone, Copy, Debug)]
pub struct OfSha1;

impl Algorithm for OfSha1 {
    type Digest = [u8; 20];
}

impl Compression for OfSha1 {
    type State = [u32; 5];
    const INITIAL: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

    fn compress(state: &mut [u32; 5], blocks: &[[u8; BLOCK]]) {
        sha1::block_api::compress(state, blocks);
    }

    #[cfg(target_arch = "x86_64")]
    const PAYS: Pays = Pays { avx512: 4, avx2: 5 };

    #[cfg(target_arch = "x86_64")]
    fn avx512(proof: Avx512, columns: &mut Columns<16>, runs: &Runs<'_, 16>) -> usize {
        proof.sha1(columns, runs)
    }

    #[cfg(target_arch = "x86_64")]
    fn avx2(proof: Avx2, columns: &mut Columns<8>, runs: &Runs<'_, 8>) -> usize {
        proof.sha1(columns, runs)
    }
}

/// Names SHA-256.
#[derive(Clone, Copy, Debug)]
pub struct OfSha256;

impl Algorithm for OfSha256 {
    type Digest = [u8; 32];
}

impl Compression for OfSha256 {
    type State = [u32; 8];
    #[rustfmt::skip]
    const INITIAL: [u32; 8] = [
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
    ];

    fn compress(state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
        sha2::block_api::compress256(state, blocks);
    }

    #[cfg(target_arch = "x86_64")]
    const PAYS: Pays = Pays { avx512: 7, avx2: usize::MAX };

    #[cfg(target_arch = "x86_64")]
    fn avx512(proof: Avx512, columns: &mut Columns<16>, runs: &Runs<'_, 16>) -> usize {
        proof.sha256(columns, runs)
    }

    #[cfg(target_arch = "x86_64")]
    fn avx2(proof: Avx2, columns: &mut Columns<8>, runs: &Runs<'_, 8>) -> usize {
        proof.sha256(columns, runs)
    }
}
