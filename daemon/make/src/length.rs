//! Piece lengths: reading them from text, checking them, choosing them.

use proto::layout::BLOCK;

use crate::error::Error;

/// Shortest piece in bytes: one block, the least that BEP 52 allows.
pub const MIN_PIECE_LENGTH: u32 = BLOCK;

/// Longest piece in bytes, as far as our own reader goes.
pub const MAX_PIECE_LENGTH: u32 = proto::metainfo::MAX_PIECE_LENGTH;

/// Numbers up to this are powers of two, as mktorrent takes them; a piece of so few bytes is not allowed anyway.
const MAX_EXPONENT: u64 = 28;

/// A chosen piece length gives at most about this many pieces: 40 KB of hashes, and bitfields of 256 bytes.
const COMFORTABLE_PIECES: u64 = 2048;

/// Longer pieces than this are not chosen by themselves, for a piece can be passed on only when whole.
const COMFORTABLE_LENGTH: u32 = 16 << 20;

/// Most pieces in a torrent: with them the file stays within the 64 MiB that our own reader takes, hybrids too.
const MAX_PIECES: u64 = 1 << 20;

/// Reads a piece length: bytes (`262144`), with a unit (`256KiB`, `4M`; all are powers of 1024), or an exponent of two (`18`), and
/// checks that it can be used.
pub fn parse_piece_length(text: &str) -> Result<u32, Error> {
    let wrong = || Error::PieceLengthText(text.to_owned());
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" if number <= MAX_EXPONENT => return check(1 << number),
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        _ => return Err(wrong()),
    };
    check(number.checked_shl(shift).filter(|bytes| bytes >> shift == number).ok_or_else(wrong)?)
}

fn check(bytes: u64) -> Result<u32, Error> {
    if !bytes.is_power_of_two() {
        return Err(Error::PieceLengthPower(bytes));
    }
    u32::try_from(bytes)
        .ok()
        .filter(|length| (MIN_PIECE_LENGTH..=MAX_PIECE_LENGTH).contains(length))
        .ok_or(Error::PieceLengthRange(bytes))
}

/// The length given, if it can be used for `total` bytes, or else one that suits: about a thousand to two thousand pieces, none shorter
/// than 16 KiB, and longer than 16 MiB only where there would be too many.
pub(crate) fn settle(given: Option<u32>, total: u64) -> Result<u32, Error> {
    let length = match given {
        Some(given) => check(u64::from(given))?,
        None => choose_piece_length(total),
    };
    let pieces = total.div_ceil(u64::from(length));
    if pieces > MAX_PIECES {
        return Err(Error::TooManyPieces { pieces, piece_length: length });
    }
    Ok(length)
}

/// The piece length that suits `total` bytes.
pub fn choose_piece_length(total: u64) -> u32 {
    let mut length = MIN_PIECE_LENGTH;
    let pieces = |length: u32| total.div_ceil(u64::from(length));
    while length < COMFORTABLE_LENGTH && pieces(length) > COMFORTABLE_PIECES {
        length *= 2;
    }
    while length < MAX_PIECE_LENGTH && pieces(length) > MAX_PIECES {
        length *= 2;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_in_every_form() {
        for text in ["18", "262144", "256KiB", "256k", "256 KB", " 256K "] {
            assert_eq!(parse_piece_length(text).unwrap(), 1 << 18, "{text}");
        }
        assert_eq!(parse_piece_length("4MiB").unwrap(), 4 << 20);
        assert_eq!(parse_piece_length("14").unwrap(), MIN_PIECE_LENGTH);
        assert_eq!(parse_piece_length("28").unwrap(), MAX_PIECE_LENGTH);
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        assert!(matches!(parse_piece_length("lots"), Err(Error::PieceLengthText(_))));
        assert!(matches!(parse_piece_length("-1"), Err(Error::PieceLengthText(_))));
        assert!(matches!(parse_piece_length("5TiB"), Err(Error::PieceLengthText(_))));
        assert!(matches!(parse_piece_length("99999999999999999999"), Err(Error::PieceLengthText(_))));
        assert!(matches!(parse_piece_length("18446744073709551615k"), Err(Error::PieceLengthText(_))));
        assert!(matches!(parse_piece_length("100000"), Err(Error::PieceLengthPower(100_000))));
        assert!(matches!(parse_piece_length("13"), Err(Error::PieceLengthRange(8192))));
        assert!(matches!(parse_piece_length("512MiB"), Err(Error::PieceLengthRange(_))));
        assert!(matches!(parse_piece_length("0"), Err(Error::PieceLengthRange(1))));
    }

    #[test]
    fn choices_grow_with_the_data() {
        assert_eq!(choose_piece_length(1), MIN_PIECE_LENGTH);
        assert_eq!(choose_piece_length(700 << 20), 512 << 10);
        assert_eq!(choose_piece_length(4 << 30), 2 << 20);
        assert_eq!(choose_piece_length(1 << 40), 16 << 20);
        for exponent in 0..55 {
            let total = (1u64 << exponent) + 1;
            let length = choose_piece_length(total);
            let pieces = total.div_ceil(u64::from(length));
            assert!(length.is_power_of_two() && (pieces <= MAX_PIECES || length == MAX_PIECE_LENGTH));
        }
    }

    #[test]
    fn a_length_that_gives_too_many_pieces_is_refused() {
        assert!(matches!(settle(Some(16 << 10), 1 << 40), Err(Error::TooManyPieces { .. })));
        assert_eq!(settle(None, 1 << 40).unwrap(), 16 << 20);
    }
}
