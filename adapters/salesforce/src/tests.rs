use heddle_sdk::FailureKind;
use heddle_sdk::testing::{Scene, manifest};

use super::*;

const API: &str = "https://acme.my.salesforce.com/services/data/v62.0";
const CAMPAIGN: &str = "701xx000001AbCdEFG";
const CONTACT: &str = "003xx000004TmiQAAS";

fn scene(action: &str) -> Scene {
    Scene::action(action)
        .setting("instance_url", "https://acme.my.salesforce.com")
        .secret("access_token")
}

fn add() -> Scene {
    scene("add_to_campaign").input("id", CAMPAIGN)
}

fn records(records: Value) -> Value {
    json!({"totalSize": 1, "done": true, "records": records})
}

fn nobody() -> Value {
    records(json!([]))
}

fn nina() -> Value {
    records(json!([{"attributes": {"type": "Contact"}, "Id": CONTACT}]))
}

fn saved(id: &str) -> Value {
    json!({"id": id, "success": true, "errors": []})
}

fn errors(code: &str) -> Value {
    json!([{"message": "Some reason", "errorCode": code, "fields": []}])
}

fn soql(text: &str) -> String {
    format!("GET {API}/query?q={}", heddle_sdk::url::encode(text))
}

fn by_email(email: &str) -> String {
    soql(&format!(
        "SELECT Id FROM Contact WHERE Email = '{email}' ORDER BY CreatedDate ASC, Id ASC LIMIT 1"
    ))
}

fn post(object: &str) -> String {
    format!("POST {API}/sobjects/{object}")
}

fn patch_contact() -> String {
    format!("PATCH {API}/sobjects/Contact/{CONTACT}")
}

#[test]
fn the_manifest_is_sound() {
    manifest::<Salesforce>(env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_stranger_is_created_and_made_a_member() {
    let payload = json!({"email": "nina@academyflow.io", "name": "Nina Ray", "phone": "+49 30 1"});
    let run = add()
        .payload(payload)
        .field("Title", "Dean")
        .field("Topics__c", json!(["a", "b"]))
        .reply(200, nobody())
        .reply(201, saved(CONTACT))
        .reply(201, saved("00vxx"))
        .deliver::<Salesforce>();
    assert_eq!(
        run.lines(),
        [
            by_email("nina@academyflow.io"),
            post("Contact"),
            post("CampaignMember")
        ]
    );
    let contact = json!({"Title": "Dean", "Topics__c": "a;b", "FirstName": "Nina", "LastName": "Ray", "Phone": "+49 30 1",
        "Email": "nina@academyflow.io"});
    assert_eq!(run.body(1), contact);
    assert_eq!(run.body(2), json!({"CampaignId": CAMPAIGN, "ContactId": CONTACT}));
    assert_eq!(run.done()["external_id"], CONTACT);
}

#[test]
fn a_contact_has_a_last_name_whatever_the_event_says() {
    let cases = [
        (
            json!({"email": "nina@a.co"}),
            json!({"LastName": "nina", "Email": "nina@a.co"}),
        ),
        (
            json!({"email": "nina@a.co", "name": "Nina"}),
            json!({"LastName": "Nina", "Email": "nina@a.co"}),
        ),
        (
            json!({"email": "nina@a.co", "last_name": "Ray"}),
            json!({"LastName": "Ray", "Email": "nina@a.co"}),
        ),
    ];
    for (payload, body) in cases {
        let run = add()
            .payload(payload)
            .reply(200, nobody())
            .deliver::<Salesforce>();
        assert_eq!(run.body(1), body);
    }
    let mapped = add()
        .field("LastName", "Ray")
        .field("Email", " n@b.co ")
        .reply(200, nobody())
        .deliver::<Salesforce>();
    assert_eq!(mapped.lines()[0], by_email("n@b.co"));
    assert_eq!(mapped.body(1), json!({"LastName": "Ray", "Email": "n@b.co"}));
}

#[test]
fn a_second_delivery_finds_the_contact_in_the_campaign() {
    let scene = || {
        add()
            .field("Title", "Dean")
            .reply(200, nina())
            .reply_text(204, "")
    };
    let run = scene()
        .reply(400, errors("DUPLICATE_VALUE"))
        .deliver::<Salesforce>();
    assert_eq!(
        run.lines(),
        [
            by_email("nina@academyflow.io"),
            patch_contact(),
            post("CampaignMember")
        ]
    );
    assert_eq!(run.body(1), json!({"Title": "Dean"}));
    run.done();
    let unmapped = add()
        .reply(200, nina())
        .reply(400, errors("DUPLICATE_VALUE"))
        .deliver::<Salesforce>();
    assert_eq!(
        unmapped.lines(),
        [by_email("nina@academyflow.io"), post("CampaignMember")]
    );
    unmapped.done();
}

#[test]
fn a_member_is_removed_and_one_that_is_none_is_no_failure() {
    let scene = || {
        scene("remove_from_campaign")
            .input("id", CAMPAIGN)
            .reply(200, nina())
    };
    let look = soql(&format!(
        "SELECT Id FROM CampaignMember WHERE CampaignId = '{CAMPAIGN}' AND ContactId = '{CONTACT}' LIMIT 1"
    ));
    let member = || records(json!([{"Id": "00v1"}]));
    for (status, body) in [(204, json!(null)), (404, errors("ENTITY_IS_DELETED"))] {
        let run = scene()
            .reply(200, member())
            .reply(status, body)
            .deliver::<Salesforce>();
        let remove = format!("DELETE {API}/sobjects/CampaignMember/00v1");
        assert_eq!(
            run.lines(),
            [by_email("nina@academyflow.io"), look.clone(), remove]
        );
        run.done();
    }
    let run = scene().reply(200, nobody()).deliver::<Salesforce>();
    assert_eq!(run.lines().len(), 2);
    run.done();
}

#[test]
fn a_property_is_set_with_the_mapped_fields() {
    let scene = scene("update_property")
        .input("id", "LeadSource")
        .input("value", "Web")
        .field("Title", "Dean");
    let run = scene
        .reply(200, nina())
        .reply_text(204, "")
        .deliver::<Salesforce>();
    assert_eq!(run.body(1), json!({"Title": "Dean", "LeadSource": "Web"}));
    run.done();
}

#[test]
fn nobody_is_opted_in_again_unless_the_rule_says_so() {
    let scene = |value: Value| {
        add()
            .field("HasOptedOutOfEmail", value)
            .field("Title", "Dean")
            .reply(200, nina())
    };
    for kept in [json!(false), json!("false"), json!(null)] {
        assert_eq!(
            scene(kept.clone()).deliver::<Salesforce>().body(1),
            json!({"Title": "Dean"}),
            "{kept}"
        );
    }
    let out = json!({"HasOptedOutOfEmail": true, "Title": "Dean"});
    assert_eq!(scene(json!(true)).deliver::<Salesforce>().body(1), out);
    let allowed = scene(json!(false))
        .input("resubscribe", "true")
        .deliver::<Salesforce>();
    assert_eq!(
        allowed.body(1),
        json!({"HasOptedOutOfEmail": false, "Title": "Dean"})
    );
}

#[test]
fn texts_cannot_leave_their_place_in_a_query() {
    let run = add()
        .payload(json!({"email": "o'brien\\@a.co"}))
        .deliver::<Salesforce>();
    assert_eq!(run.lines(), [by_email("o\\'brien\\\\@a.co")]);
    let run = Scene::connection()
        .setting("instance_url", "https://acme.my.salesforce.com")
        .query("search", "50%_o'\\ff\r\n' OR Name LIKE '%")
        .choices::<Salesforce>();
    let expected = "SELECT Id, Name FROM Campaign WHERE Name LIKE '%50\\%\\_o\\'\\\\ff  \\' OR Name LIKE \\'\\%%' ORDER BY IsActive DESC, Name ASC";
    assert_eq!(run.lines(), [soql(expected)]);
}

fn upsert() -> Scene {
    scene("upsert_record")
        .input("id", "Enrollment__c")
        .input("key", "Student_Id__c")
}

#[test]
fn a_record_is_created_or_updated_by_its_external_id() {
    let data = r#"{"Name": "{{lesson_title}}", "Progress__c": 62, "Owner": {"Alias": "nray"}}"#;
    let scene = || upsert().input("value", "{{student_id}}").input("data", data);
    let line = format!("PATCH {API}/sobjects/Enrollment__c/Student_Id__c/stu_2048");
    let cases = [
        (
            201,
            json!({"id": "a01", "success": true, "created": true}),
            Some("a01"),
        ),
        (
            200,
            json!({"id": "a01", "success": true, "created": false}),
            Some("a01"),
        ),
        (204, json!(null), None),
    ];
    for (status, body, id) in cases {
        let run = scene().reply(status, body).deliver::<Salesforce>();
        assert_eq!(run.lines(), std::slice::from_ref(&line));
        assert_eq!(
            run.body(0),
            json!({"Name": "Customer Research Fundamentals", "Progress__c": 62, "Owner": {"Alias": "nray"}})
        );
        assert_eq!(run.done()["external_id"].as_str(), id, "{status}");
    }
    let several = scene().reply(300, json!(["/a", "/b"])).deliver::<Salesforce>();
    assert_eq!(several.kind(), Some(FailureKind::Permanent));
    assert!(several.failure().message.contains("several records"));
    let unsaved = scene()
        .reply(200, json!({"success": false, "errors": [{"message": "x"}]}))
        .deliver::<Salesforce>();
    assert_eq!(unsaved.kind(), Some(FailureKind::Permanent));
}

#[test]
fn without_data_a_record_gets_the_mapped_fields_and_the_id_is_not_sent_twice() {
    let run = upsert()
        .field("student_id__c", "../x y")
        .field("Name", "N")
        .deliver::<Salesforce>();
    assert_eq!(
        run.lines(),
        [format!(
            "PATCH {API}/sobjects/Enrollment__c/Student_Id__c/..%2Fx%20y"
        )]
    );
    assert_eq!(run.body(0), json!({"Name": "N"}));
}

#[test]
fn a_record_is_created() {
    let scene = scene("create_record")
        .input("id", "Task")
        .input("data", r#"{"Subject": "Call {{email}}"}"#);
    let run = scene.reply(201, saved("00T1")).deliver::<Salesforce>();
    assert_eq!(run.lines(), [post("Task")]);
    assert_eq!(run.body(0), json!({"Subject": "Call nina@academyflow.io"}));
    assert_eq!(run.done()["external_id"], "00T1");
}

#[test]
fn a_status_and_salesforces_word_decide_what_follows() {
    use FailureKind::{Authentication, Permanent, RateLimited, Retryable};
    let cases = [
        (300, "", Permanent, None),
        (302, "", Permanent, None),
        (400, "REQUIRED_FIELD_MISSING", Permanent, None),
        (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", Permanent, None),
        (400, "DUPLICATES_DETECTED", Permanent, None),
        (400, "UNABLE_TO_LOCK_ROW", Retryable, None),
        (401, "INVALID_SESSION_ID", Authentication, None),
        (403, "REQUEST_LIMIT_EXCEEDED", RateLimited, Some(900_000)),
        (403, "INSUFFICIENT_ACCESS", Permanent, None),
        (404, "NOT_FOUND", Permanent, None),
        (420, "", Retryable, None),
        (429, "", RateLimited, None),
        (500, "UNKNOWN_EXCEPTION", Retryable, None),
        (503, "SERVER_UNAVAILABLE", Retryable, None),
    ];
    for (status, code, kind, wait) in cases {
        for scene in [add(), add().reply(200, nobody()), add().reply(200, nina())] {
            let run = scene.reply(status, errors(code)).deliver::<Salesforce>();
            assert_eq!(
                (run.kind(), run.failure().retry_after_ms),
                (Some(kind), wait),
                "{status} {code}"
            );
            assert!(run.failure().message.contains("Some reason"));
        }
    }
    let waited = add()
        .reply(403, errors("REQUEST_LIMIT_EXCEEDED"))
        .reply_header("Retry-After", "60");
    assert_eq!(
        waited.deliver::<Salesforce>().failure().retry_after_ms,
        Some(60_000)
    );
    for body in ["<html>", "", "[]", "{}"] {
        let run = add().reply_text(200, body).deliver::<Salesforce>();
        assert_eq!((run.kind(), run.requests.len()), (Some(Retryable), 1), "{body}");
    }
    let gone = add()
        .field("Title", "Dean")
        .reply(200, nina())
        .reply(404, errors("NOT_FOUND"))
        .deliver::<Salesforce>();
    assert_eq!(gone.kind(), Some(Retryable), "deleted since the query saw it");
}

#[test]
fn what_cannot_work_sends_nothing() {
    let data = |text: &str| scene("create_record").input("id", "Task").input("data", text);
    let cases = [
        (add().payload(json!({"x": 1})), FailureKind::Mapping),
        (add().field("Email", "nobody"), FailureKind::Mapping),
        (add().field("Email", 7), FailureKind::Mapping),
        (add().input("id", "701' OR Id != '"), FailureKind::Mapping),
        (scene("remove_from_campaign"), FailureKind::Mapping),
        (
            scene("update_property").input("id", "A-B").input("value", "x"),
            FailureKind::Mapping,
        ),
        (
            scene("update_property").input("id", "LeadSource"),
            FailureKind::Mapping,
        ),
        (upsert(), FailureKind::Mapping),
        (upsert().input("value", "{{nothing}}"), FailureKind::Mapping),
        (upsert().input("value", ".."), FailureKind::Mapping),
        (
            upsert().input("value", "x").input("id", "../query"),
            FailureKind::Mapping,
        ),
        (
            upsert().input("value", "x").input("key", "a/b"),
            FailureKind::Mapping,
        ),
        (data("not JSON"), FailureKind::Mapping),
        (data("[1]"), FailureKind::Mapping),
        (data(r#"{"Sub ject": 1}"#), FailureKind::Mapping),
        (data(r#"{"Subject": "{{"}"#), FailureKind::Mapping),
        (scene("create_record").input("id", "Task"), FailureKind::Mapping),
        (scene("explode"), FailureKind::Permanent),
    ];
    for (scene, kind) in cases {
        let run = scene.deliver::<Salesforce>();
        assert_eq!((run.kind(), run.requests.len()), (Some(kind), 0), "{scene:?}");
    }
}

#[test]
fn only_salesforces_own_hosts_are_called() {
    for good in [
        "https://acme.my.salesforce.com/",
        "https://Acme--Dev.sandbox.my.salesforce.com",
        "https://acme.my.force.com",
    ] {
        assert_eq!(
            add()
                .setting("instance_url", good)
                .deliver::<Salesforce>()
                .requests
                .len(),
            1,
            "{good}"
        );
    }
    for bad in [
        "http://acme.my.salesforce.com",
        "https://evilsalesforce.com",
        "https://acme.salesforce.com.evil.test",
        "https://evil.test/.salesforce.com",
        "https://evil.test#.salesforce.com",
        "https://a@evil.test?.force.com",
        "https://acme.salesforce.com:8443",
        "",
    ] {
        let run = add().setting("instance_url", bad).deliver::<Salesforce>();
        assert_eq!(
            (run.kind(), run.requests.len()),
            (Some(FailureKind::Permanent), 0),
            "{bad}"
        );
        let check = Scene::connection()
            .setting("instance_url", bad)
            .check::<Salesforce>();
        assert_eq!(
            (check.kind(), check.requests.len()),
            (Some(FailureKind::Permanent), 0),
            "{bad}"
        );
    }
}

fn question() -> Scene {
    Scene::connection().setting("instance_url", "https://acme.my.salesforce.com")
}

#[test]
fn a_check_names_the_organization() {
    let run = question()
        .reply(200, records(json!([{"Name": "Academy"}])))
        .check::<Salesforce>();
    assert_eq!(run.lines(), [soql("SELECT Name FROM Organization LIMIT 1")]);
    assert_eq!(run.done()["account"], "Academy");
    let ended = question()
        .reply(401, errors("INVALID_SESSION_ID"))
        .check::<Salesforce>();
    assert_eq!(ended.kind(), Some(FailureKind::Authentication));
}

#[test]
fn campaigns_are_offered_page_by_page() {
    let page = json!({"done": false, "nextRecordsUrl": "/services/data/v62.0/query/01gxx-200",
        "records": [{"Id": CAMPAIGN, "Name": "Spring"}, {"Id": "x"}]});
    let scene = question().query("action", "add_to_campaign");
    let run = scene.clone().reply(200, page).choices::<Salesforce>();
    assert_eq!(
        run.lines(),
        [soql(
            "SELECT Id, Name FROM Campaign ORDER BY IsActive DESC, Name ASC"
        )]
    );
    assert_eq!(
        *run.done(),
        json!({"choices": [{"id": CAMPAIGN, "label": "Spring"}], "next_cursor": "01gxx-200"})
    );
    let run = scene
        .clone()
        .query("cursor", "01gxx-200")
        .reply(200, nobody())
        .choices::<Salesforce>();
    assert_eq!(run.lines(), [format!("GET {API}/query/01gxx-200")]);
    assert_eq!(run.done()["next_cursor"], json!(null));
    let strayed = scene.query("cursor", "../sobjects/User").choices::<Salesforce>();
    assert_eq!(strayed.lines(), [format!("GET {API}/query/..%2Fsobjects%2FUser")]);
}

#[test]
fn objects_that_can_be_created_are_offered() {
    let all = json!({"sobjects": [{"name": "Task", "label": "Task", "createable": true},
        {"name": "Enrollment__c", "label": "Enrollment", "createable": true}, {"name": "TaskFeed", "label": "Task feed", "createable": false}]});
    let run = question()
        .query("action", "create_record")
        .query("search", "task")
        .reply(200, all)
        .choices::<Salesforce>();
    assert_eq!(run.lines(), [format!("GET {API}/sobjects")]);
    assert_eq!(
        *run.done(),
        json!({"choices": [{"id": "Task", "label": "Task"}], "next_cursor": null})
    );
}

fn description() -> Value {
    json!({"fields": [
        {"name": "Id", "label": "Contact ID", "type": "id", "createable": false, "updateable": false},
        {"name": "Email", "label": "Email", "type": "email", "length": 80, "createable": true, "updateable": true},
        {"name": "LeadSource", "label": "Lead Source", "type": "picklist", "createable": true, "updateable": true, "restrictedPicklist": true,
            "picklistValues": [{"value": "Web", "label": "The web", "active": true}, {"value": "Fax", "active": false}]},
        {"name": "Topics__c", "label": "Topics", "type": "multipicklist", "createable": true, "updateable": true, "inlineHelpText": "What they like.",
            "picklistValues": [{"value": "a", "label": "A", "active": true}]},
        {"name": "Score__c", "label": "Score", "type": "double", "createable": true, "updateable": true},
        {"name": "MailingAddress", "label": "Address", "type": "address", "createable": true, "updateable": true},
    ]})
}

#[test]
fn picklists_are_offered_with_the_values_in_use() {
    let run = question()
        .query("action", "update_property")
        .query("search", "lead")
        .reply(200, description())
        .choices::<Salesforce>();
    assert_eq!(run.lines(), [format!("GET {API}/sobjects/Contact/describe")]);
    let expected =
        json!([{"id": "LeadSource", "label": "Lead Source", "options": [{"id": "Web", "label": "The web"}]}]);
    assert_eq!(run.done()["choices"], expected);
}

#[test]
fn the_field_catalog_is_what_can_be_written_on_a_contact() {
    let run = question().reply(200, description()).fields::<Salesforce>();
    let expected = json!([
        {"key": "Email", "label": "Email", "type": "string", "constraints": {"required": true, "format": "email", "max_length": 80}},
        {"key": "LeadSource", "label": "Lead Source", "type": "enum", "constraints": {"allowed_values": ["Web"]}},
        {"key": "Topics__c", "label": "Topics", "type": "multi_enum", "description": "What they like.", "constraints": {"allowed_values": ["a"]}},
        {"key": "Score__c", "label": "Score", "type": "number"},
    ]);
    assert_eq!(run.done()["fields"], expected);
}
