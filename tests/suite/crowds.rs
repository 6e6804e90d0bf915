//! Too much at once, on the real binary: connections, bytes of bodies, bytes of answers. What callers
//! see, that others are served meanwhile, and that memory stays within a bound.

use std::io::ErrorKind;

use futures::StreamExt as _;
use futures::future::ready;
use futures::stream::FuturesUnordered;
use heddle_tests::api::{Api, id_of, records};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::{Gate, Receiver, Reply};
use heddle_tests::wait::{until, within};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MIB: usize = 1024 * 1024;

/// What the process may have at its peak, an unoptimized build with fifteen plugins: far below what
/// any of these crowds would fill without limits.
const BOUND: usize = 512 * MIB;

async fn connect(engine: &Engine) -> TcpStream {
    let address = engine.base().trim_start_matches("http://");
    within("a connection", TcpStream::connect(address))
        .await
        .expect("the kernel lets it in")
}

/// Reads what comes until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match within("the other side to close", stream.read_to_end(&mut bytes)).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An answer as it stands on the wire, which must be the contract's error.
fn refusal(answer: &str) -> Value {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {answer:?}"));
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    let lower = head.to_ascii_lowercase();
    assert!(
        lower.contains("retry-after: 1") && lower.contains("connection: close"),
        "{head}"
    );
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["code"], "overloaded", "{body}");
    assert!(
        body["request_id"].is_string() && body["error"]["message"].is_string(),
        "{body}"
    );
    body
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_idle_ones_make_room_after_a_while() {
    let settings = Settings::default()
        .with("MAX_CONNECTIONS", "20")
        .with("CALLER_IDLE_TIMEOUT", "3s");
    let engine = Engine::start(settings).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(connect(&engine).await);
    }
    // Half of them have begun a request, and go on with it no further.
    for stream in idle.iter_mut().take(10) {
        stream.write_all(b"GET /healthz HTT").await.expect("it listens");
    }
    let mut late = connect(&engine).await;
    late.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("the kernel takes it");
    refusal(&rest(&mut late).await);
    for stream in &mut idle {
        let told = rest(stream).await;
        assert!(told.is_empty() || told.contains(" 408 "), "{told}");
    }
    let api = Api::of(&engine).await;
    api.workspace("Room again").await;
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_left() {
    let settings = Settings::default().with("CALLER_IDLE_TIMEOUT", "1s");
    let engine = Engine::start(settings).await;
    let before = engine.sockets();
    let mut deaf = connect(&engine).await;
    let asked = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(200);
    deaf.write_all(asked.as_bytes())
        .await
        .expect("the kernel takes it");
    until(
        "it to be taken in",
        || async { engine.sockets() },
        |now| *now > before,
    )
    .await;
    until(
        "it to be left",
        || async { engine.sockets() },
        |now| *now <= before,
    )
    .await;
    drop(deaf);
}

/// The test's own process may open as many files as the machine lets it.
fn most_connections() -> usize {
    let most = rlimit::increase_nofile_limit(u64::MAX).expect("up to the hard limit, anybody may");
    let half = usize::try_from(most / 2).unwrap_or(usize::MAX);
    half.saturating_sub(100).min(10_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_idle_and_slow_leave_room_for_callers_and_memory() {
    let crowd = most_connections();
    assert!(
        crowd >= 900,
        "this machine lets a process open too few files (ulimit -Hn)"
    );
    // Some more than the crowd, for those who mean to work.
    let settings = Settings::default().with("MAX_CONNECTIONS", (crowd + 50).to_string());
    let engine = Engine::start(settings).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Crowd").await;
    let mut streams = Vec::with_capacity(crowd);
    for place in 0..crowd {
        let mut stream = connect(&engine).await;
        if place % 2 == 0 {
            let head = b"POST /api/v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\nx-slow: ";
            stream.write_all(head).await.expect("it listens");
        }
        streams.push(stream);
    }
    until(
        "all to be let in",
        || async { engine.descriptors() },
        |open| *open >= crowd,
    )
    .await;
    for n in 0..20 {
        api.emit(&workspace, "a", json!({"n": n})).await;
    }
    let peak = engine.peak_memory();
    assert!(peak < BOUND, "{crowd} connections: {} MiB", peak / MIB);
    println!("{crowd} connections: {} MiB at the peak", peak / MIB);
    drop(streams);
    until(
        "all to have gone",
        || async { engine.descriptors() },
        |open| *open < 200,
    )
    .await;
    assert_eq!(records(&api.get("/events").await.expect(200)).len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_send_a_mebibyte_each_slowly_fill_no_more_than_is_set_aside() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let (workspace, other) = (api.workspace("Bodies").await, api.workspace("Others").await);
    let body = vec![b' '; MIB];
    let head = format!(
        "POST /api/v1/events/bulk HTTP/1.1\r\nhost: x\r\nx-meshes-publishable-key: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        workspace.publishable_key,
        body.len() + 1
    );
    let callers = (0..300).map(|_| async {
        let mut stream = connect(&engine).await;
        stream.write_all(head.as_bytes()).await.expect("it listens");
        // All but the last byte. Some are refused in the middle of it.
        let _ = stream.write_all(&body).await;
        let mut first = [0; 12];
        let told = stream.read_exact(&mut first).await.map(|_| first);
        told.is_ok_and(|first| first.ends_with(b"429"))
    });
    // The 64 MiB of the workspace are for some; they keep them as long as they may. The others are told.
    let refused = callers
        .collect::<FuturesUnordered<_>>()
        .filter(|refused| ready(*refused));
    let told = within(
        "callers to be told that there is no room",
        refused.take(200).count(),
    );
    let work = async {
        for n in 0..20 {
            api.emit(&other, "a", json!({"n": n})).await;
        }
    };
    let (told, ()) = tokio::join!(told, work);
    assert_eq!(told, 200);
    let peak = engine.peak_memory();
    assert!(peak < BOUND, "{} MiB", peak / MIB);
    println!("300 callers: {} MiB at the peak", peak / MIB);

    let big = json!([{"workspace": workspace.id, "event": "a", "payload": {"text": "x".repeat(200 * 1024)}}]);
    // As soon as the engine has noticed that they are gone.
    let send = || api.post("/events/bulk", &big);
    until("room for a big one", send, |answer| answer.status == 201).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_a_mebibyte_to_many_attempts_at_once_fill_no_more_than_is_set_aside() {
    const LANES: usize = 30;
    const EACH: usize = 20;
    let receiver = Receiver::start().await;
    let gate = Gate::closed();
    let long = Reply::text(404, &"x".repeat(MIB - 1024)).behind(&gate);
    let settings = Settings::default().retrying("0s").with("EGRESS_TIMEOUT", "60s");
    let engine = Engine::start(settings).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Answers").await;
    for lane in 0..LANES {
        let path = format!("/{lane}");
        receiver.always(&path, long.clone());
        let metadata = json!({"url": receiver.url(&path), "skip_url_test": true, "concurrency": EACH});
        let name = format!("Lane {lane}");
        let connection = api.connection(&workspace, "webhook", &name, metadata).await;
        api.webhook_rule(&workspace, &connection, "a").await;
    }
    let one = json!({"workspace": workspace.id, "event": "a", "payload": {}});
    api.post("/events/bulk", &Value::Array(vec![one; EACH]))
        .await
        .expect(201);
    let mut count = receiver.count();
    let _ = within(
        "all to be under way",
        count.wait_for(|count| *count >= LANES * EACH),
    )
    .await;
    gate.open();
    for status in ["pending", "processing"] {
        let path = format!("/events?status={status}&limit=1");
        let ask = || async { records(&api.get(&path).await.expect(200)).len() };
        until("all to have ended", ask, |left| *left == 0).await;
    }
    let failed = api.get("/usage").await.expect(200);
    assert_eq!(failed["total"]["failed"], LANES * EACH, "{failed}");
    assert_eq!(receiver.requests().len(), LANES * EACH, "each arrived once");
    let event = &records(&api.get("/events?limit=1").await.expect(200))[0];
    let event = api.event(event["id"].as_str().expect("an id")).await;
    for delivery in event["rule_events"].as_array().expect("rule events") {
        let rule = delivery["rule"].as_str().expect("an id");
        let attempts = api.attempts(&id_of(&event), rule).await;
        assert_eq!(
            attempts[0]["status_code"], 404,
            "its answer was read: {attempts:?}"
        );
    }
    let peak = engine.peak_memory();
    assert!(peak < BOUND, "{} answers: {} MiB", LANES * EACH, peak / MIB);
    println!("{} answers: {} MiB at the peak", LANES * EACH, peak / MIB);
    let _ = api
        .send(api.request_root(Method::GET, "/readyz"))
        .await
        .expect(200);
}
