//! Order by key: what has the same key arrives one after another in the order of emission, whatever
//! fails, and what has another key does not wait for it.

use std::collections::BTreeMap;

use heddle_tests::api::{Api, Workspace, id_of};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::{Gate, Receiver, Reply};
use heddle_tests::wait::within;
use serde_json::{Value, json};

/// One webhook at `/hook` and one rule for the event `a`, ordered by `payload.user`.
struct Scene {
    engine: Engine,
    receiver: Receiver,
    api: Api,
    workspace: Workspace,
    rule: String,
}

impl Scene {
    async fn new(on_failure: &str) -> Self {
        let receiver = Receiver::start().await;
        let engine = Engine::start(Settings::default().retrying("0s,30ms,30ms")).await;
        let api = Api::of(&engine).await;
        let workspace = api.workspace("Order").await;
        let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
        let body = json!({"workspace": workspace.id, "connection": connection, "event": "a",
                          "metadata": {"action": "send_webhook"},
                          "ordering_key": "payload.user", "ordering_on_failure": on_failure});
        let rule = id_of(&api.post("/rules", &body).await.expect(201)["rule"]);
        Self {
            engine,
            receiver,
            api,
            workspace,
            rule,
        }
    }

    async fn emit(&self, user: &str, n: usize) -> String {
        let payload = json!({"user": user, "n": n});
        self.api.emit(&self.workspace, "a", payload).await
    }

    /// The numbers that have arrived of each user, in the order of their arrival.
    fn arrived(&self) -> BTreeMap<String, Vec<u64>> {
        let mut arrived: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for request in self.receiver.requests_at("/hook") {
            let payload = request.json()["payload"].clone();
            let user = payload["user"].as_str().expect("a user").to_owned();
            let number = payload["n"].as_u64().expect("a number");
            arrived.entry(user).or_default().push(number);
        }
        arrived
    }

    fn of(&self, user: &str) -> Vec<u64> {
        self.arrived().remove(user).unwrap_or_default()
    }

    async fn ask(&self, event: &str, verb: &str) -> Value {
        let path = format!("/events/{event}/rules/{}/{verb}", self.rule);
        self.api.post_empty(&path).await.expect(200)
    }
}

#[tokio::test]
async fn one_key_goes_in_order_while_others_do_not_wait_for_it() {
    let scene = Scene::new("continue").await;
    let gate = Gate::closed();
    scene.receiver.answer("/hook", [Reply::status(200).behind(&gate)]);
    let first = scene.emit("nina", 1).await;
    scene.receiver.wait_for("/hook", 1).await;
    let mut last = first.clone();
    for n in 2..=5 {
        last = scene.emit("nina", n).await;
    }
    let waiting = scene.api.rule_event(&last, &scene.rule).await;
    assert_eq!(
        (&waiting["status"], &waiting["waits_for"]),
        (&json!("pending"), &json!(first))
    );
    // The lane has room, and what has another key, or none, takes it.
    for user in ["otto", "", "paul"] {
        let event = scene.emit(user, 1).await;
        scene.api.wait_for_event(&event, "completed").await;
    }
    assert_eq!(scene.of("nina"), [1]);
    gate.open();
    scene.api.wait_for_event(&last, "completed").await;
    assert_eq!(scene.of("nina"), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_head_that_is_tried_again_is_waited_for_and_one_that_fails_for_good_is_passed() {
    let scene = Scene::new("continue").await;
    let unwell = || Reply::status(503);
    // The first gets through at its third attempt, the second not at all.
    let answers = [
        unwell(),
        unwell(),
        Reply::status(200),
        unwell(),
        unwell(),
        unwell(),
    ];
    scene.receiver.answer("/hook", answers);
    let mut events = Vec::new();
    for n in 1..=4 {
        events.push(scene.emit("nina", n).await);
    }
    scene.api.wait_for_event(&events[3], "completed").await;
    scene.api.wait_for_event(&events[1], "failed").await;
    assert_eq!(scene.of("nina"), [1, 1, 1, 2, 2, 2, 3, 4]);
}

#[tokio::test]
async fn a_head_that_failed_holds_its_key_until_it_is_retried_or_canceled() {
    let scene = Scene::new("hold").await;
    let refused = || Reply::status(422);
    scene.receiver.always("/hook", refused());
    let first = scene.emit("nina", 1).await;
    let failed = scene.api.wait_for_event(&first, "failed").await;
    assert_eq!(failed["rule_events"][0]["holds_others"], true, "{failed}");
    let second = scene.emit("nina", 2).await;
    let third = scene.emit("nina", 3).await;
    let other = scene.emit("otto", 1).await;
    scene.api.wait_for_event(&other, "failed").await;
    assert!(!scene.of("nina").contains(&2));
    assert_eq!(
        scene.api.rule_event(&third, &scene.rule).await["waits_for"],
        json!(first)
    );

    scene.receiver.always("/hook", Reply::status(200));
    scene.ask(&first, "retry").await;
    scene.api.wait_for_event(&third, "completed").await;
    let mut arrived = scene.of("nina");
    arrived.dedup();
    assert_eq!(arrived, [1, 2, 3]);
    assert_eq!(scene.api.event(&second).await["status"], "completed");

    scene.receiver.always("/hook", refused());
    let fourth = scene.emit("nina", 4).await;
    let fifth = scene.emit("nina", 5).await;
    scene.api.wait_for_event(&fourth, "failed").await;
    scene.receiver.always("/hook", Reply::status(200));
    let given_up = scene.ask(&fourth, "cancel").await;
    assert_eq!(given_up["status"], "canceled");
    scene.api.wait_for_event(&fifth, "completed").await;
}

/// Users in the test with kills, and what each emits.
const USERS: usize = 6;
const EACH: usize = 25;

#[tokio::test]
async fn through_kills_and_failures_no_key_ever_goes_back() {
    let mut scene = Scene::new("continue").await;
    // Every third answer is a failure, for as long as it matters.
    let answers = (0..400).map(|n| Reply::status(if n % 3 == 1 { 503 } else { 200 }));
    scene.receiver.answer("/hook", answers);
    let mut events = Vec::new();
    for n in 0..EACH {
        for user in 0..USERS {
            let payload = json!({"user": format!("user {user}"), "n": n});
            events.push(json!({"event": "a", "payload": payload}));
        }
    }
    for bulk in events.chunks(50) {
        let key = &scene.workspace.publishable_key;
        let sent = scene.api.post_with_key(key, "/events/bulk", &json!(bulk)).await;
        sent.expect(201);
    }
    for kill_at in [20, 60, 100] {
        let mut count = scene.receiver.count();
        let _ = within("requests", count.wait_for(|count| *count >= kill_at)).await;
        scene.engine.kill().await;
        scene.engine.restart().await;
        scene.api = scene.api.at(&scene.engine);
    }
    let last = scene.emit("user 0", EACH).await;
    scene.api.wait_for_event(&last, "completed").await;
    for status in ["pending", "processing", "retrying"] {
        let path = format!("/events?status={status}");
        heddle_tests::wait::until(
            &format!("nothing to be {status}"),
            || async { scene.api.get(&path).await.expect(200)["records"].clone() },
            |left| left == &json!([]),
        )
        .await;
    }
    let arrived = scene.arrived();
    assert_eq!(arrived.len(), USERS);
    for (user, mut numbers) in arrived {
        // An attempt may be repeated, by a failure or a kill; the next one is not sent before.
        assert!(numbers.is_sorted(), "{user}: {numbers:?}");
        numbers.dedup();
        let expected = EACH + usize::from(user == "user 0");
        assert_eq!(numbers.len(), expected, "{user}: {numbers:?}");
    }
}
