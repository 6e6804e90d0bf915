//! Two organizations that never see each other.

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn the_ids_of_another_organisation_are_ids_of_nothing() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let connection = world.connection(&workspace, "CRM").await;
    let rule = world.rule(&workspace, &connection, "a").await;
    let event = world.emit(&workspace, "a").await;
    let stranger = world.stranger().await;

    let metadata = json!({"url": "https://acme.example", "api_key": "key-of-acme"});
    let new_rule = json!({"workspace": workspace, "connection": connection, "event": "a", "metadata": {"action": "ping"}});
    let new_connection =
        json!({"workspace": workspace, "type": "acme", "name": "Mine", "metadata": metadata});
    let emitted = json!({"workspace": workspace, "event": "a", "payload": {}});
    let delivery = format!("events/{event}/rules/{rule}");
    let cases = [
        ("GET", format!("workspaces/{workspace}"), json!(null)),
        (
            "PUT",
            format!("workspaces/{workspace}"),
            json!({"name": "Mine now"}),
        ),
        ("GET", format!("workspaces/{workspace}/connections"), json!(null)),
        ("GET", format!("workspaces/{workspace}/rules"), json!(null)),
        ("GET", format!("workspaces/{workspace}/events"), json!(null)),
        ("GET", format!("connections/{connection}"), json!(null)),
        (
            "PUT",
            format!("connections/{connection}"),
            json!({"name": "Mine", "metadata": metadata}),
        ),
        (
            "DELETE",
            format!("connections/{connection}"),
            json!({"force_delete": true}),
        ),
        ("GET", format!("connections/{connection}/actions"), json!(null)),
        ("GET", format!("connections/{connection}/fields"), json!(null)),
        (
            "GET",
            format!("connections/{connection}/mappings/default"),
            json!(null),
        ),
        (
            "PUT",
            format!("connections/{connection}/mappings/default"),
            json!({"schema": {"schema_version": 1, "fields": []}}),
        ),
        ("POST", format!("connections/{connection}/check"), json!(null)),
        ("POST", "rules".into(), new_rule),
        ("GET", format!("rules/{rule}"), json!(null)),
        ("PUT", format!("rules/{rule}"), json!({"active": false})),
        ("DELETE", format!("rules/{rule}"), json!(null)),
        ("GET", format!("events/{event}"), json!(null)),
        ("GET", format!("events/{event}/payload"), json!(null)),
        ("POST", format!("events/{event}/cancel"), json!(null)),
        ("POST", format!("{delivery}/retry"), json!(null)),
        ("POST", format!("{delivery}/cancel"), json!(null)),
        ("GET", format!("{delivery}/attempts"), json!(null)),
        ("GET", format!("{delivery}/attempts/{event}"), json!(null)),
        (
            "GET",
            format!("{delivery}/attempts/{event}/response-details"),
            json!(null),
        ),
    ];
    for (method, path, body) in cases {
        let answer = world
            .send(&stranger, method, &format!("/api/v1/{path}"), body.to_string())
            .await;
        assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text);
        assert_eq!(answer.refused(404), "not_found");
    }
    let body = new_connection.to_string();
    let one = world.send(&stranger, "POST", "/api/v1/connections", body).await;
    assert_eq!(one.refused(403), "forbidden", "the contract has no 404 here");
    let one = world
        .send(&stranger, "POST", "/api/v1/events", emitted.to_string())
        .await;
    assert_eq!(one.refused(400), "unknown_workspace");
    let bulk = world
        .send(
            &stranger,
            "POST",
            "/api/v1/events/bulk",
            json!([emitted]).to_string(),
        )
        .await
        .expect(207);
    assert_eq!(bulk["records"][0]["code"], json!("unknown_workspace"));
    for list in ["workspaces", "connections", "rules", "events"] {
        let list = world
            .send(&stranger, "GET", &format!("/api/v1/{list}"), "")
            .await
            .expect(200);
        assert_eq!(list["count"], json!(0), "{list}");
    }
    // Nothing of it did anything.
    assert_eq!(
        world
            .get(&format!("/api/v1/workspaces/{workspace}"))
            .await
            .expect(200)["name"],
        json!("First")
    );
    assert_eq!(
        world.get(&format!("/api/v1/rules/{rule}")).await.expect(200)["active"],
        json!(true)
    );
    assert_eq!(world.get("/api/v1/events").await.expect(200)["count"], json!(1));
}

#[tokio::test]
async fn two_organisations_may_use_the_same_names() {
    let world = World::new().await;
    world.workspace("First").await;
    let stranger = world.stranger().await;
    let body = json!({"name": "First"}).to_string();
    world
        .send(&stranger, "POST", "/api/v1/workspaces", body)
        .await
        .expect(201);
}
