//! `ut_pex` (BEP 11): peers tell each other whom they are connected to.

use super::bad;
use crate::{
    bencode::{Document, Encoder, Limits, Value},
    compact,
    wire::WireError,
};
use std::net::SocketAddr;

/// How many peers of one message are read, of each list and address family. BEP 11 asks senders to keep to 50;
/// some send more in their first message.
pub const MAX_PEX_PEERS: usize = 200;

/// The bits of [`PexPeer::flags`] (BEP 11).
pub mod pex_flags {
    /// Prefers encryption.
    pub const ENCRYPTION: u8 = 0x01;
    /// Is a seed, or uploads only.
    pub const SEED: u8 = 0x02;
    /// Speaks uTP.
    pub const UTP: u8 = 0x04;
    /// Speaks `ut_holepunch`.
    pub const HOLEPUNCH: u8 = 0x08;
    /// The sender connected to it, so it can be reached.
    pub const REACHABLE: u8 = 0x10;
}

/// A peer as another peer describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PexPeer {
    /// Where it is.
    pub addr: SocketAddr,
    /// What is said of it, see [`pex_flags`]; 0 if nothing is.
    pub flags: u8,
}

/// A message of `ut_pex`. At most [`MAX_PEX_PEERS`] of each list and family are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pex {
    /// Peers that the sender connected to since its last message; IPv4 first.
    pub added: Vec<PexPeer>,
    /// Peers that the sender lost since its last message; IPv4 first.
    pub dropped: Vec<SocketAddr>,
}

impl Pex {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, WireError> {
        let document =
            Document::decode(payload, Limits::MESSAGE).map_err(|_| bad("ut_pex", "not bencoded"))?;
        let root = document.root();
        if !root.is_dict() {
            return Err(bad("ut_pex", "not a dictionary"));
        }
        let mut pex = Self::default();
        let v4 = compact::v4(list(root, b"added")).take(MAX_PEX_PEERS);
        pex.added.extend(with_flags(v4, list(root, b"added.f")));
        let v6 = compact::v6(list(root, b"added6")).take(MAX_PEX_PEERS);
        pex.added.extend(with_flags(v6, list(root, b"added6.f")));
        pex.dropped.extend(compact::v4(list(root, b"dropped")).take(MAX_PEX_PEERS));
        pex.dropped.extend(compact::v6(list(root, b"dropped6")).take(MAX_PEX_PEERS));
        Ok(pex)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let [mut added4, mut flags4, mut added6, mut flags6, mut dropped4, mut dropped6] =
            [const { Vec::new() }; 6];
        for PexPeer { addr, flags } in &self.added {
            let (list, all) =
                if addr.is_ipv4() { (&mut added4, &mut flags4) } else { (&mut added6, &mut flags6) };
            compact::push(*addr, list);
            all.push(*flags);
        }
        for addr in &self.dropped {
            compact::push(*addr, if addr.is_ipv4() { &mut dropped4 } else { &mut dropped6 });
        }
        let mut encoder = Encoder::append_to(std::mem::take(out));
        encoder.dict(|d| {
            d.bytes(b"added", &added4);
            d.bytes(b"added.f", &flags4);
            d.bytes(b"added6", &added6);
            d.bytes(b"added6.f", &flags6);
            d.bytes(b"dropped", &dropped4);
            d.bytes(b"dropped6", &dropped6);
        });
        *out = encoder.finish();
    }
}

/// A list in compact form; empty if it is absent. Bytes after the last whole entry do not count.
fn list<'a>(root: Value<'a>, key: &[u8]) -> &'a [u8] {
    root.dict_bytes(key).unwrap_or_default()
}

fn with_flags<'a>(
    peers: impl Iterator<Item = SocketAddr> + 'a,
    flags: &'a [u8],
) -> impl Iterator<Item = PexPeer> + 'a {
    let flags = flags.iter().copied().chain(std::iter::repeat(0));
    peers.zip(flags).map(|(addr, flags)| PexPeer { addr, flags })
}
