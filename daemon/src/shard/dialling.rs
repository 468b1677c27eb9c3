//! Connections of a torrent: dialled or arrived, made into a pump, and ended.

use super::{Shard, live::Live};
use crate::{
    gate::{self, Arrival, Dialled},
    pump::{Conn, Pump, intake::Intake},
};
use engine::out::{Event, PeerKey};
use proto::{
    id::PeerId,
    wire::{Caps, Handshake, Limits, Message},
};
use std::{io, net::SocketAddr, rc::Rc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    task::spawn_local,
    time::timeout,
};

/// How long the peer id may take after our answer to an incoming handshake.
const PEER_ID_TIMEOUT: Duration = Duration::from_secs(10);

impl Live {
    /// Dials an endpoint that the machine chose.
    pub(super) fn dial(&self, addr: SocketAddr) {
        let Some(live) = self.shard().live(self.id()) else { return };
        spawn_local(async move {
            let shared = &live.shard().shared;
            let ours = live.handshake();
            let outcome = match (shared.allows(addr.ip()), shared.place_for_dial().await) {
                (true, Some((place, _dial))) => {
                    let dialled = gate::dial(&shared.sockets, addr, &ours).await;
                    dialled.map(|dialled| (dialled, place)).map_err(|error| error.to_string())
                }
                _ => Err("banned, or no connection left".to_owned()),
            };
            match outcome {
                Ok((Dialled { stream, theirs }, place)) => {
                    live.connected(stream, addr, true, theirs.peer_id, theirs.caps, place);
                }
                Err(why) => {
                    tracing::debug!(peer = %addr, torrent = %live.id(), "not connected: {why}");
                    live.feed(Event::DialFailed { addr });
                }
            }
        });
    }

    fn handshake(&self) -> Handshake {
        let shared = &self.shard().shared;
        Handshake { caps: shared.caps(self.is_private()), info_hash: self.id(), peer_id: shared.peer_id }
    }

    /// A handshake is complete: the connection gets its pump, and the machine hears of it.
    fn connected(
        self: &Rc<Self>,
        stream: TcpStream,
        addr: SocketAddr,
        outgoing: bool,
        id: PeerId,
        theirs: Caps,
        place: OwnedSemaphorePermit,
    ) {
        let caps = self.handshake().caps.and(theirs);
        let (conn, offered) = {
            let mut state = self.state.borrow_mut();
            let key = PeerKey(state.next_key);
            state.next_key += 1;
            let conn = Conn::new(key, addr);
            state.conns.insert(key, Rc::clone(&conn));
            (conn, state.machine.offered_ids())
        };
        let limits = Limits {
            pieces: self.content().map_or(0, |content| content.info.layout.pieces()),
            ..Limits::default()
        };
        let pump = Pump::new(stream, Rc::clone(&conn), Rc::clone(self), Intake::new(limits, offered));
        self.feed(Event::Connected { peer: conn.key, addr, outgoing, id, caps });
        if let Some(port) = self.shard().shared.dht().port().filter(|_| caps.dht) {
            conn.send(&Message::Port(port));
        }
        spawn_local(async move {
            let _place = place;
            pump.run().await;
        });
    }
}

impl Shard {
    /// A connection that named one of our torrents: answered, if the torrent runs.
    pub(super) fn arrived(&self, arrival: Arrival) {
        let Some(live) = self.live(arrival.info_hash).filter(|live| live.takes_peers()) else {
            tracing::debug!(peer = %arrival.addr, torrent = %arrival.info_hash, "refused: the torrent is stopped");
            return;
        };
        spawn_local(async move {
            let Arrival { stream, addr, caps, place, .. } = arrival;
            match timeout(PEER_ID_TIMEOUT, answer(stream, &live.handshake())).await {
                Ok(Ok((stream, id))) => live.connected(stream, addr, false, id, caps, place),
                Ok(Err(error)) => tracing::debug!(peer = %addr, "handshake failed: {error}"),
                Err(_) => tracing::debug!(peer = %addr, "no peer id in time"),
            }
        });
    }
}

/// Sends our handshake and reads the rest of theirs.
async fn answer(stream: std::net::TcpStream, ours: &Handshake) -> io::Result<(TcpStream, PeerId)> {
    let mut stream = TcpStream::from_std(stream)?;
    stream.set_nodelay(true)?;
    stream.write_all(&ours.encode()).await?;
    let mut id = PeerId([0; proto::id::ID_LEN]);
    stream.read_exact(&mut id.0).await?;
    Ok((stream, id))
}
