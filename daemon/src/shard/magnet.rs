//! From a magnet link to a torrent: the metadata arrives, and the connections live on.

use super::{
    Described,
    live::{Content, Live, State},
    machine::Machine,
};
use bytes::Bytes;
use engine::out::Event;
use proto::{
    bitfield::Bitfield,
    metainfo::{Info, Metainfo, v2::PieceLayers},
};
use std::{path::PathBuf, rc::Rc, sync::Arc};
use tokio::task::{spawn_blocking, spawn_local};

/// Files that are looked for on the disk before a check is thought needless. A torrent of more has its first ones there
/// if it has any.
const LOOK_AT: usize = 1_000;

impl Live {
    /// The metadata is here and its hash is right. Comes in a task of its own, since the machine is in the midst of an
    /// event.
    pub(super) fn metadata(&self, raw: Bytes) {
        let Some(live) = self.shard().live(self.id()) else { return };
        spawn_local(async move {
            if let Err(why) = live.become_torrent(raw).await {
                tracing::warn!(torrent = %live.id(), "{why}");
                live.state.borrow_mut().record.error = Some(why);
                live.settle();
            }
        });
    }

    async fn become_torrent(self: &Rc<Self>, raw: Bytes) -> Result<(), String> {
        let described = spawn_blocking(move || Described::new(Info::parse_any(&raw)?, &PieceLayers::new()))
            .await
            .map_err(|_| "reading the metadata failed".to_owned())?
            .map_err(|error| format!("the metadata of this magnet cannot be used: {error}"))?;
        let (outer, save_path) = {
            let state = self.state.borrow();
            let mut outer = proto::metainfo::Outer::clone(&state.outer);
            outer.trackers = state.announcing.tiers();
            (outer, state.record.save_path.clone())
        };
        if described.lacks_layers() {
            return Err("peers send the hashes of this v2-only torrent one by one, which btd cannot fetch: add its .torrent file".to_owned());
        }
        let info = Info::clone(&described.info);
        let file = Metainfo::new(info.clone(), outer.clone()).to_bytes();
        let (store, id) = (self.shard().shared.store.clone(), self.id());
        let paths: Vec<PathBuf> = info.files.iter().take(LOOK_AT).map(|f| f.path.iter().collect()).collect();
        let saved = spawn_blocking(move || {
            let there = paths.iter().any(|path| save_path.join(path).exists());
            store.put_metainfo(id, &file).map(|()| there)
        });
        let there = saved
            .await
            .map_err(|_| "saving the metadata failed".to_owned())?
            .map_err(|error| error.to_string())?;
        self.adopt(described, outer, there);
        Ok(())
    }

    /// Goes on as a torrent. With `check`, what is on the disk is compared first, and the connections are made anew
    /// after that.
    fn adopt(self: &Rc<Self>, described: Described, outer: proto::metainfo::Outer, check: bool) {
        let shard = self.shard();
        let storage = shard.open_storage(&self.state.borrow().record, &described, false);
        let Described { info, trees } = described;
        let content = Content { info: Arc::clone(&info), trees: trees.clone(), storage };
        if self.set_content(content).is_err() {
            return;
        }
        let handed_over = {
            let mut state = self.state.borrow_mut();
            let State { record, outer: kept, machine, standing, .. } = &mut *state;
            record.name.clone_from(&info.name);
            record.size = info.layout.payload();
            record.pieces = info.layout.pieces();
            record.private = info.private;
            record.choose_files(info.files.len());
            *kept = Arc::new(outer);
            let torrent = shard.machine(record, &info, trees, Bitfield::none(info.layout.pieces()));
            let old = std::mem::replace(machine, Machine::Torrent(Box::new(torrent)));
            standing.checking = check.then_some(0.0);
            standing.changed = true;
            (standing.counted_down, standing.counted_up) = (0, 0);
            // The machine is a new one: it has to be told anew.
            standing.running = false;
            let now = shard.clock.now();
            self.save_record(&mut state, now);
            match old {
                Machine::Fetch(mut fetch) => fetch.hand_over(),
                Machine::Torrent(_) => Vec::new(),
            }
        };
        tracing::info!(torrent = %self.id(), "the metadata of {} is here", info.name);
        self.set_piece_limits(info.layout.pieces());
        self.settle();
        for event in handed_over {
            if !check || matches!(event, Event::Candidates { .. }) {
                self.feed(event);
            }
        }
        if check {
            self.drop_everyone();
            self.begin_check();
        }
        self.show(shard.clock.now());
    }

    /// What a fetch of metadata is waiting for, in words.
    pub(super) fn fetch_message(&self, state: &State) -> Option<String> {
        let progress = state.machine.fetching()?;
        let shared = &self.shard().shared;
        Some(match (progress.blocks, progress.peers, progress.with_metadata) {
            (Some((got, all)), _, 1..) => format!("fetching the metadata: {got} of {all} parts"),
            (_, 1, 0) => "1 peer, it has not sent the metadata".to_owned(),
            (_, peers @ 2.., 0) => format!("{peers} peers, none has the metadata"),
            (_, 0, _) if progress.connecting + progress.candidates > 0 => {
                format!("connecting to {} peers", progress.connecting + progress.candidates)
            }
            (_, 0, _) if shared.dht().runs() => "asking the DHT".to_owned(),
            (_, 0, _) if !state.announcing.is_empty() => "asking the trackers".to_owned(),
            (_, 0, _) => "no tracker, no DHT and no peer: add one, or start btd with --dht".to_owned(),
            (_, peers, _) => format!("asking {peers} peers for the metadata"),
        })
    }
}
