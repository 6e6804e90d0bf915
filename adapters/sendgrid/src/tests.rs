use heddle_sdk::FailureKind;
use heddle_sdk::testing::{Scene, manifest};

use super::*;

const SEND: &str = "POST https://api.sendgrid.com/v3/mail/send";

fn email() -> Scene {
    Scene::action("send_email")
        .input("from", "Acme <hello@acme.io>")
        .input("subject", "{{lesson_title}} done")
        .input("body", "<p>{{student_id}}</p>")
        .secret("api_key")
}

fn template() -> Scene {
    Scene::action("send_email_template")
        .input("id", "d-1")
        .input("from", "hello@acme.io")
        .secret("api_key")
}

fn refused(message: &str) -> Value {
    json!({"errors": [{"message": message, "field": null, "error_id": "e"}]})
}

#[test]
fn the_manifest_is_sound() {
    manifest::<SendGrid>(env!("CARGO_PKG_VERSION"));
}

#[test]
fn an_email_is_written_from_the_rule() {
    let run = email()
        .reply(202, json!(null))
        .reply_header("X-Message-Id", "m1")
        .deliver::<SendGrid>();
    assert_eq!(run.lines(), [SEND]);
    let expected = json!({
        "subject": "Customer Research Fundamentals done",
        "content": [{"type": "text/html", "value": "<p>stu_2048</p>"}],
        "personalizations": [{"to": [{"email": "nina@academyflow.io"}], "custom_args": {"heddle_delivery_id": "delivery-1"}}],
        "from": {"email": "hello@acme.io", "name": "Acme"},
    });
    assert_eq!(run.body(0), expected);
    assert_eq!(run.done()["external_id"], "m1");
    let without_id = email().reply(202, json!(null)).deliver::<SendGrid>();
    assert!(without_id.done().get("external_id").is_none());
}

#[test]
fn a_template_is_sent_with_the_mapped_variables() {
    let run = template()
        .input("subject", "Hi {{nick}}")
        .field("nick", "Nina")
        .field("template_variables", json!({"plan": "pro", "list": [1]}))
        .field("template_variables.seats", 3)
        .deliver::<SendGrid>();
    let expected = json!({
        "template_id": "d-1", "subject": "Hi Nina",
        "personalizations": [{
            "dynamic_template_data": {"plan": "pro", "list": [1], "seats": 3, "subject": "Hi Nina"},
            "to": [{"email": "nina@academyflow.io"}], "custom_args": {"heddle_delivery_id": "delivery-1"},
        }],
        "from": {"email": "hello@acme.io"},
    });
    assert_eq!(run.body(0), expected);
}

#[test]
fn without_mapped_variables_a_template_gets_the_payload_and_the_mapped_fields() {
    let body = template()
        .payload(json!({"email": "nina@academyflow.io", "plan": "free", "deep": {"x": [1]}}))
        .field("plan", "pro")
        .deliver::<SendGrid>()
        .body(0);
    let expected = json!({"email": "nina@academyflow.io", "plan": "pro", "deep": {"x": [1]}});
    assert_eq!(body["personalizations"][0]["dynamic_template_data"], expected);
    assert!(body.get("subject").is_none());
}

#[test]
fn user_data_in_an_email_is_text() {
    let hostile = json!({"email": "nina@academyflow.io", "student_id": "<script>\"'&", "lesson_title": "a\r\nBcc: x@y.co"});
    let body = email().payload(hostile).deliver::<SendGrid>().body(0);
    assert_eq!(
        body["content"][0]["value"],
        "<p>&lt;script&gt;&quot;&#39;&amp;</p>"
    );
    assert_eq!(body["subject"], "a Bcc: x@y.co done");
}

#[test]
fn a_second_delivery_of_the_same_event_is_the_same_mail_again() {
    let first = email().deliver::<SendGrid>();
    assert_eq!(first.requests, email().again().deliver::<SendGrid>().requests);
}

#[test]
fn the_connections_region_and_sender_hold_where_the_rule_says_nothing() {
    let run = email()
        .input("from", "")
        .setting("from", "Team <team@acme.io>")
        .setting("region", "eu")
        .deliver::<SendGrid>();
    assert_eq!(run.lines(), ["POST https://api.eu.sendgrid.com/v3/mail/send"]);
    assert_eq!(
        run.body(0)["from"],
        json!({"email": "team@acme.io", "name": "Team"})
    );
}

#[test]
fn a_status_decides_what_follows() {
    use FailureKind::{Authentication, Permanent, RateLimited, Retryable};
    let cases = [
        (400, "Bad Request", Permanent, None),
        (
            401,
            "The provided authorization grant is invalid",
            Authentication,
            None,
        ),
        (401, "Maximum credits exceeded", RateLimited, Some(3_600_000)),
        (
            403,
            "The from address does not match a verified Sender Identity",
            Permanent,
            None,
        ),
        (404, "not found", Permanent, None),
        (405, "method not allowed", Permanent, None),
        (413, "too large", Permanent, None),
        (429, "too many requests", RateLimited, None),
        (500, "internal", Retryable, None),
        (503, "unavailable", Retryable, None),
    ];
    for (status, message, kind, wait) in cases {
        let run = email().reply(status, refused(message)).deliver::<SendGrid>();
        let failure = run.failure();
        assert_eq!(
            (failure.kind, failure.retry_after_ms),
            (kind, wait),
            "{status} {message}"
        );
        assert!(failure.message.contains(message));
    }
    let wait = |header: &str, value: &str| {
        let run = email().reply(429, json!(null)).reply_header(header, value);
        run.deliver::<SendGrid>().failure().retry_after_ms
    };
    // The attempt started at 1774137600500.
    assert_eq!(wait("X-RateLimit-Reset", "1774137612"), Some(11_500));
    assert_eq!(wait("Retry-After", "3"), Some(3_000));
}

#[test]
fn what_cannot_work_sends_nothing() {
    use FailureKind::{Mapping, Permanent};
    let nobody = json!({"x": 1});
    let cases = [
        (email().payload(nobody.clone()), Mapping),
        (template().payload(nobody), Mapping),
        (email().input("from", ""), Mapping),
        (email().input("from", "Acme"), Mapping),
        (email().input("from", "a@b.co\r\nBcc: c@d.co"), Mapping),
        (email().input("subject", "{{nothing}}"), Mapping),
        (email().input("body", "{{nothing}}"), Mapping),
        (email().input("body", "{{a b}}"), Mapping),
        (template().input("id", ""), Mapping),
        (Scene::action("explode"), Permanent),
    ];
    for (scene, kind) in cases {
        let run = scene.deliver::<SendGrid>();
        assert_eq!((run.kind(), run.requests.len()), (Some(kind), 0), "{scene:?}");
    }
}

#[test]
fn a_check_without_a_sender_asks_what_the_key_may_do() {
    let check = |status: u16, body: Value| Scene::connection().reply(status, body).check::<SendGrid>();
    let run = check(200, json!({"scopes": ["alerts.read", "mail.send"]}));
    assert_eq!(run.lines(), ["GET https://api.sendgrid.com/v3/scopes"]);
    run.done();
    let lacks = check(200, json!({"scopes": ["templates.read"]}));
    assert_eq!(lacks.kind(), Some(FailureKind::Permanent));
    assert!(lacks.failure().message.contains("mail.send"));
    assert_eq!(
        check(401, refused("bad key")).kind(),
        Some(FailureKind::Authentication)
    );
}

#[test]
fn a_check_with_a_sender_sends_in_sandbox_mode_alone() {
    let scene = Scene::connection().setting("from", "Acme <hello@acme.io>");
    let run = scene.clone().reply(200, json!(null)).check::<SendGrid>();
    assert_eq!(run.lines(), [SEND]);
    assert_eq!(
        run.body(0)["mail_settings"],
        json!({"sandbox_mode": {"enable": true}})
    );
    assert_eq!(
        run.body(0)["personalizations"],
        json!([{"to": [{"email": "hello@acme.io"}]}])
    );
    run.done();
    let refused = scene.reply(403, refused("not verified")).check::<SendGrid>();
    assert_eq!(refused.kind(), Some(FailureKind::Permanent));
    let unusable = Scene::connection().setting("from", "Acme").check::<SendGrid>();
    assert_eq!(
        (unusable.kind(), unusable.requests.len()),
        (Some(FailureKind::Permanent), 0)
    );
}

#[test]
fn dynamic_templates_are_listed_page_by_page() {
    let list = "GET https://api.sendgrid.com/v3/templates?generations=dynamic&page_size=200";
    let page = json!({
        "result": [{"id": "d-1", "name": "Welcome"}, {"id": "d-2", "name": "Bye"}, {"id": "d-3"}],
        "_metadata": {"count": 9, "next": "https://api.sendgrid.com/v3/templates?page_token=a%3D-b_1&page_size=200"},
    });
    let scene = Scene::connection().query("action", "send_email_template");
    let run = scene
        .clone()
        .query("search", "wel")
        .reply(200, page)
        .choices::<SendGrid>();
    assert_eq!(run.lines(), [list]);
    let choices = json!([{"id": "d-1", "label": "Welcome"}]);
    assert_eq!(
        *run.done(),
        json!({"choices": choices, "next_cursor": "a%3D-b_1"})
    );

    let last = scene
        .clone()
        .query("cursor", "a%3D-b_1")
        .reply(200, json!({"result": []}));
    let run = last.choices::<SendGrid>();
    assert_eq!(run.lines(), [format!("{list}&page_token=a%3D-b_1")]);
    assert_eq!(*run.done(), json!({"choices": [], "next_cursor": null}));

    let hostile = scene
        .query("cursor", "x&generations=legacy#")
        .choices::<SendGrid>();
    assert_eq!(hostile.lines(), [list]);
    let none = Scene::connection()
        .query("action", "send_email")
        .choices::<SendGrid>();
    assert_eq!((none.requests.len(), &none.done()["choices"]), (0, &json!([])));
}

#[test]
fn the_field_catalog_needs_no_request() {
    let run = Scene::connection().fields::<SendGrid>();
    assert!(run.requests.is_empty());
    assert_eq!(run.done()["fields"][1]["type"], "object");
}
