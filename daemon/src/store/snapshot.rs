//! A plain file with the part of the state that cannot be found again, to rebuild a damaged database from.
//!
//! It holds the trees `meta`, `torrent`, `settings` and `dht`: not `have`, because a rebuilt state is checked anyway,
//! and not the peers, which come again. It is replaced by a rename, so there is always a whole one. Entries are
//! tree, key length, value length, key, value; every value carries its own checksum, so a damaged snapshot still gives
//! what is whole in it.

use super::StoreError;
use super::database::Database;
use super::files;
use super::mailbox::{Changes, Tree};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8] = b"btd snapshot 1\n";
/// Larger than any key and any chunk that is ever written.
const MAX_ENTRY: usize = 64 * 1024;
const TREES: [Tree; 4] = [Tree::Meta, Tree::Torrent, Tree::Settings, Tree::Dht];

fn path(state: &Path) -> PathBuf {
    state.join("snapshot")
}

/// Writes a snapshot of the database; returns its size in bytes.
pub(super) fn write(state: &Path, database: &Database) -> Result<u64, StoreError> {
    let (path, mut size) = (path(state), 0);
    files::replace(&path, &state.join("snapshot.new"), |file| {
        let mut out = BufWriter::with_capacity(256 * 1024, file);
        out.write_all(MAGIC)?;
        for tree in TREES {
            for chunk in database.chunks(tree) {
                let (key, value) = chunk.map_err(|fault| io::Error::other(fault.reason()))?;
                size += put(&mut out, tree, &key, &value)?;
            }
        }
        out.flush()
    })?;
    Ok(size)
}

fn put(out: &mut impl Write, tree: Tree, key: &[u8], value: &[u8]) -> io::Result<u64> {
    let lengths = [key.len(), value.len()].map(|len| u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
    for part in [&[tree as u8], lengths.as_flattened(), key, value] {
        out.write_all(part)?;
    }
    Ok((1 + 8 + key.len() + value.len()) as u64)
}

/// Reads what is whole of a snapshot; nothing if there is none.
pub(super) fn read(state: &Path) -> Result<Changes, StoreError> {
    let path = path(state);
    let mut changes = Changes::default();
    let mut file = match File::open(&path) {
        Ok(file) => BufReader::with_capacity(256 * 1024, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(changes),
        Err(error) => return Err(StoreError::io("read", &path)(error)),
    };
    let mut magic = [0; MAGIC.len()];
    if file.read_exact(&mut magic).is_ok() && magic == MAGIC {
        while let Some((tree, key, value)) = entry(&mut file) {
            changes.puts.insert((tree, key), value);
        }
    }
    Ok(changes)
}

/// The next entry; `None` at the end and where the file makes no sense.
fn entry(file: &mut impl Read) -> Option<(Tree, Vec<u8>, Vec<u8>)> {
    let mut head = [0; 9];
    file.read_exact(&mut head).ok()?;
    let [tree, k0, k1, k2, k3, v0, v1, v2, v3] = head;
    let tree = TREES.into_iter().find(|known| *known as u8 == tree)?;
    let mut take = |len: [u8; 4]| {
        let len = u32::from_be_bytes(len) as usize;
        let mut bytes = vec![0; len.min(MAX_ENTRY)];
        file.read_exact(&mut bytes).ok().filter(|()| len <= MAX_ENTRY)?;
        Some(bytes)
    };
    let key = take([k0, k1, k2, k3])?;
    Some((tree, key, take([v0, v1, v2, v3])?))
}
