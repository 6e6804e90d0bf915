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

#[tokio::test]
async fn a_dry_run_shows_what_would_be_sent_and_no_credential() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Shop").await;
    let settings = json!({"url": receiver.url("/hook"), "auth_scheme": "bearer", "bearer_token": "t0ken-of-the-shop",
                          "skip_url_test": true});
    let body = json!({"workspace": workspace.id, "type": "webhook", "name": "Hook", "metadata": settings});
    let connection = api.post("/connections", &body).await.expect(201)["connection"].clone();
    let secret = connection["metadata"]["signing_secret"]
        .as_str()
        .expect("shown once")
        .to_owned();
    api.emit(&workspace, "signup", json!({"plan": "free"})).await;
    let newest = api
        .emit(&workspace, "signup", json!({"plan": "pro", "n": 1}))
        .await;
    api.emit(&workspace, "login", json!({"plan": "pro"})).await;

    let rule =
        json!({"event": "signup", "connection": connection["id"], "metadata": {"action": "send_webhook"}});
    let run = |rule: serde_json::Value| json!({"workspace": workspace.id, "rule": rule, "preview": true});
    let answer = api.post("/rules/dry-run", &run(rule.clone())).await;
    assert!(
        !answer.text.contains("t0ken-of-the-shop") && !answer.text.contains(&secret),
        "{}",
        answer.text
    );
    let preview = answer.expect(200)["preview"].clone();
    assert_eq!(preview["event_id"], json!(newest));
    let request = &preview["request"];
    assert_eq!(
        (&request["method"], &request["url"], &request["body_encoding"]),
        (&json!("POST"), &json!(receiver.url("/hook")), &json!("utf8"))
    );
    let sent: serde_json::Value =
        serde_json::from_str(request["body"].as_str().expect("text")).expect("JSON");
    assert_eq!(sent["payload"], json!({"plan": "pro", "n": 1}));

    let with = |key: &str, value: serde_json::Value| {
        let mut rule = rule.clone();
        rule[key] = value;
        run(rule)
    };
    let unmapped = json!({"schema_version": 1, "fields": [{"dest": "x", "on_error": "fail_action",
                          "source": {"type": "path", "value": "nothing"}}]});
    let failing = api
        .post("/rules/dry-run", &with("mapping", unmapped))
        .await
        .expect(200);
    let message = failing["preview"]["message"].as_str().expect("a reason");
    assert!(message.contains("payload.nothing"), "{message}");
    for (key, value, param) in [
        ("connection", json!(null), "rule.connection"),
        ("metadata", json!({"action": "shout"}), "rule.metadata.action"),
        (
            "mapping",
            json!({"schema_version": 2}),
            "rule.mapping.schema_version",
        ),
    ] {
        let refused = api
            .post("/rules/dry-run", &with(key, value))
            .await
            .expect_error(400);
        assert_eq!(refused["error"]["data"][0]["param"], json!(param));
    }
    let elsewhere = api.workspace("Elsewhere").await;
    let foreign = api.webhook(&elsewhere, &receiver.url("/other")).await;
    api.post("/rules/dry-run", &with("connection", json!(foreign)))
        .await
        .expect_error(404);
    assert!(receiver.requests_at("/hook").is_empty(), "nothing goes out");
}
