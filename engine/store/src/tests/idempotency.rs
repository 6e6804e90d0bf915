//! An event that is sent again under its key is accepted once.

use super::*;

fn once(key: u8, body: u8) -> Option<Once> {
    Some(Once {
        key: [key; 32],
        fingerprint: [body; 32],
    })
}

const DAY: u64 = 24 * 60 * 60 * 1000;

impl World {
    fn emission(&self, rule: &Rule, at: Timestamp, once: Option<Once>) -> Emission {
        let acceptance = self.acceptance(self.event(rule.workspace, at), [rule]);
        Emission { acceptance, once }
    }

    async fn emit(&self, rule: &Rule, at: Timestamp, once: Option<Once>) -> Accepted {
        let emission = self.emission(rule, at, once);
        self.store
            .accept(vec![emission])
            .await
            .unwrap()
            .accepted
            .remove(0)
    }

    async fn rows(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.query(move |connection| connection.query_row(&sql, [], |row| row.get(0)))
            .await
    }
}

fn new(accepted: Accepted) -> EventRecord {
    match accepted {
        Accepted::New(record) => record,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_same_key_and_body_is_the_first_event_and_another_body_is_refused() {
    let world = World::new();
    let (_, _, rule) = one_rule(&world).await;
    let first = new(world.emit(&rule, NOW, once(1, 1)).await);
    let again = world.emit(&rule, later(5_000), once(1, 1)).await;
    assert_eq!(again, Accepted::Replayed(first.clone()));
    assert_eq!(
        world.emit(&rule, later(5_000), once(1, 2)).await,
        Accepted::KeyTaken
    );
    let other = new(world.emit(&rule, later(5_000), once(2, 1)).await);
    assert_ne!(other.id, first.id);
    let keyless = new(world.emit(&rule, later(5_000), None).await);
    assert_ne!(keyless.id, first.id);
    assert_eq!(
        (world.rows("events").await, world.rows("deliveries").await),
        (3, 3)
    );
}

#[tokio::test]
async fn a_key_is_its_workspaces_own() {
    let world = World::new();
    let (tenant, _, rule) = one_rule(&world).await;
    let neighbor = Tenant {
        workspace: world.workspace(tenant.organisation, "Neighbor").await,
        ..tenant
    };
    let other = world.rule(&world.destination(neighbor).await).await;
    let first = new(world.emit(&rule, NOW, once(1, 1)).await);
    let second = new(world.emit(&other, NOW, once(1, 1)).await);
    assert_ne!(first.id, second.id);
}

#[tokio::test]
async fn of_two_at_once_one_is_accepted_and_in_one_bulk_too() {
    let world = Arc::new(World::new());
    let (_, _, rule) = one_rule(&world).await;
    let emissions: Vec<_> = (0..16).map(|_| world.emission(&rule, NOW, once(1, 1))).collect();
    let tasks: Vec<_> = emissions
        .into_iter()
        .map(|emission| {
            let store = world.store.clone();
            tokio::spawn(async move { store.accept(vec![emission]).await.unwrap().accepted.remove(0) })
        })
        .collect();
    let mut fresh = 0;
    for task in tasks {
        match task.await.unwrap() {
            Accepted::New(_) => fresh += 1,
            Accepted::Replayed(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((fresh, world.rows("events").await), (1, 1));
    let bulk = vec![
        world.emission(&rule, NOW, once(2, 1)),
        world.emission(&rule, NOW, once(2, 1)),
        world.emission(&rule, NOW, once(2, 2)),
    ];
    let accepted = world.store.accept(bulk).await.unwrap().accepted;
    assert!(
        matches!(
            accepted.as_slice(),
            [Accepted::New(a), Accepted::Replayed(b), Accepted::KeyTaken] if a.id == b.id
        ),
        "{accepted:?}"
    );
}

#[tokio::test]
async fn a_key_holds_for_a_day_and_is_then_forgotten() {
    let world = World::new();
    let (_, _, rule) = one_rule(&world).await;
    let first = new(world.emit(&rule, NOW, once(1, 1)).await);
    let within = world.emit(&rule, later(DAY - 1), once(1, 1)).await;
    assert!(matches!(within, Accepted::Replayed(known) if known.id == first.id));
    assert_eq!(world.store.forget_idempotency_keys(later(DAY - 1)).await, Ok(0));
    let second = new(world.emit(&rule, later(DAY), once(1, 2)).await);
    assert_ne!(second.id, first.id);
    assert_eq!(
        world.store.forget_idempotency_keys(later(DAY + 1)).await,
        Ok(0),
        "it was taken over"
    );
    let many = (0..1_100_u32).map(|n| {
        let mut key = [7; 32];
        key[..4].copy_from_slice(&n.to_be_bytes());
        let once = Once {
            key,
            fingerprint: [0; 32],
        };
        world.emission(&rule, NOW, Some(once))
    });
    world.store.accept(many.collect()).await.unwrap();
    assert_eq!(world.store.forget_idempotency_keys(later(DAY)).await, Ok(1_100));
    assert_eq!(world.rows("idempotency_keys").await, 1);
}

#[tokio::test]
async fn a_command_that_is_undone_leaves_no_key() {
    let world = World::new();
    let (_, _, rule) = one_rule(&world).await;
    let good = world.emission(&rule, NOW, once(1, 1));
    let mut nowhere = world.emission(&rule, NOW, None);
    nowhere.acceptance.event.workspace = WorkspaceId::new(NOW, [9; 10]);
    let refused = world.store.accept(vec![good.clone(), nowhere]).await;
    assert_eq!(refused.err(), Some(StoreError::NotFound("workspace")));
    assert_eq!(world.rows("idempotency_keys").await, 0);
    new(world.store.accept(vec![good]).await.unwrap().accepted.remove(0));
}
