//! The engine's own OpenAPI document, against which every answer of every test is held, and every body
//! that was accepted: what is not described does not pass.
//!
//! The reader of schemas is our own and knows what the document uses: a library for all of JSON Schema
//! would bring features into the build of the engine (other hash tables, other numbers) that the engine
//! is not shipped with.

use reqwest::Client;
use serde_json::Value;
use tokio::sync::OnceCell;

/// The document.
pub struct Description(Value);

/// All engines of a test run are one binary.
static DESCRIPTION: OnceCell<Description> = OnceCell::const_new();

/// The document of the engine at `base`; `None` when the engine is not there (any more).
pub async fn of(client: &Client, base: &str) -> Option<&'static Description> {
    let read = || async {
        let text = client
            .get(format!("{base}/openapi.json"))
            .send()
            .await?
            .text()
            .await?;
        let document = serde_json::from_str(&text).expect("the document is JSON");
        Ok::<_, reqwest::Error>(Description(document))
    };
    DESCRIPTION.get_or_try_init(read).await.ok()
}

impl Description {
    /// What is wrong with an exchange, if something is. `path` is below `/api/v1`, without its query.
    pub fn problem(
        &self,
        method: &str,
        path: &str,
        sent: Option<&[u8]>,
        status: u16,
        body: &str,
    ) -> Option<String> {
        let (template, operation) = self.operation(method, path)?;
        // The method is not one of this path's: it was another path's that looks like it.
        if status == 405 {
            return None;
        }
        let answer = &operation["responses"][status.to_string()];
        if answer.is_null() {
            return Some(format!(
                "{method} {template} does not say that it can answer {status}: {body}"
            ));
        }
        let schema = &answer["content"]["application/json"]["schema"];
        if let Err(problem) = self.read(schema, body.as_bytes()) {
            return Some(format!(
                "{method} {template} answers {status} otherwise than it says: {problem}: {body}"
            ));
        }
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        // A bulk of which a part was refused may hold anything.
        let accepted = (200..300).contains(&status) && status != 207 && !schema.is_null();
        let sent = sent.filter(|sent| accepted && !sent.is_empty())?;
        let problem = self.read(schema, sent).err()?;
        Some(format!(
            "{method} {template} accepts what it does not describe: {problem}: {}",
            String::from_utf8_lossy(sent)
        ))
    }

    /// The operation; a path that is spelled out comes before one with a placeholder.
    fn operation(&self, method: &str, path: &str) -> Option<(&str, &Value)> {
        let asked: Vec<&str> = path.split('/').collect();
        let paths = self.0["paths"].as_object()?.iter();
        let fitting = paths.filter_map(|(template, methods)| {
            let parts: Vec<&str> = template.strip_prefix("/api/v1")?.split('/').collect();
            let fits = parts.len() == asked.len()
                && parts
                    .iter()
                    .zip(&asked)
                    .all(|(part, asked)| part.starts_with('{') || part == asked);
            let operation = methods.get(method.to_lowercase())?;
            fits.then_some((template.as_str(), operation))
        });
        fitting.min_by_key(|(template, _)| template.matches('{').count())
    }

    fn read(&self, schema: &Value, text: &[u8]) -> Result<(), String> {
        let instance: Value =
            serde_json::from_slice(text).map_err(|error| format!("it is no JSON ({error})"))?;
        self.check(schema, &instance)
    }

    /// How an instance differs from a schema. Members that an object's schema does not name are refused.
    fn check(&self, schema: &Value, instance: &Value) -> Result<(), String> {
        if let Some(path) = schema["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
            let schema = self
                .0
                .pointer(path)
                .ok_or_else(|| format!("{path} is not there"))?;
            return self.check(schema, instance);
        }
        if let Some(parts) = schema["allOf"].as_array() {
            return self.check(&self.merged(parts), instance);
        }
        for choice in ["oneOf", "anyOf"] {
            if let Some(options) = schema[choice].as_array() {
                let problems: Vec<String> = options
                    .iter()
                    .filter_map(|option| self.check(option, instance).err())
                    .collect();
                if problems.len() == options.len() {
                    return Err(problems.join(" / "));
                }
                return Ok(());
            }
        }
        is_of_type(&schema["type"], instance)?;
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(instance)
        {
            return Err(format!("{instance} is none of {}", schema["enum"]));
        }
        bounded(schema, instance)?;
        match instance {
            Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
                self.check(&schema["items"], item)
                    .map_err(|problem| format!("[{index}]: {problem}"))
            }),
            Value::Object(members) => {
                for name in schema["required"].as_array().into_iter().flatten() {
                    if !members.contains_key(name.as_str().unwrap_or_default()) {
                        return Err(format!("it lacks {name}"));
                    }
                }
                for (name, member) in members {
                    let known = &schema["properties"][name];
                    let known = match (&schema["properties"], known) {
                        (Value::Object(_), Value::Null) if schema["additionalProperties"].is_null() => {
                            return Err(format!("it has {name:?}, which is not described"));
                        }
                        (_, Value::Null) => &schema["additionalProperties"],
                        (_, known) => known,
                    };
                    if known.is_object() {
                        self.check(known, member)
                            .map_err(|problem| format!("{name}: {problem}"))?;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Several objects' schemas as one, of all their members.
    fn merged(&self, parts: &[Value]) -> Value {
        let mut whole = serde_json::json!({"type": "object", "properties": {}, "required": []});
        for part in parts {
            let path = part["$ref"].as_str().and_then(|path| path.strip_prefix('#'));
            let part = path.and_then(|path| self.0.pointer(path)).unwrap_or(part);
            for (name, member) in part["properties"].as_object().into_iter().flatten() {
                whole["properties"][name] = member.clone();
            }
            let required = part["required"].as_array().cloned().unwrap_or_default();
            whole["required"]
                .as_array_mut()
                .expect("it is a list")
                .extend(required);
        }
        whole
    }
}

/// No `type` is any type.
fn is_of_type(types: &Value, instance: &Value) -> Result<(), String> {
    let is = |name: &str| match name {
        "null" => instance.is_null(),
        "boolean" => instance.is_boolean(),
        "integer" => instance.is_i64() || instance.is_u64(),
        "number" => instance.is_number(),
        "string" => instance.is_string(),
        "array" => instance.is_array(),
        "object" => instance.is_object(),
        _ => false,
    };
    let fits = match types {
        Value::Null => true,
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().any(|name| name.as_str().is_some_and(is)),
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err(format!("{instance} is not of type {types}"))
    }
}

fn bounded(schema: &Value, instance: &Value) -> Result<(), String> {
    let number = |key: &str| schema[key].as_f64();
    let size = match instance {
        Value::Number(value) => value.as_f64().map(|value| (value, "minimum", "maximum")),
        Value::String(text) => Some((text.chars().count() as f64, "minLength", "maxLength")),
        Value::Array(items) => Some((items.len() as f64, "minItems", "maxItems")),
        _ => None,
    };
    let Some((size, least, most)) = size else {
        return Ok(());
    };
    if number(least).is_some_and(|least| size < least) || number(most).is_some_and(|most| size > most) {
        return Err(format!("{instance} is not within {least} and {most}"));
    }
    let (Value::String(text), Some(pattern)) = (instance, schema["pattern"].as_str()) else {
        return well_formed(schema, instance);
    };
    let regex = regex_lite::Regex::new(pattern).map_err(|error| error.to_string())?;
    if regex.is_match(text) {
        Ok(())
    } else {
        Err(format!("{instance} does not match {pattern}"))
    }
}

fn well_formed(schema: &Value, instance: &Value) -> Result<(), String> {
    let text = instance.as_str().unwrap_or_default();
    let good = match schema["format"].as_str() {
        Some("uuid") => uuid::Uuid::try_parse(text).is_ok(),
        Some("date-time") => text.len() >= 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T',
        _ => true,
    };
    if good || !instance.is_string() {
        Ok(())
    } else {
        Err(format!("{instance} is no {}", schema["format"]))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn description() -> Description {
        Description(json!({
            "paths": {"/api/v1/things/{thing}": {"put": {
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}},
            }}},
            "components": {"schemas": {"Thing": {"type": "object", "required": ["name"], "properties": {
                "name": {"type": "string", "minLength": 2, "pattern": "^[a-z]+$"},
                "size": {"type": ["integer", "null"], "minimum": 0},
                "kind": {"oneOf": [{"type": "null"}, {"type": "string", "enum": ["a", "b"]}]},
                "of": {"type": "array", "items": {"type": "string", "format": "uuid"}},
            }}}},
        }))
    }

    #[test]
    fn what_is_not_described_does_not_pass() {
        let whole =
            json!({"name": "abc", "size": null, "kind": "a", "of": ["01981f6e-7d3c-7000-8000-000000000001"]});
        let problem = |sent: &Value, status, answer: &Value| {
            description().problem(
                "PUT",
                "/things/7",
                Some(sent.to_string().as_bytes()),
                status,
                &answer.to_string(),
            )
        };
        assert_eq!(problem(&whole, 200, &whole), None);
        assert!(problem(&whole, 201, &whole).is_some(), "an unknown status");
        for (member, value) in [
            ("name", json!("a")),
            ("name", json!("ABC")),
            ("name", json!(7)),
            ("size", json!(-1)),
            ("size", json!(1.5)),
            ("kind", json!("c")),
            ("of", json!(["x"])),
            ("of", json!("x")),
            ("more", json!(1)),
        ] {
            let mut wrong = whole.clone();
            wrong[member] = value.clone();
            assert!(
                problem(&whole, 200, &wrong).is_some(),
                "answered {member} {value}"
            );
            assert!(
                problem(&wrong, 200, &whole).is_some(),
                "accepted {member} {value}"
            );
        }
        assert!(
            problem(&whole, 200, &json!({})).is_some(),
            "a required member is missing"
        );
    }
}
