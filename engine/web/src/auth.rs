//! From a request's credential to its caller. A machine token opens what its key may, a session's access
//! token what the session's type and role allow; a publishable key
//! opens the two ingestion operations of its workspace, and where both are sent there, the publishable
//! key counts.

use heddle_core::id::OrganisationId;
use heddle_core::time::Timestamp;
use heddle_store::Reach;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use crate::App;
use crate::caller::{Caller, Credential};
use crate::error::ApiError;
use crate::keys::{is_access_key, is_publishable_key};
use crate::machine_keys::permissions_of;
use crate::permission::{Access, Permission, Permissions};
use crate::{origins, session_tokens};

/// The headers that carry a publishable key, ours first.
const PUBLISHABLE_KEY_HEADERS: [&str; 2] = ["x-heddle-publishable-key", "x-meshes-publishable-key"];

/// The longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 4096;

/// The longest life of a token, in seconds.
const MAX_LIFE_SECONDS: f64 = 60.0;

/// How far the clocks of caller and engine may be apart, in seconds.
const LEEWAY_SECONDS: f64 = 30.0;

/// The door of every route: who is there, and whether it may come in here.
pub async fn admit(app: &App, headers: &HeaderMap, access: Access) -> Result<Caller, ApiError> {
    let key = publishable_key(headers)?;
    let caller = match (key, access) {
        (Some(key), Access::Ingestion) => publishable(app, key, headers).await?,
        _ => match bearer(headers)? {
            Some(token) if !token.starts_with("mesh_pub_") => bearer_caller(app, token, headers).await?,
            None if key.is_none() => return Err(MISSING),
            _ if access == Access::Ingestion => {
                return Err(refused(
                    "invalid_token",
                    "A publishable key goes into the header X-Heddle-Publishable-Key.",
                ));
            }
            _ => return Err(PUBLISHABLE_ELSEWHERE),
        },
    };
    if caller.may(access.permission()) {
        Ok(caller)
    } else {
        Err(ApiError::NotPermitted(access.permission()))
    }
}

const PUBLISHABLE_ELSEWHERE: ApiError = refused(
    "publishable_key_not_allowed",
    "A publishable key opens only POST /api/v1/events and /api/v1/events/bulk; use a machine token here.",
);

const MISSING: ApiError = refused(
    "authentication_required",
    "Send a machine token (Authorization: Bearer …) or, to emit events, a publishable key (X-Heddle-Publishable-Key).",
);

const NOT_GENUINE: ApiError = refused(
    "invalid_token",
    "The machine token's key is not known or its signature does not match.",
);

const fn refused(code: &'static str, message: &'static str) -> ApiError {
    ApiError::Unauthenticated { code, message }
}

const fn invalid_token(message: &'static str) -> ApiError {
    refused("invalid_token", message)
}

/// The token of the one `Authorization` header, if it is of the `Bearer` scheme.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    match token {
        Some(token) if values.next().is_none() && !token.is_empty() => Ok(Some(token)),
        _ => Err(invalid_token(
            "The Authorization header must be one, of the form Bearer TOKEN.",
        )),
    }
}

/// The publishable key of the one header that carries it.
fn publishable_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut values = PUBLISHABLE_KEY_HEADERS
        .iter()
        .flat_map(|name| headers.get_all(*name));
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.any(|other| other != value) {
        return Err(refused(
            "invalid_publishable_key",
            "The request carries two different publishable keys.",
        ));
    }
    Ok(Some(value.to_str().unwrap_or_default()))
}

async fn publishable(app: &App, text: &str, headers: &HeaderMap) -> Result<Caller, ApiError> {
    const UNKNOWN: ApiError = refused("invalid_publishable_key", "The publishable key is not known.");
    if !is_publishable_key(text) {
        return Err(refused(
            "invalid_publishable_key",
            "A publishable key has the form mesh_pub_<environment>_<id>_<secret>.",
        ));
    }
    let found = app.store.publishable_key_by_text(text).await?;
    let (key, workspace, organisation) = found.ok_or(UNKNOWN)?;
    if !bool::from(key.key.as_bytes().ct_eq(text.as_bytes())) {
        return Err(UNKNOWN);
    }
    if key.has_expired(app.clock.now()) {
        return Err(refused(
            "key_expired",
            "The publishable key has expired; use the workspace's newest one.",
        ));
    }
    origins::check(headers, &key.allowed_origins, app.public_url.as_deref())?;
    let reach = Reach {
        workspaces: Some([workspace].into()),
        ..Reach::from(organisation)
    };
    let permissions = Permissions::of(&[Permission::EventsEmit]);
    Ok(Caller::new(
        key.id.to_string(),
        reach,
        permissions,
        Credential::Publishable,
    ))
}

/// A machine's token or a session's, which their headers tell apart.
async fn bearer_caller(app: &App, token: &str, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let kid = named_key(token)?;
    if kid == session_tokens::KID {
        session_tokens::caller(app, token, headers).await
    } else {
        machine(app, token, kid).await
    }
}

async fn machine(app: &App, token: &str, access_key: String) -> Result<Caller, ApiError> {
    let now = app.clock.now();
    let key = app
        .store
        .machine_key(&access_key, now)
        .await?
        .ok_or(NOT_GENUINE)?;
    let claims = genuine_claims(token, key.secret.reveal())?;
    claims.check(&access_key, key.organisation, now)?;
    if key.revoked_at.is_some() {
        return Err(refused("key_revoked", "The machine key was revoked."));
    }
    if key.expires_at.is_some_and(|at| at <= now) {
        return Err(refused(
            "key_expired",
            "The machine key has expired; make another one.",
        ));
    }
    let permissions = permissions_of(&key);
    let reach = Reach {
        workspaces: key.workspaces,
        ..Reach::from(key.organisation)
    };
    let caller = Caller::new(access_key, reach, permissions, Credential::Machine);
    Ok(caller.until(key.expires_at))
}

/// The key that the token says it is signed by.
fn named_key(token: &str) -> Result<String, ApiError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(invalid_token("The machine token is too long."));
    }
    let header = jsonwebtoken::decode_header(token)
        .map_err(|_| invalid_token("The bearer token is no JWT signed with HS256."))?;
    if header.alg != Algorithm::HS256 {
        return Err(invalid_token("The machine token must be signed with HS256."));
    }
    header
        .kid
        .filter(|kid| is_access_key(kid) || kid == session_tokens::KID)
        .ok_or_else(|| invalid_token("The machine token's header must name its access key in kid."))
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    org: String,
    iat: f64,
    exp: f64,
    nbf: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// The claims, once the signature has been found to be that of `secret`.
fn genuine_claims(token: &str, secret: &str) -> Result<Claims, ApiError> {
    let mut signature_only = Validation::new(Algorithm::HS256);
    // The library would read the machine's clock, and knows nothing of our issuers.
    signature_only.validate_exp = false;
    signature_only.validate_aud = false;
    signature_only.required_spec_claims.clear();
    let key = DecodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::decode::<Claims>(token, &key, &signature_only)
        .map(|data| data.claims)
        .map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => NOT_GENUINE,
            _ => invalid_token("The machine token needs the claims iss, aud, org, iat and exp."),
        })
}

impl Claims {
    fn check(&self, access_key: &str, organisation: OrganisationId, now: Timestamp) -> Result<(), ApiError> {
        let issuer = self
            .iss
            .strip_prefix("urn:meshes:m2m:")
            .or_else(|| self.iss.strip_prefix("urn:heddle:m2m:"));
        if issuer != Some(access_key) {
            return Err(invalid_token(
                "The machine token's iss must be urn:heddle:m2m: and its access key.",
            ));
        }
        let ours = |audience: &String| audience == "meshes-api" || audience == "heddle-api";
        let for_us = match &self.aud {
            Audience::One(audience) => ours(audience),
            Audience::Many(audiences) => audiences.iter().any(ours),
        };
        if !for_us {
            return Err(invalid_token(
                "The machine token's aud must be heddle-api or meshes-api.",
            ));
        }
        if self.org.parse() != Ok(organisation) {
            return Err(invalid_token(
                "The machine token's org must be the organization of its key.",
            ));
        }
        let life = self.exp - self.iat;
        if !(life > 0.0 && life <= MAX_LIFE_SECONDS) {
            return Err(invalid_token(
                "The machine token's exp must lie at most 60 seconds after its iat.",
            ));
        }
        #[allow(clippy::cast_precision_loss)] // Milliseconds of any year that a clock shows are exact.
        let now = now.0 as f64 / 1000.0;
        if now > self.exp + LEEWAY_SECONDS {
            return Err(refused("token_expired", "The machine token has expired."));
        }
        if self.iat > now + LEEWAY_SECONDS || self.nbf.is_some_and(|from| from > now + LEEWAY_SECONDS) {
            return Err(invalid_token(
                "The machine token is from the future; check the caller's clock.",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::{Value, json};

    use super::*;

    const KEY: &str = "mk_AbCdEfGhIjKlMnOpQrStUv";
    const SECRET: &str = "s3cretAbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_abcdef";
    const NOW: Timestamp = Timestamp(1_774_000_000_000);

    fn organisation() -> OrganisationId {
        OrganisationId::new(NOW, [3; 10])
    }

    fn claims() -> Value {
        json!({"iss": format!("urn:meshes:m2m:{KEY}"), "aud": "meshes-api", "org": organisation().to_string(),
               "iat": NOW.seconds(), "exp": NOW.seconds() + 30})
    }

    fn signed(claims: &Value, secret: &str) -> String {
        let header = Header {
            kid: Some(KEY.into()),
            ..Header::new(Algorithm::HS256)
        };
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    fn judge(token: &str) -> Result<(), ApiError> {
        let key = named_key(token)?;
        genuine_claims(token, SECRET)?.check(&key, organisation(), NOW)
    }

    #[test]
    fn a_token_of_either_name_is_taken() {
        assert!(judge(&signed(&claims(), SECRET)).is_ok());
        let mut ours = claims();
        ours["iss"] = format!("urn:heddle:m2m:{KEY}").into();
        ours["aud"] = json!(["other", "heddle-api"]);
        assert!(judge(&signed(&ours, SECRET)).is_ok());
    }

    #[test]
    fn the_clocks_may_be_half_a_minute_apart() {
        for (iat, exp, good) in [
            (-90, -30, true),
            (-91, -31, false),
            (30, 60, true),
            (31, 61, false),
            (0, 60, true),
            (0, 61, false),
        ] {
            let mut shifted = claims();
            shifted["iat"] = (NOW.seconds() + iat).into();
            shifted["exp"] = (NOW.seconds() + exp).into();
            assert_eq!(judge(&signed(&shifted, SECRET)).is_ok(), good, "{iat} {exp}");
        }
    }

    #[test]
    fn a_claim_that_is_wrong_or_missing_is_refused() {
        let cases = [
            ("iss", json!("urn:meshes:m2m:mk_other_key_of_someone_else")),
            ("iss", json!(KEY)),
            ("aud", json!("other-api")),
            ("aud", json!([])),
            ("org", json!(OrganisationId::new(NOW, [4; 10]).to_string())),
            ("org", json!("everybody")),
            ("exp", json!(NOW.seconds() + 3600)),
            ("exp", json!(NOW.seconds() - 1)),
            ("exp", json!("soon")),
            ("exp", json!(1e300)),
            ("iat", json!(-1e300)),
            ("nbf", json!(NOW.seconds() + 40)),
        ];
        for (claim, value) in cases {
            let mut wrong = claims();
            wrong[claim] = value.clone();
            assert!(judge(&signed(&wrong, SECRET)).is_err(), "{claim} {value}");
        }
        for claim in ["iss", "aud", "org", "iat", "exp"] {
            let mut missing = claims();
            missing.as_object_mut().unwrap().remove(claim);
            assert!(judge(&signed(&missing, SECRET)).is_err(), "without {claim}");
        }
    }

    #[test]
    fn a_token_that_is_not_signed_as_it_must_be_is_refused() {
        let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let unsigned = |header: Value| format!("{}.{}.", encode(header), encode(claims()));
        let good = signed(&claims(), SECRET);
        let no_kid = jsonwebtoken::encode(
            &Header::new(Algorithm::HS256),
            &claims(),
            &EncodingKey::from_secret(SECRET.as_bytes()),
        );
        let hs512 = jsonwebtoken::encode(
            &Header {
                kid: Some(KEY.into()),
                ..Header::new(Algorithm::HS512)
            },
            &claims(),
            &EncodingKey::from_secret(SECRET.as_bytes()),
        );
        let cases = [
            signed(&claims(), "another secret"),
            unsigned(json!({"alg": "none", "kid": KEY})),
            unsigned(json!({"alg": "HS256", "kid": KEY})),
            unsigned(json!({"alg": "RS256", "kid": KEY})),
            unsigned(json!({"kid": KEY})),
            no_kid.unwrap(),
            hs512.unwrap(),
            good[..good.len() - 2].to_owned(),
            good.replacen('.', "", 1),
            format!("{good}.x"),
            "x".repeat(MAX_TOKEN_BYTES + 1),
            String::new(),
            "..".to_owned(),
        ];
        for token in cases {
            let error = judge(&token).unwrap_err();
            assert!(matches!(error, ApiError::Unauthenticated { .. }), "{token}");
            assert!(!error.body().to_string().contains(SECRET));
        }
    }
}
