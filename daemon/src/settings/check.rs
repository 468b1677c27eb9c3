//! What a type cannot say about a setting.

use super::Start;
use proto::rpc::{Settings, SettingsPatch};
use std::path::Path;

/// A setting's name and what is wrong with its value, as a sentence.
pub(super) type Wrong = (&'static str, String);

/// Block buffers below this starve a single fast peer.
const MIN_CACHE: u64 = 1024 * 1024;
/// Fewer open files make every block an open and a close.
const MIN_OPEN_FILES: u32 = 8;

/// Checks what a patch names, each value for itself.
pub(super) fn patch(patch: &SettingsPatch) -> Result<(), Wrong> {
    let at_least = |name, value: Option<u32>, min: u32| match value {
        Some(value) if value < min => Err((name, format!("must be at least {min}, not {value}"))),
        _ => Ok(()),
    };
    at_least("max_connections", patch.max_connections, 1)?;
    at_least("max_connections_per_torrent", patch.max_connections_per_torrent, 1)?;
    at_least("half_open", patch.half_open, 1)?;
    at_least("upload_slots", patch.upload_slots, 1)?;
    at_least("open_files", patch.open_files, MIN_OPEN_FILES)?;
    if let Some(cache) = patch.cache.filter(|cache| cache.0 < MIN_CACHE) {
        return Err(("cache", format!("must be at least 1MiB, not {cache}")));
    }
    if let Some(ratio) = patch.seed_ratio_limit.filter(|ratio| !ratio.is_finite() || *ratio < 0.0) {
        return Err(("seed_ratio_limit", format!("must be 0 or more, not {ratio}")));
    }
    if let Some(wrong) = patch.log.as_deref().and_then(|log| crate::log::filter(log).err()) {
        return Err(("log", wrong));
    }
    if let Some(node) = patch.dht_bootstrap.iter().flatten().find(|node| !is_host_port(node)) {
        return Err(("dht_bootstrap", format!("“{node}” is not of the form host:port")));
    }
    Ok(())
}

/// Checks how settings fit together.
pub(super) fn whole(settings: &Settings) -> Result<(), Wrong> {
    if !settings.tcp && !settings.utp {
        return Err(("utp", "with both TCP and uTP off there is no way to reach a peer".into()));
    }
    Ok(())
}

/// Checks what only matters while starting.
pub(super) fn start(start: &Start) -> Result<(), Wrong> {
    match (start.rpc_cert.is_empty(), start.rpc_key.is_empty()) {
        (false, true) => {
            Err(("rpc_cert", "TLS needs the private key as well: give it with --rpc-key".into()))
        }
        (true, false) => {
            Err(("rpc_key", "TLS needs the certificate as well: give it with --rpc-cert".into()))
        }
        _ => Ok(()),
    }
}

/// Checks a folder that was set at run time: the daemon's current folder means nothing to whoever calls.
pub(super) fn folder(text: &str) -> Result<(), Wrong> {
    if text.is_empty() || Path::new(text).is_absolute() {
        return Ok(());
    }
    Err(("download_dir", format!("“{text}” must be a full path, beginning with /")))
}

fn is_host_port(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0))
}
