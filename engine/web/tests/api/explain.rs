//! Why rules matched or did not, and rules that are only tried out.

use serde_json::{Value, json};

use crate::world::{World, text};

async fn rule(world: &World, workspace: &str, connection: &str, extra: Value) -> String {
    let mut body = json!({"workspace": workspace, "connection": connection, "event": "order.paid",
                          "metadata": {"action": "ping"}});
    for (key, value) in extra.as_object().unwrap() {
        body[key] = value.clone();
    }
    text(&world.post("/api/v1/rules", body).await.expect(201)["rule"]["id"])
}

async fn order(world: &World, workspace: &str, payload: Value) -> String {
    let body = json!({"workspace": workspace, "event": "order.paid", "resource": "shop",
                      "resource_id": "1", "payload": payload});
    text(&world.post("/api/v1/events", body).await.expect(201)["event"]["id"])
}

async fn explained(world: &World, event: &str, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/events/{event}/explain{query}");
    world.get(&path).await.expect(200)["records"]
        .as_array()
        .unwrap()
        .clone()
}

#[track_caller]
fn about<'a>(records: &'a [Value], rule: &str) -> &'a Value {
    records
        .iter()
        .find(|record| record["rule"] == json!(rule))
        .unwrap_or_else(|| panic!("{rule} is not in {records:?}"))
}

#[tokio::test]
async fn every_rule_says_why_it_matched_an_event_or_did_not() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let connection = world.connection(&workspace, "CRM").await;
    let make = |extra: Value| rule(&world, &workspace, &connection, extra);
    let cases = [
        (
            make(json!({"condition": "payload.total > 10"})).await,
            "matched",
            "matched",
        ),
        (make(json!({"event": "order.*"})).await, "matched", "matched"),
        (
            make(json!({"event": "order.sent"})).await,
            "other_event",
            "order.sent",
        ),
        (make(json!({"resource": "site"})).await, "other_resource", "site"),
        (
            make(json!({"resource_id": "2"})).await,
            "other_resource_id",
            "has 1",
        ),
        (make(json!({"active": false})).await, "inactive", "inactive"),
        (
            make(json!({"condition": "payload.total > 100"})).await,
            "condition_false",
            "false",
        ),
        (
            make(json!({"condition": "payload.sum > 100"})).await,
            "condition_failed",
            "no member \"sum\"",
        ),
    ];
    world.clock.advance(10);
    let event = order(&world, &workspace, json!({"total": 42})).await;
    world.clock.advance(10);
    let later = make(json!({})).await;

    let records = explained(&world, &event, "").await;
    assert_eq!(records.len(), cases.len() + 1);
    for (rule, outcome, part) in &cases {
        let record = about(&records, rule);
        assert_eq!(record["outcome"], json!(outcome), "{record}");
        assert_eq!(record["matched"], json!(*outcome == "matched"), "{record}");
        assert_eq!(
            record["rule_event"].is_object(),
            *outcome == "matched",
            "{record}"
        );
        assert_eq!(record["changed_since"], json!(false), "{record}");
        assert!(record["reason"].as_str().unwrap().contains(part), "{record}");
    }
    assert_eq!(about(&records, &later)["outcome"], json!("created_later"));
    assert!(
        records[..2].iter().all(|record| record["matched"] == json!(true)),
        "they come first"
    );

    let saw = |rule: &str| about(&records, rule)["condition"]["decisive"]["saw"].clone();
    let total = json!([{"expression": "payload.total", "type": "int", "value": 42}]);
    assert_eq!((saw(&cases[0].0), saw(&cases[6].0)), (total.clone(), total));
    let failed = &about(&records, &cases[7].0)["condition"];
    assert_eq!(
        (&failed["result"], &failed["decisive"]["expression"]),
        (&json!(null), &json!("payload.sum"))
    );

    for (query, count) in [("?matched=true", 2), ("?matched=false", 7)] {
        assert_eq!(explained(&world, &event, query).await.len(), count, "{query}");
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/events/{event}/explain?limit=2&cursor={cursor}");
        let page = world.get(&path).await.expect(200);
        seen.extend(page["records"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, records);
}

#[tokio::test]
async fn what_changed_since_the_event_is_said() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let connection = world.connection(&workspace, "CRM").await;
    let make = |extra: Value| rule(&world, &workspace, &connection, extra);
    let narrowed = make(json!({})).await;
    let widened = make(json!({"event": "order.sent"})).await;
    let deleted = make(json!({})).await;
    world.clock.advance(10);
    let event = order(&world, &workspace, json!({"total": 1})).await;
    world.clock.advance(10);
    world
        .put(
            &format!("/api/v1/rules/{narrowed}"),
            json!({"condition": "payload.total > 1"}),
        )
        .await
        .expect(200);
    world
        .put(&format!("/api/v1/rules/{widened}"), json!({"event": "order.*"}))
        .await
        .expect(200);
    world
        .delete(&format!("/api/v1/rules/{deleted}"))
        .await
        .expect(200);
    world
        .put(
            &format!("/api/v1/connections/{connection}"),
            json!({"name": "CRM", "metadata": {"url": "https://acme.example"}, "active": false}),
        )
        .await
        .expect(200);

    let records = explained(&world, &event, "").await;
    let shown = |rule: &str| {
        let record = about(&records, rule);
        json!([
            record["outcome"],
            record["now"],
            record["changed_since"],
            record["rule_deleted"]
        ])
    };
    assert_eq!(
        shown(&narrowed),
        json!(["matched", "condition_false", true, false])
    );
    assert_eq!(shown(&widened), json!(["changed_since", "matched", true, false]));
    assert_eq!(shown(&deleted), json!(["matched", null, true, true]));
    assert_eq!(
        about(&records, &deleted)["rule_event"]["status"],
        json!("canceled")
    );
    let waits = about(&records, &narrowed);
    assert_eq!(waits["connection_active"], json!(false));
    assert!(
        waits["reason"].as_str().unwrap().contains("deliveries wait"),
        "{waits}"
    );
}

#[tokio::test]
async fn a_rule_is_tried_out_on_the_last_events_without_delivering() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let connection = world.connection(&workspace, "CRM").await;
    for total in 0..120 {
        order(&world, &workspace, json!({"total": total})).await;
        world.clock.advance(1);
    }
    world.emit(&workspace, "lesson.completed").await;
    let run = |body: Value| {
        let world = &world;
        let mut all = json!({"workspace": workspace});
        for (key, value) in body.as_object().unwrap() {
            all[key] = value.clone();
        }
        async move { world.post("/api/v1/rules/dry-run", all).await }
    };
    let unsaved = json!({"event": "order.*", "condition": "payload.total >= 100"});
    let first = run(json!({"rule": unsaved})).await.expect(200);
    assert_eq!((&first["checked"], &first["matched"]), (&json!(100), &json!(20)));
    assert_eq!(
        first["outcomes"],
        json!({"condition_false": 79, "matched": 20, "other_event": 1})
    );
    let newest = &first["records"][1];
    assert_eq!(
        (&newest["matched"], &newest["condition"]["result"]),
        (&json!(true), &json!(true))
    );
    let rest = run(json!({"rule": unsaved, "cursor": first["next_cursor"]}))
        .await
        .expect(200);
    assert_eq!(
        (&rest["checked"], &rest["next_cursor"]),
        (&json!(21), &json!(null))
    );
    let all = run(json!({"rule": unsaved, "last": 1000})).await.expect(200);
    assert_eq!((&all["checked"], &all["matched"]), (&json!(121), &json!(20)));

    let saved = rule(&world, &workspace, &connection, json!({"active": false})).await;
    let tried = run(json!({"rule_id": saved, "last": 2})).await.expect(200);
    assert_eq!((&tried["checked"], &tried["matched"]), (&json!(2), &json!(1)));
    assert_eq!(
        world.get("/api/v1/events?status=pending").await.expect(200)["count"],
        json!(0)
    );
}

#[tokio::test]
async fn a_dry_run_that_is_not_understood_is_refused_by_its_parameter() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let (second, _) = world.workspace("Second").await;
    let connection = world.connection(&second, "CRM").await;
    let elsewhere = rule(&world, &second, &connection, json!({})).await;
    for (body, param) in [
        (json!({"workspace": workspace}), "rule"),
        (
            json!({"workspace": workspace, "rule": {"event": "a"}, "rule_id": elsewhere}),
            "rule",
        ),
        (json!({"workspace": workspace, "rule": {}}), "rule.event"),
        (
            json!({"workspace": workspace, "rule": {"event": "a", "condition": "payload."}}),
            "rule.condition",
        ),
        (json!({"workspace": workspace, "rule_id": elsewhere}), "rule_id"),
        (
            json!({"workspace": workspace, "rule": {"event": "a"}, "last": 1001}),
            "last",
        ),
        (
            json!({"workspace": workspace, "rule": {"event": "a"}, "last": 0}),
            "last",
        ),
        (
            json!({"workspace": workspace, "rule": {"event": "a"}, "cursor": "!"}),
            "cursor",
        ),
        (json!({"rule": {"event": "a"}}), "workspace"),
    ] {
        let answer = world.post("/api/v1/rules/dry-run", body.clone()).await;
        assert_eq!(answer.wrong_param(), param, "{body}");
    }
    let event = order(&world, &workspace, json!({})).await;
    for query in ["?matched=maybe", "?limit=0", "?cursor=x"] {
        let path = format!("/api/v1/events/{event}/explain{query}");
        assert!(query.contains(&world.get(&path).await.wrong_param()), "{query}");
    }
    let stranger = world.stranger().await;
    let path = format!("/api/v1/events/{event}/explain");
    world.send(&stranger, "GET", &path, "").await.refused(404);
}
