//! A secret is exchanged for a token, which is shared, renewed, and seen by nobody.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use heddle_core::exchange::Reply;
use heddle_core::manifest::Manifest;
use heddle_core::secret::Secret;
use heddle_core::time::Timestamp;
use heddle_egress::{Egress, EgressConfig, Grant, Route, SendContext, SendError, SendErrorKind, Turns};
use serde_json::{Value, json};

use crate::receiver::{Answer, Receiver, Seen, answer};
use crate::{context, egress, get, local};

const SECRET: &str = "cs_9f8e7d6c5b4a";

/// A connection of a provider whose token URL is `token_url`.
fn grant_for(token_url: &str, secret: &str) -> Grant {
    let manifest = json!({
        "name": "acme", "title": "Acme", "hosts": ["api.acme.test", "files.acme.test"],
        "credentials": [{
            "name": "token", "field": "client_secret", "apply": "client_token", "token_url": token_url,
            "client_id": "{client_id}", "form": {"grant_type": "account_credentials", "account_id": "{account_id}"},
            "hosts": ["api.acme.test"]
        }],
        "authentication": {"type": "api_key", "fields": [
            {"key": "client_id", "label": "Client", "type": "text"},
            {"key": "account_id", "label": "Account", "type": "text"},
            {"key": "client_secret", "label": "Secret", "type": "password"}
        ]},
        "actions": {"send": {"key": "send", "label": "Send"}}
    });
    let manifest = Manifest::parse(&manifest.to_string()).unwrap();
    let settings = json!({"client_id": "client-1", "account_id": "a&c =1"});
    let secrets = BTreeMap::from([("client_secret".to_owned(), Secret::new(secret))]);
    Grant::new(&manifest, settings.as_object().unwrap(), &secrets).unwrap()
}

fn acme() -> Grant {
    grant_for("https://login.acme.test/oauth/token?a=b", SECRET)
}

/// Both hosts of the provider lead to one receiver.
fn provider(receiver: &Receiver) -> Egress {
    let route = |host: &str| Route::parse(&format!("{host}=http://{}", receiver.address)).unwrap();
    egress(EgressConfig {
        routes: ["login.acme.test", "api.acme.test", "files.acme.test"]
            .map(route)
            .to_vec(),
        ..EgressConfig::default()
    })
}

fn json_answer(status: &str, body: Value) -> Answer {
    Answer::Keep(answer(status, &[], body.to_string().as_bytes()))
}

fn asks_for_token(seen: &Seen) -> bool {
    seen.line().contains("/oauth/token")
}

/// Gives `token-1`, `token-2` and so on, and accepts at the API the one that it gave last.
async fn rotating(reissued: Arc<AtomicUsize>) -> Receiver {
    let given = AtomicUsize::new(0);
    Receiver::start(move |seen| {
        if asks_for_token(seen) {
            let n = given.fetch_add(1, Ordering::SeqCst) + 1;
            reissued.store(n, Ordering::SeqCst);
            return json_answer(
                "200 OK",
                json!({"access_token": format!("token-{n}"), "token_type": "bearer", "expires_in": 3600}),
            );
        }
        let valid = format!("Bearer token-{}", reissued.load(Ordering::SeqCst));
        match seen.header("authorization") == Some(&*valid) {
            true => json_answer("200 OK", json!({"echo": seen.head})),
            false => json_answer("401 Unauthorized", json!({"echo": seen.head})),
        }
    })
    .await
}

fn counts(receiver: &Receiver) -> (usize, usize) {
    let seen = receiver.seen();
    let tokens = seen.iter().filter(|seen| asks_for_token(seen)).count();
    (tokens, seen.len() - tokens)
}

const API: &str = "https://api.acme.test/me";

async fn call(egress: &Egress, grant: &Grant) -> Result<Reply, SendError> {
    egress.send(grant, &get(API), &context()).await
}

#[tokio::test]
async fn the_secret_goes_to_the_token_url_and_the_token_to_the_api() {
    let receiver = rotating(Arc::default()).await;
    let egress = provider(&receiver);
    let reply = call(&egress, &acme()).await.unwrap();
    assert_eq!(reply.status, 200);
    let seen = receiver.seen();
    assert_eq!(seen[0].line(), "POST /oauth/token?a=b HTTP/1.1");
    assert_eq!(
        seen[0].header("authorization"),
        Some(&*format!(
            "Basic {}",
            STANDARD.encode(format!("client-1:{SECRET}"))
        ))
    );
    assert_eq!(
        seen[0].header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(seen[0].header("x-forwarded-host"), Some("login.acme.test"));
    assert_eq!(
        String::from_utf8_lossy(&seen[0].body),
        "account_id=a%26c%20%3D1&grant_type=account_credentials"
    );
    assert_eq!(seen[1].header("authorization"), Some("Bearer token-1"));
    assert!(!seen[1].head.contains(SECRET));
}

#[tokio::test]
async fn a_hundred_requests_at_once_fetch_one_token() {
    let receiver = rotating(Arc::default()).await;
    let (egress, grant) = (provider(&receiver), acme());
    let sends = (0..100).map(|_| call(&egress, &grant));
    // Another connection with the same credentials shares it.
    let twin = acme();
    let statuses: Vec<u16> = join_all(sends.chain([call(&egress, &twin)]))
        .await
        .into_iter()
        .map(|sent| sent.unwrap().status)
        .collect();
    assert_eq!(statuses, [200; 101]);
    assert_eq!(counts(&receiver), (1, 101));
    // Another secret has a token of its own.
    let other = grant_for("https://login.acme.test/oauth/token", "another secret");
    egress.send(&other, &get(API), &context()).await.unwrap();
    assert_eq!(counts(&receiver).0, 2);
}

#[tokio::test]
async fn a_token_is_renewed_a_minute_before_it_expires() {
    let receiver = rotating(Arc::default()).await;
    let (egress, grant) = (provider(&receiver), acme());
    let at = |seconds: u64| SendContext {
        now: Timestamp(context().now.0).plus(Duration::from_secs(seconds)),
        ..context()
    };
    for (seconds, tokens) in [(0, 1), (3539, 1), (3540, 2), (3600, 2)] {
        let reply = egress.send(&grant, &get(API), &at(seconds)).await.unwrap();
        assert_eq!(
            (reply.status, counts(&receiver).0),
            (200, tokens),
            "after {seconds} s"
        );
    }
}

#[tokio::test]
async fn a_refused_token_is_fetched_once_more_and_each_request_repeated_once() {
    let reissued = Arc::new(AtomicUsize::new(0));
    let receiver = rotating(Arc::clone(&reissued)).await;
    let (egress, grant) = (provider(&receiver), acme());
    call(&egress, &grant).await.unwrap();
    // The provider revokes it.
    reissued.store(0, Ordering::SeqCst);
    let sends = (0..20).map(|_| call(&egress, &grant));
    for sent in join_all(sends).await {
        assert_eq!(sent.unwrap().status, 200);
    }
    let (tokens, requests) = counts(&receiver);
    assert_eq!(tokens, 2);
    assert!((22..=41).contains(&requests), "{requests}");
}

#[tokio::test]
async fn a_401_that_a_new_token_does_not_mend_is_the_reply() {
    let receiver = Receiver::start(|seen| match asks_for_token(seen) {
        true => json_answer("200 OK", json!({"access_token": "token", "expires_in": 3600})),
        false => json_answer("401 Unauthorized", json!({"message": "no such scope"})),
    })
    .await;
    let reply = provider(&receiver)
        .send(&acme(), &get(API), &context())
        .await
        .unwrap();
    assert_eq!((reply.status, counts(&receiver)), (401, (2, 2)));
}

#[tokio::test]
async fn a_refusal_at_the_token_url_is_a_refusal_of_the_credential_and_sends_nothing_else() {
    let receiver = Receiver::start(|seen| {
        let authorization = seen.header("authorization").unwrap_or_default();
        json_answer(
            "400 Bad Request",
            json!({"error": "invalid_client", "error_description": format!("no client for {authorization} {SECRET}")}),
        )
    })
    .await;
    let egress = provider(&receiver);
    let error = call(&egress, &acme()).await.unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Authentication);
    for part in ["login.acme.test", "400", "invalid_client", "[redacted]"] {
        assert!(error.message.contains(part), "{part}: {error}");
    }
    let pair = STANDARD.encode(format!("client-1:{SECRET}"));
    for trace in [SECRET, pair.trim_end_matches('=')] {
        assert!(!error.message.contains(trace), "{error}");
    }
    assert_eq!(counts(&receiver), (1, 0));
    // Nothing is remembered of a refusal: the next one asks again.
    call(&egress, &acme()).await.unwrap_err();
    assert_eq!(counts(&receiver), (2, 0));
}

#[tokio::test]
async fn a_broken_token_url_is_worth_another_try_and_those_who_waited_share_the_failure() {
    let answers = Mutex::new(vec!["429 Too Many Requests", "503 Service Unavailable"]);
    let receiver = Receiver::start(move |_| {
        let status = answers.lock().unwrap().pop().unwrap_or("200 OK");
        Answer::Keep(answer(status, &[("retry-after", "7")], b"{}"))
    })
    .await;
    let (egress, grant) = (provider(&receiver), acme());
    let sends = (0..50).map(|_| call(&egress, &grant));
    for sent in join_all(sends).await {
        assert_eq!(sent.unwrap_err().kind, SendErrorKind::Network);
    }
    assert_eq!(counts(&receiver), (1, 0));
    let retry_after = Some(Duration::from_secs(7));
    let error = call(&egress, &grant).await.unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Throttled { retry_after });
    // A 200 without a token.
    let error = call(&egress, &grant).await.unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Network);
    assert!(error.message.contains("access_token"), "{error}");
}

#[tokio::test]
async fn a_caller_that_gives_up_while_fetching_leaves_the_fetch_to_the_next() {
    let first = AtomicUsize::new(0);
    let receiver = Receiver::start(move |seen| {
        if !asks_for_token(seen) {
            return json_answer("200 OK", json!({}));
        }
        match first.fetch_add(1, Ordering::SeqCst) {
            0 => Answer::Hang(Vec::new()),
            _ => json_answer("200 OK", json!({"access_token": "token-2"})),
        }
    })
    .await;
    let (egress, grant) = (provider(&receiver), acme());
    let (request, context) = (get(API), context());
    let gives_up = async {
        let send = egress.send(&grant, &request, &context);
        tokio::time::timeout(crate::SOON, send).await.unwrap_err();
    };
    let (_, sent) = tokio::join!(gives_up, async { egress.send(&grant, &request, &context).await });
    assert_eq!(sent.unwrap().status, 200);
    assert_eq!(counts(&receiver), (2, 1));
}

#[tokio::test]
async fn neither_the_secret_nor_the_token_comes_back() {
    let receiver = Receiver::start(|seen| {
        if asks_for_token(seen) {
            return json_answer(
                "200 OK",
                json!({"access_token": "eyJ/abc+d\"ef", "expires_in": 60}),
            );
        }
        let authorization = seen.header("authorization").unwrap_or_default();
        let token = authorization.trim_start_matches("Bearer ");
        let body = json!({"head": seen.head, "base64": STANDARD.encode(token), "secret": SECRET});
        Answer::Keep(answer(
            "403 Forbidden",
            &[("x-echo", authorization)],
            body.to_string().as_bytes(),
        ))
    })
    .await;
    let reply = provider(&receiver)
        .send(&acme(), &get(API), &context())
        .await
        .unwrap();
    let text = format!("{:?}{}", reply.headers, String::from_utf8(reply.body).unwrap());
    assert!(text.contains("[redacted]"), "{text}");
    for trace in ["eyJ/", "abc+d", "ZXlKL2FiYytkImVm", SECRET] {
        assert!(!text.contains(trace), "{trace}: {text}");
    }
}

#[tokio::test]
async fn a_token_is_for_the_credentials_hosts_only() {
    let receiver = rotating(Arc::default()).await;
    let egress = provider(&receiver);
    let reply = egress
        .send(&acme(), &get("https://files.acme.test/x"), &context())
        .await
        .unwrap();
    assert_eq!((reply.status, counts(&receiver)), (401, (0, 1)));
    // The token URL's host is not one that the plugin may call.
    let error = egress
        .send(&acme(), &get("https://login.acme.test/oauth/token"), &context())
        .await
        .unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Refused);
    assert_eq!(counts(&receiver), (0, 1));
}

#[tokio::test]
async fn the_token_url_passes_the_same_guard() {
    let receiver = rotating(Arc::default()).await;
    let api = Route::parse(&format!("api.acme.test=http://{}", receiver.address)).unwrap();
    let config = EgressConfig {
        routes: vec![api],
        ..EgressConfig::default()
    };
    let inside = grant_for(&format!("https://{}/oauth/token", receiver.address), SECRET);
    let error = egress(config.clone())
        .send(&inside, &get(API), &context())
        .await
        .unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Refused);
    let metadata = grant_for("https://169.254.169.254/oauth/token", SECRET);
    let open = EgressConfig {
        routes: config.routes,
        ..local()
    };
    let error = egress(open)
        .send(&metadata, &get(API), &context())
        .await
        .unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Refused);
    assert_eq!(receiver.connections(), 0);
}

/// Lets a few through.
struct Few(AtomicUsize);

impl Turns for Few {
    type Turn = ();

    async fn take(&self) -> Result<(), Duration> {
        let left = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        left.map(drop).map_err(|_| Duration::from_secs(9))
    }
}

#[tokio::test]
async fn each_request_to_the_api_takes_a_turn_the_repeated_one_too() {
    let reissued = Arc::new(AtomicUsize::new(0));
    let receiver = rotating(Arc::clone(&reissued)).await;
    let (egress, grant) = (provider(&receiver), acme());
    call(&egress, &grant).await.unwrap();
    reissued.store(0, Ordering::SeqCst);
    let turns = Few(AtomicUsize::new(1));
    let error = egress
        .send_in_turn(&grant, &get(API), &context(), &turns)
        .await
        .unwrap_err();
    let wait = Duration::from_secs(9);
    assert_eq!(error.kind, SendErrorKind::Paced { wait });
    assert_eq!(counts(&receiver), (2, 2));
}
