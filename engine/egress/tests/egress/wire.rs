//! Another wire than the network: everything before it is as ever.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use heddle_core::exchange::{Header, Reply, Request};
use heddle_egress::{EgressConfig, SendError, SendErrorKind, Wire};
use serde_json::json;

use crate::{SOON, context, egress, grant, post};

/// Answers with what it was sent, or never.
#[derive(Default)]
struct Echo {
    seen: Mutex<Vec<Request>>,
}

impl Wire for Echo {
    fn carry(&self, request: Request) -> Pin<Box<dyn Future<Output = Result<Reply, SendError>> + Send + '_>> {
        self.seen.lock().unwrap().push(request.clone());
        Box::pin(async move {
            if request.url.ends_with("/hang") {
                std::future::pending::<()>().await;
            }
            let body = format!("{request:?}").into_bytes();
            let headers = Vec::new();
            Ok(Reply {
                status: 200,
                headers,
                body,
            })
        })
    }
}

#[tokio::test]
async fn a_wire_carries_what_would_leave_and_nothing_else() {
    let echo = Arc::new(Echo::default());
    let config = EgressConfig {
        total_timeout: SOON,
        ..EgressConfig::default()
    };
    let egress = egress(config).over(Arc::clone(&echo) as Arc<dyn Wire>);
    let bearer = json!([{"name": "token", "field": "key", "apply": "bearer"}]);
    let grant = grant(json!(["api.acme.test"]), bearer, &[("key", "a-long-secret")]);
    let send = async |url: &str| egress.send(&grant, &post(url, b"{}"), &context()).await;

    let reply = send("https://api.acme.test/x").await.unwrap();
    let credential = Header {
        name: "authorization".into(),
        value: "Bearer a-long-secret".into(),
    };
    let seen = echo.seen.lock().unwrap().pop().unwrap();
    assert_eq!((seen.method.as_str(), seen.body.as_slice()), ("POST", &b"{}"[..]));
    assert!(seen.headers.contains(&credential), "{seen:?}");
    let body = String::from_utf8(reply.body).unwrap();
    assert!(!body.contains("a-long-secret"), "{body}");

    for refused in ["https://elsewhere.test/x", "http://api.acme.test/x"] {
        assert_eq!(send(refused).await.unwrap_err().kind, SendErrorKind::Refused);
    }
    assert!(echo.seen.lock().unwrap().is_empty());

    let late = send("https://api.acme.test/hang").await.unwrap_err();
    assert_eq!(late.kind, SendErrorKind::Timeout);
}
