//! Name servers that change their mind, and answers that mix the public and the private. The one
//! address that the operator opened, 127.0.0.1, stands for the public; 127.0.0.2 for the inside.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use heddle_egress::{EgressConfig, Resolve, SendErrorKind};
use serde_json::json;

use crate::receiver::{Answer, Receiver, ok};
use crate::{context, egress_with, get, grant, local};

/// Gives its answers in turn, the last one for ever.
struct Fickle {
    answers: Vec<&'static [&'static str]>,
    asked: AtomicUsize,
}

impl Fickle {
    fn new(answers: &[&'static [&'static str]]) -> Arc<Self> {
        Arc::new(Self {
            answers: answers.to_vec(),
            asked: AtomicUsize::new(0),
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Resolve for Fickle {
    fn resolve(&self, _: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let turn = self
            .asked
            .fetch_add(1, Ordering::SeqCst)
            .min(self.answers.len() - 1);
        let answer = self.answers[turn]
            .iter()
            .map(|address| address.parse().unwrap())
            .collect();
        async move { Ok(answer) }.boxed()
    }
}

fn only_one_is_public() -> EgressConfig {
    EgressConfig {
        allow_networks: vec!["127.0.0.1/32".parse().unwrap()],
        ..local()
    }
}

/// The same port on both addresses.
async fn public_and_inside() -> (Receiver, Receiver) {
    let public = Receiver::start(|_| Answer::Close(ok())).await;
    let inside = Receiver::start_at(&format!("127.0.0.2:{}", public.address.port()), |_| {
        Answer::Close(ok())
    })
    .await;
    (public, inside)
}

#[tokio::test]
async fn a_name_that_is_public_first_and_inside_next_reaches_only_the_public_address() {
    let (public, inside) = public_and_inside().await;
    let resolver = Fickle::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let egress = egress_with(only_one_is_public(), &resolver);
    let grant = grant(
        json!([format!("rebind.test:{}", public.address.port())]),
        json!([]),
        &[],
    );
    let url = format!("http://rebind.test:{}/", public.address.port());

    // Resolved once and dialed as vetted: a second look would already lead inside.
    assert_eq!(
        egress.send(&grant, &get(&*url), &context()).await.unwrap().status,
        200
    );
    assert_eq!(
        (resolver.asked(), public.connections(), inside.connections()),
        (1, 1, 0)
    );
    assert_eq!(
        public.seen()[0].header("host"),
        Some(&*format!("rebind.test:{}", public.address.port()))
    );

    // The connection was closed, so the next request resolves anew and meets the guard.
    let error = egress.send(&grant, &get(&*url), &context()).await.unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Refused);
    assert_eq!(
        (resolver.asked(), public.connections(), inside.connections()),
        (2, 1, 0)
    );
}

#[tokio::test]
async fn of_a_mixed_answer_only_the_vetted_addresses_are_dialed() {
    let (public, inside) = public_and_inside().await;
    for answer in [
        &["127.0.0.2", "127.0.0.1"][..],
        &["::1", "127.0.0.2", "127.0.0.1", "10.0.0.1"],
    ] {
        let resolver = Fickle::new(&[answer]);
        let egress = egress_with(only_one_is_public(), &resolver);
        let grant = grant(
            json!([format!("mixed.test:{}", public.address.port())]),
            json!([]),
            &[],
        );
        let url = format!("http://mixed.test:{}/", public.address.port());
        assert_eq!(
            egress.send(&grant, &get(url), &context()).await.unwrap().status,
            200
        );
    }
    assert_eq!((public.connections(), inside.connections()), (2, 0));
}

#[tokio::test]
async fn when_the_vetted_address_does_not_answer_no_other_is_tried() {
    let inside = Receiver::start_at("127.0.0.2:0", |_| Answer::Close(ok())).await;
    // Nothing listens on this port of 127.0.0.1.
    let port = inside.address.port();
    let resolver = Fickle::new(&[&["127.0.0.1", "127.0.0.2"], &["127.0.0.2"]]);
    let egress = egress_with(only_one_is_public(), &resolver);
    let grant = grant(json!([format!("mixed.test:{port}")]), json!([]), &[]);
    let error = egress
        .send(&grant, &get(format!("http://mixed.test:{port}/")), &context())
        .await
        .unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Network, "{error}");
    assert_eq!((resolver.asked(), inside.connections()), (1, 0));
}

#[tokio::test]
async fn a_name_without_an_address_is_a_network_error() {
    let resolver = Fickle::new(&[&[]]);
    let egress = egress_with(only_one_is_public(), &resolver);
    let grant = grant(json!(["nowhere.test"]), json!([]), &[]);
    let error = egress
        .send(&grant, &get("https://nowhere.test/"), &context())
        .await
        .unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Network);
    assert_eq!(
        error.message,
        "the name nowhere.test could not be resolved: no address found"
    );
}
