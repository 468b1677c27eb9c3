use super::super::{Info, Metainfo, MetainfoError};
use super::*;
use crate::bencode::{Dict, Encoder};

const PIECE: i64 = 32 << 10;

fn leaf(node: &mut Dict<'_>, length: i64, root: Option<u8>) {
    node.dict(b"", |entry| {
        entry.int(b"length", length);
        if let Some(byte) = root {
            entry.bytes(b"pieces root", &[byte; 32]);
        }
    });
}

fn info(piece_length: i64, tree: impl FnOnce(&mut Dict<'_>)) -> Vec<u8> {
    let mut e = Encoder::new();
    e.dict(|d| {
        d.dict(b"file tree", tree);
        d.int(b"meta version", 2);
        d.bytes(b"name", b"set");
        d.int(b"piece length", piece_length);
    });
    e.finish()
}

fn parse(raw: &[u8]) -> Result<Tree, MetainfoError> {
    Info::parse_any(raw)?.tree()?.ok_or(MetainfoError::NoInfo)
}

#[test]
fn every_file_starts_at_a_piece() {
    let raw = info(PIECE, |tree| {
        tree.dict(b"a", |node| {
            node.dict(b"deep", |node| leaf(node, PIECE + 1, Some(1)));
            node.dict(b"empty", |node| leaf(node, 0, None));
        });
        tree.dict(b"b", |node| leaf(node, 5, Some(2)));
    });
    let tree = parse(&raw).unwrap();
    let seen: Vec<_> =
        tree.files.iter().map(|f| (f.entry.display_path(), f.entry.length, f.entry.offset, f.root)).collect();
    assert_eq!(
        seen,
        [
            ("set/a/deep".to_owned(), 32769, 0, Some([1; 32])),
            ("set/a/empty".to_owned(), 0, 32769, None),
            ("set/b".to_owned(), 5, 65536, Some([2; 32])),
        ]
    );
    assert!(tree.multi_file);
    assert_eq!((tree.layout.pieces(), tree.layout.total()), (3, 65541));
    let info = Info::parse_any(&raw).unwrap();
    assert!(info.is_v2_only() && Info::parse(&raw) == Err(MetainfoError::V2Only));
    assert_eq!(info.info_hash.0, info.v2_hash.unwrap()[..20]);
    let lengths: Vec<_> = info.files.iter().map(|f| (f.length, f.pad)).collect();
    assert_eq!(lengths, [(32769, false), (0, false), (32767, true), (5, false)]);
}

#[test]
fn one_file_of_the_torrents_name_stands_alone() {
    let alone = info(PIECE, |tree| tree.dict(b"set", |node| leaf(node, 5, Some(2))));
    let tree = parse(&alone).unwrap();
    assert!(!tree.multi_file);
    assert_eq!(tree.files[0].entry.path, ["set"]);
    let inside = info(PIECE, |tree| tree.dict(b"other", |node| leaf(node, 5, Some(2))));
    assert_eq!(parse(&inside).unwrap().files[0].entry.path, ["set", "other"]);
}

#[test]
fn names_from_strangers_stay_below() {
    let raw = info(PIECE, |tree| {
        tree.dict(b"..", |node| node.dict(b"/etc", |node| leaf(node, 1, Some(1))));
        tree.dict(b"\xff", |node| leaf(node, 1, Some(1)));
    });
    let tree = parse(&raw).unwrap();
    assert_eq!(tree.files[0].entry.path, ["set", "__", "_etc"]);
    assert_eq!(tree.files[1].entry.path, ["set", "%FF"]);
    assert_eq!(tree.files[1].given, [b"\xff"]);
}

#[test]
fn trees_that_make_no_sense() {
    let file = |index, why| Err(MetainfoError::File { index, why });
    let bad = |tree: fn(&mut Dict<'_>)| parse(&info(PIECE, tree)).map(|_| ());
    assert_eq!(bad(|_| ()), Err(MetainfoError::FileCount(0)));
    assert_eq!(bad(|t| t.int(b"a", 1)), file(0, "is malformed in the file tree"));
    assert_eq!(bad(|t| leaf(t, 1, Some(1))), file(0, "is malformed in the file tree"));
    assert_eq!(bad(|t| t.dict(b"a", |n| leaf(n, 1, None))), file(0, "has no `pieces root`"));
    assert_eq!(bad(|t| t.dict(b"a", |n| leaf(n, -1, Some(1)))), file(0, "has no length"));
    let both = |t: &mut Dict<'_>| {
        t.dict(b"a", |n| {
            leaf(n, 1, Some(1));
            n.dict(b"b", |n| leaf(n, 1, Some(1)));
        });
    };
    assert_eq!(bad(both), file(0, "is both a file and a directory"));
    let huge = |t: &mut Dict<'_>| t.dict(b"a", |n| leaf(n, i64::MAX, Some(1)));
    assert_eq!(bad(huge), Err(MetainfoError::TotalLength));
    for wrong in [0, 8192, 40_000, 1 << 29] {
        let raw = info(wrong, |t| t.dict(b"a", |n| leaf(n, 1, Some(1))));
        assert_eq!(parse(&raw), Err(MetainfoError::PieceLength(wrong)));
    }
}

#[test]
fn layers_are_read_by_root() {
    let raw = info(PIECE, |tree| tree.dict(b"a", |node| leaf(node, PIECE + 1, Some(9))));
    let torrent = |hashes: &[u8]| {
        let mut e = Encoder::new();
        e.dict(|d| {
            d.raw(b"info", &raw);
            d.dict(b"piece layers", |layers| layers.bytes(&[9; 32], hashes));
        });
        Metainfo::parse_any(&e.finish()).unwrap()
    };
    let layers = torrent(&[7; 64]).piece_layers().unwrap();
    assert_eq!(layers.get(&[9; 32]).map(|layer| layer.len()), Some(64));
    assert_eq!(torrent(&[7; 63]).piece_layers(), Err(MetainfoError::Key("piece layers")));
    // Editing keeps them.
    let mut edited = torrent(&[7; 64]);
    edited.outer.comment = Some("new".to_owned());
    assert_eq!(Metainfo::parse_any(&edited.to_bytes()).unwrap().piece_layers().unwrap(), layers);
}
