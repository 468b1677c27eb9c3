use super::*;
use crate::wire::{ExtHandshake, HashRange, LOCAL_IDS};
use proptest::prelude::*;

const LIMITS: Limits = Limits { pieces: 20, max_ext: 1024, max_block: BLOCK };

fn read(bytes: &[u8]) -> Result<Next, WireError> {
    next(bytes, &LIMITS, &LOCAL_IDS)
}

fn golden() -> Vec<(&'static [u8], Message)> {
    let block = Block { piece: 1, begin: 0x4000, len: 0x4000 };
    vec![
        (b"\0\0\0\0", Message::KeepAlive),
        (b"\0\0\0\x01\0", Message::Choke),
        (b"\0\0\0\x01\x01", Message::Unchoke),
        (b"\0\0\0\x01\x02", Message::Interested),
        (b"\0\0\0\x01\x03", Message::NotInterested),
        (b"\0\0\0\x05\x04\0\0\x01\x02", Message::Have(258)),
        (b"\0\0\0\x04\x05\xff\0\x80", Message::Bitfield(Bytes::from_static(b"\xff\0\x80"))),
        (b"\0\0\0\x0d\x06\0\0\0\x01\0\0\x40\0\0\0\x40\0", Message::Request(block)),
        (b"\0\0\0\x0d\x08\0\0\0\x01\0\0\x40\0\0\0\x40\0", Message::Cancel(block)),
        (b"\0\0\0\x03\x09\x1a\xe1", Message::Port(6881)),
        (b"\0\0\0\x05\x0d\0\0\0\x07", Message::Suggest(7)),
        (b"\0\0\0\x01\x0e", Message::HaveAll),
        (b"\0\0\0\x01\x0f", Message::HaveNone),
        (b"\0\0\0\x0d\x10\0\0\0\x01\0\0\x40\0\0\0\x40\0", Message::Reject(block)),
        (b"\0\0\0\x05\x11\0\0\0\x07", Message::AllowedFast(7)),
        (b"\0\0\0\x06\x14\x03\0\0\0\x07", Message::Ext(Box::new(Extension::DontHave(7)))),
    ]
}

/// The messages of BEP 52: `len id root base index length proofs`, and hashes behind that.
fn golden_hashes() -> Vec<(Vec<u8>, Message)> {
    let range = HashRange { root: [0xaa; 32], base: 2, index: 8, length: 2, proofs: 3 };
    let named = |len: u8, id: u8, hashes: &[u8]| {
        let mut bytes = vec![0, 0, 0, len, id];
        bytes.extend([0xaa; 32]);
        bytes.extend(b"\0\0\0\x02\0\0\0\x08\0\0\0\x02\0\0\0\x03");
        bytes.extend(hashes);
        bytes
    };
    let list = [[1; 32], [2; 32], [3; 32]].as_flattened().to_vec();
    vec![
        (named(49, 21, &[]), Message::HashRequest(Box::new(range))),
        (named(145, 22, &list), Message::Hashes(Box::new(range), Bytes::from(list.clone()))),
        (named(49, 23, &[]), Message::HashReject(Box::new(range))),
    ]
}

#[test]
fn golden_bytes() {
    let all = golden().into_iter().map(|(bytes, message)| (bytes.to_vec(), message));
    for (bytes, message) in all.chain(golden_hashes()) {
        let mut out = Vec::new();
        encode(&message, &LOCAL_IDS, &mut out);
        assert_eq!(out, bytes, "{message:?}");
        assert_eq!(read(&bytes), Ok(Next::Message { message, used: bytes.len() }));
    }
}

#[test]
fn the_head_of_a_piece_stands_alone() {
    let block = Block { piece: 1, begin: 0x4000, len: 3 };
    let head = piece_head(block);
    assert_eq!(&head, b"\0\0\0\x0c\x07\0\0\0\x01\0\0\x40\0");
    assert_eq!(read(&head), Ok(Next::Piece { block, used: 13 }));
    assert_eq!(read(&head[..12]), Ok(Next::Need(13)));
}

#[test]
fn lengths_are_refused_before_the_payload_is_there() {
    let over: [(&[u8], u8); 14] = [
        (b"\0\0\0\x02\0", 0),
        (b"\0\0\0\x06\x04", 4),
        (b"\0\0\0\x04\x04", 4),
        (b"\0\0\0\x05\x05", 5),
        (b"\0\0\0\x03\x05", 5),
        (b"\0\0\0\x0e\x06", 6),
        (b"\0\0\x40\x0a\x07", 7),
        (b"\0\0\0\x09\x07", 7),
        (b"\0\0\0\x02\x09", 9),
        (b"\0\0\0\x02\x0e", 14),
        (b"\0\0\0\x0c\x10", 16),
        (b"\0\0\0\x01\x14", 20),
        (b"\0\0\x04\x03\x14", 20),
        (b"\xff\xff\xff\xff\xc8", 200),
    ];
    for (bytes, kind) in over {
        match read(bytes) {
            Err(WireError::Length { id, .. }) => assert_eq!(id, kind),
            other => panic!("{bytes:?}: {other:?}"),
        }
    }
    assert_eq!(read(b"\0\0\x40\x09\x07"), Ok(Next::Need(13)));
    assert_eq!(read(b"\0\0\x04\x02\x14"), Ok(Next::Need(4 + 0x402)));
}

#[test]
fn a_bitfield_is_bounded_while_the_number_of_pieces_is_unknown() {
    let limits = Limits { pieces: 0, ..LIMITS };
    assert_eq!(next(b"\0\x04\0\x01\x05", &limits, &LOCAL_IDS), Ok(Next::Need(4 + 0x40001)));
    assert!(next(b"\0\x04\0\x02\x05", &limits, &LOCAL_IDS).is_err());
}

#[test]
fn a_larger_block_is_a_matter_of_the_limit() {
    let block = Block { piece: 0, begin: 0, len: Limits::MAX_BLOCK };
    assert!(read(&piece_head(block)).is_err());
    let limits = Limits { max_block: u32::MAX, ..LIMITS };
    assert_eq!(next(&piece_head(block), &limits, &LOCAL_IDS), Ok(Next::Piece { block, used: 13 }));
    assert!(next(&piece_head(Block { len: block.len + 1, ..block }), &limits, &LOCAL_IDS).is_err());
}

#[test]
fn unknown_kinds_are_passed_over() {
    assert_eq!(read(b"\0\0\0\x03\x1eab\0\0\0\0"), Ok(Next::Ignored { used: 7 }));
    assert_eq!(read(b"\0\0\0\x03\x1ea"), Ok(Next::Need(7)));
}

#[test]
fn what_the_other_end_does_not_speak_is_not_sent() {
    let none = ExtIds::default();
    let mut out = Vec::new();
    encode(&Message::Ext(Box::new(Extension::DontHave(1))), &none, &mut out);
    encode(&Message::Ext(Box::new(Extension::Unknown)), &LOCAL_IDS, &mut out);
    assert!(out.is_empty());
    encode(&Message::Ext(Box::new(Extension::Handshake(ExtHandshake::default()))), &none, &mut out);
    assert_eq!(out, b"\0\0\0\x09\x14\0d1:mdee");
}

/// Everything that a stream holds, reading it in the given portions, as the pump does.
fn read_in_portions(stream: &[u8], portions: &[usize]) -> Vec<Next> {
    let mut seen = Vec::new();
    let (mut start, mut end) = (0, 0);
    let mut portions = portions.iter().chain(std::iter::repeat(&7));
    loop {
        match read(&stream[start..end]).unwrap() {
            Next::Need(n) => {
                assert!(n > end - start, "what is needed is more than what is there");
                if end == stream.len() {
                    assert_eq!(start, end, "the stream ends with a message");
                    return seen;
                }
                end = stream.len().min(end + portions.next().unwrap());
            }
            got => {
                start += match &got {
                    Next::Piece { block, used } => used + block.len as usize,
                    Next::Message { used, .. } | Next::Ignored { used } => *used,
                    Next::Need(_) => 0,
                };
                end = end.max(start);
                seen.push(got);
            }
        }
    }
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let known = (0..golden().len()).prop_map(|i| golden()[i].0.to_vec());
    let piece = (any::<u32>(), any::<u32>(), 1..100u32).prop_map(|(piece, begin, len)| {
        let mut bytes = piece_head(Block { piece, begin, len }).to_vec();
        bytes.resize(13 + len as usize, 0xaa);
        bytes
    });
    let unknown = Just(b"\0\0\0\x03\x1eab".to_vec());
    proptest::collection::vec(prop_oneof![4 => known, 2 => piece, 1 => unknown], 0..20)
        .prop_map(|messages| messages.concat())
}

proptest! {
    #[test]
    fn any_split_gives_the_same_messages(
        stream in stream(),
        portions in proptest::collection::vec(1..40usize, 0..100),
    ) {
        let whole = read_in_portions(&stream, &[stream.len().max(1)]);
        prop_assert_eq!(read_in_portions(&stream, &portions), whole);
    }

    #[test]
    fn arbitrary_bytes_never_panic_nor_ask_for_too_much(
        head in prop_oneof![Just(vec![0, 0]), Just(vec![])],
        bytes: Vec<u8>,
        pieces: u32,
        max_block: u32,
    ) {
        let limits = Limits { pieces, max_block, ..LIMITS };
        let bytes = [head, bytes].concat();
        match next(&bytes, &limits, &LOCAL_IDS) {
            Ok(Next::Need(n)) => {
                prop_assert!(n > bytes.len());
                let bitfield = if pieces == 0 { Limits::MAX_BITFIELD } else { pieces.div_ceil(8) };
                prop_assert!(n <= 5 + bitfield.max(Limits::MAX_IGNORED) as usize);
            }
            Ok(Next::Message { used, .. } | Next::Ignored { used } | Next::Piece { used, .. }) => {
                prop_assert!((4..=bytes.len()).contains(&used));
            }
            Err(_) => {}
        }
    }
}
