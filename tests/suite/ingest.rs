//! The door: what is taken, what is refused, and that both are said in the contract's words.

use heddle_tests::api::{Api, id_of};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::Receiver;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn an_accepted_event_is_answered_in_the_contracts_shape() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Shape").await;
    let body = json!({"event": "a.b", "payload": {"email": "nina@academyflow.io"}});
    let event = api
        .post_with_key(&workspace.publishable_key, "/events", &body)
        .await
        .expect(201)["event"]
        .clone();
    id_of(&event);
    assert_eq!(
        (&event["event"], &event["type"], &event["resource"]),
        (&json!("a.b"), &json!("event"), &json!("global"))
    );
    assert_eq!(event["workspace"], workspace.id, "inferred from the key");
    for key in ["created_by", "created_at"] {
        assert!(event[key].is_string(), "{key}: {event}");
    }
    assert!(
        event.get("payload").is_none(),
        "the payload is read apart from the event"
    );
    let heddles = api
        .request(Method::POST, "/events")
        .header("x-heddle-publishable-key", &workspace.publishable_key);
    api.send(heddles.json(&body)).await.expect(201);
}

#[tokio::test]
async fn what_is_no_event_is_refused_with_the_field_that_is_wrong() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Refused").await;
    let good = json!({"event": "a.b", "payload": {"x": 1}, "resource": "course", "resource_id": "c:1"});
    let cases: [(&str, Value); 16] = [
        ("event", Value::Null),
        ("event", json!("")),
        ("event", json!("  ")),
        ("event", json!(5)),
        ("event", json!(" a")),
        ("event", json!("a.*")),
        ("event", json!("x".repeat(129))),
        ("payload", Value::Null),
        ("payload", json!([1])),
        ("payload", json!("text")),
        ("payload", json!({"email": "not an address"})),
        ("resource", json!("a\nb")),
        ("resource", json!("x".repeat(65))),
        ("resource_id", json!("a\u{7}")),
        ("resource_id", json!("x".repeat(65))),
        ("workspace", json!("not-a-uuid")),
    ];
    for (field, value) in cases {
        let mut body = good.clone();
        body[field] = value.clone();
        let answer = api
            .post_with_key(&workspace.publishable_key, "/events", &body)
            .await;
        let error = answer.expect_error(400);
        let data = error.pointer("/error/data").cloned().unwrap_or_default();
        let named = data
            .as_array()
            .is_some_and(|items| items.iter().any(|item| item["param"].to_string().contains(field)));
        assert!(named, "{field} = {value} is not named: {error}");
    }
    api.post("/events", &good).await.expect_error(400);
    assert_eq!(
        api.get("/events").await.expect(200)["records"],
        json!([]),
        "nothing refused was stored"
    );
}

#[tokio::test]
async fn what_json_readers_disagree_about_is_refused() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Strict").await;
    let send = |body: Vec<u8>| {
        let request = api
            .request(Method::POST, "/events")
            .header("x-meshes-publishable-key", &workspace.publishable_key)
            .header("content-type", "application/json")
            .body(body);
        api.send(request)
    };
    let bad: [&[u8]; 9] = [
        b"",
        b"{",
        b"{\"event\":\"a\",\"payload\":{\"x\":1}} x",
        b"{\"event\":\"a\",\"payload\":{\"x\":1,\"x\":2}}",
        b"{\"event\":\"a\",\"payload\":{\"x\":NaN}}",
        b"{\"event\":\"a\",\"payload\":{\"x\":\"\\ud800\"}}",
        b"{\"event\":\"a\",\"payload\":{\"x\":\"\\u0000\"}}",
        b"{\"event\":\"a\",\"payload\":{\"x\":\"\xff\"}}",
        b"[]",
    ];
    for body in bad {
        send(body.to_vec()).await.expect_error(400);
    }
    let deep = format!(
        "{{\"event\":\"a\",\"payload\":{}1{}}}",
        "{\"x\":".repeat(65),
        "}".repeat(65)
    );
    let error = send(deep.into_bytes()).await.expect_error(413);
    assert!(
        error["message"].to_string().contains("64") || error["error"].to_string().contains("64"),
        "{error}"
    );
    let abyss = format!("{{\"event\":\"a\",\"payload\":{}}}", "[".repeat(200_000));
    let status = send(abyss.into_bytes()).await.status;
    assert!([400, 413].contains(&status), "{status}");
}

#[tokio::test]
async fn a_payload_may_have_256_kib_and_not_a_byte_more() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Size").await;
    let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
    api.webhook_rule(&workspace, &connection, "big").await;
    let around = json!({"x": ""}).to_string().len();
    let largest = json!({"x": "a".repeat(256 * 1024 - around)});
    let id = api.emit(&workspace, "big", largest.clone()).await;
    api.wait_for_event(&id, "completed").await;
    assert_eq!(receiver.wait_for("/hook", 1).await[0].json()["payload"], largest);

    let larger = json!({"x": "a".repeat(256 * 1024 - around + 1)});
    let body = json!({"workspace": workspace.id, "event": "big", "payload": larger});
    let error = api.post("/events", &body).await.expect_error(413);
    assert!(
        error.to_string().contains("262144"),
        "the limit is named: {error}"
    );
    let huge =
        json!({"workspace": workspace.id, "event": "big", "payload": {"x": "a".repeat(6 * 1024 * 1024)}});
    api.post("/events", &huge).await.expect_error(413);
}
