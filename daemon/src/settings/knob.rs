//! Everything that can be set, read off the schemas: its name, its kind of value, its help.

use super::Start;
use proto::rpc::Settings;
use proto::strategy::{Strategy, StrategyPatch};
use schemars::schema_for;
use serde_json::{Value, json};

/// Which struct a setting belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// [`Start`].
    Start,
    /// [`Settings`].
    Session,
    /// [`Strategy`].
    Strategy,
}

/// What a value looks like as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Number,
    Text,
    /// Several texts, with commas between them or given again and again.
    List,
    /// One of these.
    Choice(Vec<String>),
}

/// One thing that can be set.
#[derive(Clone, Debug)]
pub(super) struct Knob {
    pub(super) group: Group,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: String,
    pub(super) default: Value,
    /// What "on" and "off" stand for, where they make sense.
    pub(super) switch: Option<(Value, Value)>,
}

impl Knob {
    /// Group and name.
    pub(super) fn key(&self) -> (Group, &'static str) {
        (self.group, self.name)
    }

    /// The flag, without the dashes before it.
    pub(super) fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The environment variable.
    pub(super) fn variable(&self) -> String {
        format!("BTD_{}", self.name.to_ascii_uppercase())
    }

    /// The value that a flag or variable means.
    pub(super) fn parse_text(&self, text: &str) -> Result<Value, String> {
        let value = match &self.kind {
            Kind::Number => match text.parse::<u64>() {
                Ok(number) => Some(json!(number)),
                Err(_) => {
                    text.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| json!(number))
                }
            },
            Kind::Bool => None,
            Kind::Text => Some(json!(text)),
            Kind::List => Some(text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()),
            Kind::Choice(choices) => choices.iter().any(|choice| choice == text).then(|| json!(text)),
        };
        value.or_else(|| boolish(text).and_then(|on| self.switched(on))).ok_or_else(|| self.expected(text))
    }

    /// The value that a key of the file means: as it stands, except that true and false switch.
    pub(super) fn read_value(&self, value: Value) -> Value {
        match (&value, &self.kind) {
            (Value::Bool(on), kind) if *kind != Kind::Bool => self.switched(*on).unwrap_or(value),
            _ => value,
        }
    }

    fn switched(&self, on: bool) -> Option<Value> {
        self.switch.as_ref().map(|(yes, no)| if on { yes.clone() } else { no.clone() })
    }

    fn expected(&self, text: &str) -> String {
        match &self.kind {
            Kind::Bool => format!("“{text}” is neither true nor false"),
            Kind::Choice(choices) => format!("“{text}” is not one of {}", choices.join(", ")),
            _ => format!("“{text}” is not a number"),
        }
    }
}

fn boolish(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Everything that can be set, in the order of its structs.
pub(super) fn all() -> Vec<Knob> {
    let groups = [
        (Group::Session, schema_for!(Settings), Settings::FIELDS),
        (Group::Start, schema_for!(Start), Start::FIELDS),
        (Group::Strategy, schema_for!(Strategy), StrategyPatch::FIELDS),
    ];
    let mut knobs: Vec<Knob> = Vec::new();
    for (group, schema, fields) in groups {
        for name in fields {
            // The number of upload slots is both a setting and a strategy, and is set as the former.
            if knobs.iter().all(|knob| knob.name != *name) {
                knobs.push(read(group, name, schema.as_value()));
            }
        }
    }
    knobs
}

fn read(group: Group, name: &'static str, schema: &Value) -> Knob {
    let property = &schema["properties"][name];
    let choices = property["$ref"].as_str().and_then(|path| schema.pointer(path.trim_start_matches('#')));
    let kind = match choices {
        Some(choices) => Kind::Choice(constants(choices)),
        // A size or an address that may be absent has several types, and is given as text.
        None => match property["type"].as_str() {
            Some("boolean") => Kind::Bool,
            Some("integer" | "number") => Kind::Number,
            Some("array") => Kind::List,
            _ => Kind::Text,
        },
    };
    let default = property["default"].clone();
    let switch = match &kind {
        Kind::Bool => Some((json!(true), json!(false))),
        Kind::Choice(choices) if group == Group::Strategy && choices.iter().any(|choice| choice == "off") => {
            Some((default.clone(), json!("off")))
        }
        // One redundant request more than none.
        Kind::Number if name == "bbs_plus" => Some((json!(2), json!(1))),
        _ => None,
    };
    let help = property["description"].as_str().unwrap_or_default().to_owned();
    Knob { group, name, kind, help, default, switch }
}

/// The names of an enum in its schema.
fn constants(schema: &Value) -> Vec<String> {
    let described = schema["oneOf"].as_array().into_iter().flatten().map(|variant| &variant["const"]);
    let plain = schema["enum"].as_array().into_iter().flatten();
    described.chain(plain).filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The known name that a misspelt one is most like, if it is like any.
pub(super) fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    /// Below this likeness a suggestion confuses more than it helps.
    const ALIKE: f64 = 0.75;
    let likeness = |other: &String| strsim::jaro_winkler(name, other);
    known.filter(|other| likeness(other) >= ALIKE).max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}
