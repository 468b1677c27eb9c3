//! What a torrent's machine asks for, done.

use super::live::{Live, State};
use engine::out::{Action, DropReason, PeerKey};
use std::rc::Rc;

impl Live {
    pub(super) fn act(&self, state: &mut State, action: Action) {
        match action {
            Action::Send { peer, message } => with(state, peer, |conn| conn.send(&message)),
            Action::Upload { peer } => with(state, peer, |conn| conn.offer_uploads()),
            Action::ExtIds { peer, ids } => with(state, peer, |conn| conn.set_ids(ids)),
            Action::Drop { peer, why } => {
                if let Some(conn) = state.conns.remove(&peer) {
                    let ip = conn.addr.ip();
                    // On loopback everyone has the same address; there the machine bans by endpoint and id.
                    if why == DropReason::Corrupt && !ip.is_loopback() {
                        self.shard().shared.ban(ip);
                    }
                    conn.close(why);
                }
            }
            Action::Keep { .. } => self.set_keep(true),
            Action::Discard => self.set_keep(false),
            Action::WantDigests { piece } => {
                if let Some(content) = self.content() {
                    content.storage.want_digests(piece);
                }
            }
            Action::Dial { addr } => self.dial(addr),
            Action::Completed => self.completed(state),
            Action::Metadata { info } => self.metadata(info),
            Action::SeenAs { ip, by } => self.shard().shared.seen_as(ip, by),
            Action::DhtNode { addr } => self.shard().shared.dht().contact(addr),
        }
    }
}

fn with(state: &State, peer: PeerKey, act: impl FnOnce(&Rc<crate::pump::Conn>)) {
    if let Some(conn) = state.conns.get(&peer) {
        act(conn);
    }
}
