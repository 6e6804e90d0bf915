//! Default mappings and mappings of rules: what is taken, what is refused, and with which words.

use serde_json::{Value, json};

use crate::world::World;

fn schema() -> Value {
    json!({"schema_version": 1, "fields": [{"dest": "email", "source": {"type": "path", "value": "email"}}]})
}

#[tokio::test]
async fn a_default_mapping_is_the_published_record() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let connection = world.connection(&workspace, "CRM").await;
    let path = format!("/api/v1/connections/{connection}/mappings/default");
    let generated = world.get(&path).await.expect(200);
    assert_eq!(generated["status"], "generated");
    assert_eq!(
        (
            &generated["mapping"]["version"],
            &generated["mapping"]["mapping_id"]
        ),
        (&json!(1), &json!(connection))
    );
    let stored = world
        .put(&path, json!({"schema": schema(), "name": "Leads"}))
        .await
        .expect(200);
    let mapping = stored["mapping"].as_object().unwrap();
    let members: Vec<&str> = mapping.keys().map(String::as_str).collect();
    assert_eq!(
        members,
        [
            "id",
            "mapping_id",
            "version",
            "workspace_id",
            "connection_id",
            "integration_type",
            "name",
            "schema",
            "created_by",
            "created_at",
            "updated_at"
        ]
    );
    assert_eq!(
        (&mapping["schema"], &mapping["name"], &mapping["version"]),
        (&schema(), &json!("Leads"), &json!(2))
    );
    assert_eq!(world.get(&path).await.expect(200), stored);
    world.clock.advance(5);
    let again = world.put(&path, json!({"schema": schema()})).await.expect(200);
    assert_eq!(again["mapping"]["name"], "Leads", "a name that is not sent stays");
    assert_eq!(again["mapping"]["created_at"], stored["mapping"]["created_at"]);
    assert_ne!(again["mapping"]["id"], stored["mapping"]["id"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_default_mapping_is_unprocessable_and_named() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let connection = world.connection(&workspace, "CRM").await;
    let path = format!("/api/v1/connections/{connection}/mappings/default");
    let cases = [
        (json!({}), "schema"),
        (json!({"schema": "text"}), "schema"),
        (json!({"schema": {"schema_version": 1}}), "schema.fields"),
        (
            json!({"schema": {"schema_version": 1, "fields": [{"dest": "a", "source": {"type": "path", "value": "a"},
                "transforms": [{"type": "substring", "start": -1}]}]}}),
            "schema.fields[0].transforms[0].start",
        ),
        (json!({"schema": schema(), "name": ""}), "name"),
        (json!({"schema": schema(), "name": "x".repeat(65)}), "name"),
        (json!({"schema": schema(), "mapping_id": "mine"}), "mapping_id"),
        (json!({"schema": schema(), "workspace_id": 5}), "workspace_id"),
        (
            json!({"schema": schema(), "expected_version": 0}),
            "expected_version",
        ),
        (
            json!({"schema": schema(), "expected_version": "1"}),
            "expected_version",
        ),
    ];
    for (body, param) in cases {
        let answer = world.put(&path, body.clone()).await.expect(422);
        assert_eq!(answer["code"], "invalid_mapping", "{body}");
        assert_eq!(answer["error"]["data"][0]["param"], param, "{body}");
    }
    let other = world.connection(&workspace, "Other").await;
    let (elsewhere, _) = world.workspace("Second").await;
    for (body, code) in [
        (json!({"schema": schema(), "mapping_id": other}), "other_mapping"),
        (
            json!({"schema": schema(), "workspace_id": elsewhere}),
            "other_workspace",
        ),
        (
            json!({"schema": schema(), "expected_version": 7}),
            "version_conflict",
        ),
    ] {
        assert_eq!(world.put(&path, body).await.refused(409), code);
    }
    assert_eq!(
        world.get(&path).await.expect(200)["status"],
        "generated",
        "nothing was stored"
    );
}

#[tokio::test]
async fn a_rule_s_mapping_is_checked_shown_changed_and_removed() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let connection = world.connection(&workspace, "CRM").await;
    let rule = |mapping: Value| {
        json!({"workspace": workspace, "connection": connection, "event": "a", "metadata": {"action": "ping"},
               "mapping": mapping})
    };
    let bad =
        json!({"schema_version": 1, "fields": [{"dest": "a", "source": {"type": "path", "value": "a b"}}]});
    let refused = world.post("/api/v1/rules", rule(bad.clone())).await;
    assert_eq!(refused.wrong_param(), "mapping.fields[0].source.value");
    let refused = world.post("/api/v1/rules", rule(json!("text"))).await;
    assert_eq!(refused.wrong_param(), "mapping");

    let made = world.post("/api/v1/rules", rule(schema())).await.expect(201);
    assert_eq!(made["rule"]["mapping"], schema());
    let path = format!("/api/v1/rules/{}", made["rule"]["id"].as_str().unwrap());
    assert_eq!(
        world.put(&path, json!({"mapping": bad})).await.wrong_param(),
        "mapping.fields[0].source.value"
    );
    let untouched = world.put(&path, json!({"active": false})).await.expect(200);
    assert_eq!(untouched["mapping"], schema());
    let removed = world.put(&path, json!({"mapping": null})).await.expect(200);
    assert!(removed.get("mapping").is_none());
    assert!(world.get(&path).await.expect(200).get("mapping").is_none());
}

#[tokio::test]
async fn a_destination_without_choices_or_fields_says_so() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let connection = world.connection(&workspace, "CRM").await;
    let get = |rest: &str| format!("/api/v1/connections/{connection}/{rest}");
    for rest in [
        "fields",
        "fields?refresh=true",
        "actions",
        "actions?action=post&input=id",
    ] {
        assert_eq!(world.get(&get(rest)).await.refused(422), "not_offered", "{rest}");
    }
    assert_eq!(
        world.get(&get("actions?action=ping")).await.expect(200)["actions"],
        json!({})
    );
    for (rest, param) in [
        ("actions?action=shout", "action"),
        ("actions?action=post&input=name", "input"),
        ("actions?refresh=maybe", "refresh"),
        ("fields?refresh=1", "refresh"),
    ] {
        assert_eq!(world.get(&get(rest)).await.wrong_param(), param, "{rest}");
    }
    let check = world.send(&world.machine(), "POST", &get("check"), "").await;
    assert_eq!(check.refused(422), "not_offered");
    let nobody = connection.replace(&connection[30..], "ffffff");
    for rest in ["fields", "actions", "mappings/default"] {
        assert_eq!(
            world
                .get(&format!("/api/v1/connections/{nobody}/{rest}"))
                .await
                .refused(404),
            "not_found"
        );
    }
}
