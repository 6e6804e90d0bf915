//! A condition as it is kept: a tree whose names are resolved and whose types were checked.

use regex_lite::Regex;

/// What is known of a value's type before there is an event. CEL calls the type of a type `type`.
#[allow(clippy::enum_variant_names)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// Anything: it comes from the payload.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    List,
    Map,
    Time,
    Span,
    Type,
}

impl Type {
    /// CEL's name of it, which is also what `type()` compares with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dyn => "dyn",
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::Text => "string",
            Self::List => "list",
            Self::Map => "map",
            Self::Time => "timestamp",
            Self::Span => "duration",
            Self::Type => "type",
        }
    }

    /// One of it, in a sentence.
    pub fn a(self) -> String {
        let article = if self == Self::Int { "an" } else { "a" };
        format!("{article} {}", self.name())
    }

    pub fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Those whose names are values.
    pub const NAMED: [Self; 9] = [
        Self::Null,
        Self::Bool,
        Self::Int,
        Self::Uint,
        Self::Double,
        Self::Text,
        Self::List,
        Self::Map,
        Self::Type,
    ];
}

/// A part of a condition.
#[derive(Debug)]
pub(super) struct Node {
    pub kind: Kind,
    /// What it comes to, as far as that is known.
    pub kind_of: Type,
    /// Its bytes in the text.
    pub start: usize,
    pub end: usize,
    /// Levels below and including this one.
    pub depth: usize,
}

/// What a part does.
#[derive(Debug)]
pub(super) enum Kind {
    Literal(Literal),
    /// `event.NAME`.
    Event(Field),
    /// `has(event.NAME)`.
    HasEvent(Field),
    Payload,
    /// A variable of a macro, by its place on the stack.
    Local(usize),
    Select(Box<Node>, Box<str>),
    Has(Box<Node>, Box<str>),
    Index(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    /// At least two.
    And(Vec<Node>),
    /// At least two.
    Or(Vec<Node>),
    /// Condition, then, else.
    Choice(Box<[Node; 3]>),
    Binary(Binary, Box<[Node; 2]>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Call(Function, Vec<Node>),
    Matches(Box<Node>, Pattern),
    Loop(Box<Loop>),
}

#[derive(Clone, Debug)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Box<str>),
    Type(Type),
}

/// The members of `event`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Event,
    Resource,
    ResourceId,
    CreatedAt,
    Workspace,
}

impl Field {
    pub const ALL: [(&'static str, Self); 6] = [
        ("id", Self::Id),
        ("event", Self::Event),
        ("resource", Self::Resource),
        ("resource_id", Self::ResourceId),
        ("created_at", Self::CreatedAt),
        ("workspace", Self::Workspace),
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Binary {
    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

/// What can be called; a receiver is the first argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    LowerAscii,
    UpperAscii,
    Trim,
    Convert(Type),
    TypeOf,
    /// A part of a timestamp, in UTC, or a duration in this unit.
    Part(Part),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    FullYear,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

/// A regular expression, compiled, and what it costs.
#[derive(Debug)]
pub(super) struct Pattern {
    pub regex: Regex,
    /// Steps for every byte that it is held against.
    pub steps_per_byte: usize,
}

/// A macro that goes over a list, or over the keys of a map.
#[derive(Debug)]
pub(super) struct Loop {
    pub gives: Gives,
    pub range: Node,
    /// Of `map` with three arguments: which elements count.
    pub filter: Option<Node>,
    pub body: Node,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

impl Kind {
    /// What it is made of.
    pub fn children(&self) -> Vec<&Node> {
        match self {
            Self::Literal(_) | Self::Event(_) | Self::HasEvent(_) | Self::Payload | Self::Local(_) => {
                Vec::new()
            }
            Self::Select(of, _)
            | Self::Has(of, _)
            | Self::Not(of)
            | Self::Negate(of)
            | Self::Matches(of, _) => vec![of],
            Self::Index(of, at) => vec![of, at],
            Self::And(parts) | Self::Or(parts) | Self::List(parts) | Self::Call(_, parts) => {
                parts.iter().collect()
            }
            Self::Choice(parts) => parts.iter().collect(),
            Self::Binary(_, parts) => parts.iter().collect(),
            Self::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
            Self::Loop(of) => [Some(&of.range), of.filter.as_ref(), Some(&of.body)]
                .into_iter()
                .flatten()
                .collect(),
        }
    }
}
