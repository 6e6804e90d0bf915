use heddle_sdk::FailureKind;
use heddle_sdk::testing::{Scene, manifest};

use super::*;

const IDENTIFY: &str = "POST https://cdp.customer.io/v1/identify";
const TRACK: &str = "POST https://cdp.customer.io/v1/track";

fn scene(action: &str) -> Scene {
    Scene::action(action).setting("region", "US").secret("cdpApiKey")
}

fn track() -> Scene {
    scene("track_event")
}

fn traits(scene: &Scene) -> Value {
    scene.deliver::<CustomerIo>().body(0)["traits"].clone()
}

#[test]
fn the_manifest_is_sound() {
    manifest::<CustomerIo>(env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_person_is_identified_and_then_the_event_tracked() {
    let scene = || track().reply(200, json!({})).reply(200, json!({}));
    let run = scene().deliver::<CustomerIo>();
    assert_eq!(run.lines(), [IDENTIFY, TRACK]);
    let person = json!({"userId": "nina@academyflow.io", "traits": {"email": "nina@academyflow.io"},
        "timestamp": "2026-03-22T00:00:00.000Z", "messageId": "delivery-1-identify"});
    assert_eq!(run.body(0), person);
    let event = json!({"userId": "nina@academyflow.io", "event": "lesson.completed", "properties": {
            "student_id": "stu_2048", "email": "nina@academyflow.io",
            "lesson_title": "Customer Research Fundamentals", "completion_percentage": 62},
        "timestamp": "2026-03-22T00:00:00.000Z", "messageId": "delivery-1"});
    assert_eq!(run.body(1), event);
    assert_eq!(run.done()["external_id"], "nina@academyflow.io");
    for request in &run.requests {
        assert!(
            request
                .headers
                .iter()
                .any(|header| header.name == "X-Strict-Mode" && header.value == "1")
        );
    }
    let again = scene().again().deliver::<CustomerIo>();
    assert_eq!(
        (again.body(0), again.body(1)),
        (person, event),
        "a second delivery says the same to the letter"
    );
}

#[test]
fn each_region_has_its_own_host() {
    let run = track().setting("region", "EU").deliver::<CustomerIo>();
    assert_eq!(run.lines(), ["POST https://cdp-eu.customer.io/v1/identify"]);
    let run = track()
        .setting("region", "cdp.evil.test/")
        .deliver::<CustomerIo>();
    assert_eq!(
        (run.kind(), run.requests.len()),
        (Some(FailureKind::Permanent), 0)
    );
}

#[test]
fn mapped_fields_are_traits_and_the_payloads_person_fills_the_rest() {
    let payload = json!({"email": "nina@academyflow.io", "name": "Nina Ray", "phone": "+49 30 1"});
    let run = scene("identify")
        .payload(payload)
        .field("userId", 2048)
        .field("plan", "pro")
        .field("first_name", "N.");
    let run = run.reply(200, json!({})).deliver::<CustomerIo>();
    assert_eq!(run.lines(), [IDENTIFY]);
    assert_eq!(run.body(0)["userId"], "2048");
    let expected = json!({"plan": "pro", "first_name": "N.", "last_name": "Ray", "name": "Nina Ray", "phone": "+49 30 1",
        "email": "nina@academyflow.io"});
    assert_eq!(run.body(0)["traits"], expected);
    run.done();
    let nameless = scene("identify")
        .payload(json!({"x": 1}))
        .field("userId", "u1")
        .deliver::<CustomerIo>();
    assert_eq!(
        (&nameless.body(0)["userId"], &nameless.body(0)["traits"]),
        (&json!("u1"), &json!({}))
    );
}

#[test]
fn nobody_is_subscribed_again_unless_the_rule_says_so() {
    let cases = [
        ("unsubscribed", json!(false), false),
        ("unsubscribed", json!("no"), false),
        ("unsubscribed", json!(null), false),
        ("unsubscribed", json!(true), true),
        ("unsubscribed", json!("TRUE"), true),
        ("unsubscribed", json!(1), true),
        ("cio_subscription_preferences.topics.topic_1", json!(true), false),
        ("cio_subscription_preferences.topics.topic_1", json!(false), true),
        (
            "cio_subscription_preferences",
            json!({"topics": {"topic_1": false}}),
            false,
        ),
        ("unsubscribed_at", json!("2026"), true),
    ];
    for (name, value, kept) in cases {
        let scene = track().field(name, value.clone());
        assert_eq!(traits(&scene).get(name).is_some(), kept, "{name} {value}");
        let allowed = scene.input("resubscribe", "true");
        assert_eq!(traits(&allowed).get(name), Some(&value), "{name} {value}");
    }
}

#[test]
fn an_emitter_cannot_give_commands_and_a_rule_can() {
    for command in ["User Deleted", "user suppressed", " Object Deleted "] {
        let run = track().event("event", command).deliver::<CustomerIo>();
        assert_eq!(
            (run.kind(), run.requests.len()),
            (Some(FailureKind::Permanent), 0),
            "{command}"
        );
    }
    let meant = track()
        .input("event_name_override", "User Deleted")
        .reply(200, json!({}))
        .deliver::<CustomerIo>();
    assert_eq!(meant.body(1)["event"], "User Deleted");
}

#[test]
fn an_emitter_cannot_divert_a_campaigns_message() {
    let payload = json!({"email": "nina@academyflow.io", "recipient": "mallory@evil.test", "from_address": "1", "reply_to": "x", "a": {"reply_to": 1}});
    let run = track()
        .payload(payload)
        .reply(200, json!({}))
        .deliver::<CustomerIo>();
    assert_eq!(
        run.body(1)["properties"],
        json!({"email": "nina@academyflow.io", "a": {"reply_to": 1}})
    );
}

#[test]
fn what_customer_io_would_drop_is_not_sent() {
    // The email is a trait too.
    let many = |count: usize| {
        (1..count).fold(track(), |scene, number| {
            scene.field(&format!("t{number}"), number)
        })
    };
    let cases = [
        (track().event("event", "é".repeat(51)), "the event's name"),
        (
            track().input("event_name_override", "x".repeat(101)),
            "the event's name",
        ),
        (track().field("userId", "x".repeat(151)), "the person's id"),
        (track().field(&"n".repeat(151), 1), "a trait's name"),
        (track().field("bio", "x".repeat(1001)), "the trait \"bio\""),
        (many(301), "300 traits, and there are 301"),
        (
            track().payload(json!({"email": "a@b.co", "x": "y".repeat(32_000)})),
            "the track call",
        ),
    ];
    for (scene, what) in cases {
        let run = scene.deliver::<CustomerIo>();
        assert_eq!(
            (run.kind(), run.requests.len()),
            (Some(FailureKind::Mapping), 0),
            "{what}"
        );
        assert!(run.failure().message.contains(what), "{}", run.failure().message);
    }
    let fits = track()
        .event("event", "x".repeat(100))
        .field("userId", "x".repeat(150))
        .field("bio", "x".repeat(1000));
    for fits in [fits, many(300)] {
        assert_eq!(fits.deliver::<CustomerIo>().requests.len(), 1);
    }
}

#[test]
fn a_status_decides_what_follows() {
    use FailureKind::{Authentication, Permanent, RateLimited, Retryable};
    let cases = [
        (302, Permanent),
        (400, Permanent),
        (401, Authentication),
        (403, Permanent),
        (413, Permanent),
        (429, RateLimited),
        (500, Retryable),
        (503, Retryable),
    ];
    for (status, kind) in cases {
        let body = json!({"meta": {"errors": ["Some reason"]}});
        for scene in [track(), track().reply(200, json!({})), scene("identify")] {
            let run = scene
                .reply(status, body.clone())
                .reply_header("Retry-After", "7")
                .deliver::<CustomerIo>();
            assert_eq!(
                (run.kind(), run.failure().retry_after_ms),
                (Some(kind), Some(7_000)),
                "{status}"
            );
            assert!(run.failure().message.contains("Some reason"));
        }
    }
    let empty = track()
        .reply_text(200, "")
        .reply_text(202, "")
        .deliver::<CustomerIo>();
    assert_eq!(empty.kind(), None, "the answer's body says nothing");
}

#[test]
fn what_cannot_work_sends_nothing() {
    let cases = [
        (track().payload(json!({"x": 1})), FailureKind::Mapping),
        (track().payload(json!({"email": "nobody"})), FailureKind::Mapping),
        (
            track()
                .field("userId", "u")
                .payload(json!({"email": "a\r\nb@c.co"})),
            FailureKind::Mapping,
        ),
        (scene("explode"), FailureKind::Permanent),
    ];
    for (scene, kind) in cases {
        let run = scene.deliver::<CustomerIo>();
        assert_eq!((run.kind(), run.requests.len()), (Some(kind), 0), "{scene:?}");
    }
}

#[test]
fn a_check_is_about_nobody() {
    let check = |status| {
        Scene::connection()
            .setting("region", "EU")
            .reply(status, json!({}))
            .check::<CustomerIo>()
    };
    for status in [200, 400] {
        let run = check(status);
        assert_eq!(run.lines(), ["POST https://cdp-eu.customer.io/v1/identify"]);
        assert_eq!(run.body(0), json!({}));
        run.done();
    }
    assert_eq!(check(401).kind(), Some(FailureKind::Authentication));
    assert_eq!(check(503).kind(), Some(FailureKind::Retryable));
}

#[test]
fn the_field_catalog_is_the_traits_that_customer_io_knows() {
    let run = Scene::connection().fields::<CustomerIo>();
    let keys: Vec<_> = items(&run.done()["fields"])
        .iter()
        .map(|field| field["key"].as_str().unwrap())
        .collect();
    let expected = [
        "userId",
        "email",
        "first_name",
        "last_name",
        "name",
        "phone",
        "createdAt",
        "timezone",
        "unsubscribed",
    ];
    assert_eq!(keys, expected);
    assert!(run.requests.is_empty());
}
