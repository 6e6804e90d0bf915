//! Embed sessions: one good token at a time, a launch token that works once.

use heddle_core::id::SessionId;
use heddle_core::session::{LaunchPage, Role, SessionType};
use uuid::Uuid;

use super::*;

const DIGEST: [u8; 32] = [3; 32];

fn session(world: &World, tenant: Tenant, at: Timestamp) -> Session {
    Session {
        id: SessionId::new(at, world.random()),
        organisation: tenant.organisation,
        workspace: tenant.workspace,
        kind: SessionType::Resource,
        role: Role::Admin,
        external_user_id: Some("user 7".into()),
        resource: Some(Arc::new(ResourceKey {
            resource: "course".into(),
            resource_id: "7".into(),
        })),
        scopes: vec!["events.payload:read".into()],
        allowed_origins: vec!["https://app.example".into()],
        ttl_seconds: 300,
        token: Uuid::from_bytes([1; 16]),
        created_by: "mk_test".into(),
        created_at: at,
        expires_at: at.plus(Duration::from_secs(300)),
        revoked_at: None,
    }
}

fn launch(digest: [u8; 32], at: Timestamp) -> Launch {
    Launch {
        digest,
        page: LaunchPage::Rules,
        expires_at: at.plus(Duration::from_secs(30)),
    }
}

#[tokio::test]
async fn a_launch_token_works_once_and_in_its_time() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let (store, new) = (&world.store, session(&world, tenant, NOW));
    store
        .create_session(new.clone(), launch(DIGEST, NOW))
        .await
        .unwrap();
    assert_eq!(store.redeem_launch([4; 32], NOW).await, Ok(None));
    let redeemed = store.redeem_launch(DIGEST, later(29_999)).await.unwrap();
    assert_eq!(redeemed, Some((new, LaunchPage::Rules)));
    assert_eq!(store.redeem_launch(DIGEST, later(29_999)).await, Ok(None));

    let late = session(&world, tenant, NOW);
    store.create_session(late, launch([5; 32], NOW)).await.unwrap();
    assert_eq!(store.redeem_launch([5; 32], later(30_000)).await, Ok(None));
    assert_eq!(
        store.redeem_launch([5; 32], NOW).await,
        Ok(None),
        "a clock that is set back brings nothing back"
    );
    let revoked = session(&world, tenant, NOW);
    store
        .create_session(revoked.clone(), launch([6; 32], NOW))
        .await
        .unwrap();
    assert_eq!(store.revoke_session(revoked.id, NOW).await, Ok(true));
    assert_eq!(store.redeem_launch([6; 32], NOW).await, Ok(None));
}

#[tokio::test]
async fn a_refresh_replaces_the_token_and_a_revoked_session_stays_so() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let (store, new) = (&world.store, session(&world, tenant, NOW));
    store
        .create_session(new.clone(), launch(DIGEST, NOW))
        .await
        .unwrap();
    assert_eq!(store.session(new.id).await, Ok(Some(new.clone())));
    let token = Uuid::from_bytes([2; 16]);
    let refreshed = store.refresh_session(new.id, token, later(7)).await.unwrap();
    let expected = Session {
        token,
        expires_at: later(300_007),
        ..new.clone()
    };
    assert_eq!(refreshed, Some(expected.clone()));
    assert_eq!(store.session(new.id).await, Ok(Some(expected)), "seen at once");

    assert_eq!(store.revoke_session(new.id, later(8)).await, Ok(true));
    assert_eq!(store.revoke_session(new.id, later(9)).await, Ok(false));
    let found = store.session(new.id).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(later(8)));
    assert_eq!(store.refresh_session(new.id, token, NOW).await, Ok(None));
    assert_eq!(store.session(SessionId::new(NOW, [9; 10])).await, Ok(None));
}

#[tokio::test]
async fn sessions_are_listed_by_page_and_filter_and_only_within_reach() {
    let world = World::new();
    let (tenant, other) = (world.tenant("Academy").await, world.tenant("Other").await);
    let store = &world.store;
    let mut made = Vec::new();
    for n in 0..5u8 {
        let mut new = session(&world, tenant, later(u64::from(n)));
        if n == 4 {
            (new.kind, new.resource) = (SessionType::Workspace, None);
        }
        store
            .create_session(new.clone(), launch([n; 32], NOW))
            .await
            .unwrap();
        made.push(new.id);
    }
    store.revoke_session(made[0], NOW).await.unwrap();
    let all = SessionFilter {
        workspace: tenant.workspace,
        revoked: None,
        resource: None,
        resource_id: None,
    };
    let ids = async |organisation, filter: &SessionFilter, limit, cursor| {
        let page = Page { limit, cursor };
        let found = store
            .list_sessions(organisation, filter.clone(), page)
            .await
            .unwrap();
        let ids: Vec<SessionId> = found.records.iter().map(|session| session.id).collect();
        (ids, found.next_cursor)
    };
    let us = tenant.organisation;
    let (first, cursor) = ids(us, &all, 3, None).await;
    assert_eq!(first, [made[4], made[3], made[2]]);
    let (rest, end) = ids(us, &all, 3, cursor).await;
    assert_eq!((rest, end), (vec![made[1], made[0]], None));
    let of_course = SessionFilter {
        resource: Some("course".into()),
        resource_id: Some("7".into()),
        revoked: Some(false),
        ..all.clone()
    };
    assert_eq!(ids(us, &of_course, 9, None).await.0, [made[3], made[2], made[1]]);
    let revoked = SessionFilter {
        revoked: Some(true),
        ..all.clone()
    };
    assert_eq!(ids(us, &revoked, 9, None).await.0, [made[0]]);
    assert!(ids(other.organisation, &all, 9, None).await.0.is_empty());
}

#[tokio::test]
async fn sessions_that_ended_long_ago_are_cleared_away_by_new_ones() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let store = &world.store;
    let old = session(&world, tenant, NOW);
    store
        .create_session(old.clone(), launch([1; 32], NOW))
        .await
        .unwrap();
    let day = 24 * 3600 * 1000;
    for (n, at, there) in [(2, later(30 * day), true), (3, later(31 * day), false)] {
        let new = session(&world, tenant, at);
        store.create_session(new, launch([n; 32], at)).await.unwrap();
        assert_eq!(store.session(old.id).await.unwrap().is_some(), there, "{n}");
    }
}
