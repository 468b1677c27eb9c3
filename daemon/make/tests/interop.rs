//! The same files give the same info-hash here as in the programs that people use. They must be installed: mktorrent,
//! transmission-cli and python3-libtorrent of Debian.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use make::{Control, Format, Input, Like, Made, Options, Plan, make};
use proto::id::to_hex;
use proto::metainfo::Metainfo;

/// Debian's own interpreter, which is the one that has libtorrent.
const PYTHON: &str = "/usr/bin/python3";
const PIECE: u32 = 32 << 10;

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| {
        panic!("{program} cannot be run ({error}); tests/run installs what these tests need")
    });
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn noise(seed: usize, len: usize) -> Vec<u8> {
    let mut x = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut byte = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 32) as u8
    };
    (0..len).map(|_| byte()).collect()
}

struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("data")).unwrap();
        Self { dir }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn file(&self, name: &str, len: usize) {
        let path = self.data().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, noise(name.len() + len, len)).unwrap();
    }

    /// Names and lengths that programs are apt to disagree about.
    fn odd(&self) {
        for (name, len) in [
            ("a/0", 1000),
            ("a/z", PIECE as usize),
            ("a-1", 2 * PIECE as usize + 1),
            ("a.d/x", 16 << 10),
            ("A", 16385),
            ("B/deep/er/file", 5 * PIECE as usize - 1),
            ("sp ace (1).txt", 77),
            ("naïve 日本.txt", 40_000),
            ("empty", 0),
            ("z/empty too", 0),
            ("z/last", 300_000),
        ] {
            self.file(name, len);
        }
    }

    fn output(&self) -> String {
        self.dir.path().join("other.torrent").display().to_string()
    }
}

fn ours(path: &Path, like: Like, options: Options) -> Made {
    let input = Input { path: path.to_owned(), include_hidden: true, like, ..Input::default() };
    let plan = Plan::walk(&input, &Control::new()).unwrap();
    make(plan, &Options { piece_length: options.piece_length.or(Some(PIECE)), ..options }, &Control::new())
        .unwrap()
}

fn info_hash(torrent: &str) -> String {
    Metainfo::parse(&fs::read(torrent).unwrap()).unwrap().info.info_hash.to_string()
}

fn by_mktorrent(path: &Path, output: &str, more: &[&str]) -> String {
    let path = path.display().to_string();
    let fixed = ["-a", "http://tracker.example/a", "-l", "15", "-o", output];
    run("mktorrent", &[&fixed[..], more, &[&path]].concat());
    info_hash(output)
}

fn by_transmission(path: &Path, output: &str, more: &[&str]) -> String {
    let path = path.display().to_string();
    run(
        "transmission-create",
        &[&["-s", "32", "-t", "http://tracker.example/a", "-o", output][..], more, &[&path]].concat(),
    );
    info_hash(output)
}

/// v1 and v2, `-` for one that is not.
fn by_libtorrent(path: &Path, output: &str, kind: &str, more: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/others/torrent.py");
    let (path, piece) = (path.display().to_string(), PIECE.to_string());
    run(PYTHON, &[&[script, &path, output, &piece, kind][..], more].concat())
}

fn both(made: &Made) -> String {
    let v1 = made.info_hash.map_or("-".to_owned(), |hash| hash.to_string());
    let v2 = made.v2_hash.map_or("-".to_owned(), |hash| to_hex(&hash));
    format!("{v1} {v2}")
}

#[test]
fn mktorrent_agrees_on_files_and_folders() {
    let folder = Folder::new();
    folder.odd();
    folder.file(".hidden", 5);
    let made = ours(&folder.data(), Like::Ours, Options::default());
    assert_eq!(made.info_hash.unwrap().to_string(), by_mktorrent(&folder.data(), &folder.output(), &[]));

    let file = folder.data().join("z/last");
    fs::remove_file(folder.output()).unwrap();
    let made = ours(&file, Like::Ours, Options::default());
    assert_eq!(made.info_hash.unwrap().to_string(), by_mktorrent(&file, &folder.output(), &[]));
}

#[test]
fn mktorrent_agrees_on_options_and_links() {
    let folder = Folder::new();
    folder.odd();
    std::os::unix::fs::symlink("A", folder.data().join("link")).unwrap();
    std::os::unix::fs::symlink("a", folder.data().join("folder link")).unwrap();
    fs::write(folder.data().join(std::ffi::OsStr::new("odd \\ \u{1} name")), b"x").unwrap();
    fs::write(
        folder.data().join(std::os::unix::ffi::OsStrExt::from_bytes(b"not utf-8 \xff") as &std::ffi::OsStr),
        b"y",
    )
    .unwrap();
    let options = Options {
        private: true,
        source: Some("somewhere".to_owned()),
        name: Some("another name".to_owned()),
        ..Options::default()
    };
    let made = ours(&folder.data(), Like::Mktorrent, options);
    let more = ["-p", "-s", "somewhere", "-n", "another name"];
    assert_eq!(made.info_hash.unwrap().to_string(), by_mktorrent(&folder.data(), &folder.output(), &more));
}

#[test]
fn transmission_agrees() {
    let folder = Folder::new();
    folder.odd();
    folder.file(".hidden", 5);
    for (private, more) in [(false, &[][..]), (true, &["-p"][..])] {
        let made = ours(&folder.data(), Like::Transmission, Options { private, ..Options::default() });
        let theirs = by_transmission(&folder.data(), &folder.output(), more);
        assert_eq!(made.info_hash.unwrap().to_string(), theirs, "private: {private}");
    }
    // A plain folder needs no imitation, except that Transmission writes `private` also when it is not.
    let folder = Folder::new();
    folder.file("one", 100_000);
    folder.file("two", 50_000);
    let made = ours(&folder.data(), Like::Ours, Options { private: true, ..Options::default() });
    let theirs = by_transmission(&folder.data(), &folder.output(), &["-p"]);
    assert_eq!(made.info_hash.unwrap().to_string(), theirs);
}

#[test]
fn libtorrent_agrees_on_v1() {
    let folder = Folder::new();
    folder.odd();
    folder.file(".hidden", 5);
    let made = ours(&folder.data(), Like::Libtorrent, Options::default());
    assert_eq!(both(&made), by_libtorrent(&folder.data(), &folder.output(), "v1", &[]));
    let file = folder.data().join("A");
    let made = ours(&file, Like::Ours, Options { private: true, ..Options::default() });
    assert_eq!(both(&made), by_libtorrent(&file, &folder.output(), "v1", &["private"]));
    let made = ours(&folder.data(), Like::Ours, Options { align: true, ..Options::default() });
    assert_eq!(both(&made), by_libtorrent(&folder.data(), &folder.output(), "aligned", &[]));
}

#[test]
fn libtorrent_agrees_on_v2_and_hybrid() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    folder.odd();
    folder.file(".hidden", 5);
    folder.file("program", 123);
    fs::set_permissions(folder.data().join("program"), fs::Permissions::from_mode(0o755)).unwrap();
    for (format, kind) in [(Format::V2, "v2"), (Format::Hybrid, "hybrid")] {
        for private in [false, true] {
            let more: &[&str] = if private { &["private"] } else { &[] };
            let made = ours(&folder.data(), Like::Ours, Options { format, private, ..Options::default() });
            let theirs = by_libtorrent(&folder.data(), &folder.output(), kind, more);
            assert_eq!(both(&made), theirs, "{kind}, private: {private}");
        }
        for (name, len) in [("one", 1), ("block", 16384), ("piece", PIECE as usize), ("many", 1_000_001)] {
            let alone = Folder::new();
            alone.file(name, len);
            let file = alone.data().join(name);
            let made = ours(&file, Like::Ours, Options { format, ..Options::default() });
            let theirs = by_libtorrent(&file, &alone.output(), kind, &[]);
            assert_eq!(both(&made), theirs, "{kind}, a file of {len}");
            let made = ours(&alone.data(), Like::Ours, Options { format, ..Options::default() });
            let theirs = by_libtorrent(&alone.data(), &alone.output(), kind, &[]);
            assert_eq!(both(&made), theirs, "{kind}, a folder of one file of {len}");
        }
    }
}

#[test]
fn libtorrent_reads_what_we_write() {
    let folder = Folder::new();
    folder.odd();
    for format in [Format::V1, Format::V2, Format::Hybrid] {
        let options = Options {
            format,
            trackers: vec![
                vec!["http://a.example/1".into(), "udp://b.example:6969".into()],
                vec!["http://c.example".into()],
            ],
            web_seeds: vec!["https://mirror.example/".into()],
            comment: Some("a remark".into()),
            created_by: Some("test".into()),
            creation_date: Some(1_700_000_000),
            ..Options::default()
        };
        let made = ours(&folder.data(), Like::Ours, options);
        let path = folder.dir.path().join("ours.torrent");
        make::save(&path, &made.bytes, true).unwrap();
        let script = "import libtorrent as lt, sys\n\
            t = lt.torrent_info(sys.argv[1])\n\
            print(sorted((x.tier, x.url) for x in t.trackers()), [x['url'] for x in t.web_seeds()], t.comment(), t.creator(), t.creation_date())\n\
            print(sum(0 if t.files().file_flags(i) & 1 else 1 for i in range(t.num_files())), t.num_pieces())";
        let seen = run(PYTHON, &["-c", script, &path.display().to_string()]);
        assert_eq!(
            seen.lines().next().unwrap(),
            "[(0, 'http://a.example/1'), (0, 'udp://b.example:6969'), (1, 'http://c.example')] \
             ['https://mirror.example/'] a remark test 1700000000"
        );
        assert_eq!(seen.lines().nth(1).unwrap(), format!("{} {}", made.files, made.pieces));
    }
}

#[test]
fn twenty_thousand_files() {
    let folder = Folder::new();
    for index in 0..20_000 {
        folder.file(&format!("d{:03}/file {index}", index % 150), index % 700);
    }
    let made = ours(&folder.data(), Like::Ours, Options::default());
    assert_eq!(made.files, 20_000);
    assert_eq!(made.info_hash.unwrap().to_string(), by_mktorrent(&folder.data(), &folder.output(), &[]));
    let made = ours(&folder.data(), Like::Ours, Options { format: Format::V2, ..Options::default() });
    assert_eq!(both(&made), by_libtorrent(&folder.data(), &folder.output(), "v2", &[]));
}
