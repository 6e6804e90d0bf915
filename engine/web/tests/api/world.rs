//! An engine's API with one organization, and callers of it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::{Body, to_bytes};
use heddle_core::id::OrganisationId;
use heddle_core::json::MAX_PAYLOAD_BYTES;
use heddle_core::secret::Secret;
use heddle_core::time::{Clock, Timestamp};
use heddle_delivery::{Intake, Pacer};
use heddle_egress::{Egress, EgressConfig};
use heddle_sandbox::{Registry, Sandbox, SandboxConfig};
use heddle_store::{MachineKey, Store, StoreConfig, Synchronous};
use heddle_web::{Rates, WebState, router};
use http::{HeaderMap, Method, Request, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::plugin;

/// Signs the access tokens of sessions.
pub const SESSION_KEY: [u8; 32] = [9; 32];

/// When the tests take place.
pub const NOW: Timestamp = Timestamp(1_774_000_000_000);

/// A clock that is turned by hand.
pub struct HandClock(AtomicI64);

impl HandClock {
    /// Turns it forward.
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Different bytes at every call, the same in every run.
fn entropy(buffer: &mut [u8]) {
    static CALLS: AtomicU64 = AtomicU64::new(1);
    let call = CALLS.fetch_add(1, Ordering::SeqCst);
    for (index, byte) in buffer.iter_mut().enumerate() {
        let mixed = call
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(u32::try_from(index * 7 % 64).unwrap());
        *byte = mixed.to_le_bytes()[index % 8];
    }
}

/// Compiling the plugin once is enough for all tests.
static PLUGINS: LazyLock<Arc<Registry>> = LazyLock::new(|| {
    let config = SandboxConfig {
        instances: 2,
        ..SandboxConfig::default()
    };
    let wasm: &'static [u8] = plugin::wasm().leak();
    Arc::new(Registry::new(Sandbox::new(config).unwrap(), &[("acme", wasm)], None).unwrap())
});

/// The API and what is behind it.
pub struct World {
    pub store: Store,
    pub clock: Arc<HandClock>,
    pub state: WebState,
    router: Router,
    key: MachineKey,
    _directory: TempDir,
}

/// Who calls.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Nobody that is known.
    Anybody,
    /// With a machine token.
    Machine(String),
    /// With a publishable key.
    Page(String),
    /// With both.
    Both(String, String),
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {:?}", self.text))
    }

    /// The body, provided that the status is this.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.json()
    }

    /// The error's code, provided that the status is this and the shape the published one.
    #[track_caller]
    pub fn refused(self, status: u16) -> String {
        let request_id = self.headers["x-request-id"].to_str().unwrap().to_owned();
        let body = self.expect(status);
        assert!(
            body["message"].is_string() && body["error"]["name"].is_string(),
            "{body}"
        );
        assert!(body["error"]["message"].is_string(), "{body}");
        assert_eq!(body["request_id"], json!(request_id));
        body["code"].as_str().unwrap().to_owned()
    }

    /// The parameter that the error names first.
    #[track_caller]
    pub fn wrong_param(self) -> String {
        let body = self.expect(400);
        body["error"]["data"][0]["param"]
            .as_str()
            .unwrap_or_else(|| panic!("{body}"))
            .to_owned()
    }
}

impl World {
    /// With one organization and its machine key.
    pub async fn new() -> Self {
        Self::with(None, MAX_PAYLOAD_BYTES).await
    }

    /// With a rate for each credential, and a limit on payloads.
    pub async fn with(key_rate: Option<&str>, payload_bytes: usize) -> Self {
        let directory = TempDir::new().unwrap();
        let store = Store::open(StoreConfig {
            path: directory.path().join("heddle.db"),
            master_key: [7; 32],
            readers: 2,
            synchronous: Synchronous::Normal,
        })
        .unwrap();
        let clock = Arc::new(HandClock(AtomicI64::new(NOW.0)));
        let state = WebState {
            store: store.clone(),
            intake: Intake::without_delivery(store.clone()),
            plugins: Arc::clone(&PLUGINS),
            egress: Egress::new(EgressConfig::default()).unwrap(),
            pacer: Pacer::start(),
            matching: Arc::default(),
            clock: clock.clone(),
            entropy,
            schedule: Arc::new("0s,5s,5m".parse().unwrap()),
            rates: Arc::new(Rates::new(key_rate.map(|rate| rate.parse().unwrap()))),
            payload_bytes,
            environment: "test".into(),
            session_key: SESSION_KEY,
            public_url: None,
            live: Arc::default(),
            bodies: Arc::default(),
        };
        let router = router(state.clone());
        let key = new_key(&store, 'A').await;
        Self {
            store,
            clock,
            state,
            router,
            key,
            _directory: directory,
        }
    }

    /// The same, served in another way.
    pub fn changed(mut self, change: impl FnOnce(&mut WebState)) -> Self {
        change(&mut self.state);
        self.router = router(self.state.clone());
        self
    }

    /// The caller that everything in this world belongs to.
    pub fn machine(&self) -> Caller {
        Caller::Machine(self.token(&self.key))
    }

    /// A caller of another organization.
    pub async fn stranger(&self) -> Caller {
        Caller::Machine(self.token(&new_key(&self.store, 'B').await))
    }

    /// The organization that everything in this world belongs to.
    pub fn organisation(&self) -> OrganisationId {
        self.key.organisation
    }

    /// A token of the key.
    pub fn token(&self, key: &MachineKey) -> String {
        let header = Header {
            kid: Some(key.access_key.clone()),
            ..Header::new(Algorithm::HS256)
        };
        let now = self.clock.now().seconds();
        let claims = json!({"iss": format!("urn:meshes:m2m:{}", key.access_key), "aud": "meshes-api",
                            "org": key.organisation, "iat": now, "exp": now + 30});
        jsonwebtoken::encode(
            &header,
            &claims,
            &EncodingKey::from_secret(key.secret.reveal().as_bytes()),
        )
        .unwrap()
    }

    /// A caller with a key that the API makes, `wish` being what is asked for beside its name.
    pub async fn narrow(&self, by: &Caller, wish: Value) -> Caller {
        let mut body = json!({"name": "Narrow"});
        body.as_object_mut()
            .unwrap()
            .extend(wish.as_object().unwrap().clone());
        let made = self
            .send(by, "POST", "/api/v1/keys", body.to_string())
            .await
            .expect(201);
        Caller::Machine(self.token(&MachineKey {
            access_key: text(&made["key"]["access_key"]),
            secret: Secret::new(text(&made["secret_key"])),
            ..self.key.clone()
        }))
    }

    /// The header and the claims of a good token of this world's machine.
    pub fn parts(&self) -> (Value, Value) {
        let now = self.clock.now().seconds();
        (
            json!({"alg": "HS256", "typ": "JWT", "kid": self.key.access_key}),
            json!({"iss": format!("urn:meshes:m2m:{}", self.key.access_key), "aud": "meshes-api",
                   "org": self.key.organisation, "iat": now, "exp": now + 30}),
        )
    }

    /// What this world's machine signs with.
    pub fn secret(&self) -> String {
        self.key.secret.reveal().to_owned()
    }

    /// A token of now, of the key that signed `token`.
    pub async fn signed_again(&self, token: &str) -> Caller {
        let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
        let key = self.store.machine_key(&kid, self.clock.now()).await.unwrap();
        Caller::Machine(self.token(&key.unwrap()))
    }

    /// One request with a text as its body.
    pub async fn send(&self, caller: &Caller, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(path);
        match caller {
            Caller::Anybody => {}
            Caller::Machine(token) => request = request.header("authorization", format!("Bearer {token}")),
            Caller::Page(key) => request = request.header("x-meshes-publishable-key", key),
            Caller::Both(token, key) => {
                request = request
                    .header("authorization", format!("Bearer {token}"))
                    .header("x-heddle-publishable-key", key);
            }
        }
        self.request(request.body(body.into()).unwrap()).await
    }

    /// One request as it is.
    pub async fn request(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// `GET` by this world's machine.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(&self.machine(), "GET", path, "").await
    }

    /// `POST` by this world's machine.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(&self.machine(), "POST", path, body.to_string()).await
    }

    /// `PUT` by this world's machine.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(&self.machine(), "PUT", path, body.to_string()).await
    }

    /// `DELETE` by this world's machine.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(&self.machine(), "DELETE", path, "").await
    }

    /// A new workspace's id and publishable key.
    pub async fn workspace(&self, name: &str) -> (String, Caller) {
        let made = self
            .post("/api/v1/workspaces", json!({"name": name}))
            .await
            .expect(201);
        let key = text(&made["workspace"]["publishable_key"]["public_key"]);
        (text(&made["workspace"]["id"]), Caller::Page(key))
    }

    /// A new connection's id.
    pub async fn connection(&self, workspace: &str, name: &str) -> String {
        let body = json!({"workspace": workspace, "type": "acme", "name": name,
                          "metadata": {"url": "https://acme.example", "api_key": "key-of-acme"}});
        text(&self.post("/api/v1/connections", body).await.expect(201)["connection"]["id"])
    }

    /// A new rule's id.
    pub async fn rule(&self, workspace: &str, connection: &str, event: &str) -> String {
        let body = json!({"workspace": workspace, "connection": connection, "event": event,
                          "metadata": {"action": "post", "id": "C1"}});
        text(&self.post("/api/v1/rules", body).await.expect(201)["rule"]["id"])
    }

    /// An emitted event's id.
    pub async fn emit(&self, workspace: &str, event: &str) -> String {
        let body = json!({"workspace": workspace, "event": event, "payload": {"n": 1}});
        text(&self.post("/api/v1/events", body).await.expect(201)["event"]["id"])
    }
}

async fn new_key(store: &Store, letter: char) -> MachineKey {
    let mut random = [0; 10];
    entropy(&mut random);
    let organisation = OrganisationId::new(NOW, random);
    store
        .create_organisation(organisation, format!("Organization {letter}"), NOW)
        .await
        .unwrap();
    let key = MachineKey {
        access_key: format!("mk_{}", letter.to_string().repeat(24)),
        organisation,
        name: "test".into(),
        secret: Secret::new(letter.to_string().repeat(43)),
        permissions: None,
        workspaces: None,
        created_by: None,
        created_at: NOW,
        expires_at: None,
        revoked_at: None,
    };
    store.create_machine_key(key.clone()).await.unwrap();
    key
}

/// A member that is a string.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}
