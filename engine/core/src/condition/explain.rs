//! Why a condition came to what it did: the part that decided, and the values that it saw.

use serde::Serialize;
use serde_json::Value as Json;

use super::eval::{Evaluation, Why};
use super::tree::{Kind, Node};
use super::{Condition, Facts, place};

/// The most values of the payload that one part of an explanation shows.
const MAX_SHOWN: usize = 20;

/// The most sub-expressions whose values are shown.
const MAX_SEEN: usize = 8;

/// What a condition came to for an event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// `None` when it failed.
    pub result: Option<bool>,
    /// Why it failed, with its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The smallest part that alone decided.
    pub decisive: Decisive,
}

/// A part of a condition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decisive {
    /// Its text.
    pub expression: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What it is made of, and what that came to. Values from the payload are among them.
    pub saw: Vec<Seen>,
}

/// A value that a condition saw.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Seen {
    /// The text of the part.
    pub expression: String,
    /// Its CEL type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What it came to; long ones are cut.
    pub value: Json,
}

impl Condition {
    /// Holds it against an event again, and tells which part decided.
    pub fn explain(&self, facts: &Facts<'_>) -> Explanation {
        facts.evaluate(|evaluation| {
            let tree = &self.0.tree;
            match evaluation.truth(tree) {
                Ok(result) => {
                    let node = decisive(evaluation, tree, result);
                    Explanation {
                        result: Some(result),
                        failure: None,
                        decisive: self.part(evaluation, node),
                    }
                }
                Err(failure) => {
                    let text = self.unmet(&failure).to_string();
                    let node = find(tree, failure.start, failure.end).unwrap_or(tree);
                    // With no steps left nothing more can be found out.
                    let decisive = if failure.why == Why::TooMuch {
                        self.shown(node, Vec::new())
                    } else {
                        self.part(evaluation, node)
                    };
                    Explanation {
                        result: None,
                        failure: Some(text),
                        decisive,
                    }
                }
            }
        })
    }

    fn shown(&self, node: &Node, saw: Vec<Seen>) -> Decisive {
        let (line, column) = place(self.source(), node.start);
        Decisive {
            expression: self.text(node).into(),
            line,
            column,
            saw,
        }
    }

    fn text(&self, node: &Node) -> &str {
        self.source().get(node.start..node.end).unwrap_or_default()
    }

    /// The part with the values of what it is made of, as far as these can be told without the
    /// variables of a macro around it.
    fn part<'a>(&'a self, evaluation: &mut Evaluation<'a>, node: &'a Node) -> Decisive {
        let mut saw: Vec<Seen> = Vec::new();
        for child in node.kind.children() {
            let plain = matches!(child.kind, Kind::Literal(_) | Kind::Payload);
            if plain || saw.len() == MAX_SEEN || saw.iter().any(|seen| seen.expression == self.text(child)) {
                continue;
            }
            if let Ok(value) = evaluation.value(child) {
                saw.push(Seen {
                    expression: self.text(child).into(),
                    kind: value.type_of().name(),
                    value: value.shown(&mut MAX_SHOWN.clone()),
                });
            }
        }
        self.shown(node, saw)
    }
}

/// Down from a part that came to `result` to the part that made it so.
fn decisive<'a>(evaluation: &mut Evaluation<'a>, node: &'a Node, result: bool) -> &'a Node {
    let next = match &node.kind {
        // One part decided; of the others' failures nothing came.
        Kind::And(parts) if !result => parts.iter().find(|part| evaluation.truth(part) == Ok(false)),
        Kind::Or(parts) if result => parts.iter().find(|part| evaluation.truth(part) == Ok(true)),
        Kind::Choice(parts) => {
            let [condition, then, otherwise] = &**parts;
            match evaluation.truth(condition) {
                Ok(true) => Some(then),
                Ok(false) => Some(otherwise),
                Err(_) => None,
            }
        }
        Kind::Not(of) => return decisive(evaluation, of, !result),
        _ => None,
    };
    match next {
        Some(next) => decisive(evaluation, next, result),
        None => node,
    }
}

/// The part that takes up these bytes.
fn find(node: &Node, start: usize, end: usize) -> Option<&Node> {
    if (node.start, node.end) == (start, end) {
        return Some(node);
    }
    node.kind
        .children()
        .into_iter()
        .filter(|child| child.start <= start && end <= child.end)
        .find_map(|child| find(child, start, end))
}
