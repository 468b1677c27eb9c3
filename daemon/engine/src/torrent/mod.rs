//! One torrent: routes what happens to the rooms that decide, and their decisions to the caller.
//!
//! [`Torrent`] owns the connections and the rooms: the [`Picker`] (which block is asked of whom), the [`Choker`] (who may
//! download), a [`Pipeline`](crate::pipeline::Pipeline) per peer (how much is asked at a time) and the [`Candidates`]
//! (who is dialled). The rooms do not know each other. Per block the work is constant: nothing here goes through all peers
//! or all pieces for one.

mod config;
mod connect;
mod download;
mod explain;
mod fast;
mod messages;
mod peer;
mod pieces;
mod reveal;
mod share;
mod suspects;
#[cfg(test)]
mod tests;
mod timers;
mod upload;
mod view;

pub use config::*;
pub use timers::Why;
pub use view::*;

use crate::{
    choke::{Choker, Contender, Verdict},
    meter::Meter,
    out::{Action, Event, Out, PeerKey},
    peers::Candidates,
    picker::Picker,
};
use peer::{Peer, Table};
use proto::{bitfield::Bitfield, id::PeerId, layout::Block, merkle::HashTrees, time::Instant, wire::Message};
use std::{collections::VecDeque, net::SocketAddr, sync::Arc};
use suspects::Suspects;

/// The machine of one torrent.
#[derive(Debug)]
pub struct Torrent {
    config: TorrentConfig,
    running: bool,
    have: Bitfield,
    have_bytes: u64,
    /// [`Action::Completed`] was said for what is wanted now.
    completed: bool,

    peers: Table,
    picker: Picker,
    choker: Choker,
    candidates: Candidates,
    suspects: Suspects,
    /// Peers that left lately, to ban them for what they sent.
    left: VecDeque<(PeerKey, SocketAddr, PeerId)>,
    upload_limit: Option<u64>,
    /// Peers are exchanged with peers (BEP 11), unless the torrent is private.
    exchange: bool,
    /// The hash trees of version 2, to serve to others.
    trees: Option<Arc<HashTrees>>,

    timer: Option<(Instant, Why)>,
    next_rechoke: Instant,
    next_exchange: Instant,
    /// When the last round of choking was, and the one before it.
    rounds: [Instant; 2],
    chores: Chores,

    down: Meter,
    up: Meter,
    totals: Totals,
    endgame: explain::EndgameClock,
    scratch: Scratch,
}

/// What is to be done once the event at hand is dealt with.
#[derive(Clone, Copy, Debug, Default)]
struct Chores {
    /// Blocks became free, or endgame began: peers with room may have work.
    refill: bool,
    /// A slot may be free for someone who waits.
    fill_slots: bool,
    /// There is room for another connection.
    dial: bool,
}

/// Payload bytes since the machine was made.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    downloaded: u64,
    uploaded: u64,
    wasted: u64,
    corrupt: u64,
    snubs: u64,
}

/// Vectors that are used again, to save allocations per block.
#[derive(Debug, Default)]
struct Scratch {
    blocks: Vec<Block>,
    others: Vec<PeerKey>,
    back: Vec<(u32, u32)>,
    contenders: Vec<Contender>,
    verdicts: Vec<Verdict>,
}

impl Torrent {
    /// Gives it the hash trees of its version 2 side (BEP 52), to serve to others.
    pub fn set_hash_trees(&mut self, trees: Option<Arc<HashTrees>>) {
        self.trees = trees;
    }

    /// A stopped torrent that holds `have`. `priorities` has one entry per piece (0 skips, [`NORMAL_PRIORITY`] is usual)
    /// or is empty for all normal. It does nothing until [`Event::Run`].
    pub fn new(config: TorrentConfig, have: Bitfield, priorities: Vec<u8>) -> Self {
        let pieces = config.layout.pieces();
        let have = if have.len() == pieces { have } else { Bitfield::none(pieces) };
        let priorities = complete(priorities, pieces);
        let picker = Picker::new(config.layout.clone(), &config.strategy, &have, &priorities, config.seed);
        let have_bytes = have.iter().map(|piece| u64::from(config.layout.piece_len(piece))).sum();
        Self {
            running: false,
            completed: picker.missing_pieces() == 0,
            have,
            have_bytes,
            peers: Table::default(),
            picker,
            // Another stream than the picker's, from the same seed.
            choker: Choker::new(config.seed ^ 0x9e37_79b9_7f4a_7c15),
            candidates: Candidates::default(),
            suspects: Suspects::default(),
            left: VecDeque::new(),
            upload_limit: None,
            timer: None,
            next_rechoke: Instant::START,
            next_exchange: Instant::START,
            rounds: [Instant::START; 2],
            chores: Chores::default(),
            exchange: true,
            trees: None,
            down: Meter::default(),
            up: Meter::default(),
            totals: Totals::default(),
            endgame: explain::EndgameClock::default(),
            scratch: Scratch::default(),
            config,
        }
    }

    /// Whether peers are exchanged with peers (BEP 11). On at first; private torrents never do. For connections to come.
    pub fn set_exchange(&mut self, on: bool) {
        self.exchange = on;
    }

    /// Something happened.
    pub fn on(&mut self, now: Instant, event: Event, out: &mut Out) {
        match event {
            Event::Block { peer, block } => self.on_block(now, peer, block, out),
            Event::Lost { peer, block } => self.on_reject(now, peer, block),
            Event::Received { peer, .. } => self.on_received(now, peer),
            Event::Sent { peer, bytes } => self.on_sent(now, peer, bytes),
            Event::Message { peer, message } => self.on_message(now, peer, message, out),
            Event::Connected { peer, addr, outgoing, id, caps } => {
                let pieces = self.config.layout.pieces();
                self.on_connected(now, Peer::new(now, peer, addr, outgoing, id, caps, pieces), false, out);
            }
            Event::Adopted { peer, addr, outgoing, id, caps } => {
                let pieces = self.config.layout.pieces();
                self.on_connected(now, Peer::new(now, peer, addr, outgoing, id, caps, pieces), true, out);
            }
            Event::DialFailed { addr } => {
                self.candidates.failed(now, addr);
                self.chores.dial = true;
            }
            Event::Closed { peer } => self.forget(now, peer),
            Event::PieceDone { piece, digests } => self.on_piece_done(now, piece, &digests, out),
            Event::PieceBad { piece, digests } => self.on_piece_bad(now, piece, &digests, out),
            Event::PieceLost { piece } => {
                self.picker.lost(piece, false);
                self.chores.refill = true;
            }
            Event::PieceGone { piece } => self.on_piece_gone(now, piece, out),
            Event::Candidates { source, addrs } => {
                self.candidates.offer(now, source, &addrs);
                self.chores.dial = true;
            }
            Event::Strategy(strategy) => self.set_strategy(now, *strategy, out),
            Event::Priorities(priorities) => self.set_priorities(now, priorities, out),
            Event::ConnectionLimits { max, half_open } => self.set_limits(now, max, half_open, out),
            Event::Run(run) => self.run(now, run, out),
            Event::Ban(ip) => self.ban(now, ip, out),
            Event::OwnAddrs(addrs) => self.candidates.set_own(addrs),
            Event::UploadLimit(limit) => self.upload_limit = limit,
        }
        self.settle(now, out);
    }

    /// The deadline has come.
    pub fn wake(&mut self, now: Instant, out: &mut Out) {
        if self.running {
            self.on_time(now, out);
        }
        self.settle(now, out);
        self.set_timer();
    }

    /// When to call [`Self::wake`], and why. Changes with every event.
    pub fn deadline(&self) -> Option<(Instant, Why)> {
        self.timer
    }

    /// Does what the event left to do. One chore may leave another, but not without end: what is still open after some
    /// turns waits for the next event.
    fn settle(&mut self, now: Instant, out: &mut Out) {
        const TURNS: usize = 4;
        for _ in 0..TURNS {
            let chores = std::mem::take(&mut self.chores);
            if !self.running {
                self.endgame.set(now, false);
                return;
            }
            if chores.refill {
                self.refill_all(now, out);
            }
            if chores.fill_slots {
                self.fill_slots(now, out);
            }
            if chores.dial {
                self.dial(now, out);
            }
        }
        self.endgame.set(now, self.picker.in_endgame());
    }

    /// Puts a strategy in force, at once.
    fn set_strategy(&mut self, now: Instant, strategy: proto::strategy::Strategy, out: &mut Out) {
        self.picker.set_strategy(&strategy);
        if !strategy.anti_snubbing {
            self.peers.iter_mut().for_each(|peer| peer.pipe.unsnub(now));
        }
        self.config.strategy = strategy;
        self.chores.refill = true;
        self.show_everything(now, out);
        if self.running {
            self.rechoke(now, out);
            self.set_timer();
        }
    }

    /// New priorities: requests for what is not wanted any more are cancelled.
    fn set_priorities(&mut self, now: Instant, priorities: Vec<u8>, out: &mut Out) {
        self.picker.set_priorities(&complete(priorities, self.config.layout.pieces()));
        for peer in self.peers.iter_mut() {
            let mut unwanted = Vec::new();
            peer.pipe.cancel_where(|piece| !self.picker.wants(piece), &mut unwanted);
            for (piece, index) in unwanted {
                let block = self.config.layout.block(piece, index);
                self.picker.give_back(block, peer.key);
                peer.last_sent = now;
                out.push(Action::Send { peer: peer.key, message: Message::Cancel(block) });
            }
            peer.interesting = download::interesting(&self.picker, &peer.holds);
        }
        self.completed &= self.picker.missing_pieces() == 0;
        self.check_completed(now, out);
        self.update_all_interest(now, out);
        self.chores.refill = true;
        self.chores.dial = true;
    }

    /// The verified pieces.
    pub fn have(&self) -> &Bitfield {
        &self.have
    }

    /// Whether everything wanted is here.
    pub fn is_complete(&self) -> bool {
        self.picker.missing_pieces() == 0
    }

    /// Whether everything is here.
    pub fn is_seed(&self) -> bool {
        self.have.is_full()
    }
}

/// One priority per piece: what is missing is normal.
fn complete(mut priorities: Vec<u8>, pieces: u32) -> Vec<u8> {
    priorities.resize(pieces as usize, NORMAL_PRIORITY);
    priorities
}
