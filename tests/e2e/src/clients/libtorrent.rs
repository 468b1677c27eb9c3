//! libtorrent, by a small Python program (`clients/lt.py`).

use super::Client;
use crate::{Lab, Process, Torrent};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::Path,
    process::{ChildStdin, ChildStdout, Stdio},
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/lt.py");

/// A libtorrent session.
pub struct Libtorrent {
    process: Process,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    addr: SocketAddr,
}

impl Libtorrent {
    /// Starts one as host number `host`.
    pub fn start(lab: &Lab, host: u16) -> Self {
        Self::start_with(lab, host, &json!({}))
    }

    /// Starts one with settings by libtorrent's own names.
    pub fn start_with(lab: &Lab, host: u16, settings: &Value) -> Self {
        let addr = lab.host(host);
        let mut all =
            json!({ "listen_interfaces": addr.to_string(), "outgoing_interfaces": addr.ip().to_string() });
        let given = settings.as_object().expect("settings are an object");
        all.as_object_mut().expect("object").extend(given.clone());
        let name = format!("libtorrent-{host}");
        let args = [SCRIPT.to_owned(), all.to_string()];
        // The distribution's Python has the distribution's libtorrent.
        let python = Path::new("/usr/bin/python3");
        let mut process =
            Process::start_piped(&lab.dir(&name), &name, python, &args, Stdio::piped(), Some(Stdio::piped()));
        let commands = process.child().stdin.take().expect("pipe");
        let answers = BufReader::new(process.child().stdout.take().expect("pipe"));
        Self { process, commands, answers, addr }
    }

    /// Gives one command and waits for its answer.
    #[track_caller]
    pub fn call(&mut self, command: Value) -> Value {
        writeln!(self.commands, "{command}").expect("libtorrent has ended");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("libtorrent has ended");
        let mut answer: Value = serde_json::from_str(&line).expect("an answer in JSON");
        assert!(answer.get("error").is_none(), "{command}: {answer}");
        answer["ok"].take()
    }

    /// Adds a torrent whose data is known to be there: nothing is checked.
    pub fn seed(&mut self, torrent: &Torrent, dir: &Path) {
        self.call(json!({ "method": "add", "torrent": torrent.base64(), "dir": dir, "seed": true }));
    }

    /// Tells it of a peer.
    pub fn connect(&mut self, torrent: &Torrent, to: SocketAddr) {
        self.call(json!({ "method": "connect", "id": torrent.id(), "host": to.ip(), "port": to.port() }));
    }

    /// What it says of a torrent.
    pub fn status(&mut self, torrent: &Torrent) -> Value {
        self.call(json!({ "method": "status", "id": torrent.id() }))
    }
}

impl Client for Libtorrent {
    fn name(&self) -> &'static str {
        "libtorrent"
    }

    fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn add(&mut self, torrent: &Torrent, dir: &Path) {
        self.call(json!({ "method": "add", "torrent": torrent.base64(), "dir": dir }));
    }

    fn is_complete(&mut self, torrent: &Torrent) -> bool {
        self.status(torrent)["seeding"] == true
    }
}
