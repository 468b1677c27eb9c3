//! Peers that lie.

use crate::{LIMIT, downloaded, slow_seeder};
use e2e::{
    Lab, Payload,
    clients::btd::Btd,
    peer::{Seeder, SeederOptions},
    wait_until,
};
use serde_json::json;

#[test]
#[ignore = "known defect: the liar of one block in many pieces is not always banned before the end"]
fn a_corrupting_seeder_is_banned_and_an_honest_one_is_not() {
    let lab = Lab::new();
    let payload = Payload::single("file.bin", 24 << 20, 256 * 1024, 11);
    let torrent = payload.torrent(&[]);
    // One block of every fourth piece is wrong, so most of what it sends is right.
    let corrupt = |piece: u32, offset: u32| piece.is_multiple_of(4) && offset == 3 * 16 * 1024;
    let options = SeederOptions { rate: 8 << 20, corrupt: Some(corrupt) };
    let liar = Seeder::start_with(lab.host(2), &payload, &torrent, options);
    let honest = slow_seeder(&lab, 3, &payload, &torrent, 8 << 20);
    let btd = Btd::start(&lab, 4);
    btd.call("torrent.add", json!({ "metainfo": torrent.base64(), "peers": [liar.addr(), honest.addr()] }));
    btd.wait_complete(&torrent, LIMIT);
    payload.assert_same(&btd.dir().join("downloads"));
    assert!(downloaded(&btd, &payload).is_file());
    assert_eq!(btd.call("session.stats", json!({}))["banned"], 1, "only the liar");
    assert!(liar.bytes() > 0, "the liar was never asked");
    assert_eq!(liar.connections(), 1, "a banned peer is not dialled again");
}

#[test]
fn noise_on_the_peer_port_disturbs_nobody() {
    use std::{io::Write, net::TcpStream};
    let lab = Lab::new();
    let payload = Payload::single("file.bin", 8 << 20, 64 * 1024, 12);
    let torrent = payload.torrent(&[]);
    let seeder = slow_seeder(&lab, 2, &payload, &torrent, 4 << 20);
    let btd = Btd::start(&lab, 3);
    btd.call("torrent.add", json!({ "metainfo": torrent.base64(), "peers": [seeder.addr()] }));
    let hello = |id: u8| {
        let mut hello = b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\0".to_vec();
        hello.extend(torrent.info_hash);
        hello.extend(b"-XX0001-noisynoisyn");
        hello.push(id);
        hello
    };
    let after_hello = |bytes: &[u8]| [hello(bytes[3]).as_slice(), bytes].concat();
    let noises = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 4096],
        hello(0)[..30].to_vec(),
        // A length of 4 GiB, a bitfield of the wrong size, a have and a request out of range, a block nobody asked for.
        after_hello(&[0xff, 0xff, 0xff, 0xff, 7]),
        after_hello(&[0, 0, 0, 3, 5, 0xff, 0xff]),
        after_hello(&[0, 0, 0, 5, 4, 0xff, 0xff, 0xff, 0xff]),
        after_hello(&[0, 0, 0, 13, 6, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0x40, 0]),
        after_hello(&[0, 0, 0, 10, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        // An extension handshake that is no bencode.
        after_hello(&[0, 0, 0, 6, 20, 0, b'd', b'd', b'd', b'd']),
    ];
    let mut held = Vec::new();
    for noise in &noises {
        let mut stream = TcpStream::connect(lab.host(3)).expect("btd accepts");
        let _ = stream.write_all(noise);
        held.push(stream);
    }
    btd.wait_complete(&torrent, LIMIT);
    payload.assert_same(&btd.dir().join("downloads"));
    // Whoever broke the protocol has been hung up on; only the silent ones may linger until their time is up.
    wait_until("the noisy peers to be dropped", LIMIT, || btd.torrent(&torrent)["peers"] == 0);
}
