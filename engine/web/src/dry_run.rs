//! A rule, saved or not, held against the last events of its workspace. Nothing is delivered; what would
//! be is shown where that is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use heddle_core::condition::{Explanation, Facts};
use heddle_core::event::{is_label, is_resource};
use heddle_core::id::{ConnectionId, EventId, RuleId, WorkspaceId};
use heddle_core::routing::Route;
use heddle_core::rule::{Match, Rule, is_event_pattern};
use heddle_store::{EventFilter, EventRecord, Page};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::App;
use crate::caller::Caller;
use crate::connections::NO_CONNECTION;
use crate::error::{ApiError, Problem};
use crate::explain::{self, PAYLOAD_GONE};
use crate::extract::{Form, Members, boolean, id, object, text, text_where};
use crate::permission::Permission;
use crate::preview::{self, Preview};
use crate::rules::{self, EVENT_RULE, LABEL_RULE, NO_RULE, RESOURCE_ID_RULE};
use crate::workspaces;

/// The most events of one call, and how many when it says nothing.
const MOST_EVENTS: usize = 1000;
const DEFAULT_EVENTS: usize = 100;

/// Events that are read at once.
const CHUNK: usize = 50;

/// After this long no further chunk is read; the cursor goes on from there.
const MOST_TIME: Duration = Duration::from_secs(2);

/// What became of a dry run.
#[derive(Debug, Serialize)]
pub struct DryRun {
    workspace: WorkspaceId,
    /// Events that the rule was held against.
    checked: usize,
    matched: usize,
    /// How often each outcome came out.
    outcomes: BTreeMap<&'static str, usize>,
    /// For the events before these; `null` when there are none.
    next_cursor: Option<String>,
    /// The newest first.
    records: Vec<Held>,
    /// What would be sent for the newest that matched, where that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<Preview>,
}

/// An event, and what the rule makes of it.
#[derive(Debug, Serialize)]
struct Held {
    event_id: EventId,
    event: String,
    resource: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_id: Option<String>,
    created_at: String,
    matched: bool,
    outcome: &'static str,
    /// For people.
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Explanation>,
}

/// `POST /rules/dry-run`
pub async fn run(
    State(app): State<App>,
    caller: Caller,
    Members(members): Members,
) -> Result<Json<DryRun>, ApiError> {
    if !caller.may(Permission::RulesRead) {
        return Err(ApiError::Forbidden(
            "A dry run shows what a rule does: it needs the permission rules:read too.",
        ));
    }
    let mut form = Form::new(&members);
    let workspace = form.need("workspace", id::<WorkspaceId>);
    let rule_id = form.take("rule_id", id::<RuleId>);
    let unsaved = form.take("rule", object);
    let last = form.take("last", last).unwrap_or(DEFAULT_EVENTS);
    let cursor = form.take("cursor", text).map(str::to_owned);
    let preview = form.take("preview", boolean).unwrap_or(false);
    form.check()?;
    let Some(workspace) = workspace else {
        return Err(form.refuse());
    };
    if preview && !caller.may(Permission::ConnectionsRead) {
        return Err(ApiError::Forbidden(
            "A preview shows what goes to a connection: it needs the permission connections:read too.",
        ));
    }
    workspaces::own(&app, &caller, workspace).await?;
    let is_saved = rule_id.is_some();
    let rule = match (rule_id, unsaved) {
        (Some(id), None) => {
            let rule = app.store.rule(caller.reach(), id).await?.ok_or(NO_RULE)?;
            if rule.workspace != workspace {
                return Err(ApiError::invalid("rule_id", "belongs to another workspace"));
            }
            // Whether it is switched on is not what is tried out.
            Rule { active: true, ..rule }
        }
        (None, Some(members)) => unsaved_rule(&app, workspace, members, preview).map_err(of_rule)?,
        _ => {
            return Err(ApiError::invalid(
                "rule",
                "is required, or else rule_id; not both",
            ));
        }
    };
    caller.keeps_to_resource(rule.resource.as_deref(), rule.resource_id.as_deref())?;
    let connection = if preview {
        let found = app.store.connection(caller.reach(), rule.connection).await?;
        let found = found.filter(|connection| connection.workspace == workspace);
        let connection = found.ok_or(NO_CONNECTION)?;
        if !is_saved {
            rules::check_metadata(&app, &connection, &rule.metadata).map_err(of_rule)?;
        }
        Some(connection)
    } else {
        None
    };
    let mut run = held(
        &app,
        &caller,
        workspace,
        &Arc::new(Route::new(rule.clone())),
        last,
        cursor,
    )
    .await?;
    let newest = run.records.iter().find(|held| held.matched);
    if let (Some(connection), Some(newest)) = (connection, newest) {
        run.preview = Some(preview::of(&app, &caller, rule, connection, newest.event_id).await?);
    }
    Ok(Json(run))
}

fn last(value: &Value) -> Result<usize, String> {
    value
        .as_u64()
        .and_then(|count| usize::try_from(count).ok())
        .filter(|count| (1..=MOST_EVENTS).contains(count))
        .ok_or_else(|| format!("must be a whole number from 1 to {MOST_EVENTS}"))
}

/// A rule of which only what decides about matching is read, and what it would do where that is to be
/// seen; it is never saved.
fn unsaved_rule(
    app: &App,
    workspace: WorkspaceId,
    members: &Map<String, Value>,
    preview: bool,
) -> Result<Rule, ApiError> {
    let mut form = Form::new(members);
    let event = form.need("event", text_where(is_event_pattern, EVENT_RULE));
    let resource = form.take("resource", text_where(is_label, LABEL_RULE));
    let resource_id = form.take("resource_id", text_where(is_resource, RESOURCE_ID_RULE));
    let condition = form.take("condition", rules::condition);
    let now = app.clock.now();
    let (mut connection, mut metadata, mut mapping) = (None, None, None);
    if preview {
        connection = form.need("connection", id::<ConnectionId>);
        metadata = form.need("metadata", object).cloned();
        mapping = form.take("mapping", object).map(|_| &members["mapping"]);
    }
    form.check()?;
    Ok(Rule {
        id: RuleId::new(now, app.random()),
        workspace,
        connection: connection.unwrap_or_else(|| ConnectionId::new(now, app.random())),
        kind: String::new(),
        event: event.ok_or_else(|| form.refuse())?,
        resource,
        resource_id,
        condition,
        order: None,
        metadata: metadata
            .map(|metadata| rules::texts(&metadata))
            .transpose()?
            .unwrap_or_default(),
        mapping: mapping.map(rules::checked).transpose()?,
        active: true,
        hidden: true,
        created_by: String::new(),
        created_at: now,
        updated_at: now,
    })
}

/// Problems of a rule, where it stands in the body.
fn of_rule(error: ApiError) -> ApiError {
    match error {
        ApiError::Invalid(problems) => {
            let inside = |problem: Problem| Problem::new(format!("rule.{}", problem.param), problem.msg);
            ApiError::Invalid(problems.into_iter().map(inside).collect())
        }
        other => other,
    }
}

async fn held(
    app: &App,
    caller: &Caller,
    workspace: WorkspaceId,
    route: &Arc<Route>,
    last: usize,
    mut cursor: Option<String>,
) -> Result<DryRun, ApiError> {
    let started = app.clock.now();
    let filter = EventFilter {
        workspace: Some(workspace),
        ..EventFilter::default()
    };
    let mut records = Vec::new();
    let mut outcomes = BTreeMap::new();
    loop {
        let page = Page {
            limit: (last - records.len()).min(CHUNK),
            cursor: cursor.take(),
        };
        let found = app
            .store
            .list_events(caller.reach(), filter.clone(), page)
            .await?;
        for record in &found.records {
            let held = one(app, caller, route, record).await?;
            *outcomes.entry(held.outcome).or_default() += 1;
            records.push(held);
        }
        cursor = found.next_cursor;
        if cursor.is_none() || records.len() >= last || app.clock.now().since(started) > MOST_TIME {
            break;
        }
    }
    Ok(DryRun {
        workspace,
        checked: records.len(),
        matched: records.iter().filter(|held| held.matched).count(),
        outcomes,
        next_cursor: cursor,
        records,
        preview: None,
    })
}

/// The payload is read only when there is a condition to hold it against.
async fn one(app: &App, caller: &Caller, route: &Arc<Route>, record: &EventRecord) -> Result<Held, ApiError> {
    let mut event = explain::seen(record, Arc::from("{}"));
    let asked = route.depends_on_payload(&event);
    if asked {
        event.payload = match app.store.event_payload(caller.reach(), record.id).await? {
            Some(payload) => payload,
            None => return Ok(Held::new(record, "payload_gone", PAYLOAD_GONE.into())),
        };
    }
    let of = Arc::clone(route);
    let held = move || {
        let condition = asked.then(|| of.explain(&Facts::of(&event))).flatten();
        (of.matches(&Facts::of(&event)), condition)
    };
    let (found, condition) = if asked {
        app.matching.apart(record.workspace, held).await
    } else {
        held()
    };
    Ok(Held {
        matched: found == Match::Matched,
        condition,
        ..Held::new(
            record,
            found.as_str(),
            explain::reason(&found, route.rule(), record),
        )
    })
}

impl Held {
    fn new(record: &EventRecord, outcome: &'static str, reason: String) -> Self {
        Self {
            event_id: record.id,
            event: record.event.clone(),
            resource: record.resource.clone(),
            resource_id: record.resource_id.clone(),
            created_at: record.created_at.to_string(),
            matched: false,
            outcome,
            reason,
            condition: None,
        }
    }
}
