//! The torrent's bytes.

use lava_torrent::torrent::v1::Torrent;
use proto::bencode::{Dict, Encoder};

use crate::create::{Made, Options, Tree};
use crate::error::Error;
use crate::pieces::Hashes;
use crate::plan::{Plan, PlannedFile};
use crate::space::Space;

/// Everything that a torrent is written from.
pub(crate) struct Content<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) space: &'a Space,
    pub(crate) name: &'a [u8],
    pub(crate) pieces: &'a [Hashes],
    /// For v2: one for each file.
    pub(crate) trees: &'a [Tree],
    pub(crate) options: &'a Options,
}

impl Content<'_> {
    /// The `info` dictionary.
    pub(crate) fn info(&self) -> Vec<u8> {
        let format = self.options.format;
        let mut encoder = Encoder::new();
        encoder.dict(|info| {
            if format.has_v1() && self.plan.single && self.executable(&self.plan.files[0]) {
                info.bytes(b"attr", b"x");
            }
            if format.has_v2() {
                info.dict(b"file tree", |tree| self.file_tree(tree));
            }
            if format.has_v1() {
                self.files(info);
            }
            if format.has_v2() {
                info.int(b"meta version", 2);
            }
            info.bytes(b"name", self.name);
            info.int(b"piece length", i64::from(self.space.piece_length));
            if format.has_v1() {
                let pieces: Vec<u8> = self.pieces.iter().flat_map(|piece| piece.sha1).collect();
                info.bytes(b"pieces", &pieces);
            }
            if self.options.private || self.writes_public() {
                info.int(b"private", i64::from(self.options.private));
            }
            if let Some(source) = &self.options.source {
                info.bytes(b"source", source.as_bytes());
            }
        });
        encoder.finish()
    }

    /// `length` or `files` (BEP 3).
    fn files(&self, info: &mut Dict<'_>) {
        if self.plan.single {
            info.int(b"length", self.plan.total.cast_signed());
            return;
        }
        info.list(b"files", |list| {
            for stretch in &self.space.stretches {
                list.dict(|entry| match stretch.file.map(|file| &self.plan.files[file]) {
                    Some(file) => {
                        if self.executable(file) {
                            entry.bytes(b"attr", b"x");
                        }
                        entry.int(b"length", stretch.length.cast_signed());
                        entry.list(b"path", |path| file.path.iter().for_each(|name| path.bytes(name)));
                    }
                    None => {
                        entry.bytes(b"attr", b"p");
                        entry.int(b"length", stretch.length.cast_signed());
                        entry.list(b"path", |path| {
                            path.bytes(b".pad");
                            path.bytes(stretch.length.to_string().as_bytes());
                        });
                    }
                });
            }
        });
    }

    /// `file tree` (BEP 52). The files are in the order of its keys.
    fn file_tree(&self, tree: &mut Dict<'_>) {
        if self.plan.single {
            tree.dict(self.name, |node| self.leaf(node, 0));
        } else {
            self.folder(tree, 0, 0..self.plan.files.len());
        }
    }

    /// The files of one folder, which is `depth` names deep. As deep as the walk goes, which is bounded.
    fn folder(&self, tree: &mut Dict<'_>, depth: usize, files: std::ops::Range<usize>) {
        let mut first = files.start;
        while first < files.end {
            let path = &self.plan.files[first].path;
            let name = &path[depth];
            let same = self.plan.files[first..files.end].iter().take_while(|file| file.path[depth] == *name);
            let end = first + same.count();
            tree.dict(name, |node| {
                if path.len() == depth + 1 {
                    self.leaf(node, first);
                } else {
                    self.folder(node, depth + 1, first..end);
                }
            });
            first = end;
        }
    }

    fn leaf(&self, node: &mut Dict<'_>, file: usize) {
        let planned = &self.plan.files[file];
        node.dict(b"", |entry| {
            if self.executable(planned) {
                entry.bytes(b"attr", b"x");
            }
            entry.int(b"length", planned.length.cast_signed());
            if let Some(root) = &self.trees[file].root {
                entry.bytes(b"pieces root", root);
            }
        });
    }

    fn executable(&self, file: &PlannedFile) -> bool {
        file.executable && self.marks_executables()
    }

    /// The whole file around `info`.
    pub(crate) fn torrent(&self, info: &[u8]) -> Vec<u8> {
        let options = self.options;
        let mut urls = options.trackers.iter().flatten();
        let mut encoder = Encoder::new();
        encoder.dict(|torrent| {
            if let Some(first) = urls.next() {
                torrent.bytes(b"announce", first.as_bytes());
            }
            if urls.next().is_some() {
                torrent.list(b"announce-list", |tiers| {
                    for tier in options.trackers.iter().filter(|tier| !tier.is_empty()) {
                        tiers.list(|urls| tier.iter().for_each(|url| urls.bytes(url.as_bytes())));
                    }
                });
            }
            if let Some(comment) = &options.comment {
                torrent.bytes(b"comment", comment.as_bytes());
            }
            if let Some(program) = &options.created_by {
                torrent.bytes(b"created by", program.as_bytes());
            }
            if let Some(date) = options.creation_date {
                torrent.int(b"creation date", date);
            }
            torrent.raw(b"info", info);
            if options.format.has_v2() {
                torrent.dict(b"piece layers", |layers| self.piece_layers(layers));
            }
            if !options.web_seeds.is_empty() {
                torrent.list(b"url-list", |urls| {
                    options.web_seeds.iter().for_each(|url| urls.bytes(url.as_bytes()))
                });
            }
        });
        encoder.finish()
    }

    /// `piece layers` (BEP 52): for each file longer than a piece the roots of its pieces, by the file's root.
    fn piece_layers(&self, layers: &mut Dict<'_>) {
        let mut trees: Vec<_> = self.trees.iter().filter(|tree| !tree.layer.is_empty()).collect();
        // Files with the same content share an entry.
        trees.sort_by_key(|tree| tree.root);
        trees.dedup_by_key(|tree| tree.root);
        for tree in trees {
            layers.bytes(&tree.root.unwrap_or_default(), tree.layer.as_flattened());
        }
    }
}

/// Torrents with more files than this are not read back: the other reader takes longer for their lists than we for the files.
const MOST_CROSS_CHECKED: usize = 4096;

/// Reads the new torrent back by an implementation that shares no code with ours. It knows v1, and not names beyond UTF-8.
pub(crate) fn cross_check(made: &Made, content: &Content<'_>) -> Result<(), Error> {
    let names = content.plan.files.iter().flat_map(|file| &file.path).map(Vec::as_slice);
    let readable = names.chain([content.name]).all(|name| str::from_utf8(name).is_ok());
    let Some(info_hash) =
        made.info_hash.filter(|_| readable && content.space.stretches.len() <= MOST_CROSS_CHECKED)
    else {
        return Ok(());
    };
    let read = Torrent::read_from_bytes(&made.bytes).map_err(|error| Error::CrossCheck(error.to_string()))?;
    let differs = |what: &str| Err(Error::CrossCheck(format!("another reader sees another {what}")));
    if read.info_hash_bytes() != info_hash.0 {
        return differs("info-hash");
    }
    if read.length.cast_unsigned() != content.space.total() {
        return differs("length");
    }
    if read.pieces.len() != content.space.pieces() {
        return differs("number of pieces");
    }
    Ok(())
}
