//! Vector kernels for x86-64, behind proofs that the processor has what they need.
//!
//! The proof types below can only be made by asking the processor, so the methods on them are safe to call.

// First, because the macro in it is used by the others.
#[macro_use]
mod rounds;

mod avx2;
mod avx512;

use crate::algorithm::BLOCK;

/// Chaining values of `L` messages, word by word: `words[w][l]` is word `w` of lane `l`. SHA-1 uses the first five rows.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct Columns<const L: usize> {
    /// One row for each word of the chaining value.
    pub words: [[u32; L]; 8],
}

/// The next blocks of each lane; a kernel compresses as many as the shortest has.
pub(crate) type Runs<'a, const L: usize> = [&'a [[u8; BLOCK]]; L];

/// Proof that the processor and the system support AVX-512 F and BW.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

impl Avx512 {
    /// Lanes of a 512-bit register.
    pub(crate) const LANES: usize = 16;

    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")).then_some(Self(()))
    }

    /// Adds to 16 SHA-1 chaining values as many blocks as the shortest run has, and says how many that was.
    pub(crate) fn sha1(self, columns: &mut Columns<16>, runs: &Runs<'_, 16>) -> usize {
        // SAFETY: the features the kernel is compiled for were detected, or there would be no `self`.
        unsafe { avx512::sha1(columns, runs) }
    }

    /// Adds to 16 SHA-256 chaining values as many blocks as the shortest run has, and says how many that was.
    pub(crate) fn sha256(self, columns: &mut Columns<16>, runs: &Runs<'_, 16>) -> usize {
        // SAFETY: as for `sha1`.
        unsafe { avx512::sha256(columns, runs) }
    }
}

/// Proof that the processor and the system support AVX2.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// Lanes of a 256-bit register.
    pub(crate) const LANES: usize = 8;

    pub(crate) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// Adds to 8 SHA-1 chaining values as many blocks as the shortest run has, and says how many that was.
    pub(crate) fn sha1(self, columns: &mut Columns<8>, runs: &Runs<'_, 8>) -> usize {
        // SAFETY: the feature the kernel is compiled for was detected, or there would be no `self`.
        unsafe { avx2::sha1(columns, runs) }
    }

    /// Adds to 8 SHA-256 chaining values as many blocks as the shortest run has, and says how many that was.
    pub(crate) fn sha256(self, columns: &mut Columns<8>, runs: &Runs<'_, 8>) -> usize {
        // SAFETY: as for `sha1`.
        unsafe { avx2::sha256(columns, runs) }
    }
}
