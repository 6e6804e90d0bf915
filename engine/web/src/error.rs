//! What can go wrong, and the one mapping of it to HTTP. A handler returns an [`ApiError`]; the frame
//! around every route ([`crate::frame`]) writes the contract's body for it, with the request's id.

use std::borrow::Cow;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use heddle_core::mapping::SchemaProblem;
use heddle_core::quota::Standing;
use heddle_core::time::Timestamp;
use heddle_store::{OverQuota, StoreError};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use crate::live::{Trouble, TroubleKind};
use crate::permission::Permission;
use crate::rate;

/// One member of the contract's `error.data`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where: a member of the body (`metadata.url`), a query parameter, a header.
    pub param: String,
    /// What is wrong there; never the value itself, which may be a secret.
    pub msg: String,
}

impl Problem {
    /// A problem at `param`.
    pub fn new(param: impl Into<String>, msg: impl Into<String>) -> Self {
        Self {
            param: param.into(),
            msg: msg.into(),
        }
    }
}

impl From<SchemaProblem> for Problem {
    fn from(problem: SchemaProblem) -> Self {
        Self::new(problem.place, problem.problem)
    }
}

/// Why a request was not answered with what it asked for.
#[derive(Clone, Debug)]
pub enum ApiError {
    /// The body is no JSON, or JSON that readers disagree about.
    MalformedJson(String),
    /// It is JSON, but its members or the query's are not what they must be.
    Invalid(Vec<Problem>),
    /// No credential, or one that does not hold.
    Unauthenticated {
        /// The stable word.
        code: &'static str,
        /// For people; tells nothing about which keys exist.
        message: &'static str,
    },
    /// A credential that holds, but not for this.
    Forbidden(&'static str),
    /// A credential that holds, but lacks the permission that the route needs.
    NotPermitted(Permission),
    /// A credential that holds, but not on the page that the browser says it is on.
    OriginNotAllowed,
    /// Not there, or another organization's.
    NotFound(&'static str),
    /// No such path.
    UnknownRoute,
    /// No such method at this path.
    MethodNotAllowed,
    /// The state of things forbids it.
    Conflict {
        /// The stable word.
        code: &'static str,
        /// For people.
        message: String,
    },
    /// An event for a workspace that is not there, or another organization's. The contract has no 404
    /// for ingestion.
    UnknownWorkspace,
    /// Understood, and still not possible.
    Unprocessable {
        /// The stable word.
        code: &'static str,
        /// For people.
        message: &'static str,
    },
    /// A mapping that cannot be: the contract's 422.
    InvalidMapping(Vec<Problem>),
    /// What was asked for is the destination's to answer, and it did not.
    Destination(Trouble),
    /// Over a limit, which the message names.
    TooLarge(String),
    /// More calls than the caller's rate, or its workspace's.
    RateLimited(Standing),
    /// More of bodies than the caller, or all callers, may have in memory.
    TooMuchAtOnce,
    /// A quota is used up.
    OverQuota(OverQuota),
    /// An attempt is at hand anyway.
    TooEarly(&'static str),
    /// The body did not arrive in time.
    BodyTooSlow,
    /// Callers send more at once than is set aside for it; says what.
    Overloaded(&'static str),
    /// The store cannot commit now. The text is for the log only.
    Unavailable(String),
    /// A fault of ours. The text is for the log only.
    Internal(String),
}

/// A quota that is used up, as a caller is told.
#[derive(Serialize)]
struct QuotaView {
    counter: &'static str,
    limit: u64,
    used: u64,
    /// `null`: when something is deleted.
    resets_at: Option<String>,
}

impl From<&OverQuota> for QuotaView {
    fn from(over: &OverQuota) -> Self {
        Self {
            counter: over.counter,
            limit: over.limit,
            used: over.used,
            resets_at: over.resets_at.map(|at| at.to_string()),
        }
    }
}

/// How long a caller waits after a 425, in seconds: longer than what counts as imminent.
const TOO_EARLY_SECONDS: HeaderValue = HeaderValue::from_static("3");

/// How long a caller waits for room, in seconds: after a 503, and where too much came at once.
const UNAVAILABLE_SECONDS: HeaderValue = HeaderValue::from_static("1");

impl ApiError {
    /// One problem with one parameter.
    pub fn invalid(param: impl Into<String>, msg: impl Into<String>) -> Self {
        Self::Invalid(vec![Problem::new(param, msg)])
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::MalformedJson(_) | Self::Invalid(_) | Self::UnknownWorkspace => StatusCode::BAD_REQUEST,
            Self::Unauthenticated { .. } => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::NotPermitted(_) | Self::OriginNotAllowed => StatusCode::FORBIDDEN,
            Self::NotFound(_) | Self::UnknownRoute => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::Unprocessable { .. } | Self::InvalidMapping(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Destination(trouble) => match trouble.kind {
                TroubleKind::NotOffered | TroubleKind::Refused => StatusCode::UNPROCESSABLE_ENTITY,
                TroubleKind::CredentialRefused => StatusCode::CONFLICT,
                TroubleKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                TroubleKind::TooMany => StatusCode::TOO_MANY_REQUESTS,
            },
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RateLimited(_) | Self::TooMuchAtOnce | Self::OverQuota(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::TooEarly(_) => StatusCode::TOO_EARLY,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Overloaded(_) | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable word of the contract's additive `code`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MalformedJson(_) => "malformed_json",
            Self::Invalid(_) => "invalid_request",
            Self::UnknownWorkspace => "unknown_workspace",
            Self::Unauthenticated { code, .. }
            | Self::Conflict { code, .. }
            | Self::Unprocessable { code, .. } => code,
            Self::InvalidMapping(_) => "invalid_mapping",
            Self::Destination(trouble) => match trouble.kind {
                TroubleKind::NotOffered => "not_offered",
                TroubleKind::Refused => "destination_refused",
                TroubleKind::CredentialRefused => "credential_refused",
                TroubleKind::Unavailable => "destination_unavailable",
                TroubleKind::TooMany => "too_many_questions",
            },
            Self::Forbidden(_) => "forbidden",
            Self::NotPermitted(_) => "permission_missing",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::NotFound(_) => "not_found",
            Self::UnknownRoute => "unknown_route",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooLarge(_) => "payload_too_large",
            Self::RateLimited(_) => "rate_limited",
            Self::TooMuchAtOnce => "too_much_at_once",
            Self::OverQuota(_) => "quota_exceeded",
            Self::TooEarly(_) => "retry_too_early",
            Self::BodyTooSlow => "body_timeout",
            Self::Overloaded(_) => "overloaded",
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal_error",
        }
    }

    /// The contract's `error.name`, and `message`, the status in words.
    fn names(&self) -> (&'static str, &'static str) {
        match self.status() {
            StatusCode::BAD_REQUEST => ("BadRequest", "Bad Request"),
            StatusCode::UNAUTHORIZED => ("Unauthorized", "Unauthorized"),
            StatusCode::FORBIDDEN => ("Forbidden", "Forbidden"),
            StatusCode::NOT_FOUND => ("NotFound", "Not Found"),
            StatusCode::METHOD_NOT_ALLOWED => ("MethodNotAllowed", "Method Not Allowed"),
            StatusCode::CONFLICT => ("Conflict", "Conflict"),
            StatusCode::UNPROCESSABLE_ENTITY => ("UnprocessableEntity", "Unprocessable Entity"),
            StatusCode::PAYLOAD_TOO_LARGE => ("PayloadTooLarge", "Payload Too Large"),
            StatusCode::TOO_EARLY => ("TooEarly", "Too Early"),
            StatusCode::TOO_MANY_REQUESTS => ("TooManyRequests", "Too Many Requests"),
            StatusCode::REQUEST_TIMEOUT => ("RequestTimeout", "Request Timeout"),
            StatusCode::SERVICE_UNAVAILABLE => ("ServiceUnavailable", "Service Unavailable"),
            _ => ("InternalServerError", "Internal Server Error"),
        }
    }

    /// What the caller is told; nothing of what is inside.
    fn explanation(&self) -> Cow<'_, str> {
        match self {
            Self::MalformedJson(why) => format!("The body cannot be read as JSON: {why}").into(),
            Self::Invalid(problems) | Self::InvalidMapping(problems) => match problems.as_slice() {
                [one] => format!("{}: {}", one.param, one.msg).into(),
                many => format!("{} parameters are not valid; see data.", many.len()).into(),
            },
            Self::Unauthenticated { message, .. } | Self::Forbidden(message) | Self::TooEarly(message) => {
                (*message).into()
            }
            Self::NotPermitted(permission) => {
                format!("This credential lacks the permission {permission}.").into()
            }
            Self::Unprocessable { message, .. } => (*message).into(),
            Self::Destination(trouble) => format!("{}.", trouble.message).into(),
            Self::UnknownWorkspace => "workspace: there is no such workspace".into(),
            Self::OriginNotAllowed => "This credential is not for pages of this origin.".into(),
            Self::NotFound(what) => format!("There is no such {what}.").into(),
            Self::RateLimited(standing) => format!(
                "Too many calls: {} are let in at once. Retry-After says when the next one is.",
                standing.limit
            )
            .into(),
            Self::TooMuchAtOnce => {
                "Too much is being sent at once. Send less at a time, or try again in a moment.".into()
            }
            Self::OverQuota(over) => match over.resets_at {
                Some(at) => format!(
                    "The quota {} of {} is used up until {at}.",
                    over.counter, over.limit
                ),
                None => format!(
                    "The quota {0} of {1} is used up. Delete what is not needed any more, or have the operator \
                     raise limit_{0}.",
                    over.counter, over.limit
                ),
            }
            .into(),
            Self::UnknownRoute => "There is nothing at this path. The API is below /api/v1.".into(),
            Self::MethodNotAllowed => "This path does not have this method; Allow lists those it has.".into(),
            Self::Conflict { message, .. } | Self::TooLarge(message) => message.into(),
            Self::BodyTooSlow => "The body did not arrive in time.".into(),
            Self::Overloaded(message) => (*message).into(),
            Self::Unavailable(_) => "Nothing was stored. Try again in a moment.".into(),
            Self::Internal(_) => "Something failed inside Heddle. The log names this request's id.".into(),
        }
    }

    /// What only the log may say.
    pub fn for_the_log(&self) -> Option<&str> {
        match self {
            Self::Unavailable(text) | Self::Internal(text) => Some(text),
            _ => None,
        }
    }

    /// The contract's shape, as it also stands for one item of a bulk answer.
    pub fn body(&self) -> Value {
        let (name, message) = self.names();
        let mut error = json!({"name": name, "message": self.explanation()});
        match self {
            Self::Invalid(problems) | Self::InvalidMapping(problems) => error["data"] = json!(problems),
            Self::UnknownWorkspace => {
                error["data"] = json!([Problem::new("workspace", "there is no such workspace")]);
            }
            Self::OverQuota(over) => error["quota"] = json!(QuotaView::from(over)),
            _ => {}
        }
        json!({"message": message, "error": error, "code": self.code()})
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        let headers = response.headers_mut();
        match &self {
            Self::Unauthenticated { .. } => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::RateLimited(standing) => {
                rate::write(*standing, headers);
                let seconds = standing.retry_after_seconds.unwrap_or(1);
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            Self::OverQuota(over) => {
                let date = over.resets_at.and_then(Timestamp::http_date);
                if let Some(Ok(date)) = date.map(HeaderValue::try_from) {
                    headers.insert(RETRY_AFTER, date);
                }
            }
            Self::TooEarly(_) => {
                headers.insert(RETRY_AFTER, TOO_EARLY_SECONDS);
            }
            Self::Overloaded(_) | Self::Unavailable(_) | Self::TooMuchAtOnce => {
                headers.insert(RETRY_AFTER, UNAVAILABLE_SECONDS);
            }
            Self::Destination(Trouble {
                retry_after: Some(wait),
                ..
            }) => {
                let seconds = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
                headers.insert(RETRY_AFTER, seconds.clamp(1, 86_400).into());
            }
            _ => {}
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { reason } => Self::Unavailable(reason),
            StoreError::Conflict(message) => Self::Conflict {
                code: "conflict",
                message: format!("{message}."),
            },
            StoreError::Full(message) => Self::Conflict {
                code: "full",
                message: format!("{message}."),
            },
            StoreError::NotFound(what) => Self::NotFound(what),
            StoreError::OverQuota(over) => Self::OverQuota(over),
            StoreError::BadCursor => Self::invalid("cursor", "is not one that this list gave"),
            StoreError::Broken { reason } => Self::Internal(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<ApiError> {
        vec![
            ApiError::MalformedJson("x".into()),
            ApiError::invalid("a", "b"),
            ApiError::Unauthenticated {
                code: "c",
                message: "m",
            },
            ApiError::Forbidden("m"),
            ApiError::NotPermitted(Permission::RulesWrite),
            ApiError::OriginNotAllowed,
            ApiError::NotFound("rule"),
            ApiError::UnknownRoute,
            ApiError::MethodNotAllowed,
            ApiError::Conflict {
                code: "c",
                message: "m".into(),
            },
            ApiError::UnknownWorkspace,
            ApiError::RateLimited(Standing {
                limit: 5,
                remaining: 0,
                reset_seconds: 1,
                retry_after_seconds: Some(1),
            }),
            ApiError::TooMuchAtOnce,
            ApiError::OverQuota(OverQuota {
                counter: "rules",
                limit: 1,
                used: 1,
                resets_at: None,
            }),
            ApiError::Unprocessable {
                code: "c",
                message: "m",
            },
            ApiError::TooLarge("m".into()),
            ApiError::TooEarly("m"),
            ApiError::BodyTooSlow,
            ApiError::Overloaded("m"),
            ApiError::Unavailable("disk I/O error in /var/lib".into()),
            ApiError::Internal("row 7 of table x".into()),
        ]
    }

    #[test]
    fn every_error_has_the_published_shape() {
        for error in all() {
            let body = error.body();
            assert!(body["message"].is_string(), "{body}");
            assert!(
                body["error"]["name"].is_string() && body["error"]["message"].is_string(),
                "{body}"
            );
            assert!(body["code"].is_string(), "{body}");
            assert!(error.status().is_client_error() || error.status().is_server_error());
        }
        let body = ApiError::invalid("metadata.url", "is required").body();
        assert_eq!(
            body["error"]["data"],
            json!([{"param": "metadata.url", "msg": "is required"}])
        );
        assert_eq!(
            (&body["message"], &body["error"]["name"]),
            (&json!("Bad Request"), &json!("BadRequest"))
        );
    }

    #[test]
    fn what_failed_inside_stays_inside() {
        for error in all().into_iter().filter(|error| error.status().is_server_error()) {
            let told = error.body().to_string();
            let inside = error.for_the_log();
            assert!(inside.is_none_or(|inside| !told.contains(inside)), "{told}");
        }
    }
}
