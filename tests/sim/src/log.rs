//! The event log: what two runs from one seed must agree on, byte for byte.

use std::io::Write;

/// What a record is about.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum What {
    Join,
    Leave,
    Connect,
    Close,
    Hear,
    Say,
    Block,
    Sent,
    Piece,
    Bad,
    Complete,
    Wake,
}

/// A running digest of every record, and the records themselves where someone wants them.
pub(crate) struct Log {
    digest: u64,
    records: u64,
    to: Option<Box<dyn Write + Send>>,
}

impl Log {
    pub(crate) fn new(to: Option<Box<dyn Write + Send>>) -> Self {
        // The offset of FNV-1a.
        Self { digest: 0xcbf2_9ce4_8422_2325, records: 0, to }
    }

    /// Adds a record: when (ms), at which node, what, and two numbers of its own.
    pub(crate) fn note(&mut self, at: u64, node: u32, what: What, one: u64, two: u64) {
        self.records += 1;
        for word in [at, u64::from(node) << 8 | what as u64, one, two] {
            self.digest = (self.digest ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
        if let Some(to) = &mut self.to
            && writeln!(to, "{at} {node} {what:?} {one} {two}").is_err()
        {
            // A full disk must not change the run; the digest is still whole.
            self.to = None;
        }
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) fn records(&self) -> u64 {
        self.records
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Log({:016x}, {} records)", self.digest, self.records)
    }
}
