//! A disk that is full for a while: nothing is acknowledged that is not stored, and nobody has to
//! restart anything afterwards.

use heddle_tests::api::{Api, records};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::{Gate, Receiver, Reply};
use heddle_tests::wait::until;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_full_disk_is_said_and_left_behind_without_a_restart() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default().on_a_disk_that_can_be_full()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Full disk").await;
    let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
    api.webhook_rule(&workspace, &connection, "a").await;
    let before = api.emit(&workspace, "a", json!({"n": 0})).await;
    api.wait_for_event(&before, "completed").await;

    engine.fill_disk().await;
    for n in 1..=3 {
        let body = json!({"workspace": workspace.id, "event": "a", "payload": {"n": n}});
        let error = api.post("/events", &body).await.expect_error(503);
        assert!(
            !error.to_string().contains("heddle.db"),
            "what is inside stays inside: {error}"
        );
        let bulk = api.post("/events/bulk", &json!([body])).await;
        assert_eq!(bulk.status, 503, "{bulk:?}");
    }
    api.post("/workspaces", &json!({"name": "No room"}))
        .await
        .expect_error(503);
    let health = |path| api.send(api.request_root(Method::GET, path));
    assert_eq!(health("/healthz").await.status, 200, "a restart would not help");
    assert_eq!(health("/readyz").await.status, 503);
    assert_eq!(api.event(&before).await["status"], "completed", "reading goes on");

    engine.free_disk().await;
    until(
        "it to be ready again",
        || health("/readyz"),
        |answer| answer.status == 200,
    )
    .await;
    let after = api.emit(&workspace, "a", json!({"n": 9})).await;
    api.wait_for_event(&after, "completed").await;
    assert_eq!(
        records(&api.get("/events").await.expect(200)).len(),
        2,
        "what was refused was not stored"
    );
    let sent = receiver.requests_at("/hook");
    let numbers: Vec<_> = sent
        .iter()
        .map(|request| request.json()["payload"]["n"].clone())
        .collect();
    assert_eq!(
        numbers,
        [json!(0), json!(9)],
        "what was refused was not delivered"
    );
}

#[tokio::test]
async fn an_attempt_that_ends_while_the_disk_is_full_is_recorded_later_and_not_repeated() {
    let receiver = Receiver::start().await;
    let gate = Gate::closed();
    receiver.always("/hook", Reply::status(200).behind(&gate));
    let engine = Engine::start(Settings::default().on_a_disk_that_can_be_full()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Full disk").await;
    let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
    let rule = api.webhook_rule(&workspace, &connection, "a").await;
    let event = api.emit(&workspace, "a", json!({"n": 1})).await;
    receiver.wait_for("/hook", 1).await;
    engine.fill_disk().await;
    gate.open();
    // The engine has tried to commit, and could not.
    let ready = || api.send(api.request_root(Method::GET, "/readyz"));
    until("it not to be ready", ready, |answer| answer.status == 503).await;
    assert_ne!(api.event(&event).await["status"], "completed");
    engine.free_disk().await;
    api.wait_for_event(&event, "completed").await;
    assert_eq!(api.attempts(&event, &rule).await.len(), 1);
    assert_eq!(
        receiver.requests_at("/hook").len(),
        1,
        "the destination got it once"
    );
}
