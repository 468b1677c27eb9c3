//! A block of lines that is drawn over itself, for progress. The terminal is left as it was found.

use super::Output;
use std::io::{self, Write};

/// Cells of a bar are drawn in eighths.
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// A bar of `columns` that is full to `share`.
pub(crate) fn bar(share: f64, columns: usize) -> String {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let filled = (share * (columns * 8) as f64).floor() as usize;
    let mut text = "█".repeat(filled / 8);
    if filled / 8 < columns {
        text.push(EIGHTHS[filled % 8]);
        text.push_str(&" ".repeat(columns - filled / 8 - 1));
    }
    text
}

/// Lines of a terminal that are rewritten in place. Dropping it shows the cursor again, below the last lines drawn.
#[derive(Debug)]
pub(crate) struct Live<'a> {
    out: &'a Output,
    drawn: usize,
}

impl<'a> Live<'a> {
    /// An empty block at the cursor.
    pub(crate) fn new(out: &'a Output) -> io::Result<Self> {
        write("\x1b[?25l")?;
        Ok(Self { out, drawn: 0 })
    }

    /// How many lines may be drawn: one more would scroll the first away, and it could not be reached again.
    pub(crate) fn room(&self) -> usize {
        self.out.height().saturating_sub(1).max(1)
    }

    /// Draws these lines over the last ones. Each must fit the width.
    pub(crate) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let mut text = String::from("\r");
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A", self.drawn));
        }
        for line in lines {
            text.push_str(line);
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        self.drawn = lines.len();
        write(&text)
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs no cursor.
        let _ = write("\x1b[?25h");
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::{super::text::width, *};

    #[test]
    fn bars_have_their_width_always() {
        for columns in [1, 10, 33] {
            for share in [-1.0, 0.0, 0.001, 0.5, 0.999, 1.0, 7.0, f64::NAN] {
                assert_eq!(width(&bar(share, columns)), columns, "{share}");
            }
        }
        assert_eq!(bar(0.5, 4), "██  ");
        assert_eq!(bar(0.0, 2), "  ");
        assert_eq!(bar(1.0, 2), "██");
        assert_eq!(bar(0.3125, 4), "█▎  ");
    }
}
