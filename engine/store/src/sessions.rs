//! Embed sessions. A session has one good access token at a time, named by its row; its launch token is
//! kept as a digest and forgotten when it is used.

use std::sync::Arc;
use std::time::Duration;

use heddle_core::id::{OrganisationId, SessionId, WorkspaceId};
use heddle_core::session::{LaunchPage, Role, SessionType};
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params, params_from_iter};
use uuid::Uuid;

use crate::error::StoreError;
use crate::reach::{Reach, ResourceKey};
use crate::records::{Page, PageOf};
use crate::writer::Effects;
use crate::{Store, columns, page, workspaces};

/// How long a session is kept after it expired.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// What is cleared away of a workspace whenever it gets a new session: more than comes in.
const CLEARED: i64 = 10;

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Session {
    pub id: SessionId,
    pub organisation: OrganisationId,
    pub workspace: WorkspaceId,
    pub kind: SessionType,
    pub role: Role,
    /// Who it is for, in the product's words.
    pub external_user_id: Option<String>,
    /// There for sessions of a resource, and for no others.
    pub resource: Option<Arc<ResourceKey>>,
    pub scopes: Vec<String>,
    /// Normalized; none is any.
    pub allowed_origins: Vec<String>,
    /// How long each of its access tokens lives.
    pub ttl_seconds: u32,
    /// The id of the one access token that is good.
    pub token: Uuid,
    pub created_by: String,
    pub created_at: Timestamp,
    /// When the good access token ends.
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

/// How a session is begun in a browser.
#[derive(Clone, Debug)]
pub struct Launch {
    /// SHA-256 of the launch token.
    pub digest: [u8; 32],
    /// The page to begin with.
    pub page: LaunchPage,
    /// From when on the token is refused.
    pub expires_at: Timestamp,
}

/// Which sessions to list; `None` does not narrow.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct SessionFilter {
    pub workspace: WorkspaceId,
    pub revoked: Option<bool>,
    pub resource: Option<String>,
    pub resource_id: Option<String>,
}

impl Store {
    /// Makes a session in its workspace, which the caller has found within its reach. Old sessions of
    /// the workspace are cleared away.
    pub async fn create_session(&self, session: Session, launch: Launch) -> Result<(), StoreError> {
        self.write(2048, move |connection, effects| {
            workspaces::must_live(connection, session.workspace)?;
            clear(connection, effects, &session)?;
            insert(connection, &session, &launch)
        })
        .await
    }

    /// One session, whatever its organization, be it expired or revoked. From memory.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let cache = &self.inner.shared.sessions;
        let generation = match cache.get(&id) {
            Ok(known) => return Ok(Some(known)),
            Err(generation) => generation,
        };
        let found = self.read(move |connection| find(connection, id)).await?;
        if let Some(found) = &found {
            cache.insert(generation, id, found.clone());
        }
        Ok(found)
    }

    /// The sessions that the filter lets through, the newest first.
    pub async fn list_sessions(
        &self,
        reach: impl Into<Reach>,
        filter: SessionFilter,
        page: Page,
    ) -> Result<PageOf<Session>, StoreError> {
        let reach = reach.into();
        self.read(move |connection| list(connection, &reach, &filter, &page))
            .await
    }

    /// Gives a session another access token, for as long again; the one before is good no more.
    /// `None` when it is revoked, or not there.
    pub async fn refresh_session(
        &self,
        id: SessionId,
        token: Uuid,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        self.write(256, move |connection, effects| {
            refresh(connection, effects, id, token, now)
        })
        .await
    }

    /// Ends a session for good; returns whether that was not so before.
    pub async fn revoke_session(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        self.write(256, move |connection, effects| {
            let sql =
                "UPDATE sessions SET revoked_at = ?2, launch = NULL WHERE id = ?1 AND revoked_at IS NULL";
            let revoked = connection
                .prepare_cached(sql)?
                .execute(params![id.as_bytes(), now.0])?;
            effects.session(id);
            Ok(revoked > 0)
        })
        .await
    }

    /// Uses up a launch token: the session that it begins and with which page, the first time and
    /// before it expires; `None` otherwise.
    pub async fn redeem_launch(
        &self,
        digest: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<(Session, LaunchPage)>, StoreError> {
        self.write(256, move |connection, _| redeem(connection, &digest, now))
            .await
    }
}

/// A place in the list of sessions.
#[derive(Clone, Copy)]
struct Behind([u8; 16]);

impl page::Key for Behind {
    const TAG: u8 = 3;

    fn to_bytes(self) -> Vec<u8> {
        self.0.to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

const COLUMNS: &str = "s.id, s.workspace, w.organisation, s.type, s.role, s.external_user_id, s.resource,
     s.resource_id, s.scopes, s.allowed_origins, s.ttl_seconds, s.token, s.created_by, s.created_at,
     s.expires_at, s.revoked_at, s.launch_page";

const FROM: &str = "FROM sessions s JOIN live_workspaces w ON w.id = s.workspace";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Session> {
    let resource: Option<String> = row.get(6)?;
    let resource_id: Option<String> = row.get(7)?;
    Ok(Session {
        id: SessionId::from_bytes(row.get(0)?),
        workspace: WorkspaceId::from_bytes(row.get(1)?),
        organisation: OrganisationId::from_bytes(row.get(2)?),
        kind: columns::word(row, 3, SessionType::parse)?,
        role: columns::word(row, 4, Role::parse)?,
        external_user_id: row.get(5)?,
        resource: resource.zip(resource_id).map(|(resource, resource_id)| {
            Arc::new(ResourceKey {
                resource,
                resource_id,
            })
        }),
        scopes: columns::json(row, 8)?,
        allowed_origins: columns::json(row, 9)?,
        ttl_seconds: row.get(10)?,
        token: Uuid::from_bytes(row.get(11)?),
        created_by: row.get(12)?,
        created_at: columns::time(row, 13)?,
        expires_at: columns::time(row, 14)?,
        revoked_at: columns::time_if_any(row, 15)?,
    })
}

fn insert(connection: &Connection, session: &Session, launch: &Launch) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO sessions (id, workspace, type, role, external_user_id, resource, resource_id, scopes,
                   allowed_origins, ttl_seconds, token, launch, launch_page, launch_expires_at, created_by,
                   created_at, expires_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
    let resource = session.resource.as_deref();
    connection.prepare_cached(sql)?.execute(params![
        session.id.as_bytes(),
        session.workspace.as_bytes(),
        session.kind.as_str(),
        session.role.as_str(),
        session.external_user_id,
        resource.map(|of| &of.resource),
        resource.map(|of| &of.resource_id),
        columns::to_json(&session.scopes)?,
        columns::to_json(&session.allowed_origins)?,
        session.ttl_seconds,
        session.token.as_bytes(),
        launch.digest,
        launch.page.as_str(),
        launch.expires_at.0,
        session.created_by,
        session.created_at.0,
        session.expires_at.0
    ])?;
    Ok(())
}

/// Deletes a few sessions of the new one's workspace that expired long ago.
fn clear(connection: &Connection, effects: &mut Effects, new: &Session) -> Result<(), StoreError> {
    let before = new.created_at.minus(KEPT);
    let sql = "SELECT id FROM sessions INDEXED BY sessions_of_workspace
               WHERE workspace = ?1 AND id < ?2 AND expires_at < ?3 ORDER BY id LIMIT ?4";
    let oldest_kept = SessionId::new(before, [0; 10]);
    let values = params![
        new.workspace.as_bytes(),
        oldest_kept.as_bytes(),
        before.0,
        CLEARED
    ];
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(values, |row| row.get(0))?;
    let old: Vec<[u8; 16]> = rows.collect::<Result<_, _>>()?;
    for id in old {
        connection
            .prepare_cached("DELETE FROM sessions WHERE id = ?1")?
            .execute([&id])?;
        effects.session(SessionId::from_bytes(id));
    }
    Ok(())
}

fn find(connection: &Connection, id: SessionId) -> Result<Option<Session>, StoreError> {
    let sql = format!("SELECT {COLUMNS} {FROM} WHERE s.id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row([id.as_bytes()], from_row).optional()?)
}

fn list(
    connection: &Connection,
    reach: &Reach,
    filter: &SessionFilter,
    page: &Page,
) -> Result<PageOf<Session>, StoreError> {
    let behind = page::parse::<Behind>(page.cursor.as_deref())?;
    let limit = page::one_more(page.limit);
    let index = match filter {
        SessionFilter {
            resource: Some(_), ..
        } => "sessions_by_resource",
        SessionFilter {
            revoked: Some(true), ..
        } => "sessions_revoked",
        _ => "sessions_of_workspace",
    };
    let mut sql = format!(
        "SELECT {COLUMNS} FROM sessions s INDEXED BY {index} JOIN live_workspaces w ON w.id = s.workspace
         WHERE s.workspace = ? AND w.organisation = ?"
    );
    let mut values: Vec<&dyn ToSql> = vec![filter.workspace.as_bytes(), reach.organisation.as_bytes()];
    if let Some(resource) = &filter.resource {
        sql.push_str(" AND s.resource IS NOT NULL AND s.resource = ?");
        values.push(resource);
    }
    if let Some(resource_id) = &filter.resource_id {
        sql.push_str(" AND s.resource_id = ?");
        values.push(resource_id);
    }
    match filter.revoked {
        Some(true) => sql.push_str(" AND s.revoked_at IS NOT NULL"),
        Some(false) => sql.push_str(" AND s.revoked_at IS NULL"),
        None => {}
    }
    if let Some(Behind(behind)) = &behind {
        sql.push_str(" AND s.id < ?");
        values.push(behind);
    }
    sql.push_str(" ORDER BY s.id DESC LIMIT ?");
    values.push(&limit);
    let mut records: Vec<Session> = Vec::new();
    if reach.covers(filter.workspace) {
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), from_row)?;
        records = rows.collect::<Result<_, _>>()?;
    }
    Ok(page::page(records, page.limit, |session: &Session| {
        Behind(*session.id.as_bytes())
    }))
}

fn refresh(
    connection: &Connection,
    effects: &mut Effects,
    id: SessionId,
    token: Uuid,
    now: Timestamp,
) -> Result<Option<Session>, StoreError> {
    let sql = "UPDATE sessions SET token = ?2, expires_at = ?3 + ttl_seconds * 1000
               WHERE id = ?1 AND revoked_at IS NULL";
    let refreshed =
        connection
            .prepare_cached(sql)?
            .execute(params![id.as_bytes(), token.as_bytes(), now.0])?;
    effects.session(id);
    if refreshed == 0 {
        Ok(None)
    } else {
        find(connection, id)
    }
}

fn redeem(
    connection: &Connection,
    digest: &[u8; 32],
    now: Timestamp,
) -> Result<Option<(Session, LaunchPage)>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} {FROM} WHERE s.launch = ?1 AND s.launch_expires_at > ?2 AND s.revoked_at IS NULL"
    );
    let read = |row: &Row<'_>| Ok((from_row(row)?, columns::word(row, 16, LaunchPage::parse)?));
    let found = connection
        .prepare_cached(&sql)?
        .query_row(params![digest, now.0], read)
        .optional()?;
    // Used or late, it is good for nothing any more.
    connection
        .prepare_cached("UPDATE sessions SET launch = NULL WHERE launch = ?1")?
        .execute([digest])?;
    Ok(found)
}
