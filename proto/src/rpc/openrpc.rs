//! The OpenRPC document: what `rpc.discover` answers, made from the types themselves.

use super::ErrorKind;
use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// A row of the API's table.
pub(super) struct Method {
    /// The name on the wire.
    pub(super) name: &'static str,
    /// The lines of its documentation.
    pub(super) doc: &'static [&'static str],
    /// The schema of its parameters, an object.
    pub(super) params: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of its result, or of a subscription's items.
    pub(super) result: fn(&mut SchemaGenerator) -> Schema,
    /// For a subscription: how to end it.
    pub(super) unsubscribe: Option<&'static str>,
}

/// The document: every method and subscription with the schemas of its parameters and result.
pub fn openrpc() -> Value {
    let settings = SchemaSettings::draft07().with(|s| s.definitions_path = "/components/schemas".into());
    let mut schemas = settings.into_generator();
    let mut methods: Vec<Value> =
        super::METHODS.iter().map(|method| describe(method, &mut schemas)).collect();
    methods.push(json!({
        "name": "rpc.discover",
        "summary": "This document.",
        "paramStructure": "by-name",
        "params": [],
        "result": { "name": "document", "schema": { "type": "object" } },
    }));
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "btd",
            "description": "The control API of btd. Sizes are bytes, rates bytes per second, times Unix seconds, \
                            durations seconds, progress 0 to 1. Every call needs the token: `Authorization: Bearer`.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "name": "local", "url": "http://127.0.0.1:6880/rpc" }],
        "methods": methods,
        "components": { "schemas": schemas.take_definitions(true) },
    })
}

/// One method's entry.
fn describe(method: &Method, schemas: &mut SchemaGenerator) -> Value {
    let text: Vec<&str> = method.doc.iter().map(|line| line.trim()).collect();
    let params = resolve((method.params)(schemas), schemas);
    let mut entry = Map::new();
    entry.insert("name".into(), method.name.into());
    entry.insert("summary".into(), text.first().copied().unwrap_or_default().into());
    entry.insert("description".into(), text.join("\n").into());
    entry.insert("paramStructure".into(), "by-name".into());
    entry.insert("params".into(), parameters(&params));
    entry.insert("result".into(), json!({ "name": "result", "schema": (method.result)(schemas) }));
    entry.insert("errors".into(), errors());
    if let Some(unsubscribe) = method.unsubscribe {
        entry.insert("x-subscription".into(), json!({ "unsubscribe": unsubscribe }));
    }
    entry.into()
}

/// The object schema behind a reference.
fn resolve(schema: Schema, schemas: &SchemaGenerator) -> Value {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
    match name.and_then(|name| schemas.definitions().get(name)) {
        Some(definition) => definition.clone(),
        None => schema.to_value(),
    }
}

/// The properties of an object schema as a list of named parameters.
fn parameters(schema: &Value) -> Value {
    let required = |name: &str| {
        schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name))
    };
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, schema)| {
            json!({
                "name": name,
                "description": schema["description"],
                "required": required(name),
                "schema": schema,
            })
        })
        .collect()
}

/// The errors that any method can answer.
fn errors() -> Value {
    ErrorKind::ALL
        .iter()
        .map(|kind| json!({ "code": kind.code(), "message": kind.name(), "data": { "kind": kind.name() } }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn the_document_is_whole() {
        let document = openrpc();
        let methods = document["methods"].as_array().unwrap();
        let mut names: Vec<&str> = methods.iter().map(|method| method["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), methods.len(), "a name is there twice");
        for name in ["torrent.add", "torrent.list", "strategy.set", "session.stats", "events", "rpc.discover"]
        {
            assert!(names.contains(&name), "{name}");
        }
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 20);
        for reference in found {
            let path = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(path).is_some(), "{reference} leads nowhere");
        }
    }

    #[test]
    fn parameters_are_listed_with_their_documentation() {
        let document = openrpc();
        let methods = document["methods"].as_array().unwrap();
        let set = methods.iter().find(|method| method["name"] == "strategy.set").unwrap();
        let params = set["params"].as_array().unwrap();
        let endgame = params.iter().find(|param| param["name"] == "endgame").unwrap();
        assert_eq!(endgame["required"], false);
        assert!(endgame["description"].as_str().unwrap().contains("finish"));
        let pause = methods.iter().find(|method| method["name"] == "torrent.pause").unwrap();
        assert_eq!(pause["params"][0]["name"], "ids");
        assert_eq!(pause["params"][0]["required"], true);
    }
}
