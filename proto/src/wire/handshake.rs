//! The 68 bytes that open every connection (BEP 3), and the capabilities in their reserved bits.

use super::WireError;
use crate::id::{ID_LEN, InfoHash, PeerId};

/// Length of a handshake in bytes.
pub const HANDSHAKE_LEN: usize = 68;

/// The first 20 bytes of every plaintext handshake: the length of the protocol's name, and the name.
pub const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

const RESERVED: usize = PROTOCOL.len();
const INFO_HASH: usize = RESERVED + 8;
const PEER_ID: usize = INFO_HASH + ID_LEN;

/// What an end says in its handshake that it speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// The fast extension (BEP 6).
    pub fast: bool,
    /// The extension protocol (BEP 10).
    pub extended: bool,
    /// It has a DHT node (BEP 5).
    pub dht: bool,
}

impl Caps {
    /// What both ends speak.
    pub const fn and(self, other: Self) -> Self {
        Self {
            fast: self.fast && other.fast,
            extended: self.extended && other.extended,
            dht: self.dht && other.dht,
        }
    }

    const fn bits(self) -> [u8; 8] {
        let mut bits = [0; 8];
        if self.extended {
            bits[5] |= 0x10;
        }
        if self.fast {
            bits[7] |= 0x04;
        }
        if self.dht {
            bits[7] |= 0x01;
        }
        bits
    }

    const fn from_bits(bits: [u8; 8]) -> Self {
        Self { extended: bits[5] & 0x10 != 0, fast: bits[7] & 0x04 != 0, dht: bits[7] & 0x01 != 0 }
    }
}

/// A handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The reserved bits that we know; the others are not kept.
    pub caps: Caps,
    /// Which torrent.
    pub info_hash: InfoHash,
    /// Who speaks.
    pub peer_id: PeerId,
}

impl Handshake {
    /// How many bytes must be there before [`Handshake::info_hash`] can tell the torrent. Peers may wait with their id
    /// until they have seen ours, so an incoming connection is answered after these.
    pub const INFO_HASH_END: usize = PEER_ID;

    /// As the wire has it.
    pub fn encode(&self) -> [u8; HANDSHAKE_LEN] {
        let mut out = [0; HANDSHAKE_LEN];
        out[..RESERVED].copy_from_slice(PROTOCOL);
        out[RESERVED..INFO_HASH].copy_from_slice(&self.caps.bits());
        out[INFO_HASH..PEER_ID].copy_from_slice(self.info_hash.as_bytes());
        out[PEER_ID..].copy_from_slice(self.peer_id.as_bytes());
        out
    }

    /// Reads a whole handshake.
    pub fn parse(bytes: &[u8; HANDSHAKE_LEN]) -> Result<Self, WireError> {
        if !bytes.starts_with(PROTOCOL) {
            return Err(WireError::Protocol);
        }
        Ok(Self {
            caps: Caps::from_bits(array_at(bytes, RESERVED)),
            info_hash: InfoHash(array_at(bytes, INFO_HASH)),
            peer_id: PeerId(array_at(bytes, PEER_ID)),
        })
    }

    /// Which torrent an incoming connection is for, from the part of a handshake that is there; `None` if that is fewer
    /// than [`Handshake::INFO_HASH_END`] bytes. A wrong start is an error as soon as it can be seen.
    pub fn info_hash(bytes: &[u8]) -> Result<Option<InfoHash>, WireError> {
        let seen = bytes.len().min(PROTOCOL.len());
        if bytes[..seen] != PROTOCOL[..seen] {
            return Err(WireError::Protocol);
        }
        Ok(bytes.first_chunk::<PEER_ID>().map(|head| InfoHash(array_at(head, INFO_HASH))))
    }
}

/// `N` bytes from `at`. Callers pass constants that lie inside `M`.
fn array_at<const N: usize, const M: usize>(bytes: &[u8; M], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOLDEN: &[u8; HANDSHAKE_LEN] =
        b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x05aaaaaaaaaaaaaaaaaaaa-TR4060-bbbbbbbbbbbb";

    fn golden() -> Handshake {
        Handshake {
            caps: Caps { fast: true, extended: true, dht: true },
            info_hash: InfoHash(*b"aaaaaaaaaaaaaaaaaaaa"),
            peer_id: PeerId(*b"-TR4060-bbbbbbbbbbbb"),
        }
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(&golden().encode(), GOLDEN);
        assert_eq!(Handshake::parse(GOLDEN), Ok(golden()));
    }

    #[test]
    fn the_torrent_is_known_after_48_bytes() {
        assert_eq!(Handshake::info_hash(&GOLDEN[..47]), Ok(None));
        assert_eq!(Handshake::info_hash(&GOLDEN[..48]), Ok(Some(golden().info_hash)));
        assert_eq!(Handshake::info_hash(b""), Ok(None));
        assert_eq!(Handshake::info_hash(b"GET / HTTP"), Err(WireError::Protocol));
        assert_eq!(Handshake::info_hash(b"\x13BitTorrent protocoL"), Err(WireError::Protocol));
    }

    proptest! {
        #[test]
        fn encode_and_parse_agree(fast: bool, extended: bool, dht: bool, info_hash: [u8; 20], peer_id: [u8; 20]) {
            let caps = Caps { fast, extended, dht };
            let shake = Handshake { caps, info_hash: InfoHash(info_hash), peer_id: PeerId(peer_id) };
            prop_assert_eq!(Handshake::parse(&shake.encode()), Ok(shake));
        }
    }
}
