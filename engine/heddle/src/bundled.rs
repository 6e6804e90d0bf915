//! The adapters that come with the binary, as components; `build.rs` makes them.

use std::io::Read;

use anyhow::{Context, Result};
use flate2::read::DeflateDecoder;

/// Every bundled adapter: the name of its directory in `adapters/`, and its component, compressed.
const COMPRESSED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/adapters.rs"));

/// The Rust examples of `plugins/examples/`, as components, for tests: a constant that the binary
/// does not use is not in it.
#[doc(hidden)]
pub const EXAMPLES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/examples.rs"));

/// The names of the bundled adapters.
pub fn names() -> impl Iterator<Item = &'static str> {
    COMPRESSED.iter().map(|(name, _)| *name)
}

/// Every bundled adapter with its component.
pub fn adapters() -> Result<Vec<(&'static str, Vec<u8>)>> {
    COMPRESSED
        .iter()
        .map(|(name, compressed)| {
            let mut component = Vec::new();
            DeflateDecoder::new(*compressed)
                .read_to_end(&mut component)
                .with_context(|| format!("unpacking the bundled adapter {name}"))?;
            Ok((*name, component))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_adapters_are_whole_and_add_less_than_three_megabytes_to_the_binary() {
        let compressed: usize = COMPRESSED.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(compressed < 3_000_000, "{compressed} bytes");
        let adapters = adapters().unwrap();
        assert_eq!(adapters.len(), names().count());
        for (name, component) in adapters {
            assert!(component.starts_with(b"\0asm"), "{name} is no component");
        }
    }
}
