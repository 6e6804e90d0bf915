//! Order by key: one of a line at a time, in the order of acceptance, whatever happens to it.

use heddle_core::delivery::Status;
use heddle_core::ordering::{OnFailure, Order, OrderingKey, Turn};
use heddle_core::replay::{Filter, Progress, Rules};

use super::*;

impl World {
    /// A rule that orders its deliveries by the resource's id.
    pub(super) async fn ordered_rule(&self, destination: &Destination, on_failure: OnFailure) -> Rule {
        let rule = Rule {
            order: Some(Order {
                key: "event.resource_id".into(),
                on_failure,
            }),
            ..self.rule(destination).await
        };
        let organisation = self.organisation_of(destination.workspace).await;
        assert!(self.store.update_rule(organisation, rule.clone()).await.unwrap());
        rule
    }

    async fn organisation_of(&self, workspace: WorkspaceId) -> OrganisationId {
        let sql = "SELECT organisation FROM workspaces WHERE id = ?1";
        self.query(move |connection| {
            connection.query_row(sql, [workspace.as_bytes()], |row| {
                row.get(0).map(OrganisationId::from_bytes)
            })
        })
        .await
    }

    /// Accepts an event that stands in the line of this key.
    async fn in_line(&self, rule: &Rule, key: &str) -> EventId {
        let event = Event {
            resource_id: Some(key.into()),
            ..self.event(rule.workspace, NOW)
        };
        let accepted = self
            .store
            .accept_events(vec![self.acceptance(event, [rule])])
            .await;
        accepted.unwrap()[0].id
    }
}

/// One rule with a policy, and three events of one key.
struct Scene {
    world: World,
    tenant: Tenant,
    destination: Destination,
    rule: Rule,
    events: Vec<EventId>,
}

impl Scene {
    async fn new(on_failure: OnFailure) -> Self {
        let world = World::new();
        let tenant = world.tenant("Academy").await;
        let destination = world.destination(tenant).await;
        let rule = world.ordered_rule(&destination, on_failure).await;
        let mut events = Vec::new();
        for _ in 0..3 {
            events.push(world.in_line(&rule, "nina").await);
        }
        Self {
            world,
            tenant,
            destination,
            rule,
            events,
        }
    }

    /// What can be claimed now: the places of the events.
    async fn claim(&self, now: Timestamp) -> (Vec<usize>, Vec<Claimed>) {
        let claimed = self.world.claim(self.destination.id, 10, now).await.claimed;
        let place = |claimed: &Claimed| self.events.iter().position(|id| *id == claimed.event.id);
        (claimed.iter().filter_map(place).collect(), claimed)
    }

    /// Claims the one of this place, and nothing else, and ends it.
    async fn end(&self, place: usize, outcome: Outcome, now: Timestamp) {
        let (places, claimed) = self.claim(now).await;
        assert_eq!(places, [place]);
        self.world.record(&claimed[0], outcome, now).await;
    }

    async fn nothing_is_due(&self, now: Timestamp) {
        assert_eq!(self.claim(now).await.0, Vec::<usize>::new());
    }

    async fn delivery(&self, place: usize) -> DeliveryRecord {
        delivery(&self.world, self.tenant, self.events[place], &self.rule).await
    }

    async fn statuses(&self) -> Vec<Status> {
        let mut statuses = Vec::new();
        for place in 0..self.events.len() {
            statuses.push(self.delivery(place).await.state.status);
        }
        statuses
    }

    async fn retry(&self, place: usize) -> Result<DeliveryRecord, RetryError> {
        let (organisation, event) = (self.tenant.organisation, self.events[place]);
        self.world
            .store
            .retry_delivery(organisation, event, self.rule.id, NOW)
            .await
    }

    async fn cancel(&self, place: usize) -> Result<DeliveryRecord, CancelError> {
        let (organisation, event) = (self.tenant.organisation, self.events[place]);
        self.world
            .store
            .cancel_delivery(organisation, event, self.rule.id, NOW)
            .await
    }

    async fn change(&self, change: impl FnOnce(&mut Rule)) {
        let mut rule = self.rule.clone();
        change(&mut rule);
        assert!(
            self.world
                .store
                .update_rule(self.tenant.organisation, rule)
                .await
                .unwrap()
        );
    }
}

fn refused() -> Outcome {
    Outcome::permanent(OutcomeCode::RejectedClientError, "400")
}

#[tokio::test]
async fn the_next_of_a_line_goes_when_the_one_before_has_ended_and_not_before() {
    let scene = Scene::new(OnFailure::Continue).await;
    let second = scene.delivery(1).await;
    assert_eq!(
        (second.state.status, second.state.turn, second.waits_for),
        (Status::Pending, Turn::Waits, Some(scene.events[0]))
    );
    assert_eq!(scene.delivery(2).await.waits_for, Some(scene.events[0]));
    let (places, claimed) = scene.claim(NOW).await;
    assert_eq!(places, [0]);
    scene.nothing_is_due(NOW).await;
    // It is tried again in a second: they wait as long.
    scene.world.record(&claimed[0], server_error(), NOW).await;
    scene.nothing_is_due(NOW).await;
    scene.end(0, delivered(), later(9_000)).await;
    scene.end(1, delivered(), later(9_000)).await;
    assert_eq!(scene.delivery(2).await.waits_for, None);
    scene.end(2, delivered(), later(9_000)).await;
    assert_eq!(scene.statuses().await, [Status::Completed; 3]);
}

#[tokio::test]
async fn a_commit_that_lets_the_next_go_tells_the_dispatcher_of_its_lane() {
    let scene = Scene::new(OnFailure::Continue).await;
    let board = scene.world.store.due();
    assert_eq!(board.take().len(), 1);
    let (_, claimed) = scene.claim(NOW).await;
    assert!(board.take().is_empty());
    scene.world.record(&claimed[0], delivered(), NOW).await;
    assert_eq!(
        board.take().into_keys().collect::<Vec<_>>(),
        [scene.destination.id]
    );
    let (_, claimed) = scene.claim(NOW).await;
    scene.cancel(1).await.unwrap();
    assert!(board.take().is_empty(), "it is under way");
    scene.world.record(&claimed[0], server_error(), NOW).await;
    assert_eq!(board.take().len(), 1);
}

#[tokio::test]
async fn a_failed_head_that_is_given_up_ended_when_it_failed() {
    let scene = Scene::new(OnFailure::Hold).await;
    scene.end(0, refused(), later(5)).await;
    let given_up = scene.cancel(0).await.unwrap();
    assert_eq!(
        (given_up.state.status, given_up.completed_at),
        (Status::Canceled, Some(later(5)))
    );
}

#[tokio::test]
async fn one_that_stands_before_a_failed_head_is_tried_anew_and_does_not_wait_for_it() {
    let scene = Scene::new(OnFailure::Hold).await;
    scene.cancel(0).await.unwrap();
    scene.end(1, refused(), NOW).await;
    scene.nothing_is_due(NOW).await;
    scene.retry(0).await.unwrap();
    scene.end(0, delivered(), NOW).await;
    scene.nothing_is_due(NOW).await;
    assert_eq!(scene.delivery(2).await.waits_for, Some(scene.events[1]));
}

#[tokio::test]
async fn other_keys_and_other_rules_do_not_wait() {
    let scene = Scene::new(OnFailure::Hold).await;
    let world = &scene.world;
    let other = world.in_line(&scene.rule, "otto").await;
    let free = world.rule(&scene.destination).await;
    let unordered = world.in_line(&free, "nina").await;
    let twin = world.ordered_rule(&scene.destination, OnFailure::Hold).await;
    let of_twin = world.in_line(&twin, "nina").await;
    let claimed = world.claim(scene.destination.id, 10, NOW).await.claimed;
    let mut events: Vec<EventId> = claimed.iter().map(|claimed| claimed.event.id).collect();
    events.sort();
    assert_eq!(events, [scene.events[0], other, unordered, of_twin]);
}

#[tokio::test]
async fn events_of_one_bulk_keep_their_order_though_their_ids_have_none() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let destination = world.destination(tenant).await;
    let rule = world.ordered_rule(&destination, OnFailure::Continue).await;
    let mut acceptances: Vec<Acceptance> = (0..20)
        .map(|_| world.acceptance(world.event(tenant.workspace, NOW), [&rule]))
        .collect();
    acceptances.reverse();
    let sent: Vec<EventId> = acceptances.iter().map(|acceptance| acceptance.event.id).collect();
    world.store.accept_events(acceptances).await.unwrap();
    let mut seen = Vec::new();
    while let Some(claimed) = world.claim(destination.id, 10, NOW).await.claimed.pop() {
        seen.push(claimed.event.id);
        world.record(&claimed, delivered(), NOW).await;
    }
    assert_eq!(seen, sent);
}

#[tokio::test]
async fn a_failure_lets_the_next_go_on_or_holds_it_until_somebody_retries() {
    let scene = Scene::new(OnFailure::Continue).await;
    scene.end(0, refused(), NOW).await;
    scene.end(1, delivered(), NOW).await;

    let scene = Scene::new(OnFailure::Hold).await;
    scene.end(0, refused(), NOW).await;
    scene.nothing_is_due(later(99_000_000)).await;
    let head = scene.delivery(0).await;
    assert_eq!(
        (head.state.status, head.state.turn),
        (Status::Failed, Turn::Holds)
    );
    assert_eq!(scene.delivery(1).await.waits_for, Some(scene.events[0]));
    assert_eq!(scene.retry(1).await, Err(RetryError::NotItsTurn));
    // A retry that fails holds again.
    scene.retry(0).await.unwrap();
    scene.end(0, refused(), NOW).await;
    scene.nothing_is_due(NOW).await;
    scene.retry(0).await.unwrap();
    scene.end(0, delivered(), NOW).await;
    scene.end(1, delivered(), NOW).await;
}

#[tokio::test]
async fn one_that_holds_is_given_up_by_a_cancel() {
    let scene = Scene::new(OnFailure::Hold).await;
    scene.end(0, refused(), NOW).await;
    let given_up = scene.cancel(0).await.unwrap();
    assert_eq!(given_up.state.status, Status::Canceled);
    assert_eq!(given_up.last_error.as_deref(), Some("400"));
    let head = event(&scene.world, scene.tenant, scene.events[0]).await;
    assert_eq!(
        (head.status, head.tally.canceled, head.tally.failed),
        (Status::Canceled, 1, 0)
    );
    assert_eq!(scene.cancel(0).await, Err(CancelError::AlreadyFinal));
    scene.end(1, refused(), NOW).await;
    let (organisation, second) = (scene.tenant.organisation, scene.events[1]);
    scene
        .world
        .store
        .cancel_event(organisation, second, NOW)
        .await
        .unwrap();
    scene.end(2, delivered(), NOW).await;
}

#[tokio::test]
async fn one_that_waits_is_canceled_without_touching_the_line() {
    let scene = Scene::new(OnFailure::Hold).await;
    scene.cancel(1).await.unwrap();
    scene.nothing_else_than(0).await;
    scene.end(0, delivered(), NOW).await;
    scene.end(2, delivered(), NOW).await;
}

impl Scene {
    async fn nothing_else_than(&self, place: usize) {
        for other in (0..self.events.len()).filter(|other| *other != place) {
            assert_ne!(self.delivery(other).await.state.turn, Turn::Taken);
        }
    }
}

#[tokio::test]
async fn a_head_that_is_canceled_or_whose_lease_lapses_passes_on_what_it_must() {
    let scene = Scene::new(OnFailure::Continue).await;
    let (_, mut claimed) = scene.claim(NOW).await;
    claimed[0].lease = Lease::default();
    let lapsed = scene.world.store.expire_leases(later(60_000), schedule(), 1);
    assert_eq!(lapsed.await.unwrap(), 1);
    let again = scene.world.record(&claimed[0], delivered(), later(60_000)).await;
    assert_eq!(again, Settled::Stale);
    // The lapsed one keeps its turn.
    let (places, _) = scene.claim(later(70_000)).await;
    assert_eq!(places, [0]);
    scene.cancel(0).await.unwrap();
    scene.nothing_is_due(later(70_000)).await;
    let store = &scene.world.store;
    assert_eq!(
        store
            .release_all_leases(later(80_000), schedule(), 1)
            .await
            .unwrap(),
        1
    );
    assert_eq!(scene.delivery(0).await.state.status, Status::Canceled);
    scene.cancel(1).await.unwrap();
    scene.end(2, delivered(), later(80_000)).await;
}

#[tokio::test]
async fn one_that_is_tried_anew_has_its_old_place() {
    let scene = Scene::new(OnFailure::Continue).await;
    scene.end(0, refused(), NOW).await;
    let (places, claimed) = scene.claim(NOW).await;
    assert_eq!(places, [1]);
    // The second is under way: the first comes after it, and before the third.
    let waiting = scene.retry(0).await.unwrap();
    assert_eq!(
        (waiting.state.turn, waiting.waits_for),
        (Turn::Waits, Some(scene.events[1]))
    );
    scene.world.record(&claimed[0], delivered(), NOW).await;
    scene.end(0, delivered(), NOW).await;
    scene.end(2, delivered(), NOW).await;
    // All of them anew, the last first.
    for place in [2, 1, 0] {
        scene.retry(place).await.unwrap();
    }
    for place in [2, 0, 1] {
        scene.end(place, delivered(), NOW).await;
    }
}

#[tokio::test]
async fn a_failure_further_back_does_not_hold_one_before_it() {
    let scene = Scene::new(OnFailure::Hold).await;
    scene.end(0, delivered(), NOW).await;
    scene.end(1, refused(), NOW).await;
    scene.retry(0).await.unwrap();
    scene.end(0, refused(), NOW).await;
    // Both hold now: the second waits for the first.
    let second = scene.retry(1).await.unwrap();
    assert_eq!(
        (second.state.turn, second.waits_for),
        (Turn::Waits, Some(scene.events[0]))
    );
    scene.nothing_is_due(NOW).await;
    scene.cancel(0).await.unwrap();
    scene.end(1, delivered(), NOW).await;
    scene.end(2, delivered(), NOW).await;
}

#[tokio::test]
async fn a_rule_that_holds_no_more_lets_those_go_who_were_held() {
    for ordered in [true, false] {
        let scene = Scene::new(OnFailure::Hold).await;
        scene.end(0, refused(), NOW).await;
        scene
            .change(|rule| {
                let on_failure = OnFailure::Continue;
                rule.order = rule
                    .order
                    .take()
                    .filter(|_| ordered)
                    .map(|order| Order { on_failure, ..order });
            })
            .await;
        assert_eq!(scene.delivery(0).await.state.status, Status::Failed);
        scene.end(1, refused(), NOW).await;
        scene.end(2, delivered(), NOW).await;
    }
}

#[tokio::test]
async fn deleting_the_rule_calls_off_the_whole_line() {
    for head in [refused(), server_error()] {
        let scene = Scene::new(OnFailure::Hold).await;
        scene.end(0, head, NOW).await;
        let store = &scene.world.store;
        store
            .delete_rule(scene.tenant.organisation, scene.rule.id, NOW)
            .await
            .unwrap();
        scene.nothing_is_due(later(99_000_000)).await;
        assert_eq!(scene.statuses().await[1..], [Status::Canceled; 2]);
        assert_ne!(scene.delivery(0).await.state.turn, Turn::Holds);
    }
}

#[tokio::test]
async fn a_line_moves_with_its_rule() {
    let mut scene = Scene::new(OnFailure::Continue).await;
    let other = scene.world.destination(scene.tenant).await;
    scene.change(|rule| rule.connection = other.id).await;
    scene.nothing_is_due(NOW).await;
    for place in 0..3 {
        assert_eq!(scene.delivery(place).await.connection, other.id);
    }
    scene.destination = other;
    for place in 0..3 {
        scene.end(place, delivered(), NOW).await;
    }
}

#[tokio::test]
async fn a_line_waits_for_a_connection_that_is_inactive() {
    let scene = Scene::new(OnFailure::Hold).await;
    let store = &scene.world.store;
    scene.cancel(0).await.unwrap();
    scene.retry(1).await.unwrap();
    assert_eq!(scene.retry(2).await, Err(RetryError::NotItsTurn));
    let request = ClaimRequest {
        connection: scene.destination.id,
        limit: 9,
        forced_only: true,
    };
    let claim = store
        .claim(vec![request], NOW, later(60_000))
        .await
        .unwrap()
        .remove(0);
    assert_eq!((claim.claimed.len(), claim.next_due), (1, None));
    assert!(store.lanes().await.unwrap().is_empty(), "who waits is in no lane");
}

#[tokio::test]
async fn a_bulk_replay_keeps_the_order() {
    let scene = Scene::new(OnFailure::Continue).await;
    for place in 0..3 {
        scene.end(place, refused(), NOW).await;
    }
    let replay = Replay {
        id: heddle_core::id::ReplayId::new(NOW, scene.world.random()),
        organisation: scene.tenant.organisation,
        workspace: scene.tenant.workspace,
        rules: Rules::Original,
        filter: Filter {
            rule: None,
            connection: None,
            event: None,
            statuses: vec![Status::Failed],
            from: None,
            to: None,
        },
        rate: 100,
        progress: Progress::Running,
        total: 3,
        behind: None,
        processed: 0,
        replayed: 0,
        created: 0,
        skipped: 0,
        created_by: "mk_test".into(),
        created_at: NOW,
        updated_at: NOW,
        completed_at: None,
    };
    let store = &scene.world.store;
    store.create_replay(replay.clone()).await.unwrap();
    let step = store.replay_rows(&replay, 9).await.unwrap();
    let ReplayRows::Deliveries(ids) = step.rows else {
        panic!("original rules")
    };
    assert_eq!(ids.len(), 3);
    let work = ReplayStep {
        rows: ReplayWork::Deliveries(ids),
        behind: step.behind,
        ends: step.ends,
    };
    let after = store.advance_replay(&replay, work, NOW).await.unwrap();
    assert_eq!(after.unwrap().replayed, 3);
    for place in 0..3 {
        scene.end(place, delivered(), NOW).await;
    }
}

#[tokio::test]
async fn a_line_survives_a_restart() {
    let mut scene = Scene::new(OnFailure::Continue).await;
    let _ = scene.claim(NOW).await;
    scene.world.store.close().await;
    scene.world.store = Store::open(config(scene.world.path())).unwrap();
    let released = scene
        .world
        .store
        .release_all_leases(NOW, schedule(), 1)
        .await
        .unwrap();
    assert_eq!(released, 1);
    for place in 0..3 {
        scene.end(place, delivered(), later(10_000)).await;
    }
}

#[tokio::test]
async fn the_schema_refuses_two_turns_in_one_line() {
    let scene = Scene::new(OnFailure::Continue).await;
    for (change, allowed) in [
        ("turn = 'taken'", false),
        ("turn = NULL", false),
        ("turn = 'holds'", false),
        ("place = NULL", false),
        ("ordering_key = x'00'", false),
        ("place = place + 1", true),
    ] {
        let sql = format!("UPDATE deliveries SET {change} WHERE turn = 'waits'");
        let done = scene
            .world
            .query(move |connection| Ok(connection.execute(&sql, []).is_ok()))
            .await;
        assert_eq!(done, allowed, "{change}");
    }
}

/// Every statement over a line goes to the place that it wants, however long the line is.
#[tokio::test]
async fn no_query_walks_along_a_line() {
    let scene = Scene::new(OnFailure::Continue).await;
    let rule = scene.rule.id;
    let key = OrderingKey::of(rule, "nina");
    // Statements count the rows that they step over, of which a search in an index has none.
    let walked = scene
        .world
        .query(move |connection| {
            let mut plans = Vec::new();
            for sql in crate::lines::STATEMENTS {
                let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let values = rusqlite::params![rule.as_bytes(), "waits", key.as_bytes()];
                let rows = statement.query_map(values, |row| row.get::<_, String>(3))?;
                plans.extend(rows.collect::<Result<Vec<_>, _>>()?);
            }
            Ok(plans)
        })
        .await;
    assert_eq!(walked.len(), crate::lines::STATEMENTS.len(), "{walked:?}");
    for plan in walked {
        assert!(
            plan.contains("INDEX lines (rule=? AND turn=? AND ordering_key=?)"),
            "{plan}"
        );
    }
}
