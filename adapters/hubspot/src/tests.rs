use heddle_sdk::FailureKind;
use heddle_sdk::testing::{Scene, manifest};

use super::*;

const UPSERT: &str = "POST https://api.hubapi.com/crm/v3/objects/contacts/batch/upsert";

fn scene(action: &str) -> Scene {
    Scene::action(action)
        .input("id", "8")
        .input("value", "customer")
        .secret("access_token")
}

fn upserted() -> Value {
    json!({"status": "COMPLETE", "results": [{"id": "512", "new": true}]})
}

#[test]
fn the_manifest_is_sound() {
    manifest::<HubSpot>(env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_contact_is_upserted_by_email_and_added_to_the_list() {
    let added = json!({"recordsIdsAdded": ["512"], "recordIdsMissing": []});
    let run = scene("add_to_list")
        .field("firstname", "Nina")
        .field("score", 62)
        .field("vip", true)
        .field("topics", json!(["a", "b"]))
        .reply(200, upserted())
        .reply(200, added)
        .deliver::<HubSpot>();
    assert_eq!(
        run.lines(),
        [
            UPSERT,
            "PUT https://api.hubapi.com/crm/v3/lists/8/memberships/add"
        ]
    );
    let expected = json!({"inputs": [{"idProperty": "email", "id": "nina@academyflow.io", "properties": {
        "firstname": "Nina", "score": "62", "vip": "true", "topics": "a;b", "email": "nina@academyflow.io",
    }}]});
    assert_eq!(run.body(0), expected);
    assert_eq!(run.body(1), json!(["512"]));
    assert_eq!(run.done()["external_id"], "512");
}

#[test]
fn a_contact_is_kept_up_to_date_with_what_the_payload_says_of_the_person() {
    let run = Scene::action("upsert_contact")
        .payload(json!({"email": "nina@academyflow.io", "name": "Nina Ray", "phone": "+49 30"}))
        .field("firstname", "N.")
        .field("event_properties", json!({"score": 1}))
        .field("event_properties.level", 2)
        .reply(200, upserted())
        .deliver::<HubSpot>();
    assert_eq!(run.lines(), [UPSERT]);
    let expected =
        json!({"firstname": "N.", "lastname": "Ray", "phone": "+49 30", "email": "nina@academyflow.io"});
    assert_eq!(run.body(0)["inputs"][0]["properties"], expected);
    assert_eq!(run.done()["external_id"], "512");
}

const DEFINITION: &str = "GET https://api.hubapi.com/events/v3/event-definitions/pe1_done";
const EVENT: &str = "POST https://api.hubapi.com/events/v3/send";

#[test]
fn a_custom_event_takes_from_the_payload_what_it_is_defined_with() {
    let definition = json!({"fullyQualifiedName": "pe1_done", "properties": [
        {"name": "completion_percentage"}, {"name": "lesson_title"}, {"name": "absent"}, {}]});
    let run = scene("send_event")
        .input("id", "pe1_done")
        .reply(200, definition)
        .reply(204, json!(null))
        .deliver::<HubSpot>();
    assert_eq!(run.lines(), [DEFINITION, EVENT]);
    let expected = json!({
        "eventName": "pe1_done", "email": "nina@academyflow.io", "occurredAt": "2026-03-22T00:00:00.000Z",
        "uuid": "delivery-1",
        "properties": {"completion_percentage": "62", "lesson_title": "Customer Research Fundamentals"},
    });
    assert_eq!(run.body(1), expected);
    run.done();
}

#[test]
fn a_custom_event_with_mapped_properties_needs_no_look_at_its_definition() {
    let run = scene("send_event")
        .input("id", "pe1_done")
        .field("event_properties", json!({"score": 1}))
        .field("event_properties.level", 2)
        .field("firstname", "Nina")
        .reply(204, json!(null))
        .deliver::<HubSpot>();
    assert_eq!(run.lines(), [EVENT]);
    assert_eq!(run.body(0)["properties"], json!({"score": "1", "level": "2"}));
    let refused = scene("send_event")
        .field("event_properties.x", 1)
        .reply(403, json!({"category": "MISSING_SCOPES"}))
        .deliver::<HubSpot>();
    assert_eq!(refused.kind(), Some(FailureKind::Permanent));
}

#[test]
fn a_second_delivery_of_the_same_event_asks_for_the_same() {
    for action in ["add_to_list", "update_property", "upsert_contact"] {
        let (first, again) = (scene(action), scene(action).again());
        assert_eq!(
            first.deliver::<HubSpot>().requests,
            again.deliver::<HubSpot>().requests
        );
    }
    let event = scene("send_event").field("event_properties.x", 1);
    let again = event.clone().again().deliver::<HubSpot>();
    assert_eq!(event.deliver::<HubSpot>().body(0)["uuid"], again.body(0)["uuid"]);
}

#[test]
fn a_contact_is_looked_up_and_removed_but_never_created_for_it() {
    let look = "GET https://api.hubapi.com/crm/v3/objects/contacts/nina%40academyflow.io?idProperty=email";
    let run = scene("remove_from_list")
        .reply(200, json!({"id": "512"}))
        .reply(200, json!({}))
        .deliver::<HubSpot>();
    assert_eq!(
        run.lines(),
        [
            look,
            "PUT https://api.hubapi.com/crm/v3/lists/8/memberships/remove"
        ]
    );
    run.done();
    let run = scene("remove_from_list")
        .reply(404, json!({}))
        .deliver::<HubSpot>();
    assert_eq!(run.lines(), [look]);
    run.done();
}

#[test]
fn a_property_is_set_with_the_upsert() {
    let run = scene("update_property")
        .input("id", "lifecyclestage")
        .reply(200, upserted())
        .deliver::<HubSpot>();
    assert_eq!(run.lines(), [UPSERT]);
    assert_eq!(
        run.body(0)["inputs"][0]["properties"]["lifecyclestage"],
        "customer"
    );
    run.done();
}

#[test]
fn a_partial_answer_is_looked_into() {
    let invalid = json!({"status": "COMPLETE", "results": [], "numErrors": 1,
        "errors": [{"category": "VALIDATION_ERROR", "message": "Email address x is invalid"}]});
    let run = scene("add_to_list").reply(207, invalid).deliver::<HubSpot>();
    assert_eq!(run.failure().kind, FailureKind::Permanent);
    assert!(run.failure().message.contains("Email address x is invalid"));
    let taken = scene("update_property")
        .reply(207, upserted())
        .deliver::<HubSpot>();
    taken.done();
    let missing = json!({"recordIdsMissing": ["512"]});
    let run = scene("add_to_list")
        .reply(200, upserted())
        .reply(200, missing)
        .deliver::<HubSpot>();
    assert_eq!(run.kind(), Some(FailureKind::Permanent));
}

#[test]
fn a_status_decides_what_follows() {
    use FailureKind::{Authentication, Permanent, RateLimited, Retryable};
    let cases = [
        (400, json!({"category": "VALIDATION_ERROR"}), Permanent, None),
        (
            401,
            json!({"category": "EXPIRED_AUTHENTICATION"}),
            Authentication,
            None,
        ),
        (403, json!({"category": "MISSING_SCOPES"}), Permanent, None),
        (404, json!(null), Permanent, None),
        (409, json!(null), Retryable, None),
        (423, json!(null), Retryable, Some(2_000)),
        (477, json!(null), Retryable, None),
        (
            429,
            json!({"policyName": "TEN_SECONDLY_ROLLING"}),
            RateLimited,
            Some(10_000),
        ),
        (429, json!({"policyName": "SECONDLY"}), RateLimited, Some(1_000)),
        (429, json!({"policyName": "DAILY"}), RateLimited, Some(3_600_000)),
        (429, json!(null), RateLimited, None),
        (500, json!(null), Retryable, None),
        (502, json!(null), Retryable, None),
        (200, json!("no object"), Retryable, None),
        (200, json!(null), Retryable, None),
    ];
    for (status, body, kind, wait) in cases {
        let scene = scene("add_to_list").reply(status, body.clone());
        let run = scene.deliver::<HubSpot>();
        let failure = run.failure();
        assert_eq!(
            (failure.kind, failure.retry_after_ms),
            (kind, wait),
            "{status} {body}"
        );
        if status != 200 {
            let waited = scene.reply_header("Retry-After", "9").deliver::<HubSpot>();
            assert_eq!(waited.failure().retry_after_ms, Some(9_000), "{status}");
        }
    }
}

#[test]
fn what_cannot_work_sends_nothing() {
    let cases = [
        (
            scene("add_to_list").payload(json!({"x": 1})),
            FailureKind::Mapping,
        ),
        (
            scene("add_to_list").payload(json!({"email": "nobody"})),
            FailureKind::Mapping,
        ),
        (scene("add_to_list").input("id", ""), FailureKind::Mapping),
        (scene("add_to_list").input("id", ".."), FailureKind::Mapping),
        (
            scene("update_property").input("value", json!(null)),
            FailureKind::Mapping,
        ),
        (
            scene("upsert_contact").payload(json!({"x": 1})),
            FailureKind::Mapping,
        ),
        (scene("send_event").input("id", ".."), FailureKind::Mapping),
        (scene("send_event").payload(json!({"x": 1})), FailureKind::Mapping),
        (scene("explode"), FailureKind::Permanent),
    ];
    for (scene, kind) in cases {
        let run = scene.deliver::<HubSpot>();
        assert_eq!((run.kind(), run.requests.len()), (Some(kind), 0), "{scene:?}");
    }
}

#[test]
fn a_check_reads_one_property_and_changes_nothing() {
    let run = Scene::connection()
        .reply(200, json!({"name": "email"}))
        .check::<HubSpot>();
    assert_eq!(
        run.lines(),
        ["GET https://api.hubapi.com/crm/v3/properties/contacts/email"]
    );
    run.done();
    let refused = Scene::connection().reply(401, json!({})).check::<HubSpot>();
    assert_eq!(refused.kind(), Some(FailureKind::Authentication));
}

#[test]
fn static_lists_are_searched_page_by_page() {
    let page = json!({"lists": [{"listId": "8", "name": "Graduates"}, {"listId": 9, "name": "VIP"}, {}],
        "hasMore": true, "offset": 200});
    let scene = Scene::connection()
        .query("action", "add_to_list")
        .query("cursor", "100")
        .query("search", " Gra ");
    let run = scene.reply(200, page).choices::<HubSpot>();
    assert_eq!(run.lines(), ["POST https://api.hubapi.com/crm/v3/lists/search"]);
    assert_eq!(
        (&run.body(0)["offset"], &run.body(0)["query"]),
        (&json!(100), &json!("Gra"))
    );
    let choices = json!([{"id": "8", "label": "Graduates"}, {"id": "9", "label": "VIP"}]);
    assert_eq!(*run.done(), json!({"choices": choices, "next_cursor": "200"}));
}

#[test]
fn custom_events_are_searched_page_by_page() {
    let page = json!({"results": [
        {"fullyQualifiedName": "pe1_done", "name": "done", "labels": {"singular": "Lesson done"}},
        {"fullyQualifiedName": "pe1_x", "name": "x"}, {"name": "y"}], "paging": {"next": {"after": "100"}}});
    let scene = Scene::connection()
        .query("action", "send_event")
        .query("cursor", "0")
        .query("search", "a b");
    let run = scene.reply(200, page).choices::<HubSpot>();
    let list = "GET https://api.hubapi.com/events/v3/event-definitions?limit=100&searchString=a%20b&after=0";
    assert_eq!(run.lines(), [list]);
    let choices = json!([{"id": "pe1_done", "label": "Lesson done"}, {"id": "pe1_x", "label": "x"}]);
    assert_eq!(*run.done(), json!({"choices": choices, "next_cursor": "100"}));
}

fn property_page() -> Value {
    json!({"results": [
        {"name": "email", "label": "Email", "type": "string", "fieldType": "text", "options": []},
        {"name": "stage", "label": "Lifecycle stage", "type": "enumeration", "fieldType": "select", "description": " x ",
            "options": [{"label": "Lead", "value": "lead"}, {"label": "Old", "value": "old", "hidden": true}]},
        {"name": "topics", "label": "Topics", "type": "enumeration", "fieldType": "checkbox",
            "options": [{"label": "A", "value": "a"}]},
        {"name": "score", "label": "Score", "type": "number", "calculated": true,
            "options": [{"label": "1", "value": "1"}]},
        {"name": "secret", "label": "Secret", "type": "string", "hidden": true},
        {"name": "phone", "label": "Phone", "type": "phone_number"},
        {"label": "without a name"},
    ]})
}

#[test]
fn properties_with_values_are_offered_with_them() {
    let scene = Scene::connection()
        .query("action", "update_property")
        .reply(200, property_page());
    let run = scene.choices::<HubSpot>();
    let choices = json!([
        {"id": "stage", "label": "Lifecycle stage", "options": [{"id": "lead", "label": "Lead"}]},
        {"id": "topics", "label": "Topics", "options": [{"id": "a", "label": "A"}]},
    ]);
    assert_eq!(*run.done(), json!({"choices": choices, "next_cursor": null}));
}

#[test]
fn the_field_catalog_is_the_accounts_properties() {
    let run = Scene::connection()
        .reply(200, property_page())
        .fields::<HubSpot>();
    let expected = json!({"fields": [
        {"key": "email", "label": "Email", "type": "string", "constraints": {"required": true, "format": "email"}},
        {"key": "stage", "label": "Lifecycle stage", "type": "enum", "description": "x",
            "constraints": {"allowed_values": ["lead", "old"]}},
        {"key": "topics", "label": "Topics", "type": "multi_enum", "constraints": {"allowed_values": ["a"]}},
        {"key": "score", "label": "Score", "type": "number", "constraints": {"read_only": true}},
        {"key": "phone", "label": "Phone", "type": "string", "constraints": {"format": "phone"}},
        {"key": "event_properties", "label": "Event properties", "type": "object",
            "description": "Of a custom event, with their values; or map event_properties.NAME one by one. Not the contact's."},
    ]});
    assert_eq!(*run.done(), expected);
}
