//! Aligned columns, fitted to the terminal.

use super::{
    Output, Style,
    text::{clean, elide, pad, width},
};

/// Spaces between columns.
const GAP: usize = 2;
/// A column that may shrink keeps this much.
const MIN_SHRUNK: usize = 20;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    head: &'static str,
    right: bool,
    shrinks: bool,
    /// When the terminal is too narrow, the column with the highest number goes first; 0 stays.
    spare: u8,
}

impl Column {
    /// Text, aligned left.
    pub(crate) const fn left(head: &'static str) -> Self {
        Self { head, right: false, shrinks: false, spare: 0 }
    }

    /// A number, aligned right.
    pub(crate) const fn right(head: &'static str) -> Self {
        Self { head, right: true, shrinks: false, spare: 0 }
    }

    /// May be left out on a narrow terminal.
    pub(crate) const fn spare(mut self, order: u8) -> Self {
        self.spare = order;
        self
    }

    /// Its text may be cut to fit.
    pub(crate) const fn shrinks(mut self) -> Self {
        self.shrinks = true;
        self
    }
}

/// What stands in a row and a column.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Text in a style.
    pub(crate) fn new(style: Style, text: impl AsRef<str>) -> Self {
        Self { text: clean(text.as_ref()).into_owned(), style }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(Style::Plain, text)
    }
}

/// Rows under a heading. A row may have a note, which stands under it on a terminal and behind it in a pipe, where a
/// line is a row.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    /// Notes by row, in order.
    notes: Vec<(usize, Cell)>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new(), notes: Vec::new() }
    }

    /// Adds a row; it has a cell for each column.
    pub(crate) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        let cells = cells.into();
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// Adds a note to the last row.
    pub(crate) fn note(&mut self, style: Style, text: &str) {
        self.notes.push((self.rows.len().saturating_sub(1), Cell::new(style, text)));
    }

    /// The table as text, for this output.
    pub(crate) fn render(&self, out: &Output) -> String {
        let mut widths = self.natural_widths();
        let shown = self.fit(&mut widths, out.width());
        let mut text = String::new();
        let head: Vec<Cell> = self.columns.iter().map(|column| Cell::new(Style::Dim, column.head)).collect();
        self.line(&head, &widths, &shown, out, &mut text);
        let mut notes = self.notes.iter().peekable();
        for (at, row) in self.rows.iter().enumerate() {
            self.line(row, &widths, &shown, out, &mut text);
            while let Some((_, note)) = notes.next_if(|(of, _)| *of == at) {
                append(note, out, &mut text);
            }
        }
        text
    }

    fn natural_widths(&self) -> Vec<usize> {
        let column = |(at, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(at));
            cells.map(|cell| width(&cell.text)).fold(width(column.head), usize::max)
        };
        self.columns.iter().enumerate().map(column).collect()
    }

    /// Chooses the columns that fit and shrinks those that may.
    fn fit(&self, widths: &mut [usize], limit: Option<usize>) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let Some(limit) = limit else { return shown };
        let least = |shown: &[usize], widths: &[usize]| -> usize {
            let width = |&at: &usize| {
                if self.columns[at].shrinks { widths[at].min(MIN_SHRUNK) } else { widths[at] }
            };
            shown.iter().map(width).sum::<usize>() + GAP * shown.len().saturating_sub(1)
        };
        while least(&shown, widths) > limit {
            let spare = |&at: &usize| self.columns[at].spare;
            match shown.iter().copied().filter(|at| spare(at) > 0).max_by_key(spare) {
                Some(goes) => shown.retain(|&at| at != goes),
                None => break,
            }
        }
        for &at in shown.iter().filter(|&&at| self.columns[at].shrinks) {
            let total = shown.iter().map(|&at| widths[at]).sum::<usize>() + GAP * (shown.len() - 1);
            let floor = widths[at].min(MIN_SHRUNK);
            widths[at] = widths[at].saturating_sub(total.saturating_sub(limit)).max(floor);
        }
        shown
    }

    fn line(&self, row: &[Cell], widths: &[usize], shown: &[usize], out: &Output, text: &mut String) {
        let mut line = String::new();
        for (place, &at) in shown.iter().enumerate() {
            let (column, cell, columns) = (self.columns[at], &row[at], widths[at]);
            let content = elide(&cell.text, columns);
            let spaces = " ".repeat(columns.saturating_sub(width(&content)));
            if column.right {
                line.push_str(&spaces);
            }
            line.push_str(&out.paint(cell.style, &content));
            if place + 1 < shown.len() {
                if !column.right {
                    line.push_str(&spaces);
                }
                line.push_str(&" ".repeat(GAP));
            }
        }
        text.push_str(line.trim_end_matches(' '));
        text.push('\n');
    }
}

/// Puts a note to the line that `text` ends with.
fn append(note: &Cell, out: &Output, text: &mut String) {
    match out.width() {
        Some(columns) => {
            let indent = " ".repeat(GAP);
            let content = elide(&note.text, columns.saturating_sub(2 * GAP));
            text.push_str(&format!("{indent}└ {}\n", out.paint(note.style, &content)));
        }
        None => {
            text.pop();
            text.push_str(&format!(" ({})\n", note.text));
        }
    }
}

/// Names and values, one pair a line.
#[derive(Debug, Default)]
pub(crate) struct Pairs(Vec<(&'static str, String)>);

impl Pairs {
    /// Adds a line.
    pub(crate) fn add(&mut self, name: &'static str, value: impl AsRef<str>) {
        self.0.push((name, clean(value.as_ref()).into_owned()));
    }

    /// Adds a line if there is a value.
    pub(crate) fn maybe(&mut self, name: &'static str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// The lines, values aligned.
    pub(crate) fn render(&self, out: &Output) -> String {
        let columns = self.0.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
        let line = |(name, value): &(&str, String)| {
            format!("{}{}{value}\n", out.paint(Style::Dim, &pad(name, columns)), " ".repeat(GAP))
        };
        self.0.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
            Column::left("ID"),
            Column::right("SIZE"),
            Column::right("RATIO").spare(1),
            Column::left("NAME").shrinks(),
        ]);
        table.row(["aaaaaaaa".into(), "1.5G".into(), "0.7".into(), "debian-12.0.0-amd64-netinst.iso".into()]);
        table.row(["bb".into(), "7".into(), "12.5".into(), "日本語.mkv".into()]);
        table
    }

    fn fitted(limit: Option<usize>) -> (Vec<usize>, Vec<usize>) {
        let table = table();
        let mut widths = table.natural_widths();
        let shown = table.fit(&mut widths, limit);
        (shown, widths)
    }

    #[test]
    fn a_pipe_gets_everything_aligned_without_trailing_spaces() {
        let out = Output::new(false, super::super::Color::Never);
        let plain = Output { terminal: false, ..out };
        let mut table = table();
        table.note(Style::Red, "no space left");
        assert_eq!(
            table.render(&plain),
            "ID        SIZE  RATIO  NAME\n\
             aaaaaaaa  1.5G    0.7  debian-12.0.0-amd64-netinst.iso\n\
             bb           7   12.5  日本語.mkv (no space left)\n"
        );
    }

    #[test]
    fn a_narrow_terminal_shortens_names_then_drops_columns() {
        assert_eq!(fitted(None), (vec![0, 1, 2, 3], vec![8, 4, 5, 31]));
        assert_eq!(fitted(Some(80)).1, [8, 4, 5, 31]);
        assert_eq!(fitted(Some(50)), (vec![0, 1, 2, 3], vec![8, 4, 5, 27]));
        assert_eq!(fitted(Some(40)), (vec![0, 1, 3], vec![8, 4, 5, 24]));
        assert_eq!(fitted(Some(10)), (vec![0, 1, 3], vec![8, 4, 5, 20]));
    }
}
