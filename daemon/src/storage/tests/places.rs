//! Data that is there already, is moved, or is to go.

use super::*;
use std::{os::unix::fs::FileExt, path::PathBuf};

const FILES: [Sketch<'_>; 5] = [
    ("t/a", 100_000, false),
    ("t/empty", 0, false),
    (".pad/31072", 31_072, true),
    ("t/sub/b", 200_000, false),
    ("t/c", 1, false),
];

#[test]
fn a_check_finds_exactly_what_is_good() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(dir.path(), &FILES, 32_768);
    assert_eq!(world.checked(), [0u32; 0]);
    world.feed(&world.blocks());
    world.all_done();
    let all: Vec<_> = (0..world.layout.pieces()).collect();
    assert_eq!(world.checked(), all);
    // One wrong byte in the second piece; the other file ends early, in the piece at 131,072 + 65,536; the last is gone.
    let a = std::fs::OpenOptions::new().write(true).open(dir.path().join("t/a")).unwrap();
    a.write_all_at(&[!world.data[40_000]], 40_000).unwrap();
    let b = std::fs::OpenOptions::new().write(true).open(dir.path().join("t/sub/b")).unwrap();
    b.set_len(70_000).unwrap();
    std::fs::remove_file(dir.path().join("t/c")).unwrap();
    assert_eq!(world.checked(), [0, 2, 3, 4, 5]);
    // Cut and grown again: a hole, which is as long as it must be but not what it must be.
    b.set_len(200_000).unwrap();
    assert_eq!(world.checked(), [0, 2, 3, 4, 5]);
}

#[test]
fn a_hole_is_good_where_zeros_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut data = vec![0; 1_000_000];
    data[500_000] = 1;
    let files = specs(&[("zeros", 1_000_000, false)]);
    std::fs::File::create(dir.path().join("zeros")).unwrap().set_len(1_000_000).unwrap();
    let mut world = World::of(&Storage::start(small()).unwrap(), dir.path(), files, data, 65_536);
    let but_one: Vec<_> = (0..16).filter(|piece| *piece != 500_000 / 65_536).collect();
    assert_eq!(world.checked(), but_one);
}

#[test]
fn only_the_pieces_asked_for_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(dir.path(), &FILES, 32_768);
    world.feed(&world.blocks());
    world.all_done();
    let mut only = proto::bitfield::Bitfield::none(world.layout.pieces());
    only.set(2);
    only.set(7);
    world.handle.check(Some(&only)).unwrap();
    let StorageEvent::Checked { result, .. } = world.event() else { panic!() };
    assert_eq!(result.unwrap(), only);
    world.handle.check(None).unwrap();
    world.handle.clone().close();
    // It may have been over before.
    let StorageEvent::Checked { result, .. } = world.event() else { panic!() };
    assert!(result.map_or_else(|error| error.kind == DiskErrorKind::Cancelled, |good| good.is_full()));
}

/// Moves a complete torrent with something of the user's beside it.
fn moves(from: PathBuf, to: PathBuf) {
    let mut world = World::new(&from, &FILES, 32_768);
    world.feed(&world.blocks());
    world.all_done();
    world.synced();
    std::fs::write(from.join("t/sub/mine"), b"mine").unwrap();
    world.handle.move_to(to.clone()).unwrap();
    let StorageEvent::Moved { result, .. } = world.event() else { panic!() };
    assert_eq!(result.unwrap(), to);
    world.files_are_right(&to);
    assert!(!from.join("t/a").exists());
    assert!(from.join("t/sub/mine").exists());
    world.fetched(&world.blocks()).unwrap();
    // Back again is refused while something is in the way, and then nothing has changed.
    std::fs::write(from.join("t/c"), b"mine").unwrap();
    world.handle.move_to(from.clone()).unwrap();
    let StorageEvent::Moved { result, .. } = world.event() else { panic!() };
    assert_eq!(result.unwrap_err().kind, DiskErrorKind::Exists);
    world.files_are_right(&to);
    assert_eq!(std::fs::read(from.join("t/c")).unwrap(), b"mine");
    // And what is deleted leaves nothing behind but the save path.
    world.handle.delete_data().unwrap();
    let StorageEvent::Deleted { result, .. } = world.event() else { panic!() };
    result.unwrap();
    assert_eq!(std::fs::read_dir(&to).unwrap().count(), 0);
}

#[test]
fn a_move_takes_the_files_and_leaves_what_is_not_ours() {
    let dir = tempfile::tempdir().unwrap();
    moves(dir.path().join("from"), dir.path().join("to/deep"));
}

#[test]
fn a_move_to_another_file_system_copies() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap());
    moves(here.path().join("from"), there.path().join("to"));
}

#[test]
fn an_older_longer_file_is_cut_and_files_may_be_preallocated() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a"), vec![1; 200_000]).unwrap();
    let storage = Storage::start(StorageConfig { preallocate: true, sync_writes: true, ..small() }).unwrap();
    let mut world = World::with(&storage, dir.path(), &[("a", 65_536, false), ("b", 100_000, false)], 65_536);
    world.feed(&world.blocks_of(1));
    world.done(1);
    assert_eq!(std::fs::metadata(dir.path().join("b")).unwrap().len(), 100_000);
    world.feed(&world.blocks_of(0));
    world.feed(&world.blocks_of(2));
    world.done(2);
    world.files_are_right(dir.path());
}

#[test]
fn a_piece_in_progress_survives_a_move() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let mut world = World::new(&from, &[("a", 65_536, false), ("b", 65_536, false)], 131_072);
    let blocks = world.blocks();
    world.feed(&blocks[..2]);
    world.feed(&blocks[4..7]);
    world.handle.move_to(to.clone()).unwrap();
    assert!(matches!(world.event(), StorageEvent::Moved { result: Ok(_), .. }));
    assert_eq!(world.storage.pool().in_use(), 0);
    world.feed(&blocks[2..4]);
    world.feed(&blocks[7..]);
    world.all_done();
    world.files_are_right(&to);
    assert!(!from.join("a").exists());
}
