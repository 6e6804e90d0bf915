//! Usage, and the quotas that are held against it and against what is there.

use heddle_core::calendar::Day;
use heddle_core::quota::Limits;

use super::*;

const DAY: u64 = 24 * 60 * 60 * 1000;

fn all() -> UsageFilter {
    UsageFilter {
        from: Day(0),
        to: Day(i64::from(u32::MAX)),
        workspace: None,
    }
}

fn over(accepted: &Accepted) -> Option<OverQuota> {
    match accepted {
        Accepted::OverQuota(over) => Some(*over),
        _ => None,
    }
}

impl World {
    async fn emit_one(&self, rule: &Rule, at: Timestamp) -> Accepted {
        let acceptance = self.acceptance(self.event(rule.workspace, at), [rule]);
        let emission = Emission {
            acceptance,
            once: None,
        };
        self.store
            .accept(vec![emission])
            .await
            .unwrap()
            .accepted
            .remove(0)
    }

    fn limit(&self, workspace: Limits) {
        let defaults = DefaultLimits {
            workspace,
            ..DefaultLimits::default()
        };
        self.store.set_default_limits(defaults);
    }
}

#[tokio::test]
async fn what_is_done_is_counted_on_its_day_and_in_its_workspace() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let other = world.workspace(tenant.organisation, "Other").await;
    let payload = world.event(tenant.workspace, NOW).payload.len() as u64;
    world.accept(NOW, [&rule]).await;
    world.accept(NOW, [&rule]).await;
    let nothing_matched = world.acceptance(world.event(other, NOW), []);
    world.store.accept_events(vec![nothing_matched]).await.unwrap();
    let mut claimed = world.claim(destination.id, 2, NOW).await.claimed;
    world.record(&claimed.remove(0), delivered(), NOW).await;
    let tomorrow = later(DAY);
    let refused = Outcome::permanent(OutcomeCode::RejectedClientError, "400");
    world.record(&claimed.remove(0), refused, tomorrow).await;

    let stranger = world.tenant("Stranger").await;
    let report = world.store.usage(tenant.organisation, all()).await.unwrap();
    let total = Usage {
        events: 3,
        bytes: 3 * payload,
        deliveries: 2,
        attempts: 2,
        delivered: 1,
        failed: 1,
    };
    assert_eq!(report.total, total);
    assert_eq!(report.days.len(), 2);
    let second = report.days[&Day::of(tomorrow)];
    assert_eq!((second.attempts, second.failed, second.events), (1, 1, 0));
    assert_eq!(
        (
            report.workspaces[&other].events,
            report.workspaces[&tenant.workspace].events
        ),
        (1, 2)
    );
    let day = Day::of(NOW);
    for (filter, events) in [
        (
            UsageFilter {
                workspace: Some(other),
                ..all()
            },
            1,
        ),
        (
            UsageFilter {
                from: day,
                to: day,
                ..all()
            },
            3,
        ),
        (
            UsageFilter {
                from: Day(day.0 + 1),
                ..all()
            },
            0,
        ),
    ] {
        let report = world.store.usage(tenant.organisation, filter).await.unwrap();
        assert_eq!(report.total.events, events, "{filter:?}");
    }
    let theirs = world.store.usage(stranger.organisation, all()).await.unwrap();
    assert_eq!(theirs, UsageReport::default());
    let narrow = Reach {
        workspaces: Some([other].into()),
        ..Reach::from(tenant.organisation)
    };
    assert_eq!(world.store.usage(narrow, all()).await.unwrap().total.events, 1);
    world.store.close().await;
    let again = Store::open(config(world.path())).unwrap();
    assert_eq!(
        again.usage(tenant.organisation, all()).await.unwrap().total,
        total
    );
}

#[tokio::test]
async fn what_is_undone_is_not_counted() {
    let world = World::new();
    let (tenant, _, rule) = one_rule(&world).await;
    let good = world.acceptance(world.event(tenant.workspace, NOW), [&rule]);
    let nowhere = world.acceptance(world.event(WorkspaceId::new(NOW, [9; 10]), NOW), []);
    let refused = world.store.accept_events(vec![good.clone(), nowhere]).await;
    assert_eq!(refused.err(), Some(StoreError::NotFound("workspace")));
    world.store.accept_events(vec![good]).await.unwrap();
    let report = world.store.usage(tenant.organisation, all()).await.unwrap();
    assert_eq!((report.total.events, report.total.deliveries), (1, 1));
}

#[tokio::test]
async fn a_month_has_as_many_events_as_its_quota_whatever_comes_at_once() {
    let world = Arc::new(World::new());
    let (tenant, _, rule) = one_rule(&world).await;
    world.limit(Limits {
        events_per_month: Some(10),
        ..Limits::default()
    });
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let (world, rule) = (Arc::clone(&world), rule.clone());
            tokio::spawn(async move { world.emit_one(&rule, NOW).await })
        })
        .collect();
    let mut refused = Vec::new();
    for task in tasks {
        refused.extend(over(&task.await.unwrap()));
    }
    assert_eq!(refused.len(), 30);
    let today = Day::of(NOW);
    let expected = OverQuota {
        counter: "events_per_month",
        limit: 10,
        used: 10,
        resets_at: Some(today.next_month().start()),
    };
    assert!(refused.iter().all(|over| *over == expected), "{refused:?}");
    assert_eq!(world.store.events_of_month(tenant.workspace, today).await, Ok(10));
    let next = today.next_month().start();
    assert_eq!(
        over(&world.emit_one(&rule, Timestamp(next.0 - 1)).await),
        Some(expected)
    );
    assert_eq!(over(&world.emit_one(&rule, next).await), None, "a new month");

    // One of its own wins, and a bulk is cut where it ends.
    let own = Limits {
        events_per_month: Some(12),
        ..Limits::default()
    };
    world
        .store
        .set_limits_of(tenant.workspace, own, "mk_test".into(), NOW)
        .await
        .unwrap();
    let emission = |_| Emission {
        acceptance: world.acceptance(world.event(tenant.workspace, NOW), [&rule]),
        once: None,
    };
    let accepted = world
        .store
        .accept((0..4).map(emission).collect())
        .await
        .unwrap()
        .accepted;
    let refused: Vec<bool> = accepted.iter().map(|accepted| over(accepted).is_some()).collect();
    assert_eq!(refused, [false, false, true, true]);
}

#[tokio::test]
async fn what_was_accepted_before_is_replayed_beyond_the_quota() {
    let world = World::new();
    let (tenant, _, rule) = one_rule(&world).await;
    world.limit(Limits {
        events_per_month: Some(1),
        ..Limits::default()
    });
    let once = Some(Once {
        key: [1; 32],
        fingerprint: [1; 32],
    });
    for replayed in [false, true] {
        let acceptance = world.acceptance(world.event(tenant.workspace, NOW), [&rule]);
        let accepted = world
            .store
            .accept(vec![Emission { acceptance, once }])
            .await
            .unwrap()
            .accepted;
        assert_eq!(
            matches!(accepted[0], Accepted::Replayed(_)),
            replayed,
            "{accepted:?}"
        );
    }
    assert!(over(&world.emit_one(&rule, NOW).await).is_some());
}

#[tokio::test]
async fn workspaces_connections_and_rules_have_quotas() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let refused = |result: Result<(), StoreError>| match result {
        Err(StoreError::OverQuota(over)) => (over.counter, over.limit, over.used, over.resets_at),
        other => panic!("{other:?}"),
    };
    world.store.set_default_limits(DefaultLimits {
        workspace: Limits {
            connections: Some(1),
            rules: Some(1),
            ..Limits::default()
        },
        workspaces: Some(1),
        ..DefaultLimits::default()
    });
    let copy = Destination {
        id: ConnectionId::new(NOW, world.random()),
        name: "Another".into(),
        ..destination.clone()
    };
    let one_more = world.store.create_connection(copy.clone()).await;
    assert_eq!(refused(one_more), ("connections", 1, 1, None));
    let twin = Rule {
        id: RuleId::new(NOW, world.random()),
        ..rule.clone()
    };
    assert_eq!(
        refused(world.store.create_rule(twin.clone()).await),
        ("rules", 1, 1, None)
    );
    let workspace = Workspace {
        id: WorkspaceId::new(NOW, world.random()),
        organisation: tenant.organisation,
        name: "Another".into(),
        description: None,
        created_at: NOW,
        updated_at: NOW,
    };
    let key = PublishableKey {
        id: PublishableKeyId::new(NOW, world.random()),
        workspace: workspace.id,
        name: "default".into(),
        key: "mesh_pub_live_x_y".into(),
        allowed_origins: Vec::new(),
        created_by: None,
        created_at: NOW,
        expires_at: None,
    };
    let one_more = world.store.create_workspace(workspace, key).await;
    assert_eq!(refused(one_more), ("workspaces", 1, 1, None));

    let own = Limits {
        connections: Some(2),
        rules: Some(2),
        ..Limits::default()
    };
    let store = &world.store;
    store
        .set_limits_of(tenant.workspace, own, "mk_test".into(), NOW)
        .await
        .unwrap();
    assert_eq!(store.own_limits_of(tenant.workspace).await, Ok(own));
    store.create_connection(copy).await.unwrap();
    store.create_rule(twin).await.unwrap();
}

#[tokio::test]
async fn all_workspaces_of_an_organization_share_its_quota_of_events_whatever_comes_at_once() {
    let mut world = World::new();
    let (tenant, _, rule) = one_rule(&world).await;
    let other = Tenant {
        workspace: world.workspace(tenant.organisation, "Other").await,
        ..tenant
    };
    let elsewhere = world.destination(other).await;
    let other_rule = world.rule(&elsewhere).await;
    let stranger = world.tenant("Stranger").await;
    let theirs = world.destination(stranger).await;
    let their_rule = world.rule(&theirs).await;
    world.emit_one(&rule, NOW).await;
    let limits = DefaultLimits {
        organisation_events_per_month: Some(7),
        ..DefaultLimits::default()
    };
    world.store.set_default_limits(limits);
    // A bulk over both workspaces, and others at the same time.
    let bulk = [&rule, &other_rule, &rule].map(|rule| Emission {
        acceptance: world.acceptance(world.event(rule.workspace, NOW), [rule]),
        once: None,
    });
    let (bulk, a, b, c, d) = tokio::join!(
        world.store.accept(bulk.to_vec()),
        world.emit_one(&rule, NOW),
        world.emit_one(&other_rule, NOW),
        world.emit_one(&rule, NOW),
        world.emit_one(&other_rule, NOW),
    );
    let refused: Vec<OverQuota> = bulk
        .unwrap()
        .accepted
        .iter()
        .chain([&a, &b, &c, &d])
        .filter_map(over)
        .collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(
        (refused[0].counter, refused[0].limit, refused[0].used),
        ("organization_events_per_month", 7, 7)
    );
    let next_month = refused[0].resets_at.unwrap();
    assert!(over(&world.emit_one(&their_rule, NOW).await).is_none());
    world.store.close().await;
    world.store = Store::open(config(world.path())).unwrap();
    world.store.set_default_limits(limits);
    assert!(
        over(&world.emit_one(&other_rule, NOW).await).is_some(),
        "it is counted in the file"
    );
    assert!(over(&world.emit_one(&other_rule, next_month).await).is_none());
}

#[tokio::test]
async fn what_was_counted_before_organizations_had_counters_is_counted_for_them() {
    let world = World::new();
    let (tenant, _, rule) = one_rule(&world).await;
    let other = Tenant {
        workspace: world.workspace(tenant.organisation, "Other").await,
        ..tenant
    };
    let elsewhere = world.destination(other).await;
    let other_rule = world.rule(&elsewhere).await;
    for at in [NOW, later(DAY), later(40 * DAY)] {
        world.emit_one(&rule, at).await;
        world.emit_one(&other_rule, at).await;
    }
    world.store.close().await;
    let raw = rusqlite::Connection::open(world.path()).unwrap();
    let of_all = |raw: &rusqlite::Connection| {
        let mut statement = raw
            .prepare("SELECT month, events FROM usage_of_organisations ORDER BY month")
            .unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect::<Vec<(i64, i64)>>()
    };
    let counted = of_all(&raw);
    assert_eq!(
        counted.iter().map(|(_, events)| *events).collect::<Vec<_>>(),
        [4, 2]
    );
    raw.execute_batch("DROP TABLE usage_of_organisations").unwrap();
    raw.execute_batch(include_str!("../../migrations/0018_usage_of_organisations.sql"))
        .unwrap();
    assert_eq!(of_all(&raw), counted);
}
