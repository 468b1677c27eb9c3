//! `ut_metadata` (BEP 9): the `info` dictionary from peers, in blocks of 16 KiB.

use super::bad;
use crate::{
    bencode::{Document, Encoder, Limits},
    wire::WireError,
};
use bytes::Bytes;

/// The length of every block of metadata but the last, in bytes (BEP 9).
pub const METADATA_BLOCK: u32 = 16 * 1024;

/// A message of `ut_metadata`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// The sender asks for a block.
    Request {
        /// The block's index.
        block: u32,
    },
    /// A block, 1 to [`METADATA_BLOCK`] bytes long.
    Data {
        /// The block's index.
        block: u32,
        /// The length of all the metadata in bytes, if the sender says so.
        total: Option<u32>,
        /// The block's bytes.
        data: Bytes,
    },
    /// The sender does not give a block.
    Reject {
        /// The block's index.
        block: u32,
    },
}

const REQUEST: i64 = 0;
const DATA: i64 = 1;
const REJECT: i64 = 2;

impl Metadata {
    /// Reads a payload; `None` for a kind that BEP 9 does not know, which it says to ignore.
    pub(super) fn decode(payload: &[u8]) -> Result<Option<Self>, WireError> {
        const NAME: &str = "ut_metadata";
        let (document, used) =
            Document::decode_prefix(payload, Limits::MESSAGE).map_err(|_| bad(NAME, "not bencoded"))?;
        let root = document.root();
        let kind = root.dict_int(b"msg_type").ok_or(bad(NAME, "no kind"))?;
        let block = root.dict_get(b"piece").and_then(|index| index.as_num());
        let block = block.ok_or(bad(NAME, "no index"));
        match kind {
            REQUEST => Ok(Some(Self::Request { block: block? })),
            REJECT => Ok(Some(Self::Reject { block: block? })),
            DATA => {
                let data = payload.get(used..).unwrap_or_default();
                if data.is_empty() || data.len() > METADATA_BLOCK as usize {
                    return Err(bad(NAME, "a block is 1 to 16384 bytes"));
                }
                let total = root.dict_get(b"total_size").and_then(|size| size.as_num());
                Ok(Some(Self::Data { block: block?, total, data: Bytes::copy_from_slice(data) }))
            }
            _ => Ok(None),
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let (kind, block, total) = match self {
            Self::Request { block } => (REQUEST, *block, None),
            Self::Data { block, total, .. } => (DATA, *block, *total),
            Self::Reject { block } => (REJECT, *block, None),
        };
        let mut encoder = Encoder::append_to(std::mem::take(out));
        encoder.dict(|d| {
            d.int(b"msg_type", kind);
            d.int(b"piece", block.into());
            if let Some(total) = total {
                d.int(b"total_size", total.into());
            }
        });
        *out = encoder.finish();
        if let Self::Data { data, .. } = self {
            out.extend_from_slice(data);
        }
    }
}
