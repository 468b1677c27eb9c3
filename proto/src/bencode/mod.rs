//! Bencoding (BEP 3): the format of torrent files, tracker answers, KRPC and the extension protocol.
//!
//! [`Document`] decodes without copying: a flat list of nodes over the caller's bytes, made by a loop and not by
//! recursion, so nesting costs what [`Limits`] allow and no stack. Every [`Value`] knows its raw bytes, which is what
//! an info-hash is taken of. [`Encoder`] writes.
//!
//! Dictionaries with unsorted or repeated keys are accepted, because such files exist; the first of repeated keys wins.
//! [`Document::canonical`] tells whether one is as the specification wants it.

mod decode;
mod encode;
#[cfg(test)]
mod tests;
mod value;

pub use decode::{Document, Error, ErrorKind, Limits};
pub use encode::{Dict, Encoder, List};
pub use value::{DictIter, Kind, ListIter, Value};
