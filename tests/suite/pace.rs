//! A rate that a manifest states is kept to, and nobody else waits for it.

use std::time::{Duration, Instant};

use futures::future::join_all;
use heddle_tests::api::Api;
use heddle_tests::engine::{Engine, Home, Settings};
use heddle_tests::receiver::Receiver;
use serde_json::{Value, json};

use crate::component::{DESCRIBES, asks_for, asks_then_done, component};

/// A destination that states `rates` and takes `requests` requests for each delivery.
async fn destination(receiver: &Receiver, rates: Value, requests: u32) -> Engine {
    let manifest = json!({
        "name": "counted", "title": "Counted", "authentication": {"type": "none", "fields": []},
        "hosts": ["api.example.com"], "limits": {"concurrency": 16, "rates": rates},
        "actions": {"send": {"key": "send", "label": "Send", "noun": "thing"}},
    });
    let asks = asks_for("https://api.example.com/counted", ("x-plain", "1"));
    let home = Home::new();
    home.put_plugin(
        "counted.wasm",
        &component(&manifest, DESCRIBES, &asks_then_done(requests, &asks)),
    );
    home.serve(Settings::default().routing(&["api.example.com"], receiver.base()))
        .await
}

#[tokio::test]
async fn a_burst_of_a_thousand_deliveries_is_never_answered_with_a_429() {
    const RATE: usize = 200;
    let receiver = Receiver::start().await;
    let engine = destination(&receiver, json!([{"requests": RATE, "per_seconds": 1}]), 1).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Burst").await;
    // Two connections to one account share its rate.
    for (name, event) in [("One", "a"), ("Two", "b")] {
        let connection = api.connection(&workspace, "counted", name, json!({})).await;
        api.rule(&workspace, &connection, event, json!({"action": "send"}))
            .await;
    }
    let other = api.webhook(&workspace, &receiver.url("/other")).await;
    api.webhook_rule(&workspace, &other, "c").await;

    let burst = |event: &str| {
        let item = json!({"workspace": workspace.id, "event": event, "payload": {"n": 1}});
        json!(vec![item; 100])
    };
    let bursts: Vec<Value> = (0..10)
        .map(|n| burst(if n % 2 == 0 { "a" } else { "b" }))
        .collect();
    for answer in join_all(bursts.iter().map(|burst| api.post("/events/bulk", burst))).await {
        answer.expect(201);
    }
    // Meanwhile another connection goes on as ever.
    let mut slowest = Duration::ZERO;
    for n in 0..5 {
        let emitted = Instant::now();
        api.emit(&workspace, "c", json!({"n": n})).await;
        let arrived = receiver.wait_for("/other", n + 1).await[n].at;
        slowest = slowest.max(arrived.saturating_duration_since(emitted));
    }
    let under_way = receiver.requests_at("/counted").len();
    assert!(under_way < 1_000, "the burst was over already");
    assert!(
        slowest < Duration::from_secs(2),
        "{slowest:?} behind another account's burst"
    );

    let mut arrived: Vec<Instant> = receiver
        .wait_for("/counted", 1_000)
        .await
        .iter()
        .map(|r| r.at)
        .collect();
    arrived.sort_unstable();
    assert_eq!(arrived.len(), 1_000);
    // What a receiver would have answered that counts a sliding window.
    let refused = arrived
        .iter()
        .zip(arrived.iter().skip(RATE))
        .filter(|(first, over)| **over - **first < Duration::from_secs(1))
        .count();
    assert_eq!(refused, 0, "requests beyond {RATE} in a second");
}

#[tokio::test]
async fn every_request_counts_not_every_delivery() {
    let receiver = Receiver::start().await;
    let engine = destination(&receiver, json!([{"requests": 20, "per_seconds": 1}]), 3).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Steps").await;
    let connection = api.connection(&workspace, "counted", "Counted", json!({})).await;
    api.rule(&workspace, &connection, "a", json!({"action": "send"}))
        .await;
    let item = json!({"workspace": workspace.id, "event": "a", "payload": {"n": 1}});
    let emitted = api.post("/events/bulk", &json!(vec![item; 20])).await.expect(201);
    let events = emitted["records"].as_array().expect("records").iter();
    let ids = events.filter_map(|event| event["id"].as_str());
    join_all(ids.map(|id| api.wait_for_event(id, "completed"))).await;
    let mut arrived: Vec<Instant> = receiver.requests_at("/counted").iter().map(|r| r.at).collect();
    arrived.sort_unstable();
    // What was begun was finished, not begun anew.
    assert_eq!(arrived.len(), 60);
    for (first, over) in arrived.iter().zip(arrived.iter().skip(20)) {
        assert!(*over - *first >= Duration::from_secs(1), "{:?}", *over - *first);
    }
}

#[tokio::test]
async fn a_delivery_whose_turn_is_far_away_waits_without_failing_and_says_so() {
    let receiver = Receiver::start().await;
    let rates = json!([{"requests": 2, "per_seconds": 86_400, "of": ["person"]}]);
    let engine = destination(&receiver, rates, 1).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Daily").await;
    let connection = api.connection(&workspace, "counted", "Counted", json!({})).await;
    let rule = api
        .rule(&workspace, &connection, "a", json!({"action": "send"}))
        .await;
    for _ in 0..2 {
        let event = api
            .emit(&workspace, "a", json!({"person": "ada@example.com"}))
            .await;
        api.wait_for_event(&event, "completed").await;
    }
    let third = api
        .emit(&workspace, "a", json!({"person": " Ada@Example.com"}))
        .await;
    let waiting = api.wait_for_rule_event(&third, &rule, "retrying").await;
    assert!(waiting["next_attempt_at"].is_string(), "{waiting}");
    let attempts = api.attempts(&third, &rule).await;
    assert_eq!(attempts[0]["outcome_code"], "rate_limited");
    let message = attempts[0]["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("2 requests in 86400 s for the same person"),
        "{message}"
    );
    // Somebody else is not the same person.
    let other = api
        .emit(&workspace, "a", json!({"person": "ben@example.com"}))
        .await;
    api.wait_for_event(&other, "completed").await;
    assert_eq!(receiver.requests_at("/counted").len(), 3);
}
