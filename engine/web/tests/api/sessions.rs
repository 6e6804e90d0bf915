//! Embed sessions: made, refreshed, revoked, and what their access tokens open.

use http::Request;
use serde_json::{Value, json};

use crate::world::{Caller, World, text};

const SESSIONS: &str = "/api/v1/sessions";

/// A new session's answer.
async fn granted(world: &World, workspace: &str, wish: Value) -> Value {
    let mut body = json!({"workspace_id": workspace});
    body.as_object_mut()
        .unwrap()
        .extend(wish.as_object().unwrap().clone());
    world.post(SESSIONS, body).await.expect(200)
}

/// A caller with a new session's access token.
async fn session(world: &World, workspace: &str, wish: Value) -> Caller {
    Caller::Machine(text(&granted(world, workspace, wish).await["access_token"]))
}

/// The status of one request.
async fn status(world: &World, by: &Caller, method: &str, path: &str, body: Value) -> u16 {
    let answer = world
        .send(by, method, &format!("/api/v1{path}"), body.to_string())
        .await;
    answer.status.as_u16()
}

fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_session_is_granted_listed_refreshed_and_revoked_in_the_published_shapes() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("Academy").await;
    let new = granted(&world, &workspace, json!({})).await;
    assert_eq!(
        members(&new),
        [
            "session_id",
            "access_token",
            "expires_in",
            "expires_at",
            "launch_token",
            "launch_expires_at",
            "launch_url",
            "workspace_id",
            "role",
            "session_type"
        ]
    );
    assert_eq!(
        (
            &new["role"],
            &new["session_type"],
            &new["expires_in"],
            &new["expires_at"],
            &new["launch_expires_at"]
        ),
        (
            &json!("member"),
            &json!("workspace"),
            &json!(1800),
            &json!("2026-03-20T10:16:40.000Z"),
            &json!("2026-03-20T09:47:10.000Z")
        )
    );
    let id = text(&new["session_id"]);
    let uuid = uuid::Uuid::parse_str(id.strip_prefix("sess_").unwrap()).unwrap();
    assert_eq!(uuid.get_version_num(), 7);

    world.clock.advance(1000);
    let refreshed = world
        .post(&format!("{SESSIONS}/{id}/refresh"), json!({}))
        .await
        .expect(200);
    assert_eq!(
        members(&refreshed),
        [
            "session_id",
            "access_token",
            "expires_in",
            "expires_at",
            "workspace_id",
            "role",
            "session_type"
        ]
    );
    assert_eq!(
        (&refreshed["session_id"], &refreshed["expires_in"]),
        (&new["session_id"], &json!(1800))
    );
    assert_ne!(refreshed["access_token"], new["access_token"]);

    let wish = json!({"session_type": "resource", "resource": "course", "resource_id": "7",
                      "external_user_id": "u 7", "role": "owner", "ttl_seconds": 300});
    let of_course = granted(&world, &workspace, wish).await;
    let list = world
        .get(&format!("{SESSIONS}?workspace_id={workspace}&limit=1"))
        .await
        .expect(200);
    assert_eq!(
        list["records"][0],
        json!({"session_id": of_course["session_id"], "workspace_id": workspace, "role": "owner",
               "external_user_id": "u 7", "status": "active", "created_at": "2026-03-20T09:46:41.000Z",
               "expires_at": "2026-03-20T09:51:41.000Z", "is_expired": false, "session_type": "resource",
               "resource": "course", "resource_id": "7"})
    );
    let cursor = text(&list["next_cursor"]);
    let rest = world
        .get(&format!("{SESSIONS}?workspace_id={workspace}&cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(
        (rest["count"].as_u64(), &rest["next_cursor"]),
        (Some(1), &Value::Null)
    );
    world.clock.advance(301_000);

    let path = format!("{SESSIONS}/{id}");
    assert_eq!(world.delete(&path).await.expect(200), json!({"revoked": true}));
    assert_eq!(world.delete(&path).await.expect(200), json!({"revoked": false}));
    let again = world.post(&format!("{path}/refresh"), json!({})).await;
    assert_eq!(again.refused(409), "session_revoked");
    for (filter, expected) in [
        ("", 2),
        ("&status=active", 1),
        ("&status=revoked", 1),
        ("&resource=course&resource_id=7", 1),
        ("&resource=course&resource_id=8", 0),
    ] {
        let list = world
            .get(&format!("{SESSIONS}?workspace_id={workspace}{filter}"))
            .await
            .expect(200);
        assert_eq!(list["count"], expected, "{filter}");
        for record in list["records"].as_array().unwrap() {
            let expired = record["session_id"] == of_course["session_id"];
            assert_eq!(record["is_expired"], expired, "{record}");
        }
    }
    let expired = text(&of_course["session_id"]);
    world
        .post(&format!("{SESSIONS}/{expired}/refresh"), json!({}))
        .await
        .expect(200);
    for query in [
        "",
        "?workspace_id=mine",
        &format!("?workspace_id={workspace}&status=expired"),
    ] {
        world.get(&format!("{SESSIONS}{query}")).await.refused(400);
    }
}

#[tokio::test]
async fn a_wish_that_is_out_of_bounds_is_refused_by_its_name() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("Academy").await;
    let origins =
        |count: usize| -> Vec<String> { (0..count).map(|n| format!("https://a{n}.example")).collect() };
    for (wish, param) in [
        (json!({"workspace_id": null}), "workspace_id"),
        (json!({"workspace_id": "mine"}), "workspace_id"),
        (json!({"role": "root"}), "role"),
        (json!({"session_type": "organization"}), "session_type"),
        (json!({"external_user_id": "x".repeat(256)}), "external_user_id"),
        (json!({"ttl_seconds": 299}), "ttl_seconds"),
        (json!({"ttl_seconds": 3601}), "ttl_seconds"),
        (json!({"ttl_seconds": "1800"}), "ttl_seconds"),
        (json!({"launch_ttl_seconds": 14}), "launch_ttl_seconds"),
        (json!({"launch_ttl_seconds": 61}), "launch_ttl_seconds"),
        (json!({"launch_page": "settings"}), "launch_page"),
        (json!({"launch_path": "members"}), "launch_path"),
        (
            json!({"session_type": "dashboard", "launch_page": "rules"}),
            "launch_page",
        ),
        (
            json!({"session_type": "resource", "resource": "a", "resource_id": "b", "launch_page": "connections"}),
            "launch_page",
        ),
        (
            json!({"session_type": "resource", "resource_id": "b"}),
            "resource",
        ),
        (
            json!({"session_type": "resource", "resource": "a"}),
            "resource_id",
        ),
        (
            json!({"session_type": "resource", "resource": "", "resource_id": "b"}),
            "resource",
        ),
        (json!({"resource": "a"}), "resource"),
        (
            json!({"session_type": "dashboard", "resource_id": "b"}),
            "resource_id",
        ),
        (json!({"allowed_origins": "https://a.example"}), "allowed_origins"),
        (json!({"allowed_origins": ["ftp://a.example"]}), "allowed_origins"),
        (json!({"allowed_origins": ["*"]}), "allowed_origins"),
        (json!({"allowed_origins": origins(11)}), "allowed_origins"),
        (json!({"scopes": ["everything"]}), "scopes"),
        (json!({"scopes": vec!["events.payload:read"; 21]}), "scopes"),
    ] {
        let mut body = json!({"workspace_id": workspace});
        body.as_object_mut()
            .unwrap()
            .extend(wish.as_object().unwrap().clone());
        assert_eq!(world.post(SESSIONS, body).await.wrong_param(), param, "{wish}");
    }
    let most = json!({"allowed_origins": origins(10), "scopes": vec!["events.payload:read"; 20], "ttl_seconds": 3600,
                      "launch_ttl_seconds": 60, "launch_path": "/events", "external_user_id": "x".repeat(255)});
    let new = granted(&world, &workspace, most).await;
    assert!(
        text(&new["launch_url"]).contains("/embed/events?launch_token="),
        "{new}"
    );
    let foreign = json!({"workspace_id": "01981f6e-7d3c-7000-8000-000000000000"});
    world.post(SESSIONS, foreign).await.refused(404);
}

#[tokio::test]
async fn a_launch_token_begins_its_session_once() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("Academy").await;
    let new = granted(&world, &workspace, json!({"launch_page": "rules"})).await;
    let token = text(&new["launch_token"]);
    assert!(text(&new["launch_url"]).ends_with(&format!("/embed/rules?launch_token={token}")));
    let (session, page) = world.state.redeem_launch_token(&token).await.unwrap().unwrap();
    assert_eq!(
        (format!("sess_{}", session.id), page.as_str()),
        (text(&new["session_id"]), "rules")
    );
    assert!(world.state.redeem_launch_token(&token).await.unwrap().is_none());
    let late = granted(&world, &workspace, json!({"launch_ttl_seconds": 15})).await;
    world.clock.advance(15_000);
    let late = text(&late["launch_token"]);
    assert!(world.state.redeem_launch_token(&late).await.unwrap().is_none());
    // It is no access token.
    let by = Caller::Machine(token);
    assert_eq!(status(&world, &by, "GET", "/workspaces", json!({})).await, 401);
}

#[tokio::test]
async fn the_address_of_a_launch_is_the_configured_one_or_that_of_the_request() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("Academy").await;
    let Caller::Machine(token) = world.machine() else {
        panic!()
    };
    let request = Request::post(SESSIONS)
        .header("host", "Heddle.example:8080")
        .header("authorization", format!("Bearer {token}"))
        .body(json!({"workspace_id": workspace}).to_string().into())
        .unwrap();
    let made = world.request(request).await.expect(200);
    assert!(
        text(&made["launch_url"]).starts_with("http://heddle.example:8080/embed/dashboard?"),
        "{made}"
    );
}

#[tokio::test]
async fn an_access_token_ends_when_it_is_replaced_expires_or_its_session_is_revoked() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("Academy").await;
    let new = granted(&world, &workspace, json!({"ttl_seconds": 300})).await;
    let id = text(&new["session_id"]);
    let first = Caller::Machine(text(&new["access_token"]));
    let path = "/api/v1/rules";
    world.send(&first, "GET", path, "").await.expect(200);
    let refresh = format!("{SESSIONS}/{id}/refresh");
    let second = world.post(&refresh, json!({})).await.expect(200);
    let second = Caller::Machine(text(&second["access_token"]));
    assert_eq!(
        world.send(&first, "GET", path, "").await.refused(401),
        "token_replaced"
    );
    world.clock.advance(299_999);
    world.send(&second, "GET", path, "").await.expect(200);
    world.clock.advance(1);
    assert_eq!(
        world.send(&second, "GET", path, "").await.refused(401),
        "token_expired"
    );
    let third = world.post(&refresh, json!({})).await.expect(200);
    let third = Caller::Machine(text(&third["access_token"]));
    world.send(&third, "GET", path, "").await.expect(200);
    world.delete(&format!("{SESSIONS}/{id}")).await.expect(200);
    assert_eq!(
        world.send(&third, "GET", path, "").await.refused(401),
        "session_revoked"
    );
}

#[tokio::test]
async fn a_session_of_a_workspace_does_there_what_its_role_allows_and_nothing_elsewhere() {
    let world = World::new().await;
    let ((here, _), (there, _)) = (world.workspace("Here").await, world.workspace("There").await);
    let connection = world.connection(&here, "One").await;
    let foreign = world.connection(&there, "Two").await;
    let rule = world.rule(&here, &connection, "a").await;
    let event = world.emit(&here, "a").await;
    let foreign_event = world.emit(&there, "a").await;
    world.clock.advance(60_000);
    let metadata = json!({"url": "https://acme.example", "api_key": "key-of-acme"});
    let mut names = 0;
    for (role, writes) in [("member", false), ("admin", true), ("owner", true)] {
        let wish = json!({"role": role, "scopes": ["events.payload:read"]});
        let by = session(&world, &here, wish).await;
        names += 1;
        let write = |good: u16| if writes { good } else { 403 };
        let new =
            json!({"workspace": here, "type": "acme", "name": format!("New {names}"), "metadata": metadata});
        let new_rule = json!({"workspace": here, "connection": connection, "event": "b",
                              "metadata": {"action": "post", "id": "C1"}});
        for (method, path, body, expected) in [
            ("GET", "/workspaces".to_owned(), json!({}), 200),
            ("GET", format!("/workspaces/{here}"), json!({}), 200),
            ("GET", format!("/workspaces/{there}"), json!({}), 404),
            ("PUT", format!("/workspaces/{here}"), json!({"name": "Mine"}), 403),
            ("POST", "/workspaces".into(), json!({"name": "Mine"}), 403),
            ("GET", "/integrations".into(), json!({}), 200),
            ("GET", format!("/connections/{connection}"), json!({}), 200),
            ("GET", format!("/connections/{foreign}"), json!({}), 404),
            ("POST", "/connections".into(), new, write(201)),
            ("POST", "/rules".into(), new_rule, write(201)),
            (
                "PUT",
                format!("/rules/{rule}"),
                json!({"hidden": true}),
                write(200),
            ),
            ("GET", format!("/events/{event}"), json!({}), 200),
            ("GET", format!("/events/{event}/payload"), json!({}), write(200)),
            ("GET", format!("/events/{foreign_event}"), json!({}), 404),
            (
                "POST",
                format!("/events/{event}/rules/{rule}/cancel"),
                json!({}),
                if names == 1 { 200 } else { 409 },
            ),
            (
                "POST",
                "/events".into(),
                json!({"event": "a", "payload": {}}),
                write(201),
            ),
            (
                "POST",
                "/events".into(),
                json!({"workspace": there, "event": "a", "payload": {}}),
                write(400),
            ),
            ("POST", "/sessions".into(), json!({"workspace_id": here}), 403),
            ("GET", "/keys".into(), json!({}), 403),
            ("POST", "/keys".into(), json!({"name": "Mine"}), 403),
        ] {
            let found = status(&world, &by, method, &path, body).await;
            assert_eq!(found, expected, "{role}: {method} {path}");
        }
        let list = world.send(&by, "GET", "/api/v1/workspaces", "").await.expect(200);
        assert_eq!(
            (list["count"].as_u64(), &list["records"][0]["id"]),
            (Some(1), &json!(here))
        );
        let shown = world
            .send(&by, "GET", &format!("/api/v1/workspaces/{here}"), "")
            .await
            .expect(200);
        assert_eq!(shown.get("publishable_key"), None);
        let plain = session(&world, &here, json!({"role": role})).await;
        let path = format!("/events/{event}/payload");
        assert_eq!(
            status(&world, &plain, "GET", &path, json!({})).await,
            403,
            "without the scope"
        );
    }
}

#[tokio::test]
async fn a_session_of_a_resource_sees_and_touches_that_resource_alone() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("Academy").await;
    let connection = world.connection(&workspace, "One").await;
    let rule = |resource_id: Value| {
        json!({"workspace": workspace, "connection": connection, "event": "a", "resource": "course",
               "resource_id": resource_id, "metadata": {"action": "post", "id": "C1"}})
    };
    let event = |resource_id: Value| {
        json!({"workspace": workspace, "event": "a", "payload": {"n": 1}, "resource": "course",
               "resource_id": resource_id})
    };
    let (mut rules, mut events) = (Vec::new(), Vec::new());
    for resource_id in [json!("7"), json!("8"), Value::Null] {
        let made = world
            .post("/api/v1/rules", rule(resource_id.clone()))
            .await
            .expect(201);
        rules.push(text(&made["rule"]["id"]));
        let made = world.post("/api/v1/events", event(resource_id)).await.expect(201);
        events.push(text(&made["event"]["id"]));
    }
    let wish = json!({"session_type": "resource", "resource": "course", "resource_id": "7", "role": "admin",
                      "scopes": ["events.payload:read"]});
    let by = session(&world, &workspace, wish).await;
    for (path, own) in [
        ("/rules", &rules[0]),
        (&format!("/workspaces/{workspace}/rules"), &rules[0]),
        ("/events", &events[0]),
        (&format!("/workspaces/{workspace}/events"), &events[0]),
        ("/events?resource=course", &events[0]),
    ] {
        let list = world
            .send(&by, "GET", &format!("/api/v1{path}"), "")
            .await
            .expect(200);
        assert_eq!(
            (list["count"].as_u64(), &list["records"][0]["id"]),
            (Some(1), &json!(own)),
            "{path}"
        );
    }
    for path in [
        "/events?resource_id=8",
        "/events?resource=site",
        "/rules?resource_id=8",
    ] {
        let list = world
            .send(&by, "GET", &format!("/api/v1{path}"), "")
            .await
            .expect(200);
        assert_eq!(list["count"], 0, "{path}");
    }
    // The rule of every course led to a delivery of it too, and is none that this session knows.
    let late = world.post("/api/v1/events", event(json!("7"))).await.expect(201);
    let path = format!("/api/v1/events/{}/explain", text(&late["event"]["id"]));
    let explained = world.send(&by, "GET", &path, "").await.expect(200);
    assert_eq!(
        (&explained["count"], &explained["records"][0]["rule"]),
        (&json!(1), &json!(rules[0])),
        "{explained}"
    );
    world.clock.advance(60_000);
    for (at, expected) in [(0, 200), (1, 404), (2, 404)] {
        let (rule, event) = (&rules[at], &events[at]);
        for (method, path) in [
            ("GET", format!("/rules/{rule}")),
            ("GET", format!("/events/{event}")),
            ("GET", format!("/events/{event}/payload")),
            ("GET", format!("/events/{event}/rules/{rule}/attempts")),
            ("POST", format!("/events/{event}/rules/{rule}/retry")),
            ("POST", format!("/events/{event}/cancel")),
        ] {
            let found = status(&world, &by, method, &path, json!({})).await;
            assert_eq!(found, expected, "{method} {path} of {at}");
        }
    }
    let other_kind = json!({"workspace": workspace, "connection": connection, "event": "a",
                            "metadata": {"action": "post", "id": "C1"}});
    for (method, path, body, expected) in [
        ("POST", "/rules".to_owned(), rule(json!("7")), 201),
        ("POST", "/rules".into(), rule(json!("8")), 403),
        ("POST", "/rules".into(), rule(Value::Null), 403),
        ("POST", "/rules".into(), other_kind, 403),
        ("POST", "/events".into(), event(json!("7")), 201),
        ("POST", "/events".into(), event(json!("8")), 403),
        ("POST", "/events".into(), event(Value::Null), 403),
        (
            "PUT",
            format!("/rules/{}", rules[0]),
            json!({"resource_id": "8"}),
            403,
        ),
        ("DELETE", format!("/rules/{}", rules[0]), json!({}), 403),
        ("GET", "/connections".into(), json!({}), 403),
        ("GET", format!("/connections/{connection}"), json!({}), 403),
        (
            "GET",
            format!("/workspaces/{workspace}/connections"),
            json!({}),
            403,
        ),
        ("POST", "/connections".into(), json!({}), 403),
        ("GET", "/replays".into(), json!({}), 403),
    ] {
        assert_eq!(
            status(&world, &by, method, &path, body).await,
            expected,
            "{method} {path}"
        );
    }
    let bulk = json!([event(json!("7")), event(json!("8"))]).to_string();
    let bulk = world
        .send(&by, "POST", "/api/v1/events/bulk", bulk)
        .await
        .expect(207);
    assert_eq!(
        (bulk["error_count"].as_u64(), &bulk["records"][1]["code"]),
        (Some(1), &json!("forbidden"))
    );
}

#[tokio::test]
async fn a_dashboard_session_looks_at_its_workspace_and_at_nothing_else() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("Academy").await;
    let event = world.emit(&workspace, "a").await;
    let wish = json!({"session_type": "dashboard", "role": "owner", "scopes": ["events.payload:read"]});
    let by = session(&world, &workspace, wish).await;
    for path in ["/workspaces".to_owned(), format!("/workspaces/{workspace}")] {
        assert_eq!(status(&world, &by, "GET", &path, json!({})).await, 200, "{path}");
    }
    for (method, path) in [
        ("GET", "/rules".to_owned()),
        ("GET", "/events".into()),
        ("GET", format!("/events/{event}")),
        ("GET", format!("/events/{event}/payload")),
        ("GET", "/connections".into()),
        ("POST", "/events".into()),
        ("POST", "/rules".into()),
        ("POST", format!("/events/{event}/cancel")),
    ] {
        assert_eq!(
            status(&world, &by, method, &path, json!({})).await,
            403,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused() {
    let world = World::new().await;
    let (workspace, _) = world.workspace("Academy").await;
    let wish = json!({"allowed_origins": ["https://App.example/settings"]});
    let Caller::Machine(token) = session(&world, &workspace, wish).await else {
        panic!()
    };
    for (origin, expected) in [
        (None, 200),
        (Some("https://app.example"), 200),
        (Some("http://heddle.example"), 200),
        (Some("https://evil.example"), 403),
        (Some("null"), 403),
    ] {
        let mut request = Request::get("/api/v1/rules")
            .header("host", "heddle.example")
            .header("authorization", format!("Bearer {token}"));
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let answer = world.request(request.body("".into()).unwrap()).await;
        assert!(answer.headers.get("access-control-allow-origin").is_none());
        assert_eq!(answer.status.as_u16(), expected, "{origin:?}");
        if expected == 403 {
            assert_eq!(answer.refused(403), "origin_not_allowed");
        }
    }
}

#[tokio::test]
async fn a_key_opens_to_a_session_only_what_it_may_do_itself() {
    let world = World::new().await;
    let ((here, _), (there, _)) = (world.workspace("Here").await, world.workspace("There").await);
    let wish = json!({"workspaces": [here], "permissions": ["sessions:read", "sessions:write", "workspaces:read",
        "integrations:read", "catalog:read", "connections:read", "rules:read", "events:read", "events:retry",
        "usage:read"]});
    let key = world.narrow(&world.machine(), wish).await;
    for (body, expected) in [
        (json!({"workspace_id": here}), 200),
        (json!({"workspace_id": here, "role": "admin"}), 403),
        (json!({"workspace_id": there}), 404),
    ] {
        assert_eq!(
            status(&world, &key, "POST", "/sessions", body.clone()).await,
            expected,
            "{body}"
        );
    }
    let owner = granted(&world, &here, json!({"role": "owner"})).await;
    let elsewhere = granted(&world, &there, json!({})).await;
    let (owner, elsewhere) = (text(&owner["session_id"]), text(&elsewhere["session_id"]));
    for (method, path, expected) in [
        ("POST", format!("/sessions/{owner}/refresh"), 403),
        ("POST", format!("/sessions/{elsewhere}/refresh"), 404),
        ("DELETE", format!("/sessions/{elsewhere}"), 404),
        ("GET", format!("/sessions?workspace_id={there}"), 404),
        ("DELETE", format!("/sessions/{owner}"), 200),
        ("DELETE", "/sessions/sess_nobody".into(), 404),
        (
            "DELETE",
            format!("/sessions/{}", owner.trim_start_matches("sess_")),
            404,
        ),
    ] {
        assert_eq!(
            status(&world, &key, method, &path, json!({})).await,
            expected,
            "{method} {path}"
        );
    }
    let stranger = world.stranger().await;
    assert_eq!(
        status(
            &world,
            &stranger,
            "DELETE",
            &format!("/sessions/{owner}"),
            json!({})
        )
        .await,
        404
    );
}
