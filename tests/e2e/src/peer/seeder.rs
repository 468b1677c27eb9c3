//! A seeder that serves from memory, counts every block, and lies if told to.

use super::{BITFIELD, INTERESTED, PIECE, PIECE_HEAD, REQUEST, UNCHOKE, be32, expect_handshake, handshake};
use crate::{Payload, Torrent, payload::BLOCK};
use std::{
    io::{self, IoSlice, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Blocks that go out with one system call.
const BATCH: usize = 32;

/// How a [`Seeder`] behaves.
#[derive(Default)]
pub struct SeederOptions {
    /// Bytes per second over all connections; 0 is as fast as it goes.
    pub rate: u64,
    /// Whether the block at this offset of this piece is sent with a wrong byte.
    pub corrupt: Option<fn(piece: u32, offset: u32) -> bool>,
}

/// A peer that has everything and gives it to everyone.
pub struct Seeder {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    payload: Payload,
    info_hash: [u8; 20],
    options: SeederOptions,
    /// How often each block was sent.
    sent: Vec<AtomicU32>,
    bytes: AtomicU64,
    connections: AtomicU32,
    start: Instant,
    stop: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl Seeder {
    /// Listens at `addr` and serves at full speed.
    pub fn start(addr: SocketAddr, payload: &Payload, torrent: &Torrent) -> Self {
        Self::start_with(addr, payload, torrent, SeederOptions::default())
    }

    /// Listens at `addr` and behaves as told.
    pub fn start_with(
        addr: SocketAddr,
        payload: &Payload,
        torrent: &Torrent,
        options: SeederOptions,
    ) -> Self {
        let blocks = payload.pieces() * payload.piece_len().div_ceil(BLOCK);
        let shared = Arc::new(Shared {
            payload: payload.clone(),
            info_hash: torrent.info_hash,
            options,
            sent: (0..blocks).map(|_| AtomicU32::new(0)).collect(),
            bytes: AtomicU64::new(0),
            connections: AtomicU32::new(0),
            start: Instant::now(),
            stop: AtomicBool::new(false),
            streams: Mutex::default(),
        });
        let listener = TcpListener::bind(addr).expect("the seeder's address is free");
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { addr, shared }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Payload bytes sent.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// How many peers have connected so far.
    pub fn connections(&self) -> u32 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// How often each block was sent, in order of piece and offset.
    pub fn sent(&self) -> Vec<u32> {
        self.shared.sent.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

impl Drop for Seeder {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for stream in self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.addr);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (id, stream) in (0..).zip(listener.incoming()) {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else { continue };
        shared.connections.fetch_add(1, Ordering::Relaxed);
        if let Ok(copy) = stream.try_clone() {
            shared.streams.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
        }
        let shared = Arc::clone(shared);
        // A connection ends when the other side closes it or breaks the protocol; either is its affair.
        std::thread::spawn(move || {
            let _ = serve(&stream, id, &shared);
            let _ = stream.shutdown(Shutdown::Both);
        });
    }
}

fn serve(mut stream: &TcpStream, id: u16, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    expect_handshake(&mut stream, shared.info_hash)?;
    let pieces = shared.payload.pieces();
    let mut hello = handshake(shared.info_hash, id).to_vec();
    hello.extend((1 + pieces.div_ceil(8) as u32).to_be_bytes());
    hello.push(BITFIELD);
    hello.extend(
        (0..pieces.div_ceil(8)).map(|at| if (at + 1) * 8 <= pieces { 0xff } else { !(0xff >> (pieces % 8)) }),
    );
    stream.write_all(&hello)?;

    let mut buffer = vec![0; 64 * 1024];
    let mut filled = 0;
    let mut requests = Vec::new();
    loop {
        match stream.read(&mut buffer[filled..])? {
            0 => return Ok(()),
            read => filled += read,
        }
        let mut at = 0;
        while let Some(body) = message(&buffer[at..filled])? {
            match body.first() {
                Some(&INTERESTED) => stream.write_all(&[0, 0, 0, 1, UNCHOKE])?,
                Some(&REQUEST) if body.len() == 13 => {
                    requests.push([be32(&body[1..]), be32(&body[5..]), be32(&body[9..])])
                }
                _ => {}
            }
            at += 4 + body.len();
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
        for batch in requests.chunks(BATCH) {
            shared.send(stream, batch)?;
        }
        requests.clear();
    }
}

/// The first whole message without its length.
fn message(bytes: &[u8]) -> io::Result<Option<&[u8]>> {
    if bytes.len() < 4 {
        return Ok(None);
    }
    let len = be32(bytes) as usize;
    // Leechers send nothing large to a seeder but a bitfield, which must fit the buffer.
    if len > 32 * 1024 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(bytes.get(4..4 + len))
}

impl Shared {
    fn send(&self, mut stream: &TcpStream, requests: &[[u32; 3]]) -> io::Result<()> {
        let mut heads = Vec::with_capacity(requests.len());
        let mut blocks: Vec<&[u8]> = Vec::with_capacity(requests.len());
        let mut bad = Vec::new();
        for &[piece, offset, len] in requests {
            let mut head = [0; PIECE_HEAD];
            head[..4].copy_from_slice(&(len + 9).to_be_bytes());
            head[4] = PIECE;
            head[5..9].copy_from_slice(&piece.to_be_bytes());
            head[9..].copy_from_slice(&offset.to_be_bytes());
            heads.push(head);
            blocks.push(self.block(piece, offset, len).ok_or(io::ErrorKind::InvalidData)?);
            if self.options.corrupt.is_some_and(|corrupt| corrupt(piece, offset)) {
                bad.push(blocks.len() - 1);
            }
        }
        let lies: Vec<Vec<u8>> =
            bad.iter().map(|&at| blocks[at].iter().map(|byte| byte ^ 0x5a).collect()).collect();
        for (&at, lie) in bad.iter().zip(&lies) {
            blocks[at] = lie;
        }
        let mut slices: Vec<IoSlice> = heads
            .iter()
            .zip(&blocks)
            .flat_map(|(head, block)| [IoSlice::new(head), IoSlice::new(block)])
            .collect();
        let mut left = slices.as_mut_slice();
        while !left.is_empty() {
            match stream.write_vectored(left)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => IoSlice::advance_slices(&mut left, written),
            }
        }
        for &[piece, offset, len] in requests {
            let per_piece = self.payload.piece_len().div_ceil(BLOCK);
            let block = piece as usize * per_piece + offset as usize / BLOCK;
            self.sent[block].fetch_add(1, Ordering::Relaxed);
            self.pace(u64::from(len));
        }
        Ok(())
    }

    fn block(&self, piece: u32, offset: u32, len: u32) -> Option<&[u8]> {
        let start = piece as usize * self.payload.piece_len() + offset as usize;
        self.payload.data().get(start..start + len as usize)
    }

    /// Counts, and holds the sender back to the rate.
    fn pace(&self, bytes: u64) {
        let total = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if self.options.rate != 0 {
            let due = self.start + Duration::from_secs_f64(total as f64 / self.options.rate as f64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
}
