//! Machine keys that are limited, and their end, from the command line beside a running server.

use heddle_tests::api::{Api, records};
use heddle_tests::engine::{Engine, Home, Keys, Settings};
use heddle_tests::wait::until;
use serde_json::{Value, json};

/// `heddle keys create` with these arguments.
async fn create(home: &Home, arguments: &[&str]) -> Keys {
    let arguments = [&["keys", "create", "--name", "narrow"], arguments].concat();
    let ended = home.run(&arguments, &Settings::default()).await;
    assert!(ended.status.success(), "{ended:?}");
    let printed: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    let text = |name: &str| printed[name].as_str().expect("text").to_owned();
    Keys {
        organization_id: text("organization_id"),
        access_key: text("access_key"),
        secret_key: text("secret_key"),
    }
}

#[tokio::test]
async fn a_key_is_limited_listed_and_revoked_beside_a_running_server() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let (here, there) = (api.workspace("Here").await, api.workspace("There").await);
    let home = engine.home();
    let limits = [
        "--workspace",
        &here.id,
        "--permission",
        "events:emit",
        "--permission",
        "workspaces:read",
        "--expires-in",
        "2h",
    ];
    let keys = create(home, &limits).await;
    let narrow = Api::with(&engine, keys.clone());
    let seen = records(&narrow.get("/workspaces").await.expect(200));
    assert_eq!((seen.len(), &seen[0]["id"]), (1, &json!(here.id)));
    let event = |workspace: &str| json!({"workspace": workspace, "event": "a", "payload": {"n": 1}});
    narrow.post("/events", &event(&here.id)).await.expect(201);
    narrow.post("/events", &event(&there.id)).await.expect_error(400);
    let refused = narrow.get("/events").await.expect_error(403);
    assert_eq!(refused["code"], "permission_missing");

    let listed = home.run(&["keys", "list"], &Settings::default()).await;
    assert!(!listed.stdout.contains(&keys.secret_key));
    let line = |text: &str| -> Value {
        let line = text.lines().find(|line| line.contains(&keys.access_key));
        serde_json::from_str(line.expect("the key is listed")).expect("a JSON object a line")
    };
    let shown = line(&listed.stdout);
    assert_eq!(
        (&shown["status"], &shown["workspaces"], &shown["permissions"]),
        (
            &json!("active"),
            &json!([here.id]),
            &json!(["workspaces:read", "events:emit"])
        )
    );

    let revoke = ["keys", "revoke", "--access-key", &keys.access_key];
    let revoked = home.run(&revoke, &Settings::default()).await;
    assert_eq!(revoked.stdout.trim(), r#"{"revoked":true}"#, "{revoked:?}");
    let answer = until(
        "the running server to notice",
        || narrow.get("/workspaces"),
        |answer| answer.status != 200,
    )
    .await;
    assert_eq!(answer.expect_error(401)["code"], "key_revoked");
    let listed = home.run(&["keys", "list"], &Settings::default()).await;
    assert_eq!(line(&listed.stdout)["status"], "revoked");
}

#[tokio::test]
async fn a_limit_that_makes_no_sense_makes_no_key() {
    let home = Home::bare();
    create(&home, &[]).await;
    let nobody = "01981f6e-7d3c-7000-8000-000000000000";
    for (limit, named) in [
        (["--permission", "everything"], "events:emit"),
        (["--workspace", nobody], nobody),
        (["--workspace", "mine"], "--workspace"),
        (["--expires-in", "soon"], "90d"),
        (["--expires-in", "0h"], "90d"),
        (["--expires-in", "5é"], "90d"),
    ] {
        let arguments = [&["keys", "create", "--name", "x"], &limit[..]].concat();
        let refused = home.run(&arguments, &Settings::default()).await;
        assert!(
            !refused.status.success() && refused.stdout.is_empty() && refused.stderr.contains(named),
            "{refused:?}"
        );
    }
    let unknown = ["keys", "revoke", "--access-key", "mk_nobody"];
    assert!(!home.run(&unknown, &Settings::default()).await.status.success());
}

#[tokio::test]
async fn a_publishable_key_takes_the_place_of_another_and_survives_a_kill() {
    let mut engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Academy").await;
    let event = json!({"event": "a", "payload": {"n": 1}});
    let path = format!("/workspaces/{}/publishable-keys", workspace.id);
    let made = api
        .post(&path, &json!({"overlap_seconds": 3600}))
        .await
        .expect(201);
    let key = made["publishable_key"]["public_key"].as_str().expect("a key");
    for good in [key, &workspace.publishable_key] {
        api.post_with_key(good, "/events", &event).await.expect(201);
    }
    let listed = records(&api.get(&path).await.expect(200));
    let old = listed[0]["id"].as_str().expect("an id");
    api.delete(&format!("{path}/{old}")).await.expect(200);

    engine.kill().await;
    engine.restart().await;
    let api = api.at(&engine);
    let refused = api
        .post_with_key(&workspace.publishable_key, "/events", &event)
        .await
        .expect_error(401);
    assert_eq!(refused["code"], "invalid_publishable_key");
    api.post_with_key(key, "/events", &event).await.expect(201);
}
