//! How many calls are let in: of each credential, whatever it asks for, and of each workspace, where it
//! is emitted into. Without a rate nothing is counted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use heddle_core::id::WorkspaceId;
use heddle_core::quota::{Buckets, Rate, Standing};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::App;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::permission::Access;

/// What is counted, and the rate of each credential. A workspace's rate is in the store.
#[derive(Debug, Default)]
pub struct Rates {
    each_key: Option<Rate>,
    keys: Mutex<Buckets<String>>,
    workspaces: Mutex<Buckets<WorkspaceId>>,
}

impl Rates {
    /// With this rate for each credential.
    pub fn new(each_key: Option<Rate>) -> Self {
        Self {
            each_key,
            ..Self::default()
        }
    }
}

fn lock<T>(counted: &Mutex<T>) -> MutexGuard<'_, T> {
    counted.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets a caller in, or not; says where it stands, with its tighter rate.
pub async fn admit(app: &App, caller: &Caller, access: Access) -> Result<Option<Standing>, ApiError> {
    let of_key = match app.rates.each_key {
        Some(rate) => Some(let_in(lock(&app.rates.keys).take(
            caller.name.clone(),
            rate,
            app.clock.now(),
        ))?),
        None => None,
    };
    let of_workspace = match caller.reach().only_workspace() {
        Some(workspace) if access == Access::Ingestion => emit_into(app, workspace).await?,
        _ => None,
    };
    let room = |standing: &Standing| u64::from(standing.remaining);
    Ok(match (of_key, of_workspace) {
        (Some(key), Some(workspace)) if room(&workspace) < room(&key) => Some(workspace),
        (key, workspace) => key.or(workspace),
    })
}

/// Lets one call emit into a workspace, or not.
pub async fn emit_into(app: &App, workspace: WorkspaceId) -> Result<Option<Standing>, ApiError> {
    let Some(rate) = app.store.limits_of(workspace).await?.rate else {
        return Ok(None);
    };
    let now = app.clock.now();
    let_in(lock(&app.rates.workspaces).take(workspace, rate, now)).map(Some)
}

fn let_in(standing: Standing) -> Result<Standing, ApiError> {
    match standing.retry_after_seconds {
        None => Ok(standing),
        Some(_) => Err(ApiError::RateLimited(standing)),
    }
}

/// Says on an answer where its caller stands, unless that is said.
pub fn write(standing: Standing, headers: &mut HeaderMap) {
    let limit = HeaderName::from_static("ratelimit-limit");
    if headers.contains_key(&limit) {
        return;
    }
    headers.insert(limit, HeaderValue::from(standing.limit));
    let remaining = HeaderName::from_static("ratelimit-remaining");
    headers.insert(remaining, HeaderValue::from(standing.remaining));
    let reset = HeaderName::from_static("ratelimit-reset");
    headers.insert(reset, HeaderValue::from(standing.reset_seconds));
}
