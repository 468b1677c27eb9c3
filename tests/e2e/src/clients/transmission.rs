//! transmission-daemon, by its RPC.

use super::Client;
use crate::{Lab, Process, Torrent, http, wait_for};
use serde_json::{Value, json};
use std::{net::SocketAddr, path::Path, time::Duration};

/// A transmission-daemon.
pub struct Transmission {
    process: Process,
    addr: SocketAddr,
    rpc: SocketAddr,
    session: String,
}

impl Transmission {
    /// Starts one as host number `host`.
    pub fn start(lab: &Lab, host: u16) -> Self {
        let (addr, rpc) = (lab.host(host), lab.rpc_addr());
        let name = format!("transmission-{host}");
        let dir = lab.dir(&name);
        let settings = json!({
            "bind-address-ipv4": addr.ip(), "peer-port": addr.port(), "peer-port-random-on-start": false,
            "rpc-bind-address": rpc.ip(), "rpc-port": rpc.port(), "rpc-authentication-required": false,
            "dht-enabled": false, "lpd-enabled": false, "utp-enabled": false, "port-forwarding-enabled": false,
            // Plaintext is preferred, encryption is taken.
            "encryption": 0,
            "download-dir": dir.join("downloads"), "download-queue-enabled": false, "speed-limit-up-enabled": false,
            "ratio-limit-enabled": false, "peer-limit-global": 500, "peer-limit-per-torrent": 200,
        });
        std::fs::write(dir.join("settings.json"), settings.to_string()).expect("settings");
        let args = ["--foreground", "--config-dir", &dir.display().to_string()];
        let process = Process::start(&dir, &name, Path::new("transmission-daemon"), &args);
        let session = wait_for("transmission to answer", Duration::from_secs(20), || {
            let reply = http::post(rpc, "/transmission/rpc", &[], &json!({})).ok()?;
            reply.header("x-transmission-session-id").map(str::to_owned)
        });
        Self { process, addr, rpc, session }
    }

    /// Calls a method of its RPC.
    #[track_caller]
    pub fn call(&self, method: &str, arguments: Value) -> Value {
        let headers = [("X-Transmission-Session-Id", self.session.as_str())];
        let body = json!({ "method": method, "arguments": arguments });
        let reply =
            http::post(self.rpc, "/transmission/rpc", &headers, &body).expect("transmission's answer");
        let mut answer = reply.json().expect("transmission's answer");
        assert_eq!(answer["result"], "success", "{body}: {answer}");
        answer["arguments"].take()
    }

    /// What it says of a torrent.
    pub fn status(&self, torrent: &Torrent) -> Value {
        let fields =
            ["leftUntilDone", "status", "uploadedEver", "recheckProgress", "errorString", "peersConnected"];
        let mut answer = self.call("torrent-get", json!({ "ids": [torrent.id()], "fields": fields }));
        answer["torrents"][0].take()
    }
}

impl Client for Transmission {
    fn name(&self) -> &'static str {
        "transmission"
    }

    fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn add(&mut self, torrent: &Torrent, dir: &Path) {
        self.call(
            "torrent-add",
            json!({ "metainfo": torrent.base64(), "download-dir": dir, "paused": false }),
        );
    }

    fn is_complete(&mut self, torrent: &Torrent) -> bool {
        const SEEDING: i32 = 6;
        let status = self.status(torrent);
        status["leftUntilDone"] == 0 && status["status"] == SEEDING
    }
}
