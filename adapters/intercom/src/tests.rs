use heddle_sdk::FailureKind;
use heddle_sdk::testing::{Scene, manifest};

use super::*;

const SEARCH: &str = "POST https://api.intercom.io/contacts/search";
const CREATE: &str = "POST https://api.intercom.io/contacts";
const UPDATE: &str = "PUT https://api.intercom.io/contacts/c1";
const TAG: &str = "POST https://api.intercom.io/contacts/c1/tags";

fn scene(action: &str) -> Scene {
    Scene::action(action).input("id", "102").secret("access_token")
}

fn upsert() -> Scene {
    scene("upsert_contact")
}

fn hits(contacts: Value) -> Value {
    json!({"type": "list", "data": contacts, "total_count": 1})
}

fn nobody() -> Value {
    hits(json!([]))
}

fn nina() -> Value {
    json!({"type": "contact", "id": "c1", "role": "user", "external_id": null, "email": "nina@academyflow.io"})
}

fn conflict(message: &str) -> Value {
    json!({"type": "error.list", "errors": [{"code": "conflict", "message": message}]})
}

#[test]
fn the_manifest_is_sound() {
    manifest::<Intercom>(env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_stranger_is_created_as_a_user_and_tagged() {
    let run = scene("add_tag")
        .payload(json!({"email": "nina@academyflow.io", "first_name": "Nina", "last_name": "Ray", "phone": "+353871234567"}))
        .reply(200, nobody())
        .reply(200, nina())
        .reply(200, json!({"type": "tag", "id": "102"}))
        .deliver::<Intercom>();
    assert_eq!(run.lines(), [SEARCH, CREATE, TAG]);
    let query = json!({"query": {"field": "email", "operator": "=", "value": "nina@academyflow.io"}});
    assert_eq!(run.body(0), query);
    let person =
        json!({"name": "Nina Ray", "phone": "+353871234567", "email": "nina@academyflow.io", "role": "user"});
    assert_eq!(run.body(1), person);
    assert_eq!(run.body(2), json!({"id": "102"}));
    assert_eq!(run.done()["external_id"], "c1");
    for request in &run.requests {
        let header = |name: &str| {
            request
                .headers
                .iter()
                .find(|header| header.name == name)
                .map(|header| header.value.clone())
        };
        assert_eq!(header("Intercom-Version").as_deref(), Some("2.16"));
    }
}

#[test]
fn a_second_delivery_finds_the_contact_and_changes_nothing() {
    let run = scene("add_tag")
        .reply(200, hits(json!([nina()])))
        .reply(200, json!({"type": "tag", "id": "102"}))
        .deliver::<Intercom>();
    assert_eq!(run.lines(), [SEARCH, TAG]);
    run.done();
}

#[test]
fn each_region_has_its_own_host() {
    for (region, host) in [
        ("us", "api.intercom.io"),
        ("eu", "api.eu.intercom.io"),
        ("au", "api.au.intercom.io"),
    ] {
        let run = upsert().setting("region", region).deliver::<Intercom>();
        assert_eq!(run.lines(), [format!("POST https://{host}/contacts/search")]);
    }
    let run = upsert().setting("region", "evil.example/").deliver::<Intercom>();
    assert_eq!(
        (run.kind(), run.requests.len()),
        (Some(FailureKind::Permanent), 0)
    );
}

#[test]
fn mapped_fields_become_attributes_and_the_rest_custom_ones() {
    let run = upsert()
        .field("name", "Nina R.")
        .field("signed_up_at", "2026-03-21T14:18:00Z")
        .field("custom_attributes.plan", "pro")
        .field("custom_attributes.trial_ends_at", "2026-03-21T14:18:00+00:00")
        .field("score", 62)
        .field("topics", json!(["a", "b"]))
        .reply(200, hits(json!([nina()])))
        .deliver::<Intercom>();
    assert_eq!(run.lines(), [SEARCH, UPDATE]);
    let expected = json!({"name": "Nina R.", "signed_up_at": 1_774_102_680, "custom_attributes": {
        "plan": "pro", "trial_ends_at": 1_774_102_680, "score": 62, "topics": "a, b"}});
    assert_eq!(run.body(1), expected);
}

#[test]
fn nobody_is_subscribed_again_unless_the_rule_says_so() {
    let cases = [
        (json!(false), None, None),
        (json!("false"), None, None),
        (json!(null), None, None),
        (json!(false), Some("true"), Some(json!(false))),
        (json!(true), None, Some(json!(true))),
        (json!("true"), None, Some(json!(true))),
    ];
    for (mapped, allowed, sent) in cases {
        let mut scene = upsert()
            .field("name", "N")
            .field("unsubscribed_from_emails", mapped.clone());
        if let Some(allowed) = allowed {
            scene = scene.input("resubscribe", allowed);
        }
        let run = scene.reply(200, hits(json!([nina()]))).deliver::<Intercom>();
        assert_eq!(
            run.body(1).get("unsubscribed_from_emails"),
            sent.as_ref(),
            "{mapped} {allowed:?}"
        );
    }
}

#[test]
fn an_external_id_identifies_before_the_email_does() {
    let look = "GET https://api.intercom.io/contacts/find_by_external_id/..%2Fstu%202048";
    let scene = || upsert().field("external_id", "../stu 2048");
    let run = scene().reply(200, nina()).deliver::<Intercom>();
    assert_eq!(run.lines(), [look, UPDATE]);
    assert_eq!(run.body(1), json!({"email": "nina@academyflow.io"}));

    // By email only somebody who is known by no other external id.
    let other = json!({"id": "c9", "role": "user", "external_id": "stu_1"});
    let run = scene()
        .reply(404, json!({}))
        .reply(200, hits(json!([other.clone(), nina()])))
        .deliver::<Intercom>();
    assert_eq!(run.lines(), [look, SEARCH, UPDATE]);
    assert_eq!(run.body(2), json!({"external_id": "../stu 2048"}));
    let run = scene()
        .reply(404, json!({}))
        .reply(200, hits(json!([other])))
        .deliver::<Intercom>();
    assert_eq!(run.lines(), [look, SEARCH, CREATE]);

    let merged = scene()
        .reply(410, json!({}))
        .reply_header("Link", "</contacts/c1>; rel=\"canonical\"");
    assert_eq!(merged.deliver::<Intercom>().lines(), [look, UPDATE]);
    let lost = scene().reply(410, json!({})).deliver::<Intercom>();
    assert_eq!(lost.kind(), Some(FailureKind::Permanent));

    let alone = upsert()
        .payload(json!({"x": 1}))
        .field("external_id", 7)
        .reply(404, json!({}));
    let run = alone.deliver::<Intercom>();
    assert_eq!(run.lines()[1], CREATE);
    assert_eq!(run.body(1), json!({"external_id": "7", "role": "user"}));
}

#[test]
fn of_several_people_with_one_address_a_user_comes_before_a_lead() {
    let lead = json!({"id": "c2", "role": "lead"});
    let run = upsert()
        .field("name", "N")
        .reply(200, hits(json!([lead.clone(), nina()])))
        .deliver::<Intercom>();
    assert_eq!(run.lines()[1], UPDATE);
    let run = upsert()
        .field("name", "N")
        .reply(200, hits(json!([lead])))
        .deliver::<Intercom>();
    assert_eq!(run.lines()[1], "PUT https://api.intercom.io/contacts/c2");
    assert_eq!(run.body(1), json!({"name": "N"}), "a lead stays one");
}

#[test]
fn a_contact_that_the_search_did_not_see_is_updated_by_the_id_in_the_refusal() {
    let taken = conflict("A contact matching those details already exists with id=c1");
    let raced = |body: Value| {
        upsert()
            .field("name", "Nina")
            .reply(200, nobody())
            .reply(409, body)
    };
    let run = raced(taken.clone()).reply(200, nina()).deliver::<Intercom>();
    assert_eq!(run.lines(), [SEARCH, CREATE, UPDATE]);
    assert_eq!(
        run.body(2),
        json!({"name": "Nina", "email": "nina@academyflow.io"})
    );
    run.done();
    // Its own external id is not taken from it.
    let scene = upsert()
        .field("external_id", "e1")
        .reply(404, json!({}))
        .reply(200, nobody());
    let run = scene.reply(409, taken).deliver::<Intercom>();
    assert_eq!(run.body(3), json!({"email": "nina@academyflow.io"}));

    let archived = raced(conflict(
        "An archived contact matching those details already exists with id=c1",
    ));
    let failure = archived.deliver::<Intercom>().failure().clone();
    assert_eq!(failure.kind, FailureKind::Permanent);
    assert!(failure.message.contains("c1 is archived"));
    for message in ["no id", "with id=", "with id=/../x"] {
        let run = raced(conflict(message)).deliver::<Intercom>();
        assert_eq!(
            (run.kind(), run.requests.len()),
            (Some(FailureKind::Retryable), 2),
            "{message}"
        );
    }
}

#[test]
fn a_contact_that_was_deleted_since_is_looked_for_again() {
    let run = upsert()
        .field("name", "N")
        .reply(200, hits(json!([nina()])))
        .reply(404, json!({}));
    assert_eq!(run.deliver::<Intercom>().kind(), Some(FailureKind::Retryable));
}

#[test]
fn a_tag_is_removed_and_nobody_is_created_for_it() {
    let untag = "DELETE https://api.intercom.io/contacts/c1/tags/102";
    for (status, body) in [(200, json!({"id": "102"})), (404, conflict("Resource Not Found"))] {
        let run = scene("remove_tag")
            .reply(200, hits(json!([nina()])))
            .reply(status, body)
            .deliver::<Intercom>();
        assert_eq!(run.lines(), [SEARCH, untag]);
        run.done();
    }
    let run = scene("remove_tag").reply(200, nobody()).deliver::<Intercom>();
    assert_eq!(run.lines(), [SEARCH]);
    run.done();
}

#[test]
fn a_tag_that_does_not_exist_fails_for_good() {
    let run = scene("add_tag")
        .reply(200, hits(json!([nina()])))
        .reply(404, conflict("Resource Not Found"));
    let run = run.deliver::<Intercom>();
    assert_eq!(run.kind(), Some(FailureKind::Permanent));
    assert!(run.failure().message.contains("Resource Not Found"));
}

#[test]
fn an_event_carries_its_own_second_so_that_a_duplicate_is_ignored() {
    let scene = || {
        scene("track_event")
            .reply(200, hits(json!([nina()])))
            .reply_text(202, "")
    };
    let run = scene().deliver::<Intercom>();
    assert_eq!(run.lines(), [SEARCH, "POST https://api.intercom.io/events"]);
    let event = json!({"event_name": "lesson.completed", "created_at": 1_774_137_600, "id": "c1", "metadata": {
        "student_id": "stu_2048", "lesson_title": "Customer Research Fundamentals", "completion_percentage": 62}});
    assert_eq!(run.body(1), event);
    run.done();
    assert_eq!(
        scene().deliver::<Intercom>().body(1),
        event,
        "the second delivery says the same"
    );
    let named = scene()
        .input("event_name_override", "completed-lesson")
        .deliver::<Intercom>();
    assert_eq!(named.body(1)["event_name"], "completed-lesson");
}

#[test]
fn of_the_payload_an_event_gets_what_intercom_can_keep() {
    let payload = json!({
        "email": "nina@academyflow.io", "name": "Nina", "phone": "1", "none": null, "list": [1], "nested": {"a": {"b": 1}},
        "due_date": "2026-03-21T14:18:00Z", "due": "2026-03-21T14:18:00Z", "on": true,
        "link": {"url": "https://academyflow.io", "value": "school"}, "price": {"amount": 2999, "currency": "eur"},
        "k6": 6, "k7": 7, "k8": 8, "k9": 9, "k10": 10, "k11": 11,
    });
    let run = scene("track_event")
        .payload(payload)
        .reply(200, hits(json!([nina()])));
    let run = run.reply(200, nina()).reply_text(202, "").deliver::<Intercom>();
    let expected = json!({
        "due_date": 1_774_102_680, "due": "2026-03-21T14:18:00Z", "on": "true",
        "link": {"url": "https://academyflow.io", "value": "school"}, "price": {"amount": 2999, "currency": "eur"},
        "k6": 6, "k7": 7, "k8": 8, "k9": 9, "k10": 10,
    });
    assert_eq!(run.body(2)["metadata"], expected);
    run.done();
}

#[test]
fn a_status_decides_what_follows() {
    use FailureKind::{Authentication, Permanent, RateLimited, Retryable};
    let cases = [
        (400, Permanent),
        (401, Authentication),
        (402, Permanent),
        (403, Permanent),
        (404, Permanent),
        (408, Retryable),
        (409, Permanent),
        (422, Permanent),
        (429, RateLimited),
        (500, Retryable),
        (502, Retryable),
        (503, Retryable),
    ];
    for (status, kind) in cases {
        let body = json!({"type": "error.list", "errors": [{"code": "some_code", "message": "Some reason"}]});
        let run = upsert().reply(status, body.clone()).deliver::<Intercom>();
        assert_eq!(run.kind(), Some(kind), "{status}");
        assert!(run.failure().message.contains("Some reason"));
        let event = scene("track_event")
            .reply(200, hits(json!([nina()])))
            .reply(status, body);
        assert_eq!(event.deliver::<Intercom>().kind(), Some(kind), "event {status}");
    }
    for body in ["<html>", "", "[]", "{}", r#"{"data": {}}"#] {
        let run = upsert().reply_text(200, body).deliver::<Intercom>();
        assert_eq!((run.kind(), run.requests.len()), (Some(Retryable), 1), "{body}");
    }
}

#[test]
fn a_rate_limit_ends_when_its_window_does() {
    let limited = || upsert().reply(429, json!({}));
    let wait = |scene: Scene| scene.deliver::<Intercom>().failure().retry_after_ms;
    // The attempt starts at 1774137600.5.
    assert_eq!(
        wait(limited().reply_header("X-RateLimit-Reset", "1774137607")),
        Some(6_500)
    );
    assert_eq!(
        wait(
            limited()
                .reply_header("X-RateLimit-Reset", "1774137607")
                .reply_header("Retry-After", "2")
        ),
        Some(2_000)
    );
    assert_eq!(wait(limited()), None);
}

#[test]
fn what_cannot_work_sends_nothing() {
    let cases = [
        (upsert().payload(json!({"x": 1})), FailureKind::Mapping),
        (upsert().payload(json!({"email": "nobody"})), FailureKind::Mapping),
        (
            upsert()
                .field("external_id", "e")
                .payload(json!({"email": "nobody"})),
            FailureKind::Mapping,
        ),
        (upsert().field("external_id", ".."), FailureKind::Mapping),
        (scene("add_tag").input("id", ""), FailureKind::Mapping),
        (scene("remove_tag").input("id", ".."), FailureKind::Mapping),
        (scene("explode"), FailureKind::Permanent),
    ];
    for (scene, kind) in cases {
        let run = scene.deliver::<Intercom>();
        assert_eq!((run.kind(), run.requests.len()), (Some(kind), 0), "{scene:?}");
    }
}

#[test]
fn a_check_names_the_workspace_and_knows_when_it_is_elsewhere() {
    let me = || json!({"type": "admin", "app": {"name": "Academy", "region": "EU"}});
    let check = |region: &str, status, body| {
        Scene::connection()
            .setting("region", region)
            .reply(status, body)
            .check::<Intercom>()
    };
    let run = check("eu", 200, me());
    assert_eq!(run.lines(), ["GET https://api.eu.intercom.io/me"]);
    assert_eq!(run.done()["account"], "Academy");
    let run = check("us", 200, me());
    assert_eq!(run.kind(), Some(FailureKind::Permanent));
    assert!(run.failure().message.contains("\"EU\""));
    assert_eq!(
        check("eu", 401, json!({})).kind(),
        Some(FailureKind::Authentication)
    );
}

#[test]
fn tags_are_offered_by_name() {
    let all = json!({"type": "list", "data": [{"id": "102", "name": "Graduate"}, {"id": "103", "name": "VIP"}, {"id": "104"}]});
    let run = Scene::connection()
        .query("search", "grad")
        .reply(200, all)
        .choices::<Intercom>();
    assert_eq!(run.lines(), ["GET https://api.intercom.io/tags"]);
    assert_eq!(
        *run.done(),
        json!({"choices": [{"id": "102", "label": "Graduate"}], "next_cursor": null})
    );
}

#[test]
fn the_field_catalog_has_what_can_be_written() {
    let all = json!({"data": [
        {"name": "email", "full_name": "email", "label": "Email", "data_type": "string", "api_writable": true},
        {"name": "plan", "full_name": "custom_attributes.plan", "label": "Plan", "data_type": "string", "api_writable": true,
            "options": ["free", "pro"], "description": "What they pay for."},
        {"name": "signed_up_at", "full_name": "signed_up_at", "label": "Signed up", "data_type": "date", "api_writable": true},
        {"name": "seats", "full_name": "custom_attributes.seats", "data_type": "integer", "api_writable": true},
        {"name": "id", "full_name": "id", "label": "ID", "data_type": "string", "api_writable": false},
        {"name": "old", "full_name": "custom_attributes.old", "data_type": "string", "api_writable": true, "archived": true},
    ]});
    let run = Scene::connection().reply(200, all).fields::<Intercom>();
    assert_eq!(
        run.lines(),
        ["GET https://api.intercom.io/data_attributes?model=contact"]
    );
    let fields = &run.done()["fields"];
    let keys: Vec<_> = items(fields)
        .iter()
        .map(|field| field["key"].as_str().unwrap())
        .collect();
    let expected = [
        "email",
        "external_id",
        "name",
        "phone",
        "custom_attributes.plan",
        "signed_up_at",
        "custom_attributes.seats",
    ];
    assert_eq!(keys, expected);
    let plan = json!({"key": "custom_attributes.plan", "label": "Plan", "type": "enum", "description": "What they pay for.",
        "constraints": {"allowed_values": ["free", "pro"]}});
    assert_eq!(fields[4], plan);
    assert_eq!(
        (&fields[5]["type"], &fields[6]["type"]),
        (&json!("datetime"), &json!("number"))
    );
}
