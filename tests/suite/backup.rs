//! The database copied while events come in, and a server started from the copy.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use heddle_tests::api::{Api, id_of};
use heddle_tests::engine::{Ended, Engine, Home, Settings};
use heddle_tests::receiver::{Gate, Receiver, Reply};
use heddle_tests::wait::until;
use serde_json::{Value, json};
use tokio::sync::watch;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn printed(ended: &Ended) -> Value {
    assert!(ended.status.success(), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

async fn run(home: &Home, arguments: &[&str]) -> Ended {
    home.run(arguments, &Settings::default()).await
}

fn refused(ended: &Ended, word: &str) {
    assert!(!ended.status.success(), "{ended:?}");
    assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_has_every_event_acknowledged_before_it_and_goes_on_delivering() {
    let receiver = Receiver::start().await;
    let gate = Gate::closed();
    receiver.always("/held", Reply::status(200).behind(&gate));
    let mut engine = Engine::start(Settings::default().retrying("0s,100ms,100ms,1s")).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Ours").await;
    let connection = api.webhook(&workspace, &receiver.url("/held")).await;
    api.webhook_rule(&workspace, &connection, "held").await;
    let open = api.webhook(&workspace, &receiver.url("/open")).await;
    api.webhook_rule(&workspace, &open, "open").await;

    // Under way when the backup is made.
    let mut held = Vec::new();
    for n in 0..3 {
        held.push(api.emit(&workspace, "held", json!({"n": n})).await);
    }
    let first = receiver.wait_for("/held", 3).await;
    let ids: HashMap<Value, String> = first
        .iter()
        .map(|request| {
            (
                request.json()["payload"].clone(),
                request.delivery_id().to_owned(),
            )
        })
        .collect();

    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let (stop, mut stopped) = watch::channel(false);
    let emitting = tokio::spawn({
        let (api, workspace, acknowledged) = (api.clone(), workspace.clone(), Arc::clone(&acknowledged));
        async move {
            while !*stopped.borrow_and_update() {
                let id = api.emit(&workspace, "open", json!({"n": 0})).await;
                acknowledged.lock().expect("it is whole").push(id);
            }
        }
    });
    let so_far = || acknowledged.lock().expect("it is whole").clone();
    until(
        "events to come in",
        || async { so_far().len() },
        |count| *count >= 20,
    )
    .await;

    let before = so_far();
    let file = engine.home().scratch("at", b"").with_file_name("copy.db");
    let made = run(engine.home(), &["backup", text(&file)]).await;
    let during = so_far();
    assert!(
        made.stderr.contains("master key is not in the backup"),
        "{made:?}"
    );
    assert_eq!(printed(&made)["backup"], json!(file));
    let metadata = std::fs::metadata(&file).expect("it is there");
    assert_eq!(printed(&made)["bytes"], json!(metadata.len()));
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let later = during.len() + 5;
    until(
        "events to come in after it",
        || async { so_far().len() },
        |count| *count >= later,
    )
    .await;
    stop.send(true).expect("somebody emits");
    emitting.await.expect("it emits until it is told to stop");
    let all = so_far();

    refused(
        &run(engine.home(), &["backup", text(&file)]).await,
        "not overwritten",
    );
    let verified = printed(&run(engine.home(), &["verify", text(&file)]).await);
    assert_eq!(
        (
            &verified["sound"],
            &verified["master_key_fits"],
            &verified["workspaces"]
        ),
        (&json!(true), &json!(true), &json!(1))
    );
    let key = std::fs::read(engine.home().data_dir().join("master.key")).expect("the key is there");
    let copied = std::fs::read(&file).expect("it can be read");
    assert!(!copied.windows(key.len()).any(|window| window == key));
    engine.kill().await;

    // Another folder, as on another machine: the backup, the key, and nothing else.
    let home = Home::new();
    let other = Home::bare();
    refused(
        &run(&other, &["restore", text(&file)]).await,
        "master key is needed",
    );
    assert!(!other.data_dir().join("master.key").exists(), "no key is made");
    std::fs::write(home.data_dir().join("master.key"), "ab".repeat(32)).expect("a key");
    refused(
        &run(&home, &["restore", text(&file)]).await,
        "master key is not the one",
    );
    assert!(!home.data_dir().join("heddle.db").exists());
    std::fs::write(home.data_dir().join("master.key"), &key).expect("the key");
    let restored = printed(&run(&home, &["restore", text(&file)]).await);
    assert_eq!(restored["events"], verified["events"]);
    refused(&run(&home, &["restore", text(&file)]).await, "not overwritten");

    gate.open();
    let mut engine = home
        .serve(Settings::default().retrying("0s,100ms,100ms,1s"))
        .await;
    let api = api.at(&engine);
    for event in held.iter().chain(&before) {
        api.wait_for_event(event, "completed").await;
    }
    // One that came in while the backup was made is there whole or not at all.
    let mut there = 0;
    for event in &all {
        let path = format!("/events/{event}/payload");
        let answer = api.get(&path).await;
        match answer.status {
            200 => there += 1,
            404 => assert!(!before.contains(event)),
            other => panic!("{other}"),
        }
    }
    assert!((before.len()..=during.len() + 1).contains(&there), "{there}");
    for request in receiver.requests_at("/held") {
        let body = request.json();
        assert_eq!(ids[&body["payload"]], request.delivery_id(), "the same id again");
    }
    let again: HashSet<Value> = receiver.requests_at("/held")[3..]
        .iter()
        .map(|request| request.json()["payload"].clone())
        .collect();
    assert_eq!(again.len(), 3, "what was under way is delivered again");
    let fresh = api.emit(&workspace, "open", json!({"n": 1})).await;
    api.wait_for_event(&fresh, "completed").await;
    assert!(!all.contains(&fresh) && id_of(&api.event(&fresh).await) == fresh);
    engine.terminate().await;
    assert!(engine.ended().await.success());
}

#[tokio::test]
async fn a_database_is_copied_checked_and_rewritten_without_a_server_too() {
    let home = Home::new();
    refused(&run(&home, &["backup", "copy.db"]).await, "no database");
    refused(&run(&home, &["vacuum"]).await, "no database");
    refused(&run(&home, &["verify", "none.db"]).await, "no database");
    home.create_keys().await;
    let folder = home.scratch("at", b"").with_file_name("backups");
    std::fs::create_dir(&folder).expect("a folder");
    let made = printed(&run(&home, &["backup", text(&folder)]).await);
    let file = made["backup"].as_str().expect("a path");
    assert!(file.contains("/heddle-20") && file.ends_with(".db"), "{file}");
    assert_eq!(
        printed(&run(&home, &["verify", file]).await)["organizations"],
        json!(1)
    );

    let bytes = std::fs::read(file).expect("it can be read");
    let damaged = home.scratch("damaged.db", &bytes[..bytes.len() / 2]);
    assert!(!run(&home, &["verify", text(&damaged)]).await.status.success());
    let foreign = home.scratch("foreign.db", b"not a database at all, whatever it is called");
    assert!(!run(&home, &["verify", text(&foreign)]).await.status.success());

    assert!(printed(&run(&home, &["vacuum"]).await)["bytes"].is_u64());
    let engine = home.serve(Settings::default()).await;
    refused(&run(&home, &["vacuum"]).await, "another heddle serves");
    drop(engine);
}
