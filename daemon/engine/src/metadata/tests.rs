//! Metadata from honest peers, from liars, and into the torrent that follows.

use super::*;
use crate::{
    out::Caps,
    torrent::{Torrent, TorrentConfig},
};
use bytes::Bytes;
use proto::{
    bitfield::Bitfield,
    layout::{BLOCK, Layout},
    strategy::Strategy,
    wire::METADATA_BLOCK,
};
use sha1::{Digest as _, Sha1};

const CAPS: Caps = Caps { fast: true, extended: true, dht: false };

fn info(len: usize) -> Bytes {
    (0..len).map(|at| (at * 7 % 251) as u8).collect()
}

fn fetch(info: &Bytes) -> MetadataFetch {
    let config = FetchConfig {
        info_hash: InfoHash(Sha1::digest(info).into()),
        our_id: PeerId([90; 20]),
        client: "btd test".into(),
        listen_port: None,
        max_connections: 20,
        half_open: 5,
    };
    MetadataFetch::new(config)
}

/// A fetch and scripted peers that answer at once.
struct Bench {
    fetch: MetadataFetch,
    now: Instant,
    out: Vec<Action>,
    found: Option<Bytes>,
    drops: Vec<(PeerKey, DropReason)>,
    asked: Vec<(PeerKey, u32)>,
}

impl Bench {
    fn new(info: &Bytes) -> Self {
        let (out, found, drops, asked) = Default::default();
        let mut bench = Self { fetch: fetch(info), now: Instant::from_secs(5), out, found, drops, asked };
        bench.on(Event::Run(true));
        bench
    }

    fn on(&mut self, event: Event) {
        self.fetch.on(self.now, event, &mut self.out);
        self.sort();
    }

    fn sort(&mut self) {
        for action in std::mem::take(&mut self.out) {
            match action {
                Action::Metadata { info } => assert!(self.found.replace(info).is_none()),
                Action::Drop { peer, why } => self.drops.push((peer, why)),
                Action::Send { peer, message: Message::Ext(extension) } => {
                    if let Extension::Metadata(Metadata::Request { block }) = *extension {
                        self.asked.push((peer, block));
                    }
                }
                _ => {}
            }
        }
    }

    fn join(&mut self, number: u8, size: Option<u32>) -> PeerKey {
        let peer = PeerKey(number.into());
        let addr = SocketAddr::from(([10, 0, 0, number], 6_881));
        self.on(Event::Connected { peer, addr, outgoing: false, id: PeerId([number; 20]), caps: CAPS });
        let ids = ExtIds { ut_metadata: size.map(|_| 3), ..ExtIds::default() };
        self.ext(peer, Extension::Handshake(ExtHandshake { ids, metadata_size: size, ..Default::default() }));
        peer
    }

    fn ext(&mut self, peer: PeerKey, extension: Extension) {
        self.on(Event::Message { peer, message: Message::Ext(Box::new(extension)) });
    }

    fn answer(&mut self, peer: PeerKey, block: u32, info: &Bytes) {
        let start = (block * METADATA_BLOCK) as usize;
        let data = info.slice(start..info.len().min(start + METADATA_BLOCK as usize));
        self.ext(peer, Extension::Metadata(Metadata::Data { block, total: Some(info.len() as u32), data }));
    }

    /// Everyone answers everything: `lies` with wrong bytes, the others with the right ones.
    fn serve(&mut self, info: &Bytes, lies: &[PeerKey]) {
        let wrong: Bytes = info.iter().map(|byte| byte ^ 1).collect();
        while let Some((peer, block)) = self.asked.pop() {
            let what = if lies.contains(&peer) { &wrong } else { info };
            self.answer(peer, block, what);
        }
    }

    fn pass(&mut self, secs: u64) {
        let end = self.now + Duration::from_secs(secs);
        while let Some((at, _)) = self.fetch.deadline().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.fetch.wake(self.now, &mut self.out);
            self.sort();
            assert!(self.fetch.deadline().is_none_or(|(next, _)| next > self.now));
        }
        self.now = end;
    }
}

#[test]
fn blocks_come_from_several_peers_at_once() {
    let info = info(100_000);
    let mut bench = Bench::new(&info);
    bench.join(1, Some(100_000));
    bench.join(2, Some(100_000));
    let by = |peer: u32| bench.asked.iter().filter(|(key, _)| key.0 == peer).count();
    assert_eq!((by(1), by(2)), (4, 3), "seven blocks");
    bench.serve(&info, &[]);
    assert_eq!(bench.found, Some(info));
}

#[test]
fn sizes_that_cannot_be_are_not_asked_for() {
    let mut bench = Bench::new(&info(10));
    bench.join(1, Some(MAX_METADATA + 1));
    bench.join(2, Some(u32::MAX));
    bench.join(3, None);
    assert!(bench.asked.is_empty());
    assert_eq!(bench.fetch.progress().with_metadata, 0);
    let sizes = (10..20).map(|number| bench.join(number, Some(u32::from(number)))).count();
    assert_eq!((sizes, bench.asked.len()), (10, MAX_SIZES));
}

#[test]
fn a_liar_is_banned_and_the_rest_is_fetched_elsewhere() {
    let info = info(50_000);
    let mut bench = Bench::new(&info);
    let liar = bench.join(1, Some(50_000));
    bench.serve(&info, &[liar]);
    assert_eq!(bench.drops, [(liar, DropReason::Corrupt)]);
    bench.join(2, Some(50_000));
    bench.serve(&info, &[]);
    assert_eq!(bench.found, Some(info.clone()));
    let mut bench = Bench::new(&info);
    let liar = bench.join(1, Some(40_000));
    bench.join(2, Some(50_000));
    let wrong = info.slice(..40_000);
    while let Some((peer, block)) = bench.asked.pop() {
        bench.answer(peer, block, if peer == liar { &wrong } else { &info });
    }
    assert_eq!(bench.found, Some(info), "a wrong size does not hold up the right one");
}

#[test]
fn a_mixture_is_fetched_again_from_one_until_it_is_right() {
    let info = info(100_000);
    let mut bench = Bench::new(&info);
    let liar = bench.join(1, Some(100_000));
    bench.join(2, Some(100_000));
    bench.join(3, Some(100_000));
    bench.serve(&info, &[liar]);
    assert_eq!(bench.found, Some(info));
    assert!(bench.drops.iter().all(|(peer, _)| *peer == liar), "{:?}", bench.drops);
}

#[test]
fn a_silent_peer_is_passed_over() {
    let info = info(20_000);
    let mut bench = Bench::new(&info);
    bench.join(1, Some(20_000));
    assert_eq!(std::mem::take(&mut bench.asked).len(), 2);
    bench.join(2, Some(20_000));
    assert!(bench.asked.is_empty(), "all is asked of the first");
    bench.pass(4);
    bench.serve(&info, &[]);
    assert_eq!(bench.found, Some(info.clone()));
    // Alone with it, we ask again after a rest.
    let mut bench = Bench::new(&info);
    let peer = bench.join(1, Some(20_000));
    bench.asked.clear();
    bench.ext(peer, Extension::Metadata(Metadata::Reject { block: 0 }));
    assert!(bench.asked.is_empty());
    bench.pass(31);
    bench.serve(&info, &[]);
    assert_eq!(bench.found, Some(info));
}

#[test]
fn nonsense_is_dropped() {
    let info = info(20_000);
    let mut bench = Bench::new(&info);
    let peer = bench.join(1, Some(20_000));
    bench.ext(peer, Extension::Metadata(Metadata::Data { block: 9, total: None, data: info.slice(..5) }));
    assert!(matches!(bench.drops[..], [(PeerKey(1), DropReason::Violation(_))]));
}

/// Lets a torrent that has all and another machine talk over one connection until both are silent.
fn talk(
    now: Instant,
    seed: &mut Torrent,
    other: &mut dyn FnMut(Event, &mut Out),
    mut to_seed: Vec<Action>,
    mut to_other: Vec<Action>,
) {
    let key = PeerKey(1);
    while !to_seed.is_empty() || !to_other.is_empty() {
        let (mut out_seed, mut out_other) = (Vec::new(), Vec::new());
        for action in std::mem::take(&mut to_seed) {
            if let Action::Send { message, .. } = action {
                seed.on(now, Event::Message { peer: key, message }, &mut out_seed);
            }
        }
        let mut blocks = Vec::new();
        seed.next_uploads(key, 1_000, &mut blocks);
        for action in std::mem::take(&mut to_other) {
            if let Action::Send { message, .. } = action {
                other(Event::Message { peer: key, message }, &mut out_other);
            }
        }
        for block in blocks {
            other(Event::Block { peer: key, block }, &mut out_other);
        }
        to_other = out_seed;
        to_seed = out_other;
    }
}

#[test]
fn the_torrent_that_follows_takes_the_connections_over() {
    let (info, now) = (info(70_000), Instant::from_secs(9));
    let layout = Layout::new(BLOCK * 2, u64::from(BLOCK) * 2 * 30).unwrap();
    let config = |id: u8| TorrentConfig {
        layout: layout.clone(),
        info_hash: InfoHash(Sha1::digest(&info).into()),
        our_id: PeerId([id; 20]),
        private: false,
        strategy: Strategy::default(),
        seed: 1,
        client: "btd".into(),
        listen_port: Some(1),
        metadata_size: Some(70_000),
        metadata: Some(info.clone()),
        max_connections: 5,
        half_open: 5,
    };
    let mut seed = Torrent::new(config(91), Bitfield::all(30), Vec::new());
    let mut fetch = fetch(&info);
    let (mut to_fetch, mut to_seed) = (Vec::new(), Vec::new());
    seed.on(now, Event::Run(true), &mut to_fetch);
    fetch.on(now, Event::Run(true), &mut to_seed);
    let addr = "10.0.0.1:5".parse().unwrap();
    let connected = |id, outgoing| Event::Connected {
        peer: PeerKey(1),
        addr,
        outgoing,
        id: PeerId([id; 20]),
        caps: CAPS,
    };
    fetch.on(now, connected(91, true), &mut to_seed);
    seed.on(now, connected(90, false), &mut to_fetch);
    let mut found = None;
    let mut on_fetch = |event: Event, out: &mut Out| {
        fetch.on(now, event, out);
        out.iter().for_each(|action| {
            if let Action::Metadata { info } = action {
                found = Some(info.clone());
            }
        });
    };
    talk(now, &mut seed, &mut on_fetch, to_seed, to_fetch);
    assert_eq!(found, Some(info.clone()));

    let mut leech = Torrent::new(config(90), Bitfield::none(30), Vec::new());
    let mut to_seed = Vec::new();
    leech.on(now, Event::Run(true), &mut to_seed);
    for event in fetch.hand_over() {
        leech.on(now, event, &mut to_seed);
    }
    let mut kept = [0; 30];
    let mut on_leech = |event: Event, out: &mut Out| {
        let mut actions = Vec::new();
        leech.on(now, event, &mut actions);
        for action in actions {
            if let Action::Keep { block } = action {
                kept[block.piece as usize] += 1;
                if kept[block.piece as usize] == 2 {
                    let done = Event::PieceDone { piece: block.piece, digests: Vec::new() };
                    leech.on(now, done, out);
                }
            }
            out.push(action);
        }
    };
    talk(now, &mut seed, &mut on_leech, to_seed, Vec::new());
    assert!(leech.is_seed());
}
