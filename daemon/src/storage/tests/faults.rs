//! What goes wrong stays with the torrent that it happens to, and is never taken for data.

use super::*;
use crate::storage::fds::OpenFile;
use std::{os::unix::fs::symlink, sync::Arc};

#[test]
fn a_bad_piece_is_not_written_and_can_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(dir.path(), &[("file", 100_000, false)], 65_536);
    world.feed(&world.blocks_of(0)[..3]);
    world.feed_bytes(world.layout.block(0, 3), &[9; 16_384]);
    assert!(matches!(world.event(), StorageEvent::Bad { piece: 0, ref digests, .. } if digests.len() == 4));
    assert!(!dir.path().join("file").exists());
    world.feed(&world.blocks());
    world.all_done();
    world.files_are_right(dir.path());
}

#[test]
fn a_full_disk_stops_one_torrent_and_not_another() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(dir.path(), &[("file", 65_536, false)], 65_536);
    let mut other = World::with(&world.storage, dir.path(), &[("other", 65_536, false)], 65_536);
    // A file on a full disk: the kernel's own.
    let full = std::fs::OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
    let place = world.handle.torrent.files.place();
    world.storage.inner.fds.put((place.id, 0), Arc::new(OpenFile::new(full.into(), true)));
    world.feed(&world.blocks());
    other.feed(&other.blocks());
    assert_eq!(world.failed(), (Some(0), DiskErrorKind::Full));
    other.all_done();
    other.files_are_right(dir.path());
    // There is room again.
    world.storage.inner.fds.forget(place.id);
    world.feed(&world.blocks());
    world.all_done();
    world.files_are_right(dir.path());
}

#[test]
fn links_below_the_save_path_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (save, outside) = (dir.path().join("save"), dir.path().join("outside"));
    std::fs::create_dir_all(&save).unwrap();
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("precious"), b"precious").unwrap();
    symlink(&outside, save.join("sub")).unwrap();
    symlink(outside.join("precious"), save.join("link")).unwrap();
    let mut world = World::new(&save, &[("sub/new", 16_384, false), ("link", 16_384, false)], 16_384);
    world.feed(&world.blocks());
    let mut failed = [world.failed(), world.failed()];
    failed.sort_by_key(|(piece, _)| *piece);
    assert_eq!(failed, [(Some(0), DiskErrorKind::NotPlain), (Some(1), DiskErrorKind::NotPlain)]);
    world.handle.delete_data().unwrap();
    assert!(matches!(world.event(), StorageEvent::Deleted { result: Err(_), .. }));
    assert_eq!(std::fs::read(outside.join("precious")).unwrap(), b"precious");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn a_vanished_folder_is_noticed_and_not_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let save = dir.path().join("save");
    let mut world = World::new(&save, &[("a", 65_536, false), ("b", 65_536, false)], 65_536);
    world.feed(&world.blocks_of(0));
    world.done(1);
    std::fs::remove_dir_all(&save).unwrap();
    world.handle.torrent.set_finished(0, false);
    // One file is open still, the other is not.
    world.feed(&world.blocks());
    assert_eq!(world.failed().1, DiskErrorKind::Missing);
    assert_eq!(world.failed().1, DiskErrorKind::Missing);
    assert!(!save.exists());
    assert_eq!(world.fetched(&world.blocks_of(0)), Err(DiskErrorKind::Missing));
    std::fs::create_dir(&save).unwrap();
    world.feed(&world.blocks());
    world.all_done();
    world.files_are_right(&save);
}

#[test]
fn a_file_cut_short_is_told_from_a_broken_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(dir.path(), &[("file", 65_536, false)], 65_536);
    world.feed(&world.blocks());
    world.all_done();
    std::fs::OpenOptions::new().write(true).open(dir.path().join("file")).unwrap().set_len(40_000).unwrap();
    let blocks = world.blocks();
    assert_eq!(world.handle.read_now(&blocks, &mut Vec::new()), ReadNow::WouldBlock);
    assert_eq!(world.fetched(&blocks), Err(DiskErrorKind::Changed));
    world.fetched(&blocks[..2]).unwrap();
    // What was lost is downloaded again.
    world.feed(&blocks);
    world.all_done();
    world.files_are_right(dir.path());
}

#[test]
fn what_is_not_a_file_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("file");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let mut world = World::new(dir.path(), &[("file", 16_384, false)], 16_384);
    world.feed(&world.blocks());
    assert_eq!(world.failed(), (Some(0), DiskErrorKind::NotPlain));
}

#[test]
fn closing_frees_what_was_in_progress() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path(), &[("file", 300_000, false)], 65_536);
    let mut other = World::with(&world.storage, dir.path(), &[("other", 16_384, false)], 16_384);
    world.feed(&world.blocks()[1..3]);
    world.feed(&world.blocks()[5..7]);
    world.handle.clone().close();
    // Each worker has taken note when it has done something asked for later.
    other.synced();
    assert_eq!(world.storage.pool().in_use(), 0);
}

#[test]
fn stopping_writes_what_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(dir.path(), &[("file", 300_000, false)], 65_536);
    world.feed(&world.blocks());
    world.storage.stop();
    world.all_done();
    world.files_are_right(dir.path());
    let buf = world.buffer();
    assert!(world.handle.absorb(world.layout.block(0, 0), buf).is_err());
}
