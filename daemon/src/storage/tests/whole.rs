//! Downloads that succeed.

use super::*;
use proptest::prelude::*;

/// Files of a random torrent, some empty, some padding, and the order in which its blocks come.
fn torrents() -> impl Strategy<Value = (Vec<(u64, bool)>, u32, u64)> {
    let length = prop_oneof![Just(0), 1..100u64, 1000..90_000u64];
    let file = (length, prop::bool::weighted(0.2));
    let piece_length = prop_oneof![Just(16 * 1024u32), Just(64 * 1024), Just(40_000), Just(1000)];
    (prop::collection::vec(file, 1..12), piece_length, any::<u64>())
}

pub(super) fn shuffle(blocks: &mut [Block], mut seed: u64) {
    for at in (1..blocks.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        blocks.swap(at, (seed >> 33) as usize % (at + 1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_layout_in_any_order_becomes_its_files((files, piece_length, seed) in torrents()) {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<_> = (0..files.len()).map(|at| format!("d{}/f{at}", at % 3)).collect();
        let sketches: Vec<Sketch<'_>> =
            names.iter().zip(&files).map(|(name, (length, pad))| (name.as_str(), *length, *pad)).collect();
        // Four buffers: hardly a piece is whole before part of it is spilled.
        let cache = if seed % 2 == 0 { 4 } else { 64 } * crate::storage::BUF;
        let storage = Storage::start(StorageConfig { cache, open_files: 2, ..small() }).unwrap();
        let mut world = World::with(&storage, dir.path(), &sketches, piece_length);
        let mut blocks = world.blocks();
        shuffle(&mut blocks, seed);
        world.feed(&blocks);
        world.all_done();
        world.synced();
        world.files_are_right(dir.path());
        let all: Vec<_> = (0..world.layout.pieces()).collect();
        prop_assert_eq!(world.checked(), all);
        for some in blocks.chunks(7) {
            world.fetched(some).unwrap();
        }
        prop_assert_eq!(storage.pool().in_use(), 0);
        prop_assert_eq!(storage.read_pool().in_use(), 0);
    }
}

#[test]
fn a_hundred_pieces_in_progress_fit_in_a_pool_of_four() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::start(StorageConfig { cache: 64 * super::super::BUF, ..small() }).unwrap();
    let mut world = World::with(&storage, dir.path(), &[("file", 100 * 16 * 16_384, false)], 16 * 16_384);
    // The last block of each piece first: all of them must be spilled before they can be hashed.
    for index in (0..16).rev() {
        let blocks: Vec<_> = (0..100).map(|piece| world.layout.block(piece, index)).collect();
        world.feed(&blocks);
    }
    world.all_done();
    world.files_are_right(dir.path());
    // In order: only hashed blocks are spilled.
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::with(&storage, dir.path(), &[("file", 100 * 16 * 16_384, false)], 16 * 16_384);
    for index in 0..16 {
        let blocks: Vec<_> = (0..100).map(|piece| world.layout.block(piece, index)).collect();
        world.feed(&blocks);
    }
    world.all_done();
    world.files_are_right(dir.path());
    assert_eq!(storage.pool().in_use(), 0);
}

#[test]
fn thousands_of_files_need_few_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::start(StorageConfig { open_files: 16, ..small() }).unwrap();
    let names: Vec<_> = (0..2000).map(|at| format!("d{}/f{at}", at % 20)).collect();
    let sketches: Vec<Sketch<'_>> = names.iter().map(|name| (name.as_str(), 700, false)).collect();
    let mut world = World::with(&storage, dir.path(), &sketches, 16_384);
    world.feed(&world.blocks());
    world.all_done();
    assert!(storage.inner.fds.len() <= 16);
    world.files_are_right(dir.path());
    assert_eq!(world.checked().len(), world.layout.pieces() as usize);
    assert!(storage.inner.fds.len() <= 16);
}

#[test]
fn what_was_just_written_is_read_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(dir.path(), &[("file", 200_000, false), ("other", 50_000, false)], 65_536);
    world.feed(&world.blocks());
    world.all_done();
    let blocks = world.blocks();
    let mut out = Vec::new();
    assert_eq!(world.handle.read_now(&blocks, &mut out), ReadNow::Done);
    world.same(&blocks, &out);
    drop(out);
}

#[test]
fn digests_come_when_asked_for_and_tell_blocks_apart() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(dir.path(), &[("file", 65_536, false)], 65_536);
    world.handle.want_digests(0);
    world.feed(&world.blocks());
    let StorageEvent::Done { digests: good, .. } = world.event() else { panic!() };
    assert_eq!(good.iter().map(|digest| digest.index).collect::<Vec<_>>(), [0, 1, 2, 3]);
    world.handle.torrent.set_finished(0, false);
    world.feed(&world.blocks()[1..]);
    world.feed_bytes(world.layout.block(0, 0), &[1; 16_384]);
    let StorageEvent::Bad { digests: bad, .. } = world.event() else { panic!() };
    assert_eq!(bad.len(), 4);
    assert_ne!(bad[0], good[0]);
    assert_eq!(bad[1..], good[1..]);
}

#[test]
fn a_late_copy_of_a_block_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(dir.path(), &[("file", 65_536, false)], 65_536);
    world.feed(&world.blocks());
    world.all_done();
    for block in world.blocks() {
        world.feed_bytes(block, &[0; 16_384]);
    }
    world.synced();
    world.files_are_right(dir.path());
    assert_eq!(world.storage.pool().in_use(), 0);
}
