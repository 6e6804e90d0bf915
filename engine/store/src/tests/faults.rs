//! Full disks, locks, failing commits, defects: nothing is acknowledged that is not kept, and the
//! store goes on without a restart. And what is not a fault: many commands in one commit.

use std::sync::mpsc;

use rusqlite::Connection;

use super::*;

fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable { .. }))
}

/// Holds the writer's thread, between two transactions, until the sender is dropped.
async fn hold(store: &Store) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let (holding, is_held) = tokio::sync::oneshot::channel();
    let writer = store.clone();
    tokio::spawn(async move {
        let hold = move |_: &Connection| {
            let _ = holding.send(());
            let _ = held.recv();
        };
        writer.inner.writer.between(hold).await;
    });
    is_held.await.unwrap();
    release
}

/// Lets every task run until `commands` of them wait for the writer.
async fn until_waiting(store: &Store, commands: usize) {
    while store.inner.writer.waiting() < commands {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_waits_together_is_committed_together() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let rule = world.rule(&world.destination(tenant).await).await;
    let release = hold(&world.store).await;
    let accepting: Vec<_> = (0..100)
        .map(|_| {
            let acceptance = world.acceptance(world.event(tenant.workspace, NOW), [&rule]);
            let store = world.store.clone();
            tokio::spawn(async move { store.accept_events(vec![acceptance]).await })
        })
        .collect();
    until_waiting(&world.store, 100).await;
    let before = world.store.commits();
    drop(release);
    for accepted in accepting {
        accepted.await.unwrap().unwrap();
    }
    assert_eq!(world.store.commits(), before + 1);
}

#[tokio::test]
async fn a_command_that_fails_takes_no_other_with_it() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let rule = world.rule(&world.destination(tenant).await).await;
    let twice = world.acceptance(world.event(tenant.workspace, NOW), [&rule]);
    world.store.accept_events(vec![twice.clone()]).await.unwrap();
    world.store.due().take();
    let good = world.acceptance(world.event(tenant.workspace, later(50)), [&rule]);

    let release = hold(&world.store).await;
    let store = world.store.clone();
    let panics = tokio::spawn(async move {
        store
            .write(0, |connection, effects| -> Result<(), StoreError> {
                connection.execute("DELETE FROM events", [])?;
                effects.due(ConnectionId::from_bytes([1; 16]), NOW);
                panic!("a defect")
            })
            .await
    });
    until_waiting(&world.store, 1).await;
    let [twice, good] = [twice, good].map(|acceptance| {
        let store = world.store.clone();
        tokio::spawn(async move { store.accept_events(vec![acceptance]).await })
    });
    until_waiting(&world.store, 3).await;
    drop(release);

    assert_eq!(
        panics.await.unwrap(),
        Err(StoreError::broken("a command panicked"))
    );
    assert!(matches!(twice.await.unwrap(), Err(StoreError::Conflict(_))));
    good.await.unwrap().unwrap();
    let events = world
        .store
        .list_events(tenant.organisation, EventFilter::default(), first_page(9))
        .await;
    assert_eq!(events.unwrap().records.len(), 2);
    let due: Vec<_> = world.store.due().take().into_iter().collect();
    assert_eq!(due, [(rule.connection, later(50))]);
}

#[tokio::test]
async fn a_full_disk_acknowledges_nothing_and_is_recovered_from() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let rule = world.rule(&world.destination(tenant).await).await;
    let before = world.accept(NOW, [&rule]).await;
    world.store.due().take();
    let limit = |pages: i64| {
        world.query(move |connection| {
            connection.pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, i64>(0))
        })
    };
    limit(1).await; // SQLite makes it the present size.
    let mut large = world.event(tenant.workspace, later(1));
    large.payload = format!(r#"{{"x":"{}"}}"#, "x".repeat(200_000)).into();
    let large = world.acceptance(large, [&rule]);
    for _ in 0..3 {
        let refused = world.store.accept_events(vec![large.clone()]).await;
        assert!(is_unavailable(&refused), "{refused:?}");
    }
    assert!(world.store.due().take().is_empty());
    let all = || {
        world
            .store
            .list_events(tenant.organisation, EventFilter::default(), first_page(9))
    };
    assert_eq!(all().await.unwrap().records, [before]);

    limit(1_000_000).await;
    world.store.accept_events(vec![large]).await.unwrap();
    world.store.ready().await.unwrap();
    assert_eq!(all().await.unwrap().records.len(), 2);
}

#[tokio::test]
async fn a_lock_of_another_process_is_waited_out_or_refused_and_recovered_from() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let rule = world.rule(&world.destination(tenant).await).await;
    let acceptance = world.acceptance(world.event(tenant.workspace, NOW), [&rule]);
    world
        .query(|connection| connection.busy_timeout(Duration::ZERO))
        .await;
    let other = Connection::open(world.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(is_unavailable(
        &world.store.accept_events(vec![acceptance.clone()]).await
    ));
    assert!(is_unavailable(&world.store.ready().await));
    assert!(world.store.due().take().is_empty());
    assert_eq!(world.store.lanes().await, Ok(vec![]), "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    world.store.ready().await.unwrap();
    world.store.accept_events(vec![acceptance]).await.unwrap();
}

#[tokio::test]
async fn a_commit_that_fails_fails_its_whole_group_and_no_other() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let rule = world.rule(&world.destination(tenant).await).await;
    let release = hold(&world.store).await;
    let store = world.store.clone();
    // A reference to nothing, which is only looked at by the commit.
    let poison = tokio::spawn(async move {
        store
            .write_again(0, |connection, _| {
                connection.pragma_update(None, "defer_foreign_keys", true)?;
                connection.execute("UPDATE rules SET connection = x'00'", [])?;
                Ok(())
            })
            .await
    });
    let accepting: Vec<_> = (0..5)
        .map(|_| {
            let acceptance = world.acceptance(world.event(tenant.workspace, NOW), [&rule]);
            let store = world.store.clone();
            tokio::spawn(async move { store.accept_events(vec![acceptance]).await })
        })
        .collect();
    until_waiting(&world.store, 6).await;
    drop(release);
    assert!(is_unavailable(&poison.await.unwrap()));
    for accepted in accepting {
        assert!(is_unavailable(&accepted.await.unwrap()));
    }
    assert!(world.store.lanes().await.unwrap().is_empty());
    assert!(world.store.due().take().is_empty());
    world.accept(NOW, [&rule]).await;
    assert_eq!(world.store.lanes().await.unwrap(), [(rule.connection, NOW)]);
}

#[tokio::test]
async fn of_events_that_are_accepted_together_the_one_that_fails_is_undone_alone() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let rule = world.rule(&world.destination(tenant).await).await;
    let mut acceptances: Vec<Acceptance> = (0..4)
        .map(|_| world.acceptance(world.event(tenant.workspace, NOW), [&rule]))
        .collect();
    // The id of the first one again, behind deliveries of its own, which must go with it.
    let taken = acceptances[0].event.id;
    acceptances[3].event.id = taken;
    acceptances[3].deliveries[0].rule = world.rule(&world.destination(tenant).await).await.id;
    let release = hold(&world.store).await;
    let accepting: Vec<_> = acceptances
        .into_iter()
        .map(|acceptance| {
            let store = world.store.clone();
            tokio::spawn(async move { store.accept_events(vec![acceptance]).await })
        })
        .collect();
    until_waiting(&world.store, 4).await;
    drop(release);
    let mut kept = 0;
    for accepted in accepting {
        kept += usize::from(accepted.await.unwrap().is_ok());
    }
    assert_eq!(kept, 3);
    let rows = |table| {
        world.query(move |c| c.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)))
    };
    let counted: (i64, i64) = (rows("deliveries").await, rows("events").await);
    assert_eq!(counted, (3, 3));
    let used: i64 = world
        .query(|c| c.query_row("SELECT sum(events) FROM usage", [], |row| row.get(0)))
        .await;
    assert_eq!(used, 3, "what was undone is not counted");
}

#[tokio::test]
async fn a_transaction_that_sqlite_rolled_back_by_itself_fails_its_group_and_no_other() {
    let world = World::new();
    let lost = world
        .store
        .write(0, |connection, _| {
            connection.execute_batch("ROLLBACK")?;
            Err::<(), _>(StoreError::unavailable("I/O"))
        })
        .await;
    assert!(is_unavailable(&lost));
    world.store.ready().await.unwrap();
}

#[tokio::test]
async fn closing_finishes_what_waits_and_refuses_what_comes_later() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let rule = world.rule(&world.destination(tenant).await).await;
    let release = hold(&world.store).await;
    let store = world.store.clone();
    let acceptance = world.acceptance(world.event(tenant.workspace, NOW), [&rule]);
    let accepted = tokio::spawn(async move { store.accept_events(vec![acceptance]).await });
    until_waiting(&world.store, 1).await;
    let store = world.store.clone();
    let closed = tokio::spawn(async move { store.close().await });
    until_waiting(&world.store, 2).await;
    drop(release);
    closed.await.unwrap();
    accepted.await.unwrap().unwrap();
    assert!(is_unavailable(&world.store.ready().await));
    assert!(is_unavailable(&world.store.lanes().await));
    world.store.close().await;
    let log = world.directory.path().join("heddle.db-wal");
    assert!(!log.exists(), "the log is in the database");
}

#[tokio::test]
async fn a_read_that_panics_leaves_the_readers_usable() {
    let world = World::new();
    for _ in 0..5 {
        let broken = world
            .store
            .read(|_| -> Result<(), StoreError> { panic!("a defect") })
            .await;
        assert_eq!(broken, Err(StoreError::broken("a read panicked")));
    }
    assert_eq!(world.store.lanes().await, Ok(vec![]));
}

#[tokio::test]
async fn readers_cannot_write() {
    let world = World::new();
    let refused = world
        .store
        .read(|connection| Ok(connection.execute("DELETE FROM meta", [])?))
        .await;
    assert!(is_unavailable(&refused), "{refused:?}");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_fails_the_claims_of_its_own_lane_only() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let (bad, good) = (world.destination(tenant).await, world.destination(tenant).await);
    let rules = [world.rule(&bad).await, world.rule(&good).await];
    world.accept(NOW, &rules).await;
    let damaged = rules[0].id;
    let damage = "UPDATE rules SET metadata = '[]' WHERE id = ?1";
    let rows = world
        .query(move |connection| connection.execute(damage, [damaged.as_bytes()]))
        .await;
    assert_eq!(rows, 1);
    let claim = |lanes: &[&Destination]| {
        let request = |lane: &&Destination| ClaimRequest {
            connection: lane.id,
            limit: 5,
            forced_only: false,
        };
        let requests = lanes.iter().map(request).collect();
        world.store.claim(requests, NOW, later(1))
    };
    // Not `Unavailable`: what the dispatcher then does is to ask for each lane alone.
    let is_broken =
        |claim: &Result<Vec<LaneClaim>, StoreError>| matches!(claim, Err(StoreError::Broken { .. }));
    assert!(is_broken(&claim(&[&bad, &good]).await));
    assert_eq!(claim(&[&good]).await.unwrap()[0].claimed.len(), 1);
    assert!(is_broken(&claim(&[&bad]).await));
}

#[tokio::test]
async fn a_lease_that_cannot_be_read_keeps_no_other_from_being_taken_back() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let (broken, sound) = (world.accept(NOW, [&rule]).await, world.accept(NOW, [&rule]).await);
    drop(world.claim(destination.id, 9, NOW).await);
    let id = broken.id;
    let spoiled = world.query(move |connection| {
        let sql = "UPDATE deliveries SET last_error = CAST(x'ff' AS TEXT) WHERE event = ?1";
        connection.execute(sql, [id.as_bytes()])
    });
    assert_eq!(spoiled.await, 1);
    let released = world.store.release_all_leases(NOW, schedule(), 7).await;
    assert_eq!(released, Ok(1));
    let back = delivery(&world, tenant, sound.id, &rule).await;
    assert_eq!(back.state.status, heddle_core::delivery::Status::Retrying);

    // Nor when there are more than one command takes back.
    let many = (0..600).map(|_| world.acceptance(world.event(rule.workspace, NOW), [&rule]));
    world.store.accept_events(many.collect()).await.unwrap();
    drop(world.claim(destination.id, 600, NOW).await);
    let released = world.store.release_all_leases(NOW, schedule(), 7).await;
    assert_eq!(released, Ok(600));
}
