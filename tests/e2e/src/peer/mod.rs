//! Peers of our own, on plain BEP 3 with blocking threads: cheap enough to load a client to its limit, the same for every
//! client, and able to count and to lie.

mod leecher;
mod seeder;

pub use leecher::Leecher;
pub use seeder::{Seeder, SeederOptions};

use std::io::{self, Read};

const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";
const HANDSHAKE: usize = 68;

const UNCHOKE: u8 = 1;
const INTERESTED: u8 = 2;
const BITFIELD: u8 = 5;
const REQUEST: u8 = 6;
const PIECE: u8 = 7;

/// The bytes before the payload of a piece message: length, id, piece, offset.
const PIECE_HEAD: usize = 13;

/// A handshake without any extension.
fn handshake(info_hash: [u8; 20], id: u16) -> [u8; HANDSHAKE] {
    let mut bytes = [0; HANDSHAKE];
    bytes[..20].copy_from_slice(PROTOCOL);
    bytes[28..48].copy_from_slice(&info_hash);
    bytes[48..].copy_from_slice(format!("-LD0001-{id:012}").as_bytes());
    bytes
}

/// Reads the other end's handshake and tells whether it is for this torrent.
fn expect_handshake(stream: &mut impl Read, info_hash: [u8; 20]) -> io::Result<()> {
    let mut bytes = [0; HANDSHAKE];
    stream.read_exact(&mut bytes)?;
    if bytes[..20] == PROTOCOL[..] && bytes[28..48] == info_hash {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
