//! The main job: one event, three destinations.

use heddle_tests::api::{Api, id_of, lesson_completed, records};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::{Receiver, Reply};
use serde_json::json;

const UPSERT: &str = "/crm/v3/objects/contacts/batch/upsert";
const MEMBERSHIPS: &str = "/crm/v3/lists/42/memberships/add";
const POST_MESSAGE: &str = "/api/chat.postMessage";

/// A receiver that plays Slack and HubSpot on a good day.
async fn providers() -> Receiver {
    let receiver = Receiver::start().await;
    let message = json!({"ok": true, "channel": "C024BE91L", "ts": "1774102680.000100"});
    receiver.always(POST_MESSAGE, Reply::json(200, &message));
    let upserted = json!({"status": "COMPLETE", "results": [{"id": "512", "new": true, "properties": {}}]});
    receiver.always(UPSERT, Reply::json(200, &upserted));
    let added = json!({"recordsIdsAdded": ["512"], "recordIdsRemoved": [], "recordIdsMissing": []});
    receiver.always(MEMBERSHIPS, Reply::json(200, &added));
    receiver
}

#[tokio::test]
async fn one_event_reaches_a_webhook_slack_and_hubspot() {
    let receiver = providers().await;
    let settings = Settings::default().routing(&["slack.com", "api.hubapi.com"], receiver.base());
    let engine = Engine::start(settings).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Academy Flow").await;

    let webhook = api.webhook(&workspace, &receiver.url("/customer")).await;
    let slack = api
        .connection(
            &workspace,
            "slack",
            "Team Slack",
            json!({"access_token": "xoxb-test"}),
        )
        .await;
    let hubspot = api
        .connection(
            &workspace,
            "hubspot",
            "Sales",
            json!({"access_token": "pat-test"}),
        )
        .await;
    let event = "lesson.completed";
    let to_webhook = api.webhook_rule(&workspace, &webhook, event).await;
    let template = "{{email}} completed *{{lesson_title}}* ({{completion_percentage}} %) & more";
    let to_slack = api
        .rule(
            &workspace,
            &slack,
            "lesson.*",
            json!({"action": "send_message", "id": "C024BE91L", "template": template}),
        )
        .await;
    let to_hubspot = api
        .rule(
            &workspace,
            &hubspot,
            event,
            json!({"action": "add_to_list", "id": "42"}),
        )
        .await;
    let other = api.webhook_rule(&workspace, &webhook, "lesson.started").await;

    let accepted = api
        .post_with_key(&workspace.publishable_key, "/events", &lesson_completed())
        .await
        .expect(201);
    let id = id_of(&accepted["event"]);
    let done = api.wait_for_event(&id, "completed").await;

    let sent = receiver.requests_at("/customer");
    assert_eq!(sent.len(), 1, "the other event's rule did not run");
    assert_eq!(
        (sent[0].method.as_str(), sent[0].header("content-type")),
        ("POST", Some("application/json"))
    );
    let body = sent[0].json();
    let keys: Vec<_> = body
        .as_object()
        .expect("an envelope")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys,
        [
            "uuid",
            "event",
            "resource",
            "resource_id",
            "payload",
            "time_created",
            "time_sent"
        ]
    );
    assert_eq!(body["uuid"], id);
    assert_eq!(body["event"], event);
    assert_eq!(
        (&body["resource"], &body["resource_id"]),
        (&json!("course"), &json!("creator-accelerator"))
    );
    assert_eq!(body["payload"], lesson_completed()["payload"]);
    assert!(
        body["time_sent"].as_i64() >= body["time_created"].as_i64(),
        "{body}"
    );

    let sent = receiver.requests_at(POST_MESSAGE);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].header("authorization"), Some("Bearer xoxb-test"));
    let message = sent[0].json();
    assert_eq!(message["channel"], "C024BE91L");
    assert_eq!(
        message["text"], "nina@academyflow.io completed *Customer Research Fundamentals* (62 %) & more",
        "what the rule's author wrote is left as it is"
    );

    let sent = receiver.requests_at(UPSERT);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].header("authorization"), Some("Bearer pat-test"));
    let contact = &sent[0].json()["inputs"][0];
    assert_eq!(
        (&contact["idProperty"], &contact["id"]),
        (&json!("email"), &json!("nina@academyflow.io"))
    );
    let sent = receiver.requests_at(MEMBERSHIPS);
    assert_eq!((sent.len(), sent[0].method.as_str()), (1, "PUT"));
    assert_eq!(
        sent[0].json(),
        json!(["512"]),
        "the contact that the first call found"
    );

    assert_eq!(
        (
            &done["total_rules"],
            &done["completed_count"],
            &done["failed_count"]
        ),
        (&json!(3), &json!(3), &json!(0))
    );
    let rule_events = done["rule_events"].as_array().expect("rule events");
    assert_eq!(rule_events.len(), 3);
    let expected = [
        (&to_webhook, &webhook, "webhook"),
        (&to_slack, &slack, "slack"),
        (&to_hubspot, &hubspot, "hubspot"),
    ];
    for (rule, connection, kind) in expected {
        let found = rule_events.iter().find(|rule_event| rule_event["rule"] == **rule);
        let rule_event = found.unwrap_or_else(|| panic!("no rule event for {kind}: {done}"));
        id_of(rule_event);
        assert_eq!(rule_event["type"], "rule");
        assert_eq!(rule_event["connection"], **connection);
        assert_eq!(rule_event["integration_type"], kind);
        assert_eq!(rule_event["event_id"], id);
        assert_eq!(rule_event["workspace"], workspace.id);
        assert_eq!(
            (&rule_event["status"], &rule_event["attempt_count"]),
            (&json!("completed"), &json!(1))
        );
        let attempts = api.attempts(&id, rule).await;
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts[0]["outcome_code"], "delivered");
    }
    assert!(rule_events.iter().all(|rule_event| rule_event["rule"] != other));
    let to_webhook = rule_events
        .iter()
        .find(|rule_event| rule_event["rule"] == to_webhook)
        .expect("found before");
    assert_eq!(
        receiver.requests_at("/customer")[0].delivery_id(),
        id_of(to_webhook),
        "the deduplication key"
    );
}

#[tokio::test]
async fn resource_and_activity_narrow_a_rule_and_an_unmatched_event_stays_visible() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Narrow").await;
    let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
    let rule = |event: &str, more: serde_json::Value| {
        let mut body = json!({
            "workspace": workspace.id, "connection": connection, "event": event, "metadata": {"action": "send_webhook"},
        });
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        let api = &api;
        async move { id_of(&api.post("/rules", &body).await.expect(201)["rule"]) }
    };
    let course = rule("lesson.completed", json!({"resource": "course"})).await;
    let one_course = rule(
        "lesson.completed",
        json!({"resource": "course", "resource_id": "c1"}),
    )
    .await;
    rule("lesson.completed", json!({"resource": "course", "active": false})).await;
    rule("lesson.completed", json!({"resource": "membership"})).await;
    rule("lesson", json!({})).await;

    let cases = [
        (
            json!({"resource": "course", "resource_id": "c1"}),
            vec![&course, &one_course],
        ),
        (json!({"resource": "course", "resource_id": "c2"}), vec![&course]),
        (json!({"resource": "course"}), vec![&course]),
        (json!({}), vec![]),
    ];
    for (more, expected) in cases {
        let mut body = json!({"workspace": workspace.id, "event": "lesson.completed", "payload": {"n": 1}});
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        let id = id_of(&api.post("/events", &body).await.expect(201)["event"]);
        let event = api.wait_for_event(&id, "completed").await;
        let mut matched: Vec<_> = event["rule_events"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|rule_event| rule_event["rule"].as_str())
            .collect();
        matched.sort_unstable();
        let mut expected: Vec<_> = expected.into_iter().map(String::as_str).collect();
        expected.sort_unstable();
        assert_eq!(matched, expected, "{more}");
        assert_eq!(event["total_rules"], expected.len(), "{event}");
    }
    let unmatched = records(
        &api.get("/events?resource=global&status=completed")
            .await
            .expect(200),
    );
    assert_eq!(unmatched.len(), 1, "an event that matched no rule leaves a trace");
}
