//! Secrets go out where the manifest says, and do not come back.

use std::io::Write;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use heddle_core::time::Timestamp;
use heddle_egress::{SendContext, SendErrorKind};
use http::{HeaderMap, HeaderName};
use serde_json::{Value, json};

use crate::receiver::{Answer, Receiver, Seen, answer};
use crate::{context, egress, get, grant, local, post};

const TOKEN: &str = "sk_live/4eC39H\"q&=Ly?j";

/// Sends back all it was sent, in its headers, as text, as JSON and as base64.
fn echo(seen: &Seen) -> Vec<u8> {
    let token = seen
        .header("authorization")
        .or(seen.header("x-key"))
        .unwrap_or_default()
        .to_owned();
    let path = seen.line().split(' ').nth(1).unwrap().to_owned();
    let secret = token.split(' ').next_back().unwrap();
    let body = json!({
        "head": seen.head, "body": String::from_utf8_lossy(&seen.body), "path": path,
        "base64": STANDARD.encode(secret), "message": format!("invalid token {secret}!"),
    });
    let mut body = body.to_string();
    body.push_str(&seen.head);
    let location = format!("https://elsewhere.test{path}");
    answer(
        "401 Unauthorized",
        &[("x-echo", &token), ("location", &location)],
        body.as_bytes(),
    )
}

fn credential(mut apply: Value) -> Value {
    apply["name"] = json!("token");
    apply["field"] = json!("key");
    json!([apply])
}

/// What was sent and all that came back, as one text.
async fn sent_and_returned(receiver: &Receiver, apply: Value, url: &str, secret: &str) -> (String, String) {
    let grant = grant(
        json!([receiver.address.to_string()]),
        credential(apply),
        &[("key", secret)],
    );
    let reply = egress(local())
        .send(&grant, &post(url, b"{}"), &context())
        .await
        .unwrap();
    assert_eq!(reply.status, 401);
    let headers: String = reply
        .headers
        .iter()
        .map(|header| format!("{}: {}\n", header.name, header.value))
        .collect();
    (
        receiver.seen().last().unwrap().head.clone(),
        headers + &String::from_utf8(reply.body).unwrap(),
    )
}

/// Every trace that the secret might leave.
fn traces(secret: &str) -> Vec<String> {
    vec![
        secret.into(),
        serde_json::to_string(secret).unwrap().trim_matches('"').into(),
        STANDARD.encode(secret).trim_end_matches('=').into(),
        "4eC39H".into(),
        "Ly%3Fj".into(),
    ]
}

#[tokio::test]
async fn an_echo_does_not_bring_the_secret_back() {
    let receiver = Receiver::start(|seen| Answer::Keep(echo(seen))).await;
    let ways = [
        (
            json!({"apply": "bearer"}),
            "/",
            format!("authorization: Bearer {TOKEN}"),
        ),
        (
            json!({"apply": "header", "header": "X-Key", "prefix": "Key "}),
            "/",
            format!("x-key: Key {TOKEN}"),
        ),
        (
            json!({"apply": "basic", "username": "nina"}),
            "/",
            format!("Basic {}", STANDARD.encode(format!("nina:{TOKEN}"))),
        ),
        (
            json!({"apply": "basic_user"}),
            "/",
            format!("Basic {}", STANDARD.encode(format!("{TOKEN}:"))),
        ),
        (
            json!({"apply": "query", "parameter": "key"}),
            "/?a=b",
            "/?a=b&key=sk_live%2F4eC39H%22q%26%3DLy%3Fj".into(),
        ),
        (
            json!({"apply": "path"}),
            "/bot{token}/x",
            "/botsk_live%2F4eC39H%22q&=Ly%3Fj/x".into(),
        ),
    ];
    for (apply, path, expected) in ways {
        let (sent, returned) = sent_and_returned(&receiver, apply.clone(), &receiver.url(path), TOKEN).await;
        assert!(sent.contains(&expected), "{apply}: {sent}");
        assert!(returned.contains("[redacted]"), "{apply}: {returned}");
        let pair = STANDARD.encode(format!("nina:{TOKEN}"));
        for trace in traces(TOKEN)
            .into_iter()
            .chain([pair.trim_end_matches('=').to_owned()])
        {
            assert!(!returned.contains(&trace), "{apply} left {trace}: {returned}");
        }
    }
}

#[tokio::test]
async fn an_echo_of_a_form_does_not_bring_the_secret_back() {
    let receiver = Receiver::start(|seen| Answer::Keep(echo(seen))).await;
    let grant = grant(
        json!([receiver.address.to_string()]),
        credential(json!({"apply": "form", "parameter": "key"})),
        &[("key", TOKEN)],
    );
    let mut request = post(receiver.url("/event"), b"event=x");
    request.headers[0].value = "application/x-www-form-urlencoded".into();
    let reply = egress(local()).send(&grant, &request, &context()).await.unwrap();
    let seen = receiver.seen().pop().unwrap();
    let expected = "event=x&key=sk_live%2F4eC39H%22q%26%3DLy%3Fj";
    assert_eq!(String::from_utf8_lossy(&seen.body), expected);
    assert_eq!(
        seen.header("content-length"),
        Some(expected.len().to_string().as_str())
    );
    let returned = String::from_utf8(reply.body).unwrap();
    assert!(returned.contains("event=x&key=[redacted]"), "{returned}");
    for trace in traces(TOKEN) {
        assert!(!returned.contains(&trace), "{trace} in {returned}");
    }
}

#[tokio::test]
async fn a_compressed_echo_does_not_bring_the_secret_back() {
    let receiver = Receiver::start(|seen| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(seen.head.as_bytes()).unwrap();
        Answer::Keep(answer(
            "401 Unauthorized",
            &[("content-encoding", "gzip")],
            &gzip.finish().unwrap(),
        ))
    })
    .await;
    let (_, returned) =
        sent_and_returned(&receiver, json!({"apply": "bearer"}), &receiver.url("/"), TOKEN).await;
    assert!(
        returned.contains("authorization: Bearer [redacted]") && !returned.contains("4eC39H"),
        "{returned}"
    );
}

#[tokio::test]
async fn a_secret_url_does_not_come_back_in_whole_or_in_part() {
    let receiver = Receiver::start(|seen| Answer::Keep(echo(seen))).await;
    let secret = receiver.url("/services/T024BE7LD/B7X9/4eC39H?key=Ly%3Fj");
    let (sent, returned) =
        sent_and_returned(&receiver, json!({"apply": "url"}), "credential:token", &secret).await;
    assert!(
        sent.starts_with("POST /services/T024BE7LD/B7X9/4eC39H?key=Ly%3Fj HTTP/1.1"),
        "{sent}"
    );
    for trace in ["T024BE7LD", "4eC39H", "Ly%3Fj", "Ly?j"] {
        assert!(!returned.contains(trace), "{trace} in {returned}");
    }
}

#[tokio::test]
async fn the_token_in_a_secret_url_does_not_come_back_by_itself() {
    let token = "3d89bb7572e0fb30d8128367b3b1b44fecd1726de135cbe28a41f8b2f777c372ba2939e72279";
    let body =
        format!(r#"{{"id":"41771983423143937","token":"{token}","url":"/api/v10/webhooks/1/{token}"}}"#);
    let receiver =
        Receiver::start(move |_| Answer::Keep(answer("401 Unauthorized", &[], body.as_bytes()))).await;
    let secret = receiver.url(&format!("/api/webhooks/41771983423143937/{token}"));
    let (_, returned) =
        sent_and_returned(&receiver, json!({"apply": "url"}), "credential:token", &secret).await;
    assert!(!returned.contains("3d89bb7572e0"), "{returned}");
    assert!(returned.contains("41771983423143937"), "{returned}");
}

#[tokio::test]
async fn static_headers_and_signing_secrets_do_not_come_back() {
    let receiver = Receiver::start(|seen| {
        let head = seen.head.clone();
        Answer::Keep(answer(
            "401 Unauthorized",
            &[],
            format!("{head} whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
                .as_bytes(),
        ))
    })
    .await;
    let apply = json!({"apply": "headers"});
    let (sent, returned) = sent_and_returned(
        &receiver,
        apply,
        &receiver.url("/"),
        r#"{"X-Team":"4eC39H-team","X-N":"1"}"#,
    )
    .await;
    assert!(
        sent.contains("x-team: 4eC39H-team\r\n") && sent.contains("x-n: 1\r\n"),
        "{sent}"
    );
    assert!(
        returned.contains("x-team: [redacted]") && returned.contains("x-n: 1"),
        "{returned}"
    );

    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let (_, returned) = sent_and_returned(
        &receiver,
        json!({"apply": "standard_webhooks"}),
        &receiver.url("/"),
        secret,
    )
    .await;
    assert!(
        returned.contains("[redacted] [redacted]") && !returned.contains("MfKQ9r8G"),
        "{returned}"
    );
    assert!(
        returned.contains("webhook-signature: v1,"),
        "a signature is no secret"
    );
}

#[tokio::test]
async fn an_error_does_not_tell_the_secret() {
    let gone = Receiver::start(|_| Answer::Close(b"HTTP/1.1 4eC39H4eC39H\r\n\r\n".to_vec())).await;
    let secret = gone.url("/4eC39H4eC39H");
    let grant = grant(
        json!([gone.address.to_string()]),
        credential(json!({"apply": "url"})),
        &[("key", &secret)],
    );
    let error = egress(local())
        .send(&grant, &get("credential:token"), &context())
        .await
        .unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Network);
    assert!(!format!("{error} {error:?}").contains("4eC39H"), "{error:?}");
}

#[tokio::test]
async fn a_secret_url_at_an_undeclared_host_is_refused() {
    let receiver = Receiver::start(|seen| Answer::Keep(echo(seen))).await;
    let secret = receiver.url("/4eC39H4eC39H");
    let grant = grant(
        json!(["hooks.acme.com"]),
        credential(json!({"apply": "url"})),
        &[("key", &secret)],
    );
    let error = egress(local())
        .send(&grant, &get("credential:token"), &context())
        .await
        .unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Refused);
    assert!(
        error.message.contains("127.0.0.1") && !error.message.contains("4eC39H"),
        "{error}"
    );
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn standard_webhooks_receivers_accept_the_signature_of_either_secret() {
    let receiver = Receiver::start(|_| Answer::Keep(answer("200 OK", &[], b""))).await;
    let (current, previous) = (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_c29tZSBvdGhlciBrZXkgb2YgdGhpcnR5IGJ5dGVz",
    );
    let credentials =
        json!([{"name": "sig", "field": "key", "apply": "standard_webhooks", "previous_field": "old"}]);
    // The published verifier compares with the machine's clock.
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_millis();
    let context = SendContext {
        delivery_id: "0195b6a2-7c4e".into(),
        now: Timestamp(i64::try_from(now).unwrap()),
        answers: heddle_egress::Held::default(),
    };
    let hosts = json!([receiver.address.to_string()]);
    let body = "{\"event\": \"lesson.completed\",\n\"ü\": 1}".as_bytes();
    for (secrets, count) in [
        (&[("key", current), ("old", previous)][..], 2),
        (&[("key", current), ("old", "")], 1),
    ] {
        let grant = grant(hosts.clone(), credentials.clone(), secrets);
        egress(local())
            .send(&grant, &post(receiver.url("/"), body), &context)
            .await
            .unwrap();
        let seen = receiver.seen().pop().unwrap();
        let headers: HeaderMap = ["webhook-id", "webhook-timestamp", "webhook-signature"]
            .map(|name| {
                (
                    HeaderName::from_static(name),
                    seen.header(name).unwrap().parse().unwrap(),
                )
            })
            .into_iter()
            .collect();
        assert_eq!(headers["webhook-id"], "0195b6a2-7c4e");
        assert_eq!(
            headers["webhook-signature"].to_str().unwrap().split(' ').count(),
            count
        );
        let verify = |secret: &str, body: &[u8]| {
            standardwebhooks::Webhook::new(secret)
                .unwrap()
                .verify(body, &headers)
                .is_ok()
        };
        assert!(verify(current, &seen.body));
        assert_eq!(verify(previous, &seen.body), count == 2);
        assert!(!verify(current, b"{}"));
        assert!(!verify("whsec_YSB0aGlyZCBrZXkgdGhhdCBub2JvZHkgaGFz", &seen.body));
    }
}
