//! Conditions of rules: expressions in CEL, the Common Expression Language, over `event` and `payload`.
//!
//! A condition is compiled when its rule is saved, and refused then with the place of the mistake. Held
//! against an event it is true, false, or fails: a member that is missing, a type that does not fit, or
//! too many steps. Whatever it fails of, it takes no more than [`MAX_STEPS`], and less than the event has
//! left of [`MAX_EVENT_STEPS`]. The language as it is here, and where it differs from the standard, is in
//! `docs/conditions.md`.
//!
//! - `lex`, `parse`, `check`: from the text to a tree whose names and types were checked
//! - `eval`, `calls`, `numbers`, `value`: the tree, held against an event
//! - `explain`: which part decided, and the values that it saw
//! - `key`: expressions whose value is a key instead of a truth

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::event::Event;

mod calls;
mod check;
mod eval;
mod explain;
mod key;
mod lex;
mod numbers;
mod parse;
mod tree;
mod value;

#[cfg(test)]
mod tests;

pub use explain::{Decisive, Explanation, Seen};
pub use key::Key;

use eval::{Evaluation, Failure, Why};
use tree::{Node, Type};

/// The longest condition, in bytes.
pub const MAX_CONDITION_BYTES: usize = 4096;

/// The most steps of one condition for one event. A step is one part of the expression, evaluated once,
/// or 32 bytes of text.
pub const MAX_STEPS: usize = 50_000;

/// The most steps of all the conditions for one event. Rules whose turn comes later fail.
pub const MAX_EVENT_STEPS: usize = 500_000;

/// The steps of a brief look at an event, of all its conditions.
pub const BRIEF_STEPS: usize = 10_000;

/// A compiled condition. Clones are the same one.
#[derive(Clone)]
pub struct Condition(Arc<Program>);

struct Program {
    source: Box<str>,
    tree: Node,
}

/// Why a text is no condition, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct Mistake {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong there; of the text it repeats names only.
    pub message: String,
}

/// Why a condition that was saved came to nothing for an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct Unmet {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong; it names members and types, and no value of the payload.
    pub message: String,
}

/// An event as conditions see it. Its payload is read once, when the first condition needs it.
#[derive(Debug)]
pub struct Facts<'e> {
    event: &'e Event,
    payload: OnceCell<Json>,
    /// Steps that are left for all conditions.
    left: Cell<usize>,
    is_brief: bool,
    /// Whether a condition would have had more steps, had it been the first.
    ran_out: Cell<bool>,
}

impl<'e> Facts<'e> {
    /// Of this event.
    pub fn of(event: &'e Event) -> Self {
        Self {
            event,
            payload: OnceCell::new(),
            left: Cell::new(MAX_EVENT_STEPS),
            is_brief: false,
            ran_out: Cell::new(false),
        }
    }

    /// Of this event, for a brief look: what does not come to an end within [`BRIEF_STEPS`] is to be looked
    /// at again.
    pub fn brief(event: &'e Event) -> Self {
        Self {
            left: Cell::new(BRIEF_STEPS),
            is_brief: true,
            ..Self::of(event)
        }
    }

    /// Whether this was a brief look that came to no end: what it found counts for nothing.
    pub fn was_too_brief(&self) -> bool {
        self.is_brief && self.ran_out.get()
    }

    /// The steps that were taken.
    pub fn taken(&self) -> usize {
        let all = if self.is_brief {
            BRIEF_STEPS
        } else {
            MAX_EVENT_STEPS
        };
        all - self.left.get()
    }

    /// Bytes of the payload, if a condition has needed it.
    pub fn read(&self) -> usize {
        self.payload.get().map_or(0, |_| self.event.payload.len())
    }

    /// The event.
    pub fn event(&self) -> &'e Event {
        self.event
    }

    /// A payload that was accepted can always be read; what is none has no members.
    fn payload(&self) -> &Json {
        self.payload
            .get_or_init(|| serde_json::from_str(&self.event.payload).unwrap_or(Json::Null))
    }

    /// Runs an evaluation within what is left, and takes off what it took.
    fn evaluate<'a, T>(&'a self, run: impl FnOnce(&mut Evaluation<'a>) -> T) -> T {
        let steps = self.left.get().min(MAX_STEPS);
        let mut evaluation = Evaluation::new(self.event, self.payload(), steps);
        let result = run(&mut evaluation);
        self.left
            .set(self.left.get() - (steps - evaluation.left.min(steps)));
        if evaluation.left == 0 && steps < MAX_STEPS {
            self.ran_out.set(true);
        }
        result
    }
}

impl Condition {
    /// Reads and checks a text.
    pub fn compile(source: &str) -> Result<Self, Mistake> {
        let mistake = |(at, message)| Mistake::at(source, at, message);
        if source.len() > MAX_CONDITION_BYTES {
            let message = format!(
                "the condition has {} bytes; it may have {MAX_CONDITION_BYTES}",
                source.len()
            );
            return Err(mistake((0, message)));
        }
        let tree = parse::parse(source).map_err(mistake)?;
        if !matches!(tree.kind_of, Type::Bool | Type::Dyn) {
            let kind = tree.kind_of.a();
            return Err(mistake((
                tree.start,
                format!("the condition is {kind}, never true or false"),
            )));
        }
        Ok(Self(Arc::new(Program {
            source: source.into(),
            tree,
        })))
    }

    /// The text that it was compiled from.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Whether it is true for an event. When it fails, the rule does not match.
    pub fn holds(&self, facts: &Facts<'_>) -> Result<bool, Unmet> {
        facts
            .evaluate(|evaluation| evaluation.truth(&self.0.tree))
            .map_err(|failure| self.unmet(&failure))
    }

    fn unmet(&self, failure: &Failure) -> Unmet {
        unmet(self.source(), failure)
    }
}

impl Mistake {
    fn at(source: &str, at: usize, message: String) -> Self {
        let (line, column) = place(source, at);
        Self {
            line,
            column,
            message,
        }
    }
}

fn unmet(source: &str, failure: &Failure) -> Unmet {
    let (line, column) = place(source, failure.start);
    let message = match &failure.why {
        Why::Missing(name) => format!("there is no member {name:?}"),
        Why::Wrong(why) => why.clone(),
        Why::TooMuch => "the condition takes too many steps for this event".into(),
    };
    Unmet {
        line,
        column,
        message,
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({:?})", self.source())
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

/// The line and the column of a byte, from 1.
fn place(source: &str, at: usize) -> (usize, usize) {
    let before = &source[..source.floor_char_boundary(at)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
