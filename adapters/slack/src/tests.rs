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
