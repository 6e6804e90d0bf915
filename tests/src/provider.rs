//! A provider that is played from a script: one server for each of its hosts, one list of exchanges for
//! all of them. A request that is not the one that the script has next is answered 599 and remembered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use http::Response;
use serde_json::{Map, Value};
use tokio::net::TcpListener;

/// A request as it came in, and the host that it was meant for.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Asked {
    pub host: String,
    pub method: String,
    /// As it was sent, percent-encoded.
    pub path: String,
    pub query: Option<String>,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
}

/// One request that is expected, and its answer, as a fixture has it:
///
/// ```json
/// {"request": "POST api.acme.example/people?dry=1", "body": {"email": "nina@academyflow.io"},
///  "headers": {"x-version": "2"}, "reply": {"status": 201, "json": {"id": "p1"}}}
/// ```
///
/// `body` may be JSON, an object called `form`, or absent when it does not matter; a text `"$any"` in it
/// stands for any value, `"$delivery"` for the delivery's id. `reply` has `status`, `headers` and `json`
/// or `text`; a text `"$echo"` repeats the request, credentials and all. A header `"$unix+30"` is the time in 30 seconds, in seconds since the epoch, and
/// `"$instant+30"` the same as RFC 3339.
#[derive(Clone, Debug)]
pub struct Exchange(pub Value);

#[derive(Default)]
struct Stage {
    script: VecDeque<Exchange>,
    delivery: Option<String>,
    asked: Vec<Asked>,
    wrong: Vec<String>,
}

/// The servers; they stop with the test.
#[derive(Clone)]
pub struct Provider {
    stage: Arc<Mutex<Stage>>,
    /// Each host with the address that plays it.
    pub hosts: Vec<(String, String)>,
}

impl Provider {
    /// One server for each host.
    pub async fn start(hosts: &[String]) -> Self {
        let stage = Arc::new(Mutex::new(Stage::default()));
        let mut bound = Vec::new();
        for host in hosts {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
            bound.push((
                host.clone(),
                format!("http://{}", listener.local_addr().expect("it has an address")),
            ));
            let router = Router::new()
                .fallback(receive)
                .with_state((host.clone(), Arc::clone(&stage)));
            tokio::spawn(async move { axum::serve(listener, router).await });
        }
        Self { stage, hosts: bound }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Expects these exchanges from now on, and forgets what was before.
    pub fn play(&self, script: impl IntoIterator<Item = Exchange>) {
        *self.stage() = Stage {
            script: script.into_iter().collect(),
            ..Stage::default()
        };
    }

    /// Gives what was asked; panics unless it was all that the script has. What `"$delivery"` must be
    /// is known only after the event was accepted, and compared here.
    pub fn finish(&self, delivery: Option<&str>) -> Vec<Asked> {
        let stage = self.stage();
        assert!(stage.wrong.is_empty(), "{}", stage.wrong.join("\n"));
        assert!(
            stage.script.is_empty(),
            "these exchanges did not take place: {:#?}",
            stage.script
        );
        if let (Some(expected), Some(seen)) = (delivery, &stage.delivery) {
            assert_eq!(seen, expected, "the deduplication key is the delivery's id");
        }
        stage.asked.clone()
    }
}

async fn receive(
    State((host, stage)): State<(String, Arc<Mutex<Stage>>)>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 4 << 20).await.unwrap_or_default();
    let asked = Asked {
        host,
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body: body.to_vec(),
    };
    let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
    stage.asked.push(asked.clone());
    let Some(next) = stage.script.pop_front() else {
        stage
            .wrong
            .push(format!("nothing more was expected, but {} came", asked.line()));
        return answer(&Value::Null, &asked);
    };
    match next.matches(&asked, &mut stage.delivery) {
        Ok(()) => answer(&next.0["reply"], &asked),
        Err(problem) => {
            stage.wrong.push(format!("{}: {problem}", asked.line()));
            answer(&Value::Null, &asked)
        }
    }
}

impl Asked {
    fn line(&self) -> String {
        let query = self.query.as_ref().map(|query| format!("?{query}"));
        format!(
            "{} {}{}{}",
            self.method,
            self.host,
            self.path,
            query.unwrap_or_default()
        )
    }

    /// Whether the body is what its own `Content-Type` says.
    pub fn is_well_formed(&self) -> bool {
        let kind = self
            .headers
            .get("content-type")
            .and_then(|kind| kind.to_str().ok());
        !kind.is_some_and(|kind| kind.starts_with("application/json"))
            || serde_json::from_slice::<Value>(&self.body).is_ok()
    }

    /// The body as fixtures write it: JSON, or the members of a form, or text.
    fn read(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        let kind = self
            .headers
            .get("content-type")
            .and_then(|kind| kind.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
            let pairs = reqwest::Url::parse(&format!("form:?{text}")).expect("a form is a query");
            let members: Map<String, Value> = pairs
                .query_pairs()
                .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
                .collect();
            return serde_json::json!({ "form": members });
        }
        serde_json::from_str(&text).unwrap_or_else(|_| text.into_owned().into())
    }
}

impl Exchange {
    fn matches(&self, asked: &Asked, delivery: &mut Option<String>) -> Result<(), String> {
        let expected = self.0["request"].as_str().unwrap_or_default();
        if asked.line() != expected {
            return Err(format!("expected {expected}"));
        }
        if let Some(headers) = self.0["headers"].as_object() {
            for (name, value) in headers {
                let seen = asked.headers.get(name).and_then(|value| value.to_str().ok());
                let seen = seen.map_or(Value::Null, Value::from);
                same(value, &seen, delivery).map_err(|problem| format!("header {name}: {problem}"))?;
            }
        }
        match self.0.get("body") {
            None => Ok(()),
            Some(body) => same(body, &asked.read(), delivery),
        }
    }
}

/// Whether `seen` is what is expected, `$any` and `$delivery` included.
fn same(expected: &Value, seen: &Value, delivery: &mut Option<String>) -> Result<(), String> {
    match (expected, seen) {
        (Value::String(word), _) if word == "$any" => Ok(()),
        (Value::String(word), Value::String(id)) if word == "$delivery" => {
            match delivery.get_or_insert_with(|| id.clone()) {
                known if known == id => Ok(()),
                known => Err(format!("{id} is another delivery id than {known}")),
            }
        }
        (Value::Object(expected), Value::Object(seen)) => {
            if let Some(extra) = seen.keys().find(|key| !expected.contains_key(*key)) {
                return Err(format!("it has {extra:?}, which was not expected"));
            }
            for (key, value) in expected {
                let seen = seen.get(key).ok_or_else(|| format!("it lacks {key:?}"))?;
                same(value, seen, delivery).map_err(|problem| format!("{key}: {problem}"))?;
            }
            Ok(())
        }
        (Value::Array(expected), Value::Array(seen)) if expected.len() == seen.len() => expected
            .iter()
            .zip(seen)
            .try_for_each(|(expected, seen)| same(expected, seen, delivery)),
        _ if expected == seen => Ok(()),
        _ => Err(format!("expected {expected}, got {seen}")),
    }
}

/// A header's value, with the time in it that it names.
fn timed(value: &str) -> String {
    let in_seconds = |mark: &str| value.strip_prefix(mark)?.parse::<i64>().ok();
    let instant = |seconds: i64| jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    match (in_seconds("$unix+"), in_seconds("$instant+")) {
        (Some(seconds), _) => instant(seconds).as_second().to_string(),
        (_, Some(seconds)) => instant(seconds).to_string(),
        _ => value.to_owned(),
    }
}

/// The answer of a fixture; `null` is the answer to a request that was not expected.
fn answer(reply: &Value, asked: &Asked) -> Response<Body> {
    let status = reply["status"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok());
    let mut response = Response::builder().status(status.unwrap_or(599));
    for (name, value) in reply["headers"].as_object().into_iter().flatten() {
        response = response.header(name, timed(value.as_str().unwrap_or_default()));
    }
    let body = match (&reply["json"], &reply["text"]) {
        (Value::Null, Value::String(text)) if text == "$echo" => format!("{asked:?}"),
        (Value::Null, Value::String(text)) => text.clone(),
        (Value::Null, _) => String::new(),
        (json, _) => {
            response = response.header("content-type", "application/json");
            json.to_string()
        }
    };
    response
        .body(Body::from(body))
        .expect("a fixture's answer is well formed")
}
