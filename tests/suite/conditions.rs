//! Rules with conditions, through the real program.

use heddle_tests::api::{Api, id_of};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::Receiver;
use serde_json::json;

#[tokio::test]
async fn a_condition_decides_what_is_delivered_and_survives_a_restart() {
    let receiver = Receiver::start().await;
    let mut engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Shop").await;
    let connection = api.webhook(&workspace, &receiver.url("/large")).await;
    let rule = json!({"workspace": workspace.id, "connection": connection, "event": "order.*",
        "condition": "payload.total >= 100 && payload.items.exists(i, i.sku.startsWith('A-'))",
        "metadata": {"action": "send_webhook"}});
    let made = api.post("/rules", &rule).await.expect(201);
    let order = |total: u32, sku: &str| json!({"total": total, "items": [{"sku": "B-1"}, {"sku": sku}]});

    let small = api.emit(&workspace, "order.paid", order(99, "A-1")).await;
    let other = api.emit(&workspace, "order.paid", order(100, "C-1")).await;
    let empty = api
        .emit(&workspace, "order.paid", json!({"note": "no total"}))
        .await;
    for id in [&small, &other, &empty] {
        let event = api.wait_for_event(id, "completed").await;
        assert_eq!(event["total_rules"], json!(0), "{event}");
    }
    let large = api.emit(&workspace, "order.paid", order(100, "A-1")).await;
    api.wait_for_event(&large, "completed").await;

    engine.kill().await;
    engine.restart().await;
    let api = api.at(&engine);
    let path = format!("/rules/{}", id_of(&made["rule"]));
    assert_eq!(api.get(&path).await.expect(200)["condition"], rule["condition"]);
    let again = api.emit(&workspace, "order.paid", order(500, "A-2")).await;
    api.emit(&workspace, "order.paid", order(1, "A-2")).await;
    api.wait_for_event(&again, "completed").await;
    assert_eq!(receiver.wait_for("/large", 2).await.len(), 2);
}
