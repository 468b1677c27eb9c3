//! How a run ends: the exit codes, and failures with a sentence and advice.

use proto::rpc::{ErrorKind, Outcome, RpcError};
use std::io;

/// What the shell sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    /// Everything was done.
    Ok = 0,
    /// It failed.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The daemon cannot be reached.
    Unreachable = 3,
    /// The daemon refused us.
    Denied = 4,
    /// No such torrent, job or file.
    NotFound = 5,
    /// Some of it was done.
    Partly = 6,
}

/// A run that did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: Code,
    /// The stable name for programs, as in `data.kind` of the API, or one of btctl's own.
    pub(crate) kind: &'static str,
    /// What is wrong. Empty: say nothing.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) advice: Option<String>,
}

impl Failure {
    /// A failure of this kind with the exit code that belongs to it.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        let kind = match code {
            Code::Ok => "ok",
            Code::Failed => "failed",
            Code::Usage => "usage",
            Code::Unreachable => "unreachable",
            Code::Denied => "denied",
            Code::NotFound => "not_found",
            Code::Partly => "partly",
        };
        Self { code, kind, message: message.into(), advice: None }
    }

    /// A failure of the work itself.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Code::Failed, message)
    }

    /// A command line that makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// The same with advice.
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

impl From<RpcError> for Failure {
    fn from(error: RpcError) -> Self {
        Self { code: code_of(error.kind), kind: error.kind.name(), message: error.message, advice: None }
    }
}

impl From<io::Error> for Failure {
    /// A failure to write. A reader that has gone away (`btctl list | head`) is no failure.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Code::Ok, ""),
            _ => Self::failed(format!("cannot write the output: {error}")),
        }
    }
}

/// The exit code for an error of the API.
fn code_of(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Denied => Code::Denied,
        _ => Code::Failed,
    }
}

/// The exit code for a call about several torrents.
pub(crate) fn of_outcomes(outcomes: &[Outcome]) -> Code {
    let mut codes = outcomes.iter().filter_map(Outcome::failure).map(|error| code_of(error.kind));
    match codes.next() {
        None => Code::Ok,
        Some(_) if outcomes.iter().any(|outcome| outcome.ok) => Code::Partly,
        Some(first) if codes.all(|code| code == first) => first,
        Some(_) => Code::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::id::InfoHash;

    #[test]
    fn outcomes_become_one_code() {
        let id = InfoHash([1; 20]);
        let ok = || Outcome::new(id, Ok(()));
        let not = |kind| Outcome::new(id, Err(RpcError::new(kind, "no")));
        assert_eq!(of_outcomes(&[]), Code::Ok);
        assert_eq!(of_outcomes(&[ok(), ok()]), Code::Ok);
        assert_eq!(of_outcomes(&[ok(), not(ErrorKind::NotFound)]), Code::Partly);
        assert_eq!(of_outcomes(&[not(ErrorKind::NotFound), not(ErrorKind::NotFound)]), Code::NotFound);
        assert_eq!(of_outcomes(&[not(ErrorKind::NotFound), not(ErrorKind::Disk)]), Code::Failed);
        assert_eq!(of_outcomes(&[not(ErrorKind::Denied)]), Code::Denied);
    }
}
