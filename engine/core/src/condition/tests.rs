use proptest::prelude::*;

use super::*;
use crate::id::{EventId, WorkspaceId};
use crate::time::Timestamp;

const PAYLOAD: &str = r#"{
    "plan": "pro", "email": "Nina@AcademyFlow.io", "amount": 49, "price": 49.5, "big": 18446744073709551615,
    "huge": 123456789012345678901234567890, "negative": -3, "vip": true, "nothing": null, "empty": "",
    "user": {"name": "Nina", "tags": ["a", "b"], "age": 31},
    "items": [{"sku": "x", "price": 10}, {"sku": "y", "price": 25.5}, {"sku": "z"}],
    "prices": [1, 2.5, 3], "joined": "2026-03-01T12:30:15.250Z", "all": "a member called like a macro", "": 1
}"#;

fn event(payload: &str) -> Event {
    Event {
        id: "0195b8f0-3c19-7aa1-8b42-0e1f2a3b4c5d".parse::<EventId>().unwrap(),
        workspace: "0195b8ef-0001-7000-8000-000000000001"
            .parse::<WorkspaceId>()
            .unwrap(),
        event: "lesson.completed".into(),
        resource: "course".into(),
        resource_id: None,
        payload: payload.into(),
        created_by: "mk_test".into(),
        // 2026-03-21T14:18:00.500Z, a Saturday.
        created_at: Timestamp(1_774_102_680_500),
    }
}

fn held(condition: &str, payload: &str) -> Result<bool, String> {
    let event = event(payload);
    Condition::compile(condition)
        .unwrap_or_else(|mistake| panic!("{condition}: {mistake}"))
        .holds(&Facts::of(&event))
        .map_err(|unmet| unmet.to_string())
}

#[test]
fn a_condition_is_true_or_false_of_an_event() {
    let cases = [
        ("true", true),
        ("!true", false),
        ("!!payload.vip", true),
        ("payload.plan == 'pro'", true),
        ("payload.plan != \"pro\"", false),
        ("payload['plan'] == 'pro' && payload.user['name'] == 'Nina'", true),
        ("payload.plan in ['pro', 'team']", true),
        ("'plan' in payload && !('pla' in payload)", true),
        ("payload.vip", true),
        ("payload.vip == true", true),
        ("payload.nothing == null", true),
        ("payload.plan == null", false),
        ("payload.plan == 1", false),
        ("payload.all == 'a member called like a macro'", true),
        // Numbers
        (
            "payload.amount == 49.0 && payload.amount == 49 && payload.amount == 49u",
            true,
        ),
        ("payload.price > 49 && payload.price < 50", true),
        ("payload.big > 9223372036854775807", true),
        ("payload.big == 18446744073709551615u", true),
        ("payload.huge > 1e29 && payload.huge < 1.3e29", true),
        (
            "type(payload.huge) == double && type(payload.big) == uint && type(payload.amount) == int",
            true,
        ),
        ("payload.amount * 2 + 2 == 100", true),
        ("payload.amount * 1.5 == 73.5", true),
        ("payload.amount + payload.price == 98.5", true),
        ("7 / 2 == 3 && -7 / 2 == -3 && 7 % 3 == 1 && -7 % 3 == -1", true),
        ("7 / 2.0 == 3.5", true),
        ("1.0 / 0 > 1000000", true),
        ("-payload.negative == 3 && - -3 == 3", true),
        ("-9223372036854775808 < 0", true),
        ("1 + 2 * 3 == 7 && (1 + 2) * 3 == 9", true),
        ("2 - 1 - 1 == 0", true),
        // Texts
        ("payload.email.lowerAscii().endsWith('@academyflow.io')", true),
        ("payload.email.startsWith('nina')", false),
        (
            "payload.email.contains('@') && payload.user.name + '!' == 'Nina!'",
            true,
        ),
        ("payload.email.matches('^[A-Za-z]+@.*[.]io$')", true),
        ("matches(payload.email, '(?i)^NINA')", true),
        ("'  x '.trim() == 'x' && 'a'.upperAscii() == 'A'", true),
        (
            "size('é€') == 2 && 'é€'.size() == 2 && size(payload.empty) == 0",
            true,
        ),
        ("'a' < 'b' && 'Z' < 'a' && 'a' < 'aa'", true),
        // Lists and maps
        (
            "size(payload.user.tags) == 2 && payload.user.tags[1] == 'b'",
            true,
        ),
        (
            "payload.user.tags == ['a', 'b'] && payload.prices == [1.0, 2.5, 3]",
            true,
        ),
        (
            "payload.user == {'age': 31.0, 'name': 'Nina', 'tags': ['a', 'b']}",
            true,
        ),
        (
            "payload.user != {'age': 31, 'name': 'Nina', 'tags': ['b', 'a']}",
            true,
        ),
        ("{'pro': 3, 'team': 10}[payload.plan] == 3", true),
        ("{1: 'one', true: 'yes'}[1.0] == 'one'", true),
        ("[1, 2] + [3] == [1, 2, 3]", true),
        (
            "payload.items[0].price == 10 && payload.items[0.0].sku == 'x'",
            true,
        ),
        ("[payload.plan, ][0] == 'pro'", true),
        // Macros
        ("payload.prices.all(p, p > 0)", true),
        ("payload.items.exists(i, i.sku == 'y')", true),
        ("payload.items.exists_one(i, i.sku == 'y')", true),
        ("payload.items.filter(i, has(i.price)).size() == 2", true),
        ("payload.items.map(i, i.sku) == ['x', 'y', 'z']", true),
        (
            "payload.items.map(i, has(i.price), i.price * 2) == [20, 51]",
            true,
        ),
        ("payload.user.all(key, size(key) > 2)", true),
        (
            "payload.items.exists(i, payload.prices.exists(p, has(i.price) && i.price > p * 25))",
            true,
        ),
        (
            "[1].exists(x, [2].exists(y, x + y == 3)) && [1].all(x, [2].all(x, x == 2))",
            true,
        ),
        ("[].all(x, x) && ![].exists(x, x)", true),
        (
            "has(payload.plan) && !has(payload.coupon) && has(payload.nothing)",
            true,
        ),
        ("has(payload.user.name) ? payload.user.age > 30 : false", true),
        // What decides makes up for what fails.
        ("has(payload.coupon) && payload.coupon.percent > 10", false),
        ("payload.coupon.percent > 10 || payload.plan == 'pro'", true),
        ("payload.plan == 'pro' || payload.coupon.percent > 10", true),
        ("payload.coupon.percent > 10 && payload.plan == 'free'", false),
        ("payload.items.exists(i, i.price > 20)", true),
        ("payload.items.all(i, i.price > 20)", false),
        // Conversions
        (
            "int('12') == 12 && int(2.9) == 2 && double('1.5') == 1.5 && uint(3) == 3u",
            true,
        ),
        ("string(payload.amount) == '49' && string(true) == 'true'", true),
        ("bool('true') && dyn(1) == 1", true),
        (
            "type(payload.nothing) == null_type && type(payload.user) == map",
            true,
        ),
        // Time
        ("event.created_at > timestamp('2026-01-01T00:00:00Z')", true),
        (
            "event.created_at - timestamp(payload.joined) > duration('480h')",
            true,
        ),
        (
            "timestamp(payload.joined) + duration('1h') == timestamp('2026-03-01T14:30:15.250+01:00')",
            true,
        ),
        (
            "event.created_at.getDayOfWeek() == 6 && event.created_at.getHours() == 14",
            true,
        ),
        (
            "event.created_at.getFullYear() == 2026 && event.created_at.getMonth() == 2",
            true,
        ),
        (
            "event.created_at.getDate() == 21 && event.created_at.getMilliseconds() == 500",
            true,
        ),
        (
            "duration('90m').getHours() == 1 && duration('90m') == duration('1h30m')",
            true,
        ),
        ("string(event.created_at) == '2026-03-21T14:18:00.5Z'", true),
        // The event
        (
            "event.event == 'lesson.completed' && event.resource == 'course'",
            true,
        ),
        ("event.id == '0195b8f0-3c19-7aa1-8b42-0e1f2a3b4c5d'", true),
        ("event.workspace.startsWith('0195b8ef')", true),
        ("has(event.resource_id)", false),
        ("has(event.id)", true),
        // Written over lines, with notes
        ("payload.plan == 'pro' // paying\n  && payload.vip", true),
    ];
    for (condition, expected) in cases {
        assert_eq!(held(condition, PAYLOAD), Ok(expected), "{condition}");
    }
}

#[test]
fn what_is_missing_or_does_not_fit_fails_at_its_place() {
    let cases = [
        (
            "payload.coupon == 'X'",
            "line 1, column 1: there is no member \"coupon\"",
        ),
        (
            "true && payload.user.mail == 'x'",
            "column 9: there is no member \"mail\"",
        ),
        ("payload.plan.name == 'x'", "a string has no members"),
        ("payload.nothing.x == 1", "a null_type has no members"),
        ("has(payload.coupon.percent)", "there is no member \"coupon\""),
        ("payload['coupon'] == 'x'", "there is no member \"coupon\""),
        // What was computed may be a secret of the payload's.
        ("payload[payload.plan] == 'x'", "there is no entry with this key"),
        ("event.resource_id == 'c1'", "there is no member \"resource_id\""),
        ("payload.plan > 5", "string > int has no meaning"),
        ("payload.plan + 1 == 2", "string + int has no meaning"),
        ("payload.amount", "is an int, not true or false"),
        ("payload.amount && true", "is an int, not true or false"),
        (
            "payload.vip ? payload.plan : payload.vip",
            "is a string, not true or false",
        ),
        (
            "payload.user.tags[2] == 'c'",
            "the list has 2 elements, none at this place",
        ),
        (
            "payload.user.tags['x'] == 'c'",
            "a list has elements by whole numbers",
        ),
        (
            "payload.user.tags[0.5] == 'c'",
            "a list has elements by whole numbers",
        ),
        ("payload.amount % 0 == 1", "divided by zero"),
        ("payload.amount / 0 == 1", "divided by zero"),
        ("payload.price % 2 == 1", "double % int has no meaning"),
        ("9223372036854775807 + payload.amount > 0", "does not fit 64 bits"),
        (
            "-9223372036854775808 / payload.negative * 9 > 0",
            "does not fit 64 bits",
        ),
        ("1u - 2u == 0u", "does not fit 64 bits"),
        ("size(payload.amount) == 2", "size() does not take an int"),
        ("payload.amount.contains('4')", "contains() does not take an int"),
        (
            "payload.plan.contains(payload.amount)",
            "contains() does not take an int",
        ),
        ("payload.amount.matches('4')", "matches() does not take an int"),
        ("int(payload.plan) == 1", "the text is no int"),
        ("int(1e30) == 1", "out of the range of int"),
        (
            "timestamp(payload.plan) > event.created_at",
            "the text is no timestamp",
        ),
        (
            "payload.items.all(i, i.price > 1)",
            "there is no member \"price\"",
        ),
        (
            "payload.items.exists(i, i.price > 100)",
            "there is no member \"price\"",
        ),
        (
            "payload.items.filter(i, i.price > 1).size() == 2",
            "there is no member \"price\"",
        ),
        ("payload.plan.all(c, true)", "there are no elements in a string"),
        ("payload.plan in payload.amount", "nothing can be in an int"),
        ("\n  payload.x", "line 2, column 3: there is no member \"x\""),
        (
            "{'a': 1, payload.user.tags[0]: 2}['a'] == 1",
            "this key is there twice",
        ),
    ];
    for (condition, part) in cases {
        let why = held(condition, PAYLOAD).expect_err(condition);
        assert!(why.contains(part), "{condition}: {why}");
    }
}

#[test]
fn a_mistake_is_refused_when_saved_and_its_place_named() {
    let cases = [
        ("", 1, "a value is expected"),
        ("   ", 4, "a value is expected"),
        ("paylod.plan == 'x'", 1, "no variable `paylod`"),
        ("payload.plan == plan", 17, "no variable `plan`"),
        ("event == 1", 1, "event needs a member"),
        ("event.name == 'x'", 7, "no member `name`"),
        ("event.payload.x", 7, "no member `payload`"),
        ("lower(payload.plan) == 'x'", 1, "no function `lower`"),
        ("payload.plan.lower() == 'x'", 14, "no function `lower`"),
        ("contains(payload.plan, 'x')", 1, "stands behind a value"),
        ("payload.plan.has()", 14, "stands before its value"),
        ("payload.x.all()", 15, "the name of a variable is expected"),
        ("all(payload.x, y)", 16, "no variable `y`"),
        ("payload.plan.startsWith()", 14, "wrong number of arguments"),
        ("size(payload, payload)", 1, "wrong number of arguments"),
        (
            "event.created_at.getHours('Europe/Berlin') == 1",
            18,
            "takes no time zone",
        ),
        ("has(payload)", 4, "has() takes one member"),
        ("has(payload.a, payload.b)", 4, "has() takes one member"),
        ("'x'", 1, "never true or false"),
        ("1 + 1", 1, "never true or false"),
        ("payload", 1, "never true or false"),
        ("event.event && true", 1, "never true or false"),
        ("!event.event", 2, "never true or false"),
        ("event.event == 5", 13, "string == int has no meaning"),
        ("event.event < event.created_at", 13, "has no meaning"),
        ("1 + 'a' == 'x'", 3, "int + string has no meaning"),
        ("'abc'.size() > 'x'", 14, "int > string has no meaning"),
        ("size(5) == 1", 6, "size() does not take an int"),
        ("event.event.x == 1", 1, "a string has no members"),
        ("payload.plan == 'pro' &&", 25, "a value is expected at the end"),
        (
            "payload.plan == 'pro' payload.x",
            23,
            "`payload` cannot stand here",
        ),
        ("(payload.vip", 13, ") is expected here"),
        ("payload.vip)", 12, ") cannot stand here"),
        ("payload.vip ? true", 19, ": is expected"),
        ("payload.plan = 'pro'", 14, "equality is =="),
        ("payload.a.?b", 11, "optional members"),
        (
            "payload.plan.matches(payload.x)",
            22,
            "must be a string, not computed",
        ),
        ("payload.plan.matches('(')", 22, "cannot be used"),
        ("payload.plan.matches('a{900}{900}')", 22, "cannot be used"),
        ("payload.x.all(payload, true)", 15, "cannot be a variable"),
        ("payload.x.all(i, i.y) && i.y", 26, "no variable `i`"),
        ("while", 1, "a word of the language"),
        ("true &&\n  bogus", 3, "no variable `bogus`"),
        ("é", 1, "cannot stand here"),
        ("'é' + bogus", 7, "no variable `bogus`"),
    ];
    for (condition, column, part) in cases {
        let mistake = Condition::compile(condition).expect_err(condition);
        assert!(mistake.message.contains(part), "{condition}: {mistake}");
        assert_eq!(mistake.column, column, "{condition}: {mistake}");
        assert_eq!(
            mistake.line,
            if condition.contains('\n') { 2 } else { 1 },
            "{condition}"
        );
    }
    let quoted = Condition::compile(&"x".repeat(4000)).unwrap_err().to_string();
    assert!(quoted.len() < 200, "{quoted}");
}

#[test]
fn size_and_nesting_are_limited() {
    let long = format!("true || '{}' == ''", "x".repeat(MAX_CONDITION_BYTES));
    let deep = |open: &str, close: &str| format!("{}true{}", open.repeat(500), close.repeat(500));
    for condition in [
        long,
        deep("(", ")"),
        deep("!", ""),
        deep("[", "][0]"),
        deep("true ? ", " : true"),
        format!("{}1 == 1", "-".repeat(500)),
        format!("{}1 == 1", "1 + ".repeat(500)),
        format!("payload{} == 1", ".a".repeat(500)),
        format!("payload{} == 1", "[0]".repeat(500)),
        deep("[1].all(x, ", ")"),
    ] {
        let mistake = Condition::compile(&condition).expect_err(&condition[..40]);
        assert!(
            mistake.message.contains("nested deeper") || mistake.message.contains("bytes"),
            "{mistake}"
        );
    }
    let wide = vec!["payload.vip"; 200].join(" && ");
    assert_eq!(held(&wide, PAYLOAD), Ok(true));
}

#[test]
fn a_hostile_condition_runs_out_of_steps() {
    let numbers: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let payload = format!(
        r#"{{"n": [{}], "text": "{}"}}"#,
        numbers.join(","),
        "a".repeat(100_000)
    );
    for condition in [
        "payload.n.all(a, payload.n.all(b, payload.n.all(c, a + b + c >= 0)))",
        "payload.n.map(a, payload.n.map(b, payload.n)).size() == 0",
        "payload.n.map(a, payload.text + payload.text).size() == 0",
        "payload.n.filter(a, payload.text.contains('ab')).size() == 0",
        "payload.n.exists(a, payload.text.matches('(a|aa)+b'))",
        "payload.text.matches('(a|b|ab){12}(a|b|ab){12}c')",
        "payload.n.all(a, payload == payload)",
        "payload.n.all(a, payload.n + payload.n == payload.n + payload.n)",
        "payload.n.all(a, payload.text.lowerAscii() == payload.text)",
        "payload.n.all(a, !(1000 in payload.n))",
        "payload.n.all(a, payload.text <= payload.text)",
        "payload.n.exists(a, payload.nope) || payload.n.all(a, payload.n.all(b, true))",
        "payload.n.all(a, string(payload.text).size() > 0)",
    ] {
        let why = held(condition, &payload).expect_err(condition);
        assert!(why.contains("too many steps"), "{condition}: {why}");
    }
    assert_eq!(held("payload.n.all(a, a >= 0 && a < 1000)", &payload), Ok(true));
}

#[test]
fn one_event_has_steps_for_so_many_conditions_only() {
    let payload = format!("{{\"n\": [{}]}}", vec!["1"; 5000].join(","));
    let event = event(&payload);
    let facts = Facts::of(&event);
    let condition = Condition::compile("payload.n.all(a, a == 1)").unwrap();
    let results: Vec<bool> = (0..60).map(|_| condition.holds(&facts).is_ok()).collect();
    let first_failure = results.iter().position(|ok| !ok).expect("the steps are used up");
    assert!((10..50).contains(&first_failure), "{first_failure}");
    assert!(results[first_failure..].iter().all(|ok| !ok));
}

#[test]
fn an_explanation_names_the_part_that_decided_and_what_it_saw() {
    let event = event(PAYLOAD);
    let cases = [
        (
            "payload.vip && payload.plan == 'free'",
            Some(false),
            "payload.plan == 'free'",
            r#"[["payload.plan","pro"]]"#,
        ),
        (
            "payload.plan == 'free' || payload.amount > 40",
            Some(true),
            "payload.amount > 40",
            r#"[["payload.amount",49]]"#,
        ),
        (
            "!(payload.vip && payload.amount > 5)",
            Some(false),
            "payload.vip && payload.amount > 5",
            r#"[["payload.vip",true],["payload.amount > 5",true]]"#,
        ),
        (
            "payload.plan in ['a', 'b']",
            Some(false),
            "payload.plan in ['a', 'b']",
            r#"[["payload.plan","pro"],["['a', 'b']",["a","b"]]]"#,
        ),
        (
            "payload.vip ? payload.user.age < 30 : true",
            Some(false),
            "payload.user.age < 30",
            r#"[["payload.user.age",31]]"#,
        ),
        (
            "payload.coupon == 'x' && payload.vip",
            None,
            "payload.coupon",
            "[]",
        ),
        (
            "payload.user.age.x == 1",
            None,
            "payload.user.age.x",
            r#"[["payload.user.age",31]]"#,
        ),
        ("payload.items.all(i, i.price > 1)", None, "i.price", "[]"),
        (
            "payload.items.exists(i, i.sku == 'q')",
            Some(false),
            "payload.items.exists(i, i.sku == 'q')",
            "",
        ),
    ];
    for (condition, result, expression, saw) in cases {
        let explained = Condition::compile(condition).unwrap().explain(&Facts::of(&event));
        assert_eq!(explained.result, result, "{condition}");
        assert_eq!(explained.failure.is_some(), result.is_none(), "{condition}");
        assert_eq!(explained.decisive.expression, expression, "{condition}");
        if !saw.is_empty() {
            let seen: Vec<_> = explained
                .decisive
                .saw
                .iter()
                .map(|seen| (&seen.expression, &seen.value))
                .collect();
            assert_eq!(serde_json::to_string(&seen).unwrap(), saw, "{condition}");
        }
    }
    let long = format!(
        r#"{{"a": "{}", "b": [{}]}}"#,
        "é".repeat(5000),
        vec!["0"; 5000].join(",")
    );
    let explained = Condition::compile("payload.a == 'x' || payload.a == payload.b")
        .unwrap()
        .explain(&Facts::of(&super::tests::event(&long)));
    assert!(
        serde_json::to_string(&explained).unwrap().len() < 1000,
        "{explained:?}"
    );
}

#[test]
fn a_payload_is_read_only_when_a_condition_needs_it() {
    let event = event("{}");
    let facts = Facts::of(&event);
    assert!(facts.payload.get().is_none());
    assert_eq!(Condition::compile("true").unwrap().holds(&facts), Ok(true));
    assert!(facts.payload.get().is_some());
}

/// Pieces of expressions, put together in every way, most of them wrong.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "payload",
        "event",
        ".",
        "plan",
        "user",
        "tags",
        "amount",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "?",
        "==",
        "!=",
        "<",
        ">",
        "&&",
        "||",
        "!",
        "+",
        "-",
        "*",
        "/",
        "%",
        "in",
        "1",
        "2.5",
        "3u",
        "'a'",
        "true",
        "null",
        "size",
        "has",
        "all",
        "exists",
        "map",
        "filter",
        "x",
        "matches",
        "'a+'",
        "int",
        "string",
        "type",
        "event.event",
        "payload.plan",
        "payload.user.tags",
        "payload.amount",
        "payload.items.all(i, ",
        "x, x",
        ".size()",
        "timestamp(payload.joined)",
        "event.created_at",
        "duration('1h')",
        "-9223372036854775808",
        "18446744073709551615u",
        "1e308",
        " ",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.join(""))
}

/// Expressions by the grammar, whose types may or may not fit.
fn grammatical() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "-1",
        "2u",
        "1.5",
        "'a'",
        "true",
        "false",
        "null",
        "[]",
        "[1, 'a']",
        "{'k': 1}",
        "payload.plan",
        "payload.amount",
        "payload.price",
        "payload.big",
        "payload.nothing",
        "payload.user",
        "payload.items",
        "payload.missing",
        "event.event",
        "event.created_at",
        "duration('1h')",
        "payload",
        "payload.user.tags",
        "-9223372036854775808",
        "9223372036854775807",
        "18446744073709551615u",
        "1e308",
        "int",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 40, 3, |inner| {
        let operator = prop::sample::select(vec![
            "==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/", "%", "&&", "||",
        ]);
        let call = prop::sample::select(vec![
            "size",
            "int",
            "uint",
            "double",
            "string",
            "bool",
            "timestamp",
            "duration",
            "type",
            "dyn",
        ]);
        let fold = prop::sample::select(vec!["all", "exists", "exists_one", "filter", "map"]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (call, inner.clone()).prop_map(|(call, a)| format!("{call}({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            (inner.clone(), fold, inner.clone())
                .prop_map(|(a, fold, b)| format!("dyn({a}).{fold}(i, {b} == i)")),
            inner.clone().prop_map(|a| format!("!({a})")),
            inner.clone().prop_map(|a| format!("-({a})")),
            inner.prop_map(|a| format!("[{a}, {a}]")),
        ]
    })
}

fn try_out(condition: &str, payload: &str) {
    if let Ok(condition) = Condition::compile(condition) {
        let event = event(payload);
        let held = condition.holds(&Facts::of(&event));
        let explained = condition.explain(&Facts::of(&event));
        assert_eq!(held.as_ref().ok().copied(), explained.result);
        assert_eq!(
            held.err().map(|unmet| unmet.to_string()),
            explained.failure,
            "{condition:?}"
        );
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,80}") {
        try_out(&text, PAYLOAD);
    }

    #[test]
    fn no_pieces_panic(text in pieces()) {
        try_out(&text, PAYLOAD);
    }

    #[test]
    fn an_expression_means_the_same_when_it_is_explained(text in grammatical()) {
        try_out(&text, PAYLOAD);
        try_out(&format!("{text} == {text}"), PAYLOAD);
    }
}
