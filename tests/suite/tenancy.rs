//! Two tenants that never see each other: every route is tried with the other's ids.

use heddle_tests::api::{Answer, Api, Workspace, records};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::{Receiver, Reply};
use reqwest::Method;
use serde_json::{Value, json};

/// A tenant with one of everything.
struct Tenant {
    name: String,
    api: Api,
    workspace: Workspace,
    connection: String,
    rule: String,
    event: String,
    attempt: String,
}

impl Tenant {
    async fn new(api: Api, name: &str, receiver: &Receiver) -> Self {
        let workspace = api.workspace(name).await;
        let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
        let rule = api.webhook_rule(&workspace, &connection, "a").await;
        let event = api.emit(&workspace, "a", json!({"of": name})).await;
        api.wait_for_event(&event, "failed").await;
        let attempts = api.attempts(&event, &rule).await;
        let attempt = attempts[0]["id"].as_str().expect("an id").to_owned();
        Self {
            name: name.to_owned(),
            api,
            workspace,
            connection,
            rule,
            event,
            attempt,
        }
    }

    /// Every route that names something, filled in with this tenant's ids.
    fn routes(&self) -> Vec<(Method, String, Option<Value>)> {
        let Self {
            workspace,
            connection,
            rule,
            event,
            attempt,
            ..
        } = self;
        let workspace = &workspace.id;
        let delivery = format!("/events/{event}/rules/{rule}");
        let metadata = json!({"url": "http://127.0.0.1:9/", "skip_url_test": true});
        let get = |path: String| (Method::GET, path, None);
        vec![
            get(format!("/workspaces/{workspace}")),
            (
                Method::PUT,
                format!("/workspaces/{workspace}"),
                Some(json!({"name": "Taken over"})),
            ),
            (
                Method::DELETE,
                format!("/workspaces/{workspace}"),
                Some(json!({"confirm": self.name})),
            ),
            get(format!("/workspaces/{workspace}/publishable-keys")),
            (
                Method::POST,
                format!("/workspaces/{workspace}/publishable-keys"),
                Some(json!({"overlap_seconds": 0})),
            ),
            get(format!("/workspaces/{workspace}/connections")),
            get(format!("/workspaces/{workspace}/rules")),
            get(format!("/workspaces/{workspace}/events")),
            get(format!("/connections/{connection}")),
            (
                Method::PUT,
                format!("/connections/{connection}"),
                Some(json!({"name": "Mine", "metadata": metadata})),
            ),
            (
                Method::DELETE,
                format!("/connections/{connection}"),
                Some(json!({"force_delete": true})),
            ),
            get(format!("/connections/{connection}/actions")),
            get(format!("/connections/{connection}/fields")),
            get(format!("/connections/{connection}/mappings/default")),
            (
                Method::PUT,
                format!("/connections/{connection}/mappings/default"),
                Some(json!({"schema": {"schema_version": 1, "fields": []}})),
            ),
            (Method::POST, format!("/connections/{connection}/check"), None),
            get(format!("/rules/{rule}")),
            (
                Method::PUT,
                format!("/rules/{rule}"),
                Some(json!({"event": "b", "metadata": {"action": "send_webhook"}, "active": false})),
            ),
            (Method::DELETE, format!("/rules/{rule}"), None),
            get(format!("/events/{event}")),
            get(format!("/events/{event}/payload")),
            get(format!("{delivery}/attempts")),
            get(format!("{delivery}/attempts/{attempt}")),
            get(format!("{delivery}/attempts/{attempt}/response-details")),
            (Method::POST, format!("{delivery}/retry"), None),
            (Method::POST, format!("{delivery}/cancel"), None),
            (Method::POST, format!("/events/{event}/cancel"), None),
        ]
    }

    /// Everything that this tenant can see of itself.
    async fn snapshot(&self) -> Vec<String> {
        let mut seen = Vec::new();
        let workspace = self.workspace.id.as_str();
        for path in [
            format!("/workspaces/{workspace}"),
            format!("/connections/{}", self.connection),
            format!("/rules/{}", self.rule),
            format!("/events/{}", self.event),
            format!("/events/{}/payload", self.event),
            format!("/events/{}/rules/{}/attempts", self.event, self.rule),
        ] {
            seen.push(self.api.get(&path).await.expect(200).to_string());
        }
        seen
    }
}

async fn two_tenants(engine: &Engine) -> (Tenant, Tenant) {
    let receiver = Receiver::start().await;
    receiver.always("/hook", Reply::text(500, "no"));
    let one = Tenant::new(Api::of(engine).await, "Of one", &receiver).await;
    let two = Tenant::new(Api::of_new_organisation(engine).await, "Of two", &receiver).await;
    (one, two)
}

fn expect_refused(answer: Answer) {
    let status = answer.status;
    assert!(status == 404 || status == 403, "{status}: {answer:?}");
    answer.expect_error(status);
}

#[tokio::test]
async fn no_route_gives_one_organisation_anything_of_another() {
    let engine = Engine::start(Settings::default().retrying("0s")).await;
    let (one, two) = two_tenants(&engine).await;
    assert_ne!(one.api.keys().organization_id, two.api.keys().organization_id);
    let before = (one.snapshot().await, two.snapshot().await);
    for (victim, thief) in [(&one, &two), (&two, &one)] {
        for (method, path, body) in victim.routes() {
            let answer = thief.api.call(method.clone(), &path, body.as_ref()).await;
            let leaked = [&victim.connection, &victim.rule, &victim.event, &victim.attempt]
                .into_iter()
                .any(|id| !path.contains(id.as_str()) && answer.text.contains(id.as_str()));
            assert!(!leaked, "{method} {path}: {}", answer.text);
            expect_refused(answer);
        }
        for path in ["/workspaces", "/connections", "/rules", "/events"] {
            let seen = records(&thief.api.get(path).await.expect(200));
            assert_eq!(seen.len(), 1, "{path} shows more than the one of its own");
            assert!(!json!(seen).to_string().contains(&victim.workspace.id), "{path}");
        }
        let url = json!({"url": "http://127.0.0.1:9/", "skip_url_test": true});
        let connection =
            json!({"workspace": victim.workspace.id, "type": "webhook", "name": "Spy", "metadata": url});
        expect_refused(thief.api.post("/connections", &connection).await);
        for (workspace, connection) in [
            (&victim.workspace.id, &victim.connection),
            (&victim.workspace.id, &thief.connection),
            (&thief.workspace.id, &victim.connection),
        ] {
            let rule = json!({
                "workspace": workspace, "connection": connection, "event": "a", "metadata": {"action": "send_webhook"},
            });
            expect_refused(thief.api.post("/rules", &rule).await);
        }
        let event = json!({"workspace": victim.workspace.id, "event": "a", "payload": {"n": 1}});
        let refused = thief.api.post("/events", &event).await.expect_error(400);
        assert_eq!(refused["code"], "unknown_workspace");
        let bulk = thief.api.post("/events/bulk", &json!([event])).await;
        assert!(bulk.status != 201 && !bulk.text.contains("\"id\""), "{bulk:?}");
    }
    assert_eq!(
        (one.snapshot().await, two.snapshot().await),
        before,
        "nothing was changed"
    );
}

#[tokio::test]
async fn two_workspaces_of_one_organisation_share_no_destination() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let (red, blue) = (api.workspace("Red").await, api.workspace("Blue").await);
    let to_red = api.webhook(&red, &receiver.url("/red")).await;
    let to_blue = api.webhook(&blue, &receiver.url("/blue")).await;
    let rule = api.webhook_rule(&red, &to_red, "a").await;
    api.webhook_rule(&blue, &to_blue, "a").await;
    let crossed = json!({
        "workspace": red.id, "connection": to_blue, "event": "a", "metadata": {"action": "send_webhook"},
    });
    let answer = api.post("/rules", &crossed).await;
    assert!([400, 403, 404].contains(&answer.status), "{answer:?}");

    let event = api.emit(&red, "a", json!({"n": 1})).await;
    let event = api.wait_for_event(&event, "completed").await;
    assert_eq!(
        (&event["total_rules"], &event["rule_events"][0]["rule"]),
        (&json!(1), &json!(rule))
    );
    assert!(receiver.requests_at("/blue").is_empty());
    for (workspace, count) in [(&red, 1), (&blue, 0)] {
        let events = records(
            &api.get(&format!("/workspaces/{}/events", workspace.id))
                .await
                .expect(200),
        );
        assert_eq!(events.len(), count);
    }
    let connections = records(
        &api.get(&format!("/workspaces/{}/connections", blue.id))
            .await
            .expect(200),
    );
    assert!(connections.iter().all(|connection| connection["id"] == to_blue) && connections.len() == 1);
    let rules = records(
        &api.get(&format!("/workspaces/{}/rules", red.id))
            .await
            .expect(200),
    );
    assert!(rules.iter().all(|found| found["id"] == rule) && rules.len() == 1);
}

#[tokio::test]
async fn a_publishable_key_emits_into_its_own_workspace_and_does_nothing_else() {
    let engine = Engine::start(Settings::default().retrying("0s")).await;
    let (one, two) = two_tenants(&engine).await;
    let key = &one.workspace.publishable_key;
    let own = json!({"workspace": one.workspace.id, "event": "b", "payload": {"n": 1}});
    one.api.post_with_key(key, "/events", &own).await.expect(201);
    let foreign = json!({"workspace": two.workspace.id, "event": "b", "payload": {"n": 1}});
    one.api
        .post_with_key(key, "/events", &foreign)
        .await
        .expect_error(403);
    let sibling = one.api.workspace("Sibling").await;
    let to_sibling = json!({"workspace": sibling.id, "event": "b", "payload": {"n": 1}});
    one.api
        .post_with_key(key, "/events", &to_sibling)
        .await
        .expect_error(403);
    let mixed = one
        .api
        .post_with_key(key, "/events/bulk", &json!([own, foreign]))
        .await;
    assert_ne!(mixed.status, 201, "{mixed:?}");
    assert_eq!(records(&two.api.get("/events").await.expect(200)).len(), 1);

    let before = one.snapshot().await;
    let lists = [
        "/workspaces",
        "/connections",
        "/integrations",
        "/rules",
        "/events",
    ];
    let mut routes: Vec<_> = lists
        .into_iter()
        .map(|path| (Method::GET, path.to_owned(), None))
        .collect();
    routes.extend(one.routes());
    routes.push((
        Method::POST,
        "/workspaces".into(),
        Some(json!({"name": "By key"})),
    ));
    routes.push((Method::POST, "/connections".into(), Some(json!({}))));
    routes.push((Method::POST, "/rules".into(), Some(json!({}))));
    for (method, path, body) in routes {
        let request = one
            .api
            .request(method.clone(), &path)
            .header("x-meshes-publishable-key", key);
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = one.api.send(request).await;
        assert!([401, 403].contains(&answer.status), "{method} {path}: {answer:?}");
    }
    assert_eq!(one.snapshot().await, before);
}

#[tokio::test]
async fn a_key_that_is_nearly_right_is_refused() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let key = api.workspace("Keys").await.publishable_key;
    let parts: Vec<_> = key.splitn(5, '_').collect();
    assert_eq!(
        (parts.len(), &parts[..3]),
        (5, &["mesh", "pub", "live"][..]),
        "{key}"
    );
    let last = key.chars().last().expect("a character");
    let other = if last == 'A' { 'B' } else { 'A' };
    let wrong = [
        String::new(),
        "mesh_pub_live".into(),
        format!("mesh_pub_live_{}_", parts[3]),
        format!("mesh_pub_live_{}_x", parts[3]),
        format!("mesh_pub_test_{}_{}", parts[3], parts[4]),
        format!("{}{other}", &key[..key.len() - 1]),
        format!("{key}{other}"),
        key[..key.len() - 1].to_owned(),
        key.to_uppercase(),
        "mesh_pub_live_' OR 1=1 --_x".into(),
        "x".repeat(10_000),
    ];
    let body = json!({"event": "a", "payload": {"n": 1}});
    for key in wrong {
        let answer = api.post_with_key(&key, "/events", &body).await;
        assert_eq!(answer.status, 401, "{key}: {answer:?}");
    }
    assert_eq!(api.get("/events").await.expect(200)["records"], json!([]));
}
