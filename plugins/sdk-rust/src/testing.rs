//! Adapters as tables: a scene with scripted replies in, the requests and the outcome out. No
//! network, no component; native only.
//!
//! Every step is run twice from the start, as Heddle may do, and the two must agree: an adapter that
//! is not pure fails its own tests.

use serde_json::{Map, Value, json};

use crate::call::{self, Step};
use crate::{Adapter, Delivery, Failure, FailureKind, Header, Reply, Request};

/// A call of an adapter with everything that Heddle would tell it. It starts with an event
/// `lesson.completed` of the course `creator-accelerator`, accepted at 1774137600000 and sent half a
/// second later as delivery `delivery-1`, without settings, secrets or inputs.
#[derive(Clone, Debug)]
pub struct Scene {
    input: Value,
    payload: String,
    replies: Vec<Reply>,
}

/// Everything that an adapter did with a [`Scene`].
#[derive(Clone, Debug)]
pub struct Run {
    /// The requests in order.
    pub requests: Vec<Request>,
    /// How it ended; `None` when it waits for a reply that the scene does not have.
    pub outcome: Option<Result<Value, Failure>>,
}

impl Scene {
    /// A delivery by `action`.
    pub fn action(action: &str) -> Self {
        let mut scene = Self::connection();
        scene.input["action"] = action.into();
        scene.input["inputs"]["action"] = action.into();
        scene
    }

    /// A question about a connection: for [`Self::check`], [`Self::choices`] and [`Self::fields`].
    pub fn connection() -> Self {
        Self {
            input: json!({
                "delivery": {"id": "delivery-1", "attempt": 1, "sent_at": 1_774_137_600_500_i64},
                "event": {"id": "event-1", "event": "lesson.completed", "resource": "course",
                    "resource_id": "creator-accelerator", "created_at": 1_774_137_600_000_i64},
                "action": "", "inputs": {}, "fields": {},
                "connection": {"id": "connection-1", "settings": {}, "credentials": []},
            }),
            payload: json!({
                "student_id": "stu_2048", "email": "nina@academyflow.io",
                "lesson_title": "Customer Research Fundamentals", "completion_percentage": 62,
            })
            .to_string(),
            replies: Vec::new(),
        }
    }

    /// With this payload.
    pub fn payload(self, payload: Value) -> Self {
        self.payload_text(&payload.to_string())
    }

    /// With a payload of exactly this JSON text.
    pub fn payload_text(mut self, payload: &str) -> Self {
        self.payload = payload.to_owned();
        self
    }

    /// With another member of the event, such as `resource_id`.
    pub fn event(self, key: &str, value: impl Into<Value>) -> Self {
        self.with("event", key, value)
    }

    /// With an input of the rule.
    pub fn input(self, key: &str, value: impl Into<Value>) -> Self {
        self.with("inputs", key, value)
    }

    /// With a field that the mapping filled.
    pub fn field(self, key: &str, value: impl Into<Value>) -> Self {
        self.with("fields", key, value)
    }

    /// The same delivery, attempted again five seconds later.
    pub fn again(mut self) -> Self {
        let delivery = &mut self.input["delivery"];
        delivery["attempt"] = (delivery["attempt"].as_i64().unwrap_or(0) + 1).into();
        delivery["sent_at"] = (delivery["sent_at"].as_i64().unwrap_or(0) + 5_000).into();
        self
    }

    /// With another delivery's id.
    pub fn delivery_id(self, id: &str) -> Self {
        self.with("delivery", "id", id)
    }

    /// With a setting of the connection.
    pub fn setting(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.input["connection"]["settings"][key] = value.into();
        self
    }

    /// With a secret of the connection set, of which an adapter only ever sees the key.
    pub fn secret(mut self, key: &str) -> Self {
        if let Some(keys) = self.input["connection"]["credentials"].as_array_mut() {
            keys.push(key.into());
        }
        self
    }

    /// With a member of the question that `choices` and `fields` are asked, such as `cursor`.
    pub fn query(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.input[key] = value.into();
        self
    }

    /// Then the destination answers with JSON; `null` means an empty body.
    pub fn reply(self, status: u16, body: Value) -> Self {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.reply_text(status, &text)
    }

    /// Then the destination answers with this body.
    pub fn reply_text(mut self, status: u16, body: &str) -> Self {
        self.replies.push(Reply::new(status, body));
        self
    }

    /// With a header on the reply added last.
    pub fn reply_header(mut self, name: &str, value: &str) -> Self {
        let reply = self.replies.last_mut().expect("a header needs a reply to be on");
        reply.headers.push(Header {
            name: name.to_ascii_lowercase(),
            value: value.to_owned(),
        });
        self
    }

    fn with(mut self, part: &str, key: &str, value: impl Into<Value>) -> Self {
        self.input[part][key] = value.into();
        self
    }

    /// The delivery as the adapter would see it.
    pub fn delivery(&self) -> Delivery {
        Delivery::read(&self.text()).expect("a scene is a delivery")
    }

    /// Runs [`Adapter::deliver`].
    pub fn deliver<A: Adapter>(&self) -> Run {
        self.run(call::deliver::<A>)
    }

    /// Runs [`Adapter::check`].
    pub fn check<A: Adapter>(&self) -> Run {
        self.run(call::check::<A>)
    }

    /// Runs [`Adapter::choices`].
    pub fn choices<A: Adapter>(&self) -> Run {
        self.run(call::choices::<A>)
    }

    /// Runs [`Adapter::fields`].
    pub fn fields<A: Adapter>(&self) -> Run {
        self.run(call::fields::<A>)
    }

    /// The input as JSON text, with the payload byte for byte.
    fn text(&self) -> String {
        let mut input = self.input.clone();
        input["event"]["payload"] = "\u{1}payload".into();
        input.to_string().replacen("\"\\u0001payload\"", &self.payload, 1)
    }

    fn run(&self, function: impl Fn(&str, Vec<Reply>) -> Result<Step, Failure>) -> Run {
        let input = self.text();
        let mut requests = Vec::new();
        loop {
            let replies = &self.replies[..requests.len()];
            let (first, again) = (
                function(&input, replies.to_vec()),
                function(&input, replies.to_vec()),
            );
            match (first, again) {
                (Ok(Step::Send(request)), Ok(Step::Send(same))) => {
                    assert_eq!(request, same, "the adapter is not pure");
                    requests.push(request);
                    if requests.len() > self.replies.len() {
                        return Run {
                            requests,
                            outcome: None,
                        };
                    }
                }
                (Ok(Step::Done(answer)), Ok(Step::Done(same))) => {
                    assert_eq!(answer, same, "the adapter is not pure");
                    let answer = serde_json::from_str(&answer).expect("an answer is JSON");
                    return Run {
                        requests,
                        outcome: Some(Ok(answer)),
                    };
                }
                (Err(failure), Err(same)) => {
                    assert_eq!(failure, same, "the adapter is not pure");
                    return Run {
                        requests,
                        outcome: Some(Err(failure)),
                    };
                }
                _ => panic!("the adapter is not pure"),
            }
        }
    }
}

impl Run {
    /// The answer; panics when it ended otherwise.
    pub fn done(&self) -> &Value {
        match &self.outcome {
            Some(Ok(answer)) => answer,
            other => panic!("not done: {other:?}"),
        }
    }

    /// The failure; panics when it ended otherwise.
    pub fn failure(&self) -> &Failure {
        match &self.outcome {
            Some(Err(failure)) => failure,
            other => panic!("no failure: {other:?}"),
        }
    }

    /// The kind of the failure; `None` when it is done. Panics when it waits for another reply.
    pub fn kind(&self) -> Option<FailureKind> {
        let outcome = self
            .outcome
            .as_ref()
            .expect("the adapter waits for another reply");
        outcome.as_ref().err().map(|failure| failure.kind)
    }

    /// Method and URL of every request, as `POST https://…`.
    pub fn lines(&self) -> Vec<String> {
        self.requests
            .iter()
            .map(|request| format!("{} {}", request.method, request.url))
            .collect()
    }

    /// The JSON body of the request at `index`.
    pub fn body(&self, index: usize) -> Value {
        serde_json::from_slice(&self.requests[index].body).expect("the request's body is JSON")
    }
}

/// Checks what every manifest must have and returns it: it is JSON, carries `version` (write
/// `env!("CARGO_PKG_VERSION")`), its keys agree, its credentials name secrets, every `{setting}` in a
/// host exists, and every secret is applied by some credential.
///
/// # Panics
///
/// When one of these does not hold.
pub fn manifest<A: Adapter>(version: &str) -> Value {
    let manifest: Value = serde_json::from_str(A::MANIFEST).expect("the manifest is JSON");
    assert_eq!(
        manifest["version"], version,
        "the manifest names the crate's version"
    );
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let fields = list(&manifest["authentication"]["fields"]);
    let field = |key: &Value| fields.iter().find(|field| field["key"] == *key);
    let credentials = list(&manifest["credentials"]);
    for credential in &credentials {
        let field = field(&credential["field"]).unwrap_or_else(|| panic!("no field for {credential}"));
        assert_eq!(
            field["type"], "password",
            "{credential} names a field that is no password"
        );
    }
    for secret in fields.iter().filter(|field| field["type"] == "password") {
        let key = &secret["key"];
        let applied = |one: &Value| one["field"] == *key || one["previous_field"] == *key;
        assert!(
            credentials.iter().any(applied),
            "no credential applies the secret {key}"
        );
    }
    for host in list(&manifest["hosts"]) {
        for placeholder in host.as_str().unwrap_or_default().split('{').skip(1) {
            let name = placeholder.split('}').next().unwrap_or_default();
            let key = name.strip_suffix(".host").unwrap_or(name);
            assert!(field(&key.into()).is_some(), "the host {host} names no setting");
        }
    }
    let actions = manifest["actions"].as_object().map(Map::len).unwrap_or_default();
    assert!(actions > 0, "the manifest has actions");
    for (key, action) in manifest["actions"].as_object().expect("actions are an object") {
        assert_eq!(action["key"], *key, "an action's key agrees with its place");
    }
    manifest
}
