//! The extension protocol (BEP 10) and the extensions that we speak.

use bytes::Bytes;
use std::net::IpAddr;

/// A message of the extension protocol, told apart by the ids that the two ends agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extension {
    /// BEP 10: what the sender can do.
    Handshake(ExtHandshake),
    /// BEP 54: the sender no longer has a piece.
    DontHave(u32),
    /// An extension that we did not offer; ignored.
    Unknown,
}

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
    /// Keys that we do not know are kept out; the raw dictionary is not stored.
    pub raw_len: usize,
}

/// The message id of each extension at one end; `None` where it is not offered or was switched off with 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtIds {
    /// BEP 9.
    pub ut_metadata: Option<u8>,
    /// BEP 11.
    pub ut_pex: Option<u8>,
    /// BEP 54.
    pub lt_donthave: Option<u8>,
    /// BEP 55.
    pub ut_holepunch: Option<u8>,
}

/// An extension message as the wire has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawExt {
    /// The receiver's id for the extension; 0 is the handshake.
    pub id: u8,
    /// What follows the id.
    pub payload: Bytes,
}
