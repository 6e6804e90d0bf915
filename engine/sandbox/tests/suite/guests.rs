//! Plugins in the text format, small enough to be read.

use std::fmt::Write;

use heddle_core::exchange::Header;
use heddle_sandbox::{Sandbox, SandboxConfig};
use std::time::Duration;

/// A component of the world `adapter`, made of the bodies of its functions. [`Guest::polite`] is
/// well-behaved; a hostile one replaces a part of it.
pub struct Guest {
    /// The name in the manifest.
    pub name: String,
    /// Component-level items before everything else: imports.
    pub imports: String,
    /// What the core module is instantiated with: `(with …)`.
    pub with: String,
    /// Module-level items: imports first, then globals, tables, functions, a start function.
    pub module: String,
    /// The initial pages of memory.
    pub pages: u32,
    /// The body of `describe`, which gives a pointer to a pointer and a length.
    pub describe: String,
    /// The body of `deliver`, which takes `$input`, `$input_len`, `$replies` and `$count` and gives
    /// a pointer to a `result<step, failure>`.
    pub deliver: String,
    /// The beginning of `realloc`, by which the host makes room for the input.
    pub realloc: String,
    /// The manifest that `describe` gives.
    pub manifest: String,
    /// The export that `deliver` is called by.
    pub deliver_name: &'static str,
    /// The type of that export.
    pub deliver_type: &'static str,
}

/// Where the return area lies, by the canonical ABI: the result's case at 0, the step's at 8; a
/// text at 12 (pointer) and 16 (length), both for `done` and for a failure's message.
const ANSWER: u32 = 1024;
const MANIFEST: u32 = 4096;
const TEXTS: u32 = 2048;

impl Guest {
    /// Asks for one request, `POST https://api.acme.com/x` with its input as the body and the
    /// header `x-guest: wat`; then it is done with the body of the reply.
    pub fn polite(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            imports: String::new(),
            with: String::new(),
            module: String::new(),
            pages: 1,
            describe: format!("(i32.const {})", MANIFEST - 8),
            deliver: format!(
                "(if (i32.eqz (local.get $count))
                   (then
                     (i32.store (i32.const {a}+12) (i32.const {t}))    (i32.store (i32.const {a}+16) (i32.const 4))
                     (i32.store (i32.const {a}+20) (i32.const {t}+4))  (i32.store (i32.const {a}+24) (i32.const 22))
                     (i32.store (i32.const {a}+28) (i32.const {t}+64)) (i32.store (i32.const {a}+32) (i32.const 1))
                     (i32.store (i32.const {a}+36) (local.get $input)) (i32.store (i32.const {a}+40) (local.get $input_len)))
                   (else
                     (i32.store8 (i32.const {a}+8) (i32.const 1))
                     (i32.store (i32.const {a}+12) (i32.load offset=12 (local.get $replies)))
                     (i32.store (i32.const {a}+16) (i32.load offset=16 (local.get $replies)))))
                 (i32.const {a})",
                a = ANSWER,
                t = TEXTS,
            ),
            realloc: String::new(),
            manifest: manifest(name),
            deliver_name: "deliver",
            deliver_type: "(func (param \"delivery\" string) (param \"replies\" (list $response)) \
                           (result (result $step (error $failure))))",
        }
    }

    /// Done with the text at `pointer` that has `length` bytes, whatever lies there.
    pub fn answering(name: &str, pointer: u32, length: u32) -> Self {
        let deliver = format!(
            "(i32.store8 (i32.const {a}+8) (i32.const 1))
             (i32.store (i32.const {a}+12) (i32.const {pointer})) (i32.store (i32.const {a}+16) (i32.const {length}))
             (i32.const {a})",
            a = ANSWER,
        );
        Self {
            deliver,
            ..Self::polite(name)
        }
    }

    /// A request of which the lists lie where the pairs of pointer and length say.
    pub fn sending(name: &str, url: (u32, u32), headers: (u32, u32), body: (u32, u32)) -> Self {
        let mut deliver = format!(
            "(i32.store (i32.const {}) (i32.const {TEXTS})) (i32.store (i32.const {}) (i32.const 4))",
            ANSWER + 12,
            ANSWER + 16
        );
        for (place, (pointer, length)) in [(20, url), (28, headers), (36, body)] {
            write!(
                deliver,
                "(i32.store (i32.const {}) (i32.const {pointer})) (i32.store (i32.const {}) (i32.const {length}))",
                ANSWER + place,
                ANSWER + place + 4
            )
            .unwrap();
        }
        write!(deliver, "(i32.const {ANSWER})").unwrap();
        Self {
            deliver,
            ..Self::polite(name)
        }
    }

    /// A failure of the first kind (permanent), with a message of `length` bytes at `pointer`.
    pub fn failing(name: &str, pointer: u32, length: u32) -> Self {
        let deliver = format!(
            "(i32.store8 (i32.const {a}) (i32.const 1))
             (i32.store8 (i32.const {a}+8) (i32.const 4))
             (i32.store (i32.const {a}+12) (i32.const {pointer})) (i32.store (i32.const {a}+16) (i32.const {length}))
             (i32.store8 (i32.const {a}+24) (i32.const 1)) (i64.store (i32.const {a}+32) (i64.const 1500))
             (i32.store8 (i32.const {a}+40) (i32.const 1)) (i32.store (i32.const {a}+44) (i32.const 3))
             (i32.const {a})",
            a = ANSWER,
        );
        Self {
            deliver,
            ..Self::polite(name)
        }
    }

    /// The component as text.
    pub fn text(&self) -> String {
        let escaped: String = self
            .manifest
            .bytes()
            .map(|byte| format!("\\{byte:02x}"))
            .collect();
        let text = format!(
            r#"(component
  {imports}
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
    {module}
    (memory (export "memory") {pages})
    (global $top (mut i32) (i32.const 32768))
    (data (i32.const {texts}) "POST" "https://api.acme.com/x")
    (data (i32.const {header}) "\80\08\00\00\07\00\00\00\87\08\00\00\03\00\00\00")
    (data (i32.const {header_text}) "x-guestwat")
    (data (i32.const {manifest_pair}) "{manifest_pointer}{manifest_length}" "{escaped}")
    (func (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
      (local $start i32)
      {realloc}
      (local.set $start (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $start) (local.get $size)))
      (block $fits
        (loop $more
          (br_if $fits (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
          (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))
          (unreachable)))
      (local.get $start))
    (func (export "describe") (result i32) {describe})
    (func (export "deliver") (param $input i32) (param $input_len i32) (param $replies i32) (param $count i32) (result i32)
      {deliver}))
  (core instance $i (instantiate $module {with}))
  (type $describe (func (result string)))
  (func $describe (type $describe) (canon lift (core func $i "describe") (memory $i "memory")))
  (type $deliver {deliver_type})
  (func $deliver (type $deliver)
    (canon lift (core func $i "deliver") (memory $i "memory") (realloc (func $i "realloc"))))
  (export "describe" (func $describe))
  (export "{deliver_name}" (func $deliver)))"#,
            imports = self.imports,
            with = self.with,
            module = self.module,
            pages = self.pages,
            texts = TEXTS,
            header = TEXTS + 64,
            header_text = TEXTS + 128,
            manifest_pair = MANIFEST - 8,
            manifest_pointer = word(MANIFEST),
            manifest_length = word(self.manifest.len() as u32),
            realloc = self.realloc,
            describe = self.describe,
            deliver = self.deliver,
            deliver_type = self.deliver_type,
            deliver_name = self.deliver_name,
        );
        // The text format has no arithmetic; the bodies above read better with it.
        sums(&text)
    }

    /// The component as bytes.
    pub fn wasm(&self) -> Vec<u8> {
        let text = self.text();
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }
}

/// The least manifest for a plugin called `name`.
pub fn manifest(name: &str) -> String {
    format!(
        r#"{{"name": "{name}", "title": "Acme", "authentication": {{"type": "none"}},
           "hosts": ["api.acme.com"], "actions": {{"send": {{"key": "send", "label": "Send"}}}}}}"#
    )
}

/// The header that the polite guest sends.
pub fn polite_header() -> Header {
    Header {
        name: "x-guest".into(),
        value: "wat".into(),
    }
}

/// A sandbox with short deadlines and a small pool.
pub fn sandbox() -> Sandbox {
    Sandbox::new(config()).unwrap()
}

/// Its settings.
pub fn config() -> SandboxConfig {
    SandboxConfig {
        instances: 4,
        full: Duration::from_millis(200),
        describe: Duration::from_millis(500),
        ..SandboxConfig::default()
    }
}

fn word(number: u32) -> String {
    number
        .to_le_bytes()
        .iter()
        .map(|byte| format!("\\{byte:02x}"))
        .collect()
}

fn sums(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("i32.const ") {
        let (before, after) = rest.split_at(start + "i32.const ".len());
        let end = after.find(')').unwrap();
        result.push_str(before);
        match after[..end].split_once('+') {
            Some((left, right)) => {
                let sum = left.parse::<u32>().unwrap() + right.parse::<u32>().unwrap();
                write!(result, "{sum}").unwrap();
            }
            None => result.push_str(&after[..end]),
        }
        rest = &after[end..];
    }
    result + rest
}
