//! Precedence, spelling and complaints, from the outside.

use super::*;
use proto::rpc::{ErrorKind, settings::Encryption};
use proto::strategy::{Endgame, PieceOrder};
use serde_json::json;
use std::fs;

fn env(pairs: &[(&str, &str)]) -> Env {
    let base = [("HOME", "/home/u"), ("XDG_CONFIG_HOME", "/nowhere")];
    base.iter().chain(pairs).map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn with(flags: &str, pairs: &[(&str, &str)]) -> Result<Gathered, SettingsError> {
    gather(std::iter::once("btd").chain(flags.split_whitespace()).map(OsString::from), &env(pairs))
}

fn live(flags: &str, pairs: &[(&str, &str)], stored: Option<&Value>) -> Live {
    with(flags, pairs).unwrap().settle(stored).unwrap().0
}

fn complaint(flags: &str, pairs: &[(&str, &str)]) -> String {
    with(flags, pairs).unwrap_err().to_string()
}

/// A settings file, and the flag that names it.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("btd.toml"), text).unwrap();
    let flag = format!("--config {}", dir.path().join("btd.toml").display());
    (dir, flag)
}

#[test]
fn flag_beats_environment_beats_file_beats_stored() {
    let (_dir, config) = file("port = 1");
    let stored = json!({"settings": {"port": 4, "half_open": 7}});
    let cases = [
        ("--port 3", vec![("BTD_PORT", "2")], 3, Origin::Flag),
        ("", vec![("BTD_PORT", "2")], 2, Origin::Environment),
        ("", vec![], 1, Origin::File),
    ];
    for (flags, env, port, origin) in cases {
        let live = live(&format!("{config} {flags}"), &env, Some(&stored));
        assert_eq!((live.settings().port, live.report().origins["port"]), (port, origin));
        assert_eq!((live.settings().half_open, live.report().origins["half_open"]), (7, Origin::Session));
        assert!(!live.report().origins.contains_key("cache"));
    }
    assert_eq!(live("", &[], Some(&stored)).settings().port, 4);
    assert_eq!(live("", &[], None).settings(), &proto::rpc::Settings::default());
}

#[test]
fn the_command_lines_of_the_design_are_understood() {
    let flags = "--port 6999 --dht --dht-port 7000 --dht-bootstrap a:1 --dht-bootstrap b:2 --rpc [::1]:80 \
                 --download-dir /srv/d --state-dir /srv/s --bind 10.0.0.1 --bind ::1 --no-tcp --utp --encryption require \
                 --no-pex --no-lsd --no-port-mapping --upload-slots 3 --max-connections 9 --download-limit 5MiB \
                 --upload-limit 0 --log warn --log-json";
    let gathered = with(flags, &[]).unwrap();
    assert!(gathered.start.log_json);
    assert_eq!(gathered.state_dir, PathBuf::from("/srv/s"));
    let (live, _) = gathered.settle(None).unwrap();
    let settings = live.settings();
    assert!(
        settings.dht
            && !settings.tcp
            && settings.utp
            && !settings.pex
            && !settings.lsd
            && !settings.port_mapping
    );
    assert_eq!((settings.port, settings.dht_port, settings.max_connections), (6999, 7000, 9));
    assert_eq!(settings.dht_bootstrap, ["a:1", "b:2"]);
    assert_eq!(settings.rpc, "[::1]:80".parse().unwrap());
    assert_eq!(settings.bind, ["10.0.0.1".parse::<std::net::IpAddr>().unwrap(), "::1".parse().unwrap()]);
    assert_eq!(settings.encryption, Encryption::Require);
    assert_eq!((settings.download_limit.0, settings.upload_limit.0), (5 << 20, 0));
    assert_eq!((settings.upload_slots, live.strategy().upload_slots), (3, 3));
    assert_eq!(live.download_dir(), PathBuf::from("/srv/d"));
}

#[test]
fn the_last_of_a_switch_and_its_opposite_counts_and_any_flag_beats_a_variable() {
    let dht = |flags, value| live(flags, &[("BTD_DHT", value)], None).settings().dht;
    assert!(dht("", "yes") && dht("--dht", "0") && dht("--no-dht --dht", "0") && dht("--dht=true", "0"));
    assert!(!dht("--no-dht", "yes") && !dht("--dht --no-dht", "yes") && !dht("--dht=false", "yes"));
}

#[test]
fn strategies_are_switched_by_flags_variables_and_the_file() {
    let strategy = |flags: &str, env: &[(&str, &str)]| live(flags, env, None).strategy().clone();
    assert_eq!(strategy("--no-endgame", &[]).endgame, Endgame::Off);
    assert_eq!(strategy("--endgame", &[("BTD_ENDGAME", "off")]).endgame, Endgame::AllRequested);
    assert_eq!(strategy("--endgame less-left-than-in-flight", &[]).endgame, Endgame::LessLeftThanInFlight);
    assert_eq!(strategy("", &[("BTD_ENDGAME", "no")]).endgame, Endgame::Off);
    assert_eq!(strategy("--no-rarest-first", &[]).piece_order, PieceOrder::Random);
    assert_eq!(strategy("--piece-order sequential", &[]).piece_order, PieceOrder::Sequential);
    assert_eq!(strategy("--bbs-plus", &[]).bbs_plus, 2);
    assert_eq!(strategy("--bbs-plus 3", &[]).bbs_plus, 3);
    assert!(!strategy("--no-anti-snubbing", &[]).anti_snubbing);
    let (_dir, config) = file("[strategy]\nendgame = false\nsnub_timeout = 9\noptimistic_unchoking = false");
    let read = strategy(&config, &[]);
    assert_eq!((read.endgame, read.snub_timeout, read.optimistic_unchoking), (Endgame::Off, 9, false));
}

#[test]
fn a_complaint_says_where_and_what() {
    for (flags, expected) in [
        ("--port 99999", "--port 99999"),
        ("--port x", "“x” is not a number"),
        ("--encryption maybe", "prefer"),
        ("--download-limit 5parsecs", "5MiB"),
        ("--snub-timeout 0", "--snub-timeout 0"),
        ("--colour", "--colour"),
        ("--log btd=loud", "neither a level"),
        ("--rpc-cert x", "--rpc-key"),
        ("--dht-bootstrap nowhere", "host:port"),
        ("--half-open 0", "at least 1"),
        ("--config /nowhere/x", "/nowhere/x: cannot read it"),
    ] {
        let complaint = complaint(flags, &[]);
        assert!(complaint.contains(expected), "{flags}: {complaint}");
    }
    let text = complaint("", &[("BTD_PEX", "maybe")]);
    assert_eq!(text, "the environment variable BTD_PEX: “maybe” is neither true nor false");
    let warnings = with("", &[("BTD_PROT", "1"), ("BTD_TOKEN", "t")]).unwrap().warnings;
    assert_eq!(warnings, ["the environment variable BTD_PROT means nothing to btd (do you mean BTD_PORT?)"]);
    assert!(with("--no-tcp --no-utp", &[]).unwrap().settle(None).is_err());
}

#[test]
fn an_unknown_key_of_the_file_names_its_nearest() {
    for (text, expected) in [
        ("prot = 1", "unknown key “prot”; do you mean “port”?"),
        ("[strategy]\nendgme = true", "unknown key “strategy.endgme”; do you mean “strategy.endgame”?"),
        ("zzz = 1", "unknown key “zzz”"),
        ("port = \"x\"", "btd.toml: port: invalid type"),
        ("port = ", "TOML parse error at line 1"),
    ] {
        let (_dir, flag) = file(text);
        let complaint = complaint(&flag, &[]);
        assert!(complaint.contains(expected), "{complaint}");
    }
}

#[test]
fn every_setting_has_a_flag_a_variable_and_a_key() {
    let knobs = knob::all();
    let help = flags::command(&knobs).render_long_help().to_string();
    for name in proto::rpc::Settings::FIELDS.iter().chain(StrategyPatch::FIELDS) {
        let knob = knobs.iter().find(|knob| knob.name == *name).unwrap();
        assert!(!knob.help.is_empty() && help.contains(&format!("--{}", knob.flag())), "{name}");
        assert!(help.contains(&knob.variable()), "{name}");
    }
    flags::command(&knobs).debug_assert();
}

#[test]
fn a_change_at_run_time_applies_is_remembered_and_never_half() {
    let mut session = live("--half-open 5", &[], None);
    let patch: SettingsPatch =
        serde_json::from_value(json!({"half_open": 9, "download_limit": "1MiB", "cache": "32MiB"})).unwrap();
    let outcome = session.set(&patch).unwrap();
    assert_eq!(outcome.changed, ["half_open", "download_limit", "cache"]);
    assert_eq!(outcome.after_restart, ["cache"]);
    assert_eq!(session.settings().half_open, 9);
    assert_eq!(session.settings().cache, proto::rpc::Settings::default().cache, "not before the next start");
    assert_eq!(session.report().origins["half_open"], Origin::Session);

    let before = session.settings().clone();
    for wrong in [json!({"half_open": 0, "pex": false}), json!({"pex": false, "download_dir": "relative"})] {
        let error = session.set(&serde_json::from_value(wrong).unwrap()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidParams);
        assert_eq!(session.settings(), &before);
    }

    let again = live("--half-open 5", &[], Some(&session.stored()));
    assert_eq!(again.settings().half_open, 5, "the flag comes first at the next start");
    assert_eq!((again.settings().cache.0, again.settings().download_limit.0), (32 << 20, 1 << 20));
}

#[test]
fn what_a_flag_holds_until_the_next_start_is_refused() {
    let mut session = live("--port 7000", &[], None);
    let error = session.set(&SettingsPatch { port: Some(1), ..SettingsPatch::default() }).unwrap_err();
    assert!(error.message.contains("--port"), "{error}");
}

#[test]
fn strategies_change_and_go_back() {
    let mut session = live("--no-endgame", &[], None);
    let patch =
        StrategyPatch { endgame: Some(Endgame::AllRequested), upload_slots: Some(2), ..Default::default() };
    let report = session.set_strategy(&patch, &[]).unwrap();
    assert_eq!((report.strategy.endgame, report.strategy.upload_slots), (Endgame::AllRequested, 2));
    assert_eq!(report.origins["endgame"], Origin::Session);
    assert_eq!(session.settings().upload_slots, 2);
    let again = live("", &[], Some(&session.stored()));
    assert_eq!(again.strategy(), session.strategy());
    assert!(session.set_strategy(&StrategyPatch { bbs_plus: Some(0), ..Default::default() }, &[]).is_err());
    assert!(session.set_strategy(&StrategyPatch::default(), &["colour".to_owned()]).is_err());
    let report = session.set_strategy(&StrategyPatch::default(), &["endgame".to_owned()]).unwrap();
    assert!(!report.origins.contains_key("endgame"));
}

#[test]
fn a_remembered_setting_that_no_longer_fits_is_left_out() {
    let stored = json!({"settings": {"port": 5, "gone": 1, "half_open": 0}, "strategy": {"bbs_plus": 3, "snub_timeout": "x"}});
    let (live, warnings) = with("", &[]).unwrap().settle(Some(&stored)).unwrap();
    assert_eq!((live.settings().port, live.settings().half_open, live.strategy().bbs_plus), (5, 50, 3));
    assert_eq!(warnings.len(), 3, "{warnings:?}");
}

#[test]
fn v_raises_the_log_unless_the_log_is_given() {
    assert_eq!(live("-v", &[("BTD_LOG", "warn")], None).log_filter(), "debug");
    assert_eq!(live("-vv", &[], None).log_filter(), "trace");
    assert_eq!(live("-v --log warn", &[], None).log_filter(), "warn");
    assert_eq!(with("", &[("BTD_VERBOSE", "1")]).unwrap().log_filter(), "debug");
}
