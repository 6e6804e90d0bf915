//! What can go wrong on the way out, in words for people. No message holds a secret, and none
//! holds more of a URL than its host.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::resolve::Blocked;

/// A request that brought no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SendError {
    /// What the caller may conclude from it.
    pub kind: SendErrorKind,
    /// One sentence without its full stop, for the person who reads the history.
    pub message: String,
}

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendErrorKind {
    /// Heddle itself would not send this: an undeclared host, a blocked address, a bad header.
    /// Trying again would not help.
    Refused,
    /// The deadline passed before the whole answer was there: the receiver may have acted.
    Timeout,
    /// The receiver could not be reached, or its answer could not be read.
    Network,
    /// This machine lacks something, such as file descriptors. Not sent.
    Exhausted,
    /// The secret was not exchanged for a token: it, or the client that it belongs to, is refused.
    Authentication,
    /// The destination asked for fewer requests before the plugin's own was sent.
    Throttled {
        /// The wait that it asked for.
        retry_after: Option<Duration>,
    },
    /// It was not this request's turn within reach (see [`Turns`](crate::Turns)). Not sent.
    Paced {
        /// When to come back.
        wait: Duration,
    },
}

impl SendError {
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self {
            kind: SendErrorKind::Refused,
            message: message.into(),
        }
    }

    pub(crate) fn timeout(message: impl Into<String>) -> Self {
        Self {
            kind: SendErrorKind::Timeout,
            message: message.into(),
        }
    }

    pub(crate) fn network(message: impl Into<String>) -> Self {
        Self {
            kind: SendErrorKind::Network,
            message: message.into(),
        }
    }

    pub(crate) fn paced(wait: Duration) -> Self {
        Self {
            kind: SendErrorKind::Paced { wait },
            message: "no request may be sent yet".into(),
        }
    }

    /// Sorts what the HTTP client reports. Its own text is never used, since that has the whole
    /// URL; the innermost cause ("Connection refused") says enough.
    pub(crate) fn from_client(error: &reqwest::Error, host: &str) -> Self {
        if let Some(blocked) = causes(error).find_map(|cause| cause.downcast_ref::<Blocked>()) {
            return Self::refused(blocked.to_string());
        }
        let root = causes(error)
            .last()
            .map(|cause| format!(": {cause}"))
            .unwrap_or_default();
        if error.is_connect() && causes(error).any(is_exhaustion) {
            return Self {
                kind: SendErrorKind::Exhausted,
                message: format!("Heddle's machine could not open a connection to {host}{root}"),
            };
        }
        if error.is_builder() {
            Self::refused(format!("the request cannot be written down{root}"))
        } else if error.is_dns() {
            Self::network(format!("the name {host} could not be resolved{root}"))
        } else if error.is_connect() {
            Self::network(format!("could not connect to {host}{root}"))
        } else if error.is_timeout() {
            Self::timeout(format!("{host} did not answer in time"))
        } else if error.is_decode() {
            Self::network(format!("the answer of {host} could not be read{root}"))
        } else {
            Self::network(format!("the connection to {host} failed{root}"))
        }
    }
}

/// Whether the process or its machine has no descriptor (`EMFILE`, `ENFILE`), port
/// (`EADDRNOTAVAIL`) or memory (`ENOMEM`, `ENOBUFS`) left. The numbers are Linux's.
fn is_exhaustion(cause: &(dyn Error + 'static)) -> bool {
    cause
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::raw_os_error)
        .is_some_and(|number| [24, 23, 99, 12, 105].contains(&number))
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&'a (dyn Error + 'static)| {
        Error::source(*cause)
    })
}

/// The egress layer cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The HTTP client could not be built; most often the machine has no CA certificates.
    #[error("the HTTP client cannot be built (are the system's CA certificates installed?)")]
    Client(#[source] reqwest::Error),
    /// A route that cannot be followed.
    #[error(transparent)]
    Route(#[from] RouteError),
}

/// A route that cannot be read or followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the route {route:?} {problem}")]
pub struct RouteError {
    pub(crate) route: String,
    pub(crate) problem: &'static str,
}

/// A connection whose settings and secrets do not fit its manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// A setting is missing or has a value that cannot be used.
    #[error("the setting {key} {problem}")]
    Setting {
        /// The setting's key.
        key: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A secret that cannot be applied the way the manifest says.
    #[error("the credential {name} {problem}")]
    Credential {
        /// The credential's name in the manifest.
        name: String,
        /// What is wrong with it; never its value.
        problem: String,
    },
    /// A host of the manifest that is none once its placeholders are filled in.
    #[error("the host pattern {0} leads to no valid host")]
    Host(String),
}

impl GrantError {
    pub(crate) fn setting(key: impl fmt::Display, problem: &'static str) -> Self {
        Self::Setting {
            key: key.to_string(),
            problem,
        }
    }

    pub(crate) fn credential(name: &str, problem: impl Into<String>) -> Self {
        Self::Credential {
            name: name.to_owned(),
            problem: problem.into(),
        }
    }
}
