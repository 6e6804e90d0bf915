//! Making, opening, migrating; what is refused; what is in the file.

use heddle_core::connection::{CheckStatus, InactiveReason};
use heddle_core::delivery::Status;
use heddle_core::outcome::OutcomeCode;
use rusqlite::{Connection, ffi};

use std::collections::BTreeSet;

use super::*;

/// Set to write `schema.sql` instead of comparing it.
const BLESS: &str = "HEDDLE_BLESS";

fn refused(config: StoreConfig) -> OpenError {
    match Store::open(config) {
        Ok(_) => panic!("the store was opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn the_migrations_come_to_the_checked_in_schema() {
    let world = World::new();
    let schema = world
        .query(|connection| {
            let sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type = 'index', name";
            connection
                .prepare(sql)?
                .query_map([], |row| row.get(0))?
                .collect::<Result<Vec<String>, _>>()
        })
        .await;
    let schema = format!(
        "-- What the migrations come to. Written by a test: {BLESS}=1 cargo test -p heddle-store\n\n{};\n",
        schema.join(";\n\n")
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.sql");
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    assert_eq!(schema, std::fs::read_to_string(path).unwrap());
}

#[tokio::test]
async fn opening_again_finds_everything_and_changes_nothing() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let rule = world.rule(&world.destination(tenant).await).await;
    let event = world.accept(NOW, [&rule]).await;
    world.store.close().await;

    let again = Store::open(config(world.path())).unwrap();
    assert_eq!(
        again.event(tenant.organisation, event.id).await.unwrap(),
        Some(event)
    );
    assert_eq!(
        super::rules_of(&again, tenant.workspace).await,
        [super::matched_by(&rule)]
    );
    assert_eq!(again.lanes().await.unwrap(), [(rule.connection, NOW)]);
}

/// What a connection has prepared so far, and how SQLite goes about each.
fn plans(connection: &Connection) -> rusqlite::Result<Vec<(String, Vec<String>)>> {
    let mut prepared = Vec::new();
    #[allow(unsafe_code)]
    // SAFETY: the statements are the connection's, which nobody else uses meanwhile.
    unsafe {
        let database = connection.handle();
        let mut statement = ffi::sqlite3_next_stmt(database, std::ptr::null_mut());
        while !statement.is_null() {
            let sql = std::ffi::CStr::from_ptr(ffi::sqlite3_sql(statement));
            prepared.push(sql.to_string_lossy().into_owned());
            statement = ffi::sqlite3_next_stmt(database, statement);
        }
    }
    let plan = |sql: String| {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        // The plan is the same whatever the parameters are.
        let steps = statement.raw_query().mapped(|row| row.get(3));
        let steps = steps.collect::<Result<Vec<String>, _>>()?;
        Ok((sql, steps))
    };
    prepared.into_iter().map(plan).collect()
}

#[tokio::test]
async fn nothing_that_a_start_asks_goes_through_the_history() {
    let world = World::new();
    let (_, _, rule) = one_rule(&world).await;
    world.accept(NOW, [&rule]).await;
    world.store.set_default_limits(DefaultLimits {
        workspace: heddle_core::quota::Limits {
            event_days: Some(1),
            ..heddle_core::quota::Limits::default()
        },
        ..DefaultLimits::default()
    });
    world.store.close().await;
    let store = Store::open(config(world.path())).unwrap();
    store.set_default_limits(world.store.default_limits());
    // All that is asked before a start is ready, and by those who begin their work then.
    store.release_all_leases(NOW, schedule(), 1).await.unwrap();
    store.ready().await.unwrap();
    store.expire_leases(NOW, schedule(), 1).await.unwrap();
    store.lanes().await.unwrap();
    store.running_replays().await.unwrap();
    store.left_behind().await.unwrap();
    store.deleted_workspaces().await.unwrap();
    store.space().await.unwrap();
    store.forget_idempotency_keys(NOW).await.unwrap();
    store.overdue(None, later(3 * 24 * 3_600_000)).await.unwrap();
    store.reclaim_some().await.unwrap();
    store.clock_shown().await.unwrap();
    store.note_clock(NOW).await.unwrap();
    store
        .bring_forward(Duration::from_secs(1), NOW, None)
        .await
        .unwrap();
    let mut all = store.read(|connection| Ok(plans(connection)?)).await.unwrap();
    let writes = store.inner.writer.between(plans).await.unwrap();
    all.extend(writes);
    for (part, at_least) in [("deliveries", 4), ("events", 1), ("idempotency_keys", 1)] {
        let asked = all.iter().filter(|(sql, _)| sql.contains(part)).count();
        assert!(asked >= at_least, "{part}: {asked} of {all:#?}");
    }
    // These have nothing of what has ended: the first of an index is read.
    let of_what_waits = ["lanes", "forced_lanes", "leases", "lines"];
    for (sql, steps) in &all {
        for step in steps {
            let history = [
                "deliveries",
                "events",
                "attempts",
                "event_payloads",
                "idempotency_keys",
            ];
            let table = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            let index = step
                .split("INDEX ")
                .nth(1)
                .and_then(|rest| rest.split(' ').next());
            let goes_through = table.is_some_and(|table| history.contains(&table) || table.len() == 1)
                && !index.is_some_and(|index| of_what_waits.contains(&index));
            assert!(!goes_through, "{step} in {sql}");
        }
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let world = World::new();
    world
        .query(|connection| connection.pragma_update(None, "user_version", 99))
        .await;
    world.store.close().await;
    let error = refused(config(world.path()));
    assert!(
        matches!(
            error,
            OpenError::Newer {
                found: 99,
                known,
                ..
            } if known == crate::migrate::latest()
        ),
        "{error}"
    );
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (x)")
        .unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(refused(config(path.clone())), OpenError::Foreign { .. }));
    assert_eq!(std::fs::read(&path).unwrap(), before);

    std::fs::write(
        &path,
        "no database at all, but quite some text, more than the header of one has",
    )
    .unwrap();
    assert!(matches!(refused(config(path)), OpenError::Sqlite { .. }));
    let nowhere = directory.path().join("no such directory/heddle.db");
    assert!(matches!(refused(config(nowhere)), OpenError::File { .. }));
}

#[tokio::test]
async fn another_master_key_is_refused_in_plain_words() {
    let world = World::new();
    world.store.close().await;
    let error = refused(StoreConfig {
        master_key: [8; 32],
        ..config(world.path())
    });
    assert!(matches!(error, OpenError::WrongMasterKey { .. }));
    assert!(
        error
            .to_string()
            .starts_with("the master key is not the one that"),
        "{error}"
    );
}

#[test]
fn two_processes_may_make_the_same_database_at_once() {
    for _ in 0..10 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("heddle.db");
        let open = || Store::open(config(path.clone())).map(drop);
        std::thread::scope(|scope| {
            let threads = [scope.spawn(open), scope.spawn(open), scope.spawn(open)];
            for thread in threads {
                thread.join().unwrap().unwrap();
            }
        });
    }
}

#[tokio::test]
async fn a_key_that_another_process_makes_is_seen() {
    let world = World::new();
    let organisation = world.tenant("Academy").await.organisation;
    assert!(world.store.machine_key("mk_other", NOW).await.unwrap().is_none());
    let other = Store::open(config(world.path())).unwrap();
    let key = machine_key("mk_other", organisation);
    other.create_machine_key(key).await.unwrap();
    let seen = world.store.machine_key("mk_other", NOW).await.unwrap().unwrap();
    assert_eq!(
        (seen.secret.reveal(), seen.organisation),
        ("hunter2-of-the-machine", organisation)
    );
}

#[tokio::test]
async fn no_secret_is_in_the_files_in_clear_and_they_are_their_owners_alone() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let destination = world.destination(tenant).await;
    let key = machine_key("mk_visible", tenant.organisation);
    world.store.create_machine_key(key).await.unwrap();
    let opened = world
        .store
        .connection(tenant.organisation, destination.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(opened.secrets, destination.secrets);

    let mut seen = 0;
    for file in std::fs::read_dir(world.directory.path()).unwrap() {
        let file = file.unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!has("hunter2"), "{file:?}");
        assert!(!has("bearer_token"), "{file:?}");
        seen += usize::from(has("mk_visible"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(
                file.metadata().unwrap().permissions().mode() & 0o777,
                0o600,
                "{file:?}"
            );
        }
    }
    assert!(seen > 0, "the files that were looked at are the right ones");
}

#[tokio::test]
async fn the_schema_takes_the_words_of_the_core_and_no_others() {
    let world = World::new();
    let checks = world
        .query(|connection| {
            let sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'table'";
            let mut statement = connection.prepare(sql)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<Result<BTreeMap<String, String>, _>>()
        })
        .await;
    let words = |table: &str, column: &str| {
        let of = |start: String, end: char| {
            let parts = checks[table].split(&start).skip(1);
            parts
                .filter_map(move |part| part.split(end).next())
                .collect::<Vec<&str>>()
        };
        let lists = of(format!("{column} IN ("), ')');
        let listed = lists.iter().flat_map(|list| list.split(','));
        let single = of(format!("{column} = '"), '\'');
        let words = listed.map(|word| word.trim().trim_matches('\'')).chain(single);
        words.map(str::to_owned).collect::<BTreeSet<String>>()
    };
    let known = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<BTreeSet<String>>()
    };
    let statuses = known(&Status::ALL.map(Status::as_str));
    assert_eq!(words("events", "status"), statuses);
    assert_eq!(words("deliveries", "status"), statuses);
    assert_eq!(
        words("attempts", "outcome_code"),
        known(&OutcomeCode::ALL.map(OutcomeCode::as_str))
    );
    let reasons = known(&InactiveReason::ALL.map(InactiveReason::as_str));
    assert_eq!(words("connections", "inactive_reason"), reasons);
    let verdicts = known(&CheckStatus::ALL.map(CheckStatus::as_str));
    assert_eq!(words("connections", "check_status"), verdicts);
}

#[tokio::test]
async fn the_schema_refuses_a_delivery_outside_the_machine() {
    let world = World::new();
    let rule = world
        .rule(&world.destination(world.tenant("Academy").await).await)
        .await;
    world.accept(NOW, [&rule]).await;
    for wrong in [
        "status = 'lost'",
        "due_at = NULL",
        "status = 'processing'",
        "leased_until = 1",
        "status = 'completed', due_at = NULL",
        "cancel_requested = 1",
        "attempt_count = -1",
        "run_attempts = 1",
        "forced = 2",
        "due_at = 'soon'",
    ] {
        let sql = format!("UPDATE deliveries SET {wrong}");
        let result = world
            .query(move |connection| Ok(connection.execute(&sql, [])))
            .await;
        assert!(result.is_err(), "{wrong}");
    }
}
