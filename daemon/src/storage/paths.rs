//! Opening below a folder without ever leaving it: no symbolic link and no `..` is followed beneath the root.

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{self, AtFlags, Mode, OFlags, ResolveFlags},
    io::Errno,
};
use std::{
    path::{Component, Path},
    sync::atomic::{AtomicBool, Ordering},
};

/// Mode of new files, before the umask.
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);
/// Mode of new folders, before the umask.
const DIR_MODE: Mode = Mode::from_raw_mode(0o777);
/// A folder opened only to name things in it.
const DIR: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// A rename elsewhere in the tree makes the kernel unsure whether a path stays beneath its root; it then asks to try again.
const RESOLVE_TRIES: u32 = 8;

/// The kernel has no `openat2` (before Linux 5.6), found out at the first try.
static NO_OPENAT2: AtomicBool = AtomicBool::new(false);

/// Opens a save path. Links on the way to it are the user's choice and are followed.
pub(super) fn open_root(path: &Path) -> Result<OwnedFd, Errno> {
    fs::open(path, DIR, Mode::empty())
}

/// Opens a save path for `fsync` and `syncfs`, which a descriptor that only names a folder cannot do.
pub(super) fn open_to_sync(root: impl AsFd, relative: &Path) -> Result<OwnedFd, Errno> {
    open(root, relative, OFlags::RDONLY | OFlags::DIRECTORY)
}

/// Opens `relative` beneath `root`. With `CREATE` the file is made, its folders are not: see [`make_parents`].
pub(super) fn open(root: impl AsFd, relative: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    // A pipe in a file's place must not hang the open. (With `O_PATH` nothing hangs, and `openat2` refuses the flag.)
    let nonblock = if flags.contains(OFlags::PATH) { OFlags::empty() } else { OFlags::NONBLOCK };
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | nonblock;
    let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
    if NO_OPENAT2.load(Ordering::Relaxed) {
        return walk(root, relative, flags);
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let mode = if flags.contains(OFlags::CREATE) { FILE_MODE } else { Mode::empty() };
    for _ in 0..RESOLVE_TRIES {
        match fs::openat2(root.as_fd(), relative, flags, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::NOSYS) => {
                NO_OPENAT2.store(true, Ordering::Relaxed);
                return walk(root, relative, flags);
            }
            // Container sandboxes that do not know the call answer with this one.
            Err(Errno::PERM) => return walk(root, relative, flags),
            done => return done,
        }
    }
    walk(root, relative, flags)
}

/// The same by one `openat` for each component.
fn walk(root: impl AsFd, relative: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut names = relative.components().peekable();
    let mut folder: Option<OwnedFd> = None;
    while let Some(component) = names.next() {
        let name = match component {
            Component::Normal(name) => Path::new(name),
            Component::CurDir => Path::new("."),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(Errno::XDEV),
        };
        let (flags, mode) = if names.peek().is_some() {
            (DIR | OFlags::NOFOLLOW, Mode::empty())
        } else {
            (flags, if flags.contains(OFlags::CREATE) { FILE_MODE } else { Mode::empty() })
        };
        let opened = match &folder {
            None => fs::openat(root.as_fd(), name, flags, mode),
            Some(folder) => fs::openat(folder, name, flags, mode),
        };
        folder = Some(opened.map_err(|errno| link_in_the_way(errno, root.as_fd(), folder.as_ref(), name))?);
    }
    folder.ok_or(Errno::INVAL)
}

/// `O_DIRECTORY` with `O_NOFOLLOW` says `ENOTDIR` of a symbolic link; tell it from a missing folder.
fn link_in_the_way(errno: Errno, root: impl AsFd, folder: Option<&OwnedFd>, name: &Path) -> Errno {
    let at = folder.map_or_else(|| root.as_fd(), AsFd::as_fd);
    match fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if fs::FileType::from_raw_mode(stat.st_mode) == fs::FileType::Symlink => Errno::LOOP,
        _ => errno,
    }
}

/// The folder that holds `relative`.
pub(super) fn open_parent(root: impl AsFd, relative: &Path) -> Result<OwnedFd, Errno> {
    open(root, relative.parent().unwrap_or(Path::new("")), DIR)
}

/// Makes the folders above `relative` that are not there.
pub(super) fn make_parents(root: impl AsFd, relative: &Path) -> Result<(), Errno> {
    let Some(parent) = relative.parent() else { return Ok(()) };
    if parent.as_os_str().is_empty() {
        return Ok(());
    }
    match open(root.as_fd(), parent, DIR) {
        Err(Errno::NOENT) => {}
        done => return done.map(drop),
    }
    // Bounded by the depth of the path, which the metainfo reader limits.
    make_parents(root.as_fd(), parent)?;
    let name = parent.file_name().ok_or(Errno::INVAL)?;
    match fs::mkdirat(open_parent(root, parent)?, name, DIR_MODE) {
        Err(Errno::EXIST) => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_refuse_links_and_escapes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("root/sub")).unwrap();
        std::fs::write(dir.path().join("secret"), b"x").unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("root/out")).unwrap();
        std::os::unix::fs::symlink("../../secret", dir.path().join("root/sub/link")).unwrap();
        std::fs::write(dir.path().join("root/sub/plain"), b"x").unwrap();
        let root = open_root(&dir.path().join("root")).unwrap();
        type Open = fn(&OwnedFd, &Path, OFlags) -> Result<OwnedFd, Errno>;
        let ways: [Open; 2] = [
            |root, path, flags| open(root, path, flags),
            |root, path, flags| walk(root, path, flags | OFlags::NOFOLLOW),
        ];
        for by in ways {
            let refused = |path: &str, flags| by(&root, Path::new(path), flags).map(drop).unwrap_err();
            assert_eq!(refused("out/secret", OFlags::RDONLY), Errno::LOOP);
            assert_eq!(refused("out/new", OFlags::RDWR | OFlags::CREATE), Errno::LOOP);
            assert_eq!(refused("sub/link", OFlags::RDONLY), Errno::LOOP);
            assert_eq!(refused("../secret", OFlags::RDONLY), Errno::XDEV);
            assert_eq!(refused("sub/none", OFlags::RDONLY), Errno::NOENT);
            by(&root, Path::new("sub/plain"), OFlags::RDONLY).unwrap();
        }
        assert!(!dir.path().join("new").exists());
    }

    #[test]
    fn parents_are_made_but_not_through_links() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("root")).unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("root/out")).unwrap();
        let root = open_root(&dir.path().join("root")).unwrap();
        make_parents(&root, Path::new("a/b/c/file")).unwrap();
        make_parents(&root, Path::new("file")).unwrap();
        assert!(dir.path().join("root/a/b/c").is_dir());
        assert_eq!(make_parents(&root, Path::new("out/b/file")), Err(Errno::LOOP));
    }
}
