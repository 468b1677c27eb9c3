//! What goes over a wire: parsers, encoders and byte machines.
//!
//! Everything here is pure. Bytes and time come in as arguments; nothing opens a socket, reads a clock or starts
//! a thread, so the same code runs in `btd` and in a simulator. Sizes and indices that a stranger sent are
//! checked here, once; a value that left this crate can be trusted in shape (not in truth).
#![forbid(unsafe_code)]

pub mod bencode;
pub mod bitfield;
pub mod compact;
pub mod explain;
pub mod id;
pub mod krpc;
pub mod layout;
pub mod lsd;
pub mod magnet;
pub mod merkle;
pub mod metainfo;
mod percent;
#[cfg(feature = "rpc")]
pub mod rpc;
pub mod size;
pub mod strategy;
pub mod text;
pub mod time;
pub mod tracker;
pub mod wire;
