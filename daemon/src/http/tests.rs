//! The server over real sockets, with requests written out byte by byte.

use super::*;
use jsonrpsee::RpcModule;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const BEARER: &str = "Authorization: Bearer secret\r\n";
const JSON: &str = "Content-Type: application/json\r\n";
const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"add","params":{"a":2,"b":3}}"#;

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

fn methods() -> RpcModule<()> {
    #[derive(serde::Deserialize)]
    struct Add {
        a: i64,
        b: i64,
    }
    let mut module = RpcModule::new(());
    module.register_method("add", |params, (), _| params.parse::<Add>().map(|add| add.a + add.b)).unwrap();
    module
        .register_subscription("ticks", "ticks", "ticks.unsubscribe", |_, pending, _, _| async move {
            let sink = pending.accept().await?;
            sink.send(serde_json::value::to_raw_value("tick")?).await?;
            sink.closed().await;
            Ok(())
        })
        .unwrap();
    module
}

async fn start(tls: Option<Arc<rustls::ServerConfig>>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let token = Token::new("secret", "the test").unwrap();
    let config = Config { token, hosts: vec!["btd.example".into()], tls };
    let metrics: Metrics = Arc::new(|| "btd_up 1\n".to_owned());
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(serve(listener, methods(), config, metrics, async { drop(stopped.await) }));
    Running { address, stop, server }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> (u16, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer"));
    }
    let head = String::from_utf8(head).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head)
}

impl Running {
    fn host(&self) -> String {
        format!("Host: {}\r\n", self.address)
    }

    /// Sends a request with exactly these headers.
    async fn raw(&self, line: &str, headers: &str, body: &str) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        exchange(stream, line, headers, body).await
    }

    async fn get(&self, path: &str, headers: &str) -> Answer {
        self.raw(&format!("GET {path}"), &(self.host() + headers), "").await
    }

    async fn post(&self, headers: &str, body: &str) -> Answer {
        self.raw("POST /rpc", &(self.host() + headers), body).await
    }

    /// Asks for a WebSocket, with the key of RFC 6455, section 1.3.
    async fn websocket(&self, headers: &str) -> (u16, String, TcpStream) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "GET /rpc HTTP/1.1\r\n{}{headers}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.host()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let (status, head) = read_head(&mut stream).await;
        (status, head, stream)
    }
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    line: &str,
    headers: &str,
    body: &str,
) -> Answer {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let request = format!("{line} HTTP/1.1\r\n{headers}{length}Connection: close\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let (status, head) = read_head(&mut stream).await;
    let mut body = Vec::new();
    // A TLS stream may end without a farewell.
    let _ = stream.read_to_end(&mut body).await;
    Answer { status, head, body: String::from_utf8(body).unwrap() }
}

/// Sends a text frame (RFC 6455, section 5.2) with an all-zero mask, and reads the next text frame.
async fn frame(stream: &mut TcpStream, text: &str) -> String {
    let mut out = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    out.extend_from_slice(text.as_bytes());
    stream.write_all(&out).await.unwrap();
    read_frame(stream).await
}

/// The next text frame; pings, which the server sends now and then, are passed over.
async fn read_frame(stream: &mut TcpStream) -> String {
    const TEXT: u8 = 0x81;
    const PING: u8 = 0x89;
    loop {
        let kind = stream.read_u8().await.unwrap();
        let len = stream.read_u8().await.unwrap();
        assert!(len < 126);
        let mut payload = vec![0; usize::from(len)];
        stream.read_exact(&mut payload).await.unwrap();
        match kind {
            TEXT => return String::from_utf8(payload).unwrap(),
            PING => {}
            other => panic!("a frame of kind {other:#x}"),
        }
    }
}

#[tokio::test]
async fn only_the_token_opens() {
    let server = start(None).await;
    for wrong in [
        "",
        "Authorization: Bearer wrong\r\n",
        "Authorization: Bearer secre\r\n",
        "Authorization: Basic secret\r\n",
        "Authorization: secret\r\n",
        "Cookie: btd=secret\r\n",
        "Authorization: Bearer secret\r\nAuthorization: Bearer secret\r\n",
    ] {
        let answer = server.post(&format!("{JSON}{wrong}"), CALL).await;
        assert_eq!(answer.status, 401, "{wrong}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert!(answer.body.contains(r#""kind":"denied""#), "{}", answer.body);
        assert_eq!(server.get("/metrics", wrong).await.status, 401);
        assert_eq!(server.get("/app.js", wrong).await.status, 401);
    }
    let answer = server.post(&format!("{JSON}{BEARER}"), CALL).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"jsonrpc":"2.0","id":1,"result":5}"#));
    let metrics = server.get("/metrics", BEARER).await;
    assert_eq!((metrics.status, metrics.body.as_str()), (200, "btd_up 1\n"));
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let health = server.raw("GET /healthz", "Host: evil.example\r\n", "").await;
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
}

#[tokio::test]
async fn a_strangers_name_or_page_is_refused_even_with_the_token() {
    let server = start(None).await;
    let (good, port) = (format!("{JSON}{BEARER}"), server.address.port());
    for host in
        ["evil.example", "127.0.0.1.evil.example", "127.0.0.1", "localhost:1", "127.0.0.1:80@evil.example"]
    {
        let answer = server.raw("POST /rpc", &format!("Host: {host}\r\n{good}"), CALL).await;
        assert_eq!(answer.status, 403, "{host}");
    }
    assert_eq!(server.raw("POST /rpc", &good, CALL).await.status, 403, "no Host");
    let two = format!("Host: btd.example\r\n{}{good}", server.host());
    assert_ne!(server.raw("POST /rpc", &two, CALL).await.status, 200);
    let other = server.raw("POST http://evil.example/rpc", &(server.host() + &good), CALL).await;
    assert_eq!(other.status, 403, "the request line names another");
    for host in [format!("localhost:{port}"), "btd.example".into()] {
        assert_eq!(
            server.raw("POST /rpc", &format!("Host: {host}\r\n{good}"), CALL).await.status,
            200,
            "{host}"
        );
    }

    for origin in ["http://evil.example", "null", "http://127.0.0.1", "http://localhost:3000"] {
        let answer = server.post(&format!("{good}Origin: {origin}\r\n"), CALL).await;
        assert_eq!(answer.status, 403, "{origin}");
        assert_eq!(server.websocket(&format!("{BEARER}Origin: {origin}\r\n")).await.0, 403, "{origin}");
    }
    let own = format!("{good}Origin: http://{}\r\n", server.address);
    assert_eq!(server.post(&own, CALL).await.status, 200);
    let preflight =
        server.raw("OPTIONS /rpc", &format!("{}Origin: http://evil.example\r\n", server.host()), "").await;
    assert_eq!(preflight.status, 403);
}

#[tokio::test]
async fn a_browser_logs_in_with_the_printed_address() {
    let server = start(None).await;
    let answer = server.get("/", "").await;
    assert_eq!(answer.status, 401);
    assert!(answer.body.contains("<form"), "a page that says what to do");
    let wrong = server.get("/?token=wrong", "").await;
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, None));
    assert!(wrong.body.contains("not the token"));

    let url = login_url(server.address, false, &Token::new("secret", "").unwrap());
    let path = url.strip_prefix(&format!("http://{}", server.address)).unwrap();
    let login = server.get(path, "").await;
    assert_eq!((login.status, login.header("location")), (303, Some("/")));
    let cookie = login.header("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Strict") && !cookie.contains("secret"), "{cookie}");
    let cookie = format!("Cookie: other=1; {}\r\n", cookie.split(';').next().unwrap());

    let page = server.get("/", &cookie).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(
        page.header("content-security-policy").unwrap().starts_with("default-src 'none'; script-src 'self'")
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(server.post(&format!("{JSON}{cookie}"), CALL).await.status, 200);
    assert_eq!(server.websocket(&cookie).await.0, 101);
    assert_eq!(
        server.post(&format!("{JSON}{cookie}Authorization: Bearer wrong\r\n"), CALL).await.status,
        401
    );

    let tag = page.header("etag").unwrap();
    assert_eq!(server.get("/", &format!("{cookie}If-None-Match: {tag}\r\n")).await.status, 304);
    assert_eq!(
        server.get("/app.js", &cookie).await.header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    for missing in ["/../Cargo.toml", "/%2e%2e/Cargo.toml", "/login.html", "//etc/passwd"] {
        assert_eq!(server.get(missing, &cookie).await.status, 404, "{missing}");
    }
    assert_eq!(server.raw("POST /", &(server.host() + BEARER), "x").await.status, 405);
}

#[tokio::test]
async fn websockets_need_the_token_and_carry_calls_and_subscriptions() {
    let server = start(None).await;
    assert_eq!(server.websocket("").await.0, 401);
    assert_eq!(server.websocket("Authorization: Bearer wrong\r\n").await.0, 401);
    let (status, head, mut socket) = server.websocket(BEARER).await;
    assert_eq!(status, 101);
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    assert_eq!(frame(&mut socket, CALL).await, r#"{"jsonrpc":"2.0","id":1,"result":5}"#);
    let subscribed = frame(&mut socket, r#"{"jsonrpc":"2.0","id":2,"method":"ticks"}"#).await;
    assert!(subscribed.contains(r#""id":2,"result""#), "{subscribed}");
    assert!(read_frame(&mut socket).await.contains(r#""result":"tick""#));
}

#[tokio::test]
async fn posts_must_be_json_and_may_be_batches() {
    let server = start(None).await;
    let plain = format!("Content-Type: text/plain\r\n{BEARER}");
    assert_eq!(server.post(&plain, CALL).await.status, 415);
    assert_eq!(server.post(BEARER, CALL).await.status, 415);
    let answer = server.post(&format!("{JSON}{BEARER}"), &format!("[{CALL},{CALL}]")).await;
    let batch: Vec<serde_json::Value> = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(batch.iter().map(|one| &one["result"]).collect::<Vec<_>>(), [5, 5]);
    let long = format!("[{}]", vec![CALL; 1001].join(","));
    assert!(server.post(&format!("{JSON}{BEARER}"), &long).await.body.contains("error"));
    let huge = format!("{}{JSON}{BEARER}Content-Length: 999999999\r\n", server.host());
    assert_eq!(server.raw("POST /rpc", &huge, "").await.status, 413);
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"add","params":{{"a":1,"b":1,"c":"{}"}}}}"#,
        "x".repeat(20 << 20)
    );
    assert_eq!(server.post(&format!("{JSON}{BEARER}"), &body).await.status, 200, "a large torrent file");
}

#[tokio::test]
async fn too_many_at_once_are_told_so() {
    let server = start(None).await;
    let mut sockets = Vec::new();
    for _ in 0..rpc::MAX_CALLS {
        let (status, _, socket) = server.websocket(BEARER).await;
        assert_eq!(status, 101);
        sockets.push(socket);
    }
    assert_eq!(server.post(&format!("{JSON}{BEARER}"), CALL).await.status, 429);
    assert_eq!(server.get("/healthz", "").await.status, 200);
    sockets.clear();
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.post(&format!("{JSON}{BEARER}"), CALL).await.status != 200 {
        assert!(Instant::now() < deadline, "closed WebSockets still count");
    }
}

#[tokio::test]
async fn it_ends_soon_though_clients_stay() {
    let server = start(None).await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    let (_, _, mut socket) = server.websocket(BEARER).await;
    let begin = Instant::now();
    server.stop.send(()).unwrap();
    server.server.await.unwrap().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    let mut rest = Vec::new();
    // Reset or farewell: either way it is over.
    let _ =
        tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut rest)).await.expect("closed");
    assert!(TcpStream::connect(server.address).await.is_err());
    drop(idle);
}

#[tokio::test]
async fn tls_from_files() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let server = start(Some(load_tls(&cert, &key).unwrap())).await;

    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(&cert).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, TcpStream::connect(server.address).await.unwrap()).await.unwrap();
    let host = format!("localhost:{}", server.address.port());
    let headers = format!("Host: {host}\r\nOrigin: https://{host}\r\n{JSON}{BEARER}");
    let answer = exchange(stream, "POST /rpc", &headers, CALL).await;
    assert_eq!((answer.status, answer.body.contains(r#""result":5"#)), (200, true), "{answer:?}");

    let error = load_tls(&key, &key).unwrap_err().to_string();
    assert!(error.contains("key.pem"), "{error}");
    assert!(load_tls(&cert, &cert).is_err() && load_tls(dir.path(), &key).is_err());
}
