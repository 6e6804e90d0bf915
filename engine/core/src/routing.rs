//! The rules of a workspace, arranged so that an event meets only those that may be meant.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Map;

use crate::condition::{Condition, Explanation, Facts, Key, Mistake};
use crate::event::Event;
use crate::id::RuleId;
use crate::ordering::OrderingKey;
use crate::rule::{Match, Rule};

/// What decides about a rule's matching and about its order, compiled. Many of these are kept in memory.
#[derive(Debug)]
pub struct Route {
    rule: Rule,
    condition: Option<Result<Condition, Mistake>>,
    key: Option<Key>,
}

/// A rule that an event matched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matched<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// The line that its delivery of this event stands in.
    pub ordering_key: Option<OrderingKey>,
}

impl Route {
    /// Of a rule. A condition that was saved but cannot be read (by another version with other limits)
    /// makes a rule that never matches, and says why.
    pub fn new(rule: Rule) -> Self {
        let condition = rule.condition.as_deref().map(Condition::compile);
        let key = rule
            .order
            .as_ref()
            .and_then(|order| Key::compile(&order.key).ok());
        let rule = Rule {
            metadata: Map::new(),
            mapping: None,
            ..rule
        };
        Self { rule, condition, key }
    }

    /// The rule, without its metadata and its mapping: these are for deliveries.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Whether only its condition is left to be asked about an event, and with it the payload.
    pub fn depends_on_payload(&self, event: &Event) -> bool {
        self.condition.is_some() && self.rule.matches(event) == Match::Matched
    }

    /// Holds the rule and its condition against an event of its workspace.
    pub fn matches(&self, facts: &Facts<'_>) -> Match {
        match self.rule.matches(facts.event()) {
            Match::Matched => match &self.condition {
                None => Match::Matched,
                Some(Ok(condition)) => match condition.holds(facts) {
                    Ok(true) => Match::Matched,
                    Ok(false) => Match::ConditionFalse,
                    Err(unmet) => Match::ConditionFailed(unmet.to_string()),
                },
                Some(Err(mistake)) => Match::ConditionFailed(format!("it cannot be read: {mistake}")),
            },
            other => other,
        }
    }

    /// The line that its delivery of an event stands in. `None`: it is not ordered, since the rule orders
    /// nothing, or its key came to nothing for this event.
    pub fn ordering_key(&self, facts: &Facts<'_>) -> Option<OrderingKey> {
        let value = self.key.as_ref()?.value(facts).ok()??;
        Some(OrderingKey::of(self.rule.id, &value))
    }

    /// What its condition comes to, and which part of it decided; `None` without one that can be read.
    pub fn explain(&self, facts: &Facts<'_>) -> Option<Explanation> {
        self.condition
            .as_ref()?
            .as_ref()
            .ok()
            .map(|condition| condition.explain(facts))
    }
}

/// All rules of a workspace. An event's name leads to those that are active and meant by it, so that
/// matching takes as long as there are such rules, and not as there are rules.
#[derive(Debug, Default)]
pub struct Routing {
    /// By the id of the rule.
    routes: Vec<Arc<Route>>,
    /// Places in `routes`, by the event's whole name.
    by_name: HashMap<Box<str>, Meant>,
    /// By the part before the `*`, which ends in a dot.
    by_prefix: HashMap<Box<str>, Meant>,
    /// Of the pattern `*`.
    of_everything: Meant,
}

/// The rules of one pattern.
#[derive(Debug, Default)]
struct Meant {
    /// Of any `resource_id`.
    of_any: Vec<u32>,
    by_resource_id: HashMap<Box<str>, Vec<u32>>,
}

impl Meant {
    fn add(&mut self, rule: &Rule, place: u32) {
        match &rule.resource_id {
            None => self.of_any.push(place),
            Some(id) => self
                .by_resource_id
                .entry(id.as_str().into())
                .or_default()
                .push(place),
        }
    }

    fn gather(&self, resource_id: Option<&str>, places: &mut Vec<u32>) {
        places.extend(&self.of_any);
        if let Some(of_it) = resource_id.and_then(|id| self.by_resource_id.get(id)) {
            places.extend(of_it);
        }
    }
}

impl Routing {
    /// Arranges rules of one workspace.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self::arrange(rules.into_iter().map(|rule| Arc::new(Route::new(rule))).collect())
    }

    /// The same after some rules changed: `now` is what they are, those of `changed` that are not in it
    /// are gone. Conditions of the others are not compiled again.
    pub fn with(&self, changed: &[RuleId], now: Vec<Rule>) -> Self {
        let changed: HashSet<RuleId> = changed
            .iter()
            .copied()
            .chain(now.iter().map(|rule| rule.id))
            .collect();
        let kept = self
            .routes
            .iter()
            .filter(|route| !changed.contains(&route.rule.id));
        let new = now.into_iter().map(|rule| Arc::new(Route::new(rule)));
        Self::arrange(kept.cloned().chain(new).collect())
    }

    fn arrange(mut routes: Vec<Arc<Route>>) -> Self {
        routes.sort_by_key(|route| route.rule.id);
        let mut routing = Self::default();
        for (place, route) in (0_u32..).zip(&routes) {
            let rule = &route.rule;
            if !rule.active {
                continue;
            }
            let meant = match rule.event.strip_suffix('*') {
                None => routing.by_name.entry(rule.event.as_str().into()).or_default(),
                Some("") => &mut routing.of_everything,
                Some(prefix) => routing.by_prefix.entry(prefix.into()).or_default(),
            };
            meant.add(rule, place);
        }
        routing.routes = routes;
        routing
    }

    /// All rules, by their ids.
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// One of the rules.
    pub fn route(&self, id: RuleId) -> Option<&Route> {
        let place = self
            .routes
            .binary_search_by_key(&id, |route| route.rule.id)
            .ok()?;
        self.routes.get(place).map(Arc::as_ref)
    }

    /// The rules that an event matches, by their ids. After a look that was [too
    /// brief](Facts::was_too_brief), some of them.
    pub fn matching<'a>(&'a self, facts: &Facts<'_>) -> Vec<Matched<'a>> {
        let event = facts.event();
        let resource_id = event.resource_id.as_deref();
        let mut places = Vec::new();
        self.of_everything.gather(resource_id, &mut places);
        if let Some(meant) = self.by_name.get(event.event.as_str()) {
            meant.gather(resource_id, &mut places);
        }
        if !self.by_prefix.is_empty() {
            for (dot, _) in event.event.match_indices('.') {
                if let Some(meant) = self.by_prefix.get(&event.event[..=dot]) {
                    meant.gather(resource_id, &mut places);
                }
            }
        }
        places.sort_unstable();
        places
            .into_iter()
            .filter_map(|place| self.routes.get(place as usize))
            .take_while(|_| !facts.was_too_brief())
            .filter(|route| route.matches(facts) == Match::Matched)
            .map(|route| Matched {
                rule: &route.rule,
                ordering_key: route.ordering_key(facts),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::{ConnectionId, EventId, WorkspaceId};
    use crate::time::Timestamp;

    fn rule(id: u8, event: &str, resource: Option<&str>, resource_id: Option<&str>, active: bool) -> Rule {
        Rule {
            id: RuleId::new(Timestamp(i64::from(id)), [id; 10]),
            workspace: WorkspaceId::new(Timestamp(0), [0; 10]),
            connection: ConnectionId::new(Timestamp(0), [0; 10]),
            kind: "webhook".into(),
            event: event.into(),
            resource: resource.map(Into::into),
            resource_id: resource_id.map(Into::into),
            condition: None,
            order: None,
            metadata: Map::new(),
            mapping: None,
            active,
            hidden: false,
            created_by: "test".into(),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    #[test]
    fn what_deliveries_need_is_not_kept_for_matching() {
        let heavy = Rule {
            metadata: Map::from_iter([("body".to_owned(), "x".repeat(60_000).into())]),
            mapping: Some("{}".into()),
            ..rule(1, "a", None, None, true)
        };
        let routing = Routing::new(vec![heavy]);
        let kept = routing.routes()[0].rule();
        assert!(kept.metadata.is_empty() && kept.mapping.is_none());
    }

    fn event(name: &str, resource: &str, resource_id: Option<&str>, n: u8) -> Event {
        Event {
            id: EventId::new(Timestamp(0), [0; 10]),
            workspace: WorkspaceId::new(Timestamp(0), [0; 10]),
            event: name.into(),
            resource: resource.into(),
            resource_id: resource_id.map(Into::into),
            payload: format!(r#"{{"n": {n}}}"#).into(),
            created_by: "test".into(),
            created_at: Timestamp(0),
        }
    }

    fn words(of: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
        prop::sample::select(of)
    }

    fn rules() -> impl Strategy<Value = Vec<Rule>> {
        let one = (
            words(&["a", "a.b", "a.b.c", "a.", "b", "*", "a.*", "a.b.*", "b.*", "a..*"]),
            prop::option::of(words(&["course", "global"])),
            prop::option::of(words(&["1", "2"])),
            prop::option::weighted(
                0.3,
                words(&[
                    "payload.n > 4",
                    "payload.x > 4",
                    "event.resource == 'course'",
                    "no",
                    "payload.n",
                ]),
            ),
            prop::bool::weighted(0.8),
        );
        prop::collection::vec(one, 0..30).prop_map(|all| {
            let of = |(id, (pattern, resource, resource_id, condition, active)): (
                u8,
                (&str, _, _, Option<&str>, _),
            )| Rule {
                condition: condition.map(Into::into),
                ..rule(id, pattern, resource, resource_id, active)
            };
            (0..).zip(all).map(of).collect()
        })
    }

    fn events() -> impl Strategy<Value = Event> {
        (
            words(&["a", "a.b", "a.b.c", "a.", "a..b", "b", "b.c", "ab", ".", "c.a.b"]),
            words(&["course", "global"]),
            prop::option::of(words(&["1", "2", "3"])),
            0..9_u8,
        )
            .prop_map(|(name, resource, resource_id, n)| event(name, resource, resource_id, n))
    }

    proptest! {
        #[test]
        fn the_arrangement_matches_what_every_rule_by_itself_does(rules in rules(), event in events()) {
            let facts = Facts::of(&event);
            let one_by_one: Vec<Rule> = rules
                .iter()
                .filter(|rule| Route::new((*rule).clone()).matches(&facts) == Match::Matched)
                .cloned()
                .collect();
            let routing = Routing::new(rules);
            let arranged: Vec<Rule> = routing.matching(&facts).into_iter().map(|matched| matched.rule.clone()).collect();
            prop_assert_eq!(arranged, one_by_one);
        }

        #[test]
        fn changing_some_rules_comes_to_the_same_as_arranging_all(
            before in rules(), after in rules(), event in events()
        ) {
            let changed: Vec<RuleId> = (0..40).map(|id| rule(id, "a", None, None, true).id).collect();
            let patched = Routing::new(before).with(&changed, after.clone());
            let anew = Routing::new(after);
            let facts = Facts::of(&event);
            prop_assert_eq!(patched.matching(&facts), anew.matching(&facts));
            let all = |routing: &Routing| -> Vec<Rule> {
                routing.routes().iter().map(|route| route.rule().clone()).collect()
            };
            prop_assert_eq!(all(&patched), all(&anew));
        }
    }

    #[test]
    fn a_brief_look_comes_to_the_same_as_a_long_one_or_says_that_it_was_too_brief() {
        let conditional = |id: u8, condition: &str| Rule {
            condition: Some(condition.into()),
            ..rule(id, "a", None, None, true)
        };
        // Each of the long ones takes some thousand steps.
        let long = "[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b,
            [1,2,3,4,5].all(c, a + b + c > 0)))";
        let of = |count: u8| {
            let last = conditional(count + 1, "payload.n == 7");
            Routing::new((0..count).map(|id| conditional(id, long)).chain([last]).collect())
        };
        let event = event("a", "global", None, 7);
        for (rules, too_brief) in [(0, false), (1, false), (9, true)] {
            let (routing, brief, facts) = (of(rules), Facts::brief(&event), Facts::of(&event));
            let briefly = routing.matching(&brief);
            let found = routing.matching(&facts);
            assert_eq!(found.len(), usize::from(rules) + 1);
            assert_eq!(brief.was_too_brief(), too_brief, "{rules}: {}", facts.taken());
            assert_eq!(briefly == found, !too_brief);
            assert!(!facts.was_too_brief() && brief.taken() <= crate::condition::BRIEF_STEPS);
            for matched in found {
                let route = routing.route(matched.rule.id);
                assert_eq!(route.map(Route::rule), Some(matched.rule));
            }
        }
    }

    #[test]
    fn a_key_that_takes_many_steps_is_not_left_out_by_a_brief_look() {
        let order = crate::ordering::Order {
            key: "[1,2,3,4,5,6,7,8,9,10].map(a, [1,2,3,4,5,6,7,8,9,10].map(b,
                [1,2,3,4,5,6,7,8,9,10].map(c, [1,2].map(d, a + b + c + d)))).size() + payload.n"
                .into(),
            on_failure: crate::ordering::OnFailure::Continue,
        };
        let ordered = Rule {
            order: Some(order),
            ..rule(1, "a", None, None, true)
        };
        let routing = Routing::new(vec![ordered]);
        let event = event("a", "global", None, 7);
        let (brief, facts) = (Facts::brief(&event), Facts::of(&event));
        assert_eq!(routing.matching(&brief)[0].ordering_key, None);
        assert!(brief.was_too_brief());
        assert!(routing.matching(&facts)[0].ordering_key.is_some());
    }

    #[test]
    fn a_rule_that_changed_is_held_as_it_is_now_and_one_that_went_is_gone() {
        let rules = vec![
            rule(1, "a", None, None, true),
            rule(2, "a.*", None, None, true),
            rule(3, "*", None, None, true),
        ];
        let ids: Vec<RuleId> = rules.iter().map(|rule| rule.id).collect();
        let routing = Routing::new(rules);
        let seen = event("a", "global", None, 0);
        let matched = |routing: &Routing| -> Vec<RuleId> {
            let rules = routing.matching(&Facts::of(&seen));
            rules.into_iter().map(|matched| matched.rule.id).collect()
        };
        assert_eq!(matched(&routing), [ids[0], ids[2]]);
        let changed = routing.with(&[ids[0], ids[1]], vec![rule(2, "a", None, None, true)]);
        assert_eq!(matched(&changed), [ids[1], ids[2]]);
        assert!(Arc::ptr_eq(&changed.routes()[1], &routing.routes()[2]));
    }

    #[test]
    fn a_rule_says_why_its_condition_kept_it_from_matching() {
        let held = |condition: &str| {
            let rule = Rule {
                condition: Some(condition.into()),
                ..rule(1, "a", None, None, true)
            };
            Route::new(rule).matches(&Facts::of(&event("a", "global", None, 7)))
        };
        assert_eq!(held("payload.n == 7"), Match::Matched);
        assert_eq!(held("payload.n == 8"), Match::ConditionFalse);
        let failed = |part: &str, found: Match| match found {
            Match::ConditionFailed(why) => assert!(why.contains(part), "{why}"),
            other => panic!("{other:?}"),
        };
        failed("there is no member \"m\"", held("payload.m == 8"));
        failed("it cannot be read: line 1, column 11", held("payload.m ="));
    }

    #[test]
    fn a_rule_with_a_key_says_in_which_line_an_event_stands() {
        let order = |key: &str| {
            let order = crate::ordering::Order {
                key: key.into(),
                on_failure: crate::ordering::OnFailure::Continue,
            };
            let rule = Rule {
                order: Some(order),
                ..rule(1, "a", None, None, true)
            };
            let routing = Routing::new(vec![rule]);
            move |n| {
                let event = event("a", "global", None, n);
                routing.matching(&Facts::of(&event))[0].ordering_key
            }
        };
        let by_number = order("payload.n");
        assert!(by_number(1).is_some());
        assert_eq!(by_number(1), by_number(1));
        assert_ne!(by_number(1), by_number(2));
        for none in ["payload.m", "[payload.n][0] + 'x'", "no key"] {
            assert_eq!(order(none)(1), None, "{none}");
        }
    }
}
