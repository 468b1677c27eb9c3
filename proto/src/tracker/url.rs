//! Announce URLs: which of them we can use, and their parts.

use std::fmt;

/// The longest announce URL that is accepted, in bytes: what servers and proxies take.
pub const MAX_URL: usize = 2_048;

/// How a tracker is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// BEP 15.
    Udp,
}

/// An announce URL that we can use. Scheme and host are in lower case and there is no fragment, so equal trackers
/// mostly compare equal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackerUrl {
    text: String,
    /// Where path and query start in `text`.
    target: usize,
}

/// Why an announce URL cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Longer than [`MAX_URL`].
    #[error("the tracker's URL is longer than {MAX_URL} bytes")]
    Long,
    /// A blank, a control character, a quote or an angle bracket.
    #[error("the tracker's URL has a character that no URL may have")]
    Character,
    /// No scheme, or another one.
    #[error("a tracker's URL starts with http://, https:// or udp://")]
    Scheme,
    /// No host, or not the form of one.
    #[error("the tracker's URL names no host")]
    Host,
    /// A port that is no number from 1 to 65535, or none at all for UDP.
    #[error("the tracker's URL has no valid port")]
    Port,
}

impl TrackerUrl {
    /// Checks a URL.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        if text.len() > MAX_URL {
            return Err(UrlError::Long);
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || "\"<>\\^`{|}".contains(c)) {
            return Err(UrlError::Character);
        }
        let text = text.split('#').next().unwrap_or_default();
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = scheme.to_ascii_lowercase();
        if !["http", "https", "udp"].contains(&scheme.as_str()) {
            return Err(UrlError::Scheme);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) if scheme != "udp" => (format!("{user}@"), host),
            Some(_) => return Err(UrlError::Host),
            None => (String::new(), authority),
        };
        let text = format!("{scheme}://{user}{}{target}", host.to_ascii_lowercase());
        let url = Self { target: text.len() - target.len(), text };
        url.check_host()?;
        Ok(url)
    }

    fn check_host(&self) -> Result<(), UrlError> {
        let host = self.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let valid = if bracketed {
            bare.parse::<std::net::Ipv6Addr>().is_ok()
        } else {
            !host.contains(['[', ']', ':', '%'])
        };
        if host.is_empty() || !valid {
            return Err(UrlError::Host);
        }
        self.port().map(drop).ok_or(UrlError::Port)
    }

    /// The whole URL.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How the tracker is spoken to.
    pub fn scheme(&self) -> Scheme {
        match self.text.as_bytes() {
            [b'u', ..] => Scheme::Udp,
            [b'h', b't', b't', b'p', b's', ..] => Scheme::Https,
            _ => Scheme::Http,
        }
    }

    /// Host and port, without a user's name.
    fn authority(&self) -> &str {
        let start = self.text.find("://").map_or(0, |at| at + 3);
        let authority = self.text.get(start..self.target).unwrap_or_default();
        authority.rsplit_once('@').map_or(authority, |(_, host)| host)
    }

    /// The host: a name, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        split_port(self.authority()).0
    }

    /// The port; that of the scheme if none is named. `None` cannot come from a URL that [`TrackerUrl::parse`] accepted.
    pub fn port(&self) -> Option<u16> {
        match (split_port(self.authority()).1, self.scheme()) {
            (Some(port), _) => port.parse().ok().filter(|port| *port != 0),
            (None, Scheme::Http) => Some(80),
            (None, Scheme::Https) => Some(443),
            (None, Scheme::Udp) => None,
        }
    }

    /// Path and query, as in the text; may be empty.
    pub fn target(&self) -> &str {
        self.text.get(self.target..).unwrap_or_default()
    }

    /// The URL to scrape at by the convention of BEP 48: the last part of the path must start with `announce`, and
    /// `scrape` takes its place. `None` if it does not. For UDP it is the same URL.
    pub fn scrape(&self) -> Option<Self> {
        if self.scheme() == Scheme::Udp {
            return Some(self.clone());
        }
        let path = self.target().split('?').next().unwrap_or_default();
        let last = self.target + path.rfind('/')? + 1;
        let (head, tail) = self.text.split_at_checked(last)?;
        let text = format!("{head}scrape{}", tail.strip_prefix("announce")?);
        Some(Self { text, target: self.target })
    }
}

/// Host and port of an authority. A colon within brackets is part of the host.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

impl fmt::Display for TrackerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TrackerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts() {
        let url = TrackerUrl::parse(" UDP://Tracker.Example:1337/Announce?a=B#frag ").unwrap();
        assert_eq!(url.as_str(), "udp://tracker.example:1337/Announce?a=B");
        assert_eq!((url.scheme(), url.host(), url.port()), (Scheme::Udp, "tracker.example", Some(1337)));
        assert_eq!(url.target(), "/Announce?a=B");
        let url = TrackerUrl::parse("https://Me:Pw@[2001:DB8::1]/announce").unwrap();
        assert_eq!(url.as_str(), "https://Me:Pw@[2001:db8::1]/announce");
        assert_eq!((url.scheme(), url.host(), url.port()), (Scheme::Https, "[2001:db8::1]", Some(443)));
        assert_eq!(TrackerUrl::parse("http://t?x").unwrap().target(), "?x");
    }

    #[test]
    fn what_is_refused() {
        let cases = [
            ("ftp://t/announce", UrlError::Scheme),
            ("t/announce", UrlError::Scheme),
            ("http:///announce", UrlError::Host),
            ("http://[::1/announce", UrlError::Host),
            ("http://a:b:c/announce", UrlError::Host),
            ("udp://me@t:1", UrlError::Host),
            ("udp://t/announce", UrlError::Port),
            ("udp://t:0/announce", UrlError::Port),
            ("http://t:70000/", UrlError::Port),
            ("http://t/a b", UrlError::Character),
            ("http://t/a\r\nX: y", UrlError::Character),
        ];
        for (text, why) in cases {
            assert_eq!(TrackerUrl::parse(text), Err(why), "{text}");
        }
        assert_eq!(TrackerUrl::parse(&format!("http://t/{}", "x".repeat(MAX_URL))), Err(UrlError::Long));
    }

    /// The table of BEP 48.
    #[test]
    fn where_to_scrape() {
        let cases = [
            ("http://example.com/announce", Some("http://example.com/scrape")),
            ("http://example.com/x/announce", Some("http://example.com/x/scrape")),
            ("http://example.com/announce.php", Some("http://example.com/scrape.php")),
            ("http://example.com/a", None),
            ("http://example.com/announce?x2%0644", Some("http://example.com/scrape?x2%0644")),
            ("http://example.com/x%064announce", None),
            ("http://example.com", None),
        ];
        for (announce, scrape) in cases {
            let got = TrackerUrl::parse(announce).unwrap().scrape();
            assert_eq!(got.as_ref().map(TrackerUrl::as_str), scrape, "{announce}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "(http|udp)://[a-z\\[\\]:@/?.0-9]{0,30}|.*") {
            if let Ok(url) = TrackerUrl::parse(&text) {
                prop_assert!(!url.host().is_empty() && url.port().is_some());
                prop_assert_eq!(TrackerUrl::parse(url.as_str()), Ok(url.clone()));
                let _ = url.scrape();
            }
        }
    }
}
