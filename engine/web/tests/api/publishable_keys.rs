//! Publishable keys that take each other's place, and where and for how long each is taken.

use http::Request;
use serde_json::{Value, json};

use crate::world::{Answer, Caller, World, text};

/// A workspace with its keys.
struct Keys {
    world: World,
    workspace: String,
    path: String,
}

impl Keys {
    async fn new() -> (Self, Caller) {
        let world = World::new().await;
        let (workspace, first) = world.workspace("Academy").await;
        let path = format!("/api/v1/workspaces/{workspace}/publishable-keys");
        let keys = Self {
            world,
            workspace,
            path,
        };
        (keys, first)
    }

    /// A new key, and it as a caller.
    async fn make(&self, wish: Value) -> (Value, Caller) {
        // The world's randomness is poor; ids differ by their time.
        self.world.clock.advance(1);
        let made = self.world.post(&self.path, wish).await.expect(201);
        let key = made["publishable_key"].clone();
        let caller = Caller::Page(text(&key["public_key"]));
        (key, caller)
    }

    async fn emit(&self, by: &Caller) -> Answer {
        let event = json!({"event": "a", "payload": {}}).to_string();
        self.world.send(by, "POST", "/api/v1/events", event).await
    }

    async fn emit_from(&self, by: &Caller, origin: &str) -> Answer {
        let Caller::Page(key) = by else { panic!() };
        let request = Request::post("/api/v1/events")
            .header("x-heddle-publishable-key", key)
            .header("origin", origin)
            .header("host", "heddle.example")
            .body(json!({"event": "a", "payload": {}}).to_string().into());
        self.world.request(request.unwrap()).await
    }

    async fn listed(&self) -> Vec<Value> {
        let list = self.world.get(&self.path).await.expect(200);
        list["records"].as_array().unwrap().clone()
    }

    /// The key that the workspace shows.
    async fn shown(&self) -> Value {
        let path = format!("/api/v1/workspaces/{}", self.workspace);
        self.world.get(&path).await.expect(200)["publishable_key"].clone()
    }
}

#[tokio::test]
async fn a_new_key_stands_beside_the_old_one_until_that_is_deleted() {
    let (keys, first) = Keys::new().await;
    let (made, second) = keys.make(json!({})).await;
    assert_eq!(
        (&made["name"], &made["status"], &made["allowed_origins"]),
        (&json!("Default"), &json!("active"), &json!([]))
    );
    for key in [&first, &second] {
        keys.emit(key).await.expect(201);
    }
    assert_eq!(keys.shown().await["public_key"], made["public_key"]);
    let listed = keys.listed().await;
    assert_eq!((listed.len(), &listed[1]), (2, &made));
    assert!(listed[0].get("expires_at").is_none(), "{listed:?}");

    let path = format!("{}/{}", keys.path, text(&listed[0]["id"]));
    let deleted = keys.world.delete(&path).await.expect(200);
    assert_eq!(deleted, json!({"id": listed[0]["id"], "name": "Default"}));
    assert_eq!(keys.emit(&first).await.refused(401), "invalid_publishable_key");
    keys.emit(&second).await.expect(201);
    assert_eq!(keys.world.delete(&path).await.refused(404), "not_found");
}

#[tokio::test]
async fn an_overlap_ends_all_former_keys_and_never_makes_one_last_longer() {
    let (keys, first) = Keys::new().await;
    let (short, brief) = keys.make(json!({"expires_in_seconds": 10})).await;
    let wish = json!({"name": "Next", "overlap_seconds": 60});
    let (made, next) = keys.make(wish).await;
    for key in [&first, &brief, &next] {
        keys.emit(key).await.expect(201);
    }
    keys.world.clock.advance(9_999);
    assert_eq!(keys.emit(&brief).await.refused(401), "key_expired");
    assert_eq!(keys.listed().await[1]["expires_at"], short["expires_at"]);
    keys.world.clock.advance(50_000);
    keys.emit(&first).await.expect(201);
    keys.world.clock.advance(1);
    assert_eq!(keys.emit(&first).await.refused(401), "key_expired");
    keys.emit(&next).await.expect(201);
    let statuses: Vec<Value> = keys
        .listed()
        .await
        .iter()
        .map(|key| key["status"].clone())
        .collect();
    assert_eq!(statuses, ["expired", "expired", "active"]);

    let (last, _) = keys
        .make(json!({"overlap_seconds": 0, "expires_in_seconds": 5}))
        .await;
    assert_eq!(keys.emit(&next).await.refused(401), "key_expired");
    assert_eq!(
        keys.shown().await,
        json!({"public_key": last["public_key"], "name": "Default"})
    );
    assert_ne!(last["public_key"], made["public_key"]);
    keys.world.clock.advance(5_000);
    assert_eq!(keys.shown().await, Value::Null, "none is good any more");
}

#[tokio::test]
async fn a_key_for_some_pages_is_refused_on_others() {
    let (keys, any) = Keys::new().await;
    let wish = json!({"allowed_origins": ["https://Academy.example/path", "https://academy.example"]});
    let (made, some) = keys.make(wish).await;
    assert_eq!(made["allowed_origins"], json!(["https://academy.example"]));
    keys.emit_from(&some, "https://academy.example").await.expect(201);
    for origin in ["https://evil.example", "http://academy.example", "null"] {
        let refused = keys.emit_from(&some, origin).await;
        assert_eq!(
            refused.headers["access-control-allow-origin"], "*",
            "the page can read why"
        );
        assert_eq!(refused.refused(403), "origin_not_allowed", "{origin}");
        keys.emit_from(&any, origin).await.expect(201);
    }
    keys.emit(&some).await.expect(201);
}

#[tokio::test]
async fn a_workspace_has_ten_keys_and_the_expired_ones_make_room() {
    let (keys, _) = Keys::new().await;
    let (_, first) = keys.make(json!({"expires_in_seconds": 10})).await;
    for _ in 2..10 {
        keys.make(json!({})).await;
    }
    let full = keys.world.post(&keys.path, json!({})).await;
    assert_eq!(full.refused(409), "too_many_publishable_keys");
    keys.world.clock.advance(10_000);
    keys.make(json!({})).await;
    assert_eq!(keys.listed().await.len(), 10);
    assert_eq!(keys.emit(&first).await.refused(401), "invalid_publishable_key");
}

#[tokio::test]
async fn a_wish_that_cannot_be_is_refused_by_its_name() {
    let (keys, _) = Keys::new().await;
    let origins: Vec<String> = (0..11).map(|n| format!("https://{n}.example")).collect();
    for (wish, param) in [
        (json!({"name": ""}), "name"),
        (json!({"name": 1}), "name"),
        (json!({"overlap_seconds": -1}), "overlap_seconds"),
        (json!({"overlap_seconds": 1e300}), "overlap_seconds"),
        (json!({"overlap_seconds": u64::MAX}), "overlap_seconds"),
        (json!({"expires_in_seconds": 0}), "expires_in_seconds"),
        (json!({"expires_in_seconds": u64::MAX}), "expires_in_seconds"),
        (json!({"allowed_origins": "https://a.example"}), "allowed_origins"),
        (json!({"allowed_origins": ["*"]}), "allowed_origins"),
        (json!({"allowed_origins": origins}), "allowed_origins"),
    ] {
        let answer = keys.world.post(&keys.path, wish.clone()).await;
        assert_eq!(answer.wrong_param(), param, "{wish}");
    }
    assert_eq!(keys.listed().await.len(), 1);
}

#[tokio::test]
async fn nobody_grants_with_a_publishable_key_what_it_does_not_have() {
    let (keys, _) = Keys::new().await;
    let world = &keys.world;
    let without = json!({"permissions": ["keys:write", "keys:read", "workspaces:read"]});
    let without = world.narrow(&world.machine(), without).await;
    let (made, _) = keys.make(json!({})).await;
    let path = format!("{}/{}", keys.path, text(&made["id"]));
    for (method, path) in [("POST", &keys.path), ("DELETE", &path)] {
        let answer = world.send(&without, method, path, "").await;
        assert_eq!(answer.refused(403), "forbidden");
    }
    let brief = json!({"expires_in_seconds": 100});
    let brief = world.narrow(&world.machine(), brief).await;
    let longer = json!({"expires_in_seconds": 101}).to_string();
    let answer = world.send(&brief, "POST", &keys.path, longer).await;
    assert_eq!(answer.wrong_param(), "expires_in_seconds");
    let made = world.send(&brief, "POST", &keys.path, "").await.expect(201);
    assert!(
        made["publishable_key"]["expires_at"].is_string(),
        "as its maker: {made}"
    );

    let looks = json!({"permissions": ["workspaces:read"]});
    let looks = world.narrow(&world.machine(), looks).await;
    let list = world.send(&looks, "GET", &keys.path, "").await.expect(200);
    for key in list["records"].as_array().unwrap() {
        assert!(key.get("public_key").is_none(), "who has it can emit: {key}");
    }
    let (elsewhere, _) = world.workspace("Elsewhere").await;
    let wish = json!({"workspaces": [elsewhere]});
    let elsewhere = world.narrow(&world.machine(), wish).await;
    for caller in [elsewhere, world.stranger().await] {
        for (method, path) in [("GET", &keys.path), ("POST", &keys.path), ("DELETE", &path)] {
            let answer = world.send(&caller, method, path, "").await;
            assert_eq!(answer.refused(404), "not_found", "{method}");
        }
    }
}
