//! Is it alive, can it work: for whoever supervises the process. Open to everybody, tells nothing
//! else.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::App;
use crate::error::ApiError;

/// `GET /healthz`: the process answers.
pub async fn alive() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// `GET /readyz`: the store can commit now, else 503.
pub async fn ready(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    app.store.ready().await?;
    Ok(Json(json!({"status": "ok"})))
}
