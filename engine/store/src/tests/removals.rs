//! A deleted workspace: gone at once, removed to the last row after that, and nobody else's row with it.

use std::collections::BTreeSet;

use heddle_core::delivery::Status;
use heddle_core::id::{ReplayId, SessionId};
use heddle_core::replay::{Filter, Progress, Rules};
use heddle_core::session::{LaunchPage, Role, SessionType};
use rusqlite::types::ValueRef;
use uuid::Uuid;

use super::*;
use crate::removals::TABLES;

/// What stays: sums of the organization.
const KEPT: &[&str] = &["usage"];

/// What is removed with the events, or at once.
const BESIDE: &[&str] = &[
    "events",
    "event_payloads",
    "deliveries",
    "attempts",
    "attempt_responses",
    "publishable_keys",
    "workspace_limits",
    "replays",
    "retention_marks",
];

const TEXT: &str = "mesh_pub_live_a_b";

fn once(key: u8) -> Option<Once> {
    Some(Once {
        key: [key; 32],
        fingerprint: [1; 32],
    })
}

fn session(world: &World, tenant: Tenant) -> Session {
    Session {
        id: SessionId::new(NOW, world.random()),
        organisation: tenant.organisation,
        workspace: tenant.workspace,
        kind: SessionType::Workspace,
        role: Role::Owner,
        external_user_id: None,
        resource: None,
        scopes: Vec::new(),
        allowed_origins: Vec::new(),
        ttl_seconds: 300,
        token: Uuid::from_bytes([1; 16]),
        created_by: "mk_test".into(),
        created_at: NOW,
        expires_at: later(300_000),
        revoked_at: None,
    }
}

fn launch(digest: u8) -> Launch {
    Launch {
        digest: [digest; 32],
        page: LaunchPage::Rules,
        expires_at: later(30_000),
    }
}

fn replay(world: &World, tenant: Tenant) -> Replay {
    Replay {
        id: ReplayId::new(NOW, world.random()),
        organisation: tenant.organisation,
        workspace: tenant.workspace,
        rules: Rules::Current,
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
        total: 1,
        behind: None,
        processed: 0,
        replayed: 0,
        created: 0,
        skipped: 0,
        created_by: "mk_test".into(),
        created_at: NOW,
        updated_at: NOW,
        completed_at: None,
    }
}

/// A workspace with something of everything.
struct Full {
    destination: Destination,
    rule: Rule,
    tried: EventRecord,
    session: Session,
    replay: Replay,
    key: PublishableKey,
}

impl World {
    async fn full(&self, tenant: Tenant, letter: u8) -> Full {
        let store = &self.store;
        let destination = self.destination(tenant).await;
        let rule = self.rule(&destination).await;
        let acceptance = self.acceptance(self.event(tenant.workspace, NOW), [&rule]);
        let emission = Emission {
            acceptance,
            once: once(letter),
        };
        let Accepted::New(tried) = store.accept(vec![emission]).await.unwrap().accepted.remove(0) else {
            panic!("it is new")
        };
        let claim = self.claim(destination.id, 1, NOW).await;
        let mut record = self.attempt(&claim.claimed[0], server_error(), NOW);
        record.attempt.response = Some(ResponseDetails {
            status: 503,
            headers: Vec::new(),
            body: b"no".to_vec(),
            truncated: false,
        });
        store.record_attempt(record).await.unwrap();
        // One is under way when the workspace is deleted, one waits.
        self.accept(NOW, [&rule]).await;
        self.claim(destination.id, 1, NOW).await;
        self.accept(NOW, [&rule]).await;
        let session = session(self, tenant);
        store
            .create_session(session.clone(), launch(letter))
            .await
            .unwrap();
        let replay = replay(self, tenant);
        store.create_replay(replay.clone()).await.unwrap();
        let limits = heddle_core::quota::Limits {
            rules: Some(100),
            ..Default::default()
        };
        store
            .set_limits_of(tenant.workspace, limits, "mk_test".into(), NOW)
            .await
            .unwrap();
        let connection = *destination.id.as_bytes();
        let workspace = *tenant.workspace.as_bytes();
        self.query(move |db| {
            for sql in [
                "INSERT INTO retention_marks VALUES (?1, 'payload', ?1)",
                "INSERT INTO retention_late VALUES (?1, 'payload', ?1, 0)",
                "INSERT INTO left_behind VALUES (?1, ?1, ?1, 0, ?1)",
            ] {
                db.execute(sql, [workspace])?;
            }
            for sql in [
                "INSERT INTO catalogs VALUES (?1, ?1, '1', '{}', 'mk_test', 0, 0, 0)",
                "INSERT INTO choices VALUES (?1, 'a', 'b', '', '', '{}', 0)",
                "INSERT INTO mappings VALUES (?1, ?1, 2, 'm', '{}', NULL, 'mk_test', 0, 0)",
            ] {
                db.execute(sql, [connection])?;
            }
            Ok(())
        })
        .await;
        let key = PublishableKey {
            id: PublishableKeyId::new(NOW, self.random()),
            workspace: tenant.workspace,
            name: "Second".into(),
            key: format!("{TEXT}{letter}"),
            allowed_origins: Vec::new(),
            created_by: None,
            created_at: NOW,
            expires_at: None,
        };
        store
            .add_publishable_key(tenant.organisation, key.clone(), None)
            .await
            .unwrap();
        // Into memory with what is kept there.
        assert!(store.publishable_key_by_text(&key.key).await.unwrap().is_some());
        assert!(store.session(session.id).await.unwrap().is_some());
        assert_eq!(rules_of(store, tenant.workspace).await.len(), 1);
        assert!(
            store
                .connection_for_delivery(destination.id)
                .await
                .unwrap()
                .is_some()
        );
        Full {
            destination,
            rule,
            tried,
            session,
            replay,
            key,
        }
    }

    async fn delete(&self, tenant: Tenant, name: &str) -> WorkspaceDeletion {
        let (of, id) = (tenant.organisation, tenant.workspace);
        let deleting = self.store.delete_workspace(of, id, name.into(), later(1_000));
        deleting.await.unwrap()
    }

    /// The tables that have rows of workspaces, connections, rules, events, deliveries or attempts.
    async fn tables(&self) -> BTreeSet<String> {
        self.query(|db| {
            let sql = "SELECT DISTINCT t.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c
                       WHERE t.type = 'table' AND c.type = 'BLOB'
                           AND c.name IN ('workspace', 'connection', 'rule', 'event', 'delivery', 'attempt')";
            db.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
        })
        .await
    }

    /// How many rows of each table hold one of the ids, in any column.
    async fn rows_of(&self, ids: &BTreeSet<[u8; 16]>) -> BTreeMap<String, usize> {
        let ids = ids.clone();
        self.query(move |db| {
            let sql = "SELECT name FROM sqlite_schema WHERE type = 'table'";
            let tables: Vec<String> = db
                .prepare(sql)?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let mut counts = BTreeMap::new();
            for table in tables {
                let mut statement = db.prepare(&format!("SELECT * FROM {table}"))?;
                let columns = statement.column_count();
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    let is_id = |column| match row.get_ref(column) {
                        Ok(ValueRef::Blob(bytes)) => {
                            bytes.try_into().is_ok_and(|id: [u8; 16]| ids.contains(&id))
                        }
                        _ => false,
                    };
                    if (0..columns).any(is_id) {
                        *counts.entry(table.clone()).or_default() += 1;
                    }
                }
            }
            Ok(counts)
        })
        .await
    }

    /// The workspace's id and those of all that it has.
    async fn ids_of(&self, workspace: WorkspaceId) -> BTreeSet<[u8; 16]> {
        self.query(move |db| {
            let of_workspace = [
                "connections",
                "rules",
                "events",
                "deliveries",
                "sessions",
                "terms",
                "publishable_keys",
                "replays",
            ];
            let mut queries: Vec<String> = of_workspace
                .iter()
                .map(|table| format!("SELECT id FROM {table} WHERE workspace = ?1"))
                .collect();
            queries.push(
                "SELECT a.id FROM attempts a JOIN deliveries d ON d.id = a.delivery WHERE d.workspace = ?1"
                    .into(),
            );
            let mut ids = BTreeSet::from([*workspace.as_bytes()]);
            for sql in queries {
                let mut statement = db.prepare(&sql)?;
                for id in statement.query_map([workspace.as_bytes()], |row| row.get(0))? {
                    ids.insert(id?);
                }
            }
            Ok(ids)
        })
        .await
    }

    /// Removes to the end; returns how many steps that took.
    async fn remove(&self, workspace: WorkspaceId) -> usize {
        for steps in 1..1_000 {
            let step = self.store.remove_some(workspace).await.unwrap();
            assert!(step.rows <= 600, "{step:?}");
            if step.done {
                return steps;
            }
        }
        panic!("it never ends")
    }
}

#[tokio::test]
async fn no_table_is_forgotten() {
    let world = World::new();
    let known: BTreeSet<String> = TABLES
        .iter()
        .map(|(table, _)| *table)
        .chain(BESIDE.iter().copied())
        .chain(KEPT.iter().copied())
        .map(str::to_owned)
        .collect();
    let unknown: Vec<String> = world.tables().await.difference(&known).cloned().collect();
    assert!(
        unknown.is_empty(),
        "say in removals.rs what becomes of {unknown:?} when a workspace is deleted"
    );
}

#[tokio::test]
async fn nothing_is_left_of_a_deleted_workspace_and_all_of_the_others() {
    let world = World::new();
    let ours = world.tenant("Ours").await;
    let other = Tenant {
        workspace: world.workspace(ours.organisation, "Other").await,
        ..ours
    };
    world.full(ours, 1).await;
    world.full(other, 2).await;
    let (ids, others) = (
        world.ids_of(ours.workspace).await,
        world.ids_of(other.workspace).await,
    );
    let (before, theirs) = (world.rows_of(&ids).await, world.rows_of(&others).await);
    let full: BTreeSet<String> = before.keys().cloned().collect();
    for table in world.tables().await {
        assert!(full.contains(&table), "the test lacks a row in {table}");
    }
    assert!(matches!(
        world.delete(ours, "Ours").await,
        WorkspaceDeletion::Deleted(_)
    ));
    world.remove(ours.workspace).await;
    let after = world.rows_of(&ids).await;
    let left: Vec<&str> = after.keys().map(String::as_str).collect();
    assert_eq!(left, KEPT, "{after:?}");
    assert_eq!(world.rows_of(&others).await, theirs);
    assert_eq!(world.store.deleted_workspaces().await, Ok(Vec::new()));
    let done = RemovalStep { rows: 0, done: true };
    assert_eq!(world.store.remove_some(ours.workspace).await, Ok(done));
    assert_eq!(
        world.store.remove_some(other.workspace).await,
        Ok(done),
        "it was not deleted"
    );
    assert_eq!(world.rows_of(&others).await, theirs);
}

#[tokio::test]
async fn from_the_tombstone_on_nothing_is_seen_taken_in_or_delivered() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let full = world.full(tenant, 1).await;
    let (store, us) = (&world.store, tenant.organisation);
    assert_eq!(
        world.delete(tenant, "academy").await,
        WorkspaceDeletion::OtherName
    );
    let stranger = world.tenant("Stranger").await.organisation;
    let theirs = Tenant {
        organisation: stranger,
        ..tenant
    };
    assert_eq!(world.delete(theirs, "Academy").await, WorkspaceDeletion::NotFound);
    assert!(store.workspace(us, tenant.workspace).await.unwrap().is_some());
    let WorkspaceDeletion::Deleted(was) = world.delete(tenant, "Academy").await else {
        panic!("it is there")
    };
    assert_eq!(was.name, "Academy");
    assert_eq!(world.delete(tenant, "Academy").await, WorkspaceDeletion::NotFound);
    assert_eq!(store.deleted_workspaces().await, Ok(vec![tenant.workspace]));

    assert!(store.workspace(us, tenant.workspace).await.unwrap().is_none());
    assert!(store.list_workspaces(us).await.unwrap().is_empty());
    let rename = store.update_workspace(us, tenant.workspace, "Back".into(), None, NOW);
    assert_eq!(rename.await, Ok(None));
    assert!(store.connection(us, full.destination.id).await.unwrap().is_none());
    assert!(
        store
            .connection_for_delivery(full.destination.id)
            .await
            .unwrap()
            .is_none()
    );
    assert!(store.list_connections(us, None).await.unwrap().is_empty());
    assert!(
        !store
            .update_connection(us, full.destination.clone(), None)
            .await
            .unwrap()
    );
    assert!(store.rule(us, full.rule.id).await.unwrap().is_none());
    assert!(
        store
            .list_rules(us, RuleFilter::default())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(store.event(us, full.tried.id).await.unwrap().is_none());
    assert!(store.event_payload(us, full.tried.id).await.unwrap().is_none());
    for workspace in [None, Some(tenant.workspace)] {
        let filter = EventFilter {
            workspace,
            ..EventFilter::default()
        };
        let list = store.list_events(us, filter, first_page(9)).await.unwrap();
        assert!(list.records.is_empty());
    }
    assert_eq!(
        store.retry_delivery(us, full.tried.id, full.rule.id, NOW).await,
        Err(RetryError::NotFound)
    );
    assert_eq!(store.session(full.session.id).await, Ok(None));
    assert_eq!(store.redeem_launch([1; 32], NOW).await, Ok(None));
    let refreshed = store.refresh_session(full.session.id, Uuid::from_bytes([2; 16]), NOW);
    assert_eq!(refreshed.await, Ok(None));
    assert_eq!(store.publishable_key_by_text(&full.key.key).await, Ok(None));
    assert!(store.replay(us, full.replay.id).await.unwrap().is_none());
    assert!(store.running_replays().await.unwrap().is_empty());
    let work = ReplayStep {
        rows: ReplayWork::Deliveries(Vec::new()),
        behind: None,
        ends: true,
    };
    assert_eq!(store.advance_replay(&full.replay, work, NOW).await, Ok(None));

    let gone = StoreError::NotFound("workspace");
    for (key, rules) in [(None, vec![]), (once(1), vec![&full.rule]), (once(9), vec![])] {
        let acceptance = world.acceptance(world.event(tenant.workspace, later(2_000)), rules);
        let emission = Emission {
            acceptance,
            once: key,
        };
        assert_eq!(store.accept(vec![emission]).await.err(), Some(gone.clone()));
    }
    let connection = Destination {
        id: ConnectionId::new(NOW, world.random()),
        name: "New".into(),
        ..full.destination.clone()
    };
    assert_eq!(store.create_connection(connection).await, Err(gone.clone()));
    let rule = Rule {
        id: RuleId::new(NOW, world.random()),
        ..full.rule.clone()
    };
    assert_eq!(store.create_rule(rule).await, Err(gone.clone()));
    let another = session(&world, tenant);
    assert_eq!(store.create_session(another, launch(9)).await, Err(gone.clone()));
    assert_eq!(
        store.create_replay(replay(&world, tenant)).await,
        Err(gone.clone())
    );
    let key = PublishableKey {
        id: PublishableKeyId::new(NOW, world.random()),
        key: "mesh_pub_live_c_d".into(),
        ..full.key.clone()
    };
    assert_eq!(store.add_publishable_key(us, key, None).await, Err(gone.clone()));
    let term = Term {
        id: TermId::new(NOW, world.random()),
        workspace: tenant.workspace,
        kind: TermKind::EventType,
        key: "a".into(),
        label: "a".into(),
        description: None,
        active: true,
        created_by: None,
        created_at: NOW,
        updated_at: NOW,
    };
    assert_eq!(store.create_term(term).await, Err(gone.clone()));
    let limits = store.set_limits_of(tenant.workspace, Default::default(), "mk".into(), NOW);
    assert_eq!(limits.await, Err(gone));

    // Its lane is there and due, and nobody is told of it or gets anything from it.
    assert!(store.lanes().await.unwrap().is_empty());
    let claim = world.claim(full.destination.id, 9, later(60_000)).await;
    assert!(claim.claimed.is_empty() && claim.next_due.is_none());
    let same_name = world.workspace(us, "Academy").await;
    assert_ne!(same_name, tenant.workspace);
}

#[tokio::test]
async fn what_is_under_way_meanwhile_ends_without_a_trace() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let destination = world.destination(tenant).await;
    let rule = world.rule(&destination).await;
    world.accept(NOW, [&rule]).await;
    world.accept(NOW, [&rule]).await;
    let claim = world.claim(destination.id, 2, NOW).await;
    world.delete(tenant, "Academy").await;
    let early = world.record(&claim.claimed[0], server_error(), later(10)).await;
    assert!(matches!(early, Settled::Recorded { .. }), "{early:?}");
    let taken = world.store.release_all_leases(later(20), schedule(), 1).await;
    assert_eq!(taken, Ok(1), "as at a start between the deletion and the removal");
    world.remove(tenant.workspace).await;
    let late = world.record(&claim.claimed[1], delivered(), later(30)).await;
    assert_eq!(late, Settled::Stale);
    for table in ["deliveries", "attempts", "events", "event_payloads"] {
        let sql = format!("SELECT count(*) FROM {table}");
        let rows: i64 = world
            .query(move |db| db.query_row(&sql, [], |row| row.get(0)))
            .await;
        assert_eq!(rows, 0, "{table}");
    }
}

#[tokio::test]
async fn a_removal_goes_in_small_steps_and_on_after_a_crash_while_others_emit() {
    let mut world = World::new();
    let tenant = world.tenant("Academy").await;
    let other = world.tenant("Other").await;
    let rule = world.rule(&world.destination(tenant).await).await;
    let theirs = world.rule(&world.destination(other).await).await;
    let acceptances: Vec<Acceptance> = (0..700)
        .map(|_| world.acceptance(world.event(tenant.workspace, NOW), [&rule]))
        .collect();
    world.store.accept_events(acceptances).await.unwrap();
    let ids = world.ids_of(tenant.workspace).await;
    world.delete(tenant, "Academy").await;
    let (mut steps, mut emitted) = (0, 0);
    while !world.store.remove_some(tenant.workspace).await.unwrap().done {
        steps += 1;
        world.accept(later(steps), [&theirs]).await;
        emitted += 1;
        if steps == 2 {
            // As a process that is killed leaves it: what was committed, and nothing else.
            world.store.close().await;
            world.store = Store::open(config(world.path())).unwrap();
            assert_eq!(world.store.deleted_workspaces().await, Ok(vec![tenant.workspace]));
        }
    }
    assert!(steps >= 4, "2,100 rows in steps of 500: {steps}");
    let left: Vec<String> = world.rows_of(&ids).await.into_keys().collect();
    assert_eq!(left, KEPT);
    let filter = EventFilter::default();
    let list = world
        .store
        .list_events(other.organisation, filter, first_page(200))
        .await
        .unwrap();
    assert_eq!(list.records.len(), emitted);
}

#[test]
fn what_looks_a_workspace_up_looks_through_the_view_that_leaves_out_deleted_ones() {
    // These are about tombstones, or count what was done before.
    const MAY: &[&str] = &["removals.rs", "usage.rs", "claims.rs", "memo.rs"];
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".rs") || MAY.contains(&name.as_str()) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let raw = line.contains("FROM workspaces") || line.contains("JOIN workspaces");
            assert!(!raw, "{name}:{}: name live_workspaces instead", number + 1);
        }
    }
}
