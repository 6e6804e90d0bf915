//! Machine tokens: which are taken and which are not.

use heddle_tests::api::Api;
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::token;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn only_a_token_that_is_right_in_every_part_is_taken() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let stranger = engine.home().create_keys_of_new_organisation().await;
    let keys = api.keys();
    let now = token::now();
    let (header, claims) = token::parts(keys);
    let forged = |header_part: &str, value: Value| {
        let mut header = header.clone();
        header[header_part] = value;
        token::sign(&header, &claims, &keys.secret_key)
    };
    let claimed = |changes: Value| {
        let mut claims = claims.clone();
        claims
            .as_object_mut()
            .expect("an object")
            .extend(changes.as_object().expect("an object").clone());
        token::sign(&header, &claims, &keys.secret_key)
    };
    let without = |claim: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().expect("an object").remove(claim);
        token::sign(&header, &claims, &keys.secret_key)
    };
    let good = token::machine(keys);
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let unsigned = format!(
        "{}.{}.",
        token::encode(&json!({"alg": "none", "kid": keys.access_key})),
        token::encode(&claims)
    );

    let refused = [
        ("no signature", unsigned),
        (
            "the algorithm none with a signature",
            forged("alg", json!("none")),
        ),
        ("another algorithm", forged("alg", json!("HS512"))),
        ("an asymmetric algorithm", forged("alg", json!("RS256"))),
        (
            "an unknown key",
            forged("kid", json!("mk_0123456789012345678901")),
        ),
        ("no key", forged("kid", Value::Null)),
        (
            "a key of another organisation",
            forged("kid", json!(stranger.access_key)),
        ),
        ("a key with SQL", forged("kid", json!("' OR 1=1 --"))),
        (
            "the secret of another key",
            token::sign(&header, &claims, &stranger.secret_key),
        ),
        ("an empty secret", token::sign(&header, &claims, "")),
        (
            "the access key as the secret",
            token::sign(&header, &claims, &keys.access_key),
        ),
        ("another audience", claimed(json!({"aud": "other-api"}))),
        ("no audience", without("aud")),
        (
            "another issuer",
            claimed(json!({"iss": format!("urn:meshes:m2m:{}", stranger.access_key)})),
        ),
        (
            "an issuer of another kind",
            claimed(json!({"iss": keys.access_key})),
        ),
        ("no issuer", without("iss")),
        (
            "another organisation",
            claimed(json!({"org": stranger.organization_id})),
        ),
        ("no organisation", without("org")),
        (
            "a life of 61 seconds",
            claimed(json!({"iat": now, "exp": now + 61})),
        ),
        (
            "a life of an hour",
            claimed(json!({"iat": now, "exp": now + 3600})),
        ),
        ("no beginning", without("iat")),
        ("no end", without("exp")),
        (
            "an end long ago",
            claimed(json!({"iat": now - 120, "exp": now - 90})),
        ),
        (
            "a beginning far ahead",
            claimed(json!({"iat": now + 90, "exp": now + 120})),
        ),
        (
            "an end before the beginning",
            claimed(json!({"iat": now, "exp": now - 10})),
        ),
        (
            "times as text",
            claimed(json!({"iat": now.to_string(), "exp": (now + 30).to_string()})),
        ),
        ("a huge end", claimed(json!({"iat": i64::MIN, "exp": i64::MAX}))),
        ("no third part", signed.to_owned()),
        ("an empty signature", format!("{signed}.")),
        (
            "a shortened signature",
            format!("{signed}.{}", &signature[..signature.len() - 2]),
        ),
        ("other claims under the same signature", {
            let head = signed.split('.').next().expect("a header");
            let mut claims = claims.clone();
            claims["org"] = json!(stranger.organization_id);
            format!("{head}.{}.{signature}", token::encode(&claims))
        }),
        ("nothing", String::new()),
        ("no token at all", "x".repeat(20_000)),
    ];
    for (what, token) in refused {
        let answer = api
            .send(api.request(Method::GET, "/workspaces").bearer_auth(&token))
            .await;
        assert!([401, 403, 431].contains(&answer.status), "{what}: {answer:?}");
        assert!(!answer.text.contains(&keys.secret_key), "{what}: {answer:?}");
    }
    let basic = api
        .request(Method::GET, "/workspaces")
        .basic_auth(&keys.access_key, Some(&keys.secret_key));
    api.send(basic).await.expect_error(401);
    api.send(api.request(Method::GET, "/workspaces"))
        .await
        .expect_error(401);

    let taken = [
        ("as the clients sign it", good),
        ("Heddle's own names", {
            claimed(json!({"iss": format!("urn:heddle:m2m:{}", keys.access_key), "aud": "heddle-api"}))
        }),
        ("a full minute", claimed(json!({"iat": now, "exp": now + 60}))),
        (
            "a clock that is ten seconds ahead",
            claimed(json!({"iat": now + 10, "exp": now + 40})),
        ),
        (
            "a clock that is ten seconds behind",
            claimed(json!({"iat": now - 40, "exp": now - 10})),
        ),
    ];
    for (what, token) in taken {
        let answer = api
            .send(api.request(Method::GET, "/workspaces").bearer_auth(&token))
            .await;
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn every_route_but_the_health_checks_asks_who_is_there() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let id = uuid_of_nobody();
    let routes = [
        (Method::GET, "/workspaces".to_owned()),
        (Method::POST, "/workspaces".into()),
        (Method::GET, format!("/workspaces/{id}")),
        (Method::PUT, format!("/workspaces/{id}")),
        (Method::GET, format!("/workspaces/{id}/connections")),
        (Method::GET, format!("/workspaces/{id}/rules")),
        (Method::GET, format!("/workspaces/{id}/events")),
        (Method::GET, format!("/workspaces/{id}/usage")),
        (Method::GET, format!("/workspaces/{id}/limits")),
        (Method::PUT, format!("/workspaces/{id}/limits")),
        (Method::GET, "/usage".into()),
        (Method::GET, format!("/workspaces/{id}/event-types")),
        (Method::POST, format!("/workspaces/{id}/event-types")),
        (Method::PUT, format!("/workspaces/{id}/event-types/{id}")),
        (Method::DELETE, format!("/workspaces/{id}/event-types/{id}")),
        (Method::GET, format!("/workspaces/{id}/resources")),
        (Method::POST, format!("/workspaces/{id}/resources")),
        (Method::PUT, format!("/workspaces/{id}/resources/{id}")),
        (Method::DELETE, format!("/workspaces/{id}/resources/{id}")),
        (Method::GET, "/connections".into()),
        (Method::POST, "/connections".into()),
        (Method::GET, format!("/connections/{id}")),
        (Method::PUT, format!("/connections/{id}")),
        (Method::DELETE, format!("/connections/{id}")),
        (Method::GET, format!("/connections/{id}/actions")),
        (Method::GET, format!("/connections/{id}/fields")),
        (Method::GET, format!("/connections/{id}/mappings/default")),
        (Method::PUT, format!("/connections/{id}/mappings/default")),
        (Method::POST, format!("/connections/{id}/check")),
        (Method::GET, "/integrations".into()),
        (Method::GET, "/rules".into()),
        (Method::POST, "/rules".into()),
        (Method::GET, format!("/rules/{id}")),
        (Method::PUT, format!("/rules/{id}")),
        (Method::DELETE, format!("/rules/{id}")),
        (Method::GET, "/events".into()),
        (Method::POST, "/events".into()),
        (Method::POST, "/events/bulk".into()),
        (Method::GET, format!("/events/{id}")),
        (Method::GET, format!("/events/{id}/payload")),
        (Method::POST, format!("/events/{id}/cancel")),
        (Method::POST, format!("/events/{id}/rules/{id}/retry")),
        (Method::POST, format!("/events/{id}/rules/{id}/cancel")),
        (Method::GET, format!("/events/{id}/rules/{id}/attempts")),
        (Method::GET, format!("/events/{id}/rules/{id}/attempts/{id}")),
        (
            Method::GET,
            format!("/events/{id}/rules/{id}/attempts/{id}/response-details"),
        ),
        (Method::GET, "/replays".into()),
        (Method::POST, "/replays".into()),
        (Method::POST, "/replays/preview".into()),
        (Method::GET, format!("/replays/{id}")),
        (Method::POST, format!("/replays/{id}/pause")),
        (Method::POST, format!("/replays/{id}/resume")),
        (Method::POST, format!("/replays/{id}/cancel")),
    ];
    for (method, path) in routes {
        let answer = api.send(api.request(method.clone(), &path)).await;
        assert_eq!(answer.status, 401, "{method} {path}: {answer:?}");
        answer.expect_error(401);
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            api.send(api.request_root(Method::GET, path)).await.status,
            200,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_key_that_is_made_while_the_server_runs_is_taken_at_once() {
    let engine = Engine::start(Settings::default()).await;
    let first = Api::of(&engine).await;
    first.get("/workspaces").await.expect(200);
    let second = Api::of(&engine).await;
    second.get("/workspaces").await.expect(200);
    assert_eq!(
        first.keys().organization_id,
        second.keys().organization_id,
        "both are of the default organisation"
    );
    assert_ne!(first.keys().access_key, second.keys().access_key);
}

fn uuid_of_nobody() -> String {
    "01981f6e-7d3c-7000-8000-000000000000".into()
}
