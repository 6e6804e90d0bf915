//! The Rust client against the real server, over a network that loses what the test says.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures::{StreamExt, TryStreamExt};
use heddle_client::shapes::{
    CreateConnection, CreateEntry, CreateKey, CreatePublishableKey, CreateRule, CreateSession, EventFilter,
    Object, OutcomeCode, ReplayListFilter, ReplayRequest, ReplayStatus, Role, SessionFilter, SessionStatus,
    Status, UsageFilter,
};
use heddle_client::{
    BatchOptions, Batcher, Credential, EventInput, EventsClient, MachineKey, ManagementClient, Options,
    Outcome, Record, Timing,
};
use heddle_tests::api::{Api, Workspace, records};
use heddle_tests::engine::{Engine, Keys, Settings};
use heddle_tests::network::{Network, Trouble};
use heddle_tests::receiver::{Receiver, Reply};
use heddle_tests::wait::{until, within};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The time limit of requests, and the interval of batchers, which come when a test says so.
const HELD: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(1)];

/// Time that flies: whatever is waited for comes at once, but for what is `HELD`.
struct Clock {
    waits: Mutex<Vec<u128>>,
    fired: watch::Sender<Duration>,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            waits: Mutex::default(),
            fired: watch::channel(Duration::ZERO).0,
        }
    }
}

impl Clock {
    fn waits(&self) -> Vec<u128> {
        self.waits.lock().expect("not poisoned").clone()
    }

    /// The time of these waits has come.
    fn fire(&self, held: Duration) {
        self.fired.send_replace(held);
    }
}

impl Timing for Clock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn random(&self) -> f64 {
        0.0
    }

    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        if !HELD.contains(&time) {
            self.waits.lock().expect("not poisoned").push(time.as_millis());
            return Box::pin(std::future::ready(()));
        }
        let mut fired = self.fired.subscribe();
        Box::pin(async move {
            // An error means that the clock is gone, and its time does not come.
            if fired.wait_for(|due| *due == time).await.is_err() {
                std::future::pending().await
            }
        })
    }
}

fn machine(keys: &Keys) -> Credential {
    Credential::MachineKey(MachineKey {
        organization_id: keys.organization_id.clone(),
        access_key: keys.access_key.clone(),
        secret_key: keys.secret_key.clone(),
    })
}

fn options(base: &str, clock: &Arc<Clock>) -> Options {
    let timing: Arc<dyn Timing> = clock.clone();
    Options {
        timing,
        ..Options::new(base)
    }
}

fn emitter(base: &str, workspace: &Workspace, clock: &Arc<Clock>) -> EventsClient {
    let key = Credential::PublishableKey(workspace.publishable_key.clone());
    EventsClient::new(key, options(base, clock)).expect("a client can be made")
}

fn event(name: &str) -> EventInput {
    EventInput::new(name, &json!({"email": "nina@academyflow.io"})).expect("it is an event")
}

/// The names of a workspace's events, sorted.
async fn history(api: &Api, workspace: &Workspace) -> Vec<String> {
    let list = api
        .get(&format!("/workspaces/{}/events?limit=200", workspace.id))
        .await;
    let mut names: Vec<_> = records(&list.expect(200))
        .iter()
        .map(|event| event["event"].as_str().expect("a name").to_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_event_whose_answers_are_lost_is_accepted_once() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Lossy").await;
    let clock = Arc::new(Clock::default());
    let lossy = Network::before(&engine, |place| match place {
        0 | 1 => Trouble::LoseAnswer,
        _ => Trouble::Pass,
    })
    .await;
    let events = emitter(lossy.base(), &workspace, &clock);
    let sent = event("order.paid").about("order", "7");
    let accepted = events.emit(&sent).await.expect("it is accepted");
    assert_eq!(
        (accepted.workspace, accepted.resource_id.as_deref()),
        (workspace.id.clone(), Some("7"))
    );
    assert_eq!(clock.waits(), [100, 200]);
    let keys: BTreeSet<_> = lossy
        .each(|seen| seen.headers["idempotency-key"].clone())
        .into_iter()
        .map(|key| format!("{key:?}"))
        .collect();
    assert_eq!(keys.len(), 1);
    assert_eq!(history(&api, &workspace).await, ["order.paid"]);

    let again = events.emit(&sent).await.expect("another one is accepted");
    assert_ne!(again.id, accepted.id);
    let mine = event("order.paid").once_as("order-8");
    let first = events.emit(&mine).await.expect("it is accepted");
    let second = events.emit(&mine).await.expect("it was accepted");
    assert_eq!(first.id, second.id);
    let other = event("order.lost").once_as("order-8");
    let error = events.emit(&other).await.expect_err("the key is taken");
    assert_eq!(
        (error.status(), error.code(), error.attempts()),
        (Some(422), "idempotency_key_reused", 1)
    );
    assert!(error.request_id().is_some());
}

#[tokio::test]
async fn waits_are_as_the_server_asks_and_come_to_an_end() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Busy").await;
    let clock = Arc::new(Clock::default());
    let busy = Network::before(&engine, |place| match place {
        0 => Trouble::Answer(503, &[("retry-after", "7")], "{}"),
        1 => Trouble::Pass,
        2 => Trouble::Answer(503, &[("retry-after", "31")], "{}"),
        3 => Trouble::Answer(302, &[("location", "http://127.0.0.1:9/")], ""),
        4 => Trouble::Answer(201, &[], "<html>"),
        5 => Trouble::Answer(404, &[], "nothing here"),
        _ => Trouble::LoseRequest,
    })
    .await;
    let events = emitter(busy.base(), &workspace, &clock);
    events.emit(&event("a")).await.expect("it is accepted");
    assert_eq!(clock.waits(), [7_000]);
    for (code, attempts) in [
        ("http_503", 1),
        ("redirected", 1),
        ("unreadable_answer", 1),
        ("http_404", 1),
        ("network_error", 5),
    ] {
        let error = events.emit(&event("b")).await.expect_err("it is not accepted");
        assert_eq!((error.code(), error.attempts()), (code, attempts));
    }
    assert_eq!(clock.waits(), [7_000, 100, 200, 400, 800]);
    assert_eq!(history(&api, &workspace).await, ["a"]);
}

#[tokio::test]
async fn an_attempt_without_an_answer_ends_at_its_time_limit() {
    let engine = Engine::start(Settings::default()).await;
    let workspace = Api::of(&engine).await.workspace("Silent").await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let base = format!("http://{}", silent.local_addr().expect("it is bound"));
    let clock = Arc::new(Clock::default());
    let client = Options {
        retries: 0,
        ..options(&base, &clock)
    };
    let key = Credential::PublishableKey(workspace.publishable_key);
    let events = EventsClient::new(key, client).expect("a client can be made");
    let emitting = tokio::spawn(async move { events.emit(&event("a")).await });
    let _connection = within("the client to connect", silent.accept()).await;
    clock.fire(HELD[0]);
    let ended = within("the attempt to end", emitting).await.expect("no panic");
    let error = ended.expect_err("nobody answered");
    assert_eq!((error.code(), error.status()), ("timeout", None));
}

#[tokio::test]
async fn a_batch_goes_in_requests_of_a_hundred_and_each_record_stands_at_its_place() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Many").await;
    let clock = Arc::new(Clock::default());
    let lossy = Network::before(&engine, |place| match place {
        1 => Trouble::LoseAnswer,
        0..=3 => Trouble::Pass,
        _ => Trouble::LoseRequest,
    })
    .await;
    let events = emitter(lossy.base(), &workspace, &clock);
    let batch: Vec<_> = (0..250)
        .map(|n| {
            event(&if n == 120 {
                "no*star".to_owned()
            } else {
                format!("event.{n}")
            })
        })
        .collect();
    let result = events.emit_many(&batch).await.expect("all are answered");
    assert_eq!((result.records.len(), result.accepted().count()), (250, 249));
    let refused: Vec<_> = result
        .refused()
        .map(|(place, event)| (place, event.code.as_deref()))
        .collect();
    assert_eq!(refused, [(120, Some("invalid_request"))]);
    assert!(matches!(&result.records[249], Record::Accepted(event) if event.event == "event.249"));
    let sizes = lossy.each(|seen| {
        let sent: Vec<Value> = serde_json::from_slice(&seen.body).expect("an array");
        sent.len()
    });
    assert_eq!(sizes, [100, 100, 100, 50]);

    let error = events.emit_many(&batch).await.expect_err("the network is gone");
    assert_eq!((error.code(), error.partial().is_none()), ("network_error", true));
}

#[tokio::test]
async fn a_batcher_sends_when_it_is_full_when_its_time_has_come_and_when_it_is_closed() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Queue").await;
    let clock = Arc::new(Clock::default());
    let network = Network::before(&engine, |place| match place {
        1 => Trouble::LoseAnswer,
        _ => Trouble::Pass,
    })
    .await;
    let (told, heard) = std::sync::mpsc::channel();
    let options = BatchOptions {
        size: 2,
        max_queue: 10,
        ..BatchOptions::default()
    };
    let client = emitter(network.base(), &workspace, &clock);
    let tell = move |outcome| told.send(outcome).expect("the test listens");
    let batcher = Batcher::new(client, options, tell).expect("a batcher can be made");
    for name in ["a", "b", "c*"] {
        batcher.enqueue(event(name)).expect("there is room");
    }
    clock.fire(HELD[1]);
    until(
        "the lone event to be sent",
        || async { network.lines().len() },
        |sent| *sent >= 3,
    )
    .await;
    batcher.flush().await;
    clock.fire(Duration::ZERO);
    batcher.enqueue(event("d")).expect("there is room");
    batcher.flush().await;
    batcher.enqueue(event("e")).expect("there is room");
    batcher.close().await;
    let outcomes: Vec<_> = heard
        .iter()
        .map(|outcome| match outcome {
            Outcome::Accepted(event) => event.event,
            Outcome::Rejected { event, code, .. } => format!("{code} {}", event.key().is_some()),
        })
        .collect();
    assert_eq!(outcomes, ["a", "b", "invalid_request true", "d", "e"]);
    assert_eq!(history(&api, &workspace).await, ["a", "b", "d", "e"]);
}

#[tokio::test]
async fn what_a_batcher_could_not_send_can_be_queued_again_without_doubling() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Again").await;
    let clock = Arc::new(Clock::default());
    let lossy = Network::before(&engine, |place| match place {
        0..5 => Trouble::LoseAnswer,
        _ => Trouble::Pass,
    })
    .await;
    let (told, heard) = std::sync::mpsc::channel();
    let options = BatchOptions {
        size: 1,
        max_queue: 1,
        ..BatchOptions::default()
    };
    let tell = move |outcome| told.send(outcome).expect("the test listens");
    let batcher = Batcher::new(emitter(lossy.base(), &workspace, &clock), options, tell)
        .expect("a batcher can be made");
    batcher.enqueue(event("a")).expect("there is room");
    let full = batcher.enqueue(event("b")).expect_err("there is no room");
    assert_eq!(full.code(), "queue_full");
    batcher.flush().await;
    let Outcome::Rejected { event, code, .. } = heard.recv().expect("an outcome") else {
        panic!("it was accepted")
    };
    assert_eq!(code, "network_error");
    batcher.enqueue(event).expect("there is room");
    batcher.close().await;
    assert!(matches!(heard.recv(), Ok(Outcome::Accepted(_))));
    assert_eq!(history(&api, &workspace).await, ["a"]);
}

fn object(value: Value) -> Object {
    serde_json::from_value(value).expect("an object")
}

#[tokio::test]
async fn from_a_workspace_to_a_delivery_that_failed_was_looked_at_and_tried_again() {
    let engine = Engine::start(Settings::default().retrying("0s")).await;
    let receiver = Receiver::start().await;
    receiver.answer("/hook", [Reply::text(400, "said the destination")]);
    let api = Api::of(&engine).await;
    let heddle = ManagementClient::new(machine(api.keys()), Options::new(engine.base()))
        .expect("a client can be made");
    let made = heddle.create_workspace("Whole", None).await.expect("it is made");
    let workspace = heddle.get_workspace(&made.id).await.expect("it is there");
    let key = workspace.publishable_key.expect("it has a key").public_key;
    let connection = CreateConnection {
        workspace: made.id.clone(),
        kind: "webhook".into(),
        name: "Course platform".into(),
        metadata: object(json!({"url": receiver.url("/hook"), "skip_url_test": true})),
        ..CreateConnection::default()
    };
    let connection = heddle.create_connection(&connection).await.expect("it is made");
    let rule = CreateRule {
        workspace: made.id.clone(),
        connection: connection.id.clone(),
        event: "lesson.*".into(),
        metadata: object(json!({"action": "send_webhook"})),
        ..CreateRule::default()
    };
    let rule = heddle.create_rule(&rule).await.expect("it is made");
    let events = EventsClient::new(Credential::PublishableKey(key), Options::new(engine.base()))
        .expect("a client can be made");
    let id = events
        .emit(&event("lesson.completed"))
        .await
        .expect("it is accepted")
        .id;

    let read = async || heddle.get_event(&id).await.expect("it is there");
    let failed = until("the event to fail", &read, |event| event.status == Status::Failed).await;
    assert_eq!(
        (failed.rule_events.len(), &failed.rule_events[0].rule),
        (1, &rule.id)
    );
    let attempts: Vec<_> = heddle
        .all_attempts(&id, &rule.id)
        .try_collect()
        .await
        .expect("they are there");
    assert_eq!(
        (attempts.len(), attempts[0].outcome_code),
        (1, OutcomeCode::RejectedClientError)
    );
    let details = heddle
        .get_response_details(&id, &rule.id, &attempts[0].id)
        .await
        .expect("they are kept");
    assert_eq!(details.body, "said the destination");
    heddle
        .retry_rule_event(&id, &rule.id)
        .await
        .expect("it is replayed");
    until("the event to arrive", &read, |event| {
        event.status == Status::Completed
    })
    .await;
    let payload = heddle.get_event_payload(&id).await.expect("it is there").payload;
    assert_eq!(payload.expect("it is shown")["email"], "nina@academyflow.io");

    let changed = heddle
        .update_rule(&rule.id, &json!({"active": false}))
        .await
        .expect("it is changed");
    assert!(!changed.active);
    heddle
        .update_rule(&rule.id, &json!({"active": true}))
        .await
        .expect("it is changed");
    let error = heddle
        .delete_connection(&connection.id, false)
        .await
        .expect_err("it is used");
    assert_eq!(error.code(), "has_active_rules");
    let deleted = heddle
        .delete_connection(&connection.id, true)
        .await
        .expect("it is deleted");
    assert_eq!((deleted.id, deleted.kind.as_str()), (connection.id, "webhook"));
    let gone = heddle
        .delete_workspace(&made.id, &made.name)
        .await
        .expect("it is deleted");
    assert_eq!(gone.id, made.id);
    assert_eq!(
        heddle
            .get_workspace(&made.id)
            .await
            .expect_err("it is gone")
            .status(),
        Some(404)
    );
}

#[tokio::test]
async fn keys_sessions_replays_catalogs_and_usage_are_managed() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let heddle = ManagementClient::new(machine(api.keys()), Options::new(engine.base()))
        .expect("a client can be made");
    let workspace = api.workspace("Managed").await.id;

    let made = heddle
        .create_key(&CreateKey {
            name: "reader".into(),
            ..CreateKey::default()
        })
        .await
        .expect("a key is made");
    let keys = Keys {
        organization_id: made.key.organization_id.clone(),
        access_key: made.key.access_key.clone(),
        secret_key: made.secret_key.clone(),
    };
    assert!(!format!("{made:?}").contains(&keys.secret_key));
    let other =
        ManagementClient::new(machine(&keys), Options::new(engine.base())).expect("a client can be made");
    other.list_workspaces().await.expect("the key works");
    assert!(
        heddle
            .revoke_key(&keys.access_key)
            .await
            .expect("it is revoked")
            .revoked
    );
    assert_eq!(
        other.list_workspaces().await.expect_err("it is revoked").code(),
        "key_revoked"
    );

    let second = CreatePublishableKey {
        name: Some("second".into()),
        ..CreatePublishableKey::default()
    };
    let second = heddle
        .create_publishable_key(&workspace, &second)
        .await
        .expect("it is made");
    assert_eq!(
        heddle
            .list_publishable_keys(&workspace)
            .await
            .expect("they are there")
            .count,
        2
    );
    heddle
        .delete_publishable_key(&workspace, &second.id)
        .await
        .expect("it is deleted");

    let session = CreateSession {
        workspace_id: workspace.clone(),
        role: Some(Role::Admin),
        ..CreateSession::default()
    };
    let session = heddle.create_session(&session).await.expect("it is made");
    let token = Credential::AccessToken(session.access_token.clone());
    let inside = ManagementClient::new(token, Options::new(engine.base())).expect("a client can be made");
    inside
        .list_workspace_events(&workspace, &EventFilter::default())
        .await
        .expect("it may");
    heddle
        .refresh_session(&session.session_id)
        .await
        .expect("it is refreshed");
    let old = inside
        .list_rules(&Default::default())
        .await
        .expect_err("it was replaced");
    assert_eq!(old.code(), "token_replaced");
    heddle
        .revoke_session(&session.session_id)
        .await
        .expect("it is revoked");
    let filter = SessionFilter {
        workspace_id: workspace.clone(),
        ..SessionFilter::default()
    };
    let sessions: Vec<_> = heddle
        .all_sessions(&filter)
        .try_collect()
        .await
        .expect("they are there");
    assert_eq!(
        sessions.iter().map(|session| session.status).collect::<Vec<_>>(),
        [SessionStatus::Revoked]
    );

    let replay = ReplayRequest {
        workspace: workspace.clone(),
        paused: Some(true),
        ..ReplayRequest::default()
    };
    assert_eq!(
        heddle.preview_replay(&replay).await.expect("it is counted").count,
        0
    );
    let replay = heddle.create_replay(&replay).await.expect("it is made");
    assert_eq!(
        heddle.get_replay(&replay.id).await.expect("it is there").status,
        ReplayStatus::Paused
    );
    heddle.cancel_replay(&replay.id).await.expect("it is called off");
    assert_eq!(heddle.all_replays(&ReplayListFilter::default()).count().await, 1);

    let entry = CreateEntry {
        key: "order.paid".into(),
        ..CreateEntry::default()
    };
    let entry = heddle
        .create_event_type(&workspace, &entry)
        .await
        .expect("it is made");
    let changed = heddle
        .update_event_type(&workspace, &entry.id, &json!({"label": "Paid"}))
        .await
        .expect("it is changed");
    assert_eq!(changed.label, "Paid");
    heddle
        .delete_event_type(&workspace, &entry.id)
        .await
        .expect("it is deleted");

    heddle
        .put_workspace_limits(&workspace, &json!({"events_per_month": 7}))
        .await
        .expect("they are set");
    assert_eq!(
        heddle
            .get_workspace_limits(&workspace)
            .await
            .expect("they are there")
            .limits["events_per_month"],
        7
    );
    let usage = heddle
        .get_workspace_usage(&workspace, &UsageFilter::default())
        .await
        .expect("it is there");
    assert_eq!((usage.total.events, usage.month.limit), (0, Some(7)));
    let of_all = heddle
        .get_usage(&UsageFilter::default())
        .await
        .expect("it is there");
    let month = of_all
        .month
        .expect("it is shown to a key of the whole organization");
    assert_eq!((month.events, month.limit), (0, None));
    let known = heddle.list_integrations().await.expect("they are there").records;
    assert!(known.iter().any(|integration| integration.kind == "webhook"));
}

#[tokio::test]
async fn lists_are_read_page_by_page_and_only_as_far_as_somebody_reads() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Pages").await;
    let clock = Arc::new(Clock::default());
    let batch: Vec<_> = (0..7).map(|n| event(&format!("event.{n}"))).collect();
    emitter(engine.base(), &workspace, &clock)
        .emit_many(&batch)
        .await
        .expect("all are answered");
    let network = Network::before(&engine, |_| Trouble::Pass).await;
    let heddle = ManagementClient::new(machine(api.keys()), Options::new(network.base()))
        .expect("a client can be made");
    let filter = EventFilter {
        limit: Some(3),
        ..EventFilter::default()
    };
    let events: Vec<_> = heddle
        .all_workspace_events(&workspace.id, &filter)
        .try_collect()
        .await
        .expect("all pages");
    let names: BTreeSet<_> = events.into_iter().map(|event| event.event).collect();
    assert_eq!((names.len(), network.lines().len()), (7, 3));
    let first: Vec<_> = heddle
        .all_events(&filter)
        .take(2)
        .try_collect()
        .await
        .expect("a page");
    assert_eq!((first.len(), network.lines().len()), (2, 4));
}

#[tokio::test]
async fn what_reads_is_repeated_and_what_acts_only_when_nothing_was_done() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let network = Network::before(&engine, |place| match place {
        0 | 2 => Trouble::LoseAnswer,
        3 => Trouble::Answer(503, &[("retry-after", "2")], r#"{"code": "unavailable"}"#),
        _ => Trouble::Pass,
    })
    .await;
    let clock = Arc::new(Clock::default());
    let heddle = ManagementClient::new(machine(api.keys()), options(network.base(), &clock))
        .expect("a client can be made");
    heddle
        .list_workspaces()
        .await
        .expect("it is read the second time");
    let error = heddle
        .create_workspace("Once", None)
        .await
        .expect_err("nobody knows");
    assert_eq!((error.code(), error.attempts()), ("network_error", 1));
    heddle
        .create_workspace("Twice", None)
        .await
        .expect("it is made the second time");
    assert_eq!(clock.waits(), [100, 2_000]);
    let tokens: BTreeSet<_> = network
        .each(|seen| format!("{:?}", seen.headers["authorization"]))
        .into_iter()
        .collect();
    assert!(!tokens.iter().any(|token| token.contains(&api.keys().secret_key)));
}
