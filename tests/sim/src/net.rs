//! Fluid flows: every connection that has payload to send gets its share of both ends' links.
//!
//! A receiver offers each of its incoming flows an equal share of its download; a sender divides its upload among its
//! flows by water-filling under those offers. So no link ever carries more than it can, and no upload lies idle that
//! somebody could take.

use crate::{
    log::What,
    node::{Kept, other},
    world::{Ev, World},
};
use engine::out::{Event, PeerKey};
use rand::Rng as _;

impl World {
    /// An end has blocks to send: begins, once the disk has found the first.
    pub(crate) fn wants_to_send(&mut self, key: PeerKey) {
        let end = &mut self.ends[key.0 as usize];
        if end.flow.block.is_some() || end.flow.reading {
            return;
        }
        end.flow.reading = true;
        let disk = self.nodes[end.owner as usize].disk;
        self.queue.push(self.ms + disk, Ev::Start(key));
    }

    /// The disk has found it.
    pub(crate) fn start(&mut self, key: PeerKey) {
        let end = &mut self.ends[key.0 as usize];
        end.flow.reading = false;
        if !end.open || end.flow.block.is_some() || !self.load(key, 0) {
            return;
        }
        let (from, to) = (self.ends[key.0 as usize].owner, self.ends[other(key).0 as usize].owner);
        self.nodes[from as usize].sending.push(key);
        self.nodes[to as usize].receiving.push(key);
        self.share(from);
        self.offers_changed(to);
    }

    /// Takes the next block that the machine has for this end. Whether there is one.
    fn load(&mut self, key: PeerKey, ahead: u64) -> bool {
        let from = self.ends[key.0 as usize].owner as usize;
        let node = &mut self.nodes[from];
        let stalls = node
            .manners
            .snubs_after
            .is_some_and(|after| (self.ms - node.joined.unwrap_or(self.ms)) as f64 >= after * 1_000.0);
        if stalls || node.up == 0 {
            return false;
        }
        let mut blocks = std::mem::take(&mut self.blocks);
        blocks.clear();
        if let Some(torrent) = &mut node.torrent {
            torrent.next_uploads(key, 1, &mut blocks);
        }
        let block = blocks.first().copied();
        self.blocks = blocks;
        let Some(block) = block else { return false };
        self.check_upload(key, block);
        let corrupt = self.nodes[from].manners.corrupt;
        let good = corrupt == 0.0 || !self.rng.random_bool(corrupt);
        let flow = &mut self.ends[key.0 as usize].flow;
        flow.block = Some(block);
        flow.good = good;
        flow.left = (u64::from(block.len) * 1_000).saturating_sub(ahead);
        flow.since = self.ms;
        true
    }

    /// The block under way may be out.
    pub(crate) fn flow_ends(&mut self, key: PeerKey, epoch: u32) {
        let flow = &mut self.ends[key.0 as usize].flow;
        if flow.epoch != epoch {
            return;
        }
        let Some(block) = flow.block.take() else { return };
        let done = flow.rate * (self.ms - flow.since);
        let (good, ahead) = (flow.good, done.saturating_sub(flow.left));
        let (from, to) = (self.ends[key.0 as usize].owner, self.ends[other(key).0 as usize].owner);
        self.transit += u64::from(block.len);
        self.sent += u64::from(block.len);
        self.from_sources += if self.nodes[from as usize].source { u64::from(block.len) } else { 0 };
        let delay = self.delay(from, to);
        self.queue.push(self.ms + delay, Ev::Arrive(other(key), block, good));
        self.log.note(self.ms, from, What::Sent, u64::from(key.0), u64::from(block.piece));
        // The next block follows at once, so that the shares stay as they are.
        let goes_on = self.load(key, ahead);
        if goes_on {
            self.foresee(key);
        }
        self.feed(from, Event::Sent { peer: key, bytes: block.len });
        if !goes_on {
            self.stop(key);
        }
    }

    /// Nothing more goes over this end.
    pub(crate) fn stop(&mut self, key: PeerKey) {
        let (from, to) = (self.ends[key.0 as usize].owner, self.ends[other(key).0 as usize].owner);
        let flow = &mut self.ends[key.0 as usize].flow;
        flow.block = None;
        flow.rate = 0;
        flow.epoch += 1;
        let sending = &mut self.nodes[from as usize].sending;
        let Some(at) = sending.iter().position(|it| *it == key) else { return };
        sending.remove(at);
        self.nodes[to as usize].receiving.retain(|it| *it != key);
        self.share(from);
        self.offers_changed(to);
    }

    /// What a receiver offers each flow that comes to it.
    fn offer(&self, to: u32) -> u64 {
        let node = &self.nodes[to as usize];
        node.down / (node.receiving.len() as u64).max(1)
    }

    /// More or fewer flows come to a receiver: those senders divide anew whom its offer binds, or no longer binds.
    fn offers_changed(&mut self, to: u32) {
        let (offer, down) = (self.offer(to), self.nodes[to as usize].down);
        let count = self.nodes[to as usize].receiving.len() as u64;
        // What it offered before: one flow more or fewer.
        let before = [down / (count + 1), down / count.saturating_sub(1).max(1)];
        for key in self.nodes[to as usize].receiving.clone() {
            let (rate, from) = (self.ends[key.0 as usize].flow.rate, self.ends[key.0 as usize].owner);
            if rate > offer || before.contains(&rate) {
                self.share(from);
            }
        }
    }

    /// Divides a sender's upload among its flows.
    fn share(&mut self, from: u32) {
        let mut shares = std::mem::take(&mut self.shares);
        shares.clear();
        for key in &self.nodes[from as usize].sending {
            let to = self.ends[other(*key).0 as usize].owner;
            shares.push((self.offer(to), *key));
        }
        shares.sort_unstable();
        let mut left = self.nodes[from as usize].up;
        let mut flows = shares.len() as u64;
        for (offer, key) in &shares {
            let rate = (left / flows).min(*offer).max(1);
            left = left.saturating_sub(rate);
            flows -= 1;
            let flow = &mut self.ends[key.0 as usize].flow;
            if flow.rate != rate {
                flow.left = flow.left.saturating_sub(flow.rate * (self.ms - flow.since));
                flow.since = self.ms;
                flow.rate = rate;
                self.foresee(*key);
            }
        }
        self.shares = shares;
    }

    /// Puts the end of the block under way into the queue.
    fn foresee(&mut self, key: PeerKey) {
        let flow = &mut self.ends[key.0 as usize].flow;
        flow.epoch += 1;
        let takes = flow.left.div_ceil(flow.rate.max(1));
        self.queue.push(self.ms + takes, Ev::Flow(key, flow.epoch));
    }

    /// A block arrives at the end `key`.
    pub(crate) fn arrive(&mut self, key: PeerKey, block: proto::layout::Block, good: bool) {
        self.transit -= u64::from(block.len);
        let at = self.ends[key.0 as usize].owner;
        if !self.ends[key.0 as usize].open {
            self.lost += u64::from(block.len);
            return;
        }
        self.answered(key, block);
        self.arrived += u64::from(block.len);
        self.nodes[at as usize].arrived += u64::from(block.len);
        let from = self.ends[other(key).0 as usize].owner;
        if self.nodes[from as usize].leeches() && self.nodes[at as usize].leeches() {
            self.ends[other(key).0 as usize].pair.given += u64::from(block.len);
        }
        self.log.note(self.ms, at, What::Block, u64::from(key.0), u64::from(block.piece));
        self.arriving = if good { Kept::Good } else { Kept::Bad };
        self.feed(at, Event::Block { peer: key, block });
    }

    /// One way between two peers, in milliseconds.
    pub(crate) fn delay(&self, a: u32, b: u32) -> u64 {
        self.nodes[a as usize].delay + self.nodes[b as usize].delay
    }
}
