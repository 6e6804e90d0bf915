use heddle_sdk::FailureKind;
use heddle_sdk::testing::{Scene, manifest};

use super::*;

const CONTACT: &str = "https://api.resend.com/contacts/nina%40academyflow.io";
const EMAILS: &str = "POST https://api.resend.com/emails";

fn segment(action: &str) -> Scene {
    Scene::action(action).input("id", "seg-1").secret("api_key")
}

fn email() -> Scene {
    Scene::action("send_email")
        .input("from", "Acme <hello@acme.io>")
        .input("subject", "{{lesson_title}} done")
        .input("body", "<p>{{student_id}}</p>")
        .secret("api_key")
}

fn template() -> Scene {
    Scene::action("send_email_template")
        .input("id", "tpl-1")
        .secret("api_key")
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let header = request.headers.iter().find(|header| header.name == name);
    header.map(|header| header.value.as_str())
}

fn name(name: &str) -> Value {
    json!({"statusCode": 400, "name": name, "message": "why"})
}

#[test]
fn the_manifest_is_sound() {
    manifest::<Resend>(env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_contact_is_updated_and_added_to_the_segment() {
    let run = segment("add_to_segment")
        .payload(json!({"email": "nina@academyflow.io", "name": "Nina Ray"}))
        .field("first_name", "N.")
        .field("company", "Academy")
        .field("blank", json!(null))
        .field("template_variables.x", 1)
        .reply(200, json!({"id": "c1"}))
        .reply(200, json!({"contact_id": "c1"}))
        .deliver::<Resend>();
    let lines = [
        format!("PATCH {CONTACT}"),
        format!("POST {CONTACT}/segments/seg-1"),
    ];
    assert_eq!(run.lines(), lines);
    let expected = json!({"first_name": "N.", "last_name": "Ray", "properties": {"company": "Academy"}});
    assert_eq!(run.body(0), expected);
    run.done();
}

#[test]
fn a_contact_that_is_not_there_is_created() {
    let run = segment("add_to_segment")
        .field("first_name", "Nina")
        .reply(404, name("not_found"))
        .reply(201, json!({"id": "c1"}))
        .reply(200, json!({}))
        .deliver::<Resend>();
    assert_eq!(run.lines()[1], "POST https://api.resend.com/contacts");
    assert_eq!(
        run.body(1),
        json!({"first_name": "Nina", "email": "nina@academyflow.io"})
    );
    run.done();
    let raced = segment("add_to_segment")
        .reply(404, name("not_found"))
        .reply(409, name("conflict"));
    assert_eq!(raced.deliver::<Resend>().kind(), Some(FailureKind::Retryable));
}

#[test]
fn a_contact_of_whom_nothing_is_known_but_the_address_is_only_looked_up() {
    let run = segment("add_to_segment")
        .reply(200, json!({"id": "c1"}))
        .deliver::<Resend>();
    assert_eq!(run.lines()[0], format!("GET {CONTACT}"));
}

#[test]
fn nobody_who_unsubscribed_is_subscribed_again_unless_the_rule_says_so() {
    let body = |scene: Scene| scene.field("first_name", "N").deliver::<Resend>().body(0);
    let mapped = |value: bool| segment("add_to_segment").field("unsubscribed", value);
    assert!(body(mapped(false)).get("unsubscribed").is_none());
    assert_eq!(body(mapped(true))["unsubscribed"], true);
    assert_eq!(
        body(mapped(false).input("resubscribe", "true"))["unsubscribed"],
        false
    );
}

#[test]
fn being_in_a_segment_twice_or_out_of_it_twice_is_done() {
    let run = segment("add_to_segment")
        .reply(200, json!({}))
        .reply(409, json!({}))
        .deliver::<Resend>();
    run.done();
    for reply in [200, 404] {
        let run = segment("remove_from_segment")
            .reply(reply, json!({"deleted": true}))
            .deliver::<Resend>();
        assert_eq!(run.lines(), [format!("DELETE {CONTACT}/segments/seg-1")]);
        run.done();
    }
}

#[test]
fn an_email_is_written_from_the_rule() {
    let run = email().reply(200, json!({"id": "m1"})).deliver::<Resend>();
    assert_eq!(run.lines(), [EMAILS]);
    let expected = json!({
        "from": "Acme <hello@acme.io>", "subject": "Customer Research Fundamentals done",
        "html": "<p>stu_2048</p>", "to": ["nina@academyflow.io"],
    });
    assert_eq!(run.body(0), expected);
    assert_eq!(run.done()["external_id"], "m1");
}

#[test]
fn user_data_in_an_email_is_text() {
    let hostile = json!({"email": "nina@academyflow.io", "student_id": "<a href=\"x\">'&",
        "lesson_title": "a\r\nBcc: x@y.co"});
    let body = email().payload(hostile.clone()).deliver::<Resend>().body(0);
    assert_eq!(body["html"], "<p>&lt;a href=&quot;x&quot;&gt;&#39;&amp;</p>");
    assert_eq!(body["subject"], "a Bcc: x@y.co done");
    let variables = |scene: Scene| {
        scene.payload(hostile.clone()).deliver::<Resend>().body(0)["template"]["variables"].take()
    };
    assert_eq!(
        variables(template())["student_id"],
        "&lt;a href=&quot;x&quot;&gt;&#39;&amp;"
    );
    assert_eq!(
        variables(template().input("variables", "html"))["student_id"],
        "<a href=\"x\">'&"
    );
}

#[test]
fn a_template_is_sent_with_the_mapped_variables() {
    let run = template()
        .input("subject", "Hi {{nick}}")
        .input("from", "hello@acme.io")
        .field("email", "n@b.co")
        .field("nick", "Nina")
        .field(
            "template_variables",
            json!({"PLAN": "pro", "SEATS": 3, "OLD": null}),
        )
        .field("template_variables.TAGS", json!(["a", "b"]))
        .reply(200, json!({"id": "m1"}))
        .deliver::<Resend>();
    let expected = json!({
        "template": {"id": "tpl-1", "variables": {"PLAN": "pro", "SEATS": 3, "TAGS": "a, b"}},
        "subject": "Hi Nina", "from": "hello@acme.io", "to": ["n@b.co"],
    });
    assert_eq!(run.body(0), expected);
}

#[test]
fn without_a_mapping_a_template_gets_the_payloads_own_texts_and_numbers() {
    let payload = json!({"email": "nina@academyflow.io", "plan": "pro", "seats": 3, "vip": true, "a b": 1,
        "deep": {"x": 1}, "list": [1], "none": null, "EMAIL": "x", "user-id": "7"});
    let body = template().payload(payload).deliver::<Resend>().body(0);
    let expected = json!({
        "template": {"id": "tpl-1", "variables": {"email": "nina@academyflow.io", "plan": "pro", "seats": 3, "vip": "true"}},
        "to": ["nina@academyflow.io"],
    });
    assert_eq!(body, expected);
}

#[test]
fn all_attempts_of_an_email_carry_the_deliverys_id_and_the_same_content() {
    for scene in [email(), template()] {
        let scene = scene.delivery_id("0190163d-8694-739b-aea5-966c26f8ad90");
        let (first, second) = (
            scene.deliver::<Resend>(),
            scene.clone().again().deliver::<Resend>(),
        );
        assert_eq!(first.requests, second.requests);
        let key = header(&first.requests[0], "Idempotency-Key");
        assert_eq!(key, Some("0190163d-8694-739b-aea5-966c26f8ad90"));
    }
    let run = segment("add_to_segment").deliver::<Resend>();
    assert!(
        header(&run.requests[0], "User-Agent")
            .unwrap()
            .starts_with("Heddle/")
    );
}

#[test]
fn resends_names_decide_what_follows() {
    use FailureKind::{Authentication, Permanent, RateLimited, Retryable};
    let cases = [
        (400, "validation_error", Permanent, None),
        (400, "invalid_idempotency_key", Permanent, None),
        (401, "missing_api_key", Authentication, None),
        (401, "restricted_api_key", Permanent, None),
        (403, "invalid_api_key", Authentication, None),
        (403, "validation_error", Permanent, None),
        (404, "not_found", Permanent, None),
        (405, "method_not_allowed", Permanent, None),
        (409, "invalid_idempotent_request", Permanent, None),
        (409, "concurrent_idempotent_requests", Retryable, None),
        (422, "missing_required_field", Permanent, None),
        (429, "rate_limit_exceeded", RateLimited, Some(1_000)),
        (429, "daily_quota_exceeded", RateLimited, Some(3_600_000)),
        (429, "monthly_quota_exceeded", RateLimited, Some(86_400_000)),
        (451, "security_error", Permanent, None),
        (500, "application_error", Retryable, None),
        (502, "", Retryable, None),
    ];
    for (status, error, kind, wait) in cases {
        let run = email().reply(status, name(error)).deliver::<Resend>();
        let failure = run.failure();
        assert_eq!(
            (failure.kind, failure.retry_after_ms),
            (kind, wait),
            "{status} {error}"
        );
        assert!(failure.message.contains("why"), "{}", failure.message);
    }
    let wait = |error: &str, header: &str, value: &str| {
        let run = email().reply(429, name(error)).reply_header(header, value);
        run.deliver::<Resend>().failure().retry_after_ms
    };
    assert_eq!(wait("rate_limit_exceeded", "retry-after", "3"), Some(3_000));
    assert_eq!(wait("rate_limit_exceeded", "ratelimit-reset", "2"), Some(2_000));
    assert_eq!(wait("daily_quota_exceeded", "retry-after", "1"), Some(3_600_000));
    for (status, body) in [(200, "<html>"), (200, "{}")] {
        let run = email().reply_text(status, body).deliver::<Resend>();
        assert_eq!(run.kind(), Some(Retryable), "{body}");
    }
}

#[test]
fn what_cannot_work_sends_nothing() {
    use FailureKind::{Mapping, Permanent};
    let nobody = json!({"x": 1});
    let cases = [
        (segment("add_to_segment").payload(nobody.clone()), Mapping),
        (segment("add_to_segment").input("id", ".."), Mapping),
        (segment("remove_from_segment").input("id", ""), Mapping),
        (segment("remove_from_segment").payload(nobody.clone()), Mapping),
        (email().payload(nobody.clone()), Mapping),
        (email().input("from", "Acme"), Mapping),
        (email().input("from", "a@b.co\r\nBcc: c@d.co"), Mapping),
        (email().input("from", ""), Mapping),
        (email().input("subject", "{{nothing}}"), Mapping),
        (email().input("body", "{{nothing}}"), Mapping),
        (email().input("body", "{{a b}}"), Mapping),
        (template().input("id", ""), Mapping),
        (template().input("from", "nobody"), Mapping),
        (template().payload(nobody), Mapping),
        (Scene::action("explode"), Permanent),
    ];
    for (scene, kind) in cases {
        let run = scene.deliver::<Resend>();
        assert_eq!((run.kind(), run.requests.len()), (Some(kind), 0), "{scene:?}");
    }
    let run = segment("add_to_segment")
        .input("id", "../../domains")
        .reply(200, json!({}))
        .deliver::<Resend>();
    assert_eq!(
        run.lines()[1],
        format!("POST {CONTACT}/segments/..%2F..%2Fdomains")
    );
}

#[test]
fn a_check_sends_no_mail_and_knows_a_key_that_may_only_send() {
    let check = |status: u16, body: Value| Scene::connection().reply(status, body).check::<Resend>();
    let run = check(200, json!({"data": [{"name": "acme.io"}]}));
    assert_eq!(run.lines(), ["GET https://api.resend.com/domains?limit=1"]);
    assert_eq!(*run.done(), json!({"account": "acme.io"}));
    check(200, json!({"data": []})).done();
    let limited = check(401, name("restricted_api_key"));
    assert!(
        limited.done()["message"]
            .as_str()
            .unwrap()
            .contains("full access")
    );
    assert_eq!(
        check(403, name("invalid_api_key")).kind(),
        Some(FailureKind::Authentication)
    );
}

#[test]
fn segments_and_published_templates_are_listed_page_by_page() {
    let scene = |action: &str| Scene::connection().query("action", action);
    let page =
        json!({"has_more": true, "data": [{"id": "s1", "name": "Graduates"}, {"id": "s2", "name": "VIP"}]});
    let run = scene("add_to_segment")
        .query("cursor", "s/0")
        .query("search", "grad")
        .reply(200, page)
        .choices::<Resend>();
    assert_eq!(
        run.lines(),
        ["GET https://api.resend.com/segments?limit=100&after=s%2F0"]
    );
    let choices = json!([{"id": "s1", "label": "Graduates"}]);
    assert_eq!(*run.done(), json!({"choices": choices, "next_cursor": "s2"}));

    let page = json!({"has_more": false, "data": [
        {"id": "t1", "name": "Welcome", "status": "published"}, {"id": "t2", "name": "Next", "status": "draft"}]});
    let run = scene("send_email_template").reply(200, page).choices::<Resend>();
    assert_eq!(run.lines(), ["GET https://api.resend.com/templates?limit=100"]);
    let choices = json!([{"id": "t1", "label": "Welcome"}]);
    assert_eq!(*run.done(), json!({"choices": choices, "next_cursor": null}));
    assert_eq!(scene("send_email").choices::<Resend>().requests.len(), 0);
}

#[test]
fn the_field_catalog_holds_the_accounts_own_properties() {
    let keys = |run: &heddle_sdk::testing::Run| -> Vec<String> {
        let fields = items(&run.done()["fields"]).iter();
        fields.map(|field| text_at(field, "/key").unwrap()).collect()
    };
    let own = json!({"data": [{"key": "company", "type": "string"}, {"key": "seats", "type": "number"}, {}]});
    let run = Scene::connection().reply(200, own).fields::<Resend>();
    assert_eq!(
        run.lines(),
        ["GET https://api.resend.com/contact-properties?limit=100"]
    );
    let standard = [
        "email",
        "first_name",
        "last_name",
        "unsubscribed",
        "template_variables",
    ];
    assert_eq!(keys(&run), [&standard[..], &["company", "seats"]].concat());
    assert_eq!(run.done()["fields"][6]["type"], "number");
    let limited = Scene::connection()
        .reply(401, name("restricted_api_key"))
        .fields::<Resend>();
    assert_eq!(keys(&limited), standard);
}
