//! Who calls, and how far its word goes. The door ([`crate::routes`]) makes a [`Caller`] out of a
//! request's credential and holds its permissions against the route; a handler takes it as an argument
//! and gives its [`Caller::reach`] to the store, which finds nothing outside of it.

use axum::extract::FromRequestParts;
use heddle_core::id::OrganisationId;
use heddle_core::time::Timestamp;
use heddle_store::Reach;
use http::request::Parts;

use crate::App;
use crate::error::ApiError;
use crate::permission::{Permission, Permissions};

/// The caller of an operation.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who did it, for `created_by`: an access key, a session's id, a publishable key's id.
    pub name: String,
    /// What the store may find for it.
    reach: Reach,
    /// What it may do there.
    permissions: Permissions,
    /// By which kind of credential it came.
    credential: Credential,
    /// When its credential ends, if that is known.
    expires_at: Option<Timestamp>,
}

/// The kinds of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A back end's, with a token that it signed.
    Machine,
    /// An embed session's, with a token that Heddle signed.
    Session,
    /// A page's, readable by everybody who opens it.
    Publishable,
}

impl Caller {
    /// A caller.
    pub fn new(name: String, reach: Reach, permissions: Permissions, credential: Credential) -> Self {
        Self {
            name,
            reach,
            permissions,
            credential,
            expires_at: None,
        }
    }

    /// The same, until then.
    pub fn until(self, expires_at: Option<Timestamp>) -> Self {
        Self { expires_at, ..self }
    }

    /// When its credential ends, if that is known.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// What it may do.
    pub fn permissions(&self) -> Permissions {
        self.permissions
    }

    /// What the store may find for it. Every verb of the store that looks something up takes it.
    pub fn reach(&self) -> Reach {
        self.reach.clone()
    }

    /// The organization, for a row that is made in it.
    pub fn organisation(&self) -> OrganisationId {
        self.reach.organisation
    }

    /// Whether it has a permission beyond the one that its route needs.
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.has(permission)
    }

    /// By which kind of credential it came.
    pub fn credential(&self) -> Credential {
        self.credential
    }

    /// Refuses to make a rule or an event of another resource than its own.
    pub fn keeps_to_resource(
        &self,
        resource: Option<&str>,
        resource_id: Option<&str>,
    ) -> Result<(), ApiError> {
        if self.reach.is_of_resource(resource, resource_id) {
            Ok(())
        } else {
            Err(ApiError::Forbidden(
                "This credential is for one resource: send its resource and resource_id.",
            ))
        }
    }
}

/// Behind the door only: elsewhere nobody was asked for a credential.
impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            ApiError::Internal("a handler asks for a caller but no door stands before it".into())
        })
    }
}
