//! One torrent and what a peer may say to it, message by message.

use super::super::*;
use crate::out::{BlockDigest, Caps, DropReason, Source};
use bytes::Bytes;
use proto::{
    id::InfoHash,
    layout::{BLOCK, Layout},
    strategy::Strategy,
    wire::{ExtHandshake, ExtIds, Extension, Message},
};
use std::time::Duration;

const A: PeerKey = PeerKey(1);
const B: PeerKey = PeerKey(2);
const FAST: Caps = Caps { fast: true, extended: true, dht: false };
const PLAIN: Caps = Caps { fast: false, extended: false, dht: false };
const PIECES: u32 = 20;

struct Bench {
    torrent: Torrent,
    now: Instant,
}

impl Bench {
    fn new(have: Bitfield, strategy: Strategy) -> Self {
        let config = TorrentConfig {
            layout: Layout::new(BLOCK * 4, u64::from(BLOCK) * 4 * u64::from(PIECES)).unwrap(),
            info_hash: InfoHash([7; 20]),
            our_id: PeerId([50; 20]),
            private: false,
            strategy,
            seed: 1,
            client: "btd test".into(),
            listen_port: Some(6_881),
            metadata_size: Some(100),
            metadata: None,
            max_connections: 10,
            half_open: 3,
        };
        let mut bench =
            Self { torrent: Torrent::new(config, have, Vec::new()), now: Instant::from_secs(1_000) };
        bench.on(Event::Run(true));
        bench
    }

    fn leech() -> Self {
        Self::new(Bitfield::none(PIECES), Strategy::default())
    }

    fn seed() -> Self {
        Self::new(Bitfield::all(PIECES), Strategy::default())
    }

    fn on(&mut self, event: Event) -> Vec<Action> {
        let mut out = Out::new();
        self.torrent.on(self.now, event, &mut out);
        out
    }

    fn say(&mut self, peer: PeerKey, message: Message) -> Vec<Action> {
        self.on(Event::Message { peer, message })
    }

    fn connect(&mut self, peer: PeerKey, caps: Caps) -> Vec<Action> {
        let number = u8::try_from(peer.0).unwrap();
        let addr = SocketAddr::from(([10, 0, 0, number], 40_000));
        self.on(Event::Connected { peer, addr, outgoing: false, id: PeerId([number; 20]), caps })
    }

    /// Lets the time pass to `secs` from now, waking as asked.
    fn pass(&mut self, secs: u64) -> Vec<Action> {
        let end = self.now + Duration::from_secs(secs);
        let mut out = Out::new();
        while let Some((at, _)) = self.torrent.deadline().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.torrent.wake(self.now, &mut out);
            let next = self.torrent.deadline();
            assert!(next.is_none_or(|(next, _)| next > self.now), "wakes without end: {next:?}");
        }
        self.now = end;
        out
    }
}

fn sent(out: &[Action], to: PeerKey) -> Vec<&Message> {
    let to = |action: &'_ Action| matches!(action, Action::Send { peer, .. } if *peer == to);
    out.iter()
        .filter(|action| to(action))
        .filter_map(|action| match action {
            Action::Send { message, .. } => Some(message),
            _ => None,
        })
        .collect()
}

fn requests(out: &[Action], to: PeerKey) -> Vec<Block> {
    let request = |message: &&Message| match message {
        Message::Request(block) => Some(*block),
        _ => None,
    };
    sent(out, to).iter().filter_map(request).collect()
}

fn dropped(out: &[Action]) -> Option<&DropReason> {
    out.iter().find_map(|action| match action {
        Action::Drop { why, .. } => Some(why),
        _ => None,
    })
}

fn block(piece: u32, index: u32) -> Block {
    Block { piece, begin: index * BLOCK, len: BLOCK }
}

#[test]
fn the_greeting_says_what_we_have_and_can() {
    let out = Bench::leech().connect(A, FAST);
    assert_eq!(sent(&out, A)[0], &Message::HaveNone);
    let Message::Ext(extension) = sent(&out, A)[1] else { panic!("{out:?}") };
    let Extension::Handshake(shake) = &**extension else { panic!("{out:?}") };
    assert_eq!(shake.your_ip, Some([10, 0, 0, 1].into()));
    assert_eq!((shake.reqq, shake.port, shake.metadata_size), (Some(OUR_REQQ), Some(6_881), Some(100)));
    assert!(!shake.upload_only && shake.ids.lt_donthave.is_some());

    let out = Bench::seed().connect(A, FAST);
    assert_eq!(sent(&out, A)[0], &Message::HaveAll);
    let out = Bench::seed().connect(A, PLAIN);
    assert_eq!(sent(&out, A), [&Message::Bitfield(Bytes::from_static(&[0xff, 0xff, 0xf0]))]);
    assert!(sent(&Bench::leech().connect(A, PLAIN), A).is_empty());
}

#[test]
fn what_breaks_the_protocol_is_dropped() {
    let bad: [(Caps, Message); 12] = [
        (PLAIN, Message::Have(PIECES)),
        (PLAIN, Message::Bitfield(Bytes::from_static(&[0xff]))),
        (PLAIN, Message::Bitfield(Bytes::from_static(&[0xff, 0xff, 0xff]))),
        (PLAIN, Message::HaveAll),
        (PLAIN, Message::Reject(block(0, 0))),
        (FAST, Message::AllowedFast(PIECES)),
        (FAST, Message::Suggest(u32::MAX)),
        (FAST, Message::Reject(block(PIECES, 0))),
        (PLAIN, Message::Request(Block { piece: 0, begin: u32::MAX, len: BLOCK })),
        (PLAIN, Message::Request(Block { piece: 0, begin: 0, len: MAX_REQUEST + 1 })),
        (PLAIN, Message::Cancel(Block { piece: PIECES, begin: 0, len: 1 })),
        (FAST, Message::Ext(Box::new(Extension::DontHave(PIECES)))),
    ];
    for (caps, message) in bad {
        let mut bench = Bench::leech();
        bench.connect(A, caps);
        let out = bench.say(A, message.clone());
        assert!(matches!(dropped(&out), Some(DropReason::Violation(_))), "{message:?}: {out:?}");
        assert_eq!(bench.torrent.stats(bench.now).peers, 0);
    }
}

#[test]
fn what_a_peer_has_may_be_said_again() {
    let mut bench = Bench::leech();
    bench.connect(A, FAST);
    assert!(!sent(&bench.say(A, Message::Have(0)), A).is_empty(), "interested in one piece");
    assert!(dropped(&bench.say(A, Message::HaveNone)).is_none());
    assert!(dropped(&bench.say(A, Message::HaveAll)).is_none());
}

#[test]
fn a_choked_peer_is_rejected_and_gets_only_what_is_allowed_fast() {
    let mut bench = Bench::seed();
    bench.connect(A, FAST);
    let out = bench.say(A, Message::HaveNone);
    let allowed: Vec<u32> = sent(&out, A)
        .iter()
        .filter_map(|message| match message {
            Message::AllowedFast(piece) => Some(*piece),
            _ => None,
        })
        .collect();
    assert_eq!(allowed.len(), 10);
    let other = (0..PIECES).find(|piece| !allowed.contains(piece)).unwrap();
    let out = bench.say(A, Message::Request(block(other, 0)));
    assert_eq!(sent(&out, A), [&Message::Reject(block(other, 0))]);
    let out = bench.say(A, Message::Request(block(allowed[0], 1)));
    assert_eq!(out, [Action::Upload { peer: A }]);
    let mut blocks = Vec::new();
    bench.torrent.next_uploads(A, 10, &mut blocks);
    assert_eq!(blocks, [block(allowed[0], 1)]);
    // But not without end.
    let served =
        (0..200).filter(|_| sent(&bench.say(A, Message::Request(block(allowed[0], 1))), A).is_empty());
    assert_eq!(served.count(), 2 * 4 * 10 - 1);
}

#[test]
fn a_choke_rejects_what_was_asked_for() {
    let mut bench = Bench::seed();
    bench.connect(A, FAST);
    let out = bench.say(A, Message::Interested);
    assert_eq!(sent(&out, A), [&Message::Unchoke], "a slot is free");
    bench.say(A, Message::Request(block(1, 0)));
    bench.say(A, Message::Request(block(1, 1)));
    let out = bench.say(A, Message::Cancel(block(1, 0)));
    assert_eq!(sent(&out, A), [&Message::Reject(block(1, 0))], "BEP 6: a cancel is answered");
    let out = bench.say(A, Message::NotInterested);
    assert_eq!(sent(&out, A), [&Message::Choke, &Message::Reject(block(1, 1))]);
    let mut blocks = Vec::new();
    bench.torrent.next_uploads(A, 10, &mut blocks);
    assert!(blocks.is_empty());
}

#[test]
fn more_requests_than_offered_are_rejected() {
    let mut bench = Bench::seed();
    bench.connect(A, FAST);
    bench.say(A, Message::Interested);
    let refused = (0..OUR_REQQ + 5)
        .filter(|n| !sent(&bench.say(A, Message::Request(block(n % PIECES, 0))), A).is_empty());
    assert_eq!(refused.count(), 5);
}

#[test]
fn blocks_nobody_asked_for_are_thrown_away() {
    let mut bench = Bench::leech();
    bench.connect(A, FAST);
    assert_eq!(bench.on(Event::Block { peer: A, block: block(0, 0) }), [Action::Discard]);
    assert_eq!(bench.on(Event::Block { peer: B, block: block(0, 0) }), [Action::Discard]);
    let out = bench.on(Event::Block { peer: A, block: Block { piece: 99, begin: 3, len: 5 } });
    assert_eq!(out[0], Action::Discard);
    assert!(dropped(&out).is_some());
}

#[test]
fn an_unchoke_brings_requests_and_a_choke_takes_them_back() {
    for caps in [PLAIN, FAST] {
        let mut bench = Bench::leech();
        bench.connect(A, caps);
        let out = bench.say(A, Message::Bitfield(Bytes::from_static(&[0xff, 0xff, 0xf0])));
        assert_eq!(sent(&out, A), [&Message::Interested]);
        let asked = requests(&bench.say(A, Message::Unchoke), A);
        assert!(asked.len() >= 2);
        bench.say(A, Message::Choke);
        if caps.fast {
            for block in &asked {
                bench.say(A, Message::Reject(*block));
            }
        }
        assert_eq!(bench.torrent.stats(bench.now).in_flight, 0);
        assert_eq!(requests(&bench.say(A, Message::Unchoke), A).len(), asked.len());
    }
}

#[test]
fn allowed_fast_pieces_are_asked_for_while_choked() {
    let mut bench = Bench::leech();
    bench.connect(A, FAST);
    bench.say(A, Message::HaveAll);
    let asked = requests(&bench.say(A, Message::AllowedFast(3)), A);
    assert!(!asked.is_empty() && asked.iter().all(|block| block.piece == 3));
}

#[test]
fn a_piece_is_told_and_completion_is_said_once() {
    let mut bench = Bench::leech();
    bench.connect(A, FAST);
    bench.say(A, Message::HaveNone);
    for piece in 0..PIECES {
        let out = bench.on(Event::PieceDone { piece, digests: Vec::new() });
        assert!(sent(&out, A).contains(&&Message::Have(piece)));
        assert_eq!(out.contains(&Action::Completed), piece == PIECES - 1);
        assert!(bench.on(Event::PieceDone { piece, digests: Vec::new() }).is_empty());
    }
    assert!(bench.torrent.is_seed());
    bench.connect(B, FAST);
    assert_eq!(dropped(&bench.say(B, Message::HaveAll)), Some(&DropReason::BothComplete));
}

#[test]
fn a_piece_that_is_gone_is_taken_back() {
    let mut bench = Bench::seed();
    bench.connect(A, FAST);
    let ids = ExtIds { lt_donthave: Some(9), ..ExtIds::default() };
    let shake = ExtHandshake { ids, ..ExtHandshake::default() };
    let out = bench.say(A, Message::Ext(Box::new(Extension::Handshake(shake))));
    assert_eq!(out, [Action::ExtIds { peer: A, ids }]);
    bench.say(A, Message::Interested);
    bench.say(A, Message::Request(block(4, 0)));
    let out = bench.on(Event::PieceGone { piece: 4 });
    let gone = Message::Ext(Box::new(Extension::DontHave(4)));
    assert_eq!(sent(&out, A), [&gone, &Message::Reject(block(4, 0))]);
    assert!(!bench.torrent.is_complete());
    bench.on(Event::PieceDone { piece: 4, digests: Vec::new() });
    assert!(bench.torrent.is_complete());
}

#[test]
fn a_peer_that_sent_all_of_a_bad_piece_is_banned() {
    let mut bench = Bench::leech();
    bench.connect(A, FAST);
    bench.say(A, Message::HaveAll);
    let mut asked = requests(&bench.say(A, Message::Unchoke), A);
    let piece = asked[0].piece;
    while let Some(block) = asked.pop() {
        asked.extend(requests(&bench.on(Event::Block { peer: A, block }), A));
        if block.piece != piece {
            break;
        }
    }
    let digests = (0..4).map(|index| BlockDigest { index, digest: 1 }).collect();
    let out = bench.on(Event::PieceBad { piece, digests });
    assert_eq!(dropped(&out), Some(&DropReason::Corrupt));
    assert_eq!(dropped(&bench.connect(A, FAST)), Some(&DropReason::Banned));
}

#[test]
fn twins_and_ourselves_are_not_let_in() {
    let mut bench = Bench::leech();
    bench.connect(A, FAST);
    let addr = "10.0.0.77:6881".parse().unwrap();
    let twin = |outgoing| Event::Connected { peer: B, addr, outgoing, id: PeerId([1; 20]), caps: FAST };
    assert_eq!(dropped(&bench.on(twin(false))), Some(&DropReason::Duplicate));
    // Our id is the greater: both ends keep the connection that we made.
    let out = bench.on(twin(true));
    assert_eq!(out[0], Action::Drop { peer: A, why: DropReason::Duplicate });
    assert_eq!(bench.torrent.stats(bench.now).peers, 1);
    let own = Event::Connected { peer: PeerKey(9), addr, outgoing: true, id: PeerId([50; 20]), caps: FAST };
    assert_eq!(dropped(&bench.on(own)), Some(&DropReason::Ourselves));
}

#[test]
fn one_address_does_not_take_all_places() {
    let mut bench = Bench::leech();
    let connect = |number: u8, ip: [u8; 4]| Event::Connected {
        peer: PeerKey(number.into()),
        addr: SocketAddr::from((ip, 1_000 + u16::from(number))),
        outgoing: false,
        id: PeerId([number; 20]),
        caps: FAST,
    };
    let refused = (1..=9).filter(|number| dropped(&bench.on(connect(*number, [10, 9, 9, 9]))).is_some());
    assert_eq!(refused.count(), 1);
    let refused = (11..=14).filter(|number| dropped(&bench.on(connect(*number, [127, 0, 0, 1]))).is_some());
    assert_eq!(refused.count(), 2, "ten connections in all");
}

#[test]
fn dials_keep_to_the_limits_and_wait_after_a_failure() {
    let mut bench = Bench::leech();
    let addrs: Vec<SocketAddr> = (1..=20).map(|n| SocketAddr::from(([10, 0, 1, n], 6_881))).collect();
    let out = bench.on(Event::Candidates { source: Source::Tracker, addrs });
    let dials: Vec<SocketAddr> = out
        .iter()
        .filter_map(|action| match action {
            Action::Dial { addr } => Some(*addr),
            _ => None,
        })
        .collect();
    assert_eq!(dials.len(), 3);
    let out = bench.on(Event::DialFailed { addr: dials[0] });
    assert!(matches!(out[..], [Action::Dial { addr }] if !dials.contains(&addr)));
    assert_eq!(bench.torrent.wants_peers(), 0);
}

#[test]
fn quiet_connections_are_kept_alive_and_dead_ones_closed() {
    let mut bench = Bench::leech();
    bench.connect(A, FAST);
    let out = bench.pass(130);
    assert_eq!(sent(&out, A), [&Message::KeepAlive]);
    let out = bench.pass(60);
    assert_eq!(dropped(&out), Some(&DropReason::Timeout));
    assert_eq!(bench.torrent.deadline(), None, "nobody there, nobody to dial");
}

#[test]
fn a_peer_that_stops_sending_keeps_one_request() {
    let mut bench = Bench::leech();
    for peer in [A, B] {
        bench.connect(peer, FAST);
        bench.say(peer, Message::HaveAll);
    }
    let asked = requests(&bench.say(A, Message::Unchoke), A);
    bench.say(B, Message::KeepAlive);
    let out = bench.pass(61);
    let cancels = sent(&out, A).iter().filter(|message| matches!(message, Message::Cancel(_))).count();
    assert_eq!(cancels, asked.len() - 1);
    let view = bench.torrent.peers(bench.now);
    assert!(view[0].snubbed && view[0].in_flight == 1);
    // What it kept may still come, and then all is well.
    bench.on(Event::Block { peer: A, block: asked[0] });
    assert!(!bench.torrent.peers(bench.now)[0].snubbed);
}

#[test]
fn stopping_drops_everyone_and_wakes_nobody() {
    let mut bench = Bench::leech();
    bench.connect(A, FAST);
    assert_eq!(dropped(&bench.on(Event::Run(false))), Some(&DropReason::Stopped));
    assert_eq!(bench.torrent.deadline(), None);
    assert_eq!(dropped(&bench.connect(B, FAST)), Some(&DropReason::Stopped));
    bench.on(Event::Run(true));
    assert_eq!(dropped(&bench.connect(B, FAST)), None);
}

#[test]
fn in_endgame_the_slower_peer_is_cancelled() {
    let mut bench = Bench::leech();
    (1..PIECES).for_each(|piece| {
        bench.on(Event::PieceDone { piece, digests: Vec::new() });
    });
    for peer in [A, B] {
        bench.connect(peer, FAST);
        bench.say(peer, Message::HaveAll);
    }
    let first = requests(&bench.say(A, Message::Unchoke), A);
    assert_eq!(first.len(), 4);
    let second = requests(&bench.say(B, Message::Unchoke), B);
    assert_eq!(second.len(), 2, "all are asked for, so B is asked too, but not for all at once");
    let out = bench.on(Event::Block { peer: B, block: second[0] });
    assert!(sent(&out, A).contains(&&Message::Cancel(second[0])));
    let late = bench.on(Event::Block { peer: A, block: second[0] });
    assert_eq!(late[0], Action::Discard);
    assert!(dropped(&late).is_none(), "it may have crossed our cancel");
}

fn extension(out: &[Action], to: PeerKey) -> Vec<&Extension> {
    let of = |message: &&'_ Message| matches!(message, Message::Ext(_));
    let messages = sent(out, to).into_iter().filter(of);
    messages
        .map(|message| match message {
            Message::Ext(extension) => &**extension,
            _ => unreachable!(),
        })
        .collect()
}

#[test]
fn peers_are_told_of_each_other_once_a_minute() {
    let mut bench = Bench::leech();
    for peer in [A, B] {
        bench.connect(peer, FAST);
        let ids = ExtIds { ut_pex: Some(2), ..ExtIds::default() };
        let shake = ExtHandshake { ids, port: Some(7_000), ..ExtHandshake::default() };
        bench.say(peer, Message::Ext(Box::new(Extension::Handshake(shake))));
    }
    let out = bench.pass(61);
    let [Extension::Pex(pex)] = extension(&out, A)[..] else { panic!("{out:?}") };
    assert_eq!((pex.added[0].addr, pex.added.len()), ("10.0.0.2:7000".parse().unwrap(), 1));
    bench.say(B, Message::KeepAlive);
    assert!(extension(&bench.pass(61), A).is_empty(), "nothing new");
    let told = proto::wire::PexPeer { addr: "10.0.5.5:5".parse().unwrap(), flags: 0 };
    let pex = proto::wire::Pex { added: vec![told], dropped: Vec::new() };
    let out = bench.say(B, Message::Ext(Box::new(Extension::Pex(pex))));
    assert_eq!(out, [Action::Dial { addr: told.addr }]);
}

#[test]
fn metadata_is_served_but_not_without_end() {
    let mut bench = Bench::seed();
    let info = Bytes::from(vec![5; 20_000]);
    bench.torrent.config.metadata = Some(info.clone());
    bench.connect(A, FAST);
    let mut ask = |block| {
        let request = proto::wire::Metadata::Request { block };
        let out = bench.say(A, Message::Ext(Box::new(Extension::Metadata(request))));
        match extension(&out, A)[..] {
            [Extension::Metadata(answer)] => answer.clone(),
            _ => panic!("{out:?}"),
        }
    };
    let last = proto::wire::Metadata::Data { block: 1, total: Some(20_000), data: info.slice(16_384..) };
    assert_eq!(ask(1), last);
    assert_eq!(ask(2), proto::wire::Metadata::Reject { block: 2 });
    assert_eq!(ask(u32::MAX), proto::wire::Metadata::Reject { block: u32::MAX });
    let served = (0..50).filter(|_| ask(1) == last).count();
    assert_eq!(served, 5, "three times two blocks, one of them above");
}

#[test]
fn who_was_held_back_by_pieces_in_storage_goes_on_when_they_are_done() {
    const MANY: u32 = 4_000;
    let mut bench = Bench::leech();
    bench.torrent.config.layout = Layout::new(BLOCK, u64::from(BLOCK) * u64::from(MANY)).unwrap();
    bench.torrent = Torrent::new(bench.torrent.config.clone(), Bitfield::none(MANY), Vec::new());
    bench.on(Event::Run(true));
    bench.connect(A, FAST);
    bench.say(A, Message::HaveAll);
    let mut owed = requests(&bench.say(A, Message::Unchoke), A);
    // Every block is answered and none is verified, until nothing more is asked for.
    let mut stored = Vec::new();
    while let Some(block) = owed.pop() {
        bench.now += Duration::from_millis(1);
        owed.extend(requests(&bench.on(Event::Block { peer: A, block }), A));
        stored.push(block.piece);
    }
    assert!(stored.len() < MANY as usize, "nothing held it back");
    let mut more = Vec::new();
    for piece in stored {
        more.extend(requests(&bench.on(Event::PieceDone { piece, digests: Vec::new() }), A));
    }
    assert!(!more.is_empty(), "it was never asked again");
}
