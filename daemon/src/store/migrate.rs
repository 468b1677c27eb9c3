//! The schema of the database: which version it is, and the steps from one to the next.

use super::database::{Database, Fault};
use super::envelope::{key, seal, unseal};
use super::mailbox::{Changes, Tree};

const KEY: &[u8] = b"schema";

/// One step: the changes that take the database from its version to the next.
pub(super) type Step = fn(&Database) -> Result<Changes, Fault>;

/// The steps of this program; the first takes version 1 to version 2. The version that it writes is one more than there
/// are steps.
pub(super) const STEPS: &[Step] = &[];

/// The version after all `steps`.
pub(super) fn newest(steps: &[Step]) -> u32 {
    u32::try_from(steps.len()).unwrap_or(u32::MAX).saturating_add(1)
}

/// The version among some chunks of `meta`.
pub(super) fn version(meta: &Changes) -> Option<u32> {
    let key = key(KEY, 0);
    let sealed = meta.puts.get(&(Tree::Meta, key.clone()))?;
    decode(&key, sealed)
}

/// The version that the database has; `None` if it has none, as when it is new.
pub(super) fn read(database: &Database) -> Result<Option<u32>, Fault> {
    Ok(database.read(Tree::Meta, KEY)?.first().and_then(|(key, sealed)| decode(key, sealed)))
}

fn decode(key: &[u8], sealed: &[u8]) -> Option<u32> {
    let (_, payload) = unseal(Tree::Meta, key, sealed)?;
    Some(u32::from_be_bytes(payload.try_into().ok()?))
}

/// Adds the version to some changes.
pub(super) fn stamp(changes: &mut Changes, version: u32) {
    let value = version.to_be_bytes();
    for (key, sealed) in seal(Tree::Meta, KEY, &value).into_iter().flatten() {
        changes.puts.insert((Tree::Meta, key), sealed);
    }
}

/// Takes the steps that are missing. The version is written after the step that leads to it, so a crash in between takes
/// that step again: it must give the same result then.
pub(super) fn migrate(database: &Database, found: Option<u32>, steps: &[Step]) -> Result<(), Fault> {
    let Some(found) = found else {
        let mut changes = Changes::default();
        stamp(&mut changes, newest(steps));
        return database.commit(&changes);
    };
    for (step, version) in steps.iter().zip(1u32..).skip_while(|(_, version)| *version < found) {
        tracing::info!(from = version, to = version + 1, "migrating the state database");
        database.commit(&step(database)?)?;
        let mut changes = Changes::default();
        stamp(&mut changes, version + 1);
        database.commit(&changes)?;
    }
    Ok(())
}
