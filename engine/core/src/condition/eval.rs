//! A condition held against an event, within a number of steps. Nothing in here panics, and every
//! loop takes steps.

use std::cmp::Ordering;
use std::rc::Rc;

use serde_json::Value as Json;

use super::tree::{Binary, Field, Gives, Kind, Literal, Loop, Node, Pattern, Type};
use super::value::{Value, compare_numbers};
use super::{calls, numbers};
use crate::event::Event;

/// Bytes of text that are looked at, or written, in the time of a step.
pub(super) const BYTES_PER_STEP: usize = 32;

/// Why a part of a condition came to nothing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    /// The part's bytes in the text.
    pub start: usize,
    pub end: usize,
    pub why: Why,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Why {
    /// There is no such member.
    Missing(Box<str>),
    /// A type that does not fit, or a value out of range.
    Wrong(String),
    /// The steps are used up. Nothing makes up for this.
    TooMuch,
}

pub(super) type Result<T> = std::result::Result<T, Failure>;

pub(super) struct Evaluation<'a> {
    pub event: &'a Event,
    pub payload: &'a Json,
    /// The steps that are left.
    pub left: usize,
    locals: Vec<Value<'a>>,
}

impl<'a> Evaluation<'a> {
    pub fn new(event: &'a Event, payload: &'a Json, steps: usize) -> Self {
        Self {
            event,
            payload,
            left: steps,
            locals: Vec::new(),
        }
    }

    /// Takes steps, as long as there are any.
    pub fn spend(&mut self, steps: usize, node: &Node) -> Result<()> {
        match self.left.checked_sub(steps) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(fail(node, Why::TooMuch))
            }
        }
    }

    /// What a part of the condition comes to.
    pub fn value(&mut self, node: &'a Node) -> Result<Value<'a>> {
        self.spend(1, node)?;
        match &node.kind {
            Kind::Literal(literal) => Ok(match literal {
                Literal::Null => Value::Null,
                Literal::Bool(truth) => Value::Bool(*truth),
                Literal::Int(number) => Value::Int(*number),
                Literal::Uint(number) => Value::Uint(*number),
                Literal::Double(number) => Value::Double(*number),
                Literal::Text(text) => Value::Text(text),
                Literal::Type(kind) => Value::Type(*kind),
            }),
            Kind::Event(field) => self.field(*field).ok_or_else(|| missing(node, "resource_id")),
            Kind::HasEvent(field) => Ok(Value::Bool(self.field(*field).is_some())),
            Kind::Payload => Ok(self.payload.into()),
            Kind::Local(place) => match self.locals.get(*place) {
                Some(value) => Ok(value.clone()),
                None => Err(wrong(node, "a variable that is not there")),
            },
            Kind::Select(of, name) => self.select(node, of, name),
            Kind::Has(of, name) => {
                let of = self.value(of)?;
                Ok(Value::Bool(self.member(node, &of, name)?.is_some()))
            }
            Kind::Index(of, at) => self.index(node, of, at),
            Kind::Not(of) => Ok(Value::Bool(!self.truth(of)?)),
            Kind::Negate(of) => {
                let value = self.value(of)?;
                numbers::negate(&value).map_err(|why| wrong(node, why))
            }
            Kind::And(parts) => self.connected(parts, false).map(Value::Bool),
            Kind::Or(parts) => self.connected(parts, true).map(Value::Bool),
            Kind::Choice(parts) => {
                let [condition, then, otherwise] = &**parts;
                let chosen = if self.truth(condition)? { then } else { otherwise };
                self.value(chosen)
            }
            Kind::Binary(operator, sides) => self.binary(node, *operator, sides),
            Kind::List(items) => {
                let items: Result<Rc<[_]>> = items.iter().map(|item| self.value(item)).collect();
                items.map(Value::List)
            }
            Kind::Map(entries) => self.map(node, entries),
            Kind::Call(function, arguments) => calls::call(self, node, *function, arguments),
            Kind::Matches(text, pattern) => self.matches(node, text, pattern),
            Kind::Loop(of) => self.go_over(node, of),
        }
    }

    /// What a part comes to that must be true or false.
    pub fn truth(&mut self, node: &'a Node) -> Result<bool> {
        match self.value(node)? {
            Value::Bool(truth) => Ok(truth),
            other => {
                let kind = other.type_of().a();
                Err(wrong(node, format!("is {kind}, not true or false")))
            }
        }
    }

    fn field(&self, field: Field) -> Option<Value<'a>> {
        let event = self.event;
        Some(match field {
            Field::Id => Value::Made(event.id.to_string().into()),
            Field::Workspace => Value::Made(event.workspace.to_string().into()),
            Field::Event => Value::Text(&event.event),
            Field::Resource => Value::Text(&event.resource),
            Field::ResourceId => Value::Text(event.resource_id.as_deref()?),
            Field::CreatedAt => Value::Time(jiff::Timestamp::from_millisecond(event.created_at.0).ok()?),
        })
    }

    fn select(&mut self, node: &'a Node, of: &'a Node, name: &str) -> Result<Value<'a>> {
        let of = self.value(of)?;
        self.member(node, &of, name)?.ok_or_else(|| missing(node, name))
    }

    fn member(&mut self, node: &Node, of: &Value<'a>, name: &str) -> Result<Option<Value<'a>>> {
        match of {
            Value::Object(members) => Ok(members.get(name).map(Into::into)),
            Value::Map(entries) => {
                self.spend(entries.len(), node)?;
                let found = entries.iter().find(|(key, _)| key.text() == Some(name));
                Ok(found.map(|(_, value)| value.clone()))
            }
            other => {
                let kind = other.type_of().a();
                Err(wrong(node, format!("{kind} has no members")))
            }
        }
    }

    fn index(&mut self, node: &'a Node, of: &'a Node, at: &'a Node) -> Result<Value<'a>> {
        let of = self.value(of)?;
        let is_written = matches!(at.kind, Kind::Literal(_));
        let at = self.value(at)?;
        match (&of, at.text()) {
            (Value::Object(_) | Value::Map(_), Some(name)) => {
                self.spend(name.len() / BYTES_PER_STEP, node)?;
                // A name that was computed may be a value of the payload.
                let absent = || {
                    if is_written {
                        missing(node, name)
                    } else {
                        missing_key(node)
                    }
                };
                self.member(node, &of, name)?.ok_or_else(absent)
            }
            (Value::Object(_), None) => Err(missing_key(node)),
            (Value::Map(entries), None) => {
                self.spend(entries.len(), node)?;
                let found = entries.iter().find(|(key, _)| is_same_key(key, &at));
                found
                    .map(|(_, value)| value.clone())
                    .ok_or_else(|| missing_key(node))
            }
            _ => match (of.len(), numbers::place(&at)) {
                (Some(length), Some(place)) => of.item(place).ok_or_else(|| {
                    wrong(
                        node,
                        format!("the list has {length} elements, none at this place"),
                    )
                }),
                (Some(_), None) => Err(wrong(node, "a list has elements by whole numbers from 0 on")),
                (None, _) => {
                    let kind = of.type_of().a();
                    Err(wrong(node, format!("{kind} has no elements")))
                }
            },
        }
    }

    /// `&&` or `||` over all parts: one that decides makes up for those that failed.
    fn connected(&mut self, parts: &'a [Node], decisive: bool) -> Result<bool> {
        let mut failed = None;
        for part in parts {
            match self.truth(part) {
                Ok(truth) if truth == decisive => return Ok(decisive),
                Ok(_) => {}
                Err(failure) => self.put_off(failure, &mut failed)?,
            }
        }
        failed.map_or(Ok(!decisive), Err)
    }

    /// Keeps the first failure for later, unless it is one for good.
    fn put_off(&mut self, failure: Failure, first: &mut Option<Failure>) -> Result<()> {
        if failure.why == Why::TooMuch {
            return Err(failure);
        }
        // Making one takes longer than a step.
        self.left = self.left.saturating_sub(8);
        first.get_or_insert(failure);
        Ok(())
    }

    fn binary(&mut self, node: &'a Node, operator: Binary, sides: &'a [Node; 2]) -> Result<Value<'a>> {
        let [left, right] = sides;
        let left = self.value(left)?;
        let right = self.value(right)?;
        match operator {
            Binary::Equal => self.equal(node, &left, &right).map(Value::Bool),
            Binary::NotEqual => self.equal(node, &left, &right).map(|same| Value::Bool(!same)),
            Binary::In => self.is_in(node, &left, &right).map(Value::Bool),
            Binary::Less | Binary::LessEqual | Binary::Greater | Binary::GreaterEqual => {
                let order = self.order(node, operator, &left, &right)?;
                Ok(Value::Bool(match operator {
                    Binary::Less => order == Some(Ordering::Less),
                    Binary::LessEqual => order.is_some_and(Ordering::is_le),
                    Binary::Greater => order == Some(Ordering::Greater),
                    _ => order.is_some_and(Ordering::is_ge),
                }))
            }
            Binary::Add => match (&left, &right) {
                _ if left.text().is_some() && right.text().is_some() => {
                    let (one, other) = (left.text().unwrap_or_default(), right.text().unwrap_or_default());
                    self.spend((one.len() + other.len()) / BYTES_PER_STEP, node)?;
                    Ok(Value::Made([one, other].concat().into()))
                }
                _ if left.type_of() == Type::List && right.type_of() == Type::List => {
                    let lengths = [&left, &right].map(|list| list.len().unwrap_or_default());
                    self.spend(lengths[0] + lengths[1], node)?;
                    let of = |list: &Value<'a>, length| {
                        (0..length).filter_map(|at| list.item(at)).collect::<Vec<_>>()
                    };
                    let mut items = of(&left, lengths[0]);
                    items.extend(of(&right, lengths[1]));
                    Ok(Value::List(items.into()))
                }
                _ => self.calculate(node, operator, &left, &right),
            },
            _ => self.calculate(node, operator, &left, &right),
        }
    }

    fn calculate(
        &mut self,
        node: &Node,
        operator: Binary,
        left: &Value<'a>,
        right: &Value<'a>,
    ) -> Result<Value<'a>> {
        numbers::calculate(operator, left, right).map_err(|why| wrong(node, why))
    }

    /// Whether two values are the same; of different types they never are, but for numbers.
    fn equal(&mut self, node: &Node, one: &Value<'a>, other: &Value<'a>) -> Result<bool> {
        self.spend(1, node)?;
        if let (Some(one), Some(other)) = (one.text(), other.text()) {
            if one.len() != other.len() {
                return Ok(false);
            }
            self.spend(one.len() / BYTES_PER_STEP, node)?;
            return Ok(one == other);
        }
        match (one, other) {
            (Value::Null, Value::Null) => Ok(true),
            (Value::Bool(one), Value::Bool(other)) => Ok(one == other),
            (Value::Time(one), Value::Time(other)) => Ok(one == other),
            (Value::Span(one), Value::Span(other)) => Ok(one == other),
            (Value::Type(one), Value::Type(other)) => Ok(one == other),
            _ if one.type_of().is_number() => Ok(compare_numbers(one, other) == Some(Ordering::Equal)),
            _ if one.len().is_none() || one.len() != other.len() => Ok(false),
            _ => match (one.type_of(), other.type_of()) {
                (Type::List, Type::List) => {
                    for at in 0..one.len().unwrap_or_default() {
                        let (Some(one), Some(other)) = (one.item(at), other.item(at)) else {
                            return Ok(false);
                        };
                        if !self.equal(node, &one, &other)? {
                            return Ok(false);
                        }
                    }
                    Ok(true)
                }
                (Type::Map, Type::Map) => self.equal_maps(node, one, other),
                _ => Ok(false),
            },
        }
    }

    /// Of two maps with as many entries.
    fn equal_maps(&mut self, node: &Node, one: &Value<'a>, other: &Value<'a>) -> Result<bool> {
        for (key, value) in self.entries(node, one)? {
            self.spend(1, node)?;
            let found = match (other, key.text()) {
                (Value::Object(_) | Value::Map(_), Some(name)) => self.member(node, other, name)?,
                (Value::Map(entries), None) => {
                    self.spend(entries.len(), node)?;
                    let found = entries.iter().find(|(known, _)| is_same_key(known, &key));
                    found.map(|(_, value)| value.clone())
                }
                _ => None,
            };
            let Some(found) = found else { return Ok(false) };
            if !self.equal(node, &value, &found)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn entries(&mut self, node: &Node, of: &Value<'a>) -> Result<Vec<(Value<'a>, Value<'a>)>> {
        self.spend(of.len().unwrap_or_default(), node)?;
        Ok(match of {
            Value::Object(members) => members
                .iter()
                .map(|(key, value)| (Value::Text(key), value.into()))
                .collect(),
            Value::Map(entries) => entries.to_vec(),
            _ => Vec::new(),
        })
    }

    fn is_in(&mut self, node: &Node, value: &Value<'a>, of: &Value<'a>) -> Result<bool> {
        match of.type_of() {
            Type::List => {
                for at in 0..of.len().unwrap_or_default() {
                    if let Some(item) = of.item(at)
                        && self.equal(node, value, &item)?
                    {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Type::Map => match value.text() {
                Some(name) => Ok(self.member(node, of, name)?.is_some()),
                None => {
                    let entries = self.entries(node, of)?;
                    Ok(entries.iter().any(|(key, _)| is_same_key(key, value)))
                }
            },
            other => Err(wrong(node, format!("nothing can be in {}", other.a()))),
        }
    }

    /// Which is larger; `None` beside what is no number at all.
    fn order(
        &mut self,
        node: &Node,
        operator: Binary,
        left: &Value<'a>,
        right: &Value<'a>,
    ) -> Result<Option<Ordering>> {
        if let (Some(one), Some(other)) = (left.text(), right.text()) {
            self.spend(one.len().min(other.len()) / BYTES_PER_STEP, node)?;
            return Ok(Some(one.cmp(other)));
        }
        match (left, right) {
            (Value::Bool(one), Value::Bool(other)) => Ok(Some(one.cmp(other))),
            (Value::Time(one), Value::Time(other)) => Ok(Some(one.cmp(other))),
            (Value::Span(one), Value::Span(other)) => Ok(Some(one.cmp(other))),
            _ if left.type_of().is_number() && right.type_of().is_number() => {
                Ok(compare_numbers(left, right))
            }
            _ => Err(wrong(node, numbers::no_meaning(operator, left, right))),
        }
    }

    fn map(&mut self, node: &'a Node, entries: &'a [(Node, Node)]) -> Result<Value<'a>> {
        let mut made: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let at = key;
            let key = self.value(key)?;
            let is_key = key.text().is_some() || matches!(key, Value::Bool(_)) || key.type_of().is_number();
            self.spend(made.len(), node)?;
            if !is_key {
                return Err(wrong(at, format!("{} cannot be a key", key.type_of().a())));
            }
            if made.iter().any(|(known, _)| is_same_key(known, &key)) {
                return Err(wrong(at, "this key is there twice"));
            }
            let value = self.value(value)?;
            made.push((key, value));
        }
        Ok(Value::Map(made.into()))
    }

    fn matches(&mut self, node: &'a Node, text: &'a Node, pattern: &Pattern) -> Result<Value<'a>> {
        let value = self.value(text)?;
        let Some(held) = value.text() else {
            let kind = value.type_of().a();
            return Err(wrong(node, format!("matches() does not take {kind}")));
        };
        self.spend(
            held.len()
                .saturating_add(1)
                .saturating_mul(pattern.steps_per_byte),
            node,
        )?;
        Ok(Value::Bool(pattern.regex.is_match(held)))
    }

    fn go_over(&mut self, node: &'a Node, of: &'a Loop) -> Result<Value<'a>> {
        let range = self.value(&of.range)?;
        let (mut failed, mut found, mut kept) = (None, 0_usize, Vec::new());
        let length = match range.type_of() {
            Type::List | Type::Map => range.len().unwrap_or_default(),
            other => {
                return Err(wrong(node, format!("there are no elements in {}", other.a())));
            }
        };
        let mut keys = match range.type_of() {
            Type::Map => self.entries(node, &range)?.into_iter(),
            _ => Vec::new().into_iter(),
        };
        for at in 0..length {
            self.spend(1, node)?;
            let Some(item) = keys.next().map(|(key, _)| key).or_else(|| range.item(at)) else {
                break;
            };
            self.locals.push(item.clone());
            let result = self.element(of, item, &mut kept);
            self.locals.pop();
            match (of.gives, result) {
                (Gives::All, Ok(false)) => return Ok(Value::Bool(false)),
                (Gives::Exists, Ok(true)) => return Ok(Value::Bool(true)),
                (Gives::All | Gives::Exists, Err(failure)) => self.put_off(failure, &mut failed)?,
                (_, Err(failure)) => return Err(failure),
                (_, Ok(truth)) => found += usize::from(truth),
            }
        }
        match (failed, of.gives) {
            (Some(failure), _) => Err(failure),
            (None, Gives::All) => Ok(Value::Bool(true)),
            (None, Gives::Exists) => Ok(Value::Bool(false)),
            (None, Gives::ExistsOne) => Ok(Value::Bool(found == 1)),
            (None, Gives::Filter | Gives::Map) => Ok(Value::List(kept.into())),
        }
    }

    /// One round, its element on the stack: whether it counts, and what it adds to a list.
    fn element(&mut self, of: &'a Loop, item: Value<'a>, kept: &mut Vec<Value<'a>>) -> Result<bool> {
        match of.gives {
            Gives::Map => {
                let counts = of.filter.as_ref().map_or(Ok(true), |filter| self.truth(filter))?;
                if counts {
                    let value = self.value(&of.body)?;
                    kept.push(value);
                }
                Ok(counts)
            }
            gives => {
                let truth = self.truth(&of.body)?;
                if truth && gives == Gives::Filter {
                    kept.push(item);
                }
                Ok(truth)
            }
        }
    }
}

/// Keys are the same as texts, truths, or numbers.
fn is_same_key(one: &Value<'_>, other: &Value<'_>) -> bool {
    match (one, other) {
        (Value::Bool(one), Value::Bool(other)) => one == other,
        _ => match (one.text(), other.text()) {
            (Some(one), Some(other)) => one == other,
            _ => compare_numbers(one, other) == Some(Ordering::Equal),
        },
    }
}

pub(super) fn fail(node: &Node, why: Why) -> Failure {
    Failure {
        start: node.start,
        end: node.end,
        why,
    }
}

pub(super) fn wrong(node: &Node, why: impl Into<String>) -> Failure {
    fail(node, Why::Wrong(why.into()))
}

fn missing(node: &Node, name: &str) -> Failure {
    let shown: String = name.chars().take(80).collect();
    fail(node, Why::Missing(shown.into()))
}

fn missing_key(node: &Node) -> Failure {
    wrong(node, "there is no entry with this key")
}
