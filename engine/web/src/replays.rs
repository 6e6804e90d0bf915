//! Bulk replay: try anew what failed, after somebody mended the cause; or hold old events against the
//! rules as they are now.

use axum::Json;
use axum::extract::State;
use heddle_core::delivery::Status;
use heddle_core::event::is_event_name;
use heddle_core::id::{ConnectionId, ReplayId, RuleId, WorkspaceId};
use heddle_core::replay::{DEFAULT_RATE, Filter, MAX_RATE, Progress, Rules, Wish};
use heddle_core::time::Timestamp;
use heddle_store::{Replay, ReplayError};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::App;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::extract::{Form, Ids, Members, Parameters, boolean, id, text, text_where};
use crate::{events, views, workspaces};

const NO_REPLAY: ApiError = ApiError::NotFound("replay");

/// A bulk replay as the API shows it.
#[derive(Debug, Serialize)]
struct Shown {
    id: ReplayId,
    workspace: WorkspaceId,
    rules: Rules,
    filter: ShownFilter,
    /// Rows a second.
    rate: u32,
    status: Progress,
    /// What it was to take when it was made: deliveries, or events with the rules of now; of a long
    /// history, what was found at its beginning.
    total: u32,
    processed: u32,
    replayed: u32,
    created: u32,
    skipped: u32,
    created_by: String,
    created_at: String,
    updated_at: String,
    completed_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct ShownFilter {
    rule: Option<RuleId>,
    connection: Option<ConnectionId>,
    event: Option<String>,
    status: Vec<Status>,
    from: Option<String>,
    to: Option<String>,
}

#[derive(Debug, Serialize)]
struct Created {
    replay: Shown,
}

/// How much there is to replay.
#[derive(Debug, Serialize)]
pub struct Preview {
    count: u32,
    /// Whether that is all: counting looks at a bounded number of rows.
    exact: bool,
}

impl From<Replay> for Shown {
    fn from(replay: Replay) -> Self {
        let time = |at: Timestamp| at.to_string();
        Self {
            id: replay.id,
            workspace: replay.workspace,
            rules: replay.rules,
            filter: ShownFilter {
                rule: replay.filter.rule,
                connection: replay.filter.connection,
                event: replay.filter.event,
                status: replay.filter.statuses,
                from: replay.filter.from.map(time),
                to: replay.filter.to.map(time),
            },
            rate: replay.rate,
            status: replay.progress,
            total: replay.total,
            processed: replay.processed,
            replayed: replay.replayed,
            created: replay.created,
            skipped: replay.skipped,
            created_by: replay.created_by,
            created_at: time(replay.created_at),
            updated_at: time(replay.updated_at),
            completed_at: replay.completed_at.map(time),
        }
    }
}

/// `POST /replays`: the job is on the disk before it is answered, and runs unless it is made paused.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    Members(members): Members,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let wish = read(&members)?;
    workspaces::own(&app, &caller, wish.workspace).await?;
    let now = app.clock.now();
    let counted = app
        .store
        .count_replay(wish.workspace, wish.rules, wish.filter.clone(), now)
        .await?;
    let replay = Replay {
        id: ReplayId::new(now, app.random()),
        organisation: caller.organisation(),
        workspace: wish.workspace,
        rules: wish.rules,
        filter: wish.filter,
        rate: wish.rate,
        progress: if wish.paused {
            Progress::Paused
        } else {
            Progress::Running
        },
        total: counted.rows,
        behind: None,
        processed: 0,
        replayed: 0,
        created: 0,
        skipped: 0,
        created_by: caller.name,
        created_at: now,
        updated_at: now,
        completed_at: None,
    };
    app.store.create_replay(replay.clone()).await?;
    let created = Created {
        replay: replay.into(),
    };
    Ok((StatusCode::CREATED, Json(views::shown(&created)?)))
}

/// `POST /replays/preview`: how much a replay of the same body would look at.
pub async fn preview(
    State(app): State<App>,
    caller: Caller,
    Members(members): Members,
) -> Result<Json<Preview>, ApiError> {
    let wish = read(&members)?;
    workspaces::own(&app, &caller, wish.workspace).await?;
    let counted = app
        .store
        .count_replay(wish.workspace, wish.rules, wish.filter, app.clock.now())
        .await?;
    Ok(Json(Preview {
        count: counted.rows,
        exact: counted.exact,
    }))
}

/// `GET /replays`, of one workspace with `?workspace=`.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Value>, ApiError> {
    let workspace = match parameters.get("workspace").map(str::parse) {
        None => None,
        Some(Ok(id)) => Some(workspaces::own(&app, &caller, id).await?.id),
        Some(Err(_)) => return Err(ApiError::invalid("workspace", "must be a UUID")),
    };
    let page = events::page(&parameters)?;
    let limit = page.limit;
    let found = app.store.list_replays(caller.reach(), workspace, page).await?;
    let records = found
        .records
        .into_iter()
        .map(|replay| views::shown(&Shown::from(replay)))
        .collect::<Result<_, _>>()?;
    Ok(Json(views::list(records, Some(limit), found.next_cursor)))
}

/// `GET /replays/{replay}`
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<ReplayId>,
) -> Result<Json<Value>, ApiError> {
    let replay = app.store.replay(caller.reach(), id).await?;
    Ok(Json(views::shown(&Shown::from(replay.ok_or(NO_REPLAY)?))?))
}

/// `POST /replays/{replay}/pause`
pub async fn pause(app: State<App>, caller: Caller, id: Ids<ReplayId>) -> Result<Json<Value>, ApiError> {
    change(app, caller, id, Wish::Pause).await
}

/// `POST /replays/{replay}/resume`
pub async fn resume(app: State<App>, caller: Caller, id: Ids<ReplayId>) -> Result<Json<Value>, ApiError> {
    change(app, caller, id, Wish::Resume).await
}

/// `POST /replays/{replay}/cancel`: what was replayed stays so.
pub async fn cancel(app: State<App>, caller: Caller, id: Ids<ReplayId>) -> Result<Json<Value>, ApiError> {
    change(app, caller, id, Wish::Cancel).await
}

async fn change(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<ReplayId>,
    wish: Wish,
) -> Result<Json<Value>, ApiError> {
    let changed = app
        .store
        .change_replay(caller.reach(), id, wish, app.clock.now())
        .await?;
    Ok(Json(views::shown(&Shown::from(changed))?))
}

struct Asked {
    workspace: WorkspaceId,
    rules: Rules,
    filter: Filter,
    rate: u32,
    paused: bool,
}

fn read(members: &Map<String, Value>) -> Result<Asked, ApiError> {
    let mut form = Form::new(members);
    let workspace = form.need("workspace", id::<WorkspaceId>);
    let rules = form.take("rules", |value| {
        Rules::parse(text(value)?).ok_or_else(|| "must be original or current".into())
    });
    let filter = Filter {
        rule: form.take("rule", id),
        connection: form.take("connection", id),
        event: form.take("event", text_where(is_event_name, "must be the name of an event")),
        statuses: form
            .take("status", statuses)
            .unwrap_or_else(|| vec![Status::Failed]),
        from: form.take("from", instant),
        to: form.take("to", instant),
    };
    let rate = form.take("rate", rate);
    let paused = form.take("paused", boolean);
    form.check()?;
    Ok(Asked {
        workspace: workspace.ok_or_else(|| form.refuse())?,
        rules: rules.unwrap_or(Rules::Original),
        filter,
        rate: rate.unwrap_or(DEFAULT_RATE),
        paused: paused.unwrap_or(false),
    })
}

/// One status, or a list of them.
fn statuses(value: &Value) -> Result<Vec<Status>, String> {
    const RULE: &str = "must be failed, canceled or completed, or a list of these";
    let words = match value {
        Value::Array(words) => words.as_slice(),
        word => std::slice::from_ref(word),
    };
    let mut found = Vec::new();
    for word in words.iter().take(Status::ALL.len() + 1) {
        let status = word
            .as_str()
            .and_then(Status::parse)
            .filter(|status| status.is_final());
        let status = status.ok_or(RULE)?;
        if !found.contains(&status) {
            found.push(status);
        }
    }
    if found.is_empty() {
        Err(RULE.into())
    } else {
        Ok(found)
    }
}

/// RFC 3339 text, or milliseconds since the epoch.
fn instant(value: &Value) -> Result<Timestamp, String> {
    let read = match value {
        Value::String(text) => Timestamp::parse(text),
        Value::Number(number) => number.as_i64().map(Timestamp),
        _ => None,
    };
    read.filter(|at| at.0 >= 0)
        .ok_or_else(|| "must be a time such as 2026-03-21T14:18:00Z, or milliseconds since 1970".into())
}

fn rate(value: &Value) -> Result<u32, String> {
    value
        .as_u64()
        .and_then(|rate| u32::try_from(rate).ok())
        .filter(|rate| (1..=MAX_RATE).contains(rate))
        .ok_or_else(|| format!("must be a whole number from 1 to {MAX_RATE}, in deliveries a second"))
}

impl From<ReplayError> for ApiError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::NotFound => NO_REPLAY,
            ReplayError::AlreadyFinal => Self::Conflict {
                code: "already_final",
                message: "The replay has ended; make another one.".into(),
            },
            ReplayError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem(body: Value) -> String {
        match read(body.as_object().unwrap()) {
            Err(ApiError::Invalid(problems)) => problems[0].param.clone(),
            Err(_) => "another error".into(),
            Ok(_) => "none".into(),
        }
    }

    #[test]
    fn what_is_not_said_is_the_careful_choice() {
        let body = json!({"workspace": "019d0000-0000-7000-8000-000000000000"});
        let asked = read(body.as_object().unwrap()).unwrap();
        assert_eq!(
            (asked.rules, asked.rate, asked.paused),
            (Rules::Original, 100, false)
        );
        assert_eq!(asked.filter.statuses, [Status::Failed]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with = |key: &str, value: Value| {
            let mut body = json!({"workspace": "019d0000-0000-7000-8000-000000000000"});
            body[key] = value;
            body
        };
        assert_eq!(problem(json!({})), "workspace");
        for (key, value) in [
            ("status", json!("pending")),
            ("status", json!([])),
            ("status", json!(["failed", 7])),
            ("rules", json!("newest")),
            ("from", json!("yesterday")),
            ("to", json!(-1)),
            ("rate", json!(0)),
            ("rate", json!(10_001)),
            ("rate", json!(1.5)),
            ("event", json!("a.*")),
            ("paused", json!("no")),
        ] {
            assert_eq!(problem(with(key, value.clone())), key, "{value}");
        }
        assert_eq!(problem(with("status", json!(["failed", "canceled"]))), "none");
        assert_eq!(problem(with("from", json!("2026-03-21T14:18:00+01:00"))), "none");
    }
}
