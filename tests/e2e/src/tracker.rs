//! An HTTP tracker that always names the same peers and remembers what it was told.

use crate::bencode::Value;
use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

/// One announce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announce {
    /// `started`, `completed`, `stopped`, or empty.
    pub event: String,
    /// Bytes left.
    pub left: u64,
    /// Bytes downloaded.
    pub downloaded: u64,
    /// Bytes uploaded.
    pub uploaded: u64,
    /// The announcing port.
    pub port: u16,
}

/// The tracker; every torrent's swarm is the same.
pub struct FixedTracker {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    peers: RwLock<Vec<SocketAddr>>,
    announces: Mutex<Vec<Announce>>,
}

impl FixedTracker {
    /// Listens at `addr` for as long as the test's process lives.
    pub fn start(addr: SocketAddr, peers: &[SocketAddr]) -> Self {
        let listener = TcpListener::bind(addr).expect("the tracker's address is free");
        let shared = Arc::new(Shared { peers: RwLock::new(peers.to_vec()), announces: Mutex::default() });
        let answering = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that hangs up early is no concern of the tracker.
                let _ = answer(stream, &answering);
            }
        });
        Self { addr, shared }
    }

    /// Its announce URL.
    pub fn url(&self) -> String {
        format!("http://{}/announce", self.addr)
    }

    /// Every announce so far.
    pub fn announces(&self) -> Vec<Announce> {
        self.shared.announces.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it was told of this event.
    pub fn heard(&self, event: &str) -> bool {
        self.announces().iter().any(|announce| announce.event == event)
    }

    /// Names these peers from now on.
    pub fn set_peers(&self, peers: &[SocketAddr]) {
        *self.shared.peers.write().unwrap_or_else(PoisonError::into_inner) = peers.to_vec();
    }
}

fn answer(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let query = first.split(' ').nth(1).and_then(|path| path.split_once('?')).map_or("", |(_, query)| query);
    let field = |name: &str| {
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap_or("")
    };
    let number = |name: &str| field(name).parse().unwrap_or(0);
    shared.announces.lock().unwrap_or_else(PoisonError::into_inner).push(Announce {
        event: field("event").to_owned(),
        left: number("left"),
        downloaded: number("downloaded"),
        uploaded: number("uploaded"),
        port: field("port").parse().unwrap_or(0),
    });
    let peers = shared.peers.read().unwrap_or_else(PoisonError::into_inner).clone();
    let compact = peers.iter().flat_map(|peer| {
        let SocketAddr::V4(peer) = peer else { panic!("the lab speaks IPv4") };
        [&peer.ip().octets()[..], &peer.port().to_be_bytes()].concat()
    });
    let body =
        Value::dict([("interval", Value::Int(1800)), ("peers", Value::Bytes(compact.collect()))]).encode();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(&body)
}
