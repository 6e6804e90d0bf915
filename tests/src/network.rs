//! A network that loses what the test says.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use tokio::net::TcpListener;

use crate::engine::Engine;

/// What the network does with a request.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// Carries it, and the answer.
    Pass,
    /// The server does not see it.
    LoseRequest,
    /// The server does it, and nobody hears of it.
    LoseAnswer,
    /// Answers in the server's place: status, headers, body.
    Answer(u16, &'static [(&'static str, &'static str)], &'static str),
}

/// A request that came by.
#[allow(missing_docs)]
pub struct Seen {
    /// Such as `GET /api/v1/events`.
    pub line: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Stands between client and server and does to each request what it is told.
pub struct Network {
    base: String,
    wires: Arc<Wires>,
}

struct Wires {
    server: String,
    trouble: Box<dyn Fn(usize) -> Trouble + Send + Sync>,
    seen: Mutex<Vec<Seen>>,
    http: reqwest::Client,
}

impl Network {
    /// One before `engine`, which asks for each request, by its number, what to do with it.
    pub async fn before(engine: &Engine, trouble: impl Fn(usize) -> Trouble + Send + Sync + 'static) -> Self {
        let wires = Arc::new(Wires {
            server: engine.base().to_owned(),
            trouble: Box::new(trouble),
            seen: Mutex::default(),
            http: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client for plain HTTP can be built"),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let base = format!("http://{}", listener.local_addr().expect("it is bound"));
        let router = Router::new().fallback(carry).with_state(Arc::clone(&wires));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, wires }
    }

    /// Where it is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// What was asked, in order.
    pub fn lines(&self) -> Vec<String> {
        self.each(|seen| seen.line.clone())
    }

    /// Something of each request.
    pub fn each<T>(&self, read: impl Fn(&Seen) -> T) -> Vec<T> {
        self.wires
            .seen
            .lock()
            .expect("not poisoned")
            .iter()
            .map(read)
            .collect()
    }
}

/// An answer that breaks off.
fn lost() -> Response {
    let broken = futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("lost"))]);
    Response::new(Body::from_stream(broken))
}

async fn carry(State(wires): State<Arc<Wires>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX)
        .await
        .expect("a request can be read")
        .to_vec();
    let path = parts
        .uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let place = {
        let mut seen = wires.seen.lock().expect("not poisoned");
        seen.push(Seen {
            line: format!("{} {path}", parts.method),
            headers: parts.headers.clone(),
            body: body.clone(),
        });
        seen.len() - 1
    };
    let trouble = (wires.trouble)(place);
    match trouble {
        Trouble::LoseRequest => return lost(),
        Trouble::Answer(status, headers, text) => {
            let mut answer = Response::builder().status(status);
            for (name, value) in headers {
                answer = answer.header(*name, *value);
            }
            return answer.body(text.into()).expect("the answer is well-formed");
        }
        Trouble::Pass | Trouble::LoseAnswer => {}
    }
    let mut headers = parts.headers;
    headers.remove(http::header::HOST);
    headers.remove(http::header::CONTENT_LENGTH);
    let request = wires
        .http
        .request(parts.method, format!("{}{path}", wires.server))
        .headers(headers)
        .body(body);
    let answer = request.send().await.expect("the server answers");
    let status = answer.status();
    let text = answer.bytes().await.expect("the answer can be read");
    if matches!(trouble, Trouble::LoseAnswer) {
        return lost();
    }
    let answer = Response::builder().status(status);
    answer.body(text.into()).expect("the answer is well-formed")
}
