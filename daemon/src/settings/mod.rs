//! What btd was told: flags, environment, `btd.toml`, what was set over the control API in earlier runs, defaults; in
//! this order, the first one that names a setting wins.
//!
//! There is one table of names, that of `proto::rpc::settings` (and `proto::strategy` for the strategies): flags,
//! environment variables and keys of the file are made from its schema ([`knob`]), so a setting that is added there is
//! known everywhere. [`gather`] reads what is outside; [`Gathered::settle`] adds what the state remembers and gives the
//! [`Live`] settings that `session.set` changes.

mod check;
mod file;
mod flags;
mod knob;
mod live;
mod paths;
#[cfg(test)]
mod tests;

pub(crate) use live::Live;

use knob::{Group, Knob};
use proto::rpc::{SettingsPatch, session::Origin};
use proto::strategy::StrategyPatch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// What only matters while btd starts, and is no setting of the session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Start {
    /// Folder of btd's own state; empty is `btd` in the user's folder for state.
    pub(crate) state_dir: String,
    /// Certificate chain (PEM) for TLS on the control API and the page, together with `rpc_key`.
    pub(crate) rpc_cert: String,
    /// Private key (PEM) of `rpc_cert`.
    pub(crate) rpc_key: String,
    /// Another name or address by which the page and the control API may be reached, such as that of a reverse proxy.
    pub(crate) rpc_host: Vec<String>,
    /// Whether the log is written as one JSON document per line.
    pub(crate) log_json: bool,
}

impl Start {
    const FIELDS: &'static [&'static str] = &["state_dir", "rpc_cert", "rpc_key", "rpc_host", "log_json"];
}

/// Why btd cannot start with what it was told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// The command line; also `--help` and `--version`, which are no errors.
    #[error("{0}")]
    Usage(#[from] clap::Error),
    /// The settings file cannot be read or is no TOML.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A value does not fit its setting.
    #[error("{place}: {reason}")]
    Value {
        /// Where it was given.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no folder for the state.
    #[error("there is no folder for btd's state: HOME is not set, so say which one with --state-dir")]
    NoStateDir,
}

impl SettingsError {
    /// Prints the error (or the help that was asked for) and ends the process: 2 for usage, 0 for help.
    pub(crate) fn exit(self) -> ! {
        match self {
            Self::Usage(error) => error.exit(),
            error => {
                eprintln!("btd: {error}");
                std::process::exit(2)
            }
        }
    }
}

/// The environment, as far as it is text.
pub(crate) type Env = BTreeMap<String, String>;

/// Flags, environment and file, read and checked.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// What only matters while starting.
    pub(crate) start: Start,
    /// The folder of the state.
    pub(crate) state_dir: PathBuf,
    /// The token of `BTD_TOKEN`.
    pub(crate) token: Option<String>,
    /// What deserves a line in the log: misspelt variables and the like.
    pub(crate) warnings: Vec<String>,
    settings: SettingsPatch,
    strategy: StrategyPatch,
    origins: BTreeMap<(Group, &'static str), Origin>,
    download_fallback: Option<PathBuf>,
    /// How often `-v` was given.
    verbose: u8,
}

/// One layer: what one source says, by setting.
type Layer = BTreeMap<(Group, &'static str), Given>;

/// A value and the words for where it was given.
#[derive(Clone, Debug)]
struct Given {
    value: Value,
    place: String,
}

/// Reads the command line (program name first), the environment and the settings file.
pub(crate) fn gather(args: impl IntoIterator<Item = OsString>, env: &Env) -> Result<Gathered, SettingsError> {
    let knobs = knob::all();
    let flags = flags::parse(&knobs, args)?;
    let (from_env, mut warnings) = environment(&knobs, env)?;
    let config = flags.config.clone().or_else(|| env.get("BTD_CONFIG").map(PathBuf::from));
    let path = match config {
        Some(path) => Some(path),
        None => paths::config(env).filter(|path| path.exists()),
    };
    let from_file = path.as_deref().map(|path| file::read(&knobs, path)).transpose()?.unwrap_or_default();

    let mut merged = Layer::new();
    let mut origins = BTreeMap::new();
    let layers = [(from_file, Origin::File), (from_env, Origin::Environment), (flags.layer, Origin::Flag)];
    for (layer, origin) in layers {
        origins.extend(layer.keys().map(|key| (*key, origin)));
        merged.extend(layer);
    }
    let settings: SettingsPatch = typed(Group::Session, &merged)?;
    let strategy: StrategyPatch = typed(Group::Strategy, &merged)?;
    let start: Start = typed(Group::Start, &merged)?;
    let place = |name: &str| {
        let given = merged.iter().find(|((_, known), _)| *known == name);
        given.map_or_else(|| name.to_owned(), |(_, given)| given.place.clone())
    };
    if let Err((name, reason)) = check::patch(&settings).and_then(|()| check::start(&start)) {
        return Err(SettingsError::Value { place: place(name), reason });
    }
    strategy
        .check()
        .map_err(|error| SettingsError::Value { place: place(error.field), reason: error.to_string() })?;
    let state_dir = match start.state_dir.as_str() {
        "" => paths::state(env).ok_or(SettingsError::NoStateDir)?,
        given => paths::absolute(given, env),
    };
    let verbose = match env.get("BTD_VERBOSE").filter(|_| flags.verbose == 0) {
        None => flags.verbose,
        Some(text) => text.parse().map_err(|_| SettingsError::Value {
            place: "the environment variable BTD_VERBOSE".into(),
            reason: format!("“{text}” is not a number of times"),
        })?,
    };
    if from_flag(&origins, "log") && verbose > 0 {
        warnings.push("--log is more precise than -v, which is left out".into());
    }
    Ok(Gathered {
        start,
        token: env.get("BTD_TOKEN").filter(|token| !token.is_empty()).cloned(),
        warnings,
        settings,
        strategy,
        verbose: if from_flag(&origins, "log") { 0 } else { verbose },
        origins,
        download_fallback: paths::downloads(env, &state_dir),
        state_dir,
    })
}

fn from_flag(origins: &BTreeMap<(Group, &'static str), Origin>, name: &'static str) -> bool {
    origins.get(&(Group::Session, name)) == Some(&Origin::Flag)
}

/// The process's environment.
pub(crate) fn process_env() -> Env {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// `BTD_…` variables as a layer, with a warning for each that nobody knows.
fn environment(knobs: &[Knob], env: &Env) -> Result<(Layer, Vec<String>), SettingsError> {
    /// Variables that are no settings.
    const OTHERS: [&str; 3] = ["BTD_TOKEN", "BTD_CONFIG", "BTD_VERBOSE"];
    let (mut layer, mut warnings) = (Layer::new(), Vec::new());
    for (name, text) in env.iter().filter(|(name, _)| name.starts_with("BTD_")) {
        if let Some(knob) = knobs.iter().find(|knob| knob.variable() == *name) {
            let place = format!("the environment variable {name}");
            let value = knob
                .parse_text(text)
                .map_err(|reason| SettingsError::Value { place: place.clone(), reason })?;
            layer.insert(knob.key(), Given { value, place });
        } else if !OTHERS.contains(&name.as_str()) {
            let known = knobs.iter().map(Knob::variable).chain(OTHERS.map(str::to_owned));
            let hint =
                knob::nearest(name, known).map(|near| format!(" (do you mean {near}?)")).unwrap_or_default();
            warnings.push(format!("the environment variable {name} means nothing to btd{hint}"));
        }
    }
    Ok((layer, warnings))
}

/// The values of one group in their type. They are tried one by one, so that an error names its place.
fn typed<T: DeserializeOwned>(group: Group, layer: &Layer) -> Result<T, SettingsError> {
    let mut whole = serde_json::Map::new();
    for ((_, name), given) in layer.iter().filter(|((of, _), _)| *of == group) {
        let one = Value::Object([((*name).to_owned(), given.value.clone())].into_iter().collect());
        if let Err(error) = serde_json::from_value::<T>(one) {
            return Err(SettingsError::Value { place: given.place.clone(), reason: error.to_string() });
        }
        whole.insert((*name).to_owned(), given.value.clone());
    }
    let wrong = |error: serde_json::Error| SettingsError::Value {
        place: "the settings".into(),
        reason: error.to_string(),
    };
    serde_json::from_value(Value::Object(whole)).map_err(wrong)
}
