//! Rules: which events go to which connection, and what is done there.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use heddle_core::condition::Condition;
use heddle_core::connection::Connection;
use heddle_core::event::{is_label, is_resource};
use heddle_core::id::{ConnectionId, RuleId, WorkspaceId};
use heddle_core::manifest::Manifest;
use heddle_core::mapping::Mapping;
use heddle_core::rule::{Rule, is_event_pattern};
use heddle_store::RuleFilter;
use http::StatusCode;
use regex_lite::Regex;
use serde_json::{Map, Value, json};

use crate::App;
use crate::caller::Caller;
use crate::error::{ApiError, Problem};
use crate::extract::{Form, Ids, Members, Parameters, boolean, id, object, text, text_where};
use crate::lists;
use crate::ordering;
use crate::views;
use crate::workspaces;

pub const NO_RULE: ApiError = ApiError::NotFound("rule");

/// The most members of a rule's metadata.
const MAX_METADATA_MEMBERS: usize = 64;

/// The most bytes of a rule's metadata, as JSON: room for an e-mail's body.
const MAX_METADATA_BYTES: usize = 64 * 1024;

/// What a rule's `event` must be.
pub const EVENT_RULE: &str =
    "must be an event's name of at most 128 bytes, a prefix that ends in .*, or * alone";

/// What `resource`, and the `resource_id` of an event, must be.
pub const LABEL_RULE: &str = "must have 1 to 64 bytes, no control characters and no spaces around it";
/// What the `resource_id` of a rule must be.
pub const RESOURCE_ID_RULE: &str = "must have 1 to 64 letters, digits, ., _, : or -";

/// `GET /rules`
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    listed(&app, &caller, None, &parameters).await
}

/// The rules of the organization, or of one workspace of it.
pub async fn listed(
    app: &App,
    caller: &Caller,
    workspace: Option<WorkspaceId>,
    parameters: &Parameters,
) -> Result<Response, ApiError> {
    let filter = RuleFilter {
        workspace,
        event: parameters.owned("event"),
        resource: parameters.owned("resource"),
        resource_id: parameters.owned("resource_id"),
    };
    let (store, reach) = (app.store.clone(), caller.reach());
    let next = move |mark| {
        let (store, reach, filter) = (store.clone(), reach.clone(), filter.clone());
        async move { store.some_rules(reach, filter, mark).await }
    };
    lists::whole(app, caller, next, views::rule).await
}

/// `POST /rules`
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    Members(members): Members,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let mut form = Form::new(&members);
    let workspace = form.need("workspace", id::<WorkspaceId>);
    let connection = form.need("connection", id::<ConnectionId>);
    let event = form.need("event", text_where(is_event_pattern, EVENT_RULE));
    let resource = form.take("resource", text_where(is_label, LABEL_RULE));
    let resource_id = form.take("resource_id", text_where(is_resource, RESOURCE_ID_RULE));
    let metadata = form.need("metadata", object);
    let active = form.take("active", boolean).unwrap_or(true);
    let hidden = form.take("hidden", boolean).unwrap_or(false);
    let mapping = form.take("mapping", schema);
    let condition = form.take("condition", condition);
    let ordering = ordering::Wish::of(&mut form);
    refuse_unbuilt(&mut form);
    form.check()?;
    let (Some(workspace), Some(connection), Some(event), Some(metadata)) =
        (workspace, connection, event, metadata)
    else {
        return Err(form.refuse());
    };
    workspaces::own(&app, &caller, workspace).await?;
    caller.keeps_to_resource(resource.as_deref(), resource_id.as_deref())?;
    let connection = connection_of(&app, &caller, connection, workspace).await?;
    let metadata = texts(metadata)?;
    check_metadata(&app, &connection, &metadata)?;
    let now = app.clock.now();
    let rule = Rule {
        id: RuleId::new(now, app.random()),
        workspace,
        connection: connection.id,
        kind: connection.kind,
        event,
        resource,
        resource_id,
        condition,
        order: ordering.over(None)?,
        metadata,
        mapping: mapping.map(checked).transpose()?,
        active,
        hidden,
        created_by: caller.name,
        created_at: now,
        updated_at: now,
    };
    app.store.create_rule(rule.clone()).await?;
    Ok((StatusCode::CREATED, Json(json!({"rule": views::rule(&rule)}))))
}

/// A rule whose filter is not understood would fire for everything, so it is not taken.
fn refuse_unbuilt(form: &mut Form) {
    form.take::<()>("transform", |_| Err("is not supported by this version".into()));
}

/// A mapping's schema; what is wrong inside of it is found by [`checked`], all at once.
fn schema(value: &Value) -> Result<&Value, String> {
    object(value).map(|_| value)
}

/// The text of a mapping that compiles.
pub fn checked(schema: &Value) -> Result<Arc<str>, ApiError> {
    match Mapping::parse(schema, "mapping") {
        Ok(_) => Ok(schema.to_string().into()),
        Err(problems) => Err(ApiError::Invalid(
            problems.into_iter().map(Problem::from).collect(),
        )),
    }
}

/// A condition's text, when it is one.
pub fn condition(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    match Condition::compile(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(mistake) => Err(mistake.to_string()),
    }
}

/// The contract's metadata that is text, as text: published clients read nothing else there.
const TEXTS: [&str; 7] = ["id", "name", "value", "key", "data", "option", "option_value"];

/// The metadata with those as text.
pub fn texts(metadata: &Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
    let mut metadata = metadata.clone();
    for key in TEXTS {
        match metadata.get(key) {
            None | Some(Value::String(_)) => {}
            Some(Value::Null) => {
                metadata.remove(key);
            }
            Some(Value::Number(number)) => {
                let text = number.to_string();
                metadata.insert(key.into(), text.into());
            }
            Some(_) => return Err(ApiError::invalid(format!("metadata.{key}"), "must be a string")),
        }
    }
    Ok(metadata)
}

/// `GET /rules/{rule}`
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<RuleId>,
) -> Result<Json<Value>, ApiError> {
    let rule = app.store.rule(caller.reach(), id).await?.ok_or(NO_RULE)?;
    Ok(Json(views::rule(&rule)))
}

/// `PUT /rules/{rule}`, which is additive to the contract: absent members stay as they are, `null`
/// removes `resource`, `resource_id`, `condition`, `ordering_key` and `mapping`. The workspace cannot change; another
/// connection of it takes over what waits.
pub async fn update(
    State(app): State<App>,
    caller: Caller,
    Ids(rule_id): Ids<RuleId>,
    Members(members): Members,
) -> Result<Json<Value>, ApiError> {
    let mut form = Form::new(&members);
    let workspace = form.take("workspace", id::<WorkspaceId>);
    let connection = form.take("connection", id::<ConnectionId>);
    let event = form.take("event", text_where(is_event_pattern, EVENT_RULE));
    let resource = form.take("resource", text_where(is_label, LABEL_RULE));
    let resource_id = form.take("resource_id", text_where(is_resource, RESOURCE_ID_RULE));
    let metadata = form.take("metadata", object);
    let active = form.take("active", boolean);
    let hidden = form.take("hidden", boolean);
    let mapping = form.take("mapping", schema);
    let condition = form.take("condition", condition);
    let ordering = ordering::Wish::of(&mut form);
    refuse_unbuilt(&mut form);
    form.check()?;
    let mapping = mapping.map(checked).transpose()?;
    let metadata = metadata.map(texts).transpose()?;
    let known = app.store.rule(caller.reach(), rule_id).await?.ok_or(NO_RULE)?;
    if workspace.is_some_and(|workspace| workspace != known.workspace) {
        return Err(ApiError::invalid("workspace", "cannot change; make another rule"));
    }
    let connection = connection.unwrap_or(known.connection);
    let mut kind = known.kind;
    if metadata.is_some() || connection != known.connection {
        let connection = connection_of(&app, &caller, connection, known.workspace).await?;
        check_metadata(&app, &connection, metadata.as_ref().unwrap_or(&known.metadata))?;
        kind = connection.kind;
    }
    let updated = Rule {
        connection,
        kind,
        event: event.unwrap_or(known.event),
        resource: if form.has("resource") {
            resource
        } else {
            known.resource
        },
        resource_id: if form.has("resource_id") {
            resource_id
        } else {
            known.resource_id
        },
        condition: if form.has("condition") {
            condition
        } else {
            known.condition
        },
        order: ordering.over(known.order)?,
        metadata: metadata.unwrap_or(known.metadata),
        mapping: if form.has("mapping") {
            mapping
        } else {
            known.mapping
        },
        active: active.unwrap_or(known.active),
        hidden: hidden.unwrap_or(known.hidden),
        updated_at: app.clock.now(),
        ..known
    };
    caller.keeps_to_resource(updated.resource.as_deref(), updated.resource_id.as_deref())?;
    if !app.store.update_rule(caller.reach(), updated.clone()).await? {
        return Err(NO_RULE);
    }
    Ok(Json(views::rule(&updated)))
}

/// `DELETE /rules/{rule}`: what waits to be delivered by it is canceled.
pub async fn delete(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<RuleId>,
) -> Result<Json<Value>, ApiError> {
    let rule = app
        .store
        .delete_rule(caller.reach(), id, app.clock.now())
        .await?
        .ok_or(NO_RULE)?;
    Ok(Json(views::deleted_rule(&rule)))
}

/// The connection, if it is one of this workspace.
async fn connection_of(
    app: &App,
    caller: &Caller,
    id: ConnectionId,
    workspace: WorkspaceId,
) -> Result<Connection, ApiError> {
    let connection = app
        .store
        .connection(caller.reach(), id)
        .await?
        .ok_or(ApiError::NotFound("connection"))?;
    if connection.workspace != workspace {
        return Err(ApiError::invalid("connection", "belongs to another workspace"));
    }
    Ok(connection)
}

/// Refuses metadata that the connection's plugin can do nothing with.
pub fn check_metadata(
    app: &App,
    connection: &Connection,
    metadata: &Map<String, Value>,
) -> Result<(), ApiError> {
    let plugin = app
        .plugins
        .get(&connection.kind)
        .ok_or_else(|| ApiError::Conflict {
            code: "plugin_missing",
            message: format!(
                "No plugin called {} is loaded, so the action cannot be checked.",
                connection.kind
            ),
        })?;
    match problems(plugin.manifest(), metadata) {
        none if none.is_empty() => Ok(()),
        problems => Err(ApiError::Invalid(problems)),
    }
}

/// What is wrong with a rule's metadata: the action, and the inputs that it needs.
fn problems(manifest: &Manifest, metadata: &Map<String, Value>) -> Vec<Problem> {
    if metadata.len() > MAX_METADATA_MEMBERS
        || Value::Object(metadata.clone()).to_string().len() > MAX_METADATA_BYTES
    {
        let limits = format!("may have {MAX_METADATA_MEMBERS} members and {MAX_METADATA_BYTES} bytes");
        return vec![Problem::new("metadata", limits)];
    }
    let Some(action) = metadata
        .get("action")
        .and_then(Value::as_str)
        .and_then(|key| manifest.actions.get(key))
    else {
        let known: Vec<&str> = manifest.actions.keys().map(String::as_str).collect();
        return vec![Problem::new(
            "metadata.action",
            format!("must be one of {}", known.join(", ")),
        )];
    };
    let options = action.data.iter().filter(|input| input["required"] == true);
    let options = options.filter_map(|input| input["options"].get("field")?.as_str());
    let missing = action
        .required_inputs()
        .chain(options)
        .filter(|key| metadata.get(*key).is_none_or(is_blank));
    let missing = missing.map(|key| Problem::new(format!("metadata.{key}"), "is required by the action"));
    missing
        .chain(action.data.iter().filter_map(|input| typed_in(input, metadata)))
        .collect()
}

/// What is wrong with a value that a person typed in: only inputs of the kind `field` say how such a
/// value must look.
fn typed_in(input: &Value, metadata: &Map<String, Value>) -> Option<Problem> {
    let member = |key: &str| input.get(key).and_then(Value::as_str);
    let key = member("field").filter(|_| member("kind") == Some("field"))?;
    let value = metadata.get(key).filter(|value| !is_blank(value))?;
    let wrong = |msg: String| Some(Problem::new(format!("metadata.{key}"), msg));
    let Some(text) = value.as_str() else {
        return wrong("must be a string".into());
    };
    if let Some(options) = input.get("options").and_then(Value::as_array) {
        let values: Vec<&str> = options
            .iter()
            .filter_map(|option| option.get("value")?.as_str())
            .collect();
        if !values.is_empty() && !values.contains(&text) {
            return wrong(format!("must be one of {}", values.join(", ")));
        }
    }
    // Written for browsers: one that uses what we cannot read is left to the browser.
    let pattern = member("regex").and_then(|pattern| Regex::new(pattern).ok());
    if pattern.is_some_and(|pattern| !pattern.is_match(text)) {
        return wrong(
            member("regexMessage")
                .unwrap_or("does not have the form that the action needs")
                .into(),
        );
    }
    None
}

fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest::parse(
            &json!({
                "name": "acme", "title": "Acme", "authentication": {"type": "none"}, "hosts": [],
                "actions": {
                    "ping": {"key": "ping", "label": "Ping"},
                    "post": {"key": "post", "label": "Post", "data": [
                        {"kind": "simple", "key": "channel", "field": "id", "required": true},
                        {"kind": "field", "key": "color", "field": "color", "label": "Color", "type": "select",
                         "options": [{"label": "Red", "value": "red"}]},
                        {"kind": "field", "key": "from", "field": "from", "label": "From", "type": "text",
                         "regex": "^[^@]+@[^@]+$", "regexMessage": "must be an address"}]}}
            })
            .to_string(),
        )
        .unwrap()
    }

    #[test]
    fn an_item_with_options_needs_both() {
        let mut manifest = manifest();
        manifest.actions.get_mut("ping").unwrap().data = vec![json!({
            "kind": "advanced", "key": "properties", "field": "id", "required": true,
            "options": {"key": "options", "field": "value", "type": "select", "entity": "option"}
        })];
        let problems = problems(
            &manifest,
            json!({"action": "ping", "id": "p"}).as_object().unwrap(),
        );
        assert_eq!(
            problems.first().map(|problem| problem.param.as_str()),
            Some("metadata.value")
        );
    }

    #[test]
    fn metadata_names_an_action_of_the_type_and_what_that_needs() {
        let cases = [
            (json!({"action": "ping", "anything": [1, 2]}), None),
            (
                json!({"action": "post", "id": "C1", "color": "red", "from": "a@b"}),
                None,
            ),
            (json!({}), Some("metadata.action")),
            (json!({"action": 5}), Some("metadata.action")),
            (json!({"action": "shout"}), Some("metadata.action")),
            (json!({"action": "post"}), Some("metadata.id")),
            (json!({"action": "post", "id": "  "}), Some("metadata.id")),
            (
                json!({"action": "post", "id": "C1", "color": "blue"}),
                Some("metadata.color"),
            ),
            (
                json!({"action": "post", "id": "C1", "color": 5}),
                Some("metadata.color"),
            ),
            (
                json!({"action": "post", "id": "C1", "from": "nobody"}),
                Some("metadata.from"),
            ),
            (
                json!({"action": "ping", "body": "x".repeat(MAX_METADATA_BYTES)}),
                Some("metadata"),
            ),
        ];
        for (metadata, param) in cases {
            let found = problems(&manifest(), metadata.as_object().unwrap());
            assert_eq!(
                found.first().map(|problem| problem.param.as_str()),
                param,
                "{found:?}"
            );
        }
        let unknown = problems(&manifest(), &Map::new());
        assert!(unknown[0].msg.contains("ping, post"));
    }
}
