//! A configured destination of a workspace.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{ConnectionId, WorkspaceId};
use crate::retry::Schedule;
use crate::secret::Secret;
use crate::time::Timestamp;

/// The setting that every connection may have, whatever its plugin: a schedule of its own.
pub const RETRY_SCHEDULE: &str = "retry_schedule";

/// A connection with its secrets opened. It lives inside the process only: the API shows
/// `settings` and masks the secrets.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Connection {
    pub id: ConnectionId,
    pub workspace: WorkspaceId,
    /// The adapter's name.
    pub kind: String,
    pub name: String,
    /// The settings that are no secrets.
    pub settings: Map<String, Value>,
    /// The secrets by the key of their field.
    pub secrets: BTreeMap<String, Secret>,
    pub health: Health,
    /// How its check last went; `None` when it was never run, or the plugin has none.
    pub check: Option<Check>,
    pub hidden: bool,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Connection {
    /// What a plugin is told of the connection; `wit/adapter.wit` shows it to authors.
    pub fn told(&self) -> Told<'_> {
        Told {
            id: self.id,
            settings: &self.settings,
            credentials: self.secrets.keys().map(String::as_str).collect(),
        }
    }

    /// When its deliveries are tried, if it does not leave that to the engine.
    pub fn retry_schedule(&self) -> Option<Schedule> {
        self.settings.get(RETRY_SCHEDULE)?.as_str()?.parse().ok()
    }
}

/// A connection as a plugin sees it: no secret, only the keys of the secrets that are set.
#[derive(Debug, Serialize)]
pub struct Told<'a> {
    id: ConnectionId,
    settings: &'a Map<String, Value>,
    credentials: Vec<&'a str>,
}

/// How the check of a connection went: whether it works, found out by asking the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The verdict.
    pub status: CheckStatus,
    /// A sentence for people.
    pub message: String,
    /// Whose account it is, where the destination tells.
    pub account: Option<String>,
    /// When.
    pub checked_at: Timestamp,
}

/// The verdict of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// It works.
    Passed,
    /// The destination refuses the credential.
    Refused,
    /// The destination answers that it does not work, or the plugin found that it cannot.
    Failed,
    /// There was no answer that says either: the destination is down, slow, or asks for fewer requests.
    Unreachable,
}

impl CheckStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Passed, Self::Refused, Self::Failed, Self::Unreachable];

    /// The word in SQL and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// Whether deliveries go out. Deliveries of an inactive connection wait until it is active again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// They do.
    Active,
    /// They wait.
    Inactive {
        /// The contract's word.
        reason: InactiveReason,
        /// A sentence for people; additive to the contract.
        detail: String,
    },
}

impl Health {
    /// Whether deliveries go out.
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Active)
    }
}

/// The contract's `inactive_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum InactiveReason {
    AuthenticationInvalid,
    OauthAuthorizationRevoked,
    OauthReauthorizationRequired,
    /// By a person, or by the endpoint itself with 410 Gone.
    ManuallyInactivated,
}

impl InactiveReason {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::AuthenticationInvalid,
        Self::OauthAuthorizationRevoked,
        Self::OauthReauthorizationRequired,
        Self::ManuallyInactivated,
    ];

    /// The word in SQL and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthenticationInvalid => "authentication_invalid",
            Self::OauthAuthorizationRevoked => "oauth_authorization_revoked",
            Self::OauthReauthorizationRequired => "oauth_reauthorization_required",
            Self::ManuallyInactivated => "manually_inactivated",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}
