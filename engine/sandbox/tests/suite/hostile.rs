//! Plugins that load and then misbehave. Each is stopped with an error that names it, and the next
//! delivery, by another plugin, is unharmed.

use heddle_core::exchange::{Function, Step};
use heddle_sandbox::{CallError, Patience, Plugin, Sandbox};

use crate::guests::{Guest, config, sandbox};

/// Loads the guest and calls it thrice, with a polite plugin's delivery after each call.
fn call(guest: &Guest) -> CallError {
    call_in(&sandbox(), guest)
}

fn call_in(sandbox: &Sandbox, guest: &Guest) -> CallError {
    let polite = sandbox
        .load("polite.wasm", &Guest::polite("polite").wasm())
        .unwrap();
    let hostile = sandbox.load("hostile.wasm", &guest.wasm()).unwrap();
    let mut errors = Vec::new();
    for _ in 0..3 {
        errors.push(
            hostile
                .call(Function::Deliver, "{}", &[], Patience::Full)
                .unwrap_err(),
        );
        assert_unharmed(&polite);
    }
    let error = errors.pop().unwrap();
    assert!(errors.iter().all(|other| *other == error), "{errors:?}");
    assert!(
        error
            .to_string()
            .starts_with(&format!("plugin {:?} ", guest.name)),
        "{error}"
    );
    error
}

fn assert_unharmed(polite: &Plugin) {
    let step = polite
        .call(Function::Deliver, "{\"id\": 1}", &[], Patience::Full)
        .unwrap()
        .unwrap();
    assert!(matches!(step, Step::Send(request) if request.body == b"{\"id\": 1}"));
}

fn reason_of(error: CallError) -> String {
    match error {
        CallError::Trap { reason, .. } | CallError::Malformed { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

const FOR_EVER: &str = "(loop $again (br $again)) (unreachable)";

#[test]
fn an_endless_loop_ends_at_the_deadline() {
    let guest = Guest {
        deliver: FOR_EVER.into(),
        ..Guest::polite("spinner")
    };
    let error = call(&guest);
    assert_eq!(
        error.to_string(),
        "plugin \"spinner\" gave no answer within 200 ms"
    );
}

#[test]
fn an_endless_loop_ends_sooner_for_a_caller_in_a_hurry() {
    let sandbox = sandbox();
    let guest = Guest {
        deliver: FOR_EVER.into(),
        ..Guest::polite("spinner")
    };
    let plugin = sandbox.load("spinner.wasm", &guest.wasm()).unwrap();
    let error = plugin
        .call(Function::Deliver, "{}", &[], Patience::Brief)
        .unwrap_err();
    assert!(
        matches!(error, CallError::OutOfTime { limit, .. } if limit.as_millis() == 5),
        "{error}"
    );
}

#[test]
fn an_endless_loop_in_what_the_host_calls_on_the_side_ends_too() {
    // The host calls `realloc` to place the input.
    let guest = Guest {
        realloc: "(loop $ever (br $ever))".into(),
        ..Guest::polite("allocator")
    };
    let error = call(&guest);
    assert!(matches!(error, CallError::OutOfTime { .. }), "{error}");
}

#[test]
fn a_place_for_the_input_that_is_none_is_not_written_to() {
    for realloc in ["(return (i32.const 0x7ffffff0))", "(return (i32.const -1))"] {
        let guest = Guest {
            realloc: realloc.into(),
            ..Guest::polite("allocator")
        };
        let reason = reason_of(call(&guest));
        assert!(reason.contains("realloc"), "{reason}");
    }
}

#[test]
fn a_panic_is_reported_as_one() {
    let guest = Guest {
        deliver: "(unreachable)".into(),
        ..Guest::polite("jumpy")
    };
    assert_eq!(
        call(&guest).to_string(),
        "plugin \"jumpy\" broke off: it panicked"
    );
}

#[test]
fn memory_grows_no_further_than_it_may() {
    let guest = Guest {
        deliver:
            "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)"
                .into(),
        ..Guest::polite("hoarder")
    };
    let error = call(&guest);
    assert_eq!(
        error.to_string(),
        "plugin \"hoarder\" broke off: it panicked, after it was refused more memory than a plugin may have"
    );
}

#[test]
fn a_guest_that_goes_on_after_it_was_refused_memory_may() {
    let guest = Guest {
        deliver: format!(
            "(drop (memory.grow (i32.const 65535))) {}",
            Guest::polite("x").deliver
        ),
        ..Guest::polite("modest")
    };
    let plugin = sandbox().load("modest.wasm", &guest.wasm()).unwrap();
    assert_unharmed(&plugin);
}

#[test]
fn tables_grow_no_further_than_they_may() {
    let guest = Guest {
        module: "(table $t 1 funcref)".into(),
        deliver: "(loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)))) \
                  (unreachable)"
            .into(),
        ..Guest::polite("setter")
    };
    let error = call(&guest).to_string();
    assert!(error.contains("refused more table space"), "{error}");
}

#[test]
fn several_tables_share_one_bound() {
    let grow = |table: &str| {
        format!(
            "(if (i32.eq (table.grow ${table} (ref.null func) (i32.const 20000)) (i32.const -1)) (then unreachable))"
        )
    };
    let guest = Guest {
        module: "(table $a 1 funcref) (table $b 1 funcref)".into(),
        deliver: format!("{} {} (unreachable)", grow("a"), grow("b")),
        ..Guest::polite("setter")
    };
    let error = call(&guest).to_string();
    assert!(error.contains("refused more table space"), "{error}");
}

#[test]
fn deep_recursion_ends_cleanly_on_a_small_thread() {
    let guest = Guest {
        module: "(func $down (param i32) (result i32)
                   (i32.add (call $down (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))"
            .into(),
        deliver: "(call $down (i32.const 0))".into(),
        ..Guest::polite("digger")
    };
    let thread = std::thread::Builder::new().stack_size(1024 * 1024);
    let error = thread.spawn(move || call(&guest)).unwrap().join().unwrap();
    assert_eq!(
        error.to_string(),
        "plugin \"digger\" broke off: its calls are nested too deeply"
    );
}

#[test]
fn a_text_that_reaches_beyond_memory_is_not_read() {
    let reason = reason_of(call(&Guest::answering("boaster", 60_000, 0x7fff_ffff)));
    assert!(reason.contains("out of bounds"), "{reason}");
    let reason = reason_of(call(&Guest::answering("wrapper", 0xffff_fff0, 0x20)));
    assert!(reason.contains("out of bounds"), "{reason}");
}

#[test]
fn a_text_above_the_limit_is_not_taken() {
    let guest = Guest {
        pages: 64,
        ..Guest::answering("talker", 65_536, 1024 * 1024 + 1)
    };
    let error = call(&guest);
    assert_eq!(
        error.to_string(),
        "plugin \"talker\" answered with too much: 1048577 bytes of result, at most 1048576"
    );
}

#[test]
fn a_text_far_above_the_limit_is_not_even_copied() {
    let guest = Guest {
        pages: 512,
        ..Guest::answering("preacher", 0, 30 * 1024 * 1024)
    };
    assert!(matches!(call(&guest), CallError::OutputTooLarge { .. }));
}

#[test]
fn a_list_that_reaches_beyond_memory_is_not_read() {
    for headers in [(2112, 0x1000_0000), (2112, 0xffff_ffff), (0xffff_fff0, 2)] {
        let reason = reason_of(call(&Guest::sending("lister", (2052, 22), headers, (0, 0))));
        assert!(reason.contains("out of bounds"), "{reason}");
    }
    let reason = reason_of(call(&Guest::sending(
        "lister",
        (2052, 22),
        (2112, 1),
        (1, 0xffff_ffff),
    )));
    assert!(reason.contains("out of bounds"), "{reason}");
}

#[test]
fn a_request_beyond_a_limit_is_not_taken() {
    let excesses = [
        (
            Guest::sending("acme", (2052, 22), (16_384, 65), (0, 0)),
            "65 headers",
        ),
        (
            Guest::sending("acme", (2052, 22), (16_384, 1_000_000), (0, 0)),
            "in all",
        ),
        (
            Guest::sending("acme", (2052, 22), (0, 0), (0, 1024 * 1024 + 1)),
            "bytes of body",
        ),
        (
            Guest::sending("acme", (100_000, 16_385), (0, 0), (0, 0)),
            "bytes of URL",
        ),
    ];
    for (guest, excess) in excesses {
        let error = call(&Guest { pages: 512, ..guest });
        assert!(matches!(error, CallError::OutputTooLarge { .. }), "{error}");
        assert!(error.to_string().contains(excess), "{error}");
    }
}

#[test]
fn headers_that_are_too_long_together_are_not_taken() {
    // One header, its value 16 KiB of zeros.
    let mut guest = Guest::sending("acme", (2052, 22), (20_000, 1), (0, 0));
    guest.pages = 4;
    guest.module =
        "(data (i32.const 20000) \"\\00\\00\\01\\00\\01\\00\\00\\00\\00\\00\\01\\00\\00\\40\\00\\00\")"
            .into();
    let error = call(&guest).to_string();
    assert!(error.contains("16385 bytes of headers"), "{error}");
}

#[test]
fn text_that_is_not_utf_8_is_not_taken() {
    let guest = Guest {
        module: "(data (i32.const 20000) \"abc\\ff\\fe\\80\")".into(),
        ..Guest::answering("mumbler", 20_000, 6)
    };
    let reason = reason_of(call(&guest));
    assert!(reason.contains("utf-8"), "{reason}");
}

#[test]
fn an_answer_of_no_known_case_is_not_taken() {
    let guest = Guest {
        deliver: "(i32.store8 (i32.const 1024) (i32.const 9)) (i32.const 1024)".into(),
        ..Guest::polite("liar")
    };
    assert!(matches!(call(&guest), CallError::Malformed { .. }));
    let guest = Guest {
        deliver: "(i32.const 0x7ffffff0)".into(),
        ..Guest::polite("liar")
    };
    assert!(matches!(call(&guest), CallError::Malformed { .. }));
    let guest = Guest {
        deliver: "(i32.const 1025)".into(),
        ..Guest::polite("liar")
    };
    assert!(matches!(call(&guest), CallError::Malformed { .. }));
}

#[test]
fn a_denied_import_ends_the_call_that_uses_it() {
    let error = call(&using_random("gambler", "(drop (call $random (i64.const 8)))"));
    assert_eq!(
        error.to_string(),
        "plugin \"gambler\" broke off: it called wasi:random/insecure@0.2.3#get-insecure-random-u64, \
         which no plugin may"
    );
}

#[test]
fn a_denied_import_that_is_not_used_does_no_harm() {
    let plugin = sandbox()
        .load("calm.wasm", &using_random("calm", "").wasm())
        .unwrap();
    assert_unharmed(&plugin);
}

fn using_random(name: &str, first: &str) -> Guest {
    Guest {
        imports: r#"(import "wasi:random/insecure@0.2.3" (instance $random
                      (export "get-insecure-random-u64" (func (param "n" u64) (result u64)))))
                    (import "wasi:io/error@0.2.3" (instance $error (export "error" (type (sub resource)))))
                    (alias export $error "error" (type $error-type))
                    (import "wasi:io/streams@0.2.3" (instance $streams
                      (alias outer 1 $error-type (type $outer-error))
                      (export "error" (type (eq $outer-error)))
                      (export "output-stream" (type (sub resource)))))
                    (alias export $random "get-insecure-random-u64" (func $random))
                    (core func $lowered (canon lower (func $random)))"#
            .into(),
        with: r#"(with "host" (instance (export "random" (func $lowered))))"#.into(),
        module: r#"(import "host" "random" (func $random (param i64) (result i64)))"#.into(),
        deliver: format!("{first} {}", Guest::polite("x").deliver),
        ..Guest::polite(name)
    }
}

#[test]
fn hostile_calls_on_all_places_at_once_only_delay_the_next_one() {
    let sandbox = Sandbox::new(heddle_sandbox::SandboxConfig {
        instances: 2,
        ..config()
    })
    .unwrap();
    let polite = sandbox
        .load("polite.wasm", &Guest::polite("polite").wasm())
        .unwrap();
    let guest = Guest {
        deliver: FOR_EVER.into(),
        ..Guest::polite("spinner")
    };
    let spinner = sandbox.load("spinner.wasm", &guest.wasm()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let error = spinner
                    .call(Function::Deliver, "{}", &[], Patience::Full)
                    .unwrap_err();
                assert!(matches!(error, CallError::OutOfTime { .. }), "{error}");
            });
        }
        for _ in 0..4 {
            scope.spawn(|| assert_unharmed(&polite));
        }
    });
    assert_unharmed(&polite);
}
