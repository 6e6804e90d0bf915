//! Bulk replays: jobs that pass over many deliveries (or, with the rules of now, events), a few at a time;
//! which ones, and in which order, is in `replay_rows.rs`. Where a job stands is written in the transaction of
//! what it did there: after a crash it goes on behind the last row that is done.

use heddle_core::event::Event;
use heddle_core::id::{DeliveryId, EventId, OrganisationId, ReplayId, RuleId, WorkspaceId};
use heddle_core::replay::{Progress, Rules, Wish};
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::deliveries::Inserted;
use crate::error::{ReplayError, StoreError};
use crate::memo::Memo;
use crate::reach::Reach;
use crate::records::{Acceptance, Behind, NewDelivery, Page, PageOf, Replay, ReplayStep, ReplayWork, Usage};
use crate::stop::{self, Work};
use crate::writer::Effects;
use crate::{Store, columns, deliveries, events, page, rules};

impl Store {
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

    /// The jobs of an organization or of one of its workspaces, the newest first.
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

    /// The jobs that are to go on, of all organizations.
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

    /// Does the work on rows that [`Self::replay_rows`] gave for `replay`, and moves the job behind
    /// what was looked at; when there is nothing behind that, it is completed. Nothing happens (`None`)
    /// when the job is not running any more or no longer stands where it stood.
    pub async fn advance_replay(
        &self,
        replay: &Replay,
        work: ReplayStep<ReplayWork>,
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
     processed, replayed, created, skipped, created_by, created_at, updated_at, completed_at, behind_rule";

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
        behind: match row.get(8)? {
            None => None,
            Some(passed) => Some(Behind {
                row: passed,
                rule: row.get(17)?,
            }),
        },
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
                   processed, replayed, created, skipped, created_by, created_at, updated_at, completed_at,
                   behind_rule)
               SELECT ?1, organisation, id, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18
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
        replay.behind.map(|behind| behind.row),
        replay.processed,
        replay.replayed,
        replay.created,
        replay.skipped,
        replay.created_by,
        replay.created_at.0,
        replay.updated_at.0,
        replay.completed_at.map(|at| at.0),
        replay.behind.and_then(|behind| behind.rule)
    ])?;
    match inserted {
        0 => Err(StoreError::NotFound("workspace")),
        _ => Ok(()),
    }
}

fn update(connection: &Connection, replay: &Replay) -> Result<(), StoreError> {
    let sql = "UPDATE replays SET progress = ?2, behind = ?3, processed = ?4, replayed = ?5, created = ?6,
                   skipped = ?7, updated_at = ?8, completed_at = ?9, behind_rule = ?10 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![
        replay.id.as_bytes(),
        replay.progress.as_str(),
        replay.behind.map(|behind| behind.row),
        replay.processed,
        replay.replayed,
        replay.created,
        replay.skipped,
        replay.updated_at.0,
        replay.completed_at.map(|at| at.0),
        replay.behind.and_then(|behind| behind.rule)
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

fn advance(
    connection: &Connection,
    effects: &mut Effects,
    id: ReplayId,
    behind: Option<Behind>,
    work: &ReplayStep<ReplayWork>,
    now: Timestamp,
) -> Result<Option<Replay>, StoreError> {
    let Some(mut replay) = find(connection, id)? else {
        return Ok(None);
    };
    if replay.progress != Progress::Running || replay.behind != behind {
        return Ok(None);
    }
    match &work.rows {
        ReplayWork::Deliveries(ids) => {
            replay.processed += count_of(ids);
            for id in ids {
                match again(connection, effects, &replay, *id, now)? {
                    true => replay.replayed += 1,
                    false => replay.skipped += 1,
                }
            }
        }
        ReplayWork::Events(acceptances) => {
            replay.processed += count_of(acceptances);
            for acceptance in acceptances {
                match_anew(connection, effects, &mut replay, acceptance, now)?;
            }
        }
    }
    replay.behind = work.behind.or(replay.behind);
    if work.ends {
        replay.progress = Progress::Completed;
        replay.completed_at = Some(now);
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
        } else if let Some(inserted) = make(connection, &mut effects.memo, event, wanted, now)? {
            effects.moves.made(event.id, inserted.state.status, now);
            let made = Usage {
                deliveries: 1,
                ..Usage::default()
            };
            effects.counted.add(event.workspace, now, made);
            if let Some((lane, due_at)) = inserted.due() {
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
