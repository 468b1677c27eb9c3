//! What can go wrong with a call, and its one form on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal $text:literal,)*) => {
        /// What kind of failure a call met. The name goes as `data.kind` and never changes; the code is there for
        /// clients that look at nothing else.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum ErrorKind {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl ErrorKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The JSON-RPC error code.
            pub const fn code(self) -> i32 {
                match self { $(Self::$name => $code,)* }
            }

            /// The stable name, as in `data.kind`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The kind with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// A parameter is missing, unknown or out of range.
    InvalidParams = -32602 "invalid_params",
    /// A fault of btd itself.
    Internal = -32603 "internal",
    /// No such torrent, job, file or peer.
    NotFound = -32000 "not_found",
    /// The source is no torrent or magnet that can be used.
    InvalidTorrent = -32001 "invalid_torrent",
    /// It is there already.
    Duplicate = -32002 "duplicate",
    /// The disk is full, read-only, gone, or a file has changed.
    Disk = -32003 "disk",
    /// The caller may not do this.
    Denied = -32004 "denied",
    /// It cannot be done at this moment; try again later.
    Busy = -32005 "busy",
    /// btd cannot do this with this torrent, or not in this build or setting.
    Unsupported = -32006 "unsupported",
    /// A tracker could not be reached or refused.
    Tracker = -32007 "tracker",
    /// A limit of the daemon is reached.
    Limit = -32008 "limit",
    /// Something on the network could not be reached.
    Network = -32009 "network",
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A call failed: a kind for programs, and a sentence that a person can act on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, JsonSchema)]
#[error("{message}")]
pub struct RpcError {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// What is wrong and what to do.
    pub message: String,
}

impl RpcError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// No torrent has this id.
    pub fn no_torrent(id: impl fmt::Display) -> Self {
        Self::new(ErrorKind::NotFound, format!("no torrent {id}"))
    }
}

/// The `data` member of an error on the wire.
#[derive(Serialize, Deserialize)]
struct Data<K> {
    kind: K,
}

impl From<RpcError> for jsonrpsee::types::ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        Self::owned(error.kind.code(), error.message, Some(Data { kind: error.kind.name() }))
    }
}

impl From<&jsonrpsee::types::ErrorObject<'_>> for RpcError {
    /// The kind is `data.kind`, or, with an older or newer daemon, what the code says.
    fn from(error: &jsonrpsee::types::ErrorObject<'_>) -> Self {
        let named = error
            .data()
            .and_then(|data| serde_json::from_str::<Data<String>>(data.get()).ok())
            .and_then(|data| ErrorKind::from_name(&data.kind));
        let by_code = || ErrorKind::ALL.iter().copied().find(|kind| kind.code() == error.code());
        Self::new(named.or_else(by_code).unwrap_or(ErrorKind::Internal), error.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonrpsee::types::ErrorObjectOwned;

    #[test]
    fn every_kind_survives_the_wire() {
        for (at, &kind) in ErrorKind::ALL.iter().enumerate() {
            let error = RpcError::new(kind, "no space left on /srv");
            let object = ErrorObjectOwned::from(error.clone());
            let text = serde_json::to_string(&object).unwrap();
            assert!(text.contains(&format!(r#""data":{{"kind":"{kind}"}}"#)), "{text}");
            assert_eq!(RpcError::from(&serde_json::from_str::<ErrorObjectOwned>(&text).unwrap()), error);
            assert!(ErrorKind::ALL[..at].iter().all(|other| other.code() != kind.code()));
        }
    }

    #[test]
    fn a_foreign_error_is_named_by_its_code() {
        let object = ErrorObjectOwned::owned(-32000, "gone", None::<()>);
        assert_eq!(RpcError::from(&object).kind, ErrorKind::NotFound);
        let object = ErrorObjectOwned::owned(-1, "odd", Some("text"));
        assert_eq!(RpcError::from(&object).kind, ErrorKind::Internal);
    }
}
