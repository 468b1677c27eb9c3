//! sled behind a small face that knows its ways.
//!
//! * It panics where it finds its file damaged, so everything runs inside [`guarded`].
//! * A batch is atomic only with a flush after it, and only within one tree.
//! * Its flush does not call `fsync`: we do, on the same file.

use super::StoreError;
use super::envelope::{Assembler, Chunk, INDEX, Step};
use super::mailbox::{Changes, Tree};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// sled's own page cache. We read everything once and then hardly again.
const CACHE: u64 = 16 * 1024 * 1024;
/// How long an earlier handle of this process may take to let go of the file.
const LET_GO: Duration = Duration::from_secs(5);
/// Keys in a batch at most: sled keeps a batch in memory twice while applying it.
const BATCH: usize = 4096;

/// Why the database could not be used.
#[derive(Debug)]
pub(super) enum Fault {
    /// Its file is damaged: what it says cannot be trusted.
    Damaged(String),
    /// The system refused; the file may be in order.
    System(String),
}

impl Fault {
    pub(super) fn reason(self) -> String {
        match self {
            Self::Damaged(reason) | Self::System(reason) => reason,
        }
    }
}

impl From<sled::Error> for Fault {
    fn from(error: sled::Error) -> Self {
        use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match &error {
            sled::Error::Io(io) if !matches!(io.kind(), InvalidData | InvalidInput | UnexpectedEof) => {
                Self::System(error.to_string())
            }
            _ => Self::Damaged(error.to_string()),
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        Self::Database(fault.reason())
    }
}

/// Runs something that enters sled; a panic in there comes out as damage.
pub(super) fn guarded<T>(run: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Err(Fault::Damaged(format!("it panicked: {text}")))
    })
}

/// The open database.
#[derive(Debug)]
pub(super) struct Database {
    db: sled::Db,
    trees: [sled::Tree; 6],
    file: File,
}

impl Database {
    /// Opens or creates the database in a folder of its own.
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        guarded(|| {
            let db = open_sled(path)?;
            let tree = |name: &str| db.open_tree(name);
            let trees = [
                tree("meta")?,
                tree("torrent")?,
                tree("have")?,
                tree("swarm")?,
                tree("settings")?,
                tree("dht")?,
            ];
            let file = File::open(path.join("db")).map_err(|e| Fault::System(e.to_string()))?;
            Ok(Self { db, trees, file })
        })
    }

    fn tree(&self, tree: Tree) -> &sled::Tree {
        &self.trees[tree as usize]
    }

    /// Applies changes and makes them durable.
    pub(super) fn commit(&self, changes: &Changes) -> Result<(), Fault> {
        guarded(|| {
            for (tree, base) in &changes.clears {
                self.clear(tree.0, base)?;
            }
            let mut batch =
                Batch { database: self, tree: Tree::Meta, base: &[], keys: 0, batch: sled::Batch::default() };
            for ((tree, key), value) in &changes.puts {
                batch.put(*tree, key, value)?;
            }
            batch.apply()?;
            self.flush()
        })
    }

    fn clear(&self, tree: Tree, base: &[u8]) -> Result<(), Fault> {
        let mut batch = sled::Batch::default();
        for key in self.tree(tree).scan_prefix(base).keys() {
            let key = key?;
            if key.len() == base.len() + INDEX {
                batch.remove(key);
            }
        }
        Ok(self.tree(tree).apply_batch(batch)?)
    }

    fn flush(&self) -> Result<(), Fault> {
        self.db.flush()?;
        self.file.sync_data().map_err(|error| Fault::System(error.to_string()))
    }

    /// Every chunk of a tree, in order of its key.
    pub(super) fn chunks(
        &self,
        tree: Tree,
    ) -> impl Iterator<Item = Result<(sled::IVec, sled::IVec), Fault>> + '_ {
        self.tree(tree).iter().map(|pair| pair.map_err(Fault::from))
    }

    /// Every value of a tree that is whole; those that are not are counted.
    pub(super) fn values(&self, tree: Tree, mut each: impl FnMut(Vec<u8>, Vec<u8>)) -> Result<usize, Fault> {
        guarded(|| {
            let (mut assembler, mut damaged) = (Assembler::default(), 0);
            for chunk in self.chunks(tree) {
                let (key, sealed) = chunk?;
                match assembler.push(tree, &key, &sealed) {
                    Step::More => {}
                    Step::Whole { base, value } => each(base, value),
                    Step::Damaged => damaged += 1,
                }
            }
            Ok(damaged)
        })
    }

    /// The stored chunks of one value.
    pub(super) fn read(&self, tree: Tree, base: &[u8]) -> Result<Vec<Chunk>, Fault> {
        guarded(|| {
            let mut chunks = Vec::new();
            for pair in self.tree(tree).scan_prefix(base) {
                let (key, value) = pair?;
                if key.len() == base.len() + INDEX {
                    chunks.push((key.to_vec(), value.to_vec()));
                }
            }
            Ok(chunks)
        })
    }

    /// Bytes that the database takes on disk.
    pub(super) fn size_on_disk(&self) -> Result<u64, Fault> {
        guarded(|| Ok(self.db.size_on_disk()?))
    }
}

/// Opens sled's database. We hold the state directory's lock, so when the file is still locked it is by an earlier handle
/// of our own, whose last background work is just ending.
fn open_sled(path: &Path) -> Result<sled::Db, sled::Error> {
    let deadline = Instant::now() + LET_GO;
    loop {
        // Commits are ours to time, so sled's own flushing thread is off.
        match sled::Config::new().path(path).cache_capacity(CACHE).flush_every_ms(None).open() {
            Err(sled::Error::Io(error)) if locked(&error) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}

/// sled wraps the reason in a text.
fn locked(error: &std::io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

/// Gathers puts of one tree; never cuts a value in two batches.
struct Batch<'a> {
    database: &'a Database,
    tree: Tree,
    base: &'a [u8],
    keys: usize,
    batch: sled::Batch,
}

impl<'a> Batch<'a> {
    fn put(&mut self, tree: Tree, key: &'a [u8], value: &[u8]) -> Result<(), Fault> {
        let base = &key[..key.len().saturating_sub(INDEX)];
        if tree != self.tree || (self.keys >= BATCH && base != self.base) {
            self.apply()?;
            self.tree = tree;
        }
        self.base = base;
        self.keys += 1;
        self.batch.insert(key, value);
        Ok(())
    }

    fn apply(&mut self) -> Result<(), Fault> {
        let batch = std::mem::take(&mut self.batch);
        if std::mem::take(&mut self.keys) > 0 {
            self.database.tree(self.tree).apply_batch(batch)?;
        }
        Ok(())
    }
}
