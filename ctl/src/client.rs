//! Reaching the daemon: its address, our token, and what a failure means.

use crate::exit::{Code, Failure};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use jsonrpsee::{
    core::{ClientError, client::Error as CallError},
    http_client::{self, HttpClient, HttpClientBuilder},
    ws_client::{WsClient, WsClientBuilder},
};
use proto::rpc::RpcError;
use std::{env, error::Error, fs, io, net::IpAddr, path::PathBuf, time::Duration};

/// Where btd listens unless told otherwise.
pub(crate) const DEFAULT_HOST: &str = "127.0.0.1:6880";
const DEFAULT_PORT: u16 = 6880;
/// A list of 100,000 torrents with all fields is about 120 MB.
const MAX_RESPONSE: u32 = 512 << 20;
/// A base64 .torrent of 64 MiB, the largest that btctl sends, and its envelope.
const MAX_REQUEST: u32 = 96 << 20;
/// A move of data answers when it is under way, not when it is done; nothing else takes long.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Items of a subscription waiting for us to draw them.
const SUBSCRIPTION_BUFFER: usize = 64;

/// A daemon, and how we prove to it who we are.
#[derive(Debug)]
pub(crate) struct Remote {
    /// `host:port`.
    authority: String,
    token: Token,
}

/// The token, or the reason why there is none.
#[derive(Debug)]
enum Token {
    Known(HeaderValue),
    Missing(String),
}

impl Remote {
    /// The daemon at `host`: `name`, `name:port` or `http://name:port`.
    pub(crate) fn new(host: &str) -> Result<Self, Failure> {
        let authority = authority(host)?;
        let token = find_token(is_local(&authority))?;
        Ok(Self { authority, token })
    }

    /// Whether the daemon runs on this machine, so that paths mean the same to it.
    pub(crate) fn is_local(&self) -> bool {
        is_local(&self.authority)
    }

    /// A client for single calls.
    pub(crate) fn http(&self) -> Result<HttpClient, Failure> {
        HttpClientBuilder::new()
            .set_headers(self.headers())
            .max_response_size(MAX_RESPONSE)
            .max_request_size(MAX_REQUEST)
            .request_timeout(CALL_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .build(format!("http://{}{}", self.authority, proto::rpc::PATH))
            .map_err(|error| Failure::usage(format!("{} is no address of a daemon: {error}", self.authority)))
    }

    /// A client with a lasting connection, for subscriptions.
    pub(crate) async fn websocket(&self) -> Result<WsClient, Failure> {
        WsClientBuilder::new()
            .set_headers(self.headers())
            .max_response_size(MAX_RESPONSE)
            .request_timeout(CALL_TIMEOUT)
            .connection_timeout(CONNECT_TIMEOUT)
            .max_buffer_capacity_per_subscription(SUBSCRIPTION_BUFFER)
            .build(format!("ws://{}{}", self.authority, proto::rpc::PATH))
            .await
            .map_err(|error| self.explain(error))
    }

    /// Waits for a call and says what its failure means.
    pub(crate) async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, Failure> {
        call.await.map_err(|error| self.explain(error))
    }

    /// What a failed call means for the person who made it.
    pub(crate) fn explain(&self, error: ClientError) -> Failure {
        match error {
            CallError::Call(object) => RpcError::from(&object).into(),
            CallError::RequestTimeout => {
                Failure::new(Code::Unreachable, format!("btd at {} does not answer", self.authority))
            }
            CallError::Transport(error) => match rejection(&*error) {
                Some(status) => self.rejected(status),
                None => self.unreachable(&*error),
            },
            CallError::RestartNeeded(error) => self.unreachable(&*error),
            CallError::ParseError(error) => Failure::failed(format!("btd's answer makes no sense: {error}"))
                .advise("is btctl of the same version as btd?"),
            error => Failure::failed(error.to_string()),
        }
    }

    fn rejected(&self, status: u16) -> Failure {
        let at = &self.authority;
        match (status, &self.token) {
            (401, Token::Missing(why)) => Failure::new(
                Code::Denied,
                format!("btd at {at} wants a token and {why}"),
            )
            .advise(
                "run btctl as the user that runs btd, or put the contents of its token file into BTCTL_TOKEN",
            ),
            (401, Token::Known(_)) => {
                let source =
                    if env::var_os("BTCTL_TOKEN").is_some() { "BTCTL_TOKEN" } else { "the token file" };
                Failure::new(Code::Denied, format!("btd at {at} does not accept the token from {source}"))
                    .advise("the right one is in the file “token” of its state directory")
            }
            (403, _) => Failure::new(Code::Denied, format!("btd at {at} refuses this host name"))
                .advise("use the address that btd prints at its start"),
            (404, _) => Failure::new(Code::Unreachable, format!("what listens at {at} is not btd")),
            (429 | 503, _) => Failure::failed(format!("btd at {at} is busy; try again")),
            (status, _) => Failure::failed(format!("btd at {at} answered with HTTP status {status}")),
        }
    }

    fn unreachable(&self, error: &(dyn Error + 'static)) -> Failure {
        let refused = io_kind(error) == Some(io::ErrorKind::ConnectionRefused);
        let failure = match refused {
            true => Failure::new(Code::Unreachable, format!("nothing listens at {}", self.authority)),
            false => {
                let reason = sources(error).last().map(ToString::to_string).unwrap_or_default();
                Failure::new(Code::Unreachable, format!("cannot reach btd at {}: {reason}", self.authority))
            }
        };
        match self.is_local() {
            true => failure.advise("start it with “btd”, or name another with --host or BTCTL_HOST"),
            false => failure.advise("is btd running there, with --rpc on an address that can be reached?"),
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Token::Known(value) = &self.token {
            headers.insert(AUTHORIZATION, value.clone());
        }
        headers
    }
}

/// `host:port` of what a person wrote.
fn authority(host: &str) -> Result<String, Failure> {
    if host.starts_with("https://") {
        return Err(Failure::usage("btctl does not speak https")
            .advise("forward the port with ssh: ssh -L 6880:127.0.0.1:6880 HOST"));
    }
    let bare = host.strip_prefix("http://").unwrap_or(host);
    let bare = bare.strip_suffix(proto::rpc::PATH).unwrap_or(bare).trim_end_matches('/');
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/?#@".contains(c);
    if bare.is_empty() || bare.contains(odd) {
        return Err(Failure::usage(format!("“{host}” is no address: write HOST or HOST:PORT")));
    }
    if let Ok(IpAddr::V6(address)) = bare.trim_matches(['[', ']']).parse() {
        return Ok(format!("[{address}]:{DEFAULT_PORT}"));
    }
    let has_port = bare.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port { bare.to_owned() } else { format!("{bare}:{DEFAULT_PORT}") })
}

/// Whether `host:port` is this machine's loopback.
fn is_local(authority: &str) -> bool {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The token from the environment, or, for a daemon on this machine, from its state directory. The token of our own
/// daemon is never sent to another machine.
fn find_token(local: bool) -> Result<Token, Failure> {
    if let Some(token) = env::var_os("BTCTL_TOKEN") {
        let token = token.to_str().ok_or_else(|| Failure::usage("BTCTL_TOKEN is not text"))?;
        return bearer(token).ok_or_else(|| Failure::usage("BTCTL_TOKEN has characters that no token has"));
    }
    if !local {
        return Ok(Token::Missing("BTCTL_TOKEN is not set".to_owned()));
    }
    let mut reason = "there is no token file".to_owned();
    for path in token_files() {
        match fs::read_to_string(&path) {
            Ok(text) => {
                return bearer(&text).ok_or_else(|| {
                    Failure::new(Code::Denied, format!("{} has no token in it", path.display()))
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => reason = format!("{} cannot be read: {error}", path.display()),
        }
    }
    Ok(Token::Missing(reason))
}

/// Where btd may have put its token, the likeliest first.
fn token_files() -> Vec<PathBuf> {
    let dir = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = dir("XDG_STATE_HOME").or_else(|| Some(dir("HOME")?.join(".local/state")));
    [
        dir("STATE_DIRECTORY"),
        state.map(|state| state.join("btd")),
        // Where the system service keeps its state.
        Some(PathBuf::from("/var/lib/btd")),
    ]
    .into_iter()
    .flatten()
    .map(|dir| dir.join("token"))
    .collect()
}

fn bearer(token: &str) -> Option<Token> {
    let token = token.trim();
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok().filter(|_| !token.is_empty())?;
    value.set_sensitive(true);
    Some(Token::Known(value))
}

/// An error and all that lie beneath it.
fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The HTTP status with which the request was turned away.
fn rejection(error: &(dyn Error + 'static)) -> Option<u16> {
    use jsonrpsee::client_transport::ws::WsHandshakeError;
    sources(error).find_map(|error| {
        let http = error.downcast_ref().and_then(|error| match error {
            http_client::transport::Error::Rejected { status_code } => Some(*status_code),
            _ => None,
        });
        http.or_else(|| match error.downcast_ref()? {
            WsHandshakeError::Rejected { status_code } => Some(*status_code),
            _ => None,
        })
    })
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    sources(error).find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_get_what_they_lack() {
        for (host, full) in [
            ("127.0.0.1:6880", "127.0.0.1:6880"),
            ("nas", "nas:6880"),
            ("http://nas:80/", "nas:80"),
            ("http://nas:80/rpc", "nas:80"),
            ("::1", "[::1]:6880"),
            ("[::1]", "[::1]:6880"),
            ("[::1]:7000", "[::1]:7000"),
        ] {
            assert_eq!(authority(host).unwrap(), full);
        }
        for host in ["", "https://nas", "a b", "user@nas", "nas/x"] {
            assert_eq!(authority(host).unwrap_err().code, Code::Usage, "{host}");
        }
    }

    #[test]
    fn only_loopback_is_local() {
        for local in ["127.0.0.1:1", "localhost:6880", "[::1]:6880", "127.8.8.8:6880"] {
            assert!(is_local(local), "{local}");
        }
        for remote in ["localhost.example.org:6880", "10.0.0.1:6880", "127.0.0.1.example.org:6880"] {
            assert!(!is_local(remote), "{remote}");
        }
    }
}
