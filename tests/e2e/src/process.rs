//! A program that a test started, its log, and its end.

use std::{
    fs::File,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// How much of a log is shown after a failure.
const LOG_TAIL: usize = 60;

/// A running program. It is killed when dropped, and when the thread that started it ends.
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts `program`; what it prints goes to `NAME.log` in `dir`, added to what is there.
    pub fn start<S: AsRef<std::ffi::OsStr>>(dir: &Path, name: &str, program: &Path, args: &[S]) -> Self {
        Self::start_piped(dir, name, program, args, Stdio::null(), None)
    }

    /// Like [`Process::start`], with a standard input, and a standard output other than the log.
    pub fn start_piped<S: AsRef<std::ffi::OsStr>>(
        dir: &Path,
        name: &str,
        program: &Path,
        args: &[S],
        stdin: Stdio,
        stdout: Option<Stdio>,
    ) -> Self {
        let log = dir.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).expect("log file");
        let copy = file.try_clone().expect("log file");
        // setpriv replaces itself by the program, so the process id is the program's.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .args(args)
            .current_dir(dir)
            .env("HOME", dir)
            .stdin(stdin)
            .stdout(stdout.unwrap_or_else(|| copy.into()))
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        Self { child, name: name.into(), log }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The child, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_none()
    }

    /// Ends it at once, as a crash would (`SIGKILL`).
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end (`SIGTERM`), waits for it, and tells how that went and how long it took.
    pub fn terminate(&mut self, limit: Duration) -> (ExitStatus, Duration) {
        let start = Instant::now();
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("SIGTERM");
        let status = self.wait(limit);
        (status, start.elapsed())
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let name = self.name.clone();
        crate::wait_for(&format!("the end of {name}"), limit, || self.child.try_wait().expect("wait"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended = self.child.try_wait().ok().flatten();
        self.kill();
        if !std::thread::panicking() {
            return;
        }
        let how = match ended {
            None => "was running".to_owned(),
            Some(status) => match status.signal() {
                Some(signal) => format!("had ended by signal {signal}"),
                None => format!("had ended with {:?}", status.code()),
            },
        };
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n");
        eprintln!("---- {} ({how}); the end of its log:\n{tail}\n----", self.name);
    }
}
