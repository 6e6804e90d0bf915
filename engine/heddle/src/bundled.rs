//! The adapters that come with the binary, as components; `build.rs` makes them.

/// Every bundled adapter: the name of its directory in `adapters/`, and its component.
pub const ADAPTERS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/adapters.rs"));

/// The Rust examples of `plugins/examples/`, as components, for tests: a constant that the binary
/// does not use is not in it.
#[doc(hidden)]
pub const EXAMPLES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/examples.rs"));
