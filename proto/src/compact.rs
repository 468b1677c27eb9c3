//! Endpoints in compact form: address and port in network byte order, 6 bytes for IPv4 (BEP 23), 18 for IPv6 (BEP 7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The length of an IPv4 endpoint in bytes.
pub const V4_LEN: usize = 6;
/// The length of an IPv6 endpoint in bytes.
pub const V6_LEN: usize = 18;

/// The IPv4 endpoints of a list. Bytes after the last whole one are passed over.
pub fn v4(list: &[u8]) -> impl Iterator<Item = SocketAddr> + '_ {
    list.as_chunks::<V4_LEN>().0.iter().map(|[a, b, c, d, p, q]| {
        SocketAddr::new(Ipv4Addr::new(*a, *b, *c, *d).into(), u16::from_be_bytes([*p, *q]))
    })
}

/// The IPv6 endpoints of a list. Bytes after the last whole one are passed over.
pub fn v6(list: &[u8]) -> impl Iterator<Item = SocketAddr> + '_ {
    list.as_chunks::<V6_LEN>()
        .0
        .iter()
        .map(|[ip @ .., p, q]| SocketAddr::new(Ipv6Addr::from(*ip).into(), u16::from_be_bytes([*p, *q])))
}

/// Appends an endpoint to a list, which is to hold one family only.
pub fn push(addr: SocketAddr, list: &mut Vec<u8>) {
    match addr.ip() {
        IpAddr::V4(ip) => list.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => list.extend_from_slice(&ip.octets()),
    }
    list.extend_from_slice(&addr.port().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let four: SocketAddr = "10.0.0.5:128".parse().unwrap();
        let six: SocketAddr = "[2001:db8::1]:6881".parse().unwrap();
        let (mut fours, mut sixes) = (Vec::new(), Vec::new());
        push(four, &mut fours);
        push(six, &mut sixes);
        assert_eq!(fours, [10, 0, 0, 5, 0, 128]);
        assert_eq!(sixes, *b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1");
        fours.extend_from_slice(b"rest");
        sixes.extend_from_slice(b"rest");
        assert_eq!(v4(&fours).collect::<Vec<_>>(), [four]);
        assert_eq!(v6(&sixes).collect::<Vec<_>>(), [six]);
    }
}
