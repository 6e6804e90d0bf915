//! A client that speaks the published contract, as a product's backend would.

use std::time::Duration;

use http::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::description;
use crate::engine::{Engine, Keys};
use crate::token;
use crate::wait::until;

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    asked: String,
    /// The HTTP status.
    pub status: u16,
    /// As received.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The body of an answer that must have this status.
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text);
        self.json()
    }

    /// Checks that this is the contract's error shape, with this status, and gives its body.
    pub fn expect_error(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text);
        let body = self.json();
        let is_text = |pointer: &str| {
            body.pointer(pointer)
                .is_some_and(|v| v.as_str().is_some_and(|t| !t.is_empty()))
        };
        for pointer in [
            "/message",
            "/error/name",
            "/error/message",
            "/code",
            "/request_id",
        ] {
            assert!(is_text(pointer), "{} has no {pointer}: {}", self.asked, self.text);
        }
        if let Some(data) = body.pointer("/error/data") {
            let items = data
                .as_array()
                .unwrap_or_else(|| panic!("{}: data is no list: {body}", self.asked));
            for item in items {
                let named = item["param"].is_string() && item["msg"].is_string();
                assert!(named, "{}: data without param and msg: {body}", self.asked);
            }
        }
        let code = body["code"].as_str().unwrap_or_default();
        let snake = code
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        assert!(snake, "{}: {code:?} is not in snake case", self.asked);
        body
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A workspace and its publishable key.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Workspace {
    pub id: String,
    pub publishable_key: String,
}

/// A client with a machine key.
#[derive(Clone)]
pub struct Api {
    client: Client,
    base: String,
    keys: Keys,
}

impl Api {
    /// A client of `engine` with a key of the default organization.
    pub async fn of(engine: &Engine) -> Self {
        Self::with(engine, engine.home().create_keys().await)
    }

    /// A client with a key of an organization of its own.
    pub async fn of_new_organisation(engine: &Engine) -> Self {
        Self::with(engine, engine.home().create_keys_of_new_organisation().await)
    }

    /// A client with this key.
    pub fn with(engine: &Engine, keys: Keys) -> Self {
        let client = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build()
            .expect("a client for plain HTTP can be built");
        Self {
            client,
            base: engine.base().to_owned(),
            keys,
        }
    }

    /// The same client after the engine has moved to another port.
    pub fn at(&self, engine: &Engine) -> Self {
        Self {
            base: engine.base().to_owned(),
            ..self.clone()
        }
    }

    /// The key that it signs with.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// A request to `path` below `/api/v1`, without credentials.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}/api/v1{path}", self.base))
    }

    /// A request to any path, without credentials.
    pub fn request_root(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Sends a request and reads the answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request)
            .await
            .unwrap_or_else(|error| panic!("no answer: {error:?}"))
    }

    /// The same, for tests in which the engine may die meanwhile.
    pub async fn try_send(&self, request: RequestBuilder) -> Result<Answer, reqwest::Error> {
        let request = request.build()?;
        let asked = format!("{} {}", request.method(), request.url());
        let (method, path) = (request.method().to_string(), request.url().path().to_owned());
        // A CloudEvent is described by its own specification.
        let is_cloud =
            |kind: &http::HeaderValue| kind.to_str().is_ok_and(|kind| kind.contains("cloudevents"));
        let own = !request.headers().get_all("content-type").iter().any(is_cloud)
            && !request.headers().contains_key("ce-specversion");
        let body = request.body().and_then(|body| body.as_bytes());
        let sent = body.filter(|_| own).map(<[u8]>::to_vec);
        let description = description::of(&self.client, &self.base).await;
        let response = self.client.execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        if let (Some(description), Some(path)) = (description, path.strip_prefix("/api/v1")) {
            let problem = description.problem(&method, path, sent.as_deref(), status, &text);
            assert!(problem.is_none(), "{}", problem.unwrap_or_default());
        }
        Ok(Answer {
            asked,
            status,
            headers,
            text,
        })
    }

    /// A request with a fresh machine token.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = self.request(method, path).bearer_auth(token::machine(&self.keys));
        self.send(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// `POST`.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    /// `POST` without a body.
    pub async fn post_empty(&self, path: &str) -> Answer {
        self.call(Method::POST, path, None).await
    }

    /// `PUT`.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// `POST` with a publishable key instead of a machine token.
    pub async fn post_with_key(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.send(
            self.request(Method::POST, path)
                .header("x-meshes-publishable-key", key)
                .json(body),
        )
        .await
    }

    /// A new workspace.
    pub async fn workspace(&self, name: &str) -> Workspace {
        let made = self.post("/workspaces", &json!({"name": name})).await.expect(201);
        let id = id_of(&made["workspace"]);
        let read = self.get(&format!("/workspaces/{id}")).await.expect(200);
        let key = read["publishable_key"]["public_key"].as_str();
        Workspace {
            id,
            publishable_key: key.unwrap_or_else(|| panic!("no key: {read}")).to_owned(),
        }
    }

    /// A new connection.
    pub async fn connection(&self, workspace: &Workspace, kind: &str, name: &str, metadata: Value) -> String {
        let body = json!({"workspace": workspace.id, "type": kind, "name": name, "metadata": metadata});
        id_of(&self.post("/connections", &body).await.expect(201)["connection"])
    }

    /// A new webhook connection to `url`, without the test request on save.
    pub async fn webhook(&self, workspace: &Workspace, url: &str) -> String {
        let name = format!("Webhook {}", uuid::Uuid::now_v7().simple());
        self.connection(
            workspace,
            "webhook",
            &name,
            json!({"url": url, "skip_url_test": true}),
        )
        .await
    }

    /// A new rule.
    pub async fn rule(
        &self,
        workspace: &Workspace,
        connection: &str,
        event: &str,
        metadata: Value,
    ) -> String {
        let body = json!({"workspace": workspace.id, "connection": connection, "event": event, "metadata": metadata});
        id_of(&self.post("/rules", &body).await.expect(201)["rule"])
    }

    /// A rule that sends `event` to a webhook connection.
    pub async fn webhook_rule(&self, workspace: &Workspace, connection: &str, event: &str) -> String {
        self.rule(workspace, connection, event, json!({"action": "send_webhook"}))
            .await
    }

    /// Emits an event into a workspace and gives its id.
    pub async fn emit(&self, workspace: &Workspace, event: &str, payload: Value) -> String {
        let body = json!({"workspace": workspace.id, "event": event, "payload": payload});
        id_of(&self.post("/events", &body).await.expect(201)["event"])
    }

    /// An event with its rule events.
    pub async fn event(&self, id: &str) -> Value {
        self.get(&format!("/events/{id}")).await.expect(200)
    }

    /// Waits until an event has this status.
    pub async fn wait_for_event(&self, id: &str, status: &str) -> Value {
        until(
            &format!("event {id} to be {status}"),
            || self.event(id),
            |event| event["status"] == status,
        )
        .await
    }

    /// The rule event of one rule.
    pub async fn rule_event(&self, event: &str, rule: &str) -> Value {
        let event = self.event(event).await;
        let rule_events = event["rule_events"].as_array().cloned().unwrap_or_default();
        let found = rule_events
            .into_iter()
            .find(|rule_event| rule_event["rule"] == rule);
        found.unwrap_or_else(|| panic!("no rule event of {rule}: {event}"))
    }

    /// Waits until the rule event of one rule has this status.
    pub async fn wait_for_rule_event(&self, event: &str, rule: &str, status: &str) -> Value {
        let what = format!("rule {rule} of event {event} to be {status}");
        until(
            &what,
            || self.rule_event(event, rule),
            |rule_event| rule_event["status"] == status,
        )
        .await
    }

    /// The attempts of a rule event, oldest first.
    pub async fn attempts(&self, event: &str, rule: &str) -> Vec<Value> {
        let mut attempts = records(
            &self
                .get(&format!("/events/{event}/rules/{rule}/attempts"))
                .await
                .expect(200),
        );
        attempts.sort_by_key(|attempt| attempt["id"].as_str().unwrap_or_default().to_owned());
        attempts
    }
}

/// The `id` of an answer, which must be a UUID of version 7.
pub fn id_of(record: &Value) -> String {
    let id = record["id"].as_str().unwrap_or_else(|| panic!("no id: {record}"));
    let parsed = uuid::Uuid::parse_str(id).unwrap_or_else(|error| panic!("{id} is no UUID: {error}"));
    assert_eq!(parsed.get_version_num(), 7, "{id}");
    id.to_owned()
}

/// The records of a list, whose shape is checked.
pub fn records(list: &Value) -> Vec<Value> {
    let records = list["records"]
        .as_array()
        .unwrap_or_else(|| panic!("no list: {list}"))
        .clone();
    assert!(list["count"].is_u64(), "{list}");
    assert!(list["limit"].as_u64().is_some_and(|limit| limit > 0), "{list}");
    let cursor = list
        .get("next_cursor")
        .unwrap_or_else(|| panic!("no next_cursor: {list}"));
    assert!(cursor.is_null() || cursor.is_string(), "{list}");
    records
}

/// The example: one event with a payload as a product would send it.
pub fn lesson_completed() -> Value {
    json!({
        "event": "lesson.completed",
        "resource": "course",
        "resource_id": "creator-accelerator",
        "payload": {
            "student_id": "stu_2048",
            "email": "nina@academyflow.io",
            "lesson_id": "lesson_customer-research",
            "lesson_title": "Customer Research Fundamentals",
            "module_id": "module_growth-foundations",
            "module_title": "Growth Foundations",
            "course_id": "course_creator-accelerator",
            "completion_percentage": 62,
            "time_spent_seconds": 1840,
            "completed_at": "2026-03-21T14:18:00Z"
        }
    })
}
