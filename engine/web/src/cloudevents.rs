//! CloudEvents 1.0, read into events: the JSON format (structured, and one by one those of a batch) and
//! the HTTP binding's binary mode.
//!
//! `type` is the event's name, `data` its payload, `source` and `id` together what keeps it from being
//! accepted twice. The extension attributes `resource`, `resourceid` and `workspace` are the members of
//! those names; without `resourceid`, a `subject` that can be a `resource_id` is one. What else a
//! CloudEvent says of itself is checked where the specification has a form for it, and not kept.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heddle_core::event::{DEFAULT_RESOURCE, is_event_name, is_label};
use heddle_core::id::WorkspaceId;
use heddle_core::time::is_rfc3339;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::emit::{Checked, EVENT_RULE, payload};
use crate::error::{ApiError, Problem};
use crate::idempotency::Name;
use crate::rules::LABEL_RULE;

/// The longest `source` and `id`, in bytes.
const MAX_NAME_BYTES: usize = 1024;

/// The JSON format. Members that are not named here are extension attributes that mean nothing here.
#[derive(Deserialize)]
struct Structured<'a> {
    #[serde(borrow)]
    specversion: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    datacontenttype: Option<&'a RawValue>,
    #[serde(borrow)]
    subject: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<&'a RawValue>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    resourceid: Option<&'a RawValue>,
    #[serde(borrow)]
    workspace: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    data_base64: Option<&'a RawValue>,
}

/// The attributes that count, as texts, and what is wrong so far.
#[derive(Default)]
pub struct Attributes {
    specversion: Option<String>,
    id: Option<String>,
    source: Option<String>,
    kind: Option<String>,
    datacontenttype: Option<String>,
    subject: Option<String>,
    time: Option<String>,
    resource: Option<String>,
    resourceid: Option<String>,
    workspace: Option<String>,
    /// What stands before an attribute's name where it was sent.
    prefix: &'static str,
    problems: Vec<Problem>,
}

/// Reads one event in the JSON format, whose data have at most `limit` bytes.
pub fn check(text: &str, limit: usize) -> Result<Checked, ApiError> {
    // A sequence would be taken for the members in their order.
    if !text.trim_start().starts_with('{') {
        return Err(match serde_json::from_str::<&RawValue>(text) {
            Ok(_) => ApiError::invalid("body", "must be a JSON object: a CloudEvent"),
            Err(error) => ApiError::MalformedJson(error.to_string()),
        });
    }
    let sent: Structured =
        serde_json::from_str(text).map_err(|error| ApiError::MalformedJson(error.to_string()))?;
    let mut problems = Vec::new();
    let mut text_of = |param: &str, raw: Option<&RawValue>| {
        serde_json::from_str::<Option<String>>(raw?.get()).unwrap_or_else(|_| {
            problems.push(Problem::new(param, "must be a string"));
            None
        })
    };
    let mut attributes = Attributes {
        specversion: text_of("specversion", sent.specversion),
        id: text_of("id", sent.id),
        source: text_of("source", sent.source),
        kind: text_of("type", sent.kind),
        datacontenttype: text_of("datacontenttype", sent.datacontenttype),
        subject: text_of("subject", sent.subject),
        time: text_of("time", sent.time),
        resource: text_of("resource", sent.resource),
        resourceid: text_of("resourceid", sent.resourceid),
        workspace: text_of("workspace", sent.workspace),
        ..Attributes::default()
    };
    let binary = text_of("data_base64", sent.data_base64);
    attributes.problems = problems;
    let payload = match (sent.data, binary) {
        (Some(_), Some(_)) => {
            attributes.wrong("data_base64", "cannot be there beside data");
            None
        }
        (None, Some(binary)) => attributes.decoded(&binary, limit)?,
        (data, None) => payload("data", data.map(RawValue::get), limit, &mut attributes.problems)?,
    };
    attributes.into_event(payload)
}

/// Reads the attributes of the binary mode.
pub fn attributes(headers: &HeaderMap) -> Result<Attributes, ApiError> {
    let mut problems = Vec::new();
    let mut text_of = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let value = values.next()?;
        if values.next().is_some() {
            problems.push(Problem::new(name, "was sent twice"));
            return None;
        }
        let decoded = decoded(value.as_bytes());
        if decoded.is_none() {
            problems.push(Problem::new(name, "must be percent-encoded UTF-8"));
        }
        decoded
    };
    let mut attributes = Attributes {
        specversion: text_of("ce-specversion"),
        id: text_of("ce-id"),
        source: text_of("ce-source"),
        kind: text_of("ce-type"),
        subject: text_of("ce-subject"),
        time: text_of("ce-time"),
        resource: text_of("ce-resource"),
        resourceid: text_of("ce-resourceid"),
        workspace: text_of("ce-workspace"),
        prefix: "ce-",
        ..Attributes::default()
    };
    attributes.problems = problems;
    attributes.datacontenttype = headers
        .get(CONTENT_TYPE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Ok(attributes)
}

impl Attributes {
    /// The event whose payload is the body.
    pub fn with_body(mut self, body: &str, limit: usize) -> Result<Checked, ApiError> {
        let body = (!body.trim().is_empty()).then_some(body);
        let payload = payload("body", body, limit, &mut self.problems)?;
        self.into_event(payload)
    }

    fn wrong(&mut self, attribute: &str, rule: &str) {
        let param = format!("{}{attribute}", self.prefix);
        if !self.problems.iter().any(|problem| problem.param == param) {
            self.problems.push(Problem::new(param, rule));
        }
    }

    /// The JSON text in `data_base64`.
    fn decoded(&mut self, binary: &str, limit: usize) -> Result<Option<Arc<str>>, ApiError> {
        let bytes = STANDARD.decode(binary).ok();
        match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
            Some(text) => payload("data_base64", Some(&text), limit, &mut self.problems),
            None => {
                self.wrong("data_base64", "must be the base64 of a JSON object in UTF-8");
                Ok(None)
            }
        }
    }

    fn into_event(mut self, payload: Option<Arc<str>>) -> Result<Checked, ApiError> {
        match self.specversion.as_deref() {
            Some("1.0") => {}
            Some(_) => self.wrong("specversion", "must be 1.0"),
            None => self.wrong("specversion", "is required, and must be 1.0"),
        }
        let media_type = self.datacontenttype.take();
        if media_type.is_some_and(|media_type| !is_json(&media_type)) {
            let param = if self.prefix.is_empty() {
                "datacontenttype"
            } else {
                "Content-Type"
            };
            let rule = "must be application/json or another media type of JSON";
            self.problems.push(Problem::new(param, rule));
        }
        if self.time.take().is_some_and(|time| !is_rfc3339(&time)) {
            self.wrong(
                "time",
                "must be a time as in RFC 3339, such as 2026-03-21T14:18:00Z",
            );
        }
        let id = self.id.take();
        let id = self.name("id", id);
        let source = self.source.take();
        let source = self.name("source", source);
        let kind = self.kind.take();
        let event = self.need("type", kind, is_event_name, EVENT_RULE);
        // An empty text is what some emitters send for nothing.
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let (resource, resource_id) = (given(self.resource.take()), given(self.resourceid.take()));
        for (attribute, text) in [("resource", &resource), ("resourceid", &resource_id)] {
            if text.as_deref().is_some_and(|text| !is_label(text)) {
                self.wrong(attribute, LABEL_RULE);
            }
        }
        // One that cannot be a resource_id is none that a rule could ask for.
        let subject = self.subject.take().filter(|subject| is_label(subject));
        let workspace = match self.workspace.take().map(|text| text.parse::<WorkspaceId>()) {
            None => None,
            Some(Ok(workspace)) => Some(workspace),
            Some(Err(_)) => {
                self.wrong("workspace", "must be a UUID");
                None
            }
        };
        match (event, id, source, payload) {
            (Some(event), Some(id), Some(source), Some(payload)) if self.problems.is_empty() => Ok(Checked {
                workspace,
                event,
                resource: resource.unwrap_or_else(|| DEFAULT_RESOURCE.into()),
                resource_id: resource_id.or(subject),
                payload,
                name: Some(Name::Cloud { source, id }),
            }),
            _ => Err(ApiError::Invalid(self.problems)),
        }
    }

    fn name(&mut self, attribute: &str, text: Option<String>) -> Option<String> {
        let is_name =
            |text: &str| (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        let rule = "must have 1 to 1024 bytes without control characters";
        self.need(attribute, text, is_name, rule)
    }

    fn need(
        &mut self,
        attribute: &str,
        text: Option<String>,
        check: fn(&str) -> bool,
        rule: &str,
    ) -> Option<String> {
        match text {
            Some(text) if check(&text) => Some(text),
            Some(_) => {
                self.wrong(attribute, rule);
                None
            }
            None => {
                self.wrong(attribute, "is required");
                None
            }
        }
    }
}

/// A media type without its parameters, in small letters.
pub fn essence(media_type: &str) -> String {
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// Whether data of this media type is JSON, by the specification's own rule.
fn is_json(media_type: &str) -> bool {
    let essence = essence(media_type);
    let subtype = essence.split_once('/').map(|(_, subtype)| subtype);
    subtype.is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

/// A header's value as the HTTP binding has it: a quoted string is unquoted, then one round of
/// percent-decoding. `None` when that is not possible.
fn decoded(value: &[u8]) -> Option<String> {
    let unquoted = unquoted(value)?;
    let mut bytes = Vec::with_capacity(unquoted.len());
    let mut rest = unquoted.as_slice();
    while let [first, behind @ ..] = rest {
        if *first == b'%' {
            let [high, low, behind @ ..] = behind else {
                return None;
            };
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let byte = digit(*high)? * 16 + digit(*low)?;
            bytes.push(u8::try_from(byte).ok()?);
            rest = behind;
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok()
}

fn unquoted(value: &[u8]) -> Option<Vec<u8>> {
    let [b'"', inner @ .., b'"'] = value else {
        return Some(value.to_vec());
    };
    let mut bytes = Vec::with_capacity(inner.len());
    let mut escaped = false;
    for byte in inner {
        match byte {
            b'\\' if !escaped => escaped = true,
            // A quote that ends before the end.
            b'"' if !escaped => return None,
            byte => {
                bytes.push(*byte);
                escaped = false;
            }
        }
    }
    (!escaped).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::{Value, json};

    use super::*;

    const LIMIT: usize = heddle_core::json::MAX_PAYLOAD_BYTES;

    fn check(text: &str) -> Result<Checked, ApiError> {
        super::check(text, LIMIT)
    }

    fn good() -> Value {
        json!({"specversion": "1.0", "id": "A-1", "source": "/orders", "type": "order.paid", "data": {"n": 1}})
    }

    fn params(error: ApiError) -> Vec<String> {
        match error {
            ApiError::Invalid(problems) => problems.into_iter().map(|problem| problem.param).collect(),
            other => vec![other.code().to_owned()],
        }
    }

    fn binary(headers: &[(&'static str, &'static str)], body: &str) -> Result<Checked, ApiError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        attributes(&map)?.with_body(body, LIMIT)
    }

    const NEEDED: [(&str, &str); 4] = [
        ("ce-specversion", "1.0"),
        ("ce-id", "A-1"),
        ("ce-source", "/orders"),
        ("ce-type", "order.paid"),
    ];

    #[test]
    fn a_structured_event_is_read_with_its_data_byte_for_byte() {
        let text = r#"{"specversion":"1.0","type":"order.paid","source":"https://shop.example/orders","id":"A-1",
            "time":"2026-03-21T14:18:00.5+01:00","datacontenttype":"application/json; charset=utf-8",
            "dataschema":"https://shop.example/s","subject":"order-7","comexampleextension":5,
            "traceparent":null,"data": {"b": 1.10, "a":"é"} }"#;
        let checked = check(text).unwrap();
        assert_eq!(&*checked.payload, r#"{"b": 1.10, "a":"é"}"#);
        assert_eq!(
            (checked.event.as_str(), checked.resource.as_str()),
            ("order.paid", "global")
        );
        assert_eq!(checked.resource_id.as_deref(), Some("order-7"));
        let name = Name::Cloud {
            source: "https://shop.example/orders".into(),
            id: "A-1".into(),
        };
        assert_eq!(checked.name, Some(name));
    }

    #[test]
    fn extensions_name_the_resource_and_come_before_the_subject() {
        let mut event = good();
        event["resource"] = json!("course");
        event["resourceid"] = json!("c:1");
        event["subject"] = json!("other");
        event["workspace"] = json!("0195d2f0-0000-7000-8000-000000000000");
        let checked = check(&event.to_string()).unwrap();
        assert_eq!(
            (checked.resource.as_str(), checked.resource_id.as_deref()),
            ("course", Some("c:1"))
        );
        assert!(checked.workspace.is_some());
        event["resourceid"] = json!("");
        assert_eq!(
            check(&event.to_string()).unwrap().resource_id.as_deref(),
            Some("other")
        );
        event["subject"] = json!("x".repeat(65));
        assert_eq!(check(&event.to_string()).unwrap().resource_id, None);
    }

    #[test]
    fn data_may_be_base64_when_it_is_json() {
        let mut event = good();
        event.as_object_mut().unwrap().remove("data");
        event["data_base64"] = json!(STANDARD.encode(r#"{"z":1.0,"a":2}"#));
        assert_eq!(&*check(&event.to_string()).unwrap().payload, r#"{"z":1.0,"a":2}"#);
        for bad in [
            "not base64!",
            &STANDARD.encode([0xff, 0xfe]),
            &STANDARD.encode("[1]"),
        ] {
            event["data_base64"] = json!(bad);
            assert_eq!(
                params(check(&event.to_string()).unwrap_err()),
                ["data_base64"],
                "{bad}"
            );
        }
        event["data_base64"] = json!(STANDARD.encode("{}"));
        event["data"] = json!({});
        assert_eq!(params(check(&event.to_string()).unwrap_err()), ["data_base64"]);
    }

    #[test]
    fn what_is_wrong_with_a_structured_event_is_named() {
        let cases = [
            ("specversion", json!("0.3")),
            ("specversion", json!(1.0)),
            ("specversion", Value::Null),
            ("id", json!("")),
            ("id", Value::Null),
            ("id", json!("a\nb")),
            ("id", json!("x".repeat(1025))),
            ("source", json!("")),
            ("source", json!(5)),
            ("type", json!("")),
            ("type", json!("a.*")),
            ("type", json!("x".repeat(129))),
            ("time", json!("yesterday")),
            ("time", json!("2026-03-21")),
            ("datacontenttype", json!("text/xml")),
            ("resource", json!(" a")),
            ("resourceid", json!("x".repeat(65))),
            ("workspace", json!("mine")),
            ("data", json!([1])),
            ("data", json!("{}")),
            ("data", Value::Null),
        ];
        for (param, value) in cases {
            let mut event = good();
            event[param] = value;
            assert_eq!(params(check(&event.to_string()).unwrap_err()), [param], "{event}");
        }
        assert_eq!(
            params(check("{}").unwrap_err()),
            ["data", "specversion", "id", "source", "type"]
        );
        assert_eq!(params(check("[]").unwrap_err()), ["body"]);
        for text in ["", "{", r#"{"id":"a","id":"b"}"#] {
            assert_eq!(check(text).unwrap_err().code(), "malformed_json", "{text}");
        }
    }

    #[test]
    fn a_binary_event_has_its_attributes_in_headers_and_its_data_in_the_body() {
        let more = [
            ("content-type", "application/vnd.order+json"),
            ("ce-subject", "order%207"),
            ("ce-resource", "\"a \\\"course\\\"\""),
            ("ce-time", "2026-03-21T14:18:00Z"),
            ("ce-anything", "%E2%82%AC"),
        ];
        let headers = [&NEEDED[..], &more].concat();
        let checked = binary(&headers, " {\"n\": 1.0}\n").unwrap();
        assert_eq!(&*checked.payload, "{\"n\": 1.0}");
        assert_eq!(
            (checked.resource.as_str(), checked.resource_id.as_deref()),
            ("a \"course\"", Some("order 7"))
        );
        let without_type = binary(&NEEDED, "{}").unwrap();
        assert_eq!(without_type.event, "order.paid");
    }

    #[test]
    fn what_is_wrong_with_a_binary_event_is_named_by_its_header() {
        for (name, _) in NEEDED {
            let headers: Vec<_> = NEEDED.into_iter().filter(|(known, _)| *known != name).collect();
            assert_eq!(params(binary(&headers, "{}").unwrap_err()), [name]);
        }
        let cases: [(&str, &str, &str); 9] = [
            ("ce-id", "second", "ce-id"),
            ("ce-subject", "100%", "ce-subject"),
            ("ce-subject", "%zz", "ce-subject"),
            ("ce-subject", "%ff", "ce-subject"),
            ("ce-subject", "\"a\"b\"", "ce-subject"),
            ("ce-time", "soon", "ce-time"),
            ("ce-resource", "%00", "ce-resource"),
            ("ce-workspace", "mine", "ce-workspace"),
            ("content-type", "text/plain", "Content-Type"),
        ];
        for (name, value, param) in cases {
            let headers = [&NEEDED[..], &[(name, value)]].concat();
            assert_eq!(
                params(binary(&headers, "{}").unwrap_err()),
                [param],
                "{name}: {value}"
            );
        }
        for body in ["", "  ", "[]", "null", "{", "text"] {
            assert_eq!(params(binary(&NEEDED, body).unwrap_err()), ["body"], "{body}");
        }
    }

    #[test]
    fn a_header_is_decoded_once() {
        for (value, text) in [
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", Some("Euro € 😀")),
            ("Caf\u{e9}", Some("Café")),
            ("%2541", Some("%41")),
            ("a%2fb%2FC", Some("a/b/C")),
            ("\"a\\\\b%20c\"", Some("a\\b c")),
            ("\"open", Some("\"open")),
            ("\"", Some("\"")),
            ("%", None),
            ("%4", None),
            ("%g0", None),
            ("%+1", None),
            ("\"\\\"", None),
        ] {
            assert_eq!(decoded(value.as_bytes()).as_deref(), text, "{value}");
        }
    }
}
