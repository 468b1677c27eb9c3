//! `ut_holepunch` (BEP 55): a peer that both ends know introduces them to each other.

use crate::wire::WireError;
use std::net::{IpAddr, SocketAddr};

/// A message of `ut_holepunch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holepunch {
    /// To the relay: introduce us to this endpoint.
    Rendezvous(SocketAddr),
    /// From the relay: connect to this endpoint now.
    Connect(SocketAddr),
    /// From the relay: no introduction to this endpoint.
    Error(SocketAddr, HolepunchError),
}

/// Why a relay does not introduce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HolepunchError {
    /// 1: the target endpoint is invalid.
    #[error("no such peer")]
    NoSuchPeer,
    /// 2: the relay has no connection to the target.
    #[error("the relay is not connected to the peer")]
    NotConnected,
    /// 3: the target does not speak the extension.
    #[error("the peer does not support hole punching")]
    NoSupport,
    /// 4: the target is the relay itself.
    #[error("the peer is the relay itself")]
    NoSelf,
    /// A number that BEP 55 does not name.
    #[error("error {0}")]
    Other(u32),
}

const RENDEZVOUS: u8 = 0;
const CONNECT: u8 = 1;
const ERROR: u8 = 2;

const fn bad(what: &'static str) -> WireError {
    WireError::Extension { name: "ut_holepunch", what }
}

impl Holepunch {
    /// Reads a payload. The error code of the kinds that have none may be missing: libtorrent leaves it out.
    pub(super) fn decode(payload: &[u8]) -> Result<Self, WireError> {
        let (&[kind, family], rest) = payload.split_first_chunk().ok_or(bad("too short"))?;
        let (ip, rest) = match family {
            0 => rest.split_first_chunk::<4>().map(|(ip, rest)| (IpAddr::from(*ip), rest)),
            1 => rest.split_first_chunk::<16>().map(|(ip, rest)| (IpAddr::from(*ip), rest)),
            _ => return Err(bad("unknown address family")),
        }
        .ok_or(bad("too short"))?;
        let (port, rest) = rest.split_first_chunk().ok_or(bad("too short"))?;
        let addr = SocketAddr::new(ip, u16::from_be_bytes(*port));
        match kind {
            RENDEZVOUS => Ok(Self::Rendezvous(addr)),
            CONNECT => Ok(Self::Connect(addr)),
            ERROR => {
                let code = rest.first_chunk().ok_or(bad("too short"))?;
                Ok(Self::Error(addr, HolepunchError::from_code(u32::from_be_bytes(*code))))
            }
            _ => Err(bad("unknown kind")),
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let (kind, addr, code) = match self {
            Self::Rendezvous(addr) => (RENDEZVOUS, addr, 0),
            Self::Connect(addr) => (CONNECT, addr, 0),
            Self::Error(addr, error) => (ERROR, addr, error.code()),
        };
        out.push(kind);
        match addr.ip() {
            IpAddr::V4(ip) => {
                out.push(0);
                out.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                out.push(1);
                out.extend_from_slice(&ip.octets());
            }
        }
        out.extend_from_slice(&addr.port().to_be_bytes());
        out.extend_from_slice(&code.to_be_bytes());
    }
}

impl HolepunchError {
    const fn code(self) -> u32 {
        match self {
            Self::NoSuchPeer => 1,
            Self::NotConnected => 2,
            Self::NoSupport => 3,
            Self::NoSelf => 4,
            Self::Other(code) => code,
        }
    }

    const fn from_code(code: u32) -> Self {
        match code {
            1 => Self::NoSuchPeer,
            2 => Self::NotConnected,
            3 => Self::NoSupport,
            4 => Self::NoSelf,
            code => Self::Other(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let message = Holepunch::Error("1.2.3.4:258".parse().unwrap(), HolepunchError::NoSupport);
        let bytes = [2, 0, 1, 2, 3, 4, 1, 2, 0, 0, 0, 3];
        let mut out = Vec::new();
        message.encode(&mut out);
        assert_eq!(out, bytes);
        assert_eq!(Holepunch::decode(&bytes), Ok(message));
    }

    #[test]
    fn the_error_code_may_be_missing_only_where_it_says_nothing() {
        let mut bytes = vec![1, 1];
        bytes.extend_from_slice(&[0xfe; 16]);
        bytes.extend_from_slice(&[0x1a, 0xe1]);
        let want: SocketAddr = "[fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe]:6881".parse().unwrap();
        assert_eq!(Holepunch::decode(&bytes), Ok(Holepunch::Connect(want)));
        bytes[0] = 2;
        assert_eq!(Holepunch::decode(&bytes), Err(bad("too short")));
        bytes[1] = 2;
        assert_eq!(Holepunch::decode(&bytes), Err(bad("unknown address family")));
    }
}
