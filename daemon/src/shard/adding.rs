//! Torrents of a shard: begun, checked, changed, moved and removed.

use super::{
    Described, Shard,
    announcing::Announcing,
    live::{Content, Live, State},
    machine::Machine,
    status::Standing,
};
use crate::{
    clock::unix_now,
    storage::{FileSpec, Handle, TorrentSpec},
    store::{PriorityRun, TorrentRecord},
};
use engine::{
    metadata::{FetchConfig, MetadataFetch},
    out::{Event, Source},
    torrent::{NORMAL_PRIORITY, Torrent, TorrentConfig},
};
use proto::{
    bitfield::Bitfield,
    layout::Layout,
    merkle::HashTrees,
    metainfo::{FileEntry, Info, Outer},
    rpc::{ErrorKind, RpcError},
};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, rc::Rc, sync::Arc, time::Duration};

/// How soon a check is asked for again when storage has too many waiting.
const RETRY_CHECK: Duration = Duration::from_secs(1);

/// A torrent for a shard to begin with.
pub(crate) struct NewTorrent {
    pub(crate) record: TorrentRecord,
    /// `None`: the metadata is to be fetched from peers.
    pub(crate) described: Option<Described>,
    /// What the metainfo's file says beside `info`.
    pub(crate) outer: Arc<Outer>,
    /// What is held; `None`: look at what is on the disk.
    pub(crate) have: Option<Bitfield>,
    /// Whom to try.
    pub(crate) peers: Vec<(Source, SocketAddr)>,
}

impl Shard {
    /// Begins a torrent. One that is there already is left as it is.
    pub(crate) fn add(self: &Rc<Self>, new: NewTorrent) {
        let NewTorrent { record, described, outer, have, peers } = new;
        let id = record.id;
        if self.lives.borrow().contains_key(&id) {
            return;
        }
        let check = described.is_some() && have.is_none();
        let (machine, content) = match described {
            Some(described) => {
                let info = &described.info;
                let have = have.unwrap_or_else(|| Bitfield::none(info.layout.pieces()));
                let storage = self.open_storage(&record, &described, have.count() > 0);
                let machine =
                    Machine::Torrent(Box::new(self.machine(&record, info, described.trees.clone(), have)));
                (machine, Some(Content { info: described.info, trees: described.trees, storage }))
            }
            None => (Machine::Fetch(Box::new(self.fetch(&record))), None),
        };
        let now = self.clock.now();
        let announcing = Announcing::new(self, &record, &outer);
        let standing = Standing {
            checking: check.then_some(0.0),
            queued: true,
            changed: true,
            counted: now,
            record_saved: now,
            have_saved: now,
            ..Standing::default()
        };
        let conns = BTreeMap::new();
        let state =
            State { machine, record, standing, announcing, outer, conns, next_key: 0, out: Vec::new() };
        let live = Live::new(Rc::clone(self), content, state);
        self.lives.borrow_mut().insert(id, Rc::clone(&live));
        for (source, addr) in peers {
            live.feed(Event::Candidates { source, addrs: vec![addr] });
        }
        if check {
            live.begin_check();
        }
        live.settle();
        live.show(now);
    }

    /// A torrent's files. Opens none of them.
    pub(super) fn open_storage(
        &self,
        record: &TorrentRecord,
        described: &Described,
        started: bool,
    ) -> Handle {
        let info = &described.info;
        let key = self.shared.torrent_key();
        self.keys.borrow_mut().insert(key, record.id);
        self.storage.open(TorrentSpec {
            key,
            layout: info.layout.clone(),
            promise: described.promise(),
            files: info.files.iter().map(file_spec).collect(),
            save_path: record.save_path.clone(),
            started,
            events: self.storage_events.clone(),
        })
    }

    /// A machine that fetches a torrent's metadata, stopped.
    fn fetch(&self, record: &TorrentRecord) -> MetadataFetch {
        let settings = self.shared.settings();
        MetadataFetch::new(FetchConfig {
            info_hash: record.id,
            our_id: self.shared.peer_id,
            client: crate::CLIENT.to_owned(),
            listen_port: self.shared.port.get().copied(),
            max_connections: settings.max_connections_per_torrent,
            half_open: settings.half_open,
        })
    }

    /// A machine for a torrent, stopped.
    pub(super) fn machine(
        &self,
        record: &TorrentRecord,
        info: &Info,
        trees: Option<Arc<HashTrees>>,
        have: Bitfield,
    ) -> Torrent {
        let settings = self.shared.settings();
        let config = TorrentConfig {
            layout: info.layout.clone(),
            info_hash: record.id,
            our_id: self.shared.peer_id,
            private: info.private,
            strategy: self.strategy_of(record),
            seed: self.shared.seed(),
            client: crate::CLIENT.to_owned(),
            listen_port: self.shared.port.get().copied(),
            metadata_size: u32::try_from(info.raw().len()).ok(),
            metadata: (!info.private).then(|| info.raw().clone()),
            max_connections: settings.max_connections_per_torrent,
            half_open: settings.half_open,
        };
        let mut torrent = Torrent::new(config, have, piece_priorities(record, info));
        torrent.set_exchange(settings.pex);
        torrent.set_hash_trees(trees);
        torrent
    }

    /// The strategy in force for a torrent: the session's, its own over it, and its `sequential` over that.
    pub(crate) fn strategy_of(&self, record: &TorrentRecord) -> proto::strategy::Strategy {
        let mut strategy = record.strategy.over(&self.shared.strategy());
        if record.sequential {
            strategy.piece_order = proto::strategy::PieceOrder::Sequential;
        }
        strategy
    }
}

fn file_spec(file: &FileEntry) -> FileSpec {
    FileSpec { path: file.path.clone(), length: file.length, offset: file.offset, pad: file.pad }
}

/// One priority per piece: the highest of the files that have a part of it.
fn piece_priorities(record: &TorrentRecord, info: &Info) -> Vec<u8> {
    if record.priorities.is_empty() {
        return Vec::new();
    }
    let files = PriorityRun::expand(&record.priorities, info.files.len(), NORMAL_PRIORITY);
    by_piece(&info.layout, info.files.iter().zip(files).filter(|(f, _)| !f.pad).map(|(f, p)| (f.range(), p)))
}

fn by_piece(layout: &Layout, files: impl Iterator<Item = (std::ops::Range<u64>, u8)>) -> Vec<u8> {
    let mut pieces = vec![0; layout.pieces() as usize];
    for (bytes, priority) in files {
        let range = layout.pieces_of(bytes);
        for piece in &mut pieces[range.start as usize..range.end as usize] {
            *piece = priority.max(*piece);
        }
    }
    pieces
}

impl TorrentRecord {
    /// Turns a magnet link's choice of files into priorities, now that it is known how many there are.
    pub(crate) fn choose_files(&mut self, files: usize) {
        if self.only_files.is_empty() {
            return;
        }
        let wanted =
            |index: u32| self.only_files.iter().any(|(first, last)| (*first..=*last).contains(&index));
        let priorities: Vec<_> =
            (0..).take(files).map(|index| if wanted(index) { NORMAL_PRIORITY } else { 0 }).collect();
        self.priorities = PriorityRun::compress(&priorities, NORMAL_PRIORITY);
        self.only_files.clear();
    }
}

impl Live {
    /// A check has ended: the machine begins anew with what was found.
    pub(super) fn checked(&self, have: Bitfield) {
        let Some(content) = self.content() else { return };
        let peers = self.state.borrow().machine.remember();
        {
            let mut state = self.state.borrow_mut();
            state.count(self.shard().clock.now());
            (state.standing.counted_down, state.standing.counted_up) = (0, 0);
            let machine = self.shard().machine(&state.record, &content.info, content.trees.clone(), have);
            state.machine = Machine::Torrent(Box::new(machine));
            state.standing.checking = None;
            state.standing.have_unsaved = true;
            state.standing.record_unsaved = true;
            if !state.machine.is_complete() {
                state.record.completed_at = None;
            } else if state.record.completed_at.is_none() {
                state.record.completed_at = Some(unix_now());
            }
        }
        self.add_peers(Source::Resume, peers);
        self.settle();
        let now = self.shard().clock.now();
        self.save_have(&mut self.state.borrow_mut(), now);
        self.show(now);
    }

    /// Compares the data on disk with the hashes.
    pub(crate) fn recheck(self: &Rc<Self>) {
        {
            let mut state = self.state.borrow_mut();
            if state.standing.checking.is_some() {
                return;
            }
            state.standing.checking = Some(0.0);
            state.record.error = None;
            // A kill in the midst of the check must not bring the old claims back.
            state.record.complete = false;
            let now = self.shard().clock.now();
            self.save_record(&mut state, now);
            self.shard().shared.store.clear_have(self.id());
        }
        self.settle();
        self.begin_check();
        self.show(self.shard().clock.now());
    }

    /// Has storage compare the data with the hashes. The answer is [`Live::checked`].
    pub(super) fn begin_check(self: &Rc<Self>) {
        let Some(content) = self.content() else { return };
        if content.storage.check(None).is_err() {
            // Thousands of checks wait already: this one joins them when there is room.
            let live = Rc::clone(self);
            tokio::task::spawn_local(async move {
                tokio::time::sleep(RETRY_CHECK).await;
                live.begin_check();
            });
        }
    }

    /// Stops until [`Live::resume`], also over restarts.
    pub(crate) fn pause(&self) {
        self.change(|record| record.paused = true);
    }

    /// Goes on, and tries again after an error.
    pub(crate) fn resume(self: &Rc<Self>) {
        let suspect = std::mem::take(&mut self.state.borrow_mut().standing.suspect);
        if suspect && self.state.borrow().standing.checking.is_none() {
            self.recheck();
        }
        self.change(|record| {
            record.paused = false;
            record.error = None;
        });
    }

    /// The queue lets it run, or holds it back.
    pub(crate) fn set_queued(&self, queued: bool) {
        self.state.borrow_mut().standing.queued = queued;
        self.settle();
        self.show(self.shard().clock.now());
    }

    /// Changes the record, at once in force, saved and shown.
    pub(crate) fn change(&self, change: impl FnOnce(&mut TorrentRecord)) {
        let now = self.shard().clock.now();
        {
            let mut state = self.state.borrow_mut();
            change(&mut state.record);
            self.save_record(&mut state, now);
        }
        self.apply_record();
        self.settle();
        self.show(now);
    }

    /// Puts what the record says in force.
    pub(crate) fn apply_record(&self) {
        let (strategy, priorities, max, half_open) = {
            let state = self.state.borrow();
            self.upload.set(state.record.upload_limit.unwrap_or(0));
            self.download.set(state.record.download_limit.unwrap_or(0));
            let settings = self.shard().shared.settings();
            let priorities = self.content().map(|content| {
                let priorities = piece_priorities(&state.record, &content.info);
                let all = || vec![NORMAL_PRIORITY; content.info.layout.pieces() as usize];
                if priorities.is_empty() { all() } else { priorities }
            });
            let strategy = self.shard().strategy_of(&state.record);
            (strategy, priorities, settings.max_connections_per_torrent, settings.half_open)
        };
        self.state.borrow_mut().machine.set_exchange(self.shard().shared.settings().pex);
        self.feed(Event::Strategy(Box::new(strategy)));
        if let Some(priorities) = priorities {
            self.feed(Event::Priorities(priorities));
        }
        self.feed(Event::ConnectionLimits { max, half_open });
        self.poke();
    }

    /// Has every connection look at the limits anew.
    fn poke(&self) {
        self.state.borrow().conns.values().for_each(|conn| conn.poke());
    }

    /// Moves the data to another folder. Running is suspended meanwhile.
    pub(crate) fn move_to(&self, save_path: PathBuf) -> Result<(), RpcError> {
        let Some(content) = self.content() else {
            // There are no files so far.
            self.change(|record| record.save_path = save_path);
            return Ok(());
        };
        if content.storage.move_to(save_path).is_err() {
            return Err(RpcError::new(ErrorKind::Busy, "too many moves are waiting: try again later"));
        }
        self.state.borrow_mut().standing.moving = true;
        self.settle();
        self.show(self.shard().clock.now());
        Ok(())
    }

    /// Forgets the torrent; with `delete_data` its files go too.
    pub(crate) fn remove(&self, delete_data: bool) -> Result<(), RpcError> {
        self.stop();
        let shard = self.shard();
        shard.timers.set(self.id(), None);
        shard.lives.borrow_mut().remove(&self.id());
        shard.shared.add_past(&self.state.borrow().record);
        let Some(Content { storage, .. }) = self.content() else { return Ok(()) };
        if delete_data && storage.delete_data().is_err() {
            return Err(RpcError::new(
                ErrorKind::Busy,
                "removed, but storage is too busy to delete its files",
            ));
        }
        storage.clone().close();
        Ok(())
    }
}
