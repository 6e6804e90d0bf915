//! Why each rule matched an event, or did not. What is held is the rules of now against an event of
//! then, and each answer says where that makes a difference.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use heddle_core::condition::{Explanation, Facts};
use heddle_core::event::Event;
use heddle_core::id::{ConnectionId, DeliveryId, EventId, RuleId};
use heddle_core::routing::Route;
use heddle_core::rule::{Match, Rule};
use heddle_store::{DeliveryRecord, EventRecord};
use serde::Serialize;

use crate::App;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::events::NO_EVENT;
use crate::extract::{Ids, Parameters};
use crate::permission::Permission;
use crate::views::List;

/// A rule, and what it made of an event.
#[derive(Debug, Serialize)]
pub struct Explained {
    rule: RuleId,
    connection: ConnectionId,
    #[serde(rename = "type")]
    kind: String,
    /// Whether it led to a delivery, whatever it would do now.
    matched: bool,
    outcome: &'static str,
    /// For people.
    reason: String,
    /// What the rule as it is now makes of the event; absent when it is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<&'static str>,
    /// Whether the rule was changed after the event: then it may have been another one at the time.
    changed_since: bool,
    rule_deleted: bool,
    /// Whether deliveries go out at all; they wait for an inactive connection.
    connection_active: bool,
    /// What the condition, as it is now, comes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Explanation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_event: Option<Led>,
}

/// The delivery that a rule led to.
#[derive(Debug, Serialize)]
struct Led {
    id: DeliveryId,
    status: &'static str,
    /// The event whose delivery by this rule comes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<EventId>,
}

/// What is said where a condition would need a payload that is past its time.
pub const PAYLOAD_GONE: &str = "The payload is no longer kept, so the condition cannot be asked.";

/// A rule as it stands in the list: what matched comes first, and then by the ids of the rules.
struct Entry<'a> {
    rule: RuleId,
    connection: ConnectionId,
    kind: &'a str,
    route: Option<&'a Arc<Route>>,
    now: Option<Match>,
    /// Its condition asks for a payload that is no longer kept.
    unknown: bool,
    delivery: Option<&'a DeliveryRecord>,
}

impl Entry<'_> {
    fn key(&self) -> (bool, RuleId) {
        (self.delivery.is_none(), self.rule)
    }
}

/// `GET /events/{event}/explain`
pub async fn event(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<EventId>,
    parameters: Parameters,
) -> Result<Json<List<Explained>>, ApiError> {
    if !caller.may(Permission::RulesRead) {
        return Err(ApiError::Forbidden(
            "Explaining shows rules: it needs the permission rules:read too.",
        ));
    }
    let limit = parameters.limit()?;
    let matched = match parameters.get("matched") {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => return Err(ApiError::invalid("matched", "must be true or false")),
    };
    let after = parameters.get("cursor").map(read_cursor).transpose()?;
    let record = app.store.event(caller.reach(), id).await?.ok_or(NO_EVENT)?;
    let payload = app.store.event_payload(caller.reach(), id).await?;
    let mut deliveries = app.store.deliveries_of(id).await?;
    let workspace = record.workspace;
    let routing = app.store.rules_of(workspace).await?;
    let gone = payload.is_none();
    let event = seen(&record, payload.unwrap_or_else(|| "{}".into()));

    let reach = caller.reach();
    // It holds the event against every rule there is.
    let page = move || {
        let within = |route: &&Arc<Route>| {
            let rule = route.rule();
            reach.is_of_resource(rule.resource.as_deref(), rule.resource_id.as_deref())
        };
        let (routes, others): (Vec<&Arc<Route>>, Vec<_>) = routing.routes().iter().partition(within);
        // What is left without its rule is of a deleted one, and not of one that is out of reach.
        let others: HashSet<RuleId> = others.iter().map(|route| route.rule().id).collect();
        deliveries.retain(|delivery| !others.contains(&delivery.rule));
        let mut entries = entries(&routes, &deliveries, &Facts::of(&event));
        if gone {
            // What a condition would say of a payload that is not there is nothing to be told.
            for entry in &mut entries {
                entry.unknown = entry.route.is_some_and(|route| route.depends_on_payload(&event));
            }
        }
        entries.retain(|entry| matched.is_none_or(|matched| matched == entry.delivery.is_some()));
        entries.retain(|entry| after.is_none_or(|after| entry.key() > after));
        entries.truncate(limit + 1);
        let next = (entries.len() > limit).then(|| entries.pop()).flatten();
        let next_cursor = next.and_then(|_| entries.last().map(|entry| cursor(entry.key())));
        let facts = Facts::of(&event);
        let shown: Vec<Explained> = entries
            .iter()
            .map(|entry| explained(entry, &record, &facts))
            .collect();
        (shown, next_cursor)
    };
    let page = app.matching.apart(workspace, page).await;
    let (mut shown, next_cursor) = page;
    for explained in &mut shown {
        let connection = app.store.connection_for_delivery(explained.connection).await?;
        explained.connection_active = connection.is_some_and(|connection| connection.health.is_active());
        if !explained.connection_active && !explained.rule_deleted {
            explained
                .reason
                .push_str(" Its connection is inactive: deliveries wait.");
        }
    }
    Ok(Json(List::page(shown, limit, next_cursor)))
}

/// An event as conditions see it.
pub fn seen(record: &EventRecord, payload: Arc<str>) -> Event {
    Event {
        id: record.id,
        workspace: record.workspace,
        event: record.event.clone(),
        resource: record.resource.clone(),
        resource_id: record.resource_id.clone(),
        payload,
        created_by: record.created_by.clone(),
        created_at: record.created_at,
    }
}

/// Every rule of the workspace, and those that are deleted but led to a delivery.
fn entries<'a>(
    routes: &[&'a Arc<Route>],
    deliveries: &'a [DeliveryRecord],
    facts: &Facts<'_>,
) -> Vec<Entry<'a>> {
    let mut by_rule: HashMap<RuleId, &DeliveryRecord> = deliveries
        .iter()
        .map(|delivery| (delivery.rule, delivery))
        .collect();
    let mut entries: Vec<Entry<'a>> = Vec::with_capacity(routes.len() + deliveries.len());
    for route in routes {
        let rule = route.rule().id;
        let delivery = by_rule.remove(&rule);
        entries.push(Entry {
            rule,
            connection: delivery.map_or(route.rule().connection, |delivery| delivery.connection),
            kind: delivery.map_or(&route.rule().kind, |delivery| &delivery.kind),
            route: Some(*route),
            now: Some(route.matches(facts)),
            unknown: false,
            delivery,
        });
    }
    entries.extend(by_rule.into_values().map(|delivery| Entry {
        rule: delivery.rule,
        connection: delivery.connection,
        kind: &delivery.kind,
        route: None,
        now: None,
        unknown: false,
        delivery: Some(delivery),
    }));
    entries.sort_by_key(Entry::key);
    entries
}

fn explained(entry: &Entry<'_>, event: &EventRecord, facts: &Facts<'_>) -> Explained {
    let rule = entry.route.map(|route| route.rule());
    let changed_since = rule.is_none_or(|rule| rule.updated_at > event.created_at);
    let made_later = rule.is_some_and(|rule| rule.created_at > event.created_at);
    let (outcome, reason) = match (&entry.now, entry.delivery) {
        (None, _) => ("matched", "It matched, and was deleted since.".to_owned()),
        (Some(_), Some(_)) if entry.unknown => ("matched", format!("It matched. {PAYLOAD_GONE}")),
        (Some(Match::Matched), Some(_)) => ("matched", "It matched.".to_owned()),
        (Some(other), Some(_)) => (
            "matched",
            format!("It matched then, and would not now: {}", told(other, rule, event)),
        ),
        (Some(_), None) if made_later => (
            "created_later",
            "It was made after the event was accepted.".to_owned(),
        ),
        (Some(_), None) if entry.unknown => ("payload_gone", PAYLOAD_GONE.to_owned()),
        (Some(Match::Matched), None) => (
            "changed_since",
            "It did not match then; it would now, as it was changed.".to_owned(),
        ),
        (Some(other), None) => (other.as_str(), told(other, rule, event)),
    };
    let asked = !entry.unknown
        && matches!(
            entry.now,
            Some(Match::Matched | Match::ConditionFalse | Match::ConditionFailed(_))
        );
    Explained {
        rule: entry.rule,
        connection: entry.connection,
        kind: entry.kind.into(),
        matched: entry.delivery.is_some(),
        outcome,
        reason,
        now: match entry.unknown {
            true => Some("payload_gone"),
            false => entry.now.as_ref().map(Match::as_str),
        },
        changed_since,
        rule_deleted: rule.is_none(),
        connection_active: true,
        condition: entry
            .route
            .filter(|_| asked)
            .and_then(|route| route.explain(facts)),
        rule_event: entry.delivery.map(|delivery| Led {
            id: delivery.id,
            status: delivery.state.status.as_str(),
            waits_for: delivery.waits_for,
        }),
    }
}

fn told(found: &Match, rule: Option<&Rule>, event: &EventRecord) -> String {
    rule.map(|rule| reason(found, rule, event)).unwrap_or_default()
}

/// Why a rule matches an event or does not, in a sentence.
pub fn reason(found: &Match, rule: &Rule, event: &EventRecord) -> String {
    match found {
        Match::Matched => "It matches.".into(),
        Match::OtherEvent => format!("The rule is for {}, the event is {}.", rule.event, event.event),
        Match::OtherResource => format!(
            "The rule is for the resource {}, the event's is {}.",
            rule.resource.as_deref().unwrap_or_default(),
            event.resource
        ),
        Match::OtherResourceId => format!(
            "The rule is for the resource_id {}, the event {}.",
            rule.resource_id.as_deref().unwrap_or_default(),
            event
                .resource_id
                .as_deref()
                .map_or("has none".into(), |id| format!("has {id}"))
        ),
        Match::Inactive => "The rule is inactive.".into(),
        Match::ConditionFalse => "The condition is false.".into(),
        Match::ConditionFailed(why) => format!("The condition failed at {why}."),
    }
}

fn cursor((unmatched, rule): (bool, RuleId)) -> String {
    format!("{}{rule}", if unmatched { 'n' } else { 'm' })
}

fn read_cursor(text: &str) -> Result<(bool, RuleId), ApiError> {
    let (unmatched, id) = match (text.strip_prefix('n'), text.strip_prefix('m')) {
        (Some(id), _) => (true, id),
        (_, Some(id)) => (false, id),
        _ => (false, ""),
    };
    let id = id
        .parse()
        .map_err(|_| ApiError::invalid("cursor", "is not one that this list gave"))?;
    Ok((unmatched, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let rule: RuleId = "0195d2f0-0000-7000-8000-000000000001".parse().unwrap();
        for key in [(true, rule), (false, rule)] {
            assert_eq!(read_cursor(&cursor(key)).unwrap(), key);
        }
        for bad in ["", "x", "n", "m123", "é0195d2f0-0000-7000-8000-000000000001"] {
            assert!(read_cursor(bad).is_err(), "{bad}");
        }
    }
}
