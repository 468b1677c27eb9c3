//! Our own daemon, by `btctl` and by raw JSON-RPC.

use super::Client;
use crate::{Lab, Process, Torrent, http, wait_for};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

/// The token of every btd in these tests.
pub const TOKEN: &str = "e2e0e2e0e2e0e2e0e2e0e2e0e2e0e2e0";

/// How a [`Btd`] is started.
#[derive(Clone, Debug, Default)]
pub struct BtdOptions {
    /// More flags.
    pub flags: Vec<String>,
    /// Its name in the lab, if it is not `btd-HOST`.
    pub name: Option<String>,
}

/// A running btd. Its state, and its downloads by default, are below [`Btd::dir`].
pub struct Btd {
    process: Process,
    addr: SocketAddr,
    rpc: SocketAddr,
    dir: PathBuf,
    name: String,
    flags: Vec<String>,
}

/// What a btctl printed, and how it ended.
#[derive(Debug)]
pub struct CtlOutput {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl CtlOutput {
    /// The one JSON document on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A program of ours, built beside this test.
pub fn our_program(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("own path");
    // target/release/deps/TEST, or target/release/PROGRAM.
    let beside = exe.ancestors().skip(1).map(|dir| dir.join(name)).find(|path| path.is_file());
    beside.unwrap_or_else(|| panic!("{name} is not built: use tests/run"))
}

impl Btd {
    /// Starts one as host number `host`.
    pub fn start(lab: &Lab, host: u16) -> Self {
        Self::start_with(lab, host, BtdOptions::default())
    }

    /// Starts one as host number `host` with flags of its own.
    pub fn start_with(lab: &Lab, host: u16, options: BtdOptions) -> Self {
        let (addr, rpc) = (lab.host(host), lab.rpc_addr());
        let name = options.name.unwrap_or_else(|| format!("btd-{host}"));
        let dir = lab.dir(&name);
        let mut flags = vec![
            format!("--port={}", addr.port()),
            format!("--bind={}", addr.ip()),
            format!("--rpc={rpc}"),
            format!("--state-dir={}", dir.join("state").display()),
            format!("--download-dir={}", dir.join("downloads").display()),
            "--no-dht".to_owned(),
            "--no-lsd".to_owned(),
            "--no-port-mapping".to_owned(),
            "-v".to_owned(),
        ];
        flags.extend(options.flags);
        let process = launch(&dir, &name, &flags);
        let mut btd = Self { process, addr, rpc, dir, name, flags };
        btd.wait_ready();
        btd
    }

    /// Starts it again, after its end, on the same state.
    pub fn restart(&mut self) {
        self.launch_again();
        self.wait_ready();
    }

    /// Like [`Btd::restart`], without waiting until it answers.
    pub fn launch_again(&mut self) {
        assert!(!self.process.is_running(), "it must end first");
        self.process = launch(&self.dir, &self.name, &self.flags);
    }

    fn wait_ready(&mut self) {
        let rpc = self.rpc;
        let process = &mut self.process;
        wait_for("btd to answer", Duration::from_secs(20), || {
            assert!(process.is_running(), "btd ended at start");
            let reply = http::get(rpc, "/healthz", &[]).ok()?;
            (reply.status == 200).then_some(())
        });
    }

    /// The folder of its state, downloads and log.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where it serves its control API.
    pub fn rpc_addr(&self) -> SocketAddr {
        self.rpc
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Ends it cleanly; how it ended and how long that took.
    pub fn stop(&mut self) -> (ExitStatus, Duration) {
        self.process.terminate(Duration::from_secs(20))
    }

    /// Calls a method of the control API: the whole answer.
    fn ask(&self, method: &str, params: Value) -> Result<Value, String> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let bearer = format!("Bearer {TOKEN}");
        let reply = http::post(self.rpc, "/rpc", &[("Authorization", &bearer)], &body);
        reply.map_err(|error| error.to_string())?.json()
    }

    /// Calls a method of the control API: its result, or the error object.
    #[track_caller]
    pub fn try_call(&self, method: &str, params: Value) -> Result<Value, Value> {
        let mut answer = self.ask(method, params).expect("btd's answer");
        match answer.get_mut("error") {
            Some(error) => Err(error.take()),
            None => Ok(answer["result"].take()),
        }
    }

    /// Calls a method of the control API, which must succeed.
    #[track_caller]
    pub fn call(&self, method: &str, params: Value) -> Value {
        self.try_call(method, params.clone()).unwrap_or_else(|error| panic!("{method} {params}: {error}"))
    }

    /// Runs btctl against it.
    #[track_caller]
    pub fn ctl(&self, args: &[&str]) -> CtlOutput {
        run_ctl(&self.dir, &[("BTCTL_HOST", &self.rpc.to_string()), ("BTCTL_TOKEN", TOKEN)], args)
    }

    /// Runs `btctl --json`, which must succeed, and gives its document.
    #[track_caller]
    pub fn ctl_json(&self, args: &[&str]) -> Value {
        let output = self.ctl(&[&["--json"], args].concat());
        assert_eq!(output.code, 0, "btctl {args:?}: {output:?}");
        output.json()
    }

    /// What it says of a torrent.
    #[track_caller]
    pub fn torrent(&self, torrent: &Torrent) -> Value {
        self.call("torrent.get", json!({ "id": torrent.id() }))
    }

    /// A torrent's state.
    #[track_caller]
    pub fn state(&self, torrent: &Torrent) -> String {
        self.torrent(torrent)["state"].as_str().unwrap_or_default().to_owned()
    }

    /// Adds a torrent with peers to try at once.
    #[track_caller]
    pub fn add_with_peers(&self, torrent: &Torrent, dir: &Path, peers: &[SocketAddr]) {
        self.call("torrent.add", json!({ "metainfo": torrent.base64(), "save_path": dir, "peers": peers }));
    }

    /// Waits until a torrent is complete and seeding; shows how it stands if that does not happen.
    #[track_caller]
    pub fn wait_complete(&self, torrent: &Torrent, limit: Duration) {
        let start = std::time::Instant::now();
        while self.state(torrent) != "seeding" {
            assert!(start.elapsed() < limit, "not complete after {limit:?}: {}", self.torrent(torrent));
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(self.torrent(torrent)["progress"], 1.0);
    }
}

fn launch(dir: &Path, name: &str, flags: &[String]) -> Process {
    // The token goes by the environment, as the manual says.
    let mut args = vec![format!("BTD_TOKEN={TOKEN}"), our_program("btd").display().to_string()];
    args.extend_from_slice(flags);
    Process::start(dir, name, Path::new("env"), &args)
}

/// Runs btctl with exactly these variables.
#[track_caller]
pub fn run_ctl(dir: &Path, variables: &[(&str, &str)], args: &[&str]) -> CtlOutput {
    let output = Command::new(our_program("btctl"))
        .args(args)
        .env_clear()
        .env("HOME", dir)
        .envs(variables.iter().copied())
        .current_dir(dir)
        .output()
        .expect("btctl");
    CtlOutput {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Drop for Btd {
    /// After a failed test, shows how the torrents stand.
    fn drop(&mut self) {
        if !std::thread::panicking() || !self.process.is_running() {
            return;
        }
        let ask = |method: &str, params| match self.ask(method, params) {
            Ok(mut answer) => answer["result"].take(),
            Err(error) => Value::String(error),
        };
        let list = ask("torrent.list", json!({}));
        for torrent in list["torrents"].as_array().into_iter().flatten().take(4) {
            eprintln!("---- {}: {torrent}", self.name);
            for method in ["torrent.trackers", "torrent.peers"] {
                eprintln!("{method}: {}", ask(method, json!({ "id": torrent["id"] })));
            }
        }
        eprintln!("session.stats: {}", ask("session.stats", json!({})));
    }
}

impl Client for Btd {
    fn name(&self) -> &'static str {
        "btd"
    }

    fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn add(&mut self, torrent: &Torrent, dir: &Path) {
        self.add_with_peers(torrent, dir, &[]);
    }

    fn is_complete(&mut self, torrent: &Torrent) -> bool {
        self.state(torrent) == "seeding"
    }
}
