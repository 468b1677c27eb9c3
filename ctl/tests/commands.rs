//! The real btctl against a stub of the daemon: what it sends, what it prints, how it exits.

#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Daemon, TOKEN, ran, torrent};
use proto::rpc::State;
use serde_json::json;
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    process::Stdio,
};

fn three() -> Daemon {
    Daemon::start([
        torrent("aaaa1", "debian.iso", State::Downloading, 0.5),
        torrent("aaaa2", "locked", State::Seeding, 1.0),
        torrent("bbbb", "abcdef", State::Paused, 0.0),
    ])
}

#[test]
fn list_is_aligned_text_in_a_pipe() {
    let ran = three().run(["list"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        ran.stdout,
        "ID        STATE         DONE  SIZE  DOWN/s  UP/s  RATIO  PEERS  ETA  NAME\n\
         aaaa1000  downloading  50.0%  1.0G       -     -   0.00      0    -  debian.iso\n\
         aaaa2000  seeding       100%  1.0G       -     -   0.00      0    -  locked\n\
         bbbb0000  paused        0.0%  1.0G       -     -   0.00      0    -  abcdef\n"
    );
    assert_eq!(ran.stderr, "");
}

#[test]
fn list_filters_and_sorts() {
    let daemon = three();
    let names = |args: &[&str]| {
        let ran = daemon.run(args);
        assert_eq!(ran.code, 0, "{ran:?}");
        let last = |line: &str| line.split_whitespace().last().unwrap().to_owned();
        ran.stdout.lines().skip(1).map(last).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&["list", "--sort", "name"]), "abcdef debian.iso locked");
    assert_eq!(names(&["list", "--sort", "progress"]), "locked debian.iso abcdef");
    assert_eq!(names(&["list", "--sort", "name", "-r", "-n", "1"]), "locked");
    assert_eq!(names(&["list", "--state", "paused"]), "abcdef");
    assert_eq!(names(&["list", "debian"]), "debian.iso");
    assert_eq!(daemon.run(["list", "--state", "asleep"]).code, 2);
}

#[test]
fn json_is_one_document_as_the_api_gives_it() {
    let daemon = three();
    let list = daemon.run(["--json", "list"]).json();
    assert_eq!((&list["revision"], &list["total"]), (&json!(7), &json!(3)));
    assert_eq!(list["torrents"][0]["state"], "downloading");
    assert!(list["torrents"][0].get("save_path").is_some(), "JSON has all fields");
    assert_eq!(daemon.run(["show", "bbbb", "--json"]).json()["name"], "abcdef");
    assert_eq!(daemon.run(["stats", "--json"]).json()["version"], "0.1.0");
    assert_eq!(daemon.run(["files", "bbbb", "--json"]).json()[0]["priority"], "high");
    assert_eq!(daemon.run(["settings", "--json"]).json()["origins"], json!({ "port": "flag" }));
    let failed = daemon.run(["show", "cc", "--json"]);
    assert_eq!((failed.code, &failed.json()["error"]["kind"]), (5, &json!("not_found")));
    assert!(failed.stderr.contains("no torrent's id begins with cc"));
}

#[test]
fn ids_may_be_shortened_while_they_are_unique() {
    let daemon = three();
    assert_eq!(daemon.run(["pause", "AAAA1"]).code, 0);
    assert_eq!(daemon.state.last("torrent.pause"), json!({ "ids": [format!("{:0<40}", "aaaa1")] }));
    // A name with these letters is no id.
    let ran = daemon.run(["pause", "abc"]);
    assert_eq!(ran.code, 5, "{ran:?}");
    let ran = daemon.run(["pause", "aaaa"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("aaaa1000 (debian.iso), aaaa2000 (locked)"), "{}", ran.stderr);
    assert_eq!(daemon.run(["pause", "debian.iso"]).code, 2);
    assert_eq!(daemon.run(["show", &"9".repeat(40)]).code, 5);
    assert_eq!(daemon.run(["remove", "all", "--data"]).code, 6);
    assert_eq!(daemon.state.last("torrent.remove"), json!({ "ids": "all", "delete_data": true }));
}

#[test]
fn outcomes_become_exit_codes_and_sentences() {
    let daemon = three();
    let partly = daemon.run(["pause", "bbbb", "aaaa2"]);
    assert_eq!((partly.code, partly.stdout.as_str()), (6, "paused: 1 torrent\n"));
    assert!(partly.stderr.contains("aaaa2000: the disk is read-only; remount it"), "{}", partly.stderr);
    assert_eq!(daemon.run(["pause", "aaaa2"]).code, 1);
    assert_eq!(daemon.run(["pause", "bbbb"]).stdout, "paused: 1 torrent\n");
    let json = daemon.run(["pause", "bbbb", "aaaa2", "--json"]).json();
    assert_eq!((&json[0]["ok"], &json[1]["error"]["kind"]), (&json!(true), &json!("disk")));
}

#[test]
fn add_sends_what_the_daemon_cannot_see() {
    let daemon = three();
    fs::write(daemon.home.path().join("good.torrent"), "d4:infodee").unwrap();
    fs::write(daemon.home.path().join("page.torrent"), "<html>").unwrap();
    fs::write(daemon.home.path().join("bad.torrent"), "dbade").unwrap();
    let ran =
        daemon.run(["add", "good.torrent", "-d", "data", "--paused", "--files", "0,2-3", "-l", "linux"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "added  ad000000  added\n"), "{ran:?}");
    let sent = daemon.state.last("torrent.add");
    assert_eq!((&sent["metainfo"], &sent["paused"]), (&json!("ZDQ6aW5mb2RlZQ=="), &json!(true)));
    assert_eq!((&sent["files"], &sent["labels"]), (&json!([0, 2, 3]), &json!(["linux"])));
    let home = daemon.home.path().canonicalize().unwrap();
    assert_eq!(sent["save_path"], json!(home.join("data").to_str().unwrap()), "relative to where btctl runs");

    let magnet = "magnet:?xt=urn:btih:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let again = daemon.run(["add", magnet, "--json"]);
    assert_eq!((again.code, &again.json()["added"]), (0, &json!(false)));
    assert_eq!(daemon.state.last("torrent.add")["source"], magnet);
    assert_eq!(daemon.run(["add", &"a".repeat(40)]).code, 0);
    assert_eq!(daemon.state.last("torrent.add")["source"], magnet);

    assert_eq!(daemon.run(["add", "nothing.torrent"]).code, 1);
    assert_eq!(daemon.run(["add", "page.torrent"]).code, 1);
    let bad = daemon.run(["add", "bad.torrent"]);
    assert_eq!(bad.code, 1);
    assert!(bad.stderr.contains("there is no info dictionary"), "{}", bad.stderr);
    assert_eq!(daemon.run(["add", "good.torrent", "bad.torrent"]).code, 6);
    assert_eq!(daemon.run(["add"]).code, 2);
}

#[test]
fn add_reads_standard_input() {
    let daemon = three();
    let add = |input: &[u8]| {
        let mut command = daemon.command(["add", "-"]);
        command.env("BTCTL_TOKEN", TOKEN).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        assert!(child.wait().unwrap().success());
        daemon.state.last("torrent.add")
    };
    assert_eq!(add(b"d4:infodee")["metainfo"], "ZDQ6aW5mb2RlZQ==");
    assert_eq!(add(b"magnet:?xt=urn:btih:x\n")["source"], "magnet:?xt=urn:btih:x");
}

#[test]
fn the_token_comes_from_the_state_directory_and_stays_on_this_machine() {
    let daemon = three();
    let denied = ran(&mut daemon.command(["list"]));
    assert_eq!(denied.code, 4, "{denied:?}");
    assert!(
        denied.stderr.contains("there is no token file") && denied.stderr.contains("BTCTL_TOKEN"),
        "{denied:?}"
    );
    let wrong = ran(daemon.command(["list"]).env("BTCTL_TOKEN", "wrong"));
    assert_eq!(wrong.code, 4);
    assert!(wrong.stderr.contains("does not accept the token from BTCTL_TOKEN"), "{wrong:?}");

    let state = daemon.home.path().join(".local/state/btd");
    fs::create_dir_all(&state).unwrap();
    fs::write(state.join("token"), format!("{TOKEN}\n")).unwrap();
    assert_eq!(ran(&mut daemon.command(["list"])).code, 0);
    assert_eq!(ran(daemon.command(["watch", "aaaa2", "--until", "done"]).env_remove("BTCTL_TOKEN")).code, 0);
    let elsewhere = daemon.home.path().join("elsewhere");
    fs::create_dir_all(elsewhere.join("btd")).unwrap();
    fs::write(elsewhere.join("btd/token"), "other").unwrap();
    assert_eq!(ran(daemon.command(["list"]).env("XDG_STATE_HOME", &elsewhere)).code, 4);
    assert_eq!(ran(daemon.command(["list"]).env("STATE_DIRECTORY", &state)).code, 0);
}

#[test]
fn a_daemon_that_is_not_there_is_told_from_one_that_is_not_btd() {
    let daemon = three();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = daemon.run(["list", "--host", &free.to_string()]);
    assert_eq!(gone.code, 3, "{gone:?}");
    assert!(gone.stderr.contains("nothing listens at"), "{gone:?}");
    assert_eq!(daemon.run(["watch", "-H", &free.to_string()]).code, 3);
    assert_eq!(daemon.run(["list", "--host", "https://nas"]).code, 2);
    assert_eq!(daemon.run(["list", "--host", "a b"]).code, 2);
    assert_eq!(daemon.run(["fly"]).code, 2);
}

#[test]
fn set_and_set_strategy_send_what_is_named_and_nothing_else() {
    let daemon = three();
    let set = [
        "set",
        "bbbb",
        "--high",
        "0-1",
        "--skip",
        "7",
        "--download-limit",
        "5MiB",
        "--seed-ratio",
        "session",
    ];
    assert_eq!(daemon.run(set).code, 0);
    assert_eq!(
        daemon.state.last("torrent.set"),
        json!({
            "ids": [format!("{:0<40}", "bbbb")],
            "priorities": { "0": "high", "1": "high", "7": "skip" },
            "download_limit": 5 << 20,
            "seed_ratio_limit": "session",
        })
    );
    assert_eq!(daemon.run(["set", "bbbb"]).code, 2);
    assert_eq!(daemon.run(["set", "bbbb", "--high", "1", "--low", "1"]).code, 2);

    let ran = daemon.run(["set-strategy", "--no-endgame", "--bbs-plus=3", "--torrent", "bbbb"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.stdout.lines().count(), 3, "the two that were named, and the heading: {ran:?}");
    assert_eq!(
        daemon.state.last("strategy.set"),
        json!({ "id": format!("{:0<40}", "bbbb"), "endgame": "off", "bbs_plus": 3 })
    );
    assert_eq!(daemon.run(["set-strategy"]).code, 2);
    assert_eq!(daemon.run(["set-strategy", "--bbs-plus=0"]).code, 2);
    assert_eq!(daemon.run(["set-strategy", "--endgame", "--no-endgame"]).code, 2);
    assert_eq!(daemon.run(["set-strategy", "--reset", "endgame"]).code, 0);
    assert_eq!(daemon.state.last("strategy.set"), json!({ "reset": ["endgame"] }));
}

#[test]
fn settings_are_shown_and_set() {
    let daemon = three();
    assert_eq!(daemon.run(["settings", "port"]).stdout, "6881\n");
    let ran = daemon.run(["settings", "upload-limit=1MiB", "dht=on"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "changed: dht, upload_limit\n"));
    assert_eq!(daemon.state.last("session.set"), json!({ "dht": true, "upload_limit": 1 << 20 }));
    assert_eq!(daemon.run(["settings", "port=many"]).code, 2);
    assert_eq!(daemon.run(["settings", "colour=red"]).code, 2);
}

#[test]
fn watch_ends_when_all_is_done() {
    let daemon = three();
    let ran = daemon.run(["watch", "aaaa1", "--until", "done"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines.len() >= 3, "{ran:?}");
    assert!(lines[0].contains("downloading") && lines[0].contains("50.0%"), "{ran:?}");
    assert!(lines.last().unwrap().contains("seeding") && lines.last().unwrap().contains("100%"), "{ran:?}");
    let json = daemon.run(["watch", "aaaa1", "--until", "done", "--json"]).json();
    assert_eq!(json[0]["state"], "seeding");
    assert_eq!(daemon.run(["watch", &"9".repeat(40), "--until", "done"]).code, 5);
}

#[test]
fn magnet_and_export_give_a_torrent_away() {
    let daemon = three();
    assert_eq!(daemon.run(["magnet", "bbbb"]).stdout, format!("magnet:?xt=urn:btih:{:0<40}\n", "bbbb"));
    assert_eq!(daemon.run(["export", "bbbb"]).stdout, "abcdef.torrent\n");
    assert_eq!(fs::read(daemon.home.path().join("abcdef.torrent")).unwrap(), b"d4:infodee");
    let again = daemon.run(["export", "bbbb"]);
    assert!(again.code == 1 && again.stderr.contains("exists already"), "{again:?}");
    assert_eq!(daemon.run(["export", "bbbb", "--force"]).code, 0);
    assert_eq!(daemon.run(["export", "bbbb", "-o", "-"]).stdout, "d4:infodee");
}

#[test]
fn names_of_strangers_cannot_reach_the_terminal() {
    let ran = three().run(["files", "bbbb", "--color", "never"]);
    assert!(!ran.stdout.contains('\u{1b}') && ran.stdout.contains("evil\u{fffd}[2J.txt"), "{ran:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let daemon =
        Daemon::start((0..2_000).map(|n| torrent(&format!("{n:08x}"), "some name", State::Seeding, 1.0)));
    let mut command = daemon.command(["list"]);
    let mut child =
        command.env("BTCTL_TOKEN", TOKEN).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
}

#[test]
fn scripts_for_shells_need_no_daemon() {
    let daemon = three();
    for shell in ["bash", "zsh", "fish"] {
        let ran = daemon.run(["completions", shell, "--host", "nowhere:1"]);
        assert!(ran.code == 0 && ran.stdout.contains("set-strategy"), "{shell}");
    }
}
