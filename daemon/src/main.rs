//! `btd`, a BitTorrent daemon.

fn main() {}
