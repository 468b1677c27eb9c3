//! A leecher that wants everything and throws it away.

use super::{INTERESTED, PIECE, PIECE_HEAD, REQUEST, UNCHOKE, be32, expect_handshake, handshake};
use crate::{Payload, Torrent, payload::BLOCK};
use rustix::net::{AddressFamily, RecvFlags, SocketType, bind, connect, recv, socket};
use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Requests outstanding: more than loopback holds, and as many as every client takes (Transmission's `reqq` is 512). With
/// fewer, Transmission, which fills its send buffers twice a second, would look slower than it is.
const DEPTH: usize = 500;

/// Requests that go out together.
const BATCH: usize = 32;

/// After this time a leecher is content with what it has.
const LIMIT: Duration = Duration::from_secs(60);

/// What one download took.
#[derive(Clone, Copy, Debug)]
pub struct Leeched {
    /// When the first request went out.
    pub first: Instant,
    /// When the last block was here.
    pub last: Instant,
    /// Payload bytes; less than the torrent's if that took too long.
    pub bytes: u64,
}

/// A peer that downloads the whole torrent from one client, once.
pub struct Leecher {
    thread: JoinHandle<io::Result<Leeched>>,
}

impl Leecher {
    /// Connects from address `from` to the client at `to`. Only the first piece is compared; the rest is dropped by the
    /// kernel, so that the leecher costs less than the client it measures.
    pub fn start(from: IpAddr, to: SocketAddr, payload: &Payload, torrent: &Torrent, id: u16) -> Self {
        let (payload, info_hash) = (payload.clone(), torrent.info_hash);
        Self { thread: std::thread::spawn(move || leech(connect_from(from, to)?, &payload, info_hash, id)) }
    }

    /// Waits for its end.
    pub fn join(self) -> io::Result<Leeched> {
        self.thread.join().map_err(|_| io::Error::other("the leecher panicked"))?
    }
}

fn connect_from(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddr::new(from, 0))?;
    connect(&socket, &to)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    // A client that sends nothing for this long will not send anything any more.
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    Ok(stream)
}

fn leech(mut stream: TcpStream, payload: &Payload, info_hash: [u8; 20], id: u16) -> io::Result<Leeched> {
    stream.write_all(&handshake(info_hash, 1000 + id))?;
    expect_handshake(&mut stream, info_hash)?;
    stream.write_all(&[0, 0, 0, 1, INTERESTED])?;
    let mut blocks = requests(payload);
    let total = payload.len() as u64;
    let mut scratch = vec![0; BLOCK];
    let (mut first, mut outstanding, mut bytes) = (None, 0, 0);
    let start = Instant::now();
    while bytes < total && start.elapsed() < LIMIT {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let len = be32(&head) as usize;
        if len == 0 {
            // A keep-alive has no id: the fifth byte began the next message. No client sends one this early.
            return Err(io::Error::other("keep-alive"));
        }
        if head[4] == PIECE {
            let mut place = [0; PIECE_HEAD - 5];
            stream.read_exact(&mut place)?;
            let (piece, offset, len) = (be32(&place), be32(&place[4..]), len - 9);
            if piece == 0 {
                stream.read_exact(&mut scratch[..len])?;
                let at = offset as usize;
                if scratch[..len] != payload.data()[at..at + len] {
                    return Err(io::Error::other("the client sent wrong bytes"));
                }
            } else {
                discard(&stream, &mut scratch, len)?;
            }
            bytes += len as u64;
            outstanding -= 1;
        } else {
            io::copy(&mut Read::by_ref(&mut stream).take(len as u64 - 1), &mut io::sink())?;
        }
        let unchoked = first.is_some() || head[4] == UNCHOKE;
        if unchoked && outstanding + BATCH <= DEPTH {
            first.get_or_insert_with(Instant::now);
            let batch: Vec<[u8; 17]> = blocks.by_ref().take(DEPTH - outstanding).collect();
            outstanding += batch.len();
            stream.write_all(batch.as_flattened())?;
        }
    }
    Ok(Leeched { first: first.unwrap_or_else(Instant::now), last: Instant::now(), bytes })
}

/// Every block of the torrent as a request message, in order.
fn requests(payload: &Payload) -> impl Iterator<Item = [u8; 17]> + use<> {
    let (len, piece_len) = (payload.len(), payload.piece_len());
    (0..len.div_ceil(piece_len)).flat_map(move |piece| {
        let here = piece_len.min(len - piece * piece_len);
        (0..here).step_by(BLOCK).map(move |offset| {
            let mut message = [0; 17];
            message[3] = 13;
            message[4] = REQUEST;
            message[5..9].copy_from_slice(&(piece as u32).to_be_bytes());
            message[9..13].copy_from_slice(&(offset as u32).to_be_bytes());
            message[13..].copy_from_slice(&(BLOCK.min(here - offset) as u32).to_be_bytes());
            message
        })
    })
}

/// Lets the kernel drop the next `len` bytes without copying them.
fn discard(stream: &TcpStream, scratch: &mut [u8], mut len: usize) -> io::Result<()> {
    while len > 0 {
        let room = len.min(scratch.len());
        match recv(stream, &mut scratch[..room], RecvFlags::TRUNC)?.1 {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            dropped => len -= dropped,
        }
    }
    Ok(())
}
