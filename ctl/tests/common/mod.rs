//! A daemon of paper: the real API trait over HTTP and WebSocket with a token, and a list of torrents behind it.

#![allow(dead_code, missing_docs, unreachable_pub, unused_imports, clippy::unwrap_used)]

mod stub;

pub use stub::torrent;

use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse, Server};
use proto::{id::InfoHash, rpc::Torrent};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    net::SocketAddr,
    pin::Pin,
    process::{Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll},
    thread,
};
use tempfile::TempDir;
use tower::Service;

pub const TOKEN: &str = "0123456789abcdef";

/// What the stub keeps, and the parameters of the calls that it got.
#[derive(Default)]
pub struct State {
    pub torrents: Mutex<BTreeMap<InfoHash, Torrent>>,
    pub calls: Mutex<Vec<(&'static str, Value)>>,
}

impl State {
    /// How often a method was called.
    pub fn count(&self, method: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|(name, _)| *name == method).count()
    }

    /// The parameters of the last call of a method.
    pub fn last(&self, method: &str) -> Value {
        let calls = self.calls.lock().unwrap();
        calls
            .iter()
            .rev()
            .find(|(name, _)| *name == method)
            .unwrap_or_else(|| panic!("no {method}"))
            .1
            .clone()
    }
}

/// A running stub and a home for the btctl that is tried on it.
pub struct Daemon {
    pub state: Arc<State>,
    pub address: SocketAddr,
    pub home: TempDir,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Daemon {
    pub fn start(torrents: impl IntoIterator<Item = Torrent>) -> Self {
        let state = Arc::new(State::default());
        state.torrents.lock().unwrap().extend(torrents.into_iter().map(|torrent| (torrent.id, torrent)));
        let (address_to, address_from) = mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let api = stub::Stub(Arc::clone(&state));
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let guard = tower::ServiceBuilder::new().layer_fn(|inner| Guard { inner });
                let server = Server::builder().set_http_middleware(guard).build("127.0.0.1:0").await.unwrap();
                address_to.send(server.local_addr().unwrap()).unwrap();
                let _server = server.start(proto::rpc::module(api).unwrap());
                let _ = stopped.await;
            });
        });
        let address = address_from.recv().unwrap();
        Self { state, address, home: TempDir::new().unwrap(), stop: Some(stop), thread: Some(thread) }
    }

    /// Runs btctl with the token.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        ran(self.command(args).env("BTCTL_TOKEN", TOKEN))
    }

    /// btctl in an environment that has nothing but a home and the stub's address.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_btctl"));
        command.args(args).env_clear().current_dir(self.home.path()).stdin(Stdio::null());
        command.env("HOME", self.home.path()).env("BTCTL_HOST", self.address.to_string());
        command
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What a run of btctl left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Standard output as the one JSON document that it must be.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Turns away who has not the token, as btd's guard does.
#[derive(Clone)]
struct Guard<S> {
    inner: S,
}

impl<B, S> Service<HttpRequest<B>> for Guard<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = HttpResponse;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        let token = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        if token == Some(&format!("Bearer {TOKEN}")) {
            return Box::pin(self.inner.call(request));
        }
        let mut response = HttpResponse::new(HttpBody::from("no token"));
        *response.status_mut() = http::StatusCode::UNAUTHORIZED;
        Box::pin(async { Ok(response) })
    }
}
