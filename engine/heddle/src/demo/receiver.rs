//! Plays the three providers of the demo, with the failures that make retries visible: the webhook
//! answers 503 twice, Slack answers 429 once with `Retry-After: 1`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use serde_json::json;

use crate::serve;

#[derive(Default)]
struct Seen {
    webhook: AtomicU32,
    slack: AtomicU32,
}

/// Starts it on a free port; it ends with the process.
pub async fn start() -> Result<SocketAddr> {
    let router = Router::new()
        .route("/customers/academy/events", post(webhook))
        .route("/api/chat.postMessage", post(slack))
        .route("/crm/v3/objects/contacts/batch/upsert", post(hubspot_upsert))
        .route("/crm/v3/lists/{list}/memberships/add", put(hubspot_add))
        .with_state(Arc::new(Seen::default()));
    let listener = serve::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn webhook(State(seen): State<Arc<Seen>>) -> Response {
    match seen.webhook.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => (StatusCode::SERVICE_UNAVAILABLE, "restarting").into_response(),
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn slack(State(seen): State<Arc<Seen>>) -> Response {
    match seen.slack.fetch_add(1, Ordering::Relaxed) {
        0 => (
            StatusCode::TOO_MANY_REQUESTS,
            [("Retry-After", "1")],
            Json(json!({"ok": false, "error": "ratelimited"})),
        )
            .into_response(),
        _ => Json(json!({"ok": true, "channel": "C024BE91L", "ts": "1774102680.000100"})).into_response(),
    }
}

async fn hubspot_upsert() -> Response {
    Json(json!({"status": "COMPLETE", "results": [{"id": "512", "new": true, "properties": {}}]}))
        .into_response()
}

async fn hubspot_add() -> Response {
    Json(json!({"recordsIdsAdded": ["512"], "recordIdsRemoved": [], "recordIdsMissing": []})).into_response()
}
