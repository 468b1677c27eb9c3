//! From what a person types to info-hashes: full ids, unique prefixes, and `all`.

use crate::{
    client::Remote,
    exit::{Code, Failure},
};
use jsonrpsee::http_client::HttpClient;
use proto::{
    id::{ID_LEN, InfoHash},
    rpc::{
        ApiClient, Ids, Row,
        params::{Filter, List},
    },
};
use std::str::FromStr;

/// Names a torrent: an info-hash or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// All 40 digits.
    Whole(InfoHash),
    /// Fewer, in lower case.
    Start(String),
}

/// Names some torrents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// Every torrent.
    All,
    /// One.
    One(Prefix),
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Whole(id));
        }
        if text.is_empty() || text.len() > 2 * ID_LEN || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("an id is an info-hash or the beginning of one, in hexadecimal digits".to_owned());
        }
        Ok(Self::Start(text.to_ascii_lowercase()))
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" { Ok(Self::All) } else { text.parse().map(Self::One) }
    }
}

/// The one torrent that a prefix names.
pub(crate) async fn one(remote: &Remote, client: &HttpClient, prefix: &Prefix) -> Result<InfoHash, Failure> {
    let start = match prefix {
        Prefix::Whole(id) => return Ok(*id),
        Prefix::Start(start) => start,
    };
    let list = List {
        fields: Some(vec!["name".to_owned()]),
        filter: Some(Filter { text: Some(start.clone()), ..Filter::default() }),
        ..List::default()
    };
    let found = remote.call(client.torrent_list(&list)).await?.torrents;
    // The filter also finds names with this text in them.
    let matching: Vec<&Row> = found.iter().filter(|row| row.id.to_string().starts_with(start)).collect();
    match matching.as_slice() {
        [] => Err(Failure::new(Code::NotFound, format!("no torrent's id begins with {start}"))
            .advise("“btctl list” shows the ids")),
        [row] => Ok(row.id),
        several => Err(ambiguous(start, several)),
    }
}

/// The torrents that the names stand for, each once.
pub(crate) async fn many(remote: &Remote, client: &HttpClient, names: &[Name]) -> Result<Ids, Failure> {
    let mut ids = Vec::new();
    for name in names {
        match name {
            Name::All => return Ok(Ids::All),
            Name::One(prefix) => {
                let id = one(remote, client, prefix).await?;
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
        }
    }
    Ok(Ids::These(ids))
}

/// How many candidates are named when a prefix is not unique.
const SHOWN: usize = 4;

fn ambiguous(start: &str, rows: &[&Row]) -> Failure {
    let digits = unique_digits(rows.iter().map(|row| row.id));
    let mut names: Vec<String> = rows
        .iter()
        .take(SHOWN)
        .map(|row| format!("{} ({})", &row.id.to_string()[..digits], crate::render::clean(&row.name)))
        .collect();
    if rows.len() > SHOWN {
        names.push("…".to_owned());
    }
    Failure::usage(format!("{} torrents' ids begin with {start}", rows.len()))
        .advise(format!("give more digits: {}", names.join(", ")))
}

/// Digits shown of an id at least: enough to stay unique for long while torrents come and go.
const MIN_DIGITS: usize = 8;

/// How many digits tell all of these ids apart.
pub(crate) fn unique_digits(ids: impl Iterator<Item = InfoHash>) -> usize {
    let mut texts: Vec<String> = ids.map(|id| id.to_string()).collect();
    texts.sort_unstable();
    let common = |pair: &[String]| pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
    let longest = texts.windows(2).map(common).filter(|&same| same < 2 * ID_LEN).max().unwrap_or(0);
    MIN_DIGITS.max(longest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_hexadecimal() {
        assert_eq!("AB12".parse(), Ok(Prefix::Start("ab12".into())));
        assert_eq!("f".repeat(40).parse(), Ok(Prefix::Whole(InfoHash([255; 20]))));
        assert_eq!("all".parse(), Ok(Name::All));
        for wrong in ["", "xyz", "linux.iso", &"f".repeat(41)] {
            assert!(wrong.parse::<Prefix>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn enough_digits_are_shown() {
        let id = |text: &str| format!("{text:0<40}").parse::<InfoHash>().unwrap();
        let digits = |ids: &[&str]| unique_digits(ids.iter().map(|text| id(text)));
        assert_eq!(digits(&[]), 8);
        assert_eq!(digits(&["aaaa", "bbbb", "aaab"]), 8);
        assert_eq!(digits(&["0123456789a", "0123456789b", "1"]), 11);
        assert_eq!(digits(&["aa", "aa"]), 8);
    }
}
