//! Trackers over UDP (BEP 15): one socket for each exchange, since an answer is believed only from the tracker's endpoint.

use super::{MAX_CONNECTIONS, Trackers};
use proto::tracker::{
    AnnounceRequest, AnnounceResponse, TrackerError, TrackerUrl,
    udp::{Answer, Exchange, MAX_DATAGRAM, Request, is_ipv6},
};
use std::{io, net::SocketAddr};
use tokio::{net::UdpSocket, time::timeout_at};

/// Addresses of one tracker that are tried: usually it has one of each family.
const MAX_ENDPOINTS: usize = 2;

impl Trackers {
    /// Announces to every family that the tracker has, and joins what they answer.
    pub(super) async fn announce_udp(
        &self,
        tracker: &TrackerUrl,
        request: AnnounceRequest,
    ) -> Result<AnnounceResponse, TrackerError> {
        let mut joined: Option<AnnounceResponse> = None;
        let mut last = TrackerError::Timeout;
        let endpoints = endpoints(tracker).await?;
        let asked = endpoints.iter().map(|endpoint| self.ask(*endpoint, tracker, request.clone()));
        for answer in futures_util::future::join_all(asked).await {
            match (answer, &mut joined) {
                (Ok(answer), Some(joined)) => joined.peers.extend(answer.peers),
                (Ok(answer), None) => joined = Some(answer),
                (Err(error), _) => last = error,
            }
        }
        joined.ok_or(last)
    }

    /// One exchange with one endpoint.
    async fn ask(
        &self,
        endpoint: SocketAddr,
        tracker: &TrackerUrl,
        request: AnnounceRequest,
    ) -> Result<AnnounceResponse, TrackerError> {
        let clock = self.0.clock;
        let socket = self.0.sockets.udp(endpoint.is_ipv4(), 0).map_err(network)?;
        socket.connect(endpoint).await.map_err(network)?;
        let random = crate::random::number();
        let known = self.0.connections.lock().get(&endpoint).copied();
        let mut exchange = Exchange::new(
            Request::Announce(request),
            tracker.target(),
            is_ipv6(endpoint.ip()),
            random,
            known,
        );
        loop {
            if let Some(datagram) = exchange.transmit(clock.now())? {
                socket.send(&datagram).await.map_err(network)?;
            }
            let mut buffer = [0; MAX_DATAGRAM];
            let until = clock.std(exchange.deadline());
            let Ok(got) = timeout_at(until.into(), receive(&socket, &mut buffer)).await else { continue };
            let answer = exchange.receive(clock.now(), &buffer[..got.map_err(network)?])?;
            if let Some(connection) = exchange.connection(clock.now()) {
                self.remember(endpoint, connection);
            }
            match answer {
                Some(Answer::Announce(answer)) => return Ok(answer),
                Some(Answer::Scrape(_)) => return Err(TrackerError::Malformed("answered another question")),
                None => {}
            }
        }
    }

    fn remember(&self, endpoint: SocketAddr, connection: proto::tracker::udp::Connection) {
        let mut connections = self.0.connections.lock();
        if connections.len() >= MAX_CONNECTIONS {
            let now = self.0.clock.now();
            connections.retain(|_, connection| connection.is_alive(now));
        }
        if connections.len() < MAX_CONNECTIONS {
            connections.insert(endpoint, connection);
        }
    }
}

async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    socket.recv(buffer).await
}

/// The tracker's endpoints: the first of each family.
async fn endpoints(tracker: &TrackerUrl) -> Result<Vec<SocketAddr>, TrackerError> {
    let port = tracker.port().ok_or(TrackerError::Malformed("the URL has no port"))?;
    let host = tracker.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let found: Vec<_> = tokio::net::lookup_host((host, port)).await.map_err(network)?.collect();
    let first = |v4: bool| found.iter().copied().find(|endpoint| endpoint.is_ipv4() == v4);
    let endpoints: Vec<_> = [first(true), first(false)].into_iter().flatten().take(MAX_ENDPOINTS).collect();
    if endpoints.is_empty() {
        return Err(TrackerError::Network("the tracker's name has no address".to_owned()));
    }
    Ok(endpoints)
}

fn network(error: io::Error) -> TrackerError {
    TrackerError::Network(error.to_string())
}
