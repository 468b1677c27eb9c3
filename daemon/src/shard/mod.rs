//! A shard: one thread that owns some of the torrents and all of their state.
//!
//! Nothing in here is shared, so no lock is needed to decide anything. Other threads send a closure to run beside a
//! torrent ([`ShardHandle::call`]) or an incoming connection; storage answers over a bounded channel. Each connection is a
//! task of this thread; one loop serves the messages and the torrents' deadlines.

mod actions;
mod adding;
mod announcing;
mod asked;
mod described;
mod dialling;
pub(crate) mod live;
mod machine;
mod magnet;
mod status;
mod storing;
mod timers;
pub(crate) mod views;

pub(crate) use adding::NewTorrent;
pub(crate) use described::Described;

use crate::{
    clock::Clock,
    gate::Arrival,
    notify::Beat,
    pump::{meter::Meter, spare::Spare},
    session::Shared,
    storage::{Pool, Storage, StorageEvent, TorrentKey},
};
use live::Live;
use proto::id::InfoHash;
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    future::pending,
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use timers::Timers;
use tokio::{
    runtime::Builder,
    sync::{mpsc, oneshot},
    task::LocalSet,
};

/// Messages that may wait for a shard. Senders wait when it is full.
const INBOX: usize = 1024;

/// Events of storage that may wait for a shard: a burst of finished pieces and reads of many peers.
const STORAGE_EVENTS: usize = 4096;

/// Messages handled before the connections get their turn.
const BURST: usize = 64;

/// How often figures are renewed and progress is saved.
const TICK: Duration = Duration::from_millis(500);

/// Runs on the shard's thread, beside the torrent that was named, if it is there.
type Call = Box<dyn FnOnce(&Rc<Shard>, Option<&Rc<Live>>) + Send>;

/// What other threads tell a shard.
pub(crate) enum ToShard {
    /// Run this beside a torrent.
    Call(InfoHash, Call),
    /// A connection came in for a torrent.
    Incoming(Box<Arrival>),
    /// Stop: tell the trackers, save, and answer when done.
    Stop(oneshot::Sender<()>),
}

/// The way to a shard from other threads.
#[derive(Clone)]
pub(crate) struct ShardHandle {
    inbox: mpsc::Sender<ToShard>,
}

/// The shard is gone: btd is shutting down, or the shard panicked.
#[derive(Debug, thiserror::Error)]
#[error("btd is shutting down")]
pub(crate) struct Gone;

impl ShardHandle {
    /// Sends a message, waiting while the inbox is full.
    pub(crate) async fn send(&self, message: ToShard) -> Result<(), Gone> {
        self.inbox.send(message).await.map_err(|_| Gone)
    }

    /// Sends a message unless the shard is busy: for what comes again.
    pub(crate) fn try_send(&self, message: ToShard) {
        let _ = self.inbox.try_send(message);
    }

    /// Stops the shard: peers are dropped, progress is saved, trackers are told. Resolves when that is done.
    pub(crate) async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.send(ToShard::Stop(done)).await.is_ok() {
            let _ = stopped.await;
        }
    }

    /// Runs `call` beside the torrent on the shard's thread and brings back what it returns.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        id: InfoHash,
        call: impl FnOnce(&Rc<Shard>, Option<&Rc<Live>>) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (answer, answered) = oneshot::channel();
        let boxed: Call = Box::new(move |shard, live| {
            let _ = answer.send(call(shard, live));
        });
        self.send(ToShard::Call(id, boxed)).await?;
        answered.await.map_err(|_| Gone)
    }
}

/// What all torrents of a shard share.
pub(crate) struct Shard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Clock,
    pub(crate) pool: Arc<Pool>,
    pub(crate) storage: Storage,
    pub(crate) spare: RefCell<Spare>,
    pub(crate) upload: Meter,
    pub(crate) download: Meter,
    pub(crate) lives: RefCell<BTreeMap<InfoHash, Rc<Live>>>,
    /// Which torrent storage means.
    keys: RefCell<HashMap<TorrentKey, InfoHash>>,
    pub(crate) timers: Timers,
    storage_events: mpsc::Sender<StorageEvent>,
}

/// Starts a shard's thread.
pub(crate) fn start(name: String, shared: Arc<Shared>, beat: Beat) -> std::io::Result<ShardHandle> {
    let (inbox, messages) = mpsc::channel(INBOX);
    let handle = ShardHandle { inbox };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(name).spawn(move || {
        let (storage_events, events) = mpsc::channel(STORAGE_EVENTS);
        let storage = shared.storage.clone();
        let pool = Arc::clone(storage.pool());
        let shard = Rc::new(Shard {
            clock: shared.clock,
            spare: RefCell::new(Spare::new(Arc::clone(&pool))),
            pool,
            storage,
            upload: shared.upload.clone(),
            download: shared.download.clone(),
            lives: RefCell::default(),
            keys: RefCell::default(),
            timers: Timers::default(),
            storage_events,
            shared,
        });
        LocalSet::new().block_on(&runtime, async {
            tokio::task::spawn_local(beat.run());
            shard.run(messages, events).await;
        });
    })?;
    Ok(handle)
}

impl Shard {
    async fn run(
        self: Rc<Self>,
        mut messages: mpsc::Receiver<ToShard>,
        mut events: mpsc::Receiver<StorageEvent>,
    ) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let due = self.timers.first().map(|at| self.clock.std(at));
            tokio::select! {
                biased;
                () = sleep_until(due) => self.wake_due(),
                () = self.timers.sooner() => {}
                Some(event) = events.recv() => {
                    self.stored(event);
                    (1..BURST).map_while(|_| events.try_recv().ok()).for_each(|event| self.stored(event));
                }
                message = messages.recv() => match message {
                    Some(ToShard::Call(id, call)) => {
                        let live = self.live(id);
                        call(&self, live.as_ref());
                    }
                    Some(ToShard::Incoming(arrival)) => self.arrived(*arrival),
                    Some(ToShard::Stop(done)) => {
                        self.stop().await;
                        let _ = done.send(());
                        return;
                    }
                    None => return,
                },
                _ = ticks.tick(), if !self.lives.borrow().is_empty() => self.tick(),
            }
        }
    }

    /// A torrent of this shard.
    pub(crate) fn live(&self, id: InfoHash) -> Option<Rc<Live>> {
        self.lives.borrow().get(&id).cloned()
    }

    /// The torrent that storage knows by this key.
    fn by_key(&self, key: TorrentKey) -> Option<Rc<Live>> {
        let id = self.keys.borrow().get(&key).copied()?;
        self.live(id)
    }

    /// Wakes every torrent whose deadline has come.
    fn wake_due(&self) {
        for id in self.timers.due(self.clock.now()) {
            if let Some(live) = self.live(id) {
                live.wake();
            }
        }
    }

    /// Renews figures, saves progress.
    fn tick(&self) {
        let lives: Vec<_> = self.lives.borrow().values().cloned().collect();
        let now = self.clock.now();
        for live in lives {
            live.tick(now);
        }
    }

    /// Stops every torrent: peers are dropped, progress is saved, trackers are told.
    async fn stop(&self) {
        let lives: Vec<_> = self.lives.borrow().values().cloned().collect();
        for live in &lives {
            live.stop();
        }
        futures_util::future::join_all(lives.iter().map(|live| live.goodbye())).await;
    }
}

async fn sleep_until(at: Option<std::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => pending().await,
    }
}
