//! Rows of the crash matrix for what is done besides delivering, step by step: removing, replaying,
//! forgetting, pruning, giving space back, following a rule.

use std::collections::BTreeSet;
use std::path::Path;

use heddle_store::stop::{Stop, Work};
use heddle_tests::api::{Api, id_of, records};
use heddle_tests::engine::Settings;
use heddle_tests::receiver::Reply;
use heddle_tests::wait::until;
use reqwest::{Method, RequestBuilder};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{Row, Stage, settings};

/// What the pruner says when it has done something.
const PRUNED: &str = "history past its time is deleted";
const GIVEN_BACK: &str = "free space is given back to the disk";

/// Steps that may look at 500 deliveries: one with the change, and two behind it.
const LEFT: usize = 1_100;

/// How often the engine has said this, in all of its lives.
fn times(stage: &Stage, what: &str) -> usize {
    stage.engine.log().matches(what).count()
}

/// Waits until it has said this more often than so many times.
async fn said(stage: &Stage, what: &str, before: usize) {
    let ask = || async { times(stage, what) };
    until(&format!("it to say: {what}"), ask, |times| *times > before).await;
}

/// A call that the process may die of.
async fn try_call(stage: &Stage, request: RequestBuilder) {
    let request = request.bearer_auth(heddle_tests::token::machine(stage.api.keys()));
    // Acknowledged or not: it dies right behind it.
    let _ = stage.api.try_send(request).await;
}

/// Emits as many events in bulks of a hundred, and gives their ids.
async fn emit_many(
    api: &Api,
    workspace: &str,
    event: &str,
    payload: Value,
    count: usize,
) -> BTreeSet<String> {
    let one = json!({"event": event, "payload": payload, "workspace": workspace});
    let mut ids = BTreeSet::new();
    while ids.len() < count {
        let bulk = Value::Array(vec![one.clone(); 100]);
        let answer = api.post("/events/bulk", &bulk).await.expect(201);
        ids.extend(answer["records"].as_array().expect("records").iter().map(id_of));
    }
    ids
}

pub async fn remove(row: &Row) {
    const PERSONAL: &str = "nina-the-person@academyflow.io";
    let mut stage = Stage::set(row.arm(settings())).await;
    let doomed = stage.api.workspace("Doomed").await;
    let personal = json!({"email": PERSONAL});
    emit_many(&stage.api, &doomed.id, "of nobody", personal, 600).await;
    let kept = stage.emit().await.expect("it does not die yet");
    stage.api.wait_for_event(&kept, "completed").await;
    let path = format!("/workspaces/{}", doomed.id);
    let request = stage
        .api
        .request(Method::DELETE, &path)
        .json(&json!({"confirm": "Doomed"}));
    try_call(&stage, request).await;
    row.died(&mut stage.engine).await;
    stage.again().await;
    stage.api.get(&path).await.expect_error(404);
    said(&stage, "nothing is left of a deleted workspace", 0).await;
    assert_eq!(stage.history().await, BTreeSet::from([kept.clone()]));
    row.allows(&kept, stage.ledger()[&kept]);
    stage.engine.terminate().await;
    assert!(stage.engine.ended().await.success());
    let bytes = stage.engine.home().database_bytes();
    let left = bytes
        .windows(PERSONAL.len())
        .any(|part| part == PERSONAL.as_bytes());
    assert!(!left, "a payload is still on the disk");
}

pub async fn replay(row: &Row) {
    let mut stage = Stage::set(row.arm(Settings::default().retrying("0s"))).await;
    stage.receiver.always("/hook", Reply::status(404));
    let mut events = BTreeSet::new();
    for _ in 0..3 {
        let event = stage.emit().await.expect("it does not die yet");
        stage.api.wait_for_event(&event, "failed").await;
        events.insert(event);
    }
    stage.receiver.always("/hook", Reply::status(200));
    let body = json!({"workspace": stage.workspace.id, "rate": 1000, "paused": true});
    let id = id_of(&stage.api.post("/replays", &body).await.expect(201)["replay"]);
    let resume = stage.api.request(Method::POST, &format!("/replays/{id}/resume"));
    try_call(&stage, resume).await;
    row.died(&mut stage.engine).await;
    stage.again().await;
    let path = format!("/replays/{id}");
    let ask = || async { stage.api.get(&path).await.expect(200) };
    let done = until("the replay to end", ask, |replay| replay["status"] == "completed").await;
    assert_eq!((&done["processed"], &done["replayed"]), (&json!(3), &json!(3)));
    stage.settled().await;
    assert_eq!(stage.history().await, events);
    let ledger = stage.ledger();
    for event in &events {
        row.allows(event, ledger[event]);
    }
}

pub async fn forget(row: &Row) {
    let mut stage = Stage::set(settings()).await;
    let event = stage.emit_once().await;
    stage.api.wait_for_event(&event, "completed").await;
    stage.engine.terminate().await;
    assert!(stage.engine.ended().await.success());
    let clock = stage.engine.home().scratch("clock", b"90000000");
    let tomorrow = die_by(&clock, &mut stage, row).await;
    assert_eq!(stage.history().await, BTreeSet::from([event.clone()]));
    row.allows(&event, stage.ledger()[&event]);
    stage.engine.terminate().await;
    assert!(stage.engine.ended().await.success());
    stage.engine.restart_as(tomorrow).await;
    stage.api = stage.api.at(&stage.engine);
    let anew = stage.emit_once().await;
    assert_ne!(anew, event, "the key is past its day");
}

pub async fn prune(row: &Row) {
    let mut stage = Stage::set(settings()).await;
    let event = stage.emit().await.expect("it serves");
    stage.api.wait_for_event(&event, "completed").await;
    // More than one step deletes, and more pages than one step gives back.
    let long = json!({"text": "x".repeat(6_000)});
    let many = emit_many(&stage.api, &stage.workspace.id, "of nobody", long, 800).await;
    let last = many.last().expect("there are some");
    let limits = format!("/workspaces/{}/limits", stage.workspace.id);
    stage
        .api
        .put(&limits, &json!({"event_days": 1}))
        .await
        .expect(200);
    stage.engine.terminate().await;
    assert!(stage.engine.ended().await.success());
    let full = stage.engine.home().database_bytes().len();
    let clock = stage.engine.home().scratch("clock", b"90000000");
    let tomorrow = die_by(&clock, &mut stage, row).await;
    let is_there = async |api: &Api, event: &str| api.get(&format!("/events/{event}")).await.status == 200;
    assert_eq!(is_there(&stage.api, &event).await, row.stored, "{}", row.why);
    row.allows(&event, stage.ledger()[&event]);
    if row.stored {
        assert!(is_there(&stage.api, last).await, "the last goes before the first");
    }
    let reclaims = matches!(
        row.stop,
        Stop::BeforeCommit(Work::Reclaim) | Stop::AfterCommit(Work::Reclaim)
    );
    if reclaims {
        // Nothing is past its time today, and what is free is free.
        said(&stage, GIVEN_BACK, 0).await;
    }
    let fresh = stage.emit().await.expect("it serves");
    stage.api.wait_for_event(&fresh, "completed").await;
    stage.engine.terminate().await;
    assert!(stage.engine.ended().await.success());

    let before = [PRUNED, GIVEN_BACK].map(|what| times(&stage, what));
    stage.engine.restart_as(tomorrow).await;
    said(&stage, PRUNED, before[0]).await;
    if !reclaims {
        said(&stage, GIVEN_BACK, before[1]).await;
    }
    // Tokens are of today.
    std::fs::write(&clock, "0").expect("the clock can be set back");
    stage.api = stage.api.at(&stage.engine);
    assert_eq!(stage.history().await, BTreeSet::new());
    assert_eq!(stage.ledger()[&event], 1);
    stage.engine.terminate().await;
    assert!(stage.engine.ended().await.success());
    let home = stage.engine.home();
    let left = home.database_bytes().len();
    assert!(left < full / 2, "{left} of {full} bytes are left");
    let database = Connection::open(home.data_dir().join("heddle.db")).expect("it opens");
    let whole: String = database
        .pragma_query_value(None, "integrity_check", |row| row.get(0))
        .expect("it is a database");
    assert_eq!(whole, "ok");
}

/// A connection to `/later` that is turned off, a rule to it for the event `b`, and what waits for it.
async fn left_waiting(stage: &Stage) -> (String, String, BTreeSet<String>) {
    let connection = stage
        .api
        .webhook(&stage.workspace, &stage.receiver.url("/later"))
        .await;
    turn(&stage.api, &connection, false).await;
    let rule = stage.api.webhook_rule(&stage.workspace, &connection, "b").await;
    let waiting = emit_many(&stage.api, &stage.workspace.id, "b", json!({}), LEFT).await;
    (connection, rule, waiting)
}

async fn turn(api: &Api, connection: &str, active: bool) {
    let path = format!("/connections/{connection}");
    let known = api.get(&path).await.expect(200);
    let wish = json!({"name": known["name"], "metadata": known["metadata"], "active": active});
    api.put(&path, &wish).await.expect(200);
}

/// What of the event `b` has this status.
async fn with_status(stage: &Stage, status: &str) -> usize {
    let (mut count, mut cursor) = (0, String::new());
    loop {
        let path = format!("/events?event=b&status={status}&limit=200{cursor}");
        let page = stage.api.get(&path).await.expect(200);
        count += records(&page).len();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return count,
        }
    }
}

pub async fn delete_rule(row: &Row) {
    let mut stage = Stage::set(row.arm(settings())).await;
    let (connection, rule, waiting) = left_waiting(&stage).await;
    let path = format!("/rules/{rule}");
    try_call(&stage, stage.api.request(Method::DELETE, &path)).await;
    row.died(&mut stage.engine).await;
    stage.again().await;
    stage.api.get(&path).await.expect_error(404);
    said(
        &stage,
        "what a rule left behind that was deleted or changed is done",
        0,
    )
    .await;
    assert_eq!(
        with_status(&stage, "canceled").await,
        waiting.len(),
        "{}",
        row.why
    );
    turn(&stage.api, &connection, true).await;
    let event = stage.emit().await.expect("it serves");
    stage.api.wait_for_event(&event, "completed").await;
    assert_eq!(stage.receiver.requests_at("/later").len(), *row.arrivals.end());
}

pub async fn move_rule(row: &Row) {
    let mut stage = Stage::set(row.arm(settings())).await;
    let (from, rule, waiting) = left_waiting(&stage).await;
    let to = stage
        .api
        .webhook(&stage.workspace, &stage.receiver.url("/hook"))
        .await;
    turn(&stage.api, &to, false).await;
    let path = format!("/rules/{rule}");
    let request = stage
        .api
        .request(Method::PUT, &path)
        .json(&json!({"connection": to}));
    try_call(&stage, request).await;
    row.died(&mut stage.engine).await;
    stage.engine.restart_as(settings()).await;
    stage.api = stage.api.at(&stage.engine);
    said(
        &stage,
        "what a rule left behind that was deleted or changed is done",
        0,
    )
    .await;
    // Nothing is left in the lane that it led to.
    turn(&stage.api, &from, true).await;
    turn(&stage.api, &to, true).await;
    let completed = || with_status(&stage, "completed");
    until("what waited to arrive", completed, |count| {
        *count == waiting.len()
    })
    .await;
    assert_eq!(stage.receiver.requests_at("/later").len(), 0);
    let ledger = stage.ledger();
    for event in &waiting {
        row.allows(event, ledger.get(event).copied().unwrap_or(0));
    }
}

pub async fn set_back(row: &Row) {
    let patient = settings().retrying("0s,3s");
    let mut stage = Stage::set(patient.clone()).await;
    stage.receiver.answer("/hook", [Reply::status(503)]);
    let event = stage.emit().await.expect("it serves");
    stage.api.wait_for_event(&event, "retrying").await;
    stage.engine.terminate().await;
    assert!(stage.engine.ended().await.success());
    let clock = stage.engine.home().scratch("clock", b"-7200000");
    let earlier = patient.with("CLOCK_OFFSET", clock.to_string_lossy());
    // The start looks at the clock at once; it may listen before it dies.
    match stage.engine.home().try_serve(row.arm(earlier.clone())).await {
        Ok(mut engine) => row.died(&mut engine).await,
        Err(log) => row.is_in(&log),
    }
    stage.engine.restart_as(earlier).await;
    stage.receiver.wait_for("/hook", 2).await;
    said(&stage, "waits by the clock as it is now", 0).await;
    // Tokens are of the right time.
    std::fs::write(&clock, "0").expect("the clock can be set");
    stage.api = stage.api.at(&stage.engine);
    stage.settled().await;
    assert_eq!(stage.history().await, BTreeSet::from([event.clone()]));
    row.allows(&event, stage.ledger()[&event]);
}

/// Starts with this clock, a day ahead, and the row's stop; then as before. Returns the settings of that day.
async fn die_by(clock: &Path, stage: &mut Stage, row: &Row) -> Settings {
    let tomorrow = settings().with("CLOCK_OFFSET", clock.to_string_lossy());
    // The start prunes at once; it may listen before it dies.
    match stage.engine.home().try_serve(row.arm(tomorrow.clone())).await {
        Ok(mut engine) => row.died(&mut engine).await,
        Err(log) => row.is_in(&log),
    }
    stage.again().await;
    tomorrow
}
