//! Short-lived tokens: a connection's secret is exchanged for one at the manifest's token URL, by
//! the same guarded way as every other request. A token is kept in memory only, used by all
//! requests of its secret until shortly before it expires, and fetched by one of them while the
//! others wait.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heddle_core::exchange::Reply;
use heddle_core::retry::parse_retry_after;
use heddle_core::secret::Secret;
use heddle_core::time::Timestamp;
use http::{HeaderMap, HeaderValue, Method, header};
use reqwest::Url;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::credential::sensitive;
use crate::error::GrantError;
use crate::grant::Settings;
use crate::redact::{MIN_SECRET_BYTES, Redactor, percent_encoded};
use crate::request::{authority, read_url};
use crate::{Egress, SendContext, SendError, SendErrorKind};

/// A token is not used in its last minute: the request has to arrive with it.
const MARGIN: Duration = Duration::from_secs(60);
/// Where the answer does not say how long a token lives.
const USUAL_LIFE: Duration = Duration::from_secs(10 * 60);
/// The longest that a token is used, whatever the answer says.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest token that is taken: it has to fit into a header.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// The tokens that are kept; beyond it those that nobody waits for are dropped.
const MAX_CELLS: usize = 10_000;
/// The most that is shown of a refusal's own words, in characters.
const MAX_REASON: usize = 200;

/// How one secret is exchanged.
pub(crate) struct TokenSource {
    url: Url,
    authorization: HeaderValue,
    form: Vec<u8>,
    /// Of all that the token depends on.
    digest: [u8; 32],
}

impl TokenSource {
    /// Fills in the manifest's words. `redactor` learns what authenticates the client.
    pub fn new(
        credential: &str,
        secret: &Secret,
        (token_url, client_id, form): (&str, &str, &BTreeMap<String, String>),
        settings: &Settings,
        redactor: &mut Redactor,
    ) -> Result<Self, GrantError> {
        let fail = |problem: &str| GrantError::credential(credential, problem);
        let url = read_url(token_url).map_err(|_| fail("has a token URL that cannot be called"))?;
        let client_id = settings.fill(client_id)?;
        if client_id.contains(':') {
            return Err(fail(
                "has a client id with a colon, which Basic authentication cannot carry",
            ));
        }
        let pair = STANDARD.encode(format!("{client_id}:{}", secret.reveal()));
        redactor.learn(&pair);
        let form = form
            .iter()
            .map(|(name, value)| Ok(format!("{}={}", encoded(name), encoded(&settings.fill(value)?))))
            .collect::<Result<Vec<_>, GrantError>>()?
            .join("&")
            .into_bytes();
        let digest = Sha256::new()
            .chain_update(url.as_str())
            .chain_update([0])
            .chain_update(&pair)
            .chain_update([0])
            .chain_update(&form)
            .finalize()
            .into();
        Ok(Self {
            url,
            // Base64 is always a header.
            authorization: sensitive(&format!("Basic {pair}")).unwrap_or(HeaderValue::from_static("")),
            form,
            digest,
        })
    }
}

fn encoded(text: &str) -> String {
    percent_encoded(text, b"-._*")
}

/// A token that was given.
pub(crate) struct Token {
    /// `Bearer TOKEN`
    pub header: HeaderValue,
    /// Knows the token.
    pub redactor: Redactor,
    expires_at: Timestamp,
}

/// All tokens, by the digest of what they were given for.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<[u8; 32], Arc<Cell>>>);

#[derive(Default)]
struct Cell {
    /// Locked while a token is fetched.
    kept: tokio::sync::Mutex<Kept>,
    /// How many fetches have come to an end.
    fetches: AtomicU64,
}

#[derive(Default)]
struct Kept {
    token: Option<Arc<Token>>,
    failure: Option<SendError>,
}

impl Tokens {
    /// The token for `source`: the kept one, or a new one. Of many that ask at once one fetches, and
    /// all have what it got, a failure too.
    pub async fn get(
        &self,
        egress: &Egress,
        source: &TokenSource,
        context: &SendContext,
    ) -> Result<Arc<Token>, SendError> {
        let cell = self.cell(source);
        let seen = cell.fetches.load(Ordering::Acquire);
        let mut kept = cell.kept.lock().await;
        if let Some(token) = kept.token.as_ref().filter(|token| context.now < token.expires_at) {
            return Ok(Arc::clone(token));
        }
        if let Some(failure) = kept.failure.as_ref()
            && cell.fetches.load(Ordering::Acquire) > seen
        {
            return Err(failure.clone());
        }
        let fetched = fetch(egress, source, context).await;
        cell.fetches.fetch_add(1, Ordering::Release);
        kept.token = fetched.as_ref().ok().cloned();
        kept.failure = fetched.as_ref().err().cloned();
        fetched
    }

    /// Forgets `refused`, unless another one has taken its place.
    pub async fn discard(&self, source: &TokenSource, refused: &Arc<Token>) {
        let cell = self.cell(source);
        let mut kept = cell.kept.lock().await;
        if kept
            .token
            .as_ref()
            .is_some_and(|token| Arc::ptr_eq(token, refused))
        {
            kept.token = None;
        }
    }

    fn cell(&self, source: &TokenSource) -> Arc<Cell> {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.len() >= MAX_CELLS && !cells.contains_key(&source.digest) {
            cells.retain(|_, cell| Arc::strong_count(cell) > 1);
        }
        Arc::clone(cells.entry(source.digest).or_default())
    }
}

async fn fetch(
    egress: &Egress,
    source: &TokenSource,
    context: &SendContext,
) -> Result<Arc<Token>, SendError> {
    let host = authority(&source.url);
    egress.check_way(&source.url)?;
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, source.authorization.clone());
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    let reply = egress
        .wire(
            Method::POST,
            source.url.clone(),
            headers,
            Some(source.form.clone()),
            &context.answers,
        )
        .await?;
    read(&reply, &host, context.now).map(Arc::new)
}

/// Reads the answer of a token URL (RFC 6749, sections 5.1 and 5.2).
fn read(reply: &Reply, host: &str, now: Timestamp) -> Result<Token, SendError> {
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let unusable = |what: &str| SendError::network(format!("the answer of {host} {what}"));
    match reply.status {
        200..=299 => {}
        429 => {
            let header = reply.headers.iter().find(|header| header.name == "retry-after");
            return Err(SendError {
                kind: SendErrorKind::Throttled {
                    retry_after: header.and_then(|header| parse_retry_after(&header.value, now)),
                },
                message: format!("{host} gives no access token for now (429)"),
            });
        }
        status @ (408 | 425 | 500..) => {
            return Err(SendError::network(format!(
                "{host} gave no access token ({status})"
            )));
        }
        status @ 400..=499 => {
            return Err(SendError {
                kind: SendErrorKind::Authentication,
                message: format!(
                    "{host} refused to give an access token for the connection's credentials ({status}{})",
                    reason(&answer)
                ),
            });
        }
        status => return Err(unusable(&format!("is no access token ({status})"))),
    }
    if let Some(kind) = answer.get("token_type").and_then(Value::as_str)
        && !kind.eq_ignore_ascii_case("bearer")
    {
        return Err(unusable("is a token of another type than bearer"));
    }
    let text = answer
        .get("access_token")
        .and_then(Value::as_str)
        .filter(|text| (MIN_SECRET_BYTES..=MAX_TOKEN_BYTES).contains(&text.len()))
        .ok_or_else(|| unusable("has no usable access_token"))?;
    let header = sensitive(&format!("Bearer {text}"))
        .ok_or_else(|| unusable("has an access_token that no header can carry"))?;
    let mut redactor = Redactor::default();
    redactor.learn(text);
    Ok(Token {
        header,
        redactor,
        expires_at: now.plus(life(answer.get("expires_in"))),
    })
}

/// How long a token is used, by its `expires_in`: seconds, at some providers as text.
fn life(expires_in: Option<&Value>) -> Duration {
    let seconds = match expires_in {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let life = seconds
        .filter(|seconds: &f64| seconds.is_finite())
        .map_or(USUAL_LIFE, |seconds| {
            Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_LIFE.as_secs_f64()))
        });
    // One that lives hardly longer than the margin is used for half its life.
    life.checked_sub(MARGIN).unwrap_or_default().max(life / 2)
}

/// `: invalid_client, Invalid client_id or client_secret`
fn reason(answer: &Value) -> String {
    let words: Vec<String> = ["error", "error_description", "reason"]
        .iter()
        .filter_map(|key| answer.get(*key)?.as_str())
        .map(|text| {
            text.chars()
                .filter(|c| !c.is_control())
                .take(MAX_REASON)
                .collect()
        })
        .filter(|text: &String| !text.trim().is_empty())
        .collect();
    match words.as_slice() {
        [] => String::new(),
        words => format!(": {}", words.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_used_until_a_minute_before_it_expires() {
        for (expires_in, seconds) in [
            (json!(3600), 3540),
            (json!("3600"), 3540),
            (json!(90), 45),
            (json!(10), 5),
            (json!(0), 0),
            (json!(-5), 0),
            (json!(1e300), 24 * 3600 - 60),
            (json!("soon"), 9 * 60),
            (json!(null), 9 * 60),
        ] {
            assert_eq!(life(Some(&expires_in)).as_secs(), seconds, "{expires_in}");
        }
    }

    #[test]
    fn an_answer_that_is_no_token_says_what_follows() {
        let kind = |status: u16, body: Value| {
            let reply = Reply {
                status,
                headers: Vec::new(),
                body: body.to_string().into_bytes(),
            };
            read(&reply, "acme.com", Timestamp(0))
                .err()
                .map(|error| error.kind)
        };
        assert_eq!(kind(200, json!({"access_token": "abcd"})), None);
        assert_eq!(
            kind(200, json!({"access_token": "abcd", "token_type": "Bearer"})),
            None
        );
        for body in [
            json!({}),
            json!("abcd"),
            json!({"access_token": "abc"}),
            json!({"access_token": "ab\ncd"}),
            json!({"access_token": "x".repeat(MAX_TOKEN_BYTES + 1)}),
            json!({"access_token": "abcd", "token_type": "mac"}),
        ] {
            assert_eq!(kind(200, body.clone()), Some(SendErrorKind::Network), "{body}");
        }
        for (status, expected) in [
            (302, SendErrorKind::Network),
            (400, SendErrorKind::Authentication),
            (401, SendErrorKind::Authentication),
            (404, SendErrorKind::Authentication),
            (408, SendErrorKind::Network),
            (429, SendErrorKind::Throttled { retry_after: None }),
            (500, SendErrorKind::Network),
            (503, SendErrorKind::Network),
        ] {
            assert_eq!(kind(status, json!({})), Some(expected), "{status}");
        }
    }
}
