//! Trackers over the network: carries out what `proto::tracker` encodes.

mod udp;

use crate::{clock::Clock, net::Sockets};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, header};
use parking_lot::Mutex;
use proto::tracker::{
    AnnounceRequest, AnnounceResponse, Scheme, TrackerError, TrackerUrl,
    http::{MAX_BODY, announce_url, parse_announce},
    udp::Connection,
};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Semaphore;

/// Announces under way at one time: after a restart with thousands of torrents they go out in this many streams.
const MAX_ANNOUNCES: usize = 100;

/// How long an HTTP tracker may take in all.
const HTTP_TIMEOUT: Duration = Duration::from_secs(30);

/// Redirects that are followed: trackers move from http to https, and not much further.
const MAX_REDIRECTS: usize = 5;

/// Connection ids of UDP trackers that are remembered.
const MAX_CONNECTIONS: usize = 1_000;

/// The way to all trackers. Clones share connections and limits.
#[derive(Clone)]
pub(crate) struct Trackers(Arc<Inner>);

struct Inner {
    clock: Clock,
    sockets: Sockets,
    http: reqwest::Client,
    under_way: Semaphore,
    connections: Mutex<HashMap<SocketAddr, Connection>>,
}

/// An HTTP client as btd uses it: our name, the bound address, few redirects. Also for .torrent files from the web.
pub(crate) fn http_client(bind: Option<IpAddr>) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(crate::CLIENT)
        .local_address(bind)
        .redirect(reqwest::redirect::Policy::limited(MAX_REDIRECTS))
        .no_proxy()
        // Trackers answer one request a connection, whatever the protocol's default: some (opentracker) leave the
        // connection open and never answer a second one.
        .pool_max_idle_per_host(0)
        .default_headers(HeaderMap::from_iter([(header::CONNECTION, HeaderValue::from_static("close"))]))
        .build()
}

impl Trackers {
    pub(crate) fn new(clock: Clock, sockets: Sockets, http: reqwest::Client) -> Self {
        Self(Arc::new(Inner {
            clock,
            sockets,
            http,
            under_way: Semaphore::new(MAX_ANNOUNCES),
            connections: Mutex::default(),
        }))
    }

    /// Announces once; a whole exchange with its retransmissions.
    pub(crate) async fn announce(
        &self,
        tracker: &TrackerUrl,
        request: AnnounceRequest,
    ) -> Result<AnnounceResponse, TrackerError> {
        let _turn = self.0.under_way.acquire().await;
        match tracker.scheme() {
            Scheme::Http | Scheme::Https => self.announce_http(tracker, &request).await,
            Scheme::Udp => self.announce_udp(tracker, request).await,
        }
    }

    async fn announce_http(
        &self,
        tracker: &TrackerUrl,
        request: &AnnounceRequest,
    ) -> Result<AnnounceResponse, TrackerError> {
        let url = announce_url(tracker, request);
        let answer = self.0.http.get(url).timeout(HTTP_TIMEOUT).send().await.map_err(network)?;
        let status = answer.status();
        let mut body = answer.bytes_stream();
        let mut bytes = Vec::new();
        while let Some(part) = body.next().await {
            bytes.extend_from_slice(&part.map_err(network)?);
            if bytes.len() > MAX_BODY {
                return Err(TrackerError::Malformed("the answer is too long"));
            }
        }
        match parse_announce(&bytes) {
            Err(TrackerError::Malformed(_)) if !status.is_success() => {
                Err(TrackerError::Status(status.as_u16()))
            }
            parsed => parsed,
        }
    }
}

/// What went wrong below HTTP, in a sentence.
fn network(error: reqwest::Error) -> TrackerError {
    if error.is_timeout() {
        return TrackerError::Timeout;
    }
    let cause = crate::session::root_cause(&error);
    TrackerError::Network(if error.is_connect() { format!("cannot connect: {cause}") } else { cause })
}
