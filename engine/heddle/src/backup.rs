//! `heddle backup`, `verify`, `restore` and `vacuum`: the database as one file.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::Path;

use anyhow::{Context, Result, bail};
use heddle_core::time::Clock;
use heddle_store::{CopyProgress, Inspection};
use serde_json::{Value, json};

use crate::home::{self, Home};
use crate::machine::SystemClock;
use crate::settings::Settings;

/// Says something beside the result; nobody need read it.
macro_rules! tell {
    ($($text:tt)*) => {{
        let _ = writeln!(stderr(), $($text)*);
    }};
}

const MIB: u64 = 1024 * 1024;

/// Copies the database to `to`, a file that is not there or a folder that is, beside a running server
/// or without one.
pub fn backup(settings: &Settings, to: &Path) -> Result<()> {
    let from = settings.data_dir.join(home::DATABASE);
    let to = if to.is_dir() {
        to.join(file_name(&SystemClock.now().to_string()))
    } else {
        to.to_owned()
    };
    let shown = stderr().is_terminal();
    let bytes = heddle_store::copy_database(&from, &to, move |progress| {
        if shown {
            show(progress);
        }
    })?;
    if shown {
        let _ = write!(stderr(), "\r\x1b[K");
    }
    writeln!(stdout(), "{}", json!({"backup": to, "bytes": bytes}))?;
    tell!(
        "The master key is not in the backup, and without it no credential in it can be opened. Keep it, \
         and keep it apart: {}.",
        match settings.master_key {
            Some(_) => "it is the one in HEDDLE_MASTER_KEY".to_owned(),
            None => format!("it is in {}", settings.data_dir.join(home::MASTER_KEY).display()),
        }
    );
    Ok(())
}

/// A name that sorts by time and is good on every file system.
fn file_name(now: &str) -> String {
    let time: String = now.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("heddle-{time}.db")
}

fn show(CopyProgress { written, expected }: CopyProgress) {
    let _ = write!(
        stderr(),
        "\r{} of about {} MiB",
        written / MIB,
        expected.div_ceil(MIB)
    );
}

/// Says what is in a backup and whether it could be restored with the master key of this configuration.
pub fn verify(settings: &Settings, file: &Path) -> Result<()> {
    let key = home::known_key(&settings.data_dir, settings.master_key.as_deref())?;
    let found = heddle_store::inspect_database(file, key)?;
    writeln!(stdout(), "{}", report(file, &found))?;
    if key.is_none() {
        tell!(
            "There was no master key to try: set HEDDLE_MASTER_KEY, or --data-dir to the folder that has it."
        );
    }
    good(file, &found)
}

fn report(file: &Path, found: &Inspection) -> Value {
    json!({
        "file": file,
        "bytes": found.bytes,
        "schema_version": found.schema_version,
        "sound": found.faults.is_empty(),
        "faults": found.faults,
        "master_key_fits": found.key_fits,
        "organizations": found.organisations,
        "workspaces": found.workspaces,
        "connections": found.connections,
        "rules": found.rules,
        "events": found.events,
        "deliveries": found.deliveries,
        "unfinished_deliveries": found.unfinished,
        "newest_event_at": found.newest_event.map(|at| at.to_string()),
    })
}

fn good(file: &Path, found: &Inspection) -> Result<()> {
    if !found.faults.is_empty() {
        bail!("{} is damaged: {}", file.display(), found.faults.join("; "));
    }
    if found.key_fits == Some(false) {
        bail!(
            "the master key is not the one that {} was made with: its secrets cannot be opened",
            file.display()
        );
    }
    Ok(())
}

/// Puts a backup into the data folder, in which there must be no database yet, after checking it.
pub fn restore(settings: &Settings, file: &Path) -> Result<()> {
    let to = settings.data_dir.join(home::DATABASE);
    let key = home::known_key(&settings.data_dir, settings.master_key.as_deref())?.with_context(|| {
        format!(
            "the backup's master key is needed: set HEDDLE_MASTER_KEY, or put it into {}",
            settings.data_dir.join(home::MASTER_KEY).display()
        )
    })?;
    let found = heddle_store::inspect_database(file, Some(key))?;
    good(file, &found)?;
    let home = Home::open(&settings.data_dir, settings.master_key.as_deref())?;
    let _lock = home.lock()?;
    heddle_store::restore_database(file, &to)?;
    writeln!(stdout(), "{}", report(&to, &found))?;
    tell!(
        "Before you start it: the server that the backup was made of must not run any more, or both deliver. \
         What that one delivered after the backup is delivered again, with the same ids."
    );
    Ok(())
}

/// Rewrites the database of a stopped server without its free pages.
pub fn vacuum(settings: &Settings) -> Result<()> {
    let database = settings.data_dir.join(home::DATABASE);
    if !database.exists() {
        bail!("there is no database {}", database.display());
    }
    let home = Home::open(&settings.data_dir, settings.master_key.as_deref())?;
    let _lock = home.lock()?;
    let (before, after) = heddle_store::vacuum_database(&database)?;
    writeln!(stdout(), "{}", json!({"bytes_before": before, "bytes": after}))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_in_a_folder_is_named_by_its_time() {
        assert_eq!(
            file_name("2026-03-20T09:46:40.123Z"),
            "heddle-20260320T094640123Z.db"
        );
    }
}
