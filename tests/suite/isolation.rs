//! One destination must not hold up another.

use std::time::{Duration, Instant};

use futures::future::join_all;
use heddle_tests::api::Api;
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::{Gate, Receiver, Reply};
use serde_json::json;

#[tokio::test]
async fn a_destination_that_hangs_does_not_slow_the_others() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Isolation").await;
    let gate = Gate::closed();
    receiver.always("/hangs", Reply::status(200).behind(&gate));
    let hanging = api.webhook(&workspace, &receiver.url("/hangs")).await;
    let quick = api.webhook(&workspace, &receiver.url("/quick")).await;
    api.webhook_rule(&workspace, &hanging, "a").await;
    let to_quick = api.webhook_rule(&workspace, &quick, "a").await;

    // More than the hanging destination may have under way at once, so that its lane is full.
    let items: Vec<_> = (0..100)
        .map(|n| json!({"workspace": workspace.id, "event": "a", "payload": {"n": n}}))
        .collect();
    let filled = api.post("/events/bulk", &json!(items)).await.expect(201);
    receiver.wait_for("/quick", 100).await;
    let under_way = receiver.requests_at("/hangs").len();
    assert!(
        (1..100).contains(&under_way),
        "{under_way} requests at a destination that answers none"
    );

    let mut slowest = Duration::ZERO;
    for n in 0..10 {
        let emitted = Instant::now();
        let event = api.emit(&workspace, "a", json!({"n": n})).await;
        let arrived = receiver.wait_for("/quick", 101 + n).await[100 + n].at;
        slowest = slowest.max(arrived.saturating_duration_since(emitted));
        api.wait_for_rule_event(&event, &to_quick, "completed").await;
    }
    assert!(
        slowest < Duration::from_secs(2),
        "{slowest:?} while another destination hangs"
    );

    gate.open();
    let events = filled["records"]
        .as_array()
        .expect("records")
        .iter()
        .filter_map(|event| event["id"].as_str());
    join_all(events.map(|event| api.wait_for_event(event, "completed"))).await;
    assert!(
        receiver.requests_at("/hangs").len() >= 100,
        "the hanging one got them all in the end"
    );
}

#[tokio::test]
async fn a_destination_that_never_answers_ends_in_a_timeout() {
    let receiver = Receiver::start().await;
    let settings = Settings::default().retrying("0s").with("EGRESS_TIMEOUT", "300ms");
    let engine = Engine::start(settings).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Timeout").await;
    receiver.always("/hangs", Reply::status(200).behind(&Gate::closed()));
    let hanging = api.webhook(&workspace, &receiver.url("/hangs")).await;
    let rule = api.webhook_rule(&workspace, &hanging, "a").await;
    let event = api.emit(&workspace, "a", json!({"n": 1})).await;
    api.wait_for_event(&event, "failed").await;
    assert_eq!(api.attempts(&event, &rule).await[0]["outcome_code"], "timeout");
}

#[tokio::test]
async fn many_workspaces_are_served_while_one_is_flooded() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let flooded = api.workspace("Flooded").await;
    let connection = api.webhook(&flooded, &receiver.url("/flood")).await;
    api.webhook_rule(&flooded, &connection, "a").await;
    let items: Vec<_> = (0..100)
        .map(|n| json!({"workspace": flooded.id, "event": "a", "payload": {"n": n}}))
        .collect();
    let items = json!(items);
    join_all((0..10).map(|_| api.post("/events/bulk", &items))).await;

    let calm = api.workspace("Calm").await;
    let connection = api.webhook(&calm, &receiver.url("/calm")).await;
    api.webhook_rule(&calm, &connection, "a").await;
    let emitted = Instant::now();
    api.emit(&calm, "a", json!({"n": 1})).await;
    let arrived = receiver.wait_for("/calm", 1).await[0].at;
    let took = arrived.saturating_duration_since(emitted);
    assert!(
        took < Duration::from_secs(2),
        "{took:?} behind another workspace's backlog"
    );
    receiver.wait_for("/flood", 1000).await;
}
