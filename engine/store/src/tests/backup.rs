//! Copies of a database that is in use, and what can be said of a file.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;

use super::upgrade::first_version;
use super::*;

fn bytes(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

fn is_incremental(path: &Path) -> bool {
    let connection = Connection::open(path).unwrap();
    let mode: i64 = connection
        .pragma_query_value(None, "auto_vacuum", |row| row.get(0))
        .unwrap();
    mode == 2
}

#[tokio::test]
async fn a_copy_has_what_was_committed_before_it_began_and_opens_as_a_store() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let before = world.accept(NOW, [&rule]).await;
    world.claim(destination.id, 1, NOW).await;
    let copy = world.directory.path().join("copy.db");
    let (from, to) = (world.path(), copy.clone());
    let copying = tokio::task::spawn_blocking(move || copy_database(&from, &to, |_| ()));
    let mut meanwhile = 0;
    while !copying.is_finished() {
        meanwhile += 1;
        world.accept(later(meanwhile), [&rule]).await;
    }
    assert_eq!(copying.await.unwrap().unwrap(), bytes(&copy));
    let after = world.accept(later(1_000_000), [&rule]).await;
    let mode = std::fs::metadata(&copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let found = inspect_database(&copy, Some(MASTER_KEY)).unwrap();
    assert_eq!(
        (found.faults.as_slice(), found.key_fits),
        ([].as_slice(), Some(true))
    );
    assert_eq!((found.workspaces, found.connections, found.rules), (1, 1, 1));
    assert!((1..=meanwhile + 1).contains(&found.events), "{found:?}");
    assert_eq!((found.unfinished, found.deliveries), (found.events, found.events));
    assert!(found.newest_event.is_some());

    let restored = world.directory.path().join("restored.db");
    restore_database(&copy, &restored).unwrap();
    let store = Store::open(config(restored)).unwrap();
    let us = tenant.organisation;
    assert!(store.event_payload(us, before.id).await.unwrap().is_some());
    assert!(store.event(us, after.id).await.unwrap().is_none());
    // What was under way then is tried again, under its id.
    assert_eq!(store.release_all_leases(later(5), schedule(), 1).await, Ok(1));
    let known = store.delivery(us, before.id, rule.id).await.unwrap().unwrap();
    assert_eq!(known.id, delivery(&world, tenant, before.id, &rule).await.id);
    assert_eq!(known.state.status, heddle_core::delivery::Status::Retrying);
}

#[tokio::test]
async fn a_copy_takes_nobodys_place_and_leaves_nothing_when_it_fails() {
    let world = World::new();
    one_rule(&world).await;
    let folder = world.directory.path();
    let taken = folder.join("taken.db");
    std::fs::write(&taken, "mine").unwrap();
    let refused = copy_database(&world.path(), &taken, |_| ());
    assert!(matches!(refused, Err(BackupError::Exists(_))), "{refused:?}");
    assert_eq!(std::fs::read(&taken).unwrap(), b"mine");
    let nowhere = copy_database(&world.path(), &folder.join("none/copy.db"), |_| ());
    assert!(matches!(nowhere, Err(BackupError::File { .. })), "{nowhere:?}");
    let missing = copy_database(&folder.join("none.db"), &folder.join("copy.db"), |_| ());
    assert!(matches!(missing, Err(BackupError::Missing(_))), "{missing:?}");
    let foreign = folder.join("foreign.db");
    Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE a (b)")
        .unwrap();
    let empty = folder.join("empty.db");
    std::fs::write(&empty, "").unwrap();
    for other in [&foreign, &empty, &taken] {
        let refused = copy_database(other, &folder.join("copy.db"), |_| ());
        assert!(matches!(refused, Err(BackupError::Open(_))), "{refused:?}");
        let refused = inspect_database(other, None);
        assert!(matches!(refused, Err(BackupError::Open(_))), "{refused:?}");
    }
    let names = std::fs::read_dir(folder).unwrap();
    let drafts: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("partial") || name.contains("copy"))
        .collect();
    assert_eq!(drafts, Vec::<String>::new());

    // Neither beside a database nor beside what one has left.
    let copy = folder.join("copy.db");
    copy_database(&world.path(), &copy, |_| ()).unwrap();
    let to = folder.join("to.db");
    std::fs::write(folder.join("to.db-wal"), "left").unwrap();
    let refused = restore_database(&copy, &to);
    assert!(matches!(refused, Err(BackupError::Exists(_))), "{refused:?}");
}

#[tokio::test]
async fn a_damaged_copy_and_another_key_are_found_out() {
    let world = World::new();
    let (_, _, rule) = one_rule(&world).await;
    for n in 0..300 {
        world.accept(later(n), [&rule]).await;
    }
    let copy = world.directory.path().join("copy.db");
    copy_database(&world.path(), &copy, |_| ()).unwrap();
    let other = inspect_database(&copy, Some([8; 32])).unwrap();
    assert_eq!((other.key_fits, other.faults.len()), (Some(false), 0));
    assert_eq!(inspect_database(&copy, None).unwrap().key_fits, None);
    let mut whole = std::fs::read(&copy).unwrap();
    let last = whole.len() - 4096;
    whole[last..].fill(0x5a);
    std::fs::write(&copy, whole).unwrap();
    let damaged = inspect_database(&copy, Some(MASTER_KEY)).unwrap();
    assert!(!damaged.faults.is_empty() && damaged.events == 0, "{damaged:?}");
}

#[tokio::test]
async fn an_older_database_gives_space_back_once_it_is_rewritten_or_copied() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("heddle.db");
    let (organisation, _, _, event) = first_version(&path);
    let found = inspect_database(&path, None).unwrap();
    assert_eq!(
        (found.schema_version, found.workspaces, found.unfinished),
        (1, 1, 1)
    );
    let store = Store::open(config(path.clone())).unwrap();
    assert!(!store.space().await.unwrap().incremental);
    assert_eq!(
        store.reclaim_some().await,
        Ok(RemovalStep { rows: 0, done: true })
    );
    store.close().await;
    let copy = directory.path().join("copy.db");
    copy_database(&path, &copy, |_| ()).unwrap();
    assert!(is_incremental(&copy) && !is_incremental(&path));
    let (before, after) = vacuum_database(&path).unwrap();
    assert!(is_incremental(&path) && before > 0 && after == bytes(&path));
    for file in [path, copy] {
        let store = Store::open(config(file)).unwrap();
        assert!(store.space().await.unwrap().incremental);
        assert!(store.event(organisation, event).await.unwrap().is_some());
    }
}
