//! The extension protocol (BEP 10) and the extensions that we speak.

mod handshake;
mod holepunch;
mod metadata;
mod pex;
#[cfg(test)]
mod tests;

pub use handshake::ExtHandshake;
pub use holepunch::{Holepunch, HolepunchError};
pub use metadata::{METADATA_BLOCK, Metadata};
pub use pex::{MAX_PEX_PEERS, Pex, PexPeer, pex_flags};

use super::WireError;

/// A message of the extension protocol, told apart by the ids that the two ends agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extension {
    /// BEP 10: what the sender can do.
    Handshake(ExtHandshake),
    /// BEP 9: the torrent's metadata, for who has only the info-hash.
    Metadata(Metadata),
    /// BEP 11: peers that the sender knows.
    Pex(Pex),
    /// BEP 54: the sender no longer has a piece.
    DontHave(u32),
    /// BEP 55: introductions of peers that cannot reach each other.
    Holepunch(Holepunch),
    /// An extension that we did not offer, or a kind of message that its BEP says to ignore.
    Unknown,
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

/// The ids that we listen to. Take one out where the extension is not to be offered, as `ut_pex` for a private torrent.
pub const LOCAL_IDS: ExtIds =
    ExtIds { ut_metadata: Some(1), ut_pex: Some(2), lt_donthave: Some(3), ut_holepunch: Some(4) };

/// The id of the extension handshake, always the same.
const HANDSHAKE_ID: u8 = 0;

impl Extension {
    /// Reads the payload of an extension message that came with `id`. `ids` are the ones that we offered.
    pub(super) fn decode(id: u8, payload: &[u8], ids: &ExtIds) -> Result<Self, WireError> {
        let id = Some(id);
        if id == Some(HANDSHAKE_ID) {
            ExtHandshake::decode(payload).map(Self::Handshake)
        } else if id == ids.ut_metadata {
            Metadata::decode(payload).map(|message| message.map_or(Self::Unknown, Self::Metadata))
        } else if id == ids.ut_pex {
            Pex::decode(payload).map(Self::Pex)
        } else if id == ids.lt_donthave {
            let piece = payload.try_into().map_err(|_| bad("lt_donthave", "payload is not 4 bytes"))?;
            Ok(Self::DontHave(u32::from_be_bytes(piece)))
        } else if id == ids.ut_holepunch {
            Holepunch::decode(payload).map(Self::Holepunch)
        } else {
            Ok(Self::Unknown)
        }
    }

    /// The id that this message goes out with, or `None` if it is not to be sent. `ids` are the receiver's.
    pub(super) fn id(&self, ids: &ExtIds) -> Option<u8> {
        match self {
            Self::Handshake(_) => Some(HANDSHAKE_ID),
            Self::Metadata(_) => ids.ut_metadata,
            Self::Pex(_) => ids.ut_pex,
            Self::DontHave(_) => ids.lt_donthave,
            Self::Holepunch(_) => ids.ut_holepunch,
            Self::Unknown => None,
        }
    }

    /// Appends the payload.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Handshake(shake) => shake.encode(out),
            Self::Metadata(message) => message.encode(out),
            Self::Pex(message) => message.encode(out),
            Self::DontHave(piece) => out.extend_from_slice(&piece.to_be_bytes()),
            Self::Holepunch(message) => message.encode(out),
            Self::Unknown => {}
        }
    }
}

const fn bad(name: &'static str, what: &'static str) -> WireError {
    WireError::Extension { name, what }
}
