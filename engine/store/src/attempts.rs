//! Attempts: recorded together with what they do to their delivery, their event and their
//! connection.

use std::sync::Arc;
use std::time::Duration;

use heddle_core::delivery::{State, Status};
use heddle_core::exchange::Header;
use heddle_core::id::{AttemptId, DeliveryId, WorkspaceId};
use heddle_core::outcome::{ConnectionVerdict, Outcome, OutcomeCode, Verdict};
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::StoreError;
use crate::records::{
    Attempt, AttemptRecord, MAX_MESSAGE_BYTES, MAX_URL_BYTES, Page, PageOf, RequestSummary, ResponseDetails,
    Settled, Usage,
};
use crate::stop::{self, Work};
use crate::writer::Effects;
use crate::{Store, columns, connections, deliveries, page};

impl Store {
    /// Ends the attempt under way: writes it into the history and moves its delivery on. An attempt
    /// whose lease had lapsed is stale and changes nothing, so that this may be repeated.
    pub async fn record_attempt(&self, record: impl Into<Arc<AttemptRecord>>) -> Result<Settled, StoreError> {
        let record = record.into();
        let body = record
            .attempt
            .response
            .as_ref()
            .map_or(0, |response| response.body.len());
        self.write_again(1024 + body, move |connection, effects| {
            stop::commits(Work::Record);
            settle(connection, effects, &record)
        })
        .await
    }

    /// The attempts of a delivery that the caller has found in its organization, the newest first.
    pub async fn list_attempts(
        &self,
        delivery: DeliveryId,
        page: Page,
    ) -> Result<PageOf<Attempt>, StoreError> {
        self.read(move |connection| list(connection, delivery, &page))
            .await
    }

    /// One attempt of a delivery.
    pub async fn attempt(&self, delivery: DeliveryId, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
        self.read(move |connection| find(connection, delivery, id)).await
    }

    /// The answer to an attempt that the caller has found in its delivery, if it was kept.
    pub async fn response_details(&self, attempt: AttemptId) -> Result<Option<ResponseDetails>, StoreError> {
        self.read(move |connection| response(connection, attempt)).await
    }
}

const COLUMNS: &str =
    "number, id, started_at, finished_at, outcome_code, message, method, url, status, steps";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let request = match (row.get(6)?, row.get(7)?) {
        (Some(method), Some(url)) => Some(RequestSummary { method, url }),
        _ => None,
    };
    Ok(Attempt {
        number: row.get(0)?,
        id: AttemptId::from_bytes(row.get(1)?),
        started_at: columns::time(row, 2)?,
        finished_at: columns::time(row, 3)?,
        outcome_code: columns::word(row, 4, OutcomeCode::parse)?,
        message: row.get(5)?,
        request,
        status: row.get(8)?,
        steps: row.get(9)?,
        response: None,
    })
}

fn settle(
    connection: &Connection,
    effects: &mut Effects,
    record: &AttemptRecord,
) -> Result<Settled, StoreError> {
    let AttemptRecord {
        attempt,
        outcome,
        now,
        ..
    } = record;
    let Some(before) = deliveries::find(connection, record.delivery)? else {
        return Ok(Settled::Stale);
    };
    if before.state.status != Status::Processing || before.state.attempt_count != attempt.number {
        return Ok(Settled::Stale);
    }
    let (used, forced) = (before.connection, before.state.forced);
    // Of the deliveries under way when a credential is refused, one finds out and fails. The others
    // wait for the connection to be mended, as if they had not been claimed yet.
    let waits = !forced
        && outcome.connection != ConnectionVerdict::Unchanged
        && connections::changed_since(connection, used, attempt.started_at)?;
    let settled = if waits { &waiting(outcome) } else { outcome };
    let state = before
        .state
        .settle(settled, *now, &record.schedule, record.seed)?;
    insert(connection, record.delivery, attempt)?;
    count(effects, before.workspace, attempt, state, *now);
    let error = columns::cut(&attempt.message, MAX_MESSAGE_BYTES);
    let last_error = (outcome.verdict != Verdict::Delivered).then_some(error);
    let after = deliveries::put(connection, effects, before, state, last_error, *now)?;
    connections::learn(connection, effects, used, attempt, outcome, forced)?;
    if let Some(due_at) = state.due_at {
        effects.due(after.connection, due_at);
    }
    Ok(Settled::Recorded { state })
}

/// The outcome of an attempt whose connection is known to be broken, or was changed meanwhile.
fn waiting(outcome: &Outcome) -> Outcome {
    Outcome {
        verdict: Verdict::Throttled {
            retry_after: Some(Duration::ZERO),
        },
        ..outcome.clone()
    }
}

/// Counts an attempt that ended, and left its delivery in this state.
pub(crate) fn count(
    effects: &mut Effects,
    workspace: WorkspaceId,
    attempt: &Attempt,
    state: State,
    now: Timestamp,
) {
    let usage = Usage {
        attempts: 1,
        delivered: u64::from(attempt.outcome_code == OutcomeCode::Delivered),
        failed: u64::from(state.status == Status::Failed),
        ..Usage::default()
    };
    effects.counted.add(workspace, now, usage);
}

/// Writes an attempt into the history.
pub(crate) fn insert(
    connection: &Connection,
    delivery: DeliveryId,
    attempt: &Attempt,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO attempts (delivery, number, id, started_at, finished_at, outcome_code, message,
                   method, url, status, steps)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let request = attempt.request.as_ref();
    connection.prepare_cached(sql)?.execute(params![
        delivery.as_bytes(),
        attempt.number,
        attempt.id.as_bytes(),
        attempt.started_at.0,
        attempt.finished_at.0,
        attempt.outcome_code.as_str(),
        columns::cut(&attempt.message, MAX_MESSAGE_BYTES),
        request.map(|request| request.method.as_str()),
        request.map(|request| columns::cut(&request.url, MAX_URL_BYTES)),
        attempt.status,
        attempt.steps
    ])?;
    let Some(response) = &attempt.response else {
        return Ok(());
    };
    let sql = "INSERT INTO attempt_responses (attempt, status, headers, body, truncated)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(sql)?.execute(params![
        attempt.id.as_bytes(),
        response.status,
        columns::to_json(&response.headers)?,
        response.body,
        response.truncated
    ])?;
    Ok(())
}

fn list(connection: &Connection, delivery: DeliveryId, page: &Page) -> Result<PageOf<Attempt>, StoreError> {
    let behind = page::parse::<u32>(page.cursor.as_deref())?.map_or(i64::MAX, i64::from);
    let sql = format!(
        "SELECT {COLUMNS} FROM attempts WHERE delivery = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let values = params![delivery.as_bytes(), behind, page::one_more(page.limit)];
    let records = statement.query_map(values, from_row)?.collect::<Result<_, _>>()?;
    Ok(page::page(records, page.limit, |attempt: &Attempt| {
        attempt.number
    }))
}

fn find(connection: &Connection, delivery: DeliveryId, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM attempts WHERE delivery = ?1 AND id = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement
        .query_row([delivery.as_bytes(), id.as_bytes()], from_row)
        .optional()?)
}

fn response(connection: &Connection, attempt: AttemptId) -> Result<Option<ResponseDetails>, StoreError> {
    let sql = "SELECT status, headers, body, truncated FROM attempt_responses WHERE attempt = ?1";
    let read = |row: &Row<'_>| {
        Ok(ResponseDetails {
            status: row.get(0)?,
            headers: columns::json::<Vec<Header>>(row, 1)?,
            body: row.get(2)?,
            truncated: row.get(3)?,
        })
    };
    Ok(connection
        .prepare_cached(sql)?
        .query_row([attempt.as_bytes()], read)
        .optional()?)
}
