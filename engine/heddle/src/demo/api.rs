//! The demo's way to the API: the same router that serves the network, called directly.

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use heddle_core::time::Clock;
use heddle_store::MachineKey;
use serde_json::Value;
use tower::ServiceExt;

use crate::keys;
use crate::machine::SystemClock;

/// More than any answer that the demo asks for, in bytes.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// The API, with a machine key.
pub struct Api {
    pub router: Router,
    pub key: MachineKey,
}

impl Api {
    /// Reads.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let request = Request::get(format!("/api/v1{path}")).header(AUTHORIZATION, self.bearer()?);
        self.send(request.body(Body::empty())?).await
    }

    /// Creates.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = Request::post(format!("/api/v1{path}"))
            .header(AUTHORIZATION, self.bearer()?)
            .header(CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string()))?).await
    }

    /// Emits an event with a publishable key, as a product would.
    pub async fn emit(&self, publishable_key: &str, event: &str) -> Result<Value> {
        let request = Request::post("/api/v1/events")
            .header("X-Heddle-Publishable-Key", publishable_key)
            .header(CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(event.to_owned()))?).await
    }

    fn bearer(&self) -> Result<String> {
        Ok(format!("Bearer {}", keys::token(&self.key, SystemClock.now())?))
    }

    async fn send(&self, request: Request<Body>) -> Result<Value> {
        let what = format!("{} {}", request.method(), request.uri());
        let answer = self.router.clone().oneshot(request).await?;
        let status = answer.status();
        let body = to_bytes(answer.into_body(), LONGEST_ANSWER).await?;
        if !status.is_success() {
            bail!("{what} answered {status}: {}", String::from_utf8_lossy(&body));
        }
        serde_json::from_slice(&body).with_context(|| format!("reading the answer to {what}"))
    }
}

/// The text at a JSON pointer.
pub fn text(value: &Value, pointer: &str) -> Result<String> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("no {pointer} in {value}"))
}
