//! Values while a condition is evaluated. What comes from the payload is borrowed, never copied.

use std::cmp::Ordering;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json};

use super::tree::Type;

#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(&'a str),
    /// A text that was put together here.
    Made(Rc<str>),
    Array(&'a [Json]),
    Object(&'a Map<String, Json>),
    List(Rc<[Value<'a>]>),
    Map(Rc<[(Value<'a>, Value<'a>)]>),
    Time(Timestamp),
    Span(SignedDuration),
    Type(Type),
}

impl<'a> From<&'a Json> for Value<'a> {
    /// Whole numbers of 64 bits are `int`, or `uint` above that; all others are `double`.
    fn from(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(*truth),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(whole), _) => Self::Int(whole),
                (None, Some(whole)) => Self::Uint(whole),
                (None, None) => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Text(text),
            Json::Array(items) => Self::Array(items),
            Json::Object(members) => Self::Object(members),
        }
    }
}

impl<'a> Value<'a> {
    pub fn type_of(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Uint(_) => Type::Uint,
            Self::Double(_) => Type::Double,
            Self::Text(_) | Self::Made(_) => Type::Text,
            Self::Array(_) | Self::List(_) => Type::List,
            Self::Object(_) | Self::Map(_) => Type::Map,
            Self::Time(_) => Type::Time,
            Self::Span(_) => Type::Span,
            Self::Type(_) => Type::Type,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Made(text) => Some(text),
            _ => None,
        }
    }

    /// How many elements; `None` for what has none.
    pub fn len(&self) -> Option<usize> {
        match self {
            Self::Array(items) => Some(items.len()),
            Self::List(items) => Some(items.len()),
            Self::Object(members) => Some(members.len()),
            Self::Map(entries) => Some(entries.len()),
            _ => None,
        }
    }

    /// An element of a list.
    pub fn item(&self, at: usize) -> Option<Value<'a>> {
        match self {
            Self::Array(items) => items.get(at).map(Into::into),
            Self::List(items) => items.get(at).cloned(),
            _ => None,
        }
    }

    /// As JSON, to be shown; not more than `left` values of it.
    pub fn shown(&self, left: &mut usize) -> Json {
        let Some(still) = left.checked_sub(1) else {
            return Json::String("…".into());
        };
        *left = still;
        match self {
            Self::Null => Json::Null,
            Self::Bool(truth) => (*truth).into(),
            Self::Int(number) => (*number).into(),
            Self::Uint(number) => (*number).into(),
            Self::Double(number) => (*number).into(),
            Self::Text(text) => clipped(text).into(),
            Self::Made(text) => clipped(text).into(),
            Self::Array(_) | Self::List(_) => {
                let length = self.len().unwrap_or_default().min(*left + 1);
                let items = (0..length).filter_map(|at| Some(self.item(at)?.shown(left)));
                Json::Array(items.collect())
            }
            Self::Object(members) => {
                let shown = members.iter().take(*left + 1);
                let shown = shown.map(|(key, value)| (clipped(key), Value::from(value).shown(left)));
                Json::Object(shown.collect())
            }
            Self::Map(entries) => {
                let shown = entries.iter().take(*left + 1);
                let shown = shown.map(|(key, value)| {
                    let key = match key.text() {
                        Some(text) => clipped(text),
                        None => key.shown(&mut 1).to_string(),
                    };
                    (key, value.shown(left))
                });
                Json::Object(shown.collect())
            }
            Self::Time(time) => time.to_string().into(),
            Self::Span(span) => seconds(*span).into(),
            Self::Type(kind) => kind.name().into(),
        }
    }
}

/// A text in an explanation, not at any length.
fn clipped(text: &str) -> String {
    const MOST: usize = 200;
    if text.len() <= MOST {
        return text.into();
    }
    format!("{}…", &text[..text.floor_char_boundary(MOST)])
}

/// A duration as CEL writes it: `5400s`, `0.25s`.
pub(super) fn seconds(span: SignedDuration) -> String {
    let (whole, nanos) = (span.as_secs().unsigned_abs(), span.subsec_nanos().unsigned_abs());
    let sign = if span.is_negative() { "-" } else { "" };
    if nanos == 0 {
        return format!("{sign}{whole}s");
    }
    let nanos = format!("{nanos:09}");
    format!("{sign}{whole}.{}s", nanos.trim_end_matches('0'))
}

/// Which of two numbers is larger, by what they are and not by their types.
pub(super) fn compare_numbers(one: &Value<'_>, other: &Value<'_>) -> Option<Ordering> {
    use Value::{Double, Int, Uint};
    match (one, other) {
        (Int(one), Int(other)) => Some(one.cmp(other)),
        (Uint(one), Uint(other)) => Some(one.cmp(other)),
        (Int(one), Uint(other)) => Some(i128::from(*one).cmp(&i128::from(*other))),
        (Uint(one), Int(other)) => Some(i128::from(*one).cmp(&i128::from(*other))),
        (Double(one), Double(other)) => one.partial_cmp(other),
        (Int(one), Double(other)) => whole_with_double(i128::from(*one), *other),
        (Uint(one), Double(other)) => whole_with_double(i128::from(*one), *other),
        (Double(one), Int(other)) => whole_with_double(i128::from(*other), *one).map(Ordering::reverse),
        (Double(one), Uint(other)) => whole_with_double(i128::from(*other), *one).map(Ordering::reverse),
        _ => None,
    }
}

fn whole_with_double(whole: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // The cast stops at the ends of i128, which are beyond every whole number here.
    let order = whole.cmp(&(double.trunc() as i128));
    Some(order.then_with(|| 0.0_f64.partial_cmp(&double.fract()).unwrap_or(Ordering::Equal)))
}

/// A duration as CEL reads it: `1h30m`, `-1.5s`, `250ms`.
pub(super) fn parse_span(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut total = 0_i128;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let (unit, nanos) = [
            ("ns", 1_i128),
            ("us", 1_000),
            ("ms", 1_000_000),
            ("s", 1_000_000_000),
            ("m", 60_000_000_000),
            ("h", 3_600_000_000_000),
        ]
        .into_iter()
        .find(|(unit, _)| tail.starts_with(unit))?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() || whole.len() > 12 || part.len() > 9 {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let scale = 10_i128.pow(u32::try_from(part.len()).ok()?);
        let part: i128 = if part.is_empty() { 0 } else { part.parse().ok()? };
        total += whole * nanos + part * nanos / scale;
        rest = &tail[unit.len()..];
    }
    if text.len() <= usize::from(negative) {
        return None;
    }
    let total = if negative { -total } else { total };
    let seconds = i64::try_from(total / 1_000_000_000).ok()?;
    Some(SignedDuration::new(
        seconds,
        i32::try_from(total % 1_000_000_000).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_what_they_are() {
        use Value::{Double, Int, Uint};
        let cases = [
            (Int(1), Double(1.0), Some(Ordering::Equal)),
            (Int(1), Double(1.5), Some(Ordering::Less)),
            (Int(-1), Double(-1.5), Some(Ordering::Greater)),
            (
                Int(i64::MAX),
                Double(9_223_372_036_854_775_807.0),
                Some(Ordering::Less),
            ),
            (Int(i64::MAX), Uint(u64::MAX), Some(Ordering::Less)),
            (Uint(u64::MAX), Double(f64::INFINITY), Some(Ordering::Less)),
            (Int(0), Double(f64::NAN), None),
            (Double(2.5), Int(2), Some(Ordering::Greater)),
        ];
        for (one, other, expected) in cases {
            assert_eq!(compare_numbers(&one, &other), expected, "{one:?} {other:?}");
        }
    }

    #[test]
    fn durations_are_read_and_written_as_cel_does() {
        for (text, shown) in [
            ("1h30m", "5400s"),
            ("-1.5s", "-1.5s"),
            ("250ms", "0.25s"),
            ("0", "0s"),
            ("1us2ns", "0.000001002s"),
        ] {
            assert_eq!(parse_span(text).map(seconds).as_deref(), Some(shown), "{text}");
        }
        for bad in ["", "-", "1", "h", "1d", "1h ", ".s", "1.2.3s", "9999999999999h"] {
            assert_eq!(parse_span(bad), None, "{bad}");
        }
    }
}
