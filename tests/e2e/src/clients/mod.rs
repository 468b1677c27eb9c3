//! Drivers of BitTorrent clients: each starts a real program with peers, ports and folders of its own.

mod aria2;
pub mod btd;
mod libtorrent;
mod opentracker;
mod rtorrent;
mod transmission;

pub use aria2::Aria2;
pub use btd::{Btd, BtdOptions};
pub use libtorrent::Libtorrent;
pub use opentracker::OpenTracker;
pub use rtorrent::Rtorrent;
pub use transmission::Transmission;

use crate::{Lab, Torrent};
use std::{net::SocketAddr, path::Path};

/// What every client can do in these tests.
pub trait Client {
    /// The client's name, for messages.
    fn name(&self) -> &'static str;

    /// The process that does the work, for measuring it.
    fn pid(&self) -> u32;

    /// Where it listens for peers.
    fn addr(&self) -> SocketAddr;

    /// Adds a torrent; what is already in `dir` is checked first.
    fn add(&mut self, torrent: &Torrent, dir: &Path);

    /// Whether all of the torrent is there, verified and being seeded.
    fn is_complete(&mut self, torrent: &Torrent) -> bool;
}

/// Names of the real clients, for tests that run with each.
pub const OTHERS: [&str; 3] = ["libtorrent", "transmission", "aria2"];

/// Starts a client by its name as host number `host`, with its files in `NAME-HOST`.
pub fn start(lab: &Lab, name: &str, host: u16) -> Box<dyn Client> {
    match name {
        "btd" => Box::new(Btd::start(lab, host)),
        "libtorrent" => Box::new(Libtorrent::start(lab, host)),
        "transmission" => Box::new(Transmission::start(lab, host)),
        "rtorrent" => Box::new(Rtorrent::start(lab, host)),
        "aria2" => Box::new(Aria2::start(lab, host)),
        _ => panic!("no client is called {name}"),
    }
}
