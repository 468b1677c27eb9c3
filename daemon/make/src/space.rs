//! The bytes of a torrent as one row: files one after the other, perhaps with zeros between them, cut into pieces.

use std::ops::Range;

/// A stretch of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Where it starts in the row.
    pub(crate) start: u64,
    /// Bytes; may be 0 for a file.
    pub(crate) length: u64,
    /// Which file it is; `None` for padding, which is zeros.
    pub(crate) file: Option<usize>,
}

impl Stretch {
    pub(crate) fn end(&self) -> u64 {
        self.start + self.length
    }
}

/// Files and padding, and the length of a piece.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    pub(crate) stretches: Vec<Stretch>,
    pub(crate) piece_length: u32,
}

impl Space {
    /// The row of files of these lengths; with `align`, every file is followed by padding up to a whole piece, the last too, as libtorrent has it.
    /// A lone file has none: a single-file torrent could not have it.
    pub(crate) fn new(lengths: impl ExactSizeIterator<Item = u64>, piece_length: u32, align: bool) -> Self {
        let pad = align && lengths.len() > 1;
        let mut space = Self { stretches: Vec::with_capacity(lengths.len()), piece_length };
        for (file, length) in lengths.enumerate() {
            space.push(length, Some(file));
            let beyond = space.total() % u64::from(piece_length);
            if pad && beyond > 0 {
                space.push(u64::from(piece_length) - beyond, None);
            }
        }
        space
    }

    pub(crate) fn push(&mut self, length: u64, file: Option<usize>) {
        self.stretches.push(Stretch { start: self.total(), length, file });
    }

    /// Bytes in the row.
    pub(crate) fn total(&self) -> u64 {
        self.stretches.last().map_or(0, Stretch::end)
    }

    /// How many pieces the row has.
    pub(crate) fn pieces(&self) -> usize {
        self.total().div_ceil(u64::from(self.piece_length)) as usize
    }

    /// The bytes of a piece that exists, as offsets within the row.
    pub(crate) fn piece(&self, piece: usize) -> Range<u64> {
        let start = piece as u64 * u64::from(self.piece_length);
        start..self.total().min(start + u64::from(self.piece_length))
    }

    /// Index of the stretch that holds the byte at `offset`. It is never an empty one.
    pub(crate) fn stretch_at(&self, offset: u64) -> usize {
        self.stretches.partition_point(|stretch| stretch.end() <= offset)
    }

    /// How many bytes from `offset` on belong to the file that is there.
    pub(crate) fn rest_of_file(&self, offset: u64) -> u64 {
        match self.stretches.get(self.stretch_at(offset)) {
            Some(stretch) if stretch.file.is_some() => stretch.end() - offset,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_alignment_files_share_pieces() {
        let space = Space::new([10, 0, 7].into_iter(), 8, false);
        assert_eq!((space.total(), space.pieces()), (17, 3));
        assert_eq!(space.piece(2), 16..17);
        assert_eq!(space.stretch_at(9), 0);
        assert_eq!(space.stretch_at(10), 2);
    }

    #[test]
    fn with_alignment_every_file_starts_a_piece() {
        let space = Space::new([10, 0, 8, 3].into_iter(), 8, true);
        let starts: Vec<_> = space.stretches.iter().map(|s| (s.start, s.length, s.file)).collect();
        assert_eq!(
            starts,
            [
                (0, 10, Some(0)),
                (10, 6, None),
                (16, 0, Some(1)),
                (16, 8, Some(2)),
                (24, 3, Some(3)),
                (27, 5, None)
            ]
        );
        assert_eq!(space.rest_of_file(8), 2);
        assert_eq!(space.rest_of_file(10), 0);
        assert_eq!(space.rest_of_file(16), 8);
        assert_eq!(Space::new([10].into_iter(), 8, true).total(), 10);
    }
}
