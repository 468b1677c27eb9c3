//! One btd per state directory: an advisory lock on a file that names its holder.

use super::StoreError;
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// A holder's line is short; more than this was not written by us.
const MAX_HOLDER: u64 = 256;

/// The lock; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub(super) fn take(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StoreError::io("open", &path))?;
        if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error == rustix::io::Errno::WOULDBLOCK {
                return Err(StoreError::Locked { dir: dir.to_owned(), holder: holder(&mut file) });
            }
            return Err(StoreError::io("lock", &path)(error.into()));
        }
        let line = format!("btd with process id {}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(line.as_bytes()))
            .map_err(StoreError::io("write", &path))?;
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> String {
    let mut line = String::new();
    match file.take(MAX_HOLDER).read_to_string(&mut line) {
        Ok(_) if !line.trim().is_empty() => line.trim().to_owned(),
        _ => "another process".to_owned(),
    }
}
