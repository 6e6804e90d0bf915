//! Who is let in, and what everybody is told who is not.

use std::sync::Arc;

use axum::body::Body;
use heddle_web::Bodies;
use http::Request;
use serde_json::json;

use crate::world::{Caller, World, text};

const ID: &str = "0195d2f0-0000-7000-8000-000000000000";

/// Every operation but the two that browsers may call.
pub fn management() -> Vec<(&'static str, String)> {
    let paths = [
        ("GET", "workspaces"),
        ("POST", "workspaces"),
        ("GET", "workspaces/ID"),
        ("PUT", "workspaces/ID"),
        ("GET", "workspaces/ID/connections"),
        ("GET", "workspaces/ID/rules"),
        ("GET", "workspaces/ID/events"),
        ("GET", "integrations"),
        ("GET", "connections"),
        ("POST", "connections"),
        ("GET", "connections/ID"),
        ("PUT", "connections/ID"),
        ("DELETE", "connections/ID"),
        ("GET", "rules"),
        ("POST", "rules"),
        ("GET", "rules/ID"),
        ("PUT", "rules/ID"),
        ("DELETE", "rules/ID"),
        ("GET", "events"),
        ("GET", "events/ID"),
        ("GET", "events/ID/payload"),
        ("POST", "events/ID/cancel"),
        ("POST", "events/ID/rules/ID/retry"),
        ("POST", "events/ID/rules/ID/cancel"),
        ("GET", "events/ID/rules/ID/attempts"),
        ("GET", "events/ID/rules/ID/attempts/ID"),
        ("GET", "events/ID/rules/ID/attempts/ID/response-details"),
    ];
    paths
        .into_iter()
        .map(|(method, path)| (method, format!("/api/v1/{}", path.replace("ID", ID))))
        .collect()
}

const INGESTION: [&str; 2] = ["/api/v1/events", "/api/v1/events/bulk"];

#[tokio::test]
async fn no_operation_is_open_to_everybody() {
    let world = World::new().await;
    let ingestion = INGESTION.map(|path| ("POST", path.to_owned()));
    for (method, path) in management().into_iter().chain(ingestion) {
        let answer = world.send(&Caller::Anybody, method, &path, "{}").await;
        assert_eq!(answer.headers["www-authenticate"], "Bearer", "{method} {path}");
        assert_eq!(answer.refused(401), "authentication_required", "{method} {path}");
        let forged = world
            .send(&Caller::Machine("a.b.c".into()), method, &path, "{}")
            .await;
        assert_eq!(forged.refused(401), "invalid_token", "{method} {path}");
    }
}

#[tokio::test]
async fn a_publishable_key_opens_ingestion_and_nothing_else() {
    let world = World::new().await;
    let (_, page) = world.workspace("First").await;
    for (method, path) in management() {
        let answer = world.send(&page, method, &path, "{}").await;
        assert_eq!(
            answer.refused(401),
            "publishable_key_not_allowed",
            "{method} {path}"
        );
    }
    let event = json!({"event": "a", "payload": {}}).to_string();
    world
        .send(&page, "POST", INGESTION[0], event.clone())
        .await
        .expect(201);
    let Caller::Page(key) = page else { unreachable!() };
    let other = format!("{}0", &key[..key.len() - 1]);
    for wrong in [other, "mesh_pub_x".into(), String::new(), key.to_uppercase()] {
        let answer = world
            .send(&Caller::Page(wrong), "POST", INGESTION[0], event.clone())
            .await;
        assert_eq!(answer.refused(401), "invalid_publishable_key");
    }
    let as_bearer = world
        .send(&Caller::Machine(key), "GET", "/api/v1/events", "")
        .await;
    assert_eq!(as_bearer.refused(401), "publishable_key_not_allowed");
}

#[tokio::test]
async fn a_token_ends_with_its_time() {
    let world = World::new().await;
    let caller = world.machine();
    world.clock.advance(60_000);
    world
        .send(&caller, "GET", "/api/v1/workspaces", "")
        .await
        .expect(200);
    world.clock.advance(1_000);
    assert_eq!(
        world
            .send(&caller, "GET", "/api/v1/workspaces", "")
            .await
            .refused(401),
        "token_expired"
    );
}

#[tokio::test]
async fn two_authorization_headers_are_one_too_many() {
    let world = World::new().await;
    let Caller::Machine(token) = world.machine() else {
        unreachable!()
    };
    let request = Request::get("/api/v1/workspaces")
        .header("authorization", format!("Bearer {token}"))
        .header("authorization", format!("Bearer {token}"));
    assert_eq!(
        world
            .request(request.body(Body::empty()).unwrap())
            .await
            .refused(401),
        "invalid_token"
    );
}

#[tokio::test]
async fn what_is_not_there_is_answered_in_the_same_shape() {
    let world = World::new().await;
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v2/events",
        "/api/v1/events/",
        "/api/v1/nothing",
        "/%ff",
    ] {
        assert_eq!(world.get(path).await.refused(404), "unknown_route", "{path}");
    }
    for path in ["/api/v1/rules/mine", "/api/v1/events/%ff", "/api/v1/workspaces/0"] {
        assert_eq!(world.get(path).await.refused(404), "not_found", "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let world = World::new().await;
    for (method, path, allowed) in [
        ("PATCH", "/api/v1/workspaces", vec!["GET", "HEAD", "POST"]),
        ("OPTIONS", "/api/v1/workspaces", vec!["GET", "HEAD", "POST"]),
        ("DELETE", "/api/v1/events", vec!["GET", "HEAD", "OPTIONS", "POST"]),
        ("GET", "/api/v1/events/bulk", vec!["OPTIONS", "POST"]),
        ("POST", "/healthz", vec!["GET", "HEAD"]),
    ] {
        let answer = world.send(&world.machine(), method, path, "").await;
        let mut allow: Vec<String> = answer.headers["allow"]
            .to_str()
            .unwrap()
            .split(',')
            .map(|word| word.trim().to_owned())
            .collect();
        allow.sort();
        assert_eq!(allow, allowed, "{method} {path}");
        assert!(
            !answer.headers.contains_key("access-control-allow-origin"),
            "{method} {path}"
        );
        assert_eq!(answer.refused(405), "method_not_allowed");
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_400_and_one_that_is_too_large_413() {
    let world = World::new().await;
    let send = |path: &'static str, body: Vec<u8>| {
        let (world, caller) = (&world, world.machine());
        async move { world.send(&caller, "POST", path, body).await }
    };
    for path in [
        "/api/v1/workspaces",
        "/api/v1/connections",
        "/api/v1/rules",
        "/api/v1/events",
        "/api/v1/events/bulk",
    ] {
        for body in [&b""[..], b"{", b"nothing", b"\xff\xfe", b"{\"a\":1}}"] {
            assert_eq!(
                send(path, body.to_vec()).await.refused(400),
                "malformed_json",
                "{path} {body:?}"
            );
        }
        for body in [&b"7"[..], b"null", b"\"x\""] {
            assert_eq!(
                send(path, body.to_vec()).await.refused(400),
                "invalid_request",
                "{path} {body:?}"
            );
        }
    }
    for (path, bytes, limit) in [
        ("/api/v1/workspaces", 256 * 1024 + 1, "262144"),
        ("/api/v1/events", 300 * 1024, "262144"),
        ("/api/v1/events/bulk", 5 * 1024 * 1024 + 1, "5242880"),
        ("/api/v1/events/bulk", 20 * 1024 * 1024, "5242880"),
    ] {
        let answer = send(path, vec![b' '; bytes]).await;
        assert!(answer.text.contains(limit), "{}", answer.text);
        assert_eq!(answer.refused(413), "payload_too_large");
    }
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    let world = World::new().await;
    let Caller::Machine(token) = world.machine() else {
        unreachable!()
    };
    for (index, kind) in ["text/plain", "application/x-www-form-urlencoded", "nonsense"]
        .into_iter()
        .enumerate()
    {
        let request = Request::post("/api/v1/workspaces")
            .header("authorization", format!("bearer {token}"))
            .header("content-type", kind)
            .body(Body::from(
                json!({"name": format!("Workspace {index}")}).to_string(),
            ));
        world.request(request.unwrap()).await.expect(201);
    }
}

#[tokio::test]
async fn every_answer_has_an_id_and_is_not_kept() {
    let world = World::new().await;
    let mut seen = Vec::new();
    for path in ["/healthz", "/readyz", "/api/v1/workspaces", "/nothing"] {
        let answer = world.get(path).await;
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["content-type"], "application/json");
        seen.push(answer.headers["x-request-id"].to_str().unwrap().to_owned());
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 4);
}

#[tokio::test]
async fn browsers_may_emit_and_do_nothing_else() {
    let world = World::new().await;
    let (_, page) = world.workspace("First").await;
    for path in INGESTION {
        let asked = world.send(&Caller::Anybody, "OPTIONS", path, "").await;
        assert_eq!(asked.status, 204);
        assert_eq!(asked.headers["access-control-allow-origin"], "*");
        assert_eq!(asked.headers["access-control-allow-methods"], "POST");
        let allowed = asked.headers["access-control-allow-headers"].to_str().unwrap();
        for header in [
            "content-type",
            "x-meshes-publishable-key",
            "x-heddle-publishable-key",
            "x-meshes-client",
        ] {
            assert!(allowed.contains(header), "{allowed}");
        }
        for (caller, body) in [
            (&page, r#"{"event":"a","payload":{}}"#),
            (&page, "{"),
            (&Caller::Anybody, "{}"),
        ] {
            let answer = world.send(caller, "POST", path, body).await;
            assert_eq!(
                answer.headers["access-control-allow-origin"], "*",
                "{path} {body}"
            );
            assert!(
                answer.headers["access-control-expose-headers"]
                    .to_str()
                    .unwrap()
                    .contains("ratelimit-limit")
            );
        }
    }
    for (method, path) in management() {
        let answer = world.send(&world.machine(), method, &path, "{}").await;
        assert!(
            !answer
                .headers
                .keys()
                .any(|name| name.as_str().starts_with("access-control")),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn without_the_store_nothing_is_acknowledged_and_nothing_told() {
    let world = World::new().await;
    let (workspace, page) = world.workspace("First").await;
    world.get("/readyz").await.expect(200);
    // The key is known to the cache, so the caller gets as far as the commit.
    world
        .send(&page, "POST", "/api/v1/events", r#"{"event":"a","payload":{}}"#)
        .await
        .expect(201);
    world.store.close().await;
    for (method, path) in [("GET", "/readyz"), ("POST", "/api/v1/events")] {
        let answer = world
            .send(&page, method, path, r#"{"event":"a","payload":{}}"#)
            .await;
        assert_eq!(answer.headers["retry-after"], "1");
        assert!(
            !answer.text.contains("sqlite") && !answer.text.contains(&workspace),
            "{}",
            answer.text
        );
        assert_eq!(answer.refused(503), "unavailable", "{method} {path}");
    }
    assert_eq!(text(&world.get("/healthz").await.expect(200)["status"]), "ok");
}

#[tokio::test]
async fn bodies_that_there_is_no_room_for_are_refused_and_leave_nothing_behind() {
    let world = World::new()
        .await
        .changed(|state| state.bodies = Arc::new(Bodies::new(10_000, 1_000)));
    let (workspace, page) = world.workspace("First").await;
    let event = |size: usize| json!({"event": "a", "payload": {"x": "x".repeat(size)}}).to_string();
    let answer = world.send(&page, "POST", "/api/v1/events", event(2_000)).await;
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(answer.refused(429), "too_much_at_once");
    for _ in 0..20 {
        world
            .send(&page, "POST", "/api/v1/events", event(800))
            .await
            .expect(201);
    }
    let list = world.get(&format!("/api/v1/workspaces/{workspace}/events")).await;
    assert_eq!(list.expect(200)["count"], json!(20));
}
