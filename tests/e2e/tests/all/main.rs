//! btd and btctl against real clients. Run by `tests/run e2e`, which builds them first and installs the clients.

mod control;
mod crash;
mod faults;
mod hostile;
mod interop;
mod others;
mod shapes;

use e2e::{
    Lab, Payload, Torrent,
    clients::btd::Btd,
    peer::{Seeder, SeederOptions},
};
use std::time::Duration;

/// No download in these tests takes this long, not even on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A seeder as host number `host` that gives this many bytes per second.
fn slow_seeder(lab: &Lab, host: u16, payload: &Payload, torrent: &Torrent, rate: u64) -> Seeder {
    Seeder::start_with(lab.host(host), payload, torrent, SeederOptions { rate, ..Default::default() })
}

/// The file in which a download of a single file ends up.
fn downloaded(btd: &Btd, payload: &Payload) -> std::path::PathBuf {
    btd.dir().join("downloads").join(payload.name())
}
