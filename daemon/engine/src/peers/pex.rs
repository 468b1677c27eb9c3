//! Peer exchange (BEP 11): what one peer was told of the others.

use proto::wire::{Pex, PexPeer};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// Peers added, and peers dropped, in one message at most (BEP 11).
pub const MAX_AT_ONCE: usize = 50;

/// No more than one message in this time (BEP 11), either way.
pub const INTERVAL: Duration = Duration::from_secs(60);

/// Messages may come this much closer together than [`INTERVAL`] and still be read: clocks and queues differ.
pub const TOLERANCE: Duration = Duration::from_secs(10);

/// Endpoints remembered as told to one peer; more connections than these are not told of.
const MAX_TOLD: usize = 200;

/// What one peer was told.
#[derive(Debug, Default)]
pub struct Told {
    told: Vec<SocketAddr>,
}

impl Told {
    /// The next message: who came and who went since the last one, `own` left out. `None` if nothing changed.
    pub fn next(&mut self, own: Option<SocketAddr>, now: &BTreeMap<SocketAddr, u8>) -> Option<Pex> {
        let mut dropped = Vec::new();
        self.told.retain(|addr| {
            let stays = now.contains_key(addr) || dropped.len() == MAX_AT_ONCE;
            if !stays {
                dropped.push(*addr);
            }
            stays
        });
        let room = MAX_AT_ONCE.min(MAX_TOLD - self.told.len());
        let added: Vec<PexPeer> = now
            .iter()
            .filter(|(addr, _)| Some(**addr) != own && !self.told.contains(addr))
            .map(|(addr, flags)| PexPeer { addr: *addr, flags: *flags })
            .take(room)
            .collect();
        self.told.extend(added.iter().map(|peer| peer.addr));
        (!added.is_empty() || !dropped.is_empty()).then_some(Pex { added, dropped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(range: std::ops::Range<u16>) -> BTreeMap<SocketAddr, u8> {
        range.map(|port| (SocketAddr::from(([10, 0, 0, 1], port)), 0)).collect()
    }

    #[test]
    fn each_peer_is_told_once_and_of_itself_never() {
        let mut told = Told::default();
        let own = SocketAddr::from(([10, 0, 0, 1], 5));
        let first = told.next(Some(own), &some(1..11)).unwrap();
        assert_eq!((first.added.len(), first.dropped.len()), (9, 0));
        assert_eq!(told.next(Some(own), &some(1..11)), None);
        let second = told.next(Some(own), &some(3..12)).unwrap();
        assert_eq!((second.added.len(), second.dropped.len()), (1, 2));
    }

    #[test]
    fn a_message_is_bounded_and_the_rest_comes_later() {
        let mut told = Told::default();
        let counts: Vec<usize> =
            std::iter::from_fn(|| told.next(None, &some(1..1_001)).map(|pex| pex.added.len())).collect();
        assert_eq!(counts, [50, 50, 50, 50]);
        let drops: Vec<usize> =
            std::iter::from_fn(|| told.next(None, &some(1..1)).map(|pex| pex.dropped.len())).collect();
        assert_eq!(drops, [50, 50, 50, 50]);
    }
}
