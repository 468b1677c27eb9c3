//! Everything here is measured against the `sha1` and `sha2` crates.

use sha1::Digest as _;

use super::*;

/// Bytes that differ from place to place and from `seed` to `seed`.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            (x >> 32) as u8
        })
        .collect()
}

#[test]
fn every_length_around_the_block_boundaries() {
    for len in 0..=300 {
        let data = bytes(len as u64, len);
        let (mut a, mut b) = (Sha1::new(), Sha256::new());
        a.update(&data);
        b.update(&data);
        assert_eq!(a.finish(), <[u8; 20]>::from(sha1::Sha1::digest(&data)), "SHA-1 of {len} bytes");
        assert_eq!(b.finish(), <[u8; 32]>::from(sha2::Sha256::digest(&data)), "SHA-256 of {len} bytes");
    }
}

#[test]
fn a_message_cut_anywhere() {
    let data = bytes(7, 200);
    let expected = <[u8; 20]>::from(sha1::Sha1::digest(&data));
    for first in 0..=200 {
        for second in (first..=200).step_by(7) {
            let mut message = Sha1::new();
            let slices = [&data[..first], &data[first..second], &data[second..]];
            update_many(&mut [Feed { state: &mut message, data: &slices }]);
            assert_eq!(message.finish(), expected, "cut at {first} and {second}");
        }
    }
}

#[test]
fn many_messages_of_mixed_lengths() {
    let messages: Vec<Vec<u8>> = (0..150).map(|i| bytes(i, (i as usize * 37) % 1500)).collect();
    let views: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    for ((one, other), message) in sha1_many(&views).into_iter().zip(sha256_many(&views)).zip(&messages) {
        assert_eq!(one, <[u8; 20]>::from(sha1::Sha1::digest(message)));
        assert_eq!(other, <[u8; 32]>::from(sha2::Sha256::digest(message)));
    }
}
