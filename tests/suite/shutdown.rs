//! SIGTERM: what is in flight is finished, what waits is kept.

use std::collections::BTreeSet;

use heddle_tests::api::{Api, Workspace};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::{Gate, Receiver, Reply};
use heddle_tests::wait::until;
use serde_json::json;

/// An engine that sends one event at a time to `/hook`, which answers when the gate opens.
async fn scene(settings: Settings, gate: &Gate) -> (Engine, Receiver, Api, Workspace) {
    let receiver = Receiver::start().await;
    receiver.always("/hook", Reply::status(200).behind(gate));
    let engine = Engine::start(settings).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Shutdown").await;
    let metadata = json!({"url": receiver.url("/hook"), "skip_url_test": true, "concurrency": 1});
    let connection = api
        .connection(&workspace, "webhook", "One at a time", metadata)
        .await;
    api.webhook_rule(&workspace, &connection, "a").await;
    (engine, receiver, api, workspace)
}

async fn stopping(engine: &Engine) {
    engine.terminate().await;
    until(
        "the engine to say that it stops",
        || async { engine.log() },
        |log| log.contains("stopping"),
    )
    .await;
}

#[tokio::test]
async fn a_request_under_way_is_finished_and_recorded_and_the_rest_is_kept() {
    let gate = Gate::closed();
    let (mut engine, receiver, api, workspace) = scene(Settings::default(), &gate).await;
    let mut events = Vec::new();
    for n in 0..5 {
        events.push(api.emit(&workspace, "a", json!({"n": n})).await);
    }
    receiver.wait_for("/hook", 1).await;
    stopping(&engine).await;
    gate.open();
    assert!(engine.ended().await.success());
    let sent_before = receiver.requests_at("/hook").len();
    assert!(sent_before < events.len(), "nothing new was begun");

    engine.restart().await;
    let api = api.at(&engine);
    for event in &events {
        let done = api.wait_for_event(event, "completed").await;
        assert_eq!(
            done["rule_events"][0]["attempt_count"], 1,
            "no attempt was wasted: {done}"
        );
    }
    let sent: Vec<_> = receiver.requests_at("/hook");
    let ids: BTreeSet<_> = sent
        .iter()
        .map(|request| request.delivery_id().to_owned())
        .collect();
    assert_eq!(
        (sent.len(), ids.len()),
        (events.len(), events.len()),
        "each arrived exactly once"
    );
}

#[tokio::test]
async fn a_request_that_outlasts_the_grace_is_repeated_after_the_next_start_with_the_same_id() {
    let gate = Gate::closed();
    let settings = Settings::default()
        .with("SHUTDOWN_GRACE", "300ms")
        .retrying("0s,50ms");
    let (mut engine, receiver, api, workspace) = scene(settings, &gate).await;
    let event = api.emit(&workspace, "a", json!({"n": 1})).await;
    receiver.wait_for("/hook", 1).await;
    stopping(&engine).await;
    assert!(engine.ended().await.success());
    gate.open();
    engine.restart().await;
    api.at(&engine).wait_for_event(&event, "completed").await;
    let sent = receiver.requests_at("/hook");
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].delivery_id(), sent[1].delivery_id());
}

#[tokio::test]
async fn a_terminal_that_went_away_does_not_hinder_the_stop() {
    let gate = Gate::closed();
    let (mut engine, receiver, api, workspace) = scene(Settings::default(), &gate).await;
    let event = api.emit(&workspace, "a", json!({"n": 1})).await;
    receiver.wait_for("/hook", 1).await;
    engine.close_output().await;
    engine.terminate().await;
    gate.open();
    let ended = engine.ended().await;
    assert!(ended.success(), "{ended}");
    engine.restart().await;
    let done = api.at(&engine).wait_for_event(&event, "completed").await;
    assert_eq!(done["rule_events"][0]["attempt_count"], 1, "{done}");
}

#[tokio::test]
async fn a_wait_for_a_retry_survives_a_restart() {
    let receiver = Receiver::start().await;
    receiver.answer("/hook", [Reply::status(503)]);
    let mut engine = Engine::start(Settings::default().retrying("0s,700ms")).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Waiting").await;
    let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
    let rule = api.webhook_rule(&workspace, &connection, "a").await;
    let event = api.emit(&workspace, "a", json!({"n": 1})).await;
    api.wait_for_event(&event, "retrying").await;
    engine.terminate().await;
    assert!(engine.ended().await.success());
    engine.restart().await;
    let api = api.at(&engine);
    api.wait_for_event(&event, "completed").await;
    assert_eq!(api.attempts(&event, &rule).await.len(), 2);
}
