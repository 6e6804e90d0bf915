//! The destinations' plugins: real components in the real sandbox, as small as they can be.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use heddle_sandbox::{Registry, Sandbox, SandboxConfig};
use serde_json::json;

/// A kind of destination.
#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    /// Requests of one attempt; the last one is the one that acts.
    pub requests: u32,
    pub concurrency: u32,
    /// So many requests in so many seconds.
    pub rate: Option<(u32, u32)>,
}

/// All of them.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "plain",
        requests: 1,
        concurrency: 3,
        rate: None,
    },
    Kind {
        name: "steps",
        requests: 2,
        concurrency: 2,
        rate: None,
    },
    Kind {
        name: "paced",
        requests: 1,
        concurrency: 4,
        rate: Some((3, 2)),
    },
];

/// Loaded once for all runs; a plugin keeps nothing between two calls.
pub static PLUGINS: LazyLock<Arc<Registry>> = LazyLock::new(|| {
    // A deadline in real time must never decide how a run goes.
    let config = SandboxConfig {
        brief: Duration::from_secs(600),
        full: Duration::from_secs(600),
        ..SandboxConfig::default()
    };
    let sandbox = Sandbox::new(config).expect("the sandbox starts");
    let components: Vec<_> = KINDS.iter().map(|kind| (kind.name, component(kind))).collect();
    let bundled: Vec<_> = components
        .iter()
        .map(|(name, wasm)| (*name, wasm.as_slice()))
        .collect();
    Arc::new(Registry::new(sandbox, &bundled, None).expect("the plugins load"))
});

fn manifest(kind: &Kind) -> String {
    let rates: Vec<_> = kind
        .rate
        .iter()
        .map(|(requests, seconds)| json!({"requests": requests, "per_seconds": seconds}))
        .collect();
    json!({
        "name": kind.name, "title": kind.name, "authentication": {"type": "none"},
        "hosts": ["sim.test"], "actions": {"send": {"key": "send", "label": "Send"}},
        "limits": {"concurrency": kind.concurrency, "rates": rates}
    })
    .to_string()
}

/// Posts its input to `/find` as often as it has steps before the last one, then to `/act`. An answer
/// other than 200 is a failure by its status; the first eight bytes of its body, if there are as many,
/// are the milliseconds after which to try again.
///
/// By the canonical ABI, the answer lies at 1024: the result's case at 0, the step's at 8, and behind it
/// the members of the request, the receipt or the failure.
fn component(kind: &Kind) -> Vec<u8> {
    let manifest = manifest(kind);
    let escaped: String = manifest.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let length: String = (manifest.len() as u32)
        .to_le_bytes()
        .iter()
        .map(|byte| format!("\\{byte:02x}"))
        .collect();
    let text = format!(
        r#"(component
  (type $types-type (instance
    (type $h (record (field "name" string) (field "value" string)))
    (export "header" (type $header (eq $h)))
    (type $q (record (field "method" string) (field "url" string) (field "headers" (list $header)) (field "body" (list u8))))
    (export "request" (type $request (eq $q)))
    (type $r (record (field "status" u16) (field "headers" (list $header)) (field "body" (list u8))))
    (export "response" (type $response (eq $r)))
    (type $s (variant (case "send" $request) (case "done" string)))
    (export "step" (type $step (eq $s)))
    (type $k (enum "permanent" "retryable" "authentication" "rate-limited" "gone" "mapping"))
    (export "failure-kind" (type $failure-kind (eq $k)))
    (type $f (record (field "kind" $failure-kind) (field "message" string)
      (field "retry-after-ms" (option u64)) (field "max-attempts" (option u32))))
    (export "failure" (type $failure (eq $f)))))
  (import "heddle:plugin/types@0.1.0" (instance $types (type $types-type)))
  (alias export $types "response" (type $response))
  (alias export $types "step" (type $step))
  (alias export $types "failure" (type $failure))
  (core module $module
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 32768))
    (data (i32.const 2048) "POST" "https://sim.test/find" "https://sim.test/act" "refused")
    (data (i32.const 4088) "\00\10\00\00{length}" "{escaped}")
    (func (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
      (local $start i32)
      (local.set $start (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $start) (local.get $size)))
      (local.get $start))
    (func (export "describe") (result i32) (i32.const 4088))
    (func (export "deliver") (param $input i32) (param $input_len i32) (param $replies i32) (param $count i32) (result i32)
      (local $last i32) (local $status i32)
      (if (local.get $count) (then
        (local.set $last (i32.add (local.get $replies)
          (i32.mul (i32.sub (local.get $count) (i32.const 1)) (i32.const 20))))
        (local.set $status (i32.load16_u (local.get $last)))
        (if (i32.ne (local.get $status) (i32.const 200)) (then
          (i32.store8 (i32.const 1024) (i32.const 1))
          (i32.store8 (i32.const 1032)
            (select (i32.const 0) (select (i32.const 2) (select (i32.const 4) (select (i32.const 3) (i32.const 1)
              (i32.eq (local.get $status) (i32.const 429)))
              (i32.eq (local.get $status) (i32.const 410)))
              (i32.eq (local.get $status) (i32.const 401)))
              (i32.eq (local.get $status) (i32.const 400))))
          (i32.store (i32.const 1036) (i32.const 2093)) (i32.store (i32.const 1040) (i32.const 7))
          (if (i32.ge_u (i32.load offset=16 (local.get $last)) (i32.const 8)) (then
            (i32.store8 (i32.const 1048) (i32.const 1))
            (i64.store (i32.const 1056) (i64.load align=1 (i32.load offset=12 (local.get $last))))))
          (return (i32.const 1024))))))
      (if (i32.ge_u (local.get $count) (i32.const {requests})) (then
        (i32.store8 (i32.const 1032) (i32.const 1))
        (i32.store (i32.const 1036) (i32.load offset=12 (local.get $last)))
        (i32.store (i32.const 1040) (i32.load offset=16 (local.get $last)))
        (return (i32.const 1024))))
      (i32.store (i32.const 1036) (i32.const 2048)) (i32.store (i32.const 1040) (i32.const 4))
      (i32.store (i32.const 1044) (i32.const 2052)) (i32.store (i32.const 1048) (i32.const 21))
      (if (i32.eq (local.get $count) (i32.const {last})) (then
        (i32.store (i32.const 1044) (i32.const 2073)) (i32.store (i32.const 1048) (i32.const 20))))
      (i32.store (i32.const 1060) (local.get $input)) (i32.store (i32.const 1064) (local.get $input_len))
      (i32.const 1024)))
  (core instance $i (instantiate $module))
  (type $describe (func (result string)))
  (func $describe (type $describe) (canon lift (core func $i "describe") (memory $i "memory")))
  (type $deliver (func (param "delivery" string) (param "replies" (list $response)) (result (result $step (error $failure)))))
  (func $deliver (type $deliver)
    (canon lift (core func $i "deliver") (memory $i "memory") (realloc (func $i "realloc"))))
  (export "describe" (func $describe))
  (export "deliver" (func $deliver)))"#,
        requests = kind.requests,
        last = kind.requests - 1,
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
