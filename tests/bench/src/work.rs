//! The pieces of work that are measured.

use crate::measure::{self, Figures, Watch};
use e2e::{
    Lab, Payload, Torrent,
    clients::{self, Client},
    peer::{Leecher, Seeder},
    tracker::FixedTracker,
};
use std::{
    fmt,
    path::Path,
    time::{Duration, Instant},
};

/// No client takes this long; one that does is left out of the round.
const LIMIT: Duration = Duration::from_secs(120);
const GIB: f64 = (1u64 << 30) as f64;
const TRACKER: u16 = 1;
const CLIENT: u16 = 2;
const PARTNERS: u16 = 100;

/// What a client has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Download from this many seeders, a connection each.
    Download(u16),
    /// Seed to this many leechers, each of which takes everything.
    Seed(u16),
    /// Check existing data.
    Check,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Download(1) => f.write_str("Download, 1 connection"),
            Self::Download(n) => write!(f, "Download, {n} connections"),
            Self::Seed(1) => f.write_str("Seeding to 1 leecher"),
            Self::Seed(n) => write!(f, "Seeding to {n} leechers"),
            Self::Check => f.write_str("Checking"),
        }
    }
}

/// The content of all work: pieces of 1 MiB, as is usual for this size.
pub(crate) fn payload(size: usize) -> Payload {
    Payload::single("bench.bin", size, 1 << 20, 1)
}

impl Work {
    /// Reads `download:20`, `seed:8`, `check`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let count = |text: &str| text.parse().ok().filter(|n| (1..=400).contains(n));
        match text.split_once(':') {
            Some(("download", n)) => count(n).map(Self::Download),
            Some(("seed", n)) => count(n).map(Self::Seed),
            None if text == "check" => Some(Self::Check),
            _ => None,
        }
    }

    /// Lets a client do it once, in a lab of its own. None: it failed, and standard error says how.
    pub(crate) fn run(self, client: &str, payload: &Payload) -> Option<Figures> {
        let (client, payload) = (client.to_owned(), payload.clone());
        // A lab belongs to the thread that made it.
        let thread = std::thread::spawn(move || {
            let lab = Lab::new();
            match self {
                Self::Download(n) => download(&lab, &client, &payload, n),
                Self::Seed(n) => seed(&lab, &client, &payload, n),
                Self::Check => check(&lab, &client, &payload),
            }
        });
        thread.join().ok()
    }
}

fn download(lab: &Lab, name: &str, payload: &Payload, seeders: u16) -> Figures {
    let addrs: Vec<_> = (PARTNERS..).take(seeders.into()).map(|host| lab.host(host)).collect();
    let tracker = FixedTracker::start(lab.host(TRACKER), &addrs);
    let torrent = payload.torrent(&[&tracker.url()]);
    let seeders: Vec<Seeder> = addrs.iter().map(|&addr| Seeder::start(addr, payload, &torrent)).collect();
    let target = lab.dir("target");
    let mut client = clients::start(lab, name, CLIENT);
    let pid = client.pid();
    let (watch, before) = (Watch::start(pid), measure::cpu(pid));
    client.add(&torrent, &target);
    e2e::wait_until("the first block", LIMIT, || seeders.iter().any(|seeder| seeder.bytes() > 0));
    let start = Instant::now();
    wait_complete(&mut *client, &torrent);
    let took = start.elapsed();
    measure::settle(pid);
    let figures = figures(payload.len() as u64, took, measure::cpu(pid) - before, watch.stop());
    payload.assert_same(&target);
    figures
}

fn seed(lab: &Lab, name: &str, payload: &Payload, leechers: u16) -> Figures {
    let tracker = FixedTracker::start(lab.host(TRACKER), &[]);
    let torrent = payload.torrent(&[&tracker.url()]);
    let source = lab.dir("source");
    payload.write(&source);
    let mut client = clients::start(lab, name, CLIENT);
    let pid = client.pid();
    client.add(&torrent, &source);
    wait_complete(&mut *client, &torrent);
    measure::settle(pid);
    let (watch, before) = (Watch::start(pid), measure::cpu(pid));
    let leechers: Vec<Leecher> = (PARTNERS..)
        .take(leechers.into())
        .map(|host| Leecher::start(lab.host(host).ip(), client.addr(), payload, &torrent, host))
        .collect();
    let runs: Vec<_> =
        leechers.into_iter().map(|leecher| leecher.join().expect("a leecher finishes")).collect();
    let cpu = measure::cpu(pid) - before;
    let first = runs.iter().map(|run| run.first).min().expect("a leecher");
    let last = runs.iter().map(|run| run.last).max().expect("a leecher");
    figures(runs.iter().map(|run| run.bytes).sum(), last - first, cpu, watch.stop())
}

fn check(lab: &Lab, name: &str, payload: &Payload) -> Figures {
    let tracker = FixedTracker::start(lab.host(TRACKER), &[]);
    let torrent = payload.torrent(&[&tracker.url()]);
    let source = lab.dir("source");
    payload.write(&source);
    let mut client = clients::start(lab, name, CLIENT);
    let pid = client.pid();
    let (watch, before) = (Watch::start(pid), measure::cpu(pid));
    let start = Instant::now();
    add_and_wait(&mut *client, &torrent, &source);
    let took = start.elapsed();
    figures(payload.len() as u64, took, measure::cpu(pid) - before, watch.stop())
}

fn add_and_wait(client: &mut dyn Client, torrent: &Torrent, dir: &Path) {
    client.add(torrent, dir);
    wait_complete(client, torrent);
}

fn wait_complete(client: &mut dyn Client, torrent: &Torrent) {
    let what = format!("{} to be complete", client.name());
    e2e::wait_until(&what, LIMIT, || client.is_complete(torrent));
}

fn figures(bytes: u64, took: Duration, cpu: Duration, memory: u64) -> Figures {
    let bytes = bytes as f64;
    Figures { rate: bytes / took.as_secs_f64(), cpu: cpu.as_secs_f64() * GIB / bytes, memory: memory as f64 }
}
