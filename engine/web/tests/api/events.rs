//! Events, as they are emitted and read.

use serde_json::{Value, json};

use crate::world::{Caller, World, text};

const EVENTS: &str = "/api/v1/events";
const BULK: &str = "/api/v1/events/bulk";

#[tokio::test]
async fn an_event_is_accepted_with_a_delivery_for_each_rule_that_it_matches() {
    let world = World::new().await;
    let (workspace, page) = world.workspace("First").await;
    let connection = world.connection(&workspace, "CRM").await;
    let mut rules = [
        world.rule(&workspace, &connection, "lesson.*").await,
        world.rule(&workspace, &connection, "*").await,
    ];
    world.rule(&workspace, &connection, "course.completed").await;

    let sent = r#"{"event":"lesson.completed","resource":"course","resource_id":"c-1","payload": {"b": 1.10,  "a":"é"} }"#;
    let made = world.send(&page, "POST", EVENTS, sent).await.expect(201)["event"].clone();
    assert_eq!(made["workspace"], json!(workspace));
    assert_eq!(
        (&made["event"], &made["type"]),
        (&json!("lesson.completed"), &json!("event"))
    );
    assert_eq!(
        (&made["resource"], &made["resource_id"]),
        (&json!("course"), &json!("c-1"))
    );
    assert!(
        made["created_by"].is_string() && made["created_at"].is_string(),
        "{made}"
    );

    let path = format!("{EVENTS}/{}", text(&made["id"]));
    let read = world.get(&path).await.expect(200);
    assert_eq!(
        (&read["status"], &read["total_rules"]),
        (&json!("pending"), &json!(2))
    );
    assert_eq!(
        (&read["completed_count"], &read["failed_count"]),
        (&json!(0), &json!(0))
    );
    let rule_events = read["rule_events"].as_array().unwrap();
    let mut matched: Vec<String> = rule_events
        .iter()
        .map(|rule_event| text(&rule_event["rule"]))
        .collect();
    matched.sort();
    rules.sort();
    assert_eq!(matched, rules);
    for rule_event in rule_events {
        assert_eq!(
            (&rule_event["type"], &rule_event["integration_type"]),
            (&json!("rule"), &json!("acme"))
        );
        assert_eq!(
            (&rule_event["status"], &rule_event["attempt_count"]),
            (&json!("pending"), &json!(0))
        );
        assert_eq!(
            (&rule_event["event_id"], &rule_event["event"]),
            (&made["id"], &json!("lesson.completed"))
        );
        assert_eq!(rule_event["connection"], json!(connection));
    }
    let payload = world.get(&format!("{path}/payload")).await;
    assert!(
        payload.text.contains(r#""payload":{"b": 1.10,  "a":"é"}}"#),
        "{}",
        payload.text
    );
    assert_eq!(payload.expect(200)["id"], made["id"]);
}

#[tokio::test]
async fn an_event_that_matches_nothing_is_completed_and_stays_visible() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let id = world.emit(&workspace, "unheard").await;
    let read = world.get(&format!("{EVENTS}/{id}")).await.expect(200);
    assert_eq!(
        (&read["status"], &read["total_rules"], &read["rule_events"]),
        (&json!("completed"), &json!(0), &json!([]))
    );
    assert_eq!(
        (&read["resource"], read.get("resource_id")),
        (&json!("global"), None)
    );
}

#[tokio::test]
async fn the_workspace_follows_from_the_credential() {
    let world = World::new().await;
    let (first, page) = world.workspace("First").await;
    let (second, _) = world.workspace("Second").await;
    let event = |workspace: Value| json!({"event": "a", "payload": {}, "workspace": workspace}).to_string();
    assert_eq!(
        world
            .send(&world.machine(), "POST", EVENTS, event(Value::Null))
            .await
            .wrong_param(),
        "workspace"
    );
    let nowhere = event(json!("0195d2f0-0000-7000-8000-000000000000"));
    let refused = world.send(&world.machine(), "POST", EVENTS, nowhere).await;
    assert_eq!(refused.refused(400), "unknown_workspace");
    world
        .send(&page, "POST", EVENTS, event(json!(first)))
        .await
        .expect(201);
    assert_eq!(
        world
            .send(&page, "POST", EVENTS, event(json!(second)))
            .await
            .refused(403),
        "forbidden"
    );

    // With both, the publishable key counts, also where the machine could do more.
    let (Caller::Machine(token), Caller::Page(key)) = (world.machine(), page) else {
        unreachable!()
    };
    let both = Caller::Both(token.clone(), key.clone());
    let made = world
        .send(&both, "POST", EVENTS, event(Value::Null))
        .await
        .expect(201);
    assert_eq!(made["event"]["workspace"], json!(first));
    world
        .send(&both, "POST", EVENTS, event(json!(second)))
        .await
        .refused(403);
    world
        .send(
            &Caller::Both("bad".into(), key),
            "POST",
            EVENTS,
            event(Value::Null),
        )
        .await
        .expect(201);
    world
        .send(
            &Caller::Both(token, "mesh_pub_a_b_c".into()),
            "POST",
            EVENTS,
            event(json!(second)),
        )
        .await
        .refused(401);
    world.send(&both, "GET", EVENTS, "").await.expect(200);
}

#[tokio::test]
async fn what_is_wrong_with_an_event_is_named() {
    let world = World::new().await;
    let (_, page) = world.workspace("First").await;
    for (body, param) in [
        (json!({"payload": {}}), "event"),
        (json!({"event": " ", "payload": {}}), "event"),
        (json!({"event": "a"}), "payload"),
        (json!({"event": "a", "payload": []}), "payload"),
        (
            json!({"event": "a", "payload": {"email": "not-an-email"}}),
            "payload.email",
        ),
        (json!({"event": "a", "payload": {}, "type": "rule"}), "type"),
        (json!([]), "body"),
    ] {
        assert_eq!(
            world
                .send(&page, "POST", EVENTS, body.to_string())
                .await
                .wrong_param(),
            param,
            "{body}"
        );
    }
    let largest = |bytes: usize| format!(r#"{{"event":"a","payload":{{"x":"{}"}}}}"#, "x".repeat(bytes - 8));
    world
        .send(&page, "POST", EVENTS, largest(262_144))
        .await
        .expect(201);
    assert_eq!(
        world
            .send(&page, "POST", EVENTS, largest(262_145))
            .await
            .refused(413),
        "payload_too_large"
    );
}

#[tokio::test]
async fn a_bulk_that_matches_very_many_rules_is_accepted_in_several_commits() {
    let world = World::new().await;
    let (workspace, page) = world.workspace("First").await;
    let connection = world.connection(&workspace, "CRM").await;
    for _ in 0..51 {
        world.rule(&workspace, &connection, "b").await;
    }
    let bulk = async |name: &str| {
        let event = |n: usize| json!({"event": name, "payload": {"n": n}, "id": format!("{name}-{n}")});
        let events: Vec<Value> = (0..100).map(event).collect();
        let before = world.store.commits();
        let answer = world
            .send(&page, "POST", BULK, json!(events).to_string())
            .await
            .expect(201);
        (answer, world.store.commits() - before)
    };
    let (few, commits) = bulk("a").await;
    assert_eq!((&few["count"], commits), (&json!(100), 1));
    let (many, commits) = bulk("b").await;
    assert_eq!(
        (&many["count"], many.get("error_count"), commits),
        (&json!(100), None, 2)
    );
    let records = many["records"].as_array().unwrap();
    for place in [0, 98, 99] {
        let id = text(&records[place]["id"]);
        let event = world.get(&format!("{EVENTS}/{id}")).await.expect(200);
        assert_eq!(event["total_rules"], json!(51), "{place}");
    }
    let (again, commits) = bulk("b").await;
    assert_eq!((&again["records"][99]["id"], commits), (&records[99]["id"], 2));
}

#[tokio::test]
async fn a_bulk_accepts_each_item_by_itself() {
    let world = World::new().await;
    let (workspace, page) = world.workspace("First").await;
    let connection = world.connection(&workspace, "CRM").await;
    world.rule(&workspace, &connection, "b").await;
    let good = |name: &str| json!({"event": name, "payload": {"n": 1}});

    let all = world
        .send(&page, "POST", BULK, json!([good("a"), good("b")]).to_string())
        .await
        .expect(201);
    assert_eq!((&all["count"], all.get("error_count")), (&json!(2), None));
    assert_eq!(all["records"][1]["event"], json!("b"));

    let big = json!({"event": "a", "payload": {"x": "x".repeat(262_144)}});
    let mixed = json!([good("a"), {"event": "x"}, good("b"), 7, {"event": "a", "payload": {}, "workspace": connection}, big]);
    let mixed = world
        .send(&page, "POST", BULK, mixed.to_string())
        .await
        .expect(207);
    assert_eq!((&mixed["count"], &mixed["error_count"]), (&json!(6), &json!(4)));
    let codes: Vec<&str> = mixed["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["code"].as_str().unwrap_or("accepted"))
        .collect();
    assert_eq!(
        codes,
        [
            "accepted",
            "invalid_request",
            "accepted",
            "invalid_request",
            "forbidden",
            "payload_too_large"
        ]
    );
    assert_eq!(
        mixed["records"][1]["error"]["data"],
        json!([{"param": "payload", "msg": "is required"}])
    );
    assert!(mixed["records"][1]["message"].is_string());
    let id = text(&mixed["records"][2]["id"]);
    assert_eq!(
        world.get(&format!("{EVENTS}/{id}")).await.expect(200)["total_rules"],
        json!(1)
    );

    let none = world
        .send(&page, "POST", BULK, r#"[{"event":"x"}]"#)
        .await
        .expect(207);
    assert_eq!(none["error_count"], json!(1));
    assert_eq!(world.get(EVENTS).await.expect(200)["count"], json!(4));

    for body in [
        "[]".to_owned(),
        "{}".into(),
        format!("[{}]", vec!["{}"; 101].join(",")),
    ] {
        assert_eq!(world.send(&page, "POST", BULK, body).await.wrong_param(), "body");
    }
    let by_machine = json!([{"event": "a", "payload": {}, "workspace": workspace}, good("a")]);
    let by_machine = world.post(BULK, by_machine).await.expect(207);
    assert_eq!(
        by_machine["records"][1]["error"]["data"][0]["param"],
        json!("workspace")
    );
}

#[tokio::test]
async fn events_are_listed_in_pages_the_newest_first_and_by_what_they_are() {
    let world = World::new().await;
    let (first, _) = world.workspace("First").await;
    let (second, _) = world.workspace("Second").await;
    let mut sent = Vec::new();
    for index in 0..5 {
        world.clock.advance(1_000);
        sent.push(
            world
                .emit(if index == 4 { &second } else { &first }, &format!("e{index}"))
                .await,
        );
    }
    sent.reverse();
    let (mut seen, mut path) = (Vec::new(), format!("{EVENTS}?limit=2"));
    loop {
        let page = world.get(&path).await.expect(200);
        assert_eq!(page["limit"], json!(2));
        seen.extend(
            page["records"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| text(&event["id"])),
        );
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("{EVENTS}?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, sent);

    for (path, count) in [
        (format!("/api/v1/workspaces/{first}/events"), 4),
        (format!("/api/v1/workspaces/{first}/events?event=e1"), 1),
        (format!("/api/v1/workspaces/{first}/events?event=e4"), 0),
        (
            format!("/api/v1/workspaces/{first}/events?status=completed&resource=global"),
            4,
        ),
        (format!("{EVENTS}?status=failed"), 0),
        (format!("{EVENTS}?resource_id=x"), 0),
    ] {
        let list = world.get(&path).await.expect(200);
        assert_eq!(
            (&list["count"], &list["limit"]),
            (&json!(count), &json!(50)),
            "{path}"
        );
    }
    for (query, param) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("cursor=!", "cursor"),
        ("status=lost", "status"),
        ("limit=1&limit=2", "limit"),
    ] {
        assert_eq!(
            world.get(&format!("{EVENTS}?{query}")).await.wrong_param(),
            param,
            "{query}"
        );
    }
}
