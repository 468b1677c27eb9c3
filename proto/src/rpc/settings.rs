//! The session's settings: one set of names for btd's flags (with dashes), environment (`BTD_…`), `btd.toml` and the
//! control API.

use crate::size::Size;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

/// Whether connections to peers are encrypted (MSE).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// Never; encrypted peers are refused.
    Off,
    /// Ours are plain; encrypted peers are accepted.
    #[default]
    Allow,
    /// Tried first, plain if that fails.
    Prefer,
    /// Always; plain peers are refused.
    Require,
}

impl Encryption {
    /// Every choice.
    pub const ALL: [Self; 4] = [Self::Off, Self::Allow, Self::Prefer, Self::Require];

    /// The name in flags, files and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
        }
    }
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Encryption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || format!("“{text}” is not one of off, allow, prefer, require");
        Self::ALL.into_iter().find(|choice| choice.name() == text).ok_or_else(known)
    }
}

macro_rules! settings {
    ($($(#[$meta:meta])* $field:ident: $type:ty = $default:expr, $when:ident;)*) => {
        /// Every setting, with a value.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct Settings {
            $($(#[$meta])* pub $field: $type,)*
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        /// Some settings: what is absent stays.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct SettingsPatch {
            $($(#[$meta])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)*
        }

        impl SettingsPatch {
            /// Puts what this patch names into `settings` and tells the names of those that got another value.
            pub fn apply(&self, settings: &mut Settings) -> Vec<&'static str> {
                let mut changed = Vec::new();
                $(if let Some(value) = &self.$field && *value != settings.$field {
                    settings.$field.clone_from(value);
                    changed.push(stringify!($field));
                })*
                changed
            }

            /// Adds what `newer` names to this patch; `newer` wins.
            pub fn merge(&mut self, newer: &Self) {
                $(if newer.$field.is_some() { self.$field.clone_from(&newer.$field); })*
            }

            /// The names of the settings that it has a value for.
            pub fn names(&self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(if self.$field.is_some() { names.push(stringify!($field)); })*
                names
            }
        }

        impl Settings {
            /// The names of all settings, in order.
            pub const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];

            /// Whether a change of this setting applies at once; else when btd starts again. None: no such setting.
            pub fn is_live(name: &str) -> Option<bool> {
                match name { $(stringify!($field) => Some(settings!(@live $when)),)* _ => None }
            }
        }
    };
    (@live live) => { true };
    (@live start) => { false };
}

settings! {
    /// Port for peers, TCP and UDP. 0 picks a free one.
    // The port that BitTorrent began with; every client and guide knows it.
    port: u16 = 6881, start;
    /// Addresses to listen on and to connect from; empty is all.
    #[schemars(with = "Vec<String>")]
    bind: Vec<IpAddr> = Vec::new(), start;
    /// Address and port of the control API and the page.
    // Loopback: nobody from outside is invited until someone says so.
    #[schemars(with = "String")]
    rpc: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 6880)), start;
    /// Folder for downloads that are given no other; empty is the user's download folder.
    download_dir: String = String::new(), live;
    /// Level of the log: `error`, `warn`, `info`, `debug`, `trace`, or directives of tracing.
    log: String = "info".to_owned(), live;

    /// Whether the DHT is used.
    // Off until a person asks for it with `--dht`: it tells strangers what we share.
    dht: bool = false, start;
    /// UDP port of the DHT; 0 is `port`.
    dht_port: u16 = 0, start;
    /// Nodes by which the DHT is entered when none are known, as `host:port`.
    // Run by different people, so that one going away does not matter.
    dht_bootstrap: Vec<String> = [
        "router.bittorrent.com:6881",
        "dht.transmissionbt.com:6881",
        "dht.libtorrent.org:25401",
        "router.utorrent.com:6881",
    ]
    .map(str::to_owned)
    .to_vec(), start;
    /// Whether peers are reached and accepted over TCP.
    tcp: bool = true, start;
    /// Whether peers are reached and accepted over uTP (BEP 29).
    utp: bool = true, start;
    /// Whether connections to peers are encrypted.
    encryption: Encryption = Encryption::Allow, live;
    /// Whether peers are exchanged with peers (BEP 11).
    pex: bool = true, live;
    /// Whether peers are looked for on the local network (BEP 14).
    lsd: bool = true, live;
    /// Whether the router is asked to forward the port.
    port_mapping: bool = true, live;
    /// File of address ranges that are never connected (P2P plaintext, DAT or CIDR lines, also gzip); empty is none.
    ip_filter: String = String::new(), live;
    /// Address that trackers are told instead of the one they see; null to say nothing.
    #[schemars(with = "Option<String>")]
    announce_ip: Option<IpAddr> = None, live;
    /// Port that trackers, the DHT and peers are told instead of `port`; 0 is `port`.
    announce_port: u16 = 0, live;

    /// Peers connected in all.
    // Half the usual soft limit of 1024 descriptors goes to sockets; btd raises that limit where it can.
    max_connections: u32 = 500, live;
    /// Peers connected to one torrent.
    // Beyond some fifty peers more of them bring no speed; room for one popular torrent, not for all of the session.
    max_connections_per_torrent: u32 = 100, live;
    /// Connections being made at one time.
    // Home routers lose state entries when many are opened at once.
    half_open: u32 = 50, live;
    /// Regular upload slots of a torrent.
    upload_slots: u32 = 8, live;
    /// Bytes per second that may come in; 0 is no limit.
    download_limit: Size = Size(0), live;
    /// Bytes per second that may go out; 0 is no limit.
    upload_limit: Size = Size(0), live;

    /// Torrents that download at one time; 0 is no limit. The others are queued.
    // Fewer at once finish sooner each; eight keep a fast line busy when some of them are slow.
    active_downloads: u32 = 8, live;
    /// Torrents that seed at one time; 0 is no limit.
    // An idle seed costs next to nothing.
    active_seeds: u32 = 0, live;
    /// Share ratio at which seeding ends; 0 is never.
    seed_ratio_limit: f64 = 0.0, live;
    /// Seconds of seeding after which it ends; 0 is never.
    seed_time_limit: u64 = 0, live;

    /// Whether files get their full size on disk when a download starts; else they are sparse.
    preallocate: bool = false, live;
    /// Whether a piece counts as here only after its bytes are synced to the device (fsync), against power loss.
    // The system writes within seconds by itself, and a check after a crash finds what was lost.
    sync_writes: bool = false, live;
    /// Bytes of block buffers for all torrents.
    // 16 MiB keep some 60 fast peers busy and leave half of the memory aim to everything else.
    cache: Size = Size(16 << 20), start;
    /// Files kept open at one time.
    // With 500 sockets this stays inside the usual 1024 descriptors.
    open_files: u32 = 256, live;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_changes_what_it_names_and_tells_what_differs() {
        let patch: SettingsPatch =
            serde_json::from_str(r#"{"download_limit": "5MiB", "port": 6881, "encryption": "require"}"#)
                .unwrap();
        assert_eq!(patch.names(), ["port", "encryption", "download_limit"]);
        let mut settings = Settings::default();
        assert_eq!(patch.apply(&mut settings), ["encryption", "download_limit"]);
        assert_eq!(settings.download_limit, Size(5 << 20));
        assert!(patch.apply(&mut settings).is_empty());
        assert_eq!(Settings::is_live("download_limit"), Some(true));
        assert_eq!(Settings::is_live("port"), Some(false));
        assert_eq!(Settings::is_live("colour"), None);
        assert!(serde_json::from_str::<SettingsPatch>(r#"{"colour": 1}"#).is_err());
    }

    #[test]
    fn settings_survive_json() {
        let json = serde_json::to_value(Settings::default()).unwrap();
        assert_eq!(json.as_object().unwrap().len(), Settings::FIELDS.len());
        assert_eq!(serde_json::from_value::<Settings>(json).unwrap(), Settings::default());
    }
}
