//! The OpenAPI document: put together from the list of routes, the operations' descriptions and the
//! shapes of their bodies, once a process. A route without a description fails a test.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::response::{Html, IntoResponse};
use http::Method;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::permission::{Access, Route};

mod builder;
pub mod operations;
pub mod page;
mod shapes;

/// A schema by name, with those that it names.
pub struct Shape {
    name: String,
    parts: Vec<(String, RefOr<Schema>)>,
}

impl Shape {
    fn of<T: ToSchema>() -> Self {
        let name = name_of(std::any::type_name::<T>());
        let mut parts = vec![(name.clone(), T::schema())];
        T::schemas(&mut parts);
        Self { name, parts }
    }

    fn reference(&self) -> Value {
        json!({"$ref": format!("#/components/schemas/{}", self.name)})
    }
}

/// The name of a type, and `RuleList` for a `List<Rule>`.
fn name_of(path: &str) -> String {
    let last = |path: &str| path.rsplit("::").next().unwrap_or(path).to_owned();
    match path.trim_end_matches('>').split_once('<') {
        Some((outer, inner)) => last(inner) + &last(outer),
        None => last(path),
    }
}

/// A query parameter.
pub struct Parameter {
    name: &'static str,
    text: &'static str,
    schema: Value,
    required: bool,
}

/// An answer that is no error.
pub struct Answer {
    status: u16,
    shape: Schematic,
    example: Option<Value>,
}

/// A body's schema: a shape, or a list of one.
pub enum Schematic {
    /// The shape itself.
    One(Shape),
    /// A bare array of it.
    Many(Shape),
    /// Either of them.
    Either(Shape, Shape),
}

impl Schematic {
    fn shapes(&self) -> Vec<&Shape> {
        match self {
            Self::One(shape) | Self::Many(shape) => vec![shape],
            Self::Either(one, other) => vec![one, other],
        }
    }

    fn schema(&self) -> Value {
        match self {
            Self::One(shape) => shape.reference(),
            Self::Many(shape) => json!({"type": "array", "items": shape.reference()}),
            Self::Either(one, other) => json!({"anyOf": [one.reference(), other.reference()]}),
        }
    }
}

/// What a client sends.
pub struct Body {
    schema: Schematic,
    /// Accepted as it stands once the ids in it are those of real things.
    pub example: Value,
    required: bool,
    /// Other media types in which the same can be sent.
    also: Vec<&'static str>,
}

/// What one operation is for, what it takes and what it gives.
pub struct Operation {
    /// Its method.
    pub method: Method,
    /// Its path below `/api/v1`.
    pub path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    text: &'static str,
    parameters: Vec<Parameter>,
    headers: Vec<Parameter>,
    /// What it takes.
    pub body: Option<Body>,
    answers: Vec<Answer>,
    errors: Vec<u16>,
}

/// The statuses that are errors, in words.
const ERRORS: &[(u16, &str)] = &[
    (
        400,
        "The request is not what it must be; `error.data` says where.",
    ),
    (401, "No credential, or one that does not hold."),
    (403, "A credential that holds, but not for this."),
    (404, "Not there, or not within the caller's reach."),
    (408, "The body did not arrive in time."),
    (409, "The state of things forbids it."),
    (413, "Over a limit, which the message names."),
    (422, "Understood, and still not possible."),
    (
        425,
        "An attempt is under way or about to start; `Retry-After` says when to ask again.",
    ),
    (
        429,
        "Over a rate or a quota; `Retry-After` says how long to wait.",
    ),
    (
        500,
        "Something failed inside Heddle; the log names the request's id.",
    ),
    (503, "The store cannot commit now. Nothing was stored; try again."),
];

/// Made when it is first asked for.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| document(&crate::routes()));
static TEXT: LazyLock<String> = LazyLock::new(|| DOCUMENT.to_string());
static PAGE: LazyLock<String> = LazyLock::new(|| page::page(&DOCUMENT));

/// `GET /openapi.json`
pub async fn json() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str())
}

/// `GET /docs`: nothing on it is loaded from elsewhere, and nothing runs.
pub async fn html() -> impl IntoResponse {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
    ([(CONTENT_SECURITY_POLICY, policy)], Html(PAGE.as_str()))
}

/// The document of these routes.
pub fn document(routes: &[Route]) -> Value {
    let operations = operations::all();
    let mut components = BTreeMap::new();
    let error = Shape::of::<shapes::Error>();
    collect(&mut components, &error);
    let mut paths = Map::new();
    for route in routes {
        let found = operations
            .iter()
            .find(|operation| operation.method == route.method && operation.path == route.path);
        let Some(operation) = found else { continue };
        for shape in operation.shapes() {
            collect(&mut components, shape);
        }
        let path = paths.entry(format!("/api/v1{}", route.path)).or_insert(json!({}));
        path[route.method.as_str().to_lowercase()] = operation.describe(route.access, &error);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Heddle",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Emit an event once; Heddle delivers it to every destination that the tenant connected.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "tags": operations::TAGS.iter()
            .map(|(name, text)| json!({"name": name, "description": text})).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "A machine token, signed by the caller for at most a minute, or a session's access token.",
                },
                "publishable_key": {
                    "type": "apiKey", "in": "header", "name": "X-Heddle-Publishable-Key",
                    "description": "A workspace's publishable key; it emits events and nothing else.",
                },
            },
        },
    })
}

fn collect(components: &mut BTreeMap<String, Value>, shape: &Shape) {
    for (name, schema) in &shape.parts {
        let schema = serde_json::to_value(schema).unwrap_or_default();
        components.entry(name.clone()).or_insert(schema);
    }
}

impl Operation {
    fn shapes(&self) -> impl Iterator<Item = &Shape> {
        let body = self.body.iter().flat_map(|body| body.schema.shapes());
        body.chain(self.answers.iter().flat_map(|answer| answer.shape.shapes()))
    }

    fn describe(&self, access: Access, error: &Shape) -> Value {
        let mut parameters: Vec<Value> = placeholders(self.path)
            .map(|name| {
                json!({"name": name, "in": "path", "required": true, "schema": operations::path_schema(name)})
            })
            .collect();
        for (place, listed) in [("query", &self.parameters), ("header", &self.headers)] {
            parameters.extend(listed.iter().map(|parameter| {
                json!({"name": parameter.name, "in": place, "required": parameter.required,
                       "description": parameter.text, "schema": parameter.schema})
            }));
        }
        let security = match access {
            Access::Ingestion => json!([{"publishable_key": []}, {"token": []}]),
            Access::Needs(_) => json!([{"token": []}]),
        };
        let mut described = json!({
            "operationId": self.id, "tags": [self.tag], "summary": self.summary,
            "description": format!("{}{}", self.text, needs(access)), "security": security,
        });
        if !parameters.is_empty() {
            described["parameters"] = parameters.into();
        }
        if let Some(body) = &self.body {
            let mut content =
                json!({"application/json": {"schema": body.schema.schema(), "example": body.example}});
            for media_type in &body.also {
                content[*media_type] = json!({"schema": {}});
            }
            described["requestBody"] = json!({"required": body.required, "content": content});
        }
        described["responses"] = self.responses(error);
        described
    }

    fn responses(&self, error: &Shape) -> Value {
        let mut responses = BTreeMap::new();
        for answer in &self.answers {
            let text = ERRORS
                .iter()
                .find(|(status, _)| *status == answer.status)
                .map_or("It worked.", |(_, text)| text);
            let mut content = json!({"schema": answer.shape.schema()});
            if let Some(example) = &answer.example {
                content["example"] = example.clone();
            }
            responses.insert(
                answer.status.to_string(),
                json!({"description": text, "content": {"application/json": content}}),
            );
        }
        for (status, text) in ERRORS.iter().filter(|(status, _)| self.can_answer(*status)) {
            let example = operations::error_example(*status);
            responses.insert(
                status.to_string(),
                json!({"description": text,
                       "content": {"application/json": {"schema": error.reference(), "example": example}}}),
            );
        }
        json!(responses)
    }

    fn can_answer(&self, status: u16) -> bool {
        let reads = self.body.is_some();
        match status {
            401 | 403 | 500 | 503 => true,
            400 => reads || !self.parameters.is_empty() || self.errors.contains(&400),
            404 => self.path.contains('{') || self.errors.contains(&404),
            408 | 413 => reads,
            // The limits of rates hold for every operation.
            429 => true,
            other => self.errors.contains(&other),
        }
    }
}

fn needs(access: Access) -> String {
    match access {
        Access::Ingestion => " Needs `events:emit`, or a publishable key.".into(),
        Access::Needs(permission) => format!(" Needs `{permission}`."),
    }
}

/// The names in braces of a path.
fn placeholders(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else_is() {
        let line = |method: &Method, path: &str| format!("{method} {path}");
        let routes: BTreeSet<_> = crate::routes().iter().map(|r| line(&r.method, r.path)).collect();
        let described: BTreeSet<_> = operations::all()
            .iter()
            .map(|o| line(&o.method, o.path))
            .collect();
        assert_eq!(
            routes, described,
            "engine/web/src/openapi/operations.rs describes each route"
        );
    }

    #[test]
    fn the_document_is_whole() {
        let document = document(&crate::routes());
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let text = document.to_string();
        for part in text.split("\"#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name} is named but not there");
        }
        let mut ids = BTreeSet::new();
        for operation in operations::all() {
            assert!(
                ids.insert(operation.id),
                "{} is the id of two operations",
                operation.id
            );
            assert!(!operation.answers.is_empty(), "{} answers nothing", operation.id);
            assert!(
                operations::TAGS.iter().any(|(name, _)| *name == operation.tag),
                "{}",
                operation.tag
            );
        }
    }
}
