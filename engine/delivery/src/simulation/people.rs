//! People, who do anything at any time: call off, try again, replay, turn off and on, delete.

use std::sync::Arc;
use std::time::Duration;

use heddle_core::connection::{Connection, Health, InactiveReason};
use heddle_core::delivery::Status;
use heddle_core::id::{EventId, ReplayId, RuleId};
use heddle_core::ordering::Turn;
use heddle_core::quota::Part;
use heddle_core::replay::{self, Filter, Progress, Rules};
use heddle_core::rule::Rule;
use heddle_store::{EventFilter, Overdue, Page, Replay, Store, StoreError};

use super::chance::random;
use super::world::World;

/// Somebody does something.
pub async fn act(world: Arc<World>, store: Store) {
    let what = world.chance().below(100);
    match what {
        0..25 => retry(&world, &store).await,
        25..40 => cancel(&world, &store).await,
        40..48 => cancel_event(&world, &store).await,
        48..62 => deactivate(&world, &store).await,
        62..78 => mend(&world, &store).await,
        78..84 => replay(&world, &store).await,
        84..86 => change_replay(&world, &store).await,
        86..93 => move_rule(&world, &store).await,
        93..97 => delete_rule(&world, &store).await,
        97..98 => delete_connection(&world, &store).await,
        _ => delete_workspace(&world, &store).await,
    }
}

/// Everybody turns every connection on again, until the store takes it.
pub async fn mend_all(world: &World, store: &Store) {
    for connection in &world.tenants.connections {
        set_health(world, store, connection, Health::Active).await;
    }
    let replays = world.ledger().replays.clone();
    for (replay, _) in replays {
        wish_of_replay(world, store, replay, replay::Wish::Resume).await;
    }
}

/// Somebody looks after every line that is held by a failure: tries it again, or gives it up.
pub async fn look_after_lines(world: &World, store: &Store) -> Result<(), StoreError> {
    let everything = Page {
        limit: 1_000,
        cursor: None,
    };
    let organisation = world.tenants.organisation;
    let events = store
        .list_events(organisation, EventFilter::default(), everything)
        .await?;
    for event in events.records {
        for delivery in store.deliveries_of(event.id).await? {
            if delivery.state.turn != Turn::Holds {
                continue;
            }
            let name = world.ledger().name(delivery.id);
            if world.chance().happens(500) {
                world.ledger().retries(event.id, delivery.rule);
                let now = world.now();
                let done = store
                    .retry_delivery(organisation, event.id, delivery.rule, now)
                    .await;
                world.note(format_args!(
                    "person: retries {name}, which holds its line: {}",
                    word(&done)
                ));
            } else {
                world.ledger().canceled.insert((event.id, delivery.rule));
                let now = world.now();
                let done = store
                    .cancel_delivery(organisation, event.id, delivery.rule, now)
                    .await;
                world.note(format_args!(
                    "person: gives up {name}, which holds its line: {}",
                    word(&done)
                ));
            }
        }
    }
    Ok(())
}

fn any_delivery(world: &World) -> Option<(EventId, RuleId)> {
    let all: Vec<_> = {
        let ledger = world.ledger();
        let all = ledger.sent.iter();
        all.flat_map(|sent| sent.deliveries.iter().map(|(rule, _)| (sent.id, *rule)))
            .collect()
    };
    world.chance().pick(&all).copied()
}

fn any_connection(world: &World) -> &Connection {
    let connections = &world.tenants.connections;
    world.chance().pick(connections).expect("there are connections")
}

fn any_rule(world: &World) -> &Rule {
    world
        .chance()
        .pick(&world.tenants.rules)
        .expect("there are rules")
}

async fn retry(world: &World, store: &Store) {
    let Some((event, rule)) = any_delivery(world) else {
        return;
    };
    world.ledger().retries(event, rule);
    let done = store
        .retry_delivery(world.tenants.organisation, event, rule, world.now())
        .await;
    let place = world.ledger().place(event).unwrap_or_default();
    let answer = done.map(|after| after.state.status);
    world.ledger().still_retries(event, rule);
    world.note(format_args!("person: retries one of e{place}: {}", word(&answer)));
}

async fn cancel(world: &World, store: &Store) {
    let Some((event, rule)) = any_delivery(world) else {
        return;
    };
    world.ledger().canceled.insert((event, rule));
    let done = store
        .cancel_delivery(world.tenants.organisation, event, rule, world.now())
        .await;
    let place = world.ledger().place(event).unwrap_or_default();
    let answer = done.map(|after| after.state.status);
    world.note(format_args!("person: cancels one of e{place}: {}", word(&answer)));
}

async fn cancel_event(world: &World, store: &Store) {
    let Some((event, _)) = any_delivery(world) else {
        return;
    };
    let place = {
        let mut ledger = world.ledger();
        let place = ledger.place(event).unwrap_or_default();
        let rules: Vec<_> = ledger.sent[place]
            .deliveries
            .iter()
            .map(|(rule, _)| (event, *rule))
            .collect();
        ledger.canceled.extend(rules);
        place
    };
    let done = store
        .cancel_event(world.tenants.organisation, event, world.now())
        .await;
    world.note(format_args!("person: cancels e{place}: {}", word(&done)));
}

async fn set_health(world: &World, store: &Store, connection: &Connection, health: Health) {
    let changed = Connection {
        health,
        updated_at: world.now(),
        ..connection.clone()
    };
    let active = changed.health.is_active();
    let done = store
        .update_connection(world.tenants.organisation, changed, None)
        .await;
    let verb = if active { "turns on" } else { "turns off" };
    world.note(format_args!(
        "person: {verb} {}: {}",
        connection.name,
        word(&done)
    ));
}

async fn deactivate(world: &World, store: &Store) {
    let health = Health::Inactive {
        reason: InactiveReason::ManuallyInactivated,
        detail: "Turned off.".into(),
    };
    set_health(world, store, any_connection(world), health).await;
}

async fn mend(world: &World, store: &Store) {
    set_health(world, store, any_connection(world), Health::Active).await;
}

async fn replay(world: &World, store: &Store) {
    let workspace = usize::try_from(world.chance().below(2)).unwrap_or_default();
    let note = || {
        let mut ledger = world.ledger();
        let tick = ledger.tick();
        ledger.replayed.insert(workspace, tick);
    };
    note();
    let now = world.now();
    let id = ReplayId::new(now, random());
    let rules = match world.chance().happens(300) {
        true => Rules::Current,
        false => Rules::Original,
    };
    {
        let mut ledger = world.ledger();
        ledger.replays.push((id, workspace));
        if rules == Rules::Current {
            ledger.matched_anew.insert(workspace);
        }
    }
    let statuses = match world.chance().below(3) {
        0 => vec![Status::Completed],
        1 => vec![Status::Failed, Status::Canceled],
        _ => vec![Status::Failed],
    };
    let narrow = world.chance().happens(200);
    let rule = narrow.then(|| any_rule(world).id);
    let replay = Replay {
        id,
        organisation: world.tenants.organisation,
        workspace: world.tenants.workspaces[workspace].id,
        rules,
        filter: Filter {
            rule,
            connection: None,
            event: None,
            statuses,
            from: None,
            to: None,
        },
        rate: u32::try_from(world.chance().between(1, 50)).unwrap_or(1),
        progress: Progress::Running,
        total: 0,
        behind: None,
        processed: 0,
        replayed: 0,
        created: 0,
        skipped: 0,
        created_by: "mk_sim".into(),
        created_at: now,
        updated_at: now,
        completed_at: None,
    };
    let done = store.create_replay(replay).await;
    note();
    world.note(format_args!(
        "person: replays w{workspace} by the {} rules: {}",
        rules.as_str(),
        word(&done)
    ));
}

async fn change_replay(world: &World, store: &Store) {
    let replays = world.ledger().replays.clone();
    let wishes = [replay::Wish::Pause, replay::Wish::Resume, replay::Wish::Cancel];
    let (id, wish) = {
        let mut chance = world.chance();
        let Some((id, _)) = chance.pick(&replays).copied() else {
            return;
        };
        (id, *chance.pick(&wishes).unwrap_or(&replay::Wish::Resume))
    };
    wish_of_replay(world, store, id, wish).await;
}

async fn wish_of_replay(world: &World, store: &Store, id: ReplayId, wish: replay::Wish) {
    let done = store
        .change_replay(world.tenants.organisation, id, wish, world.now())
        .await;
    world.note(format_args!(
        "person: wishes a replay to {wish:?}: {}",
        word(&done)
    ));
}

/// To another connection of its workspace, and perhaps of another type.
async fn move_rule(world: &World, store: &Store) {
    let rule = any_rule(world);
    let others: Vec<_> = world
        .tenants
        .connections
        .iter()
        .filter(|connection| connection.workspace == rule.workspace)
        .collect();
    let Some(to) = world.chance().pick(&others).copied() else {
        return;
    };
    let moved = Rule {
        connection: to.id,
        kind: to.kind.clone(),
        updated_at: world.now(),
        ..rule.clone()
    };
    let done = store.update_rule(world.tenants.organisation, moved).await;
    world.note(format_args!(
        "person: moves a rule to {}: {}",
        to.name,
        word(&done)
    ));
}

async fn delete_rule(world: &World, store: &Store) {
    let rule = any_rule(world).id;
    world.ledger().deleted_rules.insert(rule);
    let done = store
        .delete_rule(world.tenants.organisation, rule, world.now())
        .await;
    world.note(format_args!("person: deletes a rule: {}", word(&done)));
}

/// And with it the rules that lead there, wherever they led at first.
async fn delete_connection(world: &World, store: &Store) {
    let connection = any_connection(world);
    let of_workspace = world
        .tenants
        .rules
        .iter()
        .filter(|rule| rule.workspace == connection.workspace);
    let rules: Vec<_> = of_workspace.map(|rule| rule.id).collect();
    world.ledger().deleted_rules.extend(rules);
    let done = store
        .delete_connection(world.tenants.organisation, connection.id, true, world.now())
        .await;
    world.note(format_args!(
        "person: deletes {}: {}",
        connection.name,
        word(&done)
    ));
}

async fn delete_workspace(world: &World, store: &Store) {
    let number = usize::try_from(world.chance().below(2)).unwrap_or_default();
    world.ledger().deleted_workspaces.insert(number);
    let workspace = &world.tenants.workspaces[number];
    let done = store
        .delete_workspace(
            world.tenants.organisation,
            workspace.id,
            workspace.name.clone(),
            world.now(),
        )
        .await;
    world.note(format_args!("person: deletes w{number}: {}", word(&done)));
}

/// Has what ended some time ago deleted, step by step, while everything else goes on.
pub async fn prune(world: Arc<World>, store: Store) {
    let (number, part, keep) = {
        let mut chance = world.chance();
        let parts = [Part::Payload, Part::Attempts, Part::Event];
        (
            usize::try_from(chance.below(2)).unwrap_or_default(),
            *chance.pick(&parts).unwrap_or(&Part::Event),
            Duration::from_millis(chance.below(60_000)),
        )
    };
    world.ledger().pruned.insert((number, part));
    let overdue = Overdue {
        workspace: world.tenants.workspaces[number].id,
        part,
        keep,
    };
    let (now, mut rows) = (world.now(), 0);
    loop {
        match store.prune_some(overdue, now).await {
            Ok(step) => {
                rows += step.rows;
                if step.done {
                    break;
                }
            }
            Err(error) => world.note(format_args!("pruning: {error}")),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.note(format_args!(
        "pruning: {} of w{number} that ended {keep:?} ago, {rows} rows",
        part.as_str()
    ));
}

/// An answer without ids, which would say nothing to the reader.
fn word<T, E: std::fmt::Display>(done: &Result<T, E>) -> String {
    match done {
        Ok(_) => "done".into(),
        Err(error) => error.to_string(),
    }
}
