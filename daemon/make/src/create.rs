//! From a plan and some wishes to a torrent.

use proto::id::InfoHash;
use proto::magnet::Magnet;

use crate::control::Control;
use crate::error::Error;
use crate::length;
use crate::merkle::{self, LEAF, Node};
use crate::pieces::{Hashes, OnFault, Source, Wanted, hash_pieces};
use crate::plan::{Like, Plan, PlannedFile, Stamp};
use crate::space::Space;
use crate::url::{check_tracker, check_web_seed};
use crate::write::{self, Content};

/// Which versions of the protocol the torrent is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// BEP 3: every client reads it.
    #[default]
    V1,
    /// BEP 52 alone: clients of before 2020 and many of today do not read it.
    V2,
    /// Both in one file; files are aligned to pieces by padding, which clients without BEP 47 show as files.
    Hybrid,
}

impl Format {
    pub(crate) fn has_v1(self) -> bool {
        self != Self::V2
    }

    pub(crate) fn has_v2(self) -> bool {
        self != Self::V1
    }
}

/// What goes into the torrent beside the files.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// v1, v2 or both.
    pub format: Format,
    /// Piece length in bytes, a power of two of at least 16 KiB; absent: [`choose_piece_length`](crate::choose_piece_length).
    pub piece_length: Option<u32>,
    /// For v1: let every file start at a piece, by padding (BEP 47). v2 and hybrid torrents are always so.
    pub align: bool,
    /// The torrent's name; absent: the input's.
    pub name: Option<String>,
    /// Trackers in tiers (BEP 12).
    pub trackers: Vec<Vec<String>>,
    /// Web seeds (BEP 19).
    pub web_seeds: Vec<String>,
    /// A remark.
    pub comment: Option<String>,
    /// The program that made it.
    pub created_by: Option<String>,
    /// Unix seconds.
    pub creation_date: Option<i64>,
    /// Peers are to come from the trackers only (BEP 27).
    pub private: bool,
    /// A mark that makes the info-hash differ from other trackers' copies.
    pub source: Option<String>,
}

/// A new torrent, not on disk yet.
#[derive(Clone, Debug)]
pub struct Made {
    /// The torrent file.
    pub bytes: Vec<u8>,
    /// Its v1 name; absent for v2 alone.
    pub info_hash: Option<InfoHash>,
    /// Its v2 name, for v2 and hybrid.
    pub v2_hash: Option<[u8; 32]>,
    /// A link with the names, the trackers and the web seeds.
    pub magnet: Magnet,
    /// The torrent's name for people.
    pub name: String,
    /// Bytes of a piece.
    pub piece_length: u32,
    /// How many pieces.
    pub pieces: usize,
    /// Bytes of all files, padding excluded.
    pub total: u64,
    /// How many files, padding excluded.
    pub files: usize,
}

/// Reads the files of a plan and makes their torrent.
pub fn make(mut plan: Plan, options: &Options, control: &Control) -> Result<Made, Error> {
    check(options)?;
    let name = options.name.as_ref().map_or_else(|| plan.name.clone(), |name| name.clone().into_bytes());
    let piece_length = length::settle(options.piece_length, plan.total)?;
    plan.order_for(options.format, options.align);
    let align = options.align || options.format.has_v2();
    let space = Space::new(plan.files.iter().map(|file| file.length), piece_length, align);
    // Padding adds to the pieces.
    length::settle(Some(piece_length), space.total())?;
    let sources: Vec<Source<'_>> = plan
        .files
        .iter()
        .map(|file| Source { path: &file.disk, stamp: Some(file.stamp), absent: false })
        .collect();
    let wanted = Wanted { sha1: options.format.has_v1(), leaves: options.format.has_v2() };
    let hashes = hash_pieces(&space, &sources, wanted, &OnFault::Stop, control)?;
    let pieces: Vec<Hashes> = hashes.into_iter().flatten().collect();
    if pieces.len() != space.pieces() || control.is_cancelled() {
        return Err(Error::Cancelled);
    }
    check_empty_files(&plan.files)?;
    let trees = if options.format.has_v2() { trees(&space, plan.files.len(), &pieces) } else { Vec::new() };
    let content =
        Content { plan: &plan, space: &space, name: &name, pieces: &pieces, trees: &trees, options };
    let made = finish(&content)?;
    write::cross_check(&made, &content)?;
    Ok(made)
}

fn check(options: &Options) -> Result<(), Error> {
    options.trackers.iter().flatten().try_for_each(|url| check_tracker(url))?;
    options.web_seeds.iter().try_for_each(|url| check_web_seed(url))?;
    match &options.name {
        Some(name) if matches!(name.as_str(), "" | "." | "..") || name.contains(['/', '\0']) => {
            Err(Error::Name(name.clone()))
        }
        _ => Ok(()),
    }
}

/// Files that are read are looked at again when they are closed; empty ones are not even opened.
fn check_empty_files(files: &[PlannedFile]) -> Result<(), Error> {
    for file in files.iter().filter(|file| file.length == 0) {
        let metadata = std::fs::metadata(&file.disk).map_err(Error::read(&file.disk))?;
        if Stamp::of(&metadata) != file.stamp {
            return Err(Error::Changed(file.disk.clone()));
        }
    }
    Ok(())
}

/// The hash tree of one file.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// `pieces root`; absent for an empty file.
    pub(crate) root: Option<Node>,
    /// The roots of its pieces, if it is longer than a piece: its entry in `piece layers`.
    pub(crate) layer: Vec<Node>,
}

/// The trees of all files, from the leaves of the pieces. The files start at pieces.
fn trees(space: &Space, files: usize, pieces: &[Hashes]) -> Vec<Tree> {
    let width = space.piece_length as usize / LEAF;
    let mut trees = vec![Tree { root: None, layer: Vec::new() }; files];
    for stretch in &space.stretches {
        let Some(file) = stretch.file else { continue };
        let first = (stretch.start / u64::from(space.piece_length)) as usize;
        let count = stretch.length.div_ceil(u64::from(space.piece_length)) as usize;
        trees[file] = match &pieces[first..first + count] {
            [] => continue,
            [piece] => Tree { root: Some(small_root(&piece.leaves)), layer: Vec::new() },
            several => {
                let layer: Vec<Node> =
                    several.iter().map(|piece| merkle::root(&piece.leaves, width)).collect();
                Tree { root: Some(merkle::root_of_pieces(&layer, width)), layer }
            }
        };
    }
    trees
}

/// A file of one piece has a tree just high enough for its blocks.
fn small_root(leaves: &[Node]) -> Node {
    merkle::root(leaves, leaves.len().next_power_of_two())
}

fn finish(content: &Content<'_>) -> Result<Made, Error> {
    let options = content.options;
    let info = content.info();
    let info_hash = options.format.has_v1().then(|| InfoHash(hash::sha1_many(&[&info])[0]));
    let v2_hash = options.format.has_v2().then(|| hash::sha256_many(&[&info])[0]);
    let name = proto::text::printable(content.name, usize::MAX);
    let magnet = Magnet {
        info_hash,
        v2_hash,
        name: Some(name.clone()),
        trackers: options.trackers.concat(),
        web_seeds: options.web_seeds.clone(),
        ..Magnet::default()
    };
    Ok(Made {
        bytes: content.torrent(&info),
        info_hash,
        v2_hash,
        magnet,
        name,
        piece_length: content.space.piece_length,
        pieces: content.space.pieces(),
        total: content.plan.total,
        files: content.plan.files.len(),
    })
}

impl Content<'_> {
    /// Whether files that may be executed are marked so (BEP 47). v1 torrents of other programs than libtorrent have no such mark.
    pub(crate) fn marks_executables(&self) -> bool {
        self.options.format.has_v2() || self.plan.like == Like::Libtorrent
    }

    /// Whether `private` is written when it is 0.
    pub(crate) fn writes_public(&self) -> bool {
        self.plan.like == Like::Transmission
    }
}
