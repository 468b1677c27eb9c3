//! Writing a file whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Writes `bytes` to `path` by way of a temporary file beside it, synced before it takes the name. Without `force` an existing file stays, even if
/// it appears at the last moment.
pub fn save(path: &Path, bytes: &[u8], force: bool) -> Result<(), Error> {
    if !force && fs::symlink_metadata(path).is_ok() {
        return Err(Error::Exists(path.to_owned()));
    }
    let temporary = Temporary::create(path).map_err(Error::write(path))?;
    temporary.fill(bytes).map_err(Error::write(path))?;
    temporary.publish(path, force)?;
    sync_parent(path).map_err(Error::write(path))
}

/// A file under a name of its own, which goes away unless it is published.
struct Temporary {
    file: File,
    path: PathBuf,
}

impl Temporary {
    fn create(beside: &Path) -> io::Result<Self> {
        // The process id tells concurrent runs apart; leftovers of a killed one with the same id are stepped over. The name does not
        // contain the final one, which may be as long as names can be.
        for attempt in 0..100 {
            let path = beside.with_file_name(format!(".torrent-{}-{attempt}.part", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { file, path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn fill(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.file).write_all(bytes)?;
        self.file.sync_all()
    }

    fn publish(self, path: &Path, force: bool) -> Result<(), Error> {
        if force {
            return fs::rename(&self.path, path).map_err(Error::write(path));
        }
        // A link fails where a rename would replace.
        match fs::hard_link(&self.path, path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Error::Exists(path.to_owned())),
            // File systems without hard links.
            Err(_) if fs::symlink_metadata(path).is_err() => {
                fs::rename(&self.path, path).map_err(Error::write(path))
            }
            Err(error) => Err(Error::write(path)(error)),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename there is nothing to remove, which is well.
        let _ = fs::remove_file(&self.path);
    }
}

/// Makes the new name itself durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_file_stays_without_force() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.torrent");
        save(&path, b"one", false).unwrap();
        assert!(matches!(save(&path, b"two", false), Err(Error::Exists(_))));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        save(&path, b"two", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn a_failure_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        assert!(matches!(save(&folder, b"x", true), Err(Error::Write { .. })));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(matches!(
            save(&dir.path().join("no/such/folder.torrent"), b"x", false),
            Err(Error::Write { .. })
        ));
        // A dangling link counts as something that is there.
        std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
        assert!(matches!(save(&dir.path().join("link"), b"x", false), Err(Error::Exists(_))));
    }
}
