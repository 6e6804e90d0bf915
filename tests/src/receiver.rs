//! A real HTTP server that plays the destinations: it keeps every request in order, byte for byte,
//! and answers each path by its script.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use http::{HeaderMap, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::wait::within;

/// The largest body that is read.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// A request as it came in.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Received {
    pub at: Instant,
    pub method: String,
    pub path: String,
    pub query: Option<String>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Received {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!(
                "{} {} is no JSON: {error}: {:?}",
                self.method, self.path, self.body
            )
        })
    }

    /// The identifier that stays the same across attempts.
    pub fn delivery_id(&self) -> &str {
        self.header("webhook-id")
            .unwrap_or_else(|| panic!("no webhook-id: {:?}", self.headers))
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
    gate: Option<Gate>,
}

impl Reply {
    /// An empty body.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
            gate: None,
        }
    }

    /// `application/json`.
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            body: body.to_string().into(),
            ..Self::status(status)
        }
        .with("content-type", "application/json")
    }

    /// `text/plain`.
    pub fn text(status: u16, body: &str) -> Self {
        Self {
            body: body.to_owned().into(),
            ..Self::status(status)
        }
        .with("content-type", "text/plain")
    }

    /// Adds a header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Not before the gate opens.
    pub fn behind(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }
}

/// Holds answers back until it is opened.
#[derive(Clone, Debug)]
pub struct Gate(watch::Sender<bool>);

impl Default for Gate {
    fn default() -> Self {
        Self::closed()
    }
}

impl Gate {
    /// A closed one.
    pub fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets everything through, now and later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    async fn passed(&self) {
        // The sender is this gate itself, so it cannot be gone.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

/// The server. It stops with the test.
#[derive(Clone)]
pub struct Receiver {
    shared: Arc<Shared>,
    base: String,
}

struct Shared {
    inner: Mutex<Inner>,
    /// How many requests have come in.
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct Inner {
    requests: Vec<Received>,
    scripts: HashMap<String, Script>,
}

#[derive(Default)]
struct Script {
    next: VecDeque<Reply>,
    then: Option<Reply>,
}

impl Shared {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiver {
    /// One on a port of its own that answers everything with 200 and no body.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let base = format!("http://{}", listener.local_addr().expect("it has an address"));
        let shared = Arc::new(Shared {
            inner: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let router = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { shared, base }
    }

    /// `http://127.0.0.1:PORT`
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The next answers at `path`, in turn; after them the lasting one.
    pub fn answer(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        self.shared
            .inner()
            .scripts
            .entry(path.to_owned())
            .or_default()
            .next
            .extend(replies);
    }

    /// The lasting answer at `path`.
    pub fn always(&self, path: &str, reply: Reply) {
        self.shared
            .inner()
            .scripts
            .entry(path.to_owned())
            .or_default()
            .then = Some(reply);
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.inner().requests.clone()
    }

    /// Every request so far at `path`.
    pub fn requests_at(&self, path: &str) -> Vec<Received> {
        self.shared
            .inner()
            .requests
            .iter()
            .filter(|request| request.path == path)
            .cloned()
            .collect()
    }

    /// Waits until `path` was asked `count` times, and gives those requests.
    pub async fn wait_for(&self, path: &str, count: usize) -> Vec<Received> {
        let at_path = |shared: &Shared| {
            shared
                .inner()
                .requests
                .iter()
                .filter(|request| request.path == path)
                .count()
        };
        let mut seen = self.shared.count.subscribe();
        let what = format!("{count} requests at {path}");
        let _ = within(&what, seen.wait_for(|_| at_path(&self.shared) >= count)).await;
        self.requests_at(path)
    }

    /// A signal that carries the number of requests so far.
    pub fn count(&self) -> watch::Receiver<usize> {
        self.shared.count.subscribe()
    }
}

async fn receive(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    // A client that was killed half-way has delivered nothing: it is not recorded.
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY_BYTES).await else {
        return answer(&Reply::status(400));
    };
    let path = parts.uri.path().to_owned();
    let reply = {
        let mut inner = shared.inner();
        inner.requests.push(Received {
            at: Instant::now(),
            method: parts.method.to_string(),
            path: path.clone(),
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers,
            body,
        });
        let script = inner.scripts.get_mut(&path);
        let scripted = script.and_then(|script| script.next.pop_front().or_else(|| script.then.clone()));
        scripted.unwrap_or_else(|| Reply::status(200))
    };
    shared.count.send_modify(|count| *count += 1);
    if let Some(gate) = &reply.gate {
        gate.passed().await;
    }
    answer(&reply)
}

fn answer(reply: &Reply) -> Response<Body> {
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    response
        .body(Body::from(reply.body.clone()))
        .expect("a scripted answer is well formed")
}
