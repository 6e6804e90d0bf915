//! What a plugin sees, and what comes back.

use heddle_core::exchange::{Failure, FailureKind, Function, Header, Reply, Request, Step};
use heddle_sandbox::{CallError, Patience};

use crate::guests::{Guest, polite_header, sandbox};

#[test]
fn a_plugin_asks_for_a_request_and_is_done_when_it_is_given_the_reply() {
    let plugin = sandbox()
        .load("acme.wasm", &Guest::polite("acme").wasm())
        .unwrap();
    assert_eq!(plugin.manifest().name, "acme");
    assert_eq!(plugin.origin(), "acme.wasm");

    let first = plugin
        .call(Function::Deliver, r#"{"event": "ü"}"#, &[], Patience::Brief)
        .unwrap()
        .unwrap();
    let request = Request {
        method: "POST".into(),
        url: "https://api.acme.com/x".into(),
        headers: vec![polite_header()],
        body: r#"{"event": "ü"}"#.into(),
    };
    assert_eq!(first, Step::Send(request));

    let reply = Reply {
        status: 200,
        headers: vec![Header {
            name: "content-type".into(),
            value: "application/json".into(),
        }],
        body: br#"{"id": 7}"#.to_vec(),
    };
    let second = plugin
        .call(Function::Deliver, "{}", &[reply], Patience::Full)
        .unwrap()
        .unwrap();
    assert_eq!(second, Step::Done(r#"{"id": 7}"#.into()));
}

#[test]
fn every_call_starts_from_the_same_state() {
    let counting = Guest {
        module: "(global $calls (mut i32) (i32.const 0))".into(),
        deliver: "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                  (i32.store8 (i32.const 512) (i32.add (i32.load8_u (i32.const 512)) (global.get $calls)))
                  (i32.store8 (i32.const 512) (i32.add (i32.load8_u (i32.const 512)) (i32.const 48)))
                  (i32.store8 (i32.const 1032) (i32.const 1))
                  (i32.store (i32.const 1036) (i32.const 512)) (i32.store (i32.const 1040) (i32.const 1))
                  (i32.const 1024)"
            .into(),
        ..Guest::polite("counting")
    };
    let plugin = sandbox().load("counting.wasm", &counting.wasm()).unwrap();
    for _ in 0..10 {
        let answer = plugin.call(Function::Deliver, "{}", &[], Patience::Full).unwrap();
        assert_eq!(answer, Ok(Step::Done("1".into())));
    }
}

#[test]
fn a_failure_arrives_with_its_kind_and_its_wishes() {
    let plugin = sandbox()
        .load("no.wasm", &Guest::failing("no", 2048, 4).wasm())
        .unwrap();
    let failure = plugin
        .call(Function::Deliver, "{}", &[], Patience::Full)
        .unwrap()
        .unwrap_err();
    let expected = Failure {
        kind: FailureKind::Gone,
        message: "POST".into(),
        retry_after_ms: Some(1500),
        max_attempts: Some(3),
    };
    assert_eq!(failure, expected);
}

#[test]
fn a_long_failure_message_is_cut_between_two_characters() {
    let mut guest = Guest::failing("wordy", 20_000, 5001);
    // "é" has two bytes, so that after one "a" the limit of 2048 falls into the middle of one.
    guest.module = format!("(data (i32.const 20000) \"a{}\")", "é".repeat(2500));
    let plugin = sandbox().load("wordy.wasm", &guest.wasm()).unwrap();
    let failure = plugin
        .call(Function::Deliver, "{}", &[], Patience::Full)
        .unwrap()
        .unwrap_err();
    assert_eq!(failure.message.len(), 2047);
    assert!(failure.message.ends_with('é'));
}

#[test]
fn a_function_that_a_plugin_does_not_have_is_named() {
    let plugin = sandbox()
        .load("acme.wasm", &Guest::polite("acme").wasm())
        .unwrap();
    assert!(plugin.has(Function::Deliver));
    assert!(!plugin.has(Function::Choices));
    let error = plugin
        .call(Function::Choices, "{}", &[], Patience::Brief)
        .unwrap_err();
    assert_eq!(error.to_string(), "plugin \"acme\" has no function \"choices\"");
}

#[test]
fn more_input_than_a_plugin_may_get_is_not_passed_on() {
    let plugin = sandbox()
        .load("acme.wasm", &Guest::polite("acme").wasm())
        .unwrap();
    let reply = Reply {
        status: 200,
        headers: vec![],
        body: vec![b' '; 1024 * 1024],
    };
    let seven = vec![reply.clone(); 7];
    let eight = vec![reply; 8];
    // Its answer is the first reply, of exactly the size that is allowed.
    let done = plugin
        .call(Function::Deliver, "{}", &seven, Patience::Full)
        .unwrap();
    assert!(matches!(done, Ok(Step::Done(text)) if text.len() == 1024 * 1024));
    let error = plugin
        .call(Function::Deliver, "{}", &eight, Patience::Full)
        .unwrap_err();
    assert!(
        matches!(error, CallError::InputTooLarge { bytes: 8_388_610, .. }),
        "{error}"
    );
}

#[test]
fn many_threads_call_at_once_and_each_gets_its_own_answer() {
    let plugin = sandbox()
        .load("acme.wasm", &Guest::polite("acme").wasm())
        .unwrap();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let plugin = plugin.clone();
            scope.spawn(move || {
                for call in 0..50 {
                    let input = format!("{{\"thread\": {thread}, \"call\": {call}}}");
                    let step = plugin
                        .call(Function::Deliver, &input, &[], Patience::Full)
                        .unwrap()
                        .unwrap();
                    assert!(matches!(step, Step::Send(request) if request.body == input.as_bytes()));
                }
            });
        }
    });
}
