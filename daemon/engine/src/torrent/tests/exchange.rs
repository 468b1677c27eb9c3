//! Downloads that must finish, among peers of all kinds.

use super::{
    super::*,
    world::{Spec, World},
};
use crate::out::DropReason;
use proto::{
    layout::{BLOCK, Layout},
    strategy::{Choking, Endgame, PieceOrder, SeedChoking, Strategy},
};

fn layout(pieces: u64) -> Layout {
    Layout::new(BLOCK * 8, pieces * u64::from(BLOCK) * 8 - 5_000).unwrap()
}

fn swarm(pieces: u64, specs: Vec<Spec>) -> World {
    let mut world = World::new(layout(pieces), specs);
    world.introduce();
    world
}

#[test]
fn one_download_from_one_seed_uses_the_link() {
    for fast in [true, false] {
        let spec = |seed| Spec { fast, ..Spec::new(seed, 10_000_000) };
        let mut world = swarm(160, vec![spec(true), spec(false)]);
        let start = world.now;
        assert!(world.run(60, World::all_seed));
        let took = world.now.since(start).as_secs_f64();
        assert!(took < 3.0, "20 MB at 10 MB/s took {took} s");
        let stats = world.nodes[1].torrent.stats(world.now);
        assert_eq!((stats.downloaded, stats.left, stats.wasted), (layout(160).total(), 0, 0));
        assert!(world.nodes[1].completed_at.is_some());
        world.run(1, |_| false);
        assert!(
            world.nodes.iter().any(|node| node.drops.iter().any(|drop| drop.1 == DropReason::BothComplete))
        );
    }
}

#[test]
fn a_swarm_shares_what_one_seed_gives() {
    let mut specs = vec![Spec::new(true, 1_000_000)];
    specs.extend((0..9).map(|_| Spec::new(false, 1_000_000)));
    let mut world = swarm(80, specs);
    let start = world.now;
    assert!(world.run(600, World::all_seed));
    let took = world.now.since(start).as_secs_f64();
    // 9 x 10.5 MB over ten uplinks of 1 MB/s is 10.5 s at best; from the seed alone it would be 94 s.
    assert!(took < 45.0, "took {took} s");
}

#[test]
fn every_strategy_finishes() {
    let mut strategies = vec![Strategy::default()];
    for choking in [Choking::TitForTat, Choking::RateBased, Choking::Off] {
        for piece_order in [PieceOrder::RarestFirst, PieceOrder::Random, PieceOrder::Sequential] {
            for endgame in [Endgame::Off, Endgame::AllRequested, Endgame::LessLeftThanInFlight] {
                let upload_slots = if choking == Choking::Off { 1_000 } else { 3 };
                let strict_priority = endgame != Endgame::Off;
                strategies.push(Strategy {
                    choking,
                    piece_order,
                    endgame,
                    upload_slots,
                    strict_priority,
                    ..Strategy::default()
                });
            }
        }
    }
    for seed_choking in [SeedChoking::FastestUpload, SeedChoking::AntiLeech, SeedChoking::LongestWaiting] {
        strategies.push(Strategy { seed_choking, upload_slots: 2, bbs_plus: 2, ..Strategy::default() });
    }
    for strategy in strategies {
        let spec = |at| Spec {
            // Rate-based slots may be more than the fixed number.
            strategy: strategy.clone(),
            ..Spec::new(at == 0, 500_000)
        };
        let mut world = swarm(30, (0..6).map(spec).collect());
        assert!(world.run(2_000, World::all_seed), "{strategy:?}");
    }
}

#[test]
fn a_corrupter_is_found_and_banned_and_the_rest_finish() {
    let mut specs = vec![Spec::new(true, 300_000), Spec::new(true, 300_000)];
    specs[1].corrupt = true;
    specs.extend((0..3).map(|_| Spec::new(false, 300_000)));
    let mut world = swarm(40, specs);
    assert!(world.run(3_000, World::all_seed));
    for at in 2..5 {
        let bans = |node: usize| {
            world.nodes[at].drops.iter().any(|(n, why)| *n == node && *why == DropReason::Corrupt)
        };
        assert!(bans(1), "node {at}: {:?}", world.nodes[at].drops);
        assert!(!bans(0) && (2..5).all(|other| !bans(other)), "the innocent: {:?}", world.nodes[at].drops);
        assert!(world.nodes[at].torrent.stats(world.now).corrupt > 0);
    }
}

#[test]
fn a_snubber_does_not_stop_a_download() {
    for endgame in [Endgame::Off, Endgame::AllRequested] {
        let strategy = Strategy { endgame, ..Strategy::default() };
        let spec = |seed, rate| Spec { strategy: strategy.clone(), ..Spec::new(seed, rate) };
        let mut world = swarm(40, vec![spec(true, 500_000), spec(true, 0), spec(false, 500_000)]);
        let start = world.now;
        assert!(world.run(1_000, World::all_seed), "{endgame:?}");
        let took = world.now.since(start).as_secs_f64();
        assert!(endgame == Endgame::Off || took < 30.0, "endgame goes round the snubber: {took} s");
    }
}

#[test]
fn strategies_change_under_way_without_a_dropped_connection() {
    let specs = (0..5).map(|at| Spec::new(at == 0, 200_000)).collect();
    let mut world = swarm(60, specs);
    world.run(5, |_| false);
    for piece_order in [PieceOrder::Sequential, PieceOrder::Random, PieceOrder::RarestFirst] {
        for at in 0..5 {
            let strategy =
                Strategy { piece_order, anti_snubbing: false, endgame: Endgame::Off, ..Strategy::default() };
            world.nodes[at].spec.strategy = strategy.clone();
            world.tell(at, Event::Strategy(Box::new(strategy)));
        }
        world.run(5, |_| false);
        assert!(world.nodes.iter().all(|node| node.drops.is_empty()));
        assert!(world.nodes.iter().all(|node| node.torrent.stats(world.now).peers == 4));
    }
    assert!(world.run(2_000, World::all_seed));
}

#[test]
fn the_same_world_runs_the_same_twice() {
    let run = || {
        let mut world = swarm(40, (0..6).map(|at| Spec::new(at == 0, 300_000)).collect());
        assert!(world.run(1_000, World::all_seed));
        (world.now, world.nodes.iter().map(|node| node.torrent.stats(world.now)).collect::<Vec<_>>())
    };
    assert_eq!(run(), run());
}

#[test]
fn skipped_pieces_are_not_fetched_and_may_be_wanted_later() {
    let mut world = swarm(40, vec![Spec::new(true, 2_000_000), Spec::new(false, 1)]);
    let mut priorities = vec![NORMAL_PRIORITY; 40];
    priorities[10..].fill(0);
    world.tell(1, Event::Priorities(priorities));
    assert!(world.run(60, |world| world.nodes[1].completed_at.is_some()));
    let torrent = &world.nodes[1].torrent;
    assert_eq!((torrent.have().count(), torrent.is_complete(), torrent.is_seed()), (10, true, false));
    world.nodes[1].completed_at = None;
    world.tell(1, Event::Priorities(Vec::new()));
    assert!(world.run(300, |world| world.nodes[1].completed_at.is_some()));
    assert!(world.nodes[1].torrent.is_seed());
}
