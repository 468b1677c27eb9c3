//! `btctl`, the remote control of `btd`.
#![forbid(unsafe_code)]

fn main() {}
