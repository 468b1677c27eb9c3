//! Torrents of unusual shape.

use crate::LIMIT;
use e2e::{
    Lab, Payload,
    clients::{Client, btd::Btd},
    peer::{Leecher, Seeder},
};

fn there_and_back(payload: &Payload) {
    let lab = Lab::new();
    let torrent = payload.torrent(&[]);
    let seeder = Seeder::start(lab.host(2), payload, &torrent);
    let btd = Btd::start(&lab, 3);
    let target = lab.dir("target");
    btd.add_with_peers(&torrent, &target, &[seeder.addr()]);
    btd.wait_complete(&torrent, 2 * LIMIT);
    payload.assert_same(&target);
    let leecher = Leecher::start(lab.host(9).ip(), btd.addr(), payload, &torrent, 1);
    assert_eq!(leecher.join().expect("a seed").bytes, payload.len() as u64);
}

#[test]
fn twenty_thousand_files() {
    let files = (0..20_000).map(|n| (format!("{:03}/{n}.dat", n / 100), n * 7919 % 4000));
    there_and_back(&Payload::multi("many", files, 128 * 1024, 31));
}

#[test]
fn a_gibibyte_in_pieces_of_16_kib() {
    there_and_back(&Payload::single("fine.bin", 1 << 30, 16 * 1024, 32));
}

#[test]
fn pieces_of_16_mib_and_a_last_one_of_a_byte() {
    there_and_back(&Payload::single("coarse.bin", (48 << 20) + 1, 16 << 20, 33));
}

#[test]
fn smaller_than_a_block() {
    there_and_back(&Payload::single("tiny.bin", 5, 32 * 1024, 34));
}
