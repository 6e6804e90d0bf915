//! How an attempt ended, in the words of the contract.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::exchange::{Failure, FailureKind};

/// The contract's `outcome_code` of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeCode {
    /// The destination took it.
    Delivered,
    /// The destination refused it, and will refuse it again: a 4xx, or its equivalent.
    RejectedClientError,
    /// The destination failed: a 5xx, or its equivalent.
    RejectedServerError,
    /// The destination asked for fewer requests, or its stated rate leaves no room for one yet.
    RateLimited,
    /// The credential was refused.
    AuthFailed,
    /// No complete answer in time: the destination may or may not have acted.
    Timeout,
    /// The destination could not be reached, or may not be.
    NetworkError,
    /// The event could not be turned into what the action needs.
    MappingError,
    /// The plugin, or Heddle itself, failed.
    InternalError,
}

impl OutcomeCode {
    /// All of them, in the contract's order.
    pub const ALL: [Self; 9] = [
        Self::Delivered,
        Self::RejectedClientError,
        Self::RejectedServerError,
        Self::RateLimited,
        Self::AuthFailed,
        Self::Timeout,
        Self::NetworkError,
        Self::MappingError,
        Self::InternalError,
    ];

    /// The word in SQL and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::RejectedClientError => "rejected_client_error",
            Self::RejectedServerError => "rejected_server_error",
            Self::RateLimited => "rate_limited",
            Self::AuthFailed => "auth_failed",
            Self::Timeout => "timeout",
            Self::NetworkError => "network_error",
            Self::MappingError => "mapping_error",
            Self::InternalError => "internal_error",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == word)
    }
}

impl fmt::Display for OutcomeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What follows from an attempt, as the state machine needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The contract's word for it.
    pub code: OutcomeCode,
    /// A short sentence for the person who reads the history; never holds a secret.
    pub message: String,
    /// What to do next.
    pub verdict: Verdict,
    /// What the attempt says about the connection itself.
    pub connection: ConnectionVerdict,
}

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done.
    Delivered,
    /// Trying again would not help.
    Permanent,
    /// Try again on the schedule, at most `max_attempts` times in this run if that is less than
    /// the schedule allows, and not before `retry_after` when the destination named a time.
    Retry {
        /// The wait that the destination asked for.
        retry_after: Option<Duration>,
        /// A lower bound on patience than the schedule's.
        max_attempts: Option<u32>,
    },
    /// The destination is there but asks to slow down: wait without using up the schedule.
    Throttled {
        /// The wait that the destination asked for.
        retry_after: Option<Duration>,
    },
    /// Heddle itself keeps to the destination's stated rate: wait for the turn, however often. It is
    /// no attempt that failed, and says nothing about the destination.
    Paced {
        /// How long until its turn.
        wait: Duration,
    },
}

/// What an attempt says about its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionVerdict {
    /// Nothing.
    #[default]
    Unchanged,
    /// The credential is refused: no delivery can succeed until somebody mends it.
    CredentialRefused,
    /// The endpoint says that it is gone for good.
    EndpointGone,
}

impl Outcome {
    /// The destination took it.
    pub fn delivered(message: impl Into<String>) -> Self {
        Self {
            code: OutcomeCode::Delivered,
            message: message.into(),
            verdict: Verdict::Delivered,
            connection: ConnectionVerdict::Unchanged,
        }
    }

    /// Ours to mend, and worth another try: a plugin trapped, the disk was full.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::retry(OutcomeCode::InternalError, message)
    }

    /// Worth another try on the schedule.
    pub fn retry(code: OutcomeCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            verdict: Verdict::Retry {
                retry_after: None,
                max_attempts: None,
            },
            connection: ConnectionVerdict::Unchanged,
        }
    }

    /// Not worth another try.
    pub fn permanent(code: OutcomeCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            verdict: Verdict::Permanent,
            connection: ConnectionVerdict::Unchanged,
        }
    }

    /// From a failure that an adapter reported. `last_status` is the HTTP status of the reply that
    /// it had seen last, which tells a refusal (4xx) from a breakdown (5xx).
    pub fn from_failure(failure: &Failure, last_status: Option<u16>) -> Self {
        // A zero names no time: taken at its word, it would use up a schedule of days in a moment.
        let asked = failure.retry_after_ms.filter(|ms| *ms > 0);
        let retry_after = asked.map(Duration::from_millis);
        let by_status = match last_status {
            Some(401 | 403) => OutcomeCode::AuthFailed,
            Some(408) => OutcomeCode::Timeout,
            Some(429) => OutcomeCode::RateLimited,
            Some(500..) => OutcomeCode::RejectedServerError,
            _ => OutcomeCode::RejectedClientError,
        };
        let retry = Verdict::Retry {
            retry_after,
            max_attempts: failure.max_attempts,
        };
        let (code, verdict, connection) = match failure.kind {
            FailureKind::Permanent => (by_status, Verdict::Permanent, ConnectionVerdict::Unchanged),
            FailureKind::Retryable => {
                // A failure reported inside a 2xx answer is the destination's own.
                let code = match last_status {
                    Some(status) if status >= 300 => by_status,
                    _ => OutcomeCode::RejectedServerError,
                };
                (code, retry, ConnectionVerdict::Unchanged)
            }
            FailureKind::Authentication => (
                OutcomeCode::AuthFailed,
                Verdict::Permanent,
                ConnectionVerdict::CredentialRefused,
            ),
            FailureKind::RateLimited => (
                OutcomeCode::RateLimited,
                Verdict::Throttled { retry_after },
                ConnectionVerdict::Unchanged,
            ),
            FailureKind::Gone => (
                OutcomeCode::RejectedClientError,
                Verdict::Permanent,
                ConnectionVerdict::EndpointGone,
            ),
            FailureKind::Mapping => (
                OutcomeCode::MappingError,
                Verdict::Permanent,
                ConnectionVerdict::Unchanged,
            ),
        };
        Self {
            code,
            message: failure.message.clone(),
            verdict,
            connection,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: FailureKind) -> Failure {
        Failure {
            kind,
            message: "no".into(),
            retry_after_ms: None,
            max_attempts: None,
        }
    }

    #[test]
    fn every_code_is_read_back_from_its_word() {
        for code in OutcomeCode::ALL {
            assert_eq!(OutcomeCode::parse(code.as_str()), Some(code));
        }
        assert_eq!(OutcomeCode::parse("lost"), None);
    }

    #[test]
    fn a_wait_of_zero_is_no_wait_that_was_asked_for() {
        let failure = Failure {
            retry_after_ms: Some(0),
            ..failure(FailureKind::Retryable)
        };
        let verdict = Outcome::from_failure(&failure, Some(503)).verdict;
        assert!(matches!(
            verdict,
            Verdict::Retry {
                retry_after: None,
                ..
            }
        ));
    }

    #[test]
    fn a_failure_is_named_by_its_kind_and_the_status_behind_it() {
        let cases = [
            (
                FailureKind::Permanent,
                Some(422),
                OutcomeCode::RejectedClientError,
            ),
            (FailureKind::Permanent, Some(403), OutcomeCode::AuthFailed),
            (
                FailureKind::Permanent,
                Some(200),
                OutcomeCode::RejectedClientError,
            ),
            (FailureKind::Permanent, None, OutcomeCode::RejectedClientError),
            (
                FailureKind::Retryable,
                Some(503),
                OutcomeCode::RejectedServerError,
            ),
            (
                FailureKind::Retryable,
                Some(404),
                OutcomeCode::RejectedClientError,
            ),
            (
                FailureKind::Retryable,
                Some(200),
                OutcomeCode::RejectedServerError,
            ),
            (FailureKind::Authentication, Some(200), OutcomeCode::AuthFailed),
            (FailureKind::RateLimited, Some(403), OutcomeCode::RateLimited),
            (FailureKind::Gone, Some(410), OutcomeCode::RejectedClientError),
            (FailureKind::Mapping, None, OutcomeCode::MappingError),
        ];
        for (kind, status, code) in cases {
            assert_eq!(
                Outcome::from_failure(&failure(kind), status).code,
                code,
                "{kind:?} {status:?}"
            );
        }
    }
}
