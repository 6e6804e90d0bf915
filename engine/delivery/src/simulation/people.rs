//! People, who do anything at any time: call off, try again, replay, turn off and on, delete.

use std::sync::Arc;

use heddle_core::connection::{Connection, Health, InactiveReason};
use heddle_core::delivery::Status;
use heddle_core::id::{EventId, ReplayId, RuleId};
use heddle_core::replay::{Filter, Progress, Rules};
use heddle_core::rule::Rule;
use heddle_store::{Replay, Store};

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
        78..86 => replay(&world, &store).await,
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
    {
        let mut ledger = world.ledger();
        let tick = ledger.tick();
        ledger.retried.insert((event, rule), tick);
    }
    let done = store
        .retry_delivery(world.tenants.organisation, event, rule, world.now())
        .await;
    let place = world.ledger().place(event).unwrap_or_default();
    let answer = done.map(|after| after.state.status);
    // Again, since a wish may take its time to come true.
    {
        let mut ledger = world.ledger();
        let tick = ledger.tick();
        ledger.retried.insert((event, rule), tick);
    }
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
    let statuses = match world.chance().below(3) {
        0 => vec![Status::Completed],
        1 => vec![Status::Failed, Status::Canceled],
        _ => vec![Status::Failed],
    };
    let replay = Replay {
        id: ReplayId::new(now, random()),
        organisation: world.tenants.organisation,
        workspace: world.tenants.workspaces[workspace].id,
        rules: Rules::Original,
        filter: Filter {
            rule: None,
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
    world.note(format_args!("person: replays w{workspace}: {}", word(&done)));
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

/// An answer without ids, which would say nothing to the reader.
fn word<T, E: std::fmt::Display>(done: &Result<T, E>) -> String {
    match done {
        Ok(_) => "done".into(),
        Err(error) => error.to_string(),
    }
}
