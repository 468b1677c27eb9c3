//! Every backend that this machine has is measured against the `sha1` and `sha2` crates.

use proptest::prelude::*;
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

fn crate_sha1(data: &[u8]) -> [u8; 20] {
    sha1::Sha1::digest(data).into()
}

fn crate_sha256(data: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(data).into()
}

/// Every kernel of this machine, with its own choice of when to give up on lanes, and made to use them for the last message too.
fn ways() -> impl Iterator<Item = (Backend, Option<usize>)> {
    Backend::available()
        .flat_map(|backend| [(backend, None), (backend, Some(1)), (backend, Some(usize::MAX))])
}

/// Hashes the messages together by each backend and each alone by the crates.
fn check(messages: &[Vec<u8>]) {
    let views: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let ones: Vec<_> = views.iter().map(|view| crate_sha1(view)).collect();
    let others: Vec<_> = views.iter().map(|view| crate_sha256(view)).collect();
    let lengths = || messages.iter().map(Vec::len).collect::<Vec<_>>();
    for (backend, pays) in ways() {
        let name = backend.name();
        assert_eq!(many::<OfSha1>(backend, &views, pays), ones, "SHA-1, {name}, {pays:?}, {:?}", lengths());
        assert_eq!(
            many::<OfSha256>(backend, &views, pays),
            others,
            "SHA-256, {name}, {pays:?}, {:?}",
            lengths()
        );
    }
}

#[test]
fn the_examples_of_the_standard() {
    // FIPS 180-4's examples, published by NIST beside it.
    assert_eq!(sha1_many(&[b"abc"])[0][..4], [0xa9, 0x99, 0x3e, 0x36]);
    assert_eq!(sha256_many(&[b"abc"])[0][..4], [0xba, 0x78, 0x16, 0xbf]);
}

#[test]
fn one_message_of_every_length_around_the_block_boundaries() {
    for len in 0..=300 {
        let data = bytes(len as u64, len);
        let (mut one, mut other) = (Sha1::new(), Sha256::new());
        one.update(&data);
        other.update(&data);
        assert_eq!(one.len(), len as u64);
        assert_eq!(one.finish(), crate_sha1(&data), "SHA-1 of {len} bytes");
        assert_eq!(other.finish(), crate_sha256(&data), "SHA-256 of {len} bytes");
    }
}

#[test]
fn every_lane_with_every_length_around_the_block_boundaries() {
    for len in 0..=260 {
        check(&(0..16).map(|lane| bytes(lane * 1000 + len as u64, len)).collect::<Vec<_>>());
    }
}

#[test]
fn a_single_lane_that_differs_in_length() {
    for lane in 0..16 {
        for odd in [0, 1, 55, 56, 63, 64, 65, 127, 128, 129, 1000] {
            check(&(0..16).map(|l| bytes(l as u64, if l == lane { odd } else { 320 })).collect::<Vec<_>>());
        }
    }
}

#[test]
fn every_number_of_messages_up_to_three_rounds_of_lanes() {
    for count in 0..=49 {
        check(&(0..count).map(|i| bytes(i as u64, 500 + i * 13 % 200)).collect::<Vec<_>>());
    }
}

#[test]
fn a_message_cut_anywhere() {
    let data = bytes(7, 200);
    for (backend, pays) in ways() {
        for first in 0..=200 {
            for second in (first..=200).step_by(7) {
                let mut messages = vec![Sha1::new(); 5];
                let slices = [&data[..first], &data[first..second], &data[second..]];
                let mut feeds: Vec<_> =
                    messages.iter_mut().map(|state| Feed { state, data: &slices }).collect();
                feed::update_with(backend, &mut feeds, pays);
                for message in messages {
                    assert_eq!(message.finish(), crate_sha1(&data), "{}: {first}, {second}", backend.name());
                }
            }
        }
    }
}

/// Feeds messages in several rounds, each a few slices for some of the messages, and compares the results.
fn check_rounds<A: Algorithm>(rounds: &[Vec<(usize, Vec<usize>)>], expected: impl Fn(&[u8]) -> A::Digest) {
    for (backend, pays) in ways() {
        let mut messages = vec![Message::<A>::new(); 24];
        let mut sent = vec![Vec::new(); 24];
        for (number, round) in rounds.iter().enumerate() {
            let mut slices = vec![Vec::new(); 24];
            for (index, lengths) in round {
                let seed = (number * 24 + index) as u64;
                slices[*index].extend(lengths.iter().map(|len| bytes(seed + *len as u64, *len)));
            }
            let views: Vec<Vec<&[u8]>> =
                slices.iter().map(|s| s.iter().map(Vec::as_slice).collect()).collect();
            let mut feeds: Vec<_> = messages
                .iter_mut()
                .zip(&views)
                .filter(|(_, data)| !data.is_empty())
                .map(|(state, data)| Feed { state, data })
                .collect();
            feed::update_with(backend, &mut feeds, pays);
            for (sent, slices) in sent.iter_mut().zip(&slices) {
                sent.extend(slices.concat());
            }
        }
        for (index, (message, sent)) in messages.into_iter().zip(&sent).enumerate() {
            assert_eq!(message.finish(), expected(sent), "{}, message {index}", backend.name());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn mixed_slices_in_several_rounds(
        rounds in prop::collection::vec(
            prop::collection::vec((0usize..24, prop::collection::vec(0usize..400, 0..4)), 0..40),
            1..5,
        )
    ) {
        check_rounds::<OfSha1>(&rounds, crate_sha1);
        check_rounds::<OfSha256>(&rounds, crate_sha256);
    }

    #[test]
    fn mixed_lengths(lengths in prop::collection::vec(0usize..3000, 0..60)) {
        check(&lengths.iter().enumerate().map(|(i, len)| bytes(i as u64, *len)).collect::<Vec<_>>());
    }
}
