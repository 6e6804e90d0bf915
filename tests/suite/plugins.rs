//! Plugins that an operator puts into the data folder: a foreign one that works, and hostile ones
//! that do not disturb anybody.

use heddle_tests::api::{Api, records};
use heddle_tests::engine::{Engine, Home, Settings};
use heddle_tests::receiver::{Receiver, Reply};
use heddle_tests::wait::until;
use serde_json::{Value, json};

use crate::component::{DESCRIBES, asks_for};

/// Never returns.
const LOOPS: &str = "(loop $again br $again) unreachable";

fn component(name: &str, describe: &str, deliver: &str) -> Vec<u8> {
    let manifest = json!({
        "name": name, "title": name, "authentication": {"type": "none", "fields": []}, "hosts": ["api.example.com"],
        "actions": {"send": {"key": "send", "label": "Send", "noun": "thing"}},
    });
    crate::component::component(&manifest, describe, deliver)
}

fn types(integrations: &Value) -> Vec<String> {
    records(integrations)
        .iter()
        .filter_map(|found| found["type"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn broken_plugins_are_named_and_the_others_start() {
    let home = Home::new();
    home.put_plugin("garbage.wasm", b"this is no WebAssembly");
    home.put_plugin("empty.wasm", b"");
    home.put_plugin(
        "core.wasm",
        &wat::parse_str("(module (func (export \"describe\")))").expect("a module"),
    );
    home.put_plugin("silent.wasm", &component("silent", "unreachable", DESCRIBES));
    home.put_plugin("restless.wasm", &component("restless", LOOPS, DESCRIBES));
    home.put_plugin("usurper.wasm", &component("webhook", DESCRIBES, DESCRIBES));
    home.put_plugin("notes.txt", b"not a plugin at all");
    let engine = home.serve(Settings::default()).await;
    let api = Api::of(&engine).await;
    let offered = types(&api.get("/integrations").await.expect(200));
    for bundled in ["webhook", "slack", "hubspot"] {
        assert_eq!(
            offered.iter().filter(|name| *name == bundled).count(),
            1,
            "{offered:?}"
        );
    }
    for broken in ["silent", "restless", "garbage", "core"] {
        assert!(!offered.iter().any(|name| name == broken), "{offered:?}");
    }
    let log = engine.log();
    for file in [
        "garbage.wasm",
        "empty.wasm",
        "core.wasm",
        "silent.wasm",
        "restless.wasm",
        "usurper.wasm",
    ] {
        assert!(log.contains(file), "{file} is not reported by name");
    }
}

#[tokio::test]
async fn the_list_of_plugins_shows_what_is_broken_and_why() {
    let home = Home::new();
    home.put_plugin("garbage.wasm", b"this is no WebAssembly");
    home.put_plugin("ntfy.wasm", ntfy());
    let listed = home.run(&["plugin", "list"], &Settings::default()).await;
    assert!(listed.status.success(), "{listed:?}");
    for part in ["webhook", "slack", "hubspot", "ntfy", "garbage.wasm"] {
        assert!(listed.stdout.contains(part), "{part}: {}", listed.stdout);
    }
}

#[tokio::test]
async fn a_plugin_that_loops_or_traps_fails_its_own_deliveries_only() {
    let receiver = Receiver::start().await;
    let home = Home::new();
    home.put_plugin("looper.wasm", &component("looper", DESCRIBES, LOOPS));
    home.put_plugin("trapper.wasm", &component("trapper", DESCRIBES, "unreachable"));
    // Points to a result far outside its memory.
    home.put_plugin("liar.wasm", &component("liar", DESCRIBES, "i32.const 0x7ffffff0"));
    let engine = home.serve(Settings::default().retrying("0s")).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Hostile").await;
    let webhook = api.webhook(&workspace, &receiver.url("/hook")).await;
    let good = api.webhook_rule(&workspace, &webhook, "a").await;
    let mut hostile = Vec::new();
    for name in ["looper", "trapper", "liar"] {
        let connection = api.connection(&workspace, name, name, json!({})).await;
        hostile.push((
            name,
            api.rule(&workspace, &connection, "a", json!({"action": "send"}))
                .await,
        ));
    }
    let event = api.emit(&workspace, "a", json!({"n": 1})).await;
    api.wait_for_rule_event(&event, &good, "completed").await;
    for (name, rule) in &hostile {
        let failed = api.wait_for_rule_event(&event, rule, "failed").await;
        let attempt = &api.attempts(&event, rule).await[0];
        assert_eq!(attempt["outcome_code"], "internal_error", "{name}: {attempt}");
        let message = attempt["message"].as_str().unwrap_or_default();
        assert!(message.contains(name), "the message names the plugin: {message}");
        assert!(failed["last_error"].to_string().contains(name), "{failed}");
    }
    let again = api.emit(&workspace, "a", json!({"n": 2})).await;
    api.wait_for_rule_event(&again, &good, "completed").await;
    assert_eq!(receiver.requests_at("/hook").len(), 2);
    api.send(api.request_root(reqwest::Method::GET, "/readyz"))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_request_that_a_plugin_may_not_make_is_not_made() {
    let receiver = Receiver::start().await;
    let home = Home::new();
    let plain = ("x-plain", "fine");
    let strays = [
        ("honest", asks_for("https://api.example.com/ok", plain), None),
        (
            "stray",
            asks_for("https://evil.example.net/", plain),
            Some("evil.example.net"),
        ),
        (
            "inside",
            asks_for("http://127.0.0.1:1/", plain),
            Some("127.0.0.1"),
        ),
        (
            "splitter",
            asks_for("https://api.example.com/", ("x-split", "a\r\nx-more: b")),
            Some("x-split"),
        ),
        (
            "smuggler",
            asks_for("https://api.example.com/", ("transfer-encoding", "chunked")),
            Some("transfer-encoding"),
        ),
    ];
    for (name, deliver, _) in &strays {
        home.put_plugin(&format!("{name}.wasm"), &component(name, DESCRIBES, deliver));
    }
    // Only the honest one may get here; it asks again and again and is stopped by the limit on steps.
    let settings = Settings::default()
        .retrying("0s")
        .routing(&["api.example.com", "evil.example.net"], receiver.base());
    let engine = home.serve(settings).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Strays").await;
    for (name, _, refused) in &strays {
        let connection = api.connection(&workspace, name, name, json!({})).await;
        let rule = api
            .rule(&workspace, &connection, name, json!({"action": "send"}))
            .await;
        let event = api.emit(&workspace, name, json!({})).await;
        api.wait_for_rule_event(&event, &rule, "failed").await;
        let attempt = &api.attempts(&event, &rule).await[0];
        let message = attempt["message"].as_str().unwrap_or_default().to_lowercase();
        match refused {
            Some(part) => assert!(message.contains(part), "{name}: {attempt}"),
            None => assert!(message.contains("requests in one attempt"), "{name}: {attempt}"),
        }
    }
    let paths: Vec<_> = receiver
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect();
    assert!(paths.iter().all(|path| path == "/ok"), "{paths:?}");
    assert!(!paths.is_empty());
}

/// The example destination that the build makes from `plugins/examples`.
fn ntfy() -> &'static [u8] {
    let found = heddle::bundled::EXAMPLES.iter().find(|(name, _)| *name == "ntfy");
    found.expect("the build makes the example").1
}

async fn deliver_by_ntfy(engine: &Engine, receiver: &Receiver) {
    receiver.always("/", Reply::json(200, &json!({"id": "m1", "event": "message"})));
    let api = Api::of(engine).await;
    let workspace = api.workspace("Foreign").await;
    let metadata = json!({"server": receiver.base(), "token": "tk_test"});
    let connection = api.connection(&workspace, "ntfy", "Phones", metadata).await;
    let rule = json!({"action": "publish", "topic": "lessons", "template": "{{email}} is done"});
    api.rule(&workspace, &connection, "lesson.completed", rule).await;
    let event = api
        .emit(
            &workspace,
            "lesson.completed",
            json!({"email": "nina@academyflow.io"}),
        )
        .await;
    api.wait_for_event(&event, "completed").await;
    let sent = receiver.requests_at("/");
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].header("authorization"), Some("Bearer tk_test"));
    assert_eq!(
        sent[0].json(),
        json!({"topic": "lessons", "message": "nina@academyflow.io is done"})
    );
}

#[tokio::test]
async fn a_foreign_plugin_in_the_folder_is_a_destination_like_the_bundled_ones() {
    let receiver = Receiver::start().await;
    let home = Home::new();
    home.put_plugin("ntfy.wasm", ntfy());
    let engine = home.serve(Settings::default()).await;
    deliver_by_ntfy(&engine, &receiver).await;
}

#[tokio::test]
async fn a_plugin_that_is_installed_while_the_server_runs_is_taken_up() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    assert!(!types(&api.get("/integrations").await.expect(200)).contains(&"ntfy".to_owned()));
    let file = engine.home().scratch("download.wasm", ntfy());
    let file = file.to_str().expect("a path that can be written down");
    let installed = engine
        .home()
        .run(&["plugin", "install", file], &Settings::default())
        .await;
    assert!(installed.status.success(), "{installed:?}");
    let ask = || async { types(&api.get("/integrations").await.expect(200)) };
    until("ntfy to be offered", ask, |types| {
        types.contains(&"ntfy".to_owned())
    })
    .await;
    deliver_by_ntfy(&engine, &receiver).await;
}

#[tokio::test]
async fn what_is_no_plugin_is_not_installed_and_the_message_says_why() {
    let home = Home::new();
    let cases: [(&str, Vec<u8>, &str); 3] = [
        ("garbage.wasm", b"this is no WebAssembly".to_vec(), "garbage.wasm"),
        (
            "looper.wasm",
            component("looper", LOOPS, DESCRIBES),
            "looper.wasm",
        ),
        ("usurper.wasm", component("slack", DESCRIBES, DESCRIBES), "slack"),
    ];
    for (name, bytes, part) in cases {
        let file = home.scratch(name, &bytes);
        let refused = home
            .run(
                &["plugin", "install", file.to_str().expect("a path")],
                &Settings::default(),
            )
            .await;
        assert!(!refused.status.success(), "{name}: {refused:?}");
        assert!(refused.stderr.contains(part), "{name}: {refused:?}");
    }
    let missing = home
        .run(
            &["plugin", "install", "/nowhere/at-all.wasm"],
            &Settings::default(),
        )
        .await;
    assert!(
        !missing.status.success() && missing.stderr.contains("/nowhere/at-all.wasm"),
        "{missing:?}"
    );
    let folder = home.data_dir().join("plugins");
    let left = std::fs::read_dir(folder).map(Iterator::count).unwrap_or(0);
    assert_eq!(left, 0, "nothing is left behind");
}

#[tokio::test]
async fn a_workspace_full_of_plugins_that_loop_leaves_the_sandbox_to_the_others() {
    const LANES: usize = 8;
    const EVENTS: usize = 200;
    let receiver = Receiver::start().await;
    let home = Home::new();
    let manifest = json!({
        "name": "looper", "title": "Looper", "hosts": ["api.example.com"],
        "authentication": {"type": "none", "fields": [{"key": "n", "label": "N", "type": "text"}]},
        "actions": {"send": {"key": "send", "label": "Send", "noun": "thing"}},
    });
    home.put_plugin(
        "looper.wasm",
        &crate::component::component(&manifest, DESCRIBES, LOOPS),
    );
    let engine = home.serve(Settings::default().retrying("0s")).await;
    let api = Api::of(&engine).await;
    let (busy, calm) = (api.workspace("Busy").await, api.workspace("Calm").await);
    // Each an account of its own.
    for n in 0..LANES {
        let connection = api
            .connection(&busy, "looper", &format!("L{n}"), json!({"n": n.to_string()}))
            .await;
        api.rule(&busy, &connection, "a", json!({"action": "send"})).await;
    }
    let webhook = api.webhook(&calm, &receiver.url("/calm")).await;
    api.webhook_rule(&calm, &webhook, "a").await;

    let item = json!({"workspace": busy.id, "event": "a", "payload": {"n": 1}});
    let mut events = Vec::new();
    for _ in 0..EVENTS / 100 {
        let made = api.post("/events/bulk", &json!(vec![item.clone(); 100])).await;
        let made = made.expect(201)["records"].as_array().expect("records").clone();
        events.extend(
            made.iter()
                .filter_map(|event| event["id"].as_str().map(str::to_owned)),
        );
    }
    let failed = async || {
        let path = format!("/workspaces/{}/usage", busy.id);
        let usage = api.get(&path).await.expect(200);
        usage["total"]["failed"].as_u64().unwrap_or_default()
    };
    until("the first of them to have failed", failed, |failed| *failed > 0).await;
    let before = failed().await;
    for n in 1..=10 {
        api.emit(&calm, "a", json!({"n": n})).await;
        receiver.wait_for("/calm", n).await;
    }
    // A second each, and as many as the sandbox has places: whoever stands behind them waits for all.
    let meanwhile = failed().await - before;
    assert!(
        meanwhile < 100,
        "{meanwhile} calls that loop went before ten that do not"
    );
}
