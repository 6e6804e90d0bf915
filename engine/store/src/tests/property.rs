//! Whatever the verbs and their order: every event's counters are the recount of its deliveries, every
//! row is within the schema's CHECKs, and of deliveries with a key one goes at a time, in the order of
//! acceptance, until none is left.

use heddle_core::calendar::Day;
use heddle_core::connection::InactiveReason;
use heddle_core::delivery::{Status, Tally};
use heddle_core::ordering::{OnFailure, Order};
use heddle_core::outcome::ConnectionVerdict;
use proptest::prelude::*;

use super::*;

/// Numbers pick among what is there, modulo how much that is.
#[derive(Clone, Debug)]
enum Verb {
    Accept {
        rules: u8,
        key: u8,
    },
    Claim {
        lane: usize,
        limit: usize,
        forced_only: bool,
    },
    Record {
        held: usize,
        outcome: u8,
    },
    Expire,
    ReleaseAll,
    Cancel {
        event: usize,
        rule: usize,
    },
    CancelEvent {
        event: usize,
    },
    Retry {
        event: usize,
        rule: usize,
    },
    MoveRule {
        rule: usize,
        lane: usize,
    },
    DeleteRule {
        rule: usize,
    },
    OrderRule {
        rule: usize,
        policy: usize,
    },
    SetHealth {
        lane: usize,
        active: bool,
    },
    DeleteConnection {
        lane: usize,
        force: bool,
    },
}

fn verbs() -> impl Strategy<Value = Vec<(Verb, u64)>> {
    let n = || 0usize..6;
    let verb = prop_oneof![
        5 => (any::<u8>(), 0u8..3).prop_map(|(rules, key)| Verb::Accept { rules, key }),
        6 => (n(), 0usize..4, any::<bool>())
            .prop_map(|(lane, limit, forced_only)| Verb::Claim { lane, limit, forced_only }),
        8 => (n(), any::<u8>()).prop_map(|(held, outcome)| Verb::Record { held, outcome }),
        1 => Just(Verb::Expire),
        1 => Just(Verb::ReleaseAll),
        2 => (n(), n()).prop_map(|(event, rule)| Verb::Cancel { event, rule }),
        1 => n().prop_map(|event| Verb::CancelEvent { event }),
        3 => (n(), n()).prop_map(|(event, rule)| Verb::Retry { event, rule }),
        1 => (n(), n()).prop_map(|(rule, lane)| Verb::MoveRule { rule, lane }),
        1 => n().prop_map(|rule| Verb::DeleteRule { rule }),
        1 => (n(), 0usize..3).prop_map(|(rule, policy)| Verb::OrderRule { rule, policy }),
        1 => (n(), any::<bool>()).prop_map(|(lane, active)| Verb::SetHealth { lane, active }),
        1 => (n(), any::<bool>()).prop_map(|(lane, force)| Verb::DeleteConnection { lane, force }),
    ];
    proptest::collection::vec((verb, 0u64..40_000), 1..40)
}

async fn delivery_by_id(world: &World, id: DeliveryId) -> DeliveryRecord {
    let found = world.query(move |connection| Ok(crate::deliveries::find(connection, id)));
    found.await.unwrap().unwrap()
}

fn outcome(choice: u8) -> Outcome {
    match choice % 6 {
        0 | 1 => delivered(),
        2 => server_error(),
        3 => Outcome::permanent(OutcomeCode::RejectedClientError, "400"),
        4 => Outcome {
            connection: ConnectionVerdict::CredentialRefused,
            ..Outcome::permanent(OutcomeCode::AuthFailed, "401")
        },
        _ => Outcome {
            connection: ConnectionVerdict::EndpointGone,
            ..server_error()
        },
    }
}

struct Run {
    world: World,
    tenant: Tenant,
    lanes: Vec<Destination>,
    rules: Vec<Rule>,
    events: Vec<EventId>,
    held: Vec<Claimed>,
    /// Deliveries that a person had tried again: others may have gone before them.
    asked_again: HashSet<DeliveryId>,
}

impl Run {
    async fn new() -> Self {
        let world = World::new();
        let tenant = world.tenant("Academy").await;
        let (mut lanes, mut rules) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let lane = world.destination(tenant).await;
            rules.push(world.rule(&lane).await);
            let policy = OnFailure::ALL[lanes.len() % 2];
            rules.push(world.ordered_rule(&lane, policy).await);
            lanes.push(lane);
        }
        Self {
            world,
            tenant,
            lanes,
            rules,
            events: Vec::new(),
            held: Vec::new(),
            asked_again: HashSet::new(),
        }
    }

    /// When one of a line is claimed, those that were accepted before it have ended, and hold nobody.
    async fn check_order(&self, claimed: &[Claimed]) {
        for taken in claimed {
            let Some(order) = delivery_by_id(&self.world, taken.delivery).await.place else {
                continue;
            };
            let sql = "SELECT id FROM deliveries WHERE rule = ?1 AND ordering_key = ?2 AND place < ?3
                       AND (status IN ('pending', 'processing', 'retrying') OR turn = 'holds')";
            let rule = taken.rule.id;
            let before = self
                .world
                .query(move |connection| {
                    let values = rusqlite::params![rule.as_bytes(), order.key.as_bytes(), order.number];
                    let mut statement = connection.prepare(sql)?;
                    let rows = statement.query_map(values, |row| row.get(0).map(DeliveryId::from_bytes))?;
                    rows.collect::<Result<Vec<_>, _>>()
                })
                .await;
            let late = before.iter().find(|id| !self.asked_again.contains(*id));
            assert_eq!(late, None, "{} went before it", taken.delivery);
        }
    }

    /// Every line has somebody whose turn it is, or who holds it.
    async fn check_lines(&self) {
        let stuck = "SELECT count(*) FROM deliveries w WHERE w.turn = 'waits' AND NOT EXISTS (
                SELECT 1 FROM deliveries o WHERE o.rule = w.rule AND o.ordering_key = w.ordering_key
                AND (o.turn = 'taken' OR (o.turn = 'holds' AND o.place < w.place)))";
        let stuck: u32 = self
            .world
            .query(move |connection| connection.query_row(stuck, [], |row| row.get(0)))
            .await;
        assert_eq!(stuck, 0, "whoever waits, waits for somebody");
    }

    /// Ends what is left, with success; nothing is stuck.
    async fn drain(&mut self, mut now: Timestamp) {
        let store = self.world.store.clone();
        store.release_all_leases(now, schedule(), 1).await.unwrap();
        for lane in 0..self.lanes.len() {
            let active = true;
            self.step(Verb::SetHealth { lane, active }, now).await;
        }
        loop {
            now = now.plus(Duration::from_secs(100_000));
            let mut taken = 0;
            for lane in self.lanes.clone() {
                let claimed = self.world.claim(lane.id, 100, now).await.claimed;
                self.check_order(&claimed).await;
                taken += claimed.len();
                for claimed in claimed {
                    self.world.record(&claimed, delivered(), now).await;
                }
            }
            if taken > 0 {
                continue;
            }
            let holds = "SELECT event, rule FROM deliveries WHERE turn = 'holds' LIMIT 1";
            let holds = self
                .world
                .query(move |connection| {
                    let found = connection.query_row(holds, [], |row| {
                        Ok((EventId::from_bytes(row.get(0)?), RuleId::from_bytes(row.get(1)?)))
                    });
                    Ok(found.ok())
                })
                .await;
            let Some((event, rule)) = holds else { break };
            let organisation = self.tenant.organisation;
            store
                .cancel_delivery(organisation, event, rule, now)
                .await
                .unwrap();
        }
        let left = "SELECT count(*) FROM deliveries WHERE completed_at IS NULL OR turn IS NOT NULL";
        let left: u32 = self
            .world
            .query(move |connection| connection.query_row(left, [], |row| row.get(0)))
            .await;
        assert_eq!(left, 0, "nothing is stuck");
    }

    async fn step(&mut self, verb: Verb, now: Timestamp) {
        let (store, organisation) = (&self.world.store, self.tenant.organisation);
        let event = |n: usize| self.events.get(n % self.events.len().max(1)).copied();
        match verb {
            Verb::Accept { rules, key } => {
                let chosen = self
                    .rules
                    .iter()
                    .enumerate()
                    .filter(|(n, _)| rules & (1 << n) != 0);
                let event = Event {
                    resource_id: (key < 2).then(|| key.to_string()),
                    ..self.world.event(self.tenant.workspace, now)
                };
                let acceptance = self.world.acceptance(event, chosen.map(|(_, rule)| rule));
                self.events
                    .push(store.accept_events(vec![acceptance]).await.unwrap()[0].id);
            }
            Verb::Claim {
                lane,
                limit,
                forced_only,
            } => {
                let request = ClaimRequest {
                    connection: self.lanes[lane % 3].id,
                    limit,
                    forced_only,
                };
                let until = now.plus(Duration::from_secs(30));
                let claim = store.claim(vec![request], now, until).await.unwrap().remove(0);
                assert!(claim.claimed.len() <= limit);
                self.check_order(&claim.claimed).await;
                self.held.extend(claim.claimed);
            }
            Verb::Record {
                held,
                outcome: choice,
            } if !self.held.is_empty() => {
                let claimed = self.held.swap_remove(held % self.held.len());
                self.world.record(&claimed, outcome(choice), now).await;
            }
            Verb::Record { .. } => {}
            Verb::Expire => {
                self.held
                    .iter_mut()
                    .for_each(|claimed| claimed.lease = Lease::default());
                _ = store.expire_leases(now, schedule(), 1).await.unwrap();
            }
            Verb::ReleaseAll => _ = store.release_all_leases(now, schedule(), 1).await.unwrap(),
            Verb::Cancel { event: n, rule } => {
                let Some(id) = event(n) else { return };
                let done = store
                    .cancel_delivery(organisation, id, self.rules[rule].id, now)
                    .await;
                assert!(!matches!(done, Err(CancelError::Store(_))), "{done:?}");
            }
            Verb::CancelEvent { event: n } => {
                let Some(id) = event(n) else { return };
                store.cancel_event(organisation, id, now).await.unwrap();
            }
            Verb::Retry { event: n, rule } => {
                let Some(id) = event(n) else { return };
                let done = store
                    .retry_delivery(organisation, id, self.rules[rule].id, now)
                    .await;
                assert!(!matches!(done, Err(RetryError::Store(_))), "{done:?}");
                if let Ok(delivery) = done {
                    self.asked_again.insert(delivery.id);
                }
            }
            Verb::MoveRule { rule, lane } => {
                let moved = Rule {
                    connection: self.lanes[lane % 3].id,
                    ..self.rules[rule].clone()
                };
                // The rule or the connection may be gone.
                if let Ok(true) = store.update_rule(organisation, moved.clone()).await {
                    self.rules[rule] = moved;
                }
            }
            Verb::OrderRule { rule, policy } => {
                let order = OnFailure::ALL.get(policy).map(|on_failure| Order {
                    key: "event.resource_id".into(),
                    on_failure: *on_failure,
                });
                let changed = Rule {
                    order,
                    updated_at: now,
                    ..self.rules[rule].clone()
                };
                if let Ok(true) = store.update_rule(organisation, changed.clone()).await {
                    self.rules[rule] = changed;
                }
            }
            Verb::DeleteRule { rule } => {
                store
                    .delete_rule(organisation, self.rules[rule].id, now)
                    .await
                    .unwrap();
            }
            Verb::SetHealth { lane, active } => {
                let reason = InactiveReason::ManuallyInactivated;
                let inactive = Health::Inactive {
                    reason,
                    detail: "By hand.".into(),
                };
                let health = if active { Health::Active } else { inactive };
                let changed = Destination {
                    health,
                    updated_at: now,
                    ..self.lanes[lane % 3].clone()
                };
                store
                    .update_connection(organisation, changed, None)
                    .await
                    .unwrap();
            }
            Verb::DeleteConnection { lane, force } => {
                store
                    .delete_connection(organisation, self.lanes[lane % 3].id, force, now)
                    .await
                    .unwrap();
            }
        }
    }

    /// What was counted is what is there.
    async fn check_usage(&self) {
        let sql = "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM deliveries),
                       (SELECT count(*) FROM attempts),
                       (SELECT count(*) FROM attempts WHERE outcome_code = 'delivered'),
                       (SELECT sum(length(CAST(payload AS BLOB))) FROM event_payloads),
                       (SELECT sum(events) FROM usage_of_organisations)";
        let (there, of_all): ([i64; 5], i64) = self
            .world
            .query(move |connection| {
                connection.query_row(sql, [], |row| {
                    let sum =
                        |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.unwrap_or(0));
                    let counted = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, sum(4)?];
                    Ok((counted, sum(5)?))
                })
            })
            .await;
        let filter = UsageFilter {
            from: Day(0),
            to: Day(i64::from(u32::MAX)),
            workspace: None,
        };
        let total = self
            .world
            .store
            .usage(self.tenant.organisation, filter)
            .await
            .unwrap()
            .total;
        let counted = [
            total.events,
            total.deliveries,
            total.attempts,
            total.delivered,
            total.bytes,
        ];
        assert_eq!(counted.map(|count| i64::try_from(count).unwrap()), there);
        assert_eq!(of_all, there[0]);
    }

    async fn check(&self) {
        for id in &self.events {
            let event = self
                .world
                .store
                .event(self.tenant.organisation, *id)
                .await
                .unwrap()
                .unwrap();
            let deliveries = self.world.store.deliveries_of(*id).await.unwrap();
            let mut recount = Tally::default();
            for delivery in &deliveries {
                *recount.count_mut(delivery.state.status) += 1;
            }
            assert_eq!((event.tally, event.status), (recount, recount.status()));
            assert_eq!(event.completed_at.is_some(), event.status.is_final());
            for delivery in deliveries {
                let attempts = self
                    .world
                    .store
                    .list_attempts(delivery.id, first_page(999))
                    .await
                    .unwrap();
                let under_way = u32::from(delivery.state.status == Status::Processing);
                let numbers: Vec<u32> = attempts
                    .records
                    .iter()
                    .rev()
                    .map(|attempt| attempt.number)
                    .collect();
                let ended = delivery.state.attempt_count - under_way;
                assert_eq!(
                    numbers,
                    (1..=ended).collect::<Vec<_>>(),
                    "every attempt is in the history once"
                );
            }
        }
        self.check_usage().await;
        let lost = "SELECT count(*) FROM deliveries d LEFT JOIN rules r ON r.id = d.rule
                    WHERE d.due_at IS NOT NULL AND d.turn IS NOT 'waits' AND d.connection IS NOT r.connection";
        let (lost, integrity) = self
            .world
            .query(move |connection| {
                let lost: u32 = connection.query_row(lost, [], |row| row.get(0))?;
                let integrity: String =
                    connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
                Ok((lost, integrity))
            })
            .await;
        assert_eq!(lost, 0, "what waits, waits in the lane of its rule");
        assert_eq!(integrity, "ok");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counters_are_the_recount_and_rows_are_within_the_checks(verbs in verbs()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut run = Run::new().await;
            let mut now = NOW;
            for (verb, pause) in verbs {
                now = now.plus(Duration::from_millis(pause));
                run.step(verb, now).await;
                run.check_lines().await;
            }
            run.check().await;
            run.drain(now).await;
            run.check().await;
        });
    }
}
