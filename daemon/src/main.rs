//! `btd`, a BitTorrent daemon.

#[allow(dead_code, unused_imports)]
mod http;
#[allow(dead_code)]
mod log;
#[allow(dead_code, unused_imports)]
mod settings;
#[allow(unused)]
mod storage;
#[allow(dead_code, unused_imports)]
mod store;

fn main() {}
