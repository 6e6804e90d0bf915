//! Millions of stored deliveries without years of emitting: the engine writes some thousand, and
//! while it is stopped their rows are written again and again with earlier ids and times. So the
//! rows are the engine's own, and this file knows of the schema only how it tells ids and times.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OpenFlags};

/// Ids of what is there before the history, and stays the same in all of it.
const KEPT: [&str; 4] = ["organisation", "workspace", "rule", "connection"];

/// How many rows each table has.
pub type Census = BTreeMap<String, u64>;

/// Counts the rows of every table.
pub fn census(database: &Path) -> Result<Census> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let counted = |table: String| Ok((table.clone(), count(&connection, "main", &table)?));
    tables(&connection)?.into_iter().map(counted).collect()
}

fn count(connection: &Connection, schema: &str, table: &str) -> Result<u64> {
    let sql = format!("SELECT count(*) FROM {schema}.\"{table}\"");
    let rows: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
    Ok(u64::try_from(rows)?)
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    connection
        .prepare(sql)?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// A table of the history, and how its rows are read for an earlier time.
#[derive(Debug)]
struct Table {
    name: String,
    columns: String,
    earlier: String,
}

/// Some thousand deliveries that the engine made, to be written again for earlier times.
#[derive(Debug)]
pub struct Pattern {
    database: PathBuf,
    pattern: PathBuf,
    tables: Vec<Table>,
    deliveries: u64,
}

impl Pattern {
    /// What was stored since `before` becomes the pattern. The engine must be stopped.
    pub fn keep(database: &Path, before: &Census) -> Result<Self> {
        let pattern = database.with_extension("pattern");
        let connection = open(database)?;
        connection.execute("ATTACH ?1 AS pattern", [path(&pattern)?])?;
        let mut kept = Vec::new();
        for (name, rows) in census(database)? {
            let grown = rows > before.get(&name).copied().unwrap_or(0);
            if let Some(table) = table(&connection, &name)?.filter(|_| grown) {
                connection.execute_batch(&format!(
                    "CREATE TABLE pattern.\"{name}\" AS SELECT * FROM main.\"{name}\""
                ))?;
                kept.push(table);
            }
        }
        let deliveries = count(&connection, "pattern", "deliveries")?;
        ensure!(deliveries > 0, "the engine stored no delivery");
        Ok(Self {
            database: database.to_owned(),
            pattern,
            tables: kept,
            deliveries,
        })
    }

    /// Deliveries of the pattern itself.
    pub fn deliveries(&self) -> u64 {
        self.deliveries
    }

    /// Makes the history anew: as many deliveries as are asked for, to the next multiple of the
    /// pattern, evenly over the time `span`, the last of them `age` before the pattern. Returns how
    /// many. The engine must be stopped; `tell` hears the share that is done.
    pub fn fill(&self, deliveries: u64, span: Duration, age: Duration, tell: impl Fn(f64)) -> Result<u64> {
        let copies = deliveries.div_ceil(self.deliveries);
        let connection = open(&self.database)?;
        // A crash would lose the file; it is a copy that can be made again.
        connection.execute_batch(
            "PRAGMA journal_mode = DELETE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
             PRAGMA cache_size = -400000; PRAGMA locking_mode = EXCLUSIVE",
        )?;
        connection.execute("ATTACH ?1 AS pattern", [path(&self.pattern)?])?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for table in &self.tables {
            connection.execute_batch(&format!("DELETE FROM main.\"{}\"", table.name))?;
        }
        let step = i64::try_from(span.as_millis())? / i64::try_from(copies)?;
        for copy in (0..copies).rev() {
            let shift = -step * i64::try_from(copy)? - i64::try_from(age.as_millis())?;
            for table in &self.tables {
                let Table {
                    name,
                    columns,
                    earlier,
                } = table;
                let sql = format!(
                    "INSERT INTO main.\"{name}\" ({columns}) SELECT {earlier} FROM pattern.\"{name}\""
                );
                connection
                    .prepare_cached(&sql)?
                    .execute([shift])
                    .with_context(|| format!("writing {name}"))?;
            }
            if copy % 100 == 99 {
                connection.execute_batch("COMMIT; BEGIN IMMEDIATE")?;
                tell((copies - copy) as f64 / copies as f64);
            }
        }
        connection.execute_batch("COMMIT")?;
        // Else the next start would wait until the disk has what was written here.
        File::open(&self.database)?.sync_all()?;
        let stored = count(&connection, "main", "deliveries")?;
        ensure!(
            stored == copies * self.deliveries,
            "{stored} deliveries were written, not {copies} times {}",
            self.deliveries
        );
        Ok(stored)
    }
}

/// The table, when its rows have ids of their own.
fn table(connection: &Connection, name: &str) -> Result<Option<Table>> {
    let mut statement = connection.prepare("SELECT name, type FROM pragma_table_info(?1) ORDER BY cid")?;
    let columns: Vec<(String, String)> = statement
        .query_map([name], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let (mut earlier, mut has_id) = (Vec::new(), false);
    for (column, kind) in &columns {
        let is_id = kind == "BLOB"
            && !KEPT.contains(&column.as_str())
            && {
                let sql = format!(
                    "SELECT min(length(\"{column}\")) = 16 AND max(length(\"{column}\")) = 16 FROM main.\"{name}\""
                );
                connection.query_row(&sql, [], |row| row.get::<_, Option<bool>>(0))? == Some(true)
            };
        has_id |= is_id;
        let is_time = kind == "INTEGER" && (column.ends_with("_at") || column.ends_with("_until"));
        earlier.push(if is_id {
            format!("later(\"{column}\", ?1)")
        } else if is_time {
            format!("\"{column}\" + ?1")
        } else {
            format!("\"{column}\"")
        });
    }
    let names: Vec<String> = columns
        .iter()
        .map(|(column, _)| format!("\"{column}\""))
        .collect();
    Ok(has_id.then(|| Table {
        name: name.to_owned(),
        columns: names.join(", "),
        earlier: earlier.join(", "),
    }))
}

fn open(database: &Path) -> Result<Connection> {
    let connection = Connection::open(database).with_context(|| format!("opening {}", database.display()))?;
    connection.execute_batch("PRAGMA foreign_keys = OFF")?;
    let flags = FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_UTF8;
    connection.create_scalar_function("later", 2, flags, |values| {
        let id: [u8; 16] = values.get(0)?;
        Ok(later(id, values.get(1)?))
    })?;
    Ok(connection)
}

/// The id that would have been made so many milliseconds later, of the same randomness.
fn later(mut id: [u8; 16], millis: i64) -> [u8; 16] {
    let mut made = [0; 8];
    made[2..].copy_from_slice(&id[..6]);
    let made = u64::from_be_bytes(made).saturating_add_signed(millis);
    id[..6].copy_from_slice(&made.to_be_bytes()[2..]);
    id
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("the folder's name is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_id_has_a_later_time_and_the_same_randomness() {
        let id = [0, 0, 0, 0, 1, 0, 0x70, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        assert_eq!(later(id, -1)[..7], [0, 0, 0, 0, 0, 255, 0x70]);
        assert_eq!(later(later(id, 5), -5), id);
        assert_eq!(later(id, 1)[6..], id[6..]);
    }

    #[test]
    fn what_grew_is_written_again_for_earlier_times_and_all_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("test.db");
        let connection = Connection::open(&database).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE rules (id BLOB PRIMARY KEY);
                 INSERT INTO rules VALUES (zeroblob(16));
                 CREATE TABLE usage (workspace BLOB, day INTEGER);
                 CREATE TABLE deliveries (id BLOB PRIMARY KEY, rule BLOB, kind TEXT, created_at INTEGER, ended_at INTEGER)",
            )
            .unwrap();
        let before = census(&database).unwrap();
        connection
            .execute_batch(
                "INSERT INTO usage VALUES (zeroblob(16), 1);
                 INSERT INTO deliveries VALUES
                     (x'00000001000070000000000000000001', zeroblob(16), 'a', 65536, NULL),
                     (x'00000001000070000000000000000002', zeroblob(16), 'b', 65536, 65537)",
            )
            .unwrap();
        let pattern = Pattern::keep(&database, &before).unwrap();
        assert_eq!(pattern.deliveries(), 2);
        drop(connection);
        assert_eq!(
            pattern
                .fill(5, Duration::from_millis(300), Duration::ZERO, |_| ())
                .unwrap(),
            6
        );
        let connection = Connection::open(&database).unwrap();
        let mut statement = connection
            .prepare("SELECT hex(substr(id, 1, 6)), kind, created_at, ended_at, length(rule) FROM deliveries ORDER BY id")
            .unwrap();
        let rows: Vec<(String, String, i64, Option<i64>, i64)> = statement
            .query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(rows[0], ("00000000FF38".into(), "a".into(), 65336, None, 16));
        assert_eq!(
            rows[5],
            ("000000010000".into(), "b".into(), 65536, Some(65537), 16)
        );
        assert_eq!(census(&database).unwrap()["usage"], 1);
    }
}
