//! Components made by hand, for what no sane adapter does and for what none of the bundled ones says.

use serde_json::Value;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Where `describe` finds its manifest; below it lies the pointer that it returns.
const MANIFEST_AT: usize = 64;

/// A component of the world `adapter` with this manifest, whose functions have these bodies, in the
/// text format.
pub fn component(manifest: &Value, describe: &str, deliver: &str) -> Vec<u8> {
    let manifest = manifest.to_string();
    let bytes = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("\\{byte:02x}"))
            .collect::<String>()
    };
    let pointer = [
        (MANIFEST_AT as u32).to_le_bytes(),
        (manifest.len() as u32).to_le_bytes(),
    ]
    .concat();
    let module = format!(
        r#"(module
            (memory (export "memory") 4)
            (global $free (mut i32) (i32.const 65536))
            (data (i32.const 8) "{pointer}")
            (data (i32.const {MANIFEST_AT}) "{manifest}")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (global.set $free (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
                global.get $free
                (global.set $free (i32.add (global.get $free) (local.get 3))))
            (func (export "describe") (result i32) {describe})
            (func (export "deliver") (param i32 i32 i32 i32) (result i32) {deliver})
            (func (export "check") (param i32 i32 i32 i32) (result i32) unreachable)
            (func (export "choices") (param i32 i32 i32 i32) (result i32) unreachable)
            (func (export "fields") (param i32 i32 i32 i32) (result i32) unreachable))"#,
        pointer = bytes(&pointer),
        manifest = bytes(manifest.as_bytes()),
    );
    let mut module = wat::parse_str(module).expect("the module is well formed");
    let mut resolve = Resolve::default();
    let package = resolve
        .push_str("adapter.wit", include_str!("../../wit/adapter.wit"))
        .expect("the published interface can be read");
    let world = resolve
        .select_world(&[package], Some("adapter"))
        .expect("it has the world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("the world can be embedded");
    let encoder = ComponentEncoder::default().validate(true);
    encoder
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .expect("the module fits its world")
}

/// Returns the manifest.
pub const DESCRIBES: &str = "i32.const 8";

/// Asks for a GET of `url` with one header, whatever the replies: `ok(send(request))` laid out in memory
/// by the canonical ABI.
pub fn asks_for(url: &str, header: (&str, &str)) -> String {
    const RESULT: usize = 1024;
    const HEADERS: usize = 1100;
    const TEXTS: usize = 1200;
    let mut memory = vec![0_u8; 4096];
    let mut free = TEXTS;
    let mut text = |memory: &mut Vec<u8>, pointer_at: usize, text: &str| {
        memory[free..free + text.len()].copy_from_slice(text.as_bytes());
        memory[pointer_at..pointer_at + 4].copy_from_slice(&(free as u32).to_le_bytes());
        memory[pointer_at + 4..pointer_at + 8].copy_from_slice(&(text.len() as u32).to_le_bytes());
        free += text.len();
    };
    // At RESULT: ok (0); the step follows at 8, since a failure holds a u64: send (0), then the request.
    text(&mut memory, RESULT + 12, "GET");
    text(&mut memory, RESULT + 20, url);
    text(&mut memory, HEADERS, header.0);
    text(&mut memory, HEADERS + 8, header.1);
    memory[RESULT + 28..RESULT + 32].copy_from_slice(&(HEADERS as u32).to_le_bytes());
    memory[RESULT + 32] = 1;
    let stores: String = memory
        .iter()
        .enumerate()
        .skip(RESULT)
        .filter(|(_, byte)| **byte != 0)
        .map(|(at, byte)| format!("(i32.store8 (i32.const {at}) (i32.const {byte}))"))
        .collect();
    format!("{stores} i32.const {RESULT}")
}

/// Asks for `requests` requests, each as `asks` says, and is then done: `ok(done("{}"))`.
pub fn asks_then_done(requests: u32, asks: &str) -> String {
    let done = "(i32.store8 (i32.const 8200) (i32.const 1)) (i32.store (i32.const 8204) (i32.const 8300))
        (i32.store (i32.const 8208) (i32.const 2)) (i32.store16 (i32.const 8300) (i32.const 0x7d7b)) i32.const 8192";
    // The last parameter is the number of replies.
    format!("(i32.lt_u (local.get 3) (i32.const {requests})) (if (result i32) (then {asks}) (else {done}))")
}
