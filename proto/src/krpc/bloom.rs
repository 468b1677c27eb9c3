//! Bloom filters that count a swarm (BEP 33).

use sha1::{Digest, Sha1};
use std::{fmt, net::IpAddr};

/// Length of a filter in bytes.
pub const BLOOM_LEN: usize = 256;
/// Bits of a filter.
const BITS: u16 = 2048;
/// How many bits each address sets.
const HASHES: f64 = 2.0;

/// A set of addresses that only tells roughly how many they are, and can be merged with others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bloom(pub [u8; BLOOM_LEN]);

impl Default for Bloom {
    fn default() -> Self {
        Self([0; BLOOM_LEN])
    }
}

impl Bloom {
    /// Adds an address.
    pub fn insert(&mut self, ip: IpAddr) {
        let hash = match ip {
            IpAddr::V4(ip) => Sha1::digest(ip.octets()),
            IpAddr::V6(ip) => Sha1::digest(ip.octets()),
        };
        for pair in [[hash[0], hash[1]], [hash[2], hash[3]]] {
            let bit = u16::from_le_bytes(pair) % BITS;
            self.0[usize::from(bit / 8)] |= 1 << (bit % 8);
        }
    }

    /// Adds everything that another filter holds.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }

    /// About how many addresses were added.
    pub fn estimate(&self) -> f64 {
        let bits = f64::from(BITS);
        let zeros: u32 = self.0.iter().map(|byte| byte.count_zeros()).sum();
        // A full filter would be infinitely many.
        let zeros = f64::from(zeros).clamp(1.0, bits);
        (zeros / bits).ln() / (HASHES * (1.0 - 1.0 / bits).ln())
    }
}

impl fmt::Debug for Bloom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bloom(~{:.0})", self.estimate())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::from_hex;
    use std::net::{Ipv4Addr, Ipv6Addr};

    /// BEP 33's test vector.
    const EXPECTED: &str = "f6c3f5eaa07ffd91bde89f777f26fb2bff37bdb8fb2bbaa2fd3ddde7bacfff75ee7ccbae\
        fe5eedb1fbfaff67f6abff5e43ddbca3fd9b9ffdf4ffd3e9dff12d1bdf59db53dbe9fa5b7ff3b8fdfcde1afb8bedd7be\
        2f3ee71ebbbfe93bcdeefe148246c2bc5dbff7e7efdcf24fd8dc7adffd8fffdfddfff7a4bbeedf5cb95ce81fc7fcff1f\
        f4ffffdfe5f7fdcbb7fd79b3fa1fc77bfe07fff905b7b7ffc7fefeffe0b8370bb0cd3f5b7f2bd93feb4386cfdd6f7fd5\
        bfaf2e9ebffffeecd67adbf7c67f17efd5d75eba6ffeba7fff47a91eb1bfbb53e8abfb5762abe8ff237279bfefbfeef5\
        ffc5febfdfe5adffadfee1fb737ffffbfd9f6aeffeee76b6fd8f72ef";

    #[test]
    fn the_test_vector_of_bep_33() {
        let mut bloom = Bloom::default();
        for last in 0..=255 {
            bloom.insert(Ipv4Addr::new(192, 0, 2, last).into());
        }
        let mut six = Bloom::default();
        for last in 0..=0x3e7 {
            six.insert(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into());
        }
        bloom.merge(&six);
        assert_eq!(Some(bloom.0), from_hex(EXPECTED));
        assert!((bloom.estimate() - 1224.9308).abs() < 0.001);
        assert!(Bloom::default().estimate().abs() < 0.001);
    }
}
