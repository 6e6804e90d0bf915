//! Why an event went where it went, and trying a rule out, through the real program.

use heddle_tests::api::{Api, records};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::Receiver;
use serde_json::json;

#[tokio::test]
async fn support_finds_out_why_a_contact_did_not_show_up_and_tries_the_mended_rule() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Shop").await;
    let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
    let plain = api.webhook_rule(&workspace, &connection, "signup").await;
    let body = json!({"workspace": workspace.id, "connection": connection, "event": "signup",
        "condition": "payload.plan == 'Pro'", "metadata": {"action": "send_webhook"}});
    let picky = api.post("/rules", &body).await.expect(201)["rule"]["id"].clone();

    let event = api.emit(&workspace, "signup", json!({"plan": "pro"})).await;
    api.wait_for_event(&event, "completed").await;
    let explained = records(&api.get(&format!("/events/{event}/explain")).await.expect(200));
    assert_eq!(explained[0]["rule"], json!(plain));
    assert_eq!(explained[0]["rule_event"]["status"], json!("completed"));
    assert_eq!(
        (&explained[1]["rule"], &explained[1]["outcome"]),
        (&picky, &json!("condition_false"))
    );
    assert_eq!(
        explained[1]["condition"]["decisive"]["saw"][0]["value"],
        json!("pro")
    );

    let mended = json!({"workspace": workspace.id,
        "rule": {"event": "signup", "condition": "payload.plan.lowerAscii() == 'pro'"}});
    let tried = api.post("/rules/dry-run", &mended).await.expect(200);
    assert_eq!((&tried["checked"], &tried["matched"]), (&json!(1), &json!(1)));
    assert_eq!(
        receiver.requests_at("/hook").len(),
        1,
        "trying out delivers nothing"
    );
}
