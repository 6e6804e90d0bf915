//! Faults of the machine, played on the real binary: what callers see, that nothing is lost, and that
//! nobody has to restart anything afterwards. `docs/failures.md` tells operators the same.

use std::collections::BTreeSet;
use std::time::Duration;

use heddle_tests::api::{Api, Workspace, id_of, records};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::{Gate, Receiver, Reply};
use heddle_tests::wait::{until, within};
use reqwest::Method;
use rusqlite::Connection;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

/// An engine that delivers the event `a` to a receiver.
async fn stage(settings: Settings) -> (Receiver, Engine, Api, Workspace) {
    let receiver = Receiver::start().await;
    let engine = Engine::start(settings).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Faults").await;
    let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
    api.webhook_rule(&workspace, &connection, "a").await;
    (receiver, engine, api, workspace)
}

/// Emits with a key that has no time in it, and gives the id.
async fn emit(api: &Api, workspace: &Workspace, event: &str) -> String {
    let body = json!({"event": event, "payload": {}});
    let answer = api
        .post_with_key(&workspace.publishable_key, "/events", &body)
        .await;
    id_of(&answer.expect(201)["event"])
}

fn is_delivered(receiver: &Receiver, path: &str, event: &str) -> usize {
    let requests = receiver.requests_at(path);
    requests
        .iter()
        .filter(|request| request.json()["uuid"] == event)
        .count()
}

#[tokio::test]
async fn a_database_that_another_process_locks_is_said_and_left_behind_without_a_restart() {
    let (receiver, engine, api, workspace) = stage(Settings::default()).await;
    let gate = Gate::closed();
    receiver.always("/hook", Reply::status(200).behind(&gate));
    let before = emit(&api, &workspace, "a").await;
    receiver.wait_for("/hook", 1).await;

    let database =
        Connection::open(engine.home().data_dir().join("heddle.db")).expect("another process can open it");
    database
        .execute_batch("BEGIN IMMEDIATE")
        .expect("nobody writes for long");
    gate.open();
    let body = json!({"workspace": workspace.id, "event": "a", "payload": {}});
    let error = api.post("/events", &body).await.expect_error(503);
    assert_eq!(error["code"], "unavailable", "{error}");
    assert!(
        !error.to_string().contains("locked"),
        "what is inside stays inside: {error}"
    );
    let health = |path| api.send(api.request_root(Method::GET, path));
    assert_eq!(health("/healthz").await.status, 200, "a restart would not help");
    assert_eq!(health("/readyz").await.status, 503);
    assert_ne!(api.event(&before).await["status"], "completed", "reading goes on");

    database.execute_batch("ROLLBACK").expect("it held the lock");
    until(
        "it to be ready again",
        || health("/readyz"),
        |answer| answer.status == 200,
    )
    .await;
    let after = emit(&api, &workspace, "a").await;
    for event in [&before, &after] {
        api.wait_for_event(event, "completed").await;
        assert_eq!(
            is_delivered(&receiver, "/hook", event),
            1,
            "recorded late, and not sent again"
        );
    }
    let events = records(&api.get("/events").await.expect(200));
    assert_eq!(events.len(), 2, "what was refused was not stored");
}

#[tokio::test]
async fn without_a_file_descriptor_nothing_spins_or_is_lost_and_it_serves_again_when_callers_leave() {
    let settings = Settings::default().retrying(&format!("0s{}", ",1s".repeat(49)));
    let (_receiver, engine, api, workspace) = stage(settings).await;
    let other = Receiver::start().await;
    let connection = api.webhook(&workspace, &other.url("/other")).await;
    let rule = api.webhook_rule(&workspace, &connection, "b").await;

    engine.limit_descriptors(engine.descriptors() + 2).await;
    let mut callers = Vec::new();
    for _ in 0..32 {
        // The kernel lets them in; the engine cannot.
        callers.push(
            TcpStream::connect(engine.base().trim_start_matches("http://"))
                .await
                .expect("a backlog"),
        );
    }
    until(
        "the engine to say it",
        || async { engine.log() },
        |log| log.contains("callers cannot be accepted"),
    )
    .await;
    let used = engine.processor_time();
    let new = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client for plain HTTP can be built");
    let asked = new.get(format!("{}/healthz", engine.base())).send();
    let answered = tokio::time::timeout(Duration::from_secs(1), asked).await;
    assert!(answered.is_err(), "a new caller waits: {answered:?}");
    assert!(engine.processor_time() - used < 50, "it spins");

    // On a connection that is there already, all goes on.
    let event = emit(&api, &workspace, "b").await;
    let first = until(
        "an attempt",
        || api.attempts(&event, &rule),
        |attempts| !attempts.is_empty(),
    )
    .await;
    assert_eq!(
        first[0]["outcome_code"], "internal_error",
        "it is not the destination's fault: {first:?}"
    );
    assert_eq!(is_delivered(&other, "/other", &event), 0);

    drop(callers);
    api.wait_for_event(&event, "completed").await;
    assert_eq!(is_delivered(&other, "/other", &event), 1);
    let _ = until(
        "new callers to be served",
        || async {
            new.get(format!("{}/healthz", engine.base()))
                .send()
                .await
                .map(|answer| answer.status().as_u16())
        },
        |status| matches!(status, Ok(200)),
    )
    .await;
}

/// A file that the engine reads as it goes.
struct Dial(std::path::PathBuf);

impl Dial {
    fn set(&self, text: &str) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, text).expect("a file can be written");
        std::fs::rename(new, &self.0).expect("and put in place whole");
    }
}

/// An engine with a dial of this name.
async fn stage_with_dial(name: &str, settings: Settings) -> (Dial, Receiver, Engine, Api, Workspace) {
    let folder = tempfile::tempdir()
        .expect("a temporary folder can be made")
        .keep();
    let dial = Dial(folder.join("dial"));
    let settings = settings.with(name, dial.0.to_string_lossy());
    let (receiver, engine, api, workspace) = stage(settings).await;
    (dial, receiver, engine, api, workspace)
}

#[tokio::test]
async fn with_the_clock_set_back_or_forward_an_hour_deliveries_and_retries_go_on() {
    // What waits behind a gate must not end by itself, however long the rest takes.
    let settings = Settings::default()
        .retrying("0s,300ms,300ms")
        .with("EGRESS_TIMEOUT", "300s");
    let (clock, receiver, engine, api, workspace) = stage_with_dial("CLOCK_OFFSET", settings).await;
    let connection = api.webhook(&workspace, &receiver.url("/slow")).await;
    api.webhook_rule(&workspace, &connection, "b").await;
    let offsets = ["0", "-3600000", "0", "3600000", "-3600000", "0"];
    for (round, offset) in (1..).zip(offsets) {
        // One request is under way while the clock is set, and one fails afterwards.
        let gate = Gate::closed();
        receiver.answer("/slow", [Reply::status(200).behind(&gate)]);
        let under_way = emit(&api, &workspace, "b").await;
        receiver.wait_for("/slow", round).await;
        clock.set(offset);
        receiver.answer("/hook", [Reply::status(503)]);
        let retried = emit(&api, &workspace, "a").await;
        receiver.wait_for("/hook", 2 * round).await;
        gate.open();
        assert_eq!(is_delivered(&receiver, "/slow", &under_way), 1, "{offset}");
        assert_eq!(is_delivered(&receiver, "/hook", &retried), 2, "{offset}");
        // A machine token is signed by the caller's clock, which is right.
        let status = api.get("/events").await.status;
        assert_eq!(status, if offset == "0" { 200 } else { 401 }, "{offset}");
    }
    let events = || async { records(&api.get("/events").await.expect(200)) };
    let all = until("all of them to be completed", events, |events| {
        events.iter().all(|event| event["status"] == "completed")
    })
    .await;
    assert_eq!(all.len(), 12);
    assert_eq!(
        receiver.requests().len(),
        3 * offsets.len(),
        "nothing was sent again"
    );
    drop(engine);
    let _ = std::fs::remove_dir_all(clock.0.parent().expect("it lies in a folder"));
}

#[tokio::test]
async fn what_was_planned_before_the_clock_is_set_back_an_hour_waits_no_hour() {
    let settings = Settings::default().retrying("0s,3s");
    let (clock, receiver, mut engine, mut api, workspace) =
        stage_with_dial("CLOCK_OFFSET", settings.clone()).await;
    let settings = settings.with("CLOCK_OFFSET", clock.0.to_string_lossy());
    receiver.answer("/hook", [Reply::status(503)]);
    // One is planned, and one waits in a lane that nobody delivers from.
    let closed = api.webhook(&workspace, &receiver.url("/closed")).await;
    api.webhook_rule(&workspace, &closed, "b").await;
    let path = format!("/connections/{closed}");
    let known = api.get(&path).await.expect(200);
    let turn = |active: bool| json!({"name": known["name"], "metadata": known["metadata"], "active": active});
    api.put(&path, &turn(false)).await.expect(200);
    let waiting = emit(&api, &workspace, "b").await;
    let planned = emit(&api, &workspace, "a").await;
    receiver.wait_for("/hook", 1).await;
    clock.set("-3600000");
    receiver.wait_for("/hook", 2).await;

    // Another hour, while nothing runs.
    clock.set("0");
    receiver.answer("/hook", [Reply::status(503)]);
    let at_the_stop = emit(&api, &workspace, "a").await;
    receiver.wait_for("/hook", 3).await;
    api.wait_for_event(&at_the_stop, "retrying").await;
    engine.terminate().await;
    assert!(engine.ended().await.success());
    clock.set("-3600000");
    engine.restart_as(settings).await;
    api = api.at(&engine);
    receiver.wait_for("/hook", 4).await;
    let said = |log: String| log.matches("waits by the clock as it is now").count();
    let ask = || async { said(engine.log()) };
    until("it to be through twice", ask, |times| *times == 2).await;
    clock.set("0");
    api.put(&path, &turn(true)).await.expect(200);
    for event in [&waiting, &planned, &at_the_stop] {
        api.wait_for_event(event, "completed").await;
    }
    assert_eq!(is_delivered(&receiver, "/closed", &waiting), 1);
    assert_eq!(receiver.requests_at("/hook").len(), 4, "nothing was sent again");
    drop(engine);
    let _ = std::fs::remove_dir_all(clock.0.parent().expect("it lies in a folder"));
}

#[tokio::test]
async fn while_names_cannot_be_resolved_deliveries_wait_and_go_out_when_they_can() {
    let settings = Settings::default().retrying(&format!("0s{}", ",1s".repeat(49)));
    let (names, receiver, engine, api, workspace) = stage_with_dial("NAMES", settings).await;
    names.set("crm.test 127.0.0.1\n");
    let port = receiver.base().rsplit_once(':').expect("a port").1.to_owned();
    let named = format!("http://crm.test:{port}/named");
    let other = format!("http://other.test:{port}/other");
    let connection = api.webhook(&workspace, &named).await;
    api.webhook_rule(&workspace, &connection, "b").await;
    let connection = api.webhook(&workspace, &other).await;
    let rule = api.webhook_rule(&workspace, &connection, "c").await;
    let before = emit(&api, &workspace, "b").await;
    api.wait_for_event(&before, "completed").await;

    names.set("");
    let event = emit(&api, &workspace, "c").await;
    let attempts = until(
        "an attempt",
        || api.attempts(&event, &rule),
        |attempts| !attempts.is_empty(),
    )
    .await;
    assert_eq!(attempts[0]["outcome_code"], "network_error", "{attempts:?}");
    let message = attempts[0]["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("other.test") && message.contains("could not be resolved"),
        "{message}"
    );

    names.set("crm.test 127.0.0.1\nother.test 127.0.0.1\n");
    api.wait_for_event(&event, "completed").await;
    assert_eq!(is_delivered(&receiver, "/other", &event), 1);
    drop(engine);
    let _ = std::fs::remove_dir_all(names.0.parent().expect("it lies in a folder"));
}

#[tokio::test]
async fn a_receiver_that_accepts_and_never_answers_holds_its_own_lane_only_and_gets_all_when_it_is_mended() {
    let settings = Settings::default()
        .retrying(&format!("0s{}", ",1s".repeat(49)))
        .with("EGRESS_TIMEOUT", "300ms");
    let (receiver, _engine, api, workspace) = stage(settings).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = silent.local_addr().expect("it is bound");
    let metadata = json!({"url": format!("http://{address}/hook"), "skip_url_test": true, "concurrency": 2});
    let connection = api
        .connection(&workspace, "webhook", "Silent", metadata.clone())
        .await;
    api.webhook_rule(&workspace, &connection, "b").await;
    let mut waiting = BTreeSet::new();
    for _ in 0..6 {
        waiting.insert(emit(&api, &workspace, "b").await);
    }
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(
            within("the engine to call", silent.accept())
                .await
                .expect("a connection"),
        );
        let other = emit(&api, &workspace, "a").await;
        api.wait_for_event(&other, "completed").await;
    }
    for event in &waiting {
        assert_ne!(api.event(event).await["status"], "completed");
    }
    let mended = json!({"name": "Silent", "metadata": {"url": receiver.url("/mended"), "skip_url_test": true, "concurrency": 2}});
    api.put(&format!("/connections/{connection}"), &mended)
        .await
        .expect(200);
    for event in &waiting {
        api.wait_for_event(event, "completed").await;
        assert_eq!(is_delivered(&receiver, "/mended", event), 1);
    }
}
