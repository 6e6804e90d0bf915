//! What the API takes and gives about access: publishable keys, machine keys, sessions.
#![allow(missing_docs)] // As in `shapes`, of which this is a part.

use serde::{Deserialize, Serialize};

use crate::shapes::{KeyStatus, LaunchPage, Role, SessionStatus, SessionType};

#[derive(Clone, Debug, Deserialize)]
pub struct PublishableKey {
    pub id: String,
    pub name: String,
    pub public_key: Option<String>,
    pub status: KeyStatus,
    pub allowed_origins: Vec<String>,
    pub created_by: Option<String>,
    pub created_at: String,
    pub expires_at: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct CreatePublishableKey {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How long the former keys stay good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_origins: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct DeletedPublishableKey {
    pub id: String,
    pub name: String,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct CreateSession {
    pub workspace_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_type: Option<SessionType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch_ttl_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch_page: Option<LaunchPage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_origins: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

#[derive(Clone, Deserialize)]
pub struct GrantedSession {
    pub session_id: String,
    pub access_token: String,
    pub expires_in: u32,
    pub expires_at: String,
    pub launch_token: Option<String>,
    pub launch_expires_at: Option<String>,
    pub launch_url: Option<String>,
    pub workspace_id: String,
    pub role: Role,
    pub session_type: SessionType,
    pub resource: Option<String>,
    pub resource_id: Option<String>,
}

impl std::fmt::Debug for GrantedSession {
    /// Without its tokens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrantedSession")
            .field("session_id", &self.session_id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Deserialize)]
pub struct Session {
    pub session_id: String,
    pub workspace_id: String,
    pub role: Role,
    pub external_user_id: Option<String>,
    pub status: SessionStatus,
    pub created_at: String,
    pub expires_at: String,
    pub is_expired: bool,
    pub session_type: SessionType,
    pub resource: Option<String>,
    pub resource_id: Option<String>,
}

/// Which sessions, and which page of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SessionFilter {
    /// Required.
    pub workspace_id: String,
    pub status: Option<SessionStatus>,
    pub resource: Option<String>,
    pub resource_id: Option<String>,
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Revoked {
    pub revoked: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Key {
    pub access_key: String,
    pub organization_id: String,
    pub name: String,
    pub permissions: Vec<String>,
    pub workspaces: Option<Vec<String>>,
    pub status: KeyStatus,
    pub created_by: Option<String>,
    pub created_at: String,
    pub expires_at: Option<String>,
    pub revoked_at: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct CreateKey {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspaces: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

#[derive(Clone, Deserialize)]
pub struct CreatedKey {
    pub key: Key,
    /// Shown this once.
    pub secret_key: String,
}

impl std::fmt::Debug for CreatedKey {
    /// Without its secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedKey")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
