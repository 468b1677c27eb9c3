//! Who is in a swarm: read from a small TOML file.

use proto::layout::Layout;
use serde::Deserialize;

/// A swarm and how long to watch it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, for tables and files.
    pub name: String,
    /// What it shows, in a sentence.
    pub about: String,
    /// Pieces of the torrent.
    pub pieces: u32,
    /// KiB of each piece.
    pub piece_kib: u32,
    /// Seconds after which everyone must have finished.
    pub limit: u32,
    /// Seconds after which every fault is healed: who lied, stalled or came and went is an honest peer that stays.
    #[serde(default)]
    pub heal_at: Option<u32>,
    /// Connections of a peer at most.
    #[serde(default = "forty")]
    pub connections: u32,
    /// Peers that the tracker names at a time.
    #[serde(default = "forty")]
    pub tracker: u32,
    /// The kinds of peers.
    pub peers: Vec<Class>,
}

/// Peers of one kind.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// How many there are.
    pub count: u32,
    /// Upload in KiB per second.
    pub up: u32,
    /// Download in KiB per second.
    pub down: u32,
    /// One way to the core of the network, in milliseconds.
    #[serde(default = "thirty")]
    pub delay_ms: u64,
    /// When the first comes, in seconds.
    #[serde(default)]
    pub first: f64,
    /// Over how many seconds they come, spread at random; 0 is all at once.
    #[serde(default)]
    pub over: f64,
    /// The share of pieces that each has at first, 0 to 1.
    #[serde(default)]
    pub have: f64,
    /// With this, each has a share at random between 0 and `have`.
    #[serde(default)]
    pub have_spread: bool,
    /// Seconds that it stays after it has everything, on average; absent is for ever.
    #[serde(default)]
    pub linger: Option<f64>,
    /// Seconds that it stays at a time before it has everything, on average; absent is until it is done.
    #[serde(default)]
    pub session: Option<f64>,
    /// Seconds between its sessions, on average.
    #[serde(default = "minute")]
    pub away: f64,
    /// It never unchokes anyone.
    #[serde(default)]
    pub free_rider: bool,
    /// It unchokes like others and stops sending after so many seconds.
    #[serde(default)]
    pub snubs_after: Option<f64>,
    /// The share of its blocks that are bad, 0 to 1.
    #[serde(default)]
    pub corrupt: f64,
    /// Milliseconds that its disk takes to begin to read, and to write a piece.
    #[serde(default = "five")]
    pub disk_ms: u64,
}

fn forty() -> u32 {
    40
}

fn thirty() -> u64 {
    30
}

fn five() -> u64 {
    5
}

fn minute() -> f64 {
    60.0
}

impl Class {
    /// Whether it is the source of the torrent: it has everything from the start and stays.
    pub fn is_source(&self) -> bool {
        self.have >= 1.0 && !self.have_spread
    }
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let scenario: Self = toml::from_str(text)?;
        anyhow::ensure!(scenario.layout().is_some_and(|it| it.pieces() > 0), "a torrent has pieces");
        anyhow::ensure!(scenario.peers.iter().any(Class::is_source), "nobody has everything: `have = 1.0`");
        anyhow::ensure!(scenario.peers.iter().all(|class| class.down > 0), "everyone can receive");
        Ok(scenario)
    }

    /// How the bytes divide.
    pub fn layout(&self) -> Option<Layout> {
        let piece = self.piece_kib.checked_mul(1024)?;
        Layout::new(piece, u64::from(piece) * u64::from(self.pieces))
    }
}
