//! What the commands of one commit need to know again and again, read once. It lives no longer than the
//! commit, in which nothing runs that could change it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use heddle_core::id::{ConnectionId, OrganisationId, RuleId, WorkspaceId};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::error::StoreError;

/// Where a rule leads.
#[derive(Clone, Debug)]
pub(crate) struct Lead {
    pub workspace: WorkspaceId,
    pub connection: ConnectionId,
    pub kind: String,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Memo {
    leads: HashMap<RuleId, Option<Lead>>,
    organisations: HashMap<WorkspaceId, Option<OrganisationId>>,
}

impl Memo {
    /// Where a rule leads; `None` when it is gone.
    pub fn lead(&mut self, connection: &Connection, rule: RuleId) -> Result<Option<&Lead>, StoreError> {
        let vacant = match self.leads.entry(rule) {
            Entry::Occupied(known) => return Ok(known.into_mut().as_ref()),
            Entry::Vacant(vacant) => vacant,
        };
        let sql = "SELECT workspace, connection, kind FROM rules WHERE id = ?1";
        let read = |row: &Row<'_>| {
            Ok(Lead {
                workspace: WorkspaceId::from_bytes(row.get(0)?),
                connection: ConnectionId::from_bytes(row.get(1)?),
                kind: row.get(2)?,
            })
        };
        let found = connection
            .prepare_cached(sql)?
            .query_row([rule.as_bytes()], read)
            .optional()?;
        Ok(vacant.insert(found).as_ref())
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
}
