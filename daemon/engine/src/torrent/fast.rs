//! The allowed-fast set (BEP 6): pieces that a new peer may have while choked, so that it gets something to trade.

use proto::id::InfoHash;
use sha1::{Digest as _, Sha1};
use std::net::{IpAddr, SocketAddr};

/// Pieces in the set.
pub(super) const ALLOWED_FAST: u32 = 10;

/// The canonical set of up to `k` pieces for a peer, in the order of its making. Defined for IPv4 only: elsewhere empty.
/// A peer cannot get more by reconnecting, nor can its neighbours of the same /24.
pub(super) fn allowed_fast(addr: SocketAddr, info_hash: &InfoHash, pieces: u32, k: u32) -> Vec<u32> {
    let IpAddr::V4(ip) = addr.ip().to_canonical() else { return Vec::new() };
    if pieces <= k {
        return (0..pieces).collect();
    }
    let [a, b, c, _] = ip.octets();
    let mut set = Vec::new();
    let mut hash = Sha1::new().chain_update([a, b, c, 0]).chain_update(info_hash.as_bytes()).finalize();
    loop {
        for word in hash.chunks_exact(4) {
            let number = word.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
            if !set.contains(&(number % pieces)) {
                set.push(number % pieces);
            }
            if set.len() == k as usize {
                return set;
            }
        }
        hash = Sha1::digest(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_bep_6() {
        let hash = InfoHash([0xaa; 20]);
        let addr = "80.4.4.200:6881".parse().unwrap();
        assert_eq!(allowed_fast(addr, &hash, 1313, 7), [1059, 431, 808, 1217, 287, 376, 1188]);
        assert_eq!(allowed_fast(addr, &hash, 1313, 9), [1059, 431, 808, 1217, 287, 376, 1188, 353, 508]);
    }

    #[test]
    fn small_torrents_and_ipv6() {
        let hash = InfoHash([1; 20]);
        assert_eq!(allowed_fast("10.0.0.1:1".parse().unwrap(), &hash, 3, 10), [0, 1, 2]);
        assert!(allowed_fast("[2001:db8::1]:1".parse().unwrap(), &hash, 100, 10).is_empty());
    }
}
