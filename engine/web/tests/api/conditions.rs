//! Rules with a condition.

use serde_json::{Value, json};

use crate::world::{Answer, World, text};

async fn rule_with(world: &World, workspace: &str, condition: Value) -> Answer {
    let known = world
        .get(&format!("/api/v1/workspaces/{workspace}/connections"))
        .await;
    let name = format!("CRM {}", known.expect(200)["count"]);
    let connection = world.connection(workspace, &name).await;
    let body = json!({"workspace": workspace, "connection": connection, "event": "order.*",
                      "condition": condition, "metadata": {"action": "ping"}});
    world.post("/api/v1/rules", body).await
}

async fn matched(world: &World, workspace: &str, payload: Value) -> Value {
    let body = json!({"workspace": workspace, "event": "order.paid", "payload": payload});
    let id = text(&world.post("/api/v1/events", body).await.expect(201)["event"]["id"]);
    world.get(&format!("/api/v1/events/{id}")).await.expect(200)["total_rules"].clone()
}

#[tokio::test]
async fn only_events_that_a_condition_is_true_for_are_delivered() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let made = rule_with(&world, &workspace, json!("payload.amount > 100"))
        .await
        .expect(201)["rule"]
        .clone();
    assert_eq!(made["condition"], json!("payload.amount > 100"));
    let path = format!("/api/v1/rules/{}", text(&made["id"]));
    assert_eq!(world.get(&path).await.expect(200), made);
    for (payload, count) in [
        (json!({"amount": 101}), 1),
        (json!({"amount": 100.5}), 1),
        (json!({"amount": 100}), 0),
        (json!({"amount": "101"}), 0),
        (json!({}), 0),
    ] {
        assert_eq!(
            matched(&world, &workspace, payload.clone()).await,
            json!(count),
            "{payload}"
        );
    }
}

#[tokio::test]
async fn a_condition_is_changed_kept_and_removed() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let made = rule_with(&world, &workspace, json!("payload.a == 1"))
        .await
        .expect(201)["rule"]
        .clone();
    let path = format!("/api/v1/rules/{}", text(&made["id"]));
    let kept = world.put(&path, json!({"hidden": true})).await.expect(200);
    assert_eq!(kept["condition"], json!("payload.a == 1"));
    assert_eq!(matched(&world, &workspace, json!({"a": 2})).await, json!(0));
    let changed = world
        .put(&path, json!({"condition": "payload.a == 2"}))
        .await
        .expect(200);
    assert_eq!(changed["condition"], json!("payload.a == 2"));
    assert_eq!(matched(&world, &workspace, json!({"a": 2})).await, json!(1));
    let removed = world.put(&path, json!({"condition": null})).await.expect(200);
    assert_eq!(removed.get("condition"), None);
    assert_eq!(matched(&world, &workspace, json!({"a": 3})).await, json!(1));
}

#[tokio::test]
async fn a_condition_with_a_mistake_is_refused_with_its_place() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    for (condition, part) in [
        (
            json!("payload.a ==\n paylod.b"),
            "line 2, column 2: there is no variable `paylod`",
        ),
        (json!("lower(payload.a) == 'x'"), "there is no function `lower`"),
        (json!("payload.a ="), "equality is =="),
        (json!(""), "a value is expected"),
        (json!("'a'"), "never true or false"),
        (json!(true), "must be a string"),
        (json!("(".repeat(4000)), "nested deeper"),
        (json!("x".repeat(5000)), "4096"),
    ] {
        let answer = rule_with(&world, &workspace, condition.clone()).await;
        let body = answer.expect(400);
        assert_eq!(body["error"]["data"][0]["param"], json!("condition"), "{body}");
        assert!(
            body["error"]["data"][0]["msg"].as_str().unwrap().contains(part),
            "{body}"
        );
    }
    let made = rule_with(&world, &workspace, json!("true")).await.expect(201)["rule"].clone();
    let path = format!("/api/v1/rules/{}", text(&made["id"]));
    assert_eq!(
        world
            .put(&path, json!({"condition": "payload."}))
            .await
            .wrong_param(),
        "condition"
    );
}

#[tokio::test]
async fn a_condition_that_costs_too_much_costs_no_one_else() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let hostile = "payload.n.all(a, payload.n.all(b, payload.n.all(c, a + b + c >= 0)))";
    rule_with(&world, &workspace, json!(hostile)).await.expect(201);
    rule_with(&world, &workspace, json!("payload.n.size() == 1000"))
        .await
        .expect(201);
    let numbers: Vec<u32> = (0..1000).collect();
    assert_eq!(matched(&world, &workspace, json!({"n": numbers})).await, json!(1));
}
