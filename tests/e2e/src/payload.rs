//! Content made from a seed, its torrent, and the comparison that decides every test.

use crate::bencode::Value;
use sha1::{Digest, Sha1};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The size of a block in the peer protocol.
pub const BLOCK: usize = 16 * 1024;

/// A torrent's content.
#[derive(Clone)]
pub struct Payload {
    name: String,
    /// Relative path and length; empty for a single file.
    files: Vec<(String, usize)>,
    piece_len: usize,
    data: Arc<Vec<u8>>,
}

/// A torrent file.
#[derive(Clone, Debug)]
pub struct Torrent {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// The info-hash.
    pub info_hash: [u8; 20],
}

impl Torrent {
    /// The info-hash in lower-case hex.
    pub fn id(&self) -> String {
        self.info_hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The file in base64, as control APIs take it.
    pub fn base64(&self) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(&self.bytes)
    }

    /// Writes the file.
    pub fn save(&self, path: &Path) {
        fs::write(path, &self.bytes).expect("torrent file");
    }
}

impl Payload {
    /// One file.
    pub fn single(name: &str, len: usize, piece_len: usize, seed: u64) -> Self {
        Self { name: name.into(), files: Vec::new(), piece_len, data: Arc::new(random(len, seed)) }
    }

    /// A folder of files, in this order.
    pub fn multi<S: Into<String>>(
        name: &str,
        files: impl IntoIterator<Item = (S, usize)>,
        piece_len: usize,
        seed: u64,
    ) -> Self {
        let files: Vec<(String, usize)> = files.into_iter().map(|(path, len)| (path.into(), len)).collect();
        let len = files.iter().map(|(_, len)| len).sum();
        Self { name: name.into(), files, piece_len, data: Arc::new(random(len, seed)) }
    }

    /// A folder with what torrents have: nested folders, an empty file, small files, files across piece bounds.
    pub fn folder(name: &str, seed: u64) -> Self {
        let files = [
            ("read me.txt", 700),
            ("empty", 0),
            ("video/feature.mkv", 3_500_001),
            ("video/subs/en.srt", 40_000),
            ("video/subs/日本語.srt", 1),
            ("z/last.bin", 1_234_567),
        ];
        Self::multi(name, files, 128 * 1024, seed)
    }

    /// The name of the file or folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// All bytes, one file after the other.
    pub fn data(&self) -> &Arc<Vec<u8>> {
        &self.data
    }

    /// The length of a piece.
    pub fn piece_len(&self) -> usize {
        self.piece_len
    }

    /// The number of pieces.
    pub fn pieces(&self) -> usize {
        self.data.len().div_ceil(self.piece_len)
    }

    /// Its torrent, with these trackers, one to a tier.
    pub fn torrent(&self, trackers: &[&str]) -> Torrent {
        let hashes = self.data.chunks(self.piece_len).flat_map(Sha1::digest).collect();
        let mut info = vec![
            ("name", self.name.as_str().into()),
            ("piece length", (self.piece_len as u64).into()),
            ("pieces", Value::Bytes(hashes)),
        ];
        if self.files.is_empty() {
            info.push(("length", (self.len() as u64).into()));
        } else {
            let file = |(path, len): &(String, usize)| {
                let path = path.split('/').map(Value::from).collect();
                Value::dict([("length", (*len as u64).into()), ("path", Value::List(path))])
            };
            info.push(("files", Value::List(self.files.iter().map(file).collect())));
        }
        let info = Value::Dict(info.into_iter().map(|(key, value)| (key.into(), value)).collect());
        let info_hash = Sha1::digest(info.encode()).into();
        let mut whole = vec![(b"info".to_vec(), info)];
        if let Some(first) = trackers.first() {
            whole.push((b"announce".to_vec(), Value::from(*first)));
            let tiers = trackers.iter().map(|url| Value::List(vec![Value::from(*url)])).collect();
            whole.push((b"announce-list".to_vec(), Value::List(tiers)));
        }
        Torrent { bytes: Value::Dict(whole.into_iter().collect()).encode(), info_hash }
    }

    /// Writes the content below `dir`.
    pub fn write(&self, dir: &Path) {
        for (path, bytes) in self.parts(dir) {
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs::write(&path, bytes).expect("content");
        }
    }

    /// Panics unless the content below `dir` is this one, byte by byte, with no file too many.
    #[track_caller]
    pub fn assert_same(&self, dir: &Path) {
        if let Err(difference) = self.compare(dir, &self.parts(dir)) {
            panic!("{difference}");
        }
    }

    /// Whether the content below `dir` is this one.
    pub fn is_same(&self, dir: &Path) -> bool {
        self.compare(dir, &self.parts(dir)).is_ok()
    }

    /// Whether the content below `dir` is this one; empty files may be absent.
    pub fn is_same_but_empty(&self, dir: &Path) -> bool {
        let parts = self.parts(dir).into_iter().filter(|(path, bytes)| !bytes.is_empty() || path.exists());
        self.compare(dir, &parts.collect::<Vec<_>>()).is_ok()
    }

    fn compare(&self, dir: &Path, parts: &[(PathBuf, &[u8])]) -> Result<(), String> {
        for (path, expected) in parts {
            let name = path.display();
            let got = fs::read(path).map_err(|error| format!("{name}: {error}"))?;
            if got.len() != expected.len() {
                return Err(format!("{name} has {} bytes, not {}", got.len(), expected.len()));
            }
            if got != *expected {
                let at = got.iter().zip(*expected).position(|(got, expected)| got != expected);
                return Err(format!("{name} differs from byte {}", at.unwrap_or_default()));
            }
        }
        match count_files(&dir.join(&self.name)) {
            count if count == parts.len() => Ok(()),
            count => Err(format!("{count} files instead of {}", parts.len())),
        }
    }

    /// Where each file is below `dir`, and its bytes.
    pub fn parts(&self, dir: &Path) -> Vec<(PathBuf, &[u8])> {
        if self.files.is_empty() {
            return vec![(dir.join(&self.name), &self.data)];
        }
        let top = dir.join(&self.name);
        let mut rest = self.data.as_slice();
        let mut next = |len| {
            let (bytes, after) = rest.split_at(len);
            rest = after;
            bytes
        };
        self.files.iter().map(|(path, len)| (top.join(path), next(*len))).collect()
    }
}

fn count_files(path: &Path) -> usize {
    if !path.is_dir() {
        return 1;
    }
    let entries = fs::read_dir(path).expect("folder");
    entries.map(|entry| count_files(&entry.expect("entry").path())).sum()
}

/// Bytes that no compressor shortens and every run repeats (xorshift64*).
fn random(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut data = Vec::with_capacity(len + 8);
    while data.len() < len {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        data.extend(state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    data.truncate(len);
    data
}
