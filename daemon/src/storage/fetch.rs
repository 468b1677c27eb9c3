//! Blocks for peers: from memory at once, or from a cold disk by threads of their own, so that neither shards nor writes wait.

use super::{
    Buf, DiskError, DiskErrorKind, Pool, StorageEvent, contained, files::Wait, pool::BUF, queue::Queue,
    torrent::Torrent,
};
use engine::out::PeerKey;
use proto::layout::Block;
use std::{ops::Range, sync::Arc};

/// How an immediate read ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadNow {
    /// All blocks are appended.
    Done,
    /// Not all of it is in memory, or a file is not open: have it fetched.
    WouldBlock,
    /// The budget for reads is used up: wait for a buffer to be freed.
    NoBuffer,
    /// The data cannot be read.
    Error(DiskError),
}

/// A read for a fetch worker, with the buffers it will fill.
pub(super) struct Task {
    torrent: Arc<Torrent>,
    peer: PeerKey,
    ticket: u64,
    blocks: Vec<(Block, Buf)>,
}

impl Task {
    /// `None` when there are not buffers enough.
    pub(super) fn new(
        torrent: &Arc<Torrent>,
        pool: &Arc<Pool>,
        peer: PeerKey,
        ticket: u64,
        blocks: &[Block],
    ) -> Option<Self> {
        Some(Self { torrent: Arc::clone(torrent), peer, ticket, blocks: take(pool, blocks)? })
    }
}

fn take(pool: &Arc<Pool>, blocks: &[Block]) -> Option<Vec<(Block, Buf)>> {
    Some(blocks.iter().copied().zip(pool.take_many(blocks.len())?).collect())
}

/// A fetch worker's life.
pub(super) fn run(queue: &Queue<Task>) {
    while let Some(Task { torrent, peer, ticket, mut blocks }) = queue.pop() {
        let result = contained(|| read(&torrent, &mut blocks, Wait::Yes))
            .unwrap_or_else(|bug| Err(DiskError::new(&torrent.files.place().root, bug)));
        if result.is_err() {
            lose(&torrent, blocks.iter().map(|(block, _)| block));
        }
        let result = result.map(|_| blocks);
        torrent.tell(StorageEvent::Read { torrent: torrent.key, peer, ticket, result });
    }
}

/// See [`Handle::read_now`](super::Handle::read_now).
pub(super) fn read_now(
    torrent: &Torrent,
    pool: &Arc<Pool>,
    blocks: &[Block],
    out: &mut Vec<(Block, Buf)>,
) -> ReadNow {
    let Some(mut taken) = take(pool, blocks) else { return ReadNow::NoBuffer };
    match read(torrent, &mut taken, Wait::No) {
        Ok(true) => {
            out.append(&mut taken);
            ReadNow::Done
        }
        Ok(false) => ReadNow::WouldBlock,
        Err(error) => {
            lose(torrent, blocks.iter());
            ReadNow::Error(error)
        }
    }
}

/// What cannot be read is not held any more: it may be downloaded again.
fn lose<'a>(torrent: &Torrent, blocks: impl Iterator<Item = &'a Block>) {
    blocks.for_each(|block| torrent.set_finished(block.piece, false));
}

/// Fills each buffer with its block. `Ok(false)`: not without waiting.
fn read(torrent: &Torrent, blocks: &mut [(Block, Buf)], wait: Wait) -> Result<bool, DiskError> {
    let mut rest = blocks;
    while !rest.is_empty() {
        let (count, range) = run_of(torrent, rest)?;
        let (run, others) = rest.split_at_mut(count);
        let mut bufs: Vec<&mut [u8]> =
            run.iter_mut().map(|(block, buf)| &mut buf[..block.len as usize]).collect();
        if !torrent.files.read(range.start, &mut bufs, wait)? {
            return Ok(false);
        }
        rest = others;
    }
    Ok(true)
}

/// How many of the first blocks lie end to end, and where in the torrent.
fn run_of(torrent: &Torrent, blocks: &[(Block, Buf)]) -> Result<(usize, Range<u64>), DiskError> {
    let mut range = 0..0;
    let mut count = 0;
    for (block, _) in blocks {
        let start = torrent.layout.piece_start(block.piece) + u64::from(block.begin);
        if !torrent.layout.contains(*block) || block.len as usize > BUF {
            let place = torrent.files.place();
            return Err(DiskError::new(&place.root, DiskErrorKind::Io("no such block".to_owned())));
        }
        if count > 0 && start != range.end {
            break;
        }
        range = if count == 0 { start } else { range.start }..start + u64::from(block.len);
        count += 1;
    }
    Ok((count, range))
}
