//! What a conformance fixture holds, read: `tests/conformance/NAME.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::provider::Exchange;

/// All fixtures, by the name of their destination.
pub fn fixtures() -> BTreeMap<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let mut fixtures = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("the fixtures are there") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let fixture = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        fixtures.insert(name, fixture);
    }
    fixtures
}

/// The items of an array; none of anything else.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A text; the empty one of anything else.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The names of an object's members.
pub fn keys(members: &Value) -> BTreeSet<String> {
    members
        .as_object()
        .map(|members| members.keys().cloned().collect())
        .unwrap_or_default()
}

/// The value with every text changed, at any depth; `key` is the nearest member's.
pub fn with_texts(value: &Value, key: &str, change: &dyn Fn(&str, &str) -> String) -> Value {
    match value {
        Value::String(text) => change(key, text).into(),
        Value::Array(items) => items.iter().map(|item| with_texts(item, key, change)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (key.clone(), with_texts(value, key, change)))
            .collect(),
        other => other.clone(),
    }
}

/// The value with the members of `changes`; one that is `null` there is taken away.
pub fn changed(value: &Value, changes: &Value) -> Value {
    let mut members = value.as_object().cloned().unwrap_or_default();
    for (key, change) in changes.as_object().into_iter().flatten() {
        match change {
            Value::Null => members.remove(key),
            change => members.insert(key.clone(), change.clone()),
        };
    }
    members.into()
}

/// The hosts of all requests of a fixture.
pub fn hosts(fixture: &Value) -> Vec<String> {
    fn collect(value: &Value, hosts: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(request)) = members.get("request") {
                    let target = request.split_once(' ').map_or("", |(_, target)| target);
                    hosts.insert(target.split('/').next().unwrap_or_default().to_owned());
                }
                members.values().for_each(|value| collect(value, hosts));
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, hosts)),
            _ => {}
        }
    }
    let mut hosts = BTreeSet::new();
    collect(fixture, &mut hosts);
    hosts.into_iter().collect()
}

/// How a case's name ends its secrets, so that each case has an account of its own.
pub fn suffix(case: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!("-{}", case.chars().map(plain).collect::<String>())
}

/// Exchanges as a provider plays them, `$case` replaced.
pub fn script(exchanges: &Value, suffix: &str) -> Vec<Exchange> {
    let place = |_: &str, text: &str| text.replace("$case", suffix);
    list(exchanges)
        .iter()
        .map(|exchange| Exchange(with_texts(exchange, "", &place)))
        .collect()
}

/// The secrets of all connections in a fixture, and what it lists in `also_secret`. Of a secret URL it
/// is the last part of the path.
pub fn untold(fixture: &Value, secrets: &BTreeSet<String>) -> Vec<String> {
    fn texts(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) => found.push(text.rsplit('/').next().unwrap_or(text).to_owned()),
            Value::Object(members) => members.values().for_each(|value| texts(value, found)),
            _ => {}
        }
    }
    fn collect(value: &Value, secrets: &BTreeSet<String>, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    if key == "connection" {
                        secrets.iter().for_each(|secret| texts(&value[secret], found));
                    }
                    collect(value, secrets, found);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, secrets, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(fixture, secrets, &mut found);
    list(&fixture["also_secret"])
        .iter()
        .for_each(|value| texts(value, &mut found));
    found
}

/// Percent-encoded for a query.
pub fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
