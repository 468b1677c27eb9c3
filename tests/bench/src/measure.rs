//! What a process costs: processor time and memory, by `/proc`.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_millis(10);

/// The figures of one piece of work by one client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Payload bytes per second.
    pub(crate) rate: f64,
    /// User and system seconds per GiB.
    pub(crate) cpu: f64,
    /// Peak anonymous memory in bytes.
    pub(crate) memory: f64,
}

/// Processor time of a process so far, user and system, all threads.
pub(crate) fn cpu(pid: u32) -> Duration {
    // The kernel counts in ticks of 10 ms for everyone to see.
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold spaces; utime and stime are the 12th and 13th field after it.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    TICK * fields.filter_map(|field| field.parse::<u32>().ok()).sum()
}

/// Waits until a process has nothing left to do, such as writing out what it holds back; at most some seconds.
pub(crate) fn settle(pid: u32) {
    const QUIET: Duration = Duration::from_millis(400);
    let start = Instant::now();
    let mut last = (cpu(pid), Instant::now());
    while last.1.elapsed() < QUIET && start.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(50));
        let now = cpu(pid);
        // One tick is the noise of timers.
        if now > last.0 + Duration::from_millis(10) {
            last = (now, Instant::now());
        }
    }
}

/// Watches the anonymous memory of a process.
pub(crate) struct Watch {
    peak: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Watch {
    /// Begins.
    pub(crate) fn start(pid: u32) -> Self {
        let (peak, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, end) = (Arc::clone(&peak), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                seen.fetch_max(anonymous(pid), Ordering::Relaxed);
                std::thread::sleep(SAMPLE);
            }
        });
        Self { peak, stop, thread }
    }

    /// Ends, and tells the peak in bytes.
    pub(crate) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        self.peak.load(Ordering::Relaxed)
    }
}

fn anonymous(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}
