use heddle_sdk::FailureKind;
use heddle_sdk::testing::{Scene, manifest};

use super::*;

const MEMBER: &str = "https://us6.api.mailchimp.com/3.0/lists/a1b2/members/nina%40academyflow.io";

fn scene(action: &str) -> Scene {
    Scene::action(action)
        .setting("data_center", "us6")
        .secret("api_key")
        .input("id", "a1b2")
        .input("value", "Graduate")
}

fn question() -> Scene {
    Scene::connection()
        .setting("data_center", "us6")
        .secret("api_key")
}

fn member_is(status: &str) -> Value {
    json!({"id": "852aaa9532cb36adfb5e9fef7a4206a9", "email_address": "nina@academyflow.io", "status": status})
}

#[test]
fn the_manifest_is_sound() {
    manifest::<Mailchimp>(env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_member_is_upserted_by_address_and_subscribed_if_new() {
    let run = scene("add_to_list")
        .payload(json!({"email": "Nina@AcademyFlow.io", "name": "Nina Ray"}))
        .field("LNAME", "Mapped")
        .field("SCORE", 62)
        .field("VIP", true)
        .field("TOPICS", json!(["a", "b"]))
        .field("GONE", json!(null))
        .field("ADDRESS", json!({"city": "Riga"}))
        .field("ip_signup", "192.0.2.7")
        .field("email", json!(null))
        .reply(200, member_is("subscribed"))
        .deliver::<Mailchimp>();
    assert_eq!(run.lines(), [format!("PUT {MEMBER}?skip_merge_validation=true")]);
    let expected = json!({
        "email_address": "Nina@AcademyFlow.io", "status_if_new": "subscribed", "ip_signup": "192.0.2.7",
        "merge_fields": {"LNAME": "Mapped", "SCORE": 62, "VIP": "true", "TOPICS": "a, b", "GONE": "",
            "ADDRESS": {"city": "Riga"}, "FNAME": "Nina"},
    });
    assert_eq!(run.body(0), expected);
    assert_eq!(run.done()["message"], "subscribed to audience a1b2");
    assert_eq!(run.done()["external_id"], "852aaa9532cb36adfb5e9fef7a4206a9");
}

#[test]
fn nobody_who_opted_out_is_subscribed_again_unless_the_rule_says_so() {
    let cases = [
        ("subscribed", "true", None, "subscribed to"),
        ("pending", "true", None, "asked by e-mail"),
        ("transactional", "false", Some("subscribed"), "subscribed to"),
        ("unsubscribed", "", None, "but unsubscribed"),
        ("unsubscribed", "false", None, "but unsubscribed"),
        ("archived", "false", None, "but archived"),
        ("cleaned", "yes", None, "but cleaned"),
        ("unsubscribed", "confirm", Some("pending"), "asked by e-mail"),
        ("unsubscribed", "true", Some("subscribed"), "subscribed to"),
        ("archived", "true", Some("subscribed"), "subscribed to"),
    ];
    for (found, resubscribe, set, message) in cases {
        let mut scene = scene("add_to_list")
            .input("resubscribe", resubscribe)
            .reply(200, member_is(found));
        if set.is_some() {
            scene = scene.reply(200, member_is("x"));
        }
        let run = scene.deliver::<Mailchimp>();
        assert!(
            run.body(0)["status"].is_null(),
            "{found}: the upsert sets no status"
        );
        assert!(
            run.done()["message"].as_str().unwrap().contains(message),
            "{found} {resubscribe}"
        );
        let patched = run.requests.get(1).map(|_| run.body(1)["status"].clone());
        assert_eq!(patched, set.map(Value::from), "{found} {resubscribe}");
        if set.is_some() {
            assert_eq!(run.lines()[1], format!("PATCH {MEMBER}"));
        }
    }
}

#[test]
fn new_members_can_be_asked_to_confirm() {
    let scene = scene("add_to_list").input("double_opt_in", "true");
    let run = scene
        .clone()
        .reply(200, member_is("pending"))
        .deliver::<Mailchimp>();
    assert_eq!(run.body(0)["status_if_new"], "pending");
    assert!(
        run.done()["message"]
            .as_str()
            .unwrap()
            .contains("asked by e-mail")
    );
    let known = scene
        .reply(200, member_is("transactional"))
        .reply(200, member_is("pending"))
        .deliver::<Mailchimp>();
    assert_eq!(known.body(1), json!({"status": "pending"}));
}

#[test]
fn removing_unsubscribes_and_does_not_mind_strangers() {
    let run = scene("remove_from_list")
        .reply(200, member_is("unsubscribed"))
        .deliver::<Mailchimp>();
    assert_eq!(run.lines(), [format!("PATCH {MEMBER}")]);
    assert_eq!(run.body(0), json!({"status": "unsubscribed"}));
    run.done();
    let run = scene("remove_from_list")
        .reply(404, json!({"title": "Resource Not Found"}))
        .deliver::<Mailchimp>();
    assert_eq!(run.done()["message"], "not a member of audience a1b2");
}

#[test]
fn a_tag_is_set_and_removed_by_name() {
    for (action, status) in [("add_tag", "active"), ("remove_tag", "inactive")] {
        let run = scene(action).reply(204, json!(null)).deliver::<Mailchimp>();
        assert_eq!(run.lines(), [format!("POST {MEMBER}/tags")]);
        assert_eq!(
            run.body(0),
            json!({"tags": [{"name": "Graduate", "status": status}]})
        );
        run.done();
    }
    let run = scene("remove_tag")
        .reply(404, json!({"title": "Resource Not Found"}))
        .deliver::<Mailchimp>();
    assert_eq!(run.requests.len(), 1);
    run.done();
}

#[test]
fn a_stranger_is_added_without_being_subscribed_before_the_tag_or_event() {
    for (action, below) in [("add_tag", "tags"), ("track_event", "events")] {
        let run = scene(action)
            .reply(404, json!({"title": "Resource Not Found"}))
            .reply(200, member_is("transactional"))
            .reply(204, json!(null))
            .deliver::<Mailchimp>();
        let post = format!("POST {MEMBER}/{below}");
        assert_eq!(
            run.lines(),
            [
                post.clone(),
                format!("PUT {MEMBER}?skip_merge_validation=true"),
                post
            ]
        );
        assert_eq!(run.body(1)["status_if_new"], "transactional");
        run.done();
    }
}

#[test]
fn an_event_carries_the_payloads_scalars_as_texts() {
    let payload = json!({"email": "nina@academyflow.io", "score": 62, "done": true, "none": null,
        "course": {"id": 1}, "tags": ["a"]});
    let run = scene("track_event")
        .payload(payload)
        .reply(204, json!(null))
        .deliver::<Mailchimp>();
    assert_eq!(run.lines(), [format!("POST {MEMBER}/events")]);
    let expected = json!({
        "name": "lesson_completed", "occurred_at": "2026-03-22T00:00:00.000Z",
        "properties": {"email": "nina@academyflow.io", "score": "62", "done": "true"},
    });
    assert_eq!(run.body(0), expected);
    let named = scene("track_event")
        .input("event_name_override", "Finished-1")
        .deliver::<Mailchimp>();
    assert_eq!(named.body(0)["name"], "Finished-1");
    for name in ["x", &"x".repeat(31)] {
        let run = scene("track_event").event("event", name).deliver::<Mailchimp>();
        assert_eq!(
            (run.kind(), run.requests.len()),
            (Some(FailureKind::Mapping), 0),
            "{name}"
        );
    }
}

#[test]
fn a_duplicate_finds_everything_done_but_repeats_an_event() {
    let add = || scene("add_to_list").input("resubscribe", "true");
    let first = add()
        .reply(200, member_is("unsubscribed"))
        .reply(200, member_is("subscribed"));
    let second = add().reply(200, member_is("subscribed"));
    let (first, second) = (first.deliver::<Mailchimp>(), second.deliver::<Mailchimp>());
    assert_eq!((first.requests.len(), second.requests.len()), (2, 1));
    assert_eq!(first.requests[0], second.requests[0]);
    for action in ["remove_from_list", "add_tag", "remove_tag"] {
        // Each says how things are to be, not what to add, so that saying it twice does no more.
        let run = scene(action)
            .reply(200, member_is("subscribed"))
            .deliver::<Mailchimp>();
        assert!(run.body(0).to_string().contains("\"status\""), "{action}");
        run.done();
    }
    // Nothing by which Mailchimp could know the event again.
    let run = scene("track_event")
        .reply(204, json!(null))
        .deliver::<Mailchimp>();
    let sent = format!("{:?} {}", run.requests[0].headers, run.body(0));
    assert!(!sent.contains("delivery-1") && !sent.contains("event-1"));
}

#[test]
fn a_refusal_decides_what_follows() {
    use FailureKind::{Authentication, Permanent, RateLimited, Retryable};
    let problem = |title: &str| json!({"type": "x", "title": title, "detail": "Because."});
    let cases = [
        (400, problem("Invalid Resource"), Permanent, None),
        (400, problem("Member In Compliance State"), Permanent, None),
        (400, problem("Forgotten Email Not Subscribed"), Permanent, None),
        (400, problem("Member Exists"), Retryable, Some(3)),
        (401, problem("API Key Invalid"), Authentication, None),
        (403, problem("User Disabled"), Authentication, None),
        (403, problem("Wrong Datacenter"), Authentication, None),
        (403, problem("Forbidden"), Permanent, None),
        (403, json!(null), RateLimited, None),
        (403, json!("Forbidden"), RateLimited, None),
        (404, problem("Resource Not Found"), Permanent, None),
        (405, problem("Method Not Allowed"), Permanent, None),
        (429, problem("Too Many Requests"), RateLimited, None),
        (429, json!(null), RateLimited, None),
        (500, problem("Internal Server Error"), Retryable, None),
        (503, json!(null), Retryable, None),
        (200, json!("cut off"), Retryable, None),
        (302, json!(null), Permanent, None),
    ];
    for (status, body, kind, attempts) in cases {
        let scene = scene("add_to_list")
            .reply(status, body.clone())
            .reply_header("Retry-After", "9");
        let run = scene.deliver::<Mailchimp>();
        let failure = run.failure();
        assert_eq!(
            (failure.kind, failure.max_attempts),
            (kind, attempts),
            "{status} {body}"
        );
        let waits = matches!(kind, Retryable | RateLimited) && status != 200;
        assert!(!waits || failure.retry_after_ms == Some(9_000), "{status} {body}");
    }
}

#[test]
fn a_refusal_says_which_field_is_wrong() {
    let body = json!({"title": "Invalid Resource", "detail": "The resource submitted could not be validated.",
        "errors": [{"field": "merge_fields.BDAY", "message": "Please enter MM/DD"}]});
    let run = scene("add_to_list").reply(400, body).deliver::<Mailchimp>();
    let expected = "Mailchimp answered 400, Invalid Resource: The resource submitted could not be validated. \
        merge_fields.BDAY: Please enter MM/DD";
    assert_eq!(run.failure().message, expected);
}

#[test]
fn what_cannot_work_sends_nothing() {
    use FailureKind::{Mapping, Permanent};
    let cases = [
        (scene("add_to_list").payload(json!({"x": 1})), Mapping),
        (scene("add_tag").payload(json!({"email": "nobody"})), Mapping),
        (
            scene("track_event").payload(json!({"email": "a@b.co\r\nX: y"})),
            Mapping,
        ),
        (scene("add_to_list").input("id", ""), Mapping),
        (scene("remove_from_list").input("id", ".."), Mapping),
        (scene("add_tag").input("value", " "), Mapping),
        (scene("remove_tag").input("value", json!(null)), Mapping),
        (scene("add_to_list").setting("data_center", ""), Permanent),
        (scene("explode"), Permanent),
    ];
    for (scene, kind) in cases {
        let run = scene.deliver::<Mailchimp>();
        assert_eq!((run.kind(), run.requests.len()), (Some(kind), 0), "{scene:?}");
    }
}

#[test]
fn addresses_and_ids_stay_in_their_place_of_the_url() {
    let run = scene("remove_from_list")
        .input("id", "a/../b?x=1#y")
        .payload(json!({"email": "a/b+c'%@d.co"}))
        .deliver::<Mailchimp>();
    let line =
        "PATCH https://us6.api.mailchimp.com/3.0/lists/a%2F..%2Fb%3Fx%3D1%23y/members/a%2Fb%2Bc%27%25%40d.co";
    assert_eq!(run.lines(), [line]);
}

#[test]
fn a_check_names_the_account() {
    let run = question()
        .reply(200, json!({"account_name": "Academy Flow"}))
        .check::<Mailchimp>();
    assert_eq!(
        run.lines(),
        ["GET https://us6.api.mailchimp.com/3.0/?fields=account_name"]
    );
    assert_eq!(run.done()["account"], "Academy Flow");
    let refused = question()
        .reply(401, json!({"title": "API Key Invalid"}))
        .check::<Mailchimp>();
    assert_eq!(refused.kind(), Some(FailureKind::Authentication));
    let run = Scene::connection().check::<Mailchimp>();
    assert_eq!(
        (run.kind(), run.requests.len()),
        (Some(FailureKind::Permanent), 0)
    );
}

#[test]
fn audiences_are_paged_by_offset_and_searched_here() {
    let page = json!({"lists": [{"id": "a1", "name": "Newsletter"}, {"id": "b2", "name": "Course"}, {}],
        "total_items": 300});
    let run = question()
        .query("action", "add_to_list")
        .query("cursor", "100")
        .query("search", "NEWS")
        .reply(200, page)
        .choices::<Mailchimp>();
    let line = "GET https://us6.api.mailchimp.com/3.0/lists?count=100&offset=100&fields=lists.id%2Clists.name%2Ctotal_items";
    assert_eq!(run.lines(), [line]);
    let expected = json!({"choices": [{"id": "a1", "label": "Newsletter"}], "next_cursor": "103"});
    assert_eq!(*run.done(), expected);
    let last = question()
        .reply(200, json!({"lists": [], "total_items": 300}))
        .choices::<Mailchimp>();
    assert_eq!(*last.done(), json!({"choices": [], "next_cursor": null}));
}

#[test]
fn tags_are_offered_below_their_audience() {
    let page =
        json!({"lists": [{"id": "a1", "name": "News"}, {"id": "b2", "name": "Grads"}], "total_items": 2});
    let scene = question().query("action", "add_tag").reply(200, page);
    let tags = |names: &[&str]| json!({"tags": names.iter().map(|name| json!({"id": 1, "name": name})).collect::<Vec<_>>()});
    let run = scene
        .clone()
        .reply(200, tags(&["VIP"]))
        .reply(200, tags(&[]))
        .choices::<Mailchimp>();
    assert_eq!(
        run.lines()[1..],
        [
            "GET https://us6.api.mailchimp.com/3.0/lists/a1/tag-search",
            "GET https://us6.api.mailchimp.com/3.0/lists/b2/tag-search",
        ]
    );
    let expected = json!([
        {"id": "a1", "label": "News", "options": [{"id": "VIP", "label": "VIP"}]},
        {"id": "b2", "label": "Grads"},
    ]);
    assert_eq!(run.done()["choices"], expected);
    let run = scene
        .query("search", "grad")
        .reply(200, tags(&[]))
        .reply(200, tags(&["A"]))
        .choices::<Mailchimp>();
    assert_eq!(
        run.lines()[1..],
        [
            "GET https://us6.api.mailchimp.com/3.0/lists/a1/tag-search?name=grad",
            "GET https://us6.api.mailchimp.com/3.0/lists/b2/tag-search",
        ]
    );
    assert_eq!(run.done()["choices"][0]["id"], "b2");
}

#[test]
fn the_field_catalog_is_the_union_of_the_audiences_merge_fields() {
    let page =
        json!({"lists": [{"id": "a1", "name": "News"}, {"id": "b2", "name": "Grads"}], "total_items": 2});
    let first = json!({"merge_fields": [
        {"tag": "FNAME", "name": "First name", "type": "text", "options": {"size": 25}, "help_text": ""},
        {"tag": "BDAY", "name": "Birthday", "type": "birthday", "options": {"date_format": "MM/DD"}},
        {"tag": "PLAN", "name": "Plan", "type": "dropdown", "options": {"choices": ["free", "pro"]}},
        {"name": "without a tag"},
    ]});
    let second = json!({"merge_fields": [
        {"tag": "FNAME", "name": "Vorname", "type": "text"},
        {"tag": "PHONE", "name": "Phone", "type": "phone"},
        {"tag": "SITE", "name": "Site", "type": "url", "help_text": "With https://"},
        {"tag": "SCORE", "name": "Score", "type": "number"},
        {"tag": "SINCE", "name": "Since", "type": "date"},
        {"tag": "HOME", "name": "Home", "type": "address"},
        {"tag": "NEW", "name": "New", "type": "hologram"},
    ]});
    let run = question()
        .reply(200, page)
        .reply(200, first)
        .reply(200, second)
        .fields::<Mailchimp>();
    assert_eq!(
        run.lines()[2],
        "GET https://us6.api.mailchimp.com/3.0/lists/b2/merge-fields?count=1000"
    );
    let expected = json!({"fields": [
        {"key": "email", "label": "Email", "type": "string", "constraints": {"required": true, "format": "email"}},
        {"key": "ip_signup", "label": "IP address at signup", "type": "string"},
        {"key": "FNAME", "label": "First name", "type": "string", "constraints": {"max_length": 25}},
        {"key": "BDAY", "label": "Birthday", "type": "string", "description": "Month and day, as MM/DD."},
        {"key": "PLAN", "label": "Plan", "type": "enum", "constraints": {"allowed_values": ["free", "pro"]}},
        {"key": "PHONE", "label": "Phone", "type": "string", "constraints": {"format": "phone"}},
        {"key": "SITE", "label": "Site", "type": "string", "description": "With https://", "constraints": {"format": "url"}},
        {"key": "SCORE", "label": "Score", "type": "number"},
        {"key": "SINCE", "label": "Since", "type": "date"},
        {"key": "HOME", "label": "Home", "type": "object", "description": "An object of addr1, addr2, city, state, zip and country."},
        {"key": "NEW", "label": "New", "type": "unknown"},
    ]});
    assert_eq!(*run.done(), expected);
}
