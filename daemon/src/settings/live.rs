//! The settings in force, and their changes at run time.

use super::knob::Group;
use super::{Gathered, check};
use proto::rpc::session::{Origin, SettingsChanged, SettingsReport, StrategyReport};
use proto::rpc::{ErrorKind, RpcError, Settings, SettingsPatch};
use proto::strategy::{Strategy, StrategyPatch};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The settings in force.
///
/// A change at run time applies at once where it can, and is remembered; at the next start flags, environment and file
/// come first again.
#[derive(Debug)]
pub(crate) struct Live {
    settings: Settings,
    strategy: Strategy,
    /// Flags, environment and file.
    fixed: Layers,
    /// What was set over the control API, in this run and before.
    stored: Layers,
    origins: BTreeMap<String, Origin>,
    strategy_origins: BTreeMap<String, Origin>,
    download_fallback: Option<PathBuf>,
    verbose: u8,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Layers {
    settings: SettingsPatch,
    strategy: StrategyPatch,
}

impl Gathered {
    /// The filter of the log before the state is open.
    pub(crate) fn log_filter(&self) -> String {
        verbose_filter(self.verbose).or_else(|| self.settings.log.clone()).unwrap_or(Settings::default().log)
    }

    /// Adds what earlier runs were told over the control API, as [`Live::stored`] gave it. What of that can no longer
    /// be understood is left out, with a warning.
    pub(crate) fn settle(self, stored: Option<&Value>) -> Result<(Live, Vec<String>), super::SettingsError> {
        let mut warnings = Vec::new();
        let member = |name: &str| stored.and_then(|stored| stored.get(name)).and_then(Value::as_object);
        let stored = Layers {
            settings: each(member("settings"), check::patch, &mut warnings),
            strategy: each(
                member("strategy"),
                |patch: &StrategyPatch| patch.check().map_err(|wrong| (wrong.field, wrong.to_string())),
                &mut warnings,
            ),
        };
        let fixed = Layers { settings: self.settings, strategy: self.strategy };
        let mut live = Live {
            settings: Settings::default(),
            strategy: Strategy::default(),
            fixed,
            stored,
            origins: BTreeMap::new(),
            strategy_origins: BTreeMap::new(),
            download_fallback: self.download_fallback,
            verbose: self.verbose,
        };
        live.start(&self.origins);
        check::whole(&live.settings)
            .map_err(|(name, reason)| super::SettingsError::Value { place: name.into(), reason })?;
        Ok((live, warnings))
    }
}

impl Live {
    fn start(&mut self, origins: &BTreeMap<(Group, &'static str), Origin>) {
        self.origins =
            self.stored.settings.names().into_iter().map(|n| (n.to_owned(), Origin::Session)).collect();
        self.strategy_origins =
            names(&self.stored.strategy).into_iter().map(|n| (n, Origin::Session)).collect();
        for ((group, name), origin) in origins {
            match group {
                Group::Session => drop(self.origins.insert((*name).to_owned(), *origin)),
                Group::Strategy => drop(self.strategy_origins.insert((*name).to_owned(), *origin)),
                Group::Start => {}
            }
        }
        self.stored.settings.apply(&mut self.settings);
        self.fixed.settings.apply(&mut self.settings);
        self.strategy = self.session_strategy();
    }

    /// The settings in force.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The session's strategy in force.
    pub(crate) fn strategy(&self) -> &Strategy {
        &self.strategy
    }

    /// Where downloads go that are given no other folder.
    pub(crate) fn download_dir(&self) -> PathBuf {
        match (self.settings.download_dir.as_str(), &self.download_fallback) {
            ("", Some(fallback)) => fallback.clone(),
            (given, _) => std::path::absolute(Path::new(given)).unwrap_or_else(|_| given.into()),
        }
    }

    /// The filter of the log: what `-v` asks for, or the setting.
    pub(crate) fn log_filter(&self) -> String {
        verbose_filter(self.verbose).unwrap_or_else(|| self.settings.log.clone())
    }

    /// The answer to `session.settings`.
    pub(crate) fn report(&self) -> SettingsReport {
        SettingsReport { settings: self.settings.clone(), origins: self.origins.clone() }
    }

    /// The answer to `strategy.get` of the session.
    pub(crate) fn strategy_report(&self) -> StrategyReport {
        StrategyReport { id: None, strategy: self.strategy.clone(), origins: self.strategy_origins.clone() }
    }

    /// What the store is to remember.
    pub(crate) fn stored(&self) -> Value {
        json!(self.stored)
    }

    /// Changes settings; nothing changes if any value is wrong. Remember [`Live::stored`] afterwards, and apply what
    /// `changed` names and `after_restart` does not.
    pub(crate) fn set(&mut self, patch: &SettingsPatch) -> Result<SettingsChanged, RpcError> {
        let wrong = |(name, reason): check::Wrong| {
            RpcError::new(ErrorKind::InvalidParams, format!("{name}: {reason}"))
        };
        check::patch(patch).map_err(wrong)?;
        check::folder(patch.download_dir.as_deref().unwrap_or_default()).map_err(wrong)?;
        let mut after = self.settings.clone();
        let changed = patch.apply(&mut after);
        check::whole(&after).map_err(wrong)?;
        let at_start = |name: &&str| Settings::is_live(name) == Some(false);
        let fixed = self.fixed.settings.names();
        if let Some(name) = changed.iter().filter(|name| at_start(name)).find(|name| fixed.contains(name)) {
            return Err(RpcError::new(ErrorKind::InvalidParams, self.held(name)));
        }

        self.stored.settings.merge(patch);
        let (later, now): (Vec<_>, Vec<_>) = changed.iter().copied().partition(at_start);
        merge_named(&mut self.settings, &after, &now);
        if now.contains(&"log") {
            self.verbose = 0;
        }
        self.origins.extend(now.iter().map(|name| ((*name).to_owned(), Origin::Session)));
        self.strategy = self.session_strategy();
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        Ok(SettingsChanged { changed: owned(changed), after_restart: owned(later) })
    }

    /// Changes the session's strategies; `reset` names some that go back to the default. Nothing changes if
    /// anything is wrong.
    pub(crate) fn set_strategy(
        &mut self,
        patch: &StrategyPatch,
        reset: &[String],
    ) -> Result<StrategyReport, RpcError> {
        let invalid = |text: String| RpcError::new(ErrorKind::InvalidParams, text);
        patch.check().map_err(|wrong| invalid(wrong.to_string()))?;
        if let Some(name) = reset.iter().find(|name| !StrategyPatch::FIELDS.contains(&name.as_str())) {
            return Err(invalid(format!("there is no strategy “{name}”")));
        }
        if let Some(slots) = patch.upload_slots {
            self.set(&SettingsPatch { upload_slots: Some(slots), ..SettingsPatch::default() })?;
        }
        for layers in [&mut self.stored, &mut self.fixed] {
            layers.strategy = without(&layers.strategy, reset);
        }
        self.strategy_origins.retain(|name, _| !reset.contains(name));
        // A change now goes over what the start gave, until the next start.
        self.fixed.strategy = without(&self.fixed.strategy, &names(patch));
        self.stored.strategy.merge(patch);
        self.strategy_origins.extend(names(patch).into_iter().map(|name| (name, Origin::Session)));
        self.strategy = self.session_strategy();
        Ok(self.strategy_report())
    }

    /// Upload slots are a setting as well as a strategy: one value, kept with the settings.
    fn session_strategy(&self) -> Strategy {
        let mut patch = self.stored.strategy.clone();
        patch.merge(&self.fixed.strategy);
        patch.upload_slots = Some(self.settings.upload_slots);
        patch.over(&Strategy::default())
    }

    fn held(&self, name: &str) -> String {
        let by = match self.origins.get(name) {
            Some(Origin::Flag) => format!("the flag --{}", name.replace('_', "-")),
            Some(Origin::Environment) => {
                format!("the environment variable BTD_{}", name.to_ascii_uppercase())
            }
            _ => "the settings file".to_owned(),
        };
        format!("{name}: {by} sets this when btd starts, and comes first; change it there")
    }
}

fn verbose_filter(verbose: u8) -> Option<String> {
    match verbose {
        0 => None,
        1 => Some("debug".to_owned()),
        _ => Some("trace".to_owned()),
    }
}

/// The members of a stored object that can be understood, as a patch.
fn each<T: DeserializeOwned + Default>(
    stored: Option<&Map<String, Value>>,
    check: impl Fn(&T) -> Result<(), check::Wrong>,
    warnings: &mut Vec<String>,
) -> T {
    let mut good = Map::new();
    for (name, value) in stored.into_iter().flatten() {
        let one = Value::Object([(name.clone(), value.clone())].into_iter().collect());
        let wrong = match serde_json::from_value::<T>(one) {
            Ok(patch) => check(&patch).err().map(|(_, reason)| reason),
            Err(error) => Some(error.to_string()),
        };
        match wrong {
            None => drop(good.insert(name.clone(), value.clone())),
            Some(reason) => warnings.push(format!("the remembered setting {name} is left out: {reason}")),
        }
    }
    serde_json::from_value(Value::Object(good)).unwrap_or_default()
}

/// The names that a strategy patch has a value for.
fn names(patch: &StrategyPatch) -> Vec<String> {
    match json!(patch) {
        Value::Object(members) => members.into_iter().map(|(name, _)| name).collect(),
        _ => Vec::new(),
    }
}

/// A strategy patch without some of its members.
fn without(patch: &StrategyPatch, names: &[String]) -> StrategyPatch {
    let mut members = json!(patch);
    if let Value::Object(members) = &mut members {
        members.retain(|name, _| !names.contains(name));
    }
    serde_json::from_value(members).unwrap_or_default()
}

/// Copies the settings of these names.
fn merge_named(settings: &mut Settings, from: &Settings, names: &[&str]) {
    let Value::Object(mut members) = json!(from) else { return };
    members.retain(|name, _| names.contains(&name.as_str()));
    if let Ok(patch) = serde_json::from_value::<SettingsPatch>(Value::Object(members)) {
        patch.apply(settings);
    }
}
