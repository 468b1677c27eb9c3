//! Sixteen lanes in 512-bit registers, which have rotations and any function of three operands as one instruction each.

use std::arch::x86_64::*;

use super::{Columns, Runs};

type V = __m512i;

kernels!("avx512f,avx512bw", 16);

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn splat(word: u32) -> V {
    _mm512_set1_epi32(word as i32)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(row: &[u32; 16]) -> V {
    // SAFETY: `row` is 64 readable bytes, and the load has no alignment to keep.
    unsafe { _mm512_loadu_si512(row.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store(row: &mut [u32; 16], value: V) {
    // SAFETY: `row` is 64 writable bytes, and the store has no alignment to keep.
    unsafe { _mm512_storeu_si512(row.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn add(a: V, b: V) -> V {
    _mm512_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn xor(a: V, b: V) -> V {
    _mm512_xor_si512(a, b)
}

/// Rotates each word left by `L`, which is right by `R`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn rol<const L: i32, const R: i32>(a: V) -> V {
    const { assert!(L + R == 32) };
    _mm512_rol_epi32::<L>(a)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn shr<const N: u32>(a: V) -> V {
    _mm512_srli_epi32::<N>(a)
}

/// Bits of `b` where `a` is set, of `c` elsewhere.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn choose(a: V, b: V, c: V) -> V {
    _mm512_ternarylogic_epi32::<0xca>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn parity(a: V, b: V, c: V) -> V {
    _mm512_ternarylogic_epi32::<0x96>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn majority(a: V, b: V, c: V) -> V {
    _mm512_ternarylogic_epi32::<0xe8>(a, b, c)
}

/// One block of one lane, as words.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn row(runs: &Runs<'_, 16>, lane: usize, block: usize) -> V {
    let big_endian = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203));
    let bytes = &runs[lane][block];
    // SAFETY: `bytes` is 64 readable bytes, and the load has no alignment to keep.
    let row = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) };
    _mm512_shuffle_epi8(row, big_endian)
}

/// The block of four lanes from `lane` on: vector `j` holds, in its 128-bit part k, word 4k + j of each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn four_rows(runs: &Runs<'_, 16>, lane: usize, block: usize) -> [V; 4] {
    let (a, b) = (row(runs, lane, block), row(runs, lane + 1, block));
    let (c, d) = (row(runs, lane + 2, block), row(runs, lane + 3, block));
    let (ab_low, cd_low) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
    let (ab_high, cd_high) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
    [
        _mm512_unpacklo_epi64(ab_low, cd_low),
        _mm512_unpackhi_epi64(ab_low, cd_low),
        _mm512_unpacklo_epi64(ab_high, cd_high),
        _mm512_unpackhi_epi64(ab_high, cd_high),
    ]
}

/// The sixteen words of one block of each lane: vector `i` holds word `i` of all lanes. A transposition of 16 by 16 words.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn words(runs: &Runs<'_, 16>, block: usize) -> [V; 16] {
    let quads = [
        four_rows(runs, 0, block),
        four_rows(runs, 4, block),
        four_rows(runs, 8, block),
        four_rows(runs, 12, block),
    ];
    let mut words = [splat(0); 16];
    unrolled!(J in [0 1 2 3] {
        let low = _mm512_shuffle_i32x4::<0x44>(quads[0][J], quads[1][J]);
        let high = _mm512_shuffle_i32x4::<0xee>(quads[0][J], quads[1][J]);
        let low_other = _mm512_shuffle_i32x4::<0x44>(quads[2][J], quads[3][J]);
        let high_other = _mm512_shuffle_i32x4::<0xee>(quads[2][J], quads[3][J]);
        words[J] = _mm512_shuffle_i32x4::<0x88>(low, low_other);
        words[4 + J] = _mm512_shuffle_i32x4::<0xdd>(low, low_other);
        words[8 + J] = _mm512_shuffle_i32x4::<0x88>(high, high_other);
        words[12 + J] = _mm512_shuffle_i32x4::<0xdd>(high, high_other);
    });
    words
}
