//! What was done, in numbers: of an organization and of a workspace, by day.

use axum::Json;
use axum::extract::State;
use heddle_core::calendar::Day;
use heddle_core::id::{OrganisationId, WorkspaceId};
use heddle_store::{Usage, UsageFilter, UsageReport};
use serde::Serialize;

use crate::App;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::extract::{Ids, Parameters};
use crate::workspaces;

/// The most days that are reported at once.
const MAX_DAYS: i64 = 366;

/// The counters.
#[derive(Debug, Serialize)]
pub struct UsageView {
    events: u64,
    bytes: u64,
    deliveries: u64,
    attempts: u64,
    delivered: u64,
    failed: u64,
}

impl From<Usage> for UsageView {
    fn from(usage: Usage) -> Self {
        let Usage {
            events,
            bytes,
            deliveries,
            attempts,
            delivered,
            failed,
        } = usage;
        Self {
            events,
            bytes,
            deliveries,
            attempts,
            delivered,
            failed,
        }
    }
}

/// The counters of one day.
#[derive(Debug, Serialize)]
pub struct DayView {
    day: String,
    #[serde(flatten)]
    usage: UsageView,
}

/// The counters of one workspace.
#[derive(Debug, Serialize)]
pub struct WorkspaceView {
    workspace: WorkspaceId,
    #[serde(flatten)]
    usage: UsageView,
}

/// The answer for an organization.
#[derive(Debug, Serialize)]
pub struct UsageAnswer {
    from: String,
    to: String,
    total: UsageView,
    /// Those on which something was done, the earliest first.
    days: Vec<DayView>,
    /// Those in which something was done.
    workspaces: Vec<WorkspaceView>,
    /// Of what was asked for; `null` for somebody who does not reach all of it.
    month: Option<MonthView>,
}

/// The answer for a workspace.
#[derive(Debug, Serialize)]
pub struct WorkspaceUsageAnswer {
    workspace: WorkspaceId,
    from: String,
    to: String,
    total: UsageView,
    days: Vec<DayView>,
    month: MonthView,
}

/// How much of the month's quota is used.
#[derive(Debug, Serialize)]
pub struct MonthView {
    from: String,
    events: u64,
    /// `null`: without limit.
    limit: Option<u64>,
    resets_at: String,
}

/// `GET /usage`: of the caller's organization, or of one workspace of it.
pub async fn of_organisation(
    State(app): State<App>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<UsageAnswer>, ApiError> {
    let workspace = match parameters.get("workspace").map(str::parse::<WorkspaceId>) {
        None => None,
        Some(Ok(id)) => Some(id),
        Some(Err(_)) => return Err(ApiError::invalid("workspace", "must be a UUID")),
    };
    let filter = filter(&app, &parameters, workspace)?;
    if let Some(id) = workspace {
        workspaces::own(&app, &caller, id).await?;
    }
    let report = app.store.usage(caller.reach(), filter).await?;
    let reach = caller.reach();
    let month = match workspace {
        Some(workspace) => Some(month_of_workspace(&app, workspace).await?),
        // What an organization does in all is not for those who see some of its workspaces.
        None if reach.workspaces.is_some() => None,
        None => Some(month_of_organisation(&app, reach.organisation).await?),
    };
    let workspaces = report.workspaces.iter().map(|(workspace, usage)| WorkspaceView {
        workspace: *workspace,
        usage: (*usage).into(),
    });
    Ok(Json(UsageAnswer {
        from: filter.from.to_string(),
        to: filter.to.to_string(),
        total: report.total.into(),
        workspaces: workspaces.collect(),
        days: days(&report),
        month,
    }))
}

/// `GET /workspaces/{workspace}/usage`
pub async fn of_workspace(
    State(app): State<App>,
    caller: Caller,
    Ids(workspace): Ids<WorkspaceId>,
    parameters: Parameters,
) -> Result<Json<WorkspaceUsageAnswer>, ApiError> {
    let filter = filter(&app, &parameters, Some(workspace))?;
    workspaces::own(&app, &caller, workspace).await?;
    let report = app.store.usage(caller.reach(), filter).await?;
    let month = month_of_workspace(&app, workspace).await?;
    Ok(Json(WorkspaceUsageAnswer {
        workspace,
        from: filter.from.to_string(),
        to: filter.to.to_string(),
        total: report.total.into(),
        days: days(&report),
        month,
    }))
}

async fn month_of_workspace(app: &App, workspace: WorkspaceId) -> Result<MonthView, ApiError> {
    let today = Day::of(app.clock.now());
    let events = app.store.events_of_month(workspace, today).await?;
    let limit = app.store.limits_of(workspace).await?.events_per_month;
    Ok(month(today, events, limit))
}

async fn month_of_organisation(app: &App, organisation: OrganisationId) -> Result<MonthView, ApiError> {
    let today = Day::of(app.clock.now());
    let events = app.store.events_of_all(organisation, today).await?;
    let limit = app.store.default_limits().organisation_events_per_month;
    Ok(month(today, events, limit))
}

fn month(today: Day, events: u64, limit: Option<u64>) -> MonthView {
    MonthView {
        from: today.month().to_string(),
        events,
        limit,
        resets_at: today.next_month().start().to_string(),
    }
}

fn days(report: &UsageReport) -> Vec<DayView> {
    let days = report.days.iter().map(|(day, usage)| DayView {
        day: day.to_string(),
        usage: (*usage).into(),
    });
    days.collect()
}

/// From and to which day; this month so far if that is not said.
fn filter(
    app: &App,
    parameters: &Parameters,
    workspace: Option<WorkspaceId>,
) -> Result<UsageFilter, ApiError> {
    let day = |name: &str| match parameters.get(name).map(str::parse::<Day>) {
        None => Ok(None),
        Some(Ok(day)) => Ok(Some(day)),
        Some(Err(error)) => Err(ApiError::invalid(name, error.to_string())),
    };
    let to = day("to")?.unwrap_or_else(|| Day::of(app.clock.now()));
    let from = day("from")?.unwrap_or_else(|| to.month());
    if from > to {
        return Err(ApiError::invalid("from", "must not come after to"));
    }
    if to.0 - from.0 >= MAX_DAYS {
        return Err(ApiError::invalid(
            "from",
            format!("must lie within {MAX_DAYS} days of to"),
        ));
    }
    Ok(UsageFilter { from, to, workspace })
}
