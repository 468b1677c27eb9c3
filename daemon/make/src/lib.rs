//! Making torrents, and checking data against them, with files as the only I/O.
//!
//! [`Plan::walk`] looks at a file or folder and decides what goes in; [`make`] reads it once, on all cores, and answers the bytes
//! of the torrent; [`save`] puts them on disk whole or not at all. [`verify`] reads data in the same way and compares. [`edit`] changes what
//! is outside the info dictionary.
//!
//! These calls block for as long as reading takes. A [`Control`] shared with another thread tells how far they are and stops them.

mod control;
mod create;
mod edit;
mod error;
mod length;
mod merkle;
mod pieces;
mod plan;
mod save;
mod space;
mod url;
mod verify;
mod write;

pub use control::Control;
pub use create::{Format, Made, Options, make};
pub use edit::{Edit, edit};
pub use error::Error;
pub use length::{MAX_PIECE_LENGTH, MIN_PIECE_LENGTH, choose_piece_length, parse_piece_length};
pub use plan::{Input, Like, Plan, PlannedFile, Skipped, Why};
pub use save::save;
pub use url::{check_tracker, check_web_seed};
pub use verify::{FileReport, FileState, Report, verify};
