//! The settings file, `btd.toml`.

use super::knob::{Group, Knob, nearest};
use super::{Given, Layer, SettingsError};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Far more than all settings with a comment each.
const MAX_FILE: u64 = 1024 * 1024;
/// The table that the strategies stand in.
const STRATEGY: &str = "strategy";

/// Reads the file, which must be there.
pub(super) fn read(knobs: &[Knob], path: &Path) -> Result<Layer, SettingsError> {
    let wrong = |reason: String| SettingsError::File { path: path.to_owned(), reason };
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text));
    match read {
        Ok(size) if size as u64 > MAX_FILE => {
            return Err(wrong("it is too large for a settings file".into()));
        }
        Ok(_) => {}
        Err(error) => return Err(wrong(format!("cannot read it: {error}"))),
    }
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
    layer(knobs, path, table).map_err(wrong)
}

fn layer(knobs: &[Knob], path: &Path, table: toml::Table) -> Result<Layer, String> {
    let mut layer = Layer::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(strategies) if key == STRATEGY => {
                for (key, value) in strategies {
                    insert(knobs, &mut layer, path, true, &key, value)?;
                }
            }
            value => insert(knobs, &mut layer, path, false, &key, value)?,
        }
    }
    Ok(layer)
}

fn insert(
    knobs: &[Knob],
    layer: &mut Layer,
    path: &Path,
    strategy: bool,
    key: &str,
    value: toml::Value,
) -> Result<(), String> {
    let written = full_name(strategy, key);
    let known = |knob: &Knob| full_name(knob.group == Group::Strategy, knob.name);
    let Some(knob) = knobs.iter().find(|knob| known(knob) == written) else {
        let hint = nearest(&written, knobs.iter().map(known)).map(|near| format!("; do you mean “{near}”?"));
        return Err(format!("unknown key “{written}”{}", hint.unwrap_or_default()));
    };
    let value: Value = serde_json::to_value(value).map_err(|error| error.to_string())?;
    let place = format!("{}: {written}", path.display());
    layer.insert(knob.key(), Given { value: knob.read_value(value), place });
    Ok(())
}

fn full_name(strategy: bool, key: &str) -> String {
    if strategy { format!("{STRATEGY}.{key}") } else { key.to_owned() }
}
