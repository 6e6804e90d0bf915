//! The database as one file, copied while a server writes to it; looked into; and rewritten without its
//! free pages. These work on a path, beside a running store or without one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use heddle_core::time::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension};

use crate::error::OpenError;
use crate::open::{self, Key};
use crate::seal::Sealer;
use crate::space;

/// How many instructions of SQLite lie between two reports of a copy's progress.
const REPORT: i32 = 200_000;

/// The most faults of a file that are told.
const FAULTS: usize = 10;

/// The schema version from which on deleted workspaces leave a tombstone.
const TOMBSTONES: i64 = 11;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database to be copied.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no file.
    #[error("there is no database {}", .0.display())]
    Missing(PathBuf),
    /// A copy takes nobody's place.
    #[error("{} is there already, and is not overwritten", .0.display())]
    Exists(PathBuf),
    /// The folder cannot be written to, or the disk is full.
    #[error("{} cannot be written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// SQLite says no.
    #[error("{} cannot be copied", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyProgress {
    /// Bytes that are in the copy's file.
    pub written: u64,
    /// About as many as there will be.
    pub expected: u64,
}

/// What is in a database; of a damaged one, nothing is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Inspection {
    pub bytes: u64,
    pub schema_version: i64,
    /// What is wrong with the file; none when it is sound.
    pub faults: Vec<String>,
    /// Whether the secrets open with the key; `None`: there was none to try, or no use in trying.
    pub key_fits: Option<bool>,
    pub organisations: u64,
    pub workspaces: u64,
    pub connections: u64,
    pub rules: u64,
    pub events: u64,
    pub deliveries: u64,
    /// Those that wait, or were under way.
    pub unfinished: u64,
    /// When the newest event was accepted.
    pub newest_event: Option<Timestamp>,
}

/// Copies the database `from`, which may be in use, into the new file `to`: all that was committed when
/// the copying began and nothing else, without free pages, synced, readable by its owner alone.
/// Nothing is at `to` until it is complete. Returns its bytes.
pub fn copy_database(
    from: &Path,
    to: &Path,
    mut report: impl FnMut(CopyProgress) + Send + 'static,
) -> Result<u64, BackupError> {
    if !from.exists() {
        return Err(BackupError::Missing(from.to_owned()));
    }
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let draft = Draft::new(to)?;
    let sqlite = |source| BackupError::Sqlite {
        path: from.to_owned(),
        source,
    };
    let mut connection = open::beside(from)?;
    let space = space::measured(&connection).map_err(sqlite)?;
    let (path, expected) = (draft.path.clone(), (space.pages - space.free) * space.page_bytes);
    let progress = move || {
        let written = fs::metadata(&path).map_or(0, |file| file.len());
        report(CopyProgress { written, expected });
        false
    };
    if !space.incremental {
        // Holds for the copy; a database that is in use cannot be changed like that.
        connection
            .pragma_update(None, "auto_vacuum", "incremental")
            .map_err(sqlite)?;
    }
    connection
        .progress_handler(REPORT, Some(progress))
        .map_err(sqlite)?;
    // One read transaction: writers go on, and only the log cannot be cut before it ends.
    let name = draft.path.to_string_lossy();
    connection
        .execute("VACUUM INTO ?1", [name.as_ref()])
        .map_err(sqlite)?;
    drop(connection);
    draft.finish(to)
}

/// A file that is being written. Dropped before it is finished, it is removed.
struct Draft {
    path: PathBuf,
    file: File,
}

impl Draft {
    fn new(to: &Path) -> Result<Self, BackupError> {
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(format!(".partial-{}", std::process::id()));
        let path = to.with_file_name(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| BackupError::File {
                path: path.clone(),
                source,
            })?;
        Ok(Self { path, file })
    }

    /// Gives it its name, once the disk has all of it.
    fn finish(self, to: &Path) -> Result<u64, BackupError> {
        let settled = || {
            self.file.sync_all()?;
            // Unlike a rename, a link does not take the place of a file that came meanwhile.
            fs::hard_link(&self.path, to)?;
            let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(fs::metadata(to)?.len())
        };
        settled().map_err(|source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => BackupError::Exists(to.to_owned()),
            _ => BackupError::File {
                path: to.to_owned(),
                source,
            },
        })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Its other name, if it was finished, stays.
        let _ = fs::remove_file(&self.path);
    }
}

/// Puts a copy where a database is to be: nothing may be there, neither a database nor what SQLite keeps
/// beside one. Returns its bytes.
pub fn restore_database(copy: &Path, to: &Path) -> Result<u64, BackupError> {
    for beside in ["", "-wal", "-shm", "-journal"] {
        let mut name = to.as_os_str().to_owned();
        name.push(beside);
        if Path::new(&name).exists() {
            return Err(BackupError::Exists(name.into()));
        }
    }
    copy_database(copy, to, |_| ())
}

/// Reads all of a database and says what is in it and whether it is sound. Nothing is written to it.
pub fn inspect_database(path: &Path, master_key: Option<[u8; 32]>) -> Result<Inspection, BackupError> {
    if !path.exists() {
        return Err(BackupError::Missing(path.to_owned()));
    }
    let connection = open::beside(path)?;
    inspected(&connection, path, master_key.map(Sealer::new)).map_err(|source| BackupError::Sqlite {
        path: path.to_owned(),
        source,
    })
}

/// Copes with every version of the schema: a backup is not migrated to be looked at.
fn inspected(connection: &Connection, path: &Path, key: Option<Sealer>) -> rusqlite::Result<Inspection> {
    let _snapshot = connection.unchecked_transaction()?;
    let faults = faults(connection)?;
    let count = |of: &str| -> rusqlite::Result<u64> {
        // What can be read of a damaged file says nothing.
        if !faults.is_empty() {
            return Ok(0);
        }
        let rows: i64 = connection.query_row(&format!("SELECT count(*) FROM {of}"), [], |row| row.get(0))?;
        Ok(u64::try_from(rows).unwrap_or(0))
    };
    let version = crate::migrate::version(connection)?;
    let newest = "SELECT created_at FROM events ORDER BY id DESC LIMIT 1";
    Ok(Inspection {
        bytes: fs::metadata(path).map_or(0, |file| file.len()),
        schema_version: version,
        key_fits: match key
            .filter(|_| faults.is_empty())
            .map(|key| open::fits(connection, &key))
            .transpose()?
        {
            Some(Key::Fits) => Some(true),
            Some(Key::Other) => Some(false),
            Some(Key::NoneYet) | None => None,
        },
        organisations: count("organisations")?,
        workspaces: count(if version < TOMBSTONES {
            "workspaces"
        } else {
            "live_workspaces"
        })?,
        connections: count("connections")?,
        rules: count("rules")?,
        events: count("events")?,
        deliveries: count("deliveries")?,
        unfinished: count("deliveries WHERE completed_at IS NULL")?,
        newest_event: match faults.is_empty() {
            true => connection
                .query_row(newest, [], |row| row.get(0))
                .optional()?
                .map(Timestamp),
            false => None,
        },
        faults,
    })
}

/// What is wrong with a file; SQLite gives up on some that are.
fn faults(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let read = || {
        let mut check = connection.prepare(&format!("PRAGMA integrity_check({FAULTS})"))?;
        let lines = check.query_map([], |row| row.get::<_, String>(0))?;
        lines.collect::<rusqlite::Result<Vec<_>>>()
    };
    match read() {
        Ok(lines) => Ok(lines.into_iter().filter(|line| line != "ok").collect()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            Ok(vec![error.to_string()])
        }
        Err(error) => Err(error),
    }
}

/// Rewrites a database that nobody else uses without its free pages, and so that later ones can be given
/// back. Returns its bytes before and after.
pub fn vacuum_database(path: &Path) -> Result<(u64, u64), BackupError> {
    if !path.exists() {
        return Err(BackupError::Missing(path.to_owned()));
    }
    let bytes = || fs::metadata(path).map_or(0, |file| file.len());
    let before = bytes();
    let connection = open::beside(path)?;
    let rewrite = || {
        // It would hold the whole copy in memory.
        connection.pragma_update(None, "temp_store", "file")?;
        connection.pragma_update(None, "auto_vacuum", "incremental")?;
        connection.execute_batch("VACUUM")?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    };
    rewrite().map_err(|source| BackupError::Sqlite {
        path: path.to_owned(),
        source,
    })?;
    drop(connection);
    Ok((before, bytes()))
}
