use super::*;
use crate::{bencode::Encoder, id::InfoHash};
use lava_torrent::torrent::v1::{File, Torrent};
use proptest::prelude::*;
use sha1::{Digest, Sha1};

/// One entry of `files`, with more keys as asked for.
fn entry(length: i64, path: &[&[u8]], attr: Option<&[u8]>) -> Vec<u8> {
    let mut e = Encoder::new();
    e.dict(|d| {
        if let Some(attr) = attr {
            d.bytes(b"attr", attr);
        }
        d.int(b"length", length);
        d.list(b"path", |l| path.iter().for_each(|part| l.bytes(part)));
    });
    e.finish()
}

fn multi(entries: &[Vec<u8>], piece_length: i64, pieces: usize) -> Vec<u8> {
    let mut e = Encoder::new();
    e.dict(|d| {
        d.list(b"files", |l| entries.iter().for_each(|entry| l.raw(entry)));
        d.bytes(b"name", b"dir");
        d.int(b"piece length", piece_length);
        d.bytes(b"pieces", &vec![7; pieces * 20]);
    });
    e.finish()
}

fn single(length: i64, piece_length: i64, pieces: usize) -> Vec<u8> {
    let mut e = Encoder::new();
    e.dict(|d| {
        d.int(b"length", length);
        d.bytes(b"name", b"a");
        d.int(b"piece length", piece_length);
        d.bytes(b"pieces", &vec![7; pieces * 20]);
    });
    e.finish()
}

fn paths(info: &Info) -> Vec<String> {
    info.files.iter().map(FileEntry::display_path).collect()
}

#[test]
fn the_hash_is_of_the_bytes_as_they_came() {
    // Unsorted and unknown keys: whoever decodes and encodes anew gets another hash.
    let info = b"d4:name1:a6:lengthi3e12:piece lengthi16384e6:pieces20:AAAAAAAAAAAAAAAAAAAA3:odd2:??e";
    let file = [&b"d8:announce8:http://t4:info"[..], info, b"e trailing"].concat();
    let metainfo = Metainfo::parse(&file).unwrap();
    assert_eq!(metainfo.info.info_hash, InfoHash(Sha1::digest(info).into()));
    assert_eq!(metainfo.info.raw(), &info[..]);
    assert_eq!(metainfo.info.piece_hash(0), &[b'A'; 20]);
    assert_eq!(metainfo.info.piece_hash(1), &[0; 20]);
    assert_eq!(metainfo.trackers, [["http://t"]]);
    assert_eq!(Info::parse(info).unwrap(), metainfo.info);
    assert!(Info::parse(&[&info[..], b"x"].concat()).is_err());
}

#[test]
fn files_follow_each_other() {
    let entries = [
        entry(10, &[b"a"], None),
        entry(0, &[b"sub", b"empty"], None),
        entry(90, &[b"sub", b"b"], Some(b"xh")),
    ];
    let info = Info::parse(&multi(&entries, 64, 2)).unwrap();
    assert!(info.multi_file);
    assert_eq!(paths(&info), ["dir/a", "dir/sub/empty", "dir/sub/b"]);
    assert_eq!(info.files.iter().map(FileEntry::range).collect::<Vec<_>>(), [0..10, 10..10, 10..100]);
    assert!(info.files[2].executable && info.files[2].hidden && !info.files[2].pad);
    assert_eq!((info.layout.total(), info.layout.pieces()), (100, 2));
}

#[test]
fn hostile_paths_stay_inside() {
    let entries = [
        entry(1, &[b"..", b"..", b"etc", b"passwd"], None),
        entry(1, &[b"/abs"], None),
        entry(1, &[b"", b"."], None),
        entry(1, &[b"", b""], None),
        entry(1, &[b"x"], None),
        entry(1, &[b"x"], None),
        entry(1, &[b"x", b"y"], None),
    ];
    let info = Info::parse(&multi(&entries, 64, 1)).unwrap();
    assert_eq!(
        paths(&info),
        ["dir/__/__/etc/passwd", "dir/_abs", "dir/_", "dir/_.1", "dir/x", "dir/x.1", "dir/x.2/y"]
    );
}

#[test]
fn padding_and_links_are_marked() {
    let entries = [
        entry(10, &[b"a"], None),
        entry(54, &[b".pad", b"54"], Some(b"p")),
        entry(64, &[b"b"], None),
        entry(54, &[b".pad", b"54"], Some(b"p")),
        entry(0, &[b"link"], Some(b"l")),
    ];
    let info = Info::parse(&multi(&entries, 64, 3)).unwrap();
    assert_eq!(info.files.iter().map(|f| f.pad).collect::<Vec<_>>(), [false, true, false, true, false]);
    assert_eq!(info.files[1].path, info.files[3].path);
    assert!(info.files[4].symlink);
}

#[test]
fn utf_8_names_win_and_others_are_shown_in_hex() {
    let info = b"d6:lengthi1e4:name4:caf\xe910:name.utf-85:caf\xc3\xa912:piece lengthi64e6:pieces20:AAAAAAAAAAAAAAAAAAAAe";
    assert_eq!(Info::parse(info).unwrap().name, "café");
    let info = b"d6:lengthi1e4:name4:caf\xe912:piece lengthi64e6:pieces20:AAAAAAAAAAAAAAAAAAAAe";
    assert_eq!(Info::parse(info).unwrap().files[0].path, ["caf%E9"]);
    let info = b"d6:lengthi0e4:name0:12:piece lengthi64e6:pieces0:e";
    let info = Info::parse(info).unwrap();
    assert_eq!(info.name, info.info_hash.to_string());
    assert_eq!(info.layout.pieces(), 0);
}

#[test]
fn what_does_not_add_up_is_refused() {
    let error = |info: &[u8]| Info::parse(info).unwrap_err();
    assert_eq!(error(&single(100, 64, 1)), MetainfoError::Pieces { got: 1, want: 2 });
    assert_eq!(error(&single(100, 64, 3)), MetainfoError::Pieces { got: 3, want: 2 });
    assert_eq!(error(&single(100, 0, 1)), MetainfoError::PieceLength(0));
    assert_eq!(error(&single(100, -5, 1)), MetainfoError::PieceLength(-5));
    assert_eq!(error(&single(100, 1 << 40, 1)), MetainfoError::PieceLength(1 << 40));
    assert_eq!(error(&single(-1, 64, 1)), MetainfoError::Key("length"));
    assert_eq!(error(&single(i64::MAX, 1, 1)), MetainfoError::TotalLength);
    assert_eq!(error(&multi(&[], 64, 0)), MetainfoError::FileCount(0));
    let huge = vec![entry(i64::MAX, &[b"a"], None); 3];
    assert_eq!(error(&multi(&huge, 64, 1)), MetainfoError::TotalLength);
    let broken = [entry(1, &[b"a"], None), entry(1, &[], None)];
    assert_eq!(error(&multi(&broken, 64, 1)), MetainfoError::File { index: 1, why: "has no path" });
    let deep = [entry(1, &[&b"d"[..]; 2000], None)];
    assert_eq!(
        error(&multi(&deep, 64, 1)),
        MetainfoError::File { index: 0, why: "has a path that is too long" }
    );
    assert_eq!(error(b"le"), MetainfoError::NoInfo);
    assert_eq!(error(b"de"), MetainfoError::Key("pieces"));
    assert_eq!(Metainfo::parse(b"d4:infoi3ee").unwrap_err(), MetainfoError::NoInfo);
    assert_eq!(Metainfo::parse(b"d8:announce1:xe").unwrap_err(), MetainfoError::NoInfo);
    assert!(matches!(Metainfo::parse(b"<html>"), Err(MetainfoError::Bencode(_))));
}

#[test]
fn version_2_alone_is_named_and_hybrids_are_read() {
    let v2 = b"d9:file treede12:meta versioni2e4:name1:a12:piece lengthi16384ee";
    assert_eq!(Info::parse(v2).unwrap_err(), MetainfoError::V2Only);
    let hybrid = b"d9:file treede6:lengthi1e12:meta versioni2e4:name1:a12:piece lengthi16384e6:pieces20:AAAAAAAAAAAAAAAAAAAAe";
    let info = Info::parse(hybrid).unwrap();
    assert!(info.v2_hash.is_some());
    assert!(Info::parse(&single(1, 64, 1)).unwrap().v2_hash.is_none());
}

#[test]
fn what_surrounds_info_is_read() {
    let file = [
        &b"d8:announce7:http://13:announce-listll6:udp://el7:http://6:udp://4: bad3:a belee"[..],
        b"7:comment4:hi\x1b!10:created by3:btd13:creation datei1700000000e4:info",
        &single(1, 64, 1),
        b"5:nodesll9:127.0.0.1i6881eel1:xi0eee8:url-list8:http://we",
    ]
    .concat();
    let metainfo = Metainfo::parse(&file).unwrap();
    assert_eq!(metainfo.trackers, [vec!["udp://"], vec!["http://", "bad"]]);
    assert_eq!(metainfo.web_seeds, ["http://w"]);
    assert_eq!(metainfo.nodes, [("127.0.0.1".to_owned(), 6881)]);
    assert_eq!(metainfo.comment.as_deref(), Some("hi\u{fffd}!"));
    assert_eq!(metainfo.created_by.as_deref(), Some("btd"));
    assert_eq!(metainfo.creation_date, Some(1_700_000_000));
}

#[test]
fn changes_leave_the_rest_as_it_came() {
    let file = [
        &b"d8:announce8:http://a7:comment3:\xff\xfe\xfd4:info"[..],
        &single(1, 64, 1),
        b"7:unknownd1:bi1e1:ai2eee",
    ]
    .concat();
    let mut metainfo = Metainfo::parse(&file).unwrap();
    assert_eq!(metainfo.to_bytes(), file);
    metainfo.outer.trackers = vec![vec!["udp://x".into()], vec!["udp://y".into(), "udp://z".into()]];
    let changed = metainfo.to_bytes();
    let again = Metainfo::parse(&changed).unwrap();
    assert_eq!(again.trackers, metainfo.trackers);
    assert_eq!(again.info, metainfo.info);
    let text = changed.escape_ascii().to_string();
    assert!(text.contains("7:unknownd1:bi1e1:ai2ee") && text.contains("8:announce7:udp://x"));
    assert!(text.contains(r"7:comment3:\xff\xfe\xfd"));
    metainfo.outer.trackers.clear();
    metainfo.outer.comment = None;
    let bare = [&b"d4:info"[..], &single(1, 64, 1), b"7:unknownd1:bi1e1:ai2eee"].concat();
    assert_eq!(metainfo.to_bytes(), bare);
}

#[test]
fn a_torrent_file_is_made_of_an_info_dictionary() {
    let outer = Outer {
        trackers: vec![vec!["udp://x".into()]],
        web_seeds: vec!["http://w/".into()],
        nodes: vec![("h".into(), 1)],
        comment: Some("c".into()),
        created_by: Some("btd".into()),
        creation_date: Some(5),
    };
    let metainfo = Metainfo::new(Info::parse(&single(1, 64, 1)).unwrap(), outer.clone());
    assert_eq!(Metainfo::parse(&metainfo.to_bytes()).unwrap().outer, outer);
}

/// The same torrent as lava_torrent sees it.
fn agrees_with_lava(ours: &Metainfo, bytes: &[u8]) {
    let theirs = Torrent::read_from_bytes(bytes).unwrap();
    assert_eq!(theirs.info_hash(), ours.info.info_hash.to_string());
    assert_eq!(theirs.name, ours.info.name);
    assert_eq!(theirs.length, i64::try_from(ours.info.layout.total()).unwrap());
    assert_eq!(theirs.piece_length, i64::from(ours.info.layout.piece_length()));
    assert_eq!(theirs.pieces.concat(), ours.info.piece_hashes()[..]);
    assert_eq!(theirs.is_private(), ours.info.private);
    if let Some(files) = theirs.files {
        let theirs: Vec<_> =
            files.iter().map(|f| (format!("{}/{}", ours.info.name, f.path.display()), f.length)).collect();
        let ours: Vec<_> =
            ours.info.files.iter().map(|f| (f.display_path(), i64::try_from(f.length).unwrap())).collect();
        assert_eq!(theirs, ours);
    }
}

#[test]
fn lava_torrent_agrees_on_what_it_writes() {
    let base = Torrent {
        announce: Some("http://tracker/announce".into()),
        announce_list: Some(vec![vec!["http://tracker/announce".into()], vec!["udp://other:1".into()]]),
        length: 50_000,
        files: None,
        name: "single.iso".into(),
        piece_length: 16_384,
        pieces: (0..4).map(|i| vec![0x80 + i; 20]).collect(),
        extra_fields: None,
        extra_info_fields: None,
    };
    let file = |length, path: &str| File { length, path: path.into(), extra_fields: None };
    let several = Torrent {
        files: Some(vec![file(20_000, "a.txt"), file(29_999, "sub/b"), file(1, "sub/日本")]),
        name: "several".into(),
        ..base.clone()
    };
    for torrent in [base, several] {
        let bytes = torrent.encode().unwrap();
        let ours = Metainfo::parse(&bytes).unwrap();
        agrees_with_lava(&ours, &bytes);
        assert_eq!(ours.trackers, [["http://tracker/announce"], ["udp://other:1"]]);
        assert_eq!(ours.to_bytes(), bytes);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_torrent_or_not(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Metainfo::parse(&bytes);
    }

    /// A good file with one byte changed: refused, or still consistent in itself.
    #[test]
    fn a_changed_byte_is_no_trouble(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let entries = [entry(10, &[b"a"], None), entry(118, &[b"sub", b"b"], Some(b"x"))];
        let mut file = [&b"d8:announce8:http://a4:info"[..], &multi(&entries, 64, 2), b"e"].concat();
        let at = at.index(file.len());
        file[at] = byte;
        if let Ok(metainfo) = Metainfo::parse(&file) {
            let info = metainfo.info;
            prop_assert_eq!(info.files.iter().map(|f| f.length).sum::<u64>(), info.layout.total());
            prop_assert_eq!(info.piece_hashes().len(), info.layout.pieces() as usize * 20);
            prop_assert!(info.files.iter().all(|f| !f.path.is_empty()));
        }
    }
}
