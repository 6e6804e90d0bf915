//! One call: sent, timed, repeated where that is safe, and read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Url};
use serde::de::DeserializeOwned;

use crate::credential::Credential;
use crate::error::Error;
use crate::timing::{SystemTiming, Timing, backoff, retry_after};

/// What every client is made with: `Options { retries: 2, ..Options::new(url) }`.
#[derive(Clone)]
pub struct Options {
    /// Where Heddle is: `https://heddle.example.com`, with or without `/api/v1` after it.
    pub base_url: String,
    /// How long one attempt may take; 5 s unless said otherwise.
    pub timeout: Duration,
    /// How often a call is repeated after its first attempt: 4 unless said otherwise, 10 at most.
    pub retries: u32,
    /// A server that asks for a longer wait than this is not asked again; 30 s unless said otherwise.
    pub max_retry_wait: Duration,
    /// Where time comes from.
    pub timing: Arc<dyn Timing>,
}

impl Options {
    /// The usual.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            timeout: Duration::from_secs(5),
            retries: 4,
            max_retry_wait: Duration::from_secs(30),
            timing: Arc::new(SystemTiming),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("base_url", &self.base_url)
            .field("timeout", &self.timeout)
            .field("retries", &self.retries)
            .field("max_retry_wait", &self.max_retry_wait)
            .finish_non_exhaustive()
    }
}

/// A request before it is sent.
pub struct Outgoing {
    pub method: Method,
    pub url: Url,
    /// JSON.
    pub body: Option<String>,
    pub idempotency_key: Option<String>,
    /// Whether a second one after an unknown outcome does no harm.
    pub repeatable: bool,
}

#[derive(Clone, Debug)]
pub struct Transport {
    http: Client,
    base: Url,
    credential: Credential,
    options: Options,
}

impl Transport {
    pub fn new(credential: Credential, options: Options) -> Result<Self, Error> {
        credential.check()?;
        if options.retries > 10 {
            return Err(Error::new("invalid_setting", "retries must be at most 10"));
        }
        let agent = concat!("heddle-client/", env!("CARGO_PKG_VERSION"));
        let http = Client::builder()
            .user_agent(agent)
            // A redirect would carry the key to wherever it points.
            .redirect(Policy::none())
            .build()
            .map_err(|error| Error::new("invalid_setting", "no HTTP client can be made").caused_by(error))?;
        Ok(Self {
            http,
            base: base(&options.base_url)?,
            credential,
            options,
        })
    }

    pub fn timing(&self) -> &Arc<dyn Timing> {
        &self.options.timing
    }

    /// The address of a path below `/api/v1`, whose parts are escaped.
    pub fn url(&self, parts: &[&str]) -> Result<Url, Error> {
        if parts.iter().any(|part| ["", ".", ".."].contains(part)) {
            return Err(Error::new("invalid_id", "an id is empty, or leads elsewhere"));
        }
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(["api", "v1"]).extend(parts);
        }
        Ok(url)
    }

    /// Sends until it is answered, or given up.
    pub async fn send<T: DeserializeOwned>(&self, outgoing: &Outgoing) -> Result<T, Error> {
        for attempt in 1.. {
            let error = match self.once(outgoing).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error.attempted(attempt),
            };
            match self.wait_after(&error, attempt, outgoing.repeatable) {
                Some(wait) => self.timing().sleep(wait).await,
                None => return Err(error),
            }
        }
        unreachable!("retries come to an end")
    }

    async fn once<T: DeserializeOwned>(&self, outgoing: &Outgoing) -> Result<T, Error> {
        let mut request = self
            .http
            .request(outgoing.method.clone(), outgoing.url.clone())
            .headers(self.headers(outgoing)?);
        if let Some(body) = &outgoing.body {
            request = request.body(body.clone());
        }
        let exchange = async {
            let response = request.send().await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Ok((status, headers, response.bytes().await?))
        };
        let answered: Result<_, reqwest::Error> = tokio::select! {
            biased;
            answered = exchange => answered,
            () = self.timing().sleep(self.options.timeout) => {
                return Err(Error::new("timeout", format!("no answer within {:?}", self.options.timeout)));
            }
        };
        let (status, headers, text) = answered.map_err(|error| {
            Error::new("network_error", "the server could not be reached").caused_by(error)
        })?;
        let header = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        match status {
            200..=299 => serde_json::from_slice(&text).map_err(|error| {
                let message = format!("the answer is not what it should be: {error}");
                Error::new("unreadable_answer", message)
            }),
            300..=399 if header(&LOCATION).is_some() => Err(Error::new(
                "redirected",
                "the server redirects; give its own address as base_url",
            )),
            _ => {
                let wait = header(&RETRY_AFTER).and_then(|value| retry_after(value, self.timing().now()));
                let id = header(&HeaderName::from_static("x-request-id")).map(str::to_owned);
                Err(Error::answered(status, &text, id, wait))
            }
        }
    }

    fn headers(&self, outgoing: &Outgoing) -> Result<HeaderMap, Error> {
        let (name, proof) = self.credential.header(self.timing().now())?;
        let json = HeaderValue::from_static("application/json");
        let mut headers = HeaderMap::from_iter([(name, proof), (ACCEPT, json.clone())]);
        if outgoing.body.is_some() {
            headers.insert(CONTENT_TYPE, json);
        }
        if let Some(key) = &outgoing.idempotency_key {
            let key = HeaderValue::try_from(key)
                .map_err(|_| Error::new("invalid_event", "an idempotency key is printable ASCII"))?;
            headers.insert(HeaderName::from_static("idempotency-key"), key);
        }
        Ok(headers)
    }

    /// How long to wait before the next attempt; `None` when there is none.
    fn wait_after(&self, error: &Error, attempt: u32, repeatable: bool) -> Option<Duration> {
        // Both say that nothing was done.
        let refused = error.status() == Some(429) || error.code() == "unavailable";
        let passing = match error.status() {
            Some(status) => [408, 500, 502, 503, 504].contains(&status),
            None => ["network_error", "timeout"].contains(&error.code()),
        };
        if attempt > self.options.retries || !(refused || repeatable && passing) {
            return None;
        }
        let random = self.timing().random();
        match error.retry_after() {
            None => Some(backoff(attempt, random)),
            Some(wait) if wait > self.options.max_retry_wait => None,
            Some(wait) => Some(wait.mul_f64(1.0 + random / 10.0)),
        }
    }
}

/// The address without `/api/v1`.
fn base(given: &str) -> Result<Url, Error> {
    let wrong = || {
        let message = "base_url must be http or https, such as https://heddle.example.com, without user, query or fragment";
        Error::new("invalid_setting", message)
    };
    let mut url = Url::parse(given).map_err(|_| wrong())?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !plain || !["http", "https"].contains(&url.scheme()) {
        return Err(wrong());
    }
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/v1").unwrap_or(path);
    let path = path.strip_suffix("/api").unwrap_or(path).to_owned();
    url.set_path(&path);
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty();
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(base_url: &str) -> Result<Transport, Error> {
        let key = Credential::PublishableKey("mesh_pub_live_1_secret".into());
        Transport::new(key, Options::new(base_url))
    }

    #[test]
    fn the_address_is_taken_with_or_without_the_path_of_the_api() {
        for given in [
            "https://a.b",
            "https://a.b/",
            "https://a.b/api",
            "https://a.b/api/v1/",
        ] {
            let url = transport(given).unwrap().url(&["rules", "a/../b?c"]).unwrap();
            assert_eq!(url.as_str(), "https://a.b/api/v1/rules/a%2F..%2Fb%3Fc", "{given}");
        }
        let below = transport("https://a.b/heddle/").unwrap().url(&["rules"]).unwrap();
        assert_eq!(below.as_str(), "https://a.b/heddle/api/v1/rules");
        for given in [
            "",
            "a.b",
            "ftp://a.b",
            "https://u@a.b",
            "https://a.b?c",
            "https://a.b#c",
        ] {
            assert_eq!(transport(given).unwrap_err().code(), "invalid_setting", "{given}");
        }
    }

    #[test]
    fn an_id_cannot_lead_to_another_path() {
        let transport = transport("https://a.b").unwrap();
        for id in ["", ".", ".."] {
            assert_eq!(transport.url(&["rules", id]).unwrap_err().code(), "invalid_id");
        }
    }

    #[test]
    fn a_client_shows_no_secret() {
        assert!(!format!("{:?}", transport("https://a.b").unwrap()).contains("secret"));
    }
}
