//! What would cost every test seconds and tells it nothing: compiling the bundled plugins anew.
//! Homes share one master key, and the compiled plugins of one home are linked into the next, as if
//! all of them were one installation that starts again.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The key of all warm homes; it authenticates what they share.
const MASTER_KEY: &str = "6865646c65206865646c65206865646c65206865646c65206865646c65206865";

/// Makes the data folder of a home that starts warm. What cannot be linked is compiled anew.
pub fn prepare(data: &Path, binary: &Path) -> std::io::Result<()> {
    use std::io::Write;
    let cache = data.join("cache");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&cache)?;
    let mut key = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(data.join("master.key"))?;
    key.write_all(MASTER_KEY.as_bytes())?;
    link_all(&shared(binary), &cache);
    Ok(())
}

/// Keeps what the home has compiled, for the next.
pub fn keep(data: &Path, binary: &Path) {
    let shared = shared(binary);
    if fs::create_dir_all(&shared).is_ok() {
        link_all(&data.join("cache"), &shared);
    }
}

/// The shared folder: one for each build of the binary; those of earlier builds are removed.
fn shared(binary: &Path) -> PathBuf {
    let built = fs::metadata(binary).and_then(|metadata| metadata.modified()).ok();
    let built = built
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |time| time.as_millis());
    let parent = binary.with_file_name("heddle-tests-cache");
    let own = parent.join(built.to_string());
    for entry in fs::read_dir(&parent).into_iter().flatten().flatten() {
        if entry.path() != own {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    own
}

/// Links every compiled plugin that is not there yet; files are replaced whole, never rewritten.
fn link_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "compiled")
        {
            let _ = fs::hard_link(entry.path(), to.join(entry.file_name()));
        }
    }
}
