//! The way in and out for connections: listening, dialling, and the handshake that names the torrent.

mod dial;
mod listen;

pub(crate) use dial::{Dialled, dial};
pub(crate) use listen::{Arrival, ListenError, listen};

use std::time::Duration;

/// How long a TCP connection may take to open: two retransmitted SYNs (1 s + 2 s + 4 s) and some.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the handshake may take once the connection is open.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
