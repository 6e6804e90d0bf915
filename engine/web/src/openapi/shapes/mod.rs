//! The shapes of bodies, for the document only: every answer and every accepted request of the test
//! suites is held against them, so that they cannot drift from what the handlers do.
#![allow(dead_code)] // Read by the derive alone.

use serde_json::Value;
use utoipa::ToSchema;

mod access;
mod events;
mod live;
mod rules;
mod tenancy;

pub use access::*;
pub use events::*;
pub use live::*;
pub use rules::*;
pub use tenancy::*;

/// A whole list, or a page of one.
#[derive(ToSchema)]
pub struct List<T: ToSchema> {
    /// How many records are in this answer.
    #[schema(minimum = 0)]
    count: u32,
    /// How many could have been.
    #[schema(minimum = 1)]
    limit: u32,
    /// Send it as `cursor` for the next page; `null` on the last one.
    #[schema(required)]
    next_cursor: Option<String>,
    records: Vec<T>,
}

/// What went wrong.
#[derive(ToSchema)]
pub struct Error {
    /// The HTTP status in words.
    message: String,
    error: ErrorDetail,
    /// A stable word in snake_case, for programs.
    code: String,
    /// The request's id, as in the header `X-Request-Id`; not in the items of a bulk.
    request_id: Option<String>,
}

#[derive(ToSchema)]
pub struct ErrorDetail {
    /// The HTTP status as one word.
    name: String,
    /// What is wrong, and what to do about it.
    message: String,
    /// Which parameters are wrong.
    data: Option<Vec<Problem>>,
    /// The counter that is used up, of a `quota_exceeded`.
    quota: Option<Value>,
}

#[derive(ToSchema)]
pub struct Problem {
    /// A member of the body such as `metadata.url`, a query parameter, a header.
    param: String,
    msg: String,
}
