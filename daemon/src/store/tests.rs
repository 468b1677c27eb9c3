//! The store against crashes, damage and time.

use super::*;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn id(n: u32) -> InfoHash {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&n.wrapping_mul(0x9e37_79b1).to_be_bytes());
    bytes[16..].copy_from_slice(&n.to_be_bytes());
    InfoHash(bytes)
}

fn record(n: u32) -> TorrentRecord {
    TorrentRecord {
        name: format!("torrent {n}"),
        size: u64::from(n),
        ..TorrentRecord::new(id(n), "/data".into(), 5)
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A bitfield whose every byte is `byte`.
fn filled(byte: u8, pieces: u32) -> Bitfield {
    Bitfield::from_wire(&vec![byte; (pieces / 8) as usize], pieces).unwrap()
}

#[test]
fn everything_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let peers = ["1.2.3.4:5".parse().unwrap(), "[::1]:6881".parse().unwrap()];
    let mut long = record(2);
    long.priorities = (0..5000).map(|n| PriorityRun { first: n * 2, files: 1, priority: 0 }).collect();
    let have = filled(0x5a, 400_000);
    {
        let (store, loaded) = Store::open(dir.path()).unwrap();
        assert!(loaded.torrents.is_empty() && loaded.warnings.is_empty());
        store.put_torrent(&record(1)).unwrap();
        store.put_torrent(&long).unwrap();
        store.put_have(id(1), &have).unwrap();
        store.put_swarm(id(1), &peers).unwrap();
        store.put_settings(&serde_json::json!({"port": 1})).unwrap();
        store.put_dht(&[9; 50_000]).unwrap();
        store.put_metainfo(id(1), b"d4:infode").unwrap();
        assert_eq!(wait(store.get_have(id(1), 400_000)), Some(have.clone()), "before it is written");
    }
    let (store, loaded) = Store::open(dir.path()).unwrap();
    let mut expected = vec![record(1), long];
    expected.sort_by_key(|record| record.id);
    assert_eq!(loaded.torrents, expected);
    assert_eq!(loaded.settings, Some(serde_json::json!({"port": 1})));
    assert_eq!(loaded.dht, Some(vec![9; 50_000]));
    assert_eq!((loaded.orphans, loaded.warnings), (vec![], vec![]));
    assert_eq!(wait(store.get_have(id(1), 400_000)), Some(have));
    assert_eq!(wait(store.get_have(id(1), 400_008)), None, "another number of pieces");
    assert_eq!(wait(store.get_have(id(2), 8)), None);
    assert_eq!(wait(store.get_swarm(id(1))), peers);
    assert_eq!(store.get_metainfo(id(1)).unwrap().unwrap(), b"d4:infode");
    assert_eq!(store.get_metainfo(id(2)).unwrap(), None);
}

#[test]
fn a_removed_torrent_stays_removed_and_may_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.put_torrent(&record(1)).unwrap();
    store.put_have(id(1), &filled(0xff, 64)).unwrap();
    store.put_metainfo(id(1), b"x").unwrap();
    store.flush_blocking().unwrap();
    store.remove_torrent(id(1)).unwrap();
    assert_eq!(wait(store.get_have(id(1), 64)), None);
    store.put_torrent(&record(1)).unwrap();
    store.flush_blocking().unwrap();
    assert_eq!(wait(store.get_have(id(1), 64)), None, "what was held belongs to the torrent that went");
    store.remove_torrent(id(1)).unwrap();
    drop(store);
    let (store, loaded) = Store::open(dir.path()).unwrap();
    assert!(loaded.torrents.is_empty() && loaded.orphans.is_empty());
    assert!(fs::read_dir(dir.path().join("torrents")).unwrap().next().is_none());
    // As a crash leaves it: the mark is there, the database has not heard of it.
    store.put_torrent(&record(1)).unwrap();
    drop(store);
    fs::write(dir.path().join(format!("torrents/{}.removed", id(1))), b"").unwrap();
    let (_, loaded) = Store::open(dir.path()).unwrap();
    assert!(loaded.torrents.is_empty());
}

#[test]
fn closing_flushes_though_others_hold_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.put_torrent(&record(1)).unwrap();
    wait(store.close());
    let (_again, loaded) = Store::open(dir.path()).unwrap();
    assert_eq!(loaded.torrents, [record(1)]);
    assert!(dir.path().join("snapshot").exists());
    assert!(matches!(wait(store.flush()), Err(StoreError::Closed)));
    assert_eq!(wait(store.get_have(id(1), 8)), None);
}

#[test]
fn a_complete_torrent_needs_no_bitfield() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.put_have(id(1), &filled(0xff, 64)).unwrap();
    store.put_torrent(&record(1)).unwrap();
    store.flush_blocking().unwrap();
    store.put_torrent(&TorrentRecord { complete: true, ..record(1) }).unwrap();
    assert_eq!(wait(store.get_have(id(1), 64)), None);
    store.flush_blocking().unwrap();
    assert_eq!(wait(store.get_have(id(1), 64)), None);
}

#[test]
fn a_second_holder_is_told_who_the_first_is() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    let error = Store::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains(&format!("process id {}", std::process::id())), "{error}");
    drop(store);
    Store::open(dir.path()).unwrap();
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    {
        let mut warnings = Vec::new();
        let database = open::open_database(dir.path(), migrate::STEPS, &mut warnings).unwrap();
        let mut changes = mailbox::Changes::default();
        migrate::stamp(&mut changes, 77);
        database.commit(&changes).unwrap();
    }
    for _ in 0..2 {
        let error = Store::open(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 77, known: 1, .. }), "{error}");
    }
}

#[test]
fn migrations_run_once_each_and_in_order() {
    fn step(database: &database::Database, name: u8) -> Result<mailbox::Changes, database::Fault> {
        let mut trail = Vec::new();
        database.values(Tree::Settings, |_, value| trail = value)?;
        trail.push(name);
        let mut changes = mailbox::Changes::default();
        for (key, sealed) in envelope::seal(Tree::Settings, b"trail", &trail).unwrap() {
            changes.puts.insert((Tree::Settings, key), sealed);
        }
        Ok(changes)
    }
    let steps: &[migrate::Step] = &[|db| step(db, b'a'), |db| step(db, b'b'), |db| step(db, b'c')];
    let dir = tempfile::tempdir().unwrap();
    for (known, expected) in [(0, ""), (1, "a"), (3, "abc"), (3, "abc")] {
        let database = open::open_database(dir.path(), &steps[..known], &mut Vec::new()).unwrap();
        let mut trail = Vec::new();
        database.values(Tree::Settings, |_, value| trail = value).unwrap();
        assert_eq!(String::from_utf8(trail).unwrap(), expected);
        assert_eq!(migrate::read(&database).unwrap(), Some(u32::try_from(known).unwrap() + 1));
    }
}

/// Fills a state, then damages the database file at `flips` places.
fn damaged(flips: impl Fn(usize) -> Vec<usize>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    for n in 0..200 {
        store.put_torrent(&TorrentRecord { complete: true, ..record(n) }).unwrap();
        store.put_metainfo(id(n), b"x").unwrap();
    }
    drop(store);
    let path = dir.path().join("db/db");
    let mut bytes = fs::read(&path).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    for at in flips(used) {
        bytes[at] ^= 0x10;
    }
    fs::write(&path, bytes).unwrap();
    dir
}

#[test]
fn flipped_bytes_are_mended_and_nothing_is_believed() {
    type Flips = fn(usize) -> Vec<usize>;
    let cases: [Flips; 5] = [
        |used| vec![used / 2],
        |used| (0..used).step_by(997).collect(),
        |used| (0..used.min(4096)).collect(),
        |used| (used.saturating_sub(3000)..used).collect(),
        |used| (used / 3..used / 3 + 5000).collect(),
    ];
    let mut mended = 0;
    for flips in cases {
        let dir = damaged(flips);
        let (store, loaded) = Store::open(dir.path()).unwrap();
        let known: Vec<_> = loaded.torrents.iter().map(|record| record.id).collect();
        for n in 0..200 {
            assert!(known.contains(&id(n)), "torrent {n} is lost");
        }
        for record in loaded.torrents.iter().filter(|record| !record.complete) {
            assert_eq!(wait(store.get_have(record.id, 8)), None);
            mended += 1;
        }
        drop(store);
        let (_, again) = Store::open(dir.path()).unwrap();
        assert_eq!(again.torrents.len(), 200, "and it stays mended");
        assert_eq!(again.warnings, Vec::<String>::new());
    }
    assert!(mended >= 200, "no damage was ever noticed: {mended}");
}

#[test]
fn a_lost_database_comes_back_from_the_snapshot_and_lost_records_from_their_files() {
    let dir = damaged(|_| vec![]);
    let (store, _) = Store::open(dir.path()).unwrap();
    store.put_metainfo(id(999), b"x").unwrap();
    drop(store);
    fs::write(dir.path().join("db/db"), b"").unwrap();
    let (_store, loaded) = Store::open(dir.path()).unwrap();
    assert_eq!(loaded.torrents.len(), 200);
    assert!(loaded.torrents.iter().all(|record| !record.complete));
    assert_eq!(loaded.orphans, [id(999)]);
    assert!(!loaded.warnings.is_empty());
}

#[test]
fn a_database_of_garbage_is_written_anew_and_an_interrupted_rewriting_is_settled() {
    let dir = tempfile::tempdir().unwrap();
    let size = || fs::metadata(dir.path().join("db/db")).unwrap().len();
    let (store, _) = Store::open(dir.path()).unwrap();
    for n in 0..400 {
        store.put_torrent(&TorrentRecord { labels: vec!["x".repeat(6000)], ..record(n) }).unwrap();
    }
    store.flush_blocking().unwrap();
    for n in 1..400 {
        store.remove_torrent(id(n)).unwrap();
    }
    drop(store);
    let before = size();
    let database = open::open_database(dir.path(), migrate::STEPS, &mut Vec::new()).unwrap();
    drop(open::compact(dir.path(), database, 1, 1024 * 1024).unwrap());
    assert!(size() <= before / 4, "{before} bytes became {}", size());

    fs::rename(dir.path().join("db"), dir.path().join("db.old")).unwrap();
    fs::create_dir(dir.path().join("db.new")).unwrap();
    let (_store, loaded) = Store::open(dir.path()).unwrap();
    assert_eq!((loaded.torrents.len(), loaded.warnings), (1, vec![]));
    assert!(!dir.path().join("db.old").exists() && !dir.path().join("db.new").exists());
}

#[test]
fn a_hundred_thousand_torrents_reopen_quickly() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    for n in 0..100_000 {
        store.put_torrent(&record(n)).unwrap();
    }
    store.flush_blocking().unwrap();
    drop(store);
    let start = Instant::now();
    let (_store, loaded) = Store::open(dir.path()).unwrap();
    let took = start.elapsed();
    assert_eq!(loaded.torrents.len(), 100_000);
    println!("100,000 records loaded in {took:?}");
    assert!(took < Duration::from_secs(5), "took {took:?}");
}

const CHILD_DIR: &str = "BTD_TEST_STORE_DIR";
const TORRENTS: u32 = 20;
/// Three chunks of bitfield.
const PIECES: u32 = 180_000;

/// Writes generation after generation, and says so on standard output after each flush. Only run by the test below.
#[test]
fn crash_child() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let (store, loaded) = Store::open(Path::new(&dir)).unwrap();
    let first = loaded.torrents.iter().map(|record| record.added_at).max().unwrap_or(0) + 1;
    let mut out = io::stdout();
    for generation in first.. {
        let have = filled(u8::try_from(generation % 256).unwrap(), PIECES);
        for n in 0..TORRENTS {
            store.put_torrent(&TorrentRecord { added_at: generation, ..record(n) }).unwrap();
            store.put_have(id(n), &have).unwrap();
        }
        store.flush_blocking().unwrap();
        writeln!(out, "\nflushed {generation}").unwrap();
    }
}

#[test]
fn kill_9_loses_nothing_that_was_flushed_and_tears_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::crash_child", "--nocapture"])
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let flushed = |line: &str| line.strip_prefix("flushed ").and_then(|n| n.parse::<u64>().ok());
        let first = lines.by_ref().find_map(|line| flushed(&line.unwrap())).expect("the child flushes");
        // At another point of a commit in each round; what was flushed until then is in the pipe.
        std::thread::sleep(Duration::from_micros(round * round * 700));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = lines.map_while(Result::ok).filter_map(|line| flushed(&line)).last().unwrap_or(first);

        let (store, loaded) = Store::open(dir.path()).unwrap();
        assert_eq!(loaded.warnings, Vec::<String>::new());
        assert_eq!(loaded.torrents.len(), TORRENTS as usize);
        for record in loaded.torrents {
            assert!(record.added_at >= acknowledged, "{} < {acknowledged}", record.added_at);
            let have = wait(store.get_have(record.id, PIECES)).expect("a whole bitfield");
            let bytes = have.as_bytes();
            assert!(bytes.iter().all(|byte| *byte == bytes[0]), "a torn bitfield");
            let generations =
                [record.added_at % 256, (record.added_at + 255) % 256, (record.added_at + 1) % 256];
            assert!(generations.contains(&u64::from(bytes[0])), "{} with {}", record.added_at, bytes[0]);
        }
    }
    assert!(acknowledged >= 12, "hardly anything was written");
}
