//! The published schema of a mapping, read strictly. Whatever is wrong is told with its place, such as
//! `schema.fields[3].transforms[0].start`, and all of it at once.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::datum::Datum;
use super::pick::Paths;
use super::transform::Transform;
use super::{Field, Mapping, Member, OnError, Source, moment};

/// The most fields of a mapping.
pub const MAX_FIELDS: usize = 250;

/// The most transforms of a field.
pub const MAX_TRANSFORMS: usize = 10;

/// The most problems that are told at once.
const MAX_PROBLEMS: usize = 50;

/// What is wrong with a schema, and where. It names no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct SchemaProblem {
    /// Such as `schema.fields[3].dest`.
    pub place: String,
    /// Such as "must have 1 to 128 characters".
    pub problem: String,
}

impl Mapping {
    /// Reads and compiles a schema. `place` is what problems call its root, such as `schema`.
    pub fn parse(schema: &Value, place: &str) -> Result<Self, Vec<SchemaProblem>> {
        let mut reader = Reader::default();
        let mapping = reader.mapping(schema, place);
        match mapping {
            Some(mapping) if reader.problems.is_empty() => Ok(mapping),
            _ => Err(reader.problems),
        }
    }
}

#[derive(Default)]
struct Reader {
    problems: Vec<SchemaProblem>,
}

impl Reader {
    fn problem<T>(&mut self, place: &str, problem: impl Into<String>) -> Option<T> {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(SchemaProblem {
                place: place.to_owned(),
                problem: problem.into(),
            });
        }
        None
    }

    /// An object that has no members but `known`.
    fn object<'v>(
        &mut self,
        value: &'v Value,
        place: &str,
        known: &[&str],
    ) -> Option<&'v Map<String, Value>> {
        let Some(members) = value.as_object() else {
            return self.problem(place, "must be an object");
        };
        for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
            let name: String = name.chars().take(64).collect();
            let known = known.join(", ");
            self.problem::<()>(
                &format!("{place}.{name}"),
                format!("is not known; there are {known}"),
            );
        }
        Some(members)
    }

    fn text<'v>(&mut self, value: &'v Value, place: &str, longest: usize) -> Option<&'v str> {
        match value.as_str() {
            Some(text) if !text.is_empty() && text.chars().count() <= longest => Some(text),
            Some(_) => self.problem(place, format!("must have 1 to {longest} characters")),
            None => self.problem(place, "must be a string"),
        }
    }

    fn text_if_any<'v>(
        &mut self,
        members: &'v Map<String, Value>,
        name: &str,
        place: &str,
        longest: usize,
    ) -> Option<&'v str> {
        let value = members.get(name)?;
        self.text(value, &format!("{place}.{name}"), longest)
    }

    fn mapping(&mut self, schema: &Value, place: &str) -> Option<Mapping> {
        let schema = self.object(schema, place, &["schema_version", "fields", "meta"])?;
        if schema.get("schema_version").and_then(Value::as_f64) != Some(1.0) {
            self.problem::<()>(&format!("{place}.schema_version"), "must be 1");
        }
        if let Some(meta) = schema.get("meta") {
            let place = format!("{place}.meta");
            if let Some(meta) = self.object(meta, &place, &["name", "notes"]) {
                self.text_if_any(meta, "name", &place, 64);
                self.text_if_any(meta, "notes", &place, 1024);
            }
        }
        let place = format!("{place}.fields");
        let fields = match schema.get("fields").map(Value::as_array) {
            None => return self.problem(&place, "is required"),
            Some(None) => return self.problem(&place, "must be an array"),
            Some(Some(fields)) => fields,
        };
        if fields.len() > MAX_FIELDS {
            return self.problem(&place, format!("may have {MAX_FIELDS} entries"));
        }
        let (mut paths, mut filled) = (Paths::default(), HashMap::new());
        let mut compiled = Vec::with_capacity(fields.len());
        for (index, field) in fields.iter().enumerate() {
            let place = format!("{place}[{index}]");
            let Some(field) = self.field(field, &place, &mut paths) else {
                continue;
            };
            if let Some(first) = filled.insert(field.dest.clone(), index) {
                self.problem::<()>(
                    &format!("{place}.dest"),
                    format!("is filled by fields[{first}] already"),
                );
            }
            compiled.push(field);
        }
        Some(Mapping {
            fields: compiled,
            paths,
        })
    }

    fn field(&mut self, field: &Value, place: &str, paths: &mut Paths) -> Option<Field> {
        let known = ["dest", "source", "transforms", "on_error", "notes"];
        let field = self.object(field, place, &known)?;
        let dest = match field.get("dest") {
            Some(dest) => self.text(dest, &format!("{place}.dest"), 128),
            None => self.problem(&format!("{place}.dest"), "is required"),
        };
        let source = match field.get("source") {
            Some(source) => self.source(source, &format!("{place}.source"), paths),
            None => self.problem(&format!("{place}.source"), "is required"),
        };
        let transforms = match field.get("transforms") {
            Some(transforms) => self.transforms(transforms, &format!("{place}.transforms")),
            None => Some(Vec::new()),
        };
        let on_error = match field.get("on_error").map(Value::as_str) {
            None => None,
            Some(Some("skip_field")) => Some(OnError::SkipField),
            Some(Some("warn_action")) => Some(OnError::WarnAction),
            Some(Some("fail_action")) => Some(OnError::FailAction),
            Some(_) => self.problem(
                &format!("{place}.on_error"),
                "must be one of skip_field, warn_action, fail_action",
            ),
        };
        self.text_if_any(field, "notes", place, 1024);
        Some(Field {
            dest: dest?.to_owned(),
            source: source?,
            transforms: transforms?,
            on_error,
        })
    }

    fn source(&mut self, source: &Value, place: &str, paths: &mut Paths) -> Option<Source> {
        let source = self.object(source, place, &["type", "value"])?;
        let place_of_value = format!("{place}.value");
        let Some(value) = source.get("value") else {
            return self.problem(&place_of_value, "is required");
        };
        match source.get("type").and_then(Value::as_str) {
            Some("literal") => self.scalar(value, &place_of_value, 256).map(Source::Literal),
            Some("path") => {
                let path = self.text(value, &place_of_value, 128)?;
                if !is_path(path) {
                    return self.problem(
                        &place_of_value,
                        "must be names of letters, digits and _ joined by dots, from the payload's root, such as user.email",
                    );
                }
                Some(Source::Path {
                    path: path.to_owned(),
                    slot: paths.add(path),
                })
            }
            Some("event") => {
                let named = value.as_str();
                let member = Member::ALL.iter().find(|(name, _)| Some(*name) == named);
                match member {
                    Some((_, member)) => Some(Source::Event(*member)),
                    None => {
                        let names = Member::ALL.map(|(name, _)| name).join(", ");
                        self.problem(&place_of_value, format!("must be one of {names}"))
                    }
                }
            }
            _ => self.problem(&format!("{place}.type"), "must be one of path, literal, event"),
        }
    }

    fn scalar(&mut self, value: &Value, place: &str, longest: usize) -> Option<Datum<'static>> {
        if value.is_string() {
            self.text(value, place, longest)?;
        }
        match Datum::of_scalar(value) {
            Some(scalar) => Some(scalar),
            None => self.problem(place, "must be a string, a number, a boolean or null"),
        }
    }

    fn transforms(&mut self, transforms: &Value, place: &str) -> Option<Vec<Transform>> {
        let Some(transforms) = transforms.as_array() else {
            return self.problem(place, "must be an array");
        };
        if transforms.len() > MAX_TRANSFORMS {
            return self.problem(place, format!("may have {MAX_TRANSFORMS} entries"));
        }
        let transforms = transforms.iter().enumerate();
        let compiled: Vec<_> = transforms
            .map(|(index, transform)| self.transform(transform, &format!("{place}[{index}]")))
            .collect();
        compiled.into_iter().collect()
    }

    fn transform(&mut self, transform: &Value, place: &str) -> Option<Transform> {
        let name = transform.get("type").and_then(Value::as_str);
        let known: &[&str] = match name {
            Some("to_date" | "to_datetime") => &["type", "timezone"],
            Some("default") => &["type", "value"],
            Some("substring") => &["type", "start", "length"],
            _ => &["type"],
        };
        let members = self.object(transform, place, known)?;
        match name {
            Some("to_string") => Some(Transform::ToString),
            Some("to_number") => Some(Transform::ToNumber),
            Some("to_boolean") => Some(Transform::ToBoolean),
            Some("to_date") => self.zone(members, place).map(Transform::ToDate),
            Some("to_datetime") => self.zone(members, place).map(Transform::ToDatetime),
            Some("trim") => Some(Transform::Trim),
            Some("lower") => Some(Transform::Lower),
            Some("upper") => Some(Transform::Upper),
            Some("default") => {
                let place = format!("{place}.value");
                match members.get("value") {
                    Some(value) => self.scalar(value, &place, 128).map(Transform::Default),
                    None => self.problem(&place, "is required"),
                }
            }
            Some("substring") => {
                let start = match members.get("start") {
                    Some(start) => self.count(start, &format!("{place}.start"), 0),
                    None => self.problem(&format!("{place}.start"), "is required"),
                };
                let length = match members.get("length") {
                    Some(length) => self.count(length, &format!("{place}.length"), 1).map(Some),
                    None => Some(None),
                };
                Some(Transform::Substring {
                    start: start?,
                    length: length?,
                })
            }
            _ => self.problem(
                &format!("{place}.type"),
                "must be one of to_string, to_number, to_boolean, to_date, to_datetime, default, trim, lower, \
                 upper, substring",
            ),
        }
    }

    #[allow(clippy::option_option)] // Without a zone, or with a problem.
    fn zone(&mut self, members: &Map<String, Value>, place: &str) -> Option<Option<TimeZone>> {
        let Some(name) = members.get("timezone") else {
            return Some(None);
        };
        let place = format!("{place}.timezone");
        let name = self.text(name, &place, 64)?;
        match moment::zone(name) {
            Some(zone) => Some(Some(zone)),
            None => self.problem(&place, "must be an IANA time zone, such as Europe/Berlin"),
        }
    }

    /// A whole number; `3.0` is one too.
    fn count(&mut self, value: &Value, place: &str, least: u64) -> Option<usize> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Looked at first.
        let whole = |number: f64| {
            (number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number))
                .then_some(number as u64)
        };
        let count = value.as_u64().or_else(|| value.as_f64().and_then(whole));
        match count.filter(|count| *count >= least) {
            Some(count) => Some(usize::try_from(count).unwrap_or(usize::MAX)),
            None => self.problem(place, format!("must be a whole number from {least}")),
        }
    }
}

/// The published clients' `^[a-zA-Z_][a-zA-Z0-9_]*(\.[a-zA-Z0-9_]+)*$`.
pub(super) fn is_path(path: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    !path.starts_with(|c: char| c.is_ascii_digit()) && path.split('.').all(is_name)
}
