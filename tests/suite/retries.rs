//! What happens when a destination does not take it: retries, the wait that it asks for, giving up,
//! calling off, and replay.

use std::time::Duration;

use heddle_tests::api::{Api, Workspace};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::{Gate, Receiver, Reply};
use heddle_tests::wait::until;
use serde_json::{Value, json};

/// One webhook at `/hook` and one rule for the event `a`.
struct Scene {
    engine: Engine,
    receiver: Receiver,
    api: Api,
    workspace: Workspace,
    connection: String,
    rule: String,
}

impl Scene {
    async fn retrying(schedule: &str) -> Self {
        let receiver = Receiver::start().await;
        let engine = Engine::start(Settings::default().retrying(schedule)).await;
        let api = Api::of(&engine).await;
        let workspace = api.workspace("Retries").await;
        let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
        let rule = api.webhook_rule(&workspace, &connection, "a").await;
        Self {
            engine,
            receiver,
            api,
            workspace,
            connection,
            rule,
        }
    }

    async fn emit(&self) -> String {
        self.api.emit(&self.workspace, "a", json!({"n": 1})).await
    }

    fn path(&self, event: &str, verb: &str) -> String {
        format!("/events/{event}/rules/{}/{verb}", self.rule)
    }
}

fn codes(attempts: &[Value]) -> Vec<&str> {
    attempts
        .iter()
        .filter_map(|attempt| attempt["outcome_code"].as_str())
        .collect()
}

#[tokio::test]
async fn a_destination_that_fails_twice_gets_it_at_the_third_attempt_with_the_same_id() {
    let scene = Scene::retrying("0s,50ms,50ms").await;
    scene
        .receiver
        .answer("/hook", [Reply::status(503), Reply::text(502, "restarting")]);
    let event = scene.emit().await;
    let done = scene.api.wait_for_event(&event, "completed").await;
    assert_eq!(
        (&done["completed_count"], &done["failed_count"]),
        (&json!(1), &json!(0))
    );
    let rule_event = scene.api.rule_event(&event, &scene.rule).await;
    assert_eq!(rule_event["attempt_count"], 3);
    let attempts = scene.api.attempts(&event, &scene.rule).await;
    assert_eq!(
        codes(&attempts),
        ["rejected_server_error", "rejected_server_error", "delivered"]
    );
    let requests = scene.receiver.requests_at("/hook");
    assert_eq!(requests.len(), 3);
    let ids: Vec<_> = requests.iter().map(|request| request.delivery_id()).collect();
    assert_eq!(ids, [rule_event["id"].as_str().expect("an id"); 3]);
}

#[tokio::test]
async fn the_wait_that_a_destination_asks_for_is_kept() {
    let scene = Scene::retrying("0s,20ms").await;
    scene
        .receiver
        .answer("/hook", [Reply::status(429).with("retry-after", "1")]);
    let event = scene.emit().await;
    scene.api.wait_for_event(&event, "completed").await;
    let requests = scene.receiver.requests_at("/hook");
    let waited = requests[1].at - requests[0].at;
    assert!(waited >= Duration::from_secs(1), "{waited:?}");
    assert!(waited < Duration::from_secs(4), "{waited:?}");
    assert_eq!(
        codes(&scene.api.attempts(&event, &scene.rule).await),
        ["rate_limited", "delivered"]
    );
}

#[tokio::test]
async fn a_delivery_that_uses_up_its_schedule_fails_and_says_why() {
    let scene = Scene::retrying("0s,20ms,20ms").await;
    scene
        .receiver
        .always("/hook", Reply::text(500, "out of order").with("x-trace", "t-1"));
    let event = scene.emit().await;
    let failed = scene.api.wait_for_event(&event, "failed").await;
    assert_eq!(
        (&failed["total_rules"], &failed["failed_count"]),
        (&json!(1), &json!(1))
    );
    let rule_event = scene.api.rule_event(&event, &scene.rule).await;
    assert_eq!(
        (&rule_event["status"], &rule_event["attempt_count"]),
        (&json!("failed"), &json!(3))
    );
    assert!(
        rule_event["last_error"]
            .as_str()
            .is_some_and(|text| text.contains("500")),
        "{rule_event}"
    );
    let attempts = scene.api.attempts(&event, &scene.rule).await;
    assert_eq!(codes(&attempts), ["rejected_server_error"; 3]);
    let attempt = attempts[2]["id"].as_str().expect("an id");
    let path = format!("/events/{event}/rules/{}/attempts/{attempt}", scene.rule);
    assert_eq!(scene.api.get(&path).await.expect(200)["id"], attempt);
    let details = scene
        .api
        .get(&format!("{path}/response-details"))
        .await
        .expect(200)
        .to_string();
    for part in ["500", "out of order", "x-trace", "t-1"] {
        assert!(details.contains(part), "no {part} in {details}");
    }
    assert_eq!(
        scene.receiver.requests_at("/hook").len(),
        3,
        "no attempt after the last"
    );
}

#[tokio::test]
async fn a_waiting_delivery_can_be_called_off_and_replayed_after_a_fix() {
    let scene = Scene::retrying("0s,1h").await;
    scene.receiver.answer("/hook", [Reply::status(503)]);
    let event = scene.emit().await;
    scene.api.wait_for_event(&event, "retrying").await;
    let canceled = scene
        .api
        .post_empty(&scene.path(&event, "cancel"))
        .await
        .expect(200);
    assert_eq!(canceled["status"], "canceled");
    assert_eq!(scene.api.event(&event).await["status"], "canceled");
    assert_eq!(scene.receiver.requests_at("/hook").len(), 1);
    scene
        .api
        .post_empty(&scene.path(&event, "cancel"))
        .await
        .expect_error(409);

    let replayed = scene
        .api
        .post_empty(&scene.path(&event, "retry"))
        .await
        .expect(200);
    assert_eq!(
        (&replayed["rule"], &replayed["event_id"]),
        (&json!(scene.rule), &json!(event))
    );
    let done = scene.api.wait_for_event(&event, "completed").await;
    assert_eq!(done["rule_events"][0]["attempt_count"], 2, "the history goes on");
    assert_eq!(
        codes(&scene.api.attempts(&event, &scene.rule).await),
        ["rejected_server_error", "delivered"]
    );
}

#[tokio::test]
async fn calling_off_an_event_ends_whatever_of_it_still_waits() {
    let scene = Scene::retrying("0s,1h").await;
    let other = scene
        .api
        .webhook(&scene.workspace, &scene.receiver.url("/good"))
        .await;
    let good = scene.api.webhook_rule(&scene.workspace, &other, "a").await;
    scene.receiver.always("/hook", Reply::status(503));
    let event = scene.emit().await;
    scene
        .api
        .wait_for_rule_event(&event, &scene.rule, "retrying")
        .await;
    scene.api.wait_for_rule_event(&event, &good, "completed").await;
    scene
        .api
        .post_empty(&format!("/events/{event}/cancel"))
        .await
        .expect(200);
    assert_eq!(
        scene.api.rule_event(&event, &scene.rule).await["status"],
        "canceled"
    );
    assert_eq!(
        scene.api.rule_event(&event, &good).await["status"],
        "completed",
        "what is done stays done"
    );
}

#[tokio::test]
async fn a_request_under_way_is_finished_when_its_delivery_is_called_off() {
    let scene = Scene::retrying("0s,20ms,20ms").await;
    let gate = Gate::closed();
    scene.receiver.answer("/hook", [Reply::status(503).behind(&gate)]);
    let event = scene.emit().await;
    scene.receiver.wait_for("/hook", 1).await;
    scene
        .api
        .post_empty(&scene.path(&event, "cancel"))
        .await
        .expect(200);
    gate.open();
    scene.api.wait_for_event(&event, "canceled").await;
    assert_eq!(
        codes(&scene.api.attempts(&event, &scene.rule).await),
        ["rejected_server_error"]
    );
    assert_eq!(
        scene.receiver.requests_at("/hook").len(),
        1,
        "nothing more is scheduled"
    );
}

#[tokio::test]
async fn asking_for_an_attempt_is_too_early_when_one_is_at_hand() {
    let scene = Scene::retrying("0s,1500ms").await;
    let gate = Gate::closed();
    scene.receiver.answer("/hook", [Reply::status(503).behind(&gate)]);
    let event = scene.emit().await;
    scene.receiver.wait_for("/hook", 1).await;
    scene
        .api
        .post_empty(&scene.path(&event, "retry"))
        .await
        .expect_error(425);
    gate.open();
    scene.api.wait_for_event(&event, "retrying").await;
    scene
        .api
        .post_empty(&scene.path(&event, "retry"))
        .await
        .expect_error(425);
    scene.api.wait_for_event(&event, "completed").await;
    assert_eq!(scene.receiver.requests_at("/hook").len(), 2);
}

#[tokio::test]
async fn asking_for_an_attempt_brings_a_far_one_forward() {
    let scene = Scene::retrying("0s,1h,1h").await;
    scene.receiver.answer("/hook", [Reply::status(503)]);
    let event = scene.emit().await;
    scene.api.wait_for_event(&event, "retrying").await;
    scene
        .api
        .post_empty(&scene.path(&event, "retry"))
        .await
        .expect(200);
    scene.api.wait_for_event(&event, "completed").await;
    scene
        .api
        .post_empty(&scene.path(&event, "retry"))
        .await
        .expect(200);
    scene.receiver.wait_for("/hook", 3).await;
    let replayed = scene.api.wait_for_event(&event, "completed").await;
    assert_eq!(
        replayed["total_rules"], 1,
        "a replay is the same delivery, not another one"
    );
}

#[tokio::test]
async fn a_refused_replay_can_be_replayed_again_after_the_endpoint_is_mended() {
    let scene = Scene::retrying("0s").await;
    scene.receiver.always("/hook", Reply::status(500));
    let event = scene.emit().await;
    scene.api.wait_for_event(&event, "failed").await;
    scene
        .api
        .post_empty(&scene.path(&event, "retry"))
        .await
        .expect(200);
    scene.receiver.wait_for("/hook", 2).await;
    scene.api.wait_for_event(&event, "failed").await;

    let metadata = json!({"url": scene.receiver.url("/moved"), "skip_url_test": true});
    let body = json!({"name": "Moved", "metadata": metadata});
    scene
        .api
        .put(&format!("/connections/{}", scene.connection), &body)
        .await
        .expect(200);
    scene
        .api
        .post_empty(&scene.path(&event, "retry"))
        .await
        .expect(200);
    scene.api.wait_for_event(&event, "completed").await;
    let first = scene.receiver.requests_at("/hook")[0].delivery_id().to_owned();
    assert_eq!(scene.receiver.requests_at("/moved")[0].delivery_id(), first);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_deactivates_its_connection_until_it_is_mended() {
    let scene = Scene::retrying("0s,20ms").await;
    scene.receiver.always("/hook", Reply::status(410));
    let event = scene.emit().await;
    scene.api.wait_for_event(&event, "failed").await;
    let path = format!("/connections/{}", scene.connection);
    let connection = scene.api.get(&path).await.expect(200);
    assert_eq!(
        (&connection["active"], &connection["inactive_reason"]),
        (&json!(false), &json!("manually_inactivated"))
    );

    let waiting = scene.emit().await;
    let metadata = json!({"url": scene.receiver.url("/new"), "skip_url_test": true});
    scene
        .api
        .put(
            &path,
            &json!({"name": "New", "metadata": metadata, "active": true}),
        )
        .await
        .expect(200);
    scene.api.wait_for_event(&waiting, "completed").await;
    assert_eq!(
        scene.receiver.requests_at("/hook").len(),
        1,
        "nothing went to the endpoint that is gone"
    );
    let mended = scene.api.get(&path).await.expect(200);
    assert_eq!(mended["active"], json!(true), "{mended}");
}

#[tokio::test]
async fn a_refused_credential_deactivates_the_connection_and_what_waits_goes_out_with_a_new_one() {
    let receiver = Receiver::start().await;
    let refused = json!({"ok": false, "error": "invalid_auth"});
    receiver.answer("/api/chat.postMessage", [Reply::json(200, &refused)]);
    receiver.always(
        "/api/chat.postMessage",
        Reply::json(200, &json!({"ok": true, "ts": "1.2"})),
    );
    let settings = Settings::default()
        .retrying("0s,20ms")
        .routing(&["slack.com"], receiver.base());
    let engine = Engine::start(settings).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Slack").await;
    let slack = api
        .connection(&workspace, "slack", "Slack", json!({"access_token": "xoxb-old"}))
        .await;
    let message = json!({"action": "send_message", "id": "C1", "template": "hello {{n}}"});
    api.rule(&workspace, &slack, "a", message).await;
    let first = api.emit(&workspace, "a", json!({"n": 1})).await;
    api.wait_for_event(&first, "failed").await;
    let path = format!("/connections/{slack}");
    assert_eq!(
        api.get(&path).await.expect(200)["inactive_reason"],
        "authentication_invalid"
    );

    let second = api.emit(&workspace, "a", json!({"n": 2})).await;
    let body = json!({"name": "Slack", "metadata": {"access_token": "xoxb-new"}});
    api.put(&path, &body).await.expect(200);
    api.wait_for_event(&second, "completed").await;
    let sent = receiver.requests_at("/api/chat.postMessage");
    let tokens: Vec<_> = sent
        .iter()
        .filter_map(|request| request.header("authorization"))
        .collect();
    assert_eq!(tokens, ["Bearer xoxb-old", "Bearer xoxb-new"]);
}

#[tokio::test]
async fn a_connection_may_have_a_schedule_of_its_own() {
    let scene = Scene::retrying("0s,1h").await;
    let metadata =
        json!({"url": scene.receiver.url("/hook"), "skip_url_test": true, "retry_schedule": "0s,20ms"});
    let body = json!({"name": "Impatient", "metadata": metadata});
    scene
        .api
        .put(&format!("/connections/{}", scene.connection), &body)
        .await
        .expect(200);
    scene.receiver.always("/hook", Reply::status(503));
    let event = scene.emit().await;
    scene.api.wait_for_event(&event, "failed").await;
    assert_eq!(scene.receiver.requests_at("/hook").len(), 2);
}

#[tokio::test]
async fn deleting_a_rule_calls_off_what_waits_for_it() {
    let scene = Scene::retrying("0s,1h").await;
    scene.receiver.always("/hook", Reply::status(503));
    let event = scene.emit().await;
    scene.api.wait_for_event(&event, "retrying").await;
    scene
        .api
        .delete(&format!("/rules/{}", scene.rule))
        .await
        .expect(200);
    let path = format!("/events/{event}");
    let ask = || async { scene.api.get(&path).await.expect(200) };
    until("the event to be canceled", ask, |event| {
        event["status"] == "canceled"
    })
    .await;
    let later = scene.emit().await;
    assert_eq!(scene.api.event(&later).await["total_rules"], 0);
    assert!(!scene.engine.log().contains("panicked"));
}
