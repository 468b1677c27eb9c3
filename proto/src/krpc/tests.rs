use super::*;
use proptest::prelude::*;

const ME: NodeId = NodeId(*b"abcdefghij0123456789");
const OTHER: NodeId = NodeId(*b"mnopqrstuvwxyz123456");

fn query(ask: Ask) -> Message {
    message(Body::Query(Query { id: ME, want: Want::default(), ask }))
}

fn message(body: Body) -> Message {
    Message { tx: Tx::new(b"aa").unwrap(), version: None, read_only: false, seen_as: None, body }
}

fn response(change: impl FnOnce(&mut Response)) -> Message {
    let mut response = Response::new(ME);
    change(&mut response);
    message(Body::Response(Box::new(response)))
}

fn both_ways(message: &Message, bytes: &[u8]) {
    let encoded = message.encode();
    assert_eq!(encoded.escape_ascii().to_string(), bytes.escape_ascii().to_string());
    assert_eq!(Message::decode(bytes).as_ref(), Ok(message));
}

#[test]
fn the_queries_of_bep_5() {
    let info_hash = InfoHash(OTHER.0);
    both_ways(&query(Ask::Ping), b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe");
    both_ways(
        &query(Ask::FindNode { target: OTHER }),
        b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe",
    );
    both_ways(
        &query(Ask::GetPeers { info_hash, no_seed: false, scrape: false }),
        b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe",
    );
    // The specification's example has implied_port and a port at once: the former wins.
    let bytes =
        b"d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:porti6881e\
        5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe";
    let announce = |port| Ask::Announce { info_hash, port, token: b"aoeusnth".to_vec(), seed: false };
    assert_eq!(Message::decode(bytes), Ok(query(announce(None))));
    both_ways(
        &query(announce(Some(6881))),
        b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti6881e\
        5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe",
    );
}

#[test]
fn the_answers_of_bep_5() {
    both_ways(&response(|_| ()), b"d1:rd2:id20:abcdefghij0123456789e1:t2:aa1:y1:re");
    let peers = ["97.120.106.101:11893", "105.100.104.116:28269"].map(|peer| peer.parse().unwrap());
    both_ways(
        &response(|r| {
            r.token = Some(b"aoeusnth".to_vec());
            r.peers = peers.to_vec();
        }),
        b"d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re",
    );
    let text = "A Generic Error Ocurred".to_owned();
    both_ways(
        &message(Body::Error(Refusal { code: 201, text })),
        b"d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee",
    );
}

#[test]
fn nodes_of_both_families() {
    let four = NodeInfo { id: OTHER, addr: "1.2.3.4:5".parse().unwrap() };
    let six = NodeInfo { id: OTHER, addr: "[2001:db8::1]:6".parse().unwrap() };
    let message = Message {
        version: Some(*b"BD01"),
        seen_as: Some("9.8.7.6:5".parse().unwrap()),
        ..response(|r| {
            r.nodes4 = Some(vec![four, four]);
            r.nodes6 = Some(vec![six]);
        })
    };
    let decoded = Message::decode(&message.encode()).unwrap();
    assert_eq!(decoded, message);
    let Body::Response(response) = decoded.body else { panic!("not an answer") };
    assert_eq!(response.nodes().collect::<Vec<_>>(), [four, four, six]);
}

#[test]
fn what_cannot_be_sent_to_is_left_out() {
    let bad = [
        "0.0.0.1:1",
        "255.255.255.255:1",
        "224.0.0.1:1",
        "1.2.3.4:0",
        "[::]:1",
        "[ff02::1]:1",
        "[::ffff:1.2.3.4]:1",
    ];
    let bad = bad.map(|addr| addr.parse().unwrap());
    let nodes = |v4| {
        bad.iter()
            .filter(move |a: &&SocketAddr| a.is_ipv4() == v4)
            .map(|addr| NodeInfo { id: ME, addr: *addr })
    };
    let message = response(|r| {
        r.nodes4 = Some(nodes(true).collect());
        r.nodes6 = Some(nodes(false).collect());
        r.peers = bad.to_vec();
    });
    let Body::Response(decoded) = Message::decode(&message.encode()).unwrap().body else {
        panic!("not an answer")
    };
    assert_eq!(decoded.nodes().count(), 0);
    assert!(decoded.peers.is_empty());
}

#[test]
fn items_scrapes_and_samples() {
    let item = Mutable::sign(&[1; 32], b"", 4, b"l1:ae");
    let mutable = Item::Mutable(item.clone());
    for message in [
        query(Ask::Get { target: mutable.target(), seq: Some(3) }),
        query(Ask::Put(Box::new(Put { token: b"t".to_vec(), item: mutable.clone(), cas: Some(3) }))),
        query(Ask::Put(Box::new(Put {
            token: b"t".to_vec(),
            item: Item::Mutable(Mutable { salt: b"salt".to_vec(), ..item }),
            cas: None,
        }))),
        query(Ask::Put(Box::new(Put {
            token: b"t".to_vec(),
            item: Item::Immutable(b"i1e".to_vec()),
            cas: None,
        }))),
        query(Ask::Sample { target: OTHER }),
        query(Ask::GetPeers { info_hash: InfoHash(OTHER.0), no_seed: true, scrape: true }),
        response(|r| {
            r.item = Some(mutable);
            r.seq = Some(4);
        }),
        response(|r| r.item = Some(Item::Immutable(b"d1:ai1ee".to_vec()))),
        response(|r| {
            r.seeds = Some(Box::new(Bloom([3; 256])));
            r.leeches = Some(Box::default());
        }),
        response(|r| r.samples = Some(Samples { interval: 60, num: 9, hashes: vec![InfoHash([1; 20]); 3] })),
    ] {
        let bytes = message.encode();
        assert_eq!(
            crate::bencode::Document::decode(&bytes, crate::bencode::Limits::MESSAGE).unwrap().canonical(),
            Ok(())
        );
        assert_eq!(Message::decode(&bytes), Ok(message));
    }
}

#[test]
fn malformed_queries_get_the_error_that_is_due() {
    let code = |bytes: &[u8]| match Message::decode(bytes) {
        Err(DecodeError::Query { tx, code, .. }) => {
            assert_eq!(tx.as_bytes(), b"aa");
            code
        }
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    };
    assert_eq!(code(b"d1:ad2:id20:abcdefghij0123456789e1:q4:pong1:t2:aa1:y1:qe"), code::METHOD_UNKNOWN);
    for malformed in [
        &b"d1:ad2:id19:abcdefghij012345678e1:q4:ping1:t2:aa1:y1:qe"[..],
        b"d1:ade1:q4:ping1:t2:aa1:y1:qe",
        b"d1:ali1ee1:q4:ping1:t2:aa1:y1:qe",
        b"d1:q4:ping1:t2:aa1:y1:qe",
        b"d1:ad2:id20:abcdefghij0123456789e1:t2:aa1:y1:qe",
        b"d1:ad2:id20:abcdefghij01234567896:target3:abce1:q9:find_node1:t2:aa1:y1:qe",
        b"d1:ad2:id20:abcdefghij0123456789e1:q9:get_peers1:t2:aa1:y1:qe",
        b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti0e5:token1:ae1:q13:announce_peer1:t2:aa1:y1:qe",
        b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti1ee1:q13:announce_peer1:t2:aa1:y1:qe",
    ] {
        assert_eq!(code(malformed), code::PROTOCOL);
    }
}

#[test]
fn garbage_is_not_answered() {
    let long_tx = format!("d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t33:{}1:y1:qe", "x".repeat(33));
    for garbage in [
        &b""[..],
        b"x",
        b"le",
        b"d1:t2:aa1:y1:xe",
        b"d1:t2:aae",
        b"d1:y1:qe",
        b"d1:t0:1:y1:qe",
        b"d1:rde1:t2:aa1:y1:re",
        b"d1:e1:x1:t2:aa1:y1:ee",
        long_tx.as_bytes(),
        &[b'd'; MAX_DATAGRAM + 1],
    ] {
        assert!(
            matches!(Message::decode(garbage), Err(DecodeError::Garbage(_))),
            "{}",
            garbage.escape_ascii()
        );
    }
}

proptest! {
    #[test]
    fn one_changed_byte_is_no_trouble(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let message = response(|r| {
            r.nodes4 = Some(vec![NodeInfo { id: OTHER, addr: "1.2.3.4:5".parse().unwrap() }; 8]);
            r.peers = vec!["5.6.7.8:9".parse().unwrap(); 3];
            r.item = Some(Item::Mutable(Mutable::sign(&[1; 32], b"", 4, b"l1:ae")));
            r.seq = Some(4);
        });
        let mut bytes = message.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(decoded) = Message::decode(&bytes) {
            // What was understood can be said again.
            prop_assert_eq!(Message::decode(&decoded.encode()), Ok(decoded));
        }
    }

    #[test]
    fn any_datagram_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::decode(&bytes);
    }
}
