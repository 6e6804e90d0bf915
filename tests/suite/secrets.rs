//! Secrets go in and never come out: not in answers, not on the disk, not in the log, not in the
//! history of a destination that repeats them.

use heddle_tests::api::{Api, records};
use heddle_tests::engine::{Engine, Home, Settings};
use heddle_tests::receiver::{Receiver, Reply};
use serde_json::json;

const TOKEN: &str = "xoxb-4242-very-secret-token";
const BEARER: &str = "bearer-very-secret-4711";
const HEADER: &str = "header-very-secret-0815";

#[tokio::test]
async fn a_secret_is_masked_in_every_answer_and_sealed_on_the_disk() {
    let receiver = Receiver::start().await;
    let settings = Settings::default()
        .with("LOG", "trace")
        .routing(&["slack.com"], receiver.base());
    let engine = Engine::start(settings).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Secrets").await;
    let slack = json!({
        "workspace": workspace.id, "type": "slack", "name": "Slack", "metadata": {"access_token": TOKEN},
    });
    let webhook = json!({
        "workspace": workspace.id, "type": "webhook", "name": "Hook", "metadata": {
            "url": receiver.url("/hook"), "skip_url_test": true, "auth_scheme": "bearer", "bearer_token": BEARER,
            "custom_headers": {"x-api-token": HEADER},
        },
    });
    let mut seen = Vec::new();
    let mut ids = Vec::new();
    let mut signing_secret = String::new();
    for body in [&slack, &webhook] {
        let answer = api.post("/connections", body).await;
        let made = answer.clone().expect(201)["connection"].clone();
        // What Heddle made itself is shown once, here, so that the receiver can be told.
        if let Some(secret) = made["metadata"]["signing_secret"].as_str() {
            signing_secret = secret.to_owned();
        }
        seen.push(answer.text.replace(&signing_secret, ""));
        ids.push(made["id"].as_str().expect("an id").to_owned());
    }
    assert!(signing_secret.starts_with("whsec_"), "{signing_secret}");
    for (id, body) in ids.iter().zip([&slack, &webhook]) {
        let path = format!("/connections/{id}");
        seen.push(api.get(&path).await.text);
        let mut renamed = json!({"name": format!("{} again", body["name"].as_str().expect("a name"))});
        renamed["metadata"] = api.get(&path).await.expect(200)["metadata"].clone();
        seen.push(api.put(&path, &renamed).await.text);
    }
    seen.push(api.get("/connections").await.text);
    let masked = api.get(&format!("/connections/{}", ids[1])).await.expect(200);
    for key in ["bearer_token", "signing_secret", "custom_headers"] {
        assert_eq!(masked["metadata"][key], "********", "{masked}");
    }

    // A mask that is sent back keeps the secret: the delivery still carries it.
    api.webhook_rule(&workspace, &ids[1], "a").await;
    let event = api.emit(&workspace, "a", json!({"n": 1})).await;
    api.wait_for_event(&event, "completed").await;
    let sent = &receiver.requests_at("/hook")[0];
    assert_eq!(
        sent.header("authorization"),
        Some(format!("Bearer {BEARER}").as_str())
    );
    assert_eq!(sent.header("x-api-token"), Some(HEADER));

    let wrong = json!({
        "workspace": workspace.id, "type": "slack", "name": "semi;colon", "metadata": {"access_token": TOKEN, "x": BEARER},
    });
    seen.push(api.post("/connections", &wrong).await.text);
    let disk = engine.home().database_bytes();
    let log = engine.log();
    for secret in [
        TOKEN,
        BEARER,
        HEADER,
        signing_secret.as_str(),
        api.keys().secret_key.as_str(),
    ] {
        for answer in &seen {
            assert!(!answer.contains(secret), "{secret} in {answer}");
        }
        assert!(!log.contains(secret), "{secret} is in the log");
        let on_disk = disk.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
        assert!(!on_disk, "{secret} lies open in the database");
    }
}

#[tokio::test]
async fn a_destination_that_repeats_the_credential_does_not_get_it_into_the_history() {
    let receiver = Receiver::start().await;
    let echo = Reply::text(500, &format!("you sent Bearer {BEARER} and {HEADER}")).with("x-echo", BEARER);
    receiver.always("/echo", echo);
    let engine = Engine::start(Settings::default().retrying("0s").with("LOG", "trace")).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Echo").await;
    let metadata = json!({
        "url": receiver.url("/echo?key=in-the-query"), "skip_url_test": true, "auth_scheme": "bearer",
        "bearer_token": BEARER, "custom_headers": {"x-api-token": HEADER},
    });
    let connection = api.connection(&workspace, "webhook", "Echo", metadata).await;
    let rule = api.webhook_rule(&workspace, &connection, "a").await;
    let event = api.emit(&workspace, "a", json!({"n": 1})).await;
    api.wait_for_event(&event, "failed").await;
    let attempts = api.attempts(&event, &rule).await;
    let attempt = attempts[0]["id"].as_str().expect("an id");
    let path = format!("/events/{event}/rules/{rule}/attempts/{attempt}");
    let details = api.get(&format!("{path}/response-details")).await;
    assert!(details.text.contains("you sent"), "{details:?}");
    let history = [
        details.text,
        api.get(&path).await.text,
        json!(attempts).to_string(),
        api.event(&event).await.to_string(),
    ];
    for text in history.iter().chain([&engine.log()]) {
        for secret in [BEARER, HEADER] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    assert!(
        !history[1].contains("in-the-query"),
        "the query of the URL is no part of the history: {}",
        history[1]
    );
}

#[tokio::test]
async fn a_database_does_not_open_with_another_master_key() {
    let receiver = Receiver::start().await;
    let settings = Settings::default().with("MASTER_KEY", "11".repeat(32));
    let mut engine = Engine::start(settings.clone()).await;
    // Keys made by the same home must be sealed with the same key, so the client comes second.
    let keys = engine
        .home()
        .run(&["keys", "create", "--name", "t"], &settings)
        .await;
    assert!(keys.status.success(), "{keys:?}");
    let _ = receiver;
    engine.kill().await;
    let other = settings.with("MASTER_KEY", "22".repeat(32));
    let refused = engine.home().run(&["serve"], &other).await;
    assert!(!refused.status.success(), "{refused:?}");
    assert!(
        refused.stderr.to_lowercase().contains("master key"),
        "{refused:?}"
    );
    assert!(!refused.stderr.contains(&"22".repeat(32)), "{refused:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_master_key_and_the_data_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let engine = Home::bare().serve(Settings::default()).await;
    let data = engine.home().data_dir();
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&data.join("master.key")), 0o600);
    assert_eq!(
        mode(&data) & 0o077,
        0,
        "nobody else may look into the data folder"
    );
    let api = Api::of(&engine).await;
    assert!(records(&api.get("/workspaces").await.expect(200)).is_empty());
}
