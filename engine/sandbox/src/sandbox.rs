//! Loading: from bytes to a plugin that can be called.

use std::sync::Arc;

use heddle_core::exchange::Function;
use heddle_core::manifest::Manifest;
use wasmtime::Engine;
use wasmtime::component::{Component, ComponentExportIndex};

use crate::cache::Cache;
use crate::config::SandboxConfig;
use crate::error::{LoadError, LoadProblem, SandboxError, brief};
use crate::gate::{Gate, Ticker};
use crate::imports;
use crate::limits::MAX_WASM_BYTES;
use crate::plugin::{PLACE_WAIT, Plugin};
use crate::visit::Visit;
use crate::wire;

/// Loads plugins. Cheap to clone; its clock thread ends with the last clone and the last plugin.
#[derive(Clone)]
pub struct Sandbox(Arc<Shared>);

/// What all plugins of a sandbox share.
pub(crate) struct Shared {
    pub(crate) config: SandboxConfig,
    pub(crate) engine: Engine,
    pub(crate) gate: Arc<Gate>,
    cache: Option<Cache>,
    _ticker: Ticker,
}

impl Sandbox {
    /// Reserves the pool, starts the clock thread and opens the cache.
    pub fn new(config: SandboxConfig) -> Result<Self, SandboxError> {
        let engine = config
            .engine()
            .map_err(|error| SandboxError::Engine(brief(format_args!("{error:#}"))))?;
        let cache =
            match &config.cache_dir {
                Some(path) => Some(Cache::open(path, config.cache_key, &engine).map_err(|source| {
                    SandboxError::Cache {
                        path: path.display().to_string(),
                        source,
                    }
                })?),
                None => None,
            };
        let gate = Arc::new(Gate::new(config.instances));
        let ticker = Ticker::start(Arc::clone(&gate), engine.clone()).map_err(SandboxError::Clock)?;
        Ok(Self(Arc::new(Shared {
            config,
            engine,
            gate,
            cache,
            _ticker: ticker,
        })))
    }

    /// Checks, compiles or takes from the cache, and asks the plugin to describe itself. `origin`
    /// is what errors call it: a file name, or `bundled:NAME`. Compiling takes a while and all
    /// cores; `describe` runs once.
    pub fn load(&self, origin: &str, wasm: &[u8]) -> Result<Plugin, LoadError> {
        self.try_load(origin, wasm).map_err(|problem| LoadError {
            origin: origin.to_owned(),
            problem,
        })
    }

    fn try_load(&self, origin: &str, wasm: &[u8]) -> Result<Plugin, LoadProblem> {
        recognize(wasm)?;
        let component = self.component(origin, wasm)?;
        let pre = imports::link(&self.0.engine, &component)?;
        let describe = required(&component, "describe")?;
        required(&component, Function::Deliver.as_str())?;
        let exports = Function::ALL.map(|function| component.get_export_index(None, function.as_str()));

        let manifest = {
            let mut visit = Visit::start(&self.0, &pre, origin, self.0.config.describe, PLACE_WAIT)
                .map_err(LoadProblem::Describe)?;
            let wrong = |name| move |reason| LoadProblem::ExportType { name, reason };
            visit
                .check::<(), (String,)>(&describe)
                .map_err(wrong("describe"))?;
            for (function, export) in Function::ALL.iter().zip(&exports) {
                if let Some(export) = export {
                    visit
                        .check::<wire::Arguments<'_>, wire::Answer>(export)
                        .map_err(wrong(function.as_str()))?;
                }
            }
            let (text,): (String,) = visit.call(&describe, ()).map_err(LoadProblem::Describe)?;
            Manifest::parse(&text).map_err(LoadProblem::Manifest)?
        };
        tracing::debug!(origin, name = manifest.name, "a plugin is loaded");
        Ok(Plugin::new(Arc::clone(&self.0), origin, manifest, pre, exports))
    }

    fn component(&self, origin: &str, wasm: &[u8]) -> Result<Component, LoadProblem> {
        let engine = &self.0.engine;
        if let Some(component) = self.0.cache.as_ref().and_then(|cache| cache.find(engine, wasm)) {
            return Ok(component);
        }
        let component = Component::from_binary(engine, wasm)
            .map_err(|error| LoadProblem::Compile(brief(format_args!("{error:#}"))))?;
        if let Some(cache) = &self.0.cache
            && let Err(error) = cache.keep(wasm, &component)
        {
            tracing::warn!(origin, %error, "the compiled plugin cannot be kept; it will be compiled again");
        }
        Ok(component)
    }
}

/// Whether the bytes look like a component: a cheap check, with a better message than the compiler's.
fn recognize(wasm: &[u8]) -> Result<(), LoadProblem> {
    if wasm.len() > MAX_WASM_BYTES {
        return Err(LoadProblem::TooLarge(wasm.len() as u64));
    }
    if Engine::detect_precompiled(wasm).is_some() || wasm.starts_with(b"\x7fELF") {
        return Err(LoadProblem::Precompiled);
    }
    // The magic number, then a version of 16 bits and a layer of 16: 0 for modules, 1 for components.
    match wasm.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(()),
        Some([0, b'a', b's', b'm', _, _, 0, 0]) => Err(LoadProblem::CoreModule),
        _ => Err(LoadProblem::NotWasm),
    }
}

fn required(component: &Component, name: &'static str) -> Result<ComponentExportIndex, LoadProblem> {
    component
        .get_export_index(None, name)
        .ok_or(LoadProblem::MissingExport(name))
}
