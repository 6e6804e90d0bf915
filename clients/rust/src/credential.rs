//! What a request proves itself with.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::error::Error;

/// How long a token lives; the server takes 60 seconds at most.
const LIFE_SECONDS: u64 = 30;

/// A machine key, as `heddle keys create` prints it.
#[derive(Clone)]
pub struct MachineKey {
    /// A UUID.
    pub organization_id: String,
    /// `mk_…`
    pub access_key: String,
    /// Never travels: it signs a token for each request.
    pub secret_key: String,
}

/// What a client proves itself with.
#[derive(Clone)]
pub enum Credential {
    /// A workspace's: it emits and does nothing else.
    PublishableKey(String),
    /// Opens an organization, or a part of it.
    MachineKey(MachineKey),
    /// Of a session: opens what the session may.
    AccessToken(String),
}

impl fmt::Debug for MachineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MachineKey")
            .field("organization_id", &self.organization_id)
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PublishableKey(_) => f.write_str("PublishableKey"),
            Self::MachineKey(key) => key.fmt(f),
            Self::AccessToken(_) => f.write_str("AccessToken"),
        }
    }
}

impl Credential {
    /// Refuses what the server would refuse for its form.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |what: &str| Err(Error::new("invalid_setting", what));
        let token_like = |text: &str, least: usize| {
            text.len() >= least
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        match self {
            Self::PublishableKey(key) => {
                let parts: Vec<_> = key
                    .strip_prefix("mesh_pub_")
                    .unwrap_or_default()
                    .split('_')
                    .collect();
                let whole = parts.len() == 3 && parts.iter().all(|part| !part.is_empty());
                if !whole || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                    return wrong("the publishable key must look like mesh_pub_…_…_…");
                }
            }
            Self::MachineKey(key) => {
                if !key
                    .access_key
                    .strip_prefix("mk_")
                    .is_some_and(|rest| token_like(rest, 22))
                {
                    return wrong("the access key must look like mk_…");
                }
                if !token_like(&key.secret_key, 43) {
                    return wrong("the secret key must have at least 43 letters, digits, _ or -");
                }
                if key.organization_id.len() != 36 {
                    return wrong("the organization's id must be a UUID");
                }
            }
            Self::AccessToken(token) => {
                if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                    return wrong("the access token is malformed");
                }
            }
        }
        Ok(())
    }

    /// The header of a request that is sent now.
    pub(crate) fn header(&self, now: SystemTime) -> Result<(HeaderName, HeaderValue), Error> {
        let (name, value) = match self {
            Self::PublishableKey(key) => (HeaderName::from_static("x-heddle-publishable-key"), key.clone()),
            Self::MachineKey(key) => (AUTHORIZATION, format!("Bearer {}", key.token(now))),
            Self::AccessToken(token) => (AUTHORIZATION, format!("Bearer {token}")),
        };
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| Error::new("invalid_setting", "the credential is malformed"))?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}

impl MachineKey {
    /// A fresh token.
    fn token(&self, now: SystemTime) -> String {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(json!({"alg": "HS256", "typ": "JWT", "kid": self.access_key}));
        let claims = part(json!({
            "iss": format!("urn:heddle:m2m:{}", self.access_key),
            "aud": "heddle-api",
            "org": self.organization_id,
            "iat": now,
            "exp": now + LIFE_SECONDS,
        }));
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret_key.as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(format!("{head}.{claims}").as_bytes());
        format!(
            "{head}.{claims}.{}",
            URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
        )
    }
}

/// A new idempotency key: 128 random bits.
pub fn new_key() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Error::new("no_randomness", "the system gave no randomness"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> MachineKey {
        MachineKey {
            organization_id: "01981f6e-7d3c-7000-8000-000000000001".into(),
            access_key: format!("mk_{}", "a".repeat(22)),
            secret_key: "s".repeat(43),
        }
    }

    #[test]
    fn what_cannot_be_a_credential_is_refused() {
        let (machine, publishable) = (Credential::MachineKey, |text: &str| {
            Credential::PublishableKey(text.into())
        });
        assert!(machine(key()).check().is_ok());
        assert!(publishable("mesh_pub_live_1_secret").check().is_ok());
        assert!(Credential::AccessToken("a.b.c".into()).check().is_ok());
        let wrong = [
            publishable(""),
            publishable("pk_live_1_secret"),
            publishable("mesh_pub_live_1"),
            publishable("mesh_pub_live_1_se\ncret"),
            machine(MachineKey {
                access_key: "mk_short".into(),
                ..key()
            }),
            machine(MachineKey {
                secret_key: "short".into(),
                ..key()
            }),
            machine(MachineKey {
                organization_id: String::new(),
                ..key()
            }),
            Credential::AccessToken("a b".into()),
        ];
        for credential in wrong {
            assert_eq!(
                credential.check().unwrap_err().code(),
                "invalid_setting",
                "{credential:?}"
            );
        }
    }

    #[test]
    fn no_secret_is_printed() {
        for credential in [
            Credential::MachineKey(key()),
            Credential::PublishableKey("sss".into()),
            Credential::AccessToken("sss".into()),
        ] {
            let (_, header) = credential.header(UNIX_EPOCH).unwrap();
            assert!(!format!("{credential:?} {header:?}").contains("sss"));
        }
    }
}
