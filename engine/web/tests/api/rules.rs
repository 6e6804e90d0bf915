//! Rules.

use serde_json::{Value, json};

use crate::world::{World, text};

#[tokio::test]
async fn a_rule_is_made_read_changed_filtered_and_deleted() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let connection = world.connection(&workspace, "CRM").await;
    let body = json!({"workspace": workspace, "connection": connection, "event": "lesson.*", "resource": "course",
                      "resource_id": "c-1", "metadata": {"action": "post", "id": "C1", "template": "Hi {{name}}"}});
    let made = world.post("/api/v1/rules", body).await.expect(201)["rule"].clone();
    assert_eq!(
        (&made["type"], &made["active"], &made["hidden"]),
        (&json!("acme"), &json!(true), &json!(false))
    );
    assert_eq!(made["metadata"]["template"], json!("Hi {{name}}"));
    let path = format!("/api/v1/rules/{}", text(&made["id"]));
    assert_eq!(world.get(&path).await.expect(200), made);

    for (query, count) in [
        ("", 1),
        ("?event=lesson.*", 1),
        ("?event=lesson.completed", 0),
        ("?resource=course&resource_id=c-1", 1),
        ("?resource=other", 0),
        ("?resource=&event=", 1),
    ] {
        for list in [
            "/api/v1/rules".to_owned(),
            format!("/api/v1/workspaces/{workspace}/rules"),
        ] {
            let list = world.get(&format!("{list}{query}")).await.expect(200);
            assert_eq!(list["count"], json!(count), "{query}");
        }
    }

    let changed = json!({"active": false, "resource_id": null, "metadata": {"action": "ping"}});
    let changed = world.put(&path, changed).await.expect(200);
    assert_eq!(
        (
            &changed["active"],
            &changed["resource"],
            changed.get("resource_id")
        ),
        (&json!(false), &json!("course"), None)
    );
    assert_eq!(
        (&changed["metadata"], &changed["event"]),
        (&json!({"action": "ping"}), &json!("lesson.*"))
    );

    let expected = json!({"id": made["id"], "connection": connection, "type": "acme", "event": "lesson.*", "resource": "course"});
    assert_eq!(world.delete(&path).await.expect(200), expected);
    world.delete(&path).await.refused(404);
    world.get(&path).await.refused(404);
}

#[tokio::test]
async fn a_rule_that_cannot_work_is_refused_by_its_name() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let (second, _) = world.workspace("Second").await;
    let connection = world.connection(&workspace, "CRM").await;
    let elsewhere = world.connection(&second, "CRM").await;
    let with = |key: &str, value: Value| {
        let mut body = json!({"workspace": workspace, "connection": connection, "event": "a",
                              "metadata": {"action": "post", "id": "C1"}});
        body[key] = value;
        body
    };
    for (body, param) in [
        (with("event", json!("")), "event"),
        (with("event", json!("a*")), "event"),
        (with("event", json!(null)), "event"),
        (with("workspace", json!("w")), "workspace"),
        (with("connection", json!(7)), "connection"),
        (with("connection", json!(elsewhere)), "connection"),
        (with("resource", json!(" a")), "resource"),
        (with("resource_id", json!("x".repeat(65))), "resource_id"),
        (with("active", json!("yes")), "active"),
        (with("metadata", json!({})), "metadata.action"),
        (with("metadata", json!({"action": "shout"})), "metadata.action"),
        (with("metadata", json!({"action": "post"})), "metadata.id"),
    ] {
        assert_eq!(
            world.post("/api/v1/rules", body.clone()).await.wrong_param(),
            param,
            "{body}"
        );
    }
    let actions = world
        .post("/api/v1/rules", with("metadata", json!({"action": "shout"})))
        .await;
    assert!(actions.text.contains("ping, post"), "{}", actions.text);
    let nowhere = with("connection", json!("0195d2f0-0000-7000-8000-000000000000"));
    world.post("/api/v1/rules", nowhere).await.refused(404);

    let rule = world.rule(&workspace, &connection, "a").await;
    let path = format!("/api/v1/rules/{rule}");
    for (body, param) in [
        (json!({"workspace": second}), "workspace"),
        (json!({"connection": elsewhere}), "connection"),
        (json!({"metadata": {"action": "post"}}), "metadata.id"),
        (json!({"event": "*.x"}), "event"),
    ] {
        assert_eq!(
            world.put(&path, body.clone()).await.wrong_param(),
            param,
            "{body}"
        );
    }
    let another = world.connection(&workspace, "CRM 2").await;
    assert_eq!(
        world.put(&path, json!({"connection": another})).await.expect(200)["connection"],
        json!(another)
    );
}

#[tokio::test]
async fn no_text_inside_a_body_is_read_as_more_json() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let connection = world.connection(&workspace, "CRM").await;
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    // Within the limits as it stands, and nested deeper than can be read back as it could be taken.
    let hidden = json!({"$serde_json::private::RawValue": deep(120)}).to_string();
    let nested = deep(50).replacen("[]", &format!("[{hidden}]"), 1);
    let body = format!(
        r#"{{"workspace":"{workspace}","connection":"{connection}","event":"a",
            "metadata":{{"action":"ping","note":{nested}}}}}"#
    );
    assert_eq!(
        world
            .send(&world.machine(), "POST", "/api/v1/rules", body)
            .await
            .refused(400),
        "malformed_json"
    );
    assert_eq!(world.get("/api/v1/rules").await.expect(200)["count"], json!(0));
    let event = format!(r#"{{"workspace":"{workspace}","event":"a","payload":{{"x":{hidden}}}}}"#);
    assert_eq!(
        world
            .send(&world.machine(), "POST", "/api/v1/events", event)
            .await
            .wrong_param(),
        "payload"
    );
}
