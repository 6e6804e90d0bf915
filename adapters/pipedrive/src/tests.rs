use heddle_sdk::FailureKind;
use heddle_sdk::testing::{Scene, manifest};

use super::*;

const SEARCH: &str = "GET https://acme.pipedrive.com/api/v2/persons/search?term=nina%40academyflow.io&fields=email&exact_match=true&limit=100";
const READ: &str = "GET https://acme.pipedrive.com/api/v2/persons/7";
const CREATE: &str = "POST https://acme.pipedrive.com/api/v2/persons";
const WRITE: &str = "PATCH https://acme.pipedrive.com/api/v2/persons/7";
const FIELDS: &str = "GET https://acme.pipedrive.com/api/v2/personFields?limit=500";
const SEGMENT: &str = "0123456789abcdef0123456789abcdef01234567";
const TOPICS: &str = "1123456789abcdef0123456789abcdef01234567";
const BUDGET: &str = "2123456789abcdef0123456789abcdef01234567";
const SCORE: &str = "3123456789abcdef0123456789abcdef01234567";
const SINCE: &str = "4123456789abcdef0123456789abcdef01234567";

fn scene(action: &str) -> Scene {
    Scene::action(action)
        .setting("company_domain", "acme")
        .setting("several_matches", "oldest")
        .secret("api_token")
}

fn sync() -> Scene {
    scene("sync_person")
}

fn ok(data: Value) -> Value {
    json!({"success": true, "data": data, "additional_data": {"next_cursor": null}})
}

fn hits(people: Value) -> Value {
    let hits: Vec<Value> = items(&people)
        .iter()
        .map(|item| json!({"result_score": 0.5, "item": item}))
        .collect();
    ok(json!({ "items": hits }))
}

fn nina() -> Value {
    hits(json!([{"id": 7, "name": "Nina", "emails": ["Nina@AcademyFlow.io"]}]))
}

fn person() -> Value {
    json!({"id": 7, "name": "Nina", "is_deleted": false, "label_ids": [11], "visible_to": 3, "marketing_status": "no_consent",
        "emails": [{"value": "nina@academyflow.io", "primary": true, "label": "work"}],
        "phones": [{"value": "+49 30 1", "primary": true, "label": "home"}],
        "custom_fields": {SEGMENT: 21, TOPICS: [31], SCORE: null}})
}

fn found() -> Scene {
    sync().reply(200, nina()).reply(200, ok(person()))
}

fn definitions() -> Value {
    ok(json!([
        {"field_name": "Name", "field_code": "name", "field_type": "varchar", "is_custom_field": false, "options": null},
        {"field_name": "Labels", "field_code": "label_ids", "field_type": "set", "is_custom_field": false,
            "options": [{"id": 11, "label": "Hot lead"}, {"id": 12, "label": "Customer"}]},
        {"field_name": "Segment", "field_code": SEGMENT, "field_type": "enum", "is_custom_field": true,
            "options": [{"id": 21, "label": "Free"}, {"id": 22, "label": "Pro"}]},
        {"field_name": "Topics", "field_code": TOPICS, "field_type": "set", "is_custom_field": true,
            "options": [{"id": 31, "label": "Sales"}, {"id": 32, "label": "Design"}]},
        {"field_name": "Budget", "field_code": BUDGET, "field_type": "monetary", "is_custom_field": true, "options": null},
        {"field_name": "Score", "field_code": SCORE, "field_type": "double", "is_custom_field": true, "options": null},
        {"field_name": "Since", "field_code": SINCE, "field_type": "date", "is_custom_field": true, "options": null},
    ]))
}

#[test]
fn the_manifest_is_sound() {
    manifest::<Pipedrive>(env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_stranger_is_created_with_what_the_payload_says() {
    let payload = json!({"email": "nina@academyflow.io", "first_name": "Nina", "last_name": "Ray", "phone": "+49 30 1"});
    let run = sync()
        .payload(payload)
        .reply(200, hits(json!([])))
        .reply(201, ok(person()))
        .deliver::<Pipedrive>();
    assert_eq!(run.lines(), [SEARCH, CREATE]);
    let expected = json!({"name": "Nina Ray", "emails": [{"value": "nina@academyflow.io", "primary": true, "label": "work"}],
        "phones": [{"value": "+49 30 1", "primary": true, "label": "work"}]});
    assert_eq!(run.body(1), expected);
    assert_eq!(run.done()["external_id"], "7");
    let run = sync().reply(200, hits(json!([]))).deliver::<Pipedrive>();
    assert_eq!(run.body(1)["name"], "nina", "a name must be there");
}

#[test]
fn a_second_delivery_reads_and_writes_nothing() {
    let scene = || sync().field("name", "Nina").field("phone", "+49 30 1");
    let run = scene()
        .reply(200, nina())
        .reply(200, ok(person()))
        .deliver::<Pipedrive>();
    assert_eq!(run.lines(), [SEARCH, READ]);
    run.done();
}

#[test]
fn only_what_changes_is_written_and_lists_are_added_to() {
    let run = found()
        .field("name", "Nina Ray")
        .field("phone", "+49 30 2")
        .field("visible_to", "3")
        .field("owner_id", "5");
    let run = run.reply(200, ok(person())).deliver::<Pipedrive>();
    assert_eq!(run.lines(), [SEARCH, READ, WRITE]);
    let expected = json!({"owner_id": 5, "name": "Nina Ray", "phones": [
        {"value": "+49 30 1", "primary": true, "label": "home"}, {"value": "+49 30 2", "primary": false, "label": "work"}]});
    assert_eq!(run.body(2), expected);
    run.done();
}

#[test]
fn without_a_company_domain_the_common_address_is_called() {
    let run = Scene::action("sync_person").deliver::<Pipedrive>();
    assert!(run.lines()[0].starts_with("GET https://api.pipedrive.com/api/v2/persons/search?"));
}

#[test]
fn a_company_s_own_fields_are_written_in_their_types() {
    let run = sync()
        .field(SEGMENT, "pro")
        .field(TOPICS, json!(["Sales", 32]))
        .field(BUDGET, json!({"value": 10, "currency": "EUR"}))
        .field(SCORE, "62.5")
        .field(SINCE, "2026-03-21T14:18:00Z")
        .field("label_ids", "customer")
        .reply(200, definitions())
        .reply(200, nina())
        .reply(200, ok(person()))
        .deliver::<Pipedrive>();
    assert_eq!(run.lines(), [FIELDS, SEARCH, READ, WRITE]);
    let expected = json!({"label_ids": [11, 12], "custom_fields": {SEGMENT: 22, TOPICS: [31, 32],
        BUDGET: {"value": 10, "currency": "EUR"}, SCORE: 62.5, SINCE: "2026-03-21"}});
    assert_eq!(run.body(3), expected);
}

#[test]
fn values_that_a_field_cannot_take_are_not_sent() {
    let cases = [
        (SEGMENT, json!("Enterprise"), "has no option \"Enterprise\""),
        (TOPICS, json!(["Sales", 99]), "has no option \"99\""),
        (BUDGET, json!(10), "takes an object"),
        (SCORE, json!("many"), "takes a number"),
        (SINCE, json!("21.3.2026!"), "takes a date"),
        ("nonsense", json!(1), "no person field \"nonsense\""),
    ];
    for (field, value, message) in cases {
        let run = sync()
            .field(field, value.clone())
            .reply(200, definitions())
            .deliver::<Pipedrive>();
        let failure = run.failure();
        assert_eq!(
            (failure.kind, run.requests.len()),
            (FailureKind::Mapping, 1),
            "{field} {value}"
        );
        assert!(failure.message.contains(message), "{}", failure.message);
    }
    for (field, value) in [("owner_id", json!("Ada")), ("visible_to", json!(true))] {
        let run = sync().field(field, value).deliver::<Pipedrive>();
        assert_eq!(
            (run.kind(), run.requests.len()),
            (Some(FailureKind::Mapping), 0),
            "{field}"
        );
    }
}

#[test]
fn a_field_is_cleared_by_null_and_a_multiple_choice_by_no_choice() {
    let run = sync()
        .field(SEGMENT, json!(null))
        .field(TOPICS, json!([]))
        .reply(200, definitions());
    let run = run
        .reply(200, nina())
        .reply(200, ok(person()))
        .deliver::<Pipedrive>();
    assert_eq!(
        run.body(3),
        json!({"custom_fields": {SEGMENT: null, TOPICS: null}})
    );
}

#[test]
fn one_field_is_set_by_the_option_that_the_rule_names() {
    let scene = |id: &str, value: &str| {
        let scene = scene("update_person_field")
            .input("id", id)
            .input("value", value)
            .reply(200, definitions());
        scene.reply(200, nina()).reply(200, ok(person()))
    };
    let run = scene(SEGMENT, "22")
        .reply(200, ok(person()))
        .deliver::<Pipedrive>();
    assert_eq!(run.lines(), [FIELDS, SEARCH, READ, WRITE]);
    assert_eq!(run.body(3), json!({"custom_fields": {SEGMENT: 22}}));
    run.done();
    let run = scene(SEGMENT, "21").deliver::<Pipedrive>();
    assert_eq!(
        run.lines(),
        [FIELDS, SEARCH, READ],
        "a second delivery writes nothing"
    );
    run.done();
    assert_eq!(
        scene(TOPICS, "32").deliver::<Pipedrive>().body(3),
        json!({"custom_fields": {TOPICS: [32]}})
    );
}

#[test]
fn a_label_is_added_to_those_that_are_there() {
    let scene = |label: &str| {
        scene("add_label_to_person")
            .input("id", label)
            .reply(200, nina())
            .reply(200, ok(person()))
    };
    let run = scene("12").reply(200, ok(person())).deliver::<Pipedrive>();
    assert_eq!(run.lines(), [SEARCH, READ, WRITE]);
    assert_eq!(run.body(2), json!({"label_ids": [11, 12]}));
    run.done();
    assert_eq!(
        scene("11").deliver::<Pipedrive>().lines(),
        [SEARCH, READ],
        "it is there already"
    );
    let stranger = super::tests::scene("add_label_to_person")
        .input("id", 12)
        .reply(200, hits(json!([])));
    assert_eq!(stranger.deliver::<Pipedrive>().body(1)["label_ids"], json!([12]));
}

#[test]
fn a_label_is_taken_away_and_nobody_is_created_for_it() {
    let scene = |label: &str| scene("remove_label_from_person").input("id", label);
    let found = |label: &str| scene(label).reply(200, nina()).reply(200, ok(person()));
    let run = found("11").reply(200, ok(person())).deliver::<Pipedrive>();
    assert_eq!(run.lines(), [SEARCH, READ, WRITE]);
    assert_eq!(run.body(2), json!({"label_ids": []}));
    run.done();
    let run = found("11")
        .reply(400, json!({"success": false}))
        .reply(200, ok(person()))
        .deliver::<Pipedrive>();
    assert_eq!(run.body(3), json!({"label_ids": null}));
    run.done();
    assert_eq!(found("12").deliver::<Pipedrive>().lines(), [SEARCH, READ]);
    let run = scene("11").reply(200, hits(json!([]))).deliver::<Pipedrive>();
    assert_eq!(run.lines(), [SEARCH]);
    run.done();
}

#[test]
fn the_address_must_be_the_persons_own_and_the_oldest_has_it() {
    let similar =
        json!([{"id": 3, "emails": ["xnina@academyflow.io", "nina@academyflow.io.evil"]}, {"id": 4}]);
    let run = sync().reply(200, hits(similar)).deliver::<Pipedrive>();
    assert_eq!(run.lines(), [SEARCH, CREATE]);
    let two = json!([{"id": 9, "emails": ["nina@academyflow.io"]}, {"id": 7, "emails": ["x", "NINA@academyflow.io"]}]);
    let run = sync().reply(200, hits(two.clone())).deliver::<Pipedrive>();
    assert_eq!(run.lines(), [SEARCH, READ]);
    let run = sync()
        .setting("several_matches", "fail")
        .reply(200, hits(two))
        .deliver::<Pipedrive>();
    assert_eq!(
        (run.kind(), run.requests.len()),
        (Some(FailureKind::Permanent), 1)
    );
    let plus = sync()
        .payload(json!({"email": "n+1&x=y@a.co"}))
        .deliver::<Pipedrive>();
    assert!(plus.lines()[0].contains("?term=n%2B1%26x%3Dy%40a.co&"));
}

#[test]
fn a_person_that_was_deleted_since_is_looked_for_again() {
    let deleted = json!({"id": 7, "is_deleted": true});
    for (status, body) in [
        (404, json!({"success": false})),
        (410, json!({})),
        (200, ok(deleted)),
    ] {
        let run = sync()
            .reply(200, nina())
            .reply(status, body)
            .deliver::<Pipedrive>();
        assert_eq!(run.kind(), Some(FailureKind::Retryable), "{status}");
    }
}

#[test]
fn nobody_is_subscribed_again_unless_the_rule_says_so() {
    let opted_out = json!({"id": 7, "marketing_status": "unsubscribed"});
    let scene = |status: Value| {
        sync()
            .field("marketing_status", "subscribed")
            .reply(200, nina())
            .reply(200, ok(status))
    };
    let run = scene(opted_out.clone()).deliver::<Pipedrive>();
    assert_eq!(run.lines(), [SEARCH, READ]);
    run.done();
    for run in [
        scene(opted_out)
            .input("resubscribe", "true")
            .deliver::<Pipedrive>(),
        scene(person()).deliver::<Pipedrive>(),
    ] {
        assert_eq!(run.body(2), json!({"marketing_status": "subscribed"}));
    }
}

#[test]
fn a_status_decides_what_follows() {
    use FailureKind::{Authentication, Permanent, RateLimited, Retryable};
    let cases = [
        (400, Permanent, None),
        (401, Authentication, None),
        (402, Authentication, None),
        (403, Permanent, None),
        (404, Permanent, None),
        (405, Permanent, None),
        (410, Permanent, None),
        (415, Permanent, None),
        (422, Permanent, None),
        (429, RateLimited, Some(2_000)),
        (500, Retryable, None),
        (501, Permanent, None),
        (503, Retryable, None),
    ];
    for (status, kind, wait) in cases {
        let body = json!({"success": false, "error": "Some reason", "data": null});
        let run = sync().reply(status, body.clone()).deliver::<Pipedrive>();
        assert_eq!(
            (run.kind(), run.failure().retry_after_ms),
            (Some(kind), wait),
            "{status}"
        );
        assert!(run.failure().message.contains("Some reason"));
        let run = found()
            .field("name", "N")
            .reply(status, body)
            .deliver::<Pipedrive>();
        assert_eq!(run.kind(), Some(kind), "write {status}");
    }
    let unfulfilled = sync()
        .reply(200, json!({"success": false, "error": "x"}))
        .deliver::<Pipedrive>();
    assert_eq!(unfulfilled.kind(), Some(Permanent));
    for body in [
        "<html>",
        "",
        "{}",
        r#"{"success": true}"#,
        r#"{"success": true, "data": {"items": 1}}"#,
    ] {
        let run = sync().reply_text(200, body).deliver::<Pipedrive>();
        assert_eq!((run.kind(), run.requests.len()), (Some(Retryable), 1), "{body}");
    }
}

#[test]
fn a_rate_limit_lasts_as_long_as_its_headers_say() {
    let limited = || sync().reply(429, json!({"success": false, "error": "request over limit"}));
    let wait = |scene: Scene| scene.deliver::<Pipedrive>().failure().retry_after_ms;
    assert_eq!(
        wait(limited().reply_header("x-ratelimit-reset", "7")),
        Some(7_000)
    );
    assert_eq!(
        wait(
            limited()
                .reply_header("x-ratelimit-reset", "1")
                .reply_header("Retry-After", "9")
        ),
        Some(9_000)
    );
    let spent = limited()
        .reply_header("x-daily-ratelimit-token-remaining", "0")
        .reply_header("Retry-After", "1");
    assert_eq!(wait(spent), Some(3_600_000), "the day's budget is used up");
    let blocked = sync()
        .reply_text(403, "<html>error 1015</html>")
        .deliver::<Pipedrive>();
    let failure = blocked.failure();
    assert_eq!(
        (failure.kind, failure.retry_after_ms),
        (FailureKind::RateLimited, Some(3_600_000))
    );
}

#[test]
fn what_cannot_work_sends_nothing() {
    let cases = [
        (sync().payload(json!({"x": 1})), FailureKind::Mapping),
        (sync().payload(json!({"email": "nobody"})), FailureKind::Mapping),
        (scene("add_label_to_person"), FailureKind::Mapping),
        (
            scene("add_label_to_person").input("id", "../1"),
            FailureKind::Mapping,
        ),
        (
            scene("remove_label_from_person").input("id", "Hot"),
            FailureKind::Mapping,
        ),
        (
            scene("update_person_field").input("id", SEGMENT),
            FailureKind::Mapping,
        ),
        (scene("explode"), FailureKind::Permanent),
    ];
    for (scene, kind) in cases {
        let run = scene.deliver::<Pipedrive>();
        assert_eq!((run.kind(), run.requests.len()), (Some(kind), 0), "{scene:?}");
    }
}

#[test]
fn a_check_names_the_company() {
    let run = Scene::connection()
        .setting("company_domain", "acme")
        .reply(200, ok(json!({"company_name": "Academy"})));
    let run = run.check::<Pipedrive>();
    assert_eq!(run.lines(), ["GET https://acme.pipedrive.com/api/v1/users/me"]);
    assert_eq!(run.done()["account"], "Academy");
    let refused = Scene::connection().reply(401, json!({"success": false, "error": "unauthorized access"}));
    assert_eq!(
        refused.check::<Pipedrive>().kind(),
        Some(FailureKind::Authentication)
    );
}

#[test]
fn labels_are_found_on_whatever_page_they_are() {
    let first = json!({"success": true, "data": [], "additional_data": {"next_cursor": "a=b"}});
    let scene = Scene::connection()
        .setting("company_domain", "acme")
        .query("action", "add_label_to_person");
    let run = scene
        .query("search", "cust")
        .reply(200, first)
        .reply(200, definitions())
        .choices::<Pipedrive>();
    assert_eq!(run.lines(), [FIELDS.to_owned(), format!("{FIELDS}&cursor=a%3Db")]);
    assert_eq!(
        *run.done(),
        json!({"choices": [{"id": "12", "label": "Customer"}], "next_cursor": null})
    );
}

#[test]
fn fields_with_options_are_offered_with_them() {
    let mut page = definitions();
    page["additional_data"]["next_cursor"] = "n".into();
    let scene = Scene::connection()
        .setting("company_domain", "acme")
        .query("action", "update_person_field");
    let run = scene
        .query("search", "SEG")
        .query("cursor", "c")
        .reply(200, page)
        .choices::<Pipedrive>();
    assert_eq!(run.lines(), [format!("{FIELDS}&cursor=c")]);
    let options = json!([{"id": "21", "label": "Free"}, {"id": "22", "label": "Pro"}]);
    let expected =
        json!({"choices": [{"id": SEGMENT, "label": "Segment", "options": options}], "next_cursor": "n"});
    assert_eq!(*run.done(), expected);
}

#[test]
fn the_field_catalog_has_the_company_s_own_fields() {
    let run = Scene::connection()
        .setting("company_domain", "acme")
        .reply(200, definitions())
        .fields::<Pipedrive>();
    let fields = items(&run.done()["fields"]);
    let types: Vec<_> = fields
        .iter()
        .map(|field| (field["key"].as_str().unwrap(), field["type"].as_str().unwrap()))
        .collect();
    let expected = [
        ("email", "string"),
        ("name", "string"),
        ("phone", "string"),
        ("owner_id", "number"),
        ("org_id", "number"),
        ("visible_to", "number"),
        ("marketing_status", "enum"),
        ("label_ids", "multi_enum"),
        (SEGMENT, "enum"),
        (TOPICS, "multi_enum"),
        (BUDGET, "object"),
        (SCORE, "number"),
        (SINCE, "date"),
    ];
    assert_eq!(types, expected);
    assert_eq!(
        fields[8]["constraints"],
        json!({"allowed_values": ["Free", "Pro"]})
    );
    assert_eq!(
        fields[0]["constraints"],
        json!({"required": true, "format": "email"})
    );
}
