//! What can be told to be wrong before there is an event: functions that do not exist, and types that
//! never fit. What comes from the payload may be anything.

use regex_lite::RegexBuilder;

use super::lex::Wrong;
use super::tree::{Binary, Field, Function, Kind, Literal, Node, Part, Pattern, Type};

/// The longest regular expression, in bytes.
const MAX_PATTERN_BYTES: usize = 512;

/// The sizes that a compiled regular expression is tried with, in bytes; beyond the last it is refused.
const PATTERN_SIZES: [usize; 6] = [512, 1024, 2048, 4096, 8192, 16_384];

/// About how many bytes of a compiled regular expression are passed in the time of one step, for every
/// byte that it is held against.
const PATTERN_BYTES_PER_STEP: usize = 256;

pub(super) fn field(field: Field) -> Type {
    if field == Field::CreatedAt {
        Type::Time
    } else {
        Type::Text
    }
}

/// `true` or `false`, or who knows.
pub(super) fn boolean(node: &Node, place: &str) -> Result<(), Wrong> {
    match node.kind_of {
        Type::Bool | Type::Dyn => Ok(()),
        other => Err((
            node.start,
            format!("{place} {}, which is never true or false", other.a()),
        )),
    }
}

/// The type of one or the other.
pub(super) fn either(one: Type, other: Type) -> Type {
    if one == other { one } else { Type::Dyn }
}

pub(super) fn negated(of: &Node) -> Result<Type, Wrong> {
    match of.kind_of {
        Type::Int | Type::Double | Type::Span | Type::Dyn => Ok(of.kind_of),
        other => Err((of.start, format!("{} has no negative", other.a()))),
    }
}

pub(super) fn has_members(of: &Node) -> Result<(), Wrong> {
    match of.kind_of {
        Type::Map | Type::Dyn => Ok(()),
        other => Err((of.start, format!("{} has no members", other.a()))),
    }
}

pub(super) fn indexed(of: &Node, at: &Node) -> Result<Type, Wrong> {
    let fits = match of.kind_of {
        Type::List => at.kind_of == Type::Dyn || at.kind_of.is_number(),
        Type::Map | Type::Dyn => is_key(at.kind_of),
        other => return Err((of.start, format!("{} has no elements", other.a()))),
    };
    if fits {
        return Ok(Type::Dyn);
    }
    let (of, with) = (of.kind_of.a(), at.kind_of.name());
    Err((at.start, format!("{of} has no elements by {with}")))
}

pub(super) fn key(key: &Node) -> Result<(), Wrong> {
    if is_key(key.kind_of) {
        return Ok(());
    }
    Err((key.start, format!("{} cannot be a key", key.kind_of.a())))
}

fn is_key(kind: Type) -> bool {
    matches!(kind, Type::Text | Type::Bool | Type::Dyn) || kind.is_number()
}

pub(super) fn iterable(of: &Node) -> Result<(), Wrong> {
    match of.kind_of {
        Type::List | Type::Map | Type::Dyn => Ok(()),
        other => Err((of.start, format!("there are no elements in {}", other.a()))),
    }
}

/// What an operator makes of its two sides.
pub(super) fn binary(operator: Binary, left: &Node, right: &Node) -> Result<Type, String> {
    let (one, other) = (left.kind_of, right.kind_of);
    let result = match operator {
        Binary::Equal | Binary::NotEqual => {
            let comparable = one == other
                || (one.is_number() && other.is_number())
                || [one, other]
                    .iter()
                    .any(|kind| matches!(kind, Type::Dyn | Type::Null));
            comparable.then_some(Type::Bool)
        }
        Binary::In => {
            let fits = match other {
                Type::List | Type::Dyn => true,
                Type::Map => is_key(one),
                _ => false,
            };
            fits.then_some(Type::Bool)
        }
        Binary::Less | Binary::LessEqual | Binary::Greater | Binary::GreaterEqual => {
            ordered(one, other).then_some(Type::Bool)
        }
        _ => arithmetic(operator, one, other),
    };
    result.ok_or_else(|| {
        let sign = operator.sign();
        let (one, other) = (one.name(), other.name());
        format!("{one} {sign} {other} has no meaning")
    })
}

fn ordered(one: Type, other: Type) -> bool {
    let has_order = |kind| {
        matches!(
            kind,
            Type::Bool | Type::Int | Type::Uint | Type::Double | Type::Text | Type::Time | Type::Span
        )
    };
    match (one, other) {
        (Type::Dyn, kind) | (kind, Type::Dyn) => kind == Type::Dyn || has_order(kind),
        _ if one.is_number() && other.is_number() => true,
        _ => one == other && has_order(one),
    }
}

fn arithmetic(operator: Binary, one: Type, other: Type) -> Option<Type> {
    use Type::{Double, Dyn, List, Span, Text, Time};
    let adds = operator == Binary::Add;
    let takes = operator == Binary::Subtract;
    match (one, other) {
        (Dyn, Dyn) => Some(Dyn),
        (Dyn, kind) | (kind, Dyn) => {
            let fits = kind.is_number()
                || (adds && matches!(kind, Text | List | Time | Span))
                || (takes && matches!(kind, Time | Span));
            fits.then_some(match kind {
                Text | List => kind,
                _ => Dyn,
            })
        }
        (Text, Text) | (List, List) if adds => Some(one),
        (Time, Span) if adds || takes => Some(Time),
        (Span, Time) if adds => Some(Time),
        (Time, Time) if takes => Some(Span),
        (Span, Span) if adds || takes => Some(Span),
        _ if one.is_number() && other.is_number() => {
            let is_double = one == Double || other == Double;
            if is_double && operator == Binary::Remainder {
                return None;
            }
            if is_double {
                Some(Double)
            } else {
                // An int and a uint: which one, the values decide.
                Some(either(one, other))
            }
        }
        _ => None,
    }
}

/// Functions by name, with the names of those that stand behind a value.
const FUNCTIONS: [(&str, Function); 9] = [
    ("size", Function::Size),
    ("int", Function::Convert(Type::Int)),
    ("uint", Function::Convert(Type::Uint)),
    ("double", Function::Convert(Type::Double)),
    ("string", Function::Convert(Type::Text)),
    ("bool", Function::Convert(Type::Bool)),
    ("timestamp", Function::Convert(Type::Time)),
    ("duration", Function::Convert(Type::Span)),
    ("type", Function::TypeOf),
];

const METHODS: [(&str, Function); 17] = [
    ("size", Function::Size),
    ("contains", Function::Contains),
    ("startsWith", Function::StartsWith),
    ("endsWith", Function::EndsWith),
    ("lowerAscii", Function::LowerAscii),
    ("upperAscii", Function::UpperAscii),
    ("trim", Function::Trim),
    ("getFullYear", Function::Part(Part::FullYear)),
    ("getMonth", Function::Part(Part::Month)),
    ("getDate", Function::Part(Part::Date)),
    ("getDayOfMonth", Function::Part(Part::DayOfMonth)),
    ("getDayOfWeek", Function::Part(Part::DayOfWeek)),
    ("getDayOfYear", Function::Part(Part::DayOfYear)),
    ("getHours", Function::Part(Part::Hours)),
    ("getMinutes", Function::Part(Part::Minutes)),
    ("getSeconds", Function::Part(Part::Seconds)),
    ("getMilliseconds", Function::Part(Part::Milliseconds)),
];

impl Function {
    /// What it is called.
    pub fn name(self) -> &'static str {
        FUNCTIONS
            .iter()
            .chain(&METHODS)
            .find(|(_, function)| *function == self)
            .map_or("", |(name, _)| name)
    }

    /// Whether it can do something with a value of this type.
    fn takes(self, kind: Type) -> bool {
        use Type::{Bool, Dyn, List, Map, Span, Text, Time};
        if kind == Dyn {
            return true;
        }
        match self {
            Self::Size => matches!(kind, Text | List | Map),
            Self::Contains | Self::StartsWith | Self::EndsWith => kind == Text,
            Self::LowerAscii | Self::UpperAscii | Self::Trim => kind == Text,
            Self::TypeOf => true,
            Self::Convert(Type::Int) => kind.is_number() || matches!(kind, Text | Time),
            Self::Convert(Type::Uint | Type::Double) => kind.is_number() || kind == Text,
            Self::Convert(Text) => kind.is_number() || matches!(kind, Text | Bool | Time | Span),
            Self::Convert(Bool) => matches!(kind, Bool | Text),
            Self::Convert(Time) => matches!(kind, Time | Text | Type::Int),
            Self::Convert(Span) => matches!(kind, Span | Text),
            Self::Convert(_) => false,
            Self::Part(part) => kind == Time || (kind == Span && part.is_of_spans()),
        }
    }

    fn gives(self) -> Type {
        match self {
            Self::Size | Self::Part(_) => Type::Int,
            Self::Contains | Self::StartsWith | Self::EndsWith => Type::Bool,
            Self::LowerAscii | Self::UpperAscii | Self::Trim => Type::Text,
            Self::Convert(kind) => kind,
            Self::TypeOf => Type::Type,
        }
    }
}

impl Part {
    pub fn is_of_spans(self) -> bool {
        matches!(
            self,
            Self::Hours | Self::Minutes | Self::Seconds | Self::Milliseconds
        )
    }
}

/// `NAME(arguments)`.
pub(super) fn function(name: &str, at: usize, arguments: Vec<Node>) -> Result<(Kind, Type), Wrong> {
    if name == "dyn" {
        let given = arguments.len();
        return match <[Node; 1]>::try_from(arguments) {
            Ok([mut one]) => {
                one.kind_of = Type::Dyn;
                Ok((one.kind, Type::Dyn))
            }
            Err(_) => Err((at, format!("dyn() takes 1 argument, not {given}"))),
        };
    }
    if name == "matches" {
        return matches(at, arguments);
    }
    match FUNCTIONS.iter().find(|(known, _)| *known == name) {
        Some((_, function)) => called(*function, at, arguments, 1),
        None if METHODS.iter().any(|(known, _)| *known == name) || is_macro(name) => Err((
            at,
            format!("{name}() stands behind a value: payload.member.{name}(…)"),
        )),
        None => Err((at, unknown(name))),
    }
}

/// `of.NAME(arguments)`.
pub(super) fn method(name: &str, at: usize, of: Node, arguments: Vec<Node>) -> Result<(Kind, Type), Wrong> {
    let mut all = vec![of];
    all.extend(arguments);
    if name == "matches" {
        return matches(at, all);
    }
    match METHODS.iter().find(|(known, _)| *known == name) {
        Some((_, function)) => {
            let takes_one = matches!(
                function,
                Function::Contains | Function::StartsWith | Function::EndsWith
            );
            called(*function, at, all, if takes_one { 2 } else { 1 })
        }
        None if FUNCTIONS.iter().any(|(known, _)| *known == name) || name == "has" => Err((
            at,
            format!("{name}() stands before its value: {name}(payload.member)"),
        )),
        None => Err((at, unknown(name))),
    }
}

fn is_macro(name: &str) -> bool {
    ["all", "exists", "exists_one", "filter", "map"].contains(&name)
}

fn unknown(name: &str) -> String {
    let shown: String = name.chars().take(40).collect();
    format!("there is no function `{shown}`")
}

fn called(function: Function, at: usize, arguments: Vec<Node>, count: usize) -> Result<(Kind, Type), Wrong> {
    if arguments.len() != count {
        let hint = match function {
            Function::Part(_) => "; it tells the time in UTC and takes no time zone",
            _ => "",
        };
        return Err((
            at,
            format!("{}() has the wrong number of arguments{hint}", function.name()),
        ));
    }
    for argument in &arguments {
        if !function.takes(argument.kind_of) {
            let (function, kind) = (function.name(), argument.kind_of.a());
            return Err((argument.start, format!("{function}() does not take {kind}")));
        }
    }
    Ok((Kind::Call(function, arguments), function.gives()))
}

/// The pattern must stand in the condition: so it is compiled once, and known to be affordable.
fn matches(at: usize, mut arguments: Vec<Node>) -> Result<(Kind, Type), Wrong> {
    let (Some(pattern), Some(text), true) = (arguments.pop(), arguments.pop(), arguments.is_empty()) else {
        return Err((at, "matches() takes a value and a pattern".into()));
    };
    let Kind::Literal(Literal::Text(source)) = &pattern.kind else {
        return Err((
            pattern.start,
            "the pattern of matches() must be a string, not computed".into(),
        ));
    };
    if !matches!(text.kind_of, Type::Text | Type::Dyn) {
        return Err((
            text.start,
            format!("matches() does not take {}", text.kind_of.a()),
        ));
    }
    let compiled = compile(source).map_err(|why| (pattern.start, why))?;
    Ok((Kind::Matches(Box::new(text), compiled), Type::Bool))
}

fn compile(source: &str) -> Result<Pattern, String> {
    if source.len() > MAX_PATTERN_BYTES {
        return Err(format!("a pattern may have {MAX_PATTERN_BYTES} bytes"));
    }
    let mut why = String::new();
    for size in PATTERN_SIZES {
        match RegexBuilder::new(source).size_limit(size).build() {
            Ok(regex) => {
                let steps_per_byte = size.div_ceil(PATTERN_BYTES_PER_STEP);
                return Ok(Pattern {
                    regex,
                    steps_per_byte,
                });
            }
            Err(error) => why = error.to_string(),
        }
    }
    Err(format!("the pattern cannot be used: {why}"))
}
