use heddle_sdk::FailureKind;
use heddle_sdk::testing::{Scene, manifest};

use super::*;

const UPSERT: &str = "POST https://connect.mailerlite.com/api/subscribers";
const FIND: &str = "GET https://connect.mailerlite.com/api/subscribers/nina%40academyflow.io";
const GROUP: &str = "140000000000000017";

fn scene(action: &str) -> Scene {
    Scene::action(action).secret("api_key").input("id", GROUP)
}

fn subscriber(status: &str) -> Value {
    json!({"data": {"id": "31986843064993537", "email": "nina@academyflow.io", "status": status}})
}

fn refused_as_unsubscribed() -> Value {
    let reason = "This subscriber is unsubscribed and cannot be imported";
    json!({"message": reason, "errors": {"email": [reason]}})
}

#[test]
fn the_manifest_is_sound() {
    manifest::<MailerLite>(env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_subscriber_is_upserted_into_the_group_in_one_request() {
    let run = scene("add_to_group")
        .payload(json!({"email": "nina@academyflow.io", "name": "Nina Ray", "phone": "37120000"}))
        .field("last_name", "Mapped")
        .field("score", 62)
        .field("vip", true)
        .field("topics", json!(["a", "b"]))
        .field("city", json!(null))
        .reply(201, subscriber("active"))
        .deliver::<MailerLite>();
    assert_eq!(run.lines(), [UPSERT]);
    let expected = json!({
        "email": "nina@academyflow.io", "groups": [GROUP],
        "fields": {"last_name": "Mapped", "score": 62, "vip": "true", "topics": "a, b", "city": null,
            "name": "Nina", "phone": "37120000"},
    });
    assert_eq!(run.body(0), expected);
    assert_eq!(run.done()["external_id"], "31986843064993537");
    assert_eq!(
        run.done()["message"],
        format!("the subscriber is in group {GROUP}")
    );
    let version = run.requests[0]
        .headers
        .iter()
        .find(|header| header.name == "X-Version");
    assert_eq!(version.map(|header| header.value.as_str()), Some("2026-11-01"));
}

#[test]
fn a_group_does_not_make_an_unconfirmed_or_bounced_address_active() {
    for status in ["unconfirmed", "bounced", "junk"] {
        let run = scene("add_to_group")
            .input("resubscribe", "true")
            .reply(200, subscriber(status))
            .deliver::<MailerLite>();
        assert_eq!(run.requests.len(), 1);
        assert!(run.body(0)["status"].is_null());
        assert!(run.done()["message"].as_str().unwrap().contains(status));
    }
}

#[test]
fn nobody_who_unsubscribed_is_subscribed_again_unless_the_rule_says_so() {
    for (status, body) in [
        (200, subscriber("unsubscribed")),
        (422, refused_as_unsubscribed()),
    ] {
        for off in ["", "false", "yes"] {
            let scene = scene("add_to_group")
                .input("resubscribe", off)
                .reply(status, body.clone());
            let run = scene.deliver::<MailerLite>();
            assert_eq!(run.requests.len(), 1, "{status} {off}");
            assert!(run.done()["message"].as_str().unwrap().contains("left so"));
        }
        let asked = scene("add_to_group")
            .input("resubscribe", "true")
            .reply(status, body.clone());
        let run = asked
            .clone()
            .reply(200, subscriber("active"))
            .deliver::<MailerLite>();
        assert_eq!(run.lines(), [UPSERT, UPSERT]);
        assert!(run.body(0)["resubscribe"].is_null());
        assert_eq!(
            (&run.body(1)["status"], &run.body(1)["resubscribe"]),
            (&json!("active"), &json!(true))
        );
        assert_eq!(run.done()["external_id"], "31986843064993537");
        let still = asked
            .reply(422, refused_as_unsubscribed())
            .deliver::<MailerLite>();
        assert!(still.done()["message"].as_str().unwrap().contains("does not let"));
    }
}

#[test]
fn removing_looks_the_subscriber_up_and_creates_nobody() {
    let delete =
        format!("DELETE https://connect.mailerlite.com/api/subscribers/31986843064993537/groups/{GROUP}");
    for status in [204, 200, 404] {
        let run = scene("remove_from_group")
            .reply(200, subscriber("active"))
            .reply(status, json!(null))
            .deliver::<MailerLite>();
        assert_eq!(run.lines(), [FIND, &delete]);
        run.done();
    }
    let run = scene("remove_from_group")
        .reply(404, json!({"message": "Not found"}))
        .deliver::<MailerLite>();
    assert_eq!(run.lines(), [FIND]);
    run.done();
}

#[test]
fn a_duplicate_changes_nothing() {
    let deliver = |status| {
        scene("add_to_group")
            .reply(status, subscriber("active"))
            .deliver::<MailerLite>()
    };
    let (first, second) = (deliver(201), deliver(200));
    assert_eq!(first.requests, second.requests);
    assert_eq!(first.done(), second.done());
    // The second removal is told that there is no such membership.
    let gone = scene("remove_from_group")
        .reply(200, subscriber("active"))
        .reply(404, json!({"message": "x"}));
    gone.deliver::<MailerLite>().done();
}

#[test]
fn a_status_decides_what_follows() {
    use FailureKind::{Authentication, Permanent, RateLimited, Retryable};
    let cases = [
        (400, Permanent),
        (401, Authentication),
        (403, Permanent),
        (404, Permanent),
        (405, Permanent),
        (408, Retryable),
        (422, Permanent),
        (429, RateLimited),
        (500, Retryable),
        (503, Retryable),
    ];
    for (status, kind) in cases {
        let refused = |scene: Scene| {
            let run = scene
                .reply(status, json!({"message": "x"}))
                .reply_header("Retry-After", "37");
            run.deliver::<MailerLite>().failure().clone()
        };
        let failure = refused(scene("add_to_group"));
        assert_eq!(failure.kind, kind, "{status}");
        let waits = matches!(kind, Retryable | RateLimited);
        assert!(!waits || failure.retry_after_ms == Some(37_000), "{status}");
        if status != 404 {
            assert_eq!(refused(scene("remove_from_group")).kind, kind, "{status}");
            let later = scene("remove_from_group").reply(200, subscriber("active"));
            assert_eq!(refused(later).kind, kind, "{status}");
        }
    }
    for body in ["", "<html>", "{}", r#"{"data":{}}"#] {
        let run = scene("add_to_group")
            .reply_text(200, body)
            .deliver::<MailerLite>();
        assert_eq!(run.kind(), Some(Retryable), "{body}");
    }
}

#[test]
fn a_refusal_says_which_field_is_wrong() {
    let body = json!({"message": "The given data was invalid.", "errors": {"groups.0": ["The group is unknown.", "Really."]}});
    let run = scene("add_to_group").reply(422, body).deliver::<MailerLite>();
    let expected =
        "MailerLite answered 422: The given data was invalid. groups.0: The group is unknown. Really.";
    assert_eq!(run.failure().message, expected);
}

#[test]
fn what_cannot_work_sends_nothing() {
    use FailureKind::{Mapping, Permanent};
    let cases = [
        (scene("add_to_group").payload(json!({"x": 1})), Mapping),
        (
            scene("remove_from_group").payload(json!({"email": "nobody"})),
            Mapping,
        ),
        (scene("add_to_group").input("id", " "), Mapping),
        (scene("remove_from_group").input("id", ".."), Mapping),
        (scene("remove_from_group").input("id", "1/../2"), Mapping),
        (scene("add_to_group").input("id", "VIP"), Mapping),
        (scene("explode"), Permanent),
    ];
    for (scene, kind) in cases {
        let run = scene.deliver::<MailerLite>();
        assert_eq!((run.kind(), run.requests.len()), (Some(kind), 0), "{scene:?}");
    }
}

#[test]
fn an_address_stays_in_its_place_of_the_url() {
    let run = scene("remove_from_group")
        .payload(json!({"email": "a/../b?c#+@d.co"}))
        .deliver::<MailerLite>();
    let line = "GET https://connect.mailerlite.com/api/subscribers/a%2F..%2Fb%3Fc%23%2B%40d.co";
    assert_eq!(run.lines(), [line]);
}

#[test]
fn a_check_reads_one_group_and_changes_nothing() {
    let run = Scene::connection()
        .reply(200, json!({"data": []}))
        .check::<MailerLite>();
    assert_eq!(
        run.lines(),
        ["GET https://connect.mailerlite.com/api/groups?limit=1"]
    );
    run.done();
    let refused = Scene::connection()
        .reply(401, json!({"message": "Unauthenticated."}))
        .check::<MailerLite>();
    assert_eq!(refused.failure().kind, FailureKind::Authentication);
    assert_eq!(
        refused.failure().message,
        "MailerLite answered 401: Unauthenticated."
    );
}

#[test]
fn groups_are_searched_page_by_page() {
    let page = json!({"data": [{"id": GROUP, "name": "Graduates"}, {"id": 18, "name": "VIP"}, {}], "meta": {"last_page": 3}});
    let scene = Scene::connection()
        .query("search", "gra")
        .reply(200, page.clone());
    let run = scene.query("cursor", "2").choices::<MailerLite>();
    let line =
        "GET https://connect.mailerlite.com/api/groups?limit=100&page=2&sort=name&filter%5Bname%5D=gra";
    assert_eq!(run.lines(), [line]);
    let choices = json!([{"id": GROUP, "label": "Graduates"}, {"id": "18", "label": "VIP"}]);
    assert_eq!(*run.done(), json!({"choices": choices, "next_cursor": "3"}));
    let last = Scene::connection()
        .query("cursor", "3")
        .reply(200, page)
        .choices::<MailerLite>();
    assert_eq!(last.done()["next_cursor"], json!(null));
    let first = Scene::connection()
        .query("cursor", "x")
        .reply(200, json!({}))
        .choices::<MailerLite>();
    assert!(first.lines()[0].ends_with("groups?limit=100&page=1&sort=name"));
}

#[test]
fn the_field_catalog_is_the_accounts_fields_by_key() {
    let first = json!({"data": [
        {"id": "1", "name": "Name", "key": "name", "type": "text"},
        {"id": "2", "name": "Zip", "key": "z_i_p", "type": "text"},
        {"id": "3", "name": "Phone", "key": "phone", "type": "text"},
        {"id": "4", "name": "Email", "key": "email", "type": "text"},
        {"id": "5", "name": "without a key"},
    ], "meta": {"last_page": 2}});
    let second = json!({"data": [
        {"name": "Score", "key": "score", "type": "number"}, {"name": "Since", "key": "since", "type": "date"},
        {"key": "new", "type": "hologram"},
    ], "meta": {"last_page": 2}});
    let run = Scene::connection()
        .reply(200, first)
        .reply(200, second)
        .fields::<MailerLite>();
    assert_eq!(
        run.lines()[1],
        "GET https://connect.mailerlite.com/api/fields?limit=100&page=2"
    );
    let expected = json!({"fields": [
        {"key": "email", "label": "Email", "type": "string", "constraints": {"required": true, "format": "email"}},
        {"key": "name", "label": "Name", "type": "string"},
        {"key": "z_i_p", "label": "Zip", "type": "string"},
        {"key": "phone", "label": "Phone", "type": "string", "constraints": {"format": "phone"}},
        {"key": "score", "label": "Score", "type": "number"},
        {"key": "since", "label": "Since", "type": "date"},
        {"key": "new", "label": "new", "type": "unknown"},
    ]});
    assert_eq!(*run.done(), expected);
}
