//! A node and forty thousand datagrams that are not what they should be.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use engine::dht::{Action, Config, Dht, Event, Out, State};
use proto::{
    id::InfoHash,
    krpc::{
        Ask, Body, DecodeError, Item, Message, Mutable, NodeId, NodeInfo, Put, Query, Response, Samples, Tx,
        Want, code,
    },
    time::Instant,
};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::{net::SocketAddr, time::Duration};

/// Datagrams of each kind.
const COUNT: usize = 20_000;
/// Longest answer of a node.
const MAX_ANSWER: usize = 1300;
/// What one datagram may cost at most on average, with much to spare for a busy machine.
const MOST: Duration = Duration::from_micros(500);

fn node() -> Dht {
    let mut dht = Dht::new(Instant::START, Config { v6: false, ..Config::default() }, &State::default());
    dht.wake(Instant::START, &mut Out::new());
    dht
}

/// Well-formed messages of every kind.
fn samples() -> Vec<Vec<u8>> {
    let target = NodeId([7; 20]);
    let info_hash = InfoHash([7; 20]);
    let token = b"12345678".to_vec();
    let mutable = Item::Mutable(Mutable::sign(&[1; 32], b"salt", 4, b"d1:ali1ei2eee"));
    let asks = [
        Ask::Ping,
        Ask::FindNode { target },
        Ask::GetPeers { info_hash, no_seed: true, scrape: true },
        Ask::Announce { info_hash, port: Some(6881), token: token.clone(), seed: true },
        Ask::Get { target, seq: Some(3) },
        Ask::Put(Box::new(Put { token, item: mutable.clone(), cas: Some(1) })),
        Ask::Sample { target },
    ];
    let queries = asks.map(|ask| Body::Query(Query { id: target, want: Want { v4: true, v6: true }, ask }));
    let mut response = Response::new(target);
    response.nodes4 = Some(vec![NodeInfo { id: target, addr: "1.2.3.4:5".parse().unwrap() }; 8]);
    response.nodes6 = Some(vec![NodeInfo { id: target, addr: "[2001:db8::1]:5".parse().unwrap() }; 8]);
    response.peers = vec!["5.6.7.8:9".parse().unwrap(); 50];
    response.item = Some(mutable);
    response.seq = Some(4);
    response.samples = Some(Samples { interval: 1, num: 2, hashes: vec![info_hash; 20] });
    let bodies = queries.into_iter().chain([Body::Response(Box::new(response))]);
    let tx = Tx::new(b"aa").unwrap();
    bodies
        .map(|body| {
            Message { tx: tx.clone(), version: Some(*b"XX01"), read_only: false, seen_as: None, body }
                .encode()
        })
        .collect()
}

/// One to four bytes changed, left out or doubled, or the end cut off.
fn damaged(bytes: &[u8], rng: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..bytes.len().max(1));
        if bytes.is_empty() {
            break;
        }
        match rng.random_range(0..5) {
            0 => bytes[at] = rng.random(),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, bytes[at]),
            3 => bytes[at] = *b"deli0123456789:-".choose(rng).unwrap(),
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes
}

/// Gives a node `COUNT` datagrams, each from another address or all from a few, and checks what they cost.
fn endure(mut make: impl FnMut(&mut Xoshiro256PlusPlus) -> Vec<u8>) -> Vec<Message> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut dht = node();
    let started = std::time::Instant::now();
    let mut answers = Vec::new();
    let (mut received, mut sent) = (0, 0);
    for n in 0..COUNT {
        let now = Instant::from_millis(n as u64 * 5);
        let from = SocketAddr::from(([60, rng.random_range(0..200), rng.random(), 1], 6881));
        let bytes = make(&mut rng);
        received += bytes.len();
        let mut out = Out::new();
        dht.on(now, Event::Datagram { from, bytes: &bytes }, &mut out);
        if dht.deadline().is_some_and(|(at, _)| at <= now) {
            dht.wake(now, &mut out);
        }
        for action in out {
            if let Action::Send { to, bytes } = action {
                assert!(bytes.len() <= MAX_ANSWER);
                sent += bytes.len();
                answers.extend((to == from).then(|| Message::decode(&bytes).unwrap()));
            }
        }
    }
    let status = dht.status(Instant::from_secs(100));
    assert_eq!(status.nodes[0].good, 0, "a node got into the table by talking");
    assert_eq!((status.stored_peers, status.stored_items), (0, 0));
    // Everyone here is a stranger: all that they get is little more than what they sent.
    assert!(sent <= received * 3 + answers.len() * 100, "{sent} bytes for {received}");
    assert!(started.elapsed() < MOST * u32::try_from(COUNT).unwrap(), "{:?}", started.elapsed());
    answers
}

#[test]
fn random_datagrams_get_no_answer() {
    let answers = endure(|rng| {
        let len = rng.random_range(0..1500);
        let mut bytes: Vec<u8> = (0..len).map(|_| rng.random()).collect();
        // Half of them look like a message at first.
        if rng.random() && len > 0 {
            bytes[0] = b'd';
        }
        bytes
    });
    assert!(answers.is_empty());
}

#[test]
fn malformed_datagrams_get_the_error_that_is_due() {
    let samples = samples();
    let mut due = Vec::new();
    let answers = endure(|rng| {
        let sample = samples.choose(rng).unwrap();
        let bytes = damaged(sample, rng);
        if let Err(DecodeError::Query { code, .. }) = Message::decode(&bytes) {
            due.push(code);
        }
        bytes
    });
    let codes = answers.iter().filter_map(|answer| match &answer.body {
        Body::Error(error) => Some(error.code),
        _ => None,
    });
    // A query that came through whole but for its token is refused too.
    let given: Vec<i64> = codes.collect();
    let count = |codes: &[i64], code| codes.iter().filter(|other| **other == code).count();
    let [protocol, method] = [code::PROTOCOL, code::METHOD_UNKNOWN].map(|code| count(&due, code));
    println!("{} answers, {protocol} of them due as 203, {method} as 204", answers.len());
    assert!(protocol > 100 && method > 100);
    assert_eq!(count(&given, code::METHOD_UNKNOWN), method);
    assert!(count(&given, code::PROTOCOL) >= protocol);
}

#[test]
fn each_defect_gets_its_error() {
    let mut dht = node();
    let mut code_of = |bytes: &[u8]| {
        let mut out = Out::new();
        let from = "60.1.2.3:4".parse().unwrap();
        dht.on(Instant::START, Event::Datagram { from, bytes }, &mut out);
        out.into_iter().find_map(|action| match action {
            Action::Send { bytes, .. } => match Message::decode(&bytes).unwrap().body {
                Body::Error(error) => Some(error.code),
                _ => Some(0),
            },
            _ => None,
        })
    };
    let id = "2:id20:abcdefghij0123456789";
    let mut query = |arguments: &str, method: &str| {
        code_of(format!("d1:ad{arguments}e1:q{}:{method}1:t2:aa1:y1:qe", method.len()).as_bytes())
    };
    assert_eq!(query(id, "ping"), Some(0));
    assert_eq!(query(id, "pong"), Some(code::METHOD_UNKNOWN));
    assert_eq!(query("2:id2:ab", "ping"), Some(code::PROTOCOL));
    assert_eq!(query(id, "find_node"), Some(code::PROTOCOL));
    assert_eq!(query(id, "get_peers"), Some(code::PROTOCOL));
    let hash = "9:info_hash20:abcdefghij0123456789";
    assert_eq!(query(&format!("{id}{hash}4:porti1e5:token3:bad"), "announce_peer"), Some(code::PROTOCOL));
    assert_eq!(query(&format!("{id}{hash}4:porti70000e5:token3:bad"), "announce_peer"), Some(code::PROTOCOL));
    assert_eq!(query(&format!("{id}{hash}"), "get_peers"), Some(0));
}
