//! Who is let in where: every route of the router, with every kind of credential, against the
//! checked-in `access.txt`. A route that is new stands in it as soon as it is declared, and whoever
//! declares it reads there what it opens.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;

use heddle_web::{Permission, Route, routes};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::world::{Answer, Caller, SESSION_KEY, World, text};

/// Set to write `access.txt` instead of comparing it.
const BLESS: &str = "HEDDLE_BLESS";

const NOBODY: &str = "01981f6e-7d3c-7000-8000-000000000000";

/// Everything that a path or a body can name, all of one workspace and one resource.
struct Things {
    workspace: String,
    connection: String,
    rule: String,
    event: String,
    session: String,
    access_key: String,
    publishable_key: String,
}

impl Things {
    async fn new(world: &World, workspace: &str, number: usize) -> Self {
        // The world's randomness is poor; ids differ by their time.
        world.clock.advance(1);
        let connection = world.connection(workspace, &format!("Connection {number}")).await;
        let rule = json!({"workspace": workspace, "connection": connection, "event": "a", "resource": "course",
                          "resource_id": "7", "metadata": {"action": "post", "id": "C1"}});
        let rule = text(&world.post("/api/v1/rules", rule).await.expect(201)["rule"]["id"]);
        let event = json!({"workspace": workspace, "event": "a", "payload": {"n": 1}, "resource": "course",
                           "resource_id": "7"});
        let event = text(&world.post("/api/v1/events", event).await.expect(201)["event"]["id"]);
        let session = json!({"workspace_id": workspace});
        let session = text(&world.post("/api/v1/sessions", session).await.expect(200)["session_id"]);
        let key = json!({"name": "Thing", "workspaces": [workspace], "permissions": ["events:read"]});
        let key = world.post("/api/v1/keys", key).await.expect(201);
        let path = format!("/api/v1/workspaces/{workspace}/publishable-keys");
        // Only so many can be there; the first one is a credential of this test.
        let known = world.get(&path).await.expect(200);
        for old in known["records"].as_array().unwrap().iter().skip(1) {
            let path = format!("{path}/{}", text(&old["id"]));
            world.delete(&path).await.expect(200);
        }
        let made = world.post(&path, json!({})).await.expect(201);
        let publishable_key = text(&made["publishable_key"]["id"]);
        Self {
            publishable_key,
            workspace: workspace.to_owned(),
            connection,
            rule,
            event,
            session,
            access_key: text(&key["key"]["access_key"]),
        }
    }

    /// The path with its parameters filled in. What is not known here names nothing.
    fn path(&self, route: &Route) -> String {
        let parts = route.path.split('/').map(|part| match part {
            "{workspace}" => &self.workspace,
            "{connection}" => &self.connection,
            "{rule}" => &self.rule,
            "{event}" => &self.event,
            "{session}" => &self.session,
            "{access_key}" => &self.access_key,
            "{publishable_key}" => &self.publishable_key,
            other if other.starts_with('{') => NOBODY,
            other => other,
        });
        let path = format!("/api/v1{}", parts.collect::<Vec<_>>().join("/"));
        match route.path {
            "/sessions" if route.method == "GET" => format!("{path}?workspace_id={}", self.workspace),
            _ => path,
        }
    }

    /// A body that is taken, for the routes whose body says what it is about; others get `{}`.
    fn body(&self, route: &Route, number: usize) -> Value {
        let workspace = &self.workspace;
        let metadata = json!({"url": "https://acme.example", "api_key": "key-of-acme"});
        let event = json!({"workspace": workspace, "event": "b", "payload": {"n": 1}, "resource": "course",
                           "resource_id": "7"});
        match (route.method.as_str(), route.path) {
            ("POST", "/workspaces") => json!({"name": format!("New {number}")}),
            ("PUT", "/workspaces/{workspace}") => json!({"name": format!("Changed {number}")}),
            ("POST", "/connections") => {
                json!({"workspace": workspace, "type": "acme", "name": format!("New {number}"), "metadata": metadata})
            }
            ("PUT", "/connections/{connection}") => {
                json!({"name": format!("Changed {number}"), "metadata": metadata})
            }
            ("DELETE", "/connections/{connection}") => json!({"force_delete": true}),
            ("POST", "/rules") => {
                json!({"workspace": workspace, "connection": self.connection, "event": "a", "resource": "course",
                       "resource_id": "7", "metadata": {"action": "post", "id": "C1"}})
            }
            ("POST", "/events") => event,
            ("POST", "/events/bulk") => json!([event]),
            ("POST", "/sessions") => json!({"workspace_id": workspace}),
            ("POST", "/keys") => {
                json!({"name": "New", "permissions": ["keys:write"], "workspaces": [workspace]})
            }
            _ => json!({}),
        }
    }
}

/// A token with this header and these claims, signed with HS256 whatever the header says.
fn forged(header: Value, claims: &Value, key: &[u8]) -> Caller {
    let signed = jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        claims,
        &EncodingKey::from_secret(key),
    )
    .unwrap();
    let mut parts = signed.split('.').skip(1);
    let (claims, signature) = (parts.next().unwrap(), parts.next().unwrap());
    let header = base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        header.to_string(),
    );
    let signature = if header.contains("bm9uZ") { "" } else { signature };
    Caller::Machine(format!("{header}.{claims}.{signature}"))
}

async fn session(world: &World, workspace: &str, wish: Value) -> (String, Caller) {
    let mut body = json!({"workspace_id": workspace});
    body.as_object_mut()
        .unwrap()
        .extend(wish.as_object().unwrap().clone());
    let made = world.post("/api/v1/sessions", body).await.expect(200);
    (
        text(&made["session_id"]),
        Caller::Machine(text(&made["access_token"])),
    )
}

/// Sessions of a workspace, of each type and role, and of those that payloads are for with the scope.
async fn sessions(world: &World, workspace: &str) -> Vec<(String, Caller)> {
    let mut all = Vec::new();
    for kind in ["workspace", "resource", "dashboard"] {
        for (role, scope) in [
            ("member", false),
            ("admin", false),
            ("owner", false),
            ("member", true),
            ("admin", true),
        ] {
            let mut wish = json!({"session_type": kind, "role": role, "ttl_seconds": 3600});
            if kind == "resource" {
                wish["resource"] = "course".into();
                wish["resource_id"] = "7".into();
            }
            let with = if scope { " with the payload scope" } else { "" };
            if scope {
                wish["scopes"] = json!(["events.payload:read"]);
            }
            all.push((
                format!("{kind} session, {role}{with}"),
                session(world, workspace, wish).await.1,
            ));
        }
    }
    all
}

/// Every kind of credential that does not depend on the route.
async fn credentials(world: &World, here: &str, there: &str) -> Vec<(String, Caller)> {
    // What is to be over comes first, then time passes.
    let expired_key = world
        .narrow(&world.machine(), json!({"expires_in_seconds": 60}))
        .await;
    let expired = session(world, here, json!({"role": "owner", "ttl_seconds": 300}))
        .await
        .1;
    let Caller::Machine(old) = world.machine() else {
        panic!()
    };
    world.clock.advance(400_000);
    let Caller::Machine(expired_key) = expired_key else {
        panic!()
    };
    let expired_key = world.signed_again(&expired_key).await;

    let revoked_key = world.narrow(&world.machine(), json!({})).await;
    let Caller::Machine(token) = &revoked_key else {
        panic!()
    };
    let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    world.delete(&format!("/api/v1/keys/{kid}")).await.expect(200);
    let (id, revoked) = session(world, here, json!({"role": "owner"})).await;
    world.delete(&format!("/api/v1/sessions/{id}")).await.expect(200);
    let (id, replaced) = session(world, here, json!({"role": "owner"})).await;
    world
        .post(&format!("/api/v1/sessions/{id}/refresh"), json!({}))
        .await
        .expect(200);

    let (header, claims) = world.parts();
    let secret = world.secret();
    let claimed = |changes: Value| {
        let mut claims = claims.clone();
        claims
            .as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        forged(header.clone(), &claims, secret.as_bytes())
    };
    let (iat, kid) = (claims["iat"].as_i64().unwrap(), header["kid"].clone());
    let (good_id, _) = session(world, here, json!({"role": "owner"})).await;
    let ours = json!({"alg": "HS256", "typ": "JWT", "kid": "heddle-session"});
    let of_session = json!({"iss": "urn:heddle:sessions", "aud": "heddle-api", "sub": good_id, "jti": NOBODY,
                            "iat": iat, "exp": iat + 600});
    let page = async |workspace: &str| {
        let path = format!("/api/v1/workspaces/{workspace}");
        let shown = world.get(&path).await.expect(200);
        Caller::Page(text(&shown["publishable_key"]["public_key"]))
    };
    let mut all = vec![
        ("nobody".to_owned(), Caller::Anybody),
        ("publishable key".into(), page(here).await),
        ("publishable key of another workspace".into(), page(there).await),
        (
            "publishable key that is not known".into(),
            Caller::Page("mesh_pub_test_a_b".into()),
        ),
        ("machine key".into(), world.machine()),
        (
            "machine key of this workspace".into(),
            world
                .narrow(&world.machine(), json!({"workspaces": [here]}))
                .await,
        ),
        (
            "machine key of another workspace".into(),
            world
                .narrow(&world.machine(), json!({"workspaces": [there]}))
                .await,
        ),
        (
            "machine key of another organization".into(),
            world.stranger().await,
        ),
        ("machine key, expired".into(), expired_key),
        ("machine key, revoked".into(), revoked_key),
        ("machine token, expired".into(), Caller::Machine(old)),
        (
            "machine token, wrong audience".into(),
            claimed(json!({"aud": "heddle-sessions"})),
        ),
        (
            "machine token, life over 60 s".into(),
            claimed(json!({"exp": iat + 61})),
        ),
        (
            "machine token, alg none".into(),
            forged(json!({"alg": "none", "kid": kid}), &claims, secret.as_bytes()),
        ),
        (
            "machine token, another secret".into(),
            forged(header.clone(), &claims, b"another"),
        ),
        (
            "machine token, signed as a session's".into(),
            forged(ours.clone(), &claims, secret.as_bytes()),
        ),
        ("session, expired".into(), expired),
        ("session, revoked".into(), revoked),
        ("session, refreshed since".into(), replaced),
        (
            "session, wrong audience".into(),
            forged(ours.clone(), &of_session, &SESSION_KEY),
        ),
        (
            "session, alg none".into(),
            forged(
                json!({"alg": "none", "kid": "heddle-session"}),
                &of_session,
                &SESSION_KEY,
            ),
        ),
        (
            "workspace session of another workspace, owner".into(),
            session(world, there, json!({"role": "owner", "ttl_seconds": 3600}))
                .await
                .1,
        ),
        (
            "resource session of another resource, owner".into(),
            session(
                world,
                here,
                json!({"session_type": "resource", "resource": "course", "resource_id": "8", "role": "owner",
                       "ttl_seconds": 3600}),
            )
            .await
            .1,
        ),
    ];
    all.extend(sessions(world, here).await);
    all
}

/// A key with everything but this permission and what includes it, and one with nothing else.
async fn keys_around(world: &World, permission: Permission) -> [Caller; 2] {
    let includes = |other: &Permission| {
        *other == permission || (permission == Permission::RulesCreate && *other == Permission::RulesWrite)
    };
    let others = Permission::ALL.iter().filter(|other| !includes(other));
    let others: Vec<&str> = others.map(|other| other.as_str()).collect();
    [
        world
            .narrow(&world.machine(), json!({"permissions": others}))
            .await,
        world
            .narrow(&world.machine(), json!({"permissions": [permission.as_str()]}))
            .await,
    ]
}

fn outcome(answer: &Answer) -> String {
    let status = answer.status.as_u16();
    match serde_json::from_str::<Value>(&answer.text).ok() {
        Some(body) if status >= 400 => {
            format!("{status} {}", body["code"].as_str().unwrap_or("without a code"))
        }
        _ => status.to_string(),
    }
}

#[tokio::test]
async fn every_route_answers_every_kind_of_credential_as_written_down() {
    let world = World::new().await;
    let ((here, _), (there, _)) = (world.workspace("Here").await, world.workspace("There").await);
    let credentials = credentials(&world, &here, &there).await;
    let mut around: BTreeMap<Permission, [Caller; 2]> = BTreeMap::new();
    let (mut number, mut changed) = (0, false);
    let mut things = Things::new(&world, &here, number).await;
    let mut table = format!(
        "Who is let in where. Written by a test: {BLESS}=1 cargo test -p heddle-web --test api written_down\n\
         Bodies are good where the test knows the route, else {{}}; what a path names is of the workspace Here and the\n\
         resource course 7.\n"
    );
    for route in routes() {
        let permission = route.access.permission();
        let [without, alone] = match around.entry(permission) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(free) => free.insert(keys_around(&world, permission).await).clone(),
        };
        let special = [
            ("machine key without the permission".to_owned(), without),
            ("machine key with this permission alone".to_owned(), alone),
        ];
        let mut outcomes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (name, caller) in credentials.iter().chain(&special) {
            number += 1;
            if changed {
                things = Things::new(&world, &here, number).await;
            }
            let body = things.body(&route, number).to_string();
            let answer = world
                .send(caller, route.method.as_str(), &things.path(&route), body)
                .await;
            changed = route.method != "GET" && answer.status.is_success();
            assert!(
                !answer.status.is_server_error(),
                "{route:?} {name}: {}",
                answer.text
            );
            outcomes.entry(outcome(&answer)).or_default().push(name);
        }
        write!(table, "\n{} {}  {permission}\n", route.method, route.path).unwrap();
        for (outcome, names) in outcomes {
            writeln!(table, "  {outcome}").unwrap();
            for name in names {
                writeln!(table, "      {name}").unwrap();
            }
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/access.txt");
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let known = std::fs::read_to_string(path).unwrap_or_default();
    let first = table.lines().zip(known.lines()).find(|(now, then)| now != then);
    assert!(
        table == known,
        "access.txt differs, first at {first:?}. Read what changed with {BLESS}=1 and git diff."
    );
}
