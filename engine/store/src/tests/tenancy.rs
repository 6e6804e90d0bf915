//! Two organizations never see each other's rows, and a workspace's rules stay inside it.

use super::*;

#[tokio::test]
async fn no_verb_of_an_organisation_finds_the_rows_of_another() {
    let world = World::new();
    let (ours, theirs) = (world.tenant("Ours").await, world.tenant("Theirs").await);
    let destination = world.destination(theirs).await;
    let rule = world.rule(&destination).await;
    let event = world.accept(NOW, [&rule]).await;
    let (store, us, them) = (&world.store, ours.organisation, theirs.organisation);

    assert!(store.workspace(us, theirs.workspace).await.unwrap().is_none());
    assert_eq!(store.list_workspaces(us).await.unwrap().len(), 1);
    let renamed = store
        .update_workspace(us, theirs.workspace, "Mine".into(), None, NOW)
        .await
        .unwrap();
    assert!(renamed.is_none());
    assert!(
        store
            .publishable_key_of(us, theirs.workspace, NOW)
            .await
            .unwrap()
            .is_none()
    );

    let key = PublishableKey {
        key: "mesh_pub_live_a_b".into(),
        id: PublishableKeyId::new(NOW, world.random()),
        ..store
            .publishable_key_of(them, theirs.workspace, NOW)
            .await
            .unwrap()
            .unwrap()
    };
    let (theirs_still, of_theirs) = (key.clone(), key.workspace);
    assert!(
        store
            .list_publishable_keys(us, of_theirs)
            .await
            .unwrap()
            .is_empty()
    );
    let added = store
        .add_publishable_key(us, key, Some(std::time::Duration::ZERO))
        .await;
    assert_eq!(added, Err(StoreError::NotFound("workspace")));
    store
        .add_publishable_key(them, theirs_still.clone(), None)
        .await
        .unwrap();
    let deleted = store.delete_publishable_key(us, of_theirs, theirs_still.id).await;
    assert_eq!(deleted, Ok(None));
    assert_eq!(
        store.list_publishable_keys(them, of_theirs).await.unwrap().len(),
        2
    );

    assert!(store.connection(us, destination.id).await.unwrap().is_none());
    assert!(store.list_connections(us, None).await.unwrap().is_empty());
    assert!(
        store
            .list_connections(us, Some(theirs.workspace))
            .await
            .unwrap()
            .is_empty()
    );
    let stolen = Destination {
        name: "Mine".into(),
        ..destination.clone()
    };
    assert!(!store.update_connection(us, stolen, None).await.unwrap());
    let deletion = store
        .delete_connection(us, destination.id, true, NOW)
        .await
        .unwrap();
    assert_eq!(deletion, ConnectionDeletion::NotFound);

    assert!(store.rule(us, rule.id).await.unwrap().is_none());
    assert!(
        store
            .list_rules(us, RuleFilter::default())
            .await
            .unwrap()
            .is_empty()
    );
    let filter = RuleFilter {
        workspace: Some(theirs.workspace),
        ..RuleFilter::default()
    };
    assert!(store.list_rules(us, filter).await.unwrap().is_empty());
    assert!(
        !store
            .update_rule(
                us,
                Rule {
                    active: false,
                    ..rule.clone()
                }
            )
            .await
            .unwrap()
    );
    assert!(store.delete_rule(us, rule.id, NOW).await.unwrap().is_none());

    for workspace in [None, Some(theirs.workspace)] {
        let filter = EventFilter {
            workspace,
            ..EventFilter::default()
        };
        assert!(
            store
                .list_events(us, filter, first_page(9))
                .await
                .unwrap()
                .records
                .is_empty()
        );
    }
    assert!(store.event(us, event.id).await.unwrap().is_none());
    assert!(store.event_payload(us, event.id).await.unwrap().is_none());
    assert!(store.delivery(us, event.id, rule.id).await.unwrap().is_none());
    assert_eq!(
        store.retry_delivery(us, event.id, rule.id, NOW).await,
        Err(RetryError::NotFound)
    );
    assert_eq!(
        store.cancel_delivery(us, event.id, rule.id, NOW).await,
        Err(CancelError::NotFound)
    );
    assert!(store.cancel_event(us, event.id, NOW).await.unwrap().is_none());

    // And all of it is there, untouched.
    let workspace = store.workspace(them, theirs.workspace).await.unwrap().unwrap();
    assert_eq!(workspace.name, "Theirs");
    let found = store.connection(them, destination.id).await.unwrap().unwrap();
    assert_eq!((found.name, found.health), (destination.name, destination.health));
    assert_eq!(store.rule(them, rule.id).await.unwrap(), Some(rule));
    assert_eq!(store.event(them, event.id).await.unwrap(), Some(event));
}

#[tokio::test]
async fn a_rule_cannot_lead_to_a_connection_of_another_workspace_or_type() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let other = Tenant {
        workspace: world.workspace(tenant.organisation, "Second").await,
        ..tenant
    };
    let (here, there) = (world.destination(tenant).await, world.destination(other).await);
    let rule = world.rule(&here).await;
    for wrong in [
        Rule {
            connection: there.id,
            ..rule.clone()
        },
        Rule {
            kind: "slack".into(),
            ..rule.clone()
        },
        Rule {
            connection: ConnectionId::from_bytes([0; 16]),
            ..rule.clone()
        },
    ] {
        let made = Rule {
            id: RuleId::new(NOW, world.random()),
            ..wrong.clone()
        };
        let refusal = world.store.create_rule(made).await;
        assert!(matches!(refusal, Err(StoreError::NotFound(_))), "{refusal:?}");
        let refusal = world.store.update_rule(tenant.organisation, wrong).await;
        assert!(matches!(refusal, Err(StoreError::NotFound(_))), "{refusal:?}");
    }
    assert_eq!(
        super::rules_of(&world.store, tenant.workspace).await,
        [super::matched_by(&rule)]
    );
}

#[tokio::test]
async fn an_event_makes_no_delivery_by_a_rule_of_another_workspace() {
    let world = World::new();
    let (ours, theirs) = (world.tenant("Ours").await, world.tenant("Theirs").await);
    let rule = world.rule(&world.destination(theirs).await).await;
    let acceptance = world.acceptance(world.event(ours.workspace, NOW), [&rule]);
    let record = world
        .store
        .accept_events(vec![acceptance])
        .await
        .unwrap()
        .remove(0);
    assert_eq!(record.total_rules(), 0);
    let nowhere = world.acceptance(world.event(WorkspaceId::from_bytes([9; 16]), NOW), []);
    let refusal = world.store.accept_events(vec![nowhere]).await;
    assert_eq!(refusal, Err(StoreError::NotFound("workspace")));
}

#[tokio::test]
async fn a_workspace_has_a_name_of_its_own_in_its_organisation() {
    let world = World::new();
    let (ours, theirs) = (world.tenant("Ours").await, world.tenant("Theirs").await);
    let second = world.workspace(ours.organisation, "Second").await;
    let rename = |organisation, id, name: &str| {
        world
            .store
            .update_workspace(organisation, id, name.into(), Some("Words".into()), later(5))
    };
    let taken = rename(ours.organisation, second, "Ours").await;
    assert_eq!(
        taken,
        Err(StoreError::Conflict("a workspace of this name exists already"))
    );
    let renamed = rename(theirs.organisation, theirs.workspace, "Ours")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((renamed.name.as_str(), renamed.updated_at), ("Ours", later(5)));
    assert_eq!(renamed.description.as_deref(), Some("Words"));
}

#[tokio::test]
async fn a_publishable_key_leads_to_its_workspace() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let key = world
        .store
        .publishable_key_of(tenant.organisation, tenant.workspace, NOW)
        .await
        .unwrap()
        .unwrap();
    for _ in 0..2 {
        let found = world.store.publishable_key_by_text(&key.key).await.unwrap();
        assert_eq!(found, Some((key.clone(), tenant.workspace, tenant.organisation)));
    }
    assert_eq!(
        world
            .store
            .publishable_key_by_text("mesh_pub_live_x_y")
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn the_first_organisation_is_the_default_one() {
    let world = World::new();
    assert_eq!(world.store.default_organisation().await.unwrap(), None);
    let first = world.tenant("First").await.organisation;
    world.tenant("Second").await;
    assert_eq!(world.store.default_organisation().await.unwrap(), Some(first));
    assert!(world.store.organisation_exists(first).await.unwrap());
    assert!(
        !world
            .store
            .organisation_exists(OrganisationId::from_bytes([0; 16]))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_connection_has_a_name_of_its_own_in_its_workspace() {
    let world = World::new();
    let (ours, theirs) = (world.tenant("Ours").await, world.tenant("Theirs").await);
    let (first, second) = (world.destination(ours).await, world.destination(ours).await);
    let taken = Err(StoreError::Conflict("a connection of this name exists already"));
    let mut renamed = second.clone();
    renamed.name.clone_from(&first.name);
    assert_eq!(
        world
            .store
            .update_connection(ours.organisation, renamed.clone(), None)
            .await,
        taken
    );
    renamed.id = ConnectionId::new(NOW, world.random());
    assert_eq!(
        world.store.create_connection(renamed.clone()).await,
        taken.map(drop)
    );
    renamed.workspace = theirs.workspace;
    world.store.create_connection(renamed).await.unwrap();
}
