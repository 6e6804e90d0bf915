//! The operator's detours.

use heddle_egress::{EgressConfig, Route, SendErrorKind};
use serde_json::json;

use crate::receiver::{Receiver, ok};
use crate::{context, egress, get, grant, post};

/// An operator who opened nothing but a route.
fn routed(receiver: &Receiver) -> EgressConfig {
    let route = Route::parse(&format!("api.acme.com=http://{}", receiver.address)).unwrap();
    EgressConfig {
        routes: vec![route],
        ..EgressConfig::default()
    }
}

#[tokio::test]
async fn a_routed_request_goes_to_the_target_with_its_credentials_and_its_host_written_down() {
    let receiver = Receiver::always(ok()).await;
    let credentials = json!([{"name": "token", "field": "key", "apply": "bearer"}]);
    let grant = grant(json!(["api.acme.com"]), credentials, &[("key", "s3cret")]);
    let egress = egress(routed(&receiver));
    egress
        .send(
            &grant,
            &post("https://api.acme.com/crm/v3?a=b", b"{}"),
            &context(),
        )
        .await
        .unwrap();
    let seen = &receiver.seen()[0];
    assert_eq!(seen.line(), "POST /crm/v3?a=b HTTP/1.1");
    assert_eq!(seen.header("x-forwarded-host"), Some("api.acme.com"));
    assert_eq!(seen.header("host"), Some(&*receiver.address.to_string()));
    assert_eq!(seen.header("authorization"), Some("Bearer s3cret"));
    assert_eq!(egress.check_url("https://api.acme.com/"), Ok(()));
}

#[tokio::test]
async fn a_route_opens_nothing_else() {
    let receiver = Receiver::always(ok()).await;
    let egress = egress(routed(&receiver));
    let target = receiver.address.to_string();
    let direct = grant(json!([target, "other.acme.com"]), json!([]), &[]);
    for url in [
        receiver.url("/"),
        format!("https://{target}/"),
        "https://api.acme.com/".into(),
        "http://other.acme.com/".into(),
    ] {
        let error = egress.send(&direct, &get(&*url), &context()).await.unwrap_err();
        assert_eq!(error.kind, SendErrorKind::Refused, "{url}: {error}");
    }
    assert_eq!(receiver.connections(), 0);
}
