//! Workspaces.

use serde_json::{Value, json};

use crate::world::World;

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
