//! Rules: which events go where.

use std::sync::Arc;

use heddle_core::id::{ConnectionId, RuleId, WorkspaceId};
use heddle_core::ordering::{OnFailure, Order};
use heddle_core::routing::Routing;
use heddle_core::rule::Rule;
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use crate::error::StoreError;
use crate::left_behind::LeftBehind;
use crate::reach::Reach;
use crate::records::RuleFilter;
use crate::walk::{Batch, Found, Mark, SMALL};
use crate::writer::Effects;
use crate::{Store, columns, deliveries, left_behind, limits, walk, workspaces};

impl Store {
    /// Makes a rule in its workspace, which the caller has found in its organization. The connection
    /// must be of that workspace and of the rule's type, else it is not found.
    pub async fn create_rule(&self, rule: Rule) -> Result<(), StoreError> {
        let most = self.limits_of(rule.workspace).await?.rules;
        self.write(1024, move |connection, effects| {
            workspaces::must_live(connection, rule.workspace)?;
            limits::room_for_rule(connection, rule.workspace, most)?;
            insert(connection, effects, &rule)
        })
        .await
    }

    /// One rule.
    pub async fn rule(&self, reach: impl Into<Reach>, id: RuleId) -> Result<Option<Rule>, StoreError> {
        let reach = reach.into();
        self.read(move |connection| find_in(connection, &reach, id)).await
    }

    /// Some of the rules that the filter lets through: workspace by workspace, the oldest first.
    pub async fn some_rules(
        &self,
        reach: impl Into<Reach>,
        filter: RuleFilter,
        mark: Option<Mark>,
    ) -> Result<Batch<Rule>, StoreError> {
        let reach = reach.into();
        self.read(move |connection| some(connection, &reach, &filter, mark))
            .await
    }

    /// Writes everything but the workspace and the making of a rule; returns whether there is one.
    /// What waits for it goes to the connection that it names then, and what it holds no more goes on: the
    /// first of it at once.
    pub async fn update_rule(&self, reach: impl Into<Reach>, rule: Rule) -> Result<bool, StoreError> {
        let reach = reach.into();
        self.write(1024, move |connection, effects| {
            update(connection, effects, &reach, &rule)
        })
        .await
    }

    /// Deletes a rule and calls off what waits for it, the first of it at once; returns the rule as it was.
    pub async fn delete_rule(
        &self,
        reach: impl Into<Reach>,
        id: RuleId,
        now: Timestamp,
    ) -> Result<Option<Rule>, StoreError> {
        let reach = reach.into();
        self.write(1024, move |connection, effects| {
            let found = find_in(connection, &reach, id)?;
            if let Some(rule) = &found {
                delete(connection, effects, rule, now)?;
            }
            Ok(found)
        })
        .await
    }

    /// The rules of a workspace, to match an event against, active or not. From memory: a rule that
    /// was written is seen before its writer is answered.
    pub async fn rules_of(&self, workspace: WorkspaceId) -> Result<Arc<Routing>, StoreError> {
        let routings = &self.inner.shared.routings;
        if let Ok(known) = routings.get(workspace) {
            return Ok(known);
        }
        // Whoever waited here finds that it is done.
        let _turn = routings.turn(workspace).await;
        let stale = match routings.get(workspace) {
            Ok(known) => return Ok(known),
            Err(stale) => stale,
        };
        let known = stale.known.clone();
        let found = self
            .read(move |connection| arranged(connection, workspace, known))
            .await?;
        routings.insert(&stale, workspace, Arc::clone(&found));
        Ok(found)
    }
}

const NO_CONNECTION: StoreError = StoreError::NotFound("connection of this type in the rule's workspace");

fn from_row(row: &Row<'_>) -> rusqlite::Result<Rule> {
    Ok(Rule {
        id: RuleId::from_bytes(row.get("id")?),
        workspace: WorkspaceId::from_bytes(row.get("workspace")?),
        connection: ConnectionId::from_bytes(row.get("connection")?),
        kind: row.get("kind")?,
        event: row.get("event")?,
        resource: row.get("resource")?,
        resource_id: row.get("resource_id")?,
        condition: row.get("condition")?,
        order: match row.get("ordering_key")? {
            None => None,
            Some(key) => Some(Order {
                key,
                on_failure: columns::word(row, "ordering_on_failure", OnFailure::parse)?,
            }),
        },
        metadata: columns::json(row, "metadata")?,
        mapping: row.get("mapping")?,
        active: row.get("active")?,
        hidden: row.get("hidden")?,
        created_by: row.get("created_by")?,
        created_at: columns::time(row, "created_at")?,
        updated_at: columns::time(row, "updated_at")?,
    })
}

fn insert(connection: &Connection, effects: &mut Effects, rule: &Rule) -> Result<(), StoreError> {
    let sql = "INSERT INTO rules (id, workspace, connection, kind, event, resource, resource_id, metadata,
                   active, hidden, created_by, created_at, updated_at, mapping, condition,
                   ordering_key, ordering_on_failure)
               SELECT ?1, workspace, id, kind, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17
               FROM connections WHERE id = ?3 AND workspace = ?2 AND kind = ?4";
    let made = connection.prepare_cached(sql)?.execute(params![
        rule.id.as_bytes(),
        rule.workspace.as_bytes(),
        rule.connection.as_bytes(),
        rule.kind,
        rule.event,
        rule.resource,
        rule.resource_id,
        columns::to_json(&rule.metadata)?,
        rule.active,
        rule.hidden,
        rule.created_by,
        rule.created_at.0,
        rule.updated_at.0,
        rule.mapping,
        rule.condition,
        rule.order.as_ref().map(|order| order.key.as_str()),
        rule.order.as_ref().map(|order| order.on_failure.as_str())
    ])?;
    effects.rule(rule.workspace, rule.id);
    if made == 0 { Err(NO_CONNECTION) } else { Ok(()) }
}

/// A rule by its id, whatever its organization.
pub(crate) fn find(connection: &Connection, id: RuleId) -> Result<Option<Rule>, StoreError> {
    let sql = "SELECT * FROM rules WHERE id = ?1";
    Ok(connection
        .prepare_cached(sql)?
        .query_row([id.as_bytes()], from_row)
        .optional()?)
}

/// About what a rule takes in memory.
pub(crate) fn text_bytes(rule: &Rule) -> usize {
    let of = |value: &Value| match value {
        Value::String(text) => text.len(),
        // Text is what the API lets in.
        _ => 64,
    };
    let metadata: usize = rule
        .metadata
        .iter()
        .map(|(key, value)| key.len() + of(value))
        .sum();
    let condition = rule.condition.as_ref().map_or(0, String::len);
    let mapping = rule.mapping.as_ref().map_or(0, |mapping| mapping.len());
    metadata + condition + mapping
}

/// Where a rule leads: its connection and that one's type.
pub(crate) fn destination(
    connection: &Connection,
    id: RuleId,
) -> Result<Option<(ConnectionId, String)>, StoreError> {
    let sql = "SELECT connection, kind FROM rules WHERE id = ?1";
    let read = |row: &Row<'_>| Ok((ConnectionId::from_bytes(row.get(0)?), row.get(1)?));
    Ok(connection
        .prepare_cached(sql)?
        .query_row([id.as_bytes()], read)
        .optional()?)
}

/// What becomes of those behind a delivery of the rule that has failed; one that is deleted, or orders
/// nothing any more, holds nobody.
pub(crate) fn on_failure(connection: &Connection, id: RuleId) -> Result<OnFailure, StoreError> {
    let sql = "SELECT ordering_on_failure FROM rules WHERE id = ?1 AND ordering_key IS NOT NULL";
    let found = connection
        .prepare_cached(sql)?
        .query_row([id.as_bytes()], |row| columns::word(row, 0, OnFailure::parse))
        .optional()?;
    Ok(found.unwrap_or_default())
}

fn is_within(reach: &Reach, rule: &Rule) -> bool {
    reach.covers_resource(
        rule.workspace,
        rule.resource.as_deref(),
        rule.resource_id.as_deref(),
    )
}

fn find_in(connection: &Connection, reach: &Reach, id: RuleId) -> Result<Option<Rule>, StoreError> {
    let sql = "SELECT r.* FROM rules r JOIN live_workspaces w ON w.id = r.workspace
               WHERE r.id = ?1 AND w.organisation = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement
        .query_row([id.as_bytes(), reach.organisation.as_bytes()], from_row)
        .optional()?
        .filter(|rule| is_within(reach, rule)))
}

fn some(
    connection: &Connection,
    reach: &Reach,
    filter: &RuleFilter,
    mark: Option<Mark>,
) -> Result<Batch<Rule>, StoreError> {
    let sql =
        "SELECT * FROM rules INDEXED BY rules_of_workspace WHERE workspace = ?1 AND id > ?2 ORDER BY id";
    walk::batch(connection, reach, filter.workspace, mark, sql, |row| {
        // What is long is read of those only that are shown.
        for (column, asked) in [
            ("event", &filter.event),
            ("resource", &filter.resource),
            ("resource_id", &filter.resource_id),
        ] {
            let value = row
                .get_ref(column)?
                .as_str_or_null()
                .map_err(rusqlite::Error::from)?;
            if asked.is_some() && value != asked.as_deref() {
                return Ok(None);
            }
        }
        let mut bytes = SMALL;
        for long in ["metadata", "mapping", "condition", "ordering_key"] {
            bytes += columns::bytes(row, long)?;
        }
        let record = from_row(row)?;
        Ok(is_within(reach, &record).then_some(Found { record, bytes }))
    })
}

/// What is not needed to match an event, and may be long, is not read.
const TO_MATCH: &str = "SELECT id, workspace, connection, kind, event, resource, resource_id, condition,
     ordering_key, ordering_on_failure, '{}' AS metadata, NULL AS mapping, active, hidden, created_by,
     created_at, updated_at FROM rules";

/// The rules of a workspace, without their metadata and mappings.
fn of_workspace(connection: &Connection, workspace: WorkspaceId) -> Result<Vec<Rule>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{TO_MATCH} WHERE workspace = ?1 ORDER BY id"))?;
    let rows = statement.query_map([workspace.as_bytes()], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The rules of a workspace, arranged; of what is known, only what changed is read.
fn arranged(
    connection: &Connection,
    workspace: WorkspaceId,
    known: Option<(Arc<Routing>, Vec<RuleId>)>,
) -> Result<Arc<Routing>, StoreError> {
    let Some((before, changed)) = known else {
        return Ok(Routing::new(of_workspace(connection, workspace)?).into());
    };
    let mut now = Vec::with_capacity(changed.len());
    for id in &changed {
        now.extend(find(connection, *id)?);
    }
    Ok(before.with(&changed, now).into())
}

fn update(
    connection: &Connection,
    effects: &mut Effects,
    reach: &Reach,
    rule: &Rule,
) -> Result<bool, StoreError> {
    let Some(before) = find_in(connection, reach, rule.id)? else {
        return Ok(false);
    };
    let sql =
        "UPDATE rules SET connection = c.id, kind = c.kind, event = ?4, resource = ?5, resource_id = ?6,
                   metadata = ?7, active = ?8, hidden = ?9, updated_at = ?10, mapping = ?11,
                   condition = ?12, ordering_key = ?13, ordering_on_failure = ?14
               FROM connections c
               WHERE rules.id = ?1 AND c.id = ?2 AND c.kind = ?3 AND c.workspace = rules.workspace";
    let changed = connection.prepare_cached(sql)?.execute(params![
        rule.id.as_bytes(),
        rule.connection.as_bytes(),
        rule.kind,
        rule.event,
        rule.resource,
        rule.resource_id,
        columns::to_json(&rule.metadata)?,
        rule.active,
        rule.hidden,
        rule.updated_at.0,
        rule.mapping,
        rule.condition,
        rule.order.as_ref().map(|order| order.key.as_str()),
        rule.order.as_ref().map(|order| order.on_failure.as_str())
    ])?;
    if changed == 0 {
        return Err(NO_CONNECTION);
    }
    effects.rule(before.workspace, before.id);
    let holds = |rule: &Rule| {
        rule.order
            .as_ref()
            .is_some_and(|order| order.on_failure == OnFailure::Hold)
    };
    if before.connection != rule.connection || (holds(&before) && !holds(rule)) {
        let left = LeftBehind {
            rule: before.id,
            connection: before.connection,
        };
        let room = &mut { left_behind::STEP };
        left_behind::leave(connection, effects, left, before.workspace, room, rule.updated_at)?;
    }
    Ok(true)
}

/// Deletes a rule and calls off what waits for it: some deliveries now, the others after it.
fn delete(
    connection: &Connection,
    effects: &mut Effects,
    rule: &Rule,
    now: Timestamp,
) -> Result<(), StoreError> {
    deliveries::cancel_under_way(connection, effects, &[rule.id], now)?;
    connection
        .prepare_cached("DELETE FROM rules WHERE id = ?1")?
        .execute([rule.id.as_bytes()])?;
    effects.rule(rule.workspace, rule.id);
    let left = LeftBehind {
        rule: rule.id,
        connection: rule.connection,
    };
    left_behind::leave(
        connection,
        effects,
        left,
        rule.workspace,
        &mut { left_behind::STEP },
        now,
    )
}

/// [`delete`] for up to `most` of the rules that lead to a connection; returns how many there were.
pub(crate) fn delete_some_of(
    connection: &Connection,
    effects: &mut Effects,
    destination: ConnectionId,
    workspace: WorkspaceId,
    most: usize,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let sql =
        "DELETE FROM rules WHERE id IN (SELECT id FROM rules WHERE connection = ?1 ORDER BY id LIMIT ?2)
               RETURNING id";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(sql)?;
    let gone = statement
        .query_map(params![destination.as_bytes(), most], |row| {
            row.get(0).map(RuleId::from_bytes)
        })?
        .collect::<Result<Vec<_>, _>>()?;
    deliveries::cancel_under_way(connection, effects, &gone, now)?;
    // All of them are gone by now: what waits for any of them is called off at once.
    let mut room = left_behind::STEP;
    for rule in &gone {
        let left = LeftBehind {
            rule: *rule,
            connection: destination,
        };
        left_behind::leave(connection, effects, left, workspace, &mut room, now)?;
    }
    Ok(gone.len())
}
