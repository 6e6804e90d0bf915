//! One credential of a connection, made ready once and then applied to every request it fits.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heddle_core::manifest::{self, Apply};
use heddle_core::secret::Secret;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use reqwest::Url;
use serde_json::Value;

use crate::error::GrantError;
use crate::grant::Settings;
use crate::host::Host;
use crate::redact::{MIN_SECRET_BYTES, PATH_BYTES, Redactor, percent_encoded};
use crate::request::is_reserved;
use crate::sign::{Algorithm, Encoding, Signer, standard_webhooks_key};
use crate::token::TokenSource;
use crate::{SendContext, SendError};

/// The shortest part of a secret URL that is taken for a secret by itself, in bytes.
const MIN_TOKEN_BYTES: usize = 24;

/// A secret and the way it is applied.
pub(crate) struct Credential {
    pub name: String,
    /// The only hosts that it is shown to; `None` for all that the plugin declares.
    hosts: Option<Vec<Host>>,
    way: Way,
}

enum Way {
    Headers(Vec<(HeaderName, HeaderValue)>),
    Query { parameter: String, secret: Secret },
    Form { parameter: String, secret: Secret },
    Path { secret: Secret },
    Url(Secret),
    Sign(Signer),
    Token(TokenSource),
}

impl Credential {
    /// Makes a credential ready and teaches its secrets to `redactor`.
    pub fn new(
        declared: &manifest::Credential,
        secret: &Secret,
        settings: &Settings,
        secrets: &BTreeMap<String, Secret>,
        redactor: &mut Redactor,
    ) -> Result<Self, GrantError> {
        let name = declared.name.as_str();
        let fail = |problem: &str| GrantError::credential(name, problem);
        let learn = |redactor: &mut Redactor, secret: &str| {
            if secret.len() < MIN_SECRET_BYTES {
                return Err(GrantError::credential(
                    name,
                    format!("is shorter than {MIN_SECRET_BYTES} bytes, too short to be told from other text"),
                ));
            }
            redactor.learn(secret);
            Ok(())
        };
        let text = secret.reveal();
        // Of headers the values are what is secret, not the document that holds them.
        if !matches!(declared.apply, Apply::Headers) {
            learn(redactor, text)?;
        }
        let one = |name: HeaderName, value: String| {
            Ok(Way::Headers(vec![(
                name,
                sensitive(&value).ok_or_else(|| fail(NO_HEADER))?,
            )]))
        };
        let way = match &declared.apply {
            Apply::Bearer => one(header::AUTHORIZATION, format!("Bearer {text}"))?,
            Apply::Basic { .. } | Apply::BasicUser => {
                let (username, password) = match &declared.apply {
                    Apply::Basic { username } => (settings.fill(username)?, text),
                    _ => (text.to_owned(), ""),
                };
                if username.contains(':') {
                    return Err(fail(
                        "has a user name with a colon, which Basic authentication cannot carry",
                    ));
                }
                let pair = STANDARD.encode(format!("{username}:{password}"));
                redactor.learn(&pair);
                one(header::AUTHORIZATION, format!("Basic {pair}"))?
            }
            Apply::Header { header, prefix } => one(
                header_name(name, &settings.fill(header)?)?,
                format!("{}{text}", settings.fill_or_empty(prefix)),
            )?,
            Apply::Query { parameter } => Way::Query {
                parameter: parameter.clone(),
                secret: secret.clone(),
            },
            Apply::Form { parameter } => Way::Form {
                parameter: parameter.clone(),
                secret: secret.clone(),
            },
            Apply::Path => Way::Path {
                secret: secret.clone(),
            },
            Apply::Url => {
                // Parsed here only to learn its spellings; whether it may be called is decided
                // when it is.
                if let Ok(url) = Url::parse(text) {
                    redactor.learn(url.as_str());
                    if url.path().len() > 1 {
                        redactor.learn(url.path());
                        redactor.learn(url.path().trim_matches('/'));
                    }
                    redactor.learn(url.query().unwrap_or_default());
                    // Some receivers answer with their token alone. What is shorter is a word or
                    // an id, and would be missed where it stands by right.
                    let segments = url.path_segments().into_iter().flatten();
                    let values = url.query_pairs().map(|(_, value)| value.into_owned());
                    for part in segments.map(str::to_owned).chain(values) {
                        if part.len() >= MIN_TOKEN_BYTES {
                            redactor.learn(&part);
                        }
                    }
                }
                Way::Url(secret.clone())
            }
            Apply::Headers => {
                let headers = read_headers(name, text)?;
                for (_, value) in &headers {
                    redactor.learn(&String::from_utf8_lossy(value.as_bytes()));
                }
                Way::Headers(headers)
            }
            Apply::StandardWebhooks { previous_field } => {
                let previous = previous_field.as_ref().and_then(|field| secrets.get(field));
                let mut keys = Vec::new();
                for secret in [Some(secret), previous].into_iter().flatten().map(Secret::reveal) {
                    if secret.is_empty() {
                        continue;
                    }
                    learn(redactor, secret)?;
                    redactor.learn(secret.trim_start_matches("whsec_"));
                    keys.push(
                        standard_webhooks_key(secret)
                            .ok_or_else(|| fail("is no Standard Webhooks secret: whsec_ and then base64"))?,
                    );
                }
                Way::Sign(Signer::StandardWebhooks(keys))
            }
            Apply::Hmac {
                algorithm,
                header,
                encoding,
                prefix,
            } => Way::Sign(Signer::Hmac {
                algorithm: Algorithm::parse(&settings.fill(algorithm)?)
                    .ok_or_else(|| fail("names an algorithm that is neither sha256 nor sha512"))?,
                key: text.as_bytes().to_vec(),
                header: header_name(name, &settings.fill(header)?)?,
                encoding: Encoding::parse(&settings.fill(encoding)?)
                    .ok_or_else(|| fail("names an encoding that is neither hex nor base64"))?,
                prefix: settings.fill_or_empty(prefix),
            }),
            Apply::ClientToken {
                token_url,
                client_id,
                form,
            } => Way::Token(TokenSource::new(
                name,
                secret,
                (token_url, client_id, form),
                settings,
                redactor,
            )?),
        };
        let hosts = match declared.hosts.as_slice() {
            [] => None,
            patterns => Some(crate::grant::hosts(patterns, settings, secrets)?),
        };
        Ok(Self {
            name: name.to_owned(),
            hosts,
            way,
        })
    }

    /// The secret URL, when this credential is one.
    pub fn secret_url(&self) -> Option<&Secret> {
        match &self.way {
            Way::Url(secret) => Some(secret),
            _ => None,
        }
    }

    /// Whether it changes the body: such credentials go first, so that signatures are over what is
    /// sent.
    pub fn changes_body(&self) -> bool {
        matches!(self.way, Way::Form { .. })
    }

    /// Where to get the token that stands for this credential, when it is such a one.
    pub fn token_source(&self) -> Option<&TokenSource> {
        match &self.way {
            Way::Token(source) => Some(source),
            _ => None,
        }
    }

    /// Whether a request to `url` goes to a host that this credential is for.
    pub fn fits(&self, url: &Url) -> bool {
        self.hosts
            .as_ref()
            .is_none_or(|hosts| hosts.iter().any(|host| host.matches(url)))
    }

    /// Applies itself to a request whose host is declared, unless the host is none of its own.
    /// `body` is what will be sent, to the byte, once those that change it have been applied.
    pub fn apply(
        &self,
        url: &mut Url,
        headers: &mut HeaderMap,
        body: &mut Vec<u8>,
        context: &SendContext,
    ) -> Result<(), SendError> {
        if !self.fits(url) {
            return Ok(());
        }
        match &self.way {
            Way::Headers(own) => self.set(headers, own.iter().cloned()),
            Way::Sign(signer) => self.set(headers, signer.headers(context, body)?),
            Way::Query { parameter, secret } => {
                if url.query_pairs().any(|(name, _)| name == *parameter) {
                    return Err(self.taken(&format!("query parameter {parameter}")));
                }
                url.query_pairs_mut().append_pair(parameter, secret.reveal());
                Ok(())
            }
            Way::Form { parameter, secret } => {
                let form = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
                if !form.is_some_and(is_form) {
                    return Err(SendError::refused(format!(
                        "the credential {} needs a body of {FORM}",
                        self.name
                    )));
                }
                if form_names(&String::from_utf8_lossy(body)).contains(parameter) {
                    return Err(self.taken(&format!("form parameter {parameter}")));
                }
                if !body.is_empty() {
                    body.push(b'&');
                }
                let pair = [parameter.as_str(), secret.reveal()].map(|text| percent_encoded(text, b"-._~"));
                body.extend_from_slice(pair.join("=").as_bytes());
                Ok(())
            }
            Way::Path { secret } => {
                // The URL parser has encoded the braces. The secret is encoded so that it stays
                // inside its segment.
                let placeholder = format!("%7B{}%7D", self.name);
                if url.path().contains(&placeholder) {
                    let path = url
                        .path()
                        .replace(&placeholder, &percent_encoded(secret.reveal(), PATH_BYTES));
                    url.set_path(&path);
                }
                Ok(())
            }
            // A token has to be fetched first; see `Egress::send`.
            Way::Url(_) | Way::Token(_) => Ok(()),
        }
    }

    /// Sets the token that was fetched for this credential.
    pub fn apply_token(&self, headers: &mut HeaderMap, token: &HeaderValue) -> Result<(), SendError> {
        self.set(headers, [(header::AUTHORIZATION, token.clone())])
    }

    fn set(
        &self,
        headers: &mut HeaderMap,
        own: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    ) -> Result<(), SendError> {
        for (name, value) in own {
            if headers.contains_key(&name) {
                return Err(self.taken(&format!("header {name}")));
            }
            headers.insert(name, value);
        }
        Ok(())
    }

    fn taken(&self, what: &str) -> SendError {
        SendError::refused(format!(
            "the {what} is set already, but the credential {} sets it",
            self.name
        ))
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

/// Whether a content type is that of forms, whatever its parameters.
fn is_form(content_type: &[u8]) -> bool {
    let kind = content_type
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(FORM.as_bytes())
}

/// The names of a form's parameters. The URL parser reads a query as forms are written.
fn form_names(body: &str) -> Vec<String> {
    let Ok(mut url) = Url::parse("form:") else {
        return Vec::new();
    };
    url.set_query(Some(body));
    url.query_pairs().map(|(name, _)| name.into_owned()).collect()
}

const NO_HEADER: &str = "has a line break or control character, which no header can carry";

pub(crate) fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn header_name(credential: &str, text: &str) -> Result<HeaderName, GrantError> {
    HeaderName::from_bytes(text.as_bytes())
        .ok()
        .filter(|name| !is_reserved(name) && name != header::CONTENT_TYPE)
        .ok_or_else(|| {
            GrantError::credential(
                credential,
                "names a header that is none, or that Heddle sets itself",
            )
        })
}

/// Reads `{"X-Name": "value"}` or `[{"name": "X-Name", "value": "value"}]`. A value shorter than
/// a secret can be is sent, but cannot be recognized in an answer.
fn read_headers(credential: &str, text: &str) -> Result<Vec<(HeaderName, HeaderValue)>, GrantError> {
    let fail = |problem: &str| GrantError::credential(credential, problem);
    let pairs: Vec<(String, Value)> = match serde_json::from_str(text) {
        Ok(Value::Object(members)) => members.into_iter().collect(),
        Ok(Value::Array(items)) => items
            .into_iter()
            .map(|item| match item {
                Value::Object(mut item) => match (item.remove("name"), item.remove("value")) {
                    (Some(Value::String(name)), Some(value)) => Ok((name, value)),
                    _ => Err(fail("has a header without a name or value")),
                },
                _ => Err(fail("has a header that is no object")),
            })
            .collect::<Result<_, _>>()?,
        _ => return Err(fail("is no JSON object of header names to values")),
    };
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::with_capacity(pairs.len());
    for (name, value) in pairs {
        let name = header_name(credential, &name)?;
        if headers.iter().any(|(known, _)| *known == name) {
            return Err(fail("names a header twice"));
        }
        let value = value
            .as_str()
            .ok_or_else(|| fail("has a header whose value is no text"))?;
        headers.push((name, sensitive(value).ok_or_else(|| fail(NO_HEADER))?));
    }
    Ok(headers)
}
