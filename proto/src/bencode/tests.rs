use super::*;
use proptest::prelude::*;

fn decode(input: &[u8]) -> Result<Document<'_>, Error> {
    Document::decode(input, Limits::MESSAGE)
}

fn kind(input: &[u8]) -> ErrorKind {
    decode(input).unwrap_err().kind
}

#[test]
fn the_examples_of_bep_3() {
    assert_eq!(decode(b"4:spam").unwrap().root().as_str(), Some("spam"));
    assert_eq!(decode(b"0:").unwrap().root().as_str_bytes(), Some(&b""[..]));
    assert_eq!(decode(b"i3e").unwrap().root().as_int(), Some(3));
    assert_eq!(decode(b"i-3e").unwrap().root().as_int(), Some(-3));
    assert_eq!(decode(b"i0e").unwrap().root().as_int(), Some(0));
    let list = decode(b"l4:spam4:eggse").unwrap();
    assert_eq!(list.root().list().filter_map(|v| v.as_str()).collect::<Vec<_>>(), ["spam", "eggs"]);
    let dict = decode(b"d4:spaml1:a1:bee").unwrap();
    let spam = dict.root().dict_get(b"spam").unwrap();
    assert_eq!(spam.raw(), b"l1:a1:be");
    assert_eq!(spam.offset(), 7);
    assert_eq!(dict.root().dict_get(b"eggs").map(|v| v.kind()), None);
}

#[test]
fn integers_are_strict_and_keep_to_64_bits() {
    for text in [&b"i-0e"[..], b"i03e", b"i00e", b"ie", b"i-e", b"i+1e", b"i1 e", b"i--1e", b"i-01e"] {
        assert_eq!(kind(text), ErrorKind::Integer, "{}", text.escape_ascii());
    }
    assert_eq!(decode(b"i9223372036854775807e").unwrap().root().as_int(), Some(i64::MAX));
    assert_eq!(decode(b"i-9223372036854775808e").unwrap().root().as_int(), Some(i64::MIN));
    assert_eq!(kind(b"i9223372036854775808e"), ErrorKind::Range);
    assert_eq!(decode(b"i256e").unwrap().root().as_num::<u8>(), None);
}

#[test]
fn strings_are_bounded_by_the_input() {
    assert_eq!(decode(b"5:spam").unwrap_err(), Error { at: 0, kind: ErrorKind::Truncated });
    assert_eq!(kind(b"4294967295:x"), ErrorKind::Truncated);
    assert_eq!(kind(b"99999999999999999999:x"), ErrorKind::Length);
    assert_eq!(kind(b"01:a"), ErrorKind::Length);
    assert_eq!(kind(b"1a"), ErrorKind::Length);
    assert_eq!(kind(b"12"), ErrorKind::Truncated);
}

#[test]
fn containers_are_checked() {
    assert_eq!(kind(b"di1ei2ee"), ErrorKind::Key);
    assert_eq!(kind(b"d1:ae"), ErrorKind::NoValue);
    assert_eq!(kind(b"l1:a"), ErrorKind::Truncated);
    assert_eq!(kind(b"e"), ErrorKind::Unexpected(b'e'));
    assert_eq!(kind(b""), ErrorKind::Truncated);
    assert_eq!(decode(b"lelee").unwrap_err(), Error { at: 2, kind: ErrorKind::Trailing });
}

#[test]
fn a_value_may_be_followed_by_other_bytes_where_asked_for() {
    let (document, used) = Document::decode_prefix(b"d5:piecei0eerest", Limits::MESSAGE).unwrap();
    assert_eq!(document.root().dict_int(b"piece"), Some(0));
    assert_eq!(used, 12);
}

#[test]
fn a_megabyte_of_open_lists_is_refused_at_the_depth_limit() {
    let deep = vec![b'l'; 1 << 20];
    assert_eq!(kind(&deep), ErrorKind::Depth);
    let error = Document::decode(&deep, Limits::METAINFO).unwrap_err();
    assert_eq!(error, Error { at: Limits::METAINFO.depth, kind: ErrorKind::Depth });
}

#[test]
fn many_tiny_values_are_refused() {
    let mut wide = b"l".to_vec();
    wide.extend(b"le".repeat(Limits::MESSAGE.values));
    wide.push(b'e');
    assert_eq!(kind(&wide), ErrorKind::Values);
    assert_eq!(kind(&vec![b'0'; Limits::MESSAGE.bytes + 1]), ErrorKind::Bytes);
}

#[test]
fn unsorted_and_repeated_keys_are_read_but_not_canonical() {
    let unsorted = decode(b"d1:bi1e1:ai2ee").unwrap();
    assert_eq!(unsorted.root().dict_int(b"a"), Some(2));
    assert_eq!(unsorted.canonical().unwrap_err().kind, ErrorKind::Unsorted);
    let repeated = decode(b"ld1:ai1e1:ai2eee").unwrap();
    assert_eq!(repeated.root().list().next().and_then(|d| d.dict_int(b"a")), Some(1));
    assert_eq!(repeated.canonical().unwrap_err(), Error { at: 1, kind: ErrorKind::Unsorted });
    assert_eq!(decode(b"d1:ai1e1:bi2ee").unwrap().canonical(), Ok(()));
}

/// A value to generate, encode and find again.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Int(i64),
    Str(Vec<u8>),
    List(Vec<Tree>),
    Dict(std::collections::BTreeMap<Vec<u8>, Tree>),
}

impl Tree {
    fn encode(&self) -> Vec<u8> {
        let mut e = Encoder::new();
        match self {
            Self::Int(value) => e.int(*value),
            Self::Str(value) => e.bytes(value),
            Self::List(items) => e.list(|l| items.iter().for_each(|item| l.raw(&item.encode()))),
            Self::Dict(items) => e.dict(|d| items.iter().for_each(|(key, item)| d.raw(key, &item.encode()))),
        }
        e.finish()
    }

    fn from(value: Value<'_>) -> Self {
        match value.kind() {
            Kind::Int => Self::Int(value.as_int().unwrap()),
            Kind::Str => Self::Str(value.as_str_bytes().unwrap().to_vec()),
            Kind::List => Self::List(value.list().map(Self::from).collect()),
            Kind::Dict => Self::Dict(value.dict().map(|(k, v)| (k.to_vec(), Self::from(v))).collect()),
        }
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Tree::Int),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Tree::Str),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        let key = prop::collection::vec(any::<u8>(), 0..6);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Tree::List),
            prop::collection::btree_map(key, inner, 0..8).prop_map(Tree::Dict),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_again(tree in tree()) {
        let bytes = tree.encode();
        let document = decode(&bytes).unwrap();
        prop_assert_eq!(document.canonical(), Ok(()));
        prop_assert_eq!(document.root().raw(), &bytes[..]);
        prop_assert_eq!(Tree::from(document.root()), tree);
        prop_assert!(decode(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(
        prop_oneof![Just(b'd'), Just(b'l'), Just(b'e'), Just(b'i'), Just(b'1'), Just(b':'), any::<u8>()], 0..200,
    )) {
        if let Ok((document, used)) = Document::decode_prefix(&bytes, Limits::MESSAGE) {
            prop_assert_eq!(document.root().raw(), &bytes[..used]);
            Tree::from(document.root());
        }
    }
}
