//! Rates, quotas and usage.

use heddle_store::DefaultLimits;
use serde_json::{Value, json};

use crate::world::{Answer, World};

const EVENTS: &str = "/api/v1/events";
const MAX: usize = 262_144;

fn standing(answer: &Answer) -> [Option<u64>; 4] {
    [
        "ratelimit-limit",
        "ratelimit-remaining",
        "ratelimit-reset",
        "retry-after",
    ]
    .map(|name| {
        let value = answer.headers.get(name)?;
        Some(value.to_str().unwrap().parse().unwrap())
    })
}

#[tokio::test]
async fn without_limits_no_answer_speaks_of_them() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let answer = world.get("/api/v1/workspaces").await;
    assert_eq!(standing(&answer), [None; 4]);
    let limits = world
        .get(&format!("/api/v1/workspaces/{workspace}/limits"))
        .await
        .expect(200);
    let none = json!({"rate": null, "events_per_month": null, "connections": null, "rules": null,
                      "payload_days": null, "attempt_days": null, "event_days": null});
    assert_eq!((&limits["limits"], &limits["own"]), (&none, &none));
}

#[tokio::test]
async fn a_credential_has_a_rate_over_all_that_it_asks_for() {
    let world = World::with(Some("3/1s"), MAX).await;
    let (_, page) = world.workspace("First").await;
    let second = world.get("/api/v1/workspaces").await;
    assert_eq!(standing(&second), [Some(3), Some(1), Some(1), None]);
    // Refused for what it asks, it has still asked.
    let third = world.get("/api/v1/rules/none").await;
    assert_eq!((third.status.as_u16(), standing(&third)[1]), (404, Some(0)));
    let fourth = world.get("/api/v1/workspaces").await;
    assert_eq!(standing(&fourth), [Some(3), Some(0), Some(1), Some(1)]);
    assert_eq!(fourth.refused(429), "rate_limited");
    let event = json!({"event": "a", "payload": {}}).to_string();
    let other = world.send(&page, "POST", EVENTS, event).await;
    assert_eq!(
        standing(&other),
        [Some(3), Some(2), Some(1), None],
        "another credential"
    );
    world.clock.advance(334);
    world.get("/api/v1/workspaces").await.expect(200);
}

#[tokio::test]
async fn a_workspace_has_a_rate_for_what_is_emitted_into_it() {
    let world = World::new().await;
    let (first, page) = world.workspace("First").await;
    let (second, _) = world.workspace("Second").await;
    let limits = |of: &str| format!("/api/v1/workspaces/{of}/limits");
    let set = world
        .put(&limits(&first), json!({"rate": "2/1m"}))
        .await
        .expect(200);
    assert_eq!(
        (&set["own"]["rate"], &set["limits"]["rate"]),
        (&json!("2/1m"), &json!("2/1m"))
    );
    let event = |of: &str| json!({"event": "a", "payload": {}, "workspace": of});
    let one = world.send(&page, "POST", EVENTS, event(&first).to_string()).await;
    assert_eq!(standing(&one), [Some(2), Some(1), Some(30), None]);
    world.post(EVENTS, event(&first)).await.expect(201);
    let page_again = world.send(&page, "POST", EVENTS, event(&first).to_string()).await;
    assert_eq!(page_again.headers["access-control-allow-origin"], "*");
    assert_eq!(standing(&page_again), [Some(2), Some(0), Some(60), Some(30)]);
    assert_eq!(page_again.refused(429), "rate_limited");
    let back_end = world.post(EVENTS, event(&first)).await;
    assert_eq!(
        standing(&back_end)[3],
        Some(30),
        "both doors lead to one workspace"
    );
    assert_eq!(back_end.refused(429), "rate_limited");
    world.post(EVENTS, event(&second)).await.expect(201);
    let bulk = json!([event(&second), event(&first), event(&first)]);
    let bulk = world.post("/api/v1/events/bulk", bulk).await.expect(207);
    assert_eq!(
        (&bulk["error_count"], &bulk["records"][1]["code"]),
        (&json!(2), &json!("rate_limited"))
    );
    world.get(&limits(&first)).await.expect(200);
    world.put(&limits(&first), json!({})).await.expect(200);
    world.post(EVENTS, event(&first)).await.expect(201);
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_a_429_that_says_when_it_is_new() {
    let world = World::new().await;
    let (workspace, page) = world.workspace("First").await;
    let limits = format!("/api/v1/workspaces/{workspace}/limits");
    world
        .put(
            &limits,
            json!({"events_per_month": 2, "connections": 1, "rules": 0}),
        )
        .await
        .expect(200);
    let item = json!({"event": "a", "payload": {"n": 1}});
    let bulk = json!([item, item, item]).to_string();
    let bulk = world
        .send(&page, "POST", "/api/v1/events/bulk", bulk)
        .await
        .expect(207);
    assert_eq!(
        (&bulk["error_count"], &bulk["records"][2]["code"]),
        (&json!(1), &json!("quota_exceeded"))
    );
    let refused = world.send(&page, "POST", EVENTS, item.to_string()).await;
    assert_eq!(refused.headers["retry-after"], "Wed, 01 Apr 2026 00:00:00 GMT");
    let quota = json!({"counter": "events_per_month", "limit": 2, "used": 2,
                       "resets_at": "2026-04-01T00:00:00.000Z"});
    assert_eq!(bulk["records"][2]["error"]["quota"], quota);
    assert_eq!(refused.expect(429)["error"]["quota"], quota);
    let usage = world
        .get(&format!("/api/v1/workspaces/{workspace}/usage"))
        .await
        .expect(200);
    let month =
        json!({"from": "2026-03-01", "events": 2, "limit": 2, "resets_at": "2026-04-01T00:00:00.000Z"});
    assert_eq!(usage["month"], month);

    let connection = world.connection(&workspace, "CRM").await;
    let body = json!({"workspace": workspace, "type": "acme", "name": "More",
                      "metadata": {"url": "https://acme.example", "api_key": "key-of-acme"}});
    let more = world.post("/api/v1/connections", body).await;
    assert!(!more.headers.contains_key("retry-after"), "nobody knows when");
    let more = more.expect(429)["error"].clone();
    assert_eq!(more["quota"]["counter"], json!("connections"));
    let says = more["message"].as_str().unwrap();
    assert!(
        says.contains("Delete") && says.contains("limit_connections"),
        "{says}"
    );
    let rule = json!({"workspace": workspace, "connection": connection, "event": "a",
                      "metadata": {"action": "post", "id": "C1"}});
    assert_eq!(
        world.post("/api/v1/rules", rule).await.refused(429),
        "quota_exceeded"
    );
}

#[tokio::test]
async fn the_month_of_an_organization_is_shown_to_whom_all_of_it_is() {
    let world = World::new().await;
    let (first, _) = world.workspace("First").await;
    let (second, _) = world.workspace("Second").await;
    let month = |events: u64, limit: Option<u64>| json!({"from": "2026-03-01", "events": events, "limit": limit, "resets_at": "2026-04-01T00:00:00.000Z"});
    let usage =
        async |query: &str| world.get(&format!("/api/v1/usage{query}")).await.expect(200)["month"].clone();
    world.emit(&first, "a").await;
    assert_eq!(
        usage("").await,
        month(1, None),
        "without a limit it is counted too"
    );
    world.store.set_default_limits(DefaultLimits {
        organisation_events_per_month: Some(3),
        ..DefaultLimits::default()
    });
    world.emit(&second, "a").await;
    world.emit(&second, "a").await;
    let body = json!({"workspace": first, "event": "a", "payload": {"n": 1}});
    let refused = world.post(EVENTS, body).await.expect(429)["error"]["quota"].clone();
    assert_eq!(
        (&refused["counter"], &refused["used"]),
        (&json!("organization_events_per_month"), &json!(3))
    );
    assert_eq!(usage("").await, month(3, Some(3)));
    assert_eq!(usage("?from=2026-01-01&to=2026-01-31").await, month(3, Some(3)));
    assert_eq!(usage(&format!("?workspace={second}")).await, month(2, None));
    let one = world
        .narrow(&world.machine(), json!({"workspaces": [first]}))
        .await;
    let theirs = world.send(&one, "GET", "/api/v1/usage", "").await.expect(200);
    assert_eq!(theirs["month"], Value::Null);
    let path = format!("/api/v1/usage?workspace={first}");
    let own = world.send(&one, "GET", &path, "").await.expect(200);
    assert_eq!(own["month"], month(1, None));
    world.clock.advance(12 * 24 * 60 * 60 * 1000);
    assert_eq!(usage("").await["events"], json!(0), "a new month");
}

#[tokio::test]
async fn limits_are_read_strictly_and_written_by_who_may() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let path = format!("/api/v1/workspaces/{workspace}/limits");
    for (body, param) in [
        (json!({"rate": "fast"}), "rate"),
        (json!({"rate": 5}), "rate"),
        (json!({"rules": -1}), "rules"),
        (json!({"connections": 1.5}), "connections"),
        (json!({"events_per_month": "many"}), "events_per_month"),
        (
            json!({"events_per_month": 1_000_000_000_001_u64}),
            "events_per_month",
        ),
        (json!({"event_per_month": 5}), "event_per_month"),
    ] {
        assert_eq!(
            world.put(&path, body.clone()).await.wrong_param(),
            param,
            "{body}"
        );
    }
    let stranger = world.stranger().await;
    for method in ["GET", "PUT"] {
        assert_eq!(
            world.send(&stranger, method, &path, "{}").await.refused(404),
            "not_found"
        );
    }
    let reader = world
        .narrow(&world.machine(), json!({"permissions": ["usage:read"]}))
        .await;
    world.send(&reader, "GET", &path, "").await.expect(200);
    let own = world
        .narrow(&world.machine(), json!({"workspaces": [workspace]}))
        .await;
    assert_eq!(
        world.send(&own, "PUT", &path, "{}").await.refused(403),
        "forbidden"
    );
    assert_eq!(
        world.send(&reader, "PUT", &path, "{}").await.refused(403),
        "permission_missing"
    );
}

#[tokio::test]
async fn usage_is_reported_by_day_and_by_workspace() {
    let world = World::new().await;
    let (first, _) = world.workspace("First").await;
    let (second, _) = world.workspace("Second").await;
    world.emit(&first, "a").await;
    world.clock.advance(24 * 60 * 60 * 1000);
    world.emit(&first, "a").await;
    world.emit(&second, "a").await;
    let usage = world.get("/api/v1/usage").await.expect(200);
    assert_eq!(
        (&usage["from"], &usage["to"]),
        (&json!("2026-03-01"), &json!("2026-03-21"))
    );
    let counters =
        json!({"events": 3, "bytes": 21, "deliveries": 0, "attempts": 0, "delivered": 0, "failed": 0});
    assert_eq!(usage["total"], counters);
    let days: Vec<(&Value, &Value)> = usage["days"]
        .as_array()
        .unwrap()
        .iter()
        .map(|day| (&day["day"], &day["events"]))
        .collect();
    assert_eq!(
        days,
        [
            (&json!("2026-03-20"), &json!(1)),
            (&json!("2026-03-21"), &json!(2))
        ]
    );
    assert_eq!(usage["workspaces"].as_array().unwrap().len(), 2);
    let of = |query: String| {
        let world = &world;
        async move { world.get(&format!("/api/v1/usage?{query}")).await.expect(200)["total"]["events"].clone() }
    };
    assert_eq!(of(format!("workspace={second}")).await, json!(1));
    assert_eq!(of("from=2026-03-21&to=2026-03-21".into()).await, json!(2));
    assert_eq!(of("from=2025-03-21&to=2026-03-20".into()).await, json!(1));
    for (query, param) in [
        ("from=yesterday", "from"),
        ("to=2026-02-30", "to"),
        ("from=2026-03-22", "from"),
        ("from=2025-01-01&to=2026-03-20", "from"),
        ("workspace=mine", "workspace"),
    ] {
        let refused = world.get(&format!("/api/v1/usage?{query}")).await;
        assert_eq!(refused.wrong_param(), param, "{query}");
    }
    let stranger = world.stranger().await;
    let theirs = world
        .send(&stranger, "GET", "/api/v1/usage", "")
        .await
        .expect(200);
    assert_eq!(
        (&theirs["total"]["events"], &theirs["days"]),
        (&json!(0), &json!([]))
    );
    for path in [
        format!("usage?workspace={first}"),
        format!("workspaces/{first}/usage"),
    ] {
        let refused = world.send(&stranger, "GET", &format!("/api/v1/{path}"), "").await;
        assert_eq!(refused.refused(404), "not_found", "{path}");
    }
}

#[tokio::test]
async fn the_limit_on_payloads_can_be_lowered() {
    let world = World::with(None, 20).await;
    let (_, page) = world.workspace("First").await;
    let event = |payload: &str| format!(r#"{{"event":"a","payload":{payload}}}"#);
    world
        .send(&page, "POST", EVENTS, event(r#"{"x":"12345678901"}"#))
        .await
        .expect(201);
    let refused = world
        .send(&page, "POST", EVENTS, event(r#"{"x":"1234567890123"}"#))
        .await;
    assert!(refused.text.contains("the limit is 20"), "{}", refused.text);
    assert_eq!(refused.refused(413), "payload_too_large");
}
