//! Bulk replay: what failed is tried anew, once each, whatever happens meanwhile.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use futures::stream;
use heddle_tests::api::{Api, Workspace, id_of, records};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::{Receiver, Reply};
use heddle_tests::wait::until;
use serde_json::{Value, json};

/// Waits until a replay has ended or got as far as `enough` says.
async fn wait_for(api: &Api, id: &str, what: &str, enough: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/replays/{id}");
    until(what, || async { api.get(&path).await.expect(200) }, enough).await
}

async fn emit_many(api: &Api, workspace: &Workspace, bulks: usize) -> Vec<String> {
    let one = json!({"event": "a", "payload": {"n": 1}, "workspace": workspace.id});
    let bulk = Value::Array(vec![one; 100]);
    let answers = stream::iter(0..bulks)
        .map(|_| async { api.post("/events/bulk", &bulk).await.expect(201) })
        .buffer_unordered(4)
        .collect::<Vec<_>>()
        .await;
    answers
        .iter()
        .flat_map(|answer| answer["records"].as_array().expect("records"))
        .map(id_of)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_delivered_once_each_after_the_cause_was_mended() {
    let receiver = Receiver::start().await;
    receiver.always("/hook", Reply::status(404));
    let engine = Engine::start(Settings::default().retrying("0s")).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Replays").await;
    let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
    let rule = api.webhook_rule(&workspace, &connection, "a").await;
    let events = emit_many(&api, &workspace, 2).await;
    receiver.wait_for("/hook", events.len()).await;
    let body = json!({"workspace": workspace.id, "rule": rule, "connection": connection, "rate": 1000});
    let preview = || async { api.post("/replays/preview", &body).await.expect(200) };
    let counted = until("all of them to have failed", preview, |p| p["count"] == 200).await;
    assert_eq!(counted, json!({"count": 200, "exact": true}));

    receiver.always("/hook", Reply::status(200));
    let made = api.post("/replays", &body).await.expect(201);
    assert_eq!(
        (&made["replay"]["total"], &made["replay"]["rules"]),
        (&json!(200), &json!("original"))
    );
    let id = id_of(&made["replay"]);
    // New events come while it runs; they are delivered, and not by it.
    let new = emit_many(&api, &workspace, 1).await;
    let done = wait_for(&api, &id, "the replay to end", |r| r["status"] == "completed").await;
    assert_eq!(
        (&done["processed"], &done["replayed"], &done["skipped"]),
        (&json!(200), &json!(200), &json!(0))
    );
    let mut requests: BTreeMap<String, usize> = BTreeMap::new();
    for request in receiver.wait_for("/hook", 2 * events.len() + new.len()).await {
        *requests
            .entry(request.json()["uuid"].as_str().expect("an id").into())
            .or_default() += 1;
    }
    assert!(
        events.iter().all(|event| requests[event] == 2),
        "once when it failed, once replayed"
    );
    assert!(new.iter().all(|event| requests[event] == 1));
    let after = api.wait_for_event(&events[0], "completed").await;
    assert_eq!(after["rule_events"][0]["attempt_count"], 2);
    assert_eq!(preview().await["count"], 0, "nothing is left to replay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_paused_resumed_called_off_and_listed() {
    let receiver = Receiver::start().await;
    receiver.always("/hook", Reply::status(404));
    let engine = Engine::start(Settings::default().retrying("0s")).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Replays").await;
    let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
    api.webhook_rule(&workspace, &connection, "a").await;
    let events = emit_many(&api, &workspace, 1).await;
    api.wait_for_event(events.last().expect("a hundred"), "failed")
        .await;
    receiver.always("/hook", Reply::status(200));

    let slow = json!({"workspace": workspace.id, "rate": 1, "paused": true});
    let id = id_of(&api.post("/replays", &slow).await.expect(201)["replay"]);
    let call = |what: &str| {
        let path = format!("/replays/{id}/{what}");
        let api = api.clone();
        async move { api.post_empty(&path).await }
    };
    assert_eq!(
        api.get(&format!("/replays/{id}")).await.expect(200)["status"],
        "paused"
    );
    assert_eq!(call("resume").await.expect(200)["status"], "running");
    wait_for(&api, &id, "a row to be replayed", |r| r["replayed"] != 0).await;
    assert_eq!(call("pause").await.expect(200)["status"], "paused");
    let canceled = call("cancel").await.expect(200);
    assert_eq!(canceled["status"], "canceled");
    assert!(canceled["replayed"].as_u64() < Some(100), "{canceled}");
    assert_eq!(call("resume").await.expect_error(409)["code"], "already_final");

    let listed = api
        .get(&format!("/replays?workspace={}", workspace.id))
        .await
        .expect(200);
    assert_eq!(records(&listed), [canceled]);
    let stranger = Api::of_new_organisation(&engine).await;
    assert!(records(&stranger.get("/replays").await.expect(200)).is_empty());
    stranger.get(&format!("/replays/{id}")).await.expect_error(404);
    stranger
        .post_empty(&format!("/replays/{id}/cancel"))
        .await
        .expect_error(404);
    stranger.post("/replays", &slow).await.expect_error(404);
    stranger.post("/replays/preview", &slow).await.expect_error(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_events_are_held_against_the_rules_of_now() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Replays").await;
    let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
    let events = emit_many(&api, &workspace, 1).await;
    assert_eq!(api.event(&events[0]).await["total_rules"], 0);
    api.webhook_rule(&workspace, &connection, "a").await;
    let body = json!({"workspace": workspace.id, "rules": "current", "rate": 1000});
    let id = id_of(&api.post("/replays", &body).await.expect(201)["replay"]);
    let done = wait_for(&api, &id, "the replay to end", |r| r["status"] == "completed").await;
    assert_eq!((&done["created"], &done["replayed"]), (&json!(100), &json!(0)));
    receiver.wait_for("/hook", 100).await;
    let after = api.wait_for_event(&events[0], "completed").await;
    assert_eq!(after["total_rules"], 1);
}

/// The connection is inactive throughout, so that only the replay moves anything: what it did can be
/// counted to the row.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_deliveries_are_replayed_once_each_through_two_kills_while_events_arrive() {
    const RULES: usize = 10;
    const EVENTS: usize = 10_000;
    let receiver = Receiver::start().await;
    receiver.always("/hook", Reply::status(410));
    let mut engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Replays").await;
    let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
    let rule = api.webhook_rule(&workspace, &connection, "gone").await;
    let gone = api.emit(&workspace, "gone", json!({})).await;
    api.wait_for_rule_event(&gone, &rule, "failed").await;
    for _ in 0..RULES {
        api.webhook_rule(&workspace, &connection, "a").await;
    }
    let events = emit_many(&api, &workspace, EVENTS / 100).await;
    let paths: Vec<String> = events.iter().map(|id| format!("/events/{id}/cancel")).collect();
    stream::iter(&paths)
        .map(|path| async { drop(api.post_empty(path).await.expect(200)) })
        .buffer_unordered(16)
        .collect::<Vec<()>>()
        .await;

    let body = json!({"workspace": workspace.id, "status": "canceled", "rate": 10_000});
    let made = api.post("/replays", &body).await.expect(201);
    assert_eq!(made["replay"]["total"], RULES * EVENTS);
    let id = id_of(&made["replay"]);
    let mut api = api;
    let mut new = Vec::new();
    for third in [1, 2] {
        let far = (RULES * EVENTS * third / 3) as u64;
        wait_for(&api, &id, "a part of the replay", |r| {
            r["processed"].as_u64() >= Some(far)
        })
        .await;
        new.extend(emit_many(&api, &workspace, 1).await);
        engine.kill().await;
        engine.restart().await;
        api = api.at(&engine);
    }
    let done = wait_for(&api, &id, "the replay to end", |r| r["status"] == "completed").await;
    for (member, expected) in [
        ("processed", RULES * EVENTS),
        ("replayed", RULES * EVENTS),
        ("created", 0),
        ("skipped", 0),
    ] {
        assert_eq!(done[member], expected, "{member}: {done}");
    }
    let count = |status: &'static str| {
        let api = api.clone();
        let workspace = workspace.id.clone();
        async move {
            let (mut count, mut cursor) = (0, String::new());
            loop {
                let path =
                    format!("/workspaces/{workspace}/events?event=a&status={status}&limit=200{cursor}");
                let page = api.get(&path).await.expect(200);
                count += records(&page).len();
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => return count,
                }
            }
        }
    };
    assert_eq!(
        count("pending").await,
        EVENTS + new.len(),
        "all wait for their connection"
    );
    assert_eq!(count("canceled").await, 0);
    let one = api.event(&events[EVENTS / 2]).await;
    assert!(
        one["rule_events"]
            .as_array()
            .expect("ten")
            .iter()
            .all(|r| r["status"] == "pending"),
        "{one}"
    );
}

/// Makes as many rules, each of which takes all steps that a condition may have.
async fn burning_rules(api: &Api, workspace: &Workspace, connection: &str, count: usize) {
    for _ in 0..count {
        let body = json!({"workspace": workspace.id, "connection": connection, "event": "a",
            "condition": "payload.n.all(a, payload.n.all(b, payload.n.all(c, a + b + c >= 0)))",
            "metadata": {"action": "send_webhook"}});
        api.post("/rules", &body).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_whose_steps_take_long_holds_up_no_other() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let (slow, quick) = (api.workspace("Slow").await, api.workspace("Quick").await);
    let numbers: Vec<usize> = (0..1000).collect();
    let long = json!({"event": "a", "payload": {"n": numbers}, "workspace": slow.id});
    let bulk = Value::Array(vec![long; 100]);
    for _ in 0..3 {
        api.post("/events/bulk", &bulk).await.expect(201);
    }
    emit_many(&api, &quick, 1).await;
    let connection = api.webhook(&slow, &receiver.url("/slow")).await;
    burning_rules(&api, &slow, &connection, 10).await;
    let connection = api.webhook(&quick, &receiver.url("/quick")).await;
    api.webhook_rule(&quick, &connection, "a").await;

    // All of each in one step, the slow one first.
    let replay = async |workspace: &Workspace| {
        let body = json!({"workspace": workspace.id, "rules": "current", "rate": 10_000});
        id_of(&api.post("/replays", &body).await.expect(201)["replay"])
    };
    let (slow, quick) = (replay(&slow).await, replay(&quick).await);
    let done = wait_for(&api, &quick, "the quick one to end", |r| {
        r["status"] == "completed"
    })
    .await;
    assert_eq!(done["created"], 100, "{done}");
    let other = api.get(&format!("/replays/{slow}")).await.expect(200);
    assert_eq!(other["status"], "running", "{other}");
    assert_eq!(receiver.wait_for("/quick", 100).await.len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_comes_upon_a_row_that_cannot_be_read_holds_up_no_other() {
    let receiver = Receiver::start().await;
    let mut engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let (broken, sound) = (api.workspace("Broken").await, api.workspace("Sound").await);
    let event = api.emit(&broken, "a", json!({"n": 1})).await;
    emit_many(&api, &sound, 1).await;
    let connection = api.webhook(&sound, &receiver.url("/sound")).await;
    api.webhook_rule(&sound, &connection, "a").await;
    engine.kill().await;
    let database = rusqlite::Connection::open(engine.home().data_dir().join("heddle.db")).expect("it opens");
    let id: Vec<u8> = event.split('-').flat_map(bytes_of).collect();
    let sql = "UPDATE event_payloads SET payload = CAST(x'ff' AS TEXT) WHERE event = ?1";
    assert_eq!(database.execute(sql, [id]).expect("it is written"), 1);
    drop(database);
    engine.restart().await;
    let api = api.at(&engine);

    for workspace in [&broken, &sound] {
        let body = json!({"workspace": workspace.id, "rules": "current", "rate": 10_000, "paused": true});
        let id = id_of(&api.post("/replays", &body).await.expect(201)["replay"]);
        api.post_empty(&format!("/replays/{id}/resume")).await.expect(200);
        if workspace.id == sound.id {
            wait_for(&api, &id, "the sound one to end", |r| r["status"] == "completed").await;
        }
    }
    assert_eq!(receiver.wait_for("/sound", 100).await.len(), 100);
    assert!(
        engine.log().contains("a bulk replay could not go on"),
        "{}",
        engine.log()
    );
}

/// Of a part of a UUID.
fn bytes_of(part: &str) -> Vec<u8> {
    let digits = part.as_bytes().chunks(2);
    digits
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).expect("hexadecimal")
        })
        .collect()
}
