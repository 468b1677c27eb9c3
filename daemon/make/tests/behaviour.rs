//! Bad input, files that change, cancelling, checking and editing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use make::{Control, Edit, Error, FileState, Format, Input, Made, Options, Plan, Why, edit, make, verify};
use proto::metainfo::Metainfo;

const PIECE: u32 = 16 << 10;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, usize)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.data()).unwrap();
        for (name, len) in files {
            let path = folder.data().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, (0..*len).map(|i| (i * 31 + i / 251 + name.len()) as u8).collect::<Vec<_>>())
                .unwrap();
        }
        folder
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn input(&self) -> Input {
        Input { path: self.data(), ..Input::default() }
    }

    fn plan(&self) -> Plan {
        Plan::walk(&self.input(), &Control::new()).unwrap()
    }

    fn make(&self, format: Format) -> Made {
        make(self.plan(), &options(format), &Control::new()).unwrap()
    }
}

fn options(format: Format) -> Options {
    Options { format, piece_length: Some(PIECE), ..Options::default() }
}

fn paths(plan: &Plan) -> Vec<String> {
    let path = |file: &make::PlannedFile| String::from_utf8(file.path.join(&b'/')).unwrap();
    plan.files.iter().map(path).collect()
}

#[test]
fn input_that_cannot_be_used() {
    let walk = |path: &Path| {
        Plan::walk(&Input { path: path.to_owned(), ..Input::default() }, &Control::new()).unwrap_err()
    };
    let folder = Folder::new(&[]);
    assert!(matches!(walk(&folder.0.path().join("nothing")), Error::Missing(_)));
    assert!(matches!(walk(&folder.data()), Error::Empty { skipped: 0, .. }));
    assert!(matches!(walk(Path::new("/dev/null")), Error::Special(_)));
    let hidden = Folder::new(&[(".a", 3)]);
    assert!(walk(&hidden.data()).to_string().contains("left out"));
    let empty = Folder::new(&[("a", 0), ("b/c", 0)]);
    assert!(matches!(walk(&empty.data()), Error::NoBytes(_)));
}

#[test]
fn options_that_cannot_be_used() {
    let folder = Folder::new(&[("a", 10)]);
    let make = |options: Options| make(folder.plan(), &options, &Control::new()).unwrap_err();
    let trackers = vec![vec!["tracker.example".to_owned()]];
    assert!(matches!(make(Options { trackers, ..Options::default() }), Error::Tracker { .. }));
    let web_seeds = vec!["nowhere".to_owned()];
    assert!(matches!(make(Options { web_seeds, ..Options::default() }), Error::WebSeed { .. }));
    for name in ["", ".", "..", "a/b"] {
        assert!(matches!(
            make(Options { name: Some(name.to_owned()), ..Options::default() }),
            Error::Name(_)
        ));
    }
    let power = Options { piece_length: Some(40_000), ..Options::default() };
    assert!(matches!(make(power), Error::PieceLengthPower(40_000)));
    let range = Options { piece_length: Some(8192), ..Options::default() };
    assert!(matches!(make(range), Error::PieceLengthRange(8192)));
}

#[test]
fn what_is_left_out_and_why() {
    let folder = Folder::new(&[
        ("a.txt", 1),
        ("b.tmp", 1),
        ("cache/c", 1),
        ("d/e.tmp", 1),
        ("d/f", 1),
        (".git/config", 1),
    ]);
    symlink("a.txt", folder.data().join("link")).unwrap();
    symlink("d", folder.data().join("folder link")).unwrap();
    let exclude = vec!["*.tmp".to_owned(), "cache/".to_owned()];
    let plan = Plan::walk(&Input { exclude: exclude.clone(), ..folder.input() }, &Control::new()).unwrap();
    assert_eq!(paths(&plan), ["a.txt", "d/f"]);
    let mut reasons: Vec<_> = plan
        .skipped
        .iter()
        .map(|s| (s.path.strip_prefix(folder.data()).unwrap().display().to_string(), s.why))
        .collect();
    reasons.sort_by(|a, b| a.0.cmp(&b.0));
    let reasons: Vec<_> = reasons.iter().map(|(path, why)| (path.as_str(), *why)).collect();
    assert_eq!(
        reasons,
        [
            (".git", Why::Hidden),
            ("b.tmp", Why::Excluded),
            ("cache", Why::Excluded),
            ("d/e.tmp", Why::Excluded),
            ("folder link", Why::Symlink),
            ("link", Why::Symlink)
        ]
    );
    let all = Input { exclude, include_hidden: true, follow_symlinks: true, ..folder.input() };
    let plan = Plan::walk(&all, &Control::new()).unwrap();
    assert_eq!(paths(&plan), [".git/config", "a.txt", "d/f", "folder link/f", "link"]);
    let wrong = Input { exclude: vec!["[".to_owned()], ..folder.input() };
    assert!(matches!(Plan::walk(&wrong, &Control::new()), Err(Error::Pattern { .. })));
}

#[test]
fn a_link_that_leads_back_is_no_endless_walk() {
    let folder = Folder::new(&[("a/b", 1)]);
    symlink("..", folder.data().join("a/up")).unwrap();
    let followed = Input { follow_symlinks: true, ..folder.input() };
    assert!(matches!(Plan::walk(&followed, &Control::new()), Err(Error::Loop(_))));
    assert_eq!(paths(&folder.plan()), ["a/b"]);
}

#[test]
fn a_file_that_changes_after_the_walk() {
    let folder = Folder::new(&[("a", 100_000), ("b", 10)]);
    let append = |bytes: &[u8]| {
        OpenOptions::new().append(true).open(folder.data().join("a")).unwrap().write_all(bytes).unwrap();
    };
    let plan = folder.plan();
    append(b"more");
    let result = make(plan, &options(Format::V1), &Control::new());
    assert!(matches!(&result, Err(Error::Changed(path)) if path.ends_with("a")), "{result:?}");

    let plan = folder.plan();
    OpenOptions::new().write(true).open(folder.data().join("a")).unwrap().set_len(5).unwrap();
    assert!(matches!(make(plan, &options(Format::Hybrid), &Control::new()), Err(Error::Shrunk(_))));

    // The same length and another content in its place.
    let plan = folder.plan();
    fs::write(folder.data().join("new"), b"12345").unwrap();
    fs::rename(folder.data().join("new"), folder.data().join("a")).unwrap();
    assert!(matches!(make(plan, &options(Format::V2), &Control::new()), Err(Error::Changed(_))));

    let plan = folder.plan();
    fs::remove_file(folder.data().join("b")).unwrap();
    assert!(matches!(make(plan, &options(Format::V1), &Control::new()), Err(Error::Missing(_))));
}

#[test]
fn cancelling() {
    let folder = Folder::new(&[("a", 1_000_000)]);
    let control = Control::new();
    let plan = folder.plan();
    control.cancel();
    assert!(matches!(make(plan, &options(Format::V1), &control), Err(Error::Cancelled)));
    assert!(matches!(Plan::walk(&folder.input(), &control), Err(Error::Cancelled)));
}

#[test]
fn progress_reaches_the_total() {
    let folder = Folder::new(&[("a", 1_000_000), ("b", 77_777)]);
    for format in [Format::V1, Format::V2, Format::Hybrid] {
        let control = Control::new();
        make(folder.plan(), &options(format), &control).unwrap();
        assert!(control.total() >= 1_077_777);
        assert_eq!(control.done(), control.total());
    }
}

#[test]
fn the_same_bytes_make_the_same_torrent_whatever_the_piece_length() {
    // Lengths around slices and pieces, so that every way through the lanes is taken; verified piece by piece by the plain crate.
    for piece_length in [16 << 10, 32 << 10, 64 << 10, 1 << 20] {
        let folder = Folder::new(&[("a", 3_000_001), ("b", 65_536), ("c", 1), ("d", 0), ("e", 131_073)]);
        let options = Options { piece_length: Some(piece_length), ..Options::default() };
        let made = make(folder.plan(), &options, &Control::new()).unwrap();
        let info = Metainfo::parse(&made.bytes).unwrap().info;
        let whole: Vec<u8> = ["a", "b", "c", "d", "e"]
            .iter()
            .flat_map(|name| fs::read(folder.data().join(name)).unwrap())
            .collect();
        for (piece, bytes) in whole.chunks(piece_length as usize).enumerate() {
            let mut alone = hash::Sha1::new();
            alone.update(bytes);
            assert_eq!(*info.piece_hash(piece as u32), alone.finish(), "piece {piece} of {piece_length}");
        }
    }
}

#[test]
fn checking_finds_what_differs() {
    let folder = Folder::new(&[("a", 40_000), ("b/c", 100_000), ("d", 0), ("e", 20_000)]);
    for format in [Format::V1, Format::V2, Format::Hybrid] {
        let info = Metainfo::parse_any(&folder.make(format).bytes).unwrap();
        for path in [folder.data(), folder.0.path().to_owned()] {
            let report = verify(&info, &path, &Control::new()).unwrap();
            assert!(report.is_complete(), "{report:?}");
            assert_eq!(report.files.len(), 4);
        }
    }
    let info = Metainfo::parse(&folder.make(Format::V1).bytes).unwrap();
    let mut bytes = fs::read(folder.data().join("b/c")).unwrap();
    bytes[50_000] ^= 1;
    fs::write(folder.data().join("b/c"), &bytes).unwrap();
    let report = verify(&info, &folder.data(), &Control::new()).unwrap();
    assert_eq!(report.bad, [90_000 / PIECE as usize]);
    let states: Vec<_> = report.files.iter().map(|file| (file.path.as_str(), &file.state)).collect();
    assert_eq!(
        states,
        [
            ("data/a", &FileState::Good),
            ("data/b/c", &FileState::Differs),
            ("data/d", &FileState::Good),
            ("data/e", &FileState::Good)
        ]
    );
    fs::remove_file(folder.data().join("e")).unwrap();
    fs::remove_file(folder.data().join("d")).unwrap();
    OpenOptions::new().write(true).open(folder.data().join("a")).unwrap().set_len(PIECE.into()).unwrap();
    let report = verify(&info, &folder.data(), &Control::new()).unwrap();
    let states: Vec<_> = report.files.iter().map(|file| file.state.clone()).collect();
    assert_eq!(
        states,
        [FileState::Length(PIECE.into()), FileState::Differs, FileState::Missing, FileState::Missing]
    );
    assert_eq!(report.bad, [1, 2, 5, 8, 9]);
}

#[test]
fn checking_v2_finds_what_differs() {
    let folder = Folder::new(&[("a", 40_000), ("b/c", 100_000), ("d", 0), ("e", 10_000)]);
    let made = folder.make(Format::V2);
    let torrent = Metainfo::parse_any(&made.bytes).unwrap();
    assert!(Metainfo::parse(&made.bytes).is_err(), "the daemon does not take it for a v1 torrent");
    for (name, at) in [("b/c", 70_000), ("e", 9_999)] {
        let mut bytes = fs::read(folder.data().join(name)).unwrap();
        bytes[at] ^= 1;
        fs::write(folder.data().join(name), &bytes).unwrap();
    }
    let report = verify(&torrent, &folder.data(), &Control::new()).unwrap();
    // Three pieces of a, seven of c, one of e; files start at pieces.
    assert_eq!((report.pieces, &report.bad[..]), (11, &[7, 10][..]));
    let states: Vec<_> = report.files.iter().map(|file| file.state.clone()).collect();
    assert_eq!(states, [FileState::Good, FileState::Differs, FileState::Good, FileState::Differs]);

    // A layer that does not lead to its root proves nothing.
    let layers = made.bytes.windows(12).position(|window| window == b"piece layers").unwrap();
    let mut forged = made.bytes.clone();
    forged[layers + 12 + 1 + 3 + 32 + 3 + 5] ^= 1;
    let forged = Metainfo::parse_any(&forged).unwrap();
    assert!(matches!(verify(&forged, &folder.data(), &Control::new()), Err(Error::Torrent(_))));
}

#[test]
fn checking_finds_files_by_their_odd_names_too() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new(&[("a", 1000)]);
    let odd = std::ffi::OsStr::from_bytes(b"odd \xff \\ name");
    fs::write(folder.data().join(odd), b"content").unwrap();
    let info = Metainfo::parse(&folder.make(Format::V1).bytes).unwrap();
    assert!(verify(&info, &folder.data(), &Control::new()).unwrap().is_complete());
    let safe = info.info.files[1].path[1].clone();
    fs::rename(folder.data().join(odd), folder.data().join(safe)).unwrap();
    assert!(verify(&info, &folder.data(), &Control::new()).unwrap().is_complete());
}

#[test]
fn editing_leaves_the_info_hash_alone() {
    let folder = Folder::new(&[("a", 1000)]);
    let url = |text: &str| text.to_owned();
    let options = Options {
        trackers: vec![vec![url("http://a.example/"), url("http://b.example/")]],
        ..options(Format::Hybrid)
    };
    let made = make(folder.plan(), &options, &Control::new()).unwrap();
    let changes = Edit {
        add_trackers: vec![vec![url("http://b.example/"), url("udp://c.example:80")]],
        remove_trackers: vec![url("http://a.example/")],
        web_seeds: Some(vec![url("http://d.example/")]),
        comment: Some("hello".to_owned()),
        ..Edit::default()
    };
    let edited = Metainfo::parse(&edit(&made.bytes, &changes).unwrap()).unwrap();
    assert_eq!(Some(edited.info.info_hash), made.info_hash);
    assert_eq!(edited.info.v2_hash, made.v2_hash);
    assert_eq!(edited.trackers, [vec![url("http://b.example/")], vec![url("udp://c.example:80")]]);
    assert_eq!(edited.web_seeds, ["http://d.example/"]);
    assert_eq!(edited.comment.as_deref(), Some("hello"));
    let cleared = Edit { trackers: Some(Vec::new()), comment: Some(String::new()), ..Edit::default() };
    let edited = Metainfo::parse(&edit(&made.bytes, &cleared).unwrap()).unwrap();
    assert!(edited.trackers.is_empty() && edited.comment.is_none());
    let wrong = Edit { add_trackers: vec![vec![url("nonsense")]], ..Edit::default() };
    assert!(matches!(edit(&made.bytes, &wrong), Err(Error::Tracker { .. })));
    assert!(matches!(edit(b"nonsense", &Edit::default()), Err(Error::Torrent(_))));
}
