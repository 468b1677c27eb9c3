//! Outgoing connections.

use super::{CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT};
use crate::net::Sockets;
use proto::wire::{HANDSHAKE_LEN, Handshake, WireError};
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{error::Elapsed, timeout},
};

/// A connection that we opened, with the handshake done.
pub(crate) struct Dialled {
    pub(crate) stream: TcpStream,
    pub(crate) theirs: Handshake,
}

/// Why a dial came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// The socket could not be opened, or failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Nobody answered in time.
    #[error("no answer in time")]
    Timeout(#[from] Elapsed),
    /// What answered does not speak BitTorrent.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The other end answered for another torrent.
    #[error("answered for another torrent")]
    OtherTorrent,
}

/// How often a dial is tried again whose handshake was cut off. Some clients (Transmission) let one address have one
/// handshake at a time, and we may have dialled them for several torrents at once.
const RETRIES: u32 = 3;

/// The pause before that, up to twice as long by chance, so that our torrents do not meet there again.
const RETRY_PAUSE: Duration = Duration::from_millis(700);

/// Connects, sends our handshake and reads theirs.
pub(crate) async fn dial(
    sockets: &Sockets,
    addr: SocketAddr,
    ours: &Handshake,
) -> Result<Dialled, DialError> {
    for retry in 1..=RETRIES {
        match attempt(sockets, addr, ours).await {
            Err(DialError::Io(error)) if is_cut_off(&error) => {
                let chance = crate::random::number() % 1_000;
                tokio::time::sleep(RETRY_PAUSE * retry * (1_000 + chance as u32) / 1_000).await;
            }
            outcome => return outcome,
        }
    }
    attempt(sockets, addr, ours).await
}

/// Whether the other end took the connection and then let it go.
fn is_cut_off(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe
    )
}

async fn attempt(sockets: &Sockets, addr: SocketAddr, ours: &Handshake) -> Result<Dialled, DialError> {
    let socket = sockets.tcp(addr)?;
    let mut stream = timeout(CONNECT_TIMEOUT, socket.connect(addr)).await??;
    stream.set_nodelay(true)?;
    let theirs = timeout(HANDSHAKE_TIMEOUT, async {
        stream.write_all(&ours.encode()).await?;
        let mut bytes = [0; HANDSHAKE_LEN];
        stream.read_exact(&mut bytes).await?;
        Ok::<_, DialError>(Handshake::parse(&bytes)?)
    })
    .await??;
    if theirs.info_hash != ours.info_hash {
        return Err(DialError::OtherTorrent);
    }
    Ok(Dialled { stream, theirs })
}
