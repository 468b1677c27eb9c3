//! `btctl`, the remote control of `btd`.
//!
//! It speaks `proto::rpc` and nothing else. `args` is the command line, `commands` has a file for each group of
//! commands, `client` reaches the daemon, `render` makes text for people, `exit` has what a script sees.
#![forbid(unsafe_code)]

mod args;
mod client;
mod commands;
mod exit;
mod ids;
mod render;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = args::parse();
    let out = render::Output::new(args.json, args.color);
    let code = match commands::run(args, &out) {
        Ok(code) => code,
        Err(failure) => out.fail(&failure),
    };
    ExitCode::from(code as u8)
}
