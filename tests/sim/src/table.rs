//! Reports as Markdown tables.

use crate::report::{Report, percentile};

fn percent(share: f64) -> String {
    if share.is_nan() { "–".into() } else { format!("{:.1} %", share * 100.0) }
}

fn number(value: f64, digits: usize) -> String {
    if value.is_nan() { "–".into() } else { format!("{value:.digits$}") }
}

fn rows(head: &[&str], reports: &[Report], row: impl Fn(&Report) -> Vec<String>) -> String {
    let mut text = format!("| {} |\n|---|---|{}\n", head.join(" | "), "--:|".repeat(head.len() - 2));
    for report in reports {
        text += &format!("| {} | {} | {} |\n", report.scenario, report.strategy, row(report).join(" | "));
    }
    text
}

/// Times in seconds, utilisation, fairness, duplicates and entropy.
pub fn summary(reports: &[Report]) -> String {
    let head = [
        "scenario",
        "strategy",
        "p10 s",
        "p50 s",
        "p90 s",
        "last s",
        "upload used",
        "Jain",
        "duplicates",
        "a/b p20",
        "a/b p50",
        "c/d p20",
        "c/d p50",
    ];
    rows(&head, reports, |report| {
        let time = |share| number(percentile(&report.times, share), 0);
        vec![
            time(0.1),
            time(0.5),
            time(0.9),
            time(1.0),
            percent(report.utilisation),
            number(report.jain, 3),
            format!("{:.2} %", report.duplicates * 100.0),
            number(percentile(&report.wants, 0.2), 2),
            number(percentile(&report.wants, 0.5), 2),
            number(percentile(&report.wanted, 0.2), 2),
            number(percentile(&report.wanted, 0.5), 2),
        ]
    })
}

/// What the paper is about: the first copy, first and last pieces, reciprocity, what seeds give to whom.
pub fn findings(reports: &[Report]) -> String {
    let head = [
        "scenario",
        "strategy",
        "first copy s",
        "copies sent by then",
        "first pieces ×",
        "last pieces ×",
        "reciprocity",
        "seed time Jain",
        "classes: p50 s, share of seed time",
    ];
    rows(&head, reports, |report| {
        let (at, copies) = report.first_copy.unwrap_or((f64::NAN, f64::NAN));
        let classes: Vec<String> = report
            .classes
            .iter()
            .filter(|(_, times, _)| !times.is_empty())
            .map(|(name, times, share)| {
                format!("{name} {}, {}", number(percentile(times, 0.5), 0), percent(*share))
            })
            .collect();
        vec![
            number(at, 0),
            number(copies, 2),
            number(report.first_pieces, 2),
            number(report.last_pieces, 2),
            number(report.reciprocity, 2),
            number(report.service, 3),
            classes.join("; "),
        ]
    })
}
