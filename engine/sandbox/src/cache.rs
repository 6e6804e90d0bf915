//! Compiled components on disk. A file is native code that will run in this process, so it counts
//! only with a message authentication code over its name and its content; anything else that lies
//! there is deleted, and the component compiled again.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

const MAC_BYTES: usize = 32;
const EXTENSION: &str = "compiled";
/// The largest file that is read. Compiled code is some four times the size of its source.
const MAX_FILE_BYTES: u64 = 512 * 1024 * 1024;

pub(crate) struct Cache {
    directory: PathBuf,
    key: [u8; 32],
    /// Tells apart what different versions and settings of the engine compiled.
    engine_tag: String,
    drafts: AtomicU64,
}

impl Cache {
    /// Makes the directory if need be, and clears out what other engines left there.
    pub(crate) fn open(directory: &Path, key: [u8; 32], engine: &Engine) -> io::Result<Self> {
        make_private(directory)?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine_tag = format!("{:016x}", hasher.finish());
        let cache = Self {
            directory: directory.to_owned(),
            key,
            engine_tag,
            drafts: AtomicU64::new(0),
        };
        cache.clear_out()?;
        Ok(cache)
    }

    /// The compiled component of `wasm`, if it is there and ours.
    pub(crate) fn find(&self, engine: &Engine, wasm: &[u8]) -> Option<Component> {
        let name = self.name(wasm);
        let path = self.directory.join(&name);
        let content = match read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return discard(&path, &error.to_string()),
        };
        let Some((code, compiled)) = content.split_first_chunk::<MAC_BYTES>() else {
            return discard(&path, "it is cut short");
        };
        if self.mac(&name, compiled).verify_slice(code).is_err() {
            return discard(&path, "it was not written by this installation");
        }
        // SAFETY: `deserialize` trusts its input to be what `serialize` gave, and so may we: the
        // bytes, which nobody can change any more, carry a code made with a key that only this
        // installation has, over what `keep` took from `serialize`.
        #[allow(unsafe_code)]
        let component = unsafe { Component::deserialize(engine, compiled) };
        match component {
            Ok(component) => Some(component),
            Err(error) => discard(&path, &format!("{error:#}")),
        }
    }

    /// Keeps what `wasm` was compiled to.
    pub(crate) fn keep(&self, wasm: &[u8], component: &Component) -> io::Result<()> {
        let compiled = component
            .serialize()
            .map_err(|error| io::Error::other(format!("{error:#}")))?;
        let name = self.name(wasm);
        let code = self.mac(&name, &compiled).finalize().into_bytes();
        let draft = self.directory.join(format!(
            "{name}.{}-{}.draft",
            std::process::id(),
            self.drafts.fetch_add(1, Ordering::Relaxed)
        ));
        // Not synced: a file that a crash cut short fails its check and is made again.
        let written = create_private(&draft)
            .and_then(|mut file| {
                file.write_all(&code)?;
                file.write_all(&compiled)
            })
            .and_then(|()| fs::rename(&draft, self.directory.join(name)));
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written
    }

    fn name(&self, wasm: &[u8]) -> String {
        format!(
            "{}-{}.{EXTENSION}",
            hex::encode(Sha256::digest(wasm)),
            self.engine_tag
        )
    }

    fn mac(&self, name: &str, compiled: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(b"heddle compiled component\0");
        mac.update(name.as_bytes());
        mac.update(b"\0");
        mac.update(compiled);
        mac
    }

    fn clear_out(&self) -> io::Result<()> {
        let ours = format!("-{}.{EXTENSION}", self.engine_tag);
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let of_another_engine = name.ends_with(&format!(".{EXTENSION}")) && !name.ends_with(&ours);
            if of_another_engine || is_old_draft(name) {
                let _ = fs::remove_file(&path);
            }
        }
        Ok(())
    }
}

/// A draft that another process left. This one's own, if it has several sandboxes, stay.
fn is_old_draft(name: &str) -> bool {
    name.strip_suffix(".draft")
        .and_then(|rest| rest.rsplit_once('.'))
        .and_then(|(_, writer)| writer.split_once('-'))
        .is_some_and(|(process, _)| process != std::process::id().to_string())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES).read_to_end(&mut content)?;
    Ok(content)
}

fn discard<T>(path: &Path, reason: &str) -> Option<T> {
    tracing::warn!(file = %path.display(), reason, "a compiled plugin in the cache cannot be used; compiling it again");
    let _ = fs::remove_file(path);
    None
}

fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
