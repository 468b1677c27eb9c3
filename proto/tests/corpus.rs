//! Replays the fuzz targets' seeds: the same checks, without a fuzzer.

#[allow(unreachable_pub, missing_docs)]
#[path = "../../tests/fuzz/src/lib.rs"]
mod targets;

use std::{fs, path::Path};

/// The seeds of a target, in the order of their names.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.display().to_string(), fs::read(&path).expect("a file that can be read")))
        .collect();
    seeds.sort();
    seeds
}

#[test]
fn every_seed_passes() {
    for (target, run) in targets::TARGETS {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for (name, bytes) in seeds {
            println!("{name}");
            run(&bytes);
        }
    }
}

/// Every seed, cut short at every length and with single bits turned over: the neighbourhood that fuzzers start in.
#[test]
fn the_neighbours_of_every_seed_pass() {
    for (target, run) in targets::TARGETS {
        for (name, bytes) in seeds(target).into_iter().filter(|(_, bytes)| bytes.len() <= 2_048) {
            println!("{name}");
            for at in 0..bytes.len() {
                run(&bytes[..at]);
                for bit in [0x01, 0x10, 0x80] {
                    let mut turned = bytes.clone();
                    turned[at] ^= bit;
                    run(&turned);
                }
            }
        }
    }
}
