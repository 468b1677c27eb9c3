//! A stranger's text, made safe to show.

/// `text` for a log or a table: no control characters, none that change the direction of the text or take no room, at most
/// `max` characters, trimmed. What is not UTF-8 comes out as U+FFFD.
pub fn printable(text: &[u8], max: usize) -> String {
    // A character has at most four bytes, so more than that need not be looked at.
    let text = String::from_utf8_lossy(text.get(..max.saturating_mul(4)).unwrap_or(text));
    let shown = text.chars().map(|c| if c == '\n' || c == '\t' { ' ' } else { c });
    let shown = shown.filter(|c| !c.is_control() && !invisible(*c));
    shown.take(max).collect::<String>().trim().to_owned()
}

/// Format characters, variation selectors and tags: they can hide or turn around what stands beside them.
const fn invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nothing_that_draws_comes_out() {
        assert_eq!(printable("a\u{1b}[31mb\u{202e}c\u{9b}1m\r\n".as_bytes(), 64), "a[31mbc1m");
        assert_eq!(printable(b"two\nlines", 64), "two lines");
        assert_eq!(printable("gr\u{fc}n".as_bytes(), 3), "gr\u{fc}");
        assert_eq!(printable(b"\xff", 9), "\u{fffd}");
    }
}
