//! What must hold in a DHT of our nodes, whatever its size.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use dht_sim::World;
use engine::dht::{Announce, Event, Report};
use proto::{id::InfoHash, krpc::NodeId};
use rand::{Rng, seq::SliceRandom};
use std::{net::SocketAddr, time::Duration};

/// Torrents that are announced, and lookups of each.
const TORRENTS: usize = 100;
const LOOKUPS: usize = 3;
/// Nodes of a bucket, and of an answer (BEP 5).
const K: usize = 8;

/// Of a hundred lookups, so many must find the truly nearest node. One datagram in a hundred is lost, so about two nodes in a
/// hundred seem not to answer.
const NEAREST: usize = 94;

/// Bytes that a node may take, with what the simulator keeps of it. A small world shares the program's own size among few.
const MEMORY: usize = 96 << 10;

/// How lookups went.
#[derive(Debug, Default)]
struct Figures {
    lookups: usize,
    hops: f64,
    most_hops: u32,
    asked: f64,
    seconds: f64,
    nearest_found: usize,
    /// Of the truly nearest eight, how many were found on average.
    overlap: f64,
}

fn random_hash(world: &mut World) -> InfoHash {
    InfoHash(world.rng.random())
}

/// The nodes that are nearest to a point, but for the one that asks.
fn truly_closest(ids: &mut [(NodeId, SocketAddr)], target: NodeId, asker: SocketAddr) -> Vec<SocketAddr> {
    ids.select_nth_unstable_by_key(K, |(id, _)| id.distance(&target));
    ids[..=K].sort_unstable_by_key(|(id, _)| id.distance(&target));
    ids[..=K].iter().map(|(_, addr)| *addr).filter(|addr| *addr != asker).take(K).collect()
}

/// Lookups of random points by random nodes, compared with the truth.
fn converge(world: &mut World, count: usize) -> Figures {
    let wanted: Vec<_> = (0..count).map(|_| (world.anyone(), random_hash(world))).collect();
    let reports = world.look_up(&wanted);
    let mut ids = world.ids();
    let mut figures = Figures { lookups: reports.len(), ..Figures::default() };
    for ((asker, target), report) in wanted.iter().zip(&reports) {
        let asker = world.addr(*asker);
        let truth = truly_closest(&mut ids, (*target).into(), asker);
        let found: Vec<SocketAddr> = report.closest.iter().map(|node| node.addr).collect();
        figures.nearest_found += usize::from(found.contains(&truth[0]));
        figures.overlap += truth.iter().filter(|addr| found.contains(addr)).count() as f64 / count as f64;
        figures.hops += f64::from(report.hops) / count as f64;
        figures.most_hops = figures.most_hops.max(report.hops);
        figures.asked += report.path.len() as f64 / count as f64;
        figures.seconds += report.elapsed.as_secs_f64() / count as f64;
    }
    figures
}

/// Torrents, each announced by a node.
fn announce(world: &mut World) -> Vec<(usize, InfoHash)> {
    let torrents: Vec<_> = (0..TORRENTS).map(|_| (world.anyone(), random_hash(world))).collect();
    for (node, info_hash) in &torrents {
        let announce = Some(Announce { port: Some(7000), seed: false });
        world.on(*node, Event::Want { info_hash: *info_hash, announce });
    }
    world.run(Duration::from_secs(60));
    torrents
}

/// The share of lookups that find the peer of a torrent whose announcer is there.
fn found(world: &mut World, torrents: &[(usize, InfoHash)]) -> f64 {
    let here: Vec<_> = torrents.iter().filter(|(node, _)| world.node(*node).is_some()).copied().collect();
    let mut wanted = Vec::new();
    for (announcer, info_hash) in &here {
        for _ in 0..LOOKUPS {
            wanted.push((*announcer, world.anyone(), *info_hash));
        }
    }
    let jobs: Vec<_> = wanted.iter().map(|(_, asker, info_hash)| (*asker, *info_hash)).collect();
    let reports = world.look_up(&jobs);
    assert_eq!(reports.len(), jobs.len(), "some lookups never ended");
    let has = |report: &Report, peer: SocketAddr| report.peers.contains(&peer);
    let hits = wanted
        .iter()
        .zip(&reports)
        .filter(|((announcer, ..), report)| has(report, SocketAddr::new(world.addr(*announcer).ip(), 7000)));
    hits.count() as f64 / jobs.len() as f64
}

/// A third of the nodes but for a little goes at once.
fn lose_30_percent(world: &mut World) {
    let mut honest = world.honest();
    honest.retain(|node| *node >= K);
    let mut rng = world.rng.clone();
    honest.shuffle(&mut rng);
    honest.iter().take(honest.len() * 3 / 10).for_each(|node| world.leave(*node));
}

/// Resident memory of this process in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn a_world_works(nodes: usize) {
    let mut world = World::settled(nodes as u64, nodes, 0);
    // Everything of this process, other tests' worlds included: an upper bound.
    let memory = resident() / nodes;
    let figures = converge(&mut world, 100);
    println!(
        "{nodes} nodes: {:.2} hops (most {}), {:.1} nodes asked, {:.2} s; nearest found in {} of {}, {:.2} of the \
         nearest {K}; {} KiB a node; {:?} datagrams and bytes",
        figures.hops,
        figures.most_hops,
        figures.asked,
        figures.seconds,
        figures.nearest_found,
        figures.lookups,
        figures.overlap,
        memory >> 10,
        world.traffic(),
    );
    assert_eq!(figures.lookups, 100, "some lookups never ended");
    assert!(figures.nearest_found >= NEAREST && figures.overlap >= 7.5, "{figures:?}");
    assert!(figures.hops <= (nodes as f64).log2() / 2.0 + 1.0, "{figures:?}");
    let torrents = announce(&mut world);
    let share = found(&mut world, &torrents);
    println!("{nodes} nodes: {:.2}% of lookups find the peer", share * 100.0);
    assert!(share >= 0.99);

    lose_30_percent(&mut world);
    let at_once = found(&mut world, &torrents);
    world.run(Duration::from_secs(20 * 60));
    let later = found(&mut world, &torrents);
    let healed = converge(&mut world, 100);
    println!(
        "{nodes} nodes: after 30% left {:.2}% at once, {:.2}% after 20 minutes; nearest found in {}, {:.2} of {K}",
        at_once * 100.0,
        later * 100.0,
        healed.nearest_found,
        healed.overlap
    );
    assert!(at_once >= 0.95 && later >= 0.99);
    assert!(healed.nearest_found >= NEAREST && healed.overlap >= 7.5, "{healed:?}");
    assert!(nodes < 1000 || memory <= MEMORY, "{memory} bytes a node");
}

#[test]
fn a_hundred_nodes() {
    a_world_works(100);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes a minute unless optimised: cargo test --release -p dht-sim")]
fn a_thousand_nodes() {
    a_world_works(1000);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes a minute unless optimised: cargo test --release -p dht-sim")]
fn ten_thousand_nodes() {
    a_world_works(10_000);
}

#[test]
fn a_hostile_tenth_does_not_stop_it() {
    let nodes = if cfg!(debug_assertions) { 200 } else { 1000 };
    let mut world = World::settled(77, nodes, nodes / 10);
    let hostile = nodes - world.honest().len();
    assert!(hostile >= nodes * 9 / 100, "{hostile}");
    let figures = converge(&mut world, 100);
    let torrents = announce(&mut world);
    let share = found(&mut world, &torrents);
    println!(
        "with {hostile} hostile of {nodes}: {:.2}% of lookups find the peer; {figures:?}",
        share * 100.0
    );
    assert!(share >= 0.99 && figures.nearest_found >= NEAREST);
    for node in world.honest() {
        let status = world.node(node).unwrap().status(world.now);
        assert!(status.stored_peers <= 1000 && status.nodes[0].good <= 160 * K);
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    let run = |seed| {
        let mut world = World::settled(seed, 60, 6);
        let torrents = announce(&mut world);
        found(&mut world, &torrents);
        (world.trace(), world.traffic())
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
