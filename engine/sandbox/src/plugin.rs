//! A loaded plugin, ready to be called.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use heddle_core::exchange::{Failure, Function, Reply, Step};
use heddle_core::manifest::Manifest;
use wasmtime::component::{ComponentExportIndex, InstancePre};

use crate::error::CallError;
use crate::sandbox::Shared;
use crate::visit::{Bounds, Visit};
use crate::wire::{Answer, answer_out, replies_in};

/// How long a caller that is willing to wait does so for a place to run in. Every call that holds
/// one is stopped at its deadline, so this is reached only under a load of runaway plugins.
pub(crate) const PLACE_WAIT: Duration = Duration::from_secs(30);

/// How long a call may take. Calls are pure: one that was stopped may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// A few milliseconds, and no waiting for a place: for a thread that has other things to do.
    Brief,
    /// A second, after waiting for a place: for a thread that may block.
    Full,
}

/// A plugin. Cheap to clone, and safe to call from many threads at once.
#[derive(Clone)]
pub struct Plugin(Arc<Loaded>);

struct Loaded {
    shared: Arc<Shared>,
    origin: String,
    manifest: Arc<Manifest>,
    pre: InstancePre<Bounds>,
    /// In the order of [`Function::ALL`].
    exports: [Option<ComponentExportIndex>; 4],
}

impl Plugin {
    pub(crate) fn new(
        shared: Arc<Shared>,
        origin: &str,
        manifest: Manifest,
        pre: InstancePre<Bounds>,
        exports: [Option<ComponentExportIndex>; 4],
    ) -> Self {
        let manifest = Arc::new(manifest);
        Self(Arc::new(Loaded {
            shared,
            origin: origin.to_owned(),
            manifest,
            pre,
            exports,
        }))
    }

    /// What the plugin says of itself.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.0.manifest
    }

    /// Where it came from: a file name, or `bundled:NAME`.
    pub fn origin(&self) -> &str {
        &self.0.origin
    }

    /// Whether it has this function.
    pub fn has(&self, function: Function) -> bool {
        self.export(function).is_some()
    }

    /// Calls `function` with `input`, the JSON text that `wit/adapter.wit` documents, and the
    /// replies to the requests that it asked for so far. Blocks for as long as `patience` says.
    ///
    /// The outer error is the call's: nothing can be said about the delivery. The inner one is the
    /// plugin's own verdict.
    pub fn call(
        &self,
        function: Function,
        input: &str,
        replies: &[Reply],
        patience: Patience,
    ) -> Result<Result<Step, Failure>, CallError> {
        let name = self.0.manifest.name.as_str();
        let plugin = || name.to_owned();
        let export = self.export(function).ok_or_else(|| CallError::MissingExport {
            plugin: plugin(),
            function,
        })?;
        let replies = replies_in(input, replies).map_err(|bytes| CallError::InputTooLarge {
            plugin: plugin(),
            bytes,
        })?;
        let shared = &*self.0.shared;
        let (limit, wait) = match patience {
            Patience::Brief => (shared.config.brief, Duration::ZERO),
            Patience::Full => (shared.config.full, PLACE_WAIT),
        };
        let mut visit = Visit::start(shared, &self.0.pre, name, limit, wait)?;
        let (answer,): Answer = visit.call(export, (input, replies.as_slice()))?;
        drop(visit);
        answer_out(answer).map_err(|excess| CallError::OutputTooLarge {
            plugin: plugin(),
            excess,
        })
    }

    /// Whether both are the same load of the same component.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn export(&self, function: Function) -> Option<&ComponentExportIndex> {
        let place = Function::ALL.iter().position(|each| *each == function)?;
        self.0.exports[place].as_ref()
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.0.manifest.name)
            .field("origin", &self.0.origin)
            .finish_non_exhaustive()
    }
}
