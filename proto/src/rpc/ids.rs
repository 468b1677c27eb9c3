//! Which torrents a call is about, and what became of each.

use super::{RpcError, error::ErrorKind};
use crate::id::InfoHash;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// Some torrents, or all: a list of info-hashes, or the text `"all"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    /// All there are.
    All,
    /// These, in this order.
    These(Vec<InfoHash>),
}

impl From<InfoHash> for Ids {
    fn from(id: InfoHash) -> Self {
        Self::These(vec![id])
    }
}

impl Serialize for Ids {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::These(ids) => ids.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Ids;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of info-hashes, or “all”")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Ids, E> {
                if text == "all" { Ok(Ids::All) } else { text.parse().map(InfoHash::into).map_err(E::custom) }
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Ids, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(Ids::These)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Ids {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Ids".into()
    }

    fn json_schema(schemas: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let id = schemas.subschema_for::<InfoHash>();
        schemars::json_schema!({
            "description": "Some torrents by info-hash, or all of them",
            "oneOf": [{ "type": "array", "items": id }, { "const": "all" }, id],
        })
    }
}

/// What became of one torrent of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// The torrent.
    pub id: InfoHash,
    /// Whether it was done.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RpcError>,
}

impl Outcome {
    /// The outcome for `id`.
    pub fn new(id: InfoHash, result: Result<(), RpcError>) -> Self {
        Self { id, ok: result.is_ok(), error: result.err() }
    }

    /// The error, if it was not done.
    pub fn failure(&self) -> Option<RpcError> {
        let unsaid = || RpcError::new(ErrorKind::Internal, "btd gave no reason");
        (!self.ok).then(|| self.error.clone().unwrap_or_else(unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_a_list_or_all() {
        let id = InfoHash([0xab; 20]);
        let text = format!("[\"{id}\"]");
        assert_eq!(serde_json::from_str::<Ids>(&text).unwrap(), id.into());
        assert_eq!(serde_json::to_string(&Ids::from(id)).unwrap(), text);
        assert_eq!(serde_json::from_str::<Ids>("\"all\"").unwrap(), Ids::All);
        assert_eq!(serde_json::from_str::<Ids>("[]").unwrap(), Ids::These(vec![]));
        for wrong in ["\"some\"", "[\"all\"]", "{}", "7", "[7]"] {
            assert!(serde_json::from_str::<Ids>(wrong).is_err(), "{wrong}");
        }
    }
}
