//! Figures of btd beside other clients, on the same work in the same run. See README.md here.

mod measure;
mod table;
mod work;

use std::process::ExitCode;
use work::Work;

const USAGE: &str = "\
Usage: tests/bench/run [OPTIONS]

  --clients A,B   among btd, libtorrent, transmission, aria2, rtorrent (all)
  --works A,B     download:N (N seeders), seed:N (N leechers), check
                  (download:1,download:20,download:100,seed:1,seed:8,check)
  --size MIB      bytes of the torrent (1024)
  --rounds N      rounds, of which the median counts (3)";

/// What to measure.
struct Plan {
    clients: Vec<String>,
    works: Vec<Work>,
    size: usize,
    rounds: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            clients: list("btd,libtorrent,transmission,aria2,rtorrent"),
            works: ["download:1", "download:20", "download:100", "seed:1", "seed:8", "check"]
                .into_iter()
                .filter_map(Work::parse)
                .collect(),
            size: 1024 << 20,
            rounds: 3,
        }
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut plan = Plan::default();
    while let Some(flag) = args.next() {
        let Some(()) = args.next().and_then(|value| plan.set(&flag, &value)) else {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        };
    }
    run(&plan);
    ExitCode::SUCCESS
}

impl Plan {
    fn set(&mut self, flag: &str, value: &str) -> Option<()> {
        match flag {
            "--clients" => self.clients = list(value),
            "--works" => self.works = value.split(',').map(Work::parse).collect::<Option<_>>()?,
            "--size" => self.size = value.parse::<usize>().ok()? << 20,
            "--rounds" => self.rounds = value.parse().ok().filter(|&rounds| rounds > 0)?,
            _ => return None,
        }
        Some(())
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

fn run(plan: &Plan) {
    println!("{}\n", table::machine());
    let payload = work::payload(plan.size);
    for work in &plan.works {
        let mut results = vec![Vec::new(); plan.clients.len()];
        // The clients take turns, so that a busy moment of the machine does not hit one of them alone.
        for round in 1..=plan.rounds {
            for (client, results) in plan.clients.iter().zip(&mut results) {
                eprintln!("{work}, round {round}: {client}");
                results.extend(work.run(client, &payload));
            }
        }
        println!("{}", table::table(&work.to_string(), &plan.clients, &results));
    }
}
