//! What is remembered of a torrent.
//!
//! Records are JSON: fields may come and go between versions of btd without a migration, as long as new ones have a
//! default and old names are not used for something else. Empty fields are left out, so a plain record is about 300 bytes.

use proto::{id::InfoHash, strategy::StrategyPatch};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// One torrent, without what its metainfo says in full and without its pieces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TorrentRecord {
    /// Its info-hash.
    pub(crate) id: InfoHash,
    /// Its name, as shown.
    #[serde(default)]
    pub(crate) name: String,
    /// The folder that its files lie in.
    pub(crate) save_path: PathBuf,
    /// Bytes of payload; 0 while the metainfo is unknown.
    #[serde(default)]
    pub(crate) size: u64,
    /// Pieces; 0 while the metainfo is unknown.
    #[serde(default)]
    pub(crate) pieces: u32,
    /// Bytes of verified payload, for showing it before it is loaded.
    #[serde(default)]
    pub(crate) have: u64,
    /// Every piece is held: there is no stored bitfield then.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) complete: bool,
    /// BEP 27.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) private: bool,
    /// When it was added, in Unix seconds.
    #[serde(default)]
    pub(crate) added_at: u64,
    /// When its last piece arrived, in Unix seconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) completed_at: Option<u64>,
    /// The user paused it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) paused: bool,
    /// Why it stopped, as a sentence; it stays stopped until the user resumes it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) error: Option<String>,
    /// Its place in the queue, from 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) queue_position: u32,
    /// The user's labels.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) labels: Vec<String>,
    /// Files that are not of normal priority.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) priorities: Vec<PriorityRun>,
    /// Of a magnet link: the files that are wanted (BEP 53), until the metadata tells which there are.
    #[serde(default, skip_serializing_if = "is_default")]
    pub only_files: Vec<(u32, u32)>,
    /// Its own strategy, over the session's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) strategy: StrategyPatch,
    /// In order of pieces, whatever the strategy says.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) sequential: bool,
    /// Bytes per second down at most; `None` is the session's limit only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) download_limit: Option<u64>,
    /// Bytes per second up at most; `None` is the session's limit only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) upload_limit: Option<u64>,
    /// Seeding stops at this ratio; `None` is the session's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) ratio_limit: Option<f64>,
    /// Seeding stops after so many seconds of it; `None` is the session's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) seed_time_limit: Option<u64>,
    /// Trackers that are not in the metainfo: from the magnet link and from the user.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) trackers: Vec<String>,
    /// Payload bytes received in all runs, wasted ones included.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) downloaded: u64,
    /// Payload bytes sent in all runs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) uploaded: u64,
    /// Seconds of downloading in all runs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) downloading_seconds: u64,
    /// Seconds of seeding in all runs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) seeding_seconds: u64,
}

/// Neighbouring files of one priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(u32, u32, u8)", from = "(u32, u32, u8)")]
pub(crate) struct PriorityRun {
    /// Index of the first file.
    pub(crate) first: u32,
    /// How many files.
    pub(crate) files: u32,
    /// Their priority; 0 is skipped.
    pub(crate) priority: u8,
}

impl From<PriorityRun> for (u32, u32, u8) {
    fn from(run: PriorityRun) -> Self {
        (run.first, run.files, run.priority)
    }
}

impl From<(u32, u32, u8)> for PriorityRun {
    fn from((first, files, priority): (u32, u32, u8)) -> Self {
        Self { first, files, priority }
    }
}

impl PriorityRun {
    /// The runs of a list that has one priority per file, leaving out those of priority `normal`.
    pub(crate) fn compress(priorities: &[u8], normal: u8) -> Vec<Self> {
        let mut first = 0;
        let mut runs = Vec::new();
        for run in priorities.chunk_by(|a, b| a == b) {
            let files = u32::try_from(run.len()).unwrap_or(u32::MAX);
            if run[0] != normal {
                runs.push(Self { first, files, priority: run[0] });
            }
            first = first.saturating_add(files);
        }
        runs
    }

    /// One priority per file again; runs past the end are cut.
    pub(crate) fn expand(runs: &[Self], files: usize, normal: u8) -> Vec<u8> {
        let mut priorities = vec![normal; files];
        for run in runs {
            let end = (run.first as usize).saturating_add(run.files as usize).min(files);
            if let Some(part) = priorities.get_mut(run.first as usize..end) {
                part.fill(run.priority);
            }
        }
        priorities
    }
}

impl TorrentRecord {
    /// A new torrent of which only the id and the folder are known.
    pub(crate) fn new(id: InfoHash, save_path: PathBuf, added_at: u64) -> Self {
        Self {
            id,
            save_path,
            added_at,
            name: String::new(),
            size: 0,
            pieces: 0,
            have: 0,
            complete: false,
            private: false,
            completed_at: None,
            paused: false,
            error: None,
            queue_position: 0,
            labels: Vec::new(),
            priorities: Vec::new(),
            only_files: Vec::new(),
            strategy: StrategyPatch::default(),
            sequential: false,
            download_limit: None,
            upload_limit: None,
            ratio_limit: None,
            seed_time_limit: None,
            trackers: Vec::new(),
            downloaded: 0,
            uploaded: 0,
            downloading_seconds: 0,
            seeding_seconds: 0,
        }
    }

    /// Takes back every claim about payload, so that it is checked before it counts again.
    pub(super) fn distrust(&mut self) {
        self.complete = false;
        self.have = 0;
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Peers one after the other: 4 or 16 bytes of address after a byte that says which, and two of port.
pub(super) fn encode_swarm(peers: &[SocketAddr]) -> Vec<u8> {
    let mut out = Vec::with_capacity(peers.len() * 19);
    for peer in peers {
        match peer.ip() {
            IpAddr::V4(ip) => {
                out.push(4);
                out.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                out.push(6);
                out.extend_from_slice(&ip.octets());
            }
        }
        out.extend_from_slice(&peer.port().to_be_bytes());
    }
    out
}

/// The peers up to the first byte that makes no sense.
pub(super) fn decode_swarm(mut bytes: &[u8]) -> Vec<SocketAddr> {
    let mut peers = Vec::new();
    while let Some((peer, rest)) = decode_peer(bytes) {
        peers.push(peer);
        bytes = rest;
    }
    peers
}

fn decode_peer(bytes: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let (family, rest) = bytes.split_first()?;
    let (ip, rest): (IpAddr, _) = match family {
        4 => rest.split_first_chunk::<4>().map(|(ip, rest)| ((*ip).into(), rest))?,
        6 => rest.split_first_chunk::<16>().map(|(ip, rest)| ((*ip).into(), rest))?,
        _ => return None,
    };
    let (port, rest) = rest.split_first_chunk::<2>()?;
    Some((SocketAddr::new(ip, u16::from_be_bytes(*port)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn priorities_survive_as_runs(priorities in proptest::collection::vec(0u8..4, 0..60)) {
            let runs = PriorityRun::compress(&priorities, 2);
            prop_assert_eq!(PriorityRun::expand(&runs, priorities.len(), 2), priorities);
        }

        #[test]
        fn swarms_survive(peers in proptest::collection::vec(any::<(IpAddr, u16)>(), 0..20)) {
            let peers: Vec<SocketAddr> = peers.into_iter().map(SocketAddr::from).collect();
            prop_assert_eq!(decode_swarm(&encode_swarm(&peers)), peers);
        }

        #[test]
        fn a_damaged_swarm_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            decode_swarm(&bytes);
        }
    }

    #[test]
    fn a_record_without_the_newer_fields_is_read() {
        let old = r#"{"id":"00112233445566778899aabbccddeeff00112233","save_path":"/d","gone":1}"#;
        let record: TorrentRecord = serde_json::from_str(old).unwrap();
        assert_eq!(record, TorrentRecord::new(record.id, "/d".into(), 0));
    }
}
