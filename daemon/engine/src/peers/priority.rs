//! Canonical peer priority (BEP 40): both ends of a connection compute the same number, so that when there is no room the
//! same connections survive everywhere and the swarm stays connected.

use std::net::{IpAddr, SocketAddr};

/// The priority of a connection between two endpoints, higher is better. Endpoints of different families have the lowest.
pub fn priority(ours: SocketAddr, theirs: SocketAddr) -> u32 {
    match (ours.ip().to_canonical(), theirs.ip().to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(b)) if a == b => of_ports(ours.port(), theirs.port()),
        (IpAddr::V6(a), IpAddr::V6(b)) if a == b => of_ports(ours.port(), theirs.port()),
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            of_bytes(masked(a.octets(), b.octets(), 2), masked(b.octets(), a.octets(), 2))
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            of_bytes(masked(a.octets(), b.octets(), 6), masked(b.octets(), a.octets(), 6))
        }
        _ => 0,
    }
}

/// The address with its host part masked: the more the two share, the finer the mask. `whole` is how many bytes of the
/// prefix always count in full (an IPv4 /16, an IPv6 /48).
fn masked<const N: usize>(address: [u8; N], other: [u8; N], whole: usize) -> [u8; N] {
    let shared = address.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let full = if shared < whole { whole } else { (shared + 1).min(N) };
    let mut out = address;
    for byte in &mut out[full..] {
        *byte &= 0x55;
    }
    out
}

fn of_ports(a: u16, b: u16) -> u32 {
    of_bytes(a.to_be_bytes(), b.to_be_bytes())
}

fn of_bytes<const N: usize>(a: [u8; N], b: [u8; N]) -> u32 {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    !high.iter().fold(low.iter().fold(u32::MAX, step), step)
}

/// CRC-32C (Castagnoli), reflected polynomial; the input is some bytes, so that a table is not worth its cache lines.
fn step(crc: u32, byte: &u8) -> u32 {
    (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(a: &str, b: &str) -> u32 {
        priority(a.parse().unwrap(), b.parse().unwrap())
    }

    #[test]
    fn crc_is_castagnolis() {
        assert_eq!(!b"123456789".iter().fold(u32::MAX, step), 0xe306_9283);
    }

    #[test]
    fn the_vectors_of_bep_40() {
        assert_eq!(of("123.213.32.10:0", "98.76.54.32:0"), 0xec2d_7224);
        assert_eq!(of("123.213.32.10:0", "123.213.32.234:0"), 0x9956_8189);
        assert_eq!(of("98.76.54.32:0", "123.213.32.10:0"), 0xec2d_7224);
    }

    #[test]
    fn one_address_is_told_apart_by_ports_and_families_do_not_mix() {
        assert_ne!(of("10.0.0.1:1", "10.0.0.1:2"), of("10.0.0.1:1", "10.0.0.1:3"));
        assert_eq!(of("10.0.0.1:1", "[2001:db8::1]:1"), 0);
        assert_ne!(of("[2001:db8:1::1]:1", "[2001:db8:2::1]:1"), 0);
    }
}
