//! What a component may import: nothing that acts.
//!
//! Three kinds of import are told apart.
//!
//! - *Inert*: types, and interfaces that hold nothing but types. Toolchains import
//!   `heddle:plugin/types` that way. Nothing to link.
//! - *Denied*: the interfaces in [`DENIED`], which standard libraries import whether or not the
//!   program uses them. They are linked, so that the component loads, but every function in them
//!   ends the call.
//! - Everything else, sockets and HTTP among it, is refused when the plugin is loaded.

use wasmtime::Engine;
use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{Component, InstancePre, Linker, LinkerInstance, ResourceType};

use crate::error::{LoadProblem, brief};
use crate::visit::Bounds;

/// The WASI 0.2 interfaces that a component may import but not use.
const DENIED: [&str; 21] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/timezone",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// A guest called a denied import.
#[derive(Debug, thiserror::Error)]
#[error("it called {0}, which no plugin may")]
pub(crate) struct Denied(String);

/// Vets every import and links the denied ones.
pub(crate) fn link(engine: &Engine, component: &Component) -> Result<InstancePre<Bounds>, LoadProblem> {
    let mut linker = Linker::new(engine);
    let unlinkable = |error: wasmtime::Error| LoadProblem::Compile(brief(format_args!("{error:#}")));
    for (name, import) in component.component_type().imports(engine) {
        match import.ty {
            ComponentItem::Type(_) => {}
            ComponentItem::ComponentInstance(interface) if is_inert(engine, &interface) => {}
            ComponentItem::ComponentInstance(interface) if is_denied(name) => {
                let mut stubs = linker.instance(name).map_err(unlinkable)?;
                deny(engine, &mut stubs, name, &interface).map_err(unlinkable)?;
            }
            _ => return Err(LoadProblem::Import(brief(name))),
        }
    }
    linker.instantiate_pre(component).map_err(unlinkable)
}

fn is_inert(engine: &Engine, interface: &ComponentInstance) -> bool {
    interface
        .exports(engine)
        .all(|(_, export)| matches!(export.ty, ComponentItem::Type(_)))
}

fn is_denied(name: &str) -> bool {
    name.split_once('@')
        .is_some_and(|(interface, version)| version.starts_with("0.2.") && DENIED.contains(&interface))
}

fn deny(
    engine: &Engine,
    stubs: &mut LinkerInstance<'_, Bounds>,
    interface_name: &str,
    interface: &ComponentInstance,
) -> wasmtime::Result<()> {
    for (name, export) in interface.exports(engine) {
        match export.ty {
            ComponentItem::ComponentFunc(_) => {
                let full_name = format!("{interface_name}#{name}");
                stubs.func_new(name, move |_, _, _, _| {
                    Err(wasmtime::Error::new(Denied(full_name.clone())))
                })?;
            }
            ComponentItem::Resource(_) => {
                stubs.resource(name, ResourceType::host::<Denied>(), |_, _| Ok(()))?;
            }
            // Types need no link; anything else is missed by `instantiate_pre`, by name.
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_interfaces_of_wasi_are_let_in_and_only_as_stubs() {
        for name in [
            "wasi:cli/environment@0.2.0",
            "wasi:io/streams@0.2.6",
            "wasi:random/random@0.2.3",
        ] {
            assert!(is_denied(name), "{name}");
        }
        for name in [
            "wasi:sockets/tcp@0.2.0",
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:cli/environment",
            "wasi:cli/environment@0.3.0",
            "wasi:cli/run@0.2.0",
            "wasi:keyvalue/store@0.2.0",
            "evil:cli/environment@0.2.0",
        ] {
            assert!(!is_denied(name), "{name}");
        }
    }
}
