//! Version 2 and hybrid torrents (BEP 52), made by libtorrent, in both directions.

use e2e::{
    Lab, Payload, Torrent,
    clients::{Btd, Client, Libtorrent},
    wait_until,
};
use serde_json::json;
use std::{path::Path, process::Command, time::Duration};

const LIMIT: Duration = Duration::from_secs(60);

const MAKE: &str = r#"
import libtorrent as lt, sys
path, parent, out, flags = sys.argv[1:]
fs = lt.file_storage()
lt.add_files(fs, path)
torrent = lt.create_torrent(fs, piece_size=32768, flags=int(flags))
lt.set_piece_hashes(torrent, parent)
open(out, "wb").write(lt.bencode(torrent.generate()))
hashes = lt.torrent_info(out).info_hashes()
print(hashes.v1 if hashes.has_v1() else str(hashes.v2)[:40])
"#;

/// libtorrent's `create_torrent.v2_only`.
const V2_ONLY: u32 = 32;
/// Neither version alone.
const HYBRID: u32 = 0;

/// Has libtorrent make the torrent of a payload that lies in `dir`.
fn made_by_libtorrent(lab: &Lab, payload: &Payload, dir: &Path, flags: u32) -> Torrent {
    let out = lab.path().join(format!("made-{flags}.torrent"));
    let made = Command::new("/usr/bin/python3")
        .args(["-c", MAKE])
        .args([&dir.join(payload.name()), dir, &out])
        .arg(flags.to_string())
        .output()
        .expect("python3");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let id = String::from_utf8(made.stdout).expect("hexadecimal digits");
    let mut info_hash = [0; 20];
    for (byte, digits) in info_hash.iter_mut().zip(id.trim().as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).expect("digits");
        *byte = u8::from_str_radix(digits, 16).expect("a hexadecimal digit");
    }
    Torrent { bytes: std::fs::read(&out).expect("the torrent"), info_hash }
}

fn both_ways(flags: u32, seed: u64) {
    let lab = Lab::new();
    let payload = Payload::folder("folder", seed);
    let source = lab.dir("source");
    payload.write(&source);
    let torrent = made_by_libtorrent(&lab, &payload, &source, flags);

    let mut libtorrent = Libtorrent::start(&lab, 2);
    libtorrent.add(&torrent, &source);
    wait_until("libtorrent to check", LIMIT, || libtorrent.is_complete(&torrent));
    let down = lab.dir("down");
    let mut btd = Btd::start(&lab, 3);
    btd.add_with_peers(&torrent, &down, &[libtorrent.addr()]);
    btd.wait_complete(&torrent, LIMIT);
    payload.assert_same(&down);
    assert_eq!(btd.torrent(&torrent)["size"], payload.len());

    // What it holds survives a restart, and a check finds the same.
    btd.stop();
    btd.restart();
    btd.wait_complete(&torrent, LIMIT);
    btd.call("torrent.recheck", json!({ "ids": [torrent.id()] }));
    btd.wait_complete(&torrent, LIMIT);

    let back = lab.dir("back");
    let mut leech = Libtorrent::start(&lab, 4);
    leech.add(&torrent, &back);
    leech.connect(&torrent, btd.addr());
    wait_until("libtorrent to fetch from btd", LIMIT, || leech.is_complete(&torrent));
    payload.assert_same(&back);
}

#[test]
fn a_v2_only_torrent_of_libtorrent_comes_and_goes() {
    both_ways(V2_ONLY, 52);
}

#[test]
fn a_hybrid_torrent_of_libtorrent_comes_and_goes() {
    both_ways(HYBRID, 53);
}

#[test]
fn damage_to_v2_data_is_found_and_mended() {
    let lab = Lab::new();
    let payload = Payload::folder("folder", 54);
    let source = lab.dir("source");
    payload.write(&source);
    let torrent = made_by_libtorrent(&lab, &payload, &source, V2_ONLY);
    let damaged = lab.dir("damaged");
    payload.write(&damaged);
    let file = damaged.join("folder/z/last.bin");
    let mut bytes = std::fs::read(&file).expect("file");
    bytes[40_000] ^= 1;
    std::fs::write(&file, bytes).expect("file");

    let btd = Btd::start(&lab, 3);
    btd.call("torrent.add", json!({ "metainfo": torrent.base64(), "save_path": damaged }));
    wait_until("the check", LIMIT, || btd.state(&torrent) == "downloading");
    let shown = btd.torrent(&torrent);
    assert_eq!(shown["pieces"].as_u64().unwrap() - shown["pieces_have"].as_u64().unwrap(), 1);

    let mut libtorrent = Libtorrent::start(&lab, 2);
    libtorrent.add(&torrent, &source);
    wait_until("libtorrent to check", LIMIT, || libtorrent.is_complete(&torrent));
    btd.call("torrent.add_peers", json!({ "id": torrent.id(), "peers": [libtorrent.addr()] }));
    btd.wait_complete(&torrent, LIMIT);
    payload.assert_same(&damaged);
}
