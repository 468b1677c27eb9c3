//! The one factory of sockets, so that `--bind` holds for all of them.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};
use tokio::net::{TcpListener, TcpSocket, UdpSocket};

/// Connections that the kernel keeps for us until we accept them.
const BACKLOG: u32 = 1024;

/// Makes every socket that btd opens towards peers and trackers.
#[derive(Clone, Debug)]
pub(crate) struct Sockets {
    bind: Arc<[IpAddr]>,
}

impl Sockets {
    /// A factory for sockets bound to `bind`; if empty, to any address.
    pub(crate) fn new(bind: Vec<IpAddr>) -> Self {
        Self { bind: bind.into() }
    }

    /// The addresses to listen on.
    fn listen_addrs(&self) -> Vec<IpAddr> {
        if self.bind.is_empty() {
            vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]
        } else {
            self.bind.to_vec()
        }
    }

    /// The address that a socket towards `to` is bound to; an error if `--bind` names none of its family.
    fn source_for(&self, to: IpAddr) -> io::Result<Option<IpAddr>> {
        if self.bind.is_empty() || to.is_loopback() && self.bind.iter().all(|ip| !ip.is_loopback()) {
            return Ok(None);
        }
        match self.bind.iter().find(|ip| ip.is_ipv4() == to.is_ipv4()) {
            Some(ip) => Ok(Some(*ip)),
            None => {
                Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "--bind names no address of this family"))
            }
        }
    }

    /// A socket to dial `to` with.
    pub(crate) fn tcp(&self, to: SocketAddr) -> io::Result<TcpSocket> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(ip) = self.source_for(to.ip())? {
            socket.bind(SocketAddr::new(ip, 0))?;
        }
        Ok(socket)
    }

    /// Listens for peers on every address of `--bind`, or on all of both families. IPv6 may be missing on the machine;
    /// IPv4 may not.
    pub(crate) fn listeners(&self, port: u16) -> Result<Vec<TcpListener>, crate::gate::ListenError> {
        let mut listeners = Vec::new();
        for ip in self.listen_addrs() {
            let addr = SocketAddr::new(ip, port);
            match listener(addr) {
                Ok(listener) => listeners.push(listener),
                Err(error) if ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && !listeners.is_empty() => {
                    tracing::debug!("no IPv6 here: {error}");
                }
                Err(error) => return Err(crate::gate::ListenError { addr, error }),
            }
        }
        Ok(listeners)
    }

    /// The address of one family that `--bind` names: `None` if it names none at all, so that any will do; an error if it
    /// names only others.
    pub(crate) fn bound(&self, v4: bool) -> io::Result<Option<IpAddr>> {
        let ip = self.bind.iter().copied().find(|ip| ip.is_ipv4() == v4);
        if ip.is_none() && !self.bind.is_empty() {
            let text = "--bind names no address of this family";
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, text));
        }
        Ok(ip)
    }

    /// A UDP socket of one family on `port` (0: any), bound as `--bind` says.
    pub(crate) fn udp(&self, v4: bool, port: u16) -> io::Result<UdpSocket> {
        let any = if v4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        let ip = self.bound(v4)?.unwrap_or(any);
        let domain = if v4 { socket2::Domain::IPV4 } else { socket2::Domain::IPV6 };
        let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
        if !v4 {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::new(ip, port).into())?;
        UdpSocket::from_std(socket.into())
    }
}

fn listener(addr: SocketAddr) -> io::Result<TcpListener> {
    let domain = if addr.is_ipv4() { socket2::Domain::IPV4 } else { socket2::Domain::IPV6 };
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG as i32)?;
    TcpListener::from_std(socket.into())
}
