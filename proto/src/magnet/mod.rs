//! Magnet links (BEP 9, BEP 53): a torrent by its name alone.

#[cfg(test)]
mod tests;

use crate::{
    id::{InfoHash, from_hex, to_hex},
    metainfo::MAX_FILES,
    percent,
};
use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    str::FromStr,
};

/// Longest link in bytes. The longest ones about carry a hundred trackers.
pub const MAX_LENGTH: usize = 64 << 10;
/// Most trackers that are kept, as in a torrent file of reason.
pub const MAX_TRACKERS: usize = 256;
/// Most peers that are kept: enough to get into a swarm, which has more.
pub const MAX_PEERS: usize = 64;
/// Most web seeds that are kept.
pub const MAX_WEB_SEEDS: usize = 128;
/// Most ranges of files that may be chosen.
pub const MAX_RANGES: usize = 4096;
/// Longest name that is kept, in characters.
const MAX_NAME: usize = 512;
/// The prefix of a SHA-256 multihash: its code and its length.
const SHA2_256: &str = "1220";

/// What a magnet link says. At least one of the two hashes is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Magnet {
    /// `xt=urn:btih:`, in hexadecimal or base32: the torrent.
    pub info_hash: Option<InfoHash>,
    /// `xt=urn:btmh:`: the torrent's version 2 name (BEP 52). Alone, it names a v2-only torrent.
    pub v2_hash: Option<[u8; 32]>,
    /// `dn`: a name to show until the real one is known. It is not safe as a file name.
    pub name: Option<String>,
    /// `tr`: trackers, each its own tier. Without repetitions.
    pub trackers: Vec<String>,
    /// `x.pe`: peers.
    pub peers: Vec<Endpoint>,
    /// `ws`: web seeds.
    pub web_seeds: Vec<String>,
    /// `so` (BEP 53): the files to download, by position. Empty: all of them.
    pub files: Vec<RangeInclusive<u32>>,
}

/// A host, by name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name, or an address without brackets.
    pub host: String,
    /// Never 0.
    pub port: u16,
}

/// Why a text is not a magnet link that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MagnetError {
    /// It does not start with `magnet:?`.
    #[error("not a magnet link: it must start with `magnet:?`")]
    Scheme,
    /// It is over [`MAX_LENGTH`].
    #[error("the magnet link is longer than 64 KiB")]
    TooLong,
    /// No `xt` names a torrent.
    #[error("the magnet link names no torrent: it has no `xt=urn:btih:…`")]
    NoHash,
    /// An `xt=urn:btih:` or `urn:btmh:` is malformed.
    #[error("the magnet link's hash `{0}` is malformed: 40 hexadecimal or 32 base32 digits are expected")]
    Hash(String),
    /// Two different torrents are named.
    #[error("the magnet link names two different torrents")]
    TwoHashes,
    /// `so` is malformed or has too many ranges.
    #[error("the magnet link's choice of files `{0}` is malformed: something like `0,2,4-8` is expected")]
    Files(String),
}

impl Magnet {
    /// Reads a link. Parameters that are not known are ignored; trackers, peers and web seeds that are malformed or
    /// too many are left out, as the rest can do without them.
    pub fn parse(link: &str) -> Result<Self, MagnetError> {
        let link = link.trim();
        if link.len() > MAX_LENGTH {
            return Err(MagnetError::TooLong);
        }
        let query = match link.split_at_checked("magnet:?".len()) {
            Some((scheme, query)) if scheme.eq_ignore_ascii_case("magnet:?") => query,
            _ => return Err(MagnetError::Scheme),
        };
        let mut magnet = Self::default();
        for parameter in query.split('&') {
            // Links copied from a page's source have `&amp;` between their parameters.
            let parameter = parameter.strip_prefix("amp;").unwrap_or(parameter);
            if let Some((key, value)) = parameter.split_once('=') {
                magnet.parameter(key, value)?;
            }
        }
        if magnet.info_hash.is_none() && magnet.v2_hash.is_none() {
            return Err(MagnetError::NoHash);
        }
        Ok(magnet)
    }

    fn parameter(&mut self, key: &str, value: &str) -> Result<(), MagnetError> {
        match without_number(key) {
            "xt" => self.topic(&percent::decode(value, false)),
            "so" => self.choice(&percent::decode(value, false)),
            "dn" => {
                let name = percent::decode(value, true);
                let shown = name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect::<String>();
                if !shown.is_empty() {
                    self.name.get_or_insert(shown);
                }
                Ok(())
            }
            "tr" => {
                add_url(&mut self.trackers, &percent::decode(value, false), MAX_TRACKERS);
                Ok(())
            }
            "ws" => {
                add_url(&mut self.web_seeds, &percent::decode(value, false), MAX_WEB_SEEDS);
                Ok(())
            }
            // The dot is part of this name.
            _ if key == "x.pe" => {
                if let Ok(peer) = percent::decode(value, false).parse()
                    && self.peers.len() < MAX_PEERS
                    && !self.peers.contains(&peer)
                {
                    self.peers.push(peer);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// `xt`: other namespaces than ours are ignored.
    fn topic(&mut self, urn: &str) -> Result<(), MagnetError> {
        let malformed = || MagnetError::Hash(urn.chars().take(80).collect());
        if let Some(digits) = strip_prefix_any_case(urn, "urn:btih:") {
            let hash =
                from_hex(digits).or_else(|| from_base32(digits)).map(InfoHash).ok_or_else(malformed)?;
            set_once(&mut self.info_hash, hash)
        } else if let Some(multihash) = strip_prefix_any_case(urn, "urn:btmh:") {
            let hash = multihash.strip_prefix(SHA2_256).and_then(from_hex).ok_or_else(malformed)?;
            set_once(&mut self.v2_hash, hash)
        } else {
            Ok(())
        }
    }

    /// `so`: single numbers and ranges, with commas between.
    fn choice(&mut self, text: &str) -> Result<(), MagnetError> {
        let number = |digits: &str| digits.parse::<u32>().ok().filter(|n| (*n as usize) < MAX_FILES);
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let range = match part.split_once('-') {
                Some((first, last)) => number(first).zip(number(last)),
                None => number(part).map(|only| (only, only)),
            };
            match range {
                Some((first, last)) if first <= last && self.files.len() < MAX_RANGES => {
                    self.files.push(first..=last);
                }
                _ => return Err(MagnetError::Files(text.chars().take(80).collect())),
            }
        }
        Ok(())
    }
}

impl FromStr for Magnet {
    type Err = MagnetError;

    fn from_str(link: &str) -> Result<Self, MagnetError> {
        Self::parse(link)
    }
}

impl fmt::Display for Magnet {
    /// The link, fit for the command line's quotes and for any other client.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("magnet:?")?;
        let mut between = "";
        if let Some(hash) = self.info_hash {
            write!(f, "xt=urn:btih:{hash}")?;
            between = "&";
        }
        if let Some(hash) = self.v2_hash {
            write!(f, "{between}xt=urn:btmh:{SHA2_256}{}", to_hex(&hash))?;
        }
        if let Some(name) = &self.name {
            write!(f, "&dn={}", percent::Encoded(name.as_bytes()))?;
        }
        self.trackers.iter().try_for_each(|url| write!(f, "&tr={}", percent::Encoded(url.as_bytes())))?;
        self.web_seeds.iter().try_for_each(|url| write!(f, "&ws={}", percent::Encoded(url.as_bytes())))?;
        self.peers.iter().try_for_each(|peer| write!(f, "&x.pe={peer}"))?;
        for (at, range) in self.files.iter().enumerate() {
            f.write_str(if at == 0 { "&so=" } else { "," })?;
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{first}")?,
                (first, last) => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl Endpoint {
    /// The endpoint, if the host is an address and need not be looked up.
    pub fn addr(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host.parse::<IpAddr>().ok()?, self.port))
    }
}

/// A text is not `HOST:PORT` or `[ADDRESS]:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected HOST:PORT or [ADDRESS]:PORT")]
pub struct NotAnEndpoint;

impl FromStr for Endpoint {
    type Err = NotAnEndpoint;

    fn from_str(text: &str) -> Result<Self, NotAnEndpoint> {
        let (host, port) = text.rsplit_once(':').ok_or(NotAnEndpoint)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(NotAnEndpoint)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => inner.parse::<Ipv6Addr>().map_err(|_| NotAnEndpoint)?.to_string(),
            None if is_host_name(host) => host.to_owned(),
            None => return Err(NotAnEndpoint),
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Letters, digits, dots, hyphens and underscores, as long as DNS allows (RFC 1035).
fn is_host_name(host: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (1..=253).contains(&host.len()) && host.bytes().all(plain)
}

/// `tr.1` is `tr`.
fn without_number(key: &str) -> &str {
    match key.split_once('.') {
        Some((name, number)) if number.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => key,
    }
}

fn strip_prefix_any_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}

fn set_once<T: PartialEq>(slot: &mut Option<T>, value: T) -> Result<(), MagnetError> {
    match slot {
        Some(other) if *other != value => Err(MagnetError::TwoHashes),
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
}

fn add_url(urls: &mut Vec<String>, url: &str, max: usize) {
    let url = url.trim();
    let plain = url.contains("://") && !url.contains(|c: char| c.is_control() || c.is_whitespace());
    if plain && urls.len() < max && !urls.iter().any(|other| other == url) {
        urls.push(url.to_owned());
    }
}

/// Thirty-two base32 digits (RFC 4648) are 160 bits exactly.
fn from_base32(text: &str) -> Option<[u8; 20]> {
    let digits: &[u8; 32] = text.as_bytes().try_into().ok()?;
    let mut out = [0; 20];
    for (bytes, digits) in out.chunks_exact_mut(5).zip(digits.chunks_exact(8)) {
        let mut bits = 0u64;
        for digit in digits {
            let value = match digit.to_ascii_uppercase() {
                letter @ b'A'..=b'Z' => letter - b'A',
                number @ b'2'..=b'7' => number - b'2' + 26,
                _ => return None,
            };
            bits = bits << 5 | u64::from(value);
        }
        bytes.copy_from_slice(&bits.to_be_bytes()[3..]);
    }
    Some(out)
}
