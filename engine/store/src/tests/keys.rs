//! Machine keys: what they may is kept, their end is seen.

use super::*;

#[tokio::test]
async fn what_a_key_may_is_kept_with_it() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let key = MachineKey {
        permissions: Some(vec!["events:emit".into(), "rules:read".into()]),
        workspaces: Some([tenant.workspace].into()),
        created_by: Some("mk_first".into()),
        expires_at: Some(later(5)),
        ..machine_key("mk_narrow", tenant.organisation)
    };
    world.store.create_machine_key(key.clone()).await.unwrap();
    let found = world.store.machine_key("mk_narrow", NOW).await.unwrap().unwrap();
    assert_eq!(found, key);
    assert_eq!(
        world.store.list_machine_keys(tenant.organisation).await.unwrap(),
        [key]
    );
    let other = world.tenant("Other").await.organisation;
    assert!(world.store.list_machine_keys(other).await.unwrap().is_empty());
    let stolen = world
        .store
        .revoke_machine_key(other, "mk_narrow".into(), NOW)
        .await;
    assert_eq!(stolen, Ok(None));
}

#[tokio::test]
async fn a_revoked_key_is_seen_at_once_here_and_within_a_second_by_another_process() {
    let world = World::new();
    let organisation = world.tenant("Academy").await.organisation;
    let other = Store::open(config(world.path())).unwrap();
    for name in ["mk_one", "mk_two"] {
        let key = machine_key(name, organisation);
        world.store.create_machine_key(key).await.unwrap();
        assert!(world.store.machine_key(name, NOW).await.unwrap().is_some());
    }
    let revoked_at = async |name: &str, now| {
        let key = world.store.machine_key(name, now).await.unwrap();
        key.unwrap().revoked_at
    };
    let here = world
        .store
        .revoke_machine_key(organisation, "mk_one".into(), NOW)
        .await;
    assert_eq!(here, Ok(Some(true)));
    assert_eq!(revoked_at("mk_one", NOW).await, Some(NOW));
    let again = world
        .store
        .revoke_machine_key(organisation, "mk_one".into(), later(9))
        .await;
    assert_eq!(again, Ok(Some(false)));
    assert_eq!(
        revoked_at("mk_one", NOW).await,
        Some(NOW),
        "the first time counts"
    );

    other
        .revoke_machine_key(organisation, "mk_two".into(), NOW)
        .await
        .unwrap();
    assert_eq!(revoked_at("mk_two", later(999)).await, None, "still from memory");
    assert_eq!(revoked_at("mk_two", later(1000)).await, Some(NOW));
    assert_eq!(
        revoked_at("mk_two", NOW.minus(Duration::from_secs(60))).await,
        Some(NOW),
        "a clock that was set back brings nothing back"
    );
}

#[tokio::test]
async fn there_are_a_thousand_keys_at_most_and_one_that_has_ended_makes_room() {
    let world = World::new();
    let organisation = world.tenant("Academy").await.organisation;
    let make = async |name: &str, at, expires_at| {
        let key = MachineKey {
            created_at: at,
            expires_at,
            ..machine_key(name, organisation)
        };
        world.store.create_machine_key(key).await
    };
    for n in 0..1_000_u32 {
        let ends = (n == 7 || n == 8).then(|| later(u64::from(100 - n)));
        make(&format!("mk_{n}"), NOW, ends).await.unwrap();
    }
    let refused = make("mk_more", NOW, None).await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    make("mk_more", later(95), None).await.unwrap();
    let known = async |name: &str| world.store.machine_key(name, later(95)).await.unwrap().is_some();
    assert!(
        known("mk_7").await && !known("mk_8").await,
        "the first that ended"
    );
    let other = world.tenant("Other").await.organisation;
    world
        .store
        .create_machine_key(machine_key("mk_other", other))
        .await
        .unwrap();
}
