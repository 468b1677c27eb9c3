//! What is looked at while a world runs.

use crate::{
    node::other,
    world::{Ev, World},
};

/// Milliseconds between two looks.
const EVERY: u64 = 2_000;

/// The swarm at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Seconds from the start.
    pub at: f64,
    /// Peers that are there and lack something.
    pub leechers: u32,
    /// Peers that are there and have everything.
    pub complete: u32,
    /// Pieces that only the sources have.
    pub rare: u32,
    /// Payload bytes that have arrived so far.
    pub arrived: u64,
    /// Payload bytes that the uploads of all who were there could have carried so far.
    pub capacity: u64,
}

impl World {
    /// Looks at everyone.
    pub(crate) fn sample(&mut self) {
        let (mut leechers, mut complete, mut capacity) = (0, 0, 0);
        for at in 0..self.nodes.len() {
            let node = &self.nodes[at];
            if node.torrent.is_none() {
                continue;
            }
            capacity += node.up * EVERY / 1_000;
            let leeches = node.leeches();
            leechers += u32::from(leeches);
            complete += u32::from(!leeches);
            for index in 0..self.nodes[at].open.len() {
                let key = self.nodes[at].open[index].0 as usize;
                let there = &self.ends[other(self.nodes[at].open[index]).0 as usize];
                if !there.open || !self.nodes[there.owner as usize].leeches() {
                    continue;
                }
                let interesting = there.interested;
                let end = &mut self.ends[key];
                if leeches {
                    end.pair.together += EVERY;
                    end.pair.interested += if end.interested { EVERY } else { 0 };
                    end.pair.interesting += if interesting { EVERY } else { 0 };
                } else if interesting {
                    end.pair.present += EVERY;
                    end.pair.served += if end.unchoked { EVERY } else { 0 };
                }
            }
        }
        let before = self.moments.last().map_or(0, |moment| moment.capacity);
        self.moments.push(Moment {
            at: seconds(self.ms),
            leechers,
            complete,
            rare: self.layout.pieces() - self.spread,
            arrived: self.arrived,
            capacity: before + capacity,
        });
        self.queue.push(self.ms + EVERY, Ev::Sample);
    }
}

/// Milliseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "simulated times are far below 2^52 ms")]
pub(crate) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}
