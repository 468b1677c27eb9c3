//! What the end-to-end tests and the benchmark are made of.
//!
//! A test opens a [`Lab`]: a network namespace where nothing but loopback exists, and a folder. In it, it starts clients
//! ([`clients`]), trackers ([`tracker`], [`clients::OpenTracker`]) and peers of our own that count or lie ([`peer`]), gives them a
//! [`Payload`] made from a seed, and waits for what must happen with [`wait_for`]. Dropping the lab ends everything that was
//! started; after a failed test the ends of all logs are printed.

pub mod bencode;
pub mod clients;
pub mod http;
mod lab;
pub mod payload;
pub mod peer;
pub mod process;
pub mod tracker;

pub use lab::Lab;
pub use payload::{Payload, Torrent};
pub use process::Process;

use std::time::{Duration, Instant};

/// Asks again and again until there is an answer; panics with `what` if there is none in `limit`.
#[track_caller]
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a condition holds; panics with `what` if it does not in `limit`.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    wait_for(what, limit, || holds().then_some(()));
}
