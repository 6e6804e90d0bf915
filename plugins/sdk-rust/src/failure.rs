//! The one vocabulary of failure, and the two ways to leave an adapter's function.

use crate::Request;

/// What kind of failure it is, which decides what Heddle does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Trying again would not help: the delivery fails now.
    Permanent,
    /// Trying again may help: the delivery follows its retry schedule.
    Retryable,
    /// The credential is refused: the delivery fails and the connection is deactivated.
    Authentication,
    /// The destination asks for fewer requests: the delivery waits without using up its schedule.
    RateLimited,
    /// The endpoint is gone for good: the delivery fails and the connection is deactivated.
    Gone,
    /// The event or the rule lacks what the action needs: the delivery fails.
    Mapping,
}

/// Why the function could not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Decides what Heddle does next.
    pub kind: FailureKind,
    /// One sentence for the person who reads the history.
    pub message: String,
    /// The wait that the destination asked for, in milliseconds. Heddle obeys up to 24 hours.
    pub retry_after_ms: Option<u64>,
    /// At most this many attempts in all, where the schedule would allow more.
    pub max_attempts: Option<u32>,
}

impl Failure {
    /// A failure without a wait or a limit on attempts.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after_ms: None,
            max_attempts: None,
        }
    }

    /// See [`FailureKind::Permanent`].
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Permanent, message)
    }

    /// See [`FailureKind::Retryable`].
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Retryable, message)
    }

    /// See [`FailureKind::Authentication`].
    pub fn authentication(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Authentication, message)
    }

    /// See [`FailureKind::RateLimited`].
    pub fn rate_limited(message: impl Into<String>) -> Self {
        Self::new(FailureKind::RateLimited, message)
    }

    /// See [`FailureKind::Gone`].
    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Gone, message)
    }

    /// See [`FailureKind::Mapping`].
    pub fn mapping(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Mapping, message)
    }

    /// The same, of another kind: for a status that means something else at this destination.
    pub fn of_kind(mut self, kind: FailureKind) -> Self {
        self.kind = kind;
        self
    }

    /// With the wait that the destination asked for; `None` leaves it as it is.
    pub fn after_ms(mut self, wait: impl Into<Option<u64>>) -> Self {
        self.retry_after_ms = wait.into().or(self.retry_after_ms);
        self
    }

    /// At most this many attempts in all.
    pub fn at_most(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }
}

/// Why an adapter's function ended before its answer. `?` makes both: a request from
/// [`Http::send`](crate::Http::send), and a failure from anything that returns one.
#[derive(Debug)]
pub enum Stop {
    /// Heddle makes this request and calls the function again with its reply.
    Send(Request),
    /// The function cannot do what was asked.
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
