//! The parameters of every method: one flat struct each. What is optional may be left out or null.

use super::torrent::{Priorities, State};
use crate::{id::InfoHash, size::Size, strategy::StrategyPatch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

use super::{Ids, SettingsPatch};

/// Declares structs of parameters: none takes unknown names, and optional ones are left out when absent.
macro_rules! params {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
            #[serde(deny_unknown_fields)]
            pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
        )*
    };
}

/// No parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

params! {
    /// One torrent.
    Id {
        /// Its info-hash.
        id: InfoHash,
    }

    /// Some torrents.
    Many {
        /// Which ones.
        ids: Ids,
    }

    /// `torrent.remove`.
    Remove {
        /// Which ones.
        ids: Ids,
        /// Whether the files go too. Files that are not the torrent's stay.
        #[serde(default)] delete_data: bool,
    }

    /// `torrent.move`.
    Move {
        /// Which ones.
        ids: Ids,
        /// The folder to move the data to, on the daemon's host.
        save_path: String,
    }

    /// `torrent.add_peers`.
    AddPeers {
        /// The torrent.
        id: InfoHash,
        /// Addresses to try.
        #[schemars(with = "Vec<String>")] peers: Vec<SocketAddr>,
    }

    /// `torrent.ban_peer`.
    BanPeer {
        /// The torrent.
        id: InfoHash,
        /// The peer's address; any port of it is banned.
        #[schemars(with = "String")] peer: std::net::IpAddr,
    }

    /// `torrent.add_trackers`.
    AddTrackers {
        /// The torrent.
        id: InfoHash,
        /// Announce URLs by tier; they are added behind those that are there.
        trackers: Vec<Vec<String>>,
    }

    /// One job.
    JobId {
        /// Its number.
        job: u64,
    }
}

/// `torrent.add`: one of `source` and `metainfo`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Add {
    /// A magnet link, an http(s) URL of a .torrent file, or a path of one on the daemon's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// A .torrent file, base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metainfo: Option<String>,
    /// The folder for its data, absolute, on the daemon's host; else the session's `download_dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save_path: Option<String>,
    /// Whether it waits for `torrent.resume`.
    pub paused: bool,
    /// Indices of the files that are wanted; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<u32>>,
    /// Whether pieces are fetched in order.
    pub sequential: bool,
    /// Labels to give it.
    pub labels: Vec<String>,
    /// Peers to try at once.
    #[schemars(with = "Vec<String>")]
    pub peers: Vec<SocketAddr>,
    /// Whether the data is taken as complete without a check. A piece that proves wrong later is found when it is read.
    pub assume_complete: bool,
}

/// Which torrents a list has: those that match all that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// In this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// With this label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// With a tracker on this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracker: Option<String>,
    /// With this text in the name, in any case, or at the start of the info-hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// `torrent.list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct List {
    /// Only what changed after this revision. One that the daemon no longer knows, or 0, gives everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Only these fields of each torrent, besides `id`; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<String>>,
    /// Only those that match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// How many to leave out at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// How many to give at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// A number of a torrent's own, or the word `"session"` to follow the session's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OrSession<T> {
    /// Its own.
    Own(T),
    /// The session's.
    Session(SessionWord),
}

/// The word `"session"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SessionWord {
    /// The word.
    #[serde(rename = "session")]
    Session,
}

impl<T> OrSession<T> {
    /// Follow the session.
    pub const SESSION: Self = Self::Session(SessionWord::Session);

    /// The torrent's own value, if it has one.
    pub fn own(self) -> Option<T> {
        match self {
            Self::Own(value) => Some(value),
            Self::Session(_) => None,
        }
    }
}

/// `torrent.set`: what is absent stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// Which torrents.
    pub ids: Ids,
    /// Priorities by file index: `{"0": "high", "3": "skip"}`.
    #[serde(default, skip_serializing_if = "Priorities::is_empty")]
    pub priorities: Priorities,
    /// Bytes per second each may receive; 0 is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_limit: Option<Size>,
    /// Bytes per second each may send; 0 is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_limit: Option<Size>,
    /// Whether pieces are fetched in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequential: Option<bool>,
    /// The labels, instead of those it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// The place in the queue, 0 first; several torrents go there in the order of `ids`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<u32>,
    /// Share ratio at which seeding ends; 0 is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_ratio_limit: Option<OrSession<f64>>,
    /// Seconds of seeding after which it ends; 0 is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_time_limit: Option<OrSession<u64>>,
}

impl Set {
    /// A change of nothing.
    pub fn new(ids: Ids) -> Self {
        Self {
            ids,
            priorities: Priorities::new(),
            download_limit: None,
            upload_limit: None,
            sequential: None,
            labels: None,
            queue_position: None,
            seed_ratio_limit: None,
            seed_time_limit: None,
        }
    }
}

/// Which versions of the protocol a new torrent is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CreateFormat {
    /// BEP 3, which every client reads.
    #[default]
    V1,
    /// BEP 52 alone.
    V2,
    /// Both in one.
    Hybrid,
}

/// `torrent.create`: makes a metainfo file of what is on the daemon's host, as a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Create {
    /// The file or folder, absolute.
    pub path: String,
    /// Where the .torrent goes; absent: beside `path`. An existing file is not replaced, unless `force` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub torrent_path: Option<String>,
    /// Whether an existing file at `torrent_path` is replaced.
    pub force: bool,
    /// v1, v2 or both.
    pub format: CreateFormat,
    /// Whether padding lets every file of a v1 torrent start at a piece (BEP 47).
    pub align: bool,
    /// Patterns of names and of paths within `path` to leave out.
    pub exclude: Vec<String>,
    /// Whether names that start with a dot go in.
    pub include_hidden: bool,
    /// Whether what symbolic links lead to goes in.
    pub follow_symlinks: bool,
    /// The program that is named as the maker; absent: btd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// The torrent's name; absent: the last component of `path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Bytes of a piece, a power of two; absent: by size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub piece_length: Option<Size>,
    /// Announce URLs by tier.
    pub trackers: Vec<Vec<String>>,
    /// Web seeds (BEP 19).
    pub web_seeds: Vec<String>,
    /// A comment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// A source tag, which makes the info-hash a tracker's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Whether only its own trackers may be used (BEP 27).
    pub private: bool,
    /// Whether the creation date is left out.
    pub no_date: bool,
    /// Whether the torrent is added and seeded when it is made.
    pub seed: bool,
}

/// `strategy.get`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StrategyGet {
    /// A torrent; absent: the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<InfoHash>,
}

/// `strategy.set`: the switches and numbers to change stand beside `id`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StrategySet {
    /// A torrent; absent: the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<InfoHash>,
    /// Names of switches to give back to the session (of a torrent) or to the default (of the session).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reset: Vec<String>,
    /// What to change.
    #[serde(flatten)]
    pub patch: StrategyPatch,
}

/// `session.set`: any settings by name; what is absent stays.
pub type SessionSet = SettingsPatch;

/// `dht.lookup`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DhtLookup {
    /// The info-hash whose peers to look for.
    pub target: InfoHash,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::Endgame;

    #[test]
    fn a_strategy_change_is_flat_and_refuses_what_it_does_not_know() {
        let set: StrategySet = serde_json::from_str(r#"{"endgame": "off", "bbs_plus": 2}"#).unwrap();
        assert_eq!((set.id, set.patch.endgame, set.patch.bbs_plus), (None, Some(Endgame::Off), Some(2)));
        let set: StrategySet =
            serde_json::from_str(&format!(r#"{{"id": "{}", "upload_slots": 4}}"#, "0f".repeat(20))).unwrap();
        assert_eq!((set.id, set.patch.upload_slots), (Some(InfoHash([15; 20])), Some(4)));
        for wrong in [r#"{"endgames": "off"}"#, r#"{"endgame": "perhaps"}"#, r#"{"bbs_plus": -1}"#] {
            assert!(serde_json::from_str::<StrategySet>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_share_limit_is_a_number_or_follows_the_session() {
        let set: Set = serde_json::from_str(
            r#"{"ids": "all", "seed_ratio_limit": 2, "seed_time_limit": "session", "priorities": {"3": "skip"}, "download_limit": "1MiB"}"#,
        )
        .unwrap();
        assert_eq!(set.seed_ratio_limit, Some(OrSession::Own(2.0)));
        assert_eq!(set.seed_time_limit, Some(OrSession::SESSION));
        assert_eq!(set.download_limit, Some(Size(1 << 20)));
        assert_eq!(set.priorities.len(), 1);
        assert!(serde_json::from_str::<Set>(r#"{"ids": "all", "seed_ratio_limit": "never"}"#).is_err());
    }
}
