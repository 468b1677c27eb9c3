//! `btctl settings`.

use super::{Context, Result};
use crate::{
    exit::{Code, Failure},
    render::{
        Output, Style,
        table::{Cell, Column, Table},
    },
};
use proto::{
    rpc::{
        self, ApiClient, SettingsPatch,
        params::Empty,
        session::{Origin, SettingsReport},
    },
    size::Size,
};
use serde_json::{Map, Value};

/// Settings that are bytes; a person reads them with a unit.
const SIZES: [&str; 3] = ["download_limit", "upload_limit", "cache"];

/// `btctl settings`.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Names to show, or NAME=VALUE to change; without any, all are shown. A list is written a,b,c.
    #[arg(value_name = "NAME[=VALUE]")]
    settings: Vec<String>,
}

impl Settings {
    /// Changes, then shows.
    pub(crate) async fn run(self, cx: &Context<'_>) -> Result {
        let (changes, names): (Vec<&String>, Vec<&String>) =
            self.settings.iter().partition(|setting| setting.contains('='));
        let names: Vec<String> = names.into_iter().map(|name| known(name)).collect::<Result<_>>()?;
        if changes.is_empty() {
            return show(cx, &names).await;
        }
        let mut patch = Map::new();
        for (name, text) in changes.into_iter().filter_map(|change| change.split_once('=')) {
            let name = known(name)?;
            let value = value(&name, text.trim());
            patch.insert(name, value);
        }
        let patch: SettingsPatch = serde_json::from_value(patch.into())
            .map_err(|error| Failure::usage(format!("that is no value for it: {error}")))?;
        let changed = cx.call(cx.client.session_set(&patch)).await?;
        cx.out.result(&changed, |changed| match changed.changed.as_slice() {
            [] => "nothing changed\n".to_owned(),
            names => format!("changed: {}\n", names.join(", ")),
        })?;
        if !changed.after_restart.is_empty() {
            cx.out.note(&format!("after the next start of btd: {}", changed.after_restart.join(", ")));
        }
        Ok(Code::Ok)
    }
}

/// The setting of this name, written with dashes or underscores.
fn known(name: &str) -> Result<String> {
    let name = name.trim().trim_start_matches("--").replace('-', "_");
    if rpc::Settings::FIELDS.contains(&name.as_str()) {
        return Ok(name);
    }
    Err(Failure::usage(format!("there is no setting “{name}”")).advise("“btctl settings” lists them"))
}

/// A text as the JSON value that this setting has.
fn value(name: &str, text: &str) -> Value {
    let defaults = serde_json::to_value(rpc::Settings::default()).unwrap_or_default();
    let words = || text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(Value::from).collect();
    match &defaults[name] {
        Value::Bool(_) => match text {
            "true" | "on" | "yes" => true.into(),
            "false" | "off" | "no" => false.into(),
            other => other.into(),
        },
        // What is no number may still be a size; the type of the setting knows.
        Value::Number(_) => {
            serde_json::from_str::<serde_json::Number>(text).map_or_else(|_| text.into(), Value::from)
        }
        Value::Array(_) => words(),
        Value::Null if text.is_empty() || text == "none" => Value::Null,
        _ => text.into(),
    }
}

async fn show(cx: &Context<'_>, names: &[String]) -> Result {
    let report = cx.call(cx.client.session_settings(&Empty {})).await?;
    let values = serde_json::to_value(&report.settings).unwrap_or_default();
    if let ([name], false) = (names, cx.out.json) {
        // One value alone, for scripts.
        cx.out.print(&format!("{}\n", plain(&values[name])))?;
        return Ok(Code::Ok);
    }
    cx.out.result(&report, |report| table(report, &values, names, cx.out))?;
    Ok(Code::Ok)
}

fn table(report: &SettingsReport, values: &Value, names: &[String], out: &Output) -> String {
    let mut table =
        Table::new([Column::left("SETTING"), Column::left("FROM"), Column::left("VALUE").shrinks()]);
    for &name in rpc::Settings::FIELDS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            let origin = report.origins.get(name).copied().unwrap_or_default();
            let value = match values[name].as_u64() {
                Some(bytes) if bytes >= 1024 && SIZES.contains(&name) => Size(bytes).to_string(),
                _ => plain(&values[name]),
            };
            let style = if origin == Origin::Default { Style::Dim } else { Style::Plain };
            table.row([name.into(), Cell::new(style, origin_name(origin)), Cell::new(style, value)]);
        }
    }
    table.render(out)
}

/// Where a value comes from, in a word.
pub(crate) const fn origin_name(origin: Origin) -> &'static str {
    match origin {
        Origin::Default => "default",
        Origin::File => "file",
        Origin::Environment => "environment",
        Origin::Flag => "flag",
        Origin::Session => "session",
        Origin::Torrent => "torrent",
    }
}

/// A value as it could be typed.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(name: &str, text: &str) -> std::result::Result<SettingsPatch, serde_json::Error> {
        serde_json::from_value(Map::from_iter([(name.to_owned(), value(name, text))]).into())
    }

    #[test]
    fn what_is_typed_becomes_the_setting() {
        assert_eq!(patch("dht", "on").unwrap().dht, Some(true));
        assert_eq!(patch("download_limit", "5MiB").unwrap().download_limit, Some(Size(5 << 20)));
        assert_eq!(patch("seed_ratio_limit", "1.5").unwrap().seed_ratio_limit, Some(1.5));
        assert_eq!(patch("bind", "10.0.0.1, ::1").unwrap().bind.unwrap().len(), 2);
        assert_eq!(patch("download_dir", "/srv/a=b").unwrap().download_dir.unwrap(), "/srv/a=b");
        for (name, text) in
            [("dht", "maybe"), ("port", "70000"), ("port", "many"), ("encryption", "some"), ("bind", "x")]
        {
            assert!(patch(name, text).is_err(), "{name}={text}");
        }
        assert_eq!(known("--download-limit").unwrap(), "download_limit");
        assert_eq!(known("colour").unwrap_err().code, Code::Usage);
    }

    #[test]
    fn what_is_shown_can_be_typed() {
        let defaults = serde_json::to_value(rpc::Settings::default()).unwrap();
        for &name in rpc::Settings::FIELDS.iter().filter(|&&name| name != "announce_ip") {
            let back = serde_json::to_value(patch(name, &plain(&defaults[name])).unwrap()).unwrap();
            assert_eq!(back[name], defaults[name], "{name}");
        }
    }
}
