//! What an attempt says about how its destination does.

use std::time::Duration;

use heddle_core::outcome::{Outcome, OutcomeCode, Verdict};

/// How a destination does, as one attempt saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Nothing was seen of it: nothing was sent, or the plugin failed.
    None,
    /// It answered, with whatever.
    Up,
    /// It answered that it wants fewer requests: a 429, or its equivalent.
    Throttled {
        /// For how long none at all.
        retry_after: Option<Duration>,
    },
    /// It is there, but not up to it: 502, 503 and 504, or no answer in time.
    Strained {
        /// For how long it wants no requests.
        retry_after: Option<Duration>,
    },
    /// It failed, or could not be reached.
    Down,
}

impl Sign {
    /// From an attempt's outcome, and the status of its last reply.
    pub fn of(outcome: &Outcome, status: Option<u16>) -> Self {
        let retry_after = match outcome.verdict {
            Verdict::Paced { .. } => return Self::None,
            Verdict::Retry { retry_after, .. } | Verdict::Throttled { retry_after } => retry_after,
            Verdict::Delivered | Verdict::Permanent => None,
        };
        let worth_another_try = outcome.verdict != Verdict::Permanent;
        match (outcome.code, status) {
            (OutcomeCode::InternalError, _) => Self::None,
            (OutcomeCode::Delivered, _) => Self::Up,
            (OutcomeCode::RateLimited, _) => Self::Throttled { retry_after },
            (OutcomeCode::Timeout, _) => Self::Strained { retry_after },
            (OutcomeCode::RejectedServerError, Some(502..=504)) if worth_another_try => {
                Self::Strained { retry_after }
            }
            (OutcomeCode::RejectedServerError | OutcomeCode::NetworkError, _) if worth_another_try => {
                Self::Down
            }
            // A refusal of this one delivery; or it was never sent.
            (_, Some(_)) => Self::Up,
            (_, None) => Self::None,
        }
    }

    /// Whether it says that the destination does not work at all.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Strained { .. } | Self::Down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_attempt_says_of_its_destination() {
        let wait = Some(Duration::from_secs(7));
        let asked = |code| Outcome {
            verdict: Verdict::Retry {
                retry_after: wait,
                max_attempts: None,
            },
            ..Outcome::retry(code, "")
        };
        let throttled = Outcome {
            verdict: Verdict::Throttled { retry_after: wait },
            ..Outcome::retry(OutcomeCode::RateLimited, "")
        };
        let paced = Outcome {
            verdict: Verdict::Paced {
                wait: Duration::from_secs(1),
            },
            ..Outcome::retry(OutcomeCode::RateLimited, "")
        };
        let server_error = OutcomeCode::RejectedServerError;
        let cases = [
            (Outcome::delivered(""), Some(200), Sign::Up),
            (
                Outcome::permanent(OutcomeCode::RejectedClientError, ""),
                Some(400),
                Sign::Up,
            ),
            (
                Outcome::permanent(OutcomeCode::AuthFailed, ""),
                Some(401),
                Sign::Up,
            ),
            (
                Outcome::retry(OutcomeCode::RejectedClientError, ""),
                Some(404),
                Sign::Up,
            ),
            (throttled, Some(429), Sign::Throttled { retry_after: wait }),
            (Outcome::retry(server_error, ""), Some(500), Sign::Down),
            // Inside an answer that looks well.
            (Outcome::retry(server_error, ""), Some(200), Sign::Down),
            (
                Outcome::retry(server_error, ""),
                Some(502),
                Sign::Strained { retry_after: None },
            ),
            (
                asked(server_error),
                Some(503),
                Sign::Strained { retry_after: wait },
            ),
            (
                Outcome::retry(server_error, ""),
                Some(504),
                Sign::Strained { retry_after: None },
            ),
            // The adapter knows that this is about the delivery.
            (Outcome::permanent(server_error, ""), Some(500), Sign::Up),
            (
                Outcome::retry(OutcomeCode::Timeout, ""),
                None,
                Sign::Strained { retry_after: None },
            ),
            (Outcome::retry(OutcomeCode::NetworkError, ""), None, Sign::Down),
            // Refused here, and never sent.
            (
                Outcome::permanent(OutcomeCode::NetworkError, ""),
                None,
                Sign::None,
            ),
            (
                Outcome::permanent(OutcomeCode::MappingError, ""),
                None,
                Sign::None,
            ),
            (Outcome::internal(""), Some(200), Sign::None),
            (paced, None, Sign::None),
        ];
        for (outcome, status, sign) in cases {
            assert_eq!(Sign::of(&outcome, status), sign, "{outcome:?} {status:?}");
        }
    }
}
