//! Bulk replays: jobs that pass over many deliveries (or, with the rules of now, events) in the order of
//! their ids. Where a job stands is written in the transaction of what it did there: after a crash it
//! goes on behind the last row that is done.

use heddle_core::delivery::Status;
use heddle_core::event::Event;
use heddle_core::id::{DeliveryId, EventId, OrganisationId, ReplayId, RuleId, WorkspaceId};
use heddle_core::replay::{Filter, Progress, Rules, Wish};
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params, params_from_iter};

use crate::deliveries::Inserted;
use crate::error::{ReplayError, StoreError};
use crate::memo::Memo;
use crate::reach::Reach;
use crate::records::{Acceptance, NewDelivery, Page, PageOf, Replay, ReplayRows, ReplayWork, Usage};
use crate::stop::{self, Work};
use crate::writer::Effects;
use crate::{Store, columns, deliveries, events, page, rules};

/// A preview counts up to here, so that asking costs little however much there is.
pub const MAX_COUNTED: u32 = 1_000_000;

impl Store {
    /// How many rows a replay of this filter would look at, up to [`MAX_COUNTED`].
    pub async fn count_replay(
        &self,
        workspace: WorkspaceId,
        rules: Rules,
        filter: Filter,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        // It may take long: whoever asks often keeps one reader from the others, and not all of them.
        let _turn = self.inner.shared.counting.lock().await;
        self.read(move |connection| count(connection, workspace, rules, &filter, now))
            .await
    }

    /// Makes a job; it starts at once if its progress says so.
    pub async fn create_replay(&self, replay: Replay) -> Result<(), StoreError> {
        self.write(1024, move |connection, effects| {
            insert(connection, &replay)?;
            effects.replays();
            Ok(())
        })
        .await
    }

    /// One job.
    pub async fn replay(&self, reach: impl Into<Reach>, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        let reach = reach.into();
        self.read(move |connection| find_in(connection, &reach, id)).await
    }

    /// The jobs of an organisation or of one of its workspaces, the newest first.
    pub async fn list_replays(
        &self,
        reach: impl Into<Reach>,
        workspace: Option<WorkspaceId>,
        page: Page,
    ) -> Result<PageOf<Replay>, StoreError> {
        let reach = reach.into();
        self.read(move |connection| list(connection, &reach, workspace, &page))
            .await
    }

    /// Pauses, resumes or cancels a job.
    pub async fn change_replay(
        &self,
        reach: impl Into<Reach>,
        id: ReplayId,
        wish: Wish,
        now: Timestamp,
    ) -> Result<Replay, ReplayError> {
        let reach = reach.into();
        self.write(256, move |connection, effects| {
            effects.replays();
            change(connection, &reach, id, wish, now)
        })
        .await?
    }

    /// The jobs that are to go on, of all organisations.
    pub async fn running_replays(&self) -> Result<Vec<Replay>, StoreError> {
        self.read(|connection| {
            select(
                connection,
                "INDEXED BY replays_running WHERE progress = 'running'",
                [],
            )
        })
        .await
    }

    /// The next rows of a job, at most `most`; none when it is through.
    pub async fn replay_rows(&self, replay: &Replay, most: u32) -> Result<ReplayRows, StoreError> {
        let replay = replay.clone();
        self.read(move |connection| rows(connection, &replay, most)).await
    }

    /// Does the work on rows that [`Self::replay_rows`] gave for `replay`, and moves the job behind
    /// them; without rows it is completed. Nothing happens (`None`) when the job is not running any more
    /// or no longer stands where it stood.
    pub async fn advance_replay(
        &self,
        replay: &Replay,
        work: ReplayWork,
        now: Timestamp,
    ) -> Result<Option<Replay>, StoreError> {
        let (id, behind) = (replay.id, replay.behind);
        self.write(64 * 1024, move |connection, effects| {
            stop::commits(Work::Replay);
            advance(connection, effects, id, behind, &work, now)
        })
        .await
    }

    /// Returns when a job was made or changed since the last return.
    pub async fn replays_changed(&self) {
        self.inner.shared.replays.notified().await;
    }
}

const COLUMNS: &str = "id, organisation, workspace, rules, filter, rate, progress, total, behind,
     processed, replayed, created, skipped, created_by, created_at, updated_at, completed_at";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Replay> {
    Ok(Replay {
        id: ReplayId::from_bytes(row.get(0)?),
        organisation: OrganisationId::from_bytes(row.get(1)?),
        workspace: WorkspaceId::from_bytes(row.get(2)?),
        rules: columns::word(row, 3, Rules::parse)?,
        filter: columns::json(row, 4)?,
        rate: row.get(5)?,
        progress: columns::word(row, 6, Progress::parse)?,
        total: row.get(7)?,
        behind: row.get(8)?,
        processed: row.get(9)?,
        replayed: row.get(10)?,
        created: row.get(11)?,
        skipped: row.get(12)?,
        created_by: row.get(13)?,
        created_at: columns::time(row, 14)?,
        updated_at: columns::time(row, 15)?,
        completed_at: columns::time_if_any(row, 16)?,
    })
}

fn select(
    connection: &Connection,
    clauses: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<Replay>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM replays {clauses}"))?;
    let found = statement.query_map(values, from_row)?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn insert(connection: &Connection, replay: &Replay) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO replays (id, organisation, workspace, rules, filter, rate, progress, total, behind,
                   processed, replayed, created, skipped, created_by, created_at, updated_at, completed_at)
               SELECT ?1, organisation, id, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17
               FROM live_workspaces WHERE id = ?3 AND organisation = ?2";
    let inserted = connection.prepare_cached(sql)?.execute(params![
        replay.id.as_bytes(),
        replay.organisation.as_bytes(),
        replay.workspace.as_bytes(),
        replay.rules.as_str(),
        columns::to_json(&replay.filter)?,
        replay.rate,
        replay.progress.as_str(),
        replay.total,
        replay.behind,
        replay.processed,
        replay.replayed,
        replay.created,
        replay.skipped,
        replay.created_by,
        replay.created_at.0,
        replay.updated_at.0,
        replay.completed_at.map(|at| at.0)
    ])?;
    match inserted {
        0 => Err(StoreError::NotFound("workspace")),
        _ => Ok(()),
    }
}

fn update(connection: &Connection, replay: &Replay) -> Result<(), StoreError> {
    let sql = "UPDATE replays SET progress = ?2, behind = ?3, processed = ?4, replayed = ?5, created = ?6,
                   skipped = ?7, updated_at = ?8, completed_at = ?9 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![
        replay.id.as_bytes(),
        replay.progress.as_str(),
        replay.behind,
        replay.processed,
        replay.replayed,
        replay.created,
        replay.skipped,
        replay.updated_at.0,
        replay.completed_at.map(|at| at.0)
    ])?;
    Ok(())
}

fn find(connection: &Connection, id: ReplayId) -> Result<Option<Replay>, StoreError> {
    Ok(select(connection, "WHERE id = ?1", [id.as_bytes()])?.pop())
}

fn find_in(connection: &Connection, reach: &Reach, id: ReplayId) -> Result<Option<Replay>, StoreError> {
    Ok(find(connection, id)?.filter(|replay| is_within(reach, replay)))
}

/// By id, the newest first, in a list of its own.
#[derive(Clone, Copy)]
struct Key([u8; 16]);

impl page::Key for Key {
    const TAG: u8 = 16;

    fn to_bytes(self) -> Vec<u8> {
        self.0.to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

fn list(
    connection: &Connection,
    reach: &Reach,
    workspace: Option<WorkspaceId>,
    page: &Page,
) -> Result<PageOf<Replay>, StoreError> {
    let behind = page::parse::<Key>(page.cursor.as_deref())?.map_or([0xff; 16], |Key(id)| id);
    let limit = page::one_more(page.limit);
    let mut records = if let (None, None) = (workspace, &reach.workspaces) {
        let clauses = "INDEXED BY replays_of_organisation WHERE organisation = ?1 AND id < ?2
                       ORDER BY id DESC LIMIT ?3";
        select(
            connection,
            clauses,
            params![reach.organisation.as_bytes(), behind, limit],
        )?
    } else {
        let clauses = "INDEXED BY replays_of_workspace WHERE workspace = ?1 AND id < ?2
                       ORDER BY id DESC LIMIT ?3";
        let within = reach.workspaces.iter().flat_map(|within| within.iter().copied());
        let mut records = Vec::new();
        for workspace in workspace.map_or_else(|| within.collect(), |only| vec![only]) {
            records.extend(select(
                connection,
                clauses,
                params![workspace.as_bytes(), behind, limit],
            )?);
        }
        records.sort_by_key(|replay| std::cmp::Reverse(replay.id));
        records
    };
    records.retain(|replay| is_within(reach, replay));
    Ok(page::page(records, page.limit, |replay| {
        Key(*replay.id.as_bytes())
    }))
}

/// A replay touches events of every resource: a reach of one resource finds none.
fn is_within(reach: &Reach, replay: &Replay) -> bool {
    replay.organisation == reach.organisation && reach.resource.is_none() && reach.covers(replay.workspace)
}

/// The outer result undoes the command; the inner one is the answer to a wish that changed nothing.
fn change(
    connection: &Connection,
    reach: &Reach,
    id: ReplayId,
    wish: Wish,
    now: Timestamp,
) -> Result<Result<Replay, ReplayError>, StoreError> {
    let Some(before) = find_in(connection, reach, id)? else {
        return Ok(Err(ReplayError::NotFound));
    };
    let Some(progress) = before.progress.after(wish) else {
        return Ok(Err(ReplayError::AlreadyFinal));
    };
    let after = Replay {
        progress,
        updated_at: now,
        completed_at: progress.is_final().then(|| before.completed_at.unwrap_or(now)),
        ..before
    };
    update(connection, &after)?;
    Ok(Ok(after))
}

/// The ids that a replay looks at, as a query and its values: those behind `behind`, in order. `now` is
/// when the job was made. Ids begin with the time of their making, so that a range of time is one of ids.
fn ids<'a>(
    workspace: &'a WorkspaceId,
    rules: Rules,
    filter: &'a Filter,
    made_at: &'a i64,
    bounds: &'a ([u8; 16], [u8; 16]),
    limit: &'a i64,
) -> (String, Vec<&'a dyn ToSql>) {
    let (table, index, ended) = match rules {
        Rules::Original => {
            let badly = filter
                .statuses
                .iter()
                .all(|status| matches!(status, Status::Failed | Status::Canceled));
            // The literals let the partial index serve it.
            let (index, literal) = if badly {
                (" INDEXED BY ended_badly", " AND status IN ('failed', 'canceled')")
            } else {
                (" NOT INDEXED", "")
            };
            ("deliveries", index, literal)
        }
        Rules::Current => ("events", " INDEXED BY events_of_workspace", ""),
    };
    let mut sql =
        format!("SELECT id FROM {table} AS t{index} WHERE workspace = ? AND id > ? AND id < ?{ended}");
    let mut values: Vec<&dyn ToSql> = vec![workspace.as_bytes(), &bounds.0, &bounds.1];
    let mut narrow = |condition: &str, value: &'a dyn ToSql| {
        sql.push_str(condition);
        values.push(value);
    };
    match rules {
        Rules::Original => {
            narrow(" AND completed_at <= ?", made_at);
            if let Some(rule) = &filter.rule {
                narrow(" AND rule = ?", rule.as_bytes());
            }
            if let Some(destination) = &filter.connection {
                narrow(" AND connection = ?", destination.as_bytes());
            }
            if let Some(event) = &filter.event {
                narrow(
                    " AND EXISTS (SELECT 1 FROM events WHERE events.id = t.event AND events.event = ?)",
                    event,
                );
            }
            let words: Vec<String> = filter
                .statuses
                .iter()
                .map(|status| format!("'{}'", status.as_str()))
                .collect();
            sql.push_str(&format!(" AND status IN ({})", words.join(", ")));
        }
        Rules::Current => {
            narrow(" AND created_at <= ?", made_at);
            if let Some(event) = &filter.event {
                narrow(" AND event = ?", event);
            }
        }
    }
    sql.push_str(" ORDER BY id LIMIT ?");
    values.push(limit);
    (sql, values)
}

/// The ids between which the filter's rows lie, both outside.
fn bounds(filter: &Filter, behind: Option<[u8; 16]>) -> ([u8; 16], [u8; 16]) {
    let low = filter.from.map_or([0; 16], first_id);
    let high = filter.to.map_or([0xff; 16], first_id);
    (behind.map_or(low, |behind| behind.max(low)), high)
}

/// An id below all that are made at this time, and above all that were made before.
pub(crate) fn first_id(at: Timestamp) -> [u8; 16] {
    let mut id = [0; 16];
    let milliseconds = u64::try_from(at.0).unwrap_or(0).to_be_bytes();
    id[..6].copy_from_slice(&milliseconds[2..]);
    id
}

fn count(
    connection: &Connection,
    workspace: WorkspaceId,
    rules: Rules,
    filter: &Filter,
    now: Timestamp,
) -> Result<u32, StoreError> {
    let (bounds, limit) = (bounds(filter, None), i64::from(MAX_COUNTED));
    let (sql, values) = ids(&workspace, rules, filter, &now.0, &bounds, &limit);
    let sql = format!("SELECT count(*) FROM ({sql})");
    Ok(connection
        .prepare_cached(&sql)?
        .query_row(params_from_iter(values), |row| row.get(0))?)
}

fn rows(connection: &Connection, replay: &Replay, most: u32) -> Result<ReplayRows, StoreError> {
    // One state of the database: an event that is listed is there when it is read.
    let _snapshot = connection.unchecked_transaction()?;
    let (bounds, limit) = (bounds(&replay.filter, replay.behind), i64::from(most));
    let made_at = replay.created_at.0;
    let (sql, values) = ids(
        &replay.workspace,
        replay.rules,
        &replay.filter,
        &made_at,
        &bounds,
        &limit,
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let found: Vec<[u8; 16]> = statement
        .query_map(params_from_iter(values), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(match replay.rules {
        Rules::Original => ReplayRows::Deliveries(found.into_iter().map(DeliveryId::from_bytes).collect()),
        Rules::Current => ReplayRows::Events(
            found
                .into_iter()
                .map(|id| events::with_what_is_left(connection, EventId::from_bytes(id)))
                .collect::<Result<_, _>>()?,
        ),
    })
}

fn advance(
    connection: &Connection,
    effects: &mut Effects,
    id: ReplayId,
    behind: Option<[u8; 16]>,
    work: &ReplayWork,
    now: Timestamp,
) -> Result<Option<Replay>, StoreError> {
    let Some(mut replay) = find(connection, id)? else {
        return Ok(None);
    };
    if replay.progress != Progress::Running || replay.behind != behind {
        return Ok(None);
    }
    let last = match work {
        ReplayWork::Deliveries(ids) => {
            replay.processed += count_of(ids);
            for id in ids {
                match again(connection, effects, &replay, *id, now)? {
                    true => replay.replayed += 1,
                    false => replay.skipped += 1,
                }
            }
            ids.last().map(|id| *id.as_bytes())
        }
        ReplayWork::Events(acceptances) => {
            replay.processed += count_of(acceptances);
            for acceptance in acceptances {
                match_anew(connection, effects, &mut replay, acceptance, now)?;
            }
            acceptances.last().map(|last| *last.event.id.as_bytes())
        }
    };
    match last {
        Some(last) => replay.behind = Some(last),
        None => {
            replay.progress = Progress::Completed;
            replay.completed_at = Some(now);
        }
    }
    replay.updated_at = now;
    update(connection, &replay)?;
    Ok(Some(replay))
}

fn count_of<T>(rows: &[T]) -> u32 {
    u32::try_from(rows.len()).unwrap_or(u32::MAX)
}

/// Tries a delivery anew if it still is what the job asks for. Returns whether it did.
fn again(
    connection: &Connection,
    effects: &mut Effects,
    replay: &Replay,
    id: DeliveryId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(before) = deliveries::find(connection, id)? else {
        return Ok(false);
    };
    let meant = before.workspace == replay.workspace
        && replay.filter.statuses.contains(&before.state.status)
        && before.completed_at.is_some_and(|at| at <= replay.created_at)
        && events::has_payload(connection, before.event)?
        && rules::destination(connection, before.rule)?.is_some();
    let (true, Ok(state)) = (meant, before.state.replay(now)) else {
        return Ok(false);
    };
    let after = deliveries::put(connection, effects, before, state, None, now)?;
    effects.due(after.connection, now);
    Ok(true)
}

/// Makes the deliveries of an event that the rules of now call for, or tries them anew.
fn match_anew(
    connection: &Connection,
    effects: &mut Effects,
    replay: &mut Replay,
    acceptance: &Acceptance,
    now: Timestamp,
) -> Result<(), StoreError> {
    let event = &acceptance.event;
    if !events::has_payload(connection, event.id)? {
        // There is nothing to deliver, and perhaps not even the event any more.
        replay.skipped += 1;
        return Ok(());
    }
    let mut touched = false;
    for wanted in &acceptance.deliveries {
        if let Some(known) = known(connection, event.id, wanted.rule)? {
            if again(connection, effects, replay, known, now)? {
                replay.replayed += 1;
                touched = true;
            }
        } else if let Some(Inserted { lane, due_at }) =
            make(connection, &mut effects.memo, event, wanted, now)?
        {
            effects.moves.made(event.id, wanted.state.status, now);
            let made = Usage {
                deliveries: 1,
                ..Usage::default()
            };
            effects.counted.add(event.workspace, now, made);
            if let Some(due_at) = due_at {
                effects.due(lane, due_at);
            }
            replay.created += 1;
            touched = true;
        }
    }
    if !touched {
        replay.skipped += 1;
    }
    Ok(())
}

fn known(connection: &Connection, event: EventId, rule: RuleId) -> Result<Option<DeliveryId>, StoreError> {
    let sql = "SELECT id FROM deliveries WHERE event = ?1 AND rule = ?2";
    let found = connection
        .prepare_cached(sql)?
        .query_row([event.as_bytes(), rule.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(found.map(DeliveryId::from_bytes))
}

/// A delivery of an event that was accepted earlier is as old as its making, as its id is.
fn make(
    connection: &Connection,
    memo: &mut Memo,
    event: &Event,
    delivery: &NewDelivery,
    now: Timestamp,
) -> Result<Option<Inserted>, StoreError> {
    let event = Event {
        created_at: now,
        ..event.clone()
    };
    deliveries::insert(connection, memo, &event, delivery)
}
