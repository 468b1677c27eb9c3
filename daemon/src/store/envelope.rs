//! How a value lies in the database: cut in chunks, each versioned and checksummed.
//!
//! sled never reclaims large values and can lose or flip bytes when its file is damaged. So a value is cut into chunks
//! of at most [`CHUNK`] bytes under the keys `base ++ index` (index as two bytes, big-endian), and each chunk begins with
//! a version, how many chunks there are, and a CRC-32 over tree, key, count and payload. A chunk that ended up under
//! another key, or that belongs to a longer older value, is therefore recognised as well.

use super::mailbox::Tree;

/// Payload bytes of a chunk: with the header well below the 16 KiB that sled reclaims without trouble.
pub(super) const CHUNK: usize = 8 * 1024;
/// Chunks of one value at most: 4 MiB, the priorities of a torrent of 100,000 files with every second one skipped.
pub(super) const MAX_CHUNKS: usize = 512;
/// The version of this form.
const VERSION: u8 = 1;
/// Version, count, checksum.
const HEADER: usize = 1 + 2 + 4;
/// Bytes of the chunk's index at the end of a key.
pub(super) const INDEX: usize = 2;

/// A chunk's key and the chunk, sealed.
pub(super) type Chunk = (Vec<u8>, Vec<u8>);

/// A value does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value of {0} bytes is too large to be stored (at most {max})", max = CHUNK * MAX_CHUNKS)]
pub(crate) struct TooLarge(usize);

/// The key of a chunk.
pub(super) fn key(base: &[u8], index: usize) -> Vec<u8> {
    let index = u16::try_from(index).unwrap_or(u16::MAX);
    [base, &index.to_be_bytes()].concat()
}

/// Cuts a value into chunks, an empty value into one. The index of a chunk is its place.
pub(super) fn seal<'a>(
    tree: Tree,
    base: &'a [u8],
    value: &'a [u8],
) -> Result<impl Iterator<Item = Chunk> + 'a, TooLarge> {
    let count = value.len().div_ceil(CHUNK).max(1);
    if count > MAX_CHUNKS {
        return Err(TooLarge(value.len()));
    }
    let count = u16::try_from(count).map_err(|_| TooLarge(value.len()))?;
    Ok((0..usize::from(count)).map(move |index| {
        let start = index * CHUNK;
        let payload = &value[start..value.len().min(start + CHUNK)];
        let key = key(base, index);
        let mut sealed = Vec::with_capacity(HEADER + payload.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&count.to_be_bytes());
        sealed.extend_from_slice(&checksum(tree, &key, count, payload).to_be_bytes());
        sealed.extend_from_slice(payload);
        (key, sealed)
    }))
}

/// The payload of a chunk and how many chunks its value has; `None` if it is damaged or of another version.
pub(super) fn unseal<'a>(tree: Tree, key: &[u8], sealed: &'a [u8]) -> Option<(u16, &'a [u8])> {
    let (header, payload) = sealed.split_at_checked(HEADER)?;
    let [version, c0, c1, s0, s1, s2, s3] = *header else { return None };
    let count = u16::from_be_bytes([c0, c1]);
    let sum = u32::from_be_bytes([s0, s1, s2, s3]);
    (version == VERSION && sum == checksum(tree, key, count, payload)).then_some((count, payload))
}

/// Puts values together again from their chunks, which must arrive in order of their keys.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    base: Vec<u8>,
    value: Vec<u8>,
    /// Chunks seen, and chunks that there must be; `None` once one was missing or damaged.
    progress: Option<(u16, u16)>,
}

/// What a chunk led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// More chunks are needed, or this one is a rest of an older value.
    More,
    /// The value is whole.
    Whole {
        /// Its key without the index.
        base: Vec<u8>,
        /// Its bytes.
        value: Vec<u8>,
    },
    /// The chunk is damaged, and with it the value.
    Damaged,
}

impl Assembler {
    /// Takes the next chunk.
    pub(super) fn push(&mut self, tree: Tree, key: &[u8], sealed: &[u8]) -> Step {
        let Some((base, index)) = key.split_last_chunk::<INDEX>() else { return Step::Damaged };
        let index = u16::from_be_bytes(*index);
        if base != self.base || index == 0 {
            *self = Self { base: base.to_vec(), value: Vec::new(), progress: Some((0, 0)) };
        }
        let Some((seen, count)) = self.progress else { return Step::More };
        if seen == count && seen > 0 {
            return Step::More;
        }
        match unseal(tree, key, sealed) {
            Some((whole, payload)) if index == seen && (seen == 0 || whole == count) && whole > 0 => {
                self.value.extend_from_slice(payload);
                self.progress = Some((seen + 1, whole));
                if seen + 1 < whole {
                    return Step::More;
                }
                Step::Whole { base: self.base.clone(), value: std::mem::take(&mut self.value) }
            }
            _ => {
                self.progress = None;
                Step::Damaged
            }
        }
    }
}

fn checksum(tree: Tree, key: &[u8], count: u16, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[tree as u8, VERSION]);
    hasher.update(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_be_bytes());
    hasher.update(key);
    hasher.update(&count.to_be_bytes());
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assemble(chunks: &[Chunk]) -> Vec<Step> {
        let mut assembler = Assembler::default();
        chunks.iter().map(|(key, value)| assembler.push(Tree::Have, key, value)).collect()
    }

    #[test]
    fn values_of_any_size_come_back_whole() {
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK * 300 + 7] {
            let value: Vec<u8> = (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let chunks: Vec<_> = seal(Tree::Have, b"base", &value).unwrap().collect();
            assert!(chunks.iter().all(|(_, sealed)| sealed.len() <= 16 * 1024));
            assert!(chunks.is_sorted());
            let steps = assemble(&chunks);
            assert_eq!(*steps.last().unwrap(), Step::Whole { base: b"base".to_vec(), value });
        }
        assert!(seal(Tree::Have, b"base", &vec![0; CHUNK * MAX_CHUNKS + 1]).is_err());
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let chunks: Vec<_> = seal(Tree::Have, b"base", b"some payload").unwrap().collect();
        let (key, sealed) = &chunks[0];
        for bit in 0..sealed.len() * 8 {
            let mut broken = sealed.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal(Tree::Have, key, &broken), None, "bit {bit}");
        }
        assert_eq!(unseal(Tree::Swarm, key, sealed), None);
        assert_eq!(unseal(Tree::Have, b"other\0\0", sealed), None);
    }

    #[test]
    fn a_missing_chunk_damages_and_an_old_rest_is_passed_over() {
        let long = vec![7; CHUNK * 3];
        let mut chunks: Vec<_> = seal(Tree::Have, b"base", &long).unwrap().collect();
        let rest = chunks.split_off(1);
        let mut overwritten: Vec<_> = seal(Tree::Have, b"base", b"short").unwrap().collect();
        overwritten.extend(rest.clone());
        let steps = assemble(&overwritten);
        assert_eq!(steps[0], Step::Whole { base: b"base".to_vec(), value: b"short".to_vec() });
        assert_eq!(steps[1..], [Step::More, Step::More]);

        chunks.push(rest[1].clone());
        assert_eq!(assemble(&chunks), [Step::More, Step::Damaged]);
        assert_eq!(assemble(&rest), [Step::Damaged, Step::More]);
    }
}
