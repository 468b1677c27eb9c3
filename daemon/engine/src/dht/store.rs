//! What we keep for others: peers of torrents (BEP 5) and items (BEP 44), for a time and up to a size.
//!
//! Both stores are ordered by distance from our own id. When one is full, what is farthest from us goes first: that is what
//! others are responsible for, and somebody who wants to flood us must aim at us.

use super::Random;
use proto::{
    id::InfoHash,
    krpc::{Bloom, Distance, Item, NodeId, Samples},
    time::Instant,
};
use rand::seq::IteratorRandom;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Clients announce every 15 to 30 minutes (BEP 5 leaves it open; this is what others use).
const PEER_LIFE: Duration = Duration::from_secs(30 * 60);
/// Items are to be put again every hour (BEP 44).
const ITEM_LIFE: Duration = Duration::from_secs(2 * 60 * 60);
/// Most torrents with peers.
const MAX_TORRENTS: usize = 4000;
/// Most peers of one torrent: an answer shows a random hundred at most.
const MAX_PEERS_EACH: usize = 500;
/// Most peers in all: about 3 MB.
const MAX_PEERS: usize = 50_000;
/// Most peers of one torrent with the same address: several people behind one NAT.
const MAX_SAME_ADDRESS: usize = 4;
/// Most items: about 1 MB.
const MAX_ITEMS: usize = 1000;
/// Info-hashes in a sample (BEP 51): a full answer of them.
const SAMPLE: usize = 20;
/// How long a sample stays the same, which is what BEP 51 asks for so that a node is not emptied by asking often.
const SAMPLE_LIFE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
struct Peer {
    addr: SocketAddr,
    seed: bool,
    at: Instant,
}

/// Peers of torrents.
#[derive(Debug)]
pub(crate) struct Peers {
    own: NodeId,
    torrents: BTreeMap<Distance, Vec<Peer>>,
    count: usize,
    sample: Vec<InfoHash>,
    sampled: Option<Instant>,
}

impl Peers {
    pub(crate) const fn new(own: NodeId) -> Self {
        Self { own, torrents: BTreeMap::new(), count: 0, sample: Vec::new(), sampled: None }
    }

    pub(crate) fn torrents(&self) -> usize {
        self.torrents.len()
    }

    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Keeps a peer; returns whether there was room.
    pub(crate) fn add(&mut self, now: Instant, info_hash: InfoHash, addr: SocketAddr, seed: bool) -> bool {
        let key = self.own.distance(&info_hash.into());
        if !self.torrents.contains_key(&key) && self.torrents.len() >= MAX_TORRENTS && !self.make_room(key) {
            return false;
        }
        let peers = self.torrents.entry(key).or_default();
        let before = peers.len();
        peers.retain(|peer| peer.addr != addr);
        let same = peers.iter().filter(|peer| peer.addr.ip() == addr.ip()).count();
        // Entries are in the order of their announcements, so the first one that matches is the oldest.
        let victim = if same >= MAX_SAME_ADDRESS {
            peers.iter().position(|peer| peer.addr.ip() == addr.ip())
        } else {
            (peers.len() >= MAX_PEERS_EACH).then_some(0)
        };
        victim.map(|at| peers.remove(at));
        peers.push(Peer { addr, seed, at: now });
        self.count = self.count + peers.len() - before;
        while self.count > MAX_PEERS {
            let Some((_, dropped)) = self.torrents.pop_last() else { break };
            self.count -= dropped.len();
        }
        true
    }

    /// Drops the torrent that is farthest from us, if `key` is nearer.
    fn make_room(&mut self, key: Distance) -> bool {
        let Some(farthest) = self.torrents.last_entry().filter(|entry| *entry.key() > key) else {
            return false;
        };
        self.count -= farthest.remove().len();
        true
    }

    /// Up to `count` peers of one family, at random.
    pub(crate) fn some(
        &self,
        info_hash: InfoHash,
        ipv6: bool,
        no_seed: bool,
        count: usize,
        rng: &mut Random,
    ) -> Vec<SocketAddr> {
        let peers = self.torrents.get(&self.own.distance(&info_hash.into())).into_iter().flatten();
        let peers = peers.filter(|peer| peer.addr.is_ipv6() == ipv6 && !(no_seed && peer.seed));
        peers.map(|peer| peer.addr).choose_multiple(rng, count)
    }

    /// The filters of a torrent's seeds and other peers, if there are any (BEP 33).
    pub(crate) fn scrape(&self, info_hash: InfoHash) -> Option<(Bloom, Bloom)> {
        let peers = self.torrents.get(&self.own.distance(&info_hash.into()))?;
        let (mut seeds, mut leeches) = (Bloom::default(), Bloom::default());
        for peer in peers {
            if peer.seed { &mut seeds } else { &mut leeches }.insert(peer.addr.ip());
        }
        Some((seeds, leeches))
    }

    /// Some of the torrents (BEP 51).
    pub(crate) fn samples(&mut self, now: Instant, rng: &mut Random) -> Samples {
        if self.sampled.is_none_or(|at| now.since(at) >= SAMPLE_LIFE) {
            let own = self.own;
            let hashes = self.torrents.keys().map(|key| InfoHash(NodeId(key.0).distance(&own).0));
            self.sample = hashes.choose_multiple(rng, SAMPLE);
            self.sampled = Some(now);
        }
        Samples {
            interval: u32::try_from(SAMPLE_LIFE.as_secs()).unwrap_or(u32::MAX),
            num: u32::try_from(self.torrents.len()).unwrap_or(u32::MAX),
            hashes: self.sample.clone(),
        }
    }

    /// Forgets what is too old.
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.torrents.retain(|_, peers| {
            peers.retain(|peer| now.since(peer.at) < PEER_LIFE);
            !peers.is_empty()
        });
        self.count = self.torrents.values().map(Vec::len).sum();
    }

    /// Orders everything anew, around another id.
    pub(crate) fn move_to(&mut self, own: NodeId) {
        let old = self.own;
        let moved = std::mem::take(&mut self.torrents).into_iter();
        self.torrents = moved
            .map(|(key, peers)| (NodeId(key.0).distance(&old), peers))
            .map(|(hash, peers)| (NodeId(hash.0).distance(&own), peers))
            .collect();
        self.own = own;
    }
}

/// Why an item is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// `cas` names another number than the one here.
    Cas,
    /// A newer value is here.
    Older,
    /// The store is full of nearer ones.
    Full,
}

/// Items.
#[derive(Debug)]
pub(crate) struct Items {
    own: NodeId,
    items: BTreeMap<Distance, (Item, Instant)>,
}

impl Items {
    pub(crate) const fn new(own: NodeId) -> Self {
        Self { own, items: BTreeMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn get(&self, target: NodeId) -> Option<&Item> {
        self.items.get(&self.own.distance(&target)).map(|(item, _)| item)
    }

    /// Keeps an item that has been checked.
    pub(crate) fn put(&mut self, now: Instant, item: Item, cas: Option<i64>) -> Result<(), Rejected> {
        let key = self.own.distance(&item.target());
        if let (Some((Item::Mutable(old), _)), Item::Mutable(new)) = (self.items.get(&key), &item) {
            if cas.is_some_and(|cas| cas != old.seq) {
                return Err(Rejected::Cas);
            }
            if new.seq < old.seq || (new.seq == old.seq && new.value != old.value) {
                return Err(Rejected::Older);
            }
        }
        if self.items.len() >= MAX_ITEMS && !self.items.contains_key(&key) {
            match self.items.last_entry().filter(|entry| *entry.key() > key) {
                Some(farthest) => drop(farthest.remove()),
                None => return Err(Rejected::Full),
            }
        }
        self.items.insert(key, (item, now));
        Ok(())
    }

    /// Forgets what is too old.
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.items.retain(|_, (_, at)| now.since(*at) < ITEM_LIFE);
    }

    /// Orders everything anew, around another id.
    pub(crate) fn move_to(&mut self, own: NodeId) {
        let moved = std::mem::take(&mut self.items).into_values();
        self.items = moved.map(|(item, at)| (own.distance(&item.target()), (item, at))).collect();
        self.own = own;
    }
}

/// An address that may be given to others as a peer's.
pub(crate) const fn is_peer(ip: IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::krpc::Mutable;
    use rand::SeedableRng;

    const OWN: NodeId = NodeId([0; 20]);
    const HASH: InfoHash = InfoHash([1; 20]);

    fn addr(n: u32) -> SocketAddr {
        SocketAddr::from((n.to_be_bytes(), 6881))
    }

    #[test]
    fn peers_are_given_by_family_and_forgotten() {
        let mut rng = Random::seed_from_u64(1);
        let mut peers = Peers::new(OWN);
        peers.add(Instant::START, HASH, addr(1), false);
        peers.add(Instant::START, HASH, addr(1), true);
        peers.add(Instant::from_secs(60), HASH, addr(2), false);
        peers.add(Instant::START, HASH, "[2001:db8::1]:1".parse().unwrap(), false);
        assert_eq!((peers.torrents(), peers.count()), (1, 3));
        let mut found = peers.some(HASH, false, false, 10, &mut rng);
        found.sort();
        assert_eq!(found, [addr(1), addr(2)]);
        assert_eq!(peers.some(HASH, false, true, 10, &mut rng), [addr(2)]);
        assert_eq!(peers.some(HASH, true, false, 10, &mut rng).len(), 1);
        let (seeds, leeches) = peers.scrape(HASH).unwrap();
        assert_eq!((seeds.estimate().round(), leeches.estimate().round()), (1.0, 2.0));
        peers.sweep(Instant::START + PEER_LIFE);
        assert_eq!((peers.some(HASH, false, false, 10, &mut rng), peers.count()), (vec![addr(2)], 1));
        peers.sweep(Instant::NEVER);
        assert_eq!((peers.torrents(), peers.count()), (0, 0));
    }

    #[test]
    fn the_farthest_torrents_make_room() {
        let mut peers = Peers::new(OWN);
        let hash = |n: usize| InfoHash(std::array::from_fn(|i| n.to_be_bytes().get(i).copied().unwrap_or(0)));
        for n in 0..MAX_TORRENTS + 100 {
            // From far to near.
            assert!(peers.add(Instant::START, hash(100_000 - n), addr(1), false));
        }
        assert_eq!((peers.torrents(), peers.count()), (MAX_TORRENTS, MAX_TORRENTS));
        assert!(!peers.add(Instant::START, hash(100_000), addr(1), false));
        assert!(peers.add(Instant::START, hash(1), addr(1), false));
    }

    #[test]
    fn one_torrent_and_one_address_have_their_share() {
        let mut peers = Peers::new(OWN);
        for n in 0..1000 {
            peers.add(Instant::from_secs(n.into()), HASH, addr(n), false);
        }
        assert_eq!(peers.count(), MAX_PEERS_EACH);
        for port in 1..100 {
            peers.add(Instant::from_secs(2000), HASH, (addr(7).ip(), port).into(), false);
        }
        assert_eq!(
            peers.torrents.values().flatten().filter(|p| p.addr.ip() == addr(7).ip()).count(),
            MAX_SAME_ADDRESS
        );
        assert_eq!(peers.count(), MAX_PEERS_EACH);
    }

    #[test]
    fn a_new_id_keeps_what_is_stored() {
        let mut rng = Random::seed_from_u64(1);
        let mut peers = Peers::new(OWN);
        let mut items = Items::new(OWN);
        let item = Item::Immutable(b"i1e".to_vec());
        peers.add(Instant::START, HASH, addr(1), false);
        items.put(Instant::START, item.clone(), None).unwrap();
        peers.move_to(NodeId([0x55; 20]));
        items.move_to(NodeId([0x55; 20]));
        assert_eq!(peers.some(HASH, false, false, 1, &mut rng), [addr(1)]);
        assert_eq!(peers.samples(Instant::START, &mut rng).hashes, [HASH]);
        assert_eq!(items.get(item.target()), Some(&item));
    }

    #[test]
    fn newer_items_replace_older_ones() {
        let mut items = Items::new(OWN);
        let item = |seq, value: &[u8]| Item::Mutable(Mutable::sign(&[1; 32], b"", seq, value));
        let mut put = |seq, value: &[u8], cas| items.put(Instant::START, item(seq, value), cas);
        assert_eq!(put(5, b"i1e", None), Ok(()));
        assert_eq!(put(5, b"i1e", None), Ok(()));
        assert_eq!(put(5, b"i2e", None), Err(Rejected::Older));
        assert_eq!(put(4, b"i2e", None), Err(Rejected::Older));
        assert_eq!(put(6, b"i2e", Some(4)), Err(Rejected::Cas));
        assert_eq!(put(6, b"i2e", Some(5)), Ok(()));
        items.sweep(Instant::START + ITEM_LIFE);
        assert_eq!(items.len(), 0);
    }
}
