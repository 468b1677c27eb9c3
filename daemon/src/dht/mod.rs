//! The DHT node's network: its datagrams, its memory, and the torrents that it looks for.
//!
//! The node decides everything (`engine::dht`); this room gives it datagrams and time, keeps it informed of which torrents
//! want peers, and hands what it finds to their shards.

mod node;
mod views;

use proto::{
    id::InfoHash,
    rpc::{
        ErrorKind, RpcError,
        session::{DhtLookupResult, DhtStatus},
    },
};
use std::net::SocketAddr;
use tokio::sync::{mpsc, oneshot};

pub(crate) use node::{Start, run};

/// Calls and contacts that may wait for the node.
const INBOX: usize = 256;

/// What the node is told from outside.
pub(crate) enum ToDht {
    /// `dht.status`.
    Status(oneshot::Sender<DhtStatus>),
    /// `dht.lookup`.
    Lookup(InfoHash, oneshot::Sender<DhtLookupResult>),
    /// A node that a peer told of.
    Contact(SocketAddr),
    /// Save what is known and end.
    Stop(oneshot::Sender<()>),
}

/// The way to the node, if it runs. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct DhtHandle {
    inbox: Option<mpsc::Sender<ToDht>>,
    port: u16,
}

impl DhtHandle {
    /// A handle to the node at this UDP port, and the other end of it, for the node's task.
    pub(crate) fn new(port: u16) -> (Self, mpsc::Receiver<ToDht>) {
        let (inbox, messages) = mpsc::channel(INBOX);
        (Self { inbox: Some(inbox), port }, messages)
    }

    /// Whether there is a node.
    pub(crate) fn runs(&self) -> bool {
        self.inbox.is_some()
    }

    /// The node's UDP port, if it runs: what peers are told (BEP 5).
    pub(crate) fn port(&self) -> Option<u16> {
        self.inbox.as_ref().map(|_| self.port)
    }

    /// A node that a peer told of. When many do, some are left out.
    pub(crate) fn contact(&self, addr: SocketAddr) {
        if let Some(inbox) = &self.inbox {
            let _ = inbox.try_send(ToDht::Contact(addr));
        }
    }

    /// `dht.status`.
    pub(crate) async fn status(&self) -> DhtStatus {
        match &self.inbox {
            Some(_) => self.ask(ToDht::Status).await.unwrap_or_default(),
            None => DhtStatus::default(),
        }
    }

    /// `dht.lookup`.
    pub(crate) async fn lookup(&self, target: InfoHash) -> Result<DhtLookupResult, RpcError> {
        if self.inbox.is_none() {
            return Err(RpcError::new(ErrorKind::Unsupported, "the DHT is off: start btd with --dht"));
        }
        let stopping = || RpcError::new(ErrorKind::Busy, "btd is shutting down");
        self.ask(|answer| ToDht::Lookup(target, answer)).await.ok_or_else(stopping)
    }

    /// Has the node save what it knows and end. Returns when it has.
    pub(crate) async fn stop(&self) {
        self.ask(ToDht::Stop).await;
    }

    async fn ask<T>(&self, call: impl FnOnce(oneshot::Sender<T>) -> ToDht) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.inbox.as_ref()?.send(call(answer)).await.ok()?;
        answered.await.ok()
    }
}
