use super::*;
use crate::id::PeerId;
use proptest::prelude::*;

const START: Instant = Instant::from_secs(1_000);
const CONN: u64 = 0x1122_3344_5566_7788;

fn request() -> AnnounceRequest {
    AnnounceRequest {
        info_hash: InfoHash([b'h'; 20]),
        peer_id: PeerId([b'p'; 20]),
        port: 0x1ae1,
        uploaded: 3,
        downloaded: 1,
        left: u64::MAX,
        event: Some(AnnounceEvent::Started),
        numwant: 50,
        key: 0xdead_beef,
        ip: None,
        ipv6: None,
        tracker_id: None,
    }
}

fn announce(target: &str) -> Exchange {
    Exchange::new(Request::Announce(request()), target, false, 7, None)
}

fn sent(exchange: &mut Exchange, now: Instant) -> Vec<u8> {
    exchange.transmit(now).unwrap().expect("a datagram is due")
}

/// Action, the transaction of what was sent, and the rest.
fn reply(to: &[u8], action: u32, rest: &[u8]) -> Vec<u8> {
    [&action.to_be_bytes(), &to[12..16], rest].concat()
}

/// Goes as far as the request, and returns it.
fn connect(exchange: &mut Exchange, now: Instant) -> Vec<u8> {
    let out = sent(exchange, now);
    let answer = reply(&out, CONNECT, &CONN.to_be_bytes());
    assert_eq!(exchange.receive(now, &answer), Ok(None));
    sent(exchange, now)
}

#[test]
fn connecting() {
    let mut exchange = announce("");
    let out = sent(&mut exchange, START);
    assert_eq!(out[..12], *b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0");
    assert_eq!(out.len(), 16);
    assert_eq!(exchange.transmit(START), Ok(None), "one at a time");
}

#[test]
fn announcing() {
    let mut exchange = announce("");
    let out = connect(&mut exchange, START);
    let mut want = CONN.to_be_bytes().to_vec();
    want.extend_from_slice(&[0, 0, 0, 1]);
    want.extend_from_slice(&out[12..16]);
    want.extend_from_slice(&[b'h'; 20]);
    want.extend_from_slice(&[b'p'; 20]);
    want.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
    want.extend_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    want.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 3]);
    want.extend_from_slice(&[0, 0, 0, 2, 0, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 50, 0x1a, 0xe1]);
    assert_eq!(out, want);
    assert_eq!(out.len(), 98);

    let rest =
        [&[0, 0, 7, 8, 0, 0, 0, 2, 0, 0, 0, 1], b"\x01\x02\x03\x04\x1a\xe1\x05\x06\x07\x08\0\0".as_slice()];
    let answer = exchange.receive(START, &reply(&out, ANNOUNCE, &rest.concat()));
    let want = AnnounceResponse {
        interval: Some(Duration::from_secs(1800)),
        seeders: Some(1),
        leechers: Some(2),
        peers: vec!["1.2.3.4:6881".parse().unwrap()],
        ..AnnounceResponse::default()
    };
    assert_eq!(answer, Ok(Some(Answer::Announce(want))));
}

#[test]
fn peers_have_the_family_of_the_tracker() {
    let mut exchange = Exchange::new(Request::Announce(request()), "", true, 7, None);
    let out = connect(&mut exchange, START);
    let rest = [[0; 12].as_slice(), b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1"].concat();
    match exchange.receive(START, &reply(&out, ANNOUNCE, &rest)) {
        Ok(Some(Answer::Announce(answer))) => {
            assert_eq!(answer.peers, ["[2001:db8::1]:6881".parse().unwrap()])
        }
        other => panic!("{other:?}"),
    }
    assert!(!is_ipv6("::ffff:1.2.3.4".parse().unwrap()));
    assert!(is_ipv6("::1".parse().unwrap()));
}

/// BEP 41: `/dir?a=b` as one option, and what is longer in parts of 255 bytes.
#[test]
fn url_data() {
    let out = connect(&mut announce("/dir?a=b"), START);
    assert_eq!(out[98..], *b"\x02\x08/dir?a=b");
    let long = format!("/{}", "x".repeat(299));
    let out = connect(&mut announce(&long), START);
    assert_eq!(out[98..100], [2, 255]);
    assert_eq!(out[100 + 255..][..2], [2, 45]);
    assert_eq!(out.len(), 98 + 2 + 255 + 2 + 45);
}

#[test]
fn scraping() {
    let torrents = vec![InfoHash([b'a'; 20]), InfoHash([b'b'; 20])];
    let mut exchange = Exchange::new(Request::Scrape(torrents), "/x", false, 7, None);
    let out = connect(&mut exchange, START);
    assert_eq!(out[8..12], [0, 0, 0, 2]);
    assert_eq!(out[16..], *b"aaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbb");
    let rest: Vec<u8> = [1u32, 2, 3, 4, 5, 6, 7, 8, 9].iter().flat_map(|n| n.to_be_bytes()).collect();
    let figures = |seeders, downloaded, leechers| Scrape { seeders, leechers, downloaded };
    let answer = exchange.receive(START, &reply(&out, SCRAPE, &rest));
    assert_eq!(answer, Ok(Some(Answer::Scrape(vec![figures(1, 2, 3), figures(4, 5, 6)]))));
}

#[test]
fn what_is_not_ours_is_passed_over() {
    let mut exchange = announce("");
    assert_eq!(exchange.receive(START, &[0; 16]), Ok(None), "nothing was sent yet");
    let out = sent(&mut exchange, START);
    let mut wrong = reply(&out, CONNECT, &CONN.to_be_bytes());
    wrong[7] ^= 1;
    assert_eq!(exchange.receive(START, &wrong), Ok(None));
    assert_eq!(exchange.receive(START, &out[8..12]), Ok(None));
    assert_eq!(exchange.receive(START, &reply(&out, ANNOUNCE, &[0; 12])), Ok(None));
    assert_eq!(exchange.connection(START), None);
    assert_eq!(exchange.transmit(START), Ok(None), "still waiting");

    let late = reply(&out, CONNECT, &CONN.to_be_bytes());
    let request = connect(&mut announce(""), START);
    assert_ne!(out[12..16], request[12..16], "every kind of datagram has its own transaction");
    let _ = exchange.receive(START, &late);
    let _ = sent(&mut exchange, START);
    assert_eq!(exchange.receive(START, &late), Ok(None), "a copy of the first answer");
}

#[test]
fn refusals() {
    let mut exchange = announce("");
    let out = connect(&mut exchange, START);
    let want = TrackerError::Failure { reason: "go away".into(), retry: None };
    assert_eq!(exchange.receive(START, &reply(&out, ERROR, b"go away\0")), Err(want));
    assert!(exchange.receive(START, &reply(&out, ANNOUNCE, &[0; 11])).is_err());
}

#[test]
fn silence_is_met_with_patience_and_then_with_an_end() {
    let mut exchange = announce("");
    let mut now = START;
    let first = sent(&mut exchange, now);
    for wait in [15, 30] {
        let due = exchange.deadline();
        assert_eq!(due.since(now), Duration::from_secs(wait));
        assert_eq!(exchange.transmit(Instant::from_micros(due.as_micros() - 1)), Ok(None));
        now = due;
        assert_eq!(sent(&mut exchange, now), first);
    }
    assert_eq!(exchange.deadline().since(now), Duration::from_secs(60));
    assert_eq!(exchange.transmit(exchange.deadline()), Err(TrackerError::Timeout));
}

#[test]
fn a_connection_ends_after_a_minute() {
    let mut exchange = announce("");
    let out = connect(&mut exchange, START);
    let alive = Instant::from_micros(START.as_micros() + CONNECTION_LIFE.as_micros() as u64 - 1);
    let connection = exchange.connection(alive).unwrap();
    assert_eq!(exchange.connection(START + CONNECTION_LIFE), None);

    let mut borrowing = Exchange::new(Request::Announce(request()), "", false, 8, Some(connection));
    assert_eq!(sent(&mut borrowing, alive)[..12], out[..12], "no need to connect");
    let mut late = Exchange::new(Request::Announce(request()), "", false, 8, Some(connection));
    assert_eq!(sent(&mut late, START + CONNECTION_LIFE)[..8], MAGIC.to_be_bytes());

    // The third datagram comes 45 s after the first, the one after it would be too late for the connection.
    let mut now = exchange.deadline();
    assert_eq!(sent(&mut exchange, now), out);
    now = START + CONNECTION_LIFE;
    assert_eq!(sent(&mut exchange, now)[..8], MAGIC.to_be_bytes());
}

#[test]
fn a_borrowed_connection_that_is_refused_is_made_anew_once() {
    let mut first = announce("");
    connect(&mut first, START);
    let connection = first.connection(START);
    let mut exchange = Exchange::new(Request::Announce(request()), "", false, 8, connection);
    let out = sent(&mut exchange, START);
    assert_eq!(exchange.receive(START, &reply(&out, ERROR, b"unknown connection")), Ok(None));
    let out = connect(&mut exchange, START);
    assert!(exchange.receive(START, &reply(&out, ERROR, b"no")).is_err());
}

proptest! {
    #[test]
    fn arbitrary_datagrams_never_panic(
        datagrams in proptest::collection::vec(any::<Vec<u8>>(), 0..8),
        connected: bool,
        random: u64,
    ) {
        let mut exchange = Exchange::new(Request::Announce(request()), "/announce", false, random, None);
        let out = if connected { connect(&mut exchange, START) } else { sent(&mut exchange, START) };
        for datagram in datagrams {
            let _ = exchange.receive(START, &reply(&out, u32::from(datagram.len() as u8 % 4), &datagram));
        }
    }

    #[test]
    fn an_exchange_ends(random: u64, answers in proptest::collection::vec(any::<bool>(), 0..20)) {
        let mut exchange = Exchange::new(Request::Announce(request()), "", false, random, None);
        let mut now = START;
        for answer in answers.into_iter().chain(std::iter::repeat(false)) {
            match exchange.transmit(now) {
                Ok(Some(out)) if answer => {
                    let _ = exchange.receive(now, &reply(&out, CONNECT, &CONN.to_be_bytes()));
                }
                Ok(_) => {}
                Err(error) => {
                    prop_assert_eq!(error, TrackerError::Timeout);
                    break;
                }
            }
            now = exchange.deadline();
        }
        prop_assert!(now.since(START) < Duration::from_secs(3_600));
    }
}
