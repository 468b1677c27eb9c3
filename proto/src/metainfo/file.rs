//! The torrent file around the `info` dictionary.

use super::{
    Info, MetainfoError, display_text,
    v2::{PieceLayers, read_layers},
};
use crate::bencode::{Document, Encoder, Limits, Value};
use bytes::Bytes;
use std::collections::BTreeMap;

/// Most tracker addresses that are kept; lists on the web run to some hundreds.
const MAX_TRACKERS: usize = 512;
/// Most web seeds that are kept.
const MAX_WEB_SEEDS: usize = 128;
/// Most DHT nodes that are kept; the specification suggests eight.
const MAX_NODES: usize = 64;
/// Longest URL that is kept, in bytes: what web servers take.
const MAX_URL: usize = 8192;
/// Longest host name (RFC 1035), in bytes.
const MAX_HOST: usize = 253;
/// Longest comment that is kept, in bytes.
const MAX_TEXT: usize = 16 << 10;

/// A DHT node named in a torrent file (BEP 5): host and port.
pub type NodeAddr = (String, u16);

/// A torrent file.
///
/// The fields may be changed; [`Metainfo::to_bytes`] then writes what was changed anew and everything else, known or
/// not, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metainfo {
    /// What the torrent consists of.
    pub info: Info,
    /// Everything else that we know.
    pub outer: Outer,
    /// As read: what was changed since is told by comparing.
    original: Outer,
    /// All keys but `info`, with the raw bytes of their values.
    raw: BTreeMap<Vec<u8>, Bytes>,
}

/// What a torrent file says outside `info`: how to find the data, and remarks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outer {
    /// Tracker URLs in tiers (BEP 12); a lone `announce` is one tier of one.
    pub trackers: Vec<Vec<String>>,
    /// `url-list` (BEP 19).
    pub web_seeds: Vec<String>,
    /// `nodes` (BEP 5).
    pub nodes: Vec<NodeAddr>,
    /// `comment`.
    pub comment: Option<String>,
    /// `created by`.
    pub created_by: Option<String>,
    /// `creation date` in Unix seconds.
    pub creation_date: Option<i64>,
}

impl std::ops::Deref for Metainfo {
    type Target = Outer;

    fn deref(&self) -> &Outer {
        &self.outer
    }
}

impl Metainfo {
    /// Reads a torrent file. Bytes after its dictionary are ignored, as other clients do.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetainfoError> {
        Self::parse_with(bytes, Info::from_value)
    }

    /// [`Metainfo::parse`], but a torrent of version 2 alone is read too; see [`Info::parse_any`].
    pub fn parse_any(bytes: &[u8]) -> Result<Self, MetainfoError> {
        Self::parse_with(bytes, Info::from_any_value)
    }

    fn parse_with(
        bytes: &[u8],
        read_info: impl FnOnce(Value<'_>) -> Result<Info, MetainfoError>,
    ) -> Result<Self, MetainfoError> {
        let (document, _) = Document::decode_prefix(bytes, Limits::METAINFO)?;
        let root = document.root();
        let info = root.dict_get(b"info").ok_or(MetainfoError::NoInfo)?;
        let mut raw = BTreeMap::new();
        for (key, value) in root.dict().filter(|(key, _)| *key != b"info") {
            raw.entry(key.to_vec()).or_insert_with(|| Bytes::copy_from_slice(value.raw()));
        }
        let outer = Outer::read(root);
        Ok(Self { info: read_info(info)?, original: outer.clone(), outer, raw })
    }

    /// A torrent file for an `info` dictionary that came from elsewhere, such as a magnet link's peers.
    pub fn new(info: Info, outer: Outer) -> Self {
        Self { info, outer, original: Outer::default(), raw: BTreeMap::new() }
    }

    /// `piece layers` (BEP 52): for each file longer than a piece, by its root, the roots of its pieces. Empty if there are none.
    /// Whether they lead to the file's root is for the caller to check.
    pub fn piece_layers(&self) -> Result<PieceLayers, MetainfoError> {
        self.raw
            .get(&b"piece layers"[..])
            .map_or_else(|| Ok(PieceLayers::new()), |layers| read_layers(layers))
    }

    /// The torrent file with the changes made to its fields.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut entries = self.raw.clone();
        let info = self.info.raw().clone();
        self.outer.write_changes(&self.original, &mut entries);
        entries.insert(b"info".to_vec(), info);
        let mut encoder = Encoder::new();
        encoder.dict(|d| entries.iter().for_each(|(key, value)| d.raw(key, value)));
        encoder.finish()
    }
}

impl Outer {
    fn read(root: Value<'_>) -> Self {
        let text = |key: &[u8], utf8: &[u8]| {
            let bytes = root.dict_bytes(utf8).or_else(|| root.dict_bytes(key))?;
            Some(display_text(bytes, MAX_TEXT))
        };
        Self {
            trackers: read_trackers(root),
            web_seeds: read_web_seeds(root),
            nodes: read_nodes(root),
            comment: text(b"comment", b"comment.utf-8"),
            created_by: text(b"created by", b"created by.utf-8"),
            creation_date: root.dict_int(b"creation date"),
        }
    }

    fn write_changes(&self, original: &Self, entries: &mut BTreeMap<Vec<u8>, Bytes>) {
        let mut set = |key: &[u8], value: Option<Vec<u8>>| match value {
            Some(value) => drop(entries.insert(key.to_vec(), value.into())),
            None => drop(entries.remove(key)),
        };
        if self.trackers != original.trackers {
            let first = self.trackers.iter().flatten().next();
            set(b"announce", first.map(|url| encoded(|e| e.bytes(url.as_bytes()))));
            let several = self.trackers.iter().flatten().nth(1).is_some();
            set(b"announce-list", several.then(|| write_tiers(&self.trackers)));
        }
        if self.web_seeds != original.web_seeds {
            set(b"url-list", (!self.web_seeds.is_empty()).then(|| write_urls(&self.web_seeds)));
        }
        if self.nodes != original.nodes {
            set(b"nodes", (!self.nodes.is_empty()).then(|| write_nodes(&self.nodes)));
        }
        for (key, utf8, now, then) in [
            (&b"comment"[..], &b"comment.utf-8"[..], &self.comment, &original.comment),
            (b"created by", b"created by.utf-8", &self.created_by, &original.created_by),
        ] {
            if now != then {
                set(key, now.as_ref().map(|text| encoded(|e| e.bytes(text.as_bytes()))));
                set(utf8, None);
            }
        }
        if self.creation_date != original.creation_date {
            set(b"creation date", self.creation_date.map(|date| encoded(|e| e.int(date))));
        }
    }
}

fn encoded(write: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let mut encoder = Encoder::new();
    write(&mut encoder);
    encoder.finish()
}

fn write_tiers(tiers: &[Vec<String>]) -> Vec<u8> {
    encoded(|e| {
        e.list(|l| {
            for tier in tiers.iter().filter(|tier| !tier.is_empty()) {
                l.list(|l| tier.iter().for_each(|url| l.bytes(url.as_bytes())));
            }
        });
    })
}

fn write_urls(urls: &[String]) -> Vec<u8> {
    encoded(|e| e.list(|l| urls.iter().for_each(|url| l.bytes(url.as_bytes()))))
}

fn write_nodes(nodes: &[NodeAddr]) -> Vec<u8> {
    encoded(|e| {
        e.list(|l| {
            for (host, port) in nodes {
                l.list(|l| {
                    l.bytes(host.as_bytes());
                    l.int(i64::from(*port));
                });
            }
        });
    })
}

/// A URL that is plain text of bearable length; others are left out.
fn read_url(value: Value<'_>) -> Option<String> {
    let url = value.as_str()?.trim();
    let plain =
        !url.is_empty() && url.len() <= MAX_URL && !url.contains(|c: char| c.is_control() || c == ' ');
    plain.then(|| url.to_owned())
}

/// `announce-list`, or else `announce` (BEP 12). A URL that was seen before is left out.
fn read_trackers(root: Value<'_>) -> Vec<Vec<String>> {
    let mut seen = std::collections::BTreeSet::new();
    let mut tiers = Vec::new();
    for tier in root.dict_get(b"announce-list").into_iter().flat_map(|list| list.list()) {
        let mut urls: Vec<String> = Vec::new();
        // Some writers put the URLs straight into the outer list.
        for url in std::iter::once(tier).filter(|v| !v.is_list()).chain(tier.list()).filter_map(read_url) {
            if seen.len() < MAX_TRACKERS && seen.insert(url.clone()) {
                urls.push(url);
            }
        }
        if !urls.is_empty() {
            tiers.push(urls);
        }
    }
    if tiers.is_empty() {
        tiers.extend(root.dict_get(b"announce").and_then(read_url).map(|url| vec![url]));
    }
    tiers
}

/// `url-list` is one URL or a list of them.
fn read_web_seeds(root: Value<'_>) -> Vec<String> {
    let Some(list) = root.dict_get(b"url-list") else { return Vec::new() };
    let urls = std::iter::once(list).filter(|v| !v.is_list()).chain(list.list());
    urls.filter_map(read_url).take(MAX_WEB_SEEDS).collect()
}

fn read_nodes(root: Value<'_>) -> Vec<NodeAddr> {
    let read = |node: Value<'_>| {
        let mut parts = node.list();
        let host = parts.next()?.as_str().filter(|host| !host.is_empty() && host.len() <= MAX_HOST)?;
        let port = parts.next()?.as_num::<u16>().filter(|port| *port != 0)?;
        let plain = !host.contains(|c: char| c.is_control() || c.is_whitespace());
        plain.then(|| (host.to_owned(), port))
    };
    root.dict_get(b"nodes")
        .into_iter()
        .flat_map(|nodes| nodes.list())
        .filter_map(read)
        .take(MAX_NODES)
        .collect()
}
