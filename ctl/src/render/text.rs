//! Text of strangers made safe, measured and cut for a terminal.

use std::borrow::Cow;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The text without what would move a terminal's cursor, change its colours or turn its writing direction: names of
/// torrents, files and clients come from strangers.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains(harmful) { text.replace(harmful, "\u{fffd}").into() } else { text.into() }
}

fn harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Columns that the text takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text in at most `columns`, with an ellipsis in the middle, where file names differ least. The end gets a little
/// more than the beginning is worth: it has the suffix.
pub(crate) fn elide(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return text.into();
    }
    let room = columns.saturating_sub(1);
    let tail_room = room * 2 / 5;
    let head = take(text.chars(), room - tail_room);
    let mut tail: Vec<char> = take(text.chars().rev(), tail_room).chars().collect();
    tail.reverse();
    format!("{head}…{}", tail.into_iter().collect::<String>()).into()
}

/// The first characters that fit into `columns`.
fn take(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= columns
        })
        .collect()
}

/// The text with spaces on its right up to `columns`.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_commands_are_taken_out() {
        assert_eq!(clean("linux.iso"), "linux.iso");
        assert_eq!(clean("a\x1b[2Jb\n\u{202e}c\u{9b}1m"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\u{fffd}1m");
    }

    #[test]
    fn long_names_are_cut_in_the_middle() {
        assert_eq!(elide("short.iso", 9), "short.iso");
        assert_eq!(elide("debian-12.0.0-amd64-netinst.iso", 16), "debian-12…st.iso");
        assert_eq!(elide("日本語のとても長い名前.mkv", 12), "日本語….mkv");
        for columns in 1..40 {
            assert!(width(&elide("日本語 and some more latin 文字 here", columns)) <= columns);
        }
    }
}
