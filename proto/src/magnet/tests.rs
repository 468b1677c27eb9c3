use super::*;
use proptest::prelude::*;

const HEX: &str = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a";

fn hash() -> Option<InfoHash> {
    Some(HEX.parse().unwrap())
}

#[test]
fn hexadecimal_and_base32_are_the_same_torrent() {
    // The base32 form by Python: base64.b32encode(bytes.fromhex(HEX)).
    for digits in
        [HEX, &HEX.to_uppercase(), "YEX6DQDLXISUVHOJ6UM3GNNKPQJWPKEK", "yex6dqdlxisuvhoj6um3gnnkpqjwpkek"]
    {
        let magnet = Magnet::parse(&format!("magnet:?xt=urn:btih:{digits}")).unwrap();
        assert_eq!(magnet, Magnet { info_hash: hash(), ..Magnet::default() });
    }
}

#[test]
fn all_parameters_are_read() {
    let link = format!(
        "MAGNET:?dn=a+b%26c%20d&xt=urn:btih:{HEX}&tr=http%3A%2F%2Ft%2Fannounce%3Fa%3Db%2Bc&tr.1=udp://u:1&tr=udp://u:1\
         &x.pe=1.2.3.4:5&x.pe=[2001:db8::1]:6&x.pe=peer.example:7&ws=https%3A%2F%2Fw%2F&so=0,2,4-6&xl=5&odd"
    );
    let magnet = Magnet::parse(&link).unwrap();
    assert_eq!(magnet.name.as_deref(), Some("a b&c d"));
    assert_eq!(magnet.trackers, ["http://t/announce?a=b+c", "udp://u:1"]);
    assert_eq!(
        magnet.peers.iter().map(|p| p.to_string()).collect::<Vec<_>>(),
        ["1.2.3.4:5", "[2001:db8::1]:6", "peer.example:7"]
    );
    assert_eq!(magnet.peers[1].addr(), Some("[2001:db8::1]:6".parse().unwrap()));
    assert_eq!(magnet.peers[2].addr(), None);
    assert_eq!(magnet.web_seeds, ["https://w/"]);
    assert_eq!(magnet.files, [0..=0, 2..=2, 4..=6]);
    assert_eq!(Magnet::parse(&magnet.to_string()).unwrap(), magnet);
}

#[test]
fn version_2_is_recognised() {
    let multihash = format!("1220{}", "ab".repeat(32));
    let link = format!("magnet:?xt=urn:btmh:{multihash}");
    let v2 = Magnet::parse(&link).unwrap();
    assert_eq!((v2.info_hash, v2.v2_hash), (None, Some([0xab; 32])));
    assert_eq!(v2.to_string(), link);
    let hybrid = Magnet::parse(&format!("{link}&xt=urn:btih:{HEX}")).unwrap();
    assert_eq!((hybrid.info_hash, hybrid.v2_hash), (hash(), Some([0xab; 32])));
    assert!(matches!(Magnet::parse("magnet:?xt=urn:btmh:1114aabb"), Err(MagnetError::Hash(_))));
}

#[test]
fn links_from_a_page_source_work() {
    let magnet =
        Magnet::parse(&format!(" magnet:?xt=urn:btih:{HEX}&amp;dn=x&amp;tr=udp%3A%2F%2Fu\n")).unwrap();
    assert_eq!((magnet.name.as_deref(), magnet.trackers.len()), (Some("x"), 1));
}

#[test]
fn bad_links_get_a_reason() {
    let with = |rest: &str| Magnet::parse(&format!("magnet:?xt=urn:btih:{HEX}{rest}"));
    assert_eq!(Magnet::parse("http://x"), Err(MagnetError::Scheme));
    assert_eq!(Magnet::parse("magnét:?"), Err(MagnetError::Scheme));
    assert_eq!(Magnet::parse("magnet:?dn=x"), Err(MagnetError::NoHash));
    assert_eq!(Magnet::parse("magnet:?xt=urn:sha1:x"), Err(MagnetError::NoHash));
    for digits in ["", "12", &HEX[1..], "1EX6DQDLXISUVHOJ6UM3GNNKPQJWPKEK"] {
        assert!(matches!(Magnet::parse(&format!("magnet:?xt=urn:btih:{digits}")), Err(MagnetError::Hash(_))));
    }
    assert_eq!(with(&format!("&xt=urn:btih:{}", "0".repeat(40))), Err(MagnetError::TwoHashes));
    assert!(with(&format!("&xt=urn:btih:{HEX}")).is_ok());
    for choice in ["x", "1-", "3-1", "-1", "99999999999", "0-4294967295"] {
        assert!(matches!(with(&format!("&so={choice}")), Err(MagnetError::Files(_))), "{choice}");
    }
    assert_eq!(with(&"&".repeat(MAX_LENGTH)), Err(MagnetError::TooLong));
}

#[test]
fn what_is_malformed_beside_the_hash_is_left_out_and_lists_are_bounded() {
    let link = format!(
        "magnet:?xt=urn:btih:{HEX}&tr=&tr=x&tr=a%20b://c&tr=%E9%00://&x.pe=1.2.3.4&x.pe=h:0&x.pe=[1]:2&dn=%1b"
    );
    assert_eq!(Magnet::parse(&link).unwrap(), Magnet { info_hash: hash(), ..Magnet::default() });
    let many: String = (0..1000).map(|i| format!("&tr=udp://{i}&x.pe=h:{}&ws=http://{i}", i + 1)).collect();
    let magnet = Magnet::parse(&format!("magnet:?xt=urn:btih:{HEX}{many}")).unwrap();
    assert_eq!(magnet.trackers.len(), MAX_TRACKERS);
    assert_eq!((magnet.peers.len(), magnet.web_seeds.len()), (MAX_PEERS, MAX_WEB_SEEDS));
}

proptest! {
    #[test]
    fn what_is_shown_is_read_again(
        hash in any::<[u8; 20]>(),
        v2 in any::<Option<[u8; 32]>>(),
        name in prop::option::of("[^\\p{C}]{1,40}"),
        trackers in prop::collection::btree_set("(udp|http)://[a-zé&=%+#]{1,20}", 0..4),
        peers in prop::collection::hash_set((any::<IpAddr>(), 1u16..), 0..4),
        starts in prop::collection::vec((0u32..1000, 0u32..1000), 0..4),
    ) {
        let magnet = Magnet {
            info_hash: Some(InfoHash(hash)),
            v2_hash: v2,
            name,
            trackers: trackers.into_iter().collect(),
            peers: peers.into_iter().map(|(ip, port)| Endpoint { host: ip.to_string(), port }).collect(),
            web_seeds: Vec::new(),
            files: starts.into_iter().map(|(start, more)| start..=start + more).collect(),
        };
        prop_assert_eq!(Magnet::parse(&magnet.to_string()), Ok(magnet));
    }

    #[test]
    fn any_text_is_a_link_or_not(text in "\\PC{0,60}", rest in "[&=%a-z:\\[\\]0-9,.+-]{0,60}") {
        let _ = Magnet::parse(&text);
        let _ = Magnet::parse(&format!("magnet:?{text}{rest}"));
        let _ = Magnet::parse(&format!("magnet:?xt=urn:btih:{HEX}&{rest}&so={rest}&x.pe={rest}"));
    }
}
