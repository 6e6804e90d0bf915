//! What does not load, and how it is told. The plugin loaded next is unharmed.

use heddle_core::exchange::Function;
use heddle_sandbox::{LoadProblem, Patience, Sandbox, SandboxConfig, limits};

use crate::guests::{Guest, config, sandbox};

/// The problem, after checking that its message names the origin and that a polite plugin still
/// loads and answers.
fn refused(wasm: &[u8]) -> (LoadProblem, String) {
    refused_by(&sandbox(), wasm)
}

fn refused_by(sandbox: &Sandbox, wasm: &[u8]) -> (LoadProblem, String) {
    let error = sandbox.load("bad.wasm", wasm).unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("plugin \"bad.wasm\" "), "{message}");
    let polite = sandbox
        .load("polite.wasm", &Guest::polite("polite").wasm())
        .unwrap();
    assert!(
        polite
            .call(Function::Deliver, "{}", &[], Patience::Full)
            .unwrap()
            .is_ok()
    );
    (error.problem, message)
}

#[test]
fn what_is_no_component_is_told_from_what_is_no_webassembly() {
    let (problem, message) = refused(&wat::parse_str("(module)").unwrap());
    assert!(matches!(problem, LoadProblem::CoreModule));
    assert!(message.contains("wasm-tools component new"), "{message}");
    for garbage in [&b""[..], b"\0asm", b"#!/bin/sh\n", b"(component)", &[0xff; 4096]] {
        assert!(matches!(refused(garbage).0, LoadProblem::NotWasm));
    }
}

#[test]
fn a_damaged_component_is_refused() {
    let whole = Guest::polite("acme").wasm();
    for length in [8, 9, whole.len() / 2, whole.len() - 1] {
        let (problem, _) = refused(&whole[..length]);
        assert!(
            matches!(problem, LoadProblem::Compile(_) | LoadProblem::MissingExport(_)),
            "{problem:?}"
        );
    }
    let mut bent = whole;
    let middle = bent.len() / 2;
    bent[middle..middle + 16].fill(0xff);
    assert!(matches!(refused(&bent).0, LoadProblem::Compile(_)));
}

#[test]
fn native_code_is_refused_whoever_made_it() {
    let engine = wasmtime::Engine::default();
    let native = engine
        .precompile_component(&Guest::polite("acme").wasm())
        .unwrap();
    assert!(matches!(refused(&native).0, LoadProblem::Precompiled));
    let native = engine
        .precompile_module(&wat::parse_str("(module)").unwrap())
        .unwrap();
    assert!(matches!(refused(&native).0, LoadProblem::Precompiled));
}

#[test]
fn a_component_above_the_size_limit_is_not_looked_at() {
    let mut large = Guest::polite("acme").wasm();
    large.resize(limits::MAX_WASM_BYTES + 1, 0);
    let (problem, message) = refused(&large);
    assert!(matches!(problem, LoadProblem::TooLarge(33_554_433)));
    assert!(message.contains("33554432"), "{message}");
}

#[test]
fn an_import_that_acts_is_refused_by_name() {
    let imports = [
        (
            "wasi:sockets/tcp-create-socket@0.2.0",
            r#"(instance (export "create-tcp-socket" (func (param "family" u8) (result u32))))"#,
        ),
        (
            "wasi:http/outgoing-handler@0.2.0",
            r#"(instance (export "handle" (func)))"#,
        ),
        (
            "wasi:cli/environment@0.3.0",
            r#"(instance (export "get-arguments" (func)))"#,
        ),
        (
            "heddle:plugin/types@9.9.9",
            r#"(instance (export "sign" (func (result u32))))"#,
        ),
        (
            "evil:corp/phone@1.0.0",
            r#"(instance (export "home" (func (param "what" string))))"#,
        ),
        ("read-secret", "(func (result string))"),
        ("shared-thing", "(type (sub resource))"),
        (
            "evil:corp/thing@1.0.0",
            r#"(instance (export "thing" (type (sub resource))))"#,
        ),
        ("code", "(core module)"),
    ];
    for (name, shape) in imports {
        let guest = Guest {
            imports: format!("(import {name:?} {shape})"),
            ..Guest::polite("phone")
        };
        let (problem, message) = refused(&guest.wasm());
        assert!(
            matches!(&problem, LoadProblem::Import(import) if import == name),
            "{problem:?}"
        );
        assert!(message.contains(&format!("imports {name:?}")), "{message}");
    }
}

#[test]
fn an_import_of_types_alone_is_inert() {
    let guest = Guest {
        imports: r#"(import "some:other/types@1.2.3" (instance (export "t" (type (eq u32)))))
                    (type $r (record (field "a" u32)))
                    (import "plain" (type (eq $r)))"#
            .replace(
                "(export \"t\" (type (eq u32)))",
                "(type $u (list u32)) (export \"t\" (type (eq $u)))",
            ),
        ..Guest::polite("typed")
    };
    sandbox().load("typed.wasm", &guest.wasm()).unwrap();
}

#[test]
fn a_missing_export_is_named() {
    let guest = Guest {
        deliver_name: "send",
        ..Guest::polite("acme")
    };
    let (problem, _) = refused(&guest.wasm());
    assert!(matches!(problem, LoadProblem::MissingExport("deliver")));
    let (problem, _) = refused(&wat::parse_str("(component)").unwrap());
    assert!(matches!(problem, LoadProblem::MissingExport("describe")));
}

#[test]
fn an_export_of_another_type_is_named() {
    let guest = Guest {
        deliver_type: "(func (param \"delivery\" string) (param \"replies\" (list u8)) \
                       (result (result $step (error $failure))))",
        ..Guest::polite("acme")
    };
    let (problem, message) = refused(&guest.wasm());
    assert!(
        matches!(problem, LoadProblem::ExportType { name: "deliver", .. }),
        "{problem:?}"
    );
    assert!(
        message.contains("exports \"deliver\" with another type"),
        "{message}"
    );
}

#[test]
fn a_trap_in_describe_is_told() {
    let guest = Guest {
        describe: "(unreachable)".into(),
        ..Guest::polite("acme")
    };
    let (_, message) = refused(&guest.wasm());
    assert_eq!(
        message,
        "plugin \"bad.wasm\" failed when it was started and asked to describe itself; mend the plugin: \
         plugin \"bad.wasm\" broke off: it panicked"
    );
}

#[test]
fn an_endless_loop_before_the_first_answer_ends() {
    let looping = "(loop $ever (br $ever)) (unreachable)";
    let in_describe = Guest {
        describe: looping.into(),
        ..Guest::polite("acme")
    };
    let in_start = Guest {
        module: format!("(func $start {looping}) (start $start)"),
        ..Guest::polite("acme")
    };
    for guest in [in_describe, in_start] {
        let (_, message) = refused(&guest.wasm());
        assert!(message.contains("gave no answer within 500 ms"), "{message}");
    }
}

#[test]
fn more_memory_or_tables_from_the_start_than_allowed_is_refused() {
    let fat = Guest {
        pages: 1025,
        ..Guest::polite("acme")
    };
    let (_, message) = refused(&fat.wasm());
    assert!(message.contains("memory"), "{message}");
    let wide = Guest {
        module: "(table 40000 funcref)".into(),
        ..Guest::polite("acme")
    };
    let (_, message) = refused(&wide.wasm());
    assert!(message.contains("table"), "{message}");
    let small = Sandbox::new(SandboxConfig {
        max_memory_bytes: 1 << 20,
        ..config()
    })
    .unwrap();
    let (_, message) = refused_by(
        &small,
        &Guest {
            pages: 17,
            ..Guest::polite("acme")
        }
        .wasm(),
    );
    assert!(message.contains("memory"), "{message}");
}

#[test]
fn what_is_switched_off_is_refused() {
    for module in ["(memory $m 1)", "(memory $m i64 1)", "(memory $m 1 1 shared)"] {
        let guest = Guest {
            module: module.into(),
            ..Guest::polite("acme")
        };
        let (problem, _) = refused(&guest.wasm());
        assert!(
            matches!(problem, LoadProblem::Compile(_)),
            "{module}: {problem:?}"
        );
    }
}

#[test]
fn a_manifest_that_cannot_be_used_is_told_with_the_place() {
    for (manifest, part) in [
        ("{}", "missing field"),
        (&crate::guests::manifest("Acme CRM"), "name"),
        ("not json", "cannot be read"),
    ] {
        let guest = Guest {
            manifest: manifest.into(),
            ..Guest::polite("acme")
        };
        let (problem, message) = refused(&guest.wasm());
        assert!(matches!(problem, LoadProblem::Manifest(_)), "{problem:?}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_manifest_without_end_is_not_read() {
    for (length, part) in [(300_000, "at most 262144"), (60 * 1024 * 1024, "too much")] {
        let describe = format!(
            "(i32.store (i32.const 512) (i32.const 65536)) (i32.store (i32.const 516) (i32.const {length})) \
             (i32.const 512)"
        );
        let guest = Guest {
            pages: 1024,
            describe,
            ..Guest::polite("acme")
        };
        let (_, message) = refused(&guest.wasm());
        assert!(message.contains(part), "{message}");
    }
}
