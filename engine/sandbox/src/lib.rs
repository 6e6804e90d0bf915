//! The sandbox: loads plugins and calls them. The only crate that knows wasmtime.
//!
//! A plugin is a WebAssembly component and a pure function: it imports nothing that acts, lives
//! for one call in a fresh store, and shares nothing with any other call. What a call may use is
//! bounded in every direction: time, memory, tables, stack, input and output ([`limits`]). A call
//! that breaks a bound ends with a [`CallError`] that names the plugin; its store is dropped, and
//! no other call notices.
//!
//! Compilation happens in this process when a plugin is loaded, on all cores and bounded only by
//! [`limits::MAX_WASM_BYTES`]; load plugins on a thread that serves nobody. The result is kept on
//! disk, authenticated, so that a plugin is compiled once for each version of the engine.
//!
//! - [`Sandbox`] loads a component and gives a [`Plugin`].
//! - [`Plugin`] is called.
//! - [`Registry`] knows the bundled plugins and those of a directory by name.

mod cache;
mod config;
mod error;
mod gate;
mod imports;
pub mod limits;
mod plugin;
mod registry;
mod sandbox;
mod visit;
mod wire;

pub use config::SandboxConfig;
pub use error::{CallError, LoadError, LoadProblem, SandboxError};
pub use plugin::{Patience, Plugin};
pub use registry::{Changes, Registry};
pub use sandbox::Sandbox;
