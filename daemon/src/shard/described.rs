//! What a torrent consists of, by both versions.

use crate::storage::Promise;
use proto::{
    merkle::HashTrees,
    metainfo::{Info, Metainfo, MetainfoError, v2::PieceLayers},
};
use std::sync::Arc;

/// A torrent's metainfo, ready for use. Making it reads the whole of it: not for a shard's thread.
#[derive(Clone)]
pub(crate) struct Described {
    pub(crate) info: Arc<Info>,
    /// The hash trees of its version 2 side, if it has one that agrees with version 1.
    pub(crate) trees: Option<Arc<HashTrees>>,
}

impl Described {
    /// From an `info` dictionary and the layers known so far.
    pub(crate) fn new(info: Info, layers: &PieceLayers) -> Result<Self, MetainfoError> {
        let trees = HashTrees::of(&info, layers)?.map(Arc::new);
        Ok(Self { info: Arc::new(info), trees })
    }

    /// From the bytes of a .torrent file.
    pub(crate) fn read(bytes: &[u8]) -> Result<(Self, Metainfo), MetainfoError> {
        let metainfo = Metainfo::parse_any(bytes)?;
        let described = match metainfo
            .piece_layers()
            .and_then(|layers| Self::new(metainfo.info.clone(), &layers))
        {
            // Version 1 gets along without them.
            Err(_) if !metainfo.info.is_v2_only() => Self::new(metainfo.info.clone(), &PieceLayers::new()),
            read => read,
        }?;
        Ok((described, metainfo))
    }

    /// What the pieces must hash to. Version 1 where there is one: its hashes cover the same bytes, and are there from the start.
    pub(super) fn promise(&self) -> Promise {
        match &self.trees {
            Some(trees) if self.info.is_v2_only() => Promise::Trees(Arc::clone(trees)),
            _ => Promise::Pieces(self.info.piece_hashes().clone()),
        }
    }

    /// Whether some pieces cannot be verified for want of a layer.
    pub(crate) fn lacks_layers(&self) -> bool {
        self.info.is_v2_only() && self.trees.as_ref().is_none_or(|trees| trees.missing().next().is_some())
    }
}
