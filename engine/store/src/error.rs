//! What can go wrong, in the few kinds that callers treat differently.

use std::path::PathBuf;

use heddle_core::delivery::{Illegal, RetryRefused};
use heddle_core::time::Timestamp;
use rusqlite::ErrorCode;

/// Why a verb did not do what it was asked. Nothing of it was kept. Texts name no stored value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, the file is locked, I/O failed. Worth another try later; the API's 503.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// SQLite's words.
        reason: String,
    },
    /// Something of that name or id is there already; the API's 409.
    #[error("{0}")]
    Conflict(&'static str),
    /// As many are there as there can be, whatever the quotas; the API's 409.
    #[error("{0}")]
    Full(&'static str),
    /// What a new row refers to is not there, or is another organization's; the API's 404.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// As much is there as its owner may have; the API's 429.
    #[error("the quota of {} is used up", .0.counter)]
    OverQuota(OverQuota),
    /// The API's 400.
    #[error("the cursor is not one that this list gave")]
    BadCursor,
    /// A defect: a row that cannot be read, a secret that does not open, a query that is wrong.
    #[error("the store is broken: {reason}")]
    Broken {
        /// What was seen.
        reason: String,
    },
}

/// A quota that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverQuota {
    /// What is counted, such as `events_per_month`.
    pub counter: &'static str,
    /// How much there may be.
    pub limit: u64,
    /// How much there is.
    pub used: u64,
    /// When it is counted anew; `None`: when something is deleted.
    pub resets_at: Option<Timestamp>,
}

impl StoreError {
    /// It cannot be reached, for the reason given.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable {
            reason: reason.into(),
        }
    }

    pub(crate) fn broken(reason: impl Into<String>) -> Self {
        Self::Broken {
            reason: reason.into(),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let reason = error.to_string();
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::OutOfMemory
                | ErrorCode::OperationAborted,
            ) => Self::Unavailable { reason },
            Some(ErrorCode::ConstraintViolation) if is_unique(&error) => Self::Conflict("it exists already"),
            _ => Self::Broken { reason },
        }
    }
}

/// Whether a row of that key is there already, as opposed to a row that breaks a CHECK.
pub(crate) fn is_unique(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
    error
        .sqlite_error()
        .is_some_and(|e| [SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE].contains(&e.extended_code))
}

/// The machine refused a step that the caller had checked for: a defect.
impl From<Illegal> for StoreError {
    fn from(illegal: Illegal) -> Self {
        Self::broken(illegal.to_string())
    }
}

/// Why a delivery is not tried now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetryError {
    /// This organization has no such event, or the event did not match such a rule.
    #[error("there is no such delivery")]
    NotFound,
    /// The rule was deleted: nothing says any more what to do with the event.
    #[error("the rule of this delivery was deleted")]
    RuleDeleted,
    /// The payload is past its time: there is nothing to deliver any more.
    #[error("the payload of this event is no longer kept")]
    PayloadGone,
    /// The contract's 425.
    #[error("an attempt is under way")]
    InFlight,
    /// The contract's 425.
    #[error("the next attempt is due within two seconds")]
    Imminent,
    /// Another delivery of its ordering key comes first.
    #[error("it waits for an earlier delivery of its ordering key")]
    NotItsTurn,
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<RetryRefused> for RetryError {
    fn from(refused: RetryRefused) -> Self {
        match refused {
            RetryRefused::InFlight => Self::InFlight,
            RetryRefused::Imminent => Self::Imminent,
            RetryRefused::NotItsTurn => Self::NotItsTurn,
        }
    }
}

/// Why a delivery is not called off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CancelError {
    /// This organization has no such event, or the event did not match such a rule.
    #[error("there is no such delivery")]
    NotFound,
    /// It is completed, failed or canceled.
    #[error("the delivery has ended already")]
    AlreadyFinal,
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a bulk replay was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// This organization has no such replay.
    #[error("there is no such replay")]
    NotFound,
    /// It is completed or canceled.
    #[error("the replay has ended")]
    AlreadyFinal,
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be made, read or written.
    #[error("the database {path} cannot be opened")]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// SQLite says no.
    #[error("the database {path} cannot be opened")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// It is a database, but of another program.
    #[error("{path} is not a database of Heddle")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A later version of Heddle wrote it.
    #[error("{path} has schema version {found}; this Heddle knows versions up to {known}: use a newer one")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The latest that this program knows.
        known: i64,
    },
    /// The secrets in it would not open.
    #[error("the master key is not the one that {path} was made with: its secrets cannot be opened")]
    WrongMasterKey {
        /// The file.
        path: PathBuf,
    },
    /// The writer's thread did not start, or there is no randomness.
    #[error("the machine cannot run the store: {0}")]
    Machine(String),
}
