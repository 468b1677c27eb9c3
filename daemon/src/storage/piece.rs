//! A piece on its way to the disk.

use super::{
    Buf, DiskError, Pool,
    digest::digest,
    files::Wait,
    pool::BUF,
    promise::{Progress, Run},
    torrent::Torrent,
};
use engine::out::BlockDigest;
use proto::layout::{BLOCK, Block};
use std::{mem, ops::Range, sync::Arc, time::Instant};

/// Where a block is.
enum Slot {
    /// Not here yet.
    Missing,
    /// In memory.
    Held(Buf),
    /// On the disk.
    Spilled,
}

/// A piece of which at least one block came. `hashed` blocks from the start are hashed; the `run` next ones are held and wait for it; behind
/// them anything may lie. Blocks leave memory all at once when the piece is whole and good, or earlier by [`Piece::spill`].
pub(super) struct Piece {
    pub(super) torrent: Arc<Torrent>,
    pub(super) index: u32,
    pub(super) want_digests: bool,
    /// When its last block came.
    pub(super) complete: Option<Instant>,
    slots: Box<[Slot]>,
    progress: Progress,
    hashed: usize,
    run: usize,
    missing: usize,
    held: usize,
}

impl Piece {
    pub(super) fn new(torrent: Arc<Torrent>, index: u32) -> Self {
        let slots: Box<[Slot]> = (0..torrent.layout.blocks_in(index)).map(|_| Slot::Missing).collect();
        Self {
            progress: torrent.promise.begin(),
            torrent,
            index,
            want_digests: false,
            complete: None,
            missing: slots.len(),
            slots,
            hashed: 0,
            run: 0,
            held: 0,
        }
    }

    /// Adds a block; a second copy of one is freed.
    pub(super) fn add(&mut self, block: Block, data: Buf, now: Instant) {
        let at = (block.begin / BLOCK) as usize;
        let Some(slot @ Slot::Missing) = self.slots.get_mut(at) else { return };
        *slot = Slot::Held(data);
        self.held += 1;
        self.missing -= 1;
        if self.missing == 0 {
            self.complete = Some(now);
        }
        if at == self.hashed + self.run {
            self.extend_run();
        }
    }

    fn extend_run(&mut self) {
        while matches!(self.slots.get(self.hashed + self.run), Some(Slot::Held(_))) {
            self.run += 1;
        }
    }

    /// Blocks that can be hashed now.
    pub(super) fn run(&self) -> usize {
        self.run
    }

    /// Blocks in memory.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    fn len_of(&self, at: usize) -> usize {
        self.torrent.layout.block(self.index, u32::try_from(at).unwrap_or(u32::MAX)).len as usize
    }

    fn offset_of(&self, at: usize) -> u64 {
        self.torrent.layout.piece_start(self.index) + at as u64 * u64::from(BLOCK)
    }

    /// How far it is hashed and what to add to that: the bytes of the run. To be followed by [`Piece::ran`].
    pub(super) fn feed(&mut self) -> Run<'_> {
        let (layout, index) = (&self.torrent.layout, self.index);
        let run = self.hashed..self.hashed + self.run;
        let slices = (0u32..)
            .zip(self.slots.iter())
            .take(run.end)
            .skip(run.start)
            .filter_map(|(at, slot)| match slot {
                Slot::Held(data) => Some(&data[..layout.block(index, at).len as usize]),
                Slot::Missing | Slot::Spilled => None,
            })
            .collect();
        (&mut self.progress, slices)
    }

    /// The run is hashed.
    pub(super) fn ran(&mut self) {
        self.hashed += mem::take(&mut self.run);
        self.extend_run();
    }

    /// Writes blocks to the disk and frees them: the hashed ones, or all.
    pub(super) fn spill(&mut self, all: bool, pool: &Pool) -> Result<(), DiskError> {
        let end = if all { self.slots.len() } else { self.hashed };
        self.write(0..end)?;
        let slots = self.slots.iter_mut().take(end);
        let bufs: Vec<Buf> = slots
            .filter(|slot| matches!(slot, Slot::Held(_)))
            .filter_map(|slot| mem::replace(slot, Slot::Spilled).into_buf())
            .collect();
        self.held -= bufs.len();
        if all {
            self.run = 0;
        }
        pool.give(bufs);
        Ok(())
    }

    /// Blocks that a spill of the hashed ones would free.
    pub(super) fn hashed_held(&self) -> usize {
        self.slots.iter().take(self.hashed).filter(|slot| matches!(slot, Slot::Held(_))).count()
    }

    /// Writes the held blocks among these, neighbours together.
    fn write(&self, range: Range<usize>) -> Result<(), DiskError> {
        let mut start = range.start;
        let mut slices: Vec<&[u8]> = Vec::new();
        for at in range.clone() {
            match self.slots.get(at) {
                Some(Slot::Held(data)) => {
                    if slices.is_empty() {
                        start = at;
                    }
                    slices.push(&data[..self.len_of(at)]);
                }
                _ if !slices.is_empty() => {
                    self.torrent.files.write(self.offset_of(start), &slices)?;
                    slices.clear();
                }
                _ => {}
            }
        }
        if slices.is_empty() { Ok(()) } else { self.torrent.files.write(self.offset_of(start), &slices) }
    }

    /// Hashes what is left of a complete piece, reading back what was spilled out of order.
    pub(super) fn catch_up(&mut self) -> Result<(), DiskError> {
        while self.hashed < self.slots.len() {
            let (progress, slices) = self.feed();
            slices.iter().for_each(|slice| progress.update(slice));
            self.ran();
            if self.run == 0 && matches!(self.slots.get(self.hashed), Some(Slot::Spilled)) {
                let block = self.read_back(self.hashed)?;
                self.progress.update(&block);
                self.hashed += 1;
                self.extend_run();
            }
        }
        Ok(())
    }

    fn read_back(&self, at: usize) -> Result<Vec<u8>, DiskError> {
        let mut block = vec![0; self.len_of(at).min(BUF)];
        self.torrent.files.read(self.offset_of(at), &mut [&mut block], Wait::Yes)?;
        Ok(block)
    }

    /// Whether the hash of the whole piece, all of it hashed by now, is right.
    pub(super) fn is_good(&self) -> bool {
        self.torrent.is_good(self.index, &self.progress)
    }

    /// Writes what is held of a piece that is good.
    pub(super) fn write_out(&self) -> Result<(), DiskError> {
        self.write(0..self.slots.len())?;
        if self.torrent.sync_writes { self.torrent.files.sync() } else { Ok(()) }
    }

    /// Digests of all blocks; one that was spilled and cannot be read back is left out.
    pub(super) fn digests(&self) -> Vec<BlockDigest> {
        (0u32..)
            .zip(self.slots.iter())
            .filter_map(|(index, slot)| {
                let digest = match slot {
                    Slot::Held(data) => digest(&data[..self.len_of(index as usize)]),
                    Slot::Spilled => digest(&self.read_back(index as usize).ok()?),
                    Slot::Missing => return None,
                };
                Some(BlockDigest { index, digest })
            })
            .collect()
    }

    /// The buffers of what is held.
    pub(super) fn into_bufs(self) -> impl Iterator<Item = Buf> {
        self.slots.into_iter().filter_map(Slot::into_buf)
    }
}

impl Slot {
    fn into_buf(self) -> Option<Buf> {
        match self {
            Self::Held(data) => Some(data),
            Self::Missing | Self::Spilled => None,
        }
    }
}
