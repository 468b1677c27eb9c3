//! The thread that owns the database.

use super::envelope::{Assembler, Step};
use super::mailbox::{Changes, Mailbox, Read};
use super::open::{Owner, open_database};
use super::{migrate, snapshot};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a failing disk is left alone, unless somebody asks for a flush.
const RETRY: Duration = Duration::from_secs(10);
/// How old a snapshot gets while there are changes: what a damaged database costs at most, besides what the metainfo
/// files tell.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(600);
/// When the first snapshot of a run is due: not while everything else starts too.
const SNAPSHOT_FIRST: Duration = Duration::from_secs(60);
/// A larger snapshot is not written when closing, so that btd stops fast; the last one is at most [`SNAPSHOT_EVERY`] old.
const SNAPSHOT_AT_CLOSE: u64 = 16 * 1024 * 1024;

/// Commits, answers and snapshots until the mailbox is closed.
pub(super) fn run(mut owner: Owner, mailbox: &Mailbox) {
    let mut retry_at = None;
    let mut snapshots = Snapshots { due: Instant::now() + SNAPSHOT_FIRST, changed: true, size: 0 };
    loop {
        let work = mailbox.take(retry_at);
        if let Some((changes, waiting)) = work.commit {
            let outcome = commit(&mut owner, &changes);
            retry_at = outcome.is_err().then(|| Instant::now() + RETRY);
            match &outcome {
                Ok(()) => {
                    snapshots.changed |= !changes.is_empty();
                    mailbox.healthy();
                }
                Err(reason) => {
                    tracing::error!(%reason, "cannot write the state database; trying again");
                    mailbox.restore(changes);
                }
            }
            for answer in waiting {
                // Whoever asked may have gone.
                let _ = answer.send(outcome.clone());
            }
        }
        for read in work.reads {
            answer(&owner, mailbox, read);
        }
        snapshots.write_if_due(&owner, work.closed);
        if work.closed {
            return;
        }
    }
}

/// Makes changes durable, opening the database again first if it was at fault.
fn commit(owner: &mut Owner, changes: &Changes) -> Result<(), String> {
    let database = match &mut owner.database {
        Some(database) => database,
        closed => {
            let mut warnings = Vec::new();
            let opened = open_database(&owner.dir, migrate::STEPS, &mut warnings)
                .map_err(|error| error.to_string())?;
            warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            closed.insert(opened)
        }
    };
    if let Err(fault) = database.commit(changes) {
        owner.database = None;
        return Err(fault.reason());
    }
    for id in &changes.buried {
        owner.files.forget(*id);
    }
    Ok(())
}

/// Answers with what is stored, overlaid by what waits to be.
fn answer(owner: &Owner, mailbox: &Mailbox, read: Read) {
    let (cleared, pending) = mailbox.pending(read.tree, &read.base);
    let stored = match &owner.database {
        Some(database) if !cleared => database.read(read.tree, &read.base).unwrap_or_else(|fault| {
            tracing::error!(reason = fault.reason(), "cannot read the state database");
            Vec::new()
        }),
        _ => Vec::new(),
    };
    let chunks: BTreeMap<_, _> = stored.into_iter().chain(pending).collect();
    let mut assembler = Assembler::default();
    let value = chunks.iter().find_map(|(key, sealed)| match assembler.push(read.tree, key, sealed) {
        Step::Whole { value, .. } => Some(value),
        _ => None,
    });
    // Whoever asked may have gone.
    let _ = read.answer.send(value);
}

/// When the next snapshot is due.
struct Snapshots {
    due: Instant,
    changed: bool,
    size: u64,
}

impl Snapshots {
    fn write_if_due(&mut self, owner: &Owner, closing: bool) {
        let due = Instant::now() >= self.due || (closing && self.size <= SNAPSHOT_AT_CLOSE);
        let Some(database) = owner.database.as_ref().filter(|_| due && self.changed) else { return };
        self.due = Instant::now() + SNAPSHOT_EVERY;
        match super::database::guarded(|| Ok(snapshot::write(&owner.dir, database))) {
            Ok(Ok(size)) => {
                self.size = size;
                self.changed = false;
            }
            Ok(Err(error)) => tracing::warn!(%error, "cannot write a snapshot of the state"),
            Err(fault) => tracing::warn!(reason = fault.reason(), "cannot write a snapshot of the state"),
        }
    }
}
