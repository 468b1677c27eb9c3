//! What must hold at every step.

use crate::{node::Kept, node::other, world::World};
use engine::out::PeerKey;
use proto::{
    bitfield::Bitfield,
    layout::{BLOCK, Block},
    strategy::Choking,
    time::Instant,
};

/// Blocks asked of one peer at most: the engine's own bound.
const MOST_ASKED: usize = 2_000;

impl World {
    /// Something is wrong; the first finding counts.
    pub(crate) fn breaks(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    /// Nothing is said to a connection that is closed.
    pub(crate) fn check_open(&mut self, key: PeerKey) -> bool {
        let open = self.ends[key.0 as usize].open;
        if !open {
            self.breaks(format!("peer {} speaks to a closed connection", self.ends[key.0 as usize].owner));
        }
        open
    }

    /// Nothing is claimed that is not held.
    pub(crate) fn check_claim(&mut self, at: u32, piece: u32) {
        if !self.nodes[at as usize].held.has(piece) {
            self.breaks(format!("peer {at} claims piece {piece}, which it lacks"));
        }
    }

    pub(crate) fn check_claims(&mut self, at: u32, bits: &[u8]) {
        match Bitfield::from_wire(bits, self.layout.pieces()) {
            Ok(bits) => bits.iter().for_each(|piece| self.check_claim(at, piece)),
            Err(error) => self.breaks(format!("peer {at} sends a bitfield that is none: {error}")),
        }
    }

    /// A request goes out: not for what is here, not twice of one peer, not of more peers than the strategy says.
    pub(crate) fn asks(&mut self, at: u32, key: PeerKey, block: Block) {
        let index = self.index(block);
        let end = &mut self.ends[key.0 as usize];
        let twice = end.asked.contains(&block);
        end.asked.push(block);
        let many = end.asked.len() > MOST_ASKED;
        let node = &mut self.nodes[at as usize];
        node.asked[index] += 1;
        let (count, strategy) = (u32::from(node.asked[index]), &node.strategy);
        let most = strategy.bbs_plus.max(strategy.endgame_duplicates);
        let leave = count <= strategy.bbs_plus || {
            let stats = node.torrent.as_ref().map(|torrent| torrent.stats(Instant::from_millis(self.ms)));
            // While the machine is at work its state is behind its words; whoever asks the last free block begins it.
            stats.is_none_or(|stats| stats.endgame)
        };
        let here = node.kept[index] != Kept::No || node.held.has(block.piece);
        if twice || many || here || count > most || !leave {
            self.breaks(format!(
                "peer {at} asks for {block:?}: twice of one {twice}, too many {many}, here {here}, of {count} peers, allowed {leave}"
            ));
        }
    }

    /// A block came or was refused: it is not asked of this peer any more.
    pub(crate) fn answered(&mut self, key: PeerKey, block: Block) {
        let end = &mut self.ends[key.0 as usize];
        if let Some(found) = end.asked.iter().position(|asked| *asked == block) {
            end.asked.swap_remove(found);
            self.unask(self.ends[key.0 as usize].owner, block);
        }
    }

    pub(crate) fn unask(&mut self, at: u32, block: Block) {
        let index = self.index(block);
        self.nodes[at as usize].asked[index] -= 1;
    }

    fn index(&self, block: Block) -> usize {
        (block.piece * self.blocks_per_piece + block.begin / BLOCK) as usize
    }

    /// A choked peer gets nothing but allowed-fast, and nobody sends what it does not hold.
    pub(crate) fn check_upload(&mut self, key: PeerKey, block: Block) {
        let end = &self.ends[key.0 as usize];
        let allowed = end.unchoked || end.allowed.contains(&block.piece);
        let (owner, held) = (end.owner, self.nodes[end.owner as usize].held.has(block.piece));
        if !allowed || !held {
            self.breaks(format!("peer {owner} sends {block:?}: allowed {allowed}, held {held}"));
        }
    }

    /// No more unchoked than there are slots, where there is a fixed number of them; no more peers than allowed.
    pub(crate) fn check_slots(&mut self, at: u32) {
        let node = &self.nodes[at as usize];
        let fixed = node.strategy.choking == Choking::TitForTat || node.is_complete();
        let slots = node.strategy.upload_slots + node.strategy.optimistic_slots;
        // When the last piece has come the slots of the old rule are taken away by the next round only.
        let just_complete = node.completed.is_some_and(|at| self.ms < at + 11_000);
        if fixed && node.unchoked > slots && !(node.strategy.choking != Choking::TitForTat && just_complete) {
            let unchoked = node.unchoked;
            self.breaks(format!("peer {at} unchokes {unchoked} with {slots} slots"));
        }
    }

    /// Whatever came to a peer in a stay was kept or thrown away.
    pub(crate) fn check_bytes(&mut self, at: u32) {
        let node = &self.nodes[at as usize];
        let Some(torrent) = &node.torrent else { return };
        let stats = torrent.stats(self.now());
        let (arrived, counted) = (node.arrived, stats.downloaded + stats.wasted);
        let (open, most) = (node.open.len(), self.scenario.connections as usize + 1);
        if arrived != counted {
            self.breaks(format!("{arrived} bytes came to peer {at}, which counts {counted}"));
        }
        if open > most {
            self.breaks(format!("peer {at} has {open} connections"));
        }
    }

    /// At the end: no byte appeared or vanished, and those who are complete hold everything.
    pub(crate) fn check_end(&mut self) {
        for at in 0..self.nodes.len() {
            if let Ok(at) = u32::try_from(at) {
                self.check_bytes(at);
            }
        }
        if self.sent != self.arrived + self.lost + self.transit {
            self.breaks(format!(
                "{} bytes were sent, {} arrived, {} were lost, {} are on their way",
                self.sent, self.arrived, self.lost, self.transit
            ));
        }
        let wrong = self.nodes.iter().position(|node| {
            let said = node.torrent.as_ref().is_some_and(|torrent| torrent.is_seed());
            said != node.is_complete() && node.torrent.is_some()
        });
        if let Some(at) = wrong {
            self.breaks(format!("peer {at} and its disk disagree whether it is complete"));
        }
        for key in 0..self.ends.len() {
            let Ok(key) = u32::try_from(key).map(PeerKey) else { return };
            if self.ends[key.0 as usize].open && !self.ends[other(key).0 as usize].open {
                // Half-closed: the news is on its way. Nothing may be sent over the closed half.
                let flows = self.ends[other(key).0 as usize].flow.block.is_some();
                if flows {
                    self.breaks("a closed connection still carries payload".to_owned());
                }
            }
        }
    }
}
