//! What a plugin says of itself: its settings, its hosts, how the host applies its credentials,
//! and its actions. Read once from `describe`; `wit/adapter.wit` documents it to authors.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::Limits;

/// The longest manifest that is read, in bytes.
pub const MAX_MANIFEST_BYTES: usize = 256 * 1024;
/// The most steps of [`Manifest::setup`], and the most [`Manifest::scopes`].
pub const MAX_NOTES: usize = 64;
/// The longest of the sentences in the manifest that the documentation is made from, in bytes.
pub const MAX_SENTENCE_BYTES: usize = 1024;

/// The most members of a [`Apply::ClientToken`]'s form.
const MAX_FORM: usize = 16;

/// A destination's manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The connection type: `[a-z][a-z0-9_]{0,63}`.
    pub name: String,
    /// The name that people know.
    pub title: String,
    /// One sentence.
    #[serde(default)]
    pub description: String,
    /// The plugin's own version.
    #[serde(default)]
    pub version: String,
    /// The provider's API page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs_url: Option<String>,
    /// What a connection needs to be told.
    pub authentication: Authentication,
    /// The only hosts that requests may go to; see [`crate::manifest`] for placeholders.
    pub hosts: Vec<String>,
    /// How the host applies the connection's secrets.
    #[serde(default)]
    pub credentials: Vec<Credential>,
    /// Keyed by action key.
    pub actions: BTreeMap<String, Action>,
    /// What the destination can bear.
    #[serde(default)]
    pub limits: Limits,
    /// What to do at the provider before connecting: sentences in Markdown, one a step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<String>,
    /// What the credential must be allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scope>,
}

/// A permission that the credential needs, in the provider's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// `crm.lists.write`
    pub name: String,
    /// What for: `to change lists`.
    pub why: String,
}

/// The contract's `authentication`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Authentication {
    /// Which way of authentication it is.
    #[serde(rename = "type")]
    pub kind: AuthenticationKind,
    /// The settings of a connection, in the order of the form.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// `{"version": 2}` for `oauth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<Value>,
}

/// The contract's `authentication.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum AuthenticationKind {
    ApiKey,
    Basic,
    None,
    Oauth,
}

/// One setting of a connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// The label in the form.
    pub label: String,
    /// The key in the connection's `metadata`.
    pub key: String,
    /// How the form shows it; a `password` is a secret.
    #[serde(rename = "type")]
    pub kind: FieldKind,
    /// A sentence under the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help_text: Option<String>,
    /// Must be present and not empty (when `depends_on` is met).
    #[serde(default)]
    pub required: bool,
    /// The contract's `"url"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate: Option<String>,
    /// Taken when the setting is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_value: Option<String>,
    /// The values of a `select`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<FieldOption>,
    /// Only asked for when another setting has a certain value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<Condition>,
    /// What the value must look like.
    #[serde(default)]
    pub format: FieldFormat,
    /// A restriction on the characters: `[...]` class and length, checked by the web layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Made by Heddle when absent, and shown once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub generate: bool,
}

impl Field {
    /// Whether the value is sealed at rest, masked in answers and kept out of the sandbox.
    pub fn is_secret(&self) -> bool {
        self.kind == FieldKind::Password
    }
}

/// The contract's field types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum FieldKind {
    Text,
    Password,
    Select,
}

/// What a setting's value must look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldFormat {
    /// Any text of at most 4 KiB.
    #[default]
    Text,
    /// An absolute `http` or `https` URL; whether `http` is allowed is the operator's choice.
    Url,
    /// An absolute `https` URL, always.
    HttpsUrl,
    /// `true` or `false`.
    Boolean,
    /// At most five headers, as an object of names to values or a list of `{name, value}`.
    Headers,
    /// `whsec_` and the base64 of 24 to 64 bytes.
    StandardWebhooksSecret,
}

/// A value of a `select`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct FieldOption {
    pub label: String,
    pub value: String,
}

/// Met when the setting `field` has the value, or one of the values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Condition {
    /// The key of the setting.
    pub field: String,
    /// What it must be.
    pub value: OneOrMany,
}

/// One text or several.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Condition {
    /// Whether `settings` meet it. Booleans are compared as `true` and `false`.
    pub fn is_met(&self, settings: &serde_json::Map<String, Value>) -> bool {
        let actual = match settings.get(&self.field) {
            Some(Value::String(text)) => text.as_str(),
            Some(Value::Bool(true)) => "true",
            Some(Value::Bool(false)) => "false",
            _ => return false,
        };
        match &self.value {
            OneOrMany::One(expected) => expected == actual,
            OneOrMany::Many(expected) => expected.iter().any(|value| value == actual),
        }
    }
}

/// One secret of a connection and how the egress layer applies it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Credential {
    /// What requests and messages call it.
    pub name: String,
    /// The key of the secret setting.
    pub field: String,
    /// How it is applied.
    #[serde(flatten)]
    pub apply: Apply,
    /// Only when a setting has a certain value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
    /// Only for these of the manifest's hosts; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

/// The ways to apply a secret. Texts may name `{setting}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "apply", rename_all = "snake_case")]
pub enum Apply {
    /// `Authorization: Bearer SECRET`.
    Bearer,
    /// `Authorization: Basic base64(username:SECRET)`.
    Basic {
        /// May name `{setting}`.
        username: String,
    },
    /// `Authorization: Basic base64(SECRET:)`: the secret is the user name, and there is no password.
    BasicUser,
    /// A header of its own.
    Header {
        /// The header's name; may name `{setting}`.
        header: String,
        /// Stands before the secret.
        #[serde(default)]
        prefix: String,
    },
    /// A query parameter.
    Query {
        /// The parameter's name.
        parameter: String,
    },
    /// A parameter of a form-encoded body.
    Form {
        /// The parameter's name.
        parameter: String,
    },
    /// Replaces `{NAME}` in the URL's path, NAME being the credential's.
    Path,
    /// The secret is a URL; a request for `credential:NAME` goes to it.
    Url,
    /// The secret is a JSON object of header names to values.
    Headers,
    /// Signs by the Standard Webhooks specification.
    StandardWebhooks {
        /// The key of the secret that is being rotated out; both sign while it is set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous_field: Option<String>,
    },
    /// Signs the exact bytes of the body.
    Hmac {
        /// `sha256` or `sha512`.
        algorithm: String,
        /// The header's name.
        header: String,
        /// `hex` or `base64`.
        #[serde(default = "hex")]
        encoding: String,
        /// Stands before the signature.
        #[serde(default)]
        prefix: String,
    },
    /// `Authorization: Bearer TOKEN`, with a short-lived token for which the host exchanges the
    /// secret (OAuth's client credentials and its like). Neither ever reaches the plugin.
    ClientToken {
        /// Where: a literal `https` URL, whose host need not be among the manifest's.
        token_url: String,
        /// The client, authenticated by HTTP Basic with the secret; may name `{setting}`.
        client_id: String,
        /// What is posted, form-encoded; values may name `{setting}`.
        #[serde(default)]
        form: BTreeMap<String, String>,
    },
}

fn hex() -> String {
    "hex".into()
}

/// The contract's action.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Action {
    /// The same as its key in the map.
    pub key: String,
    /// What people call it.
    pub label: String,
    /// What it acts on: `list`, `tag`, `message`.
    #[serde(default)]
    pub noun: String,
    /// The contract's inputs, passed on to clients as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<Value>,
    /// Destination fields that the action needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// `{label, description}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<Value>,
    /// What a second delivery of the same event does at the destination, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<String>,
}

impl Action {
    /// The keys in the rule's metadata that must be present: those of inputs marked `required`.
    pub fn required_inputs(&self) -> impl Iterator<Item = &str> {
        self.data
            .iter()
            .filter(|input| input.get("required").and_then(Value::as_bool).unwrap_or(false))
            .filter_map(|input| input.get("field").and_then(Value::as_str))
    }
}

/// A manifest that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Longer than [`MAX_MANIFEST_BYTES`].
    #[error("the manifest has {0} bytes; at most {MAX_MANIFEST_BYTES} are read")]
    TooLong(usize),
    /// Not JSON, or not of the manifest's shape.
    #[error("the manifest cannot be read: {0}")]
    Shape(String),
    /// A rule that the shape alone does not say.
    #[error("the manifest's {place} {problem}")]
    Invalid {
        /// Where in the manifest.
        place: String,
        /// What is wrong there.
        problem: String,
    },
}

impl Manifest {
    /// Reads and checks a manifest.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        if text.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLong(text.len()));
        }
        let manifest: Self =
            serde_json::from_str(text).map_err(|error| ManifestError::Shape(error.to_string()))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The setting called `key`.
    pub fn field(&self, key: &str) -> Option<&Field> {
        self.authentication.fields.iter().find(|field| field.key == key)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let invalid = |place: &dyn fmt::Display, problem: &str| ManifestError::Invalid {
            place: place.to_string(),
            problem: problem.to_owned(),
        };
        if !is_word(&self.name) {
            return Err(invalid(&"name", "must match [a-z][a-z0-9_]{0,63}"));
        }
        if self.title.trim().is_empty() || self.title.len() > 128 {
            return Err(invalid(&"title", "must have 1 to 128 bytes"));
        }
        for field in &self.authentication.fields {
            if !is_setting_key(&field.key) {
                return Err(invalid(
                    &format!("field {:?}", field.key),
                    "needs a key of letters, digits and _",
                ));
            }
        }
        for host in &self.hosts {
            self.check_host(host)?;
        }
        for credential in &self.credentials {
            let place = format!("credential {:?}", credential.name);
            if !is_word(&credential.name) {
                return Err(invalid(&place, "needs a name that matches [a-z][a-z0-9_]{0,63}"));
            }
            match self.field(&credential.field) {
                None => return Err(invalid(&place, "names a field that does not exist")),
                Some(field) if !field.is_secret() => {
                    return Err(invalid(&place, "names a field that is not of type password"));
                }
                Some(_) => {}
            }
            if let Apply::ClientToken {
                token_url,
                client_id,
                form,
            } = &credential.apply
            {
                self.check_client_token(token_url, client_id, form)
                    .map_err(|problem| invalid(&place, &problem))?;
            }
        }
        if self.actions.is_empty() {
            return Err(invalid(&"actions", "must have at least one action"));
        }
        for (key, action) in &self.actions {
            if !is_word(key) || *key != action.key {
                return Err(invalid(
                    &format!("action {key:?}"),
                    "needs a key that matches [a-z][a-z0-9_]{0,63}",
                ));
            }
        }
        self.limits
            .check()
            .map_err(|(place, problem)| ManifestError::Invalid { place, problem })?;
        self.check_notes()
    }

    /// The secret goes to `token_url`, so nothing but the manifest may say where that is.
    fn check_client_token(
        &self,
        token_url: &str,
        client_id: &str,
        form: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        let foreign = |c: char| c.is_control() || c.is_whitespace() || "{}@#\\".contains(c);
        let host = token_url
            .strip_prefix("https://")
            .and_then(|rest| rest.split(['/', '?']).next());
        if host.is_none_or(str::is_empty) || token_url.contains(foreign) || token_url.len() > 1024 {
            return Err("needs a token_url that begins with https:// and names no {setting}".into());
        }
        if client_id.is_empty() || form.len() > MAX_FORM || form.keys().any(String::is_empty) {
            return Err(format!(
                "needs a client_id, and at most {MAX_FORM} members in form, each with a name"
            ));
        }
        for text in form.values().chain([&client_id.to_owned()]) {
            let mut rest = text.as_str();
            while let Some((_, after)) = rest.split_once('{') {
                let (key, behind) = after.split_once('}').ok_or("has an open brace")?;
                if self.field(key).is_none_or(Field::is_secret) {
                    return Err(format!("names {{{key}}}, which is no setting in the open"));
                }
                rest = behind;
            }
        }
        Ok(())
    }

    /// What people read.
    fn check_notes(&self) -> Result<(), ManifestError> {
        for (place, length) in [("setup", self.setup.len()), ("scopes", self.scopes.len())] {
            if length > MAX_NOTES {
                return Err(ManifestError::Invalid {
                    place: place.to_owned(),
                    problem: format!("has more than {MAX_NOTES} entries"),
                });
            }
        }
        let setup = self.setup.iter().map(|step| ("setup".to_owned(), step));
        let scopes = self.scopes.iter().flat_map(|scope| {
            let place = format!("scope {:?}", scope.name);
            [(place.clone(), &scope.name), (place, &scope.why)]
        });
        let duplicates = self.actions.iter().filter_map(|(key, action)| {
            let sentence = action.duplicate.as_ref()?;
            Some((format!("action {key:?}'s duplicate"), sentence))
        });
        for (place, text) in setup.chain(scopes).chain(duplicates) {
            let length = text.trim().len();
            if !(1..=MAX_SENTENCE_BYTES).contains(&length) || text.chars().any(char::is_control) {
                return Err(ManifestError::Invalid {
                    place,
                    problem: format!("must be one line of 1 to {MAX_SENTENCE_BYTES} bytes"),
                });
            }
        }
        Ok(())
    }

    fn check_host(&self, host: &str) -> Result<(), ManifestError> {
        let invalid = |problem: &str| ManifestError::Invalid {
            place: format!("host {host:?}"),
            problem: problem.to_owned(),
        };
        let mut rest = host;
        while let Some(start) = rest.find('{') {
            let end = rest[start..]
                .find('}')
                .ok_or_else(|| invalid("has an open brace"))?
                + start;
            let placeholder = &rest[start + 1..end];
            let key = placeholder.strip_suffix(".host").unwrap_or(placeholder);
            if placeholder.ends_with(".host")
                && (start != 0 || end + 1 != rest.len() || rest.len() != host.len())
            {
                return Err(invalid("must be nothing but its {setting.host}"));
            }
            if self.field(key).is_none() {
                return Err(invalid("names a setting that does not exist"));
            }
            rest = &rest[end + 1..];
        }
        let bad = |c: char| !(c.is_ascii_alphanumeric() || "-._{}:".contains(c));
        if host.is_empty() || host.contains(bad) {
            return Err(invalid("must be a host name, without scheme, path or wildcard"));
        }
        Ok(())
    }
}

/// `[a-z][a-z0-9_]{0,63}`
fn is_word(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && text.len() <= 64
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// `[A-Za-z][A-Za-z0-9_]{0,63}`: the contract has keys such as `cdpApiKey`.
fn is_setting_key(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && text.len() <= 64
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn minimal() -> Value {
        json!({
            "name": "acme", "title": "Acme", "authentication": {"type": "api_key", "fields": [
                {"key": "api_key", "label": "API key", "type": "password"},
                {"key": "url", "label": "URL", "type": "text"}]},
            "hosts": ["api.acme.com", "{url.host}"],
            "credentials": [{"name": "key", "field": "api_key", "apply": "header", "header": "X-Key"}],
            "actions": {"send": {"key": "send", "label": "Send"}}
        })
    }

    #[test]
    fn a_plain_manifest_is_read_with_its_defaults() {
        let manifest = Manifest::parse(&minimal().to_string()).unwrap();
        assert_eq!(
            (manifest.limits.concurrency, manifest.limits.rates.len()),
            (16, 0)
        );
        assert!(manifest.field("api_key").unwrap().is_secret());
        assert!(matches!(&manifest.credentials[0].apply, Apply::Header { header, .. } if header == "X-Key"));
    }

    #[test]
    fn a_manifest_that_cannot_work_is_refused_with_the_place() {
        let long = "x".repeat(MAX_SENTENCE_BYTES + 1);
        let cases = [
            ("/name", json!("Acme CRM"), "name"),
            ("/title", json!(""), "title"),
            ("/hosts/0", json!("https://api.acme.com"), "host"),
            ("/hosts/0", json!("*.acme.com"), "host"),
            ("/hosts/0", json!("{nothing}.acme.com"), "host"),
            ("/hosts/1", json!("x.{url.host}"), "host"),
            ("/credentials/0/field", json!("url"), "credential"),
            ("/credentials/0/field", json!("missing"), "credential"),
            ("/actions", json!({}), "actions"),
            ("/actions/send/duplicate", json!(""), "duplicate"),
            ("/actions/send/duplicate", json!("two\nlines"), "duplicate"),
            ("/limits", json!({"concurrency": 0}), "limits.concurrency"),
            (
                "/limits",
                json!({"rates": [{"requests": 0, "per_seconds": 1}]}),
                "limits.rates[0]",
            ),
            ("/setup", json!([long]), "setup"),
            ("/setup", json!(vec!["Do."; MAX_NOTES + 1]), "setup"),
            ("/scopes", json!([{"name": "read", "why": ""}]), "scope"),
        ];
        for (pointer, value, place) in cases {
            let mut manifest = minimal();
            manifest["limits"] = json!({});
            manifest["setup"] = json!([]);
            manifest["scopes"] = json!([]);
            manifest["actions"]["send"]["duplicate"] = json!("Sends it twice.");
            assert!(Manifest::parse(&manifest.to_string()).is_ok());
            *manifest.pointer_mut(pointer).unwrap() = value;
            let error = Manifest::parse(&manifest.to_string()).unwrap_err().to_string();
            assert!(error.contains(place), "{pointer}: {error}");
        }
        assert!(Manifest::parse("{").is_err());
        assert!(Manifest::parse(&" ".repeat(MAX_MANIFEST_BYTES + 1)).is_err());
    }

    #[test]
    fn a_secret_is_exchanged_only_where_the_manifest_itself_says() {
        let parse = |key: &str, value: Value| {
            let mut manifest = minimal();
            manifest["credentials"] = json!([{
                "name": "token", "field": "api_key", "apply": "client_token", "client_id": "{url}",
                "token_url": "https://acme.com/oauth/token", "form": {"account": "{url}"}
            }]);
            manifest["credentials"][0][key] = value;
            Manifest::parse(&manifest.to_string()).map_err(|error| error.to_string())
        };
        assert!(parse("name", json!("token")).is_ok());
        for (key, value) in [
            ("token_url", json!("http://acme.com/oauth/token")),
            ("token_url", json!("https://")),
            ("token_url", json!("https:///oauth/token")),
            ("token_url", json!("https://{url.host}/oauth/token")),
            ("token_url", json!("https://acme.com@evil.test/")),
            ("token_url", json!("https://acme.com\n.evil.test/")),
            ("client_id", json!("")),
            ("client_id", json!("{api_key}")),
            ("client_id", json!("{nothing}")),
            ("form", json!({"account": "{url"})),
            ("form", json!({"": "x"})),
            ("form", json!({"secret": "{api_key}"})),
        ] {
            let error = parse(key, value.clone()).unwrap_err();
            assert!(error.contains("credential \"token\""), "{value}: {error}");
        }
    }
}
