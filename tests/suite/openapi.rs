//! The document at `/openapi.json`: its examples are accepted by the server, and its page reads well. That
//! every answer is as described is held in every test, by `tests/src/description.rs`.

use heddle_tests::api::{Api, Workspace, id_of};
use heddle_tests::engine::{Engine, Settings};
use reqwest::Method;
use serde_json::{Value, json};

/// A world in which everything that examples name is there: the ids of the document with the real ones.
async fn world(api: &Api, workspace: &Workspace, n: usize) -> Vec<(&'static str, String)> {
    let metadata = json!({"url": "https://hooks.example.com/in", "skip_url_test": true});
    let connection = api
        .connection(workspace, "webhook", &format!("Hook {n}"), metadata)
        .await;
    let rule = api.webhook_rule(workspace, &connection, "example.only").await;
    let event = api.emit(workspace, "example.other", json!({"n": 1})).await;
    let replay = json!({"workspace": workspace.id, "paused": true});
    let replay = id_of(&api.post("/replays", &replay).await.expect(201)["replay"]);
    let path = format!("/workspaces/{}", workspace.id);
    let entry = |kind: &str| {
        (
            format!("{path}/{kind}"),
            json!({"key": format!("example.{n}"), "label": "Example"}),
        )
    };
    let (types, body) = entry("event-types");
    let event_type = id_of(&api.post(&types, &body).await.expect(201)["event_type"]);
    let (resources, body) = entry("resources");
    let resource = id_of(&api.post(&resources, &body).await.expect(201)["resource"]);
    vec![
        ("workspace", workspace.id.clone()),
        ("connection", connection),
        ("rule", rule),
        ("event", event),
        ("replay", replay),
        ("event_type", event_type),
        ("resource", resource),
    ]
}

/// The ids that stand for real ones in the examples.
const STANDING: [(&str, &str); 3] = [
    ("workspace", "01981f6e-7d3c-7000-8000-000000000001"),
    ("connection", "01981f6e-7d3c-7000-8000-000000000002"),
    ("event", "01981f6e-7d3c-7000-8000-000000000004"),
];

#[tokio::test]
async fn every_example_of_a_body_is_accepted() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let document: Value = api
        .send(api.request_root(Method::GET, "/openapi.json"))
        .await
        .expect(200);
    assert_eq!(document["openapi"], "3.1.0");
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let example = &operation["requestBody"]["content"]["application/json"]["example"];
            if example.is_null() {
                continue;
            }
            // A world of its own for each, since examples delete and take names.
            let workspace = api.workspace(&format!("Examples {tried}")).await;
            let ids = world(&api, &workspace, tried).await;
            let mut text = example.to_string();
            let mut path = path.strip_prefix("/api/v1").expect("below the API").to_owned();
            for (name, id) in &ids {
                path = path.replace(&format!("{{{name}}}"), id);
                if let Some((_, standing)) = STANDING.iter().find(|(known, _)| known == name) {
                    text = text.replace(standing, id);
                }
            }
            if path.ends_with(&workspace.id) && method == "delete" {
                text = json!({"confirm": format!("Examples {tried}")}).to_string();
            }
            let body: Value = serde_json::from_str(&text).expect("an example is JSON");
            let method: Method = method.to_uppercase().parse().expect("a method");
            let answer = api.call(method.clone(), &path, Some(&body)).await;
            // What is refused here is refused by the destination, which is not there.
            let accepted = (200..300).contains(&answer.status);
            assert!(accepted, "{method} {path} refuses its own example: {answer:?}");
            tried += 1;
        }
    }
    assert!(tried >= 12, "only {tried} examples were found");
}

#[tokio::test]
async fn the_reference_is_a_page_that_loads_nothing() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let page = api.send(api.request_root(Method::GET, "/docs")).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    for foreign in ["<script", "src=\"http", "url(http"] {
        assert!(!page.text.contains(foreign), "{foreign}");
    }
    assert!(page.text.contains("Emit an event"));
}
