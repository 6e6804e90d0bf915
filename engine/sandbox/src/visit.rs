//! One instance of a component, from its start to its end: a place in the pool, a fresh store with
//! its bounds, and the instance in it. Everything is dropped together, whatever happened.

use std::time::Duration;

use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Instance, InstancePre, Lift, Lower};
use wasmtime::{PoolConcurrencyLimitError, ResourceLimiter, Store, Trap};

use crate::error::{CallError, brief};
use crate::gate::{Permit, Ticker};
use crate::imports::Denied;
use crate::limits::{MAX_HANDLES, MAX_LIFTED_BYTES};
use crate::sandbox::Shared;

/// What is left of a call's memory and tables.
pub(crate) struct Bounds {
    memory_bytes: usize,
    table_elements: usize,
    refused: Option<&'static str>,
}

impl ResourceLimiter for Bounds {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let granted = take(&mut self.memory_bytes, current, desired);
        if !granted {
            self.refused = Some("memory");
        }
        Ok(granted)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let granted = take(&mut self.table_elements, current, desired);
        if !granted {
            self.refused = Some("table space");
        }
        Ok(granted)
    }
}

fn take(left: &mut usize, current: usize, desired: usize) -> bool {
    match left.checked_sub(desired.saturating_sub(current)) {
        Some(rest) => {
            *left = rest;
            true
        }
        None => false,
    }
}

/// A running instance. The store goes before the permit: only then is its place free.
pub(crate) struct Visit<'a> {
    store: Store<Bounds>,
    instance: Instance,
    name: &'a str,
    limit: Duration,
    _permit: Permit<'a>,
}

impl<'a> Visit<'a> {
    /// Starts an instance that may live for `limit`; `name` is what errors call it. Waits at most
    /// `patience` for a place.
    pub(crate) fn start(
        shared: &'a Shared,
        pre: &InstancePre<Bounds>,
        name: &'a str,
        limit: Duration,
        patience: Duration,
    ) -> Result<Self, CallError> {
        let busy = || CallError::Busy {
            plugin: name.to_owned(),
        };
        let permit = shared.gate.enter(patience).ok_or_else(busy)?;
        let bounds = Bounds {
            memory_bytes: shared.config.max_memory_bytes,
            table_elements: shared.config.max_table_elements,
            refused: None,
        };
        let mut store = Store::try_new(&shared.engine, bounds).map_err(|_| busy())?;
        store.limiter(|bounds| bounds);
        store.set_epoch_deadline(Ticker::ticks(limit));
        store.epoch_deadline_trap();
        store.set_hostcall_fuel(MAX_LIFTED_BYTES);
        store.set_max_component_handles(MAX_HANDLES);
        match pre.instantiate(&mut store) {
            Ok(instance) => Ok(Self {
                store,
                instance,
                name,
                limit,
                _permit: permit,
            }),
            Err(error) => Err(explain(&error, store.data(), name, limit)),
        }
    }

    /// Calls an export, whose type was checked when the plugin was loaded.
    pub(crate) fn call<Parameters, Results>(
        &mut self,
        export: &ComponentExportIndex,
        parameters: Parameters,
    ) -> Result<Results, CallError>
    where
        Parameters: ComponentNamedList + Lower,
        Results: ComponentNamedList + Lift,
    {
        let called = self
            .instance
            .get_typed_func::<Parameters, Results>(&mut self.store, export)
            .and_then(|function| function.call(&mut self.store, parameters));
        called.map_err(|error| explain(&error, self.store.data(), self.name, self.limit))
    }

    /// Whether an export has this type; the text says where it differs.
    pub(crate) fn check<Parameters, Results>(&mut self, export: &ComponentExportIndex) -> Result<(), String>
    where
        Parameters: ComponentNamedList + Lower,
        Results: ComponentNamedList + Lift,
    {
        match self
            .instance
            .get_typed_func::<Parameters, Results>(&mut self.store, export)
        {
            Ok(_) => Ok(()),
            Err(error) => Err(brief(format_args!("{error:#}"))),
        }
    }
}

/// What an error of wasmtime means for the plugin.
fn explain(error: &wasmtime::Error, bounds: &Bounds, name: &str, limit: Duration) -> CallError {
    let plugin = name.to_owned();
    let reason = if let Some(trap) = error.downcast_ref::<Trap>() {
        match trap {
            Trap::Interrupt => return CallError::OutOfTime { plugin, limit },
            Trap::StackOverflow => "its calls are nested too deeply".to_owned(),
            Trap::UnreachableCodeReached => "it panicked".to_owned(),
            trap => trap.to_string().trim_start_matches("wasm trap: ").to_owned(),
        }
    } else if let Some(denied) = error.downcast_ref::<Denied>() {
        denied.to_string()
    } else if error.is::<PoolConcurrencyLimitError>() {
        return CallError::Busy { plugin };
    } else {
        let reason = brief(format_args!("{error:#}"));
        // wasmtime keeps this error's type to itself; a test holds the text.
        if reason.contains("fuel allocated for hostcalls") {
            let excess = format!("more than {MAX_LIFTED_BYTES} bytes in all");
            return CallError::OutputTooLarge { plugin, excess };
        }
        if bounds.refused.is_none() {
            return CallError::Malformed { plugin, reason };
        }
        reason
    };
    let reason = match bounds.refused {
        Some(what) => format!("{reason}, after it was refused more {what} than a plugin may have"),
        None => reason,
    };
    CallError::Trap { plugin, reason }
}
