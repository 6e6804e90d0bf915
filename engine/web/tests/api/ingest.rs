//! An event that is sent again, and events in other formats than Heddle's own.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use crate::world::{Answer, Caller, World, text};

const EVENTS: &str = "/api/v1/events";
const BULK: &str = "/api/v1/events/bulk";

impl World {
    /// `POST` with headers.
    async fn emit_with(
        &self,
        caller: &Caller,
        path: &str,
        headers: &[(&str, &str)],
        body: impl ToString,
    ) -> Answer {
        let mut request = Request::post(path);
        request = match caller {
            Caller::Page(key) => request.header("x-heddle-publishable-key", key),
            Caller::Machine(token) => request.header("authorization", format!("Bearer {token}")),
            other => panic!("{other:?} emits nothing here"),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.request(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    async fn events_there(&self) -> usize {
        let list = self.get(&format!("{EVENTS}?limit=200")).await.expect(200);
        list["records"].as_array().unwrap().len()
    }
}

fn is_replay(answer: &Answer) -> bool {
    answer
        .headers
        .get("idempotent-replay")
        .is_some_and(|value| value == "true")
}

#[tokio::test]
async fn the_same_key_and_body_is_answered_with_the_first_event() {
    let world = World::new().await;
    let (workspace, page) = world.workspace("First").await;
    let connection = world.connection(&workspace, "CRM").await;
    world.rule(&workspace, &connection, "a").await;
    let body = json!({"event": "a", "payload": {"n": 1}, "resource": "course"});
    let key = [("idempotency-key", "order-7")];
    let first = world.emit_with(&page, EVENTS, &key, &body).await;
    assert!(!is_replay(&first));
    let first = first.expect(201);
    world.clock.advance(60_000);
    for headers in [&key, &[("Idempotency-Key", "order-7")]] {
        let again = world.emit_with(&page, EVENTS, headers, &body).await;
        assert!(is_replay(&again));
        assert_eq!(again.expect(201), first);
    }
    let mut named = body.clone();
    named["id"] = json!("order-7");
    let again = world.emit_with(&page, EVENTS, &[], &named).await;
    assert!(is_replay(&again), "the event's own id is the same name");
    assert_eq!(again.expect(201), first);
    let other = json!({"event": "a", "payload": {"n": 2}, "resource": "course"});
    let refused = world.emit_with(&page, EVENTS, &key, &other).await;
    assert_eq!(refused.refused(422), "idempotency_key_reused");
    let id = text(&first["event"]["id"]);
    let read = world.get(&format!("{EVENTS}/{id}")).await.expect(200);
    assert_eq!(
        (&read["total_rules"], world.events_there().await),
        (&json!(1), 1),
        "it was accepted once"
    );
    world.clock.advance(24 * 60 * 60 * 1000);
    let anew = world.emit_with(&page, EVENTS, &key, &other).await;
    assert!(!is_replay(&anew), "a key is kept for a day");
    assert_ne!(anew.expect(201)["event"]["id"], first["event"]["id"]);
}

#[tokio::test]
async fn a_key_belongs_to_its_workspace_and_its_door() {
    let world = World::new().await;
    let (first, page) = world.workspace("First").await;
    let (second, _) = world.workspace("Second").await;
    let key = [("idempotency-key", "k")];
    let body = |workspace: &str| json!({"event": "a", "payload": {}, "workspace": workspace});
    let mut ids = Vec::new();
    for (caller, workspace) in [
        (&page, &first),
        (&world.machine(), &first),
        (&world.machine(), &second),
    ] {
        let answer = world.emit_with(caller, EVENTS, &key, body(workspace)).await;
        assert!(!is_replay(&answer));
        ids.push(text(&answer.expect(201)["event"]["id"]));
    }
    let again = world
        .emit_with(&world.machine(), EVENTS, &key, body(&second))
        .await;
    assert!(is_replay(&again));
    assert_eq!(text(&again.expect(201)["event"]["id"]), ids[2]);
    assert_eq!(world.events_there().await, 3);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let world = World::new().await;
    let (_, page) = world.workspace("First").await;
    let body = json!({"event": "a", "payload": {}});
    let long = "x".repeat(256);
    for headers in [
        vec![("idempotency-key", "")],
        vec![("idempotency-key", "é")],
        vec![("idempotency-key", long.as_str())],
        vec![("idempotency-key", "a"), ("idempotency-key", "b")],
    ] {
        for (path, body) in [(EVENTS, body.clone()), (BULK, json!([body]))] {
            let refused = world.emit_with(&page, path, &headers, body).await;
            assert_eq!(refused.wrong_param(), "Idempotency-Key", "{headers:?}");
        }
    }
    assert_eq!(world.events_there().await, 0);
}

#[tokio::test]
async fn each_item_of_a_bulk_is_accepted_once() {
    let world = World::new().await;
    let (_, page) = world.workspace("First").await;
    let item = |n: u8| json!({"event": "a", "payload": {"n": n}});
    let named = |n: u8, id: &str| json!({"event": "a", "payload": {"n": n}, "id": id});
    let key = [("idempotency-key", "batch-1")];
    let body = json!([item(1), item(1), named(3, "x"), {"event": "a"}]);
    let first = world.emit_with(&page, BULK, &key, &body).await;
    assert!(!is_replay(&first));
    let first = first.expect(207);
    assert_eq!(first["error_count"], json!(1));
    assert_ne!(
        first["records"][0]["id"], first["records"][1]["id"],
        "places tell items apart"
    );

    // The broken item was mended, one was changed, and the rest comes again.
    let body = json!([item(1), item(2), named(3, "x"), item(4)]);
    let answer = world.emit_with(&page, BULK, &key, &body).await.expect(207);
    let records = answer["records"].as_array().unwrap();
    for place in [0, 2] {
        assert_eq!(records[place]["id"], first["records"][place]["id"]);
        assert_eq!(records[place]["idempotent_replay"], json!(true));
    }
    assert_eq!(records[1]["code"], json!("idempotency_key_reused"));
    assert!(records[3]["id"].is_string() && records[3].get("idempotent_replay").is_none());
    assert_eq!(world.events_there().await, 4);

    let shorter = json!([item(1), item(3)]);
    let again = world.emit_with(&page, BULK, &key, &shorter).await;
    assert_eq!(
        again.status, 207,
        "the second item of that key was another one: {}",
        again.text
    );
    let own = json!([named(3, "x"), named(3, "x")]);
    let again = world.emit_with(&page, BULK, &[], &own).await;
    assert!(is_replay(&again), "all of it was there");
    let again = again.expect(201);
    assert_eq!(again["records"][0], again["records"][1]);
}

fn cloud(id: &str, data: Value) -> Value {
    json!({"specversion": "1.0", "type": "order.paid", "source": "/orders", "id": id,
           "subject": "order-7", "time": "2026-03-21T14:18:00Z", "data": data})
}

#[tokio::test]
async fn a_cloud_event_is_an_event_in_each_of_its_modes() {
    let world = World::new().await;
    let (_, page) = world.workspace("First").await;
    let structured = [("content-type", "application/cloudevents+json; charset=utf-8")];
    let data = r#"{"b": 1.10, "a":"é"}"#;
    let body = cloud("A-1", json!("DATA")).to_string().replace("\"DATA\"", data);
    let first = world
        .emit_with(&page, EVENTS, &structured, &body)
        .await
        .expect(201);
    let event = &first["event"];
    assert_eq!(
        (&event["event"], &event["resource"], &event["resource_id"]),
        (&json!("order.paid"), &json!("global"), &json!("order-7"))
    );
    let path = format!("{EVENTS}/{}/payload", text(&event["id"]));
    assert!(world.get(&path).await.text.contains(data));

    let binary = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-type", "order.paid"),
        ("ce-source", "/orders"),
        ("ce-id", "A-1"),
        ("ce-subject", "order%2D7"),
    ];
    let again = world.emit_with(&page, EVENTS, &binary, data).await;
    assert!(is_replay(&again), "source and id are its name in every mode");
    assert_eq!(again.expect(201), first);
    let refused = world.emit_with(&page, EVENTS, &binary, "{}").await;
    assert_eq!(refused.refused(422), "idempotency_key_reused");

    let batch = [("content-type", "application/cloudevents-batch+json")];
    let mut wrong = cloud("A-4", json!({}));
    wrong["specversion"] = json!("0.3");
    for (n, path) in [EVENTS, BULK].into_iter().enumerate() {
        let ids = [format!("B-{n}"), format!("C-{n}")];
        let body = json!([
            cloud(&ids[0], json!({"n": 1})),
            wrong,
            cloud(&ids[1], json!({"n": 2}))
        ]);
        let answer = world.emit_with(&page, path, &batch, &body).await.expect(207);
        assert_eq!((&answer["count"], &answer["error_count"]), (&json!(3), &json!(1)));
        assert_eq!(
            answer["records"][1]["error"]["data"][0]["param"],
            json!("specversion")
        );
        assert!(answer["records"][2]["id"].is_string());
    }
    assert_eq!(world.events_there().await, 5);
}

#[tokio::test]
async fn a_machine_names_the_workspace_of_a_cloud_event_in_an_extension() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let structured = [("content-type", "application/cloudevents+json")];
    let mut event = cloud("A-1", json!({}));
    let nowhere = world
        .emit_with(&world.machine(), EVENTS, &structured, &event)
        .await;
    assert_eq!(nowhere.wrong_param(), "workspace");
    event["workspace"] = json!(workspace);
    let made = world
        .emit_with(&world.machine(), EVENTS, &structured, &event)
        .await
        .expect(201);
    assert_eq!(made["event"]["workspace"], json!(workspace));
}

#[tokio::test]
async fn a_format_that_is_not_known_is_refused_by_its_media_type() {
    let world = World::new().await;
    let (_, page) = world.workspace("First").await;
    let event = cloud("A-1", json!({}));
    let cases = [
        (EVENTS, "application/cloudevents+xml", event.clone()),
        (EVENTS, "application/cloudevents", event.clone()),
        (BULK, "application/cloudevents+json", event.clone()),
    ];
    for (path, media_type, body) in cases {
        let refused = world
            .emit_with(&page, path, &[("content-type", media_type)], body)
            .await;
        assert_eq!(refused.wrong_param(), "Content-Type", "{path} {media_type}");
    }
    let mode = world
        .emit_with(&page, BULK, &[("ce-id", "A-1")], json!([event]))
        .await;
    assert_eq!(mode.wrong_param(), "Content-Type");
    let no_batch = [("content-type", "application/cloudevents-batch+json")];
    for body in [json!([]), event] {
        assert_eq!(
            world
                .emit_with(&page, EVENTS, &no_batch, body)
                .await
                .wrong_param(),
            "body"
        );
    }
}
