//! The Rust client has a method for every operation of the API, and it calls that operation.

use heddle_client::shapes::*;
use heddle_client::{Credential, MachineKey, ManagementClient, Options};
use heddle_tests::api::Api;
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::network::{Network, Trouble};
use http::Method;
use serde_json::{Value, json};

/// What emits is the events client's.
const EMITTING: [&str; 2] = ["emit_event", "emit_events"];

/// Calls each, and gives their names. What they make of the answer does not matter here.
macro_rules! call {
    ($client:ident: $($name:ident($($argument:expr),*))+) => {{
        $(let _ = $client.$name($($argument),*).await;)+
        [$(stringify!($name)),+]
    }};
}

/// `listRules` as `list_rules`.
fn snake(id: &str) -> String {
    let mut name = String::new();
    for letter in id.chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[tokio::test]
async fn the_rust_client_has_every_operation() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let document = api
        .send(api.request_root(Method::GET, "/openapi.json"))
        .await
        .expect(200);
    let network = Network::before(&engine, |_| Trouble::Answer(200, &[], "{}")).await;
    let key = MachineKey {
        organization_id: api.keys().organization_id.clone(),
        access_key: api.keys().access_key.clone(),
        secret_key: api.keys().secret_key.clone(),
    };
    let heddle = ManagementClient::new(Credential::MachineKey(key), Options::new(network.base()))
        .expect("a client can be made");
    let (a, b, c) = ("id-0", "id-1", "id-2");
    let body = json!({});
    let names = call! { heddle:
        list_workspaces()
        create_workspace("Name", None)
        get_workspace(a)
        update_workspace(a, &body)
        delete_workspace(a, "Name")
        list_workspace_connections(a)
        list_workspace_rules(a, &RuleFilter::default())
        list_workspace_events(a, &EventFilter::default())
        list_publishable_keys(a)
        create_publishable_key(a, &CreatePublishableKey::default())
        delete_publishable_key(a, b)
        list_event_types(a)
        create_event_type(a, &CreateEntry::default())
        update_event_type(a, b, &body)
        delete_event_type(a, b)
        list_resources(a)
        create_resource(a, &CreateEntry::default())
        update_resource(a, b, &body)
        delete_resource(a, b)
        get_usage(&UsageFilter::default())
        get_workspace_usage(a, &UsageFilter::default())
        get_workspace_limits(a)
        put_workspace_limits(a, &body)
        list_integrations()
        list_connections()
        create_connection(&CreateConnection::default())
        get_connection(a)
        update_connection(a, &body)
        delete_connection(a, true)
        get_connection_actions(a, &ActionFilter::default())
        get_connection_fields(a, true)
        get_default_mapping(a)
        put_default_mapping(a, &PutMapping::default())
        check_connection(a)
        list_rules(&RuleFilter::default())
        create_rule(&CreateRule::default())
        get_rule(a)
        update_rule(a, &body)
        delete_rule(a)
        dry_run_rule(&body)
        list_events(&EventFilter::default())
        get_event(a)
        get_event_payload(a)
        explain_event(a, &ExplainFilter::default())
        cancel_event(a)
        retry_rule_event(a, b)
        cancel_rule_event(a, b)
        list_attempts(a, b, &Page::default())
        get_attempt(a, b, c)
        get_response_details(a, b, c)
        list_replays(&ReplayListFilter::default())
        create_replay(&ReplayRequest::default())
        preview_replay(&ReplayRequest::default())
        get_replay(a)
        pause_replay(a)
        resume_replay(a)
        cancel_replay(a)
        list_sessions(&SessionFilter::default())
        create_session(&CreateSession::default())
        refresh_session(a)
        revoke_session(a)
        list_keys()
        create_key(&CreateKey::default())
        revoke_key(a)
    };
    let lines = network.lines();
    assert_eq!(lines.len(), names.len(), "each call is one request");
    let paths = document["paths"].as_object().expect("the document has paths");
    let operations: Vec<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            methods.map(move |(method, operation): (_, &Value)| {
                let id = operation["operationId"].as_str().expect("each has an id");
                (snake(id), format!("{} {path}", method.to_uppercase()))
            })
        })
        .collect();
    for (name, template) in &operations {
        if EMITTING.contains(&name.as_str()) {
            continue;
        }
        let place = names.iter().position(|known| known == name);
        let line =
            &lines[place.unwrap_or_else(|| panic!("{name} is missing: clients/rust/src/management.rs"))];
        let mut count = 0;
        let parts: Vec<_> = template
            .split('/')
            .map(|part| match part.strip_prefix('{') {
                Some(_) => {
                    count += 1;
                    format!("id-{}", count - 1)
                }
                None => part.to_owned(),
            })
            .collect();
        assert_eq!(line.split('?').next(), Some(parts.join("/").as_str()), "{name}");
    }
    for name in names {
        assert!(
            operations.iter().any(|(known, _)| known == name),
            "the document has no {name}"
        );
    }
}
