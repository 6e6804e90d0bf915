//! What the hot path's commands need to know of rules and workspaces again and again, read once. It is
//! kept from one commit to the next for as long as nothing runs that could change it ([`Writer::write`]
//! could): the writer is the only one who writes.
//!
//! [`Writer::write`]: crate::writer::Writer::write

use std::collections::HashMap;
use std::sync::Arc;

use heddle_core::id::{ConnectionId, OrganisationId, RuleId, WorkspaceId};
use heddle_core::rule::Rule;
use rusqlite::{Connection, OptionalExtension};

use crate::error::StoreError;
use crate::rules;

/// Entries, and bytes of the rules' long texts, beyond which everything is forgotten between two commits.
const ENTRIES: usize = 16_384;
const TEXT: usize = 16 << 20;

/// See the module.
#[derive(Default)]
pub(crate) struct Memo {
    rules: HashMap<RuleId, Option<Arc<Rule>>>,
    text: usize,
    organisations: HashMap<WorkspaceId, Option<OrganisationId>>,
    dead: HashMap<ConnectionId, bool>,
}

impl Memo {
    /// A rule; `None` when it is gone.
    pub fn rule(&mut self, connection: &Connection, id: RuleId) -> Result<Option<Arc<Rule>>, StoreError> {
        if let Some(known) = self.rules.get(&id) {
            return Ok(known.clone());
        }
        let found = rules::find(connection, id)?.map(Arc::new);
        self.text += found.as_deref().map_or(0, rules::text_bytes);
        self.rules.insert(id, found.clone());
        Ok(found)
    }

    /// The organization of a workspace that is not deleted.
    pub fn organisation(
        &mut self,
        connection: &Connection,
        workspace: WorkspaceId,
    ) -> Result<Option<OrganisationId>, StoreError> {
        if let Some(known) = self.organisations.get(&workspace) {
            return Ok(*known);
        }
        let found = connection
            .prepare_cached("SELECT organisation FROM live_workspaces WHERE id = ?1")?
            .query_row([workspace.as_bytes()], |row| row.get(0))
            .optional()?
            .map(OrganisationId::from_bytes);
        self.organisations.insert(workspace, found);
        Ok(found)
    }

    /// Whether the workspace of a lane was deleted: nothing of it is delivered any more.
    pub fn is_dead(&mut self, connection: &Connection, lane: ConnectionId) -> Result<bool, StoreError> {
        if let Some(known) = self.dead.get(&lane) {
            return Ok(*known);
        }
        let sql = "SELECT 1 FROM connections c JOIN workspaces w ON w.id = c.workspace
                   WHERE c.id = ?1 AND w.deleted_at IS NOT NULL";
        let found = connection.prepare_cached(sql)?.exists([lane.as_bytes()])?;
        self.dead.insert(lane, found);
        Ok(found)
    }

    /// The same, or nothing when it has become large.
    pub fn within_bounds(self) -> Self {
        let entries = self.rules.len() + self.organisations.len() + self.dead.len();
        if entries > ENTRIES * 3 || self.text > TEXT {
            return Self::default();
        }
        self
    }
}
