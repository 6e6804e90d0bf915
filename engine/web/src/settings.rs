//! A connection's `metadata` against its plugin's manifest: what is missing, what is too much, what
//! has a form that cannot work. Secrets are parted from settings here and never named by value.
//!
//! Of a secret, an update keeps what is stored when it is absent or the mask that an answer showed;
//! `null` removes it. What is sent to the destination as it stands is not kept when a setting leads to
//! another host than before: it must be sent again. A secret that Heddle makes itself is made when there
//! is none, and shown in the clear once, in the answer to the request that made it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use heddle_core::connection::{Connection, RETRY_SCHEDULE};
use heddle_core::manifest::{Apply, Credential, Field, FieldFormat, FieldKind, Manifest};
use heddle_core::retry::Schedule;
use heddle_core::secret::{MASK, Secret};
use heddle_egress::Url;
use regex_lite::Regex;
use serde_json::{Map, Value};

use crate::error::Problem;
use crate::headers;

/// The longest value of one setting, in bytes.
pub const MAX_VALUE_BYTES: usize = 4096;

/// How many deliveries go out at once; every connection may set it.
pub const CONCURRENCY: &str = "concurrency";

/// What the checks need from outside.
pub struct Surroundings<'a> {
    /// Whether a URL may be called; the error continues "the URL …".
    pub check_url: &'a dyn Fn(&str) -> Result<(), String>,
    /// Fresh randomness.
    pub random: &'a dyn Fn() -> [u8; 32],
}

/// Metadata that passed, parted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parted {
    /// What is stored in the clear.
    pub settings: Map<String, Value>,
    /// What is sealed.
    pub secrets: BTreeMap<String, Secret>,
    /// The keys of those secrets that Heddle has just made.
    pub made: Vec<String>,
}

/// Checks `metadata` for a new connection, or for the update of `stored`.
pub fn check(
    manifest: &Manifest,
    metadata: &Map<String, Value>,
    stored: Option<&Connection>,
    surroundings: &Surroundings,
) -> Result<Parted, Vec<Problem>> {
    let mut check = Check {
        surroundings,
        problems: Vec::new(),
    };
    let mut parted = Parted::default();
    check.refuse_unknown(manifest, metadata);
    let (secrets, plain): (Vec<&Field>, Vec<&Field>) = manifest
        .authentication
        .fields
        .iter()
        .partition(|field| field.is_secret());
    // What a field depends on may stand after it, so those that depend on nothing come first.
    let (free, dependent): (Vec<&Field>, Vec<&Field>) =
        plain.iter().partition(|field| field.depends_on.is_none());
    for key in keys(free.into_iter().chain(dependent)) {
        if let Some((field, asked_for)) = asked_for(&plain, key, &parted.settings) {
            check.setting(field, asked_for, metadata, &mut parted.settings);
        }
    }
    check.generic_settings(manifest, metadata, &mut parted.settings);
    let moved = stored.and_then(|stored| moved(manifest, &plain, &stored.settings, &parted.settings));
    for key in keys(secrets.iter().copied()) {
        if let Some((field, asked_for)) = asked_for(&secrets, key, &parted.settings) {
            match moved.filter(|_| is_transmitted(manifest, key)) {
                Some(moved) => check.moved_secret(field, asked_for, moved, metadata, stored, &mut parted),
                None => check.secret(field, asked_for, metadata, stored, &mut parted),
            }
        }
    }
    check.problems.extend(headers::conflicts(manifest, &parted));
    if check.problems.is_empty() {
        Ok(parted)
    } else {
        Err(check.problems)
    }
}

/// Each key once, in order.
fn keys<'m>(fields: impl Iterator<Item = &'m Field>) -> Vec<&'m str> {
    let mut keys: Vec<&str> = Vec::new();
    for field in fields {
        if !keys.contains(&field.key.as_str()) {
            keys.push(&field.key);
        }
    }
    keys
}

/// The field of this key that the settings ask for, else its first one, and whether they ask for it.
/// Two fields may share a key when they depend on different settings: a signing secret has one form or
/// another.
fn asked_for<'m>(
    fields: &[&'m Field],
    key: &str,
    settings: &Map<String, Value>,
) -> Option<(&'m Field, bool)> {
    let met = |field: &&Field| {
        field
            .depends_on
            .as_ref()
            .is_none_or(|condition| condition.is_met(settings))
    };
    let same_key = || fields.iter().copied().filter(|field| field.key == key);
    same_key()
        .find(met)
        .map(|field| (field, true))
        .or_else(|| same_key().next().map(|field| (field, false)))
}

/// The setting that leads to another host than before, if one does: a URL, or a part of a host's name.
fn moved<'m>(
    manifest: &Manifest,
    fields: &[&'m Field],
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Option<&'m str> {
    let leads = |field: &&Field| {
        matches!(field.format, FieldFormat::Url | FieldFormat::HttpsUrl)
            || field.validate.as_deref() == Some("url")
            || names_host(manifest, &field.key)
    };
    let mut keys = fields
        .iter()
        .copied()
        .filter(leads)
        .map(|field| field.key.as_str());
    keys.find(|key| before.contains_key(*key) && place(before, key) != place(after, key))
}

/// Whether a host of the plugin is made with this setting.
fn names_host(manifest: &Manifest, key: &str) -> bool {
    let of_credentials = manifest
        .credentials
        .iter()
        .flat_map(|credential| &credential.hosts);
    let mut patterns = manifest.hosts.iter().chain(of_credentials);
    let (part, whole) = (format!("{{{key}}}"), format!("{{{key}.host}}"));
    patterns.any(|pattern| pattern.contains(&part) || *pattern == whole)
}

/// Where a setting leads: a URL's origin, as the way out reads URLs; of anything else the text itself.
fn place(settings: &Map<String, Value>, key: &str) -> Option<String> {
    let text = settings.get(key)?.as_str()?;
    let url = Url::parse(text).ok().filter(Url::has_host);
    Some(url.map_or_else(|| text.to_owned(), |url| url.origin().ascii_serialization()))
}

/// Whether a secret itself is sent to the destination. A key that only signs stays here.
fn is_transmitted(manifest: &Manifest, key: &str) -> bool {
    let signs = |credential: &Credential| match &credential.apply {
        Apply::Hmac { .. } => credential.field == key,
        Apply::StandardWebhooks { previous_field } => {
            credential.field == key || previous_field.as_deref() == Some(key)
        }
        _ => false,
    };
    let sends = |credential: &Credential| credential.field == key && !signs(credential);
    !manifest.credentials.iter().any(signs) || manifest.credentials.iter().any(sends)
}

struct Check<'a> {
    surroundings: &'a Surroundings<'a>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn problem(&mut self, key: &str, msg: impl Into<String>) {
        self.problems.push(Problem::new(format!("metadata.{key}"), msg));
    }

    fn refuse_unknown(&mut self, manifest: &Manifest, metadata: &Map<String, Value>) {
        for key in metadata
            .keys()
            .filter(|key| manifest.field(key).is_none() && !is_generic(key))
        {
            let known: Vec<&str> = manifest
                .authentication
                .fields
                .iter()
                .map(|field| field.key.as_str())
                .collect();
            let shown: String = key.chars().take(64).collect();
            let known = known.join(", ");
            self.problem(
                &shown,
                format!(
                    "is no setting of {}; it has {known}, {RETRY_SCHEDULE}, {CONCURRENCY}",
                    manifest.name
                ),
            );
        }
    }

    fn setting(
        &mut self,
        field: &Field,
        asked_for: bool,
        metadata: &Map<String, Value>,
        settings: &mut Map<String, Value>,
    ) {
        let sent = metadata.get(&field.key).filter(|value| !is_blank(value));
        let default = field
            .default_value
            .as_ref()
            .filter(|_| asked_for)
            .map(|text| Value::from(text.as_str()));
        match sent.or(default.as_ref()) {
            Some(value) => match self.read(field, value) {
                Ok(value) => {
                    settings.insert(field.key.clone(), value);
                }
                Err(msg) => self.problem(&field.key, msg),
            },
            None if field.required && asked_for => self.problem(&field.key, "is required"),
            None => {}
        }
    }

    fn secret(
        &mut self,
        field: &Field,
        asked_for: bool,
        metadata: &Map<String, Value>,
        stored: Option<&Connection>,
        parted: &mut Parted,
    ) {
        let key = &field.key;
        let sent = metadata.get(key);
        let keeps = sent.is_none_or(|value| value.as_str() == Some(MASK));
        if keeps && let Some(secret) = stored.and_then(|stored| stored.secrets.get(key)) {
            parted.secrets.insert(key.clone(), secret.clone());
            return;
        }
        match sent.filter(|value| !is_blank(value) && !keeps) {
            Some(value) => match self.read(field, value) {
                Ok(value) => {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    parted.secrets.insert(key.clone(), Secret::new(text));
                }
                Err(msg) => self.problem(key, msg),
            },
            None if field.generate && asked_for => {
                let random = (self.surroundings.random)();
                let text = match field.format {
                    FieldFormat::StandardWebhooksSecret => format!("whsec_{}", STANDARD.encode(random)),
                    _ => URL_SAFE_NO_PAD.encode(random),
                };
                parted.secrets.insert(key.clone(), Secret::new(text));
                parted.made.push(key.clone());
            }
            None if field.required && asked_for => self.problem(key, "is required"),
            None => {}
        }
    }

    /// A secret of a connection that leads to another host: what is stored was for the host before,
    /// and whoever changes that need not know it.
    fn moved_secret(
        &mut self,
        field: &Field,
        asked_for: bool,
        moved: &str,
        metadata: &Map<String, Value>,
        stored: Option<&Connection>,
        parted: &mut Parted,
    ) {
        let key = &field.key;
        let is_kept = metadata.get(key).is_none_or(|value| value.as_str() == Some(MASK));
        let is_set = stored.is_some_and(|stored| stored.secrets.contains_key(key));
        match (is_kept && is_set, asked_for) {
            (true, true) => self.problem(
                key,
                format!("must be sent again, or be null to be removed: {moved} leads to another host"),
            ),
            (true, false) => {}
            (false, _) => self.secret(field, asked_for, metadata, None, parted),
        }
    }

    /// The value as it is stored; the error says what it must be and never repeats it.
    fn read(&self, field: &Field, value: &Value) -> Result<Value, String> {
        match field.format {
            FieldFormat::Boolean => return read_boolean(field, value),
            FieldFormat::Headers => return headers::read(value),
            _ => {}
        }
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) if !field.is_secret() => value.to_string(),
            _ => return Err("must be a string".into()),
        };
        if text.len() > MAX_VALUE_BYTES {
            return Err(format!("must have at most {MAX_VALUE_BYTES} bytes"));
        }
        if text
            .chars()
            .any(|c| c.is_control() && !(field.is_secret() && matches!(c, '\n' | '\r' | '\t')))
        {
            return Err("must not hold control characters".into());
        }
        if field.is_secret() && text.trim() != text {
            return Err("must not begin or end with white space".into());
        }
        if field.kind == FieldKind::Select {
            return read_option(field, &text);
        }
        match field.format {
            FieldFormat::HttpsUrl if !text.to_ascii_lowercase().starts_with("https://") => {
                return Err("must begin with https://".into());
            }
            FieldFormat::Url | FieldFormat::HttpsUrl => (self.surroundings.check_url)(&text)?,
            FieldFormat::Text if field.validate.as_deref() == Some("url") => {
                (self.surroundings.check_url)(&text)?;
            }
            FieldFormat::StandardWebhooksSecret if !is_standard_webhooks_secret(&text) => {
                return Err("must be whsec_ and the base64 of 24 to 64 bytes".into());
            }
            _ => {}
        }
        if let Some(pattern) = &field.pattern {
            // Without a reading of the pattern nothing is let through.
            let pattern = Regex::new(&format!("^(?:{pattern})$"))
                .map_err(|_| "has a pattern in the plugin that cannot be read; tell the plugin's author")?;
            if !pattern.is_match(&text) {
                return Err(format!(
                    "must match {}",
                    field.pattern.as_deref().unwrap_or_default()
                ));
            }
        }
        Ok(Value::String(text))
    }

    fn generic_settings(
        &mut self,
        manifest: &Manifest,
        metadata: &Map<String, Value>,
        settings: &mut Map<String, Value>,
    ) {
        let sent = |key| {
            metadata
                .get(key)
                .filter(|value| !is_blank(value) && manifest.field(key).is_none())
        };
        if let Some(value) = sent(RETRY_SCHEDULE) {
            match value.as_str().map(str::parse::<Schedule>) {
                Some(Ok(schedule)) => {
                    settings.insert(RETRY_SCHEDULE.into(), schedule.to_string().into());
                }
                Some(Err(error)) => self.problem(RETRY_SCHEDULE, error.to_string()),
                None => self.problem(RETRY_SCHEDULE, "must be a string such as 0s,5s,5m"),
            }
        }
        if let Some(value) = sent(CONCURRENCY) {
            match value.as_u64() {
                Some(1..=1000) => {
                    settings.insert(CONCURRENCY.into(), value.clone());
                }
                _ => self.problem(CONCURRENCY, "must be a whole number from 1 to 1000"),
            }
        }
    }
}

fn is_generic(key: &str) -> bool {
    key == RETRY_SCHEDULE || key == CONCURRENCY
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        _ => false,
    }
}

fn read_boolean(field: &Field, value: &Value) -> Result<Value, String> {
    let word = match value {
        Value::Bool(_) => return Ok(value.clone()),
        Value::String(text) => read_option(field, text).unwrap_or_else(|_| value.clone()),
        _ => Value::Null,
    };
    match word.as_str() {
        Some(word) if word.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
        Some(word) if word.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
        _ => Err("must be true or false".into()),
    }
}

/// One of a select's values, by its value or its label, however it is capitalized or spaced:
/// `Custom Auth Header` and `custom_auth_header` are the same.
fn read_option(field: &Field, text: &str) -> Result<Value, String> {
    let plain = |text: &str| -> String {
        text.chars()
            .filter(|c| c.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect()
    };
    let exact = field.options.iter().find(|option| option.value == text);
    exact
        .or_else(|| {
            let wanted = plain(text);
            let means = |text: &str| plain(text) == wanted;
            field
                .options
                .iter()
                .find(|option| means(&option.value) || means(&option.label))
        })
        .map(|option| Value::from(option.value.as_str()))
        .ok_or_else(|| {
            let values: Vec<&str> = field.options.iter().map(|option| option.value.as_str()).collect();
            format!("must be one of {}", values.join(", "))
        })
}

fn is_standard_webhooks_secret(text: &str) -> bool {
    text.strip_prefix("whsec_")
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .is_some_and(|bytes| (24..=64).contains(&bytes.len()))
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
