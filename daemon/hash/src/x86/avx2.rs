//! Eight lanes in 256-bit registers.

use std::arch::x86_64::*;

use super::{Columns, Runs};

type V = __m256i;

kernels!("avx2", 8);

#[inline]
#[target_feature(enable = "avx2")]
fn splat(word: u32) -> V {
    _mm256_set1_epi32(word as i32)
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(row: &[u32; 8]) -> V {
    // SAFETY: `row` is 32 readable bytes, and the load has no alignment to keep.
    unsafe { _mm256_loadu_si256(row.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(row: &mut [u32; 8], value: V) {
    // SAFETY: `row` is 32 writable bytes, and the store has no alignment to keep.
    unsafe { _mm256_storeu_si256(row.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn add(a: V, b: V) -> V {
    _mm256_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor(a: V, b: V) -> V {
    _mm256_xor_si256(a, b)
}

/// Rotates each word left by `L`, which is right by `R`.
#[inline]
#[target_feature(enable = "avx2")]
fn rol<const L: i32, const R: i32>(a: V) -> V {
    const { assert!(L + R == 32) };
    _mm256_or_si256(_mm256_slli_epi32::<L>(a), _mm256_srli_epi32::<R>(a))
}

#[inline]
#[target_feature(enable = "avx2")]
fn shr<const N: i32>(a: V) -> V {
    _mm256_srli_epi32::<N>(a)
}

/// Bits of `b` where `a` is set, of `c` elsewhere.
#[inline]
#[target_feature(enable = "avx2")]
fn choose(a: V, b: V, c: V) -> V {
    xor(c, _mm256_and_si256(a, xor(b, c)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn parity(a: V, b: V, c: V) -> V {
    xor(xor(a, b), c)
}

#[inline]
#[target_feature(enable = "avx2")]
fn majority(a: V, b: V, c: V) -> V {
    _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(c, _mm256_or_si256(a, b)))
}

/// Half a block of one lane, as words.
#[inline]
#[target_feature(enable = "avx2")]
fn row(runs: &Runs<'_, 8>, lane: usize, block: usize, half: usize) -> V {
    let big_endian =
        _mm256_broadcastsi128_si256(_mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203));
    let (halves, _) = runs[lane][block].as_chunks::<32>();
    // SAFETY: each half is 32 readable bytes, and the load has no alignment to keep.
    let row = unsafe { _mm256_loadu_si256(halves[half].as_ptr().cast()) };
    _mm256_shuffle_epi8(row, big_endian)
}

/// Half a block of four lanes from `lane` on: vector `j` holds, in its 128-bit part k, word 4k + j of each.
#[inline]
#[target_feature(enable = "avx2")]
fn four_rows(runs: &Runs<'_, 8>, lane: usize, block: usize, half: usize) -> [V; 4] {
    let (a, b) = (row(runs, lane, block, half), row(runs, lane + 1, block, half));
    let (c, d) = (row(runs, lane + 2, block, half), row(runs, lane + 3, block, half));
    let (ab_low, cd_low) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
    let (ab_high, cd_high) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
    [
        _mm256_unpacklo_epi64(ab_low, cd_low),
        _mm256_unpackhi_epi64(ab_low, cd_low),
        _mm256_unpacklo_epi64(ab_high, cd_high),
        _mm256_unpackhi_epi64(ab_high, cd_high),
    ]
}

/// The sixteen words of one block of each lane: vector `i` holds word `i` of all lanes. Two transpositions of 8 by 8 words.
#[inline]
#[target_feature(enable = "avx2")]
fn words(runs: &Runs<'_, 8>, block: usize) -> [V; 16] {
    let mut words = [splat(0); 16];
    unrolled!(HALF in [0 1] {
        let quads = [four_rows(runs, 0, block, HALF), four_rows(runs, 4, block, HALF)];
        unrolled!(J in [0 1 2 3] {
            words[HALF * 8 + J] = _mm256_permute2x128_si256::<0x20>(quads[0][J], quads[1][J]);
            words[HALF * 8 + 4 + J] = _mm256_permute2x128_si256::<0x31>(quads[0][J], quads[1][J]);
        });
    });
    words
}
