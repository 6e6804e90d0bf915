//! One loop over every bundled destination, each by its fixture in `tests/conformance`: every action with
//! its exact requests, what a duplicate does, every class of error, the check, what there is to pick from,
//! the fields, settings that cannot work, and payloads that mean harm. No secret may show anywhere.
//!
//! `docs/writing-an-adapter.md` says what a fixture holds. `make conformance` also holds every request
//! against the provider's published description, where the fixture names one.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use futures::future::join_all;
use heddle_tests::api::{Answer, Api, Workspace, id_of, records};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::fixture::{
    changed, encoded, fixtures, hosts, keys, list, script, suffix, text, untold, with_texts,
};
use heddle_tests::prism::Description;
use heddle_tests::provider::{Asked, Exchange, Provider};
use heddle_tests::wait::until;
use serde_json::{Value, json};

/// Written where a person's data stands: line ends, quotes, paths, mentions, markup, templates.
const HOSTILE: &str =
    "../..\r\nX-Evil: 1\"'\\ @everyone <!channel> <script>alert(1)</script> {{email}} %0d%0a";

/// What every destination must make of what any server can answer, unless its fixture knows better.
fn general_failures() -> Vec<Value> {
    vec![
        json!({"name": "400", "reply": {"status": 400, "json": {}}, "outcome": "rejected_client_error"}),
        json!({"name": "401", "reply": {"status": 401, "json": {}}, "outcome": "auth_failed"}),
        json!({"name": "429", "reply": {"status": 429, "headers": {"retry-after": "7"}, "json": {}},
               "outcome": "rate_limited", "wait_seconds": [7, 8]}),
        json!({"name": "500", "reply": {"status": 500, "text": "<html>oops"}, "outcome": "rejected_server_error",
               "wait_seconds": [3600, 3961]}),
        json!({"name": "503", "reply": {"status": 503, "headers": {"retry-after": "5"}},
               "outcome": "rejected_server_error", "wait_seconds": [5, 6]}),
        json!({"name": "malformed", "reply": {"status": 200, "text": "<html>"}, "outcome": "rejected_server_error"}),
    ]
}

/// The same for the check.
fn general_verdicts() -> Vec<Value> {
    vec![
        json!({"name": "401", "reply": {"status": 401, "json": {}}, "status": "refused"}),
        json!({"name": "503", "reply": {"status": 503}, "status": "unreachable"}),
    ]
}

/// The fixture's cases, and the general ones that none of them replaces.
fn cases(own: &Value, general: Vec<Value>) -> Vec<Value> {
    let own = list(own);
    let replaced = |case: &Value| own.iter().any(|own| own["name"] == case["name"]);
    let general = general.into_iter().filter(|case| !replaced(case));
    own.iter().cloned().chain(general).collect()
}

/// A destination under test, its fixture, and the provider that plays it.
struct Trial<'a> {
    api: Api,
    engine: &'a Engine,
    workspace: Workspace,
    kind: &'a str,
    fixture: &'a Value,
    integration: &'a Value,
    provider: &'a Provider,
    descriptions: Vec<Description>,
    /// The settings that are secret.
    secrets: BTreeSet<String>,
    /// What none of the answers may hold: how the secrets of all cases begin.
    untold: Vec<String>,
}

/// A connection of a case, and what tells its account apart.
struct Connected {
    id: String,
    suffix: String,
    shown: Value,
}

impl Trial<'_> {
    fn action(&self, action: &str) -> &Value {
        &self.fixture["actions"][action]
    }

    /// The settings of a connection: the fixture's with the case's, each secret with `suffix`.
    fn settings(&self, case: &Value, suffix: &str) -> Value {
        let mut settings = changed(&self.fixture["connection"], &case["connection"]);
        for (key, setting) in settings.as_object_mut().into_iter().flatten() {
            if let Value::String(text) = setting
                && self.secrets.contains(key)
                && self.fixture["same_account"] != true
            {
                text.push_str(suffix);
            }
        }
        settings
    }

    fn post_connection(&self, name: &str, settings: Value) -> impl Future<Output = Answer> {
        let name = format!("{}{}", self.kind, suffix(name));
        let body =
            json!({"workspace": self.workspace.id, "type": self.kind, "name": name, "metadata": settings});
        async move { self.api.post("/connections", &body).await }
    }

    /// A connection that is saved and passes its check.
    async fn connect(&self, name: &str, case: &Value) -> Connected {
        let (check, suffix) = (&self.fixture["check"], suffix(name));
        let exchanges = case.get("check").unwrap_or(&check["exchanges"]);
        self.provider.play(script(exchanges, &suffix));
        let saved = self.post_connection(name, self.settings(case, &suffix)).await;
        let shown = saved.expect(201)["connection"].clone();
        self.played(None, &format!("{name}, its check")).await;
        self.no_secret_in(&shown);
        Connected {
            id: id_of(&shown),
            suffix,
            shown,
        }
    }

    /// What was asked, once all of it was as the script says and as the provider describes it.
    async fn played(&self, delivery: Option<&str>, what: &str) -> Vec<Asked> {
        let asked = self.provider.finish(delivery);
        for asked in &asked {
            assert!(asked.is_well_formed(), "{what}: {asked:?}");
            assert!(!asked.headers.contains_key("x-evil"), "{what}: {asked:?}");
            if let Err(problem) = Description::verdict(&self.descriptions, asked).await {
                panic!("{what}: {problem}");
            }
        }
        asked
    }

    fn inputs(&self, action: &str, case: &Value) -> Value {
        let own = changed(&self.action(action)["metadata"], &case["metadata"]);
        changed(&own, &json!({"action": action}))
    }

    fn payload<'b>(&'b self, action: &str, case: &'b Value) -> &'b Value {
        let own = case.get("payload").or_else(|| self.action(action).get("payload"));
        own.unwrap_or(&self.fixture["payload"])
    }

    /// Emits for one rule of its own, and gives the rule event once it is no longer under way.
    async fn deliver(&self, connection: &Connected, rule: &str, event: &str, payload: &Value) -> Value {
        let id = self.api.emit(&self.workspace, event, payload.clone()).await;
        let ask = || self.api.rule_event(&id, rule);
        let what = format!("{} {event} to end, by {}", self.kind, connection.shown["name"]);
        until(&what, ask, |r| {
            !matches!(text(&r["status"]), "pending" | "processing")
        })
        .await
    }

    /// A rule with the case's inputs, and its `mapping`: from a field to its path in the payload.
    async fn rule(&self, connection: &Connected, event: &str, action: &str, case: &Value) -> String {
        let mut body = json!({"workspace": self.workspace.id, "connection": connection.id, "event": event,
                              "metadata": self.inputs(action, case)});
        if let Some(mapped) = case["mapping"].as_object() {
            let field = |(dest, path)| json!({"dest": dest, "source": {"type": "path", "value": path}});
            let fields: Vec<Value> = mapped.iter().map(field).collect();
            body["mapping"] = json!({"schema_version": 1, "fields": fields});
        }
        id_of(&self.api.post("/rules", &body).await.expect(201)["rule"])
    }

    /// An action as it should go, then the same event a second time; then what it must refuse.
    async fn does(&self, action: &str) {
        let expected = self.action(action);
        let connection = self.connect(action, expected).await;
        let event = format!("{action}.done");
        let rule = self.rule(&connection, &event, action, &Value::Null).await;
        let payload = self.payload(action, &Value::Null);
        let exchanges = script(&expected["exchanges"], &connection.suffix);
        self.provider.play(exchanges);
        let done = self.deliver(&connection, &rule, &event, payload).await;
        self.played(done["id"].as_str(), action).await;
        assert_eq!(done["status"], "completed", "{action}: {done}");
        self.no_secret_in(&done);

        let again = expected.get("again").unwrap_or(&expected["exchanges"]);
        self.provider.play(script(again, &connection.suffix));
        let id = text(&done["event_id"]);
        let retry = format!("/events/{id}/rules/{rule}/retry");
        self.api.post_empty(&retry).await.expect(200);
        let ended = |r: &Value| r["attempt_count"] == 2 && r["status"] != "processing";
        let twice = until("the replay to end", || self.api.rule_event(id, &rule), ended).await;
        self.played(done["id"].as_str(), &format!("{action}, again"))
            .await;
        assert_eq!(twice["status"], "completed", "{action}, again: {twice}");

        self.refuses(action, &connection, &event, &rule).await;
    }

    /// Sends nothing for a rule that lacks an input, and for an event that tells nobody's address.
    async fn refuses(&self, action: &str, connection: &Connected, event: &str, rule: &str) {
        self.provider.play([]);
        for input in list(&self.integration["actions"][action]["data"]) {
            if input["required"] != true {
                continue;
            }
            for key in [&input["field"], &input["options"]["field"]] {
                let Some(key) = key.as_str() else { continue };
                let inputs = changed(&self.inputs(action, &Value::Null), &json!({ key: null }));
                let body = json!({"workspace": self.workspace.id, "connection": connection.id,
                                  "event": event, "metadata": inputs});
                let error = self.api.post("/rules", &body).await.expect_error(400);
                assert!(error.to_string().contains(key), "{action} without {key}: {error}");
            }
        }
        let needed = list(&self.integration["actions"][action]["fields"]);
        if needed
            .iter()
            .any(|field| text(field).eq_ignore_ascii_case("email"))
        {
            let ended = self
                .deliver(connection, rule, event, &json!({"nobody": true}))
                .await;
            let attempts = self.api.attempts(text(&ended["event_id"]), rule).await;
            assert_eq!(
                attempts[0]["outcome_code"], "mapping_error",
                "{action}: {attempts:?}"
            );
        }
        self.played(None, &format!("{action}, refused")).await;
    }

    /// What people type, in every place that is not their address: the same requests, no header and no
    /// request more. A fixture's `hostile` says what becomes of it where that can be seen.
    async fn withstands(&self, action: &str) {
        let (expected, hostile) = (self.action(action), &self.action(action)["hostile"]);
        let connection = self.connect(&format!("{action} hostile"), expected).await;
        let event = format!("{action}.hostile");
        let rule = self.rule(&connection, &event, action, hostile).await;
        let replaced = |key: &str, text: &str| match key.eq_ignore_ascii_case("email") {
            true => text.to_owned(),
            false => HOSTILE.to_owned(),
        };
        let payload = with_texts(self.payload(action, hostile), "", &replaced);
        let exchanges = match hostile.get("exchanges") {
            Some(own) => script(own, &connection.suffix),
            None => {
                let mut lines = script(&expected["exchanges"], &connection.suffix);
                for Exchange(line) in &mut lines {
                    *line = changed(line, &json!({"body": null, "headers": null}));
                }
                lines
            }
        };
        self.provider.play(exchanges);
        let ended = self.deliver(&connection, &rule, &event, &payload).await;
        self.played(ended["id"].as_str(), &event).await;
        let status = hostile["status"].as_str().unwrap_or("completed");
        assert_eq!(ended["status"], status, "{event}: {ended}");
        self.no_secret_in(&ended);
    }

    /// One class of error, played on an exchange of an action (the first one, unless the case says), or
    /// a whole story of the case's own.
    async fn fails(&self, case: &Value) {
        let name = text(&case["name"]);
        let action = case["action"]
            .as_str()
            .unwrap_or(text(&self.fixture["failures"]["action"]));
        let connection = self.connect(name, case).await;
        let event = format!("{action}.fails{}", connection.suffix);
        let rule = self.rule(&connection, &event, action, case).await;
        let exchanges = match case.get("exchanges") {
            Some(own) => script(own, &connection.suffix),
            None => {
                let at = usize::try_from(case["at"].as_u64().unwrap_or(0)).expect("small");
                let mut exchanges = script(&self.action(action)["exchanges"], &connection.suffix);
                exchanges.truncate(at + 1);
                let last = exchanges
                    .last_mut()
                    .unwrap_or_else(|| panic!("{name}: at {at} is nothing"));
                last.0["reply"] = case["reply"].clone();
                exchanges.extend(script(&case["then"], &connection.suffix));
                exchanges
            }
        };
        self.provider.play(exchanges);
        let ended = self
            .deliver(&connection, &rule, &event, self.payload(action, case))
            .await;
        let what = format!("{action}, {name}: {ended}");
        self.played(ended["id"].as_str(), &what).await;
        let history = format!("/events/{}/rules/{rule}", text(&ended["event_id"]));
        let attempts = self.api.attempts(text(&ended["event_id"]), &rule).await;
        if attempts[0]["has_response_details"] == true {
            let details = format!("{history}/attempts/{}/response-details", text(&attempts[0]["id"]));
            self.no_secret_in(&self.api.get(&details).await.expect(200));
        }
        let code = &case["outcome"];
        assert_eq!(attempts[0]["outcome_code"], *code, "{what} {attempts:?}");
        let status = case["status"].as_str().unwrap_or(match text(code) {
            "rate_limited" | "rejected_server_error" | "timeout" | "network_error" => "retrying",
            "delivered" => "completed",
            _ => "failed",
        });
        assert_eq!(ended["status"], status, "{what}");
        if let [least, most] = list(&case["wait_seconds"]) {
            let wait = seconds_between(&attempts[0]["completed_at"], &ended["next_attempt_at"]);
            let within =
                wait >= least.as_f64().expect("a number") && wait <= most.as_f64().expect("a number");
            assert!(within, "{what}: it waits for {wait} s");
        }
        let after = self.api.get(&format!("/connections/{}", connection.id)).await;
        let after = after.expect(200);
        let active = case["active"].as_bool().unwrap_or(code != "auth_failed");
        assert_eq!(after["active"], active, "{what}: {after}");
        self.no_secret_in(&json!([ended, attempts, after]));
        if status == "retrying" {
            // What is tried again must not come in the middle of another case.
            self.api
                .post_empty(&format!("{history}/cancel"))
                .await
                .expect(200);
        }
    }

    /// A passed check names the account; then every verdict.
    async fn checks(&self) {
        let check = &self.fixture["check"];
        let passed = self.connect("checked", &Value::Null).await.shown;
        assert_eq!(passed["check"]["status"], "passed", "{passed}");
        assert_eq!(
            passed["check"].get("account"),
            check.get("account"),
            "check.account: {passed}"
        );
        let general = match list(&check["exchanges"]) {
            [] => Vec::new(),
            _ => general_verdicts(),
        };
        for case in cases(&check["cases"], general) {
            let name = format!("check {}", text(&case["name"]));
            let suffix = suffix(&name);
            let mut exchanges = script(case.get("exchanges").unwrap_or(&check["exchanges"]), &suffix);
            if let (Some(reply), Some(last)) = (case.get("reply"), exchanges.last_mut()) {
                last.0["reply"] = reply.clone();
            }
            self.provider.play(exchanges);
            let saved = self.post_connection(&name, self.settings(&case, &suffix)).await;
            let shown = saved.expect(201)["connection"].clone();
            self.played(None, &name).await;
            let verdict = &shown["check"];
            assert_eq!(verdict["status"], case["status"], "{name}: {shown}");
            assert_eq!(verdict.get("account"), case.get("account"), "{name}: {shown}");
            assert_eq!(shown["active"], verdict["status"] != "refused", "{name}: {shown}");
            self.no_secret_in(&shown);
        }
    }

    /// Settings that cannot work are refused without asking anybody.
    async fn refuses_settings(&self) {
        self.provider.play([]);
        let complete = self.settings(&Value::Null, "");
        let applies = |field: &Value| {
            let on = &field["dependsOn"];
            let value = &complete[text(&on["field"])];
            on.is_null() || on["value"] == *value || list(&on["value"]).contains(value)
        };
        let fields = list(&self.integration["authentication"]["fields"]).iter();
        let required = fields.filter(|field| field["required"] == true && applies(field));
        let missing = required.map(|field| json!({text(&field["key"]): null}));
        let own = list(&self.fixture["bad_settings"]).iter().cloned();
        for (n, bad) in missing.chain(own).enumerate() {
            let saved = self
                .post_connection(&format!("bad {n}"), changed(&complete, &bad))
                .await;
            self.no_secret_in(&saved.expect_error(400));
        }
        self.played(None, "bad settings").await;
    }

    /// What there is to pick from, for every input that is picked, each page of it.
    async fn offers_choices(&self) {
        let connection = self.connect("choices", &Value::Null).await;
        let mut seen = BTreeSet::new();
        for case in list(&self.fixture["choices"]) {
            let actions = match &case["action"] {
                Value::String(one) => vec![one.as_str()],
                several => list(several).iter().map(text).collect(),
            };
            let other = match case.get("connection") {
                Some(_) => Some(
                    self.connect(&format!("choices {}", text(&case["name"])), case)
                        .await,
                ),
                None => None,
            };
            let connection = other.as_ref().unwrap_or(&connection);
            for action in actions {
                let input = case["input"].as_str().unwrap_or("id");
                let mut path = format!(
                    "/connections/{}/actions?refresh=true&action={action}&input={input}",
                    connection.id
                );
                for part in ["search", "cursor"] {
                    if let Some(text) = case[part].as_str() {
                        path = format!("{path}&{part}={}", encoded(text));
                    }
                }
                self.provider.play(script(&case["exchanges"], &connection.suffix));
                let answer = self.api.get(&path).await;
                self.played(None, &format!("choices of {action}: {}", answer.text))
                    .await;
                let answer = answer.json();
                let page = &answer["actions"][action][input];
                match case.get("error") {
                    Some(error) => assert_eq!(answer["code"], *error, "{action}: {answer}"),
                    None => {
                        assert_eq!(page["choices"], case["choices"], "{action}: {answer}");
                        assert_eq!(page["next_cursor"], case["next_cursor"], "{action}: {answer}");
                    }
                }
                self.no_secret_in(&answer);
                seen.insert(format!("{action}.{input}"));
            }
        }
        let mut live = BTreeSet::new();
        for action in keys(&self.integration["actions"]) {
            for input in list(&self.integration["actions"][&action]["data"]) {
                if matches!(text(&input["kind"]), "simple" | "advanced") {
                    live.insert(format!("{action}.{}", text(&input["field"])));
                }
            }
        }
        assert_eq!(seen, live, "choices are tested of every input that is picked");
    }

    /// The destination's fields, with what is known of each.
    async fn lists_fields(&self) {
        let connection = self.connect("fields", &Value::Null).await;
        let cases = list(&self.fixture["fields"]);
        assert!(!cases.is_empty(), "the fields are tested");
        for case in cases {
            self.provider.play(script(&case["exchanges"], &connection.suffix));
            let path = format!("/connections/{}/fields?refresh=true", connection.id);
            let answer = self.api.get(&path).await.json();
            self.played(None, &format!("fields: {answer}")).await;
            if let Some(error) = case.get("error") {
                let kept = &answer["error"];
                let code = kept.get("code").unwrap_or(&answer["code"]);
                assert_eq!(code, error, "{answer}");
            }
            for expected in list(&case["has"]) {
                let found = list(&answer["fields"])
                    .iter()
                    .find(|field| field["key"] == expected["key"]);
                let found = found.unwrap_or_else(|| panic!("no field {expected}: {answer}"));
                for (key, value) in expected.as_object().into_iter().flatten() {
                    assert_eq!(found[key], *value, "{expected}: {found}");
                }
            }
            for absent in list(&case["lacks"]) {
                let found = list(&answer["fields"])
                    .iter()
                    .any(|field| field["key"] == *absent);
                assert!(!found, "{absent} is not to be filled: {answer}");
            }
            self.no_secret_in(&answer);
        }
    }

    fn no_secret_in(&self, shown: &Value) {
        self.no_secret_in_text(&shown.to_string());
    }

    fn no_secret_in_text(&self, shown: &str) {
        for secret in &self.untold {
            assert!(!shown.contains(secret), "{secret} is shown: {shown}");
        }
    }

    async fn run(&self) {
        assert_eq!(
            keys(&self.fixture["actions"]),
            keys(&self.integration["actions"]),
            "every action is tested"
        );
        self.checks().await;
        self.refuses_settings().await;
        for action in keys(&self.fixture["actions"]) {
            self.does(&action).await;
            self.withstands(&action).await;
        }
        let failures = cases(&self.fixture["failures"]["cases"], general_failures());
        for case in &failures {
            self.fails(case).await;
        }
        let refused = failures
            .iter()
            .find(|case| case["name"] == "400")
            .expect("a general one");
        let echo = json!({"name": "echo", "reply": {"status": 400, "text": "$echo"}});
        self.fails(&changed(refused, &echo)).await;
        if self.fixture.get("choices").is_some() {
            self.offers_choices().await;
        }
        if self.fixture.get("fields").is_some() {
            self.lists_fields().await;
        }
        self.no_secret_in_text(&self.engine.log());
    }
}

fn seconds_between(earlier: &Value, later: &Value) -> f64 {
    let instant = |value: &Value| -> jiff::Timestamp {
        let parsed = text(value).parse();
        parsed.unwrap_or_else(|error| panic!("{value} is no instant: {error}"))
    };
    instant(earlier).duration_until(instant(later)).as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_destination_does_what_its_fixture_says_and_nothing_else() {
    let only = std::env::var("HEDDLE_CONFORMANCE").ok();
    let mut destinations = fixtures();
    let known: BTreeSet<String> = destinations.keys().cloned().collect();
    destinations.retain(|kind, _| {
        only.as_ref()
            .is_none_or(|only| only.split(',').any(|one| one == kind))
    });
    let mut providers = BTreeMap::new();
    let mut routes = Vec::new();
    for (kind, fixture) in &destinations {
        let provider = Provider::start(&hosts(fixture)).await;
        routes.extend(provider.hosts.iter().map(|(host, base)| format!("{host}={base}")));
        providers.insert(kind, provider);
    }
    let settings = Settings::default()
        .retrying("0s,1h")
        .with("EGRESS_ROUTES", routes.join(","));
    let engine = Engine::start(settings).await;
    let integrations = Api::of(&engine).await.get("/integrations").await.expect(200);
    let integrations = records(&integrations);
    let bundled = integrations.iter().map(|i| text(&i["type"]).to_owned());
    assert_eq!(
        bundled.collect::<BTreeSet<_>>(),
        known,
        "every bundled destination has a fixture, and no other"
    );
    let trials = destinations.iter().map(|(kind, fixture)| async {
        let integration = integrations.iter().find(|i| i["type"] == kind.as_str());
        let integration = integration.expect("it is bundled");
        // Questions to destinations are limited for each organization.
        let api = Api::of_new_organisation(&engine).await;
        let fields = list(&integration["authentication"]["fields"]).iter();
        let secrets: BTreeSet<String> = fields
            .filter(|field| field["type"] == "password")
            .map(|field| text(&field["key"]).to_owned())
            .collect();
        let trial = Trial {
            workspace: api.workspace("Conformance").await,
            api,
            engine: &engine,
            kind,
            fixture,
            integration,
            provider: &providers[kind],
            descriptions: Description::start(&fixture["description"]).await,
            untold: untold(fixture, &secrets),
            secrets,
        };
        trial.run().await;
    });
    // The others go on when one fails.
    let ended = trials.zip(destinations.keys()).map(|(trial, kind)| async move {
        let ended = AssertUnwindSafe(trial).catch_unwind().await;
        ended.inspect_err(|_| eprintln!("--- that was {kind}")).is_ok()
    });
    let well = join_all(ended).await;
    assert!(
        well.iter().all(|well| *well),
        "not as the fixtures say, see above"
    );
}
