//! A database that the first version of Heddle made, with rows in every table, opened by this one.

use heddle_core::connection::InactiveReason;
use rusqlite::{Connection, params};

use super::*;
use crate::open::APPLICATION_ID;
use crate::seal::{Place, Sealer};

/// Writes what version 1 wrote: an organization, a rule, and an event with a delivery that waits.
pub(super) fn first_version(path: &std::path::Path) -> (OrganisationId, ConnectionId, RuleId, EventId) {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(include_str!("../../migrations/0001_first.sql"))
        .unwrap();
    connection
        .pragma_update(None, "application_id", APPLICATION_ID)
        .unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    let sealer = Sealer::new(MASTER_KEY);
    let organisation = OrganisationId::new(NOW, [1; 10]);
    let workspace = WorkspaceId::new(NOW, [2; 10]);
    let destination = ConnectionId::new(NOW, [3; 10]);
    let (rule, event, delivery) = (
        RuleId::new(NOW, [4; 10]),
        EventId::new(NOW, [5; 10]),
        DeliveryId::new(NOW, [6; 10]),
    );
    let place = Place {
        table: "connections",
        row: destination.as_bytes(),
    };
    let secrets = sealer
        .seal(place, br#"{"api_key":"hunter2-of-version-one"}"#)
        .unwrap();
    let insert = |sql: &str, values: &[&dyn rusqlite::ToSql]| connection.execute(sql, values).unwrap();
    insert(
        "INSERT INTO organisations VALUES (?1, 'Academy', ?2)",
        params![organisation.as_bytes(), NOW.0],
    );
    insert(
        "INSERT INTO workspaces VALUES (?1, ?2, 'Courses', NULL, ?3, ?3)",
        params![workspace.as_bytes(), organisation.as_bytes(), NOW.0],
    );
    insert(
        "INSERT INTO publishable_keys VALUES (?1, ?2, 'Default', 'mesh_pub_live_old_key', ?3)",
        params![[7_u8; 16], workspace.as_bytes(), NOW.0],
    );
    insert(
        "INSERT INTO connections VALUES (?1, ?2, 'hubspot', 'CRM', '{}', ?3, 'authentication_invalid', 'refused', 0,
             'mk_old', ?4, ?4)",
        params![destination.as_bytes(), workspace.as_bytes(), secrets, NOW.0],
    );
    insert(
        "INSERT INTO rules VALUES (?1, ?2, ?3, 'hubspot', 'lesson.*', NULL, NULL, '{\"action\":\"add_to_list\"}', 1, 0,
             'mk_old', ?4, ?4)",
        params![rule.as_bytes(), workspace.as_bytes(), destination.as_bytes(), NOW.0],
    );
    insert(
        "INSERT INTO events VALUES (?1, ?2, ?3, 'lesson.completed', 'global', NULL, 'mk_old', ?4, 'pending', 1, 0, 0, 0, 0,
             0, NULL, NULL)",
        params![event.as_bytes(), organisation.as_bytes(), workspace.as_bytes(), NOW.0],
    );
    insert(
        "INSERT INTO event_payloads VALUES (?1, '{\"n\": 1.10}')",
        params![event.as_bytes()],
    );
    insert(
        "INSERT INTO deliveries VALUES (?1, ?2, ?3, ?4, ?5, 'hubspot', 'pending', ?6, NULL, 0, 0, 0, 0, 0, NULL, ?6, NULL,
             NULL, NULL)",
        params![
            delivery.as_bytes(),
            event.as_bytes(),
            rule.as_bytes(),
            workspace.as_bytes(),
            destination.as_bytes(),
            NOW.0
        ],
    );
    (organisation, destination, rule, event)
}

#[tokio::test]
async fn a_populated_database_of_the_first_version_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("heddle.db");
    let (organisation, destination, rule, event) = first_version(&path);
    let store = Store::open(config(path.clone())).unwrap();

    let found = store
        .connection(organisation, destination)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.secrets["api_key"].reveal(), "hunter2-of-version-one");
    assert!(matches!(
        found.health,
        Health::Inactive {
            reason: InactiveReason::AuthenticationInvalid,
            ..
        }
    ));
    assert_eq!(found.check, None);
    let known = store.rule(organisation, rule).await.unwrap().unwrap();
    assert_eq!((known.action(), &known.mapping), ("add_to_list", &None));
    assert_eq!(
        store.default_mapping(organisation, destination).await.unwrap(),
        None
    );
    assert_eq!(store.catalog(organisation, destination).await.unwrap(), None);
    assert_eq!(
        store
            .event(organisation, event)
            .await
            .unwrap()
            .unwrap()
            .total_rules(),
        1
    );
    assert_eq!(store.lanes().await.unwrap(), [(destination, NOW)]);
    let key = store
        .publishable_key_by_text("mesh_pub_live_old_key")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((key.0.expires_at, key.2), (None, organisation));

    let active = Destination {
        health: Health::Active,
        updated_at: later(5),
        ..found
    };
    assert!(store.update_connection(organisation, active, None).await.unwrap());
    let request = ClaimRequest {
        connection: destination,
        limit: 5,
        forced_only: false,
    };
    let claims = store.claim(vec![request], later(6), later(60_000)).await.unwrap();
    assert_eq!(claims[0].claimed.len(), 1);
    store.close().await;
    assert!(
        Store::open(config(path)).is_ok(),
        "a second start finds nothing to do"
    );
}
