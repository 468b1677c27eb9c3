//! Super-seeding sends hardly more than one copy; explanations agree with what is seen.

use super::super::*;
use super::world::{Spec, World};
use crate::choke::Reason;
use proto::{
    explain::Choice,
    layout::{BLOCK, Layout},
    strategy::Strategy,
};

fn swarm(strategy: Strategy, leechers: usize) -> World {
    let layout = Layout::new(BLOCK * 2, u64::from(BLOCK) * 2 * 60).unwrap();
    let seed = Spec { strategy, ..Spec::new(true, 200_000) };
    let others = (0..leechers).map(|_| Spec::new(false, 200_000));
    let mut world = World::new(layout, std::iter::once(seed).chain(others).collect());
    world.introduce();
    world
}

fn copies(strategy: Strategy) -> f64 {
    let mut world = swarm(strategy, 8);
    assert!(world.run(2_000, World::all_seed), "not everyone finished");
    let sent = world.nodes[0].torrent.stats(world.now).uploaded;
    sent as f64 / world.layout.total() as f64
}

#[test]
fn a_super_seed_sends_hardly_more_than_one_copy() {
    let usual = copies(Strategy::default());
    let revealing = copies(Strategy { super_seeding: true, ..Strategy::default() });
    assert!(revealing < 1.5 && revealing < usual, "{revealing} copies, {usual} without");
}

#[test]
fn whoever_is_alone_with_a_super_seed_gets_everything() {
    let mut world = swarm(Strategy { super_seeding: true, ..Strategy::default() }, 1);
    assert!(world.run(600, World::all_seed));
}

#[test]
fn turning_super_seeding_off_shows_everything_at_once() {
    let mut world = swarm(Strategy { super_seeding: true, ..Strategy::default() }, 4);
    world.run(5, |_| false);
    let shown = |world: &World| world.nodes[1].torrent.availability().iter().filter(|it| **it > 0).count();
    assert!(shown(&world) < 60, "{} pieces are known after five seconds", shown(&world));
    world.tell(0, Event::Strategy(Box::default()));
    world.run(1, |_| false);
    assert_eq!(shown(&world), 60);
    assert!(world.run(600, World::all_seed));
}

#[test]
fn explanations_agree_with_the_state() {
    let mut world = swarm(Strategy { upload_slots: 2, ..Strategy::default() }, 6);
    world.run(12, |_| false);
    let seed = &world.nodes[0].torrent;
    let explained = seed.explain(world.now, None);
    assert!(explained.seeding && explained.next.is_empty() && explained.order.is_none());
    assert_eq!(explained.peers.len(), 6);
    let ranked =
        |peer: &&proto::explain::ExplainedPeer| matches!(peer.why, Reason::Ranked { .. } | Reason::FreeSlot);
    assert_eq!(explained.peers.iter().filter(ranked).count(), 2);
    for (peer, view) in explained.peers.iter().zip(seed.peers(world.now)) {
        assert_eq!((peer.choked, peer.why, peer.address), (view.am_choking, view.why, view.addr));
        assert!(peer.since >= 0.0 && peer.since <= 12.0);
    }
    let leecher = &world.nodes[1].torrent;
    let all = leecher.explain(world.now, None);
    assert!(!all.seeding && !all.next.is_empty());
    for piece in &all.next {
        assert!(!leecher.have().has(piece.piece) && piece.availability > 0 && piece.free > 0, "{piece:?}");
    }
    let rarest = all.next.iter().filter(|piece| piece.why == Choice::Rarest).map(|piece| piece.availability);
    assert!(rarest.is_sorted());
    let one = leecher.explain(world.now, Some(all.peers[0].address));
    assert_eq!(one.peers, all.peers[..1]);
    assert!(leecher.explain(world.now, Some("192.0.2.1:1".parse().unwrap())).peers.is_empty());
    assert!(world.run(600, World::all_seed));
    let cost = world.nodes[1].torrent.explain(world.now, None).cost;
    assert!(cost.endgame > 0.0 && cost.downloaded == world.layout.total(), "{cost:?}");
}
