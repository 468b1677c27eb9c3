//! What goes into a [`Torrent`](crate::torrent::Torrent) machine and what comes out of it.

use bytes::Bytes;
use proto::{
    id::PeerId,
    layout::Block,
    strategy::Strategy,
    wire::{ExtIds, Message},
};
use std::net::{IpAddr, SocketAddr};

/// A connection of one torrent: made by the caller, unique for the torrent's life, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub u32);

/// Who told us of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// It connected to us.
    Incoming,
    /// A tracker.
    Tracker,
    /// The DHT.
    Dht,
    /// Peer exchange.
    Pex,
    /// Local discovery.
    Lsd,
    /// A magnet link's `x.pe`.
    Magnet,
    /// The user, by `torrent.add_peers`.
    User,
    /// Remembered from an earlier run.
    Resume,
}

/// What two ends agreed on in the handshake.
pub use proto::wire::Caps;

/// The digest of one received block of a finished piece, for tracing who sent a bad one. Keyed, made by storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockDigest {
    /// The block's index within its piece.
    pub index: u32,
    /// The digest.
    pub digest: u64,
}

/// What happens to a torrent.
#[derive(Clone, Debug)]
pub enum Event {
    /// A handshake is complete.
    Connected {
        /// The connection.
        peer: PeerKey,
        /// The remote endpoint as seen by the socket.
        addr: SocketAddr,
        /// Whether we dialled.
        outgoing: bool,
        /// What the peer calls itself.
        id: PeerId,
        /// What was agreed on.
        caps: Caps,
    },
    /// A connection that greeted already, for the [`MetadataFetch`](crate::metadata::MetadataFetch) before this torrent.
    Adopted {
        /// The connection.
        peer: PeerKey,
        /// The remote endpoint as seen by the socket.
        addr: SocketAddr,
        /// Whether we dialled.
        outgoing: bool,
        /// What the peer calls itself.
        id: PeerId,
        /// What was agreed on.
        caps: Caps,
    },
    /// A dial that [`Action::Dial`] asked for came to nothing.
    DialFailed {
        /// The endpoint.
        addr: SocketAddr,
    },
    /// A connection ended, by whichever side. Not sent after [`Action::Drop`].
    Closed {
        /// The connection.
        peer: PeerKey,
    },
    /// A message arrived.
    Message {
        /// The connection.
        peer: PeerKey,
        /// What it said.
        message: Message,
    },
    /// A whole block arrived. The machine answers with exactly one [`Action::Keep`] or [`Action::Discard`] for it.
    Block {
        /// The connection.
        peer: PeerKey,
        /// Which block.
        block: Block,
    },
    /// A whole block arrived and had to be thrown away for want of memory: as if the peer had refused it, without its fault.
    Lost {
        /// The connection.
        peer: PeerKey,
        /// Which block.
        block: Block,
    },
    /// Part of a block's payload arrived: the peer is alive and sending. The bytes are counted with the whole block, so
    /// that a caller may leave these events out for blocks that arrive at once.
    Received {
        /// The connection.
        peer: PeerKey,
        /// Payload bytes since the last such event.
        bytes: u32,
    },
    /// Payload that [`Torrent::next_uploads`](crate::torrent::Torrent::next_uploads) handed out was given to the kernel.
    Sent {
        /// The connection.
        peer: PeerKey,
        /// Payload bytes.
        bytes: u32,
    },
    /// Every block of a piece was kept, it is verified, and it is written.
    PieceDone {
        /// The piece.
        piece: u32,
        /// Digests of its blocks, if the machine asked for them with [`Action::WantDigests`]; else empty.
        digests: Vec<BlockDigest>,
    },
    /// Every block of a piece was kept and its hash is wrong. All of it was thrown away.
    PieceBad {
        /// The piece.
        piece: u32,
        /// Digests of all its blocks.
        digests: Vec<BlockDigest>,
    },
    /// Blocks of a piece were lost (a write failed): they must be fetched anew.
    PieceLost {
        /// The piece.
        piece: u32,
    },
    /// A block that [`Torrent::next_uploads`](crate::torrent::Torrent::next_uploads) handed out cannot be read; the piece is no longer held.
    PieceGone {
        /// The piece.
        piece: u32,
    },
    /// Endpoints to try.
    Candidates {
        /// Who told us.
        source: Source,
        /// The endpoints.
        addrs: Vec<SocketAddr>,
    },
    /// The strategy changed; it applies at once.
    Strategy(Box<Strategy>),
    /// New priorities, one for each piece: 0 skips the piece, higher goes first. Same length as the torrent's pieces.
    Priorities(Vec<u8>),
    /// How many connections the torrent may have, and how many dials at a time.
    ConnectionLimits {
        /// Connections, open and being opened.
        max: u32,
        /// Dials under way.
        half_open: u32,
    },
    /// Start dialling, downloading and uploading, or stop and drop everyone.
    Run(bool),
    /// A user's ban: connections are dropped, candidates with this address are never tried.
    Ban(IpAddr),
    /// Our own endpoints, so that we never dial ourselves.
    OwnAddrs(Vec<SocketAddr>),
    /// What our own upload can carry, in bytes per second, if a limit is set: for rate-based slots.
    UploadLimit(Option<u64>),
}

/// Why a connection is to be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DropReason {
    /// The peer broke the protocol.
    #[error("protocol violation: {0}")]
    Violation(&'static str),
    /// The peer sent bad data.
    #[error("sent corrupt data")]
    Corrupt,
    /// The user banned it.
    #[error("banned")]
    Banned,
    /// It is ourselves.
    #[error("connected to ourselves")]
    Ourselves,
    /// There is another connection to the same peer.
    #[error("already connected to this peer")]
    Duplicate,
    /// Both ends are complete.
    #[error("both have everything")]
    BothComplete,
    /// Nothing was heard for too long.
    #[error("silent for too long")]
    Timeout,
    /// A better peer gets the place.
    #[error("no room")]
    NoRoom,
    /// The torrent was paused or removed.
    #[error("torrent stopped")]
    Stopped,
}

/// What the caller is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a message.
    Send {
        /// To whom.
        peer: PeerKey,
        /// What.
        message: Message,
    },
    /// Close a connection. It is already forgotten here.
    Drop {
        /// Which.
        peer: PeerKey,
        /// Why.
        why: DropReason,
    },
    /// Dial an endpoint; answer with `Connected` or `DialFailed`.
    Dial {
        /// Where.
        addr: SocketAddr,
    },
    /// Hand the block that just arrived to storage.
    Keep {
        /// Which.
        block: Block,
    },
    /// Free the block that just arrived: nobody asked for it, or it is here already.
    Discard,
    /// A peer has blocks waiting to be uploaded: pull them with `next_uploads` when its socket can take them.
    Upload {
        /// Who.
        peer: PeerKey,
    },
    /// Digests of this piece's blocks are wanted when it is done.
    WantDigests {
        /// The piece.
        piece: u32,
    },
    /// Everything that is wanted is here and verified.
    Completed,
    /// The metadata is here and has the right hash: the raw bytes of `info`. Make a torrent of it, and let it adopt what
    /// [`MetadataFetch::hand_over`](crate::metadata::MetadataFetch::hand_over) gives.
    Metadata {
        /// The bytes.
        info: Bytes,
    },
    /// A peer told us something of ourselves: our address as it sees it.
    SeenAs {
        /// Our address.
        ip: IpAddr,
        /// Who said so.
        by: IpAddr,
    },
    /// The peer's extension ids, for the encoder.
    ExtIds {
        /// Who.
        peer: PeerKey,
        /// Its ids.
        ids: ExtIds,
    },
    /// A peer has a DHT node at this endpoint.
    DhtNode {
        /// Where.
        addr: SocketAddr,
    },
}

/// The sink for actions, owned and reused by the caller.
pub type Out = Vec<Action>;
