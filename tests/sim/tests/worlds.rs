//! Worlds play out the same way from the same seed, and everybody finishes in them.
#![allow(clippy::unwrap_used, reason = "a world that cannot be made is a failed test")]

use lab::{Preset, Report, Scenario, World};
use std::sync::{Arc, Mutex};

/// A small swarm with every fault there is.
const FAULTS: &str = r#"
name = "small"
about = "Every fault, healed after five minutes."
pieces = 48
piece_kib = 48
limit = 4000
heal_at = 300
peers = [
    { name = "seed", count = 1, up = 100, down = 400, have = 1.0 },
    { name = "honest", count = 8, up = 40, down = 300, over = 20 },
    { name = "churning", count = 4, up = 40, down = 300, session = 40, away = 10 },
    { name = "rider", count = 2, up = 40, down = 300, free_rider = true },
    { name = "snubber", count = 2, up = 40, down = 300, snubs_after = 20 },
    { name = "corrupter", count = 2, up = 40, down = 300, corrupt = 0.2 },
    { name = "slow-disk", count = 2, up = 40, down = 300, disk_ms = 2000 },
]
"#;

fn play(strategy: &str, seed: u64) -> Report {
    let scenario = Scenario::parse(FAULTS).unwrap();
    let preset = Preset::parse(strategy).unwrap();
    World::new(&scenario, &preset, seed, None).unwrap().run().unwrap_or_else(|failure| panic!("{failure}"))
}

/// A log that can be read after the world is gone.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_same_seed_gives_the_same_log_byte_for_byte() {
    let scenario = Scenario::parse(FAULTS).unwrap();
    let preset = Preset::parse("default").unwrap();
    let log = |seed| {
        let shared = Shared::default();
        let world = World::new(&scenario, &preset, seed, Some(Box::new(shared.clone()))).unwrap();
        let digest = world.run().unwrap_or_else(|failure| panic!("{failure}")).digest;
        (digest, shared.0.lock().unwrap().clone())
    };
    let (first, again, other) = (log(7), log(7), log(8));
    assert!(first.1.len() > 100_000, "{} bytes", first.1.len());
    assert!(first == again, "two runs from one seed differ");
    assert!(first.0 != other.0 && first.1 != other.1, "the seed changes nothing");
}

#[test]
fn with_any_strategy_and_any_seed_everyone_finishes_once_faults_are_healed() {
    for (name, ..) in lab::PRESETS {
        for seed in 1..=2 {
            let report = play(name, seed);
            assert_eq!(report.times.len(), 14, "{name}, seed {seed}");
        }
    }
}

#[test]
fn corrupters_are_found_out_and_snubbers_do_not_stop_the_others() {
    let report = play("default", 3);
    assert!(report.corrupt > 0.0, "nobody lied");
    let last = lab::percentile(&report.times, 1.0);
    assert!(last < 600.0, "{last} s");
}
