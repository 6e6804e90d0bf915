//! What can go wrong, as one type.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::event::BatchResult;

/// A call that failed for good: what could be tried again was.
///
/// Decide by [`Error::code`]: the server's word, or one of this client's. These are `network_error`, `timeout`,
/// `redirected`, `unreadable_answer`, `http_STATUS` for an answer that is not Heddle's, and for what was never
/// sent `invalid_setting`, `invalid_event`, `invalid_id`, `payload_too_large`, `queue_full`, `closed`.
pub struct Error(Box<Details>);

#[derive(Debug, Default)]
pub(crate) struct Details {
    pub status: Option<u16>,
    pub code: String,
    pub message: String,
    pub request_id: Option<String>,
    pub data: Value,
    pub retry_after: Option<Duration>,
    pub attempts: u32,
    pub partial: Option<BatchResult>,
    pub source: Option<reqwest::Error>,
}

impl Error {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self::from(Details {
            code: code.to_owned(),
            message: message.into(),
            ..Details::default()
        })
    }

    /// The error that an answer stands for.
    pub(crate) fn answered(
        status: u16,
        text: &[u8],
        request_id: Option<String>,
        retry_after: Option<Duration>,
    ) -> Self {
        let data = serde_json::from_slice(text)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(text).into_owned()));
        let word = |pointer: &str| data.pointer(pointer)?.as_str().map(str::to_owned);
        let said = word("/error/message").or_else(|| word("/message"));
        let code = word("/code").unwrap_or_else(|| format!("http_{status}"));
        Self::from(Details {
            status: Some(status),
            message: format!("{status} {code}: {}", said.as_deref().unwrap_or("no explanation")),
            request_id: word("/request_id").or(request_id),
            code,
            data,
            retry_after,
            ..Details::default()
        })
    }

    pub(crate) fn caused_by(mut self, source: reqwest::Error) -> Self {
        // The address may hold what its owner keeps for himself.
        self.0.source = Some(source.without_url());
        self
    }

    pub(crate) fn attempted(mut self, times: u32) -> Self {
        self.0.attempts = times;
        self
    }

    pub(crate) fn after(mut self, answered: BatchResult) -> Self {
        self.0.partial = (!answered.records.is_empty()).then_some(answered);
        self
    }

    /// The HTTP status; `None` when there was no answer.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// A stable word in snake_case.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The request's id, which the server's log has too.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The answer's body: JSON, else a string; null when there was none.
    pub fn data(&self) -> &Value {
        &self.0.data
    }

    /// How long the server asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// How often the request was sent.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// Of a batch: what the server answered before this error, for the first events of the batch. What became of
    /// the next up to 100 is unknown when there was no answer; those after them were not sent.
    pub fn partial(&self) -> Option<&BatchResult> {
        self.0.partial.as_ref()
    }
}

impl From<Details> for Error {
    fn from(details: Details) -> Self {
        Self(Box::new(details))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Error").field(&self.0).finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}
