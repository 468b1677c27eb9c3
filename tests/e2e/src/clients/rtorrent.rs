//! rTorrent, headless, by XML-RPC over SCGI.

use super::Client;
use crate::{Lab, Process, Torrent, wait_until};
use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

/// An rTorrent.
pub struct Rtorrent {
    process: Process,
    addr: SocketAddr,
    socket: PathBuf,
}

impl Rtorrent {
    /// Starts one as host number `host`.
    pub fn start(lab: &Lab, host: u16) -> Self {
        let addr = lab.host(host);
        let name = format!("rtorrent-{host}");
        let dir = lab.dir(&name);
        let socket = dir.join("scgi");
        let (ip, port) = (addr.ip(), addr.port());
        let settings = format!(
            "system.daemon.set = true\n\
             network.scgi.open_local = {}\n\
             network.bind_address.set = {ip}\n\
             network.local_address.set = {ip}\n\
             network.port_range.set = {port}-{port}\n\
             network.port_random.set = no\n\
             dht.mode.set = disable\n\
             protocol.pex.set = no\n\
             protocol.encryption.set = none\n\
             throttle.max_uploads.set = 100\n\
             throttle.max_peers.normal.set = 200\n\
             throttle.max_peers.seed.set = 200\n\
             session.path.set = {}\n",
            socket.display(),
            lab.dir(&format!("{name}/session")).display(),
        );
        let rc = dir.join("rtorrent.rc");
        std::fs::write(&rc, settings).expect("settings");
        let option = format!("import={}", rc.display());
        let process = Process::start(&dir, &name, Path::new("rtorrent"), &["-n", "-o", &option]);
        let rtorrent = Self { process, addr, socket };
        wait_until("rTorrent to answer", Duration::from_secs(20), || {
            rtorrent.call("system.pid", &[]).is_ok_and(|answer| answer.contains("<i"))
        });
        rtorrent
    }

    /// Calls a method with parameters in XML; the answer's XML.
    pub fn call(&self, method: &str, params: &[String]) -> io::Result<String> {
        let params: String =
            params.iter().map(|value| format!("<param><value>{value}</value></param>")).collect();
        let body = format!(
            "<?xml version=\"1.0\"?><methodCall><methodName>{method}</methodName><params>{params}</params></methodCall>"
        );
        let head = format!("CONTENT_LENGTH\0{}\0SCGI\x001\0", body.len());
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.write_all(format!("{}:{head},{body}", head.len()).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// A property of a torrent that is a number.
    fn number(&self, method: &str, torrent: &Torrent) -> Option<i64> {
        let hash = format!("<string>{}</string>", torrent.id().to_uppercase());
        let answer = self.call(method, &[hash]).ok()?;
        let (_, after) = answer.split_once("<i8>").or_else(|| answer.split_once("<i4>"))?;
        after.split('<').next()?.parse().ok()
    }
}

impl Client for Rtorrent {
    fn name(&self) -> &'static str {
        "rtorrent"
    }

    fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn add(&mut self, torrent: &Torrent, dir: &Path) {
        let params = [
            "<string></string>".to_owned(),
            format!("<base64>{}</base64>", torrent.base64()),
            format!("<string>d.directory.set=\"{}\"</string>", dir.display()),
        ];
        let answer = self.call("load.raw_start", &params).expect("rTorrent's answer");
        assert!(!answer.contains("<fault>"), "{answer}");
    }

    fn is_complete(&mut self, torrent: &Torrent) -> bool {
        self.number("d.complete", torrent) == Some(1) && self.number("d.hashing", torrent) == Some(0)
    }
}
