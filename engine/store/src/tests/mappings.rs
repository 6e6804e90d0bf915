//! Default mappings, and what is kept of catalogs and choices.

use heddle_core::catalog::Catalog;
use heddle_core::connection::{Check, CheckStatus, InactiveReason};
use heddle_core::id::{CatalogId, MappingId};

use super::*;

fn mapping(world: &World, connection: ConnectionId, at: Timestamp) -> DefaultMapping {
    DefaultMapping {
        connection,
        id: MappingId::new(at, world.random()),
        version: 0,
        name: "Leads".into(),
        schema: r#"{"schema_version":1,"fields":[]}"#.into(),
        catalog_version: Some("c1".into()),
        created_by: "mk_test".into(),
        created_at: at,
        updated_at: at,
    }
}

fn catalog(world: &World, connection: ConnectionId, key: &str, at: Timestamp) -> CatalogRecord {
    let catalog = Catalog::read(&json!({"fields": [{"key": key, "type": "string"}]}).to_string()).unwrap();
    CatalogRecord {
        id: CatalogId::new(at, world.random()),
        connection,
        version: catalog.version(),
        catalog,
        created_by: "mk_test".into(),
        created_at: at,
        updated_at: at,
        refreshed_at: at,
    }
}

fn key(search: &str) -> ChoicesKey {
    ChoicesKey {
        action: "add_to_list".into(),
        input: "id".into(),
        search: search.into(),
        cursor: String::new(),
    }
}

fn page(at: Timestamp) -> ChoicesRecord {
    ChoicesRecord {
        page: r#"{"choices":[]}"#.into(),
        refreshed_at: at,
    }
}

#[tokio::test]
async fn versions_count_up_from_the_generated_one_and_an_unexpected_one_changes_nothing() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let id = world.destination(tenant).await.id;
    let put = |at, expected| {
        let mapping = mapping(&world, id, at);
        world
            .store
            .put_default_mapping(tenant.organisation, mapping, expected)
    };
    assert_eq!(put(NOW, Some(2)).await.unwrap(), MappingWritten::OtherVersion(1));
    let MappingWritten::Written(first) = put(NOW, Some(1)).await.unwrap() else {
        panic!("the generated mapping is version 1")
    };
    assert_eq!((first.version, first.created_at), (2, NOW));
    assert_eq!(
        put(later(1), Some(1)).await.unwrap(),
        MappingWritten::OtherVersion(2)
    );
    let MappingWritten::Written(second) = put(later(2), None).await.unwrap() else {
        panic!("no version was expected")
    };
    assert_eq!(
        (second.version, second.created_at, second.updated_at),
        (3, NOW, later(2))
    );
    assert_ne!(second.id, first.id);
    let stored = world
        .store
        .default_mapping(tenant.organisation, id)
        .await
        .unwrap();
    assert_eq!(stored, Some(second));
}

#[tokio::test]
async fn of_writers_that_expect_the_same_version_one_wins() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let id = world.destination(tenant).await.id;
    let writers = (0..10).map(|_| {
        let mapping = mapping(&world, id, NOW);
        world
            .store
            .put_default_mapping(tenant.organisation, mapping, Some(1))
    });
    let mut won = 0;
    for writer in futures_of(writers).await {
        match writer {
            MappingWritten::Written(_) => won += 1,
            MappingWritten::OtherVersion(version) => assert_eq!(version, 2),
            MappingWritten::NotFound => panic!("it is there"),
        }
    }
    assert_eq!(won, 1);
}

/// All at once.
async fn futures_of<F>(writers: impl Iterator<Item = F>) -> Vec<MappingWritten>
where
    F: Future<Output = Result<MappingWritten, StoreError>>,
{
    let mut waiting: Vec<_> = writers.map(Box::pin).collect();
    let mut ended = Vec::new();
    std::future::poll_fn(|cx| {
        waiting.retain_mut(|writer| match writer.as_mut().poll(cx) {
            std::task::Poll::Ready(written) => {
                ended.push(written.unwrap());
                false
            }
            std::task::Poll::Pending => true,
        });
        if waiting.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    ended
}

#[tokio::test]
async fn a_changed_mapping_or_catalog_is_seen_by_the_next_delivery() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let id = world.destination(tenant).await.id;
    let before = world.store.connection_for_delivery(id).await.unwrap().unwrap();
    assert_eq!(
        world.store.mapping_material(id).await.unwrap(),
        MappingMaterial::default()
    );

    let stored = mapping(&world, id, NOW);
    world
        .store
        .put_default_mapping(tenant.organisation, stored.clone(), None)
        .await
        .unwrap();
    let between = world.store.connection_for_delivery(id).await.unwrap().unwrap();
    assert!(
        !Arc::ptr_eq(&before, &between),
        "who prepared the connection must prepare it anew"
    );

    let learned = catalog(&world, id, "email", NOW);
    world.store.put_catalog(learned.clone(), NOW).await.unwrap();
    let after = world.store.connection_for_delivery(id).await.unwrap().unwrap();
    assert!(!Arc::ptr_eq(&between, &after));
    let material = world.store.mapping_material(id).await.unwrap();
    assert_eq!(
        (material.schema, material.catalog),
        (Some(stored.schema), Some(learned.catalog))
    );
}

#[tokio::test]
async fn a_catalog_keeps_its_identity_and_says_when_it_changed() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let id = world.destination(tenant).await.id;
    let first = world
        .store
        .put_catalog(catalog(&world, id, "email", NOW), NOW)
        .await
        .unwrap();
    let same = world
        .store
        .put_catalog(catalog(&world, id, "email", later(5)), NOW)
        .await
        .unwrap();
    assert_eq!(
        (same.id, same.updated_at, same.refreshed_at),
        (first.id, NOW, later(5))
    );
    let other = world
        .store
        .put_catalog(catalog(&world, id, "plan", later(9)), NOW)
        .await
        .unwrap();
    assert_eq!(
        (other.id, other.created_at, other.updated_at),
        (first.id, NOW, later(9))
    );
    assert_ne!(other.version, first.version);
    assert_eq!(
        world.store.catalog(tenant.organisation, id).await.unwrap(),
        Some(other)
    );
}

#[tokio::test]
async fn what_was_learned_goes_with_changed_settings_and_stays_with_a_new_name() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let destination = world.destination(tenant).await;
    let (id, organisation) = (destination.id, tenant.organisation);
    world
        .store
        .put_catalog(catalog(&world, id, "email", NOW), NOW)
        .await
        .unwrap();
    world
        .store
        .put_choices(id, key(""), page(NOW), NOW)
        .await
        .unwrap();
    world
        .store
        .put_default_mapping(organisation, mapping(&world, id, NOW), None)
        .await
        .unwrap();

    let renamed = Destination {
        name: "Other".into(),
        updated_at: later(1),
        ..destination
    };
    assert!(
        world
            .store
            .update_connection(organisation, renamed.clone(), None)
            .await
            .unwrap()
    );
    assert!(world.store.catalog(organisation, id).await.unwrap().is_some());
    assert!(
        world
            .store
            .choices(organisation, id, key(""))
            .await
            .unwrap()
            .is_some()
    );

    let mut changed = Destination {
        updated_at: later(2),
        ..renamed
    };
    changed
        .secrets
        .insert("bearer_token".into(), Secret::new("another-account-s-token"));
    assert!(
        world
            .store
            .update_connection(organisation, changed, None)
            .await
            .unwrap()
    );
    assert!(world.store.catalog(organisation, id).await.unwrap().is_none());
    assert!(
        world
            .store
            .choices(organisation, id, key(""))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        world
            .store
            .default_mapping(organisation, id)
            .await
            .unwrap()
            .is_some()
    );

    // An answer to a question from before the change.
    world
        .store
        .put_catalog(catalog(&world, id, "email", later(3)), later(1))
        .await
        .unwrap();
    world
        .store
        .put_choices(id, key(""), page(later(3)), later(1))
        .await
        .unwrap();
    assert!(world.store.catalog(organisation, id).await.unwrap().is_none());
    assert!(
        world
            .store
            .choices(organisation, id, key(""))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn the_oldest_pages_of_choices_make_room() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let id = world.destination(tenant).await.id;
    for number in 0..205_u64 {
        let key = key(&format!("search {number}"));
        world
            .store
            .put_choices(id, key, page(later(number)), NOW)
            .await
            .unwrap();
    }
    let kept = world
        .query(|connection| {
            connection.query_row("SELECT count(*) FROM choices", [], |row| row.get::<_, i64>(0))
        })
        .await;
    assert_eq!(kept, 200);
    let find = |number: u64| {
        world
            .store
            .choices(tenant.organisation, id, key(&format!("search {number}")))
    };
    assert!(find(4).await.unwrap().is_none());
    assert_eq!(find(204).await.unwrap(), Some(page(later(204))));
}

#[tokio::test]
async fn a_deleted_connection_takes_its_mapping_and_what_was_learned_with_it() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let id = world.destination(tenant).await.id;
    world
        .store
        .put_catalog(catalog(&world, id, "email", NOW), NOW)
        .await
        .unwrap();
    world
        .store
        .put_choices(id, key(""), page(NOW), NOW)
        .await
        .unwrap();
    let stored = mapping(&world, id, NOW);
    world
        .store
        .put_default_mapping(tenant.organisation, stored, None)
        .await
        .unwrap();
    let deletion = world
        .store
        .delete_connection(tenant.organisation, id, false, NOW)
        .await
        .unwrap();
    assert_eq!(deletion, ConnectionDeletion::Deleted);
    let left = world
        .query(|connection| {
            let sql = "SELECT (SELECT count(*) FROM mappings) + (SELECT count(*) FROM catalogs)
                           + (SELECT count(*) FROM choices)";
            connection.query_row(sql, [], |row| row.get::<_, i64>(0))
        })
        .await;
    assert_eq!(left, 0);
}

#[tokio::test]
async fn another_organisation_finds_and_writes_none_of_it() {
    let world = World::new();
    let (ours, theirs) = (world.tenant("Ours").await, world.tenant("Theirs").await);
    let id = world.destination(theirs).await.id;
    let (us, them) = (ours.organisation, theirs.organisation);
    world
        .store
        .put_catalog(catalog(&world, id, "email", NOW), NOW)
        .await
        .unwrap();
    world
        .store
        .put_choices(id, key(""), page(NOW), NOW)
        .await
        .unwrap();
    let stored = mapping(&world, id, NOW);
    world
        .store
        .put_default_mapping(them, stored.clone(), None)
        .await
        .unwrap();
    assert!(world.store.default_mapping(us, id).await.unwrap().is_none());
    assert!(world.store.catalog(us, id).await.unwrap().is_none());
    assert!(world.store.choices(us, id, key("")).await.unwrap().is_none());
    let written = world.store.put_default_mapping(us, stored, None).await.unwrap();
    assert_eq!(written, MappingWritten::NotFound);
    let check = Check {
        status: CheckStatus::Passed,
        message: "ok".into(),
        account: None,
        checked_at: NOW,
    };
    assert!(
        !world
            .store
            .record_check(us, id, NOW, check, Health::Active)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_verdict_is_kept_unless_the_connection_changed_meanwhile() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let id = world.destination(tenant).await.id;
    let check = |status, at| Check {
        status,
        message: "the token is revoked".into(),
        account: Some("Academy".into()),
        checked_at: at,
    };
    let refused = Health::Inactive {
        reason: InactiveReason::AuthenticationInvalid,
        detail: "the token is revoked".into(),
    };
    let record = |as_of, check, health| {
        world
            .store
            .record_check(tenant.organisation, id, as_of, check, health)
    };
    let first = check(CheckStatus::Passed, later(5));
    assert!(record(NOW, first.clone(), Health::Active).await.unwrap());
    let found = world
        .store
        .connection(tenant.organisation, id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.check, found.updated_at), (Some(first), NOW));

    let second = check(CheckStatus::Refused, later(9));
    assert!(record(NOW, second.clone(), refused.clone()).await.unwrap());
    let found = world
        .store
        .connection(tenant.organisation, id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (&found.check, found.updated_at, &found.health),
        (&Some(second), later(9), &refused)
    );

    assert!(
        !record(NOW, check(CheckStatus::Passed, later(20)), Health::Active)
            .await
            .unwrap()
    );
}
