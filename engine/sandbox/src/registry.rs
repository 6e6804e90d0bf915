//! The plugins by name: those in the binary and those that an operator put into a directory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use crate::error::{LoadError, LoadProblem};
use crate::limits::MAX_WASM_BYTES;
use crate::plugin::Plugin;
use crate::sandbox::Sandbox;

/// All plugins that can be used, and the files that cannot. Reading it costs a lock that is never
/// held for long; [`Registry::rescan`] swaps the whole map at once.
pub struct Registry {
    sandbox: Sandbox,
    bundled: Vec<Plugin>,
    directory: Option<PathBuf>,
    /// By file name. Locked for as long as a scan takes, so that scans do not overlap.
    files: Mutex<BTreeMap<String, InstalledFile>>,
    shelf: RwLock<Arc<Shelf>>,
}

/// What is offered, at one moment.
#[derive(Default)]
struct Shelf {
    plugins: BTreeMap<String, Plugin>,
    broken: BTreeMap<String, String>,
}

/// A file as it was when it was looked at last.
struct InstalledFile {
    stamp: Stamp,
    /// The last version that could be loaded: a failed update does not take a destination away.
    plugin: Option<Plugin>,
    problem: Option<LoadError>,
}

type Stamp = (u64, Option<SystemTime>);

/// What a scan found different from the one before: plugins by name, files by file name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Plugins that were not there.
    pub added: Vec<String>,
    /// Plugins that are there in another version.
    pub changed: Vec<String>,
    /// Plugins that are gone.
    pub removed: Vec<String>,
    /// Files that cannot be used, or for another reason than before.
    pub broken: Vec<String>,
    /// Files that could not be used and now can be, or are gone.
    pub mended: Vec<String>,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Registry {
    /// Loads the `bundled` plugins, each under its name, and every `*.wasm` file in `directory`.
    /// A bundled one that cannot be used is an error; a file is only reported, by
    /// [`Registry::broken`]. A missing directory is an empty one.
    pub fn new(
        sandbox: Sandbox,
        bundled: &[(&str, &[u8])],
        directory: Option<PathBuf>,
    ) -> Result<Self, LoadError> {
        let load = |(name, wasm): &(&str, &[u8])| {
            let origin = format!("bundled:{name}");
            let plugin = sandbox.load(&origin, wasm)?;
            match &plugin.manifest().name {
                actual if actual == name => Ok(plugin),
                actual => Err(LoadError {
                    origin,
                    problem: LoadProblem::WrongName(actual.clone()),
                }),
            }
        };
        let bundled = bundled.iter().map(load).collect::<Result<_, _>>()?;
        let files = Mutex::default();
        let registry = Self {
            sandbox,
            bundled,
            directory,
            files,
            shelf: RwLock::default(),
        };
        registry.rescan();
        Ok(registry)
    }

    /// The plugin called `name`.
    pub fn get(&self, name: &str) -> Option<Plugin> {
        self.shelf().plugins.get(name).cloned()
    }

    /// All plugins, by name.
    pub fn all(&self) -> Vec<Plugin> {
        self.shelf().plugins.values().cloned().collect()
    }

    /// The files that cannot be used, each with the reason.
    pub fn broken(&self) -> Vec<(String, String)> {
        self.shelf()
            .broken
            .iter()
            .map(|(file, problem)| (file.clone(), problem.clone()))
            .collect()
    }

    /// Looks at the directory again. A file whose size and time of change are the same is not read
    /// again. Reads and compiles on this thread, which may take seconds.
    pub fn rescan(&self) -> Changes {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let mut shelf = Shelf::default();
        if let Some(directory) = &self.directory {
            match wasm_files(directory) {
                Ok(found) => {
                    files.retain(|name, _| found.contains_key(name));
                    for (name, stamp) in found {
                        if files.get(&name).is_none_or(|file| file.stamp != stamp) {
                            let last = files.remove(&name).and_then(|file| file.plugin);
                            let file = self.look_at(&directory.join(&name), &name, stamp, last);
                            files.insert(name, file);
                        }
                    }
                }
                // What was loaded stays: a disk that fails for a moment takes nothing away.
                Err(error) => {
                    let problem = LoadProblem::Unreadable(error.to_string());
                    let error = LoadError {
                        origin: directory.display().to_string(),
                        problem,
                    };
                    shelf.broken.insert(error.origin.clone(), error.to_string());
                }
            }
        }
        for plugin in &self.bundled {
            shelf
                .plugins
                .insert(plugin.manifest().name.clone(), plugin.clone());
        }
        for (name, file) in files.iter() {
            shelf.place(name, file);
        }
        let changes = self.shelf().changes_to(&shelf);
        *self.shelf.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(shelf);
        changes
    }

    fn look_at(&self, path: &Path, name: &str, stamp: Stamp, last: Option<Plugin>) -> InstalledFile {
        let loaded = if stamp.0 > MAX_WASM_BYTES as u64 {
            Err(LoadError {
                origin: name.to_owned(),
                problem: LoadProblem::TooLarge(stamp.0),
            })
        } else {
            fs::read(path)
                .map_err(|error| LoadError {
                    origin: name.to_owned(),
                    problem: LoadProblem::Unreadable(error.to_string()),
                })
                .and_then(|wasm| self.sandbox.load(name, &wasm))
        };
        match loaded {
            Ok(plugin) => InstalledFile {
                stamp,
                plugin: Some(plugin),
                problem: None,
            },
            Err(problem) => InstalledFile {
                stamp,
                plugin: last,
                problem: Some(problem),
            },
        }
    }

    fn shelf(&self) -> Arc<Shelf> {
        Arc::clone(&self.shelf.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shelf {
    fn place(&mut self, file_name: &str, file: &InstalledFile) {
        if let Some(problem) = &file.problem {
            let still = if file.plugin.is_some() {
                "; the version before it stays in use"
            } else {
                ""
            };
            self.broken
                .insert(file_name.to_owned(), format!("{problem}{still}"));
        }
        let Some(plugin) = &file.plugin else { return };
        let name = plugin.manifest().name.clone();
        if let Some(holder) = self.plugins.get(&name) {
            let problem = LoadProblem::NameTaken {
                name,
                holder: holder.origin().to_owned(),
            };
            let error = LoadError {
                origin: file_name.to_owned(),
                problem,
            };
            self.broken.insert(file_name.to_owned(), error.to_string());
        } else {
            self.plugins.insert(name, plugin.clone());
        }
    }

    fn changes_to(&self, next: &Self) -> Changes {
        let mut changes = Changes::default();
        for (name, plugin) in &next.plugins {
            match self.plugins.get(name) {
                None => changes.added.push(name.clone()),
                Some(before) if !before.is(plugin) => changes.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        let gone = self
            .plugins
            .keys()
            .filter(|name| !next.plugins.contains_key(*name));
        changes.removed.extend(gone.cloned());
        let worse = next
            .broken
            .iter()
            .filter(|(file, problem)| self.broken.get(*file) != Some(*problem));
        changes.broken.extend(worse.map(|(file, _)| file.clone()));
        let better = self.broken.keys().filter(|file| !next.broken.contains_key(*file));
        changes.mended.extend(better.cloned());
        changes
    }
}

/// The files to load, in the order of their names. Hidden ones are drafts that somebody writes.
fn wasm_files(directory: &Path) -> io::Result<BTreeMap<String, Stamp>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries?,
    };
    let mut files = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !name.ends_with(".wasm") || name.starts_with('.') {
            continue;
        }
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => {
                files.insert(name, (metadata.len(), metadata.modified().ok()));
            }
            Ok(_) => {}
            // A dangling link is reported as a file that cannot be read; one that was just removed
            // is gone at the next scan.
            Err(_) => {
                files.insert(name, (0, None));
            }
        }
    }
    Ok(files)
}
