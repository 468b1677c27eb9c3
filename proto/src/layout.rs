//! How a torrent's bytes divide into pieces and blocks.

use std::{ops::Range, sync::Arc};

/// The unit of transfer: every client asks for 16 KiB at a time, and most refuse more (BEP 3).
pub const BLOCK: u32 = 16 * 1024;

/// A range within a piece: what a `request` names and a `piece` message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// The piece's index.
    pub piece: u32,
    /// Offset within the piece in bytes.
    pub begin: u32,
    /// Length in bytes.
    pub len: u32,
}

/// Piece length and total length: the arithmetic of a torrent. At least one piece unless the total is zero.
///
/// A piece that ends in padding (BEP 47), or in the gap behind a file of version 2 (BEP 52), is *short*: its blocks end where the padding
/// begins, since everybody knows those zeros. Its span, which is what version 1 hashes, goes on to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    piece_length: u32,
    total: u64,
    pieces: u32,
    /// Pieces that end in padding, ascending, each with the bytes before it.
    short: Option<Arc<[(u32, u32)]>>,
}

impl Layout {
    /// A layout, or `None` if the piece length is zero or the pieces are more than a `u32` can count.
    pub fn new(piece_length: u32, total: u64) -> Option<Self> {
        if piece_length == 0 {
            return None;
        }
        let pieces = u32::try_from(total.div_ceil(u64::from(piece_length))).ok()?;
        Some(Self { piece_length, total, pieces, short: None })
    }

    /// The layout with padding in these ranges (offsets within the whole, ascending); the last may lie behind it. A range that reaches from
    /// within a piece to its end makes the piece short; one at the start of a piece changes nothing, so that no piece is ever empty.
    #[must_use]
    pub fn with_padding(mut self, padding: impl IntoIterator<Item = Range<u64>>) -> Self {
        let length = u64::from(self.piece_length);
        let mut short: Vec<(u32, u32)> = Vec::new();
        for range in padding {
            let piece = u32::try_from(range.start / length).unwrap_or(u32::MAX);
            let begin = u32::try_from(range.start % length).unwrap_or(0);
            let reaches = range.end >= self.piece_start(piece) + u64::from(self.piece_span(piece));
            let ascends = short.last().is_none_or(|(last, _)| *last < piece);
            if begin > 0 && begin <= self.piece_span(piece) && reaches && ascends {
                short.push((piece, begin));
            }
        }
        self.short = (!short.is_empty()).then(|| short.into());
        self
    }

    /// The length of every piece but perhaps the last, in bytes.
    pub const fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// The length of everything in bytes.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The length of everything but the padding in bytes.
    pub fn payload(&self) -> u64 {
        let padding = |(piece, len): &(u32, u32)| u64::from(self.piece_span(*piece) - len);
        self.total - self.short.iter().flat_map(|short| short.iter()).map(padding).sum::<u64>()
    }

    /// How many pieces there are.
    pub const fn pieces(&self) -> u32 {
        self.pieces
    }

    /// The length of one piece in bytes without padding at its end; 0 if there is no such piece.
    pub fn piece_len(&self, piece: u32) -> u32 {
        self.short_len(piece).unwrap_or_else(|| self.piece_span(piece))
    }

    /// The length without padding of a piece that has some.
    fn short_len(&self, piece: u32) -> Option<u32> {
        let short = self.short.as_ref()?;
        let at = short.binary_search_by_key(&piece, |(piece, _)| *piece).ok()?;
        short.get(at).map(|(_, len)| *len)
    }

    /// The length of one piece in bytes with padding at its end; 0 if there is no such piece.
    pub fn piece_span(&self, piece: u32) -> u32 {
        let start = self.piece_start(piece);
        u32::try_from(self.total.saturating_sub(start).min(u64::from(self.piece_length))).unwrap_or(0)
    }

    /// Where a piece starts within the whole, in bytes.
    pub const fn piece_start(&self, piece: u32) -> u64 {
        piece as u64 * self.piece_length as u64
    }

    /// How many blocks of 16 KiB a piece has; its last may be shorter.
    pub fn blocks_in(&self, piece: u32) -> u32 {
        self.piece_len(piece).div_ceil(BLOCK)
    }

    /// The `index`-th block of a piece. The caller keeps to `index < blocks_in(piece)`.
    pub fn block(&self, piece: u32, index: u32) -> Block {
        let begin = index * BLOCK;
        Block { piece, begin, len: self.piece_len(piece).saturating_sub(begin).min(BLOCK) }
    }

    /// Whether a range lies wholly inside an existing piece and is not empty. In a piece that ends in padding it may reach to where a whole
    /// piece would end: libtorrent asks for that.
    pub fn contains(&self, block: Block) -> bool {
        let padded = self.short_len(block.piece).is_some();
        let end = if padded { self.piece_length } else { self.piece_span(block.piece) };
        block.piece < self.pieces
            && block.len > 0
            && u64::from(block.begin) + u64::from(block.len) <= u64::from(end)
    }

    /// Whether this is one of the 16 KiB blocks that we ask for.
    pub fn is_block(&self, block: Block) -> bool {
        block.begin.is_multiple_of(BLOCK)
            && self.contains(block)
            && block == self.block(block.piece, block.begin / BLOCK)
    }

    /// The pieces that hold any byte of `bytes` (offsets within the whole).
    pub fn pieces_of(&self, bytes: Range<u64>) -> Range<u32> {
        if bytes.start >= bytes.end || bytes.start >= self.total {
            return 0..0;
        }
        let length = u64::from(self.piece_length);
        let last = (bytes.end.min(self.total) - 1) / length;
        let index = |piece: u64| u32::try_from(piece).unwrap_or(u32::MAX);
        index(bytes.start / length)..index(last) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_piece_and_block_are_shorter() {
        let layout = Layout::new(40_000, 100_001).unwrap();
        assert_eq!(layout.pieces(), 3);
        assert_eq!(layout.piece_len(2), 20_001);
        assert_eq!(layout.blocks_in(0), 3);
        assert_eq!(layout.block(0, 2), Block { piece: 0, begin: 32_768, len: 7_232 });
        assert_eq!(layout.block(2, 1), Block { piece: 2, begin: 16_384, len: 3_617 });
        assert_eq!(layout.piece_len(3), 0);
    }

    #[test]
    fn ranges_outside_a_piece_are_not_contained() {
        let layout = Layout::new(BLOCK * 2, u64::from(BLOCK) * 3).unwrap();
        assert!(layout.contains(Block { piece: 1, begin: 0, len: BLOCK }));
        assert!(!layout.contains(Block { piece: 1, begin: 1, len: BLOCK }));
        assert!(!layout.contains(Block { piece: 2, begin: 0, len: 1 }));
        assert!(!layout.contains(Block { piece: 0, begin: u32::MAX, len: u32::MAX }));
        assert!(!layout.contains(Block { piece: 0, begin: 0, len: 0 }));
    }

    #[test]
    fn pieces_end_where_padding_begins() {
        let (block, start) = (u64::from(BLOCK), u64::from(BLOCK) * 4);
        let padding = [
            // To the end of piece 0; the whole of piece 1; not to the end of piece 2; behind the end of the last.
            block * 2 + 5..start,
            start..start * 2,
            start * 2 + 1..start * 2 + 2,
            start * 3 + 7..start * 4,
        ];
        let layout = Layout::new(BLOCK * 4, start * 3 + 7).unwrap().with_padding(padding);
        let lengths: Vec<_> = (0..5).map(|piece| layout.piece_len(piece)).collect();
        assert_eq!(lengths, [BLOCK * 2 + 5, BLOCK * 4, BLOCK * 4, 7, 0]);
        assert_eq!(layout.piece_span(0), BLOCK * 4);
        assert_eq!(layout.payload(), lengths.iter().map(|len| u64::from(*len)).sum::<u64>());
        assert_eq!((layout.blocks_in(0), layout.block(0, 2).len), (3, 5));
        // We ask for what is there; others may ask for the padding too.
        assert!(!layout.is_block(Block { piece: 0, begin: BLOCK * 2, len: BLOCK }));
        assert!(layout.contains(Block { piece: 0, begin: BLOCK * 2, len: BLOCK }));
        assert!(layout.contains(Block { piece: 3, begin: 0, len: BLOCK }));
        assert!(!layout.contains(Block { piece: 3, begin: BLOCK * 4, len: 1 }));
        assert!(!layout.contains(Block { piece: 4, begin: 0, len: 1 }));
    }

    #[test]
    fn byte_ranges_map_to_pieces() {
        let layout = Layout::new(10, 95).unwrap();
        assert_eq!(layout.pieces_of(0..10), 0..1);
        assert_eq!(layout.pieces_of(9..11), 0..2);
        assert_eq!(layout.pieces_of(90..95), 9..10);
        assert_eq!(layout.pieces_of(5..5), 0..0);
        assert_eq!(layout.pieces_of(90..1000), 9..10);
    }
}
