//! Slots are never exceeded, the uninterested get none, and nobody waits for ever.

use super::*;
use proptest::prelude::{Strategy as Generator, any, prop, prop_assert, proptest};
use std::collections::BTreeSet;

fn contender(key: u32) -> Contender {
    Contender {
        key: PeerKey(key),
        interested: true,
        unchoked: false,
        snubbed: false,
        down: 0,
        up: 0,
        sent: 0,
        progress: 0,
        unchoked_at: Instant::START,
        waiting_since: Instant::START,
        since: Instant::START,
    }
}

/// Plays rounds on a table as a torrent would; who had a slot in each round.
fn play(
    choker: &mut Choker,
    strategy: &Strategy,
    seeding: bool,
    table: &mut [Contender],
    rounds: u64,
    from: u64,
) -> Vec<BTreeSet<u32>> {
    let mut verdicts = Vec::new();
    (from..from + rounds)
        .map(|number| {
            let now = Instant::from_secs((number + 1) * u64::from(strategy.rechoke_interval));
            let round = Round { now, strategy, seeding, piece_length: 1 << 18, upload_limit: None };
            choker.round(&round, table, &mut verdicts);
            for (peer, verdict) in table.iter_mut().zip(&verdicts) {
                if verdict.unchoke && !peer.unchoked {
                    peer.unchoked_at = now;
                    peer.sent = 0;
                } else if !verdict.unchoke && peer.unchoked {
                    peer.waiting_since = now;
                }
                peer.unchoked = verdict.unchoke;
                peer.sent += if verdict.unchoke { 4 << 20 } else { 0 };
            }
            table.iter().filter(|peer| peer.unchoked).map(|peer| peer.key.0).collect()
        })
        .collect()
}

fn strategies() -> impl Generator<Value = (Strategy, bool)> {
    let leech = [Choking::TitForTat, Choking::RateBased];
    let seed = [
        SeedChoking::RoundRobin,
        SeedChoking::FastestUpload,
        SeedChoking::AntiLeech,
        SeedChoking::LongestWaiting,
    ];
    (
        prop::sample::select(leech.to_vec()),
        prop::sample::select(seed.to_vec()),
        1..9u32,
        1..4u32,
        any::<bool>(),
    )
        .prop_map(|(choking, seed_choking, upload_slots, optimistic_slots, seeding)| {
            let base = Strategy::default();
            (Strategy { choking, seed_choking, upload_slots, optimistic_slots, ..base }, seeding)
        })
}

fn table() -> impl Generator<Value = Vec<Contender>> {
    let flags = (prop::bool::weighted(0.8), any::<bool>(), prop::bool::weighted(0.1));
    let peer = (flags, 0..1_000_000u64, 0..1_000_000u64, 0..1_000u32);
    prop::collection::vec(peer, 1..40).prop_map(|peers| {
        let peers = peers.into_iter().zip(0..);
        peers
            .map(|(((interested, unchoked, snubbed), down, up, progress), key)| Contender {
                interested,
                unchoked,
                snubbed,
                down,
                up,
                progress,
                ..contender(key)
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn slots_are_never_exceeded(case in strategies(), mut table in table(), seed in any::<u64>()) {
        let (strategy, seeding) = case;
        let mut choker = Choker::new(seed);
        let interested: BTreeSet<u32> = table.iter().filter(|p| p.interested).map(|p| p.key.0).collect();
        for unchoked in play(&mut choker, &strategy, seeding, &mut table, 12, 0) {
            prop_assert!(unchoked.is_subset(&interested));
            let rate_based = !seeding && strategy.choking == Choking::RateBased;
            let slots = if rate_based { table.len() as u32 } else { strategy.upload_slots };
            prop_assert!(unchoked.len() as u32 <= slots + strategy.optimistic_slots);
            prop_assert!(!unchoked.is_empty() || interested.is_empty() || !seeding);
        }
    }

    #[test]
    fn nobody_waits_for_ever(case in strategies(), mut table in table(), seed in any::<u64>()) {
        let (strategy, seeding) = case;
        let mut choker = Choker::new(seed);
        table.iter_mut().for_each(|peer| peer.unchoked = false);
        let rounds = 40 * 3 * 4 * 10;
        let seen: BTreeSet<u32> =
            play(&mut choker, &strategy, seeding, &mut table, rounds, 0).into_iter().flatten().collect();
        for peer in table.iter().filter(|peer| peer.interested) {
            prop_assert!(seen.contains(&peer.key.0), "{peer:?} never had a slot");
        }
    }

    #[test]
    fn filling_chokes_nobody_and_keeps_to_the_slots(case in strategies(), table in table()) {
        let (strategy, seeding) = case;
        let mut choker = Choker::new(1);
        let mut verdicts = Vec::new();
        let now = Instant::from_secs(5);
        let round = Round { now, strategy: &strategy, seeding, piece_length: 1 << 18, upload_limit: None };
        choker.fill(&round, &table, &mut verdicts);
        let before = table.iter().filter(|peer| peer.unchoked).count();
        let given = verdicts.iter().flatten().filter(|verdict| verdict.unchoke).count();
        prop_assert!(verdicts.iter().flatten().all(|verdict| verdict.unchoke));
        prop_assert!(given == 0 || before + given <= strategy.upload_slots as usize);
    }
}

#[test]
fn who_gives_most_gets_the_slots_and_snubbers_none() {
    let strategy = Strategy { upload_slots: 2, optimistic_unchoking: false, ..Strategy::default() };
    let mut table: Vec<Contender> = (0..4).map(contender).collect();
    for (peer, down) in table.iter_mut().zip([10, 40, 30, 90]) {
        peer.down = down;
    }
    table[3].snubbed = true;
    let rounds = play(&mut Choker::new(1), &strategy, false, &mut table, 3, 0);
    assert!(rounds.iter().all(|unchoked| *unchoked == BTreeSet::from([1, 2])));
}

#[test]
fn an_optimistic_slot_lasts_its_interval_and_new_peers_are_likelier() {
    let strategy = Strategy { upload_slots: 1, ..Strategy::default() };
    let (mut new, mut total) = (0, 0);
    for seed in 0..300 {
        let mut table: Vec<Contender> = (0..9).map(contender).collect();
        table[0].down = 1_000;
        table[8].since = Instant::from_secs(10_000);
        table.iter_mut().for_each(|peer| peer.waiting_since = Instant::from_secs(10_000));
        let rounds = play(&mut Choker::new(seed), &strategy, false, &mut table, 3, 1_000);
        assert!(rounds.windows(2).all(|pair| pair[0] == pair[1]), "30 seconds are three rounds: {rounds:?}");
        total += 1;
        new += i32::from(rounds[0].contains(&8));
    }
    // One of eight has three times the weight: 3/10.
    assert!((60..=120).contains(&new), "{new} of {total}");
}

#[test]
fn a_better_partner_found_by_luck_gets_a_regular_slot() {
    let strategy = Strategy { upload_slots: 1, ..Strategy::default() };
    let mut choker = Choker::new(3);
    let mut table: Vec<Contender> = (0..2).map(contender).collect();
    table[0].down = 100;
    play(&mut choker, &strategy, false, &mut table, 1, 0);
    assert!(choker.is_optimistic(PeerKey(1)));
    table[1].down = 1_000;
    play(&mut choker, &strategy, false, &mut table, 1, 1);
    assert!(choker.is_optimistic(PeerKey(0)) && table[1].unchoked);
    assert_eq!(choker.optimism(), Optimism { given: 2, earned: 1 });
}

#[test]
fn the_longest_waiting_rule_gives_equal_time() {
    let strategy =
        Strategy { seed_choking: SeedChoking::LongestWaiting, upload_slots: 4, ..Strategy::default() };
    let mut table: Vec<Contender> = (0..20).map(contender).collect();
    table[0].up = 1_000_000;
    let rounds = play(&mut Choker::new(1), &strategy, true, &mut table, 3_000, 0);
    let times: Vec<usize> =
        (0..20).map(|key| rounds.iter().filter(|unchoked| unchoked.contains(&key)).count()).collect();
    let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(most * 10 <= least * 11, "{times:?}");
}

#[test]
fn fastest_upload_favours_the_fast() {
    let strategy = Strategy {
        seed_choking: SeedChoking::FastestUpload,
        upload_slots: 2,
        optimistic_unchoking: false,
        ..Strategy::default()
    };
    let mut table: Vec<Contender> = (0..5).map(contender).collect();
    table[3].up = 50;
    table[4].up = 70;
    let rounds = play(&mut Choker::new(1), &strategy, true, &mut table, 5, 0);
    assert!(rounds.iter().all(|unchoked| *unchoked == BTreeSet::from([3, 4])));
}
