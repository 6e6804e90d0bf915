//! One loop over every bundled destination, each by its fixture in `tests/conformance`: every action with
//! its exact requests, what a duplicate does, every class of error. No secret may show anywhere.
//!
//! With `HEDDLE_PROVIDER_DESCRIPTIONS` (a folder of published OpenAPI descriptions) and `HEDDLE_PRISM`
//! (the program `prism` of `@stoplight/prism-cli`) every request of an action is also held against the
//! description that the fixture names; `make conformance` sets both.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use heddle_tests::api::{Api, Workspace, records};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::provider::{Asked, Exchange, Provider};
use heddle_tests::wait::until;
use serde_json::{Map, Value, json};

/// A fixture, and the provider that plays it.
struct Destination {
    kind: String,
    fixture: Value,
    provider: Provider,
}

fn fixtures() -> BTreeMap<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let mut fixtures = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("the fixtures are there") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let fixture = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        fixtures.insert(name, fixture);
    }
    fixtures
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn script(exchanges: &Value) -> Vec<Exchange> {
    list(exchanges).iter().cloned().map(Exchange).collect()
}

/// The hosts of all requests of a fixture.
fn hosts(fixture: &Value) -> Vec<String> {
    fn collect(value: &Value, hosts: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(request)) = members.get("request") {
                    let target = request.split_once(' ').map_or("", |(_, target)| target);
                    hosts.insert(target.split('/').next().unwrap_or_default().to_owned());
                }
                members.values().for_each(|value| collect(value, hosts));
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, hosts)),
            _ => {}
        }
    }
    let mut hosts = BTreeSet::new();
    collect(fixture, &mut hosts);
    hosts.into_iter().collect()
}

/// The connection's metadata, its secrets told apart by `case`: another account for each case.
fn metadata(destination: &Destination, secrets: &[String], case: &str) -> Value {
    let mut metadata = destination.fixture["connection"].clone();
    for secret in secrets {
        if let Some(Value::String(text)) = metadata.get_mut(secret)
            && destination.fixture["same_account"] != true
        {
            text.push_str(case);
        }
    }
    metadata
}

/// A destination under test.
struct Trial<'a> {
    api: &'a Api,
    engine: &'a Engine,
    workspace: &'a Workspace,
    destination: &'a Destination,
    secrets: Vec<String>,
}

impl Trial<'_> {
    async fn connect(&self, case: &str) -> String {
        let name = format!("{} {case}", self.destination.kind);
        let metadata = metadata(self.destination, &self.secrets, case);
        // The check that a save makes is a trial of its own.
        self.destination
            .provider
            .play(script(&self.destination.fixture["check"]["exchanges"]));
        let connection = self
            .api
            .connection(self.workspace, &self.destination.kind, &name, metadata)
            .await;
        connection
    }

    async fn rule(&self, connection: &str, event: &str, action: &str) -> String {
        let mut metadata = json!({"action": action});
        let own = self.destination.fixture["actions"][action]["metadata"].as_object();
        for (key, value) in own.into_iter().flatten() {
            metadata[key] = value.clone();
        }
        self.api.rule(self.workspace, connection, event, metadata).await
    }

    fn payload(&self, action: &str) -> Value {
        match &self.destination.fixture["actions"][action]["payload"] {
            Value::Null => self.destination.fixture["payload"].clone(),
            own => own.clone(),
        }
    }

    /// Delivers and gives the rule event once it is no longer under way.
    async fn deliver(&self, event: &str, rule: &str, action: &str) -> Value {
        let id = self.api.emit(self.workspace, event, self.payload(action)).await;
        self.settled(&id, rule).await
    }

    async fn settled(&self, event: &str, rule: &str) -> Value {
        let ask = || self.api.rule_event(event, rule);
        until("the attempt to end", ask, |r| {
            !matches!(r["status"].as_str(), Some("pending" | "processing"))
        })
        .await
    }

    /// An action as it should go, then the same event a second time.
    async fn action(&self, action: &str, prism: Option<&Prism>) {
        let what = &self.destination.fixture["actions"][action];
        let connection = self.connect(&format!("ok {action}")).await;
        let event = format!("{}.{action}", self.destination.kind);
        let rule = self.rule(&connection, &event, action).await;
        self.destination.provider.play(script(&what["exchanges"]));
        let done = self.deliver(&event, &rule, action).await;
        assert_eq!(
            done["status"],
            "completed",
            "{} {action}: {done}\n{:?}",
            self.destination.kind,
            self.destination.provider.finish(None)
        );
        let asked = self.destination.provider.finish(done["id"].as_str());
        self.no_secret_in(&done);
        if let Some(prism) = prism {
            for asked in asked {
                prism.validates(&asked).await;
            }
        }
        let again = match what.get("again") {
            Some(again) => again,
            None => &what["exchanges"],
        };
        self.destination.provider.play(script(again));
        let path = format!(
            "/events/{}/rules/{rule}/retry",
            done["event_id"].as_str().expect("an id")
        );
        self.api.post_empty(&path).await.expect(200);
        let twice = until(
            "the replay to end",
            || {
                self.api
                    .rule_event(done["event_id"].as_str().expect("an id"), &rule)
            },
            |r| r["attempt_count"] == 2 && r["status"] != "processing",
        )
        .await;
        assert_eq!(
            twice["status"], "completed",
            "{} {action}, again: {twice}",
            self.destination.kind
        );
        self.destination.provider.finish(done["id"].as_str());
    }

    /// One class of error, played on an exchange of an action (the first one, unless the case says).
    async fn failure(&self, action: &str, case: &Value) {
        let name = case["name"].as_str().expect("a case has a name");
        let connection = self.connect(name).await;
        let event = format!("{}.{action}.{}", self.destination.kind, name.replace(' ', "_"));
        let rule = self.rule(&connection, &event, action).await;
        let mut exchanges = script(&self.destination.fixture["actions"][action]["exchanges"]);
        let at = usize::try_from(case["at"].as_u64().unwrap_or(0)).expect("small");
        exchanges.truncate(at + 1);
        exchanges[at].0["reply"] = case["reply"].clone();
        exchanges.extend(script(&case["then"]));
        self.destination.provider.play(exchanges);
        let ended = self.deliver(&event, &rule, action).await;
        let what = format!("{} {action}, {name}: {ended}", self.destination.kind);
        self.destination.provider.finish(ended["id"].as_str());
        let attempts = self
            .api
            .attempts(ended["event_id"].as_str().expect("an id"), &rule)
            .await;
        assert_eq!(
            attempts[0]["outcome_code"], case["outcome"],
            "{what} {attempts:?}"
        );
        let status = match case["status"].as_str() {
            Some(status) => status,
            None => match case["outcome"].as_str() {
                Some("rate_limited" | "rejected_server_error" | "timeout" | "network_error") => "retrying",
                Some("delivered") => "completed",
                _ => "failed",
            },
        };
        assert_eq!(ended["status"], status, "{what}");
        let connection = self
            .api
            .get(&format!("/connections/{connection}"))
            .await
            .expect(200);
        let active = case["active"]
            .as_bool()
            .unwrap_or(case["outcome"] != "auth_failed");
        assert_eq!(connection["active"], active, "{what}: {connection}");
        self.no_secret_in(&json!([ended, attempts, connection]));
    }

    fn no_secret_in(&self, shown: &Value) {
        let shown = shown.to_string();
        for secret in &self.secrets {
            if let Some(text) = self.destination.fixture["connection"][secret].as_str() {
                assert!(
                    !shown.contains(text),
                    "{} shows its {secret}: {shown}",
                    self.destination.kind
                );
                assert!(!self.engine.log().contains(text), "{secret} is in the log");
            }
        }
    }
}

/// What every destination must make of what any server can answer, unless its fixture knows better.
fn general_cases() -> Vec<Value> {
    vec![
        json!({"name": "400", "reply": {"status": 400, "json": {}}, "outcome": "rejected_client_error"}),
        json!({"name": "401", "reply": {"status": 401, "json": {}}, "outcome": "auth_failed"}),
        json!({"name": "429", "reply": {"status": 429, "headers": {"retry-after": "7"}, "json": {}}, "outcome": "rate_limited"}),
        json!({"name": "500", "reply": {"status": 500, "text": "<html>oops"}, "outcome": "rejected_server_error"}),
        json!({"name": "503", "reply": {"status": 503, "headers": {"retry-after": "5"}}, "outcome": "rejected_server_error"}),
        json!({"name": "malformed", "reply": {"status": 200, "text": "<html>"}, "outcome": "rejected_server_error"}),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_destination_does_what_its_fixture_says_and_nothing_else() {
    let only = std::env::var("HEDDLE_CONFORMANCE").ok();
    let mut destinations = Vec::new();
    let mut settings = Settings::default().retrying("0s,1h");
    let mut routes = Vec::new();
    for (kind, fixture) in fixtures() {
        if only.as_ref().is_some_and(|only| *only != kind) {
            continue;
        }
        let provider = Provider::start(&hosts(&fixture)).await;
        routes.extend(provider.hosts.iter().map(|(host, base)| format!("{host}={base}")));
        destinations.push(Destination {
            kind,
            fixture,
            provider,
        });
    }
    settings = settings.with("EGRESS_ROUTES", routes.join(","));
    let engine = Engine::start(settings).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Conformance").await;
    let integrations = records(&api.get("/integrations").await.expect(200));
    let trials = destinations.iter().map(|destination| {
        let integration = integrations
            .iter()
            .find(|i| i["type"] == destination.kind.as_str());
        one_destination(
            &api,
            &engine,
            &workspace,
            destination,
            integration.expect("it is bundled"),
        )
    });
    futures::future::join_all(trials).await;
}

async fn one_destination(
    api: &Api,
    engine: &Engine,
    workspace: &Workspace,
    destination: &Destination,
    integration: &Value,
) {
    let fixture = &destination.fixture;
    let secrets = list(&integration["authentication"]["fields"])
        .iter()
        .filter(|field| field["type"] == "password")
        .map(|field| field["key"].as_str().expect("a key").to_owned())
        .collect();
    let trial = Trial {
        api,
        engine,
        workspace,
        destination,
        secrets,
    };
    let named = |members: &Value| -> BTreeSet<String> {
        members
            .as_object()
            .unwrap_or(&Map::new())
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(
        named(&fixture["actions"]),
        named(&integration["actions"]),
        "{}: every action is tested",
        destination.kind
    );
    let prism = Prism::start(fixture).await;
    for action in named(&fixture["actions"]) {
        trial.action(&action, prism.as_ref()).await;
    }
    let first = fixture["failures"]["action"]
        .as_str()
        .expect("the action that failures are tried on");
    let own = list(&fixture["failures"]["cases"]);
    let general = general_cases();
    let general = general
        .iter()
        .filter(|case| own.iter().all(|own| own["name"] != case["name"]));
    for case in own.iter().chain(general) {
        let action = case["action"].as_str().unwrap_or(first);
        trial.failure(action, case).await;
    }
}

/// A validating mock server, run from the provider's published description.
struct Prism {
    _child: tokio::process::Child,
    base: String,
    strip: String,
    except: Vec<String>,
}

impl Prism {
    /// Runs when the environment offers it and the fixture names a description.
    async fn start(fixture: &Value) -> Option<Self> {
        let folder = PathBuf::from(std::env::var_os("HEDDLE_PROVIDER_DESCRIPTIONS")?);
        let program = std::env::var_os("HEDDLE_PRISM")?;
        let description = folder.join(fixture["description"]["file"].as_str()?);
        let port = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
            free.local_addr().expect("it has an address").port()
        };
        let child = tokio::process::Command::new(program)
            .args(["mock", "-h", "127.0.0.1", "-p", &port.to_string()])
            .arg(&description)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("prism starts");
        let base = format!("http://127.0.0.1:{port}");
        let ask = || async { reqwest::get(&base).await.is_ok() };
        until("prism to listen", ask, |up| *up).await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Some(Self {
            _child: child,
            base,
            strip: text(&fixture["description"]["strip"]),
            except: list(&fixture["description"]["except"]).iter().map(text).collect(),
        })
    }

    /// Holds a request against the description. A path that the fixture excepts, with its reason there,
    /// is not in it.
    async fn validates(&self, asked: &Asked) {
        let line = format!("{} {}", asked.method, asked.path);
        if self.except.iter().any(|prefix| line.starts_with(prefix.as_str())) {
            return;
        }
        let path = asked.path.strip_prefix(&self.strip).unwrap_or(&asked.path);
        let query = asked
            .query
            .as_ref()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let method = asked.method.parse().expect("a method");
        let mut request = reqwest::Client::new().request(method, format!("{}{path}{query}", self.base));
        for (name, value) in &asked.headers {
            if name != "host" && name != "content-length" && name != "accept-encoding" {
                request = request.header(name, value);
            }
        }
        let answer = request
            .body(asked.body.clone())
            .send()
            .await
            .expect("prism answers");
        let violations = answer.headers().get("sl-violations").cloned();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap_or_default();
        let errors = violations
            .iter()
            .filter_map(|v| v.to_str().ok())
            .any(|v| v.contains("request"));
        assert!(
            !errors && !matches!(status, 401 | 404 | 405 | 406 | 415 | 422),
            "{line} is not what the description asks for: {status} {violations:?} {text}"
        );
    }
}
