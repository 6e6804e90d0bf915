use heddle_sdk::FailureKind;
use heddle_sdk::testing::{Run, Scene, manifest};

use super::*;

const POST: &str = "POST https://slack.com/api/chat.postMessage";
const JOIN: &str = "POST https://slack.com/api/conversations.join";

fn message() -> Scene {
    Scene::action("send_message").input("template", "{{email}} finished *{{lesson_title}}*")
}

fn by_bot() -> Scene {
    message().input("id", "C024").secret("access_token")
}

fn by_webhook() -> Scene {
    message().secret("webhook_url")
}

#[test]
fn the_manifest_is_sound() {
    manifest::<Slack>(env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_bot_posts_to_the_rules_channel() {
    let run = by_bot()
        .reply(200, json!({"ok": true, "channel": "C024", "ts": "1774.1"}))
        .deliver::<Slack>();
    assert_eq!(run.lines(), [POST]);
    let expected = json!({
        "channel": "C024", "text": "nina@academyflow.io finished *Customer Research Fundamentals*",
        "unfurl_links": false, "unfurl_media": false,
    });
    assert_eq!(run.body(0), expected);
    assert_eq!(run.done()["external_id"], "1774.1");
}

#[test]
fn an_incoming_webhook_posts_without_a_channel() {
    let run = by_webhook().reply_text(200, "ok").deliver::<Slack>();
    assert_eq!(run.lines(), ["POST credential:webhook_url"]);
    assert_eq!(
        run.body(0)["text"],
        "nina@academyflow.io finished *Customer Research Fundamentals*"
    );
    run.done();
}

#[test]
fn user_data_cannot_mention_or_link() {
    let hostile = json!({"email": "<!channel> & <@U1> <https://e.example|x>", "lesson_title": "<b>"});
    let run = by_bot().payload(hostile).deliver::<Slack>();
    let text = "&lt;!channel&gt; &amp; &lt;@U1&gt; &lt;https://e.example|x&gt; finished *&lt;b&gt;*";
    assert_eq!(run.body(0)["text"], text);
}

#[test]
fn a_bot_outside_the_channel_joins_once_and_posts_again() {
    let outside = || by_bot().reply(200, json!({"ok": false, "error": "not_in_channel"}));
    let run = outside()
        .reply(200, json!({"ok": true}))
        .reply(200, json!({"ok": true, "ts": "1"}))
        .deliver::<Slack>();
    assert_eq!(run.lines(), [POST, JOIN, POST]);
    run.done();

    let still = outside()
        .reply(200, json!({"ok": true}))
        .reply(200, json!({"ok": false, "error": "not_in_channel"}));
    assert_eq!(still.deliver::<Slack>().kind(), Some(FailureKind::Permanent));

    let private = outside().reply(
        200,
        json!({"ok": false, "error": "missing_scope", "needed": "channels:join"}),
    );
    let failure = private.deliver::<Slack>().failure().clone();
    assert_eq!(failure.kind, FailureKind::Permanent);
    assert!(failure.message.contains("invite the app") && failure.message.contains("channels:join"));
}

const LOOK_UP: &str = "GET https://slack.com/api/users.lookupByEmail?email=nina%40academyflow.io";
const OPEN: &str = "POST https://slack.com/api/conversations.open";

fn direct() -> Scene {
    Scene::action("send_direct_message")
        .input("template", "{{lesson_title}} is done")
        .secret("access_token")
}

#[test]
fn a_person_is_looked_up_by_address_and_written_to() {
    let run = direct()
        .reply(200, json!({"ok": true, "user": {"id": "U7"}}))
        .reply(200, json!({"ok": true, "channel": {"id": "D9"}}))
        .reply(200, json!({"ok": true, "channel": "D9", "ts": "1774.2"}))
        .deliver::<Slack>();
    assert_eq!(run.lines(), [LOOK_UP, OPEN, POST]);
    assert_eq!(run.body(1), json!({"users": "U7"}));
    assert_eq!(
        (&run.body(2)["channel"], &run.body(2)["text"]),
        (&json!("D9"), &json!("Customer Research Fundamentals is done"))
    );
    assert_eq!(
        *run.done(),
        json!({"message": "sent to U7", "external_id": "1774.2"})
    );
}

#[test]
fn a_direct_message_goes_to_the_rules_address_before_the_events() {
    let owner =
        json!({"email": "nina@academyflow.io", "lesson_title": "x", "owner": " a+b&c@academyflow.io "});
    let run = direct()
        .payload(owner)
        .input("email", "{{owner}}")
        .deliver::<Slack>();
    let look_up = "GET https://slack.com/api/users.lookupByEmail?email=a%2Bb%26c%40academyflow.io";
    assert_eq!(run.lines(), [look_up]);
}

#[test]
fn a_direct_message_fails_where_slack_refuses_it() {
    use FailureKind::{Authentication, Permanent, RateLimited};
    let no = |error: &str| json!({"ok": false, "error": error, "needed": "users:read.email"});
    let found = || direct().reply(200, json!({"ok": true, "user": {"id": "U7"}}));
    let cases = [
        (
            direct().reply(200, no("users_not_found")),
            Permanent,
            "nobody in the workspace",
        ),
        (
            direct().reply(200, no("missing_scope")),
            Permanent,
            "users:read.email",
        ),
        (direct().reply(429, json!(null)), RateLimited, "429"),
        (
            found().reply(200, no("user_disabled")),
            Permanent,
            "user_disabled",
        ),
        (
            found().reply(200, no("token_revoked")),
            Authentication,
            "token_revoked",
        ),
    ];
    for (scene, kind, part) in cases {
        let run = scene.deliver::<Slack>();
        assert_eq!(run.kind(), Some(kind), "{scene:?}");
        assert!(run.failure().message.contains(part), "{:?}", run.failure());
        assert!(!run.lines().contains(&POST.to_owned()));
    }
}

#[test]
fn a_second_delivery_of_the_same_event_posts_again() {
    let first = by_bot().deliver::<Slack>();
    assert_eq!(first.requests, by_bot().again().deliver::<Slack>().requests);
}

#[test]
fn slacks_words_decide_what_follows() {
    use FailureKind::{Authentication, Permanent, RateLimited, Retryable};
    let cases = [
        ("invalid_auth", Authentication),
        ("token_revoked", Authentication),
        ("token_expired", Authentication),
        ("ratelimited", RateLimited),
        ("internal_error", Retryable),
        ("service_unavailable", Retryable),
        ("channel_not_found", Permanent),
        ("msg_too_long", Permanent),
        ("something_new", Permanent),
    ];
    for (error, kind) in cases {
        let run = by_bot()
            .reply(200, json!({"ok": false, "error": error}))
            .reply_header("Retry-After", "30");
        let failure = run.deliver::<Slack>().failure().clone();
        assert_eq!(
            (failure.kind, failure.retry_after_ms),
            (kind, Some(30_000)),
            "{error}"
        );
        assert!(failure.message.contains(error));
    }
}

#[test]
fn statuses_and_malformed_bodies_decide_what_follows() {
    use FailureKind::{Authentication, Gone, Permanent, RateLimited, Retryable};
    let kind = |run: Run| run.kind();
    for (status, body, expected) in [
        (200, "<html>", Some(Retryable)),
        (200, "[]", Some(Retryable)),
        (401, "", Some(Authentication)),
        (429, "", Some(RateLimited)),
        (500, "", Some(Retryable)),
        (400, "", Some(Permanent)),
    ] {
        assert_eq!(
            kind(by_bot().reply_text(status, body).deliver::<Slack>()),
            expected,
            "bot {status} {body}"
        );
    }
    for (status, body, expected) in [
        (200, "ok", None),
        (400, "invalid_payload", Some(Permanent)),
        (403, "action_prohibited", Some(Permanent)),
        (403, "invalid_token", Some(Authentication)),
        (404, "no_service", Some(Gone)),
        (410, "channel_is_archived", Some(Gone)),
        (429, "", Some(RateLimited)),
        (500, "rollup_error", Some(Retryable)),
        (302, "", Some(Permanent)),
    ] {
        assert_eq!(
            kind(by_webhook().reply_text(status, body).deliver::<Slack>()),
            expected,
            "webhook {status} {body}"
        );
    }
}

#[test]
fn what_cannot_work_sends_nothing() {
    let cases = [
        (message().input("id", "C024"), FailureKind::Authentication),
        (message().secret("access_token"), FailureKind::Mapping),
        (by_bot().input("template", "{{email"), FailureKind::Mapping),
        (by_bot().input("template", "{{nothing}}"), FailureKind::Mapping),
        (by_bot().input("template", ""), FailureKind::Mapping),
        (
            direct().payload(json!({"lesson_title": "x"})),
            FailureKind::Mapping,
        ),
        (direct().input("email", "{{nothing}}"), FailureKind::Mapping),
        (direct().input("email", "a@b.co\r\nX: y"), FailureKind::Mapping),
        (direct().input("template", " "), FailureKind::Mapping),
        (
            Scene::action("send_direct_message")
                .input("template", "x")
                .secret("webhook_url"),
            FailureKind::Permanent,
        ),
        (
            Scene::action("shout").secret("access_token"),
            FailureKind::Permanent,
        ),
    ];
    for (scene, kind) in cases {
        let run = scene.deliver::<Slack>();
        assert_eq!((run.kind(), run.requests.len()), (Some(kind), 0), "{scene:?}");
    }
}

#[test]
fn a_check_asks_whose_token_it_is_and_never_posts_to_a_webhook() {
    let run = Scene::connection()
        .secret("access_token")
        .reply(200, json!({"ok": true, "team": "Academy"}));
    let run = run.check::<Slack>();
    assert_eq!(run.lines(), ["POST https://slack.com/api/auth.test"]);
    assert_eq!(run.done()["account"], "Academy");
    let run = Scene::connection().secret("webhook_url").check::<Slack>();
    assert!(
        run.requests.is_empty()
            && run.done()["message"]
                .as_str()
                .unwrap()
                .contains("nothing was sent")
    );
}

#[test]
fn channels_are_listed_page_by_page() {
    let page = json!({
        "ok": true, "response_metadata": {"next_cursor": "dGVhbQ=="},
        "channels": [{"id": "C1", "name": "general"}, {"id": "C2", "name": "sales-EU"}, {"id": "C3"}],
    });
    let scene = Scene::connection()
        .secret("access_token")
        .query("cursor", "a=b")
        .query("search", "SALES");
    let run = scene.clone().reply(200, page).choices::<Slack>();
    let list = "GET https://slack.com/api/conversations.list?types=";
    let rest = "&exclude_archived=true&limit=200&cursor=a%3Db";
    assert_eq!(
        run.lines(),
        [format!("{list}public_channel%2Cprivate_channel{rest}")]
    );
    let expected = json!({"choices": [{"id": "C2", "label": "#sales-EU"}], "next_cursor": "dGVhbQ=="});
    assert_eq!(*run.done(), expected);

    let last = json!({"ok": true, "channels": [], "response_metadata": {"next_cursor": ""}});
    let denied = scene
        .reply(200, json!({"ok": false, "error": "missing_scope"}))
        .reply(200, last);
    let run = denied.choices::<Slack>();
    assert_eq!(run.lines()[1], format!("{list}public_channel{rest}"));
    assert_eq!(*run.done(), json!({"choices": [], "next_cursor": null}));
}
