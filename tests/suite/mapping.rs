//! Mappings from end to end, and what is asked of a destination while a caller waits: its fields, what
//! there is to pick from, whether the connection works.

use futures::future::join_all;
use heddle_tests::api::{Api, Workspace, id_of};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::{Receiver, Reply};
use serde_json::{Value, json};

const CHECK: &str = "/crm/v3/properties/contacts/email";
const PROPERTIES: &str = "/crm/v3/properties/contacts";
const UPSERT: &str = "/crm/v3/objects/contacts/batch/upsert";
const LISTS: &str = "/crm/v3/lists/search";

/// HubSpot as far as these tests need it, and a connection to it.
struct World {
    receiver: Receiver,
    _engine: Engine,
    api: Api,
    workspace: Workspace,
    connection: String,
}

impl World {
    async fn new() -> Self {
        let receiver = Receiver::start().await;
        receiver.always(CHECK, Reply::json(200, &json!({"name": "email"})));
        let property =
            |name: &str, kind: &str| json!({"name": name, "label": name, "type": kind, "fieldType": "text"});
        let mut read_only = property("hs_object_id", "number");
        read_only["modificationMetadata"] = json!({"readOnlyValue": true});
        let properties = [
            property("plan", "string"),
            property("email", "string"),
            property("firstname", "string"),
            property("score", "number"),
            read_only,
        ];
        receiver.always(PROPERTIES, Reply::json(200, &json!({"results": properties})));
        receiver.always(
            UPSERT,
            Reply::json(200, &json!({"status": "COMPLETE", "results": [{"id": "512"}]})),
        );
        let lists = json!({"lists": [{"listId": "42", "name": "Students"}], "hasMore": true, "offset": 1});
        receiver.always(LISTS, Reply::json(200, &lists));
        let settings = Settings::default().routing(&["api.hubapi.com"], receiver.base());
        let engine = Engine::start(settings.retrying("0s")).await;
        let api = Api::of(&engine).await;
        let workspace = api.workspace("Academy").await;
        let metadata = json!({"access_token": "pat-of-the-academy"});
        let connection = api.connection(&workspace, "hubspot", "Sales", metadata).await;
        Self {
            receiver,
            _engine: engine,
            api,
            workspace,
            connection,
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("/connections/{}{rest}", self.connection)
    }

    /// A rule that sets a property of the contact.
    async fn rule(&self, event: &str, mapping: Option<Value>) -> String {
        let mut body = json!({"workspace": self.workspace.id, "connection": self.connection, "event": event,
                              "metadata": {"action": "update_property", "id": "lifecyclestage", "value": "lead"}});
        if let Some(mapping) = mapping {
            body["mapping"] = mapping;
        }
        id_of(&self.api.post("/rules", &body).await.expect(201)["rule"])
    }

    /// Emits, waits for the end, and gives the last attempt.
    async fn attempt(&self, event: &str, rule: &str, payload: Value, status: &str) -> Value {
        let id = self.api.emit(&self.workspace, event, payload).await;
        self.api.wait_for_event(&id, status).await;
        let mut attempts = self.api.attempts(&id, rule).await;
        attempts.pop().expect("an attempt")
    }

    /// The contact's properties that HubSpot was last sent.
    fn properties(&self) -> Value {
        let sent = self.receiver.requests_at(UPSERT);
        sent.last().expect("an upsert").json()["inputs"][0]["properties"].clone()
    }
}

fn schema(fields: Value) -> Value {
    json!({"schema_version": 1, "fields": fields})
}

fn path(dest: &str, from: &str) -> Value {
    json!({"dest": dest, "source": {"type": "path", "value": from}})
}

#[tokio::test]
async fn a_rule_s_mapping_wins_over_the_default_and_that_over_the_generated_one() {
    let world = World::new().await;
    let plain = world.rule("plain", None).await;
    let own = world
        .rule(
            "own",
            Some(schema(json!([
                path("plan", "tier"),
                path("email", "contact.mail")
            ]))),
        )
        .await;
    let payload = json!({"email": "nina@example.com", "score": "1.50", "plan": "pro",
                         "hs_object_id": 1, "tier": "gold", "contact": {"mail": "other@example.com"}});

    world.attempt("plain", &plain, payload.clone(), "completed").await;
    assert_eq!(
        world.properties(),
        json!({"email": "nina@example.com", "lifecyclestage": "lead"}),
        "nothing is mapped while the catalog is unknown"
    );

    let catalog = world.api.get(&world.path("/fields")).await.expect(200);
    assert_eq!(
        (&catalog["stale"], &catalog["integration_type"]),
        (&json!(false), &json!("hubspot"))
    );
    let generated = world.api.get(&world.path("/mappings/default")).await.expect(200);
    assert_eq!(generated["status"], "generated");
    assert_eq!(
        generated["mapping"]["catalog_version"],
        catalog["catalog_version"]
    );
    let dests: Vec<_> = generated["mapping"]["schema"]["fields"]
        .as_array()
        .expect("fields")
        .iter()
        .map(|field| field["dest"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        dests,
        ["email", "firstname", "plan", "score", "event_properties"],
        "required first, read-only never"
    );

    world.attempt("plain", &plain, payload.clone(), "completed").await;
    let sent = world.properties();
    assert_eq!(
        (
            &sent["plan"],
            sent.get("score").is_some(),
            sent.as_object().map(serde_json::Map::len)
        ),
        (&json!("pro"), true, Some(4)),
        "{sent}"
    );

    let stored = schema(json!([path("email", "email"),
        {"dest": "plan", "source": {"type": "path", "value": "plan"}, "transforms": [{"type": "upper"}]}]));
    let put = world
        .api
        .put(
            &world.path("/mappings/default"),
            &json!({"schema": stored, "expected_version": 1}),
        )
        .await
        .expect(200);
    assert_eq!(
        (&put["status"], &put["mapping"]["version"]),
        (&json!("stored"), &json!(2))
    );
    assert_eq!(put["mapping"]["schema"], stored);
    world.attempt("plain", &plain, payload.clone(), "completed").await;
    assert_eq!(
        world.properties(),
        json!({"email": "nina@example.com", "plan": "PRO", "lifecyclestage": "lead"})
    );

    world.attempt("own", &own, payload, "completed").await;
    assert_eq!(
        world.properties(),
        json!({"email": "other@example.com", "plan": "gold", "lifecyclestage": "lead"})
    );
}

#[tokio::test]
async fn a_field_that_fails_its_action_sends_nothing_and_a_warning_stands_in_the_history() {
    let world = World::new().await;
    let field = |on_error: &str| {
        json!({"dest": "score", "source": {"type": "path", "value": "score"}, "transforms": [{"type": "to_number"}],
               "on_error": on_error})
    };
    let both = |on_error: &str| Some(schema(json!([path("email", "email"), field(on_error)])));
    let payload = json!({"email": "nina@example.com", "score": "very-high-42"});

    let fails = world.rule("fails", both("fail_action")).await;
    let attempt = world.attempt("fails", &fails, payload.clone(), "failed").await;
    assert_eq!(attempt["outcome_code"], "mapping_error");
    let message = attempt["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("score: to_number") && !message.contains("very-high"),
        "{message}"
    );
    assert!(world.receiver.requests_at(UPSERT).is_empty(), "nothing was sent");

    let warns = world.rule("warns", both("warn_action")).await;
    let attempt = world.attempt("warns", &warns, payload.clone(), "completed").await;
    let message = attempt["message"].as_str().unwrap_or_default();
    assert!(message.contains("Mapping warning: score: to_number"), "{message}");
    assert!(world.properties().get("score").is_none());

    let skips = world.rule("skips", both("skip_field")).await;
    let attempt = world.attempt("skips", &skips, payload.clone(), "completed").await;
    let message = attempt["message"].as_str().unwrap_or_default();
    assert!(message.contains("Left out: score: to_number"), "{message}");

    // The action needs an email, so that a mapping which does not find one fails without being told to.
    let lost = world
        .rule("lost", Some(schema(json!([path("email", "mail")]))))
        .await;
    let attempt = world.attempt("lost", &lost, payload, "failed").await;
    assert_eq!(attempt["outcome_code"], "mapping_error");
    assert!(
        attempt["message"]
            .as_str()
            .is_some_and(|message| message.contains("email: the event has no payload.mail"))
    );
}

#[tokio::test]
async fn of_those_who_expect_the_same_version_one_is_stored_and_the_others_are_told() {
    let world = World::new().await;
    let body = |n: usize| json!({"schema": schema(json!([path("plan", &format!("plan_{n}"))])), "expected_version": 1});
    let bodies: Vec<Value> = (0..10).map(body).collect();
    let path = world.path("/mappings/default");
    let answers = join_all(bodies.iter().map(|body| world.api.put(&path, body))).await;
    let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(won.len(), 1);
    for lost in answers.iter().filter(|answer| answer.status != 200) {
        let error = lost.clone().expect_error(409);
        assert_eq!(error["code"], "version_conflict");
    }
    let stored = world.api.get(&path).await.expect(200);
    assert_eq!(stored["mapping"], won[0].json()["mapping"]);
    let next = json!({"schema": schema(json!([])), "expected_version": 2, "name": "Empty",
                      "mapping_id": stored["mapping"]["mapping_id"], "workspace_id": world.workspace.id});
    let written = world.api.put(&path, &next).await.expect(200);
    assert_eq!(
        (&written["mapping"]["version"], &written["mapping"]["name"]),
        (&json!(3), &json!("Empty"))
    );
}

#[tokio::test]
async fn when_the_destination_is_down_what_is_kept_says_so_and_what_is_not_kept_is_an_error() {
    let world = World::new().await;
    let lists = world.path("/actions?action=add_to_list");
    let kept = world.api.get(&lists).await.expect(200);
    let page = &kept["actions"]["add_to_list"]["id"];
    assert_eq!(page["choices"], json!([{"id": "42", "label": "Students"}]));
    assert_eq!(
        (&page["next_cursor"], &page["stale"]),
        (&json!("1"), &json!(false))
    );
    let asked = world.receiver.requests_at(LISTS).len();
    world.api.get(&lists).await.expect(200);
    assert_eq!(
        world.receiver.requests_at(LISTS).len(),
        asked,
        "a fresh answer is kept"
    );
    world.api.get(&world.path("/fields")).await.expect(200);

    world.receiver.always(LISTS, Reply::status(503));
    world.receiver.always(PROPERTIES, Reply::status(503));
    let stale = world.api.get(&format!("{lists}&refresh=true")).await.expect(200);
    let page = &stale["actions"]["add_to_list"]["id"];
    assert_eq!(page["choices"], json!([{"id": "42", "label": "Students"}]));
    assert_eq!(
        (&page["stale"], &page["error"]["code"]),
        (&json!(true), &json!("destination_unavailable"))
    );
    let catalog = world
        .api
        .get(&world.path("/fields?refresh=true"))
        .await
        .expect(200);
    assert_eq!(
        (&catalog["stale"], catalog["fields"].as_array().map(Vec::len)),
        (&json!(true), Some(6))
    );
    assert_eq!(catalog["error"]["code"], "destination_unavailable");

    let unknown = world.path("/actions?action=add_to_list&input=id&search=other");
    let error = world.api.get(&unknown).await.expect_error(503);
    assert_eq!(error["code"], "destination_unavailable");
    let metadata = json!({"access_token": "pat-of-another-account"});
    world
        .api
        .put(&world.path(""), &json!({"name": "Sales", "metadata": metadata}))
        .await
        .expect(200);
    let error = world.api.get(&world.path("/fields")).await.expect_error(503);
    assert_eq!(
        error["code"], "destination_unavailable",
        "the former account's catalog is not this one's"
    );

    world
        .receiver
        .always(PROPERTIES, Reply::json(401, &json!({"message": "no"})));
    let error = world.api.get(&world.path("/fields")).await.expect_error(409);
    assert_eq!(error["code"], "credential_refused");
    assert!(!error.to_string().contains("pat-of"), "{error}");
}

#[tokio::test]
async fn a_refused_credential_is_kept_inactive_and_mended_by_another_check() {
    let world = World::new().await;
    let read = world.api.get(&world.path("")).await.expect(200);
    assert_eq!(
        (&read["check"]["status"], &read["active"]),
        (&json!("passed"), &json!(true))
    );

    world
        .receiver
        .always(CHECK, Reply::json(401, &json!({"message": "expired"})));
    let body = json!({"workspace": world.workspace.id, "type": "hubspot", "name": "Second",
                      "metadata": {"access_token": "pat-refused"}});
    let made = world.api.post("/connections", &body).await.expect(201);
    let made = &made["connection"];
    assert_eq!(
        (&made["active"], &made["inactive_reason"]),
        (&json!(false), &json!("authentication_invalid"))
    );
    assert_eq!(made["check"]["status"], "refused");
    let again = format!("/connections/{}/check", id_of(made));
    let still = world.api.post_empty(&again).await.expect(200);
    assert_eq!(still["active"], false);

    world
        .receiver
        .always(CHECK, Reply::json(200, &json!({"name": "email"})));
    let mended = world.api.post_empty(&again).await.expect(200);
    assert_eq!(
        (&mended["active"], &mended["check"]["status"]),
        (&json!(true), &json!("passed"))
    );
    assert!(mended.get("inactive_reason").is_none());

    world.receiver.always(CHECK, Reply::status(500));
    let down = world.api.post_empty(&again).await.expect(200);
    assert_eq!(
        (&down["active"], &down["check"]["status"]),
        (&json!(true), &json!("unreachable"))
    );

    let asked = world.receiver.requests_at(CHECK).len();
    let renamed = json!({"name": "Renamed", "metadata": {}});
    let renamed = world.api.put(&world.path(""), &renamed).await.expect(200);
    assert_eq!(
        renamed["check"]["status"], "passed",
        "a name says nothing about the credential"
    );
    assert_eq!(world.receiver.requests_at(CHECK).len(), asked);
}

#[tokio::test]
async fn a_saved_webhook_gets_a_test_event_unless_it_is_to_be_skipped() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Academy").await;
    let save = async |name: &str, path: &str, skip: bool| {
        let metadata = json!({"url": receiver.url(path), "skip_url_test": skip});
        let body = json!({"workspace": workspace.id, "type": "webhook", "name": name, "metadata": metadata});
        api.post("/connections", &body).await.expect(201)["connection"].clone()
    };
    let made = save("Tested", "/tested", false).await;
    let sent = receiver.requests_at("/tested");
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (
            &sent[0].json()["event"],
            sent[0].header("webhook-signature").is_some()
        ),
        (&json!("heddle.test"), true)
    );
    assert_eq!(made["check"]["status"], "passed");

    receiver.always("/broken", Reply::status(404));
    let made = save("Broken", "/broken", false).await;
    assert_eq!(
        (&made["check"]["status"], &made["active"]),
        (&json!("failed"), &json!(true))
    );

    save("Skipped", "/skipped", true).await;
    assert!(receiver.requests_at("/skipped").is_empty());

    // It takes no fields and has nothing to pick from: that is the answer, and no error.
    let id = id_of(&made);
    let mapping = api
        .get(&format!("/connections/{id}/mappings/default"))
        .await
        .expect(200);
    assert_eq!(
        (&mapping["status"], &mapping["mapping"]["schema"]["fields"]),
        (&json!("generated"), &json!([]))
    );
    let actions = api.get(&format!("/connections/{id}/actions")).await.expect(200);
    assert_eq!(actions["actions"], json!({}));
    let error = api
        .get(&format!("/connections/{id}/fields"))
        .await
        .expect_error(422);
    assert_eq!(error["code"], "not_offered");
}
