//! A set of piece indices, stored as the wire has it: most significant bit first (BEP 3).

/// Which pieces someone has. The spare bits of the last byte are always zero, and the count is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitfield {
    bytes: Box<[u8]>,
    len: u32,
    count: u32,
}

/// A bitfield from the wire that does not fit its torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BitfieldError {
    /// The number of bytes is not the number of pieces divided by eight, rounded up.
    #[error("bitfield has {got} bytes, the torrent needs {want}")]
    Length {
        /// Bytes received.
        got: usize,
        /// Bytes expected.
        want: usize,
    },
    /// A bit past the last piece is set.
    #[error("bitfield has a bit set past the last piece")]
    Spare,
}

impl Bitfield {
    /// No pieces of `len`.
    pub fn none(len: u32) -> Self {
        Self { bytes: vec![0; bytes_for(len)].into(), len, count: 0 }
    }

    /// All pieces of `len`.
    pub fn all(len: u32) -> Self {
        let mut bytes = vec![0xff; bytes_for(len)];
        if let Some(last) = bytes.last_mut() {
            *last &= !spare_mask(len);
        }
        Self { bytes: bytes.into(), len, count: len }
    }

    /// A bitfield as received. Length and spare bits are checked.
    pub fn from_wire(bytes: &[u8], len: u32) -> Result<Self, BitfieldError> {
        let want = bytes_for(len);
        if bytes.len() != want {
            return Err(BitfieldError::Length { got: bytes.len(), want });
        }
        if bytes.last().is_some_and(|last| last & spare_mask(len) != 0) {
            return Err(BitfieldError::Spare);
        }
        let count = bytes.iter().map(|b| b.count_ones()).sum();
        Ok(Self { bytes: bytes.into(), len, count })
    }

    /// As the wire has it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many pieces the torrent has.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether the torrent has no pieces at all.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many pieces are in the set.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether every piece is in the set.
    pub const fn is_full(&self) -> bool {
        self.count == self.len
    }

    /// Whether a piece is in the set; false past the end.
    pub fn has(&self, piece: u32) -> bool {
        piece < self.len && self.bytes[(piece / 8) as usize] & bit(piece) != 0
    }

    /// Adds a piece; returns whether it was new. Past the end: nothing happens, false.
    pub fn set(&mut self, piece: u32) -> bool {
        let new = piece < self.len && !self.has(piece);
        if new {
            self.bytes[(piece / 8) as usize] |= bit(piece);
            self.count += 1;
        }
        new
    }

    /// Removes a piece; returns whether it was there.
    pub fn clear(&mut self, piece: u32) -> bool {
        let there = self.has(piece);
        if there {
            self.bytes[(piece / 8) as usize] &= !bit(piece);
            self.count -= 1;
        }
        there
    }

    /// The pieces in the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..)
            .zip(self.bytes.iter())
            .filter(|(_, byte)| **byte != 0)
            .flat_map(move |(at, byte)| (at * 8..(at * 8 + 8)).filter(move |piece| byte & bit(*piece) != 0))
    }
}

const fn bytes_for(len: u32) -> usize {
    len.div_ceil(8) as usize
}

const fn bit(piece: u32) -> u8 {
    0x80 >> (piece % 8)
}

/// The bits of the last byte that stand for no piece.
const fn spare_mask(len: u32) -> u8 {
    if len.is_multiple_of(8) { 0 } else { 0xff >> (len % 8) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_most_significant_first() {
        let mut have = Bitfield::none(10);
        assert!(have.set(0));
        assert!(have.set(9));
        assert!(!have.set(9));
        assert!(!have.set(10));
        assert_eq!(have.as_bytes(), [0b1000_0000, 0b0100_0000]);
        assert_eq!(have.iter().collect::<Vec<_>>(), [0, 9]);
        assert_eq!(have.count(), 2);
        assert!(have.clear(0));
        assert_eq!(have.count(), 1);
    }

    #[test]
    fn a_full_set_has_no_spare_bits() {
        assert_eq!(Bitfield::all(10).as_bytes(), [0xff, 0b1100_0000]);
        assert!(Bitfield::from_wire(Bitfield::all(10).as_bytes(), 10).unwrap().is_full());
        assert_eq!(Bitfield::from_wire(&[0xff, 0xff], 10), Err(BitfieldError::Spare));
        assert_eq!(Bitfield::from_wire(&[0xff], 10), Err(BitfieldError::Length { got: 1, want: 2 }));
        assert!(Bitfield::from_wire(&[], 0).unwrap().is_full());
    }
}
