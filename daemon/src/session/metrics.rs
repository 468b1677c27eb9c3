//! The figures of `/metrics`, in Prometheus' text format.

use super::Session;
use std::fmt::Write;

impl Session {
    /// All figures of this moment.
    pub(crate) fn metrics(&self) -> String {
        let stats = self.stats();
        let mut out = String::new();
        let counters = [
            ("btd_downloaded_bytes_total", "Payload bytes received since the start", stats.downloaded),
            ("btd_uploaded_bytes_total", "Payload bytes sent since the start", stats.uploaded),
            ("btd_wasted_bytes_total", "Payload bytes received that were of no use", stats.wasted),
            ("btd_disk_read_bytes_total", "Payload bytes read for peers", stats.disk_read),
            ("btd_disk_written_bytes_total", "Payload bytes written", stats.disk_written),
        ];
        let gauges = [
            ("btd_uptime_seconds", "Seconds since the start", stats.uptime),
            ("btd_download_rate_bytes", "Payload bytes per second coming in", stats.download_rate),
            ("btd_upload_rate_bytes", "Payload bytes per second going out", stats.upload_rate),
            ("btd_peers", "Peers connected", stats.peers),
            ("btd_half_open", "Connections being made", stats.half_open),
            ("btd_banned", "Addresses banned", stats.banned),
            ("btd_cache_used_bytes", "Bytes of block buffers in use", stats.cache_used),
        ];
        for (kind, metrics) in [("counter", &counters[..]), ("gauge", &gauges[..])] {
            for (name, help, value) in metrics {
                // Writing to a String cannot fail.
                let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
            }
        }
        let _ = write!(out, "# HELP btd_torrents Torrents by state\n# TYPE btd_torrents gauge\n");
        for (state, count) in &stats.states {
            let _ = writeln!(out, "btd_torrents{{state=\"{state}\"}} {count}");
        }
        out
    }
}
