//! The figures as Markdown.

use crate::measure::Figures;
use std::{fmt::Write as _, fs};

const MIB: f64 = (1 << 20) as f64;

/// Our own client, which is compared with the best of the others.
const OURS: &str = "btd";

/// A line about the machine.
pub(crate) fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} × {}, Linux {}", model.trim_start_matches([' ', '\t', ':']), kernel.trim())
}

/// A column: heading, digits after the point, scale, how to get it, and whether more is better.
type Column = (&'static str, usize, f64, fn(&Figures) -> f64, bool);

const COLUMNS: [Column; 3] = [
    ("MB/s", 0, 1e6, |figures| figures.rate, true),
    ("CPU s/GiB", 2, 1.0, |figures| figures.cpu, false),
    ("anonymous MiB", 1, MIB, |figures| figures.memory, false),
];

/// A table of each client's medians, and ours as a ratio to the best of the others.
pub(crate) fn table(title: &str, clients: &[String], results: &[Vec<Figures>]) -> String {
    let mut text = format!("| {title} |");
    for (heading, ..) in COLUMNS {
        let _ = write!(text, " {heading} |");
    }
    text.push_str("\n|---|---:|---:|---:|\n");
    let mut ratios = "| btd ÷ best other |".to_owned();
    let mut rows = vec![String::new(); clients.len()];
    for (_, digits, scale, get, more) in COLUMNS {
        let medians: Vec<Option<f64>> = results.iter().map(|rounds| median(rounds, get)).collect();
        for (row, median) in rows.iter_mut().zip(&medians) {
            let _ = match median {
                Some(value) => write!(row, " {:.digits$} |", value / scale),
                None => write!(row, " failed |"),
            };
        }
        let ours = clients.iter().zip(&medians).find_map(|(name, median)| median.filter(|_| name == OURS));
        let others =
            clients.iter().zip(&medians).filter(|(name, _)| *name != OURS).filter_map(|(_, median)| *median);
        let best = others.reduce(if more { f64::max } else { f64::min });
        let _ = match ours.zip(best) {
            Some((ours, best)) => write!(ratios, " **{:.2}** |", ours / best),
            None => write!(ratios, " |"),
        };
    }
    for (name, row) in clients.iter().zip(rows) {
        let _ = writeln!(text, "| {name} |{row}");
    }
    text + &ratios + "\n"
}

fn median(rounds: &[Figures], get: fn(&Figures) -> f64) -> Option<f64> {
    let mut values: Vec<f64> = rounds.iter().map(get).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_compared_with_the_best_of_the_others_in_each_column() {
        let figures = |rate, cpu, memory| vec![Figures { rate: rate * 1e6, cpu, memory: memory * MIB }];
        let clients = ["btd".to_owned(), "a".to_owned(), "b".to_owned(), "c".to_owned()];
        let results =
            [figures(900.0, 1.0, 20.0), figures(600.0, 2.0, 10.0), figures(300.0, 1.25, 40.0), vec![]];
        let table = table("Work", &clients, &results);
        assert!(table.ends_with("| btd ÷ best other | **1.50** | **0.80** | **2.00** |\n"), "{table}");
        assert!(table.contains("| c | failed | failed | failed |"), "{table}");
    }

    #[test]
    fn a_wild_round_does_not_count() {
        let rounds = [5.0, 1.0, 99.0].map(|rate| Figures { rate, cpu: 0.0, memory: 0.0 });
        assert_eq!(median(&rounds, |figures| figures.rate), Some(5.0));
    }
}
