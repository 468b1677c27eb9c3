//! Under which names we may be called.
//!
//! A page of a stranger can make a browser call us: directly (then `Origin` is the stranger's), or by pointing a name of
//! its own at our address (DNS rebinding; then `Host` is the stranger's). So both are compared whole with what we know
//! ourselves by, port included.

use axum::http::Uri;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The authorities (`host` or `host:port`, lower case) that are ours.
#[derive(Debug)]
pub(super) struct Hosts {
    known: BTreeSet<String>,
    /// Those behind which there may be a proxy that adds TLS.
    configured: BTreeSet<String>,
    port: u16,
    tls: bool,
}

impl Hosts {
    /// Loopback, the address that we listen on, and `configured` ones.
    pub(super) fn new(address: SocketAddr, tls: bool, configured: &[String]) -> Self {
        let mut hosts =
            Self { known: BTreeSet::new(), configured: BTreeSet::new(), port: address.port(), tls };
        let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].map(literal);
        let own = (!address.ip().is_unspecified()).then(|| literal(address.ip()));
        for host in loopback.into_iter().chain(own).chain(["localhost".to_owned()]) {
            hosts.known.extend(hosts.spellings(&host));
        }
        for name in configured.iter().map(|name| name.to_ascii_lowercase()) {
            let with_port = hosts.spellings(&name);
            hosts.configured.extend(with_port);
            hosts.configured.insert(name);
        }
        hosts
    }

    /// With the port, and without it where it is the scheme's.
    fn spellings(&self, host: &str) -> Vec<String> {
        let mut all = vec![format!("{host}:{}", self.port)];
        if self.port == if self.tls { 443 } else { 80 } {
            all.push(host.to_owned());
        }
        all
    }

    /// Whether `Host` is one of ours. `local` is the address that the caller connected to, which counts when we listen
    /// on all of them: a stranger's name cannot be spelt as our address.
    pub(super) fn is_host(&self, host: &str, local: IpAddr) -> bool {
        let host = host.to_ascii_lowercase();
        self.known.contains(&host)
            || self.configured.contains(&host)
            || self.spellings(&literal(local)).contains(&host)
    }

    /// Whether `Origin` is the page at `host`, which is one of ours.
    pub(super) fn is_origin(&self, origin: &str, host: &str) -> bool {
        let (origin, host) = (origin.to_ascii_lowercase(), host.to_ascii_lowercase());
        let scheme = if self.tls { "https" } else { "http" };
        origin == format!("{scheme}://{host}")
            || (self.configured.contains(&host) && origin == format!("https://{host}"))
    }

    /// Whether the request line names another host than the header did.
    pub(super) fn contradicts(uri: &Uri, host: &str) -> bool {
        uri.authority().is_some_and(|authority| !authority.as_str().eq_ignore_ascii_case(host))
    }
}

/// An address as a URL has it.
fn literal(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn hosts_are_compared_whole() {
        let hosts =
            Hosts::new("127.0.0.1:6880".parse().unwrap(), false, &["Home.example".into(), "x:99".into()]);
        for host in [
            "127.0.0.1:6880",
            "localhost:6880",
            "LOCALHOST:6880",
            "[::1]:6880",
            "home.example",
            "home.example:6880",
            "x:99",
        ] {
            assert!(hosts.is_host(host, LOCAL), "{host}");
        }
        for host in [
            "",
            "localhost",
            "localhost:688",
            "localhost:68800",
            "localhost:6880.evil.example",
            "127.0.0.1.evil.example:6880",
            "127.0.0.1:6880@evil.example",
            "evil.example:6880",
            "home.example.evil",
            "x",
            "0.0.0.0:6880",
            "localhost.:6880",
        ] {
            assert!(!hosts.is_host(host, LOCAL), "{host}");
        }
    }

    #[test]
    fn on_all_addresses_the_one_that_was_connected_to_counts() {
        let hosts = Hosts::new("0.0.0.0:80".parse().unwrap(), false, &[]);
        let local = "192.168.1.5".parse().unwrap();
        assert!(hosts.is_host("192.168.1.5", local) && hosts.is_host("192.168.1.5:80", local));
        assert!(!hosts.is_host("192.168.1.6", local));
        let v6 = Hosts::new("[::]:81".parse().unwrap(), false, &[]);
        assert!(v6.is_host("192.168.1.5:81", "::ffff:192.168.1.5".parse().unwrap()));
    }

    #[test]
    fn an_origin_is_the_host_itself_with_our_scheme() {
        let plain = Hosts::new("127.0.0.1:6880".parse().unwrap(), false, &["home.example".into()]);
        assert!(plain.is_origin("http://localhost:6880", "localhost:6880"));
        assert!(plain.is_origin("https://home.example", "home.example"), "a proxy adds TLS");
        for origin in [
            "null",
            "",
            "http://localhost:3000",
            "https://localhost:6880",
            "http://localhost:6880.evil",
            "http://127.0.0.1:6880",
        ] {
            assert!(!plain.is_origin(origin, "localhost:6880"), "{origin}");
        }
        let tls = Hosts::new("127.0.0.1:6880".parse().unwrap(), true, &[]);
        assert!(tls.is_origin("https://localhost:6880", "localhost:6880"));
        assert!(!tls.is_origin("http://localhost:6880", "localhost:6880"));
    }
}
