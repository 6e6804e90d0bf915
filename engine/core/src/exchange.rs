//! What travels between the host and a plugin: requests, replies, steps and failures. The same
//! shapes in plain Rust that `wit/` publishes to plugin authors.

use serde::{Deserialize, Serialize};

/// The functions of the `adapter` world that work step by step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// Deliver one event by one action.
    Deliver,
    /// Is this connection healthy? Without side effects at the destination.
    Check,
    /// Lists, tags, channels to pick from.
    Choices,
    /// The destination's field catalogue.
    Fields,
}

impl Function {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Deliver, Self::Check, Self::Choices, Self::Fields];

    /// The name of the export.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deliver => "deliver",
            Self::Check => "check",
            Self::Choices => "choices",
            Self::Fields => "fields",
        }
    }
}

/// A header: its name as the plugin wrote it, and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Compared without regard to case.
    pub name: String,
    /// Text without CR, LF or NUL; the egress layer refuses anything else.
    pub value: String,
}

/// An HTTP request that a plugin asks the host to make. It carries no credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// Absolute. Its host must be one that the manifest declares. `credential:NAME` stands for the
    /// secret URL that a credential of kind `url` holds.
    pub url: String,
    /// The plugin's own headers.
    pub headers: Vec<Header>,
    /// The exact bytes that are signed and sent.
    pub body: Vec<u8>,
}

/// The recorded answer to a request, with every injected secret removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case, in the order received.
    pub headers: Vec<Header>,
    /// The body after decompression, capped.
    pub body: Vec<u8>,
}

/// What a call of a plugin asks for next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make this request and call again with its reply appended.
    Send(Request),
    /// Finished; JSON text, whose shape `wit/adapter.wit` documents per function.
    Done(String),
}

/// The one vocabulary of failure for every adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Trying again would not help.
    Permanent,
    /// Trying again may help.
    Retryable,
    /// The credential is refused; deactivates the connection.
    Authentication,
    /// The destination asks for fewer requests.
    RateLimited,
    /// The endpoint is gone for good; deactivates the connection.
    Gone,
    /// The event, the mapping or the rule's inputs lack what the action needs.
    Mapping,
}

/// Why a plugin could not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// A sentence for the person who reads the history.
    pub message: String,
    /// The wait that the destination asked for, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// At most this many attempts in all, where the schedule would allow more.
    pub max_attempts: Option<u32>,
}
