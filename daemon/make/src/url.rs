//! Whether a text can be a tracker's or a web seed's address. Nothing is resolved or asked.

use crate::error::Error;

/// Longest URL in bytes: what our own reader keeps.
const MAX_URL: usize = 8192;

/// Accepts `http`, `https`, `udp`, `ws` and `wss` addresses with a host.
pub fn check_tracker(url: &str) -> Result<(), Error> {
    check(
        url,
        &["http", "https", "udp", "ws", "wss"],
        "it must start with http://, https://, udp://, ws:// or wss://",
    )
    .map_err(|why| Error::Tracker { url: url.to_owned(), why })
}

/// Accepts `http`, `https` and `ftp` addresses with a host.
pub fn check_web_seed(url: &str) -> Result<(), Error> {
    check(url, &["http", "https", "ftp"], "it must start with http://, https:// or ftp://")
        .map_err(|why| Error::WebSeed { url: url.to_owned(), why })
}

fn check(url: &str, schemes: &[&str], wrong_scheme: &'static str) -> Result<(), &'static str> {
    if url.len() > MAX_URL {
        return Err("it is too long");
    }
    if url.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err("it contains white space");
    }
    let (scheme, rest) = url.split_once("://").ok_or(wrong_scheme)?;
    if !schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return Err(wrong_scheme);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = split_port(host_and_port)?;
    if host.is_empty() {
        return Err("it names no host");
    }
    match port {
        Some(port) if port.parse::<u16>().is_ok_and(|port| port != 0) => Ok(()),
        Some(_) => Err("its port is not a number from 1 to 65535"),
        None if scheme.eq_ignore_ascii_case("udp") => Err("a udp tracker needs a port"),
        None => Ok(()),
    }
}

/// `host:port`, `host` or `[v6 address]:port`.
fn split_port(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("its IPv6 address lacks a bracket")?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err("its IPv6 address is malformed");
        }
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err("something odd follows its IPv6 address"),
        };
    }
    match text.split_once(':') {
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trackers() {
        for good in [
            "http://tracker.example/announce",
            "HTTPS://user:secret@tracker.example:8443/a?key=1",
            "udp://[2001:db8::1]:6969/announce",
            "udp://127.0.0.1:6969",
            "wss://tracker.example",
        ] {
            check_tracker(good).unwrap();
        }
        for bad in [
            "",
            "tracker.example",
            "ftp://tracker.example/",
            "http://",
            "http:///announce",
            "http://host:0/",
            "http://host:70000/",
            "http://host:port/",
            "udp://host",
            "udp://host/announce",
            "http://ho st/",
            "http://[::1/",
            "http://[nonsense]:80/",
        ] {
            assert!(matches!(check_tracker(bad), Err(Error::Tracker { .. })), "{bad}");
        }
    }

    #[test]
    fn web_seeds() {
        check_web_seed("https://mirror.example/pub/").unwrap();
        assert!(matches!(check_web_seed("udp://mirror.example:80/"), Err(Error::WebSeed { .. })));
    }
}
