use super::*;
use crate::id::PeerId;
use proptest::prelude::*;

fn request() -> AnnounceRequest {
    AnnounceRequest {
        info_hash: InfoHash(
            *b"\x12\x34\x56\x78\x9a\xbc\xde\xf1\x23\x45\x67\x89\xab\xcd\xef\x12\x34\x56\x78\x9a",
        ),
        peer_id: PeerId(*b"-XX0100-a b&c=d%e~/+"),
        port: 6881,
        uploaded: 1,
        downloaded: 2,
        left: u64::MAX,
        event: None,
        numwant: 50,
        key: 0xbeef,
        ip: None,
        ipv6: None,
        tracker_id: None,
    }
}

fn url(text: &str) -> TrackerUrl {
    TrackerUrl::parse(text).unwrap()
}

/// The escaped info-hash is the well-known example of the BitTorrent specification on theory.org.
#[test]
fn the_url_of_an_announce() {
    assert_eq!(
        announce_url(&url("http://t.example/announce"), &request()),
        "http://t.example/announce?info_hash=%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A\
         &peer_id=-XX0100-a%20b%26c%3Dd%25e~%2F%2B&port=6881&uploaded=1&downloaded=2&left=18446744073709551615\
         &compact=1&numwant=50&key=0000BEEF"
    );
}

#[test]
fn what_is_optional_in_an_announce() {
    let request = AnnounceRequest {
        event: Some(AnnounceEvent::Started),
        tracker_id: Some(b"a&b".to_vec()),
        ip: Some([1, 2, 3, 4].into()),
        ipv6: Some("2001:db8::1".parse().unwrap()),
        ..request()
    };
    let url = announce_url(&url("http://t.example/announce"), &request);
    assert!(url.ends_with("&event=started&trackerid=a%26b&ip=1.2.3.4&ipv6=2001%3Adb8%3A%3A1"), "{url}");
}

#[test]
fn a_query_that_is_there_stays() {
    for (base, start) in [
        ("http://t/announce?passkey=x%26y", "http://t/announce?passkey=x%26y&info_hash="),
        ("http://t/announce?", "http://t/announce?info_hash="),
        ("http://t/announce?a=1&", "http://t/announce?a=1&info_hash="),
        ("http://t/announce#x", "http://t/announce?info_hash="),
    ] {
        assert!(announce_url(&url(base), &request()).starts_with(start), "{base}");
    }
}

#[test]
fn a_compact_answer() {
    let body = b"d8:completei3e10:downloadedi9e11:external ip4:\x0a\0\0\x0110:incompletei4e8:intervali1800e\
        12:min intervali900e5:peers18:\x01\x02\x03\x04\x1a\xe1\x05\x06\x07\x08\0\0\x05\x06\x07\x08\0\x50\
        6:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe110:tracker id2:id15:warning message5:slow\ne";
    let answer = parse_announce(body).unwrap();
    let peers = ["1.2.3.4:6881", "5.6.7.8:80", "[2001:db8::1]:6881"].map(|peer| peer.parse().unwrap());
    assert_eq!(
        answer,
        AnnounceResponse {
            interval: Some(Duration::from_secs(1800)),
            min_interval: Some(Duration::from_secs(900)),
            seeders: Some(3),
            leechers: Some(4),
            downloaded: Some(9),
            peers: peers.to_vec(),
            warning: Some("slow".into()),
            tracker_id: Some(b"id".to_vec()),
            external_ip: Some([10, 0, 0, 1].into()),
        }
    );
}

#[test]
fn an_answer_in_the_old_form() {
    let body =
        b"d8:intervali60e5:peersld2:ip7:1.2.3.47:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti6881eed2:ip3:::14:port\
        i1eed2:ip11:example.com4:porti1eed2:ip7:1.2.3.44:porti70000eei7eee";
    let answer = parse_announce(body).unwrap();
    assert_eq!(answer.peers, ["1.2.3.4:6881", "[::1]:1"].map(|peer| peer.parse().unwrap()));
}

#[test]
fn refusals() {
    let failure = |body: &[u8]| match parse_announce(body) {
        Err(TrackerError::Failure { reason, retry }) => (reason, retry),
        other => panic!("{other:?}"),
    };
    assert_eq!(failure(b"d14:failure reason6:go\x1b[mee"), ("go[me".to_owned(), None));
    let body = b"d14:failure reason4:busy8:retry in1:5e";
    assert_eq!(failure(body), ("busy".to_owned(), Some(Retry::In(Duration::from_secs(300)))));
    let body = b"d14:failure reason4:gone8:retry in5:nevere";
    assert_eq!(failure(body), ("gone".to_owned(), Some(Retry::Never)));
    assert_eq!(parse_announce(b"<html>"), Err(TrackerError::Malformed("not bencoded")));
    assert_eq!(parse_announce(b"le"), Err(TrackerError::Malformed("not a dictionary")));
    assert_eq!(parse_announce(b"de\r\n"), Ok(AnnounceResponse::default()));
}

#[test]
fn peers_are_bounded() {
    let mut body = b"d5:peers18000:".to_vec();
    body.resize(body.len() + 18_000, 1);
    body.push(b'e');
    assert_eq!(parse_announce(&body).unwrap().peers.len(), MAX_PEERS);
}

#[test]
fn a_scrape() {
    let [a, b] = [InfoHash([b'a'; 20]), InfoHash([b'b'; 20])];
    let at = scrape_url(&url("http://t/announce?k=1"), &[a, b]).unwrap();
    let twenty = |c: &str| c.repeat(20);
    assert_eq!(at, format!("http://t/scrape?k=1&info_hash={}&info_hash={}", twenty("a"), twenty("b")));
    assert_eq!(scrape_url(&url("http://t/x"), &[a]), None);

    let body = b"d5:filesd20:bbbbbbbbbbbbbbbbbbbbd8:completei5e10:downloadedi50e10:incompletei10eeee";
    let figures = Scrape { seeders: 5, leechers: 10, downloaded: 50 };
    assert_eq!(parse_scrape(body, &[a, b]), Ok(vec![None, Some(figures)]));
    assert!(parse_scrape(b"d5:filesi1ee", &[a]).is_err());
}

proptest! {
    #[test]
    fn any_bytes_survive_the_url(info_hash: [u8; 20], id: Vec<u8>) {
        let request = AnnounceRequest {
            info_hash: InfoHash(info_hash), tracker_id: Some(id.clone()), ..request()
        };
        let text = announce_url(&url("http://t/announce?x=1"), &request);
        prop_assert!(text.bytes().all(|b| b.is_ascii_graphic()));
        let query = text.split_once('?').unwrap().1;
        let value = |key: &str| {
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(key)).unwrap();
            let mut bytes = pair.bytes();
            let mut out = Vec::new();
            while let Some(byte) = bytes.next() {
                out.push(match byte {
                    b'%' => {
                        let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                        u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
                    }
                    byte => byte,
                });
            }
            out
        };
        prop_assert_eq!(value("info_hash="), info_hash);
        prop_assert_eq!(value("trackerid="), id);
    }

    #[test]
    fn arbitrary_bodies_never_panic(body: Vec<u8>) {
        let _ = parse_announce(&body);
        let _ = parse_scrape(&body, &[InfoHash([0; 20])]);
    }
}
