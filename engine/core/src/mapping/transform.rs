//! The ten transforms. `docs/mappings.md` shows what each makes of each kind of value.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::datum::Datum;
use super::moment;

/// The longest text that is read as a number, in bytes.
const MAX_NUMBER_BYTES: usize = 64;

/// One step.
#[derive(Debug)]
pub(super) enum Transform {
    ToString,
    ToNumber,
    ToBoolean,
    ToDate(Option<TimeZone>),
    ToDatetime(Option<TimeZone>),
    Default(Datum<'static>),
    Trim,
    Lower,
    Upper,
    Substring { start: usize, length: Option<usize> },
}

const NO_OBJECT: &str = "takes no object";
const NO_ARRAY: &str = "takes no array";

impl Transform {
    /// The published name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ToString => "to_string",
            Self::ToNumber => "to_number",
            Self::ToBoolean => "to_boolean",
            Self::ToDate(_) => "to_date",
            Self::ToDatetime(_) => "to_datetime",
            Self::Default(_) => "default",
            Self::Trim => "trim",
            Self::Lower => "lower",
            Self::Upper => "upper",
            Self::Substring { .. } => "substring",
        }
    }

    /// Applies it. What is missing stays so, and null stays null, until a `default` replaces them. The
    /// error continues the transform's name.
    pub fn apply<'a>(&'a self, value: Datum<'a>) -> Result<Datum<'a>, &'static str> {
        match (self, value) {
            (Self::Default(default), value) if value.is_empty() => Ok(default.clone()),
            (Self::Default(_), value) => Ok(value),
            (_, value @ (Datum::Missing | Datum::Null)) => Ok(value),
            (Self::ToNumber, value) => to_number(value),
            (Self::ToBoolean, value) => to_boolean(&value).map(Datum::Boolean),
            (Self::ToDate(zone), value) => moment::read(&value)?
                .date(zone.as_ref())
                .map(|text| Datum::Text(text.into())),
            (Self::ToDatetime(zone), value) => moment::read(&value)?
                .datetime(zone.as_ref())
                .map(|text| Datum::Text(text.into())),
            (Self::ToString, Datum::Object(text) | Datum::Array(text)) => Ok(Datum::Text(text)),
            (Self::ToString, value) => text_of(value).map(Datum::Text),
            (Self::Trim, value) => text_of(value).map(|text| Datum::Text(trimmed(text))),
            (Self::Lower, value) => text_of(value).map(|text| Datum::Text(text.to_lowercase().into())),
            (Self::Upper, value) => text_of(value).map(|text| Datum::Text(text.to_uppercase().into())),
            (Self::Substring { start, length }, value) => {
                let text = text_of(value)?;
                let part = text.chars().skip(*start).take(length.unwrap_or(usize::MAX));
                Ok(Datum::Text(part.collect::<String>().into()))
            }
        }
    }
}

/// A scalar as text.
fn text_of(value: Datum<'_>) -> Result<Cow<'_, str>, &'static str> {
    match value {
        Datum::Text(text) | Datum::Number(text) => Ok(text),
        Datum::Boolean(boolean) => Ok(if boolean { "true" } else { "false" }.into()),
        Datum::Object(_) => Err(NO_OBJECT),
        Datum::Array(_) => Err(NO_ARRAY),
        Datum::Missing | Datum::Null => Ok("".into()),
    }
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => text.trim().into(),
        Cow::Owned(text) => text.trim().to_owned().into(),
    }
}

fn to_number(value: Datum<'_>) -> Result<Datum<'_>, &'static str> {
    match value {
        Datum::Boolean(boolean) => Ok(Datum::Number(if boolean { "1" } else { "0" }.into())),
        Datum::Text(text) => number(text.trim())
            .map(|spelling| Datum::Number(spelling.into()))
            .ok_or("cannot read this text as a number"),
        Datum::Object(_) => Err(NO_OBJECT),
        Datum::Array(_) => Err(NO_ARRAY),
        other => Ok(other),
    }
}

/// The JSON spelling of a decimal number: sign, digits, fraction and exponent as they are, without a
/// plus before it and zeros in front.
fn number(text: &str) -> Option<String> {
    if text.len() > MAX_NUMBER_BYTES {
        return None;
    }
    let (minus, rest) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (whole, rest) = rest.split_at(digits);
    let whole = match whole.trim_start_matches('0') {
        "" if whole.is_empty() => return None,
        "" => "0",
        significant => significant,
    };
    let spelling = format!("{minus}{whole}{rest}");
    // What is left must be a fraction and an exponent as JSON has them, within what readers can hold.
    let read: serde_json::Number = serde_json::from_str(&spelling).ok()?;
    read.as_f64().filter(|number| number.is_finite())?;
    Some(spelling)
}

fn to_boolean(value: &Datum<'_>) -> Result<bool, &'static str> {
    match value {
        Datum::Boolean(boolean) => Ok(*boolean),
        Datum::Number(spelling) => match spelling.parse::<f64>() {
            Ok(0.0) => Ok(false),
            Ok(1.0) => Ok(true),
            _ => Err("takes no number but 0 and 1"),
        },
        Datum::Text(text) => match text.trim().to_lowercase().as_str() {
            "true" | "yes" | "y" | "on" | "1" => Ok(true),
            "false" | "no" | "n" | "off" | "0" => Ok(false),
            _ => Err("cannot read this text as true or false"),
        },
        Datum::Object(_) => Err(NO_OBJECT),
        _ => Err(NO_ARRAY),
    }
}
