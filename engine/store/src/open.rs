//! From a path to connections that are set up alike.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Once;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, ffi};

use crate::error::{OpenError, StoreError};
use crate::records::{StoreConfig, Synchronous};
use crate::seal::{Place, Sealer};
use crate::{migrate, page_cache};

/// `HDLE`: tells Heddle's databases from others'.
pub(crate) const APPLICATION_ID: i32 = 0x4844_4c45;

/// How long a statement waits for another process, such as `heddle keys create`.
const BUSY: Duration = Duration::from_secs(5);

/// Statements that a connection keeps prepared; more than there are.
const STATEMENTS: usize = 128;

/// Opens the connection that writes: makes or migrates the database and checks the master key.
pub(crate) fn writer(config: &StoreConfig, sealer: &Sealer) -> Result<Connection, OpenError> {
    before_sqlite();
    let path = &config.path;
    create_private(path).map_err(|source| OpenError::File {
        path: path.clone(),
        source,
    })?;
    let sqlite = |source| OpenError::Sqlite {
        path: path.clone(),
        source,
    };
    let mut connection = Connection::open_with_flags(path, flags()).map_err(sqlite)?;
    set_up(&connection).map_err(sqlite)?;
    refuse_foreign(&connection, path)?;
    patiently(|| prepare(&mut connection, config.synchronous)).map_err(sqlite)?;
    check_key(&connection, sealer, path)?;
    Ok(connection)
}

/// Opens a connection that reads.
pub(crate) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, flags())?;
    set_up(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// What SQLite must be told before it is used for the first time; where it runs already, it refuses, and
/// nothing is changed. It is not to count its memory, which costs a lock for every allocation, on all
/// threads the same; and its [`page_cache`] has something before it.
pub(crate) fn before_sqlite() {
    static ONCE: Once = Once::new();
    #[allow(unsafe_code)]
    // SAFETY: the option takes an int, and no other thread is in SQLite: everybody opens the connection
    // that writes first.
    ONCE.call_once(|| {
        let _ = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, 0) };
        page_cache::install();
    });
}

/// Opens a database as it is, in use or not: nothing is made, migrated or written.
pub(crate) fn beside(path: &Path) -> Result<Connection, OpenError> {
    before_sqlite();
    let sqlite = |source| OpenError::Sqlite {
        path: path.to_owned(),
        source,
    };
    let connection = Connection::open_with_flags(path, flags()).map_err(sqlite)?;
    set_up(&connection).map_err(sqlite)?;
    refuse_foreign(&connection, path)?;
    // No schema is in an empty file, which is otherwise not foreign.
    if migrate::version(&connection).map_err(sqlite)? == 0 {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
        });
    }
    Ok(connection)
}

fn flags() -> OpenFlags {
    // Every connection has one user at a time, so SQLite's own locks are not needed.
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// Payloads are personal data: the file, and the files that SQLite makes beside it with the same
/// mode, are their owner's.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    // A plan that depends on the values of parameters would be made anew for each run of a statement.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "foreign_keys", true)?;
    // What is deleted is overwritten, and not only forgotten: it is other people's personal data.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    // In KiB when negative.
    connection.pragma_update(None, "cache_size", -32_768)?;
    // No schema function of a database that somebody else prepared may run with side effects.
    connection.pragma_update(None, "trusted_schema", false)
}

fn refuse_foreign(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let sqlite = |source| OpenError::Sqlite {
        path: path.to_owned(),
        source,
    };
    // In this order, since another process may be making the database: it writes the id first.
    let objects: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(sqlite)?;
    let id = application_id(connection).map_err(sqlite)?;
    if id != APPLICATION_ID && (id != 0 || objects > 0) {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
        });
    }
    let found = migrate::version(connection).map_err(sqlite)?;
    let known = migrate::latest();
    if found > known {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    Ok(())
}

fn application_id(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "application_id", |row| row.get(0))
}

/// Repeats what another process that makes the same database holds up. SQLite does not wait by itself
/// for the change to WAL: two connections that wait for each other there would wait for ever.
fn patiently(mut work: impl FnMut() -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    let until = Instant::now() + BUSY;
    loop {
        match work() {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < until =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            ended => return ended,
        }
    }
}

fn prepare(connection: &mut Connection, synchronous: Synchronous) -> rusqlite::Result<()> {
    if application_id(connection)? != APPLICATION_ID {
        // Lets space be given back later; it must be said before there is anything in the file.
        connection.pragma_update(None, "auto_vacuum", "incremental")?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    connection.pragma_update(None, "journal_mode", "wal")?;
    let level = match synchronous {
        Synchronous::Full => "full",
        Synchronous::Normal => "normal",
    };
    connection.pragma_update(None, "synchronous", level)?;
    // In pages of 4 KiB: hot pages are written back once for many commits.
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    migrate::migrate(connection)
}

/// Where something known is sealed, by which a master key is told from others.
const KEY_CHECK: Place<'_> = Place {
    table: "meta",
    row: b"key_check",
};

/// What a master key is to a database.
pub(crate) enum Key {
    Fits,
    Other,
    /// It was not made with any yet.
    NoneYet,
}

/// Whether the secrets of a database open with this key.
pub(crate) fn fits(connection: &Connection, sealer: &Sealer) -> rusqlite::Result<Key> {
    let sql = "SELECT value FROM meta WHERE name = 'key_check'";
    let check = connection
        .query_row(sql, [], |row| row.get::<_, Vec<u8>>(0))
        .optional()?;
    Ok(match check {
        None => Key::NoneYet,
        Some(check) if sealer.open(KEY_CHECK, &check).is_ok() => Key::Fits,
        Some(_) => Key::Other,
    })
}

/// Compares the master key with the one that the database was made with.
fn check_key(connection: &Connection, sealer: &Sealer, path: &Path) -> Result<(), OpenError> {
    let sqlite = |source| OpenError::Sqlite {
        path: path.to_owned(),
        source,
    };
    if let Key::NoneYet = fits(connection, sealer).map_err(sqlite)? {
        let check = sealer
            .seal(KEY_CHECK, b"heddle")
            .map_err(|error| OpenError::Machine(error.to_string()))?;
        // Another process may have been faster; then its key counts.
        connection
            .execute(
                "INSERT OR IGNORE INTO meta (name, value) VALUES ('key_check', ?1)",
                [check],
            )
            .map_err(sqlite)?;
    }
    match fits(connection, sealer).map_err(sqlite)? {
        Key::Fits => Ok(()),
        _ => Err(OpenError::WrongMasterKey {
            path: path.to_owned(),
        }),
    }
}
