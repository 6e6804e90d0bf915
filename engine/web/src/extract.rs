//! Reading a request: its body within limits, its ids, its query, its members.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use heddle_core::json::{PayloadError, check_text};
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::App;
use crate::bodies::Share;
use crate::error::{ApiError, Problem};

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);

/// What is read and thrown away of a body over its limit, so that the caller gets to see the answer
/// instead of a broken connection.
const MAX_DISCARDED_BYTES: usize = 16 * 1024 * 1024;

/// What is set aside for a body that was announced and has not come.
const MAX_AHEAD: usize = 64 * 1024;

/// How much a body may hold.
pub trait BodyLimit {
    /// The limit in bytes.
    const BYTES: usize;
    /// What a caller that exceeds it is told.
    const EXCEEDED: &'static str;
}

/// One event: its payload has 256 KiB, which is checked on the payload itself; the rest is for the
/// other members.
#[derive(Debug)]
pub struct OneEvent;

impl BodyLimit for OneEvent {
    const BYTES: usize = heddle_core::json::MAX_PAYLOAD_BYTES + 16 * 1024;
    const EXCEEDED: &'static str =
        "The body is too large: an event may have 256 KiB (262144 bytes) of payload.";
}

/// Up to a hundred events.
#[derive(Debug)]
pub struct ManyEvents;

impl BodyLimit for ManyEvents {
    const BYTES: usize = 5 * 1024 * 1024;
    const EXCEEDED: &'static str = "The body is too large: a bulk may have 5 MiB (5242880 bytes).";
}

/// Whatever a management operation is told.
#[derive(Debug)]
pub struct Management;

impl BodyLimit for Management {
    const BYTES: usize = 256 * 1024;
    const EXCEEDED: &'static str = "The body is too large: it may have 256 KiB (262144 bytes).";
}

/// The text of a body. What its `Content-Type` says does not matter: all that is read here is JSON.
#[derive(Debug)]
pub struct Text<L>(pub String, pub PhantomData<L>);

impl<L: BodyLimit> FromRequest<App> for Text<L> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &App) -> Result<Self, ApiError> {
        let share = request.extensions().get::<Arc<Share>>().cloned();
        let share = share.ok_or_else(|| ApiError::Internal("a body is read before its door".into()))?;
        let bytes = tokio::time::timeout(BODY_TIME, read(request.into_body(), L::BYTES, &share))
            .await
            .map_err(|_| ApiError::BodyTooSlow)??
            .ok_or_else(|| ApiError::TooLarge(L::EXCEEDED.into()))?;
        let text = String::from_utf8(bytes).map_err(|_| ApiError::MalformedJson("it is not UTF-8".into()))?;
        Ok(Self(text, PhantomData))
    }
}

/// The body's bytes, or `None` when it has more than `limit`. At no time are more than that kept, or than
/// there is room for.
async fn read(mut body: Body, limit: usize, share: &Share) -> Result<Option<Vec<u8>>, ApiError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let (mut bytes, mut total) = (Vec::with_capacity(announced.min(limit).min(MAX_AHEAD)), 0_usize);
    while let Some(frame) = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| ApiError::MalformedJson("it broke off".into()))?;
        let Ok(data) = frame.into_data() else { continue };
        total = total.saturating_add(data.len());
        if total > MAX_DISCARDED_BYTES {
            break;
        }
        if total > limit {
            bytes = Vec::new();
        } else {
            share.grow(data.len())?;
            bytes.extend_from_slice(&data);
        }
    }
    Ok((total <= limit).then_some(bytes))
}

/// The members of a JSON object that is the body.
#[derive(Debug)]
pub struct Members(pub Map<String, Value>);

impl FromRequest<App> for Members {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let Text::<Management>(text, _) = Text::from_request(request, app).await?;
        members(&text).map(Self)
    }
}

/// As [`Members`], but the body may be absent.
#[derive(Debug)]
pub struct MembersIfAny(pub Map<String, Value>);

impl FromRequest<App> for MembersIfAny {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let Text::<Management>(text, _) = Text::from_request(request, app).await?;
        if text.trim().is_empty() {
            Ok(Self(Map::new()))
        } else {
            members(&text).map(Self)
        }
    }
}

fn members(text: &str) -> Result<Map<String, Value>, ApiError> {
    check_json(text)?;
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(ApiError::invalid("body", "must be a JSON object")),
        Err(error) => Err(ApiError::MalformedJson(error.to_string())),
    }
}

/// Refuses JSON that readers disagree about.
pub fn check_json(text: &str) -> Result<(), ApiError> {
    if text.trim().is_empty() {
        return Err(ApiError::MalformedJson("it is empty".into()));
    }
    check_text(text).map_err(|error| match error {
        PayloadError::TooLong { .. } | PayloadError::TooDeep => {
            ApiError::TooLarge(format!("The body: {error}."))
        }
        PayloadError::NotAnObject => ApiError::invalid("body", "must be a JSON object"),
        PayloadError::Malformed(why) => ApiError::MalformedJson(why),
    })
}

/// Reads members one by one and gathers what is wrong with them, so that a caller learns all of it
/// at once.
pub struct Form<'a> {
    members: &'a Map<String, Value>,
    problems: Vec<Problem>,
}

impl<'a> Form<'a> {
    /// Over these members.
    pub fn new(members: &'a Map<String, Value>) -> Self {
        Self {
            members,
            problems: Vec::new(),
        }
    }

    /// A member that may be absent or `null`.
    pub fn take<T>(&mut self, key: &str, read: impl FnOnce(&'a Value) -> Result<T, String>) -> Option<T> {
        let value = self.members.get(key).filter(|value| !value.is_null())?;
        read(value)
            .map_err(|msg| self.problems.push(Problem::new(key, msg)))
            .ok()
    }

    /// A member that must be there.
    pub fn need<T>(&mut self, key: &str, read: impl FnOnce(&'a Value) -> Result<T, String>) -> Option<T> {
        if self.members.get(key).is_none_or(Value::is_null) {
            self.problems.push(Problem::new(key, "is required"));
        }
        self.take(key, read)
    }

    /// Whether the member was sent, be it as `null`.
    pub fn has(&self, key: &str) -> bool {
        self.members.contains_key(key)
    }

    /// What is wrong so far.
    pub fn check(&mut self) -> Result<(), ApiError> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(self.refuse())
        }
    }

    /// The answer when something needed is not there.
    pub fn refuse(&mut self) -> ApiError {
        ApiError::Invalid(std::mem::take(&mut self.problems))
    }
}

/// A text.
pub fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "must be a string".into())
}

/// A text that passes `check`, which is described by `rule`.
pub fn text_where(check: fn(&str) -> bool, rule: &'static str) -> impl Fn(&Value) -> Result<String, String> {
    move |value| match text(value)? {
        text if check(text) => Ok(text.to_owned()),
        _ => Err(rule.to_owned()),
    }
}

/// `true` or `false`.
pub fn boolean(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "must be true or false".into())
}

/// An id.
pub fn id<T: FromStr>(value: &Value) -> Result<T, String> {
    text(value)?.parse().map_err(|_| "must be a UUID".into())
}

/// An object.
pub fn object(value: &Value) -> Result<&Map<String, Value>, String> {
    value.as_object().ok_or_else(|| "must be an object".into())
}

/// The ids in the path. What is no id names nothing: 404.
#[derive(Debug)]
pub struct Ids<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Ids<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match Path::<T>::from_request_parts(parts, app).await {
            Ok(Path(ids)) => Ok(Self(ids)),
            Err(_) => Err(ApiError::NotFound("resource")),
        }
    }
}

/// The query's parameters. Those that an operation does not know are ignored.
#[derive(Debug)]
pub struct Parameters(BTreeMap<String, String>);

impl FromRequestParts<App> for Parameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| ApiError::invalid("query", "cannot be read"))?;
        let mut parameters = BTreeMap::new();
        for (name, value) in pairs {
            if let Some(twice) = parameters.insert(name.clone(), value).map(|_| name) {
                let shown: String = twice.chars().take(64).collect();
                return Err(ApiError::invalid(shown, "stands twice in the query"));
            }
        }
        Ok(Self(parameters))
    }
}

impl Parameters {
    /// The parameter, unless it is absent or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A copy of the parameter.
    pub fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// Whether a parameter is `true`; it is `false` without it.
    pub fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ApiError::invalid(name, "must be true or false")),
        }
    }

    /// `limit`, 1 to 200, else 50.
    pub fn limit(&self) -> Result<usize, ApiError> {
        match self.get("limit").map(str::parse) {
            None => Ok(50),
            Some(Ok(limit @ 1..=200)) => Ok(limit),
            Some(_) => Err(ApiError::invalid("limit", "must be a whole number from 1 to 200")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_tells_everything_that_is_wrong_at_once() {
        let body = json!({"name": 5, "hidden": "no", "description": null});
        let mut form = Form::new(body.as_object().unwrap());
        assert_eq!(form.need("name", text), None);
        assert_eq!(form.need("workspace", text), None);
        assert_eq!(form.take("hidden", boolean), None);
        assert_eq!(form.take("description", text), None);
        let ApiError::Invalid(problems) = form.check().unwrap_err() else {
            panic!()
        };
        let params: Vec<&str> = problems.iter().map(|problem| problem.param.as_str()).collect();
        assert_eq!(params, ["name", "workspace", "hidden"]);
    }

    #[test]
    fn a_body_that_is_no_object_or_no_json_is_refused() {
        for (text, code) in [
            ("", "malformed_json"),
            ("  ", "malformed_json"),
            ("{", "malformed_json"),
            ("{'a':1}", "malformed_json"),
            (r#"{"a":1,"a":2}"#, "malformed_json"),
            ("[]", "invalid_request"),
            ("null", "invalid_request"),
        ] {
            assert_eq!(members(text).unwrap_err().code(), code, "{text}");
        }
        assert_eq!(
            members(&"[".repeat(1000)).unwrap_err().code(),
            "payload_too_large"
        );
    }
}
