//! The catalog: what a workspace calls its events and resources.

use heddle_core::id::{TermId, WorkspaceId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{StoreError, is_unique};
use crate::reach::Reach;
use crate::records::{Term, TermKind, Workspace};
use crate::{Store, columns, workspaces};

/// The most entries of one kind in a workspace: lists of them are never cut.
pub const MAX_TERMS: usize = 1_000;

const TAKEN: StoreError = StoreError::Conflict("the catalog has an entry of this key already");
const FULL: StoreError = StoreError::Full("the catalog has 1000 entries of this kind, which is the most");

impl Store {
    /// The entries of a workspace that the caller has found, in the order of their keys.
    pub async fn terms(&self, workspace: WorkspaceId, kind: TermKind) -> Result<Vec<Term>, StoreError> {
        self.read(move |connection| list(connection, workspace, kind))
            .await
    }

    /// Makes an entry in a workspace that the caller has found; a conflict when its key is taken, or
    /// the catalog is full.
    pub async fn create_term(&self, entry: Term) -> Result<(), StoreError> {
        self.write(1024, move |connection, _| {
            workspaces::must_live(connection, entry.workspace)?;
            create(connection, &entry)
        })
        .await
    }

    /// One entry.
    pub async fn term(
        &self,
        reach: impl Into<Reach>,
        kind: TermKind,
        id: TermId,
    ) -> Result<Option<Term>, StoreError> {
        let reach = reach.into();
        self.read(move |connection| find(connection, &reach, kind, id))
            .await
    }

    /// Writes label, description and activity of an entry; returns whether there is one.
    pub async fn update_term(&self, reach: impl Into<Reach>, entry: Term) -> Result<bool, StoreError> {
        let reach = reach.into();
        self.write(1024, move |connection, _| {
            let there = find(connection, &reach, entry.kind, entry.id)?.is_some();
            if there {
                update(connection, &entry)?;
            }
            Ok(there)
        })
        .await
    }

    /// Deletes an entry; returns it as it was.
    pub async fn delete_term(
        &self,
        reach: impl Into<Reach>,
        kind: TermKind,
        id: TermId,
    ) -> Result<Option<Term>, StoreError> {
        let reach = reach.into();
        self.write(256, move |connection, _| {
            let found = find(connection, &reach, kind, id)?;
            if found.is_some() {
                connection
                    .prepare_cached("DELETE FROM terms WHERE id = ?1")?
                    .execute([id.as_bytes()])?;
            }
            Ok(found)
        })
        .await
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Term> {
    Ok(Term {
        id: TermId::from_bytes(row.get("id")?),
        workspace: WorkspaceId::from_bytes(row.get("workspace")?),
        kind: columns::word(row, "kind", TermKind::parse)?,
        key: row.get("key")?,
        label: row.get("label")?,
        description: row.get("description")?,
        active: row.get("active")?,
        created_by: row.get("created_by")?,
        created_at: columns::time(row, "created_at")?,
        updated_at: columns::time(row, "updated_at")?,
    })
}

fn list(connection: &Connection, workspace: WorkspaceId, kind: TermKind) -> Result<Vec<Term>, StoreError> {
    let sql = "SELECT * FROM terms WHERE workspace = ?1 AND kind = ?2 ORDER BY key";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![workspace.as_bytes(), kind.as_str()], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn find(
    connection: &Connection,
    reach: &Reach,
    kind: TermKind,
    id: TermId,
) -> Result<Option<Term>, StoreError> {
    let sql = "SELECT c.* FROM terms c JOIN live_workspaces w ON w.id = c.workspace
               WHERE c.id = ?1 AND c.kind = ?2 AND w.organisation = ?3";
    let values = params![id.as_bytes(), kind.as_str(), reach.organisation.as_bytes()];
    let found = connection
        .prepare_cached(sql)?
        .query_row(values, from_row)
        .optional()?;
    Ok(found.filter(|entry| reach.covers(entry.workspace)))
}

fn create(connection: &Connection, entry: &Term) -> Result<(), StoreError> {
    let sql = "SELECT count(*) FROM terms WHERE workspace = ?1 AND kind = ?2";
    let values = params![entry.workspace.as_bytes(), entry.kind.as_str()];
    let there: usize = connection
        .prepare_cached(sql)?
        .query_row(values, |row| row.get::<_, i64>(0))?
        .try_into()
        .unwrap_or(usize::MAX);
    if there >= MAX_TERMS {
        return Err(FULL);
    }
    insert(connection, entry)
}

fn insert(connection: &Connection, entry: &Term) -> Result<(), StoreError> {
    let sql = "INSERT INTO terms (id, workspace, kind, key, label, description, active, created_by,
                   created_at, updated_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let values = params![
        entry.id.as_bytes(),
        entry.workspace.as_bytes(),
        entry.kind.as_str(),
        entry.key,
        entry.label,
        entry.description,
        entry.active,
        entry.created_by,
        entry.created_at.0,
        entry.updated_at.0
    ];
    let taken = |error: rusqlite::Error| if is_unique(&error) { TAKEN } else { error.into() };
    connection.prepare_cached(sql)?.execute(values).map_err(taken)?;
    Ok(())
}

fn update(connection: &Connection, entry: &Term) -> Result<(), StoreError> {
    let sql = "UPDATE terms SET label = ?2, description = ?3, active = ?4, updated_at = ?5 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![
        entry.id.as_bytes(),
        entry.label,
        entry.description,
        entry.active,
        entry.updated_at.0
    ])?;
    Ok(())
}

/// What every workspace begins with; the published contract has it so. There is one of each workspace,
/// so that it can have the workspace's id.
pub(crate) fn begin(connection: &Connection, workspace: &Workspace) -> Result<(), StoreError> {
    let entry = Term {
        id: TermId::from_bytes(*workspace.id.as_bytes()),
        workspace: workspace.id,
        kind: TermKind::EventType,
        key: "contact.created".into(),
        label: "Contact created".into(),
        description: None,
        active: true,
        created_by: None,
        created_at: workspace.created_at,
        updated_at: workspace.created_at,
    };
    insert(connection, &entry)
}
