//! What the world outside of the engine knows: what it sent and was told, what arrived, who wished what.
//! The engine never sees it.

use std::collections::{BTreeMap, BTreeSet};

use heddle_core::id::{ConnectionId, DeliveryId, EventId, RuleId};

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
}

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
    /// When somebody wished for a delivery to be tried again.
    pub retried: BTreeMap<(EventId, RuleId), u64>,
    /// When somebody began a bulk replay in a workspace.
    pub replayed: BTreeMap<usize, u64>,
    /// When the clock was set.
    pub jumps: Vec<u64>,
    /// Requests under way, by connection.
    pub under_way: BTreeMap<ConnectionId, u32>,
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

    pub fn name(&self, delivery: DeliveryId) -> String {
        self.names.get(&delivery).cloned().unwrap_or("?".to_owned())
    }

    /// An event's place by its id.
    pub fn place(&self, id: EventId) -> Option<usize> {
        self.sent.iter().position(|sent| sent.id == id)
    }
}
