//! The data folder: the database, the master key, plugins, the compile cache and the lock that
//! keeps two servers from using it at once.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::machine;

/// The database's name in the folder.
pub const DATABASE: &str = "heddle.db";

/// The generated master key's.
pub const MASTER_KEY: &str = "master.key";

/// The data folder.
#[derive(Clone, Debug)]
pub struct Home {
    path: PathBuf,
    master_key: [u8; 32],
}

impl Home {
    /// Opens the folder, and makes it and its master key when they are not there. `master_key` is
    /// the configured one, 64 hexadecimal digits.
    pub fn open(path: &Path, master_key: Option<&str>) -> Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("making the data folder {}", path.display()))?;
        let master_key = match master_key {
            Some(text) => parse_key(text).context("HEDDLE_MASTER_KEY cannot be used")?,
            None => stored_key(&path.join(MASTER_KEY))?,
        };
        Ok(Self {
            path: path.to_owned(),
            master_key,
        })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Where an operator puts plugins.
    pub fn plugins(&self) -> PathBuf {
        self.path.join("plugins")
    }

    /// Where compiled plugins are kept between starts.
    pub fn cache(&self) -> PathBuf {
        self.path.join("cache")
    }

    /// Seals the secrets in the database.
    pub fn master_key(&self) -> [u8; 32] {
        self.master_key
    }

    /// Authenticates the compile cache; made from the master key, so that neither tells the other.
    pub fn cache_key(&self) -> Result<[u8; 32]> {
        self.derived_key(b"heddle compile cache")
    }

    /// Signs the access tokens of sessions; made from the master key.
    pub fn session_key(&self) -> Result<[u8; 32]> {
        self.derived_key(b"heddle session tokens")
    }

    fn derived_key(&self, purpose: &[u8]) -> Result<[u8; 32]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.master_key).context("making a key")?;
        mac.update(purpose);
        Ok(mac.finalize().into_bytes().into())
    }

    /// Keeps other servers out for as long as the returned file is open.
    pub fn lock(&self) -> Result<File> {
        let path = self.path.join("heddle.lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => bail!(
                "another heddle serves from {}; stop it, or give this one its own --data-dir",
                self.path.display()
            ),
            Err(fs::TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("locking {}", path.display()))
            }
        }
    }
}

/// The configured key, or the one in the folder; none is made.
pub fn known_key(path: &Path, master_key: Option<&str>) -> Result<Option<[u8; 32]>> {
    match master_key {
        Some(text) => parse_key(text)
            .context("HEDDLE_MASTER_KEY cannot be used")
            .map(Some),
        None if path.join(MASTER_KEY).exists() => stored_key(&path.join(MASTER_KEY)).map(Some),
        None => Ok(None),
    }
}

/// The key in the file, made with mode 0600 when there is none. Two processes may come here at
/// once (`heddle serve` and `heddle keys create`): the whole key appears under its name at once,
/// and the one that comes second reads it.
fn stored_key(path: &Path) -> Result<[u8; 32]> {
    let shown = path.display();
    if !path.exists() {
        let draft = path.with_extension(format!("draft-{}", hex::encode(machine::random::<8>())));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .with_context(|| format!("writing the master key {shown}"))?;
        file.write_all(hex::encode(machine::random::<32>()).as_bytes())
            .and_then(|()| file.sync_all())
            .with_context(|| format!("writing the master key {shown}"))?;
        let linked = fs::hard_link(&draft, path);
        fs::remove_file(&draft).with_context(|| format!("writing the master key {shown}"))?;
        if let Err(error) = linked
            && error.kind() != ErrorKind::AlreadyExists
        {
            return Err(error).with_context(|| format!("writing the master key {shown}"));
        }
    }
    let text = fs::read_to_string(path).with_context(|| format!("reading the master key {shown}"))?;
    parse_key(text.trim()).with_context(|| format!("the master key {shown} cannot be used"))
}

fn parse_key(text: &str) -> Result<[u8; 32]> {
    let mut key = [0; 32];
    hex::decode_to_slice(text, &mut key)
        .ok()
        .context("a master key is 64 hexadecimal digits; make one with: openssl rand -hex 32")?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_master_key_is_made_once_and_readable_by_its_owner_alone() {
        let folder = std::env::temp_dir().join(format!("heddle-home-{}", std::process::id()));
        let first = Home::open(&folder, None).unwrap();
        let second = Home::open(&folder, None).unwrap();
        assert_eq!(first.master_key(), second.master_key());
        let mode = fs::metadata(folder.join("master.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let held = first.lock().unwrap();
        let error = second.lock().unwrap_err().to_string();
        assert!(error.contains("another heddle"), "{error}");
        drop(held);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_configured_key_must_be_whole() {
        assert!(parse_key(&"ab".repeat(32)).is_ok());
        for bad in ["", "ab", &"zz".repeat(32), &"ab".repeat(33)] {
            assert!(parse_key(bad).is_err(), "{bad}");
        }
    }
}
