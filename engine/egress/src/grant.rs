//! Everything a connection may do: the hosts it may call, and the credentials it calls them with.

use std::collections::BTreeMap;
use std::fmt;

use heddle_core::manifest::Manifest;
use heddle_core::secret::Secret;
use http::HeaderMap;
use reqwest::Url;
use serde_json::{Map, Value};

use crate::credential::Credential;
use crate::error::GrantError;
use crate::host::Host;
use crate::redact::Redactor;
use crate::request::{authority, read_url};
use crate::token::TokenSource;
use crate::{SendContext, SendError};

/// What a manifest allows, with a connection's settings and secrets filled in. Made once per
/// connection and used for all of its requests.
pub struct Grant {
    hosts: Vec<Host>,
    credentials: Vec<Credential>,
    redactor: Redactor,
}

impl Grant {
    /// Fills in a manifest. A host or credential whose setting or secret is not given is left out;
    /// one that is given and cannot be used is an error, whose message is for the person who
    /// connects the destination.
    ///
    /// - A host `{key}.acme.com` needs a setting that is one DNS label; `{url.host}` takes the host
    ///   and port of a setting or secret that is a URL.
    /// - A credential is applied when its secret is given and its `when` is met.
    /// - A secret of fewer than [`MIN_SECRET_BYTES`](crate::MIN_SECRET_BYTES) is refused, since it
    ///   could not be removed from answers.
    pub fn new(
        manifest: &Manifest,
        settings: &Map<String, Value>,
        secrets: &BTreeMap<String, Secret>,
    ) -> Result<Self, GrantError> {
        let settings = Settings::new(manifest, settings);
        let mut redactor = Redactor::default();
        let mut credentials: Vec<Credential> = Vec::new();
        for declared in &manifest.credentials {
            let Some(secret) = secrets
                .get(&declared.field)
                .filter(|secret| !secret.reveal().is_empty())
            else {
                continue;
            };
            if declared
                .when
                .as_ref()
                .is_some_and(|condition| !condition.is_met(&settings.0))
            {
                continue;
            }
            credentials.push(Credential::new(
                declared,
                secret,
                &settings,
                secrets,
                &mut redactor,
            )?);
        }
        credentials.sort_by_key(|credential| !credential.changes_body());
        Ok(Self {
            hosts: hosts(&manifest.hosts, &settings, secrets)?,
            credentials,
            redactor,
        })
    }

    /// Whether a request to `url` goes to a declared host.
    pub(crate) fn allows(&self, url: &Url) -> bool {
        self.hosts.iter().any(|host| host.matches(url))
    }

    /// The URL that `credential:NAME` stands for.
    pub(crate) fn secret_url(&self, name: &str) -> Result<Url, SendError> {
        let (credential, secret) = self
            .credentials
            .iter()
            .filter(|credential| credential.name == name)
            .find_map(|credential| Some((credential, credential.secret_url()?)))
            .ok_or_else(|| SendError::refused(format!("there is no secret URL called {name:?}")))?;
        let url = read_url(secret.reveal())
            .map_err(|problem| SendError::refused(format!("the secret URL called {name:?} {problem}")))?;
        if !credential.fits(&url) {
            let host = authority(&url);
            return Err(SendError::refused(format!(
                "the secret URL called {name:?} must not lead to {host}"
            )));
        }
        Ok(url)
    }

    /// Applies every credential that fits: those that change the body, then the others, both in the
    /// manifest's order.
    pub(crate) fn apply(
        &self,
        url: &mut Url,
        headers: &mut HeaderMap,
        body: &mut Vec<u8>,
        context: &SendContext,
    ) -> Result<(), SendError> {
        self.credentials
            .iter()
            .try_for_each(|credential| credential.apply(url, headers, body, context))
    }

    /// The credential that a request to `url` needs a token for.
    pub(crate) fn token_credential(&self, url: &Url) -> Option<(&Credential, &TokenSource)> {
        self.credentials
            .iter()
            .filter(|credential| credential.fits(url))
            .find_map(|credential| Some((credential, credential.token_source()?)))
    }

    pub(crate) fn redactor(&self) -> &Redactor {
        &self.redactor
    }
}

/// Names the hosts and no secret.
impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials: Vec<&str> = self
            .credentials
            .iter()
            .map(|credential| credential.name.as_str())
            .collect();
        f.debug_struct("Grant")
            .field("hosts", &self.hosts)
            .field("credentials", &credentials)
            .finish()
    }
}

/// A connection's settings, with the manifest's defaults for those that are absent.
pub(crate) struct Settings(Map<String, Value>);

impl Settings {
    fn new(manifest: &Manifest, given: &Map<String, Value>) -> Self {
        let mut settings = given.clone();
        settings.retain(|_, value| !value.is_null());
        for field in manifest
            .authentication
            .fields
            .iter()
            .filter(|field| !field.is_secret())
        {
            if let Some(default) = &field.default_value {
                settings
                    .entry(field.key.clone())
                    .or_insert_with(|| default.clone().into());
            }
        }
        Self(settings)
    }

    /// A setting as text; `None` when it is absent or has no text.
    fn text(&self, key: &str) -> Option<String> {
        match self.0.get(key)? {
            Value::String(text) => Some(text.clone()),
            value @ (Value::Bool(_) | Value::Number(_)) => Some(value.to_string()),
            _ => None,
        }
    }

    /// `text` with every `{setting}` filled in; an absent one is an error.
    pub fn fill(&self, text: &str) -> Result<String, GrantError> {
        fill(text, |key| {
            self.text(key)
                .ok_or_else(|| GrantError::setting(key, "is missing"))
        })
    }

    /// `text` with every `{setting}` filled in, with nothing where it is absent.
    pub fn fill_or_empty(&self, text: &str) -> String {
        match fill(text, |key| {
            Ok::<_, std::convert::Infallible>(self.text(key).unwrap_or_default())
        }) {
            Ok(filled) => filled,
        }
    }
}

fn fill<E>(text: &str, value: impl Fn(&str) -> Result<String, E>) -> Result<String, E> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((key, behind)) = after.split_once('}') else {
            break;
        };
        filled.push_str(before);
        filled.push_str(&value(key)?);
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The hosts that `patterns` lead to. One whose setting is absent leads nowhere.
pub(crate) fn hosts(
    patterns: &[String],
    settings: &Settings,
    secrets: &BTreeMap<String, Secret>,
) -> Result<Vec<Host>, GrantError> {
    patterns
        .iter()
        .filter_map(|pattern| host(pattern, settings, secrets).transpose())
        .collect()
}

fn host(
    pattern: &str,
    settings: &Settings,
    secrets: &BTreeMap<String, Secret>,
) -> Result<Option<Host>, GrantError> {
    if let Some(key) = pattern
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix(".host}"))
    {
        let secret = || secrets.get(key).map(|secret| secret.reveal().to_owned());
        let Some(text) = settings.text(key).or_else(secret).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let url = read_url(&text).map_err(|_| GrantError::setting(key, "is no URL that can be called"))?;
        return Ok(Host::of(&url));
    }
    // `None` inside the error: the setting is absent.
    let filled = fill(pattern, |key| match settings.text(key) {
        None => Err(None),
        Some(text) if text.is_empty() => Err(None),
        Some(text) if is_label(&text) => Ok(text),
        Some(_) => Err(Some(GrantError::setting(
            key,
            "must be one part of a host name: letters, digits and -",
        ))),
    });
    match filled {
        Ok(text) => Host::parse(&text)
            .map(Some)
            .ok_or_else(|| GrantError::Host(pattern.to_owned())),
        Err(None) => Ok(None),
        Err(Some(error)) => Err(error),
    }
}

/// `[A-Za-z0-9-]{1,63}`
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
#[path = "grant_tests.rs"]
mod tests;
