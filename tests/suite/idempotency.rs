//! Emitters that send again under their keys: whatever happens in between, each event is there once.

use std::collections::BTreeMap;

use heddle_tests::api::{Api, Workspace, records};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::wait::within;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::crash::{Line, Random, seed};

/// How often the engine dies.
const KILLS: usize = 20;

/// How many emit at once.
const EMITTERS: usize = 4;

#[tokio::test]
async fn of_many_at_once_with_one_key_exactly_one_is_accepted() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("At once").await;
    let body = json!({"event": "a", "payload": {"n": 1}});
    let calls = (0..20).map(|_| {
        let (api, key, body) = (api.clone(), workspace.publishable_key.clone(), body.clone());
        tokio::spawn(async move {
            let request = api
                .request(Method::POST, "/events")
                .header("x-heddle-publishable-key", key)
                .header("idempotency-key", "one");
            api.send(request.json(&body)).await
        })
    });
    let mut answers = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        answers.push(call.await.expect("a call ends"));
    }
    let fresh = answers
        .iter()
        .filter(|answer| answer.header("idempotent-replay").is_none())
        .count();
    assert_eq!(fresh, 1, "all but one are replays");
    let first = answers[0].json();
    for answer in answers {
        assert_eq!(answer.expect(201), first);
    }
    assert_eq!(records(&api.get("/events").await.expect(200)).len(), 1);
}

/// What one emitter has to say for itself, in one of the three ways to name an event.
struct Message {
    events: Vec<String>,
    path: &'static str,
    header: Option<String>,
    body: Value,
}

impl Message {
    fn new(emitter: usize, number: usize) -> Self {
        let name = |part: usize| format!("e{emitter}-{number}-{part}");
        let event = |part: usize| json!({"event": "a", "resource_id": name(part), "payload": {"n": number}});
        let header = Some(format!("key {emitter} {number}"));
        match number % 3 {
            0 => Self {
                events: vec![name(0)],
                path: "/events",
                header,
                body: event(0),
            },
            1 => {
                let mut body = event(0);
                body["id"] = json!(name(0));
                Self {
                    events: vec![name(0)],
                    path: "/events",
                    header: None,
                    body,
                }
            }
            _ => Self {
                events: (0..5).map(name).collect(),
                path: "/events/bulk",
                header,
                body: (0..5).map(event).collect(),
            },
        }
    }

    fn request(&self, api: &Api, workspace: &Workspace) -> RequestBuilder {
        let request = api
            .request(Method::POST, self.path)
            .header("x-meshes-publishable-key", &workspace.publishable_key)
            .json(&self.body);
        match &self.header {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        }
    }
}

/// Sends one message after the other, each until it is acknowledged, and says what was.
async fn emit(
    emitter: usize,
    workspace: Workspace,
    mut line: watch::Receiver<Line>,
    count: watch::Sender<usize>,
) -> (Vec<String>, usize) {
    let (mut acknowledged, mut replays) = (Vec::new(), 0);
    for number in 0.. {
        let message = Message::new(emitter, number);
        loop {
            let Line::Up(life, api) = line.borrow_and_update().clone() else {
                return (acknowledged, replays);
            };
            match api.try_send(message.request(&api, &workspace)).await {
                Ok(answer) if answer.status == 201 => {
                    replays += usize::from(answer.header("idempotent-replay").is_some());
                    break;
                }
                Ok(answer) => panic!("a healthy engine refused an event: {answer:?}"),
                Err(_) => {
                    let later = |line: &Line| !matches!(line, Line::Up(known, _) if *known == life);
                    if line.wait_for(later).await.is_err() {
                        return (acknowledged, replays);
                    }
                }
            }
        }
        acknowledged.extend(message.events);
        count.send_modify(|count| *count += 1);
    }
    unreachable!("numbers do not end")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_again_through_twenty_crashes_is_in_the_history_exactly_once() {
    let seed = seed();
    println!("HEDDLE_TEST_SEED={seed}");
    let mut random = Random(seed);
    let mut engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Ledger").await;
    let line = watch::Sender::new(Line::Up(0, api.clone()));
    let count = watch::Sender::new(0_usize);
    let mut acknowledgments = count.subscribe();
    let emitters: Vec<_> = (0..EMITTERS)
        .map(|emitter| {
            let line = line.subscribe();
            tokio::spawn(emit(emitter, workspace.clone(), line, count.clone()))
        })
        .collect();
    for life in 1..=KILLS {
        let enough = *acknowledgments.borrow() + 1 + random.below(40);
        let moment = acknowledgments.wait_for(|count| *count >= enough);
        let _ = within("a moment to kill at", moment).await;
        engine.kill().await;
        engine.restart().await;
        line.send_replace(Line::Up(life, api.at(&engine)));
    }
    let before_the_end = *acknowledgments.borrow();
    let more = acknowledgments.wait_for(|count| *count > before_the_end + EMITTERS);
    let _ = within("the last life to accept something", more).await;
    line.send_replace(Line::Over);
    let (mut acknowledged, mut replays) = (Vec::new(), 0);
    for emitter in emitters {
        let (events, replayed) = within("the emitters to end", emitter)
            .await
            .expect("no emitter failed");
        acknowledged.extend(events);
        replays += replayed;
    }
    let there = history(&api.at(&engine)).await;
    let doubled: Vec<_> = there.iter().filter(|(_, times)| **times != 1).collect();
    assert!(doubled.is_empty(), "accepted more than once: {doubled:?}");
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|event| !there.contains_key(*event))
        .collect();
    assert!(lost.is_empty(), "acknowledged, and not there: {lost:?}");
    println!(
        "{} events acknowledged, {replays} calls were replays",
        acknowledged.len()
    );
}

/// How often each event is there, by its resource id.
async fn history(api: &Api) -> BTreeMap<String, usize> {
    let (mut there, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let page = api.get(&format!("/events?limit=200{cursor}")).await.expect(200);
        for event in records(&page) {
            let name = event["resource_id"].as_str().expect("each has one").to_owned();
            *there.entry(name).or_default() += 1;
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return there,
        }
    }
}
