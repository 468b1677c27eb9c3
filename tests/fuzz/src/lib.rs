//! What must hold of every parser that a stranger can reach, whatever the bytes.
//!
//! The fuzz targets call these functions with what the fuzzer finds; `proto/tests/corpus.rs` calls them with the
//! committed seeds, so that an ordinary `cargo test` covers them too. A function returns or it panics: that is the verdict.

use proto::{
    bencode::{Document, Encoder, Kind, Limits, Value},
    id::{InfoHash, PeerId},
    krpc::{self, DecodeError},
    magnet::Magnet,
    metainfo::{Info, Metainfo, v2::Tree},
    time::Instant,
    tracker::{self, AnnounceEvent, AnnounceRequest, AnnounceResponse, TrackerError, TrackerUrl, udp},
    wire::{self, ExtIds, Extension, Handshake, LOCAL_IDS, Message, Next, WireError},
};

/// A parser's target by name.
pub type Target = fn(&[u8]);

/// All targets, named as their folders of seeds.
pub const TARGETS: &[(&str, Target)] = &[
    ("bencode", bencode),
    ("metainfo", metainfo),
    ("magnet", magnet),
    ("handshake", handshake),
    ("wire", wire),
    ("ext", ext),
    ("tracker_url", tracker_url),
    ("tracker_http", tracker_http),
    ("tracker_udp", tracker_udp),
    ("krpc", krpc),
];

/// Limits hold, and every value has one encoding: what was read as a string or an integer is written as it was.
pub fn bencode(data: &[u8]) {
    const DEPTH: usize = 8;
    let limits = Limits { bytes: 1 << 16, depth: DEPTH, values: 256 };
    let Ok((document, used)) = Document::decode_prefix(data, limits) else { return };
    assert_eq!(document.root().raw(), &data[..used]);
    assert_eq!(Document::decode(data, limits).is_ok(), used == data.len());
    check_value(document.root(), DEPTH);
}

/// The recursion is bounded by the decoder's limit, which this checks too.
fn check_value(value: Value<'_>, depth: usize) {
    assert!(depth > 0 || matches!(value.kind(), Kind::Int | Kind::Str));
    let mut encoder = Encoder::new();
    match value.kind() {
        Kind::Int => encoder.int(value.as_int().expect("an integer")),
        Kind::Str => encoder.bytes(value.as_str_bytes().expect("a string")),
        Kind::List => return value.list().for_each(|value| check_value(value, depth - 1)),
        Kind::Dict => return value.dict().for_each(|(_, value)| check_value(value, depth - 1)),
    }
    assert_eq!(encoder.finish(), value.raw());
}

/// No file is outside its folder, files lie one after the other, and the torrent written anew is the same torrent.
pub fn metainfo(data: &[u8]) {
    if let Ok(info) = Info::parse(data) {
        check_info(&info);
    }
    let Ok(torrent) = Metainfo::parse_any(data) else { return };
    assert_eq!(Metainfo::parse(data).is_err(), torrent.info.is_v2_only(), "v2 alone is read on demand only");
    check_info(&torrent.info);
    if let Ok(Some(tree)) = torrent.info.tree() {
        check_tree(&tree);
    }
    // Whether the layers are well formed is nobody's promise, but reading them must end well.
    let layers = torrent.piece_layers();
    let again = Metainfo::parse_any(&torrent.to_bytes()).expect("what we write can be read");
    assert_eq!(again.info, torrent.info);
    assert_eq!(again.outer, torrent.outer);
    assert_eq!(again.piece_layers(), layers);
}

/// Every file starts at a piece, after the one before.
fn check_tree(tree: &Tree) {
    let mut end = 0;
    for file in &tree.files {
        let entry = &file.entry;
        assert!(entry.offset >= end && file.root.is_some() == (entry.length > 0));
        assert!(entry.length == 0 || entry.offset.is_multiple_of(u64::from(tree.layout.piece_length())));
        end = entry.range().end;
    }
    assert_eq!(end, tree.layout.total());
}

fn check_info(info: &Info) {
    let mut end = 0;
    let mut seen = std::collections::HashSet::new();
    for file in &info.files {
        assert_eq!(file.offset, end, "files lie one after the other");
        end = file.range().end;
        assert!(!file.path.is_empty());
        for name in &file.path {
            assert!(!name.is_empty() && name != "." && name != ".." && name.len() <= 255, "{name:?}");
            assert!(!name.contains(['/', '\\', '\0']) && !name.chars().any(char::is_control), "{name:?}");
        }
        if !file.pad {
            assert!(seen.insert(&file.path), "{:?} twice", file.path);
        }
    }
    assert_eq!(end, info.layout.total());
    if !info.is_v2_only() {
        assert_eq!(info.piece_hashes().len(), info.layout.pieces() as usize * 20);
    }
}

/// A link written anew says the same.
pub fn magnet(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(magnet) = Magnet::parse(text) else { return };
    let again = Magnet::parse(&magnet.to_string()).expect("what we write can be read");
    assert_eq!(again, magnet);
}

/// A handshake comes back but for the reserved bits that we do not know, and a client's name is safe to print.
pub fn handshake(data: &[u8]) {
    let early = Handshake::info_hash(data);
    let Some(bytes) = data.first_chunk() else { return };
    match Handshake::parse(bytes) {
        Ok(shake) => {
            assert_eq!(early, Ok(Some(shake.info_hash)));
            assert_eq!(Handshake::parse(&shake.encode()), Ok(shake));
            if let Some(name) = wire::client_name(&shake.peer_id) {
                assert!(name.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{name:?}");
            }
        }
        Err(error) => assert_eq!(early, Err(error)),
    }
}

/// A stream: the first byte is the number of pieces, the rest is what a peer sends. Reading it all at once and as the bytes
/// come gives the same, and what was read is written as it was.
pub fn wire(data: &[u8]) {
    let Some((&pieces, stream)) = data.split_first() else { return };
    let limits = wire::Limits { pieces: pieces.into(), ..wire::Limits::default() };
    let mut rest = stream;
    loop {
        let got = wire::next(rest, &limits, &LOCAL_IDS);
        check_growing(rest, &limits, &got);
        let used = match got {
            Ok(Next::Need(needed)) => return assert!(needed > rest.len()),
            Ok(Next::Piece { block, used }) => {
                assert_eq!(wire::piece_head(block), rest[..used]);
                assert!((1..=limits.max_block).contains(&block.len));
                rest = rest.get(used + block.len as usize..).unwrap_or_default();
                continue;
            }
            Ok(Next::Message { message, used }) => {
                check_written(&message, &rest[..used], &limits);
                used
            }
            Ok(Next::Ignored { used }) => used,
            Err(_) => return,
        };
        rest = &rest[used..];
    }
}

/// Asking again with exactly as many bytes as were said to be needed leads to the same result, in at most four steps.
fn check_growing(bytes: &[u8], limits: &wire::Limits, want: &Result<Next, WireError>) {
    let mut have = 0;
    for _ in 0..4 {
        let got = wire::next(&bytes[..have], limits, &LOCAL_IDS);
        match got {
            Ok(Next::Need(needed)) if needed <= bytes.len() => {
                assert!(needed > have);
                have = needed;
            }
            got => return assert_eq!(got, *want),
        }
    }
    panic!("too many steps");
}

fn check_written(message: &Message, bytes: &[u8], limits: &wire::Limits) {
    let mut out = Vec::new();
    wire::encode(message, &LOCAL_IDS, &mut out);
    match message {
        // Extensions may be written in more than one way.
        Message::Ext(extension) => check_extension(extension, &out, limits),
        _ => assert_eq!(out, bytes),
    }
}

fn check_extension(extension: &Extension, written: &[u8], limits: &wire::Limits) {
    if *extension == Extension::Unknown {
        return assert!(written.is_empty());
    }
    match wire::next(written, limits, &LOCAL_IDS) {
        Ok(Next::Message { message: Message::Ext(again), used }) => {
            assert_eq!(used, written.len());
            assert_eq!(without_length(*again), without_length(extension.clone()));
        }
        other => panic!("{other:?}"),
    }
}

/// The length of the dictionary as received is not part of what it says.
fn without_length(mut extension: Extension) -> Extension {
    if let Extension::Handshake(shake) = &mut extension {
        shake.raw_len = 0;
    }
    extension
}

/// One extension message: its id and its payload.
pub fn ext(data: &[u8]) {
    let Ok(len) = u32::try_from(data.len() + 1) else { return };
    let framed = [&[7], len.to_be_bytes().as_slice(), &[20], data].concat();
    wire(&framed);
    // Nothing was offered: nothing but the handshake is read.
    let nothing = wire::next(&framed[1..], &wire::Limits::default(), &ExtIds::default());
    if let Ok(Next::Message { message: Message::Ext(extension), .. }) = nothing {
        assert!(matches!(*extension, Extension::Handshake(_) | Extension::Unknown));
    }
}

/// A tracker's URL that is accepted stays the same when read again, and can be asked.
pub fn tracker_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(url) = TrackerUrl::parse(text) else { return };
    assert_eq!(TrackerUrl::parse(url.as_str()).as_ref(), Ok(&url));
    assert!(!url.host().is_empty() && url.port().is_some());
    if let Some(scrape) = url.scrape() {
        assert_eq!(TrackerUrl::parse(scrape.as_str()), Ok(scrape));
    }
    let asked = tracker::http::announce_url(&url, &request());
    assert!(asked.starts_with(url.as_str()) && !asked.contains(char::is_whitespace));
}

/// The body of an answer over HTTP.
pub fn tracker_http(data: &[u8]) {
    match tracker::http::parse_announce(data) {
        Ok(answer) => check_answer(&answer),
        Err(error) => check_error(&error),
    }
    match tracker::http::parse_scrape(data, &[InfoHash([b'a'; 20])]) {
        Ok(figures) => assert_eq!(figures.len(), 1),
        Err(error) => check_error(&error),
    }
}

/// An exchange over UDP: the first byte says when the datagram in the rest arrives; its transaction is made to fit.
pub fn tracker_udp(data: &[u8]) {
    const ACTION_AND_TRANSACTION: usize = 8;
    let Some((&setup, datagram)) = data.split_first() else { return };
    let ask = match setup & 1 {
        0 => udp::Request::Announce(request()),
        _ => udp::Request::Scrape(vec![InfoHash([b'a'; 20])]),
    };
    let mut exchange = udp::Exchange::new(ask, "/announce?x", setup & 2 != 0, 7, None);
    let now = Instant::from_secs(1);
    let connect = exchange.transmit(now).expect("there is hope").expect("due at once");
    let mut transaction = connect[12..16].to_vec();
    if setup & 4 != 0 {
        let connected = [&[0; 4], transaction.as_slice(), &[9; 8]].concat();
        assert_eq!(exchange.receive(now, &connected), Ok(None));
        let asked = exchange.transmit(now).expect("there is hope").expect("due at once");
        transaction = asked[12..16].to_vec();
    }
    let mut datagram = datagram.to_vec();
    if let Some(field) = datagram.get_mut(4..ACTION_AND_TRANSACTION) {
        field.copy_from_slice(&transaction);
    }
    match exchange.receive(now, &datagram) {
        Ok(Some(udp::Answer::Announce(answer))) => check_answer(&answer),
        Ok(Some(udp::Answer::Scrape(figures))) => assert!(figures.len() <= 1),
        Ok(None) => {}
        Err(error) => check_error(&error),
    }
}

/// A DHT datagram that is understood says the same when written anew.
pub fn krpc(data: &[u8]) {
    match krpc::Message::decode(data) {
        Ok(message) => {
            let written = message.encode();
            let again = krpc::Message::decode(&written).expect("what we write can be read");
            assert_eq!(again.encode(), written);
            assert_eq!(
                (&again.tx, again.seen_as, again.version),
                (&message.tx, message.seen_as, message.version)
            );
            if let krpc::Body::Response(response) = message.body {
                check_response(&response);
            }
        }
        Err(DecodeError::Query { tx, .. }) => assert!(tx.as_bytes().len() <= krpc::MAX_TX),
        Err(DecodeError::Garbage(_)) => {}
    }
}

fn check_response(response: &krpc::Response) {
    let nodes = response.nodes4.iter().chain(&response.nodes6);
    for nodes in nodes {
        assert!(nodes.len() <= krpc::MAX_NODES);
        assert!(nodes.iter().all(|node| node.addr.port() != 0));
    }
    assert!(response.peers.len() <= krpc::MAX_PEERS);
    assert!(response.peers.iter().all(|peer| peer.port() != 0));
    if let Some(item) = &response.item {
        let _ = item.check();
    }
}

fn check_answer(answer: &AnnounceResponse) {
    assert!(answer.peers.len() <= tracker::MAX_PEERS);
    assert!(answer.peers.iter().all(|peer| peer.port() != 0));
    check_text(answer.warning.as_deref().unwrap_or_default());
}

fn check_error(error: &TrackerError) {
    check_text(&error.to_string());
}

fn check_text(text: &str) {
    assert!(text.chars().count() <= 300 && !text.chars().any(char::is_control), "{text:?}");
}

fn request() -> AnnounceRequest {
    AnnounceRequest {
        info_hash: InfoHash([b'a'; 20]),
        peer_id: PeerId([0xff; 20]),
        port: 6881,
        uploaded: 0,
        downloaded: u64::MAX,
        left: 1,
        event: Some(AnnounceEvent::Started),
        numwant: 50,
        key: 1,
        ip: None,
        ipv6: None,
        tracker_id: Some(b"\0 &".to_vec()),
    }
}
