//! One connection: bytes in, bytes out, and nothing decided.
//!
//! A connection is a task on its torrent's shard. It reads when there is a buffer to read into, writes when there is
//! something to write, and feeds what it understood to the torrent. Pressure goes backwards: no free buffer or a rate limit
//! end in the socket not being read, and TCP slows the sender.

pub(crate) mod intake;
pub(crate) mod meter;
pub(crate) mod outbox;
pub(crate) mod spare;

use crate::{shard::live::Live, storage::Buf};
use engine::out::{DropReason, Event, PeerKey};
use intake::{Intake, MAX_RUN, ReadError, Sink};
use outbox::Outbox;
use proto::{
    layout::{BLOCK, Block},
    wire::{Limits, Message},
};
use rustix::io::{readv, writev};
use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    rc::Rc,
    time::Instant,
};
use tokio::{
    io::Interest,
    net::TcpStream,
    sync::Notify,
    time::{sleep_until, timeout},
};

/// Payload read ahead for one peer: keeps a fast link busy between wake-ups, bounded so that a thousand slow
/// peers hold little. Grows from the floor to the ceiling with what the socket takes.
const READ_AHEAD: std::ops::RangeInclusive<usize> = BLOCK as usize..=16 * BLOCK as usize;

/// Bytes of control messages read at once from a peer that owes us no block.
const CONTROL_READ: usize = 16 << 10;

/// Under a rate limit, a connection moves this much before the next one's turn.
const LIMITED_RUN: usize = 1;

/// How long a closing connection may take to send its last words.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(200);

/// What a connection's task and its torrent share.
pub(crate) struct Conn {
    pub(crate) key: PeerKey,
    pub(crate) addr: SocketAddr,
    outbox: RefCell<Outbox>,
    wake: Notify,
    closing: RefCell<Option<DropReason>>,
    /// The engine has blocks for this peer: pull them.
    uploads: Cell<bool>,
    /// Blocks being read by a fetch worker.
    fetching: Cell<usize>,
    /// Requests sent and not yet answered, as far as the wire shows: how far ahead to lay out a read.
    owed: Cell<u32>,
    /// How many pieces there are, if that has become known since the intake was made.
    pieces: Cell<Option<u32>>,
}

impl Conn {
    /// A connection that has just finished its handshake.
    pub(crate) fn new(key: PeerKey, addr: SocketAddr) -> Rc<Self> {
        Rc::new(Self {
            key,
            addr,
            outbox: RefCell::default(),
            wake: Notify::new(),
            closing: RefCell::new(None),
            uploads: Cell::new(false),
            fetching: Cell::new(0),
            owed: Cell::new(0),
            pieces: Cell::new(None),
        })
    }

    /// Queues a message; a peer that lets too much pile up is closed.
    pub(crate) fn send(&self, message: &Message) {
        if matches!(message, Message::Request(_)) {
            self.owed.set(self.owed.get().saturating_add(1));
        }
        if !self.outbox.borrow_mut().message(message) {
            self.close(DropReason::Violation("does not read what it is sent"));
        }
        self.wake.notify_one();
    }

    /// The peer's extension ids.
    pub(crate) fn set_ids(&self, ids: proto::wire::ExtIds) {
        self.outbox.borrow_mut().set_ids(ids);
    }

    /// The number of pieces is known now, and with it the length of a bitfield.
    pub(crate) fn set_pieces(&self, pieces: u32) {
        self.pieces.set(Some(pieces));
    }

    /// Blocks wait for this peer in the engine.
    pub(crate) fn offer_uploads(&self) {
        self.uploads.set(true);
        self.wake.notify_one();
    }

    /// Looks again at limits and queues.
    pub(crate) fn poke(&self) {
        self.wake.notify_one();
    }

    /// Ends the connection; what is queued still gets a moment to leave.
    pub(crate) fn close(&self, why: DropReason) {
        self.closing.borrow_mut().get_or_insert(why);
        self.wake.notify_one();
    }

    /// Queues blocks that were read.
    pub(crate) fn queue_blocks(&self, blocks: impl IntoIterator<Item = (Block, Buf)>) {
        let mut outbox = self.outbox.borrow_mut();
        blocks.into_iter().for_each(|(block, data)| outbox.block(block, data));
        self.wake.notify_one();
    }

    /// A fetch worker reads so many blocks for this peer.
    pub(crate) fn fetch_begun(&self, blocks: usize) {
        self.fetching.set(self.fetching.get() + blocks);
    }

    /// So many blocks were read by a fetch worker, or could not be.
    pub(crate) fn fetch_ended(&self, blocks: usize) {
        self.fetching.set(self.fetching.get().saturating_sub(blocks));
        self.wake.notify_one();
    }

    fn is_closing(&self) -> bool {
        self.closing.borrow().is_some()
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// The other side closed it.
    #[error("closed by the peer")]
    Eof,
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The peer broke the protocol.
    #[error("protocol violation: {0}")]
    Wire(#[from] proto::wire::WireError),
    /// The torrent let it go.
    #[error("{0}")]
    Dropped(DropReason),
}

/// The task of one connection.
pub(crate) struct Pump {
    stream: TcpStream,
    conn: Rc<Conn>,
    live: Rc<Live>,
    intake: Intake,
    read_ahead: usize,
    /// Rate limits: nothing is read, or no payload written, before these moments.
    read_after: Option<Instant>,
    write_after: Option<Instant>,
}

impl Pump {
    /// A pump for a connection whose handshake is done.
    pub(crate) fn new(stream: TcpStream, conn: Rc<Conn>, live: Rc<Live>, intake: Intake) -> Self {
        Self {
            stream,
            conn,
            live,
            intake,
            read_ahead: *READ_AHEAD.start(),
            read_after: None,
            write_after: None,
        }
    }

    /// Runs until the connection ends, and tells the torrent.
    pub(crate) async fn run(mut self) {
        let end = loop {
            if let Err(end) = self.turn().await {
                break end;
            }
        };
        if matches!(end, End::Dropped(_)) {
            let _ = timeout(LAST_WORDS, self.last_words()).await;
        }
        tracing::debug!(peer = %self.conn.addr, torrent = %self.live.id(), "connection ended: {end}");
        self.live.ended(&self.conn, !matches!(end, End::Dropped(_)));
    }

    /// Moves what can be moved, then waits for something to change.
    async fn turn(&mut self) -> Result<(), End> {
        if let Some(why) = self.conn.closing.borrow().clone() {
            return Err(End::Dropped(why));
        }
        self.forget_past_limits();
        self.pull_uploads();
        self.write()?;

        let starved = !self.live.shard().spare.borrow_mut().ready();
        let may_read = self.read_after.is_none();
        let may_write = self.may_write();
        let limit = self.read_after.into_iter().chain(self.write_after).min();
        let shard = Rc::clone(self.live.shard());
        tokio::select! {
            biased;
            () = self.conn.wake.notified() => {}
            ready = self.stream.readable(), if may_read && !starved => {
                ready?;
                self.read()?;
            }
            ready = self.stream.writable(), if may_write => ready?,
            () = shard.pool.freed(), if may_read && starved => {}
            () = sleep_until(limit.unwrap_or_else(Instant::now).into()), if limit.is_some() => {}
        }
        Ok(())
    }

    fn forget_past_limits(&mut self) {
        let now = Instant::now();
        self.read_after = self.read_after.filter(|at| *at > now && self.live.download_limited());
        self.write_after = self.write_after.filter(|at| *at > now && self.live.upload_limited());
    }

    /// Control messages are never held back by a rate limit; a run of blocks is held back before it begins.
    fn may_write(&self) -> bool {
        !self.conn.outbox.borrow().is_empty()
    }

    fn read(&mut self) -> Result<(), End> {
        if let Some(pieces) = self.conn.pieces.take() {
            self.intake.set_limits(Limits { pieces, ..Limits::default() });
        }
        let mut spare = self.live.shard().spare.borrow_mut();
        let owed = self.conn.owed.get() as usize;
        let run = if self.live.download_limited() { LIMITED_RUN } else { owed.min(MAX_RUN) };
        let mut sink = ToTorrent { live: &self.live, conn: &self.conn, payload: 0 };
        let got = if owed == 0 {
            let mut scratch = [0; CONTROL_READ];
            let read = self.stream.try_read(&mut scratch);
            match read {
                Ok(got) => {
                    self.intake.feed(&scratch[..got], &mut spare, &mut sink)?;
                    got
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        } else {
            let stream = &self.stream;
            let outcome = self.intake.read_blocks(run, &mut spare, &mut sink, |iov| {
                stream.try_io(Interest::READABLE, || Ok(readv(stream, iov)?))
            });
            match outcome {
                Ok(got) => got,
                Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(ReadError::Io(error)) => return Err(error.into()),
                Err(ReadError::Wire(error)) => return Err(error.into()),
            }
        };
        if got == 0 {
            return Err(End::Eof);
        }
        let payload = sink.payload;
        drop(spare);
        if payload > 0 {
            self.live.feed(Event::Received { peer: self.conn.key, bytes: clamp(payload) });
            self.read_after = self.live.pay_download(payload);
        }
        Ok(())
    }

    /// Reads blocks for the peer while the outbox has room for them.
    fn pull_uploads(&mut self) {
        while self.conn.uploads.get() && self.write_after.is_none() {
            let ahead = self.conn.outbox.borrow().payload() + self.conn.fetching.get() * BLOCK as usize;
            let target = if self.live.upload_limited() { *READ_AHEAD.start() } else { self.read_ahead };
            if ahead >= target {
                return;
            }
            let room = (target - ahead).div_ceil(BLOCK as usize);
            if !self.live.upload(&self.conn, room) {
                self.conn.uploads.set(false);
            }
        }
    }

    fn write(&mut self) -> Result<(), End> {
        loop {
            let mut outbox = self.conn.outbox.borrow_mut();
            if outbox.is_empty() {
                return Ok(());
            }
            let stream = &self.stream;
            let wrote = outbox.write(|iov| stream.try_io(Interest::WRITABLE, || Ok(writev(stream, iov)?)));
            drop(outbox);
            match wrote {
                Ok(wrote) => {
                    if wrote.payload > 0 {
                        self.sent(wrote.payload);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn sent(&mut self, payload: usize) {
        self.read_ahead = (2 * payload).clamp(*READ_AHEAD.start(), *READ_AHEAD.end()).max(self.read_ahead);
        self.live.feed(Event::Sent { peer: self.conn.key, bytes: clamp(payload) });
        self.write_after = self.live.pay_upload(payload);
        self.pull_uploads();
    }

    async fn last_words(&mut self) -> Result<(), End> {
        while !self.conn.outbox.borrow().is_empty() {
            self.stream.writable().await?;
            self.write()?;
        }
        Ok(())
    }
}

fn clamp(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Feeds a torrent from one connection's intake.
struct ToTorrent<'a> {
    live: &'a Live,
    conn: &'a Conn,
    payload: usize,
}

impl Sink for ToTorrent<'_> {
    fn message(&mut self, message: Message) {
        if self.conn.is_closing() {
            return;
        }
        if matches!(message, Message::Reject(_)) {
            self.conn.owed.set(self.conn.owed.get().saturating_sub(1));
        }
        if matches!(message, Message::Choke) {
            self.conn.owed.set(0);
        }
        self.live.feed(Event::Message { peer: self.conn.key, message });
    }

    fn block(&mut self, block: Block, data: Buf) {
        self.conn.owed.set(self.conn.owed.get().saturating_sub(1));
        if !self.conn.is_closing() && self.live.wants(self.conn.key, block) {
            self.live.absorb(block, data);
        }
    }

    fn lost(&mut self, block: Block) {
        self.conn.owed.set(self.conn.owed.get().saturating_sub(1));
        if !self.conn.is_closing() {
            self.live.feed(Event::Lost { peer: self.conn.key, block });
        }
    }

    fn payload(&mut self, bytes: usize) {
        self.payload += bytes;
    }
}
