//! Changing what is outside the info dictionary, so that the info-hash stays.

use proto::metainfo::Metainfo;

use crate::error::Error;
use crate::url::{check_tracker, check_web_seed};

/// Changes to a torrent file. What is `None` or empty stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Replaces all trackers; an empty list removes them.
    pub trackers: Option<Vec<Vec<String>>>,
    /// Further trackers, each tier after those there are. One that is there already is not added again.
    pub add_trackers: Vec<Vec<String>>,
    /// Trackers to take out.
    pub remove_trackers: Vec<String>,
    /// Replaces all web seeds; an empty list removes them.
    pub web_seeds: Option<Vec<String>>,
    /// Replaces the comment; an empty text removes it.
    pub comment: Option<String>,
    /// Replaces the name of the program that made the torrent; an empty text removes it.
    pub created_by: Option<String>,
}

/// The torrent file with the changes made. Everything else in it, known or not, stays as it came, byte for byte.
pub fn edit(torrent: &[u8], changes: &Edit) -> Result<Vec<u8>, Error> {
    let new_trackers =
        changes.trackers.iter().flatten().flatten().chain(changes.add_trackers.iter().flatten());
    new_trackers.into_iter().try_for_each(|url| check_tracker(url))?;
    changes.web_seeds.iter().flatten().try_for_each(|url| check_web_seed(url))?;
    let mut metainfo = Metainfo::parse_any(torrent)?;
    let outer = &mut metainfo.outer;
    if let Some(trackers) = &changes.trackers {
        outer.trackers.clone_from(trackers);
    }
    for tier in &mut outer.trackers {
        tier.retain(|url| !changes.remove_trackers.contains(url));
    }
    outer.trackers.retain(|tier| !tier.is_empty());
    for tier in &changes.add_trackers {
        let known: Vec<&String> = outer.trackers.iter().flatten().collect();
        let fresh: Vec<String> = tier.iter().filter(|url| !known.contains(url)).cloned().collect();
        if !fresh.is_empty() {
            outer.trackers.push(fresh);
        }
    }
    if let Some(web_seeds) = &changes.web_seeds {
        outer.web_seeds.clone_from(web_seeds);
    }
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    if let Some(comment) = &changes.comment {
        outer.comment = text(comment);
    }
    if let Some(created_by) = &changes.created_by {
        outer.created_by = text(created_by);
    }
    Ok(metainfo.to_bytes())
}
