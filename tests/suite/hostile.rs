//! A tenant whose rules burn all the steps that they may have, on large payloads, and who emits as fast as he
//! can, beside others who do nothing of the kind. Nothing here is timed: what counts is what arrived, and before
//! what.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use heddle_tests::api::{Api, Workspace, id_of};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::Receiver;
use heddle_tests::wait::until;
use reqwest::Method;
use serde_json::{Value, json};

/// Together they leave the event's other conditions few of the steps that all of them may have.
const BURNING: usize = 9;

/// As many emit at once: half of them one event at a time, the others in bulk.
const EMITTERS: usize = 8;
const ROUNDS: usize = 4;
const BULK: usize = 10;

/// True of everything, if only it came to an end.
const BURNS: &str = "payload.n.all(a, payload.n.all(b, payload.n.all(c, a + b + c >= 0)))";

/// Which events are to arrive where.
#[derive(Default)]
struct Ledger(BTreeMap<String, BTreeSet<String>>);

impl Ledger {
    /// By the rules that [`tenant`] makes.
    fn accepted(&mut self, name: &str, id: String, k: usize) {
        let paths = ["all".into(), format!("k{k}")];
        for path in paths {
            let expected = self.0.entry(format!("/{name}/{path}")).or_default();
            expected.insert(id.clone());
        }
    }

    fn add(&mut self, other: Self) {
        for (path, ids) in other.0 {
            self.0.entry(path).or_default().extend(ids);
        }
    }

    fn requests(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }
}

/// A workspace with a rule for all events, and one for each of two values of `k`.
async fn tenant(api: &Api, receiver: &Receiver, name: &str) -> Workspace {
    let workspace = api.workspace(name).await;
    let all = api
        .webhook(&workspace, &receiver.url(&format!("/{name}/all")))
        .await;
    api.webhook_rule(&workspace, &all, "a").await;
    for k in 0..2 {
        let url = receiver.url(&format!("/{name}/k{k}"));
        let connection = api.webhook(&workspace, &url).await;
        conditional(api, &workspace, &connection, &format!("payload.k == {k}")).await;
    }
    workspace
}

async fn conditional(api: &Api, workspace: &Workspace, connection: &str, condition: &str) {
    let body = json!({"workspace": workspace.id, "connection": connection, "event": "a",
        "condition": condition, "metadata": {"action": "send_webhook"}});
    api.post("/rules", &body).await.expect(201);
}

fn item(workspace: &Workspace, payload: &Value, k: usize) -> Value {
    let mut payload = payload.clone();
    payload["k"] = json!(k);
    json!({"workspace": workspace.id, "event": "a", "payload": payload})
}

/// Emits one event, and notes it if it was accepted.
async fn emit_one(
    api: &Api,
    ledger: &mut Ledger,
    name: &str,
    workspace: &Workspace,
    payload: &Value,
    k: usize,
) {
    let answer = api.post("/events", &item(workspace, payload, k)).await;
    ledger.accepted(name, id_of(&answer.expect(201)["event"]), k);
}

async fn emit_bulk(api: &Api, ledger: &mut Ledger, name: &str, workspace: &Workspace, payload: &Value) {
    let items: Vec<Value> = (0..BULK).map(|n| item(workspace, payload, n % 2)).collect();
    let answer = api.post("/events/bulk", &json!(items)).await.expect(201);
    let records = answer["records"].as_array().expect("records");
    for (n, record) in records.iter().enumerate() {
        ledger.accepted(name, id_of(record), n % 2);
    }
}

/// Emits without a pause.
async fn flood(api: &Api, workspace: &Workspace, emitter: usize) -> Ledger {
    let numbers: Vec<usize> = (0..5_000).collect();
    let payload = json!({"n": numbers, "text": "x".repeat(32 * 1024)});
    let mut ledger = Ledger::default();
    for round in 0..ROUNDS {
        if emitter.is_multiple_of(2) {
            emit_bulk(api, &mut ledger, "Hostile", workspace, &payload).await;
        } else {
            for n in 0..BULK / 2 {
                emit_one(api, &mut ledger, "Hostile", workspace, &payload, (round + n) % 2).await;
            }
        }
    }
    ledger
}

/// Emits now and then: the next event when the last one has arrived, and the engine has said that it is well.
async fn modestly(api: &Api, receiver: &Receiver, name: &str, workspace: &Workspace) -> Ledger {
    let payload = json!({"note": "short"});
    let (mut ledger, all) = (Ledger::default(), format!("/{name}/all"));
    for n in 1..=8 {
        emit_one(api, &mut ledger, name, workspace, &payload, n % 2).await;
        receiver.wait_for(&all, n).await;
        for path in ["/healthz", "/readyz"] {
            api.send(api.request_root(Method::GET, path)).await.expect(200);
        }
    }
    emit_bulk(api, &mut ledger, name, workspace, &payload).await;
    receiver.wait_for(&all, 8 + BULK).await;
    ledger
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_rules_burn_all_their_steps_holds_up_nobody_and_loses_nothing() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let hostile = tenant(&api, &receiver, "Hostile").await;
    let burns = api.webhook(&hostile, &receiver.url("/Hostile/burns")).await;
    for _ in 0..BURNING {
        conditional(&api, &hostile, &burns, BURNS).await;
    }
    let calm = [
        ("One", tenant(&api, &receiver, "One").await),
        ("Two", tenant(&api, &receiver, "Two").await),
    ];
    let flooding = join_all((0..EMITTERS).map(|emitter| flood(&api, &hostile, emitter)));
    let others = async {
        // In the midst of it.
        receiver.wait_for("/Hostile/all", 2).await;
        let emitting = calm
            .iter()
            .map(|(name, workspace)| modestly(&api, &receiver, name, workspace));
        let ledgers = join_all(emitting).await;
        let hostile = receiver.requests_at("/Hostile/all").len();
        (ledgers, hostile)
    };
    let (flooded, (ledgers, meanwhile)) = tokio::join!(flooding, others);

    let mut ledger = Ledger::default();
    flooded
        .into_iter()
        .chain(ledgers)
        .for_each(|part| ledger.add(part));
    let of_hostile = ledger.0["/Hostile/all"].len();
    assert_eq!(of_hostile, EMITTERS / 2 * ROUNDS * (BULK + BULK / 2));
    assert!(
        meanwhile < of_hostile / 2,
        "{meanwhile} of {of_hostile} went before the last event of the others"
    );
    let count = async || receiver.requests().len();
    until("everything to arrive", count, |count| *count >= ledger.requests()).await;
    let mut arrived: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for request in receiver.requests() {
        let id = request.json()["uuid"].as_str().expect("an event's id").to_owned();
        let is_first = arrived.entry(request.path.clone()).or_default().insert(id);
        assert!(is_first, "twice at {}", request.path);
    }
    assert!(arrived == ledger.0, "what arrived is not what the rules say");
}
