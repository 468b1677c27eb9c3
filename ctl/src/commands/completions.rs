//! `btctl completions`.

use super::Result;
use crate::{args::Args, exit::Code, render::Output};
use clap::CommandFactory;
use clap_complete::Shell;

/// `btctl completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    pub(crate) fn run(&self, out: &Output) -> Result {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Args::command(), "btctl", &mut script);
        out.write(&script)?;
        Ok(Code::Ok)
    }
}
