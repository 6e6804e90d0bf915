use heddle_sdk::FailureKind;
use heddle_sdk::testing::{Scene, manifest};

use super::*;

const POST: &str = "POST https://discord.com/api/v10/channels/41771983423143937/messages";
const EXECUTE: &str = "POST credential:webhook_url?wait=true";

fn message() -> Scene {
    Scene::action("send_message")
        .input("title", "Done: {{lesson_title}}")
        .input("template", "**{{student_id}}** finished")
}

fn by_bot() -> Scene {
    message().input("id", "41771983423143937").secret("access_token")
}

fn by_webhook() -> Scene {
    message().secret("webhook_url")
}

#[test]
fn the_manifest_is_sound() {
    manifest::<Discord>(env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_bot_posts_an_embed_to_the_rules_channel() {
    let run = by_bot()
        .delivery_id("0190163d-8694-739b-aea5-966c26f8ad90")
        .reply(200, json!({"id": "9007"}))
        .deliver::<Discord>();
    assert_eq!(run.lines(), [POST]);
    let expected = json!({
        "embeds": [{"description": "**stu\\_2048** finished", "title": "Done: Customer Research Fundamentals"}],
        "allowed_mentions": {"parse": []}, "nonce": "0190163d8694739baea5966c2", "enforce_nonce": true,
    });
    assert_eq!(run.body(0), expected);
    assert_eq!(run.done()["external_id"], "9007");
}

#[test]
fn a_webhook_posts_without_a_channel_and_waits_for_the_message() {
    let run = by_webhook()
        .reply(200, json!({"id": "9007"}))
        .deliver::<Discord>();
    assert_eq!(run.lines(), [EXECUTE]);
    let body = run.body(0);
    assert_eq!(body["embeds"][0]["description"], "**stu\\_2048** finished");
    assert_eq!(body["allowed_mentions"], json!({"parse": []}));
    assert!(body.get("nonce").is_none());
    assert_eq!(run.done()["external_id"], "9007");
    by_webhook().reply(204, json!(null)).deliver::<Discord>().done();
}

#[test]
fn every_request_names_its_client_as_discord_asks() {
    let runs = [
        by_bot().deliver::<Discord>(),
        by_webhook().deliver::<Discord>(),
        Scene::connection().secret("access_token").check::<Discord>(),
        Scene::connection().secret("access_token").choices::<Discord>(),
    ];
    for run in runs {
        let headers = &run.requests[0].headers;
        let agent = headers.iter().find(|header| header.name == "User-Agent").unwrap();
        assert!(
            agent.value.starts_with("DiscordBot (urn:heddle, "),
            "{}",
            agent.value
        );
    }
}

#[test]
fn all_attempts_of_a_delivery_by_a_bot_carry_the_same_nonce() {
    let scene = by_bot().delivery_id("0190163d-8694-739b-aea5-966c26f8ad90");
    let (first, second) = (
        scene.deliver::<Discord>(),
        scene.clone().again().deliver::<Discord>(),
    );
    assert_eq!(first.requests, second.requests);
    let other = scene
        .delivery_id("0190163d-8694-7111-aea5-966c26f8ad90")
        .deliver::<Discord>();
    assert_ne!(first.body(0)["nonce"], other.body(0)["nonce"]);
    assert!(first.body(0)["nonce"].as_str().unwrap().len() <= 25);
}

#[test]
fn user_data_cannot_mention_link_or_format() {
    let hostile =
        json!({"student_id": "@everyone <@1> [x](https://e.example)\n# big", "lesson_title": "**b** `c`"});
    let body = by_bot().payload(hostile).deliver::<Discord>().body(0);
    assert_eq!(
        body["embeds"][0]["description"],
        "**\\@everyone \\<\\@1\\> \\[x\\]\\(https\\://e\\.example\\)\n\\# big** finished"
    );
    assert_eq!(body["embeds"][0]["title"], "Done: \\*\\*b\\*\\* \\`c\\`");
    assert_eq!(body["allowed_mentions"], json!({"parse": []}));
}

#[test]
fn what_is_too_long_for_discord_is_cut() {
    let long = |text: &str| json!({"student_id": text, "lesson_title": text});
    let body = by_bot()
        .payload(long(&"é".repeat(5_000)))
        .deliver::<Discord>()
        .body(0);
    let length = |key: &str| body["embeds"][0][key].as_str().unwrap().encode_utf16().count();
    assert_eq!((length("title"), length("description")), (256, 4096));
    assert_eq!(cut("a".repeat(8), 8), "a".repeat(8));
    assert_eq!(cut("a".repeat(9), 8), format!("{}…", "a".repeat(7)));
    assert_eq!(cut("🦀".repeat(4), 8), "🦀".repeat(4));
    assert_eq!(cut("🦀".repeat(5), 8), format!("{}…", "🦀".repeat(3)));
}

#[test]
fn a_title_is_left_out_when_there_is_none() {
    for title in ["", "{{nothing}}"] {
        let body = by_bot().input("title", title).deliver::<Discord>().body(0);
        assert!(body["embeds"][0].get("title").is_none(), "{title:?}");
    }
}

#[test]
fn discords_codes_decide_what_follows() {
    use FailureKind::{Authentication, Gone, Permanent, RateLimited, Retryable};
    let cases = [
        (400, 50_035, Permanent, Permanent),
        (400, 50_006, Permanent, Permanent),
        (401, 0, Authentication, Authentication),
        (401, 50_014, Authentication, Authentication),
        (400, 50_027, Authentication, Authentication),
        (403, 50_001, Permanent, Permanent),
        (403, 50_013, Permanent, Permanent),
        (403, 40_333, Retryable, Retryable),
        (404, 10_015, Permanent, Gone),
        (404, 10_003, Permanent, Gone),
        (404, 0, Permanent, Permanent),
        (429, 0, RateLimited, RateLimited),
        (500, 0, Retryable, Retryable),
        (502, 0, Retryable, Retryable),
    ];
    for (status, code, bot, webhook) in cases {
        let body = json!({"code": code, "message": "why"});
        for (scene, kind) in [(by_bot(), bot), (by_webhook(), webhook)] {
            let run = scene.reply(status, body.clone()).deliver::<Discord>();
            assert_eq!(run.kind(), Some(kind), "{status} {code}");
            assert!(run.failure().message.contains("why"), "{status} {code}");
        }
    }
    for (status, body, kind) in [
        (200, "<html>", Retryable),
        (404, "<html>", Permanent),
        (429, "", RateLimited),
    ] {
        let run = by_webhook().reply_text(status, body).deliver::<Discord>();
        assert_eq!(run.kind(), Some(kind), "{status} {body}");
    }
}

#[test]
fn discord_says_how_long_to_wait_in_three_places() {
    let limited = |body: Value| by_bot().reply(429, body);
    let wait = |scene: Scene| scene.deliver::<Discord>().failure().retry_after_ms;
    let body = json!({"message": "You are being rate limited.", "retry_after": 64.57, "global": false});
    assert_eq!(
        wait(limited(body).reply_header("Retry-After", "65")),
        Some(64_570)
    );
    let none = json!({"message": "limited"});
    assert_eq!(
        wait(limited(none.clone()).reply_header("X-RateLimit-Reset-After", "1.5")),
        Some(1_500)
    );
    assert_eq!(
        wait(limited(none).reply_header("Retry-After", "65")),
        Some(65_000)
    );
    for odd in [json!(-1), json!("soon"), json!(1e300), json!(null)] {
        assert_eq!(wait(limited(json!({"retry_after": odd}))), None);
    }
}

#[test]
fn what_cannot_work_sends_nothing() {
    let cases = [
        (message().input("id", "1"), FailureKind::Authentication),
        (message().secret("access_token"), FailureKind::Mapping),
        (by_bot().input("id", ".."), FailureKind::Mapping),
        (by_bot().input("template", "{{email"), FailureKind::Mapping),
        (by_bot().input("template", "{{nothing}}"), FailureKind::Mapping),
        (by_bot().input("template", ""), FailureKind::Mapping),
        (by_bot().input("title", "{{a b}}"), FailureKind::Mapping),
        (
            Scene::action("shout").secret("access_token"),
            FailureKind::Permanent,
        ),
    ];
    for (scene, kind) in cases {
        let run = scene.deliver::<Discord>();
        assert_eq!((run.kind(), run.requests.len()), (Some(kind), 0), "{scene:?}");
    }
    let run = by_bot().input("id", "../../users/@me").deliver::<Discord>();
    let stays = "POST https://discord.com/api/v10/channels/..%2F..%2Fusers%2F%40me/messages";
    assert_eq!(run.lines(), [stays]);
}

#[test]
fn a_check_names_the_bot_or_the_webhook_and_posts_nothing() {
    let scene = Scene::connection().secret("access_token");
    let run = scene.reply(200, json!({"username": "heddle"})).check::<Discord>();
    assert_eq!(run.lines(), ["GET https://discord.com/api/v10/users/@me"]);
    assert_eq!(run.done()["account"], "heddle");
    let scene = || Scene::connection().secret("webhook_url");
    let run = scene()
        .reply(200, json!({"name": "Captain", "token": "x"}))
        .check::<Discord>();
    assert_eq!(run.lines(), ["GET credential:webhook_url"]);
    assert_eq!(*run.done(), json!({"account": "Captain"}));
    let gone = scene().reply(404, json!({"code": 10_015})).check::<Discord>();
    assert_eq!(gone.kind(), Some(FailureKind::Gone));
}

#[test]
fn the_channels_of_all_servers_are_offered_some_servers_a_page() {
    let servers: Vec<_> = (1..=10)
        .map(|id| json!({"id": id.to_string(), "name": format!("S{id}")}))
        .collect();
    let channels = json!([
        {"id": "11", "name": "general", "type": 0}, {"id": "12", "name": "voice", "type": 2},
        {"id": "13", "name": "news", "type": 5}, {"id": "14", "type": 0},
    ]);
    let mut scene = Scene::connection()
        .secret("access_token")
        .query("cursor", "0")
        .query("search", "GEN")
        .reply(200, json!(servers))
        .reply(200, channels.clone())
        .reply(403, json!({"code": 50_001}));
    for _ in 3..=10 {
        scene = scene.reply(200, json!([]));
    }
    let run = scene.choices::<Discord>();
    assert_eq!(
        run.lines()[..2],
        [
            "GET https://discord.com/api/v10/users/@me/guilds?limit=10&after=0",
            "GET https://discord.com/api/v10/guilds/1/channels",
        ]
    );
    let expected = json!({"choices": [{"id": "11", "label": "#general (S1)"}], "next_cursor": "10"});
    assert_eq!(*run.done(), expected);

    let last = Scene::connection()
        .secret("access_token")
        .reply(200, json!([{"id": "1", "name": "S1"}]))
        .reply(200, channels)
        .choices::<Discord>();
    let both = json!([{"id": "11", "label": "#general (S1)"}, {"id": "13", "label": "#news (S1)"}]);
    assert_eq!(*last.done(), json!({"choices": both, "next_cursor": null}));

    let fixed = Scene::connection().secret("webhook_url").choices::<Discord>();
    assert_eq!((fixed.requests.len(), &fixed.done()["choices"]), (0, &json!([])));
}
