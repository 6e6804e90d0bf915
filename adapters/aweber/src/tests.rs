use heddle_sdk::FailureKind;
use heddle_sdk::testing::{Scene, manifest};

use super::*;

const ACCOUNTS: &str = "GET https://api.aweber.com/1.0/accounts";
const SUBSCRIBERS: &str = "https://api.aweber.com/1.0/accounts/17/lists/9/subscribers";
const EMAIL: &str = "nina%40academyflow.io";

fn scene(action: &str) -> Scene {
    Scene::action(action)
        .setting("account_id", "17")
        .secret("access_token")
        .input("id", "9")
}

fn known(status: &str) -> Value {
    json!({"entries": [
        {"id": 1, "email": "xnina@academyflow.io", "status": "subscribed"},
        {"id": 55, "email": "Nina@academyflow.io", "name": "Nina Ray", "status": status, "tags": ["customer"],
            "custom_fields": {"plan": "pro", "city": null}},
    ]})
}

fn nobody() -> Value {
    json!({"entries": []})
}

fn error(message: &str) -> Value {
    json!({"error": {"status": 403, "type": "ForbiddenError", "message": message, "documentation_url": "https://x"}})
}

fn find() -> String {
    format!("GET {SUBSCRIBERS}?ws.op=find&email={EMAIL}")
}

fn change() -> String {
    format!("PATCH {SUBSCRIBERS}?subscriber_email={EMAIL}")
}

#[test]
fn the_manifest_is_sound() {
    manifest::<AWeber>(env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_stranger_is_created_with_texts_for_booleans() {
    let run = scene("add_to_list")
        .payload(
            json!({"email": "nina@academyflow.io", "first_name": "Nina", "last_name": "Ray", "plan": "pro"}),
        )
        .input("tags", "customer, {{plan}}, {{missing}}")
        .field("ad_tracking", "a source that is far too long")
        .field("ip_address", "192.0.2.7")
        .field("score", 62)
        .field("vip", true)
        .field("city", json!(null))
        .reply(200, nobody())
        .reply(201, json!(null))
        .reply_header(
            "Location",
            "https://api.aweber.com/1.0/accounts/17/lists/9/subscribers/55",
        )
        .deliver::<AWeber>();
    assert_eq!(run.lines(), [find(), format!("POST {SUBSCRIBERS}")]);
    let expected = json!({
        "email": "nina@academyflow.io", "name": "Nina Ray", "ad_tracking": "a source that is far",
        "ip_address": "192.0.2.7", "update_existing": "true", "tags": ["customer", "pro"],
        "custom_fields": {"score": "62", "vip": "true"},
    });
    assert_eq!(run.body(1), expected);
    assert_eq!(run.done()["external_id"], "55");
    let bare = scene("add_to_list")
        .reply(200, nobody())
        .reply(201, json!(null))
        .deliver::<AWeber>();
    assert_eq!(
        bare.body(1),
        json!({"email": "nina@academyflow.io", "update_existing": "true"})
    );
    assert!(bare.done()["external_id"].is_null());
}

#[test]
fn a_change_names_every_custom_field_since_aweber_empties_the_others() {
    let run = scene("add_to_list")
        .payload(json!({"email": "nina@academyflow.io", "name": "Nina R."}))
        .input("tags", "customer,vip")
        .field("score", 62)
        .field("ip_address", "192.0.2.7")
        .reply(200, known("subscribed"))
        .reply(209, json!({"id": 55}))
        .deliver::<AWeber>();
    assert_eq!(run.lines(), [find(), change()]);
    let expected = json!({
        "name": "Nina R.", "tags": {"add": ["vip"]},
        "custom_fields": {"plan": "pro", "city": null, "score": "62"},
    });
    assert_eq!(run.body(1), expected);
    assert_eq!(run.done()["external_id"], "55");
    let tag = scene("add_to_list")
        .input("tags", "vip")
        .reply(200, known("subscribed"))
        .deliver::<AWeber>();
    let expected = json!({"tags": {"add": ["vip"]}, "custom_fields": {"plan": "pro", "city": null}});
    assert_eq!(tag.body(1), expected);
}

#[test]
fn a_duplicate_finds_the_subscriber_as_it_should_be_and_sends_no_change() {
    let run = scene("add_to_list")
        .payload(json!({"email": "nina@academyflow.io", "name": "Nina Ray"}))
        .input("tags", "customer")
        .field("plan", "pro")
        .field("city", json!(null))
        .field("never_set", "")
        .reply(200, known("subscribed"))
        .deliver::<AWeber>();
    assert_eq!(run.lines(), [find()]);
    assert_eq!(run.done()["message"], "on list 9");
    let run = scene("remove_from_list")
        .reply(200, known("unsubscribed"))
        .deliver::<AWeber>();
    assert_eq!(run.lines(), [find()]);
    run.done();
}

#[test]
fn nobody_who_unsubscribed_is_subscribed_again_unless_the_rule_says_so() {
    for off in [json!(null), json!("false"), json!("yes")] {
        let run = scene("add_to_list")
            .input("resubscribe", off)
            .field("plan", "free")
            .reply(200, known("unsubscribed"))
            .deliver::<AWeber>();
        assert_eq!(run.lines(), [find()]);
        assert!(run.done()["message"].as_str().unwrap().contains("left so"));
    }
    let run = scene("add_to_list")
        .input("resubscribe", "true")
        .reply(200, known("unsubscribed"))
        .reply(209, json!({}))
        .deliver::<AWeber>();
    assert_eq!(run.body(1)["status"], "subscribed");
    run.done();
    let waiting = scene("add_to_list")
        .input("resubscribe", "true")
        .reply(200, known("unconfirmed"));
    let waiting = waiting.deliver::<AWeber>();
    assert_eq!(waiting.requests.len(), 1);
    assert!(
        waiting.done()["message"]
            .as_str()
            .unwrap()
            .contains("asked to confirm")
    );
}

#[test]
fn removing_unsubscribes_and_does_not_mind_strangers() {
    for status in ["subscribed", "unconfirmed"] {
        let run = scene("remove_from_list")
            .reply(200, known(status))
            .reply(209, json!({}))
            .deliver::<AWeber>();
        assert_eq!(run.lines(), [find(), change()]);
        let kept = json!({"plan": "pro", "city": null});
        assert_eq!(
            run.body(1),
            json!({"status": "unsubscribed", "custom_fields": kept})
        );
        assert_eq!(run.done()["external_id"], "55");
    }
    let run = scene("remove_from_list").reply(200, nobody()).deliver::<AWeber>();
    assert_eq!(run.done()["message"], "not on list 9");
}

#[test]
fn the_account_is_asked_for_unless_the_settings_name_it() {
    let scene = || {
        Scene::action("add_to_list")
            .secret("access_token")
            .input("id", "9")
    };
    let run = scene()
        .reply(200, json!({"entries": [{"id": 17}, {"id": 18}]}))
        .deliver::<AWeber>();
    assert_eq!(run.lines(), [ACCOUNTS.to_owned(), find()]);
    let none = scene().reply(200, json!({"entries": []})).deliver::<AWeber>();
    assert_eq!(none.kind(), Some(FailureKind::Retryable));
}

#[test]
fn a_refusal_decides_what_follows_by_its_message_where_its_status_says_too_little() {
    use FailureKind::{Authentication, Permanent, RateLimited, Retryable};
    let expired = json!({"error": "invalid_token", "error_description": "The access token has expired"});
    let cases = [
        (400, error("email: Invalid"), Permanent, None, None),
        (401, error("Unauthorized"), Authentication, None, None),
        (401, expired, Authentication, None, None),
        (403, error("Rate Limit Error"), RateLimited, Some(60_000), None),
        (
            403,
            error("Email address cannot be accepted at this time."),
            Retryable,
            Some(3_600_000),
            Some(2),
        ),
        (
            403,
            error("This account is not active"),
            Authentication,
            None,
            None,
        ),
        (
            403,
            error("Method requires the scope subscriber.write"),
            Permanent,
            None,
            None,
        ),
        (403, json!(null), Permanent, None, None),
        (404, error("Object: None, name: ''"), Permanent, None, None),
        (405, error("Method not allowed"), Permanent, None, None),
        (429, json!(null), RateLimited, None, None),
        (500, json!(null), Retryable, None, None),
        (503, error("API Unavailable"), Retryable, None, None),
    ];
    for (status, body, kind, wait, attempts) in cases {
        let scenes = [
            scene("add_to_list"),
            scene("add_to_list").reply(200, nobody()),
            scene("add_to_list")
                .field("plan", "x")
                .reply(200, known("subscribed")),
            scene("remove_from_list"),
            scene("remove_from_list").reply(200, known("subscribed")),
        ];
        for scene in scenes {
            let run = scene.reply(status, body.clone()).deliver::<AWeber>();
            let failure = run.failure();
            let got = (failure.kind, failure.retry_after_ms, failure.max_attempts);
            assert_eq!(got, (kind, wait, attempts), "{status} {body}");
        }
    }
    let run = scene("add_to_list")
        .reply(401, error("Unauthorized"))
        .deliver::<AWeber>();
    assert_eq!(
        run.failure().message,
        "AWeber answered 401: Unauthorized (an access token lives two hours)"
    );
    let told = scene("add_to_list")
        .reply(403, error("Rate Limit Error"))
        .reply_header("Retry-After", "5");
    assert_eq!(told.deliver::<AWeber>().failure().retry_after_ms, Some(5_000));
    let cut = scene("add_to_list").reply_text(200, "<html>").deliver::<AWeber>();
    assert_eq!(cut.kind(), Some(Retryable));
}

#[test]
fn what_cannot_work_sends_nothing() {
    use FailureKind::{Mapping, Permanent};
    let long = format!("{}@academyflow.io", "x".repeat(40));
    let cases = [
        (scene("add_to_list").payload(json!({"x": 1})), Mapping),
        (scene("add_to_list").payload(json!({"email": long})), Mapping),
        (
            scene("remove_from_list").payload(json!({"email": "nobody"})),
            Mapping,
        ),
        (scene("add_to_list").input("id", ""), Mapping),
        (scene("remove_from_list").input("id", ".."), Mapping),
        (scene("add_to_list").input("tags", "{{open"), Mapping),
        (scene("explode"), Permanent),
    ];
    for (scene, kind) in cases {
        let run = scene.deliver::<AWeber>();
        assert_eq!((run.kind(), run.requests.len()), (Some(kind), 0), "{scene:?}");
    }
}

#[test]
fn a_broken_id_costs_no_question_for_the_account_either() {
    let run = Scene::action("add_to_list")
        .secret("access_token")
        .input("id", "..")
        .deliver::<AWeber>();
    assert_eq!((run.kind(), run.requests.len()), (Some(FailureKind::Mapping), 0));
}

#[test]
fn addresses_and_ids_stay_in_their_place_of_the_url() {
    let run = scene("add_to_list")
        .input("id", "9/../8?x#y")
        .payload(json!({"email": "a&ws.op=x+y@d.co"}))
        .deliver::<AWeber>();
    let line = "GET https://api.aweber.com/1.0/accounts/17/lists/9%2F..%2F8%3Fx%23y/subscribers\
        ?ws.op=find&email=a%26ws.op%3Dx%2By%40d.co";
    assert_eq!(run.lines(), [line]);
}

#[test]
fn a_check_names_the_account() {
    let named = json!({"entries": [{"id": 17, "company": "Academy Flow"}]});
    let run = Scene::connection().reply(200, named).check::<AWeber>();
    assert_eq!(run.lines(), [ACCOUNTS]);
    assert_eq!(run.done()["account"], "Academy Flow");
    let bare = Scene::connection()
        .reply(200, json!({"entries": [{"id": 17}]}))
        .check::<AWeber>();
    assert_eq!(bare.done()["account"], "account 17");
    let refused = Scene::connection().reply(401, json!({})).check::<AWeber>();
    assert_eq!(refused.kind(), Some(FailureKind::Authentication));
}

#[test]
fn lists_are_paged_by_offset_and_searched_here() {
    let page = json!({"entries": [{"id": 9, "name": "News"}, {"id": 10, "name": "Course"}, {}],
        "next_collection_link": "https://evil.example/steal"});
    let scene = Scene::connection()
        .setting("account_id", "17")
        .query("search", "NEW");
    let run = scene.query("cursor", "100").reply(200, page).choices::<AWeber>();
    assert_eq!(
        run.lines(),
        ["GET https://api.aweber.com/1.0/accounts/17/lists?ws.start=100&ws.size=100"]
    );
    let expected = json!({"choices": [{"id": "9", "label": "News"}], "next_cursor": "103"});
    assert_eq!(*run.done(), expected);
    let last = Scene::connection()
        .reply(200, json!({"entries": [{"id": 17}]}))
        .reply(200, json!({"entries": [{"id": 9, "name": "News"}]}))
        .choices::<AWeber>();
    assert_eq!(last.lines()[0], ACCOUNTS);
    assert_eq!(last.done()["next_cursor"], json!(null));
}

#[test]
fn the_field_catalog_is_awebers_own_fields_and_the_custom_fields_of_all_lists() {
    let run = Scene::connection()
        .setting("account_id", "17")
        .reply(
            200,
            json!({"entries": [{"id": 9, "name": "News"}, {"id": 10, "name": "Course"}]}),
        )
        .reply(
            200,
            json!({"entries": [{"id": 1, "name": "plan"}, {"id": 2, "name": "name"}, {}]}),
        )
        .reply(
            200,
            json!({"entries": [{"id": 1, "name": "plan"}, {"id": 2, "name": "city"}]}),
        )
        .fields::<AWeber>();
    let line = "GET https://api.aweber.com/1.0/accounts/17/lists/10/custom_fields?ws.size=100";
    assert_eq!(run.lines()[2], line);
    let fields = run.done()["fields"].as_array().unwrap();
    let keys: Vec<_> = fields
        .iter()
        .map(|field| field["key"].as_str().unwrap())
        .collect();
    assert_eq!(
        keys,
        [
            "email",
            "name",
            "ad_tracking",
            "misc_notes",
            "ip_address",
            "plan",
            "city"
        ]
    );
    let email = json!({"required": true, "format": "email", "max_length": 50});
    assert_eq!(fields[0]["constraints"], email);
    assert_eq!(fields[1]["constraints"], json!({"max_length": 60}));
}
