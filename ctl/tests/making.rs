//! Making, inspecting, verifying and editing torrents with the real btctl: with a daemon of paper, and without any.

#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Daemon, Ran, TOKEN, ran};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A folder with `set/` in it, and btctl run there with no daemon in reach.
struct Here(TempDir);

impl Here {
    fn new() -> Self {
        let here = Self(TempDir::new().unwrap());
        fs::create_dir_all(here.0.path().join("set/sub")).unwrap();
        fs::write(here.0.path().join("set/one.txt"), vec![b'1'; 40_000]).unwrap();
        fs::write(here.0.path().join("set/sub/two.bin"), vec![b'2'; 100_000]).unwrap();
        fs::write(here.0.path().join("set/.hidden"), b"h").unwrap();
        here
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_btctl"));
        // Port 1 is nobody's.
        command.args(args).env_clear().env("BTCTL_HOST", "127.0.0.1:1").env("HOME", self.0.path());
        command.current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        ran(&mut self.command(args))
    }

    fn json(&self, args: &[&str]) -> Value {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.json()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_torrent_is_made_inspected_verified_and_edited_without_a_daemon() {
    let here = Here::new();
    let made = here.json(&[
        "mktorrent",
        "set",
        "--local",
        "--json",
        "-l",
        "15",
        "-c",
        "a remark",
        "--private",
        "--hybrid",
        "--source",
        "S",
        "-a",
        "http://a.example/,udp://b.example:80",
        "-a",
        "http://c.example/",
        "--web-seed",
        "http://w.example/",
    ]);
    assert_eq!(
        (&made["name"], &made["piece_length"], &made["files"], &made["size"]),
        (&json!("set"), &json!(32768), &json!(2), &json!(140_000))
    );
    assert_eq!(here.names(), ["set", "set.torrent"]);
    assert!(made["magnet"].as_str().unwrap().contains("xt=urn:btmh:1220"));

    let seen = here.json(&["inspect", "set.torrent", "--json"]);
    for key in ["id", "info_hash", "info_hash_v2", "magnet", "name", "size", "piece_length"] {
        assert_eq!(seen[key], made[key], "{key}");
    }
    assert_eq!(seen["version"], "hybrid");
    assert_eq!(seen["trackers"], json!([["http://a.example/", "udp://b.example:80"], ["http://c.example/"]]));
    assert_eq!(
        (&seen["private"], &seen["source"], &seen["comment"]),
        (&json!(true), &json!("S"), &json!("a remark"))
    );
    assert!(seen["creation_date"].as_u64().unwrap() > 1_700_000_000);
    let text = here.run(&["inspect", "set.torrent"]).stdout;
    assert!(text.contains("├── one.txt") && text.contains("└── two.bin"), "{text}");

    let checked = here.json(&["verify", "set.torrent", "set", "--json"]);
    assert_eq!((&checked["complete"], &checked["bad_pieces"]), (&json!(true), &json!([])));

    let edited = here.json(&[
        "edit",
        "set.torrent",
        "-a",
        "http://new.example/",
        "-c",
        "",
        "--web-seed",
        "",
        "--json",
    ]);
    assert_eq!((&edited["id"], &edited["trackers"]), (&made["id"], &json!([["http://new.example/"]])));
    let seen = here.json(&["inspect", "set.torrent", "--json"]);
    assert_eq!(
        (&seen["comment"], &seen["web_seeds"], &seen["info_hash_v2"]),
        (&json!(null), &json!([]), &made["info_hash_v2"])
    );
    assert_eq!(here.names(), ["set", "set.torrent"]);
}

#[test]
fn verify_says_which_files_and_pieces_differ() {
    let here = Here::new();
    for flag in ["--v1", "--v2"] {
        here.json(&["mktorrent", "set", "--local", "--json", "-l", "14", flag, "--force"]);
        let path = here.0.path().join("set/sub/two.bin");
        let mut bytes = fs::read(&path).unwrap();
        bytes[50_000] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let found = here.run(&["verify", "set.torrent", "set", "--json"]);
        assert_eq!(found.code, 1, "{found:?}");
        let found = found.json();
        // 90,000 bytes into the row of v1; three whole pieces before in v2, where files start at pieces.
        assert_eq!(found["bad_pieces"], if flag == "--v1" { json!([5]) } else { json!([6]) });
        assert_eq!(
            (&found["files"][0]["state"], &found["files"][1]["state"]),
            (&json!("good"), &json!("differs"))
        );
        let text = here.run(&["verify", "set.torrent", "."]);
        assert!(text.stdout.contains("differs     set/sub/two.bin: 1 piece differs"), "{text:?}");
    }
    fs::remove_file(here.0.path().join("set/one.txt")).unwrap();
    let text = here.run(&["verify", "set.torrent", "set"]);
    assert!(text.code == 1 && text.stdout.contains("missing     set/one.txt"), "{text:?}");
    assert_eq!(here.run(&["verify", "set.torrent", "nowhere"]).code, 5);
}

#[test]
fn bad_input_is_told_apart_and_leaves_nothing() {
    let here = Here::new();
    fs::create_dir(here.0.path().join("empty")).unwrap();
    let before = here.names();
    for (args, code, sentence) in [
        (&["nothing"][..], 5, "does not exist"),
        (&["empty"], 1, "holds no files"),
        (&["set", "-l", "100000"], 2, "not a power of two"),
        (&["set", "-l", "8192"], 2, "out of range"),
        (&["set", "-l", "much"], 2, "not a piece length"),
        (&["set", "-a", "tracker.example"], 2, "not a tracker's address"),
        (&["set", "--web-seed", "x"], 2, "not a web seed's address"),
        (&["set", "--exclude", "["], 2, "not a pattern"),
        (&["set", "--exclude", "*"], 1, "left out"),
        (&["set", "-n", "a/b"], 2, "cannot be a torrent's name"),
        (&["set", "-p", "no/such/folder/x.torrent"], 1, "cannot write"),
        (&["set", "--v1", "--v2"], 2, "cannot be used with"),
        (&["set", "-f", "set"], 2, "cannot be used with"),
        (&[], 2, "required"),
    ] {
        let ran = here.run(&[&["mktorrent", "--local"], args].concat());
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
        assert!(ran.stderr.contains(sentence), "{args:?}: {ran:?}");
        assert_eq!(here.names(), before, "{args:?}");
    }
    fs::write(here.0.path().join("set.torrent"), b"precious").unwrap();
    let ran = here.run(&["mktorrent", "--local", "set"]);
    assert!(ran.code == 1 && ran.stderr.contains("exists already"), "{ran:?}");
    assert_eq!(fs::read(here.0.path().join("set.torrent")).unwrap(), b"precious");
    let failed = here.run(&["inspect", "set.torrent", "--json"]);
    assert_eq!((failed.code, &failed.json()["error"]["kind"]), (1, &json!("invalid_torrent")));
    assert_eq!(here.run(&["mktorrent", "--local", "--force", "set"]).code, 0);
    // Without a daemon and without --local.
    let ran = here.run(&["mktorrent", "--force", "set"]);
    assert!(ran.code == 3 && ran.stderr.contains("--local"), "{ran:?}");
}

#[test]
fn a_dry_run_writes_nothing_and_other_ways_to_say_it_are_the_same() {
    let here = Here::new();
    let dry = here.json(&["mktorrent", "set", "--dry-run", "--json"]);
    assert_eq!((here.names(), &dry["path"]), (vec!["set".to_owned()], &json!(null)));
    let listed = here.run(&["mktorrent", "set", "--dry-run"]).stdout;
    assert!(listed.contains("set/one.txt") && listed.contains("not written"), "{listed}");
    fs::create_dir(here.0.path().join("out")).unwrap();
    let named = here.json(&["mktorrent", "-f", "set", "--local", "-p", "out", "-l", "16KiB", "--json"]);
    assert_eq!(named["info_hash"], dry["info_hash"]);
    assert!(named["path"].as_str().unwrap().ends_with("/out/set.torrent"));
    let hidden = here.json(&["mktorrent", "set", "--dry-run", "--include-hidden", "--json"]);
    assert_eq!(hidden["files"], 3);
    let magnet = here.json(&["inspect", dry["magnet"].as_str().unwrap(), "--json"]);
    assert_eq!((&magnet["id"], &magnet["name"]), (&dry["id"], &json!("set")));
}

/// Interrupts a running btctl, and answers how it ended.
fn interrupted(mut command: Command, ready: impl Fn() -> bool) -> Ran {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ready() {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "it never got to work");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().expect("it ends by itself, not by the signal"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn an_interrupt_leaves_nothing_behind() {
    let here = Here::new();
    // A terabyte of nothing takes minutes to read.
    File::create(here.0.path().join("set/huge")).unwrap().set_len(1 << 40).unwrap();
    let mut command = here.command(&["mktorrent", "set", "--local", "--json"]);
    command.env("BTCTL_TOKEN", TOKEN);
    // It reads when the huge file is open.
    let huge = here.0.path().join("set/huge").canonicalize().unwrap();
    let reads = move || {
        let fds =
            fs::read_dir("/proc").unwrap().flatten().filter_map(|p| fs::read_dir(p.path().join("fd")).ok());
        fds.flatten().flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == huge))
    };
    let ran = interrupted(command, reads);
    assert_eq!((ran.code, &ran.json()["error"]["kind"]), (1, &json!("cancelled")), "{ran:?}");
    assert_eq!(here.names(), ["set"]);
}

#[test]
fn the_daemon_makes_it_as_a_job() {
    let daemon = Daemon::start([]);
    fs::create_dir(daemon.home.path().join("set")).unwrap();
    let made = daemon.run([
        "mktorrent",
        "set",
        "--v2",
        "-a",
        "http://a.example/",
        "-l",
        "20",
        "--exclude",
        "*.tmp",
        "--seed",
        "-w",
        "--json",
    ]);
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(made.json()["path"], "/there/set.torrent");
    let asked = daemon.state.last("torrent.create");
    assert!(
        asked["path"].as_str().unwrap().ends_with("/set") && asked["path"].as_str().unwrap().starts_with('/')
    );
    assert!(asked["torrent_path"].as_str().unwrap().ends_with("/set.torrent"));
    for (key, value) in [
        ("format", json!("v2")),
        ("piece_length", json!(1 << 20)),
        ("trackers", json!([["http://a.example/"]])),
        ("exclude", json!(["*.tmp"])),
        ("seed", json!(true)),
        ("no_date", json!(true)),
        ("force", json!(false)),
    ] {
        assert_eq!(asked[key], value, "{key}");
    }
}

#[test]
fn an_interrupt_cancels_the_job() {
    let daemon = Daemon::start([]);
    fs::create_dir(daemon.home.path().join("endless")).unwrap();
    let mut command = daemon.command(["mktorrent", "endless", "--json"]);
    command.env("BTCTL_TOKEN", TOKEN);
    let ran = interrupted(command, || daemon.state.count("job.get") > 1);
    assert_eq!((ran.code, &ran.json()["error"]["kind"]), (1, &json!("cancelled")), "{ran:?}");
    assert_eq!(daemon.state.count("job.cancel"), 1);
}
