//! opentracker: HTTP and UDP on one port.

use crate::{Lab, Process, Torrent, http, wait_until};
use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

/// opentracker's own default.
const PORT: u16 = 6969;

/// An opentracker that serves the given torrents only (Debian builds it with a whitelist).
pub struct OpenTracker {
    _process: Process,
    addr: SocketAddr,
}

impl OpenTracker {
    /// Starts it as host number `host`.
    pub fn start(lab: &Lab, host: u16, torrents: &[&Torrent]) -> Self {
        let ip = lab.host(host).ip();
        let name = format!("opentracker-{host}");
        let dir = lab.dir(&name);
        let list: String = torrents.iter().map(|torrent| torrent.id() + "\n").collect();
        std::fs::write(dir.join("whitelist"), list).expect("whitelist");
        let port = PORT.to_string();
        let (ip_arg, dir_arg) = (ip.to_string(), dir.display().to_string());
        let args = ["-i", &ip_arg, "-p", &port, "-P", &port, "-d", &dir_arg, "-w", "whitelist"];
        let process = Process::start(&dir, &name, Path::new("opentracker"), &args);
        let addr = SocketAddr::new(ip, PORT);
        wait_until("opentracker to listen", Duration::from_secs(10), || TcpStream::connect(addr).is_ok());
        Self { _process: process, addr }
    }

    /// How many seeds of a torrent have announced themselves, by a scrape.
    pub fn seeds(&self, torrent: &Torrent) -> u64 {
        const KEY: &[u8] = b"8:completei";
        let hash: String = torrent.info_hash.iter().map(|byte| format!("%{byte:02x}")).collect();
        let reply =
            http::get(self.addr, &format!("/scrape?info_hash={hash}"), &[]).expect("opentracker's answer");
        let Some(at) = reply.body.windows(KEY.len()).position(|window| window == KEY) else { return 0 };
        let digits = reply.body[at + KEY.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, |n, digit| n * 10 + u64::from(digit - b'0'))
    }

    /// The announce URL over HTTP of the one that is host number `host`.
    pub fn http(lab: &Lab, host: u16) -> String {
        format!("http://{}:{PORT}/announce", ip(lab, host))
    }

    /// The announce URL over UDP of the one that is host number `host`.
    pub fn udp(lab: &Lab, host: u16) -> String {
        format!("udp://{}:{PORT}/announce", ip(lab, host))
    }
}

fn ip(lab: &Lab, host: u16) -> IpAddr {
    lab.host(host).ip()
}
