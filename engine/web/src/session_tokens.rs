//! Access tokens of sessions: JWTs that Heddle signs for itself and nobody else can make. One is good
//! when its session names it; what it opens stands in the session's row and not in the token.

use heddle_core::id::SessionId;
use heddle_core::time::Timestamp;
use heddle_store::{Reach, Session};
use http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::App;
use crate::caller::{Caller, Credential};
use crate::error::ApiError;
use crate::{origins, session_access};

/// The `kid` of these tokens, by which they are told from machine tokens.
pub const KID: &str = "heddle-session";

const ISSUER: &str = "urn:heddle:sessions";
const AUDIENCE: &str = "heddle-sessions";

/// What the API writes before a session's id.
pub const ID_PREFIX: &str = "sess_";

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    jti: Uuid,
    iat: i64,
    exp: i64,
}

/// The good access token of the session.
pub fn sign(session: &Session, key: &[u8; 32], now: Timestamp) -> Result<String, ApiError> {
    let header = Header {
        kid: Some(KID.into()),
        ..Header::new(Algorithm::HS256)
    };
    let claims = Claims {
        iss: ISSUER.into(),
        aud: AUDIENCE.into(),
        sub: shown_id(session.id),
        jti: session.token,
        iat: now.seconds(),
        exp: session.expires_at.seconds(),
    };
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(key))
        .map_err(|error| ApiError::Internal(format!("an access token cannot be signed: {error}")))
}

/// `sess_` and the id.
pub fn shown_id(id: SessionId) -> String {
    format!("{ID_PREFIX}{id}")
}

/// Back from [`shown_id`].
pub fn read_id(text: &str) -> Option<SessionId> {
    text.strip_prefix(ID_PREFIX)?.parse().ok()
}

const fn refused(code: &'static str, message: &'static str) -> ApiError {
    ApiError::Unauthenticated { code, message }
}

const NOT_GENUINE: ApiError = refused(
    "invalid_token",
    "The session's access token is not one that Heddle made.",
);

/// Whose token it is, if Heddle made it.
fn read(token: &str, key: &[u8; 32]) -> Result<(SessionId, Uuid), ApiError> {
    let mut validation = Validation::new(Algorithm::HS256);
    // The library would read the machine's clock; the session's row has the time.
    validation.validate_exp = false;
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    let claims = jsonwebtoken::decode::<Claims>(token, &DecodingKey::from_secret(key), &validation)
        .map_err(|_| NOT_GENUINE)?
        .claims;
    Ok((read_id(&claims.sub).ok_or(NOT_GENUINE)?, claims.jti))
}

/// The caller behind an access token.
pub async fn caller(app: &App, token: &str, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let (id, jti) = read(token, &app.session_key)?;
    let session = app.store.session(id).await?.ok_or(NOT_GENUINE)?;
    if session.revoked_at.is_some() {
        return Err(refused(
            "session_revoked",
            "The session was revoked; make another one.",
        ));
    }
    if session.token != jti {
        return Err(refused(
            "token_replaced",
            "The session was refreshed since; use its newest access token.",
        ));
    }
    if session.expires_at <= app.clock.now() {
        return Err(refused(
            "token_expired",
            "The access token has expired; refresh the session.",
        ));
    }
    origins::check(headers, &session.allowed_origins, app.public_url.as_deref())?;
    let reach = Reach {
        workspaces: Some([session.workspace].into()),
        resource: session.resource.clone(),
        ..Reach::from(session.organisation)
    };
    let permissions = session_access::permissions(session.kind, session.role, &session.scopes);
    let caller = Caller::new(shown_id(id), reach, permissions, Credential::Session);
    Ok(caller.until(Some(session.expires_at)))
}
