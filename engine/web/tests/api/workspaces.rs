//! Workspaces.

use serde_json::{Value, json};

use crate::world::{Caller, World, text};

#[tokio::test]
async fn a_workspace_is_made_read_changed_and_listed() {
    let world = World::new().await;
    let made = world
        .post(
            "/api/v1/workspaces",
            json!({"name": "Acme_1 - EU", "description": "d"}),
        )
        .await
        .expect(201);
    let made = &made["workspace"];
    let path = format!("/api/v1/workspaces/{}", made["id"].as_str().unwrap());
    assert_eq!(made["created_at"], json!("2026-03-20T09:46:40.000Z"));

    let read = world.get(&path).await.expect(200);
    assert_eq!(
        (&read["name"], &read["description"]),
        (&json!("Acme_1 - EU"), &json!("d"))
    );
    let key = read["publishable_key"]["public_key"].as_str().unwrap();
    assert!(
        key.starts_with("mesh_pub_test_") && read["publishable_key"]["name"].is_string(),
        "{read}"
    );

    world.clock.advance(5_000);
    let renamed = world.put(&path, json!({"name": "Acme two"})).await.expect(200);
    assert_eq!(
        (&renamed["name"], &renamed["description"]),
        (&json!("Acme two"), &json!("d"))
    );
    assert_eq!(renamed["updated_at"], json!("2026-03-20T09:46:45.000Z"));
    let bare = world
        .put(&path, json!({"name": "Acme two", "description": null}))
        .await
        .expect(200);
    assert_eq!(bare["description"], Value::Null);

    let list = world.get("/api/v1/workspaces").await.expect(200);
    assert_eq!(
        (&list["count"], &list["limit"], &list["next_cursor"]),
        (&json!(1), &json!(1), &Value::Null)
    );
    assert_eq!(list["records"][0]["name"], json!("Acme two"));
}

#[tokio::test]
async fn a_name_is_taken_once_and_has_its_form() {
    let world = World::new().await;
    world.workspace("First").await;
    let (second, _) = world.workspace("Second").await;
    assert_eq!(
        world
            .post("/api/v1/workspaces", json!({"name": "First"}))
            .await
            .refused(409),
        "name_taken"
    );
    let path = format!("/api/v1/workspaces/{second}");
    assert_eq!(
        world.put(&path, json!({"name": "First"})).await.refused(409),
        "name_taken"
    );
    for (body, param) in [
        (json!({}), "name"),
        (json!({"name": "ab"}), "name"),
        (json!({"name": 7}), "name"),
        (json!({"name": "a/b/c"}), "name"),
        (
            json!({"name": "fine", "description": "x".repeat(1025)}),
            "description",
        ),
    ] {
        assert_eq!(world.post("/api/v1/workspaces", body).await.wrong_param(), param);
    }
}

#[tokio::test]
async fn the_destinations_are_described_in_the_published_words() {
    let world = World::new().await;
    let list = world.get("/api/v1/integrations").await.expect(200);
    assert_eq!((&list["count"], &list["next_cursor"]), (&json!(1), &Value::Null));
    let acme = &list["records"][0];
    assert_eq!(
        (&acme["name"], &acme["type"]),
        (&json!("Acme CRM"), &json!("acme"))
    );
    assert_eq!(acme["authentication"]["type"], json!("api_key"));
    assert_eq!(
        acme["authentication"]["fields"][2],
        json!({"label": "API key", "key": "api_key", "type": "password", "required": true,
               "helpText": "From your profile."})
    );
    assert_eq!(
        acme["authentication"]["fields"][3]["dependsOn"],
        json!({"field": "mode", "value": "signed"})
    );
    assert_eq!(acme["actions"]["post"]["data"][0]["kind"], json!("simple"));
    let members: Vec<&String> = acme.as_object().unwrap().keys().collect();
    assert_eq!(members, ["name", "type", "authentication", "actions"]);
}

#[tokio::test]
async fn a_workspace_is_deleted_with_all_it_has_by_whoever_types_its_name() {
    let world = World::new().await;
    let (workspace, page) = world.workspace("Academy").await;
    let connection = world.connection(&workspace, "CRM").await;
    let rule = world.rule(&workspace, &connection, "a").await;
    let event = world.emit(&workspace, "a").await;
    let session = json!({"workspace_id": workspace, "role": "owner"});
    let session = world.post("/api/v1/sessions", session).await.expect(200);
    let session = Caller::Machine(text(&session["access_token"]));
    let path = format!("/api/v1/workspaces/{workspace}");
    let delete = async |by: &Caller, body: Value| world.send(by, "DELETE", &path, body.to_string()).await;
    let machine = world.machine();

    for body in [json!({}), json!({"confirm": "academy"}), json!({"confirm": true})] {
        assert_eq!(delete(&machine, body).await.wrong_param(), "confirm");
    }
    assert_eq!(
        world.send(&machine, "DELETE", &path, "").await.refused(400),
        "malformed_json"
    );
    let good = json!({"confirm": "Academy"});
    assert_eq!(
        delete(&session, good.clone()).await.refused(403),
        "permission_missing"
    );
    assert_eq!(
        delete(&page, good.clone()).await.refused(401),
        "publishable_key_not_allowed"
    );
    assert_eq!(
        delete(&world.stranger().await, good.clone()).await.refused(404),
        "not_found"
    );
    let (elsewhere, _) = world.workspace("Elsewhere").await;
    let elsewhere = world.narrow(&machine, json!({"workspaces": [elsewhere]})).await;
    assert_eq!(delete(&elsewhere, good.clone()).await.refused(404), "not_found");
    world.get(&path).await.expect(200);

    let here = world.narrow(&machine, json!({"workspaces": [workspace]})).await;
    let deleted = delete(&here, good.clone()).await.expect(200);
    assert_eq!(deleted, json!({"id": workspace, "name": "Academy"}));
    assert_eq!(delete(&machine, good).await.refused(404), "not_found");
    for path in [
        path.clone(),
        format!("{path}/events"),
        format!("{path}/usage"),
        format!("{path}/publishable-keys"),
        format!("/api/v1/connections/{connection}"),
        format!("/api/v1/rules/{rule}"),
        format!("/api/v1/events/{event}"),
        format!("/api/v1/events/{event}/payload"),
        format!("/api/v1/events/{event}/rules/{rule}/attempts"),
    ] {
        assert_eq!(world.get(&path).await.refused(404), "not_found", "{path}");
    }
    for path in ["/api/v1/connections", "/api/v1/rules", "/api/v1/events"] {
        assert_eq!(world.get(path).await.expect(200)["count"], 0, "{path}");
    }
    let emitted = json!({"event": "a", "payload": {}}).to_string();
    let answer = world.send(&page, "POST", "/api/v1/events", emitted).await;
    assert_eq!(answer.refused(401), "invalid_publishable_key");
    let emitted = json!({"workspace": workspace, "event": "a", "payload": {}}).to_string();
    for by in [&machine, &here] {
        let answer = world.send(by, "POST", "/api/v1/events", emitted.clone()).await;
        assert_eq!(answer.refused(400), "unknown_workspace");
    }
    let answer = world.send(&session, "GET", "/api/v1/rules", "").await;
    assert_eq!(answer.refused(401), "invalid_token");
    let usage = world.get("/api/v1/usage").await.expect(200);
    assert!(
        usage.to_string().contains(&workspace),
        "the organization's sums stay true: {usage}"
    );

    // The name is free again, and what has it is another workspace.
    let (again, _) = world.workspace("Academy").await;
    assert_ne!(again, workspace);
}
