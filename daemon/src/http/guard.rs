//! Who may pass: `Host` and `Origin` first, then the token.

use super::hosts::Hosts;
use super::token::Token;
use super::{accept::Local, page};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use proto::rpc::ErrorKind;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// How long a login on the page lasts: a month.
const COOKIE_SECONDS: u32 = 30 * 24 * 60 * 60;

/// What [`check`] compares with.
#[derive(Debug)]
pub(super) struct Guard {
    token: Token,
    hosts: Hosts,
    port: u16,
    tls: bool,
}

/// Why somebody does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Host,
    Origin,
    Token,
}

impl Guard {
    pub(super) fn new(token: Token, hosts: Hosts, port: u16, tls: bool) -> Self {
        Self { token, hosts, port, tls }
    }

    fn judge(&self, request: &Request) -> Result<(), Refusal> {
        let headers = request.headers();
        let local =
            request.extensions().get::<Local>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |local| local.0);
        let host = only(headers, header::HOST).ok().flatten().ok_or(Refusal::Host)?;
        if !self.hosts.is_host(host, local) || Hosts::contradicts(request.uri(), host) {
            return Err(Refusal::Host);
        }
        match only(headers, header::ORIGIN) {
            Ok(None) => {}
            Ok(Some(origin)) if self.hosts.is_origin(origin, host) => {}
            _ => return Err(Refusal::Origin),
        }
        if self.knows_token(headers) { Ok(()) } else { Err(Refusal::Token) }
    }

    fn knows_token(&self, headers: &HeaderMap) -> bool {
        match only(headers, header::AUTHORIZATION) {
            Ok(Some(credentials)) => bearer(credentials).is_some_and(|token| self.token.is(token)),
            Ok(None) => self.cookies(headers).any(|value| self.token.is_cookie(value, self.port)),
            Err(()) => false,
        }
    }

    /// The values of our cookie. Its name has the port, because browsers do not keep ports apart.
    fn cookies<'a>(&self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        let name = self.cookie_name();
        let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
        lines
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter_map(move |(key, value)| (key == name).then_some(value))
    }

    fn cookie_name(&self) -> String {
        format!("btd-{}", self.port)
    }

    /// The answer to a login with the right token: a cookie, and the page without the token in its address.
    fn login(&self) -> Response {
        let secure = if self.tls { "; Secure" } else { "" };
        let cookie = format!(
            "{}={}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Strict{secure}",
            self.cookie_name(),
            self.token.cookie(self.port)
        );
        (StatusCode::SEE_OTHER, [(header::LOCATION, "/".to_owned()), (header::SET_COOKIE, cookie)])
            .into_response()
    }
}

/// Lets a request pass, logs a browser in, or refuses.
pub(super) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let verdict = guard.judge(&request);
    let at_page = request.uri().path() == "/";
    if matches!(verdict, Ok(()) | Err(Refusal::Token))
        && let Some(token) = request.uri().query().filter(|_| at_page).and_then(token_in)
    {
        // A wrong token in the address is refused even with a good cookie, so that it is noticed.
        return if guard.token.is(&token) { guard.login() } else { page::login(true) };
    }
    match verdict {
        Ok(()) => next.run(request).await,
        Err(Refusal::Token) if at_page => page::login(false),
        Err(refusal) => refuse(refusal),
    }
}

fn refuse(refusal: Refusal) -> Response {
    let (status, message) = match refusal {
        Refusal::Host => (
            StatusCode::FORBIDDEN,
            "btd does not know itself by this Host; if it is right, add it with --rpc-host",
        ),
        Refusal::Origin => (StatusCode::FORBIDDEN, "a page from another Origin may not call btd"),
        Refusal::Token => (
            StatusCode::UNAUTHORIZED,
            "the token is missing or wrong: send \"Authorization: Bearer TOKEN\" with the one in the file \"token\" of \
             btd's state directory",
        ),
    };
    let kind = ErrorKind::Denied;
    let error = json!({"code": kind.code(), "message": message, "data": {"kind": kind.name()}});
    let body = json!({"jsonrpc": "2.0", "id": null, "error": error}).to_string();
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// The one value of a header; two of them, or one that is no text, are an error.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Result<Option<&str>, ()> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(drop),
        _ => Err(()),
    }
}

fn bearer(credentials: &str) -> Option<&str> {
    let (scheme, token) = credentials.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn token_in(query: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "token")
        .map(|(_, token)| token.into_owned())
}
