//! The published shapes, field by field.

use heddle_tests::api::{Answer, Api, id_of, records};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::Receiver;
use heddle_tests::token;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn every_error_has_the_same_shape() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Errors").await;
    api.get("/nothing-here").await.expect_error(404);
    api.get("/workspaces/not-a-uuid").await.expect_error(404);
    api.send(api.request_root(Method::GET, "/nowhere"))
        .await
        .expect_error(404);
    for (method, path) in [
        (Method::DELETE, "/workspaces"),
        (Method::PATCH, "/events"),
        (Method::GET, "/events/bulk"),
        (Method::PUT, "/integrations"),
    ] {
        let answer = api.call(method, path, None).await;
        let allowed = answer.header("allow").map(str::to_owned);
        answer.expect_error(405);
        assert!(
            allowed.is_some_and(|allow| !allow.is_empty()),
            "405 names what is allowed"
        );
    }
    let malformed = |body: &'static str, kind: &'static str| {
        let request = api
            .request(Method::POST, "/workspaces")
            .bearer_auth(token::machine(api.keys()));
        api.send(request.header("content-type", kind).body(body))
    };
    for body in [
        "",
        "{",
        "[1,",
        "\"name\"",
        "null",
        "{\"name\": \"Twice\", \"name\": \"Again\"}",
    ] {
        malformed(body, "application/json").await.expect_error(400);
    }
    let answer = malformed("name=Form", "application/x-www-form-urlencoded").await;
    assert!([400, 415].contains(&answer.status), "{answer:?}");
    let status = answer.status;
    answer.expect_error(status);
    let long = json!({"name": "Long", "description": "x".repeat(8 * 1024 * 1024)});
    api.post("/workspaces", &long).await.expect_error(413);
    for query in [
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=-1",
        "cursor=%00",
        "cursor=not%20one",
        "status=lost",
    ] {
        api.get(&format!("/events?{query}")).await.expect_error(400);
    }
    let ids: Vec<_> = [api.get("/nothing").await, api.get("/nothing").await]
        .into_iter()
        .map(|answer| answer.expect_error(404)["request_id"].to_string())
        .collect();
    assert_ne!(ids[0], ids[1], "each request has an id of its own");
    api.get(&format!("/workspaces/{}", workspace.id))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_workspace_is_made_read_and_changed() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let body = json!({"name": "Academy_Flow 1-a", "description": "One customer"});
    let made = api.post("/workspaces", &body).await.expect(201)["workspace"].clone();
    let id = id_of(&made);
    for key in ["created_at", "updated_at"] {
        let shown = made[key].as_str().unwrap_or_else(|| panic!("{key}: {made}"));
        assert!(
            shown.ends_with('Z') && shown.len() == "2026-03-21T14:18:00.000Z".len(),
            "{key}: {shown}"
        );
    }
    let read = api.get(&format!("/workspaces/{id}")).await.expect(200);
    assert_eq!(
        (&read["name"], &read["description"]),
        (&json!("Academy_Flow 1-a"), &json!("One customer"))
    );
    let key = read["publishable_key"]["public_key"].as_str().expect("a key");
    assert!(read["publishable_key"]["name"].is_string());
    assert!(key.starts_with("mesh_pub_live_"), "{key}");

    let changed = api
        .put(
            &format!("/workspaces/{id}"),
            &json!({"name": "Renamed", "description": null}),
        )
        .await;
    let changed = changed.expect(200);
    assert_eq!(
        (&changed["name"], &changed["description"]),
        (&json!("Renamed"), &Value::Null)
    );
    api.post("/workspaces", &json!({"name": "Renamed"}))
        .await
        .expect_error(409);
    api.post("/workspaces", &json!({"name": "Second"}))
        .await
        .expect(201);
    api.put(&format!("/workspaces/{id}"), &json!({"name": "Second"}))
        .await
        .expect_error(409);
    let all = records(&api.get("/workspaces").await.expect(200));
    assert_eq!(all.len(), 2);
    assert!(
        all.iter()
            .all(|workspace| workspace.get("publishable_key").is_none()),
        "{all:?}"
    );

    let elsewhere = Api::of_new_organisation(&engine).await;
    elsewhere
        .post("/workspaces", &json!({"name": "Renamed"}))
        .await
        .expect(201);

    let wrong = [
        json!({}),
        json!({"name": null}),
        json!({"name": 5}),
        json!({"name": "ab"}),
        json!({"name": "x".repeat(51)}),
        json!({"name": "no/slash"}),
        json!({"name": "Ümlaut"}),
        json!({"name": "line\nbreak"}),
        json!({"name": "fine", "description": "x".repeat(1025)}),
        json!({"name": "fine", "description": 5}),
        json!([{"name": "fine"}]),
    ];
    for body in wrong {
        api.post("/workspaces", &body).await.expect_error(400);
    }
    assert_eq!(records(&api.get("/workspaces").await.expect(200)).len(), 2);
}

#[tokio::test]
async fn a_connection_with_rules_is_deleted_only_by_force() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Connections").await;
    let metadata = json!({"url": receiver.url("/hook"), "skip_url_test": true});
    let body = json!({"workspace": workspace.id, "type": "webhook", "name": "Course platform", "metadata": metadata});
    let made = api.post("/connections", &body).await.expect(201)["connection"].clone();
    let id = id_of(&made);
    assert_eq!(
        (&made["type"], &made["workspace"]),
        (&json!("webhook"), &json!(workspace.id))
    );
    for key in ["name", "metadata", "created_by", "created_at", "updated_at"] {
        assert!(
            made.get(key).is_some_and(|value| !value.is_null()),
            "{key}: {made}"
        );
    }
    assert_eq!(made["active"], json!(true));
    assert_eq!(made["metadata"]["url"], receiver.url("/hook"));
    assert_eq!(
        id_of(&api.get(&format!("/connections/{id}")).await.expect(200)),
        id
    );

    let rule = api.webhook_rule(&workspace, &id, "a").await;
    let path = format!("/connections/{id}");
    api.delete(&path).await.expect_error(409);
    api.call(Method::DELETE, &path, Some(&json!({"force_delete": false})))
        .await
        .expect_error(409);
    let gone = api
        .call(Method::DELETE, &path, Some(&json!({"force_delete": true})))
        .await
        .expect(200);
    assert_eq!((&gone["id"], &gone["type"]), (&json!(id), &json!("webhook")));
    api.get(&path).await.expect_error(404);
    api.delete(&path).await.expect_error(404);
    api.get(&format!("/rules/{rule}")).await.expect_error(404);

    let without_rules = api.webhook(&workspace, &receiver.url("/hook")).await;
    api.delete(&format!("/connections/{without_rules}"))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_connection_that_cannot_work_is_refused_when_it_is_saved() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Refused").await;
    let url = receiver.url("/hook");
    let good = json!({
        "workspace": workspace.id, "type": "webhook", "name": "Good", "metadata": {"url": url, "skip_url_test": true},
    });
    let with = |pointer: &str, value: Value| {
        let mut body = good.clone();
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        body.pointer_mut(parent).expect("a parent")[key] = value;
        body
    };
    let wrong = [
        with("/workspace", Value::Null),
        with("/workspace", json!("x")),
        with("/type", json!("telegraph")),
        with("/type", json!("Webhook")),
        with("/name", json!("")),
        with("/name", json!("x".repeat(129))),
        with("/name", json!("semi;colon")),
        with("/metadata", json!("url")),
        with("/metadata", json!({})),
        with("/metadata/url", json!("not a url")),
        with("/metadata/url", json!("ftp://example.com/")),
        with("/metadata/url", json!("file:///etc/passwd")),
        with("/metadata/url", json!("https://user:password@example.com/")),
        with("/metadata/http_method", json!("DELETE")),
        with("/metadata/payload_mode", json!("compressed")),
        with("/metadata/auth_scheme", json!("digest")),
        with("/metadata/custom_headers", json!({"content-type": "text/html"})),
        with("/metadata/custom_headers", json!({"host": "elsewhere.example"})),
        with("/metadata/custom_headers", json!({"x-a": "line\r\nbreak"})),
        with(
            "/metadata/custom_headers",
            json!({"a": "1", "b": "2", "c": "3", "d": "4", "e": "5", "f": "6"}),
        ),
        with("/metadata/signing_secret", json!("whsec_tooshort")),
        with("/metadata/retry_schedule", json!("whenever")),
    ];
    for body in wrong {
        let answer = api.post("/connections", &body).await;
        assert!([400, 404, 422].contains(&answer.status), "{body}: {answer:?}");
        let status = answer.status;
        answer.expect_error(status);
    }
    let hubspot = json!({"workspace": workspace.id, "type": "hubspot", "name": "No token", "metadata": {}});
    let answer = api.post("/connections", &hubspot).await;
    assert!([400, 422].contains(&answer.status), "{answer:?}");
    assert!(records(&api.get("/connections").await.expect(200)).is_empty());
    api.post("/connections", &good).await.expect(201);
}

#[tokio::test]
async fn a_rule_is_made_listed_changed_and_deleted() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Rules").await;
    let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
    let good = json!({
        "workspace": workspace.id, "connection": connection, "event": "lesson.completed", "resource": "course",
        "resource_id": "c1", "metadata": {"action": "send_webhook"},
    });
    let made = api.post("/rules", &good).await.expect(201)["rule"].clone();
    let id = id_of(&made);
    assert_eq!(
        (&made["type"], &made["active"], &made["hidden"]),
        (&json!("webhook"), &json!(true), &json!(false))
    );
    for key in [
        "workspace",
        "connection",
        "event",
        "resource",
        "resource_id",
        "metadata",
    ] {
        assert_eq!(made[key], good[key], "{key}");
    }
    let path = format!("/rules/{id}");
    assert_eq!(
        api.get(&path).await.expect(200)["metadata"]["action"],
        "send_webhook"
    );
    for (query, count) in [
        ("", 1),
        ("?event=lesson.completed", 1),
        ("?event=other", 0),
        ("?resource=course", 1),
        ("?resource=course&resource_id=c2", 0),
    ] {
        let lists = [
            format!("/rules{query}"),
            format!("/workspaces/{}/rules{query}", workspace.id),
        ];
        for list in lists {
            assert_eq!(records(&api.get(&list).await.expect(200)).len(), count, "{list}");
        }
    }
    let mut changed = good.clone();
    changed["event"] = json!("lesson.*");
    changed["active"] = json!(false);
    let changed = api.put(&path, &changed).await.expect(200);
    assert_eq!(
        (&changed["event"], &changed["active"]),
        (&json!("lesson.*"), &json!(false))
    );

    let with = |key: &str, value: Value| {
        let mut body = good.clone();
        body[key] = value;
        body
    };
    let wrong = [
        with("workspace", Value::Null),
        with("connection", json!("x")),
        with("event", json!("")),
        with("event", json!("a*")),
        with("resource", json!(" a")),
        with("resource_id", json!("x".repeat(65))),
        with("metadata", json!({})),
        with("metadata", json!({"action": "fly"})),
        with("metadata", json!("send_webhook")),
        with("active", json!("yes")),
    ];
    for body in wrong {
        let answer = api.post("/rules", &body).await;
        assert!([400, 404].contains(&answer.status), "{body}: {answer:?}");
        let status = answer.status;
        answer.expect_error(status);
    }
    let gone = api.delete(&path).await.expect(200);
    assert_eq!(
        (&gone["id"], &gone["connection"], &gone["type"]),
        (&json!(id), &json!(connection), &json!("webhook"))
    );
    api.get(&path).await.expect_error(404);
    api.delete(&path).await.expect_error(404);
}

#[tokio::test]
async fn the_integrations_describe_themselves_in_the_contracts_words() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let integrations = records(&api.get("/integrations").await.expect(200));
    let types: Vec<_> = integrations
        .iter()
        .filter_map(|integration| integration["type"].as_str())
        .collect();
    for bundled in ["webhook", "slack", "hubspot", "discord"] {
        assert!(types.contains(&bundled), "{types:?}");
    }
    for integration in &integrations {
        let name = &integration["type"];
        assert!(integration["name"].is_string(), "{integration}");
        let authentication = &integration["authentication"];
        one_of(authentication, "type", &["api_key", "basic", "none", "oauth"]);
        for field in items(authentication, "fields") {
            assert!(
                field["label"].is_string() && field["key"].is_string(),
                "{name}: {field}"
            );
            one_of(field, "type", &["text", "password", "select"]);
            if let Some(validate) = field.get("validate") {
                assert_eq!(validate, "url", "{name}: {field}");
            }
            for option in items(field, "options") {
                assert!(
                    option["label"].is_string() && option["value"].is_string(),
                    "{name}: {field}"
                );
            }
            if let Some(depends) = field.get("dependsOn") {
                let value = &depends["value"];
                assert!(
                    depends["field"].is_string() && (value.is_string() || value.is_array()),
                    "{name}: {field}"
                );
            }
        }
        let actions = integration["actions"]
            .as_object()
            .unwrap_or_else(|| panic!("{name} has no actions"));
        assert!(!actions.is_empty(), "{name}");
        for (key, action) in actions {
            assert_eq!(action["key"], *key, "{name}");
            assert!(
                action["label"].is_string() && action["noun"].is_string(),
                "{name} {key}: {action}"
            );
            for input in items(action, "data") {
                assert!(
                    input["key"].is_string() && input["field"].is_string(),
                    "{name} {key}: {input}"
                );
                one_of(input, "kind", &["simple", "field", "advanced"]);
                match input["kind"].as_str() {
                    Some("field") => {
                        assert!(input["label"].is_string(), "{name} {key}: {input}");
                        one_of(input, "type", &["text", "password", "textarea", "select"]);
                    }
                    Some("advanced") => {
                        let options = &input["options"];
                        let kinds = (options["type"].as_str(), options["entity"].as_str());
                        let known = [(Some("array"), Some("string")), (Some("select"), Some("option"))];
                        assert!(known.contains(&kinds), "{name} {key}: {input}");
                        assert!(
                            options["key"].is_string() && options["field"].is_string(),
                            "{name} {key}: {input}"
                        );
                        for text in ["label", "button", "description"] {
                            assert!(
                                options["display"][text].is_string(),
                                "{name} {key}: {text}: {input}"
                            );
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    let actions = |kind: &str| -> Vec<String> {
        let found = integrations
            .iter()
            .find(|integration| integration["type"] == kind)
            .expect("found before");
        found["actions"]
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect()
    };
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    assert_eq!(
        sorted(actions("hubspot")),
        [
            "add_to_list",
            "remove_from_list",
            "send_event",
            "update_property",
            "upsert_contact"
        ]
    );
    assert_eq!(sorted(actions("slack")), ["send_direct_message", "send_message"]);
    assert_eq!(actions("discord"), ["send_message"]);
    assert_eq!(
        sorted(actions("intercom")),
        ["add_tag", "remove_tag", "track_event", "upsert_contact"]
    );
    assert_eq!(
        sorted(actions("pipedrive")),
        [
            "add_label_to_person",
            "remove_label_from_person",
            "sync_person",
            "update_person_field"
        ]
    );
    assert_eq!(
        sorted(actions("salesforce")),
        [
            "add_to_campaign",
            "create_record",
            "remove_from_campaign",
            "update_property",
            "upsert_record"
        ]
    );
    assert_eq!(sorted(actions("customer_io")), ["identify", "track_event"]);
    assert_eq!(actions("webhook"), ["send_webhook"]);
}

#[tokio::test]
async fn a_browser_on_another_origin_may_emit_and_nothing_else() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Browser").await;
    let origin = "https://app.example.com";
    let preflight = |path: &str, method: &str| {
        let request = api
            .request(Method::OPTIONS, path)
            .header("origin", origin)
            .header("access-control-request-method", method)
            .header(
                "access-control-request-headers",
                "content-type,x-meshes-publishable-key,x-meshes-client",
            );
        api.send(request)
    };
    let allowed = |answer: &Answer, name: &str| answer.header(name).unwrap_or_default().to_ascii_lowercase();
    for path in ["/events", "/events/bulk"] {
        let answer = preflight(path, "POST").await;
        assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
        let origins = allowed(&answer, "access-control-allow-origin");
        assert!(origins == "*" || origins == origin, "{path}: {answer:?}");
        assert!(
            allowed(&answer, "access-control-allow-methods").contains("post"),
            "{path}: {answer:?}"
        );
        let headers = allowed(&answer, "access-control-allow-headers");
        for name in [
            "content-type",
            "x-meshes-publishable-key",
            "x-heddle-publishable-key",
            "x-meshes-client",
        ] {
            assert!(
                headers.contains(name) || headers == "*",
                "{path}: {name}: {answer:?}"
            );
        }
        assert!(
            answer.header("access-control-allow-credentials").is_none(),
            "{path}: {answer:?}"
        );
    }
    let body = json!({"event": "a", "payload": {"n": 1}});
    let request = api
        .request(Method::POST, "/events")
        .header("origin", origin)
        .header("x-meshes-publishable-key", &workspace.publishable_key);
    let answer = api.send(request.json(&body)).await;
    assert_eq!(answer.status, 201);
    assert!(
        answer.header("access-control-allow-origin").is_some(),
        "{answer:?}"
    );

    let id = &workspace.id;
    let others = [
        "/workspaces",
        "/connections",
        "/rules",
        "/integrations",
        &format!("/events/{id}"),
        "/nothing",
    ];
    for path in others {
        let answer = preflight(path, "GET").await;
        assert!(
            answer.header("access-control-allow-origin").is_none(),
            "{path}: {answer:?}"
        );
        let request = api.request(Method::GET, path).header("origin", origin);
        let answer = api.send(request.bearer_auth(token::machine(api.keys()))).await;
        assert!(
            answer.header("access-control-allow-origin").is_none(),
            "{path}: {answer:?}"
        );
    }
    let reading = api.request(Method::GET, "/events").header("origin", origin);
    let answer = api.send(reading.bearer_auth(token::machine(api.keys()))).await;
    assert!(
        answer.header("access-control-allow-origin").is_none(),
        "reading events is not for browsers: {answer:?}"
    );
}

/// The list under `key`; empty when there is none.
fn items<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    of.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn one_of(of: &Value, key: &str, words: &[&str]) {
    let word = of[key].as_str().unwrap_or_else(|| panic!("no {key}: {of}"));
    assert!(words.contains(&word), "{key} is {word}: {of}");
}

#[tokio::test]
async fn a_rule_is_refused_rather_than_half_understood() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Rules").await;
    let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
    let rule = |extra: Value| {
        let mut body = json!({
            "workspace": workspace.id, "connection": connection, "event": "a",
            "metadata": {"action": "send_webhook"},
        });
        for (key, value) in extra.as_object().expect("an object") {
            body[key] = value.clone();
        }
        body
    };
    for extra in [
        json!({"condition": "payload.plan = 'pro'"}),
        json!({"mapping": {"fields": []}}),
        json!({"transform": {"plugin": "x"}}),
        json!({"metadata": {"action": "send_webhook", "id": ["1"]}}),
    ] {
        api.post("/rules", &rule(extra)).await.expect_error(400);
    }
    let numbered = rule(json!({"metadata": {"action": "send_webhook", "id": 5, "value": null}}));
    let made = api.post("/rules", &numbered).await.expect(201);
    assert_eq!(
        made["rule"]["metadata"],
        json!({"action": "send_webhook", "id": "5"})
    );
}

#[tokio::test]
async fn two_credentials_do_not_share_a_header_and_slack_needs_one() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Headers").await;
    let save = |kind: &str, metadata: Value| {
        let body = json!({"workspace": workspace.id, "type": kind, "name": "One", "metadata": metadata});
        let api = &api;
        async move { api.post("/connections", &body).await }
    };
    let shared = json!({
        "url": "https://example.com/", "auth_scheme": "bearer", "bearer_token": "token-1234",
        "signing_scheme": "hmac_sha256", "signing_secret": "secret-1234", "signing_header": "Authorization",
    });
    save("webhook", shared).await.expect_error(400);
    save("slack", json!({})).await.expect_error(400);
}
