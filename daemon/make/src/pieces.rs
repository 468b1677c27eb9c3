//! Reading a row of bytes and hashing its pieces, on all cores.
//!
//! Every thread takes sixteen pieces at a time, one for each SIMD lane, and goes through them side by side in small slices: what was read is hashed
//! while the cache still holds it, and memory stays at a megabyte or so per thread however long the pieces are. Two pieces of the same thread never
//! wait for each other, and the kernel is told well ahead what will be read, so that a disk works while the processor hashes.

mod reader;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use hash::{Feed, OfSha1, Sha1, finish_many, sha256_many, update_many};

use crate::control::Control;
use crate::error::Error;
use crate::merkle::{LEAF, Node};
use crate::space::Space;
use reader::Reader;
pub(crate) use reader::{Fault, Source};

/// Pieces that a thread has under way: the lanes of the widest kernel.
const LANES: usize = 16;

/// Bytes of each piece that are read at a time. Sixteen of these stay in a second-level cache of a megabyte, and a system call for each costs
/// little beside copying. A multiple of [`LEAF`].
const SLICE: usize = 2 * LEAF;

/// Which hashes are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// SHA-1 of each piece (BEP 3).
    pub(crate) sha1: bool,
    /// SHA-256 of each block of each piece (BEP 52). Files must start at pieces.
    pub(crate) leaves: bool,
}

/// The hashes of one piece, as far as wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hashes {
    pub(crate) sha1: [u8; 20],
    pub(crate) leaves: Vec<Node>,
}

/// What to do when a file cannot be read to its end.
pub(crate) enum OnFault<'a> {
    /// Give up with an error.
    Stop,
    /// Tell of it and go on; pieces that need the file have no hashes.
    Note(&'a (dyn Fn(usize, Fault) + Sync)),
}

/// Reads and hashes all pieces; those that could not be read are `None`. `Err` also when cancelled.
pub(crate) fn hash_pieces<'a>(
    space: &'a Space,
    sources: &'a [Source<'a>],
    wanted: Wanted,
    on_fault: &'a OnFault<'a>,
    control: &'a Control,
) -> Result<Vec<Option<Hashes>>, Error> {
    control.begin(space.total());
    let count = space.pieces();
    let threads = thread::available_parallelism().map_or(1, usize::from).min(count.max(1));
    let work = Work {
        space,
        sources,
        wanted,
        on_fault,
        control,
        batch: LANES.min(count.div_ceil(threads)).max(1),
        next: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
        results: Mutex::new(vec![None; count]),
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work.run())).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    Ok(work.results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

/// What all threads share.
struct Work<'a> {
    space: &'a Space,
    sources: &'a [Source<'a>],
    wanted: Wanted,
    on_fault: &'a OnFault<'a>,
    control: &'a Control,
    /// Pieces that a thread takes at a time: fewer than lanes when there are not enough for all threads.
    batch: usize,
    /// The first piece that nobody has taken.
    next: AtomicUsize,
    /// Another thread has failed.
    failed: AtomicBool,
    results: Mutex<Vec<Option<Hashes>>>,
}

/// A piece on its way through one lane.
struct Lane {
    piece: usize,
    /// Where the piece starts and ends in the row.
    start: u64,
    end: u64,
    /// Where its file ends, for leaves do not reach into padding.
    file_end: u64,
    sha1: Sha1,
    leaves: Vec<Node>,
    readable: bool,
}

impl<'a> Work<'a> {
    fn run(&self) -> Result<(), Error> {
        let mut reader = Reader::new(self.space, self.sources);
        let mut buffer = vec![0; LANES * SLICE];
        let mut lanes = self.take(&mut reader);
        while !lanes.is_empty() {
            // Claimed before it is needed, so that the disk can start on it.
            let following = self.take(&mut reader);
            let result = self.batch(&mut reader, &mut buffer, &mut lanes);
            if result.is_err() {
                self.failed.store(true, Relaxed);
                return result;
            }
            self.keep(lanes);
            lanes = following;
        }
        reader.close_all().map_err(|(file, fault)| fault.into_error(self.sources[file].path))
    }

    /// Claims the next pieces and announces them to the kernel.
    fn take(&self, reader: &mut Reader<'a>) -> Vec<Lane> {
        let first = self.next.fetch_add(self.batch, Relaxed);
        let end = (first + self.batch).min(self.space.pieces());
        (first..end)
            .map(|piece| {
                let bytes = self.space.piece(piece);
                reader.announce(bytes.start, bytes.end);
                let file_end = bytes.end.min(bytes.start + self.space.rest_of_file(bytes.start));
                let (start, end) = (bytes.start, bytes.end);
                Lane { piece, start, end, file_end, sha1: Sha1::new(), leaves: Vec::new(), readable: true }
            })
            .collect()
    }

    /// Takes the lanes through their pieces, slice by slice.
    fn batch(&self, reader: &mut Reader<'a>, buffer: &mut [u8], lanes: &mut [Lane]) -> Result<(), Error> {
        for at in (0..u64::from(self.space.piece_length)).step_by(SLICE) {
            if self.control.is_cancelled() {
                return Err(Error::Cancelled);
            }
            if self.failed.load(Relaxed) {
                // The error is the other thread's to tell.
                return Ok(());
            }
            let mut read = 0;
            for (lane, slice) in lanes.iter_mut().zip(buffer.chunks_exact_mut(SLICE)) {
                let slice = &mut slice[..lane.slice(at).1];
                read += slice.len() as u64;
                self.fill(reader, lane, lane.start + at, slice)?;
            }
            if read == 0 {
                break;
            }
            if self.wanted.sha1 {
                feed_pieces(lanes, buffer, at);
            }
            if self.wanted.leaves {
                hash_leaves(lanes, buffer, at);
            }
            self.control.advance(read);
        }
        Ok(())
    }

    fn fill(
        &self,
        reader: &mut Reader<'a>,
        lane: &mut Lane,
        from: u64,
        slice: &mut [u8],
    ) -> Result<(), Error> {
        if !lane.readable || slice.is_empty() {
            return Ok(());
        }
        match (reader.read(from, slice), self.on_fault) {
            (Ok(()), _) => {}
            (Err((file, fault)), OnFault::Stop) => return Err(fault.into_error(self.sources[file].path)),
            (Err((file, fault)), OnFault::Note(note)) => {
                note(file, fault);
                lane.readable = false;
            }
        }
        Ok(())
    }

    fn keep(&self, lanes: Vec<Lane>) {
        let mut pieces = Vec::with_capacity(lanes.len());
        let mut messages = Vec::with_capacity(lanes.len());
        for lane in lanes.into_iter().filter(|lane| lane.readable) {
            pieces.push((lane.piece, lane.leaves));
            messages.push(lane.sha1);
        }
        let digests = finish_many::<OfSha1>(messages);
        let mut results = self.results.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        for ((piece, leaves), sha1) in pieces.into_iter().zip(digests) {
            results[piece] = Some(Hashes { sha1, leaves });
        }
    }
}

impl Lane {
    /// How many bytes of its file, and how many in all, the slice has that starts `at` bytes into the piece.
    fn slice(&self, at: u64) -> (usize, usize) {
        let up_to = |end: u64| end.saturating_sub(self.start + at).min(SLICE as u64) as usize;
        (up_to(self.file_end), up_to(self.end))
    }
}

fn feed_pieces(lanes: &mut [Lane], buffer: &[u8], at: u64) {
    let slices: Vec<[&[u8]; 1]> = lanes
        .iter()
        .zip(buffer.chunks_exact(SLICE))
        .map(|(lane, slice)| [&slice[..lane.slice(at).1]])
        .collect();
    let mut feeds: Vec<_> = lanes
        .iter_mut()
        .zip(&slices)
        .filter(|(lane, _)| lane.readable)
        .map(|(lane, data)| Feed { state: &mut lane.sha1, data })
        .collect();
    update_many(&mut feeds);
}

fn hash_leaves(lanes: &mut [Lane], buffer: &[u8], at: u64) {
    let mut blocks: Vec<&[u8]> = Vec::with_capacity(LANES * SLICE / LEAF);
    for (lane, slice) in lanes.iter().zip(buffer.chunks_exact(SLICE)) {
        blocks.extend(slice[..lane.slice(at).0].chunks(LEAF));
    }
    let mut nodes = sha256_many(&blocks).into_iter();
    for lane in lanes {
        let count = lane.slice(at).0.div_ceil(LEAF);
        lane.leaves.extend(nodes.by_ref().take(count));
    }
}
