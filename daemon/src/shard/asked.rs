//! What the control API asks of one torrent.

use super::{Shard, live::Live};
use engine::out::{Event, Source};
use proto::{
    magnet::Magnet,
    rpc::{ErrorKind, RpcError},
    strategy::{Strategy, StrategyPatch},
};
use std::net::{IpAddr, SocketAddr};

impl Live {
    /// How many entries its list of files has, padding included: priorities are named by these numbers.
    pub(crate) fn file_count(&self) -> usize {
        self.content().map_or(0, |content| content.info.files.len())
    }

    /// Peers to try.
    pub(crate) fn add_peers(&self, source: Source, addrs: Vec<SocketAddr>) {
        if !addrs.is_empty() {
            self.feed(Event::Candidates { source, addrs });
        }
    }

    /// Drops everyone at this address and tries it no more.
    pub(crate) fn ban(&self, ip: IpAddr) {
        self.feed(Event::Ban(ip));
    }

    /// `torrent.recheck`, unless a check is under way.
    pub(crate) fn recheck_asked(self: &std::rc::Rc<Self>) -> Result<(), RpcError> {
        if self.state.borrow().standing.checking.is_some() {
            return Err(RpcError::new(ErrorKind::Busy, "the torrent is being checked already"));
        }
        self.recheck();
        Ok(())
    }

    /// Its magnet link.
    pub(crate) fn magnet(&self) -> String {
        let state = self.state.borrow();
        Magnet {
            name: Some(state.record.name.clone()),
            trackers: state.announcing.urls(),
            web_seeds: state.outer.web_seeds.clone(),
            info_hash: Some(self.id()),
            ..Magnet::default()
        }
        .to_string()
    }

    /// Its own changes of strategy, and what is in force.
    pub(crate) fn strategies(&self, shard: &Shard) -> (StrategyPatch, Strategy) {
        let state = self.state.borrow();
        (state.record.strategy.clone(), shard.strategy_of(&state.record))
    }
}
