//! Requests, recorded replies, and the conversation that an adapter believes to have.

use std::borrow::Cow;

use serde_json::Value;

use crate::time::{instant_ms, wait_ms};
use crate::url::push_encoded;
use crate::{Failure, Stop};

/// One HTTP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Compared without regard to case.
    pub name: String,
    /// No CR, LF or NUL.
    pub value: String,
}

/// An HTTP request for Heddle to make. It carries no credential: Heddle applies what the manifest
/// says, after the function has returned, over the exact bytes of `body`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// Absolute; its host must be one of the manifest's. `credential:NAME` stands for a secret URL.
    pub url: String,
    /// The adapter's own headers.
    pub headers: Vec<Header>,
    /// The exact bytes to send.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without headers and body. See [`url!`](crate::url!) for texts in a path.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A `GET` request.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A `POST` request.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// A `PUT` request.
    pub fn put(url: impl Into<String>) -> Self {
        Self::new("PUT", url)
    }

    /// A `PATCH` request.
    pub fn patch(url: impl Into<String>) -> Self {
        Self::new("PATCH", url)
    }

    /// A `DELETE` request.
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new("DELETE", url)
    }

    /// Adds a query parameter, percent-encoded.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.push(if self.url.contains('?') { '&' } else { '?' });
        push_encoded(&mut self.url, name);
        self.url.push('=');
        push_encoded(&mut self.url, value);
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(Header {
            name: name.to_owned(),
            value: value.into(),
        });
        self
    }

    /// With a JSON body. Numbers take serde's spelling: use [`Self::body`] with
    /// [`Event::payload_text`](crate::Event) where the payload's own bytes matter.
    pub fn json(self, value: &Value) -> Self {
        self.body("application/json", value.to_string())
    }

    /// With a body of `application/x-www-form-urlencoded`.
    pub fn form(self, pairs: &[(&str, &str)]) -> Self {
        let mut body = String::new();
        for (name, value) in pairs {
            if !body.is_empty() {
                body.push('&');
            }
            push_encoded(&mut body, name);
            body.push('=');
            push_encoded(&mut body, value);
        }
        self.body("application/x-www-form-urlencoded", body)
    }

    /// With any body.
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("Content-Type", content_type)
    }
}

/// The recorded reply to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status. Redirects are not followed: a 3xx arrives here.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<Header>,
    /// After decompression.
    pub body: Vec<u8>,
    /// The attempt's start, for what counts from now; see [`Self::retry_after_ms`].
    pub(crate) sent_at: Option<i64>,
}

impl Reply {
    /// A reply without headers.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            sent_at: None,
        }
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))?;
        Some(&header.value)
    }

    /// The body as text, whatever is not UTF-8 replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The body as JSON. A body that is none is a retryable failure: something between Heddle and the
    /// destination answered, or the answer was cut off.
    pub fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.body).map_err(|_| {
            let what = format!(
                "answered {} with a body that is not JSON{}",
                self.status,
                self.excerpt()
            );
            Failure::retryable(what).after_ms(self.retry_after_ms())
        })
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// This reply if its status is 2xx, else [`Self::failure`].
    pub fn success(self) -> Result<Self, Failure> {
        if self.is_success() {
            Ok(self)
        } else {
            Err(self.failure())
        }
    }

    /// What the status means at most destinations: 408, 425 and 5xx are worth another try, 429 asks
    /// for fewer requests, 401 refuses the credential, everything else is permanent. `Retry-After` is
    /// honored on any of them.
    pub fn failure(&self) -> Failure {
        let message = format!("answered {}{}", self.status, self.excerpt());
        let failure = match self.status {
            429 => Failure::rate_limited(message),
            401 => Failure::authentication(message),
            408 | 425 | 500.. => Failure::retryable(message),
            _ => Failure::permanent(message),
        };
        failure.after_ms(self.retry_after_ms())
    }

    /// The wait that `Retry-After` asks for, in milliseconds.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.wait_ms("retry-after")
    }

    /// The wait that a header asks for, in milliseconds: seconds, an HTTP date or an ISO 8601 instant.
    /// Instants count from the reply's own `Date`, or else from the attempt's start.
    pub fn wait_ms(&self, header: &str) -> Option<u64> {
        wait_ms(self.header(header)?, self.now())
    }

    /// The wait until the instant that a header names in seconds since the epoch, in milliseconds.
    pub fn wait_until_ms(&self, header: &str) -> Option<u64> {
        let until: i64 = self.header(header)?.trim().parse().ok()?;
        let wait = until.saturating_mul(1_000).saturating_sub(self.now()?);
        Some(u64::try_from(wait).unwrap_or(0))
    }

    /// The reply's own time, or else the attempt's start.
    fn now(&self) -> Option<i64> {
        self.header("date").and_then(instant_ms).or(self.sent_at)
    }

    /// The start of the body as `: …` for a message; nothing for markup, which says little.
    fn excerpt(&self) -> String {
        let text = self.text();
        let mut words = text
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| !word.is_empty());
        let mut excerpt = String::new();
        match words.next() {
            Some(first) if !first.starts_with('<') => {
                excerpt.push_str(": ");
                excerpt.extend(first.chars().take(200));
            }
            _ => return excerpt,
        }
        for word in words {
            if excerpt.len() + word.len() > 240 {
                excerpt.push_str(" …");
                break;
            }
            excerpt.push(' ');
            excerpt.push_str(word);
        }
        excerpt
    }
}

/// The conversation with the destination.
pub struct Http {
    replies: std::vec::IntoIter<Reply>,
    sent_at: Option<i64>,
}

impl Http {
    pub(crate) fn new(replies: Vec<Reply>, sent_at: Option<i64>) -> Self {
        Self {
            replies: replies.into_iter(),
            sent_at,
        }
    }

    /// The reply to `request`. While there is none, this leaves the function with the request, and
    /// Heddle calls it again from the start when the reply is there: always write `?` behind it.
    pub fn send(&mut self, request: Request) -> Result<Reply, Stop> {
        match self.replies.next() {
            Some(reply) => Ok(Reply {
                sent_at: self.sent_at,
                ..reply
            }),
            None => Err(Stop::Send(request)),
        }
    }

    /// The start of this attempt, in milliseconds since the epoch, where Heddle told it.
    pub fn sent_at(&self) -> Option<i64> {
        self.sent_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureKind;
    use serde_json::json;

    #[test]
    fn a_request_is_built_piece_by_piece() {
        let request = Request::post("https://a.example/x")
            .query("q", "a b&c")
            .query("n", "é")
            .json(&json!({"a": 1}));
        assert_eq!(request.url, "https://a.example/x?q=a%20b%26c&n=%C3%A9");
        assert_eq!(request.body, br#"{"a":1}"#);
        let form = Request::put("https://a.example").form(&[("a b", "1&2"), ("c", "")]);
        assert_eq!(form.body, b"a%20b=1%262&c=");
        assert_eq!(form.headers[0].value, "application/x-www-form-urlencoded");
    }

    #[test]
    fn a_status_means_what_it_means_at_most_destinations() {
        let cases = [
            (200, None),
            (299, None),
            (302, Some(FailureKind::Permanent)),
            (400, Some(FailureKind::Permanent)),
            (401, Some(FailureKind::Authentication)),
            (403, Some(FailureKind::Permanent)),
            (408, Some(FailureKind::Retryable)),
            (410, Some(FailureKind::Permanent)),
            (425, Some(FailureKind::Retryable)),
            (429, Some(FailureKind::RateLimited)),
            (500, Some(FailureKind::Retryable)),
            (503, Some(FailureKind::Retryable)),
            (522, Some(FailureKind::Retryable)),
        ];
        for (status, expected) in cases {
            let kind = Reply::new(status, "").success().err().map(|failure| failure.kind);
            assert_eq!(kind, expected, "{status}");
        }
    }

    #[test]
    fn a_wait_counts_from_the_replys_date_or_the_attempts_start() {
        let mut reply = Reply::new(503, "");
        reply.headers.push(Header {
            name: "retry-after".into(),
            value: "Sun, 06 Nov 1994 08:49:47 GMT".into(),
        });
        assert_eq!(reply.failure().retry_after_ms, None);
        reply.sent_at = Some(784_111_777_000);
        assert_eq!(reply.failure().retry_after_ms, Some(10_000));
        reply.headers.push(Header {
            name: "date".into(),
            value: "Sun, 06 Nov 1994 08:49:45 GMT".into(),
        });
        assert_eq!(reply.failure().retry_after_ms, Some(2_000));
    }

    #[test]
    fn a_wait_until_seconds_since_the_epoch_is_never_negative() {
        let mut reply = Reply::new(429, "");
        assert_eq!(reply.wait_until_ms("x-reset"), None);
        reply.headers.push(Header {
            name: "x-reset".into(),
            value: "784111787".into(),
        });
        assert_eq!(reply.wait_until_ms("x-reset"), None);
        for (now, wait) in [(784_111_777_500, 9_500), (784_111_790_000, 0)] {
            reply.sent_at = Some(now);
            assert_eq!(reply.wait_until_ms("X-Reset"), Some(wait));
        }
        for value in ["soon", "", "1e9", "99999999999999999999"] {
            reply.headers[0].value = value.into();
            assert_eq!(reply.wait_until_ms("x-reset"), None, "{value}");
        }
    }

    #[test]
    fn a_message_quotes_the_answer_in_one_short_line() {
        let message = |body: &str| Reply::new(422, body).failure().message;
        assert_eq!(message(""), "answered 422");
        assert_eq!(
            message("no\r\n  such\u{1b}[31m list"),
            "answered 422: no such [31m list"
        );
        assert_eq!(message("<html><body>"), "answered 422");
        assert!(message(&"wort ".repeat(1000)).len() < 300);
        assert!(message(&"é".repeat(100_000)).len() < 500);
        let malformed = Reply::new(200, "<html>").json().unwrap_err();
        assert_eq!(malformed.kind, FailureKind::Retryable);
        assert_eq!(malformed.message, "answered 200 with a body that is not JSON");
    }
}
