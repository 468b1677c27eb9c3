//! A network namespace and a folder for one test.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU16, Ordering},
};

/// The first port given out by [`Lab::rpc_addr`]; peers use their own ports on addresses of their own.
const FIRST_RPC_PORT: u16 = 20_000;

/// A test's own network and folder.
///
/// The namespace belongs to the thread that made the lab and to what that thread starts (threads and processes). All of
/// `10.9.0.0/16` is local in it: each client gets its own address, because clients refuse peers at 127.0.0.1 and connect
/// once per address.
pub struct Lab {
    dir: tempfile::TempDir,
    ports: AtomicU16,
}

impl Lab {
    /// A new namespace for the calling thread, with nothing but loopback, and an empty folder.
    ///
    /// The folder is made in `E2E_DIR`, or where temporary files go. With `E2E_KEEP` set it is kept.
    pub fn new() -> Self {
        use rustix::thread::{UnshareFlags, unshare_unsafe};
        // SAFETY: the flags concern the kernel's namespaces only; file descriptors and memory stay shared as they are.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }
            .expect("a network namespace needs root: use tests/run");
        sh("mount --make-rprivate / && ip link set lo up && ip addr add 10.9.0.1/16 dev lo");
        let root = std::env::var_os("E2E_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let mut dir = tempfile::Builder::new().prefix("btd-e2e-").tempdir_in(root).expect("temporary folder");
        dir.disable_cleanup(std::env::var_os("E2E_KEEP").is_some());
        Self { dir, ports: AtomicU16::new(FIRST_RPC_PORT) }
    }

    /// A folder of this name, made if it is not there.
    pub fn dir(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(&path).expect("folder");
        path
    }

    /// The lab's folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where host number `n` listens for peers.
    pub fn host(&self, n: u16) -> SocketAddr {
        let [high, low] = n.to_be_bytes();
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 9, high, low)), 6881)
    }

    /// An address on 127.0.0.1 with a port that nobody else has.
    pub fn rpc_addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.fetch_add(1, Ordering::Relaxed)))
    }

    /// Mounts a file system of `size` (as `mount` takes it: `16m`) at the folder of this name, only seen in this lab.
    pub fn small_disk(&self, name: &str, size: &str) -> PathBuf {
        let path = self.dir(name);
        sh(&format!("mount -t tmpfs -o size={size} lab {}", path.display()));
        path
    }

    /// Unmounts what [`Lab::small_disk`] mounted, even if it is in use.
    pub fn unmount(&self, path: &Path) {
        sh(&format!("umount -l {}", path.display()));
    }

    /// Makes a folder that [`Lab::small_disk`] mounted read-only (`ro`) or writable again (`rw`), or changes its size (`size=64m`).
    pub fn remount(&self, path: &Path, options: &str) {
        sh(&format!("mount -o remount,{options} {}", path.display()));
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs a shell command that must succeed, in the calling thread's namespaces.
fn sh(command: &str) {
    let status = Command::new("sh").args(["-c", command]).status().expect("sh");
    assert!(status.success(), "{command}: {status}");
}
