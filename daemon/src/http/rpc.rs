//! jsonrpsee behind a route of ours.

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jsonrpsee::Methods;
use jsonrpsee::server::{
    BatchRequestConfig, PingConfig, Server, ServerConfig, ServerHandle, StopHandle, TowerServiceBuilder,
    stop_channel,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tower::Service;
use tower::layer::util::Identity;

/// A torrent file of 32 MiB (some 1.6 million pieces) in base64, and the call around it.
const MAX_REQUEST: u32 = 44 * 1024 * 1024;
/// The list of 100,000 torrents, whole.
const MAX_RESPONSE: u32 = 256 * 1024 * 1024;
/// WebSockets and calls at one time; past it 429. A page, a few scripts and a monitor need ten.
pub(super) const MAX_CALLS: u32 = 100;
/// Subscriptions of one WebSocket: there are only a few different ones.
const MAX_SUBSCRIPTIONS: u32 = 16;
/// Calls in one batch.
const MAX_BATCH: u32 = 1000;
/// Messages that wait for a WebSocket that reads slowly; `events` skips rather than fill it.
const MAX_WAITING: u32 = 64;
/// From the first byte of a POST's body to the answer. The longest calls start jobs and answer at once.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// What a call needs.
#[derive(Clone)]
pub(super) struct Rpc {
    methods: Methods,
    builder: TowerServiceBuilder<Identity, Identity>,
    stop: StopHandle,
    /// Each request is a connection of its own to jsonrpsee.
    connections: Arc<AtomicU32>,
}

/// The service, and the handle that stops it.
pub(super) fn service(methods: Methods) -> (Rpc, ServerHandle) {
    let (stop, handle) = stop_channel();
    let config = ServerConfig::builder()
        .max_request_body_size(MAX_REQUEST)
        .max_response_body_size(MAX_RESPONSE)
        .max_connections(MAX_CALLS)
        .max_subscriptions_per_connection(MAX_SUBSCRIPTIONS)
        .set_batch_request_config(BatchRequestConfig::Limit(MAX_BATCH))
        .set_message_buffer_capacity(MAX_WAITING)
        .enable_ws_ping(PingConfig::new())
        .build();
    let builder = Server::builder().set_config(config).to_service_builder();
    (Rpc { methods, builder, stop, connections: Arc::default() }, handle)
}

/// Answers a POST, or turns the connection into a WebSocket.
pub(super) async fn call(rpc: Rpc, request: Request) -> Response {
    let id = rpc.connections.fetch_add(1, Ordering::Relaxed);
    let mut service = rpc.builder.connection_id(id).build(rpc.methods, rpc.stop);
    match tokio::time::timeout(CALL_TIMEOUT, service.call(request)).await {
        Ok(Ok(response)) => response.map(Body::new),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a call failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}
