//! aria2, by its JSON-RPC.

use super::Client;
use crate::{Lab, Process, Torrent, http, wait_for};
use serde_json::{Value, json};
use std::{collections::HashMap, net::SocketAddr, path::Path, time::Duration};

/// An aria2c.
pub struct Aria2 {
    process: Process,
    addr: SocketAddr,
    rpc: SocketAddr,
    /// aria2's own id for each torrent's id.
    gids: HashMap<String, String>,
}

impl Aria2 {
    /// Starts one as host number `host`.
    pub fn start(lab: &Lab, host: u16) -> Self {
        let (addr, rpc) = (lab.host(host), lab.rpc_addr());
        let name = format!("aria2-{host}");
        let args = [
            "--no-conf".into(),
            "--enable-rpc".into(),
            format!("--rpc-listen-port={}", rpc.port()),
            // aria2 listens on every address; the interface only decides where it connects and announces from.
            format!("--listen-port={}", addr.port() + host),
            format!("--interface={}", addr.ip()),
            // Without its DHT it cannot speak to UDP trackers either.
            "--enable-dht=true".into(),
            format!("--dht-listen-port={}", addr.port() + host),
            "--enable-dht6=false".into(),
            "--bt-enable-lpd=false".into(),
            "--seed-ratio=0".into(),
            "--file-allocation=none".into(),
            "--bt-tracker-interval=2".into(),
            "--bt-max-peers=0".into(),
            "--allow-overwrite=true".into(),
            "--check-integrity=true".into(),
            "--disable-ipv6=true".into(),
            "--rpc-max-request-size=64M".into(),
            "--enable-color=false".into(),
            "--show-console-readout=false".into(),
            "--summary-interval=0".into(),
        ];
        let process = Process::start(&lab.dir(&name), &name, Path::new("aria2c"), &args);
        wait_for("aria2 to answer", Duration::from_secs(20), || call(rpc, "aria2.getVersion", json!([])));
        let addr = SocketAddr::new(addr.ip(), addr.port() + host);
        Self { process, addr, rpc, gids: HashMap::new() }
    }

    /// What it says of a torrent.
    #[track_caller]
    pub fn status(&self, torrent: &Torrent) -> Value {
        let gid = &self.gids[&torrent.id()];
        call(self.rpc, "aria2.tellStatus", json!([gid])).expect("aria2's answer")
    }
}

fn call(rpc: SocketAddr, method: &str, params: Value) -> Option<Value> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut answer = http::post(rpc, "/jsonrpc", &[], &body).ok()?.json().ok()?;
    let result = answer.get_mut("result")?;
    Some(result.take())
}

impl Client for Aria2 {
    fn name(&self) -> &'static str {
        "aria2"
    }

    fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn add(&mut self, torrent: &Torrent, dir: &Path) {
        let params = json!([torrent.base64(), [], { "dir": dir }]);
        let gid = call(self.rpc, "aria2.addTorrent", params).expect("aria2's answer");
        self.gids.insert(torrent.id(), gid.as_str().expect("gid").to_owned());
    }

    fn is_complete(&mut self, torrent: &Torrent) -> bool {
        let status = self.status(torrent);
        status["seeder"] == "true" && status["completedLength"] == status["totalLength"]
    }
}
