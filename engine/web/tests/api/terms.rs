//! Event types and resources.

use serde_json::{Value, json};

use crate::world::{World, text};

#[tokio::test]
async fn both_catalogs_are_bare_arrays_that_can_be_written() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    for (path, member, there) in [("event-types", "event_type", 1), ("resources", "resource", 0)] {
        let path = format!("/api/v1/workspaces/{workspace}/{path}");
        let list = world.get(&path).await.expect(200);
        assert_eq!(list.as_array().map(Vec::len), Some(there), "{list}");
        let made = world
            .post(&path, json!({"key": "course.sold", "description": "d"}))
            .await
            .expect(201);
        let made = &made[member];
        assert_eq!(
            (
                &made["key"],
                &made["label"],
                &made["description"],
                &made["active"]
            ),
            (
                &json!("course.sold"),
                &json!("course.sold"),
                &json!("d"),
                &json!(true)
            )
        );
        assert_eq!(
            world
                .post(&path, json!({"key": "course.sold"}))
                .await
                .refused(409),
            "key_taken"
        );
        let one = format!("{path}/{}", text(&made["id"]));
        world.clock.advance(1_000);
        let changed = world
            .put(&one, json!({"label": "Sold", "active": false}))
            .await
            .expect(200);
        assert_eq!(
            (&changed["label"], &changed["description"], &changed["active"]),
            (&json!("Sold"), &json!("d"), &json!(false))
        );
        assert_ne!(changed["updated_at"], changed["created_at"]);
        let bare = world
            .put(&one, json!({"description": null, "key": "course.sold"}))
            .await;
        assert_eq!(bare.expect(200)["description"], Value::Null);
        let list = world.get(&path).await.expect(200);
        let entry = list.as_array().unwrap().last().unwrap();
        let keys: Vec<&String> = entry.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            [
                "id",
                "key",
                "label",
                "description",
                "active",
                "created_by",
                "created_at",
                "updated_at"
            ]
        );
        let gone = world.delete(&one).await.expect(200);
        assert_eq!(gone["key"], json!("course.sold"));
        assert_eq!(world.delete(&one).await.refused(404), "not_found");
        assert_eq!(world.put(&one, json!({})).await.refused(404), "not_found");
    }
}

#[tokio::test]
async fn a_workspace_begins_with_contact_created_and_takes_events_that_are_not_in_it() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let path = format!("/api/v1/workspaces/{workspace}/event-types");
    let list = world.get(&path).await.expect(200);
    assert_eq!(
        (&list[0]["key"], &list[0]["created_by"], &list[0]["active"]),
        (&json!("contact.created"), &Value::Null, &json!(true))
    );
    world.emit(&workspace, "never.heard.of").await;
}

#[tokio::test]
async fn what_is_wrong_with_an_entry_is_named() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let types = format!("/api/v1/workspaces/{workspace}/event-types");
    let resources = format!("/api/v1/workspaces/{workspace}/resources");
    for (path, body, param) in [
        (&types, json!({}), "key"),
        (&types, json!({"key": "a.*"}), "key"),
        (&types, json!({"key": "x".repeat(129)}), "key"),
        (&resources, json!({"key": "x".repeat(65)}), "key"),
        (&resources, json!({"key": "a", "label": ""}), "label"),
        (&resources, json!({"key": "a", "label": "a\nb"}), "label"),
        (
            &resources,
            json!({"key": "a", "description": "x".repeat(1025)}),
            "description",
        ),
        (&resources, json!({"key": "a", "active": "yes"}), "active"),
    ] {
        assert_eq!(
            world.post(path, body.clone()).await.wrong_param(),
            param,
            "{body}"
        );
    }
    let id = text(&world.get(&types).await.expect(200)[0]["id"]);
    let renamed = world.put(&format!("{types}/{id}"), json!({"key": "other"})).await;
    assert_eq!(renamed.wrong_param(), "key");
}

#[tokio::test]
async fn the_catalog_of_another_organisation_is_forbidden() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let stranger = world.stranger().await;
    let nobody = "0195d2f0-0000-7000-8000-000000000000";
    for workspace in [workspace.as_str(), nobody] {
        for path in ["event-types", "resources"] {
            let path = format!("/api/v1/workspaces/{workspace}/{path}");
            let body = json!({"key": "a"}).to_string();
            for (method, path, body) in [
                ("GET", path.clone(), String::new()),
                ("POST", path.clone(), body.clone()),
                ("PUT", format!("{path}/{nobody}"), body),
                ("DELETE", format!("{path}/{workspace}"), String::new()),
            ] {
                let answer = world.send(&stranger, method, &path, body).await;
                assert_eq!(answer.refused(403), "forbidden", "{method} {path}");
            }
        }
    }
}
