use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::catalog::Catalog;
use crate::id::{EventId, WorkspaceId};
use crate::time::Timestamp;

fn event(payload: &str) -> Event {
    Event {
        id: EventId::new(Timestamp(1_774_137_600_000), [7; 10]),
        workspace: WorkspaceId::new(Timestamp(0), [0; 10]),
        event: "lesson.completed".into(),
        resource: "course".into(),
        resource_id: None,
        payload: payload.into(),
        created_by: "test".into(),
        created_at: Timestamp(1_774_137_600_000),
    }
}

fn mapping(fields: Value) -> Mapping {
    Mapping::parse(&json!({"schema_version": 1, "fields": fields}), "schema").unwrap()
}

fn path(dest: &str, path: &str) -> Value {
    json!({"dest": dest, "source": {"type": "path", "value": path}})
}

fn fields_of(mapping: &Mapping, payload: &str) -> String {
    mapping.apply(&event(payload), &|_| false).unwrap().fields
}

/// The JSON of a transform that a column of the table is headed by, such as `substring 1 2`.
fn transform_of(heading: &str) -> Value {
    let (name, rest) = heading.split_once(' ').unwrap_or((heading, ""));
    let mut transform = json!({"type": name});
    match name {
        "default" => transform["value"] = serde_json::from_str(rest).unwrap(),
        "substring" => {
            let (start, length) = rest.split_once(' ').unwrap();
            transform["start"] = start.parse::<u64>().unwrap().into();
            transform["length"] = length.parse::<u64>().unwrap().into();
        }
        _ if !rest.is_empty() => transform["timezone"] = rest.into(),
        _ => {}
    }
    transform
}

/// What the table calls the result of one transform on the JSON text of one value.
fn result_of(transform: &Value, value: &str) -> String {
    let mapping = mapping(json!([{
        "dest": "out", "source": {"type": "path", "value": "in"}, "transforms": [transform], "on_error": "warn_action"
    }]));
    let payload = match value {
        "missing" => "{}".to_owned(),
        value => format!("{{\"in\": {value}}}"),
    };
    let mapped = mapping.apply(&event(&payload), &|_| false).unwrap();
    match mapped.warnings.first().map(|problem| &problem.why) {
        None => {
            let value = mapped.fields.strip_prefix("{\"out\":").unwrap();
            value.strip_suffix('}').unwrap().to_owned()
        }
        Some(Why::Missing(_)) => "missing".into(),
        Some(_) => "error".into(),
    }
}

#[test]
fn the_documented_tables_say_what_each_transform_makes_of_each_value() {
    let page = include_str!("../../../../docs/mappings.md");
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim().trim_start_matches("| ").trim_end_matches(" |");
        line.split(" | ")
            .map(|cell| cell.trim_matches('`').to_owned())
            .collect()
    };
    let (mut headings, mut seen, mut wrong) = (Vec::new(), std::collections::BTreeSet::new(), Vec::new());
    for line in page.lines() {
        match line {
            line if line.starts_with("| Value | `") => headings = cells(line),
            line if !line.starts_with('|') => headings.clear(),
            line if headings.is_empty() || line.starts_with("|---") => {}
            line => {
                let row = cells(line);
                assert_eq!(row.len(), headings.len(), "{line}");
                for (heading, expected) in headings.iter().zip(&row).skip(1) {
                    let transform = transform_of(heading);
                    seen.insert(transform["type"].as_str().unwrap().to_owned());
                    let found = result_of(&transform, &row[0]);
                    if found != *expected {
                        wrong.push(format!("{heading} of {}: {found}, not {expected}", row[0]));
                    }
                }
            }
        }
    }
    assert_eq!(seen.len(), 10, "a transform is in no table: {seen:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_no_transform_touches_arrives_as_it_was_emitted() {
    let payload = r#"{"n": 1.10, "big": 12345678901234567890123, "o": { "b": [1.0,2] , "a":null}, "t": "\u00e9\n", "list": [{"x": 5}, [true]]}"#;
    let mapping = mapping(json!([
        path("n", "n"),
        path("big", "big"),
        path("o", "o"),
        path("b", "o.b.1"),
        path("a", "o.a"),
        path("t", "t"),
        path("x", "list.0.x"),
        path("deep", "list.1.0"),
        path("none", "list.9"),
        path("off", "n.x"),
        path("lead", "list.00.x")
    ]));
    assert_eq!(
        fields_of(&mapping, payload),
        "{\"n\":1.10,\"big\":12345678901234567890123,\"o\":{ \"b\": [1.0,2] , \"a\":null},\"b\":2,\"a\":null,\
         \"t\":\"é\\n\",\"x\":5,\"deep\":true}"
    );
}

#[test]
fn literals_and_members_of_the_event_are_sources_too() {
    let of = |kind: &str, value: Value| json!({"type": kind, "value": value});
    let mapping = mapping(json!([
        {"dest": "a", "source": of("literal", json!("x"))}, {"dest": "b", "source": of("literal", json!(null))},
        {"dest": "c", "source": of("literal", json!(1.5))}, {"dest": "d", "source": of("event", json!("event"))},
        {"dest": "e", "source": of("event", json!("created_at")), "transforms": [{"type": "to_date"}]},
        {"dest": "f", "source": of("event", json!("resource_id"))}
    ]));
    assert_eq!(
        fields_of(&mapping, "{}"),
        r#"{"a":"x","b":null,"c":1.5,"d":"lesson.completed","e":"2026-03-22"}"#
    );
}

#[test]
fn transforms_run_in_their_order() {
    let ordered = |transforms: Value| {
        let mut field = path("out", "in");
        field["transforms"] = transforms;
        fields_of(&mapping(json!([field])), r#"{"in": "  Abcdef"}"#)
    };
    let (trim, cut) = (
        json!({"type": "trim"}),
        json!({"type": "substring", "start": 0, "length": 3}),
    );
    assert_eq!(ordered(json!([trim, cut])), r#"{"out":"Abc"}"#);
    assert_eq!(ordered(json!([cut, trim])), r#"{"out":"A"}"#);
}

#[test]
fn on_error_leaves_out_warns_or_fails() {
    let apply = |on_error: Option<&str>, payload: &str, required: bool| {
        let mut field = path("age", "user.age");
        field["transforms"] = json!([{"type": "to_number"}]);
        if let Some(on_error) = on_error {
            field["on_error"] = on_error.into();
        }
        let mapping = mapping(json!([path("email", "email"), field]));
        mapping
            .apply(&event(payload), &|dest| required && dest == "age")
            .map(|mapped| (mapped.remarks(), mapped.fields))
            .map_err(|problem| problem.to_string())
    };
    let bad = r#"{"email": "a@b.example", "user": {"age": "secret"}}"#;
    let none = r#"{"email": "a@b.example"}"#;
    let blank = r#"{"email": "a@b.example", "user": {"age": null}}"#;
    let unread = "age: to_number cannot read this text as a number";
    let missing = "age: the event has no payload.user.age";
    let rest = r#"{"email":"a@b.example"}"#.to_owned();
    let left_out = |why: &str| Ok((Some(format!("Left out: {why}.")), rest.clone()));
    let warned = |why: &str| Ok((Some(format!("Mapping warning: {why}.")), rest.clone()));

    assert_eq!(apply(Some("skip_field"), bad, true), left_out(unread));
    assert_eq!(apply(Some("skip_field"), none, true), left_out(missing));
    assert_eq!(apply(Some("warn_action"), bad, true), warned(unread));
    assert_eq!(apply(Some("warn_action"), none, false), warned(missing));
    assert_eq!(apply(Some("fail_action"), bad, false), Err(unread.into()));
    assert_eq!(apply(Some("fail_action"), none, false), Err(missing.into()));
    assert_eq!(apply(None, bad, false), left_out(unread));
    assert_eq!(apply(None, none, false), Ok((None, rest.clone())));
    assert_eq!(apply(None, bad, true), Err(unread.into()));
    assert_eq!(apply(None, none, true), Err(missing.into()));
    let empty = "age: the destination requires it, and the value is empty";
    assert_eq!(apply(None, blank, true), Err(empty.into()));
    let with_null = r#"{"email":"a@b.example","age":null}"#.to_owned();
    assert_eq!(apply(None, blank, false), Ok((None, with_null)));
}

#[test]
fn a_long_list_of_problems_is_cut_in_the_message() {
    let fields: Vec<Value> = (0..9)
        .map(|index| {
            let mut field = path(&format!("f{index}"), "none");
            field["on_error"] = "warn_action".into();
            field
        })
        .collect();
    let mapped = mapping(fields.into()).apply(&event("{}"), &|_| false).unwrap();
    let remarks = mapped.remarks().unwrap();
    assert!(remarks.contains("f4: ") && !remarks.contains("f5: ") && remarks.contains("and 4 more"));
}

#[test]
fn values_and_the_whole_are_limited() {
    let long = "é".repeat(MAX_VALUE_BYTES / 2 - 1);
    let payload = json!({"fits": long, "long": format!("{long}éé")}).to_string();
    let mut field = path("long", "long");
    field["on_error"] = "warn_action".into();
    let mapped = mapping(json!([path("fits", "fits"), field]))
        .apply(&event(&payload), &|_| false)
        .unwrap();
    assert!(mapped.fields.starts_with("{\"fits\":\"é"));
    assert_eq!(mapped.warnings[0].why, Why::TooLong);
    let again: Vec<Value> = (0..9)
        .map(|index| {
            let mut field = path(&format!("f{index}"), "fits");
            field["on_error"] = "warn_action".into();
            field
        })
        .collect();
    let mapped = mapping(again.into()).apply(&event(&payload), &|_| false).unwrap();
    assert!(mapped.fields.len() <= MAX_MAPPED_BYTES + 1);
    assert_eq!(mapped.warnings.len(), 6);
    assert!(serde_json::from_str::<Value>(&mapped.fields).is_ok());

    let ten = vec![json!({"type": "upper"}); 10];
    let costly: Vec<Value> = (0..MAX_FIELDS)
        .map(|index| {
            json!({"dest": format!("f{index}"), "source": {"type": "path", "value": "fits"}, "transforms": ten,
                   "on_error": "warn_action"})
        })
        .collect();
    let mapped = mapping(costly.into())
        .apply(&event(&payload), &|_| false)
        .unwrap();
    assert_eq!(mapped.warnings.last().unwrap().why, Why::TooCostly);
}

#[test]
fn a_schema_is_refused_with_the_place_of_what_is_wrong() {
    let field = |field: Value| json!({"schema_version": 1, "fields": [path("first", "a"), field]});
    let with = |name: &str, value: Value| {
        let mut whole = path("x", "a");
        whole[name] = value;
        field(whole)
    };
    let transform = |transform: Value| with("transforms", json!([{"type": "trim"}, transform]));
    let source = |kind: &str, value: Value| with("source", json!({"type": kind, "value": value}));
    let cases = [
        (json!(5), "schema"),
        (json!({"fields": []}), "schema.schema_version"),
        (
            json!({"schema_version": 2, "fields": []}),
            "schema.schema_version",
        ),
        (
            json!({"schema_version": "1", "fields": []}),
            "schema.schema_version",
        ),
        (json!({"schema_version": 1}), "schema.fields"),
        (json!({"schema_version": 1, "fields": {}}), "schema.fields"),
        (
            json!({"schema_version": 1, "fields": [], "rules": []}),
            "schema.rules",
        ),
        (
            json!({"schema_version": 1, "fields": [], "meta": {"name": "x".repeat(65)}}),
            "schema.meta.name",
        ),
        (
            json!({"schema_version": 1, "fields": [], "meta": {"notes": ""}}),
            "schema.meta.notes",
        ),
        (
            json!({"schema_version": 1, "fields": [], "meta": null}),
            "schema.meta",
        ),
        (
            json!({"schema_version": 1, "fields": vec![path("x", "a"); MAX_FIELDS + 1]}),
            "schema.fields",
        ),
        (field(json!([])), "schema.fields[1]"),
        (
            field(json!({"source": {"type": "literal", "value": 1}})),
            "schema.fields[1].dest",
        ),
        (field(json!({"dest": "x"})), "schema.fields[1].source"),
        (field(path("first", "b")), "schema.fields[1].dest"),
        (with("dest", json!("")), "schema.fields[1].dest"),
        (with("dest", json!("x".repeat(129))), "schema.fields[1].dest"),
        (with("on_eror", json!("skip_field")), "schema.fields[1].on_eror"),
        (with("on_error", json!("ignore")), "schema.fields[1].on_error"),
        (with("on_error", json!(null)), "schema.fields[1].on_error"),
        (with("notes", json!("x".repeat(1025))), "schema.fields[1].notes"),
        (with("source", json!("email")), "schema.fields[1].source"),
        (
            with("source", json!({"type": "path", "path": "email"})),
            "schema.fields[1].source.path",
        ),
        (
            with("source", json!({"type": "literal"})),
            "schema.fields[1].source.value",
        ),
        (source("expression", json!("a")), "schema.fields[1].source.type"),
        (
            source("path", json!("$.payload.email")),
            "schema.fields[1].source.value",
        ),
        (source("path", json!("0a")), "schema.fields[1].source.value"),
        (source("path", json!("a..b")), "schema.fields[1].source.value"),
        (source("path", json!("a.b.")), "schema.fields[1].source.value"),
        (source("path", json!("a-b")), "schema.fields[1].source.value"),
        (
            source("path", json!("a".repeat(129))),
            "schema.fields[1].source.value",
        ),
        (source("literal", json!("")), "schema.fields[1].source.value"),
        (
            source("literal", json!("x".repeat(257))),
            "schema.fields[1].source.value",
        ),
        (source("literal", json!([1])), "schema.fields[1].source.value"),
        (source("event", json!("payload")), "schema.fields[1].source.value"),
        (with("transforms", json!({})), "schema.fields[1].transforms"),
        (
            with("transforms", json!(vec![json!({"type": "trim"}); 11])),
            "schema.fields[1].transforms",
        ),
        (transform(json!("trim")), "schema.fields[1].transforms[1]"),
        (
            transform(json!({"type": "reverse"})),
            "schema.fields[1].transforms[1].type",
        ),
        (
            transform(json!({"type": "trim", "side": "left"})),
            "schema.fields[1].transforms[1].side",
        ),
        (
            transform(json!({"type": "default"})),
            "schema.fields[1].transforms[1].value",
        ),
        (
            transform(json!({"type": "default", "value": "x".repeat(129)})),
            "schema.fields[1].transforms[1].value",
        ),
        (
            transform(json!({"type": "default", "value": {}})),
            "schema.fields[1].transforms[1].value",
        ),
        (
            transform(json!({"type": "substring"})),
            "schema.fields[1].transforms[1].start",
        ),
        (
            transform(json!({"type": "substring", "start": -1})),
            "schema.fields[1].transforms[1].start",
        ),
        (
            transform(json!({"type": "substring", "start": 0.5})),
            "schema.fields[1].transforms[1].start",
        ),
        (
            transform(json!({"type": "substring", "start": 0, "length": 0})),
            "schema.fields[1].transforms[1].length",
        ),
        (
            transform(json!({"type": "to_date", "timezone": ""})),
            "schema.fields[1].transforms[1].timezone",
        ),
        (
            transform(json!({"type": "to_date", "timezone": "Mars/Base"})),
            "schema.fields[1].transforms[1].timezone",
        ),
        (
            transform(json!({"type": "to_datetime", "timezone": "+02:00"})),
            "schema.fields[1].transforms[1].timezone",
        ),
    ];
    for (schema, place) in cases {
        let problems = Mapping::parse(&schema, "schema").expect_err(place);
        assert!(
            problems.iter().any(|problem| problem.place == place),
            "{place}: {problems:?}"
        );
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_within_a_limit() {
    let two = json!({"schema_version": 3, "fields": [{"dest": ""}]});
    let places: Vec<String> = Mapping::parse(&two, "mapping")
        .unwrap_err()
        .into_iter()
        .map(|problem| problem.place)
        .collect();
    assert_eq!(
        places,
        [
            "mapping.schema_version",
            "mapping.fields[0].dest",
            "mapping.fields[0].source"
        ]
    );
    let many = json!({"schema_version": 1, "fields": vec![json!(null); MAX_FIELDS]});
    assert_eq!(Mapping::parse(&many, "schema").unwrap_err().len(), 50);
}

#[test]
fn the_largest_schema_that_the_published_tools_let_through_is_taken() {
    let transforms = json!([
        {"type": "to_string"}, {"type": "to_number"}, {"type": "to_boolean"}, {"type": "to_date", "timezone": "America/New_York"},
        {"type": "to_datetime", "timezone": "UTC"}, {"type": "default", "value": null}, {"type": "trim"}, {"type": "lower"},
        {"type": "upper"}, {"type": "substring", "start": 0, "length": 5.0}
    ]);
    let fields: Vec<Value> = (0..MAX_FIELDS)
        .map(|index| {
            json!({"dest": format!("{index:0>128}"), "source": {"type": "literal", "value": "é".repeat(256)},
                   "transforms": transforms, "on_error": "skip_field", "notes": "x"})
        })
        .collect();
    let schema = json!({"schema_version": 1.0, "fields": fields, "meta": {"name": "x".repeat(64), "notes": "y".repeat(1024)}});
    let mapping = Mapping::parse(&schema, "schema").unwrap();
    assert_eq!(mapping.destinations().count(), MAX_FIELDS);
}

#[test]
fn the_generated_mapping_fills_what_has_a_counterpart_and_never_what_is_read_only() {
    let catalog = Catalog::read(
        &json!({"fields": [
            {"key": "plan", "type": "enum"}, {"key": "FNAME", "type": "string"}, {"key": "last-name", "type": "string"},
            {"key": "hs_object_id", "type": "number", "constraints": {"read_only": true}},
            {"key": "external_id", "type": "string"}, {"key": "born", "type": "date"}, {"key": "score", "type": "number"},
            {"key": "custom.field", "type": "string"}, {"key": "1st", "type": "string"}, {"key": "tags", "type": "multi_enum"},
            {"key": "Email", "type": "string", "constraints": {"required": true, "format": "email"}}
        ]})
        .to_string(),
    )
    .unwrap();
    let schema = generated(&catalog);
    let dests: Vec<&str> = schema["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["dest"].as_str().unwrap())
        .collect();
    assert_eq!(
        dests,
        [
            "Email",
            "FNAME",
            "last-name",
            "external_id",
            "plan",
            "born",
            "score",
            "tags"
        ]
    );
    let mapping = Mapping::parse(&schema, "schema").unwrap();
    let payload = r#"{"email": " nina@example.com ", "first_name": "Nina", "last_name": "K", "id": 7, "plan": "pro",
                      "born": "1990-05-01T10:00:00Z", "score": "4.50", "tags": ["a"], "hs_object_id": 1}"#;
    assert_eq!(
        fields_of(&mapping, payload),
        r#"{"Email":"nina@example.com","FNAME":"Nina","last-name":"K","external_id":"7","plan":"pro","born":"1990-05-01","score":4.50,"tags":["a"]}"#
    );
}

#[test]
fn a_generated_mapping_of_a_large_catalog_is_cut_and_says_so() {
    let fields: Vec<Value> = (0..MAX_FIELDS + 7)
        .map(|index| json!({"key": format!("f{index}"), "type": "string"}))
        .collect();
    let schema = generated(&Catalog::read(&json!({"fields": fields}).to_string()).unwrap());
    assert!(Mapping::parse(&schema, "schema").is_ok());
    assert!(schema["meta"]["notes"].as_str().unwrap().starts_with("7 further"));
}

/// Any JSON.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        "[-+0-9.eTZ: ]{0,25}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[abc]", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_transform() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec![
            "to_string",
            "to_number",
            "to_boolean",
            "to_date",
            "to_datetime",
            "trim",
            "lower",
            "upper"
        ])
        .prop_map(|name| json!({"type": name})),
        prop::sample::select(vec!["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"])
            .prop_map(|zone| json!({"type": "to_datetime", "timezone": zone})),
        (0_u64..9).prop_map(|start| json!({"type": "substring", "start": start, "length": 3})),
        Just(json!({"type": "default", "value": "d"})),
    ]
}

proptest! {
    #[test]
    fn any_mapping_of_any_payload_ends_the_same_way_twice_and_makes_json(
        payload in prop::collection::vec(("[abc]", json_value()), 0..4),
        fields in prop::collection::vec(("[abc](\\.[abc01]){0,3}", prop::collection::vec(any_transform(), 0..10)), 0..8),
        required in any::<bool>(),
    ) {
        let payload = Value::Object(payload.into_iter().collect()).to_string();
        let fields: Vec<Value> = fields.into_iter().enumerate().map(|(index, (from, transforms))| {
            json!({"dest": format!("f{index}"), "source": {"type": "path", "value": from}, "transforms": transforms})
        }).collect();
        let mapping = mapping(fields.into());
        let (first, second) = (mapping.apply(&event(&payload), &|_| required), mapping.apply(&event(&payload), &|_| required));
        match (first, second) {
            (Ok(first), Ok(second)) => {
                prop_assert_eq!(&first.fields, &second.fields);
                prop_assert!(first.fields.len() <= MAX_MAPPED_BYTES + 1);
                let read: Value = serde_json::from_str(&first.fields).unwrap();
                prop_assert_eq!(read.as_object().unwrap().len() + first.skipped.len() + first.warnings.len() <= 8, true);
            }
            (Err(first), Err(second)) => prop_assert_eq!(first, second),
            _ => prop_assert!(false, "two answers"),
        }
    }

    #[test]
    fn any_schema_is_read_or_refused(schema in json_value(), root in any::<bool>()) {
        let schema = if root { schema } else { json!({"schema_version": 1, "fields": [{"dest": schema, "source": schema, "transforms": [schema]}]}) };
        let _ = Mapping::parse(&schema, "schema");
    }

    #[test]
    fn a_picked_value_is_what_a_reader_finds_there(payload in json_value(), at in "[abc](\\.[abc01]){0,2}") {
        let text = json!({"a": payload, "b": [payload, {"c": payload}]}).to_string();
        let read: Value = serde_json::from_str(&text).unwrap();
        let mut expected = Some(&read);
        for name in at.split('.') {
            expected = match expected {
                Some(Value::Object(members)) => members.get(name),
                Some(Value::Array(items)) => name.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => None,
            };
        }
        let fields = fields_of(&mapping(json!([path("out", &at)])), &text);
        let mapped: Value = serde_json::from_str(&fields).unwrap();
        prop_assert_eq!(mapped.get("out"), expected);
    }
}

#[test]
fn paths_that_go_down_together_read_no_more_than_there_is_to_read() {
    // A long text at the bottom of so many levels, each of which is mapped as a whole.
    let nested = |levels: usize| {
        let payload = format!(
            "{}\"{}\"{}",
            r#"{"a":"#.repeat(levels),
            "x".repeat(200_000),
            "}".repeat(levels)
        );
        let fields = (1..=levels).map(|level| path(&format!("d{level}"), &vec!["a"; level].join(".")));
        (mapping(fields.collect()), payload)
    };
    let (deep, payload) = nested(40);
    let problem = deep.apply(&event(&payload), &|_| false).unwrap_err();
    assert_eq!((problem.dest.as_str(), &problem.why), ("payload", &Why::TooDeep));
    assert!(problem.to_string().contains("2097152"), "{problem}");
    let (shallow, payload) = nested(4);
    let mapped = shallow.apply(&event(&payload), &|_| false).unwrap();
    assert_eq!(
        mapped.skipped.len(),
        4,
        "each is too long for a value: {:?}",
        mapped.remarks()
    );
    // As many paths beside one another read nothing twice.
    let fields = (0..200).map(|n| path(&format!("d{n}"), &format!("a.a.m{n}")));
    let wide = mapping(fields.collect());
    assert_eq!(fields_of(&wide, &payload), "{}");
}
