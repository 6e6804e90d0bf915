//! The command line, as a newcomer and as an operator meet it.

use heddle_tests::api::Api;
use heddle_tests::engine::{Engine, Home, Settings, binary};
use heddle_tests::receiver::Receiver;
use reqwest::Method;
use serde_json::Value;

#[tokio::test]
async fn the_help_tells_a_newcomer_what_there_is() {
    let home = Home::new();
    let help = home.run(&["--help"], &Settings::default()).await;
    assert!(help.status.success());
    for word in ["serve", "demo", "keys", "plugin", "--data-dir", "--config"] {
        assert!(help.stdout.contains(word), "{word}: {}", help.stdout);
    }
    let unknown = home.run(&["fly"], &Settings::default()).await;
    assert!(
        !unknown.status.success() && unknown.stderr.contains("fly"),
        "{unknown:?}"
    );
}

#[test]
fn output_that_nobody_reads_any_more_ends_a_command_without_a_word() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let ended = std::process::Command::new(binary())
        .arg("settings")
        .stdout(writer)
        .output()
        .expect("it runs");
    assert!(!ended.status.success());
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

#[tokio::test]
async fn keys_are_one_json_object_before_the_first_start_and_while_it_runs() {
    let home = Home::bare();
    let created = home
        .run(&["keys", "create", "--name", "backend"], &Settings::default())
        .await;
    let printed: Value = serde_json::from_str(&created.stdout).expect("one JSON object and nothing else");
    let keys: Vec<_> = printed
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys, ["organization_id", "access_key", "secret_key"]);
    let access = printed["access_key"].as_str().expect("text");
    assert!(access.starts_with("mk_") && access.len() >= 25, "{access}");
    assert!(printed["secret_key"].as_str().expect("text").len() >= 43);

    let first = home.create_keys().await;
    let engine = home.serve(Settings::default()).await;
    Api::with(&engine, first.clone())
        .get("/workspaces")
        .await
        .expect(200);
    assert_eq!(printed["organization_id"], first.organization_id);
    let other = home.create_keys_of_new_organisation().await;
    assert_ne!(other.organization_id, first.organization_id);
    Api::with(&engine, other.clone())
        .get("/workspaces")
        .await
        .expect(200);

    let more = [
        "keys",
        "create",
        "--name",
        "again",
        "--organization",
        &other.organization_id,
    ];
    let more = home.run(&more, &Settings::default()).await;
    assert!(more.stdout.contains(&other.organization_id), "{more:?}");
    let nobody = "01981f6e-7d3c-7000-8000-000000000000";
    for organization in [nobody, "not-an-id"] {
        let arguments = ["keys", "create", "--name", "x", "--organization", organization];
        let refused = home.run(&arguments, &Settings::default()).await;
        assert!(
            !refused.status.success() && refused.stdout.is_empty(),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_setting_that_makes_no_sense_stops_the_start_by_its_name() {
    let home = Home::new();
    for (name, value) in [
        ("LISTEN", "here"),
        ("RETRY_SCHEDULE", "soon"),
        ("EGRESS_ALLOW_NETWORKS", "everywhere"),
        ("EGRESS_ALLOW_HTTP", "perhaps"),
        ("EGRESS_ROUTES", "slack.com"),
        ("MASTER_KEY", "short"),
    ] {
        let refused = home.run(&["serve"], &Settings::default().with(name, value)).await;
        assert!(!refused.status.success(), "{name}: {refused:?}");
        let named = refused.stderr.to_lowercase().contains(&name.to_lowercase());
        assert!(named, "HEDDLE_{name} is not named: {}", refused.stderr);
        assert!(!refused.stderr.contains("panicked"), "{}", refused.stderr);
    }
}

#[tokio::test]
async fn settings_come_from_a_file_too() {
    let receiver = Receiver::start().await;
    let home = Home::new();
    let text = format!(
        "listen = \"127.0.0.1:0\"\nretry_schedule = \"0s\"\n[egress]\nallow_http = true\nroutes = [\"a.example={}\"]\n",
        receiver.base()
    );
    let file = home.scratch("settings.toml", text.as_bytes());
    let settings = Settings::strict().with("CONFIG", file.to_str().expect("a path"));
    let engine = home.serve(settings).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("From a file").await;
    let connection = api.webhook(&workspace, "http://a.example/hook").await;
    api.webhook_rule(&workspace, &connection, "a").await;
    let event = api.emit(&workspace, "a", serde_json::json!({"n": 1})).await;
    api.wait_for_event(&event, "completed").await;
    assert_eq!(
        receiver.requests_at("/hook")[0].header("x-forwarded-host"),
        Some("a.example")
    );
    assert!(
        engine.log().contains("a.example"),
        "a route in force is announced"
    );
}

#[tokio::test]
async fn a_data_folder_has_one_server() {
    let engine = Engine::start(Settings::default()).await;
    let second = engine.home().run(&["serve"], &Settings::default()).await;
    assert!(!second.status.success(), "{second:?}");
    let folder = engine.home().data_dir();
    assert!(
        second.stderr.contains(folder.to_str().expect("a path")),
        "{second:?}"
    );
    let api = Api::of(&engine).await;
    api.send(api.request_root(Method::GET, "/readyz"))
        .await
        .expect(200);
}

#[tokio::test]
async fn the_demo_delivers_its_event_through_failures() {
    let home = Home::new();
    let demo = home.run(&["demo", "--once"], &Settings::strict()).await;
    assert!(demo.status.success(), "{demo:?}");
    for part in [
        "lesson.completed",
        "webhook",
        "slack",
        "hubspot",
        "503",
        "429",
        "delivered",
        "curl",
    ] {
        assert!(demo.stdout.contains(part), "{part}: {}", demo.stdout);
    }
}
