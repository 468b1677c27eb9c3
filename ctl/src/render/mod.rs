//! Text for people, or one JSON document for programs.

pub(crate) mod format;
pub(crate) mod live;
pub(crate) mod table;
pub(crate) mod text;

pub(crate) use text::clean;

use crate::exit::Failure;
use clap::ValueEnum;
use serde::Serialize;
use std::{
    env,
    io::{self, IsTerminal, Write},
};

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Style {
    /// As it is.
    #[default]
    Plain,
    /// Less important.
    Dim,
    /// Good.
    Green,
    /// At work.
    Cyan,
    /// To be looked at.
    Yellow,
    /// Wrong.
    Red,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "2",
            Self::Green => "32",
            Self::Cyan => "36",
            Self::Yellow => "33",
            Self::Red => "31",
        }
    }
}

/// Columns assumed for a terminal that does not tell its width.
const USUAL_WIDTH: usize = 80;
/// Below this no table makes sense; lines wrap instead.
const MIN_WIDTH: usize = 40;

/// Where results go, and how they look there.
#[derive(Debug)]
pub(crate) struct Output {
    /// One JSON document instead of text.
    pub(crate) json: bool,
    /// Whether standard output is a terminal.
    pub(crate) terminal: bool,
    color: bool,
    color_errors: bool,
}

impl Output {
    pub(crate) fn new(json: bool, color: Color) -> Self {
        let wanted = |terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                terminal
                    && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        };
        let terminal = io::stdout().is_terminal();
        Self { json, terminal, color: wanted(terminal), color_errors: wanted(io::stderr().is_terminal()) }
    }

    /// Columns of the terminal, now; `None` where lines may be as long as they like.
    pub(crate) fn width(&self) -> Option<usize> {
        if !self.terminal {
            return None;
        }
        let told = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let measured = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        Some(told.or_else(measured).unwrap_or(USUAL_WIDTH).max(MIN_WIDTH))
    }

    /// Lines of the terminal.
    pub(crate) fn height(&self) -> usize {
        terminal_size::terminal_size().map_or(24, |(_, height)| usize::from(height.0))
    }

    /// `text` in this style, where there are colours.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        paint(self.color, style, text)
    }

    /// Writes text to standard output.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        self.write(text.as_bytes())
    }

    /// Writes bytes to standard output.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()?;
        Ok(())
    }

    /// Writes the one JSON document of this run.
    pub(crate) fn document(&self, value: &impl Serialize) -> Result<(), Failure> {
        let mut text = match self.terminal {
            true => serde_json::to_string_pretty(value),
            false => serde_json::to_string(value),
        }
        .map_err(|error| Failure::failed(format!("cannot write as JSON: {error}")))?;
        text.push('\n');
        self.print(&text)
    }

    /// A result: JSON as the API gives it, or the text that `render` makes.
    pub(crate) fn result<T: Serialize>(
        &self,
        value: &T,
        render: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        if self.json { self.document(value) } else { self.print(&render(value)) }
    }

    /// A remark for a person, on standard error; programs are not told.
    pub(crate) fn note(&self, message: &str) {
        if !self.json && io::stderr().is_terminal() {
            self.complain(&format!("{}\n", paint(self.color_errors, Style::Dim, &clean(message))));
        }
    }

    /// A line on standard error that is no result: what went wrong with one of several, or a remark.
    pub(crate) fn warn(&self, message: &str) {
        let label = paint(self.color_errors, Style::Red, "btctl:");
        self.complain(&format!("{label} {}\n", clean(message)));
    }

    /// Tells why the run failed, and gives its exit code back.
    pub(crate) fn fail(&self, failure: &Failure) -> crate::exit::Code {
        if failure.message.is_empty() {
            return failure.code;
        }
        if self.json {
            let error = serde_json::json!({ "error": { "kind": failure.kind, "message": failure.message } });
            // The sentence on standard error is still to come; a closed pipe must not suppress it.
            let _ = self.document(&error);
        }
        self.warn(&failure.message);
        if let Some(advice) = &failure.advice {
            self.complain(&format!("       {}\n", paint(self.color_errors, Style::Dim, &clean(advice))));
        }
        failure.code
    }

    fn complain(&self, text: &str) {
        // Nobody is left to tell if standard error is closed.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

fn paint(color: bool, style: Style, text: &str) -> String {
    if color && style != Style::Plain {
        format!("\x1b[{}m{text}\x1b[0m", style.code())
    } else {
        text.to_owned()
    }
}
