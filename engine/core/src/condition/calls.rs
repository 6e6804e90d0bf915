//! The functions.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::eval::{BYTES_PER_STEP, Evaluation, Result, wrong};
use super::numbers::double;
use super::tree::{Function, Node, Part, Type};
use super::value::{Value, parse_span, seconds};

/// Calls a function of one value, or of two.
pub(super) fn call<'a>(
    evaluation: &mut Evaluation<'a>,
    node: &'a Node,
    function: Function,
    arguments: &'a [Node],
) -> Result<Value<'a>> {
    let [first, rest @ ..] = arguments else {
        return Err(wrong(node, "an argument is missing"));
    };
    let value = evaluation.value(first)?;
    if let Some(text) = value.text() {
        evaluation.spend(text.len() / BYTES_PER_STEP, node)?;
    }
    let does_not_take = |value: &Value<'_>| {
        let (function, kind) = (function.name(), value.type_of().a());
        wrong(node, format!("{function}() does not take {kind}"))
    };
    let text = || value.text().ok_or_else(|| does_not_take(&value));
    match function {
        Function::Size => match (value.len(), value.text()) {
            (Some(length), _) => Ok(size(length)),
            (None, Some(text)) => Ok(size(text.chars().count())),
            (None, None) => Err(does_not_take(&value)),
        },
        Function::Contains | Function::StartsWith | Function::EndsWith => {
            let [second] = rest else {
                return Err(wrong(node, "an argument is missing"));
            };
            let sought = evaluation.value(second)?;
            let (Some(held), Some(sought)) = (value.text(), sought.text()) else {
                let misfit = if value.text().is_some() { &sought } else { &value };
                return Err(does_not_take(misfit));
            };
            evaluation.spend(sought.len() / BYTES_PER_STEP, node)?;
            Ok(Value::Bool(match function {
                Function::Contains => held.contains(sought),
                Function::StartsWith => held.starts_with(sought),
                _ => held.ends_with(sought),
            }))
        }
        Function::LowerAscii => Ok(Value::Made(text()?.to_ascii_lowercase().into())),
        Function::UpperAscii => Ok(Value::Made(text()?.to_ascii_uppercase().into())),
        Function::Trim => match &value {
            Value::Text(text) => Ok(Value::Text(text.trim())),
            _ => Ok(Value::Made(text()?.trim().into())),
        },
        Function::TypeOf => Ok(Value::Type(value.type_of())),
        Function::Part(part) => match &value {
            Value::Time(time) => Ok(Value::Int(part_of(*time, part))),
            Value::Span(span) if part.is_of_spans() => Ok(Value::Int(match part {
                Part::Hours => span.as_hours(),
                Part::Minutes => span.as_mins(),
                Part::Seconds => span.as_secs(),
                _ => i64::from(span.subsec_millis()),
            })),
            other => Err(does_not_take(other)),
        },
        Function::Convert(to) => match convert(&value, to) {
            Some(Ok(converted)) => Ok(converted),
            Some(Err(why)) => Err(wrong(node, why)),
            None => Err(does_not_take(&value)),
        },
    }
}

fn size<'a>(length: usize) -> Value<'a> {
    Value::Int(i64::try_from(length).unwrap_or(i64::MAX))
}

/// `None` when the function does not take such a value at all.
fn convert<'a>(value: &Value<'a>, to: Type) -> Option<std::result::Result<Value<'a>, String>> {
    if value.type_of() == to {
        return Some(Ok(value.clone()));
    }
    let out_of_range = || format!("the number is out of the range of {}", to.name());
    let unreadable = || format!("the text is no {}", to.name());
    Some(match (to, value) {
        (Type::Text, Value::Bool(truth)) => Ok(Value::Made(truth.to_string().into())),
        (Type::Text, Value::Int(number)) => Ok(Value::Made(number.to_string().into())),
        (Type::Text, Value::Uint(number)) => Ok(Value::Made(number.to_string().into())),
        (Type::Text, Value::Double(number)) => Ok(Value::Made(number.to_string().into())),
        (Type::Text, Value::Time(time)) => Ok(Value::Made(time.to_string().into())),
        (Type::Text, Value::Span(span)) => Ok(Value::Made(seconds(*span).into())),
        (Type::Int, Value::Uint(number)) => {
            i64::try_from(*number).map(Value::Int).map_err(|_| out_of_range())
        }
        (Type::Int, Value::Double(number)) => {
            let number = number.trunc();
            // The upper end itself is no i64.
            let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
            fits.then_some(Value::Int(number as i64)).ok_or_else(out_of_range)
        }
        (Type::Int, Value::Time(time)) => Ok(Value::Int(time.as_second())),
        (Type::Uint, Value::Int(number)) => u64::try_from(*number)
            .map(Value::Uint)
            .map_err(|_| out_of_range()),
        (Type::Uint, Value::Double(number)) => {
            let fits = *number > -1.0 && *number < 18_446_744_073_709_551_616.0;
            fits.then_some(Value::Uint(number.trunc() as u64))
                .ok_or_else(out_of_range)
        }
        (Type::Double, Value::Int(_) | Value::Uint(_)) => Ok(Value::Double(double(value))),
        (Type::Time, Value::Int(number)) => Timestamp::from_second(*number)
            .map(Value::Time)
            .map_err(|_| out_of_range()),
        (_, Value::Text(_) | Value::Made(_)) => {
            let text = value.text().unwrap_or_default();
            let read = match to {
                Type::Int => text.parse().ok().map(Value::Int),
                Type::Uint => text.parse().ok().map(Value::Uint),
                Type::Double => text.parse().ok().map(Value::Double),
                Type::Bool => match text {
                    "true" | "True" | "TRUE" | "t" | "1" => Some(Value::Bool(true)),
                    "false" | "False" | "FALSE" | "f" | "0" => Some(Value::Bool(false)),
                    _ => None,
                },
                Type::Time => text.parse().ok().map(Value::Time),
                Type::Span => parse_span(text).map(Value::Span),
                _ => return None,
            };
            read.ok_or_else(unreadable)
        }
        _ => return None,
    })
}

/// As CEL counts: months, days of the month and of the year from 0, the week from Sunday as 0. In UTC.
fn part_of(time: Timestamp, part: Part) -> i64 {
    let civil: DateTime = Offset::UTC.to_datetime(time);
    match part {
        Part::FullYear => civil.year().into(),
        Part::Month => i64::from(civil.month()) - 1,
        Part::Date => civil.day().into(),
        Part::DayOfMonth => i64::from(civil.day()) - 1,
        Part::DayOfWeek => civil.weekday().to_sunday_zero_offset().into(),
        Part::DayOfYear => i64::from(civil.day_of_year()) - 1,
        Part::Hours => civil.hour().into(),
        Part::Minutes => civil.minute().into(),
        Part::Seconds => civil.second().into(),
        Part::Milliseconds => civil.millisecond().into(),
    }
}
