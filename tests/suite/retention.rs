//! History that is past its time, with the engine killed while it is deleted.

use std::time::Duration;

use heddle_core::delivery::State;
use heddle_core::event::Event;
use heddle_core::id::{ConnectionId, DeliveryId, EventId};
use heddle_core::retry::Schedule;
use heddle_core::time::{Clock, Timestamp};
use heddle_store::{Acceptance, Emission, NewDelivery, Store, StoreConfig, Synchronous};
use heddle_tests::api::{Api, Workspace, records};
use heddle_tests::engine::{Engine, Home, Settings};
use heddle_tests::receiver::{Receiver, Reply};
use heddle_tests::wait::until;
use serde_json::{Value, json};

/// Stands in every payload of old events.
const PERSONAL: &str = "nina-the-person@academyflow.io";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The files of a database whose server is stopped, written to as if it were earlier.
fn past(home: &Home) -> Store {
    let key = std::fs::read_to_string(home.data_dir().join("master.key")).expect("the key is there");
    let mut master_key = [0; 32];
    hex::decode_to_slice(key.trim(), &mut master_key).expect("it is a key");
    Store::open(StoreConfig {
        path: home.data_dir().join("heddle.db"),
        master_key,
        readers: 1,
        synchronous: Synchronous::Normal,
    })
    .expect("the database opens")
}

fn random(n: usize) -> [u8; 10] {
    let mut random = [7; 10];
    random[..8].copy_from_slice(&n.to_be_bytes());
    random
}

/// Accepts events as at `at`, one a millisecond; `rule` is one that they matched.
async fn accept(
    store: &Store,
    workspace: &Workspace,
    rule: Option<&str>,
    at: Timestamp,
    count: usize,
) -> Vec<String> {
    let mut ids = Vec::with_capacity(count);
    for chunk in (0..count).collect::<Vec<_>>().chunks(500) {
        let emissions = chunk.iter().map(|n| {
            let at = at.plus(Duration::from_millis(*n as u64));
            let event = Event {
                id: EventId::new(at, random(*n)),
                workspace: workspace.id.parse().expect("an id"),
                event: "old".into(),
                resource: "global".into(),
                resource_id: None,
                payload: json!({"email": PERSONAL, "n": n}).to_string().into(),
                created_by: "mk_old".into(),
                created_at: at,
            };
            ids.push(event.id.to_string());
            let deliveries = rule
                .map(|rule| NewDelivery {
                    id: DeliveryId::new(at, random(*n)),
                    rule: rule.parse().expect("an id"),
                    state: State::new(at, &Schedule::default(), 1),
                    ordering_key: None,
                    connection: ConnectionId::from_bytes([0; 16]),
                    leased_until: None,
                })
                .into_iter()
                .collect();
            Emission {
                acceptance: Acceptance { event, deliveries },
                once: None,
            }
        });
        store
            .accept(emissions.collect())
            .await
            .expect("they are accepted");
    }
    ids
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

async fn is_there(api: &Api, event: &str) -> bool {
    match api.get(&format!("/events/{event}")).await.status {
        200 => true,
        404 => false,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_past_its_time_goes_through_two_kills_and_what_waits_is_delivered_after_all() {
    let receiver = Receiver::start().await;
    receiver.always("/down", Reply::status(500));
    let mut engine = Engine::start(Settings::default().retrying("0s,1h")).await;
    let mut api = Api::of(&engine).await;
    let workspace = api.workspace("Ours").await;
    let other = api.workspace("Other").await;
    let connection = api.webhook(&workspace, &receiver.url("/down")).await;
    let rule = api.webhook_rule(&workspace, &connection, "old").await;
    let fresh = api.emit(&workspace, "fresh", json!({"n": 1})).await;
    let limits = format!("/workspaces/{}/limits", workspace.id);
    let wish = json!({"payload_days": 2, "attempt_days": 5, "event_days": 9});
    api.put(&limits, &wish).await.expect(200);
    engine.terminate().await;
    assert!(engine.ended().await.success());

    let now = heddle::machine::SystemClock.now();
    let store = past(engine.home());
    let old = accept(&store, &workspace, None, now.minus(10 * DAY), 20_000).await;
    let middle = accept(&store, &workspace, None, now.minus(3 * DAY), 500).await;
    let waits = accept(&store, &workspace, Some(&rule), now.minus(20 * DAY), 3).await;
    let others = accept(&store, &other, None, now.minus(30 * DAY), 500).await;
    store.close().await;
    let full = engine.home().database_bytes().len();

    for _ in 0..2 {
        engine.restart().await;
        api = api.at(&engine);
        until("the pruning to begin", || is_there(&api, &old[0]), |there| !there).await;
        engine.kill().await;
    }
    engine.restart().await;
    api = api.at(&engine);
    until(
        "the pruning to end",
        || async { engine.log() },
        |log| log.contains("free space is given back"),
    )
    .await;
    for gone in [&old[0], &old[19_999]] {
        assert!(!is_there(&api, gone).await);
    }
    for event in [&middle[0], &middle[499]] {
        let seen = api.get(&format!("/events/{event}/payload")).await.expect(200);
        assert_eq!(
            (&seen["payload"], &seen["payload_gone"]),
            (&Value::Null, &json!(true))
        );
    }
    let kept = |event: &str| {
        let path = format!("/events/{event}/payload");
        let api = &api;
        async move { api.get(&path).await.expect(200)["payload"].clone() }
    };
    assert_eq!(kept(&fresh).await, json!({"n": 1}));
    assert_eq!(kept(&others[0]).await, json!({"email": PERSONAL, "n": 0}));
    let list = api
        .get(&format!("/workspaces/{}/events?limit=200", other.id))
        .await;
    assert_eq!(records(&list.expect(200)).len(), 200);

    // Older than everything that went, and not ended: its payload is there, and arrives.
    receiver.always("/down", Reply::status(200));
    for event in &waits {
        let path = format!("/events/{event}/rules/{rule}/retry");
        api.wait_for_event(event, "retrying").await;
        api.post_empty(&path).await.expect(200);
        api.wait_for_event(event, "completed").await;
    }
    let requests = receiver.requests_at("/down");
    let last = requests.last().expect("they arrive");
    assert!(last.text().contains(PERSONAL), "{}", last.text());

    engine.terminate().await;
    assert!(engine.ended().await.success());
    let bytes = engine.home().database_bytes();
    // The last one's id is the mark.
    for gone in [&old[0], &old[9_999], &old[19_998]] {
        let id: uuid::Uuid = gone.parse().expect("an id");
        assert!(!holds(&bytes, id.as_bytes()), "{gone} is still on the disk");
    }
    assert!(bytes.len() < full / 2, "{} of {full} bytes are left", bytes.len());
}
