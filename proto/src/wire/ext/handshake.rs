//! The extension handshake (BEP 10, with keys of BEP 9 and 21).

use super::{ExtIds, bad};
use crate::{
    bencode::{Document, Encoder, Limits, Value},
    text::printable,
    wire::WireError,
};
use std::net::IpAddr;

/// The longest client name that is kept, in characters: longer than any real one, short enough for a table.
const MAX_CLIENT: usize = 64;

/// What the extension handshake says (BEP 10, 21). Absent keys are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtHandshake {
    /// The extension ids that the sender listens to: `ut_metadata`, `ut_pex`, `lt_donthave`, `ut_holepunch`.
    /// Names that we do not know are dropped.
    pub ids: ExtIds,
    /// `v`: the client's name and version, cut to a sane length, safe to show.
    pub client: Option<String>,
    /// `p`: the port that the sender listens on.
    pub port: Option<u16>,
    /// `yourip`: our address as the sender sees it.
    pub your_ip: Option<IpAddr>,
    /// `reqq`: how many requests the sender keeps without dropping any.
    pub reqq: Option<u32>,
    /// `upload_only` (BEP 21): the sender does not want to download.
    pub upload_only: bool,
    /// `metadata_size` (BEP 9) in bytes.
    pub metadata_size: Option<u32>,
    /// The length of the dictionary as received, in bytes. Keys that we do not know are not kept.
    pub raw_len: usize,
}

impl ExtHandshake {
    /// Reads a payload. A key whose value is of the wrong kind or out of range counts as absent: clients differ too
    /// much to drop them for that.
    pub(super) fn decode(payload: &[u8]) -> Result<Self, WireError> {
        let document =
            Document::decode(payload, Limits::MESSAGE).map_err(|_| bad("handshake", "not bencoded"))?;
        let root = document.root();
        if !root.is_dict() {
            return Err(bad("handshake", "not a dictionary"));
        }
        let number = |key| root.dict_get(key).and_then(|value: Value<'_>| value.as_num::<u32>());
        Ok(Self {
            ids: root.dict_get(b"m").map(ids).unwrap_or_default(),
            client: root
                .dict_bytes(b"v")
                .map(|name| printable(name, MAX_CLIENT))
                .filter(|name| !name.is_empty()),
            port: root.dict_get(b"p").and_then(|value| value.as_num()).filter(|port| *port != 0),
            your_ip: root.dict_bytes(b"yourip").and_then(ip),
            reqq: number(b"reqq"),
            upload_only: root.dict_int(b"upload_only").is_some_and(|flag| flag != 0),
            metadata_size: number(b"metadata_size").filter(|size| *size != 0),
            raw_len: payload.len(),
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut encoder = Encoder::append_to(std::mem::take(out));
        encoder.dict(|d| {
            d.dict(b"m", |m| {
                let ids = [
                    (b"lt_donthave".as_slice(), self.ids.lt_donthave),
                    (b"ut_holepunch", self.ids.ut_holepunch),
                    (b"ut_metadata", self.ids.ut_metadata),
                    (b"ut_pex", self.ids.ut_pex),
                ];
                for (name, id) in ids {
                    if let Some(id) = id {
                        m.int(name, id.into());
                    }
                }
            });
            if let Some(size) = self.metadata_size {
                d.int(b"metadata_size", size.into());
            }
            if let Some(port) = self.port {
                d.int(b"p", port.into());
            }
            if let Some(reqq) = self.reqq {
                d.int(b"reqq", reqq.into());
            }
            if self.upload_only {
                d.int(b"upload_only", 1);
            }
            if let Some(client) = &self.client {
                d.bytes(b"v", client.as_bytes());
            }
            match self.your_ip {
                Some(IpAddr::V4(ip)) => d.bytes(b"yourip", &ip.octets()),
                Some(IpAddr::V6(ip)) => d.bytes(b"yourip", &ip.octets()),
                None => {}
            }
        });
        *out = encoder.finish();
    }
}

fn ids(names: Value<'_>) -> ExtIds {
    let id = |name: &[u8]| names.dict_get(name).and_then(|id| id.as_num()).filter(|id| *id != 0);
    ExtIds {
        ut_metadata: id(b"ut_metadata"),
        ut_pex: id(b"ut_pex"),
        lt_donthave: id(b"lt_donthave"),
        ut_holepunch: id(b"ut_holepunch"),
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => bytes.first_chunk::<4>().map(|ip| (*ip).into()),
        16 => bytes.first_chunk::<16>().map(|ip| (*ip).into()),
        _ => None,
    }
}
