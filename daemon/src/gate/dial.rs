//! Outgoing connections.

use super::{CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT};
use crate::net::Sockets;
use proto::wire::{HANDSHAKE_LEN, Handshake, WireError};
use std::{io, net::SocketAddr};
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

/// Connects, sends our handshake and reads theirs.
pub(crate) async fn dial(
    sockets: &Sockets,
    addr: SocketAddr,
    ours: &Handshake,
) -> Result<Dialled, DialError> {
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
