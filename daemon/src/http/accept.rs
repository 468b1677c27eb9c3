//! Connections: how many, how slow, and how they end.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// Connections at one time, idle ones included; the next one waits to be accepted. Far above
/// [`MAX_CALLS`](super::rpc::MAX_CALLS), so that too many calls get an answer that says so.
const MAX_CONNECTIONS: usize = 256;
/// From the connection to the end of the TLS handshake, and from there to the end of a request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// All headers of a request. A browser sends less than 2 KiB.
const MAX_HEADERS: usize = 16 * 1024;
/// How long running requests may take after the end was announced.
const LINGER: Duration = Duration::from_millis(500);
/// Pause after an accept failed, as when there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The address of ours that a caller connected to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local(pub(super) IpAddr);

/// Accepts and serves until `shutdown`, then lets running requests finish for [`LINGER`].
pub(super) async fn run(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    app: Router,
    shutdown: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (ending, end) = watch::channel(false);
    let tls = tls.map(TlsAcceptor::from);
    let accepting = async {
        loop {
            // The semaphore is never closed.
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            let socket = match listener.accept().await {
                Ok((socket, _)) => socket,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the control API");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (app, tls, end) = (app.clone(), tls.clone(), end.clone());
            tokio::spawn(async move {
                if let Err(error) = connection(socket, tls, app, end).await {
                    tracing::debug!(error, "a connection to the control API ended early");
                }
                drop(slot);
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        () = shutdown => {}
    }
    drop(listener);
    ending.send_replace(true);
    let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
    // Whoever is not done by then is cut off.
    let _ = tokio::time::timeout(LINGER, slots.acquire_many(all)).await;
}

async fn connection(
    socket: TcpStream,
    tls: Option<TlsAcceptor>,
    app: Router,
    end: watch::Receiver<bool>,
) -> Result<(), String> {
    let local = Local(socket.local_addr().map_err(text)?.ip());
    socket.set_nodelay(true).map_err(text)?;
    let Some(tls) = tls else { return http(socket, app, local, end).await };
    let handshake = tokio::time::timeout(HEADER_TIMEOUT, tls.accept(socket));
    http(handshake.await.map_err(|_| "TLS handshake timed out")?.map_err(text)?, app, local, end).await
}

async fn http<S>(stream: S, app: Router, local: Local, mut end: watch::Receiver<bool>) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = app.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(local);
        request.map(Body::new)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return result.map_err(|error| error.to_string()),
        _ = end.wait_for(|ending| *ending) => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await.map_err(|error| error.to_string())
}

fn text(error: io::Error) -> String {
    error.to_string()
}
