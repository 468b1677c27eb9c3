//! `btd`, a BitTorrent daemon.

#[allow(dead_code)]
mod store;

fn main() {}
