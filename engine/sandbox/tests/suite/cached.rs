//! Compiled plugins are kept between starts, and only what this installation wrote is run.

use std::fs;
use std::path::{Path, PathBuf};

use heddle_core::exchange::Function;
use heddle_sandbox::{Patience, Sandbox, SandboxConfig};

use crate::guests::{Guest, config};

fn open(directory: &Path, key: u8) -> Sandbox {
    let cache_dir = Some(directory.join("cache"));
    Sandbox::new(SandboxConfig {
        cache_dir,
        cache_key: [key; 32],
        ..config()
    })
    .unwrap()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory.join("cache"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Loads and calls a plugin; gives its cache file.
fn load(sandbox: &Sandbox, directory: &Path, guest: &Guest) -> PathBuf {
    let before = files(directory);
    let plugin = sandbox.load("acme.wasm", &guest.wasm()).unwrap();
    assert_eq!(plugin.manifest().name, guest.name);
    assert!(
        plugin
            .call(Function::Deliver, "{}", &[], Patience::Full)
            .unwrap()
            .is_ok()
    );
    let after = files(directory);
    after
        .iter()
        .find(|file| !before.contains(file))
        .unwrap_or(&after[0])
        .clone()
}

fn identity(file: &Path) -> (u64, std::time::SystemTime) {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(file).unwrap();
    (metadata.ino(), metadata.modified().unwrap())
}

#[test]
fn a_plugin_is_compiled_once_and_read_at_the_next_start() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let guest = Guest::polite("acme");
    let file = load(&open(home.path(), 1), home.path(), &guest);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let written = identity(&file);
    load(&open(home.path(), 1), home.path(), &guest);
    assert_eq!(identity(&file), written);
    assert_eq!(files(home.path()), [file]);
}

#[test]
fn a_file_that_was_changed_is_thrown_away_and_made_again() {
    let home = tempfile::tempdir().unwrap();
    let guest = Guest::polite("acme");
    let file = load(&open(home.path(), 1), home.path(), &guest);
    let honest = fs::read(&file).unwrap();
    let mut bent = honest.clone();
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    let mut signed_anew = honest.clone();
    signed_anew[0] ^= 1;
    let longer = [honest.as_slice(), b"\0"].concat();
    for damaged in [
        bent,
        signed_anew,
        longer,
        honest[..honest.len() - 1].to_vec(),
        honest[..20].to_vec(),
        vec![],
    ] {
        fs::write(&file, &damaged).unwrap();
        load(&open(home.path(), 1), home.path(), &guest);
        assert_eq!(fs::read(&file).unwrap().len(), honest.len());
        assert_ne!(fs::read(&file).unwrap(), damaged);
    }
}

#[test]
fn a_file_written_with_another_key_is_thrown_away() {
    let home = tempfile::tempdir().unwrap();
    let guest = Guest::polite("acme");
    let file = load(&open(home.path(), 1), home.path(), &guest);
    let written = fs::read(&file).unwrap();
    load(&open(home.path(), 2), home.path(), &guest);
    assert_ne!(fs::read(&file).unwrap()[..32], written[..32]);
}

#[test]
fn one_plugins_file_does_not_pass_for_anothers() {
    let home = tempfile::tempdir().unwrap();
    let sandbox = open(home.path(), 1);
    let acme = load(&sandbox, home.path(), &Guest::polite("acme"));
    let other = load(&sandbox, home.path(), &Guest::polite("other"));
    assert_ne!(acme, other);
    fs::copy(&other, &acme).unwrap();
    // `load` checks the name: the other component would give its own.
    load(&open(home.path(), 1), home.path(), &Guest::polite("acme"));
}

#[test]
fn what_other_engines_and_lost_drafts_left_is_cleared_out() {
    let home = tempfile::tempdir().unwrap();
    let kept = load(&open(home.path(), 1), home.path(), &Guest::polite("acme"));
    let cache = home.path().join("cache");
    fs::write(cache.join("00ff-0000000000000000.compiled"), "old").unwrap();
    fs::write(cache.join("00ff-0000000000000000.compiled.1-0.draft"), "lost").unwrap();
    fs::write(cache.join("README"), "somebody's").unwrap();
    open(home.path(), 1);
    assert_eq!(files(home.path()), [kept, cache.join("README")]);
}

#[test]
fn a_cache_that_cannot_be_made_is_an_error_at_the_start() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("cache"), "a file").unwrap();
    let cache_dir = Some(home.path().join("cache"));
    let error = Sandbox::new(SandboxConfig {
        cache_dir,
        ..config()
    })
    .err()
    .unwrap();
    assert!(error.to_string().contains("cache directory"), "{error}");
}
