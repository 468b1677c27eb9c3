//! Torrent files (BEP 3) and their `info` dictionaries, read with distrust.
//!
//! [`Metainfo`] is a whole file; [`Info`] is the part that the info-hash names, which is also what a magnet link's
//! peers send. The raw bytes of `info` are kept and never re-encoded, so the hash is right for unusual files too. Names
//! are made safe in [`path`]. Version 1 is what [`Info`] is about; the version 2 side of a torrent
//! (BEP 52) is [`v2::Tree`].

mod file;
mod info;
pub mod path;
#[cfg(test)]
mod tests;
pub mod v2;

pub use file::{Metainfo, NodeAddr, Outer};
pub use info::{FileEntry, Info};

use crate::bencode;

/// Longest piece in bytes. libtorrent makes pieces of at most 128 MiB; a piece is verified and resent as a whole, so longer ones
/// serve nobody.
pub const MAX_PIECE_LENGTH: u32 = 256 << 20;

/// Most files in a torrent, and most directories: several times the largest data sets in circulation. Each costs about
/// 150 bytes while the torrent is loaded.
pub const MAX_FILES: usize = 500_000;

/// Why something is not a torrent that we can use. Every message is meant for the person who added it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetainfoError {
    /// It is not bencoded, or too large.
    #[error("this is not a torrent file: {0}")]
    Bencode(#[from] bencode::Error),
    /// It is bencoded, but not a dictionary with `info` in it.
    #[error("this is not a torrent file: it has no `info` dictionary")]
    NoInfo,
    /// It has a version 2 part only.
    #[error(
        "this is a v2-only torrent (BEP 52), which is not supported; a hybrid or v1 torrent of the same data works"
    )]
    V2Only,
    /// A key is absent or of the wrong kind.
    #[error("the torrent is damaged: `{0}` is missing or malformed")]
    Key(&'static str),
    /// The piece length is zero, negative or over [`MAX_PIECE_LENGTH`].
    #[error("the torrent has a piece length of {0} bytes; 1 byte to 256 MiB are possible")]
    PieceLength(i64),
    /// The number of piece hashes does not fit the length of the data.
    #[error("the torrent is damaged: its data is {want} pieces long, but {got} hashes are given")]
    Pieces {
        /// Hashes there are.
        got: u64,
        /// Pieces the data has.
        want: u64,
    },
    /// The lengths add up to more than is possible.
    #[error("the torrent is damaged: its files are larger in total than any disk")]
    TotalLength,
    /// The list of files is empty or over [`MAX_FILES`].
    #[error("the torrent lists {0} files; 1 to 500,000 are possible")]
    FileCount(usize),
    /// An entry in the list of files cannot be used.
    #[error("the torrent is damaged: file {index} {why}")]
    File {
        /// Position in the list, from 0.
        index: usize,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Text for people from a stranger's bytes: what is not UTF-8 and what steers a terminal is replaced.
fn display_text(bytes: &[u8], max: usize) -> String {
    let text = String::from_utf8_lossy(bytes.get(..max).unwrap_or(bytes));
    text.chars().map(|c| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
