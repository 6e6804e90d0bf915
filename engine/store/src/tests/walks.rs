//! Lists that are never cut, in batches that are bounded.

use std::collections::BTreeSet;

use super::*;

/// A tenant with a destination and rules, each with so much metadata.
async fn with_rules(world: &World, rules: usize, bytes: usize) -> (Tenant, Vec<RuleId>) {
    let tenant = world.tenant("Academy").await;
    let destination = world.destination(tenant).await;
    let mut made = Vec::new();
    for _ in 0..rules {
        let mut rule = world.rule_like(&destination);
        rule.metadata.insert("body".into(), "x".repeat(bytes).into());
        made.push(rule.id);
        world.store.create_rule(rule).await.unwrap();
    }
    (tenant, made)
}

#[tokio::test]
async fn no_batch_of_rules_is_larger_than_its_limit_and_together_they_are_all_of_them() {
    let world = World::new();
    let (tenant, made) = with_rules(&world, 40, 60_000).await;
    let (mut mark, mut seen, mut batches) = (None, Vec::new(), 0);
    loop {
        let batch = world
            .store
            .some_rules(tenant.organisation, RuleFilter::default(), mark)
            .await
            .unwrap();
        let bytes: usize = batch
            .records
            .iter()
            .map(|rule| rule.metadata["body"].as_str().unwrap().len())
            .sum();
        assert!(bytes <= 3 * 60_000, "{bytes}");
        batches += 1;
        seen.extend(batch.records.into_iter().map(|rule| rule.id));
        mark = batch.next;
        if mark.is_none() {
            break;
        }
    }
    assert_eq!(seen, made, "the oldest first, each once");
    assert!(batches >= 13, "{batches}");
}

#[tokio::test]
async fn a_batch_ends_after_so_many_rows_though_none_of_them_is_asked_for() {
    let world = World::new();
    let (tenant, made) = with_rules(&world, 1_100, 1).await;
    let none = RuleFilter {
        event: Some("never".into()),
        ..RuleFilter::default()
    };
    let some = |mark| world.store.some_rules(tenant.organisation, none.clone(), mark);
    let (found, batches) = all_of(some).await.unwrap();
    assert_eq!((found.len(), batches), (0, 3));
    let some = |mark| {
        world
            .store
            .some_rules(tenant.organisation, RuleFilter::default(), mark)
    };
    assert_eq!(all_of(some).await.unwrap().0.len(), made.len());
}

#[tokio::test]
async fn what_is_made_or_deleted_between_two_batches_changes_nothing_for_the_others() {
    let world = World::new();
    let (tenant, made) = with_rules(&world, 12, 60_000).await;
    let filter = RuleFilter::default;
    let store = &world.store;
    let first = store
        .some_rules(tenant.organisation, filter(), None)
        .await
        .unwrap();
    // The last one that was read, one that was not yet, and a new one.
    let last = first.records.last().unwrap().id;
    for gone in [last, made[8]] {
        store
            .delete_rule(tenant.organisation, gone, NOW)
            .await
            .unwrap()
            .unwrap();
    }
    world.destination(tenant).await;
    let mut seen: Vec<RuleId> = first.records.iter().map(|rule| rule.id).collect();
    let mut mark = first.next;
    while mark.is_some() {
        let batch = store
            .some_rules(tenant.organisation, filter(), mark)
            .await
            .unwrap();
        seen.extend(batch.records.into_iter().map(|rule| rule.id));
        mark = batch.next;
    }
    let expected: Vec<RuleId> = made.iter().copied().filter(|id| *id != made[8]).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_list_goes_through_more_workspaces_than_a_batch_looks_into() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let stranger = world.tenant("Stranger").await;
    world.destination(stranger).await;
    let mut expected = BTreeSet::from([tenant.workspace]);
    for n in 0..1_020 {
        let workspace = world.workspace(tenant.organisation, &format!("W {n}")).await;
        expected.insert(workspace);
    }
    // Connections in the first, one in the middle, and the last.
    let all: Vec<WorkspaceId> = expected.iter().copied().collect();
    let mut made = Vec::new();
    for at in [0, 500, 501, 1_020] {
        let of = Tenant {
            workspace: all[at],
            ..tenant
        };
        made.push(world.destination(of).await.id);
    }
    let us = tenant.organisation;
    let (connections, batches) = all_of(|mark| world.store.some_connections(us, None, mark))
        .await
        .unwrap();
    let found: Vec<ConnectionId> = connections.iter().map(|connection| connection.id).collect();
    assert_eq!((found, batches), (made, 3));
    let (workspaces, _) = all_of(|mark| world.store.some_workspaces(us, mark))
        .await
        .unwrap();
    assert_eq!(
        workspaces
            .iter()
            .map(|workspace| workspace.id)
            .collect::<Vec<_>>(),
        all
    );
    // A reach of some of them.
    let reach = Reach {
        workspaces: Some([all[501], stranger.workspace, all[500]].into()),
        ..Reach::from(us)
    };
    let (some, _) = all_of(|mark| world.store.some_connections(reach.clone(), None, mark))
        .await
        .unwrap();
    assert_eq!(some.len(), 2);
    let (some, _) = all_of(|mark| world.store.some_workspaces(reach.clone(), mark))
        .await
        .unwrap();
    assert_eq!(
        some.iter().map(|workspace| workspace.id).collect::<Vec<_>>(),
        all[500..=501]
    );
}

#[tokio::test]
async fn matching_reads_neither_metadata_nor_mappings() {
    let world = World::new();
    let (tenant, _) = with_rules(&world, 3, 60_000).await;
    // What cannot be read is not looked at.
    let raw = rusqlite::Connection::open(world.path()).unwrap();
    raw.execute("UPDATE rules SET metadata = '[]'", []).unwrap();
    assert_eq!(
        world
            .store
            .rules_of(tenant.workspace)
            .await
            .unwrap()
            .routes()
            .len(),
        3
    );
    assert!(
        world
            .store
            .list_rules(tenant.organisation, RuleFilter::default())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn the_workspaces_of_an_organization_are_gone_through_by_their_index() {
    let world = World::new();
    let raw = rusqlite::Connection::open(world.path()).unwrap();
    let mut statement = raw
        .prepare(&format!("EXPLAIN QUERY PLAN {}", walk::FROM))
        .unwrap();
    let plan = |row: &rusqlite::Row<'_>| row.get::<_, String>("detail");
    let values = rusqlite::params![[0_u8; 16], [0_u8; 16], 1];
    let plan: Vec<String> = statement
        .query_map(values, plan)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(
        plan.join("; ").contains("USING INDEX workspaces_of_organisation"),
        "{plan:?}"
    );
    assert_eq!(plan.len(), 1, "{plan:?}");
}
