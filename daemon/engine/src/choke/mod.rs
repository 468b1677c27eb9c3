//! Who may download from us: a pure policy over a plain table.

use serde::{Deserialize, Serialize};

/// Why a peer is choked or unchoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Reason {
    /// No round has looked at it yet.
    #[default]
    Undecided,
}
