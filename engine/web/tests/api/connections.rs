//! Connections.

use heddle_core::connection::{Health, InactiveReason};
use serde_json::{Value, json};

use crate::world::{World, text};

fn body(workspace: &str, name: &str, metadata: Value) -> Value {
    json!({"workspace": workspace, "type": "acme", "name": name, "metadata": metadata})
}

#[tokio::test]
async fn a_connection_is_made_and_its_secrets_are_never_shown_again() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let metadata = json!({"url": "https://acme.example", "mode": "Signed", "api_key": "key-of-acme",
                          "retry_schedule": "0s,1s"});
    let made = world
        .post("/api/v1/connections", body(&workspace, "CRM", metadata))
        .await
        .expect(201);
    let made = &made["connection"];
    assert!(
        text(&made["metadata"]["signing_secret"]).starts_with("whsec_"),
        "shown once: {made}"
    );
    assert_eq!(made["metadata"]["api_key"], json!("********"));
    assert_eq!(
        (&made["active"], &made["hidden"], &made["type"]),
        (&json!(true), &json!(false), &json!("acme"))
    );

    let path = format!("/api/v1/connections/{}", text(&made["id"]));
    let shown = json!({"url": "https://acme.example", "mode": "signed", "api_key": "********",
                       "signing_secret": "********", "retry_schedule": "0s,1s"});
    let lists = [
        "/api/v1/connections".to_owned(),
        format!("/api/v1/workspaces/{workspace}/connections"),
    ];
    assert_eq!(world.get(&path).await.expect(200)["metadata"], shown);
    for list in lists {
        let list = world.get(&list).await;
        assert!(
            !list.text.contains("key-of-acme") && !list.text.contains("whsec_"),
            "{}",
            list.text
        );
        assert_eq!(list.expect(200)["records"][0]["metadata"], shown);
    }

    // What was read can be written back: the masks keep what they stand for.
    let written = world
        .put(&path, json!({"name": "CRM 2", "metadata": shown, "hidden": true}))
        .await
        .expect(200);
    assert_eq!(
        (&written["name"], &written["hidden"], &written["metadata"]),
        (&json!("CRM 2"), &json!(true), &shown)
    );
    let stored = world
        .store
        .connection(world.organisation(), text(&made["id"]).parse().unwrap())
        .await;
    let stored = stored.unwrap().unwrap();
    assert_eq!(stored.secrets["api_key"].reveal(), "key-of-acme");
    assert_eq!(
        stored.secrets["signing_secret"].reveal(),
        text(&made["metadata"]["signing_secret"])
    );

    let rotated = json!({"url": "https://acme.example", "mode": "signed", "signing_secret": null});
    let rotated = world
        .put(&path, json!({"name": "CRM 2", "metadata": rotated}))
        .await
        .expect(200);
    let fresh = text(&rotated["metadata"]["signing_secret"]);
    assert!(fresh.starts_with("whsec_") && fresh != text(&made["metadata"]["signing_secret"]));
}

#[tokio::test]
async fn what_cannot_work_is_refused_by_its_name() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let good = || json!({"url": "https://acme.example", "api_key": "key-of-acme"});
    let with = |key: &str, value: Value| {
        let mut metadata = good();
        metadata[key] = value;
        body(&workspace, "CRM", metadata)
    };
    let mut cases = vec![
        (json!({"type": "acme", "name": "CRM"}), "workspace"),
        (
            json!({"workspace": "w", "type": "acme", "name": "CRM"}),
            "workspace",
        ),
        (json!({"workspace": workspace, "name": "CRM"}), "type"),
        (
            json!({"workspace": workspace, "type": "nothing", "name": "CRM"}),
            "type",
        ),
        (body(&workspace, "a/b", good()), "name"),
        (body(&workspace, "", good()), "name"),
        (body(&workspace, &"x".repeat(129), good()), "name"),
        (body(&workspace, "CRM", json!([])), "metadata"),
        (body(&workspace, "CRM", json!({})), "metadata.url"),
        (with("color", json!("red")), "metadata.color"),
        (with("headers", json!({"Host": "x"})), "metadata.headers"),
        // The credential cannot be kept out of answers if it is this short; egress knows.
        (with("api_key", json!("x")), "metadata.api_key"),
    ];
    for url in [
        "http://acme.example",
        "https://127.0.0.1/x",
        "https://[::1]/",
        "https://user:pass@acme.example",
        "ftp://a.example",
        "acme",
    ] {
        cases.push((with("url", json!(url)), "metadata.url"));
    }
    for (body, param) in cases {
        assert_eq!(
            world
                .post("/api/v1/connections", body.clone())
                .await
                .wrong_param(),
            param,
            "{body}"
        );
    }
    let unknown = world
        .post(
            "/api/v1/connections",
            json!({"workspace": workspace, "type": "x", "name": "n"}),
        )
        .await;
    assert!(
        unknown.text.contains("acme"),
        "names the types that there are: {}",
        unknown.text
    );
}

#[tokio::test]
async fn a_name_is_taken_once_in_a_workspace() {
    let world = World::new().await;
    let (first, _) = world.workspace("First").await;
    let (second, _) = world.workspace("Second").await;
    world.connection(&first, "CRM").await;
    world.connection(&second, "CRM").await;
    let again = body(
        &first,
        "CRM",
        json!({"url": "https://acme.example", "api_key": "key-of-acme"}),
    );
    assert_eq!(
        world.post("/api/v1/connections", again).await.refused(409),
        "name_taken"
    );
}

#[tokio::test]
async fn a_connection_in_use_is_deleted_only_by_force() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let connection = world.connection(&workspace, "CRM").await;
    let rule = world.rule(&workspace, &connection, "a").await;
    let path = format!("/api/v1/connections/{connection}");
    assert_eq!(world.delete(&path).await.refused(409), "has_active_rules");
    let no = world
        .send(&world.machine(), "DELETE", &path, r#"{"force_delete":false}"#)
        .await;
    assert_eq!(no.refused(409), "has_active_rules");
    let wrong = world
        .send(&world.machine(), "DELETE", &path, r#"{"force_delete":"yes"}"#)
        .await;
    assert_eq!(wrong.wrong_param(), "force_delete");
    let deleted = world
        .send(&world.machine(), "DELETE", &path, r#"{"force_delete":true}"#)
        .await
        .expect(200);
    assert_eq!(deleted, json!({"id": connection, "type": "acme"}));
    world.get(&path).await.refused(404);
    world.get(&format!("/api/v1/rules/{rule}")).await.refused(404);
    world.delete(&path).await.refused(404);

    let unused = world.connection(&workspace, "CRM").await;
    world
        .delete(&format!("/api/v1/connections/{unused}"))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_connection_is_stopped_by_hand_and_started_by_hand_or_by_a_new_credential() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let connection = world.connection(&workspace, "CRM").await;
    let path = format!("/api/v1/connections/{connection}");
    let put = |extra: Value| {
        let mut body = json!({"name": "CRM", "metadata": {"url": "https://acme.example"}});
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        body
    };
    let stopped = world.put(&path, put(json!({"active": false}))).await.expect(200);
    assert_eq!(
        (&stopped["active"], &stopped["inactive_reason"]),
        (&json!(false), &json!("manually_inactivated"))
    );
    assert_eq!(
        world.put(&path, put(json!({}))).await.expect(200)["active"],
        json!(false)
    );
    let started = world.put(&path, put(json!({"active": true}))).await.expect(200);
    assert_eq!(
        (&started["active"], started.get("inactive_reason")),
        (&json!(true), None)
    );

    let mut refused = world
        .store
        .connection(world.organisation(), connection.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    refused.health = Health::Inactive {
        reason: InactiveReason::AuthenticationInvalid,
        detail: "401".into(),
    };
    assert!(
        world
            .store
            .update_connection(world.organisation(), refused, None)
            .await
            .unwrap()
    );
    assert_eq!(
        world.get(&path).await.expect(200)["inactive_reason"],
        json!("authentication_invalid")
    );
    let mended = put(json!({"metadata": {"url": "https://acme.example", "api_key": "another-key"}}));
    assert_eq!(world.put(&path, mended).await.expect(200)["active"], json!(true));
}
