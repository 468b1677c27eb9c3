//! Trackers over HTTP: URLs out, bencoded bodies in.

use super::{
    AnnounceEvent, AnnounceRequest, AnnounceResponse, MAX_PEERS, MAX_SENTENCE, MAX_TRACKER_ID, Retry, Scrape,
    TrackerError, TrackerUrl, usable,
};
use crate::{
    bencode::{Document, Limits, Value},
    compact,
    id::InfoHash,
    percent::Encoded,
    text::printable,
};
use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// The longest body that is worth reading, in bytes: two thousand peers in the old form with room to spare.
pub const MAX_BODY: usize = 1 << 20;

/// How many torrents one scrape may ask for: URLs get too long for servers beyond that.
pub const MAX_SCRAPE: usize = 30;

/// The URL to fetch for an announce. A query that the announce URL has already (a passkey, say) stays as it is.
pub fn announce_url(tracker: &TrackerUrl, request: &AnnounceRequest) -> String {
    let mut query = Query::on(tracker);
    query.bytes("info_hash", request.info_hash.as_bytes());
    query.bytes("peer_id", request.peer_id.as_bytes());
    query.plain("port", request.port);
    query.plain("uploaded", request.uploaded);
    query.plain("downloaded", request.downloaded);
    query.plain("left", request.left);
    query.plain("compact", 1);
    query.plain("numwant", request.numwant);
    query.plain("key", format_args!("{:08X}", request.key));
    if let Some(event) = request.event {
        query.plain("event", name(event));
    }
    if let Some(id) = &request.tracker_id {
        query.bytes("trackerid", id);
    }
    if let Some(ip) = request.ip {
        query.plain("ip", ip);
    }
    if let Some(ip) = request.ipv6 {
        query.bytes("ipv6", ip.to_string().as_bytes());
    }
    query.url
}

/// The URL to fetch for a scrape of at most [`MAX_SCRAPE`] torrents; `None` if the tracker has no such URL (BEP 48).
pub fn scrape_url(tracker: &TrackerUrl, torrents: &[InfoHash]) -> Option<String> {
    let mut query = Query::on(&tracker.scrape()?);
    for torrent in torrents.iter().take(MAX_SCRAPE) {
        query.bytes("info_hash", torrent.as_bytes());
    }
    Some(query.url)
}

const fn name(event: AnnounceEvent) -> &'static str {
    match event {
        AnnounceEvent::Started => "started",
        AnnounceEvent::Completed => "completed",
        AnnounceEvent::Stopped => "stopped",
    }
}

/// A URL whose query is being added to.
struct Query {
    url: String,
}

impl Query {
    fn on(tracker: &TrackerUrl) -> Self {
        Self { url: tracker.as_str().to_owned() }
    }

    /// Starts a parameter.
    fn key(&mut self, key: &str) {
        match (self.url.contains('?'), self.url.ends_with(['?', '&'])) {
            (false, _) => self.url.push('?'),
            (true, false) => self.url.push('&'),
            (true, true) => {}
        }
        self.url.push_str(key);
        self.url.push('=');
    }

    /// A value that needs no escapes.
    fn plain(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(key);
        // Writing to a string cannot fail.
        let _ = write!(self.url, "{value}");
    }

    /// A value of any bytes.
    fn bytes(&mut self, key: &str, value: &[u8]) {
        self.plain(key, Encoded(value));
    }
}

/// Reads the body of an answer to an announce.
///
/// # Errors
/// The tracker's own refusal, or [`TrackerError::Malformed`]. A key whose value is of the wrong kind counts as absent.
pub fn parse_announce(body: &[u8]) -> Result<AnnounceResponse, TrackerError> {
    let document = decode(body)?;
    let root = answer(&document)?;
    let peers = root.dict_get(b"peers");
    let v4 = peers.and_then(|peers| peers.as_str_bytes()).unwrap_or_default();
    let v6 = root.dict_bytes(b"peers6").unwrap_or_default();
    let listed = peers.into_iter().flat_map(|peers| peers.list()).filter_map(peer);
    let all = usable(compact::v4(v4)).chain(usable(listed)).chain(usable(compact::v6(v6)));
    Ok(AnnounceResponse {
        interval: seconds(root, b"interval"),
        min_interval: seconds(root, b"min interval"),
        seeders: count(root, b"complete"),
        leechers: count(root, b"incomplete"),
        downloaded: count(root, b"downloaded"),
        peers: all.take(MAX_PEERS).collect(),
        warning: sentence(root, b"warning message"),
        tracker_id: root
            .dict_bytes(b"tracker id")
            .filter(|id| !id.is_empty() && id.len() <= MAX_TRACKER_ID)
            .map(<[u8]>::to_vec),
        external_ip: root.dict_bytes(b"external ip").and_then(ip),
    })
}

/// Reads the body of an answer to a scrape: one entry for each of `torrents`, `None` where the tracker says nothing of it.
pub fn parse_scrape(body: &[u8], torrents: &[InfoHash]) -> Result<Vec<Option<Scrape>>, TrackerError> {
    let document = decode(body)?;
    let files = answer(&document)?.dict_get(b"files").filter(Value::is_dict);
    let files = files.ok_or(TrackerError::Malformed("no `files`"))?;
    let entry = |torrent: &InfoHash| {
        let file = files.dict_get(torrent.as_bytes()).filter(Value::is_dict)?;
        Some(Scrape {
            seeders: count(file, b"complete").unwrap_or(0),
            leechers: count(file, b"incomplete").unwrap_or(0),
            downloaded: count(file, b"downloaded").unwrap_or(0),
        })
    };
    Ok(torrents.iter().take(MAX_SCRAPE).map(entry).collect())
}

fn decode(body: &[u8]) -> Result<Document<'_>, TrackerError> {
    if body.len() > MAX_BODY {
        return Err(TrackerError::Malformed("too long"));
    }
    // Some trackers end their answer with a line break; nothing after the value counts.
    let (document, _) = Document::decode_prefix(body, Limits::TRACKER)
        .map_err(|_| TrackerError::Malformed("not bencoded"))?;
    Ok(document)
}

/// The dictionary of an answer that is no refusal.
fn answer<'a>(document: &'a Document<'_>) -> Result<Value<'a>, TrackerError> {
    let root = document.root();
    if !root.is_dict() {
        return Err(TrackerError::Malformed("not a dictionary"));
    }
    match root.dict_get(b"failure reason") {
        None => Ok(root),
        Some(_) => {
            let reason =
                sentence(root, b"failure reason").unwrap_or_else(|| "refused without a reason".to_owned());
            Err(TrackerError::Failure { reason, retry: root.dict_get(b"retry in").and_then(retry) })
        }
    }
}

/// BEP 31: minutes, as an integer or as text, or `never`.
fn retry(value: Value<'_>) -> Option<Retry> {
    let minutes = match value.as_str() {
        Some("never") => return Some(Retry::Never),
        Some(text) => text.parse::<u32>().ok()?,
        None => value.as_num::<u32>()?,
    };
    Some(Retry::In(Duration::from_secs(u64::from(minutes) * 60)))
}

/// A peer in the old form: a dictionary with an address as text. Names that would have to be looked up are passed over.
fn peer(entry: Value<'_>) -> Option<SocketAddr> {
    let ip: IpAddr = entry.dict_str(b"ip")?.parse().ok()?;
    Some(SocketAddr::new(ip, entry.dict_get(b"port")?.as_num()?))
}

fn seconds(root: Value<'_>, key: &[u8]) -> Option<Duration> {
    count(root, key).map(|seconds| Duration::from_secs(seconds.into()))
}

fn count(root: Value<'_>, key: &[u8]) -> Option<u32> {
    root.dict_get(key)?.as_num()
}

fn sentence(root: Value<'_>, key: &[u8]) -> Option<String> {
    root.dict_bytes(key).map(|text| printable(text, MAX_SENTENCE)).filter(|text| !text.is_empty())
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests;
