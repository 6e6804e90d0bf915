//! `kill -9` at random moments: what was acknowledged is delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use heddle_tests::api::{Api, Workspace, records};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::{Receiver, Reply};
use heddle_tests::wait::{until, within};
use reqwest::Method;
use serde_json::json;
use tokio::sync::watch;

/// How often the engine dies.
const KILLS: usize = 20;

/// The size of what they emit.
const PAYLOAD_BYTES: u64 = 211;

/// How many emit at once.
const EMITTERS: usize = 4;

/// The engine as the emitters know it.
#[derive(Clone)]
pub enum Line {
    /// Up, for the n-th time.
    Up(usize, Api),
    /// The test is over.
    Over,
}

/// Random numbers from a seed (SplitMix64), so that a failure can be repeated.
pub struct Random(pub u64);

impl Random {
    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).expect("it is below the limit")
    }
}

/// Given in the environment, else from the clock.
pub fn seed() -> u64 {
    let given = std::env::var("HEDDLE_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| {
        let elapsed = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("the clock is after 1970");
        u64::from(elapsed.subsec_nanos())
    })
}

/// What was acknowledged, and a signal that carries how much it is.
#[derive(Clone, Default)]
struct Acknowledged {
    ids: Arc<Mutex<BTreeSet<String>>>,
    count: watch::Sender<usize>,
}

impl Acknowledged {
    fn add(&self, id: String) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.insert(id);
        self.count.send_replace(ids.len());
    }

    fn all(&self) -> BTreeSet<String> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Emits one event after the other, through every crash, until the test is over.
async fn emit(workspace: Workspace, mut line: watch::Receiver<Line>, acknowledged: Acknowledged) {
    let body = json!({"event": "a", "payload": {"text": "x".repeat(200)}});
    assert_eq!(body["payload"].to_string().len() as u64, PAYLOAD_BYTES);
    loop {
        let Line::Up(life, api) = line.borrow_and_update().clone() else {
            return;
        };
        let request = api.request(Method::POST, "/events").json(&body);
        let request = request.header("x-meshes-publishable-key", &workspace.publishable_key);
        match api.try_send(request).await {
            Ok(answer) if answer.status == 201 => {
                acknowledged.add(answer.json()["event"]["id"].as_str().expect("an id").to_owned());
            }
            Ok(answer) => panic!("a healthy engine refused an event: {answer:?}"),
            Err(_) => {
                let later = |line: &Line| !matches!(line, Line::Up(known, _) if *known == life);
                if line.wait_for(later).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The counters of usage are those of a recount.
async fn recount(api: &Api) {
    let (mut counted, mut cursor) = (BTreeMap::<&str, u64>::new(), String::new());
    let mut add = |counter, more: u64| *counted.entry(counter).or_default() += more;
    loop {
        let page = api.get(&format!("/events?limit=200{cursor}")).await.expect(200);
        for event in records(&page) {
            add("events", 1);
            add("bytes", PAYLOAD_BYTES);
            let id = event["id"].as_str().expect("an id");
            let event = api.event(id).await;
            for rule_event in event["rule_events"].as_array().expect("rule events") {
                add("deliveries", 1);
                add("attempts", rule_event["attempt_count"].as_u64().expect("a count"));
                add("delivered", u64::from(rule_event["status"] == "completed"));
                add("failed", u64::from(rule_event["status"] == "failed"));
            }
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let usage = api.get("/usage").await.expect(200);
    assert_eq!(usage["total"], json!(counted), "usage is the recount");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_event_arrives_through_twenty_crashes() {
    let seed = seed();
    println!("HEDDLE_TEST_SEED={seed}");
    let mut random = Random(seed);
    let receiver = Receiver::start().await;
    receiver.answer("/two", (0..40).map(|_| Reply::status(503)));
    let settings = Settings::default().retrying("0s,20ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms");
    let mut engine = Engine::start(settings).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Crashes").await;
    for path in ["/one", "/two"] {
        let connection = api.webhook(&workspace, &receiver.url(path)).await;
        api.webhook_rule(&workspace, &connection, "a").await;
    }
    let acknowledged = Acknowledged::default();
    let line = watch::Sender::new(Line::Up(0, api.clone()));
    let emitters: Vec<_> = (0..EMITTERS)
        .map(|_| tokio::spawn(emit(workspace.clone(), line.subscribe(), acknowledged.clone())))
        .collect();

    let (mut accepted, mut received) = (acknowledged.count.subscribe(), receiver.count());
    for life in 1..=KILLS {
        // Right after the n-th answer to an emitter, or the n-th request to a destination, whichever
        // comes first: both are moments at which something is under way.
        let accepted_enough = *accepted.borrow() + 1 + random.below(60);
        let received_enough = *received.borrow() + 1 + random.below(120);
        let moment = async {
            tokio::select! {
                moment = accepted.wait_for(|count| *count >= accepted_enough) => drop(moment),
                moment = received.wait_for(|count| *count >= received_enough) => drop(moment),
            }
        };
        // Now and then at once: while the life before is still being taken up.
        if random.below(4) > 0 {
            within("a moment to kill at", moment).await;
        }
        engine.kill().await;
        engine.restart().await;
        line.send_replace(Line::Up(life, api.at(&engine)));
    }
    let before_the_end = *accepted.borrow();
    let _ = within(
        "the last life to accept something",
        accepted.wait_for(|count| *count > before_the_end),
    )
    .await;
    line.send_replace(Line::Over);
    for emitter in emitters {
        within("the emitters to end", emitter)
            .await
            .expect("no emitter failed");
    }

    let api = api.at(&engine);
    for status in ["pending", "processing", "retrying"] {
        let path = format!("/events?status={status}&limit=1");
        let ask = || async { records(&api.get(&path).await.expect(200)).len() };
        until(&format!("no event to be {status}"), ask, |left| *left == 0).await;
    }
    let acknowledged = acknowledged.all();
    let mut duplicates = 0;
    for path in ["/one", "/two"] {
        let mut delivered: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let requests = receiver.requests_at(path);
        for request in &requests {
            let event = request.json()["uuid"].as_str().expect("an id").to_owned();
            delivered
                .entry(event)
                .or_default()
                .insert(request.delivery_id().to_owned());
        }
        let lost: Vec<_> = acknowledged
            .iter()
            .filter(|id| !delivered.contains_key(*id))
            .collect();
        assert!(
            lost.is_empty(),
            "{path}: {} of {} acknowledged events are lost",
            lost.len(),
            acknowledged.len()
        );
        assert!(
            delivered.values().all(|ids| ids.len() == 1),
            "{path}: a duplicate has another delivery id"
        );
        duplicates += requests.len() - delivered.len();
    }
    recount(&api).await;
    let failed = records(&api.get("/events?status=failed").await.expect(200));
    assert!(failed.is_empty(), "{failed:?}");
    println!(
        "{} events acknowledged, {duplicates} requests repeated",
        acknowledged.len()
    );
}
