//! Metainfo as files, `torrents/<info-hash>.torrent`, and the marks of removed torrents beside them.
//!
//! Removing a torrent renames its file to `<info-hash>.removed`, which is seen at the next start even if the database
//! never heard of the removal; the mark goes once the database has forgotten the torrent durably.

use super::StoreError;
use proto::id::InfoHash;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const TORRENT: &str = "torrent";
const REMOVED: &str = "removed";
const NEW: &str = "new";

/// The folder of metainfo files.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
}

/// What is in the folder.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Torrents that have a metainfo file, in order.
    pub(super) torrents: Vec<InfoHash>,
    /// Torrents that were removed, perhaps without the database knowing.
    pub(super) removed: Vec<InfoHash>,
}

impl Files {
    /// Opens or makes the folder below the state directory.
    pub(super) fn open(state: &Path) -> Result<Self, StoreError> {
        let dir = state.join("torrents");
        fs::create_dir_all(&dir).map_err(StoreError::io("create", &dir))?;
        Ok(Self { dir })
    }

    pub(super) fn path(&self, id: InfoHash) -> PathBuf {
        self.named(id, TORRENT)
    }

    fn named(&self, id: InfoHash, extension: &str) -> PathBuf {
        self.dir.join(format!("{id}.{extension}"))
    }

    /// Lists the folder; half-written files are deleted, files of other names are left alone.
    pub(super) fn list(&self) -> Result<Listing, StoreError> {
        let failed = || StoreError::io("read", &self.dir);
        let mut listing = Listing::default();
        for entry in fs::read_dir(&self.dir).map_err(failed())? {
            let path = entry.map_err(failed())?.path();
            let id = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            let (Some(id), Some(extension)) = (id, path.extension().and_then(|e| e.to_str())) else {
                continue;
            };
            match extension {
                TORRENT => listing.torrents.push(id),
                REMOVED => listing.removed.push(id),
                NEW => fs::remove_file(&path).map_err(StoreError::io("remove", &path))?,
                _ => {}
            }
        }
        listing.torrents.sort_unstable();
        Ok(listing)
    }

    pub(super) fn put(&self, id: InfoHash, bytes: &[u8]) -> Result<(), StoreError> {
        replace(&self.path(id), &self.named(id, NEW), |file| file.write_all(bytes))
    }

    pub(super) fn get(&self, id: InfoHash) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(id);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", &path)(error)),
        }
    }

    /// Marks a torrent as removed. Its metainfo is gone with that.
    pub(super) fn bury(&self, id: InfoHash) -> Result<(), StoreError> {
        let (path, mark) = (self.path(id), self.named(id, REMOVED));
        match fs::rename(&path, &mark) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                File::create(&mark).map(drop).map_err(StoreError::io("create", &mark))
            }
            result => result.map_err(StoreError::io("rename", &path)),
        }
    }

    /// Drops the mark: the database has forgotten the torrent.
    pub(super) fn forget(&self, id: InfoHash) {
        let mark = self.named(id, REMOVED);
        if let Err(error) = fs::remove_file(&mark)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %mark.display(), %error, "cannot remove the mark of a removed torrent");
        }
    }
}

/// Replaces a file as a whole: written beside it, synced, renamed, and the rename synced.
pub(super) fn replace(
    path: &Path,
    temporary: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), StoreError> {
    let mut file = File::create(temporary).map_err(StoreError::io("create", temporary))?;
    let written = write(&mut file).and_then(|()| file.sync_all()).and_then(|()| fs::rename(temporary, path));
    if let Err(error) = written {
        // The half-written file only takes room; the error that matters is the one at hand.
        let _ = fs::remove_file(temporary);
        return Err(StoreError::io("write", path)(error));
    }
    sync_dir(path.parent().unwrap_or(path))
}

/// Makes the names in a folder durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(StoreError::io("sync", dir))
}
