//! The address guard from outside: whatever a URL looks like, nothing inside is dialed.

use std::io::ErrorKind;
use std::net::TcpListener;

use heddle_tests::api::{Api, records};
use heddle_tests::engine::{Engine, Settings};
use serde_json::{Value, json};

/// Spellings of places that are not on the public internet; `PORT` is one that listens here.
const INSIDE: &[&str] = &[
    "http://127.0.0.1:PORT/",
    "http://127.0.0.2:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://2130706433:PORT/",
    "http://0x7f000001:PORT/",
    "http://0x7f.0.0.1:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://017700000001:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://localhost:PORT/",
    "http://LOCALHOST:PORT/",
    "http://localhost.:PORT/",
    "http://app.localhost:PORT/",
    "http://0.0.0.0:PORT/",
    "http://0:PORT/",
    "http://[::]:PORT/",
    "http://[::1]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[64:ff9b::7f00:1]:PORT/",
    "http://[64:ff9b:1::7f00:1]:PORT/",
    "http://[2002:7f00:1::]:PORT/",
    "http://[2001:0:7f00:1::1]:PORT/",
    "http://[fe80::1]:PORT/",
    "http://[fe80::1%25lo]:PORT/",
    "http://[fc00::1]:PORT/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[ff02::1]:PORT/",
    "http://[2001:db8::1]:PORT/",
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/v2/credentials",
    "http://[::ffff:169.254.169.254]/latest/meta-data/",
    "http://168.63.129.16/metadata",
    "http://100.100.100.200/latest/meta-data/",
    "http://10.0.0.1/",
    "http://10.255.255.255/",
    "http://172.16.0.1/",
    "http://172.31.255.254/",
    "http://192.168.0.1/",
    "http://192.0.0.192/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://①②⑦.⓪.⓪.①:PORT/",
    "http://127。0。0。1:PORT/",
    "http://%31%32%37.0.0.1:PORT/",
    "http://public.example@127.0.0.1:PORT/",
    "http:127.0.0.1:PORT/",
    "http://127.0.0.1:PORT\\@public.example/",
    "http://\t127.0.0.1:PORT/",
];

/// What is no web address at all.
const NO_WEB_ADDRESS: &[&str] = &[
    "",
    "/",
    "hook",
    "//127.0.0.1/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "unix:/var/run/docker.sock",
    "javascript:alert(1)",
    "data:text/plain,x",
    "http://",
    "http://:80/",
    "http://[::1",
    "http://example.com:99999/",
    "http://exa mple.com/",
    "credential:access_token",
];

#[tokio::test]
async fn nothing_inside_is_dialed_however_it_is_spelled() {
    // Nobody answers here; that it is never asked is the point.
    let trap = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    trap.set_nonblocking(true)
        .expect("it can be asked without waiting");
    let port = trap.local_addr().expect("it has an address").port().to_string();
    let settings = Settings::strict()
        .with("EGRESS_ALLOW_HTTP", "true")
        .retrying("0s");
    let engine = Engine::start(settings).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Guarded").await;
    let mut refused_on_save = 0;
    let mut saved = Vec::new();
    let spellings = INSIDE.iter().chain(NO_WEB_ADDRESS).enumerate();
    for (index, spelling) in spellings {
        let url = spelling.replace("PORT", &port);
        let body = json!({
            "workspace": workspace.id, "type": "webhook", "name": format!("Spelling {index}"),
            "metadata": {"url": url, "skip_url_test": true},
        });
        let answer = api.post("/connections", &body).await;
        if answer.status == 201 {
            let id = answer.expect(201)["connection"]["id"]
                .as_str()
                .expect("an id")
                .to_owned();
            api.webhook_rule(&workspace, &id, "a").await;
            saved.push(url);
        } else {
            let status = answer.status;
            assert!([400, 422].contains(&status), "{url}: {answer:?}");
            answer.expect_error(status);
            refused_on_save += 1;
        }
    }
    // Names are looked up when they are dialed; everything that is an address is refused at once.
    assert!(
        saved
            .iter()
            .all(|url| url.contains("localhost") || url.contains("LOCALHOST")),
        "{saved:?}"
    );
    assert_eq!(refused_on_save + saved.len(), INSIDE.len() + NO_WEB_ADDRESS.len());

    let event = api.emit(&workspace, "a", json!({"n": 1})).await;
    if !saved.is_empty() {
        let failed = api.wait_for_event(&event, "failed").await;
        let rule_events = failed["rule_events"].as_array().expect("rule events");
        assert_eq!(rule_events.len(), saved.len());
        for rule_event in rule_events {
            assert_eq!(
                (&rule_event["status"], &rule_event["attempt_count"]),
                (&json!("failed"), &json!(1))
            );
            let rule = rule_event["rule"].as_str().expect("a rule");
            assert_eq!(
                api.attempts(&event, rule).await[0]["outcome_code"],
                "network_error",
                "{rule_event}"
            );
        }
    }
    let dialed = trap.accept().map(|(_, from)| from);
    assert!(
        dialed.is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
        "this machine was dialed"
    );
}

#[tokio::test]
async fn a_proxy_in_the_environment_is_not_used() {
    let trap = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    trap.set_nonblocking(true)
        .expect("it can be asked without waiting");
    let proxy = format!("http://{}", trap.local_addr().expect("it has an address"));
    let receiver = heddle_tests::receiver::Receiver::start().await;
    let settings = Settings::default()
        .with_raw("http_proxy", &proxy)
        .with_raw("HTTP_PROXY", &proxy)
        .with_raw("https_proxy", &proxy)
        .with_raw("ALL_PROXY", &proxy);
    let engine = Engine::start(settings).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Proxy").await;
    let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
    api.webhook_rule(&workspace, &connection, "a").await;
    let event = api.emit(&workspace, "a", json!({"n": 1})).await;
    api.wait_for_event(&event, "completed").await;
    assert!(
        trap.accept()
            .is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
        "the proxy was asked"
    );
}

#[tokio::test]
async fn without_the_operators_word_only_https_can_be_saved() {
    let engine = Engine::start(Settings::strict()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Strict").await;
    let save = |name: &str, url: &str| {
        let body = json!({
            "workspace": workspace.id, "type": "webhook", "name": name, "metadata": {"url": url, "skip_url_test": true},
        });
        let api = &api;
        async move { api.post("/connections", &body).await }
    };
    for url in [
        "http://hooks.example.com/in",
        "HTTP://hooks.example.com/in",
        "https://127.0.0.1/",
        "https://10.0.0.1/",
    ] {
        let answer = save("Refused", url).await;
        assert!([400, 422].contains(&answer.status), "{url}: {answer:?}");
        let error = answer.json();
        let named = error["error"]["data"]
            .as_array()
            .is_some_and(|data| names_the_url(data));
        assert!(named, "{url}: {error}");
    }
    save("Taken", "https://hooks.example.com/in").await.expect(201);
    assert_eq!(records(&api.get("/connections").await.expect(200)).len(), 1);
}

fn names_the_url(data: &[Value]) -> bool {
    data.iter()
        .any(|item| item["param"].as_str().is_some_and(|param| param.contains("url")))
}
