//! Each real client seeds to btd and leeches from it, over HTTP and UDP trackers, one file and many.

use crate::LIMIT;
use e2e::{
    Lab, Payload, Torrent,
    clients::{self, OpenTracker},
    wait_until,
};
use std::time::Duration;

/// By then everything is written.
const WRITTEN: Duration = Duration::from_secs(10);
const TRACKER: u16 = 1;
const SEED: u16 = 2;
const LEECH: u16 = 3;

/// A single file and a folder, each by an HTTP and by a UDP tracker.
fn works(lab: &Lab) -> Vec<(Payload, Torrent)> {
    let urls = [OpenTracker::http(lab, TRACKER), OpenTracker::udp(lab, TRACKER)];
    let payload = |round: u64| {
        let url = urls[round as usize % 2].as_str();
        let payload = match round {
            0 | 1 => Payload::single(&format!("file-{round}.bin"), 6_000_001, 64 * 1024, round),
            _ => Payload::folder(&format!("folder-{round}"), round),
        };
        let torrent = payload.torrent(&[url]);
        (payload, torrent)
    };
    (0..4).map(payload).collect()
}

fn one_seeds_to_the_other(seed: &str, leech: &str) {
    let lab = Lab::new();
    let works = works(&lab);
    let torrents: Vec<&Torrent> = works.iter().map(|(_, torrent)| torrent).collect();
    let tracker = OpenTracker::start(&lab, TRACKER, &torrents);
    let (source, target) = (lab.dir("source"), lab.dir("target"));
    let mut from = clients::start(&lab, seed, SEED);
    for (payload, torrent) in &works {
        payload.write(&source);
        from.add(torrent, &source);
    }
    for torrent in &torrents {
        wait_until(&format!("{seed} to check what it has"), LIMIT, || from.is_complete(torrent));
        wait_until(&format!("{seed} to tell the tracker"), LIMIT, || tracker.seeds(torrent) == 1);
    }
    let mut to = clients::start(&lab, leech, LEECH);
    for torrent in &torrents {
        to.add(torrent, &target);
    }
    for (payload, torrent) in &works {
        wait_until(&format!("{leech} to finish {}", payload.name()), LIMIT, || to.is_complete(torrent));
        // Others make no empty files; and complete is not yet written everywhere.
        let strict = leech == "btd";
        wait_until("all of it on disk", WRITTEN, || {
            if strict { payload.is_same(&target) } else { payload.is_same_but_empty(&target) }
        });
        wait_until(&format!("{leech} to tell the tracker"), LIMIT, || tracker.seeds(torrent) == 2);
    }
}

#[test]
fn libtorrent_seeds_to_btd() {
    one_seeds_to_the_other("libtorrent", "btd");
}

#[test]
fn transmission_seeds_to_btd() {
    one_seeds_to_the_other("transmission", "btd");
}

#[test]
fn aria2_seeds_to_btd() {
    one_seeds_to_the_other("aria2", "btd");
}

#[test]
fn btd_seeds_to_libtorrent() {
    one_seeds_to_the_other("btd", "libtorrent");
}

#[test]
fn btd_seeds_to_transmission() {
    one_seeds_to_the_other("btd", "transmission");
}

#[test]
fn btd_seeds_to_aria2() {
    one_seeds_to_the_other("btd", "aria2");
}

#[test]
fn btd_seeds_to_btd() {
    one_seeds_to_the_other("btd", "btd");
}

#[test]
fn a_mixed_swarm_of_seven_finishes_everywhere() {
    let lab = Lab::new();
    let payload = Payload::single("swarm.bin", 24 << 20, 128 * 1024, 7);
    let torrent = payload.torrent(&[&OpenTracker::http(&lab, TRACKER)]);
    let tracker = OpenTracker::start(&lab, TRACKER, &[&torrent]);
    let source = lab.dir("source");
    payload.write(&source);
    let mut seed =
        clients::Libtorrent::start_with(&lab, SEED, &serde_json::json!({ "upload_rate_limit": 6 << 20 }));
    seed.seed(&torrent, &source);
    wait_until("the seed to tell the tracker", LIMIT, || tracker.seeds(&torrent) == 1);
    let names = ["btd", "transmission", "libtorrent", "btd", "aria2", "transmission"];
    let mut swarm: Vec<_> = (LEECH..)
        .zip(names)
        .map(|(host, name)| {
            let target = lab.dir(&format!("target-{host}"));
            let mut client = clients::start(&lab, name, host);
            client.add(&torrent, &target);
            (client, target)
        })
        .collect();
    for (client, target) in &mut swarm {
        wait_until(&format!("{} to finish", client.name()), LIMIT, || client.is_complete(&torrent));
        wait_until("all of it on disk", WRITTEN, || payload.is_same_but_empty(target));
    }
}
