//! Torrents of version 2 alone: files aligned to pieces, each verified by its tree.

use super::{whole::shuffle, *};
use proptest::prelude::*;
use proto::{
    bencode::Encoder,
    layout::BLOCK,
    merkle::{self, HashTrees},
    metainfo::{Info, v2::PieceLayers},
};
use std::sync::Arc;

/// A torrent of version 2 with files of these lengths, all different.
fn world(storage: &Storage, at: &Path, lengths: &[u64], piece_length: u32) -> World {
    let contents: Vec<Vec<u8>> = (1u64..)
        .zip(lengths)
        .map(|(seed, length)| content(&specs(&[("file", *length, false)]), seed))
        .collect();
    let leaves = |data: &[u8]| hash::sha256_many(&data.chunks(BLOCK as usize).collect::<Vec<_>>());
    let width = (piece_length / BLOCK) as usize;
    let mut layers = PieceLayers::new();
    let mut e = Encoder::new();
    e.dict(|d| {
        d.dict(b"file tree", |tree| {
            for (at, data) in contents.iter().enumerate() {
                let leaves = leaves(data);
                let root = merkle::root(&leaves, leaves.len().next_power_of_two(), 0);
                tree.dict(format!("f{at:03}").as_bytes(), |file| {
                    file.dict(b"", |entry| {
                        entry.int(b"length", data.len() as i64);
                        entry.bytes(b"pieces root", &root);
                    });
                });
                let pieces: Vec<u8> =
                    leaves.chunks(width).flat_map(|piece| merkle::root(piece, width, 0)).collect();
                if leaves.len() > width {
                    layers.insert(root, Bytes::from(pieces));
                }
            }
        });
        d.int(b"meta version", 2);
        d.bytes(b"name", b"set");
        d.int(b"piece length", i64::from(piece_length));
    });
    let info = Info::parse_any(&e.finish()).unwrap();
    let trees = HashTrees::of(&info, &layers).unwrap().unwrap();
    assert_eq!(trees.missing().count(), 0);
    let mut data = vec![0; info.layout.total() as usize];
    let spec = |file: &proto::metainfo::FileEntry| FileSpec {
        path: file.path.clone(),
        length: file.length,
        offset: file.offset,
        pad: file.pad,
    };
    let files: Vec<_> = info.files.iter().map(spec).collect();
    for (file, content) in files.iter().filter(|file| !file.pad).zip(&contents) {
        data[file.offset as usize..(file.offset + file.length) as usize].copy_from_slice(content);
    }
    World::promised(storage, at, files, data, info.layout, Promise::Trees(Arc::new(trees)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_tree_in_any_order_becomes_its_files(
        lengths in prop::collection::vec(1..300_000u64, 1..8), shift in 0..4u32, seed in any::<u64>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let cache = if seed % 2 == 0 { 4 } else { 64 } * crate::storage::BUF;
        let storage = Storage::start(StorageConfig { cache, open_files: 2, ..small() }).unwrap();
        let mut world = world(&storage, dir.path(), &lengths, BLOCK << shift);
        let mut blocks = world.blocks();
        let asked_for: u64 = blocks.iter().map(|block| u64::from(block.len)).sum();
        prop_assert_eq!(asked_for, lengths.iter().sum::<u64>());
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
    }
}

#[test]
fn one_wrong_bit_spoils_one_piece() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::start(small()).unwrap();
    let mut world = world(&storage, dir.path(), &[100_000, 5, 200_000], BLOCK * 2);
    let blocks = world.blocks();
    let last = *blocks.last().unwrap();
    world.feed(&blocks[..blocks.len() - 1]);
    let mut wrong = world.bytes(last).to_vec();
    wrong[last.len as usize - 1] ^= 1;
    world.feed_bytes(last, &wrong);
    let mut bad = Vec::new();
    for _ in 0..world.layout.pieces() {
        match world.event() {
            StorageEvent::Done { .. } => {}
            StorageEvent::Bad { piece, digests, .. } => bad.push((piece, digests.len())),
            other => panic!("expected a piece, got {other:?}"),
        }
    }
    assert_eq!(bad, [(last.piece, world.layout.blocks_in(last.piece) as usize)]);
    world.feed(&world.blocks_of(last.piece));
    world.done(1);
    assert!(world.files[1].pad);
    let path = dir.path().join(world.files[1].path.iter().collect::<std::path::PathBuf>());
    let mut bytes = std::fs::read(dir.path().join("set/f000")).unwrap();
    bytes[40_000] ^= 4;
    std::fs::write(dir.path().join("set/f000"), bytes).unwrap();
    assert!(!path.exists(), "padding is not stored");
    let good: Vec<_> = (0..world.layout.pieces()).filter(|piece| *piece != 1).collect();
    assert_eq!(world.checked(), good);
}

#[test]
fn a_hole_is_not_taken_for_data() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::start(small()).unwrap();
    let mut world = world(&storage, dir.path(), &[70_000], BLOCK * 2);
    std::fs::create_dir(dir.path().join("set")).unwrap();
    let file = std::fs::File::create(dir.path().join("set/f000")).unwrap();
    file.set_len(70_000).unwrap();
    assert_eq!(world.checked(), [0; 0]);
}
