//! Rules whose deliveries go out one after another.

use serde_json::{Value, json};

use crate::world::{Answer, World, text};

async fn rule_with(world: &World, members: Value) -> (String, Answer) {
    let (workspace, _) = world.workspace("First").await;
    let connection = world.connection(&workspace, "CRM").await;
    let mut body = json!({"workspace": workspace, "connection": connection, "event": "order.*",
                          "metadata": {"action": "ping"}});
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    let answer = world.post("/api/v1/rules", body).await;
    (workspace, answer)
}

/// Emits, and gives what the event's one delivery looks like.
async fn emitted(world: &World, workspace: &str, payload: Value) -> Value {
    let body = json!({"workspace": workspace, "event": "order.paid", "payload": payload});
    let id = text(&world.post("/api/v1/events", body).await.expect(201)["event"]["id"]);
    read(world, &id).await
}

async fn read(world: &World, id: &str) -> Value {
    world.get(&format!("/api/v1/events/{id}")).await.expect(200)["rule_events"][0].clone()
}

#[tokio::test]
async fn a_key_is_made_changed_kept_and_removed() {
    let world = World::new().await;
    let (_, made) = rule_with(&world, json!({"ordering_key": "payload.id"})).await;
    let made = made.expect(201)["rule"].clone();
    assert_eq!(made["ordering_key"], "payload.id");
    assert_eq!(made["ordering_on_failure"], "continue");
    let path = format!("/api/v1/rules/{}", text(&made["id"]));
    assert_eq!(world.get(&path).await.expect(200), made);
    for (change, expected) in [
        (json!({"hidden": true}), json!(["payload.id", "continue"])),
        (
            json!({"ordering_on_failure": "hold"}),
            json!(["payload.id", "hold"]),
        ),
        (
            json!({"ordering_key": "payload.user"}),
            json!(["payload.user", "hold"]),
        ),
        (json!({"ordering_key": null}), json!([null, null])),
        (
            json!({"ordering_key": "event.resource_id", "ordering_on_failure": "hold"}),
            json!(["event.resource_id", "hold"]),
        ),
    ] {
        let changed = world.put(&path, change.clone()).await.expect(200);
        let seen = json!([changed["ordering_key"], changed["ordering_on_failure"]]);
        assert_eq!(seen, expected, "{change}");
    }
    // What is read can be written back.
    let read = world.get(&path).await.expect(200);
    world.put(&path, read).await.expect(200);
}

#[tokio::test]
async fn a_key_with_a_mistake_is_refused_with_its_place() {
    let world = World::new().await;
    for (number, (key, part)) in [
        (json!("payload."), "line 1, column"),
        (json!("paylod.id"), "there is no variable `paylod`"),
        (json!("[payload.id]"), "the key is a list"),
        (json!("event.created_at"), "the key is a timestamp"),
        (json!(7), "must be a string"),
    ]
    .into_iter()
    .enumerate()
    {
        let (workspace, _) = world.workspace(&format!("Of {number}")).await;
        let connection = world.connection(&workspace, "CRM").await;
        let body = json!({"workspace": workspace, "connection": connection, "event": "a",
                          "metadata": {"action": "ping"}, "ordering_key": key});
        let refused = world.post("/api/v1/rules", body).await.expect(400);
        let problem = &refused["error"]["data"][0];
        assert_eq!(problem["param"], "ordering_key", "{refused}");
        assert!(text(&problem["msg"]).contains(part), "{refused}");
    }
    let (_, alone) = rule_with(&world, json!({"ordering_on_failure": "hold"})).await;
    assert_eq!(alone.wrong_param(), "ordering_on_failure");
}

#[tokio::test]
async fn a_policy_is_one_of_two_words() {
    let world = World::new().await;
    let (_, refused) = rule_with(
        &world,
        json!({"ordering_key": "payload.id", "ordering_on_failure": "stop"}),
    )
    .await;
    let refused = refused.expect(400);
    assert_eq!(refused["error"]["data"][0]["param"], "ordering_on_failure");
    assert!(refused.to_string().contains("continue or hold"), "{refused}");
}

#[tokio::test]
async fn one_that_waits_is_pending_and_names_the_event_that_it_waits_for() {
    let world = World::new().await;
    let (workspace, made) = rule_with(&world, json!({"ordering_key": "payload.id"})).await;
    let rule = text(&made.expect(201)["rule"]["id"]);
    let first = emitted(&world, &workspace, json!({"id": 7})).await;
    assert_eq!(
        (&first["status"], first.get("waits_for")),
        (&json!("pending"), None)
    );
    let second = emitted(&world, &workspace, json!({"id": "7"})).await;
    assert_eq!(
        (
            &second["status"],
            &second["waits_for"],
            second.get("next_attempt_at")
        ),
        (&json!("pending"), &first["event_id"], None)
    );
    for free in [
        json!({"id": 8}),
        json!({}),
        json!({"id": null}),
        json!({"id": [7]}),
    ] {
        let delivery = emitted(&world, &workspace, free.clone()).await;
        assert_eq!(delivery.get("waits_for"), None, "{free}");
    }

    let (first, second) = (text(&first["event_id"]), text(&second["event_id"]));
    let explained = world
        .get(&format!("/api/v1/events/{second}/explain"))
        .await
        .expect(200);
    assert_eq!(explained["records"][0]["rule_event"]["waits_for"], json!(first));

    let retry = format!("/api/v1/events/{second}/rules/{rule}/retry");
    assert_eq!(world.post(&retry, json!({})).await.refused(409), "not_its_turn");

    let cancel = format!("/api/v1/events/{first}/rules/{rule}/cancel");
    world.post(&cancel, json!({})).await.expect(200);
    assert_eq!(read(&world, &second).await.get("waits_for"), None);
    // Tried anew, the first one waits for the second, whose turn it is.
    let retry = format!("/api/v1/events/{first}/rules/{rule}/retry");
    let again = world.post(&retry, json!({})).await.expect(200);
    assert_eq!(
        (&again["status"], &again["waits_for"]),
        (&json!("pending"), &json!(second))
    );
}
