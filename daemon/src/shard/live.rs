//! A torrent that is awake: its machines, its connections, its files, and the events that pass between them.

use super::{Shard, announcing::Announcing, machine::Machine, status::Standing};
use crate::{
    pump::{Conn, meter::Meter},
    storage::{Buf, DiskError, Handle, ReadNow},
    store::TorrentRecord,
};
use engine::out::{DropReason, Event, Out, PeerKey};
use proto::{
    id::InfoHash,
    layout::Block,
    merkle::HashTrees,
    metainfo::{Info, Outer},
};
use std::{
    cell::{Cell, OnceCell, RefCell, RefMut},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
};

/// One torrent on its shard.
///
/// `state` is borrowed for the length of one event and never across an `await`; the machines inside are pure, so nothing
/// can call back into it meanwhile.
pub(crate) struct Live {
    id: InfoHash,
    shard: Rc<Shard>,
    /// Unset while a magnet's metadata is still being fetched.
    content: OnceCell<Content>,
    pub(super) upload: Meter,
    pub(super) download: Meter,
    pub(super) state: RefCell<State>,
    /// The answer to the block event under way: whether storage gets the block.
    keep: Cell<bool>,
}

/// A torrent's metainfo and its files.
pub(crate) struct Content {
    pub(crate) info: Arc<Info>,
    /// The hash trees of its version 2 side, if it has one.
    pub(crate) trees: Option<Arc<HashTrees>>,
    pub(crate) storage: Handle,
}

/// What changes as the torrent runs.
pub(super) struct State {
    pub(super) machine: Machine,
    pub(super) record: TorrentRecord,
    pub(super) standing: Standing,
    pub(super) announcing: Announcing,
    pub(super) conns: BTreeMap<PeerKey, Rc<Conn>>,
    pub(super) next_key: u32,
    /// What the metainfo's file says beside `info`.
    pub(super) outer: Arc<Outer>,
    /// The sink for actions, kept for its memory.
    pub(super) out: Out,
}

impl Live {
    pub(super) fn new(shard: Rc<Shard>, content: Option<Content>, state: State) -> Rc<Self> {
        let (upload, download) = (state.record.upload_limit, state.record.download_limit);
        Rc::new(Self {
            id: state.record.id,
            shard,
            content: content.map_or_else(OnceCell::new, OnceCell::from),
            upload: Meter::new(upload.unwrap_or(0)),
            download: Meter::new(download.unwrap_or(0)),
            state: RefCell::new(state),
            keep: Cell::new(false),
        })
    }

    /// The torrent's name.
    pub(crate) fn id(&self) -> InfoHash {
        self.id
    }

    /// Whether only its own trackers may be asked for peers (BEP 27), as far as is known.
    pub(crate) fn is_private(&self) -> bool {
        self.content().is_some_and(|content| content.info.private)
    }

    /// The shard that owns it.
    pub(crate) fn shard(&self) -> &Rc<Shard> {
        &self.shard
    }

    /// Its metainfo and files; `None` while only the info-hash is known.
    pub(crate) fn content(&self) -> Option<&Content> {
        self.content.get()
    }

    /// The metadata has arrived. An error if it had before.
    pub(super) fn set_content(&self, content: Content) -> Result<(), Content> {
        self.content.set(content)
    }

    /// Gives an event to the machine and does what it asks for.
    pub(crate) fn feed(&self, event: Event) {
        let mut state = self.state.borrow_mut();
        let mut out = std::mem::take(&mut state.out);
        state.machine.on(self.shard.clock.now(), event, &mut out);
        self.carry_out(state, out);
    }

    /// The machine's deadline has come, or the announcer's.
    pub(super) fn wake(&self) {
        let now = self.shard.clock.now();
        let mut state = self.state.borrow_mut();
        let mut out = std::mem::take(&mut state.out);
        if state.machine.deadline().is_some_and(|at| at <= now) {
            state.machine.wake(now, &mut out);
        }
        self.announce_due(&mut state, now);
        self.carry_out(state, out);
    }

    /// Does what the machine asked for, then sets the timer anew.
    fn carry_out(&self, mut state: RefMut<'_, State>, mut out: Out) {
        for action in out.drain(..) {
            self.act(&mut state, action);
        }
        state.out = out;
        self.set_timer(&state);
    }

    pub(super) fn set_timer(&self, state: &State) {
        let machine = state.machine.deadline();
        let announcer = state.announcing.deadline();
        self.shard.timers.set(self.id, machine.into_iter().chain(announcer).min());
    }

    /// A block arrived whole: whether storage is to have it.
    pub(crate) fn wants(&self, peer: PeerKey, block: Block) -> bool {
        self.keep.set(false);
        self.feed(Event::Block { peer, block });
        self.keep.get()
    }

    pub(super) fn set_keep(&self, keep: bool) {
        self.keep.set(keep);
    }

    /// Hands a block to storage. Its queue has room for every buffer there is, so it refuses only when btd is stopping; the
    /// block is then fetched in the next run.
    pub(crate) fn absorb(&self, block: Block, data: Buf) {
        if self.content().is_none_or(|content| content.storage.absorb(block, data).is_err()) {
            tracing::debug!(torrent = %self.id, "a block came too late to be stored");
        }
    }

    /// Reads up to `most` blocks that a peer waits for: from the page cache at once, else by a fetch worker. False: it
    /// waits for no more than these.
    pub(crate) fn upload(&self, conn: &Conn, most: usize) -> bool {
        let Some(content) = self.content() else { return false };
        let mut blocks = Vec::with_capacity(most);
        self.state.borrow_mut().machine.next_uploads(conn.key, most, &mut blocks);
        let mut read = Vec::with_capacity(blocks.len());
        match content.storage.read_now(&blocks, &mut read) {
            ReadNow::Done => conn.queue_blocks(read),
            ReadNow::Error(error) => self.read_failed(&blocks, &error),
            ReadNow::WouldBlock | ReadNow::NoBuffer => {
                conn.fetch_begun(blocks.len());
                if content.storage.fetch(conn.key, blocks.len() as u64, &blocks).is_err() {
                    self.fetch_later(conn, blocks.clone());
                }
            }
        }
        blocks.len() == most
    }

    /// The budget for reads is used up: asks again when a buffer comes free. At most one outbox's worth of blocks per
    /// connection waits like this.
    fn fetch_later(&self, conn: &Conn, blocks: Vec<Block>) {
        let Some(live) = self.shard.live(self.id) else { return };
        let key = conn.key;
        tokio::task::spawn_local(async move {
            let Some(content) = live.content() else { return };
            while content.storage.fetch(key, blocks.len() as u64, &blocks).is_err() {
                live.shard.storage.read_pool().room(blocks.len()).await;
                if !live.state.borrow().conns.contains_key(&key) {
                    return;
                }
            }
        });
    }

    /// A held piece cannot be read.
    pub(super) fn read_failed(&self, run: &[Block], error: &DiskError) {
        for block in run {
            self.feed(Event::PieceGone { piece: block.piece });
        }
        self.state.borrow_mut().standing.suspect = true;
        self.disk_failed(error);
    }

    /// Ends every connection.
    pub(super) fn drop_everyone(&self) {
        let conns: Vec<_> = self.state.borrow().conns.values().cloned().collect();
        conns.iter().for_each(|conn| conn.close(DropReason::Stopped));
    }

    /// Tells every connection how many pieces there are, now that it is known.
    pub(super) fn set_piece_limits(&self, pieces: u32) {
        self.state.borrow().conns.values().for_each(|conn| conn.set_pieces(pieces));
    }

    /// A connection ended; `tell` if the machine does not know yet.
    pub(crate) fn ended(&self, conn: &Conn, tell: bool) {
        self.state.borrow_mut().conns.remove(&conn.key);
        if tell {
            self.feed(Event::Closed { peer: conn.key });
        }
    }

    /// Whether a limit on downloading is in force.
    pub(crate) fn download_limited(&self) -> bool {
        self.download.limited() || self.shard.download.limited()
    }

    /// Whether a limit on uploading is in force.
    pub(crate) fn upload_limited(&self) -> bool {
        self.upload.limited() || self.shard.upload.limited()
    }

    /// Counts downloaded bytes against the limits; when to read on.
    pub(crate) fn pay_download(&self, bytes: usize) -> Option<std::time::Instant> {
        let now = std::time::Instant::now();
        self.download.pay(now, bytes).max(self.shard.download.pay(now, bytes))
    }

    /// Counts uploaded bytes against the limits; when to write on.
    pub(crate) fn pay_upload(&self, bytes: usize) -> Option<std::time::Instant> {
        let now = std::time::Instant::now();
        self.upload.pay(now, bytes).max(self.shard.upload.pay(now, bytes))
    }
}
