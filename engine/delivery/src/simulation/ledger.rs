//! What the world outside of the engine knows: what it sent and was told, what arrived, who wished what.
//! The engine never sees it.

use std::collections::{BTreeMap, BTreeSet};

use heddle_core::id::{ConnectionId, DeliveryId, EventId, ReplayId, RuleId};
use heddle_core::ordering::OrderingKey;
use heddle_core::quota::Part;

/// Whether an event is in the store, as far as its emitter was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// No answer came: the process died.
    Nothing,
    /// It was accepted.
    Accepted,
    /// It was refused, or stands for another one that was accepted before.
    Not,
}

/// An event that an emitter sent.
#[derive(Debug)]
pub struct Sent {
    pub id: EventId,
    pub workspace: usize,
    /// The emitter's own name for it, and what it is, by which a resent one is known.
    pub key: Option<(u64, u64)>,
    pub deliveries: Vec<(RuleId, DeliveryId)>,
    pub bytes: u64,
    pub told: Told,
    /// In true milliseconds.
    pub at: i64,
    /// Its place among all that happened; what is sent in one call has the same.
    pub sent: u64,
    /// When its emitter learned that it was accepted.
    pub accepted: Option<u64>,
}

/// The line of a rule that a delivery stands in.
pub type Line = (RuleId, OrderingKey);

/// A request that reached the receiver.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Its place among all that happened.
    pub tick: u64,
    /// Of the process that sent it.
    pub life: u32,
    /// In true milliseconds.
    pub at: i64,
    pub connection: ConnectionId,
    pub event: EventId,
    pub delivery: DeliveryId,
    pub attempt: u64,
    /// Whether it is the last request of its attempt, which acts.
    pub last: bool,
    pub acted: bool,
    /// The status that was handed back.
    pub answered: Option<u16>,
}

/// The books.
#[derive(Default)]
pub struct Ledger {
    pub sent: Vec<Sent>,
    pub arrivals: Vec<Arrival>,
    /// What somebody wished to be called off, whether or not it happened.
    pub canceled: BTreeSet<(EventId, RuleId)>,
    pub deleted_rules: BTreeSet<RuleId>,
    pub deleted_workspaces: BTreeSet<usize>,
    /// When somebody wished last for a delivery to be tried again.
    pub retried: BTreeMap<(EventId, RuleId), u64>,
    /// How often somebody did.
    pub retries: BTreeMap<(EventId, RuleId), usize>,
    /// When somebody began a bulk replay in a workspace last.
    pub replayed: BTreeMap<usize, u64>,
    /// All of them, and where.
    pub replays: Vec<(ReplayId, usize)>,
    /// Workspaces in which replays go by the rules of now, and may make deliveries.
    pub matched_anew: BTreeSet<usize>,
    /// What of which workspaces was pruned.
    pub pruned: BTreeSet<(usize, Part)>,
    /// When the clock was set.
    pub jumps: Vec<u64>,
    /// Requests under way, by connection.
    pub under_way: BTreeMap<ConnectionId, u32>,
    /// The same by line: which delivery.
    pub turns: BTreeMap<Line, DeliveryId>,
    /// Where deliveries stand that have an ordering key.
    pub lines: BTreeMap<DeliveryId, Line>,
    /// What must not be, seen while it happened.
    pub violations: Vec<String>,
    ticks: u64,
    names: BTreeMap<DeliveryId, String>,
}

impl Ledger {
    pub fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }

    /// Writes down what is about to be sent; returns its place.
    pub fn sends(&mut self, sent: Sent, rules: &[RuleId]) -> usize {
        let place = self.sent.len();
        for (rule, delivery) in &sent.deliveries {
            let rule = rules.iter().position(|known| known == rule).unwrap_or(99);
            self.names.insert(*delivery, format!("e{place}.r{rule}"));
        }
        self.sent.push(sent);
        place
    }

    /// Somebody wishes for a delivery to be tried again.
    pub fn retries(&mut self, event: EventId, rule: RuleId) {
        *self.retries.entry((event, rule)).or_default() += 1;
        self.still_retries(event, rule);
    }

    /// A wish may take its time to come true.
    pub fn still_retries(&mut self, event: EventId, rule: RuleId) {
        let tick = self.tick();
        self.retried.insert((event, rule), tick);
    }

    /// Whether some of this was pruned in a workspace, or all.
    pub fn is_pruned(&self, workspace: usize, part: Part) -> bool {
        self.pruned
            .iter()
            .any(|(of, gone)| *of == workspace && *gone >= part)
    }

    pub fn name(&self, delivery: DeliveryId) -> String {
        self.names.get(&delivery).cloned().unwrap_or("?".to_owned())
    }

    /// An event's place by its id.
    pub fn place(&self, id: EventId) -> Option<usize> {
        self.sent.iter().position(|sent| sent.id == id)
    }
}
