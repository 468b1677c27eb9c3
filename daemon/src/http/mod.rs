//! The control API and the page, over HTTP.
//!
//! Every request passes [`guard`] first: its `Host` and `Origin` must be ours, and it must know the token, by header or
//! by the cookie that the page's login sets. `/rpc` is jsonrpsee's, for POST, batches and WebSocket; `/metrics` is
//! Prometheus text; `/healthz` answers anybody; the rest is the page. [`accept`] bounds connections and their time.

mod accept;
mod guard;
mod hosts;
mod page;
mod rpc;
#[cfg(test)]
mod tests;
mod tls;
mod token;

pub(crate) use tls::load as load_tls;
pub(crate) use token::Token;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use hosts::Hosts;
use jsonrpsee::Methods;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Makes the Prometheus text of this moment.
pub(crate) type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// How the server is reached and by whom.
#[derive(Debug)]
pub(crate) struct Config {
    /// What every caller has to know.
    pub(crate) token: Token,
    /// Names, as `host` or `host:port`, by which it may be reached besides loopback and its own address.
    pub(crate) hosts: Vec<String>,
    /// From [`load_tls`]; `None` is plain HTTP.
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
}

/// Nothing on the page comes from elsewhere, runs inline or is shown in another page's frame.
const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                                form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Headers of every answer.
const SECURITY_HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Serves until `shutdown` resolves, then lets running requests finish for a moment and ends.
pub(crate) async fn serve(
    listener: TcpListener,
    methods: impl Into<Methods>,
    config: Config,
    metrics: Metrics,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let tls = config.tls.is_some();
    let guard = guard::Guard::new(config.token, Hosts::new(address, tls, &config.hosts), address.port(), tls);
    let (rpc, stop) = rpc::service(methods.into());
    let app = router(rpc, metrics, Arc::new(guard));
    accept::run(listener, config.tls, app, shutdown).await;
    // Closes the WebSockets; it fails only when that has happened already.
    let _ = stop.stop();
    Ok(())
}

/// The page's address with the token in it, to be printed at the start.
pub(crate) fn login_url(address: SocketAddr, tls: bool, token: &Token) -> String {
    let scheme = if tls { "https" } else { "http" };
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    let token: String = form_urlencoded::byte_serialize(token.reveal().as_bytes()).collect();
    format!("{scheme}://{}/?token={token}", SocketAddr::new(ip, address.port()))
}

fn router(rpc: rpc::Rpc, metrics: Metrics, guard: Arc<guard::Guard>) -> Router {
    let metrics = move || async move {
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics()).into_response()
    };
    Router::new()
        .route(proto::rpc::PATH, any(move |request| rpc::call(rpc.clone(), request)))
        .route("/metrics", get(metrics))
        .fallback(page::serve)
        .layer(axum::middleware::from_fn_with_state(guard, guard::check))
        .route("/healthz", get(|| async { "ok\n" }))
        .layer(axum::middleware::map_response(secure))
}

async fn secure(mut response: Response) -> Response {
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
