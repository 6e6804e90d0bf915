//! A destination with two hosts and two secrets, one of which travels in a form.

use heddle_tests::api::Api;
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::{Receiver, Reply};
use serde_json::json;

const API_KEY: &str = "account-secret-4711";
const EVENT_KEY: &str = "event&secret=0815";

#[tokio::test]
async fn each_host_gets_its_own_secret_and_the_history_neither() {
    let receiver = Receiver::start().await;
    let contact = json!({"contact": {"id": "113"}});
    receiver.always("/api/3/contact/sync", Reply::json(201, &contact));
    // Refused with status 200, repeating what it was sent.
    let echo = json!({"success": 0, "message": format!("no event of key {EVENT_KEY}")});
    receiver.always("/event", Reply::json(200, &echo));
    let hosts = ["acme.api-us1.com", "trackcmp.net"];
    let engine = Engine::start(Settings::default().routing(&hosts, receiver.base())).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Academy Flow").await;
    let metadata = json!({
        "api_url": "https://acme.api-us1.com", "api_key": API_KEY, "actid": "609711776", "event_key": EVENT_KEY,
    });
    let connection = api
        .connection(&workspace, "activecampaign", "CRM", metadata)
        .await;
    let rule = api
        .rule(&workspace, &connection, "a", json!({"action": "track_event"}))
        .await;
    let event = api
        .emit(&workspace, "a", json!({"email": "nina@academyflow.io"}))
        .await;
    api.wait_for_rule_event(&event, &rule, "failed").await;

    let sync = &receiver.requests_at("/api/3/contact/sync")[0];
    assert_eq!(sync.header("api-token"), Some(API_KEY));
    assert!(!sync.text().contains("secret"), "{}", sync.text());
    let tracked = &receiver.requests_at("/event")[0];
    assert_eq!(
        tracked.header("api-token"),
        None,
        "the account's key is for the account alone"
    );
    let form = "actid=609711776&event=a&visit=%7B%22email%22%3A%22nina%40academyflow.io%22%7D&key=event%26secret%3D0815";
    assert_eq!(tracked.text(), form);

    let history = json!(api.attempts(&event, &rule).await).to_string();
    assert!(history.contains("no event of key [redacted]"), "{history}");
    for text in [
        history,
        engine.log(),
        api.get(&format!("/connections/{connection}")).await.text,
    ] {
        assert!(!text.contains(EVENT_KEY) && !text.contains(API_KEY), "{text}");
    }
}
