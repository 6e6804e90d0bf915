//! A rule that is deleted or moved with a huge backlog: nothing of it is sent wrongly from then on, and
//! the backlog follows in steps.

use heddle_core::delivery::Status;
use heddle_core::ordering::OnFailure;

use super::*;
use crate::connections::RULES;
use crate::left_behind::STEP;

impl World {
    async fn backlog(&self, rule: &Rule, count: usize) {
        let left: Vec<usize> = (0..count).collect();
        for chunk in left.chunks(1_000) {
            let acceptances = chunk
                .iter()
                .map(|_| self.acceptance(self.event(rule.workspace, NOW), [rule]))
                .collect();
            self.store.accept_events(acceptances).await.unwrap();
        }
    }

    /// How many deliveries of a rule there are with this status, in this lane or in any.
    async fn count_with(&self, rule: &Rule, status: Status, lane: Option<ConnectionId>) -> usize {
        let (rule, lane) = (rule.id, lane.map(|lane| *lane.as_bytes()));
        let sql = "SELECT count(*) FROM deliveries
                   WHERE rule = ?1 AND status = ?2 AND (?3 IS NULL OR connection = ?3)";
        let count: i64 = self
            .query(move |connection| {
                let values = rusqlite::params![rule.as_bytes(), status.as_str(), lane];
                connection.query_row(sql, values, |row| row.get(0))
            })
            .await;
        usize::try_from(count).unwrap()
    }

    /// Everything that is left, with another event accepted between two steps; returns how many steps
    /// there were.
    pub(super) async fn follow_up(&self, other: &Rule) -> usize {
        let mut steps = 0;
        while let Some(left) = self.store.left_behind().await.unwrap().first().copied() {
            let before = self.store.commits();
            let (step, accepted) = tokio::join!(self.store.follow_up(left, NOW), self.accept(NOW, [other]));
            let step = step.unwrap();
            assert!(step.rows <= STEP, "{step:?}");
            assert_eq!(accepted.tally.pending, 1);
            assert!(self.store.commits() > before);
            steps += 1;
            assert!(steps < 1_000, "it comes to an end");
        }
        steps
    }
}

const MANY: usize = 50_000;

#[tokio::test]
async fn fifty_thousand_waiting_deliveries_are_called_off_while_others_write() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let (busy, calm) = (world.destination(tenant).await, world.destination(tenant).await);
    let (rule, other) = (world.rule(&busy).await, world.rule(&calm).await);
    world.backlog(&rule, MANY).await;
    let under_way = world.claim(busy.id, 3, NOW).await.claimed;
    let deleted = world.store.delete_rule(tenant.organisation, rule.id, NOW).await;
    assert_eq!(deleted.unwrap(), Some(rule.clone()));
    assert_eq!(
        world.count_with(&rule, Status::Canceled, None).await,
        STEP,
        "the deletion itself does a step, and no more"
    );
    // From its commit on nothing of it is sent: a claim calls off what it comes upon.
    assert!(world.claim(busy.id, 10, NOW).await.claimed.is_empty());
    assert_eq!(world.count_with(&rule, Status::Canceled, None).await, STEP + 10);
    let steps = world.follow_up(&other).await;
    assert!(steps >= (MANY - STEP) / STEP, "{steps}");
    for claimed in under_way {
        world.record(&claimed, server_error(), NOW).await;
    }
    assert_eq!(world.count_with(&rule, Status::Canceled, None).await, MANY);
    assert_eq!(world.count_with(&other, Status::Pending, None).await, steps);
}

#[tokio::test]
async fn a_backlog_moves_with_its_rule_in_steps_and_is_never_sent_where_it_was() {
    let mut world = World::new();
    let tenant = world.tenant("Academy").await;
    let (old, new) = (world.destination(tenant).await, world.destination(tenant).await);
    let (rule, other) = (world.rule(&old).await, world.rule(&old).await);
    let count = 5 * STEP;
    world.backlog(&other, STEP).await;
    world.backlog(&rule, count).await;
    let moved = Rule {
        connection: new.id,
        ..rule.clone()
    };
    assert!(world.store.update_rule(tenant.organisation, moved).await.unwrap());
    // What was not moved yet is not sent where it was.
    let claimed = world.claim(old.id, 2 * STEP, NOW).await.claimed;
    assert_eq!(claimed.len(), STEP);
    assert!(claimed.iter().all(|claimed| claimed.rule.id == other.id));
    // Where it stands is in the file.
    world.store.close().await;
    world.store = Store::open(config(world.path())).unwrap();
    world.follow_up(&other).await;
    assert_eq!(
        world.count_with(&rule, Status::Pending, Some(new.id)).await,
        count
    );
    assert!(world.store.due().take().contains_key(&new.id));
    let mut seen = 0;
    loop {
        let claimed = world.claim(new.id, 1_000, later(1_000)).await.claimed;
        if claimed.is_empty() {
            break;
        }
        assert!(claimed.iter().all(|claimed| claimed.connection == new.id));
        seen += claimed.len();
    }
    assert_eq!(seen, count);
}

#[tokio::test]
async fn a_rule_that_comes_back_finds_what_was_not_moved_yet() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let (old, new) = (world.destination(tenant).await, world.destination(tenant).await);
    let (rule, other) = (world.rule(&old).await, world.rule(&new).await);
    let count = 3 * STEP;
    world.backlog(&rule, count).await;
    for connection in [new.id, old.id] {
        let moved = Rule {
            connection,
            ..rule.clone()
        };
        assert!(world.store.update_rule(tenant.organisation, moved).await.unwrap());
    }
    world.follow_up(&other).await;
    assert_eq!(
        world.count_with(&rule, Status::Pending, Some(old.id)).await,
        count
    );
}

#[tokio::test]
async fn a_deleted_connection_calls_off_the_backlogs_of_all_of_its_rules() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let (busy, calm) = (world.destination(tenant).await, world.destination(tenant).await);
    let other = world.rule(&calm).await;
    let mut rules = Vec::new();
    for policy in OnFailure::ALL {
        let rule = world.ordered_rule(&busy, policy).await;
        world.backlog(&rule, 2 * STEP).await;
        rules.push(rule);
    }
    for claimed in world.claim(busy.id, 9, NOW).await.claimed {
        let refused = Outcome::permanent(OutcomeCode::RejectedClientError, "400");
        world.record(&claimed, refused, NOW).await;
    }
    let gone = world
        .store
        .delete_connection(tenant.organisation, busy.id, true, NOW)
        .await;
    assert_eq!(gone.unwrap(), ConnectionDeletion::Deleted);
    assert_eq!(world.store.left_behind().await.unwrap().len(), 2);
    world.follow_up(&other).await;
    for rule in &rules {
        assert_eq!(world.count_with(rule, Status::Canceled, None).await, 2 * STEP - 1);
    }
    let left = "SELECT count(*) FROM deliveries WHERE turn IS NOT NULL";
    let left: i64 = world
        .query(move |connection| connection.query_row(left, [], |row| row.get(0)))
        .await;
    assert_eq!(left, 0, "nobody holds the line of a rule that is gone");
}

#[tokio::test]
async fn a_connection_with_very_many_rules_goes_in_steps_and_its_lane_is_gone_through_once() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let (busy, calm) = (world.destination(tenant).await, world.destination(tenant).await);
    let other = world.rule(&calm).await;
    let mut rules = Vec::new();
    for _ in 0..RULES + 7 {
        rules.push(world.rule(&busy).await);
    }
    let events = 4;
    for _ in 0..events {
        world.accept(NOW, &rules).await;
    }
    let under_way = world.claim(busy.id, 3, NOW).await.claimed;
    assert_eq!(under_way.len(), 3);
    let delete = async |force| {
        let deleted = world
            .store
            .delete_connection(tenant.organisation, busy.id, force, NOW);
        deleted.await.unwrap()
    };
    assert_eq!(delete(false).await, ConnectionDeletion::HasActiveRules);
    assert_eq!(
        rules_of(&world.store, tenant.workspace).await.len(),
        rules.len() + 1,
        "all of it stays"
    );
    let before = world.store.commits();
    assert_eq!(delete(true).await, ConnectionDeletion::Deleted);
    assert_eq!(
        world.store.commits() - before,
        2,
        "a step of its rules, and the rest with it"
    );
    assert_eq!(
        rules_of(&world.store, tenant.workspace).await,
        [matched_by(&other)]
    );
    assert_eq!(delete(true).await, ConnectionDeletion::NotFound);
    let left: i64 = world
        .query(|connection| connection.query_row("SELECT count(*) FROM left_behind", [], |row| row.get(0)))
        .await;
    let waiting = events * rules.len() - under_way.len() - 2 * STEP;
    let steps = world.follow_up(&other).await;
    assert!(
        steps <= usize::try_from(left).unwrap() + waiting / STEP + 1,
        "{steps} for {left}"
    );
    for claimed in under_way {
        world.record(&claimed, server_error(), NOW).await;
    }
    let statuses: Vec<(String, i64)> = world
        .query(move |connection| {
            let sql = "SELECT status, count(*) FROM deliveries WHERE connection = ?1 GROUP BY 1";
            let mut statement = connection.prepare(sql)?;
            let rows = statement.query_map([busy.id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
        .await;
    let all = i64::try_from(events * rules.len()).unwrap();
    assert_eq!(statuses, [("canceled".to_owned(), all)]);
}

#[tokio::test]
async fn lines_that_are_held_no_more_go_on_in_steps_and_after_a_restart() {
    let mut world = World::new();
    let tenant = world.tenant("Academy").await;
    let (busy, calm) = (world.destination(tenant).await, world.destination(tenant).await);
    let other = world.rule(&calm).await;
    let rule = world.ordered_rule(&busy, OnFailure::Hold).await;
    let keys = 3 * STEP + 7;
    for _ in 0..2 {
        // The first of each line, and one behind it.
        let in_line = |key: usize| {
            let event = Event {
                resource_id: Some(format!("k{key}")),
                ..world.event(tenant.workspace, NOW)
            };
            world.acceptance(event, [&rule])
        };
        world
            .store
            .accept_events((0..keys).map(in_line).collect())
            .await
            .unwrap();
    }
    for claimed in world.claim(busy.id, keys, NOW).await.claimed {
        let refused = Outcome::permanent(OutcomeCode::RejectedClientError, "400");
        world.record(&claimed, refused, NOW).await;
    }
    let standing = async |world: &World, turn: &'static str| -> usize {
        let sql = "SELECT count(*) FROM deliveries WHERE turn = ?1";
        let count: i64 = world
            .query(move |connection| connection.query_row(sql, [turn], |row| row.get(0)))
            .await;
        usize::try_from(count).unwrap()
    };
    assert_eq!(
        (standing(&world, "holds").await, standing(&world, "waits").await),
        (keys, keys)
    );
    let mut order = rule.order.clone().unwrap();
    order.on_failure = OnFailure::Continue;
    let change = |order| Rule {
        order,
        ..rule.clone()
    };
    let us = tenant.organisation;
    assert!(world.store.update_rule(us, change(Some(order))).await.unwrap());
    assert_eq!(
        (standing(&world, "holds").await, standing(&world, "taken").await),
        (keys - STEP, STEP),
        "the change itself does a step, and no more"
    );
    assert!(world.store.due().take().contains_key(&busy.id));
    world.store.close().await;
    world.store = Store::open(config(world.path())).unwrap();
    // Held again before it was through: the others stay.
    assert!(world.store.update_rule(us, rule.clone()).await.unwrap());
    assert_eq!(world.follow_up(&other).await, 1);
    assert_eq!(standing(&world, "holds").await, keys - STEP);
    // And without any order, all go on.
    assert!(world.store.update_rule(us, change(None)).await.unwrap());
    let steps = world.follow_up(&other).await;
    assert!((2..=3).contains(&steps), "{steps}");
    assert_eq!(
        (standing(&world, "holds").await, standing(&world, "waits").await),
        (0, 0)
    );
    assert_eq!(world.claim(busy.id, 2 * keys, later(1)).await.claimed.len(), keys);
}

#[tokio::test]
async fn a_rule_that_moves_and_holds_no_more_does_both() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let (old, new) = (world.destination(tenant).await, world.destination(tenant).await);
    let other = world.rule(&new).await;
    let rule = world.ordered_rule(&old, OnFailure::Hold).await;
    world.backlog(&rule, 2).await;
    let first = world.claim(old.id, 9, NOW).await.claimed.remove(0);
    let refused = Outcome::permanent(OutcomeCode::RejectedClientError, "400");
    world.record(&first, refused, NOW).await;
    let moved = Rule {
        connection: new.id,
        order: None,
        ..rule.clone()
    };
    assert!(world.store.update_rule(tenant.organisation, moved).await.unwrap());
    world.follow_up(&other).await;
    let claimed = world.claim(new.id, 9, later(1)).await.claimed;
    assert_eq!(
        claimed
            .iter()
            .filter(|claimed| claimed.rule.id == rule.id)
            .count(),
        1
    );
}
