//! Torrents wired to each other in virtual time, with oracles on everything they do.

mod exchange;
mod reasons;
mod single;
mod world;
