//! The destinations that can be connected: the bundled ones and those of the plugins folder.

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use crate::App;
use crate::caller::Caller;
use crate::views;

/// `GET /integrations`
pub async fn list(State(app): State<App>, _: Caller) -> Json<Value> {
    let mut manifests: Vec<_> = app
        .plugins
        .all()
        .iter()
        .map(|plugin| plugin.manifest().clone())
        .collect();
    manifests.sort_by(|a, b| a.name.cmp(&b.name));
    let records = manifests
        .iter()
        .map(|manifest| views::integration(manifest))
        .collect();
    Json(views::list(records, None, None))
}
