//! From bytes to nodes.

use super::value::{Kind, Value};

/// Most digits of a string's length: 4 GiB needs ten.
const LENGTH_DIGITS: usize = 10;

/// What an input may cost before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest input in bytes.
    pub bytes: usize,
    /// Deepest nesting of lists and dictionaries.
    pub depth: usize,
    /// Most values, dictionary keys counted too. A node takes 16 bytes while the document lives.
    pub values: usize,
}

impl Limits {
    /// One datagram or one peer message: KRPC, the extension protocol.
    ///
    /// The wire bounds the bytes; no such message nests deeper than six, and 4,096 values are more than a full
    /// compact answer has.
    pub const MESSAGE: Self = Self { bytes: 1 << 20, depth: 16, values: 4096 };

    /// A tracker's answer. The old, non-compact peer lists take nine values for each peer.
    pub const TRACKER: Self = Self { bytes: 4 << 20, depth: 16, values: 200_000 };

    /// A torrent file. Half a million files, the most that [`metainfo`](crate::metainfo) takes, need six to eight
    /// values each; 64 MiB are three million piece hashes.
    pub const METAINFO: Self = Self { bytes: 64 << 20, depth: 64, values: 4_000_000 };
}

/// Why an input is not bencoded, or not within the limits, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} (at byte {at})")]
pub struct Error {
    /// Offset of the offending byte.
    pub at: usize,
    /// What is wrong with it.
    pub kind: ErrorKind,
}

/// What is wrong with an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// The input ends within a value.
    #[error("the data ends too early")]
    Truncated,
    /// No value starts with this byte.
    #[error("unexpected byte 0x{0:02x}")]
    Unexpected(u8),
    /// An integer without digits, with a leading zero, or minus zero.
    #[error("malformed integer")]
    Integer,
    /// An integer that 64 bits cannot hold.
    #[error("integer out of range")]
    Range,
    /// A string's length is malformed or has a leading zero.
    #[error("malformed string length")]
    Length,
    /// A dictionary key is not a string.
    #[error("dictionary key is not a string")]
    Key,
    /// A dictionary ends after a key.
    #[error("dictionary key without a value")]
    NoValue,
    /// Bytes follow the value where nothing may follow.
    #[error("unexpected data after the end")]
    Trailing,
    /// Nested deeper than the limit.
    #[error("nested too deeply")]
    Depth,
    /// More values than the limit.
    #[error("too many values")]
    Values,
    /// More bytes than the limit.
    #[error("too large")]
    Bytes,
    /// Dictionary keys are not in ascending order, or one is repeated ([`Document::canonical`] only).
    #[error("dictionary keys are not sorted and unique")]
    Unsorted,
}

/// One value, in the order of the input: a container is followed by its contents.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// The raw bytes: `start..end`.
    pub(super) start: u32,
    pub(super) end: u32,
    /// A string: where its content starts. A container: the index of the node after its contents. An integer: unused.
    pub(super) link: u32,
}

/// A decoded value and everything in it.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    input: &'a [u8],
    nodes: Vec<Node>,
}

impl<'a> Document<'a> {
    /// Decodes an input that is one value and nothing else.
    pub fn decode(input: &'a [u8], limits: Limits) -> Result<Self, Error> {
        let (document, used) = Self::decode_prefix(input, limits)?;
        if used < input.len() {
            return Err(Error { at: used, kind: ErrorKind::Trailing });
        }
        Ok(document)
    }

    /// Decodes the value that an input starts with, and says how many bytes it took.
    pub fn decode_prefix(input: &'a [u8], limits: Limits) -> Result<(Self, usize), Error> {
        if input.len() > limits.bytes || u32::try_from(input.len()).is_err() {
            return Err(Error { at: limits.bytes.min(input.len()), kind: ErrorKind::Bytes });
        }
        let mut decoder = Decoder { input, at: 0, limits, nodes: Vec::new(), open: Vec::new() };
        decoder.run()?;
        Ok((Self { input, nodes: decoder.nodes }, decoder.at))
    }

    /// The outermost value.
    pub fn root(&self) -> Value<'_> {
        Value { input: self.input, nodes: &self.nodes, at: 0 }
    }

    /// Whether the keys of every dictionary are sorted and unique. The rest of the syntax is always checked.
    pub fn canonical(&self) -> Result<(), Error> {
        for at in 0..self.nodes.len() {
            let value = Value { input: self.input, nodes: &self.nodes, at };
            let mut last: Option<&[u8]> = None;
            for (key, _) in value.dict() {
                if last.is_some_and(|last| last >= key) {
                    return Err(Error { at: value.offset(), kind: ErrorKind::Unsorted });
                }
                last = Some(key);
            }
        }
        Ok(())
    }
}

/// A container that has not ended yet.
struct Open {
    node: usize,
    /// In a dictionary: a key was read and its value is due.
    value_due: bool,
}

struct Decoder<'a> {
    input: &'a [u8],
    at: usize,
    limits: Limits,
    nodes: Vec<Node>,
    open: Vec<Open>,
}

impl Decoder<'_> {
    /// Reads one whole value.
    fn run(&mut self) -> Result<(), Error> {
        loop {
            let byte = self.peek()?;
            if byte == b'e' && !self.open.is_empty() {
                self.close()?;
            } else {
                self.expect_place(byte)?;
                match byte {
                    b'i' => self.integer()?,
                    b'0'..=b'9' => self.string()?,
                    b'l' => self.container(Kind::List)?,
                    b'd' => self.container(Kind::Dict)?,
                    other => return self.fail(ErrorKind::Unexpected(other)),
                }
            }
            if self.open.is_empty() {
                return Ok(());
            }
        }
    }

    /// In a dictionary, keys and values take turns.
    fn expect_place(&mut self, byte: u8) -> Result<(), Error> {
        let at = self.at;
        if let Some(open) = self.open.last_mut()
            && self.nodes[open.node].kind == Kind::Dict
        {
            if !open.value_due && !byte.is_ascii_digit() {
                return Err(Error { at, kind: ErrorKind::Key });
            }
            open.value_due = !open.value_due;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        if self.open.last().is_some_and(|open| open.value_due) {
            return self.fail(ErrorKind::NoValue);
        }
        self.at += 1;
        let (end, after) = (index(self.at), index(self.nodes.len()));
        if let Some(open) = self.open.pop() {
            let node = &mut self.nodes[open.node];
            node.end = end;
            node.link = after;
        }
        Ok(())
    }

    fn container(&mut self, kind: Kind) -> Result<(), Error> {
        if self.open.len() >= self.limits.depth {
            return self.fail(ErrorKind::Depth);
        }
        self.open.push(Open { node: self.nodes.len(), value_due: false });
        self.push(kind, self.at, self.at + 1, 0)?;
        self.at += 1;
        Ok(())
    }

    fn integer(&mut self) -> Result<(), Error> {
        let start = self.at;
        self.at += 1;
        let negative = self.peek()? == b'-';
        if negative {
            self.at += 1;
        }
        let digits_at = self.at;
        while self.peek()?.is_ascii_digit() {
            self.at += 1;
        }
        let digits = &self.input[digits_at..self.at];
        if self.peek()? != b'e' || digits.is_empty() || (digits[0] == b'0' && (negative || digits.len() > 1))
        {
            return self.fail(ErrorKind::Integer);
        }
        if parse_int(&self.input[start + 1..self.at]).is_none() {
            return Err(Error { at: start, kind: ErrorKind::Range });
        }
        self.at += 1;
        self.push(Kind::Int, start, self.at, 0)
    }

    fn string(&mut self) -> Result<(), Error> {
        let start = self.at;
        let mut length = 0usize;
        while self.peek()?.is_ascii_digit() {
            if self.at - start >= LENGTH_DIGITS {
                return self.fail(ErrorKind::Length);
            }
            length = length.saturating_mul(10).saturating_add(usize::from(self.input[self.at] - b'0'));
            self.at += 1;
        }
        let leading_zero = self.input[start] == b'0' && self.at - start > 1;
        if self.peek()? != b':' || leading_zero {
            return self.fail(ErrorKind::Length);
        }
        let body = self.at + 1;
        if length > self.input.len() - body {
            return Err(Error { at: start, kind: ErrorKind::Truncated });
        }
        self.at = body + length;
        self.push(Kind::Str, start, self.at, index(body))
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize, link: u32) -> Result<(), Error> {
        if self.nodes.len() >= self.limits.values {
            return Err(Error { at: start, kind: ErrorKind::Values });
        }
        self.nodes.push(Node { kind, start: index(start), end: index(end), link });
        Ok(())
    }

    fn peek(&self) -> Result<u8, Error> {
        self.input.get(self.at).copied().ok_or(Error { at: self.at, kind: ErrorKind::Truncated })
    }

    fn fail(&self, kind: ErrorKind) -> Result<(), Error> {
        Err(Error { at: self.at, kind })
    }
}

/// Offsets and node counts fit: the input is checked to be shorter than 4 GiB, and every node takes a byte of it.
fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// The value of checked digits; `None` if 64 bits cannot hold it.
pub(super) fn parse_int(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
