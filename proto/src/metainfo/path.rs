//! Names from strangers, made harmless.
//!
//! A torrent's paths come as lists of byte strings. What leaves this room is a list of plain names: joined to a save
//! path they stay under it, two files of a torrent never share a path, and no file is also a directory. The same
//! torrent always gives the same names, because data on disk is found again by them.

use crate::id::to_hex;
use sha1::{Digest, Sha1};
use std::collections::HashMap;

/// Longest name in bytes: what Unix file systems take.
pub const MAX_NAME: usize = 255;

/// Longest relative path in bytes. The kernel takes 4,095 with the save path, which gets the remaining kilobyte.
pub const MAX_PATH: usize = 3072;

/// Longest file name extension that is kept when a name is cut.
const MAX_EXTENSION: usize = 16;

/// Which names are harmless depends on the system that will open them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Also refuse what Windows cannot store: `<>:"|?*`, trailing dots and spaces, device names.
    pub windows: bool,
}

impl Rules {
    /// The rules of the system that this was compiled for.
    pub const HERE: Self = Self { windows: cfg!(windows) };
}

/// One name made safe; `None` if it is empty and means nothing.
///
/// - Bytes that are not UTF-8 become `%XX`.
/// - Separators (`/` and `\`), NUL, control and text-direction characters become `_`.
/// - Names of only dots and spaces (`.`, `..`) become as many `_`; a drive letter `C:` becomes `C_`.
/// - Names over [`MAX_NAME`] are cut, and told apart by a hash of the whole.
pub fn safe_name(bytes: &[u8], rules: Rules) -> Option<String> {
    if bytes.is_empty() {
        return None;
    }
    let mut name = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        name.extend(chunk.valid().chars().map(|c| if is_harmless(c, rules) { c } else { '_' }));
        for byte in chunk.invalid() {
            name.push('%');
            name.push_str(&to_hex(&[*byte]).to_uppercase());
        }
    }
    if name.bytes().all(|b| b == b'.' || b == b' ') {
        name = "_".repeat(name.len());
    }
    let drive = name.len() == 2 && name.as_bytes()[0].is_ascii_alphabetic() && name.ends_with(':');
    if drive || (rules.windows && name.ends_with(['.', ' '])) {
        name.pop();
        name.push('_');
    }
    if rules.windows && is_device(&name) {
        name.insert(0, '_');
    }
    Some(if name.len() > MAX_NAME { shorten(&name, bytes, "") } else { name })
}

fn is_harmless(c: char, rules: Rules) -> bool {
    let directional =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let separator = matches!(c, '/' | '\\' | '\u{2028}' | '\u{2029}');
    let windows = rules.windows && matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*');
    !(c.is_control() || directional || separator || windows)
}

/// Names that Windows gives to devices, with any extension.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_uppercase();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" => true,
        other => {
            let number = other.strip_prefix("COM").or_else(|| other.strip_prefix("LPT"));
            number.is_some_and(|n| matches!(n.as_bytes(), [b'1'..=b'9']))
        }
    }
}

/// Splits off the extension with its dot, if it is a short one.
fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= MAX_EXTENSION => name.split_at(dot),
        _ => (name, ""),
    }
}

/// `name` cut so that it fits with a hash of `whole`, `suffix` and its extension.
fn shorten(name: &str, whole: &[u8], suffix: &str) -> String {
    let (stem, extension) = split_extension(name);
    let digest = Sha1::digest(whole);
    let tail = format!("~{}{suffix}{extension}", to_hex(&digest[..8]));
    let mut cut = MAX_NAME.saturating_sub(tail.len()).min(stem.len());
    while !stem.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{tail}", &stem[..cut])
}

/// `name` with a number before its extension, within [`MAX_NAME`].
fn numbered(name: &str, number: u32) -> String {
    let (stem, extension) = split_extension(name);
    let candidate = format!("{stem}.{number}{extension}");
    if candidate.len() <= MAX_NAME {
        candidate
    } else {
        shorten(name, name.as_bytes(), &format!(".{number}"))
    }
}

/// Which names are taken, in a tree of directories.
///
/// A second file of the same path gets a number, as does a directory whose name a file has, or a file whose name a
/// directory has. Each name remembers where its last search for a free number ended, so that a hostile list of a
/// million equal names costs a million steps and not their square.
#[derive(Debug, Default)]
pub(super) struct Names {
    slots: HashMap<(u32, String), Slot>,
    directories: u32,
}

#[derive(Debug, Default)]
struct Slot {
    /// The directory that paths with this name go into, and what it is called.
    directory: Option<(u32, String)>,
    /// The last number that was tried to make this name another.
    tried: u32,
}

impl Names {
    /// Makes a path of safe names unique, in place.
    pub(super) fn claim(&mut self, path: &mut [String]) {
        let Some((file, directories)) = path.split_last_mut() else { return };
        let mut parent = 0;
        for directory in directories {
            parent = self.enter(parent, directory);
        }
        if self.slots.contains_key(&(parent, file.clone())) {
            *file = self.free(parent, file);
        }
        self.slots.insert((parent, file.clone()), Slot::default());
    }

    /// How many directories there are.
    pub(super) fn directories(&self) -> usize {
        self.directories as usize
    }

    /// The directory `name` in `parent`, made if need be; `name` becomes what it is called.
    fn enter(&mut self, parent: u32, name: &mut String) -> u32 {
        let key = (parent, name.clone());
        if let Some((id, called)) = self.slots.get(&key).and_then(|slot| slot.directory.clone()) {
            *name = called;
            return id;
        }
        self.directories += 1;
        let id = self.directories;
        if self.slots.contains_key(&key) {
            *name = self.free(parent, name);
            self.slots.entry((parent, name.clone())).or_default().directory = Some((id, name.clone()));
        }
        self.slots.entry(key).or_default().directory = Some((id, name.clone()));
        id
    }

    /// A name like `name` that nothing in `parent` has.
    fn free(&mut self, parent: u32, name: &str) -> String {
        let key = (parent, name.to_owned());
        let mut number = self.slots.get(&key).map_or(0, |slot| slot.tried);
        let candidate = loop {
            number += 1;
            let candidate = numbered(name, number);
            if !self.slots.contains_key(&(parent, candidate.clone())) {
                break candidate;
            }
        };
        self.slots.entry(key).or_default().tried = number;
        candidate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    const UNIX: Rules = Rules { windows: false };
    const WINDOWS: Rules = Rules { windows: true };

    fn unix(bytes: &[u8]) -> String {
        safe_name(bytes, UNIX).unwrap()
    }

    fn claim_all(paths: &[&str]) -> Vec<String> {
        let mut names = Names::default();
        let claim = |path: &&str| {
            let mut path: Vec<String> = path.split('/').map(str::to_owned).collect();
            names.claim(&mut path);
            path.join("/")
        };
        paths.iter().map(claim).collect()
    }

    #[test]
    fn ordinary_names_stay() {
        for name in
            ["a", "Vol. 1.", "Film: the sequel?.mkv", ".hidden", "naïve 日本.txt", "aux.c", "a..b", "~"]
        {
            assert_eq!(unix(name.as_bytes()), name);
        }
    }

    #[test]
    fn names_with_a_meaning_lose_it() {
        assert_eq!(safe_name(b"", UNIX), None);
        assert_eq!(unix(b"."), "_");
        assert_eq!(unix(b".."), "__");
        assert_eq!(unix(b".. "), "___");
        assert_eq!(unix(b"/etc/passwd"), "_etc_passwd");
        assert_eq!(unix(b"..\\..\\x"), ".._.._x");
        assert_eq!(unix(b"C:"), "C_");
        assert_eq!(unix(b"a\0b\nc\x1b[31m"), "a_b_c_[31m");
        assert_eq!(unix("photo\u{202e}gpj.exe".as_bytes()), "photo_gpj.exe");
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_shown_in_hex() {
        assert_eq!(unix(b"caf\xe9.txt"), "caf%E9.txt");
        assert_eq!(unix(b"\xff\xfe"), "%FF%FE");
    }

    #[test]
    fn windows_has_more_rules() {
        for (name, want) in [
            ("Film: x?", "Film_ x_"),
            ("end.", "end_"),
            ("NUL", "_NUL"),
            ("com1.txt", "_com1.txt"),
            ("comb", "comb"),
        ] {
            assert_eq!(safe_name(name.as_bytes(), WINDOWS).as_deref(), Some(want));
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_different() {
        let name = |last: char| format!("{}{last}.mkv", "é".repeat(200));
        let (a, b) = (unix(name('a').as_bytes()), unix(name('b').as_bytes()));
        assert!(a.len() <= MAX_NAME && a.ends_with(".mkv"));
        assert_ne!(a, b);
        assert_eq!(unix(&[b'x'; 255]).len(), 255);
    }

    #[test]
    fn equal_paths_get_numbers() {
        assert_eq!(
            claim_all(&["d/a.txt", "d/a.txt", "d/a.1.txt", "d/a.txt"]),
            ["d/a.txt", "d/a.1.txt", "d/a.1.1.txt", "d/a.2.txt"]
        );
        assert_eq!(claim_all(&["a", "A", "b/a"]), ["a", "A", "b/a"]);
    }

    #[test]
    fn a_file_is_never_also_a_directory() {
        assert_eq!(claim_all(&["a", "a/b", "a/c", "a.1/d"]), ["a", "a.1/b", "a.1/c", "a.1/d"]);
        assert_eq!(claim_all(&["a/b", "a", "a/c"]), ["a/b", "a.1", "a/c"]);
    }

    #[test]
    fn a_hundred_thousand_equal_names_are_no_trouble() {
        let paths = vec!["same"; 100_000];
        let mut names = claim_all(&paths);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), paths.len());
    }

    fn hostile_name() -> impl Strategy<Value = Vec<u8>> {
        let odd = prop::sample::select(vec![
            &b".."[..],
            b".",
            b"/",
            b"\\",
            b"\0",
            b"C:",
            b" ",
            b"a",
            b"\xff",
            b"e\xcc\x81",
        ]);
        prop_oneof![
            prop::collection::vec(odd, 0..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(any::<u8>(), 0..300),
        ]
    }

    proptest! {
        #[test]
        fn joined_to_a_base_every_path_stays_under_it(
            paths in prop::collection::vec(prop::collection::vec(hostile_name(), 1..4), 1..20),
            windows in any::<bool>(),
        ) {
            let mut names = Names::default();
            let mut seen = std::collections::BTreeSet::new();
            for path in paths {
                let mut safe: Vec<String> = path.iter().filter_map(|n| safe_name(n, Rules { windows })).collect();
                if safe.is_empty() {
                    continue;
                }
                names.claim(&mut safe);
                prop_assert!(safe.iter().all(|name| name.len() <= MAX_NAME && !name.contains(['/', '\\', '\0'])));
                let joined = safe.iter().fold(Path::new("/base").to_path_buf(), |base, name| base.join(name));
                let rest: Vec<Component<'_>> = joined.strip_prefix("/base").unwrap().components().collect();
                prop_assert_eq!(rest.len(), safe.len());
                prop_assert!(rest.iter().all(|part| matches!(part, Component::Normal(_))));
                for parent in joined.ancestors().skip(1) {
                    prop_assert!(!seen.contains(&parent.to_path_buf()), "a file is a directory: {:?}", parent);
                }
                prop_assert!(seen.iter().all(|other: &std::path::PathBuf| !other.starts_with(&joined)));
                prop_assert!(seen.insert(joined));
            }
        }
    }
}
