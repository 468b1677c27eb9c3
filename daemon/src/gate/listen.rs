//! Incoming connections: accepted here, read as far as the info-hash, and given to the torrent's shard.

use super::HANDSHAKE_TIMEOUT;
use crate::session::Shared;
use proto::{
    id::InfoHash,
    wire::{Caps, HANDSHAKE_LEN, Handshake, WireError},
};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Incoming connections that have not yet named a torrent. A flood of silent ones takes no more than this.
const MAX_NAMELESS: usize = 256;

/// The pause after the system refuses to accept (no file descriptors left, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A connection that came in and has named its torrent. The shard answers.
pub(crate) struct Arrival {
    /// Not registered with any runtime, so that it can go to another thread.
    pub(crate) stream: std::net::TcpStream,
    pub(crate) addr: SocketAddr,
    pub(crate) info_hash: InfoHash,
    pub(crate) caps: Caps,
    /// Its place among the session's connections.
    pub(crate) place: OwnedSemaphorePermit,
}

/// Why btd cannot listen for peers.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for peers on {addr}: {error}{}", hint(.error))]
pub(crate) struct ListenError {
    pub(crate) addr: SocketAddr,
    #[source]
    pub(crate) error: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => ". Another program has this port: choose one with --port",
        io::ErrorKind::PermissionDenied => ". Ports below 1024 need a privilege: choose another with --port",
        io::ErrorKind::AddrNotAvailable => ". No interface of this machine has this address: see --bind",
        _ => "",
    }
}

/// Accepts connections for ever.
pub(crate) async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    let nameless = Arc::new(Semaphore::new(MAX_NAMELESS));
    loop {
        let (stream, addr) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!("accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let addr = canonical(addr);
        let Ok(slot) = Arc::clone(&nameless).try_acquire_owned() else {
            tracing::debug!(peer = %addr, "too many connections without a handshake");
            continue;
        };
        let Some(place) = shared.place_for(addr) else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let _slot = slot;
            if let Err(error) = admit(stream, addr, place, &shared).await {
                tracing::debug!(peer = %addr, "incoming connection refused: {error}");
            }
        });
    }
}

/// An IPv4 peer on a socket that takes both families is an IPv4 peer.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no handshake in time")]
    Silent(#[from] tokio::time::error::Elapsed),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("for a torrent that is not here: {0}")]
    Unknown(InfoHash),
    #[error(transparent)]
    Gone(#[from] crate::shard::Gone),
}

async fn admit(
    mut stream: TcpStream,
    addr: SocketAddr,
    place: OwnedSemaphorePermit,
    shared: &Shared,
) -> Result<(), Refusal> {
    let mut bytes = [0; HANDSHAKE_LEN];
    let head = &mut bytes[..Handshake::INFO_HASH_END];
    timeout(HANDSHAKE_TIMEOUT, stream.read_exact(head)).await??;
    // The peer id is still zero here: the shard reads it after it has answered.
    let handshake = Handshake::parse(&bytes)?;
    let info_hash = handshake.info_hash;
    let shard = shared.shard_of(info_hash).ok_or(Refusal::Unknown(info_hash))?;
    let arrival = Arrival { stream: stream.into_std()?, addr, info_hash, caps: handshake.caps, place };
    Ok(shard.send(crate::shard::ToShard::Incoming(Box::new(arrival))).await?)
}
