//! What to do: a BitTorrent client's decisions as plain state machines.
//!
//! No sockets, threads, clocks or unseeded randomness: time, bytes and events come in as arguments, actions go out into
//! a sink that the caller owns. The daemon and the simulator drive the same code.
#![forbid(unsafe_code)]

pub mod announce;
pub mod choke;
pub mod dht;
pub mod metadata;
mod meter;
pub mod out;
pub mod peers;
pub mod picker;
pub mod pipeline;
pub mod torrent;
