//! `lab`: scenarios × strategies → tables on standard output and plots as SVG.

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use lab::{Chart, Failure, Line, PRESETS, Preset, Report, Scenario, World, findings, summary};
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

/// Plays swarms of the real engine in virtual time.
#[derive(Debug, Parser)]
#[command(name = "lab", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays scenarios with strategies and compares them.
    Run(Run),
    /// Lists the strategies that have a name.
    Strategies,
}

#[derive(Debug, clap::Args)]
struct Run {
    /// Scenario files.
    #[arg(required = true, value_name = "FILE")]
    scenarios: Vec<PathBuf>,
    /// Strategies by name, or made on the spot: “four: upload_slots = 4”. Without it: all that have a name.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    strategies: Vec<String>,
    /// The seed of every random choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds are played, from `--seed` on; the tables have a row for each.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Where plots go.
    #[arg(long, default_value = "target/lab", value_name = "FOLDER")]
    out: PathBuf,
    /// Write the event log of each run into that folder too.
    #[arg(long)]
    log: bool,
    /// Runs at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
}

fn main() -> anyhow::Result<ExitCode> {
    match Args::parse().command {
        Command::Run(run) => run.run(),
        Command::Strategies => {
            let mut out = std::io::stdout().lock();
            for (name, patch, sources_only) in PRESETS {
                let whom = if *sources_only { " (sources only)" } else { "" };
                writeln!(out, "{name:<22}{patch}{whom}")?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// One run to make.
struct Work {
    scenario: Scenario,
    preset: Preset,
    seed: u64,
}

impl Run {
    fn run(self) -> anyhow::Result<ExitCode> {
        std::fs::create_dir_all(&self.out).with_context(|| format!("cannot make {}", self.out.display()))?;
        let work = self.work()?;
        let done: Vec<Mutex<Option<Result<Report, Failure>>>> =
            work.iter().map(|_| Mutex::default()).collect();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| {
                    while let Some((work, place)) = {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        work.get(at).zip(done.get(at))
                    } {
                        let result = self.one(work);
                        if let Ok(mut place) = place.lock() {
                            *place = result;
                        }
                    }
                });
            }
        });
        let mut reports = Vec::new();
        let mut failures = Vec::new();
        for result in done.into_iter().filter_map(|place| place.into_inner().ok().flatten()) {
            match result {
                Ok(report) => reports.push(report),
                Err(failure) => failures.push(failure),
            }
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}\n{}", summary(&reports), findings(&reports))?;
        plot(&reports, &self.out)?;
        for failure in &failures {
            writeln!(std::io::stderr(), "{failure}")?;
        }
        Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn work(&self) -> anyhow::Result<Vec<Work>> {
        let names: Vec<&str> = if self.strategies.is_empty() {
            PRESETS.iter().map(|(name, ..)| *name).collect()
        } else {
            self.strategies.iter().map(String::as_str).collect()
        };
        let mut work = Vec::new();
        for path in &self.scenarios {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            let scenario = Scenario::parse(&text).with_context(|| path.display().to_string())?;
            for name in &names {
                let preset = Preset::parse(name)?;
                for seed in self.seed..self.seed + self.seeds {
                    work.push(Work { scenario: scenario.clone(), preset: preset.clone(), seed });
                }
            }
        }
        Ok(work)
    }

    fn one(&self, work: &Work) -> Option<Result<Report, Failure>> {
        let Work { scenario, preset, seed } = work;
        let name = format!("{}-{}-{seed}.log", scenario.name, preset.name);
        let log = self.log.then(|| File::create(self.out.join(name)).ok()).flatten();
        let log = log.map(|file| Box::new(BufWriter::new(file)) as Box<dyn Write + Send>);
        let began = Instant::now();
        let result = World::new(scenario, preset, *seed, log).ok()?.run();
        let took = began.elapsed().as_secs_f64();
        let _ = match &result {
            Ok(report) => writeln!(
                std::io::stderr(),
                "{} · {} · seed {seed}: {took:.1} s, {} records, log {:016x}",
                scenario.name,
                preset.name,
                report.records,
                report.digest
            ),
            Err(_) => Ok(()),
        };
        Some(result)
    }
}

/// For each scenario: completion times, interest, and how many pieces only the sources have.
fn plot(reports: &[Report], folder: &Path) -> anyhow::Result<()> {
    let mut names: Vec<&str> = reports.iter().map(|report| report.scenario.as_str()).collect();
    names.dedup();
    for name in names {
        let own = || reports.iter().filter(|report| report.scenario == name);
        let lines = |of: &dyn Fn(&Report) -> Vec<f64>| {
            own().map(|report| Chart::cumulative(&report.strategy, &of(report))).collect::<Vec<Line>>()
        };
        let over_time = |report: &Report| Line {
            name: report.strategy.clone(),
            points: report.moments.iter().map(|moment| (moment.at, f64::from(moment.rare))).collect(),
        };
        let chart = |what: &str, x: &str, y: &str, lines: Vec<Line>| Chart {
            title: format!("{name}: {what}"),
            x: x.to_owned(),
            y: y.to_owned(),
            lines,
        };
        let charts = [
            ("times", chart("completion times", "seconds", "share of peers", lines(&|it| it.times.clone()))),
            (
                "entropy",
                chart(
                    "interest in others (a/b)",
                    "share of the time together",
                    "share of pairs",
                    lines(&|it| thin(&it.wants)),
                ),
            ),
            (
                "rare",
                chart(
                    "pieces that only the sources have",
                    "seconds",
                    "pieces",
                    own().map(over_time).collect(),
                ),
            ),
        ];
        for (kind, chart) in charts {
            let path = folder.join(format!("{name}-{kind}.svg"));
            std::fs::write(&path, chart.svg()).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// At most so many of the sorted values, evenly: a plot shows no more.
fn thin(values: &[f64]) -> Vec<f64> {
    const POINTS: usize = 400;
    let step = values.len().div_ceil(POINTS).max(1);
    values.iter().step_by(step).copied().collect()
}
