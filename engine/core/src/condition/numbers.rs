//! Calculating. Standard CEL does not mix types; JSON has one kind of number, so here an `int` beside
//! a `double` counts as one.

use jiff::{SignedDuration, Timestamp};

use super::tree::Binary;
use super::value::Value;

/// Whole numbers fit 64 bits; what does not is an error, never wrapped around.
const OVERFLOW: &str = "the result does not fit 64 bits";

type Result<'a> = std::result::Result<Value<'a>, String>;

/// `-value`.
pub(super) fn negate<'a>(value: &Value<'_>) -> Result<'a> {
    match value {
        Value::Int(number) => number
            .checked_neg()
            .map(Value::Int)
            .ok_or_else(|| OVERFLOW.into()),
        Value::Uint(number) => whole(-i128::from(*number), false),
        Value::Double(number) => Ok(Value::Double(-number)),
        Value::Span(span) => span.checked_neg().map(Value::Span).ok_or_else(|| OVERFLOW.into()),
        other => Err(format!("{} has no negative", other.type_of().a())),
    }
}

/// `left operator right`, of numbers, timestamps and durations.
pub(super) fn calculate<'a>(operator: Binary, left: &Value<'_>, right: &Value<'_>) -> Result<'a> {
    match (left, right) {
        (Value::Time(_) | Value::Span(_), _) | (_, Value::Time(_) | Value::Span(_)) => {
            times(operator, left, right)
        }
        (Value::Double(one), _) if right.type_of().is_number() => {
            doubles(operator, *one, double(right)).ok_or_else(|| no_meaning(operator, left, right))
        }
        (_, Value::Double(other)) if left.type_of().is_number() => {
            doubles(operator, double(left), *other).ok_or_else(|| no_meaning(operator, left, right))
        }
        _ => {
            let (Some(one), Some(other)) = (integer(left), integer(right)) else {
                return Err(no_meaning(operator, left, right));
            };
            let unsigned = matches!((left, right), (Value::Uint(_), Value::Uint(_)));
            let result = match operator {
                Binary::Add => one + other,
                Binary::Subtract => one - other,
                Binary::Multiply => one.checked_mul(other).ok_or(OVERFLOW)?,
                Binary::Divide => one.checked_div(other).ok_or("nothing can be divided by zero")?,
                Binary::Remainder => one.checked_rem(other).ok_or("nothing can be divided by zero")?,
                _ => return Err(no_meaning(operator, left, right)),
            };
            whole(result, unsigned)
        }
    }
}

/// A result as a value: of two `uint`s a `uint`, else an `int`, or a `uint` where that is too small.
fn whole<'a>(result: i128, unsigned: bool) -> Result<'a> {
    match (i64::try_from(result), u64::try_from(result)) {
        (_, Ok(number)) if unsigned => Ok(Value::Uint(number)),
        (Ok(number), _) if !unsigned => Ok(Value::Int(number)),
        _ => Err(OVERFLOW.into()),
    }
}

fn doubles<'a>(operator: Binary, one: f64, other: f64) -> Option<Value<'a>> {
    Some(Value::Double(match operator {
        Binary::Add => one + other,
        Binary::Subtract => one - other,
        Binary::Multiply => one * other,
        Binary::Divide => one / other,
        _ => return None,
    }))
}

fn times<'a>(operator: Binary, left: &Value<'_>, right: &Value<'_>) -> Result<'a> {
    let time = |time: std::result::Result<Timestamp, jiff::Error>| {
        time.map(Value::Time)
            .map_err(|_| "the time is beyond the calendar".to_owned())
    };
    let span = |span: Option<SignedDuration>| span.map(Value::Span).ok_or_else(|| OVERFLOW.to_owned());
    match (left, operator, right) {
        (Value::Time(one), Binary::Add, Value::Span(other)) => time(one.checked_add(*other)),
        (Value::Span(one), Binary::Add, Value::Time(other)) => time(other.checked_add(*one)),
        (Value::Time(one), Binary::Subtract, Value::Span(other)) => time(one.checked_sub(*other)),
        (Value::Time(one), Binary::Subtract, Value::Time(other)) => {
            Ok(Value::Span(one.duration_since(*other)))
        }
        (Value::Span(one), Binary::Add, Value::Span(other)) => span(one.checked_add(*other)),
        (Value::Span(one), Binary::Subtract, Value::Span(other)) => span(one.checked_sub(*other)),
        _ => Err(no_meaning(operator, left, right)),
    }
}

/// Why an operator cannot stand between these two.
pub(super) fn no_meaning(operator: Binary, left: &Value<'_>, right: &Value<'_>) -> String {
    let (left, right) = (left.type_of().name(), right.type_of().name());
    format!("{left} {} {right} has no meaning", operator.sign())
}

fn integer(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(number) => Some((*number).into()),
        Value::Uint(number) => Some((*number).into()),
        _ => None,
    }
}

/// A number as a double; what is none is no number.
pub(super) fn double(value: &Value<'_>) -> f64 {
    match value {
        Value::Int(number) => *number as f64,
        Value::Uint(number) => *number as f64,
        Value::Double(number) => *number,
        _ => f64::NAN,
    }
}

/// A place in a list: a whole number from 0 on, whatever its type.
pub(super) fn place(value: &Value<'_>) -> Option<usize> {
    match value {
        Value::Double(number) if number.fract() == 0.0 && (0.0..1e15).contains(number) => {
            Some(*number as usize)
        }
        _ => usize::try_from(integer(value)?).ok(),
    }
}
