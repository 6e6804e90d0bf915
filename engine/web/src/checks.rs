//! Whether a connection works, found out by its plugin's `check`: when it is saved, and when somebody
//! asks. The verdict is kept and shown with the connection.

use axum::Json;
use axum::extract::State;
use heddle_core::connection::{Check, CheckStatus, Connection, Health, InactiveReason};
use heddle_core::exchange::Function;
use heddle_core::id::{ConnectionId, OrganisationId};
use serde_json::{Value, json};

use crate::App;
use crate::caller::Caller;
use crate::connections::{NO_CONNECTION, shown};
use crate::error::ApiError;
use crate::extract::Ids;
use crate::live::{self, Trouble, TroubleKind};

/// `POST /connections/{connection}/check`, additive to the contract: asks the destination now. A
/// connection whose credential was refused and works again is active again; one whose credential is
/// refused becomes inactive.
pub async fn run_now(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<ConnectionId>,
) -> Result<Json<Value>, ApiError> {
    let connection = app
        .store
        .connection(caller.reach(), id)
        .await?
        .ok_or(NO_CONNECTION)?;
    let check = match asked(&app, caller.organisation(), &connection).await {
        Ok(check) => check,
        Err(trouble) => match verdict_of(&app, &trouble) {
            Some(check) => check,
            None => return Err(trouble.into()),
        },
    };
    let health = health_after(&connection.health, &check, true);
    let as_of = connection.updated_at;
    app.store
        .record_check(caller.reach(), id, as_of, check, health)
        .await?;
    let connection = app
        .store
        .connection(caller.reach(), id)
        .await?
        .ok_or(NO_CONNECTION)?;
    Ok(Json(shown(&app, &connection, &[])))
}

/// The verdict on a connection that is about to be saved; `None` when its plugin has no check.
pub async fn before_saving(
    app: &App,
    organisation: OrganisationId,
    connection: &Connection,
) -> Option<Check> {
    match asked(app, organisation, connection).await {
        Ok(check) => Some(check),
        // Saving many connections at once must not fail for want of a verdict.
        Err(trouble) if trouble.kind == TroubleKind::TooMany => Some(Check {
            status: CheckStatus::Unreachable,
            message: format!("Not checked: {}.", trouble.message),
            account: None,
            checked_at: app.clock.now(),
        }),
        Err(trouble) => verdict_of(app, &trouble),
    }
}

/// What a verdict means for the connection's health. A refused credential makes it inactive; one that
/// passed mends that again, where somebody asked for it.
pub fn health_after(health: &Health, check: &Check, mends: bool) -> Health {
    match (check.status, health) {
        (CheckStatus::Refused, Health::Active) => Health::Inactive {
            reason: InactiveReason::AuthenticationInvalid,
            detail: check.message.clone(),
        },
        (
            CheckStatus::Passed,
            Health::Inactive {
                reason: InactiveReason::AuthenticationInvalid,
                ..
            },
        ) if mends => Health::Active,
        _ => health.clone(),
    }
}

async fn asked(app: &App, organisation: OrganisationId, connection: &Connection) -> Result<Check, Trouble> {
    let input = json!({"connection": connection.told(), "sent_at": app.clock.now().0}).to_string();
    let answer = live::ask(app, organisation, connection, Function::Check, input).await?;
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    let text = |name: &str| answer[name].as_str().filter(|text| !text.is_empty());
    Ok(Check {
        status: CheckStatus::Passed,
        message: text("message")
            .unwrap_or("The destination accepts the connection.")
            .to_owned(),
        account: text("account").map(|account| account.chars().take(256).collect()),
        checked_at: app.clock.now(),
    })
}

fn verdict_of(app: &App, trouble: &Trouble) -> Option<Check> {
    let status = match trouble.kind {
        TroubleKind::NotOffered | TroubleKind::TooMany => return None,
        TroubleKind::CredentialRefused => CheckStatus::Refused,
        TroubleKind::Refused => CheckStatus::Failed,
        TroubleKind::Unavailable => CheckStatus::Unreachable,
    };
    Some(Check {
        status,
        message: trouble.message.clone(),
        account: None,
        checked_at: app.clock.now(),
    })
}
