//! The rounds of SHA-1 and SHA-256 over vectors, written once for every register width.

/// The constants of the rounds of SHA-256 (FIPS 180-4, section 4.2.2).
#[rustfmt::skip]
pub(super) const SHA256_ROUND: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// Repeats a block with a constant counting up. Left to itself the compiler keeps rounds as a loop, with the message schedule in memory.
macro_rules! unrolled {
    ($i:ident in [$($n:literal)*] $body:block) => { $({ const $i: usize = $n; $body })* };
}

/// Defines `sha1` and `sha256` in terms of the vector type `V` and the operations `splat`, `load`, `store`, `words`, `add`, `rol`, `shr`, `choose`,
/// `parity` and `majority` in scope at the place of use, all compiled for the target features `$features`.
macro_rules! kernels {
    ($features:literal, $lanes:literal) => {
        /// SHA-1 (FIPS 180-4, section 6.1.2) of the blocks that all runs have; answers how many.
        #[target_feature(enable = $features)]
        pub(super) fn sha1(columns: &mut Columns<$lanes>, runs: &Runs<'_, $lanes>) -> usize {
            let blocks = runs.iter().map(|run| run.len()).min().unwrap_or(0);
            let mut state = [splat(0); 5];
            for (word, row) in state.iter_mut().zip(&columns.words) {
                *word = load(row);
            }
            for block in 0..blocks {
                let mut w = words(runs, block);
                let mut s = state;
                sha1_rounds::<0>(&mut s, &mut w);
                sha1_rounds::<1>(&mut s, &mut w);
                sha1_rounds::<2>(&mut s, &mut w);
                sha1_rounds::<3>(&mut s, &mut w);
                for (total, word) in state.iter_mut().zip(s) {
                    *total = add(*total, word);
                }
            }
            for (row, word) in columns.words.iter_mut().zip(state) {
                store(row, word);
            }
            blocks
        }

        /// The twenty rounds of one constant. The loop unrolls, so that `w` and `s` live in registers and their indices cost nothing.
        #[inline]
        #[target_feature(enable = $features)]
        fn sha1_rounds<const QUARTER: usize>(s: &mut [V; 5], w: &mut [V; 16]) {
            let k = splat([0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc, 0xca62_c1d6][QUARTER]);
            unrolled!(I in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19] {
                let t = QUARTER * 20 + I;
                if t >= 16 {
                    let mixed = xor(parity(w[(t + 13) % 16], w[(t + 8) % 16], w[(t + 2) % 16]), w[t % 16]);
                    w[t % 16] = rol::<1, 31>(mixed);
                }
                let [a, b, c, d, e] = *s;
                let f = match QUARTER {
                    0 => choose(b, c, d),
                    2 => majority(b, c, d),
                    _ => parity(b, c, d),
                };
                let sum = add(add(add(e, k), w[t % 16]), f);
                *s = [add(rol::<5, 27>(a), sum), a, rol::<30, 2>(b), c, d];
            });
        }

        /// SHA-256 (FIPS 180-4, section 6.2.2) of the blocks that all runs have; answers how many.
        #[target_feature(enable = $features)]
        pub(super) fn sha256(columns: &mut Columns<$lanes>, runs: &Runs<'_, $lanes>) -> usize {
            let blocks = runs.iter().map(|run| run.len()).min().unwrap_or(0);
            let mut state = [splat(0); 8];
            for (word, row) in state.iter_mut().zip(&columns.words) {
                *word = load(row);
            }
            for block in 0..blocks {
                let mut w = words(runs, block);
                let mut s = state;
                sha256_rounds::<0>(&mut s, &mut w);
                sha256_rounds::<1>(&mut s, &mut w);
                sha256_rounds::<2>(&mut s, &mut w);
                sha256_rounds::<3>(&mut s, &mut w);
                for (total, word) in state.iter_mut().zip(s) {
                    *total = add(*total, word);
                }
            }
            for (row, word) in columns.words.iter_mut().zip(state) {
                store(row, word);
            }
            blocks
        }

        /// Sixteen rounds, once around the message schedule.
        #[inline]
        #[target_feature(enable = $features)]
        fn sha256_rounds<const TURN: usize>(s: &mut [V; 8], w: &mut [V; 16]) {
            unrolled!(I in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] {
                if TURN > 0 {
                    let (w15, w2) = (w[(I + 1) % 16], w[(I + 14) % 16]);
                    let s0 = parity(rol::<25, 7>(w15), rol::<14, 18>(w15), shr::<3>(w15));
                    let s1 = parity(rol::<15, 17>(w2), rol::<13, 19>(w2), shr::<10>(w2));
                    w[I] = add(add(w[I], s0), add(w[(I + 9) % 16], s1));
                }
                let [a, b, c, d, e, f, g, h] = *s;
                let s1 = parity(rol::<26, 6>(e), rol::<21, 11>(e), rol::<7, 25>(e));
                let kw = add(splat(super::rounds::SHA256_ROUND[TURN * 16 + I]), w[I]);
                let t1 = add(add(add(h, kw), choose(e, f, g)), s1);
                let s0 = parity(rol::<30, 2>(a), rol::<19, 13>(a), rol::<10, 22>(a));
                let t2 = add(s0, majority(a, b, c));
                *s = [add(t1, t2), a, b, c, add(d, t1), e, f, g];
            });
        }
    };
}
