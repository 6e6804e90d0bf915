//! The crash matrix: the process dies at every named place between two durable points, starts again,
//! and what arrived at the receiver is held against what the place allows. A row says what led to the
//! place, whether the event it is about was stored, how often that may arrive, and why.
//!
//! Whatever the place: nothing that was acknowledged is lost, nothing is stuck, what went before
//! arrives once, and a delivery keeps its id.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use futures::StreamExt as _;
use futures::stream;
use heddle_store::stop::{Stop, Work};
use heddle_tests::api::{Api, Workspace, id_of, records};
use heddle_tests::engine::{Engine, Home, Settings};
use heddle_tests::receiver::{Gate, Receiver, Reply};
use heddle_tests::wait::until;
use reqwest::Method;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

mod duties;

/// What leads to the place.
#[derive(Clone, Copy, Debug)]
enum Scene {
    /// Two events are emitted and arrive; the place is reached with the third.
    Emit,
    /// The same, of deliveries that wait a moment before they are due.
    EmitLater,
    /// Sixteen callers emit until it dies.
    EmitAtOnce,
    /// A request is under way when the process is killed; the place is reached by the next start.
    StartAgain,
    /// A database of the first version, which has an event, is opened.
    Migrate,
    /// A workspace with more than one step removes is deleted, while another stays.
    Remove,
    /// Three deliveries that failed are replayed.
    Replay,
    /// An event has an idempotency key, and a day goes by.
    Forget,
    /// A workspace keeps its events for a day, has an event and many more behind it, and a day goes by.
    Prune,
    /// A rule is deleted for which more waits than one step calls off.
    DeleteRule,
    /// A rule for which as much waits is led elsewhere.
    MoveRule,
    /// A retry is planned, and the clock is set back while nothing runs.
    SetBack,
}

struct Row {
    stop: Stop,
    /// The how-manieth time that the place is reached.
    time: usize,
    scene: Scene,
    /// Whether the event that it is about is in the history afterwards.
    stored: bool,
    /// How often the deliveries that it is about may arrive, over all lives of the process.
    arrivals: RangeInclusive<usize>,
    why: &'static str,
}

const fn row(
    stop: Stop,
    (scene, time): (Scene, usize),
    stored: bool,
    arrivals: RangeInclusive<usize>,
    why: &'static str,
) -> Row {
    Row {
        stop,
        time,
        scene,
        stored,
        arrivals,
        why,
    }
}

const EMIT: (Scene, usize) = (Scene::Emit, 3);
const EMIT_LATER: (Scene, usize) = (Scene::EmitLater, 3);

/// In the order of an event's life, then what else writes.
const ROWS: &[Row] = &[
    row(Stop::AfterMatch, EMIT, false, 0..=0, "nothing was stored"),
    row(
        Stop::BeforeCommit(Work::Accept),
        EMIT,
        false,
        0..=0,
        "SQLite forgets what is not committed",
    ),
    row(
        Stop::InGroup,
        (Scene::EmitAtOnce, 20),
        true,
        1..=2,
        "what was under way is sent again",
    ),
    row(
        Stop::AfterCommit(Work::Accept),
        EMIT,
        true,
        1..=1,
        "stored and claimed, and not begun; the start takes the lease back",
    ),
    row(
        Stop::AfterCommit(Work::Accept),
        EMIT_LATER,
        true,
        1..=1,
        "stored, and not claimed: nobody knew of it yet",
    ),
    row(
        Stop::BeforeAnswer,
        EMIT,
        true,
        1..=2,
        "stored; the first attempt may have been under way",
    ),
    row(
        Stop::BeforeCommit(Work::Claim),
        EMIT_LATER,
        true,
        1..=1,
        "it was not claimed",
    ),
    row(
        Stop::AfterCommit(Work::Claim),
        EMIT_LATER,
        true,
        1..=1,
        "claimed; the start takes the lease back",
    ),
    row(
        Stop::BeforeRequest,
        EMIT,
        true,
        1..=1,
        "claimed; the start takes the lease back",
    ),
    row(
        Stop::AfterRequest,
        EMIT,
        true,
        2..=2,
        "only the record would have kept it from being sent again",
    ),
    row(
        Stop::BeforeCommit(Work::Record),
        EMIT,
        true,
        2..=2,
        "the record was not committed",
    ),
    row(
        Stop::AfterCommit(Work::Record),
        EMIT,
        true,
        1..=1,
        "the record counts",
    ),
    row(
        Stop::BeforeCommit(Work::Release),
        (Scene::StartAgain, 1),
        true,
        2..=2,
        "the one of before the kill, and one more",
    ),
    row(
        Stop::AfterCommit(Work::Release),
        (Scene::StartAgain, 1),
        true,
        2..=2,
        "the one of before the kill, and one more",
    ),
    row(
        Stop::InMigration,
        (Scene::Migrate, 2),
        true,
        0..=0,
        "the migration is undone, and done again",
    ),
    row(
        Stop::BetweenMigrations,
        (Scene::Migrate, 1),
        true,
        0..=0,
        "the next start goes on with the next migration",
    ),
    row(
        Stop::BeforeCommit(Work::Remove),
        (Scene::Remove, 1),
        true,
        1..=1,
        "the step is undone, and done again",
    ),
    row(
        Stop::BeforeCommit(Work::Remove),
        (Scene::Remove, 2),
        true,
        1..=1,
        "the step is undone, and done again",
    ),
    row(
        Stop::AfterCommit(Work::Remove),
        (Scene::Remove, 1),
        true,
        1..=1,
        "the next start goes on with what is left",
    ),
    row(
        Stop::BeforeCommit(Work::Replay),
        (Scene::Replay, 1),
        true,
        2..=2,
        "nothing was made due: failed once, replayed once",
    ),
    row(
        Stop::AfterCommit(Work::Replay),
        (Scene::Replay, 1),
        true,
        2..=2,
        "the replay's position is part of its step",
    ),
    row(
        Stop::BeforeCommit(Work::Forget),
        (Scene::Forget, 1),
        true,
        1..=1,
        "the key is forgotten at the next start",
    ),
    row(
        Stop::AfterCommit(Work::Forget),
        (Scene::Forget, 1),
        true,
        1..=1,
        "the key is forgotten, its event stays",
    ),
    row(
        Stop::BeforeCommit(Work::Prune),
        (Scene::Prune, 1),
        true,
        1..=1,
        "the step is undone, and done again",
    ),
    row(
        Stop::AfterCommit(Work::Prune),
        (Scene::Prune, 1),
        false,
        1..=1,
        "what is deleted stays deleted, and the mark is behind it",
    ),
    row(
        Stop::BeforeCommit(Work::Prune),
        (Scene::Prune, 2),
        false,
        1..=1,
        "the second step is undone, and done again",
    ),
    row(
        Stop::BeforeCommit(Work::Reclaim),
        (Scene::Prune, 1),
        false,
        1..=1,
        "the pages are free still, and given back by the next start",
    ),
    row(
        Stop::AfterCommit(Work::Reclaim),
        (Scene::Prune, 1),
        false,
        1..=1,
        "the next start gives back what is left",
    ),
    row(
        Stop::BeforeCommit(Work::FollowUp),
        (Scene::DeleteRule, 1),
        true,
        0..=0,
        "the next start calls off what is left",
    ),
    row(
        Stop::AfterCommit(Work::FollowUp),
        (Scene::DeleteRule, 1),
        true,
        0..=0,
        "the mark is part of its step",
    ),
    row(
        Stop::BeforeCommit(Work::FollowUp),
        (Scene::DeleteRule, 2),
        true,
        0..=0,
        "the second step is undone, and done again",
    ),
    row(
        Stop::BeforeCommit(Work::FollowUp),
        (Scene::MoveRule, 1),
        true,
        1..=1,
        "the next start moves what is left",
    ),
    row(
        Stop::AfterCommit(Work::FollowUp),
        (Scene::MoveRule, 1),
        true,
        1..=1,
        "what is moved is in its new lane, once",
    ),
    row(
        Stop::BeforeCommit(Work::SetBack),
        (Scene::SetBack, 1),
        true,
        2..=2,
        "the next start knows of the old time as well",
    ),
    row(
        Stop::AfterCommit(Work::SetBack),
        (Scene::SetBack, 1),
        true,
        2..=2,
        "brought forward twice, it comes early, and once",
    ),
];

/// Rows that run at once.
const AT_ONCE: usize = 4;

#[test]
fn every_stop_has_its_row() {
    for stop in Stop::all() {
        assert!(
            ROWS.iter().any(|row| row.stop == stop),
            "the matrix has no row for {stop}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_place_at_which_it_dies_nothing_acknowledged_is_lost_or_stuck() {
    let died = stream::iter(ROWS)
        .map(|row| async move { (row, tokio::spawn(run(row)).await) })
        .buffer_unordered(AT_ONCE)
        .filter_map(async |(row, ended)| {
            ended
                .is_err()
                .then(|| format!("{} in {:?}: {}", row.stop, row.scene, row.why))
        })
        .collect::<Vec<_>>()
        .await;
    assert!(
        died.is_empty(),
        "not as the matrix says, see above:\n{}",
        died.join("\n")
    );
}

async fn run(row: &'static Row) {
    match row.scene {
        Scene::Emit => emit(row, settings()).await,
        Scene::EmitLater => emit(row, settings().retrying("20ms,20ms,20ms,20ms")).await,
        Scene::EmitAtOnce => emit_at_once(row).await,
        Scene::StartAgain => start_again(row).await,
        Scene::Migrate => migrate(row).await,
        Scene::Remove => duties::remove(row).await,
        Scene::Replay => duties::replay(row).await,
        Scene::Forget => duties::forget(row).await,
        Scene::Prune => duties::prune(row).await,
        Scene::DeleteRule => duties::delete_rule(row).await,
        Scene::MoveRule => duties::move_rule(row).await,
        Scene::SetBack => duties::set_back(row).await,
    }
}

fn settings() -> Settings {
    Settings::default().retrying("0s,20ms,20ms,20ms")
}

impl Row {
    /// With the order to die.
    fn arm(&self, settings: Settings) -> Settings {
        settings.with("STOP", format!("{}:{}", self.stop, self.time))
    }

    /// Waits for the death, and sees that it was this one.
    async fn died(&self, engine: &mut Engine) {
        let status = engine.ended().await;
        assert!(!status.success(), "{status}");
        self.is_in(&engine.log());
    }

    fn is_in(&self, log: &str) {
        let said = format!("stopped at {}", self.stop);
        assert!(
            log.contains(&said),
            "it ended, but not as it was told: {said}: {log}"
        );
    }

    /// How often a delivery may have arrived.
    fn allows(&self, event: &str, arrivals: usize) {
        assert!(
            self.arrivals.contains(&arrivals),
            "{}: event {event} arrived {arrivals} times, not {:?}: {}",
            self.stop,
            self.arrivals,
            self.why
        );
    }
}

/// An engine that delivers the event `a` to a receiver.
struct Stage {
    receiver: Receiver,
    engine: Engine,
    api: Api,
    workspace: Workspace,
}

impl Stage {
    async fn set(settings: Settings) -> Self {
        let receiver = Receiver::start().await;
        let engine = Engine::start(settings).await;
        let api = Api::of(&engine).await;
        let workspace = api.workspace("Matrix").await;
        let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
        api.webhook_rule(&workspace, &connection, "a").await;
        Self {
            receiver,
            engine,
            api,
            workspace,
        }
    }

    /// Emits, and gives the id if there was an answer.
    async fn emit(&self) -> Option<String> {
        let body = json!({"event": "a", "payload": {"text": "x"}});
        let request = self.api.request(Method::POST, "/events").json(&body);
        let request = request.header("x-meshes-publishable-key", &self.workspace.publishable_key);
        let answer = self.api.try_send(request).await.ok()?;
        Some(id_of(&answer.expect(201)["event"]))
    }

    /// Emits under a key.
    async fn emit_once(&self) -> String {
        let body = json!({"event": "a", "payload": {}});
        let request = self.api.request(Method::POST, "/events").json(&body);
        let request = request.header("x-meshes-publishable-key", &self.workspace.publishable_key);
        let answer = self.api.send(request.header("idempotency-key", "order 1")).await;
        id_of(&answer.expect(201)["event"])
    }

    /// Starts it again, and waits until nothing is under way any more.
    async fn again(&mut self) {
        self.engine.restart_as(settings()).await;
        self.api = self.api.at(&self.engine);
        self.settled().await;
    }

    async fn settled(&self) {
        let ask = || async { records(&self.api.get("/events?limit=200").await.expect(200)) };
        let ended = |event: &Value| {
            ["completed", "failed", "canceled"]
                .iter()
                .any(|word| event["status"] == *word)
        };
        until("every event to have ended", ask, |events| {
            events.iter().all(ended)
        })
        .await;
    }

    /// The history: the events that are there.
    async fn history(&self) -> BTreeSet<String> {
        let list = self.api.get("/events?limit=200").await.expect(200);
        assert!(
            list["next_cursor"].is_null(),
            "a matrix row has few events: {list}"
        );
        let events = records(&list);
        for event in &events {
            assert_eq!(event["status"], "completed", "{event}");
        }
        events.iter().map(id_of).collect()
    }

    /// The ledger: how often each event arrived, under one id.
    fn ledger(&self) -> BTreeMap<String, usize> {
        let mut arrivals: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for request in self.receiver.requests_at("/hook") {
            let event = request.json()["uuid"].as_str().expect("an id").to_owned();
            arrivals
                .entry(event)
                .or_default()
                .push(request.delivery_id().to_owned());
        }
        for (event, ids) in &arrivals {
            assert!(
                ids.iter().all(|id| *id == ids[0]),
                "{event} has several ids: {ids:?}"
            );
        }
        arrivals
            .into_iter()
            .map(|(event, ids)| (event, ids.len()))
            .collect()
    }
}

async fn emit(row: &Row, settings: Settings) {
    let mut stage = Stage::set(row.arm(settings)).await;
    let mut before = BTreeSet::new();
    for _ in 1..row.time {
        let event = stage.emit().await.expect("it does not die yet");
        stage.api.wait_for_event(&event, "completed").await;
        before.insert(event);
    }
    let acknowledged = stage.emit().await;
    row.died(&mut stage.engine).await;
    stage.again().await;

    let (history, ledger) = (stage.history().await, stage.ledger());
    assert!(before.is_subset(&history), "the history has a hole");
    assert!(
        before.iter().all(|event| ledger[event] == 1),
        "what went before was sent again"
    );
    let last: Vec<_> = history.difference(&before).collect();
    assert_eq!(last.len(), usize::from(row.stored), "{}: {last:?}", row.why);
    assert!(
        acknowledged.iter().all(|event| last == [event]),
        "an acknowledged event is lost"
    );
    for event in &last {
        row.allows(event, ledger[*event]);
    }
    assert_eq!(ledger.len(), history.len(), "what was not stored was not sent");
    let event = stage.emit().await.expect("it serves");
    stage.api.wait_for_event(&event, "completed").await;
}

async fn emit_at_once(row: &Row) {
    let mut stage = Stage::set(row.arm(settings())).await;
    let callers = (0..16).map(|_| async {
        let mut acknowledged = Vec::new();
        while let Some(event) = stage.emit().await {
            acknowledged.push(event);
            assert!(
                acknowledged.len() < 1_000,
                "sixteen callers and never a group of two"
            );
        }
        acknowledged
    });
    let acknowledged: BTreeSet<_> = futures::future::join_all(callers)
        .await
        .into_iter()
        .flatten()
        .collect();
    row.died(&mut stage.engine).await;
    stage.again().await;
    let ledger = stage.ledger();
    for event in &acknowledged {
        row.allows(event, ledger.get(event).copied().unwrap_or(0));
    }
    for (event, arrivals) in ledger {
        row.allows(&event, arrivals);
        stage.api.wait_for_event(&event, "completed").await;
    }
}

async fn start_again(row: &Row) {
    let mut stage = Stage::set(settings()).await;
    let gate = Gate::closed();
    stage.receiver.always("/hook", Reply::status(200).behind(&gate));
    let event = stage.emit().await.expect("it serves");
    stage.receiver.wait_for("/hook", 1).await;
    stage.engine.kill().await;
    gate.open();
    let started = stage.engine.home().try_serve(row.arm(settings())).await;
    row.is_in(&started.err().expect("it dies while it starts"));
    stage.again().await;
    assert_eq!(stage.history().await, BTreeSet::from([event.clone()]));
    row.allows(&event, stage.ledger()[&event]);
}

/// A start after the other dies in a migration, until none is left.
async fn migrate(row: &Row) {
    let home = Home::new();
    let event = first_version(&home);
    let mut deaths = 0;
    let engine = loop {
        match home.try_serve(row.arm(settings())).await {
            Ok(engine) => break engine,
            Err(log) => row.is_in(&log),
        }
        deaths += 1;
        assert!(deaths < 1_000, "it gets no further");
    };
    assert!(
        deaths > 5,
        "it died {deaths} times: fewer than there are migrations"
    );
    let api = Api::of(&engine).await;
    assert_eq!(api.event(&event).await["event"], "lesson.completed");
    let payload = api.get(&format!("/events/{event}/payload")).await.expect(200);
    assert_eq!(payload["payload"], json!({"n": 1}));
    let events = records(&api.get("/events").await.expect(200));
    assert_eq!(events.len(), 1, "{events:?}");
}

/// Writes what the first version of Heddle wrote: an organization with an event in its history.
fn first_version(home: &Home) -> String {
    let database = Connection::open(home.data_dir().join("heddle.db")).expect("a database can be made");
    database
        .execute_batch(include_str!("../../engine/store/migrations/0001_first.sql"))
        .expect("the first version is valid");
    for (pragma, value) in [("application_id", 0x4844_4c45), ("user_version", 1)] {
        database
            .pragma_update(None, pragma, value)
            .expect("a pragma can be set");
    }
    let [organisation, workspace, event] = [(); 3].map(|()| uuid::Uuid::now_v7());
    let insert = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        database.execute(sql, values).expect("a row of the first version");
    };
    insert(
        "INSERT INTO organisations VALUES (?1, 'Academy', 1)",
        params![organisation.as_bytes()],
    );
    insert(
        "INSERT INTO workspaces VALUES (?1, ?2, 'Courses', NULL, 1, 1)",
        params![workspace.as_bytes(), organisation.as_bytes()],
    );
    insert(
        "INSERT INTO events VALUES (?1, ?2, ?3, 'lesson.completed', 'global', NULL, 'mk_old', 1, 'completed', 0, 0, 0, 0, 0,
             0, 1, 1)",
        params![event.as_bytes(), organisation.as_bytes(), workspace.as_bytes()],
    );
    insert(
        "INSERT INTO event_payloads VALUES (?1, '{\"n\": 1}')",
        params![event.as_bytes()],
    );
    event.to_string()
}
