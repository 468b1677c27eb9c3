//! Disks that are full, read-only, or gone: that torrent stops with the reason, goes on when asked, and no other notices.

use crate::{LIMIT, slow_seeder};
use e2e::{
    Lab, Payload, Torrent,
    clients::{Client, btd::Btd},
    peer::{Leecher, Seeder},
    wait_until,
};
use serde_json::json;
use std::fs;

/// Waits until a torrent has failed, and gives the reason.
#[track_caller]
fn wait_error(btd: &Btd, torrent: &Torrent) -> String {
    wait_until("state error", LIMIT, || btd.state(torrent) == "error");
    let reason = btd.torrent(torrent)["error"].as_str().unwrap_or_default().to_owned();
    assert!(!reason.is_empty(), "an error without a reason");
    reason
}

fn resume(btd: &Btd, torrent: &Torrent) {
    let outcomes = btd.call("torrent.resume", json!({ "ids": [torrent.id()] }));
    assert_eq!(outcomes[0]["ok"], true, "{outcomes}");
}

#[test]
fn a_full_disk_stops_one_torrent_and_resume_continues() {
    let lab = Lab::new();
    let big = Payload::single("big.bin", 32 << 20, 256 * 1024, 41);
    let other = Payload::single("other.bin", 16 << 20, 256 * 1024, 42);
    let (big_torrent, other_torrent) = (big.torrent(&[]), other.torrent(&[]));
    let big_seeder = Seeder::start(lab.host(2), &big, &big_torrent);
    let other_seeder = slow_seeder(&lab, 3, &other, &other_torrent, 4 << 20);
    let (small, roomy) = (lab.small_disk("small", "8m"), lab.dir("roomy"));
    let btd = Btd::start(&lab, 4);
    btd.add_with_peers(&other_torrent, &roomy, &[other_seeder.addr()]);
    btd.add_with_peers(&big_torrent, &small, &[big_seeder.addr()]);
    let reason = wait_error(&btd, &big_torrent);
    assert!(reason.to_lowercase().contains("space") || reason.contains("full"), "{reason}");
    btd.wait_complete(&other_torrent, LIMIT);
    other.assert_same(&roomy);

    lab.remount(&small, "size=64m");
    resume(&btd, &big_torrent);
    btd.wait_complete(&big_torrent, LIMIT);
    big.assert_same(&small);
}

#[test]
fn a_read_only_folder_stops_the_torrent_and_resume_continues() {
    let lab = Lab::new();
    let payload = Payload::single("file.bin", 16 << 20, 256 * 1024, 43);
    let torrent = payload.torrent(&[]);
    let seeder = Seeder::start(lab.host(2), &payload, &torrent);
    let disk = lab.small_disk("disk", "64m");
    lab.remount(&disk, "ro");
    let btd = Btd::start(&lab, 3);
    btd.add_with_peers(&torrent, &disk, &[seeder.addr()]);
    let reason = wait_error(&btd, &torrent).to_lowercase();
    assert!(reason.contains("read-only") || reason.contains("read only"), "{reason}");
    lab.remount(&disk, "rw");
    resume(&btd, &torrent);
    btd.wait_complete(&torrent, LIMIT);
    payload.assert_same(&disk);
}

#[test]
fn a_vanished_folder_stops_the_torrent_and_resume_continues() {
    let lab = Lab::new();
    let payload = Payload::single("file.bin", 8 << 20, 256 * 1024, 44);
    let torrent = payload.torrent(&[]);
    let seeder = Seeder::start(lab.host(2), &payload, &torrent);
    let target = lab.dir("target");
    let mut btd = Btd::start(&lab, 3);
    btd.add_with_peers(&torrent, &target, &[seeder.addr()]);
    btd.wait_complete(&torrent, LIMIT);
    let sent = seeder.bytes();
    drop(seeder);

    // As when a disk is not mounted at boot.
    btd.stop();
    let away = lab.path().join("away");
    fs::rename(&target, &away).expect("rename");
    btd.restart();
    let leecher = Leecher::start(lab.host(9).ip(), btd.addr(), &payload, &torrent, 1);
    let reason = wait_error(&btd, &torrent);
    assert!(reason.contains("target"), "it should name what is missing: {reason}");
    assert!(leecher.join().is_err(), "nothing could be read");
    assert!(
        !target.join("file.bin").exists(),
        "an empty file must not take the place of the one that is away"
    );

    fs::rename(&away, &target).expect("rename");
    resume(&btd, &torrent);
    btd.wait_complete(&torrent, LIMIT);
    let leecher = Leecher::start(lab.host(9).ip(), btd.addr(), &payload, &torrent, 2);
    assert_eq!(leecher.join().expect("a seed again").bytes, sent);
}

#[test]
fn a_file_cut_short_is_noticed_and_never_served() {
    let lab = Lab::new();
    let payload = Payload::single("file.bin", 8 << 20, 256 * 1024, 45);
    let torrent = payload.torrent(&[]);
    let target = lab.dir("target");
    payload.write(&target);
    let mut btd = Btd::start(&lab, 3);
    btd.add(&torrent, &target);
    btd.wait_complete(&torrent, LIMIT);
    fs::File::options()
        .write(true)
        .open(target.join("file.bin"))
        .and_then(|file| file.set_len(1 << 20))
        .expect("cut");
    let leecher = Leecher::start(lab.host(9).ip(), btd.addr(), &payload, &torrent, 1);
    wait_error(&btd, &torrent);
    assert!(leecher.join().is_err());

    // A check finds what is left, and the rest is fetched.
    let seeder = Seeder::start(lab.host(2), &payload, &torrent);
    btd.call("torrent.recheck", json!({ "ids": [torrent.id()] }));
    resume(&btd, &torrent);
    wait_until("the check to find what is missing", LIMIT, || btd.state(&torrent) == "downloading");
    btd.call("torrent.add_peers", json!({ "id": torrent.id(), "peers": [seeder.addr()] }));
    btd.wait_complete(&torrent, LIMIT);
    payload.assert_same(&target);
    assert!(seeder.bytes() <= 7 << 20);
}
