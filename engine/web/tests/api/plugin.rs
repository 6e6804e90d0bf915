//! A destination that can be described and nothing else.

/// What it says of itself.
const MANIFEST: &str = r#"{
  "name": "acme", "title": "Acme CRM", "description": "For tests.", "version": "1.0.0",
  "authentication": {"type": "api_key", "fields": [
    {"key": "url", "label": "URL", "type": "text", "required": true, "format": "url", "validate": "url"},
    {"key": "mode", "label": "Mode", "type": "select", "defaultValue": "plain",
     "options": [{"label": "Plain", "value": "plain"}, {"label": "Signed", "value": "signed"}]},
    {"key": "api_key", "label": "API key", "type": "password", "required": true, "helpText": "From your profile."},
    {"key": "signing_secret", "label": "Signing secret", "type": "password", "generate": true,
     "format": "standard_webhooks_secret", "dependsOn": {"field": "mode", "value": "signed"}},
    {"key": "headers", "label": "Headers", "type": "text", "format": "headers"}]},
  "hosts": ["{url.host}"],
  "credentials": [
    {"name": "api_key", "field": "api_key", "apply": "bearer"},
    {"name": "signing", "field": "signing_secret", "apply": "standard_webhooks"}],
  "actions": {
    "post": {"key": "post", "label": "Post", "noun": "message",
             "data": [{"kind": "simple", "key": "channel", "field": "id", "required": true}]},
    "ping": {"key": "ping", "label": "Ping", "noun": "ping"}}}"#;

/// The component.
pub fn wasm() -> Vec<u8> {
    let bytes: String = MANIFEST.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let length: String = u32::try_from(MANIFEST.len())
        .unwrap()
        .to_le_bytes()
        .iter()
        .map(|byte| format!("\\{byte:02x}"))
        .collect();
    let text = format!(
        r#"(component
  (type $shapes (instance
    (type $h (record (field "name" string) (field "value" string)))
    (export "header" (type $header (eq $h)))
    (type $q (record (field "method" string) (field "url" string) (field "headers" (list $header)) (field "body" (list u8))))
    (export "request" (type $request (eq $q)))
    (type $r (record (field "status" u16) (field "headers" (list $header)) (field "body" (list u8))))
    (export "response" (type $response (eq $r)))
    (type $s (variant (case "send" $request) (case "done" string)))
    (export "step" (type $step (eq $s)))
    (type $k (enum "permanent" "retryable" "authentication" "rate-limited" "gone" "mapping"))
    (export "failure-kind" (type $kind (eq $k)))
    (type $f (record (field "kind" $kind) (field "message" string)
      (field "retry-after-ms" (option u64)) (field "max-attempts" (option u32))))
    (export "failure" (type $failure (eq $f)))))
  (import "heddle:plugin/types@0.1.0" (instance $types (type $shapes)))
  (alias export $types "response" (type $response))
  (alias export $types "step" (type $step))
  (alias export $types "failure" (type $failure))
  (core module $module
    (memory (export "memory") 1)
    (data (i32.const 8) "\10\00\00\00{length}")
    (data (i32.const 16) "{bytes}")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "describe") (result i32) (i32.const 8))
    (func (export "deliver") (param i32 i32 i32 i32) (result i32) unreachable))
  (core instance $i (instantiate $module))
  (func $describe (result string) (canon lift (core func $i "describe") (memory $i "memory")))
  (func $deliver (param "delivery" string) (param "replies" (list $response))
    (result (result $step (error $failure)))
    (canon lift (core func $i "deliver") (memory $i "memory") (realloc (func $i "realloc"))))
  (export "describe" (func $describe))
  (export "deliver" (func $deliver)))"#
    );
    wat::parse_str(&text).unwrap()
}
