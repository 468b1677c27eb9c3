//! Prints how fast each backend of this machine hashes, beside the `sha1` and `sha2` crates:
//! `cargo run --release -p hash --example speed`.
//!
//! Pieces are fed as a client would: slices of 16 KiB, from all lanes in turn, state kept in between.

use std::hint::black_box;
use std::time::{Duration, Instant};

use hash::compare::{Backend, update_with};
use hash::{Algorithm, Feed, Message, OfSha1, OfSha256};
use sha1::Digest;

const SLICE: usize = 16 << 10;
/// Long enough to see past a scheduler's slice.
const RUN: Duration = Duration::from_millis(150);

fn main() {
    let data: Vec<u8> = (0..16 << 20).map(|i: u32| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    for piece in [256 << 10, 1 << 20] {
        println!("pieces of {} KiB, GB/s (ratio to the crate)", piece >> 10);
        compare::<OfSha1>("SHA-1", &data, piece, |data| {
            black_box(sha1::Sha1::digest(data));
        });
        compare::<OfSha256>("SHA-256", &data, piece, |data| {
            black_box(sha2::Sha256::digest(data));
        });
    }
}

fn compare<A: Algorithm>(name: &str, data: &[u8], piece: usize, by_crate: impl Fn(&[u8])) {
    let floor = rate(piece, || by_crate(&data[..piece]));
    println!("  {name:8} {:9}            {floor:5.2}", "crate");
    for backend in Backend::available() {
        for lanes in [1, 2, 3, 4, 5, 6, 8, 12, 16] {
            let pieces: Vec<&[u8]> = data.chunks(piece).take(lanes).collect();
            let rate = rate(piece * lanes, || {
                black_box(feed_all::<A>(backend, &pieces));
            });
            println!("  {name:8} {:9} {lanes:2} pieces  {rate:5.2} ({:.2})", backend.name(), rate / floor);
        }
    }
}

fn feed_all<A: Algorithm>(backend: Backend, pieces: &[&[u8]]) -> Vec<A::Digest> {
    let mut messages = vec![Message::<A>::new(); pieces.len()];
    for at in (0..pieces[0].len()).step_by(SLICE) {
        let slices: Vec<&[u8]> = pieces.iter().map(|piece| &piece[at..at + SLICE]).collect();
        let mut feeds: Vec<_> = messages
            .iter_mut()
            .zip(&slices)
            .map(|(state, slice)| Feed { state, data: std::slice::from_ref(slice) })
            .collect();
        // In lanes even where it does not pay: finding out where it does is what this is for.
        update_with(backend, &mut feeds, 1);
    }
    messages.into_iter().map(Message::finish).collect()
}

/// GB/s of the best of several runs: other work on the machine can only slow a run down.
fn rate(bytes: usize, mut work: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    let start = Instant::now();
    while start.elapsed() < RUN {
        let one = Instant::now();
        work();
        best = best.min(one.elapsed().as_secs_f64());
    }
    bytes as f64 / best / 1e9
}
