//! The way out, from the outside: a real client against real listeners on this machine.

mod addresses;
mod credentials;
mod names;
mod receiver;
mod replies;
mod routes;
mod tokens;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use heddle_core::exchange::{Header, Request};
use heddle_core::manifest::Manifest;
use heddle_core::secret::Secret;
use heddle_core::time::Timestamp;
use heddle_egress::{Egress, EgressConfig, Grant, Resolve, SendContext};
use serde_json::{Value, json};

/// An operator who tests on this machine.
fn local() -> EgressConfig {
    EgressConfig {
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        allow_http: true,
        ..EgressConfig::default()
    }
}

fn egress(config: EgressConfig) -> Egress {
    Egress::new(config).unwrap()
}

fn egress_with(config: EgressConfig, resolver: &Arc<impl Resolve>) -> Egress {
    Egress::with_resolver(config, Arc::clone(resolver) as Arc<dyn Resolve>).unwrap()
}

/// A grant for these hosts with these credentials. The secrets are the passwords of the manifest.
fn grant(hosts: Value, credentials: Value, secrets: &[(&str, &str)]) -> Grant {
    try_grant(hosts, credentials, json!({}), secrets).unwrap()
}

fn try_grant(hosts: Value, credentials: Value, settings: Value, secrets: &[(&str, &str)]) -> Option<Grant> {
    let mut fields = vec![json!({"key": "url", "label": "URL", "type": "text"})];
    fields.extend(
        secrets
            .iter()
            .map(|(key, _)| json!({"key": key, "label": key, "type": "password"})),
    );
    let manifest = json!({
        "name": "acme", "title": "Acme", "hosts": hosts, "credentials": credentials,
        "authentication": {"type": "api_key", "fields": fields},
        "actions": {"send": {"key": "send", "label": "Send"}}
    });
    let manifest = Manifest::parse(&manifest.to_string()).unwrap();
    let secrets: BTreeMap<_, _> = secrets
        .iter()
        .map(|(key, value)| ((*key).into(), Secret::new(*value)))
        .collect();
    Grant::new(&manifest, settings.as_object().unwrap(), &secrets).ok()
}

fn post(url: impl Into<String>, body: &[u8]) -> Request {
    Request {
        method: "POST".into(),
        url: url.into(),
        headers: vec![Header {
            name: "Content-Type".into(),
            value: "application/json".into(),
        }],
        body: body.to_vec(),
    }
}

fn get(url: impl Into<String>) -> Request {
    Request {
        method: "GET".into(),
        url: url.into(),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

fn context() -> SendContext {
    SendContext {
        delivery_id: "msg_1".into(),
        now: Timestamp(1_774_137_600_500),
        answers: heddle_egress::Held::default(),
    }
}

/// A deadline that a test can wait for.
const SOON: Duration = Duration::from_millis(300);
