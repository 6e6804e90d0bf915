use heddle_sdk::FailureKind;
use heddle_sdk::testing::{Scene, manifest};

use super::*;

const MEETING: &str = "POST https://api.zoom.us/v2/meetings/85746065/registrants";

fn meeting() -> Scene {
    Scene::action("add_meeting_registrant")
        .input("id", 85_746_065)
        .secret("client_secret")
}

fn registered() -> Value {
    json!({"registrant_id": "r1", "id": 85_746_065, "join_url": "https://zoom.us/w/1"})
}

#[test]
fn the_manifest_is_sound() {
    let manifest = manifest::<Zoom>(env!("CARGO_PKG_VERSION"));
    let daily = json!({"requests": 3, "per_seconds": 86_400, "of": ["id", "email"]});
    assert!(items(&manifest["limits"]["rates"]).contains(&daily));
}

#[test]
fn a_person_is_registered_as_mapped_and_as_the_payload_says_beside() {
    let run = meeting()
        .payload(json!({"email": "nina@academyflow.io", "name": "Nina Ray", "phone": 4930123}))
        .field("first_name", "N.")
        .field("org", "Academy")
        .field("plan", "not Zoom's")
        .field("city", json!(null))
        .field("custom_questions", json!({"Why?": "fun"}))
        .field("custom_questions.How many?", 3)
        .reply(201, registered())
        .deliver::<Zoom>();
    assert_eq!(run.lines(), [MEETING]);
    let expected = json!({
        "email": "nina@academyflow.io", "first_name": "N.", "last_name": "Ray", "phone": "4930123", "org": "Academy",
        "custom_questions": [{"title": "Why?", "value": "fun"}, {"title": "How many?", "value": "3"}],
    });
    assert_eq!(run.body(0), expected);
    assert_eq!(run.done()["external_id"], "r1");
}

#[test]
fn a_webinar_is_another_address() {
    let run = Scene::action("add_webinar_registrant")
        .input("id", "7")
        .reply(201, registered())
        .deliver::<Zoom>();
    assert_eq!(
        run.lines(),
        ["POST https://api.zoom.us/v2/webinars/7/registrants"]
    );
    run.done();
}

#[test]
fn a_person_without_a_name_goes_by_the_start_of_the_address() {
    let body = meeting().deliver::<Zoom>().body(0);
    assert_eq!(
        body,
        json!({"email": "nina@academyflow.io", "first_name": "nina"})
    );
    let long = meeting()
        .field("first_name", "é".repeat(100))
        .deliver::<Zoom>()
        .body(0);
    assert_eq!(long["first_name"], "é".repeat(64));
}

#[test]
fn a_second_delivery_of_the_same_event_asks_for_the_same_registration() {
    let first = meeting().deliver::<Zoom>();
    assert_eq!(first.requests, meeting().again().deliver::<Zoom>().requests);
    let again = json!({"code": 3000, "message": "You have already registered for this meeting."});
    // Whether Zoom answers a duplicate with the registration or with a refusal, it is done.
    let odd = json!({"code": 3000, "message": "The user is already registered."});
    assert_eq!(meeting().reply(400, odd).deliver::<Zoom>().kind(), None);
    assert_eq!(meeting().reply(400, again).deliver::<Zoom>().kind(), None);
}

#[test]
fn zooms_codes_decide_what_follows() {
    use FailureKind::{Authentication, Permanent, Retryable};
    let cases = [
        (400, 300, Permanent),
        (400, 200, Permanent),
        (400, 3000, Permanent),
        (400, 3027, Permanent),
        (400, 3034, Permanent),
        (400, 3038, Permanent),
        (401, 124, Authentication),
        (401, 200, Authentication),
        (401, 201, Authentication),
        (401, 4741, Authentication),
        (401, 4700, Permanent),
        (401, 4711, Permanent),
        (400, 4711, Permanent),
        (403, 0, Permanent),
        (404, 1001, Permanent),
        (404, 3001, Permanent),
        (404, 3043, Permanent),
        (500, 0, Retryable),
        (503, 0, Retryable),
    ];
    for (status, code, kind) in cases {
        let run = meeting()
            .reply(status, json!({"code": code, "message": "why"}))
            .deliver::<Zoom>();
        assert_eq!(run.kind(), Some(kind), "{status} {code}");
        assert!(run.failure().message.contains("why"), "{status} {code}");
    }
    for (status, body, kind) in [
        (201, "<html>", Retryable),
        (401, "<html>", Authentication),
        (404, "", Permanent),
    ] {
        let run = meeting().reply_text(status, body).deliver::<Zoom>();
        assert_eq!(run.kind(), Some(kind), "{status} {body}");
    }
}

#[test]
fn zoom_says_how_long_to_wait_in_several_ways() {
    // The attempt starts at 2026-03-22T00:00:00.500Z.
    let wait = |message: &str, headers: &[(&str, &str)]| {
        let mut scene = meeting().reply(429, json!({"code": 429, "message": message}));
        for (name, value) in headers {
            scene = scene.reply_header(name, value);
        }
        let run = scene.deliver::<Zoom>();
        assert_eq!(run.kind(), Some(FailureKind::RateLimited));
        run.failure().retry_after_ms
    };
    let day = "You have exceeded the daily rate limit (3) of registration requests for this registrant.";
    let second = "You have reached the maximum per-second rate limit for this API.";
    assert_eq!(
        wait(day, &[("Retry-After", "2026-03-22T12:00:00Z")]),
        Some(43_199_500)
    );
    assert_eq!(wait(day, &[]), Some(86_399_500));
    assert_eq!(
        wait("limited", &[("X-RateLimit-Type", "Daily-limit")]),
        Some(86_399_500)
    );
    assert_eq!(wait(second, &[]), Some(1_000));
    assert_eq!(wait(second, &[("X-RateLimit-Reset", "2")]), Some(2_000));
    assert_eq!(wait(second, &[("X-RateLimit-Reset", "1774137603")]), Some(2_500));
}

#[test]
fn what_cannot_work_sends_nothing() {
    use FailureKind::{Mapping, Permanent};
    let cases = [
        (meeting().payload(json!({"x": 1})), Mapping),
        (meeting().field("email", "nobody"), Mapping),
        (meeting().input("id", ""), Mapping),
        (meeting().input("id", ".."), Mapping),
        (Scene::action("explode").input("id", "1"), Permanent),
    ];
    for (scene, kind) in cases {
        let run = scene.deliver::<Zoom>();
        assert_eq!((run.kind(), run.requests.len()), (Some(kind), 0), "{scene:?}");
    }
    let run = meeting().input("id", "1/../../users").deliver::<Zoom>();
    let stays = "POST https://api.zoom.us/v2/meetings/1%2F..%2F..%2Fusers/registrants";
    assert_eq!(run.lines(), [stays]);
}

#[test]
fn a_check_names_the_host_and_changes_nothing() {
    let scene = Scene::connection();
    let run = scene
        .clone()
        .reply(200, json!({"email": "host@acme.io"}))
        .check::<Zoom>();
    assert_eq!(run.lines(), ["GET https://api.zoom.us/v2/users/me"]);
    assert_eq!(*run.done(), json!({"account": "host@acme.io"}));
    let named = scene.clone().setting("host", "host@acme.io").check::<Zoom>();
    assert_eq!(named.lines(), ["GET https://api.zoom.us/v2/users/host%40acme.io"]);
    let refused = scene.reply(401, json!({"code": 124})).check::<Zoom>();
    assert_eq!(refused.kind(), Some(FailureKind::Authentication));
}

#[test]
fn coming_meetings_and_webinars_are_listed_page_by_page() {
    let page = json!({"next_page_token": "t==", "meetings": [
        {"id": 1, "topic": "Weekly", "start_time": "2026-04-01T10:00:00Z"},
        {"id": 1, "topic": "Weekly", "start_time": "2026-04-08T10:00:00Z"},
        {"id": 2, "topic": "Open"}, {"id": 3},
    ]});
    let scene = Scene::connection().query("action", "add_meeting_registrant");
    let run = scene
        .clone()
        .query("cursor", "s=")
        .reply(200, page)
        .choices::<Zoom>();
    let list = "GET https://api.zoom.us/v2/users/me/meetings?type=upcoming&page_size=300";
    assert_eq!(run.lines(), [format!("{list}&next_page_token=s%3D")]);
    let choices =
        json!([{"id": "1", "label": "Weekly (2026-04-01T10:00:00Z)"}, {"id": "2", "label": "Open"}]);
    assert_eq!(*run.done(), json!({"choices": choices, "next_cursor": "t=="}));

    let page = json!({"next_page_token": "", "webinars": [{"id": 9, "topic": "Launch"}, {"id": 8, "topic": "Other"}]});
    let run = Scene::connection()
        .query("action", "add_webinar_registrant")
        .query("search", "LAUNCH")
        .reply(200, page)
        .choices::<Zoom>();
    assert_eq!(
        run.lines(),
        ["GET https://api.zoom.us/v2/users/me/webinars?page_size=300"]
    );
    let choices = json!([{"id": "9", "label": "Launch"}]);
    assert_eq!(*run.done(), json!({"choices": choices, "next_cursor": null}));
}

#[test]
fn the_field_catalog_needs_no_request() {
    let run = Scene::connection().fields::<Zoom>();
    assert!(run.requests.is_empty());
    let email = json!({"required": true, "format": "email", "max_length": 128});
    assert_eq!(run.done()["fields"][0]["constraints"], email);
    assert_eq!(items(&run.done()["fields"]).len(), 17);
}
