use heddle_sdk::FailureKind;
use heddle_sdk::testing::{Scene, manifest};

use super::*;

const PAYLOAD: &str = r#"{"z": 1.10, "a":[ 1e2,12345678901234567890123 ],"b":"é\u00e9"}"#;

fn scene() -> Scene {
    Scene::action("send_webhook")
        .setting("url", "https://hooks.example.com/in?x=1")
        .payload_text(PAYLOAD)
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request
        .headers
        .iter()
        .find(|header| header.name == name)
        .map(|header| header.value.as_str())
}

#[test]
fn the_manifest_is_sound() {
    manifest::<Webhook>(env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_envelope_holds_the_payload_byte_for_byte() {
    let run = scene().reply(202, json!(null)).deliver::<Webhook>();
    let expected = format!(
        r#"{{"uuid":"event-1","event":"lesson.completed","resource":"course","resource_id":"creator-accelerator","payload":{PAYLOAD},"time_created":1774137600000,"time_sent":1774137600500}}"#
    );
    assert_eq!(String::from_utf8_lossy(&run.requests[0].body), expected);
    assert_eq!(run.lines(), ["POST https://hooks.example.com/in?x=1"]);
    assert_eq!(header(&run.requests[0], "Content-Type"), Some("application/json"));
    assert_eq!(run.done()["message"], "the endpoint answered 202");
}

#[test]
fn a_second_delivery_of_the_same_event_differs_in_its_time_alone() {
    let (first, second) = (
        scene().deliver::<Webhook>().body(0),
        scene().again().deliver::<Webhook>().body(0),
    );
    assert_eq!(
        (&first["uuid"], &first["payload"]),
        (&second["uuid"], &second["payload"])
    );
    assert_ne!(first["time_sent"], second["time_sent"]);
}

#[test]
fn names_in_the_envelope_are_escaped_and_a_missing_resource_id_is_null() {
    let run = scene()
        .event("event", "a\"b")
        .event("resource_id", json!(null))
        .deliver::<Webhook>();
    let body = run.body(0);
    assert_eq!(
        (body["event"].as_str(), &body["resource_id"]),
        (Some("a\"b"), &json!(null))
    );
}

#[test]
fn raw_mode_sends_the_payload_alone_and_the_rest_in_headers() {
    let run = scene()
        .setting("payload_mode", "raw")
        .event("event", "léçon")
        .deliver::<Webhook>();
    let request = &run.requests[0];
    assert_eq!(String::from_utf8_lossy(&request.body), PAYLOAD);
    let expected = [
        ("Content-Type", "application/json"),
        ("X-Meshes-Event-Id", "event-1"),
        ("X-Meshes-Event", "l%C3%A9%C3%A7on"),
        ("X-Meshes-Resource", "course"),
        ("X-Meshes-Resource-Id", "creator-accelerator"),
        ("X-Meshes-Time-Created", "1774137600000"),
        ("X-Meshes-Time-Sent", "1774137600500"),
    ];
    for (name, value) in expected {
        assert_eq!(header(request, name), Some(value), "{name}");
    }
}

#[test]
fn the_method_is_one_of_three() {
    for method in ["POST", "PUT", "PATCH"] {
        assert_eq!(
            scene()
                .setting("http_method", method)
                .deliver::<Webhook>()
                .requests[0]
                .method,
            method
        );
    }
    for scene in [scene().setting("http_method", "GET"), scene().setting("url", " ")] {
        let run = scene.deliver::<Webhook>();
        assert_eq!(
            (run.kind(), run.requests.len()),
            (Some(FailureKind::Permanent), 0)
        );
    }
}

#[test]
fn a_status_decides_what_follows() {
    use FailureKind::{Gone, Permanent, RateLimited, Retryable};
    let cases = [
        (200, None, None),
        (204, None, None),
        (301, Some(Permanent), None),
        (400, Some(Retryable), Some(3)),
        (401, Some(Retryable), Some(3)),
        (404, Some(Retryable), Some(3)),
        (408, Some(Retryable), None),
        (409, Some(Retryable), None),
        (410, Some(Gone), None),
        (422, Some(Retryable), Some(3)),
        (425, Some(Retryable), None),
        (429, Some(RateLimited), None),
        (500, Some(Retryable), None),
        (503, Some(Retryable), None),
    ];
    for (status, kind, attempts) in cases {
        let run = scene()
            .reply(status, json!({"a": 1}))
            .reply_header("Retry-After", "7")
            .deliver::<Webhook>();
        assert_eq!(run.kind(), kind, "{status}");
        if kind.is_some_and(|kind| kind != Gone) {
            assert_eq!(run.failure().retry_after_ms, Some(7000), "{status}");
            assert_eq!(run.failure().max_attempts, attempts, "{status}");
        }
    }
    let lenient = scene()
        .setting("accept_redirect_status", "true")
        .reply(302, json!(null));
    assert_eq!(lenient.deliver::<Webhook>().kind(), None);
}

#[test]
fn a_check_posts_a_test_event_in_the_connections_own_shape() {
    let scene = Scene::connection()
        .setting("url", "https://hooks.example.com")
        .reply(200, json!(null));
    let run = scene.check::<Webhook>();
    assert_eq!(run.body(0)["event"], "heddle.test");
    assert!(run.done()["message"].as_str().unwrap().contains("200"));
    assert_eq!(
        scene.setting("payload_mode", "raw").check::<Webhook>().body(0),
        json!({"test": true})
    );
    let skipped = Scene::connection()
        .setting("url", "https://hooks.example.com")
        .setting("skip_url_test", true)
        .check::<Webhook>();
    assert!(skipped.requests.is_empty() && skipped.kind().is_none());
    let refused = Scene::connection()
        .setting("url", "https://hooks.example.com")
        .reply(404, json!(null));
    assert_eq!(refused.check::<Webhook>().kind(), Some(FailureKind::Retryable));
}

#[test]
fn there_is_one_action() {
    let run = Scene::action("send")
        .setting("url", "https://hooks.example.com")
        .deliver::<Webhook>();
    assert_eq!(
        (run.kind(), run.requests.len()),
        (Some(FailureKind::Permanent), 0)
    );
}
