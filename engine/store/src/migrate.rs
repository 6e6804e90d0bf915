//! Migrations: forward only, each in one transaction, counted in `user_version`. `schema.sql` shows
//! what they come to; a test holds the two together.

use rusqlite::{Connection, TransactionBehavior};

use crate::stop::{self, Stop};

/// In order; the first makes version 1. What was published is never edited.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_first.sql"),
    include_str!("../migrations/0002_replays.sql"),
    include_str!("../migrations/0003_key_scopes.sql"),
    include_str!("../migrations/0004_idempotency.sql"),
    include_str!("../migrations/0005_mappings.sql"),
    include_str!("../migrations/0006_terms.sql"),
    include_str!("../migrations/0007_sessions.sql"),
    include_str!("../migrations/0008_conditions.sql"),
    include_str!("../migrations/0009_usage.sql"),
    include_str!("../migrations/0010_publishable_keys.sql"),
    include_str!("../migrations/0011_workspace_deletion.sql"),
    include_str!("../migrations/0012_retention.sql"),
    include_str!("../migrations/0013_ordering.sql"),
    include_str!("../migrations/0014_cheap_checks.sql"),
    include_str!("../migrations/0015_left_behind.sql"),
    include_str!("../migrations/0016_walks.sql"),
    include_str!("../migrations/0017_replay_steps.sql"),
    include_str!("../migrations/0018_usage_of_organisations.sql"),
];

/// The version that this program writes.
pub(crate) fn latest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// The version of a database; 0 is an empty one.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings a database to the latest version. Another process may be at it at the same time.
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    while version(connection)? < latest() {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let from = version(&transaction)?;
        let step = usize::try_from(from).ok().and_then(|from| MIGRATIONS.get(from));
        if let Some(migration) = step {
            transaction.execute_batch(migration)?;
            transaction.pragma_update(None, "user_version", from + 1)?;
            stop::at(Stop::InMigration);
        }
        transaction.commit()?;
        stop::at(Stop::BetweenMigrations);
    }
    Ok(())
}
