use heddle_sdk::FailureKind;
use heddle_sdk::testing::{Scene, manifest};

use super::*;

const API: &str = "https://acme.api-us1.com/api/3";

fn scene(action: &str) -> Scene {
    Scene::action(action)
        .setting("api_url", "https://acme.api-us1.com")
        .setting("actid", "609711776")
        .secret("api_key")
        .secret("event_key")
        .input("id", "7")
}

fn question() -> Scene {
    Scene::connection()
        .setting("api_url", "https://acme.api-us1.com/")
        .secret("api_key")
}

fn synced() -> Value {
    json!({"contact": {"id": "113", "email": "nina@academyflow.io"}})
}

fn found() -> Value {
    json!({"contacts": [{"id": "9", "email": "other@academyflow.io"}, {"id": "113", "email": "Nina@academyflow.io"}]})
}

fn on_list(status: &str) -> Value {
    json!({"contactLists": [{"list": "8", "status": "2"}, {"id": "4", "list": "7", "status": status}]})
}

const MEMBERSHIPS: &str = "GET https://acme.api-us1.com/api/3/contacts/113/contactLists?limit=100&offset=0";

#[test]
fn the_manifest_is_sound() {
    manifest::<ActiveCampaign>(env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_event_key_goes_to_the_tracker_alone_and_the_api_key_to_the_account_alone() {
    let manifest = manifest::<ActiveCampaign>(env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest["credentials"][0]["hosts"], json!(["{api_url.host}"]));
    assert_eq!(manifest["credentials"][1]["hosts"], json!(["trackcmp.net"]));
}

#[test]
fn a_contact_is_synced_with_its_mapped_fields() {
    let run = scene("sync_contact")
        .payload(json!({"email": "nina@academyflow.io", "name": "Nina Ray", "phone": "+371 2000"}))
        .field("firstName", "Mapped")
        .field("3", json!(["a", "b"]))
        .field("4", 62)
        .field("5", json!(null))
        .field("6", true)
        .reply(201, synced())
        .deliver::<ActiveCampaign>();
    assert_eq!(run.lines(), [format!("POST {API}/contact/sync")]);
    let expected = json!({"contact": {
        "email": "nina@academyflow.io", "firstName": "Mapped", "lastName": "Ray", "phone": "+371 2000",
        "fieldValues": [{"field": "3", "value": "||a||b||"}, {"field": "4", "value": "62"},
            {"field": "5", "value": ""}, {"field": "6", "value": "true"}],
    }});
    assert_eq!(run.body(0), expected);
    assert_eq!(run.done()["external_id"], "113");
    let bare = scene("sync_contact")
        .reply(200, synced())
        .deliver::<ActiveCampaign>();
    assert_eq!(bare.body(0), json!({"contact": {"email": "nina@academyflow.io"}}));
}

#[test]
fn a_url_with_a_path_leads_to_the_same_api() {
    for url in [
        "https://acme.api-us1.com/",
        " https://acme.api-us1.com/api/3 ",
        "https://acme.api-us1.com?x#y",
    ] {
        let run = scene("sync_contact")
            .setting("api_url", url)
            .deliver::<ActiveCampaign>();
        assert_eq!(run.lines(), [format!("POST {API}/contact/sync")], "{url}");
    }
}

#[test]
fn a_contact_that_never_was_on_the_list_is_subscribed() {
    let cases = [json!({"contactLists": []}), on_list("0"), on_list("3")];
    for memberships in cases {
        let run = scene("add_to_list")
            .reply(201, synced())
            .reply(200, memberships)
            .reply(200, json!({}))
            .deliver::<ActiveCampaign>();
        let lines = [
            format!("POST {API}/contact/sync"),
            MEMBERSHIPS.into(),
            format!("POST {API}/contactLists"),
        ];
        assert_eq!(run.lines(), lines);
        assert_eq!(
            run.body(2),
            json!({"contactList": {"list": 7, "contact": 113, "status": 1}})
        );
        assert_eq!(run.done()["message"], "the contact is on list 7");
    }
}

#[test]
fn nobody_who_unsubscribed_is_subscribed_again_unless_the_rule_says_so() {
    let scene = |resubscribe| {
        let scene = scene("add_to_list").input("resubscribe", resubscribe);
        scene
            .reply(201, synced())
            .reply(200, on_list("2"))
            .reply(200, json!({}))
    };
    for off in [json!(null), json!("false"), json!("yes"), json!(false)] {
        let run = scene(off.clone()).deliver::<ActiveCampaign>();
        assert_eq!(run.requests.len(), 2, "{off}");
        assert!(run.done()["message"].as_str().unwrap().contains("left so"));
    }
    let run = scene(json!("true")).deliver::<ActiveCampaign>();
    let expected = json!({"contactList": {"list": 7, "contact": 113, "status": 1, "sourceid": 4}});
    assert_eq!(run.body(2), expected);
}

#[test]
fn a_membership_is_looked_for_on_every_page_before_anybody_is_subscribed() {
    let full: Vec<Value> = (1000..1100)
        .map(|list| json!({"list": list, "status": "1"}))
        .collect();
    let full = json!({ "contactLists": full });
    let run = scene("add_to_list")
        .reply(201, synced())
        .reply(200, full.clone())
        .reply(200, on_list("2"))
        .deliver::<ActiveCampaign>();
    assert!(run.lines()[2].ends_with("limit=100&offset=100"));
    assert!(run.done()["message"].as_str().unwrap().contains("left so"));
    let endless = (0..10).fold(scene("add_to_list").reply(201, synced()), |scene, _| {
        scene.reply(200, full.clone())
    });
    let run = endless.deliver::<ActiveCampaign>();
    assert_eq!(
        (run.kind(), run.requests.len()),
        (Some(FailureKind::Permanent), 11)
    );
}

#[test]
fn removing_looks_first_and_neither_creates_nor_marks_anybody() {
    let find = format!("GET {API}/contacts?email=nina%40academyflow.io");
    let run = scene("remove_from_list")
        .reply(200, found())
        .reply(200, on_list("1"))
        .reply(200, json!({}))
        .deliver::<ActiveCampaign>();
    assert_eq!(
        run.lines(),
        [
            find.clone(),
            MEMBERSHIPS.into(),
            format!("POST {API}/contactLists")
        ]
    );
    assert_eq!(
        run.body(2),
        json!({"contactList": {"list": 7, "contact": 113, "status": 2}})
    );
    run.done();
    for memberships in [json!({"contactLists": []}), on_list("2")] {
        let run = scene("remove_from_list")
            .reply(200, found())
            .reply(200, memberships)
            .deliver::<ActiveCampaign>();
        assert_eq!(run.requests.len(), 2);
        run.done();
    }
    for action in ["remove_from_list", "remove_tag"] {
        let run = scene(action)
            .reply(200, json!({"contacts": []}))
            .deliver::<ActiveCampaign>();
        assert_eq!(run.lines(), [find.as_str()]);
        run.done();
    }
}

#[test]
fn a_tag_is_added_to_the_synced_contact_and_removed_by_its_association() {
    let run = scene("add_tag")
        .reply(201, synced())
        .reply(201, json!({}))
        .deliver::<ActiveCampaign>();
    assert_eq!(run.lines()[1], format!("POST {API}/contactTags"));
    assert_eq!(run.body(1), json!({"contactTag": {"contact": 113, "tag": 7}}));
    run.done();
    let tagged = json!({"contactTags": [{"id": "21", "tag": "6"}, {"id": "22", "tag": "7"}]});
    for (status, body) in [
        (200, json!({})),
        (204, json!(null)),
        (404, json!({"message": "No Result found"})),
    ] {
        let run = scene("remove_tag")
            .reply(200, found())
            .reply(200, tagged.clone())
            .reply(status, body)
            .deliver::<ActiveCampaign>();
        assert_eq!(
            run.lines()[1..],
            [
                format!("GET {API}/contacts/113/contactTags?limit=100&offset=0"),
                format!("DELETE {API}/contactTags/22"),
            ]
        );
        run.done();
    }
    let run = scene("remove_tag")
        .reply(200, found())
        .reply(200, json!({"contactTags": []}))
        .deliver::<ActiveCampaign>();
    assert_eq!(run.requests.len(), 2);
    run.done();
}

#[test]
fn a_contact_enters_an_automation() {
    let run = scene("add_to_automation")
        .reply(201, synced())
        .reply(201, json!({}))
        .deliver::<ActiveCampaign>();
    assert_eq!(run.lines()[1], format!("POST {API}/contactAutomations"));
    assert_eq!(
        run.body(1),
        json!({"contactAutomation": {"contact": 113, "automation": 7}})
    );
    assert_eq!(run.done()["message"], "the contact entered automation 7");
}

#[test]
fn an_event_is_tracked_as_a_form_without_the_key_which_heddle_adds() {
    let run = scene("track_event")
        .input("event_data", "{{lesson_title}} & {{missing}}")
        .reply(201, synced())
        .reply(200, json!({"success": 1, "message": "Event spawned"}))
        .deliver::<ActiveCampaign>();
    assert_eq!(
        run.lines(),
        [
            format!("POST {API}/contact/sync"),
            "POST https://trackcmp.net/event".into()
        ]
    );
    assert_eq!(
        run.requests[1].headers[0].value,
        "application/x-www-form-urlencoded"
    );
    let form = "actid=609711776&event=lesson.completed&visit=%7B%22email%22%3A%22nina%40academyflow.io%22%7D\
        &eventdata=Customer%20Research%20Fundamentals%20%26%20";
    assert_eq!(String::from_utf8_lossy(&run.requests[1].body), form);
    assert_eq!(run.done()["message"], "tracked lesson.completed");
    let named = scene("track_event")
        .input("event_name_override", "Done")
        .reply(201, synced());
    let body = named.deliver::<ActiveCampaign>().requests[1].body.clone();
    assert!(String::from_utf8_lossy(&body).contains("&event=Done&"));
}

#[test]
fn an_event_that_was_not_taken_is_a_failure_although_the_status_is_200() {
    let refusals = [
        json!({"success": 0, "message": "Invalid key"}),
        json!({"success": "0"}),
        json!({"success": false}),
        json!({}),
    ];
    for refusal in refusals {
        let run = scene("track_event")
            .reply(201, synced())
            .reply(200, refusal.clone());
        assert_eq!(
            run.deliver::<ActiveCampaign>().kind(),
            Some(FailureKind::Permanent),
            "{refusal}"
        );
    }
    let run = scene("track_event")
        .reply(201, synced())
        .reply(200, json!({"success": 0, "message": "Invalid key"}));
    assert!(
        run.deliver::<ActiveCampaign>()
            .failure()
            .message
            .ends_with("Invalid key")
    );
    let cut = scene("track_event")
        .reply(201, synced())
        .reply_text(200, "<html>");
    assert_eq!(
        cut.deliver::<ActiveCampaign>().kind(),
        Some(FailureKind::Retryable)
    );
    for success in [json!(1), json!("1"), json!(true)] {
        let run = scene("track_event")
            .reply(201, synced())
            .reply(200, json!({"success": success}));
        run.deliver::<ActiveCampaign>().done();
    }
}

#[test]
fn a_duplicate_finds_everything_done_but_repeats_events_and_automations() {
    // On the list, so nothing is posted.
    let run = scene("add_to_list")
        .reply(200, synced())
        .reply(200, on_list("1"))
        .deliver::<ActiveCampaign>();
    assert_eq!(run.requests.len(), 2);
    run.done();
    // A relation is named by both its ends: the same again is the same relation.
    let run = scene("add_tag")
        .reply(200, synced())
        .reply(200, json!({}))
        .deliver::<ActiveCampaign>();
    assert_eq!(run.body(1), json!({"contactTag": {"contact": 113, "tag": 7}}));
    for action in ["track_event", "add_to_automation"] {
        // Nothing by which ActiveCampaign could know it again.
        let run = scene(action)
            .reply(200, synced())
            .reply(200, json!({"success": 1}))
            .deliver::<ActiveCampaign>();
        let sent = format!(
            "{:?}{}",
            run.requests[1].headers,
            String::from_utf8_lossy(&run.requests[1].body)
        );
        assert!(
            !sent.contains("delivery-1") && !sent.contains("event-1"),
            "{action}"
        );
    }
}

#[test]
fn a_status_decides_what_follows() {
    use FailureKind::{Authentication, Permanent, RateLimited, Retryable};
    let cases = [
        (400, Permanent, Permanent),
        (401, Authentication, Authentication),
        (403, Authentication, Permanent),
        (404, Permanent, Permanent),
        (408, Retryable, Retryable),
        (422, Permanent, Permanent),
        (429, RateLimited, RateLimited),
        (500, Retryable, Retryable),
        (503, Retryable, Retryable),
        (520, Retryable, Retryable),
    ];
    for (status, first, later) in cases {
        let refused = |scene: Scene| {
            let run = scene
                .reply(status, json!({}))
                .reply_header("Retry-After", "2")
                .deliver::<ActiveCampaign>();
            let failure = run.failure();
            let waits = matches!(failure.kind, RateLimited | Retryable);
            assert!(!waits || failure.retry_after_ms == Some(2_000), "{status}");
            failure.kind
        };
        assert_eq!(refused(scene("add_tag")), first, "{status} of the contact");
        assert_eq!(refused(scene("remove_tag")), first, "{status} of the look");
        assert_eq!(
            refused(scene("add_tag").reply(201, synced())),
            later,
            "{status} of the tag"
        );
        assert_eq!(
            refused(scene("add_to_automation").reply(201, synced())),
            later,
            "{status} of the automation"
        );
    }
    for body in ["", "{}", "cut off"] {
        let run = scene("sync_contact")
            .reply_text(201, body)
            .deliver::<ActiveCampaign>();
        assert_eq!(run.kind(), Some(Retryable), "{body:?}");
    }
}

#[test]
fn a_refusal_is_quoted_in_whichever_shape_it_comes() {
    let errors = json!({"errors": [{"title": "Contact Email Address is not valid.", "detail": "",
        "source": {"pointer": "/data/attributes/email"}}]});
    let run = scene("sync_contact")
        .reply(422, errors)
        .deliver::<ActiveCampaign>();
    let expected = "ActiveCampaign answered 422: Contact Email Address is not valid. /data/attributes/email";
    assert_eq!(run.failure().message, expected);
    let run = scene("sync_contact")
        .reply(404, json!({"message": "No Result found"}))
        .deliver::<ActiveCampaign>();
    assert_eq!(
        run.failure().message,
        "ActiveCampaign answered 404: No Result found"
    );
    let run = scene("sync_contact")
        .reply_text(403, "Forbidden")
        .deliver::<ActiveCampaign>();
    assert_eq!(run.failure().message, "answered 403: Forbidden");
}

#[test]
fn what_cannot_work_sends_nothing() {
    use FailureKind::{Mapping, Permanent};
    let track = || {
        Scene::action("track_event")
            .setting("api_url", "https://acme.api-us1.com")
            .secret("api_key")
    };
    let cases = [
        (scene("sync_contact").payload(json!({"x": 1})), Mapping),
        (scene("sync_contact").field("orgname", "x"), Mapping),
        (scene("remove_tag").payload(json!({"email": "nobody"})), Mapping),
        (scene("add_to_list").input("id", ""), Mapping),
        (scene("add_to_list").input("id", "../users"), Mapping),
        (scene("add_tag").input("id", "-1"), Mapping),
        (scene("add_to_automation").input("id", "7;8"), Mapping),
        (scene("track_event").event("event", "x".repeat(33)), Mapping),
        (scene("track_event").input("event_data", "{{open"), Mapping),
        (track().secret("event_key"), Permanent),
        (track().setting("actid", "1"), Permanent),
        (
            scene("add_tag").setting("api_url", "http://acme.api-us1.com"),
            Permanent,
        ),
        (scene("add_tag").setting("api_url", "https:///x"), Permanent),
        (scene("explode"), Permanent),
    ];
    for (scene, kind) in cases {
        let run = scene.deliver::<ActiveCampaign>();
        assert_eq!((run.kind(), run.requests.len()), (Some(kind), 0), "{scene:?}");
    }
}

#[test]
fn a_check_names_the_keys_user() {
    let run = question()
        .reply(200, json!({"user": {"email": "ops@acme.io"}}))
        .check::<ActiveCampaign>();
    assert_eq!(run.lines(), [format!("GET {API}/users/me")]);
    assert_eq!(run.done()["account"], "ops@acme.io");
    for status in [401, 403] {
        let run = question().reply(status, json!({})).check::<ActiveCampaign>();
        assert_eq!(run.kind(), Some(FailureKind::Authentication), "{status}");
    }
}

#[test]
fn lists_automations_and_tags_are_paged_by_offset() {
    let page = json!({"lists": [{"id": "1", "name": "News"}, {"id": "2", "name": "Course"}, {}], "meta": {"total": "500"}});
    let run = question()
        .query("action", "add_to_list")
        .query("cursor", "100")
        .query("search", "new")
        .reply(200, page)
        .choices::<ActiveCampaign>();
    assert_eq!(run.lines(), [format!("GET {API}/lists?limit=100&offset=100")]);
    let expected = json!({"choices": [{"id": "1", "label": "News"}], "next_cursor": "103"});
    assert_eq!(*run.done(), expected);

    let automations = json!({"automations": [{"id": "5", "name": "Welcome"}], "meta": {"total": "1"}});
    let run = question()
        .query("action", "add_to_automation")
        .reply(200, automations)
        .choices::<ActiveCampaign>();
    assert_eq!(run.lines(), [format!("GET {API}/automations?limit=100&offset=0")]);
    assert_eq!(
        *run.done(),
        json!({"choices": [{"id": "5", "label": "Welcome"}], "next_cursor": null})
    );

    let tags = json!({"tags": [{"id": "3", "tag": "VIP", "tagType": "contact"},
        {"id": "4", "tag": "Old", "tagType": "template"}, {"id": 5, "tag": "New"}], "meta": {"total": "3"}});
    let run = question()
        .query("action", "remove_tag")
        .query("search", "a b")
        .reply(200, tags)
        .choices::<ActiveCampaign>();
    assert_eq!(
        run.lines(),
        [format!("GET {API}/tags?limit=100&offset=0&search=a%20b")]
    );
    let expected = json!([{"id": "3", "label": "VIP"}, {"id": "5", "label": "New"}]);
    assert_eq!(run.done()["choices"], expected);
    let refused = question().reply(403, json!({})).choices::<ActiveCampaign>();
    assert_eq!(refused.kind(), Some(FailureKind::Authentication));
}

#[test]
fn the_field_catalog_is_the_standard_fields_and_the_accounts_own_by_number() {
    let first = json!({
        "fields": [
            {"id": "1", "title": "Plan", "type": "dropdown", "descript": "What they pay for"},
            {"id": "2", "title": "Topics", "type": "checkbox"}, {"title": "without an id"},
        ],
        "fieldOptions": [{"field": "1", "value": "free"}, {"field": "2", "value": "a"}, {"field": "1", "value": "pro"}],
        "meta": {"total": "5"},
    });
    let second = json!({"meta": {"total": "5"}, "fields": [
        {"id": "3", "title": "Since", "type": "date"}, {"id": "4", "type": "hologram"},
    ]});
    let run = question()
        .reply(200, first)
        .reply(200, second)
        .fields::<ActiveCampaign>();
    assert_eq!(
        run.lines(),
        [
            format!("GET {API}/fields?limit=100&offset=0"),
            format!("GET {API}/fields?limit=100&offset=3"),
        ]
    );
    let expected = json!({"fields": [
        {"key": "email", "label": "Email", "type": "string", "constraints": {"required": true, "format": "email"}},
        {"key": "firstName", "label": "First name", "type": "string"},
        {"key": "lastName", "label": "Last name", "type": "string"},
        {"key": "phone", "label": "Phone", "type": "string", "constraints": {"format": "phone"}},
        {"key": "1", "label": "Plan", "type": "enum", "description": "What they pay for",
            "constraints": {"allowed_values": ["free", "pro"]}},
        {"key": "2", "label": "Topics", "type": "multi_enum", "constraints": {"allowed_values": ["a"]}},
        {"key": "3", "label": "Since", "type": "date"},
        {"key": "4", "label": "4", "type": "unknown"},
    ]});
    assert_eq!(*run.done(), expected);
}
