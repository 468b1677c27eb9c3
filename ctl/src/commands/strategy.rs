//! `btctl set-strategy` and `btctl strategy`.

use super::{
    Context, Result,
    settings::{origin_name, plain},
};
use crate::{
    exit::{Code, Failure},
    ids::Prefix,
    render::{
        Output, Style,
        table::{Cell, Column, Table},
    },
};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use proto::{
    rpc::{
        ApiClient,
        params::{StrategyGet, StrategySet},
        session::{Origin, StrategyReport},
    },
    strategy::{Choking, Endgame, PieceOrder, SeedChoking, StrategyPatch},
};
use serde::de::DeserializeOwned;

/// `btctl strategy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// A torrent; without it, the session.
    id: Option<Prefix>,
}

impl Show {
    /// Shows what is in force.
    pub(crate) async fn run(self, cx: &Context<'_>) -> Result {
        let id = match &self.id {
            Some(prefix) => Some(cx.one(prefix).await?),
            None => None,
        };
        let report = cx.call(cx.client.strategy_get(&StrategyGet { id })).await?;
        cx.out.result(&report, |report| table(report, StrategyPatch::FIELDS, cx.out))?;
        Ok(Code::Ok)
    }
}

fn table(report: &StrategyReport, names: &[impl AsRef<str>], out: &Output) -> String {
    let mut table = Table::new([Column::left("STRATEGY"), Column::left("FROM"), Column::left("VALUE")]);
    let values = serde_json::to_value(&report.strategy).unwrap_or_default();
    for name in names.iter().map(AsRef::as_ref) {
        let origin = report.origins.get(name).copied().unwrap_or_default();
        let style = if origin == Origin::Default { Style::Dim } else { Style::Plain };
        let value = match plain(&values[name]).as_str() {
            "true" => "on".to_owned(),
            "false" => "off".to_owned(),
            other => other.to_owned(),
        };
        table.row([
            name.replace('_', "-").into(),
            Cell::new(style, origin_name(origin)),
            Cell::new(style, value),
        ]);
    }
    table.render(out)
}

/// The names of a strategy enum, in flags as on the wire; `on` is the default.
fn one_of<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Default + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| match name.as_str() {
        "on" => Ok(T::default()),
        _ => serde_json::from_value::<T>(name.into()),
    })
}

/// `btctl set-strategy`.
#[derive(Debug, clap::Args)]
pub(crate) struct SetStrategy {
    /// Change this torrent only; without it, the session.
    #[arg(long, short = 't', value_name = "ID", help_heading = "Which")]
    torrent: Option<Prefix>,
    /// Give a switch back: of a torrent to the session, of the session to the default; “all” for every one.
    #[arg(long, value_name = "NAME", help_heading = "Which")]
    reset: Vec<String>,
    #[command(flatten)]
    choke: Choke,
    #[command(flatten)]
    pick: Pick,
    #[command(flatten)]
    redundancy: Redundancy,
}

/// Who is unchoked.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Choking")]
struct Choke {
    /// Who is unchoked while downloading.
    #[arg(long, value_name = "RULE", num_args = 0..=1, default_missing_value = "tit-for-tat")]
    #[arg(value_parser = one_of::<Choking>(&["tit-for-tat", "rate-based", "on", "off"]))]
    choking: Option<Choking>,
    /// Unchoke everyone who is interested.
    #[arg(long, conflicts_with = "choking")]
    no_choking: bool,
    /// Who is unchoked while seeding.
    #[arg(long, value_name = "RULE")]
    #[arg(value_parser = one_of::<SeedChoking>(&["round-robin", "fastest-upload", "anti-leech", "longest-waiting"]))]
    seed_choking: Option<SeedChoking>,
    /// Regular upload slots of a torrent.
    #[arg(long, value_name = "N")]
    upload_slots: Option<u32>,
    /// Seconds between rechokes.
    #[arg(long, value_name = "SECONDS")]
    rechoke_interval: Option<u32>,
    /// Give a choked peer a slot now and then.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[arg(value_parser = parse_switch)]
    optimistic_unchoking: Option<bool>,
    /// Give slots by merit only.
    #[arg(long, conflicts_with = "optimistic_unchoking")]
    no_optimistic_unchoking: bool,
    /// Optimistic slots, besides the regular ones.
    #[arg(long, value_name = "N")]
    optimistic_slots: Option<u32>,
    /// Seconds that an optimistic unchoke lasts.
    #[arg(long, value_name = "SECONDS")]
    optimistic_interval: Option<u32>,
    /// Take the slot of a peer that stops sending.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[arg(value_parser = parse_switch)]
    anti_snubbing: Option<bool>,
    /// Bear with peers that stop sending.
    #[arg(long, conflicts_with = "anti_snubbing")]
    no_anti_snubbing: bool,
    /// Seconds without a block after which a peer counts as snubbing.
    #[arg(long, value_name = "SECONDS")]
    snub_timeout: Option<u32>,
}

/// What is requested next.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Picking pieces")]
struct Pick {
    /// Fetch the pieces first that the fewest peers have.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[arg(value_parser = parse_switch)]
    rarest_first: Option<bool>,
    /// Fetch pieces in random order.
    #[arg(long, conflicts_with = "rarest_first")]
    no_rarest_first: bool,
    /// In which order pieces are fetched.
    #[arg(long, value_name = "ORDER", conflicts_with_all = ["rarest_first", "no_rarest_first"])]
    #[arg(value_parser = one_of::<PieceOrder>(&["rarest-first", "random", "sequential"]))]
    piece_order: Option<PieceOrder>,
    /// How many first pieces are picked at random.
    #[arg(long, value_name = "N")]
    random_first: Option<u32>,
    /// Finish started pieces before any other.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[arg(value_parser = parse_switch)]
    strict_priority: Option<bool>,
    /// Start pieces freely.
    #[arg(long, conflicts_with = "strict_priority")]
    no_strict_priority: bool,
    /// As a seed, reveal pieces one at a time.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[arg(value_parser = parse_switch)]
    super_seeding: Option<bool>,
    /// As a seed, say at once what we have.
    #[arg(long, conflicts_with = "super_seeding")]
    no_super_seeding: bool,
}

/// Blocks asked of several peers.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Redundant requests")]
struct Redundancy {
    /// When the last blocks are asked of several peers.
    #[arg(long, value_name = "WHEN", num_args = 0..=1, default_missing_value = "all-requested")]
    #[arg(value_parser = one_of::<Endgame>(&["all-requested", "less-left-than-in-flight", "on", "off"]))]
    endgame: Option<Endgame>,
    /// Never ask several peers for the last blocks.
    #[arg(long, conflicts_with = "endgame")]
    no_endgame: bool,
    /// In endgame, how many peers at most are asked for one block.
    #[arg(long, value_name = "N")]
    endgame_duplicates: Option<u32>,
    /// How many peers may be asked for one block at any time; 2 if no number is given.
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "2", value_parser = parse_bbs_plus)]
    bbs_plus: Option<u32>,
    /// Ask one peer for each block.
    #[arg(long, conflicts_with = "bbs_plus")]
    no_bbs_plus: bool,
}

/// The names of what a patch changes.
fn names(patch: &StrategyPatch) -> Vec<String> {
    let patch = serde_json::to_value(patch).unwrap_or_default();
    patch.as_object().into_iter().flat_map(|named| named.keys().cloned()).collect()
}

fn parse_switch(text: &str) -> std::result::Result<bool, String> {
    match text {
        "true" | "on" | "yes" => Ok(true),
        "false" | "off" | "no" => Ok(false),
        _ => Err("write on or off".to_owned()),
    }
}

fn parse_bbs_plus(text: &str) -> std::result::Result<u32, String> {
    match parse_switch(text) {
        Ok(on) => Ok(1 + u32::from(on)),
        Err(_) => text.parse().map_err(|_| "write a number of peers, or off".to_owned()),
    }
}

/// The value of a pair of flags, `--x[=VALUE]` and `--no-x`, of which clap lets one stand at most.
fn either<T>(value: Option<T>, negated: bool, negative: T) -> Option<T> {
    if negated { Some(negative) } else { value }
}

impl SetStrategy {
    /// Makes the change and shows what is in force then of what was named.
    pub(crate) async fn run(self, cx: &Context<'_>) -> Result {
        let patch = self.patch();
        patch.check().map_err(|error| Failure::usage(error.to_string().replace('_', "-")))?;
        let reset = self.reset()?;
        if patch.is_empty() && reset.is_empty() {
            return Err(Failure::usage("there is no strategy to set")
                .advise("“btctl set-strategy --help” lists them, “btctl strategy” shows what is in force"));
        }
        let id = match &self.torrent {
            Some(prefix) => Some(cx.one(prefix).await?),
            None => None,
        };
        let named = [reset.clone(), names(&patch)].concat();
        let report = cx.call(cx.client.strategy_set(&StrategySet { id, reset, patch })).await?;
        cx.out.result(&report, |report| table(report, &named, cx.out))?;
        Ok(Code::Ok)
    }

    fn patch(&self) -> StrategyPatch {
        let Self { choke, pick, redundancy, .. } = self;
        let order = pick.rarest_first.map(|on| if on { PieceOrder::RarestFirst } else { PieceOrder::Random });
        StrategyPatch {
            choking: either(choke.choking, choke.no_choking, Choking::Off),
            seed_choking: choke.seed_choking,
            upload_slots: choke.upload_slots,
            rechoke_interval: choke.rechoke_interval,
            optimistic_unchoking: either(choke.optimistic_unchoking, choke.no_optimistic_unchoking, false),
            optimistic_slots: choke.optimistic_slots,
            optimistic_interval: choke.optimistic_interval,
            anti_snubbing: either(choke.anti_snubbing, choke.no_anti_snubbing, false),
            snub_timeout: choke.snub_timeout,
            piece_order: either(pick.piece_order.or(order), pick.no_rarest_first, PieceOrder::Random),
            random_first: pick.random_first,
            strict_priority: either(pick.strict_priority, pick.no_strict_priority, false),
            endgame: either(redundancy.endgame, redundancy.no_endgame, Endgame::Off),
            endgame_duplicates: redundancy.endgame_duplicates,
            bbs_plus: either(redundancy.bbs_plus, redundancy.no_bbs_plus, 1),
            super_seeding: either(pick.super_seeding, pick.no_super_seeding, false),
        }
    }

    fn reset(&self) -> Result<Vec<String>> {
        if self.reset.iter().any(|name| name == "all") {
            return Ok(StrategyPatch::FIELDS.iter().map(|&name| name.to_owned()).collect());
        }
        let known = |name: &String| {
            let name = name.replace('-', "_");
            let known = StrategyPatch::FIELDS.contains(&name.as_str());
            known.then_some(name.clone()).ok_or_else(|| {
                Failure::usage(format!("there is no strategy “{name}”")).advise("“btctl strategy” lists them")
            })
        };
        self.reset.iter().map(known).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        set: SetStrategy,
    }

    fn patch(flags: &str) -> std::result::Result<StrategyPatch, clap::Error> {
        Line::try_parse_from(["x"].into_iter().chain(flags.split_whitespace())).map(|line| line.set.patch())
    }

    #[test]
    fn every_switch_has_three_forms() {
        let on =
            patch("--choking --endgame --bbs-plus --rarest-first --optimistic-unchoking --anti-snubbing")
                .unwrap();
        assert_eq!(
            on,
            StrategyPatch {
                choking: Some(Choking::TitForTat),
                endgame: Some(Endgame::AllRequested),
                bbs_plus: Some(2),
                piece_order: Some(PieceOrder::RarestFirst),
                optimistic_unchoking: Some(true),
                anti_snubbing: Some(true),
                ..StrategyPatch::default()
            }
        );
        let off = patch(
            "--no-choking --no-endgame --no-bbs-plus --no-rarest-first --no-optimistic-unchoking --no-anti-snubbing",
        )
        .unwrap();
        assert_eq!(
            (off.choking, off.endgame, off.bbs_plus),
            (Some(Choking::Off), Some(Endgame::Off), Some(1))
        );
        assert_eq!(off.piece_order, Some(PieceOrder::Random));
        assert_eq!((off.optimistic_unchoking, off.anti_snubbing), (Some(false), Some(false)));
        let values = patch("--endgame=less-left-than-in-flight --bbs-plus=3 --anti-snubbing=off").unwrap();
        assert_eq!(values.endgame, Some(Endgame::LessLeftThanInFlight));
        assert_eq!((values.bbs_plus, values.anti_snubbing), (Some(3), Some(false)));
        let spaced = patch("--endgame off --bbs-plus off --choking on").unwrap();
        assert_eq!(
            (spaced.endgame, spaced.bbs_plus, spaced.choking),
            (Some(Endgame::Off), Some(1), Some(Choking::TitForTat))
        );
    }

    #[test]
    fn contradictions_and_unknown_values_are_refused() {
        for wrong in [
            "--endgame --no-endgame",
            "--endgame=perhaps",
            "--rarest-first --piece-order sequential",
            "--bbs-plus=many",
            "--anti-snubbing=2",
            "--colour",
        ] {
            assert!(patch(wrong).is_err(), "{wrong}");
        }
    }
}
