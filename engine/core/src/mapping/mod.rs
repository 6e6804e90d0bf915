//! Mappings: which parts of an event fill which fields of a destination, and in what form.
//!
//! - [`schema`]: the published schema, read strictly and compiled once
//! - [`datum`]: one value on its way, which keeps a number's spelling
//! - [`transform`]: the ten transforms; [`moment`]: dates and times among them
//! - [`pick`]: the parts of a payload that a mapping names, found in one pass over its text
//! - [`generate`]: the mapping that is suggested by a destination's field catalog
//!
//! `docs/mappings.md` has the table of what each transform makes of each value; a test holds the code
//! to that table.

mod datum;
mod generate;
mod moment;
mod pick;
mod schema;
#[cfg(test)]
mod tests;
mod transform;

use std::fmt;

use crate::event::Event;

use datum::Datum;
pub use generate::generated;
use pick::{Paths, Unpicked};
pub use schema::{MAX_FIELDS, MAX_TRANSFORMS, SchemaProblem};
use transform::Transform;

/// The longest single value that a mapping makes, in bytes of JSON.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;

/// The most that all values of one event may come to, in bytes of JSON.
pub const MAX_MAPPED_BYTES: usize = 256 * 1024;

/// The most text that the transforms of one event may read, in bytes: what keeps 250 fields of ten
/// transforms each from working on the longest payload over and over.
const MAX_TRANSFORMED_BYTES: usize = 4 * 1024 * 1024;

/// The most of the payload of one event that is read again for paths that lead on from values which are mapped
/// themselves, in bytes: what keeps paths that go down together, level by level, from reading the longest
/// payload at each.
const MAX_READ_AGAIN_BYTES: usize = 2 * 1024 * 1024;

/// A mapping that passed its checks, ready to be applied.
#[derive(Debug)]
pub struct Mapping {
    fields: Vec<Field>,
    paths: Paths,
}

/// What fills one field of the destination.
#[derive(Debug)]
struct Field {
    dest: String,
    source: Source,
    transforms: Vec<Transform>,
    on_error: Option<OnError>,
}

/// Where a value comes from.
#[derive(Debug)]
enum Source {
    Literal(Datum<'static>),
    /// A path in the payload; the number is its place among the picked values.
    Path {
        path: String,
        slot: usize,
    },
    /// A member of the event itself; additive to the published schema.
    Event(Member),
}

/// The members of an event that a mapping can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Id,
    Event,
    Resource,
    ResourceId,
    CreatedAt,
}

impl Member {
    const ALL: [(&'static str, Self); 5] = [
        ("id", Self::Id),
        ("event", Self::Event),
        ("resource", Self::Resource),
        ("resource_id", Self::ResourceId),
        ("created_at", Self::CreatedAt),
    ];

    fn of(self, event: &Event) -> Datum<'_> {
        match self {
            Self::Id => Datum::Text(event.id.to_string().into()),
            Self::Event => Datum::Text(event.event.as_str().into()),
            Self::Resource => Datum::Text(event.resource.as_str().into()),
            Self::ResourceId => match &event.resource_id {
                Some(id) => Datum::Text(id.as_str().into()),
                None => Datum::Missing,
            },
            Self::CreatedAt => Datum::Text(event.created_at.to_string().into()),
        }
    }
}

/// What happens when a field cannot be filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnError {
    SkipField,
    WarnAction,
    FailAction,
}

/// What a mapping made of an event.
#[derive(Debug, Default)]
pub struct Mapped {
    /// The destination's fields: the text of a JSON object.
    pub fields: String,
    /// Fields that were left out, and whose mapping asks for a warning about it.
    pub warnings: Vec<Problem>,
    /// Fields that were left out because their mapping says so or, where it says nothing, because
    /// their value could not be used. A member that the payload does not have is not among them then.
    pub skipped: Vec<Problem>,
}

/// Why a field of the destination could not be filled. Its text names fields and types, never a value
/// of the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The destination's field.
    pub dest: String,
    why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    Missing(String),
    Transform {
        name: &'static str,
        problem: &'static str,
    },
    Empty,
    TooLong,
    TooMuch,
    TooCostly,
    TooDeep,
    Unreadable,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.dest)?;
        match &self.why {
            Why::Missing(source) => write!(f, "the event has no {source}"),
            Why::Transform { name, problem } => write!(f, "{name} {problem}"),
            Why::Empty => f.write_str("the destination requires it, and the value is empty"),
            Why::TooLong => write!(f, "the value would have more than {MAX_VALUE_BYTES} bytes"),
            Why::TooMuch => write!(
                f,
                "all fields together would have more than {MAX_MAPPED_BYTES} bytes"
            ),
            Why::TooCostly => write!(
                f,
                "the transforms would read more than {MAX_TRANSFORMED_BYTES} bytes"
            ),
            Why::TooDeep => write!(
                f,
                "paths that lead into values which are mapped as a whole would read more than {MAX_READ_AGAIN_BYTES} bytes again"
            ),
            Why::Unreadable => f.write_str("the payload cannot be read"),
        }
    }
}

impl Mapping {
    /// The destination fields that it speaks of.
    pub fn destinations(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.dest.as_str())
    }

    /// Fills the destination's fields from an event. `required` says which of them the destination
    /// cannot do without: those fail the action where their mapping does not say what else to do, and
    /// count as not filled when they come out empty. The error is the first field that fails it.
    ///
    /// The same event gives the same answer; no input makes it panic.
    pub fn apply(&self, event: &Event, required: &dyn Fn(&str) -> bool) -> Result<Mapped, Problem> {
        let picked = self
            .paths
            .pick(&event.payload, MAX_READ_AGAIN_BYTES)
            .map_err(|unpicked| Problem {
                dest: "payload".into(),
                why: match unpicked {
                    Unpicked::NoJson => Why::Unreadable,
                    Unpicked::TooCostly => Why::TooDeep,
                },
            })?;
        let mut mapped = Mapped {
            fields: "{".into(),
            ..Mapped::default()
        };
        let mut to_read = MAX_TRANSFORMED_BYTES;
        for field in &self.fields {
            let value = match &field.source {
                Source::Literal(value) => value.clone(),
                Source::Path { slot, .. } => picked[*slot].map_or(Datum::Missing, Datum::of),
                Source::Event(member) => member.of(event),
            };
            let is_required = required(&field.dest);
            let Err(why) = field.put(value, is_required, &mut to_read, &mut mapped.fields) else {
                continue;
            };
            let quiet = field.on_error.is_none() && matches!(why, Why::Missing(_));
            let problem = Problem {
                dest: field.dest.clone(),
                why,
            };
            let by_default = if is_required {
                OnError::FailAction
            } else {
                OnError::SkipField
            };
            match field.on_error.unwrap_or(by_default) {
                OnError::FailAction => return Err(problem),
                OnError::WarnAction => mapped.warnings.push(problem),
                OnError::SkipField if quiet => {}
                OnError::SkipField => mapped.skipped.push(problem),
            }
        }
        mapped.fields.push('}');
        Ok(mapped)
    }
}

impl Field {
    /// Transforms the value and appends it as a member of the JSON object in `out`.
    fn put(
        &self,
        value: Datum<'_>,
        required: bool,
        to_read: &mut usize,
        out: &mut String,
    ) -> Result<(), Why> {
        let mut value = value;
        for transform in &self.transforms {
            *to_read = to_read.checked_sub(value.bytes()).ok_or(Why::TooCostly)?;
            value = transform.apply(value).map_err(|problem| Why::Transform {
                name: transform.name(),
                problem,
            })?;
        }
        if matches!(value, Datum::Missing) {
            return Err(Why::Missing(self.source.to_string()));
        }
        if required && value.is_empty() {
            return Err(Why::Empty);
        }
        let before = out.len();
        if before > 1 {
            out.push(',');
        }
        datum::push_text(out, &self.dest);
        out.push(':');
        let start = out.len();
        value.push_json(out);
        let why = if out.len() - start > MAX_VALUE_BYTES {
            Why::TooLong
        } else if out.len() >= MAX_MAPPED_BYTES {
            Why::TooMuch
        } else {
            return Ok(());
        };
        out.truncate(before);
        Err(why)
    }
}

/// As messages name it.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("literal"),
            Self::Path { path, .. } => write!(f, "payload.{path}"),
            Self::Event(member) => {
                let name = Member::ALL.iter().find(|(_, known)| known == member);
                f.write_str(name.map_or("member", |(name, _)| name))
            }
        }
    }
}

impl Mapped {
    /// What the history adds to the message of an attempt; nothing when every field was filled.
    pub fn remarks(&self) -> Option<String> {
        let told = |label: &str, problems: &[Problem]| {
            let first: Vec<String> = problems.iter().take(5).map(Problem::to_string).collect();
            let more = match problems.len().saturating_sub(5) {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            (!problems.is_empty()).then(|| format!("{label}: {}{more}.", first.join("; ")))
        };
        let warned = told("Mapping warning", &self.warnings);
        let skipped = told("Left out", &self.skipped);
        match (warned, skipped) {
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => Some(one),
            (Some(warned), Some(skipped)) => Some(format!("{warned} {skipped}")),
        }
    }
}
