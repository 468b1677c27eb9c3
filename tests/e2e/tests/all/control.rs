//! What a person or a script does: btctl, its exit codes, and the control API.

use crate::{LIMIT, slow_seeder};
use e2e::{
    Lab, Payload,
    clients::{
        Client,
        btd::{Btd, BtdOptions, TOKEN, run_ctl},
    },
    peer::{Leecher, Seeder},
    wait_until,
};
use serde_json::{Value, json};
use std::{
    fs,
    time::{Duration, Instant},
};

#[test]
fn btctl_adds_shows_pauses_moves_and_removes() {
    let lab = Lab::new();
    let payload = Payload::folder("folder", 51);
    let torrent = payload.torrent(&[]);
    let file = lab.path().join("some.torrent");
    torrent.save(&file);
    let seeder = Seeder::start(lab.host(2), &payload, &torrent);
    let btd = Btd::start(&lab, 3);
    let (first, second) = (lab.dir("first"), lab.dir("second"));
    let (file, first_arg, second_arg) =
        (file.display().to_string(), first.display().to_string(), second.display().to_string());
    let id = torrent.id();
    let peer = seeder.addr().to_string();
    let added = btd.ctl_json(&["add", &file, "--save-path", &first_arg, "--peer", &peer, "--label", "test"]);
    assert_eq!((&added["id"], &added["added"]), (&json!(id), &json!(true)), "{added}");
    btd.wait_complete(&torrent, LIMIT);
    payload.assert_same(&first);
    let again = btd.ctl_json(&["add", &file]);
    assert_eq!(again["added"], false);

    // A prefix names it.
    let shown = btd.ctl_json(&["show", &id[..9]]);
    assert_eq!(shown["labels"], json!(["test"]), "{shown}");
    let files = btd.ctl_json(&["files", &id]);
    assert_eq!(files.as_array().map(Vec::len), Some(6), "{files}");
    let list = btd.ctl_json(&["list"]);
    assert_eq!(list["torrents"][0]["state"], "seeding", "{list}");
    let table = btd.ctl(&["list"]);
    assert!(table.stdout.contains("folder"), "{table:?}");

    btd.ctl_json(&["move", &id, &second_arg]);
    wait_until("the move", LIMIT, || {
        let now = btd.torrent(&torrent);
        now["save_path"] == second_arg.as_str() && now["state"] == "seeding"
    });
    payload.assert_same(&second);
    assert!(!first.join("folder").exists(), "nothing is left behind");

    btd.ctl_json(&["pause", &id]);
    assert_eq!(btd.state(&torrent), "paused");
    btd.ctl_json(&["resume", &id]);
    wait_until("seeding", LIMIT, || btd.state(&torrent) == "seeding");
    let leecher = Leecher::start(lab.host(9).ip(), btd.addr(), &payload, &torrent, 1);
    assert_eq!(leecher.join().expect("a seed").bytes, payload.len() as u64);

    btd.ctl_json(&["remove", &id]);
    assert_eq!(btd.ctl(&["show", &id]).code, 5);
    payload.assert_same(&second);
    btd.ctl_json(&["add", &file, "--save-path", &second_arg]);
    btd.wait_complete(&torrent, LIMIT);
    btd.ctl_json(&["remove", "--data", &id]);
    wait_until("the data to go", LIMIT, || !second.join("folder").exists());
    assert!(second.is_dir(), "the folder it was saved in is not the torrent's");
}

#[test]
fn a_pause_stops_the_flow_and_a_recheck_finds_damage() {
    let lab = Lab::new();
    let payload = Payload::single("file.bin", 24 << 20, 256 * 1024, 52);
    let torrent = payload.torrent(&[]);
    let seeder = slow_seeder(&lab, 2, &payload, &torrent, 8 << 20);
    let btd = Btd::start(&lab, 3);
    let target = lab.dir("target");
    btd.add_with_peers(&torrent, &target, &[seeder.addr()]);
    wait_until("a part of it", LIMIT, || btd.torrent(&torrent)["progress"].as_f64() > Some(0.2));
    btd.call("torrent.pause", json!({ "ids": [torrent.id()] }));
    wait_until("no peer left", LIMIT, || btd.torrent(&torrent)["peers"] == 0);
    // The seeder gets rid of what it had begun to send, and then nothing more is asked for.
    wait_until("the flow to stop", LIMIT, || {
        let sent = seeder.bytes();
        std::thread::sleep(Duration::from_millis(500));
        seeder.bytes() == sent
    });
    assert!(seeder.bytes() < payload.len() as u64, "it stopped because all of it was sent");
    btd.call("torrent.resume", json!({ "ids": "all" }));
    btd.wait_complete(&torrent, LIMIT);

    let path = target.join("file.bin");
    let mut bytes = fs::read(&path).expect("file");
    bytes[5_000_000] ^= 1;
    fs::write(&path, bytes).expect("file");
    let before = seeder.bytes();
    btd.call("torrent.recheck", json!({ "ids": [torrent.id()] }));
    wait_until("the damaged piece to be fetched", LIMIT, || seeder.bytes() > before);
    btd.wait_complete(&torrent, LIMIT);
    payload.assert_same(&target);
    let again = seeder.bytes() - before;
    assert!(again > 0 && again <= 1 << 20, "one piece was bad, {again} bytes were fetched");
}

#[test]
fn skipped_files_are_not_fetched() {
    let lab = Lab::new();
    let files = [("a.bin", 1 << 20), ("b.bin", 1 << 20), ("c.bin", 1 << 20)];
    let payload = Payload::multi("three", files, 64 * 1024, 53);
    let torrent = payload.torrent(&[]);
    let seeder = Seeder::start(lab.host(2), &payload, &torrent);
    let btd = Btd::start(&lab, 3);
    let target = lab.dir("target");
    btd.call(
        "torrent.add",
        json!({ "metainfo": torrent.base64(), "save_path": target, "files": [0, 2], "peers": [seeder.addr()] }),
    );
    btd.wait_complete(&torrent, LIMIT);
    assert_eq!(seeder.bytes(), 2 << 20);
    let parts = payload.parts(&target);
    assert!(
        fs::read(&parts[0].0).expect("a") == parts[0].1 && fs::read(&parts[2].0).expect("c") == parts[2].1
    );
    assert!(!parts[1].0.exists(), "no file for what nobody wants");
    // Wanted after all.
    btd.call("torrent.set", json!({ "ids": [torrent.id()], "priorities": { "1": "normal" } }));
    btd.call("torrent.add_peers", json!({ "id": torrent.id(), "peers": [seeder.addr()] }));
    wait_until("all of it", LIMIT, || seeder.bytes() == 3 << 20);
    btd.wait_complete(&torrent, LIMIT);
    payload.assert_same(&target);
}

#[test]
fn limits_hold_both_ways() {
    const LIMIT_RATE: u64 = 2 << 20;
    let lab = Lab::new();
    let payload = Payload::single("file.bin", 12 << 20, 256 * 1024, 54);
    let torrent = payload.torrent(&[]);
    let seeder = Seeder::start(lab.host(2), &payload, &torrent);
    let flags = vec!["--download-limit=2MiB".to_owned()];
    let btd = Btd::start_with(&lab, 3, BtdOptions { flags, ..Default::default() });
    let target = lab.dir("target");
    let ideal = payload.len() as f64 / LIMIT_RATE as f64;
    let check = |what: &str, took: Duration| {
        let took = took.as_secs_f64();
        assert!(took > 0.6 * ideal && took < 2.0 * ideal, "{what} took {took:.1} s instead of {ideal:.1} s");
    };
    let start = Instant::now();
    btd.add_with_peers(&torrent, &target, &[seeder.addr()]);
    btd.wait_complete(&torrent, LIMIT);
    check("the download", start.elapsed());

    btd.call("torrent.set", json!({ "ids": [torrent.id()], "upload_limit": LIMIT_RATE }));
    let leecher = Leecher::start(lab.host(9).ip(), btd.addr(), &payload, &torrent, 1);
    let leeched = leecher.join().expect("a seed");
    check("the upload", leeched.last - leeched.first);

    // Without the limit it is at least five times as fast.
    btd.call("torrent.set", json!({ "ids": [torrent.id()], "upload_limit": 0 }));
    let leecher = Leecher::start(lab.host(9).ip(), btd.addr(), &payload, &torrent, 2);
    let leeched = leecher.join().expect("a seed");
    assert!((leeched.last - leeched.first).as_secs_f64() < ideal / 5.0);
}

#[test]
fn strategies_change_live() {
    let lab = Lab::new();
    let payload = Payload::single("file.bin", 16 << 20, 64 * 1024, 55);
    let torrent = payload.torrent(&[]);
    let seeder = slow_seeder(&lab, 2, &payload, &torrent, 6 << 20);
    let flags = vec!["--upload-slots=3".to_owned()];
    let btd = Btd::start_with(&lab, 3, BtdOptions { flags, ..Default::default() });
    let target = lab.dir("target");
    btd.add_with_peers(&torrent, &target, &[seeder.addr()]);
    let id = torrent.id();
    let session = btd.call("strategy.get", json!({}));
    assert_eq!(session["strategy"]["upload_slots"], 3, "{session}");
    for (name, value) in [
        ("choking", json!("off")),
        ("optimistic_unchoking", json!(false)),
        ("anti_snubbing", json!(false)),
        ("piece_order", json!("sequential")),
        ("endgame", json!("less-left-than-in-flight")),
        ("bbs_plus", json!(2)),
    ] {
        let mut params = json!({ "id": id });
        params[name] = value.clone();
        btd.call("strategy.set", params);
        let now = btd.call("strategy.get", json!({ "id": id }));
        assert_eq!((&now["strategy"][name], &now["origins"][name]), (&value, &json!("torrent")), "{now}");
        assert_ne!(btd.call("strategy.get", json!({}))["strategy"][name], value, "only of this torrent");
    }
    btd.ctl_json(&["set-strategy", "--endgame=off"]);
    assert_eq!(btd.call("strategy.get", json!({}))["strategy"]["endgame"], "off");
    let error = btd.try_call("strategy.set", json!({ "upload_slots": 0 })).expect_err("out of range");
    assert_eq!(error["data"]["kind"], "invalid_params", "{error}");
    btd.wait_complete(&torrent, LIMIT);
    payload.assert_same(&target);
}

#[test]
fn every_end_of_btctl_has_its_code() {
    let lab = Lab::new();
    let btd = Btd::start(&lab, 2);
    let dir = lab.dir("ctl");
    let host = btd.rpc_addr().to_string();
    let nobody = lab.rpc_addr().to_string();
    let run = |host: &str, token: &str, args: &[&str]| {
        run_ctl(&dir, &[("BTCTL_HOST", host), ("BTCTL_TOKEN", token)], args)
    };
    let unknown = "0".repeat(40);
    for (code, output) in [
        (0, run(&host, TOKEN, &["list"])),
        (1, run(&host, TOKEN, &["add", "/bin/sh"])),
        (2, run(&host, TOKEN, &["frobnicate"])),
        (3, run(&nobody, TOKEN, &["list"])),
        (4, run(&host, "wrong", &["list"])),
        (1, run(&host, TOKEN, &["add", "/nowhere/no.torrent"])),
        (5, run(&host, TOKEN, &["show", &unknown])),
        (5, run(&host, TOKEN, &["pause", &unknown])),
    ] {
        assert_eq!(output.code, code, "{output:?}");
        assert_eq!(output.stderr.is_empty(), code == 0, "{output:?}");
    }
    // One of two can be paused.
    let torrent = Payload::single("x", 1, 16384, 1).torrent(&[]);
    btd.call("torrent.add", json!({ "metainfo": torrent.base64(), "paused": true }));
    assert_eq!(run(&host, TOKEN, &["pause", &torrent.id(), &unknown]).code, 6);
}

#[test]
fn the_door_is_shut_without_token_or_from_foreign_pages() {
    use e2e::http;
    let lab = Lab::new();
    let btd = Btd::start(&lab, 2);
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "session.stats", "params": {} });
    let bearer = format!("Bearer {TOKEN}");
    let ask =
        |headers: &[(&str, &str)]| http::post(btd.rpc_addr(), "/rpc", headers, &body).expect("answer").status;
    assert_eq!(ask(&[("Authorization", &bearer)]), 200);
    assert_eq!(ask(&[]), 401);
    assert_eq!(ask(&[("Authorization", "Bearer no")]), 401);
    assert_eq!(ask(&[("Authorization", &bearer), ("Origin", "http://evil.example")]), 403);
}

#[test]
fn bad_torrents_get_a_sentence_and_change_nothing() {
    let lab = Lab::new();
    let btd = Btd::start(&lab, 2);
    let good = Payload::folder("f", 1).torrent(&[]).bytes;
    let evil = |from: &str, to: &str| {
        let text: Vec<u8> = good.clone();
        let at = text.windows(from.len()).position(|window| window == from.as_bytes()).expect("pattern");
        [&text[..at], to.as_bytes(), &text[at + from.len()..]].concat()
    };
    let deep = [vec![b'l'; 100_000], vec![b'e'; 100_000]].concat();
    let cases = [
        b"".to_vec(),
        b"not a torrent".to_vec(),
        good[..good.len() / 2].to_vec(),
        deep,
        evil("5:video", "4:vid"),
        evil("12:piece lengthi131072e", "12:piece lengthi0e"),
    ];
    for bytes in cases {
        use_bad(&btd, &bytes);
    }
    let list = btd.call("torrent.list", json!({}));
    assert_eq!(list["torrents"], json!([]), "{list}");
}

fn use_bad(btd: &Btd, bytes: &[u8]) {
    let torrent = e2e::Torrent { bytes: bytes.to_vec(), info_hash: [0; 20] };
    let error: Value =
        btd.try_call("torrent.add", json!({ "metainfo": torrent.base64() })).expect_err("refused");
    let kind = error["data"]["kind"].as_str().unwrap_or_default();
    assert!(["invalid_torrent", "invalid_params"].contains(&kind), "{error}");
    assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{error}");
}
