//! Node ids: where a node is in the DHT's space of keys, and which ids an address may have (BEP 42).

use crate::id::{ID_LEN, InfoHash, to_hex};
use std::{fmt, net::IpAddr};

/// A point in the DHT's space: a node's id, or a key to look up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; ID_LEN]);

/// How far two points are apart (Kademlia's XOR metric). Ordered: smaller is nearer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Distance(pub [u8; ID_LEN]);

/// Bits of an id.
pub const ID_BITS: usize = ID_LEN * 8;

/// Which bits of an IPv4 address an id depends on (BEP 42).
const MASK_V4: [u8; 4] = [0x03, 0x0f, 0x3f, 0xff];
/// The same for the upper half of an IPv6 address.
const MASK_V6: [u8; 8] = [0x01, 0x03, 0x07, 0x0f, 0x1f, 0x3f, 0x7f, 0xff];

impl NodeId {
    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; ID_LEN] {
        &self.0
    }

    /// The distance to another point.
    pub fn distance(&self, other: &Self) -> Distance {
        Distance(std::array::from_fn(|i| self.0[i] ^ other.0[i]))
    }

    /// How many leading bits two points have in common: 160 if they are the same.
    pub fn common_bits(&self, other: &Self) -> usize {
        self.distance(other).leading_zeros()
    }

    /// An id that a node at `ip` may have. `random` gives the free bits; the last byte is kept as the specification's
    /// `rand`.
    pub fn for_address(ip: IpAddr, random: [u8; ID_LEN]) -> Self {
        let seed = random[ID_LEN - 1];
        let crc = address_crc(ip, seed).to_be_bytes();
        let mut id = random;
        id[0] = crc[0];
        id[1] = crc[1];
        id[2] = (crc[2] & 0xf8) | (random[2] & 0x07);
        Self(id)
    }

    /// Whether a node at `ip` may have this id. Addresses that are not reached over the Internet may have any.
    pub fn fits_address(&self, ip: IpAddr) -> bool {
        if is_local(ip) {
            return true;
        }
        let crc = address_crc(ip, self.0[ID_LEN - 1]).to_be_bytes();
        self.0[0] == crc[0] && self.0[1] == crc[1] && (self.0[2] ^ crc[2]) & 0xf8 == 0
    }
}

impl Distance {
    /// The number of leading zero bits.
    pub fn leading_zeros(&self) -> usize {
        let zero_bytes = self.0.iter().take_while(|byte| **byte == 0).count();
        let rest = self.0.get(zero_bytes).map_or(0, |byte| byte.leading_zeros() as usize);
        zero_bytes * 8 + rest
    }
}

impl From<InfoHash> for NodeId {
    fn from(hash: InfoHash) -> Self {
        Self(hash.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Addresses of one's own network, which BEP 42 exempts.
pub fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unique_local() || ip.is_unspecified()
        }
    }
}

fn address_crc(ip: IpAddr, seed: u8) -> u32 {
    let mut bytes = [0u8; 8];
    let masked = match ip {
        IpAddr::V4(ip) => mask(&mut bytes, &ip.octets(), &MASK_V4),
        IpAddr::V6(ip) => mask(&mut bytes, &ip.octets(), &MASK_V6),
    };
    masked[0] |= (seed & 7) << 5;
    crc32c(masked)
}

/// As many bytes of `address` as the mask has, masked.
fn mask<'b>(buffer: &'b mut [u8; 8], address: &[u8], mask: &[u8]) -> &'b mut [u8] {
    let masked = &mut buffer[..mask.len()];
    for ((out, byte), mask) in masked.iter_mut().zip(address).zip(mask) {
        *out = byte & mask;
    }
    masked
}

/// CRC-32C (Castagnoli, RFC 3720): eight bytes at most, so bit by bit will do.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0x82f6_3b78 & 0u32.wrapping_sub(crc & 1));
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_vectors_of_bep_42() {
        for (ip, seed, prefix) in [
            ("124.31.75.21", 1, [0x5f, 0xbf, 0xbf]),
            ("21.75.31.124", 86, [0x5a, 0x3c, 0xe9]),
            ("65.23.51.170", 22, [0xa5, 0xd4, 0x32]),
            ("84.124.73.14", 65, [0x1b, 0x03, 0x21]),
            ("43.213.53.83", 90, [0xe5, 0x6f, 0x6c]),
        ] {
            let ip = ip.parse().unwrap();
            let mut random = [0; ID_LEN];
            random[2] = prefix[2];
            random[ID_LEN - 1] = seed;
            let id = NodeId::for_address(ip, random);
            assert_eq!(id.0[0], prefix[0]);
            assert_eq!(id.0[1], prefix[1]);
            assert_eq!(id.0[2] & 0xf8, prefix[2] & 0xf8);
            assert!(id.fits_address(ip));
            assert!(!id.fits_address("1.2.3.4".parse().unwrap()));
        }
    }

    #[test]
    fn ipv6_and_local_addresses() {
        let ip = "2001:db8:1:2::1".parse().unwrap();
        let id = NodeId::for_address(ip, [0x5a; ID_LEN]);
        assert!(id.fits_address("2001:db8:1:2:ffff::9".parse().unwrap()));
        assert!(!id.fits_address("2001:db8:1:3::1".parse().unwrap()));
        assert!(id.fits_address("192.168.1.1".parse().unwrap()));
        assert!(id.fits_address("fe80::1".parse().unwrap()));
    }

    #[test]
    fn distances_are_ordered() {
        let (zero, mut near, mut far) = (NodeId([0; 20]), NodeId([0; 20]), NodeId([0; 20]));
        near.0[19] = 1;
        far.0[0] = 0x10;
        assert!(zero.distance(&near) < zero.distance(&far));
        assert_eq!((zero.common_bits(&near), zero.common_bits(&far), zero.common_bits(&zero)), (159, 3, 160));
    }
}
