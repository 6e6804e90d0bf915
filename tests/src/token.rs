//! Machine tokens, signed by hand so that tests can also sign what a library would refuse to.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::engine::Keys;

/// Seconds since the epoch.
pub fn now() -> i64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is after 1970");
    i64::try_from(elapsed.as_secs()).expect("the year is before 292 billion")
}

/// The header and the claims of a good token, as the published clients sign them: 30 seconds.
pub fn parts(keys: &Keys) -> (Value, Value) {
    let now = now();
    let header = json!({"alg": "HS256", "typ": "JWT", "kid": keys.access_key});
    let claims = json!({
        "iss": format!("urn:meshes:m2m:{}", keys.access_key),
        "aud": "meshes-api",
        "org": keys.organization_id,
        "iat": now,
        "exp": now + 30,
    });
    (header, claims)
}

/// Signs whatever it is given with HMAC-SHA256.
pub fn sign(header: &Value, claims: &Value, secret: &str) -> String {
    let text = format!("{}.{}", encode(header), encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// A good token.
pub fn machine(keys: &Keys) -> String {
    let (header, claims) = parts(keys);
    sign(&header, &claims, &keys.secret_key)
}

/// One part of a token: base64url without padding.
pub fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}
