//! Reading what happened: lists, filters, pages, payloads.

use std::collections::BTreeSet;

use heddle_tests::api::{Api, records};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::{Receiver, Reply};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn pages_hold_every_event_once_the_newest_first() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Pages").await;
    let items: Vec<_> = (0..23)
        .map(|n| json!({"workspace": workspace.id, "event": "a", "payload": {"n": n}}))
        .collect();
    let emitted = api.post("/events/bulk", &json!(items)).await.expect(201);
    let emitted: BTreeSet<_> = records_of(&emitted);
    for base in [
        "/events".to_owned(),
        format!("/workspaces/{}/events", workspace.id),
    ] {
        let mut seen = Vec::new();
        let mut path = format!("{base}?limit=5");
        loop {
            let page = api.get(&path).await.expect(200);
            let found = records(&page);
            assert!(found.len() <= 5 && page["limit"] == 5, "{page}");
            seen.extend(
                found
                    .iter()
                    .filter_map(|event| event["id"].as_str().map(str::to_owned)),
            );
            // What is emitted meanwhile does not move the pages.
            if seen.len() == 5 {
                api.emit(&workspace, "late", json!({"n": 0})).await;
            }
            match page["next_cursor"].as_str() {
                Some(cursor) => path = format!("{base}?limit=5&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(
            seen.iter().collect::<BTreeSet<_>>().len(),
            seen.len(),
            "no event twice"
        );
        let mut newest_first = seen.clone();
        newest_first.sort_by(|a, b| b.cmp(a));
        assert_eq!(seen, newest_first);
        assert!(emitted.iter().all(|id| seen.contains(id)), "no event is left out");
    }
}

fn records_of(list: &serde_json::Value) -> BTreeSet<String> {
    let records = list["records"].as_array().into_iter().flatten();
    records
        .filter_map(|event| event["id"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn events_are_found_by_name_resource_and_status() {
    let receiver = Receiver::start().await;
    receiver.always("/bad", Reply::status(500));
    let engine = Engine::start(Settings::default().retrying("0s")).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Filters").await;
    let bad = api.webhook(&workspace, &receiver.url("/bad")).await;
    api.webhook_rule(&workspace, &bad, "fails").await;
    let emit = |body: serde_json::Value| {
        let mut whole = json!({"workspace": workspace.id, "payload": {"n": 1}});
        whole
            .as_object_mut()
            .expect("an object")
            .extend(body.as_object().expect("an object").clone());
        let api = &api;
        async move {
            api.post("/events", &whole).await.expect(201)["event"]["id"]
                .as_str()
                .map(str::to_owned)
        }
    };
    let failing = emit(json!({"event": "fails", "resource": "course", "resource_id": "c1"}))
        .await
        .expect("an id");
    emit(json!({"event": "other", "resource": "course", "resource_id": "c2"})).await;
    emit(json!({"event": "other"})).await;
    api.wait_for_event(&failing, "failed").await;
    for (query, count) in [
        ("event=fails", 1),
        ("event=other", 2),
        ("resource=course", 2),
        ("resource=course&resource_id=c2", 1),
        ("resource=global", 1),
        ("status=failed", 1),
        ("status=completed", 2),
        ("status=completed&event=fails", 0),
    ] {
        for base in [
            "/events".to_owned(),
            format!("/workspaces/{}/events", workspace.id),
        ] {
            let found = records(&api.get(&format!("{base}?{query}")).await.expect(200));
            assert_eq!(found.len(), count, "{base}?{query}");
        }
    }
}

#[tokio::test]
async fn a_payload_is_read_back_byte_for_byte_and_apart_from_the_event() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Payload").await;
    let payload = r#"{"z":1,  "a":1.10,"big":12345678901234567890123,"e":1e2,"é":"\u00e9"}"#;
    let body = format!(r#"{{"event":"a","payload":{payload}}}"#);
    let request = api
        .request(Method::POST, "/events")
        .header("x-meshes-publishable-key", &workspace.publishable_key)
        .header("content-type", "application/json");
    let accepted = api.send(request.body(body)).await.expect(201);
    let id = accepted["event"]["id"].as_str().expect("an id").to_owned();
    let event = api.get(&format!("/events/{id}")).await;
    assert!(!event.text.contains("12345678901234567890123"), "{}", event.text);
    let read = api.get(&format!("/events/{id}/payload")).await;
    assert!(read.text.contains(payload), "{}", read.text);
    assert_eq!(read.expect(200)["id"], id);
}
