//! Browsers may emit events from any page, with a publishable key. They may do nothing else here:
//! only the two ingestion operations carry these headers.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
};
use http::{HeaderName, HeaderValue, StatusCode};

const ORIGIN: (HeaderName, HeaderValue) = (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));

const EXPOSED: (HeaderName, HeaderValue) = (
    ACCESS_CONTROL_EXPOSE_HEADERS,
    HeaderValue::from_static(
        "idempotent-replay, ratelimit-limit, ratelimit-remaining, ratelimit-reset, retry-after, x-request-id",
    ),
);

/// The answer to a browser that asks first.
pub async fn preflight() -> Response {
    let headers = [
        ORIGIN,
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST")),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static(
                "content-type, x-meshes-publishable-key, x-heddle-publishable-key, x-meshes-client, idempotency-key, \
                 ce-specversion, ce-id, ce-source, ce-type, ce-subject, ce-time, ce-datacontenttype, \
                 ce-dataschema, ce-resource, ce-resourceid, ce-workspace",
            ),
        ),
        // Two hours is the most that browsers keep.
        (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200")),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Lets a page read the answer, an error's too.
pub async fn readable(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().extend([ORIGIN, EXPOSED]);
    response
}
