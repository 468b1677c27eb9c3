//! Named strategies to compare.

use proto::strategy::{Strategy, StrategyPatch};

/// A strategy by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// What it changes.
    pub patch: StrategyPatch,
    /// Only those who have everything from the start play by it; the others by the defaults.
    pub sources_only: bool,
}

/// The strategies that have a name: what each changes, as TOML, and whether for the sources only.
pub const PRESETS: &[(&str, &str, bool)] = &[
    ("default", "", false),
    ("random", "piece_order = 'random'", false),
    ("sequential", "piece_order = 'sequential'", false),
    ("no-random-first", "random_first = 0", false),
    ("not-strict", "strict_priority = false", false),
    ("no-endgame", "endgame = 'off'", false),
    ("early-endgame", "endgame = 'less-left-than-in-flight'", false),
    ("bbs-plus", "bbs_plus = 2", false),
    ("slots-4", "upload_slots = 4", false),
    ("slots-16", "upload_slots = 16", false),
    ("rate-based", "choking = 'rate-based'", false),
    ("no-choking", "choking = 'off'", false),
    ("no-optimistic", "optimistic_unchoking = false", false),
    ("no-anti-snubbing", "anti_snubbing = false", false),
    ("seed-fastest", "seed_choking = 'fastest-upload'", false),
    ("seed-anti-leech", "seed_choking = 'anti-leech'", false),
    ("seed-longest-waiting", "seed_choking = 'longest-waiting'", false),
    ("super-seeding", "super_seeding = true", true),
];

/// There is no such strategy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no strategy \"{name}\" ({why}); `lab strategies` lists them, and \"name: key = value\" makes one"
)]
pub struct UnknownStrategy {
    /// What was asked for.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

impl Preset {
    /// The strategy of a name, or one made on the spot: `slots-2: upload_slots = 2`.
    ///
    /// # Errors
    /// If there is none of that name, or its values are wrong.
    pub fn parse(text: &str) -> Result<Self, UnknownStrategy> {
        let wrong = |why: String| UnknownStrategy { name: text.to_owned(), why };
        let (name, patch, sources_only) = match text.split_once(':') {
            Some((name, patch)) => (name.trim(), patch, false),
            None => PRESETS
                .iter()
                .find(|(name, ..)| *name == text.trim())
                .copied()
                .ok_or_else(|| wrong("unknown name".to_owned()))?,
        };
        let patch: StrategyPatch =
            toml::from_str(patch).map_err(|error| wrong(error.message().to_owned()))?;
        patch.check().map_err(|error| wrong(error.to_string()))?;
        Ok(Self { name: name.to_owned(), patch, sources_only })
    }

    /// What a peer plays by.
    pub fn of(&self, source: bool) -> Strategy {
        let applies = source || !self.sources_only;
        if applies { self.patch.over(&Strategy::default()) } else { Strategy::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_sound_and_differs_from_the_default() {
        for (name, ..) in PRESETS {
            let preset = Preset::parse(name).unwrap();
            assert_eq!(preset.of(true) == Strategy::default(), *name == "default", "{name}");
        }
        assert!(Preset::parse("folklore").is_err());
        assert_eq!(Preset::parse("two: upload_slots = 2").unwrap().of(false).upload_slots, 2);
        assert!(Preset::parse("none: upload_slots = 0").is_err());
    }
}
