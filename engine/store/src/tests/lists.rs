//! Lists: filters, pages, and the indexes behind them.

use std::collections::BTreeSet;

use heddle_core::delivery::Status;

use super::*;
use crate::event_lists::{APART, LOOKED_AT, Looked, ids, list, look, row};

#[tokio::test]
async fn paging_neither_skips_nor_doubles_while_events_arrive() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let rule = world.rule(&world.destination(tenant).await).await;
    let mut there = BTreeSet::new();
    for n in 0..25 {
        // Several of one millisecond, as bulk makes them.
        there.insert(world.accept(later(n / 4), [&rule]).await.id);
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let filter = EventFilter {
            workspace: Some(tenant.workspace),
            ..EventFilter::default()
        };
        let page = Page { limit: 4, cursor };
        let page = world
            .store
            .list_events(tenant.organisation, filter, page)
            .await
            .unwrap();
        assert!(page.records.len() <= 4);
        seen.extend(page.records.iter().map(|record| record.id));
        world.accept(later(1_000), [&rule]).await;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), there);
}

#[tokio::test]
async fn a_bad_cursor_is_refused() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    for bad in ["", "%", "AAAA", "' OR 1=1", &"A".repeat(5_000)] {
        let page = Page {
            limit: 4,
            cursor: Some(bad.to_owned()),
        };
        let events = world
            .store
            .list_events(tenant.organisation, EventFilter::default(), page.clone())
            .await;
        assert_eq!(events.map(|_| ()), Err(StoreError::BadCursor), "{bad}");
        let attempts = world
            .store
            .list_attempts(DeliveryId::from_bytes([0; 16]), page)
            .await;
        assert_eq!(attempts.map(|_| ()), Err(StoreError::BadCursor), "{bad}");
    }
}

#[tokio::test]
async fn attempts_are_paged_newest_first() {
    let world = World::new();
    let rule = world
        .rule(&world.destination(world.tenant("Academy").await).await)
        .await;
    world.accept(NOW, [&rule]).await;
    let mut delivery = None;
    for n in 0..3 {
        let claimed = world
            .claim(rule.connection, 1, later(n * 10_000))
            .await
            .claimed
            .remove(0);
        world.record(&claimed, server_error(), later(n * 10_000)).await;
        delivery = Some(claimed.delivery);
    }
    let first = world
        .store
        .list_attempts(delivery.unwrap(), first_page(2))
        .await
        .unwrap();
    let second = Page {
        limit: 2,
        cursor: first.next_cursor,
    };
    let second = world
        .store
        .list_attempts(delivery.unwrap(), second)
        .await
        .unwrap();
    let numbers: Vec<u32> = first
        .records
        .iter()
        .chain(&second.records)
        .map(|a| a.number)
        .collect();
    assert_eq!((numbers, second.next_cursor), (vec![3, 2, 1], None));
}

fn filters(workspace: WorkspaceId) -> Vec<(EventFilter, &'static str)> {
    let all = EventFilter {
        workspace: Some(workspace),
        ..EventFilter::default()
    };
    let resource = |resource: &str| EventFilter {
        resource: Some(resource.into()),
        ..all.clone()
    };
    let status = |status| EventFilter {
        status: Some(status),
        ..all.clone()
    };
    vec![
        (EventFilter::default(), "events_of_organisation"),
        (all.clone(), "events_of_workspace"),
        (
            EventFilter {
                event: Some("a.b".into()),
                ..all.clone()
            },
            "events_by_name",
        ),
        (resource("course"), "events_by_resource"),
        (resource("global"), "events_of_workspace"),
        (
            EventFilter {
                resource_id: Some("c1".into()),
                ..all.clone()
            },
            "events_by_resource_id",
        ),
        (
            EventFilter {
                resource_id: Some("c1".into()),
                status: Some(Status::Failed),
                ..resource("course")
            },
            "events_by_resource_id",
        ),
        (
            EventFilter {
                event: Some("a.b".into()),
                ..resource("course")
            },
            "events_by_name",
        ),
        (status(Status::Failed), "events_by_status"),
        (status(Status::Retrying), "events_by_status"),
        (status(Status::Completed), "events_of_workspace"),
    ]
}

#[tokio::test]
async fn every_filter_is_served_by_an_index_in_the_order_of_the_list() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    for (filter, index) in filters(tenant.workspace) {
        let plans = world
            .query(move |connection| {
                let plan = |sql: &str| {
                    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                    let steps = statement.raw_query().mapped(|row| row.get::<_, String>(3));
                    steps.collect::<Result<Vec<_>, _>>()
                };
                Ok([plan(&ids(&filter).0)?, plan(&row(&filter).0)?])
            })
            .await;
        let [ids, row] = plans;
        let served = ["SEARCH", "COVERING INDEX", index, "id<?"];
        assert!(
            ids.len() == 1 && served.iter().all(|part| ids[0].contains(part)),
            "{index}: {ids:?}"
        );
        // An event by its id, and beside it its workspace by the key.
        let looks_up = |step: &&String| step.contains("PRIMARY KEY") || step.contains("SUBQUERY");
        assert_eq!(row.iter().find(|step| !looks_up(step)), None, "{row:?}");
    }
}

/// Three workspaces with 40 events each, which differ in name, resource and status.
async fn mixed(world: &World, tenant: Tenant) -> (Vec<WorkspaceId>, Vec<EventRecord>) {
    let mut workspaces = vec![tenant.workspace];
    for name in ["Second", "Third"] {
        workspaces.push(world.workspace(tenant.organisation, name).await);
    }
    let mut events = Vec::new();
    for n in 0..120u64 {
        let workspace = workspaces[n as usize % 3];
        let rule = world
            .rule(&world.destination(Tenant { workspace, ..tenant }).await)
            .await;
        let event = Event {
            event: ["a", "b", "c"][n as usize % 7 % 3].into(),
            resource: ["global", "course", "quiz"][n as usize % 5 % 3].into(),
            resource_id: (n % 5 % 3 > 0).then(|| format!("{}", n % 4)),
            ..world.event(workspace, later(n / 2))
        };
        let rules: &[Rule] = if n % 4 == 0 { &[rule] } else { &[] };
        let accepted = world
            .store
            .accept_events(vec![world.acceptance(event, rules)])
            .await
            .unwrap();
        events.extend(accepted);
    }
    events.sort_by_key(|event| std::cmp::Reverse(event.id));
    (workspaces, events)
}

fn fits(filter: &EventFilter, event: &EventRecord) -> bool {
    filter.workspace.is_none_or(|only| only == event.workspace)
        && filter.event.as_ref().is_none_or(|only| *only == event.event)
        && filter
            .resource
            .as_ref()
            .is_none_or(|only| *only == event.resource)
        && (filter.resource_id.is_none() || filter.resource_id == event.resource_id)
        && filter.status.is_none_or(|only| only == event.status)
}

#[tokio::test]
async fn however_few_events_a_page_looks_at_the_pages_together_have_what_the_filter_says() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let (workspaces, events) = mixed(&world, tenant).await;
    let any = |values: &[&str]| -> Vec<Option<String>> {
        let some = values.iter().map(|value| Some((*value).to_owned()));
        std::iter::once(None).chain(some).collect()
    };
    let mut short = 0;
    for workspace in [None, Some(workspaces[0]), Some(workspaces[2])] {
        for event in any(&["a", "absent"]) {
            for resource in any(&["global", "quiz"]) {
                for resource_id in any(&["1"]) {
                    for status in [None, Some(Status::Completed), Some(Status::Pending)] {
                        let filter = EventFilter {
                            workspace,
                            event: event.clone(),
                            resource: resource.clone(),
                            resource_id: resource_id.clone(),
                            status,
                        };
                        for (limit, most) in [(3, 1), (5, 17), (50, 1_000)] {
                            let (found, was_short) = walk(&world, tenant, &filter, limit, most).await;
                            short += was_short;
                            let expected: Vec<EventId> = events
                                .iter()
                                .filter(|event| fits(&filter, event))
                                .map(|event| event.id)
                                .collect();
                            assert_eq!(found, expected, "{filter:?} limit {limit} most {most}");
                        }
                    }
                }
            }
        }
    }
    assert!(short > 0, "no page was short, so nothing was tried");
}

/// The ids of all pages in turn, and how many of these had less than their limit though another followed.
async fn walk(
    world: &World,
    tenant: Tenant,
    filter: &EventFilter,
    limit: usize,
    most: usize,
) -> (Vec<EventId>, usize) {
    let (mut found, mut short, mut cursor) = (Vec::new(), 0, None);
    loop {
        let (filter, page) = (filter.clone(), Page { limit, cursor });
        let read = world
            .query(move |connection| {
                Ok(list(connection, &tenant.organisation.into(), &filter, &page, most).unwrap())
            })
            .await;
        assert!(read.records.len() <= limit);
        short += usize::from(read.records.len() < limit && read.next_cursor.is_some());
        found.extend(read.records.iter().map(|record| record.id));
        cursor = read.next_cursor;
        if cursor.is_none() {
            return (found, short);
        }
    }
}

/// Reads all pages of a list; returns what each has found, and what it looked at.
async fn costs(world: &World, reach: &Reach, filter: &EventFilter, limit: usize) -> Vec<(usize, Looked)> {
    let (mut costs, mut cursor) = (Vec::new(), None);
    loop {
        let (reach, filter, page) = (reach.clone(), filter.clone(), Page { limit, cursor });
        let (read, looked) = world
            .query(move |connection| Ok(look(connection, &reach, &filter, &page, LOOKED_AT).unwrap()))
            .await;
        costs.push((read.records.len(), looked));
        cursor = read.next_cursor;
        if cursor.is_none() {
            return costs;
        }
    }
}

#[tokio::test]
async fn a_page_looks_at_as_many_events_whatever_the_number_of_workspaces() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let mut workspaces = vec![tenant.workspace];
    for n in 1..APART {
        workspaces.push(world.workspace(tenant.organisation, &format!("{n}")).await);
    }
    // Every name is with every id but the one that is asked for.
    for n in 0..600u64 {
        let event = Event {
            event: "a".into(),
            resource: "course".into(),
            resource_id: Some("1".into()),
            ..world.event(workspaces[n as usize % 4], later(n))
        };
        world
            .store
            .accept_events(vec![world.acceptance(event, [])])
            .await
            .unwrap();
    }
    let filter = |event: &str| EventFilter {
        event: Some(event.into()),
        resource_id: Some("1".into()),
        ..EventFilter::default()
    };
    let all = Reach::from(tenant.organisation);
    let four = Reach {
        workspaces: Some(workspaces[..4].into()),
        ..all.clone()
    };
    for (reach, places) in [(&four, 4), (&all, APART)] {
        for (name, limit, fit) in [
            ("absent", 100, 0),
            ("a", 100, 100),
            ("absent", 1, 0),
            ("a", 200, 200),
        ] {
            let pages = costs(&world, reach, &filter(name), limit).await;
            let most = LOOKED_AT.max(limit + 1);
            for (n, (found, looked)) in pages.iter().enumerate() {
                let is_last = n + 1 == pages.len();
                assert!(
                    *found == fit || is_last && *found <= fit,
                    "{name} {limit}: {found}"
                );
                assert!(looked.events <= most, "{name} {limit}: {looked:?}");
                // What is read ahead in each, and what took the place of what was looked at.
                assert!(
                    looked.ids <= 2 * (limit + 1 + places) + most,
                    "{name} {limit}: {looked:?}"
                );
            }
            // All that is looked at is behind the page: nothing is looked at twice.
            if fit == 0 {
                assert_eq!(pages.len(), 600usize.div_ceil(most), "{name} {limit}");
            }
        }
    }
}

#[tokio::test]
async fn an_organization_with_more_workspaces_than_are_merged_is_looked_at_no_longer() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let mut last = tenant.workspace;
    for n in 0..=APART {
        last = world.workspace(tenant.organisation, &format!("{n}")).await;
    }
    for n in 0..400 {
        let workspace = if n % 100 == 7 { last } else { tenant.workspace };
        let event = Event {
            event: if workspace == last { "rare" } else { "a" }.into(),
            ..world.event(workspace, later(n))
        };
        world
            .store
            .accept_events(vec![world.acceptance(event, [])])
            .await
            .unwrap();
    }
    let rare = EventFilter {
        event: Some("rare".into()),
        ..EventFilter::default()
    };
    let pages = costs(&world, &tenant.organisation.into(), &rare, 3).await;
    assert_eq!(pages.iter().map(|(found, _)| found).sum::<usize>(), 4);
    assert!(pages.len() > 1);
    for (_, looked) in &pages {
        assert!(
            looked.events <= LOOKED_AT && looked.ids <= LOOKED_AT + 4,
            "{looked:?}"
        );
    }
}

#[tokio::test]
async fn a_list_has_what_its_filter_says() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let rule = world.rule(&world.destination(tenant).await).await;
    let plain = |at| world.event(tenant.workspace, later(at));
    let events = [
        plain(1),
        Event {
            event: "other".into(),
            ..plain(2)
        },
        Event {
            resource: "global".into(),
            resource_id: None,
            ..plain(3)
        },
        Event {
            resource_id: Some("second".into()),
            ..plain(4)
        },
    ];
    for (n, event) in events.iter().enumerate() {
        let rules: &[Rule] = if n == 0 { std::slice::from_ref(&rule) } else { &[] };
        world
            .store
            .accept_events(vec![world.acceptance(event.clone(), rules)])
            .await
            .unwrap();
    }
    let all = EventFilter::default();
    let cases = [
        (all.clone(), vec![3, 2, 1, 0]),
        (
            EventFilter {
                event: Some("other".into()),
                ..all.clone()
            },
            vec![1],
        ),
        (
            EventFilter {
                resource: Some("course".into()),
                ..all.clone()
            },
            vec![3, 1, 0],
        ),
        (
            EventFilter {
                resource: Some("global".into()),
                ..all.clone()
            },
            vec![2],
        ),
        (
            EventFilter {
                resource_id: Some("second".into()),
                ..all.clone()
            },
            vec![3],
        ),
        (
            EventFilter {
                status: Some(Status::Completed),
                ..all.clone()
            },
            vec![3, 2, 1],
        ),
        (
            EventFilter {
                status: Some(Status::Pending),
                ..all.clone()
            },
            vec![0],
        ),
        (
            EventFilter {
                status: Some(Status::Failed),
                ..all.clone()
            },
            vec![],
        ),
    ];
    for (filter, expected) in cases {
        for workspace in [None, Some(tenant.workspace)] {
            let filter = EventFilter {
                workspace,
                ..filter.clone()
            };
            let page = world
                .store
                .list_events(tenant.organisation, filter.clone(), first_page(9))
                .await
                .unwrap();
            let found: Vec<EventId> = page.records.iter().map(|record| record.id).collect();
            let expected: Vec<EventId> = expected.iter().map(|n: &usize| events[*n].id).collect();
            assert_eq!(found, expected, "{filter:?}");
        }
    }
    let payload = world
        .store
        .event_payload(tenant.organisation, events[0].id)
        .await
        .unwrap();
    assert_eq!(payload.as_deref(), Some(&*events[0].payload));
}

#[tokio::test]
async fn rules_and_connections_are_listed_by_workspace() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let other = Tenant {
        workspace: world.workspace(tenant.organisation, "Second").await,
        ..tenant
    };
    let (here, there) = (world.destination(tenant).await, world.destination(other).await);
    let (first, second) = (world.rule(&here).await, world.rule(&there).await);
    let store = &world.store;
    assert_eq!(
        store
            .list_connections(tenant.organisation, None)
            .await
            .unwrap()
            .len(),
        2
    );
    let listed = store
        .list_connections(tenant.organisation, Some(other.workspace))
        .await
        .unwrap();
    assert_eq!((listed.len(), listed[0].id), (1, there.id));
    let all = RuleFilter::default();
    let cases = [
        (all.clone(), vec![first.clone(), second.clone()]),
        (
            RuleFilter {
                workspace: Some(other.workspace),
                ..all.clone()
            },
            vec![second.clone()],
        ),
        (
            RuleFilter {
                event: Some("lesson.completed".into()),
                ..all.clone()
            },
            vec![first, second],
        ),
        (
            RuleFilter {
                event: Some("other".into()),
                ..all.clone()
            },
            vec![],
        ),
        (
            RuleFilter {
                resource: Some("course".into()),
                ..all.clone()
            },
            vec![],
        ),
        (
            RuleFilter {
                resource_id: Some("c1".into()),
                ..all
            },
            vec![],
        ),
    ];
    for (filter, expected) in cases {
        assert_eq!(
            store.list_rules(tenant.organisation, filter).await.unwrap(),
            expected
        );
    }
}
