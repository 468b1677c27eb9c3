//! The command line.

use super::knob::{Group, Kind, Knob};
use super::{Given, Layer, SettingsError};
use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::Value;
use std::ffi::OsString;
use std::path::PathBuf;

/// What the command line says.
#[derive(Debug, Default)]
pub(super) struct Flags {
    pub(super) layer: Layer,
    pub(super) config: Option<PathBuf>,
    pub(super) verbose: u8,
}

/// Reads the command line. Asking for help comes out as an error that prints it.
pub(super) fn parse(
    knobs: &[Knob],
    args: impl IntoIterator<Item = OsString>,
) -> Result<Flags, SettingsError> {
    let mut command = command(knobs);
    let matches = command.try_get_matches_from_mut(args)?;
    let mut layer = Layer::new();
    for knob in knobs {
        if let Some((flag, value)) = given(knob, &matches) {
            let wrong = |reason| command.error(ErrorKind::ValueValidation, format!("{flag}: {reason}"));
            layer.insert(knob.key(), Given { value: value.map_err(wrong)?, place: flag });
        }
    }
    Ok(Flags { layer, config: matches.get_one("config").cloned(), verbose: matches.get_count("verbose") })
}

/// The whole command line, also for man pages.
pub(super) fn command(knobs: &[Knob]) -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Settings file, instead of btd.toml in the user's configuration folder [env: BTD_CONFIG]")
        .display_order(0);
    let verbose = Arg::new("verbose")
        .short('v')
        .long("verbose")
        .action(ArgAction::Count)
        .help("More in the log: -v for debug, -vv for everything [env: BTD_VERBOSE]")
        .display_order(0);
    let mut command = Command::new("btd")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A BitTorrent daemon. Drive it with btctl, or in a browser at the address that it prints.")
        .after_help(
            "A flag beats its environment variable, which beats the same key in btd.toml (with _ for -, strategies \
             under [strategy]), which beats what was set over the control API.",
        )
        .arg(config)
        .arg(verbose);
    for (order, knob) in knobs.iter().enumerate() {
        command = command.args(args(knob, order + 1));
    }
    command
}

/// The flags of one setting: itself, and its opposite where there is one.
fn args(knob: &Knob, order: usize) -> Vec<Arg> {
    let heading = match knob.group {
        Group::Strategy => "Strategies at the start",
        _ => "Settings",
    };
    let base = |name: String| Arg::new(name.clone()).long(name).help_heading(heading).display_order(order);
    let mut arg = base(knob.flag()).help(help(knob)).value_name(value_name(knob));
    match &knob.kind {
        Kind::Bool => {
            arg = arg
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .hide_possible_values(true)
        }
        Kind::List => arg = arg.action(ArgAction::Append),
        Kind::Choice(choices) => arg = arg.value_parser(PossibleValuesParser::new(choices.clone())),
        Kind::Number | Kind::Text => {}
    }
    let Some((on, _)) = &knob.switch else { return also_as_switch(knob, arg, base) };
    let no = format!("no-{}", knob.flag());
    if knob.kind != Kind::Bool {
        arg = arg.num_args(0..=1).default_missing_value(plain(on));
    }
    let opposite = base(no.clone()).action(ArgAction::SetTrue).overrides_with(knob.flag());
    vec![arg.overrides_with(no), opposite.hide(true)]
}

/// `--rarest-first` and `--no-rarest-first` are short for two of the piece orders.
fn also_as_switch(knob: &Knob, arg: Arg, base: impl Fn(String) -> Arg) -> Vec<Arg> {
    if knob.name != "piece_order" {
        return vec![arg];
    }
    let switch = |name: &str, help: &'static str| {
        let others =
            ["piece-order", "rarest-first", "no-rarest-first"].into_iter().filter(|other| *other != name);
        base(name.to_owned())
            .action(ArgAction::SetTrue)
            .help(help)
            .overrides_with_all(others.collect::<Vec<_>>())
    };
    vec![
        arg.overrides_with_all(["rarest-first", "no-rarest-first"]),
        switch("rarest-first", "Short for --piece-order rarest-first"),
        switch("no-rarest-first", "Short for --piece-order random"),
    ]
}

/// What the command line says of one setting: the flag's spelling and the value.
fn given(knob: &Knob, matches: &ArgMatches) -> Option<(String, Result<Value, String>)> {
    let set = |name: &str| matches.try_get_one::<bool>(name).ok().flatten() == Some(&true);
    let no = format!("no-{}", knob.flag());
    if let Some((_, off)) = knob.switch.as_ref().filter(|_| set(&no)) {
        return Some((format!("--{no}"), Ok(off.clone())));
    }
    if knob.name == "piece_order" {
        for (name, order) in [("rarest-first", "rarest-first"), ("no-rarest-first", "random")] {
            if set(name) {
                return Some((format!("--{name}"), Ok(order.into())));
            }
        }
    }
    let texts: Vec<&String> = matches.get_many(&knob.flag())?.collect();
    let text = texts.iter().map(|text| text.as_str()).collect::<Vec<_>>().join(",");
    Some((format!("--{} {text}", knob.flag()), knob.parse_text(&text)))
}

fn help(knob: &Knob) -> String {
    let default = match &knob.default {
        Value::String(text) if text.is_empty() => String::new(),
        Value::Null | Value::Array(_) => String::new(),
        value => format!("[default: {}] ", plain(value)),
    };
    let opposite =
        knob.switch.as_ref().map(|_| format!("--no-{} is the opposite. ", knob.flag())).unwrap_or_default();
    format!("{} {opposite}{default}[env: {}]", knob.help, knob.variable())
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The word for the value in the help.
fn value_name(knob: &Knob) -> &'static str {
    match knob.name {
        "rpc" => "ADDR:PORT",
        "bind" | "announce_ip" => "ADDR",
        "dht_bootstrap" => "HOST:PORT",
        "rpc_host" => "HOST",
        "state_dir" | "download_dir" => "DIR",
        "rpc_cert" | "rpc_key" | "ip_filter" => "FILE",
        "log" => "LEVEL",
        "port" | "dht_port" | "announce_port" => "PORT",
        "download_limit" | "upload_limit" | "cache" => "SIZE",
        _ => match knob.kind {
            Kind::Bool => "BOOL",
            Kind::Choice(_) => "WHICH",
            _ => "N",
        },
    }
}
