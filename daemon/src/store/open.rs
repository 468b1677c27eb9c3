//! From a state directory to a database that can be trusted: lock, mend, migrate, load.

use super::database::{Database, Fault};
use super::files::{Files, sync_dir};
use super::lock::Lock;
use super::mailbox::{Changes, Tree};
use super::migrate;
use super::record::TorrentRecord;
use super::{Loaded, StoreError, envelope, snapshot};
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A database that takes less on disk is never rewritten.
const COMPACT_ABOVE: u64 = 64 * 1024 * 1024;
/// How many times its live data a database may take on disk before it is rewritten.
const COMPACT_RATIO: u64 = 4;

/// Bytes of the smallest record.
const LEAST_RECORD: u64 = 128;

/// What the store's thread owns.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) dir: PathBuf,
    pub(super) files: Arc<Files>,
    /// `None` after a fault, until it could be opened again.
    pub(super) database: Option<Database>,
    _lock: Lock,
}

/// Opens the state in `dir` and reads what is remembered.
pub(super) fn open(dir: &Path) -> Result<(Owner, Loaded), StoreError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(StoreError::io("create the state directory", dir))?;
    let lock = Lock::take(dir)?;
    let files = Arc::new(Files::open(dir)?);
    let mut warnings = Vec::new();
    let database = open_database(dir, migrate::STEPS, &mut warnings)?;
    let (database, mut loaded) = match load(&database) {
        Ok(loaded) => (database, loaded),
        Err(Fault::System(reason)) => return Err(StoreError::Database(reason)),
        Err(Fault::Damaged(reason)) => {
            drop(database);
            let database = rebuild(dir, &reason, &mut warnings)?;
            let loaded = load(&database)?;
            (database, loaded)
        }
    };
    loaded.warnings.splice(0..0, warnings);
    settle_files(dir, &files, &database, &mut loaded)?;
    let database = compact(dir, database, loaded.torrents.len(), COMPACT_ABOVE)?;
    Ok((Owner { dir: dir.to_owned(), files, database: Some(database), _lock: lock }, loaded))
}

/// Opens the database; a damaged one is put aside and built again from the snapshot.
pub(super) fn open_database(
    dir: &Path,
    steps: &[migrate::Step],
    warnings: &mut Vec<String>,
) -> Result<Database, StoreError> {
    let path = dir.join("db");
    settle_swap(dir)?;
    let existed = path.exists();
    let opened = Database::open(&path).and_then(|database| {
        let found = migrate::read(&database)?;
        if existed && found.is_none() && snapshot_version(dir).is_some() {
            return Err(Fault::Damaged("it has lost its schema version".into()));
        }
        Ok((database, found))
    });
    let (database, found) = match opened {
        Ok(opened) => opened,
        Err(Fault::System(reason)) => return Err(StoreError::Database(reason)),
        Err(Fault::Damaged(reason)) => {
            let database = rebuild(dir, &reason, warnings)?;
            let found = migrate::read(&database)?;
            (database, found)
        }
    };
    refuse_newer(dir, found, steps)?;
    migrate::migrate(&database, found, steps)?;
    Ok(database)
}

fn refuse_newer(dir: &Path, found: Option<u32>, steps: &[migrate::Step]) -> Result<(), StoreError> {
    let known = migrate::newest(steps);
    match found {
        Some(found) if found > known => Err(StoreError::Newer { dir: dir.to_owned(), found, known }),
        _ => Ok(()),
    }
}

fn snapshot_version(dir: &Path) -> Option<u32> {
    snapshot::read(dir).ok().and_then(|changes| migrate::version(&changes))
}

/// Puts a damaged database aside and builds one from the snapshot, with every claim about payload taken back.
fn rebuild(dir: &Path, reason: &str, warnings: &mut Vec<String>) -> Result<Database, StoreError> {
    let mut changes = snapshot::read(dir)?;
    refuse_newer(dir, migrate::version(&changes), migrate::STEPS)?;
    let (path, aside) = (dir.join("db"), dir.join("db.damaged"));
    remove_dir(&aside)?;
    if path.exists() {
        fs::rename(&path, &aside).map_err(StoreError::io("rename", &path))?;
    }
    distrust(&mut changes);
    let database = Database::open(&path)?;
    database.commit(&changes)?;
    sync_dir(dir)?;
    warnings.push(format!(
        "the state database was damaged ({reason}) and has been rebuilt from the last snapshot; torrents are checked \
         before they continue, and the damaged one is kept in {}",
        aside.display()
    ));
    Ok(database)
}

/// The records of a snapshot with every claim about payload taken back.
fn distrust(changes: &mut Changes) {
    for mut record in records(changes) {
        record.distrust();
        put_record(changes, &record);
    }
}

/// The torrents in some changes, as far as they are whole.
fn records(changes: &Changes) -> Vec<TorrentRecord> {
    let mut assembler = envelope::Assembler::default();
    let torrents = changes.puts.iter().filter(|((tree, _), _)| *tree == Tree::Torrent);
    let whole = torrents.filter_map(|((tree, key), sealed)| match assembler.push(*tree, key, sealed) {
        envelope::Step::Whole { base, value } => decode(&base, &value),
        _ => None,
    });
    whole.collect()
}

fn put_record(changes: &mut Changes, record: &TorrentRecord) {
    let Ok(value) = serde_json::to_vec(record) else { return };
    for (key, sealed) in envelope::seal(Tree::Torrent, record.id.as_bytes(), &value).into_iter().flatten() {
        changes.puts.insert((Tree::Torrent, key), sealed);
    }
}

/// A record is only believed under its own name.
fn decode(base: &[u8], value: &[u8]) -> Option<TorrentRecord> {
    serde_json::from_slice(value).ok().filter(|record: &TorrentRecord| record.id.as_bytes() == base)
}

/// Reads everything that is needed at the start.
fn load(database: &Database) -> Result<Loaded, Fault> {
    let mut loaded = Loaded::default();
    let mut damaged = 0;
    damaged += database.values(Tree::Torrent, |base, value| match decode(&base, &value) {
        Some(record) => loaded.torrents.push(record),
        None => loaded.warnings.push("the record of a torrent cannot be understood and is left out".into()),
    })?;
    damaged +=
        database.values(Tree::Settings, |_, value| loaded.settings = serde_json::from_slice(&value).ok())?;
    damaged += database.values(Tree::Dht, |_, value| loaded.dht = Some(value))?;
    if damaged > 0 {
        loaded.warnings.push(format!("{damaged} values of the state database are damaged and are left out"));
    }
    Ok(loaded)
}

/// Brings records and metainfo files together: removals that the database missed are done, records that it lost come
/// back from the snapshot, and files that nobody knows are named.
fn settle_files(
    dir: &Path,
    files: &Files,
    database: &Database,
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let listing = files.list()?;
    let mut changes = Changes::default();
    let removed: HashSet<_> = listing.removed.iter().copied().collect();
    if !removed.is_empty() {
        loaded.torrents.retain(|record| !removed.contains(&record.id));
    }
    for id in &listing.removed {
        changes.forget(*id);
    }
    let known: HashSet<_> = loaded.torrents.iter().map(|record| record.id).collect();
    loaded.orphans = listing.torrents.into_iter().filter(|id| !known.contains(id)).collect();
    if !loaded.orphans.is_empty() {
        let lost: HashSet<_> = loaded.orphans.iter().copied().collect();
        for mut record in
            records(&snapshot::read(dir)?).into_iter().filter(|record| lost.contains(&record.id))
        {
            record.distrust();
            changes.forget(record.id);
            put_record(&mut changes, &record);
            loaded.warnings.push(format!("the record of {} was lost; an older one is used", record.id));
            loaded.orphans.retain(|id| *id != record.id);
            loaded.torrents.push(record);
        }
        loaded.torrents.sort_unstable_by_key(|record| record.id);
    }
    if !changes.is_empty() {
        database.commit(&changes)?;
    }
    for id in listing.removed {
        files.forget(id);
    }
    Ok(())
}

/// Writes the database anew when it takes more than `above` bytes on disk and most of that is garbage. `records` spares
/// many torrents the counting.
pub(super) fn compact(
    dir: &Path,
    database: Database,
    records: usize,
    above: u64,
) -> Result<Database, StoreError> {
    let on_disk = database.size_on_disk()?;
    if on_disk < above.max(COMPACT_RATIO * LEAST_RECORD * records as u64) {
        return Ok(database);
    }
    let mut live = 0;
    for tree in Tree::ALL {
        for chunk in database.chunks(tree) {
            let (key, value) = chunk?;
            live += (key.len() + value.len()) as u64;
        }
    }
    if on_disk < COMPACT_RATIO * live {
        return Ok(database);
    }
    tracing::info!(on_disk, live, "rewriting the state database");
    let (path, new, old) = (dir.join("db"), dir.join("db.new"), dir.join("db.old"));
    remove_dir(&new)?;
    copy(&database, &Database::open(&new)?)?;
    drop(database);
    fs::rename(&path, &old).map_err(StoreError::io("rename", &path))?;
    fs::rename(&new, &path).map_err(StoreError::io("rename", &new))?;
    sync_dir(dir)?;
    remove_dir(&old)?;
    Ok(Database::open(&path)?)
}

/// Copies every chunk, some megabytes at a time.
fn copy(from: &Database, to: &Database) -> Result<(), Fault> {
    const AT_ONCE: usize = 1024;
    let mut changes = Changes::default();
    for tree in Tree::ALL {
        for chunk in from.chunks(tree) {
            let (key, value) = chunk?;
            changes.puts.insert((tree, key.to_vec()), value.to_vec());
            if changes.puts.len() >= AT_ONCE {
                to.commit(&std::mem::take(&mut changes))?;
            }
        }
    }
    to.commit(&changes)
}

/// Finishes or takes back a rewriting that was interrupted.
fn settle_swap(dir: &Path) -> Result<(), StoreError> {
    let (path, old) = (dir.join("db"), dir.join("db.old"));
    if old.exists() && !path.exists() {
        fs::rename(&old, &path).map_err(StoreError::io("rename", &old))?;
    }
    remove_dir(&old)?;
    remove_dir(&dir.join("db.new"))
}

fn remove_dir(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}
