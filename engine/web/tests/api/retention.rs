//! How long history is kept, and what is said of what is gone. The pruner's part is played through the
//! store.

use heddle_core::time::Clock;
use heddle_store::DefaultLimits;
use serde_json::{Value, json};

use crate::world::{World, text};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

async fn prune(world: &World) {
    let now = world.clock.now();
    for overdue in world.store.overdue(None, now).await.unwrap().overdue {
        while !world.store.prune_some(overdue, now).await.unwrap().done {}
    }
}

#[tokio::test]
async fn a_workspace_has_times_of_its_own_that_do_not_contradict_each_other() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let limits = format!("/api/v1/workspaces/{workspace}/limits");
    let of_all = heddle_core::quota::Limits {
        event_days: Some(30),
        ..Default::default()
    };
    world.store.set_default_limits(DefaultLimits {
        workspace: of_all,
        ..DefaultLimits::default()
    });
    let days = |set: &Value| json!([set["payload_days"], set["attempt_days"], set["event_days"]]);
    let known = world.get(&limits).await.expect(200);
    assert_eq!(days(&known["limits"]), json!([30, 30, 30]));
    assert_eq!(days(&known["own"]), json!([null, null, null]));
    let set = world
        .put(&limits, json!({"payload_days": 0, "attempt_days": 90}))
        .await
        .expect(200);
    assert_eq!(
        days(&set["limits"]),
        json!([0, 30, 30]),
        "an event takes its attempts along"
    );
    assert_eq!(days(&set["own"]), json!([0, 90, null]));
    for (wish, param) in [
        (json!({"payload_days": -1}), "payload_days"),
        (json!({"payload_days": 1.5}), "payload_days"),
        (json!({"attempt_days": "7"}), "attempt_days"),
        (json!({"event_days": 0}), "event_days"),
        (json!({"event_days": 36_501}), "event_days"),
        (json!({"payload_days": 8, "event_days": 7}), "payload_days"),
        (json!({"attempt_days": 8, "event_days": 7}), "payload_days"),
        (json!({"retention_days": 8}), "retention_days"),
    ] {
        assert_eq!(world.put(&limits, wish).await.wrong_param(), param);
    }
    assert_eq!(
        days(&world.get(&limits).await.expect(200)["own"]),
        json!([0, 90, null])
    );
}

#[tokio::test]
async fn an_event_without_its_payload_is_read_but_not_delivered_again_and_says_so() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let connection = world.connection(&workspace, "CRM").await;
    let rule = world.rule(&workspace, &connection, "a").await;
    let body = json!({"workspace": workspace, "connection": connection, "event": "a",
                      "condition": "payload.total > 10", "metadata": {"action": "ping"}});
    let asking = text(&world.post("/api/v1/rules", body).await.expect(201)["rule"]["id"]);
    world.clock.advance(10);
    let event = world.emit(&workspace, "a").await;
    let path = format!("/api/v1/events/{event}");
    world.post(&format!("{path}/cancel"), json!({})).await.expect(200);
    let before = world.get(&format!("{path}/payload")).await.expect(200);
    assert!(before["payload"].is_object() && before.get("payload_gone").is_none());

    let limits = format!("/api/v1/workspaces/{workspace}/limits");
    world.put(&limits, json!({"payload_days": 1})).await.expect(200);
    world.clock.advance(2 * DAY_MS);
    prune(&world).await;

    let listed = world.get("/api/v1/events").await.expect(200);
    assert_eq!(listed["records"][0]["id"], json!(event));
    let read = world.get(&path).await.expect(200);
    assert_eq!(read["rule_events"][0]["status"], json!("canceled"));
    let after = world.get(&format!("{path}/payload")).await.expect(200);
    assert_eq!(
        (&after["payload"], &after["payload_gone"], &after["event"]),
        (&Value::Null, &json!(true), &before["event"])
    );
    let again = world.post(&format!("{path}/rules/{rule}/retry"), json!({})).await;
    assert!(again.text.contains("no longer kept"), "{}", again.text);
    assert_eq!(again.refused(409), "payload_gone");

    let explained = world.get(&format!("{path}/explain")).await.expect(200);
    let about = |rule: &str| {
        let records = explained["records"].as_array().unwrap();
        let found = records.iter().find(|record| record["rule"] == json!(rule));
        found.unwrap().clone()
    };
    assert_eq!(
        (&about(&rule)["outcome"], &about(&rule)["now"]),
        (&json!("matched"), &json!("matched")),
        "a rule that asks nothing of the payload"
    );
    let unknown = about(&asking);
    assert_eq!(
        (&unknown["outcome"], &unknown["now"], unknown.get("condition")),
        (&json!("payload_gone"), &json!("payload_gone"), None)
    );
    assert!(unknown["reason"].as_str().unwrap().contains("no longer kept"));

    let tried = json!({"workspace": workspace, "rule_id": asking});
    let tried = world.post("/api/v1/rules/dry-run", tried).await.expect(200);
    assert_eq!(tried["outcomes"], json!({"payload_gone": 1}));
    assert!(
        tried["records"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("no longer kept")
    );
}
