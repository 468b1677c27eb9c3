//! What is shown of a torrent: its summary for the list, and its parts for those who ask.

use super::live::{Content, Live, State};
use crate::store::PriorityRun;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use engine::{
    out::Source,
    torrent::{NORMAL_PRIORITY, PeerView, TOP_PRIORITY, Torrent},
};
use proto::{
    metainfo::Info,
    rpc::{
        State as Shown, Torrent as Summary,
        torrent::{File, PartialPiece, Peer, PeerSource, Pieces, Priority, Transport},
    },
    time::Instant,
};

/// The engine's number for a file's priority.
pub(crate) fn priority_number(priority: Priority) -> u8 {
    match priority {
        Priority::Skip => 0,
        Priority::Low => 1,
        Priority::Normal => NORMAL_PRIORITY,
        Priority::High => TOP_PRIORITY,
    }
}

fn priority_name(number: u8) -> Priority {
    match number {
        0 => Priority::Skip,
        n if n < NORMAL_PRIORITY => Priority::Low,
        NORMAL_PRIORITY => Priority::Normal,
        _ => Priority::High,
    }
}

impl Live {
    /// Renews the torrent's summary in the list, if it would show something new.
    pub(super) fn show(&self, now: Instant) {
        let mut state = self.state.borrow_mut();
        if std::mem::take(&mut state.standing.changed) {
            let summary = self.summary(&state, now);
            self.shard().shared.registry.renew(summary);
        }
    }

    fn summary(&self, state: &State, now: Instant) -> Summary {
        let info = self.content().map(|content| &content.info);
        let record = &state.record;
        let stats = state.machine.stats(now);
        // Before the metadata is known nothing is known of the size.
        let left = if info.is_some() { stats.left } else { 0 };
        let wanted = left + stats.have;
        let shown = state.shown();
        let progress = match state.standing.checking {
            Some(progress) => progress,
            None if info.is_none() => 0.0,
            None if wanted == 0 => 1.0,
            None => stats.have as f64 / wanted as f64,
        };
        let swarm = state.announcing.swarm();
        let basis = record.downloaded.max(stats.have).max(1);
        Summary {
            name: record.name.clone(),
            state: shown,
            progress,
            size: record.size,
            wanted,
            have: stats.have,
            download_rate: stats.download_rate,
            upload_rate: stats.upload_rate,
            downloaded: record.downloaded,
            uploaded: record.uploaded,
            wasted: stats.wasted + stats.corrupt,
            ratio: record.uploaded as f64 / basis as f64,
            peers: stats.peers,
            seeds: stats.seeds,
            known_peers: stats.candidates,
            swarm_seeds: swarm.0,
            swarm_leechers: swarm.1,
            eta: (shown == Shown::Downloading && stats.download_rate > 0)
                .then(|| left.div_ceil(stats.download_rate)),
            error: record.error.clone(),
            message: self.message(state),
            save_path: record.save_path.to_string_lossy().into_owned(),
            labels: record.labels.clone(),
            added_at: record.added_at,
            completed_at: record.completed_at,
            active_at: state.standing.active_at,
            private: record.private,
            piece_length: info.map_or(0, |info| info.layout.piece_length()),
            pieces: record.pieces,
            pieces_have: state.machine.torrent().map_or(0, |torrent| torrent.have().count()),
            availability: copies(state),
            files: info.map_or(0, |info| {
                info.files.iter().filter(|file| !file.pad).count().try_into().unwrap_or(u32::MAX)
            }),
            queue_position: record.queue_position,
            sequential: record.sequential,
            download_limit: record.download_limit.unwrap_or(0),
            upload_limit: record.upload_limit.unwrap_or(0),
            seed_ratio_limit: record.ratio_limit,
            seed_time_limit: record.seed_time_limit,
            seed_time: record.seeding_seconds,
            comment: state.outer.comment.clone(),
            created_by: state.outer.created_by.clone(),
            created_at: state.outer.creation_date.and_then(|at| u64::try_from(at).ok()),
            ..Summary::new(self.id())
        }
    }

    /// What it is waiting for or busy with, if that needs saying.
    fn message(&self, state: &State) -> Option<String> {
        if state.standing.moving {
            return Some("moving its files".to_owned());
        }
        state.standing.running.then(|| self.fetch_message(state))?
    }

    /// Its files, padding left out.
    pub(crate) fn files(&self) -> Vec<File> {
        let state = self.state.borrow();
        let Some(Content { info, .. }) = self.content() else { return Vec::new() };
        let priorities = PriorityRun::expand(&state.record.priorities, info.files.len(), NORMAL_PRIORITY);
        (0..)
            .zip(info.files.iter().zip(priorities))
            .filter(|(_, (file, _))| !file.pad)
            .map(|(index, (file, priority))| File {
                index,
                path: file.display_path(),
                size: file.length,
                have: held_of(&state, info, file.range()),
                priority: priority_name(priority),
            })
            .collect()
    }

    /// Its connections.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        let now = self.shard().clock.now();
        self.state.borrow().machine.peers(now).into_iter().map(|peer| shown_peer(peer, now)).collect()
    }

    /// Its pieces.
    pub(crate) fn pieces(&self) -> Pieces {
        let state = self.state.borrow();
        let (Some(content), Some(torrent)) = (self.content(), state.machine.torrent()) else {
            return Pieces {
                count: 0,
                length: 0,
                have: String::new(),
                partial: Vec::new(),
                availability: Vec::new(),
            };
        };
        let layout = &content.info.layout;
        let partial = torrent.in_progress().into_iter().map(|piece| PartialPiece {
            index: piece.piece,
            received: piece.received,
            requested: piece.requested,
            blocks: piece.blocks,
        });
        Pieces {
            count: layout.pieces(),
            length: layout.piece_length(),
            have: BASE64_STANDARD.encode(torrent.have().as_bytes()),
            partial: partial.collect(),
            availability: if state.standing.running { torrent.availability() } else { Vec::new() },
        }
    }
}

impl State {
    /// The state's name, as the API has it.
    fn shown(&self) -> Shown {
        let (record, standing) = (&self.record, &self.standing);
        if standing.checking.is_some() {
            Shown::Checking
        } else if record.error.is_some() {
            Shown::Error
        } else if record.paused {
            Shown::Paused
        } else if standing.queued {
            Shown::Queued
        } else if self.machine.torrent().is_none() {
            Shown::Metadata
        } else if self.machine.is_complete() {
            Shown::Seeding
        } else {
            Shown::Downloading
        }
    }
}

/// Copies of the rarest piece, and behind the point the part of pieces that have more.
fn copies(state: &State) -> f64 {
    let Some(torrent) = state.machine.torrent().filter(|_| state.standing.running) else { return 0.0 };
    let have = torrent.have();
    let counts: Vec<u32> =
        (0..).zip(torrent.availability()).map(|(piece, n)| n + u32::from(have.has(piece))).collect();
    let Some(least) = counts.iter().min().copied() else { return 0.0 };
    let more = counts.iter().filter(|n| **n > least).count();
    f64::from(least) + more as f64 / counts.len() as f64
}

/// Verified bytes of a range.
fn held_of(state: &State, info: &Info, bytes: std::ops::Range<u64>) -> u64 {
    let Some(have) = state.machine.torrent().map(Torrent::have) else { return 0 };
    if have.is_full() {
        return bytes.end - bytes.start;
    }
    info.layout
        .pieces_of(bytes.clone())
        .filter(|piece| have.has(*piece))
        .map(|piece| {
            let start = info.layout.piece_start(piece);
            let end = start + u64::from(info.layout.piece_len(piece));
            end.min(bytes.end).saturating_sub(start.max(bytes.start))
        })
        .sum()
}

fn shown_peer(peer: PeerView, now: Instant) -> Peer {
    Peer {
        address: peer.addr,
        client: peer.client.unwrap_or_default(),
        peer_id: peer.id.to_string(),
        transport: Transport::Tcp,
        encrypted: false,
        incoming: !peer.outgoing,
        source: match peer.source {
            Source::Incoming => PeerSource::Incoming,
            Source::Tracker => PeerSource::Tracker,
            Source::Dht => PeerSource::Dht,
            Source::Pex => PeerSource::Pex,
            Source::Lsd => PeerSource::Lsd,
            Source::Magnet => PeerSource::Magnet,
            Source::User => PeerSource::User,
            Source::Resume => PeerSource::Resume,
        },
        progress: peer.progress,
        download_rate: peer.download_rate,
        upload_rate: peer.upload_rate,
        downloaded: peer.downloaded,
        uploaded: peer.uploaded,
        choked_us: peer.peer_choking,
        choked: peer.am_choking,
        interesting: peer.am_interested,
        interested: peer.peer_interested,
        optimistic: peer.optimistic,
        snubbed: peer.snubbed,
        requests: peer.in_flight,
        queued: peer.queued,
        connected: now.since(peer.since).as_secs(),
    }
}
