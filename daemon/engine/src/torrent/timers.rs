//! The torrent's one timer.

use super::{KEEP_ALIVE, REQUEST_TIMEOUT, SILENCE, Torrent};
use crate::out::{Action, DropReason, Out};
use proto::{time::Instant, wire::Message};

/// What a torrent's timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The next round of choking.
    Rechoke,
    /// A peer may have stopped sending.
    Snub,
    /// A connection is quiet and wants a keep-alive.
    KeepAlive,
    /// A connection may be dead.
    Silence,
    /// A candidate may be dialled.
    Dial,
    /// Peers are told of each other.
    Exchange,
}

impl Torrent {
    /// Sets the timer no later than this.
    pub(super) fn arm(&mut self, at: Instant, why: Why) {
        if self.running && self.timer.is_none_or(|(set, _)| at < set) {
            self.timer = Some((at, why));
        }
    }

    /// Does everything that is due.
    pub(super) fn on_time(&mut self, now: Instant, out: &mut Out) {
        for key in self.peers.keys() {
            let Some(peer) = self.peers.get_mut(key) else { continue };
            if now.since(peer.last_heard) >= SILENCE {
                self.drop_peer(now, key, DropReason::Timeout, out);
                continue;
            }
            if now.since(peer.last_sent) >= KEEP_ALIVE {
                peer.last_sent = now;
                out.push(Action::Send { peer: key, message: Message::KeepAlive });
            }
            self.check_requests(now, key, out);
        }
        if now >= self.next_rechoke && self.has_contenders() {
            self.rechoke(now, out);
        }
        if now >= self.next_exchange && self.has_exchange() {
            self.exchange(now, out);
        }
        self.chores.dial = true;
    }

    fn has_contenders(&self) -> bool {
        self.peers.iter().any(|peer| peer.peer_interested || !peer.am_choking)
    }

    /// Sets the timer anew, from everything that may come due. Events only ever set it earlier.
    pub(super) fn set_timer(&mut self) {
        self.timer = None;
        if !self.running {
            return;
        }
        let snub = self.snub_timeout();
        let anti_snubbing = self.config.strategy.anti_snubbing;
        let mut timer: Option<(Instant, Why)> = None;
        let mut at = |when: Instant, why| {
            if timer.is_none_or(|(set, _)| when < set) {
                timer = Some((when, why));
            }
        };
        for peer in self.peers.iter() {
            at(peer.last_sent + KEEP_ALIVE, Why::KeepAlive);
            at(peer.last_heard + SILENCE, Why::Silence);
            if let Some(oldest) = peer.pipe.oldest() {
                at(oldest + REQUEST_TIMEOUT, Why::Snub);
            }
            if let Some(since) = peer.pipe.waiting_since()
                && anti_snubbing
                && !peer.pipe.is_snubbed()
                && !peer.peer_choking
            {
                at(since + snub, Why::Snub);
            }
            if let Some(until) = peer.pipe.resting_until() {
                at(until, Why::Snub);
            }
        }
        if self.has_contenders() {
            at(self.next_rechoke, Why::Rechoke);
        }
        if self.has_exchange() {
            at(self.next_exchange, Why::Exchange);
        }
        if self.may_dial()
            && let Some(due) = self.candidates.next_due(self.is_complete())
        {
            at(due, Why::Dial);
        }
        self.timer = timer;
    }
}
