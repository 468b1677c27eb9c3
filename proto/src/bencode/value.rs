//! Looking at what was decoded.

use super::decode::{Node, parse_int};

/// The four kinds of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An integer.
    Int,
    /// A byte string.
    Str,
    /// A list.
    List,
    /// A dictionary.
    Dict,
}

/// One value of a [`Document`](super::Document): three words, free to copy.
///
/// The `as_` and `dict_` methods answer `None` when the value is of another kind, so a chain of lookups reads as one
/// question.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    pub(super) input: &'a [u8],
    pub(super) nodes: &'a [Node],
    /// Always the index of a node.
    pub(super) at: usize,
}

impl<'a> Value<'a> {
    fn node(&self) -> Node {
        self.nodes[self.at]
    }

    /// What kind of value this is.
    pub fn kind(&self) -> Kind {
        self.node().kind
    }

    /// Where the value starts in the input.
    pub fn offset(&self) -> usize {
        self.node().start as usize
    }

    /// The value's own bytes in the input, as they came.
    pub fn raw(&self) -> &'a [u8] {
        let node = self.node();
        &self.input[node.start as usize..node.end as usize]
    }

    /// The content of a string.
    pub fn as_str_bytes(&self) -> Option<&'a [u8]> {
        let node = self.node();
        (node.kind == Kind::Str).then(|| &self.input[node.link as usize..node.end as usize])
    }

    /// The content of a string that is UTF-8.
    pub fn as_str(&self) -> Option<&'a str> {
        std::str::from_utf8(self.as_str_bytes()?).ok()
    }

    /// The content of a string of exactly `N` bytes.
    pub fn as_array<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.as_str_bytes()?.try_into().ok()
    }

    /// An integer.
    pub fn as_int(&self) -> Option<i64> {
        let node = self.node();
        if node.kind != Kind::Int {
            return None;
        }
        // Between the `i` and the `e`.
        parse_int(&self.input[node.start as usize + 1..node.end as usize - 1])
    }

    /// An integer that is in the range of `T`.
    pub fn as_num<T: TryFrom<i64>>(&self) -> Option<T> {
        T::try_from(self.as_int()?).ok()
    }

    /// Whether this is a dictionary.
    pub fn is_dict(&self) -> bool {
        self.kind() == Kind::Dict
    }

    /// Whether this is a list.
    pub fn is_list(&self) -> bool {
        self.kind() == Kind::List
    }

    /// The values of a list; nothing for another kind.
    pub fn list(&self) -> ListIter<'a> {
        let (at, end) = self.contents(Kind::List);
        ListIter { input: self.input, nodes: self.nodes, at, end }
    }

    /// The keys and values of a dictionary in the order of the input; nothing for another kind.
    pub fn dict(&self) -> DictIter<'a> {
        let (at, end) = self.contents(Kind::Dict);
        DictIter(ListIter { input: self.input, nodes: self.nodes, at, end })
    }

    /// The value of a dictionary's key.
    pub fn dict_get(&self, key: &[u8]) -> Option<Value<'a>> {
        self.dict().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The string at a dictionary's key.
    pub fn dict_bytes(&self, key: &[u8]) -> Option<&'a [u8]> {
        self.dict_get(key)?.as_str_bytes()
    }

    /// The UTF-8 string at a dictionary's key.
    pub fn dict_str(&self, key: &[u8]) -> Option<&'a str> {
        self.dict_get(key)?.as_str()
    }

    /// The integer at a dictionary's key.
    pub fn dict_int(&self, key: &[u8]) -> Option<i64> {
        self.dict_get(key)?.as_int()
    }

    fn contents(&self, kind: Kind) -> (usize, usize) {
        let node = self.node();
        if node.kind == kind { (self.at + 1, node.link as usize) } else { (0, 0) }
    }
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.raw().escape_ascii())
    }
}

/// Over the values of a list.
#[derive(Clone)]
pub struct ListIter<'a> {
    input: &'a [u8],
    nodes: &'a [Node],
    at: usize,
    end: usize,
}

impl<'a> Iterator for ListIter<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if self.at >= self.end {
            return None;
        }
        let value = Value { input: self.input, nodes: self.nodes, at: self.at };
        let node = value.node();
        self.at = match node.kind {
            Kind::Int | Kind::Str => self.at + 1,
            Kind::List | Kind::Dict => node.link as usize,
        };
        Some(value)
    }
}

/// Over the keys and values of a dictionary.
#[derive(Clone)]
pub struct DictIter<'a>(ListIter<'a>);

impl<'a> Iterator for DictIter<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.0.next()?.as_str_bytes()?;
        Some((key, self.0.next()?))
    }
}
