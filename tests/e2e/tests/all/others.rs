//! The other clients among themselves: what fails here is the lab's fault, not btd's.

use crate::LIMIT;
use e2e::{
    Lab, Payload,
    clients::{self, Client, Libtorrent, OTHERS, OpenTracker},
    peer::{Leecher, Seeder},
    tracker::FixedTracker,
    wait_until,
};

#[test]
fn libtorrent_seeds_to_every_other_client_over_both_kinds_of_tracker() {
    let lab = Lab::new();
    let payload = Payload::folder("folder", 1);
    for (round, url) in [OpenTracker::http(&lab, 1), OpenTracker::udp(&lab, 1)].iter().enumerate() {
        let torrent = payload.torrent(&[url]);
        let tracker = OpenTracker::start(&lab, 1, &[&torrent]);
        let source = lab.dir("source");
        payload.write(&source);
        let mut seed = Libtorrent::start(&lab, 2);
        seed.add(&torrent, &source);
        wait_until("the seed to tell the tracker", LIMIT, || tracker.seeds(&torrent) == 1);
        for (host, name) in (3..).zip(OTHERS) {
            let target = lab.dir(&format!("to-{name}-{round}"));
            let mut leech = clients::start(&lab, name, host);
            leech.add(&torrent, &target);
            wait_until(&format!("{name} to finish by {url}"), LIMIT, || leech.is_complete(&torrent));
            wait_until("all of it on disk", LIMIT, || payload.is_same_but_empty(&target));
            wait_until(&format!("{name} to tell the tracker"), LIMIT, || tracker.seeds(&torrent) == 2);
        }
    }
}

#[test]
fn our_own_peers_serve_and_fetch() {
    let lab = Lab::new();
    let payload = Payload::single("file.bin", 5_000_001, 64 * 1024, 2);
    let tracker = FixedTracker::start(lab.host(1), &[lab.host(2)]);
    let torrent = payload.torrent(&[&tracker.url()]);
    let seeder = Seeder::start(lab.host(2), &payload, &torrent);
    for (host, name) in (3..).zip(OTHERS) {
        let before = seeder.bytes();
        let target = lab.dir(&format!("to-{name}"));
        let mut client = clients::start(&lab, name, host);
        client.add(&torrent, &target);
        wait_until(&format!("{name} to finish"), LIMIT, || client.is_complete(&torrent));
        payload.assert_same(&target);
        assert!(seeder.bytes() - before >= payload.len() as u64);
        let leecher = Leecher::start(lab.host(99).ip(), client.addr(), &payload, &torrent, host);
        assert_eq!(leecher.join().expect(name).bytes, payload.len() as u64);
    }
    assert!(tracker.heard("started") && tracker.heard("completed"));
}
