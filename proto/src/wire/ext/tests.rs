use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};

fn encoded(message: &Extension) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

fn decoded(id: u8, payload: &[u8]) -> Result<Extension, WireError> {
    Extension::decode(id, payload, &LOCAL_IDS)
}

fn handshake(payload: &[u8]) -> ExtHandshake {
    match decoded(0, payload) {
        Ok(Extension::Handshake(shake)) => shake,
        other => panic!("{other:?}"),
    }
}

/// The example of BEP 10, with its `µTorrent 1.2` as the bytes have it.
#[test]
fn the_handshake_of_bep_10() {
    let shake = handshake(b"d1:md11:LT_metadatai1e6:\xb5T_PEXi2ee1:pi6881e1:v13:\xc2\xb5Torrent 1.2e");
    assert_eq!(shake.port, Some(6881));
    assert_eq!(shake.client.as_deref(), Some("\u{b5}Torrent 1.2"));
    assert_eq!(shake.ids, ExtIds::default());
}

#[test]
fn a_handshake_of_libtorrent() {
    let bytes =
        b"d12:complete_agoi1e1:md11:lt_donthavei7e10:share_modei8e11:upload_onlyi3e12:ut_holepunchi4e11:\
        ut_metadatai2e6:ut_pexi1ee13:metadata_sizei132e4:reqqi2000e11:upload_onlyi1e1:v19:libtorrent/2.0.11.0\
        6:yourip4:\x7f\0\0\x01e";
    let shake = handshake(bytes);
    let ids = ExtIds { ut_metadata: Some(2), ut_pex: Some(1), lt_donthave: Some(7), ut_holepunch: Some(4) };
    assert_eq!(
        shake,
        ExtHandshake {
            ids,
            client: Some("libtorrent/2.0.11.0".into()),
            port: None,
            your_ip: Some([127, 0, 0, 1].into()),
            reqq: Some(2000),
            upload_only: true,
            metadata_size: Some(132),
            raw_len: bytes.len(),
        }
    );
}

#[test]
fn what_makes_no_sense_in_a_handshake_counts_as_absent() {
    let shake = handshake(b"d1:mi3e13:metadata_sizei-1e1:pi70000e4:reqq1:x1:vi1e6:yourip3:abce");
    assert_eq!(shake, ExtHandshake { raw_len: shake.raw_len, ..ExtHandshake::default() });
    let off = handshake(b"d1:md6:ut_pexi0e11:ut_metadatai256eee");
    assert_eq!(off.ids, ExtIds::default());
    assert_eq!(decoded(0, b"le"), Err(bad("handshake", "not a dictionary")));
    assert_eq!(decoded(0, b"d1:m"), Err(bad("handshake", "not bencoded")));
}

#[test]
fn a_clients_name_cannot_draw_on_a_terminal() {
    let name = "a\u{1b}[31mb\u{202e}c\r\n".as_bytes();
    let payload = [b"d1:v13:".as_slice(), name, b"e"].concat();
    assert_eq!(handshake(&payload).client.as_deref(), Some("a[31mbc"));
    let long = [b"d1:v300:".as_slice(), &[b'x'; 300], b"e"].concat();
    assert_eq!(handshake(&long).client, Some("x".repeat(64)));
}

/// The examples of BEP 9.
#[test]
fn the_metadata_messages_of_bep_9() {
    let cases = [
        (b"d8:msg_typei0e5:piecei0ee".as_slice(), Metadata::Request { block: 0 }),
        (
            b"d8:msg_typei1e5:piecei0e10:total_sizei3425eexxxxxxxx",
            Metadata::Data { block: 0, total: Some(3425), data: Bytes::from_static(b"xxxxxxxx") },
        ),
        (b"d8:msg_typei2e5:piecei0ee", Metadata::Reject { block: 0 }),
    ];
    for (bytes, message) in cases {
        let message = Extension::Metadata(message);
        assert_eq!(decoded(1, bytes), Ok(message.clone()));
        assert_eq!(encoded(&message), bytes);
    }
}

#[test]
fn metadata_is_bounded() {
    let head = b"d8:msg_typei1e5:piecei0ee";
    let mut bytes = head.to_vec();
    assert!(decoded(1, &bytes).is_err(), "no data");
    bytes.resize(head.len() + METADATA_BLOCK as usize, 7);
    assert!(decoded(1, &bytes).is_ok());
    bytes.push(7);
    assert!(decoded(1, &bytes).is_err(), "one byte too many");
    assert_eq!(decoded(1, b"d8:msg_typei9e5:piecei0ee"), Ok(Extension::Unknown));
    assert!(decoded(1, b"d8:msg_typei0e5:piecei-1ee").is_err());
}

#[test]
fn peer_exchange() {
    let bytes =
        b"d5:added12:\x01\x02\x03\x04\x1a\xe1\x05\x06\x07\x08\0\x507:added.f1:\x026:added60:8:added6.f0:7:dropped6:\
        \x09\x09\x09\x09\0\x098:dropped60:e";
    let peer = |addr: &str, flags| PexPeer { addr: addr.parse().unwrap(), flags };
    let pex = Pex {
        added: vec![peer("1.2.3.4:6881", pex_flags::SEED), peer("5.6.7.8:80", 0)],
        dropped: vec!["9.9.9.9:9".parse().unwrap()],
    };
    assert_eq!(decoded(2, bytes), Ok(Extension::Pex(pex)));
}

#[test]
fn peer_exchange_is_bounded() {
    let payload = [b"d5:added6000:".as_slice(), &[1; 6000], b"e"].concat();
    match decoded(2, &payload) {
        Ok(Extension::Pex(pex)) => assert_eq!(pex.added.len(), MAX_PEX_PEERS),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lt_donthave_is_one_number() {
    assert_eq!(decoded(3, &[0, 0, 1, 2]), Ok(Extension::DontHave(258)));
    assert!(decoded(3, &[0, 0, 1]).is_err());
    assert!(decoded(3, &[0, 0, 1, 2, 3]).is_err());
}

#[test]
fn an_extension_that_was_not_offered_is_passed_over() {
    assert_eq!(decoded(99, b"whatever"), Ok(Extension::Unknown));
    let no_pex = ExtIds { ut_pex: None, ..LOCAL_IDS };
    assert_eq!(Extension::decode(2, b"not even bencoded", &no_pex), Ok(Extension::Unknown));
}

fn addr() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

fn shake() -> impl Strategy<Value = ExtHandshake> {
    let id = || proptest::option::of(1u8..);
    let ids = (id(), id(), id(), id()).prop_map(|(ut_metadata, ut_pex, lt_donthave, ut_holepunch)| ExtIds {
        ut_metadata,
        ut_pex,
        lt_donthave,
        ut_holepunch,
    });
    let client = proptest::option::of("[a-zA-Z][a-zA-Z0-9./-]{0,40}");
    (ids, client, any::<Option<IpAddr>>(), any::<Option<u32>>(), any::<bool>(), proptest::option::of(1u32..))
        .prop_map(|(ids, client, your_ip, reqq, upload_only, metadata_size)| ExtHandshake {
            ids,
            client,
            port: Some(6881),
            your_ip,
            reqq,
            upload_only,
            metadata_size,
            raw_len: 0,
        })
}

proptest! {
    #[test]
    fn a_handshake_comes_back(mut want in shake()) {
        let bytes = encoded(&Extension::Handshake(want.clone()));
        want.raw_len = bytes.len();
        prop_assert_eq!(decoded(0, &bytes), Ok(Extension::Handshake(want)));
    }

    #[test]
    fn peer_exchange_comes_back(
        added in proptest::collection::vec((addr(), any::<u8>()), 0..50),
        dropped in proptest::collection::vec(addr(), 0..50),
    ) {
        let mut added: Vec<_> = added.into_iter().map(|(addr, flags)| PexPeer { addr, flags }).collect();
        let mut dropped = dropped;
        // The wire keeps the families apart.
        added.sort_by_key(|peer| peer.addr.is_ipv6());
        dropped.sort_by_key(SocketAddr::is_ipv6);
        let want = Extension::Pex(Pex { added, dropped });
        prop_assert_eq!(decoded(2, &encoded(&want)), Ok(want));
    }

    #[test]
    fn hole_punching_comes_back(addr in addr(), kind in 0..3, code: u32) {
        let want = Extension::Holepunch(match kind {
            0 => Holepunch::Rendezvous(addr),
            1 => Holepunch::Connect(addr),
            _ if code > 4 => Holepunch::Error(addr, HolepunchError::Other(code)),
            _ => Holepunch::Error(addr, HolepunchError::NoSelf),
        });
        prop_assert_eq!(decoded(4, &encoded(&want)), Ok(want));
    }

    #[test]
    fn arbitrary_payloads_never_panic(id in 0u8..6, payload: Vec<u8>) {
        let _ = decoded(id, &payload);
    }
}
