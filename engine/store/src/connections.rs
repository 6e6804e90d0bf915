//! Connections: configured destinations, their secrets sealed in one value per row.

use std::collections::BTreeMap;
use std::sync::Arc;

use heddle_core::connection::{Check, CheckStatus, Connection as Destination, Health, InactiveReason};
use heddle_core::id::{ConnectionId, WorkspaceId};
use heddle_core::outcome::{ConnectionVerdict, Outcome, Verdict};
use heddle_core::secret::Secret;
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{StoreError, is_unique};
use crate::reach::Reach;
use crate::records::{Attempt, ConnectionDeletion, MAX_MESSAGE_BYTES};
use crate::seal::{Place, Sealer};
use crate::walk::{Batch, Found, Mark, SMALL};
use crate::writer::Effects;
use crate::{Store, claims, columns, learned, limits, rules, walk, workspaces};

/// Rules that are deleted in one transaction with, or before, their connection.
pub(crate) const RULES: usize = 500;

impl Store {
    /// Makes a connection in its workspace, which the caller has found in its organization.
    pub async fn create_connection(&self, destination: Destination) -> Result<(), StoreError> {
        let sealer = self.sealer();
        let most = self.limits_of(destination.workspace).await?.connections;
        self.write(4096, move |connection, _| {
            workspaces::must_live(connection, destination.workspace)?;
            limits::room_for_connection(connection, destination.workspace, most)?;
            insert(connection, &sealer, &destination)
        })
        .await
    }

    /// One connection, its secrets opened.
    pub async fn connection(
        &self,
        reach: impl Into<Reach>,
        id: ConnectionId,
    ) -> Result<Option<Destination>, StoreError> {
        let reach = reach.into();
        let sealer = self.sealer();
        self.read(move |connection| find_in(connection, &sealer, &reach, id))
            .await
    }

    /// Some of the connections of an organization or of one of its workspaces: workspace by workspace,
    /// the oldest first.
    pub async fn some_connections(
        &self,
        reach: impl Into<Reach>,
        workspace: Option<WorkspaceId>,
        mark: Option<Mark>,
    ) -> Result<Batch<Destination>, StoreError> {
        let reach = reach.into();
        let sealer = self.sealer();
        self.read(move |connection| some(connection, &sealer, &reach, workspace, mark))
            .await
    }

    /// Writes everything but the workspace, the type and the making of a connection, if it was not
    /// changed after `as_of`, its `updated_at` when it was read; returns whether that is so, and there is
    /// one. When it is active then, what waited for it is due.
    pub async fn update_connection(
        &self,
        reach: impl Into<Reach>,
        destination: Destination,
        as_of: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let reach = reach.into();
        let sealer = self.sealer();
        self.write(4096, move |connection, effects| {
            let found = find_in(connection, &sealer, &reach, destination.id)?;
            let changed = |found: Destination| as_of.is_some_and(|as_of| as_of != found.updated_at);
            if found.is_none_or(changed) {
                return Ok(false);
            }
            update(connection, effects, &sealer, &reach, &destination)
        })
        .await
    }

    /// Writes how a check went, and what follows from it for the connection's health, unless the
    /// connection was changed after `as_of`, its `updated_at` when it was read: the verdict is of
    /// settings that it no longer has. Returns whether it was written.
    pub async fn record_check(
        &self,
        reach: impl Into<Reach>,
        id: ConnectionId,
        as_of: Timestamp,
        check: Check,
        health: Health,
    ) -> Result<bool, StoreError> {
        let reach = reach.into();
        let sealer = self.sealer();
        self.write(1024, move |connection, effects| {
            let Some(mut found) = find_in(connection, &sealer, &reach, id)? else {
                return Ok(false);
            };
            if found.updated_at != as_of {
                return Ok(false);
            }
            if found.health != health {
                found.updated_at = check.checked_at.max(as_of);
                found.health = health;
            }
            found.check = Some(check);
            update(connection, effects, &sealer, &reach, &found)
        })
        .await
    }

    /// Deletes a connection and its rules, and calls off what waits for them. Unless `force` is set,
    /// a connection that has an active rule stays. With very many rules it takes several transactions,
    /// the last of which deletes the connection; after a crash in between, those rules are gone that were
    /// deleted by then.
    pub async fn delete_connection(
        &self,
        reach: impl Into<Reach>,
        id: ConnectionId,
        force: bool,
        now: Timestamp,
    ) -> Result<ConnectionDeletion, StoreError> {
        let reach = reach.into();
        loop {
            let reach = reach.clone();
            let some = move |connection: &Connection, effects: &mut Effects| {
                delete_some(connection, effects, &reach, id, force, now)
            };
            if let Some(done) = self.write(RULES * 512, some).await? {
                return Ok(done);
            }
        }
    }

    /// The connection that a delivery goes to, whatever its organization, its secrets opened. Kept
    /// in memory: the same `Arc` until the connection changes.
    pub async fn connection_for_delivery(
        &self,
        id: ConnectionId,
    ) -> Result<Option<Arc<Destination>>, StoreError> {
        let cache = &self.inner.shared.connections;
        let generation = match cache.get(&id) {
            Ok(known) => return Ok(Some(known)),
            Err(generation) => generation,
        };
        let sealer = self.sealer();
        let found = self
            .read(move |connection| find(connection, &sealer, id))
            .await?
            .map(Arc::new);
        if let Some(found) = &found {
            cache.insert(generation, id, Arc::clone(found));
        }
        Ok(found)
    }
}

fn place(id: &ConnectionId) -> Place<'_> {
    Place {
        table: "connections",
        row: id.as_bytes(),
    }
}

fn seal(sealer: &Sealer, destination: &Destination) -> Result<Vec<u8>, StoreError> {
    let secrets: BTreeMap<&str, &str> = destination
        .secrets
        .iter()
        .map(|(key, secret)| (key.as_str(), secret.reveal()))
        .collect();
    sealer.seal(place(&destination.id), columns::to_json(&secrets)?.as_bytes())
}

fn health_columns(health: &Health) -> (Option<&'static str>, Option<&str>) {
    match health {
        Health::Active => (None, None),
        Health::Inactive { reason, detail } => (Some(reason.as_str()), Some(detail)),
    }
}

/// The row without its secrets, and these as they are stored.
fn from_row(row: &Row<'_>) -> rusqlite::Result<(Destination, Vec<u8>)> {
    let health = match row.get::<_, Option<String>>("inactive_detail")? {
        None => Health::Active,
        Some(detail) => Health::Inactive {
            reason: columns::word(row, "inactive_reason", InactiveReason::parse)?,
            detail,
        },
    };
    let check = match row.get::<_, Option<String>>("check_message")? {
        None => None,
        Some(message) => Some(Check {
            status: columns::word(row, "check_status", CheckStatus::parse)?,
            message,
            account: row.get("check_account")?,
            checked_at: columns::time(row, "checked_at")?,
        }),
    };
    let destination = Destination {
        id: ConnectionId::from_bytes(row.get("id")?),
        workspace: WorkspaceId::from_bytes(row.get("workspace")?),
        kind: row.get("kind")?,
        name: row.get("name")?,
        settings: columns::json(row, "settings")?,
        secrets: BTreeMap::new(),
        health,
        check,
        hidden: row.get("hidden")?,
        created_by: row.get("created_by")?,
        created_at: columns::time(row, "created_at")?,
        updated_at: columns::time(row, "updated_at")?,
    };
    Ok((destination, row.get("secrets")?))
}

fn opened(
    (mut destination, sealed): (Destination, Vec<u8>),
    sealer: &Sealer,
) -> Result<Destination, StoreError> {
    let text = sealer.open_text(place(&destination.id), &sealed)?;
    // serde's message could quote what it read.
    let secrets: BTreeMap<String, String> = serde_json::from_str(&text)
        .map_err(|_| StoreError::broken("the secrets of a connection are unreadable"))?;
    destination.secrets = secrets
        .into_iter()
        .map(|(key, secret)| (key, Secret::new(secret)))
        .collect();
    Ok(destination)
}

/// Names are how people tell a workspace's connections apart.
fn taken(error: rusqlite::Error) -> StoreError {
    if is_unique(&error) {
        StoreError::Conflict("a connection of this name exists already")
    } else {
        error.into()
    }
}

fn insert(connection: &Connection, sealer: &Sealer, destination: &Destination) -> Result<(), StoreError> {
    let (reason, detail) = health_columns(&destination.health);
    let sql = "INSERT INTO connections (id, workspace, kind, name, settings, secrets, inactive_reason,
                   inactive_detail, hidden, created_by, created_at, updated_at, check_status, check_message,
                   check_account, checked_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
    let check = destination.check.as_ref();
    connection
        .prepare_cached(sql)?
        .execute(params![
            destination.id.as_bytes(),
            destination.workspace.as_bytes(),
            destination.kind,
            destination.name,
            columns::to_json(&destination.settings)?,
            seal(sealer, destination)?,
            reason,
            detail,
            destination.hidden,
            destination.created_by,
            destination.created_at.0,
            destination.updated_at.0,
            check.map(|check| check.status.as_str()),
            check.map(|check| columns::cut(&check.message, MAX_MESSAGE_BYTES)),
            check.and_then(|check| check.account.as_deref()),
            check.map(|check| check.checked_at.0)
        ])
        .map_err(taken)?;
    Ok(())
}

fn find(
    connection: &Connection,
    sealer: &Sealer,
    id: ConnectionId,
) -> Result<Option<Destination>, StoreError> {
    let sql = "SELECT c.* FROM connections c JOIN live_workspaces w ON w.id = c.workspace WHERE c.id = ?1";
    let found = connection
        .prepare_cached(sql)?
        .query_row([id.as_bytes()], from_row)
        .optional()?;
    found.map(|row| opened(row, sealer)).transpose()
}

fn find_in(
    connection: &Connection,
    sealer: &Sealer,
    reach: &Reach,
    id: ConnectionId,
) -> Result<Option<Destination>, StoreError> {
    let sql = "SELECT c.* FROM connections c JOIN live_workspaces w ON w.id = c.workspace
               WHERE c.id = ?1 AND w.organisation = ?2";
    let found = connection
        .prepare_cached(sql)?
        .query_row([id.as_bytes(), reach.organisation.as_bytes()], from_row)
        .optional()?
        .filter(|(destination, _)| reach.covers(destination.workspace));
    found.map(|row| opened(row, sealer)).transpose()
}

/// Whether there is such a connection within the reach.
pub(crate) fn is_within(
    connection: &Connection,
    reach: &Reach,
    id: ConnectionId,
) -> Result<bool, StoreError> {
    let sql = "SELECT c.workspace FROM connections c JOIN live_workspaces w ON w.id = c.workspace
               WHERE c.id = ?1 AND w.organisation = ?2";
    let workspace = connection
        .prepare_cached(sql)?
        .query_row([id.as_bytes(), reach.organisation.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(workspace.is_some_and(|workspace| reach.covers(WorkspaceId::from_bytes(workspace))))
}

fn some(
    connection: &Connection,
    sealer: &Sealer,
    reach: &Reach,
    workspace: Option<WorkspaceId>,
    mark: Option<Mark>,
) -> Result<Batch<Destination>, StoreError> {
    let sql = "SELECT * FROM connections INDEXED BY connections_of_workspace
               WHERE workspace = ?1 AND id > ?2 ORDER BY id";
    walk::batch(connection, reach, workspace, mark, sql, |row| {
        let bytes = columns::bytes(row, "settings")? + columns::bytes(row, "secrets")? + SMALL;
        let record = opened(from_row(row)?, sealer)?;
        Ok(Some(Found { record, bytes }))
    })
}

fn update(
    connection: &Connection,
    effects: &mut Effects,
    sealer: &Sealer,
    reach: &Reach,
    destination: &Destination,
) -> Result<bool, StoreError> {
    if !reach.covers(destination.workspace) {
        return Ok(false);
    }
    let Some(before) = find_in(connection, sealer, reach, destination.id)? else {
        return Ok(false);
    };
    if before.settings != destination.settings || before.secrets != destination.secrets {
        learned::forget(connection, destination.id)?;
    }
    let (reason, detail) = health_columns(&destination.health);
    let check = destination.check.as_ref();
    let sql = "UPDATE connections SET name = ?3, settings = ?4, secrets = ?5, inactive_reason = ?6,
                   inactive_detail = ?7, hidden = ?8, updated_at = ?9, check_status = ?11,
                   check_message = ?12, check_account = ?13, checked_at = ?14
               WHERE id = ?1 AND workspace = ?10
                   AND workspace IN (SELECT id FROM live_workspaces WHERE organisation = ?2)";
    let changed = connection
        .prepare_cached(sql)?
        .execute(params![
            destination.id.as_bytes(),
            reach.organisation.as_bytes(),
            destination.name,
            columns::to_json(&destination.settings)?,
            seal(sealer, destination)?,
            reason,
            detail,
            destination.hidden,
            destination.updated_at.0,
            destination.workspace.as_bytes(),
            check.map(|check| check.status.as_str()),
            check.map(|check| columns::cut(&check.message, MAX_MESSAGE_BYTES)),
            check.and_then(|check| check.account.as_deref()),
            check.map(|check| check.checked_at.0)
        ])
        .map_err(taken)?;
    if changed == 0 {
        return Ok(false);
    }
    effects.connection(destination.id);
    claims::wake(connection, effects, destination.id)?;
    Ok(true)
}

/// Deletes the connection, or as many of its rules as one transaction may (`None`).
fn delete_some(
    connection: &Connection,
    effects: &mut Effects,
    reach: &Reach,
    id: ConnectionId,
    force: bool,
    now: Timestamp,
) -> Result<Option<ConnectionDeletion>, StoreError> {
    let sql = "SELECT c.workspace FROM connections c JOIN live_workspaces w ON w.id = c.workspace
               WHERE c.id = ?1 AND w.organisation = ?2";
    let found = connection
        .prepare_cached(sql)?
        .query_row([id.as_bytes(), reach.organisation.as_bytes()], |row| row.get(0))
        .optional()?
        .map(WorkspaceId::from_bytes);
    let Some(workspace) = found.filter(|workspace| reach.covers(*workspace)) else {
        return Ok(Some(ConnectionDeletion::NotFound));
    };
    let active = "SELECT 1 FROM rules WHERE connection = ?1 AND active = 1";
    if !force && connection.prepare_cached(active)?.exists([id.as_bytes()])? {
        return Ok(Some(ConnectionDeletion::HasActiveRules));
    }
    let deleted = rules::delete_some_of(connection, effects, id, workspace, RULES, now)?;
    effects.rules(workspace);
    if deleted == RULES {
        return Ok(None);
    }
    connection
        .prepare_cached("DELETE FROM connections WHERE id = ?1")?
        .execute([id.as_bytes()])?;
    effects.connection(id);
    Ok(Some(ConnectionDeletion::Deleted))
}

/// Applies what an attempt says about the connection that it used. An attempt that began before the
/// connection was last changed says nothing about it as it is now. `forced` is whether the attempt
/// went out although the connection was inactive.
pub(crate) fn learn(
    connection: &Connection,
    effects: &mut Effects,
    id: ConnectionId,
    attempt: &Attempt,
    outcome: &Outcome,
    forced: bool,
) -> Result<(), StoreError> {
    let reason = match outcome.connection {
        ConnectionVerdict::CredentialRefused => InactiveReason::AuthenticationInvalid,
        ConnectionVerdict::EndpointGone => InactiveReason::ManuallyInactivated,
        ConnectionVerdict::Unchanged if forced && outcome.verdict == Verdict::Delivered => {
            return mended(connection, effects, id, attempt);
        }
        ConnectionVerdict::Unchanged => return Ok(()),
    };
    let sql = "UPDATE connections SET inactive_reason = ?2, inactive_detail = ?3, updated_at = ?4
               WHERE id = ?1 AND inactive_reason IS NULL AND updated_at <= ?5";
    let detail = columns::cut(&outcome.message, MAX_MESSAGE_BYTES);
    let (started_at, finished_at) = (attempt.started_at.0, attempt.finished_at.0);
    let values = params![id.as_bytes(), reason.as_str(), detail, finished_at, started_at];
    if connection.prepare_cached(sql)?.execute(values)? > 0 {
        effects.connection(id);
    }
    Ok(())
}

/// Whether the connection is inactive, or was changed after `since`: what an attempt that began then
/// says of it is no news.
pub(crate) fn changed_since(
    connection: &Connection,
    id: ConnectionId,
    since: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "SELECT inactive_reason IS NOT NULL OR updated_at > ?2 FROM connections WHERE id = ?1";
    let values = params![id.as_bytes(), since.0];
    let changed = connection
        .prepare_cached(sql)?
        .query_row(values, |row| row.get(0))
        .optional()?;
    Ok(changed.unwrap_or(false))
}

/// A delivery that somebody asked for got through: the credential works again.
fn mended(
    connection: &Connection,
    effects: &mut Effects,
    id: ConnectionId,
    attempt: &Attempt,
) -> Result<(), StoreError> {
    let sql = "UPDATE connections SET inactive_reason = NULL, inactive_detail = NULL, updated_at = ?2
               WHERE id = ?1 AND inactive_reason = 'authentication_invalid' AND updated_at <= ?3";
    let values = params![id.as_bytes(), attempt.finished_at.0, attempt.started_at.0];
    if connection.prepare_cached(sql)?.execute(values)? > 0 {
        effects.connection(id);
        claims::wake(connection, effects, id)?;
    }
    Ok(())
}
