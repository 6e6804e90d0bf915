//! What a person picks from when making a rule: lists, tags, channels, as the destination has them now.
//! The contract leaves the shape open: ours is keyed by action and input.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use heddle_core::connection::Connection;
use heddle_core::exchange::Function;
use heddle_core::id::ConnectionId;
use heddle_core::manifest::{Action, Manifest};
use heddle_store::{ChoicesKey, ChoicesRecord};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::App;
use crate::caller::Caller;
use crate::connections::{NO_CONNECTION, manifest, plugin_missing};
use crate::error::ApiError;
use crate::extract::{Ids, Parameters};
use crate::live::{self, Told, Trouble, TroubleKind};

/// How old a page may be before the destination is asked again.
const FRESH: Duration = Duration::from_secs(5 * 60);

/// The most things of one page.
const MAX_CHOICES: usize = 5_000;

/// The live data of a connection's actions.
#[derive(Debug, Serialize)]
pub struct ActionsView {
    connection_id: ConnectionId,
    integration_type: String,
    /// By the action's key, then by the member of the rule's metadata that the picked id is for.
    actions: BTreeMap<String, BTreeMap<String, ChoicesView>>,
}

/// One page of things to pick from, or why there is none.
#[derive(Debug, Serialize)]
struct ChoicesView {
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    page: Option<Aged>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Told>,
}

#[derive(Debug, Serialize)]
struct Aged {
    #[serde(flatten)]
    page: Page,
    refreshed_at: String,
    age_seconds: u64,
    stale: bool,
}

/// A plugin's answer, brought into form.
#[derive(Debug, Serialize, Deserialize)]
struct Page {
    choices: Vec<Choice>,
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Choice {
    id: String,
    label: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    options: Vec<Choice>,
}

/// `GET /connections/{connection}/actions`. Additive: `action` and `input` narrow it down, `search` and
/// `cursor` ask for a part of one input's choices, `refresh=true` for the destination's own.
pub async fn actions(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<ConnectionId>,
    parameters: Parameters,
) -> Result<Json<ActionsView>, ApiError> {
    let refresh = parameters.flag("refresh")?;
    let connection = app
        .store
        .connection(caller.reach(), id)
        .await?
        .ok_or(NO_CONNECTION)?;
    let manifest = manifest(&app, &connection.kind).ok_or_else(|| plugin_missing(&connection.kind))?;
    let keys = keys(&manifest, &parameters)?;
    let mut actions: BTreeMap<String, BTreeMap<String, ChoicesView>> = BTreeMap::new();
    let (mut first, mut is_there) = (None, keys.is_empty());
    let mut down: Option<Trouble> = None;
    for key in keys {
        let (action, input) = (key.action.clone(), key.input.clone());
        let (page, trouble) = current(&app, &caller, &connection, key, refresh, down.clone()).await?;
        is_there |= page.is_some();
        if let Some(trouble) = &trouble {
            // Who does not answer once is not asked for everything else in turn.
            if !matches!(trouble.kind, TroubleKind::NotOffered | TroubleKind::Refused) {
                down.get_or_insert_with(|| trouble.clone());
            }
            first.get_or_insert_with(|| trouble.clone());
        }
        let view = ChoicesView {
            page,
            error: trouble.map(|trouble| trouble.told()),
        };
        actions.entry(action).or_default().insert(input, view);
    }
    match first {
        Some(trouble) if !is_there => Err(trouble.into()),
        _ => Ok(Json(ActionsView {
            connection_id: connection.id,
            integration_type: connection.kind,
            actions,
        })),
    }
}

/// Which choices are asked for.
fn keys(manifest: &Manifest, parameters: &Parameters) -> Result<Vec<ChoicesKey>, ApiError> {
    let (action, input) = (parameters.get("action"), parameters.get("input"));
    let part = |name: &str, longest: usize| match parameters.get(name) {
        Some(text) if text.len() > longest => {
            Err(ApiError::invalid(name, format!("may have {longest} bytes")))
        }
        Some(text) => Ok(text.to_owned()),
        None => Ok(String::new()),
    };
    let (search, cursor) = (part("search", 256)?, part("cursor", 4096)?);
    if let Some(action) = action.filter(|action| !manifest.actions.contains_key(*action)) {
        let _ = action;
        let known: Vec<&str> = manifest.actions.keys().map(String::as_str).collect();
        let message = format!("must be one of {}", known.join(", "));
        return Err(ApiError::invalid("action", message));
    }
    let wanted = manifest
        .actions
        .values()
        .filter(|known| action.is_none_or(|key| key == known.key));
    let mut keys = Vec::new();
    for known in wanted {
        for field in live_inputs(known).filter(|field| input.is_none_or(|input| input == *field)) {
            keys.push(ChoicesKey {
                action: known.key.clone(),
                input: field.to_owned(),
                search: search.clone(),
                cursor: cursor.clone(),
            });
        }
    }
    if input.is_some() && keys.is_empty() {
        return Err(ApiError::invalid("input", "is no input with live choices"));
    }
    if keys.len() > 1 && !(search.is_empty() && cursor.is_empty()) {
        let name = if cursor.is_empty() { "search" } else { "cursor" };
        return Err(ApiError::invalid(
            name,
            "needs action and input, so that it is clear what of",
        ));
    }
    Ok(keys)
}

/// The members of a rule's metadata that are picked from what the destination has.
fn live_inputs(action: &Action) -> impl Iterator<Item = &str> {
    let is_live = |input: &&Value| matches!(input["kind"].as_str(), Some("simple" | "advanced"));
    let inputs = action.data.iter().filter(is_live);
    inputs.filter_map(|input| input["field"].as_str())
}

async fn current(
    app: &App,
    caller: &Caller,
    connection: &Connection,
    key: ChoicesKey,
    refresh: bool,
    down: Option<Trouble>,
) -> Result<(Option<Aged>, Option<Trouble>), ApiError> {
    let kept = app
        .store
        .choices(caller.reach(), connection.id, key.clone())
        .await?
        .and_then(|record| {
            Some((
                serde_json::from_str::<Page>(&record.page).ok()?,
                record.refreshed_at,
            ))
        });
    let now = app.clock.now();
    let aged = |page, refreshed_at, stale| Aged {
        page,
        refreshed_at: heddle_core::time::Timestamp::to_string(&refreshed_at),
        age_seconds: now.since(refreshed_at).as_secs(),
        stale,
    };
    let kept = match kept {
        Some((page, at)) if !refresh && now.since(at) < FRESH => {
            return Ok((Some(aged(page, at, false)), None));
        }
        kept => kept,
    };
    let answer = match down {
        Some(trouble) => Err(trouble),
        None => asked(app, caller, connection, &key).await,
    };
    match answer {
        Ok(page) => {
            let refreshed_at = app.clock.now();
            let record = ChoicesRecord {
                page: json!(page).to_string(),
                refreshed_at,
            };
            let as_of = connection.updated_at;
            app.store.put_choices(connection.id, key, record, as_of).await?;
            Ok((Some(aged(page, refreshed_at, false)), None))
        }
        Err(trouble) => {
            let kept = kept.filter(|_| trouble.is_passing());
            Ok((kept.map(|(page, at)| aged(page, at, true)), Some(trouble)))
        }
    }
}

async fn asked(
    app: &App,
    caller: &Caller,
    connection: &Connection,
    key: &ChoicesKey,
) -> Result<Page, Trouble> {
    let input = json!({
        "connection": connection.told(),
        "action": key.action,
        "input": key.input,
        "search": (!key.search.is_empty()).then_some(&key.search),
        "cursor": (!key.cursor.is_empty()).then_some(&key.cursor),
        "sent_at": app.clock.now().0,
    });
    let answer = live::ask(
        app,
        caller.organisation(),
        connection,
        Function::Choices,
        input.to_string(),
    )
    .await?;
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    let listed = answer["choices"]
        .as_array()
        .ok_or_else(|| Trouble::unreadable("the plugin's choices are not of the form {\"choices\": […]}"))?;
    if listed.len() > MAX_CHOICES {
        let message = format!(
            "the plugin gave {} choices at once; at most {MAX_CHOICES} are read",
            listed.len()
        );
        return Err(Trouble::unreadable(message));
    }
    let next_cursor = answer["next_cursor"].as_str().filter(|cursor| !cursor.is_empty());
    Ok(Page {
        choices: listed.iter().filter_map(Choice::read).collect(),
        next_cursor: next_cursor.map(str::to_owned),
    })
}

impl Choice {
    fn read(choice: &Value) -> Option<Self> {
        let id = match &choice["id"] {
            Value::String(id) => id.clone(),
            Value::Number(id) => id.to_string(),
            _ => return None,
        };
        let label = choice["label"].as_str().unwrap_or(&id).to_owned();
        let options = choice["options"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let option = |option: &Value| {
            let plain = json!({"id": option["id"], "label": option["label"]});
            Self::read(&plain)
        };
        Some(Self {
            options: options.iter().filter_map(option).collect(),
            id,
            label,
        })
    }
}
