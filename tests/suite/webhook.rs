//! The webhook as its receiver sees it: signatures over the exact bytes, authentication, headers,
//! both payload modes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heddle_tests::api::{Api, Workspace};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::{Received, Receiver, Reply};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};
use standardwebhooks::Webhook;

/// Text that every careless re-encoding would change.
const PAYLOAD: &str = r#"{"z":1.10, "a":[ 1e2,12345678901234567890123 ],"é":"\u00e9/\/","n":-0.0}"#;

struct Scene {
    _engine: Engine,
    receiver: Receiver,
    api: Api,
    workspace: Workspace,
}

impl Scene {
    async fn new() -> Self {
        let receiver = Receiver::start().await;
        let engine = Engine::start(Settings::default().retrying("0s,20ms")).await;
        let api = Api::of(&engine).await;
        let workspace = api.workspace("Webhooks").await;
        Self {
            _engine: engine,
            receiver,
            api,
            workspace,
        }
    }

    /// A connection to `path` with this metadata, and the metadata as the answer showed it.
    async fn connect(&self, path: &str, metadata: Value) -> (String, Value) {
        let mut whole = json!({"url": self.receiver.url(path), "skip_url_test": true});
        whole
            .as_object_mut()
            .expect("an object")
            .extend(metadata.as_object().expect("an object").clone());
        let name = format!("To {}", path.trim_start_matches('/'));
        let body =
            json!({"workspace": self.workspace.id, "type": "webhook", "name": name, "metadata": whole});
        let made = self.api.post("/connections", &body).await.expect(201)["connection"].clone();
        let id = made["id"].as_str().expect("an id").to_owned();
        self.api
            .webhook_rule(&self.workspace, &id, path.trim_start_matches('/'))
            .await;
        (id, made["metadata"].clone())
    }

    /// Emits [`PAYLOAD`] as the event that goes to `path`, and gives the event's id and the request.
    async fn deliver(&self, path: &str) -> (String, Received) {
        let before = self.receiver.requests_at(path).len();
        let body = format!(
            r#"{{"event":"{}","resource":"course","resource_id":"c:1","payload":{PAYLOAD}}}"#,
            path.trim_start_matches('/')
        );
        let request = self
            .api
            .request(reqwest::Method::POST, "/events")
            .header("x-meshes-publishable-key", &self.workspace.publishable_key)
            .header("content-type", "application/json");
        let accepted = self.api.send(request.body(body)).await.expect(201);
        let event = accepted["event"]["id"].as_str().expect("an id").to_owned();
        let received = self.receiver.wait_for(path, before + 1).await[before].clone();
        (event, received)
    }
}

fn hmac_sha256(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(bytes);
    mac.finalize().into_bytes().to_vec()
}

fn hmac_sha512(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("a key of any length");
    mac.update(bytes);
    mac.finalize().into_bytes().to_vec()
}

#[tokio::test]
async fn a_new_webhook_is_signed_by_standard_webhooks_and_the_published_library_agrees() {
    let scene = Scene::new().await;
    let (connection, metadata) = scene.connect("/signed", json!({})).await;
    let secret = metadata["signing_secret"]
        .as_str()
        .expect("shown once")
        .to_owned();
    let (event, first) = scene.deliver("/signed").await;
    let verifier = Webhook::new(&secret).expect("a secret of the right form");
    verifier
        .verify(&first.body, &first.headers)
        .expect("the signature is right");
    let mut forged = first.body.to_vec();
    forged[0] = b' ';
    verifier
        .verify(&forged, &first.headers)
        .expect_err("another body has another signature");
    assert!(
        !first.delivery_id().contains('.'),
        "an id with a dot could be moved into the body"
    );
    let body = first.text();
    assert!(body.contains(PAYLOAD), "byte for byte: {body}");
    assert_eq!(first.json()["uuid"], event);

    // While a secret is being replaced both sign, and afterwards only the new one does.
    let new = format!("whsec_{}", STANDARD.encode([7_u8; 32]));
    let replace = |previous: Value| {
        json!({"name": "Replaced", "metadata": {
            "url": scene.receiver.url("/signed"), "skip_url_test": true,
            "signing_secret": new, "previous_signing_secret": previous,
        }})
    };
    let path = format!("/connections/{connection}");
    scene.api.put(&path, &replace(json!(secret))).await.expect(200);
    let (_, both) = scene.deliver("/signed").await;
    for secret in [&secret, &new] {
        let verifier = Webhook::new(secret).expect("a secret of the right form");
        verifier
            .verify(&both.body, &both.headers)
            .expect("either secret fits");
    }
    scene.api.put(&path, &replace(Value::Null)).await.expect(200);
    let (_, after) = scene.deliver("/signed").await;
    Webhook::new(&new)
        .expect("a secret")
        .verify(&after.body, &after.headers)
        .expect("the new one fits");
    verifier
        .verify(&after.body, &after.headers)
        .expect_err("the old one no longer does");
}

#[tokio::test]
async fn every_attempt_is_signed_afresh_with_the_same_id() {
    let scene = Scene::new().await;
    scene.receiver.answer("/again", [Reply::status(503)]);
    let (_, metadata) = scene.connect("/again", json!({})).await;
    let verifier = Webhook::new(metadata["signing_secret"].as_str().expect("shown once")).expect("a secret");
    scene.deliver("/again").await;
    let requests = scene.receiver.wait_for("/again", 2).await;
    assert_eq!(requests[0].delivery_id(), requests[1].delivery_id());
    for request in requests {
        verifier
            .verify(&request.body, &request.headers)
            .expect("each signature is right");
    }
}

#[tokio::test]
async fn plain_hmac_covers_the_exact_bytes_in_every_form() {
    let scene = Scene::new().await;
    let secret = "a secret of the customer's own";
    let cases = [
        (
            "/hex256",
            json!({"signing_scheme": "hmac_sha256"}),
            "x-meshes-signature",
            "",
        ),
        (
            "/base64",
            json!({"signing_scheme": "hmac_sha256", "signing_encoding": "base64", "signing_header": "X-Hub-Signature",
                   "signing_prefix": "sha256="}),
            "x-hub-signature",
            "sha256=",
        ),
        (
            "/hex512",
            json!({"signing_scheme": "hmac_sha512", "signing_prefix": "v1:"}),
            "x-meshes-signature",
            "v1:",
        ),
    ];
    for (path, mut metadata, header, prefix) in cases {
        metadata["signing_secret"] = json!(secret);
        scene.connect(path, metadata).await;
        let (_, sent) = scene.deliver(path).await;
        let expected = match path {
            "/hex256" => hex::encode(hmac_sha256(secret.as_bytes(), &sent.body)),
            "/base64" => STANDARD.encode(hmac_sha256(secret.as_bytes(), &sent.body)),
            _ => hex::encode(hmac_sha512(secret.as_bytes(), &sent.body)),
        };
        assert_eq!(
            sent.header(header),
            Some(format!("{prefix}{expected}").as_str()),
            "{path}"
        );
        assert!(sent.header("webhook-signature").is_none(), "{path}");
    }
    scene
        .connect("/unsigned", json!({"signing_scheme": "none"}))
        .await;
    let (_, sent) = scene.deliver("/unsigned").await;
    assert!(
        sent.headers
            .keys()
            .all(|name| !name.as_str().contains("signature")),
        "{:?}",
        sent.headers
    );
}

#[tokio::test]
async fn raw_mode_sends_the_payload_alone_and_the_rest_in_headers() {
    let scene = Scene::new().await;
    let (_, metadata) = scene.connect("/raw", json!({"payload_mode": "raw"})).await;
    let (event, sent) = scene.deliver("/raw").await;
    assert_eq!(sent.text(), PAYLOAD);
    let verifier = Webhook::new(metadata["signing_secret"].as_str().expect("shown once")).expect("a secret");
    verifier
        .verify(&sent.body, &sent.headers)
        .expect("raw bytes are signed too");
    let expected = [
        ("x-meshes-event-id", event.as_str()),
        ("x-meshes-event", "raw"),
        ("x-meshes-resource", "course"),
        ("x-meshes-resource-id", "c:1"),
    ];
    for (name, value) in expected {
        assert_eq!(sent.header(name), Some(value), "{name}");
    }
    let time = |name: &str| sent.header(name).and_then(|text| text.parse::<i64>().ok());
    let (created, sent_at) = (time("x-meshes-time-created"), time("x-meshes-time-sent"));
    assert!(created.is_some() && created <= sent_at, "{created:?} {sent_at:?}");
}

#[tokio::test]
async fn the_four_auth_schemes_three_methods_and_static_headers_arrive() {
    let scene = Scene::new().await;
    let cases = [
        ("/none", json!({"auth_scheme": "none"}), None),
        (
            "/basic",
            json!({"auth_scheme": "basic", "username": "nina", "password": "pass:word"}),
            Some((
                "authorization",
                format!("Basic {}", STANDARD.encode("nina:pass:word")),
            )),
        ),
        (
            "/bearer",
            json!({"auth_scheme": "bearer", "bearer_token": "token-1"}),
            Some(("authorization", "Bearer token-1".to_owned())),
        ),
        (
            "/header",
            json!({"auth_scheme": "Custom Auth Header", "auth_header_name": "X-Api-Key", "auth_header_value": "key-4711"}),
            Some(("x-api-key", "key-4711".to_owned())),
        ),
    ];
    for (path, metadata, expected) in cases {
        scene.connect(path, metadata).await;
        let (_, sent) = scene.deliver(path).await;
        match &expected {
            Some((name, value)) => assert_eq!(sent.header(name), Some(value.as_str()), "{path}"),
            None => assert!(
                sent.header("authorization").is_none(),
                "{path}: {:?}",
                sent.headers
            ),
        }
        assert!(
            sent.header("webhook-signature").is_some(),
            "{path}: signing is independent of authentication"
        );
    }
    for method in ["POST", "PUT", "PATCH"] {
        let path = format!("/{}", method.to_lowercase());
        scene.connect(&path, json!({"http_method": method})).await;
        assert_eq!(scene.deliver(&path).await.1.method, method);
    }
    let five = json!({"X-One": "1", "X-Two": "zwei", "X-Three": "3 3", "X-Four": "4", "X-Five": "5"});
    scene.connect("/static", json!({"custom_headers": five})).await;
    let (_, sent) = scene.deliver("/static").await;
    for (name, value) in five.as_object().expect("an object") {
        assert_eq!(sent.header(name), value.as_str(), "{name}");
    }
    assert_eq!(sent.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_fails_unless_it_is_taken_for_an_answer() {
    let scene = Scene::new().await;
    let redirect = Reply::status(302).with("location", &scene.receiver.url("/elsewhere"));
    scene.receiver.always("/moved", redirect.clone());
    scene.receiver.always("/fine", redirect);
    scene.connect("/moved", json!({})).await;
    scene
        .connect("/fine", json!({"accept_redirect_status": true}))
        .await;
    let (moved, _) = scene.deliver("/moved").await;
    let (fine, _) = scene.deliver("/fine").await;
    scene.api.wait_for_event(&moved, "failed").await;
    scene.api.wait_for_event(&fine, "completed").await;
    assert!(scene.receiver.requests_at("/elsewhere").is_empty());
}
