//! The strategies' configuration: plain values that are stored, sent over the control API and given to the engine.
//!
//! What the values do is the engine's business (`engine::picker`, `engine::choke`). A [`StrategyPatch`] changes some of
//! them; a torrent has a patch over the session's [`Strategy`].

use serde::{Deserialize, Serialize};

/// Who is unchoked while we download.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "rpc", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Choking {
    /// The fastest uploaders to us, into a fixed number of slots (BEP 3).
    #[default]
    TitForTat,
    /// As many slots as upload capacity fills, the fastest uploaders to us first.
    RateBased,
    /// Everyone who is interested is unchoked.
    Off,
}

/// Who is unchoked while we seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "rpc", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SeedChoking {
    /// Each in turn, after it got its share.
    #[default]
    RoundRobin,
    /// Those who download fastest from us (the old rule of Legout et al.).
    FastestUpload,
    /// Those who have just begun or have nearly finished.
    AntiLeech,
    /// Those unchoked most recently keep their slot, and the one that has waited longest gets one at each third round
    /// (the new rule of Legout et al.).
    LongestWaiting,
}

/// Which piece is requested next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "rpc", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PieceOrder {
    /// The piece that the fewest connected peers have.
    #[default]
    RarestFirst,
    /// Any piece.
    Random,
    /// In order of index.
    Sequential,
}

/// When blocks may be asked of several peers to finish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "rpc", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Endgame {
    /// Never.
    Off,
    /// Once every missing block has been requested.
    #[default]
    AllRequested,
    /// Once fewer blocks are left unrequested than are in flight.
    LessLeftThanInFlight,
}

macro_rules! strategy {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $default:expr,)*) => {
        /// Every switch and number of the strategies. Intervals in seconds.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "rpc", derive(schemars::JsonSchema))]
        #[serde(default, deny_unknown_fields)]
        pub struct Strategy {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl Default for Strategy {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        /// A change of some strategies: what is absent stays.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "rpc", derive(schemars::JsonSchema))]
        #[serde(default, deny_unknown_fields)]
        pub struct StrategyPatch {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)*
        }

        impl StrategyPatch {
            /// The names of all switches and numbers, in order.
            pub const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];

            /// `base` with what this patch names put in place.
            pub fn over(&self, base: &Strategy) -> Strategy {
                Strategy { $($field: self.$field.unwrap_or(base.$field),)* }
            }

            /// Adds what `newer` names to this patch; `newer` wins.
            pub fn merge(&mut self, newer: &Self) {
                $(if newer.$field.is_some() { self.$field = newer.$field; })*
            }

            /// Whether nothing is named.
            pub fn is_empty(&self) -> bool {
                *self == Self::default()
            }
        }
    };
}

strategy! {
    /// Who is unchoked while we download.
    choking: Choking = Choking::TitForTat,
    /// Who is unchoked while we seed.
    seed_choking: SeedChoking = SeedChoking::RoundRobin,
    /// Regular upload slots of a torrent.
    upload_slots: u32 = 8,
    /// Seconds between rechokes.
    rechoke_interval: u32 = 10,
    /// Whether a choked peer is given a slot now and then, to find better partners.
    optimistic_unchoking: bool = true,
    /// How many optimistic slots there are, besides the regular ones.
    optimistic_slots: u32 = 1,
    /// Seconds that an optimistic unchoke lasts.
    optimistic_interval: u32 = 30,
    /// Whether a peer that stops sending loses its slot and most of its requests.
    anti_snubbing: bool = true,
    /// Seconds without a block, with requests outstanding, after which a peer counts as snubbing.
    snub_timeout: u32 = 60,
    /// Which piece is requested next.
    piece_order: PieceOrder = PieceOrder::RarestFirst,
    /// How many first pieces are picked at random, so that there is something to trade soon.
    random_first: u32 = 4,
    /// Whether the blocks of a started piece come before any other piece.
    strict_priority: bool = true,
    /// When blocks may be asked of several peers to finish.
    endgame: Endgame = Endgame::AllRequested,
    /// In endgame, how many peers at most are asked for one block.
    endgame_duplicates: u32 = 4,
    /// Redundant requests at any time: how many peers may be asked for one block; 1 is off.
    bbs_plus: u32 = 1,
    /// Whether a seed reveals its pieces one at a time (BEP 16).
    super_seeding: bool = false,
}

/// A strategy's number is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be {min} to {max}, not {got}")]
pub struct OutOfRange {
    /// The number's name.
    pub field: &'static str,
    /// The smallest value allowed.
    pub min: u32,
    /// The largest value allowed.
    pub max: u32,
    /// What was given.
    pub got: u32,
}

impl StrategyPatch {
    /// Checks every number that is named against its range. Nothing else can be wrong with a patch.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let ranges = [
            ("upload_slots", self.upload_slots, 1, 1_000),
            ("rechoke_interval", self.rechoke_interval, 1, 600),
            ("optimistic_slots", self.optimistic_slots, 1, 100),
            ("optimistic_interval", self.optimistic_interval, 1, 3_600),
            ("snub_timeout", self.snub_timeout, 1, 3_600),
            ("random_first", self.random_first, 0, 1_000),
            ("endgame_duplicates", self.endgame_duplicates, 1, 20),
            ("bbs_plus", self.bbs_plus, 1, 20),
        ];
        for (field, got, min, max) in ranges {
            if let Some(got) = got.filter(|got| !(min..=max).contains(got)) {
                return Err(OutOfRange { field, min, max, got });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_changes_only_what_it_names() {
        let patch = StrategyPatch { endgame: Some(Endgame::Off), ..Default::default() };
        let strategy = patch.over(&Strategy::default());
        assert_eq!(strategy, Strategy { endgame: Endgame::Off, ..Default::default() });
        assert!(StrategyPatch { bbs_plus: Some(0), ..Default::default() }.check().is_err());
    }
}
