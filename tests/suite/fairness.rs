//! One tenant does not hurt another, and a destination that does not work is left alone. Nothing here
//! is timed: what counts is what arrived before what.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use futures::future::join_all;
use heddle_tests::api::{Api, Workspace};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::{Gate, Receiver, Reply};
use heddle_tests::wait::until;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Failures in a row that open a circuit.
const FAILURES: usize = 10;

/// Emits `count` events, in bulk, and gives their ids.
async fn emit_many(api: &Api, workspace: &Workspace, event: &str, count: usize) -> Vec<String> {
    let item = json!({"workspace": workspace.id, "event": event, "payload": {"n": 1}});
    let mut ids = Vec::with_capacity(count);
    while ids.len() < count {
        let items = vec![item.clone(); (count - ids.len()).min(100)];
        let answer = api.post("/events/bulk", &json!(items)).await.expect(201);
        let records = answer["records"].as_array().expect("records").iter();
        ids.extend(records.filter_map(|event| event["id"].as_str().map(str::to_owned)));
    }
    ids
}

fn arrived(receiver: &Receiver, prefix: &str) -> usize {
    let requests = receiver.requests();
    requests
        .iter()
        .filter(|request| request.path.starts_with(prefix))
        .count()
}

async fn circuit_of(api: &Api, connection: &str) -> Value {
    api.get(&format!("/connections/{connection}")).await.expect(200)
}

async fn wait_for_circuit(api: &Api, connection: &str, circuit: &str) -> Value {
    until(
        &format!("the circuit to be {circuit}"),
        || circuit_of(api, connection),
        |connection| connection["circuit"] == circuit,
    )
    .await
}

#[tokio::test]
async fn a_workspace_full_of_black_holes_leaves_places_to_the_others() {
    const PLACES: usize = 64;
    let receiver = Receiver::start().await;
    let settings = Settings::default()
        .with("IN_FLIGHT", PLACES.to_string())
        .with("EGRESS_TIMEOUT", "60s");
    let engine = Engine::start(settings).await;
    let api = Api::of(&engine).await;
    let (busy, calm) = (api.workspace("Busy").await, api.workspace("Calm").await);
    let gate = Gate::closed();
    // Six destinations that accept and never answer: each alone could have all places.
    for n in 0..6 {
        let path = format!("/hole/{n}");
        receiver.always(&path, Reply::status(200).behind(&gate));
        let hole = api.webhook(&busy, &receiver.url(&path)).await;
        api.webhook_rule(&busy, &hole, "a").await;
    }
    let quick = api.webhook(&calm, &receiver.url("/calm")).await;
    api.webhook_rule(&calm, &quick, "a").await;

    // A hundred times what the other emits.
    let backlog = emit_many(&api, &busy, "a", 100).await;
    until(
        "three quarters of the places to be taken",
        async || arrived(&receiver, "/hole"),
        |arrived| *arrived >= PLACES * 3 / 4,
    )
    .await;
    for n in 1..=5 {
        let event = api.emit(&calm, "a", json!({"n": n})).await;
        api.wait_for_event(&event, "completed").await;
        assert_eq!(receiver.requests_at("/calm").len(), n);
    }
    let under_way = arrived(&receiver, "/hole");
    assert_eq!(under_way, PLACES * 3 / 4, "a quarter is for whoever comes next");

    gate.open();
    join_all(backlog.iter().map(|event| api.wait_for_event(event, "completed"))).await;
}

#[tokio::test]
async fn a_backlog_of_one_workspace_is_not_before_the_events_of_another() {
    const LANES: usize = 20;
    const EVENTS: usize = 40;
    let receiver = Receiver::start().await;
    // Few places, so that whose turn it is matters.
    let settings = Settings::default()
        .with("IN_FLIGHT", "8")
        .with("EGRESS_TIMEOUT", "60s");
    let engine = Engine::start(settings).await;
    let api = Api::of(&engine).await;
    let (busy, calm) = (api.workspace("Busy").await, api.workspace("Calm").await);
    let gate = Gate::closed();
    for n in 0..LANES {
        let path = format!("/busy/{n}");
        receiver.always(&path, Reply::status(200).behind(&gate));
        let connection = api.webhook(&busy, &receiver.url(&path)).await;
        api.webhook_rule(&busy, &connection, "a").await;
    }
    let quick = api.webhook(&calm, &receiver.url("/calm")).await;
    api.webhook_rule(&calm, &quick, "a").await;
    emit_many(&api, &busy, "a", EVENTS).await;
    gate.open();

    // Through the midst of the backlog: between an event's 201 and its arrival goes what is under way,
    // and not a turn of each of the other workspace's lanes.
    let mut overtaken = Vec::new();
    for n in 1..=5 {
        api.emit(&calm, "a", json!({"n": n})).await;
        let before = arrived(&receiver, "/busy");
        receiver.wait_for("/calm", n).await;
        let requests = receiver.requests();
        let calm = requests.iter().filter(|request| request.path == "/calm").count();
        assert_eq!(calm, n);
        let last = requests.iter().rposition(|request| request.path == "/calm");
        let earlier = requests.iter().take(last.unwrap_or_default());
        let earlier = earlier.filter(|request| request.path != "/calm").count();
        overtaken.push(earlier.saturating_sub(before));
    }
    let least = overtaken.iter().min().copied().unwrap_or_default();
    assert!(least < LANES * 4, "{overtaken:?} went before");
    until(
        "the backlog to arrive",
        async || arrived(&receiver, "/busy"),
        |arrived| *arrived == LANES * EVENTS,
    )
    .await;
}

/// A destination that counts how many requests it has at once, and answers each when `most` are there
/// or `all` have come.
async fn counting(most: usize, all: usize) -> (String, Arc<AtomicUsize>) {
    let (now, highest, total) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let enough = Arc::new(Semaphore::new(0));
    let seen = Arc::clone(&highest);
    let answer = async move || {
        let here = now.fetch_add(1, Ordering::SeqCst) + 1;
        let came = total.fetch_add(1, Ordering::SeqCst) + 1;
        highest.fetch_max(here, Ordering::SeqCst);
        if here >= most || came + most > all {
            enough.add_permits(here);
        }
        if let Ok(permit) = enough.acquire().await {
            permit.forget();
        }
        now.fetch_sub(1, Ordering::SeqCst);
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}/", listener.local_addr().expect("it has an address"));
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, seen)
}

#[tokio::test]
async fn a_connection_never_has_more_under_way_than_it_may_and_reaches_it() {
    const EVENTS: usize = 300;
    let engine = Engine::start(Settings::default().with("EGRESS_TIMEOUT", "60s")).await;
    let api = Api::of(&engine).await;
    let mut destinations = Vec::new();
    for (n, limit) in [1, 3, 7].into_iter().enumerate() {
        let workspace = api.workspace(&format!("Counted {n}")).await;
        let (url, highest) = counting(limit, EVENTS).await;
        let metadata = json!({"url": url, "skip_url_test": true, "concurrency": limit});
        let connection = api.connection(&workspace, "webhook", "Counted", metadata).await;
        api.webhook_rule(&workspace, &connection, "a").await;
        destinations.push((workspace, limit, highest));
    }
    let emitting = destinations
        .iter()
        .map(|(workspace, _, _)| emit_many(&api, workspace, "a", EVENTS));
    let events = join_all(emitting).await.concat();
    join_all(events.iter().map(|event| api.wait_for_event(event, "completed"))).await;
    for (_, limit, highest) in destinations {
        assert_eq!(highest.load(Ordering::SeqCst), limit);
    }
}

#[tokio::test]
async fn a_destination_that_fails_is_left_alone_until_a_probe_finds_it_again() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default().retrying("0s,10ms,1h")).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Circuit").await;
    receiver.always("/down", Reply::status(500));
    let metadata = json!({"url": receiver.url("/down"), "skip_url_test": true, "concurrency": 4});
    let down = api.connection(&workspace, "webhook", "Down", metadata).await;
    let well = api.webhook(&workspace, &receiver.url("/well")).await;
    let rule = api.webhook_rule(&workspace, &down, "a").await;
    api.webhook_rule(&workspace, &well, "a").await;
    assert_eq!(circuit_of(&api, &down).await["circuit"], "closed");

    let events = emit_many(&api, &workspace, "a", 40).await;
    let open = wait_for_circuit(&api, &down, "open").await;
    assert!(open["next_probe_at"].is_string(), "{open}");
    assert_eq!(open["active"], true, "nobody has to mend it: {open}");
    assert_eq!(circuit_of(&api, &well).await["circuit"], "closed");
    receiver.wait_for("/well", events.len()).await;
    let mut untried = Vec::new();
    for event in &events {
        if api.rule_event(event, &rule).await["attempt_count"] == 0 {
            untried.push(event);
        }
    }
    // Those that were under way when it opened have ended; the others lose no attempt.
    let asked = receiver.requests_at("/down").len();
    assert!((FAILURES..events.len() / 2).contains(&asked), "{asked} requests");
    assert!(
        untried.len() + asked >= events.len(),
        "{asked} requests for {} events",
        events.len() - untried.len()
    );

    receiver.always("/down", Reply::status(200));
    wait_for_circuit(&api, &down, "closed").await;
    join_all(untried.iter().map(|event| api.wait_for_event(event, "completed"))).await;
    let log = engine.log();
    let lines = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert_eq!(lines("its circuit is open"), 1, "{log}");
    assert_eq!(lines("its circuit is closed"), 1, "{log}");
    assert!(log.contains(&down), "{log}");
}

#[tokio::test]
async fn what_a_person_asks_for_goes_through_an_open_circuit_and_closes_it() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default().retrying("0s,1h")).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Circuit").await;
    receiver.always("/down", Reply::status(500));
    let at = |path| json!({"url": receiver.url(path), "skip_url_test": true, "concurrency": 4});
    let down = api.connection(&workspace, "webhook", "Down", at("/down")).await;
    let rule = api.webhook_rule(&workspace, &down, "a").await;
    let events = emit_many(&api, &workspace, "a", 60).await;
    wait_for_circuit(&api, &down, "open").await;

    // The connection is mended: it begins anew, and what waited goes out.
    let mended = json!({"name": "Mended", "metadata": at("/mended")});
    api.put(&format!("/connections/{down}"), &mended)
        .await
        .expect(200);
    assert_eq!(circuit_of(&api, &down).await["circuit"], "closed");
    receiver.wait_for("/mended", 30).await;

    // Down again, and this time a person asks for one of those that wait for their hour.
    receiver.always("/mended", Reply::status(500));
    emit_many(&api, &workspace, "a", 60).await;
    wait_for_circuit(&api, &down, "open").await;
    receiver.always("/mended", Reply::status(200));
    let mut waiting = None;
    for event in &events {
        if api.rule_event(event, &rule).await["status"] == "retrying" {
            waiting = Some(event);
        }
    }
    let waiting = waiting.expect("some failed");
    api.post_empty(&format!("/events/{waiting}/rules/{rule}/retry"))
        .await
        .expect(200);
    api.wait_for_event(waiting, "completed").await;
    wait_for_circuit(&api, &down, "closed").await;
}

#[tokio::test]
async fn a_429_pauses_the_whole_account_and_nobody_else() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let limited = Reply::status(429).with("retry-after", "3600");
    receiver.always("/limited", limited);
    let mut rules = Vec::new();
    let tenants = [api.workspace("One").await, api.workspace("Two").await];
    for workspace in &tenants {
        // The same address and secret: one account.
        let metadata = json!({
            "url": receiver.url("/limited"), "skip_url_test": true, "concurrency": 1,
            "signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        });
        let connection = api.connection(workspace, "webhook", "Limited", metadata).await;
        rules.push((
            connection.clone(),
            api.webhook_rule(workspace, &connection, "a").await,
        ));
        let other = api.webhook(workspace, &receiver.url("/other")).await;
        api.webhook_rule(workspace, &other, "a").await;
    }
    let first = api.emit(&tenants[0], "a", json!({"n": 1})).await;
    api.wait_for_rule_event(&first, &rules[0].1, "retrying").await;

    let mut events = emit_many(&api, &tenants[0], "a", 20).await;
    receiver.wait_for("/other", 21).await;
    let second = emit_many(&api, &tenants[1], "a", 20).await;
    receiver.wait_for("/other", 41).await;
    assert_eq!(receiver.requests_at("/limited").len(), 1, "one answer is enough");
    for (connection, _) in &rules {
        assert_eq!(
            circuit_of(&api, connection).await["circuit"],
            "closed",
            "it is there"
        );
    }
    // A person may ask all the same.
    receiver.always("/limited", Reply::status(200));
    let asked = events.pop().expect("an event");
    api.post_empty(&format!("/events/{asked}/rules/{}/retry", rules[0].1))
        .await
        .expect(200);
    api.wait_for_event(&asked, "completed").await;
    assert_eq!(api.rule_event(&second[0], &rules[1].1).await["attempt_count"], 0);
}
