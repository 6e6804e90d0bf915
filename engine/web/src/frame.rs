//! What every answer has in common, whatever the route: an id, the body of an error, the security
//! headers, a line in the log.

use std::any::Any;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use heddle_core::time::Timestamp;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue};
use tracing::Instrument;
use uuid::Uuid;

use crate::App;
use crate::error::ApiError;

/// The header that names the request in the log.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Frames one request.
pub async fn frame(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = request_id(&app);
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none", MatchedPath::as_str)
        .to_owned();
    let span = tracing::info_span!("request", %id, method = %request.method(), route);
    let mut response = next.run(request).instrument(span.clone()).await;
    let _entered = span.enter();
    if let Some(error) = response.extensions_mut().remove::<Arc<ApiError>>() {
        write_error(&mut response, &error, id);
    }
    tracing::debug!(status = response.status().as_u16(), "answered");
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(X_REQUEST_ID, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn request_id(app: &App) -> Uuid {
    let millis = u64::try_from(app.clock.now().0).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &app.random()).into_uuid()
}

fn write_error(response: &mut Response, error: &ApiError, id: Uuid) {
    if let Some(text) = error.for_the_log() {
        tracing::error!(status = error.status().as_u16(), error = text, "request failed");
    }
    let mut body = error.body();
    body["request_id"] = id.to_string().into();
    *response.body_mut() = Body::from(body.to_string());
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
}

/// The body of the 503 that a caller gets who is one too many to be read at all.
pub fn too_many_connections(now: Timestamp, random: [u8; 10]) -> String {
    let error = ApiError::Overloaded(
        "There are too many connections to this server. Nothing was read. Try again in a moment, and keep connections for further requests.",
    );
    let millis = u64::try_from(now.0).unwrap_or(0);
    let mut body = error.body();
    body["request_id"] = uuid::Builder::from_unix_timestamp_millis(millis, &random)
        .into_uuid()
        .to_string()
        .into();
    body.to_string()
}

/// A panic ends one request, not the process. Its text stays in the log.
pub fn on_panic(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned());
    ApiError::Internal(format!("panicked: {text}")).into_response()
}

/// No route has this path.
pub async fn unknown_route() -> ApiError {
    ApiError::UnknownRoute
}

/// The route is there, the method is not.
pub async fn wrong_method() -> ApiError {
    ApiError::MethodNotAllowed
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    #[tokio::test]
    async fn a_panic_ends_its_request_with_a_500_that_says_nothing() {
        async fn panics() {
            panic!("row 7 is odd");
        }
        let router: Router = Router::new()
            .route("/", get(panics))
            .layer(CatchPanicLayer::custom(on_panic));
        let response = router
            .oneshot(Request::get("/").body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), 500);
        let error = response.extensions().get::<Arc<ApiError>>().unwrap();
        assert_eq!(error.for_the_log(), Some("panicked: row 7 is odd"));
        assert!(!error.body().to_string().contains("row 7"));
    }
}
