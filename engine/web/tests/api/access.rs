//! Keys that may less than everything: where they are let in, and what they find there.

use serde_json::{Value, json};

use crate::world::{Caller, World, text};

/// A world with two workspaces and something in each.
struct Two {
    world: World,
    here: String,
    there: String,
    connections: [String; 2],
    rules: [String; 2],
    events: [String; 2],
}

impl Two {
    async fn new() -> Self {
        let world = World::new().await;
        let ((here, _), (there, _)) = (world.workspace("Here").await, world.workspace("There").await);
        let connections = [
            world.connection(&here, "One").await,
            world.connection(&there, "Two").await,
        ];
        let rules = [
            world.rule(&here, &connections[0], "a").await,
            world.rule(&there, &connections[1], "a").await,
        ];
        let events = [world.emit(&here, "a").await, world.emit(&there, "a").await];
        Self {
            world,
            here,
            there,
            connections,
            rules,
            events,
        }
    }

    /// The records of a list as this caller sees it.
    async fn records(&self, by: &Caller, path: &str) -> Vec<Value> {
        let list = self.world.send(by, "GET", path, "").await.expect(200);
        list["records"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn a_key_of_one_workspace_finds_nothing_of_another() {
    let two = Two::new().await;
    let world = &two.world;
    let key = world
        .narrow(&world.machine(), json!({"workspaces": [two.here]}))
        .await;
    for (path, own) in [
        ("/api/v1/workspaces", &two.here),
        ("/api/v1/connections", &two.connections[0]),
        ("/api/v1/rules", &two.rules[0]),
        ("/api/v1/events", &two.events[0]),
    ] {
        let seen = two.records(&key, path).await;
        assert_eq!(seen.len(), 1, "{path}: {seen:?}");
        assert_eq!(&text(&seen[0]["id"]), own, "{path}");
    }
    let (workspace, connection) = (&two.there, &two.connections[1]);
    let (rule, event) = (&two.rules[1], &two.events[1]);
    let metadata = json!({"url": "https://acme.example", "api_key": "another"});
    for (method, path, body) in [
        ("GET", format!("/workspaces/{workspace}"), json!({})),
        ("PUT", format!("/workspaces/{workspace}"), json!({"name": "Mine"})),
        ("GET", format!("/workspaces/{workspace}/connections"), json!({})),
        ("GET", format!("/workspaces/{workspace}/rules"), json!({})),
        ("GET", format!("/workspaces/{workspace}/events"), json!({})),
        ("GET", format!("/connections/{connection}"), json!({})),
        (
            "PUT",
            format!("/connections/{connection}"),
            json!({"name": "Mine", "metadata": metadata}),
        ),
        (
            "DELETE",
            format!("/connections/{connection}"),
            json!({"force_delete": true}),
        ),
        ("GET", format!("/rules/{rule}"), json!({})),
        ("PUT", format!("/rules/{rule}"), json!({"active": false})),
        ("DELETE", format!("/rules/{rule}"), json!({})),
        ("GET", format!("/events/{event}"), json!({})),
        ("GET", format!("/events/{event}/payload"), json!({})),
        ("POST", format!("/events/{event}/cancel"), json!({})),
        ("POST", format!("/events/{event}/rules/{rule}/retry"), json!({})),
        ("POST", format!("/events/{event}/rules/{rule}/cancel"), json!({})),
        ("GET", format!("/events/{event}/rules/{rule}/attempts"), json!({})),
        (
            "POST",
            "/connections".into(),
            json!({"workspace": workspace, "type": "acme", "name": "New", "metadata": metadata}),
        ),
        (
            "POST",
            "/rules".into(),
            json!({"workspace": workspace, "connection": connection, "event": "a",
                   "metadata": {"action": "post", "id": "C1"}}),
        ),
    ] {
        let answer = world
            .send(&key, method, &format!("/api/v1{path}"), body.to_string())
            .await;
        match path.as_str() {
            "/events" => assert_eq!(answer.refused(400), "unknown_workspace"),
            "/connections" => assert_eq!(answer.refused(403), "forbidden"),
            _ => assert_eq!(answer.refused(404), "not_found", "{method} {path}"),
        }
    }
    let event = json!({"workspace": workspace, "event": "a", "payload": {}}).to_string();
    let emitted = world.send(&key, "POST", "/api/v1/events", event).await;
    assert_eq!(emitted.refused(400), "unknown_workspace");
    // Its own workspace it may leave unsaid.
    let event = json!({"event": "b", "payload": {}}).to_string();
    let made = world
        .send(&key, "POST", "/api/v1/events", event)
        .await
        .expect(201);
    assert_eq!(text(&made["event"]["workspace"]), two.here);
    let another = world
        .send(&key, "POST", "/api/v1/workspaces", r#"{"name": "Third"}"#)
        .await;
    assert_eq!(another.refused(403), "forbidden");
}

#[tokio::test]
async fn a_list_over_several_workspaces_goes_on_where_the_page_before_ended() {
    let two = Two::new().await;
    let world = &two.world;
    let (third, _) = world.workspace("Third").await;
    world.emit(&third, "hidden").await;
    for n in 0..5 {
        let workspace = if n % 2 == 0 { &two.here } else { &two.there };
        world.clock.advance(1);
        world.emit(workspace, &format!("e{n}")).await;
    }
    let both = json!({"workspaces": [two.here, two.there, two.here]});
    let key = world.narrow(&world.machine(), both).await;
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/events?limit=2&cursor={cursor}");
        let page = world.send(&key, "GET", &path, "").await.expect(200);
        names.extend(
            page["records"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| text(&event["event"])),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(names[..5], ["e4", "e3", "e2", "e1", "e0"]);
    assert_eq!(names.len(), 7, "{names:?}");
}

#[tokio::test]
async fn a_key_without_a_permission_is_told_which_one_it_lacks() {
    let two = Two::new().await;
    let world = &two.world;
    let wish = json!({"permissions": ["events:emit", "workspaces:read"]});
    let key = world.narrow(&world.machine(), wish).await;
    let event = json!({"workspace": two.here, "event": "a", "payload": {}}).to_string();
    world
        .send(&key, "POST", "/api/v1/events", event)
        .await
        .expect(201);
    let path = format!("/api/v1/workspaces/{}", two.here);
    let shown = world.send(&key, "GET", &path, "").await.expect(200);
    assert_eq!(shown.get("publishable_key"), None, "who has it can emit");
    // Asked before the body is read.
    let refused = world
        .send(&key, "POST", "/api/v1/rules", "no JSON")
        .await
        .expect(403);
    assert_eq!(refused["code"], "permission_missing");
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("rules:create"),
        "{refused}"
    );
}

#[tokio::test]
async fn no_key_makes_a_key_that_may_more_than_itself() {
    let two = Two::new().await;
    let world = &two.world;
    let wish = json!({"permissions": ["keys:read", "keys:write", "events:read"], "workspaces": [two.here],
                      "expires_in_seconds": 600});
    let key = world.narrow(&world.machine(), wish).await;
    let keys = "/api/v1/keys";
    for (wish, status) in [
        (json!({"permissions": ["events:emit"]}), 403),
        (json!({"permissions": ["events:read", "rules:write"]}), 403),
        (json!({"workspaces": [two.there]}), 404),
        (json!({"workspaces": [two.here, two.there]}), 404),
        (json!({"expires_in_seconds": 601}), 400),
        (json!({"permissions": []}), 400),
        (json!({"permissions": ["everything"]}), 400),
        (json!({"permissions": "events:read"}), 400),
        (json!({"workspaces": []}), 400),
        (json!({"workspaces": ["mine"]}), 400),
        (json!({"expires_in_seconds": 0}), 400),
    ] {
        let mut body = json!({"name": "More"});
        body.as_object_mut()
            .unwrap()
            .extend(wish.as_object().unwrap().clone());
        world
            .send(&key, "POST", keys, body.to_string())
            .await
            .refused(status);
    }
    let child = world
        .send(&key, "POST", keys, r#"{"name": "Child"}"#)
        .await
        .expect(201);
    assert_eq!(
        child["key"]["permissions"],
        json!(["events:read", "keys:read", "keys:write"])
    );
    assert_eq!(child["key"]["workspaces"], json!([two.here]));
    assert!(
        child["key"]["expires_at"].is_string() && child["secret_key"].is_string(),
        "{child}"
    );
    assert_eq!(
        two.records(&key, keys).await.len(),
        2,
        "of the three, those of this workspace"
    );
    assert!(!world.get(keys).await.text.contains(&text(&child["secret_key"])));

    // What it could not have made it cannot take away either.
    let all = two.records(&world.machine(), keys).await;
    let whole = all.iter().find(|key| key["workspaces"].is_null()).unwrap();
    let path = format!("{keys}/{}", text(&whole["access_key"]));
    assert_eq!(
        world.send(&key, "DELETE", &path, "").await.refused(404),
        "not_found"
    );
    let wider = json!({"name": "Wider", "workspaces": [two.here]}).to_string();
    let wider = world
        .send(&world.machine(), "POST", keys, wider)
        .await
        .expect(201);
    let path = format!("{keys}/{}", text(&wider["key"]["access_key"]));
    assert_eq!(
        world.send(&key, "DELETE", &path, "").await.refused(403),
        "forbidden"
    );
    let stranger = world.stranger().await;
    assert_eq!(
        world.send(&stranger, "DELETE", &path, "").await.refused(404),
        "not_found"
    );
}

#[tokio::test]
async fn a_key_ends_when_it_expires_and_when_it_is_revoked() {
    let world = World::new().await;
    let key = world
        .narrow(&world.machine(), json!({"expires_in_seconds": 10}))
        .await;
    let path = "/api/v1/workspaces";
    world.send(&key, "GET", path, "").await.expect(200);
    world.clock.advance(10_000);
    assert_eq!(
        world.send(&key, "GET", path, "").await.refused(401),
        "key_expired"
    );

    let key = world.narrow(&world.machine(), json!({})).await;
    world.send(&key, "GET", path, "").await.expect(200);
    let all = world.get("/api/v1/keys").await.expect(200);
    let records = all["records"].as_array().unwrap();
    let statuses: Vec<&Value> = records.iter().map(|key| &key["status"]).collect();
    assert_eq!(statuses, ["active", "expired", "active"]);
    let path_of_key = format!("/api/v1/keys/{}", text(&records[2]["access_key"]));
    assert_eq!(
        world.delete(&path_of_key).await.expect(200),
        json!({"revoked": true})
    );
    assert_eq!(
        world.delete(&path_of_key).await.expect(200),
        json!({"revoked": false})
    );
    assert_eq!(
        world.send(&key, "GET", path, "").await.refused(401),
        "key_revoked"
    );
    world.delete("/api/v1/keys/mk_nobody").await.refused(404);
}
