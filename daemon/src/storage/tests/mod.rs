//! Storage against a plain copy of what the files must be.

mod faults;
mod places;
mod trees;
mod whole;

use super::{
    Buf, DiskErrorKind, FileSpec, Handle, Promise, ReadNow, Storage, StorageConfig, StorageEvent, TorrentKey,
    TorrentSpec,
};
use bytes::Bytes;
use engine::out::PeerKey;
use proto::layout::{Block, Layout};
use std::{
    future::Future,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::sync::mpsc;

/// No test waits longer than this for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A torrent with its storage and what its bytes must be.
struct World {
    storage: Storage,
    handle: Handle,
    key: TorrentKey,
    events: mpsc::Receiver<StorageEvent>,
    layout: Layout,
    data: Vec<u8>,
    files: Vec<FileSpec>,
}

/// A file for a torrent: path, length, and whether it is padding.
type Sketch<'a> = (&'a str, u64, bool);

fn specs(sketches: &[Sketch<'_>]) -> Vec<FileSpec> {
    let mut offset = 0;
    let place = |&(path, length, pad): &Sketch<'_>| {
        let path = path.split('/').map(str::to_owned).collect();
        let spec = FileSpec { path, length, offset, pad };
        offset += length;
        spec
    };
    sketches.iter().map(place).collect()
}

/// Bytes that repeat nowhere, zeros where there is padding.
fn content(files: &[FileSpec], seed: u64) -> Vec<u8> {
    let total = files.iter().map(|file| file.length).sum::<u64>();
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut data: Vec<u8> = (0..total)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    for file in files.iter().filter(|file| file.pad) {
        data[file.offset as usize..(file.offset + file.length) as usize].fill(0);
    }
    data
}

fn small() -> StorageConfig {
    StorageConfig { absorb_workers: 2, cache: 64 * super::BUF, open_files: 8, ..StorageConfig::default() }
}

impl World {
    fn new(at: &Path, sketches: &[Sketch<'_>], piece_length: u32) -> Self {
        Self::with(&Storage::start(small()).unwrap(), at, sketches, piece_length)
    }

    fn with(storage: &Storage, at: &Path, sketches: &[Sketch<'_>], piece_length: u32) -> Self {
        let files = specs(sketches);
        let data = content(&files, 7);
        Self::of(storage, at, files, data, piece_length)
    }

    fn of(storage: &Storage, at: &Path, files: Vec<FileSpec>, data: Vec<u8>, piece_length: u32) -> Self {
        let padding = files.iter().filter(|file| file.pad).map(|file| file.offset..file.offset + file.length);
        let layout = Layout::new(piece_length, data.len() as u64).unwrap().with_padding(padding);
        let hashes: Vec<u8> = data
            .chunks(piece_length as usize)
            .flat_map(|piece| {
                let mut state = hash::Sha1::new();
                state.update(piece);
                state.finish()
            })
            .collect();
        Self::promised(storage, at, files, data, layout, Promise::Pieces(Bytes::from(hashes)))
    }

    fn promised(
        storage: &Storage,
        at: &Path,
        files: Vec<FileSpec>,
        data: Vec<u8>,
        layout: Layout,
        promise: Promise,
    ) -> Self {
        static KEYS: AtomicU64 = AtomicU64::new(0);
        let key = TorrentKey(KEYS.fetch_add(1, Ordering::Relaxed));
        // Room for all events of a test: a test feeds first and reads afterwards.
        let (sender, events) = mpsc::channel(100_000);
        let handle = storage.open(TorrentSpec {
            key,
            layout: layout.clone(),
            promise,
            files: files.clone(),
            save_path: at.to_owned(),
            started: false,
            events: sender,
        });
        Self { storage: storage.clone(), handle, key, events, layout, data, files }
    }

    fn blocks(&self) -> Vec<Block> {
        (0..self.layout.pieces()).flat_map(|piece| self.blocks_of(piece)).collect()
    }

    fn blocks_of(&self, piece: u32) -> Vec<Block> {
        (0..self.layout.blocks_in(piece)).map(|index| self.layout.block(piece, index)).collect()
    }

    fn bytes(&self, block: Block) -> &[u8] {
        let start = self.layout.piece_start(block.piece) as usize + block.begin as usize;
        &self.data[start..start + block.len as usize]
    }

    /// A buffer, waiting for one as a socket would.
    fn buffer(&self) -> Buf {
        wait(async {
            loop {
                match self.storage.pool().take() {
                    Some(buf) => return buf,
                    None => self.storage.pool().freed().await,
                }
            }
        })
    }

    fn feed(&self, blocks: &[Block]) {
        for block in blocks {
            self.feed_bytes(*block, self.bytes(*block));
        }
    }

    fn feed_bytes(&self, block: Block, bytes: &[u8]) {
        let mut buf = self.buffer();
        buf[..bytes.len()].copy_from_slice(bytes);
        self.handle.absorb(block, buf).unwrap();
    }

    fn event(&mut self) -> StorageEvent {
        let events = &mut self.events;
        wait(async { events.recv().await.unwrap() })
    }

    /// Waits for so many pieces to be done and answers which.
    fn done(&mut self, count: u32) -> Vec<u32> {
        let mut pieces: Vec<_> = (0..count)
            .map(|_| match self.event() {
                StorageEvent::Done { torrent, piece, .. } if torrent == self.key => piece,
                other => panic!("expected a piece done, got {other:?}"),
            })
            .collect();
        pieces.sort_unstable();
        pieces
    }

    fn all_done(&mut self) {
        let all: Vec<_> = (0..self.layout.pieces()).collect();
        assert_eq!(self.done(self.layout.pieces()), all);
    }

    fn failed(&mut self) -> (Option<u32>, DiskErrorKind) {
        match self.event() {
            StorageEvent::Failed { piece, error, .. } => (piece, error.kind),
            other => panic!("expected a fault, got {other:?}"),
        }
    }

    fn synced(&mut self) {
        self.handle.sync().unwrap();
        match self.event() {
            StorageEvent::Synced { result, .. } => result.unwrap(),
            other => panic!("expected a sync, got {other:?}"),
        }
    }

    /// The pieces that a check finds good.
    fn checked(&mut self) -> Vec<u32> {
        self.handle.check(None).unwrap();
        loop {
            match self.event() {
                StorageEvent::Checking { .. } => {}
                StorageEvent::Checked { result, .. } => return result.unwrap().iter().collect(),
                other => panic!("expected a check, got {other:?}"),
            }
        }
    }

    /// Has blocks fetched and compares them.
    fn fetched(&mut self, blocks: &[Block]) -> Result<(), DiskErrorKind> {
        self.handle.fetch(PeerKey(3), 11, blocks).unwrap();
        match self.event() {
            StorageEvent::Read { peer: PeerKey(3), ticket: 11, result, .. } => {
                self.same(blocks, &result.map_err(|error| error.kind)?);
                Ok(())
            }
            other => panic!("expected a read, got {other:?}"),
        }
    }

    fn same(&self, blocks: &[Block], read: &[(Block, Buf)]) {
        assert_eq!(read.iter().map(|(block, _)| *block).collect::<Vec<_>>(), blocks);
        assert!(read.iter().all(|(block, bytes)| bytes[..block.len as usize] == *self.bytes(*block)));
    }

    /// Compares the files on the disk.
    fn files_are_right(&self, at: &Path) {
        for file in &self.files {
            let path = at.join(file.path.iter().collect::<std::path::PathBuf>());
            if file.pad {
                assert!(!path.exists(), "{} is padding", path.display());
                continue;
            }
            let expected = &self.data[file.offset as usize..(file.offset + file.length) as usize];
            assert!(std::fs::read(&path).unwrap() == expected, "{} differs", path.display());
        }
    }
}

fn wait<T>(what: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, what).await.expect("nothing happens any more") })
}
