//! Settings and strategies, changed while btd runs: in force at once, stored, and told to every torrent.

use super::Session;
use proto::{
    id::InfoHash,
    rpc::{
        ErrorKind, RpcError, SettingsPatch,
        params::StrategySet,
        session::{Origin, SettingsChanged, SettingsReport, StrategyReport},
    },
    strategy::StrategyPatch,
};

impl Session {
    pub(super) fn settings_report(&self) -> SettingsReport {
        self.options.lock().report()
    }

    /// `session.set`: all or nothing.
    pub(super) async fn change_settings(&self, patch: SettingsPatch) -> Result<SettingsChanged, RpcError> {
        if let Some(filter) = &patch.log {
            crate::log::filter(filter)
                .map_err(|error| RpcError::new(ErrorKind::InvalidParams, format!("log: {error}")))?;
        }
        let changed = self.options.lock().set(&patch)?;
        if patch.log.is_some() {
            let filter = self.options.lock().log_filter();
            self.log.set_filter(&filter).map_err(|error| RpcError::new(ErrorKind::Internal, error))?;
        }
        if patch.ip_filter.is_some() {
            self.shared.load_filter().await.map_err(|error| RpcError::new(ErrorKind::Disk, error))?;
        }
        self.options_changed().await?;
        Ok(changed)
    }

    /// Puts what the options say now in force everywhere, and stores it.
    async fn options_changed(&self) -> Result<(), RpcError> {
        let stored = {
            let options = self.options.lock();
            self.shared.set_options(&options);
            options.stored()
        };
        let saved = self.shared.store.put_settings(&stored);
        for id in self.shared.registry.ids() {
            let _ = self.with(id, |live| live.apply_record()).await;
        }
        self.requeue().await;
        saved.map_err(|error| RpcError::new(ErrorKind::Disk, error.to_string()))
    }

    pub(super) async fn strategy_report(&self, id: Option<InfoHash>) -> Result<StrategyReport, RpcError> {
        let session = self.options.lock().strategy_report();
        let Some(id) = id else { return Ok(session) };
        let (own, strategy) = self.with_shard(id, |shard, live| live.strategies(shard)).await?;
        let mut origins = session.origins;
        origins.extend(named(&own).into_iter().map(|name| (name, Origin::Torrent)));
        Ok(StrategyReport { id: Some(id), strategy, origins })
    }

    /// `strategy.set`: all or nothing, in force with the next event of each torrent.
    pub(super) async fn change_strategy(&self, params: StrategySet) -> Result<StrategyReport, RpcError> {
        let StrategySet { id, reset, patch } = params;
        let wrong = |text: String| RpcError::new(ErrorKind::InvalidParams, text);
        patch.check().map_err(|error| wrong(error.to_string()))?;
        if let Some(name) = reset.iter().find(|name| !StrategyPatch::FIELDS.contains(&name.as_str())) {
            return Err(wrong(format!(
                "there is no strategy “{name}”: {}",
                StrategyPatch::FIELDS.join(", ")
            )));
        }
        if let Some(id) = id {
            let change = move |own: &mut StrategyPatch| {
                *own = without(own, &reset);
                own.merge(&patch);
            };
            self.with(id, move |live| live.change(|record| change(&mut record.strategy))).await?;
        } else {
            self.options.lock().set_strategy(&patch, &reset)?;
            self.options_changed().await?;
        }
        self.strategy_report(id).await
    }
}

/// The names of the switches that a patch has a value for.
fn named(patch: &StrategyPatch) -> Vec<String> {
    match serde_json::to_value(patch) {
        Ok(serde_json::Value::Object(fields)) => fields.into_iter().map(|(name, _)| name).collect(),
        _ => Vec::new(),
    }
}

/// A patch without the switches that are given back.
fn without(patch: &StrategyPatch, reset: &[String]) -> StrategyPatch {
    match serde_json::to_value(patch) {
        Ok(serde_json::Value::Object(mut fields)) => {
            fields.retain(|name, _| !reset.contains(name));
            serde_json::from_value(fields.into()).unwrap_or_default()
        }
        _ => StrategyPatch::default(),
    }
}
