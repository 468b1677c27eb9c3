//! In which order files go into a torrent. It is part of the info-hash, and programs differ.

use std::cmp::Ordering;

use super::{Like, PlannedFile};

/// Sorts files. `canonical` is the order of BEP 52, which the file tree forces on v2 torrents, and libtorrent on every torrent with padding.
pub(super) fn sort(files: &mut [PlannedFile], like: Like, canonical: bool) {
    match like {
        _ if canonical => files.sort_by(|a, b| a.path.cmp(&b.path)),
        Like::Ours | Like::Mktorrent => files.sort_by(|a, b| joined(a).cmp(joined(b))),
        Like::Transmission => files.sort_by(without_case),
        Like::Libtorrent => {}
    }
}

/// The path's bytes with slashes between the names.
fn joined(file: &PlannedFile) -> impl Iterator<Item = u8> + '_ {
    file.path
        .iter()
        .enumerate()
        .flat_map(|(i, name)| (i > 0).then_some(b'/').into_iter().chain(name.iter().copied()))
}

/// Transmission 3 compares with capital letters made small, and bytes as signed numbers, so that everything beyond ASCII comes first.
fn without_case(a: &PlannedFile, b: &PlannedFile) -> Ordering {
    let folded = |file| joined(file).map(|byte| byte.to_ascii_lowercase().cast_signed());
    folded(a).cmp(folded(b))
}
