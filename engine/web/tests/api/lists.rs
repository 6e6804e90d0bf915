//! Lists that are never cut, however long.

use std::sync::Arc;

use heddle_web::Bodies;
use serde_json::{Value, json};

use crate::world::{World, text};

/// Rules, each with so much metadata; their ids.
async fn rules(world: &World, workspace: &str, count: usize, bytes: usize) -> Vec<Value> {
    let connection = world.connection(workspace, "CRM").await;
    let body = json!({"workspace": workspace, "connection": connection, "event": "a",
                      "metadata": {"action": "post", "id": "C1", "template": "x".repeat(bytes)}});
    let mut made = Vec::new();
    for _ in 0..count {
        let answer = world.post("/api/v1/rules", body.clone()).await.expect(201);
        made.push(answer["rule"].clone());
    }
    made
}

#[tokio::test]
async fn a_list_of_several_batches_is_one_answer_like_any_other() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    let mut made = rules(&world, &workspace, 9, 60_000).await;
    for path in [
        "/api/v1/rules".to_owned(),
        format!("/api/v1/workspaces/{workspace}/rules?event=a"),
    ] {
        let answer = world.get(&path).await;
        assert_eq!(answer.headers["content-type"], "application/json");
        assert!(
            !answer.headers.contains_key("content-length"),
            "it was built as a whole"
        );
        let mut list = answer.expect(200);
        let mut records = list["records"].take();
        for records in [records.as_array_mut().unwrap(), &mut made] {
            records.sort_by_key(|rule| text(&rule["id"]));
        }
        assert_eq!(records.as_array().unwrap(), &made);
        assert_eq!(
            list,
            json!({"count": 9, "limit": 9, "next_cursor": null, "records": null})
        );
    }
    let one = world.get("/api/v1/rules?event=b").await.expect(200);
    assert_eq!(
        one,
        json!({"count": 0, "limit": 1, "next_cursor": null, "records": []})
    );
    let connections = world.get("/api/v1/connections").await.expect(200);
    assert_eq!(
        (&connections["count"], &connections["limit"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test]
async fn a_list_of_several_batches_that_shows_nothing_is_a_list() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("First").await;
    rules(&world, &workspace, 501, 1).await;
    let list = world.get("/api/v1/rules?event=b").await.expect(200);
    assert_eq!(
        list,
        json!({"records": [], "count": 0, "limit": 1, "next_cursor": null})
    );
}

#[tokio::test]
async fn lists_have_a_share_of_the_memory_and_give_it_back() {
    let world = World::new().await;
    let world = world.changed(|state| state.bodies = Arc::new(Bodies::new(1 << 20, 600 << 10)));
    let (workspace, _) = world.workspace("First").await;
    for _ in 0..5 {
        world
            .get(&format!("/api/v1/workspaces/{workspace}/rules"))
            .await
            .expect(200);
        world.get("/api/v1/connections").await.expect(200);
    }
    let world = world.changed(|state| state.bodies = Arc::new(Bodies::new(1 << 20, 100 << 10)));
    for path in ["/api/v1/rules", "/api/v1/connections", "/api/v1/workspaces"] {
        assert_eq!(world.get(path).await.refused(429), "too_much_at_once", "{path}");
    }
}
