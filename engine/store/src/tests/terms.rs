//! Event types and resources.

use super::*;

fn entry(world: &World, workspace: WorkspaceId, kind: TermKind, key: &str) -> Term {
    Term {
        id: TermId::new(NOW, world.random()),
        workspace,
        kind,
        key: key.into(),
        label: key.to_uppercase(),
        description: Some("Somebody finished a lesson".into()),
        active: true,
        created_by: Some("mk_test".into()),
        created_at: NOW,
        updated_at: NOW,
    }
}

#[tokio::test]
async fn a_workspace_begins_with_one_event_type_and_gets_more() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let types = |world: &World| {
        let store = world.store.clone();
        async move { store.terms(tenant.workspace, TermKind::EventType).await.unwrap() }
    };
    let first = types(&world).await;
    assert_eq!(
        first.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(),
        ["contact.created"]
    );
    assert_eq!((first[0].active, first[0].created_by.as_deref()), (true, None));
    for key in ["z.last", "a.first"] {
        let made = entry(&world, tenant.workspace, TermKind::EventType, key);
        world.store.create_term(made).await.unwrap();
    }
    let resource = entry(&world, tenant.workspace, TermKind::Resource, "a.first");
    world.store.create_term(resource.clone()).await.unwrap();
    let again = entry(&world, tenant.workspace, TermKind::EventType, "a.first");
    let refused = world.store.create_term(again).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    // The same id is no key that is taken: nobody's ids are twice the same.
    let keys: Vec<String> = types(&world).await.into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, ["a.first", "contact.created", "z.last"]);
    let resources = world
        .store
        .terms(tenant.workspace, TermKind::Resource)
        .await
        .unwrap();
    assert_eq!(resources, [resource]);
    // What a workspace began with can be deleted, too.
    let gone = world
        .store
        .delete_term(tenant.organisation, TermKind::EventType, first[0].id)
        .await;
    assert_eq!(gone, Ok(Some(first[0].clone())));
    assert_eq!(types(&world).await.len(), 2);
}

#[tokio::test]
async fn an_entry_is_found_within_reach_and_by_its_kind_only() {
    let world = World::new();
    let (tenant, stranger) = (world.tenant("Academy").await, world.tenant("Stranger").await);
    let made = entry(&world, tenant.workspace, TermKind::Resource, "course");
    world.store.create_term(made.clone()).await.unwrap();
    let elsewhere = Reach {
        workspaces: Some([world.workspace(tenant.organisation, "Other").await].into()),
        ..Reach::from(tenant.organisation)
    };
    let store = &world.store;
    for (reach, kind) in [
        (Reach::from(stranger.organisation), TermKind::Resource),
        (elsewhere, TermKind::Resource),
        (Reach::from(tenant.organisation), TermKind::EventType),
    ] {
        assert_eq!(store.term(reach.clone(), kind, made.id).await, Ok(None));
        let changed = Term {
            kind,
            label: "Stolen".into(),
            ..made.clone()
        };
        assert_eq!(store.update_term(reach.clone(), changed).await, Ok(false));
        assert_eq!(store.delete_term(reach, kind, made.id).await, Ok(None));
    }
    let changed = Term {
        label: "Course".into(),
        description: None,
        active: false,
        updated_at: later(1),
        ..made
    };
    assert_eq!(
        store.update_term(tenant.organisation, changed.clone()).await,
        Ok(true)
    );
    let read = store
        .term(tenant.organisation, TermKind::Resource, changed.id)
        .await;
    assert_eq!(read, Ok(Some(changed)));
}

#[tokio::test]
async fn a_catalog_has_a_thousand_entries_of_a_kind_and_no_more() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    for n in 0..1_000 {
        let made = entry(&world, tenant.workspace, TermKind::Resource, &format!("r{n}"));
        world.store.create_term(made).await.unwrap();
    }
    let one_more = entry(&world, tenant.workspace, TermKind::Resource, "more");
    let refused = world.store.create_term(one_more).await;
    assert!(
        matches!(refused, Err(StoreError::Full(text)) if text.contains("1000")),
        "{refused:?}"
    );
    let other = entry(&world, tenant.workspace, TermKind::EventType, "more");
    world.store.create_term(other).await.unwrap();
}
